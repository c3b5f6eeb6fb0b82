/**
 * `tessera run` on the CPU in a process that never loads the compiler.
 *
 * Enters: the command line. What an earlier process compiled is found by the model's file alone; if there is nothing, a process of its own compiles, keeps that, and ends before this one
 * opens the model. So what runs a model holds the runtime, the weights and the activations, and nothing of what compiling took. Whatever cannot be run so (other devices, sizes that
 * change, profiles, wrong arguments) is left to `run.ts`: in the compiling process if there is one, for it has read the program already, else in this one.
 */
import { emitEvent } from "../core/log.ts";
import { fileIdentity } from "../export/file_identity.ts";
import { nativeCall } from "../export/native_call.ts";
import { nativeKey, type NativeOptions, openNative } from "../export/native_entry.ts";
import { loadBuffers, type NamedBuffer } from "../export/safetensors/buffers.ts";
import { verifyNativePlan } from "../runtime/cpu/native_plan.ts";
import { releaseSpareMemory } from "../runtime/cpu/spare_memory.ts";
import { HANDED_OVER } from "./hand_over.ts";
import { EXIT, print, printError } from "./output.ts";
import { checkFiles } from "./paths.ts";
import { type ApartFlags, becomeRun, type Compiled, type ReadyRun } from "./run_as_program.ts";

const VALUED = new Set(["--inputs", "--outputs", "--device", "--backend", "--mode", "--bench", "--model"]);

/** The flags, if the process can do without the compiler with them; else null, and who parses them says what is wrong. */
export function apartFlags(args: readonly string[]): ApartFlags | null {
  if (args[0] !== "run") return null;
  const values = new Map<string, string>();
  const paths: string[] = [];
  let json = false;
  for (let i = 1; i < args.length; i++) {
    const arg = args[i] as string;
    const [, flag = arg, value] = /^(--[a-z-]+)=(.*)$/s.exec(arg) ?? [];
    if (VALUED.has(flag)) {
      const given = value ?? args[++i];
      if (given === undefined) return null;
      values.set(flag, given);
    } else if (arg === "--json") json = true;
    else if (arg.startsWith("-")) return null;
    else paths.push(arg);
  }
  const [path] = paths;
  const calls = values.get("--bench") ?? "0";
  const mode = values.get("--mode") ?? "default";
  if (path === undefined || paths.length !== 1 || !/^\d{1,7}$/.test(calls)) return null;
  if ((values.get("--device") ?? "cpu") !== "cpu" || (values.get("--backend") ?? "inductor") !== "inductor") {
    return null;
  }
  if (!["default", "reduce-overhead", "max-autotune", "aot"].includes(mode)) return null;
  return {
    path,
    inputs: values.get("--inputs") ?? null,
    outputs: values.get("--outputs") ?? null,
    model: values.get("--model") ?? null,
    mode,
    calls: Number(calls),
    json,
  };
}

function optionsOf({ mode, model }: ApartFlags): NativeOptions {
  return { mode, ...(model === null ? {} : { model }) };
}

/** What is known of a model: nothing (or nothing that can be used), inputs that the program has to complain of, or all that it takes to run it. */
async function open(flags: ApartFlags): Promise<ReadyRun | "absent" | "other inputs"> {
  const start = performance.now();
  releaseSpareMemory();
  const known = openNative(flags.path, optionsOf(flags));
  if (known === null) return "absent";
  const file = flags.inputs === null ? new Map<string, NamedBuffer>() : loadBuffers(flags.inputs);
  try {
    const made = file === null ? null : await nativeCall(known.entry, file);
    if (made === null) return "other inputs";
    const { model, constants } = known.files;
    verifyNativePlan(made.plan, { model: model.byteLength, constants: constants?.byteLength ?? null });
    return { ...known, ...made, flags, openMs: performance.now() - start, compiled: null };
  } catch (error) {
    // A condition of the program that these inputs break.
    if (error instanceof RangeError) throw error;
    return unusable(flags, error);
  }
}

function unusable({ path }: ApartFlags, error: unknown): "absent" {
  const why = error instanceof Error ? error.message : String(error);
  emitEvent({ kind: "cache", message: `${path}: what is kept of it cannot be used: ${why}` });
  return "absent";
}

/** Runs a model: another program in the place of this process, or this process; "absent" if its libraries do not load. */
async function call(ready: ReadyRun): Promise<number | "absent"> {
  becomeRun(ready);
  const { openRun } = await loadRunHere();
  let run: () => Promise<number>;
  try {
    run = openRun(ready);
  } catch (error) {
    return unusable(ready.flags, error);
  }
  return await run();
}

/** Loads a module by its address: Deno reads what an import names when the process starts, needed or not. */
async function loadRunHere(): Promise<typeof import("./run_here.ts")> {
  return await import(new URL("./run_here.ts", import.meta.url).href) as typeof import("./run_here.ts");
}

/** This process's permissions as flags; null if they are too few to start one that compiles. */
function permissions(): readonly string[] | null {
  const needed = ["read", "write", "run", "ffi", "env"] as const;
  const granted = [...needed, "sys", "net"].filter((name) =>
    Deno.permissions.querySync({ name } as Deno.PermissionDescriptor).state === "granted"
  );
  if (!needed.every((name) => granted.includes(name))) return null;
  // What the processor can do stands in a file that is not read with less than all of them.
  return mayReadSystem() ? ["--allow-all"] : granted.map((name) => `--allow-${name}`);
}

function mayReadSystem(): boolean {
  try {
    return Deno.readTextFileSync("/proc/self/status") !== "";
  } catch {
    return false;
  }
}

/** Compiles in a process of its own. A number is the exit code of a process that ran the model itself; null: there can be no other process. */
async function compileApart(script: string, args: readonly string[]): Promise<Compiled | number | null> {
  const allowed = permissions();
  // A compiled executable runs itself, whatever it is told.
  if (allowed === null || Deno.build.standalone) return null;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", ...allowed, script, ...args, "--hand-over"],
    // Ends when this process does, and nothing that waits for this process's output waits for the other's.
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = child.stderr.pipeTo(Deno.stderr.writable, { preventClose: true });
  const said = await new Response(child.stdout).text();
  const { code, signal } = await child.status;
  await errors;
  if (signal !== null) throw new Error(`the process that compiles was ended by ${signal}`);
  if (code !== HANDED_OVER) {
    if (said !== "") print(said.trimEnd());
    return code;
  }
  return JSON.parse(said.trim().split("\n").at(-1) ?? "") as Compiled;
}

/** Runs a model in this process without the compiler; its exit code, or null if the whole command line has to do it. */
export async function runApart(script: string, args: readonly string[]): Promise<number | null> {
  const flags = apartFlags(args);
  if (flags === null) return null;
  try {
    // What loading took of the engine's code is not needed beside the weights, and so at each step.
    releaseSpareMemory();
    checkFiles(flags.path, flags);
    // Where nothing can be kept, another process would compile in vain.
    if (nativeKey(fileIdentity(flags.path), optionsOf(flags)) === null) return null;
    const known = await open(flags);
    if (known === "other inputs") return null;
    const code = known === "absent" ? known : await call(known);
    if (code !== "absent") return code;
    const compiled = await compileApart(script, args);
    if (compiled === null || typeof compiled === "number") return compiled;
    const made = await open(flags);
    const done = typeof made === "string" ? "absent" : await call({ ...made, compiled });
    return done === "absent" ? null : done;
  } catch (error) {
    printError(`tessera: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT.failed;
  }
}
