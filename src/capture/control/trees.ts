/**
 * Tensors, and arrays and plain objects of them: what control flow takes and gives.
 */
import type { DType } from "../../core/mod.ts";
import { shapeToText, sizeSame } from "../../symbolic/mod.ts";
import { type Storage, storageClock, Tensor } from "../../tensor/mod.ts";

/** Tensors, and arrays and plain objects of them. */
export type Tree = Tensor | readonly Tree[] | { readonly [key: string]: Tree };

function isRecord(tree: Tree): tree is { readonly [key: string]: Tree } {
  return !(tree instanceof Tensor) && !Array.isArray(tree) && typeof tree === "object" && tree !== null;
}

/** Applies `f` to the tensors of trees of one structure; null if their structures differ. */
export function mapTrees(trees: readonly Tree[], f: (leaves: readonly Tensor[]) => Tensor | null): Tree | null {
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

/** Tells whether a value is a tree of tensors. */
export function isTree(tree: unknown): tree is Tree {
  if (tree instanceof Tensor) return true;
  if (Array.isArray(tree)) return tree.every(isTree);
  return typeof tree === "object" && tree !== null && Object.values(tree).every(isTree);
}

/** @throws {TypeError} if a value is anything but a tree of tensors. */
export function checkTree(tree: unknown, where: string): asserts tree is Tree {
  if (tree instanceof Tensor) return;
  if (Array.isArray(tree)) return tree.forEach((t) => checkTree(t, where));
  if (typeof tree === "object" && tree !== null) return Object.values(tree).forEach((t) => checkTree(t, where));
  throw new TypeError(
    `${where}: gives ${tree === null ? "null" : typeof tree}; give tensors, or arrays and plain objects of them`,
  );
}

/** The tensors of a tree, in order. */
export function leavesOf(tree: Tree): Tensor[] {
  const out: Tensor[] = [];
  mapTrees([tree], ([t]) => {
    if (t !== undefined) out.push(t);
    return t ?? null;
  });
  return out;
}

/** A tree of this structure with other tensors. */
export function rebuild(tree: Tree, leaves: readonly Tensor[]): Tree {
  let next = 0;
  return mapTrees([tree], () => leaves[next++] as Tensor) as Tree;
}

/** Results own their memory whichever way they were made: a tensor that was there before `start`, or shares memory with another result, is copied. */
export function ownResults(tree: Tree, start: number): Tree {
  const taken = new Set<Storage>();
  return mapTrees([tree], ([t]) => {
    if (t === undefined) return null;
    const own = t.storage.id < start || taken.has(t.storage) ? t.clone() : t;
    taken.add(own.storage);
    return own;
  }) as Tree;
}

/** Runs a function and makes its results own their memory. */
export function runOwned<R extends Tree>(where: string, fn: () => R): R {
  const start = storageClock();
  const result: unknown = fn();
  checkTree(result, where);
  return ownResults(result, start) as R;
}

interface Described {
  readonly dtype: DType;
  readonly shape: Tensor["shape"];
}

/** `float32[2, 3]`. */
export function describe({ dtype, shape }: Described): string {
  return `${dtype.name}${shapeToText(shape)}`;
}

/** The size of all tensors of a tree along a dimension. @throws {TypeError} if there are several, or none. */
export function commonLength(where: string, xs: Tree, dim: number): Tensor["shape"][number] {
  const leaves = leavesOf(xs);
  const sizes = leaves.map((t) => {
    const size = t.shape.at(dim);
    if (size === undefined) {
      throw new TypeError(`${where}: xs has a tensor of shape ${shapeToText(t.shape)}, no dimension ${dim}`);
    }
    return size;
  });
  const [first] = sizes;
  // A size that is a symbol stays one.
  if (first === undefined || sizes.some((s) => !sizeSame(s, first) && Number(s) !== Number(first))) {
    throw new TypeError(
      `${where}: xs must have one size along dimension ${dim}, got ${
        [...new Set(sizes.map(String))].join(", ") || "none"
      }`,
    );
  }
  return first;
}
