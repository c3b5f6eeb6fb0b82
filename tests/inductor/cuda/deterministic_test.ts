/** useDeterministicAlgorithms() on CUDA: scatters add in the order of their indices, eager and compiled, with what was compiled before compiled anew. */
import assert from "node:assert/strict";
import {
  areDeterministicAlgorithmsEnabled,
  compile,
  type CompiledGraph,
  onCompile,
  randint,
  randn,
  type Tensor,
  useDeterministicAlgorithms,
  zeros,
} from "../../../mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

cudaTest("deterministic scatters use no atomics and have the CPU's sums, in the same order", () => {
  const [x, index] = [randn([300, 5]), randint(0, 7, [300])];
  const [there, at] = [x.cuda(), index.cuda()];
  const want = zeros([7, 5]).indexAdd(0, index, x);
  const graphs: CompiledGraph[] = [];
  using _ = onCompile(({ graph }) => void graphs.push(graph));
  const f = compile((x: Tensor, index: Tensor): Tensor => zeros([7, 5], { device: "cuda" }).indexAdd(0, index, x));
  const sources = (): string =>
    graphs.flatMap((g) => g.cuda?.modules.modules.map((m) => m.source.slice(m.source.search(/extern "C"/))) ?? [])
      .join("");
  assertClose(f(there, at).cpu(), want);
  assert.match(sources(), /atomic/);
  useDeterministicAlgorithms(true);
  try {
    assert.equal(areDeterministicAlgorithmsEnabled(), true);
    graphs.length = 0;
    const first = f(there, at);
    assert.doesNotMatch(sources(), /tsr_atomic|atomicAdd/);
    assertClose(first.cpu(), want);
    const eager = zeros([7, 5], { device: "cuda" }).indexAdd(0, at, there);
    assert.deepEqual(eager.cpu().toArray(), first.cpu().toArray());
  } finally {
    useDeterministicAlgorithms(false);
  }
  graphs.length = 0;
  assertClose(f(there, at).cpu(), want);
  assert.equal(graphs.length, 0, "what was compiled before is found again");
  assert.throws(
    () => useDeterministicAlgorithms("yes" as unknown as boolean),
    /^TypeError: useDeterministicAlgorithms/,
  );
});
