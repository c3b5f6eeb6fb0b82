/**
 * Plain numbers where operators expect tensors or scalars.
 *
 * A number in a tensor's place takes part in promotion with the lowest rank and is computed in the operator's type: `scalarMeta` is how `meta`
 * sees it, `scalarInput` how a loop loads it, `scalarValue` a `Scalar` argument as a value of a given type. Values pass through
 * float64, so that 0.1 added to a float64 tensor is the double 0.1. Mirrors the wrapped numbers of ATen.
 */
import { bool, cpu, type Device, type DType, dtypeOfScalar, float64, int64 } from "../core/mod.ts";
import type { Scalar } from "../graph/mod.ts";
import { type LoopInput, ops, type Value } from "../loops/mod.ts";
import { exprOf, isSymInt } from "../symbolic/mod.ts";
import type { MetaInput } from "./define.ts";

/** Tells whether an argument is a plain number. */
export function isScalar(value: unknown): value is Scalar {
  return typeof value === "number" || typeof value === "bigint" || typeof value === "boolean" || isSymInt(value);
}

/** The dtype with which a scalar takes part in promotion. */
export function scalarDtype(value: Scalar): DType {
  return isSymInt(value) ? int64 : dtypeOfScalar(value);
}

/** A scalar as `meta` sees a tensor argument. */
export function scalarMeta(value: Scalar, device: Device = cpu): MetaInput {
  return {
    shape: [],
    stride: [],
    storageOffset: 0,
    dtype: scalarDtype(value),
    device,
    isScalar: true,
    requiresGrad: false,
  };
}

/** @throws {RangeError} if an integer dtype does not hold a number, its fraction cut off; whole negative numbers wrap around. */
export function checkFits(where: string, name: string, value: Scalar, dtype: DType): void {
  if (!dtype.isIntegral || dtype === bool || isSymInt(value) || typeof value === "boolean") return;
  const number = Number(value);
  const least = dtype.kind === "uint" && Number.isInteger(number) ? -dtype.max : dtype.min;
  if (number >= least && number <= dtype.max) return;
  throw new RangeError(`${where}: ${name} ${value} does not fit into ${dtype.name}`);
}

/** The exact value of a scalar, before it is cast to the type of the computation. */
function exactValue(value: Scalar): Value {
  if (isSymInt(value)) return ops.index(exprOf(value), int64);
  if (typeof value === "boolean") return ops.constant(value, bool);
  if (typeof value === "bigint") return ops.constant(value, int64);
  return Number.isSafeInteger(value) && !Object.is(value, -0)
    ? ops.constant(value, int64)
    : ops.constant(value, float64);
}

/** A scalar as a value of type `dtype`. */
export function scalarValue(value: Scalar, dtype: DType): Value {
  return ops.cast(exactValue(value), dtype);
}

/** A loader of a scalar in a tensor's place; `isScalar` gives it the lowest rank in promotion. */
export interface ScalarInput extends LoopInput {
  readonly isScalar: true;
}

/** A scalar as a loop loads it. */
export function scalarInput(value: Scalar): ScalarInput {
  const exact = exactValue(value);
  return { shape: [], dtype: scalarDtype(value), isScalar: true, load: () => exact };
}

/** A scalar as a number, for choices that the definition makes; a symbolic size is fixed and guarded. */
export function scalarNumber(value: Scalar): number {
  return Number(value);
}

/** A `Scalar` argument that `promote` names: the body of a pointwise operator receives it as a value of the computation's type. */
export function promotedScalar(value: Scalar | null): Value {
  return value as unknown as Value;
}
