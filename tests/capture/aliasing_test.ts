/** Random programs that view, write, store and return: afterwards the world is as eager leaves it, also to who writes into it later. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compile } from "../../src/capture/mod.ts";
import { InternalError } from "../../src/core/mod.ts";
import "../../src/inductor/mod.ts";
import { F, noGrad, Tensor, tensor } from "../../src/tensor/mod.ts";

/** One step: an operation on values made so far, by number. */
interface Step {
  readonly op: number;
  readonly a: number;
  readonly b: number;
  readonly k: number;
}

const step = fc.record({
  op: fc.integer({ min: 0, max: 27 }),
  a: fc.nat({ max: 20 }),
  b: fc.nat({ max: 20 }),
  k: fc.integer({ min: -2, max: 2 }),
});

interface Program {
  readonly steps: readonly Step[];
  readonly returns: readonly number[];
  /** Whether the first input wants a gradient, and whether the second is a view of it. */
  readonly wantsGrad: boolean;
  readonly shares: boolean;
}

const programs = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 7 }),
  returns: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 3 }),
  wantsGrad: fc.boolean(),
  shares: fc.boolean(),
});

/** Everything outside of the function that it may change. */
class World {
  readonly buffer = tensor([[1, -2, 3], [4, 5, -6]]);
  kept: Tensor | null = null;
  readonly list: Tensor[] = [];
  readonly map = new Map<string, Tensor>();
}

/** Applies a step; what it gives joins the values. Steps that do not fit their operands do nothing. */
function apply({ op, a, b, k }: Step, values: Tensor[], world: World): void {
  const x = values[a % values.length] as Tensor;
  const y = values[b % values.length] as Tensor;
  const same = x.ndim === y.ndim && x.shape.every((s, d) => s === y.shape[d]);
  const push = (t: Tensor): void => void values.push(t);
  const written = (write: (t: Tensor) => Tensor): void => {
    // A leaf that wants a gradient may only be written without the tape; a tensor with repeated elements not at all.
    if (x.stride.some((s, d) => s === 0 && x.shape[d] !== 1)) return;
    if (x.requiresGrad || y.requiresGrad) noGrad(() => write(x));
    else write(x);
  };
  switch (op) {
    case 0:
      return push(x.t());
    case 1:
      if (x.ndim > 0) push(x.select(0, 0));
      return;
    case 2:
      if (x.ndim > 0 && (x.shape[0] as number) > 1) push(x.slice(0, 1, null));
      return;
    case 3:
      return push(x.reshape([-1]));
    case 4:
      return push(x.unsqueeze(0));
    case 5:
      return push(x.expand([2, ...x.shape]));
    case 6:
      return push(x.detach());
    case 7:
      return push(x.contiguous());
    case 8:
      return push(x.to(x.dtype));
    case 9:
      return push(x.mul(k));
    case 10:
      if (same) push(x.add(y));
      return;
    case 11:
      return push(x.clone());
    case 12:
      return push(x.transpose(0, -1));
    case 13:
      if (x.ndim > 0) push(x.flip([0]));
      return;
    case 14:
      return written((t) => t.add_(k));
    case 15:
      return written((t) => t.mul_(k));
    case 16:
      if (same) written((t) => t.copy_(y));
      return;
    case 17:
      if (same) written((t) => t.add_(y));
      return;
    case 18:
      return written((t) => t.zero_());
    case 19:
      world.kept = x;
      return;
    case 20:
      world.list.push(x);
      return;
    case 21:
      world.map.set(`k${k}`, x);
      return;
    case 22:
      return push(world.buffer);
    case 23:
      if (world.kept !== null) push(world.kept);
      return;
    case 24:
      return written((t) => t.relu_());
    case 25:
      if (x.ndim > 0) push(x.unbind(0).at(-1) as Tensor);
      return;
    case 26:
      if (x.isContiguous) push(x.view([1, -1]));
      return;
    default:
      return push(F.cat([x.reshape([-1]), y.reshape([-1])], 0));
  }
}

function inputsOf({ wantsGrad, shares }: Program, round: number): Tensor[] {
  const x = tensor([[1, 2.5, -3], [0.5, -1, 4]]).mul(round + 1);
  const y = shares ? x.select(0, 1) : tensor([7, 8, -9]).add(round);
  if (wantsGrad && !shares) x.requiresGrad_();
  return [x, y];
}

function facts(t: Tensor): unknown {
  return {
    shape: t.shape,
    stride: t.stride.map((s, d) => t.shape[d] === 1 ? 1 : s),
    data: [...t.detach().dataSync()].map(Number),
    requiresGrad: t.requiresGrad,
    isLeaf: t.isLeaf,
    dtype: t.dtype.name,
  };
}

/** What is left: facts, versions of what was there before, identities, and which tensors see a write to which. */
function left(results: readonly Tensor[], inputs: readonly Tensor[], world: World): unknown {
  const all = [...results, ...inputs, world.buffer, ...world.list, ...world.map.values()];
  if (world.kept !== null) all.push(world.kept);
  const before = all.map(facts);
  const same = all.map((t) => all.indexOf(t));
  const versions = [...inputs, world.buffer].map((t) => t.version > 0);
  const sees = all.map((t) => {
    if (t.numel === 0 || t.stride.some((s, d) => s === 0 && t.shape[d] !== 1)) return null;
    const old = all.map((o) => [...o.detach().dataSync()].join());
    noGrad(() => t.detach().reshape([-1]).numel && t.detach().add_(100));
    const seen = all.map((o, i) => [...o.detach().dataSync()].join() !== old[i]);
    noGrad(() => t.detach().sub_(100));
    return seen;
  });
  return { before, same, versions, sees, names: [...world.map.keys()] };
}

function body(program: Program, world: World): (...inputs: Tensor[]) => Tensor[] {
  return (x, y) => {
    const values = [x as Tensor, y as Tensor];
    for (const s of program.steps) apply(s, values, world);
    return program.returns.map((i) => values[i % values.length] as Tensor);
  };
}

function run(
  program: Program,
  wrap: (fn: (...inputs: Tensor[]) => Tensor[]) => (...inputs: Tensor[]) => Tensor[],
): unknown[] {
  const world = new World();
  const f = wrap(body(program, world));
  const out: unknown[] = [];
  for (let round = 0; round < 3; round++) {
    const inputs = inputsOf(program, round);
    try {
      out.push(left(f(...inputs), inputs, world));
    } catch (error) {
      // That both sides fail within is no agreement.
      if (error instanceof InternalError) throw error;
      out.push({ error: (error as Error).name });
    }
  }
  return out;
}

const KEEPS_VALUES: readonly Program[] = [
  { steps: [{ op: 14, a: 3, b: 0, k: 0 }], returns: [0], wantsGrad: false, shares: false },
  { steps: [{ op: 15, a: 1, b: 0, k: 1 }], returns: [1], wantsGrad: false, shares: true },
  {
    steps: [{ op: 16, a: 0, b: 0, k: 0 }, { op: 22, a: 0, b: 0, k: 0 }, { op: 14, a: 2, b: 0, k: 0 }],
    returns: [0, 2],
    wantsGrad: false,
    shares: false,
  },
  {
    steps: [{ op: 0, a: 0, b: 0, k: 0 }, { op: 15, a: 2, b: 0, k: 1 }],
    returns: [2, 0],
    wantsGrad: true,
    shares: false,
  },
];

Deno.test("writes of what is there already (add_(0), mul_(1), a copy of itself) leave what eager leaves, and no internal error", () => {
  for (const backend of ["eager", "aot_eager", "inductor"]) {
    for (const program of KEEPS_VALUES) {
      const options = backend === "inductor" ? { tier: "js" } : {};
      assert.deepEqual(run(program, (fn) => compile(fn, { backend, options })), run(program, (fn) => fn));
    }
  }
});

for (const [backend, runs] of [["eager", 250], ["aot_eager", 250], ["inductor", 60]] as const) {
  Deno.test(`random programs of views and writes leave the world that eager leaves (${backend})`, () => {
    fc.assert(
      fc.property(programs, (program) => {
        const expected = run(program, (fn) => fn);
        const found = run(
          program,
          (fn) => compile(fn, { backend, options: backend === "inductor" ? { tier: "js" } : {} }),
        );
        assert.deepEqual(found, expected);
      }),
      { numRuns: runs, seed: 5 },
    );
  });
}

Deno.test("what is written into parts of a tensor that wants a gradient is written", () => {
  const parts: readonly ((x: Tensor) => readonly Tensor[])[] = [
    (x) => x.unbind(0),
    (x) => x.split(1),
    (x) => x.chunk(2),
    (x) => x.tensorSplit(2),
    (x) => x.splitWithSizes([1, 1]),
  ];
  for (const backend of ["eager", "aot_eager", "inductor"]) {
    for (const take of parts) {
      const f = compile((x: Tensor): Tensor => {
        const last = take(x).at(-1) as Tensor;
        noGrad(() => last.add_(5));
        return x.mul(last).sum();
      }, { backend, fullgraph: true });
      const x = tensor([[1, 2.5], [3, 4]]).requiresGrad_();
      f(x).backward();
      assert.deepEqual(x.detach().toArray(), [[1, 2.5], [8, 9]]);
      assert.equal(x.version, 1);
      assert.deepEqual(x.grad?.toArray(), [[8, 9], [1 + 16, 2.5 + 18]]);
    }
  }
});

Deno.test("what is written behind the tape's back leaves the history as it was", () => {
  const bodies: readonly ((x: Tensor) => Tensor)[] = [
    (x) => {
      const y = x.mul(2);
      y.detach().add_(5);
      return y;
    },
    (x) => {
      const y = x.mul(2);
      y.select(0, 0).detach().add_(5);
      return y.mul(3);
    },
    (x) => {
      const y = x.mul(2);
      noGrad(() => y.select(0, 1).mul_(5));
      return y.mul(y);
    },
  ];
  for (const backend of ["eager", "aot_eager", "inductor"]) {
    for (const body of bodies) {
      const run = (g: typeof body): unknown => {
        const x = tensor([[1, 2.5], [3, 4]]).requiresGrad_();
        const y = g(x);
        y.mul(y).sum().backward();
        return [y.detach().toArray(), x.grad?.toArray(), y.requiresGrad];
      };
      assert.deepEqual(run(compile(body, { backend, fullgraph: true })), run(body));
    }
  }
});

Deno.test("results that compute the same share no memory, also where they are seen through views", () => {
  const bodies: readonly ((x: Tensor) => readonly Tensor[])[] = [
    (x) => [x.add(1).t(), x.add(1).t()],
    (x) => [x.add(1), x.add(1).t()],
    (x) => [x.add(1).select(0, 0), x.add(1).select(0, 1), x.add(1).select(0, 0)],
    (x) => [x.clone().t(), x.clone().t()],
    (x) => [x.mul(1).t(), x.div(1).select(0, 0), x.sub(0).view([-1])],
    (x) => x.mul(1).unbind(0),
    (x) => [x.add(1).unbind(0)[0] as Tensor, x.add(1).unbind(0)[0] as Tensor],
  ];
  const sees = (fn: (x: Tensor) => readonly Tensor[]): unknown => {
    const x = tensor([[1, 2.5], [3, 4]]);
    const all = [...fn(x), x];
    return all.map((t) => {
      const before = all.map((o) => String(o.toArray()));
      t.add_(10);
      const seen = all.map((o, i) => String(o.toArray()) !== before[i]);
      t.sub_(10);
      return seen;
    });
  };
  for (const backend of ["eager", "aot_eager", "inductor"]) {
    bodies.forEach((body, i) =>
      assert.deepEqual(sees(compile(body, { backend, fullgraph: true })), sees(body), `body ${i} on ${backend}`)
    );
  }
});
