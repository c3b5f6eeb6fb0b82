/**
 * A compiled graph that runs on tensors: the host plan bound to memory, in tiers.
 *
 * Enters: a functional graph. The plan runs on JavaScript kernels at once; meanwhile the C++ compiler works in the background, and its library
 * takes over on the first call after it is ready. Inputs come in with the strides and dtypes that the graph states (the caller's guards
 * see to that) and at any storage offset; results are fresh tensors that the caller owns, or views of inputs, attributes and other results.
 */
import { cpu, InternalError, isStageEnabled, log, warnOnce } from "../core/mod.ts";
import { type Graph, isTensorMeta } from "../graph/mod.ts";
import { cpuAllocator, CpuBuffer } from "../runtime/cpu/memory.ts";
import type { Executable } from "../runtime/kernel.ts";
import { evaluate, type Expr, exprOf, isSymInt, type Sym } from "../symbolic/mod.ts";
import { cpuBuffer, Storage, Tensor } from "../tensor/mod.ts";
import { emitJsModule, type JsModule } from "./codegen/js/emit_module.ts";
import { type CompiledPlan, compileGraphToPlan, type PlanOptions } from "./compile_plan.ts";
import { CppTier } from "./cpp_tier.ts";
import type { HostPlan, PlanResult } from "./host_plan.ts";
import { hostRunner } from "./host_steps.ts";
import { constantValue } from "../symbolic/mod.ts";

/** When C++ takes over: never, as soon as it is ready, or before the first call. */
export type TierPolicy = "js" | "auto" | "aot";

/** Options of {@linkcode CompiledGraph}. */
export interface CompiledGraphOptions extends PlanOptions {
  readonly tier?: TierPolicy;
  /** For file names, logs and profiles. */
  readonly name?: string;
}

/** What a compiled graph takes and returns: tensors, and numbers for symbolic sizes. */
export type GraphValue = Tensor | number | boolean | string | null;

type SizeReader = (inputs: readonly GraphValue[], attributes: readonly Tensor[]) => number;
type SizeFunction = (sizes: readonly number[]) => number;

/** Finds out how each size symbol of the plan is read from the inputs. */
function sizeReaders(graph: Graph, plan: HostPlan): SizeReader[] {
  const found = new Map<Sym, SizeReader>();
  const note = (expr: Expr, read: SizeReader): void => {
    if (expr.kind === "symbol" && !found.has(expr.symbol)) found.set(expr.symbol, read);
  };
  graph.placeholders.forEach((node, i) => {
    const value = node.value;
    if (isSymInt(value)) {
      note(exprOf(value), (inputs) => Number(inputs[i]));
    } else if (isTensorMeta(value)) {
      value.shape.forEach((size, d) => {
        if (isSymInt(size)) note(exprOf(size), (inputs) => Number((inputs[i] as Tensor).shape[d]));
      });
      value.stride.forEach((stride, d) => {
        if (isSymInt(stride)) note(exprOf(stride), (inputs) => Number((inputs[i] as Tensor).stride[d]));
      });
    }
  });
  return plan.sizes.map((sym) => {
    const reader = found.get(sym);
    if (reader === undefined) throw new InternalError(`no input of the graph shows the size ${sym.name}`);
    return reader;
  });
}

/** How one result is made, with everything static worked out. */
interface ResultMaker {
  readonly result: PlanResult;
  readonly slot: number;
  readonly shape: readonly SizeFunction[];
  readonly stride: readonly SizeFunction[];
  readonly offset: SizeFunction;
  /** Known shape, stride and offset of a static graph. */
  readonly fixed:
    | { readonly shape: readonly number[]; readonly stride: readonly number[]; readonly offset: number }
    | null;
}

/** A functional graph, compiled. */
export class CompiledGraph {
  readonly name: string;
  readonly compiled: CompiledPlan;
  /** Results that were written into the memory that the caller donated for them. */
  readonly donated: ReadonlySet<number>;
  /** The JavaScript module, for logs. */
  readonly jsModule: JsModule;
  /** Milliseconds that the front half and the JavaScript emitter took. */
  readonly compileMs: number;
  readonly #graph: Graph;
  readonly #plan: HostPlan;
  readonly #sizeReaders: readonly SizeReader[];
  readonly #sizes: number[];
  readonly #buffers: (CpuBuffer | undefined)[];
  readonly #storages: (Storage | null)[];
  readonly #inputSlots: readonly {
    readonly slot: number;
    readonly index: number;
    readonly attribute: boolean;
    readonly offset: number;
    readonly bytes: number;
  }[];
  readonly #outputSlots: readonly { readonly slot: number; readonly bytes: SizeFunction }[];
  readonly #donatedSlots: readonly { readonly slot: number; readonly of: number }[];
  readonly #results: readonly ResultMaker[];
  #executable: Executable | null = null;
  #cpp: CppTier | null = null;

  constructor(graph: Graph, options: CompiledGraphOptions = {}) {
    const start = performance.now();
    this.name = options.name ?? "graph";
    this.#graph = graph;
    this.compiled = compileGraphToPlan(graph, options);
    const plan = this.compiled.plan;
    this.#plan = plan;
    this.jsModule = emitJsModule(plan, hostRunner(plan));
    log("output_code", () => `${this.name} (JavaScript)\n${this.jsModule.source}`);
    const position = new Map(plan.sizes.map((sym, i) => [sym, i]));
    const sizeFunction = (e: Expr): SizeFunction => {
      const known = constantValue(e);
      return known !== null ? () => known : (sizes) => evaluate(e, (sym) => sizes[position.get(sym) ?? -1] ?? NaN);
    };
    const slotOf = new Map(plan.slots.map((slot, i) => [slot.buffer, i]));
    this.#sizeReaders = sizeReaders(graph, plan);
    this.#sizes = new Array<number>(plan.sizes.length).fill(0);
    this.#buffers = new Array<CpuBuffer | undefined>(plan.slots.length).fill(undefined);
    this.#storages = new Array<Storage | null>(plan.slots.length).fill(null);
    const placeholders = graph.placeholders;
    const attributes = graph.attributes;
    this.#inputSlots = plan.slots.flatMap((slot, i) => {
      if (slot.kind !== "input" && slot.kind !== "attribute") return [];
      const value = (slot.kind === "input" ? placeholders : attributes)[slot.index]?.value;
      const offset = isTensorMeta(value) ? Number(value.storageOffset) : 0;
      return [{
        slot: i,
        index: slot.index,
        attribute: slot.kind === "attribute",
        offset,
        bytes: slot.buffer.dtype.bytes,
      }];
    });
    this.#outputSlots = plan.slots.flatMap((slot, i) =>
      slot.kind === "output" ? [{ slot: i, bytes: sizeFunction(slot.bytes) }] : []
    );
    this.#donatedSlots = plan.slots.flatMap((slot, i) =>
      slot.kind === "donated" ? [{ slot: i, of: slotOf.get(slot.of) ?? -1 }] : []
    );
    const isDonated = new Set(this.#donatedSlots.map((d) => d.slot));
    this.#results = plan.results.map((result): ResultMaker => {
      if (result.kind !== "tensor") {
        const size = result.kind === "size" ? sizeFunction(result.expr) : () => 0;
        return { result, slot: -1, shape: [], stride: [], offset: size, fixed: null };
      }
      const known = (list: readonly Expr[]): number[] | null => {
        const values = list.map(constantValue);
        return values.every((v): v is number => v !== null) ? values : null;
      };
      const shape = known(result.shape);
      const stride = known(result.stride);
      const offset = constantValue(result.offset);
      return {
        result,
        slot: slotOf.get(result.buffer) ?? -1,
        shape: result.shape.map(sizeFunction),
        stride: result.stride.map(sizeFunction),
        offset: sizeFunction(result.offset),
        fixed: shape !== null && stride !== null && offset !== null ? { shape, stride, offset } : null,
      };
    });
    this.donated = new Set(this.#results.flatMap((r, i) => isDonated.has(r.slot) ? [i] : []));
    this.#startCpp(options.tier ?? "auto");
    this.compileMs = performance.now() - start;
  }

  /** Which kernels run now. */
  get tier(): "js" | "cpp" {
    return this.#cpp?.executable !== null && this.#cpp !== null ? "cpp" : "js";
  }

  /** The C++ side, if there is one: its source, times and state. */
  get cpp(): CppTier | null {
    return this.#cpp;
  }

  /** Resolves when the fastest tier is in use. A compiler that fails is reported once, and the JavaScript kernels stay. */
  async ready(): Promise<void> {
    await this.#cpp?.ready();
  }

  /** Runs the plan. Sizes come from the inputs; nothing is checked here, the caller's guards have. */
  run(inputs: readonly GraphValue[], attributes: readonly Tensor[]): GraphValue[] {
    const sizes = this.#sizes;
    for (let i = 0; i < sizes.length; i++) sizes[i] = (this.#sizeReaders[i] as SizeReader)(inputs, attributes);
    const buffers = this.#buffers;
    const storages = this.#storages;
    for (const { slot, index, attribute, offset, bytes } of this.#inputSlots) {
      const t = (attribute ? attributes : inputs)[index] as Tensor;
      storages[slot] = t.storage;
      buffers[slot] = bufferAt(t, offset, bytes);
    }
    for (const { slot, bytes } of this.#outputSlots) {
      const buffer = cpuAllocator().allocate(bytes(sizes));
      buffers[slot] = buffer;
      storages[slot] = new Storage(buffer);
    }
    for (const { slot, of } of this.#donatedSlots) storages[slot] = storages[of] ?? null;
    this.runBuffers(buffers, sizes);
    const out = this.#results.map((maker) => this.#result(maker, inputs, attributes));
    buffers.fill(undefined);
    storages.fill(null);
    return out;
  }

  /** Runs the plan on slots that the caller filled. */
  runBuffers(buffers: readonly (CpuBuffer | undefined)[], sizes: readonly number[]): void {
    const native = this.#cpp?.poll() ?? null;
    if (native !== null) {
      native.run(buffers, sizes);
      return;
    }
    this.#executable ??= this.jsModule.instantiate();
    this.#executable.run(buffers, sizes);
  }

  #result(maker: ResultMaker, inputs: readonly GraphValue[], attributes: readonly Tensor[]): GraphValue {
    const { result, slot, fixed } = maker;
    if (result.kind === "constant") return result.value;
    const sizes = this.#sizes;
    if (result.kind === "size") return maker.offset(sizes);
    const storage = this.#storages[slot];
    if (storage === null || storage === undefined) {
      throw new InternalError(`${result.buffer.label} is a result but has no storage`);
    }
    const entry = this.#plan.slots[slot];
    const shape = fixed?.shape ?? maker.shape.map((f) => f(sizes));
    const stride = fixed?.stride ?? maker.stride.map((f) => f(sizes));
    let storageOffset = fixed?.offset ?? maker.offset(sizes);
    const base = entry?.kind === "donated" ? this.#plan.slots.find((s) => s.buffer === entry.of) : entry;
    if (base?.kind === "input" || base?.kind === "attribute") {
      // The plan counts from where the input starts; the tensor may start later in its storage.
      const t = (base.kind === "input" ? inputs : attributes)[base.index] as Tensor;
      const meta = (base.kind === "input" ? this.#graph.placeholders : this.#graph.attributes)[base.index]?.value;
      storageOffset += Number(t.storageOffset) - (isTensorMeta(meta) ? Number(meta.storageOffset) : 0);
    }
    return new Tensor({ shape, stride, storageOffset, dtype: result.buffer.dtype, device: cpu, storage });
  }

  #startCpp(policy: TierPolicy): void {
    if (policy === "js" || !isStageEnabled("cpp") || this.#plan.steps.length === 0) return;
    this.#cpp = CppTier.start(this.#plan, this.name, (message) => warnOnce(message, "tier"));
    if (policy === "aot") this.#cpp?.waitSync();
  }
}

/** The memory of a tensor from the element that the plan calls number 0. */
function bufferAt(t: Tensor, offset: number, bytes: number): CpuBuffer {
  const whole = cpuBuffer(t.storage.buffer ?? fail(t));
  // An empty tensor may start behind the end of its memory.
  const delta = Math.min((Number(t.storageOffset) - offset) * bytes, whole.byteLength);
  if (delta === 0) return whole;
  return CpuBuffer.wrap(new Uint8Array(whole.pin().storage, whole.byteOffset + delta, whole.byteLength - delta));
}

function fail(t: Tensor): never {
  throw new InternalError(`a ${t.dtype.name} tensor without memory reached a compiled graph`);
}
