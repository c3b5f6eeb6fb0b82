/**
 * How a program's results become the caller's, as plain data.
 *
 * Results that are views of inputs, of attributes or of other results are taken again at each call by the operators that made them; an operator is kept by its name and must
 * be a view in this process as well. Symbolic sizes have no stored form.
 */
import { CompileError } from "../core/mod.ts";
import { getOp } from "../ops/mod.ts";
import type { ViewStep } from "./functionalize.ts";
import type { ResultRecipe } from "./joint_graph.ts";

/** A view as JSON. */
interface StoredStep {
  readonly op: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly key: string;
  readonly index: number;
}

/** A recipe as JSON. */
export type StoredRecipe =
  | Exclude<ResultRecipe, { readonly kind: "alias" }>
  | (Omit<Extract<ResultRecipe, { readonly kind: "alias" }>, "steps"> & { readonly steps: readonly StoredStep[] });

function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isPlain);
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return value === null || typeof value === "string" || typeof value === "boolean";
}

function storeStep({ op, args, key, index }: ViewStep): StoredStep | null {
  const rest = Object.entries(args).filter(([name]) => name !== key);
  return rest.every(([, v]) => isPlain(v)) ? { op: op.target, args: Object.fromEntries(rest), key, index } : null;
}

/** The recipes as JSON; null if they hold what JSON cannot say. */
export function storeRecipes(recipes: readonly ResultRecipe[]): StoredRecipe[] | null {
  const out: StoredRecipe[] = [];
  for (const recipe of recipes) {
    if (recipe.kind === "value" && !isPlain(recipe.value)) return null;
    if (recipe.kind !== "alias") {
      out.push(recipe);
      continue;
    }
    const steps = recipe.steps.map(storeStep);
    if (!steps.every((s) => s !== null)) return null;
    out.push({ ...recipe, steps });
  }
  return out;
}

/** Reads recipes back. @throws {CompileError} if an operator is no view here; {TypeError} if there is no such operator. */
export function restoreRecipes(stored: readonly StoredRecipe[]): ResultRecipe[] {
  return stored.map((recipe): ResultRecipe => {
    if (recipe.kind !== "alias") return recipe;
    const steps = recipe.steps.map(({ op: name, args, key, index }): ViewStep => {
      const op = getOp(name);
      if (op.view === null) throw new CompileError(`a stored program takes a view with ${name}, which is none`);
      return { op, args: args as ViewStep["args"], key, index };
    });
    return { ...recipe, steps };
  });
}
