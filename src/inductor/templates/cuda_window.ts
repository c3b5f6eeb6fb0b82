/**
 * Sums over a window that slides along an axis: depthwise convolutions, average pooling.
 *
 * Enters: a kernel in tiles with one nest of short loops of known length, whose sum has terms `input · weight`, where the input depends on `stride · x + k` of one
 * grid axis and the innermost loop, and the weight not on `x`. A thread has several neighbouring results along that axis, times a vector along another one that is
 * contiguous in memory: each element of the input is loaded once for all windows of the thread that it lies in, and each weight once for all results. Blocks are
 * compact in rows, positions and channels, so that what rows share comes from the first cache. Any prologue and epilogue of the tile IR takes part.
 */
import { float32 } from "../../core/mod.ts";
import { ceilDiv, constant, constantValue, type Expr, mul } from "../../symbolic/mod.ts";
import { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "../codegen/cuda/kernel_text.ts";
import { lanesFor, type Part } from "../codegen/cuda/nests.ts";
import { operandsOf } from "../codegen/cuda/vectors.ts";
import { guess } from "../tile/axes.ts";
import { dependsOn, neededFor, slides, STEPS, withoutIdleChoices, zeroRows } from "./cuda_window_parts.ts";
import type { Axis, TileKernel, TileStatement, TileValue } from "../tile/tile_ir.ts";

/** A kernel as sums over a sliding window. */
interface Window {
  readonly accumulator: TileValue;
  /** The grid axis along which the window slides, by how much, and the loop over its positions. */
  readonly slide: Axis;
  readonly stride: number;
  /** Distance of the results of a thread along the axis: what a window's positions are apart, where it has gaps. */
  readonly gap: number;
  readonly taps: Axis;
  readonly length: number;
  /** The loops around that one. */
  readonly outer: readonly Axis[];
  /** The axis of vectors. */
  readonly vector: Axis;
  readonly input: readonly TileStatement[];
  readonly inputValue: TileValue;
  /** Null for a plain sum. */
  readonly weight: readonly TileStatement[];
  readonly weightValue: TileValue | null;
  /** What follows the sum. */
  readonly rest: readonly TileStatement[];
}

/** Longer windows are rather reductions. */
const MOST_TAPS = 16;
const MOST_WINDOW = 400;
const THREADS = 256;

/** The kernel for a window; null where the form does not fit. */
export function emitWindow(kernel: TileKernel, parts: readonly Part[], context: EmitContext): CudaKernelText | null {
  const window = windowOf(kernel, parts);
  // A result may take the place of what is read for it alone, not of what several results read.
  const reads = (s: TileStatement): boolean => s.kind === "load" && context.shared.has(s.buffer);
  if (window === null || [...window.input, ...window.weight].some(reads)) return null;
  return write(kernel, window, context);
}

function windowOf(kernel: TileKernel, parts: readonly Part[]): Window | null {
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  const [pass] = passes;
  if (pass === undefined || passes.length > 1 || pass.axes.length > 3) return null;
  const at = parts.findIndex((p) => p.kind === "pass");
  const plain = (list: readonly Part[]): TileStatement[] => list.flatMap((p) => p.kind === "pass" ? [] : p.body);
  const before = plain(parts.slice(0, at));
  const after = plain(parts.slice(at + 1));
  const sums = pass.body.filter((s) => s.kind === "accumulate");
  const [sum] = sums;
  if (sum?.kind !== "accumulate" || sums.length > 1 || sum.op !== "sum" || sum.accumulator.dtype !== float32) {
    return null;
  }
  const declared = before.filter((s) => s.kind === "accumulator");
  if (declared.length !== 1) return null;
  const all = [...before, ...pass.body, ...after];
  if (all.some((s) => ["bind", "combine", "dot", "philox"].includes(s.kind))) return null;
  if (before.some((s) => s.kind === "store") || pass.body.some((s) => s.kind === "store")) return null;
  const taps = pass.axes[pass.axes.length - 1];
  const lengths = pass.axes.map((axis) => constantValue(axis.extent));
  const length = lengths[lengths.length - 1];
  if (taps === undefined || length === null || length === undefined || length < 2 || length > MOST_TAPS) return null;
  const positions = lengths.reduce<number>((n, e) => n * (e ?? Infinity), 1);
  if (positions > MOST_WINDOW) return null;
  const own = [...before.filter((s) => s.kind !== "accumulator"), ...pass.body.filter((s) => s !== sum)];
  const product = own.find((s) => "out" in s && s.out === sum.value);
  const factors = product?.kind === "pointwise" && product.op === "mul" ? product.args : [sum.value];
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const stores = after.filter((s) => s.kind === "store");
  if (stores.length === 0) return null;
  for (const slide of grid) {
    const found = factors.length === 2 ? split(own, factors, slide, taps) : split(own, [sum.value], slide, taps);
    if (found === null) continue;
    const vector = grid.find((axis) => axis !== slide && lanesFor(pass.body, axis, false) > 1);
    if (vector === undefined) continue;
    const rest = [...before.filter((s) => s.kind !== "accumulator"), ...after];
    return {
      accumulator: sum.accumulator,
      slide,
      taps,
      length,
      vector,
      outer: pass.axes.slice(0, -1),
      ...found,
      rest: neededFor(rest, after.filter((s) => s.kind === "store").flatMap((s) => operandsOf(s)), true),
    };
  }
  return null;
}

function split(
  own: readonly TileStatement[],
  factors: readonly TileValue[],
  slide: Axis,
  taps: Axis,
): Pick<Window, "stride" | "gap" | "input" | "inputValue" | "weight" | "weightValue"> | null {
  for (const [input, weight] of [factors, [...factors].reverse()]) {
    if (input === undefined) continue;
    const { statements: inputs, value: inputValue } = withoutIdleChoices(neededFor(own, [input]), input);
    const weights = neededFor(own, [weight ?? null]);
    if (weights.some((s) => dependsOn(s, slide))) continue;
    if (!inputs.some((s) => dependsOn(s, slide) && dependsOn(s, taps))) continue;
    const found = STEPS.find(({ stride, gap }) =>
      (constantValue(slide.extent) ?? 1) % gap === 0 && inputs.every((s) => slides(s, slide, taps, stride, gap))
    );
    if (found === undefined) continue;
    return { ...found, input: inputs, inputValue, weight: weights, weightValue: weight ?? null };
  }
  return null;
}

/** What a thread and a block have. */
interface Shape {
  /** Results along the sliding axis, and elements along the vector's, of a thread. */
  readonly width: number;
  readonly lanes: number;
  /** Threads along the vector's axis, the sliding one, and the one around it. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

function shapeOf(w: Window, grid: readonly Axis[], around: Axis | undefined, context: EmitContext): Shape {
  const size = guess(w.slide.extent) / w.gap;
  const most = lanesFor([...w.input, ...w.weight], w.vector, false);
  const results = grid.reduce((n, axis) => n * guess(axis.extent), 1);
  let best = { width: 1, lanes: 2, cost: Infinity };
  for (const lanes of [8, 4, 2]) {
    if (lanes > most || guess(w.vector.extent) % lanes !== 0) continue;
    for (let width = Math.min(8, size); width >= 1; width--) {
      // Nothing is computed twice from what the first result has overwritten.
      if (context.shared.size > 0 && size % width !== 0) continue;
      // Registers: sums, a row of weights, some elements on the way.
      if (lanes * (width + w.length + 2) > 96) continue;
      const loads = (width - 1) * w.stride + w.length;
      const tiles = Math.ceil(size / width);
      const each = loads * (lanes + 6) + w.length * (lanes + 2) + width * w.length * lanes + width * lanes * 4;
      const threads = results / size * tiles / lanes;
      // Too few threads leave the device waiting for memory.
      const idle = Math.max(1, context.multiprocessors * 384 / threads);
      const cost = threads * each * idle ** 0.8;
      if (cost < best.cost) best = { width, lanes, cost };
    }
  }
  const across = guess(w.vector.extent) / best.lanes;
  const pieces = Math.ceil(size / best.width) * w.gap;
  // A warp that reads lines of 128 bytes, or nearly, asks the cache as seldom as can be.
  const line = 64 / best.lanes;
  let x = Math.min(across, line);
  for (let n = Math.min(across, 2 * line); n >= line / 2; n--) {
    if (across % n === 0) {
      x = n;
      break;
    }
  }
  // What a block reads beyond its own: rows and columns that its neighbours read too.
  const height = w.outer.length === 0 ? 1 : guess(w.outer[w.outer.length - 1]?.extent ?? constant(1));
  const rows = guess(around?.extent ?? constant(1));
  let shape = { y: 1, z: 1, cost: Infinity };
  for (let y = 1; y <= Math.min(pieces, 16); y++) {
    for (let z = 1; x * y * z <= THREADS && z <= rows; z++) {
      const halo = (1 + (w.length - w.stride) / (y * best.width * w.stride)) *
        (1 + (height - w.stride) / (z * w.stride));
      const used = (pieces / (Math.ceil(pieces / y) * y)) * (rows / (Math.ceil(rows / z) * z));
      const threads = x * y * z;
      const cost = (1 + 0.3 * halo) / used * (threads < 128 ? 128 / threads : 1);
      if (cost < shape.cost) shape = { y, z, cost };
    }
  }
  return { width: best.width, lanes: best.lanes, x, y: shape.y, z: shape.z };
}

function write(kernel: TileKernel, w: Window, context: EmitContext): CudaKernelText | null {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const size = constantValue(w.slide.extent);
  const across = constantValue(w.vector.extent);
  if (size === null || across === null) return null;
  const others = grid.filter((axis) => axis !== w.slide && axis !== w.vector);
  const around = others[others.length - 1];
  const rows = around === undefined ? constant(1) : around.extent;
  const { width, lanes, x, y, z } = shapeOf(w, grid, around, context);
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  const tilesX = Math.ceil(across / lanes / x);
  // Results that are a gap apart are a line of their own: so many lines, each of so many.
  const [lines, length] = [w.gap, size / w.gap];
  const pieces = Math.ceil(length / width);
  const tilesY = Math.ceil(pieces * lines / y);
  const tilesZ = ceilDiv(rows, z);
  const outer = others.slice(0, -1).reduce<Expr>((n, axis) => mul(n, axis.extent), constant(1));
  s.line(
    `const int tx = (int)threadIdx.x % ${x}, ty = (int)threadIdx.x / ${x} % ${y}, tz = (int)threadIdx.x / ${x * y};`,
  );
  s.line(
    `const ${f.index} bx = (${f.index})blockIdx.x % ${tilesX}, by = (${f.index})blockIdx.x / ${tilesX} % ${tilesY};`,
  );
  s.line(`const ${f.index} bz = (${f.index})blockIdx.x / ${tilesX * tilesY};`);
  const tz = f.extent(tilesZ);
  s.line(`const ${f.index} bo = bz / ${tz};`);
  s.line(`const ${f.index} piece = by * ${y} + ty, row = (bz - bo * ${tz}) * ${z} + tz;`);
  s.line(`const ${f.index} base = (bx * ${x} + tx) * ${lanes};`);
  s.line(`if (base >= ${across} || piece >= ${pieces * lines} || row >= ${f.extent(rows)}) return;`);
  // The last piece may repeat results of the one before it.
  const start = (piece: string): string => `tsr_min(${piece} * ${width}, (${f.index})${length - width})`;
  s.line(
    lines === 1
      ? `const ${f.index} first = ${start("piece")};`
      : `const ${f.index} first = ${start(`(piece / ${lines})`)} * ${lines} + piece % ${lines};`,
  );
  if (around !== undefined) s.define(around.symbol, "row");
  f.decompose(others.slice(0, -1), "bo", (axis) => f.extent(axis.extent));
  s.line(`float acc[${width}][${lanes}] = {};`);
  for (const axis of w.outer) {
    const k = s.fresh("k");
    s.open(`#pragma unroll 1\nfor (${f.index} ${k} = 0; ${k} < ${f.extent(axis.extent)}; ${k}++) {`);
    s.define(axis.symbol, k);
  }
  const vector = { symbol: w.vector.symbol, lanes, base: "base" };
  const { slide, taps, vector: channels } = w;
  const zero = zeroRows({ ...w, within: [slide, taps, channels] });
  if (zero !== null) {
    f.statements(zero.statements);
    s.line(`if (!${f.text(zero.mask)}) continue;`);
  }
  if (w.weightValue !== null) {
    const { weightValue } = w;
    s.line(`float weights[${w.length}][${lanes}];`);
    s.open(`#pragma unroll\nfor (int k = 0; k < ${w.length}; k++) {`);
    s.define(w.taps.symbol, "k");
    f.chunk(w.weight, {
      ...vector,

      after: (u) => s.line(`weights[k][${u}] = ${f.text(weightValue)};`),
    });
    s.close();
  }
  s.open(`#pragma unroll\nfor (int q = 0; q < ${(width - 1) * w.stride + w.length}; q++) {`);
  // Position q of the piece is position q of the first window, as if that were so long.
  s.define(w.slide.symbol, "first");
  s.define(w.taps.symbol, "q");
  s.line(`float x[${lanes}];`);
  f.chunk(w.input, { ...vector, after: (u) => s.line(`x[${u}] = ${f.text(w.inputValue)};`) });
  s.open(`#pragma unroll\nfor (int t = 0; t < ${width}; t++) {`);
  s.line(`const int k = q - t * ${w.stride};`);
  s.open(`if (k >= 0 && k < ${w.length}) {`);
  s.line("#pragma unroll");
  s.line(
    `for (int u = 0; u < ${lanes}; u++) acc[t][u] ${
      w.weightValue === null ? "+= x[u]" : "= tsr_fma(x[u], weights[k][u], acc[t][u])"
    };`,
  );
  s.close();
  s.close();
  s.close();
  for (const _ of w.outer) s.close();
  s.open(`#pragma unroll\nfor (int t = 0; t < ${width}; t++) {`);
  s.line(`const ${f.index} at = first + t${lines === 1 ? "" : ` * ${lines}`};`);
  s.define(w.slide.symbol, "at");
  f.chunk(w.rest, {
    ...vector,
    before: (u) => f.renameAccumulator(w.accumulator, `acc[t][${u}]`),
  });
  s.close();
  const { args, parameters } = signature(f);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: line(mul(constant(tilesX * tilesY), tilesZ, outer)),
    block: [x * y * z, 1, 1],
    sharedBytes: 0,
  };
}
