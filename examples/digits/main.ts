/**
 * `deno task demo`: trains a small convolutional network on 8,000 real handwritten digits, tests it on 2,000 others, and shows what compiling
 * is worth.
 *
 * The training step (forward, backward, update) is one compiled function. It starts at once on JavaScript kernels and goes on in
 * C++ when the compiler is done; without a C++ compiler it stays in JavaScript.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import Table from "cli-table3";
import {
  compile,
  type CompiledGraph,
  data,
  device,
  manualSeed,
  noGrad,
  onCompile,
  optim,
  type Tensor,
  tensor,
} from "../../mod.ts";
import { formatBytes } from "../../src/runtime/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/mod.ts";
import { drawMistakes, type Mistake } from "./draw.ts";
import {
  countStep,
  eagerStep,
  type Figures,
  measureCpp,
  measureJavaScript,
  type Measurement,
  measureStep,
} from "./measure.ts";
import { DigitNet, trainingStep } from "./network.ts";
import { makeProgress, print } from "./progress.ts";

interface Options {
  readonly device: string;
  readonly backend: string;
  readonly epochs: number;
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
    .option("--epochs <n>", "how often each image is seen", whole, 4)
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

/** Time that training may take before the number of epochs is cut, where the user named none. */
const TRAINING_SECONDS = 35;

/** A trained model and what its steps cost. */
interface Trained {
  readonly model: DigitNet;
  /** Once the fastest kernels are in place. */
  readonly steady: Measurement;
  readonly seconds: number;
  readonly epochs: number;
  /** The compiled graphs of the step. */
  readonly graphs: readonly CompiledGraph[];
}

/** Trains a new model. */
async function train(options: Options, set: data.DigitSet): Promise<Trained> {
  manualSeed(options.seed);
  const model = new DigitNet();
  const loader = new data.DataLoader(new data.TensorDataset(set.images, set.labels), {
    batchSize: options.batch,
    shuffle: true,
    dropLast: true,
  });
  let epochs = options.epochs;
  // A tensor, so that the schedule changes it without compiling again.
  const optimizer = new optim.AdamW(model.parameters(), { lr: tensor(4e-3) });
  const plain = trainingStep(model, optimizer);
  const compiled = options.backend === "none" ? null : compile(plain, { backend: options.backend, fullgraph: true });
  const step = compiled ?? plain;
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => {
    graphs.push(graph);
  });
  const start = performance.now();
  let firstCallMs = 0;
  let isReady = compiled === null;
  let done = 0;
  let total = epochs * loader.length;
  let schedule = new optim.OneCycleLR(optimizer, { maxLr: 4e-3, totalSteps: total, cycleMomentum: false });
  let bar = makeProgress(total);
  let steadyFrom = 0;
  let steadySteps = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    let sum = 0;
    for (const [images, labels] of loader) {
      if (images === undefined || labels === undefined) continue;
      const loss = step(images, labels).item();
      schedule.step();
      sum += loss;
      done++;
      const now = performance.now();
      if (done === 1) {
        firstCallMs = now - start;
        void compiled?.ready().then(() => {
          isReady = true;
        });
      }
      // Background work (the compiler's result) gets its turn.
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (isReady) {
        if (steadyFrom === 0) steadyFrom = performance.now();
        else steadySteps++;
      }
      const elapsed = (now - start) / 1000;
      bar.step(loss, done * options.batch / elapsed);
      if (done === 40 && !Deno.args.some((a) => a.startsWith("--epochs"))) {
        const fitting = Math.max(1, Math.floor(TRAINING_SECONDS / (elapsed / done * loader.length)));
        if (fitting < epochs) {
          bar.stop();
          print(
            `this will be slow: ${fitting} of ${epochs} epochs fit into ${TRAINING_SECONDS} s (--epochs ${epochs} takes them all)`,
          );
          epochs = fitting;
          total = epochs * loader.length;
          schedule = new optim.OneCycleLR(optimizer, { maxLr: 4e-3, totalSteps: total, cycleMomentum: false });
          for (let i = 0; i < done; i++) schedule.step();
          bar = makeProgress(total - done);
        }
      }
    }
    if (!Deno.stdout.isTerminal()) {
      print(
        `epoch ${epoch + 1}/${epochs}  loss ${(sum / loader.length).toFixed(4)}  ${
          ((performance.now() - start) / 1000).toFixed(1)
        } s`,
      );
    }
  }
  bar.stop();
  const end = performance.now();
  const rate = steadySteps > 0
    ? steadySteps * options.batch / (end - steadyFrom) * 1000
    : done * options.batch / (end - start) * 1000;
  return { model, steady: { imagesPerSecond: rate, firstCallMs }, seconds: (end - start) / 1000, epochs, graphs };
}

/** Share of right answers, and the images that were taken for another digit. */
function test(model: DigitNet, set: data.DigitSet, backend: string): { accuracy: number; mistakes: Mistake[] } {
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
    const guesses = run(images).dataSync();
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
  if (device(options.device).type !== "cpu") {
    throw new RangeError(`--device ${options.device}: the demo runs on the cpu`);
  }
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
  const { accuracy, mistakes } = test(trained.model, digits.test, options.backend);
  print(`trained ${trained.epochs} epochs in ${trained.seconds.toFixed(1)} s`);
  print(`accuracy on the held-out digits: ${(100 * accuracy).toFixed(2)} %`);
  if (mistakes.length > 0) print(`\n${drawMistakes(mistakes)}\n`);

  const images = set.images.narrow(0, 0, options.batch).clone();
  const labels = set.labels.narrow(0, 0, options.batch).clone();
  const eager = await measureStep(eagerStep(), images, labels, 1);
  const rows: [string, Measurement, Figures | null][] = [["eager", eager, countStep(images, labels, false)]];
  if (options.backend === "inductor") {
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
  const cppMs = trained.graphs.reduce((sum, g) => sum + (g.tier === "cpp" ? g.cpp?.compileMs ?? 0 : 0), 0);
  if (trained.graphs.length > 0) {
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
