/** Query, key and value of an exported program as one product: on the processor, and on CUDA (emulated where there is no GPU), where weights become parts of one matrix. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { device, float16, float32, type StageName, withConfig } from "../../src/core/mod.ts";
import { compileExported, openKept, readExportedProgram } from "../../src/export/mod.ts";
import { CudaBuffer, CudaDeviceMemory } from "../../src/runtime/cuda/mod.ts";
import { keepsStrides } from "../../src/export/kept_conversion.ts";
import { noGrad, type Tensor } from "../../src/tensor/mod.ts";
import { cudaTest } from "../helpers/cuda_test.ts";
import { assertClose, fixture, read, recorded } from "./support.ts";

Deno.test("query, key and value are one product, which agrees with PyTorch", async () => {
  const { inputs, output } = recorded("qkv");
  const kernels = async (disabled: StageName[]): Promise<number> => {
    using _ = withConfig({ disabled: new Set(["cache", ...disabled]), verify: true });
    const run = compileExported(await read("qkv"), { mode: "aot" });
    assertClose(run(inputs)[0], output(0) as Tensor, "result");
    return run.stats.kernels;
  };
  assert.equal(await kernels([]), await kernels(["linear_merging"]) - 2);
});

cudaTest("query, key and value are one product on CUDA, and their weights its parts", async () => {
  const cuda = device("cuda");
  const { inputs: [x], output } = recorded("qkv");
  const inputs = [x?.to(cuda) as Tensor];
  const wanted = output(0) as Tensor;
  const folder = await Deno.makeTempDir();
  const path = `${folder}/model.pt2`;
  await Deno.copyFile(fixture("qkv.pt2"), path);
  try {
    const program = await readExportedProgram(path, { device: cuda });
    const run = compileExported(program, { device: cuda, file: { path } });
    await run.ready();
    assertClose((run(inputs)[0] as Tensor).cpu(), wanted, "result", 1e-3);
    const weights = ["q", "k", "v"].map((name) => program.attributes.tensor(`${name}.weight`));
    const places = weights.map(({ storage }) => {
      assert(storage.buffer instanceof CudaBuffer);
      return storage.buffer.address;
    });
    assert.deepEqual(places.map((at) => at - (places[0] ?? 0)), [0, 32 * 128 * 4, 64 * 128 * 4]);
    // A later process puts them together again.
    const kept = await openKept(path, { device: cuda, mode: "default" });
    assert.ok(kept !== null);
    await kept.call.ready();
    assertClose((kept.call(inputs)[0] as Tensor).cpu(), wanted, "from the cache", 1e-3);
    // What is written later is seen.
    const before = wanted.narrow(2, 0, 24);
    noGrad(() => {
      weights[2]?.mul_(0);
      program.attributes.tensor("v.bias").fill_(3);
    });
    const after = (run(inputs)[0] as Tensor).cpu();
    assert.ok(Number(after.sub(3).abs().max().item()) < 1e-3, "every value is 3 now");
    assert.ok(Number(before.sub(3).abs().max().item()) > 0.1);
    using _ = withConfig({ disabled: new Set(["cache", "linear_merging"]) });
    const apart = compileExported(await readExportedProgram(path, { device: cuda }), { device: cuda });
    assert.equal(run.stats.kernels, apart.stats.kernels - 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

cudaTest(
  "in halves the joined weights of a later process are read from the file and converted on the device",
  async () => {
    const cuda = device("cuda");
    const { inputs: [x], output } = recorded("qkv");
    const inputs = [x?.to(cuda) as Tensor];
    const folder = await Deno.makeTempDir();
    const path = `${folder}/model.pt2`;
    await Deno.copyFile(fixture("qkv.pt2"), path);
    try {
      const program = await readExportedProgram(path, { device: cuda });
      const run = compileExported(program, { device: cuda, file: { path }, dtype: float16 });
      await run.ready();
      const first = (run(inputs)[0] as Tensor).cpu();
      assertClose(first.to(float32), output(0) as Tensor, "in halves", 2e-2);
      const read: number[] = [];
      const real = CudaDeviceMemory.prototype.writeFile;
      CudaDeviceMemory.prototype.writeFile = function (file, pieces) {
        read.push(...pieces.map(({ byteLength }) => byteLength));
        return real.call(this, file, pieces);
      };
      try {
        const kept = await openKept(path, { device: cuda, mode: "default", dtype: float16 });
        assert.ok(kept !== null);
        assert.deepEqual((kept.call(inputs)[0] as Tensor).cpu().toArray(), first.toArray());
      } finally {
        CudaDeviceMemory.prototype.writeFile = real;
      }
      // Weights and biases in float32, as the file has them, and nothing else.
      assert.deepEqual(read.toSorted((a, b) => a - b), [32, 48, 32 * 128, 32 * 128, 48 * 128].map((n) => 4 * n));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("a tensor is converted where it lies only if it keeps its strides", () => {
  assert.ok(keepsStrides({ shape: [2, 3], stride: [3, 1] }));
  assert.ok(keepsStrides({ shape: [2, 3], stride: [1, 2] }));
  assert.ok(keepsStrides({ shape: [2, 1, 3], stride: [3, 99, 1] }));
  assert.ok(!keepsStrides({ shape: [2, 3], stride: [4, 1] }));
  assert.ok(!keepsStrides({ shape: [2, 3], stride: [0, 1] }));
});
