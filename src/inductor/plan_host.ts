/**
 * Host planning: scheduled groups become a host plan: slots, arena offsets, launches in order, results.
 *
 * Leaves a plan in which every buffer that a launch touches in memory has one slot; values that only one kernel uses have none. What
 * the caller donated is written straight into its memory where that is safe. Mirrors the wrapper code generator of TorchInductor.
 */
import { expectDefined, InternalError, isStageEnabled } from "../core/mod.ts";
import { type BufferRef, extentOf, indirectPayload, symbolsOf } from "../loops/mod.ts";
import { type Expr, freeSymbols, mul, type Sym } from "../symbolic/mod.ts";
import { attentionLoads, attentionResults } from "./attention_parts.ts";
import { readBuffers, stepsOf } from "./dependencies.ts";
import { acceptDonations, type Donations, storedBuffers } from "./donations.ts";
import type { Group } from "./groups.ts";
import type { HostPlan, LaunchStep, PlanResult, Slot } from "./host_plan.ts";
import { inPlaceCandidates } from "./in_place.ts";
import type { Lowering } from "./lowering.ts";
import { indexExpressions, stageExpressions } from "./loop_space.ts";
import { type MemoryStep, planMemory } from "./memory_plan.ts";

/** Sizes on which an expression, or what a group computes, depends. */
function collectSizes(into: Set<Sym>, exprs: Iterable<Expr>): void {
  const visit = (e: Expr): void => {
    for (const sym of freeSymbols(e)) {
      if (sym.kind === "size" || sym.kind === "unbacked") into.add(sym);
      else if (sym.extent !== undefined) visit(sym.extent);
      if (sym.kind === "indirect") {
        for (const inner of symbolsOf([indirectPayload(sym).value])) if (inner.kind === "size") into.add(inner);
      }
    }
  };
  for (const e of exprs) visit(e);
}

/** Index expressions, extents and buffer sizes of a group. */
function groupExpressions(group: Group): Expr[] {
  switch (group.kind) {
    case "loops":
      return [...stageExpressions(group.stages), ...[...group.axes, ...group.reduceAxes].map(extentOf)];
    case "contraction":
      return [
        ...indexExpressions([group.a, group.b]),
        ...stageExpressions(group.epilogue),
        group.resultIndex,
        ...[...group.batch, ...group.m, ...group.n, ...group.k].map(extentOf),
      ];
    case "attention": {
      const vars = [...group.batch, group.m, group.n, group.d, group.e];
      const results = attentionResults(group).map(({ index }) => index);
      return [...indexExpressions(attentionLoads(group)), ...results, ...vars.map(extentOf)];
    }
    case "scan":
      return [
        ...indexExpressions(stepsOf(group).map((s) => s.value)),
        ...stepsOf(group).map((s) => s.index),
        ...group.axes.map(extentOf),
      ];
    case "host":
      return [...group.inputs, ...group.outputs].map((b) => b.numel);
    case "blocks":
      return [
        ...[...group.inputs, ...group.outputs].map((b) => b.numel),
        ...group.program.axes.map((axis) => axis.extent),
        ...group.program.parameters.flatMap((p) => [...p.shape, ...p.stride, p.offset]),
      ];
    case "foreach":
      return group.members.flatMap(groupExpressions);
    default:
      return group satisfies never;
  }
}

function resultExpressions(result: PlanResult): readonly Expr[] {
  switch (result.kind) {
    case "tensor":
      return [...result.shape, ...result.stride, result.offset];
    case "size":
      return [result.expr];
    case "constant":
      return [];
    default:
      return result satisfies never;
  }
}

/** When a buffer is touched in memory: positions of launches. */
interface Life {
  first: number;
  last: number;
}

function lifetimes(groups: readonly Group[]): Map<BufferRef, Life> {
  const lives = new Map<BufferRef, Life>();
  groups.forEach((group, at) => {
    for (const buffer of [...readBuffers(group), ...storedBuffers(group)]) {
      const life = lives.get(buffer);
      if (life === undefined) lives.set(buffer, { first: at, last: at });
      else life.last = at;
    }
  });
  return lives;
}

/** Options of {@linkcode planHost}. */
export interface HostPlanOptions {
  readonly donate?: Donations;
  /** Nothing of the caller's is written before everything that may fail has been looked at. Default false. */
  readonly checksFirst?: boolean;
}

/** Plans slots, memory and launches for scheduled groups. */
export function planHost(scheduled: readonly Group[], lowering: Lowering, options: HostPlanOptions = {}): HostPlan {
  const { groups, donated, filled } = acceptDonations(
    scheduled,
    lowering,
    options.donate ?? new Map(),
    options.checksFirst === true,
  );
  const external = new Set<BufferRef>();
  const slots: Slot[] = [];
  lowering.inputs.forEach((buffer, index) => {
    if (buffer === null) return;
    slots.push({ kind: "input", buffer, index });
    external.add(buffer);
  });
  lowering.attributes.forEach(({ path, buffer }, index) => {
    slots.push({ kind: "attribute", buffer, index, path });
    external.add(buffer);
  });
  for (const result of lowering.results) {
    if (result.kind !== "tensor" || external.has(result.buffer)) continue;
    const { buffer } = result;
    external.add(buffer);
    const old = donated.get(buffer);
    slots.push(
      old === undefined
        ? { kind: "output", buffer, bytes: mul(buffer.numel, buffer.dtype.bytes) }
        : { kind: "donated", buffer, of: old, isFilled: filled.has(buffer) },
    );
  }
  const lives = lifetimes(groups);
  const candidates = groups.map(inPlaceCandidates);
  const memory = planMemory(memorySteps(groups, lives, external, candidates), isStageEnabled("reuse"));
  for (const [buffer, { offset }] of memory.placements) {
    slots.push({ kind: "arena", buffer, offset, bytes: mul(buffer.numel, buffer.dtype.bytes) });
  }
  const steps = groups.map((group, at): LaunchStep => {
    const writes = storedBuffers(group);
    const aliases: [BufferRef, BufferRef][] = [];
    for (const written of writes) {
      const old = donated.get(written) ?? memory.reusedInPlace.get(written);
      const isRead = old !== undefined && (candidates[at]?.get(written)?.includes(old) ?? false);
      if (old !== undefined && isRead) aliases.push([written, old]);
    }
    return { kind: "launch", group, reads: readBuffers(group), writes, aliases };
  });
  const sizes = new Set<Sym>();
  collectSizes(sizes, groups.flatMap(groupExpressions));
  collectSizes(sizes, lowering.results.flatMap(resultExpressions));
  // Of inputs too: memory that kernels cannot read where it is has to be copied whole, though they may read one element of it.
  collectSizes(sizes, slots.map((s) => s.kind === "output" || s.kind === "arena" ? s.bytes : s.buffer.numel));
  return {
    sizes: [...sizes].sort((a, b) => a.id - b.id),
    slots,
    arenaBytes: memory.arenaBytes,
    steps,
    results: lowering.results,
  };
}

function memorySteps(
  groups: readonly Group[],
  lives: ReadonlyMap<BufferRef, Life>,
  external: ReadonlySet<BufferRef>,
  candidates: readonly ReadonlyMap<BufferRef, readonly BufferRef[]>[],
): MemoryStep[] {
  return groups.map((group, at): MemoryStep => {
    const writes = storedBuffers(group).filter((b) => !external.has(b));
    const touched = [...new Set([...readBuffers(group), ...writes])].filter((b) => !external.has(b));
    for (const buffer of touched) {
      if (!lives.has(buffer)) throw new InternalError(`host plan: ${buffer.label} has no lifetime`);
    }
    return {
      allocates: writes.filter((b) => lives.get(b)?.first === at),
      frees: touched.filter((b) => lives.get(b)?.last === at),
      inPlace: expectDefined(candidates[at], "in-place candidates"),
    };
  });
}
