/**
 * Mamba: Gu & Dao 2023, with the names of transformers' `MambaForCausalLM`.
 *
 * The selective scan h[t] = exp(Δ[t]·A)·h[t−1] + Δ[t]·B[t]·x[t] is walked step by step; under capture it is unrolled, so a graph serves one length.
 */
import { arange, nn, ones, scan, type Tensor, zeros } from "../../../mod.ts";

/** What decides a network's shape; the names of transformers' `MambaConfig`. */
export interface MambaConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  /** Default 16. */
  readonly stateSize?: number;
  /** Width inside a layer, as a multiple. Default 2. */
  readonly expand?: number;
  /** Default 4. */
  readonly convKernel?: number;
  /** Default a sixteenth of the width, rounded up. */
  readonly timeStepRank?: number;
}

const EPS = 1e-5;

class MambaMixer extends nn.Module {
  readonly inner: number;
  readonly stateSize: number;
  readonly rank: number;
  A_log: nn.Parameter;
  D: nn.Parameter;
  readonly conv1d: nn.Conv1d;
  readonly inProj: nn.Linear;
  readonly xProj: nn.Linear;
  readonly dtProj: nn.Linear;
  readonly outProj: nn.Linear;

  constructor(config: MambaConfig) {
    super();
    const { hiddenSize, stateSize = 16, expand = 2, convKernel = 4 } = config;
    this.inner = expand * hiddenSize;
    this.stateSize = stateSize;
    this.rank = config.timeStepRank ?? Math.ceil(hiddenSize / 16);
    this.A_log = nn.parameter(
      arange(1, stateSize + 1).to(ones([]).dtype).log().expand([this.inner, stateSize]).clone(),
    );
    this.D = nn.parameter(ones([this.inner]));
    this.conv1d = new nn.Conv1d(this.inner, this.inner, convKernel, { groups: this.inner, padding: convKernel - 1 });
    this.inProj = new nn.Linear(hiddenSize, 2 * this.inner, { bias: false });
    this.xProj = new nn.Linear(this.inner, this.rank + 2 * stateSize, { bias: false });
    this.dtProj = new nn.Linear(this.rank, this.inner);
    this.outProj = new nn.Linear(this.inner, hiddenSize, { bias: false });
  }

  override forward(input: Tensor): Tensor {
    const { silu } = nn.functional;
    const [batch = 0, length = 0] = input.shape;
    const [stream, gate] = this.inProj.forward(input).split(this.inner, -1);
    if (stream === undefined || gate === undefined) throw new TypeError("MambaMixer: no gate");
    const x = silu(this.conv1d.forward(stream.transpose(1, 2)).narrow(2, 0, length)).transpose(1, 2);
    const [low, B, C] = this.xProj.forward(x).split([this.rank, this.stateSize, this.stateSize], -1);
    if (low === undefined || B === undefined || C === undefined) throw new TypeError("MambaMixer: no state");
    // [batch, length, inner, state] from here on.
    const dt = this.dtProj.forward(low).softplus().unsqueeze(-1);
    const decay = dt.mul(this.A_log.exp().neg()).exp();
    const driven = dt.mul(B.unsqueeze(2)).mul(x.unsqueeze(-1));
    const first = zeros([batch, this.inner, this.stateSize], { dtype: x.dtype, device: x.device });
    const step = (h: Tensor, [a, b, c]: readonly [Tensor, Tensor, Tensor]): [Tensor, Tensor] => {
      const next = h.mul(a).add(b);
      return [next, next.matmul(c.unsqueeze(-1)).squeeze(-1)];
    };
    const [, y] = scan(step, first, [decay, driven, C] as readonly [Tensor, Tensor, Tensor], { dim: 1 });
    return this.outProj.forward(y.add(x.mul(this.D)).mul(silu(gate)));
  }
}

class MambaBlock extends nn.Module {
  readonly norm: nn.RMSNorm;
  readonly mixer: MambaMixer;

  constructor(config: MambaConfig) {
    super();
    this.norm = new nn.RMSNorm(config.hiddenSize, { eps: EPS });
    this.mixer = new MambaMixer(config);
  }

  override forward(x: Tensor): Tensor {
    return x.add(this.mixer.forward(this.norm.forward(x)));
  }
}

class Backbone extends nn.Module {
  readonly embeddings: nn.Embedding;
  readonly layers: nn.ModuleList<MambaBlock>;
  readonly norm_f: nn.RMSNorm;

  constructor(config: MambaConfig) {
    super();
    this.embeddings = new nn.Embedding(config.vocabSize, config.hiddenSize);
    this.layers = new nn.ModuleList(Array.from({ length: config.numHiddenLayers }, () => new MambaBlock(config)));
    this.norm_f = new nn.RMSNorm(config.hiddenSize, { eps: EPS });
  }

  override forward(ids: Tensor): Tensor {
    let out = this.embeddings.forward(ids);
    for (const layer of this.layers) out = layer.forward(out);
    return this.norm_f.forward(out);
  }
}

/** Token ids [batch, length] → logits [batch, length, vocabulary]. */
export class MambaForCausalLM extends nn.Module {
  readonly backbone: Backbone;
  readonly lmHead: nn.Linear;

  constructor(config: MambaConfig) {
    super();
    this.backbone = new Backbone(config);
    this.lmHead = new nn.Linear(config.hiddenSize, config.vocabSize, { bias: false });
    this.lmHead.weight = this.backbone.embeddings.weight;
  }

  override forward(ids: Tensor): Tensor {
    return this.lmHead.forward(this.backbone.forward(ids));
  }
}
