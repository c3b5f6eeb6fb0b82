/** Concatenations and splits: what is copied, how often, and that results stay. */
import assert from "node:assert/strict";
import { compile, type CompiledGraph, onCompile, randn, type Tensor } from "../../mod.ts";
import { withConfig } from "../../src/core/mod.ts";
import type { PlanCounters } from "../../src/inductor/metrics.ts";
import { F, noGrad } from "../../src/tensor/mod.ts";

/** Compiles a function of tensors to JavaScript kernels, compares with eager, and counts. */
function check(f: (...x: Tensor[]) => Tensor | Tensor[], inputs: readonly Tensor[]): PlanCounters {
  using _config = withConfig({ disabled: new Set(["cache", "cpp"]), verify: true });
  let graph: CompiledGraph | null = null;
  using _ = onCompile((record) => graph = record.graph);
  const run = compile(f);
  const list = (r: Tensor | Tensor[]): number[][] =>
    (Array.isArray(r) ? r : [r]).map((t) => [...t.contiguous().dataSync()].map(Number));
  noGrad(() => {
    for (let call = 0; call < 2; call++) {
      const [a, b] = [list(run(...inputs)), list(f(...inputs))];
      assert.deepEqual(a.map((x) => x.length), b.map((x) => x.length));
      a.forEach((x, i) =>
        x.forEach((v, j) => assert.ok(Math.abs(v - (b[i]?.[j] ?? NaN)) < 1e-4, `${v}, ${b[i]?.[j]}`))
      );
    }
  });
  assert(graph !== null);
  return (graph as CompiledGraph).counters;
}

const PARTS = 8;

/** Layers that read all results before them, as lists or one concatenation in the other. */
function dense(nested: boolean, seen = false): (x: Tensor) => Tensor[] {
  return (x) => {
    const list = [x];
    let joined = x;
    const results: Tensor[] = [];
    for (let i = 1; i < PARTS; i++) {
      const next = joined.sin().sum([1], true).add(i);
      list.push(next);
      joined = nested ? F.cat([joined, next], 1) : F.cat(list, 1);
      if (seen) results.push(joined);
    }
    return [...results, joined.exp().sum([1])];
  };
}

for (const nested of [false, true]) {
  Deno.test(`concatenations that begin alike are stored once: ${nested ? "one in the other" : "lists"}`, () => {
    const rows = 16;
    const { elementsMoved, peakBytes } = check(dense(nested), [randn([rows, 1, 4])]);
    // Each layer reads what lies before it and adds one part, whose sum is written, read and written in its place: no part is copied again.
    const reads = Array.from({ length: PARTS }, (_, i) => i + 1).reduce((a, b) => a + b, 0);
    const most = rows * 4 * (reads + 3 * PARTS);
    assert.ok(elementsMoved <= most, `${elementsMoved} elements, ${most} are enough`);
    const one = PARTS * rows * 4 * 4;
    assert.ok(peakBytes <= 2 * one + 1024, `${peakBytes} bytes, one concatenation has ${one}`);
  });
}

Deno.test("concatenations that begin alike have memory of their own where the caller gets them", () => {
  using _config = withConfig({ disabled: new Set(["cache", "cpp"]) });
  check(dense(false, true), [randn([3, 1, 4])]);
  const run = compile((x: Tensor) => {
    const list = Array.from({ length: 6 }, (_, i) => x.add(i));
    return [F.cat(list.slice(0, 5), 0), F.cat(list, 0)];
  });
  const x = randn([2, 3]);
  noGrad(() => {
    const [short, long] = run(x) as [Tensor, Tensor];
    const before = [...long.dataSync()];
    short.fill_(7);
    assert.deepEqual([...long.dataSync()], before);
  });
});

Deno.test("concatenations that begin alike but part later, and whose dimension differs, stay right", () => {
  check((x, y) => {
    const list = Array.from({ length: 6 }, (_, i) => x.add(i).cos());
    const a = F.cat([...list, y], 1),
      b = F.cat([...list, y.neg()], 1),
      c = F.cat(list, 0),
      d = F.cat(list.slice(0, 5), 1);
    return [a.sin().sum([1]), b.sin().sum([0]), c.sin().sum([0]), d.exp().sum([1])];
  }, [randn([4, 3]), randn([4, 3])]);
});

Deno.test("a concatenation in another is not stored by itself", () => {
  const inner = (x: Tensor, y: Tensor): Tensor => {
    const parts = Array.from({ length: 5 }, (_, i) => x.mul(i + 2));
    return F.cat([y, F.cat(parts, 0), y.neg()], 0).sum([0]);
  };
  const { elementsMoved } = check(inner, [randn([4, 8]), randn([4, 8])]);
  // 7 parts of 32 are written once and read once; x and y are read.
  assert.ok(elementsMoved <= 7 * 32 * 2 + 7 * 32 + 8, `${elementsMoved}`);
});

const SPLITS: readonly {
  readonly name: string;
  readonly f: (x: Tensor) => Tensor | Tensor[];
  readonly elements: number;
}[] = [
  {
    name: "chunks that are read where they lie",
    f: (x) => {
      const [a, b] = x.chunk(2, 1) as [Tensor, Tensor];
      return a.sigmoid().mul(b);
    },
    elements: 64 + 32,
  },
  {
    name: "splits of a concatenation of two",
    f: (x) => {
      const [a, b] = F.cat([x.sin(), x.cos()], 0).split(8, 0) as [Tensor, Tensor];
      return a.mul(b);
    },
    elements: 64 + 64,
  },
  {
    name: "a slice of a concatenation",
    f: (x) => F.cat([x.sin(), x.cos(), x.exp()], 0).slice(0, 8, 16).mul(2),
    elements: 64 + 64,
  },
  {
    name: "a concatenation of computed parts that is a result",
    f: (x) => F.cat([x.sin(), x.cos()], 0),
    elements: 64 + 128,
  },
  {
    name: "halves turned and put together again: a rotary embedding",
    f: (x) => {
      const [a, b] = x.chunk(2, 1) as [Tensor, Tensor];
      return x.mul(2).add(F.cat([b.neg(), a], 1).mul(3));
    },
    elements: 64 * 2 + 64,
  },
];
for (const { name, f, elements } of SPLITS) {
  Deno.test(`one kernel, no copy: ${name}`, () => {
    const { kernels, elementsMoved } = check(f, [randn([8, 8])]);
    assert.equal(kernels, 1);
    assert.ok(elementsMoved <= elements, `${elementsMoved} elements, ${elements} are enough`);
  });
}
