/** `tessera explain MODEL.pt2`: the graph, the kernels, and with inputs what launches take. */
import assert from "node:assert/strict";
import { loadSafetensors, saveSafetensors } from "../../src/export/mod.ts";
import { runScript, type ScriptResult } from "../helpers/run_script.ts";
import { nativeTest, withTempDir } from "../runtime/support.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const fixture = (name: string): string => new URL(`../export/fixtures/${name}`, import.meta.url).pathname;

function explain(...args: readonly string[]): Promise<ScriptResult> {
  return runScript(MAIN, ["explain", ...args]);
}

Deno.test("tessera explain shows an exported program's graph and its kernels", async () => {
  const { code, out, err } = await explain(fixture("qkv.pt2"));
  assert.equal(code, 0, err);
  assert.match(out, /aten\.scaled_dot_product_attention\.default\(/);
  assert.match(out, /^kernels {4}\d+ \(\d+ unfused\)$/m);
  assert.match(out, /^ {2}because .* saves \d+ bytes$/m);
  const parts = await explain(fixture("data_sizes.pt2"));
  assert.match(parts.out, /compiled in parts: .*aten\.nonzero\.default yields a size that depends on data at \S+:\d+/);
});

nativeTest("tessera explain times an exported program's launches on inputs from a file", async () => {
  await withTempDir(async (directory) => {
    const all = loadSafetensors(fixture("qkv.safetensors"));
    const inputs = `${directory}/in.safetensors`;
    await saveSafetensors(inputs, new Map([...all].filter(([key]) => key.startsWith("input_"))));
    const trace = `${directory}/trace.json`;
    const { code, out, err } = await explain(fixture("qkv.pt2"), "--inputs", inputs, "--chrome-trace", trace);
    assert.equal(code, 0, err);
    assert.match(out, /^measured \(/m);
    assert.match(out, /contraction .*mm \[/);
    assert.ok(JSON.parse(await Deno.readTextFile(trace)).traceEvents.length > 3);
  });
});

Deno.test("tessera explain says what times of a model need", async () => {
  const timed = await explain(fixture("qkv.pt2"), "--chrome-trace", "trace.json");
  assert.deepEqual([timed.code, timed.out], [2, ""]);
  assert.match(timed.err, /add --inputs FILE/);
  const script = await explain("examples/mlp.ts#model", "--inputs", "in.safetensors");
  assert.equal(script.code, 2);
  assert.match(script.err, /--inputs is for \.pt2 files/);
  const other = await explain(fixture("qkv.pt2"), "--model", "other");
  assert.equal(other.code, 1);
  assert.match(other.err, /other/);
});
