/** Mixtral on "cuda", on an emulated device: tokens go to their experts by products of groups, with the results and gradients of all experts on the CPU. */
import assert from "node:assert/strict";
import { compile, explain, float32, nn, type Tensor, tensor } from "../../mod.ts";
import { MixtralForCausalLM } from "../../bench/models/zoo/mixtral.ts";
import { emulateCuda } from "../runtime/cuda/emulator/mod.ts";

const reason = emulateCuda();

Deno.test({
  name: reason === null ? "experts by groups" : `experts by groups [skipped: ${reason}]`,
  ignore: reason !== null,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    const sizes = { vocabSize: 32, hiddenSize: 16, intermediateSize: 24, numHiddenLayers: 1, numAttentionHeads: 2 };
    const model = new MixtralForCausalLM({ ...sizes, numKeyValueHeads: 1, numLocalExperts: 4, numExpertsPerTok: 2 });
    const ids = tensor([[3, 9, 1, 30, 7, 7, 2], [0, 5, 31, 8, 8, 1, 2]]);
    const loss = (m: MixtralForCausalLM, x: Tensor): Tensor => {
      const y = m.forward(x);
      return nn.functional.crossEntropy(y.flatten(0, 1), x.flatten());
    };
    const gradients = (): Map<string, Tensor> =>
      new Map([...model.namedParameters()].map(([name, p]) => [name, (p.grad as Tensor).cpu().clone()]));
    const here = loss(model, ids);
    here.backward();
    const want = gradients();
    model.zeroGrad();
    model.to("cuda");
    const step = compile((x: Tensor) => {
      const out = loss(model, x);
      out.backward();
      return out;
    });
    const there = step(ids.cuda());
    assert.ok(Math.abs(Number(there.cpu().item()) - Number(here.item())) < 1e-5);
    for (const [name, grad] of gradients()) {
      const error = grad.sub(want.get(name) as Tensor).to(float32).abs().max().item() as number;
      assert.ok(error < 1e-5, `${name} differs by ${error}`);
    }
    const { fallbacks } = explain((x: Tensor) => model.forward(x))(ids.cuda());
    assert.deepEqual(fallbacks.filter((f) => !f.startsWith("attention")), []);
  },
});
