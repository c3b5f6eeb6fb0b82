/**
 * Which configuration of a kernel is the fastest: measured on the device, remembered by device, shapes and the kernel's own text.
 *
 * What was found is kept in memory and in the disk cache. Without a measurement the first configuration is taken; on CUDA the first eager call measures,
 * as Triton's does, because there it takes milliseconds (not if the stage `autotune` is off).
 */
import { CompileError, emitEvent, isStageEnabled } from "../core/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { type CacheKey, cacheKey, diskCache, libraryVersion } from "../runtime/mod.ts";
import { isSymInt } from "../symbolic/mod.ts";
import { cudaContext, measureOnDevice } from "../runtime/cuda/mod.ts";
import { eagerReady } from "../inductor/mod.ts";
import { isTensor, noGrad, type OpResult, Tensor } from "../tensor/mod.ts";
import type { KernelConfig } from "./kernel.ts";

/** How long a configuration took. */
export interface Measurement {
  readonly config: KernelConfig;
  /** Milliseconds of a call; null where the configuration cannot run. */
  readonly ms: number | null;
  /** Why not. */
  readonly error: string | null;
}

/** How long a configuration is measured at most, in milliseconds, and how often at least. */
const BUDGET_MS = 60;
const LEAST_RUNS = 3;

/** Runs of one kernel with its configurations. */
export class Tuner {
  readonly #op: Operator;
  readonly #configs: readonly KernelConfig[];
  readonly #text: string;
  readonly #best = new Map<string, number>();

  constructor(op: Operator, configs: readonly KernelConfig[], text: string) {
    this.#op = op;
    this.#configs = configs;
    this.#text = text;
  }

  /** What a choice depends on; null if some size is not known. */
  #keyOf(args: NamedArgs<Tensor>): { readonly key: string; readonly device: string; readonly isReal: boolean } | null {
    const parts: string[] = [];
    let [device, isReal, isKnown] = ["cpu", true, true];
    const add = (value: unknown): void => {
      if (isTensor(value)) {
        device = value.device.toString();
        isReal &&= value.isDense;
        if (value.shape.some(isSymInt)) isKnown = false;
        else parts.push(`${value.dtype.short}[${value.shape.map(String).join(",")}]`);
      } else if (Array.isArray(value)) value.forEach(add);
      else parts.push(String(value));
    };
    for (const { key } of this.#op.schema.args) if (key !== "configIndex") add(args[key] ?? null);
    return isKnown ? { key: `${device} ${parts.join(" ")}`, device, isReal } : null;
  }

  #cacheKey(key: string): CacheKey | null {
    const compiler = libraryVersion();
    if (compiler === null) return null;
    return cacheKey("tuned", `${this.#text}\n${JSON.stringify(this.#configs)}\n${key}`, { compiler });
  }

  #remembered(key: string): number | null {
    const known = this.#best.get(key);
    if (known !== undefined) return known;
    const at = this.#cacheKey(key);
    const found = at === null ? null : diskCache().lookup(at);
    if (found === null || !found.hit) return null;
    const index = Number(new TextDecoder().decode(found.bytes));
    if (!Number.isInteger(index) || index < 0 || index >= this.#configs.length) return null;
    this.#best.set(key, index);
    return index;
  }

  /** The configuration for a call: what was measured, or what can be measured now, or the first. */
  choose(args: NamedArgs<Tensor>, run: (config: number) => OpResult): number {
    const known = this.#keyOf(args);
    if (known === null) return 0;
    const found = this.#remembered(known.key);
    if (found !== null) return found;
    if (known.isReal && known.device.startsWith("cuda") && isStageEnabled("autotune")) {
      this.#decide(known.key, this.#measure(run));
      return this.#best.get(known.key) ?? 0;
    }
    this.#best.set(known.key, 0);
    if (!known.isReal) {
      emitEvent({
        kind: "autotune",
        message:
          `${this.#op.target} for ${known.key} was not measured: its first configuration is taken; call tune() before compile()`,
      });
    }
    return 0;
  }

  /** Measures all configurations. @throws {TypeError} if none can run, or an argument is no tensor with data */
  async tune(args: NamedArgs<Tensor>, run: (config: number) => OpResult): Promise<readonly Measurement[]> {
    const known = this.#keyOf(args);
    if (known === null || !known.isReal) {
      throw new TypeError(
        `${this.#op.schema.name}.tune() needs tensors with data: call it outside of compiled functions`,
      );
    }
    const measured: Measurement[] = [];
    for (let i = 0; i < this.#configs.length; i++) {
      measured.push(await this.#measureOne(i, run));
    }
    this.#decide(known.key, measured);
    return measured;
  }

  /** All configurations, one after the other, without waiting for anything that compiles in the background. */
  #measure(run: (config: number) => OpResult): Measurement[] {
    return this.#configs.map((config, i) => attempt(config, () => this.#time(i, run)));
  }

  async #measureOne(index: number, run: (config: number) => OpResult): Promise<Measurement> {
    const config = this.#configs[index] as KernelConfig;
    const first = attempt(config, () => {
      noGrad(() => run(index));
      return 0;
    });
    if (first.error !== null) return first;
    await eagerReady();
    return attempt(config, () => this.#time(index, run));
  }

  /** What a call takes in milliseconds: on the CPU the least of several, on CUDA the median. */
  #time(index: number, run: (config: number) => OpResult): number {
    const once = (): Tensor => {
      const result = noGrad(() => run(index));
      return result instanceof Tensor ? result : result[0] as Tensor;
    };
    const { device } = once();
    // As contractions are measured: by the device's own clock, caches cold.
    if (device.type === "cuda") {
      return measureOnDevice(cudaContext(device.index), () => void once(), { budgetMs: BUDGET_MS });
    }
    let [least, spent] = [Infinity, 0];
    for (let i = 0; i < LEAST_RUNS || (spent < BUDGET_MS && i < 50); i++) {
      const start = performance.now();
      once();
      const ms = performance.now() - start;
      spent += ms;
      least = Math.min(least, ms);
    }
    return least;
  }

  #decide(key: string, measured: readonly Measurement[]): void {
    let best = -1;
    measured.forEach(({ ms }, i) => {
      if (ms !== null && (best < 0 || ms < (measured[best]?.ms ?? Infinity))) best = i;
    });
    if (best < 0) {
      throw new TypeError(
        `${this.#op.target}: no configuration can run: ${measured.map((m) => m.error ?? "").join("; ")}`,
      );
    }
    this.#best.set(key, best);
    const at = this.#cacheKey(key);
    if (at !== null) diskCache().put(at, new TextEncoder().encode(String(best)));
    emitEvent({
      kind: "autotune",
      message: `${this.#op.target} for ${key}: ${
        measured.map((m) => `${JSON.stringify(m.config)} ${m.ms === null ? m.error : `${m.ms.toFixed(4)} ms`}`).join(
          ", ",
        )
      }`,
    });
  }
}

function attempt(config: KernelConfig, run: () => number): Measurement {
  try {
    return { config, ms: run(), error: null };
  } catch (error) {
    // A mistake in the kernel is one for all configurations; too much shared memory is not.
    if (!(error instanceof CompileError)) throw error;
    return { config, ms: null, error: error.message };
  }
}
