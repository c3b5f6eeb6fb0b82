/**
 * Steps of a plan that run on the host, as plain data: an operator with its arguments, the slots that it reads, and those that it fills.
 *
 * The call stands in a graph of its own, whose inputs are what it reads; so control flow brings its graphs along. In another process the step is made as for a plan.
 */
import { CompileError, uint8 } from "../../core/mod.ts";
import { type Argument, Graph, isNode, mapNodes, type Node } from "../../graph/mod.ts";
import { restoreGraph, SizeReader, type StoredGraph, storeGraph } from "../../capture/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import type { HostStep } from "../../runtime/js/executable.ts";
import { constant, newSym } from "../../symbolic/mod.ts";
import type { HostGroup } from "../groups.ts";
import { hostStep } from "../host_steps.ts";

/** A step as JSON. */
export interface StoredHost {
  readonly graph: StoredGraph;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** The steps as JSON; null if one runs an operator that other processes may not have. */
export function storeHost(groups: readonly HostGroup[], slotOf: (buffer: BufferRef) => number): StoredHost[] | null {
  const out: StoredHost[] = [];
  for (const { node, inputs, outputs } of groups) {
    if (node.op !== "call") return null;
    const own = new Graph();
    const map = new Map<Node, Node>();
    const read = (a: Argument): void => {
      if (Array.isArray(a)) a.forEach((x: Argument) => read(x));
      else if (isNode(a) && !map.has(a)) map.set(a, own.placeholder(a.name, a.value));
    };
    node.args.forEach(read);
    const call = own.call(node.target, node.args.map((a) => mapNodes(a, (n) => map.get(n) ?? n)), node.value);
    own.setOutput([call]);
    const graph = storeGraph(own, new Set());
    if (graph === null) return null;
    out.push({ graph, inputs: inputs.map(slotOf), outputs: outputs.map(slotOf) });
  }
  return out;
}

/** Makes the steps again. `sizes`: names of the plan's size symbols, in order. @throws {CompileError} if one is damaged. */
export function restoreHost(stored: readonly StoredHost[], sizes: readonly string[], slots: number): HostStep[] {
  return stored.map(({ graph: given, inputs, outputs }) => {
    const reader = new SizeReader(given.symbols);
    const [node] = restoreGraph(given, reader).graph.calls;
    if (node === undefined) throw new CompileError("a stored step calls nothing");
    const places = new Map<BufferRef, number>();
    const buffer = (slot: number): BufferRef => {
      if (!Number.isSafeInteger(slot) || slot < 0 || slot >= slots) {
        throw new CompileError(`a stored step names slot ${slot}`);
      }
      // Steps read shapes and dtypes off their call; a buffer is only a place to them.
      const made: BufferRef = { id: -1 - places.size, dtype: uint8, numel: constant(0), label: "" };
      places.set(made, slot);
      return made;
    };
    const group: HostGroup = {
      kind: "host",
      node,
      inputs: inputs.map(buffer),
      outputs: outputs.map(buffer),
      origins: [],
      stored: new Set(),
      reasons: [],
    };
    const symbols = sizes.map((name) => reader.symbols.get(name) ?? newSym(name));
    return hostStep(group, (b) => places.get(b) ?? -1, symbols);
  });
}
