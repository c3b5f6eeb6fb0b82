/**
 * Products of int8, fp8 and tf32 on tensor cores: by wgmma and by mma.sync, values on the emulated device, instructions in what nvrtc makes for sm_80, sm_89 and sm_90a; and tiles whose
 * steps blocks share evenly (stream-K).
 */
import assert from "node:assert/strict";
import {
  bfloat16,
  type DType,
  float16,
  float32,
  float8_e4m3fn,
  float8_e5m2,
  int32,
  int8,
} from "../../../src/core/mod.ts";
import { candidateContext, requestOf } from "../../../src/inductor/autotune/candidates.ts";
import { CUDA_TARGET } from "../../../src/inductor/codegen/cuda/emit_tile.ts";
import type { CudaKernelText, EmitContext } from "../../../src/inductor/codegen/cuda/kernel_text.ts";
import { emitCudaContraction } from "../../../src/inductor/templates/cuda_contraction.ts";
import { choiceToText } from "../../../src/inductor/templates/cuda_choices.ts";
import { emitHopperContraction } from "../../../src/inductor/templates/cuda_hopper.ts";
import { reorderK } from "../../../src/inductor/templates/cuda_reorder.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import type { ContractionKernel } from "../../../src/inductor/tile/tile_ir.ts";
import type { BufferRef } from "../../../src/loops/mod.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { type CompileTarget, findNvrtc, NvrtcCompiler } from "../../../src/runtime/cuda/mod.ts";
import { constantValue } from "../../../src/symbolic/mod.ts";
import { type Contraction, matmul } from "../templates/contractions.ts";
import { emulate } from "./cuda_emulator.ts";
import { zeros } from "./groups.ts";
import { check, type Numbers, randomNumbers, randomSource } from "./harness.ts";

const toolchain = findToolchain();
const nvrtc = findNvrtc();

function kernelOf({ group }: Contraction): ContractionKernel {
  const [kernel] = lowerGroup(group, CUDA_TARGET);
  if (kernel?.kind !== "contraction") throw new Error("no contraction");
  return reorderK(kernel);
}

/** Compares a contraction on the emulated device with its meaning; what is emitted goes to `see`. */
function run(
  contraction: Contraction,
  options: { arch: number; allowTf32?: boolean; multiprocessors?: number; choose?: EmitContext["choose"] },
  tolerance: { relative: number; absolute: number },
  see: (texts: readonly CudaKernelText[]) => void = () => {},
): void {
  const next = randomSource(7);
  const { a, b, out, extra, group } = contraction;
  const data = new Map<BufferRef, Numbers>();
  for (const x of [a, b, ...extra]) data.set(x, randomNumbers(constantValue(x.numel) ?? 0, x.dtype, next));
  data.set(out, zeros(constantValue(out.numel) ?? 0));
  check({ groups: [group], data, outputs: [out], tolerance }, {
    name: `sm_${options.arch}`,
    compile: (plan) =>
      emulate(plan, {
        multiprocessors: 3,
        ...options,
        choose: (kernel, context) => {
          const texts = options.choose === undefined
            ? emitCudaContraction(kernel, { ...context, choose: () => null })
            : options.choose(kernel, context);
          see(texts ?? []);
          return texts;
        },
      }),
  });
}

function emulated(name: string, fn: () => void): void {
  Deno.test({
    name: toolchain.ok ? name : `${name} [skipped: ${toolchain.problem}]`,
    ignore: !toolchain.ok,
    fn,
  });
}

const EXACT = { relative: 0, absolute: 0 };
const NEAR = { relative: 1e-5, absolute: 1e-4 };

emulated("int8 with sums of int32 is exact on both generations of tensor cores, whichever way operands lie", () => {
  for (const [ta, tb] of [[false, true], [true, false]] as const) {
    run(matmul([1, 70, 40, 96], int8, { ta, tb, result: int32, bias: true }), { arch: 80 }, EXACT, (texts) => {
      assert.match(texts[0]?.body ?? "", /tsr_mma_tile<signed char, /);
    });
  }
  run(matmul([2, 70, 40, 160], int8, { tb: true, result: int32 }), { arch: 90 }, EXACT, (texts) => {
    assert.match(texts[0]?.support ?? "", /m64n\d+k32\.s32\.s8\.s8/);
  });
  // Sums that no tensor core takes.
  run(matmul([1, 40, 36, 40], int32, { tb: true }), { arch: 80 }, EXACT, (texts) => {
    assert.match(texts[0]?.body ?? "", /tsr_plain_tile<int, /);
  });
});

emulated("fp8 is multiplied as it is on Hopper and Ada, as float16 on Ampere, and both kinds meet on Hopper", () => {
  const first = (dtype: DType, second: DType, tb: boolean, k = 64): Contraction =>
    matmul([1, 70, 40, k], dtype, { tb, second, result: float32, bias: true });
  // Two steps of a sum, and three, of which the last is half full.
  run(first(float8_e4m3fn, float8_e4m3fn, true, 256), { arch: 90 }, NEAR, (texts) => {
    assert.match(texts[0]?.support ?? "", /k32\.f32\.e4m3\.e4m3/);
  });
  run(first(float8_e5m2, float8_e4m3fn, true, 320), { arch: 90 }, NEAR, (texts) => {
    assert.match(texts[0]?.support ?? "", /k32\.f32\.e5m2\.e4m3/);
  });
  run(first(float8_e4m3fn, float8_e4m3fn, true), { arch: 89 }, NEAR, (texts) => {
    assert.match(texts[0]?.body ?? "", /tsr_mma_tile<e4m3, /);
  });
  for (const [second, arch] of [[float8_e5m2, 89], [float8_e4m3fn, 80], [float16, 80]] as const) {
    run(first(float8_e4m3fn, second, false), { arch }, NEAR, (texts) => {
      assert.match(texts[0]?.body ?? "", /tsr_mma_tile<f16, /);
    });
  }
});

emulated("tf32 on Ampere rounds operands to ten bits, whichever way they lie, and only where it is allowed", () => {
  const tolerance = { relative: 2e-3, absolute: 5e-2 };
  for (const [ta, tb] of [[false, true], [true, false]] as const) {
    const product = matmul([1, 70, 40, 44], float32, { ta, tb, bias: true });
    run(product, { arch: 80, allowTf32: true }, tolerance, (texts) => {
      assert.match(texts[0]?.body ?? "", /tsr_mma_tile<float, /);
    });
    run(product, { arch: 80 }, NEAR, (texts) => assert.match(texts[0]?.body ?? "", /tsr_plain_tile<float, /));
  }
});

emulated("blocks that share the steps of the last tiles evenly sum what one block sums", () => {
  // Five tiles on three blocks: two of them, of three steps each, are six steps for three blocks, the second of which has some of both.
  const contraction = matmul([1, 640, 40, 3 * 64], bfloat16, { tb: true, bias: true });
  const seen: string[] = [];
  run(contraction, {
    arch: 90,

    choose: (kernel, context) => {
      const shape = { n: 64, pieces: 0, tail: true, turns: false };
      seen.push(choiceToText({ template: "hopper", shape, apart: false }));
      const text = emitHopperContraction(kernel, context, shape);
      return text === null ? null : [text];
    },
  }, { relative: 1e-2, absolute: 3e-2 });
  assert.deepEqual(seen, ["wgmma 128×64, last tiles by steps"]);
});

Deno.test({
  name: `narrow products compile, with the tensor cores' instructions${
    nvrtc.ok ? "" : ` [skipped: ${nvrtc.problem.problem}]`
  }`,
  ignore: !nvrtc.ok,
  fn: () => {
    if (!nvrtc.ok) return;
    const compiler = new NvrtcCompiler(nvrtc.value);
    const compiled = (contraction: Contraction, arch: number, allowTf32 = false): string => {
      const context = candidateContext({ arch, multiprocessors: 132, allowTf32 });
      const [text] = emitCudaContraction(kernelOf(contraction), context);
      if (text === undefined) throw new Error("no kernel");
      const target = (kind: CompileTarget["kind"]): CompileTarget => ({
        arch: arch === 90 ? "sm_90a" : `sm_${arch}`,
        kind,
      });
      compiler.compileUncached(requestOf(text, target("cubin")));
      return new TextDecoder().decode(compiler.compileUncached(requestOf(text, target("ptx"))).bytes);
    };
    const linear = (dtype: DType, result: DType): Contraction =>
      matmul([1, 4096, 4096, 4096], dtype, { tb: true, result, bias: true });
    const cases: [Contraction, number, boolean, RegExp][] = [
      [linear(int8, int32), 90, false, /wgmma\.mma_async\S*\.s32\.s8\.s8/],
      [linear(int8, int32), 80, false, /mma\.sync\S*\.s32\.s8\.s8\.s32/],
      [linear(float8_e4m3fn, bfloat16), 90, false, /wgmma\.mma_async\S*\.f32\.e4m3\.e4m3/],
      [linear(float8_e5m2, bfloat16), 89, false, /mma\.sync\S*\.f32\.e5m2\.e5m2\.f32/],
      [linear(float8_e4m3fn, bfloat16), 80, false, /mma\.sync\S*\.f32\.f16\.f16\.f32/],
      [linear(float32, float32), 80, true, /mma\.sync\S*\.f32\.tf32\.tf32\.f32/],
      [matmul([1, 1024, 1024, 512], float32, {}), 90, true, /mma\.sync\S*\.f32\.tf32\.tf32\.f32/],
    ];
    for (const [contraction, arch, tf32, expected] of cases) {
      assert.match(compiled(contraction, arch, tf32), expected, `sm_${arch} ${expected}`);
    }
  },
});
