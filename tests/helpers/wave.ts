/** Numbers that repeat nowhere and need no generator: what tests on devices compute with. */
import { type DType, float32, type Tensor, tensor } from "../../mod.ts";

/** `height · sin(i · step)` for element `i`. */
export function wave(shape: readonly number[], step: number, dtype: DType = float32, height = 1): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  return tensor(Array.from({ length: count }, (_, i) => height * Math.sin(i * step))).view([...shape]).to(dtype);
}
