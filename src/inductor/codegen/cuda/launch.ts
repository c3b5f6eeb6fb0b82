/**
 * What the runtime needs in order to launch generated CUDA kernels: modules as text, and for each step of the host plan its launches.
 *
 * Everything is data over the plan's size symbols: a static graph has numbers only, so that its launches can be recorded into a CUDA graph once.
 * Rules for whoever launches:
 * - launches of a step run in order on one stream, and steps in order of the plan;
 * - a launch with a 0 in its grid is left out;
 * - a `buffer` argument with `align` must be such a multiple: a caller's tensor that is not is copied first (and copied back if it is written);
 * - scratch memory of one id is the same memory for all launches of one step, and dead after it; `zeroed` memory is all zero bytes when the step
 *   begins, and the kernels leave it zero: it may be zeroed once and kept for later runs as long as nothing else writes it;
 * - the error words are 0 while all is well, see {@linkcode ERROR_WORDS}.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import type { Expr, Sym } from "../../../symbolic/mod.ts";
import type { LibraryCall } from "../../../core/convolution_spec.ts";
import type { HostGroup } from "../../groups.ts";

/** int64 words that `error` points to, as on the CPU: an index out of range, the size that it broke, 1 if there is one; one in reserve. */
export const ERROR_WORDS = 4;

/** A tensor map to be encoded when sizes and addresses are known; dimensions innermost first. */
export interface TensorMapSpec {
  readonly type: "float16" | "bfloat16" | "float32" | "tfloat32" | "uint8";
  /** Elements between the slot's element 0 and the map's. */
  readonly offset: Expr;
  /** Elements a dimension. */
  readonly sizes: readonly Expr[];
  /** Bytes between neighbours in each dimension but the innermost. */
  readonly strideBytes: readonly Expr[];
  readonly box: readonly number[];
  readonly swizzle: "none" | 32 | 64 | 128;
  readonly l2Promotion: "none" | 64 | 128 | 256;
  /** For windows that slide over an image, sizes C, W, H, D as there are, N: where the first and the last one begin, and their step. The box is then channels, pixels. */
  readonly pixels?: {
    readonly lower: readonly number[];
    readonly upper: readonly number[];
    readonly steps: readonly number[];
  };
}

/** One argument of a kernel, in the order of its parameters. */
export type CudaArg =
  /** A pointer to the slot's element 0, or so many bytes behind it. */
  | { readonly kind: "buffer"; readonly buffer: BufferRef; readonly align: number; readonly offset?: number }
  | { readonly kind: "size"; readonly sym: Sym; readonly type: "i32" | "i64" }
  /** Device memory for one step. */
  | { readonly kind: "scratch"; readonly bytes: Expr; readonly zeroed: boolean; readonly id: number }
  /** 128 bytes by value, aligned to 64. */
  | { readonly kind: "tensorMap"; readonly buffer: BufferRef; readonly map: TensorMapSpec }
  /** The same over the scratch memory of an id, from its beginning. */
  | { readonly kind: "scratchMap"; readonly bytes: Expr; readonly id: number; readonly map: TensorMapSpec }
  /** A pointer to {@linkcode ERROR_WORDS} words. */
  | { readonly kind: "error" };

/** One launch. */
export interface CudaLaunch {
  /** Position in {@linkcode CudaModules.modules}, and the function's name there. */
  readonly module: number;
  readonly function: string;
  readonly args: readonly CudaArg[];
  readonly grid: readonly [Expr, Expr, Expr];
  readonly block: readonly [number, number, number];
  readonly cluster?: readonly [number, number, number];
  /** Dynamic shared memory. */
  readonly sharedBytes: number;
  /** The call of a library that the launch is: there is no module then. */
  readonly library?: LibraryCall;
  /** Whether it waits for the launch before it by itself, and so may begin before that has ended. */
  readonly waits: boolean;
  /** Buffers that it reads before it waits; nothing in the plan writes them. */
  readonly early: readonly BufferRef[];
  /** Operators that the kernel computes, for errors and profiles. */
  readonly origin: string;
}

/** One translation unit; independent of all others. */
export interface CudaModuleText {
  readonly source: string;
  readonly functions: readonly string[];
}

/** What a step of the plan does. */
export type CudaStep =
  | { readonly kind: "launches"; readonly launches: readonly CudaLaunch[] }
  | { readonly kind: "host"; readonly group: HostGroup };

/** A plan as CUDA text and launches; `steps[i]` belongs to `plan.steps[i]`. */
export interface CudaModules {
  readonly modules: readonly CudaModuleText[];
  readonly steps: readonly CudaStep[];
  /** Flags for nvrtc beside `--gpu-architecture`. */
  readonly flags: readonly string[];
  /** `sm_90a`-like name that the text needs. */
  readonly architecture: string;
}

/** The device that text is written for. */
export interface CudaOptions {
  /** Compute capability as a number: 80, 89, 90, 100. */
  readonly arch: number;
  readonly multiprocessors: number;
  /** Products of float32 may use tf32 tensor cores; off as in PyTorch. */
  readonly allowTf32?: boolean;
  /** Bytes that the parameters of a kernel may take; default 4096, which all drivers and compilers allow. */
  readonly parameterBytes?: number;
  /** Scatters add in a fixed order, at a cost. */
  readonly deterministic?: boolean;
}
