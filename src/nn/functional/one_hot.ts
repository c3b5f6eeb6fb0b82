/**
 * Class numbers as rows of zeros and a one.
 */
import { int64 } from "../../core/mod.ts";
import { arange, type Tensor } from "../../tensor/mod.ts";

/** [*] integers → [*, numClasses] zeros and ones (int64). */
export function oneHot(classes: Tensor, numClasses: number): Tensor {
  const range = arange(0, numClasses, { device: classes.device, dtype: classes.dtype });
  return classes.unsqueeze(-1).eq(range).to(int64);
}
