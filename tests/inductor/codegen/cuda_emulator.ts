/** A tier that runs the kernels of a plan on the processor (`tests/runtime/cuda/emulator/kernels.ts`), without driver and nvrtc. */
import { emitCudaModules } from "../../../src/inductor/codegen/cuda/emit_module.ts";
import type { CudaArg, CudaLaunch } from "../../../src/inductor/codegen/cuda/launch.ts";
import { sizeFunction, slotNumbers } from "../../../src/inductor/codegen/slots.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { cpuAllocator, type CpuBuffer } from "../../../src/runtime/cpu/memory.ts";
import type { Executable } from "../../../src/runtime/kernel.ts";
import { emulatedKernels } from "../../runtime/cuda/emulator/kernels.ts";
import type { Tier } from "./harness.ts";

/** Compiles a plan for the emulator. */
export function emulate(plan: HostPlan, options: Parameters<typeof emitCudaModules>[1]): Executable {
  const modules = emitCudaModules(plan, options);
  const kernels = modules.modules.map(({ source, functions }) => emulatedKernels(source, functions));
  const slots = slotNumbers(plan);
  const scratch = new Map<number, CpuBuffer>();
  const maps: CpuBuffer[] = [];
  const error = cpuAllocator().allocateZeroed(32);
  const scratchOf = (id: number, bytes: number): number => {
    let found = scratch.get(id);
    if (found === undefined || found.byteLength < bytes) {
      scratch.set(id, found = cpuAllocator().allocateZeroed(bytes).pin());
    }
    return found.address;
  };
  const word = (
    arg: CudaArg,
    launch: CudaLaunch,
    buffers: readonly (CpuBuffer | undefined)[],
    sizes: readonly number[],
  ): bigint => {
    switch (arg.kind) {
      case "buffer": {
        const at = slots.get(arg.buffer);
        const found = at === undefined ? undefined : buffers[at];
        if (found === undefined) throw new Error(`no slot for ${arg.buffer.label} of ${launch.function}`);
        return BigInt(found.pin().address);
      }
      case "size":
        return BigInt(sizes[plan.sizes.indexOf(arg.sym)] ?? 0);
      case "scratch":
        return BigInt(scratchOf(arg.id, sizeFunction(plan, arg.bytes)(sizes)));
      case "error":
        return BigInt(error.pin().address);
      case "scratchMap":
      case "tensorMap": {
        const of = (e: typeof arg.map.offset): number => sizeFunction(plan, e)(sizes);
        const { map } = arg;
        const bytes = { float16: 2, bfloat16: 2, float32: 4, tfloat32: 4, uint8: 1 }[map.type];
        let from = 0;
        if (arg.kind === "scratchMap") from = scratchOf(arg.id, of(arg.bytes));
        else {
          const found = buffers[slots.get(arg.buffer) ?? -1];
          if (found === undefined) throw new Error(`no slot for ${arg.buffer.label} of ${launch.function}`);
          from = found.pin().address;
        }
        if (map.swizzle !== 128) throw new Error("the emulator has no such tensor map");
        // As `emulate_hopper.h` reads them: word 13 of the map points to everything.
        const memory = cpuAllocator().allocateZeroed(512).pin();
        const words = new BigInt64Array(memory.storage, memory.byteOffset, 35);
        const [whole, rank] = [16, map.sizes.length];
        words[13] = BigInt(memory.address + whole * 8);
        const type = bytes === 1 ? 0n : bytes === 2 ? 6n : 11n;
        words.set([type, BigInt(rank), BigInt(from + bytes * of(map.offset)), 3n], whole);
        words.set(map.sizes.map((e) => BigInt(of(e))), whole + 4);
        words.set(map.strideBytes.map((e) => BigInt(of(e))), whole + 10);
        words.set(map.box.map(BigInt), whole + 14);
        maps.push(memory);
        return BigInt(memory.address);
      }
      default:
        return arg satisfies never;
    }
  };
  return {
    tier: "cuda",
    run(buffers, sizes) {
      error.uint8.fill(0);
      for (const step of modules.steps) {
        if (step.kind === "host") throw new Error("a host step");
        for (const launch of step.launches) {
          const grid = launch.grid.map((e) => sizeFunction(plan, e)(sizes));
          if (grid.includes(0)) continue;
          const args = launch.args.map((arg) => word(arg, launch, buffers, sizes));
          const run = kernels[launch.module]?.get(launch.function);
          if (run === undefined) throw new Error(`module ${launch.module} has no ${launch.function}`);
          run(new Uint32Array([...grid, ...launch.block, launch.sharedBytes]), new BigInt64Array(args));
        }
      }
      const words = new BigInt64Array(error.storage, error.byteOffset, 4);
      if (words[2] !== 0n) throw new RangeError(`index ${words[0]} is out of range for a dimension of ${words[1]}`);
    },
  };
}

/** CUDA for an H100 whose kernels run on the processor. */
export const CUDA_TIER: Tier = {
  name: "cuda (emulated)",
  compile: (plan) => emulate(plan, { arch: 80, multiprocessors: 4 }),
};
