/**
 * `mode: "max-autotune"` on CUDA: which way of each contraction is the fastest, measured on the device that will run it.
 *
 * Enters: a host plan. Leaves: a function that emitters ask, contraction by contraction. Ways are compiled side by side and measured one after the other, largest contraction first, until
 * the time that the setting `autotuneBudgetMs` gives is over; the rest run as the cost model says. What was found is remembered in memory and in the disk cache, by
 * the contraction's text (shapes, layouts, dtypes, prologues, epilogue), the device, and the versions of compiler and libraries. An entry is a choice by name, which must fit the contraction again
 * to be taken: nothing in a file reaches a kernel's text. Mirrors TorchInductor's `select_algorithm`.
 */
import { config, emitEvent, log } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { type CacheKey, cacheKey, diskCache, libraryVersion } from "../../runtime/mod.ts";
import {
  compilerThreads,
  type CompileTarget,
  type CudaContext,
  type CudaDeviceMemory,
  librariesKey,
  libraryAlgorithms,
  nvrtcCompiler,
  type NvrtcRequest,
} from "../../runtime/cuda/mod.ts";
import { architectureName } from "../codegen/cuda/emit_module.ts";
import { CUDA_TARGET } from "../codegen/cuda/emit_tile.ts";
import type { EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { CudaOptions } from "../codegen/cuda/launch.ts";
import type { HostPlan } from "../host_plan.ts";
import {
  choiceToText,
  type ContractionChoice,
  contractionChoices,
  emitChoice,
  readChoice,
} from "../templates/cuda_choices.ts";
import { reorderK } from "../templates/cuda_reorder.ts";
import { guess } from "../tile/axes.ts";
import { lowerGroup } from "../tile/lower_group.ts";
import { tileToText } from "../tile/print.ts";
import type { ContractionKernel } from "../tile/tile_ir.ts";
import {
  type Candidate,
  candidateContext,
  compileCandidates,
  type Measured,
  requestOf,
  Workbench,
} from "./candidates.ts";

/** What is known of one contraction. */
export interface TunedContraction {
  /** Its text without names. */
  readonly key: string;
  readonly choice: ContractionChoice;
  /** The ways that were measured, fastest first; empty where it was remembered by another version of this list. */
  readonly measured: readonly { readonly way: string; readonly ms: number | null; readonly error: string | null }[];
}

/** More bytes than this are no entry of ours. */
const LARGEST_ENTRY = 1 << 16;
/** How long one way is measured at most, in milliseconds of the device. */
const EACH_MS = 12;

interface Work {
  readonly key: string;
  readonly kernel: ContractionKernel;
  readonly fresh: ReadonlySet<BufferRef>;
  /** Of all places of the plan. */
  flops: number;
}

/** What was found, in this process. */
const found = new Map<string, TunedContraction>();

/** The part of a cost that is arithmetic. */
function flopsOf(kernel: ContractionKernel): number {
  const batch = kernel.batch.reduce((n, axis) => n * guess(axis.extent), 1);
  return 2 * batch * guess(kernel.m) * guess(kernel.n) * kernel.k.reduce((n, e) => n * guess(e), 1);
}

/** Chooses for the contractions of plans on one device. */
export class ContractionTuner {
  readonly #context: CudaContext;
  readonly #memory: CudaDeviceMemory;
  readonly #options: CudaOptions;
  readonly #target: CompileTarget;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #used = new Map<string, TunedContraction>();

  constructor(context: CudaContext, memory: CudaDeviceMemory, options: CudaOptions, target: CompileTarget) {
    this.#context = context;
    this.#memory = memory;
    this.#options = options;
    this.#target = target;
    const { name, capability, attributes } = context.info;
    this.#environment = {
      device: `${name}/${capability}/${attributes.multiprocessors}/${attributes.l2Bytes}`,
      driver: String(context.driver.version),
      nvrtc: String(nvrtcCompiler().library.version),
      libraries: librariesKey(),
      tessera: libraryVersion() ?? "unknown",
      backends: [...config().autotuneBackends].sort().join(","),
      precision: options.allowTf32 === true ? "tf32" : "float32",
    };
  }

  /** The text that a choice is remembered by. */
  keyOf(kernel: ContractionKernel): string {
    return tileToText(kernel);
  }

  #known(key: string): string {
    return `${JSON.stringify(this.#environment)}\n${key}`;
  }

  #cacheKey(key: string): CacheKey | null {
    return libraryVersion() === null ? null : cacheKey("tuned", `contraction\n${key}`, this.#environment);
  }

  /** What is remembered of a contraction; null if nothing is, or an entry is damaged. */
  remembered(key: string): TunedContraction | null {
    const known = found.get(this.#known(key));
    if (known !== undefined) return known;
    const at = this.#cacheKey(key);
    const entry = at === null ? null : diskCache().lookup(at);
    if (entry === null || !entry.hit || entry.bytes.length > LARGEST_ENTRY) return null;
    const tuned = readEntry(key, entry.bytes);
    if (tuned !== null) found.set(this.#known(key), tuned);
    return tuned;
  }

  /** Keeps what was found: on disk if it is the `whole` of it. */
  #remember(tuned: TunedContraction, whole: boolean): void {
    found.set(this.#known(tuned.key), tuned);
    const at = this.#cacheKey(tuned.key);
    const text = JSON.stringify({ choice: tuned.choice, measured: tuned.measured });
    if (whole && at !== null && text.length <= LARGEST_ENTRY) diskCache().put(at, new TextEncoder().encode(text));
  }

  /** The contractions of a plan of which nothing is known, each once; those on which most is spent first. */
  #workOf(plan: HostPlan): Work[] {
    const work = new Map<string, Work>();
    const written = new Set<BufferRef>();
    for (const { group } of plan.steps) {
      if (group.kind === "contraction") {
        for (const lowered of lowerGroup(group, CUDA_TARGET)) {
          if (lowered.kind !== "contraction" || lowered.sizes.length > 0) continue;
          const kernel = reorderK(lowered);
          const key = this.keyOf(kernel);
          const own = work.get(key);
          if (own !== undefined) own.flops += flopsOf(kernel);
          if (own !== undefined || this.remembered(key) !== null) continue;
          const fresh = new Set(kernel.reads.filter((buffer) => written.has(buffer)));
          work.set(key, { key, kernel, fresh, flops: flopsOf(kernel) });
        }
      }
      for (const buffer of writesOf(group)) written.add(buffer);
    }
    return [...work.values()].sort((a, b) => b.flops - a.flops);
  }

  #candidatesOf(kernel: ContractionKernel): Candidate[] {
    const wanted = config().autotuneBackends;
    return contractionChoices(kernel, candidateContext(this.#options), libraryAlgorithms())
      .filter(({ template }) => wanted.has(template === "cublaslt" || template === "cudnn" ? template : "generated"))
      .flatMap((choice): Candidate[] => {
        const texts = emitChoice(kernel, choice, candidateContext(this.#options));
        return texts === null ? [] : [{ choice, texts }];
      });
  }

  /**
   * Measures what is not known of a plan's contractions. Rounds of the compiler begin as long as the setting `autotuneBudgetMs` allows, and what they made is measured for at most half
   * as long again.
   */
  tune(plan: HostPlan): void {
    const begin = performance.now();
    const budget = config().autotuneBudgetMs;
    const isOver = (factor = 1): boolean => performance.now() - begin > factor * budget;
    const mustEnd = (): boolean => isOver(1.5);
    const work = this.#workOf(plan);
    let [ways, done] = [0, 0];
    // Four for each of the compiler's threads: none waits for the kernels of those that the time does not reach.
    while (done < work.length && !isOver()) {
      const requests: NvrtcRequest[] = [];
      const part: { one: Work; candidates: Candidate[]; places: number[][] }[] = [];
      for (const one of work.slice(done)) {
        if (requests.length >= 4 * compilerThreads()) break;
        const candidates = this.#candidatesOf(one.kernel);
        const places = candidates.map(({ texts }) =>
          texts.map((text) => text.library === undefined ? requests.push(requestOf(text, this.#target)) - 1 : -1)
        );
        part.push({ one, candidates, places });
      }
      const images = compileCandidates(requests);
      for (const { one, candidates, places } of part) {
        if (mustEnd()) break;
        const own = places.map((list) => list.map((p) => images[p] ?? null));
        const measured = this.#measure(one, candidates, own, mustEnd);
        ways += measured.length;
        done++;
        this.#decide(one.key, measured, measured.length === candidates.length);
      }
    }
    const left = work.length - done;
    if (work.length === 0) return;
    const ms = Math.round(performance.now() - begin);
    emitEvent({
      kind: "autotune",
      message: `${work.length - left} contractions measured in ${ways} ways, ${ms} ms` +
        (left > 0 ? `; time was over before ${left} more, which run as the cost model says (autotuneBudgetMs)` : ""),
    });
  }

  #measure(
    { kernel, fresh }: Work,
    candidates: readonly Candidate[],
    images: readonly (readonly (Parameters<Workbench["measure"]>[1][number])[])[],
    isOver: () => boolean,
  ): Measured[] {
    const measured: Measured[] = [];
    using bench = new Workbench(this.#context, this.#memory, kernel, fresh);
    for (const [i, candidate] of candidates.entries()) {
      if (i > 0 && isOver()) break;
      measured.push(bench.measure(candidate, images[i] ?? [], EACH_MS));
    }
    return measured;
  }

  #decide(key: string, measured: readonly Measured[], whole: boolean): void {
    const sorted = [...measured].sort((a, b) => (a.ms ?? Infinity) - (b.ms ?? Infinity));
    const [best] = sorted;
    const choice: ContractionChoice = best === undefined || best.ms === null ? { template: "model" } : best.choice;
    const rows = sorted.map(({ choice: c, ms, error }) => ({ way: choiceToText(c), ms, error }));
    this.#remember({ key, choice, measured: rows }, whole);
    emitEvent({ kind: "autotune", message: tunedToText({ key, choice, measured: rows }) });
    log("autotune", () => tunedToText({ key, choice, measured: rows }));
  }

  /** What emitters ask. */
  readonly choose: NonNullable<EmitContext["choose"]> = (kernel, context) => {
    const tuned = kernel.sizes.length > 0 ? null : this.remembered(this.keyOf(kernel));
    if (tuned === null) return null;
    this.#used.set(tuned.key, tuned);
    return emitChoice(kernel, tuned.choice, context);
  };

  /** What emitters were told so far. */
  get used(): readonly TunedContraction[] {
    return [...this.#used.values()];
  }
}

function writesOf(group: HostPlan["steps"][number]["group"]): readonly BufferRef[] {
  switch (group.kind) {
    case "contraction":
      return [group.result, ...group.epilogue.map((s) => s.out)];
    case "loops":
      return group.stages.map((s) => s.out);
    case "host":
      return group.outputs;
    default:
      return [];
  }
}

/** What was measured of a contraction, in a line. */
export function tunedToText({ key, choice, measured }: TunedContraction): string {
  const [head = ""] = key.split("\n").filter((line) => line.startsWith("contraction"));
  const times = measured.slice(0, 6).map(({ way, ms, error }) =>
    `${way} ${ms === null ? error : `${ms.toFixed(4)} ms`}`
  );
  return `${head}: ${choiceToText(choice)} of ${measured.length} ways (${times.join("; ")})`;
}

/** An entry of the cache; null if it is none. */
export function readEntry(key: string, bytes: Uint8Array): TunedContraction | null {
  try {
    const entry = JSON.parse(new TextDecoder().decode(bytes)) as { choice?: unknown; measured?: unknown } | null;
    const choice = readChoice(entry?.choice);
    if (choice === null) return null;
    const rows = Array.isArray(entry?.measured) ? entry.measured as unknown[] : [];
    const measured = rows.slice(0, 64).map((row) => {
      const { way, ms, error } = Object(row) as Record<string, unknown>;
      return {
        way: printable(way),
        ms: typeof ms === "number" && Number.isFinite(ms) ? ms : null,
        error: error === null ? null : printable(error),
      };
    });
    return { key, choice, measured };
  } catch {
    return null;
  }
}

function printable(text: unknown): string {
  return String(text).replace(/[^\x20-\x7e×]/g, " ").slice(0, 200);
}

/** The device's name for what is compiled. */
export function tuningTarget(arch: number): CompileTarget {
  return { arch: architectureName(arch), kind: "cubin" };
}
