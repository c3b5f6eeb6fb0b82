/**
 * Runs all cases of a folder on an executor and counts: what `deno task conformance` prints, and what tests ask.
 */
import { Case, failed, PASSED, type VectorSource, type Verdict } from "./case.ts";
import type { CaseResult, Executor } from "./execute.ts";
import type { VectorCase } from "./vectors.ts";

/** How many cases went how. */
export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Both sides of one case; null gradients where the vectors have none. */
export interface Outcome {
  readonly c: VectorCase;
  readonly values: Verdict;
  readonly gradients: Verdict | null;
  /** The operator is not in the table. */
  readonly missing: boolean;
  readonly errors: readonly unknown[];
}

/** Options of {@linkcode runCases}. */
export interface RunOptions {
  /** Cases a compilation. */
  readonly batch: number;
  /** Called after each batch. */
  readonly progress?: (done: number) => void;
}

function verdict(result: CaseResult | undefined, check: (outs: readonly unknown[]) => Verdict): Verdict {
  if (result === undefined) return failed("it did not run");
  if (!result.ok) return failed(result.reason);
  try {
    return check(result.outs);
  } catch (error) {
    return failed(String(error));
  }
}

/** As {@linkcode verdict}; a case that PyTorch leaves open, or whose memory the vectors do not hold, may also be refused. */
function openOr(c: Case, result: CaseResult | undefined, check: (outs: readonly unknown[]) => Verdict): Verdict {
  const { open } = c;
  return result?.ok === false && open !== null ? { kind: "skipped", reason: open } : verdict(result, check);
}

/** Runs cases and judges them. Cases whose operator is not in the table fail. */
export function runCases(
  cases: readonly VectorCase[],
  source: VectorSource,
  executor: Executor,
  options: RunOptions,
): Outcome[] {
  const prepared = cases.map((c) => Case.of(c, source));
  const values = new Map<Case, Verdict>();
  const gradients = new Map<Case, Verdict>();
  const errors = new Map<Case, unknown[]>();
  const note = (c: Case, result: CaseResult | undefined): void => {
    if (result !== undefined && !result.ok) errors.set(c, [...errors.get(c) ?? [], result.error]);
  };
  // Operators with a shape that depends on data cannot share a graph with others.
  const all = prepared.filter((c): c is Case => c !== null);
  const runnable = all.filter((c) => {
    const { open } = c;
    const needsGenerator = open !== null && /dropout/.test(open);
    if (needsGenerator) values.set(c, { kind: "skipped", reason: open });
    return !needsGenerator;
  });
  const alone = runnable.filter((c) => c.op.isDataDependent);
  const together = runnable.filter((c) => !c.op.isDataDependent);
  const batches: Case[][] = alone.map((c) => [c]);
  for (let i = 0; i < together.length; i += options.batch) batches.push(together.slice(i, i + options.batch));
  let done = 0;
  for (const batch of batches) {
    const results = executor.values(batch);
    batch.forEach((c, i) => {
      note(c, results[i]);
      values.set(c, openOr(c, results[i], (outs) => c.checkValues(outs as Parameters<Case["checkValues"]>[0])));
    });
    const differentiable = batch.filter((c) => c.c.grads !== null && c.wanted.length > 0);
    const grads = executor.gradients(differentiable);
    differentiable.forEach((c, i) => {
      note(c, grads[i]);
      gradients.set(c, openOr(c, grads[i], (outs) => c.checkGradients(outs as Parameters<Case["checkGradients"]>[0])));
    });
    options.progress?.(done += batch.length);
  }
  return prepared.map((c, i): Outcome => {
    const vector = cases[i] as VectorCase;
    if (c === null) {
      const verdict = failed("the operator is not in the table");
      return {
        c: vector,
        values: verdict,
        gradients: vector.grads === null ? null : verdict,
        missing: true,
        errors: [],
      };
    }
    return {
      c: vector,
      values: values.get(c) ?? PASSED,
      gradients: gradients.get(c) ?? (vector.grads === null || c.wanted.length === 0 ? null : values.get(c) ?? PASSED),
      missing: false,
      errors: errors.get(c) ?? [],
    };
  });
}

/** Sums verdicts. */
export function count(verdicts: Iterable<Verdict | null>): Counts {
  const out: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const v of verdicts) if (v !== null) out[v.kind]++;
  return out;
}

/** The object that a run ends with. */
export interface Report {
  readonly values: Counts;
  readonly gradients: Counts;
  readonly failures: readonly { readonly id: string; readonly target: string; readonly reason: string }[];
  readonly skipped: readonly { readonly id: string; readonly target: string; readonly reason: string }[];
}

/** The report of a run. */
export function reportOf(outcomes: readonly Outcome[]): Report {
  const entry = (o: Outcome, v: Verdict, what: string): Report["failures"][number] => ({
    id: o.c.id,
    target: o.c.target,
    reason: `${what}${v.reason}`,
  });
  return {
    values: count(outcomes.map((o) => o.values)),
    gradients: count(outcomes.map((o) => o.gradients)),
    failures: outcomes.flatMap((o) => [
      ...(o.values.kind === "failed" ? [entry(o, o.values, "")] : []),
      ...(o.gradients?.kind === "failed" && !o.missing ? [entry(o, o.gradients, "gradient: ")] : []),
    ]),
    skipped: outcomes.filter((o) => o.values.kind === "skipped").map((o) => entry(o, o.values, "")),
  };
}
