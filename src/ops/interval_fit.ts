/**
 * Functions of float32 as polynomials by intervals: how smooth functions that no short series covers become a few operations.
 *
 * An interval is a half or a quarter of a power of two, so that the leading bits of a number are its place; the coefficients stand in tables of 16 or 32
 * entries, one for each power, which processors read by permutations and every other backend from memory ({@linkcode LookupValue}). Fitted when they are
 * first needed, from the function's body in float64, whose constants fold, by interpolation at Chebyshev's nodes of each interval. Outside of the
 * intervals another body computes: infinities, zeros, negative numbers and what is no number are always outside.
 */
import { float32, float64, int32, InternalError } from "../core/mod.ts";
import { ops, type Value } from "../loops/mod.ts";

/** Where intervals lie. */
export interface Intervals {
  /** The first one begins at this power of two. */
  readonly first: number;
  /** Intervals of a power of two. */
  readonly parts: 2 | 4;
  readonly count: 16 | 32;
}

/** A function by intervals. */
export interface IntervalFit extends Intervals {
  /** Coefficients by power, from the constant on; of each, an entry for each interval. */
  readonly tables: readonly (readonly number[])[];
}

/** Where intervals end. */
export function endOf({ first, parts, count }: Intervals): number {
  return 2 ** (first + count / parts);
}

/** Coefficients, from the constant on, of the polynomial of `terms` terms in x - `start` that meets `f` at the Chebyshev nodes of `start` to `end`. */
export function interpolate(f: (x: number) => number, start: number, end: number, terms: number): number[] {
  const half = (end - start) / 2;
  const nodes = Array.from({ length: terms }, (_, k) => half * (1 - Math.cos(Math.PI * (k + 0.5) / terms)));
  // Newton's divided differences, then from the innermost factor outwards.
  const differences = nodes.map((node) => f(start + node));
  for (let order = 1; order < terms; order++) {
    for (let k = terms - 1; k >= order; k--) {
      differences[k] = ((differences[k] ?? 0) - (differences[k - 1] ?? 0)) /
        ((nodes[k] ?? 0) - (nodes[k - order] ?? 0));
    }
  }
  const powers = new Array<number>(terms).fill(0);
  for (let k = terms - 1; k >= 0; k--) {
    for (let i = terms - 1; i > 0; i--) powers[i] = (powers[i - 1] ?? 0) - (nodes[k] ?? 0) * (powers[i] ?? 0);
    powers[0] = (differences[k] ?? 0) - (nodes[k] ?? 0) * (powers[0] ?? 0);
  }
  return powers;
}

/** What a body of float64 computes of a number. */
export function evaluate(body: (x: Value) => Value, x: number): number {
  const value = body(ops.constant(x, float64));
  if (value.kind !== "constant") throw new InternalError(`a body of a number is ${value.kind}, no number`);
  return Number(value.value);
}

const fits = new Map<string, IntervalFit>();

/** The fit of a function of float64 by `terms` terms, made once; `key` names it. */
export function intervalFit(
  key: string,
  f: (x: number) => number,
  intervals: Intervals,
  terms: number,
): IntervalFit {
  let fit = fits.get(key);
  if (fit === undefined) fits.set(key, fit = makeFit(f, intervals, terms));
  return fit;
}

function makeFit(f: (x: number) => number, intervals: Intervals, terms: number): IntervalFit {
  const { first, parts, count } = intervals;
  const tables = Array.from({ length: terms }, () => new Array<number>(count).fill(0));
  for (let i = 0; i < count; i++) {
    const power = 2 ** (first + Math.floor(i / parts));
    const start = power * (1 + (i % parts) / parts), end = start + power / parts;
    // The place of an interval is what its numbers' exponents and leading digits are, modulo the number of entries.
    const place = (parts * (first + 127) + i) % count;
    interpolate(f, start, end, terms).forEach((c, k) => (tables[k] as number[])[place] = c);
  }
  return { ...intervals, tables };
}

/** The value of a fit at `x` of float32, which is in one of its intervals, else the result is any number. */
export function intervalSum(fit: IntervalFit, x: Value): Value {
  const { at, rest } = placeOf(fit, x);
  return tableSum(fit.tables, at, rest);
}

/** The place of a number's interval, and its distance from the interval's beginning. */
export function placeOf(
  { parts }: Intervals,
  x: Value,
): { readonly at: Value; readonly start: Value; readonly rest: Value } {
  const shift = ops.constant(parts === 4 ? 21 : 22, int32);
  const at = ops.shiftRight(ops.bitcast(x, int32), shift);
  const start = ops.bitcast(ops.shiftLeft(at, shift), float32);
  return { at, start, rest: ops.sub(x, start) };
}

/** Polynomials of `x` whose coefficients are entries of tables. */
export function tableSum(tables: readonly (readonly number[])[], at: Value, x: Value): Value {
  return pairedSum(tables.map((table) => ops.lookup(table, at)), x);
}

/** The polynomial of `x` with these coefficients, from the constant on. */
export function powerSum(coefficients: readonly number[], x: Value): Value {
  return pairedSum(coefficients.map((c) => ops.constant(c, x.dtype)), x);
}

/** Pairs of terms, by the square: half as many products wait for each other. */
function pairedSum(entries: readonly Value[], x: Value): Value {
  const pairs: Value[] = [];
  for (let k = 0; k < entries.length; k += 2) {
    const [low, high] = [entries[k] as Value, entries[k + 1]];
    pairs.push(high === undefined ? low : ops.fma(high, x, low));
  }
  const square = ops.mul(x, x);
  return pairs.reduceRight((sum, pair) => ops.fma(sum, square, pair));
}

/** Whether a number is in one of the intervals. */
export function isInside(intervals: Intervals, x: Value): Value {
  return ops.bitwiseAnd(ops.ge(x, 2 ** intervals.first), ops.lt(x, endOf(intervals)));
}
