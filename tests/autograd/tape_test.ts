import assert from "node:assert/strict";
import { bfloat16, float32, float64 } from "../../src/core/mod.ts";
import { ones, slice, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import {
  defineFunction,
  enableGrad,
  grad,
  gradcheck,
  gradOf,
  jvp,
  noGrad,
  valueAndGrad,
  vjp,
} from "../../src/autograd/mod.ts";

const leaf = (values: readonly number[]): Tensor => tensor(values, { dtype: float64, requiresGrad: true });
const values = (t: Tensor | null): unknown => t?.toArray();

Deno.test("backward() adds up over paths and over calls", () => {
  const x = leaf([1.5, 2]);
  const y = x.mul(x).add(x);
  y.sum().backward();
  assert.deepEqual(values(x.grad), [4, 5]);
  x.mul(3).sum().backward();
  assert.deepEqual(values(x.grad), [7, 8]);
  x.grad = null;
  assert.equal(x.grad, null);
});

Deno.test("gradients of two leaves never share memory", () => {
  const x = leaf([1]);
  const y = leaf([2]);
  x.add(y).backward();
  x.grad?.mul_(10);
  assert.deepEqual([values(x.grad), values(y.grad)], [[10], [1]]);
  const given = tensor([1], { dtype: float64 });
  const z = leaf([3]);
  z.add(0).backward(given);
  z.grad?.zero_();
  assert.deepEqual(values(given), [1]);
});

Deno.test("leaves accumulate in their own dtype and shape", () => {
  const x = tensor([[1.5], [2]], { dtype: bfloat16, requiresGrad: true });
  x.mul(ones([2, 3])).sum().backward();
  assert.equal(x.grad?.dtype, bfloat16);
  assert.deepEqual(values(x.grad), [[3], [3]]);
});

Deno.test("backward() explains what is wrong", () => {
  const x = leaf([1, 2]);
  assert.throws(() => x.mul(2).backward(), { name: "TypeError", message: /shape \[2\], not one element/ });
  assert.throws(() => tensor([1.5]).backward(), { name: "TypeError", message: /nothing was recorded/ });
  assert.throws(() => x.mul(2).backward(ones([3])), { name: "TypeError", message: /\[3\].*\[2\]/ });
  const y = x.exp().sum();
  y.backward();
  assert.throws(() => y.backward(), { name: "TypeError", message: /retainGraph/ });
  const z = x.exp().sum();
  z.backward(null, { retainGraph: true });
  z.backward();
});

Deno.test("noGrad() and detach() cut the tape; enableGrad() turns it on inside", () => {
  const x = leaf([1]);
  assert.equal(noGrad(() => x.mul(2)).requiresGrad, false);
  assert.equal(noGrad(() => enableGrad(() => x.mul(2))).requiresGrad, true);
  const d = x.detach();
  assert.equal(d.requiresGrad, false);
  assert.equal(d.storage, x.storage);
  assert.equal(x.isLeaf && d.isLeaf && !x.mul(1.5).isLeaf, true);
  assert.equal(x.gt(0).requiresGrad, false);
});

Deno.test("hooks see gradients and may replace them", () => {
  const x = leaf([1, 2]);
  const y = x.mul(2);
  const seen: unknown[] = [];
  y.registerHook((g) => void seen.push(values(g)));
  const remove = x.registerHook((g) => g.mul(10));
  y.retainGrad();
  y.mul(3).sum().backward();
  assert.deepEqual(seen, [[3, 3]]);
  assert.deepEqual(values(x.grad), [60, 60]);
  assert.deepEqual(values(y.grad), [3, 3]);
  remove[Symbol.dispose]();
  x.grad = null;
  x.mul(2).sum().backward();
  assert.deepEqual(values(x.grad), [2, 2]);
});

Deno.test("leaves that require a gradient cannot be written, nor can their views", () => {
  const x = leaf([1, 2]);
  assert.throws(() => x.add_(1), { name: "TypeError", message: /a leaf tensor that requires a gradient/ });
  assert.throws(() => x.at(0).add_(1), { name: "TypeError", message: /a view of a leaf/ });
  noGrad(() => x.add_(1));
  assert.deepEqual(values(x), [2, 3]);
});

Deno.test("a saved tensor that was written since is an error, but only if the rule uses it", () => {
  const x = leaf([1, 2]);
  const t = x.exp();
  const product = t.mul(t);
  t.add_(1);
  assert.throws(() => product.sum().backward(), {
    name: "TypeError",
    message: /MulBackward0.*written in place.*version 1, expected 0/,
  });
  const s = x.mul(3);
  const total = s.add(s);
  s.add_(1);
  total.sum().backward();
  assert.deepEqual(values(x.grad), [6, 6]);
});

Deno.test("in-place operators on results are differentiated, also where the rule needs the old value", () => {
  gradcheck((x) => {
    const y = x.mul(2);
    y.mul_(x);
    y.add_(1);
    return y.mul(y);
  }, [leaf([1.5, -2])]);
  gradcheck((x, w) => {
    const y = zeros([2], { dtype: float64 });
    y.add_(x);
    y.mul_(w);
    return y;
  }, [leaf([1.5, -2]), leaf([3, 4])]);
});

Deno.test("writes through views reach the history of the base and of its other views", () => {
  gradcheck((x) => {
    const base = x.mul(2);
    const before = base.at(slice(0, 2));
    base.at(slice(1, 3)).mul_(x.at(slice(0, 2)));
    return [base.mul(base), before.mul(3)];
  }, [leaf([1.5, -2, 0.5])]);
  gradcheck((x) => {
    const base = zeros([2, 2], { dtype: float64 });
    base.t().at(0).copy_(x);
    return base.mul(base);
  }, [leaf([1.5, -2])]);
});

Deno.test("createGraph records the backward pass", () => {
  const x = leaf([1.5, 2]);
  const [first] = gradOf(x.mul(x).mul(x).sum(), [x], { createGraph: true });
  const [second] = gradOf(first?.sum() as Tensor, [x]);
  assert.deepEqual(values(second ?? null), [9, 12]);
  assert.equal(x.grad, null);
});

Deno.test("gradOf() tells unused inputs", () => {
  const x = leaf([1]);
  const y = leaf([1]);
  assert.throws(() => gradOf(x.mul(2), [y]), { name: "TypeError", message: /allowUnused/ });
  assert.deepEqual(gradOf(x.mul(2), [y], { allowUnused: true }), [null]);
});

Deno.test("grad() nests, and sees what the outside differentiates", () => {
  const cube = (x: Tensor): Tensor => x.mul(x).mul(x).sum();
  const second = grad((x: Tensor) => grad(cube)(x).sum());
  assert.deepEqual(values(second(tensor([1.5], { dtype: float64 }))), [9]);
  // d/dw of d/dx (w·x²) at x = 3 is 2x.
  const outer = grad((w: Tensor) => grad((x: Tensor) => w.mul(x).mul(x).sum())(tensor([3], { dtype: float64 })).sum());
  assert.deepEqual(values(outer(tensor([5], { dtype: float64 }))), [6]);
  const [value, gradient] = valueAndGrad((p: { readonly a: Tensor; readonly b: Tensor }) => p.a.mul(p.b).sum())({
    a: tensor([1.5]),
    b: tensor([4], { dtype: float32 }),
  });
  assert.equal(value.item(), 6);
  assert.deepEqual([values(gradient.a), values(gradient.b)], [[4], [1.5]]);
  assert.equal(gradient.a.requiresGrad, false);
});

Deno.test("vjp() and jvp() are transposes of each other", () => {
  const f = (x: Tensor): Tensor => x.mul(x).sin();
  const x = tensor([0.3, -1.2], { dtype: float64 });
  const tangent = tensor([1, 0.5], { dtype: float64 });
  const cotangent = tensor([-2, 0.7], { dtype: float64 });
  const [, pull] = vjp(f, x);
  const [, pushed] = jvp(f, [x], [tangent]);
  const left = pushed.mul(cotangent).sum().item();
  const right = (pull(cotangent)[0] as Tensor).mul(tangent).sum().item();
  assert.ok(Math.abs(left - right) < 1e-12, `${left} ${right}`);
});

Deno.test("defineFunction() uses its own gradient", () => {
  const clip = defineFunction({
    name: "Clip",
    forward: (context, x: Tensor, limit: number) => {
      context.save(x);
      return x.clamp(-limit, limit);
    },
    backward: (_, g) => g === null ? null : g.mul(7),
  });
  const x = leaf([1, 5]);
  const y = clip(x, 2);
  assert.equal(String(y.gradFn), "<ClipBackward>");
  y.sum().backward();
  assert.deepEqual(values(x.grad), [7, 7]);
  const bad = defineFunction({ forward: (_, x: Tensor) => x.mul(2), backward: () => [null, null] });
  assert.throws(() => bad(leaf([1])).backward(), { name: "TypeError", message: /2 gradients for 1/ });
});

Deno.test("gradcheck() finds a wrong gradient", () => {
  const wrong = defineFunction({ forward: (_, x: Tensor) => x.mul(2), backward: (_, g) => g });
  assert.throws(() => gradcheck((x) => wrong(x), [leaf([1])]), { message: /finite differences/ });
  assert.throws(() => gradcheck((x) => x, [tensor([1.5]).requiresGrad_()]), { message: /float64/ });
});

Deno.test("a long chain is walked without recursion", () => {
  const x = leaf([1]);
  let y: Tensor = x;
  for (let i = 0; i < 20_000; i++) y = y.add(1);
  y.backward();
  assert.deepEqual(values(x.grad), [1]);
});

Deno.test("gradients of another shape are refused, assigned or returned by a hook", () => {
  const x = tensor([1.5, 2]).requiresGrad_();
  assert.throws(() => x.grad = tensor([1.5, 2, 3]), /grad: assigned a float32 tensor of shape \[3\]/);
  x.registerHook((g) => g.sum());
  assert.throws(
    () => x.sum().backward(),
    /registerHook: a hook got a gradient of shape \[2\] and returned one of shape \[\]/,
  );
});
