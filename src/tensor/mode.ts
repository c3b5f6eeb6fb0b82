/**
 * Dispatch modes: who runs an operator when it is not the eager backend.
 *
 * A {@linkcode DispatchMode} takes over all operator calls made while it is active (`withMode`). The order inside `dispatch()` is fixed:
 *
 * 1. arguments are normalised (defaults filled in, numbers in Tensor slots stay plain numbers);
 * 2. every tensor argument goes through `mode.wrapInput`, so that real tensors are replaced by the mode's twins. A twin has the
 *    metadata, `requiresGrad` and leaf-ness of its original, and is the same object each time;
 * 3. the tape records the call on the twins (a vjp run later calls operators of the same mode, so it is captured too);
 * 4. `mode.dispatch` runs the operator. In-place operators arrive as themselves (`add_`) and return their `self` argument; views
 *    arrive like others, `dispatch()` marks their results as sharing the storage of their base;
 * 5. version counters, storage sharing and `gradFn` of the results are set by `dispatch()`.
 *
 * While `wrapInput`, `dispatch` or any other member runs, the mode is suspended: operators called from there reach the mode below, or the eager backend.
 * `.grad` of a tensor is read and written on `mode.gradOwner(t)` (the twin). Reading data (`item()`, `data()`, `toArray()`, coercion)
 * asks `mode.materialize`. Mirrors `TorchDispatchMode` and `__torch_function__` of PyTorch.
 */
import type { NamedArgs, Operator } from "../ops/mod.ts";
import type { Tensor } from "./tensor.ts";

/** What an operator yields: nothing, one tensor, or as many as the schema says. */
export type OpResult = Tensor | readonly Tensor[];

/** Takes over operator calls while it is active. The file's header states the order of calls. */
export interface DispatchMode {
  /** For error messages. */
  readonly name: string;
  /** The tensor that stands for `t` inside this mode; `t` itself if it belongs to the mode already. */
  wrapInput(t: Tensor): Tensor;
  /** Runs an operator. `args` has every key of the schema; tensors in it went through `wrapInput`; plain numbers may stand in Tensor slots. */
  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult;
  /** The tensor whose `.grad` slot stands for that of `t`: `t` itself or its twin. */
  gradOwner(t: Tensor): Tensor;
  /** Called before data of `t` are read: returns a tensor with data, or throws (a graph break). */
  materialize(t: Tensor, reason: string): Tensor;
  /** Called by `tracked(object, key)` with the value that was read; what is returned is what the program sees. */
  trackRead(object: object, key: PropertyKey, value: unknown): unknown;
  /** Called by `trackedNumber(object, key)`: a 0-dim tensor that stands for a number which may change, or null to read it as it is. */
  trackNumber?(object: object, key: PropertyKey): Tensor | null;
  /** Called before a function with a gradient of the user's own runs: a mode that would lose that gradient throws. */
  customGradient?(name: string): void;
}

/** Undefined where nothing was said in this stretch of synchronous code: then an asynchronous call may have a mode. */
let active: DispatchMode | null | undefined = undefined;
const below = new WeakMap<DispatchMode, DispatchMode | null>();
let ofAsyncCall: (() => DispatchMode | null) | null = null;

/** The mode in force, or null. */
export function activeMode(): DispatchMode | null {
  if (active !== undefined) return active;
  return ofAsyncCall === null ? null : ofAsyncCall();
}

/** Sets how the mode of the asynchronous call that is running is found; null while there is none. */
export function setAsyncMode(find: (() => DispatchMode | null) | null): void {
  ofAsyncCall = find;
}

/** Runs `fn` with `mode` in force, on top of the modes that are. Only the synchronous part of `fn` is covered. */
export function withMode<T>(mode: DispatchMode, fn: () => T): T {
  const before = active;
  below.set(mode, activeMode());
  active = mode;
  try {
    return fn();
  } finally {
    active = before;
  }
}

/** Runs `fn` with `mode` and everything above it suspended; modes below it stay in force. */
export function suspendMode<T>(mode: DispatchMode, fn: () => T): T {
  const before = active;
  active = below.get(mode) ?? null;
  try {
    return fn();
  } finally {
    active = before;
  }
}

/** Runs `fn` without any mode: operators run eagerly. */
export function withoutModes<T>(fn: () => T): T {
  const before = active;
  active = null;
  try {
    return fn();
  } finally {
    active = before;
  }
}

/**
 * Reads `object[key]` and tells the mode in force, which may guard the value. Modules and optimisers read their hyper-parameters
 * through this, so that a compiled function notices when they change.
 */
export function tracked<T extends object, K extends keyof T>(object: T, key: K): T[K] {
  const value = object[key];
  const mode = activeMode();
  return mode === null ? value : suspendMode(mode, () => mode.trackRead(object, key, value)) as T[K];
}

/**
 * As {@linkcode tracked}, for numbers that programs change on the way, as a learning rate: the mode in force may answer with a 0-dim float64 tensor on the CPU, so that
 * the next value needs no new compilation.
 */
export function trackedNumber<T extends object, K extends keyof T>(object: T, key: K): T[K] | Tensor {
  const mode = activeMode();
  const found = mode?.trackNumber === undefined
    ? null
    : suspendMode(mode, () => mode.trackNumber?.(object, key) ?? null);
  return found ?? tracked(object, key);
}
