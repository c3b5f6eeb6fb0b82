/**
 * Compiles CUDA C++ at run time.
 *
 * Enters: source text and a target. Leaves: a cubin, or PTX for devices that are newer than nvrtc. No headers are included unless
 * the source says so: small kernels then take some tens of milliseconds. Compilations run on Deno's threads, a bounded number
 * at a time; equal requests share one; results are kept in the disk cache under source, target, options and nvrtc's version.
 * nvrtc may be called from several threads as long as each has its own program.
 */

import { CompileError } from "../../core/errors.ts";
import { log } from "../../core/log.ts";
import { type CacheKey, cacheKey, type DiskCache, diskCache } from "../disk_cache.ts";
import { type CompileTarget, findNvrtc, type NvrtcLibrary, versionText } from "./libraries.ts";
import type { Handle } from "./symbols.ts";

/** What to compile. */
export interface NvrtcRequest {
  /** One translation unit. Kernels are declared `extern "C" __global__`. */
  readonly source: string;
  /** From {@linkcode chooseTarget}, or written out: `{ arch: "sm_90a", kind: "cubin" }`. */
  readonly target: CompileTarget;
  /** For people: names the source in messages. Not part of the key. */
  readonly name: string;
  /** Appended to {@linkcode baseOptions}, so they can override them. */
  readonly options?: readonly string[];
}

/** Compiled code. */
export interface NvrtcResult {
  readonly kind: "cubin" | "ptx";
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** nvrtc's warnings; empty from the cache. */
  readonly log: string;
  /** Milliseconds in the compiler; 0 from the cache. */
  readonly compileMs: number;
  /** Milliseconds that it waited for its turn. */
  readonly queuedMs: number;
  /** Null if the cache had it, else why it did not. */
  readonly missReason: string | null;
}

/** Options of {@linkcode NvrtcCompiler}. */
export interface NvrtcOptions {
  readonly cache?: DiskCache;
  /** Compilations at a time. Default: the number of cores. */
  readonly concurrency?: number;
}

/** Options of every kernel: C++17, the source's folder is not searched, floating point as written but for contraction. */
function baseOptions(version: number): readonly string[] {
  return version >= 12_000 ? ["--std=c++17", "--no-source-include"] : ["--std=c++17"];
}

const encoder = new TextEncoder();
const terminated = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(`${text}\0`);

/** One library, ready to compile. */
export class NvrtcCompiler {
  readonly library: NvrtcLibrary;
  readonly #cache: DiskCache | undefined;
  readonly #concurrency: number;
  readonly #underWay = new Map<string, Promise<NvrtcResult>>();
  readonly #queue: { readonly length: number; readonly begin: () => void }[] = [];
  #running = 0;

  constructor(library: NvrtcLibrary, options: NvrtcOptions = {}) {
    this.library = library;
    this.#cache = options.cache;
    this.#concurrency = options.concurrency ?? Math.max(1, navigator.hardwareConcurrency);
  }

  /**
   * Compiles on another thread.
   *
   * @throws {CompileError} (by rejection) with nvrtc's messages and the lines that they are about
   */
  compile(request: NvrtcRequest): Promise<NvrtcResult> {
    const key = this.#keyOf(request);
    const under = this.#underWay.get(key.id);
    if (under !== undefined) return under;
    const job = this.#compile(request, key);
    this.#underWay.set(key.id, job);
    const done = (): void => void this.#underWay.delete(key.id);
    job.then(done, done);
    return job;
  }

  /** Compiles on this thread, which waits. @throws {CompileError} as {@linkcode NvrtcCompiler.compile} */
  compileSync(request: NvrtcRequest): NvrtcResult {
    const key = this.#keyOf(request);
    const known = this.#lookUp(key, request);
    if (typeof known !== "string") return known;
    using program = new Program(this.library, request);
    const started = performance.now();
    const status = program.run();
    return this.#finish(program, status, performance.now() - started, 0, known, request, key);
  }

  /** What the cache has. */
  cached(request: NvrtcRequest): NvrtcResult | null {
    const known = this.#lookUp(this.#keyOf(request), request);
    return typeof known === "string" ? null : known;
  }

  /** Compiles on this thread and leaves the cache alone. @throws {CompileError} as {@linkcode NvrtcCompiler.compile} */
  compileUncached(request: NvrtcRequest): NvrtcResult {
    using program = new Program(this.library, request);
    const started = performance.now();
    const status = program.run();
    return this.#read(program, status, performance.now() - started, 0, "", request);
  }

  /** Puts what was compiled elsewhere into the cache. */
  keep(request: NvrtcRequest, result: NvrtcResult): void {
    this.#disk().put(this.#keyOf(request), result.bytes);
  }

  /** Requests with the same identity give the same code. */
  identityOf(request: NvrtcRequest): string {
    return this.#keyOf(request).id;
  }

  async #compile(request: NvrtcRequest, key: CacheKey): Promise<NvrtcResult> {
    const known = this.#lookUp(key, request);
    if (typeof known !== "string") return known;
    const requested = performance.now();
    if (this.#running >= this.#concurrency) {
      await new Promise<void>((begin) => this.#queue.push({ length: request.source.length, begin }));
    }
    this.#running++;
    try {
      using program = new Program(this.library, request);
      const started = performance.now();
      const status = await program.runAsync();
      const now = performance.now();
      return this.#finish(program, status, now - started, started - requested, known, request, key);
    } finally {
      this.#running--;
      this.#beginNext();
    }
  }

  /** The longest that waits, so that none is left alone at the end. */
  #beginNext(): void {
    const longest = this.#queue.reduce(
      (best, { length }, i) => length > (this.#queue[best]?.length ?? -1) ? i : best,
      0,
    );
    this.#queue.splice(longest, 1)[0]?.begin();
  }

  /** What the cache has, or why it has nothing. */
  #lookUp(key: CacheKey, request: NvrtcRequest): NvrtcResult | string {
    const hit = this.#disk().lookup(key);
    if (!hit.hit) {
      log("output_code", () => `${request.name}: compiling (cache: ${hit.reason})\n${request.source}`);
      return hit.reason;
    }
    return { kind: request.target.kind, bytes: hit.bytes, log: "", compileMs: 0, queuedMs: 0, missReason: null };
  }

  #finish(
    program: Program,
    status: number,
    compileMs: number,
    queuedMs: number,
    missReason: string,
    request: NvrtcRequest,
    key: CacheKey,
  ): NvrtcResult {
    const result = this.#read(program, status, compileMs, queuedMs, missReason, request);
    this.#disk().put(key, result.bytes);
    return result;
  }

  #read(
    program: Program,
    status: number,
    compileMs: number,
    queuedMs: number,
    missReason: string,
    request: NvrtcRequest,
  ): NvrtcResult {
    const text = program.log();
    if (status !== 0) {
      const what = program.statusText(status);
      throw new CompileError(
        `cannot compile ${request.name} for ${request.target.arch}: nvrtc ${versionText(this.library.version)} says ` +
          `${what}\n${withSourceLines(text, request.source, request.name)}`,
      );
    }
    const bytes = program.result(request.target.kind);
    return { kind: request.target.kind, bytes, log: text, compileMs, queuedMs, missReason };
  }

  #disk(): DiskCache {
    return this.#cache ?? diskCache();
  }

  #keyOf(request: NvrtcRequest): CacheKey {
    return cacheKey(request.target.kind, request.source, {
      compiler: `nvrtc ${versionText(this.library.version)}`,
      arch: request.target.arch,
      options: optionsOf(this.library, request).slice(1).join(" "),
    });
  }
}

function optionsOf(library: NvrtcLibrary, request: NvrtcRequest): string[] {
  return [
    `--gpu-architecture=${request.target.arch}`,
    ...baseOptions(library.version),
    ...(request.options ?? []),
  ];
}

/** One `nvrtcProgram`. Holds what the library reads while it works. */
class Program {
  readonly #library: NvrtcLibrary;
  readonly #slot = new BigUint64Array(new ArrayBuffer(8));
  readonly #handle: Handle;
  readonly #options: readonly Uint8Array<ArrayBuffer>[];
  readonly #pointers: BigUint64Array<ArrayBuffer>;

  constructor(library: NvrtcLibrary, request: NvrtcRequest) {
    this.#library = library;
    const { api } = library;
    const fileName = `${request.name.replaceAll(/[^A-Za-z0-9_]/g, "_").slice(0, 80)}.cu`;
    this.#check(
      api.nvrtcCreateProgram(this.#slot, terminated(request.source), terminated(fileName), 0, null, null),
      "nvrtcCreateProgram",
    );
    const handle = Deno.UnsafePointer.create(this.#slot[0] ?? 0n);
    if (handle === null) throw new CompileError("nvrtcCreateProgram returned no program");
    this.#handle = handle;
    this.#options = optionsOf(library, request).map(terminated);
    this.#pointers = new BigUint64Array(new ArrayBuffer(8 * this.#options.length));
    this.#options.forEach((option, i) => {
      this.#pointers[i] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(option));
    });
  }

  run(): number {
    return this.#library.api.nvrtcCompileProgram(this.#handle, this.#options.length, this.#pointers);
  }

  /** The program is kept, and with it the memory that the other thread reads, until the promise is settled. */
  runAsync(): Promise<number> {
    return this.#library.api.nvrtcCompileProgramAsync(this.#handle, this.#options.length, this.#pointers);
  }

  log(): string {
    const { api } = this.#library;
    const size = new BigUint64Array(new ArrayBuffer(8));
    if (api.nvrtcGetProgramLogSize(this.#handle, size) !== 0 || (size[0] ?? 0n) <= 1n) return "";
    const text = new Uint8Array(new ArrayBuffer(Number(size[0])));
    if (api.nvrtcGetProgramLog(this.#handle, text) !== 0) return "";
    return new TextDecoder().decode(text.subarray(0, -1)).trim();
  }

  result(kind: "cubin" | "ptx"): Uint8Array<ArrayBuffer> {
    const { api } = this.#library;
    const size = new BigUint64Array(new ArrayBuffer(8));
    const sizeOf = kind === "cubin" ? api.nvrtcGetCUBINSize : api.nvrtcGetPTXSize;
    const read = kind === "cubin" ? api.nvrtcGetCUBIN : api.nvrtcGetPTX;
    if (sizeOf === null || read === null) {
      throw new CompileError("this nvrtc makes no machine code; use one of CUDA 11.1 or later");
    }
    this.#check(sizeOf(this.#handle, size), `nvrtcGet${kind.toUpperCase()}Size`);
    const bytes = new Uint8Array(new ArrayBuffer(Number(size[0])));
    this.#check(read(this.#handle, bytes), `nvrtcGet${kind.toUpperCase()}`);
    return bytes;
  }

  statusText(status: number): string {
    const text = this.#library.api.nvrtcGetErrorString(status);
    return text === null ? `status ${status}` : Deno.UnsafePointerView.getCString(text);
  }

  [Symbol.dispose](): void {
    this.#library.api.nvrtcDestroyProgram(this.#slot);
  }

  #check(status: number, operation: string): void {
    if (status !== 0) throw new CompileError(`${operation}: ${this.statusText(status)}`);
  }
}

/**
 * Shows under each message the line of the source that it is about.
 *
 * @example
 * ```ts
 * import { withSourceLines } from "./nvrtc.ts";
 * console.log(withSourceLines("add.cu(1): error: no such name", "int x = y;", "add"));
 * ```
 */
export function withSourceLines(text: string, source: string, name: string): string {
  const lines = source.split("\n");
  const shown = new Set<number>();
  return text.slice(0, 16_000).split("\n").flatMap((message) => {
    const number = Number(/^[^()\s]+\.cu\((\d+)\): (?:error|warning|catastrophic error)/.exec(message)?.[1] ?? 0);
    const line = lines[number - 1];
    if (number === 0 || line === undefined || shown.has(number)) return [message];
    shown.add(number);
    return [message, `  ${name}, line ${number}: ${line.trim()}`];
  }).join("\n");
}

let compiler: NvrtcCompiler | undefined;

/**
 * The compiler of this machine.
 *
 * @throws {CompileError} if there is no nvrtc that fits the driver, with the remedy
 */
export function nvrtcCompiler(): NvrtcCompiler {
  if (compiler !== undefined) return compiler;
  const found = findNvrtc();
  if (!found.ok) throw new CompileError(`${found.problem.problem} ${found.problem.remedy}`);
  return compiler = new NvrtcCompiler(found.value);
}
