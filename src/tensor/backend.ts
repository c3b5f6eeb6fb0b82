/**
 * The eager backend: who computes an operator at once. Injected, because the compiler is a layer above tensors.
 *
 * A backend fills results that dispatch has allocated, with any strides. There is one for each type of device; the reference
 * executor is the CPU's until another is set.
 */
import type { Device, DeviceType } from "../core/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import type { Tensor } from "./tensor.ts";

/** Computes operators of kind `loop` on real tensors. */
export interface EagerBackend {
  readonly name: string;
  /** Fills `outs`, fresh memory of any strides. Numbers in Tensor slots are wrapped scalars. */
  execute(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[]): void;
  /**
   * Computes the functional operator `op` straight into `self`, one of the arguments, if each element of the result depends on no other
   * element of self; else does nothing and returns false, and dispatch goes through a temporary. No other argument overlaps self
   * at a different geometry.
   */
  executeInPlace?(op: Operator, args: NamedArgs<Tensor>, self: Tensor): boolean;
  /** Tells that `execute` can also take this call of an operator of kind `decompose`, in one piece. */
  takesWhole?(op: Operator, args: NamedArgs<Tensor>): boolean;
  /** Tells that `execute` has kernels for this call of an operator of kind `host`. */
  takesHost?(op: Operator, args: NamedArgs<Tensor>): boolean;
}

const backends = new Map<DeviceType, EagerBackend>();
let cpuBackend: EagerBackend | null = null;

/** Sets the backend that runs operators on a type of device; returns the one before, or null. */
export function setEagerBackend(backend: EagerBackend, type: DeviceType = "cpu"): EagerBackend | null {
  const before = backends.get(type) ?? null;
  backends.set(type, backend);
  if (type === "cpu") cpuBackend = backend;
  return before;
}

/** Runs `fn` with another backend on the CPU. */
export function withEagerBackend<T>(backend: EagerBackend, fn: () => T): T {
  const before = setEagerBackend(backend);
  try {
    return fn();
  } finally {
    if (before !== null) setEagerBackend(before);
  }
}

/** The backend of a device. @throws {TypeError} if there is none. */
export function eagerBackend(device: Device): EagerBackend {
  const found = device.type === "cpu" ? cpuBackend : backends.get(device.type);
  if (found === undefined || found === null) {
    throw new TypeError(`device ${device}: no backend runs operators there; move the tensors with .to("cpu")`);
  }
  return found;
}
