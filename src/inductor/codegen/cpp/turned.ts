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
import type { CppFunction } from "./emit_kernel.ts";

/** Squares that are turned at once, so that whole neighbouring lines are read as well as written. */
const SQUARES = 4;

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

/** Writes the innermost loop of a kernel, over `axis`; with squares where its loads want to be turned. */
export function overTurned(f: CppFunction, kernel: TileKernel, axis: Axis, body: () => void): void {
  const loads = turnedLoads(f, kernel, axis);
  if (loads.length === 0) {
    f.overAxis(axis, body);
    return;
  }
  const s = f.scopes;
  const extent = s.index(axis.extent);
  const [first, last, x] = [s.fresh("t"), s.fresh("l"), s.fresh("x")];
  s.open(`for (long ${first} = 0, ${last}; ${first} + VW <= ${extent}; ${first} = ${last}) {`);
  s.line(`${last} = ${first} + tsr_min(${SQUARES}, (${extent} - ${first}) / VW) * VW;`);
  const squares = loads.map(() => Array.from({ length: f.parts }, () => s.fresh("m")));
  for (const square of squares.flat()) s.line(`float ${square}[${SQUARES} * VW * VW];`);
  // A level of its own: what is named here is at the first position of the axis, and must not be found at the others.
  s.open("{");
  s.define(axis.symbol, first);
  loads.forEach((load, i) => {
    for (let part = 0; part < f.parts; part++) {
      const from = `${f.pointer(load.buffer)} + ${f.elementAt(load.index, load.step, part)}`;
      const each = `for (long y = 0; y < ${last} - ${first}; y += VW)`;
      s.line(`${each} tsr_turn(${from} + y, ${s.index(load.step)}, ${squares[i]?.[part]} + y * VW);`);
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
  s.close();
  s.close();
  if (constantValue(mod(axis.extent, f.lanes)) === 0) return;
  s.open(`for (long ${x} = ${extent} - ${extent} % VW; ${x} < ${extent}; ${x}++) {`);
  s.define(axis.symbol, x);
  body();
  s.close();
}
