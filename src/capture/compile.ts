/**
 * `compile()`: the public face of capture.
 *
 * A compiled function keeps a list of entries, the one used last in front. A call tries their guards and runs the first that holds; else the function is
 * captured again. A function that cannot be captured whole runs its JavaScript at each call and its operators in segments (`segments.ts`), and an event says
 * why; with `fullgraph` that is an error. Each recompilation is reported with its reason; a function that has been compiled very often runs in segments where no
 * entry holds. Mirrors `torch.compile` and `torch._dynamo.eval_frame`.
 */
import { CompileError, emitEvent, InternalError, log, warnOnce } from "../core/mod.ts";
import { activeMode, withoutModes } from "../tensor/mod.ts";
import type { CompileMode, CompilerBackend } from "./backends.ts";
import { type Subject, withAccessors } from "./accessors.ts";
import { breaksInText } from "./behind_breaks.ts";
import { ORIGINAL } from "./closures.ts";
import { SizeMemory } from "./dynamic.ts";
import { breakOfError, isEndless } from "./failed_trace.ts";
import type { CompiledGuard } from "./guard_types.ts";
import { GraphBreak, userFiles } from "./graph_break.ts";
import { describeFailure, GuardTree } from "./guard_tree.ts";
import { type CaptureOptions, findCapture, keepCapture, whyNotKept } from "./persistent/capture_cache.ts";
import { BackendError, checkedBackend, checkOptions } from "./options.ts";
import { SegmentMode } from "./segment_mode.ts";
import { forgetSegments, Segments } from "./segments.ts";
import { type CachePolicy, checkedPolicy, stance } from "./stance.ts";
import { compileTrace, type Entry, FailedRun, NeedsAccess, traceFunction, type TraceRequest } from "./trace.ts";

/** Options of {@linkcode compile}. */
export interface CompileOptions {
  /** A registered name or a function. Default `"inductor"`. */
  readonly backend?: string | CompilerBackend;
  readonly mode?: CompileMode;
  /** Make it an error if the function cannot be captured as one graph. */
  readonly fullgraph?: boolean;
  /** True: all sizes are symbols. False: none. Default: those that change. */
  readonly dynamic?: boolean;
  /** For the backend. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** States free variables of the function by hand; called before each call. */
  readonly captures?: () => Readonly<Record<string, unknown>>;
  /** How many graphs are kept, and what happens when another one is needed. */
  readonly cache?: CachePolicy;
}

/** A compiled function: called like the original. */
export type Compiled<A extends readonly unknown[], R> =
  & ((...args: A) => R)
  & {
    /** Resolves when everything compiled so far runs on its fastest tier. */
    ready(): Promise<void>;
  };

/** How often a function may fail to be captured whole before that is no longer tried. */
const MOST_BREAKS = 3;

/** How many eager runs may open closures: nested functions may show only after the first. */
const MOST_OPENED = 8;

/** Why an entry did not serve a call. */
interface Failure {
  readonly guard: CompiledGuard;
  readonly check: number;
}

/** Everything that is known of one compiled function. */
export class CompiledCode {
  // deno-lint-ignore ban-types
  readonly fn: Function;
  readonly options: CompileOptions;
  readonly backend: CompilerBackend;
  readonly files: readonly string[];
  entries: Entry[] = [];
  memory: SizeMemory;
  /** Why the function could not be captured whole, each place once. */
  breaks: GraphBreak[] = [];
  segments: Segments;
  /** Breaks are kept and not told, as for `explain`. */
  isQuiet = false;
  #known = new Set<string>();
  /** How often a capture has failed. */
  #failures = 0;
  readonly #isAsync: boolean;
  readonly #policy: Required<CachePolicy>;
  /** The guards of several entries as one; made anew when there is another entry. */
  #tree: { readonly entries: readonly Entry[]; readonly guards: GuardTree } | null = null;
  /** Sizes were made symbols because there were too many entries, and how many entries went since. */
  #isGeneral = false;
  #evictions = 0;
  /** Why each further compilation was needed. */
  readonly recompilations: string[] = [];
  /** How often the function was traced, and how often a capture of another process served instead. */
  traced = 0;
  found = 0;
  #generation = generation;
  /** How many eager runs were made to open closures. */
  #opened = 0;

  /** Tensors below `this` are inputs. */
  readonly #sharesThis: boolean;

  // deno-lint-ignore ban-types
  constructor(fn: Function, options: CompileOptions, sharesThis = false) {
    this.fn = fn;
    this.options = options;
    this.#sharesThis = sharesThis;
    this.backend = checkedBackend(options);
    this.#policy = checkedPolicy(options.cache);
    this.files = userFiles();
    this.memory = new SizeMemory(options.dynamic ?? null, sharesThis);
    this.#isAsync = Object.prototype.toString.call(fn) === "[object AsyncFunction]";
    this.segments = this.#newSegments();
  }

  #newSegments(): Segments {
    const { mode = "default", options = {} } = this.options;
    return new Segments(this.name, this.#isAsync, this.backend, { mode, options }, (found) => this.noteBreak(found));
  }

  call(self: unknown, args: readonly unknown[]): unknown {
    if (this.#generation !== generation) this.#forget();
    const mode = activeMode();
    if (isOpening || mode !== null) {
      // Between breaks of another function it can still be one graph, and must be if that was asked for.
      const isOwn = mode instanceof SegmentMode && this.options.fullgraph === true && !isOpening;
      if (isOwn) return withoutModes(() => this.call(self, args));
      // Inside another capture the function is part of that graph.
      return Reflect.apply(this.fn, self, args);
    }
    if (stance() === "force_eager") return Reflect.apply(this.fn, self, args);
    const { entries } = this;
    const [latest] = entries;
    if (latest !== undefined) {
      const values = new Array<unknown>(latest.valueCount);
      if (latest.guard.holds(args, self, values)) return this.#run(latest, values, self, args);
      if (entries.length > 1) {
        const found = this.#findOlder(self, args);
        if (found !== null) return this.#run(found.entry, found.values, self, args);
      }
    }
    return this.#miss(self, args);
  }

  /** Runs an entry. What fails for its data (an index out of range) runs again as it is: so that all it does before comes first, and the error is eager's. */
  #run(entry: Entry, values: readonly unknown[], self: unknown, args: readonly unknown[]): unknown {
    try {
      return entry.run(values);
    } catch (error) {
      if (!(error instanceof FailedRun)) throw error;
      const result: unknown = Reflect.apply(this.fn, self, args);
      const { cause } = error;
      log("graph_breaks", () => `compile: ${this.name} ran as it is, its graph failed: ${String(cause)}`);
      return result;
    }
  }

  /** Finds an entry that was not the last one used, and puts it in front. */
  #findOlder(self: unknown, args: readonly unknown[]): { readonly entry: Entry; readonly values: unknown[] } | null {
    const { entries } = this;
    if (this.#tree === null || this.#tree.entries.length !== entries.length) {
      const all = [...entries];
      this.#tree = { entries: all, guards: new GuardTree(all.map((e) => e.guard), this.options.captures ?? null) };
    }
    const values: unknown[] = [];
    const entry = this.#tree.entries[this.#tree.guards.find(args, self, values)];
    if (entry === undefined) return null;
    values.length = entry.valueCount;
    entries.splice(entries.indexOf(entry), 1);
    entries.unshift(entry);
    return { entry, values };
  }

  /** Puts an entry in front; beyond `limit` the one used longest ago goes. */
  #keep(entry: Entry, limit: number): void {
    this.entries.unshift(entry);
    if (this.entries.length > limit) {
      this.entries.length = limit;
      this.#evictions++;
    }
    this.#tree = null;
  }

  #forget(): void {
    this.#generation = generation;
    this.entries = [];
    this.#tree = null;
    this.#isGeneral = false;
    this.#evictions = 0;
    this.recompilations.length = 0;
    this.breaks = [];
    this.#known = new Set();
    this.#failures = 0;
    this.segments = this.#newSegments();
    this.memory = new SizeMemory(this.options.dynamic ?? null, this.#sharesThis);
  }

  #miss(self: unknown, args: readonly unknown[]): unknown {
    if (this.#isAsync || this.#failures >= MOST_BREAKS) return this.#runSegments(self, args);
    const failures = this.entries.map(({ guard, valueCount }): Failure => ({
      guard,
      check: guard.run(args, self, new Array<unknown>(valueCount)),
    }));
    const way = this.#wayOfMiss(failures);
    if (way === "eager") return Reflect.apply(this.fn, self, args);
    if (way === "segments") return this.#runSegments(self, args);
    const request: TraceRequest = {
      fn: this.fn,
      self,
      args,
      memory: this.memory,
      files: this.files,
      captures: this.options.captures ?? null,
    };
    let entry = findCapture(request, this.#captureOptions());
    const wasFound = entry !== null;
    try {
      entry ??= this.capture(request);
    } catch (error) {
      if (!(error instanceof NeedsAccess)) return this.#fallBack(error, self, args);
      if (this.#opened >= MOST_OPENED) return this.#fallBack(error.otherwise, self, args);
      return this.#runOpening(error.subjects, self, args);
    }
    if (failures.length > 0 && !wasFound) this.#reportRecompile(failures, self, args);
    if (wasFound) this.found++;
    for (const { message } of entry.remarks) warnOnce(`compile: ${message}`);
    const values = new Array<unknown>(entry.valueCount);
    if (!entry.guard.holds(args, self, values)) {
      const failed = entry.guard.run(args, self, values);
      const found = new GraphBreak(
        `what it reads changes by being read (${entry.guard.sentences[failed]})`,
        "keep what counts or draws out of getters",
        null,
      );
      return this.#fallBack(found, self, args);
    }
    this.#keep(entry, this.#policy.limit);
    if (entry.unserved.length > 0 && this.#opened < MOST_OPENED) return this.#runOpening(entry.unserved, self, args);
    return this.#run(entry, values, self, args);
  }

  /** What the stance and the policy want of a call that no entry fits. @throws {CompileError} if they want it to fail. */
  #wayOfMiss(failures: readonly Failure[]): "compile" | "eager" | "segments" {
    const reasons = failures.map(({ guard, check }) => guard.sentences[check] ?? "its guards did not hold");
    const why = reasons.length === 0 ? "nothing is compiled yet" : [...new Set(reasons)].join("; ");
    const standing = stance();
    // What it breaks at is no form that is missing: it runs in segments under any stance.
    if (standing !== "default" && failures.length === 0 && this.breaks.length > 0) return "segments";
    if (standing === "fail_on_recompile") {
      throw new CompileError(
        `compile: ${this.name} would have to be compiled: ${why}; the stance is "${standing}": call it with such arguments before, or set another stance`,
      );
    }
    if (standing === "eager_on_recompile") {
      emitEvent({ kind: "recompile", message: `${this.name} runs as it is, the stance is "${standing}": ${why}` });
      return "eager";
    }
    if (this.entries.length < this.#policy.limit) return "compile";
    const { limit, onLimit } = this.#policy;
    const full = `${this.name} has ${limit} compiled ${
      limit === 1 ? "form" : "forms"
    }, its limit, and none fits: ${why}`;
    switch (onLimit) {
      case "error":
        throw new CompileError(`compile: ${full}; raise cache.limit, or choose another cache.onLimit`);
      case "eager":
        warnOnce(`compile: ${full}; it runs as it is`, "recompile");
        return "eager";
      case "generalise":
        return this.#generalise(full, failures.some(({ guard, check }) => guard.ofSizes[check] === true));
      default:
        return onLimit satisfies never;
    }
  }

  /**
   * The limit is reached. Where sizes are why, symbols for all of them help; what changes otherwise at each call, as functions made anew, would be traced
   * for ever, so such calls run in segments, unless the caller wants one graph.
   */
  #generalise(full: string, isOfSizes: boolean): "compile" | "segments" {
    const { limit } = this.#policy;
    const advice = "keep what changes out of it, or make it a tensor";
    if (isOfSizes && !this.#isGeneral) {
      this.#isGeneral = true;
      this.#evictions = 0;
      this.memory.generalise();
      warnOnce(`compile: ${full}; sizes become symbols, and the form used longest ago goes`, "recompile");
      return "compile";
    }
    if (this.options.fullgraph === true) {
      warnOnce(`compile: ${full}; the one used longest ago is forgotten each time: ${advice}`, "recompile");
      return "compile";
    }
    // As many forms again may do: symbols do not serve sizes that are 0 or 1, and what was used longest ago may not be needed again.
    if ((isOfSizes || this.options.cache !== undefined) && this.#evictions <= limit) return "compile";
    warnOnce(`compile: ${full}; further calls that none fits run in segments: ${advice}`, "recompile");
    return "segments";
  }

  /** Runs the function as it is, and opens closures on the way: later guards read their variables at once, and writes can be replayed. */
  #runOpening(subjects: readonly Subject[], self: unknown, args: readonly unknown[]): unknown {
    this.#opened++;
    const before = isOpening;
    // Compiled functions that it calls run as they are, too: their closures may be among those to open.
    isOpening = true;
    try {
      return withAccessors(subjects, () => Reflect.apply(this.fn, self, args));
    } finally {
      isOpening = before;
    }
  }

  /** Captures and compiles without running. */
  capture(request: TraceRequest, explains = false): Entry {
    this.memory.changes.length = 0;
    this.traced++;
    const trace = traceFunction(request);
    const entry = compileTrace(trace, request, this.backend, this.#captureOptions().context);
    keepCapture(trace, request, this.#captureOptions());
    return explains ? { ...entry, keptHere: whyNotKept(trace, request) } : entry;
  }

  #captureOptions(): CaptureOptions {
    const { mode = "default", options = {}, dynamic = null, backend = "inductor" } = this.options;
    const backendName = typeof backend === "string" ? backend : "";
    return { backend: this.backend, backendName, dynamic, context: { mode, options } };
  }

  get name(): string {
    return this.fn.name === "" ? "the function" : this.fn.name;
  }

  /** As `recompiled f: args[0].shape[0] was 8, now 9; made dynamic`. */
  #reportRecompile(failures: readonly Failure[], self: unknown, args: readonly unknown[]): void {
    const { changes } = this.memory;
    const reasons = failures.map(({ guard, check }) => describeFailure(guard, check, args, self));
    // What became a symbol or an input says more than the check that noticed it.
    const told = reasons.filter((r) => !changes.some((c) => c.startsWith(`${r};`) || c === r));
    const message = `recompiled ${this.name}: ${[...new Set([...told, ...changes])].join("; ")}`;
    this.recompilations.push(message);
    emitEvent({ kind: "recompile", message });
    log("recompiles", () => message);
  }

  #runSegments(self: unknown, args: readonly unknown[]): unknown {
    return this.segments.call(this.fn as (...args: never[]) => unknown, self, args);
  }

  /** The function cannot be captured whole this time: it runs in segments, and says so. */
  #fallBack(error: unknown, self: unknown, args: readonly unknown[]): unknown {
    if (this.options.fullgraph === true) {
      if (error instanceof GraphBreak) {
        throw new CompileError(`compile: ${this.name}: ${error.message}`, { cause: error });
      }
      if (isEndless(error)) {
        throw new RangeError(
          `compile: ${this.name}: functions call each other until the stack is full; let the recursion end on a number, ` +
            "or write it as a loop",
          { cause: error },
        );
      }
      // The program's own error: what it did before comes with it, as in eager.
      if (!(error instanceof CompileError || error instanceof InternalError)) Reflect.apply(this.fn, self, args);
      throw error;
    }
    if (error instanceof GraphBreak) {
      this.#noteFailure(error);
      if (this.#failures === 1) this.noteBehind(args);
      return this.#runSegments(self, args);
    }
    if (error instanceof BackendError) throw error;
    // An error that the function itself throws comes again; anything else is told.
    const result: unknown = Reflect.apply(this.fn, self, args);
    this.#noteFailure(breakOfError(error));
    return result;
  }

  #noteFailure(found: GraphBreak): void {
    this.noteBreak(found);
    if (++this.#failures !== MOST_BREAKS) return;
    log("graph_breaks", () => `compile: ${this.name} is no longer captured whole, until reset()`);
  }

  /** Keeps what the text shows behind the first break. */
  noteBehind(args: readonly unknown[]): void {
    for (const found of breaksInText(this.fn, args, this.files)) this.noteBreak(found);
  }

  /** Keeps a break, once for each place, and tells the user. */
  noteBreak(found: GraphBreak): void {
    const { reason, location } = found;
    const key = `${reason}|${location === null ? "" : `${location.file}:${location.line}`}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.breaks.push(found);
    if (this.isQuiet) return;
    const message = `compile: ${this.name} runs in segments: ${found.message}`;
    log("graph_breaks", () => message);
    warnOnce(message, "graph_break");
  }
}

/** An eager run is going on that opens closures. */
let isOpening = false;

let generation = 0;

/** Forgets everything that was captured and compiled, in all functions. */
export function reset(): void {
  generation++;
  forgetSegments();
}

const codes = new WeakMap<object, CompiledCode>();

/** What is known of a compiled function; null for others. */
export function codeOf(fn: (...args: never[]) => unknown): CompiledCode | null {
  return codes.get(fn) ?? null;
}

/**
 * Compiles a function of tensors: the first call captures it as a graph, later calls check guards and run the compiled graph.
 *
 * Arguments may be tensors, modules, numbers, options and containers of these; what the function reads of them and of its closure is guarded. Tensors that it
 * writes in place, `.grad`, and objects that it changes are left as the function itself leaves them.
 *
 * @throws {RangeError} for an unknown backend or mode; {TypeError} for an unknown option, if `fn` is no function, or a class or a generator; under `fullgraph`,
 * {CompileError} where the function cannot be one graph.
 *
 * @example
 * ```ts
 * import { compile, randn, type Tensor } from "@tessera/tessera";
 * const f = compile((x: Tensor, y: Tensor) => x.mul(2).add(y).sigmoid(), { backend: "eager" });
 * console.assert(f(randn([3]), randn([3])).shape[0] === 3);
 * ```
 */
export function compile<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options: CompileOptions = {},
): Compiled<A, R> {
  if (typeof fn !== "function") {
    throw new TypeError(
      `compile: needs a function, got ${
        fn === null ? "null" : typeof fn
      }; compile model.forward as (x) => model.forward(x)`,
    );
  }
  const text = Function.prototype.toString.call(fn);
  if (/^class\b/.test(text)) {
    throw new TypeError(`compile: ${fn.name || "the function"} is a class; compile a method of an instance`);
  }
  const kind = Object.prototype.toString.call(fn);
  const isAsync = kind === "[object AsyncFunction]";
  if (kind !== "[object Function]" && !isAsync) {
    throw new TypeError(
      `compile: ${fn.name || "the function"} is a generator; compile what it calls between its yields`,
    );
  }
  checkOptions(options);
  if (isAsync && options.fullgraph === true) {
    throw new TypeError(
      `compile: ${
        fn.name || "the function"
      } is asynchronous: each await ends a graph, so fullgraph cannot hold; compile the synchronous part with fullgraph`,
    );
  }
  return compiledFrom(fn, new CompiledCode(fn, options));
}

/** As {@linkcode compile}, for a method that many instances share: tensors below `this` are inputs from the start, so that one graph serves all. */
export function compileShared<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options: CompileOptions,
): Compiled<A, R> {
  checkOptions(options);
  return compiledFrom(fn, new CompiledCode(fn, options, true));
}

function compiledFrom<A extends readonly unknown[], R>(fn: (...args: A) => R, code: CompiledCode): Compiled<A, R> {
  const compiled = function (this: unknown, ...args: A): R {
    return code.call(this, args) as R;
  };
  codes.set(compiled, code);
  const ready = async (): Promise<void> => {
    await Promise.all([...code.entries.map((e) => e.compiled.ready?.()), code.segments.ready()]);
  };
  Object.defineProperty(compiled, ORIGINAL, { value: fn });
  Object.defineProperty(compiled, "name", { value: fn.name });
  Object.defineProperty(compiled, "length", { value: fn.length });
  return Object.assign(compiled, { ready });
}
