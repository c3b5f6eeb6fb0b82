/**
 * Attention whose scores a program changes and masks.
 *
 * A program is a pair of recorded graphs over [batch, heads, queries, keys]: the changed score with what is kept, and the gradient of the score from that of the changed
 * one. Calls name it by a text that says all of it, so that equal programs are one kernel; whoever records it enters it here. What these operators
 * mean is their decomposition; on CUDA templates inline the program. `blocks` lists, for tiles of queries, the tiles of keys that are seen
 * in part and wholly, and the same the other way around; it never changes the result. Mirrors PyTorch's `flex_attention`.
 */
import { computeType, int32 } from "../core/mod.ts";
import type { Graph } from "../graph/mod.ts";
import type { Size } from "../symbolic/mod.ts";
import { attentionSpec } from "./attention.ts";
import { defineOp, type TensorSpec } from "./define.ts";
import type { TensorValue } from "./value.ts";

/** What a score becomes. */
export interface ScoreProgram {
  /** Inputs: score, batch, head, query and key positions, captured tensors. Results: the changed score; a bool where there is a mask. */
  readonly forward: Graph;
  /** Inputs: the same, and the changed score's gradient before the captured ones. Result: the score's gradient; null where there is no gradient. */
  readonly backward: Graph | null;
  /** Runs {@linkcode forward} on all scores at once, with the mask. */
  apply(scores: TensorValue, captured: readonly TensorValue[]): TensorValue;
  /** Runs {@linkcode backward} on all scores at once. */
  pull(scores: TensorValue, grad: TensorValue, captured: readonly TensorValue[]): TensorValue;
}

const programs = new Map<string, ScoreProgram>();

/** Enters a program under the text that says all of it. */
export function enterScoreProgram(text: string, make: () => ScoreProgram): void {
  if (!programs.has(text)) programs.set(text, make());
}

/** The program of a text. @throws {RangeError} if nobody entered it in this process. */
export function scoreProgram(text: string): ScoreProgram {
  const found = programs.get(text);
  if (found === undefined) {
    throw new RangeError("flex_attention: the program of its scores is not known in this process");
  }
  return found;
}

interface Operands<T> {
  readonly query: T;
  readonly key: T;
  readonly value: T;
  readonly captured: readonly T[];
  readonly score: string;
  readonly scale: number;
}

function plainScores({ query, key, scale }: Operands<TensorValue>): TensorValue {
  const compute = computeType(query.dtype);
  return query.to(compute).matmul(key.to(compute).transpose(-2, -1)).mul(scale);
}

interface GradientOperands<T> extends Operands<T> {
  readonly grad: T;
  readonly lse: T;
  readonly delta: T;
}

/** Probabilities, and the gradient of scores before they were changed. */
function gradients(args: GradientOperands<TensorValue>): { readonly p: TensorValue; readonly scores: TensorValue } {
  const { grad, value, lse, delta, captured, score } = args;
  const compute = computeType(value.dtype);
  const plain = plainScores(args);
  const program = scoreProgram(score);
  const known = lse.maskedFill(lse.eq(-Infinity), 0).unsqueeze(-1);
  const p = program.apply(plain, captured).sub(known).exp();
  const byP = grad.to(compute).matmul(value.to(compute).transpose(-2, -1));
  return { p, scores: program.pull(plain, p.mul(byP.sub(delta.unsqueeze(-1))), captured) };
}

function spec(
  where: string,
  args: Operands<TensorSpec & { readonly isScalar: boolean; readonly requiresGrad: boolean }>,
): TensorSpec {
  const plain = { query: args.query, key: args.key, value: args.value, attnMask: null };
  return attentionSpec(where, plain as Parameters<typeof attentionSpec>[1], false);
}

function sizeAt(shape: readonly Size[], back: number): Size {
  return shape[shape.length - back] ?? 1;
}

defineOp({
  schema:
    "tessera::flex_forward(Tensor query, Tensor key, Tensor value, Tensor[] captured, Tensor[] blocks, str score, float scale) -> (Tensor, Tensor)",
  doc: "attention whose scores a program changes, and the logarithm of the sum of exponentials of each row.",
  public: true,
  meta: (args): TensorSpec[] => {
    const out = spec("flex_forward", args as never);
    if (args.blocks.some((t) => t.dtype !== int32)) throw new TypeError("flex_forward: blocks are int32");
    return [out, { shape: out.shape.slice(0, -1), dtype: computeType(out.dtype) }];
  },
  decompose: (args) => {
    const { query, value, captured, score } = args;
    const scores = scoreProgram(score).apply(plainScores(args), captured);
    const p = scores._safeSoftmax(-1);
    return [p.matmul(value.to(p.dtype)).to(query.dtype), scores.logsumexp([-1])];
  },
  vjp: (args, { grads, outs, F }) => {
    const { query, key, value, captured, blocks, score, scale } = args;
    const [out, lse] = outs;
    if (out === undefined || lse === undefined) throw new TypeError("flex_forward: its results are missing");
    let made: readonly [TensorValue, TensorValue] | null = null;
    const rows = (): readonly [TensorValue, TensorValue] => {
      if (made !== null) return made;
      const grad = grads[0] ?? out.mul(0);
      const sums = grad.to(lse.dtype).mul(out.to(lse.dtype)).sum([-1]);
      return made = [grad, grads[1] ? sums.sub(grads[1]) : sums];
    };
    let pair: readonly TensorValue[] | null = null;
    const ofKeys = (i: 0 | 1): TensorValue => {
      const [grad, delta] = rows();
      pair ??= F.flexKeyValueGrad(grad, query, key, value, lse, delta, captured, blocks, score, scale);
      return pair[i] as TensorValue;
    };
    return {
      query: () => {
        const [grad, delta] = rows();
        return F.flexQueryGrad(grad, query, key, value, lse, delta, captured, blocks, score, scale)
          .sumToSize(query.shape);
      },
      key: () => ofKeys(0).sumToSize(key.shape),
      value: () => ofKeys(1).sumToSize(value.shape),
    };
  },
  // Programs are recorded by flexAttention(), whose tests try these operators.
  samples: () => [],
});

defineOp({
  schema:
    "tessera::flex_query_grad(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor lse, Tensor delta, Tensor[] captured, Tensor[] blocks, str score, float scale) -> Tensor",
  doc: "The gradient of flex_forward's query, before it is summed over dimensions that were broadcast.",
  meta: (args) => {
    const { shape, dtype } = spec("flex_query_grad", args as never);
    return { shape: [...shape.slice(0, -1), sizeAt(args.query.shape, 1)], dtype };
  },
  decompose: (args) => gradients(args).scores.to(args.query.dtype).matmul(args.key).mul(args.scale),
  samples: () => [],
});

defineOp({
  schema:
    "tessera::flex_key_value_grad(Tensor grad, Tensor query, Tensor key, Tensor value, Tensor lse, Tensor delta, Tensor[] captured, Tensor[] blocks, str score, float scale) -> (Tensor, Tensor)",
  doc: "The gradients of flex_forward's key and value, before they are summed over dimensions that were broadcast.",
  meta: (args): TensorSpec[] => {
    const { shape, dtype } = spec("flex_key_value_grad", args as never);
    const lead = [...shape.slice(0, -2), sizeAt(args.key.shape, 2)];
    return [{ shape: [...lead, sizeAt(args.key.shape, 1)], dtype }, {
      shape: [...lead, sizeAt(args.value.shape, 1)],
      dtype,
    }];
  },
  decompose: (args) => {
    const { grad, query, key, value, scale } = args;
    const { p, scores } = gradients(args);
    return [
      scores.to(key.dtype).transpose(-2, -1).matmul(query).mul(scale),
      p.to(value.dtype).transpose(-2, -1).matmul(grad),
    ];
  },
  samples: () => [],
});
