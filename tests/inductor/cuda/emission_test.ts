/**
 * Compilers begin while kernels are still emitted: a call that cannot wait for them goes on where emitting stands, and of what waits for a compiler the longest is next.
 * On the emulated device where there is no GPU.
 */
import assert from "node:assert/strict";
import "../../../mod.ts";
import { config, device } from "../../../src/core/mod.ts";
import { compileExported, loadSafetensors, readExportedProgram } from "../../../src/export/mod.ts";
import { NvrtcCompiler, nvrtcCompiler } from "../../../src/runtime/cuda/mod.ts";
import { DiskCache } from "../../../src/runtime/mod.ts";
import type { Tensor } from "../../../src/tensor/mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";
import { fixture } from "../../export/support.ts";

cudaTest("a call while kernels are being emitted runs them all, and what was begun ends well", async () => {
  const cuda = device("cuda");
  const path = fixture("convolutions.pt2");
  const recorded = loadSafetensors(fixture("convolutions.safetensors"));
  const inputs = [0, 1].map((i) => recorded.get(`input_${i}`)?.to(cuda) as Tensor);
  const program = await readExportedProgram(path, { device: cuda });
  const real = NvrtcCompiler.prototype.compile;
  // A cache of its own: a plan that another test has kept would ask for no compiler.
  const directory = Deno.makeTempDirSync();
  const { cacheDir } = config();
  config().cacheDir = directory;
  let asked = 0;
  NvrtcCompiler.prototype.compile = function (request) {
    asked++;
    // As long as emitting goes on without a turn of the event loop.
    for (const until = performance.now() + 30; performance.now() < until;);
    return real.call(this, request);
  };
  try {
    const call = compileExported(program, { device: cuda });
    let isReady = false;
    const ready = call.ready().finally(() => isReady = true);
    while (asked === 0 && !isReady) await new Promise((resolve) => setTimeout(resolve, 1));
    const begun = asked;
    const [scores] = call(inputs);
    const wanted = recorded.get("output_0")?.dataSync() ?? [];
    (scores as Tensor).dataSync().forEach((v, i) => assert.ok(Math.abs(Number(v) - Number(wanted[i])) < 5e-3));
    await ready;
    // The first of several, and the loop above ran before the second.
    assert.equal(begun, 1);
    assert.ok(asked > 1);
  } finally {
    NvrtcCompiler.prototype.compile = real;
    config().cacheDir = cacheDir;
    Deno.removeSync(directory, { recursive: true });
  }
});

cudaTest("of the sources that wait for a compiler the longest is next", async () => {
  using directory = {
    path: Deno.makeTempDirSync(),
    [Symbol.dispose]: () => Deno.removeSync(directory.path, { recursive: true }),
  };
  const compiler = new NvrtcCompiler(nvrtcCompiler().library, {
    cache: new DiskCache({ directory: directory.path }),
    concurrency: 1,
  });
  const ended: number[] = [];
  await Promise.all([5, 1, 3, 2].map(async (n) => {
    const source = `extern "C" __global__ void k(float* x) { ${"x[0] += 1.0f; ".repeat(n)} }`;
    await compiler.compile({ source, target: { arch: "sm_90a", kind: "cubin" }, name: `k${n}` });
    ended.push(n);
  }));
  assert.deepEqual(ended, [5, 3, 2, 1]);
});
