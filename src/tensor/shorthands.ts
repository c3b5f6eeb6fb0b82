/**
 * Short names that PyTorch's tensors have beside their operators: conversions, and what the memory looks like.
 *
 * Each says in one word what `to()` and a few other calls say; nothing here is an operator of its own. Mirrors `torch/_tensor.py` and the conversions of
 * `python_variable_methods.cpp`.
 */
import {
  bfloat16,
  bool,
  type DType,
  float16,
  float32,
  float64,
  int16,
  int32,
  int64,
  int8,
  uint8,
} from "../core/mod.ts";
import { F } from "./methods.ts";
import { type NestedArray, Tensor } from "./tensor.ts";

const CONVERSIONS = {
  float: float32,
  double: float64,
  half: float16,
  bfloat16,
  int: int32,
  long: int64,
  short: int16,
  char: int8,
  byte: uint8,
  bool,
} as const satisfies Readonly<Record<string, DType>>;

/**
 * Names of one word for what takes more of them otherwise. Conversions return the tensor itself where it has the dtype already.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { tensor } from "../../mod.ts";
 * const x = tensor([[1.5, 0], [-2, 3]]);
 * assert.deepEqual(x.bool().long().tolist(), [[1, 0], [1, 1]]);
 * assert.deepEqual(x.T.tolist(), [[1.5, -2], [0, 3]]);
 * assert.equal(x.half().nbytes, 8);
 * ```
 */
export interface Shorthands {
  /** As float32. */
  float(): Tensor;
  /** As float64. */
  double(): Tensor;
  /** As float16. */
  half(): Tensor;
  /** As bfloat16. */
  bfloat16(): Tensor;
  /** As int32. */
  int(): Tensor;
  /** As int64. */
  long(): Tensor;
  /** As int16. */
  short(): Tensor;
  /** As int8. */
  char(): Tensor;
  /** As uint8. */
  byte(): Tensor;
  /** As bool: false where the element is 0. */
  bool(): Tensor;
  /** `toArray()` under PyTorch's name. */
  tolist(): NestedArray;
  /** Elements of `this` where `condition` holds, of `other` elsewhere; all three broadcast. */
  where(condition: Tensor, other: Tensor | number): Tensor;
  /** Dimensions in reverse: the transpose of a matrix. A view. */
  readonly T: Tensor;
  /** Bytes of an element. */
  readonly itemsize: number;
  /** Bytes of the elements, whatever memory they lie in. */
  readonly nbytes: number;
  readonly isCuda: boolean;
  readonly isCpu: boolean;
}

/** Gives `Tensor` these names, unless it has them. */
function installShorthands(): void {
  const methods: Record<string, (this: Tensor, ...args: never[]) => unknown> = {
    tolist() {
      return this.toArray();
    },
    where(condition: Tensor, other: Tensor | number) {
      return F.where(condition, this, other);
    },
  };
  for (const [name, dtype] of Object.entries(CONVERSIONS)) {
    methods[name] = function () {
      return this.to(dtype);
    };
  }
  const getters: Record<string, (t: Tensor) => unknown> = {
    T: (t) => t.permute(t.shape.map((_, d) => t.ndim - 1 - d)),
    itemsize: (t) => t.dtype.bytes,
    nbytes: (t) => Number(t.numel) * t.dtype.bytes,
    isCuda: (t) => t.device.type === "cuda",
    isCpu: (t) => t.device.type === "cpu",
  };
  const { prototype } = Tensor;
  for (const [name, value] of Object.entries(methods)) {
    if (!Object.hasOwn(prototype, name)) {
      Object.defineProperty(prototype, name, { configurable: true, writable: true, value });
    }
  }
  for (const [name, read] of Object.entries(getters)) {
    Object.defineProperty(prototype, name, {
      configurable: true,
      get(this: Tensor) {
        return read(this);
      },
    });
  }
}

installShorthands();
