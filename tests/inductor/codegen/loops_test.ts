/** What loops do: reductions, scans, gathers and scatters over several axes, on every tier. */
import { bool, float16, float32, float64, int32, int64 } from "../../../src/core/mod.ts";
import { type BufferRef, loopVar, ops } from "../../../src/loops/mod.ts";
import { add, constant, type Expr, mul, sizeSymbol, sub, type Sym, symbol } from "../../../src/symbolic/mod.ts";
import type { ScanGroup } from "../../../src/inductor/groups.ts";
import { flat, loops, zeros } from "./groups.ts";
import { base, buffer, type Case, check, checkAll, type Numbers, randomNumbers, randomSource } from "./harness.ts";
import { eachTier } from "./tiers.ts";

eachTier((test, tier) => {
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

  test("a transpose of whole squares, of squares and a rest, and of less than a square", () => {
    const cases: [string, Case][] = [];
    for (const [h, w] of [[64, 64], [80, 145], [17, 33], [64, 9], [130, 16], [67, 100]] as const) {
      const next = randomSource(h * w);
      const [x, y, out] = [buffer("x", float32, h * w), buffer("y", float32, h * w), buffer("out", float32, h * w)];
      const [i, j] = [loopVar(h), loopVar(w)];
      const at = flat([i, j]);
      const turned = add(mul(symbol(j), h), symbol(i));
      const value = ops.add(ops.load(x, turned), ops.mul(ops.load(y, at), 2));
      const data = new Map([
        [x, randomNumbers(h * w, float32, next)],
        [y, randomNumbers(h * w, float32, next)],
        [out, zeros(h * w)],
      ]);
      const group = loops([i, j], [], [{ kind: "pointwise", space: "outer", out, index: at, value }], [out]);
      cases.push([`${h}x${w}`, { groups: [group], data, outputs: [out] }]);
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

  test("scans along rows and columns, of odd lengths and every operation", () => {
    for (const op of ["sum", "prod", "max", "min", "logaddexp"] as const) {
      const cases: [string, Case][] = [];
      for (const [h, w] of [[2, 5], [3, 33], [5, 37], [2, 64], [40, 3], [133, 7], [5, 700]] as const) {
        for (const along of ["rows", "columns"] as const) {
          const next = randomSource(h * w);
          const numbers = randomNumbers(h * w, float32, next).map((v) => op === "prod" ? 1 + Number(v) / 50 : v);
          // Sums of exponentials whose terms are far apart, and infinite ones.
          if (op === "logaddexp" && h === 5) [numbers[40], numbers[90], numbers[720]] = [150, -200, -Infinity];
          if (op === "logaddexp" && h === 3) numbers.fill(-Infinity, 32, 60);
          if ((op === "max" || op === "min") && h === 3) numbers[50] = NaN;
          const [i, j] = [loopVar(h), loopVar(w)];
          const at = flat([i, j]);
          const [x, out] = [buffer("x", float32, h * w), buffer("out", float32, h * w)];
          const value = ops.load(x, at);
          const scanAxis = along === "rows" ? j : i;
          const group: ScanGroup = { ...base([out]), kind: "scan", axes: [i, j], scanAxis, op, value, out, index: at };
          cases.push([`${op} ${h}x${w} ${along}`, {
            groups: [group],
            data: new Map([[x, numbers], [out, zeros(h * w)]]),
            outputs: [out],
            tolerance: { relative: 1e-5, absolute: 1e-5 },
          }]);
        }
      }
      checkAll(cases, tier);
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
    const row = ops.indirect(ops.load(index, symbol(i)), constant(rows), { fromEnd: true });
    const at = flat([i, j]);
    const rowsGroup = loops([i, j], [], [
      { kind: "pointwise", space: "outer", out, index: at, value: ops.load(table, add(mul(row, columns), symbol(j))) },
    ], [out]);
    const p = loopVar(picks);
    const own = ops.indirect(ops.load(index, symbol(p)), constant(rows), { fromEnd: true });
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
    const row = ops.indirect(ops.load(index, symbol(i)), constant(rows), { fromEnd: true });
    const p = loopVar(picks);
    const own = ops.indirect(ops.load(index, symbol(p)), constant(rows), { fromEnd: true });
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
});
