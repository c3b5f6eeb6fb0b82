/**
 * Gradient scaling: PyTorch's sequence of scales, steps that are left out, eager and captured.
 */
import assert from "node:assert/strict";
import {
  autocast,
  compile,
  float16,
  float32,
  manualSeed,
  nn,
  noGrad,
  onCompile,
  optim,
  randn,
  type Tensor,
  tensor,
} from "../../mod.ts";

const weight = (): Tensor => tensor([1, 2], { dtype: float32 }).requiresGrad_();

/** What PyTorch's scaler does with these gradients: growth after 2 good steps, SGD with lr 1. `Infinity` makes a bad step. */
const FACTORS = [1, 1, Infinity, 1, NaN, 1, 1];
const SCALES = [4, 8, 4, 4, 2, 2, 4];
const STEPS = [1, 2, 2, 3, 3, 4, 5];

function run(step: (w: Tensor, opt: optim.SGD, scaler: optim.GradScaler) => (factor: Tensor) => void): void {
  const w = weight();
  const opt = new optim.SGD([w], { lr: 1 });
  const scaler = new optim.GradScaler("cpu", { initScale: 4, growthInterval: 2 });
  const call = step(w, opt, scaler);
  FACTORS.forEach((factor, i) => {
    call(tensor(factor, { dtype: float32 }));
    assert.equal(scaler.getScale(), SCALES[i], `scale after step ${i}`);
    assert.deepEqual(w.detach().toArray(), [1 - (STEPS[i] ?? 0), 2 - (STEPS[i] ?? 0)], `weight after step ${i}`);
  });
}

function stepOf(w: Tensor, opt: optim.SGD, scaler: optim.GradScaler): (factor: Tensor) => void {
  return (factor) => {
    scaler.scale(w.mul(factor).sum()).backward();
    scaler.step(opt);
    scaler.update();
    opt.zeroGrad();
  };
}

Deno.test("bad steps are left out and halve the scale, good ones double it", () => run(stepOf));

Deno.test("a captured step is one graph that does the same", () => {
  let graphs = 0;
  using _ = onCompile(() => void graphs++);
  run((w, opt, scaler) => compile(stepOf(w, opt, scaler), { fullgraph: true }));
  assert.equal(graphs, 1);
});

Deno.test("a captured step leaves the optimiser's state as it was, too", () => {
  manualSeed(4);
  const layer = new nn.Linear(4, 3);
  const opt = new optim.AdamW(layer.parameters(), { lr: 0.1 });
  const scaler = new optim.GradScaler("cpu", { initScale: 1024 });
  const step = compile((x: Tensor) => {
    const loss = autocast("cpu", { dtype: float16 }, () => layer.forward(x)).pow(2).mean();
    scaler.scale(loss).backward();
    scaler.step(opt);
    scaler.update();
    opt.zeroGrad();
    return loss.detach();
  }, { fullgraph: true });
  const x = randn([5, 4]);
  const first = step(x).item();
  const kept = [...layer.parameters(), ...opt.paramGroups[0]?.state.flatMap((s) => Object.values(s)) ?? []];
  const before = kept.map((t) => t.detach().clone().toArray());
  step(x.mul(Infinity));
  assert.deepEqual(kept.map((t) => t.detach().toArray()), before);
  assert.equal(scaler.getScale(), 512);
  for (let i = 0; i < 5; i++) step(x);
  assert.ok(step(x).item() < first);
});

Deno.test("gradients are divided by the scale once, before clipping", () => {
  const w = weight();
  const opt = new optim.SGD([w], { lr: 1 });
  const scaler = new optim.GradScaler("cpu", { initScale: 8 });
  scaler.scale(w.mul(3).sum()).backward();
  assert.deepEqual(w.grad?.toArray(), [24, 24]);
  scaler.unscale(opt);
  assert.deepEqual(w.grad?.toArray(), [3, 3]);
  assert.throws(() => scaler.unscale(opt), /unscaled already/);
  scaler.step(opt);
  assert.deepEqual(w.detach().toArray(), [-2, -1]);
  assert.throws(() => scaler.step(opt), /stepped already/);
  scaler.update();
  assert.throws(() => scaler.update(), /nothing is known/);
  scaler.update(2);
  assert.equal(scaler.getScale(), 2);
});

Deno.test("errors and states of a scaler", () => {
  assert.throws(() => new optim.GradScaler("cpu", { growthFactor: 1 }), RangeError);
  assert.throws(() => new optim.GradScaler("cpu", { backoffFactor: 1 }), RangeError);
  const w = weight();
  const opt = new optim.SGD([w], { lr: 1 });
  const scaler = new optim.GradScaler("cpu", { initScale: 8 });
  assert.throws(() => scaler.step(opt), /no parameter of this optimiser has a gradient/);
  assert.deepEqual(scaler.stateDict(), {
    scale: 8,
    growth_factor: 2,
    backoff_factor: 0.5,
    growth_interval: 2000,
    _growth_tracker: 0,
  });
  const other = new optim.GradScaler("cpu");
  other.loadStateDict({ ...scaler.stateDict(), _growth_tracker: 7 });
  assert.equal(other.getScale(), 8);
  assert.equal(other.growthTracker.item(), 7);
  const off = new optim.GradScaler("cuda", { enabled: false });
  assert.deepEqual(off.stateDict(), {});
  assert.throws(() => scaler.loadStateDict(off.stateDict()), TypeError);
  const loss = w.sum();
  assert.equal(off.scale(loss), loss);
  loss.backward();
  off.step(opt);
  off.update();
  assert.deepEqual(w.detach().toArray(), [0, 1]);
  const half = noGrad(() => tensor([1], { dtype: float16 })).requiresGrad_();
  const bad = new optim.SGD([half], { lr: 1 });
  half.sum().backward();
  assert.throws(() => scaler.step(bad), /float16/);
});

Deno.test("step() refuses a closure while it scales, and hands it on when it does not", () => {
  const w = weight();
  const opt = new optim.SGD([w], { lr: 1 });
  const closure = (): Tensor => {
    opt.zeroGrad();
    const loss = w.sum();
    loss.backward();
    return loss;
  };
  assert.throws(() => new optim.GradScaler("cpu").step(opt, closure), /takes no closure.*scale\(loss\)\.backward\(\)/);
  assert.deepEqual(w.detach().toArray(), [1, 2]);
  new optim.GradScaler("cpu", { enabled: false }).step(opt, closure);
  assert.deepEqual(w.detach().toArray(), [0, 1]);
});
