/**
 * The tile IR: Triton's programming model as data, one kernel a value.
 *
 * A kernel is a grid of program instances; an instance computes blocks. Dimensions of blocks are named {@linkcode Axis} objects rather than
 * positions: a value has the set of axes that it varies over, broadcasting is implied, `finish` removes an axis, `dot` contracts one. A block
 * size of 1 makes an axis a plain loop index, so that the same kernel is scalar code (JavaScript), SIMD code (the block is a vector) or a
 * thread block's work (CUDA, WGSL). Index arithmetic is symbolic over axis symbols, so that emitters see strides and contiguity; where a block
 * leaves its axis's extent, emitters mask. Accumulators are explicit and carried by `for` loops. Invariants: `verifyTileKernel`.
 */
import type { BlockProgram } from "../../blocks/mod.ts";
import type { DType } from "../../core/mod.ts";
import type { BufferRef, CombineOp, PrimitiveName } from "../../loops/mod.ts";
import type { Expr, Sym } from "../../symbolic/mod.ts";
import type { AttentionRole } from "../groups.ts";

/** A named dimension of a kernel. */
export interface Axis {
  /** Stands for the element's position along the axis in index expressions: 0 … extent - 1. */
  readonly symbol: Sym;
  readonly extent: Expr;
  /** Elements that one block covers; 1 for a plain loop index. */
  readonly block: number;
  /** `grid`: program instances divide it. `loop`: each instance walks it with a `for`. */
  readonly role: "grid" | "loop";
}

/** A value of the kernel: a block over its axes (no axes: a scalar). */
export interface TileValue {
  readonly id: number;
  readonly dtype: DType;
  /** Axes with a block above 1 over which the value varies, in the kernel's axis order. */
  readonly axes: readonly Axis[];
}

/** How an accumulator combines. */
export type TileReduceOp = "sum" | "prod" | "max" | "min" | "any" | "argmax" | "argmin" | "logaddexp";

/** How the accumulators of an array combine. */
export type TileArrayOp = "sum" | "prod" | "max" | "min";

/** A statement. `out` is defined by it; operands are defined before it, in its block or an enclosing one. */
export type TileStatement =
  | { readonly kind: "constant"; readonly out: TileValue; readonly value: number | bigint }
  /** An integer expression over axis, size and bound symbols, as a number. */
  | { readonly kind: "index"; readonly out: TileValue; readonly expr: Expr }
  /**
   * Makes a symbol stand for a computed integer in later index expressions (a gather). With `fromEnd`, negative values count from the end
   * of `size`; a value outside of the dimension (where `mask` holds) is an error that the kernel reports.
   */
  | {
    readonly kind: "bind";
    readonly symbol: Sym;
    readonly value: TileValue;
    readonly size: Expr;
    readonly fromEnd: boolean;
    readonly mask: TileValue | null;
  }
  | {
    readonly kind: "load";
    readonly out: TileValue;
    readonly buffer: BufferRef;
    readonly index: Expr;
    /** Where it does not hold, memory is not touched and the value is 0. */
    readonly mask: TileValue | null;
  }
  | {
    readonly kind: "store";
    readonly buffer: BufferRef;
    readonly index: Expr;
    readonly value: TileValue;
  }
  /** Combines a value into memory. Instances that may meet at one place run in order (`TileKernel.parallel` is false). */
  | {
    readonly kind: "combine";
    readonly op: CombineOp;
    readonly buffer: BufferRef;
    readonly index: Expr;
    readonly value: TileValue;
  }
  | {
    readonly kind: "pointwise";
    readonly out: TileValue;
    readonly op: PrimitiveName;
    readonly args: readonly TileValue[];
  }
  | { readonly kind: "cast"; readonly out: TileValue; readonly arg: TileValue }
  | { readonly kind: "bitcast"; readonly out: TileValue; readonly arg: TileValue }
  /** The entry of a table of 16 or 32 float32 at an int32, modulo their number. */
  | { readonly kind: "lookup"; readonly out: TileValue; readonly table: readonly number[]; readonly at: TileValue }
  | {
    readonly kind: "philox";
    readonly out: TileValue;
    readonly seed: TileValue;
    readonly stream: TileValue;
    readonly position: TileValue;
  }
  /** An accumulator with its neutral element (for argmax/argmin a value and a position are carried). */
  | { readonly kind: "accumulator"; readonly out: TileValue; readonly op: TileReduceOp }
  /** Combines a block into an accumulator; for argmax/argmin `position` is the element's linear position. */
  | {
    readonly kind: "accumulate";
    readonly accumulator: TileValue;
    readonly op: TileReduceOp;
    readonly value: TileValue;
    readonly position: Expr | null;
  }
  /** `accumulator[m, n] += a[m] · b[n]` for the current position of `contract`, blocks of it summed. */
  | {
    readonly kind: "dot";
    readonly accumulator: TileValue;
    readonly a: TileValue;
    readonly b: TileValue;
    readonly contract: Axis | null;
  }
  /** The accumulator's value: combined along its loop axes' blocks. Inside of its loop, the value so far. */
  | { readonly kind: "finish"; readonly out: TileValue; readonly accumulator: TileValue; readonly op: TileReduceOp }
  /**
   * An array of `size` accumulators, each with its neutral element: column sums that are carried over rows. `out` is no value but what the next two
   * name it by. Only in kernels without a grid, and only for targets with `crossReductions`.
   */
  | { readonly kind: "accumulators"; readonly out: TileValue; readonly op: TileArrayOp; readonly size: Expr }
  /** Combines into the accumulator at `index`; a block's elements go to accumulators of their own. */
  | {
    readonly kind: "accumulateAt";
    readonly accumulators: TileValue;
    readonly op: TileArrayOp;
    readonly index: Expr;
    readonly value: TileValue;
  }
  /** The accumulator at `index`, after the loops that combine into it. */
  | {
    readonly kind: "finishAt";
    readonly out: TileValue;
    readonly accumulators: TileValue;
    readonly op: TileArrayOp;
    readonly index: Expr;
  }
  /**
   * Walks a loop axis in steps of its block. `split`: workers may share the iterations, each with accumulators (and arrays of them) of its
   * own that are combined at the end, in order; without it an instance walks alone. Accumulators that the body itself declares are of one iteration.
   */
  | {
    readonly kind: "for";
    readonly axis: Axis;
    readonly split: boolean;
    readonly body: readonly TileStatement[];
  };

/** Statements of one element, which any program may evaluate in any order and at places of its own. */
export const PLAIN_KINDS: ReadonlySet<TileStatement["kind"]> = new Set([
  "constant",
  "index",
  "load",
  "pointwise",
  "cast",
  "bitcast",
]);

/** All statements whose value depends on what they read alone. */
export const PURE_KINDS: ReadonlySet<TileStatement["kind"]> = new Set([...PLAIN_KINDS, "lookup", "philox"]);

/** What all kernels have. */
export interface KernelBase {
  /** A valid identifier for people, made of operator names. Emitters number their functions themselves. */
  readonly name: string;
  /** Parameters: buffers that are read, then buffers that are written, then sizes. */
  readonly reads: readonly BufferRef[];
  readonly writes: readonly BufferRef[];
  readonly sizes: readonly Sym[];
  /** What the kernel computes and why its parts are together. */
  readonly comment: string;
}

/** A kernel in tiles. */
export interface TileKernel extends KernelBase {
  readonly kind: "tile";
  /** All axes, grid axes first, outermost first. */
  readonly axes: readonly Axis[];
  readonly body: readonly TileStatement[];
  /** How many leading grid axes may be divided among workers; instances along the others run in order. */
  readonly parallelAxes: number;
}

/** One operand of a contraction: statements that yield the element at a row (or column) and a position of k. */
export interface OperandProgram {
  /** The axes of the rows, outermost first; as few as this operand's indices allow. */
  readonly rows: readonly Axis[];
  /** The axes of k, likewise. */
  readonly k: readonly Axis[];
  readonly body: readonly TileStatement[];
  readonly value: TileValue;
}

/** What happens to the sums. */
export interface EpilogueProgram {
  readonly m: readonly Axis[];
  readonly n: readonly Axis[];
  /** Stands for the sum. */
  readonly accumulator: TileValue;
  readonly body: readonly TileStatement[];
}

/**
 * A contraction that a template computes: `acc[batch, m, n] = Σ_k a · b`, then the epilogue over batch, m and n. Operands and epilogue are programs for
 * one element, each over axes of its own (of block 1) that cover the same linear positions of m, n and k; the template decides about blocks.
 */
export interface ContractionKernel extends KernelBase {
  readonly kind: "contraction";
  readonly batch: readonly Axis[];
  /** Extents of m, n and k. */
  readonly m: Expr;
  readonly n: Expr;
  /** Extents of the axes of k as they were before operands merged them: blocks of k end where an operand's axis does. */
  readonly k: readonly Expr[];
  readonly a: OperandProgram;
  readonly b: OperandProgram;
  readonly accumulate: DType;
  readonly epilogue: EpilogueProgram;
}

/** Statements and the value that they lead to. */
export interface ScoreProgram {
  readonly body: readonly TileStatement[];
  readonly value: TileValue;
}

/** As in `AttentionScores`. */
export interface ScorePrograms {
  readonly score: TileValue;
  readonly grad: TileValue;
  readonly change: ScoreProgram;
  readonly keep: ScoreProgram | null;
  readonly back: ScoreProgram | null;
}

/** As in `AttentionTiles`: counts over batch and `tile`, lists over batch, `tile` and `position`. */
export interface AttentionTileLists {
  readonly tile: Axis;
  readonly position: Axis;
  readonly partialCount: AttentionOperand;
  readonly partial: AttentionOperand;
  readonly fullCount: AttentionOperand;
  readonly full: AttentionOperand;
}

/** Where an operand of attention is: an element over the batch axes, a row and a column, affine in both of these. */
export interface AttentionOperand {
  readonly buffer: BufferRef;
  readonly index: Expr;
}

/**
 * Attention as one kernel: `out[batch, m, e] = Σ_n softmax_n(scale · Σ_d query[batch, m, d] · key[batch, n, d] + mask[batch, m, n]) · value[batch, n, e]`.
 * Halves in, sums and exponentials in float32; a mask of bools keeps what is true. Rows that see no key give zeros. Only CUDA emits it.
 */
export interface AttentionKernel extends KernelBase {
  readonly kind: "attention";
  readonly batch: readonly Axis[];
  readonly m: Axis;
  readonly n: Axis;
  readonly d: Axis;
  readonly e: Axis;
  readonly query: AttentionOperand;
  readonly key: AttentionOperand;
  readonly value: AttentionOperand;
  readonly mask: AttentionOperand | null;
  /** As in `AttentionGroup`. */
  readonly role: AttentionRole;
  readonly grad: AttentionOperand | null;
  readonly lse: AttentionOperand | null;
  readonly delta: AttentionOperand | null;
  readonly out: AttentionOperand;
  readonly second: AttentionOperand | null;
  /** What becomes of a score: statements over batch, m and n from `score` (and the changed score's gradient, `grad`). */
  readonly scores: ScorePrograms | null;
  /** Tiles of 128 that are walked. */
  readonly tiles: AttentionTileLists | null;
  /** Query m sees keys up to m. */
  readonly causal: boolean;
  readonly scale: number;
}

/** A kernel that somebody wrote. */
export interface BlocksKernel extends KernelBase {
  readonly kind: "blocks";
  readonly program: BlockProgram;
}

/** What runs as one launch. */
export type Kernel = TileKernel | ContractionKernel | AttentionKernel | BlocksKernel;
