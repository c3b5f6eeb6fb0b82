/** Long guards: they run as loops, and notice all that the unrolled ones notice. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compile } from "../../src/capture/mod.ts";
import { loopText } from "../../src/capture/guard_loops.ts";
import * as nn from "../../src/nn/mod.ts";
import { GradScaler, SGD } from "../../src/optim/mod.ts";
import { float64 } from "../../src/core/mod.ts";
import { randn, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { compilations, same } from "./support.ts";

const COUNT = 70;

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
