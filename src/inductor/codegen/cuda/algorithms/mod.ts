/**
 * Operators that are algorithms, as kernels of the device: what of them need not run on the host.
 *
 * Enters: a group that would run on the host, its tensors in row-major order. Leaves: kernels in the order of their launches, or null where there are none.
 */
import type { OpTarget } from "../../../../graph/mod.ts";
import type { HostGroup } from "../../../groups.ts";
import type { CudaKernelText, EmitContext } from "../kernel_text.ts";
import { AlgorithmCall, type ArgumentOf } from "./call.ts";
import { emitFourier, emitHistc, fourierProblem, histcProblem } from "./fourier.ts";
import { emitGroupedOuter, emitGroupedRows, groupedProblem } from "./grouped.ts";
import { emitRagged, raggedProblem } from "./ragged.ts";
import { emitSort, sortProblem } from "./sort.ts";

interface Algorithm {
  /** Why a call has no kernels; null if it has. */
  readonly problem: (argument: ArgumentOf) => string | null;
  readonly emit: (call: AlgorithmCall) => CudaKernelText[];
}

const sorting: Algorithm = { problem: sortProblem, emit: emitSort };
const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  "aten.sort.default": sorting,
  "aten.sort.stable": sorting,
  "aten.topk.default": sorting,
  "aten.kthvalue.default": sorting,
  "aten.median.dim": sorting,
  "aten.nanmedian.dim": sorting,
  "tessera.fft_pairs.default": { problem: fourierProblem, emit: emitFourier },
  "tessera.ragged_attention.default": { problem: raggedProblem, emit: emitRagged },
  "tessera.grouped_rows.default": { problem: groupedProblem, emit: emitGroupedRows },
  "tessera.grouped_outer.default": { problem: groupedProblem, emit: emitGroupedOuter },
  "aten.histc.default": { problem: histcProblem, emit: emitHistc },
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
