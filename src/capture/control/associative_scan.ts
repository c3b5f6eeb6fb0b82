/**
 * `associativeScan`: prefixes of an associative combination, as a tree of logarithmic depth.
 *
 * Neighbours are combined, the prefixes of the pairs are found the same way, and those between them take one combination more (Blelloch 1990; twice as many combinations as a loop, in
 * 2·log n steps). Eagerly each combination is a call of the function; in a trace each step is one, on all its slices at once ({@linkcode BatchMode}), so that it fuses and is
 * differentiated like any operators. A length that is a symbol takes the steps of Hillis and Steele, whose number changes only where the length doubles. A function that cannot
 * run on several slices at once is a `scan`, in order. Mirrors `torch.associative_scan` and `jax.lax.associative_scan`.
 */
import { isSymInt, type Size, sizeSub } from "../../symbolic/mod.ts";
import { F, type Tensor } from "../../tensor/mod.ts";
import { CannotBatch, runOnAll } from "./batch.ts";
import { breakHere, type Place } from "./capture.ts";
import { scan, type ScanOptions } from "./loops.ts";
import { CannotCapture, tracing } from "./sub_tracer.ts";
import { checkTree, commonLength, describe, leavesOf, mapTrees, rebuild, type Tree } from "./trees.ts";

/** Combines rows that stand at the same place of two lists. */
type Combine = (a: readonly Tensor[], b: readonly Tensor[]) => readonly Tensor[];

function part(rows: readonly Tensor[], start: number, end: number | null, step = 1): Tensor[] {
  return rows.map((t) => t.slice(0, start, end, step));
}

function join(a: readonly Tensor[], b: readonly Tensor[]): Tensor[] {
  return a.map((t, i) => F.cat([t, b[i] as Tensor], 0));
}

/** Prefixes of `n` rows: pairs first. */
function treeScan(combine: Combine, rows: readonly Tensor[], n: number): readonly Tensor[] {
  if (n < 2) return rows;
  const pairs = combine(part(rows, 0, n - 1, 2), part(rows, 1, null, 2));
  const half = Math.floor(n / 2);
  const odd = treeScan(combine, pairs, half);
  const first = part(rows, 0, 1);
  const between = n % 2 === 0 ? half - 1 : half;
  const even = between === 0 ? first : join(first, combine(part(odd, 0, between), part(rows, 2, null, 2)));
  return odd.map((t, i) => {
    const e = even[i] as Tensor;
    const both = F.stack([e.slice(0, 0, half), t], { dim: 1 }).reshape([2 * half, ...t.shape.slice(1)]);
    return n % 2 === 0 ? both : F.cat([both, e.slice(0, half, null)], 0);
  });
}

/** Prefixes of a number of rows that is a symbol: after each step, rows know twice as many before them. */
function doublingScan(combine: Combine, given: readonly Tensor[], length: Size): readonly Tensor[] {
  let rows = given;
  for (let reach = 1; Number(isSymInt(length) ? length.gt(reach) : length > reach); reach *= 2) {
    const rest = sizeSub(length, reach);
    const before = rows.map((t) => t.narrow(0, 0, rest));
    rows = join(part(rows, 0, reach), combine(before, part(rows, reach, null)));
  }
  return rows;
}

/** Checks what a combination gave. */
function checked(xs: Tree, given: readonly Tensor[], made: unknown): Tensor[] {
  checkTree(made, "associativeScan: combine");
  if (mapTrees([xs, made], ([t]) => t ?? null) === null) {
    throw new TypeError("associativeScan: combine gives another structure than it takes");
  }
  const leaves = leavesOf(made);
  leaves.forEach((t, i) => {
    const like = given[i] as Tensor;
    if (
      t.dtype === like.dtype && t.ndim === like.ndim && t.shape.every((s, d) => Number(s) === Number(like.shape[d]))
    ) return;
    throw new TypeError(
      `associativeScan: combine takes ${describe(like)} and gives ${
        describe(t)
      }; what it gives is combined again, so both must be the same`,
    );
  });
  return leaves;
}

/** Calls the function for each pair of rows. */
function oneByOne<X extends Tree>(combine: (a: X, b: X) => X, xs: X): Combine {
  return (a, b) => {
    const count = Number(a[0]?.shape[0] ?? 0);
    const made = Array.from({ length: count }, (_, i) => {
      const left = a.map((t) => t.select(0, i));
      const right = b.map((t) => t.select(0, i));
      return checked(xs, left, combine(rebuild(xs, left) as X, rebuild(xs, right) as X));
    });
    return a.map((_, k) => F.stack(made.map((m) => m[k] as Tensor), { dim: 0 }));
  };
}

/** Calls the function once for all pairs of rows. */
function allAtOnce<X extends Tree>(place: Place, combine: (a: X, b: X) => X, xs: X): Combine {
  return (a, b) => {
    const before = place.tracer.mark();
    const { mode, result } = runOnAll(a[0]?.shape[0] ?? 0, place.mode, (m) => {
      const left = a.map((t) => m.enter(t));
      const made = combine(rebuild(xs, left) as X, rebuild(xs, b.map((t) => m.enter(t))) as X);
      return checked(xs, left, made);
    });
    if (place.tracer.mark() !== before) {
      breakHere(place, "has a function that prints, assigns or fills something", "let it only compute");
    }
    return result.map((t) => mode.leave(t));
  };
}

/**
 * What `combine` makes of ever longer beginnings of `xs`: `x0`, `combine(x0, x1)`, `combine(combine(x0, x1), x2)`, … stacked along the same dimension.
 *
 * `combine` must be associative, for the order of combination is not part of the meaning: pairs are combined in a tree. It takes and gives slices of `xs`. Differentiable; in a trace all
 * combinations of a level are one, and a length that is a symbol is compiled once for each doubling.
 *
 * @throws {TypeError} if sizes along `dim` differ, there is nothing to walk, or `combine` gives other shapes or dtypes than it takes.
 *
 * @example
 * ```ts
 * import { associativeScan, tensor } from "@tessera/tessera";
 * const products = associativeScan((a, b) => a.mul(b), tensor([1, 2, 3, 4]));
 * console.assert(products.shape[0] === 4);
 * ```
 */
export function associativeScan<X extends Tree>(combine: (a: X, b: X) => X, xs: X, options: ScanOptions = {}): X {
  checkTree(xs, "associativeScan: xs");
  const { dim = 0, reverse = false } = options;
  const length = commonLength("associativeScan", xs, dim);
  // A symbol stands for 2 and more.
  if (length === 0) throw new TypeError("associativeScan: there is nothing to walk, the size is 0");
  const rows = leavesOf(xs).map((t) => reverse ? t.movedim(dim, 0).flip([0]) : t.movedim(dim, 0));
  const finish = (made: readonly Tensor[]): X => {
    // The results are tensors of their own, even where one row is all there is.
    const own = length === 1 ? made.map((t) => t.clone()) : made;
    return rebuild(
      xs,
      own.map((t, i) => (reverse ? t.flip([0]) : t).movedim(0, dim < 0 ? (rows[i] as Tensor).ndim + dim : dim)),
    ) as X;
  };
  const walk = (step: Combine): readonly Tensor[] =>
    isSymInt(length) ? doublingScan(step, rows, length) : treeScan(step, rows, length);
  const trace = tracing();
  if (trace === null) return finish(walk(oneByOne(combine, xs)));
  const place: Place = { ...trace, where: "associativeScan" };
  try {
    return finish(walk(allAtOnce(place, combine, xs)));
  } catch (error) {
    if (!(error instanceof CannotBatch || error instanceof CannotCapture)) throw error;
    trace.tracer.remark(`associativeScan() runs in order: ${error.message}`);
    return inOrder(combine, xs, dim, reverse);
  }
}

/** As a scan, from the first slice on. */
function inOrder<X extends Tree>(combine: (a: X, b: X) => X, xs: X, dim: number, reverse: boolean): X {
  const head = mapTrees([xs], ([t]) => t?.select(dim, reverse ? -1 : 0).clone() ?? null) as X;
  const first = mapTrees([head], ([t]) => t?.unsqueeze(dim < 0 ? dim + t.ndim + 1 : dim) ?? null) as X;
  const rest = mapTrees([xs], ([t]) => t?.slice(dim, reverse ? 0 : 1, reverse ? -1 : null) ?? null) as X;
  if (commonLength("associativeScan", rest, dim) === 0) return first;
  const [, ys] = scan(
    (a: X, b: X) => {
      const next = combine(a, b);
      return [next, next];
    },
    head,
    rest,
    { dim, reverse },
  );
  const parts = reverse ? [ys, first] : [first, ys];
  const joined = mapTrees(parts as readonly Tree[], (leaves) => F.cat(leaves, dim));
  if (joined === null) throw new TypeError("associativeScan: combine gives another structure than it takes");
  return joined as X;
}
