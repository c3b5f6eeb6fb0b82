/** JavaScript's operators on sizes that change: one graph for all of them, and the answers of the engine. */
import assert from "node:assert/strict";
import { captureStats, compile } from "../../src/capture/mod.ts";
import "../../src/inductor/mod.ts";
import { F, type Tensor, tensor, zeros } from "../../src/tensor/mod.ts";

const length = (x: Tensor): number => x.shape[0] as number;
const LENGTHS = Array.from({ length: 30 }, (_, i) => i + 3);

const PROGRAMS: Readonly<Record<string, (x: Tensor) => unknown>> = {
  "views of products": (x) => x.view([length(x) * 2, -1]).sum(1),
  "sums and differences": (x) => F.cat([x.narrow(0, 1, length(x) - 1), zeros([length(x) + 1, 4])], 0),
  "conditions": (x) => length(x) < 100 && length(x) >= 2 ? x.mul(2) : x.mul(3),
  "quotients": (x) => x.narrow(0, 0, Math.ceil(length(x) / 4)).add(1),
  "results": (x) => [x.sum(), length(x) * 3 + 1, length(x) - 40, { half: Math.floor((length(x) + 1) / 2) }],
  "through Number()": (x) => x.view([Number(x.shape[0]) * 2, 2]).mul(2),
};

for (const [name, program] of Object.entries(PROGRAMS)) {
  for (const backend of ["eager", "inductor"]) {
    Deno.test(`30 lengths through ${name} take two forms (${backend})`, () => {
      const f = compile(program, {
        backend,
        fullgraph: true,
        ...(backend === "eager" ? {} : { options: { tier: "js" } }),
      });
      for (const n of LENGTHS) {
        const x = F.arange(0, n * 4, 1).view([n, 4]).to(zeros([1]).dtype);
        const plain = (v: unknown): unknown =>
          JSON.stringify(v, (_, t) => typeof t === "object" && t !== null && "toArray" in t ? t.toArray() : t);
        assert.equal(plain(f(x)), plain(program(x)), `length ${n}`);
      }
      // A size of 1 is another form.
      assert.ok(captureStats(f).traced <= (name === "quotients" ? 3 : 2), `${captureStats(f).traced} forms`);
    });
  }
}

Deno.test("operators on sizes and other values are the engine's", () => {
  const others: unknown[] = [0, -0, -1, 2, 0.5, NaN, "a", "7", null, undefined, true, 3n, [4], {}, {
    valueOf: (): number => 2,
  }];
  const f = compile((x: Tensor, o: never) => {
    const n = length(x);
    const tried = (fn: () => unknown): unknown => {
      try {
        return fn();
      } catch (error) {
        return (error as Error).message;
      }
    };
    return [
      [tried(() => n + o), tried(() => o + n), tried(() => n - o), tried(() => o - n)],
      [tried(() => n * o), tried(() => o * n), tried(() => n % o), tried(() => o % n)],
      [tried(() => n < o), tried(() => o < n), tried(() => n <= o), tried(() => o >= n), tried(() => n > o)],
      [tried(() => Math.floor(n / o)), tried(() => Math.ceil(o / n)), tried(() => 1 / ((n - 4) * o))],
    ];
  }, { backend: "eager" });
  const g = (x: Tensor, o: never): unknown => {
    const n = length(x);
    const tried = (fn: () => unknown): unknown => {
      try {
        return fn();
      } catch (error) {
        return (error as Error).message;
      }
    };
    return [
      [tried(() => n + o), tried(() => o + n), tried(() => n - o), tried(() => o - n)],
      [tried(() => n * o), tried(() => o * n), tried(() => n % o), tried(() => o % n)],
      [tried(() => n < o), tried(() => o < n), tried(() => n <= o), tried(() => o >= n), tried(() => n > o)],
      [tried(() => Math.floor(n / o)), tried(() => Math.ceil(o / n)), tried(() => 1 / ((n - 4) * o))],
    ];
  };
  for (const n of [3, 4, 5, 6, 4]) {
    for (const o of others) {
      const x = tensor(Array.from({ length: n }, (_, i) => i));
      assert.deepEqual(f(x, o as never), g(x, o as never), `${n} and ${String(o)}`);
    }
  }
});
