/**
 * Orders of memory on CUDA: what transposes in the program costs no kernel, and changes no value.
 * Without a GPU they run on the emulated device.
 */
import assert from "node:assert/strict";
import { compile, CompiledGraph, device, float16, float32, nn, noGrad, onCompile, type Tensor } from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";
import { wave as waveOf } from "../../helpers/wave.ts";

const { conv2d, relu } = nn.functional;

const wave = (shape: readonly number[], step: number): Tensor => waveOf(shape, step, float16);

/** Runs a function on both devices; the kernels' launches on CUDA, by their operators. */
function launchesOf(f: (...args: Tensor[]) => Tensor, inputs: readonly Tensor[]): string[] {
  const launches: string[] = [];
  const results = ["cuda", "cpu"].map((where) => {
    using _ = onCompile(({ graph }) => {
      if (!(graph instanceof CompiledGraph) || graph.cuda === null) return;
      for (const step of graph.cuda.modules.steps) {
        if (step.kind === "launches") launches.push(...step.launches.map((l) => l.origin));
      }
    });
    const compiled = compile(f);
    const got = noGrad(() => compiled(...inputs.map((t) => t.to(device(where)))));
    return got.to(device("cpu")).to(float32);
  });
  const [got, want] = results as [Tensor, Tensor];
  assert.deepEqual(got.shape, want.shape);
  assert.deepEqual(got.stride, want.stride);
  const worst = farthest(got, want);
  assert.ok(worst < 0.02, `off by ${worst}`);
  return launches;
}

cudaTest("heads that a product of matrices transposes are read and written where they are", () => {
  const [batch, heads, width, tokens] = [2, 2, 16, 24];
  const attend = (x: Tensor, w: Tensor, b: Tensor, a: Tensor): Tensor => {
    const qkv = x.matmul(w).add(b).view([batch, tokens, 2, heads, width]).permute([2, 0, 3, 4, 1]);
    const [k, v] = [qkv.select(0, 0), qkv.select(0, 1)];
    const scores = k.matmul(k.transpose(-2, -1)).mul(0.01).add(a);
    return scores.matmul(v).permute([0, 3, 1, 2]).reshape([batch, tokens, heads * width]);
  };
  const inputs = [
    wave([batch, tokens, 32], 0.7),
    wave([32, 2 * heads * width], 1.1).mul(0.1),
    wave([2 * heads * width], 1.3),
    wave([1, heads, 1, 1], 0.9),
  ];
  const launches = launchesOf(attend, inputs);
  assert.equal(launches.length, 3, launches.join("; "));
});

cudaTest("tokens that a convolution yields lie in rows, though the program transposes images", () => {
  const embed = (x: Tensor, w: Tensor, p: Tensor): Tensor => {
    const tokens = conv2d(x, w, null).flatten(2).transpose(1, 2);
    const sum = tokens.add(p);
    const mean = sum.mean([2], true);
    return sum.sub(mean).mul(2).contiguous();
  };
  const launches = launchesOf(embed, [wave([2, 16, 6, 6], 0.7), wave([24, 16, 3, 3], 1.1), wave([1, 16, 24], 0.4)]);
  assert.ok(launches.length <= 2, launches.join("; "));
});

cudaTest("what follows a convolution is written in the caller's order at once", () => {
  const head = (x: Tensor, w: Tensor, b: Tensor): Tensor => relu(conv2d(x, w, b)).mul(0.5);
  const launches = launchesOf(head, [wave([2, 16, 6, 6], 0.7), wave([5, 16, 3, 3], 1.1), wave([5], 0.4)]);
  assert.equal(launches.length, 1, launches.join("; "));
});
