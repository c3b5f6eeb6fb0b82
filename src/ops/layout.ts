/**
 * Where the elements of a result lie: the strides that PyTorch would choose.
 *
 * Enter shapes and strides of operands, leaves the stride of the result. An elementwise result keeps the order of dimensions that its operands
 * have in memory, so that a chain of elementwise operators over a transposed tensor stays transposed and later views succeed as in
 * PyTorch. Every answer is a dense layout for all values of the symbols; hints only choose between orders. Mirrors `TensorIterator`'s
 * `reorder_dimensions` and `infer_dense_strides`.
 */
import {
  contiguousStride,
  hintOf,
  isContiguous,
  type Size,
  sizeEqForLayout,
  sizeIsOne,
  sizeMul,
} from "../symbolic/mod.ts";

/** What a layout is computed from. */
export interface Strided {
  readonly shape: readonly Size[];
  readonly stride: readonly Size[];
}

/** Dense strides for dimensions listed from the fastest to the slowest. */
export function denseStride(shape: readonly Size[], fastestFirst: readonly number[]): Size[] {
  const out = new Array<Size>(shape.length).fill(1);
  let running: Size = 1;
  for (const axis of fastestFirst) {
    out[axis] = running;
    const size = shape[axis] ?? 1;
    running = size === 0 ? running : sizeMul(running, size);
  }
  return out;
}

/** Tells whether elements fill memory without gaps or overlaps, in some order of dimensions. */
export function isDense(shape: readonly Size[], stride: readonly Size[]): boolean {
  if (shape.some((s) => s === 0)) return true;
  const axes = shape.map((_, i) => i).filter((i) => !sizeEqForLayout(shape[i] ?? 1, 1));
  axes.sort((a, b) => hintOf(stride[a] ?? 0) - hintOf(stride[b] ?? 0));
  let expected: Size = 1;
  for (const axis of axes) {
    if (!sizeEqForLayout(stride[axis] ?? 0, expected)) return false;
    expected = sizeMul(expected, shape[axis] ?? 1);
  }
  return true;
}

/** The strides of a copy that preserves the format: the same if dense, else dense in the same order of dimensions. */
export function preservedStride(input: Strided): Size[] {
  if (isContiguous(input.shape, input.stride)) return contiguousStride(input.shape);
  if (isDense(input.shape, input.stride)) return [...input.stride];
  return elementwiseStride(input.shape, [input]);
}

/** The strides of a result of `shape` computed element by element from `inputs`, which broadcast to it. */
export function elementwiseStride(shape: readonly Size[], inputs: readonly Strided[]): Size[] {
  const rank = shape.length;
  const full = inputs.filter((i) => i.shape.length > 0);
  if (rank < 2 || full.every((i) => isContiguous(i.shape, i.stride))) return contiguousStride(shape);
  const strides = full.map((input) =>
    shape.map((size, axis): number => {
      const at = axis - (rank - input.shape.length);
      if (at < 0) return 0;
      if (sizeIsOne(input.shape[at] ?? 1) && !sizeIsOne(size)) return 0;
      return hintOf(input.stride[at] ?? 0);
    })
  );
  const compare = (a: number, b: number): number => {
    for (const stride of strides) {
      const x = stride[a] ?? 0;
      const y = stride[b] ?? 0;
      if (x === 0 || y === 0) continue;
      if (x !== y) return x < y ? -1 : 1;
      if (hintOf(shape[a] ?? 1) > hintOf(shape[b] ?? 1)) return 1;
    }
    return 0;
  };
  // An insertion sort that, as PyTorch's, leaves what cannot be compared in place; a library sort may not.
  const order = Array.from({ length: rank }, (_, i) => rank - 1 - i);
  for (let i = 1; i < rank; i++) {
    let at = i;
    for (let j = i - 1; j >= 0; j--) {
      const a = order[j] ?? 0;
      const b = order[at] ?? 0;
      const sign = compare(a, b);
      if (sign > 0) {
        order[j] = b;
        order[at] = a;
        at = j;
      } else if (sign < 0) break;
    }
  }
  return denseStride(shape, order);
}

/** The strides of a memory format of ATen; `preserve_format` and null keep the order of `input`. */
export function formatStride(where: string, input: Strided, format: string | null): Size[] {
  switch (format) {
    case null:
    case "preserve_format":
    case "torch.preserve_format":
      return preservedStride(input);
    case "contiguous_format":
    case "torch.contiguous_format":
      return contiguousStride(input.shape);
    case "channels_last":
    case "torch.channels_last":
    case "channels_last_3d":
    case "torch.channels_last_3d":
      return channelsLastStride(where, input.shape, format.endsWith("3d") ? 5 : 4);
    default:
      throw new TypeError(
        `${where}: "${format}" is not a memory format: use contiguous_format, preserve_format or channels_last`,
      );
  }
}

function channelsLastStride(where: string, shape: readonly Size[], rank: number): Size[] {
  if (shape.length !== rank) {
    throw new TypeError(`${where}: this channels_last format needs ${rank} dimensions, got ${shape.length}`);
  }
  const spatial = Array.from({ length: rank - 2 }, (_, i) => rank - 1 - i);
  return denseStride(shape, [1, ...spatial, 0]);
}
