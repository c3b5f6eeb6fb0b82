/** complex64 tensors: views on pairs, arithmetic, gradients, and rotary embeddings written with them. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { float32, int64 } from "../../src/core/mod.ts";
import { F, manualSeed, randn, type Tensor, tensor } from "../../src/tensor/mod.ts";

function real(values: Parameters<typeof tensor>[0]): Tensor {
  return tensor(values, { dtype: float32 });
}

function pairs(z: Tensor): number[] {
  return Array.from(z.viewAsReal().contiguous().dataSync(), Number);
}

function near(got: readonly number[], want: readonly number[]): void {
  assert.equal(got.length, want.length);
  got.forEach((g, i) => assert.ok(Math.abs(g - (want[i] ?? NaN)) < 1e-5, `${i}: ${g}, expected ${want[i]}`));
}

const z = (): Tensor => real([[1, 2], [3, -4]]).viewAsComplex();
const w = (): Tensor => real([[0.5, -1], [2, 1]]).viewAsComplex();

Deno.test("viewAsComplex() and viewAsReal() share memory", () => {
  const x = real([[1, 2], [3, 4]]);
  const c = x.viewAsComplex();
  assert.deepEqual(c.shape, [2]);
  assert.equal(c.dtype.name, "complex64");
  c.viewAsReal().mul_(2);
  assert.deepEqual(x.toArray(), [[2, 4], [6, 8]]);
});

Deno.test("viewAsComplex() refuses pairs that are not adjacent", () => {
  assert.throws(() => randn([2, 4]).transpose(0, 1).viewAsComplex(), /not adjacent/);
  assert.throws(() => randn([2, 3]).viewAsComplex(), /size 2/);
});

Deno.test("complex arithmetic follows the rules of complex numbers", () => {
  near(pairs(z().mul(w())), [2.5, 0, 10, -5]);
  near(pairs(z().add(w())), [1.5, 1, 5, -3]);
  near(pairs(z().sub(w(), { alpha: 2 })), [0, 4, -1, -6]);
  near(pairs(z().div(w())), [-1.2, 1.6, 0.4, -2.2]);
  near(pairs(z().mul(real([2, 3]))), [2, 4, 9, -12]);
  near(pairs(z().mul(2)), [2, 4, 6, -8]);
  near(pairs(z().conj()), [1, -2, 3, 4]);
  near(pairs(z().neg()), [-1, -2, -3, 4]);
  near(Array.from(z().abs().dataSync(), Number), [Math.sqrt(5), 5]);
  near(Array.from(z().angle().dataSync(), Number), [Math.atan2(2, 1), Math.atan2(-4, 3)]);
  near(Array.from(z().real().dataSync(), Number), [1, 3]);
  near(Array.from(z().imag().dataSync(), Number), [2, -4]);
  near(pairs(z().sum()), [4, -2]);
  near(pairs(F.cat([z(), w()], 0)), [1, 2, 3, -4, 0.5, -1, 2, 1]);
});

Deno.test("polar() takes magnitude and angle, complex() the parts", () => {
  near(pairs(F.polar(real([2, 3]), real([0, Math.PI / 2]))), [2, 0, 0, 3]);
  near(pairs(F.complex(real([1, 2]), real([3, 4]))), [1, 3, 2, 4]);
});

Deno.test("mul_() writes a complex product in place", () => {
  const x = z();
  x.mul_(w());
  near(pairs(x), [2.5, 0, 10, -5]);
});

Deno.test("rotary embeddings by complex numbers equal those by sines, with gradients", () => {
  manualSeed(3);
  const x = randn([2, 3, 4]).requiresGrad_();
  const angles = randn([3, 2]);
  const weights = randn([2, 3, 4]);
  const turned = x.reshape([2, 3, 2, 2]).viewAsComplex().mul(F.polar(angles.onesLike(), angles));
  const out = turned.viewAsReal().flatten(2);
  out.mul(weights).sum().backward();
  const grad = x.grad?.toArray();
  const y = x.detach().requiresGrad_();
  const [a, b] = [y.reshape([2, 3, 2, 2]).select(-1, 0), y.reshape([2, 3, 2, 2]).select(-1, 1)];
  const [cos, sin] = [angles.cos(), angles.sin()];
  const want = F.stack([a.mul(cos).sub(b.mul(sin)), a.mul(sin).add(b.mul(cos))], -1).flatten(2);
  want.mul(weights).sum().backward();
  near(Array.from(out.dataSync(), Number), Array.from(want.dataSync(), Number));
  near((grad as number[][][]).flat(2), (y.grad?.toArray() as number[][][]).flat(2));
});

Deno.test("copies of complex tensors with other strides are compiled, parts that are NaN included", () => {
  const z = F.complex(
    real([[1, 2, NaN], [4, 5, 6]]),
    real([[0.5, NaN, -1], [2, -0.25, 7]]),
  );
  const programs: Readonly<Record<string, (z: Tensor) => Tensor>> = {
    mH: (z) => z.mH().viewAsReal(),
    product: (z) => z.adjoint().mul(2).viewAsReal(),
    conj: (z) => z.conj().transpose(0, 1).viewAsReal(),
    copy: (z) => z.transpose(0, 1).contiguous().viewAsReal(),
  };
  for (const [name, run] of Object.entries(programs)) {
    const want = [...run(z).dataSync()];
    for (const tier of ["js", "aot"] as const) {
      for (const dynamic of [false, true]) {
        const got = compile(run, { fullgraph: true, dynamic, options: { tier } })(z);
        assert.deepEqual([...got.dataSync()], want, `${name} on ${tier}${dynamic ? ", dynamic" : ""}`);
      }
    }
  }
});

Deno.test("padding with a number and sums with fractional factors keep what complex tensors are given", () => {
  const z = F.complex(real([1.5]), real([2]));
  assert.deepEqual([...z.constantPadNd([1, 0], 3).viewAsReal().dataSync()], [3, 0, 1.5, 2]);
  const one = F.complex(real([[[1]]]), real([[[0]]]));
  const sum = F.addbmm(z.reshape([1, 1]), one, one, { beta: 0.5, alpha: 0.25 });
  assert.deepEqual([...sum.viewAsReal().dataSync()], [1, 1]);
});

/** PyTorch's results for the numbers of `POINTS` (or the first of them): real and imaginary parts in turn. */
const POINTS = [1, 2, -3, 0.5, 0.25, -1, -2, -2, 0, 0, 90, 3, -0, 1e-3];
// deno-fmt-ignore
const WANTED: Readonly<Record<string, readonly number[]>> = {
  sqrt: [1.27202, 0.786151, 0.143842, 1.738013, 0.800243, -0.624811, 0.643594, -1.553774, 0, 0, 9.488151, 0.158092, 0.022361, 0.022361],
  rsqrt: [0.568864, -0.351578, 0.047295, -0.571455, 0.776349, 0.606155, 0.227545, 0.549342],
  sin: [3.165779, 1.959601, -0.159131, -0.51588, 0.381764, -1.138667, -3.420955, 1.509307, 0, 0],
  cos: [2.032723, -3.051898, -1.116341, 0.073537, 1.49511, 0.290749, -1.565626, -3.297895, 1, 0],
  sinh: [-0.489056, 1.403119, -8.791512, 4.826694, 0.136487, -0.867904, 1.509307, -3.420955, 0, 0],
  cosh: [-0.642148, 1.068607, 8.835205, -4.802825, 0.557275, -0.212566, -1.565626, 3.297895, 1, 0],
  tanh: [1.166736, -0.243458, -0.997316, 0.00416, 0.732411, -1.278038, -1.023836, 0.028393, 0, 0, 1, 0, 0, 0.001],
  sgn: [0.447214, 0.894427, -0.986394, 0.164399, 0.242536, -0.970143, -0.707107, -0.707107, 0, 0, 0.999445, 0.033315, 0, 1],
};

function assertParts(z: Tensor, wanted: readonly number[], what: string): void {
  const got = [...z.viewAsReal().dataSync()].map(Number);
  wanted.forEach((v, i) =>
    assert.ok(Math.abs((got[i] ?? NaN) - v) < 2e-5 * Math.max(1, Math.abs(v)), `${what}: ${got} is not ${wanted}`)
  );
}

Deno.test("functions of complex numbers give PyTorch's results", () => {
  for (const [name, wanted] of Object.entries(WANTED)) {
    const count = wanted.length / 2;
    const z = tensor(POINTS.slice(0, 2 * count)).reshape([count, 2]).viewAsComplex();
    assertParts((F as unknown as Record<string, (z: Tensor) => Tensor>)[name]?.(z) as Tensor, wanted, name);
  }
  const z = tensor(POINTS.slice(0, 8)).reshape([4, 2]).viewAsComplex();
  assertParts(z.pow(3), [-11, -2, -24.75, 13.375, -0.734375, 0.8125, 16, -16], "pow 3");
  assertParts(z.pow(-1), [0.2, -0.4, -0.324324, -0.054054, 0.235294, 0.941176, -0.25, 0.25], "pow -1");
  assertParts(z.pow(0.5), [1.27202, 0.786151, 0.143842, 1.738013, 0.800243, -0.624811, 0.643594, -1.553774], "pow 0.5");
});

Deno.test("parts of complex tensors are written and picked as those of real ones", () => {
  const re = real([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), im = re.mul(-1);
  const z = F.complex(re, im), other = F.complex(real([10, 20, 30]), real([1, 2, 3]));
  const list = (x: Tensor): number[] => [...x.contiguous().dataSync()].map(Number);
  const rows = tensor([2, 0], { dtype: int64 });
  const cases: readonly [string, (x: Tensor, y: Tensor) => Tensor][] = [
    ["select_scatter", (x, y) => x.selectScatter(y, 0, 1)],
    ["slice_scatter", (x, y) => x.sliceScatter(y.unsqueeze(0), 0, 1, 2)],
    ["diagonal_scatter", (x, y) => x.diagonalScatter(y)],
    ["index", (x) => x.index([rows])],
    ["index_put", (x, y) => x.indexPut([rows], y)],
    ["gather", (x) => x.gather(0, rows.unsqueeze(1))],
    ["cumsum", (x) => x.cumsum(1)],
  ];
  for (const [name, run] of cases) {
    const got = run(z, other);
    assert.deepEqual(list(F.real(got)), list(run(re, F.real(other))), name);
    assert.deepEqual(list(got.viewAsReal().select(-1, 1)), list(run(im, other.viewAsReal().select(-1, 1))), name);
  }
  assert.deepEqual(
    list(z.maskedFill(re.gt(8), 0).viewAsReal().select(-1, 1)),
    [-1, -2, -3, -4, -5, -6, -7, -8, 0],
  );
});
