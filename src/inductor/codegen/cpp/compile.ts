/**
 * Starts the compiler on a module and binds its library.
 */
import { type CompileJob, compileSharedLibrary } from "../../../runtime/cpu/compile_service.ts";
import { CpuExecutable, type HostStep } from "../../../runtime/cpu/executable.ts";
import { Library } from "../../../runtime/cpu/library.ts";
import type { HostPlan } from "../../host_plan.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import type { HostGroup } from "../../groups.ts";
import { sizeFunction, slotNumbers, slotSources } from "../slots.ts";
import { argsLayout, type CppModule } from "./emit_module.ts";

/** Runs a group that has no kernel. */
export type HostRunner = (group: HostGroup, slotOf: (buffer: BufferRef) => number) => HostStep;

/** Starts compiling in the background, or finds the library in the cache. */
export function startCompile(module: CppModule, name: string): CompileJob {
  return compileSharedLibrary({ name, source: module.source, flags: module.flags });
}

/** Loads what a job made. */
export function loadModule(plan: HostPlan, module: CppModule, path: string, runHost?: HostRunner): CpuExecutable {
  const numbers = slotNumbers(plan);
  const host = module.hostGroups.map((group) => {
    if (runHost === undefined) throw new Error("the plan has a host step, but nobody to run it");
    return runHost(group, (buffer) => numbers.get(buffer) ?? -1);
  });
  return new CpuExecutable({
    library: new Library(path, module.exports),
    exports: module.exports,
    host,
    layout: argsLayout(plan),
    sources: slotSources(plan),
    arenaBytes: sizeFunction(plan, plan.arenaBytes),
  });
}
