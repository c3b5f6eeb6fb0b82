/**
 * Packed weights that are kept from call to call: right at the first call and later ones, and after somebody wrote to the weight.
 */
import assert from "node:assert/strict";
import { compile, nn, type Tensor } from "../../mod.ts";
import { float32, withConfig } from "../../src/core/mod.ts";
import { type CompiledGraph, onCompile } from "../../src/inductor/mod.ts";
import { cpuAllocator, findToolchain, giveBackPages, isMapped, mapFile } from "../../src/runtime/cpu/mod.ts";
import { noGrad, tensorFrom } from "../../src/tensor/mod.ts";

const hasCompiler = findToolchain().ok;

function range(shape: readonly number[], step: number): Tensor {
  const numel = shape.reduce((a, b) => a * b, 1);
  return tensorFrom(shape, Array.from({ length: numel }, (_, i) => ((i * step) % 13) - 6), float32);
}

function assertSame(actual: Tensor, wanted: Tensor, where: string): void {
  const [a, b] = [actual, wanted].map((t) => [...t.contiguous().dataSync()].map(Number));
  assert.equal(a?.length, b?.length);
  const worst = Math.max(...(a ?? []).map((v, i) => Math.abs(v - (b?.[i] ?? NaN))));
  assert.ok(worst <= 1e-2, `${where}: off by ${worst}`);
}

/** The states of what a graph keeps: 1 where it is packed. */
function statesOf(graph: CompiledGraph | null): number[] {
  const kept = graph?.cpp?.weights;
  assert.ok(kept, "the graph keeps no weights");
  return kept.states();
}

interface Case {
  readonly name: string;
  readonly input: readonly number[];
  readonly weight: readonly number[];
  readonly call: (x: Tensor, w: Tensor) => Tensor;
}

/** So large that a filtered weight may be kept beside it. */
const LARGE = range([400_000], 3);

const CASES: readonly Case[] = [
  { name: "a product", input: [40, 96], weight: [96, 200], call: (x, w) => x.mm(w) },
  { name: "a linear layer", input: [40, 96], weight: [200, 96], call: (x, w) => x.mm(w.t()) },
  { name: "a product whose sum is cut into pieces", input: [32, 4100], weight: [4100, 48], call: (x, w) => x.mm(w) },
  { name: "weights of each batch", input: [4, 20, 64], weight: [4, 64, 70], call: (x, w) => x.bmm(w) },
  { name: "a convolution", input: [2, 16, 9, 9], weight: [40, 16, 3, 3], call: (x, w) => nn.functional.conv2d(x, w) },
  {
    name: "a filtered convolution, beside larger weights",
    input: [1, 32, 22, 22],
    weight: [40, 32, 3, 3],
    call: (x, w) => nn.functional.conv2d(x, w).add(LARGE.max().sub(6)),
  },
];

for (const { name, input, weight, call } of CASES) {
  Deno.test({
    name: `weights are packed once and again after a write: ${name}`,
    ignore: !hasCompiler,
    fn() {
      using _config = withConfig({ disabled: new Set(["cache"]) });
      let graph: CompiledGraph | null = null;
      using _ = onCompile((record) => graph = record.graph);
      const x = range(input, 7), w = range(weight, 5);
      const run = compile((x: Tensor) => call(x, w), { mode: "aot", options: { freezing: true } });
      noGrad(() => {
        const other = range(input, 3);
        assertSame(run(x), call(x, w), "first call");
        assert.deepEqual(new Set(statesOf(graph)), new Set([1]));
        assertSame(run(other), call(other, w), "second call");
        w.mul_(2);
        assertSame(run(x), call(x, w), "after a write");
        w.add_(1);
        assertSame(run(other), call(other, w), "after another");
      });
    },
  });
}

Deno.test({
  name: "launches of one function over one weight share what is kept",
  ignore: !hasCompiler,
  fn() {
    using _config = withConfig({ disabled: new Set(["cache"]) });
    let graph: CompiledGraph | null = null;
    using _ = onCompile((record) => graph = record.graph);
    const w = range([80, 80], 5), other = range([80, 80], 11);
    const steps = (x: Tensor): Tensor => {
      for (const weight of [w, w, other, w]) x = x.mm(weight).div(80).tanh();
      return x;
    };
    const run = compile(steps, { mode: "aot", options: { freezing: true } });
    noGrad(() => {
      const x = range([40, 80], 7);
      for (const call of ["first", "second"]) assertSame(run(x), steps(x), `${call} call`);
    });
    assert.deepEqual(statesOf(graph), [1, 1]);
  },
});

Deno.test({
  name: "one weight in one form is kept once, whatever the launches do beside it",
  ignore: !hasCompiler,
  fn() {
    using _config = withConfig({ disabled: new Set(["cache"]) });
    let graph: CompiledGraph | null = null;
    using _ = onCompile((record) => graph = record.graph);
    const w = range([80, 80], 5), bias = range([80], 3);
    const steps = (x: Tensor, y: Tensor): Tensor => x.mm(w).add(bias).mul(y).div(80).tanh().mm(w).div(80).relu();
    const run = compile(steps, { mode: "aot", options: { freezing: true } });
    noGrad(() => {
      const x = range([40, 80], 7), y = range([40, 80], 9);
      for (const call of ["first", "second"]) assertSame(run(x, y), steps(x, y), `${call} call`);
    });
    assert.deepEqual(statesOf(graph), [1]);
  },
});

Deno.test({
  name:
    "filtered weights, which are four times as large, are kept for the convolutions that come first, up to an eighth of all weights",
  ignore: !hasCompiler,
  fn() {
    const found = findToolchain();
    const lanes = found.ok ? found.toolchain.isa.vectorBytes / 4 : 0;
    using _config = withConfig({ disabled: new Set(["cache"]) });
    let graph: CompiledGraph | null = null;
    using _ = onCompile((record) => graph = record.graph);
    const small = range([32, 32, 3, 3], 5), wide = range([256, 32, 3, 3], 7);
    const steps = (x: Tensor): Tensor =>
      nn.functional.conv2d(nn.functional.conv2d(nn.functional.conv2d(x, small), small), wide).add(LARGE.max());
    const run = compile(steps, { mode: "aot", options: { freezing: true } });
    noGrad(() => {
      const x = range([1, 32, 44, 44], 7);
      const [a, b] = [run(x), steps(x)];
      const scale = Number(b.abs().max().item());
      assert.ok(Number(a.sub(b).abs().max().item()) < 1e-5 * scale);
    });
    const source: string = (graph as CompiledGraph | null)?.cpp?.source ?? "";
    // The first two share one weight; the third would need 864 KiB more of 230, and is transformed by each call.
    assert.equal(source.match(/tsr_filter_by<4, \d, 1>\(/g)?.length ?? 0, lanes === 16 ? 3 : 0);
    assert.deepEqual(statesOf(graph).length, lanes === 16 ? 1 : 2);
  },
});

Deno.test({
  name: "nothing is kept that is given to each call, unless asked for, or used often by a call",
  ignore: !hasCompiler,
  fn() {
    using _config = withConfig({ disabled: new Set(["cache"]) });
    let graph: CompiledGraph | null = null;
    using _ = onCompile((record) => graph = record.graph);
    const w = range([64, 64], 5);
    const asked = { mode: "aot", options: { freezing: true } } as const;
    const weights = (): unknown => graph?.cpp?.weights ?? null;
    noGrad(() => {
      compile((x: Tensor, w: Tensor) => x.mm(w), asked)(range([64, 64], 3), w);
      assert.equal(weights(), null, "an input");
      compile((x: Tensor) => x.mm(w), { mode: "aot" })(range([64, 64], 3));
      assert.equal(weights(), null, "not asked for");
      compile((x: Tensor) => x.mm(w), asked)(range([5000, 64], 3));
      assert.equal(weights(), null, "many rows");
    });
  },
});

Deno.test("giveBackPages() leaves the content of a mapped file, and of memory that is none, as it is", () => {
  const path = Deno.makeTempFileSync();
  try {
    const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 31) & 255);
    Deno.writeFileSync(path, bytes);
    const mapped = mapFile(path);
    giveBackPages(mapped.uint8);
    assert.deepEqual(mapped.uint8.slice(), bytes);
    const own = cpuAllocator().allocate(1 << 20);
    own.uint8.set(bytes);
    assert.equal(isMapped(own), false);
    giveBackPages(own.uint8);
    assert.deepEqual(own.uint8.slice(0, 1 << 20), bytes);
  } finally {
    Deno.removeSync(path);
  }
});
