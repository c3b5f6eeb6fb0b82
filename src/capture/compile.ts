/**
 * `compile()`: the public face of capture.
 *
 * A compiled function keeps a list of entries, the one used last in front. A call tries their guards and runs the first that holds; else the function is
 * captured again. A function that cannot be captured runs eagerly, and an event says why; with `fullgraph` that is an error. Nothing limits how
 * often a function compiles, but each recompilation is reported with its reason. Mirrors `torch.compile` and `torch._dynamo.eval_frame`.
 */
import { CompileError, emitEvent, log, warnOnce } from "../core/mod.ts";
import { graphToText } from "../graph/mod.ts";
import { activeMode } from "../tensor/mod.ts";
import { type CompileMode, type CompilerBackend, findBackend } from "./backends.ts";
import { type Subject, withAccessors } from "./accessors.ts";
import { ORIGINAL } from "./closures.ts";
import { SizeMemory } from "./dynamic.ts";
import { GraphBreak, userFiles } from "./graph_break.ts";
import { compileTrace, type Entry, NeedsAccess, traceFunction, type TraceRequest } from "./trace.ts";

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
}

/** A compiled function: called like the original. */
export type Compiled<A extends readonly unknown[], R> =
  & ((...args: A) => R)
  & {
    /** Resolves when everything compiled so far runs on its fastest tier. */
    ready(): Promise<void>;
  };

/** How often a function may fail to be captured before it is no longer tried. */
const MOST_BREAKS = 3;

/** How many eager runs may open closures: nested functions may show only after the first. */
const MOST_OPENED = 8;

/** Everything that is known of one compiled function. */
class CompiledCode {
  // deno-lint-ignore ban-types
  readonly fn: Function;
  readonly options: CompileOptions;
  readonly backend: CompilerBackend;
  readonly files: readonly string[];
  entries: Entry[] = [];
  memory: SizeMemory;
  /** Why the function could not be captured, each time. */
  breaks: GraphBreak[] = [];
  #generation = generation;
  /** How many eager runs were made to open closures. */
  #opened = 0;

  // deno-lint-ignore ban-types
  constructor(fn: Function, options: CompileOptions) {
    this.fn = fn;
    this.options = options;
    const { backend = "inductor" } = options;
    this.backend = typeof backend === "string" ? findBackend(backend) : backend;
    this.files = userFiles();
    this.memory = new SizeMemory(options.dynamic ?? null);
  }

  call(self: unknown, args: readonly unknown[]): unknown {
    if (this.#generation !== generation) this.#forget();
    if (isOpening) return Reflect.apply(this.fn, self, args);
    const { entries } = this;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry;
      const values = new Array<unknown>(entry.valueCount);
      if (entry.guard.run(args, self, values) !== -1) continue;
      if (i > 0) {
        entries.splice(i, 1);
        entries.unshift(entry);
      }
      return entry.run(values);
    }
    return this.#miss(self, args);
  }

  #forget(): void {
    this.#generation = generation;
    this.entries = [];
    this.breaks = [];
    this.memory = new SizeMemory(this.options.dynamic ?? null);
  }

  #miss(self: unknown, args: readonly unknown[]): unknown {
    // Inside another capture the function is part of that graph.
    if (activeMode() !== null || this.breaks.length >= MOST_BREAKS) return Reflect.apply(this.fn, self, args);
    const reasons = this.entries.map((e) => this.#whyNot(e, self, args));
    const request: TraceRequest = {
      fn: this.fn,
      self,
      args,
      memory: this.memory,
      files: this.files,
      captures: this.options.captures ?? null,
    };
    let entry: Entry;
    try {
      entry = this.capture(request);
    } catch (error) {
      if (!(error instanceof NeedsAccess)) return this.#fallBack(error, self, args);
      if (this.#opened >= MOST_OPENED) return this.#fallBack(error.otherwise, self, args);
      return this.#runOpening(error.subjects, self, args);
    }
    if (reasons.length > 0) this.#reportRecompile(reasons);
    for (const { message } of entry.remarks) warnOnce(`compile: ${message}`);
    const values = new Array<unknown>(entry.valueCount);
    const failed = entry.guard.run(args, self, values);
    if (failed !== -1) {
      throw new CompileError(
        `compile: the guards of ${this.name} do not hold for the very call they were made for (${
          entry.guard.sentences[failed]
        }); please report this`,
      );
    }
    this.entries.unshift(entry);
    if (entry.unserved.length > 0 && this.#opened < MOST_OPENED) return this.#runOpening(entry.unserved, self, args);
    return entry.run(values);
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
  capture(request: TraceRequest): Entry {
    this.memory.changes.length = 0;
    const { mode = "default", options = {} } = this.options;
    return compileTrace(traceFunction(request), request, this.backend, { mode, options });
  }

  get name(): string {
    return this.fn.name === "" ? "the function" : this.fn.name;
  }

  #whyNot(entry: Entry, self: unknown, args: readonly unknown[]): string {
    const failed = entry.guard.run(args, self, new Array<unknown>(entry.valueCount));
    return entry.guard.sentences[failed] ?? "its guards did not hold";
  }

  #reportRecompile(reasons: readonly string[]): void {
    const { changes } = this.memory;
    const message = `recompiled ${this.name}: ${[...new Set(reasons)].join("; ")}${
      changes.length > 0 ? ` (${changes.join("; ")})` : ""
    }`;
    emitEvent({ kind: "recompile", message });
    log("recompiles", () => message);
  }

  /** The function cannot be captured this time: it runs as it is, and says so. */
  #fallBack(error: unknown, self: unknown, args: readonly unknown[]): unknown {
    if (this.options.fullgraph === true) {
      if (error instanceof GraphBreak) {
        throw new CompileError(`compile: ${this.name}: ${error.message}`, { cause: error });
      }
      throw error;
    }
    // An error that the function itself throws comes again; anything else is told.
    const result: unknown = Reflect.apply(this.fn, self, args);
    const found = error instanceof GraphBreak ? error : new GraphBreak(
      `it failed while it was traced (${error instanceof Error ? error.message : String(error)})`,
      "report this, or call it outside of the compiled function",
      null,
    );
    this.breaks.push(found);
    const message = `compile: ${this.name} ran eagerly: ${found.message}`;
    log("graph_breaks", () => message);
    warnOnce(message, "graph_break");
    if (this.breaks.length === MOST_BREAKS) {
      warnOnce(
        `compile: ${this.name} could not be captured ${MOST_BREAKS} times and runs eagerly from now on, until reset()`,
        "graph_break",
      );
    }
    return result;
  }
}

/** An eager run is going on that opens closures. */
let isOpening = false;

let generation = 0;

/** Forgets everything that was captured and compiled, in all functions. */
export function reset(): void {
  generation++;
}

const codes = new WeakMap<object, CompiledCode>();

/**
 * Compiles a function of tensors: the first call captures it as a graph, later calls check guards and run the compiled graph.
 *
 * Arguments may be tensors, modules, numbers, options and containers of these; what the function reads of them and of its closure is guarded. Tensors that it
 * writes in place, `.grad`, and objects that it changes are left as the function itself leaves them.
 *
 * @throws {RangeError} for an unknown backend; {TypeError} if `fn` is no function, or a class, a generator or an asynchronous function; under `fullgraph`,
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
      `compile: needs a function, got ${typeof fn}; compile model.forward as (x) => model.forward(x)`,
    );
  }
  const text = Function.prototype.toString.call(fn);
  if (/^class\b/.test(text)) throw new TypeError(`compile: ${fn.name} is a class; compile a method of an instance`);
  const kind = Object.prototype.toString.call(fn);
  if (kind !== "[object Function]") {
    throw new TypeError(
      `compile: ${fn.name || "the function"} is ${
        kind === "[object AsyncFunction]" ? "asynchronous" : "a generator"
      }; compile the synchronous part that works on tensors`,
    );
  }
  const code = new CompiledCode(fn, options);
  const compiled = function (this: unknown, ...args: A): R {
    return code.call(this, args) as R;
  };
  codes.set(compiled, code);
  const ready = async (): Promise<void> => {
    await Promise.all(code.entries.map((e) => e.compiled.ready?.()));
  };
  Object.defineProperty(compiled, ORIGINAL, { value: fn });
  Object.defineProperty(compiled, "name", { value: fn.name });
  return Object.assign(compiled, { ready });
}

/** What {@linkcode explain} found out. */
export interface Explanation {
  /** Text of the captured graph, or null if the function could not be captured. */
  readonly graph: string | null;
  /** How many operators the graph calls. */
  readonly operators: number;
  /** What later calls are checked for. */
  readonly guards: readonly string[];
  /** Why the function is not one graph. */
  readonly breaks: readonly { readonly reason: string; readonly remedy: string; readonly line: string | null }[];
  /** What capture cannot see, and what is written beside tensors. */
  readonly remarks: readonly string[];
  /** Writes that are replayed after each call. */
  readonly effects: number;
  toString(): string;
}

/**
 * Tells what `compile` makes of a function: graph, guards, breaks, and what is not guarded. The function is not run.
 *
 * @example
 * ```ts
 * import { explain, randn, type Tensor } from "@tessera/tessera";
 * const report = explain((x: Tensor) => x.mul(2).sum())(randn([3]));
 * console.assert(report.operators === 2 && report.breaks.length === 0);
 * ```
 */
export function explain<A extends readonly unknown[]>(
  fn: (...args: A) => unknown,
  options: CompileOptions = {},
): (...args: A) => Explanation {
  const inner = codes.get(fn)?.fn ?? fn;
  const code = new CompiledCode(inner, { ...options, backend: options.backend ?? "eager" });
  return (...args) => {
    const request: TraceRequest = {
      fn: inner,
      self: undefined,
      args,
      memory: code.memory,
      files: codes.get(fn)?.files ?? code.files,
      captures: options.captures ?? null,
    };
    try {
      const entry = code.capture(request);
      return explanation(entry, []);
    } catch (error) {
      const found = error instanceof NeedsAccess ? unopened(error) : error;
      if (!(found instanceof GraphBreak)) throw error;
      return explanation(null, [found]);
    }
  };
}

/** What `explain` says of closures that only a call can open: it runs nothing. */
function unopened({ subjects }: NeedsAccess): GraphBreak {
  const names = subjects.map((s) => s.fn.name || "the function").join(", ");
  return new GraphBreak(
    `${names} assigns outer variables, or uses private (#) members or the this around it; the first call opens these`,
    "call the compiled function once, then explain it",
    null,
  );
}

function explanation(entry: Entry | null, breaks: readonly GraphBreak[]): Explanation {
  const out = {
    graph: entry === null ? null : graphToText(entry.module.graph),
    operators: entry?.module.graph.calls.length ?? 0,
    guards: entry?.guard.sentences ?? [],
    breaks: breaks.map((b) => ({
      reason: b.reason,
      remedy: b.remedy,
      line: b.location === null ? null : `${b.location.file}:${b.location.line}`,
    })),
    remarks: entry?.remarks.map((r) => r.message) ?? [],
    effects: entry?.effects.length ?? 0,
  };
  const lines = [
    out.graph ?? "no graph",
    ...out.breaks.map((b) => `break${b.line === null ? "" : ` at ${b.line}`}: ${b.reason}; ${b.remedy}`),
    ...out.remarks.map((r) => `note: ${r}`),
    `${out.guards.length} guards`,
    ...out.guards.map((g, i) => `  ${i}: ${g}`),
  ];
  return { ...out, toString: () => lines.join("\n") };
}

/** What became of a compiled function: its entries, and why calls of it ran eagerly. */
export function captureStats(
  fn: (...args: never[]) => unknown,
): { readonly entries: number; readonly breaks: readonly GraphBreak[] } {
  const code = codes.get(fn);
  return { entries: code?.entries.length ?? 0, breaks: code?.breaks ?? [] };
}

/** The number of compiled entries of a function, for tests and diagnostics. */
export function entryCount(fn: (...args: never[]) => unknown): number {
  return codes.get(fn)?.entries.length ?? 0;
}
