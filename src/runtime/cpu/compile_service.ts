/**
 * Compiles C++ in the background.
 *
 * Enters: source text. Leaves: a {@linkcode CompileJob} that is polled, awaited or waited for, and in the end names a
 * shared library in the disk cache. The compiler runs under `sh`, which leaves the exit code in a file by rename; so a job
 * makes progress, and `poll()` sees it, while JavaScript computes and the event loop stands still. A process that ends
 * before its compilers leaves their results behind, and the next one adopts them.
 * At most one compiler a core runs at a time. Same key, same job. Mirrors Inductor's `AsyncCompile`.
 */

import { CompileError } from "../../core/errors.ts";
import { log, warnOnce } from "../../core/log.ts";
import { type CacheKey, cacheKey, type DiskCache, diskCache, sha256 } from "../disk_cache.ts";
import { NATIVE_HEADERS } from "./native_sources.ts";
import { findToolchain, type Toolchain, type ToolchainResult } from "./toolchain.ts";

/** What to compile. */
export interface CompileRequest {
  /** One translation unit. May `#include "abi.h"` and `#include "vec.h"`. */
  readonly source: string;
  /** Further translation units of the same library, compiled at the same time. */
  readonly parts?: readonly string[];
  /** For people: names the kept source of a failed job. Not part of the key. */
  readonly name: string;
  /** Appended to {@linkcode baseFlags}, so they can override them. */
  readonly flags?: readonly string[];
  /** A program with a `main` and the C++ compiler's own libraries, not a shared library. */
  readonly executable?: boolean;
}

/** Where a job stands. */
export type CompileState =
  | { readonly state: "pending" }
  | { readonly state: "ready"; readonly path: string }
  | { readonly state: "failed"; readonly error: CompileError };

/** How long a job took, in milliseconds. */
export interface CompileTiming {
  /** From the request to the start of the compiler. */
  readonly queuedMs: number;
  /** From the start of the compiler to the moment its result was seen. */
  readonly compileMs: number;
  /** Null if the cache had it, else why it did not. */
  readonly missReason: string | null;
}

/** Options of {@linkcode CompileService}; all have a default. */
export interface CompileServiceOptions {
  readonly cache?: DiskCache;
  readonly toolchain?: ToolchainResult;
  /** Compilers at a time. Default: the number of cores. */
  readonly concurrency?: number;
  /** A compiler that runs longer is given up. Default 300,000 ms. */
  readonly timeoutMs?: number;
}

/** How often a poll may look at the disk. */
const POLL_INTERVAL_MS = 0.5;

// $1 is the path all files start with, $2 the number of translation units, $3 what linking needs beside the command, which is the rest.
// One unit is compiled and linked in one go; several are compiled at once. A compiler that is given up dies with its shell.
const SCRIPT = `base=$1; parts=$2; link=$3; shift 3; children=; trap 'kill $children' TERM; code=0; n=0
if [ "$parts" = 1 ]; then
  "$@" -o "$base.so" "$base.0.cpp" $link >"$base.log" 2>&1 & children=$!
else
  while [ "$n" -lt "$parts" ]; do
    "$@" -c -o "$base.$n.o" "$base.$n.cpp" >"$base.$n.log" 2>&1 & children="$children $!"; n=$((n + 1))
  done
fi
for child in $children; do wait "$child" || code=$?; done
if [ "$parts" != 1 ]; then
  cat "$base".*.log >"$base.log"
  if [ "$code" = 0 ]; then "$@" -o "$base.so" "$base".*.o $link >>"$base.log" 2>&1 & children=$!; wait "$children" || code=$?; fi
fi
printf %s "$code" >"$base.code"; mv -f "$base.code" "$base.status"`;

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Flags of every kernel: floating point as written (no contraction, signed zeros and NaN kept), no C++ runtime. */
function baseFlags(toolchain: Toolchain, executable = false): readonly string[] {
  return [
    "-O3",
    "-std=gnu++17",
    ...(executable ? ["-pie", "-fPIE"] : ["-shared", "-fPIC"]),
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-asynchronous-unwind-tables",
    "-fno-stack-protector",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-w",
    // Constants beside the code, so that their pages are there with it: what is read under a mask of zeros fetches no page, and takes microseconds where there is none.
    ...(Deno.build.os === "linux" ? ["-Wl,-z,noseparate-code"] : []),
    ...toolchain.isa.flags,
  ];
}

/** Linking without start files and the C++ library halves the time of a small kernel. */
function linkFlags(executable: boolean): readonly string[] {
  if (executable) return Deno.build.os === "linux" ? ["-ldl", "-lpthread", "-lm"] : [];
  return Deno.build.os === "linux" ? ["-nostdlib", "-lm", "-lc", "-lpthread", "-lgcc"] : ["-lm"];
}

/** One compilation. Made by {@linkcode CompileService.compile}. */
export class CompileJob {
  readonly name: string;
  readonly #service: CompileService;
  #state: CompileState = { state: "pending" };
  #timing: CompileTiming | undefined;
  #ready: Promise<string> | undefined;
  #resolve: ((path: string) => void) | undefined;
  #reject: ((error: CompileError) => void) | undefined;

  /** Internal: use {@linkcode CompileService.compile}. */
  constructor(name: string, service: CompileService) {
    this.name = name;
    this.#service = service;
  }

  /** Where the job stands now. Never blocks and needs no turn of the event loop. */
  poll(): CompileState {
    if (this.#state.state === "pending") this.#service.advance();
    return this.#state;
  }

  /** Resolves to the path of the library, rejects with a {@linkcode CompileError}. Keeps the process alive meanwhile. */
  get ready(): Promise<string> {
    if (this.#ready === undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      this.#ready = promise;
      const state = this.poll();
      if (state.state === "ready") resolve(state.path);
      else if (state.state === "failed") reject(state.error);
      else {
        this.#resolve = resolve;
        this.#reject = reject;
        const release = this.#service.hold();
        promise.then(release, release);
      }
    }
    return this.#ready;
  }

  /**
   * Blocks the thread until the job is done and returns the path of the library.
   *
   * @throws {CompileError} with the compiler's message
   */
  waitSync(): string {
    for (let pause = 0.5;; pause = Math.min(pause * 1.3, 10)) {
      const state = this.poll();
      if (state.state === "ready") return state.path;
      if (state.state === "failed") throw state.error;
      Atomics.wait(sleeper, 0, 0, pause);
    }
  }

  /** Times, once the job is done. */
  get timing(): CompileTiming | undefined {
    return this.#timing;
  }

  /** Internal: the service reports the end. */
  settle(state: CompileState, timing: CompileTiming): void {
    this.#state = state;
    this.#timing = timing;
    if (state.state === "ready") this.#resolve?.(state.path);
    else if (state.state === "failed") this.#reject?.(state.error);
  }
}

interface Task {
  readonly job: CompileJob;
  readonly request: CompileRequest;
  readonly key: CacheKey;
  readonly command: readonly string[];
  /** All files of the task start with this path. */
  readonly base: string;
  /** Translation units, and so compilers. */
  readonly units: number;
  readonly missReason: string;
  readonly requested: number;
  started: number;
  child: Deno.ChildProcess | undefined;
}

/** Runs compilers, a bounded number at a time. */
export class CompileService {
  readonly #options: CompileServiceOptions;
  readonly #concurrency: number;
  readonly #jobs = new Map<string, CompileJob>();
  #queue: Task[] = [];
  #running: Task[] = [];
  #holds = 0;
  #lastLook = -Infinity;

  constructor(options: CompileServiceOptions = {}) {
    this.#options = options;
    this.#concurrency = options.concurrency ?? navigator.hardwareConcurrency;
  }

  /** Starts a compilation, or returns the one that is under way. Problems end up in the job, never in an exception. */
  compile(request: CompileRequest): CompileJob {
    const requested = performance.now();
    const found = this.#options.toolchain ?? findToolchain();
    const failed = (message: string): CompileJob => {
      const job = new CompileJob(request.name, this);
      const timing = { queuedMs: 0, compileMs: 0, missReason: null };
      job.settle({ state: "failed", error: new CompileError(message) }, timing);
      return job;
    };
    if (!found.ok) return failed(`${found.problem} ${found.remedy}`);
    try {
      return this.#compile(request, found.toolchain, requested);
    } catch (error) {
      return failed(`cannot compile ${request.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #compile(request: CompileRequest, toolchain: Toolchain, requested: number): CompileJob {
    const cache = this.#options.cache ?? diskCache();
    const flags = [...baseFlags(toolchain, request.executable), ...(request.flags ?? [])];
    const units = [request.source, ...request.parts ?? []];
    const key = cacheKey("so", units.length === 1 ? request.source : JSON.stringify(units), {
      compiler: toolchain.version,
      command: toolchain.command.join(" "),
      isa: toolchain.isa.name,
      flags: flags.join(" "),
      headers: headersHash(),
      platform: `${Deno.build.os} ${Deno.build.arch}`,
    });
    const name = `${cache.directory}/${key.id}`;
    const known = this.#jobs.get(name);
    // A library that was cleared from the disk meanwhile must be made anew; so must what failed for want of room.
    if (known !== undefined && (known.poll().state === "pending" || isUsable(known.poll()))) return known;
    const job = new CompileJob(request.name, this);
    this.#jobs.set(name, job);
    const hit = cache.lookup(key);
    if (hit.hit) {
      const timing = { queuedMs: performance.now() - requested, compileMs: 0, missReason: null };
      job.settle({ state: "ready", path: hit.path }, timing);
      return job;
    }
    const orphan = adopt(cache, key, units.length);
    if (orphan !== null) {
      const timing = { queuedMs: performance.now() - requested, compileMs: 0, missReason: hit.reason };
      job.settle({ state: "ready", path: orphan }, timing);
      return job;
    }
    log("output_code", () => `${request.name}: compiling (cache: ${hit.reason})\n${request.source}`);
    const base = `${cache.directory}/tmp/${key.id}.${crypto.randomUUID()}`;
    const command = [...toolchain.command, ...flags, "-I", writeHeaders(cache)];
    units.forEach((text, i) => Deno.writeTextFileSync(`${base}.${i}.cpp`, text, { mode: 0o600 }));
    const task: Task = {
      job,
      request,
      key,
      command,
      base,
      units: units.length,
      missReason: hit.reason,
      requested,
      started: 0,
      child: undefined,
    };
    this.#queue.push(task);
    this.#startQueued();
    return job;
  }

  /** Internal: looks which compilers are done and starts waiting ones. Looks at the disk only every half millisecond. */
  advance(force = false): void {
    const now = performance.now();
    if (!force && now - this.#lastLook < POLL_INTERVAL_MS) return;
    this.#lastLook = now;
    for (const task of [...this.#running]) this.#look(task);
    this.#startQueued();
  }

  /** Internal: keeps the process alive until the result is called. */
  hold(): () => void {
    if (this.#holds++ === 0) { for (const task of this.#running) task.child?.ref(); }
    return () => {
      if (--this.#holds === 0) { for (const task of this.#running) task.child?.unref(); }
    };
  }

  #startQueued(): void {
    for (;;) {
      const [task] = this.#queue;
      if (task === undefined) return;
      const compilers = this.#running.reduce((n, other) => n + other.units, 0);
      if (compilers > 0 && compilers + task.units > this.#concurrency) return;
      this.#queue.shift();
      this.#start(task);
    }
  }

  #start(task: Task): void {
    task.started = performance.now();
    this.#running.push(task);
    try {
      task.child = new Deno.Command("sh", {
        args: [
          "-c",
          SCRIPT,
          "sh",
          task.base,
          String(task.units),
          linkFlags(task.request.executable === true).join(" "),
          ...task.command,
        ],
        stdin: "null",
        stdout: "null",
        stderr: "null",
        env: { LC_ALL: "C" },
      }).spawn();
    } catch (error) {
      this.#fail(task, `cannot start the compiler: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    if (this.#holds === 0) task.child.unref();
    task.child.status.then(() => {
      this.advance(true);
      if (this.#running.includes(task)) this.#fail(task, "the compiler was killed");
    }, () => {});
  }

  #look(task: Task): void {
    const status = readStatus(task.base);
    if (status === null) {
      const limit = this.#options.timeoutMs ?? 300_000;
      if (performance.now() - task.started < limit) return;
      try {
        task.child?.kill("SIGTERM");
      } catch {
        // Ended in this moment.
      }
      this.#fail(task, `the compiler took longer than ${limit / 1000} s and was given up`);
      return;
    }
    if (status !== 0) {
      this.#fail(task, `the compiler ended with code ${status}:\n${readLog(task)}`);
      return;
    }
    let path: string;
    try {
      path = (this.#options.cache ?? diskCache()).put(task.key, Deno.readFileSync(`${task.base}.so`));
      removeTaskFiles(task.base, task.units);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!exists(`${task.base}.so`)) {
        this.#fail(task, `the compiled library vanished (${reason})`);
        return;
      }
      warnOnce(`a compiled kernel could not be stored in the cache (${reason}) and serves this process only`, "cache");
      path = `${task.base}.so`;
    }
    this.#finish(task, { state: "ready", path });
  }

  #fail(task: Task, reason: string): void {
    const kept = keepSource(task);
    const where = kept === null ? "" : `\nThe source is kept in ${kept}`;
    removeTaskFiles(task.base, task.units);
    this.#finish(task, {
      state: "failed",
      error: new CompileError(`cannot compile ${task.request.name}: ${reason}${where}`),
    });
  }

  #finish(task: Task, state: CompileState): void {
    this.#running = this.#running.filter((other) => other !== task);
    const now = performance.now();
    task.job.settle(state, {
      queuedMs: task.started - task.requested,
      compileMs: now - task.started,
      missReason: task.missReason,
    });
    this.#startQueued();
  }
}

function isUsable(state: CompileState): boolean {
  return state.state === "ready" && exists(state.path);
}

function exists(path: string): boolean {
  return statOrNull(path) !== null;
}

function statOrNull(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch {
    return null;
  }
}

/** The compiler's exit code; null while it runs. */
function readStatus(base: string): number | null {
  if (statOrNull(`${base}.status`) === null) return null;
  return Number(Deno.readTextFileSync(`${base}.status`));
}

function readLog(task: Task): string {
  try {
    const text = Deno.readTextFileSync(`${task.base}.log`).trim().slice(0, 16_000);
    return text.replaceAll(task.base, task.request.name).slice(0, 8000);
  } catch {
    return "(it left no message)";
  }
}

function removeTaskFiles(base: string, units: number): void {
  const own = Array.from({ length: units }, (_, i) => [`${i}.cpp`, `${i}.o`, `${i}.log`]).flat();
  for (const suffix of ["log", "code", "so", "status", ...own]) {
    try {
      Deno.removeSync(`${base}.${suffix}`);
    } catch {
      // Not every task has every file; what stays is swept as stale.
    }
  }
}

/** Moves the source of a failed job out of the swept folder; null if that fails too. */
function keepSource(task: Task): string | null {
  const directory = `${task.base.slice(0, task.base.lastIndexOf("/tmp/"))}/failed`;
  const name = task.request.name.replaceAll(/[^A-Za-z0-9_]/g, "_").slice(0, 60);
  const path = `${directory}/${name}-${task.key.id.slice(0, 8)}.cpp`;
  try {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const command = task.command.join(" ").replaceAll("\n", " ");
    const text = [task.request.source, ...task.request.parts ?? []].join("\n// The next translation unit.\n");
    Deno.writeTextFileSync(path, `// ${command}\n${text}`, { mode: 0o600 });
    return path;
  } catch {
    return null;
  }
}

/** Takes over what the compiler of an ended process left for this key. */
function adopt(cache: DiskCache, key: CacheKey, units: number): string | null {
  try {
    for (const file of Deno.readDirSync(`${cache.directory}/tmp`)) {
      if (!file.name.startsWith(`${key.id}.`) || !file.name.endsWith(".status")) continue;
      const base = `${cache.directory}/tmp/${file.name.slice(0, -".status".length)}`;
      if (readStatus(base) !== 0) continue;
      const path = cache.put(key, Deno.readFileSync(`${base}.so`));
      removeTaskFiles(base, units);
      return path;
    }
  } catch {
    // Another process was faster.
  }
  return null;
}

let hashOfHeaders: string | undefined;

function headersHash(): string {
  return hashOfHeaders ??= sha256(JSON.stringify(NATIVE_HEADERS));
}

/** Writes the headers into the cache, in a folder named by their hash, and returns the folder. */
function writeHeaders(cache: DiskCache): string {
  const directory = `${cache.directory}/include/${headersHash().slice(0, 24)}`;
  for (const [name, text] of Object.entries(NATIVE_HEADERS)) {
    const path = `${directory}/${name}`;
    if (statOrNull(path)?.size === new TextEncoder().encode(text).byteLength) continue;
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    const temporary = cache.temporaryPath(".h");
    Deno.writeTextFileSync(temporary, text, { mode: 0o600 });
    Deno.renameSync(temporary, path);
  }
  return directory;
}

let shared: CompileService | undefined;

/** The process's service. */
function compileService(): CompileService {
  return shared ??= new CompileService();
}

/**
 * Starts compiling a shared library with the process's service.
 *
 * @example
 * ```ts
 * import { compileSharedLibrary } from "./compile_service.ts";
 * const job = compileSharedLibrary({ name: "empty", source: 'extern "C" void empty(void** args) {}' });
 * console.log(job.poll().state); // "pending", or "failed" without a compiler
 * ```
 */
export function compileSharedLibrary(request: CompileRequest): CompileJob {
  return compileService().compile(request);
}
