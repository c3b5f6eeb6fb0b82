/** flexAttention() on "cuda", on an emulated device: functions of scores inside of the kernels of both directions, with the CPU's numbers. */
import assert from "node:assert/strict";
import { arange, compile, float16, float32, nn, onCompile, onEvent, randn, type Tensor, tensor } from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";

const { createBlockMask, flexAttention } = nn.functional;

const [H, M, N, D] = [2, 150, 270, 64];
type Options = nn.functional.FlexAttentionOptions;

/** Compares a training step with the CPU's in float32; what the compiler made. */
function check(options: (onCuda: boolean) => Options): { readonly kinds: string[]; readonly messages: string[] } {
  const given = [[1, H, M, D], [1, H, N, D], [1, H, N, D]].map((s) => randn(s).to(float16));
  const weight = randn([1, H, M, D]);
  const step = (x: readonly Tensor[], w: Tensor, o: Options): Tensor => {
    const out = flexAttention(x[0] as Tensor, x[1] as Tensor, x[2] as Tensor, o);
    out.mul(w).sum().backward();
    return out;
  };
  const here = given.map((t) => t.to(float32).requiresGrad_());
  const want = step(here, weight, options(false));
  const there = given.map((t) => t.cuda().requiresGrad_());
  const own = options(true);
  const kinds: string[] = [], messages: string[] = [];
  using _ = onCompile((record) => kinds.push(...record.graph.compiled.groups.map((g) => g.kind)));
  using _events = onEvent((e) => messages.push(e.message));
  const w = weight.to(float16).cuda();
  const out = compile((q: Tensor, k: Tensor, v: Tensor) => step([q, k, v], w, own))(
    ...there as [Tensor, Tensor, Tensor],
  );
  assert.ok(farthest(out, want) < 0.005, `out ${farthest(out, want)}`);
  there.forEach((t, i) => {
    const worst = farthest(t.grad as Tensor, here[i]?.grad as Tensor);
    assert.ok(worst < 0.02, `gradient ${i} ${worst}`);
  });
  return { kinds, messages };
}

function isFused({ kinds, messages }: ReturnType<typeof check>): void {
  assert.equal(kinds.filter((k) => k === "attention").length, 3, `${kinds.join()} ${messages.join("\n")}`);
}

cudaTest("soft capping and its derivative", () => {
  isFused(check(() => ({ scoreMod: (s) => s.div(2).tanh().mul(2) })));
});

cudaTest("a table of relative positions, causal, with lists of tiles", () => {
  const table = randn([H, M + N]);
  isFused(check((onCuda) => {
    const own = onCuda ? table.cuda() : table;
    const device = onCuda ? "cuda" : "cpu";
    return {
      scoreMod: (s, _b, h, q, kv) => s.add(own.index([h, q.sub(kv).add(N)])),
      blockMask: createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, M, N, { device }),
    };
  }));
});

cudaTest("linear biases and a sliding window without lists of tiles", () => {
  const slopes = tensor([0.5, 0.25]);
  isFused(check((onCuda) => {
    const own = onCuda ? slopes.cuda() : slopes;
    return {
      scoreMod: (s, _b, h, q, kv) => s.sub(own.index([h]).mul(q.sub(kv).abs())),
      blockMask: createBlockMask((_b, _h, q, kv) => q.sub(kv).abs().le(40), null, null, M, N, { blockSize: 64 }),
    };
  }));
});

cudaTest("documents", () => {
  const [own, theirs] = [arange(0, M, 1), arange(0, N, 1)].map((t) => t.div(60, { roundingMode: "floor" }));
  assert(own !== undefined && theirs !== undefined);
  isFused(check((onCuda) => {
    const [a, b] = onCuda ? [own.cuda(), theirs.cuda()] : [own, theirs];
    const device = onCuda ? "cuda" : "cpu";
    const same: nn.functional.MaskFunction = (_b, _h, q, kv) => a.index([q]).eq(b.index([kv]));
    return { blockMask: createBlockMask(same, null, null, M, N, { device }) };
  }));
});

cudaTest("what does more than computing element by element is taken apart, with the reason", () => {
  const { kinds, messages } = check(() => ({ scoreMod: (s) => s.sub(s.mean([-1], true)) }));
  assert.ok(!kinds.includes("attention"));
  assert.ok(messages.some((m) => m.includes("does more than computing element by element")), messages.join("\n"));
});
