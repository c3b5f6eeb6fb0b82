/**
 * Systems of linear equations on the device: Cholesky, triangular solves, LU, solve.
 *
 * One block a matrix (of triangular solves: 32 columns of one), in double in scratch memory, with LAPACK's choices, so that results are the host's. What is singular is
 * reported as wrong indices are, when data are read. Decompositions that iterate, and QR, are in `spectral.ts`.
 */
import { ceilDiv, constant, type Expr, max, mul } from "../../../../symbolic/mod.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type AlgorithmTensor, Parameters, volume } from "./call.ts";

const THREADS = 256;
const INCLUDES = ["linear"] as const;
/** Bytes of a number in scratch memory. */
export const DOUBLE = constant(8);

/** Matrices of a tensor: the batch as one number. */
export interface Matrices {
  readonly batch: Expr;
  readonly rows: Expr;
  readonly columns: Expr;
}

/** The matrices of a tensor. */
export function matricesOf({ shape }: AlgorithmTensor): Matrices {
  const [rows = constant(1), columns = constant(1)] = shape.slice(-2);
  return { batch: volume(shape.slice(0, -2)), rows, columns };
}

/** Doubles for all elements of a tensor. */
export function room(call: AlgorithmCall, p: Parameters, shape: readonly Expr[]): string {
  return p.scratch("double", mul(volume(shape), DOUBLE), call.context.scratchId());
}

/** The kernel of `linalg_cholesky_ex`. */
export function emitCholesky(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self");
  const { batch, rows } = matricesOf(self);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${memoryType(self.dtype)}`, self.buffer),
    room(call, p, self.shape),
    p.pointer(memoryType(self.dtype), call.output(0).buffer),
    p.pointer("int", call.output(1).buffer),
    `(int)${p.size(rows)}`,
    String(call.argument("upper") === true),
    String(call.argument("checkErrors") === true),
    p.errors(),
  ];
  return [block(p, `tsr_cholesky<${THREADS}>(${args.join(", ")})`, batch)];
}

/** The kernel of `solve_triangular`. */
export function emitTriangular(call: AlgorithmCall): CudaKernelText[] {
  const a = call.input("A"), b = call.input("B");
  const { batch, rows, columns } = matricesOf(b);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${memoryType(a.dtype)}`, a.buffer),
    p.pointer(`const ${memoryType(b.dtype)}`, b.buffer),
    room(call, p, b.shape),
    p.pointer(memoryType(b.dtype), call.output(0).buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(columns)}`,
    String(call.argument("upper") === true),
    String(call.argument("unitriangular") === true),
  ];
  return [block(p, `tsr_triangular<${THREADS}>(${args.join(", ")})`, mul(batch, ceilDiv(columns, 32)))];
}

/** The kernel of `linalg_lu_factor_ex`. */
export function emitLu(call: AlgorithmCall): CudaKernelText[] {
  const a = call.input("A");
  const { batch, rows, columns } = matricesOf(a);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${memoryType(a.dtype)}`, a.buffer),
    room(call, p, a.shape),
    p.pointer(memoryType(a.dtype), call.output(0).buffer),
    p.pointer("int", call.output(1).buffer),
    p.pointer("int", call.output(2).buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(columns)}`,
    String(call.argument("pivot") !== false),
    String(call.argument("checkErrors") === true),
    p.errors(),
  ];
  return [block(p, `tsr_lu<${THREADS}>(${args.join(", ")})`, batch)];
}

/** The kernel of `solve_square`. */
export function emitSolve(call: AlgorithmCall): CudaKernelText[] {
  const a = call.input("A"), b = call.input("B");
  const { batch, rows, columns } = matricesOf(b);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${memoryType(a.dtype)}`, a.buffer),
    p.pointer(`const ${memoryType(b.dtype)}`, b.buffer),
    room(call, p, a.shape),
    room(call, p, b.shape),
    p.pointer(memoryType(b.dtype), call.output(0).buffer),
    p.pointer("int", call.output(1).buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(columns)}`,
  ];
  return [block(p, `tsr_solve<${THREADS}>(${args.join(", ")})`, batch)];
}

/** The kernel of `det` and `slogdet`. */
export function emitDeterminant(call: AlgorithmCall): CudaKernelText[] {
  const a = call.tensor("A") ?? call.input("self");
  const { batch, rows } = matricesOf(a);
  const type = memoryType(a.dtype), logs = /slogdet/.test(call.node.target.schema.name);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, a.buffer),
    room(call, p, a.shape),
    p.scratch("int", mul(mul(batch, rows), constant(4)), call.context.scratchId()),
    p.pointer(type, call.output(0).buffer),
    logs ? p.pointer(type, call.output(1).buffer) : `(${type}*)nullptr`,
    `(int)${p.size(rows)}`,
  ];
  return [block(p, `tsr_determinant<${THREADS}>(${args.join(", ")})`, batch)];
}

/** The kernel of `assert_regular`: a copy, and a look at each matrix. */
export function emitRegular(call: AlgorithmCall): CudaKernelText[] {
  const value = call.input("value"), info = call.input("info");
  const p = new Parameters();
  const type = memoryType(value.dtype);
  const n = volume(value.shape), matrices = volume(info.shape);
  const args = [
    p.pointer(`const ${type}`, value.buffer),
    p.pointer("const int", info.buffer),
    p.pointer(type, call.output(0).buffer),
    p.size(n),
    p.size(matrices),
    p.errors(),
  ];
  return [block(p, `tsr_regular(${args.join(", ")})`, ceilDiv(max(n, matrices), THREADS))];
}

/** The kernel of `permutation_matrix`. */
export function emitPermutation(call: AlgorithmCall): CudaKernelText[] {
  const pivots = call.input("pivots"), out = call.output(0);
  const { batch, rows } = matricesOf(out);
  const k = pivots.shape[pivots.shape.length - 1] ?? constant(1);
  const p = new Parameters();
  const args = [
    p.pointer("const int", pivots.buffer),
    p.scratch("int", mul(mul(batch, rows), constant(4)), call.context.scratchId()),
    p.pointer(memoryType(out.dtype), out.buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(k)}`,
  ];
  return [block(p, `tsr_permutation(${args.join(", ")})`, batch)];
}

function block(p: Parameters, text: string, blocks: Expr): CudaKernelText {
  return p.kernel(`  ${text};\n`, { includes: INCLUDES, blocks, threads: THREADS });
}
