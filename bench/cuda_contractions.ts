// deno-lint-ignore-file no-console
/**
 * Matrix products on CUDA, every way that max-autotune knows: tiles of the generator, cuBLASLt, epilogues apart. For people a table, for the cost model a file.
 *
 *     deno run -A bench/cuda_contractions.ts [--seconds 60] [--out ways.jsonl] [PATTERN]
 *
 * Needs a GPU and nvrtc. Caches are cold; results of all ways are compared with each other. The first columns say what the cost model would take, the fastest generated way and
 * the fastest of cuBLASLt.
 */
import { parseArgs } from "node:util";
import type { Measured } from "../src/inductor/autotune/candidates.ts";
import { choiceToText } from "../src/inductor/templates/cuda_choices.ts";
import { cudaContext, findCublasLt } from "../src/runtime/cuda/mod.ts";
import { kernelOf, nameOf, type Shape, SHAPES } from "./contraction_shapes.ts";
import { fastest, measureWays, rate } from "./contraction_ways.ts";

const { values, positionals: [filter = ""] } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "600" }, out: { type: "string" } },
});
const begin = performance.now();
const context = cudaContext(0);
const { attributes, name: device } = context.info;
const library = findCublasLt();
console.log(`${device}; cuBLASLt ${library.ok ? `${library.value.version} ${library.value.path}` : "is not there"}`);

interface Row {
  readonly shape: Record<keyof Shape, unknown>;
  readonly ways: readonly Pick<Measured, "choice" | "ms">[];
}
const rows: Row[] = [];
const table: string[] = [];
/** A few shapes are compiled together. */
const TOGETHER = 4;
const wanted = SHAPES.filter((s) => new RegExp(filter).test(nameOf(s)));
for (let at = 0; at < wanted.length; at += TOGETHER) {
  if (performance.now() - begin > 1000 * Number(values.seconds)) {
    table.push(`${wanted.length - at} shapes are left`);
    break;
  }
  const some = wanted.slice(at, at + TOGETHER);
  const measured = measureWays(context, some.map(kernelOf), { cublaslt: library.ok ? 3 : 0 });
  for (const [i, own] of some.entries()) {
    const ways = measured[i] ?? [];
    const kept = ways.filter(({ ms }) => ms !== null).map(({ choice, ms }) => ({ choice, ms }));
    rows.push({ shape: { ...own, dtype: own.dtype.name }, ways: kept });
    const flops = 2 * own.batch * own.m * own.n * own.k;
    const generated = fastest(ways, (w) => w.choice.template !== "cublaslt");
    const theirs = fastest(ways, (w) => w.choice.template === "cublaslt");
    table.push(
      `${nameOf(own).padEnd(34)} ${rate(ways[0], flops)} ${rate(generated, flops)} ${rate(theirs, flops)} ${
        generated === undefined || theirs === undefined ? "" : ((theirs.ms ?? 0) / (generated.ms ?? 1)).toFixed(2)
      }  ${generated === undefined ? "" : choiceToText(generated.choice)}`,
    );
    for (const { choice, error } of ways) if (error !== null) table.push(`    ${choiceToText(choice)}: ${error}`);
  }
  if (values.out !== undefined) {
    const head = { device, multiprocessors: attributes.multiprocessors };
    Deno.writeTextFileSync(values.out, [head, ...rows].map((line) => JSON.stringify(line)).join("\n") + "\n");
  }
}
console.log(
  `${"".padEnd(34)} ${"cost model".padStart(20)} ${"generated".padStart(20)} ${"cuBLASLt".padStart(20)} ratio`,
);
for (const line of table) console.log(line);
