/** `tessera doctor` on settings that point nowhere. */
import assert from "node:assert/strict";
import { runScript } from "../helpers/run_script.ts";

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname;

Deno.test("doctor says that TESSERA_CUDA_PATH names no folder, and what to do", async () => {
  for (const path of ["/nowhere/at/all", main]) {
    const { out } = await runScript(main, ["doctor"], { TESSERA_CUDA_PATH: path, CXX: "false" });
    const line = out.split("\n").findIndex((l) => l.startsWith("absent  TESSERA_CUDA_PATH: ") && l.includes(path));
    assert.ok(line > 0, out);
    assert.match(out.split("\n")[line + 1] ?? "", /→ Set it to the folder in which libcuda and libnvrtc lie/);
  }
});
