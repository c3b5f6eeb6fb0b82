/** The world after a compiled call is the world after an eager one: training steps, writes, views, objects, gradients, random numbers. */
import assert from "node:assert/strict";
import { float32 } from "../../src/core/mod.ts";
import * as nn from "../../src/nn/mod.ts";
import * as optim from "../../src/optim/mod.ts";
import { manualSeed, noGrad, rand, randn, Tensor, tensor, zeros } from "../../src/tensor/mod.ts";
import { compilations, eachBackend, full, plain, same } from "./support.ts";

class Net extends nn.Module {
  readonly fc1 = new nn.Linear(4, 8);
  readonly norm = new nn.BatchNorm1d(8);
  readonly drop = new nn.Dropout(0.25);
  readonly fc2 = new nn.Linear(8, 3);
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.drop.forward(nn.functional.relu(this.norm.forward(this.fc1.forward(x)))));
  }
}

function batches(): [Tensor, Tensor][] {
  manualSeed(11);
  return Array.from({ length: 4 }, () => [randn([6, 4]), tensor([0, 1, 2, 0, 1, 2])]);
}

for (
  const [name, make] of [
    ["SGD with momentum", (p: Tensor[]) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, weightDecay: 0.01 })],
    ["Adam", (p: Tensor[]) => new optim.Adam(p, { lr: 0.01 })],
    ["AdamW", (p: Tensor[]) => new optim.AdamW(p, { lr: 0.01 })],
  ] as const
) {
  eachBackend(`a whole training step with ${name} is one graph and leaves the same world`, (backend) => {
    const run = (compiled: boolean): unknown => {
      const data = batches();
      manualSeed(5);
      const model = new Net();
      const opt = make(model.parameters());
      const body = (x: Tensor, y: Tensor): Tensor => {
        const loss = nn.functional.crossEntropy(model.forward(x), y);
        loss.backward();
        opt.step();
        opt.zeroGrad();
        return loss;
      };
      const step = compiled ? full(body, backend) : body;
      manualSeed(7);
      const losses = data.map(([x, y]) => step(x, y).item());
      if (compiled) assert.ok(compilations(step) <= 2, `${compilations(step)} compilations`);
      const after = rand([2]);
      return plain([losses, model.stateDict(), opt.stateDict().state, model.fc1.weight.grad, after]);
    };
    assert.deepEqual(run(true), run(false));
  });
}

eachBackend("gradients accumulate in .grad over compiled calls as over eager ones", (backend) => {
  const run = (compiled: boolean): unknown => {
    const w = nn.parameter(tensor([1, 2.5]));
    const body = (x: Tensor): void => {
      w.mul(x).mul(w).sum().backward();
    };
    const f = compiled ? full(body, backend) : body;
    const seen: unknown[] = [];
    for (const x of [1.5, 2, 3]) {
      f(tensor([x, 1]));
      seen.push(plain(w.grad));
    }
    w.grad = null;
    f(tensor([2.5, 1]));
    seen.push(plain(w.grad));
    return seen;
  };
  assert.deepEqual(run(true), run(false));
});

eachBackend("a hand-written optimiser with state in Maps and counters", (backend) => {
  const run = (compiled: boolean): unknown => {
    const w = nn.parameter(tensor([1, 2.5]));
    const world = { lr: 0.5, velocity: new Map<string, Tensor>(), log: [] as number[], steps: 0 };
    const body = (x: Tensor): Tensor => {
      const loss = w.mul(x).pow(2).sum();
      loss.backward();
      noGrad(() => {
        const before = world.velocity.get("w");
        const g = w.grad as Tensor;
        const v = before === undefined ? g.clone() : before.mul(0.9).add(g);
        world.velocity.set("w", v);
        w.sub_(v.mul(world.lr));
      });
      w.grad = null;
      world.steps++;
      world.log.push(world.steps);
      return loss;
    };
    const f = compiled ? full(body, backend) : body;
    const losses = [1.5, 2, 0.5].map((x) => f(tensor([x, 1])).item());
    return plain([losses, w, world.velocity, world.log, world.steps, w.grad]);
  };
  assert.deepEqual(run(true), run(false));
});

eachBackend("writes to inputs, through views and chains of views", (backend) => {
  const bodies: ((x: Tensor) => unknown)[] = [
    (x) => x.add_(1).mul(2),
    (x) => {
      x.at(0).mul_(10);
      return x.sum();
    },
    (x) => {
      x.t().at(1).add_(x.at(0, 0));
      return x.mul(1.5);
    },
    (x) => {
      const v = x.view([6]);
      const y = v.mul(2);
      v.zero_();
      x.add_(1);
      return [y, v.add(0)];
    },
    (x) => {
      const [a, b] = x.split(1, 0) as [Tensor, Tensor];
      a.copy_(b);
      b.neg_();
      return a.add(b);
    },
    (x) => {
      const y = x.clone();
      y.at(1).fill_(3);
      return y;
    },
    (x) => {
      const y = zeros([2, 3]);
      y.add_(x);
      y.t().mul_(2);
      return y;
    },
  ];
  bodies.forEach((body, i) => {
    const f = full(body, backend);
    for (let round = 0; round < 2; round++) {
      const [a, b] = [0, 1].map(() => tensor([[1, 2.5, 3], [4, 5, 6 + round]])) as [Tensor, Tensor];
      const expected = body(a);
      const actual = f(b);
      assert.deepEqual(plain([actual, b]), plain([expected, a]), `body ${i}`);
    }
    assert.equal(compilations(f), 1, `body ${i}`);
  });
});

eachBackend("results that are inputs, views of inputs, or share memory stay what they are", (backend) => {
  const f = full((x: Tensor) => {
    const y = x.mul(2);
    return { x, t: x.t(), row: x.at(1), y, view: y.view([6]), same: [y, y] as const };
  }, backend);
  for (let round = 0; round < 2; round++) {
    const x = tensor([[1, 2.5, 3], [4, 5, 6]]);
    const out = f(x);
    assert.equal(out.x, x);
    assert.equal(out.same[0], out.y);
    assert.equal(out.same[1], out.y);
    x.at(1).fill_(9);
    same(out.row, tensor([9, 9, 9], { dtype: float32 }));
    same(out.t, x.t());
    out.y.fill_(7);
    same(out.view, tensor([7, 7, 7, 7, 7, 7], { dtype: float32 }));
  }
});

eachBackend("containers, cycles, instances, constants and fresh tensors as results", (backend) => {
  class Point {
    constructor(public at: Tensor, public label: string) {}
    norm(): Tensor {
      return this.at.mul(this.at).sum();
    }
  }
  const f = full((x: Tensor, o: { name: string }) => {
    const list: unknown[] = [x.add(1)];
    list.push(list);
    return {
      list,
      point: new Point(x.mul(3), "p"),
      map: new Map([["k", x]]),
      set: new Set([1, 2]),
      fresh: tensor([1, 2, 3]),
      o,
      nothing: undefined,
    };
  }, backend);
  const x = tensor([1, 2.5]);
  const o = { name: "n" };
  const first = f(x, o);
  const second = f(x, o);
  for (const out of [first, second]) {
    same(out.list[0], x.add(1));
    assert.equal(out.list[1], out.list);
    assert.ok(out.point instanceof Point);
    same(out.point.norm(), x.mul(3).mul(x.mul(3)).sum());
    assert.equal(out.map.get("k"), x);
    assert.deepEqual([...out.set], [1, 2]);
    assert.equal(out.o, o);
    assert.equal(out.nothing, undefined);
  }
  assert.notEqual(first.fresh, second.fresh);
  first.fresh.zero_();
  same(second.fresh, tensor([1, 2, 3]));
  same(f(x, o).fresh, tensor([1, 2, 3]));
  assert.equal(compilations(f), 1);
});

eachBackend("objects, arrays and Maps that the function changes are changed after each call", (backend) => {
  type World = { last: Tensor | null; list: unknown[]; map: Map<string, unknown>; tags: Set<string>; gone?: number };
  const body = (x: Tensor, w: World): Tensor => {
    w.last = x.mul(2);
    w.list.length = 0;
    w.list.push(x, w.last, { nested: x.add(1) });
    w.map.set("x", x.sum());
    w.map.delete("old");
    w.tags.add("seen");
    delete w.gone;
    return w.last.add(w.list.length);
  };
  const f = full(body, backend);
  const world = (): World => ({
    last: null,
    list: [1, 2, 3, 4],
    map: new Map([["old", 1]]),
    tags: new Set(["a"]),
    gone: 1,
  });
  for (let i = 0; i < 3; i++) {
    const x = randn([2]);
    const [a, b] = [world(), world()];
    same([f(x, a), a], [body(x, b), b]);
    assert.equal(a.list[0], x);
    assert.equal(a.list[1], a.last);
    assert.equal("gone" in a, false);
  }
  assert.equal(compilations(f), 1);
});

eachBackend("dropout and random tensors draw the same numbers as eager", (backend) => {
  const drop = new nn.Dropout(0.5);
  const body = (x: Tensor): Tensor => drop.forward(x).add(rand([2, 50])).add(randn([50]));
  const f = full(body, backend);
  const x = randn([2, 50]);
  manualSeed(3);
  const expected = [body(x), body(x), rand([3])];
  manualSeed(3);
  same([f(x), f(x), rand([3])], expected);
  assert.notDeepEqual(plain(expected[0]), plain(expected[1]));
});

eachBackend("gradients flow through a compiled model to parameters and inputs", (backend) => {
  manualSeed(2);
  const model = new nn.Sequential(new nn.Linear(4, 5), new nn.Tanh(), new nn.Linear(5, 2));
  const body = (x: Tensor): { out: Tensor; hidden: Tensor; count: Tensor } => {
    const out = model.forward(x);
    return { out, hidden: x.sigmoid(), count: x.gt(0) };
  };
  const f = full(body, backend);
  const run = (g: typeof body): unknown => {
    const x = tensor([[1, 2.5, -1, 0.5], [0.25, -2, 3, 1]]).requiresGrad_();
    model.zeroGrad();
    const { out, hidden, count } = g(x);
    assert.equal(count.requiresGrad, false);
    const y = out.mul(2).sum().add(hidden.sum());
    y.backward();
    return plain([out, hidden, count, x.grad, model.parameters().map((p) => p.grad)]);
  };
  const expected = run(body);
  for (let i = 0; i < 2; i++) assert.deepEqual(run(f), expected);
  // Without gradients the same function is an inference graph.
  const x = randn([2, 4]);
  noGrad(() => same(f(x).out, body(x).out));
  assert.equal(noGrad(() => f(x).out.requiresGrad), false);
});

eachBackend("a write that the tape does not record leaves the history as it was", (backend) => {
  const w = nn.parameter(tensor([1, 2.5, -1]));
  const bodies: ((x: Tensor) => Tensor)[] = [
    (x) => {
      const y = w.mul(x);
      noGrad(() => y.mul_(3));
      return y.sum();
    },
    (x) => {
      noGrad(() => w.add_(0.5));
      return w.mul(w).mul(x).sum();
    },
    (x) => {
      noGrad(() => w.narrow(0, 1, 2).copy_(x.narrow(0, 0, 2)));
      return w.pow(3).mul(x).sum();
    },
  ];
  for (const body of bodies) {
    const f = full(body, backend);
    const start = w.detach().clone();
    const after = [body, f, f].map((run) => {
      noGrad(() => w.copy_(start));
      w.grad = null;
      const loss = run(tensor([2, 0.5, 3]));
      loss.backward();
      return [loss, w.grad, w.detach().clone()];
    });
    same(after[1], after[0]);
    same(after[2], after[0]);
  }
});

eachBackend("a loss whose backward() ran inside still has a history, which cannot be walked again", (backend) => {
  const w = nn.parameter(tensor([1, 2.5]));
  const body = (x: Tensor): Tensor => {
    const loss = w.mul(x).sum();
    loss.backward();
    return loss;
  };
  for (const run of [body, full(body, backend)]) {
    const loss = run(tensor([2, 0.5]));
    assert.equal(loss.requiresGrad, true);
    assert.equal(loss.isLeaf, false);
    assert.throws(() => loss.backward(), /was already walked/);
    assert.throws(() => loss.mul(2).backward(), /was already walked/);
  }
});
