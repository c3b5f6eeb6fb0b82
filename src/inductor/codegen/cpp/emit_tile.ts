/**
 * A kernel in tiles as a C++ function over a range of its parallel instances.
 *
 * The leading grid axes are one linear range that workers divide; the last of them runs as the innermost of these loops, so that a range is
 * decomposed once a row. The other grid axes run in order inside.
 */
import { add, ceilDiv, constant, constantValue, type Expr, mul } from "../../../symbolic/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import type { Axis, TileKernel } from "../../tile/tile_ir.ts";
import { costOf, PIECE_PICOSECONDS } from "./cost.ts";
import { planBranches } from "./branches.ts";
import { CppFunction, parameterLines } from "./emit_kernel.ts";
import { planRowPair } from "./pairs.ts";
import { overPanels, planPanels } from "./panels.ts";
import { planRows } from "./rows.ts";
import { overTurned } from "./turned.ts";

/** An operand that is packed once: a weight. */
export interface KeptOperand {
  /** The buffers that it is made of: one, or several that are multiplied as one. */
  readonly sources: readonly BufferRef[];
  readonly bytes: number;
  /** What decides the packed form, beside the sources: operands of one form that are made of the same share it. */
  readonly form: string;
}

/** A function and how to launch it. */
export interface CppFunctionText {
  /** The body; the name is the module's affair, and stands as `@` where the text needs it. */
  readonly text: string;
  /** Functions that the body passes on, with names that start with `@`. */
  readonly support?: string;
  /** A prelude that it needs beside its kernel's. */
  readonly needs?: "winograd" | "slide" | "direct";
  /** Pieces that may run at once. */
  readonly count: Expr;
  /** Memory that the function keeps from call to call: two arguments each, behind all others, the state and the memory. */
  readonly keeps?: readonly KeptOperand[];
  /** The least number of pieces that is worth a dispatch; an expression in picoseconds a piece where it depends on sizes. */
  readonly picoseconds: Expr;
}

function blocksOf(axis: Axis): Expr {
  return ceilDiv(axis.extent, axis.block);
}

/** Emits the function of a kernel. */
export function emitCppTile(kernel: TileKernel, lanes: number): CppFunctionText {
  const f = new CppFunction(kernel, [kernel.body], kernel.axes, lanes);
  const s = f.scopes;
  for (const line of parameterLines(kernel)) s.line(line);
  const grid = kernel.axes.filter((axis) => axis.role === "grid");
  const parallel = grid.slice(0, kernel.parallelAxes);
  const ordered = grid.slice(kernel.parallelAxes);
  const inside = (i: number): void => {
    const axis = ordered[i];
    if (axis === undefined) f.statements(kernel.body);
    else if (i === ordered.length - 1) overTurned(f, kernel, axis, () => inside(i + 1));
    else f.overAxis(axis, () => inside(i + 1));
  };
  const last = parallel[parallel.length - 1];
  const panels = ordered.length === 0 ? planPanels(kernel, kernel.body, parallel, lanes) : null;
  const inner = panels === null || last === undefined ? last : { ...last, block: panels.width };
  const overInner = (axis: Axis, range: { readonly from: string; readonly to: string }): void => {
    if (panels === null) f.overAxis(axis, () => inside(0), range);
    else overPanels(f, panels, range);
  };
  f.useBranches(planBranches(kernel.body));
  const pair = panels === null ? planRowPair(kernel, kernel.body, lanes) : null;
  if (pair !== null) f.usePair(pair);
  else if (ordered.length === 0 && panels === null) f.useRows(planRows(kernel, kernel.body, inner, lanes));
  const outer = parallel.slice(0, -1);
  if (inner === undefined) inside(0);
  else if (outer.length === 0) overInner(inner, { from: "begin", to: "end" });
  else {
    const across = s.index(blocksOf(inner));
    s.open("for (long at = begin; at < end;) {");
    s.line(`const long row = at / ${across}, from = at - row * ${across};`);
    s.line(`const long to = tsr_min(${across}, from + (end - at));`);
    s.line("at += to - from;");
    let rest = "row";
    for (let i = outer.length - 1; i >= 0; i--) {
      const axis = outer[i] as Axis;
      const x = s.fresh("x");
      if (i === 0) s.line(`const long ${x} = ${rest};`);
      else {
        const extent = s.index(axis.extent);
        s.line(`const long ${x} = ${rest} % ${extent};`);
        const next = s.fresh("q");
        s.line(`const long ${next} = ${rest} / ${extent};`);
        rest = next;
      }
      s.define(axis.symbol, x);
    }
    overInner(inner, { from: "from", to: "to" });
    s.close();
  }
  if (f.streamed.size > 0) s.line("tsr_stream_end();");
  const shared = inner === undefined ? parallel : [...outer, inner];
  const count = shared.reduce<Expr>((product, axis) => mul(product, blocksOf(axis)), constant(1));
  const wider = panels === null || last === undefined ? constant(1) : ceilDiv(constant(panels.width), last.block);
  const repeats = ordered.reduce<Expr>((product, axis) => mul(product, blocksOf(axis)), wider);
  return { text: s.text("  "), count, picoseconds: mul(repeats, costOf(kernel.body, lanes)) };
}

/** The number of pieces in one dispatch unit, as a number or as C++ text over named sizes. */
export function grainText(picoseconds: Expr, inline: (e: Expr) => string): string {
  const known = constantValue(picoseconds);
  if (known !== null) return String(Math.max(1, Math.ceil(PIECE_PICOSECONDS / Math.max(known, 1))));
  return `tsr_grain(${inline(add(picoseconds, 0))})`;
}
