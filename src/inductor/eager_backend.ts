/**
 * Eager execution by the compiler, in JavaScript for the CPU and on CUDA devices: an operator called outside any compiled function is a graph of one node.
 *
 * The graph goes through the same lowering, tiling and emitter as every other, so eager and compiled code share one meaning. What was compiled
 * is kept by operator, dtypes, shapes, strides and plain arguments; the least recently used entries go first.
 */
import { cpu, type Device, InternalError, numericsKey, operatorErrorText } from "../core/mod.ts";
import { type Argument, Graph, type TensorMeta } from "../graph/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { CpuBuffer as Cpu } from "../runtime/cpu/memory.ts";
import { CudaBuffer } from "../runtime/cuda/mod.ts";
import type { Buffer } from "../runtime/mod.ts";
import {
  contiguousRange,
  copyElements,
  cpuBuffer,
  deviceMemory,
  type EagerBackend,
  isTensor,
  Storage,
  Tensor,
} from "../tensor/mod.ts";
import { algorithmProblem } from "./codegen/cuda/algorithms/mod.ts";
import { CompiledGraph } from "./compiled_graph.ts";
import { takesAlgorithm, takesAttention } from "./lower_attention.ts";

/** Compiled single operators that are kept. */
const CACHE_LIMIT = 4096;

interface Entry {
  readonly graph: CompiledGraph;
  /** For each slot: the tensor argument (0 …), or -1 - i for result i, or null for a slot of the arena. */
  readonly slots: readonly (number | null)[];
  /** Results that the plan does not write into a slot of their own (views of inputs): copied after the run. */
  readonly copies: readonly number[];
}

const ids = new WeakMap<object, number>();
let nextId = 1;

function idOf(object: object): number {
  let id = ids.get(object);
  if (id === undefined) ids.set(object, id = nextId++);
  return id;
}

function keyOfTensor(t: TensorMeta): string {
  const where = t.device === cpu ? "" : t.device.toString();
  return `${where}${t.dtype.short}[${t.shape.join(",")}|${t.stride.join(",")}]`;
}

function keyOf(value: ArgValue<Tensor>): string {
  if (value === null) return "-";
  if (typeof value === "object") {
    if (isTensor(value)) return keyOfTensor(value);
    if (Array.isArray(value)) return `(${value.map(keyOf).join(";")})`;
    return `o${idOf(value)}`;
  }
  return typeof value === "number" ? Object.is(value, -0) ? "-0" : String(value) : `${typeof value}${String(value)}`;
}

function collect(value: ArgValue<Tensor>, into: Tensor[]): void {
  if (isTensor(value)) into.push(value);
  else if (Array.isArray(value)) { for (const item of value as readonly ArgValue<Tensor>[]) collect(item, into); }
}

/** What a result must look like: contiguous position 0 of its own memory. */
function metaAtZero(t: Tensor): TensorMeta {
  return { shape: t.shape, stride: t.stride, storageOffset: 0, dtype: t.dtype, device: t.device };
}

function build(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[], donateTo: Tensor | null): Entry {
  const graph = new Graph();
  const placeholders: Tensor[] = [];
  const convert = (value: ArgValue<Tensor>): Argument => {
    if (isTensor(value)) {
      placeholders.push(value);
      return graph.placeholder(`arg${placeholders.length - 1}`, metaAtZero(value));
    }
    if (Array.isArray(value)) return (value as readonly ArgValue<Tensor>[]).map(convert);
    return value as Argument;
  };
  const argList = op.schema.args.map((a) => convert(args[a.key] ?? null));
  const metas = outs.map(metaAtZero);
  const single = op.schema.returns.length === 1 && op.schema.returns[0]?.list !== true;
  const call = graph.call(op, argList, single ? metas[0] ?? null : metas);
  graph.setOutput(single ? [call] : metas.map((meta, i) => graph.getItem(call, i, meta)));
  const index = donateTo === null ? -1 : placeholders.indexOf(donateTo);
  const compiled = new CompiledGraph(graph, {
    // Kernels of blocks are interpreted in JavaScript, which only small ones are worth.
    tier: op.kind === "blocks" ? "auto" : "js",
    graphs: false,
    name: op.schema.name,
    ...(index < 0 ? {} : { donate: new Map([[0, { kind: "input" as const, index }]]) }),
  });
  const results = compiled.compiled.plan.results;
  const copies: number[] = [];
  const resultOf = new Map(results.map((r, i) => [r.kind === "tensor" ? r.buffer : null, i]));
  const slots = compiled.compiled.plan.slots.map((slot): number | null => {
    if (slot.kind === "input") return slot.index;
    if (slot.kind === "output") return -1 - (resultOf.get(slot.buffer) ?? fail(op));
    return null;
  });
  results.forEach((r, i) => {
    const own = r.kind === "tensor" &&
      compiled.compiled.plan.slots.some((s) =>
        s.kind === "output" && s.buffer === r.buffer && resultOf.get(r.buffer) === i
      );
    if (!own && !compiled.donated.has(i)) copies.push(i);
  });
  return { graph: compiled, slots, copies };
}

function fail(op: Operator): never {
  throw new InternalError(`${op.target}: the plan of a single operator writes an output that is no result`);
}

/** The memory of a tensor from its first element on, on the device where kernels run. */
function bufferOf(t: Tensor, device: Device): Buffer {
  const { buffer } = t.storage;
  if (buffer === null) return failMemory(t);
  if (t.device !== device) return uploaded(t, device);
  // An empty tensor may start behind the end of its memory.
  const start = Math.min(Number(t.storageOffset) * t.dtype.bytes, buffer.byteLength);
  if (start === 0) return buffer;
  if (buffer instanceof CudaBuffer) return buffer.part(start, buffer.byteLength - start);
  const whole = cpuBuffer(buffer);
  return Cpu.wrap(new Uint8Array(whole.pin().storage, whole.byteOffset + start, whole.byteLength - start));
}

/** A copy of the range of memory that a tensor of the CPU spans: 0-dim tensors may be mixed with those of a device. */
function uploaded(t: Tensor, device: Device): Buffer {
  const memory = deviceMemory(device);
  const bytes = contiguousRange(t);
  const buffer = memory.allocate(device, bytes.byteLength);
  if (bytes.byteLength > 0) memory.write(buffer, 0, bytes);
  return buffer;
}

function failMemory(t: Tensor): never {
  throw new InternalError(`a ${t.dtype.name} tensor without memory reached the eager backend`);
}

const NO_SIZES: readonly number[] = [];

const backends = new Set<InductorEagerBackend>();

/** Resolves when everything that eager operators compile in the background is in use. */
export async function eagerReady(): Promise<void> {
  for (const backend of backends) await backend.ready();
}

/** Runs operators on kernels made by the compiler, on the device that their results are on. */
export class InductorEagerBackend implements EagerBackend {
  readonly name: string;
  readonly #entries = new Map<string, Entry | null>();

  constructor(name = "inductor-js") {
    this.name = name;
    backends.add(this);
  }

  /** Resolves when no operator's C++ is being compiled. */
  async ready(): Promise<void> {
    for (const entry of this.#entries.values()) if (entry?.graph.isCompiling === true) await entry.graph.ready();
  }

  takesWhole(op: Operator, args: NamedArgs<Tensor>): boolean {
    return takesAttention(op, args) || takesAlgorithm(op, args);
  }

  takesHost(op: Operator, args: NamedArgs<Tensor>): boolean {
    return algorithmProblem(op, (key) => args[key] ?? null) === null;
  }

  execute(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[]): void {
    const tensors: Tensor[] = [];
    let key = op.target;
    for (const schema of op.schema.args) {
      const value = args[schema.key] ?? null;
      key += "," + keyOf(value);
      collect(value, tensors);
    }
    for (const out of outs) key += ">" + keyOfTensor(out);
    const entry = this.#find(key, () => build(op, args, outs, null));
    if (entry === null) throw new InternalError(`${op.target} has no kernel`);
    this.#runNamed(op, entry, tensors, outs);
  }

  executeInPlace(op: Operator, args: NamedArgs<Tensor>, self: Tensor): boolean {
    const tensors: Tensor[] = [];
    let key = `${op.target}!`;
    for (const schema of op.schema.args) {
      const value = args[schema.key] ?? null;
      key += "," + keyOf(value);
      collect(value, tensors);
    }
    key += "@" + tensors.map((t) => t === self ? "s" : "-").join("");
    const entry = this.#find(key, () => {
      const made = build(op, args, [self], self);
      return made.graph.donated.has(0) ? made : null;
    });
    if (entry === null) return false;
    this.#runNamed(op, entry, tensors, []);
    return true;
  }

  /** Kernels of CUDA depend on settings. */
  #precise(key: string): string {
    return key + numericsKey();
  }

  #find(named: string, make: () => Entry | null): Entry | null {
    const key = this.#precise(named);
    const found = this.#entries.get(key);
    if (found !== undefined) return found;
    const made = make();
    if (this.#entries.size >= CACHE_LIMIT) {
      const oldest = this.#entries.keys().next().value;
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
    this.#entries.set(key, made);
    return made;
  }

  /** Kernels know no operator; what they find wrong (an index out of range) is reported with its name. */
  #runNamed(op: Operator, entry: Entry, tensors: readonly Tensor[], outs: readonly Tensor[]): void {
    try {
      this.#run(entry, tensors, outs);
    } catch (error) {
      if (error instanceof RangeError) throw new RangeError(rangeMessage(op, error), { cause: error });
      throw error;
    }
  }

  #run(entry: Entry, tensors: readonly Tensor[], outs: readonly Tensor[]): void {
    const buffers: (Buffer | undefined)[] = new Array<Buffer | undefined>(entry.slots.length);
    const { device } = entry.graph;
    for (let i = 0; i < buffers.length; i++) {
      const slot = entry.slots[i];
      if (slot === null || slot === undefined) buffers[i] = undefined;
      else buffers[i] = bufferOf((slot >= 0 ? tensors[slot] : outs[-1 - slot]) as Tensor, device);
    }
    entry.graph.runBuffers(buffers, NO_SIZES);
    for (const i of entry.copies) this.#copy(entry, i, tensors, outs[i] as Tensor, outs);
  }

  #copy(entry: Entry, i: number, tensors: readonly Tensor[], out: Tensor, outs: readonly Tensor[]): void {
    const result = entry.graph.compiled.plan.results[i];
    if (result?.kind !== "tensor") throw new InternalError("a result of an operator is no tensor");
    const at = entry.graph.compiled.plan.slots.findIndex((s) => s.buffer === result.buffer);
    const slot = entry.slots[at];
    if (slot === null || slot === undefined) {
      throw new InternalError("a result of an operator lies in no input and no output");
    }
    const source = (slot >= 0 ? tensors[slot] : outs[-1 - slot]) as Tensor;
    const number = (e: { kind: string; value?: unknown }): number => Number(e.value);
    const view = new Tensor({
      shape: result.shape.map(number),
      stride: result.stride.map(number),
      storageOffset: Number(source.storageOffset) + number(result.offset),
      dtype: source.dtype,
      device: source.device,
      storage: source.storage as Storage,
    });
    copyElements(out, view);
  }
}

/** What was found wrong, with the operator's name. */
function rangeMessage(op: Operator, error: RangeError): string {
  const [, index, size] = /^an index is (-?\d+).* has (\d+)/.exec(error.message) ?? [];
  if (index === undefined || size === undefined) return `${op.schema.name}: ${error.message}`;
  return operatorErrorText(op.schema.name, BigInt(index), BigInt(size));
}
