/**
 * What stands behind a graph break, and control flow, on CUDA: the same values as on the CPU, with each part compiled. On the emulated device where there is no GPU.
 */
import assert from "node:assert/strict";
import { compile, cond, nn, noGrad, onCompile, randn, scan, type Tensor, tensor, whileLoop } from "../../../mod.ts";
import { assertClose as assertValues, cudaTest } from "../../helpers/cuda_test.ts";

function assertClose(actual: Tensor, expected: Tensor): void {
  assert.equal(actual.device.type, "cuda");
  assertValues(actual, expected);
}

/** Devices of the graphs that `body` compiles. */
function devicesOf(body: () => void): string[] {
  const found: string[] = [];
  using _ = onCompile(({ graph }) => void found.push(String(graph.device)));
  body();
  return found;
}

cudaTest("what stands behind a number read from the device is compiled for the device", () => {
  const f = compile((x: Tensor): Tensor => {
    const y = x.mul(2).add(1);
    const s = y.sum().item();
    return Number(s) > 0 ? y.relu().mul(3) : y.neg().exp();
  });
  const devices = devicesOf(() => {
    for (const sign of [1, -1, 1, -1]) {
      const x = randn([5, 7]).abs().add(1).mul(sign);
      const y = x.mul(2).add(1);
      assertClose(noGrad(() => f(x.cuda())), sign > 0 ? y.relu().mul(3) : y.neg().exp());
    }
  });
  assert.ok(devices.length >= 3, `parts before and behind the break, both ways: ${devices}`);
  assert.deepEqual(new Set(devices), new Set(["cuda:0"]));
});

cudaTest("gradients flow through a break on the device", () => {
  const model = new nn.Linear(6, 4);
  const w = model.weight.clone();
  const f = compile((x: Tensor): Tensor => {
    const h = model.forward(x).tanh();
    const scale = Number(h.abs().max().item()) > 0 ? 2 : 3;
    return h.mul(scale).pow(2).sum();
  });
  const x = randn([3, 6]);
  f(x).backward();
  const expected = model.weight.grad as Tensor;
  model.weight.grad = null;
  model.to("cuda");
  assert.deepEqual([...model.weight.cpu().dataSync()], [...w.dataSync()]);
  f(x.cuda()).backward();
  assertClose(model.weight.grad as unknown as Tensor, expected);
});

cudaTest("a choice between two graphs runs on the device, both ways", () => {
  const f = compile((p: Tensor, x: Tensor): Tensor =>
    cond(p, (x: Tensor) => x.sin().mul(2), (x: Tensor) => x.cos().sub(1), [x]) as Tensor
  );
  const x = randn([4, 9]);
  for (const p of [true, false, true]) {
    assertClose(noGrad(() => f(tensor(p).cuda(), x.cuda())), p ? x.sin().mul(2) : x.cos().sub(1));
  }
});

cudaTest("a loop until a condition of the device holds", () => {
  const f = compile((x: Tensor): Tensor => {
    const [, y] = whileLoop(
      (i: Tensor, y: Tensor) => i.lt(4).logicalAnd(y.sum().lt(1e6)),
      (i: Tensor, y: Tensor) => [i.add(1), y.mul(y).add(0.5)],
      [tensor(0).to(x.device), x],
    ) as [Tensor, Tensor];
    return y;
  });
  const x = randn([3, 5]).mul(0.5);
  let y = x;
  for (let i = 0; i < 4 && Number(y.sum().item()) < 1e6; i++) y = y.mul(y).add(0.5);
  assertClose(noGrad(() => f(x.cuda())), y);
});

cudaTest("a scan of the device carries its state", () => {
  const f = compile((h: Tensor, xs: Tensor): readonly Tensor[] => {
    const [last, all] = scan(
      (h: Tensor, x: Tensor) => {
        const next = h.mul(0.5).add(x).tanh();
        return [next, next.mul(2)];
      },
      h,
      xs,
    ) as [Tensor, Tensor];
    return [last, all];
  });
  const h = randn([4]), xs = randn([6, 4]);
  const [last, all] = noGrad(() => f(h.cuda(), xs.cuda()));
  const [wantLast, wantAll] = noGrad(() => f(h, xs));
  assertClose(last as Tensor, wantLast as Tensor);
  assertClose(all as Tensor, wantAll as Tensor);
});
