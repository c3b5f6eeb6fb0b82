/** Long guards: they run as loops, and notice all that the unrolled ones notice. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compile } from "../../src/capture/mod.ts";
import { GradFlags } from "../../src/capture/grad_flags.ts";
import { loopText } from "../../src/capture/guard_loops.ts";
import { remember } from "../../src/capture/remembered.ts";
import * as nn from "../../src/nn/mod.ts";
import { GradScaler, SGD } from "../../src/optim/mod.ts";
import { float64 } from "../../src/core/mod.ts";
import { dropAutograd, randn, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { compilations, same } from "./support.ts";

const COUNT = 70;
/** So many parameters make a guard long. */
const PARAMETERS = 150;

/** What a function over many tensors gives, and how it is asked again. */
function many(): { readonly items: { w: Tensor; s: number; k: string }[]; readonly f: (x: Tensor) => Tensor } {
  const items = Array.from({ length: COUNT }, (_, i) => ({
    w: randn(i % 3 === 0 ? [2, 3] : [3]),
    s: i,
    k: i % 2 === 0 ? "add" : "mul",
  }));
  const f = compile((x: Tensor): Tensor => {
    let y = x;
    for (const { w, s, k } of items) y = k === "add" ? y.add(w.mul(s)) : y.mul(w.add(s)).mul(0.01);
    return y;
  }, { backend: "eager", fullgraph: true });
  return { items, f };
}

Deno.test("a long guard notices every change, of any item", () => {
  const { items, f } = many();
  const eager = (x: Tensor): Tensor => {
    let y = x;
    for (const { w, s, k } of items) y = k === "add" ? y.add(w.mul(s)) : y.mul(w.add(s)).mul(0.01);
    return y;
  };
  const x = randn([2, 3]);
  same(f(x), eager(x));
  f(randn([2, 3]));
  assert.equal(compilations(f), 1);
  const changes: ((at: number) => void)[] = [
    (at) => void (items[at] = { ...items[at] as typeof items[number], s: 100 }),
    (at) => void ((items[at] as typeof items[number]).k = "neither"),
    (at) => void ((items[at] as typeof items[number]).w = randn([3], { dtype: float64 })),
    (at) => void ((items[at] as typeof items[number]).w = randn([1])),
    (at) => void ((items[at] as typeof items[number]).w = randn([3]).requiresGrad_()),
    (at) => void Object.setPrototypeOf(items[at] as object, {}),
  ];
  let count = compilations(f);
  changes.forEach((change, i) => {
    const at = [0, COUNT - 1, 31][i % 3] ?? 0;
    change(at);
    const got = f(x);
    if (i < 5) same(got, eager(x));
    assert.ok(compilations(f) > count, `change ${i} of item ${at} was not noticed`);
    count = compilations(f);
    f(x);
    assert.equal(compilations(f), count);
  });
});

Deno.test("inputs that are written are looked up, not compared in pairs: a long guard stays short, and one given twice is noticed", () => {
  const parameters = Array.from({ length: 40 }, () => nn.parameter(tensor([1.5, 2.5])));
  const give = (): void => {
    for (const p of parameters) p.grad = tensor([0.5, -1]);
  };
  give();
  const opt = new SGD(parameters, { lr: 0.1 });
  const scaler = new GradScaler("cpu", { initScale: 1 });
  const step = compile(() => {
    scaler.step(opt);
    scaler.update();
  }, { backend: "aot_eager", fullgraph: true });
  step();
  give();
  step();
  assert.equal(compilations(step), 1);
  assert.deepEqual(
    parameters.map((p) => (p.toArray() as number[]).map((v) => Math.round(100 * v))),
    parameters.map(() => [140, 270]),
  );
  give();
  const [first, second] = parameters;
  assert.ok(first !== undefined && second !== undefined);
  second.grad = first.grad;
  step();
  assert.equal(compilations(step), 2);
  give();
  second.grad = first.grad?.detach() ?? null;
  assert.throws(() => step(), /shares memory/);
});

Deno.test("loopText() says what the lines say, whatever repeats in them", () => {
  // Items are read from an array and compared with tables; some differ in form.
  const item = fc.record({ form: fc.constantFrom("a", "a", "a", "b"), value: fc.nat(3), wrong: fc.boolean() });
  fc.assert(fc.property(fc.array(item, { maxLength: 60 }), fc.boolean(), (items, someWrong) => {
    const constants: unknown[] = [];
    const lines = ["const v0 = a[0];"];
    let next = 1;
    items.forEach(({ form, value }, i) => {
      const [v, w] = [`v${next++}`, `v${next++}`];
      lines.push(`const ${v} = v0[${i}];`, `if (${v}.form !== ${JSON.stringify(form)}) return false;`);
      if (form === "b") lines.push(`const ${w} = ${v}.value;`, `if (${w} !== ${value}) return false;`);
      else lines.push(`if (${v}.value !== c[${constants.push(value) - 1}]) return false;`);
      lines.push(`l0.push(${v}.value);`, `values[${i}] = ${v};`);
    });
    lines.push(`if (l0.length !== ${items.length}) return false;`);
    const before = constants.length;
    const text = loopText(lines, constants, 1, false);
    if (items.length >= 12 && items.every((x) => x.form === "a")) {
      assert.ok(text.split("\n").length < 30, text);
      assert.ok(constants.length > before || new Set(items.map((x) => x.value)).size === 1);
    }
    const holds = new Function("c", "h", "captures", text)(constants, {}, null) as (
      a: unknown[],
      t: unknown,
      values: unknown[],
    ) => boolean;
    const values: unknown[] = [];
    assert.equal(holds([items], null, values), true);
    assert.deepEqual(values, items);
    const changed = items.map((x) => someWrong && x.wrong ? { ...x, value: x.value + 1 } : x);
    assert.equal(holds([changed], null, []), !(someWrong && items.some((x) => x.wrong)));
  }));
});

Deno.test("whether gradients flow to known tensors is looked at again when that of one changes", () => {
  const base = randn([3]);
  const weights = Array.from({ length: PARAMETERS }, (_, i) => nn.parameter(i === 1 ? base : randn([3]), false));
  // Gradients of a view come and go with writes to its base, which nobody counts.
  const [view, whole] = [base.clone(), base.clone()];
  const seen = whole.narrow(0, 0, 3);
  seen.isParameter = view.isParameter = true;
  weights.push(view, seen);
  const plain = (x: Tensor): Tensor => weights.reduce((y, w) => y.add(w), x);
  const f = compile(plain, { backend: "eager", fullgraph: true });
  const x = randn([3]);
  const check = (requiresGrad: boolean): void => {
    const y = f(x);
    assert.equal(y.requiresGrad, requiresGrad);
    same(y.detach(), plain(x).detach());
  };
  const settle = (requiresGrad: boolean): void => {
    for (let i = 0; i < 4; i++) check(requiresGrad);
  };
  const source = randn([3]).requiresGrad_();
  const changes: readonly (readonly [(w: Tensor) => void, boolean])[] = [
    [(w) => void (w.requiresGrad = true), true],
    [(w) => void (w.requiresGrad = false), false],
    [(w) => void w.requiresGrad_(), true],
    [(w) => dropAutograd(w), false],
    // What is written brings its history with it.
    [(w) => void w.copy_(source.mul(2)), true],
    [(w) => dropAutograd(w), false],
  ];
  for (const at of [0, 31, PARAMETERS - 1, PARAMETERS]) {
    for (const [change, requiresGrad] of changes) {
      settle(!requiresGrad);
      change(weights[at] as Tensor);
      check(requiresGrad);
    }
  }
  settle(false);
  whole.copy_(source.mul(3));
  check(true);
});

Deno.test("flags of known tensors: what is dropped, or put back after a failed call, is counted, before and after somebody relies on it", () => {
  const [plain, trained] = [randn([3]), randn([3]).requiresGrad_()];
  const flags = new GradFlags(new Map([[plain, false], [trained, true]]));
  const settle = (): void => {
    for (let i = 0; i < 4; i++) assert.ok(flags.hold());
  };
  const [putBack, putTrainedBack] = [remember([plain, trained]), remember([trained])];
  settle();
  dropAutograd(trained);
  assert.ok(!flags.hold());
  trained.requiresGrad = true;
  settle();
  plain.requiresGrad = true;
  assert.ok(!flags.hold());
  putBack();
  settle();
  trained.requiresGrad = false;
  assert.ok(!flags.hold());
  putBack();
  settle();
  // It is told of changes, although it was not when it was remembered.
  putTrainedBack();
  trained.requiresGrad = false;
  assert.ok(!flags.hold());
});
