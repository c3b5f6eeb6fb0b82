/**
 * Sums over pixels for each place of a window: gradients of depthwise convolutions by their weights.
 *
 * Enters: a kernel in tiles with one pass over pixels, whose sum has terms `input · gradient`, where the input depends on `stride · x + k` of a pass axis and a
 * short grid axis (a place of the window), and the gradient on no place. Leaves two launches. In the first a thread has one row of the window for a vector of channels:
 * it walks rows of pixels piece by piece, and an element of the input serves all places of the piece that it lies in, so its sums, one for each place and
 * channel, stay in registers. Threads of a block have the window's rows of the same pixels, which therefore come from the first cache, and rows below each other; they are added
 * up in shared memory. The second launch adds the blocks up in a fixed order and computes what follows, so that results do not depend on timing.
 */
import { float32 } from "../../core/mod.ts";
import { constant, constantValue } from "../../symbolic/mod.ts";
import { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import { extentsOf, lanesFor, type Part } from "../codegen/cuda/nests.ts";
import { operandsOf } from "../codegen/cuda/vectors.ts";
import { guess } from "../tile/axes.ts";
import type { Axis, TileKernel, TileStatement, TileValue } from "../tile/tile_ir.ts";
import { dependsOn, neededFor, slides, STEPS, withoutIdleChoices, zeroRows } from "./cuda_window_parts.ts";

/** A kernel as sums of products over rows of pixels. */
interface WindowSums {
  readonly accumulator: TileValue;
  /** The pass axis along which the window slides, by how much, and the distance of neighbouring pixels of a thread along it. */
  readonly slide: Axis;
  readonly stride: number;
  readonly gap: number;
  /** The other pass axes. */
  readonly rows: readonly Axis[];
  /** The grid axis of places along the sliding one, and those of the window's rows. */
  readonly taps: Axis;
  readonly length: number;
  readonly planes: readonly Axis[];
  /** The axis of vectors. */
  readonly vector: Axis;
  readonly input: readonly TileStatement[];
  readonly inputValue: TileValue;
  readonly gradient: readonly TileStatement[];
  readonly gradientValue: TileValue;
  /** What follows the sum. */
  readonly rest: readonly TileStatement[];
}

/** Places along the sliding axis, and rows of the window, at most: sums are registers, rows of the window threads. */
const [MOST_TAPS, MOST_PLANES] = [16, 32];
/** Pixels at least: fewer are no work for a second launch. */
const LEAST_PIXELS = 512;
const THREADS = 256;
/** What it costs that the last piece of a row has a text of its own, which the cache of instructions holds beside the other. */
const OTHER_TEXT = 1.1;
/** Registers for sums and pixels, and a thread's others. */
const [MOST_HELD, OTHER_REGISTERS] = [96, 36];
const REGISTERS = 65536;
/** Threads of the second launch: so many results side by side, each with so many threads that share its pieces. */
const [RESULTS, SHARING] = [32, 8];

/** The two kernels for sums over pixels; null where the form does not fit. */
export function emitWindowSums(
  kernel: TileKernel,
  parts: readonly Part[],
  context: EmitContext,
): CudaKernelText[] | null {
  const sums = windowSumsOf(kernel, parts);
  if (sums === null) return null;
  const across = constantValue(sums.vector.extent);
  const size = constantValue(sums.slide.extent);
  if (across === null || size === null) return null;
  const shape = shapeOf(sums, across, size, context);
  if (shape === null) return null;
  const results = across * shape.planes * sums.length;
  const scratch = {
    arg: {
      kind: "scratch",
      bytes: constant(results * shape.pieces * 4),
      zeroed: false,
      id: context.scratchId(),
    } satisfies CudaArg,
    text: "float* partial",
  };
  const launch = { kernel, sums, shape, across, size, results, scratch, context };
  return [emitPieces(launch), emitResults(launch)];
}

function windowSumsOf(kernel: TileKernel, parts: readonly Part[]): WindowSums | null {
  const passes = parts.flatMap((p) => p.kind === "pass" ? [p.pass] : []);
  const [pass] = passes;
  if (pass === undefined || passes.length > 1 || pass.axes.length < 2) return null;
  const at = parts.findIndex((p) => p.kind === "pass");
  const plain = (list: readonly Part[]): TileStatement[] => list.flatMap((p) => p.kind === "pass" ? [] : p.body);
  const [before, after] = [plain(parts.slice(0, at)), plain(parts.slice(at + 1))];
  const sums = pass.body.filter((s) => s.kind === "accumulate");
  const [sum] = sums;
  if (sum?.kind !== "accumulate" || sums.length > 1 || sum.op !== "sum" || sum.accumulator.dtype !== float32) {
    return null;
  }
  if (before.filter((s) => s.kind === "accumulator").length !== 1) return null;
  const all = [...before, ...pass.body, ...after];
  if (all.some((s) => ["bind", "combine", "dot", "philox"].includes(s.kind))) return null;
  if ([...before, ...pass.body].some((s) => s.kind === "store")) return null;
  const stores = after.filter((s) => s.kind === "store");
  const prologue = before.filter((s) => s.kind !== "accumulator");
  const own = [...prologue, ...pass.body.filter((s) => s !== sum)];
  const product = own.find((s) => "out" in s && s.out === sum.value);
  if (stores.length === 0 || product?.kind !== "pointwise" || product.op !== "mul") return null;
  const rest = neededFor([...prologue, ...after], stores.flatMap((s) => operandsOf(s)), true);
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const vector = grid.find((axis) => lanesFor(pass.body, axis, false) > 1);
  if (vector === undefined) return null;
  const places = grid.filter((axis) => axis !== vector);
  for (const taps of places) {
    const length = constantValue(taps.extent);
    const planes = places.filter((axis) => axis !== taps);
    if (length === null || length < 2 || length > MOST_TAPS) continue;
    if ((constantValue(extentsOf(planes)) ?? Infinity) > MOST_PLANES) continue;
    for (const slide of pass.axes) {
      const found = split(own, product.args, slide, taps, places);
      if (found === null) continue;
      const rows = pass.axes.filter((axis) => axis !== slide);
      return { accumulator: sum.accumulator, slide, rows, taps, length, planes, vector, ...found, rest };
    }
  }
  return null;
}

function split(
  own: readonly TileStatement[],
  factors: readonly TileValue[],
  slide: Axis,
  taps: Axis,
  places: readonly Axis[],
): Pick<WindowSums, "stride" | "gap" | "input" | "inputValue" | "gradient" | "gradientValue"> | null {
  const size = constantValue(slide.extent);
  if (size === null) return null;
  for (const [input, gradientValue] of [factors, [...factors].reverse()]) {
    if (input === undefined || gradientValue === undefined) continue;
    const { statements: inputs, value: inputValue } = withoutIdleChoices(neededFor(own, [input]), input);
    const gradient = neededFor(own, [gradientValue]);
    if (gradient.some((s) => places.some((axis) => dependsOn(s, axis)))) continue;
    if (!inputs.some((s) => dependsOn(s, slide) && dependsOn(s, taps))) continue;
    const found = STEPS.find(({ stride, gap }) =>
      size % gap === 0 && inputs.every((s) => slides(s, slide, taps, stride, gap))
    );
    if (found !== undefined) return { ...found, input: inputs, inputValue, gradient, gradientValue };
  }
  return null;
}

/** What threads and blocks have. */
interface Shape {
  /** Pixels along the sliding axis that a thread takes at once, and elements of its vectors. */
  readonly width: number;
  readonly lanes: number;
  /** Threads of a block along channels and rows of pixels, and rows of the window. */
  readonly x: number;
  readonly z: number;
  readonly planes: number;
  /** Groups of rows that have partial sums of their own, and rows of pixels that a thread takes in one. */
  readonly pieces: number;
  readonly blocksEach: number;
}

function shapeOf(w: WindowSums, across: number, size: number, context: EmitContext): Shape | null {
  const planes = constantValue(extentsOf(w.planes)) ?? 1;
  const rows = guess(extentsOf(w.rows));
  if (rows * size < LEAST_PIXELS) return null;
  const length = size / w.gap;
  const most = lanesFor([...w.input, ...w.gradient], w.vector, false);
  let best: { readonly width: number; readonly lanes: number; readonly held: number } | null = null;
  let least = Infinity;
  for (const lanes of [8, 4, 2]) {
    if (lanes > most || across % lanes !== 0) continue;
    for (let width = Math.min(16, length); width >= 1; width--) {
      const held = lanes * (width + w.length + 2);
      if (held > MOST_HELD) continue;
      // Instructions a pixel and channel: what an element costs until it is a float, and the products. The last piece of a row may be shorter.
      const cost = (width: number): number =>
        width === 0 ? 0 : (width + (width - 1) * w.stride + w.length) * (lanes + 6) + width * w.length * lanes;
      const own = (Math.floor(length / width) * cost(width) + cost(length % width)) / (length * lanes);
      const each = length % width === 0 ? own : OTHER_TEXT * own;
      if (each < least) [best, least] = [{ width, lanes, held }, each];
    }
  }
  if (best === null) return null;
  const { lanes, held } = best;
  const vectors = across / lanes;
  let shape: Shape | null = null;
  let highest = 0;
  for (let x = 1; x <= vectors; x++) {
    if (vectors % x !== 0) continue;
    for (let z = 1; z * x * planes <= THREADS && z <= rows; z++) {
      const threads = x * planes * z;
      const blocksEach = Math.min(8, Math.floor(REGISTERS / ((held + OTHER_REGISTERS) * Math.ceil(threads / 32) * 32)));
      if (blocksEach < 1) continue;
      const groups = Math.max(1, Math.floor(context.multiprocessors * blocksEach * x / vectors));
      const steps = Math.ceil(rows / (z * groups));
      const pieces = Math.ceil(rows / (z * steps));
      // How many threads work at a time, lines of 128 bytes that are read whole, and rows that blocks share.
      const running = Math.min(rows / (z * steps * groups), 1) * Math.min(1, threads * blocksEach / 512) * threads /
        (Math.ceil(threads / 32) * 32);
      const line = Math.min(1, x * lanes / 64);
      const score = running * line ** 0.3 * (planes === 1 ? 1 : (z / (z + planes - 1)) ** 0.1) / (1 + pieces / 2000);
      if (score > highest) [shape, highest] = [{ ...best, x, z, planes, pieces, blocksEach }, score];
    }
  }
  return shape;
}

interface Launch {
  readonly kernel: TileKernel;
  readonly sums: WindowSums;
  readonly shape: Shape;
  readonly across: number;
  readonly size: number;
  readonly results: number;
  readonly scratch: { readonly arg: CudaArg; readonly text: string };
  readonly context: EmitContext;
}

/** Pixels of one piece of a row: `width` neighbours from `at` on. */
function writePixels(f: CudaFunction, { sums: w, shape: { lanes } }: Launch, at: string, width: number): void {
  const s = f.scopes;
  const vector = { symbol: w.vector.symbol, lanes, base: "base" };
  s.open("{");
  s.line(`float g[${width}][${lanes}];`);
  s.open(`#pragma unroll\nfor (int t = 0; t < ${width}; t++) {`);
  s.line(`const ${f.index} pixel = ${at} + t${w.gap === 1 ? "" : ` * ${w.gap}`};`);
  s.define(w.slide.symbol, "pixel");
  f.chunk(w.gradient, { ...vector, after: (u) => s.line(`g[t][${u}] = ${f.text(w.gradientValue)};`) });
  s.close();
  s.open(`#pragma unroll\nfor (int q = 0; q < ${(width - 1) * w.stride + w.length}; q++) {`);
  // Position q of the piece is place q of the first pixel's window, as if that were so long.
  s.define(w.slide.symbol, at);
  s.define(w.taps.symbol, "q");
  s.line(`float x[${lanes}];`);
  f.chunk(w.input, { ...vector, after: (u) => s.line(`x[${u}] = ${f.text(w.inputValue)};`) });
  s.open(`#pragma unroll\nfor (int t = 0; t < ${width}; t++) {`);
  s.line(`const int k = q - t * ${w.stride};`);
  s.open(`if (k >= 0 && k < ${w.length}) {`);
  s.line("#pragma unroll");
  s.line(`for (int u = 0; u < ${lanes}; u++) acc[k][u] = tsr_fma(x[u], g[t][u], acc[k][u]);`);
  for (let i = 0; i < 4; i++) s.close();
}

/** Adds up the threads of a block that have the same sums: the upper half gives its own to the lower one, again and again. */
function writeBlockSums(f: CudaFunction, { sums: w, shape: { x, z, planes, lanes } }: Launch): void {
  const s = f.scopes;
  const side = x * planes;
  const values = w.length * lanes;
  if (z > 1) s.line(`__shared__ float given[${values}][${Math.floor(z / 2) * side}];`);
  for (let n = z; n > 1; n = Math.ceil(n / 2)) {
    const half = Math.ceil(n / 2);
    const each = `#pragma unroll\nfor (int i = 0; i < ${values}; i++)`;
    if (n < z) s.line("__syncthreads();");
    s.open(`if (tz >= ${half} && tz < ${n}) {`);
    s.line(`${each} given[i][(tz - ${half}) * ${side} + own] = acc[i / ${lanes}][i % ${lanes}];`);
    s.close();
    s.line("__syncthreads();");
    s.open(`if (tz < ${n - half}) {`);
    s.line(`${each} acc[i / ${lanes}][i % ${lanes}] += given[i][tz * ${side} + own];`);
    s.close();
  }
}

function emitPieces(launch: Launch): CudaKernelText {
  const { kernel, sums: w, shape, across, size, results, scratch, context } = launch;
  const { x, z, planes, lanes, width, pieces } = shape;
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  const tiles = across / lanes / x;
  const rows = f.extent(extentsOf(w.rows));
  s.line(`const int own = (int)threadIdx.x % ${x * planes}, tz = (int)threadIdx.x / ${x * planes};`);
  s.line(`const int plane = own / ${x}, piece = (int)blockIdx.x / ${tiles};`);
  s.line(`const ${f.index} base = ((int)blockIdx.x % ${tiles} * ${x} + own % ${x}) * ${lanes};`);
  f.decompose(w.planes, "plane", (axis) => f.extent(axis.extent));
  s.line(`float acc[${w.length}][${lanes}] = {};`);
  s.line(`const ${f.index} each = (${rows} + ${pieces - 1}) / ${pieces};`);
  s.line(`const ${f.index} end = tsr_min((piece + 1) * each, (${f.index})${rows});`);
  s.open(`for (${f.index} row = piece * each + tz; row < end; row += ${z}) {`);
  f.decompose(w.rows, "row", (axis) => f.extent(axis.extent));
  const zero = zeroRows({ ...w, within: [w.slide, w.taps, w.vector], outer: [...w.rows, ...w.planes] });
  if (zero !== null) {
    f.statements(zero.statements);
    s.line(`if (!${f.text(zero.mask)}) continue;`);
  }
  // Pixels that are a gap apart are a line of their own.
  if (w.gap > 1) s.open(`#pragma unroll 1\nfor (${f.index} line = 0; line < ${w.gap}; line++) {`);
  const length = size / w.gap;
  const at = (position: string): string => w.gap === 1 ? position : `line + (${position}) * ${w.gap}`;
  const whole = Math.floor(length / width) * width;
  if (whole > width) {
    s.open(`#pragma unroll 1\nfor (${f.index} from = 0; from < ${whole}; from += ${width}) {`);
    s.line(`const ${f.index} first = ${at("from")};`);
    writePixels(f, launch, "first", width);
    s.close();
  } else {
    s.open("{");
    s.line(`const ${f.index} first = ${at("0")};`);
    writePixels(f, launch, "first", width);
    s.close();
  }
  if (whole < length) {
    s.open("{");
    s.line(`const ${f.index} first = ${at(`${whole}`)};`);
    writePixels(f, launch, "first", length - whole);
    s.close();
  }
  if (w.gap > 1) s.close();
  s.close();
  writeBlockSums(f, launch);
  s.open("if (tz == 0) {");
  s.line(`#pragma unroll\nfor (int k = 0; k < ${w.length}; k++) {`);
  const to = `partial + (long)piece * ${results} + (plane * ${w.length} + k) * ${across} + base`;
  s.line(`  tsr_store<${lanes}>(${to}, acc[k]);`);
  s.line("}");
  s.close();
  const { args, parameters } = signature(f, [scratch]);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: line(constant(tiles * pieces)),
    block: [x * planes * z, 1, 1],
    sharedBytes: 0,
    blocksEach: shape.blocksEach,
  };
}

function emitResults(launch: Launch): CudaKernelText {
  const { kernel, sums: w, shape: { pieces }, results, scratch, context } = launch;
  const f = new CudaFunction(kernel, [kernel.body], kernel.axes, { shared: context.shared });
  const s = f.scopes;
  s.line(`__shared__ float given[${SHARING}][${RESULTS}];`);
  s.line(`const int column = (int)threadIdx.x % ${RESULTS}, part = (int)threadIdx.x / ${RESULTS};`);
  s.line(`const int result = (int)blockIdx.x * ${RESULTS} + column;`);
  s.line("float sum = 0.0f;");
  s.open(`if (result < ${results}) {`);
  s.line("#pragma unroll 8");
  s.line(
    `for (int piece = part; piece < ${pieces}; piece += ${SHARING}) sum += partial[(long)piece * ${results} + result];`,
  );
  s.close();
  s.line("given[part][column] = sum;");
  s.line("__syncthreads();");
  s.line(`if (part > 0 || result >= ${results}) return;`);
  s.line(`#pragma unroll\nfor (int i = 1; i < ${SHARING}; i++) sum += given[i][column];`);
  f.decompose([...w.planes, w.taps, w.vector], "result", (axis) => f.extent(axis.extent));
  f.renameAccumulator(w.accumulator, "sum");
  f.statements(w.rest);
  const { args, parameters } = signature(f, [scratch]);
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    args,
    grid: line(constant(Math.ceil(results / RESULTS))),
    block: [RESULTS * SHARING, 1, 1],
    sharedBytes: 0,
  };
}
