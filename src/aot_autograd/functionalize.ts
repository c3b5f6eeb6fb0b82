/**
 * Functionalisation: a graph that writes in place becomes one that only computes, and a list of what to write back.
 *
 * The captured graph is run on traced tensors. Each piece of memory is a {@linkcode Base} with a current value; a tensor of the captured graph is a {@linkcode Place}: a chain
 * of views over a base. A write computes the functional operator, then puts the result back through the chain by each view's `writeBack`; a place
 * reads its base anew after a write. Decomposition and the tape happen on the way, because the recorder and dispatch do them.
 * Mirrors `FunctionalTensorWrapper` and `functionalize` of PyTorch.
 */
import { CompileError, InternalError } from "../core/mod.ts";
import {
  type CallNode,
  Interpreter,
  isTensorMeta,
  type Node,
  type RunArgument,
  type TensorMeta,
} from "../graph/mod.ts";
import type { GraphModule } from "../capture/mod.ts";
import { isOperator, type NamedArgs, type Operator, type TensorValue } from "../ops/mod.ts";
import { isSymInt, type Size, sizeSame } from "../symbolic/mod.ts";
import {
  dispatchComplete,
  enableGrad,
  functionalForRules,
  noGrad,
  type OpResult,
  ruleArguments,
  Tensor,
} from "../tensor/mod.ts";
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
    this.#cachedAt = base.version;
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
    const levels = this.levels();
    let changed = value;
    for (let i = this.steps.length - 1; i >= 0; i--) {
      const step = this.steps[i] as ViewStep;
      const { view } = step.op;
      if (view === null) throw new InternalError(`${step.op.target} is no view`);
      const args = ruleArguments(step.op, withTensor(step, levels[i] as Tensor));
      const writeBack = view.writeBack as unknown as (a: unknown, c: unknown, f: unknown, i: number) => TensorValue;
      changed = writeBack(args, changed, functionalForRules(), step.index) as unknown as Tensor;
    }
    this.base.value = changed;
    this.base.version++;
  }
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
    const written = bases.flatMap((b) =>
      b.version > 0 && b.origin !== null ? [{ origin: b.origin, value: b.value }] : []
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
    const op = node.target;
    if (!isOperator(op)) throw new CompileError(`${op.schema.target} is not in the operator table`);
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
      const result = dispatchComplete(op, args);
      const outs = result instanceof Tensor ? [result] : result;
      const made = outs.map((t, index) =>
        new Place(place.base, [...place.steps, { op, args, key: viewed.key, index }], t)
      );
      return result instanceof Tensor ? made[0] as Place : made;
    }
    const result = dispatchComplete(op, args);
    const place = (t: Tensor): Place => sameAsArgument(t, places) ?? new Place(new Base(t, null));
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
    target.write(one.dtype === self.dtype ? one : one.to(self.dtype));
    return target;
  }
}

function readPlaces(value: unknown): unknown {
  if (value instanceof Place) return value.read();
  if (Array.isArray(value)) return value.map(readPlaces);
  return value;
}

/** Operators such as `contiguous` may return their argument: then memory is shared. */
function sameAsArgument(t: Tensor, places: Readonly<Record<string, unknown>>): Place | null {
  for (const value of Object.values(places)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item instanceof Place && item.read() === t) return item;
    }
  }
  return null;
}

/** Tells whether two descriptions are of the same geometry. */
export function sameGeometry(a: TensorMeta, b: TensorMeta): boolean {
  const same = (x: readonly Size[], y: readonly Size[]): boolean =>
    x.length === y.length && x.every((s, i) => sizeSame(s, y[i] ?? -1));
  return same(a.shape, b.shape) && same(a.stride, b.stride);
}
