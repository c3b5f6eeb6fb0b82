/**
 * Linear layers of one input become one: query, key and value of attention are slices of a single product.
 *
 * Enters: a graph of inference whose weights and biases are attributes that it does not write. Layers near each other are merged if they read the same tensor (views of one
 * tensor count as the same); what the graph returns or writes stays. Weights are not in memory twice: on the CPU the product reads them from where they are
 * and keeps its packed form alone (`kept_operands.ts`); on CUDA they become parts of one matrix, which take the place of their own memory. Not merged is
 * what gains nothing: two layers whose results meet in elementwise operators at once, as gate and up of a gated MLP do, are a product and its epilogue as they are.
 * Mirrors `group_batch_fusion.py` and the merged `addmm`s of TorchInductor's freezing passes.
 */
import { cpu } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type GetAttrNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { type ArgValue, getOp, isOperator, type NamedArgs } from "../../ops/mod.ts";
import { isSymInt, sizeSame } from "../../symbolic/mod.ts";
import { fakeTensor, inferMeta, type Tensor } from "../../tensor/mod.ts";
import type { FrozenConstants } from "./frozen.ts";
import { joined, shareMemory } from "./joined.ts";
import { newLayouts } from "./new_layouts.ts";
import { returnedNodes } from "./returned.ts";

/** As many as a contraction packs from where they lie (`lower_cat.ts`). */
const MOST = 4;
/** Layers further apart than this many nodes belong to different parts of a model: their results would wait in memory. */
const NEAR = 48;
/** Shorter sums are not worth it on a processor: the slices cost what one packing of the input saves. */
const LEAST_SUM = 128;

const VIEWS: ReadonlySet<string> = new Set(["view", "_unsafe_view", "reshape"]);
const TURNS: ReadonlySet<string> = new Set(["t", "transpose", "permute", "numpy_T"]);

interface Layer {
  readonly node: CallNode;
  readonly meta: TensorMeta;
  readonly input: Node;
  readonly weight: GetAttrNode;
  readonly bias: GetAttrNode | null;
  /** The weight's dimension of outputs: 0 as `linear` has it, 1 as `mm` has it. */
  readonly dim: 0 | 1;
  readonly width: number;
}

function argument(node: CallNode, key: string): Argument {
  const at = node.target.schema.args.findIndex((a) => a.key === key);
  return at < 0 ? null : node.args[at] ?? null;
}

function metaOf(node: Node): TensorMeta | null {
  return isTensorMeta(node.value) ? node.value : null;
}

/** A matrix that is an attribute, and whether it is turned. */
function matrixOf(value: Argument): { readonly weight: GetAttrNode; readonly turned: boolean } | null {
  if (!isNode(value)) return null;
  const rank = metaOf(value)?.shape.length;
  if (rank !== 2) return null;
  if (value.op === "getAttr") return { weight: value, turned: false };
  if (value.op !== "call" || !TURNS.has(value.target.schema.name)) return null;
  const [from] = value.args;
  if (from === undefined || !isNode(from) || from.op !== "getAttr" || metaOf(from)?.shape.length !== 2) return null;
  // Both dimensions are named once, so that a turn that changes nothing has its first dimension first.
  const [first] = (Array.isArray(value.args[1]) ? value.args[1] : []) as readonly Argument[];
  const stays = value.target.schema.name === "permute" && (first === 0 || first === -2);
  const same = value.target.schema.name === "transpose" && value.args[1] === value.args[2];
  return stays || same ? null : { weight: from, turned: true };
}

/** A linear layer with known weights; null for anything else. */
function layerOf(node: Node): Layer | null {
  if (node.op !== "call") return null;
  const { target } = node.target.schema;
  const meta = metaOf(node);
  let input: Argument, matrix: Argument, bias: Argument = null;
  if (target === "aten.linear.default") {
    [input, matrix, bias] = [argument(node, "input"), argument(node, "weight"), argument(node, "bias")];
  } else if (target === "aten.mm.default" || target === "aten.matmul.default") {
    [input, matrix] = [node.args[0] ?? null, node.args[1] ?? null];
  } else if (target === "aten.addmm.default") {
    if (argument(node, "beta") !== 1 || argument(node, "alpha") !== 1) return null;
    [bias, input, matrix] = [argument(node, "self"), argument(node, "mat1"), argument(node, "mat2")];
  } else return null;
  const found = matrixOf(matrix);
  if (found === null || meta === null || !isNode(input)) return null;
  const { weight, turned } = found;
  const shape = metaOf(weight)?.shape;
  const rank = metaOf(input)?.shape.length ?? 0;
  const isLinear = target === "aten.linear.default";
  const dim = isLinear !== turned ? 0 : 1;
  const width = shape?.[dim];
  if (rank < 2 || typeof width !== "number" || typeof shape?.[1 - dim] !== "number") return null;
  if (isLinear && turned) return null;
  if (bias === null) return { node, meta, input, weight, bias, dim, width };
  if (!isNode(bias) || bias.op !== "getAttr") return null;
  const sizes = metaOf(bias)?.shape ?? [];
  return sizes.length === 1 && sizes[0] === width ? { node, meta, input, weight, bias, dim, width } : null;
}

/** The same text for inputs that hold the same elements: exported programs view a tensor anew for each product. */
function inputKey(input: Node): string {
  if (input.op !== "call" || !VIEWS.has(input.target.schema.name)) return `${input.id}`;
  const [of, ...rest] = input.args;
  const plain = (a: Argument): string | null =>
    Array.isArray(a)
      ? `[${(a as readonly Argument[]).map(plain)}]`
      : typeof a === "number" || isSymInt(a)
      ? String(a)
      : null;
  const shown = rest.map(plain);
  return of === undefined || !isNode(of) || shown.includes(null) ? `${input.id}` : `${of.id}:${shown}`;
}

/** Layers that may be one: of one input, near each other, in the order of the graph. */
function groupsOf(graph: Graph, positions: ReadonlyMap<Node, number>, stays: (node: Node) => boolean): Layer[][] {
  const open = new Map<string, Layer[]>();
  const groups: Layer[][] = [];
  const at = (node: Node): number => positions.get(node) ?? -1;
  for (const node of graph.nodes) {
    const layer = layerOf(node);
    if (layer === null || stays(node)) continue;
    const { input, weight, bias, dim, meta } = layer;
    if ([input, weight, bias].some((n) => n !== null && stays(n))) continue;
    if (meta.device === cpu && Number(metaOf(weight)?.shape[1 - dim]) < LEAST_SUM) continue;
    const { dtype, device } = meta;
    const sources = [input, weight, ...(bias === null ? [] : [bias])];
    if (sources.some((n) => metaOf(n)?.dtype !== dtype || metaOf(n)?.device !== device)) continue;
    const key = `${inputKey(input)}/${dim}/${meta.shape.length}`;
    let group = open.get(key);
    const [first] = group ?? [];
    const last = group?.at(-1);
    const fits = group !== undefined && first !== undefined && last !== undefined && group.length < MOST &&
      at(node) - at(last.node) <= NEAR && at(weight) < at(first.node) &&
      (bias === null || at(bias) < at(first.node)) &&
      group.every((other) => other.weight !== weight);
    if (!fits) {
      open.set(key, group = []);
      groups.push(group);
    }
    group?.push(layer);
  }
  return groups.filter((group) => group.length > 1);
}

/** Elementwise operators, as far as products take them for their epilogue. */
const ELEMENTWISE: ReadonlySet<string> = new Set(
  "add sub mul div silu gelu relu sigmoid tanh elu leaky_relu hardswish hardsigmoid softplus clamp clamp_min pow neg exp _to_copy to"
    .split(" "),
);

/** What elementwise operators make of a result, as long as each has one user. */
function epilogueOf(node: Node): Set<Node> {
  const found = new Set<Node>();
  let at: Node = node;
  for (;;) {
    const [user] = at.users;
    if (at.users.size !== 1 || user === undefined || user.op !== "call") return found;
    const { target } = user;
    if (!isOperator(target) || (!ELEMENTWISE.has(target.schema.name) && !VIEWS.has(target.schema.name))) return found;
    found.add(user);
    at = user;
  }
}

/** Whether two of the results meet in an elementwise operator that one of the products would have as its epilogue. */
function meetsInEpilogue(group: readonly Layer[]): boolean {
  const seen = new Set<Node>();
  for (const { node } of group) {
    const own = epilogueOf(node);
    for (const user of own) if (seen.has(user)) return true;
    for (const user of own) seen.add(user);
  }
  return false;
}

class Merger {
  readonly #graph: Graph;
  readonly #constants: FrozenConstants;

  constructor(graph: Graph, constants: FrozenConstants) {
    this.#graph = graph;
    this.#constants = constants;
  }

  /** Merges; false where it cannot be done. */
  merge(group: readonly Layer[], positions: ReadonlyMap<Node, number>): boolean {
    const [first] = group;
    if (first === undefined) return false;
    // Slices are described before anything is made.
    const [leading, whole] = [first.meta.shape.slice(0, -1), group.reduce((n, l) => n + l.width, 0)];
    const product = this.#described("aten.linear.default", [
      first.input.value as TensorMeta,
      { ...first.weight.value as TensorMeta, shape: [whole, this.#sum(first)], stride: [this.#sum(first), 1] },
    ]);
    if (product === null || !leading.every((s, d) => sizeSame(s, product.shape[d] ?? -1))) return false;
    const changed = new Map<Node, TensorMeta>();
    let start = 0;
    for (const { node, width, meta } of group) {
      const { stride, dtype, device } = product;
      changed.set(node, { shape: meta.shape, stride, storageOffset: start, dtype, device });
      start += width;
    }
    const layouts = newLayouts(this.#graph, positions, changed);
    if (layouts === null) return false;
    for (const [node, value] of layouts) node.value = value;
    this.#graph.insertBefore(first.node, () => this.#build(group, first));
    return true;
  }

  #sum({ weight, dim }: Layer): number {
    return Number((weight.value as TensorMeta).shape[1 - dim]);
  }

  #build(group: readonly Layer[], first: Layer): void {
    const { dim, input, node } = first;
    const weights = group.map((l) => l.weight);
    const weight = this.#weights(weights, dim);
    const bias = group.some((l) => l.bias !== null) ? this.#biases(group) : null;
    const merged = dim === 0
      ? this.#call("aten.linear.default", [input, weight, bias])
      : bias === null || first.meta.shape.length !== 2
      ? this.#call("aten.matmul.default", [input, weight])
      : this.#call("aten.addmm.default", [bias, input, weight, 1, 1]);
    merged.location = node.location;
    const whole = dim === 1 && bias !== null && first.meta.shape.length !== 2
      ? this.#call("aten.add.Tensor", [merged, bias, 1])
      : merged;
    let start = 0;
    for (const layer of group) {
      const slice = this.#call("aten.slice.Tensor", [
        whole,
        first.meta.shape.length - 1,
        start,
        start + layer.width,
        1,
      ]);
      slice.location = layer.node.location;
      start += layer.width;
      this.#graph.replaceAllUses(layer.node, slice);
    }
  }

  /** The weights as one matrix: on the CPU a concatenation that nobody stores, on a device memory that they are parts of from now on. */
  #weights(weights: readonly GetAttrNode[], dim: 0 | 1): Node {
    const paths = weights.map((w) => w.path);
    if ((weights[0]?.value as TensorMeta).device === cpu) return this.#call("aten.cat.default", [weights, dim]);
    const constant = this.#constants.add({
      sources: paths,
      compute: (read) => joined(paths.map((p) => ({ path: p, length: 0 })), dim, read),
      stored: { kind: "joined", parts: paths.map((path) => ({ path, length: 0 })), dim },
    });
    if (dim === 0) shareMemory(this.#constants.read(constant.path), paths.map((p) => this.#constants.read(p)));
    return constant;
  }

  #biases(group: readonly Layer[]): Node {
    const parts = group.map(({ bias, width }) => ({ path: bias?.path ?? null, length: width }));
    const sources = parts.flatMap(({ path }) => path ?? []);
    return this.#constants.add({
      sources,
      compute: (read) => joined(parts, 0, read),
      stored: { kind: "joined", parts, dim: 0 },
    });
  }

  #described(target: string, metas: readonly TensorMeta[]): TensorMeta | null {
    const op = getOp(target);
    const named = Object.fromEntries(
      op.schema.args.map(({ key }, i) => {
        const meta = metas[i];
        return [key, meta === undefined ? null : fakeTensor(meta)];
      }),
    ) as NamedArgs<Tensor>;
    return inferMeta(op, named)[0] ?? null;
  }

  #call(target: string, args: readonly Argument[]): CallNode {
    const op = getOp(target);
    const value = (arg: Argument): unknown =>
      Array.isArray(arg)
        ? (arg as readonly Argument[]).map(value)
        : isNode(arg) && isTensorMeta(arg.value)
        ? fakeTensor(arg.value)
        : arg;
    const named = Object.fromEntries(
      op.schema.args.map(({ key }, i) => [key, value(args[i] ?? null) as ArgValue<Tensor>]),
    ) as NamedArgs<Tensor>;
    return this.#graph.call(op, op.schema.args.map((_, i) => args[i] ?? null), inferMeta(op, named)[0] ?? null);
  }
}

/** Rewrites in place; returns how many layers went. `written` are nodes whose memory the graph writes. */
export function mergeLinears(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>): number {
  const returned = returnedNodes(graph);
  const positions = new Map(graph.nodes.map((node, i) => [node, i]));
  const groups = groupsOf(graph, positions, (node) => written.has(node) || returned.has(node));
  const merger = new Merger(graph, constants);
  const gone: Node[] = [];
  for (const group of groups) {
    if (meetsInEpilogue(group) || !merger.merge(group, positions)) continue;
    gone.push(...group.map((l) => l.node));
  }
  if (gone.length > 0) graph.erase(...gone);
  return gone.length;
}
