/**
 * What groups read and write: (buffer, index, symbols), the basis of order, legality, profit, memory and metrics.
 *
 * An access names the symbols that its index varies over, those behind gathers too. Everything is found by walking values, once a
 * group; questions between groups go through tables by buffer, never over all pairs. Mirrors `MemoryDep`, `StarDep` and
 * `ReadWrites` of TorchInductor.
 */
import { statementsOf } from "../blocks/mod.ts";
import {
  type BufferRef,
  extentOf,
  foldValue,
  indirectPayload,
  type LoopVar,
  symbolsOf,
  type Value,
} from "../loops/mod.ts";
import { constant, type Expr, freeSymbols, mul, type Sym } from "../symbolic/mod.ts";
import { attentionLoads, attentionResults } from "./attention_parts.ts";
import type { Group, ScanGroup, ScanStep, Stage } from "./groups.ts";

/** One place in a group that touches memory. */
export interface Access {
  readonly buffer: BufferRef;
  /** Flat element index; null where all of the buffer is touched in an order of its own (host operators). */
  readonly index: Expr | null;
  /** Loop symbols that the index varies over. */
  readonly vars: readonly LoopVar[];
  /** The index comes out of memory. */
  readonly indirect: boolean;
}

/** Memory that a group touches. Reads of what the group itself wrote at the same iteration are not among the reads. */
export interface Accesses {
  readonly reads: readonly Access[];
  readonly writes: readonly Access[];
}

/** The symbols that an index varies over, through gathers too. */
function indexVars(index: Expr): { readonly vars: LoopVar[]; readonly indirect: boolean } {
  const vars = new Set<LoopVar>();
  let indirect = false;
  const add = (sym: Sym): void => {
    if (sym.kind === "index") vars.add(sym);
  };
  for (const sym of freeSymbols(index)) {
    if (sym.kind === "indirect") {
      indirect = true;
      for (const inner of symbolsOf([indirectPayload(sym).value])) add(inner);
    } else add(sym);
  }
  return { vars: [...vars], indirect };
}

function access(buffer: BufferRef, index: Expr): Access {
  return { buffer, index, ...indexVars(index) };
}

/** Loads below the values, each distinct (buffer, index) once. */
export function readsOf(values: readonly Value[]): Access[] {
  const out: Access[] = [];
  foldValue(values, (v) => {
    if (v.kind === "load") out.push(access(v.buffer, v.index));
    return null;
  });
  return out;
}

/** Values behind the gathers of a scatter's target. */
export function targetValues(index: Expr): Value[] {
  const out: Value[] = [];
  for (const sym of freeSymbols(index)) if (sym.kind === "indirect") out.push(indirectPayload(sym).value);
  return out;
}

/** What a scan group computes in each step, in order. */
export function stepsOf(group: ScanGroup): readonly ScanStep[] {
  const { op, out, index, value } = group;
  return [{ kind: "scan", op, out, index, value }, ...group.then ?? []];
}

function stageAccesses(stages: readonly (Stage | ScanStep)[]): Accesses {
  const written = new Map<BufferRef, Set<Expr>>();
  const writes: Access[] = [];
  for (const stage of stages) {
    writes.push(access(stage.out, stage.index));
    if (stage.kind === "scatter") continue;
    const at = written.get(stage.out);
    if (at === undefined) written.set(stage.out, new Set([stage.index]));
    else at.add(stage.index);
  }
  const values = stages.flatMap((s) => [s.value, ...targetValues(s.index)]);
  const reads = readsOf(values).filter((r) => r.index === null || written.get(r.buffer)?.has(r.index) !== true);
  return { reads, writes };
}

const cache = new WeakMap<Group, Accesses>();

/** What a group reads from memory and writes (stored or not). */
export function accessesOf(group: Group): Accesses {
  let found = cache.get(group);
  if (found === undefined) {
    found = computeAccesses(group);
    cache.set(group, found);
  }
  return found;
}

function computeAccesses(group: Group): Accesses {
  switch (group.kind) {
    case "loops":
      return stageAccesses(group.stages);
    case "contraction": {
      const epilogue = stageAccesses(group.epilogue);
      const reads = readsOf([group.a, group.b]);
      const own = (r: Access): boolean => r.buffer === group.result && r.index === group.resultIndex;
      return {
        reads: [...reads, ...epilogue.reads.filter((r) => !own(r))],
        writes: [access(group.result, group.resultIndex), ...epilogue.writes],
      };
    }
    case "attention": {
      const writes = attentionResults(group).map(({ out, index }) => access(out, index));
      return { reads: readsOf(attentionLoads(group)), writes };
    }
    case "scan":
      return stageAccesses(stepsOf(group));
    case "blocks":
    case "host": {
      const whole = (buffer: BufferRef): Access => ({ buffer, index: null, vars: [], indirect: false });
      return { reads: group.inputs.map(whole), writes: group.outputs.map(whole) };
    }
    case "foreach": {
      const members = group.members.map(accessesOf);
      return { reads: members.flatMap((m) => m.reads), writes: members.flatMap((m) => m.writes) };
    }
    default:
      return group satisfies never;
  }
}

/** Buffers that a group reads from memory, each once, in order of first use. */
export function readBuffers(group: Group): BufferRef[] {
  return [...new Set(accessesOf(group).reads.map((r) => r.buffer))];
}

/** Buffers that a group computes, stored or not, each once. */
export function writtenBuffers(group: Group): BufferRef[] {
  return [...new Set(accessesOf(group).writes.map((w) => w.buffer))];
}

/** Distinct elements that an access can touch: the product of its symbols' extents. */
export function accessNumel(a: Access): Expr {
  if (a.index === null) return a.buffer.numel;
  return a.vars.reduce((size, v) => mul(size, extentOf(v)), constant(1));
}

/** Buffers with a scatter among the group's writes: whoever reads or writes them before must come before. */
export function scatteredBuffers(group: Group): BufferRef[] {
  if (group.kind === "foreach") return group.members.flatMap(scatteredBuffers);
  if (group.kind === "blocks") {
    return [...statementsOf(group.program.body)].flatMap((s) => s.kind === "combine" ? [s.place.buffer] : []);
  }
  if (group.kind !== "loops") return [];
  return group.stages.filter((s) => s.kind === "scatter").map((s) => s.out);
}
