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
import { bfloat16, type DType, float16, float32, float8_e4m3fn, int8 } from "../src/core/mod.ts";
import type { Measured } from "../src/inductor/autotune/candidates.ts";
import { choiceToText } from "../src/inductor/templates/cuda_choices.ts";
import type { ContractionKernel } from "../src/inductor/tile/tile_ir.ts";
import { cudaContext, findCublasLt } from "../src/runtime/cuda/mod.ts";
import { F, type Tensor } from "../src/tensor/mod.ts";
import { contractionOf, fastest, measureWays, rate } from "./contraction_ways.ts";

type Ending = "" | "bias" | "relu" | "gelu" | "residual";
type Layout = "nt" | "nn" | "tn";

interface Shape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype: DType;
  readonly layout: Layout;
  readonly ending: Ending;
}

function shape(sizes: readonly number[], dtype: DType = float16, ending: Ending = "", layout: Layout = "nt"): Shape {
  const [m = 1, n = 1, k = 1, batch = 1] = sizes;
  return { batch, m, n, k, dtype, layout, ending };
}

/** Squares, then what the models of the list multiply, then sizes that fill rounds badly. */
const SHAPES: readonly Shape[] = [
  shape([4096, 4096, 4096], bfloat16),
  shape([8192, 8192, 8192], bfloat16),
  shape([4096, 4096, 4096], bfloat16, "", "nn"),
  shape([4096, 4096, 4096], float32),
  shape([4096, 4096, 4096], float32, "", "nn"),
  shape([6784, 1024, 4096], bfloat16),
  shape([1408, 2048, 8192], bfloat16),
  shape([2048, 3072, 768], float32, "gelu"),
  shape([4096, 4096, 4096], int8),
  shape([8192, 8192, 8192], int8),
  shape([4096, 4096, 4096], float8_e4m3fn),
  shape([8192, 8192, 8192], float8_e4m3fn),
  shape([2048, 3072, 768], float8_e4m3fn, "bias"),
  shape([1000, 1000, 1000]),
  shape([3000, 3000, 1000]),
  shape([2048, 768, 768], float16, "bias"),
  shape([2048, 768, 3072], float16, "residual"),
  shape([2048, 3072, 768], float16, "gelu"),
  shape([2048, 2304, 768], float16, "bias"),
  shape([6304, 768, 768], float16, "residual"),
  shape([6304, 3072, 768], float16, "gelu"),
  shape([6304, 768, 3072], float16, "residual"),
  shape([4616, 768, 768], float16, "bias"),
  shape([4616, 3072, 768], float16, "gelu"),
  shape([25088, 3072, 768], float16, "gelu"),
  shape([25088, 768, 3072], float16, "bias"),
  shape([2048, 6144, 1536], float16, "gelu"),
  shape([2048, 1536, 6144], float16, "bias"),
  shape([2048, 1024, 1024], float16, "bias"),
  shape([2048, 1024, 4096], float16, "bias"),
  shape([2048, 4096, 1024], float16, "gelu"),
  shape([100352, 256, 64], float16, "relu"),
  shape([100352, 64, 256], float16, "relu"),
  shape([25088, 2048, 512], float16, "relu"),
  shape([25088, 512, 1024], float16, "relu"),
  shape([6272, 1024, 256], float16, "relu"),
  shape([1568, 512, 2048], float16, "relu"),
  shape([1568, 2048, 512], float16, "relu"),
  shape([392, 256, 256], float16, "bias"),
  shape([800, 256, 256], float16, "bias"),
  shape([1568, 3072, 768], float16, "gelu"),
  shape([1568, 768, 3072], float16, "bias"),
  shape([32, 1000, 2048], float16, "bias"),
  shape([64, 4096, 4096], float16, "bias"),
  shape([16, 4096, 11008], float16, "bias"),
  shape([256, 256, 64, 192]),
  shape([256, 64, 256, 192], float16, "", "nn"),
  shape([784, 48, 48, 512]),
  shape([2560, 2560, 2560], bfloat16),
  shape([1280, 5120, 1280], bfloat16, "bias"),
  shape([3072, 4608, 2304], bfloat16),
  shape([768, 3072, 25088], bfloat16, "", "tn"),
  shape([768, 768, 6304], bfloat16, "", "tn"),
  shape([2304, 768, 4096], bfloat16, "", "tn"),
  shape([2048, 50257, 768], float16),
];

function nameOf({ batch, m, n, k, dtype, layout, ending }: Shape): string {
  return `${batch === 1 ? "" : `${batch} × `}${m}×${n}×${k} ${dtype.short} ${layout} ${ending}`.trim();
}

function kernelOf({ batch, m, n, k, dtype, layout, ending }: Shape): ContractionKernel {
  const b = batch > 1 ? [batch] : [];
  return contractionOf(`${m} × ${n} × ${k}`, dtype, (input) => {
    const x = input("x", [...b, ...(layout === "tn" ? [k, m] : [m, k])]);
    const w = input("w", [...b, ...(layout === "nt" ? [n, k] : [k, n])]);
    if (dtype === int8) return F._intMm(x, F.transpose(w, -2, -1));
    if (dtype === float8_e4m3fn) {
      const [scaleA, scaleB] = ["scaleA", "scaleB"].map((s) => input(s, [], [], float32)) as [Tensor, Tensor];
      const bias = ending === "bias" ? input("bias", [n], [1], bfloat16) : null;
      return F._scaledMm(x, F.transpose(w, -2, -1), scaleA, scaleB, { bias, outDtype: bfloat16 });
    }
    const sum = F.matmul(layout === "tn" ? F.transpose(x, -2, -1) : x, layout === "nt" ? F.transpose(w, -2, -1) : w);
    if (ending === "") return sum;
    const biased = F.add(sum, input("bias", [n]));
    if (ending === "bias") return biased;
    if (ending === "relu") return F.relu(biased);
    return ending === "gelu" ? F.gelu(biased) : F.add(biased, input("residual", [...b, m, n]));
  });
}

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
