/**
 * Scans inside of other control flow, when the tape follows them.
 *
 * A graph inside of a graph is recorded before anybody knows whether it will be differentiated, so its scans do not keep the carries with which their rounds began. When it is run
 * with the tape on, such a scan is replaced by one that gives them as further results, which its gradient reads.
 */
import { type CallNode, Graph, isNode, isTensorMeta, mapNodes, type Node } from "../../graph/mod.ts";
import type { Size } from "../../symbolic/mod.ts";
import type { Body } from "./body.ts";
import { type ControlOperator, controlOperator, isControlOperator, resultsOf, stackedMeta } from "./operator.ts";

const known = new WeakMap<ControlOperator, ControlOperator>();

/** The operator of a call; for a scan without its carries, one that gives them behind its results. */
export function withCarries(node: CallNode): ControlOperator | null {
  const { target } = node;
  if (!isControlOperator(target) || target.control !== "scan") return null;
  const [init, xs] = node.args;
  const [body] = target.bodies;
  const first = Array.isArray(xs) ? xs[0] : null;
  if (!Array.isArray(init) || init.length === 0 || target.savedCarries === init.length || body === undefined) {
    return null;
  }
  if (!isNode(first) || !isTensorMeta(first.value)) return null;
  let made = known.get(target);
  if (made === undefined) {
    const length = first.value.shape[0] as Size;
    const more = bodyWithCarries(body, init.length);
    const metas = resultsOf(more).map((meta, i) => i < init.length ? meta : stackedMeta(meta, length));
    known.set(target, made = controlOperator("scan", [more], metas, init.length));
  }
  return made;
}

/** A copy of a round that also gives the carries that it was given. */
function bodyWithCarries({ graph, recorded }: Body, carries: number): Body {
  const copy = new Graph();
  const followed = new Set<Node>();
  const map = new Map<Node, Node>();
  const of = (n: Node): Node => map.get(n) as Node;
  for (const node of graph.nodes) {
    switch (node.op) {
      case "placeholder":
        map.set(node, copy.placeholder(node.name, node.value));
        break;
      case "getAttr":
        map.set(node, copy.getAttr(node.path, node.value));
        break;
      case "call": {
        const made = copy.call(node.target, node.args.map((a) => mapNodes(a, of)), node.value, node.location);
        map.set(node, made);
        if (recorded.has(node)) followed.add(made);
        break;
      }
      case "getItem":
        map.set(node, copy.getItem(of(node.source), node.index, node.value));
        break;
      case "output":
        copy.setOutput([...node.results.map((a) => mapNodes(a, of)), ...copy.placeholders.slice(0, carries)]);
        break;
      default:
        node satisfies never;
    }
  }
  return { graph: copy, recorded: followed };
}
