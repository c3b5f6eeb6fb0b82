/**
 * Conditions on data, which loops state as indices: 0 where they hold, else a number that no dimension has.
 *
 * As an index each lane would be checked and bound to a position. A condition is one test of a register, and what is reported is the same.
 */
import { constantValue } from "../../../symbolic/mod.ts";
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CppValues } from "./values.ts";

type Bind = TileStatement & { readonly kind: "bind" };

/** What has to hold, and the index that says that it does not. */
export interface Condition {
  readonly holds: TileValue;
  readonly broken: number;
}

/** The condition that an index states; null where it is an index. `made` is how its value came about. */
export function conditionOf(
  bind: Bind,
  made: (TileStatement & { readonly kind: "pointwise" }) | undefined,
  constants: ReadonlyMap<TileValue, number | bigint>,
): Condition | null {
  const size = constantValue(bind.size);
  if (made?.op !== "where" || size === null) return null;
  const [holds, zero, other] = made.args;
  if (holds === undefined || zero === undefined || other === undefined) return null;
  const broken = Number(constants.get(other) ?? 0);
  return constants.get(zero) === 0 && Math.abs(broken) > size ? { holds, broken } : null;
}

/** Writes the test of a condition, of the lanes in use where `mask` holds. */
export function writeCondition(f: CppValues, c: Condition, mask: TileValue | null, size: string, level: number): void {
  for (let u = 0; u < f.parts; u++) {
    const own = f.operand(c.holds, true, "mask", u);
    const counts = mask !== null ? f.operand(mask, true, "mask", u) : f.rest === null ? null : "tsr_mask(1)";
    const all = counts === null ? own : `(${own} | ~${f.inRest(counts)})`;
    f.scopes.line(`tsr_require(vall(${all}), ${c.broken}l, ${size});`, level);
  }
}
