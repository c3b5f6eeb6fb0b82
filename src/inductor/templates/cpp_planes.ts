/**
 * Images as windows see them: rows of one channel with the padding around it, for templates of convolutions in C++.
 *
 * Enters: a contraction one operand of which is read where `step · x + apart · kx` (or, in a gradient, `step · x - apart · kx`) says. Leaves: the parts of that, and a function that writes padded rows of
 * a channel. It evaluates the operand's own program, whatever that computes: where that depends on the sum alone, as is checked, all sums are positions of one axis.
 */
import { loopVar } from "../../loops/mod.ts";
import { add, constant, constantValue, type Expr, mul, sub, substitute, type Sym, symbol } from "../../symbolic/mod.ts";
import type { CppFunction } from "../codegen/cpp/emit_kernel.ts";
import { statementExprs } from "../tile/parameters.ts";
import {
  type Axis,
  type ContractionKernel,
  type OperandProgram,
  PLAIN_KINDS,
  type TileStatement,
} from "../tile/tile_ir.ts";
import { functionFor, type Writer } from "./cpp_operands.ts";

/** How windows move along an axis, and how far the places of one are apart. */
export interface Motion {
  readonly step: number;
  readonly apart: number;
}

/** An axis of an image: the results', and the window's along it, if it has more than one place. */
export interface Sliding extends Motion {
  readonly at: Axis;
  readonly inside: Axis | null;
  /** The first place of a window is the last one of memory. */
  readonly isMirrored: boolean;
}

/** The parts of a convolution. */
export interface Planes {
  /** The contraction with the weights for rows and the pixels for columns. */
  readonly kernel: ContractionKernel;
  /** Null where there is one sample. */
  readonly sample: Axis | null;
  /** Null where images are lines. */
  readonly down: Sliding | null;
  readonly across: Sliding;
  readonly channel: Axis;
  /** Where windows have several places, the first one is the last one of memory. */
  readonly isMirrored: boolean;
}

/** Steps of windows, and distances of their places, that are known: one of both is 1. */
const MOTIONS: readonly Motion[] = [
  ...[1, 2, 3, 4].map((step): Motion => ({ step, apart: 1 })),
  ...[2, 3, 4, 5, 6, 8, 12, 16, 18, 24, 36].map((apart): Motion => ({ step: 1, apart })),
];

/** A contraction as a convolution of planes; null where it is none. */
export function planesOf(kernel: ContractionKernel): Planes | null {
  const { epilogue } = kernel;
  const turned: ContractionKernel = {
    ...kernel,
    m: kernel.n,
    n: kernel.m,
    a: kernel.b,
    b: kernel.a,
    epilogue: { ...epilogue, m: epilogue.n, n: epilogue.m },
  };
  return partsOf(kernel) ?? partsOf(turned);
}

function partsOf(kernel: ContractionKernel): Planes | null {
  const { rows, k, body } = kernel.b;
  const [channel, ...inside] = k;
  if (channel === undefined || inside.length > 2 || k.length !== kernel.k.length || rows.length > 3) return null;
  if (k.some((axis, i) => axis.extent !== kernel.k[i])) return null;
  const y = rows.at(-2), x = rows.at(-1);
  if (x === undefined || !body.every((s) => PLAIN_KINDS.has(s.kind))) return null;
  for (const isMirrored of [false, true]) {
    const along = (at: Axis, inside: Axis | undefined): Sliding | null => {
      const motion = inside === undefined ? undefined : motionOf(body, at, inside, isMirrored);
      return motion === undefined || inside === undefined ? null : { at, inside, ...motion, isMirrored };
    };
    const still = (at: Axis): Sliding => ({ at, inside: null, step: 1, apart: 1, isMirrored });
    const last = inside.at(-1);
    const found = along(x, last);
    const other = found === null ? last : inside.length === 2 ? inside[0] : undefined;
    const own = y === undefined ? null : along(y, other);
    if (found === null ? inside.length > (own === null ? 0 : 1) : other !== undefined && own === null) continue;
    // Of two axes the first is the samples', unless windows move along it.
    const down = own ?? (rows.length === 3 && y !== undefined ? still(y) : null);
    const sample = rows.length - (down === null ? 1 : 2) === 1 ? rows[0] ?? null : null;
    return { kernel, sample, down, across: found ?? still(x), channel, isMirrored };
  }
  return null;
}

function motionOf(
  body: readonly TileStatement[],
  at: Axis,
  inside: Axis,
  isMirrored: boolean,
): Motion | undefined {
  return MOTIONS.find(({ step, apart }) => slidesBy(body, at, inside, isMirrored ? step : -step, apart));
}

/** Whether `apart` steps along one axis are the same as `-step` along the other, as a window slides. */
export function slidesBy(body: readonly TileStatement[], at: Axis, inside: Axis, step: number, apart = 1): boolean {
  const moves = new Map<Sym, Expr>([
    [at.symbol, add(symbol(at.symbol), apart)],
    [inside.symbol, add(symbol(inside.symbol), step)],
  ]);
  return body.every((s) => statementExprs(s).every((e) => constantValue(sub(substitute(e, moves), e)) === 0));
}

/** How many places a window has along an axis. */
export function placesOf(sliding: Sliding | null): Expr {
  return sliding?.inside?.extent ?? constant(1);
}

/** All positions that windows see along an axis, and a program as one of these positions. */
export function unfolded(
  body: readonly TileStatement[],
  axes: readonly Sliding[],
): { readonly body: readonly TileStatement[]; readonly axes: readonly Axis[] } {
  const places = new Map<Sym, Expr>();
  const found = axes.map(({ at, inside, step, apart, isMirrored }): Axis => {
    if (inside === null) return at;
    const extent = add(mul(add(at.extent, -1), step), mul(add(inside.extent, -1), apart), 1);
    const place = loopVar(extent, "at");
    const last = isMirrored ? add(inside.extent, -1) : constant(0);
    // What slides depends on the sum of both alone.
    const alongWindow = apart === 1 && !(isMirrored && step === 1);
    const way = isMirrored ? mul(symbol(place), -1) : symbol(place);
    places.set(at.symbol, alongWindow ? constant(0) : symbol(place));
    places.set(inside.symbol, alongWindow ? add(last, way) : last);
    return { symbol: place, extent, block: 1, role: "grid" };
  });
  const moved = (e: Expr): Expr => substitute(e, places);
  return {
    body: body.map((s) =>
      s.kind === "index" ? { ...s, expr: moved(s.expr) } : s.kind === "load" ? { ...s, index: moved(s.index) } : s
    ),
    axes: found,
  };
}

/** A loop over registers from `from` to `to`, the end of the lanes' axis or before; without known lengths both for whole and cut ones. */
export function inRegisters(
  f: CppFunction,
  lane: Axis,
  from: string,
  to: string,
  body: (at: string, rest: string | null) => void,
): void {
  const s = f.scopes;
  const length = constantValue(lane.extent);
  const at = s.fresh("x");
  s.line(`long ${at} = ${from};`);
  if (length === null || length >= lane.block) {
    s.open(`for (; ${at} + VW <= ${to}; ${at} += VW) {`);
    f.inLanes(lane, at, null, () => body(at, null));
    s.close();
  }
  if (length !== null && length % lane.block === 0) return;
  s.open(`if (${at} < ${to}) {`);
  const rest = s.fresh("r");
  s.line(`const long ${rest} = ${to} - ${at};`);
  f.inLanes(lane, at, rest, () => body(at, rest));
  s.close();
}

/** The function that writes padded rows: `tsr_rows` of `contraction.h`. */
export function rowsFunction(writer: Writer, name: string, planes: Planes): string {
  const { sample, down, across, channel } = planes;
  const program: OperandProgram = planes.kernel.b;
  const { body, axes } = unfolded(program.body, down === null ? [across] : [down, across]);
  const column = axes.at(-1) as Axis, line = down === null ? null : axes[0] as Axis;
  const lane: Axis = { ...column, block: writer.lanes };
  const parameters = "long sample, long channel, long y0, long y1, float* out, long stride";
  return functionFor(writer, name, parameters, [body], lane, (f) => {
    const s = f.scopes;
    if (sample !== null) s.define(sample.symbol, "sample");
    s.define(channel.symbol, "channel");
    const lines = line === null ? "1" : s.index(line.extent), columns = s.index(column.extent);
    s.open("for (long at = y0; at < y1; at++) {");
    s.line("float* const q = out + (at - y0) * stride;");
    s.line(`const bool none = at >= ${lines};`);
    s.line(`for (long t = none ? 0 : ${columns} & -VW; t < stride; t += VW) tsr_store(q + t, (vf32){});`);
    s.line("if (none) continue;");
    if (line !== null) s.define(line.symbol, "at");
    inRegisters(f, lane, "0", columns, (at, rest) => {
      f.statements(body);
      const value = f.vector(program.value);
      s.line(rest === null ? `tsr_store(q + ${at}, ${value});` : `tsr_store_n(q + ${at}, ${value}, ${rest});`);
    });
    s.close();
  });
}
