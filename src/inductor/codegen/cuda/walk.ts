/**
 * Loops that only read and accumulate, several steps at a time: all of these are on their way together, also those at the end.
 *
 * Enters: where a thread begins, ends, and how far its steps are; what a step does. Leaves the loop: steps beyond the end repeat the last position, and nothing of them is
 * accumulated (`CudaFunction.accumulateIf`). What a compiler makes of a loop that it unrolls ends in a loop of single steps, each of which waits for memory.
 */
import { PLAIN_KINDS, type TileStatement } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";

/** Steps at a time. */
const AT_ONCE = 8;

/** Where a thread walks: texts of its first position and the one behind the last, and the step between two. */
export interface Walk {
  readonly first: string;
  readonly end: string;
  readonly step: number;
  /** Steps of a thread at most, where that is known. */
  readonly count: number | null;
  /** Steps at a time; default 8. */
  readonly atOnce?: number;
}

/** Whether nothing happens in a step but that it reads, computes and accumulates. */
export function onlyAccumulates(body: readonly TileStatement[]): boolean {
  return body.every((s) =>
    PLAIN_KINDS.has(s.kind) || (s.kind === "accumulate" && s.op !== "argmax" && s.op !== "argmin")
  );
}

/** Writes the loop; `body` writes a step, given the text of its position. */
export function writeWalk(
  f: CudaFunction,
  { first, end, step, count, atOnce = AT_ONCE }: Walk,
  body: (at: string) => void,
): void {
  const s = f.scopes;
  const [q, r, at, inside] = [s.fresh("q"), s.fresh("r"), s.fresh("q"), s.fresh("i")];
  const together = Math.max(1, Math.min(atOnce, count ?? atOnce));
  s.open(`for (${f.index} ${q} = ${first}; ${q} < ${end}; ${q} += ${together * step}) {`);
  s.open(`#pragma unroll\nfor (int ${r} = 0; ${r} < ${together}; ${r}++) {`);
  s.line(`const bool ${inside} = ${q} + ${r} * ${step} < ${end};`);
  s.line(`const ${f.index} ${at} = ${inside} ? ${q} + ${r} * ${step} : ${end} - 1;`);
  f.accumulateIf = inside;
  body(at);
  f.accumulateIf = null;
  s.close();
  s.close();
}
