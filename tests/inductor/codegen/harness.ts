/**
 * Groups by hand, and what they mean: an interpreter that walks every iteration and evaluates values one by one with the evaluators of
 * `src/loops/primitives.ts`, in float64. Kernels of every tier are compared with it.
 */
import assert from "node:assert/strict";
import {
  bfloat16,
  bool,
  computeType,
  config,
  type DType,
  float16,
  float32,
  float64,
  int64,
  narrowFloat,
} from "../../../src/core/mod.ts";
import type { ContractionGroup, Group, LoopGroup, ScanGroup, Stage } from "../../../src/inductor/groups.ts";
import type { HostPlan } from "../../../src/inductor/host_plan.ts";
import { instantiateJs } from "../../../src/inductor/js_tier.ts";
import { emitJsModule } from "../../../src/inductor/codegen/js/emit_module.ts";
import {
  type BufferRef,
  castNumber,
  evaluatePrimitive,
  extentOf,
  indirectPayload,
  type LoopVar,
  roundToDtype,
  type Value,
} from "../../../src/loops/mod.ts";
import { philoxWord } from "../../../src/loops/philox.ts";
import { cpuAllocator, CpuBuffer } from "../../../src/runtime/cpu/memory.ts";
import type { Executable } from "../../../src/runtime/kernel.ts";
import { asExpr, constant, evaluate, type Expr, type Sym } from "../../../src/symbolic/mod.ts";

config().verify = true;

export type Numbers = (number | bigint)[];

let nextId = 1000;

/** A buffer of the test. */
export function buffer(label: string, dtype: DType, numel: Expr | number): BufferRef {
  return { id: nextId++, dtype, numel: asExpr(numel), label };
}

/** What all groups have. */
export function base(stored: readonly BufferRef[]): { origins: []; stored: Set<BufferRef>; reasons: [] } {
  return { origins: [], stored: new Set(stored), reasons: [] };
}

/** Memory of the interpreter. */
export type Memory = Map<BufferRef, Numbers>;

class Interpreter {
  readonly #memory: Memory;
  readonly #env = new Map<Sym, number>();
  #cache = new Map<Value, number | bigint>();

  constructor(memory: Memory, sizes: ReadonlyMap<Sym, number>) {
    this.#memory = memory;
    for (const [sym, value] of sizes) this.#env.set(sym, value);
  }

  expr(e: Expr): number {
    return evaluate(e, (sym) => {
      if (sym.kind === "indirect") {
        const { value, size } = indirectPayload(sym);
        const at = Number(this.#value(value));
        return at < 0 ? at + this.expr(size) : at;
      }
      const found = this.#env.get(sym);
      assert(found !== undefined, `${sym.name} has no value`);
      return found;
    });
  }

  /** Calls `visit` for each index of `vars`, the first outermost. */
  loop(vars: readonly LoopVar[], visit: () => void): void {
    const [first, ...rest] = vars;
    if (first === undefined) {
      this.#cache.clear();
      visit();
      return;
    }
    const extent = this.expr(extentOf(first));
    for (let i = 0; i < extent; i++) {
      this.#env.set(first, i);
      this.loop(rest, visit);
    }
  }

  value(v: Value): number | bigint {
    this.#cache.clear();
    return this.#value(v);
  }

  #value(v: Value): number | bigint {
    const known = this.#cache.get(v);
    if (known !== undefined) return known;
    const result = this.#evaluate(v);
    this.#cache.set(v, result);
    return result;
  }

  #evaluate(v: Value): number | bigint {
    switch (v.kind) {
      case "constant":
        return v.value;
      case "index":
        return this.expr(v.expr);
      case "load": {
        const at = this.expr(v.index);
        const value = this.#memory.get(v.buffer)?.[at];
        assert(value !== undefined, `${v.buffer.label}[${at}] is outside of the buffer`);
        return value;
      }
      case "pointwise": {
        const type = (v.op === "where" ? v.args[1] : v.args[0])?.dtype ?? v.dtype;
        const args = v.args.map((a) => this.#value(a));
        if (v.op === "where") return Number(args[0]) !== 0 ? args[1] ?? 0 : args[2] ?? 0;
        // float32 is computed in double here, as the error bound is against the exact result.
        if (type === bool && v.op === "bitwiseNot") return Number(args[0]) === 0 ? 1 : 0;
        return evaluatePrimitive(v.op, args, type.isFloat ? float64 : type);
      }
      case "cast":
        return castNumber(this.#value(v.arg), v.arg.dtype, v.dtype);
      case "bitcast":
        return bitcast(this.#value(v.arg), v.arg.dtype, v.dtype);
      case "masked":
        return Number(this.#value(v.mask)) !== 0 ? this.#value(v.body) : v.other;
      case "philox":
        return philoxWord(this.#value(v.seed), this.#value(v.stream), this.#value(v.position));
      case "lookup":
        return v.table[Number(this.#value(v.at)) & (v.table.length - 1)] ?? NaN;
      default:
        return v satisfies never;
    }
  }

  store(target: BufferRef, index: Expr, value: number | bigint): void {
    const at = this.expr(index);
    const data = this.#memory.get(target);
    assert(data !== undefined && at >= 0 && at < data.length, `${target.label}[${at}] is outside of the buffer`);
    data[at] = roundToDtype(value, target.dtype);
  }

  read(target: BufferRef, index: Expr): number | bigint {
    return this.#memory.get(target)?.[this.expr(index)] ?? NaN;
  }
}

function bitcast(value: number | bigint, from: DType, to: DType): number | bigint {
  const bytes = new ArrayBuffer(8);
  write(bytes, 0, from, value);
  return read(bytes, 0, to);
}

function combine(op: string, a: number | bigint, b: number | bigint, dtype: DType): number | bigint {
  const type = dtype.isFloat ? float64 : dtype;
  switch (op) {
    case "set":
      return b;
    case "sum":
      return evaluatePrimitive("add", [a, b], type);
    case "prod":
      return evaluatePrimitive("mul", [a, b], type);
    case "max":
      return evaluatePrimitive("maximum", [a, b], type);
    case "min":
      return evaluatePrimitive("minimum", [a, b], type);
    case "any":
      return Number(a) !== 0 || Number(b) !== 0 ? 1 : 0;
    case "logaddexp": {
      const [x, y] = [Number(a), Number(b)];
      const m = Math.max(x, y);
      return m === -Infinity ? m : m + Math.log(Math.exp(x - m) + Math.exp(y - m));
    }
    default:
      throw new Error(op);
  }
}

/** Runs a group element by element. All buffers it touches must be in `memory`. */
export function interpret(group: Group, memory: Memory, sizes: ReadonlyMap<Sym, number> = new Map()): void {
  const run = new Interpreter(memory, sizes);
  switch (group.kind) {
    case "loops":
      for (const stage of group.stages) interpretStage(run, group, stage);
      return;
    case "foreach":
      for (const member of group.members) interpret(member, memory, sizes);
      return;
    case "scan":
      interpretScan(run, group);
      return;
    case "contraction":
      interpretContraction(run, group);
      return;
    case "attention":
    case "blocks":
    case "host":
      throw new Error(`${group.kind} groups have no loops`);
    default:
      group satisfies never;
  }
}

function interpretStage(run: Interpreter, group: LoopGroup, stage: Stage): void {
  if (stage.kind === "reduction") {
    run.loop(group.axes, () => {
      let acc: number | bigint | null = null;
      let best = 0;
      let position = 0;
      run.loop(group.reduceAxes, () => {
        const v = run.value(stage.value);
        if (stage.op === "argmax" || stage.op === "argmin") {
          const [x, y] = [Number(v), Number(acc ?? 0)];
          const better = acc === null || (stage.op === "argmax" ? x > y : x < y) ||
            (Number.isNaN(x) && !Number.isNaN(y));
          if (better) {
            acc = v;
            best = position;
          }
          position++;
        } else acc = acc === null ? v : combine(stage.op, acc, v, stage.value.dtype);
      });
      const neutral = { sum: 0, prod: 1, max: -Infinity, min: Infinity, any: 0, argmax: 0, argmin: 0 }[stage.op];
      const result = stage.op === "argmax" || stage.op === "argmin" ? best : acc ?? neutral;
      run.store(stage.out, stage.index, result);
    });
    return;
  }
  const axes = stage.space === "inner" ? [...group.axes, ...group.reduceAxes] : group.axes;
  run.loop(axes, () => {
    const v = run.value(stage.value);
    const own = stage.kind === "scatter" ? combine(stage.op, run.read(stage.out, stage.index), v, stage.out.dtype) : v;
    run.store(stage.out, stage.index, own);
  });
}

function interpretScan(run: Interpreter, group: ScanGroup): void {
  run.loop(group.axes.filter((v) => v !== group.scanAxis), () => {
    let acc: number | bigint | null = null;
    run.loop([group.scanAxis], () => {
      const v = run.value(group.value);
      acc = acc === null ? v : combine(group.op, acc, v, group.value.dtype);
      run.store(group.out, group.index, acc);
    });
  });
}

function interpretContraction(run: Interpreter, group: ContractionGroup): void {
  run.loop([...group.batch, ...group.m, ...group.n], () => {
    let acc: number | bigint = 0;
    run.loop(group.k, () => {
      const a = run.value(group.a);
      const b = run.value(group.b);
      acc = typeof a === "bigint" || typeof b === "bigint" || typeof acc === "bigint"
        ? BigInt(acc) + BigInt(a) * BigInt(b)
        : acc + a * b;
    });
    run.store(group.result, group.resultIndex, acc);
    for (const stage of group.epilogue) run.store(stage.out, stage.index, run.value(stage.value));
  });
}

function read(bytes: ArrayBuffer, at: number, dtype: DType): number | bigint {
  const view = new DataView(bytes);
  switch (dtype.name) {
    case "bool":
    case "uint8":
      return view.getUint8(at);
    case "int8":
      return view.getInt8(at);
    case "int16":
      return view.getInt16(at * 2, true);
    case "int32":
      return view.getInt32(at * 4, true);
    case "uint32":
      return view.getUint32(at * 4, true);
    case "int64": {
      const v = view.getBigInt64(at * 8, true);
      return Number.isSafeInteger(Number(v)) ? Number(v) : v;
    }
    case "float16":
      return new Float16Array(bytes)[at] ?? NaN;
    case "bfloat16":
      return narrowFloat(dtype)?.fromBits(view.getUint16(at * 2, true)) ?? NaN;
    case "float8_e4m3fn":
    case "float8_e5m2":
      return narrowFloat(dtype)?.fromBits(view.getUint8(at)) ?? NaN;
    case "float32":
      return view.getFloat32(at * 4, true);
    case "float64":
      return view.getFloat64(at * 8, true);
    default:
      throw new Error(dtype.name);
  }
}

function write(bytes: ArrayBuffer, at: number, dtype: DType, value: number | bigint): void {
  const view = new DataView(bytes);
  switch (dtype.name) {
    case "bool":
      return view.setUint8(at, Number(value) !== 0 ? 1 : 0);
    case "uint8":
    case "int8":
      return view.setInt8(at, Number(value));
    case "int16":
      return view.setInt16(at * 2, Number(value), true);
    case "int32":
    case "uint32":
      return view.setUint32(at * 4, Number(value) >>> 0, true);
    case "int64":
      return view.setBigInt64(at * 8, BigInt(value), true);
    case "float16":
      new Float16Array(bytes)[at] = Number(value);
      return;
    case "bfloat16":
      return view.setUint16(at * 2, narrowFloat(dtype)?.toBits(Number(value)) ?? 0, true);
    case "float8_e4m3fn":
    case "float8_e5m2":
      return view.setUint8(at, narrowFloat(dtype)?.toBits(Number(value)) ?? 0);
    case "float32":
      return view.setFloat32(at * 4, Number(value), true);
    case "float64":
      return view.setFloat64(at * 8, Number(value), true);
    default:
      throw new Error(dtype.name);
  }
}

/** Puts numbers into native memory. */
export function toBuffer(dtype: DType, numbers: Numbers): CpuBuffer {
  const out = cpuAllocator().allocateZeroed(numbers.length * dtype.bytes);
  const bytes = new ArrayBuffer(Math.ceil(numbers.length * dtype.bytes / 8) * 8);
  numbers.forEach((v, i) => write(bytes, i, dtype, v));
  out.uint8.set(new Uint8Array(bytes, 0, numbers.length * dtype.bytes));
  return out;
}

/** Reads native memory. */
export function fromBuffer(dtype: DType, data: CpuBuffer, count: number): Numbers {
  const bytes = new ArrayBuffer(Math.ceil(count * dtype.bytes / 8) * 8);
  new Uint8Array(bytes).set(data.uint8.subarray(0, count * dtype.bytes));
  return Array.from({ length: count }, (_, i) => read(bytes, i, dtype));
}

/** A plan that launches groups in order, every buffer given by the caller. */
export function planOf(groups: readonly Group[], buffers: readonly BufferRef[], sizes: readonly Sym[]): HostPlan {
  return {
    sizes,
    slots: buffers.map((b, index) => ({ kind: "input", buffer: b, index })),
    arenaBytes: constant(0),
    steps: groups.map((group) => ({ kind: "launch", group, reads: [], writes: [], aliases: [] })),
    results: [],
  };
}

/** A tier to test. */
export interface Tier {
  readonly name: string;
  compile(plan: HostPlan): Executable;
}

export const JS_TIER: Tier = { name: "js", compile: (plan) => instantiateJs(emitJsModule(plan), plan) };

/** How far results may be from the exact ones: relative to the largest magnitude of the result, then by each element. */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

function toleranceOf(dtype: DType, given: Tolerance | undefined): Tolerance {
  if (!dtype.isFloat) return { relative: 0, absolute: 0 };
  const eps = dtype === float64 ? 1e-13 : dtype === float16 ? 1.1e-3 : dtype === bfloat16 ? 8e-3 : 3e-6;
  if (given === undefined) return { relative: eps, absolute: dtype.bytes === 2 ? 1e-6 : 1e-30 };
  return { relative: Math.max(eps, given.relative), absolute: given.absolute };
}

/** Compares numbers; NaN equals NaN. */
export function assertClose(actual: Numbers, expected: Numbers, dtype: DType, what: string, given?: Tolerance): void {
  assert.equal(actual.length, expected.length, what);
  const { relative, absolute } = toleranceOf(dtype, given);
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i] ?? 0, expected[i] ?? 0];
    if (a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    const difference = Math.abs(Number(a) - Number(e));
    if (dtype.isFloat && difference <= absolute + relative * Math.abs(Number(e))) continue;
    assert.fail(`${what}: element ${i} of ${actual.length} is ${a}, expected ${e}`);
  }
}

/** One case: groups over buffers with data. */
export interface Case {
  readonly groups: readonly Group[];
  readonly data: ReadonlyMap<BufferRef, Numbers>;
  readonly sizes?: ReadonlyMap<Sym, number>;
  /** What to compare. */
  readonly outputs: readonly BufferRef[];
  readonly tolerance?: Tolerance;
}

/** Buffers that only exist inside of groups: the interpreter needs memory for them, kernels do not. */
function internalBuffers(c: Case): BufferRef[] {
  const found = new Set<BufferRef>();
  const add = (b: BufferRef): void => {
    if (!c.data.has(b)) found.add(b);
  };
  const visit = (group: Group): void => {
    if (group.kind === "loops") group.stages.forEach((s) => add(s.out));
    if (group.kind === "contraction") {
      add(group.result);
      group.epilogue.forEach((s) => add(s.out));
    }
    if (group.kind === "foreach") group.members.forEach(visit);
  };
  c.groups.forEach(visit);
  return [...found];
}

const known = new WeakMap<Case, Memory>();

/** What the groups should yield; worked out once for all tiers. */
export function expectedOf(c: Case): Memory {
  let memory = known.get(c);
  if (memory === undefined) known.set(c, memory = compute(c));
  return memory;
}

function compute(c: Case): Memory {
  const memory: Memory = new Map([...c.data].map(([b, numbers]) => [b, [...numbers]]));
  const run = new Interpreter(memory, c.sizes ?? new Map());
  for (const b of internalBuffers(c)) {
    // Widened: inside of a kernel nothing is rounded to half types.
    memory.set({ ...b }, []);
    memory.set(b, new Array(run.expr(b.numel)).fill(0));
  }
  for (const group of c.groups) interpret(group, memory, c.sizes ?? new Map());
  return memory;
}

/** Runs a case on a tier and compares. */
export function check(c: Case, tier: Tier, what = ""): void {
  checkAll([[what, c]], tier);
}

/** Runs cases that share their sizes as one plan, so that one compilation serves them all. */
export function checkAll(cases: readonly (readonly [what: string, c: Case])[], tier: Tier): void {
  const buffers = cases.flatMap(([, c]) => [...c.data.keys()]);
  const sizes = [...(cases[0]?.[1].sizes ?? new Map<Sym, number>()).entries()];
  const groups = cases.flatMap(([, c]) => c.groups);
  const executable = tier.compile(planOf(groups, buffers, sizes.map(([sym]) => sym)));
  const memory = new Map<BufferRef, CpuBuffer>();
  for (const [, c] of cases) for (const [b, numbers] of c.data) memory.set(b, toBuffer(b.dtype, [...numbers]));
  executable.run(buffers.map((b) => memory.get(b)), sizes.map(([, value]) => value));
  for (const [what, c] of cases) {
    const expected = expectedOf(c);
    for (const out of c.outputs) {
      const count = c.data.get(out)?.length ?? 0;
      const actual = fromBuffer(out.dtype, memory.get(out) as CpuBuffer, count);
      assertClose(actual, expected.get(out) ?? [], out.dtype, `${tier.name} ${what} ${out.label}`, c.tolerance);
    }
  }
}

/** A small deterministic generator. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Numbers of a dtype, small, with the signs and zeros that the type has. */
export function randomNumbers(count: number, dtype: DType, next: () => number): Numbers {
  return Array.from({ length: count }, () => {
    if (dtype === bool) return next() < 0.5 ? 1 : 0;
    if (dtype.isFloat) return roundToDtype((next() - 0.5) * 6, dtype);
    const signed = dtype.min < 0;
    return roundToDtype(Math.floor((next() - (signed ? 0.5 : 0)) * 40), dtype);
  });
}

export { computeType, float32, int64 };
