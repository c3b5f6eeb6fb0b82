/**
 * Conditions on data stop a call with their own words, on every executor, eagerly and compiled, in vectors and in their rest; data that meet them pass.
 */
import assert from "node:assert/strict";
import { compile, float32, int32, int64, type Tensor, tensor, uint8 } from "../../mod.ts";
import { registerLibrary } from "../../src/capture/mod.ts";
import { F, referenceBackend, withEagerBackend } from "../../src/tensor/mod.ts";

const ZERO = /an integer is divided by 0/;
const TIERS = ["js", "aot"] as const;

/** Runs eagerly and compiled. */
function everywhere(
  run: (...args: Tensor[]) => Tensor,
  check: (run: () => Tensor) => void,
  args: () => Tensor[],
): void {
  check(() => run(...args()));
  withEagerBackend(referenceBackend, () => check(() => run(...args())));
  for (const tier of TIERS) {
    const own = (...given: Tensor[]): Tensor => run(...given);
    registerLibrary({ own });
    check(() => compile(own, { fullgraph: true, options: { tier } })(...args()));
  }
}

const QUOTIENTS: readonly ((a: Tensor, b: Tensor) => Tensor)[] = [
  (a, b) => a.floorDivide(b),
  (a, b) => a.remainder(b),
  (a, b) => a.fmod(b),
  (a, b) => a.div(b, { roundingMode: "trunc" }),
  (a, b) => a.div(b, { roundingMode: "floor" }),
];

Deno.test("an integer divided by 0 raises, wherever it stands", () => {
  for (const [n, at] of [[1, 0], [13, 12], [37, 20]] as const) {
    const divisors = Array.from({ length: n }, (_, i) => i === at ? 0 : 3);
    for (const dtype of [int64, int32, uint8]) {
      const [run] = QUOTIENTS;
      assert.ok(run);
      everywhere(run, (call) => assert.throws(() => call().dataSync(), { name: "RangeError", message: ZERO }), () => [
        tensor(new Array<number>(n).fill(7), { dtype }),
        tensor(divisors, { dtype }),
      ]);
    }
  }
  for (const run of QUOTIENTS) {
    assert.throws(() => run(tensor([1, 2]), tensor([1, 0])).dataSync(), ZERO);
    assert.throws(() => run(tensor([1, 2]), tensor(0)).dataSync(), ZERO);
  }
  assert.throws(() => tensor([1, 2]).floorDivide(0), ZERO);
  assert.throws(() => tensor([1, 2]).remainder(0), ZERO);
});

Deno.test("divisors that are not 0 divide, and floats divide by 0", () => {
  for (let n = 1; n < 40; n += 6) {
    everywhere(
      (a, b) => a.floorDivide(b).add(a.remainder(b)),
      (call) => assert.deepEqual([...call().to(float32).dataSync() as Float32Array], new Array<number>(n).fill(3)),
      () => [tensor(new Array<number>(n).fill(7)), tensor(new Array<number>(n).fill(3))],
    );
  }
  const zero = tensor([0], { dtype: float32 });
  assert.deepEqual([...tensor([1], { dtype: float32 }).floorDivide(zero).dataSync() as Float32Array], [Infinity]);
});

Deno.test("binary cross entropy takes numbers between 0 and 1", () => {
  const run = (x: Tensor, y: Tensor): Tensor => F.binaryCrossEntropy(x, y);
  const at = (x: number, y: number) => (): Tensor[] => [
    tensor([0.5, x, 0.25], { dtype: float32 }),
    tensor([1, y, 0], { dtype: float32 }),
  ];
  for (const bad of [1.5, -0.1, NaN]) {
    everywhere(
      run,
      (call) => assert.throws(() => call().dataSync(), /of the input is not between 0 and 1/),
      at(bad, 1),
    );
    everywhere(run, (call) => assert.throws(() => call().dataSync(), /of the target is not between/), at(0.5, bad));
  }
  everywhere(run, (call) => assert.ok(Number.isFinite(call().item())), at(1, 0));
});
