/**
 * Control flow on "cuda", on an emulated device: graphs of a call run between kernels of the graph around it, whose memory they leave alone, on operands that stay on
 * the device.
 */
import assert from "node:assert/strict";
import { compile, cond, randn, scan, type Tensor, tensor, whileLoop } from "../../../mod.ts";
import { CudaDeviceMemory } from "../../../src/runtime/cuda/device_memory.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

/** Runs on both, on CUDA three times: the second call records graphs, the third replays them. */
function check(fn: (...args: Tensor[]) => Tensor, ...args: Tensor[]): void {
  const want = fn(...args);
  const compiled = compile(fn);
  const there = args.map((t) => t.cuda());
  for (let i = 0; i < 3; i++) {
    const error = compiled(...there).cpu().sub(want).abs().max().item() as number;
    assert.ok(error <= 1e-4, `call ${i} differs by ${error}`);
  }
}

/** Several intermediate results, larger than those around. */
function busy(t: Tensor): Tensor {
  const wide = wider(t);
  return wide.softmax(-1).matmul(wide.softmax(0).t()).sum([1], true).mul(t);
}

function wider(t: Tensor): Tensor {
  return t.matmul(t.t()).add(1).matmul(t).tanh().repeat([1, 3]);
}

cudaTest("what a graph keeps over a branch is not written by it", () => {
  const fn = (x: Tensor, flag: Tensor): Tensor => {
    const kept = x.softmax(-1), other = x.matmul(x.t()).softmax(-1);
    const y = cond(flag.sum().gt(0), busy, (t: Tensor) => busy(t).neg(), [kept]) as Tensor;
    return other.matmul(y.add(kept)).add(kept);
  };
  const x = randn([24, 16]);
  check(fn, x, tensor([1]));
  check(fn, x, tensor([-1]));
});

cudaTest("loops whose rounds decide on data", () => {
  const fn = (x: Tensor): Tensor => {
    const start = x.softmax(-1);
    const [last] = whileLoop(
      (t: Tensor) => t.abs().max().gt(0.01),
      (t: Tensor) => [busy(t).mul(0.02)],
      [start],
    ) as [Tensor];
    return last.add(start);
  };
  check(fn, randn([8, 16]));
});

cudaTest("scans carry on the device", () => {
  const fn = (x: Tensor, h: Tensor): Tensor => {
    const kept = x.mul(2).softmax(-1);
    const [last, all] = scan(
      (c: Tensor, row: Tensor) => {
        const next = c.add(row).tanh();
        return [next, next.mul(row)];
      },
      h,
      x,
    ) as [Tensor, Tensor];
    return all.add(kept).add(last);
  };
  check(fn, randn([5, 16]), randn([16]));
});

cudaTest("a branch reads one number from the device", () => {
  const fn = compile((x: Tensor, flag: Tensor): Tensor => {
    const kept = x.softmax(-1);
    return (cond(flag.gt(0), (t: Tensor) => t.mul(2), (t: Tensor) => t.mul(3), [kept]) as Tensor).add(1);
  });
  const [x, flag] = [randn([64, 64]).cuda(), tensor(1).cuda()];
  fn(x, flag);
  const read: number[] = [];
  const original = CudaDeviceMemory.prototype.readSync;
  CudaDeviceMemory.prototype.readSync = function (buffer, offset, length) {
    read.push(length);
    return original.call(this, buffer, offset, length);
  };
  try {
    fn(x, flag);
  } finally {
    CudaDeviceMemory.prototype.readSync = original;
  }
  assert.deepEqual(read, [1]);
});
