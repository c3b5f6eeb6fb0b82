/** Largest numbers and sums of exponentials of one walk: what they give at extremes, and that memory is read once. */
import assert from "node:assert/strict";
import { compile } from "../../mod.ts";
import { float32 } from "../../src/core/mod.ts";
import { emitCppTile } from "../../src/inductor/codegen/cpp/emit_tile.ts";
import type { LoopGroup } from "../../src/inductor/groups.ts";
import { lowerGroup } from "../../src/inductor/tile/lower_group.ts";
import { cppTarget } from "../../src/inductor/tile/target.ts";
import { loopVar, ops } from "../../src/loops/mod.ts";
import { add, mul, symbol } from "../../src/symbolic/mod.ts";
import { F, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { nativeTest } from "../runtime/support.ts";
import { base, buffer } from "./codegen/harness.ts";

/** The largest number and the sum of exponentials of rows, or of columns, of a matrix. */
function sums(rows: number, columns: number, along: "rows" | "columns", scale = 1): LoopGroup {
  const [x, most, sum] = [
    buffer("x", float32, rows * columns),
    buffer("most", float32, along === "rows" ? rows : columns),
    buffer("sum", float32, along === "rows" ? rows : columns),
  ];
  const [i, r] = along === "rows" ? [loopVar(rows), loopVar(columns)] : [loopVar(columns), loopVar(rows)];
  const at = along === "rows" ? add(mul(symbol(i), columns), symbol(r)) : add(mul(symbol(r), columns), symbol(i));
  const load = ops.load(x, at), far = ops.mul(load, ops.constant(scale, float32));
  return {
    kind: "loops",
    axes: [i],
    reduceAxes: [r],
    stages: [
      { kind: "reduction", out: most, index: symbol(i), op: "max", value: load },
      {
        kind: "reduction",
        out: sum,
        index: symbol(i),
        op: "sum",
        value: ops.exp(ops.sub(scale === 1 ? load : far, ops.load(most, symbol(i)))),
      },
    ],
    ...base([most, sum]),
  };
}

function textOf(group: LoopGroup): string {
  const [kernel] = lowerGroup(group, cppTarget(16, 2));
  assert(kernel?.kind === "tile");
  return emitCppTile(kernel, 16).text;
}

Deno.test("a softmax's two reductions read memory once, along columns and along rows", () => {
  const columns = textOf(sums(1024, 512, "columns"));
  assert.match(columns, /tsr_soft_columns<0>\(1024, /);
  assert.equal(columns.match(/tsr_load\(p0/g)?.length, 1);
  const rows = textOf(sums(64, 4096, "rows"));
  assert.match(rows, /tsr_soft_row<0>\(4096, /);
  assert.equal(rows.match(/tsr_load\(p0/g)?.length, 1);
  // The exponents are of other numbers than the largest one.
  assert.doesNotMatch(textOf(sums(1024, 512, "columns", 2)), /tsr_soft/);
  assert.doesNotMatch(textOf(sums(64, 4096, "rows", 2)), /tsr_soft/);
});

Deno.test("panels become narrow where workers would have nothing to do", () => {
  assert.match(textOf(sums(64, 16384, "columns")), /tsr_min\(512, 16384 - /);
  assert.match(textOf(sums(64, 512, "columns")), /tsr_min\(128, 512 - /);
});

/** Rows of numbers that a running maximum may stumble over; the rest is in order. */
function extremes(rows: number, columns: number): number[][] {
  const x = Array.from(
    { length: rows },
    (_, r) => Array.from({ length: columns }, (_, c) => Math.fround(12 * Math.sin(7 * r + 3 * c))),
  );
  const set = (c: number, value: (r: number) => number | null): void =>
    x.forEach((row, r) => row[c] = value(r) ?? row[c] ?? 0);
  set(0, (r) => -3 * r);
  set(1, (r) => 3 * r);
  set(2, () => -Infinity);
  set(3, (r) => r === rows - 1 ? NaN : null);
  set(4, (r) => r === 0 ? NaN : null);
  set(5, (r) => r === 9 ? Infinity : null);
  set(6, (r) => r === 9 ? Infinity : r === 11 ? NaN : null);
  set(7, (r) => r % 2 === 1 ? -Infinity : null);
  set(8, (r) => r % 2 === 1 ? 3e38 : -3e38);
  set(9, () => Math.fround(-3.4028234663852886e38));
  set(10, (r) => r === 0 ? 1e6 : null);
  set(11, (r) => r === rows - 1 ? 90 : -90);
  return x;
}

/** The largest number and the logarithm of the sum of exponentials of distances to it. */
function exactly(x: readonly number[]): readonly [number, number] {
  if (x.some(Number.isNaN)) return [NaN, NaN];
  const most = Math.max(...x);
  return [most, Math.abs(most) === Infinity ? 0 : Math.log(x.reduce((sum, v) => sum + Math.exp(v - most), 0))];
}

nativeTest("sums of exponentials of one walk are right for numbers that grow, are infinite or none", () => {
  const numbers = extremes(530, 32);
  const turned = numbers[0]?.map((_, c) => numbers.map((row) => row[c] ?? 0)) ?? [];
  const log = compile(
    (x: Tensor, y: Tensor) => [F.logsumexp(x, [0]), F.logsumexp(y, [1]), F.softmax(x, 0), F.logSoftmax(x, 0)],
    {
      mode: "aot",
      fullgraph: true,
    },
  );
  const wide = turned.map((row) => [...row, ...row.slice(0, 14)]);
  const [columns, rows, soft, logs] = (log(tensor(numbers), tensor(wide)) as Tensor[]).map((t) =>
    Array.from(t.dataSync() as Float32Array)
  );
  const close = (got: number | undefined, want: number, where: string): void => {
    const w = Math.fround(want),
      isClose = Object.is(got, w) || got === w ||
        Math.abs((got ?? NaN) - want) <= 3e-7 * Math.abs(want) + 1e-6 || (Number.isNaN(w) && Number.isNaN(got));
    assert(isClose, `${where}: ${got} instead of ${want}`);
  };
  turned.forEach((column, c) => {
    const [most, log] = exactly(column), [first, second] = exactly(wide[c] ?? []);
    close(columns?.[c], most + log, `logsumexp of column ${c}`);
    close(rows?.[c], first + second, `logsumexp of row ${c}`);
    column.forEach((v, r) => {
      const d = Math.abs(most) === Infinity ? NaN : v - most - log;
      close(soft?.[r * 32 + c], Math.exp(d), `softmax of column ${c} at ${r}`);
      if (Math.abs(d) < 100 || !Number.isFinite(d)) close(logs?.[r * 32 + c], d, `log_softmax of column ${c} at ${r}`);
    });
  });
});
