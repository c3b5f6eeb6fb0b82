/**
 * Loads of a transpose: strided along the vector, contiguous along the axis that runs inside of it.
 *
 * Squares of registers are read along the contiguous axis, each cache line once and whole, turned in registers, and kept in the function's own memory; the
 * steps along the axis then load from there. Lane by lane, a power of two as a stride would put all lines of a vector into one set of the cache,
 * which holds fewer. What is left of the axis after whole squares, and of the vector's axis, reads with the stride.
 */
import { float32 } from "../../../core/mod.ts";
import { coefficient, constantValue, type Expr, freeSymbols, mod } from "../../../symbolic/mod.ts";
import type { Axis, TileKernel, TileStatement } from "../../tile/tile_ir.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { isStreamed } from "../../tile/axes.ts";
import type { CppFunction } from "./emit_kernel.ts";

/** Squares that are turned at once, so that whole neighbouring lines are read as well as written; one where what is written goes past the caches. */
const SQUARES = 4;
/** Elements further along a row that are fetched meanwhile, where stores do not wait for lines to be read. */
const AHEAD = 32;

type Load = TileStatement & { readonly kind: "load" };

/** The loads of a kernel's body that are turned while its vector stands still and `axis` runs; none where the vector is the rest of its axis. */
function turnedLoads(f: CppFunction, kernel: TileKernel, axis: Axis): (Load & { readonly step: Expr })[] {
  if (f.rest !== null || axis.block !== 1) return [];
  const known = new Set([...kernel.axes.map((a) => a.symbol), ...kernel.sizes]);
  return kernel.body.flatMap((s) => {
    if (s.kind !== "load" || s.mask !== null || s.buffer.dtype !== float32 || kernel.writes.includes(s.buffer)) {
      return [];
    }
    const along = coefficient(s.index, axis.symbol);
    if (along === null || constantValue(along) !== 1) return [];
    for (const sym of freeSymbols(s.index)) if (!known.has(sym)) return [];
    const step = f.stride(s.index);
    return step === null || constantValue(step) === 1 || constantValue(step) === 0 ? [] : [{ ...s, step }];
  });
}

/** Buffers whose stores go past the caches. */
function streamedBuffers(f: CppFunction, kernel: TileKernel): Set<BufferRef> {
  const vector = f.vectorAxis?.symbol;
  return new Set(
    kernel.body.flatMap((s) =>
      s.kind === "store" && vector !== undefined && isStreamed(s.buffer, s.index, vector, f.lanes) ? [s.buffer] : []
    ),
  );
}

/** Writes the innermost loop of a kernel, over `axis`; with squares where its loads want to be turned. */
export function overTurned(f: CppFunction, kernel: TileKernel, axis: Axis, body: () => void): void {
  const loads = turnedLoads(f, kernel, axis);
  if (loads.length === 0) {
    f.overAxis(axis, body);
    return;
  }
  const s = f.scopes;
  const extent = s.index(axis.extent);
  f.streamed = streamedBuffers(f, kernel);
  const streams = f.streamed.size > 0;
  const count = streams ? 1 : SQUARES;
  const [first, last, x] = [s.fresh("t"), s.fresh("l"), s.fresh("x")];
  s.open(`for (long ${first} = 0, ${last}; ${first} + VW <= ${extent}; ${first} = ${last}) {`);
  s.line(`${last} = ${first} + tsr_min(${count}, (${extent} - ${first}) / VW) * VW;`);
  const squares = loads.map(() => Array.from({ length: f.parts }, () => s.fresh("m")));
  for (const square of squares.flat()) s.line(`float ${square}[${count} * VW * VW];`);
  // A level of its own: what is named here is at the first position of the axis, and must not be found at the others.
  s.open("{");
  s.define(axis.symbol, first);
  loads.forEach((load, i) => {
    for (let part = 0; part < f.parts; part++) {
      const from = `${f.pointer(load.buffer)} + ${f.elementAt(load.index, load.step, part)}`;
      const each = `for (long y = 0; y < ${last} - ${first}; y += VW)`;
      const ahead = streams ? `, ${AHEAD}` : "";
      s.line(`${each} tsr_turn(${from} + y, ${s.index(load.step)}, ${squares[i]?.[part]} + y * VW${ahead});`);
    }
  });
  s.close();
  s.open(`for (long ${x} = ${first}; ${x} < ${last}; ${x}++) {`);
  s.define(axis.symbol, x);
  loads.forEach((load, i) => {
    f.staged.set(load.out, (part) => `tsr_load(${squares[i]?.[part]} + (${x} - ${first}) * VW)`);
  });
  body();
  f.staged.clear();
  f.streamed = new Set();
  s.close();
  s.close();
  if (streams) s.line("tsr_stream_end();");
  if (constantValue(mod(axis.extent, f.lanes)) === 0) return;
  s.open(`for (long ${x} = ${extent} - ${extent} % VW; ${x} < ${extent}; ${x}++) {`);
  s.define(axis.symbol, x);
  body();
  s.close();
}
