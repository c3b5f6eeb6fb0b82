/**
 * Tensors of a stored capture: those known by identity are compared with what was written down of them, constants are made again.
 */
import { cpu, dtypeFromName } from "../../core/mod.ts";
import {
  emptyTensor,
  isTensor,
  rawOver,
  rowMajor,
  type Storage,
  type Tensor,
  writeElements,
} from "../../tensor/mod.ts";
import { BadCapture, list, type StoredCapture, type StoredTensor, text, wholeNumber } from "./stored.ts";

function bad(reason: string): never {
  throw new BadCapture(reason);
}

/** Which memory stands for which number of the stored tensors. */
export interface Storages {
  readonly byNumber: Map<number, Storage>;
  readonly all: Set<Storage>;
}

/** A tensor is what it was, and shares memory with those it shared it with. */
export function checkTensor(object: object, stored: StoredTensor, { byNumber, all }: Storages): void {
  if (!isTensor(object)) return bad("a tensor is gone");
  const sameList = (a: readonly unknown[], b: readonly number[]): boolean =>
    a.length === b.length && a.every((n, i) => Number(n) === b[i]);
  const flags = [object.requiresGrad, object.isParameter, object.isLeaf, object.autograd?.retainsGrad === true];
  const same = object.dtype.name === stored.dtype && String(object.device) === stored.device && object.isDense &&
    sameList(object.shape, stored.shape) && sameList(object.stride, stored.stride) &&
    Number(object.storageOffset) === stored.offset && flags.every((f, i) => f === stored.flags[i]);
  if (!same) bad("a tensor has another dtype, shape, place or role");
  const known = byNumber.get(stored.storage);
  if (known === undefined && !all.has(object.storage)) {
    byNumber.set(stored.storage, object.storage);
    all.add(object.storage);
  } else if (known !== object.storage) bad("tensors share memory in another way");
}

/** A tensor that the function wrote down. */
export function constantTensor(stored: Exclude<StoredCapture["attributes"][number][1], number>): Tensor {
  const shape = list(stored.shape, (n) => wholeNumber(n));
  const out = emptyTensor(shape, rowMajor(shape), dtypeFromName(text(stored.dtype)), cpu);
  const raw = rawOver(out.dtype, new Uint8Array(Uint8Array.fromBase64(text(stored.data))));
  if (raw.byteLength !== out.numel * out.dtype.bytes) bad("a constant has another length");
  writeElements(out, raw);
  return out;
}
