/**
 * Indexing as in PyTorch: integers, slices, `null`, `ellipsis`, and tensors or lists of integers or booleans.
 *
 * Plain indices become views (`select`, `slice`, `unsqueeze`), so that writing to them writes to the base; tensors gather (`index`) and scatter
 * (`index_put_`). `at` reads, `assign` writes.
 */
import { int64 } from "../core/mod.ts";
import { getOp } from "../ops/mod.ts";
import { isSymInt, shapeToText, type Size, sizeEq } from "../symbolic/mod.ts";
import { tensor } from "./create.ts";
import { dispatch } from "./dispatch.ts";
import { Tensor } from "./tensor.ts";

/** A range of one dimension. */
export interface Slice {
  readonly kind: "slice";
  readonly start: Size | null;
  readonly end: Size | null;
  readonly step: number;
}

/** As many full dimensions as are left. */
export interface Ellipsis {
  readonly kind: "ellipsis";
}

/** One index of {@linkcode Tensor.at}. */
export type Index = Size | boolean | null | Slice | Ellipsis | Tensor | readonly number[];

/** Stands for as many full dimensions as are left: `t.at(ellipsis, 0)`. */
export const ellipsis: Ellipsis = Object.freeze({ kind: "ellipsis" });

/**
 * Python's `start:end:step`; null leaves a bound open, negative bounds count from the end.
 *
 * @throws {RangeError} if the step is not positive.
 *
 * @example
 * ```ts
 * import { arange, slice } from "@tessera/tessera";
 * console.log(arange(10).at(slice(2, null, 3)).toArray()); // [2, 5, 8]
 * ```
 */
export function slice(start: Size | null = null, end: Size | null = null, step: number = 1): Slice {
  if (!Number.isInteger(step) || step < 1) {
    throw new RangeError(`slice: the step must be a positive integer, got ${step}; use flip() to reverse`);
  }
  return { kind: "slice", start, end, step };
}

function isSlice(index: Index): index is Slice {
  return typeof index === "object" && index !== null && "kind" in index && index.kind === "slice";
}

function isEllipsis(index: Index): index is Ellipsis {
  return typeof index === "object" && index !== null && "kind" in index && index.kind === "ellipsis";
}

function call(target: string, args: Readonly<Record<string, unknown>>): Tensor {
  return dispatch(getOp(target), args) as Tensor;
}

/** How many dimensions an index consumes. */
function consumes(index: Index): number {
  if (index === null || isEllipsis(index) || typeof index === "boolean") return 0;
  if (index instanceof Tensor) return index.dtype.kind === "bool" || index.dtype.name === "uint8" ? index.ndim : 1;
  return 1;
}

function isInteger(index: Tensor): boolean {
  return index.dtype.isIntegral && index.dtype.kind !== "bool" && index.dtype.name !== "uint8";
}

/** Whether lists or tensors with dimensions stand in the index too, and not all of them next to each other. */
function standsApart(index: readonly Index[], scalar: Index): boolean {
  const at = index.flatMap((i, k) => typeof i === "boolean" || Array.isArray(i) || i instanceof Tensor ? [k] : []);
  return at.some((k) => index[k] !== scalar) && at.some((k, i) => i > 0 && k !== (at[i - 1] ?? 0) + 1);
}

/** @throws {TypeError} if an index tensor is no mask of the dimensions from `dim` on. */
function checkMask(view: Tensor, dim: number, mask: Tensor): void {
  if (!mask.dtype.isIntegral) {
    throw new TypeError(
      `at: an index tensor holds integers or booleans, got ${mask.dtype.name}; convert it with .to(int64)`,
    );
  }
  const masked = view.shape.slice(dim, dim + mask.ndim);
  if (masked.length < mask.ndim || mask.shape.some((size, d) => !sizeEq(size, masked[d] ?? 1))) {
    throw new TypeError(
      `at: a mask of shape ${shapeToText(mask.shape)} does not fit dimensions ${dim} to ${
        dim + mask.ndim - 1
      }, of sizes ${shapeToText(masked)}; a mask must have the sizes that it selects from`,
    );
  }
}

interface Resolved {
  /** The view that plain indices give. */
  readonly view: Tensor;
  /** Index tensors for the dimensions of `view`, or null if there are none. */
  readonly tensors: (Tensor | null)[] | null;
}

/** @throws {TypeError} for what is no index. */
function checkIndex(i: Index): void {
  const known = i === null || typeof i === "boolean" || i instanceof Tensor || Array.isArray(i) || isSymInt(i) ||
    (typeof i === "number" ? Number.isInteger(i) : isSlice(i) || isEllipsis(i));
  if (known) return;
  throw new TypeError(
    `at: ${
      typeof i === "object" ? JSON.stringify(i) : String(i)
    } is no index; use integers, slice(start, end, step), null, ellipsis, booleans, lists of integers, or tensors of integers or booleans`,
  );
}

function resolve(t: Tensor, index: readonly Index[]): Resolved {
  index.forEach(checkIndex);
  const used = index.reduce((sum: number, i) => sum + consumes(i), 0);
  if (used > t.ndim) {
    throw new RangeError(`at: ${used} indices for a tensor with ${t.ndim} dimension${t.ndim === 1 ? "" : "s"}`);
  }
  if (index.filter(isEllipsis).length > 1) throw new RangeError("at: an index can have one ellipsis only");
  let view = t;
  let dim = 0;
  const tensors: (Tensor | null)[] = [];
  let gathers = false;
  for (const i of index) {
    if (i === null) {
      view = call("aten.unsqueeze.default", { self: view, dim });
      tensors[dim++] = null;
    } else if (isEllipsis(i)) {
      for (let k = t.ndim - used; k > 0; k--) tensors[dim++] = null;
    } else if (isSlice(i)) {
      if (i.start !== null || i.end !== null || i.step !== 1) {
        view = call("aten.slice.Tensor", { self: view, dim, start: i.start, end: i.end, step: i.step });
      }
      tensors[dim++] = null;
    } else if (typeof i === "number" || isSymInt(i)) {
      view = call("aten.select.int", { self: view, dim, index: i });
    } else if (typeof i === "boolean") {
      view = call("aten.unsqueeze.default", { self: view, dim });
      tensors[dim++] = tensor(i ? [0] : [], { dtype: int64, device: t.device });
      gathers = true;
    } else {
      const at = i instanceof Tensor ? i : tensor(i as readonly number[], { dtype: int64, device: t.device });
      if (at.ndim === 0 && isInteger(at) && standsApart(index, i)) {
        view = call("aten.select.int", { self: view, dim, index: at.item() });
        continue;
      }
      if (!isInteger(at)) checkMask(view, dim, at);
      gathers = true;
      tensors[dim++] = at;
      // A mask over several dimensions stands once, in its first.
      for (let k = 1; k < consumes(at); k++) dim++;
    }
  }
  return { view, tensors: gathers ? compact(tensors) : null };
}

/** Index lists as ATen wants them: one entry an index tensor, null for full dimensions. */
function compact(tensors: readonly (Tensor | null | undefined)[]): (Tensor | null)[] {
  const out: (Tensor | null)[] = [];
  for (let d = 0; d < tensors.length; d++) {
    const t = tensors[d];
    if (t === undefined) continue;
    out.push(t);
  }
  while (out.length > 0 && out.at(-1) === null) out.pop();
  return out;
}

/** `t.at(...index)`. */
export function indexTensor(t: Tensor, index: readonly Index[]): Tensor {
  const { view, tensors } = resolve(t, index);
  if (tensors !== null) {
    // Masks are read here, by an operator that says that its shape depends on data, so that capture breaks the graph there.
    const positions = tensors.flatMap((i): readonly (Tensor | null)[] =>
      i?.dtype.kind === "bool" ? call("aten.nonzero.default", { self: i }).unbind(1) : [i]
    );
    return call("aten.index.Tensor", { self: view, indices: positions });
  }
  return view === t ? call("aten.alias.default", { self: t }) : view;
}

/** `t.assign(index, value)`. */
export function assignIndexed(t: Tensor, index: readonly Index[], value: Tensor | number | bigint | boolean): void {
  const { view, tensors } = resolve(t, index);
  const source = value instanceof Tensor ? value : tensor(value, { dtype: t.dtype, device: t.device });
  if (tensors === null) call("aten.copy_.default", { self: view, src: source });
  else {
    const values = source.dtype === t.dtype ? source : source.to(t.dtype);
    call("aten.index_put_.default", { self: view, indices: tensors, values });
  }
}
