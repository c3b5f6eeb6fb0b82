/**
 * hash_tensor: the exclusive or of the bits of all elements, as uint64.
 *
 * Floating point numbers are widened to float64 and count by their bits, integers by their value in 64 bits, so that equal numbers of any dtype of a kind hash
 * alike, in any order. Mirrors `xor_sum_kernel` of ATen.
 */
import { type DType, uint64 } from "../core/mod.ts";
import { shapeToText, sizeIsZero } from "../symbolic/mod.ts";
import { reducedShape, reductionAxes } from "./combinators.ts";
import { defineOp } from "./define.ts";
import { hostShape, readHost } from "./host_axis.ts";
import { broadcastPositions } from "./special_functions.ts";

const float = new Float64Array(1);
const word = new BigUint64Array(float.buffer);

/** The 64 bits that an element counts by. */
function bitsOf(value: number | bigint, dtype: DType): bigint {
  if (!dtype.isFloat) return BigInt.asUintN(64, BigInt(value));
  float[0] = Number(value);
  return word[0] ?? 0n;
}

defineOp({
  schema: "aten::hash_tensor(Tensor self, int[1] dim=[], *, bool keepdim=False, int mode=0) -> Tensor",
  doc:
    "The exclusive or of the 64 bits of the elements along dimensions, or of all: a checksum that does not depend on their order.",
  meta: ({ self, dim, keepdim, mode }) => {
    if (Number(mode) !== 0) throw new RangeError(`hash_tensor: mode ${mode} is unknown; 0, the exclusive or, is there`);
    const axes = reductionAxes("hash_tensor", dim.length === 0 ? null : dim, self.shape.length);
    const empty = axes.find((d) => d < self.shape.length && sizeIsZero(self.shape[d] ?? 1));
    if (empty !== undefined) {
      throw new RangeError(
        `hash_tensor: dimension ${empty} of ${shapeToText(self.shape)} has no elements, so there is nothing to hash`,
      );
    }
    return { shape: reducedShape(self.shape, axes, keepdim), dtype: uint64 };
  },
  host: ({ self, dim, keepdim }) => {
    const shape = hostShape(self);
    const axes = reductionAxes("hash_tensor", dim.length === 0 ? null : dim, shape.length);
    const outShape = reducedShape(shape, axes, keepdim).map(Number);
    const kept = shape.map((s, d) => axes.includes(d) ? 1 : s);
    const out = new BigUint64Array(kept.reduce((a, b) => a * b, 1));
    let i = 0;
    for (const position of broadcastPositions({ ...self, shape: kept }, shape)) {
      out[position] = (out[position] ?? 0n) ^ bitsOf(readHost(self.data, i++), self.dtype);
    }
    return [{ shape: outShape, data: out }];
  },
  samples: (g) => {
    const self = g.tensor([2, 3], { requiresGrad: false });
    return [{ args: { self } }, { args: { self, dim: [1], keepdim: true } }, {
      args: { self: g.tensor([]), dim: [0] },
    }];
  },
});
