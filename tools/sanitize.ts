// deno-lint-ignore-file no-console -- a program that reports to its user
/**
 * Checks the CUDA kernels of operator vectors without a GPU: memory, alignment, races, dependence on the order of threads.
 *
 * `deno run -A tools/sanitize.ts [--vectors DIR] [--target GLOB] [--batch N] [--orders 0,1,7]`
 *
 * Kernels run on the emulated device, watched (`tests/runtime/cuda/emulator/watch.cpp`). Prints each finding with its kernel and line, and ends with one line.
 * Exit code 0 if nothing was found, 1 otherwise, 2 for bad usage. On a machine with a GPU, `tools/gpu.sh memcheck racecheck` asks compute-sanitizer.
 */
import { parseArgs } from "node:util";
import { watchCases } from "../tests/conformance/watched.ts";
import { Vectors } from "../tests/conformance/vectors.ts";
import { emulateCuda } from "../tests/runtime/cuda/emulator/mod.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    vectors: { type: "string", default: new URL("../tests/conformance/sample", import.meta.url).pathname },
    target: { type: "string", default: "*" },
    batch: { type: "string", default: "48" },
    orders: { type: "string", default: "0,1,7" },
  },
});
const orders = values.orders.split(",").map(Number);
if (!orders.every((o) => Number.isInteger(o) && o >= 0) || !(Number(values.batch) >= 1)) {
  console.error("sanitize: --orders takes numbers from 0 on, by commas; --batch a number from 1 on");
  Deno.exit(2);
}
const problem = emulateCuda({ watched: true });
if (problem !== null) {
  console.error(`sanitize: ${problem}`);
  Deno.exit(1);
}
const source = new Vectors(values.vectors);
const glob = new RegExp(`^${values.target.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*")}$`);
const start = performance.now();
const report = watchCases(source.cases.filter((c) => glob.test(c.target)), source, {
  orders,
  batch: Number(values.batch),
  progress: (done, found) => console.error(`${done} cases, ${found} findings`),
});
for (const { kernel, kind, text, line, targets } of report.findings) {
  console.log(
    `${kernel}: ${kind}: ${text}${line === "" ? "" : ` at ${line}`}; among ${targets.slice(0, 6).join(", ")}`,
  );
}
for (const name of report.unstable) console.log(`${name}: results depend on the order of threads or on fresh memory`);
const seconds = ((performance.now() - start) / 1000).toFixed(0);
console.log(
  `${report.cases} cases, ${report.runs} runs in ${orders.length} orders: ${report.findings.length} findings, ` +
    `${report.unstable.length} results that depend on the order, ${seconds} s`,
);
Deno.exit(report.findings.length + report.unstable.length === 0 ? 0 : 1);
