/**
 * Runs benchmarks one after the other: `deno task bench [NAME …]`, all without names.
 */
import { print } from "./support.ts";

const NAMES = [
  "demo",
  "first_call",
  "overhead",
  "segments",
  "compile_time",
  "capture",
  "regional",
  "warm_start",
  "operators",
  "cross",
  "convolutions",
];
const asked = Deno.args.length > 0 ? Deno.args : NAMES;
const unknown = asked.filter((name) => !NAMES.includes(name));
if (unknown.length > 0) {
  print(`bench: there is no ${unknown.join(", ")}; there are ${NAMES.join(", ")}`);
  Deno.exit(2);
}
for (const name of asked) {
  print(`\n${name}`);
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", new URL(`${name}.ts`, import.meta.url).pathname],
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (code !== 0) Deno.exit(code);
}
