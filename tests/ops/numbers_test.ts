/** Operators that yield numbers, other names of operators, and distributions: what their samples alone do not show. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile, explain } from "../../src/capture/mod.ts";
import { float32, int64 } from "../../src/core/mod.ts";
import { allOps, findOp } from "../../src/ops/mod.ts";
import { F, manualSeed, randn, Tensor, tensor } from "../../src/tensor/mod.ts";

/** The functions of operators that `F` types do not show. */
const call = F as unknown as Readonly<Record<string, (...args: unknown[]) => unknown>>;

Deno.test("targets that graphs of exported programs ask for sizes and numbers are in the table", () => {
  for (
    const target of [
      "aten.sym_size.int",
      "aten.sym_stride.int",
      "aten.sym_numel.default",
      "aten.sym_storage_offset.default",
      "aten.item.default",
      "aten._local_scalar_dense.default",
      "aten.equal.default",
      "aten.allclose.default",
    ]
  ) assert.equal(findOp(target)?.kind, "number", target);
});

Deno.test("sizes, strides and offsets are those of the tensor", () => {
  const x = randn([3, 4]).narrow(0, 1, 2).t();
  assert.deepEqual([F.symSize(x, 0), F.symSize(x, -1), F.symNumel(x)], [4, 2, 8]);
  assert.deepEqual([F.symStride(x, 0), F.symStride(x, 1), F.symStorageOffset(x)], [1, 4, 4]);
  assert.throws(() => F.symSize(x, 2), /sym_size/);
});

Deno.test("a size that is asked for while capturing stays symbolic", () => {
  const scaled = compile((x: Tensor) => x.mul(F.symSize(x, 0)).sum(), { dynamic: true, fullgraph: true });
  assert.equal(scaled(tensor([1, 2, 3]).to(float32)).item(), 18);
  assert.equal(scaled(tensor([1, 1, 1, 1, 1]).to(float32)).item(), 25);
});

Deno.test("a number that is read while capturing ends the graph, and explain() says so", () => {
  const run = (x: Tensor): Tensor => x.mul(call["item"]?.(x.sum()) as number);
  assert.equal(explain(run)(tensor([2, 3]).to(float32)).breaks.length, 1);
  assert.deepEqual(compile(run)(tensor([2, 3]).to(float32)).toArray(), [10, 15]);
});

Deno.test("equal, allclose and is_nonzero read data", () => {
  const x = tensor([1, 2]).to(float32);
  assert.equal(call["equal"]?.(x, x.clone()), true);
  assert.equal(call["equal"]?.(x, x.unsqueeze(0)), false);
  assert.equal(call["allclose"]?.(x, x.add(1e-7)), true);
  assert.equal(call["allclose"]?.(x, x.add(1)), false);
  assert.equal(F.isNonzero(tensor([0])), false);
  assert.equal(F.isSameSize(x, x.unsqueeze(0)), false);
});

Deno.test("narrow() from a tensor's position is a view of self", () => {
  const x = tensor([1, 2, 3, 4]);
  F.narrow(x, 0, tensor(1), 2).mul_(10);
  assert.deepEqual(x.toArray(), [1, 20, 30, 4]);
  assert.throws(() => F.narrow(x, 0, tensor([1]), 2), /0-dim/);
});

Deno.test("an alias is its operator, in place and on complex tensors too", () => {
  const x = tensor([-2, 3]).to(float32);
  assert.deepEqual(F.absolute(x).toArray(), [2, 3]);
  assert.deepEqual(F.clip(x, -1, 1).toArray(), [-1, 1]);
  F.negative_(x);
  assert.deepEqual(x.toArray(), [2, -3]);
  const z = F.complex(x, x);
  assert.deepEqual([...F.subtract(z, z).viewAsReal().dataSync()], [0, 0, 0, 0]);
  for (const op of allOps()) {
    if (op.aliasOf !== undefined) assert.equal(op.meta, op.aliasOf.meta, op.target);
  }
});

Deno.test("a number stands for no tensor in a list of tensors", () => {
  assert.throws(() => call["hstack"]?.([randn([2]), 1]), TypeError);
});

function moments(x: Tensor): { readonly mean: number; readonly std: number } {
  return { mean: x.mean().item(), std: x.std().item() };
}

Deno.test("distributions have their means and deviations", () => {
  manualSeed(3);
  const x = randn([20000]);
  const expected: readonly (readonly [string, Tensor, number, number])[] = [
    ["exponential", F.exponential(x, 2), 0.5, 0.5],
    ["geometric", F.geometric(x, 0.25), 4, Math.sqrt(12)],
    ["log_normal", F.logNormal(x, 0, 0.5), Math.exp(0.125), Math.sqrt((Math.exp(0.25) - 1) * Math.exp(0.25))],
    ["uniform", F.uniform(x, -1, 3), 1, 4 / Math.sqrt(12)],
    ["normal", F.normal(F.fullLike(x, 5), 2), 5, 2],
    ["normal_functional", F.normalFunctional(x, -1, 3), -1, 3],
  ];
  for (const [name, drawn, mean, std] of expected) {
    const got = moments(drawn);
    assert.ok(Math.abs(got.mean - mean) < 0.08 * Math.max(1, std), `${name}: mean ${got.mean}, expected ${mean}`);
    assert.ok(Math.abs(got.std - std) < 0.08 * Math.max(1, std), `${name}: deviation ${got.std}, expected ${std}`);
  }
  // Half of the numbers of a Cauchy distribution are within its scale.
  const near = F.cauchy(x, 1, 2).sub(1).abs().lt(2).to(float32).mean().item();
  assert.ok(Math.abs(near - 0.5) < 0.02, `${near}`);
});

Deno.test("in-place distributions fill self, eager and compiled alike", () => {
  const draw = (x: Tensor): Tensor => F.exponential_(x.clone(), 0.5);
  const x = randn([64]);
  manualSeed(11);
  const eager = draw(x).toArray();
  manualSeed(11);
  assert.deepEqual(compile(draw, { options: { tier: "js" } })(x).toArray(), eager);
});

Deno.test("multinomial() draws in proportion, and each category once without replacement", () => {
  manualSeed(5);
  const weights = tensor([[1, 3, 0], [0, 1, 1]]).to(float32);
  const drawn = F.multinomial(weights, 4000, true);
  assert.equal(drawn.dtype, int64);
  const share = drawn.eq(1).to(float32).mean([1]).toArray() as number[];
  assert.ok(Math.abs((share[0] ?? 0) - 0.75) < 0.03 && Math.abs((share[1] ?? 0) - 0.5) < 0.03, `${share}`);
  assert.equal(drawn.select(0, 0).eq(2).any().item(), 0);
  const order = F.multinomial(tensor([1, 2, 3, 4]).to(float32), 4).toArray() as number[];
  assert.deepEqual([...order].sort(), [0, 1, 2, 3]);
  assert.throws(() => F.multinomial(weights, 4), /without replacement/);
});

Deno.test("nonzero_static() and tril_indices() agree with what has a shape that depends on data", () => {
  const x = tensor([[0, 2, 0], [3, 0, 4]]);
  assert.deepEqual(F.nonzeroStatic(x, { size: 3 }).toArray(), x.nonzero().toArray());
  for (const [row, col, offset] of [[3, 4, 0], [4, 2, -1], [5, 5, 2], [2, 6, 3], [6, 3, -3]] as const) {
    const ones = F.ones([row, col]);
    assert.deepEqual(
      F.trilIndices(row, col, offset).t().toArray(),
      ones.tril(offset).nonzero().toArray(),
      `tril ${row} ${col} ${offset}`,
    );
    assert.deepEqual(
      F.triuIndices(row, col, offset).t().toArray(),
      ones.triu(offset).nonzero().toArray(),
      `triu ${row} ${col} ${offset}`,
    );
  }
});

Deno.test("ldl factors solve systems whose pivots are blocks of two", () => {
  const a = tensor([[0, 1, 2], [1, 0, 3], [2, 3, 0]]).to(float32);
  const [packed, pivots] = F.linalgLdlFactor(a);
  assert.ok((pivots.toArray() as number[]).some((p) => p < 0));
  const b = tensor([[1, 0], [0, 2], [3, 1]]).to(float32);
  const x = F.linalgLdlSolve(packed, pivots, b);
  assert.ok(a.matmul(x).sub(b).abs().amax().item() < 1e-5);
});
