/**
 * What a program does with the scores of attention, inlined into the kernel that computes them.
 *
 * Enters: an operator whose program is recorded. Leaves: its values over batch, rows and columns, in which the score and the gradient of the changed score are
 * loads of two buffers that are never stored. Only operators that compute element by element can be inlined; the others are seen before.
 */
import { float32, int64, InternalError } from "../core/mod.ts";
import { type Argument, type Graph, isTensorMeta } from "../graph/mod.ts";
import { asIndex, type LoopInput, type LoopVar, loopVar, ops, type Value } from "../loops/mod.ts";
import { type NamedArgs, type Operator, scoreProgram } from "../ops/mod.ts";
import { constant, type Expr, exprOf } from "../symbolic/mod.ts";
import { dtypeOfNumber } from "../tensor/mod.ts";
import { newBuffer, product } from "./buffers.ts";
import type { AttentionRole, AttentionScores } from "./groups.ts";
import { costOf, flatIndex, type Layout, LoweredTensor, rowMajorStride } from "./lowered.ts";

/** Loop inputs that yield zeros: enough to learn what kind of loop an operator is. */
function dummy(argument: Argument, isTensor: boolean): unknown {
  if (Array.isArray(argument)) return argument.map((a: Argument) => dummy(a, isTensor));
  if (!isTensor || argument === null) return argument;
  const value = typeof argument === "object" && "users" in argument ? argument.value : null;
  if (isTensorMeta(value)) {
    return { shape: value.shape.map(exprOf), dtype: value.dtype, load: () => ops.constant(0, value.dtype) };
  }
  const dtype = dtypeOfNumber(argument as number);
  return { shape: [], dtype, load: () => ops.constant(0, dtype), isScalar: true };
}

/** The first operator of a graph that does more than computing element by element; null if there is none. */
function otherThanElementwise(graph: Graph): string | null {
  for (const node of graph.calls) {
    const op = node.target as Operator;
    if (op.loop === null || !isTensorMeta(node.value)) return op.schema.name;
    const named: Record<string, unknown> = {};
    op.schema.args.forEach((arg, i) => named[arg.key] = dummy(node.args[i] ?? null, arg.type === "Tensor"));
    const { kind } = op.loop(named as NamedArgs<LoopInput>, node.value);
    if (kind !== "pointwise" && kind !== "view") return op.schema.name;
  }
  return null;
}

/** Why a program cannot be inlined; null if it can. */
export function reasonAgainstProgram(text: string): string | null {
  const { forward, backward } = scoreProgram(text);
  const found = otherThanElementwise(forward) ?? (backward === null ? null : otherThanElementwise(backward));
  return found === null ? null : `${found} in a function of its scores does more than computing element by element`;
}

/** Runs a graph of elementwise operators on lowered tensors. */
export type InlineGraph = (graph: Graph, inputs: readonly LoweredTensor[]) => readonly LoweredTensor[];

/** The values of a program for a kernel. `batch` are batch and heads. */
export function attentionScores(
  text: string,
  role: AttentionRole,
  captured: readonly LoweredTensor[],
  vars: readonly LoopVar[],
  extents: readonly Expr[],
  inline: InlineGraph,
): AttentionScores {
  const { forward, backward } = scoreProgram(text);
  const [own] = forward.placeholders;
  if (own === undefined) throw new InternalError("a program of scores has no score");
  const layout: Layout = { shape: extents, stride: rowMajorStride(extents), offset: constant(0) };
  const hole = (label: string): LoweredTensor => {
    const buffer = newBuffer(label, float32, product(extents));
    return new LoweredTensor(own, extents, float32, { kind: "memory", buffer, layout });
  };
  const [score, grad] = [hole("score"), hole("score_grad")];
  const positions = extents.map((extent, d) => {
    const shape = extents.map((_, i) => i === d ? extent : constant(1));
    const own = shape.map((size) => loopVar(size));
    const value = ops.cast(ops.index(asIndex(own)[d] ?? constant(0)), int64);
    const state = { kind: "lazy", vars: own, value, cost: costOf(value) } as const;
    return new LoweredTensor(score.node, shape, int64, state);
  });
  const at = asIndex(vars);
  const load = (t: LoweredTensor | undefined): Value | null => t === undefined ? null : t.load(at);
  const [changed, keep] = inline(forward, [score, ...positions, ...captured]);
  const change = load(changed);
  if (change === null) throw new InternalError("a program of scores gives none");
  let back: Value | null = null;
  if (role !== "forward" && backward !== null) {
    back = load(inline(backward, [score, ...positions, grad, ...captured])[0]);
  }
  const [s, g] = [score.inMemory(), grad.inMemory()];
  if (s === null || g === null) throw new InternalError("scores are nowhere");
  return { score: s.buffer, grad: g.buffer, index: flatIndex(layout, at), change, keep: load(keep), back };
}
