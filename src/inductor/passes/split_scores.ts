/**
 * Attention over many positions, in parts: its scores would take more memory than everything else in the model.
 *
 * Enters: a graph of inference on the CPU, where attention is two products with the scores in memory between them. Leaves: the same attention over slices of samples, heads, and, where one head's
 * scores are too many by themselves, rows; what comes out is put together again. Parts follow each other in the same memory, near enough to the processor to be quicker as well. Softmax is
 * over whole rows, so nothing changes but the order of work. PyTorch's own kernel never has all scores at once (Dao et al., "FlashAttention", 2022; ATen's `flash_attention_kernel_impl`).
 */
import { type Argument, type CallNode, type Graph, isNode, isTensorMeta, type Node } from "../../graph/mod.ts";
import { contiguousStride } from "../../symbolic/mod.ts";
import { addCall } from "./add_call.ts";

/** When attention is cut. */
export interface ScoreLimits {
  /** Fewer bytes of scores are left as they are. */
  readonly least: number;
  /** Bytes of a part: what the caches of a few cores hold. */
  readonly part: number;
  /** Parts of one attention, at most, as long as a head is not more than that: each is some kernels more to compile. */
  readonly mostParts: number;
}

const LIMITS: ScoreLimits = { least: 32 << 20, part: 16 << 20, mostParts: 16 };

const ATTENTION = "aten.scaled_dot_product_attention.default";

/** How an attention is cut. */
interface Parts {
  /** How many samples, heads and rows a part has. */
  readonly sizes: readonly [number, number, number];
  readonly shape: readonly [number, number, number];
  /** Results lie row by row with all heads of a row together, as those who put heads together again want them. */
  readonly isTurned: boolean;
}

function argument(node: CallNode, key: string): Argument {
  return node.args[node.target.schema.args.findIndex((a) => a.key === key)] ?? null;
}

/** The sizes of a tensor of four dimensions; null if they change. */
function sizesOf(value: Argument): readonly number[] | null {
  if (!isNode(value) || !isTensorMeta(value.value)) return null;
  const { shape, device } = value.value;
  const sizes = shape.filter((size): size is number => typeof size === "number");
  return device.type === "cpu" && shape.length === 4 && sizes.length === 4 ? sizes : null;
}

/** Into which parts an attention is cut; null if it stays whole. */
function partsOf(node: CallNode, limits: ScoreLimits): Parts | null {
  const [query = null, key = null, value = null] = ["query", "key", "value"].map((k) => sizesOf(argument(node, k)));
  if (query === null || key === null || value === null || argument(node, "enableGqa") === true) return null;
  const [samples = 0, heads = 0, rows = 0] = query;
  if ([key, value].some(([n, h]) => n !== samples || h !== heads)) return null;
  const mask = argument(node, "attnMask");
  if (mask !== null && (!isNode(mask) || !isTensorMeta(mask.value) || mask.value.shape.length > 4)) return null;
  const row = 4 * (key[2] ?? 0), whole = samples * heads * rows * row;
  if (whole < limits.least || argument(node, "dropoutP") !== 0) return null;
  const part = Math.max(limits.part, whole / limits.mostParts);
  const fit = (unit: number, most: number): number => Math.max(1, Math.min(most, Math.floor(part / unit)));
  // Equal parts as far as they go: their kernels are the same then.
  const even = (count: number, most: number): number => Math.ceil(count / Math.ceil(count / most));
  const ofSamples = even(samples, fit(heads * rows * row, samples));
  const ofHeads = even(heads, ofSamples > 1 ? heads : fit(rows * row, heads));
  // A causal mask counts rows from the first.
  const isCausal = argument(node, "isCausal") === true;
  const ofRows = isCausal || ofHeads > 1 ? rows : even(rows, fit(row, rows));
  const sizes = [ofSamples, ofHeads, ofRows] as const;
  const isTurned = isTurnedResult(node, [samples, heads, rows, value[3] ?? 0]);
  if (isTurned === null || sizes.every((size, d) => size >= (query[d] ?? 0))) return null;
  return { sizes, shape: [samples, heads, rows], isTurned };
}

/** Whether a result's rows have all heads together; null if it lies otherwise, for views of it were checked against its strides. */
function isTurnedResult(node: CallNode, shape: readonly [number, number, number, number]): boolean | null {
  if (!isTensorMeta(node.value)) return null;
  const { stride } = node.value;
  const lies = (order: readonly number[]): boolean => {
    const whole = contiguousStride(order.map((d) => shape[d] ?? 1));
    return order.every((d, i) => shape[d] === 1 || stride[d] === whole[i]);
  };
  return lies([0, 1, 2, 3]) ? false : lies(TURN) ? true : null;
}

/** Samples, rows, heads, width; the same order leads back. */
const TURN = [0, 2, 1, 3];

/** The ranges of a dimension, `size` long each but for the last. */
function ranges(count: number, size: number): (readonly [from: number, to: number])[] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => [i * size, Math.min(count, (i + 1) * size)]);
}

function inParts(graph: Graph, node: CallNode, { sizes, shape, isTurned }: Parts): Node {
  const cut = (value: Argument, dim: number, [from, to]: readonly [number, number]): Argument => {
    if (!isNode(value) || !isTensorMeta(value.value)) return value;
    // Masks may have fewer dimensions, and one row for all.
    const own = dim - 4 + value.value.shape.length, size = value.value.shape[own];
    if (size === undefined || size === 1 || (from === 0 && size === to)) return value;
    return addCall(graph, "aten.slice.Tensor", [value, own, from, to, 1]);
  };
  const { schema } = node.target;
  const over = (args: readonly Argument[], dim: number): Node => {
    if (dim === 3) {
      const made = addCall(graph, ATTENTION, args);
      made.location = node.location;
      return isTurned ? addCall(graph, "aten.permute.default", [made, TURN]) : made;
    }
    const parts = ranges(shape[dim] ?? 1, sizes[dim] ?? 1).map((range) =>
      over(
        args.map((value, i) => {
          const { key } = schema.args[i] ?? {};
          if (key === "query" || key === "attnMask") return cut(value, dim, range);
          return (key === "key" || key === "value") && dim < 2 ? cut(value, dim, range) : value;
        }),
        dim + 1,
      )
    );
    const [first] = parts as [Node];
    return parts.length === 1 ? first : addCall(graph, "aten.cat.default", [parts, isTurned ? TURN[dim] ?? dim : dim]);
  };
  const whole = over(node.args, 0);
  return isTurned ? addCall(graph, "aten.permute.default", [whole, TURN]) : whole;
}

/** Rewrites in place; returns how many attentions were cut. `written` are nodes whose memory the graph writes. */
export function splitScores(graph: Graph, written: ReadonlySet<Node>, limits: ScoreLimits = LIMITS): number {
  const gone: Node[] = [];
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || node.target.schema.target !== ATTENTION || written.has(node)) continue;
    const parts = partsOf(node, limits);
    if (parts === null) continue;
    const made = graph.insertBefore(node, () => inParts(graph, node, parts));
    graph.replaceAllUses(node, made);
    gone.push(node);
  }
  if (gone.length > 0) graph.erase(...gone);
  return gone.length;
}
