/**
 * The scheduler: drops groups that nobody needs, fuses greedily by what is saved, orders, and settles what reaches memory.
 *
 * Candidates come from buffers only: each producer with its readers, each reader with the next few readers of the same buffer; so their
 * number is linear in the size of the graph. The most profitable legal fusion that the backend does not veto happens first, and its result
 * is a candidate again. Every decision is a sentence. Mirrors `Scheduler.fuse_nodes` of TorchInductor.
 */
import { isStageEnabled, log } from "../core/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import { readBuffers, scatteredBuffers, writtenBuffers } from "./dependencies.ts";
import { foreachGroups, isWhole } from "./foreach.ts";
import { canFuse, fuseGroups, type FusionPlan, type FusionScore, scoreFusion } from "./fusion.ts";
import { FusionGraph, type FusionNode, MinHeap } from "./fusion_graph.ts";
import type { Group } from "./groups.ts";
import { fuseScans } from "./fuse_scans.ts";
import { type Hint, simplifyContraction, simplifyLoopGroup } from "./loop_space.ts";
import type { Lowering } from "./lowering.ts";
import { groupName } from "./print.ts";
import { settleGroup } from "./stage_order.ts";

/** One decision about two groups, for `explain`. */
export interface FusionDecision {
  readonly first: string;
  readonly second: string;
  readonly fused: boolean;
  readonly reason: string;
  readonly savedBytes: number;
}

/** What a backend or a caller may say about fusions. */
export interface SchedulerOptions {
  /** Refuses a legal, profitable fusion, with a reason; null lets it happen. */
  readonly veto?: (merged: Group, hint: Hint) => string | null;
  /** Receives every decision, rejections too. */
  readonly explain?: (decision: FusionDecision) => void;
  /** The backend can carry reductions over the rows of a kernel (`TileTarget.crossReductions`). Default true. */
  readonly crossReductions?: boolean;
  /** The backend walks several scans in one kernel as fast as one, and pointwise stages with them. Default true. */
  readonly scanSteps?: boolean;
  /** Combine independent small pointwise kernels into one launch. Default true. */
  readonly foreach?: boolean;
  /** Kernels that read inputs of the graph alone share launches before all others: what they write lives longer. Default false. */
  readonly joinInputs?: boolean;
  /** Reductions of whole tensors share launches: the backend reduces many in one. Default false. */
  readonly joinWhole?: boolean;
}

/** Readers after a group, of a buffer that both read, that are tried as partners. */
const NEIGHBOURS = 3;
/** Groups further apart than this in launch order are not fused for shared reads: their results would live long. */
const MAX_DISTANCE = 96;

/** Buffers that the caller sees. */
function resultBuffers(lowering: Lowering): Set<BufferRef> {
  return new Set(lowering.results.flatMap((r) => r.kind === "tensor" ? [r.buffer] : []));
}

/** Drops groups whose results nobody reads, back to front. */
function dropDeadGroups(groups: readonly Group[], results: ReadonlySet<BufferRef>): Group[] {
  const needed = new Set(results);
  const kept: Group[] = [];
  for (const group of [...groups].reverse()) {
    if (!writtenBuffers(group).some((b) => needed.has(b))) continue;
    for (const b of readBuffers(group)) needed.add(b);
    for (const b of scatteredBuffers(group)) needed.add(b);
    kept.push(group);
  }
  return kept.reverse();
}

interface Candidate {
  readonly a: FusionNode;
  readonly b: FusionNode;
  readonly plan: FusionPlan;
  readonly score: FusionScore;
}

class Fuser {
  readonly #graph: FusionGraph;
  readonly #results: ReadonlySet<BufferRef>;
  readonly #hint: Hint;
  readonly #options: SchedulerOptions;
  readonly #queue = new MinHeap<Candidate>((x, y) =>
    y.score.savedBytes - x.score.savedBytes || y.score.nearness - x.score.nearness || x.a.id - y.a.id || x.b.id - y.b.id
  );
  readonly #tried = new Set<string>();

  constructor(groups: readonly Group[], results: ReadonlySet<BufferRef>, hint: Hint, options: SchedulerOptions) {
    this.#graph = new FusionGraph(groups);
    this.#results = results;
    this.#hint = hint;
    this.#options = options;
  }

  run(): Group[] {
    for (const node of this.#graph.nodes) this.#offerPartners(node);
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) {
      const { a, b, plan, score } = next;
      if (!a.isAlive || !b.isAlive) continue;
      const cycle = this.#graph.cycleReason(a, b);
      if (cycle !== null) {
        this.#decide(a, b, false, cycle, score.savedBytes);
        continue;
      }
      const reason = reasonText(a, b, plan, score);
      const group = fuseGroups(a.group, b.group, plan, reason);
      const veto = this.#options.veto?.(group, this.#hint) ?? null;
      if (veto !== null) {
        this.#decide(a, b, false, `the backend declines: ${veto}`, score.savedBytes);
        continue;
      }
      this.#decide(a, b, true, reason, score.savedBytes);
      this.#offerPartners(this.#graph.merge(a, b, group));
    }
    return this.#graph.inOrder().map((node) => node.group);
  }

  #decide(a: FusionNode, b: FusionNode, fused: boolean, reason: string, savedBytes: number): void {
    const describe = (): FusionDecision => ({
      first: groupName(a.group),
      second: groupName(b.group),
      fused,
      reason,
      savedBytes,
    });
    this.#options.explain?.(describe());
    log("fusion", () => {
      const d = describe();
      return `${d.first} + ${d.second}: ${fused ? "fused" : "not fused"}: ${reason}`;
    });
  }

  #offerPartners(node: FusionNode): void {
    for (const buffer of writtenBuffers(node.group)) {
      for (const reader of this.#graph.readersOf(buffer)) this.#offer(node, reader, true);
    }
    for (const buffer of readBuffers(node.group)) {
      for (const writer of this.#graph.writersOf(buffer)) this.#offer(writer, node, true);
      this.#offerNeighbours(node, buffer);
    }
  }

  /** Partners for shared reads: the nearest readers in launch order. */
  #offerNeighbours(node: FusionNode, buffer: BufferRef): void {
    const readers = this.#graph.readersOf(buffer);
    // Only loops fuse for what both read; others fuse with those who use their results.
    if (readers.size < 2 || node.group.kind !== "loops") return;
    const isNumber = this.#hint(buffer.numel) === 1;
    const near: FusionNode[] = [];
    for (const other of readers) {
      if (isNumber && this.#areAlike(node, other)) continue;
      if (other === node || other.group.kind !== "loops" || distanceOf(other, node) > MAX_DISTANCE) continue;
      near.push(other);
    }
    near.sort((x, y) => distanceOf(x, node) - distanceOf(y, node) || x.id - y.id);
    for (const other of near.slice(0, NEIGHBOURS)) this.#offer(other, node, false);
  }

  /** For a number that both read, as a count of steps or a scale, updates of parameters, and reductions of whole gradients, are rather launched side by side. */
  #areAlike(x: FusionNode, y: FusionNode): boolean {
    const isUpdate = (n: FusionNode): boolean => writtenBuffers(n.group).every((b) => this.#results.has(b));
    if (isUpdate(x) && isUpdate(y)) return true;
    return this.#options.joinWhole === true && isWhole(x.group) && isWhole(y.group);
  }

  #offer(x: FusionNode, y: FusionNode, isProducer: boolean): void {
    if (x === y || !x.isAlive || !y.isAlive) return;
    const isOrdered = isProducer || x.users.has(y) || (!y.users.has(x) && x.order <= y.order);
    const [a, b] = isOrdered ? [x, y] : [y, x];
    const key = `${a.id},${b.id}`;
    if (this.#tried.has(key)) return;
    this.#tried.add(key);
    const answer = canFuse(a.group, b.group, this.#hint, this.#options.crossReductions !== false);
    if (!answer.ok) {
      this.#decide(a, b, false, answer.reason, 0);
      return;
    }
    const isOnlyReader = (buffer: BufferRef): boolean => {
      if (this.#results.has(buffer)) return false;
      const readers = this.#graph.readersOf(buffer);
      return readers.size === 1 && readers.has(b);
    };
    const score = scoreFusion(answer, this.#hint, distanceOf(a, b), isOnlyReader);
    if (score.savedBytes <= 0) {
      this.#decide(a, b, false, "it would save no memory traffic", 0);
      return;
    }
    this.#queue.push({ a, b, plan: answer, score });
  }
}

function distanceOf(a: FusionNode, b: FusionNode): number {
  return Math.max(0, Math.max(a.first, b.first) - Math.min(a.last, b.last));
}

function reasonText(a: FusionNode, b: FusionNode, plan: FusionPlan, score: FusionScore): string {
  const [x, y] = [groupName(a.group), groupName(b.group)];
  const buffers = (plan.forwarded.length > 0 ? plan.forwarded : plan.shared).map((r) => r.buffer.label);
  const names = [...new Set(buffers)].slice(0, 4).join(", ");
  if ("axes" in plan.unified && plan.unified.carried !== undefined) {
    const [carried, rows] = plan.unified.carried === "a" ? [x, y] : [y, x];
    return `${carried} sums up over the rows of ${rows}, which has ${names} at hand: saves ${score.savedBytes} bytes`;
  }
  switch (plan.kind) {
    case "vertical":
      return `${y} uses ${names} where ${x} computes it: saves ${score.savedBytes} bytes`;
    case "horizontal":
      return `${x} and ${y} read ${names} in the same order: saves ${score.savedBytes} bytes`;
    case "epilogue":
      return `${y} finishes ${names} while the contraction has it in registers: saves ${score.savedBytes} bytes`;
    default:
      return plan.kind satisfies never;
  }
}

/** Buffers that must be in memory: read by another group than the one that writes them, or seen by the caller. */
function storedBuffers(groups: readonly Group[], results: ReadonlySet<BufferRef>): Set<BufferRef> {
  const stored = new Set(results);
  for (const group of groups) {
    for (const b of readBuffers(group)) stored.add(b);
    for (const b of scatteredBuffers(group)) stored.add(b);
    if (group.kind === "host") { for (const b of group.outputs) stored.add(b); }
  }
  return stored;
}

function simplify(group: Group, hint: Hint): Group {
  if (group.kind === "loops") return simplifyLoopGroup(group, hint);
  return group.kind === "contraction" ? simplifyContraction(group) : group;
}

/** Schedules lowered groups: what is left are the kernels, in launch order. */
export function scheduleGroups(lowering: Lowering, options: SchedulerOptions = {}): Group[] {
  const results = resultBuffers(lowering);
  const { hint } = lowering;
  let groups = dropDeadGroups(lowering.groups, results);
  const isOn = isStageEnabled("fusion");
  // A fused reader of one part of a buffer needs no other parts: their writers are dead now.
  if (isOn) groups = dropDeadGroups(new Fuser(groups, results, hint, options).run(), results);
  if (isOn && options.scanSteps !== false) groups = fuseScans(groups, hint);
  const stored = storedBuffers(groups, results);
  groups = groups.map((g) => simplify(settleGroup(g, stored), hint));
  return isOn && options.foreach !== false ? foreachGroups(groups, options.joinInputs, options.joinWhole) : groups;
}
