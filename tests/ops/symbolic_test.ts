/**
 * Every operator with symbolic sizes: `meta` and the loop accept them, and for the sizes at hand they say what they say for numbers.
 *
 * Sizes of 2 and more of each sample become symbols. The environment answers questions by the sizes at hand, as the capture's does, but
 * refuses to turn a whole shape into numbers silently: how often sizes are fixed is counted and must stay within a budget for elementwise operators.
 */
import assert from "node:assert/strict";
import { cpu, float32 } from "../../src/core/mod.ts";
import type { TensorMeta } from "../../src/graph/mod.ts";
import { extentOf, type LoopInput, ops } from "../../src/loops/mod.ts";
import {
  allOps,
  type MetaInput,
  type NamedArgs,
  type Operator,
  type Sample,
  type SampleArg,
  SampleGenerator,
  scalarInput,
  scalarMeta,
  type TensorSample,
  type TensorSpec,
} from "../../src/ops/mod.ts";
import {
  type BoolExpr,
  contiguousStride,
  evaluate,
  evaluateBool,
  type Expr,
  exprOf,
  newSym,
  type ShapeEnvLike,
  type Size,
  type Sym,
  symbol,
  SymInt,
} from "../../src/symbolic/mod.ts";

/** Symbols with values at hand; one symbol a value, so that equal sizes stay equal. */
class Sizes implements ShapeEnvLike {
  readonly #byValue = new Map<number, SymInt>();
  readonly #values = new Map<Sym, number>();
  fixed = 0;

  size(value: number): Size {
    if (value < 2) return value;
    let found = this.#byValue.get(value);
    if (found === undefined) {
      const sym = newSym(`s${value}`, { kind: "size" });
      this.#values.set(sym, value);
      this.#byValue.set(value, found = new SymInt(symbol(sym), this));
    }
    return found;
  }

  value(e: Expr): number {
    return evaluate(e, (s) => this.#values.get(s) ?? 0);
  }

  evaluateBool(e: BoolExpr): boolean {
    return evaluateBool(e, (s) => this.#values.get(s) ?? 0);
  }

  hint(e: Expr): number {
    return this.value(e);
  }

  evaluateInt(e: Expr): number {
    this.fixed++;
    return this.value(e);
  }
}

function isTensorSample(arg: SampleArg | undefined): arg is TensorSample {
  return typeof arg === "object" && arg !== null && "kind" in arg && arg.kind === "tensor";
}

function permutedStride(s: TensorSample, shape: readonly Size[]): Size[] {
  if (s.permuted === null) return contiguousStride(shape);
  const inner = new Array<Size>(shape.length).fill(1);
  s.permuted.forEach((p, d) => inner[p] = shape[d] ?? 1);
  const row = contiguousStride(inner);
  return s.permuted.map((p) => row[p] ?? 1);
}

function metaOf(s: TensorSample, sizeOf: (n: number) => Size): MetaInput {
  const shape = s.shape.map(sizeOf);
  return {
    shape,
    stride: permutedStride(s, shape),
    storageOffset: 0,
    dtype: s.dtype,
    device: cpu,
    isScalar: false,
    requiresGrad: false,
  };
}

type Make = (s: TensorSample, key: string) => unknown;

function argumentsOf(
  op: Operator,
  sample: Sample,
  make: Make,
  scalar: (n: number) => unknown,
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const arg of op.schema.args) {
    const given = sample.args[arg.key];
    const one = (v: SampleArg): unknown =>
      isTensorSample(v) ? make(v, arg.key) : arg.type === "Tensor" && typeof v === "number" ? scalar(v) : v;
    const value = given === undefined ? arg.defaultValue : given;
    out[arg.key] = Array.isArray(value)
      ? value.map(one)
      : arg.list && arg.listLength !== null && value !== null
      ? new Array<unknown>(arg.listLength).fill(value)
      : one(value as SampleArg);
  }
  return out;
}

function specsOf(op: Operator, args: Record<string, unknown>): readonly TensorSpec[] {
  const specs = op.meta(args as NamedArgs<MetaInput>);
  return "shape" in specs ? [specs] : specs;
}

let nextBuffer = 1_000_000;

function loader(meta: MetaInput): LoopInput {
  const shape = meta.shape.map(exprOf);
  const buffer = { id: nextBuffer++, dtype: meta.dtype, numel: shape[0] ?? exprOf(1), label: "x" };
  return {
    shape,
    dtype: meta.dtype,
    load: (index) => {
      assert.equal(index.length, shape.length, "an input is loaded with an index of another rank");
      return ops.load(buffer, index[0] ?? exprOf(0));
    },
  };
}

function checkSample(op: Operator, sample: Sample): number {
  const concrete = specsOf(op, argumentsOf(op, sample, (s) => metaOf(s, (n) => n), (n) => scalarMeta(n)));
  const sizes = new Sizes();
  // The state of a generator has two elements, always.
  const dynamic = (key: string) => (n: number): Size => key === "state" ? n : sizes.size(n);
  const symbolic = specsOf(op, argumentsOf(op, sample, (s, key) => metaOf(s, dynamic(key)), (n) => scalarMeta(n)));
  assert.equal(symbolic.length, concrete.length);
  const known = (list: readonly Size[] | undefined): number[] | undefined => list?.map((s) => sizes.value(exprOf(s)));
  symbolic.forEach((spec, i) => {
    assert.deepEqual(known(spec.shape), concrete[i]?.shape, `shape of result ${i}`);
    assert.deepEqual(known(spec.stride), concrete[i]?.stride, `stride of result ${i}`);
    assert.equal(spec.dtype, concrete[i]?.dtype, `dtype of result ${i}`);
  });
  const fixed = sizes.fixed;
  const [first] = symbolic;
  if (op.loop === null || first === undefined) return fixed;
  const inputs = argumentsOf(op, sample, (s, key) => loader(metaOf(s, dynamic(key))), scalarInput);
  const out: TensorMeta = {
    shape: first.shape,
    stride: first.stride ?? contiguousStride(first.shape),
    storageOffset: first.storageOffset ?? 0,
    dtype: first.dtype,
    device: cpu,
  };
  const loop = op.loop(inputs as NamedArgs<LoopInput>, out);
  if (loop.kind === "pointwise" || loop.kind === "view" || loop.kind === "reduction" || loop.kind === "scan") {
    const extents = loop.vars.map((v) => sizes.value(extentOf(v)));
    assert.deepEqual(extents, concrete[0]?.shape, "the loop runs over another shape");
  }
  return fixed;
}

/**
 * The number of their results, or of their steps in time, depends on sizes; padding "same" reads the size of the kernel.
 */
const FIXES =
  /^aten\.(lstm|gru|rnn_tanh|rnn_relu|combinations|_chunk_cat|gradient|pdist)\.|^aten\.(unsafe_)?(split|split_with_sizes|chunk|unbind|tensor_split|[hvd]split)(_copy)?\.|^aten\.conv\dd\.padding$/;

/** Bins of unequal size are listed beforehand, so sizes must be numbers; so must those of points. */
const REFUSES = /^tessera\.adaptive_|^aten\.histogramdd/;

for (const op of allOps()) {
  const samples = op.samples(new SampleGenerator(float32));
  if (op.functional !== null || samples.length === 0 || op.isDataDependent || op.kind === "host") continue;
  if (REFUSES.test(op.target)) continue;
  Deno.test(`symbolic sizes: ${op.target}`, () => {
    const wrong: string[] = [];
    for (const [i, sample] of samples.entries()) {
      try {
        const fixed = checkSample(op, sample);
        if (!FIXES.test(op.target)) assert.equal(fixed, 0, "sizes were turned into numbers");
      } catch (error) {
        wrong.push(`sample ${i} ${sample.name ?? ""}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (wrong.length > 0) assert.fail(wrong.join("\n"));
  });
}
