/**
 * What only CUDA kernels do, run on the processor: joined updates, the last of racing writes, rows in shared memory, columns side by side,
 * channels-last convolutions on tensor cores; and the text of two kernels.
 */
import assert from "node:assert/strict";
import { bfloat16, type DType, float16, float32, int64 } from "../../../src/core/mod.ts";
import { cudaEmission, emitCudaModules } from "../../../src/inductor/codegen/cuda/emit_module.ts";
import type { CudaLaunch } from "../../../src/inductor/codegen/cuda/launch.ts";
import type { ContractionGroup, Group, LoopGroup } from "../../../src/inductor/groups.ts";
import { type BufferRef, loopVar, ops, type Value } from "../../../src/loops/mod.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { add, constant, type Expr, mul, sub, symbol } from "../../../src/symbolic/mod.ts";
import { emulate } from "./cuda_emulator.ts";
import { zeros } from "./groups.ts";
import {
  base,
  buffer,
  type Case,
  check,
  type Numbers,
  planOf,
  randomNumbers,
  randomSource,
  type Tier,
} from "./harness.ts";

const toolchain = findToolchain();
const OPTIONS = { arch: 80, multiprocessors: 4 };
const TIER: Tier = { name: "cuda", compile: (plan) => emulate(plan, OPTIONS) };

function test(name: string, fn: () => void): void {
  Deno.test({
    name: toolchain.ok ? name : `${name} [skipped: ${toolchain.problem}]`,
    ignore: !toolchain.ok,
    fn,
  });
}

function launchesOf(
  groups: readonly Group[],
  buffers: readonly BufferRef[],
): { launches: CudaLaunch[]; source: string } {
  const { steps, modules } = emitCudaModules(planOf(groups, buffers, []), OPTIONS);
  const launches = steps.flatMap((s) => s.kind === "launches" ? s.launches : []);
  const sources = modules.map((m) => m.source.slice(m.source.indexOf('extern "C"')));
  return { launches, source: sources.join("\n") };
}

function pointwise(out: BufferRef, n: number, value: (i: Expr) => Value): LoopGroup {
  const v = loopVar(n, "i");
  const index = symbol(v);
  return {
    kind: "loops",
    axes: [v],
    reduceAxes: [],
    stages: [{ kind: "pointwise", space: "outer", out, index, value: value(index) }],
    ...base([out]),
  };
}

test("updates of many tensors are one launch, whatever their lengths", () => {
  const next = randomSource(3);
  const data = new Map<BufferRef, Numbers>();
  const outputs: BufferRef[] = [];
  // Values are numbered as they are made: the first use of a constant may order a product's factors in another way.
  pointwise(buffer("first", float32, 2), 2, (i) => ops.mul(ops.load(buffer("first", float32, 2), i), 0.1));
  const members = [3, 7, 1024, 4097, 9000].map((n) => {
    const [p, g, out] = [buffer("p", float32, n), buffer("g", float32, n), buffer("out", float32, n)];
    data.set(p, randomNumbers(n, float32, next)).set(g, randomNumbers(n, float32, next)).set(out, zeros(n));
    outputs.push(out);
    return pointwise(out, n, (i) => ops.sub(ops.load(p, i), ops.mul(ops.load(g, i), 0.1)));
  });
  const group: Group = { kind: "foreach", members, ...base(outputs) };
  const { launches, source } = launchesOf([group], [...data.keys()]);
  assert.equal(launches.length, 1, source);
  check({ groups: [group], data, outputs, tolerance: { relative: 1e-5, absolute: 1e-6 } }, TIER);
});

test("of several writes to one place the last wins, by two launches", () => {
  const n = 3000;
  const next = randomSource(9);
  const [x, at, out] = [buffer("x", float32, n), buffer("at", int64, n), buffer("out", float32, 5)];
  const v = loopVar(n, "i");
  const place = ops.indirect(ops.load(at, symbol(v)), constant(5));
  const group: Group = {
    kind: "loops",
    axes: [v],
    reduceAxes: [],
    stages: [{ kind: "scatter", space: "outer", out, index: place, op: "set", value: ops.load(x, symbol(v)) }],
    ...base([out]),
  };
  const data = new Map<BufferRef, Numbers>([
    [x, randomNumbers(n, float32, next)],
    [at, Array.from({ length: n }, () => Math.floor(next() * 5))],
    [out, zeros(5)],
  ]);
  const { launches, source } = launchesOf([group], [x, at, out]);
  assert.equal(launches.length, 2);
  assert.match(source, /atomicMax\(last/);
  check({ groups: [group], data, outputs: [out] }, TIER);
});

function softmax(rows: number, columns: number, dtype: DType): { group: LoopGroup; x: BufferRef; out: BufferRef } {
  const [x, out] = [buffer("x", dtype, rows * columns), buffer("out", dtype, rows * columns)];
  const [most, total] = [buffer("most", float32, rows), buffer("total", float32, rows)];
  const [r, c] = [loopVar(rows, "r"), loopVar(columns, "c")];
  const at = add(mul(symbol(r), columns), symbol(c));
  const wide = ops.cast(ops.load(x, at), float32);
  const e = ops.exp(ops.sub(wide, ops.load(most, symbol(r))));
  const group: LoopGroup = {
    kind: "loops",
    axes: [r],
    reduceAxes: [c],
    stages: [
      { kind: "reduction", out: most, index: symbol(r), op: "max", value: wide },
      { kind: "reduction", out: total, index: symbol(r), op: "sum", value: e },
      {
        kind: "pointwise",
        space: "inner",
        out,
        index: at,
        value: ops.cast(ops.div(e, ops.load(total, symbol(r))), dtype),
      },
    ],
    ...base([out]),
  };
  return { group, x, out };
}

test("a row of softmax stays in registers, a long one in shared memory", () => {
  for (
    const [rows, columns, dtype, where] of [
      [3, 512, bfloat16, /tsr_vec<bf16, 8> c\d+\[\d\]/],
      [3, 257, float16, /tsr_vec<f16, 8> c\d+\[\d+\]/],
      [2, 39_011, float32, /tsr_vec<float, 4>\* const c\d+ = /],
    ] as const
  ) {
    const { group, x, out } = softmax(rows, columns, dtype);
    const { source } = launchesOf([group], [x, out]);
    assert.match(source, where);
    // Rows that begin anywhere have vectors and ends.
    assert.equal(source.match(/\bp0 \+ /g)?.length, columns % 8 === 0 ? 1 : 2, "the row is read once");
    const data = new Map([[x, randomNumbers(rows * columns, dtype, randomSource(4))], [out, zeros(rows * columns)]]);
    const tolerance = { relative: dtype === float32 ? 2e-5 : 1e-2, absolute: 1e-6 };
    check({ groups: [group], data, outputs: [out], tolerance }, TIER, `${rows}x${columns}`);
  }
});

test("threads of rows beyond the last take no index from registers that nothing was read into", () => {
  // One row of 6 gathered elements: the maximum with a store beside it, then the sum of exponentials.
  const [table, at, out] = [buffer("table", float32, 3), buffer("at", int64, 6), buffer("out", float32, 6)];
  const [most, total] = [buffer("most", float32, 1), buffer("total", float32, 1)];
  const [r, c] = [loopVar(1, "r"), loopVar(6, "c")];
  const value = ops.load(table, ops.indirect(ops.load(at, symbol(c)), constant(3)));
  const group: LoopGroup = {
    kind: "loops",
    axes: [r],
    reduceAxes: [c],
    stages: [
      { kind: "reduction", out: most, index: symbol(r), op: "max", value },
      { kind: "pointwise", space: "inner", out, index: symbol(c), value },
      { kind: "reduction", out: total, index: symbol(r), op: "sum", value: ops.sub(value, ops.load(most, symbol(r))) },
    ],
    ...base([out, total]),
  };
  const { source } = launchesOf([group], [table, at, out, total]);
  const passes = source.match(/for \(int c = 0/g)?.length ?? 0;
  assert.ok(passes >= 2, source);
  assert.equal(source.match(/if \(valid\) \{\n\s*#pragma unroll\n\s*for \(int c = 0/g)?.length, passes, source);
});

test("columns of small elements stand side by side, shared by blocks", () => {
  // As long as each thread of a warp has some.
  for (const [rows, columns, lanes] of [[300, 136, 4], [4000, 64, 2]] as const) {
    const [x, out] = [buffer("x", bfloat16, rows * columns), buffer("out", bfloat16, columns)];
    const [r, c] = [loopVar(rows, "r"), loopVar(columns, "c")];
    const value = ops.load(x, add(mul(symbol(r), columns), symbol(c)));
    const group: Group = {
      kind: "loops",
      axes: [c],
      reduceAxes: [r],
      stages: [{ kind: "reduction", out, index: symbol(c), op: "max", value }],
      ...base([out]),
    };
    assert.ok(launchesOf([group], [x, out]).source.includes(`tsr_load<${lanes}>`));
    const data = new Map([[x, randomNumbers(rows * columns, bfloat16, randomSource(5))], [out, zeros(columns)]]);
    check({ groups: [group], data, outputs: [out] }, TIER, `${rows}x${columns}`);
  }
});

test("what is taken from one half of a row or the other comes in vectors", () => {
  const [rows, columns] = [97, 128];
  for (const at of [64, 48]) {
    const [x, y, out] = [
      buffer("x", float32, rows * at),
      buffer("y", float32, rows * (columns - at)),
      buffer("out", float32, rows * columns),
    ];
    const [r, c] = [loopVar(rows, "r"), loopVar(columns, "c")];
    const [position, limit] = [ops.index(symbol(c)), ops.constant(at, int64)];
    const isFirst = ops.lt(position, limit);
    const first = ops.load(x, add(mul(symbol(r), at), symbol(c)));
    const second = ops.load(y, add(mul(symbol(r), columns - at), sub(symbol(c), constant(at))));
    const value = ops.where(isFirst, ops.masked(isFirst, first, 0), ops.masked(ops.ge(position, limit), second, 0));
    const cat: Group = {
      kind: "loops",
      axes: [r, c],
      reduceAxes: [],
      stages: [{ kind: "pointwise", space: "outer", out, index: add(mul(symbol(r), columns), symbol(c)), value }],
      ...base([out]),
    };
    const { source } = launchesOf([cat], [x, y, out]);
    assert.equal([...source.matchAll(/if \(v\d+\) tsr_load<4>/g)].length, 2, source);
    const data = new Map<BufferRef, Numbers>([
      [x, randomNumbers(rows * at, float32, randomSource(3))],
      [y, randomNumbers(rows * (columns - at), float32, randomSource(4))],
      [out, zeros(rows * columns)],
    ]);
    check({ groups: [cat], data, outputs: [out] }, TIER, `at ${at}`);
  }
});

/** A 3 × 3 convolution whose channels are innermost in memory, though the sum names them first. */
function channelsLast(
  n: number,
  ci: number,
  co: number,
  side: number,
  dtype: DType,
): Case & { group: ContractionGroup } {
  const x = buffer("x", dtype, n * side * side * ci);
  const w = buffer("w", dtype, co * 9 * ci);
  const out = buffer("out", dtype, n * co * side * side);
  const [vn, vy, vx, vo] = [loopVar(n, "n"), loopVar(side, "y"), loopVar(side, "x"), loopVar(co, "o")];
  const [vc, vu, vv] = [loopVar(ci, "c"), loopVar(3, "u"), loopVar(3, "v")];
  const [y, z] = [sub(add(symbol(vy), symbol(vu)), 1), sub(add(symbol(vx), symbol(vv)), 1)];
  const inside = (e: Expr): Value => ops.bitwiseAnd(ops.ge(ops.index(e), 0), ops.lt(ops.index(e), side));
  const at = add(mul(symbol(vn), side * side * ci), mul(y, side * ci), mul(z, ci), symbol(vc));
  const index = add(mul(symbol(vn), co * side * side), mul(symbol(vo), side * side), mul(symbol(vy), side), symbol(vx));
  const weight = add(mul(symbol(vo), 9 * ci), mul(symbol(vu), 3 * ci), mul(symbol(vv), ci), symbol(vc));
  const group: ContractionGroup = {
    kind: "contraction",
    batch: [],
    m: [vo],
    n: [vn, vy, vx],
    k: [vc, vu, vv],
    a: ops.cast(ops.load(w, weight), float32),
    b: ops.masked(ops.bitwiseAnd(inside(y), inside(z)), ops.cast(ops.load(x, at), float32), 0),
    accumulate: float32,
    result: out,
    resultIndex: index,
    epilogue: [],
    ...base([out]),
  };
  const next = randomSource(8);
  const data = new Map([
    [x, randomNumbers(n * side * side * ci, dtype, next)],
    [w, randomNumbers(co * 9 * ci, dtype, next)],
    [out, zeros(n * co * side * side)],
  ]);
  return { group, groups: [group], data, outputs: [out], tolerance: { relative: 8e-3, absolute: 2e-2 } };
}

test("a convolution with channels innermost copies its pixels in vectors to the tensor cores", () => {
  const c = channelsLast(2, 16, 24, 9, bfloat16);
  const { source } = launchesOf([c.group], [...c.data.keys()]);
  assert.equal(source.match(/tsr_copy16\(/g)?.length, 2);
  check(c, TIER);
});

test("on an H100 a convolution's weights come by the copy engine, and pixels too where their channels fill its boxes", () => {
  const made = (channels: number): ReturnType<typeof emitCudaModules> => {
    const c = channelsLast(32, channels, 64, 28, bfloat16);
    return emitCudaModules(planOf([c.group], [...c.data.keys()], []), { arch: 90, multiprocessors: 132 });
  };
  const mapsOf = ({ steps: [step] }: ReturnType<typeof emitCudaModules>): readonly boolean[] => {
    assert.ok(step?.kind === "launches");
    const args = step.launches[0]?.args ?? [];
    return args.flatMap((a) => a.kind === "tensorMap" ? [a.map.pixels !== undefined] : []);
  };
  const gathered = made(72), copied = made(64);
  assert.match(gathered.modules[0]?.source ?? "", /tsr_gather16<\w+>\(to/);
  assert.deepEqual(mapsOf(gathered), [false]);
  assert.doesNotMatch(copied.modules[0]?.source ?? "", /tsr_gather16<\w+>\(to/);
  assert.deepEqual(mapsOf(copied).toSorted(), [false, true]);
});

Deno.test("modules come as soon as nothing is added to them: a product's before the next step is emitted", () => {
  const cases = [64, 72].map((channels) => channelsLast(32, channels, 64, 28, bfloat16));
  const plan = planOf(cases.map((c) => c.group), cases.flatMap((c) => [...c.data.keys()]), []);
  const options = { arch: 90, multiprocessors: 132 };
  const { modules, steps } = emitCudaModules(plan, options);
  let looked = 0;
  const counted = {
    ...plan,
    steps: new Proxy(plan.steps, {
      get: (list, key) => (/^\d+$/.test(String(key)) && looked++, Reflect.get(list, key)),
    }),
  };
  const emission = cudaEmission(counted, options);
  looked = 0;
  const first = emission.next();
  assert.ok(first.done !== true);
  assert.deepEqual(first.value, { index: 0, ...modules[0] });
  const before = looked;
  const second = emission.next();
  assert.ok(looked > before);
  assert.deepEqual(second.value, { index: 1, ...modules[1] });
  const whole = emission.next();
  assert.ok(whole.done === true);
  assert.deepEqual(whole.value.modules, modules);
  assert.equal(whole.value.steps.length, steps.length);
});

Deno.test("the text of an addition: vectors of 16 bytes, no test of the end", () => {
  const [x, y, out] = [buffer("x", float32, 1 << 20), buffer("y", float32, 1 << 20), buffer("out", float32, 1 << 20)];
  const group = pointwise(out, 1 << 20, (i) => ops.add(ops.load(x, i), ops.load(y, i)));
  assert.equal(
    launchesOf([group], [x, y, out]).source.trim(),
    `extern "C" __global__ void __launch_bounds__(256) k0(const float* __restrict__ p0, const float* __restrict__ p1, float* __restrict__ p2) {
tsr_wait_previous();
  const int t = (int)blockIdx.x * 256 + (int)threadIdx.x;
  const int b0 = t * 4;
  float l1[4];
  tsr_load<4>(l1, p0 + b0);
  float l2[4];
  tsr_load<4>(l2, p1 + b0);
  float s3[4];
  #pragma unroll
for (int u4 = 0; u4 < 4; u4++) {
    const int x5 = b0 + u4;
    const float v6 = l1[u4];
    const float v7 = l2[u4];
    const float v8 = (v6 + v7);
    s3[u4] = v8;
  }
  tsr_store<4>(p2 + b0, s3);
}`,
  );
});

Deno.test("the text of a row sum: a block a row, shuffles, one thread stores", () => {
  const [x, out] = [buffer("x", float32, 64 * 1024), buffer("out", float32, 64)];
  const [r, c] = [loopVar(64, "r"), loopVar(1024, "c")];
  const value = ops.load(x, add(mul(symbol(r), 1024), symbol(c)));
  const group: Group = {
    kind: "loops",
    axes: [r],
    reduceAxes: [c],
    stages: [{ kind: "reduction", out, index: symbol(r), op: "sum", value }],
    ...base([out]),
  };
  assert.equal(
    launchesOf([group], [x, out]).source.trim(),
    `extern "C" __global__ void __launch_bounds__(128) k0(const float* __restrict__ p0, float* __restrict__ p1) {
tsr_wait_previous();
  const int tx = (int)threadIdx.x ;
  const int row = (int)blockIdx.x;
  const int x0 = row;
  float a1 = 0.0f;
  const int e4 = 256;
  const int i6 = x0*1024;
  #pragma unroll 4
for (int q2 = tx; q2 < e4; q2 += 128) {
    const int b5 = q2 * 4;
    const int i7 = i6 + b5;
    float l8[4];
    tsr_load<4>(l8, p0 + i7);
    #pragma unroll
for (int u9 = 0; u9 < 4; u9++) {
      const int x10 = b5 + u9;
      const float v11 = l8[u9];
      a1 = (a1 + v11);
    }
  }
  { __shared__ float room[32]; a1 = tsr_block_reduce<128, false>(a1, room, [](float x, float y) { return (x + y); }); }
  const float v12 = a1;
  if (tx == 0) {
    tsr_put(p1 + x0, v12);
  }
}`,
  );
});
