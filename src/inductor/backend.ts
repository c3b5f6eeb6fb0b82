/**
 * The `"inductor"` backend of `compile()`, and the eager backend of the CPU: what importing the compiler installs.
 *
 * AOTAutograd hands over functional graphs; each becomes a {@linkcode CompiledGraph}. Results that would be copied into inputs or attributes
 * are offered to the planner as donations, so that optimiser steps write where the parameters are.
 */
import {
  activationBudget,
  aotBackend,
  type CompiledProgram,
  type CompileRequest,
  functionalProgram,
  type RestoredProgram,
  type RestoredTraining,
  type TrainingSource,
  type WriteBack,
} from "../aot_autograd/mod.ts";
import { type BackendContext, type GraphModule, registerBackend, sizeFacts } from "../capture/mod.ts";
import { cpu, type Device, device as deviceOf, InternalError, isStageEnabled } from "../core/mod.ts";
import { type Graph, isTensorMeta, type NodeValue } from "../graph/mod.ts";
import { findToolchain, hasFfi } from "../runtime/cpu/mod.ts";
import type { CacheKey } from "../runtime/mod.ts";
import {
  type GraphArtifact,
  keptKey,
  loadProgram,
  loadTraining,
  type PartArtifact,
  programKey,
  saveProgram,
  saveTraining,
  trainingKey,
} from "./cache/graph_cache.ts";
import { loadModule, saveModule } from "./cache/stored_module.ts";
import { emitCompile, isObserved } from "./observe.ts";
import { setEagerBackend, type Tensor } from "../tensor/mod.ts";
import { type CachedGraph, CompiledGraph, type GraphValue, targetOf, type TierPolicy } from "./compiled_graph.ts";
import { cudaTarget } from "./cuda_tier.ts";
import { InductorEagerBackend } from "./eager_backend.ts";
import { graphDevice } from "./graph_device.ts";
import { keepsAttention } from "./lower_attention.ts";
import type { DonationTarget } from "./donations.ts";

/** Results that may be written in place, by position; `paths` are the graph's attributes in order. */
function donationsOf(writes: readonly WriteBack[], paths: readonly string[]): Map<number, DonationTarget> {
  const out = new Map<number, DonationTarget>();
  for (const { origin, result } of writes) {
    if (out.has(result)) continue;
    if (origin.kind === "input") out.set(result, { kind: "input", index: origin.index });
    else {
      const index = paths.indexOf(origin.path);
      if (index >= 0) out.set(result, { kind: "attribute", index });
    }
  }
  return out;
}

function tierOf(context: BackendContext): TierPolicy {
  const asked = context.options["tier"];
  if (asked === "js" || asked === "auto" || asked === "aot") return asked;
  if (asked !== undefined) {
    throw new RangeError(`compile: options.tier is ${String(asked)}: use "js", "auto" or "aot"`);
  }
  return context.mode === "aot" ? "aot" : "auto";
}

function isTuned(context: BackendContext): boolean {
  return context.mode === "max-autotune" && isStageEnabled("autotune");
}

/** A compiled graph over the tensors that it holds, as AOTAutograd calls it. */
function callable(
  compiled: CompiledGraph,
  paths: readonly string[],
  held: ReadonlyMap<string, Tensor>,
  kind: CompileRequest["kind"],
): CompiledProgram {
  const attributes = paths.map((path): Tensor => {
    const found = held.get(path);
    if (found === undefined) throw new InternalError(`the graph reads ${path}, which nobody gave`);
    return found;
  });
  emitCompile({ kind, graph: compiled });
  const run = (inputs: readonly GraphValue[]): readonly GraphValue[] => compiled.run(inputs, attributes);
  return Object.assign(run, {
    donated: compiled.donated,
    ready: () => compiled.ready(),
    // On other devices errors come later, when data are read.
    leavesNoTrace: compiled.device === cpu,
  }) as CompiledProgram;
}

/** Compiles one functional graph for the CPU. */
export function compileProgram(request: CompileRequest): CompiledProgram {
  const { graph, writes } = request;
  const paths = graph.attributes.map((a) => a.path);
  const donate = donationsOf(writes, paths);
  const compiled = new CompiledGraph(graph, {
    tier: tierOf(request.context),
    name: request.kind,
    keepWeights: request.context.options["freezing"] === true,
    autotune: isTuned(request.context),
    ...(donate.size > 0 ? { donate } : {}),
    ...(request.captured === undefined && request.training === undefined
      ? {}
      : { onArtifact: (artifact: GraphArtifact): void => keepArtifact(request, artifact) }),
  });
  return callable(compiled, paths, request.attributes, request.kind);
}

/** Keeps the compiled form of a whole captured graph, once all of it is emitted. */
function keepArtifact(request: CompileRequest, artifact: GraphArtifact): void {
  const { graph, captured, training, writes, kind, context } = request;
  const paths = graph.attributes.map((a) => a.path);
  const module = captured?.module ?? training?.module;
  // Constants that only the functional graph has would be missing in the next process.
  if (module === undefined || !paths.every((path) => module.attributes.has(path))) return;
  const offset = (value: NodeValue): number => isTensorMeta(value) ? Number(value.storageOffset) : 0;
  const part: PartArtifact = {
    ...artifact,
    paths,
    inputOffsets: graph.placeholders.map((n) => offset(n.value)),
    attributeOffsets: graph.attributes.map((n) => offset(n.value)),
  };
  if (captured !== undefined) {
    const key = keyOfProgram(module, context);
    if (key !== null) saveProgram(key, { ...part, writes, recipes: captured.recipes, shown: captured.shown });
  } else if (training !== undefined) {
    const halves = halvesOf.get(training) ?? { forward: null, backward: null };
    halvesOf.set(training, halves);
    halves[kind === "backward" ? "backward" : "forward"] = part;
    const { forward, backward } = halves;
    const key = keyOfTraining(module, training.exampleInputs, context);
    if (key !== null && forward !== null && backward !== null) {
      saveTraining(key, { call: training.call, shown: training.shown, forward, backward });
      saveModule(key, { module, inputs: training.exampleInputs.map((t) => t.requiresGrad) });
    }
  }
}

/** The halves of differentiable calls that were emitted. */
const halvesOf = new WeakMap<TrainingSource, { forward: PartArtifact | null; backward: PartArtifact | null }>();

const keys = new WeakMap<GraphModule, { readonly key: CacheKey | null }>();

/** The key of a captured graph: its text is made once. */
function keyOnce(
  module: GraphModule,
  context: BackendContext,
  make: (target: string) => CacheKey | null,
): CacheKey | null {
  let known = keys.get(module);
  // What is assumed of sizes grows until all of a symbolic graph is lowered.
  if (known === undefined || isSymbolic(module)) {
    const target = targetFor(graphDevice(module.graph), context);
    keys.set(module, known = { key: target === null ? null : make(target) });
  }
  return known.key;
}

function isSymbolic(module: GraphModule): boolean {
  return sizeFacts(module.graph) !== null;
}

/** What of the machine is in code for a device; null where there is none to keep. */
function targetFor(device: Device, context: BackendContext): string | null {
  if (device !== cpu) return cudaTarget(device, isTuned(context));
  const found = findToolchain();
  return found.ok ? targetOf(found.toolchain) : null;
}

// A graph is of one kind or the other, so that one memory serves both.
function keyOfProgram(module: GraphModule, context: BackendContext): CacheKey | null {
  return keyOnce(module, context, (target) => programKey(module, target));
}

function keyOfTraining(module: GraphModule, inputs: readonly Tensor[], context: BackendContext): CacheKey | null {
  return keyOnce(module, context, (target) => trainingKey(module, inputs, activationBudget(context), target));
}

/** Finds the compiled form of a captured graph in the cache. */
function restoreProgram(module: GraphModule, context: BackendContext): RestoredProgram | null {
  // What was assumed of symbolic sizes is found out by lowering.
  if (!isNative(context, graphDevice(module.graph)) || isSymbolic(module)) return null;
  const key = keyOfProgram(module, context);
  const stored = key === null ? null : loadProgram(key);
  if (stored === null || !stored.paths.every((path) => module.attributes.has(path))) return null;
  if ((stored.cpp?.keeps.length ?? 0) > 0 && context.options["freezing"] !== true) return null;
  const graph = (): Graph => functionalProgram(module, keepsAttention(module.graph)).graph;
  const { writes, recipes } = stored;
  const compiled = graphOf(stored, "inference", context, () => ({
    graph: graph(),
    options: { donate: donationsOf(writes, stored.paths) },
  }));
  const { shown } = stored;
  return { compiled: callable(compiled, stored.paths, module.attributes, "inference"), writes, recipes, shown };
}

function isNative(context: BackendContext, device: Device): boolean {
  return hasFfi() && (device !== cpu || (tierOf(context) !== "js" && isStageEnabled("cpp")));
}

function graphOf(
  artifact: PartArtifact,
  name: CompileRequest["kind"],
  context: BackendContext,
  build: CachedGraph["build"],
): CompiledGraph {
  const { inputOffsets, attributeOffsets } = artifact;
  return new CompiledGraph({ artifact, inputOffsets, attributeOffsets, build }, { tier: tierOf(context), name });
}

/** The name under which the compiled form of a captured graph is kept, or will be once C++ is emitted. */
function programName(
  module: GraphModule,
  exampleInputs: readonly Tensor[],
  context: BackendContext,
): string | null {
  const device = graphDevice(module.graph);
  if (!isNative(context, device)) return null;
  const key = module.differentiable.includes(true)
    ? keyOfTraining(module, exampleInputs, context)
    : keyOfProgram(module, context);
  return key === null ? null : `${key.kind}:${key.content}${device === cpu ? "" : `:${device.index}`}`;
}

/** Finds the compiled form by name alone. Without the graph there is nothing to fall back to, so its libraries must be there and load. */
function programByName(
  name: string,
  attributes: ReadonlyMap<string, Tensor>,
  context: BackendContext,
): RestoredProgram | RestoredTraining | null {
  const [kind, content = "", index] = name.split(":");
  const device = index === undefined ? cpu : deviceOf(`cuda:${index}`);
  // Who watches may ask for the graph.
  if (!isNative(context, device) || isObserved()) return null;
  const target = targetFor(device, context);
  if (target === null || (kind !== "program" && kind !== "training")) return null;
  const key = keptKey(kind, content, target);
  if (key === null) return null;
  const part = (artifact: PartArtifact, half: CompileRequest["kind"]): CompiledProgram | null => {
    if (!artifact.paths.every((path) => attributes.has(path))) return null;
    const compiled = graphOf(artifact, half, context, () => {
      throw new InternalError("a graph from the cache of captures is asked for its operators");
    });
    const isReady = compiled.cuda !== null || (compiled.cpp?.poll() ?? null) !== null;
    return !isReady ? null : callable(compiled, artifact.paths, attributes, half);
  };
  if (kind === "program") {
    const stored = loadProgram(key);
    const compiled = stored === null ? null : part(stored, "inference");
    return stored === null || compiled === null ? null : { ...stored, compiled };
  }
  const stored = loadTraining(key);
  const forward = stored === null ? null : part(stored.forward, "forward");
  const backward = stored === null || forward === null ? null : part(stored.backward, "backward");
  return stored === null || forward === null || backward === null
    ? null
    : { call: stored.call, shown: stored.shown, forward, backward, captured: () => loadModule(key, attributes) };
}

/** Makes `compile()` use the compiler, and eager operators its JavaScript kernels. Called once, when the library is imported. */
export function installInductor(): void {
  const kept = { nameOf: programName, restore: programByName };
  registerBackend(
    "inductor",
    aotBackend({ forward: compileProgram, keepWhole: (m) => keepsAttention(m.graph), restore: restoreProgram, kept }),
  );
  setEagerBackend(new InductorEagerBackend());
  setEagerBackend(new InductorEagerBackend("inductor-cuda"), "cuda");
}

installInductor();
