/**
 * Activation functions, `torch.nn.functional`'s words over the operators of the table.
 */
import { F, type Tensor } from "../../tensor/mod.ts";

/** max(x, 0). */
export function relu(x: Tensor): Tensor {
  return F.relu(x);
}

/** min(max(x, 0), 6). */
export function relu6(x: Tensor): Tensor {
  return F.hardtanh(x, 0, 6);
}

/** x·Φ(x); `approximate: "tanh"` is the cheaper form that GPT-2 uses. */
export function gelu(x: Tensor, options: { readonly approximate?: "none" | "tanh" } = {}): Tensor {
  return F.gelu(x, { approximate: options.approximate ?? "none" });
}

/** x·sigmoid(x), also called swish. */
export function silu(x: Tensor): Tensor {
  return F.silu(x);
}

/** The hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return F.tanh(x);
}

/** 1 / (1 + exp(-x)). */
export function sigmoid(x: Tensor): Tensor {
  return F.sigmoid(x);
}

/** log(sigmoid(x)) without loss of precision. */
export function logSigmoid(x: Tensor): Tensor {
  return F.neg(F.softplus(F.neg(x)));
}

/** x where positive, else negativeSlope·x. */
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return F.leakyRelu(x, negativeSlope);
}

/** x where positive, else α·(exp(x) - 1). */
export function elu(x: Tensor, alpha = 1): Tensor {
  return F.elu(x, alpha);
}

/** log(1 + exp(β·x)) / β; the identity where β·x exceeds the threshold. */
export function softplus(x: Tensor, options: { readonly beta?: number; readonly threshold?: number } = {}): Tensor {
  return F.softplus(x, options.beta ?? 1, options.threshold ?? 20);
}

/** x·min(max(x + 3, 0), 6) / 6. */
export function hardswish(x: Tensor): Tensor {
  return F.hardswish(x);
}

/** min(max(x + 3, 0), 6) / 6. */
export function hardsigmoid(x: Tensor): Tensor {
  return F.hardsigmoid(x);
}

/** min(max(x, min), max). */
export function hardtanh(x: Tensor, min = -1, max = 1): Tensor {
  return F.hardtanh(x, min, max);
}

/** x·tanh(softplus(x)). */
export function mish(x: Tensor): Tensor {
  return F.mish(x);
}

/** x where positive, else weight·x; `weight` has one element, or one a channel (dimension 1). */
export function prelu(x: Tensor, weight: Tensor): Tensor {
  return F.prelu(x, weight);
}

/** The first half of a dimension times the sigmoid of the second. */
export function glu(x: Tensor, dim = -1): Tensor {
  return F.glu(x, dim);
}

/** Exponentials along `dim`, divided by their sum. */
export function softmax(x: Tensor, dim: number): Tensor {
  return F.softmax(x, dim);
}

/** log(softmax(x, dim)) without loss of precision. */
export function logSoftmax(x: Tensor, dim: number): Tensor {
  return F.logSoftmax(x, dim);
}
