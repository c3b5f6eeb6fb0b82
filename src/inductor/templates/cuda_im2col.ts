/**
 * Pixels of convolutions by the copy engine of Hopper (im2col mode): one instruction brings one place of the window, and some channels, for all pixels of a tile.
 *
 * Enters: the operand of a contraction whose rows are images and positions and whose k are places of a window and channels. Leaves: a tensor map, and the lines that copy one
 * step. Channels of a group must fill steps, so that a step has one place of the window; the tile lies in shared memory as that of a plain matrix.
 */
import { constant, constantValue } from "../../symbolic/mod.ts";
import type { Axis } from "../tile/tile_ir.ts";
import type { Matrix } from "./cuda_hopper_plan.ts";
import type { OperandPlan } from "./cuda_operands.ts";
import { type Pixels, pixelsOf } from "./cuda_pixels.ts";
import type { Element } from "./cuda_wgmma.ts";

/** Places where windows begin, and distances within them, by the number of spatial dimensions: what a map has bits for. */
const CORNERS = [0, 2 ** 15, 2 ** 7, 2 ** 4] as const;
const REACH = [0, 2 ** 16 - 1, 2 ** 8 - 1, 2 ** 5 - 1] as const;
/** The longest step of a map. */
const MOST_STEP = 8;

/**
 * An operand as pixels that the copy engine reads, `line` bytes a step; null where it is something else, or a map has no bits for it. Pixels are its rows, or, where channels lie along
 * these (the gradient by the weight), they are k.
 */
export function pixelMatrix(
  plan: OperandPlan,
  batch: readonly Axis[],
  outer: readonly Axis[],
  element: Element,
  line: number,
): Matrix | null {
  const { copy, along } = plan;
  const { dtype } = element;
  if (copy === null || copy.load.buffer.dtype !== dtype || batch.length > 1) return null;
  if (along === "rows" && dtype.bytes !== 2) return null;
  const program = along === "k" ? plan.program : { ...plan.program, rows: plan.program.k, k: plan.program.rows };
  const found = pixelsOf(program, copy.load, batch, outer);
  // Groups have channels one after the other.
  if (found === null || found.groups.some(({ stride }) => stride !== found.channels.extent)) return null;
  const groups = found.groups.reduce((n, { extent }) => n * extent, 1);
  const pixels = { ...found, dims: withoutIdle(found) };
  if (!inOrder(found)) return null;
  const { image, dims, channels, start } = pixels;
  const wide = line / dtype.bytes;
  const unit = 16 / dtype.bytes;
  const rank = dims.length;
  if (channels.extent % wide !== 0 || rank < 1 || rank > 3 || start < 0 || start % unit !== 0) return null;
  const inner = [...dims].reverse();
  const strides = [...inner.map(({ distance }) => distance), image.stride];
  if (strides.some((stride) => stride % unit !== 0 || stride < channels.extent)) return null;
  const lower = inner.map(({ before }) => -before);
  // The last window begins there, counted from the last pixel.
  const upper = inner.map(({ output, stride, before, size }) => (output - 1) * stride - before - (size - 1));
  // How many images there are may be for the call to say.
  const count = constantValue(image.axis.extent) === null ? image.axis.extent : constant(image.extent);
  const [corner = 0, reach = 0] = [CORNERS[rank], REACH[rank]];
  if ([...lower, ...upper].some((at) => at < -corner || at >= corner)) return null;
  if (inner.some(({ window, dilation, stride }) => (window - 1) * dilation > reach || stride > MOST_STEP)) return null;
  return {
    along,
    buffer: copy.load.buffer,
    batch: [],
    pixels,
    map: {
      type: element.map,
      offset: constant(start),
      sizes: [...[channels.extent * groups, ...inner.map(({ size }) => size)].map((n) => constant(n)), count],
      strideBytes: strides.map((n) => constant(n * dtype.bytes)),
      box: [wide, wide],
      swizzle: 128,
      l2Promotion: 256,
      pixels: { lower, upper, steps: inner.map(({ stride }) => stride) },
    },
  };
}

/** Whether k counts places of the window as dimensions lie: k is taken apart by them. */
function inOrder({ dims, windows }: Pixels): boolean {
  const [own, there] = [windows.filter(({ extent }) => extent > 1), dims.filter(({ window }) => window > 1)];
  return own.length === there.length && own.every(({ extent, stride }, i) => {
    const dim = there[i];
    return dim !== undefined && dim.window === extent && dim.distance * dim.dilation === stride;
  });
}

/** Without dimensions of one place, but the last. */
function withoutIdle({ dims }: Pixels): Pixels["dims"] {
  const kept = dims.filter(({ output, window, size, before }) => output > 1 || window > 1 || size > 1 || before > 0);
  return kept.length === 0 ? dims.slice(-1) : kept;
}

/** Lines that copy the pixels from number `pixel` on, at the place and channel of number `place`. @param group the number of the group, where there are several */
export function pixelLines(
  { dims, channels }: Pixels,
  names: { readonly map: string; readonly to: string; readonly pixel: string; readonly place: string },
  group: string | null,
): string[] {
  const lines: string[] = [];
  // Digits of a number, the last one first; what is left is outermost.
  const digits = (name: string, of: string, sizes: readonly number[]): string[] => {
    let rest = of;
    return sizes.map((size, i) => {
      lines.push(`const int ${name}${i}q = (${rest}) / ${size}, ${name}${i} = (${rest}) - ${name}${i}q * ${size};`);
      rest = `${name}${i}q`;
      return `${name}${i}`;
    });
  };
  const inner = [...dims].reverse();
  const places = digits("place", names.pixel, inner.map(({ output }) => output));
  const windows = digits("window", names.place, [channels.extent, ...inner.map(({ window }) => window)]);
  const [channel = "0", ...taps] = windows;
  const at = inner.map(({ stride, before }, i) => `${places[i]} * ${stride} - ${before}`);
  const moved = inner.map(({ dilation }, i) => `${taps[i]} * ${dilation}`);
  const image = `place${inner.length - 1}q`;
  const first = group === null ? channel : `${channel} + (int)${group} * ${channels.extent}`;
  const all = [first, ...at, image, ...moved].join(", ");
  return ["{", ...lines, `tsr_pixels(${names.to}, &${names.map}, full, ${all});`, "}"];
}
