/** Views share storage, have PyTorch's strides, refuse what cannot be seen, and can be undone. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { float32 } from "../../src/core/mod.ts";
import { allOps, SampleGenerator } from "../../src/ops/mod.ts";
import {
  arange,
  dispatchComplete,
  F,
  noGrad,
  referenceBackend,
  Tensor,
  tensor,
  withEagerBackend,
} from "../../src/tensor/mod.ts";
import { makeArgs } from "./harness.ts";

const grid = (...shape: number[]): Tensor => arange(shape.reduce((a, b) => a * b, 1)).view(shape);

Deno.test("views share storage: a write through a chain of views reaches the base", () => {
  const x = grid(2, 3, 4);
  x.permute([2, 0, 1]).select(0, 1).slice(1, 1, 3).unsqueeze(0).fill_(100);
  assert.equal(Number(x.eq(100).sum().item()), 4);
  assert.equal(x.permute([2, 0, 1]).storage, x.storage);
});

Deno.test("view() refuses a transposed tensor and names reshape()", () => {
  assert.throws(() => grid(2, 3).t().view([6]), { name: "TypeError", message: /view: .*use reshape\(\)/ });
  assert.deepEqual(grid(2, 3).t().reshape([6]).toArray(), [0, 3, 1, 4, 2, 5]);
});

Deno.test("view() refuses sizes that do not fit, and two sizes -1", () => {
  assert.throws(() => grid(2, 3).view([4]), { name: "TypeError", message: /6 elements.*\[4\]/ });
  assert.throws(() => grid(2, 3).view([-1, -1]), { name: "TypeError", message: /only one size/ });
});

Deno.test("slice() clamps as Python does", () => {
  const x = grid(5);
  assert.deepEqual(x.slice(0, -2).toArray(), [3, 4]);
  assert.deepEqual(x.slice(0, -9, 9, 2).toArray(), [0, 2, 4]);
  assert.deepEqual(x.slice(0, 4, 2).shape, [0]);
  assert.throws(() => x.slice(0, 0, 5, 0), { name: "RangeError", message: /step is 0/ });
});

Deno.test("select() out of range names index, dimension and shape", () => {
  assert.throws(() => grid(2, 3).select(1, 3), { name: "RangeError", message: /index 3 .*dimension 1 of \[2, 3\]/ });
});

Deno.test("expand() has stride 0 in repeated dimensions", () => {
  const x = grid(3, 1).expand([2, 3, 4]);
  assert.deepEqual(x.stride, [0, 1, 0]);
  assert.throws(() => grid(3, 2).expand([3, 4]), { name: "TypeError", message: /expand: \[3, 2\]/ });
});

Deno.test("split() leaves a shorter last piece, chunk() as many pieces as fit", () => {
  assert.deepEqual(grid(7).split(3).map((p) => p.shape[0]), [3, 3, 1]);
  assert.deepEqual(grid(5).chunk(4).map((p) => p.shape[0]), [2, 2, 1]);
  assert.deepEqual(grid(7).tensorSplit(3).map((p) => p.shape[0]), [3, 2, 2]);
  assert.throws(() => grid(5).splitWithSizes([2, 2]), { name: "TypeError", message: /do not add up/ });
});

Deno.test("writeBack of every view puts a changed view into its base and leaves the rest", () => {
  let tried = 0;
  for (const op of allOps()) {
    const back = op.view?.writeBack;
    if (back === undefined) continue;
    op.samples(new SampleGenerator(float32)).forEach((sample, i) => {
      const args = makeArgs(op, sample, 17 + i);
      const { self } = args;
      assert.ok(self instanceof Tensor);
      noGrad(() => {
        // What writing through the real view does to the base is what writeBack must give.
        const base = self.clone({ memoryFormat: "contiguous_format" });
        const view = dispatchComplete(op, { ...args, self: base }) as Tensor;
        if (view.stride.some((s, d) => s === 0 && Number(view.shape[d]) > 1)) return;
        const changed = arange(view.numel).to(float32).view(view.shape.map(Number));
        const put = back as unknown as (args: unknown, changed: Tensor, F: unknown) => Tensor;
        const got = put({ ...args, self: base.clone() }, changed, F);
        const overlapping = view.numel > base.numel;
        if (overlapping) return;
        view.copy_(changed);
        if (op.schema.name === "unfold" && sample.name === "overlapping") return;
        assert.deepEqual(got.toArray(), base.toArray(), `${op.target} ${sample.name ?? i}`);
        tried++;
      });
    });
  }
  assert.ok(tried > 30, `only ${tried} views were tried`);
});

Deno.test("view() through random shapes keeps row-major order", () => {
  const factors = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(factors, fc.nat(4), fc.nat(4), (shape, i, j) => {
    const numel = shape.reduce((a, b) => a * b, 1);
    const cut = Math.min(i, j) % shape.length;
    const merged = [shape.slice(0, cut + 1).reduce((a, b) => a * b, 1), ...shape.slice(cut + 1)];
    const x = grid(...shape);
    assert.deepEqual(x.view(merged).flatten().toArray(), Array.from({ length: numel }, (_, k) => k));
    assert.deepEqual(x.view(merged).view(shape).stride, x.stride);
  }));
});

Deno.test("cat() promotes and skips empty vectors; stack() refuses unequal shapes", () => {
  assert.deepEqual(F.cat([tensor([]), grid(2, 2)], 1).shape, [2, 2]);
  assert.equal(F.cat([grid(2), tensor([0.5])]).dtype, float32);
  assert.throws(() => F.cat([grid(2, 2), grid(3, 3)]), { name: "TypeError", message: /\[2, 2\] and \[3, 3\]/ });
  assert.throws(() => F.stack([grid(2), grid(3)]), { name: "TypeError", message: /stack: .*use cat\(\)/ });
});

Deno.test("asStridedScatter() writes where strides point in self's storage", () => {
  const nines = tensor([9, 9], { dtype: float32 });
  const run = (x: Tensor, stride: number): unknown => x.asStridedScatter(nines, [2], [stride], 0).flatten().toArray();
  for (const backend of [null, referenceBackend]) {
    const check = (): void => {
      assert.deepEqual(run(grid(2, 3).to(float32).t(), 1), [9, 3, 9, 4, 2, 5]);
      assert.deepEqual(run(grid(6).to(float32).slice(0, 0, 6, 2), 2), [9, 9, 4]);
      assert.deepEqual(run(grid(2).to(float32).unsqueeze(1).expand([2, 3]), 1), [9, 9, 0, 1, 1, 1]);
    };
    if (backend === null) check();
    else withEagerBackend(backend, check);
  }
});
