/** Ways to train, in one compiled step on the device: float16 with a scaled loss, clipping, several batches a step, activations computed again. Results are the CPU's. */
import assert from "node:assert/strict";
import {
  autocast,
  checkpoint,
  compile,
  float16,
  int64,
  manualSeed,
  nn,
  optim,
  randint,
  randn,
  type Tensor,
} from "../../../mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

interface Ways {
  readonly isHalf?: boolean;
  readonly clip?: number;
  readonly pieces?: number;
  readonly again?: boolean;
}

const [ROWS, WIDTH, CLASSES] = [16, 32, 8] as const;

/** Losses of some steps, and what the last has left of all parameters. */
function train(device: "cpu" | "cuda", { isHalf = false, clip, pieces = 1, again = false }: Ways): number[] {
  manualSeed(5);
  const first = new nn.Sequential(new nn.Linear(WIDTH, WIDTH), new nn.LayerNorm(WIDTH), new nn.GELU());
  const last = new nn.Linear(WIDTH, CLASSES);
  const model = new nn.Sequential(first, last).to(device);
  const [x, y] = [randn([ROWS, WIDTH]).to(device), randint(0, CLASSES, [ROWS], { dtype: int64 }).to(device)];
  const opt = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  const scaler = new optim.GradScaler(device, { enabled: isHalf, initScale: 1024 });
  const lossOf = (a: Tensor, b: Tensor): Tensor => {
    const forward = (t: Tensor): Tensor => first.forward(t);
    const hidden = again ? checkpoint(forward)(a) : forward(a);
    return nn.functional.crossEntropy(last.forward(hidden), b).div(pieces);
  };
  const step = compile((a: Tensor, b: Tensor): Tensor => {
    let total: Tensor | null = null;
    for (let i = 0; i < pieces; i++) {
      const part = (t: Tensor): Tensor => t.narrow(0, i * ROWS / pieces, ROWS / pieces);
      const loss = autocast(device, { dtype: float16, enabled: isHalf }, () => lossOf(part(a), part(b)));
      scaler.scale(loss).backward();
      total = total === null ? loss.detach() : total.add(loss.detach());
    }
    scaler.unscale(opt);
    if (clip !== undefined) nn.utils.clipGradNorm_(model.parameters(), clip);
    scaler.step(opt);
    scaler.update();
    opt.zeroGrad();
    return total as Tensor;
  });
  const losses = Array.from({ length: 4 }, () => Number(step(x, y).item()));
  return [...losses, ...[...model.parameters()].map((p) => Number(p.detach().abs().sum().item()))];
}

for (
  const [name, ways, tolerance] of [
    ["float16, a scaled loss and clipping", { isHalf: true, clip: 0.5 }, 5e-3],
    ["two batches a step", { pieces: 2, clip: 0.5 }, 1e-4],
    ["activations computed again", { again: true }, 1e-4],
    ["all of it", { isHalf: true, clip: 1, pieces: 2, again: true }, 5e-3],
  ] as const
) {
  cudaTest(`a training step with ${name} is the CPU's`, () => {
    const [there, here] = [train("cuda", ways), train("cpu", ways)];
    for (const [i, want] of here.entries()) {
      assert.ok(
        Math.abs((there[i] ?? NaN) - want) <= tolerance * Math.abs(want),
        `${i}: ${there[i]} instead of ${want}`,
      );
    }
    // It learns: the fourth loss is below the first.
    assert.ok((here[3] ?? NaN) < (here[0] ?? NaN));
  });
}
