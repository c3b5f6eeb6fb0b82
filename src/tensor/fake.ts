/**
 * Fake tensors: shape, strides, dtype and device without data.
 *
 * Operators on fake tensors compute descriptions only, with symbolic sizes where there are some. {@linkcode FakeTensorMode} also turns real tensors that
 * an operator meets into fake ones, and lets creation functions make fake tensors. Mirrors `FakeTensorMode` of PyTorch.
 */
import { InternalError } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { fakeTensor } from "./dispatch.ts";
import { inferMeta, tensorArguments } from "./operands.ts";
import { autogradMeta, Storage, Tensor } from "./tensor.ts";
import type { DispatchMode, OpResult } from "./mode.ts";

/** A tensor with the description of `meta` and no data. */
export function fakeLike(meta: TensorMeta, options: { readonly requiresGrad?: boolean } = {}): Tensor {
  const { shape, stride, storageOffset, dtype, device } = meta;
  const out = fakeTensor({ shape, stride, storageOffset, dtype, device });
  if (options.requiresGrad === true) autogradMeta(out).requiresGrad = true;
  return out;
}

/** Results of an operator as fake tensors: an array where the schema has several results. Views share the storage of their base. */
export function fakeResult(op: Operator, args: NamedArgs<Tensor>): OpResult {
  const outs = inferMeta(op, args).map((meta) => fakeTensor(meta));
  const { returns } = op.schema;
  if (returns.length > 1 || returns[0]?.list === true) return outs;
  const only = outs[0];
  if (only === undefined) throw new InternalError(`${op.target}: meta gave no result`);
  return only;
}

/** Runs every operator on descriptions alone. */
export class FakeTensorMode implements DispatchMode {
  readonly name = "fake tensors";
  readonly #twins = new WeakMap<Tensor, Tensor>();
  readonly #storages = new WeakMap<Storage, Storage>();

  /** The fake twin of a real tensor, the same each time; twins of views share a storage. */
  wrapInput(t: Tensor): Tensor {
    if (!t.isDense) return t;
    let twin = this.#twins.get(t);
    if (twin === undefined) {
      twin = fakeLike(t, { requiresGrad: t.requiresGrad });
      let storage = this.#storages.get(t.storage);
      if (storage === undefined) this.#storages.set(t.storage, storage = new Storage(null));
      twin.storage = storage;
      this.#twins.set(t, twin);
    }
    return twin;
  }

  dispatch(op: Operator, args: NamedArgs<Tensor>): OpResult {
    const first = op.schema.args[0];
    if (first?.mutated === true) {
      const self = args[tensorArguments(op)[0]?.key ?? first.key];
      if (self instanceof Tensor) return self;
    }
    return fakeResult(op, args);
  }

  gradOwner(t: Tensor): Tensor {
    return this.wrapInput(t);
  }

  materialize(t: Tensor, reason: string): Tensor {
    if (t.isDense) return t;
    throw new TypeError(`${reason}: a fake tensor has no data, only shape and dtype`);
  }

  trackRead(_object: object, _key: PropertyKey, value: unknown): unknown {
    return value;
  }
}
