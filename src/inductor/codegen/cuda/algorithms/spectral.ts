/**
 * Factorisations that iterate, on the device: QR, eigenvalues of symmetric matrices, singular values, pseudo-inverses, exponentials.
 *
 * One block a matrix, in double in scratch memory: reflections of Householder with the host's signs, rotations of Jacobi in rounds of pairs that do not touch each other.
 * Made for batches of small matrices; a large one keeps one multiprocessor busy, and memory is as large as the factors.
 */
import { constant, type Expr, max, min, mul } from "../../../../symbolic/mod.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, Parameters, volume } from "./call.ts";
import { DOUBLE, matricesOf, room } from "./linear.ts";

const THREADS = 256;
const INT = constant(4);
/** What an exponential has in memory: the scaled matrix, the sum, a term and the next one. */
const MATRICES = constant(4);

/** A kernel that calls `name` with a block a matrix. */
function kernel(p: Parameters, name: string, args: readonly string[], batch: Expr): CudaKernelText {
  const body = `  ${name}<${THREADS}>(${args.join(", ")});\n`;
  return p.kernel(body, { includes: ["linear", "spectral"], blocks: batch, threads: THREADS });
}

/** Integers for all elements of a shape. */
function places(call: AlgorithmCall, p: Parameters, shape: readonly Expr[]): string {
  return p.scratch("int", mul(volume(shape), INT), call.context.scratchId());
}

/** The kernel of `geqrf`. */
export function emitReflections(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), type = memoryType(self.dtype);
  const { batch, rows, columns } = matricesOf(self);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, self.buffer),
    room(call, p, self.shape),
    room(call, p, [batch, min(rows, columns)]),
    p.pointer(type, call.output(0).buffer),
    p.pointer(type, call.output(1).buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(columns)}`,
  ];
  return [kernel(p, "tsr_geqrf", args, batch)];
}

/** The kernel of `linalg_qr`. */
export function emitQr(call: AlgorithmCall): CudaKernelText[] {
  const a = call.input("A"), type = memoryType(a.dtype), mode = call.argument("mode") ?? "reduced";
  const { batch, rows, columns } = matricesOf(a);
  const k = mode === "complete" ? rows : min(rows, columns);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, a.buffer),
    room(call, p, a.shape),
    room(call, p, [batch, min(rows, columns)]),
    mode === "r" ? "nullptr" : room(call, p, [batch, rows, k]),
    mode === "r" ? `(${type}*)nullptr` : p.pointer(type, call.output(0).buffer),
    p.pointer(type, call.output(1).buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(columns)}`,
    `(int)${p.size(k)}`,
    `(int)${p.size(k)}`,
  ];
  return [kernel(p, "tsr_qr", args, batch)];
}

/** The kernel of `linalg_eigh`. */
export function emitEigh(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), type = memoryType(self.dtype);
  const { batch, rows: n } = matricesOf(self);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, self.buffer),
    room(call, p, self.shape),
    room(call, p, self.shape),
    p.scratch("double", mul(mul(batch, mul(n, constant(4))), DOUBLE), call.context.scratchId()),
    places(call, p, [batch, n]),
    p.pointer(type, call.output(0).buffer),
    p.pointer(type, call.output(1).buffer),
    `(int)${p.size(n)}`,
    String(String(call.argument("UPLO") ?? "L").toUpperCase() === "U"),
  ];
  return [kernel(p, "tsr_eigh", args, batch)];
}

/** The kernel of `linalg_svd` and `thin_svd`. */
export function emitSvd(call: AlgorithmCall): CudaKernelText[] {
  const a = call.tensor("A") ?? call.input("self"), type = memoryType(a.dtype);
  const { batch, rows, columns } = matricesOf(a);
  const k = min(rows, columns), long = max(rows, columns);
  const full = call.tensor("A") !== null && call.argument("fullMatrices") !== false;
  const [left, right] = full ? [rows, columns] : [k, k];
  const count = full ? long : k;
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, a.buffer),
    room(call, p, a.shape),
    room(call, p, [batch, k, k]),
    room(call, p, [batch, k]),
    room(call, p, [batch, count, long]),
    room(call, p, [batch, count]),
    places(call, p, [batch, k]),
    ...[0, 1, 2].map((i) => p.pointer(type, call.output(i).buffer)),
    ...[rows, columns, left, right].map((size) => `(int)${p.size(size)}`),
  ];
  return [kernel(p, "tsr_svd", args, batch)];
}

/** The kernel of `pseudo_inverse`. */
export function emitPseudoInverse(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), atol = call.input("atol"), rtol = call.input("rtol"), type = memoryType(self.dtype);
  const { batch, rows, columns } = matricesOf(self);
  const k = min(rows, columns);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, self.buffer),
    p.pointer(`const ${memoryType(atol.dtype)}`, atol.buffer),
    p.pointer(`const ${memoryType(rtol.dtype)}`, rtol.buffer),
    room(call, p, self.shape),
    room(call, p, [batch, k, k]),
    room(call, p, [batch, k]),
    places(call, p, [batch, k]),
    p.pointer(type, call.output(0).buffer),
    `(int)${p.size(rows)}`,
    `(int)${p.size(columns)}`,
    p.size(max(volume(atol.shape), constant(1))),
    p.size(max(volume(rtol.shape), constant(1))),
  ];
  return [kernel(p, "tsr_pseudo_inverse", args, batch)];
}

/** The kernel of `cofactor_matrix`. */
export function emitCofactors(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), type = memoryType(self.dtype);
  const { batch, rows: n } = matricesOf(self);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, self.buffer),
    room(call, p, self.shape),
    room(call, p, self.shape),
    room(call, p, [batch, n]),
    room(call, p, self.shape),
    room(call, p, [batch, n]),
    places(call, p, [batch, n]),
    places(call, p, [batch, n]),
    p.pointer(type, call.output(0).buffer),
    `(int)${p.size(n)}`,
  ];
  return [kernel(p, "tsr_cofactors", args, batch)];
}

/** The kernel of `matrix_exp`. */
export function emitMatrixExp(call: AlgorithmCall): CudaKernelText[] {
  const self = call.input("self"), type = memoryType(self.dtype);
  const { batch, rows: n } = matricesOf(self);
  const p = new Parameters();
  const args = [
    p.pointer(`const ${type}`, self.buffer),
    p.scratch("double", mul(mul(volume(self.shape), MATRICES), DOUBLE), call.context.scratchId()),
    p.pointer(type, call.output(0).buffer),
    `(int)${p.size(n)}`,
  ];
  return [kernel(p, "tsr_matrix_exp", args, batch)];
}

/** Why a call is left to the host: half types have no conversion to double here. */
export function spectralProblem(dtype: unknown): string | null {
  return dtype === "float32" || dtype === "float64" ? null : `${String(dtype)} is computed on the host`;
}
