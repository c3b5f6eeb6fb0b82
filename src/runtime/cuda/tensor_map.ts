/**
 * Tensor maps: descriptors by which the copy engine of Hopper (TMA) reads and writes boxes of a tensor.
 *
 * Enters: an address, sizes and strides with the innermost dimension first, a box. Leaves: 128 bytes in a kernel's argument slot.
 * The rules that the encoder only answers with "invalid value" are checked here, with a sentence each.
 */

import type { CudaContext } from "./context.ts";

/** Element types, by `CUtensorMapDataType`. */
const TENSOR_MAP_TYPE = {
  uint8: 0,
  uint16: 1,
  uint32: 2,
  int32: 3,
  uint64: 4,
  int64: 5,
  float16: 6,
  float32: 7,
  float64: 8,
  bfloat16: 9,
  tfloat32: 11,
} as const;
const ELEMENT_BYTES = {
  uint8: 1,
  uint16: 2,
  uint32: 4,
  int32: 4,
  uint64: 8,
  int64: 8,
  float16: 2,
  float32: 4,
  float64: 8,
  bfloat16: 2,
  tfloat32: 4,
} as const satisfies Record<keyof typeof TENSOR_MAP_TYPE, number>;
/** How rows of a box are laid out in shared memory so that banks do not collide, by `CUtensorMapSwizzle`. */
const SWIZZLE = { none: 0, 32: 1, 64: 2, 128: 3 } as const;
/** How much the cache reads ahead, by `CUtensorMapL2promotion`. */
const L2_PROMOTION = { none: 0, 64: 1, 128: 2, 256: 3 } as const;

/** What both kinds of map say. Dimensions innermost first. */
export interface TensorMapBase {
  readonly type: keyof typeof TENSOR_MAP_TYPE;
  /** Device address; a multiple of 16. */
  readonly address: number;
  /** Elements a dimension: 1 to 5 of them. */
  readonly sizes: readonly number[];
  /** Bytes between neighbours in each dimension but the innermost; multiples of 16. */
  readonly strideBytes: readonly number[];
  /** Steps of the box in each dimension. Default: 1. */
  readonly elementStrides?: readonly number[];
  readonly swizzle?: keyof typeof SWIZZLE;
  readonly l2Promotion?: keyof typeof L2_PROMOTION;
  /** Elements outside of the tensor read as NaN instead of 0. */
  readonly nanOutside?: boolean;
}

/** A box of a tensor. */
export interface TiledTensorMap extends TensorMapBase {
  /** Elements of the box a dimension, at most 256. */
  readonly box: readonly number[];
}

/** Where the windows of a convolution begin, for W, H, D as there are. */
export interface PixelCorners {
  /** The first place, and the last one counted from the end. */
  readonly lower: readonly number[];
  readonly upper: readonly number[];
  /** From one window to the next. */
  readonly steps: readonly number[];
}

/** A box of a tensor; with `pixels`, so many channels and so many pixels instead: `box` has these two. */
export interface PlannedTensorMap extends TiledTensorMap {
  readonly pixels?: PixelCorners;
}

/** Pixels and channels of a convolution's input, in NHWC order: sizes are C, W, H, N. */
export interface Im2colTensorMap extends TensorMapBase {
  /** Corners of the box of pixels, for W, H, D as there are. */
  readonly lowerCorner: readonly number[];
  readonly upperCorner: readonly number[];
  /** At most 256. */
  readonly channelsPerPixel: number;
  /** At most 1024. */
  readonly pixelsPerColumn: number;
}

function check(map: TensorMapBase, innerBox: number, operation: string): void {
  const fail = (text: string): never => {
    throw new RangeError(`${operation}: ${text}`);
  };
  const bytes = ELEMENT_BYTES[map.type];
  const rank = map.sizes.length;
  if (rank < 1 || rank > 5) fail(`a tensor map has 1 to 5 dimensions, got ${rank}`);
  if (map.strideBytes.length !== rank - 1) {
    fail(`${rank} dimensions need ${rank - 1} strides, got ${map.strideBytes.length}`);
  }
  if (map.address % 16 !== 0) fail(`the address must be a multiple of 16, got 0x${map.address.toString(16)}`);
  for (const size of map.sizes) if (size < 1 || size > 2 ** 32) fail(`sizes are 1 to 2^32, got ${map.sizes.join("×")}`);
  for (const stride of map.strideBytes) {
    if (stride % 16 !== 0 || stride >= 2 ** 40) fail(`strides are multiples of 16 below 2^40, got ${stride} bytes`);
  }
  const inner = innerBox * bytes;
  if (inner % 16 !== 0) fail(`the innermost side of the box must be a multiple of 16 bytes, got ${inner}`);
  const swizzle = map.swizzle ?? "none";
  if (swizzle !== "none" && inner > swizzle) {
    fail(
      `with a swizzle of ${swizzle} bytes the innermost side of the box may have at most ${swizzle} bytes, got ${inner}`,
    );
  }
}

function longs(values: readonly number[]): BigUint64Array<ArrayBuffer> {
  const array = new BigUint64Array(new ArrayBuffer(8 * Math.max(1, values.length)));
  values.forEach((value, i) => array[i] = BigInt(value));
  return array;
}

function ints(values: readonly number[]): Int32Array<ArrayBuffer> {
  const array = new Int32Array(new ArrayBuffer(4 * Math.max(1, values.length)));
  array.set(values);
  return array;
}

function isAligned(out: Uint8Array<ArrayBuffer>): void {
  if (out.length !== 128) {
    throw new TypeError(`a tensor map has 128 bytes, got ${out.length}; use CudaArguments.tensorMap()`);
  }
}

/**
 * Writes a tiled tensor map into `out`, a slot of {@linkcode CudaArguments}.
 *
 * @throws {RangeError} naming the rule that the map breaks
 * @throws {CudaError} if the driver refuses it for another reason
 */
export function encodeTiled(context: CudaContext, map: TiledTensorMap, out: Uint8Array<ArrayBuffer>): void {
  const { box, sizes } = map;
  const operation = "cuTensorMapEncodeTiled";
  isAligned(out);
  check(map, box[0] ?? 0, operation);
  if (box.length !== sizes.length || box.some((side) => side < 1 || side > 256)) {
    throw new RangeError(`${operation}: a box needs ${sizes.length} sides of 1 to 256 elements, got ${box.join("×")}`);
  }
  const { cuTensorMapEncodeTiled } = context.api;
  if (cuTensorMapEncodeTiled === null) throw new TypeError(`${operation} needs a driver of CUDA 12`);
  const status = cuTensorMapEncodeTiled(
    out,
    TENSOR_MAP_TYPE[map.type],
    sizes.length,
    BigInt(map.address),
    longs(sizes),
    longs(map.strideBytes),
    ints(box),
    ints(map.elementStrides ?? sizes.map(() => 1)),
    0,
    SWIZZLE[map.swizzle ?? "none"],
    L2_PROMOTION[map.l2Promotion ?? "none"],
    map.nanOutside === true ? 1 : 0,
  );
  context.check(status, operation, `${map.type} ${sizes.join("×")}, box ${box.join("×")}`);
}

/** Writes an im2col tensor map into `out`. @throws {RangeError} naming the rule that the map breaks */
export function encodeIm2col(context: CudaContext, map: Im2colTensorMap, out: Uint8Array<ArrayBuffer>): void {
  const { sizes } = map;
  const operation = "cuTensorMapEncodeIm2col";
  isAligned(out);
  check(map, map.channelsPerPixel, operation);
  const spatial = sizes.length - 2;
  if (spatial < 1 || map.lowerCorner.length !== spatial || map.upperCorner.length !== spatial) {
    throw new RangeError(
      `${operation}: sizes are C, W, H, D as there are, N; corners have one entry for each of W, H, D`,
    );
  }
  if (map.channelsPerPixel > 256 || map.pixelsPerColumn > 1024) {
    throw new RangeError(
      `${operation}: at most 256 channels a pixel and 1024 pixels, got ${map.channelsPerPixel} and ${map.pixelsPerColumn}`,
    );
  }
  const { cuTensorMapEncodeIm2col } = context.api;
  if (cuTensorMapEncodeIm2col === null) throw new TypeError(`${operation} needs a driver of CUDA 12`);
  const status = cuTensorMapEncodeIm2col(
    out,
    TENSOR_MAP_TYPE[map.type],
    sizes.length,
    BigInt(map.address),
    longs(sizes),
    longs(map.strideBytes),
    ints(map.lowerCorner),
    ints(map.upperCorner),
    map.channelsPerPixel,
    map.pixelsPerColumn,
    ints(map.elementStrides ?? sizes.map(() => 1)),
    0,
    SWIZZLE[map.swizzle ?? "none"],
    L2_PROMOTION[map.l2Promotion ?? "none"],
    map.nanOutside === true ? 1 : 0,
  );
  context.check(status, operation, `${map.type} ${sizes.join("×")}`);
}

/** Writes either kind of map into `out`. @throws {RangeError} naming the rule that the map breaks */
export function encodeMap(context: CudaContext, map: PlannedTensorMap, out: Uint8Array<ArrayBuffer>): void {
  const { pixels, box, ...base } = map;
  if (pixels === undefined) {
    encodeTiled(context, map, out);
    return;
  }
  const [channelsPerPixel = 0, pixelsPerColumn = 0] = box;
  const { lower: lowerCorner, upper: upperCorner, steps } = pixels;
  const elementStrides = [1, ...steps, 1];
  encodeIm2col(context, { ...base, elementStrides, lowerCorner, upperCorner, channelsPerPixel, pixelsPerColumn }, out);
}
