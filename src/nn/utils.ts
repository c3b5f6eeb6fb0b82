/**
 * What training loops do with all parameters at once: `nn.utils`.
 */
import { F, noGrad, Tensor } from "../tensor/mod.ts";

/** Parameters as a list; one alone is no list of its rows. */
function listOf(parameters: Iterable<Tensor>): Tensor[] {
  return parameters instanceof Tensor ? [parameters] : [...parameters];
}

/**
 * Scales gradients in place so that their norm, taken together, is at most `maxNorm`.
 *
 * @param normType p of the p-norm; `Infinity` takes the largest magnitude. Default 2.
 * @returns The norm before, 0-dim.
 * @throws {RangeError} if `maxNorm` is below 0; {TypeError} if there is no gradient.
 */
export function clipGradNorm_(parameters: Iterable<Tensor>, maxNorm: number, normType = 2): Tensor {
  if (!(maxNorm >= 0)) throw new RangeError(`clipGradNorm_: maxNorm must be at least 0, got ${maxNorm}`);
  return noGrad(() => {
    const grads = listOf(parameters).flatMap((p) => p.grad === null ? [] : [p.grad]);
    const [first] = grads;
    if (first === undefined) throw new TypeError("clipGradNorm_: no parameter has a gradient; call backward() first");
    const pieces = grads.map((g) =>
      normType === Infinity ? g.abs().max() : normType === 2 ? g.mul(g).sum() : g.abs().pow(normType).sum()
    );
    const all = F.stack(pieces, 0);
    const total = normType === Infinity ? all.max() : normType === 2 ? all.sum().sqrt() : all.sum().pow(1 / normType);
    // As in PyTorch: always multiplied, so that nothing waits for the norm's value.
    const factor = F.clampMax(F.div(maxNorm, total.add(1e-6)), 1);
    for (const g of grads) g.mul_(factor);
    return total;
  });
}

/** Clamps gradients in place to ±`value`. @throws {RangeError} if `value` is below 0. */
export function clipGradValue_(parameters: Iterable<Tensor>, value: number): void {
  if (!(value >= 0)) throw new RangeError(`clipGradValue_: value must be at least 0, got ${value}`);
  noGrad(() => {
    for (const p of listOf(parameters)) p.grad?.clamp_(-value, value);
  });
}

/** All parameters end to end in one tensor of one dimension. */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  return F.cat(listOf(parameters).map((p) => p.reshape([-1])), 0);
}

/** Copies a vector made by {@linkcode parametersToVector} back. @throws {TypeError} if the lengths differ. */
export function vectorToParameters(vector: Tensor, parameters: Iterable<Tensor>): void {
  const list = listOf(parameters);
  const total = list.reduce((n, p) => n + p.numel, 0);
  if (vector.ndim !== 1 || vector.numel !== total) {
    throw new TypeError(`vectorToParameters: needs a vector of ${total} elements, got [${vector.shape.join(", ")}]`);
  }
  noGrad(() => {
    let from = 0;
    for (const p of list) {
      p.copy_(vector.narrow(0, from, p.numel).reshape(p.shape));
      from += p.numel;
    }
  });
}
