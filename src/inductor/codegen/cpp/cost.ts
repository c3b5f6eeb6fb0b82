/**
 * How long an iteration of a kernel takes: decides how finely workers share it, and whether at all.
 *
 * In picoseconds, as an expression over sizes: a dispatch costs some microseconds, so a piece of work should be about twenty.
 */
import { primitive } from "../../../loops/mod.ts";
import { add, ceilDiv, constant, type Expr, mul } from "../../../symbolic/mod.ts";
import type { TileStatement } from "../../tile/tile_ir.ts";

/** Picoseconds of work that one piece should have. */
export const PIECE_PICOSECONDS = 20_000_000;

/** What statements cost once, in picoseconds. */
export function costOf(body: readonly TileStatement[], lanes: number): Expr {
  let fixed = 0;
  let loops: Expr = constant(0);
  const parts = (axes: readonly { readonly block: number }[]): number =>
    Math.max(1, ...axes.map((axis) => axis.block / lanes));
  for (const s of body) {
    switch (s.kind) {
      case "constant":
      case "index":
      case "accumulator":
      case "accumulators":
        break;
      case "bind":
        fixed += 1000 * parts(s.value.axes);
        break;
      case "load":
        fixed += 400 * parts(s.out.axes);
        break;
      case "store":
      case "combine":
        fixed += 500 * parts(s.value.axes);
        break;
      case "pointwise":
        fixed += 150 * primitive(s.op).cost * parts(s.out.axes);
        break;
      case "cast":
      case "bitcast":
      case "lookup":
        fixed += 150 * parts(s.out.axes);
        break;
      case "philox":
        fixed += 15000 * parts(s.out.axes);
        break;
      case "accumulate":
      case "dot":
        fixed += 300 * parts(s.accumulator.axes);
        break;
      case "accumulateAt":
        fixed += 900 * parts(s.value.axes);
        break;
      case "finishAt":
        fixed += 400 * parts(s.out.axes);
        break;
      case "finish":
        fixed += 3000;
        break;
      case "for":
        loops = add(loops, mul(ceilDiv(s.axis.extent, s.axis.block), costOf(s.body, lanes)));
        break;
      default:
        s satisfies never;
    }
  }
  return add(loops, Math.max(200, fixed));
}
