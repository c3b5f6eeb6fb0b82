/**
 * The way of one operator call: arguments, mode, tape, then the mode or the eager backend.
 *
 * Enters: an operator of the table and its arguments. Leaves: its results, with storage sharing, versions and `gradFn` set. The order of steps is
 * that of `mode.ts`; what arguments are is answered by `operands.ts`, recording is the engine's (`engine.ts`), computing the backend's (`backend.ts`). Mirrors ATen's dispatcher with
 * its Autograd, Python and backend keys, ADInplaceOrView included.
 */
import { cpu, type Device, type DType, InternalError } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import type { ComplexForm, Functional, NamedArgs, Operator, TensorSpec } from "../ops/mod.ts";
import { contiguousStride, sameShape, shapeToText, type Size, sizeIsZero, sizeLe } from "../symbolic/mod.ts";
import { normalizeNamed } from "./arguments.ts";
import { autocastArguments, isAutocasting, withoutAutocast } from "./autocast.ts";
import { eagerBackend } from "./backend.ts";
import { autogradEngine, isGradEnabled, noGrad } from "./engine.ts";
import { runHost } from "./host.ts";
import { activeMode, type DispatchMode, type OpResult, suspendMode } from "./mode.ts";
import {
  anyRequiresGrad,
  commonDevice,
  firstTensor,
  forEachTensor,
  hasComplex,
  inferSpecs,
  mapTensorArgs,
  type OpInfo,
  opInfo,
  ruleArguments,
  tensorOf,
} from "./operands.ts";
import { copyElements, moveTo } from "./transfer.ts";
import { spanOf } from "./read.ts";
import { restrideAs } from "./restride.ts";
import { allocateStorage, Storage, Tensor } from "./tensor.ts";

export { tracked, trackedNumber } from "./mode.ts";

/** A tensor without data. Under capture and in shape inference. */
export function fakeTensor(meta: TensorMeta): Tensor {
  return new Tensor({ ...meta, storage: new Storage(null) });
}

/** A dense tensor with undefined content. */
export function emptyTensor(shape: readonly Size[], stride: readonly Size[], dtype: DType, device: Device): Tensor {
  if (device.type === "meta") return new Tensor({ shape, stride, dtype, device, storage: new Storage(null) });
  const span = spanOf(shape as readonly number[], stride as readonly number[]);
  return new Tensor({ shape, stride, dtype, device, storage: allocateStorage(device, span * dtype.bytes) });
}

/**
 * Calls an operator with named arguments; what is left out takes the schema's default.
 *
 * @throws {TypeError} for arguments that do not fit the schema, and what the operator's `meta` throws.
 */
export function dispatch(op: Operator, args: Readonly<Record<string, unknown>>): OpResult {
  return dispatchComplete(op, normalizeNamed(op, args));
}

/** As {@linkcode dispatch}, for arguments that are complete and checked. */
export function dispatchComplete(op: Operator, given: NamedArgs<Tensor>): OpResult {
  const { complex } = opInfo(op);
  if (complex !== null && hasComplex(op, given)) return dispatchComplexForm(op, complex, given);
  const mode = activeMode();
  const args = mode === null
    ? given
    : suspendMode(mode, () => mapTensorArgs(op, given, (t) => mode.wrapInput(t)) as NamedArgs<Tensor>);
  if (isAutocasting()) {
    const answer = autocastArguments(op, args, castForAutocast);
    if (answer.kind === "through") return decompose(op, args);
    if (answer.kind === "cast") return withoutAutocast(() => dispatchWrapped(op, answer.args, mode));
  }
  return dispatchWrapped(op, args, mode);
}

function castForAutocast(t: Tensor, dtype: DType): Tensor {
  return withoutAutocast(() => t.to(dtype));
}

/** The rest of the way, for arguments that are the mode's own. */
function dispatchWrapped(op: Operator, args: NamedArgs<Tensor>, mode: DispatchMode | null): OpResult {
  const info = opInfo(op);
  const wantsGrad = isGradEnabled() && autogradEngine() !== null && !info.cutsHistory && anyRequiresGrad(op, args);
  if (info.written !== null) return runInPlace(op, args, mode, info.written, wantsGrad);
  // An operator that may return its argument (contiguous, to) is decomposed before a mode sees it: whether it aliases must be the
  // same captured and eager.
  if (op.decompose !== null) {
    if ((wantsGrad && op.vjp === null) || info.mayAlias || op.writesArguments?.(args) === true) {
      return decompose(op, args);
    }
    if (mode === null && runsDecomposed(op, args)) {
      if (!wantsGrad) return decompose(op, args);
      const result = noGrad(() => notAnArgument(op, args, decompose(op, args)));
      autogradEngine()?.record(op, args, result);
      return result;
    }
  }
  const result = mode === null ? runEager(op, args, info) : suspendMode(mode, () => mode.dispatch(op, args));
  if (op.view !== null) markViews(op, args, result, info);
  if (wantsGrad) autogradEngine()?.record(op, args, result);
  return result;
}

/** Runs an operator on complex tensors by what it means on their parts; an in-place one writes into self's pairs. */
function dispatchComplexForm(op: Operator, form: ComplexForm, args: NamedArgs<Tensor>): OpResult {
  const values = ruleArguments(op, args);
  const result = form(values, functionalForRules());
  const { written } = opInfo(op);
  if (written === null) return tensorOf(result);
  const self = values[written] as Tensor;
  if (!self.dtype.isComplex) {
    throw new TypeError(`${op.schema.name}: a complex result cannot be written into a ${self.dtype.name} tensor`);
  }
  self.viewAsReal().copy_(tensorOf(result).viewAsReal());
  return self;
}

/** Results that are an argument itself, as another tensor over the same memory, so that each has its own history. */
function notAnArgument(op: Operator, args: NamedArgs<Tensor>, result: OpResult): OpResult {
  const inputs = new Set<Tensor>();
  forEachTensor(op, args, (t) => void inputs.add(t));
  const own = (t: Tensor): Tensor => inputs.has(t) ? new Tensor(t) : t;
  return result instanceof Tensor ? own(result) : result.map(own);
}

function runsDecomposed(op: Operator, args: NamedArgs<Tensor>): boolean {
  const first = firstTensor(op, args);
  if (first !== null && !first.isDense) return true;
  const backend = eagerBackend(first?.device ?? cpu);
  return backend.takesWhole?.(op, args) !== true;
}

/** All operators as functions; set by `methods.ts`, which needs this module. */
let functional: Functional<Tensor> | null = null;

/** Gives decompositions and gradient rules their `F`. */
export function setFunctional(f: Functional<Tensor>): void {
  functional = f;
}

/** All operators as functions, as gradient rules receive them. */
export function functionalForRules(): Functional {
  if (functional === null) throw new InternalError("operators are not installed: import src/tensor/mod.ts");
  return functional as unknown as Functional;
}

/** Runs an operator's decomposition on the given arguments. */
export function decompose(op: Operator, args: NamedArgs<Tensor>): OpResult {
  if (op.decompose === null) throw new InternalError(`${op.target} has no decomposition`);
  const made = op.decompose(ruleArguments(op, args), functionalForRules());
  const result = "shape" in made ? tensorOf(made) : made.map(tensorOf);
  if (
    op.view !== null || op.isDataDependent || op.checksItself || opInfo(op).mayAlias ||
    op.schema.args.some((a) => a.mutated)
  ) {
    return result;
  }
  return restrideAs(op.target, result, inferSpecs(op, args));
}

function markViews(op: Operator, args: NamedArgs<Tensor>, result: OpResult, info: OpInfo): void {
  const base = firstTensor(op, args);
  if (base === null) return;
  const outs = result instanceof Tensor ? [result] : result;
  for (let index = 0; index < outs.length; index++) {
    const out = outs[index];
    if (out === undefined || out === base) continue;
    out.storage = base.storage;
    if (!info.cutsHistory) out.viewOf = { base, op, args, index };
  }
}

function runEager(op: Operator, args: NamedArgs<Tensor>, info: OpInfo): OpResult {
  const device = commonDevice(op, args);
  const first = firstTensor(op, args);
  const fake = first !== null && !first.isDense;
  if (op.onTensors !== undefined && !fake) {
    return noGrad(() => op.onTensors?.(args) ?? []).map(tensorOf);
  }
  if (
    op.kind === "host" && op.view === null && !fake &&
    (device.type !== "cuda" || eagerBackend(device).takesHost?.(op, args) !== true)
  ) {
    const outs = device.type === "cpu" ? runHost(op, args, device) : runAway(op, args, device);
    return info.many ? outs : outs[0] as Tensor;
  }
  const specs = inferSpecs(op, args);
  const outs = new Array<Tensor>(specs.length);
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i] as TensorSpec;
    const stride = spec.stride ?? contiguousStride(spec.shape);
    if (op.view !== null && first !== null) {
      outs[i] = new Tensor({
        shape: spec.shape,
        stride,
        storageOffset: spec.storageOffset ?? first.storageOffset,
        dtype: spec.dtype,
        device: first.device,
        storage: first.storage,
      });
    } else if (fake) {
      const { shape, dtype } = spec;
      outs[i] = new Tensor({ shape, stride, dtype, device: spec.device ?? device, storage: new Storage(null) });
    } else outs[i] = emptyTensor(spec.shape, stride, spec.dtype, spec.device ?? device);
  }
  if (op.view === null && !fake) compute(op, args, outs, device);
  return info.many ? outs : outs[0] as Tensor;
}

/** A host operator whose tensors are on a device: by other operators where it says how. */
function runAway(op: Operator, args: NamedArgs<Tensor>, device: Device): Tensor[] {
  const { onDevice } = op;
  if (onDevice === undefined || onDevice === null) return runHost(op, args, device);
  inferSpecs(op, args);
  const made = noGrad(() => onDevice(ruleArguments(op, args), functionalForRules()));
  if (made === null) return runHost(op, args, device);
  return "shape" in made ? [tensorOf(made)] : made.map(tensorOf);
}

/** Fills `outs`; arguments on another device than the results are moved there first. */
function compute(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[], device: Device): void {
  const target = outs[0]?.device ?? device;
  if (target.type === "meta") return;
  if (op.kind === "decompose" && op.decompose === null) throw new InternalError(`${op.target} means nothing`);
  const self = args["self"];
  if (target !== device && op.schema.name === "_to_copy" && self instanceof Tensor) {
    copyElements(outs[0] as Tensor, self);
    return;
  }
  const here = target === device
    ? args
    : mapTensorArgs(op, args, (t) => t.device === target ? t : moveTo(t, target)) as NamedArgs<Tensor>;
  eagerBackend(target).execute(op, here, outs);
}

const CATEGORY = { bool: 0, uint: 1, int: 1, float: 2, complex: 3 } as const;

function runInPlace(
  op: Operator,
  args: NamedArgs<Tensor>,
  mode: DispatchMode | null,
  key: string,
  wantsGrad: boolean,
): Tensor {
  const self = args[key];
  const fn = op.functional ?? op;
  const where = op.schema.name;
  if (!(self instanceof Tensor)) throw new TypeError(`${where}: needs a tensor to write to, got a number`);
  if (isGradEnabled()) checkWritable(where, self);
  checkDistinct(where, self);
  const [spec] = inferSpecs(fn, args);
  if (spec === undefined) throw new InternalError(`${op.target}: no result to write`);
  if (!sameShape(spec.shape, self.shape)) {
    throw new TypeError(
      `${where}: the result has shape ${shapeToText(spec.shape)} and cannot be written into a tensor of shape ${
        shapeToText(self.shape)
      }; use ${where.replace(/_$/, "")} and keep its result`,
    );
  }
  if (CATEGORY[spec.dtype.kind] > CATEGORY[self.dtype.kind]) {
    throw new TypeError(
      `${where}: the result is ${spec.dtype.name} and cannot be written into a ${self.dtype.name} tensor; convert it with .to(${spec.dtype.name}) first`,
    );
  }
  if (wantsGrad && fn.vjp === null && fn.decompose !== null) {
    const result = dispatchComplete(fn, args) as Tensor;
    return copyOperator()(self, result);
  }
  const engine = autogradEngine();
  const after = wantsGrad && engine !== null && self.dtype.isFloat ? engine.beforeWrite(fn, args, self) : null;
  if (mode !== null) suspendMode(mode, () => mode.dispatch(op, args));
  else if (self.isDense) {
    self.storage.watch?.beforeWrite(self.storage);
    writeEager(fn, args, self, spec);
  }
  self.storage.version++;
  after?.();
  return self;
}

/** @throws {TypeError} if several elements are one in memory. */
function checkDistinct(where: string, self: Tensor): void {
  if (self.shape.some(sizeIsZero)) return;
  for (let i = 0; i < self.ndim; i++) {
    if (self.stride[i] === 0 && !sizeLe(self.shape[i] ?? 1, 1)) {
      throw new TypeError(
        `${where}: several elements of the tensor of shape ${
          shapeToText(self.shape)
        } share memory (it was expanded); write to its clone()`,
      );
    }
  }
}

function checkWritable(where: string, self: Tensor): void {
  if (!self.requiresGrad) return;
  let root = self;
  while (root.viewOf !== null) root = root.viewOf.base;
  if (root.isLeaf && root.requiresGrad) {
    throw new TypeError(
      `${where}: ${
        root === self ? "a leaf tensor" : "a view of a leaf tensor"
      } that requires a gradient cannot be written in place; do it inside noGrad(), or use ${where.replace(/_$/, "")}`,
    );
  }
}

let copyInPlace: ((self: Tensor, source: Tensor) => Tensor) | null = null;

/** Sets how a result is copied into a tensor so that it is recorded; `methods.ts` does. */
export function setCopyOperator(f: (self: Tensor, source: Tensor) => Tensor): void {
  copyInPlace = f;
}

function copyOperator(): (self: Tensor, source: Tensor) => Tensor {
  if (copyInPlace === null) throw new InternalError("operators are not installed: import src/tensor/mod.ts");
  return copyInPlace;
}

function writeEager(fn: Operator, args: NamedArgs<Tensor>, self: Tensor, spec: TensorSpec): void {
  const device = commonDeviceOfWrite(fn, args, self);
  if (device && fn.kind === "loop" && spec.dtype === self.dtype && !overlaps(fn, args, self)) {
    if (eagerBackend(self.device).executeInPlace?.(fn, args, self) === true) return;
  }
  const result = noGrad(() => device ? runFunctional(fn, args) : runFunctional(fn, onDevice(fn, args, self.device)));
  copyElements(self, result);
}

function runFunctional(fn: Operator, args: NamedArgs<Tensor>): Tensor {
  const result = fn.kind === "decompose" ? decompose(fn, args) : runEager(fn, args, opInfo(fn));
  return (result instanceof Tensor ? result : result[0]) as Tensor;
}

/** True if all tensors are where self is; `copy_` alone may bring them from elsewhere. */
function commonDeviceOfWrite(fn: Operator, args: NamedArgs<Tensor>, self: Tensor): boolean {
  if (!fn.schema.name.startsWith("copy")) {
    commonDevice(fn, args);
    return true;
  }
  let same = true;
  forEachTensor(fn, args, (t) => {
    if (t.device !== self.device) same = false;
  });
  return same;
}

function onDevice(fn: Operator, args: NamedArgs<Tensor>, device: Device): NamedArgs<Tensor> {
  return mapTensorArgs(fn, args, (t) => t.device === device ? t : moveTo(t, device)) as NamedArgs<Tensor>;
}

/** Tells whether another argument shares self's memory at another geometry. */
function overlaps(fn: Operator, args: NamedArgs<Tensor>, self: Tensor): boolean {
  let bad = false;
  forEachTensor(fn, args, (t) => {
    if (t === self || t.storage !== self.storage) return;
    const same = t.storageOffset === self.storageOffset && t.ndim === self.ndim &&
      t.shape.every((s, i) => s === self.shape[i] && t.stride[i] === self.stride[i]);
    if (!same) bad = true;
  });
  return bad;
}
