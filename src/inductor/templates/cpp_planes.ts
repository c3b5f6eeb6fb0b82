/**
 * Images as windows see them: rows of one channel with the padding around it, for templates of convolutions in C++.
 *
 * Enters: a contraction one operand of which is read where `x + kx` (or `x - kx`: a gradient) says, for windows that move by 1. Leaves: the parts of that, and a function that writes padded rows of
 * a channel. It evaluates the operand's own program, whatever that computes, at positions that it has: row `y + ky` at the last `y` and the rest of the window.
 */
import { add, constantValue, type Expr, sub, substitute, type Sym, symbol } from "../../symbolic/mod.ts";
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

/** What an operand's program may be made of. */
const KINDS: ReadonlySet<TileStatement["kind"]> = new Set([
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
  if (!body.every((s) => KINDS.has(s.kind))) return null;
  for (const isMirrored of [false, true]) {
    const slides = (at: Axis, inside: Axis): boolean =>
      body.every((s) => statementExprs(s).every((e) => isSame(e, at.symbol, inside.symbol, isMirrored ? 1 : -1)));
    if (slides(y, ky) && slides(x, kx)) return { kernel, sample, y, x, channel, ky, kx, isMirrored };
  }
  return null;
}

/** Whether a step along one axis and one along the other lead back. */
function isSame(e: Expr, at: Sym, inside: Sym, step: number): boolean {
  const moved = substitute(e, new Map<Sym, Expr>([[at, add(symbol(at), 1)], [inside, add(symbol(inside), step)]]));
  return constantValue(sub(moved, e)) === 0;
}

/** The function that writes padded rows: `tsr_rows` of `winograd.h`. */
export function rowsFunction(writer: Writer, name: string, planes: Planes): string {
  const { sample, y, x, channel, ky, kx, isMirrored } = planes;
  const program: OperandProgram = planes.kernel.b;
  const parameters = "long sample, long channel, long y0, long y1, float* out, long stride";
  return functionFor(writer, name, parameters, [program.body], x, (f) => {
    const s = f.scopes;
    if (sample !== null) s.define(sample.symbol, "sample");
    s.define(channel.symbol, "channel");
    const [height, width, down, across] = [y, x, ky, kx].map((axis) => s.index(axis.extent));
    s.open("for (long at = y0; at < y1; at++) {");
    s.line("float* const q = out + (at - y0) * stride;");
    s.line(`const bool none = at >= ${height} + ${down} - 1;`);
    s.line(`for (long t = none ? 0 : ${width} & -VW; t < stride; t += VW) tsr_store(q + t, (vf32){});`);
    s.line("if (none) continue;");
    s.line(`const long yy = tsr_min(at, ${height} - 1), kk = ${isMirrored ? `${down} - 1 - at + yy` : "at - yy"};`);
    s.define(y.symbol, "yy");
    s.define(ky.symbol, "kk");
    const put = (rest: string | null, to: string): void => {
      f.statements(program.body);
      const value = f.vector(program.value);
      s.line(rest === null ? `tsr_store(q + ${to}, ${value});` : `tsr_store_n(q + ${to}, ${value}, ${rest});`);
    };
    const first = isMirrored ? `${across} - 1` : "0";
    const whole = constantValue(x.extent);
    s.line(`long xx = 0; const long k0 = ${first};`);
    if (whole === null || whole >= writer.lanes) {
      s.open(`for (; xx + VW <= ${width}; xx += VW) {`);
      s.define(kx.symbol, "k0");
      f.inLanes(x, "xx", null, () => put(null, "xx"));
      s.close();
    }
    if (whole === null || whole % writer.lanes !== 0) {
      s.open(`if (xx < ${width}) {`);
      s.line(`const long rest = ${width} - xx;`);
      s.define(kx.symbol, "k0");
      f.inLanes(x, "xx", "rest", () => put("rest", "xx"));
      s.close();
    }
    // Behind the last position its window goes on.
    s.line(`xx = ${width} - 1;`);
    s.open(`for (long t = 1; t < ${across}; t++) {`);
    s.line(`const long k1 = ${isMirrored ? `${across} - 1 - t` : "t"}, one = 1;`);
    s.define(kx.symbol, "k1");
    f.inLanes(x, "xx", "one", () => put("one", "xx + t"));
    s.close();
    s.close();
  });
}
