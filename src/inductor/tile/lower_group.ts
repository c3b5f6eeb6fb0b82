/**
 * From groups to kernels.
 *
 * {@linkcode lowerGroup} is the only way in. Each kind of group has its own file; a group that runs on the host has no kernel.
 */
import { expressionsOf, statementsOf } from "../../blocks/mod.ts";
import { freeSymbols, type Sym } from "../../symbolic/mod.ts";
import type { BlocksGroup, Group } from "../groups.ts";
import { lowerAttention } from "./lower_attention.ts";
import { lowerContraction } from "./lower_contraction.ts";
import { lowerLoops } from "./lower_loops.ts";
import { lowerScan } from "./lower_scan.ts";
import { commentOf } from "./parameters.ts";
import type { TileTarget } from "./target.ts";
import type { BlocksKernel, Kernel } from "./tile_ir.ts";

function blocksKernel(group: BlocksGroup): BlocksKernel {
  const { program, inputs, outputs } = group;
  const exprs = [
    ...program.axes.map((axis) => axis.extent),
    ...[...statementsOf(program.body)].flatMap(expressionsOf),
    ...program.parameters.flatMap((p) => [...p.shape, ...p.stride, p.offset]),
  ];
  const sizes = new Set<Sym>();
  for (const e of exprs) {
    for (const sym of freeSymbols(e)) if (sym.kind === "size" || sym.kind === "unbacked") sizes.add(sym);
  }
  return {
    kind: "blocks",
    name: program.name,
    reads: [...new Set(inputs)],
    writes: outputs,
    sizes: [...sizes].sort((a, b) => a.id - b.id),
    program,
    comment: commentOf(group),
  };
}

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
    case "blocks":
      return [blocksKernel(group)];
    default:
      return group satisfies never;
  }
}
