/**
 * The cache of compiled graphs: in a warm process a graph is neither lowered nor scheduled nor emitted.
 *
 * Key: the graph's text, what the caller donates, the machine's vector width and workers or the kind of GPU, and the version of Tessera. Entry: the layout of the plan
 * and the emitted C++, whose library the compile service finds in its own cache, or launches for CUDA, whose machine code lies beside it. Only graphs of
 * built-in operators are kept; symbolic ones belong to a capture, which knows what was assumed of their sizes. Mirrors `FxGraphCache` of TorchInductor.
 */
import {
  type CallSizes,
  restoreRecipes,
  type ResultRecipe,
  type StoredRecipes,
  storeRecipes,
  type TrainingCall,
  type WriteBack,
} from "../../aot_autograd/mod.ts";
import {
  type ControlOperator,
  type GraphModule,
  isControlOperator,
  isOfLibrary,
  sizeFacts,
} from "../../capture/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { CompileError, config, emitEvent, isStageEnabled } from "../../core/mod.ts";
import { type Graph, graphToText } from "../../graph/mod.ts";
import { type CacheKey, cacheKey, cacheKeyOf, diskCache, libraryVersion } from "../../runtime/mod.ts";
import { type PlanLayout, restoreLayout, type StoredLayout, storeLayout } from "../plan_layout.ts";
import type { KeptMemory } from "../codegen/cpp/emit_module.ts";
import type { Donations } from "../donations.ts";
import type { SizeSource } from "../size_sources.ts";
import type { StoredHost } from "./stored_host.ts";
import { type CudaArtifact, packImages, type StoredCuda, unpackImages } from "./stored_cuda.ts";

/** Raise it when the meaning of stored entries changes. */
const FORMAT = "5";

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

/** A compiled graph as the cache keeps it: for the CPU or for a CUDA device. */
export interface GraphArtifact {
  readonly layout: PlanLayout;
  readonly cpp: StoredCpp | null;
  readonly cuda: CudaArtifact | null;
  /** Steps on the host, between the kernels. */
  readonly host: readonly StoredHost[];
  /** Where sizes are read, in order of the layout's symbols. */
  readonly sizes: readonly SizeSource[];
}

interface StoredArtifact {
  readonly layout: StoredLayout;
  readonly cpp: StoredCpp | null;
  /** Its machine code is an entry of its own. */
  readonly cuda: StoredCuda | null;
  readonly host: readonly StoredHost[];
  readonly sizes: readonly SizeSource[];
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
  if (!isOfLibrary(graph)) return null;
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
  return load<StoredArtifact, GraphArtifact>(key, (stored) => ({
    layout: restoreLayout(stored.layout),
    cpp: stored.cpp,
    cuda: withImages(key, "", stored.cuda),
    host: stored.host,
    sizes: stored.sizes,
  }));
}

/** Keeps a compiled graph, if it is static: the text of a symbolic one does not say what was assumed of its sizes. */
export function saveArtifact(key: CacheKey, artifact: GraphArtifact): void {
  const layout = artifact.layout.sizes > 0 ? null : storeLayout(artifact.layout);
  if (layout === null) return;
  const { cpp, cuda, host, sizes } = artifact;
  keepImages(key, "", cuda);
  put(key, { layout, cpp, cuda: cuda?.stored ?? null, host, sizes } satisfies StoredArtifact);
}

/** The key of the machine code that belongs to an entry. */
function imagesKey(key: CacheKey, part: "" | "f" | "b"): CacheKey {
  return cacheKeyOf(`cuda${key.kind}${part}`.slice(0, 16), key.content, key.environment);
}

function keepImages(key: CacheKey, part: "" | "f" | "b", cuda: CudaArtifact | null): void {
  if (cuda !== null) diskCache().put(imagesKey(key, part), packImages(cuda.images));
}

/** @throws {CompileError} if the machine code is gone or damaged */
function withImages(key: CacheKey, part: "" | "f" | "b", stored: StoredCuda | null): CudaArtifact | null {
  if (stored === null) return null;
  const found = diskCache().lookup(imagesKey(key, part));
  if (!found.hit) throw new CompileError(`its machine code is gone: ${found.reason}`);
  const images = unpackImages(found.bytes);
  if (images.length !== stored.modules) throw new CompileError("its machine code is that of another plan");
  return { stored, images };
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
  readonly shown: CallSizes;
}

/** A differentiable call's compiled form. */
export interface TrainingArtifact {
  readonly call: TrainingCall;
  readonly shown: CallSizes;
  readonly forward: PartArtifact;
  readonly backward: PartArtifact;
}

type StoredPart = Omit<PartArtifact, "layout" | "cuda"> & StoredArtifact;

interface StoredTraining {
  readonly call: Omit<TrainingCall, "recipes" | "sizes">;
  readonly recipes: StoredRecipes;
  readonly forward: StoredPart;
  readonly backward: StoredPart;
}

interface StoredProgram
  extends StoredArtifact, Omit<ProgramArtifact, "layout" | "cpp" | "cuda" | "recipes" | "shown" | "host" | "sizes"> {
  readonly recipes: StoredRecipes;
}

/** Which attributes share memory, as text. */
function sharingOf(module: GraphModule): string {
  const storages = new Map<unknown, number>();
  return [...module.attributes].map(([path, { storage }]) => {
    if (!storages.has(storage)) storages.set(storage, storages.size);
    return `${path}:${storages.get(storage)}`;
  }).join(",");
}

/** What was assumed of the sizes of a captured graph: its compiled form is good for these assumptions only. */
function assumedOf(module: GraphModule): string {
  return sizeFacts(module.graph) ?? "";
}

/** The key of a captured graph, which also depends on which of its attributes share memory; null if it may not be kept. */
export function programKey(module: GraphModule, target: string): CacheKey | null {
  return keyOf("program", module.graph, sharingOf(module) + assumedOf(module), target);
}

/** The key of a captured graph whose results can be differentiated: also by which of its inputs and attributes, and which calls the tape recorded. */
export function trainingKey(
  module: GraphModule,
  inputs: readonly Tensor[],
  budget: number,
  target: string,
): CacheKey | null {
  const flags = [...inputs, ...module.attributes.values()].map((t) => t.requiresGrad);
  const recorded = module.graph.calls.map((c) => module.recorded.has(c));
  const inner = module.graph.calls.flatMap(({ target: t }) => isControlOperator(t) ? followedIn(t) : []);
  const { differentiable } = module;
  const more = JSON.stringify([sharingOf(module), flags, recorded, differentiable, inner, assumedOf(module), budget]);
  return keyOf("training", module.graph, more, target);
}

/** Which calls of the graphs of control flow the tape follows. */
function followedIn(op: ControlOperator): boolean[] {
  return op.bodies.flatMap(({ graph, recorded }) =>
    graph.calls.flatMap((c) => [recorded.has(c), ...(isControlOperator(c.target) ? followedIn(c.target) : [])])
  );
}

/** What the cache has for a captured graph. */
export function loadProgram(key: CacheKey): ProgramArtifact | null {
  return load<StoredProgram, ProgramArtifact>(key, (stored) => {
    const { recipes, shown } = restoreRecipes(stored.recipes);
    return {
      ...stored,
      layout: restoreLayout(stored.layout),
      cuda: withImages(key, "", stored.cuda),
      recipes,
      shown,
    };
  });
}

/** Keeps a captured graph's compiled form, if it is static. */
export function saveProgram(key: CacheKey, program: ProgramArtifact): void {
  const layout = storeLayout(program.layout);
  const { shown, ...rest } = program;
  const recipes = storeRecipes(program.recipes, [], shown);
  if (layout === null || recipes === null) return;
  keepImages(key, "", program.cuda);
  put(key, { ...rest, layout, recipes, cuda: program.cuda?.stored ?? null } satisfies StoredProgram);
}

/** What the cache has for a captured graph whose results can be differentiated. */
export function loadTraining(key: CacheKey): TrainingArtifact | null {
  const part = (stored: StoredPart, which: "f" | "b"): PartArtifact => ({
    ...stored,
    layout: restoreLayout(stored.layout),
    cuda: withImages(key, which, stored.cuda),
  });
  return load<StoredTraining, TrainingArtifact>(key, ({ call, recipes: stored, forward, backward }) => {
    const { recipes, sizes, shown } = restoreRecipes(stored);
    return { call: { ...call, recipes, sizes }, shown, forward: part(forward, "f"), backward: part(backward, "b") };
  });
}

/** Keeps a differentiable call, if it is static. */
export function saveTraining(key: CacheKey, { call, shown, forward, backward }: TrainingArtifact): void {
  const { recipes: given, sizes, ...rest } = call;
  const recipes = storeRecipes(given, sizes, shown);
  const layouts = [storeLayout(forward.layout), storeLayout(backward.layout)] as const;
  if (recipes === null || layouts[0] === null || layouts[1] === null) return;
  keepImages(key, "f", forward.cuda);
  keepImages(key, "b", backward.cuda);
  put(
    key,
    {
      call: rest,
      recipes,
      forward: { ...forward, layout: layouts[0], cuda: forward.cuda?.stored ?? null },
      backward: { ...backward, layout: layouts[1], cuda: backward.cuda?.stored ?? null },
    } satisfies StoredTraining,
  );
}
