/**
 * What the arguments of an operator are: which of them are tensors, what those share, and what results follow from them.
 *
 * Enters: an operator and its complete arguments. Leaves: what `dispatch.ts` decides by, and descriptions of results as the operator's `meta`
 * gives them. Nothing here computes elements. A plain number in the place of a tensor counts as a scalar of its kind.
 */
import { complex64, cpu, type Device, type DType, dtypeOfScalar, int64, InternalError } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import {
  type ArgValue,
  type ComplexForm,
  complexFormOf,
  type MetaInput,
  type NamedArgs,
  type Operator,
  type TensorSpec,
  type TensorValue,
} from "../ops/mod.ts";
import { contiguousStride, isSymInt, type Size } from "../symbolic/mod.ts";
import { Storage, Tensor } from "./tensor.ts";

/** What dispatch wants to know of an operator, found once. */
export interface OpInfo {
  /** Keys of tensor arguments, lists marked. */
  readonly tensors: readonly { readonly key: string; readonly list: boolean }[];
  /** Yields an array. */
  readonly many: boolean;
  /** The key of the argument that is written, for in-place operators. */
  readonly written: string | null;
  /** Decomposed before a mode sees it: its result may be an argument itself, or it draws from the default generator. */
  readonly mayAlias: boolean;
  /** Results take no part in differentiation whatever the arguments are. */
  readonly cutsHistory: boolean;
  /** What the operator means where an argument is complex. */
  readonly complex: ComplexForm | null;
}

const infos = new WeakMap<Operator, OpInfo>();

/** What dispatch wants to know of `op`. */
export function opInfo(op: Operator): OpInfo {
  let info = infos.get(op);
  if (info === undefined) {
    const { args, returns, name } = op.schema;
    info = {
      tensors: args.filter((a) => a.type === "Tensor").map((a) => ({ key: a.key, list: a.list })),
      many: returns.length > 1 || returns[0]?.list === true,
      written: op.functional !== null || (args[0]?.mutated === true && op.kind !== "decompose")
        ? args[0]?.key ?? null
        : null,
      mayAlias: op.decompose !== null && op.vjp === null &&
        (returns.length === 0 || returns.some((r) => r.alias !== null) ||
          (op.isRandom && !args.some((a) => a.name === "state"))),
      cutsHistory: name === "detach" || /_like$|^new_/.test(name),
      complex: complexFormOf(op),
    };
    infos.set(op, info);
  }
  return info;
}

/** Keys of an operator's tensor arguments. */
export function tensorArguments(op: Operator): readonly { readonly key: string; readonly list: boolean }[] {
  return opInfo(op).tensors;
}

/** Calls `visit` with every tensor among the arguments. */
export function forEachTensor(op: Operator, args: NamedArgs<Tensor>, visit: (t: Tensor) => void): void {
  for (const { key, list } of opInfo(op).tensors) {
    const v = args[key];
    if (!list) {
      if (v instanceof Tensor) visit(v);
    } else if (Array.isArray(v)) {
      for (const item of v) if (item instanceof Tensor) visit(item);
    }
  }
}

/** The arguments with every tensor, or plain number in a Tensor slot, replaced; the same object if nothing changes. */
export function mapTensorArgs<T>(
  op: Operator,
  args: NamedArgs<Tensor>,
  tensorTo: (t: Tensor) => T,
  numberTo?: (n: number | bigint | boolean | Size) => T,
): NamedArgs<T | Tensor> {
  let out: Record<string, ArgValue<T | Tensor>> | null = null;
  const one = (v: ArgValue<Tensor>): ArgValue<T | Tensor> => {
    if (v instanceof Tensor) return tensorTo(v);
    if (numberTo !== undefined && isPlainNumber(v)) return numberTo(v);
    return v;
  };
  for (const { key, list } of opInfo(op).tensors) {
    const v = args[key];
    if (v === null || v === undefined) continue;
    const mapped = list && Array.isArray(v) ? v.map((item: ArgValue<Tensor>) => one(item)) : one(v);
    if (mapped !== v) (out ??= { ...args })[key] = mapped;
  }
  return out ?? args;
}

/** The first tensor among the arguments that `test` accepts. */
function findTensor(op: Operator, args: NamedArgs<Tensor>, test: (t: Tensor) => boolean): Tensor | null {
  for (const { key, list } of opInfo(op).tensors) {
    const v = args[key];
    if (!list) {
      if (v instanceof Tensor && test(v)) return v;
    } else if (Array.isArray(v)) {
      for (const item of v) if (item instanceof Tensor && test(item)) return item;
    }
  }
  return null;
}

const any = (): boolean => true;
const isComplex = (t: Tensor): boolean => t.dtype.isComplex;
// Most tensors have neither: asking for `requiresGrad` costs more.
const requiresGrad = (t: Tensor): boolean => (t.autograd !== null || t.viewOf !== null) && t.requiresGrad;

/** The first tensor among the arguments. */
export function firstTensor(op: Operator, args: NamedArgs<Tensor>): Tensor | null {
  return findTensor(op, args, any);
}

/** Tells whether an argument is complex, or the result is asked to be. */
export function hasComplex(op: Operator, args: NamedArgs<Tensor>): boolean {
  return findTensor(op, args, isComplex) !== null || args["dtype"] === complex64;
}

/** Tells whether an argument takes part in differentiation. */
export function anyRequiresGrad(op: Operator, args: NamedArgs<Tensor>): boolean {
  return findTensor(op, args, requiresGrad) !== null;
}

/** The device all tensor arguments share; 0-dim ones on the CPU fit every other. @throws {TypeError} if they are on several. */
export function commonDevice(op: Operator, args: NamedArgs<Tensor>): Device {
  let found: Device | null = null;
  for (const { key, list } of opInfo(op).tensors) {
    const v = args[key];
    if (!list) {
      if (v instanceof Tensor && v.device !== found) found = sameDevice(op, found, v);
    } else if (Array.isArray(v)) {
      for (const item of v) {
        if (item instanceof Tensor && item.device !== found) found = sameDevice(op, found, item);
      }
    }
  }
  return found ?? cpu;
}

function sameDevice(op: Operator, found: Device | null, t: Tensor): Device | null {
  const next = t.device;
  if (next === cpu && t.ndim === 0) return found;
  if (found === null) return next;
  throw new TypeError(
    `${op.schema.name}: tensors are on ${found} and ${next}; move them to one device with .to("${found}")`,
  );
}

function isPlainNumber(v: unknown): v is number | bigint | boolean | Size {
  return typeof v === "number" || typeof v === "bigint" || typeof v === "boolean" || isSymInt(v);
}

/** A plain number as `meta` sees it. */
class ScalarMeta implements MetaInput {
  readonly shape: readonly Size[] = [];
  readonly stride: readonly Size[] = [];
  readonly storageOffset: Size = 0;
  readonly device: Device = cpu;
  readonly isScalar = true;
  readonly requiresGrad = false;
  readonly ndim = 0;
  readonly numel = 1;
  constructor(readonly value: number | bigint | boolean | Size, readonly dtype: DType) {}
}

/** The dtype of a plain number: bool, int64, or the default float. */
export function dtypeOfNumber(value: number | bigint | boolean | Size): DType {
  return isSymInt(value) ? int64 : dtypeOfScalar(value);
}

/** Shapes, strides and dtypes of an operator's results. Numbers in Tensor slots are scalars. */
export function inferSpecs(op: Operator, args: NamedArgs<Tensor>): readonly TensorSpec[] {
  const metaArgs = mapTensorArgs<MetaInput>(
    op,
    args,
    (t) => t,
    (n) => new ScalarMeta(n, dtypeOfNumber(n)),
  );
  const specs = op.meta(metaArgs);
  return "shape" in specs ? [specs] : specs;
}

/** Complete descriptions of an operator's results, as `meta` gives them. */
export function inferMeta(op: Operator, args: NamedArgs<Tensor>): TensorMeta[] {
  const device = commonDevice(op, args);
  const base = op.view === null ? null : firstTensor(op, args);
  return inferSpecs(op, args).map((spec) => ({
    shape: spec.shape,
    stride: spec.stride ?? contiguousStride(spec.shape),
    storageOffset: spec.storageOffset ?? (base === null ? 0 : base.storageOffset),
    dtype: spec.dtype,
    device: spec.device ?? device,
  }));
}

/** A 0-dim tensor that stands for a plain number; the operators it is given to see the number again. */
export function wrapNumber(value: number | bigint | boolean | Size): Tensor {
  const t = new Tensor({ shape: [], stride: [], dtype: dtypeOfNumber(value), device: cpu, storage: new Storage(null) });
  t.wrapped = value;
  return t;
}

/** Arguments as gradient rules and decompositions see them: numbers in Tensor slots are tensors. */
export function ruleArguments(op: Operator, args: NamedArgs<Tensor>): NamedArgs<Tensor> {
  return mapTensorArgs(op, args, (t) => t, wrapNumber);
}

/** What a rule computed, as the tensor that it is: rules are written over any kind of value. */
export function tensorOf(value: TensorValue): Tensor {
  if (value instanceof Tensor) return value;
  throw new InternalError("a rule gave what is no tensor");
}
