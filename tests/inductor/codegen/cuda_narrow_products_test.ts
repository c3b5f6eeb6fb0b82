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
import { emitCudaContraction } from "../../../src/inductor/templates/cuda_contraction.ts";
import { choiceToText } from "../../../src/inductor/templates/cuda_choices.ts";
import { emitHopperContraction } from "../../../src/inductor/templates/cuda_hopper.ts";
import { turnOperands } from "../../../src/inductor/templates/cuda_turned.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { type CompileTarget, findNvrtc, NvrtcCompiler } from "../../../src/runtime/cuda/mod.ts";
import { type Contraction, matmul } from "../templates/contractions.ts";
import { kernelOf, run } from "./cuda_products.ts";

const toolchain = findToolchain();
const nvrtc = findNvrtc();

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

emulated(
  "operands that the tensor cores cannot turn are laid along k before, batch by batch, ends of rows included",
  () => {
    const turned = (product: Contraction, tolerance: { relative: number; absolute: number }, kernels: number): void =>
      run(
        product,
        {
          arch: 90,
          allowTf32: true,
          choose: (kernel, context) => {
            assert.equal(emitHopperContraction(kernel, context), null);
            const found = turnOperands(kernel, context, true);
            const text = found === null ? null : emitHopperContraction(found.kernel, context);
            return found === null || text === null ? null : found.placed([text]);
          },
        },
        tolerance,
        (texts) => {
          assert.equal(texts.length, kernels);
          assert.ok(texts.at(-1)?.args.some((a) => a.kind === "scratchMap"));
        },
      );
    const tolerance = { relative: 2e-3, absolute: 8e-2 };
    turned(matmul([1, 70, 68, 100], float32, { bias: true }), tolerance, 2);
    turned(matmul([2, 40, 36, 70], float32, { ta: true }), tolerance, 3);
    turned(matmul([1, 70, 80, 160], int8, { result: int32 }), EXACT, 2);
    // Rows of halves that begin anywhere, along k and along themselves.
    turned(matmul([2, 39, 41, 77], float16, { bias: true }), tolerance, 3);
    turned(matmul([1, 64, 41, 77], float16, { ta: true, tb: true }), tolerance, 2);
  },
);

emulated("blocks that share the steps of the last tiles evenly sum what one block sums", () => {
  // Five tiles on three blocks: two of them, of three steps each, are six steps for three blocks, the second of which has some of both.
  const contraction = matmul([1, 640, 40, 3 * 64], bfloat16, { tb: true, bias: true });
  const seen: string[] = [];
  run(contraction, {
    arch: 90,

    choose: (kernel, context) => {
      const shape = { m: 128, n: 64, pieces: 0, tail: true, turns: false, mates: false };
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
      // A kernel that turns an operand comes before the product.
      const texts = emitCudaContraction(kernelOf(contraction), context);
      const text = texts.at(-1);
      if (text === undefined) throw new Error("no kernel");
      const target = (kind: CompileTarget["kind"]): CompileTarget => ({
        arch: arch === 90 ? "sm_90a" : `sm_${arch}`,
        kind,
      });
      for (const one of texts) compiler.compileUncached(requestOf(one, target("cubin")));
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
      [matmul([1, 512, 512, 512], float32, {}), 90, true, /mma\.sync\S*\.f32\.tf32\.tf32\.f32/],
      [matmul([1, 4096, 4096, 512], float32, {}), 90, true, /wgmma\.mma_async\S*\.f32\.tf32\.tf32/],
      [matmul([1, 8192, 4096, 4096], int8, { result: int32 }), 90, false, /wgmma\.mma_async\S*\.s32\.s8\.s8/],
    ];
    for (const [contraction, arch, tf32, expected] of cases) {
      assert.match(compiled(contraction, arch, tf32), expected, `sm_${arch} ${expected}`);
    }
  },
});
