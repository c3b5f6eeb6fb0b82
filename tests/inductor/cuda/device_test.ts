/** Tensors on "cuda", eager and compiled, on an emulated device: what a program sees is what it sees on the CPU. */
import assert from "node:assert/strict";
import {
  compile,
  CompiledGraph,
  defaultGenerator,
  F,
  float32,
  manualSeed,
  nn,
  noGrad,
  onCompile,
  onEvent,
  optim,
  rand,
  randn,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

const matrix = (): Tensor => tensor([[1.5, 2, 3], [4, 5, 6.5]], { device: "cuda" });

cudaTest("tensors are made, read, printed and moved", async () => {
  const x = matrix();
  assert.equal(String(x.device), "cuda:0");
  assert.equal(String(x), "tensor([[1.5000, 2.0000, 3.0000],\n        [4.0000, 5.0000, 6.5000]], device='cuda:0')");
  assert.deepEqual([...await x.data()], [1.5, 2, 3, 4, 5, 6.5]);
  assert.deepEqual(x.t().toArray(), [[1.5, 4], [2, 5], [3, 6.5]]);
  assert.equal(x.cpu().device.type, "cpu");
  assert.equal(x.cuda(), x);
  assert.deepEqual(x.cpu().cuda().t().cpu().toArray(), x.t().toArray());
  assert.deepEqual(zeros([2], { device: "cuda" }).toArray(), [0, 0]);
});

cudaTest("eager operators compute on the device; views alias, writes in place reach them", () => {
  const x = matrix();
  const sum = x.add(x);
  assert.equal(sum.device, x.device);
  assert.deepEqual(sum.toArray(), [[3, 4, 6], [8, 10, 13]]);
  const row = x.at(1);
  row.mul_(2);
  assert.deepEqual(x.toArray(), [[1.5, 2, 3], [8, 10, 13]]);
  x.t().copy_(tensor([[1, 2], [3, 4], [5, 6]], { device: "cuda" }));
  assert.deepEqual(x.toArray(), [[1, 3, 5], [2, 4, 6]]);
  assert.deepEqual(row.toArray(), [2, 4, 6]);
});

cudaTest("devices do not mix, but for 0-dim tensors of the CPU", () => {
  const x = matrix();
  assert.throws(() => x.add(tensor([1, 2, 3])), /^TypeError: add: tensors are on cuda:0 and cpu; move them/);
  const factor = tensor(2.5);
  assert.deepEqual(x.mul(factor).toArray(), [[3.75, 5, 7.5], [10, 12.5, 16.25]]);
  assert.equal(factor.mul(x).device, x.device);
  x.mul_(factor);
  assert.equal(x.at(0, 0).item(), 3.75);
});

cudaTest("random numbers are the CPU's, from a state on the device", () => {
  manualSeed(7);
  const here = rand([5]);
  const normal = randn([4]);
  manualSeed(7);
  const there = rand([5], { device: "cuda" });
  assert.equal(defaultGenerator("cuda").state.device.type, "cuda");
  assert.deepEqual(there.cpu().toArray(), here.toArray());
  assertClose(randn([4], { device: "cuda" }), normal);
});

cudaTest("an index out of range is an error where data are read, and the device goes on", () => {
  const x = matrix();
  const bad = x.indexSelect(1, tensor([0, 7], { device: "cuda" }));
  assert.throws(
    () => bad.toArray(),
    /^RangeError: index_select: an index is 7, but the dimension it selects from has 3/,
  );
  assert.deepEqual(x.indexSelect(1, tensor([0, 2], { device: "cuda" })).toArray(), [[1.5, 3], [4, 6.5]]);
});

cudaTest("a compiled function runs as a CUDA graph; its results belong to the caller", () => {
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  // A kernel for each product.
  const chain = (x: Tensor): Tensor => {
    let y = x;
    for (let i = 0; i < 5; i++) y = y.matmul(x).mul(0.5);
    return y;
  };
  const f = compile(chain);
  const inputs = [1, 2, 3, 4].map((k) => rand([4, 4], { device: "cuda" }).mul(k));
  const results = inputs.map((x) => f(x));
  assert.equal(graphs.length, 1);
  assert.equal(graphs[0]?.tier, "cuda");
  assert.equal(graphs[0]?.cuda?.executable.recorded, 1);
  results.forEach((r, i) => assertClose(r.cpu(), chain((inputs[i] as Tensor).cpu())));
});

cudaTest("symbolic sizes keep their own launches", () => {
  const f = compile((x: Tensor): Tensor => x.mul(2).sum(1), { dynamic: true });
  for (const n of [3, 5, 3, 8, 5]) {
    const x = rand([2, n], { device: "cuda" });
    assertClose(f(x).cpu(), x.cpu().mul(2).sum(1));
  }
});

cudaTest("tensors of the CPU are uploaded, and results that belong there come back", () => {
  const weight = tensor([1, 2, 3], { dtype: matrix().dtype });
  const f = compile((x: Tensor): Tensor[] => {
    const y = x.add(weight.to("cuda"));
    return [y, y.mul(2).to("cpu")];
  });
  for (let call = 0; call < 2; call++) {
    const [here, there] = f(matrix()) as [Tensor, Tensor];
    assert.equal(here.device.type, "cuda");
    assert.equal(there.device.type, "cpu");
    assert.deepEqual(there.toArray(), [[5, 8, 12], [10, 14, 19]]);
  }
  weight.mul_(10);
  assert.deepEqual((f(matrix())[1] as Tensor).toArray(), [[23, 44, 66], [28, 50, 73]]);
});

cudaTest("operators without kernels run on the host, and say so", () => {
  const messages: string[] = [];
  using _ = onEvent(({ message }) => void messages.push(message));
  const x = tensor([-Infinity, 200], { device: "cuda", dtype: float32 });
  assert.deepEqual(F.specialAiryAi(x).isnan().toArray(), [true, false]);
  assert.deepEqual(compile((y: Tensor) => F.specialAiryAi(y.narrow(0, 1, 1).mul(2)).add(1))(x).toArray(), [1]);
  assert.ok(messages.some((m) => /special_airy_ai has no kernels for cuda/.test(m)), messages.join("\n"));
});

class Net extends nn.Module {
  first = new nn.Linear(3, 8);
  second = new nn.Linear(8, 2);
  forward(x: Tensor): Tensor {
    return this.second.forward(this.first.forward(x).relu());
  }
}

function train(device: string, compiled: boolean, adamw: boolean): { losses: number[]; weight: Tensor } {
  manualSeed(3);
  const net = new Net().to(device);
  // Eagerly each operator is a kernel to compile: fewer of them say as much of a step.
  const opt = adamw
    ? new optim.AdamW(net.parameters(), { lr: 0.05 })
    : new optim.SGD(net.parameters(), { lr: 0.5, momentum: 0.9 });
  const x = rand([16, 3]).to(device);
  const y = x.sum(1).gt(1.5).to(tensor(1).dtype);
  const step = (a: Tensor, b: Tensor): Tensor => {
    const loss = nn.functional.crossEntropy(net.forward(a), b);
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return loss;
  };
  const run = compiled ? compile(step) : step;
  const losses = Array.from({ length: 4 }, () => run(x, y).item());
  return { losses, weight: noGrad(() => net.first.weight.detach().cpu()) };
}

cudaTest("a training step on the device is the CPU's, eager and compiled", () => {
  for (const compiled of [false, true]) {
    const cpu = train("cpu", false, compiled), cuda = train("cuda", compiled, compiled);
    cuda.losses.forEach((loss, i) => assert.ok(Math.abs(loss - (cpu.losses[i] ?? 0)) < 1e-4, `${cuda.losses}`));
    assertClose(cuda.weight, cpu.weight, 1e-3);
  }
});
