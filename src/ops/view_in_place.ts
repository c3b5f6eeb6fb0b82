/**
 * In-place views, as programs call them: `unsqueeze_`, `squeeze_`, `transpose_`, `resize_`, `set_`, ….
 *
 * PyTorch changes the shape of the tensor object itself. Tensors here keep their shape, so these yield what the object has become, over the same memory. In a graph of an exported
 * program that says the same, because every later use names the result of the call; off `Tensor` and `F` they are nobody's trap. `resize_` to more
 * elements than there are makes new memory, as PyTorch does, with zeros where PyTorch leaves chance. Mirrors `TensorShape.cpp` and `Resize.cpp` of ATen.
 */
import {
  contiguousStride,
  hintOf,
  isContiguous,
  sameShape,
  shapeToText,
  type Size,
  sizeLe,
  sizeLt,
  sizeProd,
  sizeSub,
} from "../symbolic/mod.ts";
import { defineAlias, defineOp, getOp, type MetaInput, type TensorSpec } from "./define.ts";
import { formatStride } from "./layout.ts";
import type { Functional } from "./functional.ts";
import type { TensorValue } from "./value.ts";
import { inverseOrder } from "./view.ts";

/** The in-place view, its overload, and the view that it amounts to. */
const VIEWS = [
  ["unsqueeze_", "default", "aten.unsqueeze.default"],
  ["squeeze_", "default", "aten.squeeze.default"],
  ["squeeze_", "dim", "aten.squeeze.dim"],
  ["squeeze_", "dims", "aten.squeeze.dims"],
  ["transpose_", "default", "aten.transpose.int"],
  ["swapaxes_", "default", "aten.swapaxes.default"],
  ["swapdims_", "default", "aten.swapdims.default"],
  ["t_", "default", "aten.t.default"],
  ["as_strided_", "default", "aten.as_strided.default"],
] as const;

for (const [name, overload, target] of VIEWS) defineAlias(getOp(target), name, overload, false);

/** Where the elements of a tensor lie. */
type Laid = Pick<MetaInput, "shape" | "stride" | "storageOffset" | "dtype">;

/** How a tensor lies after `resize_`: as it is if it has that size, else in order from where it began. */
function resizedSpec(where: string, self: Laid, size: readonly Size[], memoryFormat: string | null): TensorSpec {
  if (size.some((s) => sizeLt(s, 0))) {
    throw new RangeError(`${where}: a size cannot be negative, got ${shapeToText(size)}`);
  }
  if (memoryFormat !== null && memoryFormat.endsWith("preserve_format")) {
    throw new RangeError(`${where}: there is no format to preserve; leave memory_format out`);
  }
  const { storageOffset, dtype } = self;
  const shaped = { shape: size, stride: contiguousStride(size), dtype };
  const stride = memoryFormat === null ? shaped.stride : formatStride(where, shaped, memoryFormat);
  if (sameShape(size, self.shape)) {
    return { shape: size, stride: memoryFormat === null ? self.stride : stride, storageOffset, dtype };
  }
  const fits = sizeLe(sizeProd(size), sizeProd(self.shape));
  return { shape: size, stride, storageOffset: fits ? storageOffset : 0, dtype };
}

function resized(
  where: string,
  self: TensorValue,
  size: readonly Size[],
  memoryFormat: string | null,
  F: Functional,
): TensorValue {
  const { stride = contiguousStride(size), storageOffset = 0 } = resizedSpec(where, self, size, memoryFormat);
  if (sameShape(size, self.shape) && memoryFormat === null) return self;
  const numel = sizeProd(size), own = sizeProd(self.shape);
  const inMemory = self.permute(memoryOrder(self.shape, self.stride));
  let flat: TensorValue;
  if (!sizeLe(numel, own)) flat = F.cat([inMemory.reshape([-1]), self.newZeros([sizeSub(numel, own)])]);
  else if (isContiguous(inMemory.shape, inMemory.stride)) flat = inMemory.view([-1]).narrow(0, 0, numel);
  // With gaps between elements only places in storage say what follows.
  else return self.asStrided(size, stride, storageOffset);
  const order = memoryOrder(size, stride);
  return flat.view(order.map((d) => size[d] ?? 1)).permute(inverseOrder(order));
}

/** Dimensions from the slowest to the fastest in memory. */
function memoryOrder(shape: readonly Size[], stride: readonly Size[]): number[] {
  return shape.map((_, d) => d).sort((x, y) => hintOf(stride[y] ?? 0) - hintOf(stride[x] ?? 0) || x - y);
}

defineOp({
  schema: "aten::resize_(Tensor(a) self, SymInt[] size, *, MemoryFormat? memory_format=None) -> Tensor(a)",
  doc: "self's memory in another size, from its beginning; new memory where it has too few elements.",
  public: false,
  meta: ({ self, size, memoryFormat }) => resizedSpec("resize_", self, size, memoryFormat),
  decompose: ({ self, size, memoryFormat }, F) => resized("resize_", self, size, memoryFormat, F),
  samples: () => [],
});

defineOp({
  schema: "aten::resize_as_(Tensor(a) self, Tensor the_template, *, MemoryFormat? memory_format=None) -> Tensor(a)",
  doc: "self's memory in the size of another tensor, from its beginning.",
  public: false,
  meta: ({ self, theTemplate, memoryFormat }) => resizedSpec("resize_as_", self, theTemplate.shape, memoryFormat),
  decompose: ({ self, theTemplate, memoryFormat }, F) =>
    resized("resize_as_", self, theTemplate.shape, memoryFormat, F),
  samples: () => [],
});

defineOp({
  schema: "aten::set_.source_Tensor(Tensor self, Tensor(a) source) -> Tensor(a)",
  doc: "self becomes source: the same memory in the same shape.",
  public: false,
  meta: ({ self, source }) => {
    if (self.dtype !== source.dtype) {
      throw new TypeError(`set_: self is ${self.dtype.name} and cannot become a ${source.dtype.name} tensor`);
    }
    const { shape, stride, storageOffset, dtype } = source;
    return { shape, stride, storageOffset, dtype };
  },
  decompose: ({ source }) => source,
  samples: () => [],
});
