/** What the cut keeps between forward and backward, in bytes, beside what the tape of eager execution has to keep. */
import assert from "node:assert/strict";
import { aotBackend, interpretProgram } from "../../src/aot_autograd/mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { isNode, isTensorMeta } from "../../src/graph/mod.ts";
import "../../src/inductor/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { manualSeed, randn, type Tensor } from "../../src/tensor/mod.ts";

type Fn = (...args: Tensor[]) => Tensor;

interface Kept {
  readonly bytes: number;
  /** Operators of the backward. */
  readonly operators: readonly string[];
  readonly gradients: readonly (readonly number[])[];
}

/** Compiles, runs, goes back, and counts what was kept that is no input. */
function kept(fn: Fn, args: readonly Tensor[], activationBudget = 1): Kept {
  let bytes = 0;
  let operators: string[] = [];
  const backend = aotBackend({
    forward: (request) => {
      if (request.kind === "backward") operators = request.graph.calls.map((c) => c.target.schema.name);
      for (const r of request.graph.output.results.slice(request.training?.call.forwardResults)) {
        if (request.kind !== "forward" || !isNode(r) || !isTensorMeta(r.value)) continue;
        if (r.op === "call" || r.op === "getItem") {
          bytes += r.value.shape.reduce<number>((n, s) => n * Number(s), 1) * r.value.dtype.bytes;
        }
      }
      return interpretProgram(request);
    },
  });
  const leaves = args.map((t) => t.detach().clone().requiresGrad_());
  manualSeed(3);
  const out = compile(fn, { backend, fullgraph: true, options: { activationBudget } })(...leaves);
  out.mul(out).sum().backward();
  return { bytes, operators, gradients: leaves.map((t) => [...(t.grad?.dataSync() ?? [])].map(Number)) };
}

const F4 = 4;
const mlp: Fn = (x, w, b, v, c) => nn.functional.linear(nn.functional.gelu(nn.functional.linear(x, w, b)), v, c);
const mlpArgs = (): Tensor[] => [randn([64, 32]), randn([128, 32]), randn([128]), randn([32, 128]), randn([32])];
const attention: Fn = (q, k, v) => q.matmul(k.transpose(-1, -2)).mul(0.25).softmax(-1).matmul(v);

/** A program, what the cut may keep at most, and what eager keeps at least: the arguments and results that its gradient rules read. */
const PROGRAMS: readonly (readonly [string, Fn, () => Tensor[], number, number])[] = [
  // Kept: the product before gelu. Eager: that, and what gelu gave, which the second product reads.
  ["an MLP with gelu", mlp, mlpArgs, 64 * 128 * F4, 2 * 64 * 128 * F4],
  // Kept: two numbers a row. Eager: the normalised rows for gelu.
  [
    "layer norm and gelu",
    (x, w, b) => nn.functional.gelu(nn.functional.layerNorm(x, [64], { weight: w, bias: b })),
    () => [randn([32, 64]), randn([64]), randn([64])],
    2 * 32 * F4,
    32 * 64 * F4 + 2 * 32 * F4,
  ],
  ["gelu", (x) => nn.functional.gelu(x), () => [randn([32, 64])], 0, 0],
  // Kept: a bit (a byte) an element. Eager: that, and what gelu gave.
  [
    "gelu and dropout",
    (x) => nn.functional.dropout(nn.functional.gelu(x), 0.1),
    () => [randn([32, 64])],
    32 * 64,
    32 * 64,
  ],
  // Kept: scores, and two numbers a row. Eager: the scaled scores or the probabilities twice over.
  [
    "attention by its parts",
    attention,
    () => [randn([2, 4, 32, 16]), randn([2, 4, 32, 16]), randn([2, 4, 32, 16])],
    8 * 32 * 32 * F4 + 2 * 8 * 32 * F4,
    2 * 8 * 32 * 32 * F4,
  ],
  [
    "a chain of eight",
    (x) => x.sin().exp().cos().tanh().mul(2).sigmoid().add(1).log(),
    () => [randn([256])],
    0,
    7 * 256 * F4,
  ],
];

for (const [name, fn, args, most, eager] of PROGRAMS) {
  Deno.test(`the cut keeps at most ${most} bytes for ${name}, where eager keeps ${eager} and more`, () => {
    const { bytes } = kept(fn, args());
    assert.ok(bytes <= most, `${bytes}`);
    assert.ok(bytes <= eager);
  });
}

Deno.test("a budget gives up what costs most memory for its work, and gradients stay the same", () => {
  const deep: Fn = (x, w) => {
    let h = x;
    for (let i = 0; i < 4; i++) h = h.matmul(w).tanh().softmax(-1);
    return h;
  };
  const args = [randn([64, 32]), randn([32, 32])];
  const full = kept(deep, args);
  const half = kept(deep, args, 0.5);
  const none = kept(deep, args, 0);
  assert.ok(full.bytes > 0);
  assert.ok(half.bytes <= full.bytes / 2, `${half.bytes} of ${full.bytes}`);
  assert.equal(none.bytes, 0);
  const products = ({ operators }: Kept): number => operators.filter((n) => n === "mm").length;
  assert.ok(products(full) < products(none));
  for (const { gradients } of [half, none]) {
    gradients.forEach((g, i) => g.forEach((v, k) => assert.ok(Math.abs(v - (full.gradients[i]?.[k] ?? NaN)) < 1e-4)));
  }
  assert.throws(() => kept(deep, args, 2), /activationBudget is 2: use a number from 0/);
});

Deno.test("a budget never draws again", () => {
  const fn: Fn = (x, w) => nn.functional.dropout(x.matmul(w).sin(), 0.5).matmul(w).cos();
  const args = [randn([16, 8]), randn([8, 8])];
  const [full, none] = [kept(fn, args), kept(fn, args, 0)];
  assert.ok(none.bytes >= 16 * 8 && none.bytes < full.bytes, `${none.bytes} of ${full.bytes}`);
  none.gradients.forEach((g, i) =>
    g.forEach((v, k) => assert.ok(Math.abs(v - (full.gradients[i]?.[k] ?? NaN)) < 1e-4))
  );
});
