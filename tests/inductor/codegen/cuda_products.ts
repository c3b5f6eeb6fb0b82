/**
 * Products on the emulated device: what tests of their templates share.
 */
import { CUDA_TARGET } from "../../../src/inductor/codegen/cuda/emit_tile.ts";
import type { CudaKernelText, EmitContext } from "../../../src/inductor/codegen/cuda/kernel_text.ts";
import { emitCudaContraction } from "../../../src/inductor/templates/cuda_contraction.ts";
import { reorderK } from "../../../src/inductor/templates/cuda_reorder.ts";
import { lowerGroup } from "../../../src/inductor/tile/lower_group.ts";
import type { ContractionKernel } from "../../../src/inductor/tile/tile_ir.ts";
import type { BufferRef } from "../../../src/loops/mod.ts";
import { constantValue } from "../../../src/symbolic/mod.ts";
import type { Contraction } from "../templates/contractions.ts";
import { emulate } from "./cuda_emulator.ts";
import { zeros } from "./groups.ts";
import { check, type Numbers, randomNumbers, randomSource } from "./harness.ts";

/** The kernel of a contraction. */
export function kernelOf({ group }: Contraction): ContractionKernel {
  const [kernel] = lowerGroup(group, CUDA_TARGET);
  if (kernel?.kind !== "contraction") throw new Error("no contraction");
  return reorderK(kernel);
}

/** Compares a contraction on the emulated device with its meaning; what is emitted goes to `see`. */
export function run(
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
