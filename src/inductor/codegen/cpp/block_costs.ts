/**
 * What block programs cost on a processor: elements of blocks, and a rough time of an instance, by which work is dealt to threads.
 */
import type { BlockAxis, BlockStatement } from "../../../blocks/mod.ts";
import { primitive } from "../../../loops/mod.ts";
import { add, ceilDiv, constant, type Expr, mul } from "../../../symbolic/mod.ts";

/** Elements of all axes' blocks. */
export function countOf(axes: readonly BlockAxis[]): number {
  return axes.reduce((n, axis) => n * axis.block, 1);
}

/** A rough count of picoseconds of an instance: each element of each statement, loops by their extents. */
export function picoseconds(body: readonly BlockStatement[], lanes: number): Expr {
  let total: Expr = constant(0);
  const plus = (e: Expr | number): void => {
    total = add(total, e);
  };
  for (const s of body) {
    if (s.kind === "for") plus(mul(ceilDiv(s.axis.extent, s.axis.block), picoseconds(s.body, lanes)));
    else if (s.kind === "dot") plus(Math.ceil(countOf(s.out.axes) * s.contract.block * 200 / lanes));
    else if ("out" in s) {
      const cost = s.kind === "pointwise" ? primitive(s.op).cost : s.kind === "load" ? 4 : 1;
      plus(Math.ceil(countOf(s.out.axes) * cost * 200 / lanes));
    } else plus(Math.ceil(countOf(s.value.axes) * 800 / lanes));
  }
  return total;
}
