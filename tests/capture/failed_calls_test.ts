/**
 * Calls that fail for what their data are: a compiled function leaves the world that eager leaves, and throws eager's error.
 *
 * What only a kernel finds (an index out of range, a matrix without inverse) is found after nothing, or all, of the function has been done in one graph. Each program here
 * runs good and bad inputs in turn, eagerly and compiled, and everything it touches is compared.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { captureStats, compile, type CompileOptions } from "../../src/capture/mod.ts";
import { int64, withConfig } from "../../src/core/mod.ts";
import { functional as F } from "../../src/nn/mod.ts";
import { AdamW } from "../../src/optim/mod.ts";
import { arange, manualSeed, ones, rand, randn, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";

type Wrap = <A extends readonly unknown[], R>(fn: (...args: A) => R) => (...args: A) => R;

const WAYS: readonly (readonly [string, CompileOptions])[] = [
  ["eager", { backend: "eager" }],
  ["aot_eager", { backend: "aot_eager" }],
  ["JavaScript", { options: { tier: "js" } }],
  ["JavaScript, symbolic sizes", { dynamic: true, options: { tier: "js" } }],
  ["C++", { mode: "aot" }],
];

const numbers = (t: Tensor): number[] => [...t.dataSync()].map((v) => Number(Number(v).toFixed(3)) + 0);

const indices = (...values: number[]): Tensor => tensor(values, { dtype: int64 });

/** Runs `step` for each input; everything that `watched` shows, results and errors after each. */
function observe(step: (input: Tensor) => Tensor, inputs: readonly Tensor[], watched: () => unknown): unknown[] {
  return inputs.map((input) => {
    let result: unknown;
    try {
      result = numbers(step(input));
    } catch (error) {
      result = String(error);
    }
    return [result, watched()];
  });
}

/** Declares a program: `make` gives the step, its inputs, and what it touches. */
function fails(
  name: string,
  message: RegExp,
  make: (wrap: Wrap) => readonly [(input: Tensor) => Tensor, readonly Tensor[], () => unknown],
): void {
  for (const [way, options] of WAYS) {
    Deno.test(`${name}: a failed call leaves what eager leaves (${way})`, () => {
      using _ = withConfig({ verify: true });
      manualSeed(5);
      const expected = observe(...make((fn) => fn));
      assert.match(JSON.stringify(expected), message);
      manualSeed(5);
      let made: ((...args: never[]) => unknown) | null = null;
      const actual = observe(...make((fn) => {
        const compiled = compile(fn, { ...options, fullgraph: true });
        made = compiled;
        return compiled;
      }));
      assert.deepEqual(actual, expected);
      assert.ok(made !== null && captureStats(made).entries > 0, "nothing was compiled");
    });
  }
}

fails("a training step with a wrong token, then a wrong target", /embedding: an index is 7.*a target is 9/, (wrap) => {
  const table = randn([5, 4]).requiresGrad_();
  const weight = randn([4, 3]).requiresGrad_();
  const optimizer = new AdamW([table, weight], { lr: 0.1 });
  const seen = zeros([2]);
  const lines: string[] = [];
  const step = wrap((pairs: Tensor) => {
    lines.push("begin");
    seen.add_(1);
    const [ids, targets] = [pairs.select(0, 0), pairs.select(0, 1)];
    const loss = F.crossEntropy(F.embedding(ids, table).matmul(weight), targets);
    lines.push("loss");
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    lines.push("end");
    return loss.detach();
  });
  const pairs = (a: number, b: number): Tensor => indices(0, a, 2, b).view([2, 2]);
  const inputs = [pairs(1, 1), pairs(2, 0), pairs(7, 1), pairs(1, 2), pairs(1, 9), pairs(3, 1)];
  return [step, inputs, () => [numbers(table), numbers(weight), numbers(seen), [...lines]]];
});

fails("a row written into a cache at a wrong place, after a count", /index_copy: an index is 4/, (wrap) => {
  const cache = zeros([4, 2]);
  const state = { calls: 0, last: null as Tensor | null };
  const step = wrap((at: Tensor) => {
    state.calls++;
    state.last = at;
    cache.mul_(2);
    cache.indexCopy_(0, at, ones([1, 2]));
    state.calls += 10;
    return cache.sum(0);
  });
  return [step, [indices(0), indices(1), indices(4), indices(2), indices(-5), indices(3)], () => [
    numbers(cache),
    state.calls,
    state.last === null ? null : numbers(state.last),
  ]];
});

fails("an index computed from what the call writes", /index_select: an index is 3/, (wrap) => {
  const place = indices(0);
  const table = arange(3).mul(1.5);
  const step = wrap((x: Tensor) => {
    place.add_(1);
    return table.indexSelect(0, place).add(x);
  });
  return [step, [1, 2, 3, 4].map((v) => tensor([v])), () => numbers(place)];
});

fails("numbers drawn before the error", /gather: an index is 8/, (wrap) => {
  const step = wrap((at: Tensor) => rand([4]).gather(0, at).add(rand([1])));
  return [step, [indices(0), indices(1), indices(8), indices(2)], () => numbers(rand([2]))];
});

fails("an error that the function catches", /"caught 2"/, (wrap) => {
  const lines: string[] = [];
  const table = arange(4);
  let caught = 0;
  const step = wrap((at: Tensor) => {
    try {
      return table.indexSelect(0, at).mul(2);
    } catch {
      caught++;
      return table.neg();
    } finally {
      lines.push("finally");
    }
  });
  return [step, [indices(0), indices(4), indices(1), indices(-9)], () => [`caught ${caught}`, lines.length]];
});

fails("a matrix without inverse, after a write", /singular/i, (wrap) => {
  const count = zeros([1]);
  const step = wrap((m: Tensor) => {
    count.add_(1);
    return m.inverse().matmul(m);
  });
  const matrix = (d: number): Tensor => tensor([[1.5, 3], [2, d + 0.5]]);
  return [step, [matrix(1), matrix(3), matrix(3.5), matrix(5)], () => numbers(count)];
});

Deno.test("a failed call of a function that is differentiated leaves gradients as they were", () => {
  for (const [, options] of WAYS) {
    const table = randn([4, 2]).requiresGrad_();
    const f = compile((at: Tensor) => F.embedding(at, table).pow(2).sum(), options);
    f(indices(0, 1)).backward();
    const before = numbers(table.grad as Tensor);
    assert.throws(() => f(indices(0, 5)), /embedding: an index is 5/);
    assert.deepEqual(numbers(table.grad as Tensor), before);
    f(indices(0, 1)).backward();
    numbers(table.grad as Tensor).forEach((v, i) => assert.ok(Math.abs(v - 2 * (before[i] ?? NaN)) < 0.01));
  }
});

Deno.test("an error in what the world does with effects does not run the call again", () => {
  let calls = 0;
  const target = {
    set value(_: unknown) {
      calls++;
      throw new RangeError("refused");
    },
  };
  const f = compile((x: Tensor) => x.add(1), { backend: "aot_eager" });
  assert.deepEqual(numbers(f(ones([1]))), [2]);
  const g = compile((x: Tensor, o: { value: unknown }) => {
    o.value = x;
    return x.add(1);
  }, { backend: "aot_eager" });
  assert.throws(() => g(ones([1]), target), /refused/);
  assert.equal(calls, 1);
});

Deno.test("indices are looked at where the result does not depend on them", () => {
  using _ = withConfig({ verify: true });
  const programs: readonly ((x: Tensor, i: Tensor) => Tensor)[] = [
    (x, i) => x.sum(0, true).mul(2).gather(0, i),
    (_, i) => ones([3]).gather(0, i),
    (_, i) => zeros([3]).indexSelect(0, i),
    (x, i) => x.sum().expand([3]).gather(0, i),
    (x, i) => x.view([1, 4]).indexSelect(0, i).sum(),
    (x, i) => ones([2, 64]).gather(1, i.view([1, 2]).expand([2, 2])).add(x.sum()),
  ];
  const outcome = (fn: (x: Tensor, i: Tensor) => Tensor, i: Tensor): unknown => {
    try {
      return numbers(fn(ones([4]), i));
    } catch (error) {
      return String(error);
    }
  };
  for (const program of programs) {
    for (const i of [indices(0, 0), indices(0, 70), indices(-1, 0), indices(-80, 0)]) {
      for (const options of [{ options: { tier: "js" } }, { mode: "aot" }] as const) {
        assert.deepEqual(outcome(compile(program, options), i), outcome(program, i));
      }
    }
  }
});
