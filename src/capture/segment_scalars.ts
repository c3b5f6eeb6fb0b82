/**
 * Numbers that change between calls: how they enter a segment as tensors, so that one segment serves them all.
 *
 * The operator is replaced by its form with tensors; only where that leaves dtype, shape and strides of the result as they are.
 */
import { type DType, getDefaultDtype, int64 } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import { type NamedArgs, type Operator, overloadsOf } from "../ops/mod.ts";
import { inferMeta, Storage, Tensor } from "../tensor/mod.ts";
import { writtenBy } from "./segment_operators.ts";
import {
  type Difference,
  differenceOf,
  type NumberKind,
  type Pattern,
  type PatternMaker,
  plainArgument,
  type Step,
} from "./segment_steps.ts";

/** A step that a new one is like, and how they differ. */
export interface Similar extends Difference {
  readonly step: Step;
  /** The step stands on another path. */
  readonly isLoose: boolean;
}

/** A step that differs from a new one in numbers and sizes only. */
export function findSimilar(
  steps: readonly Step[],
  op: Operator,
  patterns: readonly Pattern[],
  isLoose: boolean,
): Similar | null {
  for (const step of steps) {
    if (step.op !== op) continue;
    const difference = differenceOf(step, patterns, isLoose);
    if (difference !== null) return { step, isLoose, ...difference };
  }
  return null;
}

/** The step with the numbers at these places entering as tensors; null where that would change the result's description. */
export function withScalars(
  op: Operator,
  args: NamedArgs<Tensor>,
  places: readonly number[],
  metas: readonly TensorMeta[],
  maker: PatternMaker,
): { readonly op: Operator; readonly patterns: Pattern[] } | null {
  const general = tensorOverload(op, places);
  const tensors = Object.values(args).filter((v): v is Tensor => v instanceof Tensor && v.wrapped === null);
  const like = tensors.find((t) => t.dtype.isFloat) ?? tensors[0];
  if (general === null || like === undefined || like.device.type !== "cpu" || like.dtype.isComplex) return null;
  const trial: Record<string, unknown> = { ...args };
  const kinds = new Map<number, { readonly dtype: DType; readonly numbers: NumberKind }>();
  for (const place of places) {
    const key = op.schema.args[place]?.key ?? "";
    const value = plainArgument(args[key]);
    if (typeof value !== "number") return null;
    const kind = scalarKind(value, like.dtype);
    kinds.set(place, kind);
    trial[key] = new Tensor({ shape: [], dtype: kind.dtype, device: like.device, storage: new Storage(null) });
  }
  const described = writtenBy(op, args) === null ? inferMeta(general, trial as NamedArgs<Tensor>) : [];
  if (described.some((m, i) => !sameMeta(m, metas[i] as TensorMeta))) return null;
  const patterns = op.schema.args.map((a, i): Pattern => {
    const kind = kinds.get(i);
    const value = plainArgument(args[a.key]);
    return kind !== undefined && typeof value === "number"
      ? maker.scalar(value, kind.dtype, kind.numbers)
      : maker.make(args[a.key]);
  });
  return { op: general, patterns };
}

/** The form of an operator that takes tensors where these arguments are numbers; null if there is none. */
function tensorOverload(op: Operator, places: readonly number[]): Operator | null {
  const { args, name } = op.schema;
  const fits = (other: Operator): boolean =>
    other.schema.args.length === args.length && other.schema.args.every((b, i) => {
      const a = args[i];
      if (a === undefined || a.key !== b.key || a.list !== b.list) return false;
      return places.includes(i) ? b.type === "Tensor" && !b.list : a.type === b.type;
    });
  return overloadsOf(name).find(fits) ?? null;
}

/** As what a number beside tensors of this dtype enters a segment. */
function scalarKind(value: number, beside: DType): { readonly dtype: DType; readonly numbers: NumberKind } {
  if (beside.isFloat) return { dtype: beside.bytes < 4 ? getDefaultDtype() : beside, numbers: "any" };
  return Number.isSafeInteger(value)
    ? { dtype: int64, numbers: "whole" }
    : { dtype: getDefaultDtype(), numbers: "fraction" };
}

function sameMeta(a: TensorMeta, b: TensorMeta): boolean {
  const same = (x: TensorMeta["shape"], y: TensorMeta["shape"]): boolean =>
    x.length === y.length && x.every((v, i) => v === y[i]);
  return a.dtype === b.dtype && a.device === b.device && same(a.shape, b.shape) && same(a.stride, b.stride);
}

/** The pattern of the number that enters as this value. */
export function findScalar(patterns: readonly Pattern[], number: number): (Pattern & { kind: "scalar" }) | null {
  for (const pattern of patterns) if (pattern.kind === "scalar" && pattern.number === number) return pattern;
  return null;
}
