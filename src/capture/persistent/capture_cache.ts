/**
 * The captures of all processes, on disk.
 *
 * Key: the text of the compiled function, the files that were running when it was compiled, the options, and the version of Tessera and of the runtime. Entry: the
 * last few captures of that function. A call that no entry in memory serves tries each ({@linkcode restoreEntry}); what does not fit is passed over with an
 * event that says why. Writers add to what is there; if two write at once the later one wins, and the other's capture is made again some day.
 * Mirrors the idea of PyTorch's AOTAutogradCache, one level higher: guards are kept as well.
 */
import { config, emitEvent, getDefaultDtype, isStageEnabled, numericsKey } from "../../core/mod.ts";
import { type CacheKey, cacheKey, diskCache, libraryVersion } from "../../runtime/mod.ts";
import { autocastKey, isGradEnabled } from "../../tensor/mod.ts";
import type { BackendContext, CompilerBackend } from "../backends.ts";
import { hasMarks } from "../dynamic.ts";
import { isLibraryFunction } from "../library.ts";
import { canReadScopes } from "../scopes.ts";
import type { Entry, Trace, TraceRequest } from "../trace.ts";
import { describeTrace, NotKept } from "./describe.ts";
import { restoreEntry } from "./restore.ts";
import { BadCapture, type StoredCapture } from "./stored.ts";

/** Raise it when the meaning of stored captures changes. */
const FORMAT = 3;
/** How many captures are kept for one function. */
const MOST = 8;
/** No single capture is larger than this, in characters of JSON. */
const MOST_TEXT = 4_000_000;

interface Bundle {
  readonly format: number;
  readonly captures: readonly StoredCapture[];
}

/** What of a compiled function decides its captures, beside the call. */
export interface CaptureOptions {
  readonly backend: CompilerBackend;
  readonly backendName: string;
  readonly dynamic: boolean | null;
  readonly context: BackendContext;
}

/** Options as text; null if they hold more than plain values. */
function optionsText({ backendName, dynamic, context }: CaptureOptions): string | null {
  const { mode, options } = context;
  const isPlain = Object.values(options).every((v) => v === null || /^(string|boolean|number)$/.test(typeof v));
  return isPlain ? JSON.stringify([backendName, dynamic, mode, options]) : null;
}

/** The key for a call; null, or a sentence, if nothing is kept for it. */
function keyOf(request: TraceRequest, options: CaptureOptions): CacheKey | string {
  if (!isStageEnabled("cache") || config().disabled.size > 0) return "the cache is off";
  // Who verifies every form wants every form to be made.
  if (config().verify) return "every form is verified";
  if (options.backend.kept === undefined) return "its backend keeps nothing";
  if (!canReadScopes()) return "closures cannot be read here";
  // What such a function closes over is not checked, so its text does not say what it computes.
  if (isLibraryFunction(request.fn)) return "it is one of Tessera's own functions";
  const told = optionsText(options);
  if (told === null) return "its options hold objects";
  const version = libraryVersion();
  if (version === null) return "the version of Tessera cannot be read here";
  const text = Function.prototype.toString.call(request.fn);
  const content = JSON.stringify([
    text,
    request.files,
    told,
    request.args.length,
    request.captures !== null,
    isGradEnabled(),
    autocastKey(),
    getDefaultDtype().name,
    numericsKey(),
  ]);
  return cacheKey("capture", content, { format: `${FORMAT}`, library: version, runtime: runtimeName() });
}

function runtimeName(): string {
  const { os, arch } = Deno.build;
  return `${Deno.version.deno} ${Deno.version.v8} ${os} ${arch} ${navigator.language}`;
}

function readBundle(key: CacheKey): readonly StoredCapture[] {
  const found = diskCache().lookup(key);
  if (!found.hit) return [];
  try {
    const bundle = JSON.parse(new TextDecoder().decode(found.bytes)) as Partial<Bundle> | null;
    if (bundle?.format !== FORMAT || !Array.isArray(bundle.captures)) throw new BadCapture("it has another form");
    return bundle.captures as StoredCapture[];
  } catch (error) {
    emitEvent({ kind: "cache", message: `stored captures cannot be used: ${messageOf(error)}` });
    return [];
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Finds an entry that serves this call among the captures of other processes. Never throws. */
export function findCapture(request: TraceRequest, options: CaptureOptions): Entry | null {
  const { kept } = options.backend;
  const name = request.fn.name || "a function";
  try {
    const key = keyOf(request, options);
    if (typeof key === "string" || kept === undefined) return null;
    for (const stored of readBundle(key)) {
      try {
        const { entry, inputs, numbers } = restoreEntry(stored, request, kept, options.context);
        if (inputs.some(([, t]) => typeof t !== "number" && hasMarks(t))) throw new BadCapture("an input is marked");
        for (const [source, t] of inputs) if (typeof t !== "number") request.memory.noteInput(source, t);
        for (const [source, value] of numbers) request.memory.numberVaries(source, value);
        emitEvent({ kind: "cache", message: `the capture of ${name} was found in the cache` });
        return entry;
      } catch (error) {
        // What is written there is not trusted: whatever goes wrong with it, the function is traced.
        emitEvent({ kind: "cache", message: `a stored capture of ${name} does not fit: ${messageOf(error)}` });
      }
    }
  } catch (error) {
    emitEvent({ kind: "cache", message: `stored captures cannot be read: ${messageOf(error)}` });
  }
  return null;
}

/** Why a trace is for this process only, or null. Says nothing of the backend. */
export function whyNotKept(trace: Trace, request: TraceRequest): string | null {
  try {
    describeTrace(trace, request, "");
    return null;
  } catch (error) {
    if (error instanceof NotKept) return error.message;
    throw error;
  }
}

/** Keeps a capture for other processes; if it cannot be kept, an event says why. */
export function keepCapture(trace: Trace, request: TraceRequest, options: CaptureOptions): void {
  const reason = tryKeep(trace, request, options);
  if (reason === null || options.backend.kept === undefined) return;
  emitEvent({ kind: "cache", message: `the capture of ${request.fn.name || "a function"} is not kept: ${reason}` });
}

function tryKeep(trace: Trace, request: TraceRequest, options: CaptureOptions): string | null {
  const key = keyOf(request, options);
  if (typeof key === "string") return key;
  if (trace.inputs.some((i) => hasMarks(i.real))) return "an input is marked static or dynamic";
  const program = options.backend.kept?.nameOf(trace.module, trace.inputs.map((i) => i.real), options.context) ?? null;
  if (program === null) return "its compiled form is not kept";
  try {
    const capture = describeTrace(trace, request, program);
    const text = JSON.stringify(capture);
    if (text.length > MOST_TEXT) return "it is too large";
    const others = readBundle(key).filter((other) => JSON.stringify(other) !== text);
    const bundle: Bundle = { format: FORMAT, captures: [capture, ...others].slice(0, MOST) };
    diskCache().put(key, new TextEncoder().encode(JSON.stringify(bundle)));
    return null;
  } catch (error) {
    if (error instanceof NotKept) return error.message;
    // A full or read-only disk; the function itself is compiled all the same.
    return messageOf(error);
  }
}
