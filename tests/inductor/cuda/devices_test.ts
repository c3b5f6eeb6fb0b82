/** Several GPUs: tensors and compiled functions on each, copies between them, operands on two of them. On two emulated devices. */
import assert from "node:assert/strict";
import { compile, manualSeed, nn, noGrad, onCompile, rand, randn, type Tensor, tensor, zeros } from "../../../mod.ts";
import { CudaContext, cudaContext } from "../../../src/runtime/cuda/mod.ts";
import { emulateCuda } from "../../runtime/cuda/emulator/mod.ts";

const reason = emulateCuda({ devices: 2 });

function test(name: string, fn: () => void): void {
  Deno.test({
    name: reason === null ? name : `${name} [skipped: ${reason}]`,
    ignore: reason !== null,
    sanitizeResources: false,
    sanitizeOps: false,
    fn,
  });
}

test("tensors live on the device that they name, and what is computed from them too", () => {
  const a = tensor([1, 2, 3.5], { device: "cuda:0" });
  const b = tensor([1, 2, 3.5], { device: "cuda:1" });
  assert.deepEqual([String(a.device), String(b.device)], ["cuda:0", "cuda:1"]);
  const sum = b.add(b).mul(2);
  assert.equal(String(sum.device), "cuda:1");
  assert.deepEqual(sum.toArray(), [4, 8, 14]);
  assert.equal(String(b), "tensor([1.0000, 2.0000, 3.5000], device='cuda:1')");
  assert.throws(() => zeros([2], { device: "cuda:2" }), /"cuda:2" does not exist: use cuda:0 \(.*\), cuda:1 \(/);
});

test("tensors move between devices without passing through the host, whatever their strides and dtypes", () => {
  const x = rand([3, 5], { device: "cuda:0" });
  let copies = 0;
  const copyToPeer = CudaContext.prototype.copyToPeer;
  CudaContext.prototype.copyToPeer = function (...args): void {
    copies++;
    copyToPeer.apply(this, args);
  };
  using _ = { [Symbol.dispose]: () => void (CudaContext.prototype.copyToPeer = copyToPeer) };
  const there = x.to("cuda:1");
  assert.equal(copies, 1);
  assert.equal(String(there.device), "cuda:1");
  assert.deepEqual(there.cpu().toArray(), x.cpu().toArray());
  assert.deepEqual(x.t().to("cuda:1").cpu().toArray(), x.t().cpu().toArray());
  const back = zeros([5, 3], { device: "cuda:0" });
  back.copy_(there.t());
  assert.deepEqual(back.cpu().toArray(), x.t().cpu().toArray());
  const whole = zeros([3, 5], { device: "cuda:1", dtype: tensor(1).dtype });
  whole.copy_(x.mul(10));
  assert.equal(copies, 4);
  assert.deepEqual(whole.cpu().toArray(), x.mul(10).cpu().to(whole.dtype).toArray());
});

test("operands on two devices are an error that names both and says what to do, eager and compiled", () => {
  const [a, b] = [rand([3], { device: "cuda:0" }), rand([3], { device: "cuda:1" })];
  const expected = /^TypeError: add: tensors are on cuda:0 and cuda:1; move them/;
  assert.throws(() => a.add(b), expected);
  assert.throws(() => compile((x: Tensor, y: Tensor) => x.add(y))(a, b), expected);
  assert.throws(() => a.add_(b), /cuda:0 and cuda:1/);
});

test("a compiled function has kernels of its own on each device, and results of each call's device", () => {
  const devices: string[] = [];
  using _ = onCompile(({ graph }) => void devices.push(String(graph.device)));
  const f = compile((x: Tensor): Tensor => x.softmax(1).mul(3));
  const x = randn([4, 6]);
  const want = noGrad(() => x.softmax(1).mul(3)).dataSync();
  for (const where of ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]) {
    const y = noGrad(() => f(x.to(where)));
    assert.equal(String(y.device), where);
    y.cpu().dataSync().forEach((v, i) => assert.ok(Math.abs(Number(v) - Number(want[i])) < 1e-5));
  }
  assert.deepEqual(devices, ["cuda:0", "cuda:1"]);
});

test("a module trains on the second device; its streams and memory are that device's", () => {
  manualSeed(1);
  const model = new nn.Linear(4, 2).to("cuda:1");
  const before = cudaContext(0).allocator.stats().allocations;
  const step = compile((x: Tensor): Tensor => {
    const loss = model.forward(x).pow(2).mean();
    loss.backward();
    return loss.detach();
  });
  const loss = step(randn([8, 4]).to("cuda:1"));
  assert.equal(String(loss.device), "cuda:1");
  assert.equal(String((model.weight.grad as Tensor).device), "cuda:1");
  assert.ok(Number.isFinite(loss.item()));
  assert.equal(cudaContext(0).allocator.stats().allocations, before, "nothing was allocated on the first device");
  assert.throws(
    () => cudaContext(1).withStream(cudaContext(0).stream, () => {}),
    /the stream belongs to cuda:0, not cuda:1/,
  );
});
