/**
 * Sums over windows that leave what they slide over: depthwise convolutions, average pooling.
 *
 * Written as they stand, such a nest asks of each lane at each place of the window whether it lies inside. Here the loop on which that depends goes outside, so that the lanes' masks are
 * made once for all places along the other axes; where a place lies outside for all lanes, it is skipped; and what is masked off is 0 as it is loaded. Each
 * round of the outer loop has sums of its own, so that additions need not wait for each other, and products are added without being rounded.
 */
import { bool, float32 } from "../../../core/mod.ts";
import { constantValue, dependsOn } from "../../../symbolic/mod.ts";
import { operandsOf } from "../../tile/parameters.ts";
import type { Axis, KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CppFunction } from "./emit_kernel.ts";
import { isPure, type Loop } from "./pairs.ts";

/** Larger windows are rather reductions. */
const MOST_PLACES = 400;

/** What is "and" of truth values. */
const BOTH: ReadonlySet<string> = new Set(["bitwiseAnd", "mul", "minimum"]);

type Load = TileStatement & { readonly kind: "load" };

/** A nest of loops as a sum over a window. */
export interface Window {
  readonly accumulator: TileValue;
  /** The loops, the one outermost on which the lanes' masks depend. */
  readonly axes: readonly Axis[];
  /** What must hold for all lanes, and for each. */
  readonly conditions: readonly TileValue[];
  readonly masks: readonly TileValue[];
  readonly load: Load;
  /** What the load is multiplied by; null for a plain sum. */
  readonly factor: TileValue | null;
  /** What all this is computed from. */
  readonly rest: readonly TileStatement[];
}

/** The loops of a nest, outermost first, and all that stands in them; null where something stands behind an inner loop. */
function flatten(nest: Loop): { readonly axes: Axis[]; readonly body: TileStatement[] } | null {
  const axes: Axis[] = [];
  const body: TileStatement[] = [];
  for (let at: Loop | null = nest; at !== null;) {
    if (at.split || at.axis.block > 1) return null;
    axes.push(at.axis);
    const last: TileStatement | undefined = at.body[at.body.length - 1];
    const inner: Loop | null = last?.kind === "for" ? last : null;
    body.push(...(inner === null ? at.body : at.body.slice(0, -1)));
    at = inner;
  }
  return { axes, body };
}

/** A nest as a sum over a window, given constants that stand around it, with masks along the vector axis or across it; null where it is none. */
export function planWindow(
  kernel: KernelBase,
  nest: Loop,
  constants: ReadonlyMap<TileValue, number | bigint>,
): Window | null {
  const flat = flatten(nest);
  if (flat === null) return null;
  const { axes, body } = flat;
  if (axes.reduce((n, axis) => n * (constantValue(axis.extent) ?? Infinity), 1) > MOST_PLACES) return null;
  const sums = body.filter((s) => s.kind === "accumulate");
  const [sum] = sums;
  if (sum?.kind !== "accumulate" || sums.length > 1 || sum.op !== "sum") return null;
  if (sum.accumulator.dtype !== float32 || sum.accumulator.axes.length !== 1) return null;
  if (!body.every((s) => isPure(s) || s === sum)) return null;
  const made = new Map(body.flatMap((s) => "out" in s ? [[s.out, s] as const] : []));
  // The statements that are written in another way, unless somebody else needs them.
  const taken = new Set<TileStatement>([sum]);
  const take = (v: TileValue): TileStatement | null => {
    const s = made.get(v);
    if (s === undefined || body.filter((own) => operandsOf(own).includes(v)).some((own) => !taken.has(own))) {
      return null;
    }
    taken.add(s);
    return s;
  };
  const chosen = (v: TileValue): { readonly load: Load; readonly mask: TileValue } | null => {
    const choice = made.get(v);
    if (choice?.kind !== "pointwise" || choice.op !== "where") return null;
    const [mask, loaded, other] = choice.args;
    const load = loaded === undefined ? undefined : made.get(loaded);
    if (mask === undefined || load?.kind !== "load" || load.mask !== mask) return null;
    const isZero = other !== undefined && Object.is(Number(constants.get(other)), 0);
    return isZero && load.buffer.dtype === float32 && !kernel.writes.includes(load.buffer) ? { load, mask } : null;
  };
  const product = take(sum.value);
  if (product === null) return null;
  const factors = product.kind === "pointwise" && product.op === "mul" ? product.args : [sum.value];
  const at = factors.findIndex((v) => chosen(v) !== null);
  const value = factors[at];
  const found = value === undefined ? null : chosen(value);
  if (found === null || value === undefined || take(value) === null || take(found.load.out) === null) return null;
  if (found.load.out.axes.length !== 1) return null;
  const leaves: TileValue[] = [];
  const open = (v: TileValue): void => {
    const s = made.get(v);
    const isBoth = s?.kind === "pointwise" && BOTH.has(s.op) && s.args.every((own) => own.dtype === bool);
    if (isBoth && take(v) !== null) s.args.forEach(open);
    else leaves.push(v);
  };
  open(found.mask);
  const masks = leaves.filter((v) => v.axes.length > 0);
  return {
    accumulator: sum.accumulator,
    axes: inOrder(axes, masks, made),
    conditions: leaves.filter((v) => v.axes.length === 0),
    masks,
    load: found.load,
    factor: factors[1 - at] ?? null,
    rest: body.filter((s) => !taken.has(s)),
  };
}

/** The loops with the one outermost on which masks depend; as they are where several do. */
function inOrder(
  axes: readonly Axis[],
  masks: readonly TileValue[],
  made: ReadonlyMap<TileValue, TileStatement>,
): readonly Axis[] {
  const needs = (v: TileValue, axis: Axis): boolean => {
    const s = made.get(v);
    if (s === undefined) return false;
    if (s.kind === "index") return dependsOn(s.expr, axis.symbol);
    return operandsOf(s).some((own) => own !== null && needs(own, axis));
  };
  const outer = axes.filter((axis) => masks.some((v) => needs(v, axis)));
  return outer.length > 1 ? axes : [...outer, ...axes.filter((axis) => !outer.includes(axis))];
}

/** Writes a window; `load` gives the text of a part of the load under another mask, `sums` names the accumulator's parts. */
export function writeWindow(
  f: CppFunction,
  { axes, conditions, masks, load, factor, rest }: Window,
  sums: readonly string[],
  loadText: (load: Load, mask: TileValue | null, part: number) => string,
): void {
  const s = f.scopes;
  const parts = Array.from({ length: f.parts }, (_, u) => u);
  const t = s.fresh("t");
  const mask: TileValue | null = masks.length === 0 ? null : { id: -1, dtype: bool, axes: load.out.axes };
  const inside = (i: number): void => {
    const axis = axes[i];
    if (axis !== undefined) {
      f.overAxis(axis, () => {
        if (i === 0) s.line(`vf32 ${parts.map((u) => `${t}_${u} = {}`).join(", ")};`);
        inside(i + 1);
        if (i === 0) { for (const u of parts) s.line(`${sums[u]} += ${t}_${u};`); }
      });
      return;
    }
    f.statements(rest);
    if (mask !== null) {
      f.define(mask, true, f.levelOf(masks), (u) => masks.map((v) => f.operand(v, true, "mask", u)).join(" & "));
    }
    if (conditions.length > 0) s.line(`if (!(${conditions.map((v) => f.scalar(v)).join(" & ")})) continue;`);
    for (const u of parts) {
      const text = loadText(load, mask, u);
      s.line(
        factor === null
          ? `${t}_${u} += ${text};`
          : `${t}_${u} = vfma(${text}, ${f.operand(factor, true, "f32", u)}, ${t}_${u});`,
      );
    }
  };
  inside(0);
}
