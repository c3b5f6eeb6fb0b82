/**
 * A tier that runs generated CUDA on the processor: the text is compiled as C++ with `cuda_emulator.h` before it.
 */
import { emitCudaModules } from "../../../src/inductor/codegen/cuda/emit_module.ts";
import type { CudaArg, CudaLaunch, CudaModules, CudaOptions } from "../../../src/inductor/codegen/cuda/launch.ts";
import { sizeFunction, slotNumbers } from "../../../src/inductor/codegen/slots.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { cpuAllocator, type CpuBuffer } from "../../../src/runtime/cpu/memory.ts";
import type { Executable } from "../../../src/runtime/kernel.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import type { Tier } from "./harness.ts";

const HEADER = Deno.readTextFileSync(new URL("./cuda_emulator.h", import.meta.url));

/** A module as C++: launchers take the shape and the arguments as words. */
export function emulatedSource(source: string): string {
  const text = source.replace("// ---- memory ----", "EMU_HALVES\n// ---- memory ----");
  const launchers = [...text.matchAll(/__launch_bounds__\([^)]*\) (k\d+)\(([^)]*)\) \{/g)].map(([, name, list]) => {
    const types = (list ?? "").split(", ").filter((p) => p !== "").map((p) => {
      const type = p.replace(/__restrict__|__grid_constant__/g, "").trim().replace(/\s*\w+$/, "");
      return type.endsWith("*") ? type : `${type} `;
    });
    const args = types.map((type, i) => type.endsWith("*") ? `(${type})a[${i}]` : `(${type})a[${i}]`);
    return `extern "C" void run_${name}(const int* shape, const long* a) { emu_launch(shape, [&] { ${name}(${
      args.join(", ")
    }); }); }`;
  });
  return [HEADER, text, ...launchers].join("\n");
}

interface Runner {
  (shape: Int32Array<ArrayBuffer>, args: BigInt64Array<ArrayBuffer>): void;
}

function compile(modules: CudaModules): Map<string, Runner> {
  const found = findToolchain();
  if (!found.ok) throw new Error(found.problem);
  const runners = new Map<string, Runner>();
  const directory = Deno.makeTempDirSync({ prefix: "tessera-emulated-" });
  modules.modules.forEach((module, i) => {
    const path = `${directory}/m${i}.cpp`;
    Deno.writeTextFileSync(path, emulatedSource(module.source));
    const [command = "", ...rest] = found.toolchain.command;
    const out = new Deno.Command(command, {
      args: [
        ...rest,
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-w",
        "-O1",
        "-fwrapv",
        "-fno-strict-aliasing",
        "-o",
        `${path}.so`,
        path,
      ],
      stderr: "piped",
    }).outputSync();
    if (!out.success) throw new Error(new TextDecoder().decode(out.stderr).slice(0, 4000) + `\n${path}`);
    const names = Object.fromEntries(
      module.functions.map((name) => [`run_${name}`, { parameters: ["buffer", "buffer"], result: "void" } as const]),
    );
    const { symbols } = Deno.dlopen(`${path}.so`, names);
    for (const name of module.functions) runners.set(`${i}/${name}`, symbols[`run_${name}`] as unknown as Runner);
  });
  Deno.removeSync(directory, { recursive: true });
  return runners;
}

/** Compiles a plan for the emulator. */
export function emulate(plan: HostPlan, options: CudaOptions): Executable {
  const modules = emitCudaModules(plan, options);
  const runners = compile(modules);
  const slots = slotNumbers(plan);
  const scratch = new Map<number, CpuBuffer>();
  const error = cpuAllocator().allocateZeroed(32);
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
      case "scratch": {
        const bytes = sizeFunction(plan, arg.bytes)(sizes);
        let found = scratch.get(arg.id);
        if (found === undefined || found.byteLength < bytes) {
          scratch.set(arg.id, found = cpuAllocator().allocateZeroed(bytes).pin());
        }
        return BigInt(found.address);
      }
      case "error":
        return BigInt(error.pin().address);
      case "tensorMap":
        throw new Error("the emulator has no tensor maps");
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
          const shape = new Int32Array(new ArrayBuffer(16));
          shape.set([...grid, launch.block[0]]);
          const words = new BigInt64Array(new ArrayBuffer(8 * Math.max(1, args.length)));
          words.set(args);
          runners.get(`${launch.module}/${launch.function}`)?.(shape, words);
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
