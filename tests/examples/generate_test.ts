import assert from "node:assert/strict";
import {
  loadSafetensors,
  noGrad,
  onCompile,
  openSafetensors,
  readExportedProgram,
  saveSafetensors,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import type { Decoder } from "../../bench/models/zoo/kv_cache.ts";
import { loadPretrained } from "../../bench/models/zoo/pretrained.ts";
import { LlamaForCausalLM } from "../../bench/models/zoo/llama.ts";
import { trainCharacters } from "../../examples/generation/character_model.ts";
import { ExportedSession } from "../../examples/generation/exported_decoder.ts";
import { DecoderSession, type GenerateOptions, generateTokens } from "../../examples/generation/generate_tokens.ts";
import { readHubModel } from "../../examples/generation/hub_model.ts";
import { sampleToken } from "../../examples/generation/sampling.ts";
import { characterCodec, TextStream } from "../../examples/generation/text.ts";

const FIXTURES = new URL("../models/fixtures/", import.meta.url).pathname;
/** A small LLaMA by transformers: with `TorchExportableModuleWithStaticCache`, without a cache and with a dynamic length, and the best tokens after 5 of them. */
const EXPORTED = new URL("./fixtures/", import.meta.url).pathname;
const JS = { fullgraph: true, options: { tier: "js" } } as const;
/** What transformers' `generate` gives for the prompt 3 5 7, best tokens only. */
const GREEDY = { gpt2: [8, 8, 8, 13, 13, 13, 13, 1], llama: [25, 12, 18, 15, 1, 3, 9, 4] } as const;

/** A folder as the Hub has it; removed by `using`. */
function hubFolder(name: "gpt2" | "llama", more: Readonly<Record<string, string>> = {}): { path: string } & Disposable {
  const path = Deno.makeTempDirSync();
  Deno.copyFileSync(`${FIXTURES}${name}.config.json`, `${path}/config.json`);
  Deno.copyFileSync(`${FIXTURES}${name}.safetensors`, `${path}/model.safetensors`);
  for (const [file, text] of Object.entries(more)) Deno.writeTextFileSync(`${path}/${file}`, text);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** Letters as tokens of a byte-level tokenizer: 26 letters, the space, five more. */
const LETTERS = [..."abcdefghijklmnopqrstuvwxyz", "Ġ", "th", "he", ".", "!", "Ċ"];
const TOKENIZER = JSON.stringify({
  version: "1.0",
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: null,
  decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(LETTERS.map((letter, i) => [letter, i])),
    merges: ["t h", "h e"],
  },
});

function tokensOf(model: Decoder, prompt: readonly number[], options: GenerateOptions): number[] {
  return [...generateTokens(new DecoderSession(model, options), prompt, options)];
}

for (const name of ["gpt2", "llama"] as const) {
  Deno.test(`generateTokens() with the weights of a ${name} file gives the tokens of transformers, eagerly and compiled`, async () => {
    using folder = hubFolder(name);
    const { model, codec, isTrained } = await readHubModel(folder.path);
    assert.ok(isTrained && codec === null);
    for (const compileOptions of [null, JS]) {
      assert.deepEqual(tokensOf(model, [3, 5, 7], { maxTokens: 8, temperature: 0, compileOptions }), GREEDY[name]);
    }
  });
}

Deno.test("generateTokens() compiles one graph for prompts and one for all steps, and the cache changes no result", () => {
  const model = new LlamaForCausalLM({
    vocabSize: 20,
    hiddenSize: 16,
    intermediateSize: 16,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    maxPositionEmbeddings: 64,
  });
  const prompt = Array.from({ length: 37 }, (_, i) => i * 7 % 20);
  let graphs = 0;
  using _ = onCompile(() => graphs++);
  const session = new DecoderSession(model, { compileOptions: JS });
  const found = [...generateTokens(session, prompt, { maxTokens: 12, temperature: 0 })];
  assert.equal(graphs, 2);
  // A second text in the same session: nothing compiles, nothing of the first is left.
  session.reset();
  assert.deepEqual([...generateTokens(session, prompt, { maxTokens: 12, temperature: 0 })], found);
  assert.equal(graphs, 2);
  const all = [...prompt];
  for (const token of found) {
    const logits = noGrad(() => model.forward(tensor([all])).select(1, -1).flatten());
    assert.equal(logits.argmax().item(), token);
    all.push(token);
  }
});

Deno.test("generateTokens() ends with the cache, with stop tokens, and refuses what does not fit", async () => {
  using folder = hubFolder("gpt2");
  const { model } = await readHubModel(folder.path);
  const options = { temperature: 0, compileOptions: null } as const;
  assert.equal(tokensOf(model, [3, 5, 7], options).length, 14); // 16 places, of which the last token needs none
  assert.deepEqual(tokensOf(model, [3, 5, 7], { ...options, stopTokens: [13] }), [8, 8, 8]);
  assert.throws(() => tokensOf(model, new Array(17).fill(1), options), /17 tokens after 0; .*at most 16/);
  assert.throws(() => tokensOf(model, [], options), /at least one/);
  assert.throws(() => tokensOf(model, [1], { ...options, temperature: -1 }), /temperature/);
  assert.throws(() => tokensOf(model, [1], { ...options, topP: 0 }), /topP/);
});

Deno.test("generateTokens() repeats itself for one seed and not for another", async () => {
  using folder = hubFolder("gpt2");
  const { model } = await readHubModel(folder.path);
  const run = (seed: number): string => tokensOf(model, [3], { maxTokens: 12, seed, compileOptions: null }).join();
  assert.equal(run(1), run(1));
  assert.notEqual(run(1), run(2));
});

Deno.test("sampleToken() keeps to temperature, the k best and the nucleus", () => {
  const logits = [0.4, 0.1, 0.3, 0.2].map(Math.log);
  assert.equal(sampleToken(logits, { temperature: 0 }, 0.99), 0);
  // Without limits, in the order of tokens: shares 0.4, 0.1, 0.3, 0.2.
  assert.deepEqual([0.39, 0.41, 0.51, 0.81].map((u) => sampleToken(logits, {}, u)), [0, 1, 2, 3]);
  assert.deepEqual([0.1, 0.99].map((u) => sampleToken(logits, { topK: 2 }, u)), [0, 2]);
  assert.deepEqual([0.1, 0.99].map((u) => sampleToken(logits, { topP: 0.69 }, u)), [0, 2]);
  assert.equal(sampleToken(logits, { topP: 0.01 }, 0.99), 0);
  // A temperature of a half squares the shares: 0.16, 0.01, 0.09, 0.04 of 0.3.
  assert.deepEqual([0.53, 0.54].map((u) => sampleToken(logits, { temperature: 0.5 }, u)), [0, 1]);
  assert.equal(sampleToken([1e30, -Infinity, 1e30], {}, 0.75), 2);
});

Deno.test("TextStream holds back characters that are not whole", () => {
  const bytes = [...new TextEncoder().encode("aü€b")];
  const stream = new TextStream({ encode: () => [], decode: (t) => new TextDecoder().decode(Uint8Array.from(t)) });
  assert.deepEqual(bytes.map((b) => stream.push(b)), ["a", "", "ü", "", "", "€", "b"]);
  assert.equal(stream.push(0xe2), "");
  assert.equal(stream.end(), "\ufffd");
  assert.deepEqual(characterCodec("abca").encode("cxab"), [2, 0, 1]);
});

Deno.test("readHubModel() reads weights in parts, and says what it does not know", async () => {
  using folder = hubFolder("llama");
  const tensors = openSafetensors(`${folder.path}/model.safetensors`).tensors();
  const names = [...tensors.keys()];
  const half = names.length / 2;
  await saveSafetensors(`${folder.path}/a.safetensors`, new Map([...tensors].slice(0, half)));
  await saveSafetensors(`${folder.path}/b.safetensors`, new Map([...tensors].slice(half)));
  const map = Object.fromEntries(names.map((n, i) => [n, i < half ? "a.safetensors" : "b.safetensors"]));
  Deno.writeTextFileSync(`${folder.path}/model.safetensors.index.json`, JSON.stringify({ weight_map: map }));
  const { model } = await readHubModel(folder.path);
  assert.deepEqual(
    tokensOf(model, [3, 5, 7], { maxTokens: 8, temperature: 0, compileOptions: null }),
    GREEDY.llama,
  );
  Deno.writeTextFileSync(`${folder.path}/model.safetensors.index.json`, JSON.stringify({ weight_map: { a: "../a" } }));
  await assert.rejects(readHubModel(folder.path), /no name of a file: \.\.\/a/);
  for (
    const [change, message] of [
      [{ model_type: "bert" }, /model_type is "bert"/],
      [{ hidden_act: "gelu" }, /hidden_act is "gelu"/],
      [{ rope_parameters: { rope_type: "yarn" } }, /rope_type is "yarn"/],
      [{ vocab_size: null }, /vocab_size must be a number/],
    ] as const
  ) {
    const config = JSON.parse(Deno.readTextFileSync(`${FIXTURES}llama.config.json`));
    using other = hubFolder("llama", { "config.json": JSON.stringify({ ...config, ...change }) });
    await assert.rejects(readHubModel(other.path), message);
  }
});

Deno.test("loadPretrained() takes files without the head's prefix and with old buffers, and no others", async () => {
  using folder = hubFolder("gpt2");
  const { model } = await readHubModel(folder.path);
  const tensors = openSafetensors(`${folder.path}/model.safetensors`).tensors();
  const bare = new Map([...tensors].map(([name, t]) => [name.replace(/^transformer\./, ""), t]));
  bare.set("h.0.attn.bias", zeros([1, 1, 16, 16]));
  const before = model.stateDict();
  noGrad(() => model.parameters().forEach((p) => p.zero_()));
  const options = { basePrefix: "transformer.", ignored: /\.attn\.bias$/ };
  loadPretrained(model, bare, options);
  for (const [name, t] of Object.entries(model.stateDict())) {
    assert.deepEqual(t.toArray(), (before[name] ?? zeros([])).toArray(), name);
  }
  assert.ok(model.stateDict()["lm_head.weight"]?.abs().sum().item() !== 0);
  bare.delete("wte.weight");
  assert.throws(() => loadPretrained(model, bare, options), /missing keys: transformer.wte.weight/);
});

Deno.test("trainCharacters() learns a text that repeats itself", async () => {
  const { model, codec, loss } = await trainCharacters("abcde ".repeat(20), {
    seconds: 30,
    steps: 40,
    seed: 0,
    context: 12,
    width: 16,
    compileOptions: JS,
  });
  assert.ok(loss < 0.5, `loss ${loss}`);
  const tokens = tokensOf(model, codec.encode("abc"), { maxTokens: 9, temperature: 0, compileOptions: null });
  assert.equal(codec.decode(tokens), "de abcde ");
  await assert.rejects(trainCharacters("short", { seconds: 1, seed: 0 }), /5 characters/);
});

async function run(script: string, args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(`../../examples/${script}`, import.meta.url).pathname, ...args],
    env: { NO_COLOR: "1", CXX: "false" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test("generate.ts streams the text of a model with its tokenizer", async () => {
  using folder = hubFolder("llama", { "tokenizer.json": TOKENIZER });
  // d f h → z m s p b d j e, the tokens that transformers gives for 3 5 7.
  const { code, out, err } = await run("generate.ts", [
    "dfh",
    "--model",
    folder.path,
    "--temperature",
    "0",
    "--tokens",
    "8",
  ]);
  assert.equal(code, 0, err);
  assert.equal(out, "dfhzmspbdje\n");
});

Deno.test("generate.ts says when weights are random, and refuses what makes no sense", async () => {
  using folder = hubFolder("gpt2");
  Deno.removeSync(`${folder.path}/model.safetensors`);
  const random = await run("generate.ts", ["1 2", "--model", folder.path, "--tokens", "3", "--eager"]);
  assert.equal(random.code, 0, random.err);
  assert.match(random.out, /weights are random/);
  assert.match(random.out, /^1 2( \d+){3} $/m);
  const outside = await run("generate.ts", ["99", "--model", folder.path]);
  assert.equal(outside.code, 1);
  assert.match(outside.err, /token 99 is outside the model's 32/);
  assert.equal((await run("generate.ts", ["--tokens", "none"])).code, 2);
});

Deno.test("exported_model.ts runs a program that PyTorch exported", async () => {
  const file = new URL("../export/fixtures/mlp_dynamic.pt2", import.meta.url).pathname;
  const { code, out, err } = await run("exported_model.ts", [file]);
  assert.equal(code, 0, err);
  assert.equal(out, "float32 [2, 3]\n");
  const missing = await run("exported_model.ts", ["nowhere.pt2"]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /^nowhere\.pt2: No such file[^\n]*\n$/);
});

for (const kind of ["cached", "plain"]) {
  // Each length of the whole text is another one for eager kernels.
  for (const backend of kind === "cached" ? ["inductor", "eager"] : ["inductor"]) {
    Deno.test(`generateTokens() with the ${kind} decoder that PyTorch exported gives PyTorch's tokens (${backend})`, async () => {
      const wanted = [...(loadSafetensors(`${EXPORTED}decoder_tokens.safetensors`).get("tokens") as Tensor).dataSync()];
      const program = await readExportedProgram(`${EXPORTED}${kind}_decoder.pt2`);
      const session = new ExportedSession(program, { backend });
      assert.equal(session.vocabSize, 61);
      assert.equal(session.capacity, kind === "cached" ? 32 : 64);
      const prompt = wanted.slice(0, 5).map(Number);
      const options = { temperature: 0, maxTokens: wanted.length - prompt.length };
      assert.deepEqual([...prompt, ...generateTokens(session, prompt, options)], wanted.map(Number));
      session.reset();
      assert.deepEqual([...prompt, ...generateTokens(session, prompt, options)], wanted.map(Number), "after reset()");
      assert.throws(() => session.read(new Array<number>(64).fill(1)), { name: "RangeError", message: /at most/ });
    });
  }
}

Deno.test("ExportedSession refuses programs that are no decoders", async () => {
  const program = await readExportedProgram(new URL("../export/fixtures/mlp_dynamic.pt2", import.meta.url).pathname);
  assert.throws(() => new ExportedSession(program), { name: "TypeError", message: /takes token numbers \[1, n\]/ });
});

Deno.test("generate.ts runs a decoder that PyTorch exported", async () => {
  const model = `${EXPORTED}cached_decoder.pt2`;
  const { code, out, err } = await run("generate.ts", [
    "5 17 3 44 9",
    "--model",
    model,
    "--tokens",
    "4",
    "--temperature",
    "0",
  ]);
  assert.equal(code, 0, err);
  assert.match(out, /has no tokenizer\.json[^]*5 17 3 44 9 34 22 11 32/);
});
