/** What is remembered of a function stays bounded, whatever it is called with; and options that do not exist are refused. */
import assert from "node:assert/strict";
import "../../src/aot_autograd/mod.ts";
import { captureStats, compile } from "../../src/capture/mod.ts";
import { arange, ones, rand, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import { eventsOf, same } from "./support.ts";

/** Fresh functions of one text. */
function scaler(k: number): (x: Tensor) => Tensor {
  return (x) => x.mul(k);
}

Deno.test("a function that is another one at each call ends in segments, with the reason", () => {
  const f = compile((x: Tensor, fn: (x: Tensor) => Tensor) => fn(x).add(1), { backend: "eager" });
  const told = eventsOf("warning", () => {
    for (let i = 0; i < 80; i++) same(f(ones([2]), scaler(i)), ones([2]).mul(i).add(1));
  });
  const { entries, segmentedCalls } = captureStats(f);
  assert.equal(entries, 64);
  assert.ok(segmentedCalls >= 10);
  assert.match(told.join("\n"), /compiled 64 times \(args\[1\] is no longer the function/);
  // What was compiled last is still there.
  const traced = captureStats(f).traced;
  f(ones([2]), scaler(1));
  assert.equal(captureStats(f).traced, traced);
});

Deno.test("under fullgraph the entry not used for longest is forgotten", () => {
  const f = compile((x: Tensor, fn: (x: Tensor) => Tensor) => fn(x).add(1), { backend: "eager", fullgraph: true });
  for (let i = 0; i < 80; i++) same(f(ones([2]), scaler(i)), ones([2]).mul(i).add(1));
  assert.equal(captureStats(f).entries, 64);
  assert.equal(captureStats(f).segmentedCalls, 0);
});

Deno.test("segments of paths that are no longer recognised are forgotten", () => {
  const f = compile((x: Tensor) => {
    const sum = x.sum().item();
    return x.mul(2).add(sum);
  }, { backend: "eager" });
  for (let i = 0; i < 300; i++) {
    const x = ones([1 + (i * 7) % 150]);
    same(f(x), x.mul(2).add(Number(x.shape[0])));
  }
  const { segments } = captureStats(f);
  assert.ok(segments <= 3 * 33, `${segments} segments are remembered`);
});

Deno.test("segments beyond the limit are not kept", () => {
  const f = compile((x: Tensor, n: number) => {
    x.sum().item();
    return x.narrow(0, n, 1).add(1);
  }, { backend: "eager" });
  const x = arange(600).to(ones([1]).dtype);
  for (let i = 0; i < 600; i++) {
    const n = i >> 1;
    same(f(x, n), x.narrow(0, n, 1).add(1));
  }
  assert.ok(captureStats(f).compiledSegments <= 256);
});

Deno.test("options that do not exist are refused by name", () => {
  const f = (x: Tensor): Tensor => x;
  const wrong = (options: object): () => unknown => () => compile(f, options);
  assert.throws(wrong({ backnd: "eager" }), /TypeError: compile: there is no option "backnd"; there are backend, /);
  assert.throws(wrong({ mode: "fast" }), /RangeError: compile: there is no mode "fast"; there are default, /);
  const snake: object = { requires_grad: true };
  assert.throws(() => zeros([2], snake), /TypeError: zeros: there is no option "requires_grad"; there are dtype, /);
  assert.throws(() => tensor([2], snake), /TypeError: tensor: there is no option "requires_grad"/);
  assert.throws(() => arange(0, 4, snake), /TypeError: arange: there is no option "requires_grad"/);
  assert.throws(() => rand([2], snake), /TypeError: random uniform: there is no option "requires_grad"; .*generator/);
});
