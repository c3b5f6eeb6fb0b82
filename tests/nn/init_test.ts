import assert from "node:assert/strict";
import { Generator, nn, zeros } from "../../mod.ts";
import { assertClose, flat } from "./support.ts";

const { init } = nn;

function moments(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, std: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
}

Deno.test("Linear and Conv2d start uniform within 1/√fanIn, weights and biases", () => {
  const generator = new Generator(1);
  for (
    const [layer, fan] of [
      [new nn.Linear(25, 400, { generator }), 25],
      [new nn.Conv2d(4, 100, 5, { generator }), 100],
    ] as const
  ) {
    const bound = 1 / Math.sqrt(fan);
    for (const p of layer.parameters()) {
      const values = flat(p);
      const largest = Math.max(...values.map(Math.abs));
      assert.ok(largest <= bound && largest > 0.95 * bound, `${largest} of ${bound}`);
      assert.ok(Math.abs(moments(values).std - bound / Math.sqrt(3)) < 0.1 * bound);
    }
  }
});

Deno.test("the same generator seed gives the same weights", () => {
  const make = (): number[] => flat(new nn.Linear(3, 3, { generator: new Generator(7) }).weight);
  assert.deepEqual(make(), make());
});

Deno.test("normal, xavier and kaiming have their standard deviations", () => {
  const generator = new Generator(2);
  const w = zeros([80, 120]);
  const check = (expected: number): void => {
    const { mean, std } = moments(flat(w));
    assert.ok(Math.abs(std / expected - 1) < 0.03 && Math.abs(mean) < 0.05 * expected, `${std} and ${expected}`);
  };
  init.normal_(w, 0, 2, { generator });
  check(2);
  init.xavierNormal_(w, 1, { generator });
  check(Math.sqrt(2 / 200));
  init.xavierUniform_(w, 2, { generator });
  check(2 * Math.sqrt(2 / 200));
  init.kaimingNormal_(w, { generator, nonlinearity: "relu" });
  check(Math.sqrt(2 / 120));
  init.kaimingUniform_(w, { generator, mode: "fan_out", nonlinearity: "linear" });
  check(Math.sqrt(1 / 80));
  assert.throws(() => init.kaimingUniform_(zeros([3])), /at least 2 dimensions/);
});

Deno.test("truncNormal_() stays within its bounds and has the variance of the cut distribution", () => {
  const w = init.truncNormal_(zeros([5000]), 0, 1, -1, 1, { generator: new Generator(3) });
  const values = flat(w);
  assert.ok(values.every((v) => v >= -1 && v <= 1));
  // 1 - 2·φ(1)/(2·Φ(1) - 1)
  assert.ok(Math.abs(moments(values).std - Math.sqrt(0.2911)) < 0.02);
  const far = flat(init.truncNormal_(zeros([1000]), 0, 1, 5, 6, { generator: new Generator(3) }));
  assert.ok(far.every((v) => v >= 5 && v <= 6) && new Set(far).size > 900);
});

Deno.test("orthogonal_() makes rows or columns orthonormal", () => {
  for (const [rows, columns] of [[3, 5], [5, 3], [4, 4]] as const) {
    const w = init.orthogonal_(zeros([rows, columns]), 2, { generator: new Generator(4) });
    const product = rows <= columns ? w.mm(w.t()) : w.t().mm(w);
    const n = Math.min(rows, columns);
    assertClose(product, Array.from({ length: n * n }, (_, i) => i % (n + 1) === 0 ? 4 : 0), 1e-5);
  }
});

Deno.test("calculateGain() knows PyTorch's gains", () => {
  assertClose(
    (["linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"] as const).map((n) => init.calculateGain(n)),
    [1, 1, 5 / 3, Math.SQRT2, Math.sqrt(2 / (1 + 1e-4)), 0.75],
  );
});
