/** Attention on "cuda", eager and compiled, with and without gradients, on an emulated device: one kernel where it may be, the CPU's numbers everywhere. */
import assert from "node:assert/strict";
import { compile, F, float16, float32, noGrad, onCompile, onEvent, randn, type Tensor } from "../../../mod.ts";
import { cudaTest, farthest } from "../../helpers/cuda_test.ts";

const attend = (q: Tensor, k: Tensor, v: Tensor): Tensor =>
  F.scaledDotProductAttention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), { isCausal: true })
    .transpose(1, 2).reshape([2, 40, 64]).add(1);

function inputs(): [Tensor, Tensor, Tensor] {
  return [0, 1, 2].map(() => randn([2, 40, 2, 32]).to(float16)) as [Tensor, Tensor, Tensor];
}

cudaTest("a compiled call without gradients is one kernel and what follows", () => {
  const [q, k, v] = inputs();
  const kinds: string[] = [];
  using _ = onCompile((record) => kinds.push(...record.graph.compiled.groups.map((g) => g.kind)));
  const f = compile(attend);
  const [a, b, c] = [q.cuda(), k.cuda(), v.cuda()];
  const out = noGrad(() => f(a, b, c));
  assert.deepEqual(kinds, ["attention", "loops"]);
  assert.ok(farthest(out, attend(q.to(float32), k.to(float32), v.to(float32))) < 0.005);
});

/** The largest distance of gradients from those of the CPU in float32, and what the compiler made. */
function gradients(
  given: readonly Tensor[],
  step: (x: Tensor[]) => void,
  on: (x: Tensor[]) => void,
): { readonly worst: number; readonly kinds: string[]; readonly messages: string[] } {
  const here = given.map((t) => t.to(float32).requiresGrad_());
  step(here);
  const there = given.map((t) => t.cuda().requiresGrad_());
  const kinds: string[] = [], messages: string[] = [];
  using _ = onCompile((record) => kinds.push(...record.graph.compiled.groups.map((g) => g.kind)));
  using _events = onEvent((e) => messages.push(e.message));
  on(there);
  const worst = Math.max(...there.map((t, i) => farthest(t.grad as Tensor, here[i]?.grad as Tensor)));
  return { worst, kinds, messages };
}

const learn = ([x, y, z]: Tensor[]): void => {
  assert(x !== undefined && y !== undefined && z !== undefined);
  attend(x, y, z).square().sum().backward();
};

cudaTest("a compiled training step is a kernel forward and two for the gradients, which are the CPU's", () => {
  const { worst, kinds, messages } = gradients(inputs(), learn, (x) => compile((...t: Tensor[]) => learn(t))(...x));
  assert.equal(kinds.filter((k) => k === "attention").length, 3, kinds.join());
  assert.deepEqual(messages.filter((m) => m.includes("attention")), []);
  assert.ok(worst < 0.1, `${worst}`);
});

cudaTest("so are the halves of a differentiable call", () => {
  const { worst, kinds } = gradients(inputs(), learn, ([x, y, z]) => {
    assert(x !== undefined && y !== undefined && z !== undefined);
    compile(attend)(x, y, z).square().sum().backward();
  });
  assert.equal(kinds.filter((k) => k === "attention").length, 3, kinds.join());
  assert.ok(worst < 0.1, `${worst}`);
});

cudaTest("grouped heads: gradients of keys and values are summed over the heads that share them", () => {
  const shared = (x: readonly Tensor[]): Tensor =>
    F.scaledDotProductAttention(x[0] as Tensor, x[1] as Tensor, x[2] as Tensor, null, 0, true, { enableGqa: true });
  const given = [[1, 4, 70, 32], [1, 2, 70, 32], [1, 2, 70, 32]].map((s) => randn(s).to(float16));
  const { worst, kinds } = gradients(
    given,
    (x) => shared(x).square().sum().backward(),
    (x) => compile((...t: Tensor[]) => shared(t).square().sum().backward())(...x),
  );
  assert.equal(kinds.filter((k) => k === "attention").length, 3, kinds.join());
  assert.ok(worst < 0.1, `${worst}`);
});

cudaTest("heads that are no pieces of 16 bytes are taken apart for training, with the reason", () => {
  const plain = (x: readonly Tensor[]): void =>
    F.scaledDotProductAttention(x[0] as Tensor, x[1] as Tensor, x[2] as Tensor).square().sum().backward();
  const given = [0, 1, 2].map(() => randn([1, 2, 20, 20]).to(float16));
  const { worst, kinds, messages } = gradients(given, plain, (x) => compile((...t: Tensor[]) => plain(t))(...x));
  assert.ok(!kinds.includes("attention"));
  assert.ok(messages.some((m) => m.includes("which is no multiple of 8")), messages.join("\n"));
  assert.ok(worst < 0.1, `${worst}`);
});

cudaTest("float32 is taken apart, with the reason", () => {
  const [q, k, v] = inputs().map((t) => t.to(float32).cuda()) as [Tensor, Tensor, Tensor];
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const out = noGrad(() => compile(attend)(q, k, v));
  assert.ok(messages.includes("attention is made of several kernels: tensor cores take halves, not float32"));
  assert.ok(farthest(out, attend(q.cpu(), k.cpu(), v.cpu())) < 1e-4);
});

cudaTest("one query over many keys is cut into parts that are added up, with and without a mask", () => {
  const shapes = [[1, 2, 1, 32], [1, 2, 1024, 32], [1, 2, 1024, 32], [1, 1, 1, 1024]];
  const [q, k, v, bias] = shapes.map((s) => randn(s).to(float16)) as [Tensor, Tensor, Tensor, Tensor];
  const mask = bias.gt(0);
  for (const given of [null, mask, bias]) {
    const kinds: string[] = [];
    using _ = onCompile((record) => kinds.push(...record.graph.compiled.groups.map((g) => g.kind)));
    const f = compile((x: Tensor, y: Tensor, z: Tensor, m: Tensor) =>
      F.scaledDotProductAttention(x, y, z, given === null ? null : m)
    );
    const on = (t: Tensor): Tensor => t.cuda();
    const out = noGrad(() => f(on(q), on(k), on(v), on(given ?? bias)));
    assert.equal(kinds[0], "attention");
    assert.ok(kinds.slice(1).every((k) => k === "loops") && kinds.length <= 3, kinds.join());
    const wide = given === bias ? bias.to(float32) : given;
    const want = F.scaledDotProductAttention(q.to(float32), k.to(float32), v.to(float32), wide);
    assert.ok(farthest(out, want) < 0.002);
  }
});
