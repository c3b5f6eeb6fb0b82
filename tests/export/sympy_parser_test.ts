/** SymPy text in both notations, its errors, and agreement with evaluation on random expressions. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { evaluate, type Expr, floorDivNumber, modNumber, newSym, symbol, toText } from "../../src/symbolic/mod.ts";
import { parseSympy, parseSympyBool } from "../../src/export/mod.ts";

const symbols = new Map(
  [newSym("s0", { lower: 1 }), newSym("s1"), newSym("u0", { lower: -50, upper: 50 })].map((s) => [s.name, s]),
);

function lookup(name: string): Expr {
  const found = symbols.get(name);
  if (found === undefined) throw new Error(`no symbol ${name}`);
  return symbol(found);
}

const read = (text: string): string => toText(parseSympy(text, lookup));
const readBool = (text: string): string => toText(parseSympyBool(text, lookup));

Deno.test("parseSympy() reads constructor calls and infix text alike", () => {
  const same: [string, string][] = [
    ["Add(Mul(Integer(2), Symbol('s0', positive=True, integer=True)), Integer(1))", "2*s0 + 1"],
    ["FloorDiv(Symbol('s0', positive=True, integer=True), Integer(2))", "s0//2"],
    ["Mod(Symbol('s0'), Integer(4))", "s0 % 4"],
    ["PythonMod(s0, 4)", "Mod(s0, 4)"],
    ["Max(Integer(1), Symbol('s1', integer=True))", "s1"],
    ["Min(s1, Integer(1))", "1"],
    ["Pow(Symbol('s0'), Integer(2))", "s0**2"],
    ["Mul(Integer(-1), s1)", "-s1"],
    ["CeilDiv(s0, 4)", "-((-s0)//4)"],
    ["CleanDiv(Mul(s0, Integer(6)), 3)", "2*s0"],
    ["TruncToInt(IntTrueDiv(s0, Integer(2)))", "s0//2"],
    ["TruncToInt(Mul(Float('0.5', precision=53), ToFloat(s0)))", "s0//2"],
    ["FloorToInt(Mul(Float('2.0', precision=53), s0))", "2*s0"],
    ["CeilToInt(s0/4)", "CeilDiv(s0, 4)"],
    ["Mul(Rational(1, 2), Add(s0, s0))", "s0"],
    ["Mul(Pow(Integer(2), Integer(-1)), Mul(Integer(4), s0))", "2*s0"],
    ["Identity(Symbol('s0'))", "s0"],
    ["Piecewise(ExprCondPair(s0, Gt(s0, Integer(4))), (s1, True))", "Where(s0 > 4, s0, s1)"],
    ["ModularIndexing(s0, 2, 3)", "(s0//2) % 3"],
    ["LShift(s0, 3)", "8*s0"],
    ["Abs(s0)", "s0"],
    ["2 * ( s0+s1 )", "2*s0 + 2*s1"],
  ];
  for (const [a, b] of same) assert.equal(read(a), read(b), a);
});

Deno.test("parseSympyBool() reads relations under SymPy's class names", () => {
  const same: [string, string][] = [
    ["GreaterThan(Symbol('u0', integer=True), Integer(1))", "u0 >= 1"],
    ["LessThan(u0, Integer(3))", "u0 <= 3"],
    ["StrictLessThan(u0, Integer(3))", "u0 < 3"],
    ["StrictGreaterThan(u0, Integer(3))", "Gt(u0, 3)"],
    ["Equality(u0, s0)", "Eq(u0, s0)"],
    ["Unequality(u0, s0)", "u0 != s0"],
    ["And(Ge(u0, 1), Le(u0, 3))", "(u0 >= 1) & (u0 <= 3)"],
    ["Or(Lt(u0, 1), Gt(u0, 3))", "(u0 < 1) | (u0 > 3)"],
    ["Not(Lt(u0, 1))", "~(u0 < 1)"],
    ["Eq(IntTrueDiv(u0, 2), 3)", "Eq(u0, 6)"],
    ["true", "Eq(s0, s0)"],
  ];
  for (const [a, b] of same) assert.equal(readBool(a), readBool(b), a);
});

Deno.test("parseSympy() hands on what a text says of its symbols", () => {
  const seen: unknown[] = [];
  parseSympy("Symbol('s77', positive=True, integer=True)", (name, facts) => {
    seen.push(name, facts);
    return lookup("s0");
  });
  assert.deepEqual(seen, ["s77", { positive: true, nonnegative: false, integer: true }]);
});

Deno.test("parseSympy() refuses malformed text with its position", () => {
  const bad: [string, RegExp][] = [
    ["", /the end of the text, at character 0/],
    ["Add(s0,", /end of the text/],
    ["s0 s1", /"s1", at character 3/],
    ["Add(s0, 1))", /at character 10/],
    ["__import__('os').system('x')", /unexpected character|unknown function|instead of|os/],
    ["Symbol(s0)", /instead of a quoted name/],
    ["Symbol('s0', positive)", /instead of =/],
    ["sin(s0)", /unknown function sin, at character 0/],
    ["constructor(s0)", /unknown function constructor/],
    ["s0 $ 2", /unexpected character, at character 2/],
    ["FloorDiv(s0, 0)", /division by the constant 0|division by what may be 0/],
    ["s0/2", /a fraction where an integer belongs/],
    ["s0/(u0)", /division by what may be 0/],
    ["Float('0.1', precision=53)", /no short fraction/],
    ["2**s0", /exponent/],
    ["2**64", /2\^53|safe/],
    ["9007199254740993", /safe integer|2\^53/],
    ["Eq(s0, 1)", /condition where an integer/],
    ["Piecewise((s0, s0 > 1))", /last case/],
    ["FloorDiv(s0)", /1 arguments instead of 2/],
    ["(".repeat(300) + "s0" + ")".repeat(300), /nesting deeper/],
    ["-".repeat(5000) + "s0", /nesting deeper/],
    ["s0 + ".repeat(300_000) + "s0", /more than 1000000 characters/],
  ];
  for (const [text, message] of bad) assert.throws(() => read(text), message, text.slice(0, 40));
  assert.throws(() => readBool("s0 + 1"), /number where a condition/);
});

interface Sample {
  readonly text: string;
  value(env: Readonly<Record<string, number>>): number;
}

const { sample } = fc.letrec<{ sample: Sample }>((tie) => ({
  sample: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.integer({ min: -9, max: 9 }).map((n): Sample => ({ text: `Integer(${n})`, value: () => n })),
    fc.constantFrom("s0", "s1", "u0").map((name): Sample => ({
      text: `Symbol('${name}', integer=True)`,
      value: (env) => env[name] ?? 0,
    })),
    fc.tuple(fc.constantFrom("Add", "Mul", "Max", "Min"), tie("sample"), tie("sample")).map(([f, a, b]): Sample => ({
      text: `${f}(${a.text}, ${b.text})`,
      value: (env) => {
        const x = a.value(env), y = b.value(env);
        return f === "Add" ? x + y : f === "Mul" ? x * y : f === "Max" ? Math.max(x, y) : Math.min(x, y);
      },
    })),
    fc.tuple(fc.constantFrom("FloorDiv", "PythonMod", "CeilDiv"), tie("sample"), fc.integer({ min: 1, max: 7 })).map((
      [f, a, n],
    ): Sample => ({
      text: `${f}(${a.text}, Integer(${n}))`,
      value: (env) => {
        const x = a.value(env);
        return f === "FloorDiv" ? floorDivNumber(x, n) : f === "PythonMod" ? modNumber(x, n) : -floorDivNumber(-x, n);
      },
    })),
  ),
}));

Deno.test("parseSympy() means what the text says, for random expressions and sizes", () => {
  fc.assert(
    fc.property(
      sample,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 2, max: 40 }),
      fc.integer({ min: -50, max: 50 }),
      (e, s0, s1, u0) => {
        const env: Readonly<Record<string, number>> = { s0, s1, u0 };
        const wanted = e.value(env);
        fc.pre(Math.abs(wanted) < 2 ** 40);
        assert.equal(evaluate(parseSympy(e.text, lookup), (s) => env[s.name] ?? 0) + 0, wanted + 0, e.text);
      },
    ),
    { numRuns: 300 },
  );
});
