/**
 * Convolutions by cuDNN: recognised in contractions, checked, passed on. On a library without a device that computes in the host's memory; on the real one where there is a GPU.
 */
import assert from "node:assert/strict";
import { contractionOf } from "../../../bench/contraction_ways.ts";
import { float16 } from "../../../src/core/mod.ts";
import { onEvent, withConfig } from "../../../src/core/mod.ts";
import { libraryConvolution } from "../../../src/inductor/templates/cuda_library_convolution.ts";
import {
  Binding,
  checkConvolutionSpec,
  type ConvolutionSpec,
  type CudaBuffer,
  type CudaContext,
  CudaDeviceMemory,
  CudnnConvolution,
  findCudnn,
  loadDriver,
  openCudnn,
  useCudnn,
} from "../../../src/runtime/cuda/mod.ts";
import { compile, F, noGrad, randn, type Tensor } from "../../../mod.ts";
import { buildFake, fakeContext, fakeTest } from "./support.ts";

interface FakeDnn {
  readonly path: string;
  set(version: number, cuda: number, engines: number, workspace: bigint): void;
  alive(): number;
  ran(): number;
}

let built: FakeDnn | null = null;

/** The fake library; made once. */
function fakeDnn(): FakeDnn {
  if (built !== null) return built;
  const path = buildFake("libcudnn.so.9", "fake_libcudnn.cpp");
  if (path === null) throw new Error("no C++ compiler");
  const { symbols } = Deno.dlopen(path, {
    fake_dnn_set: { parameters: ["i32", "i32", "i32", "i64"], result: "void" },
    fake_dnn_alive: { parameters: [], result: "i32" },
    fake_dnn_ran: { parameters: [], result: "i32" },
  });
  return built = {
    path,
    set: (version, cuda, engines, workspace) => symbols.fake_dnn_set(version, cuda, engines, workspace),
    alive: () => symbols.fake_dnn_alive(),
    ran: () => symbols.fake_dnn_ran(),
  };
}

function useFake(): FakeDnn {
  const dnn = fakeDnn();
  dnn.set(91000, 13000, 3, 4096n);
  useCudnn(openCudnn([{ path: dnn.path, major: 9 }], 13000));
  return dnn;
}

/** Channels innermost. */
function last(sizes: number[]): [number[], number[]] {
  const [, c = 1, h = 1, w = 1] = sizes;
  return [sizes, [c * h * w, 1, w * c, c]];
}

interface Shape {
  readonly x: readonly [batch: number, channels: number, height: number, width: number];
  readonly features: number;
  readonly window: readonly [number, number];
  readonly stride?: readonly [number, number];
  readonly padding?: readonly [number, number];
  readonly dilation?: readonly [number, number];
  readonly groups?: number;
  readonly residual?: boolean;
}

function convolve(given: Shape, x: Tensor, w: Tensor, bias: Tensor, z: Tensor | null): Tensor {
  const { stride = [1, 1], padding = [0, 0], dilation = [1, 1], groups = 1 } = given;
  const y = F.conv2d(x, w, bias, [...stride], [...padding], [...dilation], groups);
  return F.relu(z === null ? y : F.add(y, z));
}

function resultOf({ x, features, window, stride = [1, 1], padding = [0, 0], dilation = [1, 1] }: Shape): number[] {
  const [batch] = x;
  const along = (d: 0 | 1): number =>
    Math.floor(((x[d === 0 ? 2 : 3]) + 2 * padding[d] - dilation[d] * (window[d] - 1) - 1) / stride[d]) + 1;
  return [batch, features, along(0), along(1)];
}

/** What the library is asked for a convolution of halves with channels innermost. */
function specOf(given: Shape): ConvolutionSpec | null {
  const { x, features, window, groups = 1, residual = false } = given;
  const kernel = contractionOf("a convolution", float16, (input) => {
    const z = residual ? input("z", ...last(resultOf(given))) : null;
    const w = input("w", ...last([features, x[1] / groups, ...window]));
    return F.permute(convolve(given, input("x", ...last([...x])), w, input("b", [features]), z), [0, 2, 3, 1])
      .contiguous();
  });
  return libraryConvolution(kernel)?.spec ?? null;
}

class Bench {
  readonly context: CudaContext = fakeContext();
  readonly memory: CudaDeviceMemory = new CudaDeviceMemory(() => this.context);

  buffer(t: Tensor): CudaBuffer {
    const bytes = new Uint8Array((t.dataSync() as Float32Array<ArrayBuffer>).slice().buffer);
    const buffer = this.context.allocator.allocate(bytes.length);
    this.memory.write(buffer, 0, bytes);
    return buffer;
  }

  /** Runs a plan of one convolution in float32, and returns how far its results are from the reference. */
  check(given: Shape, spec: ConvolutionSpec): number {
    const { x: sizes, features, window, groups = 1, residual = false } = given;
    const [x, w] = [randn([...sizes]), randn([features, sizes[1] / groups, ...window])];
    const [bias, z] = [randn([features]), residual ? randn(resultOf(given)) : null];
    const innermost = (t: Tensor): Tensor => noGrad(() => t.permute([0, 2, 3, 1]).contiguous());
    const want = innermost(convolve(given, x, w, bias, z)).dataSync() as Float32Array;
    using call = new CudnnConvolution(this.context, {
      ...spec,
      type: "float32",
      result: "float32",
      steps: spec.steps.map((step) => step.kind === "relu" ? step : { ...step, type: "float32" }),
    });
    const y = this.context.allocator.allocate(4 * want.length);
    // Steps read in the order in which they stand.
    const extras = spec.steps.flatMap(({ kind }) =>
      kind === "bias" ? [bias] : kind === "add" && z !== null ? [innermost(z)] : []
    );
    const buffers = [this.buffer(innermost(x)), this.buffer(innermost(w)), y, ...extras.map((t) => this.buffer(t))];
    const binding = new Binding(
      this.context,
      {
        name: "test",
        sources: buffers.map(() => ({ kind: "external" })),
        arenaBytes: () => 0,
        slotBytes: buffers.map((b) => () => b.byteLength),
        steps: [{
          kind: "launches",
          launches: [{
            fn: call,
            args: [
              ...[0, 1, 2].map((slot) => ({ kind: "slot", slot, align: 16 }) as const),
              { kind: "scratch", bytes: () => call.workspaceBytes, zeroed: false, id: 0 },
              ...extras.map((_, i) => ({ kind: "slot", slot: 3 + i, align: 16 }) as const),
            ],
            grid: [() => 1, () => 1, () => 1],
            block: [1, 1, 1],
            sharedBytes: 0,
          }],
        }],
      },
      [],
      0,
    );
    using arena = this.context.allocator.allocate(binding.arenaBytes);
    binding.place(arena.address, 0);
    buffers.forEach((b, i) => binding.point(i, b.address));
    const [segment] = binding.segments;
    assert.ok(segment?.kind === "launches");
    binding.run(segment, this.context.currentStream, false);
    this.context.synchronize();
    const got = new Float32Array(this.memory.readSync(y, 0, y.byteLength).buffer);
    return got.reduce((worst, v, i) => Math.max(worst, Math.abs(v - (want[i] ?? NaN))), 0);
  }
}

const SHAPES: readonly Shape[] = [
  { x: [2, 8, 6, 5], features: 16, window: [3, 3], padding: [1, 1] },
  { x: [2, 16, 7, 9], features: 32, window: [3, 3], stride: [2, 2], padding: [1, 1], residual: true },
  { x: [1, 16, 9, 8], features: 32, window: [5, 3], stride: [2, 1], padding: [2, 1] },
  { x: [2, 16, 12, 12], features: 32, window: [3, 3], dilation: [2, 2], padding: [2, 2] },
  { x: [2, 32, 8, 8], features: 64, window: [1, 1], stride: [2, 2] },
  { x: [2, 32, 8, 6], features: 64, window: [1, 1], residual: true },
  { x: [2, 32, 6, 6], features: 32, window: [3, 3], padding: [1, 1], groups: 2 },
  { x: [2, 16, 8, 8], features: 32, window: [3, 3] },
];

fakeTest("convolutions are read back from how contractions address memory, and the library computes them", () => {
  const dnn = useFake();
  const bench = new Bench();
  for (const given of SHAPES) {
    const spec = specOf(given);
    const text = JSON.stringify(given);
    assert.ok(spec !== null, text);
    assert.deepEqual(
      spec.steps.map(({ kind }) => kind),
      given.residual === true ? ["bias", "add", "relu"] : ["bias", "relu"],
    );
    assert.ok(bench.check(given, { ...spec, algorithm: 1 }) < 1e-4, `${text}\n${JSON.stringify(spec)}`);
  }
  assert.equal(dnn.ran(), 1, "the engine that was asked for");
  assert.equal(dnn.alive(), 0, "descriptors are given back");
});

fakeTest("cuDNN without an engine for a convolution says so, and leaves no descriptor behind", () => {
  const dnn = useFake();
  const context = fakeContext();
  const spec = specOf(SHAPES[0] as Shape) as ConvolutionSpec;
  const wide: ConvolutionSpec = { ...spec, type: "float32", result: "float32", steps: [] };
  assert.throws(
    () => new CudnnConvolution(context, { ...wide, algorithm: 5 }),
    /has 3 engines for 2×8×6×5 with 16 windows/,
  );
  assert.throws(
    () => new CudnnConvolution(context, spec),
    /Finalize answers CUDNN_STATUS_NOT_SUPPORTED .*\(only float32 here\)/,
  );
  dnn.set(91000, 13000, 0, 0n);
  assert.throws(
    () => new CudnnConvolution(context, wide),
    /CUDNN_STATUS_NOT_SUPPORTED for engineHeuristics .*no engine/,
  );
  dnn.set(91000, 13000, 3, 2n ** 33n);
  assert.throws(() => new CudnnConvolution(context, wide), /takes 8589934592 bytes of workspace/);
  assert.equal(dnn.alive(), 0);
});

fakeTest("a cuDNN of another major version, or for a CUDA newer than the driver's, is not used", () => {
  const dnn = fakeDnn();
  const candidates = [{ path: "/nowhere/libcudnn.so.9", major: 9 }, { path: dnn.path, major: 9 }];
  dnn.set(92400, 12090, 3, 0n);
  const found = openCudnn(candidates, 12000);
  assert.ok(found.ok && found.value.version === 92400);
  dnn.set(92400, 13030, 3, 0n);
  const newer = openCudnn(candidates, 12080);
  assert.ok(!newer.ok);
  assert.match(newer.problem.tried.join("\n"), /not there\n.*for CUDA 13030, newer than the driver/);
  dnn.set(8907, 12000, 3, 0n);
  const older = openCudnn(candidates, 13000);
  assert.ok(!older.ok && /version 8907 is none of 9/.test(older.problem.tried.join("\n")));
});

fakeTest("without cuDNN a stored plan that calls it says what is missing", () => {
  useCudnn(openCudnn([], 13000));
  const spec = specOf(SHAPES[0] as Shape) as ConvolutionSpec;
  assert.throws(() => new CudnnConvolution(fakeContext(), spec), /a compiled plan calls cuDNN. cuDNN was not found/);
});

Deno.test("what a file says of a call of cuDNN is checked", () => {
  const spec = specOf(SHAPES[1] as Shape) as ConvolutionSpec;
  assert.equal(checkConvolutionSpec(spec), spec);
  const bad: Partial<Record<keyof ConvolutionSpec, unknown>>[] = [
    { kind: "product" },
    { batch: 0 },
    { groups: 3 },
    { size: [3] },
    { size: "6,5" },
    { stride: [0, 1] },
    { before: [-1, 0] },
    { type: "float8" },
    { result: "constructor" },
    { x: [1, 2, 3] },
    { steps: [{ kind: "tanh" }] },
    { steps: [{ kind: "add", type: "float16" }] },
    { algorithm: 99 },
  ];
  for (const change of bad) {
    assert.throws(
      () => checkConvolutionSpec({ ...spec, ...change } as ConvolutionSpec),
      TypeError,
      JSON.stringify(change),
    );
  }
});

const real = loadDriver().ok ? findCudnn() : null;
Deno.test({
  name: "convolutions of the real cuDNN are what generated kernels give, recorded too" +
    (real?.ok === true ? "" : " [skipped: no GPU with cuDNN]"),
  ignore: real?.ok !== true,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    if (real !== null) useCudnn(real);
    using _ = withConfig({ disabled: new Set(["cache"]), autotuneBackends: new Set(["cudnn"]) });
    const innermost = (t: Tensor): Tensor => noGrad(() => t.permute([0, 3, 1, 2]));
    const [w, bias] = [innermost(randn([128, 3, 3, 128]).mul(0.05).to(float16).to("cuda")), randn([128])];
    const b = bias.to(float16).to("cuda");
    // A recorded graph takes four launches at least.
    const net = (x: Tensor): Tensor =>
      [1, 2, 3, 4].reduce((y) => F.relu(F.add(F.conv2d(y, w, b, [1, 1], [1, 1]), x)), x);
    const chosen: string[] = [];
    using __ = onEvent(({ kind, message }) => {
      if (kind === "autotune" && message.includes(": cuDNN")) chosen.push(message);
    });
    const f = compile(net, { mode: "max-autotune" });
    for (let i = 0; i < 4; i++) {
      const x = innermost(randn([8, 28, 28, 128]).to(float16).to("cuda"));
      const [got, want] = noGrad(() => [f(x), net(x)]);
      const [own, other] = [got, want].map((t) => (t as Tensor).cpu().float().dataSync() as Float32Array) as [
        Float32Array,
        Float32Array,
      ];
      const largest = other.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
      own.forEach((v, j) => assert.ok(Math.abs(v - (other[j] ?? NaN)) < 0.02 * largest));
    }
    assert.ok(chosen.length > 0, "cuDNN was chosen");
  },
});
