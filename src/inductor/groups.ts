/**
 * Groups: what runs in one kernel. The scheduler makes them, the tiler consumes them.
 *
 * A group is a list of stages over one iteration space. Stages address memory by flat element index; a stage that loads the very
 * element that an earlier stage of the group wrote at the same iteration gets the value, not the memory ({@linkcode LoopGroup.stored}
 * says which buffers must reach memory at all). Invariants, checked by `verifyGroup`: stages are in dependency order; a pointwise stage of the
 * outer space reads reductions only over the same outer index; no stage reads what another stage writes at a different index.
 *
 * Passes. The inner stages and reductions that need no reduction of the group form pass 0; what needs a reduction of pass p (through
 * outer stages or directly) is in pass p + 1. Stages come in the order: outer stages that need no reduction, pass 0, outer stages that need
 * pass 0, pass 1, and so on; so a code generator that walks the list opens one loop over `reduceAxes` a pass. An inner value is read in a
 * later pass than its own only if it is in `stored` (the scheduler recomputes it otherwise, by substitution): no code generator has to keep a row.
 * Results of cross reductions are there when everything else has run: only final stages read them, and final stages read nothing else that the
 * group computes.
 * A zero extent stays an axis; axes of extent 1 are dropped. Axes are merged where every index allows it and ordered so that the innermost one
 * has stride 1 in what is stored; a tiler may split and permute them again.
 * Mirrors `FusedSchedulerNode` of TorchInductor.
 */
import type { BlockProgram } from "../blocks/mod.ts";
import type { DType } from "../core/mod.ts";
import type { Node } from "../graph/mod.ts";
import type { BufferRef, CombineOp, LoopVar, ReductionOp, ScanLoop, Value } from "../loops/mod.ts";
import type { Expr } from "../symbolic/mod.ts";

/**
 * Writes `value` at `index`. `space` says whether it runs once an outer index, once an outer and reduced index, or, after all of them, once
 * a value of the axes that `index` varies over (`"final"`, what becomes of a cross reduction's result).
 */
export interface PointwiseStage {
  readonly kind: "pointwise";
  readonly space: "outer" | "inner" | "final";
  readonly out: BufferRef;
  readonly index: Expr;
  readonly value: Value;
}

/** Combines `value` over the reduced axes and writes the result at `index`, which depends on outer axes only. */
export interface ReductionStage {
  readonly kind: "reduction";
  readonly out: BufferRef;
  readonly index: Expr;
  readonly op: ReductionOp;
  readonly value: Value;
}

/**
 * Combines `value` over all axes that `index` does not vary over, outer ones among them, and writes the result at `index` when the kernel is done
 * with them: column sums beside row sums, or one sum over all rows. `space` says where `value` is computed.
 */
export interface CrossStage {
  readonly kind: "cross";
  readonly space: "outer" | "inner";
  readonly out: BufferRef;
  readonly index: Expr;
  readonly op: CrossOp;
  readonly value: Value;
}

/** How a cross reduction combines. */
export type CrossOp = "sum" | "prod" | "max" | "min";

/** Combines `value` into memory at a computed place. With `"set"`, iterations run in order. */
export interface ScatterStage {
  readonly kind: "scatter";
  readonly space: "outer" | "inner";
  readonly out: BufferRef;
  readonly index: Expr;
  readonly op: CombineOp;
  readonly value: Value;
}

/** One stage of a loop group. */
export type Stage = PointwiseStage | ReductionStage | CrossStage | ScatterStage;

interface GroupBase {
  /** Graph nodes whose computation is inside, for names, comments and profiles. */
  readonly origins: readonly Node[];
  /** Buffers written by the group that others (or the caller) read: these go to memory. */
  readonly stored: ReadonlySet<BufferRef>;
  /** Why the stages are together: sentences for `explain`. */
  readonly reasons: readonly string[];
}

/** Pointwise computations and reductions over `axes` × `reduceAxes`, outermost first. */
export interface LoopGroup extends GroupBase {
  readonly kind: "loops";
  readonly axes: readonly LoopVar[];
  /** Empty where nothing is reduced. */
  readonly reduceAxes: readonly LoopVar[];
  readonly stages: readonly Stage[];
}

/** `result[batch, m, n] = Σ_k a · b`, followed by pointwise stages over batch, m, n. */
export interface ContractionGroup extends GroupBase {
  readonly kind: "contraction";
  readonly batch: readonly LoopVar[];
  readonly m: readonly LoopVar[];
  readonly n: readonly LoopVar[];
  readonly k: readonly LoopVar[];
  readonly a: Value;
  readonly b: Value;
  readonly accumulate: DType;
  /** What the sum is called in the epilogue: a load of this buffer at `resultIndex` is the accumulator. */
  readonly result: BufferRef;
  readonly resultIndex: Expr;
  /** Pointwise stages in the `"outer"` space (batch, m, n). If `result` is in `stored`, its (cast) sum is stored too. */
  readonly epilogue: readonly PointwiseStage[];
}

/** A load, as it stands: no kernel before attention has to write it. */
export type LoadValue = Value & { readonly kind: "load" };

/** What becomes of a score: values over batch, m and n, in which a load of `score` at `index` is the score, scaled, and one of `grad` the changed score's gradient. */
export interface AttentionScores {
  readonly score: BufferRef;
  readonly grad: BufferRef;
  readonly index: Expr;
  readonly change: Value;
  /** A bool: which scores count. */
  readonly keep: Value | null;
  /** The gradient of the score; forward kernels have none. */
  readonly back: Value | null;
}

/** Which tiles of 128 are walked: counts over batch and `tile`, lists over batch, `tile` and `position`. */
export interface AttentionTiles {
  readonly tile: LoopVar;
  readonly position: LoopVar;
  readonly partialCount: LoadValue;
  readonly partial: LoadValue;
  readonly fullCount: LoadValue;
  readonly full: LoadValue;
}

/** Which of its kernels: the result; the gradient of the query; those of key and value. */
export type AttentionRole = "forward" | "query" | "keys";

/** Where a kernel of attention writes. */
export interface AttentionResult {
  readonly out: BufferRef;
  readonly index: Expr;
}

/**
 * `out[batch, m, e] = Σ_n softmax_n(scale · Σ_d query · key + mask) · value` in one kernel that stores no scores, or its gradients, which compute the
 * probabilities again. Operands are loads over the batch axes and two more, affine in these: strided memory. Nothing is fused into it.
 */
export interface AttentionGroup extends GroupBase {
  readonly kind: "attention";
  readonly role: AttentionRole;
  readonly batch: readonly LoopVar[];
  readonly m: LoopVar;
  readonly n: LoopVar;
  readonly d: LoopVar;
  readonly e: LoopVar;
  readonly query: LoadValue;
  readonly key: LoadValue;
  readonly value: LoadValue;
  /** Bools (true is kept) or numbers to be added. */
  readonly mask: LoadValue | null;
  readonly causal: boolean;
  readonly scale: number;
  /** For gradients: that of the result (m, e), the logarithm of the sum of exponentials of each row (m), and Σ grad · out (m). */
  readonly grad: LoadValue | null;
  readonly lse: LoadValue | null;
  readonly delta: LoadValue | null;
  /** The result over (m, e), the query's gradient over (m, d), or the key's over (n, d). */
  readonly out: BufferRef;
  readonly index: Expr;
  readonly scores: AttentionScores | null;
  readonly tiles: AttentionTiles | null;
  /** Forward: the logarithms over m, where somebody wants them. Keys: the value's gradient over (n, e). */
  readonly second: AttentionResult | null;
}

/** Inclusive prefix combinations of `value`, written at `index`. */
export interface ScanStage {
  readonly kind: "scan";
  readonly op: ScanLoop["op"];
  readonly value: Value;
  readonly out: BufferRef;
  readonly index: Expr;
}

/** What runs in each step of a scan. */
export type ScanStep = ScanStage | PointwiseStage;

/**
 * Inclusive prefix combinations of `value` along `scanAxis`, in order, written at `index`; and `then` what else runs in the same steps: scans of what there is
 * so far, and pointwise stages in the `"outer"` space. They read what earlier ones wrote at the very element.
 */
export interface ScanGroup extends GroupBase {
  readonly kind: "scan";
  readonly axes: readonly LoopVar[];
  readonly scanAxis: LoopVar;
  readonly op: ScanLoop["op"];
  readonly value: Value;
  readonly out: BufferRef;
  readonly index: Expr;
  /** None where it is absent. */
  readonly then?: readonly ScanStep[];
}

/** An operator that runs on the host's memory (sorting, say): one graph node, contiguous inputs and outputs. */
export interface HostGroup extends GroupBase {
  readonly kind: "host";
  readonly node: Node;
  readonly inputs: readonly BufferRef[];
  readonly outputs: readonly BufferRef[];
}

/**
 * Independent loop groups of any sizes in one launch: the multi-tensor updates of optimisers. No member reads what another one writes, so
 * members may run in any order or at once; a backend emits them as consecutive loops of one kernel (one parallel region), or as ranges of one grid.
 * Members keep their own `origins`, `stored` and `reasons`; the group's are their unions.
 */
export interface ForeachGroup extends GroupBase {
  readonly kind: "foreach";
  readonly members: readonly LoopGroup[];
}

/** A kernel that somebody wrote, over buffers as they lie in memory. Nothing is fused into it. */
export interface BlocksGroup extends GroupBase {
  readonly kind: "blocks";
  readonly node: Node;
  readonly program: BlockProgram;
  readonly inputs: readonly BufferRef[];
  readonly outputs: readonly BufferRef[];
}

/** What runs in one kernel. */
export type Group = LoopGroup | ContractionGroup | AttentionGroup | ScanGroup | HostGroup | ForeachGroup | BlocksGroup;

/** The user's line that a group comes from: of its first node that has one. */
export function userLine(group: Pick<Group, "origins">): string | null {
  for (const { location } of group.origins) {
    if (location !== null) return `${location.file}:${location.line}:${location.column}`;
  }
  return null;
}
