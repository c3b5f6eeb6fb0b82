/**
 * Which thread holds which element of a block.
 *
 * A layout writes the position along each axis as a number of mixed digits; a digit is a register's number, a part of the lane or a part of the warp.
 * Blocks of one layout are computed on register by register; tensor cores leave their results in a layout of this form too. Threads that no digit tells
 * apart hold copies. All sizes are powers of two. Mirrors Triton's layouts, all of which are of this kind.
 */
import type { BlockAxis } from "../../../../blocks/mod.ts";

/** One digit: `size` values, each `weight` positions apart; `stride` says which part of the register, lane or warp it is. */
export interface Digit {
  readonly source: "register" | "lane" | "warp";
  readonly size: number;
  readonly stride: number;
  readonly weight: number;
}

/** The digits of each axis of a block. */
export interface Layout {
  readonly axes: readonly BlockAxis[];
  readonly digits: ReadonlyMap<BlockAxis, readonly Digit[]>;
  /** Registers a thread. */
  readonly registers: number;
  readonly key: string;
}

function finish(axes: readonly BlockAxis[], digits: ReadonlyMap<BlockAxis, readonly Digit[]>): Layout {
  let registers = 1;
  for (const list of digits.values()) for (const d of list) if (d.source === "register") registers *= d.size;
  const key = axes.map((axis) =>
    (digits.get(axis) ?? []).map((d) => `${d.source[0]}${d.size}.${d.stride}.${d.weight}`).join(" ")
  ).join("|");
  return { axes, digits, registers, key: `${axes.map((a) => a.symbol.id).join()}:${key}` };
}

/** The layout of a block that varies over some of the axes only: other registers are dropped and the rest numbered anew, other threads hold copies. */
export function sliceLayout(layout: Layout, axes: readonly BlockAxis[]): Layout {
  const kept = layout.axes.filter((axis) => axes.includes(axis));
  const registers = kept.flatMap((axis) => (layout.digits.get(axis) ?? []).filter((d) => d.source === "register"));
  const strides = new Map<Digit, number>();
  let next = 1;
  for (const d of registers.sort((a, b) => a.stride - b.stride)) {
    strides.set(d, next);
    next *= d.size;
  }
  const digits = new Map(
    kept.map((axis) => [
      axis,
      (layout.digits.get(axis) ?? []).map((d) => d.source === "register" ? { ...d, stride: strides.get(d) ?? 1 } : d),
    ]),
  );
  return finish(kept, digits);
}

/** Rows by lanes, then registers; the innermost axis (of `order`, outermost first) gets vectors and neighbouring lanes. */
export function blockedLayout(
  axes: readonly BlockAxis[],
  order: readonly BlockAxis[],
  vector: number,
  warps: number,
): Layout {
  const digits = new Map<BlockAxis, Digit[]>(axes.map((axis) => [axis, []]));
  let [lanes, groups, registers] = [32, warps, 1];
  const left = new Map(axes.map((axis) => [axis, { size: axis.block, weight: 1 }]));
  const take = (axis: BlockAxis, source: Digit["source"], most: number, stride: number): number => {
    const rest = left.get(axis);
    if (rest === undefined) return 1;
    const size = Math.min(most, rest.size);
    if (size > 1) digits.get(axis)?.push({ source, size, stride, weight: rest.weight });
    left.set(axis, { size: rest.size / size, weight: rest.weight * size });
    return size;
  };
  const inner = [...order].reverse();
  if (inner[0] !== undefined) registers *= take(inner[0], "register", vector, 1);
  for (const axis of inner) lanes /= take(axis, "lane", lanes, 32 / lanes);
  // Warps go to outer axes first, so that reductions along the innermost stay in a warp.
  for (const axis of order) groups /= take(axis, "warp", groups, warps / groups);
  for (const axis of inner) registers *= take(axis, "register", Infinity, registers);
  return finish(axes, digits);
}

/** How a block of products is divided: warps over rows first. */
export interface ProductShape {
  /** Rows and columns of a warp's part. */
  readonly rows: number;
  readonly columns: number;
  readonly warpsDown: number;
  readonly warpsAcross: number;
}

/** The division of `rows × columns` results over warps; null if blocks are too small for tensor cores. */
export function productShape(rows: number, columns: number, warps: number): ProductShape | null {
  if (rows < 16 || columns < 16) return null;
  const warpsDown = Math.min(warps, rows / 16);
  const warpsAcross = Math.min(warps / warpsDown, columns / 16);
  return { rows: rows / warpsDown, columns: columns / warpsAcross, warpsDown, warpsAcross };
}

/** The layout in which tensor cores leave results: fragments of 16 × 8, a warp's part in rows of fragments. */
export function productLayout(
  axes: readonly BlockAxis[],
  row: BlockAxis,
  column: BlockAxis,
  shape: ProductShape,
): Layout {
  const across = shape.columns / 8;
  const down = shape.rows / 16;
  const digit = (source: Digit["source"], size: number, stride: number, weight: number): Digit[] =>
    size === 1 ? [] : [{ source, size, stride, weight }];
  return finish(
    axes,
    new Map([
      [row, [
        ...digit("lane", 8, 4, 1),
        ...digit("register", 2, 2, 8),
        ...digit("register", down, 4 * across, 16),
        ...digit("warp", shape.warpsDown, 1, shape.rows),
      ]],
      [column, [
        ...digit("register", 2, 1, 1),
        ...digit("lane", 4, 1, 2),
        ...digit("register", across, 4, 8),
        ...digit("warp", shape.warpsAcross, shape.warpsDown, shape.columns),
      ]],
    ]),
  );
}

/** The same for products of warpgroups, which share 64 rows: the first `tiles` of them in registers, the others in other groups. */
export function groupLayout(axes: readonly BlockAxis[], row: BlockAxis, column: BlockAxis, warps: number): Layout {
  const across = column.block / 8;
  const groups = warps / 4;
  const tiles = row.block / 64 / groups;
  const digit = (source: Digit["source"], size: number, stride: number, weight: number): Digit[] =>
    size === 1 ? [] : [{ source, size, stride, weight }];
  return finish(
    axes,
    new Map([
      [row, [
        ...digit("lane", 8, 4, 1),
        ...digit("register", 2, 2, 8),
        ...digit("warp", 4, 1, 16),
        ...digit("register", tiles, 4 * across, 64),
        ...digit("warp", groups, 4, 64 * tiles),
      ]],
      [column, [...digit("register", 2, 1, 1), ...digit("lane", 4, 1, 2), ...digit("register", across, 4, 8)]],
    ]),
  );
}

/** A digit's value as text, from the number that it is part of. */
function digitText(d: Digit, from: string): string {
  const shifted = d.stride === 1 ? from : `${from} / ${d.stride}`;
  return `(${shifted} % ${d.size})`;
}

/** The part of a position that the thread decides, as text over `lane` and `warp`. */
export function threadText(digits: readonly Digit[]): string {
  const parts = digits.filter((d) => d.source !== "register").map((d) => {
    const value = digitText(d, d.source);
    return d.weight === 1 ? value : `${value} * ${d.weight}`;
  });
  return parts.length === 0 ? "0" : parts.join(" + ");
}

/** The part of a position that the register decides, as text over its number. */
export function registerText(digits: readonly Digit[], register: string): string {
  const parts = digits.filter((d) => d.source === "register").map((d) => {
    const value = digitText(d, register);
    return d.weight === 1 ? value : `${value} * ${d.weight}`;
  });
  return parts.length === 0 ? "0" : parts.join(" + ");
}

/** The register of a slice that goes with a register of the whole layout, as text. */
export function sliceRegister(layout: Layout, slice: Layout, register: string): string {
  if (slice.key === layout.key) return register;
  const parts: string[] = [];
  for (const axis of slice.axes) {
    const [whole, own] = [layout.digits.get(axis) ?? [], slice.digits.get(axis) ?? []];
    whole.forEach((d, i) => {
      const to = own[i];
      if (d.source !== "register" || to === undefined) return;
      const value = digitText(d, register);
      parts.push(to.stride === 1 ? value : `${value} * ${to.stride}`);
    });
  }
  return parts.length === 0 ? "0" : parts.length === 1 ? parts[0] ?? "0" : `(${parts.join(" + ")})`;
}

/** Bits of the lane and of the warp that tell no elements apart: threads with one of them set hold copies. */
export function copyBits(layout: Layout, warps: number): { readonly lane: number; readonly warp: number } {
  let [lane, warp] = [31, warps - 1];
  for (const list of layout.digits.values()) {
    for (const d of list) {
      if (d.source === "lane") lane &= ~((d.size - 1) * d.stride);
      if (d.source === "warp") warp &= ~((d.size - 1) * d.stride);
    }
  }
  return { lane, warp };
}
