/** Properties of the algebra over random expressions and values, negative ones included. */
import assert from "node:assert/strict";
import fc from "fast-check";
import * as S from "../../src/symbolic/mod.ts";
import {
  assignments,
  isExpected,
  lookup,
  naive,
  naiveRelation,
  symbols,
  trees,
  tryBuild,
  tryNaive,
} from "./random_expressions.ts";

const RUNS = { numRuns: Number(Deno.env.get("SYMBOLIC_RUNS") ?? 3000) };

Deno.test("a simplified expression has the value of the tree it was built from", () => {
  let compared = 0;
  fc.assert(
    fc.property(trees, fc.array(assignments, { minLength: 4, maxLength: 4 }), (tree, envs) => {
      const e = tryBuild(tree);
      if (e === null) return;
      for (const env of envs) {
        const expected = tryNaive(tree, env);
        if (expected === null) continue;
        compared++;
        assert.equal(S.evaluate(e, lookup(env)), expected, S.toText(e));
      }
    }),
    RUNS,
  );
  assert.ok(compared > RUNS.numRuns);
});

Deno.test("the value lies within the bounds", () => {
  fc.assert(
    fc.property(trees, assignments, (tree, env) => {
      const e = tryBuild(tree);
      const value = e === null ? null : tryNaive(tree, env);
      if (e === null || value === null) return;
      const { lower, upper } = S.bounds(e);
      assert.ok(lower <= value && value <= upper, `${S.toText(e)} = ${value} outside [${lower}, ${upper}]`);
    }),
    RUNS,
  );
});

Deno.test("what is proven about order holds", () => {
  let proofs = 0;
  fc.assert(
    fc.property(trees, trees, fc.array(assignments, { minLength: 4, maxLength: 4 }), (p, q, envs) => {
      const a = tryBuild(p), b = tryBuild(q);
      if (a === null || b === null) return;
      const less = S.provablyLt(a, b), sign = S.isNonNegative(a);
      if (less || sign) proofs++;
      for (const env of envs) {
        const x = tryNaive(p, env), y = tryNaive(q, env);
        if (x === null || y === null) continue;
        if (less) assert.ok(x < y, `${S.toText(a)} < ${S.toText(b)}`);
        if (sign) assert.ok(x >= 0, S.toText(a));
      }
    }),
    RUNS,
  );
  assert.ok(proofs > RUNS.numRuns / 20);
});

Deno.test("relations and their negations agree with the numbers", () => {
  const relations = ["eq", "ne", "lt", "le", "gt", "ge"] as const;
  fc.assert(
    fc.property(trees, trees, fc.constantFrom(...relations), assignments, (p, q, relation, env) => {
      const a = tryBuild(p), b = tryBuild(q);
      const x = tryNaive(p, env), y = tryNaive(q, env);
      if (a === null || b === null || x === null || y === null) return;
      const cond = S[relation](a, b);
      assert.equal(S.evaluateBool(cond, lookup(env)), naiveRelation(relation, x, y), S.toText(cond));
      assert.equal(S.evaluateBool(S.not(cond), lookup(env)), !naiveRelation(relation, x, y));
      assert.equal(S.not(S.not(cond)), cond);
    }),
    RUNS,
  );
});

Deno.test("parsing undoes printing", () => {
  fc.assert(
    fc.property(trees, (tree) => {
      const e = tryBuild(tree);
      if (e === null) return;
      assert.equal(S.parseExpr(S.toText(e), symbols), e, S.toText(e));
    }),
    RUNS,
  );
});

Deno.test("substitution commutes with evaluation", () => {
  fc.assert(
    fc.property(trees, trees, assignments, (tree, replacement, env) => {
      const target = symbols[7]; // unbounded, so that any value is within its range
      const e = tryBuild(tree), by = tryBuild(replacement);
      const value = tryNaive(replacement, env);
      if (target === undefined || e === null || by === null || value === null) return;
      const expected = tryNaive(tree, new Map(env).set(target, value));
      if (expected === null) return;
      let replaced;
      try {
        replaced = S.substitute(e, new Map([[target, by]]));
      } catch (error) {
        if (isExpected(error)) return; // a divisor became the constant 0
        throw error;
      }
      assert.equal(S.evaluate(replaced, lookup(env)), expected, `${S.toText(e)} → ${S.toText(replaced)}`);
    }),
    RUNS,
  );
});

Deno.test("affine coefficients reproduce differences", () => {
  // Not over sizes: a smaller size would leave its indices out of range.
  const movable = symbols.filter((sym) => sym.kind !== "size");
  fc.assert(
    fc.property(trees, fc.constantFrom(...movable), assignments, (tree, sym, env) => {
      const e = tryBuild(tree);
      const stride = e === null ? null : S.coefficient(e, sym);
      if (e === null || stride === null) return;
      const here = tryNaive(tree, env), origin = tryNaive(tree, new Map(env).set(sym, 0));
      if (here === null || origin === null) return;
      assert.equal(here - origin, S.evaluate(stride, lookup(env)) * (env.get(sym) ?? 0) + 0, S.toText(e));
    }),
    RUNS,
  );
});

Deno.test("printed JavaScript computes the value", () => {
  fc.assert(
    fc.property(trees, assignments, (tree, env) => {
      const e = tryBuild(tree);
      const expected = tryNaive(tree, env);
      if (e === null || expected === null) return;
      const dialect = S.javascriptDialect({ symbol: (s) => s.name });
      const run = new Function(...symbols.map((s) => s.name), `return ${S.printExpr(e, dialect)};`);
      assert.equal(Number(run(...symbols.map((s) => env.get(s)))) + 0, expected, S.printExpr(e, dialect));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("the naive evaluator knows floor semantics", () => {
  const env = new Map<S.Sym, number>();
  const c = (value: number) => ({ op: "const", value }) as const;
  assert.deepEqual([-7, 7].map((a) => naive({ op: "//", a: c(a), b: c(2) }, env)), [-4, 3]);
  assert.deepEqual([[-7, 3], [7, -3]].map(([a, b]) => naive({ op: "%", a: c(a ?? 0), b: c(b ?? 0) }, env)), [2, -2]);
});
