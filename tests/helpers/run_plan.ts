/**
 * Runs a host plan on plain memory, element by element: the executable meaning of groups and plans.
 *
 * Follows the rules that code generators rely on and nothing more: one loop a pass, forwarding of what the same iteration wrote, one arena whose
 * bytes are poisoned before the call, views as results. So a plan that reuses memory too early or a group that reads across passes gives
 * wrong numbers or an error here.
 */
import { bool, type DType, InternalError } from "../../src/core/mod.ts";
import type { Group, LoopGroup, Stage } from "../../src/inductor/groups.ts";
import type { HostPlan } from "../../src/inductor/host_plan.ts";
import {
  type BufferRef,
  castNumber,
  evaluatePrimitive,
  extentOf,
  indirectPayload,
  loadsOf,
  type LoopVar,
  type ReductionOp,
  roundToDtype,
  type Value,
} from "../../src/loops/mod.ts";
import { evaluate, type Expr, freeSymbols, type Sym } from "../../src/symbolic/mod.ts";
import { Memory, type Num } from "./plan_memory.ts";

/** One iteration's knowledge: symbol values, and what this iteration computed. */
class Frame {
  readonly syms: Map<Sym, number>;
  readonly forwarded: Map<string, Num>;
  readonly memory: (b: BufferRef) => Memory;
  readonly #memo = new Map<Value, Num>();

  constructor(syms: Map<Sym, number>, forwarded: Map<string, Num>, memory: (b: BufferRef) => Memory) {
    this.syms = syms;
    this.forwarded = forwarded;
    this.memory = memory;
  }

  index(e: Expr): number {
    for (const sym of freeSymbols(e)) {
      if (sym.kind === "indirect" && !this.syms.has(sym)) {
        const { value, size } = indirectPayload(sym);
        const at = Number(this.eval(value));
        const most = this.index(size);
        const resolved = at < 0 ? at + most : at;
        if (resolved < 0 || resolved >= most) throw new RangeError(`index ${at} is out of range for ${most}`);
        this.syms.set(sym, resolved);
      }
    }
    return evaluate(e, (s) => {
      const v = this.syms.get(s);
      if (v === undefined) throw new InternalError(`${s.name} has no value`);
      return v;
    });
  }

  eval(v: Value): Num {
    const known = this.#memo.get(v);
    if (known !== undefined) return known;
    const result = this.#compute(v);
    this.#memo.set(v, result);
    return result;
  }

  #compute(v: Value): Num {
    switch (v.kind) {
      case "constant":
        return v.value;
      case "index":
        return roundToDtype(this.index(v.expr), v.dtype);
      case "load": {
        const key = `${v.buffer.id},${v.index.id}`;
        return this.forwarded.get(key) ?? this.memory(v.buffer).get(this.index(v.index));
      }
      case "pointwise":
        return evaluatePrimitive(
          v.op,
          v.args.map((a) => this.eval(a)),
          (v.op === "where" ? v.args[1] : v.args[0])?.dtype ?? v.dtype,
        );
      case "cast":
        return castNumber(this.eval(v.arg), v.arg.dtype, v.dtype);
      case "masked":
        return Number(this.eval(v.mask)) !== 0 ? this.eval(v.body) : v.other;
      case "lookup":
        return v.table[Number(this.eval(v.at)) & (v.table.length - 1)] ?? NaN;
      case "bitcast":
      case "philox":
        throw new InternalError(`${v.kind} is not run here`);
      default:
        return v satisfies never;
    }
  }
}

function* iterate(vars: readonly LoopVar[], frame: Map<Sym, number>, size: (e: Expr) => number): Generator<void> {
  const [first, ...rest] = vars;
  if (first === undefined) {
    yield;
    return;
  }
  const extent = size(extentOf(first));
  for (let i = 0; i < extent; i++) {
    frame.set(first, i);
    yield* iterate(rest, frame, size);
  }
}

function neutral(op: ReductionOp, dtype: DType): number {
  if (op === "prod") return 1;
  if (op === "max") return dtype.isFloat ? -Infinity : dtype.min;
  if (op === "min") return dtype.isFloat ? Infinity : dtype.max;
  return 0;
}

interface Accumulator {
  value: Num;
  best: Num | null;
  at: number;
  count: number;
}

function accumulate(acc: Accumulator, op: ReductionOp, value: Num, dtype: DType): void {
  const at = acc.count++;
  switch (op) {
    case "sum":
      acc.value = evaluatePrimitive("add", [acc.value, value], dtype === bool ? dtype : dtype);
      return;
    case "prod":
      acc.value = evaluatePrimitive("mul", [acc.value, value], dtype);
      return;
    case "max":
      acc.value = evaluatePrimitive("maximum", [acc.value, value], dtype);
      return;
    case "min":
      acc.value = evaluatePrimitive("minimum", [acc.value, value], dtype);
      return;
    case "any":
      acc.value = Number(acc.value) !== 0 || Number(value) !== 0 ? 1 : 0;
      return;
    case "argmax":
    case "argmin":
      if (acc.best === null || (op === "argmax" ? value > acc.best : value < acc.best)) {
        acc.best = value;
        acc.value = at;
      }
      return;
    default:
      op satisfies never;
  }
}

/** Runs one loop group. */
function runLoops(group: LoopGroup, memory: (b: BufferRef) => Memory, sizes: ReadonlyMap<Sym, number>): void {
  const size = (e: Expr): number => evaluate(e, (s) => sizes.get(s) as number);
  const syms = new Map<Sym, number>(sizes);
  const isInner = (s: Stage): boolean => s.kind === "reduction" || s.space === "inner";
  const stages = group.stages.filter((s) => s.kind !== "pointwise" || s.space !== "final");
  const carried = carriedSums(group, syms, size);
  for (const _ of iterate(group.axes, syms, size)) {
    const outer = new Map<string, Num>();
    const store = (stage: Stage, frame: Frame, forwarded: Map<string, Num>, value: Num): void => {
      const rounded = castNumber(value, stage.value.dtype, stage.out.dtype);
      if (stage.kind !== "reduction") {
        forwarded.set(`${stage.out.id},${stage.index.id}`, roundToDtype(rounded, stage.out.dtype));
      }
      if (group.stored.has(stage.out)) memory(stage.out).set(frame.index(stage.index), rounded);
    };
    for (let at = 0; at < stages.length;) {
      const stage = stages[at] as Stage;
      if (!isInner(stage)) {
        const frame = new Frame(new Map(syms), outer, memory);
        if (stage.kind === "scatter") scatter(stage, frame, memory);
        else if (stage.kind === "cross") carry(carried, stage, frame);
        else store(stage, frame, outer, frame.eval(stage.value));
        at++;
        continue;
      }
      // One loop for the whole pass: inner stages up to the next outer one, or up to one that needs a reduction of this run.
      const run: Stage[] = [];
      const open = new Set<BufferRef>();
      while (at < stages.length) {
        const next = stages[at] as Stage;
        if (!isInner(next) || readsAny(next, open)) break;
        run.push(next);
        if (next.kind === "reduction") open.add(next.out);
        at++;
      }
      const accs = new Map<Stage, Accumulator>();
      for (const s of run) {
        if (s.kind === "reduction") accs.set(s, { value: neutral(s.op, s.value.dtype), best: null, at: 0, count: 0 });
      }
      const inner = new Map(syms);
      for (const _inner of iterate(group.reduceAxes, inner, size)) {
        const forwarded = new Map(outer);
        for (const s of run) {
          const frame = new Frame(new Map(inner), forwarded, memory);
          if (s.kind === "scatter") scatter(s, frame, memory);
          else if (s.kind === "cross") carry(carried, s, frame);
          else if (s.kind === "pointwise") store(s, frame, forwarded, frame.eval(s.value));
          else accumulate(accs.get(s) as Accumulator, s.op, frame.eval(s.value), s.value.dtype);
        }
      }
      for (const [s, acc] of accs) {
        const frame = new Frame(new Map(syms), outer, memory);
        const result = s.kind === "reduction" && (s.op === "argmax" || s.op === "argmin" || s.op === "any")
          ? acc.value
          : castNumber(acc.value, s.value.dtype, s.out.dtype);
        outer.set(`${s.out.id},${s.index.id}`, roundToDtype(result, s.out.dtype));
        if (group.stored.has(s.out)) memory(s.out).set(frame.index(s.index), result);
      }
    }
  }
  finishCarried(group, carried, memory, size, sizes);
}

/** What is carried over all iterations: for each cross stage, accumulators by element. */
type Carried = Map<Stage, Map<number, Accumulator>>;

/** The axes that a stage's index varies over. */
function keptAxes(group: LoopGroup, stage: Stage): LoopVar[] {
  const own = freeSymbols(stage.index);
  return [...group.axes, ...group.reduceAxes].filter((v) => own.has(v));
}

/** Neutral accumulators for every element that a cross stage yields: empty sums are zero too. */
function carriedSums(group: LoopGroup, sizes: ReadonlyMap<Sym, number>, size: (e: Expr) => number): Carried {
  const out: Carried = new Map();
  for (const s of group.stages) {
    if (s.kind !== "cross") continue;
    const own = new Map<number, Accumulator>();
    const syms = new Map(sizes);
    for (const _ of iterate(keptAxes(group, s), syms, size)) {
      const at = evaluate(s.index, (sym) => syms.get(sym) as number);
      own.set(at, { value: neutral(s.op, s.value.dtype), best: null, at: 0, count: 0 });
    }
    out.set(s, own);
  }
  return out;
}

function carry(carried: Carried, stage: Stage & { readonly kind: "cross" }, frame: Frame): void {
  const acc = carried.get(stage)?.get(frame.index(stage.index));
  if (acc === undefined) throw new InternalError("a cross reduction leaves its result");
  accumulate(acc, stage.op, frame.eval(stage.value), stage.value.dtype);
}

function finishCarried(
  group: LoopGroup,
  carried: Carried,
  memory: (b: BufferRef) => Memory,
  size: (e: Expr) => number,
  sizes: ReadonlyMap<Sym, number>,
): void {
  // What final stages read of one another: by buffer and element.
  const late = new Map<BufferRef, Map<number, Num>>();
  for (const stage of group.stages) {
    if (stage.kind === "scatter" || stage.kind === "reduction") continue;
    if (stage.kind === "pointwise" && stage.space !== "final") continue;
    const own = new Map<number, Num>();
    const syms = new Map<Sym, number>(sizes);
    for (const _ of iterate(keptAxes(group, stage), syms, size)) {
      const forwarded = new Map<string, Num>();
      const frame = new Frame(new Map(syms), forwarded, memory);
      for (const { buffer, index } of loadsOf([stage.value])) {
        const known = late.get(buffer)?.get(frame.index(index));
        if (known !== undefined) forwarded.set(`${buffer.id},${index.id}`, known);
      }
      const at = frame.index(stage.index);
      const value = stage.kind === "cross" ? carried.get(stage)?.get(at)?.value ?? NaN : frame.eval(stage.value);
      const rounded = castNumber(value, stage.value.dtype, stage.out.dtype);
      own.set(at, roundToDtype(rounded, stage.out.dtype));
      if (group.stored.has(stage.out)) memory(stage.out).set(at, rounded);
    }
    late.set(stage.out, own);
  }
}

function readsAny(stage: Stage, buffers: ReadonlySet<BufferRef>): boolean {
  const stack: Value[] = [stage.value];
  const seen = new Set<Value>();
  while (stack.length > 0) {
    const v = stack.pop() as Value;
    if (seen.has(v)) continue;
    seen.add(v);
    if (v.kind === "load" && buffers.has(v.buffer)) return true;
    if (v.kind === "pointwise") stack.push(...v.args);
    else if (v.kind === "cast") stack.push(v.arg);
    else if (v.kind === "masked") stack.push(v.mask, v.body);
  }
  return false;
}

function scatter(stage: Stage, frame: Frame, memory: (b: BufferRef) => Memory): void {
  if (stage.kind !== "scatter") return;
  const at = frame.index(stage.index);
  const value = frame.eval(stage.value);
  const m = memory(stage.out);
  const old = m.get(at);
  const ops = { sum: "add", prod: "mul", max: "maximum", min: "minimum" } as const;
  m.set(at, stage.op === "set" ? value : evaluatePrimitive(ops[stage.op], [old, value], stage.out.dtype));
}

function runGroup(group: Group, memory: (b: BufferRef) => Memory, sizes: ReadonlyMap<Sym, number>): void {
  const size = (e: Expr): number => evaluate(e, (s) => sizes.get(s) as number);
  switch (group.kind) {
    case "loops":
      return runLoops(group, memory, sizes);
    case "foreach":
      for (const m of group.members) runLoops(m, memory, sizes);
      return;
    case "contraction": {
      const syms = new Map<Sym, number>(sizes);
      for (const _ of iterate([...group.batch, ...group.m, ...group.n], syms, size)) {
        let sum: Num = 0;
        const inner = new Map(syms);
        for (const _k of iterate(group.k, inner, size)) {
          const frame = new Frame(new Map(inner), new Map(), memory);
          const product = evaluatePrimitive("mul", [frame.eval(group.a), frame.eval(group.b)], group.accumulate);
          sum = evaluatePrimitive("add", [sum, product], group.accumulate);
        }
        const frame = new Frame(new Map(syms), new Map(), memory);
        const result = castNumber(sum, group.accumulate, group.result.dtype);
        const forwarded = new Map([[`${group.result.id},${group.resultIndex.id}`, result]]);
        if (group.stored.has(group.result)) memory(group.result).set(frame.index(group.resultIndex), result);
        for (const stage of group.epilogue) {
          const f = new Frame(new Map(syms), forwarded, memory);
          const value = castNumber(f.eval(stage.value), stage.value.dtype, stage.out.dtype);
          forwarded.set(`${stage.out.id},${stage.index.id}`, roundToDtype(value, stage.out.dtype));
          if (group.stored.has(stage.out)) memory(stage.out).set(f.index(stage.index), value);
        }
      }
      return;
    }
    case "scan": {
      const syms = new Map<Sym, number>(sizes);
      const others = group.axes.filter((v) => v !== group.scanAxis);
      for (const _ of iterate(others, syms, size)) {
        let acc: Num | null = null;
        for (let i = 0; i < size(extentOf(group.scanAxis)); i++) {
          syms.set(group.scanAxis, i);
          const frame = new Frame(new Map(syms), new Map(), memory);
          const v = frame.eval(group.value);
          const ops = { sum: "add", prod: "mul", max: "maximum", min: "minimum" } as const;
          if (group.op === "logaddexp") throw new InternalError("logaddexp is not run here");
          acc = acc === null ? v : evaluatePrimitive(ops[group.op], [acc, v], group.value.dtype);
          memory(group.out).set(frame.index(group.index), acc);
        }
      }
      return;
    }
    case "attention":
    case "blocks":
    case "host":
      throw new InternalError(`${group.kind} operators are not run here`);
    default:
      group satisfies never;
  }
}

/** What a run takes: flat contents of each placeholder's and attribute's buffer, and sizes. */
export interface RunInputs {
  readonly inputs: readonly (readonly number[] | null)[];
  readonly attributes?: readonly (readonly number[])[];
  readonly sizes?: ReadonlyMap<Sym, number>;
}

/** Results, row-major, and what inputs and attributes hold afterwards. */
export interface RunOutputs {
  readonly results: readonly (readonly Num[])[];
  readonly inputs: readonly (readonly Num[])[];
  readonly attributes: readonly (readonly Num[])[];
}

/** Runs a plan. */
export function runPlan(plan: HostPlan, given: RunInputs): RunOutputs {
  const sizes = given.sizes ?? new Map<Sym, number>();
  const size = (e: Expr): number => evaluate(e, (s) => sizes.get(s) as number);
  const arena = new ArrayBuffer(size(plan.arenaBytes));
  new Uint8Array(arena).fill(0xff);
  const memories = new Map<BufferRef, Memory>();
  const fromNumbers = (buffer: BufferRef, numbers: readonly number[]): void => {
    const m = new Memory(buffer.dtype, new ArrayBuffer(numbers.length * buffer.dtype.bytes), 0, numbers.length);
    numbers.forEach((n, i) => m.set(i, n));
    memories.set(buffer, m);
  };
  for (const slot of plan.slots) {
    const numel = size(slot.buffer.numel);
    switch (slot.kind) {
      case "input":
        fromNumbers(slot.buffer, given.inputs[slot.index] ?? []);
        break;
      case "attribute":
        fromNumbers(slot.buffer, given.attributes?.[slot.index] ?? []);
        break;
      case "output": {
        const bytes = new ArrayBuffer(size(slot.bytes));
        new Uint8Array(bytes).fill(0xff);
        memories.set(slot.buffer, new Memory(slot.buffer.dtype, bytes, 0, numel));
        break;
      }
      case "arena":
        memories.set(slot.buffer, new Memory(slot.buffer.dtype, arena, size(slot.offset), numel));
        break;
      case "donated":
        memories.set(slot.buffer, memories.get(slot.of) as Memory);
        break;
      default:
        slot satisfies never;
    }
  }
  const memory = (b: BufferRef): Memory => {
    const found = memories.get(b);
    if (found === undefined) throw new InternalError(`${b.label} has no memory`);
    return found;
  };
  for (const step of plan.steps) {
    const allowed = new Set([...step.reads, ...step.writes]);
    runGroup(step.group, (b) => {
      if (!allowed.has(b)) throw new InternalError(`${b.label} is touched but is no parameter of the launch`);
      return memory(b);
    }, sizes);
  }
  const dump = (b: BufferRef): Num[] => {
    const m = memory(b);
    return Array.from({ length: m.elements }, (_, i) => m.get(i));
  };
  const results = plan.results.map((r): Num[] => {
    if (r.kind === "constant") return [Number(r.value)];
    if (r.kind === "size") return [size(r.expr)];
    const shape = r.shape.map(size);
    const stride = r.stride.map(size);
    const out: Num[] = [];
    const visit = (d: number, at: number): void => {
      if (d === shape.length) out.push(memory(r.buffer).get(at));
      else for (let i = 0; i < (shape[d] as number); i++) visit(d + 1, at + i * (stride[d] as number));
    };
    visit(0, size(r.offset));
    return out;
  });
  const dumpAll = (kind: "input" | "attribute"): Num[][] =>
    plan.slots.flatMap((s) => s.kind === kind ? [dump(s.buffer)] : []);
  return { results, inputs: dumpAll("input"), attributes: dumpAll("attribute") };
}
