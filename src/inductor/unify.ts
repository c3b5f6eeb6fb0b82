/**
 * Common iteration spaces for two groups.
 *
 * Enters: two groups' axes and the accesses that they share. Leaves: the ways in which both can be said over one set of axes, best first. A group
 * without a reduction takes the reduction's axes, as inner stages if it has as many elements as axes and reduced axes together, as outer
 * stages if it has as many as the axes; where it is the finer of both, its symbols become the common ones.
 */
import { extentOf, type LoopVar } from "../loops/mod.ts";
import { add, constant, type Expr, freeSymbols, mul, symbol } from "../symbolic/mod.ts";
import type { Hint } from "./loop_space.ts";
import { candidateMaps, digitsOf, isOneToOne, type LoopMap, type SharedAccess, spaceNumel } from "./loop_maps.ts";

/** The axes of a group: what it iterates over, and what it reduces. */
export interface Space {
  readonly axes: readonly LoopVar[];
  readonly reduceAxes: readonly LoopVar[];
  /** Positions in the reduced space have a meaning (argmax). */
  readonly orderedReduction: boolean;
}

/** Both groups over one space. */
export interface Unification {
  readonly axes: readonly LoopVar[];
  readonly reduceAxes: readonly LoopVar[];
  readonly mapA: LoopMap;
  readonly mapB: LoopMap;
  /** Where stages of a group without reduction run. */
  readonly spaceA: "outer" | "inner";
  readonly spaceB: "outer" | "inner";
  /** The group whose reductions are carried over the rows of the other one. */
  readonly carried?: "a" | "b";
  /** The second group finishes what the first one carries, after all iterations. */
  readonly isFinal?: true;
}

const NO_MAP: LoopMap = new Map();

function all(space: Space): LoopVar[] {
  return [...space.axes, ...space.reduceAxes];
}

function usesOnly(map: LoopMap, from: readonly LoopVar[], allowed: readonly LoopVar[]): boolean {
  const set = new Set(allowed);
  return from.every((v) => [...freeSymbols(map.get(v) ?? symbol(v))].every((s) => s.kind !== "index" || set.has(s)));
}

function rowMajor(vars: readonly LoopVar[], map: LoopMap): Expr {
  let stride = constant(1);
  const terms: Expr[] = [];
  for (const v of [...vars].reverse()) {
    terms.push(mul(map.get(v) ?? symbol(v), stride));
    stride = mul(stride, extentOf(v));
  }
  return add(...terms);
}

function keepsOrder(vars: readonly LoopVar[], map: LoopMap, to: readonly LoopVar[]): boolean {
  return rowMajor(vars, map) === rowMajor(to, NO_MAP);
}

/** Ways to say `x` with the symbols of `y`. `x` may have a reduction only if `y` has one. */
function ontoSpace(
  x: Space,
  y: Space,
  shared: readonly SharedAccess[],
  hint: Hint,
): { readonly map: LoopMap; readonly space: "outer" | "inner" }[] {
  const out: { map: LoopMap; space: "outer" | "inner" }[] = [];
  if (x.reduceAxes.length > 0) {
    const offer = (map: LoopMap): void => {
      if (!usesOnly(map, x.axes, y.axes) || !usesOnly(map, x.reduceAxes, y.reduceAxes)) return;
      if (!isOneToOne(map, x.axes, y.axes) || !isOneToOne(map, x.reduceAxes, y.reduceAxes)) return;
      if ((x.orderedReduction || y.orderedReduction) && !keepsOrder(x.reduceAxes, map, y.reduceAxes)) return;
      out.push({ map, space: "outer" });
    };
    if (spaceNumel(x.axes) !== spaceNumel(y.axes)) return [];
    for (const map of candidateMaps(all(x), all(y), shared, hint)) offer(map);
    for (const outer of candidateMaps(x.axes, y.axes, [], hint)) {
      for (const inner of candidateMaps(x.reduceAxes, y.reduceAxes, [], hint)) offer(new Map([...outer, ...inner]));
    }
    return out;
  }
  if (y.reduceAxes.length > 0) {
    for (const map of candidateMaps(x.axes, all(y), shared, hint)) out.push({ map, space: "inner" });
  }
  for (const map of candidateMaps(x.axes, y.axes, shared, hint)) out.push({ map, space: "outer" });
  return out;
}

/** Splits `vars` into those that the images of each class use; null if a symbol is used twice or not at all. */
export function partitionByUse(
  classes: readonly (readonly LoopVar[])[],
  map: LoopMap,
  vars: readonly LoopVar[],
): LoopVar[][] | null {
  const out: LoopVar[][] = [];
  const used = new Set<LoopVar>();
  for (const members of classes) {
    const mine = new Set<LoopVar>();
    for (const v of members) {
      for (const sym of freeSymbols(map.get(v) ?? symbol(v))) if (sym.kind === "index") mine.add(sym);
    }
    for (const sym of mine) {
      if (used.has(sym)) return null;
      used.add(sym);
    }
    const list = vars.filter((v) => mine.has(v));
    if (!isOneToOne(map, members, list)) return null;
    const ordered = digitsOf(rowMajor(members, map), list);
    if (ordered === null) return null;
    out.push(ordered);
  }
  return used.size === vars.length ? out : null;
}

/** Ways to say the reducing space `x` with the finer symbols of `y`, which reduces nothing. */
function ontoFiner(
  x: Space,
  y: Space,
  shared: readonly SharedAccess[],
  hint: Hint,
): {
  readonly map: LoopMap;
  readonly axes: LoopVar[];
  readonly reduceAxes: LoopVar[];
  readonly space: "outer" | "inner";
}[] {
  const out: { map: LoopMap; axes: LoopVar[]; reduceAxes: LoopVar[]; space: "outer" | "inner" }[] = [];
  for (const map of candidateMaps(all(x), y.axes, shared, hint)) {
    const parts = partitionByUse([x.axes, x.reduceAxes], map, y.axes);
    const [axes, reduceAxes] = parts ?? [];
    if (axes === undefined || reduceAxes === undefined) continue;
    if (x.orderedReduction && !keepsOrder(x.reduceAxes, map, reduceAxes)) continue;
    out.push({ map, axes, reduceAxes, space: "inner" });
  }
  for (const map of candidateMaps(x.axes, y.axes, shared, hint)) {
    out.push({ map, axes: [...y.axes], reduceAxes: [...x.reduceAxes], space: "outer" });
  }
  return out;
}

/** All ways to run groups over spaces `a` and `b` in one loop nest. `shared` lists accesses of one buffer (from b, to a). */
export function unifySpaces(a: Space, b: Space, shared: readonly SharedAccess[], hint: Hint): Unification[] {
  const reversed = shared.map(({ from, to }) => ({ from: to, to: from }));
  const out: Unification[] = [];
  const bOntoA = (): void => {
    for (const { map, space } of ontoSpace(b, a, shared, hint)) {
      out.push({ axes: a.axes, reduceAxes: a.reduceAxes, mapA: NO_MAP, mapB: map, spaceA: "outer", spaceB: space });
    }
  };
  const aOntoB = (): void => {
    for (const { map, space } of ontoSpace(a, b, reversed, hint)) {
      out.push({ axes: b.axes, reduceAxes: b.reduceAxes, mapA: map, mapB: NO_MAP, spaceA: space, spaceB: "outer" });
    }
  };
  const aReduces = a.reduceAxes.length > 0;
  const bReduces = b.reduceAxes.length > 0;
  if (aReduces === bReduces) {
    // The space with more axes is the finer one; splitting the other needs no division.
    if (all(a).length >= all(b).length) {
      bOntoA();
      if (out.length === 0) aOntoB();
    } else {
      aOntoB();
      if (out.length === 0) bOntoA();
    }
  } else if (aReduces) {
    bOntoA();
    if (out.length === 0) {
      for (const { map, axes, reduceAxes, space } of ontoFiner(a, b, reversed, hint)) {
        out.push({ axes, reduceAxes, mapA: map, mapB: NO_MAP, spaceA: "outer", spaceB: space });
      }
    }
  } else {
    aOntoB();
    if (out.length === 0) {
      for (const { map, axes, reduceAxes, space } of ontoFiner(b, a, shared, hint)) {
        out.push({ axes, reduceAxes, mapA: NO_MAP, mapB: map, spaceA: space, spaceB: "outer" });
      }
    }
  }
  return out;
}
