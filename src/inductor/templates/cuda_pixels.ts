/**
 * Rows of a product that are pixels of a convolution: read back from how they are addressed.
 *
 * Enters: the index of a load over rows (images, positions) and k (places of a window and, innermost, channels), and the mask of padding. Leaves: images, dimensions with their
 * steps, gaps and padding, and channels; or the map by which the copy engine of Hopper reads them (im2col mode), a window's place for all pixels of a tile at once. Without a
 * mask any view that addresses the same elements is the convolution.
 */
import { coefficient, constant, constantValue, type Expr, gcd, mul, sub, symbol } from "../../symbolic/mod.ts";
import { guess } from "../tile/axes.ts";
import type { Axis, OperandProgram, TileStatement, TileValue } from "../tile/tile_ir.ts";

/** An axis with its distance in memory. */
export interface Run {
  readonly extent: number;
  readonly stride: number;
}

export interface AxisRun extends Run {
  readonly axis: Axis;
}

/** An index as distances of axes and an offset; null unless all of it is known, but for the extent of `open`, for which a guess stands. */
export function runsOf(
  index: Expr,
  axes: readonly Axis[],
  open?: Axis,
): { readonly runs: AxisRun[]; readonly offset: number } | null {
  let rest = index;
  const runs: AxisRun[] = [];
  for (const axis of axes) {
    const c = coefficient(index, axis.symbol);
    const extent = axis === open ? guess(axis.extent) : constantValue(axis.extent);
    const stride = c === null ? null : constantValue(c);
    if (c === null || stride === null || stride < 0 || extent === null) return null;
    rest = sub(rest, mul(c, symbol(axis.symbol)));
    runs.push({ axis, extent, stride });
  }
  const offset = constantValue(rest);
  return offset === null ? null : { runs, offset };
}

/** Conditions on positions: each expression with its bounds. */
interface Bound {
  readonly position: Expr;
  readonly below: number | null;
}

/** The conditions that a mask is made of; null where it is something else. */
export function boundsOf(program: OperandProgram, mask: TileValue): Bound[] | null {
  const definition = (v: TileValue | undefined): TileStatement | undefined =>
    program.body.find((s) => "out" in s && s.out === v);
  const own = definition(mask);
  if (own?.kind !== "pointwise") return null;
  const [left, right] = own.args;
  if (own.op === "bitwiseAnd") {
    if (left === undefined || right === undefined) return null;
    const [a, b] = [boundsOf(program, left), boundsOf(program, right)];
    return a === null || b === null ? null : [...a, ...b];
  }
  const [position, limit] = [definition(left), definition(right)];
  const at = limit?.kind === "constant"
    ? Number(limit.value)
    : limit?.kind === "index"
    ? constantValue(limit.expr)
    : null;
  if (position?.kind !== "index" || at === null) return null;
  if (own.op === "ge" && at === 0) return [{ position: position.expr, below: null }];
  return own.op === "lt" ? [{ position: position.expr, below: at }] : null;
}

/** One spatial dimension. */
export interface Spatial {
  readonly output: number;
  readonly window: number;
  readonly stride: number;
  readonly dilation: number;
  readonly before: number;
  readonly behind: number;
  readonly size: number;
  /** Between neighbours of x. */
  readonly distance: number;
}

/** How much of x takes part, and what is behind it. `most` is where x ends, if that is known. */
function extentOf(d: Omit<Spatial, "behind" | "size">, most: number | null): Pick<Spatial, "behind" | "size"> {
  const needed = (d.output - 1) * d.stride + (d.window - 1) * d.dilation + 1 - d.before;
  // Up to a step more changes nothing, and may make rows lie one after the other.
  const size = most === null ? needed : Math.min(most, needed + d.stride - 1);
  const behind = Math.max(0, needed - size);
  // The same on both sides is what most engines know.
  const reach = (size + 2 * d.before - (d.window - 1) * d.dilation - 1) / d.stride;
  return { size, behind: Math.floor(reach) + 1 === d.output ? d.before : behind };
}

/** What addresses of pixels say of the dimensions; outermost first. */
export function spatialOf(
  rows: readonly AxisRun[],
  windows: readonly AxisRun[],
  bounds: readonly Bound[] | null,
  channels: number,
): Spatial[] | null {
  // Without conditions any row of pixels will do whose neighbours' distance is less: addresses are the same.
  const inner = [...rows].reverse();
  const unbound = windows.filter((w) => !bounds?.some(({ position }) => mentions(position, w.axis)));
  const paired = new Map(
    unbound.length === windows.length && unbound.length < rows.length
      ? [...unbound].reverse().flatMap((w, i) => inner[i] === undefined ? [] : [[inner[i], w] as const])
      : [],
  );
  const pairs = rows.map((row, i) => {
    const bound = bounds?.filter(({ position }) => mentions(position, row.axis)) ?? [];
    const window = windows.find((w) => bound.some(({ position }) => mentions(position, w.axis))) ?? paired.get(row) ??
      (windows.length === rows.length ? windows[i] : undefined);
    return { row, window, bound };
  });
  if (windows.some((w) => pairs.filter((p) => p.window === w).length !== 1)) return null;
  const out: Spatial[] = [];
  for (const { row, window, bound } of [...pairs].reverse()) {
    const inner = out[0];
    const [output, places] = [row.extent, window?.extent ?? 1];
    let [stride, dilation, before] = [1, 1, 0];
    let most: number | null = null;
    const [first] = bound;
    if (first !== undefined) {
      // All conditions speak of one position.
      if (bound.some(({ position }) => position !== first.position)) return null;
      const axes = window === undefined ? [row] : [row, window];
      let rest = first.position;
      const steps = axes.map(({ axis }) => {
        const c = coefficient(first.position, axis.symbol) ?? constant(0);
        rest = sub(rest, mul(c, symbol(axis.symbol)));
        return constantValue(c) ?? 0;
      });
      const start = constantValue(rest);
      [stride = 0, dilation = 1] = steps;
      if (start === null || start > 0 || stride < 1 || dilation < 1) return null;
      before = -start;
      most = bound.reduce<number | null>((m, { below }) => below === null ? m : Math.min(m ?? below, below), null);
    } else if (window !== undefined) {
      const distance = gcd(row.stride, window.stride);
      [stride, dilation] = [row.stride / distance, window.stride / distance];
    } else if (inner === undefined) stride = row.stride % channels === 0 ? row.stride / channels : 1;
    else if (row.stride % inner.stride === 0) ({ stride } = inner);
    const distance = row.stride / stride;
    if (!Number.isInteger(distance) || (window !== undefined && window.stride !== distance * dilation)) return null;
    const base = { output, window: places, stride, dilation, before, distance };
    out.unshift({ ...base, ...extentOf(base, most) });
  }
  return out;
}

function mentions(e: Expr, axis: Axis): boolean {
  const c = coefficient(e, axis.symbol);
  return c !== null && constantValue(c) !== 0;
}

/** Lets dimensions reach as far as the next one begins, where that is within what a step leaves over. */
export function packed(dims: readonly Spatial[], image: number): Spatial[] {
  return dims.map((d, i) => {
    const outer = i === 0 ? image : dims[i - 1]?.distance ?? 0;
    const whole = outer / d.distance;
    const room = Number.isInteger(whole) && whole > d.size && whole - d.size < d.stride && d.behind + d.before === 0;
    return room ? { ...d, size: whole } : d;
  });
}

/** The rows as [images, ...at least two dimensions]. Windows of one pixel let rows be one axis: images are then what the result says they are. */
export function imagesOf(
  rows: readonly AxisRun[],
  windows: readonly AxisRun[],
  epilogueRows: readonly Axis[],
): AxisRun[] | null {
  if (rows.length > 4) return null;
  if (rows.length > 2) return [...rows];
  const [first, last] = rows;
  // An axis of one image is none.
  if (first !== undefined && rows.length === windows.length) {
    return [{ ...first, extent: 1, stride: first.stride * first.extent }, ...rows];
  }
  const outer = constantValue(epilogueRows[0]?.extent ?? constant(1)) ?? 1;
  if (first === undefined) return null;
  const one = (run: AxisRun, stride: number): AxisRun => ({ ...run, extent: 1, stride });
  if (last === undefined) {
    const images = first.extent % outer === 0 ? outer : 1;
    const rest = first.extent / images;
    const pixels = { ...first, extent: rest };
    return windows.length > 0
      ? null
      : [{ ...first, extent: images, stride: first.stride * rest }, one(first, first.stride * rest), pixels];
  }
  if (windows.length === 0 && first.extent % outer === 0 && first.extent > outer) {
    const rest = first.extent / outer;
    return [{ ...first, extent: outer, stride: first.stride * rest }, { ...first, extent: rest }, last];
  }
  return windows.length <= 1 ? [first, one(first, first.stride), last] : null;
}

/** What pixels are: images, and the spatial dimensions outermost first; channels are innermost. */
export interface Pixels {
  readonly image: AxisRun;
  readonly dims: readonly Spatial[];
  readonly windows: readonly AxisRun[];
  readonly channels: AxisRun;
  readonly groups: readonly AxisRun[];
  /** Where x begins: elements from the slot's element 0. */
  readonly start: number;
}

/** The rows of an operand as pixels; null where they are not. `outer`: the axes of rows as the result has them. */
export function pixelsOf(
  program: OperandProgram,
  { index, mask }: TileStatement & { readonly kind: "load" },
  batch: readonly Axis[],
  outer: readonly Axis[],
): Pixels | null {
  const bounds = mask === null ? [] : boundsOf(program, mask);
  // With both other dimensions there, how many images there are decides nothing.
  const open = program.rows.length > 2 ? program.rows[0] : undefined;
  const there = runsOf(index, [...batch, ...program.rows, ...program.k], open);
  if (bounds === null || there === null) return null;
  const groups = there.runs.slice(0, batch.length);
  const rows = there.runs.slice(batch.length, batch.length + program.rows.length);
  const windows = there.runs.slice(batch.length + program.rows.length);
  const channels = windows.pop();
  if (channels === undefined || channels.stride !== 1 || rows.length === 0) return null;
  const images = imagesOf(rows, windows, outer);
  const dims = images === null ? null : spatialOf(images.slice(1), windows, bounds, channels.extent);
  const [image] = images ?? [];
  if (image === undefined || dims === null || image.stride === 0) return null;
  // Places of x that overlap are no tensor.
  const count = groups.reduce((n, { extent }) => n * extent, channels.extent);
  if ((dims.at(-1)?.distance ?? 0) < count) return null;
  const start = there.offset + dims.reduce((n, { before, distance }) => n + before * distance, 0);
  return { image, dims: packed(dims, image.stride), windows, channels, groups, start };
}
