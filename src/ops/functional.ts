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
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm_(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat1 @ mat2); self broadcasts. */
  addmm(mat1: T | Scalar, mat2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat1 @ mat2); self broadcasts. */
  addmm_(mat1: T | Scalar, mat2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat @ vec). */
  addmv(mat: T | Scalar, vec: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat @ vec). */
  addmv_(mat: T | Scalar, vec: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the outer product of two vectors. */
  addr(vec1: T | Scalar, vec2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the outer product of two vectors. */
  addr_(vec1: T | Scalar, vec2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm_(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** Products of matrices in a batch, [b, n, k] by [b, k, p]. */
  bmm(mat2: T | Scalar): T;
  /** The inner product of two vectors. */
  dot(tensor: T | Scalar): T;
  /** Sums products over the last dimension of both tensors. */
  inner(other: T | Scalar): T;
  /** The Kronecker product. */
  kron(other: T | Scalar): T;
  /** The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns. */
  matmul(other: T | Scalar): T;
  /** The product of two matrices, [n, k] by [k, p]. */
  mm(mat2: T | Scalar): T;
  /** A matrix times a vector. */
  mv(vec: T | Scalar): T;
  /** The outer product of two vectors. */
  outer(vec2: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid_(): T;
  /** Sums products over the named dimensions of both tensors. */
  tensordot(other: T | Scalar, dimsSelf: readonly Size[], dimsOther: readonly Size[]): T;
  /** The inner product of two real vectors. */
  vdot(other: T | Scalar): T;
}

/** All operators as functions, in snake_case turned to camelCase. */
export interface Functional<T = TensorValue> {
  /** self + alpha × other, broadcast. */
  add(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self + alpha × other, broadcast. */
  add_(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm_(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat1 @ mat2); self broadcasts. */
  addmm(self: T | Scalar, mat1: T | Scalar, mat2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat1 @ mat2); self broadcasts. */
  addmm_(self: T | Scalar, mat1: T | Scalar, mat2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat @ vec). */
  addmv(self: T | Scalar, mat: T | Scalar, vec: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × (mat @ vec). */
  addmv_(self: T | Scalar, mat: T | Scalar, vec: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the outer product of two vectors. */
  addr(self: T | Scalar, vec1: T | Scalar, vec2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the outer product of two vectors. */
  addr_(self: T | Scalar, vec1: T | Scalar, vec2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm_(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** x1 · W · x2 + bias for each output; weight is [out, in1, in2]. */
  bilinear(input1: T | Scalar, input2: T | Scalar, weight: T | Scalar, options?: { bias?: T | Scalar | null }): T;
  bilinear(input1: T | Scalar, input2: T | Scalar, weight: T | Scalar, bias?: T | Scalar | null): T;
  /** Products of matrices in a batch, [b, n, k] by [b, k, p]. */
  bmm(self: T | Scalar, mat2: T | Scalar): T;
  /** Convolution without bias; padding is that before the first element, the output size says how far windows go. */
  conv(
    input: T | Scalar,
    weight: T | Scalar,
    outputSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    groups: Size,
  ): T;
  /** Convolution over 1 dimension: input [N, C, …], weight [O, C / groups, …]. */
  conv1d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      groups?: Size;
    },
  ): T;
  conv1d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    groups?: Size,
  ): T;
  conv1d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: string;
      dilation?: Size | readonly Size[];
      groups?: Size;
    },
  ): T;
  conv1d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: string,
    dilation?: Size | readonly Size[],
    groups?: Size,
  ): T;
  /** Convolution over 2 dimensions: input [N, C, …], weight [O, C / groups, …]. */
  conv2d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      groups?: Size;
    },
  ): T;
  conv2d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    groups?: Size,
  ): T;
  conv2d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: string;
      dilation?: Size | readonly Size[];
      groups?: Size;
    },
  ): T;
  conv2d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: string,
    dilation?: Size | readonly Size[],
    groups?: Size,
  ): T;
  /** Convolution over 3 dimensions: input [N, C, …], weight [O, C / groups, …]. */
  conv3d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      groups?: Size;
    },
  ): T;
  conv3d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    groups?: Size,
  ): T;
  conv3d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: string;
      dilation?: Size | readonly Size[];
      groups?: Size;
    },
  ): T;
  conv3d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: string,
    dilation?: Size | readonly Size[],
    groups?: Size,
  ): T;
  /** The gradient of a convolution by its input; also the transposed convolution. */
  convInputGrad(
    grad: T | Scalar,
    weight: T | Scalar,
    inputSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    groups: Size,
  ): T;
  /** Transposed convolution over 1 dimension: weight [C, O / groups, …]. */
  convTranspose1d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      outputPadding?: Size | readonly Size[];
      groups?: Size;
      dilation?: Size | readonly Size[];
    },
  ): T;
  convTranspose1d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    outputPadding?: Size | readonly Size[],
    groups?: Size,
    dilation?: Size | readonly Size[],
  ): T;
  /** Transposed convolution over 2 dimensions: weight [C, O / groups, …]. */
  convTranspose2d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      outputPadding?: Size | readonly Size[];
      groups?: Size;
      dilation?: Size | readonly Size[];
    },
  ): T;
  convTranspose2d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    outputPadding?: Size | readonly Size[],
    groups?: Size,
    dilation?: Size | readonly Size[],
  ): T;
  /** Transposed convolution over 3 dimensions: weight [C, O / groups, …]. */
  convTranspose3d(
    input: T | Scalar,
    weight: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      outputPadding?: Size | readonly Size[];
      groups?: Size;
      dilation?: Size | readonly Size[];
    },
  ): T;
  convTranspose3d(
    input: T | Scalar,
    weight: T | Scalar,
    bias?: T | Scalar | null,
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    outputPadding?: Size | readonly Size[],
    groups?: Size,
    dilation?: Size | readonly Size[],
  ): T;
  /** The gradient of a convolution by its weight. */
  convWeightGrad(
    input: T | Scalar,
    grad: T | Scalar,
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    groups: Size,
  ): T;
  /** Convolution, plain or transposed, in one to three dimensions, with bias. */
  convolution(
    input: T | Scalar,
    weight: T | Scalar,
    bias: T | Scalar | null,
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    transposed: boolean,
    outputPadding: readonly Size[],
    groups: Size,
  ): T;
  /** Gradients of a convolution by input, weight and bias. */
  convolutionBackward(
    gradOutput: T | Scalar,
    input: T | Scalar,
    weight: T | Scalar,
    biasSizes: readonly Size[] | null,
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    transposed: boolean,
    outputPadding: readonly Size[],
    groups: Size,
    outputMask: boolean | readonly boolean[],
  ): [T, T, T];
  /** The inner product of two vectors. */
  dot(self: T | Scalar, tensor: T | Scalar): T;
  /** Sums products of elements by Einstein's convention, e.g. "bij,bjk->bik"; pairs are joined from left to right. */
  einsum(equation: string, tensors: readonly T[], options?: { path?: readonly Size[] | null }): T;
  /** Sums products over the last dimension of both tensors. */
  inner(self: T | Scalar, other: T | Scalar): T;
  /** The Kronecker product. */
  kron(self: T | Scalar, other: T | Scalar): T;
  /** input @ weightᵀ + bias: a fully connected layer. Weight is [out, in]. */
  linear(input: T | Scalar, weight: T | Scalar, options?: { bias?: T | Scalar | null }): T;
  linear(input: T | Scalar, weight: T | Scalar, bias?: T | Scalar | null): T;
  /** The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns. */
  matmul(self: T | Scalar, other: T | Scalar): T;
  /** The product of two matrices, [n, k] by [k, p]. */
  mm(self: T | Scalar, mat2: T | Scalar): T;
  /** A matrix times a vector. */
  mv(self: T | Scalar, vec: T | Scalar): T;
  /** The outer product of two vectors. */
  outer(self: T | Scalar, vec2: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(self: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid_(self: T | Scalar): T;
  /** Sums products over the named dimensions of both tensors. */
  tensordot(self: T | Scalar, other: T | Scalar, dimsSelf: readonly Size[], dimsOther: readonly Size[]): T;
  /** The inner product of two real vectors. */
  vdot(self: T | Scalar, other: T | Scalar): T;
}
