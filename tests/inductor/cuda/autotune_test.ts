/**
 * `mode: "max-autotune"` on CUDA: what it chooses gives what the default gives, is remembered, and is told; products of cuBLASLt stand in recorded graphs and follow the
 * memory of each call. On the emulated device where there is no GPU, as far as it goes.
 */
import assert from "node:assert/strict";
import {
  compile,
  cpu,
  device,
  float16,
  float32,
  float64,
  getFloat32MatmulPrecision,
  nn,
  noGrad,
  randn,
  setFloat32MatmulPrecision,
  Tensor,
  withConfig,
} from "../../../mod.ts";
import { explainTarget } from "../../../src/cli/explain_target.ts";
import { isStageEnabled, onEvent } from "../../../src/core/mod.ts";
import { cudaContext, findCublasLt } from "../../../src/runtime/cuda/mod.ts";
import { assertClose, cudaTest, farthest, noCuda } from "../../helpers/cuda_test.ts";

const F = nn.functional;
const isReal = noCuda === null && device("cuda") !== cpu && cudaContext(0).info.name.startsWith("NVIDIA");
// Emulated, the first product is too short for ways by warpgroups, of which there are many, and which take long.
const size = isReal ? 512 : 48;

/** Events while `fn` runs. */
function heard(fn: () => void): string[] {
  const messages: string[] = [];
  using _ = onEvent(({ kind, message }) => {
    if (kind === "autotune") messages.push(message);
  });
  fn();
  return messages;
}

const layers = (x: Tensor, w: Tensor, v: Tensor, b: Tensor): Tensor => F.linear(F.gelu(F.linear(x, w, b)), v).relu();

function given(n = size): [Tensor, Tensor, Tensor, Tensor] {
  const half = (shape: number[]): Tensor => randn(shape).mul(0.1).to(float16).cuda();
  // Large ones are products of a column and a row.
  const matrix = (m: number, k: number): Tensor => n > size ? half([m, 1]).mul(half([1, k])) : half([m, k]);
  return [matrix(n, n), matrix(2 * n, n), matrix(n, 2 * n), half([2 * n])];
}

cudaTest("max-autotune gives what the default gives, says what it measured, and measures a contraction once", () => {
  assert.ok(isStageEnabled("autotune"));
  using _ = withConfig({ disabled: new Set(["cache"]) });
  const args = given();
  const expected = noGrad(() => compile(layers)(...args));
  const first = compile(layers, { mode: "max-autotune" });
  const messages = heard(() => assertClose(noGrad(() => first(...args)).cpu(), expected.cpu(), 2e-2));
  assert.equal(
    messages.filter((m) => /^contraction batch\(\) m .*: .* of \d+ ways \(.* ms/.test(m)).length,
    2,
    messages.join("\n"),
  );
  assert.match(messages.at(-1) ?? "", /^2 contractions measured in \d+ ways, \d+ ms$/);
  const again = compile((x: Tensor, w: Tensor, v: Tensor, b: Tensor) => layers(x, w, v, b), { mode: "max-autotune" });
  assert.deepEqual(heard(() => void noGrad(() => again(...args))), []);
  const target = { name: "layers", url: import.meta.url, fn: layers as (...args: never[]) => unknown, inputs: args };
  const told = noGrad(() => explainTarget(target, device("cuda"), null, "max-autotune"));
  assert.match(told, /chosen by measurement\n {2}contraction batch\(\) m .*: .* of \d+ ways \(.*\n {2}contraction/);
});

cudaTest("a time budget of nothing leaves contractions to the cost model, and says so", () => {
  using _ = withConfig({ disabled: new Set(["cache"]), autotuneBudgetMs: -1 });
  const [x, w] = given();
  const f = compile((a: Tensor, b: Tensor) => F.linear(a, b).tanh(), { mode: "max-autotune" });
  const messages = heard(() =>
    assertClose(noGrad(() => f(x, w)).cpu(), noGrad(() => F.linear(x, w).tanh()).cpu(), 2e-2)
  );
  assert.match(messages.join("\n"), /^0 contractions measured in 0 ways.*time was over before 1 more/);
});

const library = findCublasLt();
Deno.test({
  name: "products of cuBLASLt are recorded, and replays write to the memory of their own call" +
    (isReal && library.ok ? "" : " [skipped: no GPU with cuBLASLt]"),
  ignore: !isReal || !library.ok,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    using _ = withConfig({ disabled: new Set(["cache"]), autotuneBackends: new Set(["cublaslt"]) });
    const deep = (x: Tensor, w: Tensor, v: Tensor, b: Tensor): Tensor => {
      let y = x;
      for (let i = 0; i < 3; i++) y = layers(y, w, v, b).add(x);
      return F.linear(y, w);
    };
    // Large products clear four bytes of their workspace first: two nodes.
    for (const rows of [size, 2048]) {
      const [x, ...rest] = given(rows);
      const f = compile(deep, { mode: "max-autotune" });
      const messages = heard(() => void noGrad(() => f(x, ...rest)));
      const chosen = messages.filter((m) => /: cuBLASLt \d/.test(m));
      assert.ok(chosen.length >= 3, messages.join("\n"));
      const results: [Tensor, Tensor][] = [];
      for (let i = 0; i < 5; i++) {
        const input = x.mul(1 + i / 4);
        // Results stay alive, so that each call has memory of its own.
        results.push([noGrad(() => f(input, ...rest)), noGrad(() => deep(input, ...rest))]);
      }
      // A few rows tell.
      for (const [got, expected] of results.map(([x, y]) => [x.narrow(0, 0, 64), y.narrow(0, 0, 64)] as const)) {
        const largest = expected.cpu().to(float32).abs().max().item() as number;
        assert.ok(farthest(got, expected) < 0.02 * largest, `${farthest(got, expected)} of ${largest}`);
      }
    }
  },
});

Deno.test({
  name: "pairs of blocks are recorded, and replays write to the memory of their own call" +
    (isReal ? "" : " [skipped: no GPU]"),
  ignore: !isReal,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    using _ = withConfig({ disabled: new Set(["cache"]) });
    // Rows of 2,000 bytes straddle lines, so blocks read columns for each other.
    const half = (shape: number[]): Tensor => randn(shape).mul(0.1).to(float16).cuda();
    const [x, w, v] = [half([512, 1000]), half([1000, 1000]), half([1024, 1000])];
    const deep = (x: Tensor): Tensor => F.linear(F.linear(F.linear(x, w).relu(), w).relu(), v);
    const f = compile(deep);
    const results: [Tensor, Tensor][] = [];
    for (let i = 0; i < 4; i++) {
      const input = x.mul(1 + i / 4);
      results.push([noGrad(() => f(input)), noGrad(() => deep(input))]);
    }
    for (const [got, expected] of results) {
      const largest = expected.cpu().to(float32).abs().max().item() as number;
      assert.ok(farthest(got, expected) < 0.02 * largest, `${farthest(got, expected)} of ${largest}`);
    }
  },
});

Deno.test({
  name: "tf32 rounds operands to ten bits, and nothing more" + (isReal ? "" : " [skipped: no GPU]"),
  ignore: !isReal,
  sanitizeResources: false,
  sanitizeOps: false,
  fn: () => {
    using _ = withConfig({ disabled: new Set(["cache"]), float32MatmulPrecision: "high" });
    const [x, w] = [randn([1024, 512]), randn([768, 512])];
    const exact = x.to(float64).matmul(w.to(float64).t());
    const got = noGrad(() => compile((a: Tensor, b: Tensor) => F.linear(a, b))(x.cuda(), w.cuda())).cpu().to(float64);
    const error = (got.sub(exact).norm().item() as number) / (exact.norm().item() as number);
    assert.ok(error > 1e-5 && error < 5e-4, `${error}`);
  },
});

Deno.test("a function that was compiled before setFloat32MatmulPrecision() is compiled anew, and back again is not", () => {
  const graphs: string[] = [];
  const f = compile((x: Tensor) => x.matmul(x), {
    backend: () => {
      graphs.push(getFloat32MatmulPrecision());
      return (inputs) => inputs.flatMap((t) => t instanceof Tensor ? [t.matmul(t)] : []);
    },
  });
  const x = randn([4, 4]);
  f(x);
  try {
    setFloat32MatmulPrecision("high");
    f(x);
    f(x);
  } finally {
    setFloat32MatmulPrecision("highest");
  }
  f(x);
  assert.deepEqual(graphs, ["highest", "high"]);
  assert.throws(() => setFloat32MatmulPrecision("tf32" as "high"), /"tf32" is none of highest, high, medium/);
});
