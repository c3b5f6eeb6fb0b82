/**
 * Merges calls that compute the same: same operator, same arguments. Random and writing calls are never merged, nor calls that read or view
 * a tensor which some call of the graph writes to (so the pass may run before functionalisation). Two results of the graph never become one
 * tensor: what the output reads is kept apart. Mirrors `torch._functorch.compile_utils.fx_graph_cse`.
 */
import { isSymInt } from "../../symbolic/mod.ts";
import { isControl } from "../control.ts";
import { forEachNode, type Graph } from "../graph.ts";
import { type Argument, type CallNode, isNode, isTensorMeta, type Node } from "../node.ts";
import { hasEffects, isMutating, isShowing, isShown } from "./effects.ts";

/** The text under which equal arguments meet; `keyOfNode` gives equal numbers to nodes that compute the same. Floats keep the sign of zero; numbers of different kinds stay apart. */
export function argumentKey(argument: Argument, keyOfNode: (node: Node) => number): string {
  if (argument === null) return "n";
  if (Array.isArray(argument)) return `[${argument.map((a: Argument) => argumentKey(a, keyOfNode)).join(",")}]`;
  if (isNode(argument)) return `%${keyOfNode(argument)}`;
  if (typeof argument === "number") return Object.is(argument, -0) ? "-0" : `${argument}`;
  if (typeof argument === "bigint") return `${argument}n`;
  if (typeof argument === "boolean") return argument ? "t" : "f";
  if (typeof argument === "string") return JSON.stringify(argument);
  if (isSymInt(argument)) return `s${argument.expr.id}`;
  return `:${argument}`;
}

/** Nodes of a graph that share memory with something that it writes, found through views (calls whose schema names an alias). */
export function writtenNodes(graph: Graph): ReadonlySet<Node> {
  const base = new Map<Node, Node>();
  const root = (node: Node): Node => base.get(node) ?? node;
  const written = new Set<Node>();
  for (const node of graph.nodes) {
    if (node.op === "getItem") base.set(node, root(node.source));
    if (node.op !== "call") continue;
    const { args } = node.target.schema;
    args.forEach((arg, i) => {
      if (arg.alias === null) return;
      forEachNode(node.args[i] ?? null, (input) => {
        if (!arg.list) base.set(node, root(input));
        if (arg.mutated) written.add(root(input));
      });
    });
  }
  return new Set(graph.nodes.filter((node) => written.has(root(node))));
}

/** Merges equal calls in place; returns how many went. */
export function rewriteCommonSubexpressions(graph: Graph): number {
  const hasWrites = graph.nodes.some((n) => n.op === "call" && isMutating(n.target));
  const written = hasWrites ? writtenNodes(graph) : new Set<Node>();
  const seen = new Map<string, Node>();
  const returned = new Set<Node>();
  forEachNode(graph.output.results, (node) => {
    returned.add(node);
  });
  const gone: Node[] = [];
  for (const node of graph.nodes) {
    if (node.op !== "call" && node.op !== "getItem") continue;
    if (node.op === "call" && (hasEffects(node) || isReadingAny(node, written))) continue;
    const key = node.op === "getItem" ? `${node.source.id}.${node.index}` : callKey(node);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, node);
    else if (returned.has(node)) {
      // Two results stay two tensors; later calls may still read the first.
      graph.replaceAllUses(node, first, (user) => user.op === "output" || isShowing(user, node));
    } else if (isShown(node) && isShown(first)) {
      // Also where they are seen through views: whoever writes to one of them does not write to the other.
      graph.replaceAllUses(node, first, (user) => isShowing(user, node));
    } else {
      graph.replaceAllUses(node, first);
      gone.push(node);
    }
  }
  if (gone.length > 0) graph.erase(...gone);
  return gone.length;
}

function idOf(node: Node): number {
  return node.id;
}

function callKey(node: CallNode): string {
  // An operator may be asked for another dtype than its arguments show only through arguments, so these are enough.
  const dtype = isTensorMeta(node.value) ? node.value.dtype.short : "";
  // What graphs compute is not compared.
  const own = isControl(node.target) ? `#${node.id}` : "";
  return `${node.target.schema.target}${own}${dtype}(${node.args.map((a) => argumentKey(a, idOf)).join(",")})`;
}

function isReadingAny(node: CallNode, written: ReadonlySet<Node>): boolean {
  let found = false;
  for (const arg of node.args) {
    forEachNode(arg, (n) => {
      if (written.has(n)) found = true;
    });
  }
  return found || written.has(node);
}
