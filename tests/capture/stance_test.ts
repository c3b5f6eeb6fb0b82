/** Stances, and what happens when a function has as many entries as its caller allows. */
import assert from "node:assert/strict";
import { compile, reset, setStance } from "../../src/capture/mod.ts";
import { randn, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { compilations, eventsOf, same } from "./support.ts";

const x = tensor([1, 2.5]);

Deno.test('setStance("force_eager") runs functions as they are', () => {
  let runs = 0;
  const f = compile((t: Tensor) => (runs++, t.mul(2)), { backend: "eager" });
  using _ = setStance("force_eager");
  for (let i = 0; i < 3; i++) same(f(x), x.mul(2));
  assert.equal(runs, 3);
  assert.equal(compilations(f), 0);
});

Deno.test('setStance("fail_on_recompile") runs what is compiled and says why it would compile', () => {
  const f = compile((t: Tensor, n: number) => t.mul(n), { backend: "eager" });
  f(x, 2);
  {
    using _ = setStance("fail_on_recompile");
    same(f(x, 2), x.mul(2));
    assert.throws(() => f(x, 3), /would have to be compiled: .*args\[1\].*"fail_on_recompile"/);
    assert.throws(() => compile((t: Tensor) => t.neg(), { backend: "eager" })(x), /nothing is compiled yet/);
  }
  same(f(x, 3), x.mul(3));
  assert.throws(() => setStance("lazy" as never), /there is no stance "lazy": use one of default/);
});

Deno.test('setStance("eager_on_recompile") runs what is compiled, and others as they are', () => {
  const f = compile((t: Tensor, n: number) => t.mul(n), { backend: "eager" });
  f(x, 2);
  using _ = setStance("eager_on_recompile");
  const events = eventsOf("recompile", () => {
    same(f(x, 2), x.mul(2));
    same(f(x, 3), x.mul(3));
  });
  assert.equal(events.length, 1);
  assert.equal(compilations(f), 1);
  assert.match(events[0] ?? "", /runs as it is, the stance is "eager_on_recompile": .*args\[1\]/);
});

Deno.test("cache.onLimit: error names the reasons, eager runs the function and tells once", () => {
  const body = (t: Tensor, key: string): Tensor => key === "a" ? t.mul(2) : t.add(1);
  const strict = compile(body, { backend: "eager", cache: { limit: 2, onLimit: "error" } });
  strict(x, "a");
  strict(x, "b");
  assert.throws(
    () => strict(x, "c"),
    /has 2 compiled forms, its limit, and none fits: .*args\[1\].*raise cache\.limit/,
  );
  same(strict(x, "a"), x.mul(2));
  const eager = compile(body, { backend: "eager", cache: { limit: 1, onLimit: "eager" } });
  const events = eventsOf("recompile", () => {
    for (const key of ["a", "b", "c", "a"]) same(eager(x, key), body(x, key));
  });
  assert.equal(compilations(eager), 1);
  assert.ok(events.some((e) => /has 1 compiled form, its limit.*it runs as it is/.test(e)), events.join("\n"));
});

Deno.test("cache.onLimit: generalise makes sizes symbols and drops the entry used longest ago", () => {
  const f = compile((t: Tensor, u: Tensor) => [t.mul(2), u.sum()], { backend: "eager", cache: { limit: 1 } });
  f(randn([3, 4]), randn([5]));
  // Only the first size of t has changed so far; all become symbols, so this form serves all of these.
  f(randn([4, 4]), randn([5]));
  for (const [a, b, c] of [[5, 6, 7], [2, 3, 4], [9, 8, 2]] as const) f(randn([a, b]), randn([c]));
  assert.equal(compilations(f), 1);
  const events = eventsOf("recompile", () => void f(randn([7, 7]), randn([3])));
  assert.deepEqual(events, []);
});

Deno.test("entries are ordered by recent use, and reset() forgets them", () => {
  const f = compile((t: Tensor, key: string) => key === "a" ? t.mul(2) : t.add(1), {
    backend: "eager",
    cache: { limit: 2 },
  });
  f(x, "a");
  f(x, "b");
  f(x, "a");
  f(x, "c");
  // "b" was used longest ago, so it went.
  assert.deepEqual(eventsOf("recompile", () => void f(x, "a")), []);
  assert.equal(eventsOf("recompile", () => void f(x, "b")).filter((e) => e.startsWith("recompiled")).length, 1);
  reset();
  f(x, "a");
  assert.equal(compilations(f), 1);
  assert.throws(() => compile((t: Tensor) => t, { backend: "eager", cache: { limit: 0 } }), /cache\.limit/);
  assert.throws(
    () => compile((t: Tensor) => t, { backend: "eager", cache: { onLimit: "stop" as never } }),
    /cache\.onLimit/,
  );
});

Deno.test('setStance("fail_on_recompile") lets a function that breaks run in its segments', () => {
  const f = compile((t: Tensor) => t.mul(t.sum().item()), { backend: "eager" });
  same(f(x), x.mul(3.5));
  using _ = setStance("fail_on_recompile");
  for (let i = 0; i < 4; i++) same(f(x), x.mul(3.5));
});
