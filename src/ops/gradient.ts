/**
 * Pieces that gradients share.
 *
 * Enter a gradient in the shape and dtype of a result, leaves one in those of an operand: broadcasting is undone by summing, promotion by
 * casting. Mirrors `sum_to_size` and `validate_grad` of PyTorch's autograd engine.
 */
import { sameShape, type Size } from "../symbolic/mod.ts";
import type { TensorValue } from "./value.ts";

/** Sums a gradient over the dimensions that broadcasting added and casts it to the operand's dtype. */
export function reduceGrad(grad: TensorValue, operand: TensorValue): TensorValue {
  const summed = sameShape(grad.shape, operand.shape) ? grad : grad.sumToSize(operand.shape);
  return castGrad(summed, operand);
}

/** Casts a gradient to the operand's dtype. */
export function castGrad(grad: TensorValue, operand: TensorValue): TensorValue {
  return grad.dtype === operand.dtype ? grad : grad.to(operand.dtype);
}

/** Puts reduced dimensions back as dimensions of size 1, so that a reduced gradient broadcasts over the operand. */
export function restoreDims(
  reduced: TensorValue,
  shape: readonly Size[],
  axes: readonly number[],
  keepdim: boolean,
): TensorValue {
  if (keepdim || shape.length === 0) return reduced;
  return reduced.view(shape.map((size, axis) => axes.includes(axis) ? 1 : size));
}
