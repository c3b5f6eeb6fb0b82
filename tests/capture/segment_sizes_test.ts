/** Sizes that change in functions with breaks: the second size at the same place makes it a symbol, and one segment serves all. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { captureStats, compile, explain } from "../../src/capture/mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { F, ones, randn, type Tensor, zeros } from "../../src/tensor/mod.ts";
import { BACKENDS, plain, same as identical } from "./support.ts";

/** `actual` with the numbers of `expected` where they are the same but for rounding. */
function aligned(actual: unknown, expected: unknown): unknown {
  if (typeof actual === "number" && typeof expected === "number") {
    return Math.abs(actual - expected) <= 1e-4 * Math.max(Math.abs(expected), 0.1) ? expected : actual;
  }
  if (Array.isArray(actual) && Array.isArray(expected)) return actual.map((v, i) => aligned(v, expected[i]));
  if (typeof actual !== "object" || actual === null || typeof expected !== "object" || expected === null) return actual;
  const other = new Map<string, unknown>(Object.entries(expected));
  return Object.fromEntries(Object.entries(actual).map(([k, v]) => [k, aligned(v, other.get(k))]));
}

/** Kernels of the compiler may round otherwise. */
function same(actual: unknown, expected: unknown): void {
  const [a, e] = [plain(actual), plain(expected)];
  identical(aligned(a, e), e);
}

type Run<A extends readonly unknown[], R> = (...args: A) => R;

function compiledWith<A extends readonly unknown[], R>(body: Run<A, R>, backend: string): Run<A, R> {
  return compile(body, backend === "inductor" ? { backend, options: { tier: "js" } } : { backend });
}

/** Runs `body` for each backend, verifiers on. */
function eachBackend(name: string, body: (backend: string) => void): void {
  for (const backend of [...BACKENDS, "inductor"]) {
    Deno.test(`${name} (${backend})`, () => {
      using _ = withConfig({ verify: true });
      body(backend);
    });
  }
}

const lengths = Array.from({ length: 30 }, (_, i) => i + 2);

/** Runs a function for 30 lengths and checks what it gives and how many segments were compiled for its two parts. */
function sweep(backend: string, body: (x: Tensor) => unknown, most: number, columns = 3): void {
  const f = compiledWith(body, backend);
  for (const n of [...lengths, 5, 17, 40]) {
    const x = randn([n, columns]);
    same(f(x), body(x));
  }
  const { compiledSegments, segmentedCalls } = captureStats(f);
  assert.ok(segmentedCalls > 25, "it ran in segments");
  assert.ok(compiledSegments <= most, `${compiledSegments} segments were compiled`);
  assert.ok(compiledSegments > 0);
}

eachBackend("30 lengths through a function with a break take two compilations a segment", (backend) => {
  const w = randn([3, 4]);
  sweep(backend, (x) => {
    const y = nn.functional.relu(x.mm(w));
    return y.sum().item() > -1 ? y.sub(y.mean(0)).softmax(0).sum(1) : y;
  }, 4);
});

eachBackend("numbers that follow from sizes: view, expand, zeros beside, cat, narrow, flatten", (backend) => {
  sweep(backend, (x) => {
    x.sum().item();
    const n = Number(x.shape[0]);
    const flat = x.view([n * 3]).add(1);
    const wide = flat.view([n, 1, 3]).expand([n, 2, 3]).reshape([n * 2, 3]);
    const padded = F.cat([wide, zeros([2, 3])], 0);
    return [padded.narrow(0, 0, n + 1).sum(1), padded.flatten(), padded.mul(n)];
  }, 5);
});

eachBackend("a division that stands in no shape", (backend) => {
  sweep(backend, (x) => {
    x.sum().item();
    return x.view([-1]).narrow(0, 0, Number(x.shape[0]) * 3 - 4).mul(2);
  }, 4);
});

eachBackend("gradients of functions with breaks whose lengths change", (backend) => {
  const w = nn.parameter(randn([3, 4]));
  const body = (x: Tensor): number => {
    const loss = x.mm(w).pow(2).mean();
    const value = loss.item();
    loss.backward();
    return Math.round(value * 1e3);
  };
  const f = compiledWith(body, backend);
  for (const n of lengths) {
    const x = ones([n, 3]).mul(0.5);
    w.grad = null;
    const expected = [body(x), w.grad];
    w.grad = null;
    same([f(x), w.grad], expected);
  }
  assert.ok(captureStats(f).compiledSegments <= 4);
});

eachBackend("writes in place, of one size and of another", (backend) => {
  const body = (x: Tensor, y: Tensor): Tensor => {
    x.sum().item();
    const z = x.mul(2);
    z.add_(y);
    z.narrow(0, 1, Number(x.shape[0]) - 1).mul_(3);
    return z;
  };
  const f = compiledWith(body, backend);
  for (const n of lengths) same(f(ones([n]), ones([n])), body(ones([n]), ones([n])));
  assert.ok(captureStats(f).compiledSegments <= 3);
  same(f(ones([4]), ones([1])), body(ones([4]), ones([1])));
  assert.throws(() => f(ones([4]), ones([3])));
  same(f(ones([9]), ones([9])), body(ones([9]), ones([9])));
});

eachBackend("sizes of different tensors that agree at first and not later", (backend) => {
  const body = (x: Tensor, y: Tensor): Tensor => {
    x.sum().item();
    return x.unsqueeze(1).mul(y).sum(0);
  };
  const f = compiledWith(body, backend);
  for (const [n, m] of [[4, 4], [5, 5], [6, 6], [7, 3], [8, 2], [9, 1], [2, 9], [1, 1], [3, 4], [6, 5]] as const) {
    same(f(ones([n]), ones([m])), body(ones([n]), ones([m])));
  }
});

eachBackend("a result that nobody looked at, asked for at another length", (backend) => {
  const kept: Tensor[] = [];
  const body = (x: Tensor): Tensor => {
    const y = x.mul(2);
    const z = y.add(1);
    kept.push(y);
    z.sum().item();
    return z;
  };
  const f = compiledWith(body, backend);
  for (const n of lengths) {
    const x = randn([n]);
    const [a, b] = [f(x), body(x)];
    same(a, b);
    if (n % 7 === 0) same(kept.at(-2), kept.at(-1));
  }
  same(kept.filter((_, i) => i % 2 === 0), kept.filter((_, i) => i % 2 === 1));
});

eachBackend("layers of different widths at different lines stay static", (backend) => {
  const [v, w] = [randn([3, 5]), randn([5, 2])];
  const body = (x: Tensor): Tensor => {
    const y = x.mm(v);
    y.sum().item();
    const z = y.mm(w);
    z.sum().item();
    return z;
  };
  const f = compiledWith(body, backend);
  for (let i = 0; i < 8; i++) same(f(ones([4, 3])), body(ones([4, 3])));
  assert.equal(captureStats(f).compiledSegments, 2);
});

Deno.test("explain() shows the segment of the lengths it met", () => {
  const report = explain((x: Tensor, y: Tensor) => {
    for (const t of [x, y]) t.mul(2).sum().item();
    return x;
  })(ones([4]), ones([5]));
  assert.match(report.graphs.map((g) => g.graph).join("\n"), /f32\[s0\]/);
});
