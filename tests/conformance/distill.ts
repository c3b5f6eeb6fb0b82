// deno-lint-ignore-file no-console -- a program that reports to its user
/**
 * Distils a folder of vectors into the sample that stays with the project: `deno run -A tests/conformance/distill.ts --vectors DIR`.
 *
 * Takes for each operator of the table its smallest float32 case with gradients, its smallest strided or broadcasting case, and its smallest
 * case of another dtype; cases that the reference executor or compiled JavaScript does not pass, or whose values PyTorch leaves open, stay out. Writes `sample/`.
 */
import { parseArgs } from "node:util";
import "../../mod.ts";
import { dtypeFromName } from "../../src/core/mod.ts";
import { type Executor, inductorExecutor, referenceExecutor } from "./execute.ts";
import { runCases } from "./report.ts";
import { type VectorCase, Vectors, type VectorTensor } from "./vectors.ts";

/** Cases with more bytes of tensors than this are taken only if an operator has no smaller one. */
const SMALL = 1600;

const { values } = parseArgs({ args: Deno.args, options: { vectors: { type: "string" } } });
if (values.vectors === undefined) {
  console.error("distill: --vectors DIR is needed");
  Deno.exit(2);
}
const vectors = new Vectors(values.vectors);

function tensorsOf(c: VectorCase): VectorTensor[] {
  return [...c.inputs, ...c.outputs, ...(c.grads ?? []).filter((g) => g !== null)];
}

function bytesOf(c: VectorCase): number {
  return tensorsOf(c).reduce((n, t) => n + dtypeFromName(t.dtype).bytes * t.shape.reduce((a, b) => a * b, 1), 0);
}

function isStrided(t: VectorTensor): boolean {
  let expected = 1;
  for (let d = t.shape.length - 1; d >= 0; d--) {
    const size = t.shape[d] ?? 1;
    if (size !== 1 && t.stride[d] !== expected) return true;
    expected *= size;
  }
  return false;
}

const isFloat32 = (c: VectorCase): boolean => c.outputs[0]?.dtype === "float32";
const isEmpty = (c: VectorCase): boolean => c.outputs.every((o) => o.shape.includes(0));

/** Ill-conditioned cases differ between executors by rounding, so both must pass. */
function passingOn(executor: Executor, cases: readonly VectorCase[]): VectorCase[] {
  return runCases(cases, vectors, executor, { batch: 64 })
    .filter((o) => o.values.kind === "passed" && (o.gradients === null || o.gradients.kind === "passed"))
    .map((o) => o.c);
}

const passing = passingOn(
  inductorExecutor({ tier: "js", dynamic: false }),
  passingOn(referenceExecutor, vectors.cases),
);
const chosen = new Set<VectorCase>();
for (const list of Map.groupBy(passing, (c) => c.target).values()) {
  const sorted = list.filter((c) => !isEmpty(c)).sort((a, b) => bytesOf(a) - bytesOf(b) || (a.id < b.id ? -1 : 1));
  const pick = (test: (c: VectorCase) => boolean, limit: number): void => {
    const found = sorted.find((c) =>
      !chosen.has(c) && test(c) && bytesOf(c) <= limit && JSON.stringify(c).length < 4000
    );
    if (found !== undefined) chosen.add(found);
  };
  const before = chosen.size;
  pick((c) => c.grads !== null && isFloat32(c) && bytesOf(c) > 40, SMALL);
  pick((c) => c.inputs.some(isStrided), SMALL);
  pick((c) => !isFloat32(c), SMALL / 2);
  if (chosen.size === before) pick(() => true, Infinity);
  if (chosen.size === before && list[0] !== undefined) chosen.add(list[0]);
}

const header: Record<string, unknown> = {};
const chunks: Uint8Array[] = [];
let at = 0;
for (const c of chosen) {
  for (const t of tensorsOf(c)) {
    if (t.data in header) continue;
    const { entry, bytes } = vectors.rawEntry(t);
    header[t.data] = { ...entry, data_offsets: [at, at + bytes.length] };
    chunks.push(bytes);
    at += bytes.length;
  }
}
const text = JSON.stringify(header);
const head = new TextEncoder().encode(text + " ".repeat((8 - new TextEncoder().encode(text).length % 8) % 8));
const out = new Uint8Array(8 + head.length + at);
new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
out.set(head, 8);
let position = 8 + head.length;
for (const chunk of chunks) {
  out.set(chunk, position);
  position += chunk.length;
}
const folder = new URL("./sample/", import.meta.url);
Deno.mkdirSync(folder, { recursive: true });
Deno.writeTextFileSync(
  new URL("cases.jsonl", folder),
  [...chosen].map((c) => JSON.stringify(c)).join("\n") + "\n",
);
Deno.writeFileSync(new URL("tensors.safetensors", folder), out);
console.log(
  `${chosen.size} cases of ${new Set([...chosen].map((c) => c.target)).size} operators, ` +
    `${
      chosen.values().toArray().filter((c) => c.grads !== null).length
    } with gradients, ${out.length} bytes of tensors`,
);
