/**
 * Operators that run on the host, on their way through lowering: contiguous arguments, results in new buffers.
 */
import { emitEvent } from "../core/mod.ts";
import { type CallNode, inputsOf, isControl, isNode, type Node, type TensorMeta } from "../graph/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import { constant } from "../symbolic/mod.ts";
import { newBuffer, product, shapeOf } from "./buffers.ts";
import { algorithmProblem } from "./codegen/cuda/algorithms/mod.ts";
import type { HostGroup } from "./groups.ts";
import { type Layout, rowMajorStride } from "./lowered.ts";

/** A result that a group writes as a whole. */
export interface WrittenResult {
  readonly buffer: BufferRef;
  readonly layout: Layout;
}

/** A new buffer in row-major order for what a description says. */
export function writtenResult(label: string, meta: TensorMeta): WrittenResult {
  const shape = shapeOf(meta);
  const layout: Layout = { shape, stride: rowMajorStride(shape), offset: constant(0) };
  return { buffer: newBuffer(label, meta.dtype, product(shape)), layout };
}

/** The results of a call, as new buffers. */
export function writtenResults(node: CallNode): WrittenResult[] {
  const metas = (Array.isArray(node.value) ? node.value : [node.value]) as readonly TensorMeta[];
  return metas.map((meta, i) => writtenResult(metas.length === 1 ? node.name : `${node.name}_${i}`, meta));
}

/** Whether a call of an operator with a decomposition stays whole on CUDA, because it has kernels of its own. */
export function isWholeAlgorithm(node: CallNode): boolean {
  return nodeProblem(node) === null;
}

/** Why a call has no kernels of its own on CUDA, as the end of a sentence; null if it has. */
function nodeProblem(node: CallNode): string | null {
  const { args } = node.target.schema;
  const problem = algorithmProblem(node.target, (key) => {
    const value = node.args[args.findIndex((a) => a.key === key)] ?? null;
    return isNode(value) ? value.value : value;
  });
  return problem === null || problem === "" ? problem : `: ${problem}`;
}

/** Lowers a call that runs on the host; `contiguous` yields a source's elements in row-major order, null where it is no tensor. */
export function lowerHost(
  node: CallNode,
  contiguous: (source: Node) => BufferRef | null,
  onCuda: boolean,
): { readonly group: HostGroup; readonly results: readonly WrittenResult[] } {
  const inputs = [...new Set(inputsOf(node))].map(contiguous).filter((buffer) => buffer !== null);
  const results = writtenResults(node);
  const outputs = results.map((r) => r.buffer);
  const { target } = node.target.schema;
  const problem = onCuda ? nodeProblem(node) : "";
  const reasons = [
    isControl(node.target)
      ? `${target} is control flow: the host runs the plans of its graphs`
      : problem === null
      ? `${target} is an algorithm with kernels of its own`
      : `${target} is an algorithm, not a loop: it runs between kernels, on the host, on one core${problem}`,
  ];
  // Control flow runs on the host wherever it is; its graphs are compiled.
  if (!isControl(node.target) && problem !== null) {
    for (const message of reasons) emitEvent({ kind: "fallback", message });
  }
  const group: HostGroup = {
    kind: "host",
    origins: [node],
    stored: new Set(outputs),
    reasons,
    node,
    inputs,
    outputs,
  };
  return { group, results };
}
