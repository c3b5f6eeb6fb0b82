/**
 * Exponentials that a later walk along a row would compute again: where elements are taken one by one, they stay in registers.
 *
 * Enters: the parts of a kernel; leaves: the same parts, where a later pass reads what an earlier one has computed. Softmax of rows that make no vectors is bound by its
 * exponentials, of which a multiprocessor computes 16 a cycle.
 */
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";
import type { Part, Pass } from "./nests.ts";
import { isSame } from "./joined_passes.ts";
import { scalarType } from "./texts.ts";
import { operandsOf } from "./vectors.ts";

/** What one pass computes and another reads. */
export interface KeptExp {
  readonly from: Pass;
  readonly made: TileValue;
  readonly to: Pass;
  readonly read: TileValue;
}

/** Finds the first exponential that a later pass repeats, and takes it out there. */
export function keepExponential(
  parts: readonly Part[],
): { readonly parts: readonly Part[]; readonly kept: KeptExp | null } {
  const passes = parts.flatMap((part) => part.kind === "pass" ? [part.pass] : []);
  for (const from of passes) {
    for (const to of passes.slice(passes.indexOf(from) + 1)) {
      if (to.axes.length !== from.axes.length || to.axes.some((axis, i) => axis !== from.axes[i])) continue;
      for (const made of exponentials(from)) {
        const read = exponentials(to).find((v) => isSame(made, from.body, v, to.body));
        if (read === undefined) continue;
        const pass: Pass = { ...to, body: needed(to.body, read) };
        return {
          parts: parts.map((part) => part.kind === "pass" && part.pass === to ? { kind: "pass", pass } : part),
          kept: { from, made, to: pass, read },
        };
      }
    }
  }
  return { parts, kept: null };
}

function exponentials({ body }: Pass): TileValue[] {
  return body.flatMap((s) => s.kind === "pointwise" && s.op === "exp" ? [s.out] : []);
}

/** The statements without the one that makes `given`, and without what only that needs. */
function needed(body: readonly TileStatement[], given: TileValue): TileStatement[] {
  const used = new Set<TileValue>();
  const kept: TileStatement[] = [];
  for (const s of [...body].reverse()) {
    const hasEffect = !("out" in s) || s.kind === "accumulator" || s.kind === "accumulators";
    if (!hasEffect && (s.out === given || !used.has(s.out))) continue;
    for (const v of operandsOf(s)) if (v !== null) used.add(v);
    kept.push(s);
  }
  return kept.reverse();
}

/** What a pass is told of each lane. */
export interface LaneHooks {
  readonly before?: (lane: string) => void;
  readonly after?: (lane: string) => void;
  readonly outside?: readonly TileValue[];
}

/** What two say of each lane. */
export function joinHooks(first: LaneHooks, second: LaneHooks): LaneHooks {
  const outside = [...first.outside ?? [], ...second.outside ?? []];
  const both = (x: LaneHooks["before"], y: LaneHooks["before"]): LaneHooks["before"] =>
    x === undefined || y === undefined ? x ?? y : (lane) => {
      x(lane);
      y(lane);
    };
  const [before, after] = [both(first.before, second.before), both(first.after, second.after)];
  return {
    ...(outside.length > 0 ? { outside } : {}),
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
  };
}

/** Declares the registers, and says what the two passes do with them; `slot` is the place of the current run. */
export function exponentialHooks(
  f: CudaFunction,
  kept: KeptExp,
  count: number,
  lanes: number,
  slot: { readonly text: string },
): (pass: Pass) => LaneHooks {
  const name = f.scopes.fresh("e");
  f.scopes.line(`${scalarType(kept.made.dtype)} ${name}[${count * lanes}];`);
  const at = (u: string): string => `${name}[(${slot.text}) * ${lanes} + ${u}]`;
  return (pass) => {
    if (pass === kept.from) return { after: (u) => f.scopes.line(`${at(u)} = ${f.text(kept.made)};`) };
    if (pass === kept.to) return { outside: [kept.read], before: (u) => f.assign(kept.read, at(u)) };
    return {};
  };
}
