/**
 * Fixtures of PyTorch models: weights and inputs computed from their names, as `fixtures/make.py` does on the other side.
 */
import assert from "node:assert/strict";
import { type DType, float32, int64, type nn, type Tensor, tensorFrom } from "../../mod.ts";

/** What PyTorch's model has and answers. */
export interface Fixture {
  /** Names and shapes of the state dict. */
  readonly state: Readonly<Record<string, readonly number[]>>;
  /** Of the model in evaluation mode: its first elements, and the norm of all. */
  readonly output: { readonly shape: readonly number[]; readonly norm: number; readonly first: readonly number[] };
  /** Of the model in training mode, before and after one step of gradient descent with rate 0.05. */
  readonly losses: readonly [number, number];
  readonly grads: Readonly<Record<string, { readonly norm: number; readonly first: readonly number[] }>>;
}

/** Reads a fixture. */
export function readFixture(name: string): Fixture {
  return JSON.parse(Deno.readTextFileSync(new URL(`./fixtures/${name}.json`, import.meta.url))) as Fixture;
}

/** Numbers in [−1, 1) that follow from a name. */
export function hashed(name: string, count: number): Float64Array {
  let seed = 2166136261;
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 16777619);
  return Float64Array.from({ length: count }, (_, i) => {
    let x = Math.imul(i, 0x9e3779b1) + seed;
    x ^= x >>> 16;
    x = Math.imul(x, 0x85ebca6b);
    x ^= x >>> 13;
    x = Math.imul(x, 0xc2b2ae35);
    x ^= x >>> 16;
    return (x >>> 0) / 2 ** 31 - 1;
  });
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function weight(name: string, shape: readonly number[], dtype: DType): Tensor {
  if (!dtype.isFloat) return tensorFrom(shape, new Array<number>(product(shape)).fill(0), dtype);
  let scale = (u: number): number => 1 + u / 10;
  if (shape.length >= 2 && !name.endsWith("A_log")) {
    const bound = Math.sqrt(3 / product(shape.slice(1)));
    scale = (u) => u * bound;
  } else if (name.endsWith("running_var")) scale = (u) => 1.5 + u / 2;
  else if (name.endsWith("bias") || name.endsWith("running_mean")) scale = (u) => u / 10;
  return tensorFrom(shape, Array.from(hashed(name, product(shape)), scale), dtype);
}

/** Checks that the module has the names and shapes of PyTorch's, in any order, and loads the fixture's weights. */
export function loadFixture(module: nn.Module, fixture: Fixture): void {
  const own = module.stateDict();
  const shapes = Object.fromEntries(Object.entries(own).map(([name, t]) => [name, t.shape.map(Number)]));
  assert.deepEqual(shapes, fixture.state);
  module.loadStateDict(
    Object.fromEntries(Object.entries(own).map(([name, t]) => [name, weight(name, t.shape.map(Number), t.dtype)])),
  );
}

/** A float32 tensor that follows from a name. */
export function numbers(name: string, shape: readonly number[]): Tensor {
  return tensorFrom(shape, Array.from(hashed(name, product(shape))), float32);
}

/** int64 numbers from 0 to below `below` that follow from a name. */
export function ids(name: string, shape: readonly number[], below: number): Tensor {
  return tensorFrom(
    shape,
    Array.from(hashed(name, product(shape)), (u) => Math.floor((u + 1) / 2 * below)),
    int64,
  );
}

/** How far two lists of numbers are apart, relative to the larger of their norms. */
export function relativeError(actual: readonly number[], expected: readonly number[]): number {
  assert.equal(actual.length, expected.length);
  const norm = (list: readonly number[]): number => Math.sqrt(list.reduce((sum, v) => sum + v * v, 0));
  return norm(actual.map((v, i) => v - (expected[i] ?? NaN))) / Math.max(norm(expected), 1e-12);
}

/** The Euclidean norm of a tensor, and its first elements. */
export function summary(t: Tensor, count: number): { readonly norm: number; readonly first: readonly number[] } {
  const all = Array.from(t.detach().dataSync() as ArrayLike<number | bigint>, Number);
  return { norm: Math.sqrt(all.reduce((sum, v) => sum + v * v, 0)), first: all.slice(0, count) };
}
