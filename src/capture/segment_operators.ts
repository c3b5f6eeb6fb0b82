/**
 * What recording asks of an operator and its arguments: what it writes and shows, where it computes, and whether a segment can take it.
 */
import { type Device, InternalError } from "../core/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { Tensor } from "../tensor/mod.ts";

const writtenKeys = new WeakMap<Operator, string | null>();

/** The tensor that an operator writes, or null. */
export function writtenBy(op: Operator, args: NamedArgs<Tensor>): Tensor | null {
  let key = writtenKeys.get(op);
  if (key === undefined) writtenKeys.set(op, key = op.schema.args.find((a) => a.mutated)?.key ?? null);
  if (key === null) return null;
  const value = args[key];
  if (!(value instanceof Tensor)) throw new InternalError(`${op.target}: nothing to write to`);
  return value;
}

/** The device of an operator's tensors; null if it has none. */
export function deviceOf(op: Operator, args: NamedArgs<Tensor>): Device | null {
  for (const { key } of op.schema.args) {
    const value = args[key];
    for (const t of Array.isArray(value) ? value : [value]) {
      if (t instanceof Tensor && t.wrapped === null) return t.device;
    }
  }
  return null;
}

/** The tensor that a view shows: the operator's first. */
export function baseOf(op: Operator, args: NamedArgs<Tensor>): Tensor {
  for (const { key } of op.schema.args) {
    const value = args[key];
    if (value instanceof Tensor) return value;
  }
  throw new InternalError(`${op.target}: a view of nothing`);
}

/** Operators that no segment takes: on tensors without data or of several devices, and those that count from the start of memory. */
export function isForeign(op: Operator, args: NamedArgs<Tensor>): boolean {
  if (op.schema.name.startsWith("as_strided") || op.schema.returns.length === 0) return true;
  let foreign = false;
  let device: unknown = null;
  const look = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(look);
    if (!(value instanceof Tensor) || value.wrapped !== null) return;
    if (!value.isDense || value.node !== null) foreign = true;
    device ??= value.device;
    if (device !== value.device) foreign = true;
  };
  for (const value of Object.values(args)) look(value);
  return foreign;
}
