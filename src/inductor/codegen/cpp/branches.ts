/**
 * Long computations of which a choice takes one: written inside of a branch, so that registers that need none of it skip it.
 *
 * A function of ranges is a `where` of two series, and both would be computed for every lane. What only one side of a choice uses goes behind a test
 * whether any lane takes that side. Values are the same; how long it takes depends on the data. Only for kernels that walk over nothing: elsewhere
 * values are kept and fetched by their places.
 */
import { int32 } from "../../../core/mod.ts";
import { primitive } from "../../../loops/mod.ts";
import { operandsOf } from "../../tile/parameters.ts";
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";

/** What a side costs at least, in additions, so that a test and a branch are worth it. */
const WORTH_A_BRANCH = 20;

type Pointwise = TileStatement & { readonly kind: "pointwise" };

/** What only one side of a choice needs, in order; none where it is not worth a branch. */
export interface Branch {
  readonly whenTrue: readonly TileStatement[];
  readonly whenFalse: readonly TileStatement[];
}

/** The branches of a kernel, by their choices, and all statements that stand in one. */
export interface BranchPlan {
  readonly branches: ReadonlyMap<TileStatement, Branch>;
  readonly inside: ReadonlySet<TileStatement>;
}

/** A plan without branches. */
export const NO_BRANCHES: BranchPlan = { branches: new Map(), inside: new Set() };

function isPure(s: TileStatement): s is TileStatement & { readonly out: TileValue } {
  return s.kind === "pointwise" || s.kind === "cast" || s.kind === "bitcast" || s.kind === "lookup";
}

/** An entry of a table is a permutation, of which a processor does one at a time, and often a load. */
const LOOKUP_COST = 3;

function costOf(statements: readonly TileStatement[]): number {
  const costs = statements.map((s) =>
    s.kind === "pointwise" ? primitive(s.op).cost : s.kind === "lookup" ? LOOKUP_COST : 1
  );
  return costs.reduce((a, b) => a + b, 0);
}

/** Plans for the statements of a kernel's body. */
export function planBranches(body: readonly TileStatement[]): BranchPlan {
  if (body.some((s) => s.kind === "for" || s.kind === "bind")) return NO_BRANCHES;
  const made = new Map<TileValue, TileStatement>();
  const users = new Map<TileValue, TileStatement[]>();
  const order = new Map<TileStatement, number>();
  body.forEach((s, at) => {
    order.set(s, at);
    if (isPure(s)) made.set(s.out, s);
    for (const v of new Set(operandsOf(s))) if (v !== null) users.set(v, [...users.get(v) ?? [], s]);
  });
  /** What nobody but operand `at` of a choice needs. */
  const only = (choice: Pointwise, at: number): TileStatement[] => {
    const side = choice.args[at];
    if (side === undefined || choice.args.filter((v) => v === side).length > 1) return [];
    const found = new Set<TileStatement>();
    const visit = (v: TileValue, isSide: boolean): void => {
      const s = made.get(v);
      if (s === undefined || found.has(s)) return;
      const own = users.get(v) ?? [];
      if (!own.every((user) => found.has(user) || (isSide && user === choice))) return;
      found.add(s);
      for (const operand of operandsOf(s)) if (operand !== null) visit(operand, false);
    };
    visit(side, true);
    return [...found].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  };
  const branches = new Map<TileStatement, Branch>();
  const inside = new Set<TileStatement>();
  for (const s of body) {
    if (s.kind !== "pointwise" || s.op !== "where" || !(s.out.dtype.isFloat || s.out.dtype === int32)) continue;
    // What stands in a branch already, of a choice before this one, stays there.
    const [whenTrue, whenFalse] = [1, 2].map((at) => {
      const found = only(s, at);
      return costOf(found) < WORTH_A_BRANCH ? [] : found.filter((own) => !inside.has(own));
    }) as [TileStatement[], TileStatement[]];
    if (whenTrue.length + whenFalse.length === 0) continue;
    branches.set(s, { whenTrue, whenFalse });
    for (const own of [...whenTrue, ...whenFalse]) inside.add(own);
  }
  return { branches, inside };
}
