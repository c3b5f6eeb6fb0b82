/** The example of a backend that hands parts of a graph to another one. */
import assert from "node:assert/strict";
import { compile, randn, type Tensor } from "../../mod.ts";
import { sent } from "../../examples/backend_split.ts";

Deno.test("backend_split.ts sends what it likes to the compiler, and gives eager's results and gradients", () => {
  const program = (x: Tensor, w: Tensor): Tensor => {
    const y = x.mul(2).add(1);
    return y.matmul(w).relu().mul(y.sum()).tanh();
  };
  const f = compile(program, { backend: "split", fullgraph: true });
  for (let call = 0; call < 2; call++) {
    const [x, w] = [randn([3, 4]), randn([4, 2])];
    const [a, b] = [x.clone().requiresGrad_(), w.clone().requiresGrad_()];
    const [c, d] = [x.clone().requiresGrad_(), w.clone().requiresGrad_()];
    const [got, want] = [f(a, b), program(c, d)];
    assert.ok((got.sub(want).abs().max().item() as number) < 1e-6);
    got.sum().backward();
    want.sum().backward();
    for (const [p, q] of [[a, c], [b, d]] as const) {
      assert.ok(((p.grad as Tensor).sub(q.grad as Tensor).abs().max().item() as number) < 1e-4);
    }
  }
  assert.deepEqual(sent, ["mul add", "relu", "mul tanh"]);
});
