/** Control flow as sub-graphs: gradients, sizes, nesting, closures, and what checkpoints keep. */
import assert from "node:assert/strict";
import { aotBackend, interpretProgram } from "../../src/aot_autograd/mod.ts";
import {
  associativeScan,
  captureStats,
  checkpoint,
  compile,
  cond,
  explain,
  forLoop,
  map,
  scan,
  whileLoop,
} from "../../src/capture/mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import { isControl, isTensorMeta, verifyGraph } from "../../src/graph/mod.ts";
import { controlTarget, Graph, isNode } from "../../src/graph/mod.ts";
import "../../src/inductor/mod.ts";
import { BatchNorm1d, Dropout, Linear } from "../../src/nn/mod.ts";
import { F, manualSeed, noGrad, rand, Tensor, tensor } from "../../src/tensor/mod.ts";
import { compilations, full } from "./support.ts";

function everyBackend(name: string, body: (backend: string) => void): void {
  for (const backend of ["eager", "aot_eager", "inductor"]) {
    Deno.test(`${name} (${backend})`, () => {
      using _ = withConfig({ verify: true });
      body(backend);
    });
  }
}

/** Equal up to the rounding of other kernels; a gradient that is not there is zero. */
function close(actual: unknown, expected: unknown, at = "result"): void {
  if (actual instanceof Tensor && (expected === null || expected === undefined)) {
    return close(actual, actual.mul(0), at);
  }
  if (!(expected instanceof Tensor)) {
    if (Array.isArray(expected)) return expected.forEach((e, i) => close((actual as unknown[])[i], e, `${at}[${i}]`));
    return assert.deepEqual(actual, expected, at);
  }
  assert.ok(actual instanceof Tensor, at);
  assert.deepEqual([...actual.shape], [...expected.shape], at);
  const [a, b] = [[...actual.dataSync()].map(Number), [...expected.dataSync()].map(Number)];
  a.forEach((v, i) => assert.ok(Math.abs(v - (b[i] ?? NaN)) <= 1e-5 * (1 + Math.abs(v)), `${at}: ${a} against ${b}`));
}

/** Results and gradients of a function of `xs`, and of `others` that it reads. */
function withGradients(fn: (x: Tensor) => unknown, given: Tensor, others: readonly Tensor[]): unknown[] {
  for (const w of others) w.grad = null;
  const input = given.detach().clone().requiresGrad_();
  const flat = (v: unknown): Tensor[] => v instanceof Tensor ? [v] : Object.values(v as object).flatMap(flat);
  const outs = flat(fn(input));
  outs.map((o, i) => o.mul(o).mul(i + 1).sum()).reduce((a, b) => a.add(b)).backward();
  return [outs.map((o) => o.detach()), input.grad, others.map((w) => w.grad?.clone() ?? null)];
}

function agree(body: (x: Tensor) => unknown, given: Tensor, backend: string, others: Tensor[] = []): void {
  const f = full(body, backend);
  for (const s of [1, -1, 0.5]) {
    close(withGradients(f, given.mul(s), others), withGradients(body, given.mul(s), others));
  }
  assert.equal(compilations(f), 1);
}

const x = tensor([1, 2.5, -1]);
const rows = tensor([[1, 2.5, -1], [0.5, 1, 2], [3, -2, 1.5], [0.25, 0.5, 1]]);
const weight = tensor([[0.5, 0.25, 0.1], [0.3, 0.2, 0.1], [0.2, 0.1, 0.4]]).requiresGrad_();

everyBackend("cond() is differentiable, closures and written operands included", (backend) => {
  const w = tensor([3.5, 4, 5]).requiresGrad_();
  agree(
    (t) => cond(t.sum().gt(0), (u) => ({ a: u.mul(w), b: [u.exp()] }), (u) => ({ a: u.sin().mul(t), b: [u] }), [t]),
    x,
    backend,
    [w],
  );
  agree(
    (t) => {
      const y = t.mul(2);
      const z = cond(t.sum().gt(0), (u) => u.mul_(w).add(1), (u) => u.neg(), [y]);
      return [y, z];
    },
    x,
    backend,
    [w],
  );
  agree((t) => cond(t.sum().gt(0), (u) => noGrad(() => u.mul(w)).add(u), (u) => u.neg(), [t]), x, backend, [w]);
});

everyBackend("scan(), map(), forLoop() and associativeScan() are differentiable", (backend) => {
  agree(
    (xs) =>
      scan(
        (s: Tensor, t: Tensor) => {
          const n = s.matmul(weight).add(t);
          return [n, { n, d: n.mul(t) }];
        },
        xs.select(0, 0).mul(0.5),
        xs,
      ),
    rows,
    backend,
    [weight],
  );
  agree(
    (xs) => scan((s: Tensor, t: Tensor) => [s.mul(t), s.add(t)], xs.select(1, 0), xs, { dim: 1, reverse: true }),
    rows,
    backend,
  );
  agree((xs) => map((r: Tensor) => r.matmul(weight).tanh(), xs), rows, backend, [weight]);
  agree((xs) => map(({ a, b }) => [a.mul(b)], { a: xs, b: xs.exp() }, { dim: 1 }), rows, backend);
  agree((t) => forLoop(3, (i, a, b) => [b.add(i).mul(0.5), a.mul(t)], [t, t.mul(2)]), x, backend);
  agree((xs) => associativeScan((a, b) => a.mul(b), xs), rows, backend);
  agree((xs) => associativeScan((a, b) => a.mul(b), xs, { dim: 1, reverse: true }), rows, backend);
});

everyBackend("control flow nests", (backend) => {
  agree(
    (xs) =>
      scan(
        (s: Tensor, t: Tensor) => {
          const n = cond(t.sum().gt(1), (u) => u.matmul(weight).add(s), (u) => u.sub(s), [t]);
          return [n, n.mul(2)];
        },
        xs.select(0, 0),
        xs,
      ),
    rows,
    backend,
    [weight],
  );
  agree((xs) => cond(xs.sum().gt(0), () => map((r) => r.mul(r), xs), () => xs.matmul(weight), []), rows, backend, [
    weight,
  ]);
  const body = (xs: Tensor): Tensor =>
    forLoop(2, (_, t) => [whileLoop((u) => u.abs().sum().lt(30), (u) => [u.mul(2)], [t])[0].sub(20)], [xs])[0];
  const f = full(body, backend);
  close(f(rows), body(rows));
});

everyBackend("one graph serves all lengths", (backend) => {
  const body = (xs: Tensor): unknown => {
    const [c, ys] = scan((s: Tensor, t: Tensor) => [s.add(t), s.mul(t)], xs.select(0, 0).mul(0), xs);
    const doubled = forLoop(xs.shape[0] as number, (i, t) => [t.mul(0.5).add(i)], [c])[0];
    const picked = cond(xs.sum().gt(0), () => xs.mul(2), () => xs.neg(), []);
    return [c, ys, doubled, picked, map((r) => r.mul(c), xs)];
  };
  const f = full(body, backend);
  for (const n of [3, 4, 5, 9]) {
    const xs = F.arange(n * 2, { dtype: x.dtype }).view([n, 2]).sub(3);
    close(withGradients(f, xs, []), withGradients(body, xs, []));
  }
  assert.ok(compilations(f) <= 2, `${compilations(f)} compilations`);
});

everyBackend("a graph without gradients leaves what eager leaves", (backend) => {
  const body = (t: Tensor): unknown => [
    cond(t.sum().gt(0), (u) => u.t().mul(2), (u) => u.t(), [t]),
    map((r) => r.sum(), t),
    forLoop(0, (_, u) => [u.mul(2)], [t]),
    cond(t.sum().gt(0), () => t, () => t.neg(), []),
  ];
  const f = full(body, backend);
  for (const s of [1, -1]) close(f(rows.mul(s)), body(rows.mul(s)));
});

everyBackend("results are tensors of their own, so that writing to them changes nothing else", (backend) => {
  const body = (t: Tensor): unknown => {
    const all = [
      checkpoint((u: Tensor) => [u, u.t(), u.add(1)])(t),
      forLoop(2, (_, a, b) => [b, a], [t, t]),
      whileLoop((a) => a.sum().lt(-100), (a) => [a.add(1)], [t]),
      scan((s: Tensor, u: Tensor) => [s, u], t, t),
      cond(t.sum().gt(0), (u) => [u, u], (u) => [u, u.neg()], [t]),
    ].flat(2) as Tensor[];
    all.forEach((r, i) => r.add_(i + 1));
    return [all, t];
  };
  const f = full(body, backend);
  for (const s of [1, -1]) close(f(rows.mul(s)), body(rows.mul(s)));
});

everyBackend("a step with backward() inside goes through control flow", (backend) => {
  const step = (xs: Tensor): Tensor => {
    const [h] = scan((s: Tensor, t: Tensor) => [s.matmul(weight).add(t).tanh(), t], xs.select(0, 0), xs);
    const loss = cond(h.sum().gt(0), (u) => u.mul(u), (u) => u.mul(3), [h]).sum();
    loss.backward();
    return loss.detach();
  };
  const f = full(step, backend);
  for (const s of [1, -1]) {
    const run = (g: typeof step): unknown => {
      weight.grad = null;
      return [g(rows.mul(s)), weight.grad];
    };
    close(run(f), run(step));
  }
});

everyBackend("loops that write outside or draw are unrolled", (backend) => {
  const total = tensor([0, 0, 0.5]);
  const body = (xs: Tensor): unknown => map((r) => (total.add_(r), r.mul(rand([3]))), xs);
  const f = full(body, backend);
  const run = (g: typeof body): unknown => {
    manualSeed(3);
    total.zero_();
    return [g(rows), g(rows), total.clone()];
  };
  close(run(f as never), run(body));
  assert.match(
    String(explain(f as never)(rows as never)),
    /map\(\) is unrolled: its function writes to a tensor from outside/,
  );
});

/** Elements that the forward keeps for the backward, inputs aside. */
function savedElements(body: (t: Tensor) => Tensor, input: Tensor): number {
  let saved = 0;
  const backend = aotBackend({
    forward: (request) => {
      if (request.kind === "forward") {
        for (const r of request.graph.output.results.slice(1)) {
          if (!isNode(r) || r.op === "placeholder" || r.op === "getAttr" || !isTensorMeta(r.value)) continue;
          saved += r.value.shape.reduce<number>((n, s) => n * Number(s), 1);
        }
      }
      return interpretProgram(request);
    },
  });
  const f = compile(body, { backend, fullgraph: true });
  f(input.clone().requiresGrad_()).backward();
  return saved;
}

Deno.test("checkpoint() keeps nothing of what it computes", () => {
  const block = (t: Tensor): Tensor => t.matmul(weight).tanh().matmul(weight).sin();
  const region = checkpoint(block);
  const input = tensor([[1, 2, 3], [0.5, 1, 2]]);
  const all = savedElements((t) => block(block(t)).sum(), input);
  const between = savedElements((t) => region(region(t)).sum(), input);
  assert.equal(between, 6, "what stands between the regions");
  assert.ok(all >= 3 * 6, `${all}`);
});

everyBackend("checkpoint() is what its function is, draws and statistics included", (backend) => {
  const linear = new Linear(3, 3);
  const norm = new BatchNorm1d(3);
  const drop = new Dropout(0.5);
  const region = checkpoint((t: Tensor) => drop.forward(norm.forward(linear.forward(t))).exp());
  const plain = (t: Tensor): Tensor => drop.forward(norm.forward(linear.forward(t))).exp();
  const f = full((t: Tensor) => region(region(t)), backend);
  const run = (g: (t: Tensor) => Tensor): unknown => {
    manualSeed(7);
    norm.runningMean?.zero_();
    norm.runningVar?.fill_(1);
    const found = withGradients(g as never, rows, [linear.weight, norm.weight as Tensor]);
    return [found, norm.runningMean?.clone(), norm.runningVar?.clone()];
  };
  close(run(f), run((t) => plain(plain(t))));
  close(run(f), run((t) => region(region(t))));
  agree((t) => checkpoint((u: Tensor) => [u.sin(), u.t(), t])(t), rows, backend);
});

Deno.test("explain() shows the graphs of control flow; each is verified", () => {
  using _ = withConfig({ verify: true });
  const f = compile((t: Tensor) => cond(t.sum().gt(0), (u) => u.mul(2), (u) => u.neg(), [t]), { backend: "eager" });
  const { graph } = explain(f as never)(x as never);
  assert.match(
    graph ?? "",
    /cond: \(f32\[3\]\) = higher_order\.cond\.default\(view, \[arg0\]\)\n {4}true \{\n {6}arg0: f32\[3\] = input\n {6}mul: f32\[3\] = aten\.mul\.Scalar\(arg0, 2\)\n {6}return mul\n {4}\}\n {4}false \{/,
  );
  assert.equal(captureStats(f).breaks.length, 0);
});

Deno.test("verifyGraph() looks into the graphs of a call", () => {
  const meta = { shape: [2], stride: [1], storageOffset: 0, dtype: x.dtype, device: x.device };
  const inner = new Graph();
  inner.setOutput([inner.placeholder("a", meta)]);
  const graph = new Graph();
  const a = graph.placeholder("a", meta);
  const target = controlTarget("checkpoint", [inner]);
  assert.ok(isControl(target));
  const call = graph.call(target, [[a], []], [meta]);
  graph.setOutput([graph.getItem(call, 0, meta)]);
  verifyGraph(graph);
  graph.setArgs(call, [[a, a], []]);
  assert.throws(() => verifyGraph(graph), /its graph body takes 1 inputs, the call hands over 2/);
});
