import assert from "node:assert/strict";
import { float32, optim, Tensor, tensor } from "../../mod.ts";
import { assertClose } from "../nn/support.ts";

function sgd(lr: number | Tensor = 0.1): optim.SGD {
  return new optim.SGD([tensor([0], { dtype: float32, requiresGrad: true })], { lr, momentum: 0.9 });
}

function rates(scheduler: { step(): void; getLastLr(): number[] }, steps: number): number[] {
  const out = [scheduler.getLastLr()[0] ?? NaN];
  for (let i = 0; i < steps; i++) {
    scheduler.step();
    out.push(scheduler.getLastLr()[0] ?? NaN);
  }
  return out;
}

Deno.test("StepLR, CosineAnnealingLR and LambdaLR follow PyTorch", () => {
  assertClose(
    rates(new optim.StepLR(sgd(), { stepSize: 2, gamma: 0.5 }), 5),
    [0.1, 0.1, 0.05, 0.05, 0.025, 0.025],
    1e-9,
  );
  assertClose(
    rates(new optim.CosineAnnealingLR(sgd(), { tMax: 4, etaMin: 0.01 }), 6),
    [0.1, 0.086819805, 0.055, 0.023180195, 0.01, 0.023180195, 0.055],
    1e-8,
  );
  assertClose(rates(new optim.LambdaLR(sgd(), (e) => 1 / (1 + e)), 3), [0.1, 0.05, 0.1 / 3, 0.025], 1e-9);
  assert.throws(() => new optim.LambdaLR(sgd(), []), /0 functions for 1 groups/);
});

Deno.test("OneCycleLR follows PyTorch in rate and momentum", () => {
  const opt = sgd();
  const scheduler = new optim.OneCycleLR(opt, { maxLr: 1, totalSteps: 8 });
  const momentum = [opt.paramGroups[0]?.momentum ?? NaN];
  const lrs = [scheduler.getLastLr()[0] ?? NaN];
  for (let i = 0; i < 7; i++) {
    scheduler.step();
    lrs.push(scheduler.getLastLr()[0] ?? NaN);
    momentum.push(opt.paramGroups[0]?.momentum ?? NaN);
  }
  assertClose(lrs, [0.04, 0.819275105, 0.971941777, 0.811745654, 0.555984014, 0.283060998, 0.076641594, 4e-6], 1e-7);
  assertClose(
    momentum,
    [0.95, 0.86882551, 0.852805833, 0.86882551, 0.894401776, 0.921694187, 0.94233621, 0.95],
    1e-7,
  );
  scheduler.step();
  assert.throws(() => scheduler.step(), /beyond the cycle of 8/);
  assertClose(
    rates(
      new optim.OneCycleLR(sgd(), {
        maxLr: 1,
        totalSteps: 10,
        pctStart: 0.5,
        annealStrategy: "linear",
        divFactor: 10,
        finalDivFactor: 100,
      }),
      9,
    ),
    [0.1, 0.325, 0.55, 0.775, 1, 0.8002, 0.6004, 0.4006, 0.2008, 0.001],
    1e-7,
  );
});

Deno.test("OneCycleLR moves the first beta of Adam", () => {
  const opt = new optim.Adam([tensor([0], { dtype: float32, requiresGrad: true })]);
  new optim.OneCycleLR(opt, { maxLr: 1, totalSteps: 4 });
  assert.deepEqual(opt.paramGroups[0]?.betas, [0.95, 0.999]);
});

Deno.test("ReduceLROnPlateau follows PyTorch", () => {
  const opt = sgd(1);
  const scheduler = new optim.ReduceLROnPlateau(opt, { factor: 0.5, patience: 1, cooldown: 1 });
  const seen = [5, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3].map((metric) => {
    scheduler.step(metric);
    return scheduler.getLastLr()[0] ?? NaN;
  });
  assert.deepEqual(seen, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125]);
});

Deno.test("a learning rate in a tensor is written in place", () => {
  const lr = tensor(0.1);
  const opt = sgd(lr);
  const scheduler = new optim.StepLR(opt, { stepSize: 1 });
  scheduler.step();
  assert.equal(opt.paramGroups[0]?.lr, lr);
  assert.ok(lr instanceof Tensor && Math.abs(lr.item() - 0.01) < 1e-8);
});

Deno.test("a scheduler goes on from its state dict", () => {
  const a = new optim.CosineAnnealingLR(sgd(), { tMax: 10 });
  for (let i = 0; i < 4; i++) a.step();
  const b = new optim.CosineAnnealingLR(sgd(), { tMax: 10 });
  b.loadStateDict(a.stateDict());
  assert.deepEqual(rates(b, 3), rates(a, 3));
});
