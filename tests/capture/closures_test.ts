/** Closures: what a function sees of the variables around it, and when it notices that they changed. */
import assert from "node:assert/strict";
import { canReadScopes, compile, explain } from "../../src/capture/mod.ts";
import { Tensor, tensor } from "../../src/tensor/mod.ts";
import { accessorOf, isSameVariable, isServed, withAccessors } from "../../src/capture/accessors.ts";
import { readScopes } from "../../src/capture/scopes.ts";
import { constantNames } from "../../src/capture/program_names.ts";
import { functionSyntax, readSyntax } from "../../src/capture/syntax.ts";
import { compilations, eachBackend, full, same } from "./support.ts";

const settings = { scale: 2, deep: { list: [1, 2] } };
let counter = 1;
const helper = (x: Tensor): Tensor => x.mul(settings.scale).add(counter);
const weights = { w: tensor([2, 3.5]) };
let chosen: (x: Tensor) => Tensor = (x) => x.mul(2);

Deno.test("V8's scopes can be read, and show the values of the moment", () => {
  assert.ok(canReadScopes());
  const make = (): { read: () => number; bump: () => void } => {
    let inner = 5;
    return { read: () => inner + counter, bump: () => void inner++ };
  };
  const { read, bump } = make();
  const innerOf = (): unknown => readScopes(read).find((s) => "inner" in s.variables)?.variables["inner"];
  assert.equal(innerOf(), 5);
  bump();
  assert.equal(innerOf(), 6);
  assert.equal(read(), 6 + counter);
});

Deno.test("functionSyntax() finds free and assigned names under all forms of scope", () => {
  const free = (text: string): string[] => [...readSyntax(text).free];
  assert.deepEqual(free("(a, { b = c, ...d } = e) => a + b + d.f + g[h]"), ["c", "e", "g", "h"]);
  assert.deepEqual(free("function f(x) { var y = 1; { let z = y; q(z); } return z + f; }"), ["q", "z"]);
  assert.deepEqual(free("() => { for (const i of xs) { s += i } try { t() } catch (e) { e } return i }"), [
    "xs",
    "s",
    "t",
    "i",
  ]);
  assert.deepEqual(free("(x) => class A extends B { m() { return x + y + A } static #p = z }"), ["B", "y", "z"]);
  assert.deepEqual(free("() => { label: for (;;) { break label } return { k, [m]: 1, n: o } }"), ["k", "m", "o"]);
  assert.deepEqual(free("() => typeof u === `${v}`"), ["u", "v"]);
  assert.deepEqual([...readSyntax("() => { a = 1; b++; ({ c, d: e.f, ...g } = h); let i = 0; i++; }").assigned], [
    "a",
    "b",
    "c",
    "g",
  ]);
  class C {
    #secret = 1;
    open(): number {
      return counter;
    }
    closed(): number {
      return this.#secret;
    }
  }
  assert.equal(functionSyntax(C.prototype.closed).usesPrivate, true);
  assert.deepEqual(functionSyntax(C.prototype.open).free, ["counter"]);
  assert.equal(functionSyntax(Math.max).kind, "native");
  assert.equal(functionSyntax(C).kind, "class");
});

Deno.test("constantNames() keeps only what the text never assigns", () => {
  const text = `import { i } from "m"; const a = 1; let b = 2, c, d = 4; var e = 5; function f(g) { b = 3; d++; }
    for (const h of []) {} [e] = [1];`;
  const all = new Set(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
  assert.deepEqual([...(constantNames(text, all) ?? [])], ["a", "f", "g", "h", "i"]);
});

eachBackend("properties of objects in closures are guarded, also below called functions", (backend) => {
  const x = tensor([1, 2.5]);
  settings.scale = 2;
  settings.deep = { list: [1, 2] };
  const body = (t: Tensor): Tensor => {
    let y = helper(t);
    for (const n of settings.deep.list) y = y.add(n);
    return y;
  };
  const f = full(body, backend);
  same(f(x), body(x));
  same(f(x), body(x));
  assert.equal(compilations(f), 1);
  settings.scale = 3;
  same(f(x), body(x));
  settings.deep.list.push(5);
  same(f(x), body(x));
  settings.deep = { list: [9] };
  same(f(x), body(x));
  assert.equal(compilations(f), 4);
});

eachBackend("variables that are assigned are read again at each call", (backend) => {
  const x = tensor([1, 2.5]);
  const f = full((t: Tensor) => helper(t), backend);
  same(f(x), helper(x));
  counter++;
  same(f(x), helper(x));
  counter = 10;
  same(f(x), helper(x));
  assert.ok(compilations(f) >= 2);

  chosen = (t) => t.mul(2);
  const g = full((t: Tensor) => chosen(t), backend);
  same(g(x), x.mul(2));
  chosen = (t) => t.mul(3);
  same(g(x), x.mul(3));
});

eachBackend("two closures of one text are two functions", (backend) => {
  const make = (n: number) => full((t: Tensor) => t.mul(n), backend);
  const x = tensor([1, 2.5]);
  const [two, three] = [make(2), make(3)];
  same(two(x), x.mul(2));
  same(three(x), x.mul(3));
  same(two(x), x.mul(2));
});

eachBackend("tensors of closures are attributes; what is written to them is seen", (backend) => {
  const x = tensor([1, 2.5]);
  const f = full((t: Tensor) => t.mul(weights.w), backend);
  same(f(x), x.mul(weights.w));
  weights.w.add_(1);
  same(f(x), x.mul(weights.w));
  assert.equal(compilations(f), 1);
  weights.w = tensor([7, 8.5]);
  same(f(x), x.mul(weights.w));
  weights.w = tensor([9, 10.5]);
  same(f(x), x.mul(weights.w));
  // The second replacement is an input now and needs no compilation.
  assert.equal(compilations(f), 2);
});

eachBackend("captures state variables by hand", (backend) => {
  let factor = 2;
  const f = full((t: Tensor) => t.mul(factor), backend, { captures: () => ({ factor }) });
  const x = tensor([1, 2.5]);
  same(f(x), x.mul(2));
  factor = 4;
  same(f(x), x.mul(4));
  assert.equal(compilations(f), 2);
});

eachBackend("compiled functions called by compiled functions become one graph", (backend) => {
  const inner = compile((t: Tensor) => t.mul(settings.scale), { backend });
  const x = tensor([1, 2.5]);
  const f = full((t: Tensor) => inner(t).add(1), backend);
  same(f(x), x.mul(settings.scale).add(1));
  settings.scale += 1;
  same(f(x), x.mul(settings.scale).add(1));
  assert.equal(compilations(inner), 0);
});

Deno.test("explain() says that a call must open private members and assigned variables first", () => {
  class Counter {
    #calls = 0;
    run(x: Tensor): Tensor {
      this.#calls++;
      return x.mul(this.#calls);
    }
  }
  const model = new Counter();
  const body = (x: Tensor): Tensor => model.run(x);
  const x = tensor([1, 2.5]);
  assert.match(
    explain(body)(x).breaks.map((b) => `${b.reason}; ${b.remedy}`).join(),
    /private.*call the compiled function once/,
  );
  const f = compile(body, { backend: "eager", fullgraph: true });
  same(f(x), x);
  same(f(x), x.mul(2));
  same(f(x), x.mul(3));
  assert.equal(explain(f)(x).breaks.length, 0);
  assert.match(explain(f)(x).guards.join(), /model\.#calls was 3/);
});

Deno.test("an eager run gives live access to variables, and only to those of the closure itself", () => {
  const make = (start: number): { bump: () => number; value: () => number } => {
    let count = start;
    return { bump: () => ++count, value: () => count };
  };
  const [a, b] = [make(10), make(20)];
  const subject = { fn: a.bump, names: ["count"], privates: [], home: null, wantsThis: false };
  assert.equal(isServed(subject), false);
  // Another closure of the same text runs first.
  assert.equal(withAccessors([subject], () => b.bump() + a.bump()), 32);
  assert.equal(isServed(subject), true);
  const accessor = accessorOf(a.bump);
  assert.equal(accessor?.get("count"), 11);
  accessor?.set("count", 5);
  assert.deepEqual([a.value(), b.value()], [5, 21]);
  withAccessors([{ ...subject, fn: a.value }, { ...subject, fn: b.value }], () => a.value() + b.value());
  assert.equal(isSameVariable(a.bump, a.value, "count"), true);
  assert.equal(isSameVariable(a.bump, b.value, "count"), false);
  assert.deepEqual([a.value(), b.value()], [5, 21]);
});

Deno.test("an outer variable that is assigned is replayed after each call, without running the function", () => {
  let last: Tensor | null = null;
  let runs = 0;
  const log: number[] = [];
  const f = compile((x: Tensor) => {
    runs++;
    log.push(1);
    last = x.mul(2);
    return last;
  }, { backend: "eager", fullgraph: true });
  for (let i = 1; i <= 4; i++) {
    const out = f(tensor([i, 0.5]));
    assert.equal(last, out);
    assert.equal(runs, i);
    assert.equal(log.length, i);
  }
});
