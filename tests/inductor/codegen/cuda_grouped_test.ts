/**
 * Products of groups as one CUDA kernel each, on the processor: empty groups, rows behind the last, ragged tiles, both ways that weights lie, for tensor cores
 * of both kinds and for plain arithmetic. Expected values are those of the decomposition on the CPU in float32.
 */
import assert from "node:assert/strict";
import { bfloat16, config, type DType, float16, float32, float64, int32, int64 } from "../../../src/core/mod.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { F } from "../../../src/tensor/mod.ts";
import { at, type Body, type Input, run } from "./cuda_graph.ts";
import type { Numbers } from "./harness.ts";

config().verify = true;
const toolchain = findToolchain();
const AMPERE = { arch: 80, multiprocessors: 2 };
const HOPPER = { arch: 90, multiprocessors: 2 };

function test(name: string, fn: () => void): void {
  Deno.test({ name: toolchain.ok ? name : `${name} [skipped: ${toolchain.problem}]`, ignore: !toolchain.ok, fn });
}

interface Sizes {
  readonly rows: number;
  readonly K: number;
  readonly N: number;
  readonly ends: readonly number[];
}

const TOLERANCE = new Map<DType, number>([[float16, 2e-3], [bfloat16, 2e-2], [float32, 1e-5], [float64, 1e-5]]);

function check(inputs: readonly Input[], body: Body, ends: readonly number[], options: typeof AMPERE): void {
  const given = new Map<number, Numbers>([[2, [...ends]]]);
  const dtype = inputs[0]?.[1] ?? float32;
  const { groups, worst } = run(inputs, body, options, given);
  assert.deepEqual(groups, ["host"]);
  const scale = Math.sqrt(Number(inputs[0]?.[0][1])) * 4;
  assert.ok(worst <= scale * (TOLERANCE.get(dtype) ?? 0), `${dtype.name} differs by ${worst}`);
}

function rows({ rows: m, K, N, ends }: Sizes, dtype: DType, transposed: boolean, options: typeof AMPERE): void {
  const weight = transposed ? [ends.length, N, K] : [ends.length, K, N];
  const inputs: Input[] = [[[m, K], dtype], [weight, dtype], [[ends.length], m % 2 === 0 ? int32 : int64]];
  check(inputs, (x) => F.groupedRows(at(x, 0), at(x, 1), at(x, 2), transposed), ends, options);
}

const SIZES: readonly Sizes[] = [
  { rows: 300, K: 72, N: 136, ends: [0, 130, 130, 290] },
  { rows: 37, K: 64, N: 264, ends: [5, 37] },
  { rows: 150, K: 200, N: 40, ends: [150] },
];

test("rows times the matrices of their groups on Hopper", () => {
  SIZES.forEach((sizes, i) => rows(sizes, i % 2 === 0 ? bfloat16 : float16, i !== 1, HOPPER));
  SIZES.forEach((sizes, i) => rows(sizes, i % 2 === 0 ? float16 : bfloat16, i === 1, HOPPER));
  // Tiles of 256 columns.
  rows({ rows: 260, K: 64, N: 272, ends: [100, 250] }, bfloat16, true, HOPPER);
  rows({ rows: 260, K: 64, N: 272, ends: [100, 250] }, bfloat16, false, HOPPER);
});

test("rows times the matrices of their groups by mma.sync", () => {
  SIZES.forEach((sizes, i) => rows(sizes, i % 2 === 0 ? bfloat16 : float16, i !== 1, AMPERE));
  SIZES.forEach((sizes, i) => rows(sizes, i % 2 === 0 ? float16 : bfloat16, i === 1, AMPERE));
});

test("rows times the matrices of their groups by plain arithmetic", () => {
  for (const [dtype, transposed] of [[float32, false], [float64, true], [float32, true], [float16, true]] as const) {
    rows({ rows: 80, K: 21, N: 70, ends: [3, 70, 75] }, dtype, transposed, HOPPER);
  }
});

test("sums over the rows of groups", () => {
  const body: Body = (x) => F.groupedOuter(at(x, 0), at(x, 1), at(x, 2));
  const ends = [40, 40, 130];
  const inputs = (m: number, n: number, dtype: DType): Input[] => [[[140, m], dtype], [[140, n], dtype], [[3], int64]];
  check(inputs(136, 72, bfloat16), body, ends, HOPPER);
  check(inputs(40, 264, float16), body, ends, AMPERE);
  check(inputs(70, 33, float32), body, ends, HOPPER);
  check(inputs(9, 66, float64), body, ends, AMPERE);
});
