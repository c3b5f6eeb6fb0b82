/**
 * Vision transformer: Dosovitskiy et al. 2020, with the names of timm's `VisionTransformer`.
 */
import { F, nn, randn, type Tensor, zeros } from "../../../mod.ts";

/** What decides a network's shape. */
export interface ViTConfig {
  readonly imageSize: number;
  readonly patchSize: number;
  readonly width: number;
  readonly depth: number;
  readonly numHeads: number;
  /** Default 1000. */
  readonly numClasses?: number;
}

class PatchEmbed extends nn.Module {
  readonly proj: nn.Conv2d;

  constructor(patchSize: number, width: number) {
    super();
    this.proj = new nn.Conv2d(3, width, patchSize, { stride: patchSize });
  }

  override forward(x: Tensor): Tensor {
    return this.proj.forward(x).flatten(2).transpose(1, 2);
  }
}

class Attention extends nn.Module {
  readonly numHeads: number;
  readonly qkv: nn.Linear;
  readonly proj: nn.Linear;

  constructor(width: number, numHeads: number) {
    super();
    this.numHeads = numHeads;
    this.qkv = new nn.Linear(width, 3 * width);
    this.proj = new nn.Linear(width, width);
  }

  override forward(x: Tensor): Tensor {
    const [batch = 0, tokens = 0, width = 0] = x.shape;
    const heads = this.qkv.forward(x).reshape([batch, tokens, 3, this.numHeads, Number(width) / this.numHeads]);
    const [q, k, v] = heads.permute([2, 0, 3, 1, 4]).unbind(0);
    if (q === undefined || k === undefined || v === undefined) throw new TypeError("Attention: no heads");
    const y = nn.functional.scaledDotProductAttention(q, k, v);
    return this.proj.forward(y.transpose(1, 2).reshape([batch, tokens, width]));
  }
}

class Mlp extends nn.Module {
  readonly fc1: nn.Linear;
  readonly fc2: nn.Linear;

  constructor(width: number) {
    super();
    this.fc1 = new nn.Linear(width, 4 * width);
    this.fc2 = new nn.Linear(4 * width, width);
  }

  override forward(x: Tensor): Tensor {
    return this.fc2.forward(nn.functional.gelu(this.fc1.forward(x)));
  }
}

class Block extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly attn: Attention;
  readonly norm2: nn.LayerNorm;
  readonly mlp: Mlp;

  constructor(width: number, numHeads: number) {
    super();
    this.norm1 = new nn.LayerNorm(width, { eps: 1e-6 });
    this.attn = new Attention(width, numHeads);
    this.norm2 = new nn.LayerNorm(width, { eps: 1e-6 });
    this.mlp = new Mlp(width);
  }

  override forward(x: Tensor): Tensor {
    const attended = x.add(this.attn.forward(this.norm1.forward(x)));
    return attended.add(this.mlp.forward(this.norm2.forward(attended)));
  }
}

/** Images [batch, 3, size, size] → logits [batch, classes]. */
export class VisionTransformer extends nn.Module {
  clsToken: nn.Parameter;
  posEmbed: nn.Parameter;
  readonly patchEmbed: PatchEmbed;
  readonly blocks: nn.Sequential;
  readonly norm: nn.LayerNorm;
  readonly head: nn.Linear;

  constructor(config: ViTConfig) {
    super();
    const { imageSize, patchSize, width, depth, numHeads, numClasses = 1000 } = config;
    if (imageSize % patchSize !== 0) {
      throw new RangeError(`VisionTransformer: ${imageSize} pixels are not divisible into patches of ${patchSize}`);
    }
    const tokens = (imageSize / patchSize) ** 2 + 1;
    this.clsToken = nn.parameter(zeros([1, 1, width]));
    this.posEmbed = nn.parameter(randn([1, tokens, width]).mul(0.02));
    this.patchEmbed = new PatchEmbed(patchSize, width);
    this.blocks = new nn.Sequential(...Array.from({ length: depth }, () => new Block(width, numHeads)));
    this.norm = new nn.LayerNorm(width, { eps: 1e-6 });
    this.head = new nn.Linear(width, numClasses);
  }

  override forward(x: Tensor): Tensor {
    const patches = this.patchEmbed.forward(x);
    const [batch = 0, , width = 0] = patches.shape;
    const tokens = F.cat([this.clsToken.expand([batch, 1, width]), patches], 1).add(this.posEmbed);
    return this.head.forward(this.norm.forward(this.blocks.forward(tokens)).select(1, 0));
  }
}

/** timm's `vit_base_patch16_224`. */
export function vitBase(): VisionTransformer {
  return new VisionTransformer({ imageSize: 224, patchSize: 16, width: 768, depth: 12, numHeads: 12 });
}
