/**
 * Decoders from a folder in the layout of the Hugging Face Hub: `config.json`, `model.safetensors` (or its parts), `tokenizer.json`.
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { openSafetensors, type Tensor } from "../../mod.ts";
import { GPT2LMHeadModel } from "../../bench/models/zoo/gpt2.ts";
import type { Decoder } from "../../bench/models/zoo/kv_cache.ts";
import { LlamaForCausalLM } from "../../bench/models/zoo/llama.ts";
import { loadPretrained, type PretrainedOptions } from "../../bench/models/zoo/pretrained.ts";
import type { TextCodec } from "./text.ts";

/** A decoder, and what belongs to it. */
export interface HubModel {
  readonly model: Decoder;
  /** Null: the folder has no tokenizer. */
  readonly codec: TextCodec | null;
  /** Tokens that end a text. */
  readonly stopTokens: readonly number[];
  /** False: the folder has no weights, and they are random. */
  readonly isTrained: boolean;
}

type Json = Readonly<Record<string, unknown>>;

async function readJson(path: string): Promise<Json | null> {
  try {
    const value: unknown = JSON.parse(await Deno.readTextFile(path));
    if (typeof value === "object" && value !== null) return value as Json;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new TypeError(`${path} is not a JSON object`);
}

/** Reads settings, and says which are not understood. */
class Settings {
  readonly #config: Json;

  constructor(config: Json) {
    this.#config = config;
  }

  number(name: string, fallback?: number): number {
    const value = this.#config[name] ?? fallback;
    if (typeof value !== "number") throw new TypeError(`config.json: ${name} must be a number, got ${value}`);
    return value;
  }

  /** Refuses what this model's code does not do. */
  only(name: string, ...allowed: readonly unknown[]): void {
    const value = this.#config[name] ?? null;
    if (value === null || allowed.includes(value)) return;
    throw new TypeError(`config.json: ${name} is ${JSON.stringify(value)}; only ${allowed.join(" or ")} is supported`);
  }
}

function makeModel(config: Json): { readonly model: Decoder; readonly options: PretrainedOptions } {
  const settings = new Settings(config);
  const type = config["model_type"];
  if (type === "gpt2") {
    settings.only("activation_function", "gelu_new");
    settings.only("scale_attn_by_inverse_layer_idx", false);
    const model = new GPT2LMHeadModel({
      vocabSize: settings.number("vocab_size"),
      nPositions: settings.number("n_positions", 1024),
      nEmbd: settings.number("n_embd"),
      nLayer: settings.number("n_layer"),
      nHead: settings.number("n_head"),
    });
    return { model, options: { basePrefix: "transformer.", ignored: /\.attn\.(masked_)?bias$/ } };
  }
  if (type === "llama") {
    settings.only("hidden_act", "silu");
    settings.only("attention_bias", false);
    settings.only("mlp_bias", false);
    settings.only("rope_scaling");
    const rope = (config["rope_parameters"] ?? {}) as Json;
    new Settings(rope).only("rope_type", "default");
    const model = new LlamaForCausalLM({
      vocabSize: settings.number("vocab_size"),
      hiddenSize: settings.number("hidden_size"),
      intermediateSize: settings.number("intermediate_size"),
      numHiddenLayers: settings.number("num_hidden_layers"),
      numAttentionHeads: settings.number("num_attention_heads"),
      numKeyValueHeads: settings.number("num_key_value_heads", settings.number("num_attention_heads")),
      ...(typeof config["head_dim"] === "number" ? { headDim: config["head_dim"] } : {}),
      maxPositionEmbeddings: settings.number("max_position_embeddings", 2048),
      rmsNormEps: settings.number("rms_norm_eps", 1e-6),
      ropeTheta: settings.number("rope_theta", new Settings(rope).number("rope_theta", 10000)),
      tieWordEmbeddings: config["tie_word_embeddings"] === true,
    });
    return { model, options: { ignored: /rotary_emb\.inv_freq$/ } };
  }
  throw new TypeError(`config.json: model_type is ${JSON.stringify(type)}; gpt2 and llama are supported`);
}

/** All tensors of a folder: one file, or the parts that an index lists. */
async function readWeights(folder: string): Promise<Map<string, Tensor> | null> {
  const index = await readJson(`${folder}/model.safetensors.index.json`);
  const files = index === null ? ["model.safetensors"] : [...new Set(Object.values(index["weight_map"] as Json))];
  const tensors = new Map<string, Tensor>();
  for (const file of files) {
    if (typeof file !== "string" || !/^[\w.-]+$/.test(file)) throw new TypeError(`no name of a file: ${file}`);
    try {
      await Deno.stat(`${folder}/${file}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && index === null) return null;
      throw error;
    }
    for (const [name, tensor] of openSafetensors(`${folder}/${file}`).tensors()) tensors.set(name, tensor);
  }
  return tensors;
}

/** The tokenizer of a folder, null without one, and the tokens that end a text. `config` is its `config.json`. */
export async function readCodec(
  folder: string,
  config: Json | null = null,
): Promise<{ readonly codec: TextCodec | null; readonly stopTokens: readonly number[] }> {
  const words = await readJson(`${folder}/tokenizer.json`);
  let codec: TextCodec | null = null;
  if (words !== null) {
    const tokenizer = new Tokenizer(words, await readJson(`${folder}/tokenizer_config.json`) ?? {});
    codec = {
      encode: (text) => [...tokenizer.encode(text).ids],
      decode: (tokens) => tokens.length === 0 ? "" : tokenizer.decode(tokens, { skip_special_tokens: true }),
    };
  }
  const settings = config ?? await readJson(`${folder}/config.json`);
  const end = settings?.["eos_token_id"] ?? [];
  const stopTokens = (Array.isArray(end) ? end : [end]).filter((id): id is number => typeof id === "number");
  return { codec, stopTokens };
}

/**
 * Reads a folder.
 *
 * @throws {TypeError} if its settings are not understood or weights do not fit; {Deno.errors.NotFound} without `config.json`.
 */
export async function readHubModel(folder: string): Promise<HubModel> {
  const config = await readJson(`${folder}/config.json`);
  if (config === null) throw new Deno.errors.NotFound(`${folder} has no config.json`);
  const { model, options } = makeModel(config);
  const weights = await readWeights(folder);
  if (weights !== null) loadPretrained(model, weights, options);
  const { codec, stopTokens } = await readCodec(folder, config);
  return { model, codec, stopTokens, isTrained: weights !== null };
}
