/** Writes to results that an operator's decomposition makes views of its argument reach the argument, with sizes fixed and symbolic, with and without gradients. */
import assert from "node:assert/strict";
import { compile, F, type Tensor, tensor } from "../../mod.ts";

const VIEWS: Readonly<Record<string, (y: Tensor) => Tensor>> = {
  reshape: (y) => y.reshape([-1]),
  flatten: (y) => y.flatten(0, 1),
  "a part of a flattened tensor": (y) => y.flatten(0, 1).narrow(0, 1, 2),
  atleast3d: (y) => F.atleast3d(y),
  broadcastTensors: (y) => F.broadcastTensors([y, y.sum()])[0] as Tensor,
  einsum: (y) => F.einsum("ij->ji", [y]),
  movedim: (y) => y.movedim(0, 1),
  contiguous: (y) => y.contiguous(),
  expandAs: (y) => y.expandAs(y),
};

for (const [name, view] of Object.entries(VIEWS)) {
  Deno.test(`a write through ${name} reaches what it shows`, () => {
    const fn = (x: Tensor): Tensor => {
      const y = x.mul(2);
      view(y).add_(1).mul_(y.sum());
      return y;
    };
    for (const dynamic of [false, true]) {
      for (const grad of [false, true]) {
        const run = (f: (x: Tensor) => Tensor): unknown => {
          const x = tensor([[1, 2, 3, 4.5], [5, 6, 7, 8]]);
          if (!grad) return f(x).toArray();
          x.requiresGrad_();
          f(x).sum().backward();
          return x.grad?.toArray();
        };
        assert.deepEqual(run(compile(fn, { dynamic, options: { tier: "js" } })), run(fn));
      }
    }
  });
}
