/**
 * Maps between iteration spaces: how the loop symbols of one group are said with the symbols of another, so that both visit the same
 * element at the same time.
 *
 * Candidates are the identity, the map that makes a buffer which both touch be touched at the same element (this finds every permutation,
 * split and merge of dimensions), and row-major flattening. A map is used only if it is proven one-to-one: the row-major position of the mapped
 * symbols must be a mixed-radix number over the target's symbols, each once. No candidate with a division is accepted: instead
 * the roles are swapped, so that the finer of both spaces becomes the common one. Mirrors loop reordering and `IterationRanges` of TorchInductor.
 */
import { extentOf, type LoopVar, loopVar } from "../loops/mod.ts";
import {
  add,
  coefficient,
  constant,
  constantValue,
  dependsOn,
  type Expr,
  floorDiv,
  freeSymbols,
  mod,
  mul,
} from "../symbolic/mod.ts";
import { sub, substitute, type Sym, symbol } from "../symbolic/mod.ts";
import type { Hint } from "./loop_space.ts";

/** Says each symbol of one space with symbols of another. */
export type LoopMap = ReadonlyMap<Sym, Expr>;

/** An access of the same buffer from both spaces. */
export interface SharedAccess {
  readonly from: Expr;
  readonly to: Expr;
}

/** The number of iterations. */
export function spaceNumel(vars: readonly LoopVar[]): Expr {
  return vars.reduce((size, v) => mul(size, extentOf(v)), constant(1));
}

/** The row-major position in a space. */
function linearPosition(vars: readonly LoopVar[], at: (v: LoopVar) => Expr): Expr {
  let stride = constant(1);
  const terms: Expr[] = [];
  for (const v of [...vars].reverse()) {
    terms.push(mul(at(v), stride));
    stride = mul(stride, extentOf(v));
  }
  return add(...terms);
}

/** Tells whether an expression is a mixed-radix number whose digits are exactly `vars`, in any order of significance. */
export function isMixedRadix(e: Expr, vars: readonly LoopVar[]): boolean {
  return digitsOf(e, vars) !== null;
}

/** The symbols of a mixed-radix number, most significant first; null if it is none. */
export function digitsOf(e: Expr, vars: readonly LoopVar[]): LoopVar[] | null {
  const left = new Map<LoopVar, Expr>();
  let rest = e;
  for (const v of vars) {
    const factor = coefficient(e, v);
    if (factor === null || vars.some((w) => dependsOn(factor, w))) return null;
    left.set(v, factor);
    rest = sub(rest, mul(factor, symbol(v)));
  }
  if (!(rest.kind === "const" && rest.value === 0)) return null;
  const digits: LoopVar[] = [];
  let expected = constant(1);
  while (left.size > 0) {
    const next = [...left].find(([, factor]) => factor === expected);
    if (next === undefined) return null;
    digits.unshift(next[0]);
    left.delete(next[0]);
    expected = mul(expected, extentOf(next[0]));
  }
  return digits;
}

/**
 * Tells whether an image counts from 0 to the symbol's extent: the row-major position alone would also let one symbol run past its end
 * where the next one makes up for it.
 */
function staysInRange(v: LoopVar, image: Expr): boolean {
  const vars = [...freeSymbols(image)].filter((s): s is LoopVar => s.kind === "index");
  return isMixedRadix(image, vars) && spaceNumel(vars) === extentOf(v);
}

/** Tells whether the map visits every point of `from` exactly once as `to` is walked. */
export function isOneToOne(map: LoopMap, from: readonly LoopVar[], to: readonly LoopVar[]): boolean {
  if (spaceNumel(from) !== spaceNumel(to)) return false;
  const position = linearPosition(from, (v) => map.get(v) ?? symbol(v));
  return isMixedRadix(position, to) && from.every((v) => staysInRange(v, map.get(v) ?? symbol(v)));
}

function hasDivision(e: Expr): boolean {
  switch (e.kind) {
    case "const":
    case "symbol":
      return false;
    case "add":
      return e.terms.some((t) => hasDivision(t.factor));
    case "mul":
      return e.factors.some(hasDivision);
    case "floorDiv":
    case "mod":
      // Divisions of sizes are numbers at run time; divisions of loop symbols cost one an element.
      return [...freeSymbols(e)].some((s) => s.kind === "index");
    case "min":
    case "max":
      return e.args.some(hasDivision);
    case "where":
      return true;
    default:
      return e satisfies never;
  }
}

/** The map that lets `from` touch the element that `to` touches; null if the access does not determine the symbols. */
function invertAccess(from: readonly LoopVar[], shared: SharedAccess, hint: Hint): LoopMap | null {
  const strides: { v: LoopVar; stride: Expr }[] = [];
  let base = shared.from;
  for (const v of from) {
    const stride = coefficient(shared.from, v);
    if (stride === null || (stride.kind === "const" && stride.value <= 0)) return null;
    if (from.some((w) => dependsOn(stride, w))) return null;
    strides.push({ v, stride });
    base = substitute(base, new Map([[v, constant(0)]]));
  }
  strides.sort((a, b) => hint(b.stride) - hint(a.stride));
  const map = new Map<Sym, Expr>();
  let rest = sub(shared.to, base);
  for (const { v, stride } of strides) {
    // The greatest stride first: what is left below it belongs to the finer symbols.
    map.set(v, floorDiv(rest, stride));
    rest = mod(rest, stride);
  }
  return map;
}

function identityMap(from: readonly LoopVar[], to: readonly LoopVar[]): LoopMap | null {
  if (from.length !== to.length) return null;
  const map = new Map<Sym, Expr>();
  for (let i = 0; i < from.length; i++) {
    const [f, t] = [from[i], to[i]];
    if (f === undefined || t === undefined || extentOf(f) !== extentOf(t)) return null;
    map.set(f, symbol(t));
  }
  return map;
}

function rowMajorMap(from: readonly LoopVar[], to: readonly LoopVar[]): LoopMap {
  const map = new Map<Sym, Expr>();
  let rest = linearPosition(to, symbol);
  for (let i = from.length - 1; i >= 0; i--) {
    const v = from[i];
    if (v === undefined) continue;
    const extent = extentOf(v);
    map.set(v, i === 0 ? rest : mod(rest, extent));
    rest = floorDiv(rest, extent);
  }
  return map;
}

function isZeroSpace(vars: readonly LoopVar[]): boolean {
  return vars.some((v) => {
    const extent = extentOf(v);
    return extent.kind === "const" && extent.value === 0;
  });
}

const MAX_ACCESSES = 6;

/**
 * All one-to-one maps worth trying from `from` to `to`, the plainest first, without divisions. Empty if the spaces differ in size or no map is
 * found.
 */
export function candidateMaps(
  from: readonly LoopVar[],
  to: readonly LoopVar[],
  shared: readonly SharedAccess[],
  hint: Hint,
): LoopMap[] {
  if (spaceNumel(from) !== spaceNumel(to)) return [];
  if (isZeroSpace(from) || isZeroSpace(to)) return [];
  const out: LoopMap[] = [];
  const seen = new Set<string>();
  const offer = (map: LoopMap | null): void => {
    if (map === null) return;
    const key = from.map((v) => map.get(v)?.id ?? -1).join(",");
    if (seen.has(key)) return;
    seen.add(key);
    if (from.some((v) => hasDivision(map.get(v) ?? constant(0)))) return;
    if (isOneToOne(map, from, to)) out.push(map);
  };
  offer(identityMap(from, to));
  for (const access of shared.slice(0, MAX_ACCESSES)) offer(invertAccess(from, access, hint));
  offer(rowMajorMap(from, to));
  return out;
}

/**
 * Axes cut where the other space's axes begin: neither of two spaces need be the finer one, as where one has (batch · head, channel) and the other (batch, head ·
 * channel) of the same memory. Null where nothing is to be cut.
 */
export function cutAtStrides(
  classes: readonly (readonly LoopVar[])[],
  others: readonly LoopVar[],
  shared: readonly SharedAccess[],
): { readonly classes: LoopVar[][]; readonly map: LoopMap; readonly shared: SharedAccess[] } | null {
  const map = new Map<Sym, Expr>();
  const strideIn = (e: Expr, v: LoopVar): number => constantValue(coefficient(e, v) ?? constant(0)) ?? 0;
  const cut = (v: LoopVar): LoopVar[] => {
    const extent = constantValue(extentOf(v)) ?? 0;
    for (const { from, to } of shared.slice(0, MAX_ACCESSES)) {
      const own = strideIn(to, v);
      for (const other of own <= 0 ? [] : others) {
        const size = strideIn(from, other) / own;
        if (!Number.isInteger(size) || size <= 1 || size >= extent || extent % size !== 0) continue;
        const [high, low] = [
          loopVar(constant(extent / size), v.name.charAt(0)),
          loopVar(constant(size), v.name.charAt(0)),
        ];
        map.set(v, add(mul(symbol(high), size), symbol(low)));
        return [high, low];
      }
    }
    return [v];
  };
  const found = classes.map((list) => list.flatMap(cut));
  if (map.size === 0) return null;
  return { classes: found, map, shared: shared.map(({ from, to }) => ({ from, to: substitute(to, map) })) };
}
