/**
 * Exported programs that an earlier process compiled for the CPU, as a process without a compiler runs them.
 *
 * Enters: a path. Leaves: a plan and its mapped files, found in the cache by the file alone; neither the archive nor the program's JSON is read. An entry belongs to a file of the same place,
 * size, times and inode; its weights were checked against their CRC when it was made, and what the cache holds is checked by its hash. Nothing here imports tensors, operators or the
 * compiler: the process stays as small as the runtime. `keep_native.ts` writes the entries. Mirrors what `aoti_load_package` skips.
 */
import type { StoredExpr, StoredSymbol } from "../capture/stored_sizes.ts";
import { config, emitEvent, isStageEnabled } from "../core/mod.ts";
import { type CacheKey, cacheKey, diskCache } from "../runtime/disk_cache.ts";
import { libraryVersion } from "../runtime/library_version.ts";
import { mapFile } from "../runtime/cpu/mapped_file.ts";
import { hasFfi } from "../runtime/cpu/memory.ts";
import type { NativeFiles, NativePlan } from "../runtime/cpu/native_plan.ts";
import { chooseIsa, readCpuFeatures } from "../runtime/cpu/toolchain.ts";
import { fileIdentity } from "./file_identity.ts";

/** Raise it when the meaning of entries changes. */
const FORMAT = "3";

/** An input as the entry knows it: a tensor, a number whose value is a size, or one that the program was exported for. */
export type NativeInput =
  | {
    readonly kind: "tensor";
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly StoredExpr[];
    /** What the kernels expect. */
    readonly stride: readonly StoredExpr[];
  }
  | { readonly kind: "size"; readonly name: string; readonly value: StoredExpr }
  | { readonly kind: "constant"; readonly name: string; readonly value: number };

/** The sizes of a program that was compiled for many. */
export interface NativeSizes {
  /** Symbols of the program, in which its inputs and conditions are written, and those of the plan. */
  readonly symbols: readonly StoredSymbol[];
  readonly planSymbols: readonly StoredSymbol[];
  /** Null is no bound. */
  readonly ranges: readonly {
    readonly text: string;
    readonly expr: StoredExpr;
    readonly min: number | null;
    readonly max: number | null;
  }[];
  readonly constraints: readonly { readonly cond: string; readonly text: string }[];
  /** Sizes that the plan takes as inputs behind the tensors. */
  readonly given: readonly StoredExpr[];
  /** Where a call shows each size of the plan. */
  readonly sources: readonly (readonly [
    name: string,
    source: readonly [input: number, what: "size" | "shape" | "stride", dim: number],
  ])[];
}

/** What is kept of a program. */
export interface NativeEntry {
  readonly name: string;
  readonly plan: Omit<NativePlan<StoredExpr>, "inputBytes">;
  /** Null where all sizes are numbers. */
  readonly sizes: NativeSizes | null;
  /** Hashes of the libraries, which lie in the cache. */
  readonly library: string;
  readonly threadPool: string;
  /** Of the program that runs plans; null if it could not be built. */
  readonly runner: string | null;
  /** Whether constants are kept beside it. */
  readonly hasConstants: boolean;
  readonly inputs: readonly NativeInput[];
  /** Which of the inputs the plan takes, in its order. */
  readonly tensorInputs: readonly number[];
  readonly stats: {
    readonly kernels: number;
    readonly peakBytes: number;
    readonly attributeBytes: number;
    readonly graphBreaks: number;
  };
}

/** Which program is asked for, and how. */
export interface NativeOptions {
  readonly mode: string;
  /** Which model of the file. */
  readonly model?: string;
}

/** A program whose plan and files are there. */
export interface OpenNative {
  readonly entry: NativeEntry;
  readonly files: NativeFiles;
  /** Paths of the mapped files, and of the program that runs plans. */
  readonly constantsPath: string | null;
  readonly runner: string | null;
}

/** The key of the entry of a file, which is named by its identity; null if nothing may be kept or read now. */
export function nativeKey(file: string | null, { mode, model }: NativeOptions): CacheKey | null {
  const { disabled, profile, logs, traceDir } = config();
  // Who looks at what the compiler does wants it to do it.
  if (!isStageEnabled("cache") || disabled.size > 0 || profile || logs.size > 0 || traceDir !== null) return null;
  const compiler = libraryVersion();
  if (file === null || compiler === null || !hasFfi()) return null;
  // What lies in a folder of this process is gone with it.
  if (diskCache().temporary) return null;
  const isa = chooseIsa(Deno.build.arch, readCpuFeatures());
  const machine = `${isa.name} ${isa.flags.join(" ")} ${navigator.hardwareConcurrency}`;
  return cacheKey("native", JSON.stringify([file, mode, model ?? null]), { compiler, machine, format: FORMAT });
}

/** The key of the constants beside an entry. */
export function nativeConstantsKey(entry: CacheKey): CacheKey {
  return cacheKey("constants", entry.id, { format: FORMAT });
}

/** Opens a program that is kept; null if the cache does not have it. Damaged entries count as absent, and an event says so. */
export function openNative(path: string, options: NativeOptions): OpenNative | null {
  try {
    const file = fileIdentity(path);
    const key = nativeKey(file, options);
    const found = key === null ? null : diskCache().lookup(key);
    if (key === null || found === null || !found.hit) return null;
    const entry = JSON.parse(new TextDecoder().decode(found.bytes)) as NativeEntry;
    const library = diskCache().object("so", entry.library);
    const threadPool = diskCache().object("so", entry.threadPool);
    const constants = entry.hasConstants ? diskCache().locate(nativeConstantsKey(key)) : null;
    const runner = entry.runner === null ? null : diskCache().object("so", entry.runner);
    if (library === null || threadPool === null || (entry.hasConstants && constants === null)) return null;
    // Whoever compiles builds it again.
    if (entry.runner !== null && runner === null) return null;
    const files = {
      library,
      threadPool,
      model: mapFile(path),
      constants: constants === null ? null : mapFile(constants),
    };
    // Another one may have taken its place since it was asked for.
    if (fileIdentity(path) !== file) return null;
    return { entry, files, constantsPath: constants, runner };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    emitEvent({ kind: "cache", message: `${path}: what is kept of it cannot be used: ${why}` });
    return null;
  }
}
