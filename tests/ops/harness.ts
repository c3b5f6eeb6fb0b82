/**
 * Tests that every operator of the table owes, generated from its samples.
 *
 * {@linkcode runOperatorTests} makes one test an operator: for each dtype and sample, what `meta` says agrees with what came out, strided inputs give the same
 * result as contiguous ones, the in-place form agrees, the gradient agrees with finite differences; and, for another way of executing
 * than the reference, the result agrees with the reference's.
 */
import assert from "node:assert/strict";
import { bfloat16, bool, cpu, type DType, float16, float32, float64, int64 } from "../../src/core/mod.ts";
import {
  allOps,
  type ArgValue,
  type NamedArgs,
  type Operator,
  type Sample,
  type SampleArg,
  SampleGenerator,
  type TensorSample,
} from "../../src/ops/mod.ts";
import {
  dispatchComplete,
  emptyTensor,
  fakeLike,
  fakeResult,
  mapTensorArgs,
  noGrad,
  normalizeNamed,
  type OpResult,
  referenceBackend,
  Tensor,
  tensorArguments,
  withEagerBackend,
} from "../../src/tensor/mod.ts";
import { rawFromHost } from "../../src/tensor/memory.ts";
import { writeElements } from "../../src/tensor/read.ts";
import { gradcheck } from "../../src/autograd/mod.ts";
import { difference } from "../conformance/compare.ts";

/** Runs an operator in the way under test. */
export type Execute = (op: Operator, args: NamedArgs<Tensor>) => OpResult;

/** Which parts of the suite to run, and on what. */
export interface OperatorTestOptions {
  readonly dtypes?: readonly DType[];
  readonly filter?: (op: Operator) => boolean;
  /** Also check gradients, in-place forms and metas, which do not depend on the way of executing. Default: true for the reference. */
  readonly semantics?: boolean;
  /** Factor on tolerances against the reference. */
  readonly slack?: number;
}

/** A small generator of numbers, the same in each run. */
function numbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

function hash(text: string): number {
  let h = 2166136261;
  for (const c of text) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  return h >>> 0;
}

function sampleValues(s: TensorSample, next: () => number): number[] {
  const n = s.shape.reduce((a, b) => a * b, 1);
  if (typeof s.values === "object") {
    assert.equal(s.values.length, n, `a sample has ${s.values.length} values for shape [${s.shape}]`);
    return [...s.values];
  }
  switch (s.values) {
    case "normal":
      return Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
    case "uniform":
      return Array.from({ length: n }, () => s.low + (s.high - s.low) * next());
    case "integers":
      return Array.from({ length: n }, () => Math.floor(s.low + (s.high - s.low) * next()));
    default:
      return s.values satisfies never;
  }
}

/** Makes the tensor that a sample describes. */
export function makeTensor(s: TensorSample, next: () => number): Tensor {
  const rank = s.shape.length;
  const order = s.permuted ?? s.shape.map((_, d) => d);
  const inner = new Array<number>(rank).fill(1);
  order.forEach((p, d) => inner[p] = s.shape[d] ?? 1);
  const rowMajor = inner.map((_, d) => inner.slice(d + 1).reduce((a, b) => a * Math.max(b, 1), 1));
  const stride = order.map((p) => rowMajor[p] ?? 1);
  const t = emptyTensor(s.shape, stride, s.dtype, cpu);
  writeElements(t, rawFromHost(s.dtype, sampleValues(s, next)));
  if (s.requiresGrad && s.dtype.isFloat) t.requiresGrad = true;
  return t;
}

function isTensorSample(arg: SampleArg): arg is TensorSample {
  return typeof arg === "object" && arg !== null && "kind" in arg && arg.kind === "tensor";
}

function makeArg(arg: SampleArg, next: () => number): unknown {
  if (isTensorSample(arg)) return makeTensor(arg, next);
  return Array.isArray(arg) ? arg.map((item: SampleArg) => makeArg(item, next)) : arg;
}

/** The arguments of a sample, complete. */
export function makeArgs(op: Operator, sample: Sample, seed: number): NamedArgs<Tensor> {
  const next = numbers(seed);
  return normalizeNamed(
    op,
    Object.fromEntries(Object.entries(sample.args).map(([k, v]) => [k, makeArg(v, next)])),
  );
}

function flat(result: OpResult | undefined | void): Tensor[] {
  if (result instanceof Tensor) return [result];
  return Array.isArray(result) ? [...result as readonly Tensor[]] : [];
}

/** The same elements with every stride doubled and an offset, so that nothing is contiguous. */
function spread(t: Tensor): Tensor {
  if (t.ndim === 0 || t.numel === 0) return t;
  const stride = t.stride.map((s) => 2 * Number(s));
  const span = t.shape.reduce((sum: number, size, d) => sum + (Number(size) - 1) * (stride[d] ?? 0), 1);
  const whole = emptyTensor([span + 3], [1], t.dtype, t.device);
  writeElements(whole, rawFromHost(t.dtype, new Float64Array(span + 3).fill(1)));
  const out = new Tensor({
    shape: t.shape,
    stride,
    storageOffset: 3,
    dtype: t.dtype,
    device: t.device,
    storage: whole.storage,
  });
  writeElements(out, rawFromHost(t.dtype, t.dataSync()));
  return out;
}

function cloneArgs(op: Operator, args: NamedArgs<Tensor>): NamedArgs<Tensor> {
  return mapTensorArgs(op, args, (t) => {
    const out = emptyTensor(t.shape, t.stride, t.dtype, t.device);
    writeElements(out, rawFromHost(t.dtype, t.dataSync()));
    return out;
  }) as NamedArgs<Tensor>;
}

function compareResults(what: string, got: readonly Tensor[], want: readonly Tensor[], slack: number): void {
  assert.equal(got.length, want.length, `${what}: ${got.length} results, expected ${want.length}`);
  got.forEach((g, i) => {
    const w = want[i] as Tensor;
    assert.equal(g.dtype.name, w.dtype.name, `${what}: dtype of result ${i}`);
    assert.deepEqual(g.shape, w.shape, `${what}: shape of result ${i}`);
    const wrong = difference(g.dtype, g.dataSync(), w.dataSync(), slack);
    if (wrong !== null) assert.fail(`${what}: result ${i}: ${wrong}`);
  });
}

function checkMeta(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[]): void {
  const fakes = noGrad(() =>
    flat(dispatchComplete(op, mapTensorArgs(op, args, (t) => fakeLike(t)) as NamedArgs<Tensor>))
  );
  const described = flat(fakeResult(op, mapTensorArgs(op, args, (t) => fakeLike(t)) as NamedArgs<Tensor>));
  for (const [how, list] of [["fake", fakes], ["meta", described]] as const) {
    assert.equal(list.length, outs.length, `${how} gives ${list.length} results, eager ${outs.length}`);
    outs.forEach((out, i) => {
      const f = list[i] as Tensor;
      assert.equal(f.dtype.name, out.dtype.name, `${how}: dtype of result ${i}`);
      assert.deepEqual(f.shape, out.shape, `${how}: shape of result ${i}`);
      const strides = (t: Tensor): unknown[] => t.numel === 0 ? [] : t.stride.filter((_, d) => Number(t.shape[d]) > 1);
      assert.deepEqual(strides(f), strides(out), `${how}: strides of result ${i} of shape [${out.shape}]`);
    });
  }
}

function checkGradient(op: Operator, args: NamedArgs<Tensor>, sample: Sample): void {
  const inputs: Tensor[] = [];
  const at = new Map<Tensor, number>();
  for (const { key, list } of tensorArguments(op)) {
    const v = args[key];
    for (const item of list && Array.isArray(v) ? v as readonly ArgValue<Tensor>[] : [v]) {
      if (!(item instanceof Tensor) || at.has(item)) continue;
      at.set(item, inputs.length);
      inputs.push(item);
    }
  }
  const size = inputs.reduce((n, t) => n + (t.requiresGrad ? t.numel : 0), 0);
  if (size === 0 || size > 600) return;
  const run = (...values: Tensor[]): Tensor[] =>
    flat(dispatchComplete(
      op,
      mapTensorArgs(op, args, (t) => values[at.get(t) ?? 0] as Tensor) as NamedArgs<Tensor>,
    )).filter((o) => o.dtype === float64);
  if (noGrad(() => run(...inputs)).length === 0) return;
  gradcheck(run, inputs, { atol: 1e-5 + (sample.tolerance ?? 0), rtol: 1e-4 });
}

const inplaceOf = new Map<Operator, Operator>();

function checkInplace(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[]): void {
  const inplace = inplaceOf.get(op);
  const { self } = args;
  if (inplace === undefined || !(self instanceof Tensor) || outs.length !== 1) return;
  const want = outs[0] as Tensor;
  if (want.dtype !== self.dtype || want.shape.join() !== self.shape.join()) return;
  const copies = cloneArgs(op, args);
  const got = dispatchComplete(inplace, copies);
  assert.equal(got, copies["self"], `${inplace.target} must return its self`);
  compareResults(inplace.target, flat(got), outs, 1);
}

/** One sample of one dtype. */
function checkSample(
  op: Operator,
  sample: Sample,
  dtype: DType,
  seed: number,
  execute: Execute,
  options: Required<OperatorTestOptions>,
): void {
  const args = makeArgs(op, sample, seed);
  const plain = noGrad(() => withEagerBackend(referenceBackend, () => flat(dispatchComplete(op, cloneArgs(op, args)))));
  if (!op.isRandom) {
    const slack = options.slack * (1 + (sample.tolerance ?? 0) * 1e5);
    compareResults("executed", noGrad(() => flat(execute(op, cloneArgs(op, args)))), plain, slack);
    // as_strided addresses memory, so other strides are another question.
    if (!op.schema.name.startsWith("as_strided")) {
      const strided = noGrad(() => flat(execute(op, mapTensorArgs(op, args, spread) as NamedArgs<Tensor>)));
      compareResults("with strided inputs", strided, plain, slack);
    }
  }
  if (!options.semantics) return;
  if (!op.isDataDependent) checkMeta(op, args, noGrad(() => flat(dispatchComplete(op, cloneArgs(op, args)))));
  if (!op.isRandom) noGrad(() => checkInplace(op, args, plain));
  if (
    dtype === float64 && sample.differentiate !== false && !op.isRandom && (op.vjp !== null || op.decompose !== null)
  ) {
    checkGradient(op, args, sample);
  }
}

/** Dtypes for which samples are tried. Only floats must work; others may be refused by `meta`. */
export const TESTED_DTYPES: readonly DType[] = [float32, float64, bfloat16, float16, int64, bool];

/** Makes the tests of all operators for one way of executing them. */
export function runOperatorTests(name: string, execute: Execute, options: OperatorTestOptions = {}): void {
  const settings: Required<OperatorTestOptions> = {
    dtypes: options.dtypes ?? TESTED_DTYPES,
    filter: options.filter ?? (() => true),
    semantics: options.semantics ?? true,
    slack: options.slack ?? 1,
  };
  for (const op of allOps()) if (op.functional !== null) inplaceOf.set(op.functional, op);
  for (const op of allOps()) {
    if (op.functional !== null || !settings.filter(op)) continue;
    // Overloads that share their tensor form's samples have none of their own.
    if (op.samples(new SampleGenerator(float32)).length === 0) continue;
    Deno.test(`${name}: ${op.target}`, () => {
      const wrong: string[] = [];
      for (const dtype of settings.dtypes) {
        for (const [i, sample] of op.samples(new SampleGenerator(dtype)).entries()) {
          const what = `${dtype.name} sample ${i}${sample.name === undefined ? "" : ` (${sample.name})`}`;
          try {
            checkSample(op, sample, dtype, hash(`${op.target}${i}`), execute, settings);
          } catch (error) {
            // What the operator refuses by a checked error on a dtype that it need not take is no fault.
            if (
              !dtype.isFloat && (error instanceof TypeError || error instanceof RangeError) &&
              !/is not a function|undefined/.test(error.message)
            ) continue;
            wrong.push(`${what}: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`);
          }
        }
      }
      if (wrong.length > 0) assert.fail(`${wrong.length} failures:\n  ${wrong.slice(0, 8).join("\n  ")}`);
    });
  }
}
