/**
 * When a lazy tensor goes to memory: the heuristics of TorchInductor's tutorial, as pure functions of counts.
 *
 * Inlining trades memory traffic for recomputation. A value with many reads, or one that several users would each compute again, is
 * stored instead; the scheduler may still fuse producer and consumers into one kernel, where the store costs nothing if nobody else reads it.
 */
import { config, type DType, float32 } from "../core/mod.ts";
import { type BufferRef, extentOf, foldValue, type LoopNode, type LoopVar, type Value } from "../loops/mod.ts";
import { type Expr } from "../symbolic/mod.ts";
import type { ValueCost } from "./lowered.ts";

/** More distinct reads than this and the value is stored, however few users it has. */
export const MAX_READS = 8;
/** With several users: more reads than this and the value is stored. */
const MAX_READS_SHARED = 4;
/** With several users: more operations than this and the value is stored. */
const MAX_OPERATIONS_SHARED = 30;
/** With several users: heavier than this many additions and the value is stored (random bits, long special functions). */
const MAX_WEIGHT_SHARED = 48;
/** More operations than this and the value is stored, so that bodies stay small and lowering stays linear. */
const MAX_OPERATIONS = 96;
/** A contraction loads its operands more than once: what is heavier than this is computed beforehand. */
const MAX_PROLOGUE_WEIGHT = 4;
/** A contraction's operand may combine this many reads. */
const MAX_PROLOGUE_READS = 2;
/** An operator that loads an input at this many places recomputes it as often. */
const MAX_STENCIL_WORK = 8;
/** What a product's end reads besides, a bias or a factor for each channel, is smaller than its result by this. */
const SMALL_OPERAND = 8;
/** A reduction over at most this many elements may become pointwise. */
export const MAX_UNROLLED = 8;

/** Why a lazy value with this many users should be stored, or null if it should stay lazy. */
export function reasonToRealize(cost: ValueCost, users: number): string | null {
  if (cost.reads > MAX_READS) return `it reads ${cost.reads} places (more than ${MAX_READS})`;
  if (cost.operations > MAX_OPERATIONS) return `it takes ${cost.operations} operations (more than ${MAX_OPERATIONS})`;
  if (users < 2) return null;
  if (cost.reads > MAX_READS_SHARED) return `${users} users would each repeat its ${cost.reads} reads`;
  if (cost.operations > MAX_OPERATIONS_SHARED) {
    return `${users} users would each repeat its ${cost.operations} operations`;
  }
  if (cost.weight > MAX_WEIGHT_SHARED) return `${users} users would each repeat work worth ${cost.weight} additions`;
  return null;
}

/** Rows below which a product has no use for tensor cores: what is read is widened on the way. */
const FEW_ROWS = 4;

/** Whether tensor cores multiply elements of a dtype from where they lie: halves, and float32 that may be rounded to tf32, of products of more than a few rows. */
function isMultipliedAsItIs(dtype: DType, loop: LoopNode, hint: (e: Expr) => number): boolean {
  if (loop.kind !== "contraction" || Math.min(elementsOf(loop.m, hint), elementsOf(loop.n, hint)) < FEW_ROWS) {
    return false;
  }
  return dtype.bytes === 2 || (dtype === float32 && config().float32MatmulPrecision !== "highest");
}

/**
 * Why an operand of a contraction should be stored first, or null if it can be computed while it is packed. For tensor cores, which are fed from memory by
 * copies, it must be stored as it is (`asItIs`).
 */
function reasonToRealizeOperand(cost: ValueCost, asItIs = false, isConvolution = false): string | null {
  if (asItIs && isConvolution) return "a convolution reads pixels and weights where they lie side by side";
  if (asItIs && cost.operations + cost.casts > 0) return "tensor cores read it as it is in memory";
  if (cost.weight > MAX_PROLOGUE_WEIGHT) return `a contraction would repeat work worth ${cost.weight} additions`;
  if (cost.reads > MAX_PROLOGUE_READS) return `a contraction would repeat its ${cost.reads} reads`;
  return null;
}

/** Why an input that is loaded at `places` indices by one operator should be stored first, or null. Copies of `weights` are made so that they are read in vectors. */
function reasonToRealizeStencil(cost: ValueCost, places: number, weights = false): string | null {
  if (weights && cost.operations + cost.casts === 0) {
    return "the weights of a window are read where they lie side by side";
  }
  if (places < 2 || cost.operations === 0) return null;
  const work = places * Math.max(cost.weight, cost.operations);
  return work > MAX_STENCIL_WORK ? `one operator loads it at ${places} places` : null;
}

/** How an operator reads one of its inputs. */
interface Reading {
  readonly places: number;
  readonly isConvolution: boolean;
  readonly isSecond: boolean;
  readonly onCuda: boolean;
  readonly inline: boolean;
}

/** Why an input should be stored before a loop reads it, or null. */
export function reasonToRealizeInput(
  loop: LoopNode,
  { cost, dtype }: { readonly cost: ValueCost; readonly dtype: DType },
  { places, isConvolution, isSecond, onCuda, inline }: Reading,
  hint: (e: Expr) => number,
): string | null {
  if (loop.kind === "contraction" && places > 0) {
    return reasonToRealizeOperand(cost, onCuda && isMultipliedAsItIs(dtype, loop, hint), isConvolution);
  }
  if (!inline && places > 0) return "inlining is turned off";
  // A loop over a window reads each element from as many places as the window has.
  const window = isConvolution && loop.kind === "reduction" ? elementsOf(loop.reduceVars, hint) : 1;
  return reasonToRealizeStencil(cost, places * window, onCuda && isConvolution && isSecond);
}

function elementsOf(axes: readonly LoopVar[], hint: (e: Expr) => number): number {
  return axes.reduce((n, v) => n * hint(extentOf(v)), 1);
}

/**
 * Why what follows a product should be stored in its place, or null: several users would each finish it anew, where the product can write it finished. It may read
 * nothing else of that size.
 */
export function reasonToFinish(
  value: Value,
  numel: Expr,
  users: number,
  isProduct: (buffer: BufferRef) => boolean,
  hint: (e: Expr) => number,
): string | null {
  if (users < 2 || value.kind === "load") return null;
  let products = 0;
  let others = 0;
  foldValue([value], (v) => {
    if (v.kind !== "load") return null;
    if (v.buffer.numel === numel && isProduct(v.buffer)) products++;
    else if (hint(v.buffer.numel) * SMALL_OPERAND > hint(numel)) others++;
    return null;
  });
  return products === 1 && others === 0 ? `${users} users would each finish the product before it` : null;
}
