/**
 * The text around functions: which names of a closure can never change.
 *
 * V8 shows the values of a closure but not whether a binding is constant. The program's own text does: a function is looked for in the files that were running
 * when it was compiled, then in the modules that these import; in the file that holds it, a name that is declared and never assigned is constant.
 * What cannot be found (remote modules, no permission to read, generated code) is not proven, so it is read again at each call.
 */
import { stripTypeScriptTypes } from "node:module";
import { constantNames } from "./syntax.ts";

/** How many files are looked at for one function. */
const MOST_FILES = 256;

interface ProgramFile {
  /** The text without types, as it runs. */
  readonly text: string;
  /** The text without spaces, comments and punctuation that printers choose freely. */
  readonly squeezed: string;
  readonly imports: readonly string[];
}

const files = new Map<string, ProgramFile | null>();

function load(url: string): ProgramFile | null {
  const known = files.get(url);
  if (known !== undefined) return known;
  const made = read(url);
  files.set(url, made);
  return made;
}

function read(url: string): ProgramFile | null {
  if (!url.startsWith("file:")) return null;
  try {
    const raw = Deno.readTextFileSync(new URL(url));
    const text = /\.[cm]?ts$/.test(url) ? stripTypeScriptTypes(raw, { mode: "transform" }) : raw;
    const imports = [...text.matchAll(/(?:from|import)\s*\(?\s*["'](\.{1,2}\/[^"']+)["']/g)]
      .map((m) => new URL(m[1] ?? "", url).href);
    return { text, squeezed: squeeze(text), imports };
  } catch {
    // No permission, no such file, or syntax that the stripper does not know: nothing is proven then.
    return null;
  }
}

function squeeze(text: string): string {
  return text.replace(/\/\/[^\n]*\n|\/\*[^]*?\*\//g, "").replace(/[\s;,()"'`]+/g, "");
}

/** Tessera's own files hold no functions of the user. */
const LIBRARY = new URL("../", import.meta.url).href;

/** All files that hold a function's text, looked for from `start` through imports: the same text may stand in several. */
// deno-lint-ignore ban-types
function filesOf(fn: Function, start: readonly string[]): ProgramFile[] {
  const wanted = squeeze(Function.prototype.toString.call(fn));
  const queue = [...start];
  const seen = new Set(queue);
  const out: ProgramFile[] = [];
  for (let at = 0; at < queue.length && at < MOST_FILES; at++) {
    const file = load(queue[at] ?? "");
    if (file === null) continue;
    if (file.squeezed.includes(wanted)) out.push(file);
    for (const next of file.imports) {
      if (seen.has(next) || next.startsWith(LIBRARY)) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  return out;
}

const found = new WeakMap<object, readonly ProgramFile[]>();

/** Names among `names` that nothing around the function ever assigns. */
export function constantNamesAround(
  // deno-lint-ignore ban-types
  fn: Function,
  start: readonly string[],
  names: ReadonlySet<string>,
): ReadonlySet<string> {
  if (names.size === 0) return names;
  let around = found.get(fn);
  if (around === undefined) found.set(fn, around = filesOf(fn, start));
  let proven: ReadonlySet<string> | null = null;
  for (const { text } of around) {
    const here: ReadonlySet<string> = constantNames(text, names) ?? new Set();
    proven = proven === null ? here : proven.intersection(here);
  }
  return proven ?? new Set();
}
