/** Runs scripts and programs in processes of their own, as a user does, and keeps what they write. */
import assert from "node:assert/strict";

export interface ScriptResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `script` with all permissions and without colours. */
export async function runScript(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ScriptResult> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...args],
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

/** Runs a program with this folder as its cache, in a process of its own; its last line is the result as JSON. */
export async function runProgram<T>(text: string, directory: string): Promise<T> {
  const file = `${directory}/program.ts`;
  await Deno.writeTextFile(file, text);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", `--config=${new URL("../../deno.json", import.meta.url).pathname}`, file],
    env: { TESSERA_CACHE_DIR: `${directory}/cache` },
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1) ?? "") as T;
}

/** Files below a folder whose names match. */
export function* filesOf(directory: string, pattern: RegExp): Generator<string> {
  for (const entry of Deno.readDirSync(directory)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* filesOf(path, pattern);
    else if (pattern.test(entry.name)) yield path;
  }
}
