import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import assert from "node:assert/strict";
import { runScript, type ScriptResult } from "../helpers/run_script.ts";
import { cacheKey, DiskCache } from "../../src/runtime/mod.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;

function tessera(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ScriptResult> {
  return runScript(MAIN, args, env);
}

Deno.test("tessera doctor --json reports devices, checks and cache, and ends with 0", async () => {
  const directory = await Deno.makeTempDir();
  const { code, out } = await tessera(["doctor", "--json"], { TESSERA_CACHE_DIR: directory });
  assert.equal(code, 0);
  const report = JSON.parse(out);
  assert.equal(report.devices[0].name, "cpu");
  assert.ok(report.devices[0].tiers.includes("js"));
  assert.equal(report.versions.deno, Deno.version.deno);
  assert.equal(report.cache.directory, directory);
  const names: string[] = report.checks.map((c: { name: string }) => c.name);
  assert.deepEqual(names.filter((name) => !name.startsWith("CUDA")), [
    "JavaScript kernels",
    "C++ compiler",
    "native calls",
    "C++ kernels",
    "cache",
  ]);
  // What there is of CUDA, or what is missing.
  assert.ok(names.some((name) => name.startsWith("CUDA")));
  await Deno.remove(directory, { recursive: true });
});

Deno.test("tessera doctor names the remedy for a broken compiler and still ends with 0", async () => {
  const { code, out } = await tessera(["doctor"], { CXX: "false", TESSERA_CACHE_DIR: await Deno.makeTempDir() });
  assert.equal(code, 0);
  assert.match(
    out,
    /absent {2}C\+\+ compiler: .*`false`.*\n {8}→ Set CXX to a working g\+\+ or clang\+\+, or unset it\./,
  );
  assert.match(out, /device cpu: js\n/);
});

Deno.test("tessera doctor tells that an unwritable cache is not used", async () => {
  const { code, out } = await tessera(["doctor"], { TESSERA_CACHE_DIR: "/proc/none", CXX: "false" });
  assert.equal(code, 0);
  assert.match(out, /absent {2}cache: .*this process only\n {8}→ Set TESSERA_CACHE_DIR/);
});

Deno.test("tessera cache lists, measures and clears", async () => {
  const directory = await Deno.makeTempDir();
  const env = { TESSERA_CACHE_DIR: directory };
  assert.match((await tessera(["cache", "list"], env)).out, /the cache is empty/);
  const cache = new DiskCache({ directory });
  cache.put(cacheKey("plan", "one", { compiler: "1" }), new Uint8Array(2048));
  cache.put(cacheKey("so", "two", { compiler: "1" }), new Uint8Array(10));
  const listed = JSON.parse((await tessera(["cache", "list", "--json"], env)).out);
  assert.deepEqual(listed.map((e: { kind: string }) => e.kind).sort(), ["plan", "so"]);
  const stats = await tessera(["cache", "stats"], env);
  assert.match(stats.out, /entries {2}2\n/);
  assert.match(stats.out, /\.plan\s+1 entries, 2 KiB/);
  assert.match((await tessera(["cache", "clear"], env)).out, /removed 2 entries/);
  assert.equal(JSON.parse((await tessera(["cache", "stats", "--json"], env)).out).entries, 0);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("bad usage ends with 2 and says what is wrong on standard error", async () => {
  for (
    const [args, message] of [
      [[], /Usage: tessera/],
      [["nonsense"], /unknown command 'nonsense'/],
      [["explain"], /missing required argument 'script'/],
      [["doctor", "--nonsense"], /unknown option '--nonsense'/],
      [["explain", "missing.ts#f", "--mode", "fast"], /explain: --mode fast: use one of default, .*max-autotune/],
    ] as const
  ) {
    const { code, out, err } = await tessera(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(err, message);
    assert.equal(out, "");
  }
});

Deno.test("help texts have examples and end with 0", async () => {
  for (const args of [["--help"], ["doctor", "--help"], ["explain", "--help"], ["cache", "--help"]]) {
    const { code, out } = await tessera(args);
    assert.equal(code, 0);
    assert.match(out, /Examples:\n {2}deno task tessera/);
  }
});

const noCompiler = findToolchain().ok ? "" : " [skipped: no C++ compiler]";

async function script(text: string): Promise<string> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, text.replaceAll("@MOD", new URL("../../mod.ts", import.meta.url).href));
  return file;
}

Deno.test("tessera explain shows the graph, the fusion and the guards of a script's function", async () => {
  const file = await script(`
    import { randn, type Tensor } from "@MOD";
    export const inputs = () => [randn([8, 4])];
    export const model = (x: Tensor) => x.relu().mul(2).sum();
  `);
  const { code, out, err } = await tessera(["explain", `${file}#model`], { CXX: "false" });
  assert.equal(code, 0, err);
  assert.match(out, /relu/);
  assert.match(out, /kernels\s+1 \(3 unfused\)/);
  assert.match(out, /guards/);
});

Deno.test({
  name: `tessera explain writes a trace of the launches, with the lines they come from${noCompiler}`,
  ignore: noCompiler !== "",
  fn: async () => {
    const file = await script(`
      import { randn, type Tensor } from "@MOD";
      export const inputs = () => [randn([64, 32]), randn([32, 16])];
      export const model = (x: Tensor, w: Tensor) => x.matmul(w).relu();
    `);
    const trace = await Deno.makeTempFile({ suffix: ".json" });
    const { code, err } = await tessera(["explain", `${file}#model`, "--chrome-trace", trace]);
    assert.equal(code, 0, err);
    const { traceEvents } = JSON.parse(await Deno.readTextFile(trace));
    const [launch, ...others] = traceEvents.filter((e: { ph: string }) => e.ph === "X");
    assert.equal(others.length, 0);
    assert.ok(launch.dur > 0);
    assert.equal(launch.cat, "contraction");
    assert.ok(launch.args["MiB moved"] > 0);
    assert.match(launch.args.source, /\.ts:4:\d+$/);
  },
});

Deno.test("tessera explain says what a script lacks, and fails with 1 if its function fails", async () => {
  const file = await script(`
    export const inputs = [1];
    export const broken = () => { throw new RangeError("a fault of the script"); };
  `);
  const absent = await tessera(["explain", "missing.ts#f"]);
  assert.equal(absent.code, 1);
  assert.match(absent.err, /explain: there is no file missing\.ts/);
  const missing = await tessera(["explain", `${file}#other`]);
  assert.equal(missing.code, 2);
  assert.match(missing.err, /no function "other"; it exports broken/);
  const failing = await tessera(["explain", `${file}#broken`]);
  assert.equal(failing.code, 1);
  assert.match(failing.err, /a fault of the script/);
});

Deno.test("TESSERA_TRACE receives what is compiled as text", async () => {
  const file = await script(`
    import { type Tensor, tensor } from "@MOD";
    export const inputs = () => [tensor([1, 2])];
    export const model = (x: Tensor) => x.relu();
  `);
  const folder = await Deno.makeTempDir();
  const { code, err } = await tessera(["explain", `${file}#model`], { TESSERA_TRACE: folder });
  assert.equal(code, 0, err);
  const texts = new Map<string, string>();
  for (const { name: process } of Deno.readDirSync(folder)) {
    for (const { name } of Deno.readDirSync(`${folder}/${process}`)) {
      texts.set(name.replace(/^\d{4}_/, ""), await Deno.readTextFile(`${folder}/${process}/${name}`));
    }
  }
  assert.match(texts.get("graph.txt") ?? "", /relu/);
  assert.ok(texts.has("guards.txt") && texts.has("loops.txt"), [...texts.keys()].join());
  await Deno.remove(folder, { recursive: true });
});
