/**
 * The UNet of a diffusion model: Ho et al. 2020, with the names of diffusers' `UNet2DModel`.
 */
import { arange, F, float32, nn, type Tensor } from "../../../mod.ts";

const { silu } = nn.functional;

/** What decides a network's shape. */
export interface UNetConfig {
  /** Channels of the images. */
  readonly channels: number;
  /** Channels at each resolution, the finest first. */
  readonly widths: readonly number[];
  /** Whether there is attention at each resolution. */
  readonly attention: readonly boolean[];
  /** Residual blocks at each resolution. Default 2. */
  readonly layersPerBlock?: number;
  /** Groups of the normalisations. Default 32. */
  readonly normGroups?: number;
  /** Default 8. */
  readonly attentionHeadDim?: number;
}

class TimestepEmbedding extends nn.Module {
  readonly linear_1: nn.Linear;
  readonly linear_2: nn.Linear;

  constructor(channels: number, dim: number) {
    super();
    this.linear_1 = new nn.Linear(channels, dim);
    this.linear_2 = new nn.Linear(dim, dim);
  }

  /** Steps [batch] as waves of falling frequency, then two layers. */
  override forward(steps: Tensor): Tensor {
    const half = this.linear_1.inFeatures / 2;
    const { dtype, device } = this.linear_1.weight;
    const frequencies = arange(0, half, { device, dtype: float32 }).mul(-Math.log(10000) / half).exp();
    const angles = steps.to(float32).unsqueeze(1).mul(frequencies);
    const waves = F.cat([angles.cos(), angles.sin()], 1).to(dtype);
    return this.linear_2.forward(silu(this.linear_1.forward(waves)));
  }
}

class ResnetBlock extends nn.Module {
  readonly norm1: nn.GroupNorm;
  readonly conv1: nn.Conv2d;
  readonly timeEmbProj: nn.Linear;
  readonly norm2: nn.GroupNorm;
  readonly conv2: nn.Conv2d;
  readonly convShortcut: nn.Conv2d | null;

  constructor(inChannels: number, outChannels: number, time: number, groups: number) {
    super();
    this.norm1 = new nn.GroupNorm(groups, inChannels);
    this.conv1 = new nn.Conv2d(inChannels, outChannels, 3, { padding: 1 });
    this.timeEmbProj = new nn.Linear(time, outChannels);
    this.norm2 = new nn.GroupNorm(groups, outChannels);
    this.conv2 = new nn.Conv2d(outChannels, outChannels, 3, { padding: 1 });
    this.convShortcut = inChannels === outChannels ? null : new nn.Conv2d(inChannels, outChannels, 1);
  }

  override forward(x: Tensor, time: Tensor): Tensor {
    const shift = this.timeEmbProj.forward(silu(time)).unsqueeze(-1).unsqueeze(-1);
    const a = this.conv1.forward(silu(this.norm1.forward(x))).add(shift);
    const b = this.conv2.forward(silu(this.norm2.forward(a)));
    return b.add(this.convShortcut === null ? x : this.convShortcut.forward(x));
  }
}

class Attention extends nn.Module {
  readonly heads: number;
  readonly groupNorm: nn.GroupNorm;
  readonly toQ: nn.Linear;
  readonly toK: nn.Linear;
  readonly toV: nn.Linear;
  readonly toOut: nn.ModuleList<nn.Linear>;

  constructor(channels: number, headDim: number, groups: number) {
    super();
    this.heads = channels / headDim;
    this.groupNorm = new nn.GroupNorm(groups, channels);
    this.toQ = new nn.Linear(channels, channels);
    this.toK = new nn.Linear(channels, channels);
    this.toV = new nn.Linear(channels, channels);
    this.toOut = new nn.ModuleList([new nn.Linear(channels, channels)]);
  }

  override forward(x: Tensor): Tensor {
    const [batch = 0, channels = 0, height = 0, width = 0] = x.shape;
    const tokens = this.groupNorm.forward(x).flatten(2).transpose(1, 2);
    const count = Number(height) * Number(width);
    const split = (layer: nn.Linear): Tensor =>
      layer.forward(tokens).reshape([batch, count, this.heads, Number(channels) / this.heads]).transpose(1, 2);
    const y = nn.functional.scaledDotProductAttention(split(this.toQ), split(this.toK), split(this.toV));
    const joined = this.toOut.at(0).forward(y.transpose(1, 2).reshape([batch, count, channels]));
    return x.add(joined.transpose(1, 2).reshape(x.shape));
  }
}

class Resample extends nn.Module {
  readonly down: boolean;
  readonly conv: nn.Conv2d;

  constructor(channels: number, down: boolean) {
    super();
    this.down = down;
    this.conv = new nn.Conv2d(channels, channels, 3, { stride: down ? 2 : 1, padding: 1 });
  }

  override forward(x: Tensor): Tensor {
    return this.conv.forward(this.down ? x : nn.functional.interpolate(x, { scaleFactor: 2 }));
  }
}

/** What all residual blocks of a network share. */
interface Shared {
  readonly time: number;
  readonly groups: number;
  readonly headDim: number;
}

/** Residual blocks at one resolution, with attention behind each if there is any. The order of the properties is that of PyTorch's keys. */
class Level extends nn.Module {
  readonly attentions: nn.ModuleList<Attention> | null;
  readonly resnets: nn.ModuleList<ResnetBlock>;
  downsamplers: nn.ModuleList<Resample> | null = null;
  upsamplers: nn.ModuleList<Resample> | null = null;

  constructor(shapes: readonly (readonly [number, number])[], attention: boolean, { time, groups, headDim }: Shared) {
    super();
    this.attentions = attention
      ? new nn.ModuleList(shapes.map(([, channels]) => new Attention(channels, headDim, groups)))
      : null;
    this.resnets = new nn.ModuleList(shapes.map(([i, o]) => new ResnetBlock(i, o, time, groups)));
  }

  /** Downwards: results are kept for the way up. Upwards: what was kept joins in. */
  override forward(x: Tensor, time: Tensor, kept: Tensor[], up: boolean): Tensor {
    let out = x;
    for (let i = 0; i < this.resnets.length; i++) {
      const beside = up ? kept.pop() : undefined;
      out = this.resnets.at(i).forward(beside === undefined ? out : F.cat([out, beside], 1), time);
      if (this.attentions !== null) out = this.attentions.at(i).forward(out);
      if (!up) kept.push(out);
    }
    if (this.upsamplers !== null) out = this.upsamplers.at(0).forward(out);
    if (this.downsamplers !== null) {
      out = this.downsamplers.at(0).forward(out);
      kept.push(out);
    }
    return out;
  }
}

class Middle extends nn.Module {
  readonly attentions: nn.ModuleList<Attention>;
  readonly resnets: nn.ModuleList<ResnetBlock>;

  constructor(channels: number, { time, groups, headDim }: Shared) {
    super();
    this.attentions = new nn.ModuleList([new Attention(channels, headDim, groups)]);
    this.resnets = new nn.ModuleList([0, 1].map(() => new ResnetBlock(channels, channels, time, groups)));
  }

  override forward(x: Tensor, time: Tensor): Tensor {
    const attended = this.attentions.at(0).forward(this.resnets.at(0).forward(x, time));
    return this.resnets.at(1).forward(attended, time);
  }
}

/** Noisy images [batch, channels, height, width] and their steps [batch] → the noise in them. */
export class UNet extends nn.Module {
  readonly convIn: nn.Conv2d;
  readonly timeEmbedding: TimestepEmbedding;
  readonly downBlocks: nn.ModuleList<Level>;
  readonly midBlock: Middle;
  readonly upBlocks: nn.ModuleList<Level>;
  readonly convNormOut: nn.GroupNorm;
  readonly convOut: nn.Conv2d;

  constructor(config: UNetConfig) {
    super();
    const { channels, widths, attention, layersPerBlock: layers = 2, normGroups: groups = 32 } = config;
    if (widths.length === 0 || widths.length !== attention.length) {
      throw new RangeError(`UNet: ${widths.length} widths, ${attention.length} answers on attention`);
    }
    const at = (i: number): number => widths[Math.min(Math.max(i, 0), widths.length - 1)] ?? 0;
    const last = widths.length - 1;
    const shared = { time: 4 * at(0), groups, headDim: config.attentionHeadDim ?? 8 };
    this.convIn = new nn.Conv2d(channels, at(0), 3, { padding: 1 });
    this.timeEmbedding = new TimestepEmbedding(at(0), shared.time);
    this.downBlocks = new nn.ModuleList(widths.map((width, i) => {
      const shapes = Array.from({ length: layers }, (_, j) => [j === 0 ? at(i - 1) : width, width] as const);
      const level = new Level(shapes, attention[i] ?? false, shared);
      if (i < last) level.downsamplers = new nn.ModuleList([new Resample(width, true)]);
      return level;
    }));
    this.midBlock = new Middle(at(last), shared);
    this.upBlocks = new nn.ModuleList(widths.map((_, k) => {
      const i = last - k;
      const shapes = Array.from({ length: layers + 1 }, (_, j) => {
        const before = j === 0 ? at(i + 1) : at(i);
        return [before + (j === layers ? at(i - 1) : at(i)), at(i)] as const;
      });
      const level = new Level(shapes, attention[i] ?? false, shared);
      if (i > 0) level.upsamplers = new nn.ModuleList([new Resample(at(i), false)]);
      return level;
    }));
    this.convNormOut = new nn.GroupNorm(groups, at(0));
    this.convOut = new nn.Conv2d(at(0), channels, 3, { padding: 1 });
  }

  override forward(x: Tensor, steps: Tensor): Tensor {
    const time = this.timeEmbedding.forward(steps);
    let out = this.convIn.forward(x);
    const kept = [out];
    for (const level of this.downBlocks) out = level.forward(out, time, kept, false);
    out = this.midBlock.forward(out, time);
    for (const level of this.upBlocks) out = level.forward(out, time, kept, true);
    return this.convOut.forward(silu(this.convNormOut.forward(out)));
  }
}
