/** Strides are those that the graph states, and writes through views reach the memory that they reach eagerly. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { float32 } from "../../src/core/mod.ts";
import { isDense } from "../../src/inductor/buffers.ts";
import { constant, mul, sizeSymbol } from "../../src/symbolic/mod.ts";
import { arange, F, manualSeed, noGrad, randn, type Tensor, tensor } from "../../src/tensor/mod.ts";

type Program = (x: Tensor) => readonly Tensor[];

function numbers(t: Tensor): number[] {
  return Array.from(t.dataSync() as Float32Array);
}

function close(got: Tensor, want: Tensor, what: string): void {
  const expected = numbers(want);
  numbers(got).forEach((n, i) => {
    const wanted = expected[i] ?? NaN;
    assert.ok(n === wanted || Math.abs(n - wanted) < 1e-6, `${what}: element ${i} is ${n}, expected ${wanted}`);
  });
}

/** Eager and compiled, static and symbolic: the same numbers, strides and input afterwards. */
function agrees(make: () => Tensor, program: Program): void {
  for (const dynamic of [false, true]) {
    manualSeed(1);
    const [x, y] = [make(), make()].map((t, _, all) => t === all[0] ? t : noGrad(() => t.copy_(all[0] as Tensor)));
    const want = noGrad(() => program(x as Tensor));
    const got = noGrad(() => compile(program, { dynamic, fullgraph: true })(y as Tensor));
    want.forEach((w, i) => {
      close(got[i] as Tensor, w, `result ${i}, dynamic ${dynamic}`);
      const strides = (t: Tensor): unknown[] => t.stride.filter((_, d) => Number(t.shape[d]) > 1);
      assert.deepEqual(strides(got[i] as Tensor), strides(w), `strides of result ${i}, dynamic ${dynamic}`);
    });
    close(y as Tensor, x as Tensor, `the input afterwards, dynamic ${dynamic}`);
  }
}

Deno.test("what decomposes has the strides that its description states, so later views are valid", () => {
  const transposed = (): Tensor => randn([2, 12, 4]).transpose(0, 2);
  agrees(transposed, (x) => {
    const g = x.sigmoid().glu(0);
    return [g, g.sub(g).reshape([-1])];
  });
  agrees(transposed, (x) => [F.prelu(x, tensor([0.25])), F.diff(x, 1, 1), F.pad(x, [1, 2])]);
  agrees(transposed, (x) => [F.diff(x, 1, 1).add(1).reshape([-1]), x.sumToSize([4, 1, 2]).add(1)]);
});

Deno.test("a tensor keeps its strides when it is written by an operator that lays out otherwise", () => {
  agrees(() => randn([3, 4]).t(), (x) => {
    x.indexAdd_(0, tensor([0, 1, 0]), x.narrow(0, 0, 3).clone());
    return [x.t().view([-1]).add(1)];
  });
});

Deno.test("a write into a part of an expanded tensor is a write into what it repeats", () => {
  agrees(() => tensor([3.5]), (x) => {
    const v = x.expand([2]);
    v.select(0, 1).neg_();
    return [v.add(0)];
  });
  agrees(() => tensor([3.5]), (x) => {
    const v = x.expand([2]);
    v.select(0, 1).mul_(-0);
    return [v.reciprocal()];
  });
  agrees(() => arange(4).to(float32), (x) => {
    const b = x.mul(2);
    const v = b.unsqueeze(1).expand([4, 3]);
    v.narrow(1, 2, 1).add_(1);
    return [b.add(0), v.add(0)];
  });
  agrees(() => randn([2, 4]), (x) => {
    const b = x.mul(2);
    const v = b.t().unsqueeze(1).expand([4, 3, 2]);
    v.select(1, 2).select(1, 0).add_(1);
    return [b.add(0), v.add(0)];
  });
});

Deno.test("a write into a part of overlapping windows shows in all of them", () => {
  agrees(() => arange(6).to(float32), (x) => {
    const v = x.unfold(0, 3, 1);
    v.select(0, 1).neg_();
    return [v.add(0)];
  });
  agrees(() => arange(6).to(float32), (x) => {
    const v = x.asStrided([3, 3], [1, 1]);
    v.select(0, 1).neg_();
    return [v.add(0)];
  });
});

Deno.test("as_strided names places in memory, whatever view it is called on", () => {
  agrees(() => randn([3, 4]).t(), (x) => [x.add(1).asStrided([4], [1]).add(0)]);
  agrees(() => randn([3, 4]).t(), (x) => [x.add(1).narrow(0, 1, 1).asStrided([4], [2]).add(0)]);
  agrees(() => randn([3, 4]), (x) => [x.t().asStrided([4], [1]).add(0)]);
});

Deno.test("as_strided over a part of an input is refused under fullgraph", () => {
  const f = compile((x: Tensor) => x.asStrided([2], [1]).add(1), { fullgraph: true });
  assert.throws(() => f(randn([4, 4]).narrow(1, 0, 2)), /part of its storage/);
});

Deno.test("isDense() knows symbolic strides whose hints are equal", () => {
  const [a, b] = [sizeSymbol("a"), sizeSymbol("b")];
  assert.ok(isDense([a, b], [constant(1), a]));
  assert.ok(isDense([a, b], [b, constant(1)]));
  assert.ok(!isDense([a, b], [constant(1), b]));
  assert.ok(isDense([a, constant(2), b], [mul(b, 2), b, constant(1)]));
});
