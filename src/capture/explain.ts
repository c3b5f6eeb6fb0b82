/**
 * `explain()`: what `compile` makes of a function, in words.
 *
 * A function that can be captured whole is only traced. One that breaks is run once, in segments, because what follows a break depends on data.
 */
import { onEvent } from "../core/mod.ts";
import { graphToText } from "../graph/mod.ts";
import { listBackends } from "./backends.ts";
import { codeOf, CompiledCode, type CompileOptions } from "./compile.ts";
import { GraphBreak } from "./graph_break.ts";
import type { SegmentReport } from "./segments.ts";
import { type Entry, NeedsAccess, type TraceRequest } from "./trace.ts";

/** A break, for reports. */
export interface BreakReport {
  readonly reason: string;
  readonly remedy: string;
  /** `file:line` of the user's program, if known. */
  readonly line: string | null;
}

/** What {@linkcode explain} found out. */
export interface Explanation {
  /** Text of the graph, or null if the function is not one graph. */
  readonly graph: string | null;
  /** All graphs with their number of operators: one, or the segments between breaks in order. */
  readonly graphs: readonly SegmentReport[];
  /** How many operators the graphs call together. */
  readonly operators: number;
  /** What later calls are checked for. */
  readonly guards: readonly string[];
  /** Why the function is not one graph. */
  readonly breaks: readonly BreakReport[];
  /** What capture cannot see, and what is written beside tensors. */
  readonly remarks: readonly string[];
  /** Operators that do not become kernels, and how they run instead. */
  readonly fallbacks: readonly string[];
  /** Writes that are replayed after each call. */
  readonly effects: number;
  /** Why no other process can use this capture, or null if the cache can hold it. */
  readonly keptHere: string | null;
  /** For a compiled function: why each compilation so far but the first was needed, and what it made dynamic. */
  readonly recompilations: readonly string[];
  toString(): string;
}

/**
 * Tells what `compile` makes of a function: graphs, guards, breaks, and what is not guarded. A function that is one graph is not run; one that breaks is run
 * once, with all that it does, because what follows a break depends on data.
 *
 * @throws {TypeError} for an asynchronous function, and what the function itself throws.
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
  const known = codeOf(fn);
  const inner = known?.fn ?? fn;
  if (Object.prototype.toString.call(inner) === "[object AsyncFunction]") {
    throw new TypeError(
      "explain: the function is asynchronous; call the compiled function, await it, and ask captureStats() for its breaks",
    );
  }
  return (...args) => {
    // The compiler says which operators leave the fast path; JavaScript kernels are made at once.
    const compiled: CompileOptions = listBackends().includes("inductor")
      ? { backend: "inductor", options: { tier: "js" } }
      : { backend: "eager" };
    const code = new CompiledCode(inner, { ...compiled, ...options });
    const fallbacks = new Set<string>();
    using _ = onEvent(({ kind, message }) => {
      if (kind === "fallback") fallbacks.add(message);
    });
    code.isQuiet = true;
    const request: TraceRequest = {
      fn: inner,
      self: undefined,
      args,
      memory: code.memory,
      files: known?.files ?? code.files,
      captures: options.captures ?? null,
    };
    try {
      return explanation(code.capture(request, true), [], [], fallbacks, known);
    } catch (error) {
      if (error instanceof NeedsAccess) return explanation(null, [], [unopened(error)], fallbacks, known);
      if (!(error instanceof GraphBreak)) throw error;
      code.noteBreak(error);
      code.noteBehind(args);
    }
    code.segments.watches = true;
    code.segments.call(inner as (...args: never[]) => unknown, undefined, args);
    return explanation(null, code.segments.reports(), code.breaks, fallbacks, known);
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

function explanation(
  entry: Entry | null,
  segments: readonly SegmentReport[],
  breaks: readonly GraphBreak[],
  fallbacks: ReadonlySet<string>,
  known: CompiledCode | null,
): Explanation {
  const module = entry?.module ?? null;
  const graph = module === null ? null : graphToText(module.graph);
  const graphs = module === null || graph === null ? segments : [{ graph, operators: module.graph.calls.length }];
  const out = {
    graph,
    graphs,
    operators: graphs.reduce((n, g) => n + g.operators, 0),
    guards: entry?.guard.sentences ?? [],
    breaks: breaks.map((b): BreakReport => ({
      reason: b.reason,
      remedy: b.remedy,
      line: b.location === null ? null : `${b.location.file}:${b.location.line}`,
    })),
    remarks: entry?.remarks.map((r) => r.message) ?? [],
    effects: entry?.effects.length ?? 0,
    keptHere: entry?.keptHere ?? null,
    fallbacks: [...fallbacks],
    recompilations: [...known?.recompilations ?? []],
  };
  const lines = [
    ...(graphs.length === 0 ? ["no graph"] : []),
    ...graphs.map((g, i) => graphs.length === 1 ? g.graph : `graph ${i}, ${g.operators} operators:\n${g.graph}`),
    ...out.breaks.map((b) => `break${b.line === null ? "" : ` at ${b.line}`}: ${b.reason}; ${b.remedy}`),
    ...out.fallbacks.map((f) => `slower: ${f}`),
    ...out.remarks.map((r) => `note: ${r}`),
    ...out.recompilations,
    ...(out.keptHere === null ? [] : [`note: every process traces it anew: ${out.keptHere}`]),
    `${out.guards.length} guards`,
    ...out.guards.map((g, i) => `  ${i}: ${g}`),
  ];
  return { ...out, toString: () => lines.join("\n") };
}
