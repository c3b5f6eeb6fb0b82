/** Forms that convolution and pooling loops take, errors, and gradients of gradients. */
import assert from "node:assert/strict";
import { cpu, float32, float64 } from "../../src/core/mod.ts";
import type { ArgValue, MetaInput, NamedArgs } from "../../src/ops/mod.ts";
import { getOp } from "../../src/ops/mod.ts";
import { foldValue, type LoopInput, type LoopNode, ops, type Value } from "../../src/loops/mod.ts";
import { type BufferRef } from "../../src/loops/mod.ts";
import { add, constant, contiguousStride, mul } from "../../src/symbolic/mod.ts";
import { gradcheck } from "../../src/autograd/mod.ts";
import { dispatch, Tensor, tensor } from "../../src/tensor/mod.ts";

let nextBuffer = 1_000_000;

function meta(shape: readonly number[]): MetaInput {
  return {
    shape,
    stride: contiguousStride(shape),
    storageOffset: 0,
    dtype: float32,
    device: cpu,
    isScalar: false,
    requiresGrad: false,
  };
}

function input(shape: readonly number[]): LoopInput {
  const numel = constant(shape.reduce((a, b) => a * b, 1));
  const buffer: BufferRef = { id: nextBuffer++, dtype: float32, numel, label: "x" };
  return {
    shape: shape.map(constant),
    dtype: float32,
    load: (index) => ops.load(buffer, index.reduce((sum, e, d) => add(mul(sum, shape[d] ?? 1), e), constant(0))),
  };
}

/** The loop of an operator on contiguous inputs. */
function loopOf(
  target: string,
  tensors: Record<string, readonly number[]>,
  others: Record<string, ArgValue<never>>,
): LoopNode {
  const op = getOp(target);
  const metas: NamedArgs<MetaInput> = {
    ...others,
    ...Object.fromEntries(Object.entries(tensors).map(([k, s]) => [k, meta(s)])),
  };
  const spec = op.meta(metas);
  const first = "shape" in spec ? spec : spec[0];
  assert.ok(first !== undefined);
  const args: NamedArgs<LoopInput> = {
    ...others,
    ...Object.fromEntries(Object.entries(tensors).map(([k, s]) => [k, input(s)])),
  };
  const loop = op.loop?.(args, {
    ...meta([]),
    ...first,
    stride: contiguousStride(first.shape),
    storageOffset: 0,
    device: cpu,
  });
  assert.ok(loop !== undefined);
  return loop;
}

function countMasks(values: readonly Value[]): number {
  let count = 0;
  foldValue(values, (v) => {
    if (v.kind === "masked") count++;
    return null;
  });
  return count;
}

const PLAIN = { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 };

Deno.test("conv without padding loads without masks", () => {
  const shapes = { input: [2, 3, 8, 8], weight: [4, 3, 3, 3] };
  const loop = loopOf("tessera.conv.default", shapes, { outputSize: [6, 6], ...PLAIN });
  assert.equal(loop.kind, "contraction");
  if (loop.kind === "contraction") assert.equal(countMasks([loop.a, loop.b]), 0);
});

Deno.test("conv with padding masks only its input", () => {
  const shapes = { input: [2, 3, 8, 8], weight: [4, 3, 3, 3] };
  const loop = loopOf("tessera.conv.default", shapes, { outputSize: [8, 8], ...PLAIN, padding: [1, 1] });
  assert.ok(loop.kind === "contraction");
  assert.equal(countMasks([loop.a]), 0);
  assert.equal(countMasks([loop.b]), 1);
});

Deno.test("a small depthwise convolution is pointwise, so that it fuses", () => {
  const loop = loopOf("tessera.conv.default", { input: [1, 8, 6, 6], weight: [8, 1, 3, 3] }, {
    outputSize: [4, 4],
    ...PLAIN,
    groups: 8,
  });
  assert.equal(loop.kind, "pointwise");
});

Deno.test("the input gradient of a strided convolution visits only kernel elements of its residue", () => {
  const shapes = { grad: [1, 4, 4, 4], weight: [4, 3, 3, 3] };
  const loop = loopOf("tessera.conv_input_grad.default", shapes, {
    inputSize: [8, 8],
    ...PLAIN,
    stride: [2, 2],
    padding: [1, 1],
  });
  assert.ok(loop.kind === "contraction");
  assert.deepEqual(loop.batch.map((v) => v.extent?.upper), [1, 2, 2]);
  assert.deepEqual(loop.k.map((v) => v.extent?.upper), [4, 2, 2]);
});

Deno.test("max pooling over a small window is pointwise, over a large one a reduction", () => {
  const pool = (kernel: number): LoopNode =>
    loopOf("tessera.max_pool.default", { input: [1, 2, 16, 16] }, {
      kernelSize: [kernel, kernel],
      stride: [1, 1],
      padding: [0, 0],
      dilation: [1, 1],
      ceilMode: false,
    });
  assert.equal(pool(3).kind, "pointwise");
  assert.equal(pool(7).kind, "reduction");
});

Deno.test("conv2d names the shapes that do not fit", () => {
  const conv2d = getOp("aten.conv2d.default");
  const args = { bias: null, stride: [1], padding: [0], dilation: [1], groups: 1 };
  assert.throws(
    () => conv2d.meta({ ...args, input: meta([1, 4, 8, 8]), weight: meta([8, 3, 3, 3]) }),
    /conv2d: the weight expects 3 input channels, but the input has 4.*\[1, 4, 8, 8\].*\[8, 3, 3, 3\]/,
  );
  assert.throws(
    () => conv2d.meta({ ...args, input: meta([1, 3, 2, 2]), weight: meta([8, 3, 3, 3]) }),
    /conv2d: the kernel \[3, 3\].*is larger than the padded input \[2, 2\]/,
  );
});

Deno.test("mm names both shapes and what it needs", () => {
  const mm = getOp("aten.mm.default");
  assert.throws(
    () => mm.meta({ self: meta([2, 3]), mat2: meta([4, 5]) }),
    /mm: cannot multiply \[2, 3\] by \[4, 5\].*\[n, k\]/,
  );
});

Deno.test("convolution differentiates twice", () => {
  const values = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + seed));
  const x = tensor(values(32, 1), { dtype: float64 }).reshape([1, 2, 4, 4]).requiresGrad_();
  const w = tensor(values(54, 2), { dtype: float64 }).reshape([3, 2, 3, 3]).requiresGrad_();
  // The weight gradient as a function of input and output gradient is itself differentiated.
  const g = tensor(values(12, 3), { dtype: float64 }).reshape([1, 3, 2, 2]).requiresGrad_();
  const geometry = { stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups: 1 };
  const run = (target: string, args: Record<string, unknown>): Tensor => {
    const out = dispatch(getOp(target), { ...args, ...geometry });
    assert.ok(out instanceof Tensor);
    return out;
  };
  gradcheck(
    (a: Tensor, b: Tensor) => run("tessera.conv_weight_grad.default", { input: a, grad: b, kernelSize: [3, 3] }),
    [x, g],
  );
  gradcheck(
    (a: Tensor, b: Tensor) => run("tessera.conv_input_grad.default", { grad: a, weight: b, inputSize: [4, 4] }),
    [g, w],
  );
});
