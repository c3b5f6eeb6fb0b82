/**
 * A small network to look into: `deno task tessera explain examples/mlp.ts#model` shows its graph, which operators become one kernel, and why.
 *
 * `explain` calls the function that is exported under the name after `#`, with what `inputs` gives.
 */
import { nn, randn, type Tensor } from "../mod.ts";

const network = new nn.Sequential(new nn.Linear(8, 32), new nn.GELU(), new nn.LayerNorm(32), new nn.Linear(32, 4));

/** Arguments of the function. */
export const inputs = (): Tensor[] => [randn([16, 8])];

/** [batch, 8] → [batch, 4], probabilities. */
export function model(x: Tensor): Tensor {
  return nn.functional.softmax(network.forward(x), -1);
}
