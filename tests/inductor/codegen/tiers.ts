/** The tiers that this machine can run. */
import { loadModule, startCompile } from "../../../src/inductor/codegen/cpp/compile.ts";
import { emitCppModule } from "../../../src/inductor/codegen/cpp/emit_module.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { findToolchain } from "../../../src/runtime/cpu/toolchain.ts";
import type { Executable } from "../../../src/runtime/kernel.ts";
import { JS_TIER, type Tier } from "./harness.ts";

export interface TestedTier extends Tier {
  readonly ignore: boolean;
}

const found = findToolchain();
// Without a compiler the C++ tests are ignored, and this is why.
export const REASON = found.ok ? "" : found.problem;
const lanes = found.ok ? found.toolchain.isa.vectorBytes / 4 : 4;

function compileCpp(plan: HostPlan): Executable {
  const module = emitCppModule(plan, { lanes, workers: 2 });
  return loadModule(plan, module, startCompile(module, "test").waitSync());
}

export const CPP_TIER: Tier = { name: found.ok ? "cpp" : `cpp (${REASON})`, compile: compileCpp };

export const TIERS: readonly TestedTier[] = [
  { ...JS_TIER, ignore: false },
  { ...CPP_TIER, ignore: !found.ok },
];
