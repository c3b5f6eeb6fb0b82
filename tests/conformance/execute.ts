/**
 * Ways to execute cases: eagerly on the reference executor, or compiled.
 *
 * A compiler call costs much more than a small case, so compiled cases come in batches: one function that returns the results of all of them. A batch that fails is
 * halved until the cases that fail stand alone. What falls back to another tier than the asked one counts as failed.
 */
import { gradOf } from "../../src/autograd/mod.ts";
import { compile, registerLibrary } from "../../src/capture/mod.ts";
import { cpu, device as deviceOf } from "../../src/core/mod.ts";
import { type CompiledGraph, onCompile } from "../../src/inductor/mod.ts";
import { noGrad, referenceBackend, type Tensor, withEagerBackend } from "../../src/tensor/mod.ts";
import { placed } from "../helpers/placed.ts";
import { type Case, reasonOf } from "./case.ts";

/** What came out of one case. */
export type CaseResult =
  | { readonly ok: true; readonly outs: readonly (Tensor | null)[] }
  | { readonly ok: false; readonly reason: string; readonly error: unknown };

/** Runs cases: their results, or their gradients. */
export interface Executor {
  readonly name: string;
  values(cases: readonly Case[]): CaseResult[];
  gradients(cases: readonly Case[]): CaseResult[];
}

function attempt(run: () => readonly (Tensor | null)[]): CaseResult {
  try {
    return { ok: true, outs: run() };
  } catch (error) {
    return { ok: false, reason: reasonOf(error), error };
  }
}

/** Gradients of the weighted sums of results that can have them. */
function gradientsOf(
  outs: readonly Tensor[],
  weights: readonly (Tensor | null)[],
  leaves: readonly Tensor[],
): readonly (Tensor | null)[] {
  const used = outs.flatMap((o, i) => o.requiresGrad && weights[i] !== null && weights[i] !== undefined ? [i] : []);
  if (used.length === 0) throw new TypeError("no result requires a gradient");
  return gradOf(used.map((i) => outs[i] as Tensor), leaves, {
    gradOutputs: used.map((i) => weights[i] as Tensor),
    allowUnused: true,
  });
}

/** Eagerly, each operator's loop interpreted element by element. */
export const referenceExecutor: Executor = {
  name: "reference",
  values: (cases) =>
    cases.map((c) => attempt(() => withEagerBackend(referenceBackend, () => noGrad(() => c.call(c.inputs()))))),
  gradients: (cases) =>
    cases.map((c) =>
      attempt(() =>
        withEagerBackend(referenceBackend, () => {
          const inputs = c.gradientInputs();
          return gradientsOf(c.call(inputs), c.weights(), c.wanted.map((i) => inputs[i] as Tensor));
        })
      )
    ),
};

/** Options of {@linkcode inductorExecutor}. */
export interface InductorOptions {
  readonly tier: "js" | "cpp" | "cuda";
  readonly dynamic: boolean;
}

/** All cases of a batch as one function over the inputs of all. */
function batchFunction(cases: readonly Case[], counts: readonly number[]): (inputs: readonly Tensor[]) => Tensor[][] {
  const run = (inputs: readonly Tensor[]): Tensor[][] => {
    let at = 0;
    return cases.map((c, k) => {
      const own = Array.from({ length: counts[k] ?? 0 }, (_, i) => inputs[at + i] as Tensor);
      at += counts[k] ?? 0;
      return c.call(own);
    });
  };
  // The function and what it holds are the harness's own: nothing of it can change between calls.
  registerLibrary({ run });
  return run;
}

function checkTier(graphs: readonly CompiledGraph[], tier: InductorOptions["tier"]): void {
  for (const graph of graphs) {
    // Without any tensor of the device there is nothing that says that a graph belongs there.
    if (tier === "cuda" && graph.device === cpu) continue;
    if (graph.compiled.plan.steps.length > 0 && graph.tier !== tier) {
      throw new Error(`ran on ${graph.tier} kernels, not ${tier}: ${graph.cpp?.state ?? "no C++ tier"}`);
    }
  }
}

function runBatch(
  cases: readonly Case[],
  options: InductorOptions,
  gradients: boolean,
  fullgraph: boolean,
): CaseResult[] {
  const graphs: CompiledGraph[] = [];
  using _ = onCompile((record) => void graphs.push(record.graph));
  const device = options.tier === "cuda" ? deviceOf("cuda") : cpu;
  const place = (t: Tensor): Tensor => placed(t, device);
  const inputs = cases.map((c) => (gradients ? c.gradientInputs() : c.inputs()).map(place));
  const fn = compile(batchFunction(cases, inputs.map((list) => list.length)), {
    fullgraph,
    mode: options.tier === "cpp" ? "aot" : "default",
    ...(options.dynamic ? { dynamic: true } : { dynamic: false }),
    options: options.tier === "cuda" ? {} : { tier: options.tier === "cpp" ? "aot" : "js" },
  });
  if (!gradients) {
    const results = noGrad(() => fn(inputs.flat()));
    checkTier(graphs, options.tier);
    return results.map((outs) => ({ ok: true, outs }));
  }
  const results = fn(inputs.flat());
  const weights = cases.map((c, k) =>
    c.weights().map((w, i) => w === null ? null : placed(w, results[k]?.[i]?.device ?? cpu))
  );
  const leaves = cases.map((c, k) => c.wanted.map((i) => (inputs[k] as Tensor[])[i] as Tensor));
  // A case without any differentiable result fails alone, not with its batch.
  if (cases.length > 1 && results.some((outs) => !outs.some((o) => o.requiresGrad))) {
    throw new TypeError("a result requires no gradient");
  }
  const grads = gradientsOf(results.flat(), weights.flat(), leaves.flat());
  checkTier(graphs, options.tier);
  let at = 0;
  return leaves.map((list): CaseResult => {
    const outs = grads.slice(at, at + list.length);
    at += list.length;
    return { ok: true, outs };
  });
}

function inBatches(
  cases: readonly Case[],
  run: (batch: readonly Case[], fullgraph: boolean) => CaseResult[],
): CaseResult[] {
  if (cases.length === 0) return [];
  try {
    return run(cases, true);
  } catch (error) {
    if (cases.length === 1) {
      // A shape that depends on data ends the graph: such a call runs between graphs.
      const breaks = error instanceof Error && /depends on data|takes data out of the graph/.test(error.message);
      return breaks ? [attempt(() => outsOf(run(cases, false)[0]))] : [{ ok: false, reason: reasonOf(error), error }];
    }
    const half = cases.length >> 1;
    return [...inBatches(cases.slice(0, half), run), ...inBatches(cases.slice(half), run)];
  }
}

function outsOf(result: CaseResult | undefined): readonly (Tensor | null)[] {
  if (result === undefined || !result.ok) throw new Error("the case gave no result");
  return result.outs;
}

/** Compiled by the inductor backend, with kernels of the given tier. */
export function inductorExecutor(options: InductorOptions): Executor {
  return {
    name: `inductor-${options.tier}${options.dynamic ? "-dynamic" : ""}`,
    values: (cases) => inBatches(cases, (batch, fullgraph) => runBatch(batch, options, false, fullgraph)),
    gradients: (cases) => inBatches(cases, (batch, fullgraph) => runBatch(batch, options, true, fullgraph)),
  };
}
