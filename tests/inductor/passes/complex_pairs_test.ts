/** Complex tensors between their views as pairs: no step on the host, the same results, also where complex tensors stay. */
import assert from "node:assert/strict";
import { compile, explain, F, ones, randn, type Tensor, tensor, zeros } from "../../../mod.ts";

function near(a: Tensor, b: Tensor, what: string): void {
  const real = (t: Tensor): Tensor => t.dtype.isComplex ? t.viewAsReal() : t;
  assert.deepEqual(a.shape, b.shape, what);
  assert.equal(a.dtype, b.dtype, what);
  const worst = Number(real(a).sub(real(b)).abs().max().item());
  assert.ok(worst < 1e-5, `${what}: ${worst}`);
}

type Fn = (...args: readonly Tensor[]) => Tensor | readonly Tensor[];

/** Compiled on both tiers against eager; the operators that run on the host. */
async function agree(fn: Fn, ...args: readonly Tensor[]): Promise<readonly string[]> {
  const list = (r: Tensor | readonly Tensor[]): readonly Tensor[] => Array.isArray(r) ? r : [r as Tensor];
  const want = list(fn(...args));
  for (const tier of ["js", "aot"]) {
    const compiled = compile(fn, { fullgraph: true, options: { tier } });
    for (let call = 0; call < 2; call++) {
      list(compiled(...args)).forEach((r, i) => near(r, want[i] as Tensor, `${tier}, result ${i}`));
    }
  }
  return [...(await explain(fn)(...args)).fallbacks].map((text) => /aten\.(\w+)/.exec(text)?.[1] ?? text).sort();
}

const angles = F.polar(ones([5, 4]), randn([5, 4]));

Deno.test("pairComplex() leaves no step on the host in a rotary embedding", async () => {
  const rotate = (x: Tensor): Tensor =>
    x.reshape([2, 5, 3, 4, 2]).viewAsComplex().mul(angles.reshape([1, 5, 1, 4])).viewAsReal().flatten(3);
  assert.deepEqual(await agree(rotate as Fn, randn([2, 5, 3, 8])), []);
});

Deno.test("pairComplex() reads complex inputs as pairs, whatever part of memory they show", async () => {
  const z = F.complex(randn([6, 7]), randn([6, 7]));
  const product = (a: Tensor, b: Tensor): Tensor => a.t().slice(0, 0, 2).mul(b).add(1).viewAsReal();
  assert.deepEqual(await agree(product as Fn, z.slice(0, 1, 5, 2), z.t().slice(0, 3, 5).slice(1, 0, 1)), []);
});

Deno.test("pairComplex() follows views of complex tensors", async () => {
  const views = (x: Tensor): Tensor => {
    const z = x.viewAsComplex();
    return z.permute([2, 0, 1]).unsqueeze(-1).select(0, 1).transpose(0, -1).slice(2, 0, 3, 2).mul(2).viewAsReal();
  };
  assert.deepEqual(await agree(views as Fn, randn([3, 4, 2, 2])), []);
});

Deno.test("pairComplex() keeps complex tensors for what computes on them, and for results", async () => {
  const mixed = (x: Tensor): readonly Tensor[] => {
    const z = x.viewAsComplex();
    const spectrum = F.fftFft(z.mul(z));
    return [spectrum, spectrum.mul(2).viewAsReal(), z.abs()];
  };
  const left = await agree(mixed as Fn, randn([4, 8, 2]));
  assert.ok(left.includes("view_as_complex"), left.join());
});

Deno.test("pairComplex() lets a complex input be a result, be transformed and be read at once", async () => {
  const all = (z: Tensor): readonly Tensor[] => [z, z.viewAsReal().mul(2), F.fftFft(z), z.mul(z)];
  await agree(all as Fn, F.complex(randn([3, 8]), randn([3, 8])));
  const without = (z: Tensor): readonly Tensor[] => [z.viewAsReal().mul(2), F.fftFft(z), z.mul(z).abs()];
  await agree(without as Fn, F.complex(randn([3, 8]), randn([3, 8])));
});

Deno.test("pairComplex() keeps gradients", () => {
  const loss = (x: Tensor): Tensor => x.viewAsComplex().mul(angles).viewAsReal().square().mul(tensor([1, 3])).sum();
  const grads = [loss, compile(loss, { fullgraph: true })].map((fn) => {
    const x = zeros([5, 4, 2]).add(0.5).requiresGrad_();
    fn(x).backward();
    return x.grad as Tensor;
  });
  near(grads[0] as Tensor, grads[1] as Tensor, "gradient");
});
