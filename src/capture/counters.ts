/**
 * Counters: numbers outside of the function that it only adds to, as `calls++` and `this.total += 2`.
 *
 * What a call adds does not depend on what was there, so the trace keeps the additions and checks no more than that it is a number: one graph serves all counts, and
 * each call adds to what it finds. As soon as the function looks at the number it is settled: the trace relies on its value then, as on any other.
 */
import type { ProxyRecord } from "./objects.ts";
import type { Source } from "./source.ts";

/** Additions to the number at a source. */
export class Count {
  readonly source: Source;
  /** In order: sums of floating point numbers depend on it. */
  readonly terms: number[];
  readonly #start: number;

  constructor(source: Source, start: number, first: number) {
    this.source = source;
    this.terms = [first];
    this.#start = start;
    source.check({ kind: "number" });
  }

  /** The number now; from here on the trace relies on it. */
  settle(): number {
    this.source.check({ kind: "identical", value: this.#start });
    return addAll(this.#start, this.terms);
  }
}

/** A number with all terms added, one by one. */
export function addAll(start: number, terms: readonly number[]): number {
  return terms.reduce((sum, term) => sum + term, start);
}

/** Whether the value at a source is a number that the trace has not looked at. */
export function isUnseenNumber(value: unknown, source: Source): value is number {
  return typeof value === "number" && !source.checks.some((c) => c.kind === "identical");
}

/** Adds to a member that stands under `key` in what the trace wrote; false if it is no counter. `real` is what the object holds. */
export function addToMember(
  { overlay }: ProxyRecord,
  key: string | symbol,
  real: unknown,
  source: Source,
  amount: number,
): boolean {
  const before = overlay.get(key);
  if (before instanceof Count) before.terms.push(amount);
  else if (overlay.has(key) || !isUnseenNumber(real, source)) return false;
  else overlay.set(key, new Count(source, real, amount));
  return true;
}

/** What the trace wrote under `key`, for somebody who looks at it. */
export function writtenValue({ overlay }: ProxyRecord, key: string | symbol): unknown {
  const value = overlay.get(key);
  if (!(value instanceof Count)) return value;
  const sum = value.settle();
  overlay.set(key, sum);
  return sum;
}
