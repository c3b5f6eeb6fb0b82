/**
 * Calls that want a number, given one that only the run knows: written so that it stands where a tensor may stand.
 *
 * Enters: an operator, its arguments, and which of them are numbers in 0-dim nodes. Leaves: another operator with other arguments, or null where there is none. Factors
 * (`alpha`, `beta`, `value`, a scale of attention) go into the operand that they multiply; what fills a tensor is expanded; a slope chooses.
 */
import { bool, type DType, float32 } from "../../core/mod.ts";
import { type Argument, type Graph, isNode, isTensorMeta, type Node, type TensorMeta } from "../../graph/mod.ts";
import { findOp, getOp, type Operator } from "../../ops/mod.ts";
import type { Size } from "../../symbolic/mod.ts";
import { castTo } from "./autocast.ts";

/** A call as it is written instead. */
export interface Rewritten {
  readonly op: Operator;
  readonly args: Argument[];
}

/** By operator: which factor belongs to which operand. Without the factor the operator multiplies by 1. */
const FACTORS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  add: { alpha: "other" },
  sub: { alpha: "other" },
  addcmul: { value: "tensor1" },
  addcdiv: { value: "tensor1" },
  addmm: { alpha: "mat1", beta: "self" },
  baddbmm: { alpha: "batch1", beta: "self" },
  addbmm: { alpha: "batch1", beta: "self" },
  addmv: { alpha: "mat", beta: "self" },
  addr: { alpha: "vec1", beta: "self" },
  scaled_dot_product_attention: { scale: "query" },
};

/** The argument that fills a tensor. */
const FILLED: Readonly<Record<string, string>> = {
  full: "fillValue",
  full_like: "fillValue",
  new_full: "fillValue",
  fill: "value",
  scalar_tensor: "s",
};

/** Calls an operator of the table; arguments that are not given take their defaults. */
export function callOf(
  graph: Graph,
  target: string,
  args: Readonly<Record<string, Argument>>,
  value: TensorMeta,
): Node {
  const op = getOp(target);
  return graph.call(op, op.schema.args.map((arg): Argument => args[arg.key] ?? arg.defaultValue), value);
}

function tensorMeta(argument: Argument): TensorMeta | null {
  return isNode(argument) && isTensorMeta(argument.value) ? argument.value : null;
}

/** Each call of this kind rewritten, or null. */
export function withOperands(
  graph: Graph,
  op: Operator,
  args: readonly Argument[],
  isNumber: (a: Argument) => a is Node,
): Rewritten | null {
  const at = (key: string): number => op.schema.args.findIndex((arg) => arg.key === key);
  const given = (key: string): Argument => args[at(key)] ?? null;
  return filled(op, given, isNumber, graph) ?? withFactors(graph, op, args, at, isNumber) ??
    leakyRelu(graph, op, given, isNumber);
}

/** What is filled with a number that is a tensor is that tensor, expanded. */
function filled(
  op: Operator,
  given: (key: string) => Argument,
  isNumber: (a: Argument) => a is Node,
  graph: Graph,
): Rewritten | null {
  const expand = findOp("aten.expand.default");
  const key = FILLED[op.schema.name];
  if (expand === null || key === undefined) return null;
  const number = given(key), self = tensorMeta(given("self"));
  if (!isNumber(number)) return null;
  const size: Argument = op.schema.name === "scalar_tensor" ? [] : given("size") ?? self?.shape ?? null;
  if (!Array.isArray(size)) return null;
  const own = tensorMeta(number)?.dtype;
  const dtype = (given("dtype") as DType | null) ?? self?.dtype ?? (own?.isComplex === true ? own : float32);
  const all = { self: castTo(graph, number, dtype), size: size as readonly Size[] } as Readonly<
    Record<string, Argument>
  >;
  return { op: expand, args: expand.schema.args.map((arg): Argument => all[arg.key] ?? arg.defaultValue) };
}

function multiplied(graph: Graph, operand: Argument, number: Node): Node | null {
  const meta = tensorMeta(operand), factor = tensorMeta(number);
  if (meta === null || factor === null || !isNode(operand)) return null;
  const dtype = factor.dtype.isComplex ? factor.dtype : meta.dtype.isFloat ? meta.dtype : float32;
  const other = factor.dtype.isComplex ? number : castTo(graph, number, dtype);
  return callOf(graph, "aten.mul.Tensor", { self: operand, other }, { ...meta, dtype });
}

function withFactors(
  graph: Graph,
  op: Operator,
  args: readonly Argument[],
  at: (key: string) => number,
  isNumber: (a: Argument) => a is Node,
): Rewritten | null {
  const changed = [...args];
  let count = 0;
  for (const [factor, operand] of Object.entries(FACTORS[op.schema.name] ?? {})) {
    const number = args[at(factor)] ?? null;
    if (!isNumber(number)) continue;
    const product = multiplied(graph, changed[at(operand)] ?? null, number);
    if (product === null) return null;
    changed[at(operand)] = product;
    changed[at(factor)] = 1;
    count++;
  }
  const isLeft = changed.some((arg, i) => isNumber(arg) && op.schema.args[i]?.type !== "Tensor");
  return count === 0 || isLeft ? null : { op, args: changed };
}

function leakyRelu(
  graph: Graph,
  op: Operator,
  given: (key: string) => Argument,
  isNumber: (a: Argument) => a is Node,
): Rewritten | null {
  const slope = given("negativeSlope"), self = given("self"), meta = tensorMeta(self);
  const where = findOp("aten.where.self");
  if (op.schema.name !== "leaky_relu" || !isNumber(slope) || meta === null || where === null) return null;
  const scaled = multiplied(graph, self, slope);
  const zero = callOf(graph, "aten.zeros_like.default", { self }, meta);
  const isPositive = callOf(graph, "aten.gt.Tensor", { self, other: zero }, { ...meta, dtype: bool });
  return { op: where, args: [isPositive, self, scaled] };
}
