/** What tests of convolutions' templates share: which one was chosen, and how far its results are from those in float64. */
import assert from "node:assert/strict";
import { compile, noGrad, type Tensor } from "../../mod.ts";
import { float64, withConfig } from "../../src/core/mod.ts";
import { type CompiledGraph, onCompile } from "../../src/inductor/mod.ts";

/** A function of tensors. */
export type Fn = (...tensors: Tensor[]) => Tensor[];

/** The norm of the error of a result, in that of the same in float64. */
export function errorOf(result: Tensor, wanted: Tensor): number {
  const [norm, error] = [wanted, result.to(float64).sub(wanted)].map((t) => Number(t.square().sum().sqrt().item()));
  return (error ?? NaN) / (norm ?? NaN);
}

/** Asserts that a template is called as often, and that all results of all calls are near to those in float64. */
export function checkConvolutions(
  call: string,
  count: number,
  fn: Fn,
  calls: readonly (readonly Tensor[])[],
): void {
  using _config = withConfig({ disabled: new Set(["cache"]) });
  noGrad(() => {
    let graph: CompiledGraph | null = null;
    const options = { mode: "aot", fullgraph: true, dynamic: calls.length > 1 } as const;
    const exact = compile(fn, options), run = compile(fn, options);
    for (const args of calls) {
      const wanted = exact(...args.map((t) => t.to(float64)));
      using _ = onCompile((record) => graph = record.graph);
      // Again with what the first call keeps.
      for (const results of [run(...args), run(...args)]) {
        results.forEach((result, i) => {
          const error = errorOf(result, wanted[i] ?? result);
          assert.ok(error < 2e-6, `result ${i}, ${result.shape.join(" × ")}: ${error}`);
        });
      }
    }
    const source: string = (graph as CompiledGraph | null)?.cpp?.source ?? "";
    assert.equal(source.split(call).length - 1, count);
  });
}
