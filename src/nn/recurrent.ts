/**
 * Recurrent layers over whole sequences: `LSTM` (Hochreiter & Schmidhuber 1997) and `GRU` (Cho et al. 2014).
 *
 * Parameters have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, with `_reverse` behind them for the backward direction. They
 * are properties made in a loop, as everything that a module owns is found by walking its properties. Mirrors `torch.nn.RNNBase`.
 */
import { empty, F, type Tensor, zeros } from "../tensor/mod.ts";
import { uniform_ } from "./init.ts";
import { type FactoryOptions, flag, placement, randomness } from "./linear.ts";
import { Module } from "./module.ts";
import { isParameter, type Parameter, parameter } from "./parameter.ts";

/** Options of recurrent layers. */
export interface RecurrentOptions extends FactoryOptions {
  /** Layers on top of each other. Default 1. */
  readonly numLayers?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Inputs are [batch, sequence, features] instead of [sequence, batch, features]. Default false. */
  readonly batchFirst?: boolean;
  /** Dropout between layers. Default 0. */
  readonly dropout?: number;
  /** Read the sequence from its end as well, and put both results side by side. Default false. */
  readonly bidirectional?: boolean;
}

/** What both have in common: sizes, parameters, and the first state. */
abstract class Recurrent extends Module {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly hasBiases: boolean;
  readonly batchFirst: boolean;
  readonly dropout: number;
  readonly bidirectional: boolean;
  /** The names of the parameters, in the order in which operators take them. */
  readonly parameterNames: readonly string[];

  constructor(gates: number, inputSize: number, hiddenSize: number, options: RecurrentOptions) {
    super();
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.numLayers = options.numLayers ?? 1;
    this.hasBiases = options.bias ?? true;
    this.batchFirst = options.batchFirst ?? false;
    this.dropout = options.dropout ?? 0;
    this.bidirectional = options.bidirectional ?? false;
    for (const [name, value] of Object.entries({ inputSize, hiddenSize, numLayers: this.numLayers })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new RangeError(`${this.typeName()}: ${name} must be a whole number from 1, got ${value}`);
      }
    }
    const directions = this.bidirectional ? 2 : 1;
    const bound = 1 / Math.sqrt(hiddenSize);
    const names: string[] = [];
    const add = (name: string, shape: readonly number[]): void => {
      names.push(name);
      const value = parameter(uniform_(empty(shape, placement(options)), -bound, bound, randomness(options)));
      Reflect.set(this, name, value);
    };
    for (let layer = 0; layer < this.numLayers; layer++) {
      const width = layer === 0 ? inputSize : hiddenSize * directions;
      for (let direction = 0; direction < directions; direction++) {
        const end = `_l${layer}${direction === 1 ? "_reverse" : ""}`;
        add(`weight_ih${end}`, [gates * hiddenSize, width]);
        add(`weight_hh${end}`, [gates * hiddenSize, hiddenSize]);
        if (!this.hasBiases) continue;
        add(`bias_ih${end}`, [gates * hiddenSize]);
        add(`bias_hh${end}`, [gates * hiddenSize]);
      }
    }
    this.parameterNames = names;
  }

  /** The parameters in the order in which operators take them. */
  protected flatWeights(): Parameter[] {
    return this.parameterNames.map((name) => {
      const value: unknown = Reflect.get(this, name);
      if (!isParameter(value)) throw new TypeError(`${this.typeName()}: ${name} is no parameter any more`);
      return value;
    });
  }

  /** Checks the input; gives a state of zeros of the shape [layers · directions, batch, hidden]. */
  protected firstState(x: Tensor): Tensor {
    if (x.ndim !== 3 || Number(x.shape[2]) !== this.inputSize) {
      throw new TypeError(
        `${this.typeName()}: needs [${
          this.batchFirst ? "batch, sequence" : "sequence, batch"
        }, ${this.inputSize}], got [${x.shape.join(", ")}]`,
      );
    }
    const states = this.numLayers * (this.bidirectional ? 2 : 1);
    const batch = x.shape[this.batchFirst ? 0 : 1] ?? 0;
    return zeros([states, batch, this.hiddenSize], { dtype: x.dtype, device: x.device });
  }

  override extraRepr(): string {
    const parts = [`${this.inputSize}, ${this.hiddenSize}`];
    if (this.numLayers !== 1) parts.push(`num_layers=${this.numLayers}`);
    if (!this.hasBiases) parts.push(`bias=${flag(false)}`);
    if (this.batchFirst) parts.push(`batch_first=${flag(true)}`);
    if (this.dropout !== 0) parts.push(`dropout=${this.dropout}`);
    if (this.bidirectional) parts.push(`bidirectional=${flag(true)}`);
    return parts.join(", ");
  }
}

/**
 * A long short-term memory network. Under capture it is unrolled, so that a graph serves one length.
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const lstm = new nn.LSTM(4, 8, { batchFirst: true });
 * const [y, [h, c]] = lstm.forward(randn([2, 5, 4]));
 * console.assert(y.shape.join() === "2,5,8" && h.shape.join() === "1,2,8" && c.shape.join() === "1,2,8");
 * console.assert(Object.keys(lstm.stateDict())[0] === "weight_ih_l0");
 * ```
 */
export class LSTM extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(4, inputSize, hiddenSize, options);
  }

  /** Results of the last layer for each step, and the last states [layers · directions, batch, hidden]: hidden and memory. */
  override forward(x: Tensor, state: readonly [Tensor, Tensor] | null = null): [Tensor, [Tensor, Tensor]] {
    const first = this.firstState(x);
    const [h, c] = state ?? [first, first];
    const { hasBiases, numLayers, dropout, training, bidirectional, batchFirst } = this;
    const weights = this.flatWeights();
    const [y, hidden, memory] = F.lstm(
      x,
      [h, c],
      weights,
      hasBiases,
      numLayers,
      dropout,
      training,
      bidirectional,
      batchFirst,
    );
    return [y, [hidden, memory]];
  }
}

/**
 * A gated recurrent network. Under capture it is unrolled, so that a graph serves one length.
 *
 * @example
 * ```ts
 * import { nn, randn } from "@tessera/tessera";
 * const gru = new nn.GRU(4, 8, { bidirectional: true });
 * const [y, h] = gru.forward(randn([5, 2, 4]));
 * console.assert(y.shape.join() === "5,2,16" && h.shape.join() === "2,2,8");
 * ```
 */
export class GRU extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    super(3, inputSize, hiddenSize, options);
  }

  /** Results of the last layer for each step, and the last states [layers · directions, batch, hidden]. */
  override forward(x: Tensor, state: Tensor | null = null): [Tensor, Tensor] {
    const h = state ?? this.firstState(x);
    const { hasBiases, numLayers, dropout, training, bidirectional, batchFirst } = this;
    return F.gru(x, h, this.flatWeights(), hasBiases, numLayers, dropout, training, bidirectional, batchFirst);
  }
}
