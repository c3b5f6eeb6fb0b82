/**
 * A small convolutional network for 28×28 grey images, and its training step.
 */
import { nn, optim, type Tensor } from "../../mod.ts";

/** Two convolutions with batch normalisation and pooling, then two linear layers: 206,922 parameters. */
export class DigitNet extends nn.Module {
  readonly conv1 = new nn.Conv2d(1, 16, 3, { padding: 1 });
  readonly bn1 = new nn.BatchNorm2d(16);
  readonly conv2 = new nn.Conv2d(16, 32, 3, { padding: 1 });
  readonly bn2 = new nn.BatchNorm2d(32);
  readonly pool = new nn.MaxPool2d(2);
  readonly flatten = new nn.Flatten();
  readonly dropout = new nn.Dropout(0.25);
  readonly fc1 = new nn.Linear(32 * 7 * 7, 128);
  readonly fc2 = new nn.Linear(128, 10);

  /** [batch, 1, 28, 28] → logits [batch, 10]. */
  override forward(x: Tensor): Tensor {
    const { relu } = nn.functional;
    const a = this.pool.forward(relu(this.bn1.forward(this.conv1.forward(x))));
    const b = this.pool.forward(relu(this.bn2.forward(this.conv2.forward(a))));
    return this.fc2.forward(relu(this.fc1.forward(this.dropout.forward(this.flatten.forward(b)))));
  }
}

/** One step of training: images, labels → loss. */
export type Step = (images: Tensor, labels: Tensor) => Tensor;

/** Forward, backward, update: written once, run eagerly or compiled. */
export function trainingStep(model: DigitNet, optimizer: optim.AdamW): Step {
  return (images, labels) => {
    const loss = nn.functional.crossEntropy(model.forward(images), labels);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
}
