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
import type { BoolExpr, Expr } from "../symbolic/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import type { SegmentEnd } from "./segment_end.ts";
import { type Dim, dimValue, fitsDim, sizesHold } from "./segment_sizes.ts";

/** What must be the same of a tensor that enters a segment. Offsets into its memory may differ. */
export interface InputSpec {
  readonly shape: readonly Dim[];
  readonly stride: readonly Dim[];
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
  /** A number that follows from sizes. */
  | { readonly kind: "size"; readonly expr: Expr }
  | { readonly kind: "list"; readonly items: readonly Pattern[] };

/** Which numbers a scalar may be: whole and other numbers give different dtypes beside tensors of integers. */
export type NumberKind = "any" | "whole" | "fraction";

/** A value that an operator returned. */
export interface StepResult {
  readonly meta: TensorMeta;
  /** For views: the value whose memory they show, else null. */
  readonly base: number | null;
  /** Shape, strides and offset where they depend on sizes; null where `meta` says them. */
  readonly dims: ResultDims | null;
}

/** Sizes of a result as expressions. */
export interface ResultDims {
  readonly shape: readonly Dim[];
  readonly stride: readonly Dim[];
  readonly offset: Dim;
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
  /** What the symbols bound up to here were when the step was recorded, and in the recording that it was compared with. */
  readonly hints: readonly number[];
  readonly olds: readonly number[];
  /** Conditions on sizes. */
  readonly guards: readonly BoolExpr[];
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
    this.hints = made?.hints ?? [];
    this.olds = made?.olds ?? [];
    this.guards = made?.guards ?? [];
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
  readonly hints: readonly number[];
  readonly olds: readonly number[];
  readonly guards: readonly BoolExpr[];
}

/** A plain number where an operator takes a tensor, however it is wrapped; else the value itself. */
export function plainArgument(value: ArgValue<Tensor> | undefined): ArgValue<Tensor> {
  if (value instanceof Tensor && value.wrapped !== null) return value.wrapped;
  return value ?? null;
}

/** Tells whether a tensor fits what entered at a place; binds symbols. */
function fitsSpec(t: Tensor, spec: InputSpec, sizes: number[]): boolean {
  const { shape, stride } = t;
  if (t.dtype !== spec.dtype || t.device !== spec.device || shape.length !== spec.shape.length) return false;
  for (let i = 0; i < shape.length; i++) {
    const [size, dim] = [shape[i] as number, spec.shape[i] as Dim];
    if (size !== dim && !fitsDim(size, dim, sizes)) return false;
  }
  for (let i = 0; i < shape.length; i++) {
    const [step, dim] = [stride[i], spec.stride[i] as Dim];
    if (step !== dim && shape[i] !== 1 && step !== dimValue(dim, sizes)) return false;
  }
  return t.isDense && t.node === null;
}

/** Tells whether a number may stand at a place. */
function fitsNumber(value: unknown, numbers: NumberKind): value is number {
  return typeof value === "number" && (numbers === "any" || Number.isSafeInteger(value) === (numbers === "whole"));
}

/**
 * Tells whether arguments fit a step. Tensors that enter with it, and numbers that enter as tensors, are put into `entering` in order; what symbols are, behind
 * what those of the steps before it are, into `sizes`.
 */
export function fitsStep(
  step: Step,
  args: NamedArgs<Tensor>,
  known: ReadonlyMap<Tensor, number>,
  entering: (Tensor | number)[],
  sizes: number[],
): boolean {
  const { keys, patterns, guards } = step;
  entering.length = 0;
  sizes.length = (step.parent as Step).hints.length;
  for (let i = 0; i < patterns.length; i++) {
    if (!fits(patterns[i] as Pattern, args[keys[i] as string], known, entering, step, sizes)) return false;
  }
  return guards.length === 0 || sizesHold(guards, sizes);
}

function fits(
  pattern: Pattern,
  given: ArgValue<Tensor> | undefined,
  known: ReadonlyMap<Tensor, number>,
  entering: (Tensor | number)[],
  step: Step,
  sizes: number[],
): boolean {
  const value = plainArgument(given);
  switch (pattern.kind) {
    case "value":
      if (!(value instanceof Tensor)) return false;
      return (known.get(value) ?? enteredAt(value, entering, step)) === pattern.number;
    case "new":
      if (!(value instanceof Tensor) || known.has(value) || entering.includes(value)) return false;
      if (!fitsSpec(value, pattern.spec, sizes)) return false;
      entering.push(value);
      return true;
    case "scalar":
      if (!fitsNumber(value, pattern.numbers)) return false;
      entering.push(value);
      return true;
    case "constant":
      return Object.is(value, pattern.value);
    case "size":
      return value === dimValue(pattern.expr, sizes);
    case "list": {
      const { items } = pattern;
      if (!Array.isArray(value) || value.length !== items.length) return false;
      for (let i = 0; i < items.length; i++) {
        if (!fits(items[i] as Pattern, value[i] as ArgValue<Tensor>, known, entering, step, sizes)) return false;
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

/** How the arguments of a new step differ from those of another: in numbers that could be tensors, at these places, and in sizes. */
export interface Difference {
  readonly places: readonly number[];
  readonly isResized: boolean;
}

/**
 * How new patterns differ from those of a step; null if in more than numbers and sizes. `isLoose` lets known values be any known values, for comparing steps
 * of different paths.
 */
export function differenceOf(step: Step, patterns: readonly Pattern[], isLoose: boolean): Difference | null {
  const places: number[] = [];
  let isResized = false;
  for (let i = 0; i < patterns.length; i++) {
    const [x, y] = [step.patterns[i] as Pattern, patterns[i] as Pattern];
    const isNumber = y.kind === "constant" && typeof y.value === "number";
    const wasNumber = x.kind === "scalar" || (x.kind === "constant" && typeof x.value === "number");
    if (isNumber && wasNumber && step.op?.schema.args[i]?.type !== "int") {
      if (!samePattern(x, y)) places.push(i);
      continue;
    }
    const change = changeOf(x, y, isLoose);
    if (change === "other") return null;
    if (change === "resized") isResized = true;
  }
  return { places, isResized };
}

function changeOf(x: Pattern, y: Pattern, isLoose: boolean): "same" | "resized" | "other" {
  const isKnown = (p: Pattern): boolean => p.kind === "value" || p.kind === "new";
  switch (y.kind) {
    case "new":
      if (x.kind === "new") return changeOfSpec(x.spec, y.spec);
      return isLoose && isKnown(x) ? "same" : "other";
    case "value":
      return isLoose ? (isKnown(x) ? "same" : "other") : x.kind === "value" && x.number === y.number ? "same" : "other";
    case "constant":
      if (x.kind === "size") return Number.isSafeInteger(y.value) ? "resized" : "other";
      if (samePattern(x, y)) return "same";
      return x.kind === "constant" && Number.isSafeInteger(x.value) && Number.isSafeInteger(y.value)
        ? "resized"
        : "other";
    case "list": {
      if (x.kind !== "list" || x.items.length !== y.items.length) return "other";
      const all = y.items.map((item, i) => changeOf(x.items[i] as Pattern, item, isLoose));
      return all.includes("other") ? "other" : all.includes("resized") ? "resized" : "same";
    }
    case "scalar":
    case "size":
      throw new InternalError("new steps are compared before their numbers change");
    default:
      return y satisfies never;
  }
}

function changeOfSpec(x: InputSpec, y: InputSpec): "same" | "resized" | "other" {
  if (x.dtype !== y.dtype || x.device !== y.device || x.shape.length !== y.shape.length) return "other";
  const same = (a: readonly Dim[], b: readonly Dim[]): boolean => a.every((v, i) => v === b[i]);
  return same(x.shape, y.shape) && same(x.stride, y.stride) ? "same" : "resized";
}

function samePattern(x: Pattern, y: Pattern): boolean {
  return x.kind === "constant" && y.kind === "constant" && Object.is(x.value, y.value);
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
