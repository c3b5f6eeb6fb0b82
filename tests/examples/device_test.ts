/** Examples with `--device cuda`: text is generated there token by token, and is the processor's. */
import assert from "node:assert/strict";
import { LlamaForCausalLM } from "../../bench/models/zoo/llama.ts";
import { ExportedSession } from "../../examples/generation/exported_decoder.ts";
import { DecoderSession, generateTokens, type TokenReader } from "../../examples/generation/generate_tokens.ts";
import { manualSeed, readExportedProgram } from "../../mod.ts";
import { cudaTest } from "../helpers/cuda_test.ts";

const GREEDY = { maxTokens: 5, temperature: 0 };
const written = (session: TokenReader): number[] => [...generateTokens(session, [3, 5, 7], GREEDY)];

cudaTest("a decoder on the device reads a cache there and gives the processor's tokens", () => {
  const make = (device: string): LlamaForCausalLM => {
    manualSeed(2);
    return new LlamaForCausalLM({
      vocabSize: 32,
      hiddenSize: 16,
      intermediateSize: 32,
      numHiddenLayers: 1,
      numAttentionHeads: 2,
      maxPositionEmbeddings: 32,
    }).to(device);
  };
  const here = written(new DecoderSession(make("cpu"), { capacity: 16, compileOptions: null }));
  assert.deepEqual(written(new DecoderSession(make("cuda"), { capacity: 16 })), here);
});

cudaTest("an exported decoder generates on the device", async () => {
  const path = new URL("./fixtures/cached_decoder.pt2", import.meta.url).pathname;
  const session = async (device: string): Promise<ExportedSession> =>
    new ExportedSession(await readExportedProgram(path, { device }), device === "cpu" ? { backend: "eager" } : {});
  assert.deepEqual(written(await session("cuda")), written(await session("cpu")));
});
