/**
 * The `"inductor"` backend of `compile()`, and the eager backend of the CPU: what importing the compiler installs.
 *
 * AOTAutograd hands over functional graphs; each becomes a {@linkcode CompiledGraph}. Results that would be copied into inputs or attributes
 * are offered to the planner as donations, so that optimiser steps write where the parameters are.
 */
import {
  aotBackend,
  type CompiledProgram,
  type CompileRequest,
  functionalProgram,
  type RestoredProgram,
  type WriteBack,
} from "../aot_autograd/mod.ts";
import { type BackendContext, type GraphModule, registerBackend } from "../capture/mod.ts";
import { InternalError, isStageEnabled } from "../core/mod.ts";
import { type Graph, isTensorMeta, type NodeValue } from "../graph/mod.ts";
import { findToolchain, hasFfi } from "../runtime/cpu/mod.ts";
import type { CacheKey } from "../runtime/mod.ts";
import {
  type GraphArtifact,
  loadProgram,
  type ProgramArtifact,
  programKey,
  programKeyOf,
  saveProgram,
} from "./cache/graph_cache.ts";
import { emitCompile, isObserved } from "./observe.ts";
import { setEagerBackend, type Tensor } from "../tensor/mod.ts";
import { CompiledGraph, type GraphValue, targetOf, type TierPolicy } from "./compiled_graph.ts";
import { InductorEagerBackend } from "./eager_backend.ts";
import type { DonationTarget } from "./plan_host.ts";

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
  return Object.assign(run, { donated: compiled.donated, ready: () => compiled.ready() }) as CompiledProgram;
}

/** Compiles one functional graph for the CPU. */
export function compileProgram(request: CompileRequest): CompiledProgram {
  const { graph, captured, writes } = request;
  const paths = graph.attributes.map((a) => a.path);
  const donate = donationsOf(writes, paths);
  const compiled = new CompiledGraph(graph, {
    tier: tierOf(request.context),
    name: request.kind,
    ...(donate.size > 0 ? { donate } : {}),
    ...(captured === undefined ? {} : {
      onArtifact: (artifact: GraphArtifact): void => {
        const { module, recipes } = captured;
        // Constants that only the functional graph has would be missing in the next process.
        if (!paths.every((path) => module.attributes.has(path))) return;
        const key = keyOfProgram(module);
        if (key === null) return;
        const offset = (value: NodeValue): number => isTensorMeta(value) ? Number(value.storageOffset) : 0;
        saveProgram(key, {
          ...artifact,
          writes,
          recipes,
          paths,
          inputOffsets: graph.placeholders.map((n) => offset(n.value)),
          attributeOffsets: graph.attributes.map((n) => offset(n.value)),
        });
      },
    }),
  });
  return callable(compiled, paths, request.attributes, request.kind);
}

const keys = new WeakMap<GraphModule, { readonly key: CacheKey | null }>();

/** The key of a captured graph: its text is made once. */
function keyOfProgram(module: GraphModule): CacheKey | null {
  let known = keys.get(module);
  if (known === undefined) {
    const found = findToolchain();
    keys.set(module, known = { key: found.ok ? programKey(module, targetOf(found.toolchain)) : null });
  }
  return known.key;
}

/** Finds the compiled form of a captured graph in the cache. */
export function restoreProgram(module: GraphModule, context: BackendContext): RestoredProgram | null {
  if (!isNative(context)) return null;
  const key = keyOfProgram(module);
  const stored = key === null ? null : loadProgram(key);
  if (stored === null) return null;
  const graph = (): Graph => functionalProgram(module, () => false).graph;
  return programOf(stored, module.attributes, context, graph)?.program ?? null;
}

function isNative(context: BackendContext): boolean {
  return tierOf(context) !== "js" && isStageEnabled("cpp") && hasFfi();
}

function programOf(
  stored: ProgramArtifact,
  attributes: ReadonlyMap<string, Tensor>,
  context: BackendContext,
  graph: () => Graph,
): { readonly program: RestoredProgram; readonly graph: CompiledGraph } | null {
  if (!stored.paths.every((path) => attributes.has(path))) return null;
  const { writes, recipes, paths, inputOffsets, attributeOffsets } = stored;
  const compiled = new CompiledGraph({
    artifact: stored,
    inputOffsets,
    attributeOffsets,
    build: () => ({ graph: graph(), options: { donate: donationsOf(writes, paths) } }),
  }, { tier: tierOf(context), name: "inference" });
  const program = { compiled: callable(compiled, paths, attributes, "inference"), writes, recipes };
  return { program, graph: compiled };
}

/** The name under which the compiled form of a captured graph is kept, or will be once C++ is emitted. */
function programName(module: GraphModule, context: BackendContext): string | null {
  return isNative(context) ? keyOfProgram(module)?.content ?? null : null;
}

/** Finds the compiled form by name alone. Without the graph there is nothing to fall back to, so its library must be there and load. */
function programByName(
  name: string,
  attributes: ReadonlyMap<string, Tensor>,
  context: BackendContext,
): RestoredProgram | null {
  // Who watches may ask for the graph.
  if (!isNative(context) || isObserved()) return null;
  const found = findToolchain();
  const key = found.ok ? programKeyOf(name, targetOf(found.toolchain)) : null;
  const stored = key === null ? null : loadProgram(key);
  if (stored === null) return null;
  const made = programOf(stored, attributes, context, () => {
    throw new InternalError("a graph from the cache of captures is asked for its operators");
  });
  return made !== null && (made.graph.cpp?.poll() ?? null) !== null ? made.program : null;
}

/** Makes `compile()` use the compiler, and eager operators its JavaScript kernels. Called once, when the library is imported. */
export function installInductor(): void {
  const kept = { nameOf: programName, restore: programByName };
  registerBackend("inductor", aotBackend({ forward: compileProgram, restore: restoreProgram, kept }));
  setEagerBackend(new InductorEagerBackend());
  setEagerBackend(new InductorEagerBackend("inductor-cuda"), "cuda");
}

installInductor();
