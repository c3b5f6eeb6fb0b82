/**
 * Attention of sequences of several lengths and over pages as CUDA kernels, on the processor: ragged and empty sequences, heads that share keys, windows, few queries
 * cut into parts of the keys, rows of no sequence. Expected values are those of the decomposition on the CPU in float32.
 */
import assert from "node:assert/strict";
import { bfloat16, config, type DType, float16, int32, int64 } from "../../../src/core/mod.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { F } from "../../../src/tensor/mod.ts";
import { at, type Body, type Input, run } from "./cuda_graph.ts";
import type { Numbers } from "./harness.ts";

config().verify = true;
const toolchain = findToolchain();
const OPTIONS = { arch: 80, multiprocessors: 2 };

function test(name: string, fn: () => void): void {
  Deno.test({ name: toolchain.ok ? name : `${name} [skipped: ${toolchain.problem}]`, ignore: !toolchain.ok, fn });
}

interface Call {
  readonly heads: number;
  readonly shared: number;
  readonly width: number;
  readonly queries: readonly number[];
  readonly keys: readonly number[];
  readonly left?: number;
  readonly right?: number;
  readonly dtype?: DType;
  /** Queries and keys that belong to no sequence, before and behind. */
  readonly rest?: number;
  readonly options?: typeof OPTIONS;
}

function offsets(lengths: readonly number[], first: number): number[] {
  const out = [first];
  for (const n of lengths) out.push((out.at(-1) ?? 0) + n);
  return out;
}

function check(inputs: readonly Input[], body: Body, given: ReadonlyMap<number, Numbers>, call: Call): void {
  const { groups, worst } = run(inputs, body, call.options ?? OPTIONS, given);
  assert.deepEqual(groups, ["host"]);
  assert.ok(worst <= (call.dtype === bfloat16 ? 0.03 : 0.004), `differs by ${worst}: ${JSON.stringify(call)}`);
}

function ragged(call: Call): void {
  const { heads, shared, width, queries, keys, left = -1, right = -1, dtype = float16, rest = 0 } = call;
  const [qo, ko] = [offsets(queries, rest), offsets(keys, rest)];
  const [tokens, total] = [(qo.at(-1) ?? 0) + rest, (ko.at(-1) ?? 0) + rest];
  const inputs: Input[] = [
    [[tokens, heads, width], dtype],
    [[total, shared, width], dtype],
    [[total, shared, width], dtype],
    [[qo.length], int32],
    [[ko.length], int32],
  ];
  const body: Body = (x) =>
    F.raggedAttention(at(x, 0), at(x, 1), at(x, 2), at(x, 3), at(x, 4), null, width ** -0.5, left, right);
  check(inputs, body, new Map<number, Numbers>([[3, qo], [4, ko]]), call);
}

interface Paged extends Call {
  readonly page: number;
  readonly columns: number;
}

function paged(call: Paged): void {
  const { heads, shared, width, queries, keys, left = -1, right = 0, dtype = float16, page, columns } = call;
  const qo = offsets(queries, 0);
  const count = keys.length * columns + 3;
  // Pages in no order; what stands behind a sequence's last page is nonsense.
  const table = keys.flatMap((n, b) =>
    Array.from({ length: columns }, (_, c) => c * page < n ? (b * columns + c) * 5 % count : -7)
  );
  const used = table.filter((p) => p >= 0);
  assert.equal(new Set(used).size, used.length);
  const inputs: Input[] = [
    [[qo.at(-1) ?? 0, heads, width], dtype],
    [[count, page, shared, width], dtype],
    [[count, page, shared, width], dtype],
    [[qo.length], int64],
    [[keys.length], int64],
    [[keys.length, columns], int64],
  ];
  const body: Body = (x) =>
    F.raggedAttention(at(x, 0), at(x, 1), at(x, 2), at(x, 3), at(x, 4), at(x, 5), width ** -0.5, left, right);
  check(inputs, body, new Map<number, Numbers>([[3, qo], [4, [...keys]], [5, table]]), call);
}

test("sequences of several lengths, causal, with heads that share keys", () => {
  ragged({ heads: 4, shared: 2, width: 64, queries: [70, 1, 0, 33], keys: [70, 200, 5, 33], right: 0 });
  ragged({ heads: 2, shared: 2, width: 128, queries: [130, 20], keys: [130, 64], dtype: bfloat16, rest: 3 });
  ragged({ heads: 3, shared: 1, width: 40, queries: [50, 65], keys: [10, 65], right: 0, rest: 1 });
});

test("sliding windows", () => {
  ragged({ heads: 2, shared: 1, width: 32, queries: [300], keys: [300], left: 70, right: 0 });
  ragged({ heads: 2, shared: 2, width: 16, queries: [100, 90], keys: [200, 90], left: 10, right: 20, dtype: bfloat16 });
});

test("128 rows a block on Hopper", () => {
  const options = { arch: 90, multiprocessors: 4 };
  ragged({ heads: 2, shared: 1, width: 128, queries: [200, 70], keys: [230, 70], right: 0, options, rest: 2 });
  ragged({
    heads: 1,
    shared: 1,
    width: 64,
    queries: [300],
    keys: [300],
    left: 100,
    right: 0,
    options,
    dtype: bfloat16,
  });
  paged({ heads: 4, shared: 2, width: 48, queries: [150], keys: [190], page: 16, columns: 13, options });
});

test("few queries: warps take keys, and parts of the keys go to blocks of their own", () => {
  ragged({ heads: 8, shared: 2, width: 64, queries: [1, 1, 1], keys: [700, 3, 1200], right: 0 });
  const options = { arch: 80, multiprocessors: 16 };
  ragged({ heads: 2, shared: 1, width: 128, queries: [2, 3], keys: [2000, 1500], right: 0, options, rest: 2 });
  ragged({ heads: 2, shared: 1, width: 64, queries: [1, 1], keys: [2000, 1500], left: 100, right: 0, options });
});

test("keys in pages", () => {
  paged({ heads: 4, shared: 2, width: 64, queries: [1, 1, 1], keys: [37, 64, 5], page: 16, columns: 5 });
  paged({ heads: 2, shared: 2, width: 128, queries: [40, 9], keys: [100, 9], page: 32, columns: 4, dtype: bfloat16 });
  const options = { arch: 80, multiprocessors: 16 };
  paged({ heads: 4, shared: 1, width: 64, queries: [1, 1], keys: [1100, 700], page: 64, columns: 18, options });
  paged({ heads: 4, shared: 4, width: 32, queries: [30], keys: [90], page: 7, columns: 14, left: 20 });
});
