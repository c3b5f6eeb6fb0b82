/**
 * The tile IR: Triton's programming model as data, one kernel a value.
 *
 * A kernel is a grid of program instances; an instance computes blocks. Dimensions of blocks are named {@linkcode Axis} objects rather than positions:
 * a value has the set of axes that it varies over, broadcasting is implied, `reduce` removes an axis, `dot` contracts one. A block size of 1
 * makes an axis a plain loop index, so that the same kernel is scalar code (JavaScript), SIMD code (the block is a vector) or a thread
 * block's work (CUDA, WGSL). Index arithmetic is symbolic over axis symbols, so that emitters see strides and contiguity; where a block
 * leaves its axis's extent, emitters mask. Accumulators are explicit and carried by `for` loops. Invariants: `verifyTileKernel`.
 */
import type { Device, DType } from "../../core/mod.ts";
import type { BufferRef, CombineOp, PrimitiveName } from "../../loops/mod.ts";
import type { Expr, Sym } from "../../symbolic/mod.ts";

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
export type TileReduceOp = "sum" | "prod" | "max" | "min" | "any" | "argmax" | "argmin";

/** A statement. `out` is defined by it; operands are defined before it, in its block or an enclosing one. */
export type TileStatement =
  | { readonly kind: "constant"; readonly out: TileValue; readonly value: number | bigint }
  /** An integer expression over axis, size and bound symbols, as a number. */
  | { readonly kind: "index"; readonly out: TileValue; readonly expr: Expr }
  /** Makes a symbol stand for a computed integer in later index expressions (a gather). Negative values count from `size`. */
  | { readonly kind: "bind"; readonly symbol: Sym; readonly value: TileValue; readonly size: Expr }
  | {
    readonly kind: "load";
    readonly out: TileValue;
    readonly buffer: BufferRef;
    readonly index: Expr;
    readonly mask: TileValue | null;
    readonly other: number;
  }
  | {
    readonly kind: "store";
    readonly buffer: BufferRef;
    readonly index: Expr;
    readonly value: TileValue;
    readonly mask: TileValue | null;
  }
  | {
    readonly kind: "atomic";
    readonly op: CombineOp;
    readonly buffer: BufferRef;
    readonly index: Expr;
    readonly value: TileValue;
    readonly mask: TileValue | null;
  }
  | {
    readonly kind: "pointwise";
    readonly out: TileValue;
    readonly op: PrimitiveName;
    readonly args: readonly TileValue[];
  }
  | { readonly kind: "cast"; readonly out: TileValue; readonly arg: TileValue }
  | { readonly kind: "bitcast"; readonly out: TileValue; readonly arg: TileValue }
  | {
    readonly kind: "philox";
    readonly out: TileValue;
    readonly seed: TileValue;
    readonly stream: TileValue;
    readonly position: TileValue;
  }
  /** Combines a block along an axis into a block without it. */
  | {
    readonly kind: "reduce";
    readonly out: TileValue;
    readonly op: TileReduceOp;
    readonly arg: TileValue;
    readonly axis: Axis;
  }
  /** An accumulator with its neutral element (for argmax/argmin a value and an index are carried). */
  | { readonly kind: "accumulator"; readonly out: TileValue; readonly op: TileReduceOp }
  /** Combines a block into an accumulator; for argmax/argmin `position` is the element's linear position. */
  | {
    readonly kind: "accumulate";
    readonly accumulator: TileValue;
    readonly op: TileReduceOp;
    readonly value: TileValue;
    readonly position: Expr | null;
  }
  /** `accumulator[m, n] += Σ_k a[m, k] · b[k, n]`. */
  | {
    readonly kind: "dot";
    readonly accumulator: TileValue;
    readonly a: TileValue;
    readonly b: TileValue;
    readonly contract: Axis;
  }
  /** The accumulator's value after its loop: for blocks over a loop axis, combined along it. */
  | { readonly kind: "finish"; readonly out: TileValue; readonly accumulator: TileValue; readonly op: TileReduceOp }
  /** Walks loop axes, outermost first, in steps of their blocks. */
  | { readonly kind: "for"; readonly axes: readonly Axis[]; readonly body: readonly TileStatement[] };

/** A kernel. */
export interface TileKernel {
  /** A valid identifier, unique within a module. */
  readonly name: string;
  readonly device: Device;
  /** Parameters: buffers in the order of the launch, then sizes. */
  readonly reads: readonly BufferRef[];
  readonly writes: readonly BufferRef[];
  readonly sizes: readonly Sym[];
  /** All axes, grid axes first, outermost first. */
  readonly axes: readonly Axis[];
  readonly body: readonly TileStatement[];
  /** The grid's instances may run at once; false where order matters (a scatter with `set`). */
  readonly parallel: boolean;
  readonly comment: string;
}
