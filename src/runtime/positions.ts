/**
 * Walking over a strided layout: where each element lies, in row-major order of its index.
 */

/** Calls `visit` with the element position of every index of a strided layout, in row-major order. */
export function forEachPosition(
  shape: readonly number[],
  stride: readonly number[],
  offset: number,
  visit: (position: number, linear: number) => void,
): void {
  const rank = shape.length;
  let total = 1;
  for (const size of shape) total *= size;
  if (total === 0) return;
  if (rank === 0) {
    visit(offset, 0);
    return;
  }
  const index = new Array<number>(rank).fill(0);
  let position = offset;
  for (let linear = 0; linear < total; linear++) {
    visit(position, linear);
    for (let d = rank - 1; d >= 0; d--) {
      const next = (index[d] ?? 0) + 1;
      if (next < (shape[d] ?? 0)) {
        index[d] = next;
        position += stride[d] ?? 0;
        break;
      }
      position -= (next - 1) * (stride[d] ?? 0);
      index[d] = 0;
    }
  }
}

/** Whether elements with these strides lie one after the other, the last dimension innermost; strides of dimensions of one element say nothing. */
export function isRowMajor(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    const length = shape[d] ?? 0;
    if (length !== 1 && stride[d] !== expected) return false;
    expected *= length;
  }
  return true;
}
