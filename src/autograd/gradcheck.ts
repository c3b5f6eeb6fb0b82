/**
 * Compares gradients with finite differences.
 *
 * The function's result is contracted with fixed irregular weights, so that one backward pass checks every entry of the Jacobian's transpose. Inputs must be float64;
 * central differences then agree to about 1e-6. Mirrors `torch.autograd.gradcheck` in its fast form.
 */
import { float64 } from "../core/mod.ts";
import { autogradMeta, enableGrad, noGrad, readElements, Tensor, tensorFrom, writeElements } from "../tensor/mod.ts";
import { gradOf } from "./engine.ts";

/** Options of {@linkcode gradcheck}. */
export interface GradcheckOptions {
  /** Half the distance of the two points; default 1e-6. */
  readonly eps?: number;
  /** Absolute tolerance; default 1e-5. */
  readonly atol?: number;
  /** Relative tolerance; default 1e-4. */
  readonly rtol?: number;
}

/** Weights without pattern, so that errors do not cancel. */
function weights(t: Tensor): Tensor {
  const values = Float64Array.from({ length: t.numel }, (_, i) => Math.sin(i + 1) + 0.1 * Math.cos(7 * i));
  return tensorFrom(t.shape.map(Number), values, float64);
}

function project(result: Tensor | readonly Tensor[]): Tensor {
  let total: Tensor | null = null;
  for (const out of result instanceof Tensor ? [result] : result) {
    if (!out.dtype.isFloat) continue;
    const term = out.mul(weights(out)).sum();
    total = total === null ? term : total.add(term);
  }
  if (total === null) throw new TypeError("gradcheck: the function gave no floating point tensor");
  return total;
}

/**
 * Checks the gradients of `fn` at `inputs` (float64; those that require a gradient are checked).
 *
 * @throws {TypeError} naming the input, the element and both values where they differ.
 */
export function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): void {
  const { eps = 1e-6, atol = 1e-5, rtol = 1e-4 } = options;
  const checked = inputs.map((t) => t.requiresGrad);
  inputs.forEach((t, i) => {
    if (checked[i] === true && t.dtype !== float64) {
      throw new TypeError(`gradcheck: input ${i} is ${t.dtype.name}; finite differences need float64`);
    }
  });
  const leaves = inputs.map((t, i) => {
    const leaf = t.detach();
    if (checked[i] === true) autogradMeta(leaf).requiresGrad = true;
    return leaf;
  });
  const wanted = leaves.filter((_, i) => checked[i] === true);
  const loss = enableGrad(() => project(fn(...leaves)));
  const grads = loss.requiresGrad ? gradOf(loss, wanted, { allowUnused: true }) : wanted.map(() => null);
  let at = 0;
  inputs.forEach((input, i) => {
    if (checked[i] !== true) return;
    const analytic = grads[at++]?.dataSync();
    const values = Float64Array.from(readElements(input) as Float64Array);
    const probe = noGrad(() => input.detach().clone());
    const evaluate = (): number =>
      noGrad(() => project(fn(...leaves.map((t, k) => k === i ? probe : t.detach()))).item());
    for (let e = 0; e < values.length; e++) {
      const center = values[e] ?? 0;
      values[e] = center + eps;
      writeElements(probe, values);
      const above = evaluate();
      values[e] = center - eps;
      writeElements(probe, values);
      const below = evaluate();
      values[e] = center;
      const numeric = (above - below) / (2 * eps);
      const exact = Number(analytic?.[e] ?? 0);
      if (!(Math.abs(numeric - exact) <= atol + rtol * Math.abs(numeric))) {
        throw new TypeError(
          `gradcheck: input ${i}, element ${e}: the gradient rule gives ${exact}, finite differences ${numeric}`,
        );
      }
    }
  });
}
