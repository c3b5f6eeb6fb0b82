/**
 * `deno task demo`: trains a small convolutional network on 8,000 real handwritten digits, tests it on 2,000 others, and shows what compiling
 * is worth.
 *
 * The training step (forward, backward, update) is one compiled function. It starts at once on JavaScript kernels and goes on in
 * C++ when the compiler is done; without a C++ compiler it stays in JavaScript.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import Table from "cli-table3";
import { compile, data, device, noGrad, type Tensor, zeros } from "../../mod.ts";
import { formatBytes } from "../../src/runtime/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/mod.ts";
import { drawMistakes, type Mistake } from "./draw.ts";
import {
  countStep,
  eagerStep,
  type Figures,
  measureCpp,
  measureDevice,
  measureJavaScript,
  type Measurement,
  measureStep,
} from "./measure.ts";
import type { DigitNet } from "./network.ts";
import { print } from "./progress.ts";
import { train } from "./train.ts";

interface Options {
  readonly device: string;
  readonly backend: string;
  /** Null: four, or fewer on a slow machine. */
  readonly epochs: number | null;
  readonly seed: number;
  readonly batch: number;
  readonly train: number;
  readonly json: boolean;
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("Give a whole number from 1.");
  return value;
}

function readOptions(): Options {
  return new Command("demo")
    .description("Train a small convolutional network on handwritten digits, compiled.")
    .option("--device <device>", "where tensors live", "cpu")
    .addOption(
      new Option("--backend <backend>", "who runs the training step")
        .choices(["inductor", "eager", "aot_eager", "none"]).default("inductor"),
    )
    .option("--epochs <n>", "how often each image is seen (default: 4, fewer on a slow machine)", whole, null)
    .option("--seed <n>", "decides weights, order and which images are held out", Number, 0)
    .option("--batch <n>", "images a step", whole, 64)
    .option("--train <n>", "images to train on, at most 8000", whole, 8000)
    .option("--json", "print one JSON object at the end", false)
    .addHelpText(
      "after",
      "\nExamples:\n  deno task demo\n  deno task demo --epochs 8 --batch 128\n  CXX=false deno task demo",
    )
    .exitOverride((error) => Deno.exit(error.exitCode === 0 ? 0 : 2))
    .parse()
    .opts<Options>();
}

/** Share of right answers, and the images that were taken for another digit. */
function test(
  model: DigitNet,
  set: data.DigitSet,
  { backend, device }: Pick<Options, "backend" | "device">,
): { accuracy: number; mistakes: Mistake[] } {
  model.eval();
  const predict = (x: Tensor): Tensor => noGrad(() => model.forward(x).argmax(1));
  const run = backend === "none" ? predict : compile(predict, { backend });
  const mistakes: Mistake[] = [];
  let right = 0;
  let seen = 0;
  const loader = new data.DataLoader(new data.TensorDataset(set.images, set.labels), {
    batchSize: 250,
    dropLast: true,
  });
  for (const [images, labels] of loader) {
    if (images === undefined || labels === undefined) continue;
    const guesses = run(images.to(device)).dataSync();
    const truth = labels.dataSync();
    const pixels = images.dataSync();
    for (let i = 0; i < truth.length; i++) {
      seen++;
      if (guesses[i] === truth[i]) right++;
      else if (mistakes.length < 4) {
        const size = data.DIGIT_SIZE ** 2;
        mistakes.push({
          pixels: Array.from({ length: size }, (_, p) => Number(pixels[i * size + p])),
          label: Number(truth[i]),
          guess: Number(guesses[i]),
        });
      }
    }
  }
  return { accuracy: right / seen, mistakes };
}

function rate(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** The table of all ways to run. */
function tableText(rows: readonly (readonly [string, Measurement, Figures | null])[]): string {
  const slowest = rows[0]?.[1].imagesPerSecond ?? 1;
  const table = new Table({
    head: ["training step", "images/s", "× eager", "first call", "kernels", "memory moved"],
    colAligns: ["left", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const [name, m, figures] of rows) {
    table.push([
      name,
      rate(m.imagesPerSecond),
      (m.imagesPerSecond / slowest).toFixed(1),
      `${m.firstCallMs.toFixed(0)} ms`,
      figures?.kernels ?? "",
      figures === null ? "" : formatBytes(figures.bytes),
    ]);
  }
  return table.toString();
}

const options = readOptions();
const began = performance.now();
try {
  const where = device(options.device);
  if (where.type === "webgpu" || where.type === "meta") {
    throw new RangeError(`--device ${options.device}: the demo runs on cpu and cuda`);
  }
  // Without a working device this says at once what is missing.
  if (where.type === "cuda") zeros([1], { device: where });
  const toolchain = findToolchain();
  if (!toolchain.ok) print(`No C++ tier: ${toolchain.problem} ${toolchain.remedy} The demo goes on in JavaScript.`);
  const digits = await data.loadDigits({ seed: options.seed });
  const set: data.DigitSet = {
    images: digits.train.images.narrow(0, 0, Math.min(options.train, 8000)),
    labels: digits.train.labels.narrow(0, 0, Math.min(options.train, 8000)),
  };
  print(
    `${set.images.shape[0]} digits to train on, ${digits.test.images.shape[0]} held out; batch ${options.batch}`,
  );

  const trained = await train(options, set);
  const { accuracy, mistakes } = test(trained.model, digits.test, options);
  print(`trained ${trained.epochs} epochs in ${trained.seconds.toFixed(1)} s`);
  print(`accuracy on the held-out digits: ${(100 * accuracy).toFixed(2)} %`);
  if (mistakes.length > 0) print(`\n${drawMistakes(mistakes)}\n`);

  const images = set.images.narrow(0, 0, options.batch).clone().to(where);
  const labels = set.labels.narrow(0, 0, options.batch).clone().to(where);
  const eager = await measureStep(eagerStep(options.device), images, labels, 1);
  const rows: [string, Measurement, Figures | null][] = [["eager", eager, countStep(images, labels, false)]];
  if (options.backend === "inductor" && where.type === "cuda") {
    rows.push(["compiled for CUDA", await measureDevice(images, labels, 1), countStep(images, labels, true)]);
  } else if (options.backend === "inductor") {
    const fused = countStep(images, labels, true);
    rows.push(["compiled to JavaScript", await measureJavaScript(images, labels, 1), fused]);
    if (trained.graphs.some((g) => g.tier === "cpp")) {
      rows.push(["compiled to C++", await measureCpp(images, labels, 1), fused]);
    }
  } else {
    rows.push([`backend ${options.backend}`, trained.steady, null]);
  }
  print(tableText(rows));
  const javaScriptMs = trained.graphs.reduce((sum, g) => sum + g.compileMs, 0);
  const cudaMs = trained.graphs.reduce((sum, g) => sum + (g.cuda?.compileMs ?? 0), 0);
  const cppMs = trained.graphs.reduce((sum, g) => sum + (g.tier === "cpp" ? g.cpp?.compileMs ?? 0 : 0), 0);
  if (where.type === "cuda") {
    print(`compiling the captured graph: ${javaScriptMs.toFixed(0)} ms to text, ${cudaMs.toFixed(0)} ms by nvrtc`);
  } else if (trained.graphs.length > 0) {
    print(
      `compiling the captured graph: ${javaScriptMs.toFixed(0)} ms to JavaScript${
        cppMs > 0 ? `, ${cppMs.toFixed(0)} ms to C++ in the background` : ""
      }`,
    );
  }
  const seconds = (performance.now() - began) / 1000;
  print(`everything took ${seconds.toFixed(1)} s`);
  if (options.json) {
    print(JSON.stringify({
      accuracy,
      seconds,
      epochs: trained.epochs,
      javascript_ms: javaScriptMs,
      cpp_ms: cppMs,
      images_per_second: Object.fromEntries(rows.map(([name, m]) => [name, Math.round(m.imagesPerSecond)])),
    }));
  }
} catch (error) {
  if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
  Deno.stderr.writeSync(new TextEncoder().encode(`demo: ${error.message}\n`));
  Deno.exit(1);
}
