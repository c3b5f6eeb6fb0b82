/**
 * The CUDA tier of a compiled graph: from its host plan to kernels on a device.
 *
 * The emitter writes the plan as modules; all of them are compiled at once, by nvrtc's own threads where the caller can wait for a promise, by a pool of
 * threads where it cannot, and taken from the disk cache where they are known. There is no other tier for memory of a device, so the first call
 * waits. Tensors of the CPU that the graph reads are uploaded; what belongs to the program and has not changed since is uploaded once.
 */
import { CompileError, config, type Device, isStageEnabled, log, numericsKey } from "../core/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import { CpuBuffer } from "../runtime/cpu/mod.ts";
import {
  chooseTarget,
  compileAllSync,
  type CompileTarget,
  type CudaBuffer,
  type CudaContext,
  cudaContext,
  CudaExecutable,
  type CudaFunction,
  CudaModule,
  type CudaPlan,
  type CudaPlanArg,
  type CudaPlanLaunch,
  type CudaPlanStep,
  librariesKey,
  libraryCall,
  nvrtcCompiler,
  type NvrtcRequest,
  type NvrtcResult,
  parameterBytes,
} from "../runtime/cuda/mod.ts";
import { cudaMemory, reportHostStep, type Storage } from "../tensor/mod.ts";
import type { ClockedLaunch } from "./codegen/cpp/emit_module.ts";
import { type CudaArtifact, restoreCuda } from "./cache/stored_cuda.ts";
import { ContractionTuner, type TunedContraction } from "./autotune/tuner.ts";
import { architectureName, CUDA_FLAGS, cudaEmission, type EmittedModule } from "./codegen/cuda/emit_module.ts";
import type {
  CudaArg,
  CudaLaunch,
  CudaModules,
  CudaModuleText,
  CudaOptions,
  TensorMapSpec,
} from "./codegen/cuda/launch.ts";
import { sizeFunction, slotNumbers } from "./codegen/slots.ts";
import type { Expr } from "../symbolic/mod.ts";
import { hostRunner } from "./host_steps.ts";
import type { HostPlan } from "./host_plan.ts";
import type { Hint } from "./loop_space.ts";
import { type PlanLayout, sourcesOf } from "./plan_layout.ts";
import { type LaunchTime, launchTimes } from "./profile.ts";

/** Between two turns of the event loop while modules are emitted. */
const TURN_MS = 20;

/** What makes a tier. */
export interface CudaTierOptions {
  readonly name: string;
  /** The plan, or a function that makes it; not asked for where `stored` is given, but for a profile. */
  readonly plan: () => HostPlan;
  readonly layout: PlanLayout;
  readonly device: Device;
  /** Whether launches are recorded as CUDA graphs. */
  readonly graphs: boolean;
  /** Whether each launch is timed: calls then wait for the device. */
  readonly profile: boolean;
  /** Whether contractions run as was measured to be fastest. */
  readonly autotune: boolean;
  /** What an earlier process kept: nothing is emitted or compiled. */
  readonly stored?: CudaArtifact;
  /** Called with the machine code when it is loaded for the first time. */
  readonly onBuilt?: (modules: CudaModules, images: readonly Uint8Array<ArrayBuffer>[]) => void;
}

/** A plan on its way to a device. */
export class CudaTier {
  readonly context: CudaContext;
  readonly #options: CudaTierOptions;
  readonly #uploaded = new WeakMap<
    Storage,
    { readonly version: number; readonly bytes: number; readonly buffer: CudaBuffer }
  >();
  readonly #resultLabel: string;
  /** For each slot of a result where it was in the call before; 0 before. */
  readonly #resultAddresses: Float64Array<ArrayBuffer>;
  #modules: CudaModules | null = null;
  /** Under way, until it has returned the modules. */
  #emission: ReturnType<typeof cudaEmission> | null = null;
  #executable: CudaExecutable | null = null;
  #tuned: readonly TunedContraction[] = [];
  #compileMs: number | null = null;
  #compiling: Promise<void> | null = null;
  /** Nanoseconds that the launches of each step have taken. */
  readonly #clocks = new Map<number, number>();

  /** @throws {TypeError} without a working driver, with the remedy */
  constructor(options: CudaTierOptions) {
    this.#options = options;
    this.context = cudaContext(options.device.index);
    this.#resultLabel = `a result of ${options.name}`;
    this.#resultAddresses = new Float64Array(options.layout.slots.length);
  }

  /** The plan as text; emitted when it is first needed. */
  get modules(): CudaModules {
    while (this.#modules === null) this.#emitNext();
    return this.#modules;
  }

  /** Goes on emitting: the next module that is complete, or null when all are known. */
  #emitNext(): EmittedModule | null {
    if (this.#modules !== null) return null;
    const emission = this.#emission ??= this.#emit();
    try {
      const next = emission.next();
      if (next.done !== true) return next.value;
      this.#modules = next.value;
    } catch (error) {
      this.#emission = null;
      throw error;
    }
    this.#emission = null;
    return null;
  }

  *#emit(): ReturnType<typeof cudaEmission> {
    const { capability, attributes } = this.context.info;
    const options: CudaOptions = {
      arch: capability,
      multiprocessors: attributes.multiprocessors,
      allowTf32: config().float32MatmulPrecision !== "highest",
      deterministic: config().deterministic,
      parameterBytes: parameterBytes(),
    };
    const plan = this.#options.plan();
    if (!this.#options.autotune || !isStageEnabled("autotune")) return yield* cudaEmission(plan, options);
    const tuner = new ContractionTuner(this.context, cudaMemory(), options, this.#target());
    tuner.tune(plan);
    const modules = yield* cudaEmission(plan, { ...options, choose: tuner.choose });
    this.#tuned = tuner.used;
    return modules;
  }

  /** What was measured of the contractions, and chosen; empty without autotuning, and where the cache had the whole plan. */
  get tuned(): readonly TunedContraction[] {
    return this.#tuned;
  }

  /** Milliseconds that compiling took; null before. */
  get compileMs(): number | null {
    return this.#compileMs;
  }

  /** The executable; the first time the thread waits for the compiler. @throws {CompileError} */
  get executable(): CudaExecutable {
    if (this.#executable !== null) return this.#executable;
    const start = performance.now();
    const { stored } = this.#options;
    const executable = stored === undefined
      ? this.#load(compileAllSync(nvrtcCompiler(), this.#requests()))
      : this.#loadStored(stored);
    this.#compileMs = performance.now() - start;
    return executable;
  }

  /** Resolves when the kernels are loaded. */
  ready(): Promise<void> {
    return this.#compiling ??= this.#compile();
  }

  async #compile(): Promise<void> {
    if (this.#executable !== null || this.#options.stored !== undefined) {
      void this.executable;
      return;
    }
    const start = performance.now();
    const compiler = nvrtcCompiler();
    const underWay = new Map<number, Promise<NvrtcResult>>();
    let turned = start;
    for (let module = this.#emitNext(); module !== null; module = this.#emitNext()) {
      const job = compiler.compile(this.#request(module, module.index));
      // It is asked for below; until then its failure is nobody's.
      job.catch(() => {});
      underWay.set(module.index, job);
      if (performance.now() - turned < TURN_MS) continue;
      // Compilers that have ended make room for those that wait.
      await new Promise<void>((resolve) => setTimeout(resolve, 0));
      turned = performance.now();
    }
    const results = await Promise.all(
      this.modules.modules.map((module, i) => underWay.get(i) ?? compiler.compile(this.#request(module, i))),
    );
    if (this.#executable !== null) return;
    this.#load(results);
    this.#compileMs = performance.now() - start;
  }

  /** Memory for a result; where it was in the call before, if that is free. */
  allocate(byteLength: number, slot: number): CudaBuffer {
    const { allocator, currentStream } = this.context;
    const buffer = allocator.allocate(byteLength, this.#resultLabel, currentStream, this.#resultAddresses[slot]);
    this.#resultAddresses[slot] = buffer.address;
    return buffer;
  }

  /** The device's copy of memory of the CPU. What is `kept` is copied again only after it was written. */
  upload(storage: Storage, memory: CpuBuffer, slot: number, sizes: readonly number[], kept: boolean): CudaBuffer {
    const bytes = Math.min(this.#slotBytes(slot, sizes), memory.byteLength);
    const known = kept ? this.#uploaded.get(storage) : undefined;
    if (known !== undefined && known.version === storage.version && known.bytes === bytes) return known.buffer;
    const buffer = this.context.allocator.allocate(bytes, "a copy of a tensor on the CPU");
    cudaMemory().write(buffer, 0, memory.uint8.subarray(0, bytes));
    if (kept) this.#uploaded.set(storage, { version: storage.version, bytes, buffer });
    return buffer;
  }

  /** Whether a call at these sizes needs no buffers of attributes: they are where they were in the call before. */
  isHeld(sizes: readonly number[]): boolean {
    return this.#executable !== null && this.#executable.isHeld(sizes);
  }

  /** Whether the call that begins should mark what says where the attributes are, and end with {@linkcode CudaTier.hold}. */
  isWorthHolding(sizes: readonly number[]): boolean {
    return this.#executable !== null && !this.#options.profile && this.#executable.isWorthHolding(sizes);
  }

  /** After a call before which all attributes were marked. */
  hold(): void {
    this.#executable?.hold();
  }

  /** Before a call with other attributes. */
  letGo(): void {
    this.#executable?.letGo();
  }

  /** Runs the plan. `held`: as {@linkcode CudaTier.isHeld} said. */
  run(buffers: readonly (CudaBuffer | undefined)[], sizes: readonly number[], held = false): void {
    const { executable } = this;
    if (!this.#options.profile) {
      executable.run(buffers, sizes, held);
      return;
    }
    for (const { step, milliseconds } of executable.measure(buffers, sizes)) {
      this.#clocks.set(step, (this.#clocks.get(step) ?? 0) + 1e6 * milliseconds);
    }
  }

  /** What the launches of each step have taken since this was last asked; null unless they are timed. */
  readProfile(hint: Hint): LaunchTime[] | null {
    if (!this.#options.profile) return null;
    const launches: ClockedLaunch[] = [];
    const times: (readonly [number, number])[] = [];
    this.modules.steps.forEach((step, i) => {
      const group = this.#options.plan().steps[i]?.group;
      if (step.kind !== "launches" || group === undefined) return;
      launches.push({ group, functions: step.launches.map((l) => l.function) });
      times.push([this.#clocks.get(i) ?? 0, 0]);
    });
    this.#clocks.clear();
    return launchTimes(launches, times, hint);
  }

  #slotBytes(slot: number, sizes: readonly number[]): number {
    const { stored } = this.#options;
    if (stored !== undefined) return stored.stored.slotBytes[slot] ?? 0;
    const plan = this.#options.plan();
    const buffer = plan.slots[slot]?.buffer;
    return buffer === undefined ? 0 : sizeFunction(plan, buffer.numel)(sizes) * buffer.dtype.bytes;
  }

  #requests(): NvrtcRequest[] {
    return this.modules.modules.map((module, i) => this.#request(module, i));
  }

  #request({ source }: CudaModuleText, index: number): NvrtcRequest {
    const { name } = this.#options;
    log("output_code", () => `${name} (CUDA, module ${index})\n${source}`);
    return { source, target: this.#target(), name: `${name}_${index}`, options: CUDA_FLAGS };
  }

  #target(): CompileTarget {
    return targetOf(this.context, architectureName(this.context.info.capability));
  }

  #load(results: readonly NvrtcResult[]): CudaExecutable {
    const { context } = this;
    const { name, onBuilt } = this.#options;
    const modules = results.map((r, i) => CudaModule.load(context, r.bytes, `${name}_${i}`));
    const executable = this.#run(this.#planOf(modules));
    // What the driver translates for this device only is not kept.
    if (results.every((r) => r.kind === "cubin")) onBuilt?.(this.modules, results.map((r) => r.bytes));
    return executable;
  }

  #loadStored({ stored, images }: CudaArtifact): CudaExecutable {
    const { context } = this;
    const { name, layout } = this.#options;
    const modules = images.map((image, i) => CudaModule.load(context, image, `${name}_${i}`));
    const load = (module: number, text: string, origin: string): CudaFunction => {
      const found = modules[module];
      if (found === undefined) throw new CompileError(`a stored CUDA plan uses module ${module} of ${modules.length}`);
      return found.function(text, origin);
    };
    return this.#run(restoreCuda(name, stored, layout, load, (spec, origin) => libraryCall(context, spec, origin)));
  }

  #run(plan: CudaPlan): CudaExecutable {
    const { graphs } = this.#options;
    return this.#executable = new CudaExecutable({ context: this.context, memory: cudaMemory(), plan, graphs });
  }

  #planOf(modules: readonly CudaModule[]): CudaPlan {
    const { name, layout, device } = this.#options;
    const plan = this.#options.plan();
    const numbers = slotNumbers(plan);
    const slotOf = (buffer: BufferRef): number => {
      const slot = numbers.get(buffer);
      if (slot === undefined) throw new CompileError(`${name}: a kernel uses ${buffer.label}, which has no slot`);
      return slot;
    };
    const runHost = hostRunner(plan);
    const launch = (l: CudaLaunch): CudaPlanLaunch => ({
      fn: l.library === undefined
        ? (modules[l.module] as CudaModule).function(l.function, l.origin)
        : libraryCall(this.context, l.library, l.origin),
      args: l.args.map((arg) => planArg(plan, arg, slotOf)),
      grid: [sizeFunction(plan, l.grid[0]), sizeFunction(plan, l.grid[1]), sizeFunction(plan, l.grid[2])],
      block: l.block,
      sharedBytes: l.sharedBytes,
      waits: l.waits,
      early: l.early.map(slotOf),
      ...(l.cluster === undefined ? {} : { cluster: l.cluster }),
    });
    return {
      name,
      steps: this.modules.steps.map((step): CudaPlanStep => {
        if (step.kind === "launches") return { kind: "launches", launches: step.launches.map(launch) };
        const { group } = step;
        const operator = group.node.op === "call" ? group.node.target.schema.name : group.node.name;
        const run = runHost(group, slotOf);
        return {
          kind: "host",
          name: operator,
          reads: group.inputs.map(slotOf),
          writes: group.outputs.map(slotOf),
          run: run.onDevice === true ? run : (buffers, sizes) => {
            reportHostStep(operator, device);
            run(buffers, sizes);
          },
        };
      }),
      sources: sourcesOf(layout),
      arenaBytes: layout.arenaBytes,
      slotBytes: plan.slots.map(({ buffer }) => {
        const numel = sizeFunction(plan, buffer.numel);
        return (sizes) => numel(sizes) * buffer.dtype.bytes;
      }),
    };
  }
}

/** What of a device, and of the settings, is in the emitted text and its machine code. `autotune`: so are libraries. */
export function cudaTarget(where: Device, autotune: boolean): string {
  const { capability, attributes } = cudaContext(where.index).info;
  const { autotuneBackends } = config();
  const tuned = autotune ? `/tuned/${[...autotuneBackends].sort().join("+")}/${librariesKey()}` : "";
  return `cuda/${capability}/${attributes.multiprocessors}/${where.index}${numericsKey()}${tuned}`;
}

/** What to compile for: the architecture that the text was written for, if nvrtc and the device know it. */
function targetOf(context: CudaContext, architecture: string): CompileTarget {
  const chosen = chooseTarget(context.info.capability, nvrtcCompiler().library, context.driver.version);
  if (!chosen.ok) throw new CompileError(`${chosen.problem.problem} ${chosen.problem.remedy}`);
  return chosen.value.kind === "cubin" && chosen.value.arch.startsWith(architecture.replace(/a$/, ""))
    ? { arch: architecture, kind: "cubin" }
    : chosen.value;
}

/** A map at the sizes of a call. */
function mapFunction(
  plan: HostPlan,
  { sizes, strideBytes, offset: _, ...rest }: TensorMapSpec,
): Extract<CudaPlanArg, { kind: "tensorMap" }>["map"] {
  const functions = (list: readonly Expr[]) => list.map((e) => sizeFunction(plan, e));
  const [sizesOf, strides] = [functions(sizes), functions(strideBytes)];
  return (at) => ({ ...rest, sizes: sizesOf.map((f) => f(at)), strideBytes: strides.map((f) => f(at)) });
}

function planArg(plan: HostPlan, arg: CudaArg, slotOf: (buffer: BufferRef) => number): CudaPlanArg {
  switch (arg.kind) {
    case "buffer":
      return { kind: "slot", slot: slotOf(arg.buffer), align: arg.align, offset: arg.offset ?? 0 };
    case "size": {
      const at = plan.sizes.indexOf(arg.sym);
      if (at < 0) throw new CompileError(`a kernel takes the size ${arg.sym.name}, which the plan does not pass`);
      return { kind: "size", value: (sizes) => sizes[at] ?? 0, type: arg.type };
    }
    case "scratch":
      return { kind: "scratch", bytes: sizeFunction(plan, arg.bytes), zeroed: arg.zeroed, id: arg.id };
    case "scratchMap":
      return { kind: "scratchMap", bytes: sizeFunction(plan, arg.bytes), id: arg.id, map: mapFunction(plan, arg.map) };
    case "tensorMap": {
      const { bytes } = arg.buffer.dtype;
      const offset = sizeFunction(plan, arg.map.offset);
      return {
        kind: "tensorMap",
        slot: slotOf(arg.buffer),
        offset: (sizes) => offset(sizes) * bytes,
        map: mapFunction(plan, arg.map),
      };
    }
    case "error":
      return { kind: "error" };
    default:
      return arg satisfies never;
  }
}
