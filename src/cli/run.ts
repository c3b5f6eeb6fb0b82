/**
 * `tessera run`: a model file, compiled and run on inputs from a file.
 *
 * Enters: paths and options as text. Leaves: results in a safetensors file, timings as text or as one JSON object. Inputs are `input_0`, `input_1`, … in the order
 * of the program's flattened inputs; results are `output_0`, … in the order of its flattened results, those that are no tensors left out.
 */
import {
  type CompiledExport,
  compileExported,
  loadSafetensors,
  readExportedProgram,
  saveSafetensors,
} from "../export/mod.ts";
import { openKept, type RunValue } from "../export/mod.ts";
import type { CompileMode } from "../capture/mod.ts";
import { listBackends } from "../capture/mod.ts";
import { type Device, device as deviceOf, type DType, dtypeFromName, withConfig } from "../core/mod.ts";
import { isTensorMeta, valueToText } from "../graph/mod.ts";
import { type LaunchTime, profileToText, traceToJson } from "../inductor/mod.ts";
import { cudaContext, type DevicePeaks, peaksOf } from "../runtime/cuda/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import { collectGarbage, shrinkProcess } from "./memory.ts";
import { modeOf } from "./mode.ts";
import { UsageError, writeTrace } from "./output.ts";

/** Options as commander hands them over. */
export interface RunFlags {
  readonly inputs?: string;
  readonly outputs?: string;
  readonly device: string;
  readonly backend: string;
  readonly mode: string;
  readonly dtype?: string;
  readonly bench?: string;
  readonly model?: string;
  readonly profile?: boolean;
  readonly chromeTrace?: string;
}

/** What a run tells. Times in milliseconds, sizes in bytes; null where nothing was timed. */
export interface RunReport {
  readonly model: string;
  readonly device: string;
  readonly backend: string;
  readonly mode: string;
  /** The dtype that was asked for; null for as exported. */
  readonly dtype: string | null;
  readonly kind: CompiledExport["kind"];
  readonly reason: string | null;
  /** Reading the file and its weights. */
  readonly load_ms: number;
  /** From the loaded file to a function with all kernels built. */
  readonly compile_ms: number;
  readonly first_call_ms: number;
  readonly median_ms: number | null;
  readonly p10_ms: number | null;
  readonly p90_ms: number | null;
  readonly iterations: number;
  readonly kernels: number;
  readonly graph_breaks: number;
  /** Weights, inputs, and what the plan holds at once. */
  readonly peak_bytes: number;
  /** The most memory that the process held; null where the system does not tell. */
  readonly peak_rss_bytes: number | null;
  /** With `--profile`: the launches of the timed calls. */
  readonly profile?: readonly LaunchTime[];
  /** What the device can do at most, where its driver says so. */
  readonly peaks?: DevicePeaks;
}

/** Calls before the timed ones, unless they take longer than this. */
const WARM_UP = { calls: 3, ms: 2000 } as const;

function countOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (!/^\d{1,7}$/.test(text)) throw new UsageError(`run: --bench ${text}: give a number of calls, such as 20`);
  return Number(text);
}

function usage<T>(flag: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new UsageError(`run: ${flag}: ${error instanceof Error ? error.message : error}`);
  }
}

/** What the program says of an input. */
interface WantedInput {
  readonly name: string;
  readonly text: string;
  readonly isTensor: boolean;
}

/** The program's inputs from the file's tensors. */
function readInputs(userInputs: readonly WantedInput[], path: string | undefined, device: Device): RunValue[] {
  const wanted = userInputs.map((p, i) => `input_${i}: ${p.text} (${p.name})`).join(", ");
  if (path === undefined) {
    if (userInputs.length === 0) return [];
    throw new UsageError(`run: --inputs is missing; the model takes ${wanted}`);
  }
  const file = loadSafetensors(path);
  const known = new Set(userInputs.map((_, i) => `input_${i}`));
  const extra = [...file.keys()].filter((name) => !known.has(name));
  if (extra.length > 0) {
    throw new TypeError(`${path} holds ${extra.slice(0, 5).join(", ")}; the model takes ${wanted || "no inputs"}`);
  }
  return userInputs.map((placeholder, i) => {
    const tensor = file.get(`input_${i}`);
    if (tensor === undefined) throw new TypeError(`${path} has no input_${i}; the model takes ${wanted}`);
    if (!placeholder.isTensor) return Number(tensor.item());
    return tensor.to(device);
  });
}

/** A model on its device, and its inputs. */
interface OpenModel {
  readonly name: string;
  readonly inputs: readonly RunValue[];
  /** When the file had been read. */
  readonly loaded: number;
  /** Whether nothing had to be compiled. */
  readonly kept: boolean;
  readonly call: CompiledExport;
}

/** Opens what an earlier process compiled, or reads the program and compiles it. */
async function openModel(
  path: string,
  flags: RunFlags,
  { device, mode, dtype, model }: {
    readonly device: Device;
    readonly mode: CompileMode;
    readonly dtype: DType | null;
    readonly model: { readonly model?: string };
  },
): Promise<OpenModel> {
  const byFile = device.type === "cuda" && flags.backend === "inductor" && dtype === null;
  const kept = byFile ? await openKept(path, { device, mode, ...model }) : null;
  if (kept !== null) {
    const placeholders = kept.inputs.map(({ name, dtype, shape }) => ({
      name,
      text: `${dtype}[${shape.join(", ")}]`,
      isTensor: true,
    }));
    const inputs = readInputs(placeholders, flags.inputs, device);
    return { name: kept.name, inputs, loaded: performance.now(), kept: true, call: kept.call };
  }
  const program = await readExportedProgram(path, { device, ...model });
  program.checkRunnable();
  const placeholders = program.userInputs.map(({ name, value }) => ({
    name,
    text: valueToText(value),
    isTensor: isTensorMeta(value),
  }));
  const inputs = readInputs(placeholders, flags.inputs, device);
  program.loadAttributes();
  const loaded = performance.now();
  const call = compileExported(program, {
    backend: flags.backend,
    mode,
    device,
    ...(dtype === null ? {} : { dtype }),
    ...(byFile ? { file: { path, ...model } } : {}),
  });
  return { name: program.name, inputs, loaded, kept: false, call };
}

/** Waits until the device has done what was asked of it: blocking, for a promise of an event is asked in turns of the event loop. */
function settle(results: readonly RunValue[]): void {
  const last = results.findLast((r): r is Tensor => r instanceof Tensor && r.numel > 0);
  if (last === undefined || last.device.type === "cpu") return;
  cudaContext(last.device.index).synchronize();
}

function quantile(sorted: readonly number[], q: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? null;
}

const rounded = (ms: number | null): number | null => ms === null ? null : Math.round(ms * 1e4) / 1e4;

function peakRss(): number | null {
  try {
    const line = /^VmHWM:\s*(\d+) kB/m.exec(Deno.readTextFileSync("/proc/self/status"));
    return line === null ? null : Number(line[1]) * 1024;
  } catch {
    return null;
  }
}

/** Lowering for longer than this leaves tens of megabytes behind. */
const WORTH_COLLECTING_MS = 500;

/**
 * Runs a model.
 *
 * @throws {UsageError} for wrong options; errors of reading, compiling and calling.
 */
export async function runModel(path: string, flags: RunFlags): Promise<RunReport> {
  const mode = modeOf("run", flags.mode);
  const iterations = countOf(flags.bench);
  const device = usage("--device", () => deviceOf(flags.device));
  const dtype: DType | null = flags.dtype === undefined
    ? null
    : usage("--dtype", () => dtypeFromName(flags.dtype as string));
  if (!listBackends().includes(flags.backend)) {
    throw new UsageError(`run: --backend ${flags.backend}: use one of ${listBackends().join(", ")}`);
  }
  const start = performance.now();
  using _ = withConfig({ profile: flags.profile === true });
  const model = flags.model === undefined ? {} : { model: flags.model };
  const { name, inputs, loaded, kept, call } = await openModel(path, flags, { device, mode, dtype, model });
  // Compilers work beside this, and what comes next is the model's memory.
  if (performance.now() - loaded > WORTH_COLLECTING_MS) collectGarbage();
  await call.ready();
  const compiled = performance.now();
  // What is kept leaves nothing behind, and looking for it takes as long as all the rest.
  if (!kept) shrinkProcess();
  const called = performance.now();
  const results = call(inputs);
  settle(results);
  const first = performance.now() - called;
  if (flags.outputs !== undefined) {
    const tensors = results.filter((r): r is Tensor => r instanceof Tensor);
    await saveSafetensors(flags.outputs, new Map(tensors.map((t, i) => [`output_${i}`, t])));
  }
  call.readProfile();
  const times = iterations === 0 ? [] : timed(call, inputs, iterations);
  const profile = call.readProfile();
  if (flags.chromeTrace !== undefined) {
    if (flags.profile !== true || iterations === 0) {
      throw new UsageError("run: --chrome-trace shows timed launches: add --profile and --bench CALLS");
    }
    const traced = [{ name: name === "" ? "model" : name, rows: profile, calls: times.length }];
    writeTrace(flags.chromeTrace, traceToJson(traced, String(device)));
  }
  const inputBytes = inputs.reduce<number>((n, v) => v instanceof Tensor ? n + v.numel * v.dtype.bytes : n, 0);
  const { kernels, graphBreaks, peakBytes, attributeBytes } = call.stats;
  return {
    model: name === "model" ? path.replace(/^.*\//, "") : name,
    device: String(device),
    backend: flags.backend,
    mode,
    dtype: dtype?.name ?? null,
    kind: call.kind,
    reason: call.reason,
    load_ms: rounded(loaded - start) ?? 0,
    compile_ms: rounded(compiled - loaded) ?? 0,
    first_call_ms: rounded(first) ?? 0,
    median_ms: rounded(quantile(times, 0.5)),
    p10_ms: rounded(quantile(times, 0.1)),
    p90_ms: rounded(quantile(times, 0.9)),
    iterations: times.length,
    kernels,
    graph_breaks: graphBreaks,
    peak_bytes: attributeBytes + inputBytes + peakBytes,
    peak_rss_bytes: peakRss(),
    ...(flags.profile === true ? { profile } : {}),
    ...(flags.profile === true && device.type === "cuda" ? { peaks: peaksOf(cudaContext(device.index).info) } : {}),
  };
}

/** Times of calls after warm-up, sorted. */
function timed(call: CompiledExport, inputs: readonly RunValue[], iterations: number): number[] {
  const begin = performance.now();
  for (let i = 0; i < WARM_UP.calls && performance.now() - begin < WARM_UP.ms; i++) settle(call(inputs));
  call.readProfile();
  const times: number[] = [];
  for (let i = 0; i < iterations; i++) {
    const start = performance.now();
    settle(call(inputs));
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

/** The report for people. */
export function runToText(report: RunReport): string {
  const ms = (value: number): string => value < 10 ? `${value.toFixed(3)} ms` : `${value.toFixed(1)} ms`;
  const lines = [
    `${report.model} on ${report.device}: ${
      report.kind === "compiled"
        ? `${report.kernels} kernels, built in ${ms(report.compile_ms)}`
        : `run node by node: ${report.reason}`
    }`,
    `loaded in ${ms(report.load_ms)}, first call ${ms(report.first_call_ms)}`,
  ];
  const { median_ms, p10_ms, p90_ms } = report;
  if (median_ms !== null && p10_ms !== null && p90_ms !== null) {
    lines.push(`${report.iterations} calls: median ${ms(median_ms)}, 10 % ${ms(p10_ms)}, 90 % ${ms(p90_ms)}`);
  }
  const { profile, iterations } = report;
  if (profile !== undefined && profile.length > 0) lines.push(profileToText(profile, iterations, report.peaks ?? null));
  lines.push(`${(report.peak_bytes / 2 ** 20).toFixed(1)} MiB of tensors`);
  return lines.join("\n");
}
