/**
 * Finds a C++ compiler and what the processor can do.
 *
 * Enters: the `CXX` variable, the machine. Leaves: a {@linkcode Toolchain}, or a {@linkcode ToolchainProblem}, a sentence
 * and a remedy that `doctor` prints and the fall-back to the JavaScript tier shows. Nothing here throws, and nothing runs at
 * import. A feature of the processor is used only if the compiler accepts its flag, so an old compiler costs speed, not
 * correctness. One start of the compiler (10 ms) answers version and flags together.
 */

import { isStageEnabled, readEnvironment } from "../../core/config.ts";
import { emitEvent } from "../../core/log.ts";
import { cacheKey, type DiskCache, diskCache } from "../disk_cache.ts";

/** Instruction sets that the vector layer in `native/cpu/vec.h` has a width for. */
export type IsaName = "avx512" | "avx2" | "neon" | "generic";

/** What kernels may use. */
export interface IsaTarget {
  readonly name: IsaName;
  /** Width of a vector register in bytes; a `vf32` has `vectorBytes / 4` lanes. */
  readonly vectorBytes: 64 | 32 | 16;
  /** Compiler flags that turn exactly these features on. */
  readonly flags: readonly string[];
  readonly hasFma: boolean;
  /** Conversion between f16 and f32 in hardware. */
  readonly hasF16c: boolean;
  /** bf16 dot products and conversion in hardware. */
  readonly hasBf16: boolean;
  /** 8-bit dot products in hardware. */
  readonly hasVnni: boolean;
}

/** A C++ compiler that answered. */
export interface Toolchain {
  /** The command and its own arguments, as in `["ccache", "g++"]`. */
  readonly command: readonly string[];
  readonly family: "gcc" | "clang" | "unknown";
  /** The compiler's own version line; part of every cache key. */
  readonly version: string;
  readonly isa: IsaTarget;
}

/** Why there is no C++ tier, and what mends it. */
export interface ToolchainProblem {
  /** One sentence. */
  readonly problem: string;
  /** What to do, a command where there is one. */
  readonly remedy: string;
}

/** A compiler or the reason why there is none. */
export type ToolchainResult =
  | { readonly ok: true; readonly toolchain: Toolchain }
  | ({ readonly ok: false } & ToolchainProblem);

/** A feature of the processor and the flag that lets the compiler use it. */
interface Feature {
  readonly name: string;
  readonly flag: string;
}

const AVX2_FEATURES: readonly Feature[] = [
  { name: "avx2", flag: "-mavx2" },
  { name: "fma", flag: "-mfma" },
];
const AVX512_FEATURES: readonly Feature[] = [
  ...AVX2_FEATURES,
  { name: "avx512f", flag: "-mavx512f" },
  { name: "avx512bw", flag: "-mavx512bw" },
  { name: "avx512dq", flag: "-mavx512dq" },
  { name: "avx512vl", flag: "-mavx512vl" },
  { name: "avx512cd", flag: "-mavx512cd" },
];
/** Used where present; none of them decides the target. */
const X86_EXTRAS: readonly Feature[] = [
  { name: "f16c", flag: "-mf16c" },
  { name: "bmi1", flag: "-mbmi" },
  { name: "bmi2", flag: "-mbmi2" },
  { name: "abm", flag: "-mlzcnt" },
  { name: "popcnt", flag: "-mpopcnt" },
];
const AVX512_EXTRAS: readonly Feature[] = [
  { name: "avx512_bf16", flag: "-mavx512bf16" },
  { name: "avx512_vnni", flag: "-mavx512vnni" },
];

/**
 * Chooses the target for a set of processor features, by their names in `/proc/cpuinfo`.
 *
 * @example
 * ```ts
 * import { chooseIsa } from "./toolchain.ts";
 * console.assert(chooseIsa("x86_64", new Set(["avx2", "fma"])).name === "avx2");
 * ```
 */
export function chooseIsa(arch: string, features: ReadonlySet<string>): IsaTarget {
  if (arch === "aarch64") {
    return {
      name: "neon",
      vectorBytes: 16,
      flags: [],
      hasFma: true,
      hasF16c: true,
      hasBf16: features.has("bf16"),
      hasVnni: features.has("asimddp"),
    };
  }
  const hasAll = (list: readonly Feature[]): boolean => list.every((feature) => features.has(feature.name));
  const flagsOf = (list: readonly Feature[]): string[] =>
    list.filter((feature) => features.has(feature.name)).map((feature) => feature.flag);
  const common = { hasF16c: features.has("f16c"), hasFma: true };
  if (arch === "x86_64" && hasAll(AVX512_FEATURES)) {
    return {
      ...common,
      name: "avx512",
      vectorBytes: 64,
      flags: [...flagsOf([...AVX512_FEATURES, ...X86_EXTRAS, ...AVX512_EXTRAS]), "-mprefer-vector-width=512"],
      hasBf16: features.has("avx512_bf16"),
      hasVnni: features.has("avx512_vnni"),
    };
  }
  if (arch === "x86_64" && hasAll(AVX2_FEATURES)) {
    const flags = flagsOf([...AVX2_FEATURES, ...X86_EXTRAS]);
    return { ...common, name: "avx2", vectorBytes: 32, flags, hasBf16: false, hasVnni: false };
  }
  return {
    name: "generic",
    vectorBytes: 16,
    flags: [],
    hasFma: false,
    hasF16c: false,
    hasBf16: false,
    hasVnni: false,
  };
}

/** The processor's features: from `/proc/cpuinfo`, from `sysctl` on macOS, else none. */
export function readCpuFeatures(): ReadonlySet<string> {
  try {
    if (Deno.build.os === "linux") {
      const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"));
      return new Set((line?.[1] ?? "").split(/\s+/));
    }
    if (Deno.build.os === "darwin" && Deno.build.arch === "x86_64") {
      const output = run(["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"]);
      // sysctl says AVX512F and AVX1.0 where Linux says avx512f and avx.
      return new Set(output.text.toLowerCase().split(/\s+/));
    }
  } catch {
    // No permission to look: the generic target is right everywhere.
  }
  return new Set();
}

const memo = new Map<string, ToolchainResult>();

/**
 * The compiler that kernels are built with: `CXX` if set, else the first of g++, c++ and clang++ that answers. Found once;
 * a changed `CXX` is looked up anew.
 */
export function findToolchain(): ToolchainResult {
  const cxx = readEnvironment("CXX");
  const key = cxx ?? "";
  let found = memo.get(key);
  if (found === undefined) memo.set(key, found = probeToolchain(cxx));
  return found;
}

/** As {@linkcode findToolchain} for one command, or for the default ones (`null`), without remembering the answer. */
export function probeToolchain(cxx: string | null): ToolchainResult {
  if (Deno.build.os === "windows") {
    return {
      ok: false,
      problem: "The C++ tier does not exist for Windows.",
      remedy: "Use the Windows Subsystem for Linux.",
    };
  }
  if (Deno.permissions.querySync({ name: "run" }).state === "denied") {
    return {
      ok: false,
      problem: "Deno may not start the C++ compiler.",
      remedy: "Run with --allow-run and --allow-ffi.",
    };
  }
  const isa = chooseIsa(Deno.build.arch, readCpuFeatures());
  if (cxx !== null) {
    const command = splitCommand(cxx);
    if (command.length === 0) {
      return { ok: false, problem: "CXX is blank.", remedy: "Set CXX to a C++ compiler, or unset it." };
    }
    const probed = probeOnce(command, isa);
    if (typeof probed !== "string") return { ok: true, toolchain: probed };
    return {
      ok: false,
      problem: `The C++ compiler named by CXX, \`${cxx}\`, does not work: ${probed}.`,
      remedy: "Set CXX to a working g++ or clang++, or unset it.",
    };
  }
  const denied = refusedCache();
  if (denied !== null) return denied;
  const tried: string[] = [];
  for (const name of ["g++", "c++", "clang++"]) {
    const probed = probeOnce([name], isa);
    if (typeof probed !== "string") return { ok: true, toolchain: probed };
    tried.push(`${name}: ${probed}`);
  }
  return {
    ok: false,
    problem: `No C++ compiler works here (${tried.join("; ")}).`,
    remedy: tried.every((t) => t.includes(NOT_ALLOWED))
      ? "Run with --allow-run."
      : Deno.build.os === "darwin"
      ? "Run `xcode-select --install`."
      : "Install one: `apt-get install g++`, `dnf install gcc-c++` or `apk add g++`.",
  };
}

const NOT_ALLOWED = "Deno may not run it (--allow-run)";

/** Kernels are compiled in the folder of the cache; null if it can be written. */
function refusedCache(): ToolchainResult | null {
  try {
    diskCache();
    return null;
  } catch (error) {
    return {
      ok: false,
      problem: `There is no place for compiled kernels (${error instanceof Error ? error.message : String(error)}).`,
      remedy: "Run with --allow-write, or with --allow-write=DIR and TESSERA_CACHE_DIR=DIR.",
    };
  }
}

/** Splits a command as a shell does, for blanks and quotes only. */
export function splitCommand(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|[^\s"']+/g)].map((m) => m[1] ?? m[2] ?? m[0]);
}

/** The file behind a command of one word, with size and time of change; null if that does not identify the compiler. */
function identify(command: readonly string[]): string | null {
  const [program = ""] = command;
  if (command.length !== 1 || program === "") return null;
  const folders = program.includes("/") ? [""] : (readEnvironment("PATH") ?? "").split(":");
  for (const folder of folders) {
    try {
      const path = Deno.realPathSync(folder === "" ? program : `${folder}/${program}`);
      const { size, mtime } = Deno.statSync(path);
      return `${path} ${size} ${mtime?.getTime() ?? 0}`;
    } catch {
      continue;
    }
  }
  return null;
}

/** {@linkcode probe}, remembered on disk for as long as the compiler's file does not change: asking it takes 10 ms and more. */
function probeOnce(command: readonly string[], isa: IsaTarget): Toolchain | string {
  const identity = isStageEnabled("cache") ? identify(command) : null;
  if (identity === null) return probe(command, isa);
  let cache: DiskCache;
  try {
    cache = diskCache();
  } catch {
    return probe(command, isa);
  }
  const key = cacheKey("toolchain", JSON.stringify([command, isa]), { compiler: identity });
  const found = cache.lookup(key);
  if (found.hit) {
    try {
      return JSON.parse(new TextDecoder().decode(found.bytes)) as Toolchain;
    } catch {
      emitEvent({ kind: "cache", message: "the remembered C++ compiler is unreadable; asking it again" });
    }
  }
  const probed = probe(command, isa);
  if (typeof probed !== "string") cache.put(key, new TextEncoder().encode(JSON.stringify(probed)));
  return probed;
}

/** The toolchain, or why this command is none. */
function probe(command: readonly string[], isa: IsaTarget): Toolchain | string {
  let target = isa;
  let output = check(command, target.flags);
  if (output.code !== 0 && target.flags.length > 0 && output.code !== null) {
    // An old compiler may not know the newest extras: take the flags one by one, and the widest set that is whole.
    const plain = check(command, []);
    if (plain.code === 0) {
      const known = target.flags.filter((flag) => check(command, [flag]).code === 0);
      target = restrict(target, known);
      output = check(command, target.flags);
    } else {
      output = plain;
    }
  }
  if (output.code === null) return output.text;
  if (output.code !== 0) {
    const first = output.text.trim().split("\n")[0];
    return `it ends with code ${output.code}${first ? ` and says "${first}"` : " on an empty file"}`;
  }
  const version = /^.*\b(?:gcc|clang|LLVM) version .*$/m.exec(output.text)?.[0].trim();
  if (version === undefined) return "it accepts everything but does not say that it is a gcc or clang";
  const family = /clang/i.test(version) ? "clang" : /gcc/i.test(version) ? "gcc" : "unknown";
  return { command, family, version, isa: target };
}

/** The target that is left when the compiler knows only some flags. */
function restrict(isa: IsaTarget, known: readonly string[]): IsaTarget {
  const features = new Set(
    [...AVX512_FEATURES, ...X86_EXTRAS, ...AVX512_EXTRAS].filter((f) => known.includes(f.flag)).map((f) => f.name),
  );
  const chosen = chooseIsa(isa.name === "neon" ? "aarch64" : "x86_64", features);
  return { ...chosen, flags: chosen.flags.filter((flag) => known.includes(flag)) };
}

function check(command: readonly string[], flags: readonly string[]): CommandOutput {
  return run([...command, "-v", "-x", "c++", "-fsyntax-only", ...flags, "/dev/null"]);
}

interface CommandOutput {
  /** Null if the command could not be started. */
  readonly code: number | null;
  readonly text: string;
}

function run(command: readonly string[]): CommandOutput {
  const [program = "", ...args] = command;
  // Asked first, because starting a program without the permission would stop and prompt.
  if (Deno.permissions.querySync({ name: "run", command: program }).state !== "granted") {
    return { code: null, text: NOT_ALLOWED };
  }
  try {
    const output = new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      env: { LC_ALL: "C" },
    }).outputSync();
    const decoder = new TextDecoder();
    return { code: output.code, text: decoder.decode(output.stderr) + decoder.decode(output.stdout) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { code: null, text: "there is no such program" };
    return { code: null, text: error instanceof Error ? error.message : String(error) };
  }
}
