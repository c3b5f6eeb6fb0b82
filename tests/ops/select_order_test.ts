/** Selections among equal elements take those that PyTorch takes on the CPU: a router of zeros sends tokens to the same experts. */
import assert from "node:assert/strict";
import { tensor } from "../../mod.ts";

/** `n` numbers below `m`, most of them several times. */
const repeated = (n: number, m: number, step: number): number[] => Array.from({ length: n }, (_, i) => i * step % m);

/** One number of many positions. */
const hash = (positions: readonly number[]): number => positions.reduce((h, at) => (h * 31 + at) % 1000003, 0);

// Length, modulus, step, k, largest, sorted; PyTorch 2.13's first positions, and the hash of all.
const TOPK: [number, number, number, number, boolean, boolean, number[], number][] = [
  [4, 1, 1, 2, true, true, [2, 3], 65],
  [16, 1, 1, 4, true, true, [10, 11, 12, 9], 308862],
  [64, 3, 7, 5, true, true, [17, 41, 20, 44, 23], 941847],
  [40, 4, 5, 25, true, true, [39, 27, 19, 15, 31, 23], 442573],
  [40, 4, 5, 25, true, false, [25, 39, 2, 3, 38, 1], 527159],
  [200, 5, 3, 3, false, true, [10, 0, 5], 9615],
  [100, 2, 1, 90, false, true, [48, 30, 84, 32, 34, 82], 484650],
  [300, 7, 5, 150, true, true, [214, 263, 25, 186, 256, 151], 682347],
];

for (const [n, m, step, k, largest, sorted, first, all] of TOPK) {
  Deno.test(`topk() of ${n} numbers below ${m} takes PyTorch's ${k} (largest ${largest}, sorted ${sorted})`, () => {
    const [, indices] = tensor(repeated(n, m, step)).topk(k, 0, largest, sorted);
    const positions = [...indices.dataSync()].map(Number);
    assert.deepEqual(positions.slice(0, 6), first);
    assert.equal(hash(positions), all);
  });
}

Deno.test("kthvalue() takes PyTorch's position among equal elements", () => {
  const positions = [[5, 1, 1, 3], [40, 4, 5, 20], [100, 3, 2, 77]].map(([n = 0, m = 1, step = 0, k = 1]) =>
    Number(tensor(repeated(n, m, step)).kthvalue(k, 0)[1].item())
  );
  assert.deepEqual(positions, [0, 1, 31]);
});
