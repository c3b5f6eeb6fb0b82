/**
 * Linear algebra: factors multiply back to the matrix, solutions solve, what has no solution raises.
 */
import assert from "node:assert/strict";
import { F, float32, randn, tensor as tensorOf } from "../../mod.ts";

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
