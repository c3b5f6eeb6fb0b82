/** Segments: what runs between two graph breaks leaves the world that eager leaves, and is found again. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { grad, jvp } from "../../src/autograd/mod.ts";
import {
  captureStats,
  compile,
  type CompilerBackend,
  explain,
  findBackend,
  graphBreak,
  reset,
} from "../../src/capture/mod.ts";
import { CompileError, float32, float64, int64, setDefaultDtype } from "../../src/core/mod.ts";
import { F, noGrad, rand, Tensor, tensor, withoutModes } from "../../src/tensor/mod.ts";
import { manualSeed } from "../../src/tensor/public.ts";
import { eachBackend, eventsOf, plain, same } from "./support.ts";

function vec(...values: number[]): Tensor {
  return tensor(values, { dtype: float32 });
}

function stats(f: unknown): ReturnType<typeof captureStats> {
  return captureStats(f as (...args: never[]) => unknown);
}

eachBackend("a repeated call compiles nothing new and finds its segments", (backend) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2).add(1);
    return y.sum().item() > 0 ? y.exp() : y.neg();
  }, { backend });
  for (let i = 0; i < 3; i++) {
    f(vec(1, 2));
    f(vec(-1, -2));
  }
  const { compiledSegments, segments } = stats(f);
  assert.deepEqual([segments, compiledSegments], [3, 3]);
  for (let i = 0; i < 5; i++) same(f(vec(i, 2)), vec(i, 2).mul(2).add(1).exp());
  assert.deepEqual([stats(f).segments, stats(f).compiledSegments], [3, 3]);
});

eachBackend("one segment serves all places that do the same", (backend) => {
  const f = compile((x: Tensor) => {
    let y = x;
    for (let i = 0; i < 4; i++) {
      y = y.mul(3).add(0.5);
      y.sum().item();
    }
    return y;
  }, { backend });
  for (let i = 0; i < 3; i++) f(vec(1, 2));
  // The segment of the loop is shared; a result that is read behind the break is a use of the same segment.
  assert.equal(stats(f).segments, 1);
});

Deno.test("numbers that change between calls enter as tensors: no segment for each", () => {
  const f = compile((x: Tensor) => {
    const s = x.sum().item();
    return [x.mul(s), x.add(s * 2).sub(s).div(3), x.gt(s), x.to(int64).add(Math.trunc(s)), x.to(float64).mul(s)];
  }, { backend: "aot_eager" });
  for (let i = 0; i < 12; i++) {
    const x = vec(i * 1.25, 2, -1);
    const s = x.sum().item();
    const expected = [
      x.mul(s),
      x.add(s * 2).sub(s).div(3),
      x.gt(s),
      x.to(int64).add(Math.trunc(s)),
      x.to(float64).mul(s),
    ];
    const actual = f(x);
    actual.forEach((t, k) => {
      assert.equal(t.dtype, expected[k]?.dtype);
      assert.ok(t.to(float64).allclose((expected[k] as Tensor).to(float64), { rtol: 1e-5 }), `${i}: ${k}: ${t}`);
    });
  }
  assert.ok(stats(f).segments <= 3, `${stats(f).segments} segments`);
});

eachBackend("inputs are written, views and aliases seen, in the order of the program", (backend) => {
  const body = (x: Tensor, row: Tensor): unknown[] => {
    const before = x.sum();
    row.add_(10);
    const between = x.mul(1);
    x.mul_(2);
    const n = before.item();
    row.sub_(n);
    return [before, between, x.sum(), row.mul(1), n];
  };
  const f = compile(body, { backend });
  for (let i = 0; i < 4; i++) {
    const make = (): Tensor => tensor([[1 + i, 2], [3, 4.5]], { dtype: float32 });
    const [a, b] = [make(), make()];
    same([f(a, a.at(0)), a], [body(b, b.at(0)), b]);
    const [c, d] = [make(), make()];
    same([f(c, vec(1, 2)), c], [body(d, vec(1, 2)), d]);
  }
});

eachBackend("random numbers are those that eager draws, and the state goes on", (backend) => {
  const body = (x: Tensor): Tensor => {
    const y = x.add(rand([2]));
    y.sum().item();
    return y.mul(rand([2]));
  };
  const f = compile(body, { backend });
  const draw = (fn: (x: Tensor) => Tensor): unknown => {
    manualSeed(5);
    return [fn(vec(1, 2)), fn(vec(3, 4)), fn(vec(3, 4)), rand([2])].map(plain);
  };
  assert.deepEqual(draw(f), draw(body));
});

eachBackend("the tape goes through segments, backward() inside and outside", (backend) => {
  const body = (x: Tensor, w: Tensor, inside: boolean): Tensor => {
    const y = x.mul(w).tanh();
    const scale = y.sum().item();
    const loss = y.mul(scale).pow(2).sum();
    if (inside) loss.backward();
    return loss;
  };
  const f = compile(body, { backend });
  for (let i = 0; i < 4; i++) {
    for (const inside of [true, false]) {
      const [w, v] = [vec(0.5, -1 - i), vec(0.5, -1 - i)].map((t) => t.requiresGrad_()) as [Tensor, Tensor];
      const [actual, expected] = [f(vec(1, 2), w, inside), body(vec(1, 2), v, inside)];
      if (!inside) {
        actual.backward();
        expected.backward();
      }
      assert.ok(actual.allclose(expected, { rtol: 1e-5 }));
      assert.ok((w.grad as Tensor).allclose(v.grad as Tensor, { rtol: 1e-4 }));
      assert.equal(actual.gradFn?.name, expected.gradFn?.name);
    }
  }
});

Deno.test("writing what the tape saved is the error that eager gives, across a segment", () => {
  const body = (x: Tensor, w: Tensor): void => {
    const y = w.mul(2).exp();
    const loss = y.sum();
    loss.item();
    noGrad(() => y.mul_(x));
    loss.backward();
  };
  const f = compile(body, { backend: "aot_eager" });
  for (let i = 0; i < 3; i++) {
    const w = vec(1, 2).requiresGrad_();
    const v = vec(1, 2).requiresGrad_();
    let expected = "";
    try {
      body(vec(1, 2), v);
    } catch (error) {
      expected = (error as Error).message;
    }
    assert.match(expected, /written in place/);
    assert.throws(() => f(vec(1, 2), w), (e: unknown) => (e as Error).message === expected);
  }
});

Deno.test("a result that nobody looked at is computed when somebody does, from what the segment was given", () => {
  const kept: Tensor[] = [];
  const f = compile((x: Tensor) => {
    const hidden = x.mul(3);
    kept.push(hidden);
    const y = hidden.add(1);
    y.sum().item();
    return y;
  }, { backend: "aot_eager" });
  const inputs = Array.from({ length: 6 }, (_, i) => vec(i, 2));
  const results = inputs.map((x) => f(x));
  // Other segments, and writes in every way, come in between.
  inputs.forEach((x, i) => i % 2 === 0 ? x.zero_() : noGrad(() => x.fill_(7)));
  results.forEach((y, i) => same(y, vec(i, 2).mul(3).add(1)));
  kept.forEach((h, i) => same(h, vec(i, 2).mul(3)));
  // From now on it is kept.
  for (let i = 0; i < 3; i++) f(vec(i, 2));
  kept.forEach((h, i) => same(h, vec(i % 6 === i ? i : i - 6, 2).mul(3)));
});

Deno.test("an input may be disposed or written by a compiled function while a result is put off", () => {
  const kept: Tensor[] = [];
  const f = compile((x: Tensor) => {
    kept.push(x.mul(3));
    graphBreak();
  }, { backend: "aot_eager" });
  const write = compile((x: Tensor) => void x.mul_(100), { backend: "aot_eager" });
  for (let i = 0; i < 6; i++) {
    const x = vec(i, 1);
    f(x);
    if (i % 2 === 0) write(x);
    else x.dispose();
  }
  kept.forEach((t, i) => same(t, vec(i, 1).mul(3)));
});

eachBackend("an exception between segments leaves what eager leaves", (backend) => {
  const body = (x: Tensor, log: unknown[], n: number): Tensor => {
    x.add_(1);
    log.push(x.mul(2));
    if (x.sum().item() > n) throw new RangeError(`more than ${n}`);
    x.mul_(3);
    try {
      if (x.sum().item() > 2 * n) throw new TypeError("inner");
    } catch (error) {
      log.push((error as Error).message);
    } finally {
      x.sub_(1);
    }
    return x.neg();
  };
  const run = (fn: typeof body): unknown[] =>
    [1, 3, 8, 100, 3, 8].map((n) => {
      const x = vec(1, 2.5);
      const log: unknown[] = [];
      try {
        return plain([fn(x, log, n), x, log]);
      } catch (error) {
        return plain([(error as Error).message, x, log]);
      }
    });
  assert.deepEqual(run(compile(body, { backend })), run(body));
});

eachBackend("sizes that depend on data break and capture resumes", (backend) => {
  const body = (x: Tensor): unknown[] => {
    const y = x.mul(2);
    const positive = y.at(y.gt(0));
    const n = y.gt(0).sum().item();
    return [positive.add(1).sum(), y.view([-1]).at(0).add(n), y.nonzero().sum(), x.newZeros([n])];
  };
  const f = compile(body as unknown as (x: Tensor) => unknown[], { backend });
  for (const x of [vec(1, -2, 3), vec(-1, -2, -3), vec(1, 2, 3), vec(1, -2, 3)]) same(f(x), body(x));
  assert.ok(stats(f).breaks.some((b) => /depends on data/.test(b.reason)));
});

Deno.test("memory that is touched behind the back of operators is up to date", () => {
  const seen: unknown[] = [];
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    x.add_(1);
    withoutModes(() => seen.push([...y.dataSync(), ...x.dataSync()]));
    return `${y}`;
  }, { backend: "aot_eager" });
  for (let i = 0; i < 4; i++) assert.equal(f(vec(i, 1)), `${vec(2 * i, 2)}`);
  assert.deepEqual(seen, [0, 1, 2, 3].map((i) => [2 * i, 2, i + 1, 2]));
});

Deno.test("asynchronous functions are captured between awaits, concurrently, with others' writes in between", async () => {
  const body = async (x: Tensor, other: Tensor): Promise<unknown> => {
    const y = x.mul(2).add(other);
    const z = y.exp().log();
    const data = await z.data();
    const w = x.mul(data[0] as number);
    await new Promise((resolve) => setTimeout(resolve, 1));
    other.add_(1);
    return [y.add(w), other.mul(1), [...data].map((v) => Math.round(Number(v)))];
  };
  const f = compile(body, { backend: "aot_eager" });
  const run = async (fn: typeof body): Promise<unknown> => {
    const other = vec(1, 1);
    const calls = [1, 2, 3].map((i) => fn(vec(i, 2), other));
    // While the calls wait, their inputs change.
    other.mul_(10);
    return plain([await Promise.all(calls), other]);
  };
  for (let i = 0; i < 4; i++) {
    const [actual, expected] = [await run(f), await run(body)];
    assert.deepEqual(JSON.parse(JSON.stringify(actual), round), JSON.parse(JSON.stringify(expected), round));
  }
  assert.ok(stats(f).compiledSegments >= 2);
  await assert.rejects(
    compile(async (x: Tensor) => {
      await x.data();
      throw new RangeError("late");
    }, { backend: "eager" })(vec(1)),
    RangeError,
  );
});

function round(_: string, value: unknown): unknown {
  return typeof value === "number" ? Math.round(value * 1e4) / 1e4 : value;
}

Deno.test("explain() lists all graphs and breaks with their lines", () => {
  const report = explain((x: Tensor) => {
    const y = x.mul(2).add(1);
    const s = y.sum().item(); // first
    const z = y.mul(s);
    if (z.dataSync()[0] as number > 0) return z.neg().exp(); // second
    return z;
  })(vec(1, 2));
  const text = Deno.readTextFileSync(new URL(import.meta.url)).split("\n");
  const lineOf = (mark: string): string => `${import.meta.url}:${text.findIndex((l) => l.endsWith(mark)) + 1}`;
  assert.deepEqual(report.breaks.map((b) => [b.reason.split(" ")[0], b.line]), [
    ["item()", lineOf("// first")],
    ["dataSync()", lineOf("// second")],
  ]);
  assert.ok(report.breaks.every((b) => /keep the value a tensor/.test(b.remedy)));
  assert.deepEqual(report.graphs.map((g) => g.operators), [3, 1, 2]);
  assert.equal(report.operators, 6);
  assert.equal(report.graph, null);
  assert.match(String(report), /graph 2, 2 operators/);
});

Deno.test("a backend that fails on a segment is reported and the segment runs operator by operator", () => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    y.sum().item();
    return y.add(1);
  }, {
    backend: () => {
      throw new CompileError("not today");
    },
  });
  const events = eventsOf("warning", () => {
    for (let i = 0; i < 3; i++) same(f(vec(i, 1)), vec(i, 1).mul(2).add(1));
  });
  assert.match(events.join("\n"), /a segment of .* could not be compiled .*not today/);
});

/** One step of a random program, on a list of tensors of one shape. */
type Action = readonly [kind: number, a: number, b: number];

function program(actions: readonly Action[]): (x: Tensor, y: Tensor) => unknown {
  return (x, y) => {
    const pool: Tensor[] = [x, y, x.at(0), y.view([-1])];
    const numbers: number[] = [];
    const pick = (i: number): Tensor => pool[i % pool.length] as Tensor;
    for (const [kind, a, b] of actions) {
      const [s, t] = [pick(a), pick(b)];
      const fits = s.shape.join() === t.shape.join();
      switch (kind) {
        case 0:
          if (fits) pool.push(s.add(t));
          break;
        case 1:
          pool.push(s.mul(0.5));
          break;
        case 2:
          if (fits && s.storage !== t.storage) s.add_(t);
          break;
        case 3:
          s.mul_(0.25);
          break;
        case 4:
          numbers.push(Math.fround(s.sum().item()));
          break;
        case 5:
          if (s.ndim === 2) pool.push(s.at(a % Math.min(2, Number(s.shape[0]))));
          else pool.push(s.view([-1]));
          break;
        case 6:
          if (s.ndim === 2) pool.push(s.t());
          break;
        case 7:
          pool.push(s.sub(Math.max(-4, Math.min(4, numbers.at(-1) ?? 1))));
          break;
        case 8:
          graphBreak();
          break;
        case 10:
          if (Number(s.shape[0]) > 1) pool.push(s.narrow(0, 1, Number(s.shape[0]) - 1));
          break;
        case 11:
          pool.push(s.reshape(s.numel % 2 === 0 ? [s.numel / 2, 2] : [s.numel]).mul(s.numel));
          break;
        default:
          pool.push(s.contiguous().clamp(-3, 3));
      }
    }
    return [...pool, numbers];
  };
}

for (
  const [backend, resizes] of [["eager", false], ["aot_eager", false], ["eager", true], ["aot_eager", true]] as const
) {
  const what = resizes ? ", writes, views and other sizes" : ", writes and views";
  Deno.test(`random programs with breaks${what} agree with eager (${backend})`, () => {
    const action = fc.tuple(fc.nat(resizes ? 12 : 9), fc.nat(30), fc.nat(30));
    fc.assert(
      fc.property(fc.array(action, { minLength: 3, maxLength: 16 }), fc.nat(20), (actions, touched) => {
        const fn = program([[8, 0, 0], ...actions]);
        const compiled = compile(fn, { backend });
        const rounds = resizes ? [[1, 2], [2, 3], [2, 3], [3, 4], [1, 7], [3, 2], [2, 7]] : [[1], [2], [2], [3], [1]];
        for (const [k = 1, rows = 2] of rounds) {
          const matrix = (...row: number[]): Tensor =>
            tensor([row, ...Array.from({ length: rows - 1 }, (_, i) => [0.5 + i, 2 - i])], { dtype: float32 });
          const make = (): [Tensor, Tensor] => [matrix(1, -k), matrix(k, 1)];
          const [a, b] = [make(), make()];
          const [actual, expected] = [compiled(...a), fn(...b)] as [unknown[], unknown[]];
          // Some results are only looked at after their inputs were written.
          if (touched % 3 === 0) [...a, ...b].forEach((t) => t.add_(1));
          const rounded = (v: unknown): unknown => JSON.parse(JSON.stringify(plain(v)), round);
          if (touched % 2 === 0 || k === 3) assert.deepEqual(rounded([actual, a]), rounded([expected, b]));
        }
      }),
      { numRuns: 60, seed: 11 },
    );
  });
}

Deno.test("the default dtype keeps paths apart, changed between calls and inside of one", () => {
  const body = (x: Tensor): string[] => {
    const out = [x.div(2).dtype.name];
    x.sum().item();
    setDefaultDtype(float64);
    out.push(x.div(2).dtype.name, x.mul(0.5).dtype.name);
    setDefaultDtype(float32);
    return out;
  };
  const f = compile(body, { backend: "eager" });
  const x = tensor([1, 2, 3]);
  try {
    for (const dtype of [float32, float64, float32, float64]) {
      setDefaultDtype(dtype);
      assert.deepEqual(f(x), [dtype.name, "float64", "float64"]);
    }
  } finally {
    setDefaultDtype(float32);
  }
});

Deno.test("a compiled function with fullgraph stays one graph inside of a function with breaks", () => {
  const inner = compile((x: Tensor, n: number) => n > 1 ? x.mul(x.sum().item()) : x.mul(2), {
    backend: "aot_eager",
    fullgraph: true,
  });
  const f = compile((x: Tensor, n: number) => {
    const y = x.add(1);
    return y.sum().item() > 0 ? inner(y.neg(), n) : y;
  }, { backend: "aot_eager" });
  for (let i = 0; i < 4; i++) same(f(vec(i, 1), 0), vec(i, 1).add(1).neg().mul(2));
  assert.equal(stats(inner).entries, 1);
  assert.throws(() => f(vec(1, 1), 2), (e: unknown) => e instanceof CompileError && /item\(\)/.test(e.message));
});

Deno.test("transforms of functions work inside of a function with breaks", () => {
  const body = (x: Tensor): unknown[] => {
    const g = grad((t: Tensor) => t.pow(3).sum());
    const n = x.sum().item();
    return [g(x), jvp((t: Tensor) => t.mul(n).sum(), [x], [x.mul(2)])];
  };
  const f = compile(body, { backend: "aot_eager" });
  for (let i = 0; i < 4; i++) same(f(vec(i, 1, 2, 3)), body(vec(i, 1, 2, 3)));
});

Deno.test("reset() forgets segments", () => {
  let compiled = 0;
  const backend: CompilerBackend = (module, inputs, context) => {
    compiled++;
    return findBackend("eager")(module, inputs, context);
  };
  const f = compile((x: Tensor) => {
    graphBreak();
    return x.mul(2);
  }, { backend });
  const twice = (): void => [0, 1, 2].forEach((i) => same(f(vec(i)), vec(i).mul(2)));
  twice();
  assert.equal(compiled, 1);
  reset();
  twice();
  assert.equal(compiled, 2);
});

Deno.test("indices that are there and in range do not cut; what is out of range is an error at its line", () => {
  const table = vec(0.5, 1, -1, 2, 0.25, 3).view([3, 2]);
  const body = (tokens: Tensor, labels: Tensor): unknown => {
    const h = F.embedding(table, tokens).mul(2);
    const loss = F.crossEntropyLoss(h, labels);
    const n = loss.item();
    return [h.gather(1, labels.view([-1, 1])).mul(n), loss];
  };
  const f = compile(body, { backend: "aot_eager" });
  const ids = (...values: number[]): Tensor => tensor(values, { dtype: int64 });
  for (let i = 0; i < 3; i++) same(f(ids(0, i), ids(1, 0)), body(ids(0, i), ids(1, 0)));
  assert.deepEqual(stats(f).breaks.map((b) => b.reason.split(" ")[0]), ["item()"]);
  // The last one twice: its number changes.
  assert.equal(stats(f).segments, 3);
  assert.throws(() => f(ids(0, 7), ids(1, 0)), (e: unknown) => e instanceof RangeError && /7/.test(e.message));
  assert.throws(() => f(ids(0, 1), ids(1, 5)), RangeError);
  same(f(ids(0, 2), ids(1, 0)), body(ids(0, 2), ids(1, 0)));
});
