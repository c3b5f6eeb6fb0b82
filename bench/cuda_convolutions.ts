/**
 * Convolutions on CUDA: the generator's ways beside cuDNN's, where it is installed.
 *
 *     deno run -A bench/cuda_convolutions.ts [--seconds 60] [--batch 32] [FILTER]
 *
 * The shapes are ResNet-50's of float16, each with the ending that it has there, and how often it is there. Caches are cold; results of all ways are compared with each other.
 */
import { parseArgs } from "node:util";
import { float16 } from "../src/core/mod.ts";
import { choiceToText } from "../src/inductor/templates/cuda_choices.ts";
import type { ContractionKernel } from "../src/inductor/tile/tile_ir.ts";
import { cudaContext, findCudnn } from "../src/runtime/cuda/mod.ts";
import { F } from "../src/tensor/mod.ts";
import { contractionOf, fastest, measureWays, rate } from "./contraction_ways.ts";
import { print } from "./support.ts";

interface Shape {
  readonly channels: number;
  readonly size: number;
  readonly features: number;
  readonly window: number;
  readonly step: number;
  readonly ending: "relu" | "residual" | "bias";
  readonly count: number;
}

function shape(
  [channels = 1, size = 1, features = 1, window = 1, step = 1]: readonly number[],
  ending: Shape["ending"],
  count: number,
): Shape {
  return { channels, size, features, window, step, ending, count };
}

const SHAPES: readonly Shape[] = [
  shape([8, 224, 64, 7, 2], "relu", 1),
  shape([64, 56, 64, 3, 1], "relu", 3),
  shape([64, 56, 256, 1, 1], "residual", 3),
  shape([256, 56, 64, 1, 1], "relu", 2),
  shape([128, 56, 128, 3, 2], "relu", 1),
  shape([256, 56, 512, 1, 2], "bias", 1),
  shape([128, 28, 128, 3, 1], "relu", 3),
  shape([128, 28, 512, 1, 1], "residual", 4),
  shape([512, 28, 128, 1, 1], "relu", 3),
  shape([256, 28, 256, 3, 2], "relu", 1),
  shape([512, 28, 1024, 1, 2], "bias", 1),
  shape([256, 14, 256, 3, 1], "relu", 5),
  shape([256, 14, 1024, 1, 1], "residual", 6),
  shape([1024, 14, 256, 1, 1], "relu", 5),
  shape([512, 14, 512, 3, 2], "relu", 1),
  shape([1024, 14, 2048, 1, 2], "bias", 1),
  shape([512, 7, 512, 3, 1], "relu", 2),
  shape([512, 7, 2048, 1, 1], "residual", 3),
  shape([2048, 7, 512, 1, 1], "relu", 2),
];

const { values, positionals: [filter = ""] } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "600" }, batch: { type: "string", default: "32" } },
});
const batch = Number(values.batch);

function nameOf({ channels, size, features, window, step, ending, count }: Shape): string {
  return `${channels}→${features} at ${size}², ${window}×${window}${
    step > 1 ? ` / ${step}` : ""
  }, ${ending} (×${count})`;
}

function outputOf({ size, window, step }: Shape): number {
  return Math.floor((size + 2 * Math.floor(window / 2) - window) / step) + 1;
}

function kernelOf(own: Shape): ContractionKernel {
  const { channels, size, features, window, step, ending } = own;
  const last = (sizes: number[]): [number[], number[]] => {
    const [, c = 1, h = 1, w = 1] = sizes;
    return [sizes, [c * h * w, 1, w * c, c]];
  };
  return contractionOf(nameOf(own), float16, (input) => {
    const [x, w] = [
      input("x", ...last([batch, channels, size, size])),
      input("w", ...last([features, channels, window, window])),
    ];
    const pad = Math.floor(window / 2);
    const sum = F.conv2d(x, w, input("bias", [features]), [step, step], [pad, pad]);
    const to = outputOf(own);
    const ended = ending === "bias"
      ? sum
      : ending === "relu"
      ? F.relu(sum)
      : F.relu(F.add(sum, input("z", ...last([batch, features, to, to]))));
    // What follows reads channels innermost; what the graph gives its caller would have them outermost.
    return F.permute(ended, [0, 2, 3, 1]).contiguous();
  });
}

const begin = performance.now();
const context = cudaContext(0);
const library = findCudnn();
print(`${context.info.name}; cuDNN ${library.ok ? `${library.value.version} ${library.value.path}` : "is not there"}`);
if (!library.ok) { for (const line of library.problem.tried) print(`  ${line}`); }
const sums = { model: 0, generated: 0, library: 0, best: 0 };
const notes: string[] = [];
print(`${"".padEnd(46)} ${"cost model".padStart(20)} ${"generated".padStart(20)} ${"cuDNN".padStart(20)} ratio`);
const wanted = SHAPES.filter((s) => nameOf(s).includes(filter));
/** A few are compiled together. */
const TOGETHER = 5;
for (let at = 0; at < wanted.length; at += TOGETHER) {
  if (performance.now() - begin > 1000 * Number(values.seconds)) {
    print(`${wanted.length - at} shapes are left`);
    break;
  }
  const some = wanted.slice(at, at + TOGETHER);
  const measured = measureWays(context, some.map(kernelOf), { cublaslt: 0, cudnn: library.ok ? 3 : 0 }, 4);
  some.forEach((own, i) => {
    const ways = measured[i] ?? [];
    const { channels, features, window, count } = own;
    const flops = 2 * batch * channels * features * window ** 2 * outputOf(own) ** 2;
    const generated = fastest(ways, (w) => w.choice.template !== "cudnn");
    const theirs = fastest(ways, (w) => w.choice.template === "cudnn");
    const [own1, best] = [generated?.ms ?? 0, Math.min(generated?.ms ?? Infinity, theirs?.ms ?? Infinity)];
    sums.model += count * (ways[0]?.ms ?? own1);
    sums.generated += count * own1;
    sums.library += count * (theirs?.ms ?? own1);
    sums.best += count * best;
    const ratio = generated === undefined || theirs === undefined ? "" : ((theirs.ms ?? 0) / own1).toFixed(2);
    const which = [generated, theirs].map((w) => w === undefined ? "" : choiceToText(w.choice)).join(" | ");
    print(
      `${nameOf(own).padEnd(46)} ${rate(ways[0], flops)} ${rate(generated, flops)} ${
        rate(theirs, flops)
      } ${ratio}  ${which}`,
    );
    for (const { choice, error } of ways) {
      if (error !== null) notes.push(`${nameOf(own)}, ${choiceToText(choice)}: ${error}`);
    }
  });
}
for (const note of notes) print(note);
print(
  `all of ResNet-50's, ms: cost model ${sums.model.toFixed(3)}, generated ${sums.generated.toFixed(3)}, ` +
    `cuDNN ${sums.library.toFixed(3)}, the faster of both ${sums.best.toFixed(3)}`,
);
