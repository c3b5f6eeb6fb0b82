/**
 * Factorisations that iterate on "cuda", emulated where there is no GPU: values are the host's, and vectors are what they should be, whatever their signs.
 */
import assert from "node:assert/strict";
import { compile, F, float64, manualSeed, onEvent, randn, type Tensor, tensor } from "../../../mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

/** What `fn` gives on the device, brought back; nothing of it may run on the host. */
function onDevice(fn: (...inputs: Tensor[]) => readonly Tensor[], ...inputs: Tensor[]): Tensor[] {
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const out = compile(fn, { fullgraph: true })(...inputs.map((x) => x.cuda())).map((t) => t.cpu());
  assert.deepEqual(messages.filter((m) => /host/.test(m)), []);
  return out;
}

function isOrthonormal(columns: Tensor): void {
  const n = Number(columns.shape.at(-1));
  const product = columns.mT().matmul(columns);
  assertClose(product, F.eye(n, { dtype: columns.dtype }).expand(product.shape.map(Number)), 2e-5);
}

cudaTest("QR of tall, wide and square matrices in every mode, with the host's signs", () => {
  manualSeed(5);
  const fn = (...inputs: Tensor[]): readonly Tensor[] =>
    inputs.flatMap((a) => [
      ...F.linalgQr(a),
      ...F.linalgQr(a, { mode: "complete" }),
      F.linalgQr(a, { mode: "r" })[1],
      ...F.geqrf(a),
    ]);
  const inputs = [randn([2, 5, 3]), randn([3, 40]), tensor([[1.5, 2], [0, 0], [0, 0]])];
  onDevice(fn, ...inputs).forEach((t, i) => assertClose(t, fn(...inputs)[i] as Tensor, 2e-5));
});

cudaTest("eigenvalues of symmetric matrices of even and odd size, of which one half is read", () => {
  manualSeed(6);
  const a = randn([2, 7, 7]);
  const fn = (a: Tensor): readonly Tensor[] => [...F.linalgEigh(a, { UPLO: "U" }), F.linalgEigvalsh(a)];
  const [values, vectors, lower] = onDevice(fn, a) as [Tensor, Tensor, Tensor];
  const [expected, , below] = fn(a) as [Tensor, Tensor, Tensor];
  assertClose(values, expected, 2e-5);
  assertClose(lower, below, 2e-5);
  isOrthonormal(vectors);
  assertClose(
    vectors.mul(values.unsqueeze(-2)).matmul(vectors.mT()),
    a.triu().add(a.triu(1).mT()),
    2e-5,
  );
  const even = randn([34, 34], { dtype: float64 });
  const [sorted] = onDevice((a) => [F.linalgEigvalsh(a)], even) as [Tensor];
  assertClose(sorted, F.linalgEigvalsh(even), 1e-11);
});

cudaTest("singular values of matrices of any shape and rank, bases that are completed, what follows from them", () => {
  manualSeed(7);
  const flat = randn([4, 1]).matmul(randn([1, 3]));
  const inputs = [randn([2, 5, 3]), randn([3, 6]), flat];
  const svd = (a: Tensor): readonly Tensor[] => F.linalgSvd(a, { fullMatrices: a.ndim > 2 });
  const follows = (a: Tensor): readonly Tensor[] => [F.linalgSvdvals(a), F.linalgPinv(a), F.linalgMatrixRank(a)];
  const all = onDevice((...inputs) => inputs.flatMap((a) => [...svd(a), ...follows(a)]), ...inputs);
  inputs.forEach((a, i) => {
    const [u, s, vh, ...rest] = all.slice(6 * i, 6 * i + 6) as [Tensor, Tensor, Tensor, ...Tensor[]];
    assertClose(s, F.linalgSvdvals(a), 2e-5);
    isOrthonormal(u);
    isOrthonormal(vh.mT());
    const k = Number(s.shape.at(-1));
    assertClose(u.narrow(-1, 0, k).mul(s.unsqueeze(-2)).matmul(vh.narrow(-2, 0, k)), a, 2e-5);
    follows(a).forEach((want, j) => assertClose(rest[j] as Tensor, want, 1e-4));
  });
});

cudaTest("exponentials of matrices of large and small norm", () => {
  manualSeed(8);
  const a = randn([3, 4, 4]).mul(tensor([0, 0.1, 3]).reshape([3, 1, 1]));
  const [out] = onDevice((a) => [F.matrixExp(a)], a) as [Tensor];
  assertClose(out, F.matrixExp(a), 2e-5);
});

cudaTest("the gradient of a determinant, also of matrices without full rank", () => {
  manualSeed(9);
  const regular = randn([2, 5, 5]), thin = randn([5, 4]), thinner = randn([5, 3]);
  const a = F.stack([...regular.unbind(0), thin.matmul(randn([4, 5])), thinner.matmul(randn([3, 5]))], 0);
  const gradient = (a: Tensor): readonly Tensor[] => {
    F.det(a).sum().backward();
    return [a.grad as Tensor];
  };
  const [want] = gradient(a.clone().requiresGrad_()) as [Tensor];
  const [got] = onDevice((a) => gradient(a.detach().clone().requiresGrad_()), a) as [Tensor];
  assertClose(got, want, 2e-5);
});
