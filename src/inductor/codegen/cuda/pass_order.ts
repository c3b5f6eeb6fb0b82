/**
 * The order of the reduced axes of a kernel's pass: what is contiguous in memory becomes innermost, where neighbouring threads stand.
 *
 * Enters: the parts of a kernel. A sum over (channels, window) of weights that lie with channels innermost steps through memory in the order that its operator named otherwise.
 * Leaves: the same parts, or those of a single pass that only combines what it reads, with its axes in another order: the result changes by rounding alone. Whatever knows
 * positions keeps its order.
 */
import { vectorScore } from "../../tile/axes.ts";
import { PLAIN_KINDS, type TileReduceOp, type TileStatement } from "../../tile/tile_ir.ts";
import { accessesIn, accumulatorsOf, type Part, type Pass } from "./nests.ts";

/** The first of equal elements would be another one. */
const POSITIONAL: ReadonlySet<TileReduceOp> = new Set(["argmax", "argmin"]);
/** How much better an axis must be. */
const MARGIN = 0.2;

/** What does not depend on the order of positions but by rounding. */
function isFree({ kind }: TileStatement): boolean {
  return PLAIN_KINDS.has(kind) || kind === "accumulate" || kind === "dot";
}

function inBestOrder(pass: Pass): Pass {
  const { axes, body } = pass;
  const last = axes.at(-1);
  if (axes.length < 2 || last === undefined || !body.every(isFree)) return pass;
  if ([...accumulatorsOf(pass).values()].some((op) => POSITIONAL.has(op))) return pass;
  const accesses = accessesIn(body);
  let best = last;
  let score = vectorScore(accesses, last.symbol) + MARGIN;
  for (const axis of axes) {
    const own = vectorScore(accesses, axis.symbol);
    if (own <= score) continue;
    best = axis;
    score = own;
  }
  return best === last ? pass : { axes: [...axes.filter((axis) => axis !== best), best], body };
}

/** The parts with the axes of their pass in the best order; several passes stay as they are, for they may share what they read. */
export function orderPass(parts: readonly Part[]): readonly Part[] {
  if (parts.filter(({ kind }) => kind === "pass").length !== 1) return parts;
  return parts.map((part) => part.kind === "pass" ? { kind: "pass", pass: inBestOrder(part.pass) } : part);
}
