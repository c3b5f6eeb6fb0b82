import assert from "node:assert/strict";
import { float32, optim, type Tensor, tensor } from "../../mod.ts";
import { assertClose, flat } from "../nn/support.ts";

/** Five steps on Σ c·(w - 0.3)² from [1, -2, 3], recorded from PyTorch. */
const RECORDED: readonly [string, (p: Tensor[]) => { step(): void; zeroGrad(): void }, number[]][] = [
  ["SGD", (p) => new optim.SGD(p, { lr: 0.1 }), [0.529376, -1.0581269, 0.509952]],
  ["SGD, momentum", (p) => new optim.SGD(p, { lr: 0.05, momentum: 0.9 }), [0.279588, -0.6594586, -1.2671341]],
  [
    "SGD, nesterov and weight decay",
    (p) => new optim.SGD(p, { lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.1 }),
    [0.1893875, -0.325557, -0.8405191],
  ],
  [
    "SGD, dampening",
    (p) => new optim.SGD(p, { lr: 0.05, momentum: 0.9, dampening: 0.4 }),
    [0.434608, -0.9902147, -0.6636677],
  ],
  ["SGD, maximize", (p) => new optim.SGD(p, { lr: 0.01, maximize: true }), [1.0728565, -2.1173232, 3.5849626]],
  ["Adam", (p) => new optim.Adam(p, { lr: 0.1 }), [0.5145516, -1.5024701, 2.502023]],
  [
    "Adam, weight decay",
    (p) => new optim.Adam(p, { lr: 0.1, weightDecay: 0.2, betas: [0.8, 0.9] }),
    [0.5148151, -1.5027688, 2.5021937],
  ],
  ["Adam, amsgrad", (p) => new optim.Adam(p, { lr: 0.3, amsgrad: true }), [-0.0807262, -0.5371494, 1.5283189]],
  ["AdamW", (p) => new optim.AdamW(p, { lr: 0.1, weightDecay: 0.3 }), [0.4099948, -1.250904, 2.1097116]],
  ["RMSprop", (p) => new optim.RMSprop(p, { lr: 0.05 }), [0.3017721, -0.6316735, 1.5879984]],
  [
    "RMSprop, centered and momentum",
    (p) => new optim.RMSprop(p, { lr: 0.02, centered: true, momentum: 0.8, weightDecay: 0.1 }),
    [-0.0813788, -0.4770386, 1.4513128],
  ],
  ["Adagrad", (p) => new optim.Adagrad(p, { lr: 0.3 }), [0.3689193, -1.1146741, 2.1008711]],
  [
    "Adagrad, decay",
    (p) => new optim.Adagrad(p, { lr: 0.3, lrDecay: 0.5, initialAccumulatorValue: 0.2, weightDecay: 0.1 }),
    [0.5011717, -1.4035946, 2.3922386],
  ],
];

const start = (): Tensor => tensor([1, -2, 3], { dtype: float32, requiresGrad: true });

function descend(w: Tensor, opt: { step(): void; zeroGrad(): void }, steps: number): void {
  const c = tensor([1, 0.5, 2]);
  for (let i = 0; i < steps; i++) {
    opt.zeroGrad();
    const d = w.sub(0.3);
    d.mul(d).mul(c).sum().backward();
    opt.step();
  }
}

for (const [name, make, expected] of RECORDED) {
  Deno.test(`${name} makes PyTorch's steps`, () => {
    const w = start();
    descend(w, make([w]), 5);
    assertClose(w, expected, 2e-6);
  });
}

Deno.test("a learning rate in a tensor gives the same steps as a number", () => {
  for (
    const make of [
      (p: Tensor[], lr: number | Tensor) => new optim.SGD(p, { lr, momentum: 0.9 }),
      (p: Tensor[], lr: number | Tensor) => new optim.AdamW(p, { lr, weightDecay: 0.1 }),
      (p: Tensor[], lr: number | Tensor) => new optim.Adagrad(p, { lr, lrDecay: 0.1 }),
    ]
  ) {
    const a = start();
    const b = start();
    descend(a, make([a], 0.05), 4);
    descend(b, make([b], tensor(0.05)), 4);
    assertClose(a, flat(b), 1e-6);
  }
});

Deno.test("parameter groups have options of their own", () => {
  const a = start();
  const b = start();
  const opt = new optim.SGD([{ params: [a], lr: 0.5 }, { params: [b] }], { lr: 0.1 });
  for (const w of [a, b]) w.sum().backward();
  opt.step();
  assertClose(a, [0.5, -2.5, 2.5]);
  assertClose(b, [0.9, -2.1, 2.9]);
  assert.throws(() => opt.addParamGroup({ params: [a] }), /given twice/);
});

Deno.test("a parameter without gradient is left alone and its step count waits", () => {
  const a = start();
  const b = start();
  const alone = start();
  const opt = new optim.Adam([a, b], { lr: 0.1 });
  a.sum().backward();
  opt.step();
  assert.deepEqual(flat(b), [1, -2, 3]);
  a.grad = null;
  // b's first step must have a first step's bias correction.
  b.mul(b).sum().backward();
  opt.step();
  alone.mul(alone).sum().backward();
  new optim.Adam([alone], { lr: 0.1 }).step();
  assertClose(b, flat(alone), 1e-6);
  const { state } = opt.stateDict();
  assert.equal(state[0]?.["step"]?.item(), 1);
  assert.equal(state[1]?.["step"]?.item(), 1);
});

Deno.test("stateDict() has PyTorch's layout and loadStateDict() goes on where it was saved", () => {
  const a = start();
  const one = new optim.AdamW([a], { lr: 0.1, amsgrad: true });
  descend(a, one, 3);
  const saved = one.stateDict();
  assert.deepEqual(Object.keys(saved.state[0] ?? {}), ["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]);
  assert.deepEqual(saved.param_groups[0]?.params, [0]);
  assert.equal(saved.param_groups[0]?.["weight_decay"], 0.01);
  const b = tensor(flat(a), { dtype: float32, requiresGrad: true });
  const two = new optim.AdamW([b], { lr: 9, amsgrad: true });
  two.loadStateDict(structuredCopy(saved));
  descend(a, one, 2);
  descend(b, two, 2);
  assert.deepEqual(flat(b), flat(a));
});

function structuredCopy(dict: optim.OptimizerStateDict): optim.OptimizerStateDict {
  const state = Object.fromEntries(
    Object.entries(dict.state).map((
      [i, s],
    ) => [i, Object.fromEntries(Object.entries(s).map(([k, v]) => [k, v.clone()]))]),
  );
  return { state, param_groups: dict.param_groups };
}

Deno.test("loadStateDict() refuses what does not fit and changes nothing", () => {
  const opt = new optim.Adam([start()], { lr: 0.1 });
  const other = new optim.Adam([tensor([1.5], { requiresGrad: true })], { lr: 0.7 });
  assert.throws(() => opt.loadStateDict(other.stateDict()), /"exp_avg".*\[1\] saved, \[3\] here/);
  assert.equal(opt.paramGroups[0]?.lr, 0.1);
  assert.throws(() => opt.loadStateDict({ state: {}, param_groups: [] }), /0 groups saved, 1 here/);
  const sgd = new optim.SGD([start()], { lr: 0.1 });
  assert.throws(() => opt.loadStateDict(sgd.stateDict()), /no "step" saved/);
});

Deno.test("step(closure) returns the closure's loss", () => {
  const w = start();
  const opt = new optim.SGD([w], { lr: 0.1 });
  const loss = opt.step(() => {
    const l = w.sum();
    l.backward();
    return l;
  });
  assert.equal(loss.item(), 2);
  assertClose(w, [0.9, -2.1, 2.9]);
});

Deno.test("optimisers refuse bad options and parameters", () => {
  const w = start();
  assert.throws(() => new optim.SGD([w], { lr: -1 }), /SGD: lr must be in \[0, Infinity\), got -1/);
  assert.throws(() => new optim.SGD([w], { lr: 1, nesterov: true }), /nesterov needs a momentum/);
  assert.throws(() => new optim.Adam([w], { betas: [0.9, 1] }), /betas\[1\]/);
  assert.throws(() => new optim.Adam([]), /got no parameters/);
  assert.throws(() => new optim.Adam([w.mul(2)]), /result of operators/);
  assert.throws(() => new optim.Adam([w, w]), /given twice/);
});

Deno.test("zeroGrad() forgets or clears gradients", () => {
  const w = start();
  const opt = new optim.SGD([w], { lr: 0.1 });
  w.sum().backward();
  opt.zeroGrad({ setToNone: false });
  assert.deepEqual(flat(w.grad ?? w), [0, 0, 0]);
  opt.zeroGrad();
  assert.equal(w.grad, null);
});
