/**
 * Measures a training step: eager, compiled to JavaScript, compiled to C++.
 */
import { compile, manualSeed, optim, type Tensor, withConfig } from "../../mod.ts";
import { DigitNet, type Step, trainingStep } from "./network.ts";

/** What one way of running costs. */
export interface Measurement {
  readonly imagesPerSecond: number;
  /** From the first call to its result, in milliseconds. */
  readonly firstCallMs: number;
}

/** A fresh model's step, run as it is. */
export function eagerStep(): Step {
  manualSeed(1);
  const model = new DigitNet();
  return trainingStep(model, new optim.AdamW(model.parameters(), { lr: 1e-3 }));
}

/** Calls `step` for about `seconds`, after two calls that do not count. The loss is read each time, so the work is done. */
export async function measureStep(step: Step, images: Tensor, labels: Tensor, seconds: number): Promise<Measurement> {
  const start = performance.now();
  step(images, labels).item();
  const firstCallMs = performance.now() - start;
  if (firstCallMs < seconds * 1000) step(images, labels).item();
  let calls = 0;
  const from = performance.now();
  do {
    step(images, labels).item();
    calls++;
    await Promise.resolve();
  } while (performance.now() - from < seconds * 1000);
  const perCall = (performance.now() - from) / calls / 1000;
  return { imagesPerSecond: Number(images.shape[0]) / perCall, firstCallMs };
}

/** Measures the JavaScript tier alone: the C++ stage is off while the step compiles. */
export async function measureJavaScript(images: Tensor, labels: Tensor, seconds: number): Promise<Measurement> {
  const step = compile(eagerStep(), { fullgraph: true });
  using _ = withConfig({ disabled: new Set(["cpp"]) });
  return await measureStep(step, images, labels, seconds);
}
