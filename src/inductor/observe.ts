/**
 * Lets tools watch what is compiled: `explain`, benchmarks, the demo's table.
 */
import type { CompiledGraph } from "./compiled_graph.ts";

/** One compiled graph. */
export interface CompileRecord {
  readonly kind: "inference" | "forward" | "backward";
  readonly graph: CompiledGraph;
}

const observers = new Set<(record: CompileRecord) => void>();

/** Calls `observer` for each graph that is compiled, until the result is disposed. */
export function onCompile(observer: (record: CompileRecord) => void): Disposable {
  observers.add(observer);
  return {
    [Symbol.dispose](): void {
      observers.delete(observer);
    },
  };
}

/** Tells whether anybody watches. */
export function isObserved(): boolean {
  return observers.size > 0;
}

/** Tells the observers. */
export function emitCompile(record: CompileRecord): void {
  for (const observer of observers) observer(record);
}
