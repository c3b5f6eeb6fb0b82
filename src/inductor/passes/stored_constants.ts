/**
 * How a frozen constant is computed, as plain data: for a later process that has the parameters but not the graph.
 *
 * Enters: a recipe as JSON and the parameters. Leaves: the tensor that the pass would have made, with the same strides. The passes use the same functions.
 */
import { CompileError } from "../../core/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { type NormParameters, normVector } from "./fold_batch_norm.ts";
import { joined, type JoinedPart } from "./joined.ts";
import { packed } from "./pack_weights.ts";
import { filledVector } from "./pad_channels.ts";

/** A recipe that can be written down. */
export type StoredConstant =
  | {
    readonly kind: "packed";
    readonly source: string;
    readonly order: readonly number[];
    readonly channels: number;
    /** More than the weight's own have zeros. */
    readonly outputs?: number;
  }
  | { readonly kind: "filled"; readonly source: string; readonly channels: number }
  | {
    readonly kind: "norm";
    readonly parameters: NormParameters;
    readonly eps: number;
    readonly which: 0 | 1;
    /** Dimensions of one element behind the channels. */
    readonly ones: number;
    /** Channels, those beyond the norm's own zero. */
    readonly channels?: number;
  }
  | { readonly kind: "joined"; readonly parts: readonly JoinedPart[]; readonly dim: number };

/** Paths of the tensors that a recipe reads. */
export function sourcesOf(recipe: StoredConstant): string[] {
  if (recipe.kind === "joined") return recipe.parts.flatMap(({ path }) => path ?? []);
  return recipe.kind === "packed" || recipe.kind === "filled"
    ? [recipe.source]
    : Object.values(recipe.parameters).filter((path): path is string => path !== null);
}

/** Computes a constant where its sources are. @throws {CompileError} if the recipe is none */
export function computeStored(recipe: StoredConstant, read: (path: string) => Tensor): Tensor {
  switch (recipe.kind) {
    case "packed":
      return packed(read(recipe.source), recipe.order, recipe.channels, recipe.outputs);
    case "filled":
      return filledVector(read(recipe.source), recipe.channels);
    case "norm": {
      const vector = normVector(recipe.parameters, recipe.eps, recipe.which, recipe.ones, read);
      return recipe.channels === undefined ? vector : filledVector(vector, recipe.channels);
    }
    case "joined":
      return joined(recipe.parts, recipe.dim, read);
    default:
      throw new CompileError("a stored constant is of an unknown kind");
  }
}
