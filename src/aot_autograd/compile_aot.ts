/**
 * AOTAutograd as a backend maker: functional compilers for forward and backward become a backend for `compile()`.
 *
 * Enters: a captured graph. If somebody may differentiate its results, it becomes a joint graph, which is cut in two and compiled twice; else one functional
 * graph is compiled. Leaves: a function that behaves like the captured graph, writes, views and gradients included. Mirrors `aot_module_simplified`.
 */
import {
  type BackendContext,
  type CompiledFunction,
  type CompilerBackend,
  type GraphInput,
  type GraphModule,
  type GraphResult,
  type KeptPrograms,
} from "../capture/mod.ts";
import { config, log } from "../core/mod.ts";
import { type Graph, graphToText, verifyGraph } from "../graph/mod.ts";
import { evaluate, type SymInt } from "../symbolic/mod.ts";
import { isGradEnabled, noGrad, Tensor } from "../tensor/mod.ts";
import type { Origin } from "./functionalize.ts";
import { type DifferentiableSource, higherJoint, type Order, orderOf } from "./higher_joint.ts";
import {
  functionalProgram,
  type JointProgram,
  jointProgram,
  type ResultRecipe,
  type WriteBack,
} from "./joint_graph.ts";
import { type CallSizes, callSizes, sizesOfCall } from "./stored_recipes.ts";
import { partitionJoint } from "./partition.ts";
import type { KeepWhole } from "./recorder.ts";
import { expectations, type Relied } from "./relied.ts";
import {
  announceWrites,
  assemble,
  type CompiledProgram,
  type HigherCall,
  type HigherCalls,
  originReader,
  recordCall,
  writeBack,
} from "./runtime.ts";

/** A functional graph for a compiler, and what it may do with its inputs. */
export interface CompileRequest {
  readonly graph: Graph;
  /** The tensors behind getAttr nodes, by path. */
  readonly attributes: ReadonlyMap<string, Tensor>;
  /** Results that are copied into inputs or attributes afterwards; a compiler may write them there itself and say so in `donated`. */
  readonly writes: readonly WriteBack[];
  readonly kind: "inference" | "forward" | "backward";
  readonly context: BackendContext;
  /** Of an inference graph: what it was made from and how its results become the caller's, for a cache of whole programs. */
  readonly captured?: {
    readonly module: GraphModule;
    readonly recipes: readonly ResultRecipe[];
    readonly shown: CallSizes;
  };
  /** Of one half of a differentiable call: the whole that it belongs to, the same object for both halves. */
  readonly training?: TrainingSource;
}

/** What a differentiable call was made from, for a cache of whole programs. */
export interface TrainingSource {
  readonly module: GraphModule;
  readonly exampleInputs: readonly Tensor[];
  readonly call: TrainingCall;
  readonly shown: CallSizes;
}

/** What a differentiable call does beside running its two halves. */
export interface TrainingCall {
  readonly writes: readonly WriteBack[];
  readonly recipes: readonly ResultRecipe[];
  /** How many results of the forward belong to the caller; what it keeps for the backward follows. */
  readonly forwardResults: number;
  /** Results that have a gradient, in order of the backward's last inputs. */
  readonly differentiable: readonly number[];
  /** What the backward's results are gradients of. */
  readonly leaves: readonly Origin[];
  /** Sizes that the backward needs and nothing that it is given shows. */
  readonly sizes: readonly SymInt[];
  /** What of the caller's memory must not be written before the backward. */
  readonly relied: readonly Relied[];
  /** What eager's tape calls the last steps of the differentiable results. */
  readonly steps: readonly string[];
}

/** A program that was compiled before, perhaps by another process. */
export interface RestoredProgram {
  readonly compiled: CompiledProgram;
  readonly writes: readonly WriteBack[];
  readonly recipes: readonly ResultRecipe[];
  /** Where a call shows its sizes. */
  readonly shown: CallSizes;
}

/** A captured graph, and which of its inputs a gradient flows to. */
export interface DifferentiableModule {
  readonly module: GraphModule;
  readonly inputs: readonly boolean[];
}

/** A differentiable call that was compiled before. */
export interface RestoredTraining {
  readonly call: TrainingCall;
  readonly shown: CallSizes;
  readonly forward: CompiledProgram;
  readonly backward: CompiledProgram;
  /** Finds what it was compiled from, for gradients of its gradients. */
  readonly captured?: () => DifferentiableModule | null;
}

/** Compiles a functional graph. */
export type ProgramCompiler = (request: CompileRequest) => CompiledProgram;

/** What {@linkcode aotBackend} is made of. */
export interface AotOptions {
  readonly forward: ProgramCompiler;
  /** Default `forward`. */
  readonly backward?: ProgramCompiler;
  /** Operators with a decomposition that the compilers take whole, in a captured graph that nobody differentiates. Default none. */
  readonly keepWhole?: (module: GraphModule) => KeepWhole;
  /** Finds an inference program compiled before, so that its graph need not be made functional again. */
  readonly restore?: (module: GraphModule, context: BackendContext) => RestoredProgram | null;
  /** Names programs, and finds them by name alone. */
  readonly kept?: {
    nameOf(module: GraphModule, exampleInputs: readonly Tensor[], context: BackendContext): string | null;
    restore(
      name: string,
      attributes: ReadonlyMap<string, Tensor>,
      context: BackendContext,
    ): RestoredProgram | RestoredTraining | null;
  };
}

/**
 * Makes a backend from compilers of functional graphs.
 *
 * @example
 * ```ts
 * import { aotBackend, compile, interpretProgram, randn, type Tensor } from "@tessera/tessera";
 * const backend = aotBackend({ forward: interpretProgram });
 * const f = compile((x: Tensor) => x.mul(x).sum(), { backend });
 * const x = randn([3]).requiresGrad_();
 * f(x).backward();
 * ```
 */
export function aotBackend(options: AotOptions): CompilerBackend {
  const { forward, backward = forward, keepWhole = () => () => false, restore, kept } = options;
  const compile: CompilerBackend = (module, exampleInputs, context) => {
    const flags = exampleInputs.map((t) => t.requiresGrad);
    const requiresGrad = (origin: Origin): boolean =>
      origin.kind === "input"
        ? flags[origin.index] === true
        : module.attributes.get(origin.path)?.requiresGrad === true;
    if (!module.differentiable.includes(true)) {
      const restored = restore?.(module, context) ?? null;
      return restored === null
        ? compileInference(module, forward, keepWhole(module), context)
        : inferenceCall(module.attributes, restored);
    }
    return compileTraining(module, exampleInputs, requiresGrad, keepWhole(module), { forward, backward, context });
  };
  return kept === undefined
    ? compile
    : Object.assign(compile, { kept: keptPrograms(kept, { forward, backward }, keepWhole) });
}

function keptPrograms(
  kept: NonNullable<AotOptions["kept"]>,
  compilers: Omit<Compilers, "context">,
  keepWhole: (module: GraphModule) => KeepWhole,
): KeptPrograms {
  return {
    nameOf: (module, exampleInputs, context) => kept.nameOf(module, exampleInputs, context),
    restore: (name, attributes, context) => {
      const found = kept.restore(name, attributes, context);
      if (found === null) return null;
      if (!("call" in found)) return inferenceCall(attributes, found);
      return trainingCall(attributes, found, keptHigherCalls(found, { ...compilers, context }, keepWhole));
    },
  };
}

/** Gradients of gradients of a call from a cache: its graph is read when they are asked for, and cut again, which keeps the same values. */
function keptHigherCalls(
  found: RestoredTraining,
  compilers: Compilers,
  keepWhole: (module: GraphModule) => KeepWhole,
): HigherCalls {
  let calls: HigherCalls | null = null;
  return (follows) => {
    if (calls === null) {
      const captured = found.captured?.() ?? null;
      if (captured === null) {
        throw new TypeError(
          "backward: the graph of a compiled function from the cache is gone, so the gradient of its gradient cannot be made; " +
            "empty the cache (tessera cache clear) and compile again",
        );
      }
      const { module, inputs } = captured;
      const requiresGrad = (origin: Origin): boolean =>
        origin.kind === "input"
          ? inputs[origin.index] === true
          : module.attributes.get(origin.path)?.requiresGrad === true;
      const keeps = keepWhole(module);
      const joint = jointProgram(module, requiresGrad, keeps);
      const { saved } = partitionJoint(joint, activationBudget(compilers.context));
      const source: DifferentiableSource = { module, requiresGrad, keeps, classes: joint.classes };
      calls = higherCalls(source, [], (on) => orderOf(joint, saved, on), compilers);
    }
    return calls(follows);
  };
}

function checked(graph: Graph, title: string): void {
  if (config().verify) verifyGraph(graph);
  log("aot_graphs", () => `${title}\n${graphToText(graph)}`);
}

function readyOf(...programs: readonly CompiledProgram[]): () => Promise<void> {
  return async () => {
    await Promise.all(programs.map((p) => p.ready?.()));
  };
}

function compileInference(
  module: GraphModule,
  compiler: ProgramCompiler,
  keeps: KeepWhole,
  context: BackendContext,
): CompiledFunction {
  const program = functionalProgram(module, keeps);
  checked(program.graph, "inference graph");
  const { graph, attributes, writes, recipes } = program;
  const shown = callSizes(graph);
  const captured = { module, recipes, shown };
  const compiled = compiler({ graph, attributes, writes, kind: "inference", context, captured });
  return inferenceCall(module.attributes, { compiled, writes, recipes, shown });
}

/** The captured function over its compiled functional graph. */
function inferenceCall(
  attributes: ReadonlyMap<string, Tensor>,
  program: RestoredProgram,
): CompiledFunction {
  const { compiled, writes, recipes } = program;
  const readSizes = sizesOfCall(program.shown);
  const read = originReader(attributes);
  // The common case: results as they come, nothing written.
  const plain = writes.length === 0 && recipes.every((r, i) => r.kind === "result" && r.index === i);
  const run = (inputs: readonly GraphInput[]): readonly GraphResult[] => {
    if (writes.length > 0) announceWrites(program, read, inputs);
    const results = compiled(inputs);
    if (plain) return results;
    writeBack(program, compiled.donated, read, inputs, results);
    return assemble(recipes, results, read, inputs, readSizes(inputs));
  };
  return Object.assign(run, { ready: readyOf(compiled), leavesNoTrace: compiled.leavesNoTrace === true });
}

function compileTraining(
  module: GraphModule,
  exampleInputs: readonly Tensor[],
  requiresGrad: (origin: Origin) => boolean,
  keeps: KeepWhole,
  compilers: Compilers,
): CompiledFunction {
  const joint = jointProgram(module, requiresGrad, keeps);
  const source: DifferentiableSource = { module, requiresGrad, keeps, classes: joint.classes };
  return compileJoint(source, joint, [], compilers, exampleInputs);
}

/**
 * Memory for what a forward keeps for its backward, as the option `activationBudget` of `compile(fn, { options })` says: a part of what would be kept without it.
 *
 * @throws {RangeError} if it is no number from 0 to 1.
 */
export function activationBudget({ options }: BackendContext): number {
  const budget = options["activationBudget"] ?? 1;
  if (typeof budget !== "number" || !(budget >= 0 && budget <= 1)) {
    throw new RangeError(
      `compile: options.activationBudget is ${
        String(budget)
      }: use a number from 0 (keep as little as possible) to 1 (compute only cheap values again)`,
    );
  }
  return budget;
}

interface Compilers {
  readonly forward: ProgramCompiler;
  readonly backward: ProgramCompiler;
  readonly context: BackendContext;
}

/** Cuts a joint graph and compiles both halves. `orders`: the differentiations before; `exampleInputs` where a cache may keep it. */
function compileJoint(
  source: DifferentiableSource,
  joint: JointProgram,
  orders: readonly Order[],
  compilers: Compilers,
  exampleInputs: readonly Tensor[] | null,
): CompiledFunction {
  const { context } = compilers;
  const title = orders.length === 0 ? "" : `order ${orders.length + 1}, `;
  checked(joint.graph, `${title}joint graph`);
  const parts = partitionJoint(joint, activationBudget(context));
  checked(parts.forward, `${title}forward graph`);
  checked(parts.backward, `${title}backward graph`);
  const { attributes, writes, recipes, forwardResults, differentiable, leaves, relied, steps } = joint;
  const call: TrainingCall = {
    writes,
    recipes,
    forwardResults,
    differentiable,
    leaves,
    sizes: parts.sizes,
    relied,
    steps,
  };
  const shown = callSizes(parts.forward);
  const attributesOf = (graph: Graph): ReadonlyMap<string, Tensor> => {
    const paths = new Set(graph.attributes.map((a) => a.path));
    return new Map([...attributes].filter(([path]) => paths.has(path)));
  };
  const more = exampleInputs === null ? {} : { training: { module: source.module, exampleInputs, call, shown } };
  const forward = compilers.forward({
    graph: parts.forward,
    attributes: attributesOf(parts.forward),
    writes,
    kind: "forward",
    context,
    ...more,
  });
  const backward = compilers.backward({
    graph: parts.backward,
    attributes: attributesOf(parts.backward),
    writes: [],
    kind: "backward",
    context,
    ...more,
  });
  const orderFor = (follows: readonly boolean[]): Order => orderOf(joint, parts.saved, follows);
  const again = higherCalls(source, orders, orderFor, compilers);
  // A leaf of which the gradient is all that anybody asks is in neither graph.
  const all = new Map([...source.module.attributes, ...attributes]);
  return trainingCall(all, { call, shown, forward, backward }, again);
}

/** Gradients that can be differentiated again, compiled when they are first asked for: one form for each set of tangents that the tape follows. */
function higherCalls(
  source: DifferentiableSource,
  orders: readonly Order[],
  orderFor: (follows: readonly boolean[]) => Order,
  compilers: Compilers,
): HigherCalls {
  const known = new Map<string, HigherCall>();
  return (follows) => {
    const key = follows.join();
    let found = known.get(key);
    if (found === undefined) {
      const all = [...orders, orderFor(follows)];
      const joint = higherJoint(source, all);
      const { readInputs, readAttributes } = joint;
      const run = compileJoint(source, joint, all, compilers, null);
      known.set(key, found = { run, readInputs, readAttributes });
    }
    return found;
  };
}

/** The captured function over its two halves. */
function trainingCall(
  attributes: ReadonlyMap<string, Tensor>,
  { call, shown, forward, backward }: RestoredTraining,
  again: HigherCalls,
): CompiledFunction {
  const { recipes, forwardResults, differentiable, leaves, relied } = call;
  const readSizes = sizesOfCall(shown);
  const read = originReader(attributes);
  const run = (inputs: readonly GraphInput[]): readonly GraphResult[] => {
    const isTaped = isGradEnabled() && differentiable.length > 0;
    const expect = isTaped ? expectations(relied, read, inputs) : null;
    announceWrites(call, read, inputs);
    const results = noGrad(() => forward(inputs));
    writeBack(call, forward.donated, read, inputs, results);
    const sizes = readSizes(inputs);
    if (expect !== null) {
      recordCall(leaves.map((origin) => read(origin, inputs)), {
        compiled: backward,
        inputs,
        attributes,
        saved: results.slice(forwardResults) as GraphInput[],
        sizes: call.sizes.map((s) => evaluate(s.expr, sizes)),
        outs: differentiable.map((i) => results[i] as Tensor),
        results: results.slice(0, forwardResults),
        expected: expect(results),
        steps: call.steps,
        again,
      });
    }
    return assemble(recipes, results, read, inputs, sizes);
  };
  return Object.assign(run, { ready: readyOf(forward, backward), leavesNoTrace: forward.leavesNoTrace === true });
}
