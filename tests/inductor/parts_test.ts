/** Buffers that several kernels write in parts: concatenations whose readers need some of the parts. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { F, manualSeed, noGrad, randn, type Tensor } from "../../src/tensor/mod.ts";

type Program = (a: Tensor, b: Tensor) => readonly Tensor[];

/** Compiled results agree with eager ones. */
function agrees(program: Program): void {
  manualSeed(2);
  const [a, b] = [randn([16, 8]), randn([16, 8])];
  const want = noGrad(() => program(a, b));
  const got = noGrad(() => compile(program, { fullgraph: true })(a, b));
  want.forEach((w, i) => {
    assert.ok(Number((got[i] as Tensor).sub(w).abs().max().item()) < 1e-6, `result ${i}`);
  });
}

Deno.test("a kernel whose part of a concatenation nobody reads is dropped", () => {
  manualSeed(2);
  const [x, y] = [randn([8, 2, 1]).requiresGrad_(), randn([8, 2, 8]).requiresGrad_()];
  const run = (a: Tensor, b: Tensor): Tensor => F.cat([a.sign(), b.logSigmoid()], 2).hypot(1.5).squeeze().sum();
  compile(run, { fullgraph: true })(x, y).backward();
  const got = y.grad as Tensor;
  y.grad = null;
  run(x, y).backward();
  assert.ok(Number(got.sub(y.grad as unknown as Tensor).abs().max().item()) < 1e-6);
});

Deno.test("parts of a concatenation are read beside kernels that write other parts", () => {
  const parts = (a: Tensor, b: Tensor): Tensor[] => {
    const c = F.cat([a.exp(), b.sin()], 1);
    const s = c.narrow(1, 0, 8).mul(b);
    return [c, s, F.cat([s, b.cos().add(s)], 1)];
  };
  agrees(parts);
  agrees((a, b) => {
    const [c, , d] = parts(a, b) as [Tensor, Tensor, Tensor];
    return [c.narrow(1, 8, 8).add(1), d, c];
  });
  agrees((a, b) => {
    const [c, , d] = parts(a, b) as [Tensor, Tensor, Tensor];
    return [d, c.narrow(1, 0, 8).add(b), c.narrow(1, 8, 8).add(a)];
  });
});

Deno.test("the check of the arena tries only sizes for which every buffer has at least 0 elements", () => {
  const run = (x: Tensor, w: Tensor, y: Tensor, v: Tensor): readonly Tensor[] => {
    const quotient = F.cat([y, y], 0).div(F.cat([x.split(8, 1)[1] as Tensor, x.split(8, 1)[1] as Tensor], 0).matmul(w));
    return [
      x.prod(2, true).var([1], { correction: 1, keepdim: true }),
      quotient.minimum(v.var([0], { correction: 0 })),
    ];
  };
  manualSeed(6);
  const args = [randn([2, 16, 16]), randn([16, 16]), randn([2, 8, 16]), randn([15])] as const;
  const got = noGrad(() => compile(run, { fullgraph: true, dynamic: true })(...args));
  const want = noGrad(() => run(...args));
  want.forEach((w, i) =>
    assert.ok(Number((got[i] as Tensor).sub(w).abs().max().item()) <= 1e-4 * Number(w.abs().max().item()))
  );
});
