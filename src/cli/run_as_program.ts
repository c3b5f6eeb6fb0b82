/**
 * `tessera run` as another program in the place of this process: what runs a model then is libraries, weights and activations, with no JavaScript engine beside them.
 *
 * Enters: a kept program with its inputs. Leaves: a job for `plan_runner.ts`, with the report that it prints in the end; nothing returns from it but the news that it could not be.
 */
import type { NativeCall } from "../export/native_call.ts";
import type { OpenNative } from "../export/native_entry.ts";
import { destinationOf, inFileOrder, safetensorsHeader } from "../export/safetensors/write_parts.ts";
import { dtypeFromName } from "../core/dtype.ts";
import { type JobFile, type JobOutputs, planJobBytes } from "../runtime/cpu/plan_job.ts";
import { becomeRunner, canReplaceProcess } from "../runtime/cpu/plan_runner.ts";
import { releaseSpareMemory } from "../runtime/cpu/spare_memory.ts";
import { peakRss, reportForLater, reportOf, type RunReport, WARM_UP } from "./run_report.ts";

/** The flags of runs that need no compiler. */
export interface ApartFlags {
  readonly path: string;
  readonly inputs: string | null;
  readonly outputs: string | null;
  readonly model: string | null;
  readonly mode: string;
  readonly calls: number;
  readonly json: boolean;
}

/** What the process that compiled tells. */
export interface Compiled {
  readonly load_ms: number;
  readonly compile_ms: number;
  readonly peak_rss_bytes: number | null;
}

/** A program that is ready to be called on the inputs of a command line. */
export interface ReadyRun extends OpenNative, NativeCall {
  readonly flags: ApartFlags;
  /** How long opening took. */
  readonly openMs: number;
  /** Null if nothing had to be compiled. */
  readonly compiled: Compiled | null;
}

/** The report of a run whose calls took so long, in milliseconds; `times` are sorted. */
export function reportOfRun(ready: ReadyRun, firstMs: number, times: readonly number[]): RunReport {
  const { flags, entry, inputs, openMs, compiled } = ready;
  return reportOf({
    name: entry.name,
    path: flags.path,
    device: "cpu",
    backend: "inductor",
    mode: flags.mode,
    dtype: null,
    kind: "compiled",
    reason: null,
    stats: entry.stats,
    inputBytes: inputs.reduce((n, b) => n + b.byteLength, 0),
    loadMs: compiled?.load_ms ?? openMs,
    compileMs: compiled === null ? 0 : compiled.compile_ms + openMs,
    firstMs,
    times,
    compilerPeakRss: compiled?.peak_rss_bytes ?? null,
  });
}

function fileOf(path: string): JobFile {
  const { size, ino, mtime } = Deno.statSync(path);
  // Numbers of files may have 64 bits, of which JavaScript is told 53.
  return { path, size, inode: Number.isSafeInteger(ino) ? ino ?? 0 : 0, changedMs: mtime?.getTime() ?? 0 };
}

function outputsOf({ flags, plan }: ReadyRun): JobOutputs | null {
  if (flags.outputs === null) return null;
  const parts = inFileOrder(plan.results.map(({ dtype, shape }, i) => ({
    name: `output_${i}`,
    dtype: dtypeFromName(dtype),
    shape,
    at: i,
  })));
  return { ...destinationOf(flags.outputs), header: safetensorsHeader(parts), order: parts.map(({ at }) => at) };
}

/** Becomes the program that runs the plan; returns only where that cannot be. */
export function becomeRun(ready: ReadyRun): void {
  const { flags, files, constantsPath, runner, plan, inputs, openMs, compiled } = ready;
  if (runner === null || !canReplaceProcess()) return;
  releaseSpareMemory();
  const report = reportOfRun(ready, 0, new Array<number>(flags.calls).fill(0));
  const job = planJobBytes({
    plan,
    inputs,
    threads: navigator.hardwareConcurrency,
    library: files.library,
    threadPool: files.threadPool,
    files: {
      model: fileOf(flags.path),
      constants: constantsPath === null ? null : fileOf(constantsPath),
      inputs: flags.inputs === null ? null : fileOf(flags.inputs),
    },
    outputs: outputsOf(ready),
    calls: flags.calls,
    warmCalls: WARM_UP.calls,
    warmMs: WARM_UP.ms,
    openingMs: (compiled?.compile_ms ?? 0) + openMs,
    peakBytes: peakRss() ?? 0,
    report: reportForLater(report, flags.json, compiled === null ? "load_ms" : "compile_ms"),
  });
  becomeRunner(runner, job);
}
