import assert from "node:assert/strict";
import { float32, int64, VerifyError } from "../../../src/core/mod.ts";
import type { LoopGroup } from "../../../src/inductor/groups.ts";
import { isInjective, mergeAxes, motion } from "../../../src/inductor/tile/axes.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import { kernelKey, tileToText } from "../../../src/inductor/tile/print.ts";
import { cppTarget, JS_TARGET } from "../../../src/inductor/tile/target.ts";
import type { Kernel, TileKernel } from "../../../src/inductor/tile/tile_ir.ts";
import { verifyKernel } from "../../../src/inductor/tile/verify.ts";
import { loopVar, ops } from "../../../src/loops/mod.ts";
import { add, constant, mod, mul, symbol } from "../../../src/symbolic/mod.ts";
import { base, buffer } from "../codegen/harness.ts";

function softmax(rows: number, columns: number): LoopGroup {
  const n = rows * columns;
  const [x, out] = [buffer("x", float32, n), buffer("out", float32, n)];
  const [m, s] = [buffer("m", float32, rows), buffer("s", float32, rows)];
  const [i, r] = [loopVar(rows), loopVar(columns)];
  const at = add(mul(symbol(i), columns), symbol(r));
  const e = ops.exp(ops.sub(ops.load(x, at), ops.load(m, symbol(i))));
  return {
    kind: "loops",
    axes: [i],
    reduceAxes: [r],
    stages: [
      { kind: "reduction", out: m, index: symbol(i), op: "max", value: ops.load(x, at) },
      { kind: "reduction", out: s, index: symbol(i), op: "sum", value: e },
      { kind: "pointwise", space: "inner", out, index: at, value: ops.div(e, ops.load(s, symbol(i))) },
    ],
    ...base([out]),
  };
}

function only(kernels: readonly Kernel[]): TileKernel {
  const [kernel] = kernels;
  assert(kernel !== undefined && kernel.kind === "tile" && kernels.length === 1);
  return kernel;
}

Deno.test("softmax is three passes over a row, and its text says so", () => {
  const text = tileToText(only(lowerGroup(softmax(4, 10), JS_TARGET)));
  assert.equal(
    text,
    `kernel reads(p0: f32) writes(p1: f32)
grid i0 < 4
  v0: f32 = max accumulator
  for i1 < 10
    v1: f32 = load p0[i0*10 + i1]
    v0 max= v1
  v2: f32 = finish v0
  v3: f32 = sum accumulator
  for i1 < 10
    v4: f32 = load p0[i0*10 + i1]
    v5: f32 = sub(v4, v2)
    v6: f32 = exp(v5)
    v3 sum= v6
  v7: f32 = finish v3
  for i1 < 10
    v8: f32 = load p0[i0*10 + i1]
    v9: f32 = sub(v8, v2)
    v10: f32 = exp(v9)
    v11: f32 = div(v10, v7)
    store p1[i0*10 + i1] = v11`,
  );
});

Deno.test("the key of a kernel knows its structure, not its buffers", () => {
  const key = (group: LoopGroup): string => kernelKey(only(lowerGroup(group, JS_TARGET)));
  assert.equal(key(softmax(4, 10)), key(softmax(4, 10)));
  assert.notEqual(key(softmax(4, 10)), key(softmax(4, 11)));
  const group = softmax(4, 64);
  assert.notEqual(
    key(group),
    kernelKey(only(lowerGroup(group, cppTarget(16, 2)))),
  );
});

Deno.test("a vector runs along rows of a reduction over columns, and along columns of one over rows", () => {
  const target = cppTarget(16, 2);
  const blocks = (rows: number, columns: number, along: "rows" | "columns"): Map<string, number> => {
    const [x, out] = [buffer("x", float32, rows * columns), buffer("out", float32, rows)];
    const [i, j] = [loopVar(rows), loopVar(columns)];
    const value = ops.load(x, add(mul(symbol(i), columns), symbol(j)));
    const [outer, inner] = along === "rows" ? [i, j] : [j, i];
    const kernel = only(lowerGroup({
      kind: "loops",
      axes: [outer],
      reduceAxes: [inner],
      stages: [{ kind: "reduction", out, index: symbol(outer), op: "sum", value }],
      ...base([out]),
    }, target));
    return new Map(kernel.axes.map((axis) => [axis.role, axis.block]));
  };
  assert.deepEqual([...blocks(100, 256, "rows")], [["grid", 1], ["loop", 64]]);
  assert.deepEqual([...blocks(100, 256, "columns")], [["grid", 64], ["loop", 1]]);
});

Deno.test("a large reduction to one number is shared by workers, a small one is not", () => {
  const split = (n: number): boolean => {
    const [x, out] = [buffer("x", float32, n), buffer("out", float32, 1)];
    const r = loopVar(n);
    const kernel = only(lowerGroup({
      kind: "loops",
      axes: [],
      reduceAxes: [r],
      stages: [{ kind: "reduction", out, index: constant(0), op: "sum", value: ops.load(x, symbol(r)) }],
      ...base([out]),
    }, cppTarget(16, 2)));
    return kernel.body.some((s) => s.kind === "for" && s.split);
  };
  assert.equal(split(1_000_000), true);
  assert.equal(split(1000), false);
});

Deno.test("mergeAxes() joins neighbours only where every index agrees", () => {
  const [i, j] = [loopVar(3), loopVar(5)];
  const flat = add(mul(symbol(i), 5), symbol(j));
  assert.equal(mergeAxes([[i, j]], [flat]).lists[0]?.length, 1);
  assert.equal(mergeAxes([[i, j]], [flat, symbol(j)]).lists[0]?.length, 2);
  assert.equal(mergeAxes([[i, j]], [flat, mod(flat, 2)]).lists[0]?.length, 2);
});

Deno.test("motion() tells still, contiguous, strided and irregular apart", () => {
  const [i, j] = [loopVar(8), loopVar(8)];
  assert.equal(motion(symbol(j), i), "still");
  assert.equal(motion(add(mul(symbol(j), 8), symbol(i)), i), "contiguous");
  assert.equal(motion(mul(symbol(i), 3), i), "strided");
  assert.equal(motion(mod(symbol(i), 3), i), "irregular");
  const index = buffer("index", float32, 8);
  const gathered = ops.indirect(ops.load({ ...index, dtype: float32 }, symbol(i)), constant(4));
  assert.equal(motion(gathered, i), "irregular");
});

Deno.test("isInjective() sees that rows of a scatter never meet along their columns", () => {
  const [i, j] = [loopVar(6), loopVar(24)];
  const index = buffer("index", float32, 6);
  const row = ops.indirect(ops.load(index, symbol(i)), constant(10));
  const target = add(mul(row, 24), symbol(j));
  assert.equal(isInjective(target, j), true);
  assert.equal(isInjective(target, i), false);
});

Deno.test("verifyKernel() names what is wrong", () => {
  const kernel = only(lowerGroup(softmax(4, 10), JS_TARGET));
  verifyKernel(kernel);
  const [, loop] = kernel.body;
  assert(loop?.kind === "for");
  const broken = (body: TileKernel["body"]): () => void => () => verifyKernel({ ...kernel, body });
  assert.throws(broken(loop.body), VerifyError);
  assert.throws(broken([...kernel.body.slice(1)]), /used before it is defined/);
  assert.throws(() => verifyKernel({ ...kernel, writes: [] }), /no parameter/);
  assert.throws(() => verifyKernel({ ...kernel, parallelAxes: 2 }), /parallel axes/);
});

Deno.test("positions beyond 32 bits are not computed in lanes", () => {
  const block = (n: number): number => {
    const out = buffer("out", int64, n);
    const i = loopVar(n);
    const kernel = only(lowerGroup({
      kind: "loops",
      axes: [i],
      reduceAxes: [],
      stages: [{ kind: "pointwise", space: "outer", out, index: symbol(i), value: ops.index(symbol(i)) }],
      ...base([out]),
    }, cppTarget(16, 2)));
    return kernel.axes[0]?.block ?? 0;
  };
  assert.equal(block(1000), 16);
  assert.equal(block(2 ** 32), 1);
});

Deno.test("a transpose runs the axis along which it reads inside of the vector", () => {
  const [h, w] = [64, 48];
  const [x, out] = [buffer("x", float32, h * w), buffer("out", float32, h * w)];
  const [i, j] = [loopVar(h), loopVar(w)];
  const kernel = only(lowerGroup({
    kind: "loops",
    axes: [i, j],
    reduceAxes: [],
    stages: [{
      kind: "pointwise",
      space: "outer",
      out,
      index: add(mul(symbol(i), w), symbol(j)),
      value: ops.load(x, add(mul(symbol(j), h), symbol(i))),
    }],
    ...base([out]),
  }, cppTarget(16, 2)));
  assert.deepEqual(kernel.axes.map((axis) => [axis.symbol, axis.block]), [[j, 32], [i, 1]]);
});
