/** PyTorch's short names on tensors: eager, compiled, and with gradients. */
import assert from "node:assert/strict";
import { compile, int32, type Tensor, tensor } from "../../mod.ts";

const CONVERSIONS = ["float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool"] as const;
const DTYPES = ["float32", "float64", "float16", "bfloat16", "int32", "int64", "int16", "int8", "uint8", "bool"];

Deno.test("conversions of one word have PyTorch's dtypes, and return the tensor itself where nothing changes", () => {
  CONVERSIONS.forEach((name, i) => {
    const y = tensor([0, 1, 2])[name]();
    assert.equal(y.dtype.name, DTYPES[i]);
    assert.equal(y[name](), y);
  });
});

Deno.test("conversions, T and where() are captured and differentiated", () => {
  const fn = (x: Tensor): Tensor => x.half().float().T.where(x.T.bool(), 7).mul(x.T.gt(0).int());
  for (const f of [fn, compile(fn, { fullgraph: true })]) {
    const x = tensor([[1.5, 0], [-2, 3]]).requiresGrad_();
    const y = f(x);
    assert.deepEqual(y.detach().tolist(), [[1.5, -0], [0, 3]]);
    y.sum().backward();
    assert.deepEqual(x.grad?.tolist(), [[1, 0], [0, 1]]);
  }
});

Deno.test("sizes in bytes count elements, not memory", () => {
  const x = tensor([[1, 2], [3, 4]], { dtype: int32 });
  assert.equal(x.itemsize, 4);
  assert.equal(x.select(0, 0).nbytes, 8);
  assert.equal(x.expand([3, 2, 2]).nbytes, 48);
  assert.ok(x.isCpu && !x.isCuda);
});
