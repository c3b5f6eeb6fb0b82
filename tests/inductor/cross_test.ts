/**
 * Reductions over different axes of one iteration space in one kernel: how many kernels, and the same numbers on every tier as element by element.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { bfloat16, type DType, float16, float32, float64, type StageName, withConfig } from "../../src/core/mod.ts";
import type { Argument, Graph, Node, TensorMeta } from "../../src/graph/mod.ts";
import { compileGraphToPlan } from "../../src/inductor/compile_plan.ts";
import { onCompile } from "../../src/inductor/observe.ts";
import type { CpuBuffer } from "../../src/runtime/cpu/memory.ts";
import { threadPool } from "../../src/runtime/cpu/thread_pool.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { constantValue } from "../../src/symbolic/mod.ts";
import { F, manualSeed, noGrad, randint, randn, type Tensor } from "../../src/tensor/mod.ts";
import { graphOf } from "../helpers/graph_builder.ts";
import { runPlan } from "../helpers/run_plan.ts";
import { assertClose, fromBuffer, planOf, randomNumbers, randomSource, toBuffer } from "./codegen/harness.ts";
import { TIERS as TESTED } from "./codegen/tiers.ts";

const TIERS = findToolchain().ok ? ["js", "aot"] as const : ["js"] as const;

type Program = (...args: Tensor[]) => Tensor[];

function numbers(t: Tensor): number[] {
  return Array.from(t.to(float64).dataSync() as Float64Array);
}

/** Compares two lists of results: relative to the largest magnitude of each. */
function assertSame(got: readonly Tensor[], want: readonly Tensor[], epsilon: number, what: string): void {
  assert.equal(got.length, want.length, what);
  got.forEach((t, i) => {
    const [a, b] = [numbers(t), numbers(want[i] as Tensor)];
    assert.deepEqual(t.shape, want[i]?.shape, what);
    const scale = b.reduce((m, v) => Math.max(m, Number.isFinite(v) ? Math.abs(v) : 0), 1e-3);
    a.forEach((v, j) => {
      const e = b[j] as number;
      const same = v === e || (Number.isNaN(v) && Number.isNaN(e)) || Math.abs(v - e) <= epsilon * scale;
      assert.ok(same, `${what}: result ${i}, element ${j} is ${v}, not ${e}`);
    });
  });
}

interface Options {
  readonly kernels: number;
  readonly dynamic?: boolean;
  readonly epsilon?: number;
}

/** Compiles on each tier, counts kernels, compares with the operators one by one in float64 and element by element. */
function check(name: string, fn: Program, inputs: readonly Tensor[][], options: Options): void {
  for (const tier of TIERS) {
    let kernels = 0;
    using _ = onCompile(({ graph }) => {
      kernels = graph.counters.kernels;
    });
    const compiled = compile(fn, {
      fullgraph: true,
      mode: tier === "aot" ? "aot" : "default",
      options: { tier },
      ...(options.dynamic === true ? { dynamic: true } : {}),
    });
    const exact = compile(fn, { backend: "reference" });
    for (const args of inputs) {
      const got = noGrad(() => compiled(...args));
      const wide = args.map((t) => t.dtype.isFloat ? t.to(float64) : t);
      const want = noGrad(() => exact(...wide));
      const half = args.some((t) => t.dtype.isFloat && t.dtype.bytes === 2);
      const epsilon = options.epsilon ?? (half ? args.some((t) => t.dtype === bfloat16) ? 3e-2 : 4e-3 : 2e-5);
      assertSame(got, want, epsilon, `${name} on ${tier}, ${args.map((t) => `[${t.shape}]`).join(" ")}`);
      assert.ok(
        kernels <= options.kernels,
        `${name}: ${kernels} kernels for ${args.map((t) => `[${t.shape}]`).join(" ")}`,
      );
    }
  }
}

const FLOATS: readonly DType[] = [float32, float16, bfloat16, float64];

const layerNorm: Program = (x, w, b, d) => {
  const mean = x.mean([-1], true);
  const centred = x.sub(mean);
  const inverse = centred.mul(centred).mean([-1], true).add(1e-5).rsqrt();
  const normal = centred.mul(inverse);
  const g = d.mul(w);
  const inner = g.sub(g.mean([-1], true)).sub(normal.mul(g.mul(normal).mean([-1], true)));
  return [normal.mul(w).add(b), inner.mul(inverse), d.mul(normal).sum([0]), d.sum([0])];
};

Deno.test("layer norm with the gradients of input, weight and bias is one kernel, in every dtype and size", () => {
  manualSeed(1);
  for (const dtype of FLOATS) {
    const of = (r: number, c: number): Tensor[] => [[r, c], [c], [c], [r, c]].map((s) => randn(s).to(dtype));
    // 70 × 517 is shared by workers; 5 × 33 is not; neither is a multiple of a register.
    for (const [r, c] of [[70, 517], [5, 33], [16, 1], [1, 40]] as const) {
      check("layer norm", layerNorm, [of(r, c)], { kernels: 1 });
    }
  }
});

Deno.test("sums over rows beside sums along them with sizes that change from call to call", () => {
  manualSeed(2);
  const of = (r: number, c: number): Tensor[] => [[r, c], [c], [c], [r, c]].map((s) => randn(s));
  check("layer norm", layerNorm, [of(70, 517), of(5, 33), of(300, 130), of(17, 16)], { kernels: 1, dynamic: true });
});

Deno.test("row sums, column sums and the sum of all are one kernel", () => {
  manualSeed(3);
  const sums: Program = (x) => [x.sum([1]), x.sum([0]), x.sum(), F.amax(x, [1]), F.amin(x, [0])];
  const shapes = [[64, 1000], [200, 7], [3, 4], [5, 1], [1, 5]];
  for (const shape of shapes) {
    check("sums", sums, [[randn(shape)]], { kernels: shape.includes(1) ? 5 : 1 });
  }
  const empty: Program = (x) => [x.sum([1]), x.sum([0]).add(1), x.sum().sub(2)];
  for (const shape of [[0, 5], [5, 0], [0, 0]]) check("empty sums", empty, [[randn(shape)]], { kernels: 3 });
  // Columns contiguous, rows strided.
  check("sums of a transpose", sums, [[randn([300, 150]).t()]], { kernels: 1 });
  const integers: Program = (x) => [x.sum([1]), x.sum([0]), x.sum()];
  check("sums of integers", integers, [[randint(-5, 5, [90, 500])], [randint(-5, 5, [4, 6])]], {
    kernels: 1,
    epsilon: 0,
  });
});

Deno.test("cross entropy is one kernel, with ignored labels and smoothed ones too", () => {
  manualSeed(4);
  const forward: Program = (x, t) => [F.crossEntropyLoss(x, t)];
  const smooth: Program = (x, t) => [F.crossEntropyLoss(x, t, null, 1, -100, 0.1)];
  const labels = (n: number, c: number): Tensor => {
    const t = randint(0, c, [n]);
    return F.where(randint(0, 4, [n]).eq(0), F.fullLike(t, -100), t);
  };
  for (const [n, c] of [[64, 1000], [7, 5], [300, 10]] as const) {
    for (const dtype of [float32, bfloat16]) {
      check("cross entropy", forward, [[randn([n, c]).to(dtype), labels(n, c)]], { kernels: 1 });
      check("cross entropy, smoothed", smooth, [[randn([n, c]).to(dtype), labels(n, c)]], { kernels: 1 });
    }
  }
});

Deno.test("results depend on sizes, not on the number of threads", { ignore: TIERS.length < 2 }, () => {
  manualSeed(5);
  const args = [[257, 700], [700], [700], [257, 700]].map((s) => randn(s));
  const run = compile(layerNorm, { fullgraph: true, mode: "aot", options: { tier: "aot" } });
  const results = [1, 2, 5].map((threads) => {
    const pool = threadPool();
    const before = pool.numThreads;
    pool.setNumThreads(threads);
    try {
      return noGrad(() => run(...args)).map(numbers);
    } finally {
      pool.setNumThreads(before);
    }
  });
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

/** Every width of registers that this machine can run, element by element as the plan without fusion says. */
Deno.test("cross reductions on narrower registers, with row, column, block and full sums", () => {
  const graph = graphOf((b) => {
    // Rows (n, g), reduced along (c, x): sums that keep columns c of g, that keep g, and none.
    const [x, d] = [b.input([24, 3, 5, 19]), b.input([24, 3, 5, 19])];
    const sum = (t: Argument, dims: readonly number[], keep = false): Node =>
      b.call("aten.sum.dim_IntList", [t, [...dims], keep]);
    const mul = (t: Argument, u: Argument): Node => b.call("aten.mul.Tensor", [t, u]);
    const rows = sum(mul(x, d), [2, 3], true);
    const y = mul(b.call("aten.sub.Tensor", [x, mul(rows, 0.01)]), d);
    const columns = sum(y, [0, 3]);
    return [y, columns, sum(y, [0, 2, 3]), b.call("aten.neg.default", [sum(d, [0, 1, 2, 3])]), sum(d, [0, 1])];
  });
  const next = randomSource(6);
  const inputs = graph.placeholders.map(() => randomNumbers(24 * 3 * 5 * 19, float32, next).map(Number));
  const plain = ((): ReturnType<typeof compileGraphToPlan> => {
    using _ = withConfig({ disabled: new Set<StageName>(["fusion", "inlining", "reuse"]) });
    return compileGraphToPlan(graph);
  })();
  const { plan, groups, counters } = compileGraphToPlan(graph);
  assert.equal(counters.kernels, 1);
  // A backend without cross reductions gets no group that carries any.
  const without = compileGraphToPlan(graph, { crossReductions: false });
  assert.ok(without.counters.kernels > 1);
  assert.ok(without.groups.every((g) => g.kind !== "loops" || g.stages.every((s) => s.kind !== "cross")));
  const expected = runPlan(plain.plan, { inputs }).results;
  const buffers = plan.slots.map((s) => s.buffer);
  for (const tier of TESTED.filter((t) => !t.ignore && !t.name.startsWith("cuda"))) {
    const memory = plan.slots.map((s) =>
      toBuffer(
        s.buffer.dtype,
        s.kind === "input" ? inputs[s.index] ?? [] : new Array<number>(Number(constantValue(s.buffer.numel))).fill(NaN),
      )
    );
    tier.compile(planOf(groups, buffers, [])).run(memory, []);
    plan.results.forEach((r, i) => {
      assert.ok(r.kind === "tensor");
      const want = expected[i] ?? [];
      const got = fromBuffer(float32, memory[buffers.indexOf(r.buffer)] as CpuBuffer, want.length);
      assertClose(got, want.map(Number), float32, `${tier.name}, result ${i}`, { relative: 1e-3, absolute: 2e-3 });
    });
  }
});

/** Reductions over random axes of one space, results of some broadcast back into what others reduce. */
function randomReductions(seed: number): Graph {
  const next = randomSource(seed * 7 + 1);
  const below = (n: number): number => Math.floor(next() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  return graphOf((b) => {
    const shape = Array.from({ length: 2 + below(3) }, () => pick([1, 2, 3, 5, 16, 17, 33]));
    const full: Node[] = [b.input(shape), b.input(shape)];
    const results: Node[] = [];
    for (let step = 0; step < 4 + below(5); step++) {
      const a = pick(full);
      if (next() < 0.3) {
        full.push(b.call(pick(["aten.mul.Tensor", "aten.sub.Tensor"]), [a, pick(full)]));
        continue;
      }
      const dims = shape.map((_, d) => d).filter(() => next() < 0.5);
      const over = dims.length === 0 ? [below(shape.length)] : dims;
      const reduced = b.call(pick(["aten.sum.dim_IntList", "aten.sum.dim_IntList", "aten.amax.default"]), [
        a,
        over,
        true,
      ]);
      const scaled = b.call("aten.mul.Tensor", [reduced, 0.125]);
      if (next() < 0.4) full.push(b.call("aten.sub.Tensor", [a, scaled]));
      if (next() < 0.7) results.push(pick([reduced, scaled]));
    }
    return [...results, full.at(-1) as Node];
  });
}

Deno.test("random reductions over subsets of axes mean the same in one kernel as apart", () => {
  let [before, after] = [0, 0];
  for (let seed = 0; seed < 60; seed++) {
    const graph = randomReductions(seed);
    const next = randomSource(seed + 99);
    const inputs = graph.placeholders.map((n) => {
      const numel = (n.value as TensorMeta).shape.reduce<number>((size, s) => size * Number(s), 1);
      return randomNumbers(numel, float32, next).map((v) => Number(v) / 3);
    });
    const plain = compileGraphToPlan(graph, { crossReductions: false });
    const fused = compileGraphToPlan(graph);
    before += plain.counters.kernels;
    after += fused.counters.kernels;
    const expected = runPlan(plain.plan, { inputs }).results;
    const same = (got: readonly (number | bigint)[], i: number, what: string): void => {
      const want = (expected[i] ?? []).map(Number);
      const scale = want.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
      assertClose([...got], want, float32, `seed ${seed}, ${what}, result ${i}`, {
        relative: 1e-4,
        absolute: 1e-5 * scale,
      });
    };
    runPlan(fused.plan, { inputs }).results.forEach((got, i) => same(got, i, "interpreted"));
    const buffers = fused.plan.slots.map((s) => s.buffer);
    for (const tier of TESTED.filter((t) => t.name === "js" || (t.name === "cpp" && !t.ignore && seed % 12 === 0))) {
      const memory = fused.plan.slots.map((s) =>
        toBuffer(
          s.buffer.dtype,
          s.kind === "input"
            ? inputs[s.index] ?? []
            : new Array<number>(Number(constantValue(s.buffer.numel))).fill(NaN),
        )
      );
      tier.compile(planOf(fused.groups, buffers, [])).run(memory, []);
      fused.plan.results.forEach((r, i) => {
        if (r.kind !== "tensor") return;
        same(
          fromBuffer(float32, memory[buffers.indexOf(r.buffer)] as CpuBuffer, expected[i]?.length ?? 0),
          i,
          tier.name,
        );
      });
    }
  }
  assert.ok(after < before, `${before} kernels became ${after}`);
});

Deno.test("sums of columns stay side by side in vectors: a sum over their roots is a kernel of its own", () => {
  check(
    "global response normalisation",
    (x) => {
      const norm = x.mul(x).sum([1], true).sqrt();
      return [x.mul(norm.div(norm.mean([-1], true).add(1e-6)))];
    },
    [[randn([2, 64, 384])]],
    { kernels: 3 },
  );
});
