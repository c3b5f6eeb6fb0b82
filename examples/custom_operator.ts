// deno-lint-ignore-file no-console
/** An operator of one's own: its shape, what it means, its gradient. Then it is checked, and used in a compiled function. */
import { compile, defineOp, float64, functionOf, opcheck, randn, type Tensor } from "../mod.ts";

/** x · sigmoid(1.702 · x), an approximation of GELU. */
const op = defineOp({
  schema: "example::quick_gelu(Tensor self) -> Tensor",
  doc: "An approximation of GELU: x times the logistic function of 1.702 x.",
  meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
  decompose: ({ self }) => self.mul(self.mul(1.702).sigmoid()),
  vjp: ({ self }, { grad }) => ({
    self: () => {
      const s = self.mul(1.702).sigmoid();
      return grad.mul(s.add(self.mul(1.702).mul(s).mul(s.neg().add(1))));
    },
  }),
  samples: (g) => [{ args: { self: g.tensor([2, 3]) } }],
});

/** The function that calls it. */
export const quickGelu = functionOf(op) as (x: Tensor) => Tensor;

if (import.meta.main) {
  for (const line of opcheck(op, { self: randn([2, 3], { dtype: float64 }).requiresGrad_() })) {
    console.log(`ok: ${line}`);
  }
  const f = compile((x: Tensor) => quickGelu(x).mul(2), { fullgraph: true });
  console.log(`${f(randn([4]))}`);
}
