/**
 * The cache of compiled graphs: in a warm process a graph is neither lowered nor scheduled nor emitted.
 *
 * Key: the graph's text, what the caller donates, the machine's vector width and workers, and the version of Tessera. Entry: the layout of the plan and the emitted C++, whose library the compile service finds in its own cache. Only static graphs of
 * built-in operators are kept. Mirrors `FxGraphCache` of TorchInductor.
 */
import {
  restoreRecipes,
  type ResultRecipe,
  type StoredRecipe,
  storeRecipes,
  type TrainingCall,
  type WriteBack,
} from "../../aot_autograd/mod.ts";
import type { GraphModule } from "../../capture/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { config, emitEvent, isStageEnabled } from "../../core/mod.ts";
import { type Graph, graphToText } from "../../graph/mod.ts";
import { type CacheKey, cacheKey, cacheKeyOf, diskCache, libraryVersion } from "../../runtime/mod.ts";
import { type PlanLayout, restoreLayout, type StoredLayout, storeLayout } from "../plan_layout.ts";
import type { KeptMemory } from "../codegen/cpp/emit_module.ts";
import type { Donations } from "../donations.ts";

/** Raise it when the meaning of stored entries changes. */
const FORMAT = "4";

/** What the C++ tier needs to call a library. */
export interface StoredCpp {
  readonly source: string;
  /** Further translation units of the library. */
  readonly parts: readonly string[];
  readonly flags: readonly string[];
  readonly exports: readonly string[];
  readonly args: {
    readonly slots: readonly (number | null)[];
    readonly arena: number;
    readonly sizes: number;
    readonly error: number;
    readonly kept: number;
    readonly length: number;
  };
  readonly keeps: readonly KeptMemory[];
}

/** A compiled graph as the cache keeps it. */
export interface GraphArtifact {
  readonly layout: PlanLayout;
  readonly cpp: StoredCpp;
}

interface StoredArtifact {
  readonly layout: StoredLayout;
  readonly cpp: StoredCpp;
}

/** Whether anything may be read from the cache or kept there now. */
function isOpen(): boolean {
  return isStageEnabled("cache") && config().disabled.size === 0 && !config().profile;
}

function environmentOf(target: string): Readonly<Record<string, string>> | null {
  const compiler = libraryVersion();
  return compiler === null ? null : { target, compiler, format: FORMAT };
}

/** The key of something made from a graph; null if it may not be kept. `more` is what else it depends on. */
function keyOf(kind: string, graph: Graph, more: string, target: string): CacheKey | null {
  const environment = isOpen() ? environmentOf(target) : null;
  if (environment === null) return null;
  for (const node of graph.calls) {
    const { namespace } = node.target.schema;
    if (namespace !== "aten" && namespace !== "tessera" && namespace !== "prims") return null;
  }
  return cacheKey(kind, `${graphToText(graph)}\n${more}`, environment);
}

/** A key by the hash of its content; null if nothing may be read now. @throws {TypeError} if that is no hash. */
export function keptKey(kind: "program" | "training", content: string, target: string): CacheKey | null {
  const environment = isOpen() ? environmentOf(target) : null;
  return environment === null ? null : cacheKeyOf(kind, content, environment);
}

/** The key of a functional graph; null if it may not be kept. */
export function graphKey(graph: Graph, donate: Donations | undefined, target: string): CacheKey | null {
  return keyOf("graph", graph, [...(donate ?? [])].map(([i, t]) => `${i}:${t.kind}${t.index}`).join(","), target);
}

function load<S, T>(key: CacheKey, restore: (stored: S) => T): T | null {
  const found = diskCache().lookup(key);
  if (!found.hit) return null;
  try {
    return restore(JSON.parse(new TextDecoder().decode(found.bytes)) as S);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    emitEvent({ kind: "cache", message: `a cached graph cannot be used: ${why}` });
    return null;
  }
}

/** What the cache has for a key; damaged entries count as absent and say so. */
export function loadArtifact(key: CacheKey): GraphArtifact | null {
  return load<StoredArtifact, GraphArtifact>(key, ({ layout, cpp }) => ({ layout: restoreLayout(layout), cpp }));
}

/** Keeps a compiled graph, if it is static. */
export function saveArtifact(key: CacheKey, artifact: GraphArtifact): void {
  const layout = storeLayout(artifact.layout);
  if (layout !== null) put(key, { layout, cpp: artifact.cpp } satisfies StoredArtifact);
}

function put(key: CacheKey, value: unknown): void {
  diskCache().put(key, new TextEncoder().encode(JSON.stringify(value)));
}

/** A functional graph's compiled form over the attributes of the captured graph. */
export interface PartArtifact extends GraphArtifact {
  /** Paths of the attributes that the plan reads, in its order. */
  readonly paths: readonly string[];
  readonly inputOffsets: readonly number[];
  readonly attributeOffsets: readonly number[];
}

/** A captured graph's compiled form: what the functional graph would say, without the graph. */
export interface ProgramArtifact extends PartArtifact {
  readonly writes: readonly WriteBack[];
  readonly recipes: readonly ResultRecipe[];
}

/** A differentiable call's compiled form. */
export interface TrainingArtifact {
  readonly call: TrainingCall;
  readonly forward: PartArtifact;
  readonly backward: PartArtifact;
}

type StoredPart = Omit<PartArtifact, "layout"> & { readonly layout: StoredLayout };

interface StoredTraining {
  readonly call: Omit<TrainingCall, "recipes"> & { readonly recipes: readonly StoredRecipe[] };
  readonly forward: StoredPart;
  readonly backward: StoredPart;
}

interface StoredProgram extends StoredArtifact, Omit<ProgramArtifact, "layout" | "cpp" | "recipes"> {
  readonly recipes: readonly StoredRecipe[];
}

/** Which attributes share memory, as text. */
function sharingOf(module: GraphModule): string {
  const storages = new Map<unknown, number>();
  return [...module.attributes].map(([path, { storage }]) => {
    if (!storages.has(storage)) storages.set(storage, storages.size);
    return `${path}:${storages.get(storage)}`;
  }).join(",");
}

/** The key of a captured graph, which also depends on which of its attributes share memory; null if it may not be kept. */
export function programKey(module: GraphModule, target: string): CacheKey | null {
  return keyOf("program", module.graph, sharingOf(module), target);
}

/** The key of a captured graph whose results can be differentiated: also by which of its inputs and attributes, and which calls the tape recorded. */
export function trainingKey(module: GraphModule, inputs: readonly Tensor[], target: string): CacheKey | null {
  const flags = [...inputs, ...module.attributes.values()].map((t) => t.requiresGrad);
  const recorded = module.graph.calls.map((c) => module.recorded.has(c));
  const more = JSON.stringify([sharingOf(module), flags, recorded, module.differentiable]);
  return keyOf("training", module.graph, more, target);
}

/** What the cache has for a captured graph. */
export function loadProgram(key: CacheKey): ProgramArtifact | null {
  return load<StoredProgram, ProgramArtifact>(key, (stored) => ({
    ...stored,
    layout: restoreLayout(stored.layout),
    recipes: restoreRecipes(stored.recipes),
  }));
}

/** Keeps a captured graph's compiled form, if it is static. */
export function saveProgram(key: CacheKey, program: ProgramArtifact): void {
  const layout = storeLayout(program.layout);
  const recipes = storeRecipes(program.recipes);
  if (layout !== null && recipes !== null) put(key, { ...program, layout, recipes } satisfies StoredProgram);
}

/** What the cache has for a captured graph whose results can be differentiated. */
export function loadTraining(key: CacheKey): TrainingArtifact | null {
  const part = (stored: StoredPart): PartArtifact => ({ ...stored, layout: restoreLayout(stored.layout) });
  return load<StoredTraining, TrainingArtifact>(key, ({ call, forward, backward }) => ({
    call: { ...call, recipes: restoreRecipes(call.recipes) },
    forward: part(forward),
    backward: part(backward),
  }));
}

/** Keeps a differentiable call, if it is static. */
export function saveTraining(key: CacheKey, { call, forward, backward }: TrainingArtifact): void {
  const recipes = storeRecipes(call.recipes);
  const layouts = [storeLayout(forward.layout), storeLayout(backward.layout)] as const;
  if (recipes === null || layouts[0] === null || layouts[1] === null) return;
  put(
    key,
    {
      call: { ...call, recipes },
      forward: { ...forward, layout: layouts[0] },
      backward: { ...backward, layout: layouts[1] },
    } satisfies StoredTraining,
  );
}
