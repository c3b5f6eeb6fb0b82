/**
 * Measures a training step: eager, compiled to JavaScript, to C++, or for another device.
 */
import { compile, explain, manualSeed, onCompile, optim, type Tensor, withConfig } from "../../mod.ts";
import { DigitNet, type Step, trainingStep } from "./network.ts";

/** What one way of running costs. */
export interface Measurement {
  readonly imagesPerSecond: number;
  /** From the first call to its result, in milliseconds. */
  readonly firstCallMs: number;
}

/** A fresh model's step, run as it is. */
export function eagerStep(device = "cpu"): Step {
  manualSeed(1);
  const model = new DigitNet().to(device);
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

/** Measures the JavaScript tier alone. */
export async function measureJavaScript(images: Tensor, labels: Tensor, seconds: number): Promise<Measurement> {
  return await measureStep(compile(eagerStep(), { fullgraph: true, options: { tier: "js" } }), images, labels, seconds);
}

/** Measures the C++ tier alone: the first call waits for the compiler, or finds its library in the cache. */
export async function measureCpp(images: Tensor, labels: Tensor, seconds: number): Promise<Measurement> {
  return await measureStep(compile(eagerStep(), { fullgraph: true, mode: "aot" }), images, labels, seconds);
}

/** Measures a device that is not the CPU: the first call waits for the compiler, or finds its kernels in the cache. */
export async function measureDevice(images: Tensor, labels: Tensor, seconds: number): Promise<Measurement> {
  const step = compile(eagerStep(String(images.device)), { fullgraph: true });
  return await measureStep(step, images, labels, seconds);
}

/** What a compiled step is made of. */
export interface Figures {
  /** Launches a step. */
  readonly kernels: number;
  /** Bytes read and written a step. */
  readonly bytes: number;
}

/** Compiles the step without running it, and counts; with fusion, or with every operator a kernel of its own. */
export function countStep(images: Tensor, labels: Tensor, fusion: boolean): Figures {
  using _ = withConfig(fusion ? {} : { disabled: new Set(["fusion", "inlining", "cpp"]) });
  let kernels = 0;
  let bytes = 0;
  using _observer = onCompile(({ graph }) => {
    const { counters } = graph.compiled;
    kernels += counters.kernels;
    bytes += counters.bytesRead + counters.bytesWritten;
  });
  explain(eagerStep(String(images.device)), { backend: "inductor", options: { tier: "js" } })(images, labels);
  return { kernels, bytes };
}
