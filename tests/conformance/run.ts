// deno-lint-ignore-file no-console -- a program that reports to its user
/**
 * Runs operator vectors on the reference executor and compares values, shapes, dtypes, strides and gradients.
 *
 * `deno run -A tests/conformance/run.ts --vectors FOLDER [--filter REGEXP] [--failures N] [--missing] [--strides] [--stack] [--json]`
 *
 * Prints counts for each operator that has failures, then the sums. Exit code 1 if a value or gradient differs.
 */
import { parseArgs } from "node:util";
import { findOp } from "../../src/ops/mod.ts";
import { camelCase } from "../../src/graph/mod.ts";
import { dispatch, noGrad, Tensor, tensorFrom } from "../../src/tensor/mod.ts";
import { gradOf } from "../../src/autograd/mod.ts";
import { difference } from "./compare.ts";
import { decodeArg, type VectorCase, Vectors } from "./vectors.ts";

/** How one case went. */
interface Outcome {
  readonly kind: "passed" | "failed" | "missing" | "skipped";
  readonly reason: string;
  readonly strides: boolean;
  readonly gradient: "passed" | "failed" | "none";
}

/** Results whose values PyTorch leaves open. */
const OPEN_VALUES =
  /^aten\.(empty|new_empty|empty_like|empty_strided|new_empty_strided|rand|randn|randint|randperm|bernoulli|normal|uniform|multinomial|dropout|native_dropout|exponential|cauchy|log_normal|geometric|random|alpha_dropout|feature_dropout|feature_alpha_dropout|rrelu)(_like)?_?\./;

function flatten(result: unknown): Tensor[] {
  if (result instanceof Tensor) return [result];
  return Array.isArray(result) ? result.flatMap(flatten) : [];
}

function runCase(vectors: Vectors, c: VectorCase): Outcome {
  const op = findOp(c.target);
  if (op === null) return { kind: "missing", reason: "", strides: true, gradient: "none" };
  if (op.isRandom || OPEN_VALUES.test(c.target)) {
    return { kind: "skipped", reason: "random", strides: true, gradient: "none" };
  }
  const inputs = c.inputs.map((t) => vectors.tensor(t));
  const call = (): Tensor[] => {
    const args: Record<string, unknown> = {};
    c.args.forEach((arg, i) => {
      const spec = op.schema.args[i];
      if (spec === undefined) throw new TypeError(`the schema has no argument ${i}`);
      args[spec.key] = decodeArg(arg, inputs);
    });
    for (const [name, arg] of Object.entries(c.kwargs)) args[camelCase(name)] = decodeArg(arg, inputs);
    return flatten(dispatch(op, args));
  };
  const failed = (reason: string): Outcome => ({ kind: "failed", reason, strides: true, gradient: "none" });
  let outs: Tensor[];
  try {
    outs = noGrad(call);
  } catch (error) {
    if (flags.stack) console.error(error);
    return failed(error instanceof Error ? `${error.name}: ${error.message.split("\n")[0]}` : String(error));
  }
  if (outs.length !== c.outputs.length) return failed(`${outs.length} results, expected ${c.outputs.length}`);
  let strides = true;
  for (const [i, expected] of c.outputs.entries()) {
    const out = outs[i] as Tensor;
    if (out.dtype.name !== expected.dtype) {
      return failed(`result ${i} is ${out.dtype.name}, expected ${expected.dtype}`);
    }
    if (out.shape.join() !== expected.shape.join()) {
      return failed(`result ${i} has shape [${out.shape}], expected [${expected.shape}]`);
    }
    const wrong = difference(out.dtype, out.dataSync(), vectors.values(expected));
    if (wrong !== null) return failed(`result ${i}: ${wrong}`);
    if (out.numel > 0 && out.stride.some((s, d) => (out.shape[d] ?? 0) !== 1 && s !== expected.stride[d])) {
      strides = false;
    }
  }
  if (c.grads === null) return { kind: "passed", reason: "", strides, gradient: "none" };
  try {
    const wrong = checkGradients(vectors, c, inputs, call);
    return { kind: "passed", reason: wrong ?? "", strides, gradient: wrong === null ? "passed" : "failed" };
  } catch (error) {
    if (flags.stack) console.error(error);
    const reason = error instanceof Error ? `${error.name}: ${error.message.split("\n")[0]}` : String(error);
    return { kind: "passed", reason, strides, gradient: "failed" };
  }
}

function checkGradients(vectors: Vectors, c: VectorCase, inputs: Tensor[], call: () => Tensor[]): string | null {
  c.inputs.forEach((t, i) => inputs[i] = vectors.tensor(t));
  const wanted: number[] = [];
  c.grads?.forEach((g, i) => {
    if (g !== null) wanted.push(i);
  });
  const leaves = wanted.map((i) => (inputs[i] as Tensor).requiresGrad_());
  const outs = call().filter((o) => o.dtype.isFloat && o.requiresGrad);
  if (outs.length === 0) return "no result requires a gradient";
  const weights = outs.map((o) =>
    tensorFrom(o.shape.map(Number), Float64Array.from({ length: o.numel }, (_, i) => Math.sin(i + 1)), o.dtype)
  );
  const grads = gradOf(outs, leaves, { gradOutputs: weights, allowUnused: true });
  for (const [k, i] of wanted.entries()) {
    const expected = c.grads?.[i];
    if (expected === null || expected === undefined) continue;
    const g = grads[k];
    const want = vectors.values(expected);
    if (g === null || g === undefined) {
      if (want.some((v) => Number(v) !== 0)) return `no gradient for input ${i}`;
      continue;
    }
    if (g.shape.join() !== expected.shape.join()) {
      return `gradient ${i} has shape [${g.shape}], expected [${expected.shape}]`;
    }
    const wrong = difference(g.dtype, g.dataSync(), want);
    if (wrong !== null) return `gradient ${i}: ${wrong}`;
  }
  return null;
}

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    vectors: { type: "string" },
    filter: { type: "string" },
    failures: { type: "string", default: "3" },
    missing: { type: "boolean", default: false },
    strides: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    stack: { type: "boolean", default: false },
  },
});
if (flags.vectors === undefined) {
  console.error("--vectors FOLDER is needed: a folder with cases.jsonl and tensors.safetensors");
  Deno.exit(2);
}
const vectors = new Vectors(flags.vectors);
const filter = flags.filter === undefined ? null : new RegExp(flags.filter);
const byTarget = new Map<
  string,
  { passed: number; failed: number; gradients: number; badGradients: number; badStrides: number; reasons: string[] }
>();
const sums = { cases: 0, passed: 0, failed: 0, missing: 0, skipped: 0, gradients: 0, badGradients: 0, badStrides: 0 };
const missing = new Map<string, number>();
for (const c of vectors.cases) {
  if (filter !== null && !filter.test(c.target)) continue;
  const outcome = runCase(vectors, c);
  sums.cases++;
  sums[outcome.kind]++;
  if (outcome.kind === "missing") missing.set(c.target, (missing.get(c.target) ?? 0) + 1);
  let entry = byTarget.get(c.target);
  if (entry === undefined) {
    byTarget.set(c.target, entry = { passed: 0, failed: 0, gradients: 0, badGradients: 0, badStrides: 0, reasons: [] });
  }
  if (outcome.kind === "passed") entry.passed++;
  if (outcome.kind === "failed") entry.failed++;
  if (outcome.gradient !== "none") {
    entry.gradients++;
    sums.gradients++;
  }
  if (outcome.gradient === "failed") {
    entry.badGradients++;
    sums.badGradients++;
  }
  if (!outcome.strides) {
    entry.badStrides++;
    sums.badStrides++;
  }
  const note = outcome.reason !== "" && outcome.kind !== "skipped"
    ? `${c.id} ${c.inputs[0]?.dtype ?? ""}: ${outcome.reason}`
    : !outcome.strides && flags.strides
    ? `${c.id}: other strides than PyTorch`
    : null;
  if (note !== null) entry.reasons.push(note);
}
if (flags.json) {
  console.log(JSON.stringify({ sums, targets: Object.fromEntries(byTarget), missing: Object.fromEntries(missing) }));
} else {
  for (const [target, e] of [...byTarget].sort(([a], [b]) => a < b ? -1 : 1)) {
    if (e.reasons.length === 0) continue;
    console.log(
      `${target}: ${e.passed} passed, ${e.failed} failed; gradients ${e.gradients - e.badGradients} of ${e.gradients}` +
        (e.badStrides > 0 ? `; strides differ in ${e.badStrides}` : ""),
    );
    for (const reason of e.reasons.slice(0, Number(flags.failures))) console.log(`    ${reason}`);
  }
  if (flags.missing) {
    for (const [target, n] of [...missing].sort((a, b) => b[1] - a[1])) console.log(`missing: ${target} (${n})`);
  }
  console.log(
    `${sums.cases} cases: ${sums.passed} passed, ${sums.failed} failed, ${sums.missing} of ${missing.size} operators not in the table, ` +
      `${sums.skipped} skipped; gradients ${
        sums.gradients - sums.badGradients
      } of ${sums.gradients}; strides differ in ${sums.badStrides}`,
  );
}
Deno.exit(sums.failed + sums.badGradients > 0 ? 1 : 0);
