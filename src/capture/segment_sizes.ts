/**
 * Sizes of segments that change between calls: the second size at the same place makes it a symbol.
 *
 * A path of recorded steps binds symbols in order of appearance: the first dimension of an entering tensor that shows one gives its value at each call, all other sizes are
 * expressions over these, and a step fits only if they come out as they are. Plain numbers among the arguments of operators (`view([2 * n])`) become
 * expressions where one over a symbol explains both of their values; a wrong guess does not fit the next call, which is then recorded anew. Results are
 * described by the operators' own `meta`, whose conditions on sizes become guards of the step. 0 and 1 stay numbers.
 */
import type { BoolExpr, Expr, Size, Sym } from "../symbolic/mod.ts";
import { add, constant, evaluate, evaluateBool, exprOf, mul, newSym, sizeOf, symbol } from "../symbolic/mod.ts";
import { symbolicStride } from "./dynamic.ts";
import { ShapeEnv } from "./shape_env.ts";

/** A size: a number, or an expression over the symbols of the path. */
export type Dim = number | Expr;

const symbols: Sym[] = [];
const indices = new Map<Sym, number>();

/** The nth symbol that a path binds: the same one in all paths, so that equal segments have equal texts. */
export function sizeSymbol(index: number): Sym {
  let sym = symbols[index];
  if (sym === undefined) {
    symbols[index] = sym = newSym(`s${index}`, { kind: "size", lower: 2, upper: Infinity });
    indices.set(sym, index);
  }
  return sym;
}

function reader(sizes: readonly number[]): (s: Sym) => number {
  return (s) => sizes[indices.get(s) ?? -1] ?? NaN;
}

/** The number that a size is in a call. */
export function dimValue(dim: Dim, sizes: readonly number[]): number {
  if (typeof dim === "number") return dim;
  return dim.kind === "symbol" ? reader(sizes)(dim.symbol) : evaluate(dim, reader(sizes));
}

/** The numbers that sizes are in a call; the list itself if it holds no expression. */
export function dimValues(dims: readonly Dim[], sizes: readonly number[]): readonly number[] {
  return sizes.length === 0 ? dims as readonly number[] : dims.map((d) => dimValue(d, sizes));
}

/** Tells whether a condition holds of the sizes of a call. */
export function sizesHold(conditions: readonly BoolExpr[], sizes: readonly number[]): boolean {
  for (const condition of conditions) if (!evaluateBool(condition, reader(sizes))) return false;
  return true;
}

/** Tells whether a size of this call is what a step recorded; binds the next symbol where it appears for the first time. */
export function fitsDim(value: number, dim: Dim, sizes: number[]): boolean {
  if (typeof dim === "number") return value === dim;
  if (dim.kind === "symbol" && indices.get(dim.symbol) === sizes.length) {
    if (value < 2) return false;
    sizes.push(value);
    return true;
  }
  return value === dimValue(dim, sizes);
}

/** The environment in which operators and backends see the sizes of a call. */
export function envOf(sizes: readonly number[]): ShapeEnv {
  const env = new ShapeEnv();
  sizes.forEach((value, i) => env.adopt(sizeSymbol(i), value));
  return env;
}

/** A size as operators see it. */
export function asSize(dim: Dim, env: ShapeEnv): Size {
  return typeof dim === "number" ? dim : sizeOf(dim, env);
}

/** What is recorded of a size that operators gave. */
export function asDim(size: Size): Dim {
  if (typeof size === "number") return size;
  const e = exprOf(size);
  return e.kind === "const" ? e.value : e;
}

/** Finds symbols for sizes and numbers of one new step. */
export class SizeFinder {
  /** What symbols are in this call, and what they were in the recording that the step is compared with (NaN: not known). */
  readonly sizes: number[];
  readonly olds: number[];

  constructor(sizes: readonly number[], olds: readonly number[]) {
    this.sizes = [...sizes];
    this.olds = sizes.map((_, i) => olds[i] ?? NaN);
  }

  /** Shape and strides of an entering tensor, against what entered there before: `old` dimensions had the values `oldValues`. */
  tensor(
    shape: readonly number[],
    stride: readonly number[],
    old: readonly Dim[] | null,
    oldValues: readonly number[],
  ): { readonly shape: readonly Dim[]; readonly stride: readonly Dim[] } {
    const dims = shape.map((size, d): Dim => {
      const before = old?.[d];
      if (before === undefined || size < 2 || (typeof before === "number" && before === size)) return size;
      return this.#symbol(size, oldValues[d] ?? NaN);
    });
    if (dims.every((d) => typeof d === "number")) return { shape: dims, stride };
    const env = envOf(this.sizes);
    const strides = symbolicStride(dims.map((d) => asSize(d, env)), shape, stride);
    return { shape: dims, stride: strides.map(asDim) };
  }

  #symbol(value: number, old: number): Expr {
    const { sizes, olds } = this;
    const known = sizes.findIndex((v, i) => v === value && (olds[i] === old || Number.isNaN(olds[i])));
    if (known >= 0) return symbol(sizeSymbol(known));
    olds.push(old);
    return symbol(sizeSymbol(sizes.push(value) - 1));
  }

  /**
   * A number that an operator takes, and that was `old` before: a candidate that gives both, or an expression of degree one over a symbol, or the number
   * itself.
   */
  number(value: number, old: number, candidates: () => Iterable<Dim>): Dim {
    if (value === old || !Number.isSafeInteger(value) || !Number.isSafeInteger(old)) return value;
    for (const dim of candidates()) {
      if (dimValue(dim, this.sizes) === value && dimValue(dim, this.olds) === old) return dim;
    }
    let best: { readonly factor: number; readonly rest: number; readonly index: number } | null = null;
    for (let index = 0; index < this.sizes.length; index++) {
      const change = (this.sizes[index] ?? NaN) - (this.olds[index] ?? NaN);
      const factor = (value - old) / change;
      if (!Number.isSafeInteger(factor) || factor === 0) continue;
      const rest = value - factor * (this.sizes[index] ?? 0);
      if (best === null || Math.abs(rest) < Math.abs(best.rest)) best = { factor, rest, index };
    }
    if (best === null) return value;
    return add(mul(symbol(sizeSymbol(best.index)), constant(best.factor)), constant(best.rest));
  }
}
