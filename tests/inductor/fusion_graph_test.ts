/**
 * The order of groups under fusion: cycles are found exactly, and the order stays topological.
 */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { float32 } from "../../src/core/mod.ts";
import { newBuffer } from "../../src/inductor/buffers.ts";
import { FusionGraph, type FusionNode, MinHeap } from "../../src/inductor/fusion_graph.ts";
import type { HostGroup } from "../../src/inductor/groups.ts";
import type { BufferRef } from "../../src/loops/mod.ts";
import { constant } from "../../src/symbolic/mod.ts";
import { graphOf } from "../helpers/graph_builder.ts";
import "../../src/ops/mod.ts";

const someNode = graphOf((b) => b.input([1])).placeholders[0];

function hostGroup(inputs: readonly BufferRef[], outputs: readonly BufferRef[]): HostGroup {
  assert.ok(someNode !== undefined);
  return { kind: "host", origins: [], stored: new Set(outputs), reasons: [], node: someNode, inputs, outputs };
}

function reaches(from: FusionNode, to: FusionNode, skip: FusionNode | null): boolean {
  const seen = new Set<FusionNode>();
  const stack = [from];
  for (let n = stack.pop(); n !== undefined; n = stack.pop()) {
    for (const user of n.users) {
      if (user === to && !(n === from && skip === to)) return true;
      if (user === to || seen.has(user)) continue;
      seen.add(user);
      stack.push(user);
    }
  }
  return false;
}

Deno.test("FusionGraph finds exactly the fusions that would close a cycle and keeps a topological order", () => {
  const edges = fc.array(fc.tuple(fc.nat({ max: 17 }), fc.nat({ max: 17 })), { maxLength: 40 });
  const merges = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 25 });
  fc.assert(
    fc.property(edges, merges, (pairs, attempts) => {
      const buffers = Array.from({ length: 18 }, () => newBuffer("b", float32, constant(4)));
      const groups = buffers.map((out, i) => {
        const from = new Set(pairs.filter(([x, y]) => Math.max(x, y) === i && x !== y).map(([x, y]) => Math.min(x, y)));
        return hostGroup([...from].map((f) => buffers[f] as BufferRef), [out]);
      });
      const graph = new FusionGraph(groups);
      for (const [x, y] of attempts) {
        const nodes = graph.nodes;
        const [a, b] = [nodes[x % nodes.length], nodes[y % nodes.length]];
        if (a === undefined || b === undefined || a === b) continue;
        const detour = reaches(a, b, b) || reaches(b, a, a);
        assert.equal(graph.cycleReason(a, b) !== null, detour);
        if (detour) continue;
        const [p, q] = [a.group as HostGroup, b.group as HostGroup];
        const outputs = [...p.outputs, ...q.outputs];
        const inputs = [...new Set([...p.inputs, ...q.inputs])].filter((i) => !outputs.includes(i));
        graph.merge(a, b, hostGroup(inputs, outputs));
        assert.equal(graph.inOrder().length, graph.nodes.length);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("MinHeap yields its elements in order", () => {
  fc.assert(fc.property(fc.array(fc.integer()), (items) => {
    const heap = new MinHeap<number>((x, y) => x - y);
    for (const item of items) heap.push(item);
    const out = items.map(() => heap.pop());
    assert.deepEqual(out, [...items].sort((x, y) => x - y));
    assert.equal(heap.pop(), undefined);
  }));
});
