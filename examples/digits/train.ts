/**
 * Trains the network: batches, schedule, progress, and how long it may take.
 */
import { compile, type CompiledGraph, data, manualSeed, onCompile, optim, tensor } from "../../mod.ts";
import type { Measurement } from "./measure.ts";
import { DigitNet, trainingStep } from "./network.ts";
import { makeProgress, print } from "./progress.ts";

/** Where no number of epochs is given: this many, */
const EPOCHS = 4;
/** but only as many as fit into this time. */
const SECONDS = 35;
const MAX_LR = 4e-3;

/** How to train. */
export interface TrainOptions {
  readonly device: string;
  readonly backend: string;
  readonly epochs: number | null;
  readonly seed: number;
  readonly batch: number;
}

/** A trained model and what its steps cost. */
export interface Trained {
  readonly model: DigitNet;
  /** Once the fastest kernels are in place. */
  readonly steady: Measurement;
  readonly seconds: number;
  readonly epochs: number;
  /** The compiled graphs of the step. */
  readonly graphs: readonly CompiledGraph[];
}

/** Counts the steps that ran on the fastest kernels, and their time. */
class Pace {
  isReady = false;
  steps = 0;
  #since = 0;

  count(): void {
    if (!this.isReady) return;
    if (this.#since === 0) this.#since = performance.now();
    else this.steps++;
  }

  /** Milliseconds a step; NaN before the first. */
  get stepMs(): number {
    return (performance.now() - this.#since) / this.steps;
  }
}

function oneCycle(optimizer: optim.AdamW, totalSteps: number, done: number): optim.OneCycleLR<optim.AdamOptions> {
  const schedule = new optim.OneCycleLR(optimizer, { maxLr: MAX_LR, totalSteps, cycleMomentum: false });
  for (let i = 0; i < done; i++) schedule.step();
  return schedule;
}

/** Trains a new model. */
export async function train(options: TrainOptions, set: data.DigitSet): Promise<Trained> {
  manualSeed(options.seed);
  const model = new DigitNet().to(options.device);
  // A tensor, so that the schedule changes it without compiling again.
  const optimizer = new optim.AdamW(model.parameters(), { lr: tensor(MAX_LR) });
  const plain = trainingStep(model, optimizer);
  const compiled = options.backend === "none" ? null : compile(plain, { backend: options.backend, fullgraph: true });
  const step = compiled ?? plain;
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => {
    graphs.push(graph);
  });
  const loader = new data.DataLoader(new data.TensorDataset(set.images, set.labels), {
    batchSize: options.batch,
    shuffle: true,
    dropLast: true,
  });
  let epochs = options.epochs ?? EPOCHS;
  let schedule = oneCycle(optimizer, epochs * loader.length, 0);
  let bar = makeProgress(epochs * loader.length);
  const pace = new Pace();
  pace.isReady = compiled === null;
  const start = performance.now();
  let firstCallMs = 0;
  let done = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    let sum = 0;
    for (const [images, labels] of loader) {
      if (images === undefined || labels === undefined) continue;
      const loss = step(images.to(options.device), labels.to(options.device)).item();
      schedule.step();
      sum += loss;
      if (++done === 1) {
        firstCallMs = performance.now() - start;
        void compiled?.ready().then(() => pace.isReady = true);
      }
      // The result of the compiler in the background gets its turn.
      await new Promise((resolve) => setTimeout(resolve, 0));
      pace.count();
      const elapsed = performance.now() - start;
      bar.step(loss, done * options.batch / elapsed * 1000);
      if (options.epochs !== null || pace.steps !== 20) continue;
      const steps = done + (SECONDS * 1000 - elapsed) / pace.stepMs;
      const fitting = Math.max(epoch + 1, Math.floor(steps / loader.length));
      if (fitting >= epochs) continue;
      bar.stop();
      print(`slow here: ${fitting} of ${epochs} epochs fit into ${SECONDS} s (--epochs ${epochs} takes them all)`);
      epochs = fitting;
      schedule = oneCycle(optimizer, epochs * loader.length, done);
      bar = makeProgress(epochs * loader.length - done);
    }
    if (!Deno.stdout.isTerminal()) {
      const seconds = (performance.now() - start) / 1000;
      print(`epoch ${epoch + 1}/${epochs}  loss ${(sum / loader.length).toFixed(4)}  ${seconds.toFixed(1)} s`);
    }
  }
  bar.stop();
  const stepMs = pace.steps > 0 ? pace.stepMs : (performance.now() - start) / done;
  return {
    model,
    steady: { imagesPerSecond: options.batch / stepMs * 1000, firstCallMs },
    seconds: (performance.now() - start) / 1000,
    epochs,
    graphs,
  };
}
