/**
 * The trie of recorded operators: what a function with graph breaks did between two breaks, step by step.
 *
 * A {@linkcode Step} is one operator with a pattern for its arguments; its children are what came next, in any call. A repeated call finds its steps by comparing, and
 * never infers a shape or builds a graph again. Values are numbered in order of appearance: inputs when an operator first meets them, results when they
 * are made. Nothing here depends on where in the program a segment starts, so that one segment serves all places that do the same.
 */
import { cpu, type Device, type DType, InternalError } from "../core/mod.ts";
import type { SourceLocation, TensorMeta } from "../graph/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import type { SegmentEnd } from "./segment_end.ts";

/** What must be the same of a tensor that enters a segment. Offsets into its memory may differ. */
export interface InputSpec {
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly dtype: DType;
  readonly device: Device;
}

/** One argument of a step. */
export type Pattern =
  /** A value that the segment knows. */
  | { readonly kind: "value"; readonly number: number }
  /** A tensor that enters here; `new`s of a step are numbered in order. */
  | { readonly kind: "new"; readonly number: number; readonly spec: InputSpec }
  /** A number that changed between calls: it enters as a tensor of one element. */
  | { readonly kind: "scalar"; readonly number: number; readonly dtype: DType; readonly numbers: NumberKind }
  | { readonly kind: "constant"; readonly value: unknown }
  | { readonly kind: "list"; readonly items: readonly Pattern[] };

/** Which numbers a scalar may be: whole and other numbers give different dtypes beside tensors of integers. */
export type NumberKind = "any" | "whole" | "fraction";

/** A value that an operator returned. */
export interface StepResult {
  readonly meta: TensorMeta;
  /** For views: the value whose memory they show, else null. */
  readonly base: number | null;
}

/** One recorded operator after a path of others. */
export class Step {
  readonly parent: Step | null;
  /** Null for the root. */
  readonly op: Operator | null;
  /** The operator that stands in the graph: with tensors in the place of numbers that change. */
  readonly runs: Operator | null;
  readonly keys: readonly string[];
  readonly patterns: readonly Pattern[];
  readonly results: readonly StepResult[];
  /** The value that is written, or -1. */
  readonly writes: number;
  /** Where it computes; null for the root. */
  readonly device: Device | null;
  /** Returns a list of tensors. */
  readonly many: boolean;
  readonly location: SourceLocation | null;
  /** How many values there are after this step. */
  readonly values: number;
  /** How many steps lead here. */
  readonly depth: number;
  /** What came next, the one used last in front. */
  readonly next: Step[] = [];
  /** The step that stood here before numbers became tensors: its children tell which numbers change further on. */
  formerly: Step | null = null;
  /** Set once a segment ended here. */
  end: SegmentEnd | null = null;

  constructor(parent: Step | null, made: StepInit | null) {
    this.parent = parent;
    this.op = made?.op ?? null;
    this.runs = made?.runs ?? null;
    this.keys = made?.op.schema.args.map((a) => a.key) ?? [];
    this.patterns = made?.patterns ?? [];
    this.results = made?.results ?? [];
    this.writes = made?.writes ?? -1;
    this.device = made?.device ?? null;
    this.many = made?.many ?? false;
    this.location = made?.location ?? null;
    this.values = made?.values ?? 0;
    this.depth = parent === null ? 0 : parent.depth + 1;
  }
}

/** What a step is made of. */
export interface StepInit {
  readonly op: Operator;
  readonly runs: Operator;
  readonly patterns: readonly Pattern[];
  readonly results: readonly StepResult[];
  readonly writes: number;
  readonly device: Device;
  readonly many: boolean;
  readonly location: SourceLocation | null;
  readonly values: number;
}

/** A plain number where an operator takes a tensor, however it is wrapped; else the value itself. */
export function plainArgument(value: ArgValue<Tensor> | undefined): ArgValue<Tensor> {
  if (value instanceof Tensor && value.wrapped !== null) return value.wrapped;
  return value ?? null;
}

/** Tells whether a tensor fits what entered at a place. */
function fitsSpec(t: Tensor, spec: InputSpec): boolean {
  const { shape, stride } = t;
  if (t.dtype !== spec.dtype || t.device !== spec.device || shape.length !== spec.shape.length) return false;
  for (let i = 0; i < shape.length; i++) {
    if (shape[i] !== spec.shape[i]) return false;
    if (stride[i] !== spec.stride[i] && shape[i] !== 1) return false;
  }
  return t.isDense && t.node === null;
}

/** Tells whether a number may stand at a place. */
export function fitsNumber(value: unknown, numbers: NumberKind): value is number {
  return typeof value === "number" && (numbers === "any" || Number.isSafeInteger(value) === (numbers === "whole"));
}

/**
 * Tells whether arguments fit a step. Tensors that enter with it, and numbers that enter as tensors, are put into `entering` in order.
 */
export function fitsStep(
  step: Step,
  args: NamedArgs<Tensor>,
  known: ReadonlyMap<Tensor, number>,
  entering: (Tensor | number)[],
): boolean {
  const { keys, patterns } = step;
  entering.length = 0;
  for (let i = 0; i < patterns.length; i++) {
    if (!fits(patterns[i] as Pattern, args[keys[i] as string], known, entering, step)) return false;
  }
  return true;
}

function fits(
  pattern: Pattern,
  given: ArgValue<Tensor> | undefined,
  known: ReadonlyMap<Tensor, number>,
  entering: (Tensor | number)[],
  step: Step,
): boolean {
  const value = plainArgument(given);
  switch (pattern.kind) {
    case "value":
      if (!(value instanceof Tensor)) return false;
      return (known.get(value) ?? enteredAt(value, entering, step)) === pattern.number;
    case "new":
      if (!(value instanceof Tensor) || known.has(value) || entering.includes(value)) return false;
      if (!fitsSpec(value, pattern.spec)) return false;
      entering.push(value);
      return true;
    case "scalar":
      if (!fitsNumber(value, pattern.numbers)) return false;
      entering.push(value);
      return true;
    case "constant":
      return Object.is(value, pattern.value);
    case "list": {
      const { items } = pattern;
      if (!Array.isArray(value) || value.length !== items.length) return false;
      for (let i = 0; i < items.length; i++) {
        if (!fits(items[i] as Pattern, value[i] as ArgValue<Tensor>, known, entering, step)) return false;
      }
      return true;
    }
    default:
      return pattern satisfies never;
  }
}

/** The number of a tensor that entered with this very step, or -1. */
function enteredAt(t: Tensor, entering: readonly (Tensor | number)[], step: Step): number {
  const at = entering.indexOf(t);
  return at < 0 ? -1 : (step.parent?.values ?? 0) + at;
}

/** Makes the patterns of a step that is recorded for the first time. */
export class PatternMaker {
  readonly entering: (Tensor | number)[] = [];
  readonly #known: ReadonlyMap<Tensor, number>;
  readonly #first: number;

  /** Tensors that enter get numbers from `first` on. */
  constructor(known: ReadonlyMap<Tensor, number>, first: number) {
    this.#known = known;
    this.#first = first;
  }

  make(given: ArgValue<Tensor> | undefined): Pattern {
    const value = plainArgument(given);
    if (value instanceof Tensor) {
      const number = this.#known.get(value);
      if (number !== undefined) return { kind: "value", number };
      const at = this.entering.indexOf(value);
      if (at >= 0) return { kind: "value", number: this.#first + at };
      this.entering.push(value);
      const { dtype, device } = value;
      const spec = { shape: value.shape.map(Number), stride: value.stride.map(Number), dtype, device };
      return { kind: "new", number: this.#first + this.entering.length - 1, spec };
    }
    if (Array.isArray(value)) {
      return { kind: "list", items: value.map((v: ArgValue<Tensor>) => this.make(v)) };
    }
    return { kind: "constant", value };
  }

  /** A number that enters as a tensor. */
  scalar(value: number, dtype: DType, numbers: NumberKind): Pattern {
    this.entering.push(value);
    return { kind: "scalar", number: this.#first + this.entering.length - 1, dtype, numbers };
  }
}

/**
 * The places where two lists of patterns differ, if these are numbers only; null if they differ in more. `isLoose` lets known values be any known values, for
 * comparing steps of different paths.
 */
export function differentNumbers(a: readonly Pattern[], b: readonly Pattern[], isLoose: boolean): number[] | null {
  const places: number[] = [];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as Pattern, b[i] as Pattern];
    if (samePattern(x, y)) continue;
    if (isLoose && (x.kind === "value" || x.kind === "new") && (y.kind === "value" || y.kind === "new")) continue;
    if (y.kind !== "constant" || typeof y.value !== "number") return null;
    if (x.kind !== "scalar" && (x.kind !== "constant" || typeof x.value !== "number")) return null;
    places.push(i);
  }
  return places;
}

function samePattern(a: Pattern, b: Pattern): boolean {
  if (a.kind === "constant") return b.kind === "constant" && Object.is(a.value, b.value);
  if (a.kind === "value") return b.kind === "value" && a.number === b.number;
  if (a.kind === "list") {
    return b.kind === "list" && a.items.length === b.items.length &&
      a.items.every((item, i) => samePattern(item, b.items[i] as Pattern));
  }
  if (a.kind === "scalar") return false;
  if (a.kind !== "new") return a satisfies never;
  if (b.kind !== "new" || a.spec.dtype !== b.spec.dtype || a.spec.device !== b.spec.device) return false;
  const same = (x: readonly number[], y: readonly number[]): boolean =>
    x.length === y.length && x.every((v, i) => v === y[i]);
  return same(a.spec.shape, b.spec.shape) && same(a.spec.stride, b.spec.stride);
}

/** The steps from the first to this one. */
export function pathTo(end: Step): Step[] {
  const path: Step[] = [];
  for (let at: Step = end; at.parent !== null; at = at.parent) path.push(at);
  return path.reverse();
}

/** The description of a scalar that enters as a tensor. */
export function scalarSpec(dtype: DType): InputSpec {
  return { shape: [], stride: [], dtype, device: cpu };
}

/** The operator that stands in the graph for a step that is not the root. */
export function opOf(step: Step): Operator {
  if (step.runs === null) throw new InternalError("the root of the trie has no operator");
  return step.runs;
}
