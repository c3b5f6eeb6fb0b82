/**
 * The captured graph of a differentiable call, beside its compiled form: only gradients of gradients need it, so it is read when these are asked for.
 */
import { restoreGraph, type StoredGraph, storeGraph } from "../../capture/mod.ts";
import type { DifferentiableModule } from "../../aot_autograd/mod.ts";
import { emitEvent } from "../../core/mod.ts";
import { type CacheKey, cacheKeyOf, diskCache } from "../../runtime/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";

interface StoredModule {
  readonly graph: StoredGraph;
  readonly differentiable: readonly boolean[];
  readonly inputs: readonly boolean[];
}

function moduleKey(key: CacheKey): CacheKey {
  return cacheKeyOf("module", key.content, key.environment);
}

/** Keeps the graph from which a differentiable call was compiled. */
export function saveModule(key: CacheKey, { module, inputs }: DifferentiableModule): void {
  const graph = storeGraph(module.graph, module.recorded);
  if (graph === null) return;
  const stored: StoredModule = { graph, differentiable: module.differentiable, inputs };
  diskCache().put(moduleKey(key), new TextEncoder().encode(JSON.stringify(stored)));
}

/** Finds it again; null if it is gone or damaged, which an event tells. */
export function loadModule(key: CacheKey, attributes: ReadonlyMap<string, Tensor>): DifferentiableModule | null {
  const found = diskCache().lookup(moduleKey(key));
  if (!found.hit) return null;
  try {
    const stored = JSON.parse(new TextDecoder().decode(found.bytes)) as StoredModule;
    const { graph, recorded } = restoreGraph(stored.graph);
    return { module: { graph, recorded, attributes, differentiable: stored.differentiable }, inputs: stored.inputs };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    emitEvent({ kind: "cache", message: `the graph of a cached call cannot be used: ${why}` });
    return null;
  }
}
