/**
 * The emulator's header, compiled once for all kernels: parsing it takes longer than most kernels do.
 *
 * Enters: the C++ compiler and its flags. Leaves: the flags that let it find what it wrote (GCC's `emulate.h.gch`, kept in the cache by the text of all that is
 * included). A compiler that finds it does not fit reads the header itself, so nothing depends on it.
 */
import { createHash } from "node:crypto";
import { config } from "../../../../src/core/mod.ts";
import { defaultCacheDirectory } from "../../../../src/runtime/disk_cache.ts";

const folder = new URL("./", import.meta.url).pathname;
const HEADERS = ["emulate.h", "emulate_hopper.h", "emulate_cluster.h", "watch.h"];
const known = new Map<string, readonly string[]>();

/** The folder of the cache for what the emulator needs more than once; null without a cache. */
export function emulatorCache(): string | null {
  const cache = config().cacheDir ?? defaultCacheDirectory();
  return cache === null ? null : `${cache}/emulator`;
}

/** Puts a folder that was filled elsewhere where it is looked for, whole or not at all. */
export function publish(made: string, kept: string): void {
  try {
    Deno.renameSync(made, kept);
  } catch {
    // Another process was quicker.
    Deno.removeSync(made, { recursive: true });
  }
}

/** Flags that stand before `flags`; none where the header cannot be compiled in advance. */
export function precompiledFlags(command: readonly string[], flags: readonly string[]): readonly string[] {
  const how = [...command, ...flags].join(" ");
  const found = known.get(how);
  if (found !== undefined) return found;
  const made = compileHeader(command, flags, how);
  known.set(how, made);
  return made;
}

function compileHeader(command: readonly string[], flags: readonly string[], how: string): readonly string[] {
  const cache = emulatorCache();
  if (cache === null) return [];
  const text = HEADERS.map((name) => Deno.readTextFileSync(`${folder}${name}`)).join(how);
  const kept = `${cache}/header-${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
  try {
    if (Deno.statSync(kept).isDirectory) return ["-I", kept];
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const made = `${kept}.${crypto.randomUUID()}`;
  Deno.mkdirSync(made, { recursive: true, mode: 0o700 });
  const [program = "", ...first] = command;
  const own = flags.filter((flag) => flag !== "-shared").map((flag) => flag === "c++" ? "c++-header" : flag);
  const { success } = new Deno.Command(program, {
    args: [...first, ...own, "-o", `${made}/emulate.h.gch`, `${folder}emulate.h`],
    stderr: "null",
  }).outputSync();
  // An empty folder says that it was tried.
  if (!success) { for (const { name } of Deno.readDirSync(made)) Deno.removeSync(`${made}/${name}`); }
  publish(made, kept);
  return ["-I", kept];
}
