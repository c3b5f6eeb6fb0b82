/**
 * Functions with a gradient of the user's own.
 *
 * `forward` runs unrecorded; its result is one step of the tape, whose gradient is `backward`. Mirrors `torch.autograd.Function`.
 */
import { activeMode, isGradEnabled, noGrad, Tensor } from "../tensor/mod.ts";
import { recordFunction } from "./engine.ts";
import { versionOf } from "./node.ts";

/** What `forward` leaves for `backward`. */
export interface FunctionContext {
  /** Keeps tensors for `backward`; they may not be written in place until then. */
  save(...tensors: readonly Tensor[]): void;
  /** What was saved. @throws {TypeError} if one was written since. */
  readonly saved: readonly Tensor[];
  /** Which tensor inputs need a gradient, in order. */
  readonly needsInputGrad: readonly boolean[];
}

/** A function and its gradient. */
export interface FunctionDefinition<A extends readonly unknown[], R extends Tensor | readonly Tensor[]> {
  /** For `gradFn` and messages. */
  readonly name?: string;
  readonly forward: (context: FunctionContext, ...args: A) => R;
  /** One gradient for each argument of `forward` that is a tensor, in order; null for none. Receives one for each result. */
  readonly backward: (
    context: FunctionContext,
    ...grads: (Tensor | null)[]
  ) => Tensor | null | readonly (Tensor | null)[];
}

/**
 * Makes a function whose gradient is `backward`.
 *
 * @example
 * ```ts
 * import { defineFunction, type Tensor, tensor } from "@tessera/tessera";
 * const double = defineFunction({
 *   name: "Double",
 *   forward: (_, x: Tensor) => x.mul(2),
 *   backward: (_, grad) => grad === null ? null : grad.mul(2),
 * });
 * const x = tensor([1.5]).requiresGrad_();
 * double(x).backward();
 * ```
 */
export function defineFunction<A extends readonly unknown[], R extends Tensor | readonly Tensor[]>(
  definition: FunctionDefinition<A, R>,
): (...args: A) => R {
  const name = `${definition.name ?? "Custom"}Backward`;
  return (...args) => {
    activeMode()?.customGradient?.(definition.name ?? "a custom function");
    const inputs = args.filter((a): a is A[number] & Tensor => a instanceof Tensor) as Tensor[];
    const needsInputGrad = inputs.map((t) => t.requiresGrad);
    let kept: readonly Tensor[] = [];
    let versions: number[] = [];
    const context: FunctionContext = {
      save(...tensors): void {
        kept = tensors;
        versions = tensors.map(versionOf);
      },
      get saved(): readonly Tensor[] {
        kept.forEach((t, i) => {
          const version = versionOf(t);
          if (version !== versions[i]) {
            throw new TypeError(
              `${name}: saved tensor ${i} was written in place since: it is at version ${version}, expected ${
                versions[i]
              }`,
            );
          }
        });
        return kept;
      },
      needsInputGrad,
    };
    const result = noGrad(() => definition.forward(context, ...args));
    if (!isGradEnabled() || !needsInputGrad.includes(true)) return result;
    // A result that is an input itself, or a view, would tie its history to two steps.
    const own = (t: Tensor): Tensor => noGrad(() => inputs.includes(t) || t.viewOf !== null ? t.clone() : t);
    const results: readonly Tensor[] = result instanceof Tensor ? [result] : result;
    const outs = results.map(own);
    recordFunction(name, inputs, outs, (grads) => {
      const given = definition.backward(context, ...grads);
      return given === null || given instanceof Tensor ? [given] : given;
    });
    return (result instanceof Tensor ? outs[0] : outs) as unknown as R;
  };
}
