/**
 * Weights and probabilities whose values are checked before they are used: what is negative or not a number would give results that mean nothing.
 *
 * A step on the host, since only data tell; on other devices, where it would cost a transfer, the values are taken as they come, as PyTorch's kernels there do.
 */
import { sizeProd } from "../symbolic/mod.ts";
import { defineOp } from "./define.ts";
import type { Functional } from "./functional.ts";
import { hostShape, readHost } from "./host_axis.ts";
import type { TensorValue } from "./value.ts";

defineOp({
  schema: "tessera::checked_weights(Tensor self, str where, bool sums) -> Tensor",
  doc:
    "self, if no element is negative or, with sums, infinite or NaN, and each row of the last dimension has a positive sum.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
  host: ({ self, where, sums }) => {
    const shape = hostShape(self);
    const row = Number(shape[shape.length - 1] ?? 1);
    let sum = 0;
    for (let i = 0; i < self.data.length; i++) {
      const v = Number(readHost(self.data, i));
      if (v < 0 || (sums && !Number.isFinite(v))) {
        throw new RangeError(
          `${where}: element ${i} of [${shape}] is ${v}; needs numbers that are finite and not negative`,
        );
      }
      sum += v;
      if (sums && i % row === row - 1) {
        if (!(sum > 0)) {
          throw new RangeError(`${where}: the elements of row ${Math.floor(i / row)} of [${shape}] sum to 0`);
        }
        sum = 0;
      }
    }
    return [{ shape, data: self.data }];
  },
  vjp: (_, { grad }) => ({ self: () => grad }),
  samples: () => [],
});

/** The tensor, its values checked where that costs no transfer. */
export function checkedWeights(where: string, t: TensorValue, sums: boolean, F: Functional): TensorValue {
  return t.device.type === "cpu" && sizeProd(t.shape) !== 0 ? F.checkedWeights(t, where, sums) : t;
}
