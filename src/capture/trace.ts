/**
 * One capture: from a call with real arguments to a graph, guards and a way to run both.
 *
 * Runs the function on twins and proxies, turns what it returned and changed into templates, cleans and checks the graph, hands it to the backend, and compiles the
 * guards (last, because a backend may still ask sizes). If anything throws, the world is as it was before.
 */
import { CompileError, config, InternalError, log } from "../core/mod.ts";
import { graphToText, type Node, rewriteDeadCode, verifyGraph } from "../graph/mod.ts";
import { isGradEnabled, setGradEnabled, type Storage, type Tensor, withMode, withoutAutocast } from "../tensor/mod.ts";
import { OutOfMemoryError } from "../runtime/mod.ts";
import { edgeOf, FunctionNode, hasGradHooks, type TapeNode, type WrittenNeed } from "../autograd/mod.ts";
import type { BackendContext, CompiledFunction, CompilerBackend, GraphModule } from "./backends.ts";
import type { Subject } from "./accessors.ts";
import { Closures, type FunctionNote } from "./closures.ts";
import type { SizeMemory } from "./dynamic.ts";
import { collectEffects, type Effect, replay } from "./effects.ts";
import { GraphBreak } from "./graph_break.ts";
import { compileGuards } from "./guard_code.ts";
import type { CompiledGuard, GuardInput } from "./guard_types.ts";
import { type LiftedTensor, numberTensor } from "./lifted_tensors.ts";
import { ShapeEnv } from "./shape_env.ts";
import type { Source } from "./source.ts";
import { build, type Template, TemplateMaker } from "./templates.ts";
import { type Remark, Tracer } from "./tracer.ts";

/** A captured and compiled form of a function, valid while its guards hold. */
export interface Entry {
  readonly guard: CompiledGuard;
  /** How many values the guards fetch for a call. */
  readonly valueCount: number;
  readonly compiled: CompiledFunction;
  /** Runs the call whose values the guards have fetched. */
  readonly run: (values: readonly unknown[]) => unknown;
  /** Null if it was found in the cache. */
  readonly module: GraphModule | null;
  readonly effects: readonly Effect[];
  readonly remarks: readonly Remark[];
  readonly unserved: readonly Subject[];
  /** For `explain`: why no other process can use it; null if one can. */
  readonly keptHere?: string | null;
}

/** What one capture needs. */
export interface TraceRequest {
  // deno-lint-ignore ban-types
  readonly fn: Function;
  readonly self: unknown;
  readonly args: readonly unknown[];
  readonly memory: SizeMemory;
  readonly files: readonly string[];
  readonly captures: (() => Readonly<Record<string, unknown>>) | null;
}

/** What a trace left behind, before a backend has seen it. */
export interface Trace {
  readonly tracer: Tracer;
  readonly module: GraphModule;
  readonly inputs: readonly LiftedTensor[];
  readonly output: Template;
  readonly effects: readonly Effect[];
  /** Sources whose values a call needs: inputs first. */
  readonly wanted: readonly Source[];
  readonly apart: GuardInput["apart"];
  readonly distinct: GuardInput["distinct"];
  /** Closures whose guards become cheap once an eager run has opened them. */
  readonly unserved: readonly Subject[];
  /** The user's functions that were run. */
  readonly notes: readonly FunctionNote[];
}

/**
 * Runs the function symbolically.
 *
 * @throws {GraphBreak} where it cannot be captured, and whatever the function throws.
 */
export function traceFunction(request: TraceRequest): Trace {
  const { memory } = request;
  const tracer = new Tracer(new ShapeEnv(), {
    sizesOf: (source, t, env) => memory.sizesOf(source, t, env),
    variesAt: (source) => memory.varies(source),
    noteTensor: (source, t) => memory.noteTensor(source, t),
    numberVaries: (source, value) => memory.numberVaries(source, value),
  });
  const closures = new Closures(tracer, request);
  tracer.setFunctions(closures);
  const gradEnabled = isGradEnabled();
  let result: unknown;
  try {
    tracer.env.isTracing = true;
    result = withMode(tracer, () => {
      const stated = request.captures?.() ?? null;
      const fn = closures.prepare(request.fn, stated);
      const self = request.self === undefined
        ? undefined
        : tracer.wrap(request.self, tracer.sources.root({ kind: "this" }));
      const args = request.args.map((arg, index) => tracer.wrap(arg, tracer.sources.root({ kind: "argument", index })));
      return Reflect.apply(fn, self, args);
    });
  } catch (error) {
    if (closures.mustBeServed) throw new NeedsAccess(closures.unserved, tracer.graphBreak);
    // What broke first is the reason; errors after it may be its consequence.
    throw tracer.graphBreak ?? error;
  } finally {
    tracer.env.isTracing = false;
    setGradEnabled(gradEnabled);
  }
  if (closures.mustBeServed) throw new NeedsAccess(closures.unserved, tracer.graphBreak);
  if (tracer.graphBreak !== null) throw tracer.graphBreak;
  if (tracer.comparesUnseen !== null && tracer.env.symbols.length > 0) {
    throw new GraphBreak(
      `${tracer.comparesUnseen} compares by identity and runs as it is, where sizes of the trace may show`,
      "make the instance outside, or compile with dynamic: false",
      null,
    );
  }
  return { ...finish(tracer, result), unserved: closures.unserved, notes: closures.notes };
}

/** Thrown where a trace cannot go on before an eager run has given access to closures. */
export class NeedsAccess extends Error {
  override readonly name: string = "NeedsAccess";
  readonly subjects: readonly Subject[];
  /** What to report if that run gives nothing. */
  readonly otherwise: GraphBreak;

  constructor(subjects: readonly Subject[], otherwise: GraphBreak | null) {
    super("closures must be opened by an eager run first");
    this.subjects = subjects;
    this.otherwise = otherwise ?? new GraphBreak(
      "it assigns an outer variable that could not be reached",
      "keep the value in a property of an object, or return it",
      null,
    );
  }
}

function finish(tracer: Tracer, result: unknown): Omit<Trace, "unserved" | "notes"> {
  const extra: Source[] = [];
  const maker = new TemplateMaker(tracer, extra);
  const output = maker.make(result);
  const effects = collectEffects(tracer, maker);
  const { graph } = tracer;
  graph.setOutput(maker.results);
  rewriteDeadCode(graph);
  if (config().verify) verifyGraph(graph);
  const lifted = tracer.lifted;
  // Registered by the function itself, for all times to come.
  for (const l of lifted) if (hasGradHooks(l.twin) && l.source !== null) tracer.refuseHooks(l);
  const attributes = new Map<string, Tensor>();
  const byNode = new Map<Node, LiftedTensor>(lifted.map((l) => [l.node, l]));
  for (const node of graph.attributes) {
    const real = byNode.get(node)?.real;
    if (real === undefined) throw new InternalError(`nothing stands behind the attribute ${node.path}`);
    attributes.set(node.path, real);
  }
  const inputs = graph.placeholders.map((node) => {
    const found = byNode.get(node);
    if (found === undefined || found.source === null) throw new InternalError(`the input ${node.name} has no source`);
    return found;
  });
  const inputSources = inputs.map((i) => i.source as Source);
  refuseInnerSteps(tracer, maker.tensors);
  refuseLeaves(tracer, maker.tensors);
  refuseHistories(tracer);
  const dead = maker.tensors.map((t) => t !== null && t.requiresGrad ? deadStep(tracer, t) : null);
  const differentiable = maker.tensors.map((t, i) => t !== null && t.requiresGrad && dead[i] === null);
  dead.forEach((step, index) => {
    if (step !== null) effects.push({ kind: "spent", target: { kind: "result", index }, ...step });
  });
  const module: GraphModule = { graph, attributes, recorded: tracer.recorded, differentiable };
  return {
    tracer,
    module,
    inputs,
    // Templates count extra sources from 0; the values of a call begin with the inputs.
    output: shiftSources(output, inputs.length),
    effects: effects.map((e) => shiftEffect(e, inputs.length)),
    wanted: [...inputSources, ...extra],
    apart: apartFrom(lifted),
    distinct: distinctFrom(tracer),
  };
}

/** The steps of the tape behind tensors, each once. */
function* tapeBehind(tensors: readonly Tensor[]): Generator<TapeNode> {
  const seen = new Set<TapeNode>();
  const stack = tensors.flatMap((t) => edgeOf(t)?.node ?? []);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    yield node;
    for (const next of node.edges) if (next !== null) stack.push(next.node);
  }
}

/**
 * The first step that `backward()` outside could not walk: it was walked before and freed, or it needs what the function wrote since. Null if there is none.
 * Later steps are walked first. Memory from outside is left to its versions at each call.
 */
function deadStep(tracer: Tracer, t: Tensor): { readonly name: string; readonly need: WrittenNeed | null } | null {
  const outer = new Set(tracer.lifted.map((l) => l.twin.storage));
  const steps = [...tapeBehind([t])].sort((a, b) => b.id - a.id);
  for (const node of steps) {
    const { name } = node;
    if (node.isReleased) return { name, need: null };
    const need = node.writtenNeed((written) => !outer.has(written.storage));
    if (need === null) continue;
    if (need.shape.every((size) => typeof size === "number")) return { name, need };
    tracer.breakGraph(
      `${name}: a tensor that backward() outside needs is written in place behind it`,
      "write to a clone(), or use the out-of-place form of the operator",
    );
  }
  return null;
}

/** A compiled call gives results a history, or none: a leaf of the function's own, which gradients gather at, is made by the function itself. */
function refuseLeaves(tracer: Tracer, results: readonly (Tensor | null)[]): void {
  // Constants are made anew by each call, so they count as made inside.
  const twins = new Set(tracer.lifted.filter((l) => l.source !== null).map((l) => l.twin));
  for (const t of results) {
    if (t === null || twins.has(t) || t.autograd?.requiresGrad !== true || t.gradFn !== null) continue;
    tracer.breakGraph(
      "a tensor that was made inside, and was asked to require gradients, leaves the function",
      "call requiresGrad_() outside, on what the function returns",
    );
  }
}

/** Memory from outside that is written with what needs a gradient has a history afterwards, which a compiled call gives to results only. */
function refuseHistories(tracer: Tracer): void {
  const written = tracer.lifted.find(({ twin, real }) =>
    twin.gradFn !== null && twin.requiresGrad && !real.requiresGrad
  );
  if (written === undefined) return;
  tracer.breakGraph(
    `${written.source ?? "a tensor"} is written in place with what needs a gradient, and has a history afterwards`,
    "write detach() of it, or write under noGrad()",
  );
}

/** Between results and inputs the tape of a compiled function is one step: nobody can listen to gradients inside of it, or bring a rule of its own. */
function refuseInnerSteps(tracer: Tracer, results: readonly (Tensor | null)[]): void {
  for (const node of tapeBehind(results.filter((t) => t !== null))) {
    if (node.isReleased) continue;
    const why = node.isWatched
      ? "a hook, or retainGrad(), waits for a gradient that backward() outside would bring"
      : node instanceof FunctionNode
      ? "its own gradient is not in the graph, and backward() outside would need it"
      : null;
    if (why !== null) tracer.breakGraph(`${node.name}: ${why}`, "call backward() inside as well, or use grad()");
  }
}

/**
 * Inputs that must keep apart from what is written: the graph was captured with these as separate memory.
 *
 * @throws {GraphBreak} if they overlap in this very call.
 */
function apartFrom(lifted: readonly LiftedTensor[]): GuardInput["apart"] {
  const written = lifted.filter((l) => l.twin.storage.version > 0);
  if (written.length === 0) return [];
  for (const w of written) {
    const other = lifted.find((l) => l !== w && l.real.storage === w.real.storage);
    if (other !== undefined) {
      throw new GraphBreak(
        `${w.source ?? "a tensor"} is written in place and shares memory with ${other.source ?? "another tensor"}`,
        "pass one of them and make the other from it inside of the compiled function",
        null,
      );
    }
  }
  const fixed = new Set<Storage>(written.filter((w) => w.kind === "attribute").map((w) => w.real.storage));
  const writtenInputs = written.filter((w) => w.kind === "input");
  const inputs = lifted.filter((l) => l.kind === "input");
  return inputs.map((l) => ({
    source: l.source as Source,
    others: writtenInputs.filter((w) => w !== l).map((w) => w.source as Source),
    storages: l.twin.storage.version > 0
      ? new Set<Storage>(lifted.filter((o) => o.kind === "attribute").map((o) => o.real.storage))
      : fixed,
  }));
}

/** Different tensors, and different objects where it matters, must be different again: the trace told them apart. */
function distinctFrom(tracer: Tracer): GuardInput["distinct"] {
  const out: GuardInput["distinct"][number][] = [];
  const { lifted } = tracer;
  const inputs = lifted.filter((l) => l.kind === "input" && l.source !== null).map((l) => l.source as Source);
  const attributes = new Set<unknown>(lifted.filter((l) => l.kind === "attribute").map((l) => l.real));
  if (inputs.length > 1 || (inputs.length === 1 && attributes.size > 0)) {
    out.push({ sources: inputs, from: attributes });
  }
  if (tracer.written.size === 0 && !tracer.comparedObjects) return out;
  const isFixed = (s: Source): boolean => s.key.kind === "constant" || s.checks.some((c) => c.kind === "identical");
  const records = tracer.records;
  const moving = records.filter((r) => !isFixed(r.source)).map((r) => r.source);
  const fixed = new Set<unknown>(records.filter((r) => isFixed(r.source)).map((r) => r.real));
  if (moving.length > 1 || (moving.length === 1 && fixed.size > 0)) out.push({ sources: moving, from: fixed });
  return out;
}

function shiftSources(t: Template, by: number): Template {
  const seen = new Map<Template, Template>();
  const shift = (x: Template): Template => {
    const known = seen.get(x);
    if (known !== undefined) return known;
    switch (x.kind) {
      case "value":
      case "result":
        return x;
      case "source":
        return { kind: "source", index: x.index + by };
      case "sum":
        return { ...x, index: x.index + by };
      case "array":
      case "set": {
        const items: Template[] = [];
        const out: Template = { ...x, items };
        seen.set(x, out);
        items.push(...x.items.map(shift));
        return out;
      }
      case "object": {
        const entries: (readonly [string | symbol, Template])[] = [];
        const out: Template = { ...x, entries };
        seen.set(x, out);
        entries.push(...x.entries.map(([k, v]) => [k, shift(v)] as const));
        return out;
      }
      case "map": {
        const entries: (readonly [Template, Template])[] = [];
        const out: Template = { ...x, entries };
        seen.set(x, out);
        entries.push(...x.entries.map(([k, v]) => [shift(k), shift(v)] as const));
        return out;
      }
      default:
        return x satisfies never;
    }
  };
  return by === 0 ? t : shift(t);
}

function shiftEffect(e: Effect, by: number): Effect {
  if (e.kind === "call") return { ...e, args: shiftSources(e.args, by) };
  if (e.kind === "assign") return { ...e, value: shiftSources(e.value, by) };
  const target = shiftSources(e.target, by);
  switch (e.kind) {
    case "set":
    case "private":
    case "grad":
      return { ...e, target, value: shiftSources(e.value, by) };
    case "fill":
      return { ...e, target, content: shiftSources(e.content, by) };
    case "append":
      return { ...e, target, items: shiftSources(e.items, by) };
    case "delete":
    case "requiresGrad":
    case "spent":
      return { ...e, target };
    default:
      return e satisfies never;
  }
}

/** Compiles a trace with a backend, and its guards. */
export function compileTrace(
  trace: Trace,
  request: TraceRequest,
  backend: CompilerBackend,
  context: BackendContext,
): Entry {
  const { tracer, module, inputs, output, effects } = trace;
  log("graph", () => graphToText(module.graph, { locations: true }));
  // The graph has its casts.
  const compiled = withoutAutocast(() => backend(module, inputs.map((i) => i.real), context));
  const guard = compileGuards({
    roots: tracer.sources.roots,
    shapeGuards: tracer.env.guards,
    wanted: trace.wanted,
    argumentCount: request.args.length,
    captures: request.captures,
    apart: trace.apart,
    distinct: trace.distinct,
  });
  log("guards", () => guard.sentences.map((s, i) => `${i}: ${s}`).join("\n") + `\n${guard.text}`);
  return {
    guard,
    valueCount: trace.wanted.length,
    compiled,
    run: runner(compiled, inputs.length, output, effects, inputs.flatMap((l, i) => l.kind === "number" ? [i] : [])),
    module,
    effects,
    remarks: tracer.remarks,
    unserved: trace.unserved,
  };
}

/** A compiled call failed before it changed anything: run as it is, the function does what it did before the error, and throws it in its own words. */
export class FailedRun extends Error {
  override readonly name: string = "FailedRun";

  constructor(cause: unknown) {
    super("a compiled call failed", { cause });
  }
}

/** Whether it is the data that are wrong, not the compiler or the machine. */
function isOfData(error: unknown): boolean {
  return !(error instanceof InternalError || error instanceof CompileError || error instanceof OutOfMemoryError);
}

/** The way from the values of a call to its result. */
export function runner(
  compiled: CompiledFunction,
  inputCount: number,
  output: Template,
  effects: readonly Effect[],
  /** Which inputs are numbers. */
  numbers: readonly number[],
): (values: readonly unknown[]) => unknown {
  const inputsOf = (values: readonly unknown[]): readonly Tensor[] => {
    if (numbers.length === 0 && values.length === inputCount) return values as readonly Tensor[];
    const inputs = values.slice(0, inputCount) as Tensor[];
    for (const i of numbers) inputs[i] = numberTensor(values[i] as number);
    return inputs;
  };
  const call = (values: readonly unknown[]): readonly unknown[] => {
    try {
      return compiled(inputsOf(values));
    } catch (error) {
      throw compiled.leavesNoTrace === true && isOfData(error) ? new FailedRun(error) : error;
    }
  };
  if (effects.length === 0 && output.kind === "result") {
    const { index } = output;
    return (values) => call(values)[index];
  }
  return (values) => {
    const results = call(values);
    // What is stored and returned is one object.
    const made = new Map<number, object>();
    if (effects.length > 0) replay(effects, results, values, made);
    return build(output, results, values, made);
  };
}
