/**
 * Builds the program that runs kept plans (`native/cpu/run_plan.cpp`). Apart from what starts it, for that loads no compiler.
 */
import { type CompileJob, compileSharedLibrary } from "./compile_service.ts";
import { RUN_PLAN_SOURCE } from "./native_sources.ts";

/** Starts building the program in the background, if it is not in the cache. */
export function prepareRunner(): CompileJob {
  return compileSharedLibrary({ name: "run_plan", source: RUN_PLAN_SOURCE, executable: true, flags: ["-O2"] });
}
