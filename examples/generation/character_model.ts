/**
 * A small LLaMA that learns the characters of a text in some seconds, with a compiled training step.
 */
import { compile, type DeviceLike, Generator, manualSeed, nn, optim, randint, type Tensor, tensor } from "../../mod.ts";
import { LlamaForCausalLM } from "../../bench/models/zoo/llama.ts";
import { characterCodec, type TextCodec } from "./text.ts";

/** How to train. */
export interface CharacterTraining {
  readonly seconds: number;
  readonly seed: number;
  /** Steps at most; for tests. */
  readonly steps?: number;
  /** Characters that the model sees at once. Default 96. */
  readonly context?: number;
  /** Default 96. */
  readonly width?: number;
  /** Where it learns. Default "cpu". */
  readonly device?: DeviceLike;
  /** Options of `compile`; null trains eagerly. */
  readonly compileOptions?: Parameters<typeof compile>[1] | null;
  /** Called after each step. */
  readonly onStep?: (loss: number, step: number) => void;
}

/** A model and the characters it knows. */
export interface CharacterModel {
  readonly model: LlamaForCausalLM;
  readonly codec: TextCodec;
  readonly steps: number;
  /** Mean of the last ten. */
  readonly loss: number;
}

const BATCH = 12;

/**
 * Trains a model on a text.
 *
 * @throws {RangeError} if the text is shorter than what the model sees at once.
 */
export async function trainCharacters(text: string, options: CharacterTraining): Promise<CharacterModel> {
  const { seconds, seed, steps: most = Infinity, context = 96, width = 96, compileOptions = {}, device = "cpu" } =
    options;
  const codec = characterCodec(text);
  const tokens = codec.encode(text);
  if (tokens.length < context + 2) {
    throw new RangeError(`the text has ${tokens.length} characters: give one of more than ${context + 1}`);
  }
  manualSeed(seed);
  const model = new LlamaForCausalLM({
    vocabSize: codec.size,
    hiddenSize: width,
    intermediateSize: 2 * width,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    maxPositionEmbeddings: 1024,
  }).to(device);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 4e-3 });
  const plain = (x: Tensor, y: Tensor): Tensor => {
    const loss = nn.functional.crossEntropy(model.forward(x).flatten(0, 1), y.flatten());
    loss.backward();
    nn.utils.clipGradNorm_(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const step = compileOptions === null ? plain : compile(plain, compileOptions);
  const generator = new Generator(seed);
  const losses: number[] = [];
  const until = performance.now() + seconds * 1000;
  while (losses.length < most && (losses.length === 0 || performance.now() < until)) {
    const starts = Array.from(randint(0, tokens.length - context - 1, [BATCH], { generator }).dataSync(), Number);
    const windows = (shift: number): Tensor =>
      tensor(starts.map((at) => tokens.slice(at + shift, at + shift + context)), { device });
    losses.push(step(windows(0), windows(1)).item());
    options.onStep?.(losses.at(-1) ?? NaN, losses.length);
    // What compiles in the background gets its turn.
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const last = losses.slice(-10);
  return { model, codec, steps: losses.length, loss: last.reduce((a, b) => a + b, 0) / last.length };
}
