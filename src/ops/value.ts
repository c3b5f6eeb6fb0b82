/**
 * A tensor as definitions of gradients and decompositions see it: its description and its methods.
 *
 * At run time it is a `Tensor` of `src/tensor`, eager, fake or traced; this layer knows only what every one of them can do.
 */
import type { TensorMeta } from "../graph/mod.ts";
import type { TensorMethods } from "./functional.ts";

/** A tensor in a `vjp` or a `decompose`. Methods are generated from the operator table. */
export interface TensorValue extends TensorMeta, TensorMethods<TensorValue> {
  readonly ndim: number;
  readonly requiresGrad: boolean;
  /** The number of a tensor of one element; takes data out of a graph. */
  item(): number;
}
