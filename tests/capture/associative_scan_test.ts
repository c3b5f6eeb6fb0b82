/** Prefixes of associative combinations: a tree of logarithmic depth, in which each step is one call for all its slices. */
import assert from "node:assert/strict";
import { associativeScan, compile, explain } from "../../src/capture/mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import "../../src/inductor/mod.ts";
import { F, rand, randn, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { compilations, full } from "./support.ts";

type Pair = { readonly A: Tensor; readonly b: Tensor };

function near(a: Tensor, b: Tensor, what: string): void {
  assert.deepEqual([...a.shape], [...b.shape], what);
  assert.ok(Number(a.sub(b).abs().max().item()) <= 1e-4 * Math.max(1, Number(b.abs().max().item())), what);
}

/** In order, as the meaning says. */
function inOrder(combine: (a: Tensor, b: Tensor) => Tensor, xs: Tensor): Tensor {
  const rows = xs.unbind(0);
  let at = rows[0] as Tensor;
  const out = [at];
  for (const row of rows.slice(1)) out.push(at = combine(at, row));
  return F.cat(out.map((t) => t.unsqueeze(0)), 0);
}

const COMBINES: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  products: (a, b) => a.mul(b),
  maxima: (a, b) => a.maximum(b),
  "logarithms of sums": (a, b) => a.logaddexp(b),
  "products of matrices": (a, b) => a.matmul(b).mul(0.7),
  "products of transposed views": (a, b) => b.t().matmul(a.t()).t().mul(0.7),
  "sums with a closure": (a, b) => a.add(b.mul(one)).sub(one.sub(1)),
};
const one = tensor([1, 1, 1]);

for (const [name, combine] of Object.entries(COMBINES)) {
  Deno.test(`associativeScan() of ${name}: eager, compiled and differentiated`, () => {
    using _ = withConfig({ verify: true });
    for (const backend of ["eager", "aot_eager", "inductor"]) {
      for (const n of [1, 2, 5, 8]) {
        const f = full((xs: Tensor) => associativeScan(combine, xs), backend, { dynamic: false });
        const run = (g: (xs: Tensor) => Tensor, given: Tensor): [Tensor, Tensor] => {
          const xs = given.detach().requiresGrad_();
          const out = g(xs);
          out.mul(out).sum().backward();
          return [out.detach(), xs.grad as Tensor];
        };
        const xs = rand([n, 3, 3]).add(0.2);
        const expected = run((t) => inOrder(combine, t), xs);
        for (const g of [f, (t: Tensor) => associativeScan(combine, t)]) {
          run(g, xs).forEach((t, i) => near(t, expected[i] as Tensor, `${name} ${backend} ${n} ${i}`));
        }
      }
    }
  });
}

Deno.test("associativeScan() of a linear recurrence, along another dimension, from the end", () => {
  const combine = (p: Pair, q: Pair): Pair => ({
    A: q.A.mul(p.A),
    b: q.A.mul(p.b).add(q.b),
  });
  const [A, b] = [rand([2, 7, 3]), randn([2, 7, 3])];
  const run = (xs: Pair): Tensor => associativeScan(combine, xs, { dim: 1, reverse: true }).b;
  const rows = b.unbind(1);
  let at = rows.at(-1) as Tensor;
  const expected = [at];
  for (let i = 5; i >= 0; i--) expected.unshift(at = A.select(1, i).mul(at).add(rows[i] as Tensor));
  const want = F.cat(expected.map((t) => t.unsqueeze(1)), 1);
  near(run({ A, b }), want, "eager");
  for (const backend of ["aot_eager", "inductor"]) near(full(run, backend)({ A, b }), want, backend);
});

Deno.test("associativeScan() is of logarithmic depth in a graph", () => {
  const count = (n: number): number => {
    const told = explain((xs: Tensor) => associativeScan((a, b) => a.mul(b), xs))(randn([n, 2]));
    const text = told.graphs[0]?.graph ?? "";
    assert.ok(!text.includes("scan"), text);
    return text.match(/aten\.mul\.Tensor/g)?.length ?? 0;
  };
  assert.deepEqual([4, 64, 1024].map(count), [3, 11, 19]);
});

Deno.test("associativeScan() over a length that is a symbol is compiled once for each doubling", () => {
  const f = full((xs: Tensor) => associativeScan((a, b) => a.add(b), xs), "aot_eager", { dynamic: true });
  for (const n of [6, 7, 8, 10, 13, 16, 18, 31, 32]) {
    const xs = randn([n, 3]);
    near(f(xs), xs.cumsum(0), `${n}`);
  }
  assert.equal(compilations(f), 3);
});

Deno.test("associativeScan() goes in order where slices cannot be taken together, and says what is wrong with combine", () => {
  const body = (xs: Tensor): Tensor => associativeScan((a, b) => a.add(b).clone().add_(0), xs);
  const told = explain(body)(randn([4, 2]));
  assert.match(JSON.stringify(told.remarks ?? told), /runs in order: add_ writes in place/);
  const xs = randn([4, 2]);
  near(compile(body, { backend: "aot_eager" })(xs), xs.cumsum(0), "in order");
  assert.throws(
    () => associativeScan((a, b) => a.add(b).sum(), xs),
    /combine takes float32\[2\] and gives float32\[\]/,
  );
  assert.throws(
    () => full((t: Tensor) => associativeScan((a, b) => a.add(b).gt(0), t), "aot_eager")(xs),
    /gives bool\[2\]/,
  );
});
