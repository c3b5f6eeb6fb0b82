/**
 * Computes once what depends on parameters and fixed numbers alone: bias tables looked up by position, masks, scaled or converted weights.
 *
 * A call is constant if all tensors that it reads are. Only the last call of each such chain becomes a constant, and only if it is worth memory: views and what a
 * kernel makes out of nothing more cheaply than it reads it stay. What the graph writes to, returns (through views, too), or draws at random is never constant.
 * Mirrors `constant_fold` of TorchInductor's freezing.
 */
import {
  type Argument,
  type CallNode,
  forEachNode,
  type Graph,
  hasEffects,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../../graph/mod.ts";
import { callOperator, type RunValue } from "../../capture/mod.ts";
import { getOp, isOperator } from "../../ops/mod.ts";
import { isSymInt } from "../../symbolic/mod.ts";
import { dispatch, fillExpanded, Tensor } from "../../tensor/mod.ts";
import type { FrozenConstants } from "./frozen.ts";
import { returnedNodes } from "./returned.ts";

/** A constant, and all of them together, take at most this much memory. */
const MOST_BYTES = 16 << 20;
const MOST_BYTES_TOGETHER = 64 << 20;
/** A chain without parameters is worth reading from memory if it has at least this many operators. */
const WORTH_OPERATORS = 4;

interface Chain {
  readonly sources: ReadonlySet<string>;
  /** Operators that compute, views left out. */
  readonly operators: number;
}

function hasSymbols(argument: Argument): boolean {
  if (Array.isArray(argument)) return argument.some((a: Argument) => hasSymbols(a));
  return !isNode(argument) && isSymInt(argument);
}

/** What a constant call depends on; null if it is none. */
function chainOf(node: CallNode, chains: ReadonlyMap<Node, Chain>): Chain | null {
  const { target } = node;
  if (!isOperator(target) || hasEffects(node) || target.isDataDependent || !isTensorMeta(node.value)) return null;
  if (node.value.shape.some(isSymInt) || node.args.some(hasSymbols)) return null;
  const sources = new Set<string>();
  let operators = target.view === null ? 1 : 0;
  let isConstant = true;
  for (const arg of node.args) {
    forEachNode(arg, (input) => {
      const chain = chains.get(input);
      if (chain === undefined) isConstant = false;
      else {
        for (const source of chain.sources) sources.add(source);
        operators += chain.operators;
      }
    });
  }
  return isConstant ? { sources, operators } : null;
}

/** Evaluates a chain; nodes are computed once. */
function evaluate(node: Node, read: (path: string) => Tensor, known: Map<Node, RunValue>): RunValue {
  const before = known.get(node);
  if (before !== undefined) return before;
  let value: RunValue;
  if (node.op === "getAttr") value = read(node.path);
  else if (node.op === "call") {
    const plain = (a: Argument): unknown =>
      Array.isArray(a) ? a.map((x: Argument) => plain(x)) : isNode(a) ? evaluate(a, read, known) : a;
    value = callOperator(node, node.args.map(plain) as RunValue[]) as RunValue;
  } else throw new TypeError(`${node.name} is no constant`);
  known.set(node, value);
  return value;
}

/** The value in memory of its own, with the strides that the graph states. */
function laidOut(value: Tensor, { shape, stride }: TensorMeta): Tensor {
  const { dtype, device } = value;
  const made = dispatch(getOp("aten.empty_strided.default"), { size: shape, stride, dtype, device });
  return fillExpanded(made as Tensor, value);
}

/** Folds in place; returns how many constants were made. `written` are nodes whose memory the graph writes. */
export function foldConstants(graph: Graph, constants: FrozenConstants, written: ReadonlySet<Node>): number {
  const chains = new Map<Node, Chain>();
  for (const node of graph.nodes) {
    if (written.has(node)) continue;
    if (node.op === "getAttr") chains.set(node, { sources: new Set([node.path]), operators: 0 });
    else if (node.op === "call") {
      const chain = chainOf(node, chains);
      if (chain !== null) chains.set(node, chain);
    }
  }
  const returned = returnedNodes(graph);
  let count = 0;
  for (const node of [...graph.nodes]) {
    const chain = chains.get(node);
    if (chain === undefined || node.op !== "call" || !isTensorMeta(node.value) || returned.has(node)) continue;
    const isLast = [...node.users].some((user) => !chains.has(user));
    const isWorth = chain.sources.size > 0 ? chain.operators > 0 : chain.operators >= WORTH_OPERATORS;
    if (!isLast || !isWorth || (isOperator(node.target) && node.target.view !== null)) continue;
    const bytes = node.value.shape.reduce<number>((n, s) => n * Number(s), node.value.dtype.bytes);
    if (bytes > MOST_BYTES || constants.bytes + bytes > MOST_BYTES_TOGETHER) continue;
    const attribute = graph.insertBefore(node, () =>
      constants.add({
        sources: [...chain.sources],
        compute: (read) => {
          const value = evaluate(node, read, new Map());
          if (!(value instanceof Tensor)) throw new TypeError(`${node.name} yields no tensor`);
          return laidOut(value, node.value as TensorMeta);
        },
      }));
    graph.replaceAllUses(node, attribute);
    chains.set(attribute, { sources: new Set([attribute.path]), operators: 0 });
    count++;
  }
  return count;
}
