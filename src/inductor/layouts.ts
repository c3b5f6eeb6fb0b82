/**
 * Channels innermost: in which order the tensors inside of a graph lie on a CUDA device.
 *
 * Enters: a functional graph. Leaves: for each node whose memory is not row-major its order of dimensions, outermost first. Tensor cores read a convolution's
 * pixels in vectors where channels are neighbours, so its result has channels last, and so has what is computed from it element by element; views hand the
 * order on. Inputs, parameters and what the caller gets keep their strides, and a copy that was asked for has the strides that it states. Every index is
 * logical until memory is touched, so the choice changes no value. Mirrors the layout optimisation of TorchInductor.
 */
import {
  type Argument,
  type CallNode,
  forEachNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
} from "../graph/mod.ts";
import { isOperator } from "../ops/mod.ts";
import { constant, evaluate, type Expr, exprOf, mul, type Size, type Sym } from "../symbolic/mod.ts";

/** Dimensions in the order of memory, outermost first. */
export type DimOrder = readonly number[];

/** Operators whose result has the strides that it states. */
const COPIES: ReadonlySet<string> = new Set(["clone", "contiguous", "empty_strided", "restride"]);
/** Views whose dimensions are those of the source, or some of them. */
const SLICES: ReadonlySet<string> = new Set(["slice", "narrow", "expand", "alias", "detach", "expand_as"]);
const TRANSPOSITIONS: ReadonlySet<string> = new Set(["transpose", "swapaxes", "swapdims"]);

/** Shape and strides of a tensor. Sizes that calls bring are stood in for. */
interface Placed {
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

function channelsLast(rank: number): DimOrder {
  return [0, ...Array.from({ length: rank - 2 }, (_, d) => d + 2), 1];
}

/** Numbers that stand for sizes of calls: what divides them, and what they are multiples of, is no accident. */
const STAND_INS = [101, 103, 107, 109, 113, 127] as const;

/** Sizes as numbers: the same symbol is the same number throughout a graph. */
class Sizes {
  readonly #known = new Map<Sym, number>();

  of(size: Size): number {
    return typeof size === "number" ? size : evaluate(exprOf(size), (sym) => {
      const at = this.#known.size;
      const known = this.#known.get(sym) ?? STAND_INS[at] ?? 127 + 2 * at;
      this.#known.set(sym, known);
      return known;
    });
  }
}

function inOrder(shape: readonly number[], order: DimOrder): Placed {
  const stride = new Array<number>(shape.length).fill(1);
  let running = 1;
  for (const d of [...order].reverse()) {
    stride[d] = running;
    running *= shape[d] ?? 1;
  }
  return { shape, stride };
}

function rowMajor(shape: readonly number[]): Placed {
  return inOrder(shape, [...shape.keys()]);
}

/** Dimensions by falling strides; those of one element stay where they are in the shape. */
function orderOf({ shape, stride }: Placed): DimOrder {
  return [...shape.keys()].sort((a, b) => (stride[b] ?? 0) - (stride[a] ?? 0) || a - b);
}

/** Strides of the same memory under another shape; null where that takes a copy. */
function reshaped({ shape, stride }: Placed, to: readonly number[]): Placed | null {
  const out = new Array<number>(to.length).fill(1);
  let at = to.length - 1;
  let chunk = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    chunk *= shape[d] ?? 1;
    const isEnd = d === 0 || ((shape[d - 1] ?? 1) !== 1 && stride[d - 1] !== (shape[d] ?? 1) * (stride[d] ?? 1));
    if (!isEnd) continue;
    // The chunk's innermost stride is that of its last dimension with more than one element.
    let inner = d;
    for (let i = d; i < shape.length && product(shape.slice(d, i + 1)) <= chunk; i++) if (shape[i] !== 1) inner = i;
    let running = stride[inner] ?? 1;
    let rest = chunk;
    while (at >= 0 && (rest > 1 || to[at] === 1)) {
      const size = to[at] ?? 1;
      if (rest % size !== 0) return null;
      out[at] = running;
      running *= size;
      rest /= size;
      at--;
    }
    if (rest !== 1) return null;
    chunk = 1;
  }
  return at < 0 ? { shape: to, stride: out } : null;
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((a, b) => a * b, 1);
}

function numbers(value: Argument | undefined, rank: number): number[] | null {
  if (!Array.isArray(value)) return null;
  return (value as readonly Argument[]).map((d) => typeof d === "number" ? (d < 0 ? d + rank : d) : 0);
}

/** Convolutions and their gradients: the first two arguments are images or weights, of which either is read in vectors along the channels. */
const CONVOLUTIONS: ReadonlySet<string> = new Set(["conv", "conv_input_grad", "conv_weight_grad"]);

/** Products of matrices: each operand is read well whichever of its last two dimensions is innermost. */
const BATCHED_PRODUCTS: ReadonlySet<string> = new Set(["bmm", "baddbmm"]);
const MOST_VIEWS = 4;

/** Whether all that a tensor is read by, through views, are batched products. */
function feedsOnlyProducts(node: Node, depth = 0): boolean {
  return node.users.size > 0 && [...node.users].every((u) => {
    if (u.op !== "call" || !isOperator(u.target)) return false;
    if (BATCHED_PRODUCTS.has(u.target.schema.name)) return true;
    return u.target.view !== null && depth < MOST_VIEWS && feedsOnlyProducts(u, depth + 1);
  });
}

function feedsConvolution(node: Node): boolean {
  return [...node.users].some((u) =>
    u.op === "call" && CONVOLUTIONS.has(u.target.schema.name) && (u.args[0] === node || u.args[1] === node)
  );
}

/** Follows memory through a graph. */
class Orders {
  readonly #sizes = new Sizes();
  readonly #placed = new Map<Node, Placed>();
  readonly orders = new Map<Node, DimOrder>();

  /** What only the caller reads, and what is computed for that alone: it is written in the caller's order at once. */
  readonly #forResults = new Set<Node>();

  run(graph: Graph): void {
    this.#findResults(graph);
    for (const node of graph.nodes) {
      const shape = this.#shapeOf(node);
      if (shape === null) continue;
      if (node.op === "call" && isOperator(node.target)) this.#call(node, shape);
      else this.#placed.set(node, this.#stated(node, shape));
    }
  }

  #call(node: CallNode, shape: readonly number[]): void {
    if (isOperator(node.target) && node.target.view !== null) {
      const viewed = this.#view(node, shape);
      if (viewed !== null) this.#placed.set(node, viewed);
      return;
    }
    const dense = this.#denseOf(node, shape);
    const order = this.#order(node, shape);
    const placed = order === null ? dense : inOrder(shape, order);
    this.#placed.set(node, placed);
    // Without an order, memory is as the description states.
    const isStated = shape.every((size, d) => size === 1 || placed.stride[d] === dense.stride[d]);
    if (order !== null && !isStated) this.orders.set(node, order);
  }

  /** Goes backwards from what is returned as far as values have a single reader of the same shape that is computed element by element. */
  #findResults(graph: Graph): void {
    const { output } = graph;
    const visit = (node: Node, reader: Node): void => {
      const [user] = node.users;
      if (node.op !== "call" || !isOperator(node.target) || node.users.size !== 1 || user !== reader) return;
      const { name } = node.target.schema;
      if (node.target.view !== null || CONVOLUTIONS.has(name) || COPIES.has(name)) return;
      const rank = this.#shapeOf(node)?.length ?? 0;
      if (rank < 3) return;
      this.#forResults.add(node);
      for (const arg of node.args) {
        forEachNode(arg, (input) => {
          if (this.#shapeOf(input)?.length === rank) visit(input, node);
        });
      }
    };
    for (const result of output.results) if (isNode(result)) visit(result, output);
  }

  #view(node: CallNode, shape: readonly number[]): Placed | null {
    const [first] = node.args;
    const source = isNode(first) ? this.#placed.get(first) : undefined;
    if (source === undefined) return null;
    const rank = source.shape.length;
    const { name } = node.target.schema;
    if (SLICES.has(name)) return rank === shape.length ? { shape, stride: source.stride } : null;
    if (name === "permute" || TRANSPOSITIONS.has(name)) {
      const dims = name === "permute" ? numbers(node.args[1], rank) : exchanged(node, rank);
      return dims === null ? null : { shape, stride: dims.map((d) => source.stride[d] ?? 1) };
    }
    return product(shape) === product(source.shape) ? reshaped(source, shape) : null;
  }

  /** The order of what an operator makes; null for row-major because nothing is known. */
  #order(node: CallNode, shape: readonly number[]): DimOrder | null {
    const rank = shape.length;
    const { name } = node.target.schema;
    if (rank < 3) return null;
    if (name === "conv" || name === "conv_input_grad") return channelsLast(rank);
    if (feedsConvolution(node)) return channelsLast(rank);
    if (this.#forResults.has(node)) return null;
    if (COPIES.has(name)) return this.#copyOrder(node, rank) ?? orderOf(this.#stated(node, shape));
    let found: DimOrder | null = null;
    let most = 0;
    for (const arg of node.args) {
      forEachNode(arg, (input) => {
        const size = product(this.#shapeOf(input) ?? [0]);
        const placed = this.#placed.get(input);
        if (this.#shapeOf(input)?.length !== rank || size <= most) return;
        most = size;
        found = placed === undefined ? null : orderOf(placed);
      });
    }
    return found;
  }

  /** The shape of a tensor; null for all else. */
  #shapeOf({ value }: Node): readonly number[] | null {
    if (!isTensorMeta(value)) return null;
    const shape = value.shape.map((size) => this.#sizes.of(size));
    return shape.every((size) => Number.isSafeInteger(size)) ? shape : null;
  }

  /** The stated strides where they leave no gaps, as memory is then laid out; else row-major ones. */
  #denseOf(node: Node, shape: readonly number[]): Placed {
    const own = this.#stated(node, shape);
    const dense = inOrder(shape, orderOf(own));
    return shape.every((size, d) => size === 1 || own.stride[d] === dense.stride[d]) ? own : rowMajor(shape);
  }

  #stated({ value }: Node, shape: readonly number[]): Placed {
    const stride = isTensorMeta(value) ? value.stride.map((size) => this.#sizes.of(size)) : [];
    return stride.every((size) => Number.isSafeInteger(size)) ? { shape, stride } : rowMajor(shape);
  }

  /** A copy that is made for products alone stays in the order of what it copies, if that has either side of the matrix innermost. */
  #copyOrder(node: CallNode, rank: number): DimOrder | null {
    const [source] = node.args;
    const placed = isNode(source) ? this.#placed.get(source) : undefined;
    if (placed === undefined || placed.shape.length !== rank || !feedsOnlyProducts(node)) return null;
    const order = orderOf(placed);
    return (order[rank - 1] ?? 0) >= rank - 2 ? order : null;
  }
}

/** The permutation of a transposing view. */
function exchanged(node: CallNode, rank: number): number[] | null {
  const [a, b] = numbers([node.args[1] ?? 0, node.args[2] ?? 0], rank) ?? [];
  if (a === undefined || b === undefined) return null;
  const dims = Array.from({ length: rank }, (_, d) => d);
  [dims[a], dims[b]] = [b, a];
  return dims;
}

/** The orders of a graph that has convolutions; empty for all others. */
export function dimOrders(graph: Graph): ReadonlyMap<Node, DimOrder> {
  const has = graph.nodes.some((n) => n.op === "call" && CONVOLUTIONS.has(n.target.schema.name));
  const orders = new Orders();
  if (has) orders.run(graph);
  return orders.orders;
}

/** Strides of a dense tensor in this order. */
export function stridesInOrder(shape: readonly Expr[], order: DimOrder): Expr[] {
  const stride = new Array<Expr>(shape.length);
  let running = constant(1);
  for (const d of [...order].reverse()) {
    stride[d] = running;
    const size = shape[d] ?? running;
    if (!(size.kind === "const" && size.value === 0)) running = mul(running, size);
  }
  return stride;
}
