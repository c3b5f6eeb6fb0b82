/**
 * Texts of types, neutral elements and combinations, on scalars, and whether indices fit 32 bits.
 */
import type { DType } from "../../../core/mod.ts";
import type { CombineOp } from "../../../loops/mod.ts";
import type { Expr } from "../../../symbolic/mod.ts";
import { statementExprs, walkStatements } from "../../tile/parameters.ts";
import type { Axis, KernelBase, TileReduceOp, TileStatement } from "../../tile/tile_ir.ts";
import { combineText, laneOf, neutral, typeText } from "../cpp/types.ts";

/** The type in which values of a dtype are computed. */
export function scalarType(dtype: DType): string {
  return typeText(laneOf(dtype, false), false);
}

/** The neutral element of a reduction as text. */
export function neutralText(op: TileReduceOp, dtype: DType): string {
  return neutral(op, laneOf(dtype, false));
}

/** A combination as a lambda's text. */
export function combineLambda(op: Exclude<TileReduceOp, "argmax" | "argmin"> | CombineOp, dtype: DType): string {
  const type = scalarType(dtype);
  return `[](${type} x, ${type} y) { return ${combineText(op, "x", "y", dtype, laneOf(dtype, false), false)}; }`;
}

/** Whether a reduction carries positions. */
export function isArg(op: TileReduceOp): op is "argmax" | "argmin" {
  return op === "argmax" || op === "argmin";
}

/** Whether every index of a kernel is known to fit 32 bits. */
export function fitsInt(
  kernel: KernelBase,
  bodies: readonly (readonly TileStatement[])[],
  axes: readonly Axis[],
): boolean {
  const fits = (e: Expr): boolean => e.upper < 2 ** 31 - 2 ** 16 && e.lower > -(2 ** 31);
  for (const b of [...kernel.reads, ...kernel.writes]) if (!fits(b.numel)) return false;
  let total = 1;
  for (const axis of axes) total *= axis.extent.upper;
  if (!(total < 2 ** 31 - 2 ** 20)) return false;
  let all = true;
  for (const body of bodies) {
    walkStatements(body, (s) => {
      for (const e of statementExprs(s)) if (!fits(e)) all = false;
    });
  }
  return all;
}

/** Stores one element, where a condition holds if there is one. */
export function storeText(pointer: string, index: string, value: string, whether: string | null): string {
  return `${whether === null ? "" : `if (${whether}) `}tsr_put(${pointer} + ${index}, ${value});`;
}

/** Stores a run of elements from an array, where a condition holds if there is one, but without a branch. */
export function vectorStoreText(lanes: number, to: string, from: string, whether: string | null): string {
  return whether === null
    ? `tsr_store<${lanes}>(${to}, ${from});`
    : `tsr_store_if<${lanes}>(${to}, ${from}, ${whether});`;
}

/** What a kernel calls the size of that number: no name that templates give to positions of their own. */
export function sizeName(i: number): string {
  return `size${i}`;
}

/** `text` where a condition holds, if there is one; `other` elsewhere. */
export function onlyIf(condition: string | null, text: string, other: string): string {
  return condition === null ? text : `${condition} ? ${text} : ${other}`;
}
