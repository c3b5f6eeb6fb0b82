/**
 * Which attention stays one operator, and how it becomes a group.
 *
 * On CUDA the template takes query, key, value and mask where they are, as strided memory: views after a transposition and heads that repeat are index
 * arithmetic. What is not in memory yet is stored first. The result is written as its reader wants it: a transposition back to [batch, length, heads,
 * width] that follows finds its rows contiguous. Everything else takes the decomposition, with a sentence why.
 */
import { bfloat16, bool, type DType, emitEvent, float16, InternalError } from "../core/mod.ts";
import { type CallNode, type Graph, isNode, isTensorMeta, type Node, type TensorMeta } from "../graph/mod.ts";
import { asIndex, type BufferRef, type LoopVar, loopVar } from "../loops/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { coefficient, constant, exprOf, freeSymbols, isSymInt, mul, type Size } from "../symbolic/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { denseLayout, product, shapeOf } from "./buffers.ts";
import type { AttentionGroup, LoadValue } from "./groups.ts";
import { flatIndex, isConst, type Layout, type LoweredTensor } from "./lowered.ts";

/** The operator that stays whole. */
export const ATTENTION = "tessera.attention.default";
/** The widest heads that the template has registers for. */
const MAX_WIDTH = 128;

interface Described {
  readonly shape: readonly Size[];
  readonly dtype: DType;
  readonly device: { readonly type: string };
}

/** Why an attention is taken apart; null if it stays whole. */
export function reasonToDecompose(query: Described, value: Described, mask: Described | null): string | null {
  if (query.device.type !== "cuda") return "there is a template for CUDA only";
  if (query.dtype !== float16 && query.dtype !== bfloat16) return `tensor cores take halves, not ${query.dtype.name}`;
  for (const [name, t] of [["query", query], ["value", value]] as const) {
    const width = t.shape[t.shape.length - 1];
    if (isSymInt(width) || width === undefined) return `the width of the ${name} is not known`;
    if (width > MAX_WIDTH || width < 1) return `heads are ${width} wide, and the template takes 1 to ${MAX_WIDTH}`;
  }
  if (mask !== null && mask.dtype !== bool && !(mask.dtype.isFloat && mask.dtype.bytes <= 4)) {
    return `the mask is ${mask.dtype.name}`;
  }
  return null;
}

/** Whether the graph has the gradient of an attention: it computes the probabilities again, which the forward then shares with it. */
function hasGradients(graph: Graph): boolean {
  return graph.nodes.some((n) => n.op === "call" && n.target.schema.target === "aten._safe_softmax.default");
}

/** Which operators with a decomposition stay whole in the functional form of a captured graph without gradients. */
export function keepsAttention(graph: Graph): (op: Operator, args: NamedArgs<Tensor>) => boolean {
  let known: boolean | null = null;
  const gradients = (): boolean => known ??= hasGradients(graph);
  return (op, args) => {
    if (op.schema.namespace !== "tessera" || !op.schema.name.startsWith("attention")) return false;
    const [query, value, mask] = [args["query"], args["value"], args["attnMask"]] as (Tensor | null)[];
    if (query === null || query === undefined || value === null || value === undefined) return false;
    if (query.device.type !== "cuda") return false;
    const reason = op.target !== ATTENTION
      ? "probabilities are dropped"
      : reasonToDecompose(query, value, mask ?? null) ??
        (gradients() ? "its gradient needs the probabilities as well" : null);
    if (reason !== null) emitEvent({ kind: "fallback", message: `attention is made of several kernels: ${reason}` });
    return reason === null;
  };
}

/** What lowering lends. */
export interface AttentionHost {
  tensorOf(argument: unknown): LoweredTensor | null;
  /** Stores what a tensor, or a view, is computed from. */
  realize(tensor: LoweredTensor, reason: string): void;
  /** A copy of a tensor in a layout of its own. */
  copy(tensor: LoweredTensor, reason: string): LoweredTensor;
  newBuffer(numel: ReturnType<typeof product>): BufferRef;
}

/** Makes the group of an attention node; leaves it with the layout of its result. */
export function attentionGroup(
  node: CallNode,
  meta: TensorMeta,
  host: AttentionHost,
): { readonly group: AttentionGroup; readonly layout: Layout } {
  const shape = shapeOf(meta);
  const [q, k, v, maskNode, causal, scale] = node.args;
  const given = (argument: unknown, name: string): LoweredTensor => {
    const tensor = host.tensorOf(argument);
    if (tensor === null) throw new InternalError(`${node.name}: its ${name} is no tensor`);
    return tensor;
  };
  const [query, key, value] = [given(q, "query"), given(k, "key"), given(v, "value")];
  const batch = shape.slice(0, -2).map((size) => loopVar(size));
  const at = (tensor: LoweredTensor, d: number): LoopVar =>
    loopVar(tensor.shape[tensor.shape.length - d] ?? constant(1));
  const [m, n, d, e] = [at(query, 2), at(key, 2), at(key, 1), at(value, 1)];
  const operand = (tensor: LoweredTensor, row: LoopVar, column: LoopVar): LoadValue =>
    loadOf(tensor, batch, row, column, host);
  const layout = layoutFor(node, meta);
  const out = host.newBuffer(product(shape));
  const mask = maskNode === null || maskNode === undefined ? null : operand(given(maskNode, "mask"), m, n);
  const group: AttentionGroup = {
    kind: "attention",
    origins: [node],
    stored: new Set([out]),
    reasons: ["attention is one kernel that stores no scores"],
    batch,
    m,
    n,
    d,
    e,
    query: operand(query, m, d),
    key: operand(key, n, d),
    value: operand(value, n, e),
    mask,
    causal: causal === true,
    scale: Number(scale),
    out,
    index: flatIndex(layout, asIndex([...batch, m, e])),
  };
  return { group, layout };
}

/** The element of an operand as one affine load: from where it is, if that is strided memory, else from where it is stored now. */
function loadOf(
  tensor: LoweredTensor,
  batch: readonly LoopVar[],
  row: LoopVar,
  column: LoopVar,
  host: AttentionHost,
): LoadValue {
  const rank = tensor.shape.length;
  const vars = [...batch, row, column];
  // Missing and single dimensions are broadcast.
  const index = tensor.shape.map((size, i) => {
    const v = vars[vars.length - rank + i];
    return v === undefined || isConst(size, 1) ? constant(0) : asIndex([v])[0] ?? constant(0);
  });
  const known = new Set<unknown>(vars);
  const load = (t: LoweredTensor): LoadValue | null => {
    const value = t.load(index);
    if (value.kind !== "load") return null;
    for (const sym of freeSymbols(value.index)) {
      if (sym.kind === "indirect" || (sym.kind === "index" && !known.has(sym))) return null;
    }
    for (const v of [row, column]) {
      const stride = coefficient(value.index, v);
      if (stride === null || [...freeSymbols(stride)].some((sym) => sym.kind === "index")) return null;
    }
    return value;
  };
  let found = load(tensor);
  if (found === null && !tensor.isInMemory) {
    host.realize(tensor.base, "attention reads strided memory");
    found = load(tensor);
  }
  found ??= load(host.copy(tensor, "attention reads strided memory"));
  if (found === null) throw new InternalError(`${tensor.node.name} was stored, and is no strided memory`);
  return found;
}

/** The layout that makes the transposition after an attention contiguous, if that is all that reads it; else the one of the description. */
function layoutFor(node: CallNode, meta: TensorMeta): Layout {
  const plain = denseLayout(meta);
  const rank = meta.shape.length;
  let at: Node = node;
  let [user] = node.users;
  // Batches may be seen as one dimension in between.
  if (user?.op === "call" && user.target.schema.name === "view" && node.users.size === 1 && isTensorMeta(user.value)) {
    const seen = user.value.shape;
    if (seen.length < 3 || meta.shape.slice(-3).some((s, i) => s !== seen[seen.length - 3 + i])) return plain;
    at = user;
    [user] = at.users;
  }
  if (rank < 3 || at.users.size !== 1 || user?.op !== "call" || !isTensorMeta(user.value)) return plain;
  const own = user.value.shape.length;
  const name = user.target.schema.name;
  const dims = user.args.slice(1).flat().map((x) => typeof x === "number" ? (x < 0 ? x + own : x) : -1);
  const swaps = name === "transpose"
    ? dims.length === 2 && dims.includes(own - 3) && dims.includes(own - 2)
    : name === "permute" && dims.length === own &&
      dims.every((x, i) => x === (i === own - 3 ? own - 2 : i === own - 2 ? own - 3 : i));
  if (!swaps) return plain;
  const [heads, length, width] = meta.shape.slice(-3).map(exprOf);
  if (heads === undefined || length === undefined || width === undefined) return plain;
  const stride = [...plain.stride];
  stride[rank - 3] = width;
  stride[rank - 2] = mul(heads, width);
  return isPlainTail(plain, width) ? { ...plain, stride } : plain;
}

/** Whether the last two dimensions of a layout lie together: then heads may move between them. */
function isPlainTail(layout: Layout, width: Layout["offset"]): boolean {
  const rank = layout.shape.length;
  const length = layout.shape[rank - 2] ?? constant(1);
  return layout.stride[rank - 2] === width && isConst(layout.stride[rank - 1] ?? width, 1) &&
    layout.stride[rank - 3] === mul(length, width);
}

/** Whether a call is an attention that was kept whole. */
export function isWholeAttention(node: CallNode): boolean {
  return node.target.schema.target === ATTENTION && isNode(node.args[0]);
}
