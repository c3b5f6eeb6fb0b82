/** A program whose types need more than stripping: an enum and a parameter property. Its lines are looked for by a test. */
import { explain, type Explanation } from "../../src/capture/mod.ts";
import { type Tensor, tensor } from "../../src/tensor/mod.ts";

enum Kind {
  First = 2,
  Second,
}

class Scaled {
  constructor(readonly by: number, private readonly more: number = 1) {}
  run(x: Tensor): Tensor {
    return x.mul(this.by * this.more);
  }
}

const scaled = new Scaled(Kind.Second);

/** What is reported of a function with two breaks. */
export function report(): Explanation {
  return explain((x: Tensor) => {
    const n = scaled.run(x).sum().item(); // first
    return x.mul(n).add(Math.random()); // second
  })(tensor([1, 2]));
}
