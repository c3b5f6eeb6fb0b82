/**
 * Dropout: Srivastava et al. 2014.
 *
 * The mask is drawn from the default generator, whose state is a tensor, so eager and compiled calls drop the same elements.
 */
import { rand, type Tensor } from "../../tensor/mod.ts";

/** In training, sets each element to zero with probability `p` and scales the others by 1/(1-p); else gives back its input. */
export function dropout(x: Tensor, p = 0.5, training = true): Tensor {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`dropout: the probability must be between 0 and 1, got ${p}`);
  if (!training || p === 0) return x;
  if (p === 1) return x.mul(0);
  const kept = rand(x.shape, { device: x.device }).ge(p);
  return x.mul(kept.to(x.dtype).mul(1 / (1 - p)));
}
