/**
 * Starts the compiler on a module and binds its library.
 */
import { type CompileJob, compileSharedLibrary } from "../../../src/runtime/cpu/compile_service.ts";
import { CpuExecutable } from "../../../src/runtime/cpu/executable.ts";
import { Library } from "../../../src/runtime/cpu/library.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { type HostRunner, hostSteps } from "../../../src/inductor/js_tier.ts";
import { layoutOf, sourcesOf } from "../../../src/inductor/plan_layout.ts";
import { argsLayout, type CppModule } from "../../../src/inductor/codegen/cpp/emit_module.ts";

/** Starts compiling in the background, or finds the library in the cache. */
export function startCompile(module: CppModule, name: string): CompileJob {
  return compileSharedLibrary({ name, source: module.source, parts: module.parts, flags: module.flags });
}

/** Loads what a job made. */
export function loadModule(plan: HostPlan, module: CppModule, path: string, runHost?: HostRunner): CpuExecutable {
  const layout = layoutOf(plan, {
    kernels: 0,
    kernelsUnfused: 0,
    bytesRead: 0,
    bytesWritten: 0,
    elementsMoved: 0,
    peakBytes: 0,
  });
  if (module.hostGroups.length > 0 && runHost === undefined) {
    throw new Error("the plan has a host step, but nobody to run it");
  }
  return new CpuExecutable({
    library: new Library(path, module.exports),
    exports: module.exports,
    host: runHost === undefined ? [] : hostSteps(plan, module.hostGroups, runHost),
    layout: argsLayout(plan),
    sources: sourcesOf(layout),
    arenaBytes: layout.arenaBytes,
  });
}
