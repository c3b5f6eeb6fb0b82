/**
 * Linear algebra on "cuda", emulated where there is no GPU: factors and solutions are the host's, and what has none is said when data are read.
 */
import assert from "node:assert/strict";
import { compile, explain, F, float32, float64, onEvent, randn, type Tensor, tensor } from "../../../mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

function check(what: string, fn: (...inputs: Tensor[]) => readonly Tensor[], inputs: readonly Tensor[]): void {
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const want = fn(...inputs);
  compile(fn, { fullgraph: true })(...inputs.map((x) => x.cuda())).forEach((t, i) => {
    assert.equal(t.device.type, "cuda", what);
    assert.equal(t.dtype, want[i]?.dtype, what);
    assertClose(t.cpu(), want[i] as Tensor, 2e-5);
  });
  assert.deepEqual(messages.filter((m) => /host/.test(m)), [], what);
}

/** Symmetric positive definite. */
function definite(batch: number, n: number): Tensor {
  const x = randn([batch, n, n]);
  return x.matmul(x.mT()).add(F.eye(n).mul(n));
}

cudaTest("Cholesky factors of either half, and what follows from them", () => {
  const a = definite(3, 7);
  check("lower, upper", (a) => [F.linalgCholesky(a), F.linalgCholesky(a, { upper: true })], [a]);
  const broken = tensor([[[1, 0], [0, 1]], [[1, 2], [2, 1]]], { dtype: float32 });
  check("the minor that is not positive", (a) => F.linalgCholeskyEx(a), [broken]);
  check("solving, inverting", (a, b) => {
    const l = F.linalgCholesky(a);
    return [F.choleskySolve(b, l), F.choleskyInverse(l)];
  }, [a, randn([3, 7, 2])]);
  check("in double", (a) => [F.linalgCholesky(a)], [definite(1, 33).to(float64)]);
});

cudaTest("triangular solves from both sides, of more columns than a block has", () => {
  const a = randn([2, 9, 9]).add(F.eye(9).mul(6)), b = randn([2, 9, 40]), c = randn([2, 4, 9]);
  check("left", (a, b) => [
    F.linalgSolveTriangular(a, b, { upper: true }),
    F.linalgSolveTriangular(a, b, { upper: false, unitriangular: true }),
  ], [a.mul(0.3), b]);
  check("right", (a, c) => [F.linalgSolveTriangular(a, c, { upper: false, left: false })], [a, c]);
});

cudaTest("LU, solve, inverse and determinants", () => {
  const a = randn([2, 6, 6]), b = randn([2, 6, 3]);
  check("LU", (a) => [...F.linalgLu(a), ...F.linalgLuFactorEx(a).slice(0, 1)], [a]);
  check("of tall and wide matrices", (a, b) => [...F.linalgLu(a), ...F.linalgLu(b)], [randn([5, 3]), randn([1, 3, 5])]);
  check("solve, inverse", (a, b) => [F.linalgSolve(a, b), F.linalgInv(a)], [a, b]);
  check("determinants", (a) => [F.det(a), ...F.slogdet(a), F.det(tensorOfZeros(a))], [a]);
});

function tensorOfZeros(a: Tensor): Tensor {
  return a.mul(0);
}

cudaTest("gradients of solve() and of a Cholesky factor", () => {
  const step = (a: Tensor, b: Tensor): readonly Tensor[] => {
    const x = F.linalgSolve(a, b), l = F.linalgCholesky(a.matmul(a.mT()).add(F.eye(5, { device: a.device })));
    x.sum().add(l.square().sum()).backward();
    return [x.detach(), a.grad as Tensor, b.grad as Tensor];
  };
  const [a, b] = [randn([5, 5]).add(F.eye(5).mul(5)), randn([5, 2])];
  const want = step(a.clone().requiresGrad_(), b.clone().requiresGrad_());
  const got = compile(step)(a.cuda().requiresGrad_(), b.cuda().requiresGrad_());
  got.forEach((t, i) => assertClose(t.cpu(), want[i] as Tensor, 2e-5));
});

cudaTest("what has no factor is said when data are read, and what runs on the host by explain()", () => {
  const singular = tensor([[1, 2], [2, 4]], { dtype: float32 }).cuda();
  assert.throws(() => F.linalgInv(singular).cpu(), /matrix 0 is singular: pivot 2 is 0/);
  assert.throws(
    () => F.linalgCholesky(singular).cpu(),
    /matrix 0 is not positive definite: its leading minor of order 2/,
  );
  const report = explain((x: Tensor) => F.linalgLdlFactorEx(x)[0])(definite(1, 3).cuda());
  assert.match(report.fallbacks.join("\n"), /linalg_ldl_factor_ex.* on the host/);
});
