/**
 * The text of loop values and loops: stable, one line a shared value, for logs, goldens and people.
 *
 * Symbols are named by position (i0, i1 for axes, r0 for reduced ones, ind0 for gathered indices), buffers by label, so that the text does not
 * depend on what was compiled before. A value used once stands inside its user; one used several times gets a line `%0 = …`.
 */
import { type Dialect, type Expr, freeSymbols, printExpr, type Sym } from "../symbolic/mod.ts";
import { indirectPayload } from "./ops.ts";
import type { LoopNode } from "./loop_node.ts";
import { extentOf } from "./loop_node.ts";
import type { BufferRef, LoopVar, Value } from "./value.ts";
import { childrenOf, foldValue } from "./walk.ts";

/** Names for symbols and buffers, given out in order of first use. */
export class Namer {
  readonly #symbols = new Map<Sym, string>();
  readonly #buffers = new Map<BufferRef, string>();
  readonly #taken = new Set<string>();
  readonly #dialect: Dialect;
  #indirect = 0;

  constructor() {
    const signs = { eq: "==", ne: "!=", lt: "<", le: "<=" } as const;
    this.#dialect = {
      const: String,
      symbol: (sym) => this.symbol(sym),
      floorDiv: (a, b) => `${a}//${b}`,
      mod: (a, b) => `${a} % ${b}`,
      min: (a, b) => `min(${a}, ${b})`,
      max: (a, b) => `max(${a}, ${b})`,
      where: (cond, a, b) => `where(${cond}, ${a}, ${b})`,
      relation: (kind, a, b) => `${a} ${signs[kind]} ${b}`,
      junction: (kind, args) => args.join(` ${kind} `),
      bool: String,
    };
  }

  /** Gives axes their names: `prefix` and position. */
  nameAxes(vars: readonly LoopVar[], prefix: string): void {
    vars.forEach((v, i) => this.#symbols.set(v, `${prefix}${i}`));
  }

  /** The name of a symbol. */
  symbol(sym: Sym): string {
    let name = this.#symbols.get(sym);
    if (name === undefined) {
      name = sym.kind === "indirect" ? `ind${this.#indirect++}` : sym.name;
      this.#symbols.set(sym, name);
    }
    return name;
  }

  /** The name of a buffer: its label, made unique. */
  buffer(buffer: BufferRef): string {
    let name = this.#buffers.get(buffer);
    if (name === undefined) {
      name = buffer.label;
      for (let i = 1; this.#taken.has(name); i++) name = `${buffer.label}_${i}`;
      this.#taken.add(name);
      this.#buffers.set(buffer, name);
    }
    return name;
  }

  /** An index expression. */
  expr(e: Expr): string {
    return printExpr(e, this.#dialect);
  }

  /** An index expression for hashing: names that are not given yet stay open, so that asking gives none out. */
  skeleton(e: Expr): string {
    const symbol = (sym: Sym): string => this.#symbols.get(sym) ?? (sym.kind === "indirect" ? "ind" : sym.name);
    return printExpr(e, { ...this.#dialect, symbol });
  }

  /** `i0 < 10, i1 < 4`. */
  extents(vars: readonly LoopVar[]): string {
    return vars.map((v) => `${this.symbol(v)} < ${this.expr(extentOf(v))}`).join(", ");
  }
}

/** The text of values with shared parts: lines to stand before, and one text for each root. */
export interface ValueText {
  readonly lines: readonly string[];
  readonly roots: readonly string[];
}

/** Operators whose operands stand in the order of their texts: values are hash-consed, so their own order depends on history. */
const COMMUTATIVE: ReadonlySet<string> = new Set(["add", "mul", "eq", "ne", "bitwiseAnd", "bitwiseOr", "bitwiseXor"]);

/** Structural hashes that do not depend on what was made before. */
function structuralHashes(roots: readonly Value[], namer: Namer): Map<Value, number> {
  return foldValue<number>(roots, (v, of) => {
    const operands = v.kind === "pointwise" && COMMUTATIVE.has(v.op)
      ? v.args.map(of).sort((x, y) => x - y)
      : childrenOf(v).map(of);
    return hashText(`${v.kind},${v.dtype.short},${detailOf(v, namer)}(${operands.join(",")})`);
  });
}

function detailOf(v: Value, namer: Namer): string {
  switch (v.kind) {
    case "constant":
      return Object.is(v.value, -0) ? "-0" : String(v.value);
    case "index":
      return namer.skeleton(v.expr);
    case "load":
      return `${v.buffer.label}[${namer.skeleton(v.index)}]`;
    case "pointwise":
      return v.op;
    case "masked":
      return String(v.other);
    case "lookup":
      return v.table.join();
    case "cast":
    case "bitcast":
    case "philox":
      return "";
    default:
      return v satisfies never;
  }
}

/** FNV-1a. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Prints values. `firstLine` numbers the shared lines. */
export function valuesToText(roots: readonly Value[], namer: Namer, firstLine = 0): ValueText {
  const uses = new Map<Value, number>();
  foldValue(roots, (v) => {
    for (const child of childrenOf(v)) uses.set(child, (uses.get(child) ?? 0) + 1);
    return null;
  });
  const hashes = structuralHashes(roots, namer);
  const operandsOf = (v: Value): readonly Value[] => {
    if (v.kind !== "pointwise" || !COMMUTATIVE.has(v.op)) return childrenOf(v);
    // Constants last, as people write them.
    const isLast = (x: Value): number => x.kind === "constant" ? 1 : 0;
    return [...v.args].sort((x, y) => isLast(x) - isLast(y) || (hashes.get(x) ?? 0) - (hashes.get(y) ?? 0));
  };
  const lines: string[] = [];
  const texts = new Map<Value, string>();
  const of = (child: Value): string => texts.get(child) ?? "";
  let next = firstLine;
  const finish = (v: Value): void => {
    const text = oneValue(v, operandsOf(v), of, namer, lines);
    const isLeaf = v.kind === "constant" || v.kind === "index" || v.kind === "load";
    if (isLeaf || (uses.get(v) ?? 0) < 2) {
      texts.set(v, text);
      return;
    }
    const name = `%${next++}`;
    lines.push(`${name} = ${text}`);
    texts.set(v, name);
  };
  const stack = [...roots].reverse();
  for (let v = stack.at(-1); v !== undefined; v = stack.at(-1)) {
    const missing = texts.has(v) ? [] : operandsOf(v).filter((child) => !texts.has(child));
    if (missing.length > 0) stack.push(...missing.reverse());
    else {
      stack.pop();
      if (!texts.has(v)) finish(v);
    }
  }
  return { lines, roots: roots.map(of) };
}

function oneValue(
  v: Value,
  operands: readonly Value[],
  of: (child: Value) => string,
  namer: Namer,
  lines: string[],
): string {
  const at = (e: Expr): string => {
    for (const sym of symbolsBehind(e)) {
      const { value, size, fromEnd } = indirectPayload(sym);
      const line = `${namer.symbol(sym)} = index ${of(value)} of ${namer.expr(size)}${
        fromEnd ? " or from its end" : ""
      }`;
      if (!lines.includes(line)) lines.push(line);
    }
    return namer.expr(e);
  };
  switch (v.kind) {
    case "constant":
      return `${Object.is(v.value, -0) ? "-0" : String(v.value)}:${v.dtype.short}`;
    case "index":
      return `index<${v.dtype.short}>(${at(v.expr)})`;
    case "load":
      return `${namer.buffer(v.buffer)}[${at(v.index)}]`;
    case "pointwise":
      return `${v.op}(${operands.map(of).join(", ")})`;
    case "cast":
      return `${v.dtype.short}(${of(v.arg)})`;
    case "bitcast":
      return `bits<${v.dtype.short}>(${of(v.arg)})`;
    case "masked":
      return `masked(${of(v.mask)}, ${of(v.body)}, else ${Object.is(v.other, -0) ? "-0" : v.other})`;
    case "philox":
      return `philox(seed ${of(v.seed)}, stream ${of(v.stream)}, position ${of(v.position)})`;
    case "lookup":
      return `lookup([${v.table.join(" ")}], ${of(v.at)})`;
    default:
      return v satisfies never;
  }
}

function symbolsBehind(e: Expr): Sym[] {
  return [...freeSymbols(e)].filter((s) => s.kind === "indirect");
}

/** The text of one value on its own. */
export function valueToText(value: Value, namer: Namer = new Namer()): string {
  const { lines, roots } = valuesToText([value], namer);
  return [...lines, roots[0] ?? ""].join("\n");
}

/** The text of a loop. */
export function loopToText(loop: LoopNode): string {
  const namer = new Namer();
  const block = (head: string, roots: readonly Value[], last: (texts: readonly string[]) => string): string => {
    const { lines, roots: texts } = valuesToText(roots, namer);
    return [head, ...lines.map((l) => `  ${l}`), `  ${last(texts)}`].join("\n");
  };
  switch (loop.kind) {
    case "pointwise":
      namer.nameAxes(loop.vars, "i");
      return block(`pointwise ${loop.dtype.short} [${namer.extents(loop.vars)}]`, [loop.value], ([v]) => `yield ${v}`);
    case "reduction":
      namer.nameAxes(loop.vars, "i");
      namer.nameAxes(loop.reduceVars, "r");
      return block(
        `${loop.op} ${loop.dtype.short} [${namer.extents(loop.vars)} | ${namer.extents(loop.reduceVars)}]`,
        [loop.value],
        ([v]) => `combine ${v}`,
      );
    case "scan":
      namer.nameAxes(loop.vars, "i");
      return block(
        `scan ${loop.op} ${loop.dtype.short} [${namer.extents(loop.vars)}] along ${loop.axis}`,
        [loop.value],
        ([v]) => `combine ${v}`,
      );
    case "view":
      namer.nameAxes(loop.vars, "i");
      return `view ${loop.dtype.short} [${namer.extents(loop.vars)}] at [${
        loop.index.map((e) => namer.expr(e)).join(", ")
      }]`;
    case "scatter":
      namer.nameAxes(loop.vars, "i");
      return block(
        `scatter ${loop.op} ${loop.dtype.short} [${namer.extents(loop.vars)}]`,
        [loop.value, ...loop.target.flatMap((e) => symbolsBehind(e).map((s) => indirectPayload(s).value))],
        ([v]) => `at [${loop.target.map((e) => namer.expr(e)).join(", ")}] combine ${v}`,
      );
    case "contraction":
      namer.nameAxes(loop.batch, "b");
      namer.nameAxes(loop.m, "m");
      namer.nameAxes(loop.n, "n");
      namer.nameAxes(loop.k, "k");
      return block(
        `contraction ${loop.dtype.short} [${namer.extents([...loop.batch, ...loop.m, ...loop.n])} | ${
          namer.extents(loop.k)
        }]`,
        [loop.a, loop.b],
        ([a, b]) => `at [${loop.out.map((e) => namer.expr(e)).join(", ")}] sum ${a} * ${b}`,
      );
    default:
      return loop satisfies never;
  }
}
