/** Constants that are computed from parameters: once each, however many places of a graph want them. */
import assert from "node:assert/strict";
import "../../../mod.ts";
import { device } from "../../../src/core/mod.ts";
import { Graph } from "../../../src/graph/mod.ts";
import { FrozenConstants } from "../../../src/inductor/passes/frozen.ts";
import { filledVector } from "../../../src/inductor/passes/pad_channels.ts";
import { tensor } from "../../../src/tensor/mod.ts";

Deno.test("a constant that is made the same way of the same parameter is there once, and a write to the parameter is seen", () => {
  const graph = new Graph();
  const weight = tensor([1, 2, 3]);
  const constants = new FrozenConstants(graph, new Map([["w", weight]]));
  let computed = 0;
  const add = (channels: number): string =>
    constants.add({
      sources: ["w"],
      compute: (read) => {
        computed++;
        return filledVector(read("w"), channels);
      },
      stored: { kind: "filled", source: "w", channels },
    }).path;
  const [first, again, other] = [add(4), add(4), add(5)];
  assert.equal(first, again);
  assert.notEqual(first, other);
  assert.equal(computed, 2);
  assert.equal(constants.count, 2);
  assert.equal(constants.bytes, 9 * weight.dtype.bytes);
  assert.equal(graph.attributes.length, 3);
  weight.fill_(7);
  assert.equal(constants.refresh(), 2);
  assert.deepEqual(constants.read(again).toArray(), [7, 7, 7, 0]);
  assert.equal(constants.read(again).device, device("cpu"));
});
