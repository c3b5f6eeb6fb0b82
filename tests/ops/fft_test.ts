/** Fourier transforms: against the sum that defines them, inverses, halves of spectra, gradients. */
import assert from "node:assert/strict";
import "../../src/autograd/mod.ts";
import { float64 } from "../../src/core/mod.ts";
import { gradcheck } from "../../src/autograd/mod.ts";
import { F, manualSeed, randn, Tensor } from "../../src/tensor/mod.ts";
import { transformLine } from "../../src/ops/fft_lines.ts";

function numbers(x: Tensor): number[] {
  const real = x.dtype.isComplex ? x.viewAsReal() : x;
  return Array.from(real.contiguous().dataSync(), Number);
}

function near(got: readonly number[], want: readonly number[], tolerance = 1e-5): void {
  assert.equal(got.length, want.length);
  got.forEach((g, i) => assert.ok(Math.abs(g - (want[i] ?? NaN)) < tolerance, `${i}: ${g}, expected ${want[i]}`));
}

/** The defining sum. */
function naive(re: readonly number[], im: readonly number[], sign: number): number[] {
  const n = re.length;
  return re.flatMap((_, k) => {
    let a = 0, b = 0;
    for (let j = 0; j < n; j++) {
      const angle = sign * 2 * Math.PI * j * k / n;
      a += (re[j] ?? 0) * Math.cos(angle) - (im[j] ?? 0) * Math.sin(angle);
      b += (re[j] ?? 0) * Math.sin(angle) + (im[j] ?? 0) * Math.cos(angle);
    }
    return [a, b];
  });
}

for (const n of [1, 2, 3, 5, 8, 12, 30, 67, 97, 201]) {
  Deno.test(`transformLine() of ${n} elements is the defining sum, both ways`, () => {
    const re = Array.from({ length: n }, (_, i) => Math.sin(3 * i) + 0.1 * i);
    const im = Array.from({ length: n }, (_, i) => Math.cos(i * i));
    for (const sign of [-1, 1] as const) {
      const out = transformLine({ re: Float64Array.from(re), im: Float64Array.from(im) }, sign);
      const got = Array.from(out.re).flatMap((a, i) => [a, out.im[i] ?? 0]);
      near(got, naive(re, im, sign), 1e-8 * n);
    }
  });
}

Deno.test("ifft() and irfft() undo fft() and rfft(), odd and even lengths, every norm", () => {
  manualSeed(1);
  for (const n of [6, 7]) {
    const x = randn([2, n]);
    for (const norm of ["backward", "ortho", "forward"]) {
      near(numbers(F.fftIfft(F.fftFft(x, { norm }), { norm }).real()), numbers(x));
      near(numbers(F.fftIrfft(F.fftRfft(x, { norm }), { n, norm })), numbers(x));
    }
  }
});

Deno.test("fft2() is fft() along both dimensions, rfft2() its half", () => {
  manualSeed(2);
  const x = randn([3, 4, 6]);
  const both = F.fftFft2(x);
  near(numbers(both), numbers(F.fftFft(F.fftFft(x, { dim: -1 }), { dim: -2 })), 1e-4);
  near(numbers(F.fftRfft2(x)), numbers(both.narrow(-1, 0, 4)), 1e-4);
  near(numbers(F.fftIrfft2(F.fftRfft2(x))), numbers(x));
  near(numbers(F.fftFftn(x)), numbers(F.fftFft(both, { dim: 0 })), 1e-4);
});

Deno.test("fft() pads and cuts to n, and refuses a length of 0", () => {
  const x = randn([5]);
  near(numbers(F.fftFft(x, { n: 8 })), numbers(F.fftFft(F.constantPadNd(x, [0, 3]))));
  near(numbers(F.fftFft(x, { n: 3 })), numbers(F.fftFft(x.narrow(0, 0, 3))));
  assert.throws(() => F.fftFft(x, { n: 0 }), /n must be positive, got 0/);
  assert.throws(() => F.fftFft(x, { norm: "half" }), /norm must be/);
});

Deno.test("fftPairs() has the gradient that finite differences give", () => {
  manualSeed(4);
  const x = randn([2, 6, 2], { dtype: float64 }).requiresGrad_();
  gradcheck((t: Tensor) => F.fftPairs(t, [0, 1], true, 0.7), [x]);
});

Deno.test("the gradient of the energy of a spectrum is the signal's, by Parseval", () => {
  manualSeed(5);
  const x = randn([8]).requiresGrad_();
  F.fftFft(x, { norm: "ortho" }).viewAsReal().square().sum().backward();
  assert.ok(x.grad instanceof Tensor);
  near(numbers(x.grad), numbers(x.detach().mul(2)));
});

Deno.test("fftfreq() and fftshift() order frequencies", () => {
  near(numbers(F.fftFftfreq(5)), [0, 0.2, 0.4, -0.4, -0.2]);
  near(numbers(F.fftRfftfreq(4)), [0, 0.25, 0.5]);
  near(numbers(F.fftFftshift(F.fftFftfreq(5))), [-0.4, -0.2, 0, 0.2, 0.4]);
  near(numbers(F.fftIfftshift(F.fftFftshift(F.fftFftfreq(5)))), [0, 0.2, 0.4, -0.4, -0.2]);
});
