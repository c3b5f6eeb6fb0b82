/** Random block programs give on C++ and on "cuda" what the interpreter gives. */
import assert from "node:assert/strict";
import { compile, type KernelFunction, type Tensor } from "../../mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { referenceBackend, withEagerBackend } from "../../src/tensor/mod.ts";
import { cudaTest, farthest } from "../helpers/cuda_test.ts";
import { randomKernel } from "./random.ts";

const noCompiler = findToolchain().ok ? "" : " [skipped: no C++ compiler]";

type Run = (fn: KernelFunction, args: readonly Tensor[]) => readonly Tensor[];

function compare(seed: number, run: Run): void {
  const { fn, args } = randomKernel(seed);
  const want = withEagerBackend(referenceBackend, () => fn(...args)) as readonly Tensor[];
  run(fn, args).forEach((got, i) => {
    const right = want[i] as Tensor;
    const scale = Math.max(1, right.abs().max().item() as number);
    const worst = farthest(got, right);
    assert.ok(worst <= 1e-4 * scale, `seed ${seed}, result ${i}: ${worst} of ${scale}`);
  });
}

Deno.test({
  name: `12 random kernels on C++${noCompiler}`,
  ignore: noCompiler !== "",
  fn: () => {
    for (let seed = 1; seed <= 12; seed++) {
      compare(seed, (fn, args) => {
        const call = compile((...list: readonly Tensor[]) => fn(...list), { mode: "aot" });
        return call(...args) as readonly Tensor[];
      });
    }
  },
});

cudaTest(`6 random kernels on "cuda"`, () => {
  for (let seed = 21; seed <= 26; seed++) {
    compare(seed, (fn, args) => fn(...args.map((t) => t.cuda())) as readonly Tensor[]);
  }
});
