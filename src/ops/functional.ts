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
  /** Bits that are set in both. */
  __and__(other: T | Scalar): T;
  __and__(other: Scalar): T;
  /** Bits that are set in both. */
  __iand__(other: T | Scalar): T;
  __iand__(other: Scalar): T;
  /** Bits moved towards the high end. */
  __ilshift__(other: T | Scalar): T;
  __ilshift__(other: Scalar): T;
  /** Bits that are set in at least one. */
  __ior__(other: T | Scalar): T;
  __ior__(other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  __irshift__(other: T | Scalar): T;
  __irshift__(other: Scalar): T;
  /** Bits that are set in exactly one. */
  __ixor__(other: T | Scalar): T;
  __ixor__(other: Scalar): T;
  /** Bits moved towards the high end. */
  __lshift__(other: T | Scalar): T;
  __lshift__(other: Scalar): T;
  /** Bits that are set in at least one. */
  __or__(other: T | Scalar): T;
  __or__(other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  __rshift__(other: T | Scalar): T;
  __rshift__(other: Scalar): T;
  /** Bits that are set in exactly one. */
  __xor__(other: T | Scalar): T;
  __xor__(other: Scalar): T;
  /** Means over windows that divide the last 2 dimensions into output_size parts. */
  _adaptiveAvgPool2d(outputSize: Size | readonly Size[]): T;
  /** Means over windows that divide the last 3 dimensions into output_size parts. */
  _adaptiveAvgPool3d(outputSize: Size | readonly Size[]): T;
  /** relu(self + alpha × other). */
  _addRelu(other: T | Scalar, options?: { alpha?: Scalar }): T;
  _addRelu(other: Scalar, options?: { alpha?: Scalar }): T;
  /** relu(self + alpha × other). */
  _addRelu_(other: T | Scalar, options?: { alpha?: Scalar }): T;
  _addRelu_(other: T | Scalar, alpha?: Scalar): T;
  _addRelu_(other: Scalar, options?: { alpha?: Scalar }): T;
  _addRelu_(other: Scalar, alpha?: Scalar): T;
  /** relu, or gelu, of addmm. */
  _addmmActivation(
    mat1: T | Scalar,
    mat2: T | Scalar,
    options?: { beta?: Scalar; alpha?: Scalar; useGelu?: boolean },
  ): T;
  /** The tensor itself: it is real. */
  _conj(): T;
  /** The tensor itself: it is real. */
  _conjPhysical(): T;
  /** As fake_quantize_per_tensor_affine_cachemask, by tensors of one element; an enabled of 0 leaves the numbers as they are. */
  _fakeQuantizePerTensorAffineCachemaskTensorQparams(
    scale: T | Scalar,
    zeroPoint: T | Scalar,
    fakeQuantEnabled: T | Scalar,
    quantMin: Size,
    quantMax: Size,
  ): [T, T];
  /** The Fourier transform of complex numbers. */
  _fftC2c(dim: readonly Size[], normalization: Size, forward: boolean): T;
  /** The inverse Fourier transform of half a spectrum, to real numbers. */
  _fftC2r(dim: readonly Size[], normalization: Size, lastDimSize: Size): T;
  /** The Fourier transform of real numbers; onesided gives half of the last dimension. */
  _fftR2c(dim: readonly Size[], normalization: Size, onesided: boolean): T;
  /** Products of groups. [rows, in] and [groups, in, out]: offs ends groups of rows. [groups, m, in] and [in, columns]: groups of columns. [m, k] and [k, n]: groups of k, [groups, m, n]. Of two three-dimensional tensors: bmm. */
  _groupedMm(
    mat2: T | Scalar,
    options?: { offs?: T | Scalar | null; bias?: T | Scalar | null; outDtype?: DType | null },
  ): T;
  _groupedMm(mat2: T | Scalar, offs?: T | Scalar | null, bias?: T | Scalar | null, outDtype?: DType | null): T;
  /** The edges of equal bins of each dimension of points. */
  _histogramddBinEdges(
    bins: readonly Size[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  /** How many points fall into each of equal bins in several dimensions. */
  _histogramddFromBinCts(
    bins: readonly Size[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T;
  /** How many points fall between given ascending edges in several dimensions. */
  _histogramddFromBinTensors(bins: readonly T[], options?: { weight?: T | Scalar | null; density?: boolean }): T;
  /** The product of matrices of 8-bit integers, in int32. */
  _intMm(mat2: T | Scalar): T;
  /** Whether all elements of a bool tensor hold. */
  _isAllTrue(): T;
  /** Whether any element of a bool tensor hold. */
  _isAnyTrue(): T;
  /** x - log(sum(exp(x))) along a dimension. */
  _logSoftmax(dim: Size, halfToFloat: boolean): T;
  /** linalg_lu_factor_ex. */
  _luWithInfo(options?: { pivot?: boolean; checkErrors?: boolean }): [T, T, T];
  _luWithInfo(pivot?: boolean, checkErrors?: boolean): [T, T, T];
  /** self × mask × scale. */
  _maskedScale(mask: T | Scalar, scale: number): T;
  /** softmax over elements whose mask is false; 0 at the others, also where all are masked. */
  _maskedSoftmax(mask: T | Scalar, options?: { dim?: Size | null; maskType?: Size | null }): T;
  _maskedSoftmax(mask: T | Scalar, dim?: Size | null, maskType?: Size | null): T;
  /** self with copies of itself around it. */
  _padCircular(pad: readonly Size[]): T;
  /** pad, its mode by number: 0 reflect, 1 replicate, 2 circular, 3 constant. */
  _padEnum(pad: readonly Size[], mode: Size, options?: { value?: number | null }): T;
  _padEnum(pad: readonly Size[], mode: Size, value?: number | null): T;
  /** The p-norm distances of all pairs of rows, as a vector: (0, 1), (0, 2), …, (1, 2), …. */
  _pdistForward(options?: { p?: number }): T;
  _pdistForward(p?: number): T;
  /** x where it is positive, else weight × x; the weight broadcasts. */
  _preluKernel(weight: T | Scalar): T;
  /** A copy in another shape. */
  _reshapeCopy(size: readonly Size[]): T;
  /** softmax whose rows of nothing but -inf are zeros. */
  _safeSoftmax(dim: Size, options?: { dtype?: DType | null }): T;
  _safeSoftmax(dim: Size, dtype?: DType | null): T;
  /** Probabilities along the last dimension, of the Dirichlet distribution with concentrations self, from the default generator. */
  _sampleDirichlet(options?: { generator?: null | null }): T;
  _sampleDirichlet(generator?: null | null): T;
  /** The product of matrices of 8-bit floats times their scales, [m, k] by [k, n]; scales are one number each, or [m, 1] and [1, n]. Sums are float32, whatever use_fast_accum asks for; results in 8 bits are divided by scale_result. */
  _scaledMm(
    mat2: T | Scalar,
    scaleA: T | Scalar,
    scaleB: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      scaleResult?: T | Scalar | null;
      outDtype?: DType | null;
      useFastAccum?: boolean;
    },
  ): T;
  _scaledMm(
    mat2: T | Scalar,
    scaleA: T | Scalar,
    scaleB: T | Scalar,
    bias?: T | Scalar | null,
    scaleResult?: T | Scalar | null,
    outDtype?: DType | null,
    useFastAccum?: boolean,
  ): T;
  /** The sizes as an int64 vector. */
  _shapeAsTensor(): T;
  /** exp(x) / sum(exp(x)) along a dimension. */
  _softmax(dim: Size, halfToFloat: boolean): T;
  /** Gamma variables with concentrations self and scale 1, from the default generator. */
  _standardGamma(options?: { generator?: null | null }): T;
  _standardGamma(generator?: null | null): T;
  /** The derivative of gamma variables by the concentrations that they were drawn with. */
  _standardGammaGrad(output: T | Scalar): T;
  /** A copy in another dtype, on another device, or in another memory format. Floats become integers by truncation. */
  _toCopy(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      nonBlocking?: boolean;
      memoryFormat?: string | null;
    },
  ): T;
  /** The distinct elements, and for each element which of them it is. */
  _unique(options?: { sorted?: boolean; returnInverse?: boolean }): [T, T];
  _unique(sorted?: boolean, returnInverse?: boolean): [T, T];
  /** The distinct elements in ascending order; on demand which of them each element is, and how often each occurs. */
  _unique2(options?: { sorted?: boolean; returnInverse?: boolean; returnCounts?: boolean }): [T, T, T];
  _unique2(sorted?: boolean, returnInverse?: boolean, returnCounts?: boolean): [T, T, T];
  /** self at the positions that index tensors name, broadcast together; null takes a whole dimension, a mask selects where it holds. */
  _unsafeIndex(indices: readonly (T | null)[]): T;
  /** self with values written (or added) at lists of indices, one tensor or None for each dimension. */
  _unsafeIndexPut(indices: readonly (T | null)[], values: T | Scalar, options?: { accumulate?: boolean }): T;
  _unsafeIndexPut(indices: readonly (T | null)[], values: T | Scalar, accumulate?: boolean): T;
  /** self at lists of indices where the mask holds, else fill: what the mask leaves out may lie out of bounds. */
  _unsafeMaskedIndex(mask: T | Scalar, indices: readonly (T | null)[], fill: Scalar): T;
  /** self with values added at lists of indices where the mask holds: what it leaves out may lie out of bounds. */
  _unsafeMaskedIndexPutAccumulate(mask: T | Scalar, indices: readonly (T | null)[], values: T | Scalar): T;
  /** The same elements in another shape, of a tensor that nothing else uses. */
  _unsafeView(size: readonly Size[]): T;
  /** Antialiased bicubic interpolation of images. */
  _upsampleBicubic2dAa(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleBicubic2dAa(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** Antialiased bilinear interpolation of images. */
  _upsampleBilinear2dAa(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleBilinear2dAa(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** The nearest element, by pixel centres of the last dimension. */
  _upsampleNearestExact1d(outputSize: Size | readonly Size[], options?: { scales?: number | null }): T;
  _upsampleNearestExact1d(outputSize: Size | readonly Size[], scales?: number | null): T;
  /** The nearest element, by pixel centres of the last 2 dimensions. */
  _upsampleNearestExact2d(
    outputSize: Size | readonly Size[],
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleNearestExact2d(outputSize: Size | readonly Size[], scalesH?: number | null, scalesW?: number | null): T;
  /** The nearest element, by pixel centres of the last 3 dimensions. */
  _upsampleNearestExact3d(
    outputSize: Size | readonly Size[],
    options?: { scalesD?: number | null; scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleNearestExact3d(
    outputSize: Size | readonly Size[],
    scalesD?: number | null,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** The absolute value. */
  abs(): T;
  /** The absolute value. */
  abs_(): T;
  /** The absolute value. */
  absolute(): T;
  /** The absolute value. */
  absolute_(): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  acos(): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  acos_(): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  acosh(): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  acosh_(): T;
  /** Means over windows that divide the last dimension into output_size parts. */
  adaptiveAvgPool1d(outputSize: Size | readonly Size[]): T;
  /** Means over windows that divide the last 2 dimensions into output_size parts. */
  adaptiveAvgPool2d(outputSize: Size | readonly Size[]): T;
  /** Means over windows that divide the last 3 dimensions into output_size parts. */
  adaptiveAvgPool3d(outputSize: Size | readonly Size[]): T;
  /** Maxima over windows that divide the last dimension into output_size parts, and their flat positions. */
  adaptiveMaxPool1d(outputSize: Size | readonly Size[]): [T, T];
  /** Maxima over windows that divide the last 2 dimensions into output_size parts, and their flat positions. */
  adaptiveMaxPool2d(outputSize: Size | readonly Size[]): [T, T];
  /** Maxima over windows that divide the last 3 dimensions into output_size parts, and their flat positions. */
  adaptiveMaxPool3d(outputSize: Size | readonly Size[]): [T, T];
  /** self + alpha × other, broadcast. */
  add(other: T | Scalar, options?: { alpha?: Scalar }): T;
  add(other: Scalar, options?: { alpha?: Scalar }): T;
  add(other: Scalar, alpha?: Scalar): T;
  /** self + alpha × other, broadcast. */
  add_(other: T | Scalar, options?: { alpha?: Scalar }): T;
  add_(other: Scalar, options?: { alpha?: Scalar }): T;
  add_(other: Scalar, alpha?: Scalar): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm_(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** self + value × tensor1 / tensor2, broadcast; floating point only. */
  addcdiv(tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** self + value × tensor1 / tensor2, broadcast; floating point only. */
  addcdiv_(tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** self + value × tensor1 × tensor2, broadcast. */
  addcmul(tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** self + value × tensor1 × tensor2, broadcast. */
  addcmul_(tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** beta × self + alpha × (mat1 @ mat2); self broadcasts. */
  addmm(mat1: T | Scalar, mat2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  addmm(mat1: T | Scalar, mat2: T | Scalar, outDtype: DType, options?: { beta?: Scalar; alpha?: Scalar }): T;
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
  /** Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view. */
  adjoint(): T;
  /** A view of everything. */
  alias(): T;
  /** A copy of what alias() shows. */
  aliasCopy(): T;
  /** Whether all elements are not 0. */
  all(): T;
  all(dim: Size, options?: { keepdim?: boolean }): T;
  all(dim: Size, keepdim?: boolean): T;
  all(options?: { dim?: readonly Size[] | null; keepdim?: boolean }): T;
  all(dim?: readonly Size[] | null, keepdim?: boolean): T;
  /** alpha_dropout, in place. */
  alphaDropout_(p: number, train: boolean): T;
  /** The largest element over dimensions; NaN if there is one. Equals share the gradient. */
  amax(options?: { dim?: Size | readonly Size[]; keepdim?: boolean }): T;
  amax(dim?: Size | readonly Size[], keepdim?: boolean): T;
  /** The smallest element over dimensions; NaN if there is one. Equals share the gradient. */
  amin(options?: { dim?: Size | readonly Size[]; keepdim?: boolean }): T;
  amin(dim?: Size | readonly Size[], keepdim?: boolean): T;
  /** The smallest and the largest element. */
  aminmax(options?: { dim?: Size | null; keepdim?: boolean }): [T, T];
  /** π where self is negative, else 0; NaN stays NaN. */
  angle(): T;
  /** Whether any element is not 0. */
  any(): T;
  any(dim: Size, options?: { keepdim?: boolean }): T;
  any(dim: Size, keepdim?: boolean): T;
  any(options?: { dim?: readonly Size[] | null; keepdim?: boolean }): T;
  any(dim?: readonly Size[] | null, keepdim?: boolean): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  arccos(): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  arccos_(): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  arccosh(): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  arccosh_(): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  arcsin(): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  arcsin_(): T;
  /** The inverse hyperbolic sine. */
  arcsinh(): T;
  /** The inverse hyperbolic sine. */
  arcsinh_(): T;
  /** The inverse tangent. */
  arctan(): T;
  /** The angle of the point (other, self), in (-π, π]. */
  arctan2(other: T | Scalar): T;
  /** The angle of the point (other, self), in (-π, π]. */
  arctan2_(other: T | Scalar): T;
  /** The inverse tangent. */
  arctan_(): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  arctanh(): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  arctanh_(): T;
  /** The index of the largest element along dim, the first of equals; of the flattened tensor if dim is null. */
  argmax(options?: { dim?: Size | null; keepdim?: boolean }): T;
  argmax(dim?: Size | null, keepdim?: boolean): T;
  /** The index of the smallest element along dim, the first of equals; of the flattened tensor if dim is null. */
  argmin(options?: { dim?: Size | null; keepdim?: boolean }): T;
  argmin(dim?: Size | null, keepdim?: boolean): T;
  /** The positions that sort a dimension. */
  argsort(options?: { dim?: Size; descending?: boolean }): T;
  argsort(dim?: Size, descending?: boolean): T;
  argsort(options: { stable: boolean; dim?: Size; descending?: boolean }): T;
  /** The positions of elements that are not 0, [number, dimensions]. */
  argwhere(): T;
  /** A view of self's storage with any shape, strides and offset. */
  asStrided(size: readonly Size[], stride: readonly Size[], options?: { storageOffset?: Size | null }): T;
  asStrided(size: readonly Size[], stride: readonly Size[], storageOffset?: Size | null): T;
  /** A copy of what as_strided() shows. */
  asStridedCopy(size: readonly Size[], stride: readonly Size[], options?: { storageOffset?: Size | null }): T;
  asStridedCopy(size: readonly Size[], stride: readonly Size[], storageOffset?: Size | null): T;
  /** self with src in the place of as_strided(size, stride, storage_offset); self is all of its storage, in order. */
  asStridedPut(src: T | Scalar, size: readonly Size[], stride: readonly Size[], storageOffset: Size): T;
  /** self with src in the place of as_strided(size, stride, storageOffset) in self's storage. */
  asStridedScatter(
    src: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    options?: { storageOffset?: Size | null },
  ): T;
  asStridedScatter(src: T | Scalar, size: readonly Size[], stride: readonly Size[], storageOffset?: Size | null): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  asin(): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  asin_(): T;
  /** The inverse hyperbolic sine. */
  asinh(): T;
  /** The inverse hyperbolic sine. */
  asinh_(): T;
  /** The inverse tangent. */
  atan(): T;
  /** The angle of the point (other, self), in (-π, π]. */
  atan2(other: T | Scalar): T;
  /** The angle of the point (other, self), in (-π, π]. */
  atan2_(other: T | Scalar): T;
  /** The inverse tangent. */
  atan_(): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  atanh(): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  atanh_(): T;
  /** A view with at least 1 dimension. */
  atleast1d(): T;
  /** A view with at least 2 dimensions. */
  atleast2d(): T;
  /** A view with at least 3 dimensions. */
  atleast3d(): T;
  /** The mean of each window over the last dimension; the stride defaults to the kernel size. */
  avgPool1d(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      ceilMode?: boolean;
      countIncludePad?: boolean;
    },
  ): T;
  avgPool1d(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    ceilMode?: boolean,
    countIncludePad?: boolean,
  ): T;
  /** The mean of each window over the last 2 dimensions; the stride defaults to the kernel size. */
  avgPool2d(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      ceilMode?: boolean;
      countIncludePad?: boolean;
      divisorOverride?: Size | null;
    },
  ): T;
  avgPool2d(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    ceilMode?: boolean,
    countIncludePad?: boolean,
    divisorOverride?: Size | null,
  ): T;
  /** The mean of each window over the last 3 dimensions; the stride defaults to the kernel size. */
  avgPool3d(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      ceilMode?: boolean;
      countIncludePad?: boolean;
      divisorOverride?: Size | null;
    },
  ): T;
  avgPool3d(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    ceilMode?: boolean,
    countIncludePad?: boolean,
    divisorOverride?: Size | null,
  ): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  baddbmm(batch1: T | Scalar, batch2: T | Scalar, outDtype: DType, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm_(batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** 1 with the probability that self holds, else 0; from the default generator. */
  bernoulli(options?: { generator?: null | null }): T;
  bernoulli(p: number, options?: { generator?: null | null }): T;
  bernoulli(p: T | Scalar, options?: { generator?: null | null }): T;
  /** Fills self with 1 with probability p, else 0; from the default generator. */
  bernoulli_(options?: { p?: number; generator?: null | null }): T;
  bernoulli_(p?: number, options?: { generator?: null | null }): T;
  bernoulli_(p: T | Scalar, options?: { generator?: null | null }): T;
  /** Cross entropy of probabilities with binary targets. */
  binaryCrossEntropy(target: T | Scalar, options?: { weight?: T | Scalar | null; reduction?: Size }): T;
  binaryCrossEntropy(target: T | Scalar, weight?: T | Scalar | null, reduction?: Size): T;
  /** Cross entropy of sigmoid(self) with binary targets, computed from the logits. */
  binaryCrossEntropyWithLogits(
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; posWeight?: T | Scalar | null; reduction?: Size },
  ): T;
  binaryCrossEntropyWithLogits(
    target: T | Scalar,
    weight?: T | Scalar | null,
    posWeight?: T | Scalar | null,
    reduction?: Size,
  ): T;
  /** How often each of 0, 1, 2, … occurs in a vector; or the sums of their weights. */
  bincount(options?: { weights?: T | Scalar | null; minlength?: Size }): T;
  bincount(weights?: T | Scalar | null, minlength?: Size): T;
  /** Bits that are set in both. */
  bitwiseAnd(other: T | Scalar): T;
  bitwiseAnd(other: Scalar): T;
  /** Bits that are set in both. */
  bitwiseAnd_(other: T | Scalar): T;
  bitwiseAnd_(other: Scalar): T;
  /** Bits moved towards the high end. */
  bitwiseLeftShift(other: T | Scalar): T;
  bitwiseLeftShift(other: Scalar): T;
  /** Bits moved towards the high end. */
  bitwiseLeftShift_(other: T | Scalar): T;
  bitwiseLeftShift_(other: Scalar): T;
  /** All bits inverted; logical negation of bools. */
  bitwiseNot(): T;
  /** All bits inverted; logical negation of bools. */
  bitwiseNot_(): T;
  /** Bits that are set in at least one. */
  bitwiseOr(other: T | Scalar): T;
  bitwiseOr(other: Scalar): T;
  /** Bits that are set in at least one. */
  bitwiseOr_(other: T | Scalar): T;
  bitwiseOr_(other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  bitwiseRightShift(other: T | Scalar): T;
  bitwiseRightShift(other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  bitwiseRightShift_(other: T | Scalar): T;
  bitwiseRightShift_(other: Scalar): T;
  /** Bits that are set in exactly one. */
  bitwiseXor(other: T | Scalar): T;
  bitwiseXor(other: Scalar): T;
  /** Bits that are set in exactly one. */
  bitwiseXor_(other: T | Scalar): T;
  bitwiseXor_(other: Scalar): T;
  /** Products of matrices in a batch, [b, n, k] by [b, k, p]. */
  bmm(mat2: T | Scalar): T;
  bmm(mat2: T | Scalar, outDtype: DType): T;
  /** self expanded to a shape that it broadcasts to. */
  broadcastTo(size: readonly Size[]): T;
  /** The bucket of each value, between sorted boundaries. */
  bucketize(boundaries: T | Scalar, options?: { outInt32?: boolean; right?: boolean }): T;
  /** Numbers of the Cauchy distribution around median with scale sigma, in the shape of self, from the default generator. */
  cauchy(options?: { median?: number; sigma?: number; generator?: null | null }): T;
  cauchy(median?: number, sigma?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers of the Cauchy distribution around median with scale sigma, from the default generator. */
  cauchy_(options?: { median?: number; sigma?: number; generator?: null | null }): T;
  cauchy_(median?: number, sigma?: number, options?: { generator?: null | null }): T;
  /** The smallest integer not below self. */
  ceil(): T;
  /** The smallest integer not below self. */
  ceil_(): T;
  /** x where it is positive, else alpha × (exp(x / alpha) - 1). */
  celu(options?: { alpha?: Scalar }): T;
  celu(alpha?: Scalar): T;
  /** x where it is positive, else alpha × (exp(x / alpha) - 1). */
  celu_(options?: { alpha?: Scalar }): T;
  celu_(alpha?: Scalar): T;
  /** Interleaves groups of channels. */
  channelShuffle(groups: Size): T;
  /** self, if no element is negative or, with sums, infinite or NaN, and each row of the last dimension has a positive sum. */
  checkedWeights(where: string, sums: boolean): T;
  /** The triangular factor of symmetric positive definite matrices. */
  cholesky(options?: { upper?: boolean }): T;
  cholesky(upper?: boolean): T;
  /** The inverse of the matrices whose Cholesky factor is self. */
  choleskyInverse(options?: { upper?: boolean }): T;
  choleskyInverse(upper?: boolean): T;
  /** X with A X = self, where input2 is the Cholesky factor of A. */
  choleskySolve(input2: T | Scalar, options?: { upper?: boolean }): T;
  choleskySolve(input2: T | Scalar, upper?: boolean): T;
  /** At most chunks pieces of equal size along dim; the last may be shorter. */
  chunk(chunks: Size, options?: { dim?: Size }): T[];
  chunk(chunks: Size, dim?: Size): T[];
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clamp(options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clamp(min?: Scalar | null, max?: Scalar | null): T;
  clamp(options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clamp(min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** self, but not above max. */
  clampMax(max: Scalar): T;
  clampMax(max: T | Scalar): T;
  /** self, but not above max. */
  clampMax_(max: Scalar): T;
  clampMax_(max: T | Scalar): T;
  /** self, but not below min. */
  clampMin(min: Scalar): T;
  clampMin(min: T | Scalar): T;
  /** self, but not below min. */
  clampMin_(min: Scalar): T;
  clampMin_(min: T | Scalar): T;
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clamp_(options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clamp_(min?: Scalar | null, max?: Scalar | null): T;
  clamp_(options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clamp_(min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clip(options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clip(min?: Scalar | null, max?: Scalar | null): T;
  clip(options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clip(min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clip_(options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clip_(min?: Scalar | null, max?: Scalar | null): T;
  clip_(options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clip_(min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** A copy, with the same strides where they leave no gaps unless a memory format is given. */
  clone(options?: { memoryFormat?: string | null }): T;
  /** The cofactors of square matrices: the gradient of the determinant, also where it is 0. */
  cofactorMatrix(): T;
  /** Patches added up to the image that they came from. */
  col2im(
    outputSize: Size | readonly Size[],
    kernelSize: Size | readonly Size[],
    dilation: Size | readonly Size[],
    padding: Size | readonly Size[],
    stride: Size | readonly Size[],
  ): T;
  /** All choices of r elements of a vector, in order of position, as rows. */
  combinations(options?: { r?: Size; withReplacement?: boolean }): T;
  combinations(r?: Size, withReplacement?: boolean): T;
  /** The tensor itself: it is real. */
  conj(): T;
  /** The tensor itself: it is real. */
  conjPhysical(): T;
  /** The tensor itself: it is real. */
  conjPhysical_(): T;
  /** self with value around it; negative padding crops. */
  constantPadNd(pad: readonly Size[], options?: { value?: Scalar }): T;
  constantPadNd(pad: readonly Size[], value?: Scalar): T;
  /** self if its elements lie in order, else a copy in which they do. */
  contiguous(options?: { memoryFormat?: string }): T;
  /** Convolution over time of [time, batch, channels] with weights [width, in, out]. */
  convTbc(weight: T | Scalar, bias: T | Scalar, options?: { pad?: Size }): T;
  convTbc(weight: T | Scalar, bias: T | Scalar, pad?: Size): T;
  /** src, broadcast to the shape of self and cast to its dtype. */
  copy(src: T | Scalar, options?: { nonBlocking?: boolean }): T;
  copy(src: T | Scalar, nonBlocking?: boolean): T;
  /** src, broadcast to the shape of self and cast to its dtype. */
  copy_(src: T | Scalar, options?: { nonBlocking?: boolean }): T;
  copy_(src: T | Scalar, nonBlocking?: boolean): T;
  /** The absolute value of self with the sign of other, signed zeros included. */
  copysign(other: T | Scalar): T;
  copysign(other: Scalar): T;
  /** The absolute value of self with the sign of other, signed zeros included. */
  copysign_(other: T | Scalar): T;
  copysign_(other: Scalar): T;
  /** The correlations of rows, between -1 and 1. */
  corrcoef(): T;
  /** The cosine. */
  cos(): T;
  /** The cosine. */
  cos_(): T;
  /** The hyperbolic cosine. */
  cosh(): T;
  /** The hyperbolic cosine. */
  cosh_(): T;
  /** How many elements are not 0. */
  countNonzero(options?: { dim?: Size | null }): T;
  countNonzero(dim?: Size | null): T;
  countNonzero(dim: readonly Size[]): T;
  /** The covariances of rows; a single row gives its variance. */
  cov(options?: { correction?: Size; fweights?: T | Scalar | null; aweights?: T | Scalar | null }): T;
  /** The cross product along dim, by default the first dimension of size 3. */
  cross(other: T | Scalar, options?: { dim?: Size | null }): T;
  cross(other: T | Scalar, dim?: Size | null): T;
  /** Cross entropy of softmax(self) along the classes [N, C, …] with classes [N, …] or probabilities [N, C, …]. */
  crossEntropyLoss(
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size; labelSmoothing?: number },
  ): T;
  crossEntropyLoss(
    target: T | Scalar,
    weight?: T | Scalar | null,
    reduction?: Size,
    ignoreIndex?: Size,
    labelSmoothing?: number,
  ): T;
  /** The largest element so far along dim, and its position. */
  cummax(dim: Size): [T, T];
  /** The smallest element so far along dim, and its position. */
  cummin(dim: Size): [T, T];
  /** Running products along dim; integers multiply in int64. */
  cumprod(dim: Size, options?: { dtype?: DType | null }): T;
  /** Running products along dim; integers multiply in int64. */
  cumprod_(dim: Size, options?: { dtype?: DType | null }): T;
  /** Running sums along dim; integers sum up in int64. */
  cumsum(dim: Size, options?: { dtype?: DType | null }): T;
  /** Running sums along dim; integers sum up in int64. */
  cumsum_(dim: Size, options?: { dtype?: DType | null }): T;
  /** Degrees to radians. */
  deg2rad(): T;
  /** Degrees to radians. */
  deg2rad_(): T;
  /** The determinant of square matrices. */
  det(): T;
  /** A view through which no gradient flows. */
  detach(): T;
  /** A copy of what detach() shows. */
  detachCopy(): T;
  /** The diagonal of a matrix, or a matrix with the given vector on a diagonal. */
  diag(options?: { diagonal?: Size }): T;
  diag(diagonal?: Size): T;
  /** Matrices with the last dimension of self on a diagonal, zeros elsewhere. */
  diagEmbed(options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagEmbed(offset?: Size, dim1?: Size, dim2?: Size): T;
  /** A matrix with the flattened self on a diagonal. */
  diagflat(options?: { offset?: Size }): T;
  diagflat(offset?: Size): T;
  /** The diagonal of two dimensions as last dimension; offset moves it up (positive) or down. */
  diagonal(options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagonal(offset?: Size, dim1?: Size, dim2?: Size): T;
  /** A copy of what diagonal() shows. */
  diagonalCopy(options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagonalCopy(offset?: Size, dim1?: Size, dim2?: Size): T;
  /** self with src in the place of diagonal(offset, dim1, dim2). */
  diagonalScatter(src: T | Scalar, options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagonalScatter(src: T | Scalar, offset?: Size, dim1?: Size, dim2?: Size): T;
  /** The n-th difference of neighbours along dim, with other tensors put before and after first. */
  diff(options?: { n?: Size; dim?: Size; prepend?: T | Scalar | null; append?: T | Scalar | null }): T;
  diff(n?: Size, dim?: Size, prepend?: T | Scalar | null, append?: T | Scalar | null): T;
  /** The derivative of lgamma. */
  digamma(): T;
  /** The derivative of lgamma. */
  digamma_(): T;
  /** The p-norm of self - other over all elements. */
  dist(other: T | Scalar, options?: { p?: Scalar }): T;
  dist(other: T | Scalar, p?: Scalar): T;
  /** self / other, broadcast; integers become the default float. */
  div(other: T | Scalar): T;
  div(other: Scalar): T;
  div(other: T | Scalar, options: { roundingMode: string | null }): T;
  div(other: Scalar, options: { roundingMode: string | null }): T;
  /** self / other, broadcast; integers become the default float. */
  div_(other: T | Scalar): T;
  div_(other: Scalar): T;
  div_(other: T | Scalar, options: { roundingMode: string | null }): T;
  div_(other: Scalar, options: { roundingMode: string | null }): T;
  /** self / other, broadcast; integers become the default float. */
  divide(other: T | Scalar): T;
  divide(other: Scalar): T;
  divide(other: T | Scalar, options: { roundingMode: string | null }): T;
  divide(other: Scalar, options: { roundingMode: string | null }): T;
  /** self / other, broadcast; integers become the default float. */
  divide_(other: T | Scalar): T;
  divide_(other: Scalar): T;
  divide_(other: T | Scalar, options: { roundingMode: string | null }): T;
  divide_(other: Scalar, options: { roundingMode: string | null }): T;
  /** The inner product of two vectors. */
  dot(tensor: T | Scalar): T;
  /** dropout, in place. */
  dropout_(p: number, train: boolean): T;
  /** Equal pieces along one dimension. */
  dsplit(sections: Size): T[];
  dsplit(indices: readonly Size[]): T[];
  /** Eigenvalues [..., n, 2] and eigenvectors [..., n, n, 2] of square matrices, as pairs of real and imaginary parts. */
  eigPairs(): [T, T];
  /** scale × x where x is positive, else scale × alpha × (exp(inputScale × x) - 1). */
  elu(options?: { alpha?: Scalar; scale?: Scalar; inputScale?: Scalar }): T;
  elu(alpha?: Scalar, scale?: Scalar, inputScale?: Scalar): T;
  /** scale × x where x is positive, else scale × alpha × (exp(inputScale × x) - 1). */
  elu_(options?: { alpha?: Scalar; scale?: Scalar; inputScale?: Scalar }): T;
  elu_(alpha?: Scalar, scale?: Scalar, inputScale?: Scalar): T;
  /** self with the rows that indices name scaled so that their norms are at most max_norm. */
  embeddingRenorm(indices: T | Scalar, maxNorm: number, normType: number): T;
  /** self with the rows that indices name scaled so that their norms are at most max_norm. */
  embeddingRenorm_(indices: T | Scalar, maxNorm: number, normType: number): T;
  /** A new tensor like self; its elements are 0. */
  emptyLike(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Whether self equals other, element by element. */
  eq(other: T | Scalar): T;
  eq(other: Scalar): T;
  /** Whether self equals other, element by element. */
  eq_(other: T | Scalar): T;
  eq_(other: Scalar): T;
  /** The error function. */
  erf(): T;
  /** The error function. */
  erf_(): T;
  /** 1 - erf(self), exact for large numbers. */
  erfc(): T;
  /** 1 - erf(self), exact for large numbers. */
  erfc_(): T;
  /** The inverse of erf. */
  erfinv(): T;
  /** The inverse of erf. */
  erfinv_(): T;
  /** e to the power of self. */
  exp(): T;
  /** 2 to the power of self. */
  exp2(): T;
  /** 2 to the power of self. */
  exp2_(): T;
  /** e to the power of self. */
  exp_(): T;
  /** A view in which dimensions of size 1 repeat to the given size, without copying; -1 keeps a size. */
  expand(size: readonly Size[], options?: { implicit?: boolean }): T;
  /** self expanded to the shape of other. */
  expandAs(other: T | Scalar): T;
  /** A copy of what expand() shows. */
  expandCopy(size: readonly Size[], options?: { implicit?: boolean }): T;
  /** exp(self) - 1, exact near 0. */
  expm1(): T;
  /** exp(self) - 1, exact near 0. */
  expm1_(): T;
  /** Numbers exponentially distributed with rate lambd, in the shape of self, from the default generator. */
  exponential(options?: { lambd?: number; generator?: null | null }): T;
  exponential(lambd?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers exponentially distributed with rate lambd, from the default generator. */
  exponential_(options?: { lambd?: number; generator?: null | null }): T;
  exponential_(lambd?: number, options?: { generator?: null | null }): T;
  /** As fake_quantize_per_tensor_affine, with a scale and a zero point for each channel. */
  fakeQuantizePerChannelAffine(scale: T | Scalar, zeroPoint: T | Scalar, axis: Size, quantMin: Size, quantMax: Size): T;
  /** fake_quantize_per_channel_affine, and which elements were inside of the grid. */
  fakeQuantizePerChannelAffineCachemask(
    scale: T | Scalar,
    zeroPoint: T | Scalar,
    axis: Size,
    quantMin: Size,
    quantMax: Size,
  ): [T, T];
  /** Rounds to the grid scale · (q - zero_point) of whole q from quant_min to quant_max; elements stay floats. */
  fakeQuantizePerTensorAffine(scale: number, zeroPoint: Size, quantMin: Size, quantMax: Size): T;
  fakeQuantizePerTensorAffine(scale: T | Scalar, zeroPoint: T | Scalar, quantMin: Size, quantMax: Size): T;
  /** fake_quantize_per_tensor_affine, and which elements were inside of the grid. */
  fakeQuantizePerTensorAffineCachemask(scale: number, zeroPoint: Size, quantMin: Size, quantMax: Size): [T, T];
  /** feature_alpha_dropout, in place. */
  featureAlphaDropout_(p: number, train: boolean): T;
  /** feature_dropout, in place. */
  featureDropout_(p: number, train: boolean): T;
  /** The Fourier transform, along one dimension. */
  fftFft(options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftFft(n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The Fourier transform, along two dimensions. */
  fftFft2(options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null }): T;
  fftFft2(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The Fourier transform, along several dimensions. */
  fftFftn(
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftFftn(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[] | null, norm?: string | null): T;
  /** Moves frequency 0 to the middle of dimensions. */
  fftFftshift(options?: { dim?: Size | readonly Size[] | null }): T;
  fftFftshift(dim?: Size | readonly Size[] | null): T;
  /** The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers, along one dimension. */
  fftHfft(options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftHfft(n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers, along two dimensions. */
  fftHfft2(options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null }): T;
  fftHfft2(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers, along several dimensions. */
  fftHfftn(
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftHfftn(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[] | null, norm?: string | null): T;
  /** The inverse Fourier transform, along one dimension. */
  fftIfft(options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftIfft(n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The inverse Fourier transform, along two dimensions. */
  fftIfft2(options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null }): T;
  fftIfft2(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The inverse Fourier transform, along several dimensions. */
  fftIfftn(
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftIfftn(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[] | null, norm?: string | null): T;
  /** Moves back frequency 0 from the middle of dimensions. */
  fftIfftshift(options?: { dim?: Size | readonly Size[] | null }): T;
  fftIfftshift(dim?: Size | readonly Size[] | null): T;
  /** The inverse of fft_hfft: half of the spectrum of real numbers, conjugated, along one dimension. */
  fftIhfft(options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftIhfft(n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The inverse of fft_hfft: half of the spectrum of real numbers, conjugated, along two dimensions. */
  fftIhfft2(options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null }): T;
  fftIhfft2(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The inverse of fft_hfft: half of the spectrum of real numbers, conjugated, along several dimensions. */
  fftIhfftn(
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftIhfftn(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[] | null, norm?: string | null): T;
  /** The inverse Fourier transform, to real numbers, along one dimension. */
  fftIrfft(options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftIrfft(n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The inverse Fourier transform, to real numbers, along two dimensions. */
  fftIrfft2(options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null }): T;
  fftIrfft2(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The inverse Fourier transform, to real numbers, along several dimensions. */
  fftIrfftn(
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftIrfftn(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[] | null, norm?: string | null): T;
  /** The Fourier transform over dimensions of pairs of real numbers, times a factor. */
  fftPairs(dims: readonly Size[], forward: boolean, scale: number): T;
  /** The Fourier transform of real numbers, half of the spectrum, along one dimension. */
  fftRfft(options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftRfft(n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The Fourier transform of real numbers, half of the spectrum, along two dimensions. */
  fftRfft2(options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null }): T;
  fftRfft2(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The Fourier transform of real numbers, half of the spectrum, along several dimensions. */
  fftRfftn(
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftRfftn(s?: Size | readonly Size[] | null, dim?: Size | readonly Size[] | null, norm?: string | null): T;
  /** A tensor like self in which every element is value. */
  fill(value: Scalar): T;
  fill(value: T | Scalar): T;
  /** self with a number on the main diagonal; with wrap, a tall matrix begins another diagonal after a row's pause. */
  fillDiagonal(fillValue: Scalar, options?: { wrap?: boolean }): T;
  fillDiagonal(fillValue: Scalar, wrap?: boolean): T;
  /** self with a number on the main diagonal; with wrap, a tall matrix begins another diagonal after a row's pause. */
  fillDiagonal_(fillValue: Scalar, options?: { wrap?: boolean }): T;
  fillDiagonal_(fillValue: Scalar, wrap?: boolean): T;
  /** A tensor like self in which every element is value. */
  fill_(value: Scalar): T;
  fill_(value: T | Scalar): T;
  /** self without its fraction, rounded towards 0. */
  fix(): T;
  /** self without its fraction, rounded towards 0. */
  fix_(): T;
  /** Dimensions startDim to endDim joined to one: a view where that is possible, else a copy. */
  flatten(options?: { startDim?: Size; endDim?: Size }): T;
  flatten(startDim?: Size, endDim?: Size): T;
  /** A copy with dimensions in reverse order. */
  flip(dims: readonly Size[]): T;
  /** A copy with dimension 1 in reverse order. */
  fliplr(): T;
  /** A copy with dimension 0 in reverse order. */
  flipud(): T;
  /** The product of matrices of 8-bit floats, of either kind, in float32. */
  float8Product(mat2: T | Scalar): T;
  /** self to the power of exponent, in float64. */
  floatPower(exponent: T | Scalar): T;
  floatPower(exponent: Scalar): T;
  /** self to the power of exponent, in float64. */
  floatPower_(exponent: T | Scalar): T;
  floatPower_(exponent: Scalar): T;
  /** The largest integer not above self. */
  floor(): T;
  /** self / other, rounded down; stays integer for integers. */
  floorDivide(other: T | Scalar): T;
  floorDivide(other: Scalar): T;
  /** self / other, rounded down; stays integer for integers. */
  floorDivide_(other: T | Scalar): T;
  floorDivide_(other: Scalar): T;
  /** The largest integer not above self. */
  floor_(): T;
  /** The larger of self and other; a NaN gives way to a number. */
  fmax(other: T | Scalar): T;
  /** The smaller of self and other; a NaN gives way to a number. */
  fmin(other: T | Scalar): T;
  /** The remainder of division rounded towards 0, with the sign of self: C's fmod. */
  fmod(other: T | Scalar): T;
  fmod(other: Scalar): T;
  /** The remainder of division rounded towards 0, with the sign of self: C's fmod. */
  fmod_(other: T | Scalar): T;
  fmod_(other: Scalar): T;
  /** The fraction: self - trunc(self). */
  frac(): T;
  /** The fraction: self - trunc(self). */
  frac_(): T;
  /** Maxima of windows whose places random_samples chooses, and their positions. */
  fractionalMaxPool2d(
    kernelSize: Size | readonly Size[],
    outputSize: Size | readonly Size[],
    randomSamples: T | Scalar,
  ): [T, T];
  /** Maxima of windows whose places random_samples chooses, and their positions. */
  fractionalMaxPool3d(
    kernelSize: Size | readonly Size[],
    outputSize: Size | readonly Size[],
    randomSamples: T | Scalar,
  ): [T, T];
  /** self as mantissa · 2^exponent, the mantissa between 0.5 and 1 in magnitude. */
  frexp(): [T, T];
  /** The exponent of self for a mantissa between 0.5 and 1. */
  frexpExponent(): T;
  /** The mantissa of self, between 0.5 and 1 in magnitude. */
  frexpMantissa(): T;
  /** The root of the sum of squares over dimensions; over all if dim is empty. */
  frobeniusNorm(dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  frobeniusNorm(dim: Size | readonly Size[], keepdim?: boolean): T;
  /** fillValue in the shape and dtype of self. */
  fullLike(
    fillValue: Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** At each place of index, the element of self at the same place but with the position along dim that index names. */
  gather(dim: Size, index: T | Scalar, options?: { sparseGrad?: boolean }): T;
  /** The greatest common divisor. */
  gcd(other: T | Scalar): T;
  /** The greatest common divisor. */
  gcd_(other: T | Scalar): T;
  /** Whether self is at least other, element by element. */
  ge(other: T | Scalar): T;
  ge(other: Scalar): T;
  /** Whether self is at least other, element by element. */
  ge_(other: T | Scalar): T;
  ge_(other: Scalar): T;
  /** x × Φ(x), exact ("none") or approximated with tanh ("tanh"). */
  gelu(options?: { approximate?: string }): T;
  /** x × Φ(x), exact ("none") or approximated with tanh ("tanh"). */
  gelu_(options?: { approximate?: string }): T;
  /** Numbers of trials until the first success, which has probability p, in the shape of self, from the default generator. */
  geometric(p: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers of trials until the first success, which has probability p, from the default generator. */
  geometric_(p: number, options?: { generator?: null | null }): T;
  /** R in the upper triangle, the reflections that make Q below it, and their scales. */
  geqrf(): [T, T];
  /** The outer product of two vectors. */
  ger(vec2: T | Scalar): T;
  /** The first half along dim, gated by the sigmoid of the second half. */
  glu(options?: { dim?: Size }): T;
  glu(dim?: Size): T;
  /** Derivatives along dimensions, estimated by finite differences. */
  gradient(options?: { spacing?: Scalar | null; dim?: Size | null; edgeOrder?: Size }): T[];
  gradient(options: { spacing: Scalar; dim: readonly Size[]; edgeOrder?: Size }): T[];
  gradient(options: { dim: readonly Size[]; edgeOrder?: Size }): T[];
  gradient(options: { spacing: readonly Scalar[]; dim?: Size | null; edgeOrder?: Size }): T[];
  gradient(options: { spacing: readonly Scalar[]; dim: readonly Size[]; edgeOrder?: Size }): T[];
  gradient(options: { spacing: readonly T[]; dim?: Size | null; edgeOrder?: Size }): T[];
  gradient(options: { spacing: readonly T[]; dim: readonly Size[]; edgeOrder?: Size }): T[];
  /** Whether self is greater than other, element by element. */
  greater(other: T | Scalar): T;
  greater(other: Scalar): T;
  /** Whether self is at least other, element by element. */
  greaterEqual(other: T | Scalar): T;
  greaterEqual(other: Scalar): T;
  /** Whether self is at least other, element by element. */
  greaterEqual_(other: T | Scalar): T;
  greaterEqual_(other: Scalar): T;
  /** Whether self is greater than other, element by element. */
  greater_(other: T | Scalar): T;
  greater_(other: Scalar): T;
  /** Whether self is greater than other, element by element. */
  gt(other: T | Scalar): T;
  gt(other: Scalar): T;
  /** Whether self is greater than other, element by element. */
  gt_(other: T | Scalar): T;
  gt_(other: Scalar): T;
  /** x, but 0 within lambd of 0. */
  hardshrink(options?: { lambd?: Scalar }): T;
  hardshrink(lambd?: Scalar): T;
  /** min(max(x + 3, 0), 6) / 6. */
  hardsigmoid(): T;
  /** min(max(x + 3, 0), 6) / 6. */
  hardsigmoid_(): T;
  /** x × min(max(x + 3, 0), 6) / 6. */
  hardswish(): T;
  /** x × min(max(x + 3, 0), 6) / 6. */
  hardswish_(): T;
  /** min(max(x, minVal), maxVal). */
  hardtanh(options?: { minVal?: Scalar; maxVal?: Scalar }): T;
  hardtanh(minVal?: Scalar, maxVal?: Scalar): T;
  /** min(max(x, minVal), maxVal). */
  hardtanh_(options?: { minVal?: Scalar; maxVal?: Scalar }): T;
  hardtanh_(minVal?: Scalar, maxVal?: Scalar): T;
  /** The exclusive or of the 64 bits of the elements along dimensions, or of all: a checksum that does not depend on their order. */
  hashTensor(options?: { dim?: Size | readonly Size[]; keepdim?: boolean; mode?: Size }): T;
  hashTensor(dim?: Size | readonly Size[], options?: { keepdim?: boolean; mode?: Size }): T;
  /** 0 where self is negative, 1 where it is positive, values where it is 0. */
  heaviside(values: T | Scalar): T;
  /** 0 where self is negative, 1 where it is positive, values where it is 0. */
  heaviside_(values: T | Scalar): T;
  /** self where target is 1, max(0, margin - self) where it is -1. */
  hingeEmbeddingLoss(target: T | Scalar, options?: { margin?: number; reduction?: Size }): T;
  hingeEmbeddingLoss(target: T | Scalar, margin?: number, reduction?: Size): T;
  /** How many elements fall into each of bins equal parts of [min, max]; of the elements' own range if both are equal. */
  histc(options?: { bins?: Size; min?: Scalar; max?: Scalar }): T;
  histc(bins?: Size, min?: Scalar, max?: Scalar): T;
  /** How many elements fall into each of bins equal parts of a range, and the edges of the parts. */
  histogram(
    options?: { bins?: Size; range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): [T, T];
  histogram(
    bins?: Size,
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): [T, T];
  histogram(bins: T | Scalar, options?: { weight?: T | Scalar | null; density?: boolean }): [T, T];
  /** How many points fall into each of equal bins in several dimensions, and then the edges of each dimension. */
  histogramdd(
    bins: readonly Size[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  histogramdd(
    bins: readonly Size[],
    range?: readonly number[] | null,
    weight?: T | Scalar | null,
    density?: boolean,
  ): T[];
  histogramdd(
    bins: Size,
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  histogramdd(bins: Size, range?: readonly number[] | null, weight?: T | Scalar | null, density?: boolean): T[];
  histogramdd(
    bins: readonly T[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  histogramdd(bins: readonly T[], range?: readonly number[] | null, weight?: T | Scalar | null, density?: boolean): T[];
  /** Equal pieces along one dimension. */
  hsplit(sections: Size): T[];
  hsplit(indices: readonly Size[]): T[];
  /** Half the square where the difference is below delta, linear beyond. */
  huberLoss(target: T | Scalar, options?: { reduction?: Size; delta?: number }): T;
  huberLoss(target: T | Scalar, reduction?: Size, delta?: number): T;
  /** The length of the vector (self, other). */
  hypot(other: T | Scalar): T;
  /** The length of the vector (self, other). */
  hypot_(other: T | Scalar): T;
  /** The modified Bessel function of the first kind of order 0. */
  i0(): T;
  /** The modified Bessel function of the first kind of order 0. */
  i0_(): T;
  /** The regularised lower incomplete gamma function of self at other. */
  igamma(other: T | Scalar): T;
  /** The regularised lower incomplete gamma function of self at other. */
  igamma_(other: T | Scalar): T;
  /** The regularised upper incomplete gamma function of self at other. */
  igammac(other: T | Scalar): T;
  /** The regularised upper incomplete gamma function of self at other. */
  igammac_(other: T | Scalar): T;
  /** The patches of an image as columns: [batch, channels · kernel, patches]. */
  im2col(
    kernelSize: Size | readonly Size[],
    dilation: Size | readonly Size[],
    padding: Size | readonly Size[],
    stride: Size | readonly Size[],
  ): T;
  /** The imaginary parts of a complex tensor, a view. */
  imag(): T;
  /** self at the positions that index tensors name, broadcast together; null takes a whole dimension, a mask selects where it holds. */
  index(indices: readonly (T | null)[]): T;
  /** self with alpha times slices of source added at the positions of index along dim. */
  indexAdd(dim: Size, index: T | Scalar, source: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self with alpha times slices of source added at the positions of index along dim. */
  indexAdd_(dim: Size, index: T | Scalar, source: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self with slices of source written at the positions of index along dim. */
  indexCopy(dim: Size, index: T | Scalar, source: T | Scalar): T;
  /** self with slices of source written at the positions of index along dim. */
  indexCopy_(dim: Size, index: T | Scalar, source: T | Scalar): T;
  /** self with a number written at the positions of index along dim. */
  indexFill(dim: Size, index: T | Scalar, value: Scalar): T;
  indexFill(dim: Size, index: T | Scalar, value: T | Scalar): T;
  /** self with a number written at the positions of index along dim. */
  indexFill_(dim: Size, index: T | Scalar, value: Scalar): T;
  indexFill_(dim: Size, index: T | Scalar, value: T | Scalar): T;
  /** index() by integers only. */
  indexPositions(indices: readonly (T | null)[]): T;
  /** self with values written (or added) at lists of indices, one tensor or None for each dimension. */
  indexPut(indices: readonly (T | null)[], values: T | Scalar, options?: { accumulate?: boolean }): T;
  indexPut(indices: readonly (T | null)[], values: T | Scalar, accumulate?: boolean): T;
  /** self with values written (or added) at lists of indices, one tensor or None for each dimension. */
  indexPut_(indices: readonly (T | null)[], values: T | Scalar, options?: { accumulate?: boolean }): T;
  indexPut_(indices: readonly (T | null)[], values: T | Scalar, accumulate?: boolean): T;
  /** Combines slices of source into self by prod, mean, amax or amin. */
  indexReduce(dim: Size, index: T | Scalar, source: T | Scalar, reduce: string, options?: { includeSelf?: boolean }): T;
  /** Combines slices of source into self by prod, mean, amax or amin. */
  indexReduce_(
    dim: Size,
    index: T | Scalar,
    source: T | Scalar,
    reduce: string,
    options?: { includeSelf?: boolean },
  ): T;
  /** The slices of self along dim that index names, in its order. */
  indexSelect(dim: Size, index: T | Scalar): T;
  /** Sums products over the last dimension of both tensors. */
  inner(other: T | Scalar): T;
  /** The inverse of square matrices. */
  inverse(): T;
  /** Whether the number of a tensor of one element is not 0. Reads data, as item does. */
  isNonzero(): boolean;
  /** Whether two tensors have one shape. */
  isSameSize(other: T | Scalar): boolean;
  /** Whether |self - other| ≤ atol + rtol × |other|, or both are the same infinity. */
  isclose(other: T | Scalar, options?: { rtol?: number; atol?: number; equalNan?: boolean }): T;
  isclose(other: T | Scalar, rtol?: number, atol?: number, equalNan?: boolean): T;
  /** Whether an element is neither infinite nor NaN. */
  isfinite(): T;
  /** Whether an element is infinite. */
  isinf(): T;
  /** Whether an element is NaN. */
  isnan(): T;
  /** Whether an element is -∞. */
  isneginf(): T;
  /** Whether an element is +∞. */
  isposinf(): T;
  /** Whether an element has no imaginary part: always, for real tensors. */
  isreal(): T;
  /** The signal whose short-time Fourier transform self is, by least squares. */
  istft(
    nFft: Size,
    options?: {
      hopLength?: Size | null;
      winLength?: Size | null;
      window?: T | Scalar | null;
      center?: boolean;
      normalized?: boolean;
      onesided?: boolean | null;
      length?: Size | null;
      returnComplex?: boolean;
    },
  ): T;
  istft(
    nFft: Size,
    hopLength?: Size | null,
    winLength?: Size | null,
    window?: T | Scalar | null,
    center?: boolean,
    normalized?: boolean,
    onesided?: boolean | null,
    length?: Size | null,
    returnComplex?: boolean,
  ): T;
  /** target · (log(target) - self), where self holds logarithms of probabilities. */
  klDiv(target: T | Scalar, options?: { reduction?: Size; logTarget?: boolean }): T;
  klDiv(target: T | Scalar, reduction?: Size, options?: { logTarget?: boolean }): T;
  /** The Kronecker product. */
  kron(other: T | Scalar): T;
  /** The k-th smallest element along a dimension (1 is the smallest), and its position. */
  kthvalue(k: Size, options?: { dim?: Size; keepdim?: boolean }): [T, T];
  kthvalue(k: Size, dim?: Size, keepdim?: boolean): [T, T];
  /** The absolute difference, averaged unless asked otherwise. */
  l1Loss(target: T | Scalar, options?: { reduction?: Size }): T;
  l1Loss(target: T | Scalar, reduction?: Size): T;
  /** The least common multiple. */
  lcm(other: T | Scalar): T;
  /** The least common multiple. */
  lcm_(other: T | Scalar): T;
  /** self · 2^other. */
  ldexp(other: T | Scalar): T;
  /** self · 2^other. */
  ldexp_(other: T | Scalar): T;
  /** Whether self is at most other, element by element. */
  le(other: T | Scalar): T;
  le(other: Scalar): T;
  /** Whether self is at most other, element by element. */
  le_(other: T | Scalar): T;
  le_(other: Scalar): T;
  /** x where it is positive, else negativeSlope × x. */
  leakyRelu(options?: { negativeSlope?: Scalar }): T;
  leakyRelu(negativeSlope?: Scalar): T;
  /** x where it is positive, else negativeSlope × x. */
  leakyRelu_(options?: { negativeSlope?: Scalar }): T;
  leakyRelu_(negativeSlope?: Scalar): T;
  /** self + weight × (end - self). */
  lerp(end: T | Scalar, weight: Scalar): T;
  lerp(end: T | Scalar, weight: T | Scalar): T;
  /** self + weight × (end - self). */
  lerp_(end: T | Scalar, weight: Scalar): T;
  lerp_(end: T | Scalar, weight: T | Scalar): T;
  /** Whether self is less than other, element by element. */
  less(other: T | Scalar): T;
  less(other: Scalar): T;
  /** Whether self is at most other, element by element. */
  lessEqual(other: T | Scalar): T;
  lessEqual(other: Scalar): T;
  /** Whether self is at most other, element by element. */
  lessEqual_(other: T | Scalar): T;
  lessEqual_(other: Scalar): T;
  /** Whether self is less than other, element by element. */
  less_(other: T | Scalar): T;
  less_(other: Scalar): T;
  /** The logarithm of the absolute value of the gamma function. */
  lgamma(): T;
  /** The logarithm of the absolute value of the gamma function. */
  lgamma_(): T;
  /** A fresh copy of a constant of the program. */
  liftFresh(): T;
  /** A fresh copy of a constant of the program. */
  liftFreshCopy(): T;
  /** The triangular factor of symmetric positive definite matrices. */
  linalgCholesky(options?: { upper?: boolean }): T;
  /** The triangular factor of symmetric positive definite matrices, and for each the first minor that is not positive. */
  linalgCholeskyEx(options?: { upper?: boolean; checkErrors?: boolean }): [T, T];
  /** The condition of matrices in the p-norm, by default the ratio of the extreme singular values. */
  linalgCond(options?: { p?: Scalar | null }): T;
  linalgCond(p?: Scalar | null): T;
  linalgCond(p: string): T;
  /** The cross product of vectors of 3 elements along dim. */
  linalgCross(other: T | Scalar, options?: { dim?: Size }): T;
  /** Eigenvalues and eigenvectors (columns) of square matrices, complex; the order is open. */
  linalgEig(): [T, T];
  /** Eigenvalues (ascending) and eigenvectors (columns) of symmetric matrices, of which one half is read. */
  linalgEigh(options?: { UPLO?: string }): [T, T];
  linalgEigh(UPLO?: string): [T, T];
  /** Eigenvalues of square matrices, complex; the order is open. */
  linalgEigvals(): T;
  /** Eigenvalues of symmetric matrices, ascending. */
  linalgEigvalsh(options?: { UPLO?: string }): T;
  linalgEigvalsh(UPLO?: string): T;
  /** A = P L D Lᵀ Pᵀ of symmetric matrices, of which the lower half is read. Raises where D is singular. */
  linalgLdlFactor(options?: { hermitian?: boolean }): [T, T];
  /** A = P L D Lᵀ Pᵀ of symmetric matrices, of which the lower half is read; D has blocks of 1 or 2. Pivots as LAPACK writes them. */
  linalgLdlFactorEx(options?: { hermitian?: boolean; checkErrors?: boolean }): [T, T, T];
  /** The X of least norm that makes |self X - b| least, the squared distances, ranks, and singular values. */
  linalgLstsq(b: T | Scalar, options?: { rcond?: number | null; driver?: string | null }): [T, T, T, T];
  linalgLstsq(b: T | Scalar, rcond?: number | null, options?: { driver?: string | null }): [T, T, T, T];
  /** The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns. */
  linalgMatmul(other: T | Scalar): T;
  /** The exponential of square matrices. */
  linalgMatrixExp(): T;
  /** The norm of matrices: largest sums of rows or columns, singular values, or all elements. */
  linalgMatrixNorm(ord: Scalar, options?: { dim?: readonly Size[]; keepdim?: boolean; dtype?: DType | null }): T;
  linalgMatrixNorm(ord: Scalar, dim?: readonly Size[], keepdim?: boolean, options?: { dtype?: DType | null }): T;
  linalgMatrixNorm(options?: { ord?: string; dim?: readonly Size[]; keepdim?: boolean; dtype?: DType | null }): T;
  linalgMatrixNorm(ord?: string, dim?: readonly Size[], keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** The n-th power of square matrices; a negative one is of the inverse. */
  linalgMatrixPower(n: Size): T;
  /** The number of singular values above tol. */
  linalgMatrixRank(tol: number, options?: { hermitian?: boolean }): T;
  linalgMatrixRank(tol: number, hermitian?: boolean): T;
  linalgMatrixRank(options?: { atol?: number | null; rtol?: number | null; hermitian?: boolean }): T;
  /** The norm of a vector or a matrix; without an order the vector norm of all elements. */
  linalgNorm(
    options?: { ord?: Scalar | null; dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgNorm(
    ord?: Scalar | null,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  linalgNorm(
    ord: string,
    options?: { dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgNorm(
    ord: string,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The pseudo-inverse; singular values up to rcond times the largest count as 0. */
  linalgPinv(rcond: number, options?: { hermitian?: boolean }): T;
  linalgPinv(rcond: number, hermitian?: boolean): T;
  linalgPinv(options?: { atol?: number | null; rtol?: number | null; hermitian?: boolean }): T;
  linalgPinv(options?: { atol?: T | Scalar | null; rtol?: T | Scalar | null; hermitian?: boolean }): T;
  /** X with self X = B (or, not left, X self = B) for triangular self. */
  linalgSolveTriangular(B: T | Scalar, options: { upper: boolean; left?: boolean; unitriangular?: boolean }): T;
  /** The inverse of self as a map from its last dimensions to its first ind ones. */
  linalgTensorinv(options?: { ind?: Size }): T;
  linalgTensorinv(ind?: Size): T;
  /** X with tensordot(self, X) = other; dims of self are moved to its end first. */
  linalgTensorsolve(other: T | Scalar, options?: { dims?: readonly Size[] | null }): T;
  linalgTensorsolve(other: T | Scalar, dims?: readonly Size[] | null): T;
  /** The vector norm over dimensions, (Σ |x|^p)^(1/p); the largest |x| for ∞, the number of elements that are not 0 for 0. */
  linalgVectorNorm(
    options?: { ord?: Scalar; dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgVectorNorm(
    ord?: Scalar,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The sum of powers of absolute values: the vector norm without its root. */
  linalg__powsum(
    options?: { ord?: Scalar; dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalg__powsum(
    ord?: Scalar,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The natural logarithm. */
  log(): T;
  /** The logarithm to base 10. */
  log10(): T;
  /** The logarithm to base 10. */
  log10_(): T;
  /** log(1 + self), exact near 0. */
  log1p(): T;
  /** log(1 + self), exact near 0. */
  log1p_(): T;
  /** The logarithm to base 2. */
  log2(): T;
  /** The logarithm to base 2. */
  log2_(): T;
  /** Numbers whose logarithms are normally distributed, in the shape of self, from the default generator. */
  logNormal(options?: { mean?: number; std?: number; generator?: null | null }): T;
  logNormal(mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers whose logarithms are normally distributed, from the default generator. */
  logNormal_(options?: { mean?: number; std?: number; generator?: null | null }): T;
  logNormal_(mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** log(sigmoid(x)), without overflow. */
  logSigmoid(): T;
  /** log_sigmoid, and an empty buffer. */
  logSigmoidForward(): [T, T];
  /** The logarithm of softmax, without its overflow. */
  logSoftmax(dim: Size, options?: { dtype?: DType | null }): T;
  logSoftmax(dim: Size, dtype?: DType | null): T;
  /** The natural logarithm. */
  log_(): T;
  /** log(exp(self) + exp(other)), without overflow. */
  logaddexp(other: T | Scalar): T;
  /** log2(2^self + 2^other), without overflow. */
  logaddexp2(other: T | Scalar): T;
  /** log of the running sums of exp(self) along dim, without overflow. */
  logcumsumexp(dim: Size): T;
  /** The logarithm of the determinant; NaN where that is negative. */
  logdet(): T;
  /** Whether both are not 0. */
  logicalAnd(other: T | Scalar): T;
  /** Whether both are not 0. */
  logicalAnd_(other: T | Scalar): T;
  /** Whether an element is 0. */
  logicalNot(): T;
  /** Whether an element is 0. */
  logicalNot_(): T;
  /** Whether at least one is not 0. */
  logicalOr(other: T | Scalar): T;
  /** Whether at least one is not 0. */
  logicalOr_(other: T | Scalar): T;
  /** Whether exactly one is not 0. */
  logicalXor(other: T | Scalar): T;
  /** Whether exactly one is not 0. */
  logicalXor_(other: T | Scalar): T;
  /** log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null. */
  logit(options?: { eps?: number | null }): T;
  logit(eps?: number | null): T;
  /** log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null. */
  logit_(options?: { eps?: number | null }): T;
  logit_(eps?: number | null): T;
  /** log(Σ exp(self)) over dimensions, without overflow. */
  logsumexp(dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  logsumexp(dim: Size | readonly Size[], keepdim?: boolean): T;
  /** Whether self is less than other, element by element. */
  lt(other: T | Scalar): T;
  lt(other: Scalar): T;
  /** Whether self is less than other, element by element. */
  lt_(other: T | Scalar): T;
  lt_(other: Scalar): T;
  /** X with A X = self, from the factors of A. */
  luSolve(LUData: T | Scalar, LUPivots: T | Scalar): T;
  /** Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view. */
  mH(): T;
  /** A view with the last two dimensions exchanged: matrices transposed. */
  mT(): T;
  /** value where the mask holds, else self. */
  maskedFill(mask: T | Scalar, value: Scalar): T;
  maskedFill(mask: T | Scalar, value: T | Scalar): T;
  /** value where the mask holds, else self. */
  maskedFill_(mask: T | Scalar, value: Scalar): T;
  maskedFill_(mask: T | Scalar, value: T | Scalar): T;
  /** self, with the elements of source in order where mask holds. */
  maskedScatter(mask: T | Scalar, source: T | Scalar): T;
  /** self, with the elements of source in order where mask holds. */
  maskedScatter_(mask: T | Scalar, source: T | Scalar): T;
  /** The elements where a mask holds, as a vector; both broadcast. */
  maskedSelect(mask: T | Scalar): T;
  /** The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns. */
  matmul(other: T | Scalar): T;
  /** The exponential of square matrices. */
  matrixExp(): T;
  /** Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view. */
  matrixH(): T;
  /** The n-th power of square matrices; a negative one is of the inverse. */
  matrixPower(n: Size): T;
  /** The largest element; NaN if there is one. Equals share the gradient. */
  max(): T;
  max(dim: Size, options?: { keepdim?: boolean }): [T, T];
  max(dim: Size, keepdim?: boolean): [T, T];
  max(other: T | Scalar): T;
  /** The maximum of each window over the last dimension; the stride defaults to the kernel size. */
  maxPool1d(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): T;
  maxPool1d(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): T;
  /** max_pool1d, and the flat position of each maximum in its row. */
  maxPool1dWithIndices(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): [T, T];
  maxPool1dWithIndices(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): [T, T];
  /** The maximum of each window over the last 2 dimensions; the stride defaults to the kernel size. */
  maxPool2d(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): T;
  maxPool2d(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): T;
  /** max_pool2d, and the flat position of each maximum in its plane. */
  maxPool2dWithIndices(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): [T, T];
  maxPool2dWithIndices(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): [T, T];
  /** The maximum of each window over the last 3 dimensions; the stride defaults to the kernel size. */
  maxPool3d(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): T;
  maxPool3d(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): T;
  /** max_pool3d, and the flat position of each maximum in its plane. */
  maxPool3dWithIndices(
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): [T, T];
  maxPool3dWithIndices(
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): [T, T];
  /** Puts values at the flat positions that max pooling gave; zeros elsewhere. */
  maxUnpool2d(indices: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** Puts values at the flat positions that max pooling gave; zeros elsewhere. */
  maxUnpool3d(
    indices: T | Scalar,
    outputSize: Size | readonly Size[],
    stride: Size | readonly Size[],
    padding: Size | readonly Size[],
  ): T;
  /** The larger of self and other; NaN if either is. */
  maximum(other: T | Scalar): T;
  /** The mean of all elements. */
  mean(options?: { dtype?: DType | null }): T;
  mean(dim: Size | readonly Size[] | null, options?: { keepdim?: boolean; dtype?: DType | null }): T;
  mean(dim: Size | readonly Size[] | null, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** The lower median along a dimension and its position; NaN if there is one. */
  median(dim: Size, options?: { keepdim?: boolean }): [T, T];
  median(dim: Size, keepdim?: boolean): [T, T];
  median(): T;
  /** The smallest element; NaN if there is one. Equals share the gradient. */
  min(): T;
  min(dim: Size, options?: { keepdim?: boolean }): [T, T];
  min(dim: Size, keepdim?: boolean): [T, T];
  min(other: T | Scalar): T;
  /** The smaller of self and other; NaN if either is. */
  minimum(other: T | Scalar): T;
  /** x × tanh(log(1 + exp(x))). */
  mish(): T;
  /** x × tanh(log(1 + exp(x))). */
  mish_(): T;
  /** The product of two matrices, [n, k] by [k, p]. */
  mm(mat2: T | Scalar): T;
  mm(mat2: T | Scalar, outDtype: DType): T;
  /** The most frequent element along a dimension (the smallest of several) and a position of it. */
  mode(options?: { dim?: Size; keepdim?: boolean }): [T, T];
  mode(dim?: Size, keepdim?: boolean): [T, T];
  /** A view with dimensions moved to other positions; the others keep their order. */
  moveaxis(source: readonly Size[], destination: readonly Size[]): T;
  moveaxis(source: Size, destination: Size): T;
  /** A view with dimensions moved to other positions; the others keep their order. */
  movedim(source: readonly Size[], destination: readonly Size[]): T;
  movedim(source: Size, destination: Size): T;
  /** The squared difference, averaged unless asked otherwise. */
  mseLoss(target: T | Scalar, options?: { reduction?: Size }): T;
  mseLoss(target: T | Scalar, reduction?: Size): T;
  /** Sorts along the first dimension. */
  msort(): T;
  /** self × other, broadcast. */
  mul(other: T | Scalar): T;
  mul(other: Scalar): T;
  /** self × other, broadcast. */
  mul_(other: T | Scalar): T;
  mul_(other: Scalar): T;
  /** The mean over the wrong classes of max(0, margin - self[target] + self[class])^p, weighted by the right class. */
  multiMarginLoss(
    target: T | Scalar,
    options?: { p?: Scalar; margin?: Scalar; weight?: T | Scalar | null; reduction?: Size },
  ): T;
  multiMarginLoss(target: T | Scalar, p?: Scalar, margin?: Scalar, weight?: T | Scalar | null, reduction?: Size): T;
  /** The mean over classes of max(0, 1 - self[target] + self[other]), for all targets before the first -1. */
  multilabelMarginLoss(target: T | Scalar, options?: { reduction?: Size }): T;
  multilabelMarginLoss(target: T | Scalar, reduction?: Size): T;
  /** multilabel_margin_loss and which classes are targets. */
  multilabelMarginLossForward(target: T | Scalar, reduction: Size): [T, T];
  /** Categories drawn with probabilities in proportion to self, a vector or rows; with or without replacement. */
  multinomial(numSamples: Size, options?: { replacement?: boolean; generator?: null | null }): T;
  multinomial(numSamples: Size, replacement?: boolean, options?: { generator?: null | null }): T;
  /** self × other, broadcast. */
  multiply(other: T | Scalar): T;
  multiply(other: Scalar): T;
  /** self × other, broadcast. */
  multiply_(other: T | Scalar): T;
  multiply_(other: Scalar): T;
  /** A matrix times a vector. */
  mv(vec: T | Scalar): T;
  /** The logarithm of the multivariate gamma function of dimension p. */
  mvlgamma(p: Size): T;
  /** The logarithm of the multivariate gamma function of dimension p. */
  mvlgamma_(p: Size): T;
  /** self with NaN and infinities replaced: by 0, the largest and the smallest number of the dtype unless told otherwise. */
  nanToNum(options?: { nan?: number | null; posinf?: number | null; neginf?: number | null }): T;
  nanToNum(nan?: number | null, posinf?: number | null, neginf?: number | null): T;
  /** self with NaN and infinities replaced: by 0, the largest and the smallest number of the dtype unless told otherwise. */
  nanToNum_(options?: { nan?: number | null; posinf?: number | null; neginf?: number | null }): T;
  nanToNum_(nan?: number | null, posinf?: number | null, neginf?: number | null): T;
  /** The mean over dimensions of what is not NaN. */
  nanmean(options?: { dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null }): T;
  nanmean(dim?: Size | readonly Size[] | null, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** The lower median along a dimension and its position, without NaN. */
  nanmedian(dim: Size, options?: { keepdim?: boolean }): [T, T];
  nanmedian(dim: Size, keepdim?: boolean): [T, T];
  nanmedian(): T;
  /** The q-quantile along dim, interpolated between neighbours; NaN is left out. */
  nanquantile(q: T | Scalar, options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string }): T;
  nanquantile(q: T | Scalar, dim?: Size | null, keepdim?: boolean, options?: { interpolation?: string }): T;
  nanquantile(q: number, options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string }): T;
  nanquantile(q: number, dim?: Size | null, keepdim?: boolean, options?: { interpolation?: string }): T;
  /** The sum over dimensions, NaN counted as 0. */
  nansum(options?: { dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null }): T;
  nansum(dim?: Size | readonly Size[] | null, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** length elements of dimension dim from start on. */
  narrow(dim: Size, start: Size, length: Size): T;
  narrow(dim: Size, start: T | Scalar, length: Size): T;
  /** A copy of what narrow() shows. */
  narrowCopy(dim: Size, start: Size, length: Size): T;
  /** Whether self differs from other, element by element. */
  ne(other: T | Scalar): T;
  ne(other: Scalar): T;
  /** Whether self differs from other, element by element. */
  ne_(other: T | Scalar): T;
  ne_(other: Scalar): T;
  /** -self. */
  neg(): T;
  /** -self. */
  neg_(): T;
  /** -self. */
  negative(): T;
  /** -self. */
  negative_(): T;
  /** empty of the given size, in the dtype and on the device of self. */
  newEmpty(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** A new tensor with the given strides, in the dtype and on the device of self; its elements are 0. */
  newEmptyStrided(
    size: readonly Size[],
    stride: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** fillValue in the given size, in the dtype and on the device of self. */
  newFull(
    size: readonly Size[],
    fillValue: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** ones of the given size, in the dtype and on the device of self. */
  newOnes(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** zeros of the given size, in the dtype and on the device of self. */
  newZeros(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The number next to self in the direction of other. */
  nextafter(other: T | Scalar): T;
  /** The number next to self in the direction of other. */
  nextafter_(other: T | Scalar): T;
  /** nll_loss_nd for input [N, C] or [C]. */
  nllLoss(target: T | Scalar, options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size }): T;
  nllLoss(target: T | Scalar, weight?: T | Scalar | null, reduction?: Size, ignoreIndex?: Size): T;
  /** nll_loss_nd for images, [N, C, H, W]. */
  nllLoss2d(target: T | Scalar, options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size }): T;
  nllLoss2d(target: T | Scalar, weight?: T | Scalar | null, reduction?: Size, ignoreIndex?: Size): T;
  /** nll_loss and the total weight that a mean divides by. */
  nllLoss2dForward(target: T | Scalar, weight: T | Scalar | null, reduction: Size, ignoreIndex: Size): [T, T];
  /** nll_loss and the total weight that a mean divides by. */
  nllLossForward(target: T | Scalar, weight: T | Scalar | null, reduction: Size, ignoreIndex: Size): [T, T];
  /** Minus the log-probability of the target class; input [N, C, …] holds logarithms of probabilities. */
  nllLossNd(target: T | Scalar, options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size }): T;
  nllLossNd(target: T | Scalar, weight?: T | Scalar | null, reduction?: Size, ignoreIndex?: Size): T;
  /** The positions of elements that are not 0, [number, dimensions], in row-major order. */
  nonzero(): T;
  /** The positions of elements that are not 0, one vector a dimension. */
  nonzeroNumpy(): T[];
  /** The positions of the first `size` elements that are not 0, [size, dimensions]; rows beyond them hold fill_value. */
  nonzeroStatic(options: { size: Size; fillValue?: Size }): T;
  /** The vector norm over dimensions, (Σ |x|^p)^(1/p); the largest |x| for ∞, the number of elements that are not 0 for 0. */
  norm(options?: { p?: Scalar }): T;
  norm(p?: Scalar): T;
  norm(p: Scalar | null, dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  norm(p: Scalar | null, dim: Size | readonly Size[], keepdim?: boolean): T;
  norm(p: Scalar | null, dim: Size | readonly Size[], keepdim: boolean, options: { dtype: DType }): T;
  norm(p: Scalar | null, options: { dtype: DType }): T;
  /** Normally distributed numbers in the shape of self, from the default generator. */
  normalFunctional(options?: { mean?: number; std?: number; generator?: null | null }): T;
  normalFunctional(mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** Fills self with normally distributed numbers, from the default generator. */
  normal_(options?: { mean?: number; std?: number; generator?: null | null }): T;
  normal_(mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** Whether self differs from other, element by element. */
  notEqual(other: T | Scalar): T;
  notEqual(other: Scalar): T;
  /** Whether self differs from other, element by element. */
  notEqual_(other: T | Scalar): T;
  notEqual_(other: Scalar): T;
  /** The sum of singular values. */
  nuclearNorm(options?: { keepdim?: boolean }): T;
  nuclearNorm(keepdim?: boolean): T;
  nuclearNorm(dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  nuclearNorm(dim: Size | readonly Size[], keepdim?: boolean): T;
  /** A view with all dimensions in reverse order: PyTorch's x.T. */
  numpyT(): T;
  /** A new last dimension with a 1 at the class that self names. numClasses must be given: it decides the shape. */
  oneHot(options?: { numClasses?: Size }): T;
  oneHot(numClasses?: Size): T;
  /** ones in the shape and dtype of self. */
  onesLike(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Another name of linalg_householder_product. */
  orgqr(input2: T | Scalar): T;
  /** Q C, Qᵀ C, C Q or C Qᵀ, where self and input2 are the reflections and scales of Q and input3 is C. */
  ormqr(input2: T | Scalar, input3: T | Scalar, options?: { left?: boolean; transpose?: boolean }): T;
  ormqr(input2: T | Scalar, input3: T | Scalar, left?: boolean, transpose?: boolean): T;
  /** The outer product of two vectors. */
  outer(vec2: T | Scalar): T;
  /** self padded by mode: "constant" (with value), "reflect", "replicate" or "circular". */
  pad(pad: readonly Size[], options?: { mode?: string; value?: number | null }): T;
  pad(pad: readonly Size[], mode?: string, value?: number | null): T;
  /** The p-norm distances of all pairs of rows, as a vector: (0, 1), (0, 2), …, (1, 2), …. */
  pdist(options?: { p?: number }): T;
  pdist(p?: number): T;
  /** A view whose dimension i is dimension dims[i] of self. */
  permute(dims: readonly Size[]): T;
  /** A copy of what permute() shows. */
  permuteCopy(dims: readonly Size[]): T;
  /** The pseudo-inverse. */
  pinverse(options?: { rcond?: number }): T;
  pinverse(rcond?: number): T;
  /** [..., C·r², H, W] to [..., C, H·r, W·r]. */
  pixelShuffle(upscaleFactor: Size): T;
  /** [..., C, H·r, W·r] to [..., C·r², H, W]. */
  pixelUnshuffle(downscaleFactor: Size): T;
  /** Counts of the Poisson distribution with the given rates, from the default generator. */
  poisson(options?: { generator?: null | null }): T;
  poisson(generator?: null | null): T;
  /** The n-th derivative of digamma. */
  polygamma_(n: Size): T;
  /** +self: the tensor itself. */
  positive(): T;
  /** +self: the tensor itself. */
  positive_(): T;
  /** self to the power of exponent. */
  pow(exponent: Scalar): T;
  pow(exponent: T | Scalar): T;
  /** self to the power of exponent. */
  pow_(exponent: Scalar): T;
  pow_(exponent: T | Scalar): T;
  /** x where it is positive, else weight × x, with one weight or one for each channel (dimension 1). */
  prelu(weight: T | Scalar): T;
  /** The product of all elements. */
  prod(options?: { dtype?: DType | null }): T;
  prod(dim: Size, options?: { keepdim?: boolean; dtype?: DType | null }): T;
  prod(dim: Size, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** The pseudo-inverse; singular values up to max(atol, rtol · largest) count as 0. One tolerance, or one a matrix. */
  pseudoInverse(atol: T | Scalar, rtol: T | Scalar): T;
  /** self with elements of source written (or added) at flat positions. */
  put(index: T | Scalar, source: T | Scalar, options?: { accumulate?: boolean }): T;
  put(index: T | Scalar, source: T | Scalar, accumulate?: boolean): T;
  /** self with elements of source written (or added) at flat positions. */
  put_(index: T | Scalar, source: T | Scalar, options?: { accumulate?: boolean }): T;
  put_(index: T | Scalar, source: T | Scalar, accumulate?: boolean): T;
  /** A = Q R, reduced or complete. */
  qr(options?: { some?: boolean }): [T, T];
  qr(some?: boolean): [T, T];
  /** The q-quantile along dim, interpolated between neighbours. */
  quantile(q: T | Scalar, options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string }): T;
  quantile(q: T | Scalar, dim?: Size | null, keepdim?: boolean, options?: { interpolation?: string }): T;
  quantile(q: number, options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string }): T;
  quantile(q: number, dim?: Size | null, keepdim?: boolean, options?: { interpolation?: string }): T;
  /** Radians to degrees. */
  rad2deg(): T;
  /** Radians to degrees. */
  rad2deg_(): T;
  /** Numbers uniform in [0, 1), in the shape of self, from the default generator. */
  randLike(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randLike(
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Integers in [low, high) in the shape of self, from the default generator. */
  randintLike(
    high: Size,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randintLike(
    high: Size,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randintLike(
    low: Size,
    high: Size,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randintLike(
    low: Size,
    high: Size,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Numbers of the standard normal distribution, in the shape of self, from the default generator. */
  randnLike(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randnLike(
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Integers from a range, in the shape of self: all that the dtype holds if none is given. */
  random(options?: { generator?: null | null }): T;
  random(to: Size, options?: { generator?: null | null }): T;
  random(from: Size, to: Size | null, options?: { generator?: null | null }): T;
  /** Integers from a range, in self: all that the dtype holds if none is given. */
  random_(options?: { generator?: null | null }): T;
  random_(to: Size, options?: { generator?: null | null }): T;
  random_(from: Size, to: Size | null, options?: { generator?: null | null }): T;
  /** All elements in one dimension: a view where that is possible, else a copy. */
  ravel(): T;
  /** The tensor itself: it is real. */
  real(): T;
  /** 1 / self. */
  reciprocal(): T;
  /** 1 / self. */
  reciprocal_(): T;
  /** self with its mirror image around it, the edge not repeated. */
  reflectionPad1d(padding: Size | readonly Size[]): T;
  /** self with its mirror image around it, the edge not repeated. */
  reflectionPad2d(padding: Size | readonly Size[]): T;
  /** self with its mirror image around it, the edge not repeated. */
  reflectionPad3d(padding: Size | readonly Size[]): T;
  /** max(x, 0); NaN stays NaN. */
  relu(): T;
  /** min(max(x, 0), 6). */
  relu6(): T;
  /** min(max(x, 0), 6). */
  relu6_(): T;
  /** max(x, 0); NaN stays NaN. */
  relu_(): T;
  /** The remainder of division rounded down, with the sign of other: Python's `%`. */
  remainder(other: T | Scalar): T;
  remainder(other: Scalar): T;
  /** The remainder of division rounded down, with the sign of other: Python's `%`. */
  remainder_(other: T | Scalar): T;
  remainder_(other: Scalar): T;
  /** self with each slice along dim scaled down so that its p-norm is at most maxnorm. */
  renorm(p: Scalar, dim: Size, maxnorm: Scalar): T;
  /** self with each slice along dim scaled down so that its p-norm is at most maxnorm. */
  renorm_(p: Scalar, dim: Size, maxnorm: Scalar): T;
  /** self copied repeats[i] times along dimension i; extra repeats add dimensions in front. */
  repeat(repeats: readonly Size[]): T;
  /** Each element repeated in place along dim. */
  repeatElements(repeats: Size, dim: Size): T;
  /** Each element repeated in place along dim; the flattened tensor if dim is null. */
  repeatInterleave(repeats: Size, options?: { dim?: Size | null; outputSize?: Size | null }): T;
  repeatInterleave(repeats: Size, dim?: Size | null, options?: { outputSize?: Size | null }): T;
  repeatInterleave(repeats: T | Scalar, options?: { dim?: Size | null; outputSize?: Size | null }): T;
  repeatInterleave(repeats: T | Scalar, dim?: Size | null, options?: { outputSize?: Size | null }): T;
  /** self with its edge repeated around it. */
  replicationPad1d(padding: Size | readonly Size[]): T;
  /** self with its edge repeated around it. */
  replicationPad2d(padding: Size | readonly Size[]): T;
  /** self with its edge repeated around it. */
  replicationPad3d(padding: Size | readonly Size[]): T;
  /** self, all of whose elements meet a condition. */
  require(condition: string): T;
  /** The same elements in another shape: a view where that is possible, else a copy; one size may be -1. */
  reshape(shape: readonly Size[]): T;
  /** The same elements in the shape of other. */
  reshapeAs(other: T | Scalar): T;
  /** The tensor itself: it is real. */
  resolveConj(): T;
  /** The tensor itself: it is real. */
  resolveNeg(): T;
  /** A copy whose elements moved by shifts along dims, around the end; without dims the flattened tensor rolls. */
  roll(shifts: Size | readonly Size[], options?: { dims?: Size | readonly Size[] }): T;
  roll(shifts: Size | readonly Size[], dims?: Size | readonly Size[]): T;
  /** roll() with one shift for each named dimension. */
  rollDims(shifts: readonly Size[], dims: readonly Size[]): T;
  /** A copy turned by k quarter turns in the plane of two dimensions, from the first towards the second. */
  rot90(options?: { k?: Size; dims?: readonly Size[] }): T;
  rot90(k?: Size, dims?: readonly Size[]): T;
  /** The nearest integer, halves to even. */
  round(): T;
  round(options: { decimals: Size }): T;
  /** The nearest integer, halves to even. */
  round_(): T;
  round_(options: { decimals: Size }): T;
  /** leaky_relu whose slope is drawn between lower and upper for each element in training, else their mean. */
  rrelu(options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null }): T;
  rrelu(lower?: Scalar, upper?: Scalar, training?: boolean, generator?: null | null): T;
  /** rrelu that keeps the slopes it drew in noise: 1 where self is positive. */
  rreluWithNoise(
    noise: T | Scalar,
    options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null },
  ): T;
  rreluWithNoise(noise: T | Scalar, lower?: Scalar, upper?: Scalar, training?: boolean, generator?: null | null): T;
  /** rrelu, in place, that keeps the slopes it drew in noise: 1 where self is positive. */
  rreluWithNoise_(
    noise: T | Scalar,
    options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null },
  ): T;
  rreluWithNoise_(noise: T | Scalar, lower?: Scalar, upper?: Scalar, training?: boolean, generator?: null | null): T;
  /** rrelu, in place. */
  rrelu_(options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null }): T;
  rrelu_(lower?: Scalar, upper?: Scalar, training?: boolean, generator?: null | null): T;
  /** 1 / sqrt(self). */
  rsqrt(): T;
  /** 1 / sqrt(self). */
  rsqrt_(): T;
  /** other - alpha × self, broadcast. */
  rsub(other: T | Scalar, options?: { alpha?: Scalar }): T;
  rsub(other: Scalar, options?: { alpha?: Scalar }): T;
  rsub(other: Scalar, alpha?: Scalar): T;
  /** self with a number written at the positions that index names along dim. */
  scatter(dim: Size, index: T | Scalar, value: Scalar): T;
  scatter(dim: Size, index: T | Scalar, src: T | Scalar): T;
  scatter(dim: Size, index: T | Scalar, src: T | Scalar, options: { reduce: string }): T;
  scatter(dim: Size, index: T | Scalar, value: Scalar, options: { reduce: string }): T;
  /** self with elements of src added at the positions that index names along dim. */
  scatterAdd(dim: Size, index: T | Scalar, src: T | Scalar): T;
  /** self with elements of src added at the positions that index names along dim. */
  scatterAdd_(dim: Size, index: T | Scalar, src: T | Scalar): T;
  /** Combines elements of src into self by sum, prod, mean, amax or amin; without include_self from nothing. */
  scatterReduce(dim: Size, index: T | Scalar, src: T | Scalar, reduce: string, options?: { includeSelf?: boolean }): T;
  /** Combines elements of src into self by sum, prod, mean, amax or amin; without include_self from nothing. */
  scatterReduce_(dim: Size, index: T | Scalar, src: T | Scalar, reduce: string, options?: { includeSelf?: boolean }): T;
  /** self with a number written at the positions that index names along dim. */
  scatter_(dim: Size, index: T | Scalar, value: Scalar): T;
  scatter_(dim: Size, index: T | Scalar, src: T | Scalar): T;
  scatter_(dim: Size, index: T | Scalar, src: T | Scalar, options: { reduce: string }): T;
  scatter_(dim: Size, index: T | Scalar, value: Scalar, options: { reduce: string }): T;
  /** The part of self at one index of dimension dim, without that dimension. */
  select(dim: Size, index: Size): T;
  /** A copy of what select() shows. */
  selectCopy(dim: Size, index: Size): T;
  /** self with src in the place of select(dim, index). */
  selectScatter(src: T | Scalar, dim: Size, index: Size): T;
  /** ELU with the constants that keep mean 0 and variance 1. */
  selu(): T;
  /** ELU with the constants that keep mean 0 and variance 1. */
  selu_(): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sgn(): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sgn_(): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid_(): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sign(): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sign_(): T;
  /** Whether an element is negative, -0 included. */
  signbit(): T;
  /** x × sigmoid(x), also called swish. */
  silu(): T;
  /** x × sigmoid(x), also called swish. */
  silu_(): T;
  /** The sine. */
  sin(): T;
  /** The sine. */
  sin_(): T;
  /** sin(πx) / (πx), 1 at 0. */
  sinc(): T;
  /** sin(πx) / (πx), 1 at 0. */
  sinc_(): T;
  /** The hyperbolic sine. */
  sinh(): T;
  /** The hyperbolic sine. */
  sinh_(): T;
  /** Elements start to end (exclusive) of dimension dim, every step-th; positions clamp as in Python. */
  slice(options?: { dim?: Size; start?: Size | null; end?: Size | null; step?: Size }): T;
  slice(dim?: Size, start?: Size | null, end?: Size | null, step?: Size): T;
  /** A copy of what slice() shows. */
  sliceCopy(options?: { dim?: Size; start?: Size | null; end?: Size | null; step?: Size }): T;
  sliceCopy(dim?: Size, start?: Size | null, end?: Size | null, step?: Size): T;
  /** self with src in the place of slice(dim, start, end, step). */
  sliceScatter(src: T | Scalar, options?: { dim?: Size; start?: Size | null; end?: Size | null; step?: Size }): T;
  sliceScatter(src: T | Scalar, dim?: Size, start?: Size | null, end?: Size | null, step?: Size): T;
  /** The determinant's sign and the logarithm of its size. */
  slogdet(): [T, T];
  /** Quadratic where the difference is below beta, linear beyond. */
  smoothL1Loss(target: T | Scalar, options?: { reduction?: Size; beta?: number }): T;
  smoothL1Loss(target: T | Scalar, reduction?: Size, beta?: number): T;
  /** log(1 + exp(-target · self)). */
  softMarginLoss(target: T | Scalar, options?: { reduction?: Size }): T;
  softMarginLoss(target: T | Scalar, reduction?: Size): T;
  /** exp(x) / sum(exp(x)) along a dimension: non-negative numbers that sum to 1. */
  softmax(dim: Size, options?: { dtype?: DType | null }): T;
  softmax(dim: Size, dtype?: DType | null): T;
  /** log(1 + exp(beta × x)) / beta; x itself where beta × x exceeds the threshold. */
  softplus(options?: { beta?: Scalar; threshold?: Scalar }): T;
  softplus(beta?: Scalar, threshold?: Scalar): T;
  /** x moved towards 0 by lambd; 0 within lambd of 0. */
  softshrink(options?: { lambd?: Scalar }): T;
  softshrink(lambd?: Scalar): T;
  /** Sorts along a dimension; also the positions that the elements had. */
  sort(options?: { dim?: Size; descending?: boolean }): [T, T];
  sort(dim?: Size, descending?: boolean): [T, T];
  sort(options: { stable: boolean | null; dim?: Size; descending?: boolean }): [T, T];
  /** The Bessel function of the first kind of order 0. */
  specialBesselJ0(): T;
  /** The Bessel function of the first kind of order 1. */
  specialBesselJ1(): T;
  /** The Bessel function of the second kind of order 0. */
  specialBesselY0(): T;
  /** The Bessel function of the second kind of order 1. */
  specialBesselY1(): T;
  /** The derivative of lgamma. */
  specialDigamma(): T;
  /** -self × log(self); 0 at 0, -∞ below. */
  specialEntr(): T;
  /** The error function. */
  specialErf(): T;
  /** 1 - erf(self), exact for large numbers. */
  specialErfc(): T;
  /** exp(self²) · erfc(self), without underflow. */
  specialErfcx(): T;
  /** The inverse of erf. */
  specialErfinv(): T;
  /** 2 to the power of self. */
  specialExp2(): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  specialExpit(): T;
  /** exp(self) - 1, exact near 0. */
  specialExpm1(): T;
  /** The regularised lower incomplete gamma function of self at other. */
  specialGammainc(other: T | Scalar): T;
  /** The regularised upper incomplete gamma function of self at other. */
  specialGammaincc(other: T | Scalar): T;
  /** The logarithm of the absolute value of the gamma function. */
  specialGammaln(): T;
  /** The modified Bessel function of the first kind of order 0. */
  specialI0(): T;
  /** exp(-|self|) times the modified Bessel function of order 0. */
  specialI0e(): T;
  /** The modified Bessel function of the first kind of order 1. */
  specialI1(): T;
  /** exp(-|self|) times the modified Bessel function of order 1. */
  specialI1e(): T;
  /** log(1 + self), exact near 0. */
  specialLog1p(): T;
  /** The logarithm of the standard normal distribution function, without underflow. */
  specialLogNdtr(): T;
  /** The logarithm of softmax, without its overflow. */
  specialLogSoftmax(dim: Size, options?: { dtype?: DType | null }): T;
  specialLogSoftmax(dim: Size, dtype?: DType | null): T;
  /** log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null. */
  specialLogit(options?: { eps?: number | null }): T;
  specialLogit(eps?: number | null): T;
  /** log(Σ exp(self)) over dimensions, without overflow. */
  specialLogsumexp(dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  specialLogsumexp(dim: Size | readonly Size[], keepdim?: boolean): T;
  /** The modified Bessel function of the first kind of order 0. */
  specialModifiedBesselI0(): T;
  /** The modified Bessel function of the first kind of order 1. */
  specialModifiedBesselI1(): T;
  /** The modified Bessel function of the second kind of order 0. */
  specialModifiedBesselK0(): T;
  /** The modified Bessel function of the second kind of order 1. */
  specialModifiedBesselK1(): T;
  /** The logarithm of the multivariate gamma function of dimension p. */
  specialMultigammaln(p: Size): T;
  /** The distribution function of the standard normal distribution. */
  specialNdtr(): T;
  /** The inverse of the standard normal distribution function. */
  specialNdtri(): T;
  /** The derivative of lgamma. */
  specialPsi(): T;
  /** The nearest number with so many decimals, ties to even. */
  specialRound(options?: { decimals?: Size }): T;
  /** sin(πx) / (πx), 1 at 0. */
  specialSinc(): T;
  /** exp(x) / sum(exp(x)) along a dimension: non-negative numbers that sum to 1. */
  specialSoftmax(dim: Size, options?: { dtype?: DType | null }): T;
  specialSoftmax(dim: Size, dtype?: DType | null): T;
  /** self × log(1 + other), 0 where self is 0. */
  specialXlog1py(other: T | Scalar): T;
  specialXlog1py(other: Scalar): T;
  /** self × log(other), 0 where self is 0. */
  specialXlogy(other: T | Scalar): T;
  specialXlogy(other: Scalar): T;
  /** The Hurwitz zeta function Σ (k + other)^-self. */
  specialZeta(other: T | Scalar): T;
  specialZeta(other: Scalar): T;
  /** Pieces of splitSize elements along dim; the last may be shorter. */
  split(splitSize: Size, options?: { dim?: Size }): T[];
  split(splitSize: Size, dim?: Size): T[];
  split(splitSize: readonly Size[], options?: { dim?: Size }): T[];
  split(splitSize: readonly Size[], dim?: Size): T[];
  /** A copy of what split() shows. */
  splitCopy(splitSize: Size, options?: { dim?: Size }): T[];
  splitCopy(splitSize: Size, dim?: Size): T[];
  splitCopy(splitSize: readonly Size[], options?: { dim?: Size }): T[];
  splitCopy(splitSize: readonly Size[], dim?: Size): T[];
  /** Pieces of the given sizes along dim. */
  splitWithSizes(splitSizes: readonly Size[], options?: { dim?: Size }): T[];
  splitWithSizes(splitSizes: readonly Size[], dim?: Size): T[];
  /** A copy of what split_with_sizes() shows. */
  splitWithSizesCopy(splitSizes: readonly Size[], options?: { dim?: Size }): T[];
  splitWithSizesCopy(splitSizes: readonly Size[], dim?: Size): T[];
  /** The square root; NaN for negative numbers. */
  sqrt(): T;
  /** The square root; NaN for negative numbers. */
  sqrt_(): T;
  /** self × self. */
  square(): T;
  /** self × self. */
  square_(): T;
  /** A view without dimensions of size 1: all of them, or those named if they are 1. */
  squeeze(): T;
  squeeze(dim: Size): T;
  squeeze(dim: readonly Size[]): T;
  /** A copy of what squeeze() shows. */
  squeezeCopy(): T;
  squeezeCopy(dim: Size): T;
  squeezeCopy(dim: readonly Size[]): T;
  /** The standard deviation over dimensions, divided by the number of elements less a correction (1 unless told otherwise). */
  std(options?: { unbiased?: boolean }): T;
  std(unbiased?: boolean): T;
  std(dim: Size | readonly Size[] | null, options?: { unbiased?: boolean; keepdim?: boolean }): T;
  std(dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): T;
  std(options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean }): T;
  std(dim?: Size | readonly Size[] | null, options?: { correction?: Scalar | null; keepdim?: boolean }): T;
  /** The standard deviation and the mean over dimensions. */
  stdMean(options?: { unbiased?: boolean }): [T, T];
  stdMean(unbiased?: boolean): [T, T];
  stdMean(dim: Size | readonly Size[] | null, options?: { unbiased?: boolean; keepdim?: boolean }): [T, T];
  stdMean(dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): [T, T];
  stdMean(options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean }): [T, T];
  stdMean(dim?: Size | readonly Size[] | null, options?: { correction?: Scalar | null; keepdim?: boolean }): [T, T];
  /** Spectra of overlapping windows of a signal: [..., frequencies, frames]. */
  stft(
    nFft: Size,
    options?: {
      hopLength?: Size | null;
      winLength?: Size | null;
      window?: T | Scalar | null;
      normalized?: boolean;
      onesided?: boolean | null;
      returnComplex?: boolean | null;
      alignToWindow?: boolean | null;
    },
  ): T;
  stft(
    nFft: Size,
    hopLength?: Size | null,
    winLength?: Size | null,
    window?: T | Scalar | null,
    normalized?: boolean,
    onesided?: boolean | null,
    returnComplex?: boolean | null,
    alignToWindow?: boolean | null,
  ): T;
  stft(
    nFft: Size,
    options?: {
      hopLength?: Size | null;
      winLength?: Size | null;
      window?: T | Scalar | null;
      center?: boolean;
      padMode?: string;
      normalized?: boolean;
      onesided?: boolean | null;
      returnComplex?: boolean | null;
      alignToWindow?: boolean | null;
    },
  ): T;
  stft(
    nFft: Size,
    hopLength?: Size | null,
    winLength?: Size | null,
    window?: T | Scalar | null,
    center?: boolean,
    padMode?: string,
    normalized?: boolean,
    onesided?: boolean | null,
    returnComplex?: boolean | null,
    alignToWindow?: boolean | null,
  ): T;
  /** self - alpha × other, broadcast. */
  sub(other: T | Scalar, options?: { alpha?: Scalar }): T;
  sub(other: Scalar, options?: { alpha?: Scalar }): T;
  sub(other: Scalar, alpha?: Scalar): T;
  /** self - alpha × other, broadcast. */
  sub_(other: T | Scalar, options?: { alpha?: Scalar }): T;
  sub_(other: Scalar, options?: { alpha?: Scalar }): T;
  sub_(other: Scalar, alpha?: Scalar): T;
  /** self - alpha × other, broadcast. */
  subtract(other: T | Scalar, options?: { alpha?: Scalar }): T;
  subtract(other: Scalar, options?: { alpha?: Scalar }): T;
  subtract(other: Scalar, alpha?: Scalar): T;
  /** self - alpha × other, broadcast. */
  subtract_(other: T | Scalar, options?: { alpha?: Scalar }): T;
  subtract_(other: Scalar, options?: { alpha?: Scalar }): T;
  subtract_(other: Scalar, alpha?: Scalar): T;
  /** The sum of all elements; integers sum up in int64. */
  sum(options?: { dtype?: DType | null }): T;
  sum(dim: Size | readonly Size[] | null, options?: { keepdim?: boolean; dtype?: DType | null }): T;
  sum(dim: Size | readonly Size[] | null, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** self summed over the dimensions along which a tensor of the given size was broadcast to it: undoes broadcasting. */
  sumToSize(size: readonly Size[]): T;
  /** self = U diag(S) Vᵀ; without compute_uv, U and V are zeros. */
  svd(options?: { some?: boolean; computeUv?: boolean }): [T, T, T];
  svd(some?: boolean, computeUv?: boolean): [T, T, T];
  /** Singular values in descending order. */
  svdvals(): T;
  /** A view with dimensions axis0 and axis1 exchanged. */
  swapaxes(axis0: Size, axis1: Size): T;
  /** A view with dimensions dim0 and dim1 exchanged. */
  swapdims(dim0: Size, dim1: Size): T;
  /** The number of elements. */
  symNumel(): Size;
  /** The size of a dimension. */
  symSize(dim: Size): Size;
  /** Where the first element lies in its memory. */
  symStorageOffset(): Size;
  /** The stride of a dimension. */
  symStride(dim: Size): Size;
  /** A matrix transposed; vectors and 0-dim tensors stay as they are. */
  t(): T;
  /** A copy of what t() shows. */
  tCopy(): T;
  /** The elements of the flattened self that index names. */
  take(index: T | Scalar): T;
  /** gather() with broadcasting of self and indices outside of dim; over the flattened tensor if dim is null. Negative indices count from the end. */
  takeAlongDim(indices: T | Scalar, options?: { dim?: Size | null }): T;
  takeAlongDim(indices: T | Scalar, dim?: Size | null): T;
  /** The tangent. */
  tan(): T;
  /** The tangent. */
  tan_(): T;
  /** The hyperbolic tangent. */
  tanh(): T;
  /** The hyperbolic tangent. */
  tanh_(): T;
  /** Exactly sections pieces along dim, the first ones larger by one if they cannot be equal. */
  tensorSplit(sections: Size, options?: { dim?: Size }): T[];
  tensorSplit(sections: Size, dim?: Size): T[];
  tensorSplit(indices: readonly Size[], options?: { dim?: Size }): T[];
  tensorSplit(indices: readonly Size[], dim?: Size): T[];
  tensorSplit(tensorIndicesOrSections: T | Scalar, options?: { dim?: Size }): T[];
  tensorSplit(tensorIndicesOrSections: T | Scalar, dim?: Size): T[];
  /** Sums products over the named dimensions of both tensors. */
  tensordot(other: T | Scalar, dimsSelf: readonly Size[], dimsOther: readonly Size[]): T;
  /** Thin singular value decomposition. */
  thinSvd(): [T, T, T];
  /** x where it is greater than the threshold, else value. */
  threshold(threshold: Scalar, value: Scalar): T;
  /** x where it is greater than the threshold, else value. */
  threshold_(threshold: Scalar, value: Scalar): T;
  /** repeat(), with missing repeats in front counted as 1. */
  tile(dims: readonly Size[]): T;
  /** self in another dtype; self itself where it has that dtype and copy is false. */
  to(dtype: DType, options?: { nonBlocking?: boolean; copy?: boolean; memoryFormat?: string | null }): T;
  to(dtype: DType, nonBlocking?: boolean, copy?: boolean, memoryFormat?: string | null): T;
  to(device: DeviceLike): T;
  to(
    device: DeviceLike,
    dtype: DType,
    options?: { nonBlocking?: boolean; copy?: boolean; memoryFormat?: string | null },
  ): T;
  to(device: DeviceLike, dtype: DType, nonBlocking?: boolean, copy?: boolean, memoryFormat?: string | null): T;
  to(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      nonBlocking?: boolean;
      copy?: boolean;
      memoryFormat?: string | null;
    },
  ): T;
  to(other: T | Scalar, options?: { nonBlocking?: boolean; copy?: boolean; memoryFormat?: string | null }): T;
  to(other: T | Scalar, nonBlocking?: boolean, copy?: boolean, memoryFormat?: string | null): T;
  /** The k largest (or smallest) elements along a dimension, in order, and their positions. */
  topk(k: Size, options?: { dim?: Size; largest?: boolean; sorted?: boolean }): [T, T];
  topk(k: Size, dim?: Size, largest?: boolean, sorted?: boolean): [T, T];
  /** The sum of the diagonal of a matrix. */
  trace(): T;
  /** A view with dimensions dim0 and dim1 exchanged. */
  transpose(dim0: Size, dim1: Size): T;
  /** A copy of what transpose() shows. */
  transposeCopy(dim0: Size, dim1: Size): T;
  /** X with A X = self for triangular A, and a copy of A. */
  triangularSolve(A: T | Scalar, options?: { upper?: boolean; transpose?: boolean; unitriangular?: boolean }): [T, T];
  triangularSolve(A: T | Scalar, upper?: boolean, transpose?: boolean, unitriangular?: boolean): [T, T];
  /** The lower triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  tril(options?: { diagonal?: Size }): T;
  tril(diagonal?: Size): T;
  /** The lower triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  tril_(options?: { diagonal?: Size }): T;
  tril_(diagonal?: Size): T;
  /** The upper triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  triu(options?: { diagonal?: Size }): T;
  triu(diagonal?: Size): T;
  /** The upper triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  triu_(options?: { diagonal?: Size }): T;
  triu_(diagonal?: Size): T;
  /** self / other, broadcast; integers become the default float. */
  trueDivide(other: T | Scalar): T;
  trueDivide(other: Scalar): T;
  /** self / other, broadcast; integers become the default float. */
  trueDivide_(other: T | Scalar): T;
  trueDivide_(other: Scalar): T;
  /** self without its fraction, rounded towards 0. */
  trunc(): T;
  /** self without its fraction, rounded towards 0. */
  trunc_(): T;
  /** self in the dtype and on the device of other. */
  typeAs(other: T | Scalar): T;
  /** All slices along dim, without that dimension. */
  unbind(options?: { dim?: Size }): T[];
  unbind(dim?: Size): T[];
  /** A copy of what unbind() shows. */
  unbindCopy(options?: { dim?: Size }): T[];
  unbindCopy(dim?: Size): T[];
  /** Dimension dim split into several; one size may be -1. */
  unflatten(dim: Size, sizes: readonly Size[]): T;
  /** All windows of size elements along a dimension, step apart; the window becomes the last dimension. */
  unfold(dimension: Size, size: Size, step: Size): T;
  /** A copy of what unfold() shows. */
  unfoldCopy(dimension: Size, size: Size, step: Size): T;
  /** self with src in the place of unfold(dim, size, step); where windows overlap, the last one counts. */
  unfoldScatter(src: T | Scalar, dim: Size, size: Size, step: Size): T;
  /** Numbers uniform in [from, to), in the shape of self, from the default generator. */
  uniform(options?: { from?: number; to?: number; generator?: null | null }): T;
  uniform(from?: number, to?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers uniform in [from, to), from the default generator. */
  uniform_(options?: { from?: number; to?: number; generator?: null | null }): T;
  uniform_(from?: number, to?: number, options?: { generator?: null | null }): T;
  /** Drops elements (or slices along dim) that equal the one before. */
  uniqueConsecutive(options?: { returnInverse?: boolean; returnCounts?: boolean; dim?: Size | null }): [T, T, T];
  uniqueConsecutive(returnInverse?: boolean, returnCounts?: boolean, dim?: Size | null): [T, T, T];
  /** The distinct slices along a dimension, in lexicographic order, with inverse and counts whether asked for or not. */
  uniqueDim(dim: Size, options?: { sorted?: boolean; returnInverse?: boolean; returnCounts?: boolean }): [T, T, T];
  uniqueDim(dim: Size, sorted?: boolean, returnInverse?: boolean, returnCounts?: boolean): [T, T, T];
  /** Runs of equal slices along a dimension, each once. */
  uniqueDimConsecutive(dim: Size, options?: { returnInverse?: boolean; returnCounts?: boolean }): [T, T, T];
  uniqueDimConsecutive(dim: Size, returnInverse?: boolean, returnCounts?: boolean): [T, T, T];
  /** At most chunks pieces of equal size along dim; the last may be shorter. */
  unsafeChunk(chunks: Size, options?: { dim?: Size }): T[];
  unsafeChunk(chunks: Size, dim?: Size): T[];
  /** Pieces of splitSize elements along dim; the last may be shorter. */
  unsafeSplit(splitSize: Size, options?: { dim?: Size }): T[];
  unsafeSplit(splitSize: Size, dim?: Size): T[];
  /** Pieces of the given sizes along dim. */
  unsafeSplitWithSizes(splitSizes: readonly Size[], options?: { dim?: Size }): T[];
  unsafeSplitWithSizes(splitSizes: readonly Size[], dim?: Size): T[];
  /** A view with a new dimension of size 1 before position dim. */
  unsqueeze(dim: Size): T;
  /** A copy of what unsqueeze() shows. */
  unsqueezeCopy(dim: Size): T;
  /** Bicubic interpolation of the last 2 dimensions. */
  upsampleBicubic2d(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleBicubic2d(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** Bilinear interpolation of the last 2 dimensions. */
  upsampleBilinear2d(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleBilinear2d(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** Linear interpolation of the last dimension. */
  upsampleLinear1d(outputSize: Size | readonly Size[], alignCorners: boolean, options?: { scales?: number | null }): T;
  upsampleLinear1d(outputSize: Size | readonly Size[], alignCorners: boolean, scales?: number | null): T;
  /** The nearest element, by rounding positions down of the last dimension. */
  upsampleNearest1d(outputSize: Size | readonly Size[], options?: { scales?: number | null }): T;
  upsampleNearest1d(outputSize: Size | readonly Size[], scales?: number | null): T;
  /** The nearest element, by rounding positions down of the last 2 dimensions. */
  upsampleNearest2d(
    outputSize: Size | readonly Size[],
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleNearest2d(outputSize: Size | readonly Size[], scalesH?: number | null, scalesW?: number | null): T;
  /** The nearest element, by rounding positions down of the last 3 dimensions. */
  upsampleNearest3d(
    outputSize: Size | readonly Size[],
    options?: { scalesD?: number | null; scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleNearest3d(
    outputSize: Size | readonly Size[],
    scalesD?: number | null,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** Trilinear interpolation of the last 3 dimensions. */
  upsampleTrilinear3d(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesD?: number | null; scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleTrilinear3d(
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesD?: number | null,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  /** The variance over dimensions, divided by the number of elements less a correction (1 unless told otherwise). */
  var(options?: { unbiased?: boolean }): T;
  var(unbiased?: boolean): T;
  var(dim: Size | readonly Size[] | null, options?: { unbiased?: boolean; keepdim?: boolean }): T;
  var(dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): T;
  var(options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean }): T;
  var(dim?: Size | readonly Size[] | null, options?: { correction?: Scalar | null; keepdim?: boolean }): T;
  /** The variance and the mean over dimensions. */
  varMean(options?: { unbiased?: boolean }): [T, T];
  varMean(unbiased?: boolean): [T, T];
  varMean(dim: Size | readonly Size[] | null, options?: { unbiased?: boolean; keepdim?: boolean }): [T, T];
  varMean(dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): [T, T];
  varMean(options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean }): [T, T];
  varMean(dim?: Size | readonly Size[] | null, options?: { correction?: Scalar | null; keepdim?: boolean }): [T, T];
  /** The inner product of two real vectors. */
  vdot(other: T | Scalar): T;
  /** The same memory as elements of another dtype; one of another width changes the last dimension. */
  view(dtype: DType): T;
  view(size: readonly Size[]): T;
  /** The same elements in the shape of other. */
  viewAs(other: T | Scalar): T;
  /** Real pairs, in a last dimension of size 2, as a complex tensor. */
  viewAsComplex(): T;
  /** A complex tensor as real pairs: one more dimension, of size 2. */
  viewAsReal(): T;
  /** A copy of what view() shows. */
  viewCopy(dtype: DType): T;
  viewCopy(size: readonly Size[]): T;
  /** Equal pieces along one dimension. */
  vsplit(sections: Size): T[];
  vsplit(indices: readonly Size[]): T[];
  /** self × log(other), 0 where self is 0. */
  xlogy(other: T | Scalar): T;
  xlogy(other: Scalar): T;
  /** self × log(other), 0 where self is 0. */
  xlogy_(other: T | Scalar): T;
  xlogy_(other: Scalar): T;
  /** A tensor like self in which every element is 0. */
  zero(): T;
  /** A tensor like self in which every element is 0. */
  zero_(): T;
  /** zeros in the shape and dtype of self. */
  zerosLike(
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
}

/** All operators as functions, in snake_case turned to camelCase. */
export interface Functional<T = TensorValue> {
  /** Bits that are set in both. */
  __and__(self: T | Scalar, other: T | Scalar): T;
  __and__(self: T | Scalar, other: Scalar): T;
  /** Bits that are set in both. */
  __iand__(self: T | Scalar, other: T | Scalar): T;
  __iand__(self: T | Scalar, other: Scalar): T;
  /** Bits moved towards the high end. */
  __ilshift__(self: T | Scalar, other: T | Scalar): T;
  __ilshift__(self: T | Scalar, other: Scalar): T;
  /** Bits that are set in at least one. */
  __ior__(self: T | Scalar, other: T | Scalar): T;
  __ior__(self: T | Scalar, other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  __irshift__(self: T | Scalar, other: T | Scalar): T;
  __irshift__(self: T | Scalar, other: Scalar): T;
  /** Bits that are set in exactly one. */
  __ixor__(self: T | Scalar, other: T | Scalar): T;
  __ixor__(self: T | Scalar, other: Scalar): T;
  /** Bits moved towards the high end. */
  __lshift__(self: T | Scalar, other: T | Scalar): T;
  __lshift__(self: T | Scalar, other: Scalar): T;
  /** Bits that are set in at least one. */
  __or__(self: T | Scalar, other: T | Scalar): T;
  __or__(self: T | Scalar, other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  __rshift__(self: T | Scalar, other: T | Scalar): T;
  __rshift__(self: T | Scalar, other: Scalar): T;
  /** Bits that are set in exactly one. */
  __xor__(self: T | Scalar, other: T | Scalar): T;
  __xor__(self: T | Scalar, other: Scalar): T;
  /** Means over windows that divide the last 2 dimensions into output_size parts. */
  _adaptiveAvgPool2d(self: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** Means over windows that divide the last 3 dimensions into output_size parts. */
  _adaptiveAvgPool3d(self: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** relu(self + alpha × other). */
  _addRelu(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  _addRelu(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  /** relu(self + alpha × other). */
  _addRelu_(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  _addRelu_(self: T | Scalar, other: T | Scalar, alpha?: Scalar): T;
  _addRelu_(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  _addRelu_(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** relu, or gelu, of addmm. */
  _addmmActivation(
    self: T | Scalar,
    mat1: T | Scalar,
    mat2: T | Scalar,
    options?: { beta?: Scalar; alpha?: Scalar; useGelu?: boolean },
  ): T;
  /** Raises with a message if a number is 0. */
  _assertScalar(self: Scalar, assertMsg: string): void;
  /** Raises unless a tensor has the given size, stride, dtype and device. */
  _assertTensorMetadata(
    a: T | Scalar,
    options?: {
      size?: readonly Size[] | null;
      stride?: readonly Size[] | null;
      dtype?: DType | null;
      device?: DeviceLike | null;
      layout?: string | null;
    },
  ): void;
  _assertTensorMetadata(
    a: T | Scalar,
    size?: readonly Size[] | null,
    stride?: readonly Size[] | null,
    dtype?: DType | null,
    options?: { device?: DeviceLike | null; layout?: string | null },
  ): void;
  /** Batch normalisation in training; the last result is an empty reserve. */
  _batchNormWithUpdate(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar,
    runningVar: T | Scalar,
    momentum: number,
    eps: number,
  ): [T, T, T, T];
  /** cdist. */
  _cdistForward(x1: T | Scalar, x2: T | Scalar, p: number, computeMode: Size | null): T;
  /** Each tensor in num_chunks chunks along dim, padded with zeros and flattened, side by side. */
  _chunkCat(tensors: readonly T[], dim: Size, numChunks: Size): T;
  /** The tensor itself: it is real. */
  _conj(self: T | Scalar): T;
  /** The tensor itself: it is real. */
  _conjPhysical(self: T | Scalar): T;
  /** Negative log likelihoods of the targets, and the forward variables [batch, time, states]. */
  _ctcLoss(
    logProbs: T | Scalar,
    targets: T | Scalar,
    inputLengths: readonly Size[],
    targetLengths: readonly Size[],
    options?: { blank?: Size; zeroInfinity?: boolean },
  ): [T, T];
  _ctcLoss(
    logProbs: T | Scalar,
    targets: T | Scalar,
    inputLengths: readonly Size[],
    targetLengths: readonly Size[],
    blank?: Size,
    zeroInfinity?: boolean,
  ): [T, T];
  /** The gradient of ctc_loss with respect to the logits whose log_softmax log_probs is. */
  _ctcLossBackward(
    grad: T | Scalar,
    logProbs: T | Scalar,
    targets: T | Scalar,
    inputLengths: readonly Size[],
    targetLengths: readonly Size[],
    negLogLikelihood: T | Scalar,
    logAlpha: T | Scalar,
    blank: Size,
    options?: { zeroInfinity?: boolean },
  ): T;
  _ctcLossBackward(
    grad: T | Scalar,
    logProbs: T | Scalar,
    targets: T | Scalar,
    inputLengths: readonly Size[],
    targetLengths: readonly Size[],
    negLogLikelihood: T | Scalar,
    logAlpha: T | Scalar,
    blank: Size,
    zeroInfinity?: boolean,
  ): T;
  /** 0, 1, … up to the size of a dimension. */
  _dimArange(like: T | Scalar, dim: Size): T;
  /** embedding_bag: bags of rows of a table, with the bag of each index, sizes and winners. */
  _embeddingBag(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    options?: {
      scaleGradByFreq?: boolean;
      mode?: Size;
      sparse?: boolean;
      perSampleWeights?: T | Scalar | null;
      includeLastOffset?: boolean;
      paddingIdx?: Size;
    },
  ): [T, T, T, T];
  _embeddingBag(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    scaleGradByFreq?: boolean,
    mode?: Size,
    sparse?: boolean,
    perSampleWeights?: T | Scalar | null,
    includeLastOffset?: boolean,
    paddingIdx?: Size,
  ): [T, T, T, T];
  /** embedding_bag: bags of rows of a table, with the bag of each index, sizes and winners. */
  _embeddingBagForwardOnly(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    options?: {
      scaleGradByFreq?: boolean;
      mode?: Size;
      sparse?: boolean;
      perSampleWeights?: T | Scalar | null;
      includeLastOffset?: boolean;
      paddingIdx?: Size;
    },
  ): [T, T, T, T];
  _embeddingBagForwardOnly(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    scaleGradByFreq?: boolean,
    mode?: Size,
    sparse?: boolean,
    perSampleWeights?: T | Scalar | null,
    includeLastOffset?: boolean,
    paddingIdx?: Size,
  ): [T, T, T, T];
  /** cdist with p = 2. */
  _euclideanDist(x1: T | Scalar, x2: T | Scalar): T;
  /** As fake_quantize_per_tensor_affine_cachemask, by tensors of one element; an enabled of 0 leaves the numbers as they are. */
  _fakeQuantizePerTensorAffineCachemaskTensorQparams(
    self: T | Scalar,
    scale: T | Scalar,
    zeroPoint: T | Scalar,
    fakeQuantEnabled: T | Scalar,
    quantMin: Size,
    quantMax: Size,
  ): [T, T];
  /** The Fourier transform of complex numbers. */
  _fftC2c(self: T | Scalar, dim: readonly Size[], normalization: Size, forward: boolean): T;
  /** The inverse Fourier transform of half a spectrum, to real numbers. */
  _fftC2r(self: T | Scalar, dim: readonly Size[], normalization: Size, lastDimSize: Size): T;
  /** The Fourier transform of real numbers; onesided gives half of the last dimension. */
  _fftR2c(self: T | Scalar, dim: readonly Size[], normalization: Size, onesided: boolean): T;
  /** rms_norm with its reciprocal root mean square. */
  _fusedRmsNorm(
    input: T | Scalar,
    normalizedShape: readonly Size[],
    weight: T | Scalar | null,
    eps: number | null,
  ): [T, T];
  /** Products of groups. [rows, in] and [groups, in, out]: offs ends groups of rows. [groups, m, in] and [in, columns]: groups of columns. [m, k] and [k, n]: groups of k, [groups, m, n]. Of two three-dimensional tensors: bmm. */
  _groupedMm(
    self: T | Scalar,
    mat2: T | Scalar,
    options?: { offs?: T | Scalar | null; bias?: T | Scalar | null; outDtype?: DType | null },
  ): T;
  _groupedMm(
    self: T | Scalar,
    mat2: T | Scalar,
    offs?: T | Scalar | null,
    bias?: T | Scalar | null,
    outDtype?: DType | null,
  ): T;
  /** The edges of equal bins of each dimension of points. */
  _histogramddBinEdges(
    self: T | Scalar,
    bins: readonly Size[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  /** How many points fall into each of equal bins in several dimensions. */
  _histogramddFromBinCts(
    self: T | Scalar,
    bins: readonly Size[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T;
  /** How many points fall between given ascending edges in several dimensions. */
  _histogramddFromBinTensors(
    self: T | Scalar,
    bins: readonly T[],
    options?: { weight?: T | Scalar | null; density?: boolean },
  ): T;
  /** The product of matrices of 8-bit integers, in int32. */
  _intMm(self: T | Scalar, mat2: T | Scalar): T;
  /** Whether all elements of a bool tensor hold. */
  _isAllTrue(self: T | Scalar): T;
  /** Whether any element of a bool tensor hold. */
  _isAnyTrue(self: T | Scalar): T;
  /** det, and the LU factors that it comes from. */
  _linalgDet(A: T | Scalar): [T, T, T];
  /** linalg_eigh; without compute_v the eigenvectors are empty. */
  _linalgEigh(A: T | Scalar, options?: { UPLO?: string; computeV?: boolean }): [T, T];
  _linalgEigh(A: T | Scalar, UPLO?: string, computeV?: boolean): [T, T];
  /** slogdet, and the LU factors that it comes from. */
  _linalgSlogdet(A: T | Scalar): [T, T, T, T];
  /** linalg_solve_ex, and the LU factors that it comes from. */
  _linalgSolveEx(A: T | Scalar, B: T | Scalar, options?: { left?: boolean; checkErrors?: boolean }): [T, T, T, T];
  /** linalg_svd; without compute_uv the singular vectors are empty. */
  _linalgSvd(
    A: T | Scalar,
    options?: { fullMatrices?: boolean; computeUv?: boolean; driver?: string | null },
  ): [T, T, T];
  _linalgSvd(
    A: T | Scalar,
    fullMatrices?: boolean,
    computeUv?: boolean,
    options?: { driver?: string | null },
  ): [T, T, T];
  /** x - log(sum(exp(x))) along a dimension. */
  _logSoftmax(self: T | Scalar, dim: Size, halfToFloat: boolean): T;
  /** The gradient of log_softmax, from its result. */
  _logSoftmaxBackwardData(gradOutput: T | Scalar, output: T | Scalar, dim: Size, inputDtype: DType): T;
  /** linalg_lu_factor_ex. */
  _luWithInfo(self: T | Scalar, options?: { pivot?: boolean; checkErrors?: boolean }): [T, T, T];
  _luWithInfo(self: T | Scalar, pivot?: boolean, checkErrors?: boolean): [T, T, T];
  /** self × mask × scale. */
  _maskedScale(self: T | Scalar, mask: T | Scalar, scale: number): T;
  /** softmax over elements whose mask is false; 0 at the others, also where all are masked. */
  _maskedSoftmax(self: T | Scalar, mask: T | Scalar, options?: { dim?: Size | null; maskType?: Size | null }): T;
  _maskedSoftmax(self: T | Scalar, mask: T | Scalar, dim?: Size | null, maskType?: Size | null): T;
  /** Batch normalisation that updates the running statistics in place when training. */
  _nativeBatchNormLegit(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar,
    runningVar: T | Scalar,
    training: boolean,
    momentum: number,
    eps: number,
  ): [T, T, T];
  _nativeBatchNormLegit(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    training: boolean,
    momentum: number,
    eps: number,
  ): [T, T, T];
  /** Batch normalisation that returns the new running statistics. */
  _nativeBatchNormLegitFunctional(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar,
    runningVar: T | Scalar,
    training: boolean,
    momentum: number,
    eps: number,
  ): [T, T, T, T, T];
  /** Batch normalisation by the running statistics. */
  _nativeBatchNormLegitNoTraining(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar,
    runningVar: T | Scalar,
    momentum: number,
    eps: number,
  ): [T, T, T];
  /** self with copies of itself around it. */
  _padCircular(self: T | Scalar, pad: readonly Size[]): T;
  /** pad, its mode by number: 0 reflect, 1 replicate, 2 circular, 3 constant. */
  _padEnum(self: T | Scalar, pad: readonly Size[], mode: Size, options?: { value?: number | null }): T;
  _padEnum(self: T | Scalar, pad: readonly Size[], mode: Size, value?: number | null): T;
  /** The p-norm distances of all pairs of rows, as a vector: (0, 1), (0, 2), …, (1, 2), …. */
  _pdistForward(self: T | Scalar, options?: { p?: number }): T;
  _pdistForward(self: T | Scalar, p?: number): T;
  /** x where it is positive, else weight × x; the weight broadcasts. */
  _preluKernel(self: T | Scalar, weight: T | Scalar): T;
  /** A copy in another shape. */
  _reshapeCopy(self: T | Scalar, size: readonly Size[]): T;
  /** softmax whose rows of nothing but -inf are zeros. */
  _safeSoftmax(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  _safeSoftmax(self: T | Scalar, dim: Size, dtype?: DType | null): T;
  /** Probabilities along the last dimension, of the Dirichlet distribution with concentrations self, from the default generator. */
  _sampleDirichlet(self: T | Scalar, options?: { generator?: null | null }): T;
  _sampleDirichlet(self: T | Scalar, generator?: null | null): T;
  /** scaled_dot_product_attention, and the logarithm of the sum of exponentials of each row of scores. */
  _scaledDotProductFlashAttentionForCpu(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    options?: { dropoutP?: number; isCausal?: boolean; attnMask?: T | Scalar | null; scale?: number | null },
  ): [T, T];
  _scaledDotProductFlashAttentionForCpu(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    dropoutP?: number,
    isCausal?: boolean,
    options?: { attnMask?: T | Scalar | null; scale?: number | null },
  ): [T, T];
  /** The product of matrices of 8-bit floats times their scales, [m, k] by [k, n]; scales are one number each, or [m, 1] and [1, n]. Sums are float32, whatever use_fast_accum asks for; results in 8 bits are divided by scale_result. */
  _scaledMm(
    self: T | Scalar,
    mat2: T | Scalar,
    scaleA: T | Scalar,
    scaleB: T | Scalar,
    options?: {
      bias?: T | Scalar | null;
      scaleResult?: T | Scalar | null;
      outDtype?: DType | null;
      useFastAccum?: boolean;
    },
  ): T;
  _scaledMm(
    self: T | Scalar,
    mat2: T | Scalar,
    scaleA: T | Scalar,
    scaleB: T | Scalar,
    bias?: T | Scalar | null,
    scaleResult?: T | Scalar | null,
    outDtype?: DType | null,
    useFastAccum?: boolean,
  ): T;
  /** The sizes as an int64 vector. */
  _shapeAsTensor(self: T | Scalar): T;
  /** exp(x) / sum(exp(x)) along a dimension. */
  _softmax(self: T | Scalar, dim: Size, halfToFloat: boolean): T;
  /** The gradient of softmax, from its result. */
  _softmaxBackwardData(gradOutput: T | Scalar, output: T | Scalar, dim: Size, inputDtype: DType): T;
  /** Tensors of one shape one after the other along a new dimension. */
  _stack(tensors: readonly T[], options?: { dim?: Size }): T;
  _stack(tensors: readonly T[], dim?: Size): T;
  /** Gamma variables with concentrations self and scale 1, from the default generator. */
  _standardGamma(self: T | Scalar, options?: { generator?: null | null }): T;
  _standardGamma(self: T | Scalar, generator?: null | null): T;
  /** The derivative of gamma variables by the concentrations that they were drawn with. */
  _standardGammaGrad(self: T | Scalar, output: T | Scalar): T;
  /** A copy in another dtype, on another device, or in another memory format. Floats become integers by truncation. */
  _toCopy(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      nonBlocking?: boolean;
      memoryFormat?: string | null;
    },
  ): T;
  /** The product of three tensors, each with new dimensions at the places named, summed over dimensions. */
  _trilinear(
    i1: T | Scalar,
    i2: T | Scalar,
    i3: T | Scalar,
    expand1: readonly Size[],
    expand2: readonly Size[],
    expand3: readonly Size[],
    sumdim: readonly Size[],
    options?: { unrollDim?: Size },
  ): T;
  _trilinear(
    i1: T | Scalar,
    i2: T | Scalar,
    i3: T | Scalar,
    expand1: readonly Size[],
    expand2: readonly Size[],
    expand3: readonly Size[],
    sumdim: readonly Size[],
    unrollDim?: Size,
  ): T;
  /** The distinct elements, and for each element which of them it is. */
  _unique(self: T | Scalar, options?: { sorted?: boolean; returnInverse?: boolean }): [T, T];
  _unique(self: T | Scalar, sorted?: boolean, returnInverse?: boolean): [T, T];
  /** The distinct elements in ascending order; on demand which of them each element is, and how often each occurs. */
  _unique2(
    self: T | Scalar,
    options?: { sorted?: boolean; returnInverse?: boolean; returnCounts?: boolean },
  ): [T, T, T];
  _unique2(self: T | Scalar, sorted?: boolean, returnInverse?: boolean, returnCounts?: boolean): [T, T, T];
  /** self at the positions that index tensors name, broadcast together; null takes a whole dimension, a mask selects where it holds. */
  _unsafeIndex(self: T | Scalar, indices: readonly (T | null)[]): T;
  /** self with values written (or added) at lists of indices, one tensor or None for each dimension. */
  _unsafeIndexPut(
    self: T | Scalar,
    indices: readonly (T | null)[],
    values: T | Scalar,
    options?: { accumulate?: boolean },
  ): T;
  _unsafeIndexPut(self: T | Scalar, indices: readonly (T | null)[], values: T | Scalar, accumulate?: boolean): T;
  /** self at lists of indices where the mask holds, else fill: what the mask leaves out may lie out of bounds. */
  _unsafeMaskedIndex(self: T | Scalar, mask: T | Scalar, indices: readonly (T | null)[], fill: Scalar): T;
  /** self with values added at lists of indices where the mask holds: what it leaves out may lie out of bounds. */
  _unsafeMaskedIndexPutAccumulate(
    self: T | Scalar,
    mask: T | Scalar,
    indices: readonly (T | null)[],
    values: T | Scalar,
  ): T;
  /** The same elements in another shape, of a tensor that nothing else uses. */
  _unsafeView(self: T | Scalar, size: readonly Size[]): T;
  /** Antialiased bicubic interpolation of images. */
  _upsampleBicubic2dAa(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleBicubic2dAa(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  _upsampleBicubic2dAa(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    alignCorners: boolean,
    scaleFactors: readonly number[] | null,
  ): T;
  /** Antialiased bilinear interpolation of images. */
  _upsampleBilinear2dAa(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleBilinear2dAa(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  _upsampleBilinear2dAa(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    alignCorners: boolean,
    scaleFactors: readonly number[] | null,
  ): T;
  /** The nearest element, by pixel centres of the last dimension. */
  _upsampleNearestExact1d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    options?: { scales?: number | null },
  ): T;
  _upsampleNearestExact1d(self: T | Scalar, outputSize: Size | readonly Size[], scales?: number | null): T;
  _upsampleNearestExact1d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    scaleFactors: readonly number[] | null,
  ): T;
  /** The nearest element, by pixel centres of the last 2 dimensions. */
  _upsampleNearestExact2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleNearestExact2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  _upsampleNearestExact2d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    scaleFactors: readonly number[] | null,
  ): T;
  /** The nearest element, by pixel centres of the last 3 dimensions. */
  _upsampleNearestExact3d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    options?: { scalesD?: number | null; scalesH?: number | null; scalesW?: number | null },
  ): T;
  _upsampleNearestExact3d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    scalesD?: number | null,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  _upsampleNearestExact3d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    scaleFactors: readonly number[] | null,
  ): T;
  /** v scaled so that its norms over all dimensions but dim are g. */
  _weightNorm(v: T | Scalar, g: T | Scalar, options?: { dim?: Size }): T;
  _weightNorm(v: T | Scalar, g: T | Scalar, dim?: Size): T;
  /** _weight_norm and the norms that v had. */
  _weightNormInterface(v: T | Scalar, g: T | Scalar, options?: { dim?: Size }): [T, T];
  _weightNormInterface(v: T | Scalar, g: T | Scalar, dim?: Size): [T, T];
  /** The absolute value. */
  abs(self: T | Scalar): T;
  /** The absolute value. */
  abs_(self: T | Scalar): T;
  /** The absolute value. */
  absolute(self: T | Scalar): T;
  /** The absolute value. */
  absolute_(self: T | Scalar): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  acos(self: T | Scalar): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  acos_(self: T | Scalar): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  acosh(self: T | Scalar): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  acosh_(self: T | Scalar): T;
  /** Means over windows that divide the last dimensions into output_size overlapping parts. */
  adaptiveAvgPool(input: T | Scalar, outputSize: readonly Size[]): T;
  /** Means over windows that divide the last dimension into output_size parts. */
  adaptiveAvgPool1d(self: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** Means over windows that divide the last 2 dimensions into output_size parts. */
  adaptiveAvgPool2d(self: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** Means over windows that divide the last 3 dimensions into output_size parts. */
  adaptiveAvgPool3d(self: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** The gradient of adaptive average pooling. */
  adaptiveAvgPoolInputGrad(grad: T | Scalar, inputSize: readonly Size[]): T;
  /** Maxima over windows that divide the last dimension into output_size parts, and their flat positions. */
  adaptiveMaxPool1d(self: T | Scalar, outputSize: Size | readonly Size[]): [T, T];
  /** Maxima over windows that divide the last 2 dimensions into output_size parts, and their flat positions. */
  adaptiveMaxPool2d(self: T | Scalar, outputSize: Size | readonly Size[]): [T, T];
  /** Maxima over windows that divide the last 3 dimensions into output_size parts, and their flat positions. */
  adaptiveMaxPool3d(self: T | Scalar, outputSize: Size | readonly Size[]): [T, T];
  /** Turns taps of adaptive windows into flat positions of the input plane. */
  adaptiveMaxPoolTapIndices(taps: T | Scalar, inputSize: readonly Size[], outputSize: readonly Size[]): T;
  /** Which element of its window each adaptive maximum is, within the largest window. */
  adaptiveMaxPoolTaps(input: T | Scalar, outputSize: readonly Size[]): T;
  /** self + alpha × other, broadcast. */
  add(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  add(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  add(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** self + alpha × other, broadcast. */
  add_(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  add_(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  add_(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** beta × self + alpha × the sum of the products of the batch. */
  addbmm_(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** self + value × tensor1 / tensor2, broadcast; floating point only. */
  addcdiv(self: T | Scalar, tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** self + value × tensor1 / tensor2, broadcast; floating point only. */
  addcdiv_(self: T | Scalar, tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** self + value × tensor1 × tensor2, broadcast. */
  addcmul(self: T | Scalar, tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** self + value × tensor1 × tensor2, broadcast. */
  addcmul_(self: T | Scalar, tensor1: T | Scalar, tensor2: T | Scalar, options?: { value?: Scalar }): T;
  /** beta × self + alpha × (mat1 @ mat2); self broadcasts. */
  addmm(self: T | Scalar, mat1: T | Scalar, mat2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  addmm(
    self: T | Scalar,
    mat1: T | Scalar,
    mat2: T | Scalar,
    outDtype: DType,
    options?: { beta?: Scalar; alpha?: Scalar },
  ): T;
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
  /** Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view. */
  adjoint(self: T | Scalar): T;
  /** The state of a generator after `by` draws; `advance_rng_` writes it into the state. */
  advanceRng(state: T | Scalar, options?: { by?: Size }): T;
  advanceRng(state: T | Scalar, by?: Size): T;
  /** The state of a generator after `by` draws; `advance_rng_` writes it into the state. */
  advanceRng_(state: T | Scalar, options?: { by?: Size }): T;
  advanceRng_(state: T | Scalar, by?: Size): T;
  /** Sampling positions [n, h, w, 2] (or [n, d, h, w, 3]) of affine maps theta [n, 2, 3] (or [n, 3, 4]). */
  affineGridGenerator(theta: T | Scalar, size: readonly Size[], alignCorners: boolean): T;
  /** A view of everything. */
  alias(self: T | Scalar): T;
  /** A copy of what alias() shows. */
  aliasCopy(self: T | Scalar): T;
  /** Whether all elements are not 0. */
  all(self: T | Scalar): T;
  all(self: T | Scalar, dim: Size, options?: { keepdim?: boolean }): T;
  all(self: T | Scalar, dim: Size, keepdim?: boolean): T;
  all(self: T | Scalar, options?: { dim?: readonly Size[] | null; keepdim?: boolean }): T;
  all(self: T | Scalar, dim?: readonly Size[] | null, keepdim?: boolean): T;
  /** Dropout that keeps mean and variance of SELU networks: elements become the negative saturation value. */
  alphaDropout(input: T | Scalar, p: number, train: boolean): T;
  /** alpha_dropout, in place. */
  alphaDropout_(self: T | Scalar, p: number, train: boolean): T;
  /** The largest element over dimensions; NaN if there is one. Equals share the gradient. */
  amax(self: T | Scalar, options?: { dim?: Size | readonly Size[]; keepdim?: boolean }): T;
  amax(self: T | Scalar, dim?: Size | readonly Size[], keepdim?: boolean): T;
  /** The smallest element over dimensions; NaN if there is one. Equals share the gradient. */
  amin(self: T | Scalar, options?: { dim?: Size | readonly Size[]; keepdim?: boolean }): T;
  amin(self: T | Scalar, dim?: Size | readonly Size[], keepdim?: boolean): T;
  /** The smallest and the largest element. */
  aminmax(self: T | Scalar, options?: { dim?: Size | null; keepdim?: boolean }): [T, T];
  /** π where self is negative, else 0; NaN stays NaN. */
  angle(self: T | Scalar): T;
  /** The filter of antialiased interpolation as a matrix [output, input]; rows are not normalised. */
  antialiasWeights(
    input: Size,
    output: Size,
    cubic: boolean,
    alignCorners: boolean,
    factor: number,
    options: { dtype: DType; device?: DeviceLike | null },
  ): T;
  /** Whether any element is not 0. */
  any(self: T | Scalar): T;
  any(self: T | Scalar, dim: Size, options?: { keepdim?: boolean }): T;
  any(self: T | Scalar, dim: Size, keepdim?: boolean): T;
  any(self: T | Scalar, options?: { dim?: readonly Size[] | null; keepdim?: boolean }): T;
  any(self: T | Scalar, dim?: readonly Size[] | null, keepdim?: boolean): T;
  /** The integers from 0 to end (exclusive). */
  arange(
    end: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  arange(
    start: Scalar,
    end: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  arange(
    start: Scalar,
    end: Scalar,
    options?: {
      step?: Scalar;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  arange(
    start: Scalar,
    end: Scalar,
    step?: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  arccos(self: T | Scalar): T;
  /** The inverse cosine; NaN outside [-1, 1]. */
  arccos_(self: T | Scalar): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  arccosh(self: T | Scalar): T;
  /** The inverse hyperbolic cosine; NaN below 1. */
  arccosh_(self: T | Scalar): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  arcsin(self: T | Scalar): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  arcsin_(self: T | Scalar): T;
  /** The inverse hyperbolic sine. */
  arcsinh(self: T | Scalar): T;
  /** The inverse hyperbolic sine. */
  arcsinh_(self: T | Scalar): T;
  /** The inverse tangent. */
  arctan(self: T | Scalar): T;
  /** The angle of the point (other, self), in (-π, π]. */
  arctan2(self: T | Scalar, other: T | Scalar): T;
  /** The angle of the point (other, self), in (-π, π]. */
  arctan2_(self: T | Scalar, other: T | Scalar): T;
  /** The inverse tangent. */
  arctan_(self: T | Scalar): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  arctanh(self: T | Scalar): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  arctanh_(self: T | Scalar): T;
  /** The index of the largest element along dim, the first of equals; of the flattened tensor if dim is null. */
  argmax(self: T | Scalar, options?: { dim?: Size | null; keepdim?: boolean }): T;
  argmax(self: T | Scalar, dim?: Size | null, keepdim?: boolean): T;
  /** The index of the smallest element along dim, the first of equals; of the flattened tensor if dim is null. */
  argmin(self: T | Scalar, options?: { dim?: Size | null; keepdim?: boolean }): T;
  argmin(self: T | Scalar, dim?: Size | null, keepdim?: boolean): T;
  /** The positions that sort a dimension. */
  argsort(self: T | Scalar, options?: { dim?: Size; descending?: boolean }): T;
  argsort(self: T | Scalar, dim?: Size, descending?: boolean): T;
  argsort(self: T | Scalar, options: { stable: boolean; dim?: Size; descending?: boolean }): T;
  /** The positions of elements that are not 0, [number, dimensions]. */
  argwhere(self: T | Scalar): T;
  /** A view of self's storage with any shape, strides and offset. */
  asStrided(
    self: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    options?: { storageOffset?: Size | null },
  ): T;
  asStrided(self: T | Scalar, size: readonly Size[], stride: readonly Size[], storageOffset?: Size | null): T;
  /** The gradient of as_strided over contiguous storage: elements that share memory add up. */
  asStridedBackward(
    gradOutput: T | Scalar,
    inputSizes: readonly Size[],
    size: readonly Size[],
    stride: readonly Size[],
    storageOffset: Size,
  ): T;
  /** A copy of what as_strided() shows. */
  asStridedCopy(
    self: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    options?: { storageOffset?: Size | null },
  ): T;
  asStridedCopy(self: T | Scalar, size: readonly Size[], stride: readonly Size[], storageOffset?: Size | null): T;
  /** self with src in the place of as_strided(size, stride, storage_offset); self is all of its storage, in order. */
  asStridedPut(
    self: T | Scalar,
    src: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    storageOffset: Size,
  ): T;
  /** self with src in the place of as_strided(size, stride, storageOffset) in self's storage. */
  asStridedScatter(
    self: T | Scalar,
    src: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    options?: { storageOffset?: Size | null },
  ): T;
  asStridedScatter(
    self: T | Scalar,
    src: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    storageOffset?: Size | null,
  ): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  asin(self: T | Scalar): T;
  /** The inverse sine; NaN outside [-1, 1]. */
  asin_(self: T | Scalar): T;
  /** The inverse hyperbolic sine. */
  asinh(self: T | Scalar): T;
  /** The inverse hyperbolic sine. */
  asinh_(self: T | Scalar): T;
  /** wanted, a count, if there are so many elements; raises otherwise. */
  assertEnough(wanted: T | Scalar, available: Size, name: string): T;
  /** value, if info is 0 everywhere; raises otherwise. */
  assertRegular(value: T | Scalar, info: T | Scalar, name: string): T;
  /** The inverse tangent. */
  atan(self: T | Scalar): T;
  /** The angle of the point (other, self), in (-π, π]. */
  atan2(self: T | Scalar, other: T | Scalar): T;
  /** The angle of the point (other, self), in (-π, π]. */
  atan2_(self: T | Scalar, other: T | Scalar): T;
  /** The inverse tangent. */
  atan_(self: T | Scalar): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  atanh(self: T | Scalar): T;
  /** The inverse hyperbolic tangent; NaN outside [-1, 1]. */
  atanh_(self: T | Scalar): T;
  /** A view with at least 1 dimension. */
  atleast1d(self: T | Scalar): T;
  atleast1d(tensors: readonly T[]): T[];
  /** A view with at least 2 dimensions. */
  atleast2d(self: T | Scalar): T;
  atleast2d(tensors: readonly T[]): T[];
  /** A view with at least 3 dimensions. */
  atleast3d(self: T | Scalar): T;
  atleast3d(tensors: readonly T[]): T[];
  /** softmax(query · keyᵀ · scale + mask) · value. */
  attention(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    attnMask: T | Scalar | null,
    isCausal: boolean,
    scale: number,
  ): T;
  /** attention, and the logarithm of the sum of exponentials of each row of scores. */
  attentionForward(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    attnMask: T | Scalar | null,
    isCausal: boolean,
    scale: number,
  ): [T, T];
  /** The gradients of attention's key and value, before they are summed over dimensions that were broadcast. */
  attentionKeyValueGrad(
    grad: T | Scalar,
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    lse: T | Scalar,
    delta: T | Scalar,
    attnMask: T | Scalar | null,
    isCausal: boolean,
    scale: number,
  ): [T, T];
  /** The gradient of attention's query, before it is summed over dimensions that were broadcast. */
  attentionQueryGrad(
    grad: T | Scalar,
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    lse: T | Scalar,
    delta: T | Scalar,
    attnMask: T | Scalar | null,
    isCausal: boolean,
    scale: number,
  ): T;
  /** attention whose probabilities are dropped by numbers from a generator's state. */
  attentionWithDropout(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    attnMask: T | Scalar | null,
    state: T | Scalar,
    dropoutP: number,
    isCausal: boolean,
    scale: number,
  ): T;
  /** The mean of each window over the last dimensions. */
  avgPool(
    input: T | Scalar,
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    ceilMode: boolean,
    countIncludePad: boolean,
    divisorOverride: Size | null,
  ): T;
  /** The mean of each window over the last dimension; the stride defaults to the kernel size. */
  avgPool1d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      ceilMode?: boolean;
      countIncludePad?: boolean;
    },
  ): T;
  avgPool1d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    ceilMode?: boolean,
    countIncludePad?: boolean,
  ): T;
  /** The mean of each window over the last 2 dimensions; the stride defaults to the kernel size. */
  avgPool2d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      ceilMode?: boolean;
      countIncludePad?: boolean;
      divisorOverride?: Size | null;
    },
  ): T;
  avgPool2d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    ceilMode?: boolean,
    countIncludePad?: boolean,
    divisorOverride?: Size | null,
  ): T;
  /** The gradient of avg_pool2d. */
  avgPool2dBackward(
    gradOutput: T | Scalar,
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride: Size | readonly Size[],
    padding: Size | readonly Size[],
    ceilMode: boolean,
    countIncludePad: boolean,
    divisorOverride: Size | null,
  ): T;
  /** The mean of each window over the last 3 dimensions; the stride defaults to the kernel size. */
  avgPool3d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      ceilMode?: boolean;
      countIncludePad?: boolean;
      divisorOverride?: Size | null;
    },
  ): T;
  avgPool3d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    ceilMode?: boolean,
    countIncludePad?: boolean,
    divisorOverride?: Size | null,
  ): T;
  /** The gradient of avg_pool3d. */
  avgPool3dBackward(
    gradOutput: T | Scalar,
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride: Size | readonly Size[],
    padding: Size | readonly Size[],
    ceilMode: boolean,
    countIncludePad: boolean,
    divisorOverride: Size | null,
  ): T;
  /** The gradient of average pooling: each input element gathers from the windows that hold it. */
  avgPoolInputGrad(
    grad: T | Scalar,
    inputSize: readonly Size[],
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    ceilMode: boolean,
    countIncludePad: boolean,
    divisorOverride: Size | null,
  ): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  baddbmm(
    self: T | Scalar,
    batch1: T | Scalar,
    batch2: T | Scalar,
    outDtype: DType,
    options?: { beta?: Scalar; alpha?: Scalar },
  ): T;
  /** beta × self + alpha × bmm(batch1, batch2); self broadcasts. */
  baddbmm_(self: T | Scalar, batch1: T | Scalar, batch2: T | Scalar, options?: { beta?: Scalar; alpha?: Scalar }): T;
  /** The bartlett window of so many elements; periodic ones (the default) repeat without a seam. */
  bartlettWindow(
    windowLength: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  bartlettWindow(
    windowLength: Size,
    periodic: boolean,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** Normalises each channel over the batch, or by running statistics; updates these when training. */
  batchNorm(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar | null,
    runningVar: T | Scalar | null,
    training: boolean,
    momentum: number,
    eps: number,
    cudnnEnabled: boolean,
  ): T;
  /** Batch normalisation by the batch's statistics; also their mean, reciprocal deviation and variance, [C]. */
  batchNormTrain(input: T | Scalar, weight: T | Scalar | null, bias: T | Scalar | null, eps: number): [T, T, T, T];
  /** 1 with the probability that self holds, else 0; from the default generator. */
  bernoulli(self: T | Scalar, options?: { generator?: null | null }): T;
  bernoulli(self: T | Scalar, p: number, options?: { generator?: null | null }): T;
  bernoulli(self: T | Scalar, p: T | Scalar, options?: { generator?: null | null }): T;
  /** Fills self with 1 with probability p, else 0; from the default generator. */
  bernoulli_(self: T | Scalar, options?: { p?: number; generator?: null | null }): T;
  bernoulli_(self: T | Scalar, p?: number, options?: { generator?: null | null }): T;
  bernoulli_(self: T | Scalar, p: T | Scalar, options?: { generator?: null | null }): T;
  /** x1 · W · x2 + bias for each output; weight is [out, in1, in2]. */
  bilinear(input1: T | Scalar, input2: T | Scalar, weight: T | Scalar, options?: { bias?: T | Scalar | null }): T;
  bilinear(input1: T | Scalar, input2: T | Scalar, weight: T | Scalar, bias?: T | Scalar | null): T;
  /** Cross entropy of probabilities with binary targets. */
  binaryCrossEntropy(
    self: T | Scalar,
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; reduction?: Size },
  ): T;
  binaryCrossEntropy(self: T | Scalar, target: T | Scalar, weight?: T | Scalar | null, reduction?: Size): T;
  /** -(t·log(x) + (1 - t)·log(1 - x)), logarithms bounded by -100. */
  binaryCrossEntropyTerms(input: T | Scalar, target: T | Scalar): T;
  /** Cross entropy of sigmoid(self) with binary targets, computed from the logits. */
  binaryCrossEntropyWithLogits(
    self: T | Scalar,
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; posWeight?: T | Scalar | null; reduction?: Size },
  ): T;
  binaryCrossEntropyWithLogits(
    self: T | Scalar,
    target: T | Scalar,
    weight?: T | Scalar | null,
    posWeight?: T | Scalar | null,
    reduction?: Size,
  ): T;
  /** How often each of 0, 1, 2, … occurs in a vector; or the sums of their weights. */
  bincount(self: T | Scalar, options?: { weights?: T | Scalar | null; minlength?: Size }): T;
  bincount(self: T | Scalar, weights?: T | Scalar | null, minlength?: Size): T;
  /** Numbers of successes of count trials that succeed with probability prob, from the default generator. */
  binomial(count: T | Scalar, prob: T | Scalar, options?: { generator?: null | null }): T;
  binomial(count: T | Scalar, prob: T | Scalar, generator?: null | null): T;
  /** Bits that are set in both. */
  bitwiseAnd(self: T | Scalar, other: T | Scalar): T;
  bitwiseAnd(self: T | Scalar, other: Scalar): T;
  bitwiseAnd(self: Scalar, other: T | Scalar): T;
  /** Bits that are set in both. */
  bitwiseAnd_(self: T | Scalar, other: T | Scalar): T;
  bitwiseAnd_(self: T | Scalar, other: Scalar): T;
  /** Bits moved towards the high end. */
  bitwiseLeftShift(self: T | Scalar, other: T | Scalar): T;
  bitwiseLeftShift(self: T | Scalar, other: Scalar): T;
  bitwiseLeftShift(self: Scalar, other: T | Scalar): T;
  /** Bits moved towards the high end. */
  bitwiseLeftShift_(self: T | Scalar, other: T | Scalar): T;
  bitwiseLeftShift_(self: T | Scalar, other: Scalar): T;
  /** All bits inverted; logical negation of bools. */
  bitwiseNot(self: T | Scalar): T;
  /** All bits inverted; logical negation of bools. */
  bitwiseNot_(self: T | Scalar): T;
  /** Bits that are set in at least one. */
  bitwiseOr(self: T | Scalar, other: T | Scalar): T;
  bitwiseOr(self: T | Scalar, other: Scalar): T;
  bitwiseOr(self: Scalar, other: T | Scalar): T;
  /** Bits that are set in at least one. */
  bitwiseOr_(self: T | Scalar, other: T | Scalar): T;
  bitwiseOr_(self: T | Scalar, other: Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  bitwiseRightShift(self: T | Scalar, other: T | Scalar): T;
  bitwiseRightShift(self: T | Scalar, other: Scalar): T;
  bitwiseRightShift(self: Scalar, other: T | Scalar): T;
  /** Bits moved towards the low end, the sign kept. */
  bitwiseRightShift_(self: T | Scalar, other: T | Scalar): T;
  bitwiseRightShift_(self: T | Scalar, other: Scalar): T;
  /** Bits that are set in exactly one. */
  bitwiseXor(self: T | Scalar, other: T | Scalar): T;
  bitwiseXor(self: T | Scalar, other: Scalar): T;
  bitwiseXor(self: Scalar, other: T | Scalar): T;
  /** Bits that are set in exactly one. */
  bitwiseXor_(self: T | Scalar, other: T | Scalar): T;
  bitwiseXor_(self: T | Scalar, other: Scalar): T;
  /** The blackman window of so many elements; periodic ones (the default) repeat without a seam. */
  blackmanWindow(
    windowLength: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  blackmanWindow(
    windowLength: Size,
    periodic: boolean,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** A matrix with the tensors as blocks on its diagonal, zeros elsewhere. */
  blockDiag(tensors: readonly T[]): T;
  /** Products of matrices in a batch, [b, n, k] by [b, k, p]. */
  bmm(self: T | Scalar, mat2: T | Scalar): T;
  bmm(self: T | Scalar, mat2: T | Scalar, outDtype: DType): T;
  /** Views of all tensors in the shape that they broadcast to. */
  broadcastTensors(tensors: readonly T[]): T[];
  /** self expanded to a shape that it broadcasts to. */
  broadcastTo(self: T | Scalar, size: readonly Size[]): T;
  /** The bucket of each value, between sorted boundaries. */
  bucketize(self: T | Scalar, boundaries: T | Scalar, options?: { outInt32?: boolean; right?: boolean }): T;
  /** All tuples of one element of each vector, as rows; a single vector stays as it is. */
  cartesianProd(tensors: readonly T[]): T;
  /** Tensors one after the other along an existing dimension, promoted to one dtype. */
  cat(tensors: readonly T[], options?: { dim?: Size }): T;
  cat(tensors: readonly T[], dim?: Size): T;
  /** Numbers of the Cauchy distribution around median with scale sigma, in the shape of self, from the default generator. */
  cauchy(self: T | Scalar, options?: { median?: number; sigma?: number; generator?: null | null }): T;
  cauchy(self: T | Scalar, median?: number, sigma?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers of the Cauchy distribution around median with scale sigma, from the default generator. */
  cauchy_(self: T | Scalar, options?: { median?: number; sigma?: number; generator?: null | null }): T;
  cauchy_(self: T | Scalar, median?: number, sigma?: number, options?: { generator?: null | null }): T;
  /** Keeps elements at or below the diagonal of the last two dimensions and writes a number elsewhere. */
  causalFill(input: T | Scalar, value: number): T;
  /** The p-norm distance of every row of x1 to every row of x2; leading dimensions broadcast. */
  cdist(x1: T | Scalar, x2: T | Scalar, options?: { p?: number; computeMode?: Size | null }): T;
  cdist(x1: T | Scalar, x2: T | Scalar, p?: number, computeMode?: Size | null): T;
  /** The smallest integer not below self. */
  ceil(self: T | Scalar): T;
  /** The smallest integer not below self. */
  ceil_(self: T | Scalar): T;
  /** x where it is positive, else alpha × (exp(x / alpha) - 1). */
  celu(self: T | Scalar, options?: { alpha?: Scalar }): T;
  celu(self: T | Scalar, alpha?: Scalar): T;
  /** x where it is positive, else alpha × (exp(x / alpha) - 1). */
  celu_(self: T | Scalar, options?: { alpha?: Scalar }): T;
  celu_(self: T | Scalar, alpha?: Scalar): T;
  /** The product of a chain of matrices; the first and the last may be vectors. */
  chainMatmul(matrices: readonly T[]): T;
  /** Interleaves groups of channels. */
  channelShuffle(self: T | Scalar, groups: Size): T;
  /** self, if no element is negative or, with sums, infinite or NaN, and each row of the last dimension has a positive sum. */
  checkedWeights(self: T | Scalar, where: string, sums: boolean): T;
  /** The triangular factor of symmetric positive definite matrices. */
  cholesky(self: T | Scalar, options?: { upper?: boolean }): T;
  cholesky(self: T | Scalar, upper?: boolean): T;
  /** The inverse of the matrices whose Cholesky factor is self. */
  choleskyInverse(self: T | Scalar, options?: { upper?: boolean }): T;
  choleskyInverse(self: T | Scalar, upper?: boolean): T;
  /** X with A X = self, where input2 is the Cholesky factor of A. */
  choleskySolve(self: T | Scalar, input2: T | Scalar, options?: { upper?: boolean }): T;
  choleskySolve(self: T | Scalar, input2: T | Scalar, upper?: boolean): T;
  /** At most chunks pieces of equal size along dim; the last may be shorter. */
  chunk(self: T | Scalar, chunks: Size, options?: { dim?: Size }): T[];
  chunk(self: T | Scalar, chunks: Size, dim?: Size): T[];
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clamp(self: T | Scalar, options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clamp(self: T | Scalar, min?: Scalar | null, max?: Scalar | null): T;
  clamp(self: T | Scalar, options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clamp(self: T | Scalar, min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** self, but not above max. */
  clampMax(self: T | Scalar, max: Scalar): T;
  clampMax(self: T | Scalar, max: T | Scalar): T;
  /** self, but not above max. */
  clampMax_(self: T | Scalar, max: Scalar): T;
  clampMax_(self: T | Scalar, max: T | Scalar): T;
  /** self, but not below min. */
  clampMin(self: T | Scalar, min: Scalar): T;
  clampMin(self: T | Scalar, min: T | Scalar): T;
  /** self, but not below min. */
  clampMin_(self: T | Scalar, min: Scalar): T;
  clampMin_(self: T | Scalar, min: T | Scalar): T;
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clamp_(self: T | Scalar, options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clamp_(self: T | Scalar, min?: Scalar | null, max?: Scalar | null): T;
  clamp_(self: T | Scalar, options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clamp_(self: T | Scalar, min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clip(self: T | Scalar, options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clip(self: T | Scalar, min?: Scalar | null, max?: Scalar | null): T;
  clip(self: T | Scalar, options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clip(self: T | Scalar, min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** self, but not below min nor above max; a bound that is null does not bound. */
  clip_(self: T | Scalar, options?: { min?: Scalar | null; max?: Scalar | null }): T;
  clip_(self: T | Scalar, min?: Scalar | null, max?: Scalar | null): T;
  clip_(self: T | Scalar, options?: { min?: T | Scalar | null; max?: T | Scalar | null }): T;
  clip_(self: T | Scalar, min?: T | Scalar | null, max?: T | Scalar | null): T;
  /** A copy, with the same strides where they leave no gaps unless a memory format is given. */
  clone(self: T | Scalar, options?: { memoryFormat?: string | null }): T;
  /** The cofactors of square matrices: the gradient of the determinant, also where it is 0. */
  cofactorMatrix(self: T | Scalar): T;
  /** Patches added up to the image that they came from. */
  col2im(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    kernelSize: Size | readonly Size[],
    dilation: Size | readonly Size[],
    padding: Size | readonly Size[],
    stride: Size | readonly Size[],
  ): T;
  /** Tensors one after the other along a fixed dimension, which those that lack it get first. */
  columnStack(tensors: readonly T[]): T;
  /** All ascending choices of r of n positions, as rows. */
  combinationPositions(n: Size, r: Size, withReplacement: boolean): T;
  /** All choices of r elements of a vector, in order of position, as rows. */
  combinations(self: T | Scalar, options?: { r?: Size; withReplacement?: boolean }): T;
  combinations(self: T | Scalar, r?: Size, withReplacement?: boolean): T;
  /** Complex numbers from real and imaginary parts. */
  complex(real: T | Scalar, imag: T | Scalar): T;
  /** Tensors one after the other along an existing dimension, promoted to one dtype. */
  concat(tensors: readonly T[], options?: { dim?: Size }): T;
  concat(tensors: readonly T[], dim?: Size): T;
  /** Tensors one after the other along an existing dimension, promoted to one dtype. */
  concatenate(tensors: readonly T[], options?: { dim?: Size }): T;
  concatenate(tensors: readonly T[], dim?: Size): T;
  /** The tensor itself: it is real. */
  conj(self: T | Scalar): T;
  /** The tensor itself: it is real. */
  conjPhysical(self: T | Scalar): T;
  /** The tensor itself: it is real. */
  conjPhysical_(self: T | Scalar): T;
  /** self with value around it; negative padding crops. */
  constantPadNd(self: T | Scalar, pad: readonly Size[], options?: { value?: Scalar }): T;
  constantPadNd(self: T | Scalar, pad: readonly Size[], value?: Scalar): T;
  /** self if its elements lie in order, else a copy in which they do. */
  contiguous(self: T | Scalar, options?: { memoryFormat?: string }): T;
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
  /** Convolution over time of [time, batch, channels] with weights [width, in, out]. */
  convTbc(self: T | Scalar, weight: T | Scalar, bias: T | Scalar, options?: { pad?: Size }): T;
  convTbc(self: T | Scalar, weight: T | Scalar, bias: T | Scalar, pad?: Size): T;
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
  /** src, broadcast to the shape of self and cast to its dtype. */
  copy(self: T | Scalar, src: T | Scalar, options?: { nonBlocking?: boolean }): T;
  copy(self: T | Scalar, src: T | Scalar, nonBlocking?: boolean): T;
  /** src, broadcast to the shape of self and cast to its dtype. */
  copy_(self: T | Scalar, src: T | Scalar, options?: { nonBlocking?: boolean }): T;
  copy_(self: T | Scalar, src: T | Scalar, nonBlocking?: boolean): T;
  /** The absolute value of self with the sign of other, signed zeros included. */
  copysign(self: T | Scalar, other: T | Scalar): T;
  copysign(self: T | Scalar, other: Scalar): T;
  /** The absolute value of self with the sign of other, signed zeros included. */
  copysign_(self: T | Scalar, other: T | Scalar): T;
  copysign_(self: T | Scalar, other: Scalar): T;
  /** The correlations of rows, between -1 and 1. */
  corrcoef(self: T | Scalar): T;
  /** The cosine. */
  cos(self: T | Scalar): T;
  /** The cosine. */
  cos_(self: T | Scalar): T;
  /** The hyperbolic cosine. */
  cosh(self: T | Scalar): T;
  /** The hyperbolic cosine. */
  cosh_(self: T | Scalar): T;
  /** 1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1. */
  cosineEmbeddingLoss(
    input1: T | Scalar,
    input2: T | Scalar,
    target: T | Scalar,
    options?: { margin?: number; reduction?: Size },
  ): T;
  cosineEmbeddingLoss(input1: T | Scalar, input2: T | Scalar, target: T | Scalar, margin?: number, reduction?: Size): T;
  /** The cosine of the angle between x1 and x2 along dim; norms below eps count as eps. */
  cosineSimilarity(x1: T | Scalar, x2: T | Scalar, options?: { dim?: Size; eps?: number }): T;
  cosineSimilarity(x1: T | Scalar, x2: T | Scalar, dim?: Size, eps?: number): T;
  /** How many elements are not 0. */
  countNonzero(self: T | Scalar, options?: { dim?: Size | null }): T;
  countNonzero(self: T | Scalar, dim?: Size | null): T;
  countNonzero(self: T | Scalar, dim: readonly Size[]): T;
  /** The covariances of rows; a single row gives its variance. */
  cov(self: T | Scalar, options?: { correction?: Size; fweights?: T | Scalar | null; aweights?: T | Scalar | null }): T;
  /** The cross product along dim, by default the first dimension of size 3. */
  cross(self: T | Scalar, other: T | Scalar, options?: { dim?: Size | null }): T;
  cross(self: T | Scalar, other: T | Scalar, dim?: Size | null): T;
  /** Cross entropy of softmax(self) along the classes [N, C, …] with classes [N, …] or probabilities [N, C, …]. */
  crossEntropyLoss(
    self: T | Scalar,
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size; labelSmoothing?: number },
  ): T;
  crossEntropyLoss(
    self: T | Scalar,
    target: T | Scalar,
    weight?: T | Scalar | null,
    reduction?: Size,
    ignoreIndex?: Size,
    labelSmoothing?: number,
  ): T;
  /** The negative log likelihood of label sequences under any alignment with blanks. */
  ctcLoss(
    logProbs: T | Scalar,
    targets: T | Scalar,
    inputLengths: readonly Size[],
    targetLengths: readonly Size[],
    options?: { blank?: Size; reduction?: Size; zeroInfinity?: boolean },
  ): T;
  ctcLoss(
    logProbs: T | Scalar,
    targets: T | Scalar,
    inputLengths: readonly Size[],
    targetLengths: readonly Size[],
    blank?: Size,
    reduction?: Size,
    zeroInfinity?: boolean,
  ): T;
  /** The largest element so far along dim, and its position. */
  cummax(self: T | Scalar, dim: Size): [T, T];
  /** The smallest element so far along dim, and its position. */
  cummin(self: T | Scalar, dim: Size): [T, T];
  /** Running products along dim; integers multiply in int64. */
  cumprod(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  /** Running products along dim; integers multiply in int64. */
  cumprod_(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  /** Running sums along dim; integers sum up in int64. */
  cumsum(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  /** Running sums along dim; integers sum up in int64. */
  cumsum_(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  /** The running integral along dim by the trapezoidal rule, at the points x. */
  cumulativeTrapezoid(y: T | Scalar, x: T | Scalar, options?: { dim?: Size }): T;
  cumulativeTrapezoid(y: T | Scalar, options?: { dx?: Scalar; dim?: Size }): T;
  /** Degrees to radians. */
  deg2rad(self: T | Scalar): T;
  /** Degrees to radians. */
  deg2rad_(self: T | Scalar): T;
  /** The determinant of square matrices. */
  det(self: T | Scalar): T;
  /** A view through which no gradient flows. */
  detach(self: T | Scalar): T;
  /** A copy of what detach() shows. */
  detachCopy(self: T | Scalar): T;
  /** The diagonal of a matrix, or a matrix with the given vector on a diagonal. */
  diag(self: T | Scalar, options?: { diagonal?: Size }): T;
  diag(self: T | Scalar, diagonal?: Size): T;
  /** Matrices with the last dimension of self on a diagonal, zeros elsewhere. */
  diagEmbed(self: T | Scalar, options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagEmbed(self: T | Scalar, offset?: Size, dim1?: Size, dim2?: Size): T;
  /** A matrix with the flattened self on a diagonal. */
  diagflat(self: T | Scalar, options?: { offset?: Size }): T;
  diagflat(self: T | Scalar, offset?: Size): T;
  /** The diagonal of two dimensions as last dimension; offset moves it up (positive) or down. */
  diagonal(self: T | Scalar, options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagonal(self: T | Scalar, offset?: Size, dim1?: Size, dim2?: Size): T;
  /** Zeros with gradOutput in the place of diagonal(offset, dim1, dim2). */
  diagonalBackward(gradOutput: T | Scalar, inputSizes: readonly Size[], offset: Size, dim1: Size, dim2: Size): T;
  /** A copy of what diagonal() shows. */
  diagonalCopy(self: T | Scalar, options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagonalCopy(self: T | Scalar, offset?: Size, dim1?: Size, dim2?: Size): T;
  /** self with src in the place of diagonal(offset, dim1, dim2). */
  diagonalScatter(self: T | Scalar, src: T | Scalar, options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  diagonalScatter(self: T | Scalar, src: T | Scalar, offset?: Size, dim1?: Size, dim2?: Size): T;
  /** The n-th difference of neighbours along dim, with other tensors put before and after first. */
  diff(
    self: T | Scalar,
    options?: { n?: Size; dim?: Size; prepend?: T | Scalar | null; append?: T | Scalar | null },
  ): T;
  diff(self: T | Scalar, n?: Size, dim?: Size, prepend?: T | Scalar | null, append?: T | Scalar | null): T;
  /** The derivative of lgamma. */
  digamma(self: T | Scalar): T;
  /** The derivative of lgamma. */
  digamma_(self: T | Scalar): T;
  /** The p-norm of self - other over all elements. */
  dist(self: T | Scalar, other: T | Scalar, options?: { p?: Scalar }): T;
  dist(self: T | Scalar, other: T | Scalar, p?: Scalar): T;
  /** self / other, broadcast; integers become the default float. */
  div(self: T | Scalar, other: T | Scalar): T;
  div(self: T | Scalar, other: Scalar): T;
  div(self: T | Scalar, other: T | Scalar, options: { roundingMode: string | null }): T;
  div(self: T | Scalar, other: Scalar, options: { roundingMode: string | null }): T;
  /** self / other, broadcast; integers become the default float. */
  div_(self: T | Scalar, other: T | Scalar): T;
  div_(self: T | Scalar, other: Scalar): T;
  div_(self: T | Scalar, other: T | Scalar, options: { roundingMode: string | null }): T;
  div_(self: T | Scalar, other: Scalar, options: { roundingMode: string | null }): T;
  /** self / other, broadcast; integers become the default float. */
  divide(self: T | Scalar, other: T | Scalar): T;
  divide(self: T | Scalar, other: Scalar): T;
  divide(self: T | Scalar, other: T | Scalar, options: { roundingMode: string | null }): T;
  divide(self: T | Scalar, other: Scalar, options: { roundingMode: string | null }): T;
  /** self / other, broadcast; integers become the default float. */
  divide_(self: T | Scalar, other: T | Scalar): T;
  divide_(self: T | Scalar, other: Scalar): T;
  divide_(self: T | Scalar, other: T | Scalar, options: { roundingMode: string | null }): T;
  divide_(self: T | Scalar, other: Scalar, options: { roundingMode: string | null }): T;
  /** The inner product of two vectors. */
  dot(self: T | Scalar, tensor: T | Scalar): T;
  /** In training, elements set to 0 with probability p and the others divided by 1 - p; else the input. */
  dropout(input: T | Scalar, p: number, train: boolean): T;
  /** input with elements set to 0 with probability p and the others divided by 1 - p. */
  dropoutWithState(input: T | Scalar, state: T | Scalar, p: number): T;
  /** dropout, in place. */
  dropout_(self: T | Scalar, p: number, train: boolean): T;
  /** Equal pieces along one dimension. */
  dsplit(self: T | Scalar, sections: Size): T[];
  dsplit(self: T | Scalar, indices: readonly Size[]): T[];
  /** Tensors one after the other along a fixed dimension, which those that lack it get first. */
  dstack(tensors: readonly T[]): T;
  /** Eigenvalues [..., n, 2] and eigenvectors [..., n, n, 2] of square matrices, as pairs of real and imaginary parts. */
  eigPairs(self: T | Scalar): [T, T];
  /** Sums products of elements by Einstein's convention, e.g. "bij,bjk->bik"; pairs are joined from left to right. */
  einsum(equation: string, tensors: readonly T[], options?: { path?: readonly Size[] | null }): T;
  /** scale × x where x is positive, else scale × alpha × (exp(inputScale × x) - 1). */
  elu(self: T | Scalar, options?: { alpha?: Scalar; scale?: Scalar; inputScale?: Scalar }): T;
  elu(self: T | Scalar, alpha?: Scalar, scale?: Scalar, inputScale?: Scalar): T;
  /** The gradient of elu, from its input or its result. */
  eluBackward(
    gradOutput: T | Scalar,
    alpha: Scalar,
    scale: Scalar,
    inputScale: Scalar,
    isResult: boolean,
    selfOrResult: T | Scalar,
  ): T;
  /** scale × x where x is positive, else scale × alpha × (exp(inputScale × x) - 1). */
  elu_(self: T | Scalar, options?: { alpha?: Scalar; scale?: Scalar; inputScale?: Scalar }): T;
  elu_(self: T | Scalar, alpha?: Scalar, scale?: Scalar, inputScale?: Scalar): T;
  /** Rows of a table, [rows, width], by index; rows at padding_idx get no gradient. */
  embedding(
    weight: T | Scalar,
    indices: T | Scalar,
    options?: { paddingIdx?: Size; scaleGradByFreq?: boolean; sparse?: boolean },
  ): T;
  embedding(weight: T | Scalar, indices: T | Scalar, paddingIdx?: Size, scaleGradByFreq?: boolean, sparse?: boolean): T;
  /** Sums (mode 0), means (1) or maxima (2) of bags of rows; also the bag of each index, the sizes and the winners, as far as the mode needs them. */
  embeddingBag(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    scaleGradByFreq: boolean,
    mode: Size,
    sparse: boolean,
    perSampleWeights: T | Scalar | null,
    includeLastOffset: boolean,
    paddingIdx: Size | null,
  ): [T, T, T, T];
  embeddingBag(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    options?: {
      scaleGradByFreq?: boolean;
      mode?: Size;
      sparse?: boolean;
      perSampleWeights?: T | Scalar | null;
      includeLastOffset?: boolean;
    },
  ): [T, T, T, T];
  embeddingBag(
    weight: T | Scalar,
    indices: T | Scalar,
    offsets: T | Scalar,
    scaleGradByFreq?: boolean,
    mode?: Size,
    sparse?: boolean,
    perSampleWeights?: T | Scalar | null,
    includeLastOffset?: boolean,
  ): [T, T, T, T];
  /** The gradient of embedding by its table. */
  embeddingDenseBackward(
    gradOutput: T | Scalar,
    indices: T | Scalar,
    numWeights: Size,
    paddingIdx: Size,
    scaleGradByFreq: boolean,
  ): T;
  /** Adds rows into a table of zeros at their indices, except those at padding_idx. */
  embeddingGrad(grad: T | Scalar, indices: T | Scalar, numWeights: Size, paddingIdx: Size): T;
  /** self with the rows that indices name scaled so that their norms are at most max_norm. */
  embeddingRenorm(self: T | Scalar, indices: T | Scalar, maxNorm: number, normType: number): T;
  /** self with the rows that indices name scaled so that their norms are at most max_norm. */
  embeddingRenorm_(self: T | Scalar, indices: T | Scalar, maxNorm: number, normType: number): T;
  /** A new tensor; its elements are 0, so that programs that read them behave the same every time. */
  empty(
    size: readonly Size[],
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** A new tensor like self; its elements are 0. */
  emptyLike(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** A new tensor whose dimensions lie in memory in the given order; its elements are 0. */
  emptyPermuted(
    size: readonly Size[],
    physicalLayout: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** A new tensor with the given strides; its elements are 0. */
  emptyStrided(
    size: readonly Size[],
    stride: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** Whether self equals other, element by element. */
  eq(self: T | Scalar, other: T | Scalar): T;
  eq(self: T | Scalar, other: Scalar): T;
  /** Whether self equals other, element by element. */
  eq_(self: T | Scalar, other: T | Scalar): T;
  eq_(self: T | Scalar, other: Scalar): T;
  /** The error function. */
  erf(self: T | Scalar): T;
  /** The error function. */
  erf_(self: T | Scalar): T;
  /** 1 - erf(self), exact for large numbers. */
  erfc(self: T | Scalar): T;
  /** 1 - erf(self), exact for large numbers. */
  erfc_(self: T | Scalar): T;
  /** The inverse of erf. */
  erfinv(self: T | Scalar): T;
  /** The inverse of erf. */
  erfinv_(self: T | Scalar): T;
  /** e to the power of self. */
  exp(self: T | Scalar): T;
  /** 2 to the power of self. */
  exp2(self: T | Scalar): T;
  /** 2 to the power of self. */
  exp2_(self: T | Scalar): T;
  /** e to the power of self. */
  exp_(self: T | Scalar): T;
  /** A view in which dimensions of size 1 repeat to the given size, without copying; -1 keeps a size. */
  expand(self: T | Scalar, size: readonly Size[], options?: { implicit?: boolean }): T;
  /** self expanded to the shape of other. */
  expandAs(self: T | Scalar, other: T | Scalar): T;
  /** A copy of what expand() shows. */
  expandCopy(self: T | Scalar, size: readonly Size[], options?: { implicit?: boolean }): T;
  /** exp(self) - 1, exact near 0. */
  expm1(self: T | Scalar): T;
  /** exp(self) - 1, exact near 0. */
  expm1_(self: T | Scalar): T;
  /** Numbers exponentially distributed with rate lambd, in the shape of self, from the default generator. */
  exponential(self: T | Scalar, options?: { lambd?: number; generator?: null | null }): T;
  exponential(self: T | Scalar, lambd?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers exponentially distributed with rate lambd, from the default generator. */
  exponential_(self: T | Scalar, options?: { lambd?: number; generator?: null | null }): T;
  exponential_(self: T | Scalar, lambd?: number, options?: { generator?: null | null }): T;
  /** A matrix with ones on its diagonal, zeros elsewhere. */
  eye(
    n: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  eye(
    n: Size,
    m: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** As fake_quantize_per_tensor_affine, with a scale and a zero point for each channel. */
  fakeQuantizePerChannelAffine(
    self: T | Scalar,
    scale: T | Scalar,
    zeroPoint: T | Scalar,
    axis: Size,
    quantMin: Size,
    quantMax: Size,
  ): T;
  /** fake_quantize_per_channel_affine, and which elements were inside of the grid. */
  fakeQuantizePerChannelAffineCachemask(
    self: T | Scalar,
    scale: T | Scalar,
    zeroPoint: T | Scalar,
    axis: Size,
    quantMin: Size,
    quantMax: Size,
  ): [T, T];
  /** Rounds to the grid scale · (q - zero_point) of whole q from quant_min to quant_max; elements stay floats. */
  fakeQuantizePerTensorAffine(self: T | Scalar, scale: number, zeroPoint: Size, quantMin: Size, quantMax: Size): T;
  fakeQuantizePerTensorAffine(
    self: T | Scalar,
    scale: T | Scalar,
    zeroPoint: T | Scalar,
    quantMin: Size,
    quantMax: Size,
  ): T;
  /** fake_quantize_per_tensor_affine, and which elements were inside of the grid. */
  fakeQuantizePerTensorAffineCachemask(
    self: T | Scalar,
    scale: number,
    zeroPoint: Size,
    quantMin: Size,
    quantMax: Size,
  ): [T, T];
  /** alpha_dropout of whole channels. */
  featureAlphaDropout(input: T | Scalar, p: number, train: boolean): T;
  /** feature_alpha_dropout, in place. */
  featureAlphaDropout_(self: T | Scalar, p: number, train: boolean): T;
  /** dropout of whole channels. */
  featureDropout(input: T | Scalar, p: number, train: boolean): T;
  /** feature_dropout, in place. */
  featureDropout_(self: T | Scalar, p: number, train: boolean): T;
  /** The Fourier transform, along one dimension. */
  fftFft(self: T | Scalar, options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftFft(self: T | Scalar, n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The Fourier transform, along two dimensions. */
  fftFft2(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null },
  ): T;
  fftFft2(self: T | Scalar, s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The frequencies of a transform of n elements that are d apart. */
  fftFftfreq(
    n: Size,
    options?: {
      d?: number;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  fftFftfreq(
    n: Size,
    d?: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The Fourier transform, along several dimensions. */
  fftFftn(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftFftn(
    self: T | Scalar,
    s?: Size | readonly Size[] | null,
    dim?: Size | readonly Size[] | null,
    norm?: string | null,
  ): T;
  /** Moves frequency 0 to the middle of dimensions. */
  fftFftshift(self: T | Scalar, options?: { dim?: Size | readonly Size[] | null }): T;
  fftFftshift(self: T | Scalar, dim?: Size | readonly Size[] | null): T;
  /** The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers, along one dimension. */
  fftHfft(self: T | Scalar, options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftHfft(self: T | Scalar, n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers, along two dimensions. */
  fftHfft2(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null },
  ): T;
  fftHfft2(self: T | Scalar, s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The Fourier transform of half of a signal that is its own mirror image, conjugated: real numbers, along several dimensions. */
  fftHfftn(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftHfftn(
    self: T | Scalar,
    s?: Size | readonly Size[] | null,
    dim?: Size | readonly Size[] | null,
    norm?: string | null,
  ): T;
  /** The inverse Fourier transform, along one dimension. */
  fftIfft(self: T | Scalar, options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftIfft(self: T | Scalar, n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The inverse Fourier transform, along two dimensions. */
  fftIfft2(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null },
  ): T;
  fftIfft2(self: T | Scalar, s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The inverse Fourier transform, along several dimensions. */
  fftIfftn(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftIfftn(
    self: T | Scalar,
    s?: Size | readonly Size[] | null,
    dim?: Size | readonly Size[] | null,
    norm?: string | null,
  ): T;
  /** Moves back frequency 0 from the middle of dimensions. */
  fftIfftshift(self: T | Scalar, options?: { dim?: Size | readonly Size[] | null }): T;
  fftIfftshift(self: T | Scalar, dim?: Size | readonly Size[] | null): T;
  /** The inverse of fft_hfft: half of the spectrum of real numbers, conjugated, along one dimension. */
  fftIhfft(self: T | Scalar, options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftIhfft(self: T | Scalar, n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The inverse of fft_hfft: half of the spectrum of real numbers, conjugated, along two dimensions. */
  fftIhfft2(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null },
  ): T;
  fftIhfft2(self: T | Scalar, s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The inverse of fft_hfft: half of the spectrum of real numbers, conjugated, along several dimensions. */
  fftIhfftn(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftIhfftn(
    self: T | Scalar,
    s?: Size | readonly Size[] | null,
    dim?: Size | readonly Size[] | null,
    norm?: string | null,
  ): T;
  /** The inverse Fourier transform, to real numbers, along one dimension. */
  fftIrfft(self: T | Scalar, options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftIrfft(self: T | Scalar, n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The inverse Fourier transform, to real numbers, along two dimensions. */
  fftIrfft2(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null },
  ): T;
  fftIrfft2(self: T | Scalar, s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The inverse Fourier transform, to real numbers, along several dimensions. */
  fftIrfftn(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftIrfftn(
    self: T | Scalar,
    s?: Size | readonly Size[] | null,
    dim?: Size | readonly Size[] | null,
    norm?: string | null,
  ): T;
  /** The Fourier transform over dimensions of pairs of real numbers, times a factor. */
  fftPairs(self: T | Scalar, dims: readonly Size[], forward: boolean, scale: number): T;
  /** The Fourier transform of real numbers, half of the spectrum, along one dimension. */
  fftRfft(self: T | Scalar, options?: { n?: Size | null; dim?: Size; norm?: string | null }): T;
  fftRfft(self: T | Scalar, n?: Size | null, dim?: Size, norm?: string | null): T;
  /** The Fourier transform of real numbers, half of the spectrum, along two dimensions. */
  fftRfft2(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[]; norm?: string | null },
  ): T;
  fftRfft2(self: T | Scalar, s?: Size | readonly Size[] | null, dim?: Size | readonly Size[], norm?: string | null): T;
  /** The frequencies of a transform of n elements that are d apart. */
  fftRfftfreq(
    n: Size,
    options?: {
      d?: number;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  fftRfftfreq(
    n: Size,
    d?: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The Fourier transform of real numbers, half of the spectrum, along several dimensions. */
  fftRfftn(
    self: T | Scalar,
    options?: { s?: Size | readonly Size[] | null; dim?: Size | readonly Size[] | null; norm?: string | null },
  ): T;
  fftRfftn(
    self: T | Scalar,
    s?: Size | readonly Size[] | null,
    dim?: Size | readonly Size[] | null,
    norm?: string | null,
  ): T;
  /** A tensor like self in which every element is value. */
  fill(self: T | Scalar, value: Scalar): T;
  fill(self: T | Scalar, value: T | Scalar): T;
  /** self with a number on the main diagonal; with wrap, a tall matrix begins another diagonal after a row's pause. */
  fillDiagonal(self: T | Scalar, fillValue: Scalar, options?: { wrap?: boolean }): T;
  fillDiagonal(self: T | Scalar, fillValue: Scalar, wrap?: boolean): T;
  /** self with a number on the main diagonal; with wrap, a tall matrix begins another diagonal after a row's pause. */
  fillDiagonal_(self: T | Scalar, fillValue: Scalar, options?: { wrap?: boolean }): T;
  fillDiagonal_(self: T | Scalar, fillValue: Scalar, wrap?: boolean): T;
  /** A tensor like self in which every element is value. */
  fill_(self: T | Scalar, value: Scalar): T;
  fill_(self: T | Scalar, value: T | Scalar): T;
  /** self without its fraction, rounded towards 0. */
  fix(self: T | Scalar): T;
  /** self without its fraction, rounded towards 0. */
  fix_(self: T | Scalar): T;
  /** Dimensions startDim to endDim joined to one: a view where that is possible, else a copy. */
  flatten(self: T | Scalar, options?: { startDim?: Size; endDim?: Size }): T;
  flatten(self: T | Scalar, startDim?: Size, endDim?: Size): T;
  /** All elements of tensors in one vector. */
  flattenDenseTensors(tensors: readonly T[]): T;
  /** attention whose scores a program changes, and the logarithm of the sum of exponentials of each row. */
  flexForward(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    captured: readonly T[],
    blocks: readonly T[],
    score: string,
    scale: number,
  ): [T, T];
  /** The gradients of flex_forward's key and value, before they are summed over dimensions that were broadcast. */
  flexKeyValueGrad(
    grad: T | Scalar,
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    lse: T | Scalar,
    delta: T | Scalar,
    captured: readonly T[],
    blocks: readonly T[],
    score: string,
    scale: number,
  ): [T, T];
  /** The gradient of flex_forward's query, before it is summed over dimensions that were broadcast. */
  flexQueryGrad(
    grad: T | Scalar,
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    lse: T | Scalar,
    delta: T | Scalar,
    captured: readonly T[],
    blocks: readonly T[],
    score: string,
    scale: number,
  ): T;
  /** A copy with dimensions in reverse order. */
  flip(self: T | Scalar, dims: readonly Size[]): T;
  /** A copy with dimension 1 in reverse order. */
  fliplr(self: T | Scalar): T;
  /** A copy with dimension 0 in reverse order. */
  flipud(self: T | Scalar): T;
  /** The product of matrices of 8-bit floats, of either kind, in float32. */
  float8Product(self: T | Scalar, mat2: T | Scalar): T;
  /** self to the power of exponent, in float64. */
  floatPower(self: T | Scalar, exponent: T | Scalar): T;
  floatPower(self: T | Scalar, exponent: Scalar): T;
  floatPower(self: Scalar, exponent: T | Scalar): T;
  /** self to the power of exponent, in float64. */
  floatPower_(self: T | Scalar, exponent: T | Scalar): T;
  floatPower_(self: T | Scalar, exponent: Scalar): T;
  /** The largest integer not above self. */
  floor(self: T | Scalar): T;
  /** self / other, rounded down; stays integer for integers. */
  floorDivide(self: T | Scalar, other: T | Scalar): T;
  floorDivide(self: T | Scalar, other: Scalar): T;
  /** self / other, rounded down; stays integer for integers. */
  floorDivide_(self: T | Scalar, other: T | Scalar): T;
  floorDivide_(self: T | Scalar, other: Scalar): T;
  /** The largest integer not above self. */
  floor_(self: T | Scalar): T;
  /** The larger of self and other; a NaN gives way to a number. */
  fmax(self: T | Scalar, other: T | Scalar): T;
  /** The smaller of self and other; a NaN gives way to a number. */
  fmin(self: T | Scalar, other: T | Scalar): T;
  /** The remainder of division rounded towards 0, with the sign of self: C's fmod. */
  fmod(self: T | Scalar, other: T | Scalar): T;
  fmod(self: T | Scalar, other: Scalar): T;
  /** The remainder of division rounded towards 0, with the sign of self: C's fmod. */
  fmod_(self: T | Scalar, other: T | Scalar): T;
  fmod_(self: T | Scalar, other: Scalar): T;
  /** The fraction: self - trunc(self). */
  frac(self: T | Scalar): T;
  /** The fraction: self - trunc(self). */
  frac_(self: T | Scalar): T;
  /** Maxima of windows whose places random_samples chooses, and their positions. */
  fractionalMaxPool2d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    outputSize: Size | readonly Size[],
    randomSamples: T | Scalar,
  ): [T, T];
  /** Maxima of windows whose places random_samples chooses, and their positions. */
  fractionalMaxPool3d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    outputSize: Size | readonly Size[],
    randomSamples: T | Scalar,
  ): [T, T];
  /** self as mantissa · 2^exponent, the mantissa between 0.5 and 1 in magnitude. */
  frexp(self: T | Scalar): [T, T];
  /** The exponent of self for a mantissa between 0.5 and 1. */
  frexpExponent(self: T | Scalar): T;
  /** The mantissa of self, between 0.5 and 1 in magnitude. */
  frexpMantissa(self: T | Scalar): T;
  /** The root of the sum of squares over dimensions; over all if dim is empty. */
  frobeniusNorm(self: T | Scalar, dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  frobeniusNorm(self: T | Scalar, dim: Size | readonly Size[], keepdim?: boolean): T;
  /** A tensor in which every element is fillValue. */
  full(
    size: readonly Size[],
    fillValue: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** fillValue in the shape and dtype of self. */
  fullLike(
    self: T | Scalar,
    fillValue: Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** distances where every rank is full, else nothing. */
  fullRankOnly(distances: T | Scalar, ranks: T | Scalar, full: Size): T;
  /** At each place of index, the element of self at the same place but with the position along dim that index names. */
  gather(self: T | Scalar, dim: Size, index: T | Scalar, options?: { sparseGrad?: boolean }): T;
  /** The greatest common divisor. */
  gcd(self: T | Scalar, other: T | Scalar): T;
  /** The greatest common divisor. */
  gcd_(self: T | Scalar, other: T | Scalar): T;
  /** Whether self is at least other, element by element. */
  ge(self: T | Scalar, other: T | Scalar): T;
  ge(self: T | Scalar, other: Scalar): T;
  /** Whether self is at least other, element by element. */
  ge_(self: T | Scalar, other: T | Scalar): T;
  ge_(self: T | Scalar, other: Scalar): T;
  /** x × Φ(x), exact ("none") or approximated with tanh ("tanh"). */
  gelu(self: T | Scalar, options?: { approximate?: string }): T;
  /** The gradient of gelu. */
  geluBackward(gradOutput: T | Scalar, self: T | Scalar, options?: { approximate?: string }): T;
  /** x × Φ(x), exact ("none") or approximated with tanh ("tanh"). */
  gelu_(self: T | Scalar, options?: { approximate?: string }): T;
  /** Numbers of trials until the first success, which has probability p, in the shape of self, from the default generator. */
  geometric(self: T | Scalar, p: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers of trials until the first success, which has probability p, from the default generator. */
  geometric_(self: T | Scalar, p: number, options?: { generator?: null | null }): T;
  /** R in the upper triangle, the reflections that make Q below it, and their scales. */
  geqrf(self: T | Scalar): [T, T];
  /** The outer product of two vectors. */
  ger(self: T | Scalar, vec2: T | Scalar): T;
  /** The first half along dim, gated by the sigmoid of the second half. */
  glu(self: T | Scalar, options?: { dim?: Size }): T;
  glu(self: T | Scalar, dim?: Size): T;
  /** Derivatives along dimensions, estimated by finite differences. */
  gradient(self: T | Scalar, options?: { spacing?: Scalar | null; dim?: Size | null; edgeOrder?: Size }): T[];
  gradient(self: T | Scalar, options: { spacing: Scalar; dim: readonly Size[]; edgeOrder?: Size }): T[];
  gradient(self: T | Scalar, options: { dim: readonly Size[]; edgeOrder?: Size }): T[];
  gradient(self: T | Scalar, options: { spacing: readonly Scalar[]; dim?: Size | null; edgeOrder?: Size }): T[];
  gradient(self: T | Scalar, options: { spacing: readonly Scalar[]; dim: readonly Size[]; edgeOrder?: Size }): T[];
  gradient(self: T | Scalar, options: { spacing: readonly T[]; dim?: Size | null; edgeOrder?: Size }): T[];
  gradient(self: T | Scalar, options: { spacing: readonly T[]; dim: readonly Size[]; edgeOrder?: Size }): T[];
  /** Whether self is greater than other, element by element. */
  greater(self: T | Scalar, other: T | Scalar): T;
  greater(self: T | Scalar, other: Scalar): T;
  /** Whether self is at least other, element by element. */
  greaterEqual(self: T | Scalar, other: T | Scalar): T;
  greaterEqual(self: T | Scalar, other: Scalar): T;
  /** Whether self is at least other, element by element. */
  greaterEqual_(self: T | Scalar, other: T | Scalar): T;
  greaterEqual_(self: T | Scalar, other: Scalar): T;
  /** Whether self is greater than other, element by element. */
  greater_(self: T | Scalar, other: T | Scalar): T;
  greater_(self: T | Scalar, other: Scalar): T;
  /** grid_sampler_2d or grid_sampler_3d, by the input's rank. */
  gridSampler(
    input: T | Scalar,
    grid: T | Scalar,
    interpolationMode: Size,
    paddingMode: Size,
    alignCorners: boolean,
  ): T;
  /** Samples images at positions in [-1, 1]: bilinear (0), nearest (1) or bicubic (2). */
  gridSampler2d(
    input: T | Scalar,
    grid: T | Scalar,
    interpolationMode: Size,
    paddingMode: Size,
    alignCorners: boolean,
  ): T;
  /** Samples volumes at positions in [-1, 1]: trilinear (0) or nearest (1). */
  gridSampler3d(
    input: T | Scalar,
    grid: T | Scalar,
    interpolationMode: Size,
    paddingMode: Size,
    alignCorners: boolean,
  ): T;
  /** Normalises each group of channels of each sample. */
  groupNorm(
    input: T | Scalar,
    numGroups: Size,
    options?: { weight?: T | Scalar | null; bias?: T | Scalar | null; eps?: number; cudnnEnabled?: boolean },
  ): T;
  groupNorm(
    input: T | Scalar,
    numGroups: Size,
    weight?: T | Scalar | null,
    bias?: T | Scalar | null,
    eps?: number,
    cudnnEnabled?: boolean,
  ): T;
  /** Rows of input times the matrix of their group: group g ends before row offs[g]; rows beyond the last group are 0. */
  groupedMmFallback(input: T | Scalar, weight: T | Scalar, offs: T | Scalar): T;
  /** For each group of rows the product of the transposed rows of a with those of b: [groups, columns of a, columns of b]. */
  groupedOuter(a: T | Scalar, b: T | Scalar, offs: T | Scalar): T;
  /** Rows of input times the matrix of their group, [in, out] or, transposed, [out, in]: group g ends before row offs[g]; rows beyond the last group are 0. */
  groupedRows(input: T | Scalar, weight: T | Scalar, offs: T | Scalar, transposed: boolean): T;
  /** A gated recurrent network over whole sequences: outputs and last states. */
  gru(
    input: T | Scalar,
    hx: T | Scalar,
    params: readonly T[],
    hasBiases: boolean,
    numLayers: Size,
    dropout: number,
    train: boolean,
    bidirectional: boolean,
    batchFirst: boolean,
  ): [T, T];
  /** One step of a gated recurrent unit: the next state. */
  gruCell(
    input: T | Scalar,
    hx: T | Scalar,
    wIh: T | Scalar,
    wHh: T | Scalar,
    options?: { bIh?: T | Scalar | null; bHh?: T | Scalar | null },
  ): T;
  gruCell(
    input: T | Scalar,
    hx: T | Scalar,
    wIh: T | Scalar,
    wHh: T | Scalar,
    bIh?: T | Scalar | null,
    bHh?: T | Scalar | null,
  ): T;
  /** Whether self is greater than other, element by element. */
  gt(self: T | Scalar, other: T | Scalar): T;
  gt(self: T | Scalar, other: Scalar): T;
  /** Whether self is greater than other, element by element. */
  gt_(self: T | Scalar, other: T | Scalar): T;
  gt_(self: T | Scalar, other: Scalar): T;
  /** The hamming window of so many elements; periodic ones (the default) repeat without a seam. */
  hammingWindow(
    windowLength: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  hammingWindow(
    windowLength: Size,
    periodic: boolean,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  hammingWindow(
    windowLength: Size,
    periodic: boolean,
    alpha: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  hammingWindow(
    windowLength: Size,
    periodic: boolean,
    alpha: number,
    beta: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The hann window of so many elements; periodic ones (the default) repeat without a seam. */
  hannWindow(
    windowLength: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  hannWindow(
    windowLength: Size,
    periodic: boolean,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** x, but 0 within lambd of 0. */
  hardshrink(self: T | Scalar, options?: { lambd?: Scalar }): T;
  hardshrink(self: T | Scalar, lambd?: Scalar): T;
  /** The gradient of hardshrink. */
  hardshrinkBackward(gradOut: T | Scalar, self: T | Scalar, lambd: Scalar): T;
  /** min(max(x + 3, 0), 6) / 6. */
  hardsigmoid(self: T | Scalar): T;
  /** The gradient of hardsigmoid. */
  hardsigmoidBackward(gradOutput: T | Scalar, self: T | Scalar): T;
  /** min(max(x + 3, 0), 6) / 6. */
  hardsigmoid_(self: T | Scalar): T;
  /** x × min(max(x + 3, 0), 6) / 6. */
  hardswish(self: T | Scalar): T;
  /** The gradient of hardswish. */
  hardswishBackward(gradOutput: T | Scalar, self: T | Scalar): T;
  /** x × min(max(x + 3, 0), 6) / 6. */
  hardswish_(self: T | Scalar): T;
  /** min(max(x, minVal), maxVal). */
  hardtanh(self: T | Scalar, options?: { minVal?: Scalar; maxVal?: Scalar }): T;
  hardtanh(self: T | Scalar, minVal?: Scalar, maxVal?: Scalar): T;
  /** The gradient of hardtanh. */
  hardtanhBackward(gradOutput: T | Scalar, self: T | Scalar, minVal: Scalar, maxVal: Scalar): T;
  /** min(max(x, minVal), maxVal). */
  hardtanh_(self: T | Scalar, options?: { minVal?: Scalar; maxVal?: Scalar }): T;
  hardtanh_(self: T | Scalar, minVal?: Scalar, maxVal?: Scalar): T;
  /** The exclusive or of the 64 bits of the elements along dimensions, or of all: a checksum that does not depend on their order. */
  hashTensor(self: T | Scalar, options?: { dim?: Size | readonly Size[]; keepdim?: boolean; mode?: Size }): T;
  hashTensor(self: T | Scalar, dim?: Size | readonly Size[], options?: { keepdim?: boolean; mode?: Size }): T;
  /** 0 where self is negative, 1 where it is positive, values where it is 0. */
  heaviside(self: T | Scalar, values: T | Scalar): T;
  /** 0 where self is negative, 1 where it is positive, values where it is 0. */
  heaviside_(self: T | Scalar, values: T | Scalar): T;
  /** self where target is 1, max(0, margin - self) where it is -1. */
  hingeEmbeddingLoss(self: T | Scalar, target: T | Scalar, options?: { margin?: number; reduction?: Size }): T;
  hingeEmbeddingLoss(self: T | Scalar, target: T | Scalar, margin?: number, reduction?: Size): T;
  /** How many elements fall into each of bins equal parts of [min, max]; of the elements' own range if both are equal. */
  histc(self: T | Scalar, options?: { bins?: Size; min?: Scalar; max?: Scalar }): T;
  histc(self: T | Scalar, bins?: Size, min?: Scalar, max?: Scalar): T;
  /** How many elements fall into each of bins equal parts of a range, and the edges of the parts. */
  histogram(
    self: T | Scalar,
    options?: { bins?: Size; range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): [T, T];
  histogram(
    self: T | Scalar,
    bins?: Size,
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): [T, T];
  histogram(self: T | Scalar, bins: T | Scalar, options?: { weight?: T | Scalar | null; density?: boolean }): [T, T];
  /** How many points fall into each of equal bins in several dimensions, and then the edges of each dimension. */
  histogramdd(
    self: T | Scalar,
    bins: readonly Size[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  histogramdd(
    self: T | Scalar,
    bins: readonly Size[],
    range?: readonly number[] | null,
    weight?: T | Scalar | null,
    density?: boolean,
  ): T[];
  histogramdd(
    self: T | Scalar,
    bins: Size,
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  histogramdd(
    self: T | Scalar,
    bins: Size,
    range?: readonly number[] | null,
    weight?: T | Scalar | null,
    density?: boolean,
  ): T[];
  histogramdd(
    self: T | Scalar,
    bins: readonly T[],
    options?: { range?: readonly number[] | null; weight?: T | Scalar | null; density?: boolean },
  ): T[];
  histogramdd(
    self: T | Scalar,
    bins: readonly T[],
    range?: readonly number[] | null,
    weight?: T | Scalar | null,
    density?: boolean,
  ): T[];
  /** Equal pieces along one dimension. */
  hsplit(self: T | Scalar, sections: Size): T[];
  hsplit(self: T | Scalar, indices: readonly Size[]): T[];
  /** Tensors one after the other along a fixed dimension, which those that lack it get first. */
  hstack(tensors: readonly T[]): T;
  /** Half the square where the difference is below delta, linear beyond. */
  huberLoss(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size; delta?: number }): T;
  huberLoss(self: T | Scalar, target: T | Scalar, reduction?: Size, delta?: number): T;
  /** The length of the vector (self, other). */
  hypot(self: T | Scalar, other: T | Scalar): T;
  /** The length of the vector (self, other). */
  hypot_(self: T | Scalar, other: T | Scalar): T;
  /** The modified Bessel function of the first kind of order 0. */
  i0(self: T | Scalar): T;
  /** The modified Bessel function of the first kind of order 0. */
  i0_(self: T | Scalar): T;
  /** The regularised lower incomplete gamma function of self at other. */
  igamma(self: T | Scalar, other: T | Scalar): T;
  /** The regularised lower incomplete gamma function of self at other. */
  igamma_(self: T | Scalar, other: T | Scalar): T;
  /** The regularised upper incomplete gamma function of self at other. */
  igammac(self: T | Scalar, other: T | Scalar): T;
  /** The regularised upper incomplete gamma function of self at other. */
  igammac_(self: T | Scalar, other: T | Scalar): T;
  /** The patches of an image as columns: [batch, channels · kernel, patches]. */
  im2col(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    dilation: Size | readonly Size[],
    padding: Size | readonly Size[],
    stride: Size | readonly Size[],
  ): T;
  /** The imaginary parts of a complex tensor, a view. */
  imag(self: T | Scalar): T;
  /** self at the positions that index tensors name, broadcast together; null takes a whole dimension, a mask selects where it holds. */
  index(self: T | Scalar, indices: readonly (T | null)[]): T;
  /** self with alpha times slices of source added at the positions of index along dim. */
  indexAdd(self: T | Scalar, dim: Size, index: T | Scalar, source: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self with alpha times slices of source added at the positions of index along dim. */
  indexAdd_(self: T | Scalar, dim: Size, index: T | Scalar, source: T | Scalar, options?: { alpha?: Scalar }): T;
  /** self with slices of source written at the positions of index along dim. */
  indexCopy(self: T | Scalar, dim: Size, index: T | Scalar, source: T | Scalar): T;
  /** self with slices of source written at the positions of index along dim. */
  indexCopy_(self: T | Scalar, dim: Size, index: T | Scalar, source: T | Scalar): T;
  /** self with a number written at the positions of index along dim. */
  indexFill(self: T | Scalar, dim: Size, index: T | Scalar, value: Scalar): T;
  indexFill(self: T | Scalar, dim: Size, index: T | Scalar, value: T | Scalar): T;
  /** self with a number written at the positions of index along dim. */
  indexFill_(self: T | Scalar, dim: Size, index: T | Scalar, value: Scalar): T;
  indexFill_(self: T | Scalar, dim: Size, index: T | Scalar, value: T | Scalar): T;
  /** index() by integers only. */
  indexPositions(self: T | Scalar, indices: readonly (T | null)[]): T;
  /** self with values written (or added) at lists of indices, one tensor or None for each dimension. */
  indexPut(self: T | Scalar, indices: readonly (T | null)[], values: T | Scalar, options?: { accumulate?: boolean }): T;
  indexPut(self: T | Scalar, indices: readonly (T | null)[], values: T | Scalar, accumulate?: boolean): T;
  /** index_put with integer indices only. */
  indexPutInto(input: T | Scalar, indices: readonly (T | null)[], values: T | Scalar, accumulate: boolean): T;
  /** self with values written (or added) at lists of indices, one tensor or None for each dimension. */
  indexPut_(
    self: T | Scalar,
    indices: readonly (T | null)[],
    values: T | Scalar,
    options?: { accumulate?: boolean },
  ): T;
  indexPut_(self: T | Scalar, indices: readonly (T | null)[], values: T | Scalar, accumulate?: boolean): T;
  /** Combines slices of source into self by prod, mean, amax or amin. */
  indexReduce(
    self: T | Scalar,
    dim: Size,
    index: T | Scalar,
    source: T | Scalar,
    reduce: string,
    options?: { includeSelf?: boolean },
  ): T;
  /** Combines slices of source into self by prod, mean, amax or amin. */
  indexReduce_(
    self: T | Scalar,
    dim: Size,
    index: T | Scalar,
    source: T | Scalar,
    reduce: string,
    options?: { includeSelf?: boolean },
  ): T;
  /** The slices of self along dim that index names, in its order. */
  indexSelect(self: T | Scalar, dim: Size, index: T | Scalar): T;
  /** Sums products over the last dimension of both tensors. */
  inner(self: T | Scalar, other: T | Scalar): T;
  /** Normalises each channel of each sample, or by running statistics. */
  instanceNorm(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar | null,
    runningVar: T | Scalar | null,
    useInputStats: boolean,
    momentum: number,
    eps: number,
    cudnnEnabled: boolean,
  ): T;
  /** The inverse of square matrices. */
  inverse(self: T | Scalar): T;
  /** Whether the number of a tensor of one element is not 0. Reads data, as item does. */
  isNonzero(self: T | Scalar): boolean;
  /** Whether two tensors have one shape. */
  isSameSize(self: T | Scalar, other: T | Scalar): boolean;
  /** Whether |self - other| ≤ atol + rtol × |other|, or both are the same infinity. */
  isclose(self: T | Scalar, other: T | Scalar, options?: { rtol?: number; atol?: number; equalNan?: boolean }): T;
  isclose(self: T | Scalar, other: T | Scalar, rtol?: number, atol?: number, equalNan?: boolean): T;
  /** Whether an element is neither infinite nor NaN. */
  isfinite(self: T | Scalar): T;
  /** Which elements are among the test elements. */
  isin(elements: T | Scalar, testElements: T | Scalar, options?: { assumeUnique?: boolean; invert?: boolean }): T;
  isin(elements: T | Scalar, testElement: Scalar, options?: { assumeUnique?: boolean; invert?: boolean }): T;
  isin(element: Scalar, testElements: T | Scalar, options?: { assumeUnique?: boolean; invert?: boolean }): T;
  /** Whether an element is infinite. */
  isinf(self: T | Scalar): T;
  /** Whether an element is NaN. */
  isnan(self: T | Scalar): T;
  /** Whether an element is -∞. */
  isneginf(self: T | Scalar): T;
  /** Whether an element is +∞. */
  isposinf(self: T | Scalar): T;
  /** Whether an element has no imaginary part: always, for real tensors. */
  isreal(self: T | Scalar): T;
  /** The signal whose short-time Fourier transform self is, by least squares. */
  istft(
    self: T | Scalar,
    nFft: Size,
    options?: {
      hopLength?: Size | null;
      winLength?: Size | null;
      window?: T | Scalar | null;
      center?: boolean;
      normalized?: boolean;
      onesided?: boolean | null;
      length?: Size | null;
      returnComplex?: boolean;
    },
  ): T;
  istft(
    self: T | Scalar,
    nFft: Size,
    hopLength?: Size | null,
    winLength?: Size | null,
    window?: T | Scalar | null,
    center?: boolean,
    normalized?: boolean,
    onesided?: boolean | null,
    length?: Size | null,
    returnComplex?: boolean,
  ): T;
  /** The kaiser window of so many elements; periodic ones (the default) repeat without a seam. */
  kaiserWindow(
    windowLength: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  kaiserWindow(
    windowLength: Size,
    periodic: boolean,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  kaiserWindow(
    windowLength: Size,
    periodic: boolean,
    beta: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** target · (log(target) - self), where self holds logarithms of probabilities. */
  klDiv(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size; logTarget?: boolean }): T;
  klDiv(self: T | Scalar, target: T | Scalar, reduction?: Size, options?: { logTarget?: boolean }): T;
  /** The Kronecker product. */
  kron(self: T | Scalar, other: T | Scalar): T;
  /** The k-th smallest element along a dimension (1 is the smallest), and its position. */
  kthvalue(self: T | Scalar, k: Size, options?: { dim?: Size; keepdim?: boolean }): [T, T];
  kthvalue(self: T | Scalar, k: Size, dim?: Size, keepdim?: boolean): [T, T];
  /** The absolute difference, averaged unless asked otherwise. */
  l1Loss(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size }): T;
  l1Loss(self: T | Scalar, target: T | Scalar, reduction?: Size): T;
  /** (x - mean) / sqrt(variance + eps) · weight + bias over the last dimensions. */
  layerNorm(
    input: T | Scalar,
    normalizedShape: readonly Size[],
    options?: { weight?: T | Scalar | null; bias?: T | Scalar | null; eps?: number; cudnnEnable?: boolean },
  ): T;
  layerNorm(
    input: T | Scalar,
    normalizedShape: readonly Size[],
    weight?: T | Scalar | null,
    bias?: T | Scalar | null,
    eps?: number,
    cudnnEnable?: boolean,
  ): T;
  /** The least common multiple. */
  lcm(self: T | Scalar, other: T | Scalar): T;
  /** The least common multiple. */
  lcm_(self: T | Scalar, other: T | Scalar): T;
  /** self · 2^other. */
  ldexp(self: T | Scalar, other: T | Scalar): T;
  /** self · 2^other. */
  ldexp_(self: T | Scalar, other: T | Scalar): T;
  /** Whether self is at most other, element by element. */
  le(self: T | Scalar, other: T | Scalar): T;
  le(self: T | Scalar, other: Scalar): T;
  /** Whether self is at most other, element by element. */
  le_(self: T | Scalar, other: T | Scalar): T;
  le_(self: T | Scalar, other: Scalar): T;
  /** x where it is positive, else negativeSlope × x. */
  leakyRelu(self: T | Scalar, options?: { negativeSlope?: Scalar }): T;
  leakyRelu(self: T | Scalar, negativeSlope?: Scalar): T;
  /** The gradient of leaky_relu. */
  leakyReluBackward(gradOutput: T | Scalar, self: T | Scalar, negativeSlope: Scalar, selfIsResult: boolean): T;
  /** x where it is positive, else negativeSlope × x. */
  leakyRelu_(self: T | Scalar, options?: { negativeSlope?: Scalar }): T;
  leakyRelu_(self: T | Scalar, negativeSlope?: Scalar): T;
  /** self + weight × (end - self). */
  lerp(self: T | Scalar, end: T | Scalar, weight: Scalar): T;
  lerp(self: T | Scalar, end: T | Scalar, weight: T | Scalar): T;
  /** self + weight × (end - self). */
  lerp_(self: T | Scalar, end: T | Scalar, weight: Scalar): T;
  lerp_(self: T | Scalar, end: T | Scalar, weight: T | Scalar): T;
  /** Whether self is less than other, element by element. */
  less(self: T | Scalar, other: T | Scalar): T;
  less(self: T | Scalar, other: Scalar): T;
  /** Whether self is at most other, element by element. */
  lessEqual(self: T | Scalar, other: T | Scalar): T;
  lessEqual(self: T | Scalar, other: Scalar): T;
  /** Whether self is at most other, element by element. */
  lessEqual_(self: T | Scalar, other: T | Scalar): T;
  lessEqual_(self: T | Scalar, other: Scalar): T;
  /** Whether self is less than other, element by element. */
  less_(self: T | Scalar, other: T | Scalar): T;
  less_(self: T | Scalar, other: Scalar): T;
  /** The logarithm of the absolute value of the gamma function. */
  lgamma(self: T | Scalar): T;
  /** The logarithm of the absolute value of the gamma function. */
  lgamma_(self: T | Scalar): T;
  /** A fresh copy of a constant of the program. */
  liftFresh(self: T | Scalar): T;
  /** A fresh copy of a constant of the program. */
  liftFreshCopy(self: T | Scalar): T;
  /** The triangular factor of symmetric positive definite matrices. */
  linalgCholesky(self: T | Scalar, options?: { upper?: boolean }): T;
  /** The triangular factor of symmetric positive definite matrices, and for each the first minor that is not positive. */
  linalgCholeskyEx(self: T | Scalar, options?: { upper?: boolean; checkErrors?: boolean }): [T, T];
  /** The condition of matrices in the p-norm, by default the ratio of the extreme singular values. */
  linalgCond(self: T | Scalar, options?: { p?: Scalar | null }): T;
  linalgCond(self: T | Scalar, p?: Scalar | null): T;
  linalgCond(self: T | Scalar, p: string): T;
  /** The cross product of vectors of 3 elements along dim. */
  linalgCross(self: T | Scalar, other: T | Scalar, options?: { dim?: Size }): T;
  /** The determinant of square matrices. */
  linalgDet(A: T | Scalar): T;
  /** The diagonal of the last two dimensions, as a view. */
  linalgDiagonal(A: T | Scalar, options?: { offset?: Size; dim1?: Size; dim2?: Size }): T;
  /** Eigenvalues and eigenvectors (columns) of square matrices, complex; the order is open. */
  linalgEig(self: T | Scalar): [T, T];
  /** Eigenvalues (ascending) and eigenvectors (columns) of symmetric matrices, of which one half is read. */
  linalgEigh(self: T | Scalar, options?: { UPLO?: string }): [T, T];
  linalgEigh(self: T | Scalar, UPLO?: string): [T, T];
  /** Eigenvalues of square matrices, complex; the order is open. */
  linalgEigvals(self: T | Scalar): T;
  /** Eigenvalues of symmetric matrices, ascending. */
  linalgEigvalsh(self: T | Scalar, options?: { UPLO?: string }): T;
  linalgEigvalsh(self: T | Scalar, UPLO?: string): T;
  /** The first columns of the product of Householder reflections: Q of geqrf(). */
  linalgHouseholderProduct(input: T | Scalar, tau: T | Scalar): T;
  /** The inverse of square matrices. */
  linalgInv(A: T | Scalar): T;
  /** The inverse of square matrices, and for each the first zero pivot. */
  linalgInvEx(A: T | Scalar, options?: { checkErrors?: boolean }): [T, T];
  /** A = P L D Lᵀ Pᵀ of symmetric matrices, of which the lower half is read. Raises where D is singular. */
  linalgLdlFactor(self: T | Scalar, options?: { hermitian?: boolean }): [T, T];
  /** A = P L D Lᵀ Pᵀ of symmetric matrices, of which the lower half is read; D has blocks of 1 or 2. Pivots as LAPACK writes them. */
  linalgLdlFactorEx(self: T | Scalar, options?: { hermitian?: boolean; checkErrors?: boolean }): [T, T, T];
  /** X with A X = B, from the factors of a symmetric A that linalg_ldl_factor() gave. */
  linalgLdlSolve(LD: T | Scalar, pivots: T | Scalar, B: T | Scalar, options?: { hermitian?: boolean }): T;
  /** The X of least norm that makes |self X - b| least, the squared distances, ranks, and singular values. */
  linalgLstsq(
    self: T | Scalar,
    b: T | Scalar,
    options?: { rcond?: number | null; driver?: string | null },
  ): [T, T, T, T];
  linalgLstsq(
    self: T | Scalar,
    b: T | Scalar,
    rcond?: number | null,
    options?: { driver?: string | null },
  ): [T, T, T, T];
  /** P, L and U with A = P L U; without pivots P is empty. */
  linalgLu(A: T | Scalar, options?: { pivot?: boolean }): [T, T, T];
  /** L and U in one matrix, and the rows exchanged. */
  linalgLuFactor(A: T | Scalar, options?: { pivot?: boolean }): [T, T];
  /** L and U in one matrix, the rows exchanged, and the first zero pivot. */
  linalgLuFactorEx(A: T | Scalar, options?: { pivot?: boolean; checkErrors?: boolean }): [T, T, T];
  /** X with A X = B (or X A = B, or A transposed), from the factors of A. */
  linalgLuSolve(LU: T | Scalar, pivots: T | Scalar, B: T | Scalar, options?: { left?: boolean; adjoint?: boolean }): T;
  /** The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns. */
  linalgMatmul(self: T | Scalar, other: T | Scalar): T;
  /** The exponential of square matrices. */
  linalgMatrixExp(self: T | Scalar): T;
  /** The norm of matrices: largest sums of rows or columns, singular values, or all elements. */
  linalgMatrixNorm(
    self: T | Scalar,
    ord: Scalar,
    options?: { dim?: readonly Size[]; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgMatrixNorm(
    self: T | Scalar,
    ord: Scalar,
    dim?: readonly Size[],
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  linalgMatrixNorm(
    self: T | Scalar,
    options?: { ord?: string; dim?: readonly Size[]; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgMatrixNorm(
    self: T | Scalar,
    ord?: string,
    dim?: readonly Size[],
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The n-th power of square matrices; a negative one is of the inverse. */
  linalgMatrixPower(self: T | Scalar, n: Size): T;
  /** The number of singular values above tol. */
  linalgMatrixRank(self: T | Scalar, tol: number, options?: { hermitian?: boolean }): T;
  linalgMatrixRank(self: T | Scalar, tol: number, hermitian?: boolean): T;
  linalgMatrixRank(self: T | Scalar, options?: { atol?: number | null; rtol?: number | null; hermitian?: boolean }): T;
  linalgMatrixRank(
    input: T | Scalar,
    options?: { atol?: T | Scalar | null; rtol?: T | Scalar | null; hermitian?: boolean },
  ): T;
  /** The product of a chain of matrices; the first and the last may be vectors. */
  linalgMultiDot(tensors: readonly T[]): T;
  /** The norm of a vector or a matrix; without an order the vector norm of all elements. */
  linalgNorm(
    self: T | Scalar,
    options?: { ord?: Scalar | null; dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgNorm(
    self: T | Scalar,
    ord?: Scalar | null,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  linalgNorm(
    self: T | Scalar,
    ord: string,
    options?: { dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgNorm(
    self: T | Scalar,
    ord: string,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The pseudo-inverse; singular values up to rcond times the largest count as 0. */
  linalgPinv(self: T | Scalar, rcond: number, options?: { hermitian?: boolean }): T;
  linalgPinv(self: T | Scalar, rcond: number, hermitian?: boolean): T;
  linalgPinv(self: T | Scalar, options?: { atol?: number | null; rtol?: number | null; hermitian?: boolean }): T;
  linalgPinv(
    self: T | Scalar,
    options?: { atol?: T | Scalar | null; rtol?: T | Scalar | null; hermitian?: boolean },
  ): T;
  /** A = Q R with orthonormal columns of Q and upper triangular R. */
  linalgQr(A: T | Scalar, options?: { mode?: string }): [T, T];
  linalgQr(A: T | Scalar, mode?: string): [T, T];
  /** The determinant's sign and the logarithm of its size. */
  linalgSlogdet(A: T | Scalar): [T, T];
  /** X with A X = B (or, not left, X A = B). */
  linalgSolve(A: T | Scalar, B: T | Scalar, options?: { left?: boolean }): T;
  /** X with A X = B (or, not left, X A = B), and for each A the first zero pivot. */
  linalgSolveEx(A: T | Scalar, B: T | Scalar, options?: { left?: boolean; checkErrors?: boolean }): [T, T];
  /** X with self X = B (or, not left, X self = B) for triangular self. */
  linalgSolveTriangular(
    self: T | Scalar,
    B: T | Scalar,
    options: { upper: boolean; left?: boolean; unitriangular?: boolean },
  ): T;
  /** A = U diag(S) Vh, with singular values in descending order. */
  linalgSvd(A: T | Scalar, options?: { fullMatrices?: boolean; driver?: string | null }): [T, T, T];
  linalgSvd(A: T | Scalar, fullMatrices?: boolean, options?: { driver?: string | null }): [T, T, T];
  /** Singular values in descending order. */
  linalgSvdvals(A: T | Scalar, options?: { driver?: string | null }): T;
  /** The inverse of self as a map from its last dimensions to its first ind ones. */
  linalgTensorinv(self: T | Scalar, options?: { ind?: Size }): T;
  linalgTensorinv(self: T | Scalar, ind?: Size): T;
  /** X with tensordot(self, X) = other; dims of self are moved to its end first. */
  linalgTensorsolve(self: T | Scalar, other: T | Scalar, options?: { dims?: readonly Size[] | null }): T;
  linalgTensorsolve(self: T | Scalar, other: T | Scalar, dims?: readonly Size[] | null): T;
  /** Powers 0 to N - 1 of the elements, along a new last dimension. */
  linalgVander(x: T | Scalar, options?: { N?: Size | null }): T;
  /** Inner products of vectors along dim; those of complex x are conjugated. */
  linalgVecdot(x: T | Scalar, y: T | Scalar, options?: { dim?: Size }): T;
  /** The vector norm over dimensions, (Σ |x|^p)^(1/p); the largest |x| for ∞, the number of elements that are not 0 for 0. */
  linalgVectorNorm(
    self: T | Scalar,
    options?: { ord?: Scalar; dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalgVectorNorm(
    self: T | Scalar,
    ord?: Scalar,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The sum of powers of absolute values: the vector norm without its root. */
  linalg__powsum(
    self: T | Scalar,
    options?: { ord?: Scalar; dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  linalg__powsum(
    self: T | Scalar,
    ord?: Scalar,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** input @ weightᵀ + bias: a fully connected layer. Weight is [out, in]. */
  linear(input: T | Scalar, weight: T | Scalar, options?: { bias?: T | Scalar | null }): T;
  linear(input: T | Scalar, weight: T | Scalar, bias?: T | Scalar | null): T;
  /** steps numbers from start to end (inclusive), equally spaced. */
  linspace(
    start: Scalar,
    end: Scalar,
    steps: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  linspace(
    start: T | Scalar,
    end: T | Scalar,
    steps: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  linspace(
    start: T | Scalar,
    end: Scalar,
    steps: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  linspace(
    start: Scalar,
    end: T | Scalar,
    steps: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The natural logarithm. */
  log(self: T | Scalar): T;
  /** The logarithm to base 10. */
  log10(self: T | Scalar): T;
  /** The logarithm to base 10. */
  log10_(self: T | Scalar): T;
  /** log(1 + self), exact near 0. */
  log1p(self: T | Scalar): T;
  /** log(1 + self), exact near 0. */
  log1p_(self: T | Scalar): T;
  /** The logarithm to base 2. */
  log2(self: T | Scalar): T;
  /** The logarithm to base 2. */
  log2_(self: T | Scalar): T;
  /** Numbers whose logarithms are normally distributed, in the shape of self, from the default generator. */
  logNormal(self: T | Scalar, options?: { mean?: number; std?: number; generator?: null | null }): T;
  logNormal(self: T | Scalar, mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers whose logarithms are normally distributed, from the default generator. */
  logNormal_(self: T | Scalar, options?: { mean?: number; std?: number; generator?: null | null }): T;
  logNormal_(self: T | Scalar, mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** log(sigmoid(x)), without overflow. */
  logSigmoid(self: T | Scalar): T;
  /** The gradient of log_sigmoid. */
  logSigmoidBackward(gradOutput: T | Scalar, self: T | Scalar, buffer: T | Scalar): T;
  /** log_sigmoid, and an empty buffer. */
  logSigmoidForward(self: T | Scalar): [T, T];
  /** The logarithm of softmax, without its overflow. */
  logSoftmax(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  logSoftmax(self: T | Scalar, dim: Size, dtype?: DType | null): T;
  /** The natural logarithm. */
  log_(self: T | Scalar): T;
  /** log(exp(self) + exp(other)), without overflow. */
  logaddexp(self: T | Scalar, other: T | Scalar): T;
  /** log2(2^self + 2^other), without overflow. */
  logaddexp2(self: T | Scalar, other: T | Scalar): T;
  /** log of the running sums of exp(self) along dim, without overflow. */
  logcumsumexp(self: T | Scalar, dim: Size): T;
  /** The logarithm of the determinant; NaN where that is negative. */
  logdet(self: T | Scalar): T;
  /** Whether both are not 0. */
  logicalAnd(self: T | Scalar, other: T | Scalar): T;
  /** Whether both are not 0. */
  logicalAnd_(self: T | Scalar, other: T | Scalar): T;
  /** Whether an element is 0. */
  logicalNot(self: T | Scalar): T;
  /** Whether an element is 0. */
  logicalNot_(self: T | Scalar): T;
  /** Whether at least one is not 0. */
  logicalOr(self: T | Scalar, other: T | Scalar): T;
  /** Whether at least one is not 0. */
  logicalOr_(self: T | Scalar, other: T | Scalar): T;
  /** Whether exactly one is not 0. */
  logicalXor(self: T | Scalar, other: T | Scalar): T;
  /** Whether exactly one is not 0. */
  logicalXor_(self: T | Scalar, other: T | Scalar): T;
  /** log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null. */
  logit(self: T | Scalar, options?: { eps?: number | null }): T;
  logit(self: T | Scalar, eps?: number | null): T;
  /** The gradient of logit. */
  logitBackward(gradOutput: T | Scalar, self: T | Scalar, options?: { eps?: number | null }): T;
  logitBackward(gradOutput: T | Scalar, self: T | Scalar, eps?: number | null): T;
  /** log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null. */
  logit_(self: T | Scalar, options?: { eps?: number | null }): T;
  logit_(self: T | Scalar, eps?: number | null): T;
  /** steps numbers from base^start to base^end (inclusive), whose logarithms are equally spaced. */
  logspace(
    start: Scalar,
    end: Scalar,
    steps: Size,
    options?: {
      base?: number;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  logspace(
    start: Scalar,
    end: Scalar,
    steps: Size,
    base?: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  logspace(
    start: T | Scalar,
    end: T | Scalar,
    steps: Size,
    options?: {
      base?: number;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  logspace(
    start: T | Scalar,
    end: T | Scalar,
    steps: Size,
    base?: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  logspace(
    start: T | Scalar,
    end: Scalar,
    steps: Size,
    options?: {
      base?: number;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  logspace(
    start: T | Scalar,
    end: Scalar,
    steps: Size,
    base?: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  logspace(
    start: Scalar,
    end: T | Scalar,
    steps: Size,
    options?: {
      base?: number;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  logspace(
    start: Scalar,
    end: T | Scalar,
    steps: Size,
    base?: number,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** log(Σ exp(self)) over dimensions, without overflow. */
  logsumexp(self: T | Scalar, dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  logsumexp(self: T | Scalar, dim: Size | readonly Size[], keepdim?: boolean): T;
  /** A long short-term memory network over whole sequences: outputs, last hidden states, last memories. */
  lstm(
    input: T | Scalar,
    hx: readonly T[],
    params: readonly T[],
    hasBiases: boolean,
    numLayers: Size,
    dropout: number,
    train: boolean,
    bidirectional: boolean,
    batchFirst: boolean,
  ): [T, T, T];
  /** One step of a long short-term memory: the next hidden state and memory. */
  lstmCell(
    input: T | Scalar,
    hx: readonly T[],
    wIh: T | Scalar,
    wHh: T | Scalar,
    options?: { bIh?: T | Scalar | null; bHh?: T | Scalar | null },
  ): [T, T];
  lstmCell(
    input: T | Scalar,
    hx: readonly T[],
    wIh: T | Scalar,
    wHh: T | Scalar,
    bIh?: T | Scalar | null,
    bHh?: T | Scalar | null,
  ): [T, T];
  /** Whether self is less than other, element by element. */
  lt(self: T | Scalar, other: T | Scalar): T;
  lt(self: T | Scalar, other: Scalar): T;
  /** Whether self is less than other, element by element. */
  lt_(self: T | Scalar, other: T | Scalar): T;
  lt_(self: T | Scalar, other: Scalar): T;
  /** X with A X = self, from the factors of A. */
  luSolve(self: T | Scalar, LUData: T | Scalar, LUPivots: T | Scalar): T;
  /** P, L and U with A = P L U; empty where not wanted. */
  luUnpack(
    LUData: T | Scalar,
    LUPivots: T | Scalar,
    options?: { unpackData?: boolean; unpackPivots?: boolean },
  ): [T, T, T];
  luUnpack(LUData: T | Scalar, LUPivots: T | Scalar, unpackData?: boolean, unpackPivots?: boolean): [T, T, T];
  /** Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view. */
  mH(self: T | Scalar): T;
  /** A view with the last two dimensions exchanged: matrices transposed. */
  mT(self: T | Scalar): T;
  /** max(0, margin - target · (input1 - input2)): input1 should rank higher where target is 1, lower where it is -1. */
  marginRankingLoss(
    input1: T | Scalar,
    input2: T | Scalar,
    target: T | Scalar,
    options?: { margin?: number; reduction?: Size },
  ): T;
  marginRankingLoss(input1: T | Scalar, input2: T | Scalar, target: T | Scalar, margin?: number, reduction?: Size): T;
  /** value where the mask holds, else self. */
  maskedFill(self: T | Scalar, mask: T | Scalar, value: Scalar): T;
  maskedFill(self: T | Scalar, mask: T | Scalar, value: T | Scalar): T;
  /** value where the mask holds, else self. */
  maskedFill_(self: T | Scalar, mask: T | Scalar, value: Scalar): T;
  maskedFill_(self: T | Scalar, mask: T | Scalar, value: T | Scalar): T;
  /** self, with the elements of source in order where mask holds. */
  maskedScatter(self: T | Scalar, mask: T | Scalar, source: T | Scalar): T;
  /** self, with the elements of source in order where mask holds. */
  maskedScatter_(self: T | Scalar, mask: T | Scalar, source: T | Scalar): T;
  /** The elements where a mask holds, as a vector; both broadcast. */
  maskedSelect(self: T | Scalar, mask: T | Scalar): T;
  /** The matrix product over the last two dimensions; the leading ones broadcast, vectors are rows or columns. */
  matmul(self: T | Scalar, other: T | Scalar): T;
  /** The exponential of square matrices. */
  matrixExp(self: T | Scalar): T;
  /** Matrices transposed and, where complex, conjugated (a copy); those of real numbers are a view. */
  matrixH(self: T | Scalar): T;
  /** The n-th power of square matrices; a negative one is of the inverse. */
  matrixPower(self: T | Scalar, n: Size): T;
  /** The largest element; NaN if there is one. Equals share the gradient. */
  max(self: T | Scalar): T;
  max(self: T | Scalar, dim: Size, options?: { keepdim?: boolean }): [T, T];
  max(self: T | Scalar, dim: Size, keepdim?: boolean): [T, T];
  max(self: T | Scalar, other: T | Scalar): T;
  /** The maximum of each window over the last dimensions. */
  maxPool(
    input: T | Scalar,
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    ceilMode: boolean,
  ): T;
  /** The maximum of each window over the last dimension; the stride defaults to the kernel size. */
  maxPool1d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): T;
  maxPool1d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): T;
  /** max_pool1d, and the flat position of each maximum in its row. */
  maxPool1dWithIndices(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): [T, T];
  maxPool1dWithIndices(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): [T, T];
  /** The maximum of each window over the last 2 dimensions; the stride defaults to the kernel size. */
  maxPool2d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): T;
  maxPool2d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): T;
  /** max_pool2d, and the flat position of each maximum in its plane. */
  maxPool2dWithIndices(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): [T, T];
  maxPool2dWithIndices(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): [T, T];
  /** The gradient of max_pool2d_with_indices. */
  maxPool2dWithIndicesBackward(
    gradOutput: T | Scalar,
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride: Size | readonly Size[],
    padding: Size | readonly Size[],
    dilation: Size | readonly Size[],
    ceilMode: boolean,
    indices: T | Scalar,
  ): T;
  /** The maximum of each window over the last 3 dimensions; the stride defaults to the kernel size. */
  maxPool3d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): T;
  maxPool3d(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): T;
  /** max_pool3d, and the flat position of each maximum in its plane. */
  maxPool3dWithIndices(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    options?: {
      stride?: Size | readonly Size[];
      padding?: Size | readonly Size[];
      dilation?: Size | readonly Size[];
      ceilMode?: boolean;
    },
  ): [T, T];
  maxPool3dWithIndices(
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride?: Size | readonly Size[],
    padding?: Size | readonly Size[],
    dilation?: Size | readonly Size[],
    ceilMode?: boolean,
  ): [T, T];
  /** The gradient of max_pool3d_with_indices. */
  maxPool3dWithIndicesBackward(
    gradOutput: T | Scalar,
    self: T | Scalar,
    kernelSize: Size | readonly Size[],
    stride: Size | readonly Size[],
    padding: Size | readonly Size[],
    dilation: Size | readonly Size[],
    ceilMode: boolean,
    indices: T | Scalar,
  ): T;
  /** The gradient of max pooling: each input element gathers from the windows that it won. */
  maxPoolInputGrad(
    grad: T | Scalar,
    taps: T | Scalar,
    inputSize: readonly Size[],
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
  ): T;
  /** Turns taps of windows into flat positions of the input plane, as ATen counts them. */
  maxPoolTapIndices(
    taps: T | Scalar,
    inputSize: readonly Size[],
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
  ): T;
  /** Which element of its window each maximum is, counted in row-major order within the window. */
  maxPoolTaps(
    input: T | Scalar,
    kernelSize: readonly Size[],
    stride: readonly Size[],
    padding: readonly Size[],
    dilation: readonly Size[],
    ceilMode: boolean,
  ): T;
  /** Puts values at the flat positions that max pooling gave; zeros elsewhere. */
  maxUnpool2d(self: T | Scalar, indices: T | Scalar, outputSize: Size | readonly Size[]): T;
  /** Puts values at the flat positions that max pooling gave; zeros elsewhere. */
  maxUnpool3d(
    self: T | Scalar,
    indices: T | Scalar,
    outputSize: Size | readonly Size[],
    stride: Size | readonly Size[],
    padding: Size | readonly Size[],
  ): T;
  /** The larger of self and other; NaN if either is. */
  maximum(self: T | Scalar, other: T | Scalar): T;
  /** The mean of all elements. */
  mean(self: T | Scalar, options?: { dtype?: DType | null }): T;
  mean(self: T | Scalar, dim: Size | readonly Size[] | null, options?: { keepdim?: boolean; dtype?: DType | null }): T;
  mean(self: T | Scalar, dim: Size | readonly Size[] | null, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** The lower median along a dimension and its position; NaN if there is one. */
  median(self: T | Scalar, dim: Size, options?: { keepdim?: boolean }): [T, T];
  median(self: T | Scalar, dim: Size, keepdim?: boolean): [T, T];
  median(self: T | Scalar): T;
  /** The coordinates of a grid: each vector expanded over the dimensions of the others. */
  meshgrid(tensors: readonly T[]): T[];
  meshgrid(tensors: readonly T[], options: { indexing: string }): T[];
  /** The smallest element; NaN if there is one. Equals share the gradient. */
  min(self: T | Scalar): T;
  min(self: T | Scalar, dim: Size, options?: { keepdim?: boolean }): [T, T];
  min(self: T | Scalar, dim: Size, keepdim?: boolean): [T, T];
  min(self: T | Scalar, other: T | Scalar): T;
  /** The smaller of self and other; NaN if either is. */
  minimum(self: T | Scalar, other: T | Scalar): T;
  /** x × tanh(log(1 + exp(x))). */
  mish(self: T | Scalar): T;
  /** The gradient of mish. */
  mishBackward(gradOutput: T | Scalar, self: T | Scalar): T;
  /** x × tanh(log(1 + exp(x))). */
  mish_(self: T | Scalar): T;
  /** The product of two matrices, [n, k] by [k, p]. */
  mm(self: T | Scalar, mat2: T | Scalar): T;
  mm(self: T | Scalar, mat2: T | Scalar, outDtype: DType): T;
  /** The most frequent element along a dimension (the smallest of several) and a position of it. */
  mode(self: T | Scalar, options?: { dim?: Size; keepdim?: boolean }): [T, T];
  mode(self: T | Scalar, dim?: Size, keepdim?: boolean): [T, T];
  /** A view with dimensions moved to other positions; the others keep their order. */
  moveaxis(self: T | Scalar, source: readonly Size[], destination: readonly Size[]): T;
  moveaxis(self: T | Scalar, source: Size, destination: Size): T;
  /** A view with dimensions moved to other positions; the others keep their order. */
  movedim(self: T | Scalar, source: readonly Size[], destination: readonly Size[]): T;
  movedim(self: T | Scalar, source: Size, destination: Size): T;
  /** The squared difference, averaged unless asked otherwise. */
  mseLoss(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size }): T;
  mseLoss(self: T | Scalar, target: T | Scalar, reduction?: Size): T;
  /** Sorts along the first dimension. */
  msort(self: T | Scalar): T;
  /** self × other, broadcast. */
  mul(self: T | Scalar, other: T | Scalar): T;
  mul(self: T | Scalar, other: Scalar): T;
  /** self × other, broadcast. */
  mul_(self: T | Scalar, other: T | Scalar): T;
  mul_(self: T | Scalar, other: Scalar): T;
  /** The mean over the wrong classes of max(0, margin - self[target] + self[class])^p, weighted by the right class. */
  multiMarginLoss(
    self: T | Scalar,
    target: T | Scalar,
    options?: { p?: Scalar; margin?: Scalar; weight?: T | Scalar | null; reduction?: Size },
  ): T;
  multiMarginLoss(
    self: T | Scalar,
    target: T | Scalar,
    p?: Scalar,
    margin?: Scalar,
    weight?: T | Scalar | null,
    reduction?: Size,
  ): T;
  /** The mean over classes of max(0, 1 - self[target] + self[other]), for all targets before the first -1. */
  multilabelMarginLoss(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size }): T;
  multilabelMarginLoss(self: T | Scalar, target: T | Scalar, reduction?: Size): T;
  /** multilabel_margin_loss and which classes are targets. */
  multilabelMarginLossForward(self: T | Scalar, target: T | Scalar, reduction: Size): [T, T];
  /** Categories drawn with probabilities in proportion to self, a vector or rows; with or without replacement. */
  multinomial(self: T | Scalar, numSamples: Size, options?: { replacement?: boolean; generator?: null | null }): T;
  multinomial(self: T | Scalar, numSamples: Size, replacement?: boolean, options?: { generator?: null | null }): T;
  /** self × other, broadcast. */
  multiply(self: T | Scalar, other: T | Scalar): T;
  multiply(self: T | Scalar, other: Scalar): T;
  /** self × other, broadcast. */
  multiply_(self: T | Scalar, other: T | Scalar): T;
  multiply_(self: T | Scalar, other: Scalar): T;
  /** A matrix times a vector. */
  mv(self: T | Scalar, vec: T | Scalar): T;
  /** The logarithm of the multivariate gamma function of dimension p. */
  mvlgamma(self: T | Scalar, p: Size): T;
  /** The logarithm of the multivariate gamma function of dimension p. */
  mvlgamma_(self: T | Scalar, p: Size): T;
  /** self with NaN and infinities replaced: by 0, the largest and the smallest number of the dtype unless told otherwise. */
  nanToNum(self: T | Scalar, options?: { nan?: number | null; posinf?: number | null; neginf?: number | null }): T;
  nanToNum(self: T | Scalar, nan?: number | null, posinf?: number | null, neginf?: number | null): T;
  /** self with NaN and infinities replaced: by 0, the largest and the smallest number of the dtype unless told otherwise. */
  nanToNum_(self: T | Scalar, options?: { nan?: number | null; posinf?: number | null; neginf?: number | null }): T;
  nanToNum_(self: T | Scalar, nan?: number | null, posinf?: number | null, neginf?: number | null): T;
  /** The mean over dimensions of what is not NaN. */
  nanmean(
    self: T | Scalar,
    options?: { dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  nanmean(
    self: T | Scalar,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** The lower median along a dimension and its position, without NaN. */
  nanmedian(self: T | Scalar, dim: Size, options?: { keepdim?: boolean }): [T, T];
  nanmedian(self: T | Scalar, dim: Size, keepdim?: boolean): [T, T];
  nanmedian(self: T | Scalar): T;
  /** The q-quantile along dim, interpolated between neighbours; NaN is left out. */
  nanquantile(
    self: T | Scalar,
    q: T | Scalar,
    options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string },
  ): T;
  nanquantile(
    self: T | Scalar,
    q: T | Scalar,
    dim?: Size | null,
    keepdim?: boolean,
    options?: { interpolation?: string },
  ): T;
  nanquantile(
    self: T | Scalar,
    q: number,
    options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string },
  ): T;
  nanquantile(
    self: T | Scalar,
    q: number,
    dim?: Size | null,
    keepdim?: boolean,
    options?: { interpolation?: string },
  ): T;
  /** The sum over dimensions, NaN counted as 0. */
  nansum(
    self: T | Scalar,
    options?: { dim?: Size | readonly Size[] | null; keepdim?: boolean; dtype?: DType | null },
  ): T;
  nansum(
    self: T | Scalar,
    dim?: Size | readonly Size[] | null,
    keepdim?: boolean,
    options?: { dtype?: DType | null },
  ): T;
  /** length elements of dimension dim from start on. */
  narrow(self: T | Scalar, dim: Size, start: Size, length: Size): T;
  narrow(self: T | Scalar, dim: Size, start: T | Scalar, length: Size): T;
  /** A copy of what narrow() shows. */
  narrowCopy(self: T | Scalar, dim: Size, start: Size, length: Size): T;
  /** Batch normalisation with its statistics; updates the running ones when training. */
  nativeBatchNorm(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    runningMean: T | Scalar | null,
    runningVar: T | Scalar | null,
    training: boolean,
    momentum: number,
    eps: number,
  ): [T, T, T];
  /** Gradients of native_batch_norm by input, weight and bias. */
  nativeBatchNormBackward(
    gradOut: T | Scalar,
    input: T | Scalar,
    weight: T | Scalar | null,
    runningMean: T | Scalar | null,
    runningVar: T | Scalar | null,
    saveMean: T | Scalar | null,
    saveInvstd: T | Scalar | null,
    train: boolean,
    eps: number,
    outputMask: boolean | readonly boolean[],
  ): [T, T, T];
  /** Dropout and the mask of the elements that were kept. */
  nativeDropout(input: T | Scalar, p: number, train: boolean | null): [T, T];
  /** The gradient of native_dropout: grad_output × mask × scale. */
  nativeDropoutBackward(gradOutput: T | Scalar, mask: T | Scalar, scale: number): T;
  /** Dropout and the mask of the elements that were kept. */
  nativeDropoutWithState(input: T | Scalar, state: T | Scalar, p: number): [T, T];
  /** group_norm with its mean and reciprocal standard deviation, [N, groups]. */
  nativeGroupNorm(
    input: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    N: Size,
    C: Size,
    HxW: Size,
    group: Size,
    eps: number,
  ): [T, T, T];
  /** layer_norm with its mean and reciprocal standard deviation. */
  nativeLayerNorm(
    input: T | Scalar,
    normalizedShape: readonly Size[],
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    eps: number,
  ): [T, T, T];
  /** Gradients of native_layer_norm by input, weight and bias. */
  nativeLayerNormBackward(
    gradOut: T | Scalar,
    input: T | Scalar,
    normalizedShape: readonly Size[],
    mean: T | Scalar,
    rstd: T | Scalar,
    weight: T | Scalar | null,
    bias: T | Scalar | null,
    outputMask: boolean | readonly boolean[],
  ): [T, T, T];
  /** Whether self differs from other, element by element. */
  ne(self: T | Scalar, other: T | Scalar): T;
  ne(self: T | Scalar, other: Scalar): T;
  /** Whether self differs from other, element by element. */
  ne_(self: T | Scalar, other: T | Scalar): T;
  ne_(self: T | Scalar, other: Scalar): T;
  /** -self. */
  neg(self: T | Scalar): T;
  /** -self. */
  neg_(self: T | Scalar): T;
  /** -self. */
  negative(self: T | Scalar): T;
  /** -self. */
  negative_(self: T | Scalar): T;
  /** empty of the given size, in the dtype and on the device of self. */
  newEmpty(
    self: T | Scalar,
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** A new tensor with the given strides, in the dtype and on the device of self; its elements are 0. */
  newEmptyStrided(
    self: T | Scalar,
    size: readonly Size[],
    stride: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** fillValue in the given size, in the dtype and on the device of self. */
  newFull(
    self: T | Scalar,
    size: readonly Size[],
    fillValue: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** ones of the given size, in the dtype and on the device of self. */
  newOnes(
    self: T | Scalar,
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** zeros of the given size, in the dtype and on the device of self. */
  newZeros(
    self: T | Scalar,
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The number next to self in the direction of other. */
  nextafter(self: T | Scalar, other: T | Scalar): T;
  /** The number next to self in the direction of other. */
  nextafter_(self: T | Scalar, other: T | Scalar): T;
  /** nll_loss_nd for input [N, C] or [C]. */
  nllLoss(
    self: T | Scalar,
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size },
  ): T;
  nllLoss(self: T | Scalar, target: T | Scalar, weight?: T | Scalar | null, reduction?: Size, ignoreIndex?: Size): T;
  /** nll_loss_nd for images, [N, C, H, W]. */
  nllLoss2d(
    self: T | Scalar,
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size },
  ): T;
  nllLoss2d(self: T | Scalar, target: T | Scalar, weight?: T | Scalar | null, reduction?: Size, ignoreIndex?: Size): T;
  /** The gradient of nll_loss_forward. */
  nllLoss2dBackward(
    gradOutput: T | Scalar,
    self: T | Scalar,
    target: T | Scalar,
    weight: T | Scalar | null,
    reduction: Size,
    ignoreIndex: Size,
    totalWeight: T | Scalar,
  ): T;
  /** nll_loss and the total weight that a mean divides by. */
  nllLoss2dForward(
    self: T | Scalar,
    target: T | Scalar,
    weight: T | Scalar | null,
    reduction: Size,
    ignoreIndex: Size,
  ): [T, T];
  /** The gradient of nll_loss_forward. */
  nllLossBackward(
    gradOutput: T | Scalar,
    self: T | Scalar,
    target: T | Scalar,
    weight: T | Scalar | null,
    reduction: Size,
    ignoreIndex: Size,
    totalWeight: T | Scalar,
  ): T;
  /** nll_loss and the total weight that a mean divides by. */
  nllLossForward(
    self: T | Scalar,
    target: T | Scalar,
    weight: T | Scalar | null,
    reduction: Size,
    ignoreIndex: Size,
  ): [T, T];
  /** Minus the log-probability of the target class; input [N, C, …] holds logarithms of probabilities. */
  nllLossNd(
    self: T | Scalar,
    target: T | Scalar,
    options?: { weight?: T | Scalar | null; reduction?: Size; ignoreIndex?: Size },
  ): T;
  nllLossNd(self: T | Scalar, target: T | Scalar, weight?: T | Scalar | null, reduction?: Size, ignoreIndex?: Size): T;
  /** The positions of elements that are not 0, [number, dimensions], in row-major order. */
  nonzero(self: T | Scalar): T;
  /** The positions of elements that are not 0, one vector a dimension. */
  nonzeroNumpy(self: T | Scalar): T[];
  /** The positions of the first `size` elements that are not 0, [size, dimensions]; rows beyond them hold fill_value. */
  nonzeroStatic(self: T | Scalar, options: { size: Size; fillValue?: Size }): T;
  /** The vector norm over dimensions, (Σ |x|^p)^(1/p); the largest |x| for ∞, the number of elements that are not 0 for 0. */
  norm(self: T | Scalar, options?: { p?: Scalar }): T;
  norm(self: T | Scalar, p?: Scalar): T;
  norm(self: T | Scalar, p: Scalar | null, dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  norm(self: T | Scalar, p: Scalar | null, dim: Size | readonly Size[], keepdim?: boolean): T;
  norm(self: T | Scalar, p: Scalar | null, dim: Size | readonly Size[], keepdim: boolean, options: { dtype: DType }): T;
  norm(self: T | Scalar, p: Scalar | null, options: { dtype: DType }): T;
  /** The norm over all dimensions but one, which stays. */
  normExceptDim(v: T | Scalar, options?: { pow?: Size; dim?: Size }): T;
  normExceptDim(v: T | Scalar, pow?: Size, dim?: Size): T;
  /** Normally distributed numbers with a mean and a standard deviation for each element, from the default generator. */
  normal(mean: T | Scalar, std: T | Scalar, options?: { generator?: null | null }): T;
  normal(mean: T | Scalar, options?: { std?: number; generator?: null | null }): T;
  normal(mean: T | Scalar, std?: number, options?: { generator?: null | null }): T;
  normal(mean: number, std: T | Scalar, options?: { generator?: null | null }): T;
  normal(
    mean: number,
    std: number,
    size: readonly Size[],
    options?: {
      generator?: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  /** Normally distributed numbers in the shape of self, from the default generator. */
  normalFunctional(self: T | Scalar, options?: { mean?: number; std?: number; generator?: null | null }): T;
  normalFunctional(self: T | Scalar, mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** Fills self with normally distributed numbers, from the default generator. */
  normal_(self: T | Scalar, options?: { mean?: number; std?: number; generator?: null | null }): T;
  normal_(self: T | Scalar, mean?: number, std?: number, options?: { generator?: null | null }): T;
  /** Whether self differs from other, element by element. */
  notEqual(self: T | Scalar, other: T | Scalar): T;
  notEqual(self: T | Scalar, other: Scalar): T;
  /** Whether self differs from other, element by element. */
  notEqual_(self: T | Scalar, other: T | Scalar): T;
  notEqual_(self: T | Scalar, other: Scalar): T;
  /** The sum of singular values. */
  nuclearNorm(self: T | Scalar, options?: { keepdim?: boolean }): T;
  nuclearNorm(self: T | Scalar, keepdim?: boolean): T;
  nuclearNorm(self: T | Scalar, dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  nuclearNorm(self: T | Scalar, dim: Size | readonly Size[], keepdim?: boolean): T;
  /** A view with all dimensions in reverse order: PyTorch's x.T. */
  numpyT(self: T | Scalar): T;
  /** A new last dimension with a 1 at the class that self names. numClasses must be given: it decides the shape. */
  oneHot(self: T | Scalar, options?: { numClasses?: Size }): T;
  oneHot(self: T | Scalar, numClasses?: Size): T;
  /** A tensor of ones. */
  ones(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** ones in the shape and dtype of self. */
  onesLike(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Another name of linalg_householder_product. */
  orgqr(self: T | Scalar, input2: T | Scalar): T;
  /** Q C, Qᵀ C, C Q or C Qᵀ, where self and input2 are the reflections and scales of Q and input3 is C. */
  ormqr(self: T | Scalar, input2: T | Scalar, input3: T | Scalar, options?: { left?: boolean; transpose?: boolean }): T;
  ormqr(self: T | Scalar, input2: T | Scalar, input3: T | Scalar, left?: boolean, transpose?: boolean): T;
  /** The outer product of two vectors. */
  outer(self: T | Scalar, vec2: T | Scalar): T;
  /** self padded by mode: "constant" (with value), "reflect", "replicate" or "circular". */
  pad(self: T | Scalar, pad: readonly Size[], options?: { mode?: string; value?: number | null }): T;
  pad(self: T | Scalar, pad: readonly Size[], mode?: string, value?: number | null): T;
  /** The gradient of padding: what each input element shows in the padded tensor, added up. */
  padBackward(gradOutput: T | Scalar, inputSizes: readonly Size[], pad: readonly Size[], mode: string): T;
  /** Sequences of different length as one tensor, filled with padding_value behind (or before) them. */
  padSequence(
    sequences: readonly T[],
    options?: { batchFirst?: boolean; paddingValue?: number; paddingSide?: string },
  ): T;
  padSequence(sequences: readonly T[], batchFirst?: boolean, paddingValue?: number, paddingSide?: string): T;
  /** The p-norm of x1 - x2 + eps along the last dimension. */
  pairwiseDistance(x1: T | Scalar, x2: T | Scalar, options?: { p?: number; eps?: number; keepdim?: boolean }): T;
  pairwiseDistance(x1: T | Scalar, x2: T | Scalar, p?: number, eps?: number, keepdim?: boolean): T;
  /** The p-norm distances of all pairs of rows, as a vector: (0, 1), (0, 2), …, (1, 2), …. */
  pdist(self: T | Scalar, options?: { p?: number }): T;
  pdist(self: T | Scalar, p?: number): T;
  /** The matrix that undoes row exchanges: A = P L U. */
  permutationMatrix(pivots: T | Scalar, rows: Size, dtype: DType): T;
  /** A view whose dimension i is dimension dims[i] of self. */
  permute(self: T | Scalar, dims: readonly Size[]): T;
  /** A copy of what permute() shows. */
  permuteCopy(self: T | Scalar, dims: readonly Size[]): T;
  /** 1 with the probability that probs gives at each element, else 0, a function of the generator's state. */
  philoxBernoulli(state: T | Scalar, probs: T | Scalar): T;
  /** Numbers of successes of count trials, a function of the generator's state. */
  philoxBinomial(state: T | Scalar, count: T | Scalar, prob: T | Scalar): T;
  /** Gamma variables of scale 1, a function of the generator's state; differentiable by the concentration. */
  philoxGamma(state: T | Scalar, concentration: T | Scalar): T;
  /** Numbers of the standard normal distribution (Box-Muller), a function of the generator's state. */
  philoxNormal(
    state: T | Scalar,
    size: readonly Size[],
    options?: { dtype?: DType | null; device?: DeviceLike | null },
  ): T;
  /** Counts of the Poisson distribution, a function of the generator's state. */
  philoxPoisson(state: T | Scalar, rate: T | Scalar): T;
  /** Integers in [low, high), a function of the generator's state. */
  philoxRandint(
    state: T | Scalar,
    low: Size,
    high: Size,
    size: readonly Size[],
    options?: { dtype?: DType | null; device?: DeviceLike | null },
  ): T;
  /** Uniform numbers in [0, 1), a function of the generator's state. */
  philoxUniform(
    state: T | Scalar,
    size: readonly Size[],
    options?: { dtype?: DType | null; device?: DeviceLike | null },
  ): T;
  /** The element of the target's class at each position; 0 where the target is ignored. */
  pickClass(input: T | Scalar, target: T | Scalar, ignoreIndex: Size): T;
  /** Puts each gradient at its target's class, zeros elsewhere. */
  pickClassGrad(grad: T | Scalar, target: T | Scalar, classes: Size, ignoreIndex: Size): T;
  /** The weight of each target's class; 0 where the target is ignored. */
  pickWeight(weight: T | Scalar, target: T | Scalar, ignoreIndex: Size): T;
  /** The pseudo-inverse. */
  pinverse(self: T | Scalar, options?: { rcond?: number }): T;
  pinverse(self: T | Scalar, rcond?: number): T;
  /** [..., C·r², H, W] to [..., C, H·r, W·r]. */
  pixelShuffle(self: T | Scalar, upscaleFactor: Size): T;
  /** [..., C, H·r, W·r] to [..., C·r², H, W]. */
  pixelUnshuffle(self: T | Scalar, downscaleFactor: Size): T;
  /** Counts of the Poisson distribution with the given rates, from the default generator. */
  poisson(self: T | Scalar, options?: { generator?: null | null }): T;
  poisson(self: T | Scalar, generator?: null | null): T;
  /** The negative log likelihood of counts under Poisson distributions; full adds Stirling's term. */
  poissonNllLoss(
    input: T | Scalar,
    target: T | Scalar,
    logInput: boolean,
    full: boolean,
    eps: number,
    reduction: Size,
  ): T;
  /** Complex numbers from magnitudes and angles. */
  polar(abs: T | Scalar, angle: T | Scalar): T;
  /** The n-th derivative of digamma. */
  polygamma(n: Size, self: T | Scalar): T;
  /** The n-th derivative of digamma. */
  polygamma_(self: T | Scalar, n: Size): T;
  /** +self: the tensor itself. */
  positive(self: T | Scalar): T;
  /** +self: the tensor itself. */
  positive_(self: T | Scalar): T;
  /** self to the power of exponent. */
  pow(self: T | Scalar, exponent: Scalar): T;
  pow(self: T | Scalar, exponent: T | Scalar): T;
  pow(self: Scalar, exponent: T | Scalar): T;
  /** self to the power of exponent. */
  pow_(self: T | Scalar, exponent: Scalar): T;
  pow_(self: T | Scalar, exponent: T | Scalar): T;
  /** x where it is positive, else weight × x, with one weight or one for each channel (dimension 1). */
  prelu(self: T | Scalar, weight: T | Scalar): T;
  /** The product of all elements. */
  prod(self: T | Scalar, options?: { dtype?: DType | null }): T;
  prod(self: T | Scalar, dim: Size, options?: { keepdim?: boolean; dtype?: DType | null }): T;
  prod(self: T | Scalar, dim: Size, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** The pseudo-inverse; singular values up to max(atol, rtol · largest) count as 0. One tolerance, or one a matrix. */
  pseudoInverse(self: T | Scalar, atol: T | Scalar, rtol: T | Scalar): T;
  /** self with elements of source written (or added) at flat positions. */
  put(self: T | Scalar, index: T | Scalar, source: T | Scalar, options?: { accumulate?: boolean }): T;
  put(self: T | Scalar, index: T | Scalar, source: T | Scalar, accumulate?: boolean): T;
  /** self with elements of source written (or added) at flat positions. */
  put_(self: T | Scalar, index: T | Scalar, source: T | Scalar, options?: { accumulate?: boolean }): T;
  put_(self: T | Scalar, index: T | Scalar, source: T | Scalar, accumulate?: boolean): T;
  /** A = Q R, reduced or complete. */
  qr(self: T | Scalar, options?: { some?: boolean }): [T, T];
  qr(self: T | Scalar, some?: boolean): [T, T];
  /** The q-quantile along dim, interpolated between neighbours. */
  quantile(
    self: T | Scalar,
    q: T | Scalar,
    options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string },
  ): T;
  quantile(
    self: T | Scalar,
    q: T | Scalar,
    dim?: Size | null,
    keepdim?: boolean,
    options?: { interpolation?: string },
  ): T;
  quantile(self: T | Scalar, q: number, options?: { dim?: Size | null; keepdim?: boolean; interpolation?: string }): T;
  quantile(self: T | Scalar, q: number, dim?: Size | null, keepdim?: boolean, options?: { interpolation?: string }): T;
  /** Radians to degrees. */
  rad2deg(self: T | Scalar): T;
  /** Radians to degrees. */
  rad2deg_(self: T | Scalar): T;
  /** Attention of sequences behind each other: queries [rows, heads, width], offsets [sequences + 1]; keys alike, or pages [pages, size, heads, width] with a table [sequences, columns] and lengths [sequences]. A query sees left keys before its place and right behind it; negative: all. */
  raggedAttention(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    queryOffsets: T | Scalar,
    keyOffsets: T | Scalar,
    table: T | Scalar | null,
    scale: number,
    options?: { left?: Size; right?: Size; mostKeys?: Size },
  ): T;
  raggedAttention(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    queryOffsets: T | Scalar,
    keyOffsets: T | Scalar,
    table: T | Scalar | null,
    scale: number,
    left?: Size,
    right?: Size,
    mostKeys?: Size,
  ): T;
  /** Numbers uniform in [0, 1), from the default generator. */
  rand(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  rand(
    size: readonly Size[],
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  /** Numbers uniform in [0, 1), in the shape of self, from the default generator. */
  randLike(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randLike(
    self: T | Scalar,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Integers in [0, high), from the default generator. */
  randint(
    high: Size,
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  randint(
    low: Size,
    high: Size,
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  randint(
    high: Size,
    size: readonly Size[],
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  randint(
    low: Size,
    high: Size,
    size: readonly Size[],
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  /** Integers in [low, high) in the shape of self, from the default generator. */
  randintLike(
    self: T | Scalar,
    high: Size,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randintLike(
    self: T | Scalar,
    high: Size,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randintLike(
    self: T | Scalar,
    low: Size,
    high: Size,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randintLike(
    self: T | Scalar,
    low: Size,
    high: Size,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Numbers of the standard normal distribution, from the default generator. */
  randn(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  randn(
    size: readonly Size[],
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  /** Numbers of the standard normal distribution, in the shape of self, from the default generator. */
  randnLike(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  randnLike(
    self: T | Scalar,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
  /** Integers from a range, in the shape of self: all that the dtype holds if none is given. */
  random(self: T | Scalar, options?: { generator?: null | null }): T;
  random(self: T | Scalar, to: Size, options?: { generator?: null | null }): T;
  random(self: T | Scalar, from: Size, to: Size | null, options?: { generator?: null | null }): T;
  /** Integers from a range, in self: all that the dtype holds if none is given. */
  random_(self: T | Scalar, options?: { generator?: null | null }): T;
  random_(self: T | Scalar, to: Size, options?: { generator?: null | null }): T;
  random_(self: T | Scalar, from: Size, to: Size | null, options?: { generator?: null | null }): T;
  /** A random order of 0 … n-1, from the default generator. */
  randperm(
    n: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  randperm(
    n: Size,
    options: {
      generator: null | null;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  /** All elements in one dimension: a view where that is possible, else a copy. */
  ravel(self: T | Scalar): T;
  /** The tensor itself: it is real. */
  real(self: T | Scalar): T;
  /** 1 / self. */
  reciprocal(self: T | Scalar): T;
  /** 1 / self. */
  reciprocal_(self: T | Scalar): T;
  /** self with its mirror image around it, the edge not repeated. */
  reflectionPad1d(self: T | Scalar, padding: Size | readonly Size[]): T;
  /** self with its mirror image around it, the edge not repeated. */
  reflectionPad2d(self: T | Scalar, padding: Size | readonly Size[]): T;
  /** self with its mirror image around it, the edge not repeated. */
  reflectionPad3d(self: T | Scalar, padding: Size | readonly Size[]): T;
  /** max(x, 0); NaN stays NaN. */
  relu(self: T | Scalar): T;
  /** min(max(x, 0), 6). */
  relu6(self: T | Scalar): T;
  /** min(max(x, 0), 6). */
  relu6_(self: T | Scalar): T;
  /** max(x, 0); NaN stays NaN. */
  relu_(self: T | Scalar): T;
  /** The remainder of division rounded down, with the sign of other: Python's `%`. */
  remainder(self: T | Scalar, other: T | Scalar): T;
  remainder(self: T | Scalar, other: Scalar): T;
  /** The remainder of division rounded down, with the sign of other: Python's `%`. */
  remainder_(self: T | Scalar, other: T | Scalar): T;
  remainder_(self: T | Scalar, other: Scalar): T;
  /** self with each slice along dim scaled down so that its p-norm is at most maxnorm. */
  renorm(self: T | Scalar, p: Scalar, dim: Size, maxnorm: Scalar): T;
  /** self with each slice along dim scaled down so that its p-norm is at most maxnorm. */
  renorm_(self: T | Scalar, p: Scalar, dim: Size, maxnorm: Scalar): T;
  /** self copied repeats[i] times along dimension i; extra repeats add dimensions in front. */
  repeat(self: T | Scalar, repeats: readonly Size[]): T;
  /** Each element repeated in place along dim. */
  repeatElements(self: T | Scalar, repeats: Size, dim: Size): T;
  /** Each element repeated in place along dim; the flattened tensor if dim is null. */
  repeatInterleave(self: T | Scalar, repeats: Size, options?: { dim?: Size | null; outputSize?: Size | null }): T;
  repeatInterleave(self: T | Scalar, repeats: Size, dim?: Size | null, options?: { outputSize?: Size | null }): T;
  repeatInterleave(repeats: T | Scalar, options?: { outputSize?: Size | null }): T;
  repeatInterleave(self: T | Scalar, repeats: T | Scalar, options?: { dim?: Size | null; outputSize?: Size | null }): T;
  repeatInterleave(self: T | Scalar, repeats: T | Scalar, dim?: Size | null, options?: { outputSize?: Size | null }): T;
  /** self with its edge repeated around it. */
  replicationPad1d(self: T | Scalar, padding: Size | readonly Size[]): T;
  /** self with its edge repeated around it. */
  replicationPad2d(self: T | Scalar, padding: Size | readonly Size[]): T;
  /** self with its edge repeated around it. */
  replicationPad3d(self: T | Scalar, padding: Size | readonly Size[]): T;
  /** self, all of whose elements meet a condition. */
  require(self: T | Scalar, condition: string): T;
  /** Interpolates one dimension to a size: nearest, nearest-exact, linear or cubic. */
  resampleAxis(input: T | Scalar, dim: Size, size: Size, mode: string, alignCorners: boolean, factor: number): T;
  /** The gradient of resample_axis: adds each element to the positions that its output read. */
  resampleAxisGrad(grad: T | Scalar, dim: Size, size: Size, mode: string, alignCorners: boolean, factor: number): T;
  /** The same elements in another shape: a view where that is possible, else a copy; one size may be -1. */
  reshape(self: T | Scalar, shape: readonly Size[]): T;
  /** The same elements in the shape of other. */
  reshapeAs(self: T | Scalar, other: T | Scalar): T;
  /** The tensor itself: it is real. */
  resolveConj(self: T | Scalar): T;
  /** The tensor itself: it is real. */
  resolveNeg(self: T | Scalar): T;
  /** x / sqrt(mean(x²) + eps) · weight over the last dimensions; eps defaults to the dtype's. */
  rmsNorm(
    input: T | Scalar,
    normalizedShape: readonly Size[],
    options?: { weight?: T | Scalar | null; eps?: number | null },
  ): T;
  rmsNorm(input: T | Scalar, normalizedShape: readonly Size[], weight?: T | Scalar | null, eps?: number | null): T;
  /** A plain recurrent network over whole sequences: outputs and last states. */
  rnnRelu(
    input: T | Scalar,
    hx: T | Scalar,
    params: readonly T[],
    hasBiases: boolean,
    numLayers: Size,
    dropout: number,
    train: boolean,
    bidirectional: boolean,
    batchFirst: boolean,
  ): [T, T];
  /** One step of a plain recurrent network: the next state. */
  rnnReluCell(
    input: T | Scalar,
    hx: T | Scalar,
    wIh: T | Scalar,
    wHh: T | Scalar,
    options?: { bIh?: T | Scalar | null; bHh?: T | Scalar | null },
  ): T;
  rnnReluCell(
    input: T | Scalar,
    hx: T | Scalar,
    wIh: T | Scalar,
    wHh: T | Scalar,
    bIh?: T | Scalar | null,
    bHh?: T | Scalar | null,
  ): T;
  /** A plain recurrent network over whole sequences: outputs and last states. */
  rnnTanh(
    input: T | Scalar,
    hx: T | Scalar,
    params: readonly T[],
    hasBiases: boolean,
    numLayers: Size,
    dropout: number,
    train: boolean,
    bidirectional: boolean,
    batchFirst: boolean,
  ): [T, T];
  /** One step of a plain recurrent network: the next state. */
  rnnTanhCell(
    input: T | Scalar,
    hx: T | Scalar,
    wIh: T | Scalar,
    wHh: T | Scalar,
    options?: { bIh?: T | Scalar | null; bHh?: T | Scalar | null },
  ): T;
  rnnTanhCell(
    input: T | Scalar,
    hx: T | Scalar,
    wIh: T | Scalar,
    wHh: T | Scalar,
    bIh?: T | Scalar | null,
    bHh?: T | Scalar | null,
  ): T;
  /** A copy whose elements moved by shifts along dims, around the end; without dims the flattened tensor rolls. */
  roll(self: T | Scalar, shifts: Size | readonly Size[], options?: { dims?: Size | readonly Size[] }): T;
  roll(self: T | Scalar, shifts: Size | readonly Size[], dims?: Size | readonly Size[]): T;
  /** roll() with one shift for each named dimension. */
  rollDims(self: T | Scalar, shifts: readonly Size[], dims: readonly Size[]): T;
  /** A copy turned by k quarter turns in the plane of two dimensions, from the first towards the second. */
  rot90(self: T | Scalar, options?: { k?: Size; dims?: readonly Size[] }): T;
  rot90(self: T | Scalar, k?: Size, dims?: readonly Size[]): T;
  /** The nearest integer, halves to even. */
  round(self: T | Scalar): T;
  round(self: T | Scalar, options: { decimals: Size }): T;
  /** The nearest integer, halves to even. */
  round_(self: T | Scalar): T;
  round_(self: T | Scalar, options: { decimals: Size }): T;
  /** Tensors one after the other along a fixed dimension, which those that lack it get first. */
  rowStack(tensors: readonly T[]): T;
  /** leaky_relu whose slope is drawn between lower and upper for each element in training, else their mean. */
  rrelu(self: T | Scalar, options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null }): T;
  rrelu(self: T | Scalar, lower?: Scalar, upper?: Scalar, training?: boolean, generator?: null | null): T;
  /** rrelu that keeps the slopes it drew in noise: 1 where self is positive. */
  rreluWithNoise(
    self: T | Scalar,
    noise: T | Scalar,
    options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null },
  ): T;
  rreluWithNoise(
    self: T | Scalar,
    noise: T | Scalar,
    lower?: Scalar,
    upper?: Scalar,
    training?: boolean,
    generator?: null | null,
  ): T;
  /** rrelu, in place, that keeps the slopes it drew in noise: 1 where self is positive. */
  rreluWithNoise_(
    self: T | Scalar,
    noise: T | Scalar,
    options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null },
  ): T;
  rreluWithNoise_(
    self: T | Scalar,
    noise: T | Scalar,
    lower?: Scalar,
    upper?: Scalar,
    training?: boolean,
    generator?: null | null,
  ): T;
  /** rrelu, in place. */
  rrelu_(
    self: T | Scalar,
    options?: { lower?: Scalar; upper?: Scalar; training?: boolean; generator?: null | null },
  ): T;
  rrelu_(self: T | Scalar, lower?: Scalar, upper?: Scalar, training?: boolean, generator?: null | null): T;
  /** 1 / sqrt(self). */
  rsqrt(self: T | Scalar): T;
  /** 1 / sqrt(self). */
  rsqrt_(self: T | Scalar): T;
  /** other - alpha × self, broadcast. */
  rsub(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  rsub(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  rsub(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** The largest element so far along dim; NaN from the first NaN on. */
  runningMax(input: T | Scalar, dim: Size): T;
  /** The smallest element so far along dim; NaN from the first NaN on. */
  runningMin(input: T | Scalar, dim: Size): T;
  /** A 0-dim tensor of one number, in the default float unless dtype says otherwise. */
  scalarTensor(
    s: Scalar,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** softmax(query · keyᵀ / √width + mask) · value; a bool mask keeps what is true. */
  scaledDotProductAttention(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    options?: {
      attnMask?: T | Scalar | null;
      dropoutP?: number;
      isCausal?: boolean;
      scale?: number | null;
      enableGqa?: boolean;
    },
  ): T;
  scaledDotProductAttention(
    query: T | Scalar,
    key: T | Scalar,
    value: T | Scalar,
    attnMask?: T | Scalar | null,
    dropoutP?: number,
    isCausal?: boolean,
    options?: { scale?: number | null; enableGqa?: boolean },
  ): T;
  /** self with a number written at the positions that index names along dim. */
  scatter(self: T | Scalar, dim: Size, index: T | Scalar, value: Scalar): T;
  scatter(self: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar): T;
  scatter(self: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar, options: { reduce: string }): T;
  scatter(self: T | Scalar, dim: Size, index: T | Scalar, value: Scalar, options: { reduce: string }): T;
  /** self with elements of src added at the positions that index names along dim. */
  scatterAdd(self: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar): T;
  /** self with elements of src added at the positions that index names along dim. */
  scatterAdd_(self: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar): T;
  /** Combines elements of src into input by sum, prod, amax or amin; without gradient. */
  scatterCombine(input: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar, reduce: string): T;
  /** Combines elements of src into self by sum, prod, mean, amax or amin; without include_self from nothing. */
  scatterReduce(
    self: T | Scalar,
    dim: Size,
    index: T | Scalar,
    src: T | Scalar,
    reduce: string,
    options?: { includeSelf?: boolean },
  ): T;
  /** Combines elements of src into self by sum, prod, mean, amax or amin; without include_self from nothing. */
  scatterReduce_(
    self: T | Scalar,
    dim: Size,
    index: T | Scalar,
    src: T | Scalar,
    reduce: string,
    options?: { includeSelf?: boolean },
  ): T;
  /** self with a number written at the positions that index names along dim. */
  scatter_(self: T | Scalar, dim: Size, index: T | Scalar, value: Scalar): T;
  scatter_(self: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar): T;
  scatter_(self: T | Scalar, dim: Size, index: T | Scalar, src: T | Scalar, options: { reduce: string }): T;
  scatter_(self: T | Scalar, dim: Size, index: T | Scalar, value: Scalar, options: { reduce: string }): T;
  /** Where values would have to be inserted into sorted rows to keep them sorted. */
  searchsorted(
    sortedSequence: T | Scalar,
    self: T | Scalar,
    options?: { outInt32?: boolean; right?: boolean; side?: string | null; sorter?: T | Scalar | null },
  ): T;
  searchsorted(
    sortedSequence: T | Scalar,
    self: Scalar,
    options?: { outInt32?: boolean; right?: boolean; side?: string | null; sorter?: T | Scalar | null },
  ): T;
  /** Sums, means, products, maxima or minima of segments along axis, which lengths or offsets delimit. */
  segmentReduce(
    data: T | Scalar,
    reduce: string,
    options?: {
      lengths?: T | Scalar | null;
      indices?: T | Scalar | null;
      offsets?: T | Scalar | null;
      axis?: Size;
      unsafe?: boolean;
      initial?: Scalar | null;
    },
  ): T;
  /** The part of self at one index of dimension dim, without that dimension. */
  select(self: T | Scalar, dim: Size, index: Size): T;
  /** Zeros with gradOutput in the place of select(dim, index). */
  selectBackward(gradOutput: T | Scalar, inputSizes: readonly Size[], dim: Size, index: Size): T;
  /** A copy of what select() shows. */
  selectCopy(self: T | Scalar, dim: Size, index: Size): T;
  /** self with src in the place of select(dim, index). */
  selectScatter(self: T | Scalar, src: T | Scalar, dim: Size, index: Size): T;
  /** ELU with the constants that keep mean 0 and variance 1. */
  selu(self: T | Scalar): T;
  /** ELU with the constants that keep mean 0 and variance 1. */
  selu_(self: T | Scalar): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sgn(self: T | Scalar): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sgn_(self: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid(self: T | Scalar): T;
  /** The gradient of sigmoid, from its result. */
  sigmoidBackward(gradOutput: T | Scalar, output: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  sigmoid_(self: T | Scalar): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sign(self: T | Scalar): T;
  /** -1, 0 or 1 by the sign; 0 for NaN. */
  sign_(self: T | Scalar): T;
  /** Whether an element is negative, -0 included. */
  signbit(self: T | Scalar): T;
  /** x × sigmoid(x), also called swish. */
  silu(self: T | Scalar): T;
  /** The gradient of silu. */
  siluBackward(gradOutput: T | Scalar, self: T | Scalar): T;
  /** x × sigmoid(x), also called swish. */
  silu_(self: T | Scalar): T;
  /** The sine. */
  sin(self: T | Scalar): T;
  /** The sine. */
  sin_(self: T | Scalar): T;
  /** sin(πx) / (πx), 1 at 0. */
  sinc(self: T | Scalar): T;
  /** sin(πx) / (πx), 1 at 0. */
  sinc_(self: T | Scalar): T;
  /** The hyperbolic sine. */
  sinh(self: T | Scalar): T;
  /** The hyperbolic sine. */
  sinh_(self: T | Scalar): T;
  /** Elements start to end (exclusive) of dimension dim, every step-th; positions clamp as in Python. */
  slice(self: T | Scalar, options?: { dim?: Size; start?: Size | null; end?: Size | null; step?: Size }): T;
  slice(self: T | Scalar, dim?: Size, start?: Size | null, end?: Size | null, step?: Size): T;
  /** Zeros with gradOutput in the place of slice(dim, start, end, step). */
  sliceBackward(gradOutput: T | Scalar, inputSizes: readonly Size[], dim: Size, start: Size, end: Size, step: Size): T;
  /** A copy of what slice() shows. */
  sliceCopy(self: T | Scalar, options?: { dim?: Size; start?: Size | null; end?: Size | null; step?: Size }): T;
  sliceCopy(self: T | Scalar, dim?: Size, start?: Size | null, end?: Size | null, step?: Size): T;
  /** self with src in the place of slice(dim, start, end, step). */
  sliceScatter(
    self: T | Scalar,
    src: T | Scalar,
    options?: { dim?: Size; start?: Size | null; end?: Size | null; step?: Size },
  ): T;
  sliceScatter(self: T | Scalar, src: T | Scalar, dim?: Size, start?: Size | null, end?: Size | null, step?: Size): T;
  /** The determinant's sign and the logarithm of its size. */
  slogdet(self: T | Scalar): [T, T];
  /** Quadratic where the difference is below beta, linear beyond. */
  smoothL1Loss(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size; beta?: number }): T;
  smoothL1Loss(self: T | Scalar, target: T | Scalar, reduction?: Size, beta?: number): T;
  /** log(1 + exp(-target · self)). */
  softMarginLoss(self: T | Scalar, target: T | Scalar, options?: { reduction?: Size }): T;
  softMarginLoss(self: T | Scalar, target: T | Scalar, reduction?: Size): T;
  /** exp(x) / sum(exp(x)) along a dimension: non-negative numbers that sum to 1. */
  softmax(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  softmax(self: T | Scalar, dim: Size, dtype?: DType | null): T;
  /** log(1 + exp(beta × x)) / beta; x itself where beta × x exceeds the threshold. */
  softplus(self: T | Scalar, options?: { beta?: Scalar; threshold?: Scalar }): T;
  softplus(self: T | Scalar, beta?: Scalar, threshold?: Scalar): T;
  /** The gradient of softplus. */
  softplusBackward(gradOutput: T | Scalar, self: T | Scalar, beta: Scalar, threshold: Scalar): T;
  /** log(1 + exp(-x)), without overflow. */
  softplusOfNegative(input: T | Scalar): T;
  /** x moved towards 0 by lambd; 0 within lambd of 0. */
  softshrink(self: T | Scalar, options?: { lambd?: Scalar }): T;
  softshrink(self: T | Scalar, lambd?: Scalar): T;
  /** The gradient of softshrink. */
  softshrinkBackward(gradOutput: T | Scalar, self: T | Scalar, lambd: Scalar): T;
  /** X with A X = B, and for each A the first zero pivot (0: none). A and B have one batch. */
  solveSquare(A: T | Scalar, B: T | Scalar): [T, T];
  /** X with A X = B for triangular A, of which one half is read. A and B have one batch. */
  solveTriangular(A: T | Scalar, B: T | Scalar, upper: boolean, unitriangular: boolean): T;
  /** Sorts along a dimension; also the positions that the elements had. */
  sort(self: T | Scalar, options?: { dim?: Size; descending?: boolean }): [T, T];
  sort(self: T | Scalar, dim?: Size, descending?: boolean): [T, T];
  sort(self: T | Scalar, options: { stable: boolean | null; dim?: Size; descending?: boolean }): [T, T];
  /** The Airy function of the first kind. */
  specialAiryAi(x: T | Scalar): T;
  /** The Bessel function of the first kind of order 0. */
  specialBesselJ0(self: T | Scalar): T;
  /** The Bessel function of the first kind of order 1. */
  specialBesselJ1(self: T | Scalar): T;
  /** The Bessel function of the second kind of order 0. */
  specialBesselY0(self: T | Scalar): T;
  /** The Bessel function of the second kind of order 1. */
  specialBesselY1(self: T | Scalar): T;
  /** Chebyshev polynomials of the first kind, of degree n at x. */
  specialChebyshevPolynomialT(x: T | Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialT(x: Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialT(x: T | Scalar, n: Scalar): T;
  /** Chebyshev polynomials of the second kind, of degree n at x. */
  specialChebyshevPolynomialU(x: T | Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialU(x: Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialU(x: T | Scalar, n: Scalar): T;
  /** Chebyshev polynomials of the third kind, of degree n at x. */
  specialChebyshevPolynomialV(x: T | Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialV(x: Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialV(x: T | Scalar, n: Scalar): T;
  /** Chebyshev polynomials of the fourth kind, of degree n at x. */
  specialChebyshevPolynomialW(x: T | Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialW(x: Scalar, n: T | Scalar): T;
  specialChebyshevPolynomialW(x: T | Scalar, n: Scalar): T;
  /** The derivative of lgamma. */
  specialDigamma(self: T | Scalar): T;
  /** -self × log(self); 0 at 0, -∞ below. */
  specialEntr(self: T | Scalar): T;
  /** The error function. */
  specialErf(self: T | Scalar): T;
  /** 1 - erf(self), exact for large numbers. */
  specialErfc(self: T | Scalar): T;
  /** exp(self²) · erfc(self), without underflow. */
  specialErfcx(self: T | Scalar): T;
  /** The inverse of erf. */
  specialErfinv(self: T | Scalar): T;
  /** 2 to the power of self. */
  specialExp2(self: T | Scalar): T;
  /** The logistic function, 1 / (1 + exp(-x)). */
  specialExpit(self: T | Scalar): T;
  /** exp(self) - 1, exact near 0. */
  specialExpm1(self: T | Scalar): T;
  /** The regularised lower incomplete gamma function of self at other. */
  specialGammainc(self: T | Scalar, other: T | Scalar): T;
  /** The regularised upper incomplete gamma function of self at other. */
  specialGammaincc(self: T | Scalar, other: T | Scalar): T;
  /** The logarithm of the absolute value of the gamma function. */
  specialGammaln(self: T | Scalar): T;
  /** Hermite polynomials of the physicists, of degree n at x. */
  specialHermitePolynomialH(x: T | Scalar, n: T | Scalar): T;
  specialHermitePolynomialH(x: Scalar, n: T | Scalar): T;
  specialHermitePolynomialH(x: T | Scalar, n: Scalar): T;
  /** Hermite polynomials of the probabilists, of degree n at x. */
  specialHermitePolynomialHe(x: T | Scalar, n: T | Scalar): T;
  specialHermitePolynomialHe(x: Scalar, n: T | Scalar): T;
  specialHermitePolynomialHe(x: T | Scalar, n: Scalar): T;
  /** The modified Bessel function of the first kind of order 0. */
  specialI0(self: T | Scalar): T;
  /** exp(-|self|) times the modified Bessel function of order 0. */
  specialI0e(self: T | Scalar): T;
  /** The modified Bessel function of the first kind of order 1. */
  specialI1(self: T | Scalar): T;
  /** exp(-|self|) times the modified Bessel function of order 1. */
  specialI1e(self: T | Scalar): T;
  /** Laguerre polynomials, of degree n at x. */
  specialLaguerrePolynomialL(x: T | Scalar, n: T | Scalar): T;
  specialLaguerrePolynomialL(x: Scalar, n: T | Scalar): T;
  specialLaguerrePolynomialL(x: T | Scalar, n: Scalar): T;
  /** Legendre polynomials, of degree n at x. */
  specialLegendrePolynomialP(x: T | Scalar, n: T | Scalar): T;
  specialLegendrePolynomialP(x: Scalar, n: T | Scalar): T;
  specialLegendrePolynomialP(x: T | Scalar, n: Scalar): T;
  /** log(1 + self), exact near 0. */
  specialLog1p(self: T | Scalar): T;
  /** The logarithm of the standard normal distribution function, without underflow. */
  specialLogNdtr(self: T | Scalar): T;
  /** The logarithm of softmax, without its overflow. */
  specialLogSoftmax(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  specialLogSoftmax(self: T | Scalar, dim: Size, dtype?: DType | null): T;
  /** log(x / (1 - x)), with x clamped to [eps, 1 - eps] unless eps is null. */
  specialLogit(self: T | Scalar, options?: { eps?: number | null }): T;
  specialLogit(self: T | Scalar, eps?: number | null): T;
  /** log(Σ exp(self)) over dimensions, without overflow. */
  specialLogsumexp(self: T | Scalar, dim: Size | readonly Size[], options?: { keepdim?: boolean }): T;
  specialLogsumexp(self: T | Scalar, dim: Size | readonly Size[], keepdim?: boolean): T;
  /** The modified Bessel function of the first kind of order 0. */
  specialModifiedBesselI0(self: T | Scalar): T;
  /** The modified Bessel function of the first kind of order 1. */
  specialModifiedBesselI1(self: T | Scalar): T;
  /** The modified Bessel function of the second kind of order 0. */
  specialModifiedBesselK0(self: T | Scalar): T;
  /** The modified Bessel function of the second kind of order 1. */
  specialModifiedBesselK1(self: T | Scalar): T;
  /** The logarithm of the multivariate gamma function of dimension p. */
  specialMultigammaln(self: T | Scalar, p: Size): T;
  /** The distribution function of the standard normal distribution. */
  specialNdtr(self: T | Scalar): T;
  /** The inverse of the standard normal distribution function. */
  specialNdtri(self: T | Scalar): T;
  /** The derivative of order n of digamma. */
  specialPolygamma(n: Size, self: T | Scalar): T;
  /** The derivative of lgamma. */
  specialPsi(self: T | Scalar): T;
  /** The nearest number with so many decimals, ties to even. */
  specialRound(self: T | Scalar, options?: { decimals?: Size }): T;
  /** exp(x) times the modified Bessel function of the second kind of order 0. */
  specialScaledModifiedBesselK0(x: T | Scalar): T;
  /** exp(x) times the modified Bessel function of the second kind of order 1. */
  specialScaledModifiedBesselK1(x: T | Scalar): T;
  /** Chebyshev polynomials of the first kind, of degree n at 2x - 1. */
  specialShiftedChebyshevPolynomialT(x: T | Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialT(x: Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialT(x: T | Scalar, n: Scalar): T;
  /** Chebyshev polynomials of the second kind, of degree n at 2x - 1. */
  specialShiftedChebyshevPolynomialU(x: T | Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialU(x: Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialU(x: T | Scalar, n: Scalar): T;
  /** Chebyshev polynomials of the third kind, of degree n at 2x - 1. */
  specialShiftedChebyshevPolynomialV(x: T | Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialV(x: Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialV(x: T | Scalar, n: Scalar): T;
  /** Chebyshev polynomials of the fourth kind, of degree n at 2x - 1. */
  specialShiftedChebyshevPolynomialW(x: T | Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialW(x: Scalar, n: T | Scalar): T;
  specialShiftedChebyshevPolynomialW(x: T | Scalar, n: Scalar): T;
  /** sin(πx) / (πx), 1 at 0. */
  specialSinc(self: T | Scalar): T;
  /** exp(x) / sum(exp(x)) along a dimension: non-negative numbers that sum to 1. */
  specialSoftmax(self: T | Scalar, dim: Size, options?: { dtype?: DType | null }): T;
  specialSoftmax(self: T | Scalar, dim: Size, dtype?: DType | null): T;
  /** The spherical Bessel function of order 0, sin(x)/x. */
  specialSphericalBesselJ0(x: T | Scalar): T;
  /** self × log(1 + other), 0 where self is 0. */
  specialXlog1py(self: T | Scalar, other: T | Scalar): T;
  specialXlog1py(self: Scalar, other: T | Scalar): T;
  specialXlog1py(self: T | Scalar, other: Scalar): T;
  /** self × log(other), 0 where self is 0. */
  specialXlogy(self: T | Scalar, other: T | Scalar): T;
  specialXlogy(self: T | Scalar, other: Scalar): T;
  specialXlogy(self: Scalar, other: T | Scalar): T;
  /** The Hurwitz zeta function Σ (k + other)^-self. */
  specialZeta(self: T | Scalar, other: T | Scalar): T;
  specialZeta(self: Scalar, other: T | Scalar): T;
  specialZeta(self: T | Scalar, other: Scalar): T;
  /** Pieces of splitSize elements along dim; the last may be shorter. */
  split(self: T | Scalar, splitSize: Size, options?: { dim?: Size }): T[];
  split(self: T | Scalar, splitSize: Size, dim?: Size): T[];
  split(self: T | Scalar, splitSize: readonly Size[], options?: { dim?: Size }): T[];
  split(self: T | Scalar, splitSize: readonly Size[], dim?: Size): T[];
  /** A copy of what split() shows. */
  splitCopy(self: T | Scalar, splitSize: Size, options?: { dim?: Size }): T[];
  splitCopy(self: T | Scalar, splitSize: Size, dim?: Size): T[];
  splitCopy(self: T | Scalar, splitSize: readonly Size[], options?: { dim?: Size }): T[];
  splitCopy(self: T | Scalar, splitSize: readonly Size[], dim?: Size): T[];
  /** Pieces of the given sizes along dim. */
  splitWithSizes(self: T | Scalar, splitSizes: readonly Size[], options?: { dim?: Size }): T[];
  splitWithSizes(self: T | Scalar, splitSizes: readonly Size[], dim?: Size): T[];
  /** A copy of what split_with_sizes() shows. */
  splitWithSizesCopy(self: T | Scalar, splitSizes: readonly Size[], options?: { dim?: Size }): T[];
  splitWithSizesCopy(self: T | Scalar, splitSizes: readonly Size[], dim?: Size): T[];
  /** The square root; NaN for negative numbers. */
  sqrt(self: T | Scalar): T;
  /** The square root; NaN for negative numbers. */
  sqrt_(self: T | Scalar): T;
  /** self × self. */
  square(self: T | Scalar): T;
  /** self × self. */
  square_(self: T | Scalar): T;
  /** A view without dimensions of size 1: all of them, or those named if they are 1. */
  squeeze(self: T | Scalar): T;
  squeeze(self: T | Scalar, dim: Size): T;
  squeeze(self: T | Scalar, dim: readonly Size[]): T;
  /** A copy of what squeeze() shows. */
  squeezeCopy(self: T | Scalar): T;
  squeezeCopy(self: T | Scalar, dim: Size): T;
  squeezeCopy(self: T | Scalar, dim: readonly Size[]): T;
  /** Tensors of one shape one after the other along a new dimension. */
  stack(tensors: readonly T[], options?: { dim?: Size }): T;
  stack(tensors: readonly T[], dim?: Size): T;
  /** The standard deviation over dimensions, divided by the number of elements less a correction (1 unless told otherwise). */
  std(self: T | Scalar, options?: { unbiased?: boolean }): T;
  std(self: T | Scalar, unbiased?: boolean): T;
  std(self: T | Scalar, dim: Size | readonly Size[] | null, options?: { unbiased?: boolean; keepdim?: boolean }): T;
  std(self: T | Scalar, dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): T;
  std(
    self: T | Scalar,
    options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean },
  ): T;
  std(
    self: T | Scalar,
    dim?: Size | readonly Size[] | null,
    options?: { correction?: Scalar | null; keepdim?: boolean },
  ): T;
  /** The standard deviation and the mean over dimensions. */
  stdMean(self: T | Scalar, options?: { unbiased?: boolean }): [T, T];
  stdMean(self: T | Scalar, unbiased?: boolean): [T, T];
  stdMean(
    self: T | Scalar,
    dim: Size | readonly Size[] | null,
    options?: { unbiased?: boolean; keepdim?: boolean },
  ): [T, T];
  stdMean(self: T | Scalar, dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): [T, T];
  stdMean(
    self: T | Scalar,
    options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean },
  ): [T, T];
  stdMean(
    self: T | Scalar,
    dim?: Size | readonly Size[] | null,
    options?: { correction?: Scalar | null; keepdim?: boolean },
  ): [T, T];
  /** Spectra of overlapping windows of a signal: [..., frequencies, frames]. */
  stft(
    self: T | Scalar,
    nFft: Size,
    options?: {
      hopLength?: Size | null;
      winLength?: Size | null;
      window?: T | Scalar | null;
      normalized?: boolean;
      onesided?: boolean | null;
      returnComplex?: boolean | null;
      alignToWindow?: boolean | null;
    },
  ): T;
  stft(
    self: T | Scalar,
    nFft: Size,
    hopLength?: Size | null,
    winLength?: Size | null,
    window?: T | Scalar | null,
    normalized?: boolean,
    onesided?: boolean | null,
    returnComplex?: boolean | null,
    alignToWindow?: boolean | null,
  ): T;
  stft(
    self: T | Scalar,
    nFft: Size,
    options?: {
      hopLength?: Size | null;
      winLength?: Size | null;
      window?: T | Scalar | null;
      center?: boolean;
      padMode?: string;
      normalized?: boolean;
      onesided?: boolean | null;
      returnComplex?: boolean | null;
      alignToWindow?: boolean | null;
    },
  ): T;
  stft(
    self: T | Scalar,
    nFft: Size,
    hopLength?: Size | null,
    winLength?: Size | null,
    window?: T | Scalar | null,
    center?: boolean,
    padMode?: string,
    normalized?: boolean,
    onesided?: boolean | null,
    returnComplex?: boolean | null,
    alignToWindow?: boolean | null,
  ): T;
  /** self - alpha × other, broadcast. */
  sub(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  sub(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  sub(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** self - alpha × other, broadcast. */
  sub_(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  sub_(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  sub_(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** self - alpha × other, broadcast. */
  subtract(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  subtract(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  subtract(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** self - alpha × other, broadcast. */
  subtract_(self: T | Scalar, other: T | Scalar, options?: { alpha?: Scalar }): T;
  subtract_(self: T | Scalar, other: Scalar, options?: { alpha?: Scalar }): T;
  subtract_(self: T | Scalar, other: Scalar, alpha?: Scalar): T;
  /** The sum of all elements; integers sum up in int64. */
  sum(self: T | Scalar, options?: { dtype?: DType | null }): T;
  sum(self: T | Scalar, dim: Size | readonly Size[] | null, options?: { keepdim?: boolean; dtype?: DType | null }): T;
  sum(self: T | Scalar, dim: Size | readonly Size[] | null, keepdim?: boolean, options?: { dtype?: DType | null }): T;
  /** self summed over the dimensions along which a tensor of the given size was broadcast to it: undoes broadcasting. */
  sumToSize(self: T | Scalar, size: readonly Size[]): T;
  /** self = U diag(S) Vᵀ; without compute_uv, U and V are zeros. */
  svd(self: T | Scalar, options?: { some?: boolean; computeUv?: boolean }): [T, T, T];
  svd(self: T | Scalar, some?: boolean, computeUv?: boolean): [T, T, T];
  /** Singular values in descending order. */
  svdvals(self: T | Scalar): T;
  /** A view with dimensions axis0 and axis1 exchanged. */
  swapaxes(self: T | Scalar, axis0: Size, axis1: Size): T;
  /** A view with dimensions dim0 and dim1 exchanged. */
  swapdims(self: T | Scalar, dim0: Size, dim1: Size): T;
  /** The number of elements. */
  symNumel(self: T | Scalar): Size;
  /** The size of a dimension. */
  symSize(self: T | Scalar, dim: Size): Size;
  /** Where the first element lies in its memory. */
  symStorageOffset(self: T | Scalar): Size;
  /** The stride of a dimension. */
  symStride(self: T | Scalar, dim: Size): Size;
  /** A matrix transposed; vectors and 0-dim tensors stay as they are. */
  t(self: T | Scalar): T;
  /** A copy of what t() shows. */
  tCopy(self: T | Scalar): T;
  /** The elements of the flattened self that index names. */
  take(self: T | Scalar, index: T | Scalar): T;
  /** gather() with broadcasting of self and indices outside of dim; over the flattened tensor if dim is null. Negative indices count from the end. */
  takeAlongDim(self: T | Scalar, indices: T | Scalar, options?: { dim?: Size | null }): T;
  takeAlongDim(self: T | Scalar, indices: T | Scalar, dim?: Size | null): T;
  /** The tangent. */
  tan(self: T | Scalar): T;
  /** The tangent. */
  tan_(self: T | Scalar): T;
  /** The hyperbolic tangent. */
  tanh(self: T | Scalar): T;
  /** The gradient of tanh, from its result. */
  tanhBackward(gradOutput: T | Scalar, output: T | Scalar): T;
  /** The hyperbolic tangent. */
  tanh_(self: T | Scalar): T;
  /** Exactly sections pieces along dim, the first ones larger by one if they cannot be equal. */
  tensorSplit(self: T | Scalar, sections: Size, options?: { dim?: Size }): T[];
  tensorSplit(self: T | Scalar, sections: Size, dim?: Size): T[];
  tensorSplit(self: T | Scalar, indices: readonly Size[], options?: { dim?: Size }): T[];
  tensorSplit(self: T | Scalar, indices: readonly Size[], dim?: Size): T[];
  tensorSplit(self: T | Scalar, tensorIndicesOrSections: T | Scalar, options?: { dim?: Size }): T[];
  tensorSplit(self: T | Scalar, tensorIndicesOrSections: T | Scalar, dim?: Size): T[];
  /** Sums products over the named dimensions of both tensors. */
  tensordot(self: T | Scalar, other: T | Scalar, dimsSelf: readonly Size[], dimsOther: readonly Size[]): T;
  /** Thin singular value decomposition. */
  thinSvd(self: T | Scalar): [T, T, T];
  /** x where it is greater than the threshold, else value. */
  threshold(self: T | Scalar, threshold: Scalar, value: Scalar): T;
  /** The gradient of threshold. */
  thresholdBackward(gradOutput: T | Scalar, self: T | Scalar, threshold: Scalar): T;
  /** x where it is greater than the threshold, else value. */
  threshold_(self: T | Scalar, threshold: Scalar, value: Scalar): T;
  /** repeat(), with missing repeats in front counted as 1. */
  tile(self: T | Scalar, dims: readonly Size[]): T;
  /** self in another dtype; self itself where it has that dtype and copy is false. */
  to(
    self: T | Scalar,
    dtype: DType,
    options?: { nonBlocking?: boolean; copy?: boolean; memoryFormat?: string | null },
  ): T;
  to(self: T | Scalar, dtype: DType, nonBlocking?: boolean, copy?: boolean, memoryFormat?: string | null): T;
  to(self: T, device: DeviceLike): T;
  to(
    self: T | Scalar,
    device: DeviceLike,
    dtype: DType,
    options?: { nonBlocking?: boolean; copy?: boolean; memoryFormat?: string | null },
  ): T;
  to(
    self: T | Scalar,
    device: DeviceLike,
    dtype: DType,
    nonBlocking?: boolean,
    copy?: boolean,
    memoryFormat?: string | null,
  ): T;
  to(self: T, device: DeviceLike): T;
  to(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      nonBlocking?: boolean;
      copy?: boolean;
      memoryFormat?: string | null;
    },
  ): T;
  to(self: T, device: DeviceLike): T;
  to(
    self: T | Scalar,
    other: T | Scalar,
    options?: { nonBlocking?: boolean; copy?: boolean; memoryFormat?: string | null },
  ): T;
  to(self: T | Scalar, other: T | Scalar, nonBlocking?: boolean, copy?: boolean, memoryFormat?: string | null): T;
  to(self: T, device: DeviceLike): T;
  /** The k largest (or smallest) elements along a dimension, in order, and their positions. */
  topk(self: T | Scalar, k: Size, options?: { dim?: Size; largest?: boolean; sorted?: boolean }): [T, T];
  topk(self: T | Scalar, k: Size, dim?: Size, largest?: boolean, sorted?: boolean): [T, T];
  /** The sum of the diagonal of a matrix. */
  trace(self: T | Scalar): T;
  /** A view with dimensions dim0 and dim1 exchanged. */
  transpose(self: T | Scalar, dim0: Size, dim1: Size): T;
  /** A copy of what transpose() shows. */
  transposeCopy(self: T | Scalar, dim0: Size, dim1: Size): T;
  /** The integral along dim by the trapezoidal rule, at the points x. */
  trapezoid(y: T | Scalar, x: T | Scalar, options?: { dim?: Size }): T;
  trapezoid(y: T | Scalar, options?: { dx?: Scalar; dim?: Size }): T;
  /** The integral along dim by the trapezoidal rule, at the points x. */
  trapz(y: T | Scalar, x: T | Scalar, options?: { dim?: Size }): T;
  trapz(y: T | Scalar, options?: { dx?: Scalar; dim?: Size }): T;
  /** X with A X = self for triangular A, and a copy of A. */
  triangularSolve(
    self: T | Scalar,
    A: T | Scalar,
    options?: { upper?: boolean; transpose?: boolean; unitriangular?: boolean },
  ): [T, T];
  triangularSolve(
    self: T | Scalar,
    A: T | Scalar,
    upper?: boolean,
    transpose?: boolean,
    unitriangular?: boolean,
  ): [T, T];
  /** The lower triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  tril(self: T | Scalar, options?: { diagonal?: Size }): T;
  tril(self: T | Scalar, diagonal?: Size): T;
  /** Rows and columns, [2, n], of the lower triangle of a matrix. */
  trilIndices(
    row: Size,
    col: Size,
    options?: {
      offset?: Size;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  trilIndices(
    row: Size,
    col: Size,
    offset?: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The lower triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  tril_(self: T | Scalar, options?: { diagonal?: Size }): T;
  tril_(self: T | Scalar, diagonal?: Size): T;
  /** max(0, margin + d(anchor, positive) - d(anchor, negative)); swap takes the nearer of anchor and positive to negative. */
  tripletMarginLoss(
    anchor: T | Scalar,
    positive: T | Scalar,
    negative: T | Scalar,
    options?: { margin?: number; p?: number; eps?: number; swap?: boolean; reduction?: Size },
  ): T;
  tripletMarginLoss(
    anchor: T | Scalar,
    positive: T | Scalar,
    negative: T | Scalar,
    margin?: number,
    p?: number,
    eps?: number,
    swap?: boolean,
    reduction?: Size,
  ): T;
  /** The upper triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  triu(self: T | Scalar, options?: { diagonal?: Size }): T;
  triu(self: T | Scalar, diagonal?: Size): T;
  /** Rows and columns, [2, n], of the upper triangle of a matrix. */
  triuIndices(
    row: Size,
    col: Size,
    options?: {
      offset?: Size;
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
    },
  ): T;
  triuIndices(
    row: Size,
    col: Size,
    offset?: Size,
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** The upper triangle of matrices, zeros elsewhere; diagonal moves the border up. */
  triu_(self: T | Scalar, options?: { diagonal?: Size }): T;
  triu_(self: T | Scalar, diagonal?: Size): T;
  /** self / other, broadcast; integers become the default float. */
  trueDivide(self: T | Scalar, other: T | Scalar): T;
  trueDivide(self: T | Scalar, other: Scalar): T;
  /** self / other, broadcast; integers become the default float. */
  trueDivide_(self: T | Scalar, other: T | Scalar): T;
  trueDivide_(self: T | Scalar, other: Scalar): T;
  /** self without its fraction, rounded towards 0. */
  trunc(self: T | Scalar): T;
  /** self without its fraction, rounded towards 0. */
  trunc_(self: T | Scalar): T;
  /** self in the dtype and on the device of other. */
  typeAs(self: T | Scalar, other: T | Scalar): T;
  /** All slices along dim, without that dimension. */
  unbind(self: T | Scalar, options?: { dim?: Size }): T[];
  unbind(self: T | Scalar, dim?: Size): T[];
  /** A copy of what unbind() shows. */
  unbindCopy(self: T | Scalar, options?: { dim?: Size }): T[];
  unbindCopy(self: T | Scalar, dim?: Size): T[];
  /** Dimension dim split into several; one size may be -1. */
  unflatten(self: T | Scalar, dim: Size, sizes: readonly Size[]): T;
  /** All windows of size elements along a dimension, step apart; the window becomes the last dimension. */
  unfold(self: T | Scalar, dimension: Size, size: Size, step: Size): T;
  /** The gradient of unfold: each element sums the windows that hold it. */
  unfoldBackward(gradIn: T | Scalar, inputSizes: readonly Size[], dim: Size, size: Size, step: Size): T;
  /** A copy of what unfold() shows. */
  unfoldCopy(self: T | Scalar, dimension: Size, size: Size, step: Size): T;
  /** self with src in the place of unfold(dim, size, step); where windows overlap, the last one counts. */
  unfoldScatter(self: T | Scalar, src: T | Scalar, dim: Size, size: Size, step: Size): T;
  /** Numbers uniform in [from, to), in the shape of self, from the default generator. */
  uniform(self: T | Scalar, options?: { from?: number; to?: number; generator?: null | null }): T;
  uniform(self: T | Scalar, from?: number, to?: number, options?: { generator?: null | null }): T;
  /** Fills self with numbers uniform in [from, to), from the default generator. */
  uniform_(self: T | Scalar, options?: { from?: number; to?: number; generator?: null | null }): T;
  uniform_(self: T | Scalar, from?: number, to?: number, options?: { generator?: null | null }): T;
  /** Drops elements (or slices along dim) that equal the one before. */
  uniqueConsecutive(
    self: T | Scalar,
    options?: { returnInverse?: boolean; returnCounts?: boolean; dim?: Size | null },
  ): [T, T, T];
  uniqueConsecutive(self: T | Scalar, returnInverse?: boolean, returnCounts?: boolean, dim?: Size | null): [T, T, T];
  /** The distinct slices along a dimension, in lexicographic order, with inverse and counts whether asked for or not. */
  uniqueDim(
    self: T | Scalar,
    dim: Size,
    options?: { sorted?: boolean; returnInverse?: boolean; returnCounts?: boolean },
  ): [T, T, T];
  uniqueDim(self: T | Scalar, dim: Size, sorted?: boolean, returnInverse?: boolean, returnCounts?: boolean): [T, T, T];
  /** Runs of equal slices along a dimension, each once. */
  uniqueDimConsecutive(
    self: T | Scalar,
    dim: Size,
    options?: { returnInverse?: boolean; returnCounts?: boolean },
  ): [T, T, T];
  uniqueDimConsecutive(self: T | Scalar, dim: Size, returnInverse?: boolean, returnCounts?: boolean): [T, T, T];
  /** At most chunks pieces of equal size along dim; the last may be shorter. */
  unsafeChunk(self: T | Scalar, chunks: Size, options?: { dim?: Size }): T[];
  unsafeChunk(self: T | Scalar, chunks: Size, dim?: Size): T[];
  /** Pieces of splitSize elements along dim; the last may be shorter. */
  unsafeSplit(self: T | Scalar, splitSize: Size, options?: { dim?: Size }): T[];
  unsafeSplit(self: T | Scalar, splitSize: Size, dim?: Size): T[];
  /** Pieces of the given sizes along dim. */
  unsafeSplitWithSizes(self: T | Scalar, splitSizes: readonly Size[], options?: { dim?: Size }): T[];
  unsafeSplitWithSizes(self: T | Scalar, splitSizes: readonly Size[], dim?: Size): T[];
  /** A view with a new dimension of size 1 before position dim. */
  unsqueeze(self: T | Scalar, dim: Size): T;
  /** A copy of what unsqueeze() shows. */
  unsqueezeCopy(self: T | Scalar, dim: Size): T;
  /** Bicubic interpolation of the last 2 dimensions. */
  upsampleBicubic2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleBicubic2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  upsampleBicubic2d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    alignCorners: boolean,
    scaleFactors: readonly number[] | null,
  ): T;
  /** Bilinear interpolation of the last 2 dimensions. */
  upsampleBilinear2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleBilinear2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  upsampleBilinear2d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    alignCorners: boolean,
    scaleFactors: readonly number[] | null,
  ): T;
  /** Linear interpolation of the last dimension. */
  upsampleLinear1d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scales?: number | null },
  ): T;
  upsampleLinear1d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scales?: number | null,
  ): T;
  upsampleLinear1d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    alignCorners: boolean,
    scaleFactors: readonly number[] | null,
  ): T;
  /** The nearest element, by rounding positions down of the last dimension. */
  upsampleNearest1d(self: T | Scalar, outputSize: Size | readonly Size[], options?: { scales?: number | null }): T;
  upsampleNearest1d(self: T | Scalar, outputSize: Size | readonly Size[], scales?: number | null): T;
  upsampleNearest1d(input: T | Scalar, outputSize: readonly Size[] | null, scaleFactors: readonly number[] | null): T;
  /** The nearest element, by rounding positions down of the last 2 dimensions. */
  upsampleNearest2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    options?: { scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleNearest2d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  upsampleNearest2d(input: T | Scalar, outputSize: readonly Size[] | null, scaleFactors: readonly number[] | null): T;
  /** The nearest element, by rounding positions down of the last 3 dimensions. */
  upsampleNearest3d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    options?: { scalesD?: number | null; scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleNearest3d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    scalesD?: number | null,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  upsampleNearest3d(input: T | Scalar, outputSize: readonly Size[] | null, scaleFactors: readonly number[] | null): T;
  /** Trilinear interpolation of the last 3 dimensions. */
  upsampleTrilinear3d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    options?: { scalesD?: number | null; scalesH?: number | null; scalesW?: number | null },
  ): T;
  upsampleTrilinear3d(
    self: T | Scalar,
    outputSize: Size | readonly Size[],
    alignCorners: boolean,
    scalesD?: number | null,
    scalesH?: number | null,
    scalesW?: number | null,
  ): T;
  upsampleTrilinear3d(
    input: T | Scalar,
    outputSize: readonly Size[] | null,
    alignCorners: boolean,
    scaleFactors: readonly number[] | null,
  ): T;
  /** Powers of a vector as columns, the highest first unless increasing. */
  vander(x: T | Scalar, options?: { N?: Size | null; increasing?: boolean }): T;
  vander(x: T | Scalar, N?: Size | null, increasing?: boolean): T;
  /** The variance over dimensions, divided by the number of elements less a correction (1 unless told otherwise). */
  var(self: T | Scalar, options?: { unbiased?: boolean }): T;
  var(self: T | Scalar, unbiased?: boolean): T;
  var(self: T | Scalar, dim: Size | readonly Size[] | null, options?: { unbiased?: boolean; keepdim?: boolean }): T;
  var(self: T | Scalar, dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): T;
  var(
    self: T | Scalar,
    options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean },
  ): T;
  var(
    self: T | Scalar,
    dim?: Size | readonly Size[] | null,
    options?: { correction?: Scalar | null; keepdim?: boolean },
  ): T;
  /** The variance and the mean over dimensions. */
  varMean(self: T | Scalar, options?: { unbiased?: boolean }): [T, T];
  varMean(self: T | Scalar, unbiased?: boolean): [T, T];
  varMean(
    self: T | Scalar,
    dim: Size | readonly Size[] | null,
    options?: { unbiased?: boolean; keepdim?: boolean },
  ): [T, T];
  varMean(self: T | Scalar, dim: Size | readonly Size[] | null, unbiased?: boolean, keepdim?: boolean): [T, T];
  varMean(
    self: T | Scalar,
    options?: { dim?: Size | readonly Size[] | null; correction?: Scalar | null; keepdim?: boolean },
  ): [T, T];
  varMean(
    self: T | Scalar,
    dim?: Size | readonly Size[] | null,
    options?: { correction?: Scalar | null; keepdim?: boolean },
  ): [T, T];
  /** The inner product of two real vectors. */
  vdot(self: T | Scalar, other: T | Scalar): T;
  /** The same memory as elements of another dtype; one of another width changes the last dimension. */
  view(self: T | Scalar, dtype: DType): T;
  view(self: T | Scalar, size: readonly Size[]): T;
  /** The same elements in the shape of other. */
  viewAs(self: T | Scalar, other: T | Scalar): T;
  /** Real pairs, in a last dimension of size 2, as a complex tensor. */
  viewAsComplex(self: T | Scalar): T;
  /** A complex tensor as real pairs: one more dimension, of size 2. */
  viewAsReal(self: T | Scalar): T;
  /** A copy of what view() shows. */
  viewCopy(self: T | Scalar, dtype: DType): T;
  viewCopy(self: T | Scalar, size: readonly Size[]): T;
  /** Equal pieces along one dimension. */
  vsplit(self: T | Scalar, sections: Size): T[];
  vsplit(self: T | Scalar, indices: readonly Size[]): T[];
  /** Tensors one after the other along a fixed dimension, which those that lack it get first. */
  vstack(tensors: readonly T[]): T;
  /** self where the condition holds, else other, broadcast. */
  where(condition: T | Scalar, self: T | Scalar, other: T | Scalar): T;
  where(condition: T | Scalar, self: Scalar, other: T | Scalar): T;
  where(condition: T | Scalar, self: T | Scalar, other: Scalar): T;
  where(condition: T | Scalar, self: Scalar, other: Scalar): T;
  /** Starts of windows along one dimension, [planes, output]: int((i + sample) · step) - int(sample · step), the last at the end. */
  windowStarts(sample: T | Scalar, last: Size, output: Size): T;
  /** self × log(other), 0 where self is 0. */
  xlogy(self: T | Scalar, other: T | Scalar): T;
  xlogy(self: Scalar, other: T | Scalar): T;
  xlogy(self: T | Scalar, other: Scalar): T;
  /** self × log(other), 0 where self is 0. */
  xlogy_(self: T | Scalar, other: T | Scalar): T;
  xlogy_(self: T | Scalar, other: Scalar): T;
  /** A tensor like self in which every element is 0. */
  zero(self: T | Scalar): T;
  /** A tensor like self in which every element is 0. */
  zero_(self: T | Scalar): T;
  /** A tensor of zeros. */
  zeros(
    size: readonly Size[],
    options?: { dtype?: DType | null; layout?: string | null; device?: DeviceLike | null; pinMemory?: boolean | null },
  ): T;
  /** zeros in the shape and dtype of self. */
  zerosLike(
    self: T | Scalar,
    options?: {
      dtype?: DType | null;
      layout?: string | null;
      device?: DeviceLike | null;
      pinMemory?: boolean | null;
      memoryFormat?: string | null;
    },
  ): T;
}
