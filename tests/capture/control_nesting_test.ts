/** Random nestings of control flow: captured whole, their values and gradients are those of plain JavaScript. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { gradOf } from "../../src/autograd/mod.ts";
import { associativeScan, checkpoint, compile, cond, forLoop, map, scan, whileLoop } from "../../src/capture/mod.ts";
import { float64 } from "../../src/core/mod.ts";
import "../../src/inductor/mod.ts";
import { F, manualSeed, noGrad, randn, type Tensor } from "../../src/tensor/mod.ts";

/** A function of a vector of three numbers, as a tree. */
type Program =
  | { readonly kind: "leaf"; readonly op: number; readonly by: number }
  | { readonly kind: "then" | "branch" | "walk"; readonly a: Program; readonly b: Program; readonly by: number }
  | { readonly kind: "loop" | "rows" | "region" | "while" | "prefix"; readonly a: Program; readonly by: number };

const by = fc.integer({ min: -2, max: 2 });
const leaf = fc.record({ kind: fc.constant("leaf" as const), op: fc.integer({ min: 0, max: 5 }), by });
const programs = fc.letrec<{ program: Program }>((tie) => ({
  program: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.record({ kind: fc.constantFrom("then", "branch", "walk"), a: tie("program"), b: tie("program"), by }),
    fc.record({ kind: fc.constantFrom("loop", "rows", "region", "while", "prefix"), a: tie("program"), by }),
  ) as fc.Arbitrary<Program>,
})).program;

const weight = randn([3], { dtype: float64 }).requiresGrad_();
const matrix = randn([3, 3], { dtype: float64 }).mul(0.5).detach().requiresGrad_();

function leafOf(op: number, by: number, x: Tensor): Tensor {
  switch (op) {
    case 0:
      return x.mul(weight);
    case 1:
      return x.sin().add(by);
    case 2:
      return matrix.matmul(x).tanh();
    case 3:
      return x.sub(noGrad(() => x.mul(0.5)));
    case 4:
      return F.cat([x.slice(0, 1, null), x.slice(0, 0, 1)], 0).mul(0.75);
    default:
      return x.sigmoid().mul(x.sum().tanh());
  }
}

function run(p: Program, x: Tensor): Tensor {
  switch (p.kind) {
    case "leaf":
      return leafOf(p.op, p.by, x);
    case "then":
      return run(p.b, run(p.a, x));
    case "branch":
      return cond(x.sum().gt(p.by), (t) => run(p.a, t), (t) => run(p.b, t).add(x), [x]);
    case "walk": {
      const [last, all] = scan(
        (c: Tensor, r: Tensor) => [run(p.a, c).add(r).tanh(), { y: run(p.b, r).mul(c) }],
        x,
        F.stack([x, x.neg(), weight], { dim: 0 }),
        { reverse: p.by > 0 },
      );
      return last.add(all.y.sum(0).tanh());
    }
    case "loop":
      return forLoop(Math.abs(p.by) + 1, (i, t) => [run(p.a, t).tanh().add(i.mul(0.1))], [x])[0];
    case "rows":
      return map((r: Tensor) => run(p.a, r).tanh(), F.stack([x, x.mul(weight)], { dim: 0 })).sum(0);
    case "region":
      return checkpoint((t: Tensor) => run(p.a, t))(x);
    case "while":
      return whileLoop((t) => t.abs().sum().lt(3), (t) => [run(p.a, t).mul(0.5).add(0.5)], [x], {
        maxRounds: Math.abs(p.by) + 1,
      })[0];
    case "prefix": {
      const rows = F.stack([x, weight, x.mul(0.5), x.add(p.by), x.neg()], { dim: 0 }).tanh();
      return run(p.a, associativeScan((a, b) => a.mul(0.5).mul(b).mul(2), rows).sum(0));
    }
    default:
      return p satisfies never;
  }
}

function world(fn: (x: Tensor) => Tensor, x: Tensor, twice: boolean): number[][] {
  const at = x.detach().clone().requiresGrad_();
  const out = fn(at);
  const leaves = [at, weight, matrix];
  const first = gradOf(out.mul(out).sum(), leaves, { allowUnused: true, createGraph: twice });
  const found = [out, ...first];
  if (twice) {
    const total = first.filter((g) => g !== null && g.requiresGrad).map((g) => (g as Tensor).sin().sum());
    if (total.length > 0) {
      found.push(...gradOf(total.reduce((a, b) => a.add(b)), leaves, { allowUnused: true }));
    }
  }
  // A branch that does not use an operand has zeros for its gradient where eager has none.
  return found.map((t) => t === null ? [] : [...t.detach().dataSync()].map(Number));
}

function near(a: readonly number[][], b: readonly number[][], text: string): void {
  assert.equal(a.length, b.length, text);
  a.forEach((list, i) => {
    const other = b[i] ?? [];
    const length = Math.max(list.length, other.length);
    for (let k = 0; k < length; k++) {
      const [x, y] = [list[k] ?? 0, other[k] ?? 0];
      assert.ok(Math.abs(x - y) <= 1e-7 * Math.max(1, Math.abs(y)), `${text}: result ${i} is ${list}, not ${other}`);
    }
  });
}

for (const [backend, runs] of [["aot_eager", 60], ["inductor", 25]] as const) {
  Deno.test(`random nestings of control flow agree with eager, gradients of gradients included (${backend})`, () => {
    manualSeed(7);
    fc.assert(
      fc.property(programs, fc.boolean(), (program, twice) => {
        const f = compile((x: Tensor) => run(program, x), { backend, fullgraph: true, options: { tier: "js" } });
        for (const scale of [0.3, -1.2]) {
          const x = randn([3], { dtype: float64 }).mul(scale);
          near(world(f, x, twice), world((t) => run(program, t), x, twice), JSON.stringify(program));
        }
      }),
      { numRuns: runs, seed: 11 },
    );
  });
}

Deno.test("a bounded loop in a bounded loop is differentiated", () => {
  const inner: Program = { kind: "while", a: { kind: "leaf", op: 3, by: 0 }, by: 0 };
  const program: Program = { kind: "while", a: inner, by: 0 };
  const f = compile((x: Tensor) => run(program, x), { backend: "aot_eager", fullgraph: true });
  const x = randn([3], { dtype: float64 });
  near(world(f, x, true), world((t) => run(program, t), x, true), "while in while");
});

Deno.test("whileLoop() with a bound ends there, eagerly and compiled, with and without a gradient", () => {
  const fn = (x: Tensor): Tensor =>
    whileLoop((t) => t.abs().sum().lt(100), (t) => [t.mul(2)], [x], { maxRounds: 3 })[0];
  for (const backend of ["eager", "aot_eager", "inductor"]) {
    const f = compile(fn, { backend, fullgraph: true });
    const x = randn([2]);
    assert.deepEqual([...f(x).dataSync()], [...x.mul(8).dataSync()]);
    const big = x.sign().mul(60);
    assert.deepEqual([...f(big).dataSync()], [...fn(big).dataSync()]);
    const leaf = x.clone().requiresGrad_();
    f(leaf).sum().backward();
    assert.deepEqual([...(leaf.grad?.dataSync() ?? [])], [8, 8]);
  }
  assert.throws(() => whileLoop((t) => t.sum().lt(1), (t) => [t], [randn([1])], { maxRounds: 1.5 }), /natural number/);
});
