/** What other processes left of symbolic graphs, control flow, host operators and gradients of gradients. */
import assert from "node:assert/strict";
import { ignore, Program, wasFound } from "./warm_program.ts";

/** The first calls of a cold process may run on other kernels. */
function near(a: unknown, b: unknown): void {
  if (typeof a === "number" && typeof b === "number") {
    assert.ok(Math.abs(a - b) <= 1e-5 * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
  } else if (Array.isArray(a) && Array.isArray(b)) {
    assert.equal(a.length, b.length);
    a.forEach((x, i) => near(x, b[i]));
  } else assert.deepEqual(a, b);
}

const PROGRAMS: Readonly<Record<string, string>> = {
  "symbolic sizes": `
let n = 3;
const fn = (x: Tensor) => [x.softmax(0).mul(x.shape[0] as number), x.t(), x.view([-1]), x.slice(0, 1, null)];
const inputs = () => [randn([n++, 4])] as const;
`,
  "symbolic sizes, differentiated inside and outside": `
let n = 3;
const layer = new nn.Linear(4, 2);
const fn = (x: Tensor, y: Tensor) => {
  const out = layer.forward(x).tanh();
  return nn.functional.mseLoss(out, y).add(out.mean());
};
const inputs = () => [randn([n, 4]), randn([n++, 2])] as const;
after = () => {
  step(randn([8, 4]), randn([8, 2])).backward();
  return layer.parameters().map((p) => p.grad);
};
`,
  "control flow": `
const w = randn([3]).requiresGrad_();
const block = checkpoint((x: Tensor) => x.mul(w).sin());
const fn = (x: Tensor) => {
  const [c, ys] = scan((c: Tensor, r: Tensor) => [c.mul(r).tanh(), c.add(r)], x.select(0, 0), x);
  const b = cond(c.sum().gt(0), (t: Tensor) => t.mul(2), (t: Tensor) => t.neg(), [c]);
  return block(b).add(ys.sum(0)).add(map((r: Tensor) => r.exp(), x).sum(0)).add(associativeScan((a: Tensor, b: Tensor) => a.add(b), x).sum(0));
};
const inputs = () => [randn([4, 3])] as const;
after = () => {
  const x = randn([4, 3]).requiresGrad_();
  fn(x).sum().backward();
  const y = x.detach().clone().requiresGrad_();
  step(y).sum().backward();
  return [Math.abs((x.grad as Tensor).sub(y.grad as Tensor).abs().max().item() as number) < 1e-5, w.grad];
};
`,
  "loops on data": `
const fn = (x: Tensor) => noGrad(() => whileLoop((t: Tensor) => t.abs().sum().lt(50), (t: Tensor) => [t.mul(2).add(x)], [x])[0]);
const inputs = () => [randn([3])] as const;
`,
  "control flow over symbolic sizes": `
let n = 5;
const fn = (x: Tensor) => scan((c: Tensor, r: Tensor) => [c.mul(0.5).add(r), c.mul(r)], x.select(0, 0), x)[1];
const inputs = () => [randn([n++, 3])] as const;
`,
  "host operators": `
const fn = (x: Tensor) => { const [values, order] = x.mul(2).sort(-1); return [values.add(1), order]; };
const inputs = () => [randn([4, 3])] as const;
`,
  "gradients of gradients": `
const w = randn([3]).requiresGrad_();
const fn = (x: Tensor) => x.mul(w).sin().pow(3).sum();
const inputs = () => [randn([4, 3]).requiresGrad_()] as const;
after = () => {
  const twice = (f: (x: Tensor) => Tensor) => {
    const x = (inputs()[0] as Tensor).mul(0).add(0.5).detach().requiresGrad_();
    const [g] = gradOf(f(x), [x], { createGraph: true });
    return gradOf((g as Tensor).mul(g as Tensor).sum(), [x, w]) as Tensor[];
  };
  return twice(step).map((t, i) => (t.sub(twice(fn)[i] as Tensor).abs().max().item() as number) < 1e-5);
};
`,
};

for (const [name, body] of Object.entries(PROGRAMS)) {
  Deno.test({
    name: `a warm process finds ${name}`,
    ignore,
    fn: async () => {
      using program = new Program(body);
      const cold = await program.run();
      assert.ok(cold.traced >= 1 && cold.found === 0, cold.events.join("\n"));
      assert.ok(!cold.events.some((e) => e.includes("is not kept")), cold.events.join("\n"));
      const warm = await program.run();
      wasFound(warm);
      near(warm.data, cold.data);
      assert.ok(!JSON.stringify(warm.data).includes("false"), JSON.stringify(warm.data));
    },
  });
}
