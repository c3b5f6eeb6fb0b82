/**
 * Activations, dropout and layers that only reshape.
 */
import { F, full, type Tensor } from "../tensor/mod.ts";
import { dropout } from "./functional/dropout.ts";
import * as A from "./functional/activation.ts";
import { type FactoryOptions, placement } from "./linear.ts";
import { Module } from "./module.ts";
import { type Parameter, parameter } from "./parameter.ts";

/** max(x, 0). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return A.relu(x);
  }
}

/** x·Φ(x), exact or by its tanh approximation (Hendrycks & Gimpel 2016). */
export class GELU extends Module {
  readonly approximate: "none" | "tanh";

  constructor(options: { readonly approximate?: "none" | "tanh" } = {}) {
    super();
    this.approximate = options.approximate ?? "none";
  }

  override forward(x: Tensor): Tensor {
    return A.gelu(x, { approximate: this.approximate });
  }

  override extraRepr(): string {
    return `approximate='${this.approximate}'`;
  }
}

/** x·sigmoid(x). */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return A.silu(x);
  }
}

/** The hyperbolic tangent. */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return A.tanh(x);
  }
}

/** 1 / (1 + exp(-x)). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return A.sigmoid(x);
  }
}

/** x where positive, else negativeSlope·x. */
export class LeakyReLU extends Module {
  readonly negativeSlope: number;

  constructor(negativeSlope = 0.01) {
    super();
    this.negativeSlope = negativeSlope;
  }

  override forward(x: Tensor): Tensor {
    return A.leakyRelu(x, this.negativeSlope);
  }

  override extraRepr(): string {
    return `negative_slope=${this.negativeSlope}`;
  }
}

/** x where positive, else α·(exp(x) - 1). */
export class ELU extends Module {
  readonly alpha: number;

  constructor(alpha = 1) {
    super();
    this.alpha = alpha;
  }

  override forward(x: Tensor): Tensor {
    return A.elu(x, this.alpha);
  }

  override extraRepr(): string {
    return `alpha=${this.alpha.toFixed(1)}`;
  }
}

/** Exponentials along a dimension, divided by their sum. */
export class Softmax extends Module {
  readonly dim: number;

  constructor(dim: number) {
    super();
    this.dim = dim;
  }

  override forward(x: Tensor): Tensor {
    return A.softmax(x, this.dim);
  }

  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** The logarithm of {@linkcode Softmax}, without its loss of precision. */
export class LogSoftmax extends Module {
  readonly dim: number;

  constructor(dim: number) {
    super();
    this.dim = dim;
  }

  override forward(x: Tensor): Tensor {
    return A.logSoftmax(x, this.dim);
  }

  override extraRepr(): string {
    return `dim=${this.dim}`;
  }
}

/** log(1 + exp(β·x)) / β; the identity where β·x exceeds the threshold. */
export class Softplus extends Module {
  readonly beta: number;
  readonly threshold: number;

  constructor(beta = 1, threshold = 20) {
    super();
    this.beta = beta;
    this.threshold = threshold;
  }

  override forward(x: Tensor): Tensor {
    return A.softplus(x, { beta: this.beta, threshold: this.threshold });
  }

  override extraRepr(): string {
    return `beta=${this.beta.toFixed(1)}, threshold=${this.threshold.toFixed(1)}`;
  }
}

/** x·min(max(x + 3, 0), 6) / 6. */
export class Hardswish extends Module {
  override forward(x: Tensor): Tensor {
    return A.hardswish(x);
  }
}

/** min(max(x + 3, 0), 6) / 6. */
export class Hardsigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return A.hardsigmoid(x);
  }
}

/** x·tanh(softplus(x)). */
export class Mish extends Module {
  override forward(x: Tensor): Tensor {
    return A.mish(x);
  }
}

/** x where positive, else x times a slope that is learnt, one for all or one a channel (dimension 1). */
export class PReLU extends Module {
  readonly numParameters: number;
  weight: Parameter;

  constructor(numParameters = 1, options: FactoryOptions & { readonly init?: number } = {}) {
    super();
    this.numParameters = numParameters;
    this.weight = parameter(full([numParameters], options.init ?? 0.25, placement(options)));
  }

  override forward(x: Tensor): Tensor {
    return A.prelu(x, this.weight);
  }

  override extraRepr(): string {
    return `num_parameters=${this.numParameters}`;
  }
}

/** In training, sets each element to zero with probability `p` and scales the others by 1/(1-p) (Srivastava et al. 2014). */
export class Dropout extends Module {
  readonly p: number;

  constructor(p = 0.5) {
    super();
    if (!(p >= 0 && p <= 1)) throw new RangeError(`Dropout: the probability must be between 0 and 1, got ${p}`);
    this.p = p;
  }

  override forward(x: Tensor): Tensor {
    return dropout(x, this.p, this.training);
  }

  override extraRepr(): string {
    return `p=${this.p}, inplace=False`;
  }
}

/** Joins dimensions from `startDim` to `endDim`; by default all but the batch. */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;

  constructor(startDim = 1, endDim = -1) {
    super();
    this.startDim = startDim;
    this.endDim = endDim;
  }

  override forward(x: Tensor): Tensor {
    return F.flatten(x, this.startDim, this.endDim);
  }

  override extraRepr(): string {
    return `start_dim=${this.startDim}, end_dim=${this.endDim}`;
  }
}

/** Gives back what it gets. */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}
