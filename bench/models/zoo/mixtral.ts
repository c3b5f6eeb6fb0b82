/**
 * Mixtral, a mixture of experts: Jiang et al. 2024, with the names of transformers' `MixtralForCausalLM` (version 5, experts in one tensor).
 *
 * Each token goes to its `numExpertsPerTok` best experts. On CUDA tokens are sorted by expert, and each expert multiplies its own by products of groups, whose
 * ends are counted on the device. Elsewhere all experts are computed for all tokens, the others weighted with 0. Either way shapes stay fixed, and the whole is
 * one graph.
 */
import { arange, empty, F, int32, int64, nn, type Tensor, zeros } from "../../../mod.ts";
import { type LlamaConfig, LlamaForCausalLM } from "./llama.ts";

/** What decides a network's shape; the names of transformers' `MixtralConfig`. */
export interface MixtralConfig extends LlamaConfig {
  readonly numLocalExperts: number;
  readonly numExpertsPerTok: number;
}

/** Tokens in the order of their experts, k times each, and each expert's products with its own. */
function chosenExperts(x: Tensor, { gateUpProj, downProj }: Experts, which: Tensor, shares: Tensor): Tensor {
  const count = Number(gateUpProj.shape[0]), k = Number(which.shape[1]);
  const flat = which.flatten();
  const order = flat.argsort(-1);
  const expert = arange(0, count, 1, { dtype: int64, device: x.device });
  const ends = flat.unsqueeze(0).le(expert.unsqueeze(1)).sum([1]).to(int32);
  const token = order.div(k, { roundingMode: "floor" });
  const [gate, up] = F._groupedMm(x.indexSelect(0, token), gateUpProj.transpose(1, 2), ends).chunk(2, -1);
  if (gate === undefined || up === undefined) throw new TypeError("Experts: no gate");
  const each = F._groupedMm(nn.functional.silu(gate).mul(up), downProj.transpose(1, 2), ends);
  // Back in the order of tokens, where the k of each stand side by side.
  const own = each.indexSelect(0, order.argsort(-1)).reshape([-1, k, x.shape[1] ?? 1]);
  return own.mul(shares.unsqueeze(-1)).sum([1]);
}

/** All experts of all tokens; those that were not chosen count 0. */
function allExperts(x: Tensor, { gateUpProj, downProj }: Experts, which: Tensor, shares: Tensor): Tensor {
  const shape = [x.shape[0] ?? 1, gateUpProj.shape[0] ?? 1];
  const weights = zeros(shape, { dtype: x.dtype, device: x.device }).scatter(-1, which, shares);
  const [gate, up] = x.unsqueeze(0).matmul(gateUpProj.transpose(1, 2)).chunk(2, -1);
  if (gate === undefined || up === undefined) throw new TypeError("Experts: no gate");
  const each = nn.functional.silu(gate).mul(up).matmul(downProj.transpose(1, 2));
  return each.mul(weights.t().unsqueeze(-1)).sum([0]);
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

  /** Tokens [n, hidden], their experts and shares [n, k] → [n, hidden]. */
  override forward(x: Tensor, which: Tensor, shares: Tensor): Tensor {
    return (x.device.type === "cuda" ? chosenExperts : allExperts)(x, this, which, shares);
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

  /** Tokens [n, hidden] → experts and shares, [n, k]. */
  override forward(x: Tensor): readonly [Tensor, Tensor] {
    const probabilities = nn.functional.softmax(F.linear(x, this.weight), -1);
    const [best, which] = probabilities.topk(this.topK, -1);
    return [which, best.div(best.sum([-1], true))];
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
    return this.experts.forward(tokens, ...this.gate.forward(tokens)).reshape(x.shape);
  }
}

/** Token ids [batch, length] → logits [batch, length, vocabulary]. */
export class MixtralForCausalLM extends LlamaForCausalLM {
  constructor(config: MixtralConfig) {
    super(config, () => new SparseMoeBlock(config));
  }
}
