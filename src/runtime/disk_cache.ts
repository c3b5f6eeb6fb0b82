/**
 * A content-addressed cache on disk for compiled things: shared libraries, and later plans and cubins.
 *
 * A {@linkcode CacheKey} has two halves: what was compiled (the content) and by what (the environment: compiler, flags,
 * instruction set). Both are hashed into the name of an index file, which names an object by the SHA-256 of its bytes:
 *
 *     entries/ab/<content>-<environment>.json   →   objects/cd/<sha256>.<kind>
 *
 * Invariants: an object is read only if its bytes have the hash in its name; every file appears by rename, so a reader sees
 * all of it or nothing, however many processes write and wherever one is killed; files belong to their owner only.
 * Because the halves are apart, a miss can say which part of the environment differs. Mirrors Inductor's `FxGraphCache`.
 */

import { config, isStageEnabled, readEnvironment } from "../core/config.ts";
import { emitEvent, warnOnce } from "../core/log.ts";
import { formatBytes } from "./buffer.ts";
import {
  hashFile,
  isFile,
  messageOf,
  readOrEmpty,
  removeIfThere,
  sha256,
  sha256OfParts,
  walk,
  writeParts,
} from "./disk_files.ts";

export { sha256 } from "./disk_files.ts";

/** How often a process that writes little counts the whole cache: small enough to be cheap, so that the limit still holds in the long run. */
const COUNT_CHANCE = 1 / 50;

/** How much of the limit is left when it was passed: listing a large cache takes seconds, so that room is made for many entries at once. */
const SWEPT = 0.8;

/** A number from 0 to 1 that takes none from the program's `Math.random`, which it may have replaced by a sequence of its own. */
function chance(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/** Names one entry. Made by {@linkcode cacheKey}. */
export interface CacheKey {
  /** Kind of bytes, also the file extension: `"so"`, `"plan"`, `"cubin"`. */
  readonly kind: string;
  /** SHA-256 of the content, in hex. */
  readonly content: string;
  /** What else decides the bytes, by name, as in `{ compiler: "gcc version 12.2.0" }`. */
  readonly environment: Readonly<Record<string, string>>;
  /** Content and environment in one hex word. */
  readonly id: string;
}

/** What a look-up found, or the reason why it found nothing. */
export type CacheLookup =
  | { readonly hit: true; readonly path: string; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly hit: false; readonly reason: string };

/** One entry, as {@linkcode DiskCache.entries} lists it. */
export interface CacheEntry {
  readonly kind: string;
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
  readonly created: Date;
  readonly lastUsed: Date;
  readonly environment: Readonly<Record<string, string>>;
}

/** What this process saw, and what lies on disk. */
export interface CacheStats {
  readonly directory: string;
  /** True if the directory asked for could not be used and a folder of this process serves instead. */
  readonly temporary: boolean;
  readonly entries: number;
  readonly bytes: number;
  readonly hits: number;
  readonly misses: number;
  /** How often each reason for a miss occurred. */
  readonly missReasons: Readonly<Record<string, number>>;
}

/** Options of {@linkcode DiskCache}. */
export interface DiskCacheOptions {
  /** The folder; made if missing. */
  readonly directory: string;
  /** Oldest entries go when all objects together exceed this. Default 4 GiB. */
  readonly limitBytes?: number;
}

interface IndexFile {
  readonly format: 1;
  readonly kind: string;
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly created: string;
  readonly environment: Record<string, string>;
}

/** Age after which a file goes: of killed writers (temporary files, unreferenced objects), and sources kept for inspection. */
const STALE_MS = { tmp: 3_600_000, objects: 3_600_000, failed: 7 * 86_400_000 } as const;
const HEX = /^[0-9a-f]{64}$/;

/**
 * Makes a key.
 *
 * @throws {TypeError} if `kind` is not a short lower-case word: it becomes a file extension
 */
export function cacheKey(
  kind: string,
  content: string | Uint8Array,
  environment: Readonly<Record<string, string>>,
): CacheKey {
  return cacheKeyOf(kind, sha256(content), environment);
}

/**
 * The key of content whose hash is known.
 *
 * @throws {TypeError} if `kind` is not a short lower-case word or `contentHash` no SHA-256 in hex: both become parts of file names
 */
export function cacheKeyOf(kind: string, contentHash: string, environment: Readonly<Record<string, string>>): CacheKey {
  if (!/^[a-z0-9]{1,16}$/.test(kind)) throw new TypeError(`cacheKey: kind "${kind}" must be a word of a-z and 0-9`);
  if (!HEX.test(contentHash)) throw new TypeError("cacheKey: the hash of the content is not one");
  const parts = Object.keys(environment).sort().map((name) => [name, environment[name]]);
  const environmentHash = sha256(JSON.stringify([kind, parts]));
  return { kind, content: contentHash, environment, id: `${contentHash.slice(0, 40)}-${environmentHash.slice(0, 24)}` };
}

/**
 * A cache in one folder.
 *
 * @example
 * ```ts
 * import { cacheKey, DiskCache } from "./disk_cache.ts";
 * const cache = new DiskCache({ directory: Deno.makeTempDirSync() });
 * const key = cacheKey("plan", "source text", { compiler: "1.0" });
 * cache.put(key, new TextEncoder().encode("compiled"));
 * console.assert(cache.lookup(key).hit);
 * ```
 */
export class DiskCache {
  readonly directory: string;
  readonly temporary: boolean;
  readonly limitBytes: number;
  #hits = 0;
  readonly #misses = new Map<string, number>();
  /** Bytes on disk as far as this process knows, once it has counted them. */
  #bytes: number | undefined;
  #written = 0;

  constructor(options: DiskCacheOptions) {
    this.limitBytes = options.limitBytes ?? 4 * 2 ** 30;
    const problem = prepare(options.directory);
    if (problem === null) {
      this.directory = options.directory;
      this.temporary = false;
      this.#sweepStale("tmp");
      this.#sweepStale("failed");
      return;
    }
    this.directory = temporaryDirectory();
    this.temporary = true;
    warnOnce(
      `the cache folder ${options.directory} cannot be used (${problem}); compiled code is kept for this process only. ` +
        `Set TESSERA_CACHE_DIR to a folder of your own.`,
      "cache",
    );
  }

  /** Finds and checks an entry. A damaged one is removed, and the reason says so. Never throws. */
  lookup(key: CacheKey): CacheLookup {
    return this.#lookup(key, true);
  }

  #lookup(key: CacheKey, again: boolean): CacheLookup {
    const indexPath = this.#indexPath(key);
    let text: string;
    try {
      text = Deno.readTextFileSync(indexPath);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return this.#miss(this.#explainAbsence(key));
      return this.#miss(`unreadable: ${messageOf(error)}`);
    }
    const index = parseIndex(text);
    if (index === null || index.kind !== key.kind) return this.#drop(indexPath, key, "index file is damaged");
    const path = this.#objectPath(index.sha256, index.kind);
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = Deno.readFileSync(path);
    } catch (error) {
      // Another process may have replaced the entry since its index was read.
      if (again && readOrEmpty(indexPath) !== text) return this.#lookup(key, false);
      const missing = error instanceof Deno.errors.NotFound;
      return this.#drop(indexPath, key, missing ? "object file is missing" : `unreadable: ${messageOf(error)}`);
    }
    if (bytes.byteLength !== index.bytes || sha256(bytes) !== index.sha256) {
      removeIfThere(path);
      return this.#drop(indexPath, key, "checksum mismatch");
    }
    this.#hits++;
    try {
      const now = new Date();
      Deno.utimeSync(indexPath, now, now);
    } catch {
      // A cache that may be read but not written still serves; only its order of use stays behind.
    }
    return { hit: true, path, bytes };
  }

  /** Where the bytes of an entry lie, checked as {@linkcode DiskCache.lookup} does but never held as a whole; null if there are none. Never throws. */
  locate(key: CacheKey): string | null {
    const index = parseIndex(readOrEmpty(this.#indexPath(key)));
    return index === null || index.kind !== key.kind ? null : this.object(index.kind, index.sha256);
  }

  /** Where the object of this kind and hash lies, if it is there and its bytes have the hash; else null. Never throws. */
  object(kind: string, hash: string): string | null {
    if (!/^[a-z0-9]{1,16}$/.test(kind) || !HEX.test(hash)) return null;
    const path = this.#objectPath(hash, kind);
    try {
      return hashFile(path).sha256 === hash ? path : null;
    } catch {
      return null;
    }
  }

  /** Stores bytes and returns the path of the object. Replaces an entry of the same key. */
  put(key: CacheKey, bytes: Uint8Array): string {
    return this.putParts(key, [bytes]);
  }

  /** As {@linkcode DiskCache.put}, for bytes that lie in several places. */
  putParts(key: CacheKey, parts: readonly Uint8Array[]): string {
    const hash = sha256OfParts(parts);
    const byteLength = parts.reduce((n, part) => n + part.byteLength, 0);
    const objectPath = this.#objectPath(hash, key.kind);
    const index: IndexFile = {
      format: 1,
      kind: key.kind,
      id: key.id,
      sha256: hash,
      bytes: byteLength,
      created: new Date().toISOString(),
      environment: { ...key.environment },
    };
    // The object first: an index never names what is not there.
    const more = isFile(objectPath) ? 0 : byteLength;
    this.#write(objectPath, parts);
    this.#write(this.#indexPath(key), [new TextEncoder().encode(JSON.stringify(index))]);
    this.#written += more;
    if (this.#bytes !== undefined) this.#bytes += more;
    // Counting a large cache takes 0.1 s, so a process that writes little counts it only now and then.
    else if (this.#written > this.limitBytes / 64 || chance() < COUNT_CHANCE) this.#bytes = this.#measure();
    if (this.#bytes !== undefined && this.#bytes > this.limitBytes) this.sweep(this.limitBytes * SWEPT);
    return objectPath;
  }

  /** A path for a temporary file in the cache's file system, so that it can be renamed; swept if its writer dies. */
  temporaryPath(suffix: string): string {
    return `${this.directory}/tmp/${Deno.pid}-${crypto.randomUUID()}${suffix}`;
  }

  /** All whole entries, the most recently used first. */
  entries(): CacheEntry[] {
    const found: CacheEntry[] = [];
    for (const { path: indexPath, info } of walk(`${this.directory}/entries`)) {
      const index = parseIndex(readOrEmpty(indexPath));
      if (index === null) continue;
      found.push({
        kind: index.kind,
        id: index.id,
        path: this.#objectPath(index.sha256, index.kind),
        bytes: index.bytes,
        created: new Date(index.created),
        lastUsed: info.mtime ?? new Date(0),
        environment: index.environment,
      });
    }
    return found.sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
  }

  /** Removes every entry and returns how many there were. Libraries that are loaded stay usable. */
  clear(): number {
    let count = 0;
    // The indices first: none names what is gone.
    for (const part of ["entries", "objects"]) {
      for (const { path } of walk(`${this.directory}/${part}`)) {
        removeIfThere(path);
        if (part === "entries" && path.endsWith(".json")) count++;
      }
    }
    this.#bytes = 0;
    return count;
  }

  stats(): CacheStats {
    const entries = this.entries();
    return {
      directory: this.directory,
      temporary: this.temporary,
      entries: entries.length,
      bytes: bytesOf(entries),
      hits: this.#hits,
      misses: [...this.#misses.values()].reduce((sum, n) => sum + n, 0),
      missReasons: Object.fromEntries(this.#misses),
    };
  }

  /** Removes what killed writers left, then the least recently used entries until what is left takes so much at most. */
  sweep(mostBytes: number = this.limitBytes): void {
    const entries = this.entries();
    const users = new Map<string, number>();
    for (const { path } of entries) users.set(path, (users.get(path) ?? 0) + 1);
    let total = bytesOf(entries);
    while (total > mostBytes) {
      const oldest = entries.pop();
      if (oldest === undefined) break;
      removeIfThere(`${this.directory}/entries/${oldest.id.slice(0, 2)}/${oldest.id}.json`);
      const others = (users.get(oldest.path) ?? 1) - 1;
      if (others > 0) users.set(oldest.path, others);
      else {
        users.delete(oldest.path);
        removeIfThere(oldest.path);
        total -= oldest.bytes;
      }
    }
    this.#sweepStale("tmp");
    this.#sweepStale("objects", new Set(users.keys()));
    this.#bytes = total;
  }

  #indexPath(key: CacheKey): string {
    return `${this.directory}/entries/${key.id.slice(0, 2)}/${key.id}.json`;
  }

  #objectPath(hash: string, kind: string): string {
    return `${this.directory}/objects/${hash.slice(0, 2)}/${hash}.${kind}`;
  }

  #measure(): number {
    let bytes = 0;
    for (const { info } of walk(`${this.directory}/objects`)) bytes += info.size;
    return bytes;
  }

  #write(path: string, parts: readonly Uint8Array[]): void {
    const temporary = this.temporaryPath(".tmp");
    try {
      Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
      writeParts(temporary, parts);
      Deno.renameSync(temporary, path);
    } catch (error) {
      removeIfThere(temporary);
      throw error;
    }
  }

  #miss(reason: string): CacheLookup {
    this.#misses.set(reason, (this.#misses.get(reason) ?? 0) + 1);
    return { hit: false, reason };
  }

  #drop(indexPath: string, key: CacheKey, reason: string): CacheLookup {
    removeIfThere(indexPath);
    emitEvent({ kind: "cache", message: `dropped cache entry ${key.id}: ${reason}` });
    return this.#miss(reason);
  }

  /** Which part of the environment differs from the nearest entry of the same content. */
  #explainAbsence(key: CacheKey): string {
    const prefix = `${key.id.split("-")[0]}-`;
    let best: string[] | null = null;
    try {
      for (const file of Deno.readDirSync(`${this.directory}/entries/${key.id.slice(0, 2)}`)) {
        if (!file.name.startsWith(prefix)) continue;
        const index = parseIndex(readOrEmpty(`${this.directory}/entries/${key.id.slice(0, 2)}/${file.name}`));
        if (index === null || index.kind !== key.kind) continue;
        const names = new Set([...Object.keys(index.environment), ...Object.keys(key.environment)]);
        const different = [...names].filter((name) => index.environment[name] !== key.environment[name]);
        // The entry itself, if another process has just written it: it explains nothing.
        if (different.length === 0) continue;
        if (best === null || different.length < best.length) best = different;
      }
    } catch {
      // No such folder: nothing with this content.
    }
    return best === null ? "no entry" : `different ${best.sort().join(" and ")}`;
  }

  #sweepStale(part: keyof typeof STALE_MS, kept: ReadonlySet<string> = new Set()): void {
    const limit = Date.now() - STALE_MS[part];
    for (const { path, info } of walk(`${this.directory}/${part}`)) {
      if (!kept.has(path) && (info.mtime?.getTime() ?? 0) < limit) removeIfThere(path);
    }
  }
}

/** What the objects of entries take, each once. */
function bytesOf(entries: readonly CacheEntry[]): number {
  return [...new Map(entries.map(({ path, bytes }) => [path, bytes])).values()].reduce((sum, n) => sum + n, 0);
}

/** Makes the folders; null if they can be used, else why not. */
function prepare(directory: string): string | null {
  try {
    for (const part of ["", "/entries", "/objects", "/tmp"]) {
      Deno.mkdirSync(directory + part, { recursive: true, mode: 0o700 });
    }
    if (Deno.build.os !== "windows") {
      const info = Deno.statSync(directory);
      // Whoever can write here can have this process load code.
      if (((info.mode ?? 0) & 0o022) !== 0) return "others may write to it; run `chmod go-w` on it";
      if (Deno.permissions.querySync({ name: "sys", kind: "uid" }).state === "granted") {
        const uid = Deno.uid();
        if (uid !== null && info.uid !== uid) return "it belongs to another user";
      }
    }
    const probe = `${directory}/tmp/${Deno.pid}-${crypto.randomUUID()}.probe`;
    Deno.writeFileSync(probe, new Uint8Array(), { mode: 0o600 });
    Deno.removeSync(probe);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** A folder that lives as long as the process. */
function temporaryDirectory(): string {
  const directory = Deno.makeTempDirSync({ prefix: "tessera-" });
  prepare(directory);
  globalThis.addEventListener("unload", () => {
    try {
      Deno.removeSync(directory, { recursive: true });
    } catch {
      // The system's own sweep takes it.
    }
  });
  return directory;
}

function parseIndex(text: string): IndexFile | null {
  try {
    const value = JSON.parse(text) as Partial<IndexFile> | null;
    if (
      value === null || typeof value !== "object" || value.format !== 1 || typeof value.kind !== "string" ||
      !/^[a-z0-9]{1,16}$/.test(value.kind) || typeof value.id !== "string" ||
      !/^[0-9a-f]{40}-[0-9a-f]{24}$/.test(value.id) ||
      typeof value.sha256 !== "string" || !HEX.test(value.sha256) || typeof value.bytes !== "number" ||
      typeof value.created !== "string" || typeof value.environment !== "object" || value.environment === null
    ) return null;
    return value as IndexFile;
  } catch {
    return null;
  }
}

/** The folder that holds the cache unless TESSERA_CACHE_DIR says otherwise: the user's cache folder, `tessera`. */
export function defaultCacheDirectory(): string | null {
  const home = readEnvironment("HOME");
  switch (Deno.build.os) {
    case "windows": {
      const local = readEnvironment("LOCALAPPDATA");
      return local === null ? null : `${local}/tessera/cache`;
    }
    case "darwin":
      return home === null ? null : `${home}/Library/Caches/tessera`;
    default: {
      const xdg = readEnvironment("XDG_CACHE_HOME");
      if (xdg !== null && xdg.startsWith("/")) return `${xdg}/tessera`;
      return home === null ? null : `${home}/.cache/tessera`;
    }
  }
}

const open = new Map<string, DiskCache>();

/** The process's cache for the folder that the settings name now. With the stage `cache` disabled, one that starts empty. */
export function diskCache(): DiskCache {
  const directory = isStageEnabled("cache") ? config().cacheDir ?? defaultCacheDirectory() : "";
  const name = directory ?? "";
  let cache = open.get(name);
  if (cache === undefined) {
    if (directory === null) {
      warnOnce("no HOME is set, so compiled code is kept for this process only; set TESSERA_CACHE_DIR", "cache");
    }
    cache = new DiskCache({ directory: name === "" ? temporaryDirectory() : name });
    open.set(name, cache);
  }
  return cache;
}

/** One line about a cache, for people. */
export function cacheSummary(stats: CacheStats): string {
  return `${stats.directory}: ${stats.entries} entries, ${formatBytes(stats.bytes)}${
    stats.temporary ? ", this process only" : ""
  }`;
}
