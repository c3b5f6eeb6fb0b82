/** Gradients of gradients through compiled calls agree with eager, to any order. */
import assert from "node:assert/strict";
import { float64 } from "../../src/core/mod.ts";
import "../../src/inductor/mod.ts";
import { grad, gradOf, jvp, valueAndGrad, vjp } from "../../src/autograd/mod.ts";
import { compile, cond, entryCount, forLoop, scan } from "../../src/capture/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { manualSeed, noGrad, rand, randn as single, type Tensor, tensor as given } from "../../src/tensor/mod.ts";

const BACKENDS = ["eager", "aot_eager", "inductor"] as const;

// Third derivatives are too steep for a comparison in float32.
const randn = (shape: number[]): Tensor => single(shape, { dtype: float64 });
const tensor = (data: number[]): Tensor => given(data, { dtype: float64 });

type Fn = (...args: Tensor[]) => Tensor;

function near(a: Tensor | null | undefined, b: Tensor | null | undefined, what: string): void {
  assert.ok(a !== null && a !== undefined && b !== null && b !== undefined, `${what}: ${a} beside ${b}`);
  assert.deepEqual([...a.shape], [...b.shape], what);
  const [x, y] = [[...a.detach().dataSync()].map(Number), [...b.detach().dataSync()].map(Number)];
  x.forEach((v, i) => {
    const w = y[i] ?? NaN;
    assert.ok(Math.abs(v - w) <= 1e-8 * Math.max(1, Math.abs(w)), `${what}: ${x} is not ${y}`);
  });
}

/** First, second and third derivatives along the sum of gradients. */
function towers(fn: Fn, args: readonly Tensor[], orders: number): Tensor[] {
  const leaves = args.map((t) => t.detach().clone().requiresGrad_());
  let out = fn(...leaves);
  const found: Tensor[] = [out.detach()];
  for (let order = 0; order < orders; order++) {
    const total = out.mul(out).sum();
    const grads = gradOf(total, leaves, { allowUnused: true, createGraph: true });
    const all = grads.filter((g): g is Tensor => g !== null);
    found.push(...all.map((g) => g.detach()));
    out = all.map((g) => g.sin().sum()).reduce((a, b) => a.add(b));
    if (!out.requiresGrad) break;
  }
  return found;
}

const PROGRAMS: Readonly<Record<string, { readonly fn: Fn; readonly args: () => Tensor[] }>> = {
  pointwise: { fn: (x) => x.sin().mul(x.exp()), args: () => [tensor([0.5, -1, 0.25])] },
  "a product of matrices": {
    fn: (x, w, b) => x.matmul(w).add(b).tanh().matmul(w.t()),
    args: () => [randn([3, 4]), randn([4, 5]), randn([5])],
  },
  softmax: { fn: (x) => nn.functional.softmax(x, -1).mul(x), args: () => [randn([2, 5])] },
  "layer norm and gelu": {
    fn: (x, w, b) => nn.functional.gelu(nn.functional.layerNorm(x, [6], { weight: w, bias: b })),
    args: () => [randn([3, 6]), randn([6]), randn([6])],
  },
  "a noGrad() part": {
    fn: (x) => x.mul(noGrad(() => x.mul(2).sin())).add(x.sin().detach().mul(x)),
    args: () => [tensor([0.5, -1.25])],
  },
  "writes to what the function made": {
    fn: (x) => {
      const y = x.mul(2);
      y.select(0, 0).mul_(x.select(0, 1));
      y.add_(x.sin());
      return y.exp();
    },
    args: () => [tensor([0.5, -0.75, 0.25])],
  },
  convolution: {
    fn: (x, w) => nn.functional.conv2d(x, w).sigmoid(),
    args: () => [randn([1, 2, 5, 5]), randn([3, 2, 3, 3])],
  },
  "a scan": {
    fn: (x, s) => scan((c: Tensor, r: Tensor) => [c.mul(r).sin(), c.add(r)], s, x)[1],
    args: () => [randn([3, 2]), randn([2])],
  },
  "a loop": { fn: (x) => forLoop(3, (_, y: Tensor) => [y.mul(x).sin()], [x])[0], args: () => [tensor([0.5, 1.25])] },
  "a branch": {
    fn: (x) => cond(x.sum().gt(0), (y) => y.sin().mul(y), (y) => y.exp(), [x]),
    args: () => [tensor([0.5, 1.25])],
  },
};

for (const backend of BACKENDS) {
  for (const [name, { fn, args }] of Object.entries(PROGRAMS)) {
    Deno.test(`three orders of gradients of ${name} agree with eager (${backend})`, () => {
      manualSeed(5);
      const given = args();
      const f = compile(fn as (...args: Tensor[]) => Tensor, { backend, fullgraph: true });
      const expected = towers(fn, given, 3);
      for (let round = 0; round < 2; round++) {
        const found = towers(f, given, 3);
        assert.equal(found.length, expected.length);
        found.forEach((t, i) => near(t, expected[i], `${name} ${i}`));
      }
      assert.equal(entryCount(f as (...args: never[]) => unknown), 1);
    });
  }

  Deno.test(`dropout keeps its mask under a second derivative (${backend})`, () => {
    const fn: Fn = (x, w) => nn.functional.dropout(x.matmul(w).sin(), 0.5).pow(3).add(rand([4], { dtype: float64 }));
    const f = compile(fn, { backend, fullgraph: true });
    const args = [randn([3, 4]), randn([4, 4])];
    const run = (g: Fn): Tensor[] => {
      manualSeed(11);
      return towers(g, args, 2);
    };
    const expected = run(fn);
    run(f).forEach((t, i) => near(t, expected[i], `${i}`));
  });

  Deno.test(`chained compiled calls, modules and running statistics under create_graph (${backend})`, () => {
    manualSeed(2);
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Tanh(), new nn.Linear(4, 1));
    model.to(float64);
    const f = compile((x: Tensor) => model.forward(x), { backend, fullgraph: true });
    const h = compile((x: Tensor) => x.mul(x).mean(), { backend, fullgraph: true });
    const x = randn([5, 3]);
    const penalty = (net: (x: Tensor) => Tensor, loss: (x: Tensor) => Tensor): (Tensor | null)[] => {
      const at = x.clone().requiresGrad_();
      const [g] = gradOf(loss(net(at)), [at], { createGraph: true });
      const total = (g as Tensor).mul(g as Tensor).sum();
      return gradOf(total, [...model.parameters(), at], { allowUnused: true });
    };
    const expected = penalty((t) => model.forward(t), (t) => t.mul(t).mean());
    for (let round = 0; round < 2; round++) {
      penalty(f, h).forEach((t, i) => {
        if (expected[i] === null) assert.equal(t, null);
        else near(t, expected[i], `parameter ${i}`);
      });
    }
  });

  Deno.test(`grad(), vjp(), jvp() and Hessian-vector products through compiled functions (${backend})`, () => {
    const fn = (x: Tensor): Tensor => x.pow(3).mul(x.sin()).sum();
    const f = compile(fn, { backend, fullgraph: true });
    const x = tensor([0.5, -1.5, 2]);
    const v = tensor([1, 0.5, -0.25]);
    const hvp = (g: typeof fn) => (at: Tensor): Tensor => grad((y: Tensor) => grad(g)(y).mul(v).sum())(at);
    near(hvp(f)(x), hvp(fn)(x), "grad of grad");
    const forwardOverReverse = (g: typeof fn): Tensor => jvp((y) => grad(g)(y as Tensor), [x], [v])[1];
    near(forwardOverReverse(f), forwardOverReverse(fn), "jvp of grad");
    near(jvp(f, [x], [v])[1], jvp(fn, [x], [v])[1], "jvp");
    const twice = (g: typeof fn): Tensor => {
      const [, pull] = vjp((y) => valueAndGrad(g)(y as Tensor)[1], x);
      return pull(v)[0] as Tensor;
    };
    near(twice(f), twice(fn), "vjp of grad");
    near(compile(hvp(fn), { backend, fullgraph: true })(x), hvp(fn)(x), "compiled grad of grad");
    near(compile(hvp(f), { backend, fullgraph: true })(x), hvp(fn)(x), "compiled grad of compiled");
  });
}

Deno.test("backward() under createGraph leaves gradients that can be walked again", () => {
  for (const g of [(x: Tensor) => x.pow(3).sum(), compile((x: Tensor) => x.pow(3).sum(), { backend: "inductor" })]) {
    const x = tensor([1, 2]).requiresGrad_();
    g(x).backward(null, { createGraph: true });
    const first = x.grad as Tensor;
    x.grad = null;
    first.sum().backward();
    near(x.grad, tensor([6, 12]), "second");
  }
});

Deno.test("a gradient's gradient says what was written since, and what the call itself overwrites", () => {
  const f = compile((x: Tensor, w: Tensor) => x.mul(w).sin(), { backend: "aot_eager", fullgraph: true });
  const x = tensor([0.5, 1]).requiresGrad_();
  const w = tensor([2, 3]);
  const y = f(x, w);
  w.add_(1);
  assert.throws(() => gradOf(y.sum(), [x], { createGraph: true }), /written in place since/);
});

for (const backend of BACKENDS) {
  Deno.test(`second gradients behind a break, of written inputs and of losses over embeddings (${backend})`, () => {
    const second = (fn: (x: Tensor) => Tensor, x: Tensor): Tensor[] => {
      const [g] = gradOf(fn(x), [x], { createGraph: true });
      return [g as Tensor, gradOf((g as Tensor).pow(2).sum(), [x])[0] as Tensor];
    };
    const agree = (fn: (x: Tensor) => Tensor, compiled: (x: Tensor) => Tensor): void => {
      for (let round = 0; round < 3; round++) {
        const [a, b] = [tensor([0.5, -1, 2]).requiresGrad_(), tensor([0.5, -1, 2]).requiresGrad_()];
        second(compiled, a).forEach((t, i) => near(t, second(fn, b)[i], `${i}`));
      }
    };
    const broken = (x: Tensor): Tensor => {
      const y = x.sin().mul(x);
      return y.mul(y.sum().item() > 100 ? 2 : 3).exp().sum();
    };
    agree(broken, compile(broken, { backend }));
    const written = (x: Tensor, s: Tensor): Tensor => {
      s.add_(x.detach());
      return x.mul(s).sin().sum();
    };
    const f = compile(written, { backend, fullgraph: true });
    agree((x) => written(x, tensor([1, 2, 3])), (x) => f(x, tensor([1, 2, 3])));
    manualSeed(6);
    const table = new nn.Embedding(5, 3);
    const head = new nn.Linear(3, 5);
    for (const m of [table, head]) m.to(float64);
    const loss = (i: Tensor, y: Tensor): Tensor => nn.functional.crossEntropy(head.forward(table.forward(i).tanh()), y);
    const parameters = [...table.parameters(), ...head.parameters()];
    const run = (g: typeof loss): Tensor[] => {
      const first = gradOf(g(given([0, 3, 4]), given([1, 2, 0])), parameters, { createGraph: true }) as Tensor[];
      const total = first.map((t) => t.pow(2).sum()).reduce((a, b) => a.add(b));
      return [...first, ...gradOf(total, parameters) as Tensor[]];
    };
    const expected = run(loss);
    run(compile(loss, { backend, fullgraph: true })).forEach((t, i) => near(t, expected[i], `loss ${i}`));
  });
}
