/**
 * Mixtral, a mixture of experts: Jiang et al. 2024, with the names of transformers' `MixtralForCausalLM` (version 5, experts in one tensor).
 *
 * Each token goes to its `numExpertsPerTok` best experts. All experts are computed for all tokens and the others weighted with 0: shapes stay fixed, so that
 * the whole is one graph, at the price of the work that a sparse product would save.
 */
import { empty, F, nn, type Tensor, zeros } from "../../../mod.ts";
import { type LlamaConfig, LlamaForCausalLM } from "./llama.ts";

/** What decides a network's shape; the names of transformers' `MixtralConfig`. */
export interface MixtralConfig extends LlamaConfig {
  readonly numLocalExperts: number;
  readonly numExpertsPerTok: number;
}

/** The weights of SwiGLU layers, stacked. */
class Experts extends nn.Module {
  gateUpProj: nn.Parameter;
  downProj: nn.Parameter;

  constructor({ numLocalExperts: n, hiddenSize, intermediateSize }: MixtralConfig) {
    super();
    this.gateUpProj = nn.parameter(nn.init.normal_(empty([n, 2 * intermediateSize, hiddenSize]), 0, 0.02));
    this.downProj = nn.parameter(nn.init.normal_(empty([n, hiddenSize, intermediateSize]), 0, 0.02));
  }

  /** Tokens [n, hidden] and weights [n, experts] → [n, hidden]. */
  override forward(x: Tensor, weights: Tensor): Tensor {
    const [gate, up] = x.unsqueeze(0).matmul(this.gateUpProj.transpose(1, 2)).chunk(2, -1);
    if (gate === undefined || up === undefined) throw new TypeError("Experts: no gate");
    const each = nn.functional.silu(gate).mul(up).matmul(this.downProj.transpose(1, 2));
    return each.mul(weights.t().unsqueeze(-1)).sum([0]);
  }
}

class Router extends nn.Module {
  readonly topK: number;
  weight: nn.Parameter;

  constructor(config: MixtralConfig) {
    super();
    this.topK = config.numExpertsPerTok;
    this.weight = nn.parameter(nn.init.normal_(empty([config.numLocalExperts, config.hiddenSize]), 0, 0.02));
  }

  /** Tokens [n, hidden] → weights [n, experts], 0 for experts that were not chosen. */
  override forward(x: Tensor): Tensor {
    const probabilities = nn.functional.softmax(F.linear(x, this.weight), -1);
    const [best, which] = probabilities.topk(this.topK, -1);
    const shares = best.div(best.sum([-1], true));
    return zeros(probabilities.shape, { dtype: x.dtype, device: x.device }).scatter(-1, which, shares);
  }
}

class SparseMoeBlock extends nn.Module {
  readonly gate: Router;
  readonly experts: Experts;

  constructor(config: MixtralConfig) {
    super();
    if (config.numExpertsPerTok > config.numLocalExperts) {
      throw new RangeError(`Mixtral: ${config.numExpertsPerTok} of ${config.numLocalExperts} experts cannot be chosen`);
    }
    this.gate = new Router(config);
    this.experts = new Experts(config);
  }

  override forward(x: Tensor): Tensor {
    const tokens = x.flatten(0, -2);
    return this.experts.forward(tokens, this.gate.forward(tokens)).reshape(x.shape);
  }
}

/** Token ids [batch, length] → logits [batch, length, vocabulary]. */
export class MixtralForCausalLM extends LlamaForCausalLM {
  constructor(config: MixtralConfig) {
    super(config, () => new SparseMoeBlock(config));
  }
}
