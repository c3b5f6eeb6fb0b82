/**
 * Tensors in the layout that compiled kernels expect of a program's inputs.
 */
import type { TensorMeta } from "../graph/mod.ts";
import { getOp } from "../ops/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { dispatch, noGrad, Tensor } from "../tensor/mod.ts";
import type { Bindings } from "./pt2/bindings.ts";

/** The tensor itself if its strides are those that the graph was compiled for, else a copy that has them. */
export function inLayout(t: Tensor, meta: TensorMeta, bindings: Bindings): Tensor {
  const strides = meta.stride.map((s: Size) => bindings.value(s));
  // The stride of a dimension with one element is never used.
  if (t.numel === 0 || strides.every((s, d) => Number(t.shape[d]) === 1 || Number(t.stride[d]) === s)) {
    return strides.every((s, d) => t.stride[d] === s) ? t : restrided(t, strides);
  }
  return noGrad(() => {
    const { dtype, device } = t;
    const made = dispatch(getOp("aten.empty_strided.default"), { size: t.shape, stride: strides, dtype, device });
    return (made as Tensor).copy_(t);
  });
}

/** The same memory, with strides that differ only where they are never used. */
function restrided(t: Tensor, stride: readonly number[]): Tensor {
  const { shape, storageOffset, dtype, device, storage } = t;
  return new Tensor({ shape, stride, storageOffset, dtype, device, storage });
}
