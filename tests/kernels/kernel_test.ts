/** Kernels of the program's own: on the reference executor, on C++, compiled, differentiated, with sizes that change; and what is refused. */
import assert from "node:assert/strict";
import {
  type Block,
  type BlockAxis,
  compile,
  float16,
  float32,
  float64,
  int64,
  int8,
  kernel,
  type KernelFunction,
  markDynamic,
  onCompile,
  onEvent,
  opcheck,
  randn,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import { matmul, softmax } from "../../examples/kernels/kernels.ts";
import { eagerReady } from "../../src/inductor/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { referenceBackend, withEagerBackend } from "../../src/tensor/mod.ts";
import { check, tutorials } from "./tutorials.ts";

const noCompiler = findToolchain().ok ? "" : " [skipped: no C++ compiler]";
const here = (t: Tensor): Tensor => t;
const numbers = (t: unknown): number[] => [...(t as Tensor).dataSync()].map(Number);

Deno.test("the tutorials' kernels are right on the reference executor", () => {
  for (const t of tutorials()) withEagerBackend(referenceBackend, () => check(t, here));
});

Deno.test({
  name: `the tutorials' kernels are right on C++${noCompiler}`,
  ignore: noCompiler !== "",
  fn: async () => {
    const all = tutorials();
    for (const t of all) check(t, here);
    await eagerReady();
    for (const t of all) check(t, here);
  },
});

Deno.test({
  name: `a kernel in a compiled function is one launch between its neighbours'${noCompiler}`,
  ignore: noCompiler !== "",
  fn: () => {
    const kinds: string[] = [];
    const tiers: string[] = [];
    using _ = onCompile(({ graph }) => {
      kinds.push(...graph.compiled.groups.map((g) => g.kind));
      tiers.push(graph.tier);
    });
    const f = compile((a: Tensor, b: Tensor) => (matmul(a.mul(2), b.t()) as Tensor).relu(), {
      fullgraph: true,
      mode: "aot",
    });
    const [a, b] = [randn([20, 30]), randn([40, 30])];
    const worst = f(a, b).sub(a.mul(2).matmul(b.t()).relu()).abs().max().item() as number;
    assert.ok(worst < 1e-4, `${worst}`);
    assert.deepEqual(kinds, ["loops", "blocks", "loops"]);
    assert.deepEqual(tiers, ["cpp"]);
  },
});

Deno.test("one compiled kernel serves all sizes of a dimension that changes", () => {
  let compiled = 0;
  using _ = onCompile(() => compiled++);
  const f = compile((a: Tensor, b: Tensor) => matmul(a, b) as Tensor, { fullgraph: true });
  const b = randn([24, 16]);
  for (const rows of [5, 33, 64, 130]) {
    const a = randn([rows, 24]);
    markDynamic(a, 0);
    const worst = f(a, b).sub(a.matmul(b)).abs().max().item() as number;
    assert.ok(worst < 1e-4, `${rows} rows: ${worst}`);
  }
  assert.equal(compiled, 1);
});

const cube = kernel({
  schema: "tests::cube(Tensor x) -> Tensor",
  meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  body: (tile, { x, out }) => {
    const i = tile.grid(x.size(0), 8);
    const v = x.load([i]);
    out.store([i], v.mul(v).mul(v));
  },
  vjp: ({ x }, { grad }) => ({ x: () => grad.mul(x).mul(x).mul(3) }),
});

Deno.test("opcheck() passes a kernel with a gradient", () => {
  const x = tensor([1, -2.5, 0.5], { dtype: float64 }).requiresGrad_();
  assert.ok(opcheck(cube.op, { x }).length > 5);
});

Deno.test("without a vjp a kernel's result takes no part in differentiation, and backward() says so", () => {
  const x = randn([4, 4]).requiresGrad_();
  assert.throws(() => (softmax(x) as Tensor).sum().backward(), /softmax|grad/);
});

Deno.test("gathers read what is inside, and give `other` outside; masks leave elements out", () => {
  const take = kernel({
    schema: "tests::take(Tensor x, Tensor at) -> Tensor",
    meta: ({ x, at }) => ({ shape: at.shape, dtype: x.dtype }),
    body: (tile, { x, at, out }) => {
      const i = tile.grid(at.size(0), 4);
      out.store([i], x.load([at.load([i])], { other: -1 }), { mask: tile.position(i).ne(2) });
    },
  });
  const run = (): number[] =>
    numbers(
      withEagerBackend(referenceBackend, () => take(tensor([10, 20, 30]), tensor([2, 0, 1, 7, -5], { dtype: int64 }))),
    );
  assert.deepEqual(run(), [30, 10, 0, -1, -1]);
});

Deno.test("atomicAdd() adds up what meets, from zeros", async () => {
  const histogram = kernel({
    schema: "tests::histogram(Tensor x, int bins) -> Tensor",
    meta: ({ bins }) => ({ shape: [bins], dtype: float32 }),
    body: (tile, { x, out }) => {
      const i = tile.grid(x.size(0), 16);
      out.atomicAdd([x.load([i])], tile.where(tile.position(i).lt(tile.size(x.size(0))), 1, 0));
    },
  });
  const x = tensor(Array.from({ length: 100 }, (_, i) => i % 7), { dtype: int64 });
  const want = Array.from({ length: 7 }, (_, i) => i < 2 ? 15 : 14);
  assert.deepEqual(numbers(histogram(x, 7)), want);
  await eagerReady();
  assert.deepEqual(numbers(histogram(x, 7)), want);
});

Deno.test("loops over a part of an axis, from and to computed numbers", () => {
  const partial = kernel({
    schema: "tests::partial_sum(Tensor x, Tensor ends) -> Tensor",
    meta: ({ ends }) => ({ shape: ends.shape, dtype: float32 }),
    body: (tile, { x, ends, out }) => {
      const row = tile.grid(ends.size(0));
      const total = tile.variable(0);
      const end = ends.load([row]);
      tile.loop(x.size(0), 4, (i) => {
        total.add(tile.where(tile.position(i).lt(end), x.load([i]), 0).sum(i));
      }, { to: end });
      out.store([row], total.value);
    },
  });
  const x = tensor([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual(numbers(partial(x, tensor([0, 3, 8, 10, 99], { dtype: int64 }))), [0, 6, 36, 55, 55]);
});

Deno.test("tune() measures every configuration, and the fastest is taken from then on", async () => {
  const slow = kernel({
    schema: "tests::slow_or_fast(Tensor x) -> Tensor",
    meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
    configs: [{ times: 400 }, { times: 1 }],
    body: (tile, { x, out }, { times }) => {
      const i = tile.grid(x.size(0), 256);
      const v = tile.variable(x.load([i]));
      tile.loop(times, 1, () => v.set(v.value.sin()));
      out.store([i], v.value);
    },
  });
  const x = randn([4096]);
  const measured = await slow.tune(x);
  assert.equal(measured.length, 2);
  assert.ok((measured[0]?.ms ?? 0) > (measured[1]?.ms ?? Infinity));
  assert.ok(((slow(x) as Tensor).sub(x.sin()).abs().max().item() as number) < 1e-6);
  const messages: string[] = [];
  using _ = onEvent((e) => void (e.kind === "autotune" && messages.push(e.message)));
  compile((t: Tensor) => slow(t) as Tensor)(randn([100]));
  assert.match(messages.join("\n"), /not measured: its first configuration is taken; call tune\(\)/);
});

Deno.test("mistakes in a kernel are named when it is called", () => {
  const attempt = (body: Parameters<typeof kernel>[0]["body"], name: string): string => {
    const f = kernel(
      {
        schema: `tests::${name}(Tensor x) -> Tensor`,
        meta: ({ x }: { x: Tensor }) => ({ shape: x.shape, dtype: x.dtype }),
        body,
      } as Parameters<typeof kernel>[0],
    );
    try {
      f(randn([6, 5]));
      return "";
    } catch (error) {
      return error instanceof TypeError ? error.message : String(error);
    }
  };
  type Body = Parameters<typeof kernel>[0]["body"];
  const body = (fn: (tile: Parameters<Body>[0], given: Record<string, never>) => void): Body => fn as unknown as Body;
  const cases: readonly [string, Body, RegExp][] = [
    ["odd_block", body((tile) => void tile.grid(6, 3)), /a block covers 3 positions: make it a power of two/],
    [
      "wrong_rank",
      body((tile, { x }) => void (x as never as { load(i: unknown): void }).load([tile.grid(6)])),
      /a load of x takes 2 indices, one a dimension, got 1/,
    ],
    [
      "reads_result",
      body((tile, { out }) => void (out as never as { load(i: unknown): void }).load([tile.grid(6), 0])),
      /out is a result: a kernel cannot read what it writes/,
    ],
    [
      "escapes",
      body((tile, { x, out }) => {
        const [a, b] = [x, out] as never as { load(i: unknown): never; store(i: unknown, v: unknown): void }[];
        const m = tile.grid(6);
        let kept: unknown;
        tile.loop(5, 4, (j) => void (kept = (a?.load([m, j]) as never as { sum(axis: unknown): unknown }).sum(j)));
        b?.store([m, 0], kept);
      }),
      /made inside of a loop .* is used outside: keep it in a variable/,
    ],
    [
      "meets",
      body((tile, { x, out }) => {
        const [a, b] = [x, out] as never as { load(i: unknown): never; store(i: unknown, v: unknown): void }[];
        const [m, j] = [tile.grid(6), tile.range(5)];
        b?.store([m, 0], a?.load([m, j]));
      }),
      /several elements of the block meet in one place; reduce it first/,
    ],
    ["too_narrow", body((tile) => void tile.range(6, 4)), /a range of 6 positions does not fit a block of 4/],
    ["is_async", (async () => {}) as never, /its function is async/],
  ];
  for (const [name, fn, message] of cases) assert.match(attempt(fn, name), message, name);
  assert.throws(() => kernel({ schema: "tests::none(Tensor x) -> Tensor", configs: [] } as never), /configs is empty/);
  assert.throws(
    () => kernel({ schema: "tests::warps(Tensor x) -> Tensor", configs: [{ warps: 3 }] } as never),
    /warps is 3: use 1, 2, 4/,
  );
  assert.throws(() => cube(1), /x is a number; a kernel reads tensors/);
  assert.throws(() => cube(randn([2]), 3), /takes 1 arguments, got 2/);
});

/** The same kernel on the reference executor and compiled. */
function bothWays(fn: KernelFunction, ...args: readonly Tensor[]): number[][][] {
  const lists = (r: unknown): number[][] => (Array.isArray(r) ? r : [r]).map(numbers);
  const compiled = compile((...given: Tensor[]) => fn(...given) as Tensor, { fullgraph: true, mode: "aot" });
  return [lists(withEagerBackend(referenceBackend, () => fn(...args))), lists(compiled(...args))];
}

Deno.test("a compiled kernel with range() serves a second width by a second program", () => {
  const f = compile((x: Tensor) => softmax(x) as Tensor, { fullgraph: true });
  for (const width of [10, 12, 17]) {
    const x = randn([4, width]);
    const worst = f(x).sub(x.softmax(1)).abs().max().item() as number;
    assert.ok(worst < 1e-5, `${width}: ${worst}`);
  }
});

const sums = kernel({
  schema: "tests::sums(Tensor x) -> (Tensor, Tensor, Tensor)",
  meta: ({ x }) => {
    const row = { shape: x.shape.slice(0, 1), dtype: x.dtype.isFloat ? x.dtype : int64 };
    return [row, row, row];
  },
  body: (tile, { x, out0, out1, out2 }) => {
    const row = tile.grid(x.size(0));
    const j = tile.range(x.size(1));
    const v = x.load([row, j]);
    out0.store([row], v.add(1).sum(j));
    out1.store([row], v.max(j));
    out2.store([row], v.min(j));
  },
});

Deno.test("integers are summed in int64, and the largest of the very small ones is found", () => {
  for (const got of bothWays(sums, tensor([[100, 100, 100]], { dtype: int8 }))) {
    assert.deepEqual(got, [[303], [100], [100]]);
  }
  const wide = (...x: number[]): Tensor => tensor([x], { dtype: int64 });
  for (const got of bothWays(sums, wide(-(2 ** 60), -(2 ** 61), -(2 ** 62)))) assert.deepEqual(got[1], [-(2 ** 60)]);
  for (const got of bothWays(sums, wide(2 ** 60, 2 ** 61, 2 ** 61))) assert.deepEqual(got[2], [2 ** 60]);
});

Deno.test("a range without positions is summed to nothing, and an expanded dimension is summed over", () => {
  for (const got of bothWays(sums, zeros([2, 0]))) {
    assert.deepEqual(got, [[0, 0], [-Infinity, -Infinity], [Infinity, Infinity]]);
  }
  for (const got of bothWays(sums, tensor([[2], [3]]).expand([2, 16]))) {
    assert.deepEqual(got, [[48, 64], [2, 3], [2, 3]]);
  }
});

Deno.test("numbers beside halves are not rounded to halves, nor beside integers to integers", () => {
  const scaled = kernel({
    schema: "tests::scaled(Tensor x) -> Tensor",
    meta: ({ x }) => ({ shape: x.shape, dtype: float32 }),
    body: (tile, { x, out }) => {
      const i = tile.grid(x.size(0), 4);
      const v = x.load([i]);
      out.store([i], tile.where(v.gt(0), v.mul(0.1), -1e30).maximum(tile.where(v.gt(1), 0.5, v)));
    },
  });
  for (const dtype of [float16, int64]) {
    for (const got of bothWays(scaled, tensor([1, 2, -3], { dtype }))) {
      assert.deepEqual(got, [[1, 0.5, -3]]);
    }
  }
  const small = kernel({
    schema: "tests::tenth(Tensor x) -> Tensor",
    meta: ({ x }) => ({ shape: x.shape, dtype: float32 }),
    body: (tile, { x, out }) => {
      const i = tile.grid(x.size(0), 4);
      out.store([i], x.load([i]).mul(0.1));
    },
  });
  for (const got of bothWays(small, tensor([1], { dtype: float16 }))) assert.deepEqual(got, [[Math.fround(0.1)]]);
});

Deno.test("JavaScript's operators on blocks, tensors and axes as operands are refused with what to write", () => {
  let count = 0;
  const refused = (body: (v: Block, i: BlockAxis) => unknown, message: RegExp): void => {
    const wrong = kernel({
      schema: `tests::wrong_${count++}(Tensor x) -> Tensor`,
      meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
      body: (tile, { x, out }) => {
        const i = tile.grid(x.size(0), 4);
        out.store([i], body(x.load([i]), i) as Block);
      },
    });
    assert.throws(() => wrong(zeros([3])), (e: unknown) => e instanceof TypeError && message.test(e.message));
  };
  refused((v) => (v as unknown as number) > 0 ? v : v.neg(), /no value while it is recorded: write a\.add/);
  refused((v) => v.add(tensor(1) as never), /a tensor must be an argument of the schema/);
  refused((v, i) => v.add(i as never), /tile\.position\(axis\)/);
  refused((v) => v.sum(0 as never), /an axis of grid\(\), range\(\) or loop\(\) is missing/);
});

Deno.test("a schema that is no kernel's, a name that is taken and results that meta forgets are refused", () => {
  const make = (schema: string): KernelFunction =>
    kernel(
      {
        schema,
        meta: (args) => {
          const x = Object.values(args)[0] as unknown as Tensor;
          return { shape: x.shape, dtype: x.dtype };
        },
        body: () => {},
      } as Parameters<typeof kernel>[0],
    );
  assert.throws(() => make("tests::cube(Tensor x) -> Tensor"), /an operator tests::cube already/);
  assert.throws(() => make("tests::writes_(Tensor(a!) x) -> Tensor(a!)"), /writes to x/);
  assert.throws(() => make("tests::named_out(Tensor out) -> Tensor"), /called out, as a result is/);
  assert.throws(() => make("tests::nothing(Tensor x) -> ()"), /must end in "-> Tensor"/);
  assert.throws(
    () => make("tests::forgets(Tensor x) -> (Tensor, Tensor)")(zeros([3])),
    /meta describes 1 results, the schema has 2/,
  );
});

Deno.test("atomicAdd() and masked loads leave out positions beyond an axis that only values or masks vary over", () => {
  const total = kernel({
    schema: "tests::total_exp(Tensor x) -> (Tensor, Tensor)",
    meta: () => [{ shape: [1], dtype: float32 }, { shape: [1], dtype: int64 }],
    body: (tile, { x, out0, out1 }) => {
      const i = tile.grid(x.size(0), 8);
      out0.atomicAdd([0], x.load([i]).exp());
      out1.atomicAdd([0], 1, { mask: x.load([i]).le(0) });
    },
  });
  for (const got of bothWays(total, tensor([0, 0, 0, 0, 0], { dtype: float32 }))) assert.deepEqual(got, [[5], [5]]);
  const outer = kernel({
    schema: "tests::outer_five(Tensor a, Tensor b) -> Tensor",
    meta: () => ({ shape: [3, 2], dtype: float32 }),
    body: (tile, { a, b, out }) => {
      const [m, n, k] = [tile.grid(3, 16), tile.grid(2, 16), tile.range(5)];
      const mask = tile.position(k).ge(0);
      out.store([m, n], tile.dot(a.load([m], { mask }), b.load([n], { mask }), k));
    },
  });
  const [a, b] = [tensor([1, 2, 3], { dtype: float32 }), tensor([1, 10], { dtype: float32 })];
  for (const got of bothWays(outer, a, b)) assert.deepEqual(got, [[5, 50, 10, 100, 15, 150]]);
});

Deno.test("numbers of a kernel over float64 are float64, those beside float32 are float32", () => {
  const rowSums = kernel({
    schema: "tests::row_sums_of_any(Tensor x) -> Tensor",
    meta: ({ x }) => ({ shape: x.shape.slice(0, 1), dtype: x.dtype }),
    body: (tile, { x, out }) => {
      const i = tile.grid(x.size(0), 2);
      const sum = tile.variable(0, [i]);
      tile.loop(x.size(1), 4, (j) => sum.add(x.load([i, j]).sum(j)));
      out.store([i], sum.value.add(tile.constant(0)));
    },
  });
  const x = tensor([[1, 1e-9, 0.1], [1 / 3, 2, 0]], { dtype: float64 });
  assert.deepEqual(numbers(rowSums(x)), [1 + 1e-9 + 0.1, 1 / 3 + 2]);
  assert.deepEqual(numbers(rowSums(x.to(float32))), numbers(x.to(float32).sum(1)));
});

Deno.test("a range of one position is an axis that dot() takes", () => {
  const product = kernel({
    schema: "tests::product_of_ranges(Tensor x, Tensor y) -> Tensor",
    meta: ({ x, y }) => ({ shape: [...x.shape.slice(0, 1), ...y.shape.slice(1)], dtype: x.dtype }),
    body: (tile, { x, y, out }) => {
      const [i, j, k] = [tile.range(x.size(0)), tile.range(y.size(1)), tile.range(x.size(1))];
      out.store([i, j], tile.dot(x.load([i, k]), y.load([k, j]), k));
    },
  });
  for (const [m, k, n] of [[1, 3, 2], [2, 1, 3], [3, 2, 1], [1, 1, 1]] as const) {
    const [x, y] = [randn([m, k]), randn([k, n])];
    const [got, want] = [numbers(product(x, y)), numbers(x.matmul(y))];
    assert.equal(got.length, want.length);
    got.forEach((v, at) => assert.ok(Math.abs(v - (want[at] as number)) < 1e-5, `${m}, ${k}, ${n}: ${v}`));
  }
});

Deno.test("a kernel that stores to a result under another name is told what there is", () => {
  const two = kernel({
    schema: "tests::two_results(Tensor x) -> (Tensor, Tensor)",
    meta: ({ x }) => [{ shape: x.shape, dtype: x.dtype }, { shape: x.shape, dtype: x.dtype }],
    body: (tile, { x, out }) => {
      const i = tile.grid(x.size(0), 8);
      out.store([i], x.load([i]));
    },
  });
  assert.throws(() => two(randn([8])), /kernel two_results: it stores to out, but has 2 results: out0, out1/);
});
