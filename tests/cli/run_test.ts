import assert from "node:assert/strict";
import { float32 } from "../../src/core/mod.ts";
import { loadSafetensors, saveSafetensors } from "../../src/export/mod.ts";
import { makeUnknown, writeChanged } from "../export/rewrite.ts";
import { runScript, type ScriptResult } from "../helpers/run_script.ts";
import { tensorFrom } from "../../src/tensor/mod.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const fixture = (name: string): string => new URL(`../export/fixtures/${name}`, import.meta.url).pathname;

function run(...args: readonly string[]): Promise<ScriptResult> {
  return runScript(MAIN, ["run", ...args]);
}

/** A fixture's inputs alone, as `run` takes them. */
async function inputsOf(name: string, directory: string): Promise<string> {
  const all = loadSafetensors(fixture(`${name}.safetensors`));
  const path = `${directory}/in.safetensors`;
  await saveSafetensors(path, new Map([...all].filter(([key]) => key.startsWith("input_"))));
  return path;
}

Deno.test("tessera run computes what PyTorch did and ends with one JSON object", async () => {
  const directory = await Deno.makeTempDir();
  const inputs = await inputsOf("mlp_dynamic", directory);
  const outputs = `${directory}/out.safetensors`;
  const args = ["--inputs", inputs, "--outputs", outputs, "--bench", "5", "--json"];
  const { code, out, err } = await runScript(MAIN, ["run", fixture("mlp_dynamic.pt2"), ...args], {
    TESSERA_CACHE_DIR: `${directory}/cache`, // of its own: a plan kept by an earlier run takes no time to compile
  });
  assert.equal(code, 0, err);
  const report = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  assert.equal(report.device, "cpu");
  assert.equal(report.mode, "default");
  assert.equal(report.kind, "compiled");
  assert.equal(report.iterations, 5);
  assert.equal(report.graph_breaks, 0);
  assert.ok(report.kernels > 0);
  for (const key of ["compile_ms", "first_call_ms", "median_ms", "p10_ms", "p90_ms", "peak_bytes"]) {
    assert.ok(report[key] > 0, key);
  }
  assert.ok(report.p10_ms <= report.median_ms && report.median_ms <= report.p90_ms);
  const wanted = loadSafetensors(fixture("mlp_dynamic.safetensors")).get("output_0");
  const got = loadSafetensors(outputs).get("output_0");
  assert.ok(wanted !== undefined && got !== undefined);
  const [a, b] = [got.dataSync(), wanted.dataSync()].map((d) => [...d].map(Number));
  b?.forEach((v, i) => assert.ok(Math.abs(v - (a?.[i] ?? NaN)) <= 1e-5 * Math.max(1, Math.abs(v)), `element ${i}`));
  await Deno.remove(directory, { recursive: true });
});

Deno.test("tessera run --profile lists what launches take, and what they are", async () => {
  const directory = await Deno.makeTempDir();
  const inputs = await inputsOf("mlp_dynamic", directory);
  const args = [fixture("mlp_dynamic.pt2"), "--inputs", inputs, "--bench", "5", "--profile"];
  const start = performance.now();
  const { code, out, err } = await run(...args, "--json");
  const elapsed = performance.now() - start;
  assert.equal(code, 0, err);
  const report = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  assert.ok(report.profile.length > 0 && report.profile.length <= report.kernels);
  for (const row of report.profile) {
    assert.ok(row.wallMs > 0 && row.wallMs < elapsed, `${row.name} took ${row.wallMs} of ${elapsed} ms`);
    assert.ok(row.mebibytes > 0 && row.functions.length > 0);
  }
  assert.ok(
    report.profile.some((row: { what: string; gflop: number }) => /contraction .*m/.test(row.what) && row.gflop > 0),
  );
  assert.match((await run(...args)).out, /GFLOP\/s .*contraction/);
  await Deno.remove(directory, { recursive: true });
});

for (
  const [name, kind, says] of [
    ["unbacked", "compiled", /compiled, what lies between them is run call by call: aten\./],
    ["data_sizes_written", "interpreted", /is not compiled but run node by node: aten\./],
  ] as const
) {
  Deno.test(`tessera run says on standard error what of ${name} is run by itself`, async () => {
    const directory = await Deno.makeTempDir();
    const { code, out, err } = await run(fixture(`${name}.pt2`), "--inputs", await inputsOf(name, directory), "--json");
    assert.equal(code, 0, err);
    assert.match(err, says);
    const report = JSON.parse(out);
    assert.equal(report.kind, kind);
    assert.ok(report.graph_breaks > 0);
    assert.equal(report.median_ms, null);
    await Deno.remove(directory, { recursive: true });
  });
}

Deno.test("tessera run ends with 2 for bad usage and says what to give", async () => {
  const model = fixture("mlp_dynamic.pt2");
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /missing required argument/],
    [[model], /--inputs is missing; the model takes input_0: f32\[/],
    [[model, "--mode", "fast"], /--mode fast: use one of default, reduce-overhead/],
    [[model, "--backend", "xla"], /--backend xla: use one of .*inductor/],
    [[model, "--device", "tpu"], /--device: .*"tpu" is not a device/],
    [[model, "--device", "meta"], /--device meta: nothing is computed there/],
    [[model, "--device", "cpu:3"], /--device: .*there is no "cpu:3"/],
    [[model, "--dtype", "f99"], /--dtype: unknown dtype "f99"/],
    [[model, "--dtype", "int32"], /--dtype int32: give a float dtype/],
    [[model, "--profile"], /--profile lists what timed launches take: add --bench/],
    [[model, "--bench", "2", "--chrome-trace", "t.json"], /--chrome-trace .* add --profile/],
    [[model, "--bench", "many"], /--bench many: give a number/],
    [[model, "--nonsense"], /unknown option '--nonsense'/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await run(...args);
    assert.match(err, message);
    assert.equal(code, 2, err);
  }
});

Deno.test("tessera run ends with 1 for files that do not fit", async () => {
  const directory = await Deno.makeTempDir();
  const inputs = `${directory}/in.safetensors`;
  await saveSafetensors(inputs, { input_0: tensorFrom([2, 5], new Array<number>(10).fill(1), float32) });
  const unsupported = await writeChanged(directory, "unsupported", makeUnknown);
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[`${directory}/none.pt2`, "--inputs", inputs], /run: there is no file .*none\.pt2/],
    [[directory, "--inputs", inputs], /run: .* is a folder, not a file/],
    [[fixture("mlp_dynamic.pt2"), "--inputs", `${directory}/none`], /run: --inputs: there is no file .*none/],
    [
      [fixture("mlp_dynamic.pt2"), "--inputs", inputs, "--outputs", `${directory}/none/out`],
      /--outputs: .*\/none\/out cannot be written: there is no folder .*\/none/,
    ],
    [
      [fixture("mlp_dynamic.pt2"), "--inputs", inputs, "--outputs", directory],
      /--outputs: .* is a folder: name a file/,
    ],
    [[fixture("mlp_dynamic.pt2"), "--inputs", inputs, "--device", "webgpu"], /--device webgpu: there is no backend/],
    [[fixture("mlp_dynamic.pt2"), "--inputs", fixture("mlp_dynamic.safetensors")], /holds output_0; the model takes/],
    [[fixture("mlp_dynamic.pt2"), "--inputs", inputs], /input x: dimension 1 must be 4/],
    [[unsupported, "--inputs", inputs], /cannot run: \d+ things it uses are not supported/],
    [[inputs, "--inputs", inputs], /in\.safetensors/],
  ];
  for (const [args, message] of cases) {
    const { code, err } = await run(...args);
    assert.match(err, message);
    assert.equal(code, 1, err);
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("tessera run says that the folder of TESSERA_TRACE cannot be written, and runs", async () => {
  const directory = await Deno.makeTempDir();
  const inputs = await inputsOf("mlp_dynamic", directory);
  const args = ["run", fixture("mlp_dynamic.pt2"), "--inputs", inputs];
  const { code, err } = await runScript(MAIN, args, { TESSERA_TRACE: `${inputs}/below` });
  assert.equal(code, 0, err);
  assert.match(err, /TESSERA_TRACE: .*below cannot be written/);
  await Deno.remove(directory, { recursive: true });
});
