/**
 * The ways in which a contraction can run on CUDA: all of them compile, those that the processor can emulate are right, cuBLASLt is asked for what the kernel says, and what
 * a file says of a choice is believed only as far as it fits.
 */
import assert from "node:assert/strict";
import { bfloat16, float16, float32 } from "../../../src/core/mod.ts";
import { candidateContext, difference, requestOf } from "../../../src/inductor/autotune/candidates.ts";
import { readEntry, tunedToText } from "../../../src/inductor/autotune/tuner.ts";
import { CUDA_TARGET } from "../../../src/inductor/codegen/cuda/emit_tile.ts";
import type { CudaKernelText } from "../../../src/inductor/codegen/cuda/kernel_text.ts";
import {
  choiceToText,
  type ContractionChoice,
  contractionChoices,
  emitChoice,
  readChoice,
} from "../../../src/inductor/templates/cuda_choices.ts";
import { libraryProduct } from "../../../src/inductor/templates/cuda_library.ts";
import { reorderK } from "../../../src/inductor/templates/cuda_reorder.ts";
import { roundedTo, splitContraction } from "../../../src/inductor/templates/cuda_sums.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import type { ContractionKernel } from "../../../src/inductor/tile/tile_ir.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { compileAllSync, findNvrtc, NvrtcCompiler } from "../../../src/runtime/cuda/mod.ts";
import { type Contraction, convForward, matmul } from "../templates/contractions.ts";
import { emulate } from "./cuda_emulator.ts";
import { check, type Numbers, randomNumbers, randomSource } from "./harness.ts";
import { zeros } from "./groups.ts";
import type { BufferRef } from "../../../src/loops/mod.ts";
import { constantValue } from "../../../src/symbolic/mod.ts";

const H100 = { arch: 90, multiprocessors: 132 } as const;
const toolchain = findToolchain();
const nvrtc = findNvrtc();

function kernelOf({ group }: Contraction): ContractionKernel {
  const [kernel] = lowerGroup(group, CUDA_TARGET);
  if (kernel?.kind !== "contraction") throw new Error("no contraction");
  return reorderK(kernel);
}

function textsOf(kernel: ContractionKernel, choice: ContractionChoice, allowTf32 = false): CudaKernelText[] {
  const texts = emitChoice(kernel, choice, candidateContext({ ...H100, allowTf32 }));
  assert.ok(texts !== null, choiceToText(choice));
  return texts;
}

Deno.test({
  name: `every way of a contraction compiles for sm_90a${nvrtc.ok ? "" : ` [skipped: ${nvrtc.problem.problem}]`}`,
  ignore: !nvrtc.ok,
  fn: () => {
    if (!nvrtc.ok) return;
    const cases: [string, Contraction, boolean][] = [
      ["rows", matmul([1, 1536, 1152, 512], bfloat16, { tb: true, bias: true }), false],
      ["columns, batches", matmul([3, 640, 384, 256], float16, { ta: true }), false],
      ["a few rows", matmul([1, 16, 2048, 4096], float16, { tb: true, bias: true }), false],
      ["tf32", matmul([1, 1000, 1024, 512], float32, { tb: true, bias: true }), true],
      [
        "convolution",
        convForward({ n: 8, ci: 64, co: 96, h: 28, w: 28, kernel: 3, stride: 1, padding: 1 }, float16),
        false,
      ],
    ];
    const requests = [];
    for (const [name, contraction, tf32] of cases) {
      const kernel = kernelOf(contraction);
      const choices = contractionChoices(kernel, candidateContext({ ...H100, allowTf32: tf32 }), { cublaslt: 1 });
      const templates = new Set(choices.map(({ template }) => template));
      assert.equal(templates.has("hopper"), name !== "convolution", name);
      assert.equal(templates.has("cublaslt"), name !== "convolution", name);
      for (const choice of choices) {
        for (const text of textsOf(kernel, choice, tf32)) {
          if (text.library === undefined) requests.push(requestOf(text, { arch: "sm_90a", kind: "cubin" }));
          if (choice.template === "hopper" && tf32 && text.support !== undefined) {
            assert.match(text.support, /k8\.f32\.tf32\.tf32/);
          }
        }
      }
    }
    assert.ok(requests.length > 30, `${requests.length} kernels`);
    compileAllSync(new NvrtcCompiler(nvrtc.value), requests);
  },
});

function emulated(name: string, fn: () => void): void {
  Deno.test({
    name: toolchain.ok ? name : `${name} [skipped: ${toolchain.problem}]`,
    ignore: !toolchain.ok,
    fn,
  });
}

emulated("an epilogue apart from its sums gives what it gives inside, and tiles that are asked for are taken", () => {
  const next = randomSource(11);
  const tolerance = { relative: 1e-2, absolute: 1e-2 };
  for (const dtype of [float16, bfloat16]) {
    const contraction = matmul([2, 70, 72, 64], dtype, { tb: true, bias: true });
    const { a, b, out, extra, group } = contraction;
    const data = new Map<BufferRef, Numbers>();
    for (const x of [a, b, ...extra]) {
      data.set(x, randomNumbers(constantValue(x.numel) ?? 0, dtype, next));
    }
    data.set(out, zeros(2 * 70 * 72));
    for (const apart of [false, true]) {
      const asked: string[] = [];
      check({ groups: [group], data, outputs: [out], tolerance }, {
        name: `apart ${apart}`,
        compile: (plan) =>
          emulate(plan, {
            arch: 80,
            multiprocessors: 4,
            choose: (kernel, context) => {
              const choices = contractionChoices(kernel, context).filter((c) => c.template === "mma");
              const choice = choices.at(-1);
              if (choice === undefined || choice.template !== "mma") return null;
              asked.push(choiceToText({ ...choice, apart }));
              const texts = emitChoice(kernel, { ...choice, apart }, context);
              assert.equal(texts?.length, apart ? 2 : 1);
              return texts;
            },
          }),
      });
      assert.equal(asked.length, 1);
    }
  }
});

emulated("warpgroups that take tiles in turn sum what they sum together, with more steps than stages", () => {
  const next = randomSource(5);
  const { a, b, out, extra, group } = matmul([1, 384, 64, 448], float16, { tb: true, bias: true });
  const data = new Map<BufferRef, Numbers>();
  for (const x of [a, b, ...extra]) data.set(x, randomNumbers(constantValue(x.numel) ?? 0, float16, next));
  data.set(out, zeros(384 * 64));
  check({ groups: [group], data, outputs: [out], tolerance: { relative: 1e-2, absolute: 2e-2 } }, {
    name: "turns",
    compile: (plan) =>
      emulate(plan, {
        arch: 90,
        multiprocessors: 1,
        choose: (kernel, context) => {
          const known = contractionChoices(kernel, context).find((c) => c.template === "hopper" && c.shape.turns);
          assert.ok(known !== undefined);
          return emitChoice(kernel, known, context);
        },
      }),
  });
});

Deno.test("cuBLASLt is asked for a product with its bias and clamp, or for the sums where the epilogue is none of its own", () => {
  const linear = libraryProduct(kernelOf(matmul([1, 64, 48, 32], float16, { tb: true, bias: true })), false, 3);
  assert.deepEqual(linear?.spec, {
    m: 64,
    n: 48,
    k: 32,
    batch: 1,
    type: "float16",
    result: "float16",
    tf32: false,
    epilogue: "relu_bias",
    algorithm: 3,
    a: { along: "k", stride: 32, batchStride: 0 },
    b: { along: "k", stride: 32, batchStride: 0 },
    d: { stride: 48, batchStride: 0 },
  });
  assert.equal(linear?.bias?.buffer.label, "bias");
  const turned = libraryProduct(kernelOf(matmul([5, 64, 48, 32], bfloat16, { ta: true })), false);
  assert.deepEqual([turned?.spec.a, turned?.spec.b, turned?.spec.d, turned?.spec.batch], [
    { along: "rows", stride: 64, batchStride: 2048 },
    { along: "rows", stride: 48, batchStride: 1536 },
    { stride: 48, batchStride: 3072 },
    5,
  ]);
  // A result that is contiguous along m is the product of the exchanged operands.
  const exchanged = libraryProduct(kernelOf(matmul([1, 64, 48, 32], float16, { tb: true, turned: true })), false);
  assert.deepEqual([exchanged?.spec.m, exchanged?.spec.n, exchanged?.spec.d.stride], [48, 64, 64]);
  assert.equal(libraryProduct(kernelOf(matmul([1, 64, 48, 32], float32, {})), true)?.spec.tf32, true);
  const conv = { n: 2, ci: 16, co: 16, h: 8, w: 8, kernel: 3, stride: 1, padding: 1 };
  assert.equal(libraryProduct(kernelOf(convForward(conv, float16)), false), null);
});

Deno.test("sums that are rounded at once are kept as halves, others as they are", () => {
  const plain = kernelOf(matmul([1, 64, 48, 32], float16, {}));
  assert.equal(roundedTo(plain), float16);
  const split = splitContraction(plain, 0);
  assert.equal(split.buffer.dtype, float16);
  assert.equal(libraryProduct(split.sums, false)?.spec.result, "float16");
  assert.equal(roundedTo(kernelOf(matmul([1, 64, 48, 32], float32, { bias: true }))), float32);
});

Deno.test("a choice in a file is taken only if it is one, and fits the contraction", () => {
  const good: ContractionChoice[] = [
    { template: "model" },
    { template: "plain", apart: false },
    { template: "cublaslt", algorithm: 2, apart: true },
    { template: "mma", m: 64, n: 64, pieces: 1, apart: false },
    { template: "hopper", shape: { m: 128, n: 128, pieces: 4, tail: true, turns: true, mates: false }, apart: false },
    { template: "hopper", shape: { m: 256, n: 256, pieces: 0, tail: false, turns: false, mates: true }, apart: false },
    { template: "cluster", shape: { m: 192, n: 192, pieces: 1 }, apart: false },
  ];
  for (const choice of good) assert.deepEqual(readChoice(JSON.parse(JSON.stringify(choice))), choice);
  const bad: unknown[] = [
    null,
    "model",
    [],
    { template: "constructor", apart: true },
    { template: "cublaslt", algorithm: 1e9, apart: true },
    { template: "cublaslt", algorithm: 1 },
    { template: "mma", m: "64", n: 64, pieces: 1, apart: false },
    { template: "hopper", shape: { m: 128, n: -1, pieces: 1, tail: false, turns: false, mates: false }, apart: false },
    { template: "hopper", shape: null, apart: false },
    { template: "hopper", shape: { m: 192, n: 192, pieces: 1 }, apart: false },
    { template: "cluster", shape: { m: 192, n: 192 }, apart: false },
    {
      template: "hopper",
      shape: { m: 128, n: 128, pieces: 1e6, tail: false, turns: false, mates: false },
      apart: false,
    },
  ];
  for (const value of bad) assert.equal(readChoice(value), null, JSON.stringify(value));
  const kernel = kernelOf(matmul([1, 1024, 1024, 512], float16, { tb: true }));
  const context = (): ReturnType<typeof candidateContext> => candidateContext(H100);
  assert.equal(
    emitChoice(
      kernel,
      {
        template: "hopper",
        shape: { m: 128, n: 77, pieces: 1, tail: false, turns: false, mates: false },
        apart: false,
      },
      context(),
    ),
    null,
  );
  assert.equal(emitChoice(kernel, { template: "mma", m: 16, n: 16, pieces: 1, apart: false }, context()), null);
});

Deno.test("results of two ways that are NaN or infinite in the same places agree, and in other places do not", () => {
  const bytes = (list: number[]): Uint8Array<ArrayBuffer> => new Uint8Array(new Float32Array(list).buffer);
  const given = bytes([1, NaN, Infinity, -4]);
  assert.equal(difference(given, bytes([1, NaN, Infinity, -4]), float32), 0);
  assert.equal(difference(given, bytes([1, NaN, Infinity, -3]), float32), 0.25);
  for (const other of [[NaN, NaN, Infinity, -4], [1, 2, Infinity, -4], [1, NaN, 7, -4]]) {
    assert.ok(!(difference(given, bytes(other), float32) <= 1), String(other));
  }
});

Deno.test("an entry of the cache that is damaged or made up is no entry, and its text stays in a line", () => {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  for (const text of ["", "{", "null", "[]", '{"choice": {}}', '{"choice": "model", "measured": 3}']) {
    assert.equal(readEntry("key", encode(text)), null, text);
  }
  const measured = [{ way: "wgmma\n\u001b[31m", ms: "fast", error: { a: 1 } }, null];
  const entry = readEntry("contraction m 4", encode(JSON.stringify({ choice: { template: "model" }, measured })));
  assert.equal(entry?.measured.length, 2);
  assert.deepEqual(entry?.measured[0], { way: "wgmma  [31m", ms: null, error: "[object Object]" });
  assert.equal(tunedToText(entry as NonNullable<typeof entry>).split("\n").length, 1);
});

Deno.test("products of float32 keep their bits unless tf32 is allowed, and take wgmma only where both operands lie along k or it pays to turn them", () => {
  const templates = (contraction: Contraction, allowTf32: boolean): string[] => {
    const kernel = kernelOf(contraction);
    const choices = contractionChoices(kernel, candidateContext({ ...H100, allowTf32 }), { cublaslt: 1 });
    return [...new Set(choices.map(({ template }) => template).filter((template) => template !== "cluster"))];
  };
  const linear = matmul([1, 1024, 1024, 512], float32, { tb: true });
  assert.deepEqual(templates(linear, false), ["plain", "cublaslt"]);
  assert.deepEqual(templates(linear, true), ["hopper", "mma", "cublaslt"]);
  assert.deepEqual(templates(matmul([1, 512, 512, 512], float32, {}), true), ["mma", "cublaslt"]);
  assert.deepEqual(templates(matmul([1, 4096, 4096, 512], float32, {}), true), ["hopper", "mma", "cublaslt"]);
  assert.deepEqual(templates(matmul([1, 4096, 4096, 512], float32, {}), false), ["plain", "cublaslt"]);
  assert.equal(libraryProduct(kernelOf(linear), false)?.spec.tf32, false);
});
