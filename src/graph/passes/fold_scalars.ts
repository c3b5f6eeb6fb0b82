/**
 * Folds arithmetic on constants that are the same everywhere: `full([2], 3) * 2` becomes `full([2], 6)`, and `x * 1`, `x / 1`, `x - 0` become `x`.
 *
 * Gradients begin with ones and are full of such products. Only exact identities are used: `x + 0` stays, because it turns -0
 * into 0. Results round as the operators do (half types compute in float32). A node that the graph returns stays, so that no
 * result becomes an alias of an input. Mirrors `constant_fold_uniform_value` of TorchInductor's joint graph passes.
 */
import { computeType, type DType, float16, float32, narrowFloat } from "../../core/mod.ts";
import { isSymInt, sizeSame } from "../../symbolic/mod.ts";
import { type Graph } from "../graph.ts";
import {
  type Argument,
  type CallNode,
  isNode,
  isTensorMeta,
  type Node,
  type OpTarget,
  type TensorMeta,
} from "../node.ts";
import { rewriteDeadCode } from "./dead_code.ts";
import { isShown } from "./effects.ts";

/** Rounds to the nearest value of a floating point type, ties to even. */
export function roundTo(value: number, dtype: DType): number {
  const single = Math.fround(value);
  if (dtype === float32) return single;
  if (dtype === float16) return Math.f16round(single);
  return narrowFloat(dtype)?.round(single) ?? value;
}

type Arithmetic = (a: number, b: number, alpha: number) => number;

const ARITHMETIC: Readonly<Record<string, Arithmetic>> = {
  add: (a, b, alpha) => a + alpha * b,
  sub: (a, b, alpha) => a - alpha * b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

/** The arithmetic of a call, or null: overloads with a number in the second place behave as with a tensor. */
function arithmeticOf(target: OpTarget): Arithmetic | null {
  const { namespace, name, overload } = target.schema;
  const plain = namespace === "aten" && (overload === "Tensor" || overload === "Scalar");
  return plain ? ARITHMETIC[name] ?? null : null;
}

/** The number that a creation operator fills its result with, or null. */
function filledWith(node: CallNode): number | null {
  const { namespace, name, args } = node.target.schema;
  if (namespace !== "aten") return null;
  switch (name) {
    case "zeros":
    case "zeros_like":
      return 0;
    case "ones":
    case "ones_like":
      return 1;
    case "full":
    case "full_like": {
      const value = node.args[args.findIndex((a) => a.key === "fillValue")];
      return typeof value === "number" ? value : null;
    }
    default:
      return null;
  }
}

/** A view of equal elements shows the same element. */
function viewedValue(node: CallNode, known: ReadonlyMap<Node, number>): number | null {
  const at = node.target.schema.args.findIndex((a) => a.alias !== null && !a.mutated && !a.list);
  const viewed = node.args[at] ?? null;
  return isNode(viewed) ? known.get(viewed) ?? null : null;
}

/** The one value of all elements of a floating point node, or null. */
function uniformValue(argument: Argument, known: ReadonlyMap<Node, number>): number | null {
  if (typeof argument === "number") return argument;
  return isNode(argument) ? known.get(argument) ?? null : null;
}

function sameMeta(a: TensorMeta, b: TensorMeta): boolean {
  const same = (x: TensorMeta["shape"], y: TensorMeta["shape"]): boolean =>
    x.length === y.length && x.every((s, i) => sizeSame(s, y[i] ?? -1));
  return a.dtype === b.dtype && a.device === b.device && same(a.shape, b.shape) && same(a.stride, b.stride);
}

/** The operand that the call leaves unchanged, or null. */
function identityOperand(node: CallNode, known: ReadonlyMap<Node, number>): Node | null {
  const [a = null, b = null, alpha = 1] = node.args;
  const va = uniformValue(a, known);
  const vb = uniformValue(b, known);
  const keep = (x: Argument): Node | null =>
    isNode(x) && isTensorMeta(x.value) && isTensorMeta(node.value) && sameMeta(x.value, node.value) ? x : null;
  switch (arithmeticOf(node.target) === null ? "" : node.target.schema.name) {
    case "mul":
      return vb === 1 ? keep(a) : va === 1 ? keep(b) : null;
    case "div":
      return vb === 1 ? keep(a) : null;
    case "sub":
      return Object.is(vb, 0) && alpha === 1 ? keep(a) : null;
    default:
      return null;
  }
}

/**
 * Folds in place; returns how many calls were replaced.
 *
 * @param full the operator `aten.full` (size, fillValue, dtype, device, …), with which folded constants are written; its first two arguments are size
 * and value, and an argument named `dtype` and `device` are set if its schema has them.
 */
export function rewriteScalars(graph: Graph, full: OpTarget): number {
  const known = new Map<Node, number>();
  let count = 0;
  for (const node of [...graph.nodes]) {
    if (node.op !== "call" || !isTensorMeta(node.value) || !node.value.dtype.isFloat) continue;
    const meta = node.value;
    const made = filledWith(node) ?? viewedValue(node, known);
    if (made !== null) {
      known.set(node, roundTo(made, meta.dtype));
      continue;
    }
    const arithmetic = arithmeticOf(node.target);
    if (arithmetic === null) continue;
    const same = identityOperand(node, known);
    if (same !== null && !isShown(node)) {
      const value = known.get(same);
      graph.replaceAllUses(node, same);
      if (value !== undefined) known.set(node, value);
      count++;
      continue;
    }
    const [a = null, b = null, alpha = 1] = node.args;
    const va = uniformValue(a, known);
    const vb = uniformValue(b, known);
    if (va === null || vb === null || (!isNode(a) && !isNode(b)) || typeof alpha !== "number") continue;
    const compute = computeType(meta.dtype);
    const scaled = alpha === 1 ? roundTo(vb, compute) : roundTo(alpha * roundTo(vb, compute), compute);
    const result = roundTo(roundTo(arithmetic(roundTo(va, compute), scaled, 1), compute), meta.dtype);
    if (meta.shape.some((s) => isSymInt(s))) continue;
    const args = full.schema.args.map((arg, i): Argument =>
      i === 0
        ? meta.shape
        : i === 1
        ? result
        : arg.key === "dtype"
        ? meta.dtype
        : arg.key === "device"
        ? meta.device
        : arg.defaultValue
    );
    const folded = graph.insertBefore(node, () => graph.call(full, args, meta, node.location));
    known.set(folded, result);
    graph.replaceAllUses(node, folded);
    count++;
  }
  if (count > 0) rewriteDeadCode(graph);
  return count;
}
