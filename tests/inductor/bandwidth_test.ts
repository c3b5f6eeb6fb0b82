/** What makes kernels keep up with memory, and that results are what the plain forms give. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { bool, type DType, float32, float64, int16, int32, int64 } from "../../src/core/mod.ts";
import { emitCppTile } from "../../src/inductor/codegen/cpp/emit_tile.ts";
import type { LoopGroup, ScanGroup } from "../../src/inductor/groups.ts";
import { lowerGroup } from "../../src/inductor/tile/lower_group.ts";
import { cppTarget } from "../../src/inductor/tile/target.ts";
import { loopVar, ops, type Value } from "../../src/loops/mod.ts";
import { blocksOf } from "../../src/ops/reduction_blocks.ts";
import { add, mul, symbol } from "../../src/symbolic/mod.ts";
import { F, full, manualSeed, randn, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { base, buffer } from "./codegen/harness.ts";
import { nativeTest } from "../runtime/support.ts";

function numbers(t: Tensor): number[] {
  return Array.from(t.dataSync() as ArrayLike<number | bigint>, Number);
}

/** A function as C++, run once. */
function run(fn: (x: Tensor) => Tensor, x: Tensor): number[] {
  return numbers(compile(fn, { mode: "aot", fullgraph: true })(x));
}

/** Softmax of rows whose maximum is known, over two walks. */
function twoWalks(rows: number, columns: number): LoopGroup {
  const n = rows * columns;
  const [x, out, s] = [buffer("x", float32, n), buffer("out", float32, n), buffer("s", float32, rows)];
  const [i, r] = [loopVar(rows), loopVar(columns)];
  const at = add(mul(symbol(i), columns), symbol(r));
  const e = ops.exp(ops.load(x, at));
  return {
    kind: "loops",
    axes: [i],
    reduceAxes: [r],
    stages: [
      { kind: "reduction", out: s, index: symbol(i), op: "sum", value: e },
      { kind: "pointwise", space: "inner", out, index: at, value: ops.div(e, ops.load(s, symbol(i))) },
    ],
    ...base([out]),
  };
}

function textOf(group: LoopGroup | ScanGroup): string {
  const [kernel] = lowerGroup(group, cppTarget(16, 2));
  assert(kernel?.kind === "tile");
  return emitCppTile(kernel, 16).text;
}

Deno.test("an exponential that two walks over a row need is computed once and kept", () => {
  const text = textOf(twoWalks(64, 256));
  assert.match(text, /float kept0\[256\]/);
  // Four parts of a vector in the first walk, none in the second.
  assert.equal(text.match(/tsr_exp\(/g)?.length, 4);
  assert.equal(text.match(/tsr_load\(kept0/g)?.length, 4);
});

Deno.test("rows of more than the caches hold are written past them, and their lines not fetched", () => {
  const text = textOf(twoWalks(4096, 4096));
  assert.equal(text.match(/tsr_stream\(p/g)?.length, 4);
  assert.match(text, /tsr_stream_end\(\)/);
  assert.doesNotMatch(text, /tsr_fetch_near\(p1/);
  assert.doesNotMatch(textOf(twoWalks(64, 4096)), /tsr_stream/);
  // Rows that begin within a line.
  assert.doesNotMatch(textOf(twoWalks(4096, 4100)), /tsr_stream/);
});

/** Running sums of a matrix along an axis. */
function runningSums(rows: number, columns: number, scanAxis: 0 | 1): ScanGroup {
  const [x, out] = [buffer("x", float32, rows * columns), buffer("out", float32, rows * columns)];
  const [i, j] = [loopVar(rows), loopVar(columns)];
  const at = add(mul(symbol(i), columns), symbol(j));
  return {
    ...base([out]),
    kind: "scan",
    axes: [i, j],
    scanAxis: scanAxis === 0 ? i : j,
    op: "sum",
    value: ops.load(x, at),
    out,
    index: at,
  };
}

Deno.test("scans along columns of more than the caches hold write past them; small ones, and scans along rows, do not", () => {
  assert.match(textOf(runningSums(4096, 4096, 0)), /tsr_stream\(p1/);
  assert.doesNotMatch(textOf(runningSums(512, 4096, 0)), /tsr_stream/);
  assert.doesNotMatch(textOf(runningSums(4096, 4096, 1)), /tsr_stream/);
});

/** A function of each element. */
function pointwise(body: (x: Value) => Value, dtype: DType, count = 4096): LoopGroup {
  const [x, out] = [buffer("x", dtype, count), buffer("out", dtype, count)];
  const i = loopVar(count);
  const value = body(ops.load(x, symbol(i)));
  return {
    kind: "loops",
    axes: [i],
    reduceAxes: [],
    stages: [{ kind: "pointwise", space: "outer", out, index: symbol(i), value }],
    ...base([out]),
  };
}

/** A polynomial of so many products. */
function chainOf(length: number): (x: Value) => Value {
  return (x) => Array.from({ length }, (_, k) => k + 2).reduce((v, k) => ops.fma(v, x, k), x);
}

Deno.test("long functions write past the caches what is more than they hold, short ones and small results do not", () => {
  assert.match(textOf(pointwise(chainOf(80), float32, 2 ** 24)), /tsr_stream\(p1/);
  assert.doesNotMatch(textOf(pointwise(chainOf(80), float32)), /tsr_stream/);
  assert.doesNotMatch(textOf(pointwise(chainOf(20), float32, 2 ** 24)), /tsr_stream/);
});

Deno.test("long functions of one buffer take four registers in turn, functions in phases eight", () => {
  const chain = chainOf(20);
  assert.equal(textOf(pointwise(chain, float32)).match(/tsr_store\(/g)?.length, 4);
  assert.equal(textOf(pointwise((x) => ops.add(x, 1), float32)).match(/tsr_store\(/g)?.length, 1);
  assert.match(textOf(pointwise((x) => ops.gcd(x, ops.constant(36, int32)), int32)), /tsr_gcd_all\(g/);
  assert.match(textOf(pointwise((x) => ops.pow(x, 1.7), float32)), /vpow_first_moderate/);
  assert.doesNotMatch(textOf(pointwise((x) => ops.pow(x, 170), float32)), /vpow_first_moderate/);
});

/** The position of the largest number of each row. */
function positions(rows: number, columns: number): LoopGroup {
  const [x, out] = [buffer("x", float32, rows * columns), buffer("out", int64, rows)];
  const [i, r] = [loopVar(rows), loopVar(columns)];
  const value = ops.load(x, add(mul(symbol(i), columns), symbol(r)));
  return {
    kind: "loops",
    axes: [i],
    reduceAxes: [r],
    stages: [{ kind: "reduction", out, index: symbol(i), op: "argmax", value }],
    ...base([out]),
  };
}

Deno.test("a walk along rows that computes something fetches what it will read", () => {
  assert.match(textOf(positions(64, 4096)), /tsr_fetch_near\(p0 \+ \(\w+ \+ 8192\)\)/);
});

Deno.test("a root of sums of columns takes no registers from the sums", () => {
  const [x, sum, out] = [buffer("x", float32, 1 << 22), buffer("sum", float32, 2048), buffer("out", float32, 2048)];
  const [i, r] = [loopVar(2048), loopVar(2048)];
  const at = add(mul(symbol(r), 2048), symbol(i));
  const text = (inner: Value): string =>
    textOf({
      kind: "loops",
      axes: [i],
      reduceAxes: [r],
      stages: [
        { kind: "reduction", out: sum, index: symbol(i), op: "sum", value: inner },
        { kind: "pointwise", space: "outer", out, index: symbol(i), value: ops.sqrt(ops.load(sum, symbol(i))) },
      ],
      ...base([out]),
    });
  const load = ops.load(x, at);
  assert.equal(text(ops.mul(load, load)).match(/tsr_load\(p0/g)?.length, 16);
  // An exponential of each number needs registers of its own.
  assert.equal(text(ops.exp(load)).match(/tsr_load\(p0/g)?.length, 8);
});

Deno.test("rows too long for the caches are neither kept nor fetched ahead", () => {
  const text = textOf(twoWalks(4, 1 << 20));
  assert.doesNotMatch(text, /kept0|tsr_fetch/);
  assert.match(textOf(twoWalks(64, 256)), /tsr_fetch_near\(p0 \+ .* \+ 256/);
});

Deno.test("rows are fetched ahead along columns where much is done with each number, not for a sum", () => {
  const group = (op: "sum" | "argmax"): LoopGroup => {
    const [x, out] = [buffer("x", float32, 4096 * 4096), buffer("out", op === "sum" ? float32 : int64, 4096)];
    const [i, r] = [loopVar(4096), loopVar(4096)];
    const value = ops.load(x, add(mul(symbol(r), 4096), symbol(i)));
    return {
      kind: "loops",
      axes: [i],
      reduceAxes: [r],
      stages: [{ kind: "reduction", out, index: symbol(i), op, value }],
      ...base([out]),
    };
  };
  assert.match(textOf(group("argmax")), /tsr_fetch_near\(p0 \+ .* \+ 32768/);
  assert.doesNotMatch(textOf(group("sum")), /tsr_fetch/);
});

nativeTest("what is kept of a row that is no multiple of a vector is whole", () => {
  manualSeed(1);
  const x = randn([5, 83]);
  const got = run((a) => a.softmax(1), x);
  const want = numbers(x.softmax(1));
  want.forEach((w, i) => assert.ok(Math.abs(w - (got[i] ?? NaN)) < 1e-6, `element ${i}: ${got[i]}, ${w}`));
});

nativeTest("argmax() in lanes: the first of equals, the first NaN, and the first of nothing but -Infinity", () => {
  for (const [rows, columns] of [[3, 100], [70, 1030]] as const) {
    const values = Array.from({ length: rows * columns }, (_, i) => (i * 7919) % 13);
    for (const row of [0, 2]) for (let j = 0; j < columns; j++) values[row * columns + j] = -Infinity;
    for (const at of [columns + 57, columns + 90]) values[at] = NaN;
    const x = tensor(values).view([rows, columns]);
    const best = (line: readonly number[]): number => {
      const nan = line.findIndex((v) => Number.isNaN(v));
      return nan >= 0 ? nan : line.indexOf(Math.max(...line));
    };
    const row = (i: number): number[] => values.slice(i * columns, (i + 1) * columns);
    const column = (j: number): number[] => Array.from({ length: rows }, (_, i) => values[i * columns + j] ?? NaN);
    assert.deepEqual(run((a) => a.argmax(1), x), Array.from({ length: rows }, (_, i) => best(row(i))));
    assert.deepEqual(run((a) => a.argmax(0), x), Array.from({ length: columns }, (_, j) => best(column(j))));
    assert.deepEqual(run((a) => a.argmax(), x), [best(values)]);
  }
  assert.deepEqual(run((a) => a.argmax(0), full([40, 1030], -Infinity)), new Array<number>(1030).fill(0));
  assert.deepEqual(run((a) => a.argmin(1), full([2, 100], Infinity)), [0, 0]);
});

nativeTest("logcumsumexp() of steps, infinities and NaN is that of plain sums", () => {
  const plain = (line: readonly number[]): number[] => {
    let most = -Infinity, sum = 0;
    return line.map((v) => {
      if (v === Infinity || Number.isNaN(v) || Number.isNaN(most)) {
        most = most === Infinity && v === v ? most : v + most;
      } else if (v > most) {
        sum = sum * Math.exp(most - v) + 1;
        most = v;
      } else if (v > -Infinity) sum += Math.exp(v - most);
      return Number.isFinite(most) ? most + Math.log(sum) : most;
    });
  };
  const steps = Array.from({ length: 200 }, (_, i) => i < 40 ? -Infinity : i < 100 ? Math.sin(i) * 3 : i * 1.5 - 200);
  const lines = [
    steps,
    steps.map((v, i) => i === 120 ? Infinity : v),
    steps.map((v, i) => i === 60 ? NaN : v),
    steps.map((_, i) => i === 70 ? -Infinity : 90 - i),
  ];
  for (const line of lines) {
    const got = run((a) => F.logcumsumexp(a, 1), tensor(line).view([1, 200]));
    plain(line).forEach((w, i) => {
      const g = got[i] ?? NaN;
      assert.ok(Object.is(w, g) || Math.abs(w - g) <= 2e-6 * Math.max(1, Math.abs(w)), `element ${i}: ${g}, ${w}`);
    });
  }
});

nativeTest("cummax() gives the latest of equals and of NaN, for truth values too", () => {
  const x = tensor([[1, 3, 3, NaN, 5, NaN, 2], [2, 1, 2, 0, 7, 7, 1]]);
  assert.deepEqual(run((a) => F.cummax(a, 1)[0], x), [1, 3, 3, NaN, NaN, NaN, NaN, 2, 2, 2, 2, 7, 7, 7]);
  assert.deepEqual(run((a) => F.cummax(a, 1)[1], x), [0, 1, 2, 3, 3, 5, 5, 0, 0, 2, 2, 4, 5, 5]);
  assert.deepEqual(run((a) => F.cummin(a, 0)[1], x), [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1]);
  assert.deepEqual(numbers(F.cummax(tensor([3, 3, 1], { dtype: int32 }), 0)[1]), [0, 1, 1]);
  assert.deepEqual(numbers(F.cummax(tensor([true, false, true], { dtype: bool }), 0)[1]), [0, 0, 2]);
});

Deno.test("large reductions of two readings are cut into blocks, small ones and rows are not", () => {
  const fake = (...shape: number[]): Tensor => {
    const view = (s: readonly number[]): { shape: readonly number[] } => ({ shape: s });
    return { shape, view } as unknown as Tensor;
  };
  const columns = blocksOf(fake(4096, 2048), [0]);
  assert.deepEqual([columns?.x.shape, columns?.inner, columns?.outer, columns?.size], [[128, 32, 2048], [1], [0], 32]);
  const all = blocksOf(fake(4096, 2048), [0, 1]);
  assert.deepEqual([all?.inner, all?.outer, all?.size], [[1], [0], 2048]);
  assert.equal(blocksOf(fake(4096, 2048), [1]), null, "a row fits a cache");
  assert.equal(blocksOf(fake(64, 64), [0]), null, "so does all of it");
  assert.equal(blocksOf(fake(4099, 2048), [0]), null, "a prime number of rows");
});

nativeTest("a variance of blocks is that of all, far from 0 too", () => {
  manualSeed(4);
  const x = randn([2048, 2048]).add(100);
  const wide = x.to(float64);
  for (const dims of [[0], [0, 1]]) {
    const want = numbers(wide.sub(wide.mean(dims, true)).square().mean(dims)),
      got = run((a) => a.var(dims, { correction: 0 }), x);
    want.forEach((w, i) => assert.ok(Math.abs(w - (got[i] ?? NaN)) < 2e-5 * w, `${dims}: ${got[i]}, ${w}`));
  }
});

nativeTest("whole numbers are divided and shifted in lanes as they are one by one", () => {
  const edges = [
    0,
    1,
    -1,
    2,
    -2,
    3,
    7,
    -7,
    31,
    32,
    33,
    63,
    64,
    255,
    -255,
    2 ** 30,
    -(2 ** 30),
    2 ** 31 - 1,
    -(2 ** 31),
  ];
  const far = [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 40n + 1n, -(2n ** 62n), 2n ** 63n - 1n, -(2n ** 63n)];
  const operations: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
    floor: (a, b) => F.floorDivide(a, b),
    trunc: (a, b) => F.div(a, b, { roundingMode: "trunc" }),
    remainder: (a, b) => F.remainder(a, b),
    fmod: (a, b) => F.fmod(a, b),
    left: (a, b) => F.bitwiseLeftShift(a, b),
    right: (a, b) => F.bitwiseRightShift(a, b),
    gcd: (a, b) => F.gcd(a, b.sub(1)),
  };
  // Division by 0 raises.
  const pairs = (values: readonly (number | bigint)[], dtype: DType): [Tensor, Tensor] => {
    const divisors = values.filter((v) => Number(v) !== 0);
    return [
      tensor(values.flatMap((v) => divisors.map(() => v)), { dtype }),
      tensor(values.flatMap(() => divisors), { dtype }),
    ];
  };
  // Numbers of 64 bits that fit 32 in all lanes, and such that do not.
  const inputs = [
    pairs(edges, int32),
    pairs(edges.filter((v) => Math.abs(v) < 32768), int16),
    pairs(edges, int64),
    pairs([...edges.map(BigInt), ...far], int64),
  ];
  for (const [a, b] of inputs) {
    for (const [name, operation] of Object.entries(operations)) {
      const wanted = compile(operation, { backend: "reference" })(a, b).dataSync();
      const got = compile(operation, { mode: "aot", fullgraph: true })(a, b).dataSync();
      const [x, y] = [a.dataSync(), b.dataSync()];
      for (let i = 0; i < a.numel; i++) {
        assert.equal(got[i], wanted[i], `${name} of ${x[i]} and ${y[i]}, ${a.dtype.name}`);
      }
    }
  }
});
