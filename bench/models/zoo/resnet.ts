/**
 * ResNet: He et al. 2015, with the names of torchvision's `ResNet`.
 *
 * Bottleneck blocks stride in their 3×3 convolution, as torchvision's do (ResNet v1.5).
 */
import { nn, type Tensor } from "../../../mod.ts";

const { relu } = nn.functional;

/** What decides a network's shape. */
export interface ResNetConfig {
  readonly block: "basic" | "bottleneck";
  /** Blocks of each of the four stages. */
  readonly layers: readonly [number, number, number, number];
  /** Default 1000. */
  readonly numClasses?: number;
  /** Channels of the first stage. Default 64. */
  readonly width?: number;
}

const EXPANSION = { basic: 1, bottleneck: 4 } as const;

function shortcut(inChannels: number, outChannels: number, stride: number): nn.Sequential | null {
  if (stride === 1 && inChannels === outChannels) return null;
  return new nn.Sequential(
    new nn.Conv2d(inChannels, outChannels, 1, { stride, bias: false }),
    new nn.BatchNorm2d(outChannels),
  );
}

class BasicBlock extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly conv2: nn.Conv2d;
  readonly bn2: nn.BatchNorm2d;
  readonly downsample: nn.Sequential | null;

  constructor(inChannels: number, planes: number, stride: number) {
    super();
    this.conv1 = new nn.Conv2d(inChannels, planes, 3, { stride, padding: 1, bias: false });
    this.bn1 = new nn.BatchNorm2d(planes);
    this.conv2 = new nn.Conv2d(planes, planes, 3, { padding: 1, bias: false });
    this.bn2 = new nn.BatchNorm2d(planes);
    this.downsample = shortcut(inChannels, planes, stride);
  }

  override forward(x: Tensor): Tensor {
    const a = relu(this.bn1.forward(this.conv1.forward(x)));
    const b = this.bn2.forward(this.conv2.forward(a));
    return relu(b.add(this.downsample === null ? x : this.downsample.forward(x)));
  }
}

class Bottleneck extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly conv2: nn.Conv2d;
  readonly bn2: nn.BatchNorm2d;
  readonly conv3: nn.Conv2d;
  readonly bn3: nn.BatchNorm2d;
  readonly downsample: nn.Sequential | null;

  constructor(inChannels: number, planes: number, stride: number) {
    super();
    const outChannels = planes * EXPANSION.bottleneck;
    this.conv1 = new nn.Conv2d(inChannels, planes, 1, { bias: false });
    this.bn1 = new nn.BatchNorm2d(planes);
    this.conv2 = new nn.Conv2d(planes, planes, 3, { stride, padding: 1, bias: false });
    this.bn2 = new nn.BatchNorm2d(planes);
    this.conv3 = new nn.Conv2d(planes, outChannels, 1, { bias: false });
    this.bn3 = new nn.BatchNorm2d(outChannels);
    this.downsample = shortcut(inChannels, outChannels, stride);
  }

  override forward(x: Tensor): Tensor {
    const a = relu(this.bn1.forward(this.conv1.forward(x)));
    const b = relu(this.bn2.forward(this.conv2.forward(a)));
    const c = this.bn3.forward(this.conv3.forward(b));
    return relu(c.add(this.downsample === null ? x : this.downsample.forward(x)));
  }
}

/** Images [batch, 3, height, width] → logits [batch, classes]. */
export class ResNet extends nn.Module {
  readonly conv1: nn.Conv2d;
  readonly bn1: nn.BatchNorm2d;
  readonly maxpool = new nn.MaxPool2d(3, { stride: 2, padding: 1 });
  readonly layer1: nn.Sequential;
  readonly layer2: nn.Sequential;
  readonly layer3: nn.Sequential;
  readonly layer4: nn.Sequential;
  readonly avgpool = new nn.AdaptiveAvgPool2d(1);
  readonly fc: nn.Linear;

  constructor(config: ResNetConfig) {
    super();
    const { block, layers, numClasses = 1000, width = 64 } = config;
    this.conv1 = new nn.Conv2d(3, width, 7, { stride: 2, padding: 3, bias: false });
    this.bn1 = new nn.BatchNorm2d(width);
    const Block = block === "basic" ? BasicBlock : Bottleneck;
    let channels = width;
    const stage = (index: 0 | 1 | 2 | 3): nn.Sequential => {
      const planes = width << index;
      const blocks = Array.from({ length: layers[index] }, (_, i) => {
        const made = new Block(channels, planes, i === 0 && index > 0 ? 2 : 1);
        channels = planes * EXPANSION[block];
        return made;
      });
      return new nn.Sequential(...blocks);
    };
    this.layer1 = stage(0);
    this.layer2 = stage(1);
    this.layer3 = stage(2);
    this.layer4 = stage(3);
    this.fc = new nn.Linear(channels, numClasses);
  }

  override forward(x: Tensor): Tensor {
    let out = this.maxpool.forward(relu(this.bn1.forward(this.conv1.forward(x))));
    for (const layer of [this.layer1, this.layer2, this.layer3, this.layer4]) out = layer.forward(out);
    return this.fc.forward(this.avgpool.forward(out).flatten(1));
  }
}

/** torchvision's `resnet18`. */
export function resnet18(): ResNet {
  return new ResNet({ block: "basic", layers: [2, 2, 2, 2] });
}

/** torchvision's `resnet50`. */
export function resnet50(): ResNet {
  return new ResNet({ block: "bottleneck", layers: [3, 4, 6, 3] });
}
