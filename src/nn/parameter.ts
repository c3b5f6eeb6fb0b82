/**
 * Parameters: tensors that a module owns and an optimiser trains.
 *
 * A parameter is an ordinary tensor with the flag `isParameter`, not a subclass: the twin that stands for it while a function is captured
 * carries the same flag, so modules behave alike eager and captured. Mirrors `torch.nn.Parameter`.
 */
import type { Device, DType } from "../core/mod.ts";
import { noGrad, Tensor } from "../tensor/mod.ts";

/** A tensor with the flag `isParameter`. */
export type Parameter = Tensor;

/**
 * Makes a parameter of a tensor; they share memory.
 *
 * @param data The initial values.
 * @param requiresGrad Whether it is trained. Default true.
 *
 * @example
 * ```ts
 * import { nn, zeros } from "@tessera/tessera";
 * const scale = nn.parameter(zeros([3]));
 * console.assert(scale.requiresGrad && nn.isParameter(scale));
 * ```
 */
export function parameter(data: Tensor, requiresGrad = true): Parameter {
  const out = data.detach();
  out.isParameter = true;
  if (requiresGrad) out.requiresGrad = true;
  return out;
}

/** Tells whether a value is a parameter. */
export function isParameter(value: unknown): value is Parameter {
  return value instanceof Tensor && value.isParameter;
}

/** The tensor on another device or in another dtype, still a parameter and with its gradient if it was one; itself if nothing changes. */
export function movedTensor(t: Tensor, where: { readonly device?: Device; readonly dtype?: DType }): Tensor {
  const device = where.device ?? t.device;
  const dtype = where.dtype ?? t.dtype;
  if (device === t.device && dtype === t.dtype) return t;
  return noGrad(() => {
    const moved = t.detach().to({ device, dtype });
    if (!t.isParameter) return moved;
    const out = parameter(moved, t.requiresGrad);
    if (t.grad !== null) out.grad = t.grad.to({ device, dtype });
    return out;
  });
}
