/**
 * Operands of attention as the copy engine sees them: rows of contiguous halves, and what moves them from batch to batch.
 *
 * Enters: an operand's flat index. Leaves: its parts, if each is a multiple of 8 elements (16 bytes) and at most three expressions over the batch axes
 * choose the matrix: a tensor map has five dimensions. Such an expression may be a quotient, as where several heads of queries share one of keys.
 */
import {
  coefficient,
  constant,
  constantValue,
  type Expr,
  factorsOf,
  freeSymbols,
  mod,
  mul,
  substitute,
  type Sym,
  termsOf,
} from "../symbolic/mod.ts";

/** A matrix among others in memory. */
export interface MappedMatrix {
  /** Elements before the first. */
  readonly offset: Expr;
  /** Elements from row to row. */
  readonly stride: Expr;
  /** What chooses the matrix: positions, the elements that one more of each skips, and one more than the last position. */
  readonly batch: readonly { readonly at: Expr; readonly stride: Expr; readonly size: Expr }[];
}

const isFixed = (e: Expr): boolean => [...freeSymbols(e)].every((s) => s.kind === "size" || s.kind === "unbacked");
const isRun = (e: Expr): boolean => constantValue(mod(e, 8)) === 0;

/** The matrix over a row and a column that an index describes; null where the copy engine cannot read it. `extents` are those of batch axes and rows. */
export function mappedMatrix(
  index: Expr,
  row: Sym,
  column: Sym,
  extents: ReadonlyMap<Sym, Expr>,
): MappedMatrix | null {
  const along = coefficient(index, column), known = coefficient(index, row);
  // One row is as far from the next as one likes.
  const isSingle = constantValue(extents.get(row) ?? constant(0)) === 1;
  const stride = isSingle ? constant(8) : known;
  if (along === null || stride === null || constantValue(along) !== 1 || !isFixed(stride)) return null;
  const rest = substitute(index, new Map([[row, constant(0)], [column, constant(0)]]));
  let offset = rest;
  const batch: { at: Expr; stride: Expr; size: Expr }[] = [];
  for (const { coefficient: by, factor } of termsOf(rest)) {
    if (isFixed(factor)) continue;
    const moving = factorsOf(factor).filter((f) => !isFixed(f));
    const [at] = moving;
    if (at === undefined || moving.length > 1) return null;
    const step = mul(constant(by), ...factorsOf(factor).filter(isFixed));
    const own = [...freeSymbols(at)].filter((s) => s.kind === "index");
    const [only] = own;
    const size = at.kind === "symbol" && only !== undefined
      ? extents.get(only)
      : Number.isFinite(at.upper)
      ? constant(at.upper + 1)
      : undefined;
    if (size === undefined || at.lower < 0 || !isRun(step) || step.lower < 8) return null;
    batch.push({ at, stride: step, size });
    offset = substitute(offset, new Map(own.map((s) => [s, constant(0)])));
  }
  if (batch.length > 3 || !isRun(offset) || !isFixed(offset) || !isRun(stride) || stride.lower < 8) return null;
  return { offset, stride, batch };
}
