/**
 * Questions about a tensor's description: dtype, number of dimensions, layout.
 *
 * Answered at once from the description, symbolic sizes included; never a node of a graph. `Tensor` has properties for them, so only programs call these. Mirrors
 * `TensorProperties.cpp` of ATen.
 */
import { isContiguous, type Size, sizeProd, sizeSame } from "../symbolic/mod.ts";
import { axisOf } from "./combinators.ts";
import { defineOp, type NumberResult } from "./define.ts";
import { formatStride } from "./layout.ts";
import type { TensorValue } from "./value.ts";

const QUESTIONS = [
  ["is_complex(Tensor self) -> bool", "Whether elements are complex.", (t) => t.dtype.isComplex],
  [
    "is_floating_point(Tensor self) -> bool",
    "Whether elements are real floating point numbers.",
    (t) => t.dtype.isFloat,
  ],
  [
    "is_signed(Tensor self) -> bool",
    "Whether elements have a sign.",
    (t) => t.dtype.kind !== "uint" && t.dtype.kind !== "bool",
  ],
  ["is_conj(Tensor self) -> bool", "Never: conjugates are computed.", () => false],
  ["is_neg(Tensor self) -> bool", "Never: negatives are computed.", () => false],
  ["_is_zerotensor(Tensor self) -> bool", "Never: zeros are in memory.", () => false],
  ["dim(Tensor self) -> int", "The number of dimensions.", (t) => t.ndim],
  ["numel(Tensor self) -> int", "The number of elements.", (t) => sizeProd(t.shape)],
  ["storage_offset(Tensor self) -> int", "Where the first element lies in memory.", (t) => t.storageOffset],
] as const satisfies readonly (readonly [string, string, (t: TensorValue) => NumberResult])[];

for (const [schema, doc, answer] of QUESTIONS) {
  defineOp({
    schema: `aten::${schema}` as "aten::dim(Tensor self) -> int",
    doc,
    public: false,
    meta: () => [],
    number: ({ self }) => answer(self),
    samples: () => [],
  });
}

for (const name of ["size", "stride"] as const) {
  defineOp({
    schema: `aten::${name}.int(Tensor self, int dim) -> int` as "aten::size.int(Tensor self, int dim) -> int",
    doc: `The ${name} of a dimension.`,
    public: false,
    meta: () => [],
    number: ({ self, dim }) => (name === "size" ? self.shape : self.stride)[axisOf(name, dim, self.ndim)] ?? 1,
    samples: () => [],
  });
}

function liesAs(self: TensorValue, format: string | null): boolean {
  if (format === null || format.endsWith("contiguous_format")) return isContiguous(self.shape, self.stride);
  // Dimensions of one element lie anywhere.
  const same = (a: Size, b: Size): boolean => sizeSame(a, b);
  const wanted = formatStride("is_contiguous", self, format);
  return wanted.every((s, d) => same(self.shape[d] ?? 1, 1) || same(s, self.stride[d] ?? 0));
}

for (
  const schema of [
    "is_contiguous(Tensor self) -> bool",
    "is_contiguous.memory_format(Tensor self, MemoryFormat memory_format) -> bool",
    "sym_is_contiguous(Tensor self, MemoryFormat memory_format=contiguous_format) -> bool",
  ] as const
) {
  defineOp({
    schema: `aten::${schema}` as "aten::is_contiguous(Tensor self) -> bool",
    doc: "Whether elements lie in memory in the order of a format.",
    public: false,
    meta: () => [],
    number: ({ self, ...rest }) => liesAs(self, (rest as { readonly memoryFormat?: string }).memoryFormat ?? null),
    samples: () => [],
  });
}
