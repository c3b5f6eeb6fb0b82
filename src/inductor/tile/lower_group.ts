/**
 * From groups to kernels.
 *
 * {@linkcode lowerGroup} is the only way in. Each kind of group has its own file; a group that runs on the host has no kernel.
 */
import type { Group } from "../groups.ts";
import { lowerAttention } from "./lower_attention.ts";
import { lowerContraction } from "./lower_contraction.ts";
import { lowerLoops } from "./lower_loops.ts";
import { lowerScan } from "./lower_scan.ts";
import type { TileTarget } from "./target.ts";
import type { Kernel } from "./tile_ir.ts";

/**
 * The kernels that compute a group, in order of execution.
 *
 * @throws {InternalError} where the group breaks its invariants, for example by reading what it wrote at another index
 */
export function lowerGroup(group: Group, target: TileTarget): Kernel[] {
  switch (group.kind) {
    case "loops":
      return [lowerLoops(group, target)];
    case "contraction":
      return [lowerContraction(group, target)];
    case "attention":
      return [lowerAttention(group)];
    case "scan":
      return [lowerScan(group, target)];
    case "foreach":
      // Members are independent: an emitter may run them side by side, and equal ones share their code.
      return group.members.map((member) => lowerLoops(member, target));
    case "host":
      return [];
    default:
      return group satisfies never;
  }
}
