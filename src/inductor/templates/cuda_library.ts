/**
 * Contractions as calls of cuBLASLt: which ones are, with which of its epilogues.
 *
 * Enters: a contraction of known sizes whose operands are matrices in memory. Leaves: the library's description of it, and where its operands are. A result that is stored as it
 * is, plus a bias along n or clamped at zero, goes where it belongs; of anything else the library leaves the sums, and the epilogue is a kernel of its own. The
 * library's GELU is the approximation by tanh, which is not what is written, so it is not used.
 */
import { bfloat16, type DType, float16, float32, float64 } from "../../core/mod.ts";
import type { LibraryCall } from "../../core/convolution_spec.ts";
import type { BufferRef } from "../../loops/mod.ts";
import {
  CUBLASLT_WORKSPACE,
  type MatmulEpilogue,
  type MatmulOperand,
  type MatmulSpec,
  type MatmulType,
} from "../../runtime/cuda/mod.ts";
import { coefficient, constant, constantValue, type Expr, mul, sub, symbol } from "../../symbolic/mod.ts";
import type { CudaKernelText, EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import type { Axis, ContractionKernel, TileStatement } from "../tile/tile_ir.ts";
import { affineOf, prefersRows, swapped } from "./cuda_hopper_plan.ts";
import { planOperand, productOf, ragged } from "./cuda_operands.ts";
import { libraryEnding } from "./library_epilogue.ts";

/** Memory at a distance in bytes. */
export interface Place {
  readonly buffer: BufferRef;
  readonly bytes: number;
}

/** A product that the library can compute. */
export interface LibraryProduct {
  readonly spec: MatmulSpec;
  readonly a: Place;
  readonly b: Place;
  readonly d: Place;
  readonly bias: Place | null;
}

const TYPES: ReadonlyMap<DType, MatmulType> = new Map<DType, MatmulType>([
  [float16, "float16"],
  [bfloat16, "bfloat16"],
  [float32, "float32"],
  [float64, "float64"],
]);

type Store = TileStatement & { readonly kind: "store" };

interface Flat {
  readonly place: Place;
  readonly rows: number;
  readonly columns: number;
  readonly batchStride: number;
}

/** A matrix of known distances; batches must be one, or lie at equal distances. */
function flatten(
  buffer: BufferRef,
  index: Expr,
  rows: readonly Axis[],
  columns: readonly Axis[],
  batch: readonly Axis[],
): Flat | null {
  const affine = affineOf(index, rows, columns, batch);
  if (affine === null) return null;
  const offset = constantValue(affine.offset);
  const [row, column] = [constantValue(affine.rows), constantValue(affine.columns)];
  let distance = 0;
  let span = 1;
  for (const { axis, stride } of [...affine.batch].reverse()) {
    const [s, extent] = [constantValue(stride), constantValue(axis.extent)];
    if (s === null || extent === null || s < 0) return null;
    if (extent === 1) continue;
    if (span === 1) distance = s;
    else if (s !== distance * span) return null;
    span *= extent;
  }
  if (offset === null || offset < 0 || row === null || column === null) return null;
  const bytes = offset * buffer.dtype.bytes;
  return bytes % 16 !== 0 ? null : { place: { buffer, bytes }, rows: row, columns: column, batchStride: distance };
}

function operandOf(
  kernel: ContractionKernel,
  which: "a" | "b",
  dtype: DType,
): (MatmulOperand & { place: Place }) | null {
  const plan = planOperand(kernel[which], 8, true);
  for (const { copy, program } of [plan, ...ragged(plan, dtype)]) {
    if (copy === null || copy.load.mask !== null || copy.load.buffer.dtype !== dtype) continue;
    const flat = flatten(copy.load.buffer, copy.load.index, program.rows, program.k, kernel.batch);
    if (flat === null) continue;
    const { place, rows, columns, batchStride } = flat;
    if (columns === 1 && rows >= 1) return { place, along: "k", stride: rows, batchStride };
    if (rows === 1 && columns >= 1) return { place, along: "rows", stride: columns, batchStride };
  }
  return null;
}

/** The bias and the clamp, where the epilogue is one of the library's. */
function endingOf(kernel: ContractionKernel): { epilogue: MatmulEpilogue; bias: Place | null; store: Store } | null {
  const ending = libraryEnding(kernel, (load) => biasPlace(load, kernel.epilogue.n));
  if (ending === null) return null;
  const { steps, store } = ending;
  const [first, ...rest] = steps;
  const bias = first?.kind === "add" ? first.load : null;
  const clamps = bias === null ? steps : rest;
  if (clamps.length > 1 || clamps.some(({ kind }) => kind !== "relu")) return null;
  if (bias !== null && bias.buffer.dtype !== store.buffer.dtype) return null;
  const relu = clamps.length === 1;
  return { epilogue: bias === null ? (relu ? "relu" : "none") : relu ? "relu_bias" : "bias", bias, store };
}

/** A vector along n, read in order. */
export function biasPlace(load: TileStatement & { readonly kind: "load" }, n: readonly Axis[]): Place | null {
  let offset = load.index;
  let span: Expr = constant(1);
  for (const axis of [...n].reverse()) {
    const c = coefficient(load.index, axis.symbol);
    if (c === null || c !== span) return null;
    offset = sub(offset, mul(c, symbol(axis.symbol)));
    span = mul(span, axis.extent);
  }
  const at = constantValue(offset);
  if (at === null || load.mask !== null || at * load.buffer.dtype.bytes % 16 !== 0) return null;
  return { buffer: load.buffer, bytes: at * load.buffer.dtype.bytes };
}

/** The contraction as one call, result and all; null where it is none. */
export function libraryProduct(given: ContractionKernel, tf32: boolean, algorithm = 0): LibraryProduct | null {
  const kernel = prefersRows(given) === true ? swapped(given) : given;
  const ending = endingOf(kernel);
  if (ending === null) return null;
  const { store, epilogue, bias } = ending;
  const { dtype } = store.buffer;
  const d = flatten(store.buffer, store.index, kernel.epilogue.m, kernel.epilogue.n, kernel.batch);
  const result = TYPES.get(dtype);
  const sizes = [kernel.m, kernel.n, productOf(kernel.k), productOf(kernel.batch.map((x) => x.extent))].map(
    constantValue,
  );
  if (d === null || d.columns !== 1 || d.rows < 1 || result === undefined || sizes.some((s) => s === null)) return null;
  const [m = 0, n = 0, k = 0, batch = 0] = sizes as number[];
  // Batches that share a result would be sums.
  if (Math.min(m, n, k, batch) < 1 || d.rows < n || (batch > 1 && d.batchStride === 0)) return null;
  for (const [operands, type] of TYPES) {
    if (kernel.accumulate !== (operands === float64 ? float64 : float32)) continue;
    if (operands !== dtype && !(operands.bytes === 2 && dtype === float32)) continue;
    const [a, b] = [operandOf(kernel, "a", operands), operandOf(kernel, "b", operands)];
    if (a === null || b === null) continue;
    if (a.stride < (a.along === "k" ? k : m) || b.stride < (b.along === "k" ? k : n)) continue;
    const operand = ({ along, stride, batchStride }: MatmulOperand): MatmulOperand => ({ along, stride, batchStride });
    const spec: MatmulSpec = {
      ...{ m, n, k, batch, type, result, tf32: tf32 && operands === float32, epilogue, algorithm },
      a: operand(a),
      b: operand(b),
      d: { stride: d.rows, batchStride: d.batchStride },
    };
    return { spec, a: a.place, b: b.place, d: d.place, bias };
  }
  return null;
}

/** The call as a launch. */
export function libraryText({ spec, a, b, d, bias }: LibraryProduct, context: EmitContext): CudaKernelText {
  return libraryLaunch(spec, [a, b, d], CUBLASLT_WORKSPACE, bias === null ? [] : [bias], context);
}

/** A library's call: its tensors, its workspace, what its epilogue reads. */
export function libraryLaunch(
  spec: LibraryCall,
  places: readonly Place[],
  workspaceBytes: number,
  extras: readonly Place[],
  context: EmitContext,
): CudaKernelText {
  const arg = ({ buffer, bytes }: Place): CudaArg => ({ kind: "buffer", buffer, align: 16, offset: bytes });
  const workspace: CudaArg = {
    kind: "scratch",
    bytes: constant(workspaceBytes),
    zeroed: false,
    id: context.scratchId(),
  };
  return {
    parameters: "",
    body: "",
    includes: new Set(),
    args: [...places.map(arg), workspace, ...extras.map(arg)],
    grid: [constant(1), constant(1), constant(1)],
    block: [1, 1, 1],
    sharedBytes: 0,
    library: spec,
  };
}
