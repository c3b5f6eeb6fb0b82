/**
 * Depthwise convolutions in C++: sums over a window that slides over an image, with the image's rows in registers' reach.
 *
 * Enters: a kernel in tiles with one nest of two short loops of known lengths, whose sum has terms `pixel · weight`: the pixel depends on `step · x + kx` (and likewise y), the weight
 * on neither x nor y. Leaves: a function over the kernel's images, which writes the rows of one with their padding into memory of its own (whatever the pixel's program computes, once for
 * each), sums by the template of `slide.h`, and runs what follows the sum on each register of results. Null where the form does not fit: then `codegen/cpp/windows.ts` writes the loops.
 */
import { float32 } from "../../core/mod.ts";
import { constant, constantValue, type Expr, freeSymbols, mul } from "../../symbolic/mod.ts";
import { CppFunction, parameterLines } from "../codegen/cpp/emit_kernel.ts";
import type { CppFunctionText } from "../codegen/cpp/emit_tile.ts";
import { guess } from "../tile/axes.ts";
import { operandsOf, statementExprs } from "../tile/parameters.ts";
import { type Axis, PLAIN_KINDS, type TileKernel, type TileStatement, type TileValue } from "../tile/tile_ir.ts";
import { decompose } from "./cpp_operands.ts";
import { inRegisters, slidesBy, unfolded } from "./cpp_planes.ts";

/** Longer windows would not leave registers to sums. */
const MOST_TAPS = 9;
/** Steps of a window that are known. */
const STEPS = [1, 2];
/** Images larger than this do not fit the second cache beside what is read. */
const MOST_FLOATS = 1 << 15;
/** A cycle, about. */
const PICOSECONDS = 270;

interface Slide {
  /** The axes of the images, and those of one. */
  readonly images: readonly Axis[];
  readonly y: Axis;
  readonly x: Axis;
  readonly ky: Axis;
  readonly kx: Axis;
  readonly down: number;
  readonly step: number;
  readonly pixel: readonly TileStatement[];
  readonly pixelValue: TileValue;
  readonly weight: readonly TileStatement[];
  readonly weightValue: TileValue;
  /** What stands around the nest, and what yields the sum. */
  readonly rest: readonly TileStatement[];
  readonly sum: TileValue;
}

type Loop = TileStatement & { readonly kind: "for" };

/** The statements that values come from, in order. */
function neededFor(list: readonly TileStatement[], value: TileValue): TileStatement[] {
  const wanted = new Set<TileValue | null>([value]);
  const kept: TileStatement[] = [];
  for (const s of [...list].reverse()) {
    if (!("out" in s) || !wanted.has(s.out)) continue;
    kept.push(s);
    for (const v of operandsOf(s)) wanted.add(v);
  }
  return kept.reverse();
}

function uses(list: readonly TileStatement[], axis: Axis): boolean {
  return list.some((s) => statementExprs(s).some((e) => freeSymbols(e).has(axis.symbol)));
}

/** A nest as two loops and what stands in them. */
function nestOf(outer: Loop): { readonly ky: Axis; readonly kx: Axis; readonly body: readonly TileStatement[] } | null {
  const inner = outer.body[outer.body.length - 1];
  if (inner?.kind !== "for" || outer.split || inner.split) return null;
  return { ky: outer.axis, kx: inner.axis, body: [...outer.body.slice(0, -1), ...inner.body] };
}

function slideOf(kernel: TileKernel): Slide | null {
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const loops = kernel.body.filter((s): s is Loop => s.kind === "for");
  const [loop] = loops;
  const nest = loop === undefined || loops.length > 1 ? null : nestOf(loop);
  if (loop === undefined || nest === null) return null;
  const { ky, kx, body } = nest;
  if ([ky, kx].some((axis) => (constantValue(axis.extent) ?? Infinity) > MOST_TAPS)) return null;
  const at = kernel.body.indexOf(loop);
  const before = kernel.body.slice(0, at), after = kernel.body.slice(at + 1);
  const declared = before.filter((s) => s.kind === "accumulator");
  const own = [...before.filter((s) => s.kind !== "accumulator"), ...body.filter((s) => s.kind !== "accumulate")];
  const sums = body.filter((s) => s.kind === "accumulate");
  const finishes = after.filter((s) => s.kind === "finish");
  const [sum] = sums, [finish] = finishes;
  if (sums.length !== 1 || declared.length !== 1 || finishes.length !== 1) return null;
  if (sum?.kind !== "accumulate" || sum.op !== "sum" || sum.accumulator.dtype !== float32) return null;
  if (finish?.kind !== "finish" || !own.every((s) => PLAIN_KINDS.has(s.kind))) return null;
  const rest = [...before.filter((s) => s.kind !== "accumulator"), ...after.filter((s) => s !== finish)];
  if (!rest.every((s) => PLAIN_KINDS.has(s.kind) || s.kind === "store")) return null;
  const product = own.find((s) => "out" in s && s.out === sum.value);
  if (product?.kind !== "pointwise" || product.op !== "mul") return null;
  for (const [pixelValue, weightValue] of [product.args, [...product.args].reverse()]) {
    if (pixelValue === undefined || weightValue === undefined || pixelValue.dtype !== float32) continue;
    const pixel = neededFor(own, pixelValue), weight = neededFor(own, weightValue);
    // A row of results would be written where a later one is still read.
    if ([...pixel, ...weight].some((s) => s.kind === "load" && kernel.writes.includes(s.buffer))) continue;
    if (!uses(weight, kx)) continue;
    const sliding = (k: Axis): { readonly axis: Axis; readonly step: number } | undefined =>
      grid.filter((axis) => uses(pixel, axis) && !uses(weight, axis)).flatMap((axis) => {
        const step = STEPS.find((step) => slidesBy(pixel, axis, k, -step));
        return step === undefined ? [] : [{ axis, step }];
      })[0];
    const down = sliding(ky), along = sliding(kx);
    if (down === undefined || along === undefined || down.axis === along.axis) continue;
    return {
      images: grid.filter((axis) => axis !== down.axis && axis !== along.axis),
      y: down.axis,
      x: along.axis,
      ky,
      kx,
      down: down.step,
      step: along.step,
      pixel,
      pixelValue,
      weight,
      weightValue,
      rest,
      sum: finish.out,
    };
  }
  return null;
}

/** Rows and registers of results that are summed at once. */
function tileOf(height: number, width: number, taps: number, down: number, lanes: number): [number, number] {
  const registers = lanes >= 16 ? 30 : 14;
  const vectors = Math.ceil(width / lanes);
  let best: [number, number] = [1, 1], least = Infinity;
  for (const across of [1, 2]) {
    for (let rows = 1; rows * across + taps <= registers && rows <= 16; rows++) {
      const lines = down * (rows - 1) + taps;
      const cycles = Math.max(rows * taps * across / 2, lines * across, taps * 4) * taps + 3 * rows * across + 20;
      const cost = Math.ceil(height / rows) * Math.ceil(vectors / across) * cycles;
      if (cost < least) [best, least] = [[rows, across], cost];
    }
  }
  return best;
}

/** Emits the function of a kernel that is such a sum; null for all others. */
export function emitCppSlide(kernel: TileKernel, lanes: number): CppFunctionText | null {
  const slide = slideOf(kernel);
  if (slide === null) return null;
  const { images, y, x, ky, kx, down, step } = slide;
  const height = constantValue(y.extent), width = constantValue(x.extent);
  const tapsDown = constantValue(ky.extent), taps = constantValue(kx.extent);
  if (height === null || width === null || tapsDown === null || taps === null) return null;
  const [rows, registers] = tileOf(height, width, tapsDown, down, lanes);
  const blocks = Math.ceil(height / rows), across = registers * lanes;
  const lines = down * (blocks * rows - 1) + tapsDown;
  // Results behind the image's last see what lies behind their line: another one.
  const part = Math.ceil((width + Math.floor((taps - 1) / step)) / lanes) * lanes;
  const row = part * step;
  if (lines * row > MOST_FLOATS) return null;
  const lane: Axis = { ...x, block: lanes };
  const f = functionOf(kernel, lane);
  const s = f.scopes;
  for (const line of parameterLines(kernel)) s.line(line);
  // Behind the image it stands as it is before its columns are taken apart: what was written just now would have to be waited for.
  const bytes = ((step > 1 ? 2 : 1) * lines * row + across + 2 * lanes) * 4;
  s.line(`float* const image = (float*)runtime->scratch(worker, ${bytes}l);`);
  s.line(`if (!image) return tsr_no_memory(${bytes}l);`);
  s.line(`float weights[${tapsDown * taps} + VW];`);
  s.open("for (long at = begin; at < end; at++) {");
  s.line("@_w(A, at, weights);");
  s.line("@_l(A, at, image);");
  decompose(s, images, "at");
  s.open(`for (long y0 = 0; y0 < ${height}; y0 += ${rows}) {`);
  s.open(`for (long x0 = 0; x0 < ${width}; x0 += ${across}) {`);
  s.line(`float sums[${rows * across}] __attribute__((aligned(64)));`);
  const from = `image + y0 * ${down * row} + x0`;
  s.line(
    `tsr_slide<${[tapsDown, taps, down, step, rows, registers].join(", ")}>(${from}, ${row}, ${part}, weights, sums);`,
  );
  s.line(`const long y1 = tsr_min(y0 + ${rows}, ${height}), x1 = tsr_min(x0 + ${across}, ${width});`);
  s.open("for (long yy = y0; yy < y1; yy++) {");
  s.define(y.symbol, "yy");
  s.line(`const float* sum = sums + (yy - y0) * ${across};`);
  inRegisters(f, lane, "x0", "x1", () => {
    s.line("const vf32 acc = tsr_load(sum);");
    s.line("sum += VW;");
    f.assignVector(slide.sum, "acc");
    f.statements(slide.rest);
  });
  for (let i = 0; i < 4; i++) s.close();
  const count = images.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  const cycles = Math.ceil(width / lanes) * height * (tapsDown * taps / 2 + 8);
  const support = [
    weightsFunction(kernel, slide, lanes),
    linesFunction(kernel, slide, { lines, part, row }, lanes),
  ].join("\n");
  return { text: s.text("  "), support, needs: "slide", count, picoseconds: constant(cycles * PICOSECONDS) };
}

/** Where the pixels of an image stand: `lines` of `row` elements, in parts. */
interface Layout {
  readonly lines: number;
  readonly part: number;
  readonly row: number;
}

/** A function whose lanes run along one axis, whatever the kernel's do. */
function functionOf(kernel: TileKernel, lane: Axis): CppFunction {
  const axes = kernel.axes.map((axis) => axis.symbol === lane.symbol ? lane : { ...axis, block: 1 });
  return new CppFunction(kernel, [kernel.body], axes, lane.block);
}

/** A function for image `image` that writes `to`. */
function functionFor(
  kernel: TileKernel,
  images: readonly Axis[],
  f: CppFunction,
  name: string,
  write: (f: CppFunction) => void,
): string {
  for (const line of parameterLines(kernel)) f.scopes.line(line);
  decompose(f.scopes, images, "at");
  write(f);
  return `static void ${name}(void** A, long at, float* to) {\n${f.scopes.text("  ")}\n}`;
}

/** The weights of an image's window, a register a row; what stands behind a row is written by the next one. */
function weightsFunction(kernel: TileKernel, slide: Slide, lanes: number): string {
  const { images, ky, kx, weight, weightValue } = slide;
  const lane: Axis = { ...kx, block: lanes };
  return functionFor(kernel, images, functionOf(kernel, lane), "@_w", (f) => {
    const s = f.scopes;
    const count = guess(kx.extent);
    f.overAxis(ky, () => {
      inRegisters(f, lane, "0", String(count), (at, rest) => {
        f.statements(weight);
        const value = f.vector(weightValue);
        s.line(rest === null ? `tsr_store(to + ${at}, ${value});` : `tsr_store_n(to + ${at}, ${value}, ${rest});`);
      });
      s.line(`to += ${count};`);
    });
  });
}

/** The rows of an image with their padding, columns apart by the step. */
function linesFunction(kernel: TileKernel, slide: Slide, { lines, part, row }: Layout, lanes: number): string {
  const { images, y, x, ky, kx, down, step, pixel, pixelValue } = slide;
  const { body, axes } = unfolded(pixel, [
    { at: y, inside: ky, step: down, apart: 1, isMirrored: false },
    { at: x, inside: kx, step, apart: 1, isMirrored: false },
  ]);
  const [line, column] = axes as [Axis, Axis];
  const lane: Axis = { ...column, block: lanes };
  return functionFor(kernel, images, new CppFunction(kernel, [body], [...images, line, lane], lanes), "@_l", (f) => {
    const s = f.scopes;
    const columns = guess(column.extent), whole = Math.floor(columns / lanes) * lanes;
    s.line(`float* const image = to${step > 1 ? ` + ${lines * row}` : ""};`);
    s.open(`for (long line = 0; line < ${lines}; line++) {`);
    s.line(`float* const q = image + line * ${row};`);
    s.line(`const bool none = line >= ${s.index(line.extent)};`);
    s.line(`for (long t = none ? 0 : ${whole}; t < ${step * part}; t += VW) tsr_store(q + t, (vf32){});`);
    s.open("if (!none) {");
    s.define(line.symbol, "line");
    inRegisters(f, lane, "0", String(columns), (at, rest) => {
      f.statements(body);
      const value = f.vector(pixelValue);
      s.line(rest === null ? `tsr_store(q + ${at}, ${value});` : `tsr_store_n(q + ${at}, ${value}, ${rest});`);
    });
    s.close();
    s.close();
    if (step > 1) s.line(`tsr_apart<${step}>(image, to, ${lines}, ${row}, ${part});`);
  });
}
