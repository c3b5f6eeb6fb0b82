/**
 * What guards are made from, and what a compiled guard is.
 */
import type { ShapeGuard } from "./shape_env.ts";
import type { Source } from "./source.ts";

/** Returns -1 and fills `values`, or the number of the failing check. */
export type GuardFunction = (args: readonly unknown[], self: unknown, values: unknown[]) => number;

/** A compiled guard. */
export interface CompiledGuard {
  /** Which check fails; fills the values if none does. Long ones are compiled when this is first asked: `holds` says the same faster. */
  readonly run: GuardFunction;
  /** Whether all checks hold; fills the values. */
  readonly holds: (args: readonly unknown[], self: unknown, values: unknown[]) => boolean;
  /** What each check demands, by number. */
  readonly sentences: readonly string[];
  /** Whether a check is about sizes or strides. */
  readonly ofSizes: readonly boolean[];
  readonly text: string;
  /** The statements of the text in order; every one reads, checks or fetches one thing. `c[n]` is the nth constant. */
  readonly lines: readonly string[];
  readonly constants: readonly unknown[];
}

/** What is compiled. */
export interface GuardInput {
  readonly roots: readonly Source[];
  readonly shapeGuards: readonly ShapeGuard[];
  /** Sources whose values the call needs, in order. */
  readonly wanted: readonly Source[];
  readonly argumentCount: number;
  /** The real captures of this call. */
  readonly captures: (() => Readonly<Record<string, unknown>>) | null;
  /** Sources whose values were different objects, and must be again; and objects that none of them may be. */
  readonly distinct: readonly { readonly sources: readonly Source[]; readonly from: ReadonlySet<unknown> }[];
  /** Inputs that may not share memory with those behind them. */
  readonly apart: readonly {
    readonly source: Source;
    readonly others: readonly Source[];
    readonly storages: ReadonlySet<unknown>;
  }[];
}
