/**
 * The methods of tensors and the functions of `F`, generated from the operator table by `deno task generate`.
 * Do not edit: change the operator's definition and generate again.
 */
import type { DeviceLike, DType } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import type { TensorValue } from "./value.ts";

/** Operators whose first argument is `self`, as methods. `T` is the tensor type. */
export interface TensorMethods<T> {
  /** self + alpha × other, broadcast. */
  add(other: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self + alpha × other, broadcast. */
  add_(other: T | Scalar, options?: { alpha?: Scalar }): T;
  /** The product of two matrices. */
  mm(mat2: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid_(): T;
}

/** All operators as functions, in snake_case turned to camelCase. */
export interface Functional<T = TensorValue> {
  /** self + alpha × other, broadcast. */
  add(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self + alpha × other, broadcast. */
  add_(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  /** The product of two matrices. */
  mm(self: T | Scalar, mat2: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(self: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid_(self: T | Scalar): T;
}
