/** What single elements become: every primitive on every dtype, casts, random bits, and expressions of many primitives, on every tier. */
import {
  bfloat16,
  bool,
  type DType,
  float16,
  float32,
  float64,
  int16,
  int32,
  int64,
  int8,
  uint8,
} from "../../../src/core/mod.ts";
import { type BufferRef, loopVar, ops, type PrimitiveName, PRIMITIVES, type Value } from "../../../src/loops/mod.ts";
import { type Stage } from "../../../src/inductor/groups.ts";
import { add, constant, type Expr, mul, symbol } from "../../../src/symbolic/mod.ts";
import { flat, loops, zeros } from "./groups.ts";
import { buffer, type Case, check, checkAll, type Numbers, randomNumbers, randomSource } from "./harness.ts";
import { eachTier } from "./tiers.ts";

const floats = [float16, bfloat16, float32, float64];
const ints = [uint8, int8, int16, int32, int64];
const integerOps = new Set<PrimitiveName>([
  "neg",
  "abs",
  "add",
  "sub",
  "mul",
  "maximum",
  "minimum",
  "truncDiv",
  "floorDiv",
  "floorMod",
  "truncMod",
  "pow",
  "bitwiseNot",
  "bitwiseAnd",
  "bitwiseOr",
  "bitwiseXor",
  "shiftLeft",
  "shiftRight",
  "gcd",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "where",
]);
const boolOps = new Set<PrimitiveName>([
  "add",
  "mul",
  "maximum",
  "minimum",
  "bitwiseNot",
  "bitwiseAnd",
  "bitwiseOr",
  "bitwiseXor",
  "eq",
  "ne",
  "lt",
  "le",
  "gt",
  "ge",
  "where",
]);
const notFloat = new Set<PrimitiveName>([
  "gcd",
  "bitwiseNot",
  "bitwiseAnd",
  "bitwiseOr",
  "bitwiseXor",
  "shiftLeft",
  "shiftRight",
]);

function primitiveCase(op: PrimitiveName, dtype: DType, seed: number): Case {
  const next = randomSource(seed);
  const n = 53;
  const compute = dtype === float16 || dtype === bfloat16 ? float32 : dtype;
  const inputs = Array.from({ length: 3 }, (_, i) => buffer(`x${i}`, dtype, n));
  const v = loopVar(n);
  const numbers = inputs.map(() => randomNumbers(n, dtype, next));
  const special = dtype.isFloat ? [NaN, Infinity, -Infinity, -0, 0, 1, -1, 0.5, 2.5, 3.5, -2.5] : [0, 1, 2];
  if (op !== "erfinv") {
    numbers.forEach((list, i) => special.forEach((s, j) => list[(j * (i + 1)) % n] = dtype === bool ? s & 1 : s));
  }
  if (["acos", "asin", "atanh", "erfinv"].includes(op)) {
    numbers[0] = (numbers[0] ?? []).map((x) => Math.fround(Number(x) / 4 || 0));
  }
  const loads = inputs.map((b): Value => ops.cast(ops.load(b, symbol(v)), compute));
  const [x, y, z] = loads as [Value, Value, Value];
  const arity = PRIMITIVES[op].arity;
  const value = op === "where" ? ops.where(ops.cast(x, bool), y, z) : ops.apply(op, loads.slice(0, arity));
  const out = buffer("out", PRIMITIVES[op].result === "bool" ? bool : dtype, n);
  const data = new Map<BufferRef, Numbers>(inputs.map((b, i) => [b, numbers[i] ?? []]));
  data.set(out, zeros(n));
  const stage: Stage = {
    kind: "pointwise",
    space: "outer",
    out,
    index: symbol(v),
    value: ops.cast(value, out.dtype),
  };
  const loose: Partial<Record<PrimitiveName, number>> = { lgamma: 2e-5, digamma: 2e-5, erfinv: 1e-5, pow: 4e-6 };
  return {
    groups: [loops([v], [], [stage], [out])],
    data,
    outputs: [out],
    tolerance: {
      relative: dtype === float64 ? 1e-12 : loose[op] ?? 4e-6,
      absolute: dtype === float64 ? 1e-13 : dtype.bytes === 2 ? 1e-3 : 2e-6,
    },
  };
}

eachTier((test, tier) => {
  for (const dtype of [...floats, ...ints, bool]) {
    test(`every primitive on ${dtype.name}`, () => {
      const cases: [string, Case][] = [];
      for (const op of Object.keys(PRIMITIVES) as PrimitiveName[]) {
        if (op === "nextafter") continue;
        if (dtype.isFloat && notFloat.has(op)) continue;
        if (dtype === bool && !boolOps.has(op)) continue;
        if (!dtype.isFloat && dtype !== bool && !integerOps.has(op)) continue;
        cases.push([`${op} ${dtype.name}`, primitiveCase(op, dtype, 7)]);
      }
      checkAll(cases, tier);
    });
  }

  test("casts between all dtypes", () => {
    const all = [...floats, ...ints, bool];
    const cases: [string, Case][] = [];
    const n = 37;
    const next = randomSource(3);
    for (const from of all) {
      const x = buffer("x", from, n);
      const v = loopVar(n);
      const numbers = randomNumbers(n, from, next);
      if (from === int64) numbers[3] = -(2n ** 62n) + 12345n;
      if (from === int64) numbers[4] = 2n ** 53n + 1n;
      const outs = all.map((to) => buffer(`to_${to.name}`, to, n));
      const stages = outs.map((out): Stage => ({
        kind: "pointwise",
        space: "outer",
        out,
        index: symbol(v),
        value: ops.cast(ops.load(x, symbol(v)), out.dtype),
      }));
      // Negative floats to unsigned integers are undefined, in C as in PyTorch.
      const kept = stages.filter((s) => !(from.isFloat && s.out.dtype.kind === "uint"));
      const data = new Map<BufferRef, Numbers>([[x, numbers], ...outs.map((o): [BufferRef, Numbers] => [o, zeros(n)])]);
      cases.push([`from ${from.name}`, {
        groups: [loops([v], [], kept, outs)],
        data,
        outputs: kept.map((s) => s.out),
      }]);
    }
    checkAll(cases, tier);
  });

  test("random bits are Philox's", () => {
    const n = 45;
    const [state, out] = [buffer("state", int64, 2), buffer("out", float32, n)];
    const v = loopVar(n);
    const bits = ops.philox(ops.load(state, constant(0)), ops.load(state, constant(1)), ops.index(symbol(v)));
    const group = loops([v], [], [{
      kind: "pointwise",
      space: "outer",
      out,
      index: symbol(v),
      value: ops.uniformFromBits(bits),
    }], [out]);
    const data = new Map<BufferRef, Numbers>([[state, [2n ** 61n + 5n, 12345]], [out, zeros(n)]]);
    check({ groups: [group], data, outputs: [out] }, tier);
  });

  test("entries of tables are found by the low bits of their places; random expressions may have them", () => {
    const cases = [16, 32].map((entries): [string, Case] => {
      const n = 67, v = loopVar(n);
      const [at, x, out] = [buffer("at", int32, n), buffer("x", float32, n), buffer("out", float32, n)];
      const table = Array.from({ length: entries }, (_, k) => k === 3 ? -0 : (k - 9) / 7);
      const near = ops.lookup(table, ops.load(at, symbol(v))), bits = ops.bitcast(ops.load(x, symbol(v)), int32);
      const far = ops.lookup(table.toReversed(), ops.shiftRight(bits, 21));
      const value = ops.add(near, ops.mul(far, ops.lookup(table, ops.constant(entries + 1, int32))));
      const group = loops([v], [], [{ kind: "pointwise", space: "outer", out, index: symbol(v), value }], [out]);
      const places = Array.from({ length: n }, (_, k) => k * 37 - 900);
      const numbers = Array.from({ length: n }, (_, k) => Math.fround(1.3 ** (k - 40)));
      return [`${entries} entries`, {
        groups: [group],
        data: new Map<BufferRef, Numbers>([[at, places], [x, numbers], [out, zeros(n)]]),
        outputs: [out],
      }];
    });
    checkAll(cases, tier);
  });

  test("random expressions", () => {
    const unary: PrimitiveName[] = ["neg", "abs", "exp", "tanh", "sigmoid", "sin", "floor", "sqrt", "erf", "log1p"];
    const binary: PrimitiveName[] = ["add", "sub", "mul", "maximum", "minimum", "atan2"];
    const cases: [string, Case][] = [];
    for (let seed = 1; seed <= 25; seed++) {
      const next = randomSource(seed * 7919);
      const [h, w] = [1 + Math.floor(next() * 5), 1 + Math.floor(next() * 40)];
      const n = h * w;
      const [i, j] = [loopVar(h), loopVar(w)];
      const inputs = [
        buffer("full", float32, n),
        buffer("row", float32, w),
        buffer("column", float32, h),
        buffer("turned", float32, n),
      ];
      const at = flat([i, j]);
      const indices = [at, symbol(j), symbol(i), add(mul(symbol(j), h), symbol(i))];
      const values: Value[] = inputs.map((b, k) => ops.load(b, indices[k] as Expr));
      const pick = (): Value => values[Math.floor(next() * values.length)] as Value;
      for (let k = 0; k < 14; k++) {
        if (next() < 0.4) values.push(ops.apply(unary[Math.floor(next() * unary.length)] as PrimitiveName, [pick()]));
        else if (next() < 0.8) {
          values.push(ops.apply(binary[Math.floor(next() * binary.length)] as PrimitiveName, [pick(), pick()]));
        } else values.push(ops.where(ops.gt(pick(), pick()), pick(), pick()));
      }
      const out = buffer("out", float32, n);
      const bounded = ops.maximum(ops.minimum(values[values.length - 1] as Value, 1e6), -1e6);
      const data = new Map<BufferRef, Numbers>(
        inputs.map((b, k) => [
          b,
          randomNumbers(k === 1 ? w : k === 2 ? h : n, float32, next).map((x) => Math.round(Number(x) * 64) / 64),
        ]),
      );
      data.set(out, zeros(n));
      const group = loops([i, j], [], [{ kind: "pointwise", space: "outer", out, index: at, value: bounded }], [out]);
      const tolerance = { relative: 1e-4, absolute: 1e-4 };
      cases.push([`seed ${seed}`, { groups: [group], data, outputs: [out], tolerance }]);
    }
    checkAll(cases, tier);
  });
});
