/** Compiling without permissions: a program that may only read its own modules is captured like any other. */
import assert from "node:assert/strict";

Deno.test("capture needs no permission to read the environment", () => {
  const script = `import { captureStats, compile, ones } from ${
    JSON.stringify(new URL("../../mod.ts", import.meta.url).href)
  };
const f = compile((x) => x.mul(2).sum(), { fullgraph: true });
console.log(f(ones([3])).item(), captureStats(f).entries);`;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const file = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    Deno.writeTextFileSync(file, script);
    const { stdout, stderr } = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", "--no-check", `--config=${config}`, file],
      env: { NO_COLOR: "1" },
    }).outputSync();
    assert.equal(new TextDecoder().decode(stdout).trim(), "6 1", new TextDecoder().decode(stderr));
  } finally {
    Deno.removeSync(file);
  }
});
