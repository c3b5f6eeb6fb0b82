/**
 * Programs that were compiled for CUDA are found by their file alone: with packed weights and folded batch norms, the same results, and not for another file.
 * On the emulated device where there is no GPU.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { bfloat16, device, float32, float64 } from "../../src/core/mod.ts";
import { compileExported, loadSafetensors, openKept, readExportedProgram } from "../../src/export/mod.ts";
import type { RunValue } from "../../src/export/mod.ts";
import { diskCache } from "../../src/runtime/mod.ts";
import { Tensor } from "../../src/tensor/mod.ts";
import { cudaTest } from "../helpers/cuda_test.ts";
import { fixture } from "./support.ts";

const cuda = device("cuda");
const options = { device: cuda, mode: "default" } as const;

function assertResults(results: readonly RunValue[], recorded: ReadonlyMap<string, Tensor>): void {
  const [scores, best] = results;
  assert.ok(scores instanceof Tensor && best instanceof Tensor);
  const wanted = recorded.get("output_0")?.dataSync() ?? [];
  scores.dataSync().forEach((v, i) => assert.ok(Math.abs(Number(v) - Number(wanted[i])) < 5e-3, `${v}, ${wanted[i]}`));
  assert.deepEqual(best.toArray(), recorded.get("output_1")?.toArray());
}

cudaTest("a program that was compiled for CUDA is found by its file, without its graph", async () => {
  const began = new Date(Date.now() - 2000);
  const folder = await Deno.makeTempDir();
  const path = `${folder}/model.pt2`;
  await Deno.copyFile(fixture("convolutions.pt2"), path);
  const recorded = loadSafetensors(fixture("convolutions.safetensors"));
  const inputs = [0, 1].map((i) => recorded.get(`input_${i}`)?.to(cuda) as Tensor);
  assert.equal(await openKept(path, options), null);
  const program = await readExportedProgram(path, { device: cuda });
  const call = compileExported(program, { device: cuda, file: { path } });
  await call.ready();
  assertResults(call(inputs), recorded);
  const kept = await openKept(path, options);
  assert.ok(kept !== null, "the cache has it");
  assert.deepEqual(kept.inputs.map(({ dtype, shape }) => [dtype, shape]), [["float16", [2, 3, 9, 9]], ["float16", [
    4,
  ]]]);
  assert.deepEqual(kept.call.stats, call.stats);
  await kept.call.ready();
  assertResults(kept.call(inputs), recorded);
  // Packed weights and folded norms are kept as they are, and computed anew where that is gone.
  const own = diskCache().entries().filter(({ kind, lastUsed }) => kind === "constants" && lastUsed >= began);
  assert.ok(own.length > 0);
  for (const entry of own) await Deno.remove(entry.path);
  const anew = await openKept(path, options);
  assert.ok(anew !== null);
  assertResults(anew.call(inputs), recorded);
  // Strides that the graph was not compiled for.
  const [x, y] = inputs as [Tensor, Tensor];
  assertResults(kept.call([x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]), y]), recorded);
  assert.throws(() => kept.call([y, x]), /input x must be float16\[2, 3, 9, 9\], got float16\[4\]/);
  assert.throws(() => kept.call([x]), /takes 2 inputs|must be/);
  // Another content: other weights at the same place.
  const other = await Deno.readFile(path);
  await Deno.writeFile(path, other);
  await Deno.utime(path, new Date(), new Date(Date.now() + 5000));
  assert.equal(await openKept(path, options), null);
  await Deno.remove(folder, { recursive: true });
});

cudaTest(
  "in another dtype it is found as well: weights are converted on the device, inputs before each call",
  async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/model.pt2`;
    await Deno.copyFile(fixture("convolutions.pt2"), path);
    const recorded = loadSafetensors(fixture("convolutions.safetensors"));
    const inputs = [0, 1].map((i) => recorded.get(`input_${i}`)?.to(cuda) as Tensor);
    const program = await readExportedProgram(path, { device: cuda });
    const call = compileExported(program, { device: cuda, file: { path }, dtype: float32 });
    await call.ready();
    assert.equal(call.isKept?.(), true);
    const results = call(inputs);
    assertResults(results, recorded);
    // The dtype that is asked for is part of what is looked for.
    assert.equal(await openKept(path, options), null);
    assert.equal(await openKept(path, { ...options, dtype: bfloat16 }), null);
    const began = new Date(Date.now() - 2000);
    const kept = await openKept(path, { ...options, dtype: float32 });
    assert.ok(kept !== null, "the cache has it");
    const same = (got: readonly RunValue[]): void =>
      results.forEach((r, i) => {
        const [wanted, found] = [r, got[i]] as [Tensor, Tensor];
        assert.equal(found.dtype, wanted.dtype);
        assert.deepEqual(found.toArray(), wanted.toArray());
      });
    same(kept.call(inputs));
    // Inputs may have the new dtype already; another one is refused.
    same(kept.call(inputs.map((t) => t.to(float32))));
    assert.throws(() => kept.call(inputs.map((t) => t.to(float64))), /must be float16/);
    // What is computed of converted weights is computed of them anew where it is gone.
    for (const entry of diskCache().entries()) {
      if (entry.kind === "constants" && entry.lastUsed >= began) await Deno.remove(entry.path);
    }
    const anew = await openKept(path, { ...options, dtype: float32 });
    assert.ok(anew !== null);
    same(anew.call(inputs));
    await Deno.remove(folder, { recursive: true });
  },
);
