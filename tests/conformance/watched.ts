/**
 * Runs cases on the emulated device while every access of its kernels is watched, in several orders of threads and blocks, and compares the results bit for bit.
 *
 * Found are accesses outside of a launch's tensors, reads of shared memory that nobody wrote, misaligned vectors, races in shared memory, and results that depend
 * on the order of threads or on what fresh memory holds (another byte in each order). What compute-sanitizer says on a device, said without one; the device's own
 * word is `tools/gpu.sh memcheck racecheck`. Call `emulateCuda({ watched: true })` before.
 */
import { type Tensor, withConfig } from "../../mod.ts";
import { watcher } from "../runtime/cuda/emulator/mod.ts";
import type { Finding } from "../runtime/cuda/emulator/watcher.ts";
import { Case } from "./case.ts";
import { type CaseResult, inductorExecutor } from "./execute.ts";
import type { VectorCase, Vectors } from "./vectors.ts";

/** What the cases of one batch did. */
export interface WatchedFinding extends Finding {
  /** The operators among which the kernel is. */
  readonly targets: readonly string[];
}

/** What came out. */
export interface WatchReport {
  readonly cases: number;
  /** Runs of a case or of its gradients, in all orders. */
  readonly runs: number;
  readonly findings: readonly WatchedFinding[];
  /** Cases whose results differ between orders. */
  readonly unstable: readonly string[];
}

/** Options of {@linkcode watchCases}. */
export interface WatchOptions {
  /** Orders of threads and blocks: 0 as they are numbered, 1 backwards, others mixed. */
  readonly orders: readonly number[];
  /** Cases a compilation. */
  readonly batch: number;
  readonly progress?: (done: number, findings: number) => void;
}

/** What new memory holds in each order: large numbers, NaN as halves and as floats, small ones. */
const FILLS = [0xcd, 0xff, 0x11];

/**
 * Runs all cases in all orders: scatters by atomics, in the order of numbering alone, whose sums depend on timing by design; then everything deterministic.
 * Cases that cannot run are left to the conformance suite.
 */
export function watchCases(cases: readonly VectorCase[], source: Vectors, options: WatchOptions): WatchReport {
  const executor = inductorExecutor({ tier: "cuda", dynamic: false });
  // What draws random numbers has other ones each time.
  const all = cases.map((c) => Case.of(c, source)).filter((c): c is Case =>
    c !== null && !/dropout|random/.test(c.open ?? "")
  );
  const findings: WatchedFinding[] = [];
  const unstable = new Set<string>();
  let runs = 0;
  const batches: Case[][] = all.filter((c) => c.op.isDataDependent).map((c) => [c]);
  const together = all.filter((c) => !c.op.isDataDependent);
  for (let i = 0; i < together.length; i += options.batch) batches.push(together.slice(i, i + options.batch));
  const w = watcher();
  let done = 0;
  for (const batch of batches) {
    const withGradients = batch.filter((c) => c.wanted.length > 0);
    const seen = new Map<string, string>();
    for (const [turn, order] of [options.orders[0] ?? 0, ...options.orders].entries()) {
      using _ = withConfig({ deterministic: turn > 0 });
      w.order(order);
      w.fill(FILLS[turn % FILLS.length] ?? 0);
      const note = (list: readonly Case[], results: readonly CaseResult[], what: string): void => {
        results.forEach((result, i) => {
          const c = list[i];
          if (c === undefined || !result.ok) return;
          runs++;
          const key = `${c.c.id} (${c.c.target})${what}`;
          const bits = result.outs.map(bitsOf).join("|");
          if (turn === 0) return;
          if (seen.has(key) && seen.get(key) !== bits) unstable.add(key);
          seen.set(key, bits);
        });
      };
      note(batch, executor.values(batch), "");
      if (withGradients.length > 0) note(withGradients, executor.gradients(withGradients), ", gradients");
      const targets = [...new Set(batch.map((c) => c.c.target))];
      for (const f of w.findings()) findings.push({ ...f, targets });
    }
    done += batch.length;
    options.progress?.(done, findings.length);
  }
  w.order(0);
  return { cases: all.length, runs, findings, unstable: [...unstable] };
}

/** A hash of a tensor's elements, NaN of any kind as one. */
function bitsOf(t: Tensor | null): string {
  if (t === null) return "-";
  let hash = 0x811c9dc5;
  for (const v of t.cpu().dataSync() as ArrayLike<number | bigint> & Iterable<number | bigint>) {
    const text = Object.is(v, -0) ? "-0" : String(v);
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ 32, 0x01000193);
  }
  return `${t.shape}:${hash >>> 0}`;
}
