/**
 * Linear algebra: factors multiply back to the matrix, solutions solve, what has no solution raises.
 */
import assert from "node:assert/strict";
import { F, float32, manualSeed, randn, type Tensor, tensor as tensorOf } from "../../mod.ts";

const tensor = (values: number[] | number[][]): ReturnType<typeof randn> => tensorOf(values, { dtype: float32 });

const near = (a: { sub(b: unknown): unknown }, b: unknown): void => {
  const distance = (a.sub(b) as ReturnType<typeof randn>).abs().max().item();
  assert.ok(distance < 1e-4, `differs by ${distance}`);
};

Deno.test("LU, QR and SVD multiply back to a tall and to a wide matrix", () => {
  for (const shape of [[5, 3], [3, 5]]) {
    const a = randn([2, ...shape]);
    const [p, l, u] = F.linalgLu(a);
    near(p.matmul(l).matmul(u), a);
    const [q, r] = F.linalgQr(a);
    near(q.matmul(r), a);
    const [left, s, right] = F.linalgSvd(a, { fullMatrices: false });
    near(left.mul(s.unsqueeze(-2)).matmul(right), a);
    near(F.linalgPinv(a, 1e-6).matmul(a).matmul(F.linalgPinv(a, 1e-6)), F.linalgPinv(a, 1e-6));
  }
});

Deno.test("complete bases are orthonormal, also of a matrix without rank", () => {
  const [u, s, vh] = F.linalgSvd(tensor([[1, 2], [2, 4], [0, 0]]));
  near(u.matmul(u.mT()), F.eye(3));
  near(vh.matmul(vh.mT()), F.eye(2));
  near(s, tensor([5, 0]));
});

Deno.test("eigenvectors of a symmetric matrix diagonalise it, whichever half is given", () => {
  const a = randn([4, 4]);
  const symmetric = a.add(a.mT());
  for (const UPLO of ["L", "U"]) {
    const half = UPLO === "L" ? symmetric.tril() : symmetric.triu();
    const [values, v] = F.linalgEigh(half, { UPLO });
    near(v.mul(values.unsqueeze(-2)).matmul(v.mT()), symmetric);
  }
});

Deno.test("solve() solves; singular and indefinite matrices raise and name what to do", () => {
  const a = randn([4, 4]).add(F.eye(4).mul(4)), b = randn([4, 2]);
  near(a.matmul(F.linalgSolve(a, b)), b);
  near(F.linalgInv(a).matmul(a), F.eye(4));
  assert.throws(() => F.linalgInv(tensor([[1, 2], [2, 4]])).toArray(), /linalg_inv: matrix 0 is singular.*linalg_pinv/);
  assert.throws(() => F.linalgCholesky(tensor([[1, 2], [2, 1]])).toArray(), /not positive definite.*order 2/);
  assert.throws(() => F.linalgDet(randn([2, 3])), /linalg_det: needs square matrices, got \[2, ?3\]/);
});

Deno.test("the gradient of a determinant is there where the determinant is 0", () => {
  const a = tensor([[1, 2], [2, 4]]);
  a.requiresGrad = true;
  F.linalgDet(a).backward();
  near(a.grad ?? a, tensor([[4, -2], [-2, 1]]));
});

Deno.test("linalgEig() finds complex eigenvalues and vectors, and their gradients", () => {
  manualSeed(4);
  for (const n of [1, 2, 3, 6, 17]) {
    const a = randn([n, n]);
    const [values, vectors] = F.linalgEig(a);
    const z = F.complex(a, F.zerosLike(a));
    const off = z.matmul(vectors).viewAsReal().sub(vectors.mul(values.unsqueeze(0)).viewAsReal()).abs().amax().item();
    assert.ok(off < 1e-5, `${n}: A V and V L differ by ${off}`);
  }
  const rotation = tensor([[0, -1], [1, 0]]);
  const found = F.linalgEigvals(rotation).viewAsReal().toArray() as number[][];
  assert.deepEqual(found.map(([re = 9, im = 9]) => [Math.abs(Math.round(re * 1e6)), im > 0]).sort(), [[0, false], [
    0,
    true,
  ]]);
  assert.throws(() => F.linalgEig(tensor([[NaN, 1], [1, 1]])), RangeError);
});

Deno.test("gradients of eigenvalues and of sizes of eigenvectors agree with differences", () => {
  manualSeed(6);
  const a = randn([4, 4]), weights = randn([4, 4]);
  const loss = (x: Tensor): Tensor => {
    const [values, vectors] = F.linalgEig(x);
    const l = values.viewAsReal(), v = vectors.viewAsReal();
    return l.mul(l).sum([-1]).mul(l.select(-1, 0)).sum().add(v.mul(v).sum([-1]).square().mul(weights).sum());
  };
  const leaf = a.clone().requiresGrad_();
  loss(leaf).backward();
  const got = Array.from(leaf.grad?.dataSync() ?? [], Number);
  got.forEach((g, k) => {
    const step = tensor(Array.from({ length: 16 }, (_, i) => i === k ? 1e-2 : 0)).reshape([4, 4]);
    const want = (loss(a.add(step)).item() - loss(a.sub(step)).item()) / 2e-2;
    assert.ok(Math.abs(g - want) < 1e-2 * Math.max(1, Math.abs(want)), `element ${k}: ${g}, differences give ${want}`);
  });
});
