/**
 * Checks groups and host plans.
 *
 * Groups: values and indices use the group's axes only; stages are in the order of passes; what the group wrote is read at the very element of
 * the same iteration, after it was written, and across passes only from memory; outer stages depend on outer axes only; members of a foreach
 * do not read each other. Plans: every touched buffer has one slot; results are in slots that outlive the call; arena slots that are alive
 * together do not overlap unless the launch says so. Throws `VerifyError` naming the group and the rule.
 */
import { verifyBlockProgram } from "../blocks/mod.ts";
import { float32, VerifyError } from "../core/mod.ts";
import { type BufferRef, type LoopVar, verifyIndex, verifyValues } from "../loops/mod.ts";
import { add, coefficient, evaluate, type Expr, freeSymbols, provablyLe, type Sym } from "../symbolic/mod.ts";
import { attentionParts, attentionResults } from "./attention_parts.ts";
import { readBuffers, readsOf, stepsOf, targetValues, writtenBuffers } from "./dependencies.ts";
import type { AttentionGroup, ContractionGroup, Group, LoopGroup, ScanGroup, Stage } from "./groups.ts";
import type { HostPlan, Slot } from "./host_plan.ts";
import { alignedBytes } from "./memory_plan.ts";
import { groupName, groupToText, planToText } from "./print.ts";
import { crossProblem } from "./cross.ts";
import { stageRanks } from "./stage_order.ts";

function fail(group: Group, rule: string): never {
  throw new VerifyError(`group ${groupName(group)}: ${rule}\n${groupToText(group)}`);
}

/** Checks one group. `settled` also demands what holds after scheduling: pass order, and no kept value read across passes. */
export function verifyGroup(group: Group, settled = true): void {
  for (const b of group.stored) {
    if (!writtenBuffers(group).includes(b)) fail(group, `${b.label} is stored but not written`);
  }
  switch (group.kind) {
    case "loops":
      return verifyLoops(group, settled);
    case "contraction":
      return verifyContraction(group);
    case "attention":
      return verifyAttention(group);
    case "scan":
      if (!group.axes.includes(group.scanAxis)) fail(group, "the scanned axis is no axis");
      return verifySteps(group);
    case "host":
      return;
    case "blocks":
      return verifyBlockProgram(group.program);
    case "foreach": {
      const written = new Set(group.members.flatMap(writtenBuffers));
      for (const m of group.members) {
        verifyLoops(m, settled);
        for (const b of readBuffers(m)) {
          if (written.has(b)) fail(group, `a member reads ${b.label}, which another writes`);
        }
      }
      return;
    }
    default:
      group satisfies never;
  }
}

function verifySteps(group: ScanGroup): void {
  const steps = stepsOf(group);
  const written = new Map<BufferRef, Expr>();
  const everWritten = new Set(steps.map((s) => s.out));
  for (const { out, index, value } of steps) {
    verifyIndex(groupName(group), index, new Set(group.axes));
    verifyValues(groupName(group), [value], new Set(group.axes));
    for (const read of readsOf([value])) {
      if (everWritten.has(read.buffer) && written.get(read.buffer) !== read.index) {
        fail(group, `${read.buffer.label} is read at another element, or before it is written`);
      }
    }
    written.set(out, index);
  }
}

function verifyStageOperands(group: Group, stage: Stage, axes: readonly LoopVar[], inner: readonly LoopVar[]): void {
  const isOuter = stage.kind !== "reduction" && stage.space === "outer";
  const all = new Set<LoopVar>(isOuter ? axes : [...axes, ...inner]);
  const where = `group ${groupName(group)}`;
  verifyValues(where, [stage.value, ...targetValues(stage.index)], all);
  verifyIndex(where, stage.index, stage.kind === "reduction" ? new Set(axes) : all);
}

function verifyLoops(group: LoopGroup, settled: boolean): void {
  if (group.stages.length === 0) fail(group, "it has no stages");
  const problem = crossProblem(group.stages);
  if (problem !== null) fail(group, problem);
  const ranks = stageRanks(group.stages);
  const written = new Map<BufferRef, { at: number; index: Expr; stage: Stage }[]>();
  const everWritten = new Set(group.stages.map((s) => s.out));
  group.stages.forEach((stage, at) => {
    verifyStageOperands(group, stage, group.axes, group.reduceAxes);
    if (stage.kind === "reduction" && group.reduceAxes.length === 0) fail(group, "a reduction without reduced axes");
    if (settled && at > 0 && (ranks[at] ?? 0) < (ranks[at - 1] ?? 0)) {
      fail(group, "stages are not in the order of passes");
    }
    for (const read of readsOf([stage.value, ...targetValues(stage.index)])) {
      if (!everWritten.has(read.buffer)) continue;
      const writer = written.get(read.buffer)?.find((w) => w.index === read.index);
      if (writer === undefined) fail(group, `${read.buffer.label} is read at another element, or before it is written`);
      const isInnerValue = writer.stage.kind === "pointwise" && writer.stage.space === "inner";
      if (settled && isInnerValue && ranks[writer.at] !== ranks[at] && !group.stored.has(read.buffer)) {
        fail(group, `${read.buffer.label} is kept in registers but read in a later pass`);
      }
    }
    const list = written.get(stage.out) ?? [];
    list.push({ at, index: stage.index, stage });
    written.set(stage.out, list);
  });
}

function verifyContraction(group: ContractionGroup): void {
  const where = `group ${groupName(group)}`;
  const out = [...group.batch, ...group.m, ...group.n];
  verifyValues(`${where}: first operand`, [group.a], new Set([...group.batch, ...group.m, ...group.k]));
  verifyValues(`${where}: second operand`, [group.b], new Set([...group.batch, ...group.n, ...group.k]));
  verifyIndex(where, group.resultIndex, new Set(out));
  const written = new Map<BufferRef, Expr>([[group.result, group.resultIndex]]);
  const operands = new Set(readsOf([group.a, group.b]).map((r) => r.buffer));
  for (const stage of group.epilogue) {
    verifyStageOperands(group, stage, out, []);
    for (const read of readsOf([stage.value])) {
      const index = written.get(read.buffer);
      if (index !== undefined && index !== read.index) fail(group, `${read.buffer.label} is read at another element`);
    }
    if (operands.has(stage.out)) fail(group, `${stage.out.label} is an operand and written`);
    written.set(stage.out, stage.index);
  }
}

function verifyAttention(group: AttentionGroup): void {
  const results = attentionResults(group);
  for (const { name, load, axes } of attentionParts(group)) {
    const where = `group ${groupName(group)}: ${name}`;
    verifyValues(where, [load], new Set([...group.batch, ...axes]));
    for (const v of axes) {
      const stride = coefficient(load.index, v);
      if (stride === null || [...freeSymbols(stride)].some((sym) => sym.kind === "index")) {
        fail(group, `the index of the ${name} is not affine`);
      }
    }
    if (results.some(({ out }) => out === load.buffer)) fail(group, `the ${name} is where a result goes`);
    const wanted = name === "lse" || name === "delta" ? float32 : group.out.dtype;
    if (name !== "mask" && load.dtype !== wanted) fail(group, `the ${name} is ${load.dtype.name}`);
  }
  const isGradient = group.role !== "forward";
  for (const name of ["grad", "lse", "delta"] as const) {
    if ((group[name] !== null) !== isGradient) fail(group, `${group.role} ${isGradient ? "needs" : "has"} ${name}`);
  }
  if (group.role === "query" && group.second !== null) fail(group, "the query's gradient is one result");
  if (group.role === "keys" && group.second === null) fail(group, "the value's gradient has no place");
  for (const { index, axes } of results) verifyIndex(groupName(group), index, new Set([...group.batch, ...axes]));
}

/** Checks a host plan and its groups. */
export function verifyPlan(plan: HostPlan): void {
  const planFail = (rule: string): never => {
    throw new VerifyError(`host plan: ${rule}\n${planToText(plan)}`);
  };
  const slots = new Map<BufferRef, Slot>();
  for (const slot of plan.slots) {
    if (slots.has(slot.buffer)) planFail(`${slot.buffer.label} has two slots`);
    slots.set(slot.buffer, slot);
  }
  for (const slot of plan.slots) {
    const of = slot.kind === "donated" ? slots.get(slot.of)?.kind : "input";
    if (of !== "input" && of !== "attribute") planFail(`${slot.buffer.label} is donated memory that is no input`);
  }
  const defined = new Set<BufferRef>();
  for (const slot of plan.slots) {
    const isThere = slot.kind === "input" || slot.kind === "attribute" || (slot.kind === "donated" && slot.isFilled);
    if (isThere) defined.add(slot.buffer);
  }
  for (const step of plan.steps) {
    verifyGroup(step.group);
    for (const b of [...step.reads, ...step.writes]) if (!slots.has(b)) planFail(`${b.label} has no slot`);
    for (const b of step.reads) if (!defined.has(b)) planFail(`${b.label} is read before it is written`);
    for (const b of step.writes) {
      const kind = slots.get(b)?.kind;
      if (kind === "input" || kind === "attribute") planFail(`${b.label} is an input but written`);
      defined.add(b);
    }
  }
  for (const r of plan.results) {
    if (r.kind !== "tensor") continue;
    const kind = slots.get(r.buffer)?.kind;
    if (kind === undefined || kind === "arena") planFail(`the result ${r.buffer.label} would not outlive the call`);
    if (!defined.has(r.buffer)) planFail(`the result ${r.buffer.label} is never written`);
  }
  verifyArena(plan, slots, planFail);
}

type ArenaSlot = Slot & { readonly kind: "arena" };

/** Values of the symbols for what no proof decides: many sizes, small and large, round and odd, under which no buffer has fewer than 0 elements. */
function trialSizes(plan: HostPlan): Map<Sym, number>[] {
  const sizes = plan.slots.map((slot) => slot.buffer.numel).filter((e) => e.kind !== "const");
  const symbols = [...new Set(sizes.flatMap((e) => [...freeSymbols(e)]))];
  const out: Map<Sym, number>[] = [];
  for (let round = 0; round < 64; round++) {
    const values = new Map(symbols.map((s, i) => {
      const step = (round * 7919 + i * 104729 + round * i * 31) % 1021;
      return [s, Math.max(s.lower, Math.min(s.upper, s.lower + (round % 4 === 0 ? step % 5 : step)))] as const;
    }));
    if (sizes.every((e) => evaluate(e, (s) => values.get(s) ?? 0) >= 0)) out.push(values);
  }
  return out;
}

function overlapForSomeSizes(
  [a, x]: readonly [ArenaSlot, BufferRef],
  [b, y]: readonly [ArenaSlot, BufferRef],
  trials: readonly ReadonlyMap<Sym, number>[],
): boolean {
  const ends = [add(a.offset, alignedBytes(x)), add(b.offset, alignedBytes(y))] as const;
  return trials.some((values) => {
    const at = (e: Expr): number => evaluate(e, (s) => values.get(s) ?? 0);
    return at(ends[0]) > at(b.offset) && at(ends[1]) > at(a.offset);
  });
}

/** Buffers alive at the same time must not overlap, but for pairs that their launch declares. */
function verifyArena(plan: HostPlan, slots: ReadonlyMap<BufferRef, Slot>, planFail: (rule: string) => never): void {
  const last = new Map<BufferRef, number>();
  plan.steps.forEach((step, at) => {
    for (const b of [...step.reads, ...step.writes]) last.set(b, at);
  });
  const alive = new Set<BufferRef>();
  let trials: Map<Sym, number>[] | null = null;
  plan.steps.forEach((step, at) => {
    for (const b of step.writes) {
      const slot = slots.get(b);
      if (slot?.kind !== "arena" || alive.has(b)) continue;
      for (const other of alive) {
        const place = slots.get(other);
        if (place?.kind !== "arena") continue;
        // With the padding that the plan reserves: multiples of the alignment compare where sizes in elements need not.
        const isApart = provablyLe(add(slot.offset, alignedBytes(b)), place.offset) ||
          provablyLe(add(place.offset, alignedBytes(other)), slot.offset);
        const isDeclared = step.aliases.some(([w, r]) => w === b && r === other) && last.get(other) === at;
        if (!isApart && !isDeclared && overlapForSomeSizes([slot, b], [place, other], trials ??= trialSizes(plan))) {
          planFail(`${b.label} and ${other.label} overlap while both are needed`);
        }
      }
      alive.add(b);
    }
    for (const b of [...step.reads, ...step.writes]) if (last.get(b) === at) alive.delete(b);
  });
}
