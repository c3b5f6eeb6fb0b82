/**
 * Tensors that are computed once from a program's parameters, and again only if one of those was written meanwhile.
 *
 * Passes that freeze parameters put what they compute here: {@linkcode FrozenConstants.add} declares an attribute of the graph and remembers how its value came about
 * and which versions its sources had. Invariant: what {@linkcode FrozenConstants.refresh} leaves is what a fresh computation would yield, in the same memory, so
 * that compiled code which holds the tensors sees it. Mirrors the constants of `torch._inductor.freezing`, which never look at their sources again.
 */
import { InternalError } from "../../core/mod.ts";
import type { GetAttrNode, Graph } from "../../graph/mod.ts";
import { fillExpanded, noGrad, type Tensor } from "../../tensor/mod.ts";
import type { StoredConstant } from "./stored_constants.ts";

/** How a constant is computed. */
export interface FrozenRecipe {
  /** Paths of the tensors that the value depends on. */
  readonly sources: readonly string[];
  readonly compute: (read: (path: string) => Tensor) => Tensor;
  /** The same as data, for a process that has the sources alone. */
  readonly stored?: StoredConstant;
}

interface Entry extends FrozenRecipe {
  readonly path: string;
  /** The stored form as text. */
  readonly text: string | null;
  readonly tensor: Tensor;
  versions: readonly number[];
}

/** The constants of one graph. */
export class FrozenConstants {
  readonly #graph: Graph;
  readonly #attributes: Map<string, Tensor>;
  readonly #entries: Entry[] = [];
  #bytes = 0;

  constructor(graph: Graph, attributes: ReadonlyMap<string, Tensor>) {
    this.#graph = graph;
    this.#attributes = new Map(attributes);
  }

  /** The program's tensors and the constants, by path. */
  get attributes(): ReadonlyMap<string, Tensor> {
    return this.#attributes;
  }

  /** How many constants there are. */
  get count(): number {
    return this.#entries.length;
  }

  /** The recipes of all constants, by path; null for one that has no stored form. */
  get stored(): ReadonlyMap<string, StoredConstant | null> {
    return new Map(this.#entries.map(({ path, stored }) => [path, stored ?? null]));
  }

  /** How a constant is computed; null for a path that is none. */
  recipe(path: string): FrozenRecipe | null {
    return this.#entries.find((entry) => entry.path === path) ?? null;
  }

  /** Bytes of all constants. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A tensor by path. */
  read(path: string): Tensor {
    const tensor = this.#attributes.get(path);
    if (tensor === undefined) throw new InternalError(`the attribute ${path} was not given`);
    return tensor;
  }

  /** Computes a constant and declares it where new nodes of the graph go now. What is computed as another constant, from the same sources, is that. */
  add(recipe: FrozenRecipe): GetAttrNode {
    const text = recipe.stored === undefined ? null : JSON.stringify(recipe.stored);
    const same = text === null ? undefined : this.#entries.find((entry) => entry.text === text);
    if (same !== undefined) return this.#declare(same.path, same.tensor);
    let path = "";
    for (let i = this.#entries.length; path === "" || this.#attributes.has(path); i++) path = `frozen_${i}`;
    const tensor = noGrad(() => recipe.compute((source) => this.read(source)));
    this.#entries.push({ ...recipe, path, text, tensor, versions: this.#versions(recipe) });
    this.#attributes.set(path, tensor);
    this.#bytes += tensor.numel * tensor.dtype.bytes;
    return this.#declare(path, tensor);
  }

  #declare(path: string, { shape, stride, dtype, device }: Tensor): GetAttrNode {
    return this.#graph.getAttr(path, { shape, stride, storageOffset: 0, dtype, device });
  }

  /** Computes anew what depends on a tensor that was written since; returns how many constants that were. */
  refresh(): number {
    let count = 0;
    for (const entry of this.#entries) {
      if (!this.#isStale(entry)) continue;
      noGrad(() => fillExpanded(entry.tensor, entry.compute((source) => this.read(source))));
      entry.versions = this.#versions(entry);
      count++;
    }
    return count;
  }

  #isStale({ sources, versions }: Entry): boolean {
    for (let i = 0; i < sources.length; i++) {
      if (this.read(sources[i] as string).version !== versions[i]) return true;
    }
    return false;
  }

  #versions({ sources }: FrozenRecipe): readonly number[] {
    return sources.map((source) => this.read(source).version);
  }
}
