/**
 * Functions with loops of data-dependent length on "cuda", emulated where there is no GPU: the host's results, random ones too, and no copy to the host.
 */
import assert from "node:assert/strict";
import {
  compile,
  F,
  float16,
  float32,
  float64,
  int32,
  manualSeed,
  onEvent,
  type Tensor,
  tensor,
} from "../../../mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

function check(what: string, fn: (...inputs: Tensor[]) => readonly Tensor[], inputs: readonly Tensor[]): void {
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  manualSeed(3);
  const want = fn(...inputs);
  manualSeed(3);
  compile(fn, { fullgraph: true })(...inputs.map((x) => x.cuda())).forEach((t, i) => {
    assert.equal(t.device.type, "cuda", what);
    const [got, expected] = [t.cpu(), want[i] as Tensor];
    assert.equal(Number(got.isnan().ne(expected.isnan()).any().item()), 0, `${what}: NaN elsewhere`);
    const finite = (x: Tensor): Tensor => x.nanToNum(7, 1e30, -1e30);
    assertClose(finite(got), finite(expected), 2e-6);
  });
  assert.deepEqual(messages.filter((m) => /host/.test(m)), [], what);
}

cudaTest("incomplete gamma functions, zeta and polynomials of any degree, of operands that broadcast", () => {
  const a = tensor([[0.5], [2], [30], [0], [Infinity], [-1]]), x = tensor([0, 0.25, 3, 40, Infinity, NaN]);
  check("gamma", (a, x) => [F.igamma(a, x), F.igammac(a, x), F.specialGammaincc(x, a)], [a, x]);
  check("gamma of doubles", (a, x) => [F.igamma(a, x)], [a.to(float64), x.to(float64)]);
  check("zeta", (s, q) => [F.specialZeta(s, q)], [
    tensor([[1.5], [3], [1], [0.5]]),
    tensor([0.5, 1, 40, -2, -2.5]),
  ]);
  const at = tensor([[-1], [-0.3], [0.7], [1], [2.5]]), degree = tensor([-1, 0, 1, 4, 9, 20]);
  check("polynomials", (x, n) => [
    F.specialChebyshevPolynomialT(x, n),
    F.specialChebyshevPolynomialU(x, n),
    F.specialShiftedChebyshevPolynomialV(x, n),
    F.specialChebyshevPolynomialW(x, n),
    F.specialHermitePolynomialHe(x, n),
    F.specialLaguerrePolynomialL(x, n),
    F.specialLegendrePolynomialP(x, n),
  ], [at, degree]);
});

cudaTest("draws are those of the host, and faulty rates are said when data are read", () => {
  const rates = tensor([[0, 0.5, 3], [9.5, 40, 1e5]]);
  const counts = tensor([[20], [1000]], { dtype: float32 }), chances = tensor([0, 0.3, 0.9, 1]);
  const draw = (rates: Tensor, counts: Tensor, chances: Tensor): Tensor[] => [
    F.poisson(rates),
    F.binomial(counts.expand([2, 4]), chances.expand([2, 4])),
    F._standardGamma(rates),
    F._standardGammaGrad(rates.add(0.5), rates.add(1)),
  ];
  check("draws", draw, [rates, counts, chances]);
  assert.throws(() => F.poisson(tensor([1.5, -2]).cuda()).cpu(), /element 1 is negative; rates and counts/);
});

cudaTest("a compiled view as another dtype copies bytes on the device", () => {
  const x = tensor([[1.5, -2, NaN, 0], [3, 4, -0, 1e30]]);
  check("views", (x) => [x.view(int32).add(1), x.view(float16).to(float32), x.add(0).view(float64)], [x]);
});
