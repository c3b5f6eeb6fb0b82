/** The types of gradients follow the arguments that `argnums` names; checked by the compiler, and once at run time. */
import assert from "node:assert/strict";
import { grad, type Tensor, tensor, valueAndGrad } from "../../mod.ts";

type Same<A, B> = [A, B] extends [B, A] ? true : false;

function holds<T extends true>(_?: T): void {}

type Weights = { readonly w: Tensor; readonly b: readonly Tensor[] };

const loss = (x: Tensor, { w, b }: Weights): Tensor => x.mul(w).add(b[0] as Tensor).sum();
const x = tensor([1.5, 2]);
const weights: Weights = { w: tensor([3.5, 4]), b: [tensor([0.5, 0.5])] };

Deno.test("one position gives the gradient of that argument", () => {
  const [, second] = valueAndGrad(loss, { argnums: 1 })(x, weights);
  holds<Same<typeof second, Weights>>();
  assert.deepEqual(second.w.toArray(), [1.5, 2]);
  assert.deepEqual(second.b[0]?.toArray(), [1, 1]);
  const first = grad(loss)(x, weights);
  holds<Same<typeof first, Tensor>>();
  assert.deepEqual(first.toArray(), [3.5, 4]);
  assert.deepEqual(grad(loss, { argnums: 0 })(x, weights).toArray(), [3.5, 4]);
});

Deno.test("a list of positions gives gradients in its order, as a tuple", () => {
  const [, both] = valueAndGrad(loss, { argnums: [1, 0] })(x, weights);
  holds<Same<typeof both, [Weights, Tensor]>>();
  assert.deepEqual(both[1].toArray(), [3.5, 4]);
  assert.deepEqual(both[0].w.toArray(), [1.5, 2]);
  const again = grad(loss, { argnums: [0] })(x, weights);
  holds<Same<typeof again, [Tensor]>>();
  assert.equal(again.length, 1);
});

Deno.test("positions that are known when the program runs give trees; functions of any number of tensors give tensors", () => {
  const sum = (...all: Tensor[]): Tensor => all.reduce((a, b) => a.mul(b)).sum();
  const third = grad(sum, { argnums: 2 })(x, x, x);
  holds<Same<typeof third, Tensor>>();
  assert.deepEqual(third.toArray(), [2.25, 4]);
  const positions: number[] = [1];
  const [only] = grad((a: Tensor, b: Tensor) => a.mul(b).sum(), { argnums: positions })(x, x);
  assert.deepEqual((only as Tensor).toArray(), [1.5, 2]);
});

Deno.test("a position that no argument has is refused", () => {
  const f = (a: Tensor): Tensor => a.sum();
  assert.throws(() => grad(f, { argnums: 1 })(x), /^RangeError: grad: argnums names argument 1, but the call has 1/);
  assert.throws(() => grad(f, { argnums: [0, -1] })(x), RangeError);
});
