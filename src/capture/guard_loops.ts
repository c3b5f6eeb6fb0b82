/**
 * Long guards as loops: what repeats in their lines runs once for each repetition.
 *
 * Enters: the lines of a guard, of which many are alike (an optimiser asks the same of each of its parameters), and the constants that they name. Leaves: the text of a function
 * that says whether all hold. Lines that are alike but for constants, names and numbers in turn become the body of a loop over tables of these. V8 neither parses
 * thousands of lines quickly nor optimises them before they ran some thousand times; a loop over 161 parameters is fast after a few calls.
 */

/** Repetitions from which on a loop is written. */
const LEAST = 6;
/** Lines of a repetition at most, and how many lengths of it are tried. */
const LONGEST = 600;
const TRIED = 6;
/** V8 does not optimise very long functions. */
const MOST_LINES = 300;

const TOKEN = /"(?:[^"\\]|\\.)*"|\bc\[\d+\]|\bv\d+\b|(?<![\w.$])\d+(?:\.\d+)?(?:e[+-]?\d+)?\b/g;
const DEFINITION = /^const (v\d+) = /;

interface Line {
  readonly text: string;
  /** Equal for lines that are alike. */
  readonly form: number;
  readonly tokens: readonly string[];
}

/** Lines `from` on, `length` of them, `count` times. */
interface Run {
  readonly from: number;
  readonly length: number;
  readonly count: number;
}

class Roller {
  readonly #lines: readonly Line[];
  readonly #constants: unknown[];
  /** Where variables are defined, and used last. */
  readonly #defined = new Map<string, number>();
  readonly #lastUse = new Map<string, number>();

  constructor(lines: readonly string[], constants: unknown[]) {
    const forms = new Map<string, number>();
    this.#constants = constants;
    this.#lines = lines.map((text, at) => {
      const tokens = text.match(TOKEN) ?? [];
      const pattern = text.replace(
        TOKEN,
        (t) => t.startsWith('"') ? '""' : t.startsWith("c[") ? "c[]" : t.startsWith("v") ? "v" : "0",
      );
      let form = forms.get(pattern);
      if (form === undefined) forms.set(pattern, form = forms.size);
      for (const t of tokens) if (isVariable(t)) this.#lastUse.set(t, at);
      const own = DEFINITION.exec(text)?.[1];
      if (own !== undefined) this.#defined.set(own, at);
      return { text, form, tokens };
    });
  }

  /** The lines in order, alike ones as loops. */
  roll(): (string | { readonly run: Run; readonly text: readonly string[] })[] {
    const out: (string | { readonly run: Run; readonly text: readonly string[] })[] = [];
    for (let at = 0; at < this.#lines.length;) {
      const run = this.#runAt(at);
      if (run === null) out.push((this.#lines[at++] as Line).text);
      else {
        out.push({ run, text: this.#loop(run) });
        at += run.length * run.count;
      }
    }
    return out;
  }

  #runAt(at: number): Run | null {
    const lines = this.#lines;
    const form = lines[at]?.form;
    let best: Run | null = null;
    let tried = 0;
    for (let length = 1; length <= LONGEST && at + length < lines.length && tried < TRIED; length++) {
      if (lines[at + length]?.form !== form) continue;
      tried++;
      let count = 1;
      while (this.#repeats(at, length, count)) count++;
      if (count >= LEAST && length * count > (best === null ? 0 : best.length * best.count)) {
        best = { from: at, length, count };
      }
    }
    return best;
  }

  /** Whether repetition `r` is like the first, which itself must be complete: nothing else uses its variables. */
  #repeats(from: number, length: number, r: number): boolean {
    const begin = from + r * length;
    if (begin + length > this.#lines.length) return false;
    for (let j = 0; j < length; j++) {
      const [first, own] = [this.#lines[from + j] as Line, this.#lines[begin + j] as Line];
      if (first.form !== own.form) return false;
      for (let k = 0; k < own.tokens.length; k++) {
        const [v, w] = [first.tokens[k] as string, own.tokens[k] as string];
        if (!isVariable(w)) continue;
        const [inFirst, inOwn] = [this.#place(v, from, length), this.#place(w, begin, length)];
        if (inFirst !== inOwn || (inOwn === null && v !== w)) return false;
      }
    }
    return (r > 1 || this.#isClosed(from, length)) && this.#isClosed(begin, length);
  }

  /** Where in a repetition a variable is defined; null outside. */
  #place(v: string, begin: number, length: number): number | null {
    const at = this.#defined.get(v) ?? -1;
    return at >= begin && at < begin + length ? at - begin : null;
  }

  #isClosed(begin: number, length: number): boolean {
    for (let at = begin; at < begin + length; at++) {
      const own = DEFINITION.exec((this.#lines[at] as Line).text)?.[1];
      if (own !== undefined && (this.#lastUse.get(own) ?? 0) >= begin + length) return false;
    }
    return true;
  }

  #loop({ from, length, count }: Run): string[] {
    const tables: string[] = [];
    const known = new Map<string, string>();
    const body = this.#lines.slice(from, from + length).map(({ text }, j) => {
      let k = 0;
      return text.replace(TOKEN, (token) => {
        const at = k++;
        const all = Array.from({ length: count }, (_, r) => this.#lines[from + r * length + j]?.tokens[at] ?? token);
        if (isVariable(token) || all.every((t) => t === token)) return token;
        const key = all.join();
        let name = known.get(key);
        if (name === undefined) {
          const values = all.map((t) => this.#value(t));
          const [first] = values;
          if (typeof first === "number" && values.every((v, r) => v === first + r)) {
            name = first === 0 ? "i" : `(i + ${first})`;
          } else {
            name = `o${tables.length}`;
            tables.push(`const ${name} = c[${this.#constants.push(values) - 1}][i];`);
          }
          known.set(key, name);
        }
        return name;
      });
    });
    return [`for (let i = 0; i < ${count}; i++) {`, ...tables, ...body, "}"];
  }

  #value(token: string): unknown {
    if (token.startsWith("c[")) return this.#constants[Number(token.slice(2, -1))];
    return JSON.parse(token) as unknown;
  }
}

function isVariable(token: string): boolean {
  return token.startsWith("v");
}

/** The reads among `all[0..before]` that some lines need, in order. */
export function readsFor(all: readonly string[], before: number, lines: readonly string[]): string[] {
  const variables = (line: string): string[] => (line.match(TOKEN) ?? []).filter(isVariable);
  const defined = new Set(lines.flatMap((line) => DEFINITION.exec(line)?.[1] ?? []));
  const needed = new Set(lines.flatMap(variables).filter((v) => !defined.has(v)));
  const out: string[] = [];
  for (let i = before - 1; i >= 0 && needed.size > 0; i--) {
    const line = all[i] ?? "";
    const name = DEFINITION.exec(line)?.[1];
    if (name === undefined || !needed.delete(name)) continue;
    out.unshift(line);
    for (const v of variables(line)) if (v !== name) needed.add(v);
  }
  return out;
}

/**
 * The text of a function of (arguments, this, values) that says whether all lines hold. Each is a definition, `if (…) return false;`, or has an effect on `values` or on one of
 * the `lists` (`l0`, `l1` …), which are empty when it begins. Tables are added to `constants`.
 */
export function loopText(lines: readonly string[], constants: unknown[], lists: number, hasCaptures: boolean): string {
  const items = new Roller(lines, constants).roll();
  const parts: string[][] = [[]];
  let at = 0;
  let begin = 0;
  for (const item of items) {
    const own = typeof item === "string" ? [item] : item.text;
    let part = parts[parts.length - 1] as string[];
    if (part.length > 0 && part.length + own.length > MOST_LINES) {
      parts.push(part = []);
      begin = at;
    }
    // What an earlier part has read is read again.
    const missing = begin === 0 ? [] : readsFor(lines, begin, own).filter((line) => !part.includes(line));
    part.push(...missing, ...own);
    at += typeof item === "string" ? 1 : item.run.length * item.run.count;
  }
  const names = Array.from({ length: lists }, (_, i) => `l${i}`);
  const empty = names.map((name) => `${name}.length = 0;`).join(" ");
  const functions = parts.map((part, i) =>
    `function part${i}(a, t, values, k) {\n${part.map((l) => `  ${l}\n`).join("")}  return true;\n}`
  );
  const calls = parts.map((_, i) => `part${i}(a, t, values, k)`).join(" && ");
  return `${names.map((name) => `const ${name} = [];\n`).join("")}${functions.join("\n")}
return function holds(a, t, values) {
  const k = ${hasCaptures ? "captures()" : "null"};
  ${empty}
  const all = ${calls};
  ${empty}
  return all;
};`;
}
