/**
 * Host planning: scheduled groups become a host plan: slots, arena offsets, launches in order, results.
 *
 * Leaves a plan in which every buffer that a launch touches in memory has one slot; values that only one kernel uses have none. What
 * the caller donated is written straight into its memory where every read of the old value comes before, or at the same element in the
 * same kernel. Mirrors the wrapper code generator of TorchInductor.
 */
import { expectDefined, InternalError, isStageEnabled } from "../core/mod.ts";
import { type BufferRef, extentOf, indirectPayload, symbolsOf } from "../loops/mod.ts";
import { constant, type Expr, freeSymbols, mul, type Sym } from "../symbolic/mod.ts";
import { readBuffers, writtenBuffers } from "./dependencies.ts";
import type { Group } from "./groups.ts";
import type { HostPlan, LaunchStep, PlanResult, Slot } from "./host_plan.ts";
import { inPlaceCandidates } from "./in_place.ts";
import type { Lowering } from "./lowering.ts";
import { indexExpressions, stageExpressions } from "./loop_space.ts";
import { isConst } from "./lowered.ts";
import { type MemoryStep, planMemory } from "./memory_plan.ts";

/** Which memory a donated result may be written into. */
export type DonationTarget =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "attribute"; readonly index: number };

/** Results (by position) and the memory that they may be written into, because nobody needs its old contents after the call. */
export type Donations = ReadonlyMap<number, DonationTarget>;

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
      const operands = [group.query, group.key, group.value, ...(group.mask === null ? [] : [group.mask])];
      const vars = [...group.batch, group.m, group.n, group.d, group.e];
      return [...indexExpressions(operands), group.index, ...vars.map(extentOf)];
    }
    case "scan":
      return [...indexExpressions([group.value]), group.index, ...group.axes.map(extentOf)];
    case "host":
      return [...group.inputs, ...group.outputs].map((b) => b.numel);
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

/** Buffers that a group writes to memory. */
export function storedBuffers(group: Group): BufferRef[] {
  return writtenBuffers(group).filter((b) => group.stored.has(b));
}

/** Decides which donated results are written straight into the memory they replace. */
function acceptDonations(groups: readonly Group[], lowering: Lowering, donate: Donations): Map<BufferRef, BufferRef> {
  const accepted = new Map<BufferRef, BufferRef>();
  if (donate.size === 0) return accepted;
  const uses = new Map<BufferRef, number>();
  for (const r of lowering.results) if (r.kind === "tensor") uses.set(r.buffer, (uses.get(r.buffer) ?? 0) + 1);
  const touches = new Map<BufferRef, { reads: number[]; writes: number[] }>();
  groups.forEach((group, at) => {
    const entry = (b: BufferRef): { reads: number[]; writes: number[] } => {
      let found = touches.get(b);
      if (found === undefined) touches.set(b, found = { reads: [], writes: [] });
      return found;
    };
    for (const b of readBuffers(group)) entry(b).reads.push(at);
    for (const b of storedBuffers(group)) entry(b).writes.push(at);
  });
  const taken = new Set<BufferRef>();
  for (const [at, target] of donate) {
    const result = lowering.results[at];
    if (result?.kind !== "tensor") continue;
    const layout = target.kind === "input"
      ? lowering.inputLayouts[target.index]
      : lowering.attributeLayouts[target.index];
    if (layout === undefined || layout === null || taken.has(layout.buffer) || uses.has(layout.buffer)) continue;
    if (uses.get(result.buffer) !== 1 || accepted.has(result.buffer)) continue;
    const { buffer: old } = layout;
    const fits = old.dtype === result.buffer.dtype && old.numel === result.buffer.numel &&
      layout.layout.offset === result.offset && layout.layout.stride.length === result.stride.length &&
      layout.layout.stride.every((s, d) => s === result.stride[d] || isConst(layout.layout.shape[d] ?? constant(0), 1));
    const writes = touches.get(result.buffer)?.writes ?? [];
    const writer = writes[0];
    if (!fits || writer === undefined || writes.length !== 1) continue;
    const reads = touches.get(old)?.reads ?? [];
    const group = groups[writer];
    if (group === undefined || reads.some((r) => r > writer)) continue;
    const isSafe = !reads.includes(writer) || inPlaceCandidates(group).get(result.buffer)?.includes(old) === true;
    if (!isSafe) continue;
    taken.add(old);
    accepted.set(result.buffer, old);
  }
  return accepted;
}

/** Options of {@linkcode planHost}. */
export interface HostPlanOptions {
  readonly donate?: Donations;
}

/** Plans slots, memory and launches for scheduled groups. */
export function planHost(groups: readonly Group[], lowering: Lowering, options: HostPlanOptions = {}): HostPlan {
  const donated = acceptDonations(groups, lowering, options.donate ?? new Map());
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
        : { kind: "donated", buffer, of: old },
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
  collectSizes(sizes, slots.flatMap((s) => s.kind === "output" || s.kind === "arena" ? [s.bytes] : []));
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
