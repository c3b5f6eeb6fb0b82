/**
 * Operators that are algorithms, as kernels of the device: what of them need not run on the host.
 *
 * Enters: a group that would run on the host, its tensors in row-major order. Leaves: kernels in the order of their launches, or null where there are none.
 */
import type { OpTarget, TensorMeta } from "../../../../graph/mod.ts";
import type { HostGroup } from "../../../groups.ts";
import type { CudaKernelText, EmitContext } from "../kernel_text.ts";
import { AlgorithmCall, type ArgumentOf } from "./call.ts";
import { ELEMENTWISE, emitBytes, emitElementwise } from "./elementwise.ts";
import { emitFourier, emitHistc, fourierProblem, histcProblem } from "./fourier.ts";
import { emitGroupedOuter, emitGroupedRows, groupedProblem } from "./grouped.ts";
import {
  emitCholesky,
  emitDeterminant,
  emitLu,
  emitPermutation,
  emitRegular,
  emitSolve,
  emitTriangular,
} from "./linear.ts";
import { emitRagged, raggedProblem } from "./ragged.ts";
import { emitRaggedFlash } from "./ragged_hopper.ts";
import { emitMode, emitSearch, modeProblem, searchProblem } from "./search.ts";
import {
  emitCofactors,
  emitEigh,
  emitMatrixExp,
  emitPseudoInverse,
  emitQr,
  emitReflections,
  emitSvd,
  spectralProblem,
} from "./spectral.ts";
import { emitSort, sortProblem } from "./sort.ts";

interface Algorithm {
  /** Why a call has no kernels; null if it has. */
  readonly problem: (argument: ArgumentOf) => string | null;
  readonly emit: (call: AlgorithmCall) => CudaKernelText[];
}

const sorting: Algorithm = { problem: sortProblem, emit: emitSort };
const searching: Algorithm = { problem: searchProblem, emit: emitSearch };
/** Algorithms that take every call. */
function always(emit: Algorithm["emit"]): Algorithm {
  return { problem: () => null, emit };
}
/** Algorithms that take matrices of float32 and float64. */
function spectral(key: string, emit: Algorithm["emit"]): Algorithm {
  return { problem: (argument) => spectralProblem((argument(key) as TensorMeta).dtype.name), emit };
}
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  ...Object.fromEntries(Object.keys(ELEMENTWISE).map((target) => [target, always(emitElementwise)])),
  "aten.sort.default": sorting,
  "aten.sort.stable": sorting,
  "aten.topk.default": sorting,
  "aten.kthvalue.default": sorting,
  "aten.median.dim": sorting,
  "aten.nanmedian.dim": sorting,
  "tessera.fft_pairs.default": { problem: fourierProblem, emit: emitFourier },
  "tessera.ragged_attention.default": {
    problem: raggedProblem,
    emit: (call) => emitRaggedFlash(call) ?? emitRagged(call),
  },
  "tessera.grouped_rows.default": { problem: groupedProblem, emit: emitGroupedRows },
  "tessera.grouped_outer.default": { problem: groupedProblem, emit: emitGroupedOuter },
  "aten.histc.default": { problem: histcProblem, emit: emitHistc },
  "aten.searchsorted.Tensor": searching,
  "aten.searchsorted.Scalar": searching,
  "aten.bucketize.Tensor": searching,
  "aten.mode.default": { problem: modeProblem, emit: emitMode },
  "aten.linalg_cholesky_ex.default": always(emitCholesky),
  "tessera.solve_triangular.default": always(emitTriangular),
  "tessera.solve_square.default": always(emitSolve),
  "tessera.assert_regular.default": always(emitRegular),
  "aten.det.default": always(emitDeterminant),
  "aten.linalg_det.default": always(emitDeterminant),
  "aten.slogdet.default": always(emitDeterminant),
  "aten.linalg_slogdet.default": always(emitDeterminant),
  "aten.linalg_lu_factor_ex.default": always(emitLu),
  "aten.view.dtype": always(emitBytes),
  "aten.geqrf.default": spectral("self", emitReflections),
  "aten.linalg_qr.default": spectral("A", emitQr),
  "aten.linalg_eigh.default": spectral("self", emitEigh),
  "aten.linalg_svd.default": spectral("A", emitSvd),
  "tessera.thin_svd.default": spectral("self", emitSvd),
  "tessera.pseudo_inverse.default": spectral("self", emitPseudoInverse),
  "tessera.cofactor_matrix.default": spectral("self", emitCofactors),
  "aten.linalg_matrix_exp.default": spectral("self", emitMatrixExp),
  "aten.matrix_exp.default": spectral("self", emitMatrixExp),
  "tessera.permutation_matrix.default": always(emitPermutation),
};

/** Why a call runs on the host, the reason empty where its operator has no kernels at all; null if it has some. `argument` gives descriptions of tensors. */
export function algorithmProblem(op: OpTarget, argument: ArgumentOf): string | null {
  const found = ALGORITHMS[op.schema.target];
  return found === undefined ? "" : found.problem(argument);
}

/** The kernels of a group's operator; null where it has none. */
export function emitAlgorithm(group: HostGroup, context: EmitContext): CudaKernelText[] | null {
  const { node } = group;
  if (node.op !== "call") return null;
  const found = ALGORITHMS[node.target.schema.target];
  const call = new AlgorithmCall(node, group, context);
  return found === undefined || found.problem((key) => call.described(key)) !== null ? null : found.emit(call);
}
