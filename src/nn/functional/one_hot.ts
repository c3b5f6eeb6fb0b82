/**
 * Class numbers as rows of zeros and a one.
 */
import type { Tensor } from "../../tensor/mod.ts";

/**
 * [*] integers (int64) → [*, numClasses] zeros and ones (int64).
 *
 * @throws {RangeError} if a class is not one of 0 to numClasses - 1; where the data are read, on devices that compute behind the call's back
 */
export function oneHot(classes: Tensor, numClasses: number): Tensor {
  return classes.oneHot(numClasses);
}
