/**
 * The models of bench/models/zoo against PyTorch's classes: same names, same results, same training step; eagerly and compiled.
 */
import assert from "node:assert/strict";
import { compile, F, nn, noGrad, optim, type Tensor, tensor } from "../../mod.ts";
import { BertModel } from "../../bench/models/zoo/bert.ts";
import { DLRM } from "../../bench/models/zoo/dlrm.ts";
import { GPT2LMHeadModel } from "../../bench/models/zoo/gpt2.ts";
import { GAT, GCN } from "../../bench/models/zoo/graph.ts";
import { LlamaForCausalLM } from "../../bench/models/zoo/llama.ts";
import { MambaForCausalLM } from "../../bench/models/zoo/mamba.ts";
import { MixtralForCausalLM } from "../../bench/models/zoo/mixtral.ts";
import { ResNet } from "../../bench/models/zoo/resnet.ts";
import { UNet } from "../../bench/models/zoo/unet.ts";
import { VisionTransformer } from "../../bench/models/zoo/vit.ts";
import { type Fixture, hashed, ids, loadFixture, numbers, readFixture, relativeError, summary } from "./support.ts";

const { crossEntropy, mseLoss, binaryCrossEntropy } = nn.functional;

/** A small model, its call on fixed inputs, and its loss. */
interface Case {
  readonly model: nn.Module;
  readonly call: () => Tensor;
  readonly loss: (y: Tensor) => Tensor;
}

function classifier<M extends nn.Module & { forward(...inputs: Tensor[]): Tensor }>(
  model: M,
  inputs: readonly Tensor[],
  [batch, classes]: readonly [number, number],
): Case {
  const labels = ids("labels", [batch], classes);
  return { model, call: () => model.forward(...inputs), loss: (y) => crossEntropy(y, labels) };
}

function language(model: nn.Module & { forward(ids: Tensor): Tensor }): Case {
  const tokens = ids("tokens", [2, 9], 32);
  const [before, after] = [tokens.narrow(1, 0, 8).clone(), tokens.narrow(1, 1, 8).flatten()];
  return { model, call: () => model.forward(before), loss: (y) => crossEntropy(y.flatten(0, 1), after) };
}

const images = (batch: number, size: number): Tensor => numbers("images", [batch, 3, size, size]);
const sizes = {
  vocabSize: 32,
  hiddenSize: 16,
  intermediateSize: 24,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  numKeyValueHeads: 2,
  maxPositionEmbeddings: 16,
  rmsNormEps: 1e-5,
};
const graphInputs = (): Tensor[] => [
  numbers("nodes", [6, 5]),
  F.stack([ids("source", [12], 6), ids("target", [12], 6)]),
];

const CASES: Readonly<Record<string, () => Case>> = {
  resnet_basic: () =>
    classifier(new ResNet({ block: "basic", layers: [1, 2, 1, 1], numClasses: 5, width: 8 }), [images(4, 64)], [4, 5]),
  resnet_bottleneck: () =>
    classifier(
      new ResNet({ block: "bottleneck", layers: [1, 2, 1, 1], numClasses: 5, width: 8 }),
      [images(4, 64)],
      [4, 5],
    ),
  vit: () =>
    classifier(
      new VisionTransformer({ imageSize: 16, patchSize: 8, width: 16, depth: 2, numHeads: 2, numClasses: 5 }),
      [images(2, 16)],
      [2, 5],
    ),
  bert: () => {
    const model = new BertModel({ ...sizes, numAttentionHeads: 2, dropout: 0 });
    const [tokens, target] = [ids("tokens", [2, 8], 32), numbers("target", [2, 9, 16])];
    const mask = tensor([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]]);
    const call = (): Tensor => {
      const [states, pooled] = model.forward(tokens, mask);
      return F.cat([states, pooled.unsqueeze(1)], 1);
    };
    return { model, call, loss: (y) => mseLoss(y, target) };
  },
  gpt2: () =>
    language(new GPT2LMHeadModel({ vocabSize: 32, nPositions: 16, nEmbd: 16, nLayer: 2, nHead: 2, dropout: 0 })),
  llama: () => language(new LlamaForCausalLM(sizes)),
  mixtral: () =>
    language(new MixtralForCausalLM({ ...sizes, numLocalExperts: 4, numExpertsPerTok: 2, ropeTheta: 1e6 })),
  mamba: () =>
    language(
      new MambaForCausalLM({ vocabSize: 32, hiddenSize: 8, numHiddenLayers: 2, stateSize: 4, timeStepRank: 2 }),
    ),
  unet: () => {
    const config = { channels: 3, widths: [8, 16], attention: [false, true], layersPerBlock: 1, normGroups: 4 };
    const [model, x, steps] = [new UNet(config), images(2, 8), tensor([3, 700])];
    const noise = numbers("noise", [2, 3, 8, 8]);
    return { model, call: () => model.forward(x, steps), loss: (y) => mseLoss(y, noise) };
  },
  dlrm: () => {
    const model = new DLRM({ tables: [5, 7, 3], embeddingDim: 4, bottom: [6, 8, 4], top: [6] });
    const picks = F.stack([5, 7, 3].map((rows, i) => ids(`sparse${i}`, [3], rows)));
    const [dense, labels] = [numbers("dense", [3, 6]), ids("labels", [3, 1], 2).to(numbers("", [1]).dtype)];
    return { model, call: () => model.forward(dense, picks), loss: (y) => binaryCrossEntropy(y, labels) };
  },
  gcn: () => classifier(new GCN(5, 8, 3), graphInputs(), [6, 3]),
  gat: () => classifier(new GAT(5, 4, 3, 2), graphInputs(), [6, 3]),
};

function checkOutput(y: Tensor, { output }: Fixture): void {
  assert.deepEqual(y.shape.map(Number), output.shape);
  const { norm, first } = summary(y, output.first.length);
  assert.ok(relativeError(first, output.first) < 2e-5, `off by ${relativeError(first, output.first)}`);
  assert.ok(relativeError([norm], [output.norm]) < 2e-5, `norm ${norm}, PyTorch's ${output.norm}`);
}

/** Two steps of gradient descent; the first's gradients and both losses against PyTorch's. */
function checkTraining(
  { model, call, loss }: Case,
  fixture: Fixture,
  wrap: (step: () => Tensor) => () => Tensor,
): void {
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.05 });
  const step = wrap(() => {
    const out = loss(call());
    out.backward();
    optimizer.step();
    return out;
  });
  const before = step().item();
  const named = new Map(model.namedParameters());
  for (const [name, expected] of Object.entries(fixture.grads)) {
    const grad = named.get(name)?.grad;
    assert.ok(grad, `${name} has no gradient`);
    const got = summary(grad, expected.first.length);
    const error = relativeError([...got.first, got.norm], [...expected.first, expected.norm]);
    assert.ok(error < 2e-4, `the gradient of ${name} is off by ${error}`);
  }
  optimizer.zeroGrad();
  const error = relativeError([before, step().item()], fixture.losses);
  assert.ok(error < 1e-4, `losses are off by ${error}`);
}

const compileOptions = { fullgraph: true, options: { tier: "js" } } as const;

for (const [name, make] of Object.entries(CASES)) {
  Deno.test(`zoo ${name} has PyTorch's names and its results, eagerly and compiled`, () => {
    const fixture = readFixture(name);
    const { model, call } = make();
    loadFixture(model, fixture);
    model.eval();
    checkOutput(noGrad(call), fixture);
    checkOutput(compile(() => noGrad(call), compileOptions)(), fixture);
  });

  Deno.test(`zoo ${name} trains as PyTorch's does, eagerly and compiled`, () => {
    const fixture = readFixture(name);
    for (const wrap of [(step: () => Tensor) => step, (step: () => Tensor) => compile(step, compileOptions)]) {
      const made = make();
      loadFixture(made.model, fixture);
      checkTraining(made, fixture, wrap);
    }
  });
}

Deno.test("the numbers of fixtures follow from their names alone", () => {
  assert.deepEqual([...hashed("a", 3)], [...hashed("a", 4)].slice(0, 3));
  assert.notDeepEqual([...hashed("a", 3)], [...hashed("b", 3)]);
});
