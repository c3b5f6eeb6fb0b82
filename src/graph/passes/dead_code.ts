/**
 * Removes calls whose results nobody reads. Calls that write to a tensor or draw random numbers stay; inputs stay, because they are
 * the graph's signature; attributes that nobody reads go.
 */
import type { Graph } from "../graph.ts";
import type { Node } from "../node.ts";
import { hasEffects } from "./effects.ts";

/** Removes dead nodes in place; returns how many went. */
export function rewriteDeadCode(graph: Graph): number {
  const dead = new Set<Node>();
  for (const node of [...graph.nodes].reverse()) {
    if (node.op === "output" || node.op === "placeholder") continue;
    if (node.op === "call" && hasEffects(node)) continue;
    let used = false;
    for (const user of node.users) {
      if (!dead.has(user)) {
        used = true;
        break;
      }
    }
    if (!used) dead.add(node);
  }
  if (dead.size > 0) graph.erase(...dead);
  return dead.size;
}
