/**
 * From a captured graph to functional graphs: one for inference, or a joint graph of forward and backward.
 *
 * The captured graph is run on traced tensors with the tape on where it was on during capture; then the tape is walked from the differentiable results
 * with tangents as further inputs, which records the backward behind the forward. Results of the functional graph are the captured results, then the final
 * values of what was written. Mirrors `create_joint` of AOTAutograd.
 */
import { CompileError, config } from "../core/mod.ts";
import { gradOf } from "../autograd/mod.ts";
import type { GraphModule } from "../capture/mod.ts";
import {
  type Argument,
  type Graph,
  type Node,
  rewriteCommonSubexpressions,
  rewriteDeadCode,
  rewriteScalars,
  verifyGraph,
} from "../graph/mod.ts";
import { getOp } from "../ops/mod.ts";
import { contiguousStride } from "../symbolic/mod.ts";
import { noGrad, type Tensor, withMode } from "../tensor/mod.ts";
import { Functionalizer, type FunctionalRun, type Origin, Place, type ViewStep } from "./functionalize.ts";
import { ClassReader, NodeClasses } from "./node_classes.ts";
import { GraphRecorder, type KeepWhole } from "./recorder.ts";
import { type Relied, reliedOn, type Visible } from "./relied.ts";

/** How one captured result is made from the functional graph's results. */
export type ResultRecipe =
  | { readonly kind: "result"; readonly index: number }
  | { readonly kind: "value"; readonly value: number | boolean | string | null }
  /** Views of an input or attribute, or of another result, applied again at run time so that they share its memory. */
  | {
    readonly kind: "alias";
    readonly of: Origin | { readonly kind: "result"; readonly index: number };
    readonly steps: readonly ViewStep[];
    /** Whether the views are taken with gradients on. */
    readonly taped: boolean;
  };

/** A write to an input or attribute: its final value is a result of the functional graph. */
export interface WriteBack {
  readonly origin: Origin;
  readonly result: number;
}

/** A captured graph in functional form. */
export interface FunctionalProgram {
  readonly graph: Graph;
  /** The tensors behind getAttr nodes: those of the captured graph, and constants. */
  readonly attributes: ReadonlyMap<string, Tensor>;
  readonly recipes: readonly ResultRecipe[];
  readonly writes: readonly WriteBack[];
}

/** A program with its backward recorded behind it. */
export interface JointProgram extends FunctionalProgram {
  /** Results that have a tangent, in order of the tangents: positions in the functional results. */
  readonly differentiable: readonly number[];
  readonly tangents: readonly Node[];
  /** Inputs and attributes whose gradients follow the forward's results, in order. */
  readonly leaves: readonly Origin[];
  /** How many results belong to the forward. */
  readonly forwardResults: number;
  /** Inputs and attributes that the call overwrites. */
  readonly overwritten: ReadonlySet<Node>;
  /** The steps of the tape that made the differentiable results. */
  readonly steps: readonly string[];
  /** What of the caller's memory the tape would have kept. */
  readonly relied: readonly Relied[];
  /** What a node computes, as a number that graphs recorded later share; null for nodes that were made afterwards. */
  readonly classOf: (node: Node) => number | null;
  readonly classes: NodeClasses;
}

/** Collects the functional graph's results. */
export class Results {
  readonly list: Argument[] = [];
  readonly tensors: (Tensor | null)[] = [];
  readonly #recorder: GraphRecorder;

  constructor(recorder: GraphRecorder) {
    this.#recorder = recorder;
  }

  add(t: Tensor): number {
    const found = this.tensors.indexOf(t);
    if (found >= 0) return found;
    this.tensors.push(t);
    return this.list.push(this.#recorder.nodeOf(t)) - 1;
  }

  addSize(size: Argument): number {
    this.tensors.push(null);
    return this.list.push(size) - 1;
  }
}

function recipesOf(run: FunctionalRun, module: GraphModule, results: Results): ResultRecipe[] {
  // Memory that several results share must be one result, which the others view.
  const users = new Map<unknown, number>();
  for (const r of run.results) if (r instanceof Place) users.set(r.base, (users.get(r.base) ?? 0) + 1);
  return run.results.map((r, i): ResultRecipe => {
    if (!(r instanceof Place)) {
      if (typeof r === "object" && r !== null) return { kind: "result", index: results.addSize(r) };
      return { kind: "value", value: r };
    }
    const taped = module.differentiable[i] === true;
    if (r.base.origin !== null) return { kind: "alias", of: r.base.origin, steps: r.steps, taped };
    if (r.steps.length > 0 && (users.get(r.base) ?? 0) > 1) {
      return { kind: "alias", of: { kind: "result", index: results.add(r.base.value) }, steps: r.steps, taped };
    }
    return { kind: "result", index: results.add(r.read()) };
  });
}

function writesOf(run: FunctionalRun, results: Results): WriteBack[] {
  return run.written.map(({ origin, value }) => {
    if (value.requiresGrad) {
      throw new CompileError(
        `${originText(origin)} is written in place with a value that needs a gradient; return the value instead`,
      );
    }
    return { origin, result: results.add(value) };
  });
}

/** For messages. */
export function originText(origin: Origin): string {
  return origin.kind === "input" ? `input ${origin.index}` : origin.path;
}

/** Passes that every functional graph goes through. */
function clean(graph: Graph): void {
  const verify = config().verify;
  for (const pass of [rewriteDeadCode, rewriteCommonSubexpressions]) {
    pass(graph);
    if (verify) verifyGraph(graph);
  }
  rewriteScalars(graph, getOp("aten.full.default"));
  if (verify) verifyGraph(graph);
}

function attributesOf(module: GraphModule, recorder: GraphRecorder): ReadonlyMap<string, Tensor> {
  const kept = new Set(recorder.graph.attributes.map((a) => a.path));
  return new Map([...module.attributes, ...recorder.constants].filter(([path]) => kept.has(path)));
}

/** The functional form of a captured graph whose results nobody differentiates. */
export function functionalProgram(module: GraphModule, keeps: KeepWhole): FunctionalProgram {
  const recorder = new GraphRecorder(keeps);
  const { recipes, writes } = withMode(recorder, () =>
    noGrad(() => {
      const run = new Functionalizer(module, recorder, false).run(() => false);
      const results = new Results(recorder);
      const out = { recipes: recipesOf(run, module, results), writes: writesOf(run, results) };
      recorder.graph.setOutput(results.list);
      return out;
    }));
  clean(recorder.graph);
  return { graph: recorder.graph, attributes: attributesOf(module, recorder), recipes, writes };
}

/** An input or attribute as a traced tensor. */
export type Primal = FunctionalRun["primals"][number];

/** Results that a gradient can be asked of, and what it flows to. */
export interface Differentiable {
  readonly results: Results;
  /** Results that have a tangent, each once. */
  readonly differentiable: readonly number[];
  readonly leaves: readonly Primal[];
}

/** A captured graph that was run forward. */
export interface ForwardRun extends Differentiable {
  readonly recipes: readonly ResultRecipe[];
  readonly writes: readonly WriteBack[];
  readonly overwritten: readonly Primal[];
  readonly visible: Visible;
}

/** Runs a captured graph on traced tensors, with the tape on. Call it with the recorder in force. */
export function runForward(
  module: GraphModule,
  requiresGrad: (origin: Origin) => boolean,
  recorder: GraphRecorder,
): ForwardRun {
  const run = new Functionalizer(module, recorder, true).run(requiresGrad);
  const results = new Results(recorder);
  const recipes = recipesOf(run, module, results);
  const writes = writesOf(run, results);
  const differentiable = recipes.flatMap((recipe, i) => {
    if (module.differentiable[i] !== true) return [];
    const index = recipe.kind === "result"
      ? recipe.index
      : recipe.kind === "alias" && recipe.of.kind === "result"
      ? recipe.of.index
      : -1;
    return index >= 0 && results.tensors[index]?.requiresGrad === true ? [index] : [];
  }).filter((index, i, all) => all.indexOf(index) === i);
  const nodeOf = (t: Tensor): Node => recorder.nodeOf(t);
  const shown = new Map<Node, number>();
  for (const recipe of recipes) {
    const index = recipe.kind === "result"
      ? recipe.index
      : recipe.kind === "alias" && recipe.of.kind === "result"
      ? recipe.of.index
      : -1;
    const t = results.tensors[index];
    if (t !== null && t !== undefined) shown.set(nodeOf(t), index);
  }
  const visible: Visible = {
    primals: run.primals.map(({ origin, tensor }) => ({ origin, node: nodeOf(tensor) })),
    written: run.written.map(({ origin, value }) => ({ origin, node: nodeOf(value) })),
    results: shown,
  };
  return {
    visible,
    results,
    recipes,
    writes,
    differentiable,
    leaves: run.primals.filter((p) => p.tensor.requiresGrad),
    overwritten: run.primals.filter((p) => run.written.some((w) => w.origin === p.origin)),
  };
}

/** What {@linkcode goBack} gives. */
export interface BackwardRun {
  readonly tangents: readonly Tensor[];
  /** One for each leaf; null where none flows. */
  readonly gradients: readonly (Tensor | null)[];
}

/**
 * Records the gradients of what was run. `follows` says for each tangent whether the tape follows it, so that the gradients can be
 * differentiated again; without it nothing of the backward is taped.
 */
export function goBack(
  recorder: GraphRecorder,
  { results, differentiable, leaves }: Differentiable,
  name: string,
  follows: readonly boolean[] | null = null,
): BackwardRun {
  const outs = differentiable.map((i) => results.tensors[i] as Tensor);
  const tangents = outs.map((t, i) => {
    const { shape, dtype, device } = t;
    const first = recorder.graph.calls[0];
    const meta = { shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device };
    const make = (): Tensor => recorder.placeholder(`${name}_${i}`, meta, follows?.[i] === true);
    return first === undefined ? make() : recorder.graph.insertBefore(first, make);
  });
  if (outs.length === 0) return { tangents, gradients: leaves.map(() => null) };
  const options = { gradOutputs: tangents, allowUnused: true, createGraph: follows !== null };
  const gradients = noGrad(() => gradOf(outs, leaves.map((l) => l.tensor), options));
  return { tangents, gradients };
}

/** Ends a joint graph: forward results, then gradients. */
export function finishJoint(
  module: GraphModule,
  recorder: GraphRecorder,
  forward: ForwardRun,
  { tangents, gradients }: BackwardRun,
  relied: readonly Relied[] = [],
  classes: NodeClasses = new NodeClasses(),
): JointProgram {
  const { results, recipes, writes, differentiable, leaves, overwritten } = forward;
  const nodes = gradients.map((g): Argument => g === null ? null : recorder.nodeOf(g));
  recorder.graph.setOutput([...results.list, ...nodes]);
  // Cleaning changes what calls read; what is kept is known by what was recorded.
  const reader = new ClassReader(classes);
  const known = new Map(recorder.graph.nodes.map((node) => [node, reader.of(node)]));
  clean(recorder.graph);
  return {
    graph: recorder.graph,
    attributes: attributesOf(module, recorder),
    recipes,
    writes,
    differentiable,
    tangents: tangents.map((t) => recorder.nodeOf(t)),
    leaves: leaves.map((l) => l.origin),
    forwardResults: results.list.length,
    overwritten: new Set(overwritten.map((p) => recorder.nodeOf(p.tensor))),
    steps: differentiable.map((i) => results.tensors[i]?.gradFn?.name ?? ""),
    relied,
    classOf: (node) => known.get(node) ?? null,
    classes,
  };
}

/**
 * The joint graph of a captured graph: forward results, then gradients of all inputs and attributes that require one.
 *
 * @throws {CompileError} for writes that would need a gradient.
 */
export function jointProgram(
  module: GraphModule,
  requiresGrad: (origin: Origin) => boolean,
  keeps: KeepWhole,
): JointProgram {
  const recorder = new GraphRecorder(keeps);
  return withMode(recorder, () => {
    const forward = runForward(module, requiresGrad, recorder);
    const { graph } = recorder;
    const before = new Set(graph.nodes);
    const backward = goBack(recorder, forward, "tangent");
    const tangents = backward.tangents.map((t) => recorder.nodeOf(t));
    const relied = reliedOn(graph, new Set([...before, ...tangents]), forward.visible, recorder.steps);
    return finishJoint(module, recorder, forward, backward, relied);
  });
}
