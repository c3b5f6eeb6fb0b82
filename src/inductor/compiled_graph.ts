/**
 * A compiled graph that runs on tensors: the host plan bound to memory, in tiers.
 *
 * Enters: a functional graph. The plan runs on JavaScript kernels at once; meanwhile the C++ compiler works in the background, and its library
 * takes over on the first call after it is ready. A graph in the cache starts on C++. Inputs come in with the strides and dtypes that the graph states
 * (the caller's guards see to that) and at any storage offset; results are fresh tensors that the caller owns, or views of inputs, attributes and
 * other results.
 */
import {
  config,
  cpu,
  type Device,
  device as deviceOf,
  emitEvent,
  InternalError,
  isStageEnabled,
  log,
  warnOnce,
} from "../core/mod.ts";
import { Graph, isTensorMeta, type NodeValue } from "../graph/mod.ts";
import type { Buffer, CacheKey } from "../runtime/mod.ts";
import { cpuAllocator, CpuBuffer, type Toolchain } from "../runtime/cpu/mod.ts";
import type { Executable } from "../runtime/kernel.ts";
import { CudaBuffer } from "../runtime/cuda/mod.ts";
import { moveTo, Storage, Tensor } from "../tensor/mod.ts";
import { type GraphArtifact, graphKey, loadArtifact, saveArtifact, type StoredCpp } from "./cache/graph_cache.ts";
import { storeCuda, storedDevices } from "./cache/stored_cuda.ts";
import { restoreHost, storeHost } from "./cache/stored_host.ts";
import { sizeHints } from "./buffers.ts";
import { argsLayout, type ClockedLaunch, emitCppModule } from "./codegen/cpp/emit_module.ts";
import type { CudaModules } from "./codegen/cuda/launch.ts";
import { emitJsModule, type JsModule } from "./codegen/js/emit_module.ts";
import { type CompiledPlan, compileGraphToPlan, type PlanOptions } from "./compile_plan.ts";
import { CppTier, usableToolchain } from "./cpp_tier.ts";
import { slotNumbers } from "./codegen/slots.ts";
import { cudaTarget, CudaTier } from "./cuda_tier.ts";
import { cppVeto } from "./cpp_veto.ts";
import { cudaVeto } from "./cuda_veto.ts";
import { donationsOn, graphDevice, resultDevices } from "./graph_device.ts";
import { hostRunner } from "./host_steps.ts";
import { hostSteps, instantiateJs } from "./js_tier.ts";
import { estimateJsMs, type PlanCounters } from "./metrics.ts";
import { layoutOf, type PlanLayout, type ResultLayout, type SlotLayout } from "./plan_layout.ts";
import { type LaunchTime, launchTimes } from "./profile.ts";
import { AttributeSlots, bufferAt, deviceMemory, type InputSlot } from "./slot_memory.ts";
import { type GraphValue, type SizeReader, sizeReader, type SizeSource, sizeSources } from "./size_sources.ts";

/** When C++ takes over: never, as soon as it is ready, or before the first call. */
export type TierPolicy = "js" | "auto" | "aot";

/** Options of {@linkcode CompiledGraph}. */
export interface CompiledGraphOptions extends PlanOptions {
  readonly tier?: TierPolicy;
  /** Whether launches on CUDA are recorded as graphs. Default true. */
  readonly graphs?: boolean;
  /** Whether contractions on CUDA run as was measured to be fastest. Default false. */
  readonly autotune?: boolean;
  /** Attributes are weights: their packed forms are kept from call to call, as long as nobody writes to them. */
  readonly keepWeights?: boolean;
  /** For file names, logs and profiles. */
  readonly name?: string;
  /** Called with what a cache may keep, once the C++ side is emitted. */
  readonly onArtifact?: (artifact: GraphArtifact) => void;
}

/** A graph that a cached artefact stands for: it is only made if the artefact's library is gone. */
export interface CachedGraph {
  readonly artifact: GraphArtifact;
  /** Makes the functional graph and what it donates. */
  readonly build: () => { readonly graph: Graph; readonly options: PlanOptions };
  /** Storage offsets that the plan's indices contain, of each input and each attribute, in elements. */
  readonly inputOffsets: readonly number[];
  readonly attributeOffsets: readonly number[];
}

export type { GraphValue } from "./size_sources.ts";

/** A call that JavaScript would take longer for than this waits for the C++ compiler, in milliseconds. */
const WORTH_WAITING_MS = 5000;
/** Emitting C++ (some tens of milliseconds) comes before the first call if that takes longer than this, else after it. */
const EMIT_FIRST_MS = 100;

/** What a plan for a device is made with; the same where the graph comes from the cache. */
function planOptionsOn(device: Device, graph: Graph, options: PlanOptions): PlanOptions {
  const donate = donationsOn(device, graph, options.donate);
  return {
    ...(device === cpu ? { veto: cppVeto } : { veto: cudaVeto, joinInputs: true, joinWhole: true }),
    ...options,
    crossReductions: options.crossReductions !== false,
    scanSteps: device === cpu,
    ...(donate === undefined ? {} : { donate }),
  };
}

/** A functional graph, compiled. */
export class CompiledGraph {
  readonly name: string;
  /** Where the graph runs. */
  readonly device: Device;
  /** How the plan is called. */
  readonly layout: PlanLayout;
  /** Results that were written into the memory that the caller donated for them. */
  readonly donated: ReadonlySet<number>;
  /** Whether the cache had the graph, so that nothing was lowered. */
  readonly cached: boolean;
  /** Milliseconds until the graph could be called. */
  readonly compileMs: number;
  readonly #inputOffsets: readonly number[];
  readonly #attributeOffsets: readonly number[];
  readonly #build: () => { readonly graph: Graph; readonly options: PlanOptions };
  readonly #onArtifact: ((artifact: GraphArtifact) => void) | null;
  readonly #sizeSources: readonly SizeSource[];
  readonly #sizeReaders: readonly SizeReader[];
  readonly #sizes: number[];
  readonly #buffers: (Buffer | undefined)[];
  readonly #storages: (Storage | null)[];
  readonly #inputSlots: readonly InputSlot[];
  readonly #attributeSlots: AttributeSlots;
  /** Slots whose memory a call makes. */
  readonly #resultSlots: readonly number[];
  #compiled: CompiledPlan | null = null;
  #jsModule: JsModule | null = null;
  #executable: Executable | null = null;
  #cpp: CppTier | null = null;
  readonly #cuda: CudaTier | null = null;
  /** Where each result belongs, if the graph does not run on the CPU. */
  readonly #resultDevices: readonly (Device | null)[] = [];
  /** Set while the C++ side is still to be emitted. */
  #later: { readonly toolchain: Toolchain; readonly key: CacheKey | null } | null = null;
  #waits = false;
  readonly #native: boolean;
  #clocks: readonly ClockedLaunch[] = [];
  readonly #keepWeights: boolean;
  /** Those of the call that runs. */
  #attributes: readonly Tensor[] | null = null;

  constructor(source: Graph | CachedGraph, options: CompiledGraphOptions = {}) {
    const start = performance.now();
    this.name = options.name ?? "graph";
    this.#onArtifact = options.onArtifact ?? null;
    this.#keepWeights = options.keepWeights === true;
    const policy = options.tier ?? "auto";
    this.device = source instanceof Graph ? graphDevice(source) : artifactDevice(source.artifact);
    const native = policy !== "js" && isStageEnabled("cpp") && this.device === cpu;
    const toolchain = native ? usableToolchain(report) : null;
    this.#native = toolchain !== null;
    let artifact: GraphArtifact | null = null;
    let key: CacheKey | null = null;
    if (source instanceof Graph) {
      this.#build = () => ({ graph: source, options: planOptionsOn(this.device, source, options) });
      this.#inputOffsets = source.placeholders.map((n) => offsetOf(n.value));
      this.#attributeOffsets = source.attributes.map((n) => offsetOf(n.value));
      if (toolchain !== null) key = graphKey(source, options.donate, this.#targetOf(toolchain));
      if (this.device !== cpu) {
        key = graphKey(source, options.donate, cudaTarget(this.device, options.autotune === true));
      }
      if (key !== null) artifact = loadArtifact(key);
    } else {
      this.#build = () => {
        const { graph, options: own } = source.build();
        return { graph, options: planOptionsOn(this.device, graph, own) };
      };
      this.#inputOffsets = source.inputOffsets;
      this.#attributeOffsets = source.attributeOffsets;
      artifact = source.artifact;
    }
    this.cached = artifact !== null;
    if (artifact !== null) {
      this.layout = artifact.layout;
      const { cpp } = artifact;
      if (toolchain !== null && cpp !== null) {
        const host = restoreHost(artifact.host, this.layout.symbols.map((s) => s.name), this.layout.slots.length);
        this.#cpp = new CppTier({ name: this.name, cpp, layout: this.layout, host, report });
        if (source instanceof Graph) this.#onArtifact?.(artifact);
      }
    } else {
      const { plan, counters } = this.compiled;
      this.layout = layoutOf(plan, counters);
      if (toolchain !== null && plan.steps.length > 0) this.#later = { toolchain, key };
    }
    this.#sizeSources = this.layout.sizes === 0
      ? []
      : source instanceof Graph
      ? sizeSources(source, this.layout.symbols)
      : source.artifact.sizes;
    this.#sizeReaders = this.#sizeSources.map(sizeReader);
    this.#sizes = new Array<number>(this.layout.sizes).fill(0);
    const { slots, results } = this.layout;
    this.#buffers = new Array<Buffer | undefined>(slots.length).fill(undefined);
    this.#storages = new Array<Storage | null>(slots.length).fill(null);
    const given = (kind: "input" | "attribute", offsets: readonly number[]): InputSlot[] =>
      slots.flatMap((slot, i) =>
        slot.kind === kind ? [{ slot: i, index: slot.index, offset: offsets[slot.index] ?? 0 }] : []
      );
    this.#inputSlots = given("input", this.#inputOffsets);
    this.#attributeSlots = new AttributeSlots(given("attribute", this.#attributeOffsets));
    this.#resultSlots = slots.flatMap(({ kind }, i) => kind === "output" ? [i] : []);
    this.donated = new Set(
      results.flatMap((r, i) => r.kind === "tensor" && slots[r.slot]?.kind === "donated" ? [i] : []),
    );
    if (this.device !== cpu) {
      const { device, layout, name } = this;
      const stored = artifact?.cuda ?? null;
      this.#resultDevices = source instanceof Graph
        ? resultDevices(source)
        : stored === null
        ? []
        : storedDevices(stored.stored);
      this.#cuda = new CudaTier({
        name,
        plan: () => this.compiled.plan,
        layout,
        device,
        graphs: options.graphs ?? isStageEnabled("cuda_graphs"),
        profile: config().profile,
        autotune: options.autotune === true,
        ...(stored === null ? {} : { stored }),
        onBuilt: (modules, images) => this.#keepCuda(key, modules, images),
      });
      if (artifact !== null && source instanceof Graph) this.#onArtifact?.(artifact);
    }
    if (this.#later !== null) this.#decide(policy);
    if (policy === "aot") this.#cpp?.waitSync();
    this.compileMs = performance.now() - start;
  }

  /** The plan and its groups; made now if the cache had spared it. */
  get compiled(): CompiledPlan {
    if (this.#compiled === null) {
      const { graph, options } = this.#build();
      this.#compiled = compileGraphToPlan(graph, options);
    }
    return this.#compiled;
  }

  /** Kernels, bytes and elements of a call. */
  get counters(): PlanCounters {
    return this.layout.counters;
  }

  /** The JavaScript module; emitted when it is first needed. */
  get jsModule(): JsModule {
    if (this.#jsModule === null) {
      const { plan } = this.compiled;
      this.#jsModule = emitJsModule(plan);
      log("output_code", () => `${this.name} (JavaScript)\n${this.jsModule.source}`);
    }
    return this.#jsModule;
  }

  /** Which kernels run now. */
  get tier(): "js" | "cpp" | "cuda" {
    if (this.#cuda !== null) return "cuda";
    return this.#cpp !== null && this.#cpp.executable !== null ? "cpp" : "js";
  }

  /** Whether a faster tier is wanted and not yet in use. */
  get isCompiling(): boolean {
    return this.#native && this.tier === "js";
  }

  /** The C++ side, if there is one and it has been started. */
  get cpp(): CppTier | null {
    return this.#cpp;
  }

  /**
   * How long each launch took since this was last asked, in the order of launches; null if the graph was not compiled with the setting `profile`, or
   * its C++ kernels are not ready.
   */
  readProfile(): readonly LaunchTime[] | null {
    if (this.#cuda !== null) return this.#cuda.readProfile(sizeHints(this.#build().graph));
    const times = this.#cpp?.readClocks(this.#clocks.length) ?? null;
    return times === null ? null : launchTimes(this.#clocks, times, sizeHints(this.#build().graph));
  }

  /** The CUDA side, if the graph runs there. */
  get cuda(): CudaTier | null {
    return this.#cuda;
  }

  /** Resolves when the fastest tier is in use. A compiler that fails is reported once, and the JavaScript kernels stay. */
  async ready(): Promise<void> {
    this.#startCpp();
    await (this.#cuda ?? this.#cpp)?.ready();
  }

  /** Runs the plan. Sizes come from the inputs; nothing is checked here, the caller's guards have. */
  run(inputs: readonly GraphValue[], attributes: readonly Tensor[]): GraphValue[] {
    const sizes = this.#sizes;
    for (let i = 0; i < sizes.length; i++) sizes[i] = (this.#sizeReaders[i] as SizeReader)(inputs);
    const buffers = this.#buffers;
    const { slots, results } = this.layout;
    const cuda = this.#cuda;
    for (const input of this.#inputSlots) {
      const t = inputs[input.index] as Tensor;
      buffers[input.slot] = cuda === null ? bufferAt(t, input.offset) : deviceMemory(cuda, t, input, sizes, false);
    }
    for (const i of this.#resultSlots) {
      const slot = slots[i] as Extract<SlotLayout, { kind: "output" }>;
      const byteLength = slot.bytes(sizes);
      const buffer = cuda === null ? cpuAllocator().allocate(byteLength) : cuda.allocate(byteLength, i);
      buffers[i] = buffer;
      this.#storages[i] = new Storage(buffer);
    }
    try {
      this.#attributes = attributes;
      if (cuda !== null) this.#attributeSlots.runOn(cuda, buffers as (CudaBuffer | undefined)[], attributes, sizes);
      else {
        this.#attributeSlots.fill(buffers, attributes);
        this.#runOnCpu(buffers as readonly (CpuBuffer | undefined)[], sizes);
      }
      return results.map((result, i) => this.#placed(i, this.#result(result, inputs, attributes)));
    } finally {
      this.#attributes = null;
      if (cuda === null) this.#attributeSlots.clear(buffers);
      for (const { slot } of this.#inputSlots) buffers[slot] = undefined;
      for (const i of this.#resultSlots) {
        buffers[i] = undefined;
        this.#storages[i] = null;
      }
    }
  }

  /** Runs the plan on slots that the caller filled. */
  runBuffers(buffers: readonly (Buffer | undefined)[], sizes: readonly number[]): void {
    if (this.#cuda !== null) this.#cuda.run(buffers as readonly (CudaBuffer | undefined)[], sizes);
    else this.#runOnCpu(buffers as readonly (CpuBuffer | undefined)[], sizes);
  }

  #runOnCpu(buffers: readonly (CpuBuffer | undefined)[], sizes: readonly number[]): void {
    if (this.#waits) {
      this.#waits = false;
      this.#cpp?.waitSync();
    }
    const native = this.#cpp?.poll() ?? null;
    if (native !== null) {
      this.#executable = null;
      this.#cpp?.weights?.check(this.#attributes);
      native.run(buffers, sizes);
      return;
    }
    // The second call on JavaScript says that there will be more: now C++ is worth its emission.
    if (this.#executable !== null && this.#later !== null) this.#startCpp();
    this.#executable ??= instantiateJs(this.jsModule, this.compiled.plan, hostRunner(this.compiled.plan));
    this.#executable.run(buffers, sizes);
  }

  /** A result on the device where the graph says that it is. */
  #placed(index: number, value: GraphValue): GraphValue {
    const device = this.#resultDevices[index] ?? null;
    return device === null || !(value instanceof Tensor) || value.device === device ? value : moveTo(value, device);
  }

  #result(result: ResultLayout, inputs: readonly GraphValue[], attributes: readonly Tensor[]): GraphValue {
    if (result.kind === "constant") return result.value;
    const sizes = this.#sizes;
    if (result.kind === "size") return result.value(sizes);
    const { slot, fixed } = result;
    const { slots } = this.layout;
    const entry = slots[slot];
    if (entry === undefined) throw new InternalError(`slot ${slot} is a result but is not there`);
    const base = entry.kind === "donated" ? slots[entry.of] : entry;
    const shape = fixed?.shape ?? result.shape.map((f) => f(sizes));
    const stride = fixed?.stride ?? result.stride.map((f) => f(sizes));
    let storageOffset = fixed?.offset ?? result.offset(sizes);
    let { device } = this;
    let storage = this.#storages[slot] ?? null;
    if (base?.kind === "input" || base?.kind === "attribute") {
      // The plan counts from where the input starts; the tensor may start later in its storage.
      const t = (base.kind === "input" ? inputs : attributes)[base.index] as Tensor;
      const planned = (base.kind === "input" ? this.#inputOffsets : this.#attributeOffsets)[base.index] ?? 0;
      storageOffset += Number(t.storageOffset) - planned;
      device = t.device;
      storage = t.storage;
    }
    if (storage === null) throw new InternalError(`slot ${slot} is a result but has no storage`);
    return new Tensor({ shape, stride, storageOffset, dtype: entry.dtype, device, storage });
  }

  /** Keeps what was built for a device, if it has a stored form. */
  #keepCuda(key: CacheKey | null, modules: CudaModules, images: readonly Uint8Array<ArrayBuffer>[]): void {
    if (key === null || this.layout.sizes > 0) return;
    const stored = storeCuda(modules, this.compiled.plan, this.device, this.#resultDevices);
    if (stored === null) return;
    const artifact: GraphArtifact = { layout: this.layout, cpp: null, cuda: { stored, images }, host: [], sizes: [] };
    saveArtifact(key, artifact);
    this.#onArtifact?.(artifact);
  }

  /** What of the machine and of the options is in the emitted code. */
  #targetOf(toolchain: Toolchain): string {
    return `${targetOf(toolchain)}${this.#keepWeights ? "/kept" : ""}`;
  }

  /** When to emit C++: before a long first call, after a short one. */
  #decide(policy: TierPolicy): void {
    const estimate = estimateJsMs(this.compiled.groups);
    if (policy === "aot" || estimate > EMIT_FIRST_MS) {
      this.#startCpp();
      if (estimate > WORTH_WAITING_MS && this.#cpp !== null) {
        this.#waits = true;
        emitEvent({
          kind: "tier",
          message: `${this.name}: the first call waits for the C++ compiler; JavaScript would take about ${
            Math.round(estimate / 1000)
          } s`,
        });
      }
      return;
    }
    Deno.unrefTimer(setTimeout(() => this.#startCpp(), 0));
  }

  #startCpp(): void {
    if (this.#later === null) return;
    const { toolchain, key } = this.#later;
    this.#later = null;
    const { plan } = this.compiled;
    const workers = navigator.hardwareConcurrency;
    const { profile } = config();
    const lanes = toolchain.isa.vectorBytes / 4;
    const module = emitCppModule(plan, { lanes, workers, compilers: workers, profile, keepWeights: this.#keepWeights });
    this.#clocks = module.clocks;
    log("output_code", () => `${this.name} (C++)\n${[module.source, ...module.parts].join("\n")}`);
    const cpp: StoredCpp = {
      source: module.source,
      parts: module.parts,
      flags: module.flags,
      exports: module.exports,
      args: argsLayout(plan),
      keeps: module.keeps,
    };
    const host = hostSteps(plan, module.hostGroups, hostRunner(plan));
    this.#cpp = new CppTier({ name: this.name, cpp, layout: this.layout, host, report });
    const numbers = slotNumbers(plan);
    const kept = storeHost(module.hostGroups, (buffer) => numbers.get(buffer) ?? -1);
    if (key === null || kept === null) return;
    const artifact: GraphArtifact = { layout: this.layout, cpp, cuda: null, host: kept, sizes: this.#sizeSources };
    saveArtifact(key, artifact);
    this.#onArtifact?.(artifact);
  }
}

function offsetOf(value: NodeValue): number {
  return isTensorMeta(value) ? Number(value.storageOffset) : 0;
}

/** Where a cached graph runs. */
function artifactDevice({ cuda }: GraphArtifact): Device {
  return cuda === null ? cpu : deviceOf(cuda.stored.device);
}

/** What of the machine is in the emitted code. */
export function targetOf(toolchain: Toolchain): string {
  return `${toolchain.isa.name}/${toolchain.isa.vectorBytes}/${navigator.hardwareConcurrency}`;
}

function report(message: string): void {
  warnOnce(message, "tier");
}
