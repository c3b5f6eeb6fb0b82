/** Sizes that change: static first, then symbols; marks; guards on what was assumed of them. */
import assert from "node:assert/strict";
import { explain, markDynamic, markStatic, ShapeEnv } from "../../src/capture/mod.ts";
import { float64 } from "../../src/core/mod.ts";
import { ones, randn, Tensor, tensor } from "../../src/tensor/mod.ts";
import { sizeAdd, sizeMul, sizeOf } from "../../src/symbolic/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { compilations, eachBackend, eventsOf, full, same } from "./support.ts";

eachBackend("30 lengths take two compilations", (backend) => {
  const body = (x: Tensor, w: Tensor): Tensor => nn.functional.relu(x.mm(w)).sum(0).div(x.shape[0] ?? 1);
  const f = full(body, backend);
  const w = randn([3, 4]);
  for (let n = 2; n < 32; n++) {
    const x = randn([n, 3]);
    same(f(x, w), body(x, w));
  }
  assert.equal(compilations(f), 2);
});

eachBackend("the report says which size became dynamic", (backend) => {
  const f = full((x: Tensor) => x.mul(2), backend);
  f(randn([8, 3]));
  const events = eventsOf("recompile", () => f(randn([9, 3])));
  assert.match(events[0] ?? "", /^recompiled the function: args\[0\]\.shape\[0\] was 8, now 9; made dynamic$/);
  const report = explain(f)(randn([10, 3]));
  assert.deepEqual(report.recompilations, events);
  assert.match(String(report), /\nrecompiled the function: args\[0\]/);
});

eachBackend("the report says what a value was and what it is now", (backend) => {
  const options = { k: 2, mode: "a" };
  const f = full((x: Tensor, flag: boolean) => flag ? x.mul(options.k) : x.add(options.mode.length), backend);
  const tell = (x: Tensor, flag: boolean): string => eventsOf("recompile", () => void f(x, flag)).join();
  f(randn([2]), true);
  assert.match(tell(randn([2]), false), /args\[1\] was true, now false$/);
  options.k = 3;
  assert.match(tell(randn([2]), true), /options\.k was 2, now 3/);
  options.mode = "bc";
  assert.match(tell(randn([2]), false), /options\.mode was "a", now "bc"/);
  assert.match(tell(randn([2]).to(float64), false), /args\[0\]\.dtype was float32, now float64/);
});

eachBackend("0 and 1 stay special", (backend) => {
  const f = full((x: Tensor) => x.add(ones([4, 3])), backend);
  for (const n of [4, 1, 4]) same(f(ones([n, 3])), ones([n, 3]).add(ones([4, 3])));
  const g = full((x: Tensor) => x.mul(2).sum(), backend);
  for (const n of [5, 0, 1, 6, 7, 8]) same(g(ones([n])), ones([n]).mul(2).sum());
  assert.equal(compilations(g), 4);
});

eachBackend("markDynamic() makes a symbol at once, markStatic() never", (backend) => {
  const f = full((x: Tensor) => x.mul(2), backend);
  const x = randn([8, 3]);
  markDynamic(x, 0, { min: 2, max: 16 });
  f(x);
  f(randn([16, 3]));
  assert.equal(compilations(f), 1);
  f(randn([17, 3]));
  assert.equal(compilations(f), 2);
  const g = full((x: Tensor) => x.mul(2), backend);
  for (const n of [3, 4, 5]) {
    const y = randn([n]);
    markStatic(y, 0);
    g(y);
  }
  assert.equal(compilations(g), 3);
  assert.throws(() => markDynamic(x, 2), RangeError);
  assert.throws(() => markDynamic(x, 0, { min: 9 }), /size 8, outside of the range 9/);
});

eachBackend("dynamic: true and false", (backend) => {
  const always = full((x: Tensor) => x.t().mul(2), backend, { dynamic: true });
  for (const n of [3, 4, 5]) same(always(ones([n, n + 1])), ones([n + 1, n]).mul(2));
  assert.equal(compilations(always), 1);
  const never = full((x: Tensor) => x.mul(2), backend, { dynamic: false });
  for (const n of [3, 4, 5]) never(ones([n]));
  assert.equal(compilations(never), 3);
});

eachBackend("what the function decides on sizes is guarded", (backend) => {
  const body = (x: Tensor): Tensor => Number(x.shape[0]) > 10 ? x.mul(2) : x.neg();
  const f = full(body, backend, { dynamic: true });
  for (const n of [4, 5, 12, 13]) same(f(ones([n])), body(ones([n])));
  const g = full((x: Tensor, y: Tensor) => x.add(y), backend, { dynamic: true });
  same(g(ones([4]), ones([4])), ones([4]).mul(2));
  same(g(ones([6]), ones([6])), ones([6]).mul(2));
  assert.equal(compilations(g), 1);
  same(g(ones([6]), ones([1])), ones([6]).mul(2));
  assert.throws(() => g(ones([6]), ones([5])), /do not broadcast/);
});

eachBackend("sizes come back as numbers, and reshape with symbols", (backend) => {
  const body = (x: Tensor): { n: number; flat: Tensor } => {
    const [a = 1, b = 1] = x.shape;
    return { n: sizeAdd(sizeMul(a, 2), 1) as number, flat: x.mul(1.5).view([sizeMul(a, b)]) };
  };
  const f = full(body, backend, { dynamic: true });
  for (const n of [3, 4, 5]) {
    const x = randn([n, 6]);
    same(f(x), body(x));
  }
  assert.equal(compilations(f), 1);
});

eachBackend("gradients of a function with symbols", (backend) => {
  const w = nn.parameter(tensor([[1, 2.5], [3, 4], [5, 6]]));
  const body = (x: Tensor): Tensor => nn.functional.softmax(x.mm(w), -1).pow(2).mean();
  const f = full(body, backend, { dynamic: true });
  for (const n of [4, 5, 6]) {
    const grads = [f, body].map((g) => {
      const x = ones([n, 3]).mul(0.25).detach().requiresGrad_();
      w.grad = null;
      g(x).backward();
      return [x.grad, w.grad];
    });
    same(grads[0], grads[1]);
  }
  assert.equal(compilations(f), 1);
});

Deno.test("ShapeEnv: equal sizes share a symbol, decisions are recorded once, ranges decide the rest", () => {
  const env = new ShapeEnv();
  const a = env.createSize(8);
  const b = env.createSize(8);
  const c = env.createSize(5, { min: 1, max: 9 });
  assert.equal(a.expr, b.expr);
  assert.equal(sizeOf(a.expr, env).toString(), "s0");
  assert.equal(a.eq(1), false);
  assert.equal(c.le(9), true);
  assert.equal(env.guards.length, 0);
  assert.equal(a.gt(c), true);
  assert.equal(a.gt(c), true);
  assert.equal(Number(c), 5);
  assert.deepEqual(env.guards.map((g) => g.reason).length, 2);
});

Deno.test("explain() shows symbols in the graph and their guards", () => {
  const report = explain((x: Tensor) => Number(x.shape[0]) > 3 ? x.mul(2) : x, { dynamic: true })(randn([5, 3]));
  assert.match(report.graph ?? "", /f32\[s0, s1\]/);
  assert.match(report.guards.join("\n"), /s0 == 5/);
});
