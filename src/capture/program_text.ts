/**
 * The text around functions: which names of a closure can never change.
 *
 * V8 shows the values of a closure but not whether a binding is constant. The program's own text does: a function is looked for in the files that were running
 * when it was compiled, then in the modules that these import; in the file that holds it, a name that is declared and never assigned is constant.
 * What cannot be found (remote modules, no permission to read, generated code) is not proven, so it is read again at each call; nor is anything proven in a
 * program that imports under names which only show when it runs, or evaluates text in place.
 */
import { SourceMap, stripTypeScriptTypes } from "node:module";
import { parse, type Token } from "acorn";
import type { SourceLocation } from "../graph/mod.ts";
import { sha256 } from "../runtime/mod.ts";
import { constantNames, importsOf } from "./program_names.ts";
import type { FunctionSyntax, RewrittenFunction } from "./syntax.ts";

/** Enums and parameter properties need more than stripping; Deno can, but its types do not know. */
const TRANSFORM = { mode: "transform" as string as "strip" };

/** How many files are looked at for one function. */
const MOST_FILES = 256;

interface ProgramFile {
  readonly url: string;
  /** The text without types, as it runs. */
  readonly text: string;
  /** The text without spaces, comments and punctuation that printers choose freely. */
  readonly squeezed: string;
  readonly imports: readonly string[];
  /** It may load modules whose text cannot be looked at: a function of theirs may have the text of one that was found. */
  readonly loadsUnseen: boolean;
  /** Of the file as it stands on disk. */
  readonly hash: string;
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
    const bytes = Deno.readFileSync(new URL(url));
    const raw = new TextDecoder().decode(bytes);
    const text = /\.[cm]?ts$/.test(url) ? stripTypeScriptTypes(raw, TRANSFORM) : raw;
    const found = [...text.matchAll(/(?:from|import)\s*\(?\s*["']([^"'\s]+)["']/g)].map((m) =>
      resolve(m[1] ?? "", url)
    );
    const imports = found.filter((u) => u.startsWith("file:") && !isLibraryFile(u));
    const loadsUnseen = found.filter((u) => !isLibraryFile(u))
      .some((u) => /^(?:https?|data|blob):/.test(u)) || COMPUTED_IMPORT.test(withoutComments(text));
    return { url, text, squeezed: squeeze(text), imports, loadsUnseen, hash: sha256(bytes) };
  } catch {
    // No permission, no such file, or syntax that the stripper does not know: nothing is proven then.
    return null;
  }
}

/** An import whose specifier only shows when it runs. */
const COMPUTED_IMPORT = /\bimport\s*\(\s*(?!["'][^"'\s]+["']\s*[,)])/;

/** Where a specifier leads: the import map is that of the whole process. Empty if it leads nowhere. */
function resolve(specifier: string, from: string): string {
  try {
    return /^\.{0,2}\//.test(specifier) ? new URL(specifier, from).href : import.meta.resolve(specifier);
  } catch {
    return "";
  }
}

function withoutComments(text: string): string {
  return text.replace(/\/\/[^\n]*\n|\/\*[^]*?\*\//g, "");
}

function squeeze(text: string): string {
  return withoutComments(text).replace(/[\s;,()"'`]+/g, "");
}

/** Tessera's own files hold no functions of the user. */
const LIBRARY = new URL("../", import.meta.url).href;

const ENTRY = new URL("../../mod.ts", import.meta.url).href;

function isLibraryFile(url: string): boolean {
  return url.startsWith(LIBRARY) || url === ENTRY;
}

/** A file of the program as another process finds it again; the hash is null if it cannot be read. */
export type FileEvidence = readonly [url: string, hash: string | null];

/** The hash of a file's text as it stands on disk, or null. */
export function hashOfFile(url: string): string | null {
  try {
    return url.startsWith("file:") ? sha256(Deno.readFileSync(new URL(url))) : null;
  } catch {
    return null;
  }
}

/** All files from which it was concluded which names never change; null if there are too many to look at. */
export function filesAround(start: readonly string[]): FileEvidence[] | null {
  const reached = reach(start);
  if (reached.length >= MOST_FILES) return null;
  return reached.map((url): FileEvidence => [url, load(url)?.hash ?? null]);
}

/** The files reached from `start` through imports, Tessera's own left out, nearest first. */
function reach(start: readonly string[]): string[] {
  const queue = [...new Set(start)];
  const seen = new Set(queue);
  for (let at = 0; at < queue.length && at < MOST_FILES; at++) {
    for (const next of load(queue[at] ?? "")?.imports ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  return queue.slice(0, MOST_FILES);
}

/** All files that hold a function's text, looked for from `start` through imports: the same text may stand in several. */
// deno-lint-ignore ban-types
function filesOf(fn: Function, start: readonly string[]): ProgramFile[] {
  const wanted = squeeze(Function.prototype.toString.call(fn));
  return reach(start).flatMap((url) => {
    const file = load(url);
    return file !== null && file.squeezed.includes(wanted) ? [file] : [];
  });
}

const found = new WeakMap<object, readonly ProgramFile[]>();

/** Names of a file that never change: its own that are not assigned, and imports of such from files that can be read. */
function constantNamesIn({ url, text }: ProgramFile, names: ReadonlySet<string>): ReadonlySet<string> {
  const here = new Set(constantNames(text, names) ?? []);
  for (const { local, imported, from } of importsOf(text)) {
    if (!here.has(local) || imported === "*") continue;
    const target = resolve(from, url);
    // Tessera's own exports are constant; what cannot be read is not proven.
    if (isLibraryFile(target)) continue;
    const file = load(target);
    const proven = file !== null && imported !== "default" &&
      constantNames(file.text, new Set([imported]))?.has(imported);
    if (proven !== true) here.delete(local);
  }
  return here;
}

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
  if (reach(start).some((url) => load(url)?.loadsUnseen === true)) return new Set();
  let proven: ReadonlySet<string> | null = null;
  for (const file of around) {
    const here = constantNamesIn(file, names);
    proven = proven === null ? here : proven.intersection(here);
  }
  return proven ?? new Set();
}

/** A token that every printer keeps, with its place. */
interface Mark {
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** The tokens of a program without the punctuation that printers choose; empty if it cannot be parsed. */
function marksOf(text: string): Mark[] {
  const out: Mark[] = [];
  const onToken = (token: Token): void => {
    const { label } = token.type;
    const value: unknown = Reflect.get(token, "value");
    const start = token.loc?.start;
    if ([";", ",", "(", ")", "eof"].includes(label) || start === undefined) return;
    out.push({ text: value === undefined ? label : String(value), line: start.line, column: start.column + 1 });
  };
  try {
    parse(text, { ecmaVersion: "latest", sourceType: "module", locations: true, onToken });
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
  return out;
}

const originalMarks = new Map<string, Mark[]>();

/** The tokens of a file where they stand in the file. */
function fileMarks(url: string): Mark[] {
  let marks = originalMarks.get(url);
  if (marks === undefined) {
    const raw = Deno.readTextFileSync(new URL(url));
    marks = /\.[cm]?ts$/.test(url) ? typedMarks(raw) : marksOf(raw);
    originalMarks.set(url, marks);
  }
  return marks;
}

/** Types become spaces, so that places stay; where more must change (enums, parameter properties), a source map leads back. */
function typedMarks(raw: string): Mark[] {
  try {
    return marksOf(stripTypeScriptTypes(raw, { mode: "strip" }));
  } catch {
    const text = stripTypeScriptTypes(raw, { ...TRANSFORM, sourceMap: true } as typeof TRANSFORM);
    const [, encoded] = /\/\/# sourceMappingURL=data:[^,]*,(\S+)\s*$/.exec(text) ?? [];
    if (encoded === undefined) return [];
    const map = new SourceMap(JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(encoded))));
    return marksOf(text).map((mark): Mark => {
      const found = map.findEntry(mark.line - 1, mark.column - 1);
      return "originalLine" in found
        ? { text: mark.text, line: found.originalLine + 1, column: found.originalColumn + 1 }
        : mark;
    });
  }
}

/** A function that was rebuilt from its text: the text as it runs now, and where to look for the original. */
interface Rebuilt {
  readonly expression: string;
  /** As it runs. */
  readonly rewritten: RewrittenFunction;
  readonly files: readonly string[];
  // deno-lint-ignore ban-types
  readonly fn: WeakRef<Function>;
}

const rebuilt = new Map<string, Rebuilt>();
const rebuiltNames = new WeakMap<object, string>();

/** Remembers a rebuilt function; returns the name under which stacks will show it. */
// deno-lint-ignore ban-types
export function registerRebuilt(fn: Function, syntax: FunctionSyntax, files: readonly string[]): string {
  const known = rebuiltNames.get(fn);
  if (known !== undefined) return known;
  const name = `${fn.name.replace(/[^\w$]/g, "_") || "function"}#${rebuilt.size}`;
  rebuiltNames.set(fn, name);
  rebuilt.set(name, { fn: new WeakRef(fn), expression: syntax.expression, rewritten: syntax.rewritten(), files });
  return name;
}

/** Modules that were loaded by name: no running file imports them, so lines of theirs would not be found. */
const loadedFiles = new Set<string>();

/** Notes a module that a program loads at run time, so that lines of its functions can be told. */
export function noteLoadedFile(url: string): void {
  loadedFiles.add(url);
}

/** Line and column, from 1, in the text as the user wrote it. */
function oldPlace({ expression, rewritten }: Rebuilt, line: number, column: number): [line: number, column: number] {
  const before = rewritten.expression.split("\n").slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0);
  const lines = expression.slice(0, rewritten.toOriginal(before + column - 1)).split("\n");
  return [lines.length, (lines.at(-1) ?? "").length + 1];
}

/** The place in the user's file of a place in a rebuilt function (lines of `expression` count from 1), or null if it cannot be found. */
export function originalLocation(name: string, line: number, column: number): SourceLocation | null {
  const entry = rebuilt.get(name);
  const fn = entry?.fn.deref();
  if (entry === undefined || fn === undefined) return null;
  return placeInFile(fn, entry.files, entry.expression, oldPlace(entry, line, column));
}

/** The place in the user's file of an offset in a function's own text, in parentheses as `FunctionSyntax` has it; null if it cannot be found. */
// deno-lint-ignore ban-types
export function locationIn(fn: Function, files: readonly string[], offset: number): SourceLocation | null {
  const text = `(${Function.prototype.toString.call(fn)})`;
  const lines = text.slice(0, offset).split("\n");
  return placeInFile(fn, files, text, [lines.length, (lines.at(-1) ?? "").length + 1]);
}

function placeInFile(
  // deno-lint-ignore ban-types
  fn: Function,
  files: readonly string[],
  expression: string,
  [oldLine, oldColumn]: readonly [line: number, column: number],
): SourceLocation | null {
  const file = filesOf(fn, [...files, ...loadedFiles])[0];
  if (file === undefined) return null;
  // A method's text stands between the tokens that take it out of an object again.
  const whole = marksOf(expression);
  const own = expression.startsWith("Object.values(") ? whole.slice(7, -6) : whole;
  const at = own.findLastIndex((m) => m.line < oldLine || (m.line === oldLine && m.column <= oldColumn));
  const all = fileMarks(file.url);
  const first = own[0]?.text;
  for (let i = 0; i + own.length <= all.length && at >= 0; i++) {
    if (all[i]?.text !== first || !own.every((m, j) => m.text === all[i + j]?.text)) continue;
    const found = all[i + at];
    return found === undefined
      ? null
      : { file: file.url, line: found.line, column: found.column, functionName: fn.name };
  }
  return null;
}
