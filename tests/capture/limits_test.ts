/** What is remembered of a function stays bounded, whatever it is called with; and options that do not exist are refused. */
import assert from "node:assert/strict";
import "../../src/aot_autograd/mod.ts";
import { codeOf } from "../../src/capture/compile.ts";
import { GuardTree } from "../../src/capture/guard_tree.ts";
import { captureStats, compile } from "../../src/capture/mod.ts";
import { arange, ones, rand, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import { eventsOf, same } from "./support.ts";

/** Fresh functions of one text. */
function scaler(k: number): (x: Tensor) => Tensor {
  return (x) => x.mul(k);
}

Deno.test("a function that is another one at each call ends in segments, with the reason", () => {
  const f = compile((x: Tensor, fn: (x: Tensor) => Tensor) => fn(x).add(1), { backend: "eager" });
  const told = eventsOf("recompile", () => {
    for (let i = 0; i < 80; i++) same(f(ones([2]), scaler(i)), ones([2]).mul(i).add(1));
  });
  const { entries, segmentedCalls } = captureStats(f);
  assert.equal(entries, 64);
  assert.ok(segmentedCalls >= 10);
  assert.match(
    told.join("\n"),
    /has 64 compiled forms, its limit, and none fits: args\[1\] is no longer the function .*run in segments/,
  );
  // What was compiled last is still there.
  const traced = captureStats(f).traced;
  f(ones([2]), scaler(1));
  assert.equal(captureStats(f).traced, traced);
});

Deno.test("functions made anew at each call are not traced for ever under a policy of the caller", () => {
  const f = compile((x: Tensor, fn: (x: Tensor) => Tensor) => fn(x).add(1), { backend: "eager", cache: { limit: 4 } });
  const told = eventsOf("recompile", () => {
    for (let i = 0; i < 40; i++) same(f(ones([2]), scaler(i)), ones([2]).mul(i).add(1));
  });
  const { traced, entries, segmentedCalls, recompilations } = captureStats(f);
  assert.equal(entries, 4);
  assert.equal(traced, 9);
  assert.equal(segmentedCalls, 31);
  assert.equal(recompilations.length, 8);
  assert.equal(told.filter((t) => /further calls that none fits run in segments/.test(t)).length, 1);
});

Deno.test("guards of several entries are one tree: what they share is checked once, whichever entry was used last", () => {
  let asked = 0;
  const options = { scale: 2, shift: { by: 1 } };
  const f = compile((x: Tensor, kind: string, n: number) => {
    const y = x.mul(options.scale).add(options.shift.by);
    return kind === "neg" ? y.neg().mul(n) : kind === "abs" ? y.abs().add(n) : y.sub(n);
  }, {
    backend: "eager",
    captures: () => {
      asked++;
      return { options };
    },
  });
  const x = ones([3]);
  const kinds = ["neg", "abs", "plain"];
  const expected = (kind: string, n: number): Tensor => {
    const y = x.mul(options.scale).add(options.shift.by);
    return kind === "neg" ? y.neg().mul(n) : kind === "abs" ? y.abs().add(n) : y.sub(n);
  };
  for (const n of [1, 2, 3]) for (const kind of kinds) same(f(x, kind, n), expected(kind, n));
  assert.equal(captureStats(f).entries, 9);
  for (const n of [2, 1, 3]) {
    for (const kind of kinds) {
      asked = 0;
      same(f(x, kind, n), expected(kind, n));
      // Once for the entry used last, once for the tree of all.
      assert.ok(asked <= 2, `the captures were asked for ${asked} times`);
    }
  }
  assert.equal(captureStats(f).entries, 9);
  options.shift = { by: 5 };
  for (const kind of kinds) same(f(x, kind, 1), expected(kind, 1));
  assert.equal(captureStats(f).traced, 12);
});

Deno.test("a tree has fewer checks than its guards, and finds what each of them finds", () => {
  const model = { layers: Array.from({ length: 120 }, (_, i) => ({ k: i, w: ones([2]) })) };
  const mode = { which: "" };
  const f = compile((x: Tensor): Tensor => {
    let y = x;
    for (const { k, w } of model.layers) y = y.add(w).sub(k);
    return mode.which === "a" ? y : y.mul(mode.which.length);
  }, { backend: "eager" });
  const x = ones([2]);
  for (mode.which of ["a", "bb", "ccc", "dddd"]) f(x);
  const guards = codeOf(f)?.entries.map((e) => e.guard) ?? [];
  const tree = new GuardTree(guards, null);
  assert.equal(guards.length, 4);
  assert.ok(tree.apart > 4 * 300 && tree.checks < tree.apart / 3, `${tree.checks} of ${tree.apart}`);
  for (mode.which of ["dddd", "a", "ccc", "none", "bb"]) {
    const values: unknown[] = [];
    const found = tree.find([x], undefined, values);
    assert.equal(found, guards.findIndex((g) => g.run([x], undefined, []) === -1));
    assert.equal(found < 0, mode.which === "none");
    const expected: unknown[] = [];
    guards[found]?.run([x], undefined, expected);
    assert.deepEqual(values, expected);
  }
  (model.layers[100] as { k: number }).k = -1;
  assert.equal(tree.find([x], undefined, []), -1);
});

Deno.test("under fullgraph the entry not used for longest is forgotten", () => {
  const f = compile((x: Tensor, fn: (x: Tensor) => Tensor) => fn(x).add(1), { backend: "eager", fullgraph: true });
  for (let i = 0; i < 80; i++) same(f(ones([2]), scaler(i)), ones([2]).mul(i).add(1));
  assert.equal(captureStats(f).entries, 64);
  assert.equal(captureStats(f).segmentedCalls, 0);
});

Deno.test("segments of paths that are no longer recognised are forgotten", () => {
  const f = compile((x: Tensor) => {
    const sum = x.sum().item();
    return x.mul(2).add(sum);
  }, { backend: "eager" });
  for (let i = 0; i < 300; i++) {
    const x = ones([1 + (i * 7) % 150]);
    same(f(x), x.mul(2).add(Number(x.shape[0])));
  }
  const { segments } = captureStats(f);
  assert.ok(segments <= 3 * 33, `${segments} segments are remembered`);
});

Deno.test("segments beyond the limit are not kept", () => {
  const f = compile((x: Tensor, n: number) => {
    x.sum().item();
    return x.narrow(0, n, 1).add(1);
  }, { backend: "eager" });
  const x = arange(600).to(ones([1]).dtype);
  for (let i = 0; i < 600; i++) {
    const n = i >> 1;
    same(f(x, n), x.narrow(0, n, 1).add(1));
  }
  assert.ok(captureStats(f).compiledSegments <= 256);
});

Deno.test("options that do not exist are refused by name", () => {
  const f = (x: Tensor): Tensor => x;
  const wrong = (options: object): () => unknown => () => compile(f, options);
  assert.throws(wrong({ backnd: "eager" }), /TypeError: compile: there is no option "backnd"; there are backend, /);
  assert.throws(wrong({ mode: "fast" }), /RangeError: compile: there is no mode "fast"; there are default, /);
  const snake: object = { requires_grad: true };
  assert.throws(() => zeros([2], snake), /TypeError: zeros: there is no option "requires_grad"; there are dtype, /);
  assert.throws(() => tensor([2], snake), /TypeError: tensor: there is no option "requires_grad"/);
  assert.throws(() => arange(0, 4, snake), /TypeError: arange: there is no option "requires_grad"/);
  assert.throws(() => rand([2], snake), /TypeError: random uniform: there is no option "requires_grad"; .*generator/);
});
