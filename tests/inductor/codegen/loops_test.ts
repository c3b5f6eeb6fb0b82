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
import {
  type BufferRef,
  extentOf,
  loopVar,
  ops,
  type PrimitiveName,
  PRIMITIVES,
  type Value,
} from "../../../src/loops/mod.ts";
import type { LoopGroup, Stage } from "../../../src/inductor/groups.ts";
import { add, constant, type Expr, mul, sizeSymbol, sub, type Sym, symbol } from "../../../src/symbolic/mod.ts";
import { base, buffer, type Case, check, checkAll, type Numbers, randomNumbers, randomSource } from "./harness.ts";
import { TIERS } from "./tiers.ts";

function loops(axes: Sym[], reduceAxes: Sym[], stages: Stage[], stored: BufferRef[]): LoopGroup {
  return { kind: "loops", axes, reduceAxes, stages, ...base(stored) };
}

function flat(vars: readonly Sym[]): Expr {
  let e: Expr = constant(0);
  for (const v of vars) e = add(mul(e, extentOf(v)), symbol(v));
  return e;
}

function zeros(n: number): Numbers {
  return new Array(n).fill(0);
}

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
  const value = op === "where" ? ops.where(ops.cast(x, bool), y, z) : ops.apply(op, arity === 1 ? [x] : [x, y]);
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

for (const tier of TIERS) {
  const test = (name: string, fn: () => void): void => {
    if (tier.only === null || tier.only.test(name)) {
      Deno.test({ name: `${tier.name}: ${name}`, ignore: tier.ignore, fn });
    }
  };

  test("a pointwise chain over two axes is right for odd sizes", () => {
    for (const [h, w] of [[1, 1], [3, 5], [7, 16], [5, 33], [2, 100]] as const) {
      const next = randomSource(h * 100 + w);
      const [a, b, out] = [buffer("a", float32, h * w), buffer("b", float32, w), buffer("out", float32, h * w)];
      const [i, j] = [loopVar(h), loopVar(w)];
      const at = flat([i, j]);
      const value = ops.mul(ops.sin(ops.load(a, at)), ops.add(ops.load(b, symbol(j)), 2));
      const data = new Map([
        [a, randomNumbers(h * w, float32, next)],
        [b, randomNumbers(w, float32, next)],
        [out, zeros(h * w)],
      ]);
      const group = loops([i, j], [], [{ kind: "pointwise", space: "outer", out, index: at, value }], [out]);
      check({ groups: [group], data, outputs: [out] }, tier, `${h}x${w}`);
    }
  });

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

  test("softmax: three passes in one kernel", () => {
    for (const [rows, columns] of [[4, 10], [3, 37], [2, 200], [1, 16]] as const) {
      const next = randomSource(rows + columns);
      const n = rows * columns;
      const [x, out, m, s] = [
        buffer("x", float32, n),
        buffer("out", float32, n),
        buffer("m", float32, rows),
        buffer("s", float32, rows),
      ];
      const [i, r] = [loopVar(rows), loopVar(columns)];
      const at = flat([i, r]);
      const e = ops.exp(ops.sub(ops.load(x, at), ops.load(m, symbol(i))));
      const group = loops([i], [r], [
        { kind: "reduction", out: m, index: symbol(i), op: "max", value: ops.load(x, at) },
        { kind: "reduction", out: s, index: symbol(i), op: "sum", value: e },
        { kind: "pointwise", space: "inner", out, index: at, value: ops.div(e, ops.load(s, symbol(i))) },
      ], [out]);
      check(
        { groups: [group], data: new Map([[x, randomNumbers(n, float32, next)], [out, zeros(n)]]), outputs: [out] },
        tier,
      );
    }
  });

  test("reductions along rows, columns and everything, of odd sizes and every operation", () => {
    for (const op of ["sum", "prod", "max", "min", "argmax", "argmin"] as const) {
      const cases: [string, Case][] = [];
      for (const dtype of [float32, float64, int64, int32, float16]) {
        // Odd sizes for the common type; the others need one shape with whole vectors and a rest.
        const shapes = dtype === float32 ? [[3, 5], [17, 40], [2, 131], [64, 3]] as const : [[5, 37]] as const;
        for (const [h, w] of shapes) {
          const next = randomSource(h + w);
          const numbers = randomNumbers(h * w, dtype, next).map((v) =>
            op === "prod" ? (dtype.isFloat ? 1 + Number(v) / 50 : 1 + Math.abs(Number(v)) % 2) : v
          );
          const isArg = op === "argmax" || op === "argmin";
          if (isArg) numbers[1] = numbers[3] ?? 0;
          if (dtype === float32 && h === 17) numbers[77] = NaN;
          for (const along of ["rows", "columns", "all"] as const) {
            const [i, j] = [loopVar(h), loopVar(w)];
            const at = flat([i, j]);
            const x = buffer("x", dtype, h * w);
            const [outer, inner] = along === "rows" ? [[i], [j]] : along === "columns" ? [[j], [i]] : [[], [i, j]];
            const count = along === "rows" ? h : along === "columns" ? w : 1;
            const out = buffer("out", isArg ? int64 : dtype, count);
            const compute = dtype === float16 ? float32 : dtype;
            const value = ops.cast(ops.load(x, at), compute);
            const group = loops(outer, inner, [{ kind: "reduction", out, index: flat(outer), op, value }], [out]);
            cases.push([`${op} ${dtype.name} ${h}x${w} ${along}`, {
              groups: [group],
              data: new Map([[x, numbers], [out, zeros(count)]]),
              outputs: [out],
              tolerance: {
                relative: dtype === float32 ? 1e-5 : 1e-13,
                absolute: dtype === float32 ? 2e-4 : dtype === float16 ? 0.05 : 1e-11,
              },
            }]);
          }
        }
      }
      checkAll(cases, tier);
    }
  });

  test("any over bool, and a sum of a comparison in int64", () => {
    const [h, w] = [5, 21];
    const x = buffer("x", bool, h * w);
    const y = buffer("y", float32, h * w);
    const [any, count] = [buffer("any", bool, h), buffer("count", int64, h)];
    const [i, r] = [loopVar(h), loopVar(w)];
    const at = flat([i, r]);
    const group = loops([i], [r], [
      { kind: "reduction", out: any, index: symbol(i), op: "any", value: ops.load(x, at) },
      {
        kind: "reduction",
        out: count,
        index: symbol(i),
        op: "sum",
        value: ops.cast(ops.gt(ops.load(y, at), 0), int64),
      },
    ], [any, count]);
    const bits = zeros(h * w);
    bits[30] = 1;
    const data = new Map([[x, bits], [y, randomNumbers(h * w, float32, randomSource(1))], [any, zeros(h)], [
      count,
      zeros(h),
    ]]);
    check({ groups: [group], data, outputs: [any, count] }, tier);
  });

  test("a large sum with one result, and what follows from it", () => {
    const n = 100_003;
    const [x, out] = [buffer("x", float32, n), buffer("out", float32, 1)];
    const s = buffer("s", float32, 1);
    const r = loopVar(n);
    const group = loops([], [r], [
      { kind: "reduction", out: s, index: constant(0), op: "sum", value: ops.load(x, symbol(r)) },
      { kind: "pointwise", space: "outer", out, index: constant(0), value: ops.div(ops.load(s, constant(0)), n) },
    ], [out]);
    const data = new Map([[x, randomNumbers(n, float32, randomSource(9))], [out, zeros(1)]]);
    check({ groups: [group], data, outputs: [out], tolerance: { relative: 1e-4, absolute: 1e-6 } }, tier);
  });

  test("masked loads do not touch memory outside", () => {
    const [n, pad] = [19, 4];
    const total = n + 2 * pad;
    const [x, out] = [buffer("x", float32, n), buffer("out", float32, 3 * total)];
    const [i, j] = [loopVar(3), loopVar(total)];
    const from = sub(symbol(j), pad);
    const inside = ops.apply("bitwiseAnd", [ops.ge(ops.index(from), 0), ops.lt(ops.index(from), n)]);
    const value = ops.add(ops.masked(inside, ops.exp(ops.load(x, from)), 0.5), ops.cast(ops.index(symbol(i)), float32));
    const at = flat([i, j]);
    const group = loops([i, j], [], [{ kind: "pointwise", space: "outer", out, index: at, value }], [out]);
    const data = new Map([[x, randomNumbers(n, float32, randomSource(2))], [out, zeros(3 * total)]]);
    check({ groups: [group], data, outputs: [out] }, tier);
  });

  test("gathers with negative indices, along rows and along elements", () => {
    const [rows, columns, picks] = [6, 20, 9];
    const [table, index, out, out2] = [
      buffer("table", float32, rows * columns),
      buffer("index", int64, picks),
      buffer("out", float32, picks * columns),
      buffer("out2", float32, picks),
    ];
    const [i, j] = [loopVar(picks), loopVar(columns)];
    const row = ops.indirect(ops.load(index, symbol(i)), constant(rows));
    const at = flat([i, j]);
    const rowsGroup = loops([i, j], [], [
      { kind: "pointwise", space: "outer", out, index: at, value: ops.load(table, add(mul(row, columns), symbol(j))) },
    ], [out]);
    const p = loopVar(picks);
    const own = ops.indirect(ops.load(index, symbol(p)), constant(rows));
    const elements = loops([p], [], [
      {
        kind: "pointwise",
        space: "outer",
        out: out2,
        index: symbol(p),
        value: ops.load(table, add(mul(own, columns), symbol(p))),
      },
    ], [out2]);
    const data = new Map<BufferRef, Numbers>([
      [table, randomNumbers(rows * columns, float32, randomSource(4))],
      [index, [0, 5, -1, 2, -6, 3, 3, 1, 4]],
      [out, zeros(picks * columns)],
      [out2, zeros(picks)],
    ]);
    check({ groups: [rowsGroup, elements], data, outputs: [out, out2] }, tier);
  });

  test("scatters: sums into rows that repeat, and the last of several writes", () => {
    const [rows, columns, picks] = [4, 24, 11];
    const [sum, set, index, x] = [
      buffer("sum", float32, rows * columns),
      buffer("set", float32, rows),
      buffer("index", int64, picks),
      buffer("x", float32, picks * columns),
    ];
    const [i, j] = [loopVar(picks), loopVar(columns)];
    const row = ops.indirect(ops.load(index, symbol(i)), constant(rows));
    const p = loopVar(picks);
    const own = ops.indirect(ops.load(index, symbol(p)), constant(rows));
    const groups = [
      loops([i, j], [], [{
        kind: "scatter",
        space: "outer",
        out: sum,
        index: add(mul(row, columns), symbol(j)),
        op: "sum",
        value: ops.load(x, flat([i, j])),
      }], [sum]),
      loops([p], [], [{
        kind: "scatter",
        space: "outer",
        out: set,
        index: own,
        op: "set",
        value: ops.load(x, mul(symbol(p), columns)),
      }], [set]),
    ];
    const data = new Map<BufferRef, Numbers>([
      [sum, randomNumbers(rows * columns, float32, randomSource(5))],
      [set, zeros(rows)],
      [index, [0, 1, -1, 2, 2, 3, 0, 0, 1, -2, 2]],
      [x, randomNumbers(picks * columns, float32, randomSource(6))],
    ]);
    check({ groups, data, outputs: [sum, set], tolerance: { relative: 1e-5, absolute: 1e-6 } }, tier);
  });

  test("scans along rows and along columns", () => {
    const [h, w] = [5, 37];
    const cases: [string, Case][] = [];
    for (const along of ["rows", "columns"] as const) {
      for (const op of ["sum", "prod", "max", "min", "logaddexp"] as const) {
        const [x, out] = [buffer("x", float32, h * w), buffer("out", float32, h * w)];
        const [i, j] = [loopVar(h), loopVar(w)];
        const at = flat([i, j]);
        const group = {
          kind: "scan" as const,
          axes: [i, j],
          scanAxis: along === "rows" ? j : i,
          op,
          value: ops.load(x, at),
          out,
          index: at,
          ...base([out]),
        };
        const data = new Map([[x, randomNumbers(h * w, float32, randomSource(8))], [out, zeros(h * w)]]);
        const tolerance = { relative: 2e-5, absolute: 1e-5 };
        cases.push([`${op} ${along}`, { groups: [group], data, outputs: [out], tolerance }]);
      }
    }
    checkAll(cases, tier);
  });

  test("one kernel serves all sizes", () => {
    const s = sizeSymbol("s0");
    const t = sizeSymbol("s1");
    const sym = (e: Expr): Sym => e.kind === "symbol" ? e.symbol : (undefined as never);
    const numel = mul(s, t);
    const [x, out, rowSum] = [buffer("x", float32, numel), buffer("out", float32, numel), buffer("row", float32, s)];
    const [i, r] = [loopVar(s), loopVar(t)];
    const at = flat([i, r]);
    const group = loops([i], [r], [
      { kind: "reduction", out: rowSum, index: symbol(i), op: "sum", value: ops.load(x, at) },
      {
        kind: "pointwise",
        space: "inner",
        out,
        index: at,
        value: ops.sub(ops.load(x, at), ops.load(rowSum, symbol(i))),
      },
    ], [out, rowSum]);
    for (const [a, b] of [[2, 3], [5, 64], [3, 129]] as const) {
      const data = new Map([[x, randomNumbers(a * b, float32, randomSource(a))], [out, zeros(a * b)], [
        rowSum,
        zeros(a),
      ]]);
      check({
        groups: [group],
        data,
        sizes: new Map([[sym(s), a], [sym(t), b]]),
        outputs: [out, rowSum],
        tolerance: { relative: 1e-5, absolute: 1e-5 },
      }, tier);
    }
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
}
