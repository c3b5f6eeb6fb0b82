/**
 * How a frozen constant is computed, as plain data: for a later process that has the parameters but not the graph.
 *
 * Enters: a recipe as JSON and the parameters. Leaves: the tensor that the pass would have made, with the same strides. The passes use the same functions.
 */
import { CompileError } from "../../core/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { type NormParameters, normVector } from "./fold_batch_norm.ts";
import { packed } from "./pack_weights.ts";

/** A recipe that can be written down. */
export type StoredConstant =
  | {
    readonly kind: "packed";
    readonly source: string;
    readonly order: readonly number[];
    readonly channels: number;
  }
  | {
    readonly kind: "norm";
    readonly parameters: NormParameters;
    readonly eps: number;
    readonly which: 0 | 1;
    /** Dimensions of one element behind the channels. */
    readonly ones: number;
  };

/** Paths of the tensors that a recipe reads. */
export function sourcesOf(recipe: StoredConstant): string[] {
  return recipe.kind === "packed"
    ? [recipe.source]
    : Object.values(recipe.parameters).filter((path): path is string => path !== null);
}

/** Computes a constant where its sources are. @throws {CompileError} if the recipe is none */
export function computeStored(recipe: StoredConstant, read: (path: string) => Tensor): Tensor {
  switch (recipe.kind) {
    case "packed":
      return packed(read(recipe.source), recipe.order, recipe.channels);
    case "norm":
      return normVector(recipe.parameters, recipe.eps, recipe.which, recipe.ones, read);
    default:
      throw new CompileError("a stored constant is of an unknown kind");
  }
}
