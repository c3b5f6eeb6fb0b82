/**
 * Operators that fail for what their data are: an index that is out of range is an error at the operator, not where its segment ends.
 *
 * Indices that are there are looked at when the operator is recorded; where they are in range it cannot fail and joins the segment. What is still to be computed, or
 * out of range, makes the operator run at once, between segments, so that the error and everything before it are what eager gives.
 */
import { cpu } from "../core/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { cpuBuffer, type Storage, Tensor } from "../tensor/mod.ts";
import { isIndexing } from "./fallible.ts";

function isIndex(value: unknown): value is Tensor {
  return value instanceof Tensor && value.wrapped === null && value.dtype.isIntegral && value.dtype.kind !== "bool";
}

/** Whether an operator may throw for what its data are. `isThere` tells whether the content of memory is what the operator will see. */
export function mayFail(op: Operator, args: NamedArgs<Tensor>, isThere: (storage: Storage) => boolean): boolean {
  if (!isIndexing(op)) return false;
  if (op.schema.name.startsWith("masked_scatter")) return true;
  const ignored = args["ignoreIndex"];
  const paddingOf = typeof ignored === "number" ? ignored : null;
  let first = true;
  for (const { key, type } of op.schema.args) {
    if (type !== "Tensor") continue;
    const value = args[key];
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (let i = 0; i < list.length; i++) {
      const t = list[i];
      // The first tensor is what is indexed, except for one_hot.
      if (!isIndex(t) || (first && op.schema.name !== "one_hot")) {
        first = first && t === null;
        continue;
      }
      const bound = boundOf(op, args, Array.isArray(value) ? i : null);
      if (bound === null || !isThere(t.storage) || !isInRange(t, bound, paddingOf)) return true;
    }
    first = false;
  }
  return false;
}

/** How many positions an index chooses from; null if unknown. `place` is its place in a list of indices. */
function boundOf(op: Operator, args: NamedArgs<Tensor>, place: number | null): number | null {
  const { name } = op.schema;
  for (const key of ["numWeights", "classes"]) if (typeof args[key] === "number") return args[key];
  const source = Object.values(args).find((v): v is Tensor => v instanceof Tensor);
  if (source === undefined || name === "one_hot") return null;
  const { shape, ndim } = source;
  if (place !== null) return Number(shape[place] ?? 0);
  const dim = args["dim"];
  if (typeof dim === "number") return ndim === 0 ? 1 : Number(shape[dim < 0 ? dim + ndim : dim] ?? 0);
  if (/^(embedding|pick_weight)/.test(name)) return Number(shape[0] ?? 0);
  if (/^(nll_loss|cross_entropy_loss|pick_class)/.test(name)) return Number(shape[ndim > 1 ? 1 : 0] ?? 0);
  return null;
}

/** Whether all elements can be looked at, and are at least 0 and below `bound`, or `ignored`. */
function isInRange(t: Tensor, bound: number, ignored: number | null): boolean {
  const buffer = t.storage.bufferNow;
  if (buffer === null || t.device !== cpu || !t.isContiguous) return false;
  const data = cpuBuffer(buffer).view(t.dtype.name);
  const start = Number(t.storageOffset);
  const end = start + t.numel;
  if (data instanceof BigInt64Array) {
    const halves = new Int32Array(data.buffer, data.byteOffset, data.length * 2);
    for (let i = start; i < end; i++) {
      const value = (halves[2 * i + 1] as number) * 2 ** 32 + ((halves[2 * i] as number) >>> 0);
      if (!(value >= 0 && value < bound) && value !== ignored) return false;
    }
    return true;
  }
  for (let i = start; i < end; i++) {
    const value = Number(data[i]);
    if (!(value >= 0 && value < bound) && value !== ignored) return false;
  }
  return true;
}
