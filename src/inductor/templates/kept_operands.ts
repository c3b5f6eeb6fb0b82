/**
 * Operands of contractions that are worth keeping packed: weights, which are the same at each call.
 *
 * Enters: a contraction and one of its operands. Leaves: the buffers that it is made of (several where weights are multiplied together) and the bytes of its packed form, or null where packing costs little beside
 * the product, or its form is not fixed. Mirrors the weights that MKL-DNN prepacks for TorchInductor (`mkldnn_fusion.py`).
 */
import type { BufferRef } from "../../loops/mod.ts";
import { constantValue, dependsOn, type Expr } from "../../symbolic/mod.ts";
import type { KeptOperand } from "../codegen/cpp/emit_tile.ts";
import { walkStatements } from "../tile/parameters.ts";
import type { Axis, ContractionKernel, OperandProgram } from "../tile/tile_ir.ts";

/** An element that is used more often than this in a call is packed in a small part of the time that its products take. */
const MOST_USES = 2048;
/** Smaller operands stay in the caches. */
const LEAST_ELEMENTS = 4096;

/** Packed forms that are larger than their weights may take so much more than all weights of a plan together. */
const MOST_GROWTH = 1 / 8;

/** What packed forms may still take beyond their weights' own size. Who comes first is served first: early convolutions use each weight most often. */
export class KeptBudget {
  #left: number;

  /** @param weights The attributes of a plan. */
  constructor(weights: Iterable<BufferRef>) {
    this.#left = 0;
    for (const weight of weights) this.#left += MOST_GROWTH * bytesOf(weight);
  }

  /** Takes what a packed form needs, if there is so much left. */
  take({ sources, bytes }: Pick<KeptOperand, "sources" | "bytes">): boolean {
    const growth = bytes - sources.reduce((n, source) => n + bytesOf(source), 0);
    if (growth > this.#left) return false;
    this.#left -= Math.max(0, growth);
    return true;
  }
}

function bytesOf({ numel, dtype }: BufferRef): number {
  return (constantValue(numel) ?? 0) * dtype.bytes;
}

function countOf(axes: readonly Axis[]): number | null {
  let count = 1;
  for (const { extent } of axes) {
    const size = constantValue(extent);
    if (size === null) return null;
    count *= size;
  }
  return count;
}

/** The buffers that an operand is read from, in the order of its loads. */
export function operandSources(operand: OperandProgram): Set<BufferRef> {
  const sources = new Set<BufferRef>();
  walkStatements(operand.body, (s) => {
    if (s.kind === "load") sources.add(s.buffer);
  });
  return sources;
}

/**
 * What is kept of an operand, if it may be.
 *
 * @param uses How often each element is used in a call: the extent of the other operand's rows.
 * @param panelBytes Bytes of one position of k in a panel.
 * @param width Rows of a panel.
 */
export function keepOperand(
  kernel: ContractionKernel,
  operand: OperandProgram,
  uses: Expr,
  panelBytes: number,
  width: number,
): Omit<KeptOperand, "form"> | null {
  const [batches, rows, k] = [kernel.batch, operand.rows, operand.k].map(countOf);
  // A size that only a call knows counts as few.
  const used = constantValue(uses) ?? 0;
  if (batches === null || batches === undefined || rows === null || rows === undefined) return null;
  if (k === null || k === undefined) return null;
  if (used > MOST_USES || batches * rows * k < LEAST_ELEMENTS) return null;
  const sources = operandSources(operand);
  let isPlain = true;
  const missing = new Set(kernel.batch);
  walkStatements(operand.body, (s) => {
    if (s.kind === "store" || s.kind === "combine") isPlain = false;
    if (s.kind !== "load") return;
    for (const axis of missing) if (dependsOn(s.index, axis.symbol)) missing.delete(axis);
  });
  // An operand that all batches share would be kept once for each.
  if (!isPlain || sources.size === 0 || (missing.size > 0 && batches > 1)) return null;
  // Only weights put together are read from several places.
  if (sources.size > 1 && batches > 1) return null;
  const bytes = batches * Math.ceil(rows / width) * k * panelBytes;
  // A vector's slack, and whole cache lines.
  return { sources: [...sources], bytes: Math.ceil(bytes / 64) * 64 + 128 };
}
