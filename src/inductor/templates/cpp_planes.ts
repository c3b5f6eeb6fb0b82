/**
 * Images as windows see them: rows of one channel with the padding around it, for templates of convolutions in C++.
 *
 * Enters: a contraction one operand of which is read where `x + kx` (or `x - kx`: a gradient) says, for windows that move by 1. Leaves: the parts of that, and a function that writes padded rows of
 * a channel. It evaluates the operand's own program, whatever that computes: where that depends on the sum of `x` and `kx` alone, as is checked, all sums are positions of one axis.
 */
import { loopVar } from "../../loops/mod.ts";
import { add, constant, constantValue, type Expr, mul, sub, substitute, type Sym, symbol } from "../../symbolic/mod.ts";
import type { CppFunction } from "../codegen/cpp/emit_kernel.ts";
import { statementExprs } from "../tile/parameters.ts";
import type { Axis, ContractionKernel, OperandProgram, TileStatement } from "../tile/tile_ir.ts";
import { functionFor, type Writer } from "./cpp_operands.ts";

/** The parts of a convolution. */
export interface Planes {
  /** The contraction with the weights for rows and the pixels for columns. */
  readonly kernel: ContractionKernel;
  /** Null where there is one sample. */
  readonly sample: Axis | null;
  readonly y: Axis;
  readonly x: Axis;
  readonly channel: Axis;
  readonly ky: Axis;
  readonly kx: Axis;
  /** The first place of a window is the last one of memory. */
  readonly isMirrored: boolean;
}

/** What a program may be made of that is evaluated where its axes did not lead. */
export const PLAIN_KINDS: ReadonlySet<TileStatement["kind"]> = new Set([
  "constant",
  "index",
  "load",
  "pointwise",
  "cast",
  "bitcast",
]);

/** A contraction as a convolution of planes whose windows move by 1; null where it is none. */
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
  const [channel, ky, kx] = k;
  if (channel === undefined || ky === undefined || kx === undefined || k.length !== 3 || kernel.k.length !== 3) {
    return null;
  }
  if (k.some((axis, i) => axis.extent !== kernel.k[i])) return null;
  const [y, x] = rows.slice(-2);
  const sample = rows.length === 3 ? rows[0] ?? null : null;
  if (y === undefined || x === undefined || rows.length > 3) return null;
  if (!body.every((s) => PLAIN_KINDS.has(s.kind))) return null;
  for (const isMirrored of [false, true]) {
    const step = isMirrored ? 1 : -1;
    if (slidesBy(body, y, ky, step) && slidesBy(body, x, kx, step)) {
      return { kernel, sample, y, x, channel, ky, kx, isMirrored };
    }
  }
  return null;
}

/** Whether a step of 1 along one axis is the same as `-step` along the other, as a window slides. */
export function slidesBy(body: readonly TileStatement[], at: Axis, inside: Axis, step: number): boolean {
  const moves = new Map<Sym, Expr>([
    [at.symbol, add(symbol(at.symbol), 1)],
    [inside.symbol, add(symbol(inside.symbol), step)],
  ]);
  return body.every((s) => statementExprs(s).every((e) => constantValue(sub(substitute(e, moves), e)) === 0));
}

/** An axis of an image: the results', and the window's along it. */
export interface Sliding {
  readonly at: Axis;
  readonly inside: Axis;
  /** How far a step along the results goes, less than 0 where windows are mirrored. */
  readonly step: number;
}

/** All positions that windows see along an axis, and a program as one of these positions. */
export function unfolded(
  body: readonly TileStatement[],
  axes: readonly Sliding[],
): { readonly body: readonly TileStatement[]; readonly axes: readonly Axis[] } {
  const places = new Map<Sym, Expr>();
  const found = axes.map(({ at, inside, step }): Axis => {
    const extent = add(mul(add(at.extent, -1), Math.abs(step)), inside.extent);
    const place = loopVar(extent, "at");
    // What slides depends on the sum of both alone.
    places.set(at.symbol, step < 0 ? symbol(place) : constant(0));
    places.set(inside.symbol, step < 0 ? add(inside.extent, -1) : symbol(place));
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

/** The function that writes padded rows: `tsr_rows` of `winograd.h`. */
export function rowsFunction(writer: Writer, name: string, planes: Planes): string {
  const { sample, y, x, channel, ky, kx, isMirrored } = planes;
  const program: OperandProgram = planes.kernel.b;
  const step = isMirrored ? -1 : 1;
  const { body, axes } = unfolded(program.body, [{ at: y, inside: ky, step }, { at: x, inside: kx, step }]);
  const [line, column] = axes as [Axis, Axis];
  const lane: Axis = { ...column, block: writer.lanes };
  const parameters = "long sample, long channel, long y0, long y1, float* out, long stride";
  return functionFor(writer, name, parameters, [body], lane, (f) => {
    const s = f.scopes;
    if (sample !== null) s.define(sample.symbol, "sample");
    s.define(channel.symbol, "channel");
    const lines = s.index(line.extent), columns = s.index(column.extent);
    s.open("for (long at = y0; at < y1; at++) {");
    s.line("float* const q = out + (at - y0) * stride;");
    s.line(`const bool none = at >= ${lines};`);
    s.line(`for (long t = none ? 0 : ${columns} & -VW; t < stride; t += VW) tsr_store(q + t, (vf32){});`);
    s.line("if (none) continue;");
    s.define(line.symbol, "at");
    inRegisters(f, lane, "0", columns, (at, rest) => {
      f.statements(body);
      const value = f.vector(program.value);
      s.line(rest === null ? `tsr_store(q + ${at}, ${value});` : `tsr_store_n(q + ${at}, ${value}, ${rest});`);
    });
    s.close();
  });
}
