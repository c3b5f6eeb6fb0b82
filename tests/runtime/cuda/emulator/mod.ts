/**
 * CUDA without a GPU: a libcuda whose device is the processor and a libnvrtc that compiles generated text with the C++ compiler.
 *
 * Everything above the two libraries is what runs on a real device. Call it before the first use of "cuda".
 */
import {
  findDriver,
  findNvrtc,
  openDriver,
  openNvrtc,
  useCudaLibraries,
} from "../../../../src/runtime/cuda/libraries.ts";
import { nvrtcCandidates } from "../../../../src/runtime/cuda/paths.ts";
import { initialize } from "../../../../src/runtime/cuda/driver.ts";
import { createHash } from "node:crypto";
import { findToolchain } from "../../../../src/runtime/cpu/toolchain.ts";
import { EMULATED_FLAGS, WATCHED_FLAGS } from "./kernels.ts";
import { emulatorCache, precompiledFlags, publish } from "./precompiled.ts";
import { openWatcher, type Watcher } from "./watcher.ts";

/** The numbers of the fake driver's settings. */
const DEVICES = 0;
const CAPACITY = 3;
const CAPABILITY = 8;
let found: string | null | undefined;
let theWatcher: Watcher | undefined;

/** What watches emulated kernels, after `emulateCuda({ watched: true })`. */
export function watcher(): Watcher {
  if (theWatcher === undefined) throw new TypeError("emulateCuda({ watched: true }) was not called first");
  return theWatcher;
}

function build(command: readonly string[], args: readonly string[]): void {
  const [program = "", ...first] = command;
  const { success, stderr } = new Deno.Command(program, { args: [...first, ...args], stderr: "piped" }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** A version that no real nvrtc has, another for each emulator: what it makes stays apart in the cache. */
function minorOf(flags: string): number {
  const text = ["emulate.h", "emulate_hopper.h", "emulate_cluster.h", "emulate_end.h", "watch.h"]
    .map((name) => Deno.readTextFileSync(new URL(name, import.meta.url))).join(flags);
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (31 * hash + text.charCodeAt(i)) % 10_000_019;
  return 100 + hash;
}

const LIBRARIES = ["libcuda.so.1", "libnvrtc.so.13"] as const;

/** Options of {@linkcode buildEmulator}. */
interface EmulatorOptions {
  readonly watched?: boolean;
  /** nvrtc is 13 and this. */
  readonly minor?: number;
}

/** Makes libcuda.so.1 and libnvrtc.so.13 in a folder, which `TESSERA_CUDA_PATH` may name. @param command the C++ compiler */
export function buildEmulator(folder: string, command: readonly string[], options: EmulatorOptions = {}): void {
  const own = [...EMULATED_FLAGS, ...options.watched === true ? WATCHED_FLAGS : []];
  const minor = options.minor ?? minorOf(own.join(" "));
  const flags = [...precompiledFlags(command, own), ...own].join(" ");
  // A process needs libraries of its own, for they have state; what the compiler made of one text can be copied. The watched one names its folder.
  const kept = options.watched === true ? null : keptFolder([...command, flags, minor].join(" "));
  if (kept !== null && copyLibraries(kept, folder)) return;
  compileLibraries(folder, command, flags, minor, options.watched === true);
  if (kept === null) return;
  const made = `${kept}.${crypto.randomUUID()}`;
  Deno.mkdirSync(made, { recursive: true, mode: 0o700 });
  copyLibraries(folder, made);
  publish(made, kept);
}

/** Where libraries of this text are kept; null without a cache. */
function keptFolder(how: string): string | null {
  const cache = emulatorCache();
  if (cache === null) return null;
  const text = ["../fake_libcuda.cpp", "fake_libnvrtc.cpp"]
    .map((name) => Deno.readTextFileSync(new URL(name, import.meta.url))).join(how);
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 32);
  return `${cache}/${hash}`;
}

/** Copies both libraries; false if they are not there. */
function copyLibraries(from: string, to: string): boolean {
  try {
    for (const name of LIBRARIES) Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function compileLibraries(
  folder: string,
  command: readonly string[],
  flags: string,
  minor: number,
  watched: boolean,
): void {
  const sources = new URL("./", import.meta.url).pathname;
  const common = ["-std=c++17", "-shared", "-fPIC", "-w", "-O1"];
  const watching = watched ? [`-DWATCHED="${folder}"`, `${sources}watch.cpp`] : [];
  build(command, [...common, "-o", `${folder}/libcuda.so.1`, `${sources}../fake_libcuda.cpp`, ...watching, "-ldl"]);
  build(command, [
    ...common,
    `-DCOMPILER="${command.join(" ")}"`,
    `-DMINOR=${minor}`,
    `-DFLAGS="${flags}"`,
    "-o",
    `${folder}/libnvrtc.so.13`,
    `${sources}fake_libnvrtc.cpp`,
    "-ldl",
  ]);
}

/**
 * Makes the libraries, once a process. Returns null, or why it cannot be done.
 *
 * With `compiler: "real"` only the device is emulated and its kernels do nothing: for seeing whether nvrtc takes what is generated. With `watched`
 * every access of kernels is checked ({@linkcode watcher} says what was found), whatever devices the machine has.
 */
export function emulateCuda(
  options: {
    readonly compiler?: "emulated" | "real";
    readonly memoryBytes?: number;
    readonly watched?: boolean;
    readonly devices?: number;
    /** 10 × major + minor; 90 unless told. */
    readonly capability?: number;
  } = {},
): string | null {
  if (found !== undefined) return found;
  // Real devices serve better, where there are as many as are asked for.
  const own = options.watched === true || options.capability !== undefined || options.memoryBytes !== undefined;
  const real = own ? null : initialize(findDriver());
  if (real?.ok === true && real.value.devices.length >= (options.devices ?? 1) && findNvrtc().ok) return found = null;
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") return found = "the emulated CUDA is for Linux on x86-64";
  const toolchain = findToolchain();
  if (!toolchain.ok) return found = toolchain.problem;
  const { command } = toolchain.toolchain;
  const folder = Deno.makeTempDirSync({ prefix: "tessera-emulated-cuda-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  buildEmulator(folder, command, { watched: options.watched === true });
  const { symbols } = Deno.dlopen(`${folder}/libcuda.so.1`, {
    fake_set: { parameters: ["i32", "f64"], result: "void" },
  });
  if (options.memoryBytes !== undefined) symbols.fake_set(CAPACITY, options.memoryBytes);
  if (options.devices !== undefined) symbols.fake_set(DEVICES, options.devices);
  if (options.capability !== undefined) symbols.fake_set(CAPABILITY, options.capability);
  if (options.watched === true) theWatcher = openWatcher(`${folder}/libcuda.so.1`, symbols.fake_set);
  useCudaLibraries({
    driver: openDriver([`${folder}/libcuda.so.1`]),
    nvrtc: options.compiler === "real"
      ? openNvrtc(nvrtcCandidates(), null)
      : openNvrtc([{ path: `${folder}/libnvrtc.so.13`, major: 13, builtins: null, chosen: true }], null),
  });
  return found = null;
}
