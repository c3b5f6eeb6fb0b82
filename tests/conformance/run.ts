// deno-lint-ignore-file no-console -- a program that reports to its user
/**
 * `deno task conformance`: runs a folder of operator vectors on a device and backend, and compares with PyTorch's results.
 *
 * `--vectors DIR --device cpu|cuda|webgpu --backend reference|inductor [--tier js|cpp] [--dynamic] [--target GLOB] [--jobs N] [--missing] [--stack] [--known] [--record] [--json]`
 *
 * `--jobs N` shares the cases over N processes: what compiling takes is then divided by the cores. Prints counts for each operator that has failures, then the sums; with `--json` the last line is one JSON object. Exit code 0 if all agree, 1 if some
 * differ, 2 for bad usage. With `--known` what figures.json records (docs/operators.md has the reasons) may differ.
 */
import { parseArgs } from "node:util";
import "../../mod.ts";
import { type DeviceType } from "../../src/core/mod.ts";
import { diagnoseCuda } from "../../src/runtime/cuda/mod.ts";
import { type Executor, inductorExecutor, referenceExecutor } from "./execute.ts";
import { runJobs, work } from "./jobs.ts";
import { type Outcome, reportOf, runCases } from "./report.ts";
import { Vectors } from "./vectors.ts";

const USAGE =
  "usage: deno task conformance --vectors DIR [--device cpu|cuda|webgpu] [--backend reference|inductor] [--tier js|cpp] [--dynamic] [--target GLOB] [--batch N] [--jobs N] [--missing] [--stack] [--known] [--json]";

function usage(message: string): never {
  console.error(`conformance: ${message}\n${USAGE}`);
  Deno.exit(2);
}

/** `*` stands for any text, `?` for one character. */
function globToRegExp(glob: string): RegExp {
  const text = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
  return new RegExp(`^${text}$`);
}

function readFlags(): {
  vectors: string;
  executor: Executor;
  target: RegExp | null;
  batch: number;
  jobs: number;
  worker: boolean;
  json: boolean;
  record: boolean;
  known: boolean;
  missing: boolean;
  stack: boolean;
} {
  let values;
  try {
    ({ values } = parseArgs({
      args: Deno.args,
      options: {
        vectors: { type: "string" },
        device: { type: "string", default: "cpu" },
        backend: { type: "string", default: "inductor" },
        tier: { type: "string", default: "cpp" },
        dynamic: { type: "boolean", default: false },
        target: { type: "string" },
        batch: { type: "string", default: "24" },
        jobs: { type: "string", default: "1" },
        worker: { type: "boolean", default: false },
        missing: { type: "boolean", default: false },
        stack: { type: "boolean", default: false },
        record: { type: "boolean", default: false },
        known: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    usage(error instanceof Error ? error.message : String(error));
  }
  const { vectors, device, backend, tier, dynamic, target, batch, jobs } = values;
  if (vectors === undefined) usage("--vectors DIR is needed: a folder with cases.jsonl and tensors.safetensors");
  const known: readonly DeviceType[] = ["cpu", "cuda", "webgpu"];
  if (!known.includes(device as DeviceType)) usage(`--device ${device} is not one of ${known.join(", ")}`);
  if (device === "webgpu") {
    console.error(`conformance: no backend runs operators on ${device} yet; use --device cpu or cuda`);
    Deno.exit(1);
  }
  if (device === "cuda") {
    const { problems, usable } = diagnoseCuda();
    if (!usable) {
      for (const { problem, remedy } of problems) console.error(`conformance: ${problem} ${remedy}`);
      Deno.exit(1);
    }
  }
  if (tier !== "js" && tier !== "cpp") usage(`--tier ${tier} is not js or cpp`);
  if (backend !== "reference" && backend !== "inductor") usage(`--backend ${backend} is not reference or inductor`);
  if (!/^[1-9]\d*$/.test(batch)) usage(`--batch ${batch} is not a positive number`);
  if (!/^[1-9]\d*$/.test(jobs)) usage(`--jobs ${jobs} is not a positive number`);
  return {
    vectors,
    executor: backend === "reference"
      ? referenceExecutor
      : inductorExecutor({ tier: device === "cuda" ? "cuda" : tier, dynamic }),
    target: target === undefined ? null : globToRegExp(target),
    batch: Number(batch),
    jobs: Number(jobs),
    worker: values.worker,
    json: values.json,
    record: values.record,
    known: values.known,
    missing: values.missing,
    stack: values.stack,
  };
}

function printTargets(outcomes: readonly Outcome[], stack: boolean): void {
  const byTarget = Map.groupBy(outcomes.filter((o) => !o.missing), (o) => o.c.target);
  for (const [target, list] of [...byTarget].sort(([a], [b]) => a < b ? -1 : 1)) {
    const { values, gradients, failures } = reportOf(list);
    if (failures.length === 0) continue;
    console.log(
      `${target}: ${values.passed} passed, ${values.failed} failed, ${values.skipped} skipped; ` +
        `gradients ${gradients.passed} passed, ${gradients.failed} failed`,
    );
    for (const { id, reason } of failures.slice(0, 5)) console.log(`    ${id}: ${reason}`);
    if (stack) { for (const error of list.flatMap((o) => o.errors)) console.log(error); }
  }
}

const flags = readFlags();
const vectors = new Vectors(flags.vectors);
const chosen = vectors.cases.filter((c) => flags.target === null || flags.target.test(c.target));
if (flags.worker) {
  await work(chosen, vectors, flags.executor);
  Deno.exit(0);
}
const start = performance.now();
const options = {
  batch: flags.batch,
  ...(Deno.stderr.isTerminal()
    ? { progress: (done: number) => Deno.stderr.writeSync(new TextEncoder().encode(`\r${done} of ${chosen.length} `)) }
    : {}),
};
const outcomes = flags.jobs > 1
  ? await runJobs(chosen, { ...options, jobs: flags.jobs })
  : runCases(chosen, vectors, flags.executor, options);
const seconds = (performance.now() - start) / 1000;
const report = reportOf(outcomes);
printTargets(outcomes, flags.stack);
const missing = Map.groupBy(outcomes.filter((o) => o.missing), (o) => o.c.target);
if (flags.missing) {
  for (const [target, list] of [...missing].sort((a, b) => b[1].length - a[1].length)) {
    console.log(`missing: ${target} (${list.length})`);
  }
}
const skips = Map.groupBy(report.skipped, (s) => s.reason);
for (const [reason, list] of skips) console.log(`skipped ${list.length}: ${reason}`);
const sum = ({ passed, failed, skipped }: typeof report.values): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`;
console.log(
  `${flags.executor.name}: ${chosen.length} cases of ${new Set(chosen.map((c) => c.target)).size} operators ` +
    `(${missing.size} operators not in the table) in ${seconds.toFixed(1)} s: values ${sum(report.values)}; gradients ${
      sum(report.gradients)
    }`,
);
/** What docs/operators.md states, by executor; see tools/operators_doc.ts. */
const path = new URL("./figures.json", import.meta.url);
function recordedFigures(): Record<string, { readonly failures: readonly { readonly id: string }[] }> {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}
const known = new Set(flags.known ? recordedFigures()[flags.executor.name]?.failures.map((f) => f.id) : []);
const unknown = report.failures.filter((f) => !known.has(f.id));
if (flags.known) console.log(`${unknown.length} failures beside the ${known.size} recorded ones`);
if (flags.record) {
  const old = recordedFigures();
  const { values, gradients, failures } = report;
  const entries = Object.entries({ ...old, [flags.executor.name]: { values, gradients, failures } });
  Deno.writeTextFileSync(
    path,
    JSON.stringify(Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1)), null, 1) + "\n",
  );
}
if (flags.json) {
  const { values, gradients, failures, skipped } = report;
  console.log(JSON.stringify({ values, gradients, failures, skipped }));
}
Deno.exit(unknown.length > 0 ? 1 : 0);
