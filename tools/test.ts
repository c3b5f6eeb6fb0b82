// deno-lint-ignore-file no-console
/**
 * Runs the whole test suite and ends with one line, `N passed, N failed`.
 *
 * Used by `deno task test` and by continuous integration. Arguments are handed to `deno test` (paths, `--filter`). Tests that need a
 * tool that is absent report themselves as ignored, with the reason in their name. Temporary files go to a folder of this run,
 * which is removed at its end, also after Ctrl-C.
 */
const paths = Deno.args.some((a) => !a.startsWith("-")) ? [] : ["tests/"];
const room = Deno.makeTempDirSync({ prefix: "tessera-tests-" });
if (Deno.build.os !== "windows") Deno.addSignalListener("SIGINT", () => {}); // the tests get it too, and end
const command = new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "-A",
    "--no-check",
    "--parallel",
    "--reporter=dot",
    "--preload=tests/setup.ts",
    ...Deno.args,
    ...paths,
  ],
  cwd: new URL("../", import.meta.url),
  env: { DENO_JOBS: String(navigator.hardwareConcurrency), NO_COLOR: "1", TMPDIR: room, TMP: room },
  stdout: "piped",
  stderr: "inherit",
});
const child = command.spawn();
let tail = "";
const decoder = new TextDecoder();
for await (const chunk of child.stdout) {
  const text = decoder.decode(chunk, { stream: true });
  Deno.stdout.writeSync(new TextEncoder().encode(text));
  tail = (tail + text).slice(-4000);
}
const { code } = await child.status;
try {
  Deno.removeSync(room, { recursive: true });
} catch (error) { // a compiler that a failed test left running may still write there
  console.error(`temporary files remain in ${room}: ${error instanceof Error ? error.message : error}`);
}
const match = [...tail.matchAll(/(\d+) passed[^|]*\| (\d+) failed(?:[^|]*\| (\d+) ignored)?/g)].at(-1);
if (match === undefined) {
  console.log(`0 passed, 1 failed`);
  Deno.exit(code === 0 ? 1 : code);
}
const ignored = match[3] === undefined ? "" : `, ${match[3]} skipped`;
console.log(`\n${match[1]} passed, ${match[2]} failed${ignored}`);
Deno.exit(code);
