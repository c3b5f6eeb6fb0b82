/** Numbers that change between calls: the learning rate becomes an input of the graph the second time. */
import assert from "node:assert/strict";
import { optim, randn, type Tensor } from "../../mod.ts";
import { onEvent } from "../../src/core/mod.ts";
import { captureStats } from "../../src/capture/mod.ts";
import { compilations, full, plain } from "./support.ts";

type Make = (params: readonly Tensor[]) => optim.Optimizer;

const OPTIMISERS: Readonly<Record<string, Make>> = {
  "SGD": (p) => new optim.SGD(p, { lr: 0.1 }),
  "SGD with momentum": (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
  "Adam": (p) => new optim.Adam(p, { lr: 0.1 }),
  "AdamW": (p) => new optim.AdamW(p, { lr: 0.1 }),
  "RMSprop": (p) => new optim.RMSprop(p, { lr: 0.1, momentum: 0.5 }),
  "Adagrad": (p) => new optim.Adagrad(p, { lr: 0.1, lrDecay: 0.05 }),
};

function trains(make: Make, wrap: (step: (x: Tensor) => Tensor) => (x: Tensor) => Tensor): unknown {
  const weights = [data.w.clone().requiresGrad_(), data.b.clone().requiresGrad_()];
  const optimizer = make(weights);
  const schedule = new optim.StepLR(optimizer, { stepSize: 1, gamma: 0.8 });
  const step = wrap((x) => {
    const [w, b] = weights as [Tensor, Tensor];
    const loss = x.matmul(w).add(b).tanh().sum();
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const losses: unknown[] = [];
  for (let i = 0; i < 12; i++) {
    losses.push(plain(step(data.x)));
    schedule.step();
  }
  return [losses, weights.map(plain)];
}

const data = { x: randn([5, 4]), w: randn([4, 3]), b: randn([3]) };

for (const [name, make] of Object.entries(OPTIMISERS)) {
  for (const backend of ["eager", "aot_eager"]) {
    Deno.test(`a schedule of the learning rate of ${name} compiles twice and trains as eager does (${backend})`, () => {
      let compiled: unknown;
      const actual = trains(make, (step) => {
        const f = full(step, backend);
        compiled = f;
        return f;
      });
      assert.deepEqual(actual, trains(make, (step) => step));
      assert.equal(compilations(compiled), 2);
    });
  }
}

Deno.test("two groups with rates of their own share an entry, also when the rates meet", () => {
  const run = (wrap: (step: () => Tensor) => () => Tensor): unknown => {
    const [u, v] = [data.w.clone().requiresGrad_(), data.b.clone().requiresGrad_()] as const;
    const optimizer = new optim.SGD([{ params: [u], lr: 0.1 }, { params: [v], lr: 0.2 }]);
    const step = wrap(() => {
      const loss = u.add(v).tanh().sum();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    const out: unknown[] = [];
    for (const [a, b] of [[0.1, 0.2], [0.3, 0.4], [0.5, 0.5], [0.5, 0.6]] as const) {
      (optimizer.paramGroups[0] as { lr: number }).lr = a;
      (optimizer.paramGroups[1] as { lr: number }).lr = b;
      out.push(plain(step()));
    }
    return [out, plain(u), plain(v)];
  };
  let compiled: ((...args: never[]) => unknown) | null = null;
  const actual = run((step) => compiled = full(step, "aot_eager"));
  assert.deepEqual(actual, run((step) => step));
  assert.ok(compiled !== null);
  assert.equal(captureStats(compiled).entries, 2);
});

Deno.test("the recompilation says which number became an input; dynamic: false keeps it a constant", () => {
  const w = data.w.clone().requiresGrad_();
  const optimizer = new optim.SGD([w], { lr: 0.1 });
  const step = (): Tensor => {
    const loss = w.sum();
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  };
  const group = optimizer.paramGroups[0] as { lr: number };
  const messages: string[] = [];
  const f = full(step, "eager");
  {
    using _ = onEvent((e) => void (e.kind === "recompile" && messages.push(e.message)));
    for (const lr of [0.1, 0.2, 0.3]) {
      group.lr = lr;
      f();
    }
  }
  assert.equal(messages.length, 1);
  assert.match(messages[0] ?? "", /lr was 0\.1, now 0\.2; made an input/);
  const fixed = full(step, "eager", { dynamic: false });
  for (const lr of [0.1, 0.2, 0.3]) {
    group.lr = lr;
    fixed();
  }
  assert.equal(compilations(fixed), 3);
});
