/**
 * Families of definitions: pointwise operators, reductions, and the meta functions they share.
 *
 * A pointwise operator is its schema, a promotion rule and a body on values that have already been broadcast and cast to the
 * computation type (float32 for half types); a reduction is its schema, an axis list and a body. Mirrors `make_pointwise`
 * and `make_reduction` of TorchInductor and `TensorIterator` of ATen.
 */
import {
  bool,
  computeType,
  type DType,
  getDefaultDtype,
  int64,
  InternalError,
  normalizeAxes,
  normalizeAxis,
  type PromotionOperand,
  resultType,
} from "../core/mod.ts";
import type { ArgsOf, Scalar, TensorMeta } from "../graph/mod.ts";
import { type LoopInput, type LoopNode, type Ops, ops, pointwise, type Value } from "../loops/mod.ts";
import { broadcastShapes, constant, type Expr, type Size } from "../symbolic/mod.ts";
import {
  defineOp,
  type Definition,
  type MetaInput,
  type MetaResult,
  type NamedArgs,
  type Operator,
  type TensorSpec,
  type VjpContext,
  type VjpResult,
} from "./define.ts";
import { elementwiseStride } from "./layout.ts";
import { isScalar, scalarInput, scalarMeta } from "./scalars.ts";
import type { TensorValue } from "./value.ts";

/**
 * How the result's dtype follows from the operands'.
 * `default`: promoted. `float`: promoted, integers become the default float. `bool`: the result is bool, computed in the promoted type.
 * `integer`: promoted, floats are refused. `boolToInt`: promoted, bool becomes int64.
 */
export type Promotion = "default" | "float" | "bool" | "integer" | "boolToInt";

/** What promotion needs to know of an operand. */
export function promotionOperand(input: MetaInput): PromotionOperand {
  return { dtype: input.dtype, rank: input.isScalar ? "scalar" : input.shape.length === 0 ? "zeroDim" : "tensor" };
}

/** Tells whether an argument of a definition is a tensor. */
export function isMetaInput(value: unknown): value is MetaInput {
  return typeof value === "object" && value !== null && "isScalar" in value;
}

function isLoopInput(value: unknown): value is LoopInput {
  return typeof value === "object" && value !== null && "load" in value;
}

/** The type in which operands meet: promoted by `rule`. */
export function promotedDtype(where: string, operands: readonly PromotionOperand[], rule: Promotion): DType {
  const dtype = resultType(operands);
  switch (rule) {
    case "default":
    case "bool":
      return dtype;
    case "float":
      return dtype.isFloat || dtype.isComplex ? dtype : getDefaultDtype();
    case "boolToInt":
      return dtype === bool ? int64 : dtype;
    case "integer":
      if (!dtype.isIntegral) {
        throw new TypeError(`${where}: needs integers or bool, got ${dtype.name}; convert with .to(int64) first`);
      }
      return dtype;
    default:
      return rule satisfies never;
  }
}

/** Shape and dtype of a pointwise operator over all its tensor arguments. */
export function pointwiseSpec(where: string, inputs: readonly MetaInput[], rule: Promotion): TensorSpec {
  const shape = broadcastShapes(where, ...inputs.map((i) => i.shape));
  const dtype = promotedDtype(where, inputs.map(promotionOperand), rule);
  return { shape, dtype: rule === "bool" ? bool : dtype, stride: elementwiseStride(shape, inputs) };
}

/** The element of `input` that broadcasting puts at `index`. */
export function loadBroadcast(input: LoopInput, index: readonly Expr[]): Value {
  const skip = index.length - input.shape.length;
  return input.load(
    input.shape.map((size, i) =>
      size.kind === "const" && size.value === 1 ? constant(0) : index[skip + i] ?? constant(0)
    ),
  );
}

/** A pointwise operator of any number of tensor arguments. */
export interface PointwiseDefinition<S extends string> extends Pick<Definition<S>, "schema" | "doc" | "samples"> {
  /** Default `"default"`. A function where the rule depends on the arguments (a rounding mode, say). */
  readonly promotion?: Promotion | ((args: ArgsOf<S, unknown>) => Promotion);
  /**
   * Names (in JavaScript) of the arguments that take part in promotion: tensors and scalars. Default: all tensors. Scalars that do
   * not take part reach the body as they are.
   */
  readonly promote?: readonly string[];
  readonly vjp?: NonNullable<Definition<S>["vjp"]>;
  readonly inplace?: boolean | string;
  readonly public?: boolean;
  /** The body on values: operands broadcast and cast to `compute`, other arguments as they are. Yields `compute`, or bool under `bool`. */
  readonly body: (ops: Ops, args: ArgsOf<S, Value>, compute: DType, result: DType) => Value;
  /** Extra checks of arguments. */
  readonly check?: (args: ArgsOf<S, MetaInput>) => void;
  /** The result's dtype where it is not what the rule says. */
  readonly dtype?: (args: ArgsOf<S, MetaInput>) => DType;
}

function loopOperand(input: LoopInput & { readonly isScalar?: boolean }): PromotionOperand {
  return {
    dtype: input.dtype,
    rank: input.isScalar === true ? "scalar" : input.shape.length === 0 ? "zeroDim" : "tensor",
  };
}

/** The name of an operator as messages show it: `aten::add.Tensor(…)` is `add`. */
export function operatorName(schema: string): string {
  return schema.slice(schema.indexOf("::") + 2).split(/[.(]/)[0] ?? schema;
}

/** Defines a pointwise operator. */
export function definePointwise<const S extends string>(definition: PointwiseDefinition<S>): Operator {
  const { schema, doc, samples, promotion = "default", body, check, promote, vjp, inplace, public: isPublic } =
    definition;
  const where = operatorName(schema);
  const takesPart = (key: string): boolean => promote === undefined || promote.includes(key);
  const ruleOf = (args: ArgsOf<S, unknown>): Promotion => typeof promotion === "string" ? promotion : promotion(args);
  const common = {
    schema,
    doc,
    samples,
    meta: (args: ArgsOf<S, MetaInput>): TensorSpec => {
      check?.(args);
      const rule = ruleOf(args);
      const tensors: MetaInput[] = [];
      const operands: PromotionOperand[] = [];
      for (const [key, value] of Object.entries(args)) {
        if (isMetaInput(value)) {
          tensors.push(value);
          if (takesPart(key)) operands.push(promotionOperand(value));
        } else if (promote?.includes(key) === true && isScalar(value)) {
          operands.push(promotionOperand(scalarMeta(value)));
        }
      }
      const shape = broadcastShapes(where, ...tensors.map((t) => t.shape));
      const dtype = promotedDtype(where, operands, rule);
      const stride = elementwiseStride(shape, tensors);
      return { shape, dtype: definition.dtype?.(args) ?? (rule === "bool" ? bool : dtype), stride };
    },
    loop: (args: ArgsOf<S, LoopInput>, out: TensorMeta): LoopNode => {
      const entries = Object.entries(args).map(([key, value]): [string, unknown] =>
        promote?.includes(key) === true && isScalar(value) ? [key, scalarInput(value)] : [key, value]
      );
      const operands = entries.flatMap(([key, value]) =>
        takesPart(key) && isLoopInput(value) ? [loopOperand(value)] : []
      );
      const compute = computeType(promotedDtype(where, operands, ruleOf(args)));
      return pointwise(out.shape, (index) => {
        const values = entries.map(([key, value]): [string, unknown] => {
          if (!isLoopInput(value)) return [key, value];
          const loaded = loadBroadcast(value, index);
          return [key, takesPart(key) ? ops.cast(loaded, compute) : loaded];
        });
        return ops.cast(body(ops, Object.fromEntries(values) as ArgsOf<S, Value>, compute, out.dtype), out.dtype);
      });
    },
    ...(vjp === undefined ? {} : { vjp }),
    ...(inplace === undefined ? {} : { inplace }),
    ...(isPublic === undefined ? {} : { public: isPublic }),
  };
  return defineOp(common as unknown as Definition<S>);
}

/** How {@linkcode defineScalarOverload} differs from its tensor form. */
export interface ScalarOverloadOptions {
  readonly inplace?: boolean | string;
  readonly public?: boolean;
  /** Arguments that the tensor form has and this one lacks. */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

/**
 * Defines the overload of an operator whose tensor arguments are scalars (`aten::mul.Scalar` of `aten::mul.Tensor`): the same
 * meta and body over wrapped numbers.
 */
export function defineScalarOverload(op: Operator, schema: string, options: ScalarOverloadOptions = {}): Operator {
  const keys = op.schema.args.filter((a) => a.type === "Tensor" && !a.list).map((a) => a.key);
  const wrap = (args: Readonly<Record<string, unknown>>, make: (value: Scalar) => unknown): Record<string, unknown> => {
    const out: Record<string, unknown> = { ...options.defaults, ...args };
    for (const key of keys) {
      const value = out[key];
      if (isScalar(value)) out[key] = make(value);
    }
    return out;
  };
  const { meta, loop, vjp } = op;
  const definition = {
    schema,
    doc: op.doc,
    meta: (args: NamedArgs<MetaInput>): MetaResult => meta(wrap(args, (v) => scalarMeta(v)) as NamedArgs<MetaInput>),
    loop: (args: NamedArgs<LoopInput>, out: TensorMeta): LoopNode => {
      if (loop === null) throw new InternalError(`${op.target} has no loop to derive ${schema} from`);
      return loop(wrap(args, scalarInput) as NamedArgs<LoopInput>, out);
    },
    ...(vjp === null ? {} : {
      vjp: (args: NamedArgs<TensorValue>, context: VjpContext): VjpResult =>
        vjp({ ...options.defaults as NamedArgs<TensorValue>, ...args }, context),
    }),
    inplace: options.inplace ?? false,
    public: options.public ?? true,
    samples: () => [],
  };
  return defineOp(definition as unknown as Definition<string>);
}

/** An axis argument as a number within the rank; a symbolic one is fixed. @throws {RangeError} naming the operator. */
export function axisOf(where: string, dim: Size, rank: number): number {
  return normalizeAxis(Number(dim), rank, where);
}

/** Resolves the `dim` argument of a reduction: null or empty means all dimensions. */
export function reductionAxes(where: string, dim: Size | readonly Size[] | null, rank: number): number[] {
  if (rank > 64) throw new TypeError(`${where}: reduces at most 64 dimensions, got ${rank}`);
  const list = dim === null ? [] : typeof dim === "object" && "length" in dim ? dim.map(Number) : [Number(dim)];
  if (list.length === 0) return Array.from({ length: rank }, (_, i) => i);
  return normalizeAxes(list, rank, where).sort((a, b) => a - b);
}

/** Shape after reducing `axes`. */
export function reducedShape(shape: readonly Size[], axes: readonly number[], keepdim: boolean): Size[] {
  if (keepdim) return shape.map((size, i) => axes.includes(i) ? 1 : size);
  return shape.filter((_, i) => !axes.includes(i));
}

/** Index into the operand of a reduction, from the index of the result and the reduced index. */
export function reductionIndex(
  rank: number,
  axes: readonly number[],
  keepdim: boolean,
  index: readonly Expr[],
  reduceIndex: readonly Expr[],
): Expr[] {
  let outer = 0;
  let inner = 0;
  return Array.from({ length: rank }, (_, i) => {
    if (axes.includes(i)) {
      if (keepdim) outer++;
      return reduceIndex[inner++] ?? constant(0);
    }
    return index[outer++] ?? constant(0);
  });
}
