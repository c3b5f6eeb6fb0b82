/**
 * What of a compiled program can run without it: its plan on the CPU as data, and the libraries on disk.
 *
 * Enters: the name under which a captured graph's compiled form is kept, once its kernels are built, with the geometry of its inputs and attributes. Leaves: {@linkcode NativeParts}, whose
 * numbers are texts where they depend on the sizes of a call; null where calls need more than libraries: steps on the host, which are operators, and views whose shape asks something of sizes
 * that change. What the program writes of inputs and attributes, and results that are views of them, are layouts of the memory that they lie in.
 */
import { applyView, type Origin, type ViewStep } from "../aot_autograd/functionalize.ts";
import type { GraphResult } from "../capture/mod.ts";
import { SizeWriter, type StoredExpr, type StoredSymbol } from "../capture/mod.ts";
import { CompileError, cpu } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import {
  compileSharedLibrary,
  findToolchain,
  type NativePlan,
  type NativeResult,
  type NativeSlot,
  type NativeWrite,
  prepareThreadPool,
} from "../runtime/cpu/mod.ts";
import {
  type Expr,
  exprOf,
  freeSymbols,
  isSymInt,
  type ShapeEnvLike,
  type Size,
  sizeOf,
  substitute,
  type Sym,
  symbol,
} from "../symbolic/mod.ts";
import { fakeTensor, noGrad, type Storage, Tensor } from "../tensor/mod.ts";
import { keptKey, loadProgram, type ProgramArtifact } from "./cache/graph_cache.ts";
import { PROFILE_EXPORT } from "./codegen/cpp/emit_module.ts";
import { targetOf } from "./compiled_graph.ts";
import type { ResultLayout, SizeFunction } from "./plan_layout.ts";
import type { SizeSource } from "./size_sources.ts";

/** A plan whose weights are still tensors. */
export interface NativeParts {
  readonly plan: Omit<NativePlan<StoredExpr>, "attributes" | "inputBytes">;
  /** The size symbols that its texts speak of, and where a call shows each of those that the kernels are told. */
  readonly symbols: readonly StoredSymbol[];
  readonly sources: readonly (readonly [name: string, source: SizeSource])[];
  /** Paths of the libraries. */
  readonly library: string;
  readonly threadPool: string;
  /** The attributes that the plan reads, in its order, and the storage offset of each that its indices contain. */
  readonly paths: readonly string[];
  readonly attributeOffsets: readonly number[];
  /** The same for inputs. */
  readonly inputOffsets: readonly number[];
}

/** What the graph was compiled for. */
export interface NativeGeometry {
  /** Of the tensors among its inputs, which stand first. */
  readonly inputs: readonly TensorMeta[];
  readonly attributes: ReadonlyMap<string, Tensor>;
}

/** A needed thing is missing. */
class Unfit extends Error {}

/** An environment in which sizes are expressions, and nothing is asked of them. */
const NO_QUESTIONS: ShapeEnvLike = {
  evaluateBool: () => {
    throw new Unfit();
  },
  evaluateInt: () => {
    throw new Unfit();
  },
  hint: () => 1,
};

/** The parts of one artefact. */
class Builder {
  readonly writer = new SizeWriter();
  readonly slots: NativeSlot<StoredExpr>[];
  readonly paths: string[];
  readonly attributeOffsets: number[];
  readonly #artifact: ProgramArtifact;
  readonly #geometry: NativeGeometry;
  /** Which slot the memory of a tensor without data is. */
  readonly #slotOf = new Map<Storage, number>();
  readonly #made: readonly GraphResult[];
  readonly #origins = new Map<string, Tensor>();
  /** Sizes of the captured graph, by name, as those of the plan: inputs show both. */
  readonly #sizes = new Map<string, Expr>();

  constructor(artifact: ProgramArtifact, geometry: NativeGeometry) {
    this.#artifact = artifact;
    this.#geometry = geometry;
    this.paths = [...artifact.paths];
    this.attributeOffsets = [...artifact.attributeOffsets];
    const { layout, shown } = artifact;
    this.slots = layout.slots.map((slot): NativeSlot<StoredExpr> => {
      switch (slot.kind) {
        case "input":
        case "attribute":
          return { kind: slot.kind, index: slot.index };
        case "output":
          return { kind: "output", bytes: this.number(slot.bytes) };
        case "arena":
          return { kind: "arena", offset: this.number(slot.offset), bytes: this.number(slot.bytes) };
        case "donated":
          return { kind: "donated", of: slot.of };
        default:
          return slot satisfies never;
      }
    });
    const bySource = new Map(artifact.sizes.map((source, i) => [String(source), layout.symbols[i]]));
    const note = ({ name }: Sym, source: SizeSource): void => {
      const own = bySource.get(String(source));
      if (own !== undefined) this.#sizes.set(name, symbol(own));
    };
    for (const [sym, [input, dim]] of shown) note(sym, dim < 0 ? [input, "size", 0] : [input, "shape", dim]);
    geometry.inputs.forEach(({ shape }, input) => {
      shape.forEach((size, dim) => {
        if (isSymInt(size) && size.expr.kind === "symbol") note(size.expr.symbol, [input, "shape", dim]);
      });
    });
    this.#made = layout.results.map((r) => this.#result(r));
  }

  /** A number of the plan, or its text. */
  number(f: SizeFunction): StoredExpr {
    return f.expr === undefined ? f([]) : this.writer.expr(f.expr);
  }

  #result(r: ResultLayout): GraphResult {
    if (r.kind === "constant") return r.value;
    if (r.kind === "size") return 0;
    const dtype = this.#artifact.layout.slots[r.slot]?.dtype;
    if (dtype === undefined) throw new Unfit();
    const size = (f: SizeFunction): Size => f.expr === undefined ? f([]) : sizeOf(f.expr, NO_QUESTIONS);
    const { shape, stride, offset } = r;
    return this.#fake({ shape: shape.map(size), stride: stride.map(size), storageOffset: size(offset), dtype }, r.slot);
  }

  #fake(meta: Omit<TensorMeta, "device">, slot: number): Tensor {
    const fake = fakeTensor({ ...meta, device: cpu });
    this.#slotOf.set(fake.storage, slot);
    return fake;
  }

  /** An input or attribute; it becomes a slot if the kernels do not read it. */
  #origin(origin: Origin): Tensor {
    const key = JSON.stringify(origin);
    let found = this.#origins.get(key);
    if (found !== undefined) return found;
    if (origin.kind === "input") {
      const meta = this.#geometry.inputs[origin.index];
      if (meta === undefined) throw new Unfit();
      const own = (size: Size): Size => this.#ownSize(size);
      const { dtype } = meta;
      const layout = { shape: meta.shape.map(own), stride: meta.stride.map(own), storageOffset: 0, dtype };
      found = this.#fake(layout, this.#slotFor("input", origin.index));
    } else {
      const t = this.#geometry.attributes.get(origin.path);
      if (t === undefined) throw new Unfit();
      let index = this.paths.indexOf(origin.path);
      if (index < 0) {
        index = this.paths.push(origin.path) - 1;
        this.attributeOffsets.push(0);
      }
      const { shape, stride, dtype } = t;
      const storageOffset = this.attributeOffsets[index] ?? 0;
      found = this.#fake({ shape, stride, storageOffset, dtype }, this.#slotFor("attribute", index));
    }
    this.#origins.set(key, found);
    return found;
  }

  #slotFor(kind: "input" | "attribute", index: number): number {
    const known = this.slots.findIndex((slot) => slot.kind === kind && slot.index === index);
    return known >= 0 ? known : this.slots.push({ kind, index }) - 1;
  }

  /** A size of the captured graph in the plan's symbols. */
  #ownSize(size: Size): Size {
    if (!isSymInt(size)) return size;
    const own = new Map([...freeSymbols(size.expr)].map((sym) => {
      const expr = this.#sizes.get(sym.name);
      if (expr === undefined) throw new Unfit();
      return [sym, expr] as const;
    }));
    return sizeOf(substitute(size.expr, own), NO_QUESTIONS);
  }

  #ownStep(step: ViewStep): ViewStep {
    const own = (v: unknown): unknown => Array.isArray(v) ? v.map(own) : isSymInt(v) ? this.#ownSize(v) : v;
    const args = Object.fromEntries(Object.entries(step.args).map(([k, v]) => [k, own(v)]));
    return { ...step, args: args as ViewStep["args"] };
  }

  #layout(t: Tensor): NativeResult<StoredExpr> {
    const slot = this.#slotOf.get(t.storage);
    if (slot === undefined) throw new Unfit();
    const { dtype, shape, stride, storageOffset } = t;
    const size = (s: Size): StoredExpr => this.writer.expr(exprOf(s));
    return { slot, dtype: dtype.name, shape: shape.map(size), stride: stride.map(size), offset: size(storageOffset) };
  }

  /** The caller's results that are tensors; null in the places of the others. */
  results(): (NativeResult<StoredExpr> | null)[] {
    return this.#artifact.recipes.map((recipe) => {
      switch (recipe.kind) {
        case "value":
          return null;
        case "result": {
          const made = this.#made[recipe.index];
          return made instanceof Tensor ? this.#layout(made) : null;
        }
        case "alias": {
          const base = recipe.of.kind === "result" ? this.#made[recipe.of.index] : this.#origin(recipe.of);
          if (!(base instanceof Tensor)) throw new Unfit();
          return this.#layout(
            noGrad(() => recipe.steps.reduce((t, step) => applyView(this.#ownStep(step), t), base)),
          );
        }
        default:
          return recipe satisfies never;
      }
    });
  }

  /** What is copied after the kernels, and which attributes a call writes in whatever way. */
  writes(): { readonly copies: NativeWrite<StoredExpr>[]; readonly written: number[] } {
    const copies: NativeWrite<StoredExpr>[] = [];
    const storages = new Set<Storage>();
    for (const { origin, result } of this.#artifact.writes) {
      const value = this.#made[result];
      if (!(value instanceof Tensor)) throw new Unfit();
      const from = this.#layout(value), to = this.#layout(this.#origin(origin));
      if (origin.kind === "attribute") {
        const storage = this.#geometry.attributes.get(origin.path)?.storage;
        if (storage !== undefined) storages.add(storage);
      }
      if (this.slots[from.slot]?.kind === "donated") continue;
      if (String(from.shape) !== String(to.shape) || from.dtype !== to.dtype) throw new Unfit();
      copies.push({ from, to });
    }
    const written = this.paths.flatMap((path, i) => {
      const storage = this.#geometry.attributes.get(path)?.storage;
      return storage !== undefined && storages.has(storage) ? [i] : [];
    });
    return { copies, written };
  }
}

/**
 * The compiled form kept under a name, as parts; null if it has no such form, or its libraries are not built.
 *
 * @param isTensor for each of the program's results whether the caller wants it as a tensor
 */
export function nativeParts(
  name: string,
  geometry: NativeGeometry,
  isTensor: readonly boolean[],
): NativeParts | null {
  const [kind, content = "", index] = name.split(":");
  const found = findToolchain();
  if (kind !== "program" || index !== undefined || !found.ok) return null;
  const key = keptKey("program", content, targetOf(found.toolchain));
  const artifact = key === null ? null : loadProgram(key);
  if (artifact === null || artifact.cpp === null || artifact.host.length > 0) return null;
  const { layout, cpp, inputOffsets } = artifact;
  const { source, parts, flags } = cpp;
  const library = compileSharedLibrary({ name: "kept", source, parts, flags }).poll();
  const threadPool = prepareThreadPool().poll();
  if (library.state !== "ready" || threadPool.state !== "ready") return null;
  try {
    const builder = new Builder(artifact, geometry);
    const results = builder.results().filter((r, i): r is NativeResult<StoredExpr> =>
      r !== null && isTensor[i] === true
    );
    const { copies, written } = builder.writes();
    const { slots, writer } = builder;
    const plan: NativeParts["plan"] = {
      exports: cpp.exports.filter((n) => n !== PROFILE_EXPORT),
      args: { ...cpp.args, slots: slots.map((_, i) => cpp.args.slots[i] ?? null) },
      packed: cpp.keeps,
      slots,
      arenaBytes: builder.number(layout.arenaBytes),
      sizes: layout.symbols.map((sym) => writer.expr(symbol(sym))),
      written,
      writes: copies,
      results,
    };
    return {
      plan,
      symbols: writer.symbols,
      sources: artifact.sizes.map((source, i) => [layout.symbols[i]?.name ?? "", source]),
      library: library.path,
      threadPool: threadPool.path,
      paths: builder.paths,
      attributeOffsets: builder.attributeOffsets,
      inputOffsets,
    };
  } catch (error) {
    // Two symbols of one name, or a question about sizes.
    if (error instanceof Unfit || error instanceof CompileError) return null;
    throw error;
  }
}
