/**
 * Attention written out becomes the operator: `softmax(q · kᵀ · scale + mask) · v`, as models that do not call it export it.
 *
 * Enters: a graph of inference on a CUDA device. The scale may be a factor of the query, of the key or of the scores; dropout that does nothing and casts between
 * are looked through; several masks are added up, and where scores are filled with -∞ is one of them; scores may be seen as `[images, windows, …]` where a mask is added (shifted windows). What a match passes over
 * has no other user, is not written and not returned. Only where the template takes it: elsewhere the products stay. Scores are not rounded to
 * halves on the way any more. Mirrors `fuse_attention.py` of TorchInductor.
 */
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { type ArgValue, getOp, type NamedArgs } from "../../ops/mod.ts";
import { contiguousStride } from "../../symbolic/mod.ts";
import { fakeTensor, inferMeta, type Tensor } from "../../tensor/mod.ts";
import { ATTENTION, reasonToDecompose } from "../lower_attention.ts";
import { returnedNodes } from "./returned.ts";

const PRODUCTS: ReadonlySet<string> = new Set(["aten.matmul.default", "aten.bmm.default"]);
const SOFTMAX: ReadonlySet<string> = new Set(["aten.softmax.int", "aten._softmax.default"]);
const VIEWS: ReadonlySet<string> = new Set(["aten.view.default", "aten.reshape.default", "aten._unsafe_view.default"]);
const CASTS: ReadonlySet<string> = new Set(["aten.to.dtype", "aten._to_copy.default", "aten.contiguous.default"]);

interface Tensors {
  readonly node: CallNode;
  readonly meta: TensorMeta;
}

/** A call of one tensor result with known sizes. */
function callOf(value: Argument | undefined): Tensors | null {
  if (value === undefined || !isNode(value) || value.op !== "call" || !isTensorMeta(value.value)) return null;
  return value.value.shape.every((s) => typeof s === "number") ? { node: value, meta: value.value } : null;
}

function argument(node: CallNode, key: string): Argument {
  const at = node.target.schema.args.findIndex((a) => a.key === key);
  return at < 0 ? null : node.args[at] ?? null;
}

function metaOf(value: Argument): TensorMeta | null {
  return isNode(value) && isTensorMeta(value.value) ? value.value : null;
}

/** The factor that a multiplication or division by a number applies, and to what; null for anything else. */
function factorOf(node: CallNode): { readonly of: Argument; readonly factor: number } | null {
  const { name } = node.target.schema;
  const other = argument(node, "other");
  if ((name !== "mul" && name !== "div") || typeof other !== "number" || other === 0) return null;
  if (argument(node, "roundingMode") !== null) return null;
  return { of: argument(node, "self"), factor: name === "mul" ? other : 1 / other };
}

/** What a call hands on without changing it: dropout that does nothing, casts. */
function throughOf(node: CallNode): Argument {
  const { name, target } = node.target.schema;
  if (name === "dropout") {
    return argument(node, "train") === false || argument(node, "p") === 0 ? argument(node, "input") : null;
  }
  const to = metaOf(node), from = metaOf(argument(node, "self"));
  const isCast = CASTS.has(target) && to?.dtype.isFloat === true && from?.dtype.isFloat === true;
  return isCast && to.device === from.device ? argument(node, "self") : null;
}

function lastIs(value: Argument, rank: number): boolean {
  return typeof value === "number" && (value < 0 ? value + rank : value) === rank - 1;
}

/** Whether `fine` is `coarse` with its first dimension in two. */
function splitsFirst(fine: readonly unknown[], coarse: readonly unknown[]): boolean {
  return fine.length === coarse.length + 1 && Number(fine[0]) * Number(fine[1]) === Number(coarse[0]) &&
    coarse.slice(1).every((s, i) => s === fine[i + 2]);
}

/** A number: itself, or a tensor that is full of it. */
function numberOf(value: Argument): number | null {
  if (typeof value === "number") return value;
  if (!isNode(value) || value.op !== "call") return null;
  const { name } = value.target.schema;
  if (name !== "full" && name !== "full_like" && name !== "scalar_tensor") return null;
  const fill = argument(value, name === "scalar_tensor" ? "s" : "fillValue");
  return typeof fill === "number" ? fill : null;
}

/** Scores that are -∞ where a mask says so. */
interface Filled {
  readonly scores: Argument;
  readonly mask: Node;
  /** Whether the mask says where scores stay, or where they go. */
  readonly keeps: boolean;
}

function filledOf(node: CallNode): Filled | null {
  const { name } = node.target.schema;
  if (name === "masked_fill") {
    const mask = argument(node, "mask");
    const fits = isNode(mask) && numberOf(argument(node, "value")) === -Infinity;
    return fits ? { scores: argument(node, "self"), mask, keeps: false } : null;
  }
  if (name !== "where") return null;
  const [mask, there, elsewhere] = ["condition", "self", "other"].map((key) => argument(node, key));
  if (mask === undefined || !isNode(mask) || metaOf(mask)?.dtype.name !== "bool") return null;
  if (numberOf(elsewhere ?? null) === -Infinity) return { scores: there ?? null, mask, keeps: true };
  return numberOf(there ?? null) === -Infinity ? { scores: elsewhere ?? null, mask, keeps: false } : null;
}

interface Mask {
  readonly node: Node;
  /** Null: it is added; else see {@linkcode Filled}. */
  readonly keeps: boolean | null;
}

interface Found {
  readonly query: Argument;
  readonly keyTurned: Argument;
  readonly scale: number;
  readonly masks: readonly Mask[];
  /** The shape of scores in which masks are added, where it is not that of the product. */
  readonly fine: readonly number[] | null;
}

class Matcher {
  readonly #graph: Graph;
  readonly #written: ReadonlySet<Node>;
  readonly #returned: ReadonlySet<Node>;

  constructor(graph: Graph, written: ReadonlySet<Node>) {
    this.#graph = graph;
    this.#written = written;
    this.#returned = returnedNodes(graph);
  }

  /** A call that only one other node reads. */
  #own(value: Argument | undefined): Tensors | null {
    const found = callOf(value);
    if (found === null || found.node.users.size !== 1) return null;
    return this.#written.has(found.node) || this.#returned.has(found.node) ? null : found;
  }

  /** The softmax behind probabilities. */
  #softmax(value: Argument): Tensors | null {
    let found = this.#own(value);
    while (found !== null && !SOFTMAX.has(found.node.target.schema.target)) {
      const next: Argument = throughOf(found.node);
      found = next === null ? null : this.#own(next);
    }
    return found !== null && lastIs(argument(found.node, "dim"), found.meta.shape.length) ? found : null;
  }

  /** From scores back to the product. */
  #scores(start: Argument): Found | null {
    let scale = 1;
    const masks: Mask[] = [];
    let fine: readonly number[] | null = null;
    let isFine = false;
    let at = this.#own(start);
    while (at !== null) {
      const { node, meta } = at;
      const { target, name } = node.target.schema;
      const scaled = factorOf(node);
      if (PRODUCTS.has(target)) {
        if (isFine) return null;
        const [query = null, keyTurned = null] = node.args;
        return { query, keyTurned, scale, masks, fine };
      }
      if (scaled !== null) {
        scale *= scaled.factor;
        at = this.#own(scaled.of);
      } else if (filledOf(node) !== null) {
        const { scores, mask, keeps } = filledOf(node) as Filled;
        const shape = metaOf(mask)?.shape;
        if (!(scale > 0) || shape === undefined || shape.length > meta.shape.length || this.#written.has(mask)) {
          return null;
        }
        if (metaOf(scores)?.shape.some((s, d) => s !== meta.shape[d]) !== false) return null;
        masks.push({ node: mask, keeps });
        at = this.#own(scores);
      } else if (target === "aten.add.Tensor" && argument(node, "alpha") === 1) {
        // A factor that comes later would be the mask's as well.
        const sides = [argument(node, "self"), argument(node, "other")];
        const inner = sides.findIndex((s) => this.#leads(s, meta));
        const mask = sides[1 - inner];
        const shape = metaOf(mask ?? null)?.shape;
        if (inner < 0 || scale !== 1 || mask === undefined || !isNode(mask) || shape === undefined) return null;
        if (this.#written.has(mask) || shape.length > meta.shape.length) return null;
        masks.push({ node: mask, keeps: null });
        at = this.#own(sides[inner]);
      } else if (VIEWS.has(target) || name === "unflatten") {
        const from = metaOf(argument(node, "self"))?.shape;
        if (from === undefined) return null;
        if (!isFine && fine === null && splitsFirst(from, meta.shape) && masks.length === 0) {
          fine = from as readonly number[];
          isFine = true;
        } else if (isFine && splitsFirst(meta.shape, from)) isFine = false;
        else return null;
        at = this.#own(argument(node, "self"));
      } else {
        const next = throughOf(node);
        at = next === null ? null : this.#own(next);
      }
    }
    return null;
  }

  /** Whether the product may be behind a side of an addition. */
  #leads(side: Argument, sum: TensorMeta): boolean {
    let at = this.#own(side);
    if (at === null || at.meta.shape.some((s, d) => s !== sum.shape[d])) return false;
    while (at !== null && !PRODUCTS.has(at.node.target.schema.target)) {
      const { node }: Tensors = at;
      const next: Argument = factorOf(node)?.of ?? filledOf(node)?.scores ?? throughOf(node) ??
        (VIEWS.has(node.target.schema.target) || node.target.schema.name === "add" ? argument(node, "self") : null);
      at = next === null ? null : this.#own(next);
    }
    return at !== null;
  }

  /** A call of an operator, its description worked out. */
  call(target: string, args: readonly Argument[]): CallNode {
    const op = getOp(target);
    const named: Record<string, ArgValue<Tensor>> = {};
    op.schema.args.forEach((arg, i) => {
      const value = args[i] ?? null;
      const meta = metaOf(value);
      named[arg.key] = meta === null ? value as ArgValue<Tensor> : fakeTensor(meta);
    });
    const [meta] = inferMeta(op, named as NamedArgs<Tensor>);
    return this.#graph.call(op, args, meta ?? null);
  }

  /** Replaces a product of probabilities and values; false if it is none. */
  rewrite(product: CallNode): boolean {
    const out = metaOf(product);
    const [probabilities = null, value = null] = product.args;
    const valueMeta = metaOf(value);
    if (out === null || valueMeta === null || this.#written.has(product) || product.users.size === 0) return false;
    const softmax = this.#softmax(probabilities);
    if (softmax === null) return false;
    const { shape } = softmax.meta;
    const found = this.#scores(argument(softmax.node, "self"));
    if (found === null) return false;
    const { fine, masks } = found;
    let { query, keyTurned, scale } = found;
    for (const which of ["query", "key"] as const) {
      const own = callOf(which === "query" ? query : keyTurned);
      const scaled = own === null ? null : factorOf(own.node);
      if (own === null || scaled === null || metaOf(scaled.of)?.dtype !== own.meta.dtype) continue;
      scale *= scaled.factor;
      if (which === "query") query = scaled.of;
      else keyTurned = scaled.of;
    }
    const [q, k] = [metaOf(query), metaOf(keyTurned)];
    if (q === null || k === null || !isNode(query) || !isNode(keyTurned) || !isNode(value)) return false;
    if ([query, keyTurned, value].some((n) => this.#written.has(n))) return false;
    const rank = shape.length;
    const operands = [q, k, valueMeta, out];
    if (rank < 3 || operands.some((m) => m.shape.length !== rank || m.dtype !== q.dtype || m.device !== q.device)) {
      return false;
    }
    const metas = masks.map((m) => metaOf(m.node));
    const isPlain = contiguousStride(out.shape).every((s, d) => s === out.stride[d] || out.shape[d] === 1);
    const takes = reasonToDecompose(q, valueMeta, null) === null &&
      metas.every((m, i) => m !== null && (masks[i]?.keeps !== null || (m.dtype.isFloat && m.dtype.bytes <= 4)));
    if (!isPlain || !takes) return false;
    // Where scores are split, what masks say of whole rows must be said of all of them.
    if (fine !== null) {
      if (operands.some((m) => m.shape[0] !== shape[0])) return false;
      if (metas.some((m) => m !== null && m.shape.length === rank && m.shape[0] !== 1)) return false;
    }
    this.#graph.replaceAllUses(product, this.#build(product, { query, keyTurned, scale, masks, fine }, value));
    this.#graph.erase(product);
    return true;
  }

  #build(product: CallNode, { query, keyTurned, scale, masks, fine }: Found, value: Node): Node {
    return this.#graph.insertBefore(product, () => {
      const split = (node: Argument): Argument => {
        const meta = metaOf(node);
        if (fine === null || meta === null) return node;
        return this.call("aten.reshape.default", [node, [...fine.slice(0, 2), ...meta.shape.slice(1)] as Argument]);
      };
      const key = this.call("aten.transpose.int", [keyTurned, -2, -1]);
      const mask = masks.reduce<Argument>((sum, { node, keeps }) => {
        const added = keeps === null
          ? node
          : this.call("aten.where.self", keeps ? [node, 0, -Infinity] : [node, -Infinity, 0]);
        return sum === null ? added : this.call("aten.add.Tensor", [sum, added, 1]);
      }, null);
      const whole = this.call(ATTENTION, [split(query), split(key), split(value), mask, false, scale]);
      whole.location = product.location;
      const out = metaOf(product);
      return fine === null || out === null
        ? whole
        : this.call("aten.reshape.default", [whole, [...out.shape] as Argument]);
    });
  }
}

/** Rewrites in place; returns how many attentions were found. `written` are nodes whose memory the graph writes. */
export function findAttention(graph: Graph, written: ReadonlySet<Node>): number {
  const matcher = new Matcher(graph, written);
  let count = 0;
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || !PRODUCTS.has(node.target.schema.target)) continue;
    if (matcher.rewrite(node)) count++;
  }
  return count;
}
