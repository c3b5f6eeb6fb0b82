/**
 * Moving elements between channels and space: pixel_shuffle, pixel_unshuffle, channel_shuffle.
 *
 * Reshapes around one permutation, so nothing is computed. Mirrors ATen's PixelShuffle.cpp.
 */
import { shapeToText, type Size, sizeEq, sizeFloorDiv, sizeMod, sizeMul } from "../symbolic/mod.ts";
import { defineOp, type MetaInput } from "./define.ts";

/** The factor as a number of at least 1, and the leading dimensions before channels. */
function checkShuffle(
  where: string,
  self: MetaInput,
  factor: Size,
): { readonly r: number; readonly lead: readonly Size[] } {
  const r = Number(factor);
  if (!Number.isInteger(r) || r < 1) throw new RangeError(`${where}: the factor must be a positive integer, got ${r}`);
  if (self.shape.length < 3) {
    throw new TypeError(`${where}: needs at least 3 dimensions [..., C, H, W], got ${shapeToText(self.shape)}`);
  }
  return { r, lead: self.shape.slice(0, -3) };
}

defineOp({
  schema: "aten::pixel_shuffle(Tensor self, int upscale_factor) -> Tensor",
  doc: "[..., C·r², H, W] to [..., C, H·r, W·r].",
  meta: ({ self, upscaleFactor }) => {
    const { r, lead } = checkShuffle("pixel_shuffle", self, upscaleFactor);
    const [c = 1, h = 1, w = 1] = self.shape.slice(-3);
    if (!sizeEq(sizeMod(c, r * r), 0)) {
      throw new TypeError(`pixel_shuffle: ${c} channels do not divide by ${r}²: ${shapeToText(self.shape)}`);
    }
    return { shape: [...lead, sizeFloorDiv(c, r * r), sizeMul(h, r), sizeMul(w, r)], dtype: self.dtype };
  },
  decompose: ({ self, upscaleFactor }) => {
    const r = Number(upscaleFactor);
    const lead = self.shape.slice(0, -3), at = lead.length;
    const [c = 1, h = 1, w = 1] = self.shape.slice(-3);
    const out = sizeFloorDiv(c, r * r);
    const order = [...lead.keys(), at, at + 3, at + 1, at + 4, at + 2];
    return self.reshape([...lead, out, r, r, h, w]).permute(order).reshape([
      ...lead,
      out,
      sizeMul(h, r),
      sizeMul(w, r),
    ]);
  },
  samples: (g) => [{ args: { self: g.tensor([2, 8, 2, 3]), upscaleFactor: 2 } }],
});

defineOp({
  schema: "aten::pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor",
  doc: "[..., C, H·r, W·r] to [..., C·r², H, W].",
  meta: ({ self, downscaleFactor }) => {
    const { r, lead } = checkShuffle("pixel_unshuffle", self, downscaleFactor);
    const [c = 1, h = 1, w = 1] = self.shape.slice(-3);
    if (!sizeEq(sizeMod(h, r), 0) || !sizeEq(sizeMod(w, r), 0)) {
      throw new TypeError(`pixel_unshuffle: height and width must divide by ${r}: ${shapeToText(self.shape)}`);
    }
    return { shape: [...lead, sizeMul(c, r * r), sizeFloorDiv(h, r), sizeFloorDiv(w, r)], dtype: self.dtype };
  },
  decompose: ({ self, downscaleFactor }) => {
    const r = Number(downscaleFactor);
    const lead = self.shape.slice(0, -3), at = lead.length;
    const [c = 1, h = 1, w = 1] = self.shape.slice(-3);
    const height = sizeFloorDiv(h, r), width = sizeFloorDiv(w, r);
    const order = [...lead.keys(), at, at + 2, at + 4, at + 1, at + 3];
    return self.reshape([...lead, c, height, r, width, r]).permute(order)
      .reshape([...lead, sizeMul(c, r * r), height, width]);
  },
  samples: (g) => [{ args: { self: g.tensor([2, 2, 4, 6]), downscaleFactor: 2 } }],
});

defineOp({
  schema: "aten::channel_shuffle(Tensor self, SymInt groups) -> Tensor",
  doc: "Interleaves groups of channels.",
  meta: ({ self, groups }) => {
    const channels = self.shape[1];
    if (channels === undefined || self.shape.length < 3 || !sizeEq(sizeMod(channels, groups), 0)) {
      throw new TypeError(
        `channel_shuffle: the channels of ${shapeToText(self.shape)} ([N, C, …]) must divide into ${groups} groups`,
      );
    }
    return { shape: self.shape, dtype: self.dtype };
  },
  decompose: ({ self, groups }) => {
    const [n = 1, c = 1, ...spatial] = self.shape;
    return self.reshape([n, groups, sizeFloorDiv(c, groups), ...spatial]).transpose(1, 2).reshape(self.shape);
  },
  samples: (g) => [{ args: { self: g.tensor([2, 6, 3]), groups: 2 } }],
});
