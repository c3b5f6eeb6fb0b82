/**
 * Dropout: Srivastava et al. 2014.
 *
 * The mask is drawn from the default generator, whose state is a tensor, so eager and compiled calls drop the same elements.
 */
import { draw, type Tensor } from "../../tensor/mod.ts";

/** In training, sets each element to zero with probability `p` and scales the others by 1/(1-p); else gives back its input. */
export function dropout(x: Tensor, p = 0.5, training = true): Tensor {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`dropout: the probability must be between 0 and 1, got ${p}`);
  if (!training || p === 0) return x;
  return draw("tessera.dropout_with_state.default", { input: x, p }, { device: x.device });
}
