/** The lint plugin: what it reports, and what it leaves alone. */
import assert from "node:assert/strict";
import plugin from "../../src/lint/mod.ts";

/** What is reported about a text, as the reported pieces of it. */
function reported(text: string): string[] {
  return Deno.lint.runPlugin(plugin, "file.ts", text).map((d) => `${text.slice(...d.range)}: ${d.message}`);
}

Deno.test("no-tensor-condition reports every construct in functions passed to compile()", () => {
  const found = reported(`
    const f = compile((x: Tensor, y: Tensor) => {
      const big = x.sum().gt(0);
      if (big) return y;
      if (!x.eq(y)) return x;
      const a = x.amax() && y;
      const b = x || y;
      const c = x.mean() ? 1 : 2;
      while (x.lt(3)) x.add_(1);
      for (; y.sum();) y.sub_(1);
      return x.sum() === 0 ? a : b;
    });
  `);
  assert.deepEqual(found.map((f) => f.split(":")[0]), [
    "big",
    "x.eq(y)",
    "x.amax()",
    "x",
    "x.mean()",
    "x.lt(3)",
    "y.sum()",
    "x.sum()",
  ]);
  assert.match(found[0] ?? "", /a tensor decides an if: it is an object/);
  assert.match(found.at(-1) ?? "", /a tensor decides a ===/);
});

Deno.test("no-tensor-condition finds functions by name, and functions inside", () => {
  assert.equal(reported("function f(x: Tensor) { if (x) return x; } const g = tessera.compile(f);").length, 1);
  assert.equal(
    reported("const f = (x: Tensor) => [1].map(() => x ? 1 : 2); compile(f, { fullgraph: true });").length,
    1,
  );
});

Deno.test("no-tensor-condition leaves alone what is no tensor, what is asked of identity, and what is not compiled", () => {
  for (
    const text of [
      "const f = (x: Tensor) => { if (x) return 1; };",
      "compile((x: Tensor, n: number) => { if (n > 0) return x; return x.mul(2); });",
      "compile((x: Tensor) => { if (x.sum().item() > 0) return x; return x.neg(); });",
      "compile((x: Tensor, bias: Tensor | null) => bias === null ? x : x.add(bias));",
      "compile((x: Tensor, y: Tensor) => x === y ? x : y);",
      "compile((x: Tensor) => x.shape[0] === 4 ? x : x.neg());",
      "compile((x: number) => { const f = (x: Tensor) => x.neg(); return x ? f : null; });",
      "compile((x: Tensor, y?: Tensor) => y ?? x);",
      "compile((x: Tensor) => where(x.gt(0), x, 0));",
    ]
  ) assert.deepEqual(reported(text), [], text);
});
