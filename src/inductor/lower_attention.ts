/**
 * Which attention stays one operator, and how it becomes a group.
 *
 * On CUDA the template takes query, key, value and mask where they are, as strided memory: views after a transposition and heads that repeat are index
 * arithmetic. What is not in memory yet is stored first. The result is written as its reader wants it: a transposition back to [batch, length, heads,
 * width] that follows finds its rows contiguous. Everything else takes the decomposition, with a sentence why.
 */
import { bfloat16, bool, type DType, emitEvent, expectDefined, float16, InternalError } from "../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../graph/mod.ts";
import { asIndex, extentOf, type LoopVar, loopVar } from "../loops/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { cudaContext, findDriver } from "../runtime/cuda/mod.ts";
import {
  coefficient,
  constant,
  type Expr,
  exprOf,
  freeSymbols,
  isSymInt,
  mul,
  type Size,
  type Sym,
} from "../symbolic/mod.ts";
import { isTensor, type Tensor } from "../tensor/mod.ts";
import { mappedMatrix } from "./attention_maps.ts";
import { algorithmProblem } from "./codegen/cuda/algorithms/mod.ts";
import { denseLayout, shapeOf } from "./buffers.ts";
import type { AttentionGroup, AttentionRole, AttentionTiles, LoadValue } from "./groups.ts";
import { type WrittenResult, writtenResult } from "./lower_host.ts";
import { attentionScores, type InlineGraph, reasonAgainstProgram } from "./lower_scores.ts";
import { flatIndex, isConst, type Layout, type LoweredTensor } from "./lowered.ts";

/** The operators that stay whole, and which kernel each of them is. */
const ROLES: ReadonlyMap<string, AttentionRole> = new Map([
  ["tessera.attention.default", "forward"],
  ["tessera.attention_forward.default", "forward"],
  ["tessera.attention_query_grad.default", "query"],
  ["tessera.attention_key_value_grad.default", "keys"],
  ["tessera.flex_forward.default", "forward"],
  ["tessera.flex_query_grad.default", "query"],
  ["tessera.flex_key_value_grad.default", "keys"],
]);
/** The one of these that needs no gradient. */
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

/** Why attention for training is taken apart where attention as such would not be. */
function reasonToDecomposeTraining(query: Tensor, value: Tensor): string | null {
  const capability = capabilityOf(query.device);
  if (capability !== 90) return `its gradients need compute capability 9.0, not ${capability / 10}`;
  for (const [name, t] of [["query", query], ["value", value]] as const) {
    const width = t.shape[t.ndim - 1];
    if (Number(width) % 8 !== 0) return `the ${name} is ${width} wide, which is no multiple of 8`;
  }
  return null;
}

/** The compute capability of a device; a Hopper's where there is no driver to ask. */
function capabilityOf(device: Tensor["device"]): number {
  const driver = findDriver();
  return driver.ok ? cudaContext(device.index).info.capability : 90;
}

/** Whether the graph has the gradient of an attention: it computes the probabilities again, which the forward then shares with it. */
function hasGradients(graph: Graph): boolean {
  return graph.nodes.some((n) => n.op === "call" && n.target.schema.target === "aten._safe_softmax.default");
}

/** Why a call of an attention operator on CUDA is taken apart; null if it stays whole. */
function reasonFor(op: Operator, args: NamedArgs<Tensor>, query: Tensor, value: Tensor): string | null {
  if (!ROLES.has(op.target)) return "probabilities are dropped";
  const general = reasonToDecompose(query, value, (args["attnMask"] as Tensor | null | undefined) ?? null);
  if (general !== null || op.target === ATTENTION) return general;
  const score = args["score"];
  return reasonToDecomposeTraining(query, value) ?? (typeof score === "string" ? reasonAgainstProgram(score) : null);
}

/** Which operators with a decomposition stay whole in the functional form of a captured graph. */
export function keepsAttention(graph: Graph): (op: Operator, args: NamedArgs<Tensor>) => boolean {
  let known: boolean | null = null;
  const gradients = (): boolean => known ??= hasGradients(graph);
  return (op, args) => {
    if (takesAlgorithm(op, args)) return true;
    if (op.schema.namespace !== "tessera" || !/^(attention|flex_)/.test(op.schema.name)) return false;
    const [query, value] = [args["query"], args["value"]] as (Tensor | null)[];
    if (query === null || query === undefined || value === null || value === undefined) return false;
    if (query.device.type !== "cuda") return false;
    const reason = reasonFor(op, args, query, value) ??
      (op.target === ATTENTION && gradients() ? "its gradient needs the probabilities as well" : null);
    if (reason !== null) emitEvent({ kind: "fallback", message: `attention is made of several kernels: ${reason}` });
    return reason === null;
  };
}

/** Whether a call on CUDA of an operator with a decomposition has kernels of its own. */
export function takesAlgorithm(op: Operator, args: NamedArgs<Tensor>): boolean {
  if (op.kind !== "decompose" || algorithmProblem(op, (key) => args[key] ?? null) !== null) return false;
  return Object.values(args).some((t) => isTensor(t) && t.device.type === "cuda");
}

/** Whether an eager call of an attention operator runs as one kernel. */
export function takesAttention(op: Operator, args: NamedArgs<Tensor>): boolean {
  const [query, value] = [args["query"], args["value"]] as (Tensor | null)[];
  if (!ROLES.has(op.target) || !query || !value) return false;
  return reasonFor(op, args, query, value) === null;
}

/** What lowering lends. */
export interface AttentionHost {
  tensorOf(argument: unknown): LoweredTensor | null;
  /** Stores what a tensor, or a view, is computed from. */
  realize(tensor: LoweredTensor, reason: string): void;
  /** A copy of a tensor in a layout of its own. */
  copy(tensor: LoweredTensor, reason: string): LoweredTensor;
  /** Runs a graph of elementwise operators without storing anything of it. */
  inline: InlineGraph;
}

/** Tiles that a call lists, for the side that its kernel walks. */
function tilesOf(
  lists: readonly LoweredTensor[],
  role: AttentionRole,
  batch: readonly LoopVar[],
  host: AttentionHost,
): AttentionTiles | null {
  const [partialCount, partial, fullCount, full] = role === "keys" ? lists.slice(4) : lists;
  if (partialCount === undefined || partial === undefined || fullCount === undefined || full === undefined) return null;
  const [rows, columns] = partial.shape.slice(-2);
  if (rows === undefined || columns === undefined) throw new InternalError("lists of tiles have four dimensions");
  const [tile, position] = [loopVar(rows), loopVar(columns)];
  const counts = (t: LoweredTensor): LoadValue => loadOf(t, batch, [tile], host);
  const list = (t: LoweredTensor): LoadValue => loadOf(t, batch, [tile, position], host);
  return {
    tile,
    position,
    partialCount: counts(partialCount),
    partial: list(partial),
    fullCount: counts(fullCount),
    full: list(full),
  };
}

/** What every score reads is stored first. */
function stored(tensor: LoweredTensor, host: AttentionHost): LoweredTensor {
  if (!tensor.isInMemory) host.realize(tensor.base, "a function of attention's scores reads it");
  return tensor;
}

/** Makes the group of an attention node; leaves it with where its results are. */
export function attentionGroup(
  node: CallNode,
  host: AttentionHost,
): { readonly group: AttentionGroup; readonly results: readonly WrittenResult[] } {
  const role = ROLES.get(node.target.schema.target);
  const metas = (Array.isArray(node.value) ? node.value : [node.value]) as readonly TensorMeta[];
  const [meta] = metas;
  if (role === undefined || meta === undefined) throw new InternalError(`${node.name} is no attention`);
  const argument = (key: string): unknown => node.args[node.target.schema.args.findIndex((a) => a.key === key)];
  const given = (key: string): LoweredTensor => {
    const tensor = host.tensorOf(argument(key));
    if (tensor === null) throw new InternalError(`${node.name}: its ${key} is no tensor`);
    return tensor;
  };
  const [query, key, value] = [given("query"), given("key"), given("value")];
  const batch = shapeOf(meta).slice(0, -2).map((size) => loopVar(size));
  const at = (tensor: LoweredTensor, d: number): LoopVar =>
    loopVar(tensor.shape[tensor.shape.length - d] ?? constant(1));
  const [m, n, d, e] = [at(query, 2), at(key, 2), at(key, 1), at(value, 1)];
  const isTraining = node.target.schema.target !== ATTENTION;
  const extents = new Map<Sym, Expr>([...batch, m, n].map((v) => [v, extentOf(v)]));
  const operand = (tensor: LoweredTensor, row: LoopVar, column: LoopVar): LoadValue => {
    const found = loadOf(tensor, batch, [row, column], host);
    if (!isTraining || mappedMatrix(found.index, row, column, extents) !== null) return found;
    return loadOf(host.copy(tensor, "attention's rows are read in pieces of 16 bytes"), batch, [row, column], host);
  };
  const isGradient = role !== "forward";
  const several = (key: string): LoweredTensor[] => {
    const list = argument(key);
    return Array.isArray(list) ? list.map((a) => expectDefined(host.tensorOf(a), `${node.name}: ${key}`)) : [];
  };
  const program = argument("score");
  const sizes = [...batch.map(extentOf), extentOf(m), extentOf(n)];
  const scores = typeof program === "string"
    ? attentionScores(
      program,
      role,
      several("captured").map((t) => stored(t, host)),
      [...batch, m, n],
      sizes,
      host.inline,
    )
    : null;
  const mask = isNode(argument("attnMask") as Argument) ? given("attnMask") : null;
  const ofRows = (key: string): LoadValue | null => isGradient ? loadOf(given(key), batch, [m], host) : null;
  const layout = role === "forward" ? layoutFor(node, meta, isTraining) : null;
  const results = metas.map((own, i): WrittenResult => {
    const plain = writtenResult(metas.length === 1 ? node.name : `${node.name}_${i}`, own);
    return i === 0 && layout !== null ? { ...plain, layout } : plain;
  });
  const [first, second] = results;
  if (first === undefined) throw new InternalError(`${node.name} has no result`);
  const inner = role === "forward" ? [m, e] : role === "query" ? [m, d] : [n, d];
  const group: AttentionGroup = {
    kind: "attention",
    role,
    origins: [node],
    stored: new Set(results.map((r) => r.buffer)),
    reasons: ["attention is one kernel that stores no scores"],
    batch,
    m,
    n,
    d,
    e,
    query: operand(query, m, d),
    key: operand(key, n, d),
    value: operand(value, n, e),
    mask: mask === null ? null : loadOf(mask, batch, [m, n], host),
    causal: argument("isCausal") === true,
    scale: Number(argument("scale")),
    grad: isGradient ? operand(given("grad"), m, e) : null,
    lse: ofRows("lse"),
    delta: ofRows("delta"),
    out: first.buffer,
    index: flatIndex(first.layout, asIndex([...batch, ...inner])),
    scores,
    tiles: tilesOf(several("blocks"), role, batch, host),
    second: second === undefined ? null : {
      out: second.buffer,
      index: flatIndex(second.layout, asIndex([...batch, ...(role === "forward" ? [m] : [n, e])])),
    },
  };
  return { group, results };
}

/** The element of an operand as one affine load: from where it is, if that is strided memory, else from where it is stored now. */
function loadOf(
  tensor: LoweredTensor,
  batch: readonly LoopVar[],
  inner: readonly LoopVar[],
  host: AttentionHost,
): LoadValue {
  const rank = tensor.shape.length;
  const vars = [...batch, ...inner];
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
    for (const v of inner) {
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

/** Operators that see a result in another order. */
const MOVES: ReadonlySet<string> = new Set(["view", "transpose", "permute"]);

function nameOf(node: Node): string {
  return node.op === "call" ? node.target.schema.name : node.op;
}

/** The layout that makes the transposition after an attention contiguous, if that is all that reads it; else the one of the description. */
function layoutFor(node: CallNode, meta: TensorMeta, isOneOfSeveral: boolean): Layout {
  const plain = denseLayout(meta);
  const rank = meta.shape.length;
  const first = isOneOfSeveral ? [...node.users].find((u) => u.op === "getItem" && u.index === 0) : node;
  if (first === undefined) return plain;
  let at: Node = first;
  let readers = [...at.users];
  // Gradients read the result as well, element by element, and do not mind how it lies; who gets it from the graph does.
  if (isOneOfSeveral && readers.every((u) => u.op === "call")) readers = readers.filter((u) => MOVES.has(nameOf(u)));
  let [user] = readers;
  // Batches may be seen as one dimension in between.
  if (user?.op === "call" && user.target.schema.name === "view" && readers.length === 1 && isTensorMeta(user.value)) {
    const seen = user.value.shape;
    if (seen.length < 3 || meta.shape.slice(-3).some((s, i) => s !== seen[seen.length - 3 + i])) return plain;
    at = user;
    readers = [...at.users];
    [user] = readers;
  }
  if (rank < 3 || readers.length !== 1 || user?.op !== "call" || !isTensorMeta(user.value)) return plain;
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
  return ROLES.has(node.target.schema.target) && isNode(node.args[0]);
}
