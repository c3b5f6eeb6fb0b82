/**
 * Control flow on data, written so that capture can follow it: `cond`, `whileLoop`, `scan`.
 *
 * Eagerly these are plain JavaScript. Under capture a `cond` whose condition is a tensor runs both branches in the trace and chooses by `where`, which is the same
 * only if neither branch writes, draws, prints or keeps anything, both give tensors of one shape, dtype and device, and no gradient flows through it (a derivative that is infinite in
 * the branch not taken would turn into NaN); else the trace ends there and the call runs eagerly. A `scan` is unrolled into the graph. A `whileLoop` whose condition
 * is a tensor ends the trace. Mirrors `torch.cond`, `torch.while_loop` and `torch.scan` of PyTorch.
 */
import { bool } from "../core/mod.ts";
import { activeMode, F, isGradEnabled, storageClock, suspendMode, Tensor } from "../tensor/mod.ts";
import { registerLibrary } from "./library.ts";
import { Tracer } from "./tracer.ts";

/** Tensors, and arrays and plain objects of them. */
export type Tree = Tensor | readonly Tree[] | { readonly [key: string]: Tree };

function isRecord(tree: Tree): tree is { readonly [key: string]: Tree } {
  return !(tree instanceof Tensor) && !Array.isArray(tree) && typeof tree === "object" && tree !== null;
}

/** Applies `f` to the tensors of trees of one structure; null if their structures differ. */
function mapTrees(trees: readonly Tree[], f: (leaves: readonly Tensor[]) => Tensor | null): Tree | null {
  const [first] = trees;
  if (first === undefined) return null;
  const tensors = trees.filter((t) => t instanceof Tensor);
  if (tensors.length === trees.length) return f(tensors);
  if (Array.isArray(first)) {
    const lists = trees.filter((t): t is readonly Tree[] => Array.isArray(t) && t.length === first.length);
    if (lists.length !== trees.length) return null;
    const items = first.map((_, i) => mapTrees(lists.map((l) => l[i] as Tree), f));
    return items.includes(null) ? null : items as Tree[];
  }
  if (!isRecord(first)) return null;
  const keys = Object.keys(first);
  const records = trees.filter(isRecord);
  if (records.length !== trees.length || records.some((r) => Object.keys(r).join() !== keys.join())) return null;
  const out: Record<string, Tree> = {};
  for (const key of keys) {
    const item = mapTrees(records.map((r) => r[key] as Tree), f);
    if (item === null) return null;
    out[key] = item;
  }
  return out;
}

function checkTree(tree: unknown, where: string): asserts tree is Tree {
  if (tree instanceof Tensor) return;
  if (Array.isArray(tree)) return tree.forEach((t) => checkTree(t, where));
  if (typeof tree === "object" && tree !== null) return Object.values(tree).forEach((t) => checkTree(t, where));
  throw new TypeError(
    `${where}: gives ${tree === null ? "null" : typeof tree}; give tensors, or arrays and plain objects of them`,
  );
}

/** Results own their memory whichever way they were made: a tensor that was there before is copied. */
function ownResults(tree: Tree, start: number): Tree {
  return mapTrees([tree], ([t]) => t === undefined ? null : t.storage.id < start ? t.clone() : t) as Tree;
}

function tracing(): Tracer | null {
  const mode = activeMode();
  return mode instanceof Tracer ? mode : null;
}

function checkScalar(pred: Tensor, where: string): void {
  if (Number(pred.numel) !== 1) {
    throw new TypeError(`${where}: the condition must have one element, got shape [${pred.shape.join(", ")}]`);
  }
}

/**
 * Runs one of two functions: `trueFn` if the condition holds, else `falseFn`. The results are tensors of their own, never the operands themselves.
 *
 * @param pred A boolean or number, or a tensor with one element.
 * @param operands What both functions are called with.
 * @throws {TypeError} if the condition has more than one element, or a branch gives anything but tensors, arrays and plain objects of them.
 *
 * @example
 * ```ts
 * import { cond, tensor } from "@tessera/tessera";
 * const x = tensor([1.5, -2]);
 * const y = cond(x.sum().gt(0), (t) => t.mul(2), (t) => t.neg(), [x]);
 * console.assert(y.shape[0] === 2);
 * ```
 */
export function cond<A extends unknown[], R extends Tree>(
  pred: boolean | number | Tensor,
  trueFn: (...operands: NoInfer<A>) => R,
  falseFn: (...operands: NoInfer<A>) => R,
  operands: readonly [...A],
): R {
  const run = (fn: (...operands: A) => R): R => {
    const start = storageClock();
    const result: unknown = fn(...operands);
    checkTree(result, "cond");
    return ownResults(result, start) as R;
  };
  if (!(pred instanceof Tensor)) return run(pred ? trueFn : falseFn);
  checkScalar(pred, "cond");
  const tracer = tracing();
  if (tracer === null) return run(pred.item() ? trueFn : falseFn);
  const stop = (reason: string): never =>
    suspendMode(
      tracer,
      () =>
        tracer.breakGraph(
          `cond() ${reason}`,
          "make both branches pure, of one shape and without gradients, or use where()",
        ),
    );
  const before = tracer.mark();
  const [yes, no] = [run(trueFn), run(falseFn)];
  if (tracer.mark() !== before) stop("has a branch that writes, draws random numbers, prints or assigns");
  const flag = pred.reshape([]).to(bool);
  let reason = "has branches whose results differ in structure";
  const chosen = mapTrees([yes, no], ([a, b]) => {
    if (a === undefined || b === undefined) return null;
    const fits = a.dtype === b.dtype && a.device === b.device && a.ndim === b.ndim &&
      a.shape.every((size, d) => Number(size) === Number(b.shape[d]));
    if (!fits) reason = "has branches whose results differ in shape, dtype or device";
    else if (isGradEnabled() && (a.requiresGrad || b.requiresGrad)) reason = "is differentiated";
    else return F.where(flag, a, b);
    return null;
  });
  return chosen === null ? stop(reason) : chosen as R;
}

/**
 * Repeats `body` while `condition` holds, and gives the last operands.
 *
 * Under capture a loop whose condition is a boolean or number is unrolled; one whose condition is a tensor ends the trace.
 *
 * @param condition Gives a boolean or number, or a tensor with one element.
 * @param body Gives the next operands, as many as it gets.
 * @throws {TypeError} if the condition has more than one element, or `body` gives another number of operands.
 *
 * @example
 * ```ts
 * import { tensor, whileLoop } from "@tessera/tessera";
 * const [x] = whileLoop((x) => x.sum().lt(10), (x) => [x.mul(2)], [tensor([1.5])]);
 * console.assert(x.item() === 12);
 * ```
 */
export function whileLoop<A extends unknown[]>(
  condition: (...operands: NoInfer<A>) => boolean | number | Tensor,
  body: (...operands: NoInfer<A>) => readonly [...{ [K in keyof A]: NoInfer<A[K]> }],
  operands: readonly [...A],
): A {
  let at = operands as unknown as A;
  for (;;) {
    const go = condition(...at);
    if (go instanceof Tensor) {
      checkScalar(go, "whileLoop");
      const tracer = tracing();
      if (tracer !== null) {
        suspendMode(tracer, () =>
          tracer.breakGraph(
            "whileLoop() asks data how often to run",
            "use a number of rounds that is known, or call it outside of the compiled function",
          ));
      }
      if (!go.item()) return at;
    } else if (!go) return at;
    const next = body(...at);
    if (!Array.isArray(next) || next.length !== operands.length) {
      throw new TypeError(`whileLoop: body must give an array of ${operands.length} operands`);
    }
    at = next as unknown as A;
  }
}

/** Options of {@linkcode scan}. */
export interface ScanOptions {
  /** The dimension that is walked. Default 0. */
  readonly dim?: number;
  /** Walk from the end; results stand in the order of `xs` all the same. */
  readonly reverse?: boolean;
}

/**
 * Walks a dimension of `xs` with a carried state: `combine(carry, x)` gives the next carry and a result; results are stacked along the same dimension.
 *
 * Differentiable. Under capture it is unrolled, so that a graph serves one length.
 *
 * @param init The first carry.
 * @param xs Tensors of one size along `dim`.
 * @returns The last carry and the stacked results.
 * @throws {TypeError} if sizes along `dim` differ or there is nothing to walk.
 *
 * @example
 * ```ts
 * import { scan, tensor } from "@tessera/tessera";
 * const [sum, sums] = scan((s, x) => [s.add(x), s.add(x)], tensor(0), tensor([1, 2, 3]));
 * console.assert(sum.item() === 6 && sums.shape[0] === 3);
 * ```
 */
export function scan<C extends Tree, X extends Tree, Y extends Tree>(
  combine: (carry: C, x: X) => readonly [carry: C, y: Y],
  init: C,
  xs: X,
  options: ScanOptions = {},
): [carry: C, ys: Y] {
  checkTree(xs, "scan: xs");
  const { dim = 0, reverse = false } = options;
  const sizes = new Set<number>();
  mapTrees([xs], ([t]) => {
    if (t !== undefined) sizes.add(Number(t.shape.at(dim)));
    return t ?? null;
  });
  const [length = 0] = sizes;
  if (sizes.size !== 1 || !(length > 0)) {
    throw new TypeError(
      `scan: xs must have one size above 0 along dimension ${dim}, got ${[...sizes].join(", ") || "none"}`,
    );
  }
  let carry = init;
  const ys = new Array<Y>(length);
  for (let step = 0; step < length; step++) {
    const i = reverse ? length - 1 - step : step;
    const x = mapTrees([xs], ([t]) => t === undefined ? null : t.select(dim, i)) as X;
    const [next, y] = combine(carry, x);
    checkTree(y, "scan: a result");
    carry = next;
    ys[i] = y;
  }
  const stacked = mapTrees(ys, (leaves) => F.stack(leaves, { dim }) as Tensor);
  if (stacked === null) throw new TypeError("scan: combine gives results of different structures");
  return [carry, stacked as Y];
}

registerLibrary({ cond, whileLoop, scan }, "control");
