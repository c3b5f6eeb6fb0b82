/**
 * The mode under which a function with graph breaks runs: its JavaScript as it is, its tensor operators recorded and run in segments.
 *
 * An operator is not computed: its results are tensors whose memory is still to come. When data are asked for, the segment ends: all that was recorded runs as one graph,
 * and recording starts again. Whoever touches memory in another way, an operator outside of the mode, printing, another thread of an asynchronous program, finds pending
 * work there and settles it first, so that nobody sees an order other than the program's. The tape is the ordinary one and continues across segments.
 * This takes the place of TorchDynamo's resume functions; the idea of recording and recognising traces is that of LazyTensor.
 */
import { cpu, type DType, getDefaultDtype, InternalError, setDefaultDtype } from "../core/mod.ts";
import type { SourceLocation } from "../graph/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import {
  decompose,
  dispatchComplete,
  type DispatchMode,
  inferMeta,
  isGradEnabled,
  noGrad,
  type OpResult,
  type PendingWork,
  Storage,
  Tensor,
  tensorFrom,
  withMode,
} from "../tensor/mod.ts";
import { DATA_REMEDY, GraphBreak, noteLocation, SHAPE_REMEDY, userLocation } from "./graph_break.ts";
import { mayFail } from "./segment_bounds.ts";
import { SegmentEnd } from "./segment_end.ts";
import { metaIn } from "./segment_graph.ts";
import { baseOf, deviceOf, isForeign, writtenBy } from "./segment_operators.ts";
import { findScalar, findSimilar, withScalars } from "./segment_scalars.ts";
import { fitsStep, PatternMaker, Step, type StepResult } from "./segment_steps.ts";
import { symbolicStep } from "./segment_symbolic.ts";
import type { Segments } from "./segments.ts";
import { mayAlias } from "./tracer.ts";

/** Longer segments end by themselves. */
const MOST_STEPS = 4096;

/** Continuations of one path that are remembered; the one not used for longest is forgotten. */
const MOST_BRANCHES = 32;

/** Why a segment ends. */
export interface BreakReason {
  readonly reason: string;
  readonly remedy: string;
}

/** Whether tensors may enter: yes; no, the segment has ended meanwhile; no, it must end first; no, not together with each other. */
type Admission = "admitted" | "again" | "behind" | "alone";

/** How memory from outside takes part in the open segment. */
type Part = "input" | "written";

/** Whether a step was recorded for the line of the program that runs now. */
function isSamePlace({ location }: Step, now: SourceLocation): boolean {
  return location === null ||
    (location.line === now.line && location.column === now.column && location.file === now.file);
}

/** One call of a function with breaks. */
export class SegmentMode implements DispatchMode, PendingWork {
  readonly name = "segments";
  readonly #segments: Segments;
  /** Where segments start, and for which default dtype. */
  #root: Step;
  #dtype: DType;
  #at: Step;
  #numbers = new Map<Tensor, number>();
  #parts = new Map<Storage, Part>();
  /** Storages that several inputs share: writing to them ends the segment. */
  readonly #shared = new Set<Storage>();
  #inputs: Tensor[] = [];
  #made: Storage[] = [];
  /** Where the memory of each value starts, in elements. */
  #offsets: number[] = [];
  readonly #entering: (Tensor | number)[] = [];
  /** What the symbols that the path binds are in this call. */
  #sizes: number[] = [];
  #isClosed = false;

  constructor(segments: Segments) {
    this.#segments = segments;
    this.#dtype = getDefaultDtype();
    this.#root = this.#at = segments.rootFor(this.#dtype);
  }

  /** Whether the call has ended. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends the call: nothing stays put off. */
  close(): void {
    this.#isClosed = true;
    this.endSegment(null);
  }

  // --- PendingWork: somebody touches memory of the open segment ---

  settle(storage: Storage): void {
    this.endSegment({
      reason: "the memory of a tensor is read outside of operators",
      remedy: "use operators of tensors, or do it outside of the compiled function",
    });
    // A storage of a segment that has ended takes itself off; this one cannot be left behind.
    if (storage.pending === this) storage.pending = null;
  }

  // --- DispatchMode ---

  wrapInput(t: Tensor): Tensor {
    return t;
  }

  gradOwner(t: Tensor): Tensor {
    return t;
  }

  trackRead(_object: object, _key: PropertyKey, value: unknown): unknown {
    return value;
  }

  materialize(t: Tensor, reason: string): Tensor {
    this.endSegment({ reason: `${reason} takes data out of the graph`, remedy: DATA_REMEDY });
    return t;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    if (getDefaultDtype() !== this.#dtype) this.#changeDtype();
    if (op.isDataDependent) {
      return this.#runNow(op, args, {
        reason: `${op.schema.name}: the shape of its result depends on data`,
        remedy: SHAPE_REMEDY,
      });
    }
    if (mayFail(op, args, this.#isThere)) {
      return this.#runNow(op, args, {
        reason: `${op.schema.name}: whether its indices are in range depends on data`,
        remedy: "let indices enter the function, or call it outside of the compiled function",
      });
    }
    // What such an operator returns may be (a view of) its argument; its parts say which.
    if (op.decompose !== null && op.view === null && mayAlias(op)) return this.#runParts(op, args);
    const target = writtenBy(op, args);
    if (target !== null) this.#prepareWrite(target);
    const { next } = this.#at;
    for (let i = 0; i < next.length; i++) {
      const step = next[i] as Step;
      if (step.op !== op || !fitsStep(step, args, this.#numbers, this.#entering, this.#sizes)) continue;
      if (this.#entering.length > 0) {
        const admission = this.#admit(this.#entering, target);
        if (admission !== "admitted") return this.#again(op, args, admission);
      }
      if (i > 0) {
        next.splice(i, 1);
        next.unshift(step);
      }
      return this.#advance(step, this.#entering, args);
    }
    this.#sizes.length = this.#at.hints.length;
    return this.#record(op, args, target);
  }

  /** Whether memory holds what an operator of the open segment would read there. */
  readonly #isThere = (storage: Storage): boolean =>
    storage.pending === null || (storage.pending === this && this.#parts.get(storage) === "input");

  /** Dtypes of results may depend on the default: paths are kept apart by it. */
  #changeDtype(): void {
    this.endSegment(null);
    this.#dtype = getDefaultDtype();
    this.#root = this.#at = this.#segments.rootFor(this.#dtype);
  }

  /** Before a tensor is written as part of the segment: what needs its old content is told, and nothing else there may share its memory. */
  #prepareWrite({ storage }: Tensor): void {
    const { watch } = storage;
    if ((watch !== null && this.#parts.has(storage)) || this.#shared.has(storage)) this.endSegment(null);
    watch?.beforeWrite(storage);
  }

  /** Whether tensors may enter the open segment: no memory that it made or writes, and nothing of theirs written together. */
  #admit(entering: readonly (Tensor | number)[], target: Tensor | null): Admission {
    const at = this.#at;
    let isSeparate = true;
    for (const t of entering) {
      if (typeof t === "number") continue;
      const { storage } = t;
      // Work that others have put off may need what this segment holds, and end it.
      if (storage.pending !== null && storage.pending !== this) storage.settle();
      if (target !== null && t !== target && storage === target.storage) isSeparate = false;
      const part = this.#parts.get(storage);
      // Memory that the segment made is pending without being a part.
      const isMade = part === undefined && storage.pending === this;
      if (isMade || part === "written" || (part === "input" && storage === target?.storage)) isSeparate = false;
    }
    if (this.#at !== at) return "again";
    return isSeparate ? "admitted" : at === this.#root ? "alone" : "behind";
  }

  /** Takes an operator that cannot follow what is recorded. */
  #again(op: Operator, args: NamedArgs<Tensor>, admission: Exclude<Admission, "admitted">): OpResult {
    if (admission === "alone") return this.#runNow(op, args, null);
    this.endSegment(null);
    return this.dispatch(op, args);
  }

  /** Records the parts of an operator. If the tape takes it as a whole, what it returns is a tensor of its own, as in eager. */
  #runParts(op: Operator, args: NamedArgs<Tensor>): OpResult {
    const isTaped = isGradEnabled() && op.vjp !== null;
    const result = withMode(this, () => isTaped ? noGrad(() => decompose(op, args)) : decompose(op, args));
    if (!isTaped) return result;
    const given = new Set<unknown>(Object.values(args).flat());
    const own = (t: Tensor): Tensor => {
      if (!given.has(t)) return t;
      const copy = new Tensor(t);
      const number = this.#numbers.get(t);
      if (number !== undefined) this.#numbers.set(copy, number);
      return copy;
    };
    return result instanceof Tensor ? own(result) : result.map(own);
  }

  /** Runs an operator at once, between segments. */
  #runNow(op: Operator, args: NamedArgs<Tensor>, why: BreakReason | null): OpResult {
    this.endSegment(why);
    const target = writtenBy(op, args);
    const version = target?.storage.version ?? 0;
    // The tape and the count of writes are for the dispatcher that called.
    const result = noGrad(() => dispatchComplete(op, args));
    if (target !== null) target.storage.version = version;
    return result;
  }

  /** Follows a known step. */
  #advance(step: Step, entering: readonly (Tensor | number)[], args: NamedArgs<Tensor>): OpResult {
    if (entering.length > 0) this.#enter(step, entering);
    this.#at = step;
    if (step.writes >= 0) {
      const target = writtenBy(step.op as Operator, args) as Tensor;
      if (this.#parts.get(target.storage) === "input") this.#parts.set(target.storage, "written");
      if (step.depth >= MOST_STEPS) this.endSegment(null);
      return target;
    }
    const { results } = step;
    if (!step.many) return this.#result(results[0] as StepResult, step, 0, args);
    return results.map((r, i) => this.#result(r, step, i, args));
  }

  #enter(step: Step, entering: readonly (Tensor | number)[]): void {
    const first = (step.parent as Step).values;
    for (let i = 0; i < entering.length; i++) {
      const given = entering[i] as Tensor | number;
      const t = typeof given === "number" ? this.#scalar(step, first + i, given) : given;
      const { storage } = t;
      if (this.#parts.has(storage)) this.#shared.add(storage);
      else {
        this.#parts.set(storage, "input");
        storage.pending = this;
      }
      this.#numbers.set(t, first + i);
      this.#offsets[first + i] = Number(t.storageOffset);
      this.#inputs.push(t);
    }
  }

  #scalar(step: Step, number: number, value: number): Tensor {
    const pattern = findScalar(step.patterns, number);
    if (pattern === null) throw new InternalError("a number entered where none was expected");
    return tensorFrom([], [value], pattern.dtype);
  }

  #result(result: StepResult, step: Step, index: number, args: NamedArgs<Tensor>): Tensor {
    const number = step.values - step.results.length + index;
    const { base } = result;
    const meta = metaIn(result, this.#sizes);
    const { shape, stride, dtype, device } = meta;
    let storage: Storage;
    let storageOffset = 0;
    if (base === null) {
      storage = new Storage(null);
      storage.pending = this;
      this.#made.push(storage);
    } else {
      storage = baseOf(step.op as Operator, args).storage;
      storageOffset = this.#offsets[base] ?? 0;
    }
    this.#offsets[number] = storageOffset;
    const t = new Tensor({
      shape,
      stride,
      storageOffset: storageOffset + Number(meta.storageOffset),
      dtype,
      device,
      storage,
    });
    this.#numbers.set(t, number);
    return t;
  }

  // --- The first time ---

  #record(op: Operator, args: NamedArgs<Tensor>, target: Tensor | null): OpResult {
    if (op.kind === "host" && op.view === null) {
      return this.#runNow(op, args, {
        reason: `${op.schema.name} is computed on the host, where it may fail for what the data are`,
        remedy: "call it outside of the compiled function",
      });
    }
    if (isForeign(op, args)) return this.#runNow(op, args, null);
    const first = this.#at.values;
    const metas = target === null ? inferMeta(op, args) : [];
    if (target === null && metas.length === 0) return this.#runNow(op, args, null);
    let maker = new PatternMaker(this.#numbers, first);
    let runs = op;
    let patterns = op.schema.args.map((a) => maker.make(args[a.key]));
    const admission = this.#admit(maker.entering, target);
    if (admission !== "admitted") return this.#again(op, args, admission);
    const device = deviceOf(op, args) ?? metas[0]?.device ?? cpu;
    if (this.#at.device !== null && this.#at.device !== device) return this.#again(op, args, "behind");
    const isPlaced = op.view !== null || metas.every((m) => Number(m.storageOffset) === 0);
    if (!isPlaced || metas.some((m) => m.device !== device)) return this.#runNow(op, args, null);
    const similar = findSimilar(this.#at.next, op, patterns, false) ??
      findSimilar(this.#at.formerly?.next ?? [], op, patterns, true);
    let isGeneral = false;
    if (similar !== null && similar.places.length > 0) {
      const fresh = new PatternMaker(this.#numbers, first);
      const general = withScalars(op, args, similar.places, metas, fresh);
      if (general !== null) {
        ({ patterns, op: runs } = general);
        maker = fresh;
        isGeneral = true;
      }
    }
    const entered = first + maker.entering.length;
    const numberOf = (t: Tensor): number => this.#numbers.get(t) ?? first + maker.entering.indexOf(t);
    const base = op.view === null ? null : baseOf(op, args);
    const offset = base === null ? 0 : this.#offsets[numberOf(base)] ?? Number(base.storageOffset);
    const results = metas.map((meta): StepResult => ({
      meta: { ...meta, storageOffset: Number(meta.storageOffset) - offset },
      base: base === null ? null : numberOf(base),
      dims: null,
    }));
    const location = noteLocation();
    const sized = this.#at.hints.length > 0 || (similar?.isResized === true && isSamePlace(similar.step, location))
      ? symbolicStep({
        at: this.#at,
        op: runs,
        args,
        patterns,
        metas: results.map((r) => r.meta),
        sizes: this.#sizes,
        similar,
        writes: target !== null,
      })
      : null;
    const { returns } = op.schema;
    const step = new Step(this.#at, {
      op,
      runs,
      patterns: sized?.patterns ?? patterns,
      results: sized === null ? results : results.map((r, i) => ({ ...r, dims: sized.dims[i] ?? null })),
      writes: target === null ? -1 : numberOf(target),
      device,
      many: returns.length > 1 || returns[0]?.list === true,
      location,
      values: entered + results.length,
      hints: sized?.hints ?? [],
      olds: sized?.olds ?? [],
      guards: sized?.guards ?? [],
    });
    this.#sizes = [...step.hints];
    const { next } = this.#at;
    if (similar !== null) {
      const at = next.indexOf(similar.step);
      const isWider = isGeneral || step.hints.length > similar.step.hints.length;
      if (isWider && at >= 0) next.splice(at, 1);
      if (isWider || at < 0) step.formerly = similar.step;
    }
    next.unshift(step);
    if (next.length > MOST_BRANCHES) this.#segments.forget(next.pop() as Step);
    return this.#advance(step, maker.entering, args);
  }

  // --- The end of a segment ---

  /** Runs what was recorded. `why` is null if the segment only ends because the call does, or because of how memory is shared. */
  endSegment(why: BreakReason | null): void {
    const step = this.#at;
    const end = step.end ??= new SegmentEnd(step, this.#segments);
    if (why !== null && (this.#segments.watches || !end.breaks.has(why.reason))) this.#note(end, why);
    if (step === this.#root) return;
    const inputs = this.#inputs;
    const made = this.#made;
    // What runs now may touch memory of the segment: it must find it closed.
    this.#at = this.#root;
    this.#inputs = [];
    this.#made = [];
    this.#offsets = [];
    this.#numbers = new Map();
    this.#shared.clear();
    const sizes = this.#sizes.slice(0, step.hints.length);
    this.#sizes = [];
    const parts = this.#parts;
    this.#parts = new Map();
    for (const storage of parts.keys()) if (storage.pending === this) storage.pending = null;
    if (!end.isIdle) this.#asRecorded(() => end.run(inputs, made, sizes));
    this.#segments.noteRun(end);
  }

  /** Runs with the default dtype of the segment: the program may have set another one since. */
  #asRecorded(run: () => void): void {
    const now = getDefaultDtype();
    if (now === this.#dtype) return run();
    setDefaultDtype(this.#dtype);
    try {
      run();
    } finally {
      setDefaultDtype(now);
    }
  }

  #note(end: SegmentEnd, { reason, remedy }: BreakReason): void {
    const found = new GraphBreak(reason, remedy, userLocation());
    if (!end.breaks.has(reason)) end.breaks.set(reason, found);
    this.#segments.noteBreak(found);
  }
}
