/** Block programs as CUDA text at the sizes that people have: nvrtc takes every configuration, without spilling, with tensor cores where there are products. */
import assert from "node:assert/strict";
import { type DType, float16, float32, type KernelFunction } from "../../mod.ts";
import { flashAttention, layerNorm, matmul, softmax, vectorAdd } from "../../examples/kernels/kernels.ts";
import { blocksToText, type RecordedTensor } from "../../src/blocks/mod.ts";
import { emitCudaBlocks } from "../../src/inductor/codegen/cuda/blocks/emit.ts";
import { kernelSource, moduleSource } from "../../src/inductor/codegen/cuda/emit_module.ts";
import type { BlocksKernel } from "../../src/inductor/tile/tile_ir.ts";
import { findNvrtc, NvrtcCompiler } from "../../src/runtime/cuda/mod.ts";
import { constant, contiguousStride, exprOf } from "../../src/symbolic/mod.ts";

let nextBuffer = -1000;

function tensorOf(name: string, shape: readonly number[], dtype: DType, writes = false): RecordedTensor {
  const numel = constant(shape.reduce((a, b) => a * b, 1));
  const buffer = { id: nextBuffer--, dtype, numel, label: name };
  return { name, buffer, shape, stride: contiguousStride(shape).map(exprOf), offset: constant(0), writes };
}

const half = (name: string, ...shape: number[]): RecordedTensor => tensorOf(name, shape, float16);

interface Case {
  readonly fn: KernelFunction;
  readonly args: Readonly<Record<string, RecordedTensor | number | boolean>>;
  readonly out: RecordedTensor;
  readonly configs: number;
}

const qkv = (): Readonly<Record<string, RecordedTensor>> => ({
  q: half("q", 2, 16, 4096, 128),
  k: half("k", 2, 16, 4096, 128),
  v: half("v", 2, 16, 4096, 128),
});

const CASES: Readonly<Record<string, () => Case>> = {
  add: () => ({
    fn: vectorAdd,
    args: { x: tensorOf("x", [1 << 26], float32), y: tensorOf("y", [1 << 26], float32) },
    out: tensorOf("out", [1 << 26], float32, true),
    configs: 3,
  }),
  softmax: () => ({
    fn: softmax,
    args: { x: half("x", 8192, 4096) },
    out: tensorOf("out", [8192, 4096], float16, true),
    configs: 3,
  }),
  layer_norm: () => ({
    fn: layerNorm,
    args: { x: half("x", 8192, 4096), weight: half("weight", 4096), bias: half("bias", 4096), eps: 1e-5 },
    out: tensorOf("out", [8192, 4096], float16, true),
    configs: 3,
  }),
  matmul: () => ({
    fn: matmul,
    args: { a: half("a", 4096, 4096), b: half("b", 4096, 4096) },
    out: tensorOf("out", [4096, 4096], float16, true),
    configs: 5,
  }),
  flash_attention: () => ({
    fn: flashAttention,
    args: { ...qkv(), causal: true },
    out: tensorOf("out", [2, 16, 4096, 128], float16, true),
    configs: 3,
  }),
};

function kernelOf({ fn, args, out }: Case, config: number): BlocksKernel {
  const program = fn.op.blocks?.({ ...args, configIndex: config }, [out]);
  assert.ok(program);
  const reads = Object.values(args).flatMap((a) => typeof a === "object" ? [a.buffer] : []);
  return { kind: "blocks", name: program.name, reads, writes: [out.buffer], sizes: [], program, comment: "" };
}

function textsOf(arch: number): ReadonlyMap<string, string> {
  const out = new Map<string, string>();
  for (const [name, make] of Object.entries(CASES)) {
    const one = make();
    for (let c = 0; c < one.configs; c++) {
      const context = { arch, multiprocessors: 132, shared: new Set<never>(), scratchId: () => 0 };
      try {
        const text = emitCudaBlocks(kernelOf(one, c), context);
        const support = text.support === undefined ? [] : [text.support];
        out.set(`${name}_${c}`, moduleSource(text.includes, [...support, kernelSource(`${name}_${c}`, text)]));
      } catch (error) {
        // The largest blocks do not fit an older device.
        assert.match(String(error), /shared memory, there are/);
        assert.equal(arch, 80);
      }
    }
  }
  return out;
}

const nvrtc = findNvrtc();
const reason = nvrtc.ok ? "" : ` [skipped: ${nvrtc.problem.problem}]`;

for (const [arch, name] of [[80, "sm_80"], [90, "sm_90a"]] as const) {
  Deno.test({
    name: `nvrtc compiles all configurations for ${name}${reason}`,
    ignore: !nvrtc.ok,
    sanitizeResources: false,
    fn: () => {
      if (!nvrtc.ok) return;
      const texts = textsOf(arch);
      assert.ok(texts.size >= 14, [...texts.keys()].join());
      const compiler = new NvrtcCompiler(nvrtc.value);
      const target = { arch: name, kind: "cubin" } as const;
      for (const [kernel, source] of texts) {
        const { bytes } = compiler.compileSync({ source, target, name: kernel, options: [] });
        assert.ok(bytes.byteLength > 1_000, kernel);
      }
    },
  });
}

Deno.test("a product's operands are copied ahead, and tensor cores multiply them", () => {
  const [old, hopper] = [textsOf(80), textsOf(90)];
  const has = (texts: ReadonlyMap<string, string>, kernel: string, text: RegExp): void =>
    assert.match(texts.get(kernel) ?? "", text);
  has(hopper, "matmul_1", /tsr_copy_wait<2>\(\)/);
  has(hopper, "matmul_1", /tsr_mma_tile<f16, 128, 128, 32, 32, 128, true, false>/);
  has(hopper, "matmul_2", /tsr_block_ss<f16, 64, true, false, 128, 64>/);
  has(hopper, "flash_attention_1", /tsr_block_rs<f16, 64, false, 64>/);
  has(old, "flash_attention_0", /tsr_mma_fragments<f16, 128, 64, 16, 128, false>/);
});

Deno.test("a program's text is stable, and says what it computes", () => {
  const make = (): string => blocksToText(kernelOf((CASES["softmax"] as () => Case)(), 0).program);
  assert.equal(make(), make());
  assert.match(make(), /max\(%\d+\) along/);
  assert.match(make(), /x0o: grid 8192 by 1/);
});
