/**
 * The models of this folder by name, with inputs, as `zoo:NAME` of the manifest.
 */
import { manualSeed, type nn, rand, randint, randn, type Tensor } from "../../../mod.ts";
import { bertBase } from "./bert.ts";
import { DLRM } from "./dlrm.ts";
import { gpt2Small } from "./gpt2.ts";
import { GAT, GCN } from "./graph.ts";
import { LlamaForCausalLM } from "./llama.ts";
import { MambaForCausalLM } from "./mamba.ts";
import { MixtralForCausalLM } from "./mixtral.ts";
import { resnet18, resnet50 } from "./resnet.ts";
import { UNet } from "./unet.ts";
import { vitBase } from "./vit.ts";

/** A model and what it is called with. */
export interface ZooModel {
  readonly model: nn.Module;
  readonly inputs: readonly Tensor[];
  forward(...inputs: Tensor[]): Tensor;
}

type Callable = nn.Module & { forward(...inputs: Tensor[]): Tensor };

const zooModel = (model: Callable, inputs: readonly Tensor[]): ZooModel => ({
  model,
  inputs,
  forward: (...inputs) => model.forward(...inputs),
});
const image = (): Tensor => randn([2, 3, 224, 224]);
const tokens = (below: number, batch = 2, length = 64): Tensor => randint(3, below, [batch, length]);
const cora = (): Tensor[] => [rand([2708, 1433]), randint(0, 2708, [2, 10556])];

const MODELS: Readonly<Record<string, () => ZooModel>> = {
  resnet18: () => zooModel(resnet18(), [image()]),
  resnet50: () => zooModel(resnet50(), [image()]),
  vit_base: () => zooModel(vitBase(), [image()]),
  bert_base: () => {
    const model = bertBase();
    return { model, inputs: [tokens(90)], forward: (ids) => model.forward(ids as Tensor)[0] };
  },
  gpt2: () => {
    const model = gpt2Small();
    return { model, inputs: [tokens(90)], forward: (ids) => model.forward(ids as Tensor) };
  },
  llama_160m: () => {
    const sizes = { vocabSize: 32000, hiddenSize: 768, intermediateSize: 3072, numHiddenLayers: 12 };
    const model = new LlamaForCausalLM({ ...sizes, numAttentionHeads: 12 });
    return { model, inputs: [tokens(90)], forward: (ids) => model.forward(ids as Tensor) };
  },
  mixtral_small: () => {
    const sizes = { vocabSize: 32000, hiddenSize: 512, intermediateSize: 1024, numHiddenLayers: 4 };
    const heads = { numAttentionHeads: 8, numKeyValueHeads: 2 };
    const model = new MixtralForCausalLM({ ...sizes, ...heads, numLocalExperts: 8, numExpertsPerTok: 2 });
    return { model, inputs: [tokens(90)], forward: (ids) => model.forward(ids as Tensor) };
  },
  mamba_130m: () => {
    const model = new MambaForCausalLM({ vocabSize: 50280, hiddenSize: 768, numHiddenLayers: 24 });
    return zooModel(model, [tokens(90, 1, 32)]);
  },
  unet_ddpm: () => {
    const widths = [128, 256, 256, 256];
    const model = new UNet({ channels: 3, widths, attention: [false, true, false, false], attentionHeadDim: 256 });
    return zooModel(model, [randn([2, 3, 32, 32]), randint(0, 1000, [2])]);
  },
  dlrm: () => {
    const tables = new Array<number>(26).fill(10_000);
    const model = new DLRM({ tables, embeddingDim: 16, bottom: [13, 512, 256, 64, 16], top: [512, 256] });
    return zooModel(model, [randn([128, 13]), randint(0, 10_000, [26, 128])]);
  },
  gcn_cora: () => zooModel(new GCN(1433, 16, 7), cora()),
  gat_cora: () => zooModel(new GAT(1433, 8, 7, 8), cora()),
};

/** What there is. */
export const ZOO_NAMES: readonly string[] = Object.keys(MODELS);

/** A model with random weights, always the same. @throws {RangeError} if there is none of this name. */
export function makeZooModel(name: string): ZooModel {
  const make = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  if (make === undefined) throw new RangeError(`zoo: no model ${name}; there are ${ZOO_NAMES.join(", ")}`);
  manualSeed(0);
  const made = make();
  made.model.eval();
  return made;
}
