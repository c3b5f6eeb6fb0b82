/**
 * Generates text: `deno run -A examples/generate.ts [PROMPT] [--model FOLDER] [--device cuda]`.
 *
 * FOLDER is a GPT-2 or LLaMA as the Hugging Face Hub has them (`config.json`, `model.safetensors`, `tokenizer.json`), or a `.pt2` file of a decoder that PyTorch
 * exported, with `tokenizer.json` beside it. Without one, a small model first learns the characters of a text for some seconds: of `--text`, or of this project's
 * own pages. The decoder is written in TypeScript (bench/models/zoo), reads from a cache of fixed size, and is compiled to one graph for all steps.
 */
// @ts-types="npm:@types/cli-progress@^3.11.6"
import cliProgress from "cli-progress";
import { Command, InvalidArgumentError } from "commander";
import { dirname } from "node:path";
import { manualSeed, readExportedProgram } from "../mod.ts";
import type { Decoder } from "../bench/models/zoo/kv_cache.ts";
import { print } from "./digits/progress.ts";
import { trainCharacters } from "./generation/character_model.ts";
import { ExportedSession } from "./generation/exported_decoder.ts";
import {
  DecoderSession,
  type GenerateOptions,
  generateTokens,
  type TokenReader,
} from "./generation/generate_tokens.ts";
import { readCodec, readHubModel } from "./generation/hub_model.ts";
import { type TextCodec, TextStream } from "./generation/text.ts";

interface Options {
  readonly model?: string;
  readonly text?: string;
  readonly seconds: number;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly seed: number;
  readonly capacity: number;
  readonly device: string;
  readonly eager: boolean;
  readonly bench: boolean;
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Give a number.");
  return value;
}

function whole(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("Give a whole number from 1.");
  return value;
}

const command = new Command("generate")
  .description("Generate text with a decoder written in TypeScript, or exported by PyTorch.")
  .argument("[prompt]", "how the text begins", "The ")
  .option("--model <path>", "folder with config.json, model.safetensors, tokenizer.json, or a .pt2 file")
  .option("--text <file>", "without a model: what a small one learns from")
  .option("--seconds <n>", "without a model: how long it learns", number, 20)
  .option("--tokens <n>", "tokens to generate", whole, 200)
  .option("--temperature <t>", "0 takes the best token always", number, 0.8)
  .option("--top-k <k>", "choose among the k best; 0: all", number, 0)
  .option("--top-p <p>", "choose among the best ones that together have this probability", number, 0.95)
  .option("--seed <n>", "decides weights and choices", number, 0)
  .option("--capacity <n>", "tokens that the cache holds", whole, 512)
  .option("--device <device>", "where the model is: cpu, cuda, cuda:1", "cpu")
  .option("--eager", "do not compile", false)
  .option("--bench", "tokens a second, eager and compiled", false)
  .exitOverride((error) => Deno.exit(error.exitCode === 0 ? 0 : 2))
  .parse();
const options = command.opts<Options>();
const prompt = command.args[0] ?? "The ";

/** The project's own pages, without what tables are padded with. */
async function ownText(): Promise<string> {
  const pages = ["../README.md", "../docs/architecture.md", "../docs/capture.md"];
  const texts = await Promise.all(pages.map((page) => Deno.readTextFile(new URL(page, import.meta.url))));
  return texts.join("\n").replaceAll(/ {2,}|-{4,}/g, " ");
}

async function learn(): Promise<{ readonly model: Decoder; readonly codec: TextCodec }> {
  const text = options.text === undefined ? await ownText() : await Deno.readTextFile(options.text);
  print(`no --model: a small one learns ${text.length} characters for ${options.seconds} s`);
  const bar = new cliProgress.SingleBar({
    format: "learning {bar} {value}/{total} s | step {step} | loss {loss}",
    hideCursor: true,
  }, cliProgress.Presets.shades_classic);
  const start = performance.now();
  const seconds = (): number => Math.round((performance.now() - start) / 1000);
  if (Deno.stdout.isTerminal()) bar.start(Math.round(options.seconds), 0, { step: 0, loss: "…" });
  const { model, codec, steps, loss } = await trainCharacters(text, {
    seconds: options.seconds,
    seed: options.seed,
    device: options.device,
    ...(options.eager ? { compileOptions: null } : {}),
    onStep: (loss, step) => bar.update(seconds(), { step, loss: loss.toFixed(3) }),
  });
  bar.stop();
  print(`${steps} steps, loss ${loss.toFixed(3)}\n`);
  return { model, codec };
}

interface Ready {
  readonly open: (eager: boolean) => TokenReader;
  readonly vocabSize: number;
  readonly codec: TextCodec | null;
  readonly stopTokens: readonly number[];
}

function fromDecoder(model: Decoder): Pick<Ready, "open" | "vocabSize"> {
  const { capacity } = options;
  const open = (eager: boolean): TokenReader =>
    new DecoderSession(model, { capacity, ...(eager ? { compileOptions: null } : {}) });
  return { open, vocabSize: model.vocabSize };
}

async function prepare(): Promise<Ready> {
  const { model: path, capacity } = options;
  if (path === undefined) {
    const { model, codec } = await learn();
    return { ...fromDecoder(model), codec, stopTokens: [] };
  }
  manualSeed(options.seed);
  const noCodec = (): void => print(`${path} has no tokenizer.json: prompt and text are numbers of tokens`);
  if (!path.endsWith(".pt2")) {
    const found = await readHubModel(path);
    if (!found.isTrained) print(`${path} has no model.safetensors: the weights are random, the text is noise`);
    if (found.codec === null) noCodec();
    return { ...fromDecoder(found.model.to(options.device)), codec: found.codec, stopTokens: found.stopTokens };
  }
  const found = await readCodec(dirname(path));
  if (found.codec === null) noCodec();
  const program = await readExportedProgram(path, { device: options.device });
  const open = (eager: boolean): ExportedSession =>
    new ExportedSession(program, { capacity, ...(eager ? { backend: "eager" } : {}) });
  const first = open(options.eager);
  let isTaken = false;
  return {
    ...found,
    vocabSize: first.vocabSize,
    open: (eager) => {
      if (isTaken || eager !== options.eager) return open(eager);
      isTaken = true;
      return first;
    },
  };
}

/** Without a tokenizer, texts are numbers with spaces between. */
const NUMBERS: TextCodec = {
  encode: (text) => text.split(/\s+/).filter((word) => /^\d+$/.test(word)).map(Number),
  decode: (tokens) => tokens.map((token) => `${token} `).join(""),
};

try {
  const { open, vocabSize, codec: found, stopTokens } = await prepare();
  const codec = found ?? NUMBERS;
  const encoded = codec.encode(prompt);
  const start = encoded.length > 0 ? encoded : [0];
  const strange = start.find((id) => id >= vocabSize);
  if (strange !== undefined) throw new RangeError(`token ${strange} is outside the model's ${vocabSize}`);
  const { tokens: maxTokens, temperature, topK, topP, seed } = options;
  const choices: GenerateOptions = { maxTokens, temperature, topK, topP, seed, stopTokens };
  const session = open(options.eager);
  const encoder = new TextEncoder();
  const write = (text: string): void => void Deno.stdout.writeSync(encoder.encode(text));
  const stream = new TextStream(codec);
  write(codec.decode([...start]));
  for (const token of generateTokens(session, start, choices)) write(stream.push(token));
  print(stream.end());

  if (options.bench) {
    print();
    const rate = async (name: string, session: TokenReader): Promise<number> => {
      // The first round compiles; the second is timed.
      for (const _ of generateTokens(session, start, { ...choices, maxTokens: 8, stopTokens: [] }));
      await session.ready();
      session.reset();
      const began = performance.now();
      let count = 0;
      for (const _ of generateTokens(session, start, { ...choices, stopTokens: [] })) count++;
      const perSecond = count / (performance.now() - began) * 1000;
      print(`${name}: ${perSecond.toFixed(1)} tokens/s`);
      return perSecond;
    };
    const eager = await rate("eager", open(true));
    const compiled = await rate("compiled", open(false));
    print(`compiled is ${(compiled / eager).toFixed(1)} times as fast`);
  }
} catch (error) {
  const told = error instanceof RangeError || error instanceof TypeError || error instanceof Deno.errors.NotFound;
  if (!told) throw error;
  Deno.stderr.writeSync(new TextEncoder().encode(`generate: ${error.message}\n`));
  Deno.exit(1);
}
