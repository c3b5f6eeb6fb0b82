/** What `tessera --help` tells people to type works: the files that it names are there, and `explain` explains them. */
import assert from "node:assert/strict";
import { runScript } from "../helpers/run_script.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const ROOT = new URL("../../", import.meta.url).pathname;

Deno.test("the example of explain in tessera --help can be run", async () => {
  const help = await runScript(MAIN, ["--help"], {});
  const named = [...help.out.matchAll(/explain (examples\/\S+)/g)].map((match) => match[1] ?? "");
  assert.ok(named.length > 0, help.out);
  for (const spec of named) {
    const { code, out, err } = await runScript(MAIN, ["explain", `${ROOT}${spec}`], {});
    assert.equal(code, 0, err);
    assert.match(out, /kernels +\d+ \(\d+ unfused\)/);
  }
});

Deno.test("tessera says which permission it needs", async () => {
  const args = ["run", "--no-check", "--no-prompt", MAIN, "--help"];
  const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" }, stderr: "piped" })
    .output();
  assert.equal(code, 1);
  assert.match(new TextDecoder().decode(stderr), /^tessera: Requires read access .*--allow-read/);
});
