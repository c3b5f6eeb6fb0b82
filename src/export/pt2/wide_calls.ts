/**
 * Calls that stay in float32 where the rest of a program is put into a half type: what has no kernels for halves, in PyTorch as here.
 *
 * They are Fourier transforms, factorisations of matrices and what reads or yields complex numbers: complex64 has parts of float32. What PyTorch's autocast lists
 * of them is taken from there; the others are those that it has no rule for, such as the parts that programs are decomposed into.
 */
import { complex64 } from "../../core/mod.ts";
import { type Argument, type CallNode, isNode, isTensorMeta, mapNodes, type NodeValue } from "../../graph/mod.ts";
import { isOperator } from "../../ops/mod.ts";
import { NO_HALVES } from "../../tensor/mod.ts";

/** Operators by their names without overloads. */
const WITHOUT_HALVES: ReadonlySet<string> = new Set(
  `${NO_HALVES} fft_hfft2 fft_ihfft2 fft_hfftn fft_ihfftn _fft_r2c _fft_c2r _fft_c2c istft complex lu_unpack logdet slogdet det geqrf ormqr
  orgqr linalg_solve_ex linalg_solve_triangular linalg_det linalg_eig linalg_eigvals _linalg_eigh _linalg_eigvals _linalg_svd
  _linalg_det _linalg_slogdet _linalg_solve_ex linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve linalg_ldl_factor
  linalg_ldl_factor_ex linalg_ldl_solve linalg_pinv linalg_slogdet linalg_tensorinv linalg_tensorsolve
  linalg_householder_product linalg_matrix_exp`.split(/\s+/).map((name) => name.replace(/\..*/, "")),
);

function isComplexValue(value: NodeValue): boolean {
  return isTensorMeta(value) ? value.dtype.isComplex : Array.isArray(value) && value.some(isComplexValue);
}

/** Whether a call has no kernels for halves. */
export function lacksHalves({ target, args, value }: CallNode): boolean {
  if (!isOperator(target)) return false;
  if (WITHOUT_HALVES.has(target.schema.name)) return true;
  let isComplex = isComplexValue(value);
  for (const arg of args) {
    mapNodes(arg, (node): Argument => {
      isComplex ||= isNode(node) && isComplexValue(node.value);
      return node;
    });
    isComplex ||= arg === complex64;
  }
  return isComplex;
}
