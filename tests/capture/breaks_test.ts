/** Where capture ends: the reason is told, the call is right, and nothing of the trace stays behind. */
import assert from "node:assert/strict";
import { captureStats, compile, explain, GraphBreak } from "../../src/capture/mod.ts";
import { CompileError, float32 } from "../../src/core/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { randn, Tensor, tensor } from "../../src/tensor/mod.ts";
import { eventsOf, full, plain, same } from "./support.ts";

const x = tensor([1, 2.5]);

function reasonOf(fn: (t: Tensor) => unknown): string {
  const report = explain(fn)(x);
  assert.equal(report.graph, null);
  return report.breaks.map((b) => `${b.reason} | ${b.remedy}`).join();
}

Deno.test("a scalar that leaves the graph runs eagerly with an event, and is an error under fullgraph", () => {
  const body = (t: Tensor): Tensor => t.sum().item() > 0 ? t.mul(2) : t.neg();
  const f = compile(body, { backend: "eager" });
  const events = eventsOf("graph_break", () => {
    same(f(x), x.mul(2));
    same(f(x.neg()), x);
  });
  assert.equal(events.length, 1);
  assert.match(events[0] ?? "", /item\(\) takes data out of the graph.*; keep the value a tensor/);
  assert.throws(
    () => full(body, "eager")(x),
    (e: unknown) => e instanceof CompileError && e.cause instanceof GraphBreak && /item\(\)/.test(e.message),
  );
});

Deno.test("each kind of break has its reason and remedy", () => {
  assert.match(reasonOf((t) => t.dataSync()), /dataSync\(\) takes data out/);
  assert.match(reasonOf((t) => Number(t.sum())), /takes data out/);
  assert.match(reasonOf((t) => t.mul(Math.random())), /Math\.random .*rand\(\)/);
  assert.match(reasonOf((t) => t.mul(Date.now())), /Date reads the clock/);
  assert.match(reasonOf((t) => t.mul(performance.now())), /performance reads the clock/);
  assert.match(reasonOf((t) => [() => t]), /returns or stores a function/);
  assert.match(
    reasonOf((t) => ({
      get a() {
        return t;
      },
    })),
    /getter/,
  );
  const { random } = Math;
  const { now } = performance;
  const tools = { log: Date.now, Clock: Date };
  assert.match(reasonOf((t) => t.mul(random())), /random\(\) draws a number/);
  assert.match(reasonOf((t) => t.mul(now.call(performance))), /now\(\) reads the clock/);
  assert.match(reasonOf((t) => t.mul(tools.log())), /now\(\) reads the clock/);
  assert.match(reasonOf((t) => t.mul(new tools.Clock().getTime())), /Date\(\) reads the clock/);
  assert.match(reasonOf((t) => t.mul(globalThis.Math.random())), /Math\.random draws/);
  const bound = (Number.prototype.toFixed as (this: number) => string).bind(3);
  assert.match(reasonOf((t) => t.mul(Number(bound()))), /native function/);
  assert.match(reasonOf((t) => ((async () => await t)(), t)), /asynchronous/);
  const bytes = new Float32Array([1, 2]);
  assert.match(reasonOf((t) => t.add(bytes[0] ?? 0)), /bytes, a Float32Array/);
  const secret = {};
  const map = new WeakMap<object, number>([[secret, 1]]);
  assert.match(reasonOf((t) => (map.set(secret, 2), t)), /WeakMap/);
});

Deno.test("a break that the function catches is still a break", () => {
  const body = (t: Tensor): Tensor => {
    try {
      return t.mul(t.sum().item());
    } catch {
      return t;
    }
  };
  const f = compile(body, { backend: "eager" });
  eventsOf("graph_break", () => same(f(x), x.mul(3.5)));
});

Deno.test("a trace that throws leaves gradients and containers as one eager run does", () => {
  const w = nn.parameter(tensor([1, 2.5]));
  const world = { list: [1], map: new Map([["a", 1]]), count: 0 };
  const body = (t: Tensor, fail: boolean): void => {
    w.mul(t).sum().backward();
    world.list.push(2);
    world.map.set("b", 2);
    world.count++;
    t.add_(1);
    if (fail) throw new RangeError("on purpose");
  };
  const f = full(body, "eager");
  const t = tensor([1, 1.5]);
  assert.throws(() => f(t, true), (e: unknown) => e instanceof RangeError && e.message === "on purpose");
  const once = [tensor([1, 1.5]), [1, 2], 1, tensor([2, 2.5])];
  assert.deepEqual(plain([w.grad, world.list, world.count, t]), plain(once));
  assert.deepEqual([...world.map], [["a", 1], ["b", 2]]);
  f(t, false);
  assert.deepEqual(plain([world.list, world.count, t]), plain([[1, 2, 2], 2, tensor([3, 3.5])]));
  same(w.grad, tensor([3, 4], { dtype: float32 }));
});

Deno.test("errors of the function itself come through as they are", () => {
  const f = compile((a: Tensor, b: Tensor) => a.mm(b), { backend: "eager" });
  assert.throws(() => f(randn([2, 3]), randn([4, 5])), TypeError);
  same(f(randn([2, 3]), randn([3, 2])).shape, [2, 2]);
});

Deno.test("inputs that share memory, one of them written, are not captured as separate", () => {
  const body = (a: Tensor, b: Tensor): Tensor => {
    a.add_(1);
    return b.mul(2);
  };
  const f = compile(body, { backend: "aot_eager" });
  const make = (): Tensor => tensor([[1, 2.5], [3, 4]]);
  const [p, q] = [make(), make()];
  same([f(p, q), p, q], [make().mul(2), make().add(1), make()]);
  eventsOf("graph_break", () => {
    const [s, t] = [make(), make()];
    same([f(s.at(0), s), s], [body(t.at(0), t), t]);
  });
});

Deno.test("compile() says what it does not take", () => {
  assert.throws(() => compile(class {} as unknown as () => void), /is a class/);
  assert.throws(() => compile(async () => await 1, { backend: "eager", fullgraph: true }), /asynchronous/);
  assert.throws(() => explain(async () => await 1), /asynchronous/);
  assert.throws(() => compile(function* g() {}, { backend: "eager" }), /generator/);
  assert.throws(() => compile(3 as unknown as () => void), /needs a function/);
  assert.throws(() => compile(() => 1, { backend: "nonsense" }), /no backend "nonsense".*eager/);
});

Deno.test("a break names the line of the user's file, in functions and methods that were rebuilt as well", () => {
  const options = { limit: 3 };
  class Model {
    forward(t: Tensor): Tensor {
      const limit: number = options.limit;
      return t.sum().item() > limit ? t : t.neg(); // method
    }
  }
  const model = new Model();
  const body = (t: Tensor): number => {
    const y: Tensor = t.mul(options.limit);
    return y.sum().item(); // function
  };
  const lines = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
  const lineOf = (mark: string): number => lines.findIndex((l) => l.includes("item()") && l.endsWith(mark)) + 1;
  assert.equal(explain(body)(x).breaks[0]?.line, `${import.meta.url}:${lineOf("// function")}`);
  assert.equal(
    explain((t: Tensor) => model.forward(t))(x).breaks[0]?.line,
    `${import.meta.url}:${lineOf("// method")}`,
  );
});

Deno.test("a tensor that decides a condition is reported with its line, and stays what it is in eager", () => {
  const bias: Tensor | null = tensor([1, 1.5]);
  const bodies: ((t: Tensor) => unknown)[] = [
    (t) => {
      if (t.sum().gt(0)) return t.mul(2); // condition
      return t;
    },
    (t) => t.max() ? t.mul(2) : t, // condition
    (t) => !t.gt(0) ? t : t.mul(2), // condition
    (t) => (t.gt(100) && t.mul(2)) || t, // condition
    (t) => {
      let y = t;
      for (let i = 0; t.sum().lt(0) && i < 2; i++) y = y.add(1); // condition
      return y;
    },
    (t) => {
      let n = 0;
      do n++; while (!(n > 2 || t.any())); // condition
      return t.mul(n);
    },
  ];
  const text = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
  const lines = text.flatMap((l, i) => l.endsWith("// condition") ? [`${import.meta.url}:${i + 1}`] : []);
  bodies.forEach((body, i) => {
    const report = explain(body)(x);
    assert.match(report.breaks[0]?.reason ?? "", /a tensor decides a condition/);
    assert.equal(report.breaks[0]?.line, lines[i]);
    assert.throws(
      () => full(body, "eager")(x),
      /decides a condition.*; read its data with item\(\), or choose with cond/,
    );
    const f = compile(body, { backend: "eager" });
    eventsOf("graph_break", () => same([f(x), f(x.neg()), f(x)], [body(x), body(x.neg()), body(x)]));
  });
  // Whether a tensor is there at all is a question that JavaScript answers.
  const optional = (t: Tensor, b: Tensor | null): Tensor => (b ? t.add(b) : t).mul(b && t.mul(2) ? 2 : 3);
  const f = full(optional, "eager");
  same([f(x, bias), f(x, null)], [optional(x, bias), optional(x, null)]);
});

Deno.test("=== between tensors is a guard on their identity", () => {
  const body = (a: Tensor, b: Tensor): Tensor => a === b ? a.mul(2) : a.add(b);
  const f = full(body, "eager");
  const other = tensor([1, 2.5]);
  for (let i = 0; i < 2; i++) same([f(x, x), f(x, other), f(other, other)], [x.mul(2), x.add(other), other.mul(2)]);
});

Deno.test("what stands behind the first break is reported with its line: conditions, clocks, chances", () => {
  const options = { bias: null as Tensor | null, Date: 3 };
  const body = (t: Tensor, u: Tensor | null): Tensor => {
    const n = t.sum().item(); // first
    const y = t.mul(n);
    const isLarge = y.gt(2);
    if (y.gt(0)) return y; // if
    const z = isLarge ? y : y.add(1); // choice
    if (u || options.bias || t.mul(2)) return z;
    if (y instanceof Tensor && !y.sum()) return z; // not
    return z.mul(Math.random()).add(Date.now()).add(options.Date); // two
  };
  const text = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
  const lineOf = (mark: string): string => `${import.meta.url}:${text.findIndex((l) => l.endsWith(`// ${mark}`)) + 1}`;
  const report = explain(body)(tensor([1, 2]), tensor([1]));
  const told = report.breaks.map((b) => [b.reason.split(" ").slice(0, 2).join(" "), b.line]);
  assert.deepEqual(told, [
    ["item() takes", lineOf("first")],
    ["a tensor", lineOf("if")],
    ["a tensor", lineOf("choice")],
    ["a tensor", lineOf("not")],
    ["Math.random draws", lineOf("two")],
    ["Date reads", lineOf("two")],
  ]);
  const f = compile(body, { backend: "eager" });
  f(tensor([1, 2]), null);
  assert.deepEqual(captureStats(f).breaks.map((b) => b.reason), report.breaks.map((b) => b.reason));
});

Deno.test("lines are those of the file where types need more than stripping", async () => {
  const { report } = await import("./typed_lines.ts");
  const url = new URL("typed_lines.ts", import.meta.url);
  const text = Deno.readTextFileSync(url).split("\n");
  const lines = ["first", "second"].map((mark) => `${url}:${text.findIndex((l) => l.endsWith(`// ${mark}`)) + 1}`);
  assert.deepEqual(report().breaks.map((b) => b.line), lines);
});
