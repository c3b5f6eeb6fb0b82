/** Attention on "cuda", eager and compiled, with and without gradients, on an emulated device: one kernel where it may be, the CPU's numbers everywhere. */
import assert from "node:assert/strict";
import { compile, F, float16, float32, noGrad, onCompile, onEvent, randn, type Tensor } from "../../../mod.ts";
import { emulateCuda } from "../../runtime/cuda/emulator/mod.ts";

const reason = emulateCuda();

function cudaTest(name: string, fn: () => void): void {
  Deno.test({
    name: reason === null ? name : `${name} [skipped: ${reason}]`,
    ignore: reason !== null,
    sanitizeResources: false,
    sanitizeOps: false,
    fn,
  });
}

function farthest(x: Tensor, y: Tensor): number {
  return x.cpu().to(float32).sub(y.cpu().to(float32)).abs().max().item() as number;
}

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

cudaTest("with gradients it is taken apart, and the gradients are the CPU's", () => {
  const [q, k, v] = inputs();
  const here = [q, k, v].map((t) => t.to(float32).requiresGrad_()) as [Tensor, Tensor, Tensor];
  attend(...here).square().sum().backward();
  const there = [q, k, v].map((t) => t.cuda().requiresGrad_()) as [Tensor, Tensor, Tensor];
  const kinds: string[] = [];
  using _ = onCompile((record) => kinds.push(...record.graph.compiled.groups.map((g) => g.kind)));
  const step = compile((x: Tensor, y: Tensor, z: Tensor) => {
    attend(x, y, z).square().sum().backward();
  });
  const messages: string[] = [];
  using _events = onEvent((e) => messages.push(e.message));
  step(...there);
  assert.ok(!kinds.includes("attention"));
  assert.ok(messages.some((m) => m.includes("its gradient needs the probabilities")), messages.join("\n"));
  for (let i = 0; i < 3; i++) assert.ok(farthest(there[i]?.grad as Tensor, here[i]?.grad as Tensor) < 0.1);
});

cudaTest("float32 is taken apart, with the reason", () => {
  const [q, k, v] = inputs().map((t) => t.to(float32).cuda()) as [Tensor, Tensor, Tensor];
  const messages: string[] = [];
  using _ = onEvent((e) => messages.push(e.message));
  const out = noGrad(() => compile(attend)(q, k, v));
  assert.ok(messages.includes("attention is made of several kernels: tensor cores take halves, not float32"));
  assert.ok(farthest(out, attend(q.cpu(), k.cpu(), v.cpu())) < 1e-4);
});
