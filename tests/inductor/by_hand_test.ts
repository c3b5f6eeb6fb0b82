/** Operators written out by hand cost what the built-in ones do: as many kernels, as many elements moved, the same loops. */
import assert from "node:assert/strict";
import { compile, type CompiledGraph, onCompile, randn, type Tensor, tensor } from "../../mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import { F, noGrad } from "../../src/tensor/mod.ts";

type Body = (...x: readonly Tensor[]) => Tensor;

interface Cost {
  readonly kernels: number;
  readonly elements: number;
  /** Kinds of kernels, with how many passes over how many axes. */
  readonly loops: readonly string[];
  readonly result: number[];
}

function costOf(body: Body, inputs: readonly Tensor[]): Cost {
  using _config = withConfig({ disabled: new Set(["cache", "cpp"]), verify: true });
  let graph: CompiledGraph | null = null;
  using _ = onCompile((record) => graph = record.graph);
  const run = compile((...x: Tensor[]) => body(...x), { fullgraph: true });
  const result = noGrad(() => [...run(...inputs).contiguous().dataSync()].map(Number));
  assert(graph !== null);
  const { counters, compiled } = graph as CompiledGraph;
  const loops = compiled.groups.map((g) =>
    g.kind === "loops"
      ? `loops ${g.reduceAxes.length} ${g.stages.filter((s) => s.kind === "reduction").length}`
      : g.kind
  );
  return { kernels: counters.kernels, elements: counters.elementsMoved, loops: loops.sort(), result };
}

function assertSame(name: string, byHand: Body, builtIn: Body, inputs: readonly Tensor[], loops = true): void {
  const [a, b] = [costOf(byHand, inputs), costOf(builtIn, inputs)];
  a.result.forEach((v, i) => assert.ok(Math.abs(v - (b.result[i] ?? NaN)) <= 2e-5, `${name}: ${v}, ${b.result[i]}`));
  assert.ok(a.kernels <= b.kernels, `${name}: ${a.kernels} kernels, ${b.kernels} of the built-in operator`);
  assert.ok(a.elements <= b.elements, `${name}: ${a.elements} elements, ${b.elements} of the built-in operator`);
  if (loops) assert.deepEqual(a.loops, b.loops, name);
}

const x = randn([12, 33]);
const weight = randn([33]), bias = randn([33]);

const GELU_ERF: Record<string, Body> = {
  "x · 0.5 · (1 + erf(x / √2))": (x) => x.mul(0.5).mul(x.div(Math.SQRT2).erf().add(1)),
  "0.5 · x · (1 + erf(x · 0.7071))": (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)),
  "x · Φ(x)": (x) => x.mul(x.div(Math.SQRT2).erf().add(1).mul(0.5)),
};
const C = Math.sqrt(2 / Math.PI);
const GELU_TANH: Record<string, Body> = {
  "with x³": (x) => x.mul(0.5).mul(x.add(x.pow(3).mul(0.044715)).mul(C).tanh().add(1)),
  "with x · x · x": (x) => x.mul(0.5).mul(x.add(x.mul(x).mul(x).mul(0.044715)).mul(C).tanh().add(1)),
  "factored": (x) => x.mul(0.5).mul(x.mul(C).mul(x.mul(x).mul(0.044715).add(1)).tanh().add(1)),
};
for (const [approximate, forms] of [["none", GELU_ERF], ["tanh", GELU_TANH]] as const) {
  for (const [name, body] of Object.entries(forms)) {
    Deno.test(`GELU by hand costs what gelu(${approximate}) does: ${name}`, () => {
      assertSame(name, body, (x) => F.gelu(x, { approximate }), [x]);
      const w = randn([33, 20]);
      // As the epilogue of a product, too.
      assertSame(name, (x, w) => body(x.mm(w)), (x, w) => F.gelu(x.mm(w), { approximate }), [x, w]);
    });
  }
}

const LAYER_NORM: Record<string, Body> = {
  "mean and var": (x, w, b) => {
    const mean = x.mean([-1], true), variance = x.var([-1], { correction: 0, keepdim: true });
    return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(w as Tensor).add(b as Tensor);
  },
  "mean of squares, sqrt": (x, w, b) => {
    const centred = x.sub(x.mean([-1], true));
    const variance = centred.mul(centred).mean([-1], true);
    return centred.div(variance.add(1e-5).sqrt()).mul(w as Tensor).add(b as Tensor);
  },
  "mean of pow(2)": (x, w, b) => {
    const centred = x.sub(x.mean([-1], true));
    return (w as Tensor).mul(centred.mul(centred.pow(2).mean([-1], true).add(1e-5).rsqrt())).add(b as Tensor);
  },
  "E[x²] − E[x]²": (x, w, b) => {
    const mean = x.mean([-1], true);
    const variance = x.mul(x).mean([-1], true).sub(mean.mul(mean));
    return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(w as Tensor).add(b as Tensor);
  },
};
for (const [name, body] of Object.entries(LAYER_NORM)) {
  Deno.test(`layer norm by hand is one kernel that moves what layerNorm() does: ${name}`, () => {
    const builtIn: Body = (x, w, b) => F.layerNorm(x, [33], w as Tensor, b as Tensor, 1e-5);
    assertSame(name, body, builtIn, [x, weight, bias], false);
    assert.equal(costOf(body, [x, weight, bias]).kernels, 1);
  });
}

const RMS_NORM: Record<string, Body> = {
  "pow(2), rsqrt": (x, w) => x.mul(x.pow(2).mean([-1], true).add(1e-6).rsqrt()).mul(w as Tensor),
  "x · x, sqrt": (x, w) => (w as Tensor).mul(x.div(x.mul(x).mean([-1], true).add(1e-6).sqrt())),
  "norm": (x, w) => {
    const norm = F.linalgVectorNorm(x, 2, [-1], true).div(Math.sqrt(33));
    return x.div(norm.mul(norm).add(1e-6).sqrt()).mul(w as Tensor);
  },
};
for (const [name, body] of Object.entries(RMS_NORM)) {
  Deno.test(`RMS norm by hand costs what rmsNorm() does: ${name}`, () => {
    assertSame(name, body, (x, w) => F.rmsNorm(x, [33], w as Tensor, 1e-6), [x, weight]);
  });
}

const [images, heads, length, size] = [2, 4, 9, 16];
const qkv = [0, 1, 2].map(() => randn([images, heads, length, size]));
const root = Math.sqrt(size);
const mask = randn([length, length]);
const lower = tensor(Array.from({ length }, (_, i) => Array.from({ length }, (_, j) => j <= i ? 1 : 0)));
const turned = (k: Tensor): Tensor => k.transpose(-2, -1);
type Attention = (q: Tensor, k: Tensor, v: Tensor, mask: Tensor) => Tensor;
const soft = (scores: Tensor, v: Tensor): Tensor => scores.softmax(-1).matmul(v);

const PLAIN: Record<string, Attention> = {
  "scale after the product": (q, k, v) => soft(q.matmul(turned(k)).div(root), v),
  "scale before it, on the query": (q, k, v) => soft(q.mul(1 / root).matmul(turned(k)), v),
  "scale on both": (q, k, v) => soft(q.div(Math.sqrt(root)).matmul(turned(k.div(Math.sqrt(root)))), v),
  "einsum": (q, k, v) => F.einsum("bhqk,bhkd->bhqd", [F.einsum("bhqd,bhkd->bhqk", [q, k]).div(root).softmax(-1), v]),
  "bmm on heads put together": (q, k, v) => {
    const flat = (t: Tensor): Tensor => t.reshape([images * heads, length, size]);
    return flat(q).bmm(turned(flat(k))).div(root).softmax(-1).bmm(flat(v)).view([images, heads, length, size]);
  },
};
const MASKED: Record<string, Attention> = {
  "a mask that is added": (q, k, v, m) => soft(q.matmul(turned(k)).div(root).add(m), v),
};
const CAUSAL: Record<string, Attention> = {
  "masked_fill with -inf": (q, k, v, m) => soft(q.matmul(turned(k)).div(root).maskedFill(m.eq(0), -Infinity), v),
  "where": (q, k, v, m) => soft(F.where(m.ne(0), q.matmul(turned(k)).div(root), -Infinity), v),
  "tril": (q, k, v) =>
    soft(q.matmul(turned(k)).div(root).maskedFill(F.ones([length, length]).tril().eq(0), -Infinity), v),
};

for (const [name, body] of Object.entries(PLAIN)) {
  Deno.test(`attention by hand costs what the operator does: ${name}`, () => {
    const builtIn: Body = (q, k, v) => F.scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor);
    assertSame(name, body as Body, builtIn, [...qkv, mask]);
  });
}
for (const [name, body] of Object.entries(MASKED)) {
  Deno.test(`attention by hand costs what the operator does: ${name}`, () => {
    const builtIn: Body = (q, k, v, m) => F.scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, m);
    assertSame(name, body as Body, builtIn, [...qkv, mask]);
  });
}
for (const [name, body] of Object.entries(CAUSAL)) {
  Deno.test(`causal attention by hand costs what the operator with a mask does: ${name}`, () => {
    const builtIn: Body = (q, k, v, m) =>
      F.scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, (m as Tensor).ne(0));
    assertSame(name, body as Body, builtIn, [...qkv, lower]);
  });
}

Deno.test("attention of grouped heads costs what the operator does: repeated by expand and by repeatInterleave", () => {
  const [q, k, v] = [randn([2, 8, length, size]), randn([2, 2, length, size]), randn([2, 2, length, size])];
  const expanded = (t: Tensor): Tensor => t.unsqueeze(2).expand([2, 2, 4, length, size]).reshape([2, 8, length, size]);
  const builtIn: Body = (q, k, v) =>
    F.scaledDotProductAttention(q as Tensor, expanded(k as Tensor), expanded(v as Tensor));
  const repeated = (t: Tensor): Tensor => t.repeatInterleave(4, { dim: 1 });
  for (const again of [expanded, repeated]) {
    assertSame(
      again.name,
      (q, k, v) => soft(q.matmul(turned(again(k as Tensor))).div(root), again(v as Tensor)),
      builtIn,
      [
        q,
        k,
        v,
      ],
    );
  }
  // No head is copied: the operator reads what it would read of heads that are its own.
  const { kernels } = costOf(builtIn, [q, k, v]);
  assert.equal(
    kernels,
    costOf((q, k, v) => F.scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor), [q, q, q]).kernels,
  );
});
