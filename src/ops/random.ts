/**
 * Random numbers as functions of a generator's state.
 *
 * Enter a state, int64[2] = [seed, offset], and a size; leaves numbers that depend on state and position only (Philox4x32-10): key = seed, stream
 * = offset, position = linear index of the element. After each draw `advance_rng_` adds to the offset, so eager and compiled programs draw the
 * same numbers and a kernel needs no global state. Follows JAX's and Inductor's functional view of random numbers.
 */
import {
  bool,
  cpu,
  type Device,
  type DType,
  float16,
  float32,
  float64,
  getDefaultDtype,
  int32,
  int64,
} from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { type LoopInput, type LoopNode, ops, pointwise, type Value } from "../loops/mod.ts";
import { add, constant, type Expr, exprOf, mul, shapeToText, type Size, sizeLt } from "../symbolic/mod.ts";
import { defineOp, type MetaInput, type TensorSpec } from "./define.ts";
import type { SampleArg, SampleGenerator } from "./samples.ts";

function checkState(where: string, state: MetaInput): void {
  if (state.dtype !== int64 || state.shape.length !== 1 || state.shape[0] !== 2) {
    throw new TypeError(
      `${where}: state must be int64[2] (seed and offset), got ${state.dtype.name}${shapeToText(state.shape)}`,
    );
  }
}

function drawnSpec(
  where: string,
  state: MetaInput,
  size: readonly Size[],
  dtype: DType,
  device: Device | null,
): TensorSpec {
  checkState(where, state);
  for (const s of size) {
    if (sizeLt(s, 0)) throw new RangeError(`${where}: sizes must not be negative, got ${shapeToText(size)}`);
  }
  return { shape: size, dtype, device: device ?? cpu };
}

function floatDtype(where: string, dtype: DType | null): DType {
  const chosen = dtype ?? getDefaultDtype();
  if (!chosen.isFloat) throw new TypeError(`${where}: draws floating point numbers, not ${chosen.name}`);
  return chosen;
}

/** Words of 32 random bits at an element. */
interface Words {
  /** The word at position `words · index + which`. */
  word(words: number, which: number): Value;
}

function wordsAt(state: LoopInput, shape: readonly Size[], index: readonly Expr[]): Words {
  const linear = index.reduce((flat: Expr, i, k) => add(mul(flat, exprOf(shape[k] ?? 1)), i), constant(0));
  const seed = state.load([constant(0)]);
  const stream = state.load([constant(1)]);
  return { word: (words, which) => ops.philox(seed, stream, ops.index(add(mul(linear, words), which))) };
}

/** Bits of a word above `drop`, as a number. */
function highBits(word: Value, drop: number): Value {
  const shifted = ops.shiftRight(ops.cast(word, int64), ops.constant(drop, int64));
  return ops.cast(shifted, drop > 0 ? int32 : int64);
}

/**
 * Uniform in [0, 1) with as many bits as the dtype has, so that rounding never yields 1: 53 for float64 from two words, 24, 11 or 8
 * from one.
 */
function uniform(words: Words, dtype: DType): Value {
  if (dtype === float64) {
    const high = ops.cast(highBits(words.word(2, 0), 5), float64);
    const low = ops.cast(highBits(words.word(2, 1), 6), float64);
    return ops.mul(ops.add(ops.mul(high, 2 ** 26), low), 2 ** -53);
  }
  if (dtype === float32) return ops.uniformFromBits(words.word(1, 0));
  const bits = dtype === float16 ? 11 : 8;
  return ops.mul(ops.cast(highBits(words.word(1, 0), 32 - bits), float32), 2 ** -bits);
}

function uniformLoop(state: LoopInput, out: TensorMeta, finish: (u: Value) => Value): LoopNode {
  return pointwise(out.shape, (index) => finish(uniform(wordsAt(state, out.shape, index), out.dtype)));
}

const stateSample = (g: SampleGenerator): SampleArg =>
  g.tensor([2], { values: [1234567, 3], dtype: int64, requiresGrad: false });

defineOp({
  schema:
    "tessera::philox_uniform(Tensor state, SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
  doc: "Uniform numbers in [0, 1), a function of the generator's state.",
  random: true,
  meta: ({ state, size, dtype, device }) =>
    drawnSpec("philox_uniform", state, size, floatDtype("philox_uniform", dtype), device),
  loop: ({ state }, out) => uniformLoop(state, out, (u) => ops.cast(u, out.dtype)),
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { state: stateSample(g), size: [3, 5], dtype: g.dtype }, differentiate: false }] : [],
});

defineOp({
  schema:
    "tessera::philox_normal(Tensor state, SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
  doc: "Numbers of the standard normal distribution (Box-Muller), a function of the generator's state.",
  random: true,
  meta: ({ state, size, dtype, device }) =>
    drawnSpec("philox_normal", state, size, floatDtype("philox_normal", dtype), device),
  loop: ({ state }, out) => {
    const compute = out.dtype === float64 ? float64 : float32;
    return pointwise(out.shape, (index) => {
      const words = wordsAt(state, out.shape, index);
      const u1 = ops.cast(ops.uniformFromBits(words.word(2, 0)), compute);
      const u2 = ops.cast(ops.uniformFromBits(words.word(2, 1)), compute);
      const radius = ops.sqrt(ops.mul(ops.log(ops.sub(1, u1)), -2));
      return ops.cast(ops.mul(radius, ops.cos(ops.mul(u2, 2 * Math.PI))), out.dtype);
    });
  },
  samples: (g) =>
    g.dtype.isFloat ? [{ args: { state: stateSample(g), size: [3, 5], dtype: g.dtype }, differentiate: false }] : [],
});

defineOp({
  schema:
    "tessera::philox_randint(Tensor state, int low, int high, SymInt[] size, *, ScalarType? dtype=None, Device? device=None) -> Tensor",
  doc: "Integers in [low, high), a function of the generator's state.",
  random: true,
  meta: ({ state, low, high, size, dtype, device }) => {
    if (!sizeLt(low, high)) throw new RangeError(`randint: the range [${low}, ${high}) is empty`);
    return drawnSpec("randint", state, size, dtype ?? int64, device);
  },
  loop: ({ state, low, high }, out) =>
    pointwise(out.shape, (index) => {
      const words = wordsAt(state, out.shape, index);
      const range = Number(high) - Number(low);
      // A range beyond 32 bits takes 63 bits of two words; a remainder of uniform bits, as PyTorch draws it.
      const bits = range <= 2 ** 32 ? ops.cast(words.word(2, 0), int64) : ops.bitwiseOr(
        ops.shiftLeft(ops.cast(highBits(words.word(2, 0), 1), int64), ops.constant(32, int64)),
        ops.cast(words.word(2, 1), int64),
      );
      return ops.cast(ops.add(ops.floorMod(ops.cast(bits, int64), range), Number(low)), out.dtype);
    }),
  samples: (g) =>
    g.dtype.kind === "bool"
      ? []
      : [{ args: { state: stateSample(g), low: 0, high: 10, size: [4, 5], dtype: g.dtype }, differentiate: false }],
});

defineOp({
  schema: "tessera::philox_bernoulli(Tensor state, Tensor probs) -> Tensor",
  doc: "1 with the probability that probs gives at each element, else 0, a function of the generator's state.",
  random: true,
  meta: ({ state, probs }) => {
    checkState("bernoulli", state);
    if (!probs.dtype.isFloat) {
      throw new TypeError(`bernoulli: probabilities must be floating point numbers, got ${probs.dtype.name}`);
    }
    return { shape: probs.shape, dtype: probs.dtype, device: probs.device };
  },
  loop: ({ state, probs }, out) => {
    const compute = out.dtype === float64 ? float64 : float32;
    return pointwise(out.shape, (index) => {
      const u = uniform(wordsAt(state, out.shape, index), compute);
      return ops.cast(ops.lt(u, ops.cast(probs.load(index), compute)), out.dtype);
    });
  },
  vjp: () => ({ probs: () => null }),
  samples: (g) =>
    g.dtype.isFloat
      ? [{
        args: { state: stateSample(g), probs: g.tensor([4, 5], { values: "uniform", low: 0, high: 1 }) },
        differentiate: false,
      }]
      : [],
});

defineOp({
  schema: "tessera::advance_rng(Tensor state, int by=1) -> Tensor",
  doc: "The state of a generator after `by` draws; `advance_rng_` writes it into the state.",
  inplace: true,
  meta: ({ state }) => {
    checkState("advance_rng", state);
    return { shape: state.shape, dtype: state.dtype };
  },
  loop: ({ state, by }, out) =>
    pointwise(
      out.shape,
      ([i = constant(0)]) =>
        ops.add(state.load([i]), ops.where(ops.eq(ops.index(i), 1), ops.constant(Number(by), int64), 0)),
    ),
  samples: (g) => [{ args: { state: stateSample(g), by: 2 }, differentiate: false }],
});

function checkProbability(where: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`${where}: p is ${p}; a probability lies between 0 and 1`);
}

const dropSamples = (g: SampleGenerator) =>
  g.dtype.isFloat
    ? [
      { args: { input: g.tensor([4, 5]), state: stateSample(g), p: 0.4 } },
      { name: "nothing", args: { input: g.tensor([4]), state: stateSample(g), p: 0 } },
      { name: "everything", args: { input: g.tensor([4]), state: stateSample(g), p: 1 } },
    ]
    : [];

defineOp({
  schema: "tessera::dropout_with_state(Tensor input, Tensor state, float p) -> Tensor",
  doc: "input with elements set to 0 with probability p and the others divided by 1 - p.",
  random: true,
  meta: ({ input, state, p }) => {
    checkState("dropout", state);
    checkProbability("dropout", p);
    return { shape: input.shape, dtype: input.dtype };
  },
  decompose: ({ input, state, p }, F) => {
    if (p === 0) return input.alias();
    if (p === 1) return input.mul(0);
    const keep = F.philoxUniform(state, input.shape, { dtype: float32, device: input.device }).ge(p);
    return F.where(keep, input.mul(1 / (1 - p)), 0);
  },
  samples: dropSamples,
});

defineOp({
  schema: "tessera::native_dropout_with_state(Tensor input, Tensor state, float p) -> (Tensor, Tensor)",
  doc: "Dropout and the mask of the elements that were kept.",
  random: true,
  meta: ({ input, state, p }) => {
    checkState("native_dropout", state);
    checkProbability("native_dropout", p);
    return [{ shape: input.shape, dtype: input.dtype }, { shape: input.shape, dtype: bool }];
  },
  decompose: ({ input, state, p }, F) => {
    const keep = F.philoxUniform(state, input.shape, { dtype: float32, device: input.device }).ge(p);
    return [p === 1 ? input.mul(0) : F.where(keep, input.mul(1 / (1 - p)), 0), keep];
  },
  samples: dropSamples,
});
