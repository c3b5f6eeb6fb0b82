/** What a reading with fresh eyes found: texts of tensors, leaves made inside, truth of computed sizes. */
import assert from "node:assert/strict";
import { compile, float32, nn, ones, type Tensor, tensor, zeros } from "../../mod.ts";

Deno.test("the text of a tensor is of its data, at every call", () => {
  const texts: ((x: Tensor) => string)[] = [
    (x) => String(x.mul(2)),
    (x) => `${x}`,
    (x) => x.add(1).toString(),
    (x) => [x].join(),
    (x) => Object.keys({ [String(x)]: 1 })[0] ?? "",
  ];
  for (const fn of texts) {
    const compiled = compile(fn);
    for (const value of [1, 2, 3]) assert.equal(compiled(tensor([value, 0])), fn(tensor([value, 0])));
    assert.throws(() => compile(fn, { fullgraph: true })(ones([2])), /toString\(\)/);
  }
});

Deno.test("leaves made inside require gradients outside", () => {
  const made: ((x: Tensor) => Tensor)[] = [
    (x) => x.mul(2).requiresGrad_(),
    (x) => zeros([2], { requiresGrad: true }).add(0).detach().add(x).requiresGrad_(),
    () => tensor([1.5, 2], { requiresGrad: true }),
    (x) => nn.parameter(x.mul(2)),
  ];
  for (const fn of made) {
    const compiled = compile(fn);
    for (let call = 0; call < 3; call++) {
      const y = compiled(ones([2]));
      assert.ok(y.requiresGrad && y.isLeaf);
      y.sum().backward();
      assert.deepEqual(y.grad?.tolist(), [1, 1]);
    }
  }
});

Deno.test("a parameter that is replaced inside goes on requiring gradients", () => {
  const run = (wrap: (fn: (x: Tensor) => Tensor) => (x: Tensor) => Tensor): number[] => {
    let w = ones([4]).requiresGrad_();
    const step = wrap((x) => {
      const loss = w.mul(x).square().sum();
      loss.backward();
      w = w.detach().sub((w.grad as Tensor).mul(0.1)).requiresGrad_();
      return loss.detach();
    });
    return [1, 2, 3, 4].map((i) => step(tensor([i, 1, 0, 2])).item());
  };
  const wanted = run((fn) => fn);
  run((fn) => compile(fn)).forEach((v, i) => assert.ok(Math.abs(v - (wanted[i] ?? NaN)) < 1e-5, `${i}: ${v}`));
});

Deno.test("a computed size of 0 is false", () => {
  const odd = (x: Tensor): Tensor => Number(x.shape[0]) % 2 ? x.neg() : x;
  const operators = compile((x: Tensor): Tensor => (x.shape[0] as number) % 2 ? x.neg() : x);
  assert.deepEqual(
    [4, 5, 6, 9].map((n) => operators(ones([n])).sum().item()),
    [4, 5, 6, 9].map((n) => odd(ones([n])).sum().item()),
  );
  const differ = compile((x: Tensor, y: Tensor): Tensor =>
    (x.shape[0] as number) - (y.shape[0] as number) ? x.sum() : x.add(y).sum()
  );
  const sizes = [[3, 3], [4, 5], [6, 6]] as const;
  assert.deepEqual(sizes.map(([a, b]) => differ(ones([a]), ones([b])).item()), [6, 4, 12]);
  const logic = compile((x: Tensor): Tensor => x.mul(((x.shape[0] as number) - 5) && 1));
  assert.deepEqual([4, 5, 6, 5].map((n) => logic(ones([n])).sum().item()), [4, 0, 6, 0]);
});

Deno.test("backward() takes its options as the only argument", () => {
  const fn = (x: Tensor): Tensor => {
    const y = x.square().sum();
    y.backward({ retainGraph: true });
    y.backward();
    return y.detach();
  };
  for (const f of [fn, compile(fn)]) {
    const x = tensor([1, 2], { dtype: float32 }).requiresGrad_();
    f(x);
    assert.deepEqual(x.grad?.tolist(), [4, 8]);
    assert.throws(() => x.sum().backward([1] as never), /backward: needs the result's gradient/);
  }
});
