/**
 * Cuts a joint graph into forward and backward so that little has to be kept in between.
 *
 * Enters: a graph whose inputs are primals and tangents and whose results are forward results followed by gradients. Leaves: two graphs and the values that the
 * first hands to the second. What to keep is a minimum cut over sizes: cheap values (pointwise, views) may be computed again in the backward graph
 * when that saves memory traffic; matrix products, convolutions, reductions, scatters, host and random operators never are. Mirrors
 * `min_cut_rematerialization_partition` of PyTorch.
 */
import { InternalError } from "../core/mod.ts";
import {
  type Argument,
  Graph,
  inputsOf,
  isControl,
  isMutating,
  isTensorMeta,
  mapNodes,
  type Node,
} from "../graph/mod.ts";
import { type LoopInput, ops } from "../loops/mod.ts";
import { getOp, isOperator, type NamedArgs, type Operator } from "../ops/mod.ts";
import { dtypeOfNumber } from "../tensor/mod.ts";
import { exprOf, freeSymbols, hintOf, isSymInt, type Sym, symbol, SymInt } from "../symbolic/mod.ts";
import { FlowNetwork } from "./max_flow.ts";

/** A joint graph and what its inputs and results are. */
export interface JointGraph {
  readonly graph: Graph;
  /** Gradients of the forward's differentiable results, as inputs. */
  readonly tangents: readonly Node[];
  /** How many of the results belong to the forward. */
  readonly forwardResults: number;
  /** Inputs and attributes that the call overwrites: if kept, they are kept as copies. */
  readonly overwritten?: ReadonlySet<Node>;
}

/** Two graphs for one. */
export interface Partition {
  /** Results: those of the joint forward, then `saved`. */
  readonly forward: Graph;
  /** Inputs: `saved`, `sizes`, then tangents. Results: gradients. */
  readonly backward: Graph;
  /** Tensors that the forward hands over: nodes of the joint graph. */
  readonly saved: readonly Node[];
  /** Sizes that the backward needs and no saved tensor shows. */
  readonly sizes: readonly SymInt[];
}

/** What running an operator once more costs. */
type Cost = "view" | "cheap" | "never";

const costs = new WeakMap<Node, Cost>();

/** Tells whether a call may be repeated in the backward. */
function costOf(node: Node): Cost {
  if (node.op !== "call") return "never";
  const known = costs.get(node);
  if (known !== undefined) return known;
  const cost = findCost(node.target as Operator, node);
  costs.set(node, cost);
  return cost;
}

function findCost(op: Operator, node: Node & { readonly op: "call" }): Cost {
  if (!isOperator(node.target) || op.isRandom || op.loop === null || !isTensorMeta(node.value)) return "never";
  const named: Record<string, unknown> = {};
  op.schema.args.forEach((arg, i) => named[arg.key] = dummyInputs(node.args[i] ?? null, arg.type === "Tensor"));
  switch (op.loop(named as NamedArgs<LoopInput>, node.value).kind) {
    case "view":
      return "view";
    case "pointwise":
      return "cheap";
    case "reduction":
    case "scan":
    case "scatter":
    case "contraction":
      return "never";
    default:
      return "never";
  }
}

/** Loop inputs that yield zeros: enough to learn what kind of loop an operator is. */
function dummyInputs(argument: Argument, isTensor: boolean): unknown {
  if (Array.isArray(argument)) return argument.map((a: Argument) => dummyInputs(a, isTensor));
  if (!isTensor || argument === null) return argument;
  const value = typeof argument === "object" && "users" in argument ? argument.value : null;
  if (isTensorMeta(value)) {
    return { shape: value.shape.map(exprOf), dtype: value.dtype, load: () => ops.constant(0, value.dtype) };
  }
  const dtype = dtypeOfNumber(argument as number);
  return { shape: [], dtype, load: () => ops.constant(0, dtype), isScalar: true };
}

/** Elements times bytes, by the sizes of the example. */
function bytesOf(node: Node): number {
  if (!isTensorMeta(node.value)) return 0;
  return node.value.shape.reduce((n: number, s) => n * hintOf(s), 1) * node.value.dtype.bytes;
}

/** Everything that reads from `from`, directly or not. */
function downstream(from: readonly Node[]): Set<Node> {
  const seen = new Set<Node>();
  const stack = [...from];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const user of node.users) if (user.op !== "output") stack.push(user);
  }
  return seen;
}

/** Everything that `to` is computed from, itself included. */
function upstream(to: readonly Node[]): Set<Node> {
  const seen = new Set<Node>();
  const stack = [...to];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...inputsOf(node));
  }
  return seen;
}

function nodesIn(args: readonly Argument[]): Node[] {
  const out: Node[] = [];
  for (const arg of args) mapNodes(arg, (n) => (out.push(n), n));
  return out;
}

/** Distance, in calls, from a node to the nearest one of the backward. */
function distances(nodes: readonly Node[], inBackward: ReadonlySet<Node>): Map<Node, number> {
  const out = new Map<Node, number>();
  for (const node of [...nodes].reverse()) {
    if (inBackward.has(node)) {
      out.set(node, 0);
      continue;
    }
    let least = 1e9;
    for (const user of node.users) least = Math.min(least, (out.get(user) ?? 1e9) + 1);
    out.set(node, least);
  }
  return out;
}

/** What a cut may do. */
interface CutRules {
  readonly inBackward: ReadonlySet<Node>;
  readonly forwardNeeds: ReadonlySet<Node>;
  /** Costly values that may be computed again all the same. */
  readonly again: ReadonlySet<Node>;
}

/** Chooses what the forward keeps. */
function chooseSaved(joint: JointGraph, { inBackward, forwardNeeds, again }: CutRules): Node[] {
  const { graph } = joint;
  const tangents = new Set(joint.tangents);
  const candidates = graph.nodes.filter((n) => n.op !== "output" && !inBackward.has(n) && !tangents.has(n));
  const distance = distances(graph.nodes, inBackward);
  const flow = new FlowNetwork();
  const source = flow.vertex();
  const sink = flow.vertex();
  const enter = new Map<Node, number>();
  const leave = new Map<Node, number>();
  for (const node of candidates) {
    enter.set(node, flow.vertex());
    leave.set(node, flow.vertex());
  }
  const returned = new Set(nodesIn(graph.output.results.slice(0, joint.forwardResults)));
  for (const node of candidates) {
    const from = enter.get(node) ?? source;
    const to = leave.get(node) ?? sink;
    const several = Array.isArray(node.value);
    const isInput = node.op === "placeholder" || node.op === "getAttr";
    // A value that is in memory anyway costs one read more; any other one a write and a read.
    const inMemory = isInput || returned.has(node) || (costOf(node) === "never" && !again.has(node));
    const weight = bytesOf(node) * (inMemory ? 1 : 2) * 1.1 ** Math.min(Math.max(distance.get(node) ?? 1, 1), 100);
    flow.edge(from, to, several || costOf(node) === "view" && !isInput ? Infinity : Math.max(weight, 1e-6));
    if (isInput || (!again.has(node) && isBanned(node, forwardNeeds))) flow.edge(source, from, Infinity);
    for (const user of node.users) {
      if (inBackward.has(user)) flow.edge(to, sink, Infinity);
      else {
        const next = enter.get(user);
        if (next !== undefined) flow.edge(to, next, Infinity);
      }
    }
  }
  // Gradients that need no tangent must still come out of the backward.
  for (const node of nodesIn(graph.output.results.slice(joint.forwardResults))) {
    const to = leave.get(node);
    if (to !== undefined) flow.edge(to, sink, Infinity);
  }
  const reached = flow.minimumCut(source, sink);
  return candidates.filter((node) => reached.has(enter.get(node) ?? -1) && !reached.has(leave.get(node) ?? -1));
}

/** Values that the backward may not compute again. */
function isBanned(node: Node, forwardNeeds: ReadonlySet<Node>): boolean {
  if (node.op === "getItem") return costOf(node.source) === "never" && forwardNeeds.has(node.source);
  const cost = costOf(node);
  if (cost === "view") return false;
  // Small results of large inputs (a factor of 4 and more) are cheaper to keep, whatever computes them.
  const inputs = inputsOf(node).reduce((n, input) => n + bytesOf(input), 0);
  return cost === "never" || bytesOf(node) * 4 < inputs;
}

/** Bytes that the forward hands over beside its own inputs. */
function keptBytes(saved: readonly Node[]): number {
  return saved.reduce((n, node) => node.op === "call" || node.op === "getItem" ? n + bytesOf(node) : n, 0);
}

/** What computing a value again costs, roughly: a product reads its inputs once for each column. */
function workOf(node: Node): number {
  const inputs = inputsOf(node).map(bytesOf);
  const isProduct = node.op === "call" && isOperator(node.target) && node.target.loop === null;
  return inputs.reduce((a, b) => a + b, 0) * (isProduct ? Math.sqrt(Math.max(1, bytesOf(node))) : 1);
}

/** Whether a costly value may be computed again: drawing again gives other numbers, and host operators may do more than compute. */
function isRepeatable(node: Node): boolean {
  if (node.op === "getItem") return isRepeatable(node.source);
  if (node.op !== "call" || !isOperator(node.target)) return false;
  return !node.target.isRandom && !isControl(node.target) && node.target.kind !== "host" && !isMutating(node.target);
}

/**
 * A cut that keeps at most `budget` times as many bytes as the best cut without costly recomputation, if that can be done: values are given up in order
 * of the memory that they free for their work, as few as are enough.
 */
function savedWithin(joint: JointGraph, rules: CutRules, budget: number): Node[] {
  const best = chooseSaved(joint, rules);
  const most = keptBytes(best) * budget;
  if (budget >= 1 || keptBytes(best) <= most) return best;
  const { inBackward } = rules;
  const order = joint.graph.nodes.filter((n) => !inBackward.has(n) && isRepeatable(n) && bytesOf(n) > 0)
    .sort((a, b) => workOf(a) / bytesOf(a) - workOf(b) / bytesOf(b));
  const cut = (count: number): Node[] => chooseSaved(joint, { ...rules, again: new Set(order.slice(0, count)) });
  let low = 0;
  let high = order.length;
  let found = cut(high);
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    const saved = cut(middle);
    if (keptBytes(saved) <= most) {
      high = middle;
      found = saved;
    } else low = middle;
  }
  return keptBytes(found) < keptBytes(best) ? found : best;
}

/**
 * Cuts a joint graph in two.
 *
 * @param budget Memory for what is kept, as a part of what the cut would keep by itself: 1 computes only cheap values again, 0 all that can be. Mirrors
 * `activation_memory_budget` of PyTorch.
 * @throws {InternalError} if the backward needs a value that cannot be handed over.
 */
export function partitionJoint(joint: JointGraph, budget = 1): Partition {
  const { graph, tangents, forwardResults } = joint;
  const results = graph.output.results;
  const forwardNodes = nodesIn(results.slice(0, forwardResults));
  const gradientNodes = nodesIn(results.slice(forwardResults));
  const inBackward = downstream(tangents);
  const forwardNeeds = upstream(forwardNodes);
  const saved = savedWithin(joint, { inBackward, forwardNeeds, again: new Set() }, budget);
  const tangentSet = new Set(tangents);
  const forward = new Graph();
  extract(graph, forward, upstream([...forwardNodes, ...saved]), new Map(), tangentSet, (of) => [
    ...results.slice(0, forwardResults).map((a) => mapNodes(a, of)),
    ...saved.map((node) => joint.overwritten?.has(node) === true ? copyOf(forward, of(node)) : of(node)),
  ]);
  const backward = new Graph();
  const map = new Map<Node, Node>();
  for (const node of saved) map.set(node, backward.placeholder(node.name, node.value));
  const needed = neededFrom(gradientNodes, new Set([...saved, ...tangents]));
  const sizes = missingSizes(graph, needed, [...saved, ...tangents], results.slice(forwardResults));
  for (const size of sizes) backward.placeholder(`size_${size}`, size);
  for (const node of tangents) map.set(node, backward.placeholder(node.name, node.value));
  extract(graph, backward, needed, map, new Set(), (of) => results.slice(forwardResults).map((a) => mapNodes(a, of)));
  return { forward, backward, saved, sizes };
}

function copyOf(graph: Graph, node: Node): Node {
  const op = getOp("aten.clone.default");
  return graph.call(op, op.schema.args.map((_, i): Argument => i === 0 ? node : null), node.value);
}

/** Everything that `to` is computed from, stopping at `given`. */
function neededFrom(to: readonly Node[], given: ReadonlySet<Node>): Set<Node> {
  const seen = new Set<Node>();
  const stack = [...to];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node) || given.has(node)) continue;
    if (node.op === "placeholder" || node.op === "getAttr") {
      throw new InternalError(`the backward needs the input ${node.name}, which was not kept`);
    }
    seen.add(node);
    stack.push(...inputsOf(node));
  }
  return seen;
}

/** Copies the nodes in `keep` to another graph; inputs are kept in their order even if unused. */
function extract(
  from: Graph,
  to: Graph,
  keep: ReadonlySet<Node>,
  map: Map<Node, Node>,
  skip: ReadonlySet<Node>,
  output: (of: (n: Node) => Node) => readonly Argument[],
): void {
  const isForward = map.size === 0;
  const of = (n: Node): Node => {
    const found = map.get(n);
    if (found === undefined) throw new InternalError(`${n.name} is missing on its side of the cut`);
    return found;
  };
  for (const node of from.nodes) {
    if (map.has(node) || skip.has(node)) continue;
    switch (node.op) {
      case "placeholder":
        if (isForward || keep.has(node)) map.set(node, to.placeholder(node.name, node.value));
        break;
      case "getAttr":
        if (keep.has(node)) map.set(node, to.getAttr(node.path, node.value));
        break;
      case "call":
        if (keep.has(node)) {
          map.set(node, to.call(node.target, node.args.map((a) => mapNodes(a, of)), node.value, node.location));
        }
        break;
      case "getItem":
        if (keep.has(node)) map.set(node, to.getItem(of(node.source), node.index, node.value));
        break;
      case "output":
        to.setOutput(output(of));
        break;
      default:
        node satisfies never;
    }
  }
}

/** Size symbols that occur on the backward side and are no plain dimension of anything it is given. */
function missingSizes(
  graph: Graph,
  needed: ReadonlySet<Node>,
  given: readonly Node[],
  results: readonly Argument[],
): SymInt[] {
  const shown = new Set<Sym>();
  for (const node of given) {
    if (!isTensorMeta(node.value)) continue;
    for (const size of node.value.shape) {
      if (isSymInt(size) && size.expr.kind === "symbol") shown.add(size.expr.symbol);
    }
  }
  const wanted = new Map<Sym, SymInt>();
  const note = (value: unknown): void => {
    if (isSymInt(value)) {
      for (const sym of freeSymbols(value.expr)) if (!shown.has(sym)) wanted.set(sym, value);
    } else if (Array.isArray(value)) value.forEach(note);
    else if (isTensorMeta(value)) [...value.shape, ...value.stride].forEach(note);
  };
  for (const node of graph.nodes) {
    if (!needed.has(node)) continue;
    note(node.value);
    if (node.op === "call") node.args.forEach(note);
  }
  results.forEach(note);
  for (const node of given) note(node.value);
  return [...wanted.entries()].map(([sym, like]) => new SymInt(symbol(sym), like.env));
}
