/** What a program hears when the device's memory runs out: the tensors that fill it, by the names that the program knows. On an emulated device. */
import assert from "node:assert/strict";
import { compile, nn, noGrad, type Tensor, zeros } from "../../../mod.ts";
import { emulateCuda } from "../../runtime/cuda/emulator/mod.ts";

const reason = emulateCuda({ memoryBytes: 64 * 2 ** 20, devices: 1 });

Deno.test({
  name: `out of memory names parameters and results, and work goes on after it${
    reason === null ? "" : ` [skipped: ${reason}]`
  }`,
  ignore: reason !== null,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    const model = new nn.Sequential(new nn.Linear(1024, 2048), new nn.ReLU()).to("cuda");
    const batch = zeros([4, 1024]).to("cuda");
    const f = compile((x: Tensor): Tensor => x.relu().add(1));
    const out = noGrad(() => f(batch));
    assert.deepEqual(out.shape, [4, 1024]);
    assert.throws(() => zeros([2 ** 24], { device: "cuda" }), (error: unknown) => {
      const text = String(error);
      assert.match(text, /cuda:0 is out of memory: asked for \d+ MiB/);
      assert.match(text, / {2}8 MiB {2}0\.weight of Sequential/);
      assert.match(text, / {2}16 KiB {2}a result of inference/);
      return true;
    });
    out.dispose();
    assert.equal([...model.parameters()].length, 2);
    assert.equal(noGrad(() => f(batch)).sum().item(), noGrad(() => f(batch)).sum().item());
  },
});
