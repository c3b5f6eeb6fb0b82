/**
 * Pairs of walks that one walk can serve: the largest of some numbers, and the sum of exponentials of their distances to it.
 *
 * Along columns whole kernels are written anew (`panels.ts`). Here are pairs along rows, where nothing but the pair walks over them: a register holds
 * the largest numbers of its lanes so far and their sums, and lanes are combined at the end (`tsr_soft_row` of the prelude).
 */
import { float32, InternalError } from "../../../core/mod.ts";
import { coefficient, constantValue } from "../../../symbolic/mod.ts";
import type { KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CppFunction } from "./emit_kernel.ts";
import { Origins } from "./origins.ts";

/** Elements of a row from which on walking once is worth it. */
const LEAST_ELEMENTS = 512;
/** Elements that are fetched ahead. */
const AHEAD = 4096;

/** A loop of a kernel's body. */
export type Loop = TileStatement & { readonly kind: "for" };
type Accumulate = TileStatement & { readonly kind: "accumulate" };

/** Two walks and what they find: the largest `value`, and the sum of exponentials. */
export interface Pair {
  /** 1 where infinite extrema count as 0 in the exponentials. */
  readonly zero: 0 | 1;
  readonly first: Loop;
  readonly second: Loop;
  readonly value: TileValue;
  readonly accumulators: readonly [TileValue, TileValue];
}

/** Whether a statement does nothing but define a value. */
export function isPure(s: TileStatement): s is TileStatement & { readonly out: TileValue } {
  return s.kind === "constant" || s.kind === "load" || s.kind === "pointwise" || s.kind === "cast" ||
    s.kind === "bitcast" || s.kind === "lookup" || s.kind === "index";
}

/** The one accumulation of a walk that does nothing else; null for other walks. */
function onlyAccumulate(walk: Loop): Accumulate | null {
  const found = walk.body.filter((s): s is Accumulate => s.kind === "accumulate");
  const [only] = found;
  return only === undefined || found.length > 1 || !walk.body.every((s) => isPure(s) || s === only) ? null : only;
}

/** Two walks as a pair; null where they are none. */
export function findPair(origins: Origins, kernel: KernelBase, first: Loop, second: Loop): Pair | null {
  const [own, next] = [onlyAccumulate(first), onlyAccumulate(second)];
  if (own === null || next === null || own.op !== "max" || next.op !== "sum") return null;
  const term = origins.termOf(next.value);
  const finish = term === null ? undefined : origins.of(term.largest);
  if (term === null || finish?.kind !== "finish" || finish.accumulator !== own.accumulator) return null;
  if (origins.key(term.x) !== origins.key(own.value) || own.value.axes.length === 0) return null;
  const accumulators = [own.accumulator, next.accumulator] as const;
  if (accumulators.some((v) => v.dtype !== float32 || v.axes.length === 0)) return null;
  if (first.body.some((s) => s.kind === "load" && kernel.writes.includes(s.buffer))) return null;
  return { zero: term.isFinite ? 1 : 0, first, second, value: own.value, accumulators };
}

/** The pair along rows that is all that a kernel's body walks for; null where there is none. */
export function planRowPair(kernel: KernelBase, body: readonly TileStatement[], lanes: number): Pair | null {
  const [first, second, more] = body.filter((s): s is Loop => s.kind === "for");
  if (first === undefined || second === undefined || more !== undefined || first.axis !== second.axis) return null;
  const extent = constantValue(first.axis.extent);
  if (first.axis.block === 1 || lanes === 1 || extent === null || extent < LEAST_ELEMENTS || extent % lanes !== 0) {
    return null;
  }
  return first.split || second.split ? null : findPair(new Origins(body), kernel, first, second);
}

/** What is fetched ahead of a pair along rows. */
export function rowsAhead(pair: Pair): ReadonlyMap<TileValue, number> {
  const symbol = pair.first.axis.symbol;
  return new Map(pair.first.body.flatMap((s) => {
    const step = s.kind === "load" && s.mask === null ? coefficient(s.index, symbol) : null;
    return s.kind === "load" && step !== null && constantValue(step) === 1 ? [[s.out, AHEAD] as const] : [];
  }));
}

/** Writes both walks of a pair along a row; returns the texts of the two results. */
export function writeRowPair(f: CppFunction, pair: Pair): readonly [string, string] {
  const s = f.scopes, { axis, body } = pair.first;
  const [name, at, most, sum] = [s.fresh("f"), s.fresh("x"), s.fresh("a"), s.fresh("a")];
  const extent = constantValue(axis.extent);
  if (extent === null) throw new InternalError("a pair along rows needs a known extent");
  s.open(`auto ${name} = [&](long ${at}) __attribute__((always_inline)) -> vf32 {`, "};");
  f.inLanes(axis, at, null, () => {
    f.statements(body.filter((own) => own.kind !== "accumulate"));
    s.line(`return ${f.vector(pair.value)};`);
  });
  s.close();
  s.line(`float ${most}, ${sum};`);
  s.line(`tsr_soft_row<${pair.zero}>(${extent}, ${name}, ${most}, ${sum});`);
  return [most, sum];
}
