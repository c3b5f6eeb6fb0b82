/**
 * Concatenations that begin alike share memory: `cat([a, b])` is a part of `cat([a, b, c])`, as the layers of a DenseNet concatenate what all layers before them gave.
 *
 * Enters: a graph. Leaves: for each concatenation the longest one that begins with the same inputs, in whose buffer it is then the beginning: each input is written once for all
 * of them, where n layers would copy n²/2. What goes into a concatenation alone is taken for its inputs. Invariant: members of a chain have one dimension, dtype and device.
 */
import { type Argument, type CallNode, type Graph, isNode, isTensorMeta, type Node } from "../graph/mod.ts";
import { returnedNodes } from "./passes/returned.ts";

/** A concatenation with what it is made of. */
export interface CatParts {
  readonly dim: number;
  readonly parts: readonly Node[];
}

/** What concatenations of a graph share. */
export interface CatChains {
  /** The parts of a concatenation in a chain, first to last; null if it is in none. */
  partsOf(node: Node): CatParts | null;
  /** The longest concatenation of its chain. */
  rootOf(node: Node): CallNode | null;
}

interface Place {
  readonly next: Map<Node, Place>;
  /** Concatenations that end here. */
  readonly ends: CallNode[];
}

/** Chains are worth it from this many inputs on; shorter concatenations may be loads behind a condition. */
const LEAST_PARTS = 5;

function isCat(node: Node): node is CallNode {
  return node.op === "call" && node.target.schema.target === "aten.cat.default";
}

function inputsOf(node: CallNode): Node[] | null {
  const [list] = node.args;
  if (!Array.isArray(list)) return null;
  const nodes = (list as readonly Argument[]).filter(isNode);
  return nodes.length === list.length ? nodes : null;
}

function dimOf(node: CallNode): number | null {
  const dim = node.args[1];
  if (!isTensorMeta(node.value) || typeof dim !== "number") return null;
  return dim < 0 ? dim + node.value.shape.length : dim;
}

class Finder implements CatChains {
  readonly #parts = new Map<Node, CatParts>();
  readonly #roots = new Map<Node, CallNode>();

  constructor(graph: Graph) {
    const cats: CallNode[] = [];
    // The caller may write to a result: it has memory of its own.
    const returned = returnedNodes(graph);
    for (const node of graph.nodes) {
      if (!isCat(node) || returned.has(node)) continue;
      const parts = this.#expand(node);
      if (parts === null) continue;
      this.#parts.set(node, parts);
      cats.push(node);
    }
    const tries = new Map<string, Place>();
    for (const node of cats) this.#enter(tries, node);
    this.#chain(cats, tries);
  }

  partsOf(node: Node): CatParts | null {
    return this.#roots.has(node) ? this.#parts.get(node) ?? null : null;
  }

  rootOf(node: Node): CallNode | null {
    return this.#roots.get(node) ?? null;
  }

  #expand(node: CallNode): CatParts | null {
    const [dim, inputs, meta] = [dimOf(node), inputsOf(node), node.value];
    if (dim === null || inputs === null || !isTensorMeta(meta)) return null;
    const parts: Node[] = [];
    for (const [i, input] of inputs.entries()) {
      const { value } = input;
      if (!isTensorMeta(value) || value.shape.length !== meta.shape.length || value.device !== meta.device) return null;
      const inner = this.#parts.get(input);
      // What stands first is the beginning of the whole; what nobody else reads need not be one tensor.
      const opens = inner?.dim === dim && value.dtype === meta.dtype && (i === 0 || input.users.size === 1);
      if (opens) parts.push(...inner.parts);
      else parts.push(input);
    }
    return { dim, parts };
  }

  #start(tries: Map<string, Place>, node: CallNode): Place {
    const meta = node.value;
    const key = isTensorMeta(meta) ? `${this.#parts.get(node)?.dim}/${meta.dtype.name}/${meta.shape.length}` : "";
    let start = tries.get(key);
    if (start === undefined) tries.set(key, start = { next: new Map(), ends: [] });
    return start;
  }

  #enter(tries: Map<string, Place>, node: CallNode): void {
    let at = this.#start(tries, node);
    for (const part of this.#parts.get(node)?.parts ?? []) {
      let next = at.next.get(part);
      if (next === undefined) at.next.set(part, next = { next: new Map(), ends: [] });
      at = next;
    }
    at.ends.push(node);
  }

  /** The longest come first, so that each goes to the longest that begins with it. */
  #chain(cats: readonly CallNode[], tries: Map<string, Place>): void {
    const length = (node: CallNode): number => this.#parts.get(node)?.parts.length ?? 0;
    for (const root of [...cats].sort((x, y) => length(y) - length(x) || x.id - y.id)) {
      if (length(root) < LEAST_PARTS) return;
      if (this.#roots.has(root)) continue;
      const members: CallNode[] = [];
      let at: Place | undefined = this.#start(tries, root);
      for (const part of this.#parts.get(root)?.parts ?? []) {
        at = at?.next.get(part);
        for (const node of at?.ends ?? []) if (!this.#roots.has(node)) members.push(node);
      }
      if (members.length < 2) continue;
      for (const node of members) this.#roots.set(node, root);
    }
  }
}

/** Finds the chains of a graph. */
export function catChains(graph: Graph): CatChains {
  return new Finder(graph);
}
