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
