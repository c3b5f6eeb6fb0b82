/**
 * The segments of one compiled function, and the calls that record and find them.
 *
 * A function with graph breaks runs its JavaScript at each call under a {@linkcode SegmentMode}. What all calls share is here: the trie of steps, what was compiled,
 * and why segments ended. Compiled segments of equal text are shared by all functions with the same backend and options.
 */
import { config, type DType, log, warnOnce } from "../core/mod.ts";
import { graphToText, verifyGraph } from "../graph/mod.ts";
import { type Tensor, withMode } from "../tensor/mod.ts";
import { runAsyncCall } from "./async_calls.ts";
import {
  type BackendContext,
  type CompiledFunction,
  type CompilerBackend,
  eagerBackend,
  type GraphModule,
} from "./backends.ts";
import { GraphBreak } from "./graph_break.ts";
import { type CompiledSegment, noteResult, type SegmentCompiler, type SegmentEnd } from "./segment_end.ts";
import { buildSegmentGraph, segmentKey } from "./segment_graph.ts";
import { SegmentMode } from "./segment_mode.ts";
import { Step } from "./segment_steps.ts";
import type { ShapeEnv } from "./shape_env.ts";

/** How many segments of one function are compiled; what comes later runs operator by operator. */
const MOST_COMPILED = 256;

type AnyFunction = (...args: never[]) => unknown;

/** Compiled segments by backend, then by options and text. */
let shared = new WeakMap<CompilerBackend, Map<string, CompiledSegment>>();

/** A segment that was recorded, for reports. */
export interface SegmentReport {
  readonly graph: string;
  readonly operators: number;
}

/** What is known of the segments of one function. */
export class Segments implements SegmentCompiler {
  readonly #roots = new Map<DType, Step>();
  /** Every break is reported with its line, also where it was seen before. */
  watches = false;
  /** The ends of the segments that ran and are remembered, each once, in order of their first run. */
  readonly ends: Set<SegmentEnd> = new Set();
  /** How many calls ran in segments. */
  calls = 0;
  readonly #name: string;
  readonly #backend: CompilerBackend;
  readonly #context: BackendContext;
  readonly #report: (found: GraphBreak) => void;
  readonly #compiled: CompiledSegment[] = [];
  /** The function gave a promise: its continuations are captured, too. */
  #isAsync: boolean;

  /** `report` is told of each break. */
  constructor(
    name: string,
    isAsync: boolean,
    backend: CompilerBackend,
    context: BackendContext,
    report: (found: GraphBreak) => void,
  ) {
    this.#name = name;
    this.#isAsync = isAsync;
    this.#backend = backend;
    this.#context = context;
    this.#report = report;
  }

  /** Runs the function: its JavaScript as it is, its operators in segments. */
  call(fn: AnyFunction, self: unknown, args: readonly unknown[]): unknown {
    this.calls++;
    const mode = new SegmentMode(this);
    if (this.#isAsync) return runAsyncCall(mode, () => Reflect.apply(fn, self, args));
    let result: unknown;
    try {
      result = withMode(mode, () => Reflect.apply(fn, self, args));
    } finally {
      mode.close();
    }
    // What runs behind an await of this call is eager; that of the next call is not.
    if (result instanceof Promise) this.#isAsync = true;
    noteResult(result);
    return result;
  }

  /** Where the paths under a default dtype start. */
  rootFor(dtype: DType): Step {
    let root = this.#roots.get(dtype);
    if (root === undefined) this.#roots.set(dtype, root = new Step(null, null));
    return root;
  }

  noteBreak(found: GraphBreak): void {
    this.#report(found);
  }

  noteRun(end: SegmentEnd): void {
    this.ends.add(end);
  }

  /** A path is no longer recognised: nothing of it is kept. */
  forget(path: Step): void {
    const stack = [path];
    for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
      if (step.end !== null) this.ends.delete(step.end);
      stack.push(...step.next);
    }
  }

  /** Resolves when everything compiled so far runs on its fastest tier. */
  async ready(): Promise<void> {
    await Promise.all(this.#compiled.map((c) => c.run.ready?.()));
  }

  /** How many segments were compiled. */
  get compiledCount(): number {
    return this.#compiled.length;
  }

  /** What ran, for people. */
  reports(): SegmentReport[] {
    return [...this.ends].filter((end) => !end.isIdle).map((end) => {
      const { graph } = buildSegmentGraph(end.step, end.made, end.step.hints);
      return { graph: graphToText(graph), operators: graph.calls.length };
    });
  }

  // --- SegmentCompiler ---

  get isEager(): boolean {
    return this.#context.mode === "aot";
  }

  interpret(end: SegmentEnd): CompiledFunction {
    return eagerBackend(this.#moduleOf(end, end.made, end.step.hints).module);
  }

  compile(
    end: SegmentEnd,
    kept: readonly number[],
    inputs: readonly Tensor[],
    sizes: readonly number[],
  ): CompiledSegment {
    const numbers = kept.map((i) => end.made[i] as number);
    let cache = shared.get(this.#backend);
    if (cache === undefined) shared.set(this.#backend, cache = new Map());
    const key = `${this.#context.mode}|${JSON.stringify(this.#context.options)}|${segmentKey(end.step, numbers)}`;
    let compiled = cache.get(key);
    if (compiled === undefined) {
      const { module, env } = this.#moduleOf(end, numbers, sizes);
      if (this.#compiled.length >= MOST_COMPILED) {
        warnOnce(
          `compile: ${this.#name} has more than ${MOST_COMPILED} different segments; further ones run operator by operator`,
        );
        return { run: eagerBackend(module), env };
      }
      compiled = { run: this.#compileNew(module, inputs), env };
      cache.set(key, compiled);
    }
    if (!this.#compiled.includes(compiled)) this.#compiled.push(compiled);
    return compiled;
  }

  #moduleOf(
    end: SegmentEnd,
    numbers: readonly number[],
    sizes: readonly number[],
  ): { readonly module: GraphModule; readonly env: ShapeEnv } {
    const { graph, env } = buildSegmentGraph(end.step, numbers, sizes);
    if (config().verify) verifyGraph(graph);
    const differentiable = numbers.map(() => false);
    return { module: { graph, attributes: new Map(), recorded: new Set(), differentiable }, env };
  }

  #compileNew(module: GraphModule, inputs: readonly Tensor[]): CompiledFunction {
    log("graph", () => graphToText(module.graph, { locations: true }));
    try {
      return this.#backend(module, inputs, this.#context);
    } catch (error) {
      warnOnce(
        `compile: a segment of ${this.#name} could not be compiled and runs operator by operator (${
          error instanceof Error ? error.message : String(error)
        })`,
      );
      return eagerBackend(module);
    }
  }
}

/** Forgets all compiled segments. */
export function forgetSegments(): void {
  shared = new WeakMap();
}
