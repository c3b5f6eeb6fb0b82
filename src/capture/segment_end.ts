/**
 * The end of a segment: where recorded operators are run, and how.
 *
 * Enters: the path of steps, the tensors of one call, and the storages whose content was put off. Leaves: these storages with memory. The first time the operators run one
 * by one; from the second time on they are compiled, and results that nobody has looked at so far are left out. If such a result is asked for after all, it is
 * computed again from what the segment was given ({@linkcode Recipe}), and kept from then on. Segments that write their inputs keep all results.
 */
import { InternalError } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import {
  copyElements,
  emptyTensor,
  noGrad,
  type PendingWork,
  type Storage,
  Tensor,
  withoutModes,
} from "../tensor/mod.ts";
import type { CompiledFunction } from "./backends.ts";
import type { ShapeEnv } from "./shape_env.ts";
import type { GraphBreak } from "./graph_break.ts";
import { metaIn, segmentInputs, segmentMade } from "./segment_graph.ts";
import { dimValues, sizesHold } from "./segment_sizes.ts";
import { type SnapshotCell, snapshotOf } from "./segment_snapshots.ts";
import type { InputSpec, Step, StepResult } from "./segment_steps.ts";

/** A compiled segment, and what it assumes of sizes. */
export interface CompiledSegment {
  readonly run: CompiledFunction;
  readonly env: ShapeEnv;
}

/** What makes segments executable, and counts. */
export interface SegmentCompiler {
  /** Compiles the segment that ends here, with the results of these indices. */
  compile(
    end: SegmentEnd,
    kept: readonly number[],
    inputs: readonly Tensor[],
    sizes: readonly number[],
  ): CompiledSegment;
  /** Runs the operators one by one. */
  interpret(end: SegmentEnd): CompiledFunction;
  /** Compile at once, not at the second time. */
  readonly isEager: boolean;
}

/** How often a prediction may be wrong before all results are kept. */
const MOST_SURPRISES = 4;

/** A result whose memory is there, until somebody looks at it. */
class Untouched implements PendingWork {
  constructor(readonly end: SegmentEnd, readonly index: number) {}

  settle(storage: Storage): void {
    storage.pending = null;
    this.end.used[this.index] = true;
  }
}

/** How deep a result is searched for tensors. */
const RESULT_DEPTH = 3;

/** Tensors that a function returns will be looked at. */
export function noteResult(value: unknown, depth: number = RESULT_DEPTH): void {
  if (value instanceof Tensor) {
    const { storage } = value;
    if (storage.pending instanceof Untouched || storage.pending instanceof Recipe) storage.settle();
    return;
  }
  if (depth <= 0 || typeof value !== "object" || value === null) return;
  const isPlain = Reflect.getPrototypeOf(value) === Object.prototype;
  if (!isPlain && !Array.isArray(value)) return;
  for (const item of Object.values(value)) noteResult(item, depth - 1);
}

/** How to compute results that were left out. */
class Recipe implements PendingWork {
  readonly #end: SegmentEnd;
  readonly #cells: readonly SnapshotCell[];
  readonly #offsets: readonly Size[];
  readonly #made: readonly Storage[];
  readonly #sizes: readonly number[];

  constructor(end: SegmentEnd, inputs: readonly Tensor[], made: readonly Storage[], sizes: readonly number[]) {
    this.#end = end;
    // The tensors themselves would keep what they were computed from.
    this.#cells = inputs.map((t) => snapshotOf(t.storage, t.device, end));
    this.#offsets = inputs.map((t) => t.storageOffset);
    this.#made = made;
    this.#sizes = sizes;
  }

  settle(storage: Storage): void {
    const end = this.#end;
    const sizes = this.#sizes;
    end.surprise(this.#made.indexOf(storage));
    const inputs = this.#cells.map((cell, i): Tensor => {
      const spec = end.inputs[i] as InputSpec;
      const [shape, stride] = [dimValues(spec.shape, sizes), dimValues(spec.stride, sizes)];
      return new Tensor({ ...spec, shape, stride, storageOffset: this.#offsets[i] ?? 0, storage: cell.current() });
    });
    const results = run(end.interpreted(), inputs);
    const metas = end.metasIn(sizes);
    const copied = end.findCopied(inputs, results, null, metas);
    this.#made.forEach((s, i) => {
      if (s.pending !== this) return;
      s.pending = null;
      adopt(s, metas[i] as TensorMeta, results[i] as Tensor, copied[i] === true);
    });
  }
}

function run(compiled: CompiledFunction, inputs: readonly Tensor[]): readonly unknown[] {
  return withoutModes(() => noGrad(() => compiled(inputs)));
}

/** Gives a storage the memory of a result, or a copy of it that lies as `meta` says. */
function adopt(storage: Storage, meta: TensorMeta, result: Tensor, copies: boolean): void {
  const { buffer } = (copies ? copyAs(result, meta) : result).storage;
  if (buffer === null) throw new InternalError("a segment gave a result without memory");
  storage.adopt(buffer);
}

function copyAs(result: Tensor, meta: TensorMeta): Tensor {
  return withoutModes(() => {
    const copy = emptyTensor(meta.shape, meta.stride, meta.dtype, meta.device);
    copyElements(copy, result);
    return copy;
  });
}

function liesAs(t: Tensor, meta: TensorMeta): boolean {
  return Number(t.storageOffset) === 0 && t.shape.every((s, i) => s === meta.shape[i]) &&
    t.stride.every((s, i) => s === meta.stride[i] || meta.shape[i] === 1);
}

/** A segment that has ended at least once. */
export class SegmentEnd {
  readonly step: Step;
  /** What enters, in order. */
  readonly inputs: readonly InputSpec[];
  /** The values with memory of their own, in order. */
  readonly made: readonly number[];
  readonly #results: readonly StepResult[];
  readonly #metas: readonly TensorMeta[];
  /** Inputs that are written, by position. */
  readonly written: readonly number[];
  /** Why segments ended here. */
  readonly breaks: Map<string, GraphBreak> = new Map();
  /** Which results somebody has looked at. */
  readonly used: boolean[];
  /** Results are kept whether they are used or not. */
  keepsAll: boolean;
  runs = 0;
  #surprises = 0;
  readonly #compiler: SegmentCompiler;
  #compiled: CompiledSegment | null = null;
  #interpreted: CompiledFunction | null = null;
  /** Which results the compiled form yields. */
  #kept: readonly number[] = [];
  /** Which of them must be copied; null before it has run. */
  #copied: readonly boolean[] | null = null;

  constructor(step: Step, compiler: SegmentCompiler) {
    this.step = step;
    this.#compiler = compiler;
    const { specs, written } = segmentInputs(step);
    const made = segmentMade(step);
    this.inputs = specs;
    this.made = made.map((m) => m.number);
    this.#results = made.map((m) => m.result);
    this.#metas = this.#results.map((r) => r.meta);
    this.written = written;
    this.used = made.map(() => false);
    this.keepsAll = written.length > 0;
  }

  /** Whether running it does nothing: only views were made. */
  get isIdle(): boolean {
    return this.made.length === 0 && this.written.length === 0;
  }

  /** What the results are in a call with these sizes. */
  metasIn(sizes: readonly number[]): readonly TensorMeta[] {
    return sizes.length === 0 ? this.#metas : this.#results.map((r) => metaIn(r, sizes));
  }

  /** Runs the operators one by one. */
  interpreted(): CompiledFunction {
    return this.#interpreted ??= this.#compiler.interpret(this);
  }

  /** A result that was left out is needed after all. */
  surprise(index: number): void {
    if (this.used[index] === true) return;
    this.used[index] = true;
    if (++this.#surprises >= MOST_SURPRISES) this.keepsAll = true;
    this.#compiled = null;
  }

  /** Keeps all results from now on. */
  keepAll(): void {
    if (this.keepsAll) return;
    this.keepsAll = true;
    this.#compiled = null;
  }

  /** Computes the content of `made`; `sizes` are what the symbols of the path are. */
  run(inputs: readonly Tensor[], made: readonly Storage[], sizes: readonly number[]): void {
    for (const { storage } of inputs) storage.settle();
    const versions = this.written.map((i) => (inputs[i] as Tensor).storage.version);
    const compiled = this.#prepare(inputs, sizes);
    const results = run(compiled ?? this.interpreted(), inputs);
    this.runs++;
    const kept = compiled === null ? null : this.#kept;
    // Writes were counted when they were recorded.
    this.written.forEach((i, k) => (inputs[i] as Tensor).storage.version = versions[k] as number);
    this.#hand(inputs, made, results, kept, sizes);
  }

  /** The compiled form; null if the operators are to run one by one: the first time, and where sizes are not what compilation assumed. */
  #prepare(inputs: readonly Tensor[], sizes: readonly number[]): CompiledFunction | null {
    if (this.runs === 0 && !this.#compiler.isEager) return null;
    if (this.#compiled === null) {
      const all = this.keepsAll || this.runs === 0;
      this.#kept = this.made.flatMap((_, i) => all || this.used[i] === true ? [i] : []);
      this.#copied = null;
      this.#compiled = this.#compiler.compile(this, this.#kept, inputs, sizes);
    }
    const { run, env } = this.#compiled;
    return sizes.length === 0 || sizesHold(env.conditions, sizes) ? run : null;
  }

  /** `kept` are the indices of the results, null for all. */
  #hand(
    inputs: readonly Tensor[],
    made: readonly Storage[],
    results: readonly unknown[],
    kept: readonly number[] | null,
    sizes: readonly number[],
  ): void {
    const metas = this.metasIn(sizes);
    const isKnown = kept !== null && this.#copied !== null && sizes.length === 0;
    const copied = isKnown ? this.#copied as readonly boolean[] : this.findCopied(inputs, results, kept, metas);
    if (kept !== null) this.#copied = copied;
    const count = kept?.length ?? made.length;
    for (let k = 0; k < count; k++) {
      const i = kept === null ? k : kept[k] as number;
      const storage = made[i] as Storage;
      storage.pending = null;
      adopt(storage, metas[i] as TensorMeta, results[k] as Tensor, copied[k] === true);
      if (!this.keepsAll && this.used[i] !== true) storage.pending = new Untouched(this, i);
    }
    if (count === made.length) return;
    const recipe = new Recipe(this, inputs, made, sizes);
    const left = new Set<Storage>(made);
    if (kept !== null) { for (const i of kept) left.delete(made[i] as Storage); }
    for (const storage of left) storage.pending = recipe;
  }

  /** Which results must be copied: others have their memory, or they lie differently. */
  findCopied(
    inputs: readonly Tensor[],
    results: readonly unknown[],
    kept: readonly number[] | null,
    metas: readonly TensorMeta[],
  ): boolean[] {
    const taken = new Set<Storage>(inputs.map((t) => t.storage));
    return results.map((r, k) => {
      const { storage } = r as Tensor;
      const meta = metas[kept === null ? k : kept[k] as number] as TensorMeta;
      const shared = taken.has(storage);
      taken.add(storage);
      return shared || !liesAs(r as Tensor, meta);
    });
  }
}
