/**
 * Functionalisation: a graph that writes in place becomes one that only computes, and a list of what to write back.
 *
 * The captured graph is run on traced tensors. Each piece of memory is a {@linkcode Base} with a current value; a tensor of the captured graph is a {@linkcode Place}: a chain
 * of views over a base. A write computes the functional operator, then puts the result back through the chain by each view's `writeBack`; a place
 * reads its base anew after a write. Decomposition and the tape happen on the way, because the recorder and dispatch do them.
 * Mirrors `FunctionalTensorWrapper` and `functionalize` of PyTorch.
 */
import { recordFunction } from "../autograd/mod.ts";
import { CompileError, config, int64, InternalError, VerifyError } from "../core/mod.ts";
import {
  type CallNode,
  Interpreter,
  isTensorMeta,
  type Node,
  type RunArgument,
  type TensorMeta,
} from "../graph/mod.ts";
import { type GraphModule, isControlOperator } from "../capture/mod.ts";
import { type Functional, getOp, isOperator, type NamedArgs, type Operator, preservedStride } from "../ops/mod.ts";
import { contiguousStride, hintOf, isSymInt, shapeToText, type Size, sizeMul } from "../symbolic/mod.ts";
import {
  dispatchComplete,
  enableGrad,
  functionalForRules,
  isGradEnabled,
  noGrad,
  type OpResult,
  restride,
  ruleArguments,
  sameLayout,
  Tensor,
  tensorOf,
} from "../tensor/mod.ts";
import { functionalControl } from "./control.ts";
import type { GraphRecorder } from "./recorder.ts";

/** Where the memory of a base comes from. */
export type Origin =
  | { readonly kind: "input"; readonly index: number }
  | { readonly kind: "attribute"; readonly path: string };

/** One view of a chain: an operator with its complete arguments; the tensor it looks at stands where `self` was. */
export interface ViewStep {
  readonly op: Operator;
  readonly args: NamedArgs<Tensor>;
  /** The key of the tensor that is viewed. */
  readonly key: string;
  /** Which result of the operator. */
  readonly index: number;
}

/** Memory with its current value. */
export class Base {
  value: Tensor;
  /** Counts writes. */
  version = 0;
  /** The tape recorded one of them. */
  isRecorded = false;
  readonly origin: Origin | null;

  constructor(value: Tensor, origin: Origin | null) {
    this.value = value;
    this.origin = origin;
  }
}

/** A tensor of the captured graph: a base, seen through views. */
export class Place {
  readonly base: Base;
  readonly steps: readonly ViewStep[];
  #cached: Tensor | null = null;
  #cachedAt = -1;

  constructor(base: Base, steps: readonly ViewStep[] = [], value: Tensor | null = null) {
    this.base = base;
    this.steps = steps;
    this.#cached = value;
    this.#cachedAt = value === null ? -1 : base.version;
  }

  /** The current value, read anew through the views if the base was written. */
  read(): Tensor {
    if (this.steps.length === 0) return this.base.value;
    if (this.#cached === null || this.#cachedAt !== this.base.version) {
      this.#cached = enableGrad(() => this.levels().at(-1) as Tensor);
      this.#cachedAt = this.base.version;
    }
    return this.#cached;
  }

  /** The base's value, and what each view shows of it. */
  levels(): Tensor[] {
    const out = [this.base.value];
    for (const step of this.steps) out.push(applyView(step, out.at(-1) as Tensor));
    return out;
  }

  /** Writes a value that has the shape of this place. */
  write(value: Tensor): void {
    const isByPosition = this.steps.slice(0, -1).some((step) => step.op.view?.mayOverlap === true);
    const { base } = this;
    // What is seen through detach() is no part of the history behind it.
    const isDetached = this.steps.some((step) => step.op.schema.name === "detach");
    if (isDetached && value.requiresGrad && isGradEnabled()) {
      throw new CompileError(
        "a tensor that is detached from its history is written in place with a value that needs a gradient; write to a clone()",
      );
    }
    const isRecorded = isGradEnabled() && !isDetached;
    const changed = isByPosition ? this.#writeByPosition(value) : this.#writeBack(value);
    base.value = isRecorded ? changed : withHistoryOf(base.value, changed);
    base.version++;
    base.isRecorded ||= isRecorded;
  }

  #writeBack(value: Tensor): Tensor {
    const levels = this.levels();
    let changed = value;
    for (let i = this.steps.length - 1; i >= 0; i--) {
      const step = this.steps[i] as ViewStep;
      const { view } = step.op;
      if (view === null) throw new InternalError(`${step.op.target} is no view`);
      const args = ruleArguments(step.op, withTensor(step, levels[i] as Tensor));
      const put = tensorOf(view.writeBack(args, changed, functionalForRules()));
      changed = restride(step.op.target, put, preservedStride(levels[i] as Tensor));
    }
    return changed;
  }

  /**
   * The base with a part of a view written whose elements overlap: other elements of the view are the same memory and still show the old value, so the view
   * cannot be put back as a whole. The chain, applied to the positions of the base's elements, says which of them are written.
   */
  #writeByPosition(value: Tensor): Tensor {
    const base = this.base.value;
    const F = functionalForRules() as unknown as Functional<Tensor>;
    const count = base.shape.reduce(sizeMul, 1);
    const inOrder = F.arange(count, { dtype: int64, device: base.device }).view(base.shape);
    const positions = noGrad(() =>
      this.steps.reduce((t, step) => applyView(step, t), restride("positions", inOrder, base.stride))
    );
    const put = base.reshape([-1]).indexPut([positions.reshape([-1])], value.reshape([-1])).view(base.shape);
    return restride("positions", put, base.stride);
  }
}

/** What is written while the tape does not record leaves the history as it was: gradients of the new value are those of the old one. */
function withHistoryOf(before: Tensor, value: Tensor): Tensor {
  if (!before.requiresGrad) return value;
  const out = value.detach();
  recordFunction("UnrecordedWrite", [before], [out], ([g = null]) => [g]);
  return out;
}

function withTensor(step: ViewStep, t: Tensor): NamedArgs<Tensor> {
  return { ...step.args, [step.key]: t };
}

/** What a view shows of a tensor. */
export function applyView(step: ViewStep, t: Tensor): Tensor {
  const result = dispatchComplete(step.op, withTensor(step, t));
  const out = result instanceof Tensor ? result : result[step.index];
  if (out === undefined) throw new InternalError(`${step.op.target}: result ${step.index} is missing`);
  return out;
}

/** What the interpretation of a captured graph leaves behind. */
export interface FunctionalRun {
  /** Results in order: places, or plain values. */
  readonly results: readonly (Place | number | boolean | string | null | Size)[];
  /** Inputs and attributes that were written, with their final values. */
  readonly written: readonly { readonly origin: Origin; readonly value: Tensor }[];
  /** The traced inputs and attributes. */
  readonly primals: readonly { readonly origin: Origin; readonly tensor: Tensor }[];
}

type Value = Place | null;

/** Runs a captured graph on the tensors of a recorder. Call it with the recorder in force. */
export class Functionalizer {
  readonly #module: GraphModule;
  readonly #recorder: GraphRecorder;
  readonly #withTape: boolean;

  /** `withTape`: let the tape record what it recorded during capture. */
  constructor(module: GraphModule, recorder: GraphRecorder, withTape: boolean) {
    this.#module = module;
    this.#recorder = recorder;
    this.#withTape = withTape;
  }

  /** Declares inputs and attributes and runs all calls. `requiresGrad` says which of them the tape follows. */
  run(requiresGrad: (origin: Origin) => boolean): FunctionalRun {
    const { graph } = this.#module;
    const recorder = this.#recorder;
    const bases: Base[] = [];
    const primals: { origin: Origin; tensor: Tensor }[] = [];
    const inputs = graph.placeholders.map((node, index) => {
      if (!isSymInt(node.value)) return this.#primal(node, { kind: "input", index }, requiresGrad, bases, primals);
      // A size by itself: calls speak of it by its symbol.
      recorder.sizeInput(node.name, node.value);
      return null;
    });
    const attributes = new Map(
      graph.attributes.map((node) =>
        [node.path, this.#primal(node, { kind: "attribute", path: node.path }, requiresGrad, bases, primals)] as const
      ),
    );
    const interpreter = new Interpreter<Value>(graph, (_, args, node) => {
      recorder.location = node.location;
      const taped = this.#withTape && this.#module.recorded.has(node);
      return taped ? enableGrad(() => this.#call(node, args)) : this.#call(node, args);
    });
    const results = noGrad(() => interpreter.run(inputs, attributes));
    const final = ({ value, isRecorded }: Base): Tensor =>
      value.requiresGrad && !isRecorded ? noGrad(() => value.detach()) : value;
    const written = bases.flatMap((b) =>
      b.version > 0 && b.origin !== null ? [{ origin: b.origin, value: final(b) }] : []
    );
    return { results: results as FunctionalRun["results"], written, primals };
  }

  #primal(
    node: Node,
    origin: Origin,
    requiresGrad: (origin: Origin) => boolean,
    bases: Base[],
    primals: { origin: Origin; tensor: Tensor }[],
  ): Place {
    if (!isTensorMeta(node.value)) throw new InternalError(`the input ${node.name} is not a tensor`);
    const grad = requiresGrad(origin);
    const tensor = node.op === "getAttr"
      ? this.#recorder.attribute(node.path, node.value, grad)
      : this.#recorder.placeholder(node.name, node.value, grad);
    const base = new Base(tensor, origin);
    bases.push(base);
    primals.push({ origin, tensor });
    return new Place(base);
  }

  #call(node: CallNode, given: readonly RunArgument<Value>[]): Value | readonly Value[] {
    const target = node.target;
    if (!isOperator(target)) throw new CompileError(`${target.schema.target} is not in the operator table`);
    const op = isControlOperator(target) ? functionalControl(target) : target;
    const places: Record<string, unknown> = {};
    const named: Record<string, unknown> = {};
    op.schema.args.forEach((arg, i) => {
      places[arg.key] = given[i];
      named[arg.key] = readPlaces(given[i]);
    });
    const args = named as NamedArgs<Tensor>;
    const mutated = op.schema.args.find((a) => a.mutated);
    if (mutated !== undefined) return this.#write(op, places[mutated.key], args, mutated.key);
    const viewed = op.view === null ? undefined : op.schema.args.find((a) => places[a.key] instanceof Place);
    if (op.view !== null && viewed !== undefined) {
      const place = places[viewed.key] as Place;
      if (op.view.ofStorage === true && isTensorMeta(node.value)) {
        return storageView(op, args, viewed.key, place.base, node.value);
      }
      const result = dispatchComplete(op, args);
      const outs = result instanceof Tensor ? [result] : result;
      const made = outs.map((t, index) =>
        new Place(place.base, [...place.steps, { op, args, key: viewed.key, index }], t)
      );
      return result instanceof Tensor ? made[0] as Place : made;
    }
    const result = dispatchComplete(op, args);
    if (config().verify) verifyLayouts(node, result);
    const place = (t: Tensor): Place =>
      sameAsArgument(t, places) ?? viewOfArgument(op, t, places) ?? new Place(new Base(t, null));
    return result instanceof Tensor ? place(result) : result.map(place);
  }

  /** Runs `add_` as `add` and puts the result where it was to be written. */
  #write(op: Operator, target: unknown, args: NamedArgs<Tensor>, key: string): Place {
    if (!(target instanceof Place)) throw new InternalError(`${op.target}: nothing to write to`);
    const fn = op.functional;
    if (fn === null) throw new CompileError(`${op.target} has no functional form, so it cannot be compiled`);
    const self = args[key] as Tensor;
    const result: OpResult = dispatchComplete(fn, args);
    const one = result instanceof Tensor ? result : result[0];
    if (one === undefined) throw new InternalError(`${fn.target}: no result`);
    const cast = one.dtype === self.dtype ? one : one.to(self.dtype);
    // A write changes elements, not where they lie; views that were valid stay so.
    target.write(restride(op.target, cast, preservedStride(self)));
    return target;
  }
}

/** A view of all the memory of a base, whatever view of it the operator was called on: over the base with its dimensions in the order of memory. */
function storageView(op: Operator, args: NamedArgs<Tensor>, key: string, base: Base, meta: TensorMeta): Place {
  const { shape, stride, storageOffset, ndim } = base.value;
  const order = Array.from({ length: ndim }, (_, d) => d);
  order.sort((x, y) => hintOf(stride[y] ?? 0) - hintOf(stride[x] ?? 0) || x - y);
  const inMemory = (list: readonly Size[]): Size[] => order.map((d) => list[d] ?? 1);
  if (storageOffset !== 0 || !sameLayout(inMemory(shape), inMemory(stride), contiguousStride(inMemory(shape)))) {
    throw new CompileError(
      `${op.schema.name}: the tensor of shape ${
        shapeToText(shape)
      } is a part of its storage, of which a graph sees no more; ` +
        "pass the whole tensor, or a clone()",
    );
  }
  const last: ViewStep = { op, args: { ...args, storageOffset: meta.storageOffset }, key, index: 0 };
  const inOrder = order.every((d, i) => d === i);
  const permute: ViewStep = {
    op: getOp("aten.permute.default"),
    args: { self: base.value, dims: order },
    key: "self",
    index: 0,
  };
  return new Place(base, inOrder ? [last] : [permute, last]);
}

/** Checks that what a call yields is laid out as capture said: views were checked against that. */
function verifyLayouts(node: CallNode, result: OpResult): void {
  const metas = isTensorMeta(node.value) ? [node.value] : Array.isArray(node.value) ? node.value : [];
  const outs = result instanceof Tensor ? [result] : result;
  outs.forEach((out, i) => {
    const meta: unknown = metas[i];
    if (!isTensorMeta(meta as TensorMeta) || sameLayout(out.shape, out.stride, (meta as TensorMeta).stride)) return;
    throw new VerifyError(
      `functionalize: ${node.name} = ${node.target.schema.target} was captured with strides ${
        shapeToText((meta as TensorMeta).stride)
      } and has ${shapeToText(out.stride)} for shape ${shapeToText(out.shape)}`,
    );
  });
}

function readPlaces(value: unknown): unknown {
  if (value instanceof Place) return value.read();
  if (Array.isArray(value)) return value.map(readPlaces);
  return value;
}

/** Operators such as `contiguous` may return their argument: then memory is shared. */
function sameAsArgument(t: Tensor, places: Readonly<Record<string, unknown>>): Place | null {
  return placesAmong(places).find((place) => place.read() === t) ?? null;
}

/** Operators such as `reshape` and `chunk` may come down to views of their argument: their result is seen through those, so that writes reach the argument. */
function viewOfArgument(whole: Operator, t: Tensor, places: Readonly<Record<string, unknown>>): Place | null {
  const sources = placesAmong(places);
  const steps: ViewStep[] = [];
  for (let at = t; at.viewOf !== null; at = at.viewOf.base) {
    const { base, op, args, index } = at.viewOf;
    const viewed = op.schema.args.find((a) => args[a.key] === base);
    if (viewed === undefined) return null;
    if (op.view?.ofStorage === true) {
      throw new CompileError(
        `${whole.target}: the tensor of shape ${shapeToText(base.shape)} leaves gaps in its memory; pass its clone()`,
      );
    }
    steps.unshift({ op, args, key: viewed.key, index });
    const source = sources.find((place) => place.read() === base);
    if (source !== undefined) return new Place(source.base, [...source.steps, ...steps], t);
  }
  return null;
}

function placesAmong(values: Readonly<Record<string, unknown>>): Place[] {
  return Object.values(values).flat().filter((v) => v instanceof Place);
}
