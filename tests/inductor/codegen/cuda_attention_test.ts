/**
 * Attention as one CUDA kernel: which calls take it, that it reads operands where they are, and what it computes, on the processor; and that nvrtc
 * compiles it without spilling. Expected values are those of eager operators on the CPU in float32.
 */
import assert from "node:assert/strict";
import { bfloat16, bool, config, type DType, float16, float32 } from "../../../src/core/mod.ts";
import { emitCudaModules } from "../../../src/inductor/codegen/cuda/emit_module.ts";
import { compileGraphToPlan } from "../../../src/inductor/compile_plan.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import { CUDA_TARGET } from "../../../src/inductor/codegen/cuda/emit_tile.ts";
import { tileToText } from "../../../src/inductor/tile/print.ts";
import { verifyKernel } from "../../../src/inductor/tile/verify.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import { findNvrtc } from "../../../src/runtime/cuda/libraries.ts";
import { NvrtcCompiler } from "../../../src/runtime/cuda/nvrtc.ts";
import { F, type Tensor } from "../../../src/tensor/mod.ts";
import "../../../mod.ts";
import { at, type Body, type Input, type Outcome, record, run } from "./cuda_graph.ts";
import type { Numbers } from "./harness.ts";

config().verify = true;

const toolchain = findToolchain();
const nvrtc = findNvrtc();
const OPTIONS = { arch: 80, multiprocessors: 4 };
function test(name: string, fn: () => void): void {
  Deno.test({ name: toolchain.ok ? name : `${name} [skipped: ${toolchain.problem}]`, ignore: !toolchain.ok, fn });
}

const TOLERANCE = new Map<DType, number>([[float16, 0.006], [bfloat16, 0.05]]);

function check(inputs: readonly Input[], body: Body, dtype: DType, given?: ReadonlyMap<number, Numbers>): Outcome {
  const outcome = run(inputs, body, OPTIONS, given);
  assert.ok(outcome.worst <= (TOLERANCE.get(dtype) ?? 0), `differs by ${outcome.worst}`);
  return outcome;
}

const sdpa = (options: { isCausal?: boolean; scale?: number; enableGqa?: boolean } = {}): Body => (x) =>
  F.scaledDotProductAttention(at(x, 0), at(x, 1), at(x, 2), x[3] ?? null, 0, options.isCausal ?? false, {
    scale: options.scale ?? null,
    enableGqa: options.enableGqa ?? false,
  });

function qkv(
  [b, h, m, n, d, e]: readonly [number, number, number, number, number, number],
  dtype: DType,
  kv = h,
): Input[] {
  return [[[b, h, m, d], dtype], [[b, kv, n, d], dtype], [[b, kv, n, e], dtype]];
}

test("attention of whole and of ragged tiles, every width, is one kernel", () => {
  const cases = [
    [1, 2, 64, 64, 64, 64],
    [2, 1, 65, 197, 32, 32],
    [1, 1, 130, 70, 128, 128],
    [1, 2, 1, 300, 80, 80],
    [1, 1, 40, 7, 48, 96],
    [1, 1, 33, 129, 20, 9],
  ] as const;
  cases.forEach((sizes, i) => {
    const dtype = i % 2 === 0 ? float16 : bfloat16;
    assert.deepEqual(check(qkv(sizes, dtype), sdpa(), dtype).groups, ["attention"], sizes.join());
  });
});

test("128 queries a block where there are blocks enough", () => {
  check(qkv([3, 3, 200, 150, 64, 64], float16), sdpa({ scale: 0.2 }), float16);
  check(qkv([2, 4, 129, 200, 128, 128], bfloat16), sdpa({ isCausal: true }), bfloat16);
});

test("causal attention, also with more queries than keys and fewer", () => {
  for (const [m, n] of [[100, 100], [150, 60], [60, 150]] as const) {
    check(qkv([1, 2, m, n, 32, 32], float16), sdpa({ isCausal: true }), float16);
  }
});

test("masks: bools and numbers, broadcast; rows that see no key are zeros", () => {
  const sizes = [2, 2, 70, 90, 32, 32] as const;
  for (const shape of [[70, 90], [2, 1, 1, 90], [1, 2, 70, 90], [2, 1, 70, 1]]) {
    for (const dtype of [bool, float16, float32]) {
      check([...qkv(sizes, float16), [shape, dtype]], sdpa(), float16);
    }
  }
  const none = new Map([[3, new Array<number>(70 * 90).fill(0).map((_, i) => i < 90 ? 0 : 1)]]);
  check([...qkv(sizes, float16), [[70, 90], bool]], sdpa(), float16, none);
});

test("a mask of the smallest finite numbers leaves a mean, as eager softmax does", () => {
  const smallest = -3.3895313892515355e38;
  const given = new Map([[3, new Array<number>(40 * 50).fill(smallest)]]);
  check([...qkv([1, 1, 40, 50, 32, 32], bfloat16), [[40, 50], bfloat16]], sdpa(), bfloat16, given);
});

test("a scale of zero and a negative one", () => {
  for (const scale of [0, -0.3]) check(qkv([1, 1, 20, 70, 32, 32], float16), sdpa({ scale }), float16);
});

test("heads of one projection are read where they are, and the result is written as the next one reads it", () => {
  const body: Body = (x) => {
    const [q, k, v] = [0, 1, 2].map((i) => at(x, 0).narrow(2, 64 * i, 64).reshape([2, 50, 2, 32]).transpose(1, 2)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    return sdpa()([q, k, v]).transpose(1, 2).reshape([2, 50, 64]).add(1);
  };
  const { groups } = check([[[2, 50, 192], float16]], body, float16);
  assert.deepEqual(groups, ["attention", "loops"]);
  const { plan } = compileGraphToPlan(record([[[2, 50, 192], float16]], body), { crossReductions: false });
  const last = plan.steps[1]?.group;
  assert(last?.kind === "loops");
  assert.equal(last.axes.length, 1, "rows of all heads lie together");
});

test("batches of two dimensions that are seen as one before the transposition", () => {
  const body: Body = (x) => sdpa()(x).view([6, 2, 20, 32]).transpose(1, 2).reshape([6, 20, 64]).add(1);
  const inputs = [0, 1, 2].map((): Input => [[2, 3, 2, 20, 32], float16]);
  check(inputs, body, float16);
  const { plan } = compileGraphToPlan(record(inputs, body), { crossReductions: false });
  const last = plan.steps[1]?.group;
  assert(last?.kind === "loops");
  assert.equal(last.axes.length, 1, "rows of all heads lie together");
});

test("grouped heads are not repeated in memory", () => {
  const { groups } = check(qkv([1, 6, 50, 70, 32, 32], float16, 2), sdpa({ enableGqa: true, isCausal: true }), float16);
  assert.deepEqual(groups, ["attention"]);
  const byHand: Body = (x) => {
    const repeat = (t: Tensor): Tensor => t.unsqueeze(2).expand([1, 2, 3, 70, 32]).reshape([1, 6, 70, 32]);
    return sdpa()([at(x, 0), repeat(at(x, 1)), repeat(at(x, 2))]);
  };
  assert.deepEqual(check(qkv([1, 6, 50, 70, 32, 32], float16, 2), byHand, float16).groups, ["attention"]);
});

test("computed operands are stored first", () => {
  const body: Body = (x) => sdpa()([at(x, 0).mul(0.5), at(x, 1).cos(), at(x, 2)]);
  const { groups } = check(qkv([1, 2, 50, 70, 32, 32], float16), body, float16);
  assert.equal(groups.filter((g) => g === "attention").length, 1);
});

Deno.test("float32, wide heads, gradients and the CPU keep the decomposition", () => {
  const kinds = (inputs: readonly Input[]): readonly string[] =>
    compileGraphToPlan(record(inputs, sdpa()), { crossReductions: false }).plan.steps.map((s) => s.group.kind);
  assert.ok(!kinds(qkv([1, 1, 32, 32, 32, 32], float32)).includes("attention"));
  assert.ok(!kinds(qkv([1, 1, 32, 32, 160, 160], float16)).includes("attention"));
  assert.deepEqual(kinds(qkv([1, 1, 32, 32, 128, 128], float16)), ["attention"]);
});

Deno.test("the kernel's text names its operands, and the verifier refuses a mask that is no parameter", () => {
  const inputs: Input[] = [...qkv([1, 2, 50, 70, 32, 32], float16), [[70], bool]];
  const { plan } = compileGraphToPlan(record(inputs, sdpa()), { crossReductions: false });
  const group = plan.steps[0]?.group;
  assert(group !== undefined);
  const [kernel] = lowerGroup(group, CUDA_TARGET);
  assert(kernel?.kind === "attention" && kernel.mask !== null);
  verifyKernel(kernel);
  assert.match(tileToText(kernel), /attention batch\(.*\) m .* scale 0\.17/);
  assert.match(tileToText(kernel), /mask p3\[/);
  assert.throws(() => verifyKernel({ ...kernel, reads: kernel.reads.slice(0, 3) }), /is no parameter/);
  const twisted = { ...kernel.key, index: kernel.query.index };
  assert.throws(() => verifyKernel({ ...kernel, key: twisted }), /not known there/);
});

// Hopper has kernels of its own: `cuda_flash_test.ts`.
for (const [arch, name] of [[80, "sm_80"]] as const) {
  Deno.test({
    name: `attention compiles for ${name}${nvrtc.ok ? "" : ` [skipped: ${nvrtc.problem.problem}]`}`,
    ignore: !nvrtc.ok,
    fn: () => {
      if (!nvrtc.ok) return;
      const compiler = new NvrtcCompiler(nvrtc.value);
      for (const width of [64, 128]) {
        for (const isCausal of [false, true]) {
          const sizes = [16, 16, 1024, 1024, width, width] as const;
          const { plan } = compileGraphToPlan(record(qkv(sizes, bfloat16), sdpa({ isCausal })), {});
          const { modules } = emitCudaModules(plan, { arch, multiprocessors: 132 });
          assert.equal(modules.length, 1);
          const source = modules[0]?.source ?? "";
          assert.match(source, new RegExp(`tsr_attention<bf16, ${width}, ${width}, 128, 64, 4, 15, ${isCausal}, true`));
          const { bytes, log } = compiler.compileSync({
            source,
            target: { arch: name, kind: "cubin" },
            name: `attention ${width}`,
            options: ["--ptxas-options=-v"],
          });
          assert.ok(bytes.length > 0);
          for (const [, spilled] of log.matchAll(/(\d+) bytes spill stores/g)) assert.ok(Number(spilled) <= 64, log);
        }
      }
    },
  });
}
