/**
 * Records a step whose sizes change between calls.
 *
 * Enters: a step as it is in this call, and the step that it is like. Leaves: its patterns and results over symbols, with the conditions under which they hold. Where an
 * operator cannot tell its result from symbols, or tells another one, the step is pinned to the sizes of this call: other sizes are another path.
 */
import { InternalError } from "../core/mod.ts";
import type { TensorMeta } from "../graph/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { type BoolExpr, eq, mul, symbol } from "../symbolic/mod.ts";
import { inferMeta, Storage, Tensor } from "../tensor/mod.ts";
import type { Similar } from "./segment_scalars.ts";
import { asDim, asSize, type Dim, dimValue, dimValues, envOf, SizeFinder, sizeSymbol } from "./segment_sizes.ts";
import { type InputSpec, type Pattern, type ResultDims, scalarSpec, type Step } from "./segment_steps.ts";
import type { ShapeEnv } from "./shape_env.ts";

/** How far back sizes of results are tried as explanations of a number. */
const MOST_LOOKED_BACK = 24;

/** A step as it was recorded in this call. */
export interface PlainStep {
  readonly at: Step;
  /** The operator that stands in the graph. */
  readonly op: Operator;
  readonly args: NamedArgs<Tensor>;
  readonly patterns: readonly Pattern[];
  readonly metas: readonly TensorMeta[];
  /** What the symbols of the path are in this call. */
  readonly sizes: readonly number[];
  readonly similar: Similar | null;
  readonly writes: boolean;
}

/** The same step over symbols. */
export interface SymbolicStep {
  readonly patterns: readonly Pattern[];
  /** One a result; null where it is what it was. */
  readonly dims: readonly (ResultDims | null)[];
  readonly guards: readonly BoolExpr[];
  readonly hints: readonly number[];
  readonly olds: readonly number[];
}

/** Records a step over symbols; null if no size of it or before it is one. */
export function symbolicStep(plain: PlainStep): SymbolicStep | null {
  const { at, similar, sizes } = plain;
  // A step beside this one knows the same symbols; one of another path is what `olds` speak of.
  const before = similar === null || similar.isLoose ? at.olds : similar.step.hints;
  const finder = new SizeFinder(sizes, before);
  const patterns = plain.patterns.map((p, i) => generalise(p, similar?.step.patterns[i] ?? null, plain, finder));
  if (finder.sizes.length === 0) return null;
  const { sizes: hints, olds } = finder;
  const env = envOf(hints);
  const dims = describeResults(plain, patterns, env, hints);
  if (dims !== null) return { patterns, dims, guards: env.guards.map((g) => g.condition), hints, olds };
  const pinned = hints.map((value, i) => eq(symbol(sizeSymbol(i)), value));
  return { patterns, dims: plain.metas.map(() => null), guards: pinned, hints, olds };
}

function generalise(now: Pattern, old: Pattern | null, plain: PlainStep, finder: SizeFinder): Pattern {
  const hints = plain.similar?.step.hints ?? [];
  switch (now.kind) {
    case "new": {
      const before = old?.kind === "new" ? old.spec.shape : null;
      const { shape, stride } = now.spec;
      const found = finder.tensor(
        shape as readonly number[],
        stride as readonly number[],
        before,
        before === null ? [] : dimValues(before, hints),
      );
      return { ...now, spec: { ...now.spec, ...found } };
    }
    case "constant": {
      if (typeof now.value !== "number") return now;
      const before = old?.kind === "size" ? dimValue(old.expr, hints) : old?.kind === "constant" ? old.value : null;
      if (typeof before !== "number") return now;
      const dim = finder.number(now.value, before, () => candidates(plain));
      return typeof dim === "number" ? now : { kind: "size", expr: dim };
    }
    case "list":
      return {
        kind: "list",
        items: now.items.map((item, i) =>
          generalise(item, old?.kind === "list" ? old.items[i] ?? null : null, plain, finder)
        ),
      };
    case "value":
    case "scalar":
    case "size":
      return now;
    default:
      return now satisfies never;
  }
}

/** Sizes that a number among the arguments may be: those of the tensors beside it, products of these, and those of results before. */
function* candidates({ at, patterns }: PlainStep): Generator<Dim> {
  for (const pattern of patterns.flatMap((p) => p.kind === "list" ? p.items : [p])) {
    if (pattern.kind !== "value") continue;
    const { shape } = describeValue(at, pattern.number);
    yield* shape;
    for (let from = 0; from < shape.length; from++) {
      for (let to = from + 2; to <= shape.length; to++) yield mul(...shape.slice(from, to));
    }
  }
  let step: Step | null = at;
  for (let i = 0; i < MOST_LOOKED_BACK && step !== null; i++, step = step.parent) {
    for (const { dims } of step.results) if (dims !== null) yield* dims.shape;
  }
}

/** What a path knows of one of its values. */
interface ValueDims extends ResultDims {
  readonly dtype: TensorMeta["dtype"];
  readonly device: TensorMeta["device"];
}

function enteredAs(patterns: readonly Pattern[], number: number): InputSpec | null {
  for (const p of patterns) {
    if (p.kind === "new" && p.number === number) return p.spec;
    if (p.kind === "scalar" && p.number === number) return scalarSpec(p.dtype);
    const inside = p.kind === "list" ? enteredAs(p.items, number) : null;
    if (inside !== null) return inside;
  }
  return null;
}

function describeValue(at: Step, number: number): ValueDims {
  let step = at;
  while (step.parent !== null && step.parent.values > number) step = step.parent;
  const result = step.results[number - (step.values - step.results.length)];
  if (result !== undefined) {
    const { shape, stride, storageOffset, dtype, device } = result.meta;
    const plain: ResultDims = {
      shape: shape as readonly number[],
      stride: stride as readonly number[],
      offset: Number(storageOffset),
    };
    return { ...(result.dims ?? plain), dtype, device };
  }
  const spec = enteredAs(step.patterns, number);
  if (spec === null) throw new InternalError(`value ${number} comes from no step`);
  return { ...spec, offset: 0 };
}

/** Runs the operator's `meta` on symbols; null if it fails, or does not describe what this call gave. */
function describeResults(
  plain: PlainStep,
  patterns: readonly Pattern[],
  env: ShapeEnv,
  hints: readonly number[],
): (ResultDims | null)[] | null {
  const { at, op, args, metas, writes } = plain;
  const described = writes ? op.functional : op;
  if (described === null) return null;
  const twin = ({ shape, stride, offset, dtype, device }: ValueDims): Tensor =>
    new Tensor({
      shape: shape.map((d) => asSize(d, env)),
      stride: stride.map((d) => asSize(d, env)),
      storageOffset: asSize(offset, env),
      dtype,
      device,
      storage: new Storage(null),
    });
  const argument = (p: Pattern, given: ArgValue<Tensor> | undefined): unknown => {
    switch (p.kind) {
      case "value": {
        const entered = p.number >= at.values ? enteredAs(patterns, p.number) : null;
        return twin(entered === null ? describeValue(at, p.number) : { ...entered, offset: 0 });
      }
      case "new":
        return twin({ ...p.spec, offset: 0 });
      case "scalar":
        return twin({ ...scalarSpec(p.dtype), offset: 0 });
      case "size":
        return asSize(p.expr, env);
      case "constant":
        return given;
      case "list":
        return p.items.map((item, i) => argument(item, (given as readonly ArgValue<Tensor>[])[i]));
      default:
        return p satisfies never;
    }
  };
  const named: Record<string, unknown> = {};
  op.schema.args.forEach((a, i) => named[a.key] = argument(patterns[i] as Pattern, args[a.key]));
  let found: readonly TensorMeta[];
  try {
    found = inferMeta(described, named as NamedArgs<Tensor>);
  } catch {
    return null;
  }
  if (writes) return [];
  const dims = found.map((m): ResultDims => ({
    shape: m.shape.map(asDim),
    stride: m.stride.map(asDim),
    offset: asDim(m.storageOffset),
  }));
  const fits = dims.length === metas.length && dims.every((d, i) => describes(d, metas[i] as TensorMeta, hints));
  return fits ? dims : null;
}

function describes({ shape, stride, offset }: ResultDims, meta: TensorMeta, hints: readonly number[]): boolean {
  const same = (dims: readonly Dim[], sizes: readonly unknown[]): boolean =>
    dims.length === sizes.length && dims.every((d, i) => dimValue(d, hints) === sizes[i]);
  return same(shape, meta.shape) && same(stride, meta.stride) && dimValue(offset, hints) === Number(meta.storageOffset);
}
