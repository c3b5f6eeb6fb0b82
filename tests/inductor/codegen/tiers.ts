/** The tiers that this machine can run. */
import { loadModule, startCompile } from "./compile_cpp.ts";
import { emitCppModule } from "../../../src/inductor/codegen/cpp/emit_module.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import type { Executable } from "../../../src/runtime/kernel.ts";
import { deviceExecutable, deviceProblem } from "../../helpers/cuda_device.ts";
import { CUDA_TIER } from "./cuda_emulator.ts";
import { JS_TIER, type Tier } from "./harness.ts";

export interface TestedTier extends Tier {
  readonly ignore: boolean;
  /** Which tests run on this tier; null for all. */
  readonly only: RegExp | null;
}

const found = findToolchain();
// Without a compiler the C++ tests are ignored, and this is why.
export const REASON = found.ok ? "" : found.problem;
const lanes = found.ok ? found.toolchain.isa.vectorBytes / 4 : 4;

function cppTier(name: string, width: number, flags: readonly string[]): Tier {
  const compileCpp = (plan: HostPlan): Executable => {
    const module = emitCppModule(plan, { lanes: width, workers: 2 });
    const own = { ...module, flags: [...module.flags, ...flags] };
    return loadModule(plan, module, startCompile(own, "test").waitSync());
  };
  return { name: found.ok ? name : `${name} (${REASON})`, compile: compileCpp };
}

export const CPP_TIER: Tier = cppTier("cpp", lanes, []);

const NO_512 = ["-mno-avx512f", "-mno-avx512bw"];
const NO_256 = [...NO_512, "-mno-avx2", "-mno-fma", "-mno-avx", "-mno-f16c"];
// The narrower widths on this machine: what differs is which builtins and shuffles are used.
const WIDTHS = /random expressions|softmax|masked|gathers|convolutions|other dtypes/;

const noGpu = deviceProblem();

export const TIERS: readonly TestedTier[] = [
  { ...JS_TIER, ignore: false, only: null },
  { ...CPP_TIER, ignore: !found.ok, only: null },
  { ...CUDA_TIER, ignore: !found.ok, only: null },
  { name: noGpu === null ? "cuda" : `cuda (${noGpu})`, compile: deviceExecutable, ignore: noGpu !== null, only: null },
  { ...cppTier("cpp with 8 lanes", 8, NO_512), ignore: !found.ok || lanes < 16, only: WIDTHS },
  { ...cppTier("cpp with 4 lanes", 4, NO_256), ignore: !found.ok || lanes < 8, only: WIDTHS },
];

/** Registers tests once for each tier; those that a tier does not run are left out. */
export function eachTier(tests: (test: (name: string, fn: () => void) => void, tier: TestedTier) => void): void {
  for (const tier of TIERS) {
    tests((name, fn) => {
      if (tier.only === null || tier.only.test(name)) {
        Deno.test({ name: `${tier.name}: ${name}`, ignore: tier.ignore, fn });
      }
    }, tier);
  }
}
