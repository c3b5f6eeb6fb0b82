/** Where capture ends: the reason is told, the call is right, and nothing of the trace stays behind. */
import assert from "node:assert/strict";
import { compile, explain, GraphBreak } from "../../src/capture/mod.ts";
import { CompileError } from "../../src/core/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import { randn, Tensor, tensor } from "../../src/tensor/mod.ts";
import { eventsOf, full, plain, same } from "./support.ts";

const x = tensor([1, 2.5]);

function t2(a: Tensor, b: Tensor): Tensor {
  return a.add(b);
}

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
  const bound = t2.bind(null, x);
  assert.match(reasonOf((t) => bound(t)), /native function/);
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

Deno.test("a trace that throws leaves gradients, containers and random state as they were", () => {
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
  assert.deepEqual(plain([w.grad, world.list, world.count, t]), plain([null, [1], 0, tensor([1, 1.5])]));
  assert.deepEqual([...world.map], [["a", 1]]);
  f(t, false);
  assert.deepEqual(plain([world.list, world.count, t]), plain([[1, 2], 1, tensor([2, 2.5])]));
  same(w.grad, tensor([1, 1.5]));
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
