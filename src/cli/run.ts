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
import { type Device, type DType, dtypeFromName, withConfig } from "../core/mod.ts";
import { isTensorMeta, valueToText } from "../graph/mod.ts";
import { profileToText, traceToJson } from "../inductor/mod.ts";
import { cudaContext, peaksOf } from "../runtime/cuda/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import { collectGarbage, shrinkProcess } from "./memory.ts";
import { deviceOf, modeOf } from "./mode.ts";
import { UsageError, writeTrace } from "./output.ts";
import { checkFiles, checkWritable } from "./paths.ts";
import { countOf, peakRss, reportOf, type RunReport, runToText, timedCalls } from "./run_report.ts";

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
  /** Only compile, if what is compiled can be kept for a process without a compiler. */
  readonly handOver?: boolean;
}

/** A run that ended when the program was compiled and kept. */
export interface HandedOver {
  readonly handedOver: true;
  readonly load_ms: number;
  readonly compile_ms: number;
  readonly peak_rss_bytes: number | null;
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

/**
 * The program's inputs from the file's tensors.
 *
 * @throws {UsageError} if the program takes inputs and no file is named; {TypeError} if the file holds others
 */
export function readInputs(userInputs: readonly WantedInput[], path: string | undefined, device: Device): RunValue[] {
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
  const byFile = device.type === "cuda" && flags.backend === "inductor";
  const kept = byFile ? await openKept(path, { device, mode, ...model, ...(dtype === null ? {} : { dtype }) }) : null;
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
    ...(byFile || flags.handOver === true ? { file: { path, ...model } } : {}),
  });
  return { name: program.name, inputs, loaded, kept: false, call };
}

/** Waits until the device has done what was asked of it: blocking, for a promise of an event is asked in turns of the event loop. */
function settle(results: readonly RunValue[]): void {
  const last = results.findLast((r): r is Tensor => r instanceof Tensor && r.numel > 0);
  if (last === undefined || last.device.type === "cpu") return;
  cudaContext(last.device.index).synchronize();
}

/** Lowering for longer than this leaves tens of megabytes behind. */
const WORTH_COLLECTING_MS = 500;

/**
 * Runs a model.
 *
 * @throws {UsageError} for wrong options; errors of reading, compiling and calling.
 */
export async function runModel(path: string, flags: RunFlags): Promise<RunReport | HandedOver> {
  const mode = modeOf("run", flags.mode);
  const iterations = countOf(flags.bench);
  const device = deviceOf("run", flags.device);
  const dtype: DType | null = flags.dtype === undefined
    ? null
    : usage("--dtype", () => dtypeFromName(flags.dtype as string));
  if (!listBackends().includes(flags.backend)) {
    throw new UsageError(`run: --backend ${flags.backend}: use one of ${listBackends().join(", ")}`);
  }
  if (dtype?.isFloat === false) throw new UsageError(`run: --dtype ${dtype.name}: give a float dtype, such as float16`);
  if (flags.profile === true && iterations === 0) {
    throw new UsageError("run: --profile lists what timed launches take: add --bench CALLS");
  }
  if (flags.chromeTrace !== undefined && flags.profile !== true) {
    throw new UsageError("run: --chrome-trace shows timed launches: add --profile and --bench CALLS");
  }
  checkFiles(path, flags);
  if (flags.chromeTrace !== undefined) checkWritable("run: --chrome-trace", flags.chromeTrace);
  const start = performance.now();
  using _ = withConfig({ profile: flags.profile === true });
  const model = flags.model === undefined ? {} : { model: flags.model };
  const { name, inputs, loaded, kept, call } = await openModel(path, flags, { device, mode, dtype, model });
  // Compilers work beside this, and what comes next is the model's memory.
  if (performance.now() - loaded > WORTH_COLLECTING_MS) collectGarbage();
  await call.ready();
  const compiled = performance.now();
  if (flags.handOver === true && call.isKept?.() === true) {
    return { handedOver: true, load_ms: loaded - start, compile_ms: compiled - loaded, peak_rss_bytes: peakRss() };
  }
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
  const times = timedCalls(() => settle(call(inputs)), iterations, () => void call.readProfile());
  const profile = call.readProfile();
  if (flags.chromeTrace !== undefined) {
    const traced = [{ name: name === "" ? "model" : name, rows: profile, calls: times.length }];
    writeTrace(flags.chromeTrace, traceToJson(traced, String(device)));
  }
  const inputBytes = inputs.reduce<number>((n, v) => v instanceof Tensor ? n + v.numel * v.dtype.bytes : n, 0);
  const report = reportOf({
    name,
    path,
    device: String(device),
    backend: flags.backend,
    mode,
    dtype: dtype?.name ?? null,
    kind: call.kind,
    reason: call.reason,
    stats: call.stats,
    inputBytes,
    loadMs: loaded - start,
    compileMs: compiled - loaded,
    firstMs: first,
    times,
    compilerPeakRss: null,
  });
  if (flags.profile !== true) return report;
  return { ...report, profile, ...(device.type === "cuda" ? { peaks: peaksOf(cudaContext(device.index).info) } : {}) };
}

/** The report for people, with what launches take. */
export function runWithProfileToText(report: RunReport): string {
  const { profile = [], iterations, peaks = null } = report;
  return runToText(report, profile.length > 0 ? profileToText(profile, iterations, peaks) : null);
}
