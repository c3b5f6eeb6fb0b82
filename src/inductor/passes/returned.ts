/**
 * What the caller of a graph gets to see: results, and the memory that results are views of. Passes leave such nodes memory of their own.
 */
import { forEachNode, type Graph, type Node } from "../../graph/mod.ts";

/** Nodes that the graph returns, and what they are views of. */
export function returnedNodes(graph: Graph): Set<Node> {
  const found = new Set<Node>();
  const visit = (node: Node): void => {
    if (found.has(node)) return;
    found.add(node);
    if (node.op === "getItem") visit(node.source);
    if (node.op !== "call") return;
    const { schema } = node.target;
    schema.args.forEach((arg, i) => {
      if (arg.alias !== null) forEachNode(node.args[i] ?? null, visit);
    });
  };
  forEachNode(graph.output.results, visit);
  return found;
}
