/**
 * How a program's results become the caller's, as plain data.
 *
 * Results that are views of inputs, of attributes or of other results are taken again at each call by the operators that made them; an operator is kept by its name and must
 * be a view in this process as well. Sizes that are symbols are expressions, with where a call shows each symbol.
 */
import { SizeReader, SizeWriter, type StoredExpr, type StoredSymbol } from "../capture/mod.ts";
import { CompileError, InternalError } from "../core/mod.ts";
import { type Graph, isTensorMeta } from "../graph/mod.ts";
import { getOp } from "../ops/mod.ts";
import { isSymInt, type Size, type Sym, SymInt } from "../symbolic/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import type { ViewStep } from "./functionalize.ts";
import type { ResultRecipe } from "./joint_graph.ts";

/** Where a call shows the sizes that its results depend on: the input, and its dimension, or -1 for an input that is a size. */
export type CallSizes = ReadonlyMap<Sym, readonly [input: number, dim: number]>;

/** A view as JSON. */
interface StoredStep {
  readonly op: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly key: string;
  readonly index: number;
}

type StoredRecipe =
  | Exclude<ResultRecipe, { readonly kind: "alias" }>
  | (Omit<Extract<ResultRecipe, { readonly kind: "alias" }>, "steps"> & { readonly steps: readonly StoredStep[] });

/** Recipes as JSON. */
export interface StoredRecipes {
  readonly recipes: readonly StoredRecipe[];
  /** Sizes that the backward is given as numbers. */
  readonly sizes: readonly StoredExpr[];
  readonly symbols: readonly StoredSymbol[];
  readonly shown: readonly (readonly [name: string, input: number, dim: number])[];
}

/** Recipes with the sizes that they speak of. */
export interface RestoredRecipes {
  readonly recipes: readonly ResultRecipe[];
  readonly sizes: readonly SymInt[];
  readonly shown: CallSizes;
}

/** Where calls of a graph show its sizes. */
export function callSizes(graph: Graph): CallSizes {
  const out = new Map<Sym, readonly [number, number]>();
  const note = (size: Size, at: readonly [number, number]): void => {
    if (isSymInt(size) && size.expr.kind === "symbol" && !out.has(size.expr.symbol)) out.set(size.expr.symbol, at);
  };
  graph.placeholders.forEach(({ value }, input) => {
    if (isSymInt(value)) note(value, [input, -1]);
    else if (isTensorMeta(value)) value.shape.forEach((size, dim) => note(size, [input, dim]));
  });
  return out;
}

/** Reads the sizes of a call. */
export function sizesOfCall(shown: CallSizes): (inputs: readonly (Tensor | number)[]) => (s: Sym) => number {
  return (inputs) => (s) => {
    const at = shown.get(s);
    if (at === undefined) throw new InternalError(`the size ${s.name} comes from no input`);
    const input = inputs[at[0]];
    return Number(input instanceof Tensor ? input.shape[at[1]] : input);
  };
}

function isPlain(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return value === null || typeof value === "string" || typeof value === "boolean";
}

class NoJson extends Error {}

function store(value: unknown, writer: SizeWriter): unknown {
  if (Array.isArray(value)) return value.map((v) => store(v, writer));
  if (isSymInt(value)) return { size: writer.size(value) };
  if (!isPlain(value)) throw new NoJson();
  return value;
}

function storeStep({ op, args, key, index }: ViewStep, writer: SizeWriter): StoredStep {
  const rest = Object.entries(args).filter(([name]) => name !== key).map(([k, v]) => [k, store(v, writer)] as const);
  return { op: op.target, args: Object.fromEntries(rest), key, index };
}

/** The recipes as JSON; null if they hold what JSON cannot say. */
export function storeRecipes(
  recipes: readonly ResultRecipe[],
  sizes: readonly SymInt[],
  shown: CallSizes,
): StoredRecipes | null {
  const writer = new SizeWriter();
  try {
    const stored = recipes.map((recipe): StoredRecipe => {
      if (recipe.kind === "value") store(recipe.value, writer);
      if (recipe.kind !== "alias") return recipe;
      return { ...recipe, steps: recipe.steps.map((s) => storeStep(s, writer)) };
    });
    const given = sizes.map((s) => writer.size(s));
    const { symbols } = writer;
    const names = new Set(symbols.map(([name]) => name));
    return {
      recipes: stored,
      sizes: given,
      symbols,
      shown: [...shown].flatMap(([{ name }, [input, dim]]) => names.has(name) ? [[name, input, dim] as const] : []),
    };
  } catch (error) {
    if (error instanceof NoJson) return null;
    throw error;
  }
}

function restore(value: unknown, reader: SizeReader): unknown {
  if (Array.isArray(value)) return value.map((v) => restore(v, reader));
  if (typeof value !== "object" || value === null) return value;
  return reader.size((value as { readonly size: StoredExpr }).size);
}

/** Reads recipes back. @throws {CompileError} if an operator is no view here; {TypeError} if there is no such operator. */
export function restoreRecipes({ recipes, sizes, symbols, shown }: StoredRecipes): RestoredRecipes {
  const reader = new SizeReader(symbols);
  return {
    sizes: sizes.map((s) => {
      const size = reader.size(s);
      if (!isSymInt(size)) throw new CompileError("a stored program passes a number for a size");
      return size;
    }),
    shown: new Map(shown.map(([name, input, dim]) => {
      const sym = reader.symbols.get(name);
      if (sym === undefined) throw new CompileError(`a stored program has no size ${name}`);
      return [sym, [input, dim]] as const;
    })),
    recipes: recipes.map((recipe): ResultRecipe => {
      if (recipe.kind !== "alias") return recipe;
      const steps = recipe.steps.map(({ op: name, args, key, index }): ViewStep => {
        const op = getOp(name);
        if (op.view === null) throw new CompileError(`a stored program takes a view with ${name}, which is none`);
        const own = Object.fromEntries(Object.entries(args).map(([k, v]) => [k, restore(v, reader)]));
        return { op, args: own as ViewStep["args"], key, index };
      });
      return { ...recipe, steps };
    }),
  };
}
