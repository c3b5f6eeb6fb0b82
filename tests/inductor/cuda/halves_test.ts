/**
 * Functions of halves on CUDA take shorter forms and round once: each result is within a unit in the last place of the exact one, at the ends of the range as well.
 * On the emulated device where there is no GPU.
 */
import assert from "node:assert/strict";
import { compile, F as operators, float16, float64, nn, noGrad, type Tensor, tensor } from "../../../mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

const F = nn.functional;

const CASES: readonly (readonly [name: string, f: (x: Tensor) => Tensor])[] = [
  ["erf", (x) => x.erf()],
  ["tanh", (x) => x.tanh()],
  ["sigmoid", (x) => x.sigmoid()],
  ["exp", (x) => x.exp()],
  ["gelu", (x) => F.gelu(x)],
  ["gelu by tanh", (x) => F.gelu(x, { approximate: "tanh" })],
  ["silu", (x) => F.silu(x)],
  ["a one and erf", (x) => x.mul(0.5).erf().add(1)],
  ["a quotient", (x) => x.div(x.abs().add(3))],
  ["reciprocal of a root", (x) => x.abs().add(0.01).rsqrt()],
];

/** The distance of neighbouring halves at a value. */
function unit(v: number): number {
  return 2 ** (Math.max(-14, Math.floor(Math.log2(Math.max(Math.abs(v), 2 ** -14)))) - 10);
}

for (const [name, f] of CASES) {
  cudaTest(`${name} of halves on CUDA is right to a unit in the last place`, () => {
    const values = Array.from({ length: 640 }, (_, i) => (i - 320) / 40);
    values.push(...[1e-4, -1e-4, 3e-3, -3e-3, 0.0499, 0.0501, 0.0999, 0.1001, 0, 60, -60, Infinity, -Infinity, NaN]);
    const x = tensor(values).to(float16);
    const got = noGrad(() => compile(f)(x.cuda())).cpu().to(float64).dataSync();
    const want = noGrad(() => f(x.to(float64))).dataSync();
    for (let i = 0; i < values.length; i++) {
      const [a, b] = [Number(got[i]), Number(want[i])];
      const same = Object.is(a, b) || a === b || Math.abs(a - b) <= Math.max(unit(b), 2e-7) ||
        (Math.abs(b) > 65504 && !Number.isFinite(a));
      assert.ok(same, `${name}(${values[i]}) is ${a} instead of ${b}`);
    }
  });
}

cudaTest("a half that is compared with one from memory is rounded first", () => {
  // The largest of each row, found by another kernel, is in memory: the products are compared with it, and stored.
  const a = tensor(Array.from({ length: 64 * 200 }, (_, i) => Math.sin(i * 1.7))).view([64, 200]).to(float16).cuda();
  const b = tensor(Array.from({ length: 64 * 200 }, (_, i) => Math.cos(i * 0.3))).view([64, 200]).to(float16).cuda();
  const most = noGrad(() => a.mul(b).amax([1], true));
  const f = compile((a: Tensor, b: Tensor, most: Tensor): Tensor => a.mul(b).eq(most).to(float16));
  const found = noGrad(() => f(a, b, most)).cpu().to(float64).sum([1]).dataSync();
  for (const count of found) assert.ok(Number(count) >= 1, "each row has its largest");
});

cudaTest("positions that are computed from halves are rounded step by step, as eager calls round them", () => {
  const image = tensor(Array.from({ length: 400 }, (_, i) => Math.sin(i))).view([1, 1, 20, 20]).to(float16);
  const grid = tensor(Array.from({ length: 2 * 900 }, (_, i) => Math.cos(i * 1.3) * 1.1)).view([1, 30, 30, 2]).to(
    float16,
  );
  const nearest = (x: Tensor, at: Tensor): Tensor => operators.gridSampler2d(x, at, 1, 0, false);
  const got = noGrad(() => compile(nearest)(image.cuda(), grid.cuda())).cpu();
  assert.deepEqual(got.toArray(), noGrad(() => nearest(image, grid)).toArray());
});
