/**
 * The four networks whose training step is measured, with their inputs and their loss, as `bench/cuda_training.ts` and `bench/peers/cuda_training.py` run them.
 *
 * Dropout is 0 on both sides. Inputs come in the order of the Python side: images or token ids, then classes.
 */
import { type Device, int64, nn, randint, randn, type Tensor, zeros } from "../../../mod.ts";
import { type BertConfig, BertModel } from "./bert.ts";
import { GPT2LMHeadModel } from "./gpt2.ts";
import { ResNet } from "./resnet.ts";
import { VisionTransformer } from "./vit.ts";

/** A network in training. */
export interface TrainingModel {
  readonly model: nn.Module;
  /** What the loss is of. */
  readonly inputs: (device: Device | "cpu" | "cuda") => readonly [x: Tensor, classes: Tensor];
  readonly loss: (x: Tensor, classes: Tensor) => Tensor;
}

class PredictionTransform extends nn.Module {
  readonly dense: nn.Linear;
  readonly LayerNorm: nn.LayerNorm;

  constructor(size: number) {
    super();
    this.dense = new nn.Linear(size, size);
    this.LayerNorm = new nn.LayerNorm(size, { eps: 1e-12 });
  }

  override forward(x: Tensor): Tensor {
    return this.LayerNorm.forward(nn.functional.gelu(this.dense.forward(x)));
  }
}

class Predictions extends nn.Module {
  readonly transform: PredictionTransform;
  readonly decoder: nn.Linear;
  readonly bias: nn.Parameter;

  constructor(config: BertConfig, embeddings: nn.Parameter) {
    super();
    this.transform = new PredictionTransform(config.hiddenSize);
    this.decoder = new nn.Linear(config.hiddenSize, config.vocabSize, { bias: false });
    this.decoder.weight = embeddings;
    this.bias = nn.parameter(zeros([config.vocabSize]));
  }

  override forward(x: Tensor): Tensor {
    return nn.functional.linear(this.transform.forward(x), this.decoder.weight, this.bias);
  }
}

class Head extends nn.Module {
  readonly predictions: Predictions;

  constructor(config: BertConfig, embeddings: nn.Parameter) {
    super();
    this.predictions = new Predictions(config, embeddings);
  }

  override forward(x: Tensor): Tensor {
    return this.predictions.forward(x);
  }
}

/** transformers' `BertForMaskedLM`: token ids [batch, length] → logits [batch, length, vocabulary]. */
export class BertForMaskedLM extends nn.Module {
  readonly bert: BertModel;
  readonly cls: Head;

  constructor(config: BertConfig) {
    super();
    this.bert = new BertModel(config);
    this.cls = new Head(config, this.bert.embeddings.wordEmbeddings.weight);
  }

  override forward(ids: Tensor): Tensor {
    const [states] = this.bert.forward(ids);
    return this.cls.forward(states);
  }
}

function image(model: ResNet | VisionTransformer, batch: number, size: number, classes: number): TrainingModel {
  return {
    model,
    inputs: (
      device,
    ) => [randn([batch, 3, size, size], { device }), randint(0, classes, [batch], { dtype: int64 }).to(device)],
    loss: (x, y) => nn.functional.crossEntropy(model.forward(x), y),
  };
}

function language(
  model: GPT2LMHeadModel | BertForMaskedLM,
  batch: number,
  length: number,
  vocabulary: number,
): TrainingModel {
  const ids = (shape: number[], device: Device | "cpu" | "cuda"): Tensor =>
    randint(3, vocabulary, shape, { dtype: int64 }).to(device);
  return {
    model,
    inputs: (device) => [ids([batch, length], device), ids([batch * length], device)],
    loss: (x, y) => nn.functional.crossEntropy(model.forward(x).reshape([batch * length, vocabulary]), y),
  };
}

const TINY_BERT = { vocabSize: 96, hiddenSize: 32, numHiddenLayers: 2, numAttentionHeads: 2, intermediateSize: 64 };
const BERT = { vocabSize: 30522, hiddenSize: 768, numAttentionHeads: 12, intermediateSize: 3072 };

const MODELS: Readonly<Record<string, (tiny: boolean, layers: number) => TrainingModel>> = {
  resnet50: (tiny, layers) =>
    tiny
      ? image(new ResNet({ block: "bottleneck", layers: [1, 1, 1, 1], numClasses: 10, width: 8 }), 4, 64, 10)
      : image(
        new ResNet({
          block: "bottleneck",
          layers: [Math.min(3, layers), Math.min(4, layers), Math.min(6, layers), Math.min(3, layers)],
        }),
        32,
        224,
        1000,
      ),
  vit_base: (tiny, layers) =>
    tiny
      ? image(
        new VisionTransformer({ imageSize: 16, patchSize: 4, width: 32, depth: 2, numHeads: 2, numClasses: 10 }),
        2,
        16,
        10,
      )
      : image(
        new VisionTransformer({ imageSize: 224, patchSize: 16, width: 768, depth: layers, numHeads: 12 }),
        32,
        224,
        1000,
      ),
  gpt2: (tiny, layers) =>
    tiny
      ? language(
        new GPT2LMHeadModel({ vocabSize: 97, nPositions: 16, nEmbd: 32, nLayer: 2, nHead: 2, dropout: 0 }),
        2,
        16,
        97,
      )
      : language(
        new GPT2LMHeadModel({ vocabSize: 50257, nPositions: 1024, nEmbd: 768, nLayer: layers, nHead: 12, dropout: 0 }),
        4,
        512,
        50257,
      ),
  bert_base: (tiny, layers) =>
    tiny ? language(new BertForMaskedLM({ ...TINY_BERT, maxPositionEmbeddings: 16, dropout: 0 }), 2, 16, 96) : language(
      new BertForMaskedLM({ ...BERT, numHiddenLayers: layers, maxPositionEmbeddings: 512, dropout: 0 }),
      16,
      128,
      30522,
    ),
};

/** What there is. */
export const TRAINING_NAMES: readonly string[] = Object.keys(MODELS);

/**
 * A network with random weights in training mode.
 *
 * @param options `layers`: how many there are at most, of the usual width, where the kernels matter and not the time
 * @throws {RangeError} if there is none of this name
 */
export function makeTrainingModel(
  name: string,
  options: { readonly tiny?: boolean; readonly layers?: number } = {},
): TrainingModel {
  const make = Object.hasOwn(MODELS, name) ? MODELS[name] : undefined;
  if (make === undefined) throw new RangeError(`no model ${name}; there are ${TRAINING_NAMES.join(", ")}`);
  const made = make(options.tiny ?? false, options.layers ?? 12);
  made.model.train();
  return made;
}
