/**
 * Connectionist temporal classification (Graves et al. 2006): the likelihood of label sequences under any alignment.
 *
 * The forward variables (log_alpha) and the gradient run on the host, in float64, row after row of time. Targets are rows of a matrix or one after the
 * other in a vector. Mirrors `LossCTC.cpp` of ATen.
 */
import { float32, float64, int64 } from "../core/mod.ts";
import { shapeToText, type Size, sizeEq, sizeLe, sizeLt, sizeSum } from "../symbolic/mod.ts";
import { defineOp, type HostTensor, type MetaInput } from "./define.ts";
import type { Functional } from "./functional.ts";
import { hostArray, readHost } from "./host_axis.ts";
import { reductionKind } from "./loss.ts";
import type { SampleGenerator } from "./samples.ts";
import type { TensorValue } from "./value.ts";

/** Sizes and positions of a batch. */
interface Batch {
  readonly steps: number;
  readonly count: number;
  readonly classes: number;
  readonly inputLengths: readonly number[];
  readonly targetLengths: readonly number[];
  /** Labels of each sequence. */
  readonly labels: readonly (readonly number[])[];
  /** 2 · the longest target + 1: blanks between labels. */
  readonly states: number;
}

function checkedLengths(
  logProbs: MetaInput,
  targets: MetaInput,
  inputLengths: readonly Size[],
  targetLengths: readonly Size[],
  blank: Size,
): void {
  const where = "ctc_loss";
  if (logProbs.shape.length !== 3 || (logProbs.dtype !== float32 && logProbs.dtype !== float64)) {
    throw new TypeError(
      `${where}: log_probs must be [time, batch, classes] of float32 or float64, got ${logProbs.dtype.name}${
        shapeToText(logProbs.shape)
      }`,
    );
  }
  if (!targets.dtype.isIntegral || targets.shape.length < 1 || targets.shape.length > 2) {
    throw new TypeError(
      `${where}: targets must be integers in one or two dimensions, got ${targets.dtype.name}${
        shapeToText(targets.shape)
      }`,
    );
  }
  const [steps = 0, count = 0, classes = 0] = logProbs.shape;
  if (!sizeEq(count, inputLengths.length) || !sizeEq(count, targetLengths.length)) {
    throw new RangeError(
      `${where}: ${inputLengths.length} input lengths and ${targetLengths.length} target lengths for a batch of ${count}`,
    );
  }
  if (sizeLt(blank, 0) || !sizeLt(blank, classes)) {
    throw new RangeError(`${where}: blank is ${blank}; it must be one of the ${classes} classes`);
  }
  if (inputLengths.some((n) => sizeLt(n, 0) || sizeLt(steps, n))) {
    throw new RangeError(`${where}: input lengths must be from 0 to ${steps}, got [${inputLengths.join(", ")}]`);
  }
  const have = targets.shape[targets.shape.length - 1] ?? 0;
  const fits = targets.shape.length === 1
    ? sizeEq(sizeSum(targetLengths), have)
    : targetLengths.every((n) => sizeLe(n, have));
  if (!fits || targetLengths.some((n) => sizeLt(n, 0))) {
    throw new RangeError(
      `${where}: target lengths [${targetLengths.join(", ")}] do not go with targets ${shapeToText(targets.shape)}`,
    );
  }
}

function readBatch(
  logProbs: HostTensor,
  targets: HostTensor,
  inputLengths: readonly Size[],
  targetLengths: readonly Size[],
): Batch {
  const [steps = 0, count = 0, classes = 0] = logProbs.shape.map(Number);
  const lengths = targetLengths.map(Number);
  let at = 0;
  const labels = lengths.map((length, b) => {
    const start = targets.shape.length === 2 ? b * Number(targets.shape[1]) : at;
    at += length;
    return Array.from({ length }, (_, i) => Number(readHost(targets.data, start + i)));
  });
  return {
    steps,
    count,
    classes,
    inputLengths: inputLengths.map(Number),
    targetLengths: lengths,
    labels,
    states: 2 * Math.max(0, ...lengths) + 1,
  };
}

function logAddAll(...values: readonly number[]): number {
  const most = Math.max(...values);
  if (most === -Infinity) return -Infinity;
  return most + Math.log(values.reduce((sum, v) => sum + Math.exp(v - most), 0));
}

/** The label of a state: blanks have even numbers. */
function labelAt(labels: readonly number[], state: number, blank: number): number {
  return state % 2 === 0 ? blank : labels[(state - 1) / 2] ?? blank;
}

/** Whether a path may go from state - 2 to state: between different labels, over a blank. */
function maySkip(labels: readonly number[], state: number): boolean {
  return state % 2 === 1 && state >= 3 && labels[(state - 1) / 2] !== labels[(state - 3) / 2];
}

const LENGTHS = "int[] input_lengths, int[] target_lengths";

defineOp({
  schema:
    `aten::_ctc_loss(Tensor log_probs, Tensor targets, ${LENGTHS}, int blank=0, bool zero_infinity=False) -> (Tensor, Tensor)`,
  doc: "Negative log likelihoods of the targets, and the forward variables [batch, time, states].",
  meta: ({ logProbs, targets, inputLengths, targetLengths, blank }) => {
    checkedLengths(logProbs, targets, inputLengths, targetLengths, blank);
    const { dtype } = logProbs;
    const states = 2 * Math.max(0, ...targetLengths.map(Number)) + 1;
    const [steps = 1, count = 1] = logProbs.shape;
    return [{ shape: [count], dtype }, { shape: [count, steps, states], dtype }];
  },
  host: ({ logProbs, targets, inputLengths, targetLengths, blank }) => {
    const batch = readBatch(logProbs, targets, inputLengths, targetLengths);
    const { steps, count, classes, states } = batch;
    const loss = hostArray(logProbs.dtype, count), alpha = hostArray(logProbs.dtype, count * steps * states);
    alpha.fill(-Infinity as never);
    for (let b = 0; b < count; b++) {
      const labels = batch.labels[b] ?? [], last = 2 * labels.length, end = batch.inputLengths[b] ?? 0;
      const p = (t: number, s: number): number =>
        Number(readHost(logProbs.data, (t * count + b) * classes + labelAt(labels, s, Number(blank))));
      let row = new Float64Array(states).fill(-Infinity);
      for (let t = 0; t < end; t++) {
        const before = row;
        row = new Float64Array(states).fill(-Infinity);
        for (let s = 0; s <= last; s++) {
          if (t === 0) {
            if (s < 2) row[s] = p(0, s);
            continue;
          }
          const from = logAddAll(
            before[s] ?? -Infinity,
            s > 0 ? before[s - 1] ?? -Infinity : -Infinity,
            maySkip(labels, s) ? before[s - 2] ?? -Infinity : -Infinity,
          );
          row[s] = from + p(t, s);
        }
        for (let s = 0; s < states; s++) alpha[(b * steps + t) * states + s] = row[s] ?? 0;
      }
      loss[b] = end === 0
        ? (labels.length === 0 ? 0 : Infinity)
        : -logAddAll(row[last] ?? -Infinity, last > 0 ? row[last - 1] ?? -Infinity : -Infinity);
    }
    return [{ shape: [count], data: loss }, { shape: [count, steps, states], data: alpha }];
  },
  vjp: ({ logProbs, targets, inputLengths, targetLengths, blank, zeroInfinity }, { outs, grads, F }) => ({
    logProbs: () => {
      const [loss, alpha] = outs;
      const grad = grads[0] ?? null;
      if (grad === null || loss === undefined || alpha === undefined) return null;
      return F._ctcLossBackward(grad, logProbs, targets, inputLengths, targetLengths, loss, alpha, blank, zeroInfinity);
    },
  }),
  samples: (g) => ctcSamples(g).map((args) => ({ args, differentiate: false })),
});

defineOp({
  schema:
    `aten::_ctc_loss_backward(Tensor grad, Tensor log_probs, Tensor targets, ${LENGTHS}, Tensor neg_log_likelihood, Tensor log_alpha, int blank, bool zero_infinity=False) -> Tensor`,
  doc: "The gradient of ctc_loss with respect to the logits whose log_softmax log_probs is.",
  meta: ({ logProbs, targets, inputLengths, targetLengths, blank }) => {
    checkedLengths(logProbs, targets, inputLengths, targetLengths, blank);
    return { shape: logProbs.shape, dtype: logProbs.dtype };
  },
  host: (args) => {
    const { grad, logProbs, targets, inputLengths, targetLengths, negLogLikelihood, logAlpha, blank, zeroInfinity } =
      args;
    const batch = readBatch(logProbs, targets, inputLengths, targetLengths);
    const { steps, count, classes, states } = batch;
    const out = hostArray(logProbs.dtype, steps * count * classes);
    for (let b = 0; b < count; b++) {
      const labels = batch.labels[b] ?? [], last = 2 * labels.length, end = batch.inputLengths[b] ?? 0;
      const nll = Number(readHost(negLogLikelihood.data, b));
      const g = Number(readHost(grad.data, b));
      if (zeroInfinity && nll === Infinity) continue;
      const raw = (t: number, c: number): number => Number(readHost(logProbs.data, (t * count + b) * classes + c));
      let beta = new Float64Array(states).fill(-Infinity);
      for (let t = end - 1; t >= 0; t--) {
        const after = beta;
        beta = new Float64Array(states).fill(-Infinity);
        const collected = new Float64Array(classes).fill(-Infinity);
        for (let s = last; s >= 0; s--) {
          const label = labelAt(labels, s, Number(blank));
          const reach = t === end - 1 ? (s >= last - 1 ? 0 : -Infinity) : logAddAll(
            after[s] ?? -Infinity,
            s < last ? after[s + 1] ?? -Infinity : -Infinity,
            s + 2 <= last && maySkip(labels, s + 2) ? after[s + 2] ?? -Infinity : -Infinity,
          );
          beta[s] = reach + raw(t, label);
          const joint = Number(readHost(logAlpha.data, (b * steps + t) * states + s)) + (beta[s] ?? -Infinity);
          collected[label] = logAddAll(collected[label] ?? -Infinity, joint);
        }
        for (let c = 0; c < classes; c++) {
          const p = raw(t, c);
          out[(t * count + b) * classes + c] = (Math.exp(p) - Math.exp((collected[c] ?? -Infinity) + nll - p)) * g;
        }
      }
    }
    return [{ shape: [steps, count, classes], data: out }];
  },
  samples: () => [],
});

/** log_probs of a uniform kind, targets in a matrix with a repeated label, one input shorter. */
function ctcSamples(g: SampleGenerator) {
  if (g.dtype !== float32 && g.dtype !== float64) return [];
  const integers = (shape: readonly number[], values: readonly number[]) =>
    g.tensor(shape, { dtype: int64, values, requiresGrad: false });
  const logProbs = g.tensor([5, 2, 4], { values: "uniform", low: -3, high: -0.5, requiresGrad: false });
  return [
    { logProbs, targets: integers([2, 3], [1, 1, 2, 3, 2, 0]), inputLengths: [5, 4], targetLengths: [3, 2] },
    { logProbs, targets: integers([4], [1, 2, 3, 3]), inputLengths: [5, 5], targetLengths: [2, 2] },
  ];
}

/** The losses of a batch, reduced as ATen does: a mean first divides each by its target's length. */
function reduced(
  losses: TensorValue,
  targetLengths: readonly Size[],
  reduction: Size,
  zeroInfinity: boolean,
  F: Functional,
): TensorValue {
  const finite = zeroInfinity ? F.where(losses.eq(Infinity), 0, losses) : losses;
  switch (reductionKind("ctc_loss", reduction)) {
    case "none":
      return finite;
    case "sum":
      return finite.sum();
    default: {
      const parts = targetLengths.map((length, b) => finite.select(0, b).div(Math.max(1, Number(length))));
      return F.stack(parts, 0).mean();
    }
  }
}

defineOp({
  schema:
    `aten::ctc_loss.IntList(Tensor log_probs, Tensor targets, ${LENGTHS}, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor`,
  doc: "The negative log likelihood of label sequences under any alignment with blanks.",
  meta: ({ logProbs, targets, inputLengths, targetLengths, blank, reduction }) => {
    const { batched, single } = shapes(logProbs, targets);
    checkedLengths(
      batched,
      single ? { ...targets, shape: [1, ...targets.shape] } : targets,
      inputLengths,
      targetLengths,
      blank,
    );
    const isNone = reductionKind("ctc_loss", reduction) === "none";
    return { shape: isNone ? (single ? [] : [batched.shape[1] ?? 1]) : [], dtype: logProbs.dtype };
  },
  decompose: ({ logProbs, targets, inputLengths, targetLengths, blank, reduction, zeroInfinity }, F) => {
    const single = logProbs.ndim === 2;
    const p = single ? logProbs.unsqueeze(1) : logProbs, t = single ? targets.unsqueeze(0) : targets;
    const [losses] = F._ctcLoss(p, t, inputLengths, targetLengths, blank, zeroInfinity);
    const out = reduced(losses, targetLengths, reduction, zeroInfinity, F);
    return single && out.ndim === 1 ? out.squeeze(0) : out;
  },
  samples: (g) => ctcSamples(g).map((args, i) => ({ args: { ...args, reduction: i }, differentiate: false })),
});

/** log_probs with a batch; without one, [time, classes], it is a batch of one. */
function shapes(logProbs: MetaInput, targets: MetaInput): { readonly batched: MetaInput; readonly single: boolean } {
  const single = logProbs.shape.length === 2;
  if (single && targets.shape.length !== 1) {
    throw new TypeError(`ctc_loss: targets without a batch must be a vector, got ${shapeToText(targets.shape)}`);
  }
  const [steps = 1, classes = 1] = logProbs.shape;
  return { batched: single ? { ...logProbs, shape: [steps, 1, classes] } : logProbs, single };
}
