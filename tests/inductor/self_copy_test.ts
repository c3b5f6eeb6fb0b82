/** Tensors that are copied into themselves: nothing is written, and nothing is missed. */
import assert from "node:assert/strict";
import { compile, onEvent, randn, type Tensor, withConfig } from "../../mod.ts";

Deno.test("x.copy_(x) in a compiled function leaves x, in one graph", () => {
  using _ = withConfig({ verify: true });
  const messages: string[] = [];
  using _events = onEvent((e) => void (e.kind === "graph_break" && messages.push(e.message)));
  const f = compile((x: Tensor) => x.copy_(x).mul(2), { fullgraph: true });
  const x = randn([2, 3]);
  const before = [...x.dataSync()];
  assert.deepEqual([...f(x).dataSync()], before.map((v) => Math.fround(Number(v) * 2)));
  assert.deepEqual([...x.dataSync()], before);
  assert.deepEqual(messages, []);
});
