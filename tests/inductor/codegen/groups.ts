/** How tests write groups of loops: over axes, with positions in contiguous buffers. */
import type { LoopGroup, Stage } from "../../../src/inductor/groups.ts";
import { type BufferRef, extentOf } from "../../../src/loops/mod.ts";
import { add, constant, type Expr, mul, type Sym, symbol } from "../../../src/symbolic/mod.ts";
import { base, type Numbers } from "./harness.ts";

/** A group of stages over axes. */
export function loops(axes: Sym[], reduceAxes: Sym[], stages: Stage[], stored: BufferRef[]): LoopGroup {
  return { kind: "loops", axes, reduceAxes, stages, ...base(stored) };
}

/** The position of a point in a contiguous buffer over the given axes. */
export function flat(vars: readonly Sym[]): Expr {
  let e: Expr = constant(0);
  for (const v of vars) e = add(mul(e, extentOf(v)), symbol(v));
  return e;
}

/** So many zeros, for a result. */
export function zeros(n: number): Numbers {
  return new Array(n).fill(0);
}
