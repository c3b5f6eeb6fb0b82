/**
 * The run-time side of AOTAutograd: calls compiled functional graphs so that the caller sees what eager would have done.
 *
 * Written inputs get their final values, results that are views share memory again, and a call whose results can be differentiated is one step of the caller's
 * tape, whose backward is the compiled backward graph. Mirrors `runtime_wrappers.py` of AOTAutograd.
 */
import { recordFunction, writtenSince } from "../autograd/mod.ts";
import { type CompiledFunction, type GraphInput, type GraphResult, snapshotOf } from "../capture/mod.ts";
import { InternalError } from "../core/mod.ts";
import { evaluate, isSymInt, sameShape, type Sym } from "../symbolic/mod.ts";
import { enableGrad, isGradEnabled, noGrad, type Storage, Tensor, zeros } from "../tensor/mod.ts";
import { applyView, type Origin, type ViewStep } from "./functionalize.ts";
import type { FunctionalProgram, ResultRecipe } from "./joint_graph.ts";
import { checkExpected, type Expected } from "./relied.ts";

/** A compiled functional graph. */
export interface CompiledProgram extends CompiledFunction {
  /** Results that the compiled graph has put into the memory of what they are written back to. */
  readonly donated?: ReadonlySet<number>;
}

/** Looks up the real tensors of one call. */
export type OriginReader = (origin: Origin, inputs: readonly GraphInput[]) => Tensor;

/** Reads origins: inputs of the call, attributes of the program. */
export function originReader(attributes: ReadonlyMap<string, Tensor>): OriginReader {
  return (origin, inputs) => {
    const found = origin.kind === "input" ? inputs[origin.index] : attributes.get(origin.path);
    if (!(found instanceof Tensor)) throw new InternalError("a written or aliased input is missing");
    return found;
  };
}

/** Announces what a program will write, before it runs: it may write straight into the memory. */
export function announceWrites(
  program: Pick<FunctionalProgram, "writes">,
  read: OriginReader,
  inputs: readonly GraphInput[],
): void {
  for (const { origin } of program.writes) {
    const { storage } = read(origin, inputs);
    storage.watch?.beforeWrite(storage);
  }
}

/** Copies final values into what the program writes. */
export function writeBack(
  program: Pick<FunctionalProgram, "writes">,
  donated: ReadonlySet<number> | undefined,
  read: OriginReader,
  inputs: readonly GraphInput[],
  results: readonly GraphResult[],
): void {
  for (const { origin, result } of program.writes) {
    const target = read(origin, inputs);
    if (donated?.has(result) === true) {
      target.storage.version++;
      continue;
    }
    const value = results[result];
    if (!(value instanceof Tensor)) throw new InternalError("a written value is not a tensor");
    noGrad(() => target.copy_(value));
  }
}

function concreteStep(step: ViewStep, sizes: ((s: Sym) => number) | null): ViewStep {
  const value = (v: unknown): unknown => {
    if (Array.isArray(v)) return v.map(value);
    if (!isSymInt(v)) return v;
    if (sizes === null) throw new InternalError("a symbolic view in a static graph");
    return evaluate(v.expr, sizes);
  };
  const args = Object.fromEntries(Object.entries(step.args).map(([k, v]) => [k, value(v)]));
  return { ...step, args: args as ViewStep["args"] };
}

/** Makes the captured results from those of the functional graph. */
export function assemble(
  recipes: readonly ResultRecipe[],
  results: readonly GraphResult[],
  read: OriginReader,
  inputs: readonly GraphInput[],
  sizes: ((s: Sym) => number) | null,
): GraphResult[] {
  return recipes.map((recipe): GraphResult => {
    switch (recipe.kind) {
      case "value":
        return recipe.value;
      case "result":
        return results[recipe.index] ?? null;
      case "alias": {
        const base = recipe.of.kind === "result" ? results[recipe.of.index] : read(recipe.of, inputs);
        if (!(base instanceof Tensor)) throw new InternalError("an aliased result is not a tensor");
        const show = (): Tensor => recipe.steps.reduce((t, step) => applyView(concreteStep(step, sizes), t), base);
        return recipe.taped ? enableGrad(show) : noGrad(show);
      }
      default:
        return recipe satisfies never;
    }
  });
}

/** Gradients of a call as a differentiable call of their own. */
export interface HigherCall {
  /** Takes what was kept, the inputs of the call, and the tangents. */
  readonly run: CompiledFunction;
  /** Inputs, by position, and attributes, by path, whose data it reads. */
  readonly readInputs: readonly number[];
  readonly readAttributes: readonly string[];
}

/** Finds the gradients as a differentiable call; `follows` says for each tangent whether the tape follows it. */
export type HigherCalls = (follows: readonly boolean[]) => HigherCall;

/** What a differentiable call keeps for its backward. */
export interface BackwardCall {
  readonly compiled: CompiledProgram;
  readonly inputs: readonly GraphInput[];
  readonly attributes: ReadonlyMap<string, Tensor>;
  readonly saved: readonly GraphInput[];
  readonly sizes: readonly number[];
  /** The differentiable results, whose gradients are the tangents. */
  readonly outs: readonly Tensor[];
  /** What the caller has of the call. */
  readonly results: readonly GraphResult[];
  /** Memory that eager's tape would have kept, which must be as it was. */
  readonly expected: readonly Expected[];
  /** Eager's names of the steps that the differentiable results come from. */
  readonly steps: readonly string[];
  /** For gradients of the gradients. */
  readonly again: HigherCalls;
}

const COMPILED_STEP = "CompiledFunctionBackward";

/** A tangent in the geometry for which the backward was compiled: contiguous. */
function tangentFor(out: Tensor, grad: Tensor | null): Tensor {
  if (grad === null) return noGrad(() => zeros(out.shape, { dtype: out.dtype, device: out.device }));
  if (!sameShape(grad.shape, out.shape)) throw new InternalError("a gradient has another shape than its result");
  return grad.contiguous();
}

function refuseWritten(t: Tensor, version: number): void {
  if (t.version !== version) throw writtenSince(COMPILED_STEP, { shape: t.shape, version: t.version, saved: version });
}

/** Makes the results of a call one step of the tape. */
export function recordCall(leaves: readonly Tensor[], call: BackwardCall): void {
  const { inputs, attributes, expected } = call;
  const saved = keptContent(call);
  const inputVersions = inputs.map((t) => t instanceof Tensor ? t.version : 0);
  const attributeVersions = new Map([...attributes].map(([path, t]) => [path, t.version]));
  recordFunction(COMPILED_STEP, leaves, call.outs, (grads) => {
    expected.forEach(checkExpected);
    const kept = saved.map((read) => read());
    const tangents = call.outs.map((out, i) => tangentFor(out, grads[i] ?? null));
    if (isGradEnabled()) {
      const higher = call.again(tangents.map((t) => t.requiresGrad));
      for (const i of higher.readInputs) {
        const t = inputs[i];
        if (t instanceof Tensor) refuseWritten(t, inputVersions[i] ?? 0);
      }
      for (const path of higher.readAttributes) {
        refuseWritten(attributes.get(path) as Tensor, attributeVersions.get(path) ?? 0);
      }
      return higher.run([...kept, ...inputs, ...tangents]).map((r) => r instanceof Tensor ? r : null);
    }
    const results = call.compiled([...kept, ...call.sizes, ...tangents]);
    return results.map((r) => r instanceof Tensor ? r : null);
  }, call.steps);
}

/**
 * What was saved, to be read when the backward runs. The caller may write to memory that eager's tape does not keep and the compiled backward does (an input of `exp`, which
 * is computed again): its content is copied before the first such write.
 */
function keptContent(call: BackwardCall): readonly (() => GraphInput)[] {
  const { inputs, attributes, results, expected } = call;
  const storages = (list: Iterable<unknown>): Set<Storage> =>
    new Set([...list].flatMap((t) => t instanceof Tensor ? [t.storage] : []));
  const exposed = storages([...inputs, ...attributes.values(), ...results]);
  const watched = storages(expected.map((e) => e.tensor));
  return call.saved.map((value) => {
    if (!(value instanceof Tensor) || !exposed.has(value.storage) || watched.has(value.storage)) return () => value;
    const { version, shape, stride, storageOffset, dtype, device } = value;
    const cell = snapshotOf(value.storage, device, { keepAll: () => {} });
    return () =>
      value.version === version
        ? value
        : new Tensor({ shape, stride, storageOffset, dtype, device, storage: cell.current() });
  });
}
