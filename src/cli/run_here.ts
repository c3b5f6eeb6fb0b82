/**
 * `tessera run` of a kept program in this process, where no other program can take its place.
 */
import { writeTensorParts } from "../export/safetensors/write_parts.ts";
import { NativeProgram } from "../runtime/cpu/native_program.ts";
import { releaseSpareMemory } from "../runtime/cpu/spare_memory.ts";
import { EXIT, print } from "./output.ts";
import { type ReadyRun, reportOfRun } from "./run_as_program.ts";
import { runToText, timedCalls } from "./run_report.ts";

/** Loads a program's libraries. Leaves what runs it and yields the exit code. @throws {Error} if one cannot be loaded */
export function openRun(ready: ReadyRun): () => Promise<number> {
  const { flags, files, plan, inputs } = ready;
  const start = performance.now();
  const program = new NativeProgram(plan, files);
  const openMs = ready.openMs + performance.now() - start;
  return async () => {
    // The engine's code that opening took is not needed any more.
    releaseSpareMemory();
    const called = performance.now();
    const results = program.run(inputs);
    const firstMs = performance.now() - called;
    if (flags.outputs !== null) {
      await writeTensorParts(flags.outputs, results.map((r, i) => ({ ...r, name: `output_${i}` })));
    }
    const times = timedCalls(() => void program.run(inputs), flags.calls);
    const report = reportOfRun({ ...ready, openMs }, firstMs, times);
    print(flags.json ? JSON.stringify(report) : runToText(report));
    return EXIT.ok;
  };
}
