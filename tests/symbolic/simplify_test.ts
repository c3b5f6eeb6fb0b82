/** The simplifications that index arithmetic of views relies on, each with its exact result. */
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as S from "../../src/symbolic/mod.ts";

const { add, ceilDiv, floorDiv, indexSymbol, max, min, mod, mul, sizeSymbol, sub, toText } = S;
const s = sizeSymbol("s"), t = sizeSymbol("t"), u = sizeSymbol("u");
const x = S.symbol(S.newSym("x", { kind: "indirect" }));
const y = S.symbol(S.newSym("y", { kind: "indirect" }));
const i = indexSymbol("i", s), j = indexSymbol("j", t), k = indexSymbol("k", u);
const r3 = indexSymbol("r", 3);

Deno.test("equal structure is the same object", () => {
  assert.equal(add(mul(x, 2), y, 3), add(3, y, x, x));
  assert.equal(mul(add(x, 1), add(x, -1)), sub(mul(x, x), 1));
  assert.equal(sub(x, x), S.constant(0));
  assert.notEqual(floorDiv(x, 3), floorDiv(x, 4));
});

Deno.test("floorDiv() and mod() take out multiples of the divisor", () => {
  assert.equal(toText(floorDiv(add(mul(x, 4), y), 4)), "x + (y//4)");
  assert.equal(toText(mod(add(mul(x, 4), y), 4)), "(y % 4)");
  assert.equal(toText(floorDiv(add(mul(x, 4), -1), 4)), "x - 1");
  assert.equal(toText(mod(add(mul(x, 6), 1), 4)), "(x % 2)*2 + 1");
  assert.equal(floorDiv(mul(x, -6), -3), mul(x, 2));
  assert.equal(floorDiv(x, -1), S.neg(x));
});

Deno.test("floorDiv() and mod() use bounds", () => {
  assert.equal(floorDiv(r3, 3), S.constant(0));
  assert.equal(mod(r3, 3), r3);
  assert.equal(floorDiv(sub(r3, 3), 3), S.constant(-1));
  assert.equal(mod(sub(r3, 3), 3), r3);
  assert.equal(floorDiv(i, s), S.constant(0));
  assert.equal(mod(i, s), i);
  assert.notEqual(mod(i, t), i);
  assert.notEqual(mod(add(i, 1), s), add(i, 1));
});

Deno.test("nested divisions and remainders merge", () => {
  assert.equal(floorDiv(floorDiv(x, 2), 3), floorDiv(x, 6));
  assert.equal(floorDiv(floorDiv(x, s), t), floorDiv(x, mul(s, t)));
  assert.equal(mod(mod(x, 12), 4), mod(x, 4));
  assert.equal(floorDiv(mod(x, 12), 4), mod(floorDiv(x, 4), 3));
  assert.equal(floorDiv(mod(x, mul(s, t)), t), mod(floorDiv(x, t), s));
  assert.equal(mod(mod(x, mul(s, t)), t), mod(x, t));
  assert.equal(mod(add(mod(x, 12), y), 4), mod(add(x, y), 4));
  assert.equal(floorDiv(floorDiv(x, -2), 3), floorDiv(x, -6));
  assert.notEqual(floorDiv(floorDiv(x, 2), -3), floorDiv(x, -6));
});

Deno.test("quotients and remainders recombine", () => {
  assert.equal(add(mul(floorDiv(x, 7), 7), mod(x, 7)), x);
  assert.equal(add(mul(floorDiv(x, 7), 35), mul(mod(x, 7), 5)), mul(x, 5));
  assert.equal(add(mul(floorDiv(x, s), s), mod(x, s)), x);
  assert.equal(add(mul(mod(floorDiv(x, 3), 4), 3), mod(x, 3)), mod(x, 12));
  assert.equal(sub(x, mul(floorDiv(x, 5), 5)), mod(x, 5));
  assert.notEqual(add(mul(floorDiv(x, 7), 6), mod(x, 7)), x);
});

Deno.test("symbolic divisors divide exactly and absorb proven remainders", () => {
  assert.equal(floorDiv(mul(s, t, u), t), mul(s, u));
  assert.equal(floorDiv(mul(s, x), mul(s, t)), floorDiv(x, t));
  assert.equal(mod(mul(s, x), mul(s, t)), mul(s, mod(x, t)));
  assert.equal(floorDiv(add(mul(s, x), i), s), x);
  assert.equal(mod(add(mul(s, x), i), s), i);
  assert.equal(floorDiv(mul(add(s, 1), t), add(s, 1)), t);
  assert.equal(floorDiv(add(mul(x, add(s, 1)), i), add(s, 1)), x);
  assert.equal(ceilDiv(mul(s, 4), 4), s);
});

Deno.test("min() and max() drop what is proven to lose", () => {
  assert.equal(min(i, s), i);
  assert.equal(max(x, add(x, 1), sub(x, 5)), add(x, 1));
  assert.equal(toText(min(x, y, 3)), "min(min(x, y), 3)");
  assert.equal(max(s, 2), s);
  assert.equal(max(s, 1), s);
});

Deno.test("relations normalise and decide what bounds prove", () => {
  assert.equal(S.lt(i, s), S.TRUE);
  assert.equal(S.lt(add(mul(i, t), j), mul(s, t)), S.TRUE);
  assert.equal(S.eq(s, 1), S.FALSE);
  assert.equal(S.eq(mul(x, 2), 5), S.FALSE);
  assert.equal(S.eq(mul(x, 2), mul(y, 2)), S.eq(y, x));
  assert.equal(toText(S.lt(mul(x, 2), 5)), "x <= 2");
  assert.equal(toText(S.not(S.lt(x, y))), "y <= x");
  assert.equal(toText(S.gt(x, y)), "y < x");
  assert.equal(S.and(S.lt(x, y), S.le(y, x)), S.FALSE);
  assert.equal(S.or(S.eq(x, y), S.ne(x, y)), S.TRUE);
  assert.equal(S.not(S.and(S.eq(x, 1), S.eq(y, 2))), S.or(S.ne(x, 1), S.ne(y, 2)));
});

Deno.test("where() folds constant conditions and equal branches", () => {
  assert.equal(S.where(S.lt(i, s), x, y), x);
  assert.equal(S.where(S.lt(x, y), x, x), x);
  assert.equal(S.evaluate(S.where(S.eq(x, 0), 7, floorDiv(10, x)), () => 0), 7);
});

/** The flat position of indices, and the indices of a flat position. */
function flatten(index: readonly S.Expr[], shape: readonly S.ExprLike[]): S.Expr {
  return index.reduce((flat, at, d) => add(mul(flat, shape[d] ?? 1), at), S.constant(0));
}
function unflatten(flat: S.Expr, shape: readonly S.ExprLike[]): S.Expr[] {
  return shape.map((extent, d) => mod(floorDiv(flat, mul(...shape.slice(d + 1))), extent));
}

const v = sizeSymbol("v");
for (
  const shape of [[2, 3, 4, 5], [s, t, u, v], [s, 3, u, 5], [2, t, 4, v], [mul(s, t), 8, u, 2], [add(s, 1), t, 3, u]]
) {
  Deno.test(`views over (${shape.map((e) => typeof e === "number" ? e : toText(e)).join(", ")}) collapse`, () => {
    const index = shape.map((extent, d) => indexSymbol(`i${d}`, extent));
    const flat = flatten(index, shape);
    assert.deepEqual(unflatten(flat, shape).map(toText), index.map(toText));
    const p = indexSymbol("p", mul(...shape));
    assert.equal(toText(flatten(unflatten(p, shape), shape)), "p");
    // Merging the middle dimensions, splitting them again, and merging the outer ones.
    const [a, b, c, d] = shape;
    if (a === undefined || b === undefined || c === undefined || d === undefined) return;
    const middle = [a, mul(b, c), d], outer = [mul(a, b), mul(c, d)];
    const chain = unflatten(flatten(unflatten(flatten(unflatten(flat, middle), middle), outer), outer), shape);
    assert.deepEqual(chain.map(toText), index.map(toText));
  });
}

Deno.test("a transposed view stays affine in each index", () => {
  const shape = [s, t], index = [i, j];
  const back = unflatten(flatten(index, shape), shape).toReversed();
  const flat = flatten(back, [t, s]);
  assert.equal(toText(flat), "s*j + i");
  const [sym] = S.freeSymbols(j);
  assert.ok(sym !== undefined);
  assert.equal(S.coefficient(flat, sym), s);
  assert.equal(S.coefficient(floorDiv(add(j, 1), 2), sym), null);
  assert.equal(S.coefficient(mul(j, j), sym), null);
  assert.equal(S.coefficient(x, sym), S.constant(0));
});

Deno.test("provablyLt() knows the extents of indices", () => {
  assert.ok(S.provablyLt(add(mul(i, t, u), mul(j, u), k), mul(s, t, u)));
  assert.ok(!S.provablyLt(add(mul(i, t, u), mul(j, u), k, 1), mul(s, t, u)));
  assert.ok(S.provablyLt(s, mul(s, t)));
  assert.ok(!S.provablyLt(mul(s, t), s));
});

Deno.test("overflow and division by zero throw RangeError", () => {
  assert.throws(() => mul(2 ** 40, 2 ** 40), /2\^53/);
  assert.throws(() => mul(mul(x, 2 ** 30), 2 ** 30), /2\^53/);
  assert.throws(() => floorDiv(x, 0), /division by the constant 0/);
  assert.throws(() => mod(x, 0), /division by the constant 0/);
  assert.throws(() => S.constant(1.5), /1\.5/);
  assert.throws(() => S.evaluate(floorDiv(x, y), () => 0), /division by zero/);
});

Deno.test("the interning table forgets dead nodes and finds live ones again", async () => {
  const before = add(mul(x, 123457), 99);
  S.ageInternTable();
  assert.equal(add(mul(x, 123457), 99), before);
  const start = S.internedCount();
  for (let n = 0; n < 20_000; n++) add(mul(x, n + 1_000_000), n + 7);
  const full = S.internedCount();
  assert.ok(full > start + 30_000);
  S.ageInternTable();
  // Weak references hold their targets until the job ends; only a major collection clears them.
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  await new Promise((resolve) => setTimeout(resolve, 0));
  collect();
  S.sweepInternTable();
  assert.ok(S.internedCount() < full - 15_000);
  assert.equal(add(mul(x, 123457), 99), before);
});
