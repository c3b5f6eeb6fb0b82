/**
 * The order of k: sums may run over its axes in any order, so the axis along which both operands are contiguous is made the innermost.
 *
 * A convolution's k is (channel, row, column of the filter); with channels innermost in memory, tiles are read in whole vectors.
 */
import {
  add,
  constant,
  constantValue,
  type Expr,
  mul,
  newSym,
  substitute,
  type Sym,
  symbol,
} from "../../symbolic/mod.ts";
import { isAlignedRun } from "../codegen/cuda/vectors.ts";
import type { Axis, ContractionKernel, OperandProgram, TileStatement } from "../tile/tile_ir.ts";

/** The same statements over other symbols. */
function substituteBody(body: readonly TileStatement[], symbols: ReadonlyMap<Sym, Expr>): TileStatement[] {
  return body.map((s): TileStatement => {
    switch (s.kind) {
      case "index":
        return { ...s, expr: substitute(s.expr, symbols) };
      case "load":
        return { ...s, index: substitute(s.index, symbols) };
      case "bind":
        return { ...s, size: substitute(s.size, symbols) };
      default:
        return s;
    }
  });
}

/** The program over separate axes of k, of the given extents; null where its own are no unions of neighbours. */
function separate(program: OperandProgram, fine: readonly Axis[]): OperandProgram | null {
  const symbols = new Map<Sym, Expr>();
  let at = 0;
  for (const axis of program.k) {
    const whole = constantValue(axis.extent);
    let position: Expr = constant(0);
    let size = 1;
    if (whole === null) return null;
    while (size < whole) {
      const next = fine[at++];
      const own = next === undefined ? null : constantValue(next.extent);
      if (next === undefined || own === null) return null;
      position = add(mul(position, own), symbol(next.symbol));
      size *= own;
    }
    if (size !== whole) return null;
    symbols.set(axis.symbol, position);
  }
  return { ...program, k: fine, body: substituteBody(program.body, symbols) };
}

function isContiguous(program: OperandProgram, axis: Axis): boolean {
  return program.body.some((s) => s.kind === "load" && isAlignedRun(s.index, axis.symbol, 8));
}

/** The kernel with the best order of k. */
export function reorderK(kernel: ContractionKernel): ContractionKernel {
  const extents = kernel.k.map((e) => constantValue(e)).filter((e) => e !== 1);
  if (extents.length < 2 || extents.includes(null)) return kernel;
  const last = (p: OperandProgram): boolean => {
    const axis = p.k[p.k.length - 1];
    return axis !== undefined && (constantValue(axis.extent) ?? 1) % 8 === 0 && isContiguous(p, axis);
  };
  if (last(kernel.a) && last(kernel.b)) return kernel;
  const fine = extents.map((extent): Axis => ({
    symbol: newSym("k", { kind: "index", lower: 0, upper: (extent ?? 1) - 1 }),
    extent: constant(extent ?? 1),
    block: 1,
    role: "loop",
  }));
  const [a, b] = [separate(kernel.a, fine), separate(kernel.b, fine)];
  if (a === null || b === null) return kernel;
  let best: Axis | null = null;
  let most = Number(last(kernel.a)) + Number(last(kernel.b));
  for (const axis of fine) {
    const score = (constantValue(axis.extent) ?? 1) % 8 !== 0
      ? 0
      : Number(isContiguous(a, axis)) + Number(isContiguous(b, axis));
    if (score > most) {
      best = axis;
      most = score;
    }
  }
  if (best === null) return kernel;
  const order = [...fine.filter((axis) => axis !== best), best];
  return { ...kernel, k: order.map((axis) => axis.extent), a: { ...a, k: order }, b: { ...b, k: order } };
}
