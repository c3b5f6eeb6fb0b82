import assert from "node:assert/strict";
import { runScript, type ScriptResult } from "../helpers/run_script.ts";
import { drawMistakes } from "../../examples/digits/draw.ts";

const DEMO = new URL("../../examples/digits/main.ts", import.meta.url).pathname;

function demo(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<ScriptResult> {
  return runScript(DEMO, args, env);
}

Deno.test("the demo learns without a C++ compiler, says so, and prints plain text", async () => {
  const { code, out, err } = await demo(["--epochs", "1", "--batch", "40", "--train", "2000", "--json"], {
    CXX: "false",
  });
  assert.equal(code, 0, err);
  assert.match(out, /No C\+\+ tier: .*`false`/);
  assert.match(out, /compiled to JavaScript/);
  assert.doesNotMatch(out, /compiled to C\+\+/);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(out, /\x1b/);
  const report = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  assert.ok(report.accuracy > 0.75, `${report.accuracy}`);
  assert.equal(report.epochs, 1);
});

Deno.test("the demo refuses devices and numbers that make no sense", async () => {
  const device = await demo(["--device", "tpu"]);
  assert.equal(device.code, 1);
  assert.match(device.err, /"tpu" is not a device/);
  const epochs = await demo(["--epochs", "none"]);
  assert.equal(epochs.code, 2);
  assert.match(epochs.err, /whole number/);
  const backend = await demo(["--backend", "nonsense"]);
  assert.equal(backend.code, 2);
  assert.match(backend.err, /inductor, eager/);
});

Deno.test("drawMistakes() draws two pixels a character, side by side", () => {
  const pixels = new Float32Array(28 * 28);
  pixels[4 * 28 + 4] = 1; // upper pixel of the first character
  pixels[5 * 28 + 5] = 1; // lower pixel of the second
  pixels[4 * 28 + 6] = pixels[5 * 28 + 6] = 1;
  const lines = drawMistakes([{ pixels, label: 3, guess: 5 }, { pixels, label: 1, guess: 7 }]).split("\n");
  assert.equal(lines.length, 11);
  assert.match(lines[0] ?? "", /^▀▄█ +▀▄█$/);
  assert.match(lines[10] ?? "", /^a 3, taken for a 5 +a 1, taken for a 7$/);
});
