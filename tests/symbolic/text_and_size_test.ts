/** Printing in each dialect, parsing and its errors, and sizes that guard. */
import assert from "node:assert/strict";
import * as S from "../../src/symbolic/mod.ts";

const sym = {
  s: S.newSym("s0"),
  i: S.newSym("i1", { kind: "index", extent: 100 }),
  x: S.newSym("x", { kind: "indirect" }),
};
const s = S.symbol(sym.s), i = S.symbol(sym.i), x = S.symbol(sym.x);
const symbol = (v: S.Sym): string => v.name;

Deno.test("toText() is readable and independent of the order of construction", () => {
  assert.equal(S.toText(S.add(i, S.mul(4, s))), "s0*4 + i1");
  assert.equal(S.toText(S.sub(S.floorDiv(x, 4), S.mul(i, 2))), "-i1*2 + (x//4)");
  assert.equal(
    S.toText(S.where(S.lt(x, s), S.constant(-1), S.mod(x, s))),
    "where(x < s0, -1, (x % s0))".replace("-1", "(-1)"),
  );
});

Deno.test("dialects use the plain operator only for operands proven non-negative", () => {
  const c = S.cDialect({ symbol, suffix: "L" }), js = S.javascriptDialect({ symbol });
  assert.equal(S.printExpr(S.floorDiv(i, 4), c), "(i1 / 4L)");
  assert.equal(S.printExpr(S.floorDiv(x, 4), c), "tsr_floor_div(x, 4L)");
  assert.equal(S.printExpr(S.mod(x, 4), S.wgslDialect({ symbol })), "tsr_floor_mod(x, 4)");
  assert.equal(S.printExpr(S.mod(i, 4), S.cudaDialect({ symbol })), "(i1 % 4)");
  assert.equal(S.printExpr(S.floorDiv(i, 4), js), "(i1 / 4 | 0)");
  assert.equal(S.printExpr(S.floorDiv(x, 4), js), "Math.floor(x / 4)");
  assert.equal(S.printExpr(S.mul(S.floorDiv(i, 4), 3), c), "(i1 / 4L)*3L");
  assert.equal(S.printExpr(S.where(S.lt(x, s), 1, 2), S.wgslDialect({ symbol })), "select(2, 1, x < s0)");
  assert.equal(S.printBool(S.and(S.eq(x, 3), S.lt(x, s)), js), "(x === 3) && (x < s0)");
});

Deno.test("parseExpr() and parseBool() read what people write", () => {
  const symbols = Object.values(sym);
  assert.equal(S.parseExpr("2*(x + 3) - x // 1 * 2", symbols), S.constant(6));
  assert.equal(S.parseExpr("min(x, max(2, s0)) % 5", symbols), S.mod(S.min(x, s), 5));
  assert.equal(S.parseExpr("-x % 3", symbols), S.mod(S.neg(x), 3));
  assert.equal(S.parseBool("not (x < 3 and s0 >= x)", symbols), S.or(S.le(3, x), S.lt(s, x)));
  assert.equal(S.parseBool("true or x == 3", symbols), S.TRUE);
});

Deno.test("parseExpr() refuses what it does not know", () => {
  const symbols = Object.values(sym);
  assert.throws(() => S.parseExpr("y + 1", symbols), /unknown symbol y/);
  assert.throws(() => S.parseExpr("x +", symbols), /the end of the text/);
  assert.throws(() => S.parseExpr("x ? 1", symbols), /unexpected character at 1/);
  assert.throws(() => S.parseExpr("x < 1", symbols), /a condition where an integer belongs/);
  assert.throws(() => S.parseBool("x", symbols), /an integer where a condition belongs/);
  assert.throws(() => S.parseExpr("f(x)", symbols), /a call of f/);
  assert.throws(() => S.parseExpr("constructor(x)", symbols), /a call of constructor/);
  assert.throws(() => S.parseExpr("(".repeat(5000) + "x", symbols), /nesting/);
  assert.throws(() => S.parseExpr("9007199254740993", symbols), /2\^53/);
});

/** An environment in which every symbol is 6, and which notes its guards. */
class Recorder implements S.ShapeEnvLike {
  readonly guards: string[] = [];
  evaluateBool(e: S.BoolExpr): boolean {
    const holds = S.evaluateBool(e, () => 6);
    this.guards.push(S.toText(holds ? e : S.not(e)));
    return holds;
  }
  hint(e: S.Expr): number {
    return S.evaluate(e, () => 6);
  }
  evaluateInt(e: S.Expr): number {
    const value = this.hint(e);
    this.guards.push(S.toText(S.eq(e, value)));
    return value;
  }
}

Deno.test("SymInt arithmetic stays symbolic and never guards", () => {
  const env = new Recorder();
  const size = new S.SymInt(s, env);
  assert.equal(String(S.sizeAdd(size.mul(4), size)), "s0*5");
  assert.equal(size.sub(size), 0);
  assert.equal(S.sizeFloorDiv(size.mul(3), size), 3);
  assert.equal(S.sizeMod(size.mul(3), 3), 0);
  assert.equal(String(S.sizeProd([2, size, 3])), "s0*6");
  assert.equal(S.hintOf(S.sizeMul(size, size)), 36);
  assert.equal(S.sizeIsOne(size), false);
  assert.equal(S.sizeIsZero(size), false);
  assert.ok(S.sizeSame(S.sizeAdd(size, 1), S.sizeAdd(1, size)));
  assert.deepEqual(env.guards, []);
});

Deno.test("SymInt comparisons and coercions guard", () => {
  const env = new Recorder();
  const size = new S.SymInt(s, env);
  assert.equal(size.eq(6), true);
  assert.equal(size.lt(6), false);
  assert.equal(size.ge(10), false);
  assert.equal(size.gt(3), true);
  assert.equal(S.sizeLe(4, size), true);
  assert.equal(Number(size) + 1, 7);
  assert.equal(`${size}`, "s0");
  assert.deepEqual(env.guards, ["s0 == 6", "6 <= s0", "s0 <= 9", "4 <= s0", "4 <= s0", "s0 == 6"]);
});

Deno.test("sizes that are numbers need no environment", () => {
  assert.equal(S.sizeFloorDiv(-7, 2), -4);
  assert.equal(S.sizeCeilDiv(7, 2), 4);
  assert.equal(S.sizeMod(-7, 2), 1);
  assert.equal(S.sizeMin(2, S.sizeMax(3, 1)), 2);
  assert.ok(S.sizeEq(2, 2) && S.sizeLt(1, 2) && S.sizeLe(2, 2) && S.sizeIsOne(1));
  assert.throws(() => S.sizeMul(2 ** 40, 2 ** 40), /2\^53/);
});
