/**
 * Random small graphs of views, pointwise operators, reductions and products: for differential tests.
 */
import { float32 } from "../../src/core/mod.ts";
import type { Node, TensorMeta } from "../../src/graph/mod.ts";
import type { Graph } from "../../src/graph/mod.ts";
import { GraphBuilder } from "./graph_builder.ts";

/** A small deterministic generator of numbers. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

const shapeOf = (n: Node): number[] => (n.value as TensorMeta).shape.map(Number);
const SIZES = [1, 2, 3, 4, 6, 12] as const;
const UNARY = ["neg", "abs", "relu", "cos", "sigmoid", "tanh"] as const;
const BINARY = ["add", "sub", "mul", "maximum"] as const;

function broadcastable(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 1; i <= Math.min(a.length, b.length); i++) {
    const x = a[a.length - i];
    const y = b[b.length - i];
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
}

function permutation(r: Random, n: number): number[] {
  const out = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = r.below(i + 1);
    [out[i], out[j]] = [out[j] as number, out[i] as number];
  }
  return out;
}

function splitSize(r: Random, shape: readonly number[]): number[] {
  const total = shape.reduce((a, b) => a * b, 1);
  const divisors = [1, 2, 3, 4, 6, 12].filter((d) => total % d === 0);
  const first = r.pick(divisors);
  const rest = total / first;
  const second = r.pick([1, 2, 3].filter((d) => rest % d === 0));
  return r.pick([[total], [first, rest], [first, second, rest / second], [first, -1]]);
}

/** A view where there is one, else a copy: what reshape decomposes into. */
function reshape(b: GraphBuilder, x: Node, shape: readonly number[]): Node {
  try {
    return b.call("aten.view.default", [x, shape]);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return b.call("aten.view.default", [b.call("aten.clone.default", [x, "contiguous_format"]), shape]);
  }
}

function step(b: GraphBuilder, r: Random, pool: Node[]): Node | null {
  const x = r.pick(r.below(3) > 0 ? pool.slice(-4) : pool);
  const shape = shapeOf(x);
  const rank = shape.length;
  switch (r.below(10)) {
    case 0:
    case 1: {
      const name = r.pick(UNARY);
      return b.call(`aten.${name}.default`, [x]);
    }
    case 2:
    case 3:
    case 4: {
      const y = r.pick(pool);
      if (!broadcastable(shape, shapeOf(y))) return null;
      const op = r.pick(BINARY);
      return b.call(op === "maximum" ? "aten.maximum.default" : `aten.${op}.Tensor`, [x, y]);
    }
    case 5:
      return rank < 2 ? null : b.call("aten.permute.default", [x, permutation(r, rank)]);
    case 6:
      return reshape(b, x, splitSize(r, shape));
    case 7:
    case 8: {
      if (rank === 0) return null;
      const dim = r.below(rank);
      const keep = r.below(2) === 0;
      if (r.below(5) === 0) {
        return b.call("aten._to_copy.default", [b.call("aten.argmax.default", [x, dim, keep])], { dtype: float32 });
      }
      return b.call(r.pick(["aten.sum.dim_IntList", "aten.amax.default"]), [x, [dim], keep]);
    }
    case 9: {
      if (rank !== 2) return null;
      const y = pool.find((n) => shapeOf(n).length === 2 && shapeOf(n)[0] === shape[1]);
      return y === undefined ? null : b.call("aten.mm.default", [x, y]);
    }
    default:
      return null;
  }
}

/** A random graph of about `size` calls with one to four results. */
export function randomGraph(seed: number, size: number): Graph {
  const r = new Random(seed);
  const b = new GraphBuilder();
  const pool: Node[] = [];
  const base = [r.pick(SIZES), r.pick(SIZES)];
  for (let i = 0; i < 3; i++) {
    const shape = r.pick([base, base, [base[1] as number], [...base].reverse(), [r.pick(SIZES), ...base]]);
    const stride = r.below(4) === 0 && shape.length === 2 ? [1, shape[0] as number] : undefined;
    pool.push(b.input(shape, undefined, stride));
  }
  for (let tries = 0; tries < size; tries++) {
    const made = step(b, r, pool);
    if (made !== null) pool.push(made);
  }
  const results = [pool.at(-1) as Node];
  for (let i = r.below(4); i > 0; i--) results.push(r.pick(pool));
  b.graph.setOutput(results);
  return b.graph;
}

/** Contents for each input's buffer. */
export function randomInputs(graph: Graph, seed: number): number[][] {
  const r = new Random(seed + 1);
  return graph.placeholders.map((p) => {
    const numel = shapeOf(p).reduce((a, b) => a * b, 1);
    return Array.from({ length: numel }, () => Math.fround(r.next() * 4 - 2));
  });
}
