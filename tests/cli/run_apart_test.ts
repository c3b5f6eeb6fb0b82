/** Runs on the CPU: one process compiles, another runs the model without the compiler, and later ones find what was kept. */
import assert from "node:assert/strict";
import { loadSafetensors, saveSafetensors } from "../../src/export/mod.ts";
import { apartFlags } from "../../src/cli/run_apart.ts";
import { zeros } from "../../src/tensor/mod.ts";
import { filesOf, runScript, type ScriptResult } from "../helpers/run_script.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const fixture = (name: string): string => new URL(`../export/fixtures/${name}`, import.meta.url).pathname;

interface Report {
  readonly kind: string;
  readonly compile_ms: number;
  readonly peak_rss_bytes: number;
  readonly compiler_peak_rss_bytes: number | null;
}

function reportOf({ code, out, err }: ScriptResult): Report {
  assert.equal(code, 0, err);
  return JSON.parse(out.trim().split("\n").at(-1) ?? "") as Report;
}

/** A fixture in a folder of its own, with a cache of its own. */
async function withModel(
  name: string,
  body: (
    run: (...more: readonly string[]) => Promise<ScriptResult>,
    folder: string,
  ) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.copyFile(fixture(`${name}.pt2`), `${folder}/model.pt2`);
    const all = loadSafetensors(fixture(`${name}.safetensors`));
    await saveSafetensors(
      `${folder}/in.safetensors`,
      new Map([...all].filter(([key]) => key.startsWith("input_"))),
    );
    const args = ["--inputs", `${folder}/in.safetensors`, "--outputs", `${folder}/out.safetensors`, "--json"];
    const run = (...more: readonly string[]): Promise<ScriptResult> =>
      runScript(MAIN, ["run", `${folder}/model.pt2`, ...args, ...more], { TESSERA_CACHE_DIR: `${folder}/cache` });
    await body(run, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function assertOutputs(name: string, folder: string): void {
  const wanted = loadSafetensors(fixture(`${name}.safetensors`));
  const got = loadSafetensors(`${folder}/out.safetensors`);
  for (const [key, t] of wanted) {
    if (!key.startsWith("output_")) continue;
    const [a, b] = [got.get(key)?.dataSync() ?? [], t.dataSync()].map((d) => [...d].map(Number));
    assert.deepEqual(got.get(key)?.shape, t.shape);
    b?.forEach((v, i) => assert.ok(Math.abs(v - (a?.[i] ?? NaN)) <= 1e-4 * Math.max(1, Math.abs(v)), `${key}[${i}]`));
  }
}

const STATIC = "qkv";

Deno.test("tessera run compiles in another process, and later ones need no compiler", async () => {
  await withModel(STATIC, async (run, folder) => {
    const first = reportOf(await run());
    assertOutputs(STATIC, folder);
    assert.ok(first.compiler_peak_rss_bytes !== null && first.compile_ms > 0);
    assert.ok(first.peak_rss_bytes < 0.7 * first.compiler_peak_rss_bytes, JSON.stringify(first));
    await Deno.remove(`${folder}/out.safetensors`);
    const second = reportOf(await run("--bench", "3"));
    assertOutputs(STATIC, folder);
    assert.deepEqual([second.compiler_peak_rss_bytes, second.compile_ms], [null, 0]);
    // A library that is damaged, a plan that is, another file: compiled anew.
    for (const [pattern, damage] of [[/\.so$/, "x"], [/\.native$/, "{}"]] as const) {
      for (const path of filesOf(`${folder}/cache/objects`, pattern)) await Deno.writeTextFile(path, damage);
      assert.ok(reportOf(await run()).compiler_peak_rss_bytes !== null, String(pattern));
      assertOutputs(STATIC, folder);
    }
    // The program that runs plans is built again where it is gone.
    const runners = [...filesOf(`${folder}/cache/objects`, /\.so$/)].filter((path) =>
      Deno.readTextFileSync(path).includes("the job of a kept plan")
    );
    assert.equal(runners.length, Deno.build.os === "linux" ? 1 : 0);
    for (const path of runners) await Deno.remove(path);
    assert.equal(reportOf(await run()).compiler_peak_rss_bytes !== null, runners.length > 0);
    assert.equal(reportOf(await run()).compiler_peak_rss_bytes, null);
    await Deno.utime(`${folder}/model.pt2`, new Date(), new Date(Date.now() + 5000));
    assert.ok(reportOf(await run()).compiler_peak_rss_bytes !== null);
    // Inputs that do not fit are told as ever.
    await saveSafetensors(`${folder}/in.safetensors`, new Map());
    const { code, err } = await run();
    assert.equal(code, 1);
    assert.match(err, /has no input_0; the model takes/);
  });
});

Deno.test("tessera run needs no compiler for programs with sizes that change, nor for what they say of others", async () => {
  await withModel("mlp_dynamic", async (run, folder) => {
    assert.ok(reportOf(await run()).compiler_peak_rss_bytes !== null);
    const report = reportOf(await run());
    assert.deepEqual([report.kind, report.compile_ms], ["compiled", 0]);
    assertOutputs("mlp_dynamic", folder);
    await saveSafetensors(`${folder}/in.safetensors`, new Map([["input_0", zeros([1000, 4])]]));
    const { code, err } = await run();
    assert.equal(code, 1);
    assert.match(
      err,
      /^tessera: input x: dimension 0 must be 2 to 64, as the program was exported; it is 1000 \(s77\)\n$/,
    );
  });
});

Deno.test("tessera run writes through links and into pipes, which stay what they are", async () => {
  await withModel(STATIC, async (run, folder) => {
    const out = `${folder}/out.safetensors`, end = `${folder}/end.safetensors`;
    await Deno.symlink("end.safetensors", out);
    // Compiled by the first, kept for the second; the link's end is there for the second only.
    for (const _ of ["new", "there"]) {
      reportOf(await run());
      assert.equal(Deno.lstatSync(out).isSymlink, true);
      assertOutputs(STATIC, folder);
    }
    const bytes = await Deno.readFile(end);
    await Deno.remove(out);
    await new Deno.Command("mkfifo", { args: [out] }).output();
    const read = Deno.readFile(out);
    reportOf(await run());
    assert.equal(Deno.lstatSync(out).isFifo, true);
    assert.deepEqual(await read, bytes);
    await Deno.remove(out);
    for (const [from, to] of [["a", "b"], ["b", "a"]]) await Deno.symlink(`${folder}/${from}`, `${folder}/${to}`);
    const { code, err } = await run("--outputs", `${folder}/a`);
    assert.equal(code, 1);
    assert.match(err, /links follow each other; name a file/);
    assert.deepEqual([...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".part")), []);
  });
});

Deno.test("tessera run leaves programs that need operators between their kernels to the process that compiles", async () => {
  await withModel("cond", async (run, folder) => {
    const report = reportOf(await run());
    assert.deepEqual([report.kind, report.compiler_peak_rss_bytes], ["compiled", null]);
    assertOutputs("cond", folder);
  });
});

Deno.test("tessera run compiles once where nothing can be kept", async () => {
  await withModel(STATIC, async (run, folder) => {
    await Deno.writeTextFile(`${folder}/cache`, "no folder");
    const result = await run();
    assert.equal(reportOf(result).compiler_peak_rss_bytes, null);
    assertOutputs(STATIC, folder);
    // One process says so.
    assert.equal(result.err.match(/the cache folder .* cannot be used/g)?.length, 1, result.err);
  });
});

Deno.test("apartFlags() takes what needs no compiler, and nothing else", () => {
  const flags = apartFlags(["run", "m.pt2", "--bench=5", "--inputs", "a", "--json"]);
  assert.deepEqual(flags, {
    path: "m.pt2",
    inputs: "a",
    outputs: null,
    model: null,
    mode: "default",
    calls: 5,
    json: true,
  });
  for (
    const args of [
      ["inspect", "m.pt2"],
      ["run"],
      ["run", "a", "b"],
      ["run", "m.pt2", "--device", "cuda"],
      ["run", "m.pt2", "--backend", "eager"],
      ["run", "m.pt2", "--dtype", "float16"],
      ["run", "m.pt2", "--profile"],
      ["run", "m.pt2", "--bench", "x"],
      ["run", "m.pt2", "--mode", "quick"],
      ["run", "m.pt2", "--inputs"],
      ["run", "m.pt2", "--hand-over"],
      ["run", "--help"],
    ]
  ) assert.equal(apartFlags(args), null, args.join(" "));
});
