/**
 * A CUDA kernel as text with its launch, before it has a name and a module.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import type { Expr } from "../../../symbolic/mod.ts";
import { constant } from "../../../symbolic/mod.ts";
import type { CudaArg, CudaOptions } from "./launch.ts";
import type { LibraryCall } from "../../../core/convolution_spec.ts";
import type { ContractionKernel } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";

/** Texts that stand before kernels. */
export type CudaInclude =
  | "collectives"
  | "sort"
  | "fourier"
  | "search"
  | "linear"
  | "elementwise"
  | "spectral"
  | "mma"
  | "grouped"
  | "blocks"
  | "block_groups"
  | "hopper"
  | "cluster"
  | "runs"
  | "row_cluster"
  | "halves"
  | "attention"
  | "ragged"
  | "flash"
  | "ragged_hopper"
  | "flash_backward";

/** A kernel without a name. */
export interface CudaKernelText {
  /** Parameters, comma-separated, and the body; equal text is the same function. */
  readonly parameters: string;
  readonly body: string;
  /** Functions that stand before it, shared by kernels whose text is the same. */
  readonly support?: string;
  readonly includes: ReadonlySet<CudaInclude>;
  readonly args: readonly CudaArg[];
  readonly grid: readonly [Expr, Expr, Expr];
  readonly block: readonly [number, number, number];
  readonly cluster?: readonly [number, number, number];
  readonly sharedBytes: number;
  /** Blocks that should fit a multiprocessor, for the compiler's allocation of registers. */
  readonly blocksEach?: number;
  /** Whether the body itself waits for the kernel before (`tsr_wait_previous`): else that stands before it. */
  readonly waits?: boolean;
  /** What the body reads before it waits: buffers that no kernel of the plan writes (`EmitContext.fixed`). */
  readonly early?: readonly BufferRef[];
  /** The call of a library that the launch is instead of a kernel: it has no text. */
  readonly library?: LibraryCall;
}

/** What decides how kernels are written. */
export interface EmitContext extends CudaOptions {
  /** Buffers of the launch that share memory with another. */
  readonly shared: ReadonlySet<BufferRef>;
  /** Buffers that nothing in the plan writes, in memory of their own: what reads them need not wait for the kernels before. Default: none. */
  readonly fixed?: ReadonlySet<BufferRef>;
  /** Whether blocks take elements from the end on: what the launch before touched last is still in the second cache. Default: false. */
  readonly backwards?: boolean;
  /** A number for scratch memory that no other kernel has. */
  readonly scratchId: () => number;
  /** The kernels of a contraction that were found to be the fastest; null where nothing was measured. */
  readonly choose?: (kernel: ContractionKernel, context: EmitContext) => CudaKernelText[] | null;
}

/** Alignment that vector accesses rely on. */
export const POINTER_ALIGN = 16;

/** The arguments and parameters of a kernel, extra ones last. */
export function signature(
  f: CudaFunction,
  extra: readonly { readonly arg: CudaArg; readonly text: string }[] = [],
): { args: CudaArg[]; parameters: string } {
  const { kernel } = f;
  const args: CudaArg[] = [
    ...[...kernel.reads, ...kernel.writes].map((buffer): CudaArg => ({ kind: "buffer", buffer, align: POINTER_ALIGN })),
    ...kernel.sizes.map((sym): CudaArg => ({ kind: "size", sym, type: f.index === "int" ? "i32" : "i64" })),
    ...extra.map((e) => e.arg),
  ];
  const parameters = [...f.parameters(), ...extra.map((e) => e.text)];
  if (f.usesErrors) {
    args.push({ kind: "error" });
    parameters.push("long* error");
  }
  return { args, parameters: parameters.join(", ") };
}

/** A grid in one dimension. */
export function line(blocks: Expr): readonly [Expr, Expr, Expr] {
  return [blocks, constant(1), constant(1)];
}
