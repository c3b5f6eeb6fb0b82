/**
 * What kernels of sliding windows share (`cuda_window.ts`, `cuda_window_sums.ts`): which statements belong to a factor, how they slide, where they are zero.
 */
import { add, constantValue, type Expr, freeSymbols, sub, substitute, symbol } from "../../symbolic/mod.ts";
import { operandsOf } from "../codegen/cuda/vectors.ts";
import { statementExprs } from "../tile/parameters.ts";
import type { Axis, TileStatement, TileValue } from "../tile/tile_ir.ts";

/** Steps of a window that are tried: by several of its positions, or of a window with gaps by one. */
export const STEPS = [
  ...[1, 2, 3, 4].map((stride) => ({ stride, gap: 1 })),
  ...[2, 3, 4].map((gap) => ({ stride: 1, gap })),
];

/** The statements that values come from, in order; with `effects` also those that write. */
export function neededFor(
  list: readonly TileStatement[],
  values: readonly (TileValue | null)[],
  effects = false,
): TileStatement[] {
  const wanted = new Set(values);
  const kept: TileStatement[] = [];
  for (const s of [...list].reverse()) {
    const writes = effects && s.kind === "store";
    if (!writes && !("out" in s && wanted.has(s.out))) continue;
    kept.push(s);
    for (const v of operandsOf(s)) wanted.add(v);
  }
  return kept.reverse();
}

/** Whether a statement changes along an axis. */
export function dependsOn(s: TileStatement, axis: Axis): boolean {
  return statementExprs(s).some((e) => freeSymbols(e).has(axis.symbol));
}

/** Whether `gap` steps along the axis are the same as `stride` steps along the window. */
export function slides(s: TileStatement, slide: Axis, taps: Axis, stride: number, gap: number): boolean {
  return statementExprs(s).every((e) => {
    const moved = substitute(
      e,
      new Map<typeof slide.symbol, Expr>([
        [slide.symbol, add(symbol(slide.symbol), gap)],
        [taps.symbol, sub(symbol(taps.symbol), stride)],
      ]),
    );
    return constantValue(sub(moved, e)) === 0;
  });
}

/** A masked load is zero where the mask does not hold: choosing zero there once more is idle. */
export function withoutIdleChoices(
  list: readonly TileStatement[],
  value: TileValue,
): { readonly statements: readonly TileStatement[]; readonly value: TileValue } {
  const same = new Map<TileValue, TileValue>();
  const made = new Map<TileValue, TileStatement>();
  const out: TileStatement[] = [];
  for (const s of list) {
    if ("out" in s) made.set(s.out, s);
    if (s.kind === "pointwise" && s.op === "where") {
      const [mask, value, other] = s.args;
      const load = value === undefined ? undefined : made.get(value);
      const zero = other === undefined ? undefined : made.get(other);
      if (load?.kind === "load" && load.mask === mask && zero?.kind === "constant" && Number(zero.value) === 0) {
        same.set(s.out, load.out);
        continue;
      }
    }
    if (s.kind === "pointwise") out.push({ ...s, args: s.args.map((v) => same.get(v) ?? v) });
    else if (s.kind === "cast" || s.kind === "bitcast") out.push({ ...s, arg: same.get(s.arg) ?? s.arg });
    else if (s.kind === "lookup") out.push({ ...s, at: same.get(s.at) ?? s.at });
    else out.push(s);
  }
  return { statements: out, value: same.get(value) ?? value };
}

/** What decides whether a whole row of the window lies outside of the input, where all its elements are zero; null where nothing does. */
export function zeroRows(
  { input, inputValue, within, outer }: {
    readonly input: readonly TileStatement[];
    readonly inputValue: TileValue;
    /** Axes of a row. */
    readonly within: readonly Axis[];
    /** Axes that decide. */
    readonly outer: readonly Axis[];
  },
): { readonly statements: readonly TileStatement[]; readonly mask: TileValue } | null {
  if (outer.length === 0) return null;
  const made = new Map<TileValue, TileStatement>();
  for (const s of input) if ("out" in s) made.set(s.out, s);
  const maskOf = (v: TileValue): TileValue | null => {
    const s = made.get(v);
    if (s?.kind === "cast") return maskOf(s.arg);
    return s?.kind === "load" ? s.mask : null;
  };
  const mask = maskOf(inputValue);
  if (mask === null) return null;
  const conjuncts = (v: TileValue): TileValue[] => {
    const s = made.get(v);
    return s?.kind === "pointwise" && s.op === "bitwiseAnd" ? s.args.flatMap(conjuncts) : [v];
  };
  for (const part of conjunctsAndWholes(mask, made, conjuncts)) {
    const statements = neededFor(input, [part]);
    if (statements.length === 0 || statements.some((s) => s.kind === "load")) continue;
    if (statements.some((s) => within.some((axis) => dependsOn(s, axis)))) continue;
    if (!statements.some((s) => outer.some((axis) => dependsOn(s, axis)))) continue;
    return { statements, mask: part };
  }
  return null;
}

/** The whole conditions first that a mask is made of, then their parts. */
function conjunctsAndWholes(
  mask: TileValue,
  made: ReadonlyMap<TileValue, TileStatement>,
  conjuncts: (v: TileValue) => TileValue[],
): TileValue[] {
  const s = made.get(mask);
  const own = s?.kind === "pointwise" && s.op === "bitwiseAnd" ? [...s.args] : [];
  return [mask, ...own, ...conjuncts(mask)];
}
