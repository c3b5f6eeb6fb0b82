/** What a compiled function notices, and what costs no second compilation. */
import assert from "node:assert/strict";
import { float32, float64 } from "../../src/core/mod.ts";
import { noGrad, rand, randn, Tensor, tensor } from "../../src/tensor/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { compile, reset } from "../../src/capture/mod.ts";
import { bestMilliseconds } from "../helpers/thread_time.ts";
import { compilations, eachBackend, eventsOf, full, same } from "./support.ts";

eachBackend("the same dtypes and shapes compile once, others again, and both stay", (backend) => {
  const f = full((x: Tensor, y: Tensor) => x.mul(2).add(y), backend, { dynamic: false });
  for (let i = 0; i < 3; i++) {
    const [x, y] = [randn([3, 2]), randn([3, 2])];
    same(f(x, y), x.mul(2).add(y));
  }
  assert.equal(compilations(f), 1);
  f(randn([4, 2]), randn([4, 2]));
  f(randn([3, 2], { dtype: float64 }), randn([3, 2], { dtype: float64 }));
  f(randn([2, 3]).t(), randn([3, 2]));
  f(randn([3, 2]).requiresGrad_(), randn([3, 2]));
  assert.equal(compilations(f), 5);
  f(randn([3, 2]), randn([3, 2]));
  noGrad(() => f(randn([3, 2]), randn([3, 2])));
  assert.equal(compilations(f), 6);
});

eachBackend("numbers, strings, flags and null are guarded by value; NaN and -0 are themselves", (backend) => {
  const f = full((x: Tensor, o: { scale: number; kind: string | null; on: boolean }) => {
    let y = x.mul(o.scale);
    if (o.kind === "square") y = y.mul(y);
    return o.on ? y : y.neg();
  }, backend);
  const x = tensor([1.5, -2]);
  const plainly = (o: { scale: number; kind: string | null; on: boolean }): Tensor => {
    const y = x.mul(o.scale);
    const z = o.kind === "square" ? y.mul(y) : y;
    return o.on ? z : z.neg();
  };
  for (
    const o of [
      { scale: 2, kind: null, on: true },
      { scale: 2, kind: "square", on: true },
      { scale: NaN, kind: "square", on: true },
      { scale: NaN, kind: "square", on: true },
      { scale: 0, kind: null, on: false },
      { scale: -0, kind: null, on: false },
    ]
  ) same(f(x, o), plainly(o));
  assert.equal(compilations(f), 5);
});

eachBackend("only what was read is guarded", (backend) => {
  const f = full((x: Tensor, o: { used: number; unused?: number }) => x.mul(o.used), backend);
  const x = tensor([1, 2.5]);
  f(x, { used: 2, unused: 1 });
  f(x, { used: 2, unused: 7 });
  f(x, { used: 2 });
  assert.equal(compilations(f), 1);
});

eachBackend("key sets, lengths, presence and nested containers are guarded", (backend) => {
  type Tree = { items: Tensor[]; table: Map<string, Tensor>; extra?: { bias: Tensor } };
  const plainly = (t: Tree): Tensor => {
    let sum = t.items[0] as Tensor;
    for (const item of t.items.slice(1)) sum = sum.add(item);
    for (const [key, value] of t.table) sum = sum.add(value.mul(key.length));
    if ("extra" in t && t.extra !== undefined) sum = sum.add(t.extra.bias);
    return sum.mul(Object.keys(t).length);
  };
  const f = full(plainly, backend);
  const v = (): Tensor => rand([2]);
  const trees: Tree[] = [
    { items: [v(), v()], table: new Map([["a", v()]]) },
    { items: [v(), v()], table: new Map([["a", v()]]) },
    { items: [v(), v(), v()], table: new Map([["a", v()]]) },
    { items: [v(), v()], table: new Map([["bb", v()]]) },
    { items: [v(), v()], table: new Map([["a", v()], ["b", v()]]) },
    { items: [v(), v()], table: new Map([["a", v()]]), extra: { bias: v() } },
  ];
  for (const t of trees) same(f(t), plainly(t));
  assert.equal(compilations(f), 5);
});

eachBackend("functions and classes passed in are guarded by identity and run inside the graph", (backend) => {
  const f = full((x: Tensor, act: (t: Tensor) => Tensor) => act(x.mul(2)), backend);
  const x = tensor([0.5, -1]);
  const double = (t: Tensor): Tensor => t.add(t);
  same(f(x, double), x.mul(2).mul(2));
  same(f(x, nn.functional.relu), nn.functional.relu(x.mul(2)));
  same(f(x, double), x.mul(2).mul(2));
  assert.equal(compilations(f), 2);
});

eachBackend("a module's options, training mode and replaced parameters are noticed", (backend) => {
  class Scale extends nn.Module {
    factor = 3;
    weight = nn.parameter(tensor([1, 2.5]));
    forward(x: Tensor): Tensor {
      return this.training ? x.mul(this.weight).mul(this.factor) : x.mul(this.weight);
    }
  }
  const model = new Scale();
  const f = full((x: Tensor) => model.forward(x), backend);
  const x = tensor([1.5, 2]);
  const check = (count: number): void => {
    same(f(x), model.forward(x));
    assert.equal(compilations(f), count);
  };
  check(1);
  check(1);
  model.factor = 4;
  check(2);
  model.eval();
  check(3);
  model.factor = 5;
  check(3);
  noGrad(() => model.weight.mul_(2));
  check(3);
  model.weight = nn.parameter(tensor([7, 8.5]));
  check(4);
  model.weight.requiresGrad = false;
  check(5);
});

eachBackend("recompilation is reported with its reason", (backend) => {
  const f = full((x: Tensor, n: number) => x.mul(n), backend, { dynamic: false });
  f(randn([2]), 1.5);
  const events = eventsOf("recompile", () => f(randn([2]), 2.5));
  assert.equal(events.length, 1);
  assert.match(events[0] ?? "", /args\[1\] was 1\.5, now /);
  const again = eventsOf("recompile", () => f(randn([3]), 1.5));
  assert.match(again[0] ?? "", /args\[0\]\.shape\[0\] was 2/);
});

eachBackend("this, missing and extra arguments", (backend) => {
  const holder = {
    scale: 2,
    f: full(function (this: { scale: number }, x: Tensor, y?: Tensor): Tensor {
      return y === undefined ? x.mul(this.scale) : x.add(y);
    }, backend),
  };
  const x = tensor([1, 2.5]);
  same(holder.f(x), x.mul(2));
  same(holder.f(x, x), x.add(x));
  holder.scale = 3;
  same(holder.f(x), x.mul(3));
  assert.equal(compilations(holder.f), 3);
});

eachBackend("reset() forgets what was compiled", (backend) => {
  const f = full((x: Tensor) => x.mul(2), backend);
  f(randn([2]));
  f(randn([2], { dtype: float64 }));
  assert.equal(compilations(f), 2);
  reset();
  f(randn([2], { dtype: float32 }));
  assert.equal(compilations(f), 1);
});

Deno.test("the guards of three tensors cost at most 2 µs", () => {
  let calls = 0;
  const f = full((x: Tensor, y: Tensor, z: Tensor) => x.mul(y).add(z), "eager", {
    backend: () => {
      const out = [tensor([1.5])];
      return () => (calls++, out);
    },
  });
  const args = [randn([4, 4]), randn([4, 4]), randn([4, 4])] as const;
  for (let i = 0; i < 20000; i++) f(...args);
  const best = bestMilliseconds(5, () => {
    for (let i = 0; i < 20000; i++) f(...args);
  }) / 20;
  assert.ok(calls > 100000);
  assert.ok(best <= 2, `a call took ${best.toFixed(2)} µs`);
});

eachBackend("one tensor given twice is noticed where one of the arguments is written", (backend) => {
  const add = (x: Tensor, y: Tensor) => {
    x.add_(1);
    return y.mul(2);
  };
  const f = compile(add, { backend });
  same(f(randn([3]), tensor([1.5, 2, 3])), tensor([3, 4, 6], { dtype: float32 }));
  const x = tensor([1.5, 2, 3]);
  same(f(x, x), tensor([5, 6, 8], { dtype: float32 }));
});

eachBackend("batch normalisation without momentum is captured whole", (backend) => {
  const norm = new nn.BatchNorm1d(1, { momentum: null });
  const f = full((x: Tensor) => norm.forward(x), backend);
  for (const v of [1, 2, 6]) f(tensor([[v], [v]], { dtype: float32 }));
  assert.equal(compilations(f), 1);
  assert.ok(Math.abs((norm.runningMean?.item() ?? 0) - 3) < 1e-6);
});
