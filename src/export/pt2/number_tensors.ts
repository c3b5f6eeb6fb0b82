/**
 * Numbers that a program reads out of float tensors, `t.item()`, and fractions of sizes, as the tensors that they are.
 *
 * Enters: calls that take such a number, or arithmetic on it. Leaves: 0-dim float64 nodes, so that nothing is read on the way and the graph stays whole. An operator that wants a
 * number takes the overload of the same name that wants a tensor; the number is cast to the dtype that its operands have, for a number never decides it. Mirrors
 * `tensorify_python_scalars` of PyTorch.
 */
import { complex64, type Device, type DType, float32, float64 } from "../../core/mod.ts";
import { type Argument, type Graph, isNode, isTensorMeta, type Node, type TensorMeta } from "../../graph/mod.ts";
import { getOp, type Operator, overloadsOf } from "../../ops/mod.ts";
import { castTo } from "./autocast.ts";
import { callOf, withOperands } from "./number_operands.ts";

/** Python's arithmetic on numbers: the operator that does it. */
const ARITHMETIC: Readonly<Record<string, string>> = {
  "_operator.add": "aten.add.Tensor",
  "_operator.sub": "aten.sub.Tensor",
  "_operator.mul": "aten.mul.Tensor",
  "_operator.truediv": "aten.div.Tensor",
  "_operator.floordiv": "aten.floor_divide.default",
  "_operator.mod": "aten.remainder.Tensor",
  "_operator.pow": "aten.pow.Tensor_Tensor",
  "_operator.neg": "aten.neg.default",
  "_operator.abs": "aten.abs.default",
  "math.sqrt": "aten.sqrt.default",
  "torch.sym_sqrt": "aten.sqrt.default",
  "torch._sym_sqrt": "aten.sqrt.default",
  "torch.sym_float": "aten.clone.default",
  "torch.sym_max": "aten.maximum.default",
  "torch.sym_min": "aten.minimum.default",
};

const NUMBER: Omit<TensorMeta, "device"> = { shape: [], stride: [], storageOffset: 0, dtype: float64 };

/** The number in a tensor of one element. */
export function numberNode(graph: Graph, tensor: Node): Node | null {
  const { value } = tensor;
  if (!isTensorMeta(value) || value.shape.some((size) => size !== 1)) return null;
  const one = value.shape.length === 0 ? tensor : callOf(graph, "aten.reshape.default", { self: tensor, shape: [] }, {
    ...value,
    ...NUMBER,
    dtype: value.dtype,
  });
  return castTo(graph, one, float64);
}

/** A number with an imaginary part, as the tensor that it is. */
export function complexNode(graph: Graph, real: number, imaginary: number, device: Device): Node {
  const part = (fillValue: number): Node =>
    callOf(graph, "aten.full.default", { size: [], fillValue, dtype: float32, device }, {
      ...NUMBER,
      dtype: float32,
      device,
    });
  const value = { ...NUMBER, dtype: complex64, device };
  return callOf(graph, "aten.complex.default", { real: part(real), imag: part(imaginary) }, value);
}

/** Arithmetic on numbers: nodes, sizes and constants; null if it is not known. Without a node the result lives on `home`. */
export function arithmeticOn(graph: Graph, target: string, given: readonly Argument[], home: Device): Node | null {
  const name = Object.hasOwn(ARITHMETIC, target) ? ARITHMETIC[target] : undefined;
  const number = given.find(isNode);
  if (name === undefined || number !== undefined && !isTensorMeta(number.value)) return null;
  const op = getOp(name);
  const tensors = op.schema.args.filter((a) => a.type === "Tensor");
  if (tensors.length !== given.length) return null;
  const device = number !== undefined && isTensorMeta(number.value) ? number.value.device : home;
  const operands = given.map((v) =>
    isNode(v) ? v : callOf(graph, "aten.full.default", { size: [], fillValue: v, dtype: float64, device }, {
      ...NUMBER,
      device,
    })
  );
  const args = Object.fromEntries(tensors.map((arg, i) => [arg.key, operands[i] ?? null]));
  return callOf(graph, name, args, { ...NUMBER, device });
}

/** A call as an operator that takes tensors where the file has numbers that only the run knows. */
export function withNumbers(
  graph: Graph,
  op: Operator,
  args: readonly Argument[],
  numbers: ReadonlySet<Node>,
): { readonly op: Operator; readonly args: Argument[] } | null {
  const isNumber = (a: Argument): a is Node => isNode(a) && numbers.has(a);
  if (args.some((a) => Array.isArray(a) && a.some((x: Argument) => isNumber(x)))) return null;
  const dtype = dtypeOfOthers(args, isNumber);
  const cast = (a: Argument): Argument => isNumber(a) && !isComplex(a) ? castTo(graph, a, dtype) : a;
  const taken = op.schema.args.every((arg, i) => arg.type === "Tensor" || !isNumber(args[i] ?? null));
  if (taken) return { op, args: args.map(cast) };
  const rewritten = withOperands(graph, op, args, isNumber);
  if (rewritten !== null) return { op: rewritten.op, args: rewritten.args.map(cast) };
  const name = op.schema.args.map((arg) => arg.key);
  for (const other of overloadsOf(op.schema.name)) {
    const fits = other.schema.args.length === name.length && other.schema.args.every((arg, i) => {
      if (arg.type === "Scalar" && isNumber(args[i] ?? null)) return false;
      return arg.type === op.schema.args[i]?.type || arg.type === "Tensor" && op.schema.args[i]?.type === "Scalar";
    });
    if (fits && other.schema.namespace === op.schema.namespace) return { op: other, args: args.map(cast) };
  }
  return null;
}

function isComplex(node: Node): boolean {
  return isTensorMeta(node.value) && node.value.dtype.isComplex;
}

/** The float dtype of the tensors beside a number; without any, numbers make float32. */
function dtypeOfOthers(args: readonly Argument[], isNumber: (a: Argument) => boolean): DType {
  for (const arg of args.flat() as readonly Argument[]) {
    if (isNode(arg) && !isNumber(arg) && isTensorMeta(arg.value) && arg.value.dtype.isFloat) return arg.value.dtype;
  }
  return float32;
}
