// deno-lint-ignore-file no-console
/**
 * One command before every commit: format, lint, generated files, types, imports, documentation tests, tests, publishable.
 *
 * Arguments are parts of the names of steps to run, as `types imports`; without any, all run.
 */
const steps: readonly (readonly [string, readonly string[]])[] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint", "--quiet"]],
  ["generated files", ["run", "-A", "--no-check", "tools/generate.ts", "--check"]],
  ["table of operators", ["run", "-A", "--no-check", "tools/operators_doc.ts", "--check"]],
  ["types", ["check", "--quiet", "mod.ts", "src", "tests", "tools", "bench", "examples"]],
  ["imports", ["run", "--allow-read", "tools/check_imports.ts"]],
  ["documentation examples", ["test", "-A", "--doc", "--parallel", "mod.ts", "src/", "README.md"]],
  ["tests", ["run", "-A", "tools/test.ts"]],
  ["publishable", ["publish", "--dry-run", "--allow-dirty"]],
];
const only = Deno.args;
let failed = 0;
for (const [name, args] of steps) {
  if (only.length > 0 && !only.some((o) => name.includes(o))) continue;
  const start = performance.now();
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: new URL("../", import.meta.url),
    stdout: "piped",
    stderr: "piped",
  }).output();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${name} (${seconds} s)`);
  if (code !== 0) {
    failed++;
    const decoder = new TextDecoder();
    console.log((decoder.decode(stdout) + decoder.decode(stderr)).split("\n").slice(-60).join("\n"));
  }
}
if (failed > 0) Deno.exit(1);
