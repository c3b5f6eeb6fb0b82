/**
 * Which products the template for Hopper takes, and how it may cut them.
 *
 * Enters: a contraction in tile IR. Leaves: its operands as matrices of the copy engine (or rows that are gathered), what the tensor cores multiply, and the
 * shapes of tiles, the best one by the cost model first. Tiles of the last round of blocks, which fills the device badly, may be shared by several blocks each, as in
 * stream-K. Nothing is written here.
 */
import {
  coefficient,
  constant,
  constantValue,
  type Expr,
  freeSymbols,
  mod,
  mul,
  sub,
  symbol,
} from "../../symbolic/mod.ts";
import { type DType, float32 } from "../../core/mod.ts";
import type { EmitContext } from "../codegen/cuda/kernel_text.ts";
import type { TensorMapSpec } from "../codegen/cuda/launch.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { guess } from "../tile/axes.ts";
import type { Axis, ContractionKernel } from "../tile/tile_ir.ts";
import { contractionCost, type CostQuery } from "./contraction_cost.ts";
import { HOPPER_COSTS } from "./contraction_costs.ts";
import { tileCount } from "./cuda_contraction.ts";
import { epilogueWork, isContiguousAlong } from "./cuda_epilogue.ts";
import { pixelMatrix } from "./cuda_im2col.ts";
import { type OperandPlan, planOperand, productOf, ragged } from "./cuda_operands.ts";
import type { Pixels } from "./cuda_pixels.ts";
import { endsInRegisters } from "./cuda_register_epilogue.ts";
import { type Element, elementOf } from "./cuda_wgmma.ts";

/** Rows of a tile. */
export const BM = 128;
/** Bytes of a line of a tile. */
export const LINE = 128;
/** How many blocks may share a tile's sum; the one that comes last adds up what the others have. */
const PIECES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48];
/** What sums that go through shared memory cost, in instructions for each element. */
const STAGED = 10;
/** Sums of a thread beside which there are no registers for other matrices' elements: the compiler would write some to memory and read them again. */
const MANY_SUMS = 160;
/** Steps that a piece has at least. */
const LEAST_STEPS = 6;

/** An operand as a plain matrix. */
export interface Matrix {
  readonly along: "k" | "rows";
  readonly buffer: BufferRef;
  readonly map: TensorMapSpec;
  /** Batch axes that are dimensions of the map. */
  readonly batch: readonly Axis[];
  /** Rows that are windows of images, where they are no matrix. */
  readonly pixels?: Pixels;
}

/** Where the elements of a matrix lie: distances of rows, of columns and of each batch, and the first element. */
export interface AffineMatrix {
  readonly rows: Expr;
  readonly columns: Expr;
  readonly batch: readonly { readonly axis: Axis; readonly stride: Expr }[];
  readonly offset: Expr;
}

/** An index as a matrix, if it is affine in its axes and axes of a side lie one after the other. */
export function affineOf(
  index: Expr,
  rows: readonly Axis[],
  columns: readonly Axis[],
  batch: readonly Axis[],
): AffineMatrix | null {
  let offset = index;
  // Axes that lie one after the other in memory are one.
  const strideOf = (axes: readonly Axis[]): Expr | null => {
    let inner: Expr | null = null;
    let span: Expr = constant(1);
    for (const axis of [...axes].reverse()) {
      const c = coefficient(index, axis.symbol);
      if (c === null || (inner !== null && c !== span)) return null;
      inner ??= c;
      span = mul(c, axis.extent);
      offset = sub(offset, mul(c, symbol(axis.symbol)));
    }
    return inner;
  };
  const strides = [strideOf(rows), strideOf(columns), ...batch.map((axis) => strideOf([axis]))];
  const free = (e: Expr): boolean => [...freeSymbols(e)].every((sym) => sym.kind === "size" || sym.kind === "unbacked");
  if (!free(offset) || strides.some((e) => e === null || !free(e))) return null;
  const [row, column, ...others] = strides as Expr[];
  if (row === undefined || column === undefined) return null;
  return { rows: row, columns: column, batch: batch.map((axis, i) => ({ axis, stride: others[i] as Expr })), offset };
}

/** The matrix that an operand is, if it is one that the copy engine can read. */
function matrixOf(
  plan: OperandPlan,
  batch: readonly Axis[],
  extents: { rows: Expr; k: Expr },
  element: Element,
): Matrix | null {
  const { program, copy } = plan;
  const { dtype } = element;
  const wide = LINE / dtype.bytes;
  const unit = 16 / dtype.bytes;
  // Tensor cores turn halves only.
  if (plan.along === "rows" && dtype.bytes !== 2) return null;
  if (copy === null || copy.load.mask !== null || copy.load.buffer.dtype !== dtype) return null;
  const { buffer } = copy.load;
  const affine = affineOf(copy.load.index, program.rows, program.k, batch);
  if (affine === null) return null;
  const { rows: row, columns: k, offset } = affine;
  if (constantValue(mod(offset, unit)) !== 0) return null;
  const inner = { stride: plan.along === "k" ? k : row, size: plan.along === "k" ? extents.k : extents.rows };
  const outer = { stride: plan.along === "k" ? row : k, size: plan.along === "k" ? extents.rows : extents.k };
  const dimensions = [outer];
  const used: Axis[] = [];
  for (const { axis, stride } of affine.batch) {
    if (constantValue(stride) === 0) continue;
    dimensions.push({ stride, size: axis.extent });
    used.push(axis);
  }
  if (constantValue(inner.stride) !== 1 || used.length > 2) return null;
  if (dimensions.some(({ stride }) => constantValue(mod(stride, unit)) !== 0 || stride.lower < unit)) return null;
  return {
    along: plan.along,
    buffer,
    batch: used,
    map: {
      type: element.map,
      offset,
      sizes: [inner, ...dimensions].map(({ size }) => size),
      strideBytes: dimensions.map(({ stride }) => mul(stride, dtype.bytes)),
      box: [wide, wide, ...used.map(() => 1)],
      swizzle: 128,
      l2Promotion: 256,
    },
  };
}

/**
 * How a product is cut: rows and columns of a tile; blocks that share a tile's sum, 0 for even runs of steps (stream-K); whether only the tiles of the last, unfilled round are shared; whether the two warpgroups take
 * tiles in turn, so that one multiplies while the other writes, instead of halves of one tile; whether blocks are pairs with the same columns, each of which reads one half of them for both.
 */
export interface HopperShape {
  readonly m: number;
  readonly n: number;
  readonly pieces: number;
  readonly tail: boolean;
  readonly turns: boolean;
  readonly mates: boolean;
}

/** Warpgroups that multiply: each has 64 rows of a tile, or 128. */
export function consumersOf({ m }: HopperShape): number {
  return m === 192 ? 3 : 2;
}

/** Sums of a thread. */
export function sumsOf(shape: HopperShape): number {
  return shape.m * shape.n / (128 * (shape.turns ? 1 : consumersOf(shape)));
}

/** A product whose operands the template can read. */
export interface Prepared {
  readonly kernel: ContractionKernel;
  readonly element: Element;
  /** What the columns are; of another dtype only where both are fp8. */
  readonly other: Element;
  /** Null for rows that are gathered. */
  readonly rows: Matrix | null;
  readonly gathered: OperandPlan;
  readonly columns: Matrix;
}

/** What the tensor cores may multiply here: both of one kind, but for the two kinds of fp8. */
function elementsOf(
  [a, b]: readonly [OperandPlan, OperandPlan],
  sum: DType,
  tf32: boolean,
): readonly [Element, Element] | null {
  const [x, y] = [elementOf(a.half, sum, tf32), elementOf(b.half, sum, tf32)];
  return x === null || y === null || (x !== y && !(x.promoted === true && y.promoted === true)) ? null : [x, y];
}

function matrixFor(given: ContractionKernel, i: 0 | 1, plan: OperandPlan, element: Element): Matrix | null {
  const extents = { rows: i === 0 ? given.m : given.n, k: productOf(given.k) };
  for (const way of [plan, ...ragged(plan, element.dtype)]) {
    const found = matrixOf(way, given.batch, extents, element);
    if (found !== null) return found;
  }
  return null;
}

/** Which operands of a product the copy engine reads where they lie; null where the tensor cores multiply nothing of it. */
export function readableOperands(given: ContractionKernel, tf32: boolean): readonly [boolean, boolean] | null {
  const plans = [planOperand(given.a, 8, true), planOperand(given.b, 8, true)] as const;
  const elements = elementsOf(plans, given.accumulate, tf32);
  if (elements === null) return null;
  return [matrixFor(given, 0, plans[0], elements[0]) !== null, matrixFor(given, 1, plans[1], elements[1]) !== null];
}

/** The product as the template takes it; null where it does not apply. */
export function prepareHopper(given: ContractionKernel, context: EmitContext): Prepared | null {
  if (context.arch !== 90) return null;
  const k = productOf(given.k);
  if (guess(k) < 64) return null;
  const plans = [planOperand(given.a, 8, true), planOperand(given.b, 8, true)] as const;
  const elements = elementsOf(plans, given.accumulate, context.allowTf32 === true);
  if (elements === null) return null;
  const [a, b] = ([0, 1] as const).map((i) => matrixFor(given, i, plans[i], elements[i])) as [
    Matrix | null,
    Matrix | null,
  ];
  // Elements of tf32 are read as they are, in vectors of four.
  const read = (i: 0 | 1): OperandPlan =>
    elements[i].dtype === float32 ? planOperand(i === 0 ? given.a : given.b, 4, false, float32) : plans[i];
  const pixels = ([0, 1] as const).map((i) => {
    const plan = read(i);
    const own = plan.along === "rows" ? plan.program.k : i === 0 ? given.epilogue.m : given.epilogue.n;
    return (i === 0 ? a : b) !== null ? null : pixelMatrix(plan, given.batch, own, elements[i], LINE);
  });
  const gathers = (i: 0 | 1): boolean =>
    pixels[i]?.along === "k" || (plans[i].copy !== null && plans[i].along === "k" && elements[i].dtype.bytes === 2);
  // Rows come in tiles of 128: what is gathered must be the rows, and else the longer side should be.
  let swap = false;
  if (a !== null && b !== null) swap = prefersRows(given) ?? (guess(given.m) <= 96 && guess(given.n) > guess(given.m));
  else if (a !== null && gathers(1)) swap = true;
  else if ((b === null || !gathers(0)) && (a === null || pixels[1]?.along !== "rows")) return null;
  const own = b ?? (pixels[1]?.along === "rows" ? pixels[1] : null);
  const [matrixRows, columns] = swap ? [own, a] : [a, own];
  if (columns === null) return null;
  const [element, other] = swap ? [elements[1], elements[0]] : elements;
  const kernel = swap ? swapped(given) : given;
  const rows = matrixRows ?? pixels[swap ? 1 : 0] ?? null;
  return { kernel, element, other, rows, gathered: plans[swap ? 1 : 0], columns };
}

/**
 * The ways to cut a product, the one that should be fastest first. Wide tiles read less; where they leave the last round of blocks empty, narrow ones win, or
 * tiles whose sums several blocks share.
 */
export function shapesOf(
  { kernel, element, rows, columns }: Prepared,
  context: EmitContext,
): { shape: HopperShape; query: CostQuery; cost: number }[] {
  const sms = context.multiprocessors;
  const { bytes } = element.dtype;
  const k = productOf(kernel.k);
  const steps = Math.ceil(guess(k) * bytes / LINE);
  const isStatic = constantValue(mul(kernel.m, kernel.n, k)) !== null;
  const [m, n] = [guess(kernel.m), guess(kernel.n)];
  const read = kernel.epilogue.body.filter((st) =>
    st.kind === "load" &&
    [kernel.epilogue.m, kernel.epilogue.n].every((axes) => axes.some(({ symbol }) => freeSymbols(st.index).has(symbol)))
  );
  const moved = tileCount(kernel, m, n) * bytes * ((m + n) * guess(k) + m * n * (1 + read.length));
  const gathered = rows === null;
  const promoted = element.promoted === true;
  // Of short sums the tile's end takes longer than what is read.
  const straddles = steps >= LEAST_STEPS &&
    [rows, columns].some((matrix) =>
      matrix !== null && (constantValue(matrix.map.strideBytes[0] ?? constant(LINE)) ?? LINE) % (LINE / 2) !== 0
    );
  const work = epilogueWork(kernel.epilogue);
  const out: { shape: HopperShape; query: CostQuery; cost: number }[] = [];
  // Rows of 256 are two of 64 for each warpgroup, rows of 192 one for each of three.
  const high = gathered || promoted || m <= 128
    ? []
    : ([[256, 192], [256, 128], [192, 192], [192, 160], [192, 128]] as const).filter(([, w]) =>
      columns.along === "k" || w % 64 === 0
    );
  // Columns along their rows come in boxes of 64.
  const widths = [256, 192, 160, 128, 96, 64].filter((w) => columns.along === "k" || w % 64 === 0);
  for (const [height, width] of [...high, ...widths.map((w) => [BM, w] as const)]) {
    const padded = Math.ceil(n / width) * width;
    if (width > 64 && padded >= n * 1.5 && padded > 64) continue;
    // Whoever gathers needs registers that wide tiles do not leave, and so do sums that are made in steps.
    if (width > (gathered ? 128 : promoted ? 192 : 256)) continue;
    const count = tileCount(kernel, height, width);
    const add = (pieces: number, turns: boolean, mates = false): void => {
      const tiles = mates ? tileCount(kernel, 2 * height, width) * 2 : count;
      const shape = { m: height, n: width, pieces, tail: pieces !== 1 && count >= sms, turns, mates };
      if (read.length > 0 && sumsOf(shape) > MANY_SUMS) return;
      const query = {
        height,
        width,
        tiles,
        steps,
        pieces,
        turns,
        mates,
        straddles,
        gathered,
        multiprocessors: sms,
        work: work + (endsInRegisters(kernel, width) ? 0 : STAGED),
        bytes: moved,
      };
      out.push({ shape, query, cost: contractionCost(HOPPER_COSTS, query) });
    };
    // Pairs read less, of several rows of tiles; in one round of straddling rows they wait for each other longer than that saves.
    const pairs = !gathered && columns.pixels === undefined && m > height && (!straddles || count > sms);
    if (pairs) add(1, false, true);
    if (height === 256) {
      add(1, false);
      continue;
    }
    const whole = Math.floor(count / sms);
    const rest = count - whole * sms;
    // Sums of two halves are as many registers as there are.
    if (width <= (promoted ? 64 : 192) && !gathered && height === BM) {
      add(1, true);
      if (pairs) add(1, true, true);
    }
    // The run of steps of a block should be no shorter than a piece.
    if (isStatic && rest > 0 && rest * steps >= sms * LEAST_STEPS && steps > 1) add(0, false);
    for (const pieces of isStatic ? PIECES : [1]) {
      const each = Math.ceil(steps / pieces);
      if (pieces > 1) {
        if (each < LEAST_STEPS || (pieces - 1) * each >= steps) continue;
        if (whole > 0 && (rest === 0 || rest * pieces > sms)) continue;
      }
      add(pieces, false);
    }
  }
  return out.sort((x, y) => x.cost - y.cost);
}

/** The best way by the model; null where too few blocks would work. */
export function bestShape(prepared: Prepared, context: EmitContext): HopperShape | null {
  const [best] = shapesOf(prepared, context);
  if (best === undefined) return null;
  const { m, n, pieces } = best.shape;
  if (pieces === 0) return best.shape;
  return tileCount(prepared.kernel, m, n) * pieces * 3 < context.multiprocessors ? null : best.shape;
}

/** Whether the result is contiguous along m alone, so that rows and columns should be exchanged; null where it is along n, or along neither. */
export function prefersRows({ epilogue }: ContractionKernel): boolean | null {
  const along = (axes: readonly Axis[]): boolean => isContiguousAlong(epilogue.body, axes[axes.length - 1]);
  return along(epilogue.m) && !along(epilogue.n) ? true : null;
}

/** The same product with rows and columns exchanged. */
export function swapped(kernel: ContractionKernel): ContractionKernel {
  const { epilogue } = kernel;
  return {
    ...kernel,
    m: kernel.n,
    n: kernel.m,
    a: kernel.b,
    b: kernel.a,
    epilogue: { ...epilogue, m: epilogue.n, n: epilogue.m },
  };
}
