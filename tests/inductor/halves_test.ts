/** A half is the same number for whoever reads it: from memory, from a register, or computed again in the backward. */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { bfloat16, type DType, float16, float32 } from "../../src/core/mod.ts";
import { newBuffer } from "../../src/inductor/buffers.ts";
import { ops, type Value } from "../../src/loops/mod.ts";
import { findToolchain } from "../../src/runtime/cpu/toolchain.ts";
import { constant } from "../../src/symbolic/mod.ts";
import { F, manualSeed, noGrad, randn, type Tensor } from "../../src/tensor/mod.ts";

const TIERS = findToolchain().ok ? ["js", "aot"] as const : ["js"] as const;
const HALVES: readonly DType[] = [float16, bfloat16];

type Program = (...args: Tensor[]) => Tensor;

/** Runs a case on both half types and on every tier that is here. */
function onEach(run: (half: DType, compiled: (fn: Program) => Program) => void): void {
  for (const half of HALVES) {
    for (const tier of TIERS) {
      run(
        half,
        (fn) => compile(fn, { fullgraph: true, mode: tier === "aot" ? "aot" : "default", options: { tier } }),
      );
    }
  }
}

function numbers(t: Tensor): number[] {
  return Array.from(t.to(float32).dataSync() as Float32Array);
}

Deno.test("a half and its copy are equal, though only one of them is in memory", () => {
  manualSeed(3);
  const x = randn([64]);
  onEach((half, compiled) => {
    const f = compiled((a) => {
      const v = a.exp().mul(1.37).add(0.1);
      return v.unsqueeze(0).sub(F.stack([v, v], 0));
    });
    assert.ok(numbers(noGrad(() => f(x.to(half)))).every((n) => n === 0));
  });
});

Deno.test("chains of halves round where eager rounds, bit for bit", () => {
  manualSeed(4);
  const [a, b] = [randn([257]), randn([257])];
  onEach((half, compiled) => {
    const chain = (x: Tensor, y: Tensor): Tensor => x.mul(y).add(1).mul(0.3).sub(y).mul(x).relu().add(y.abs());
    const [p, q] = [a.to(half), b.to(half)];
    assert.deepEqual(numbers(noGrad(() => compiled(chain)(p, q))), numbers(noGrad(() => chain(p, q))));
  });
});

Deno.test("cast() drops a round trip through a half only where nothing is rounded", () => {
  const half = ops.load(newBuffer("h", float16, constant(4)), constant(1));
  const float = ops.load(newBuffer("f", float32, constant(4)), constant(1));
  const wide = ops.cast(half, float32);
  const trip = (v: Value): Value => ops.cast(ops.cast(v, float16), float32);
  for (
    const exact of [wide, ops.neg(wide), ops.maximum(wide, 0), ops.where(ops.gt(float, 0), wide, 1.5), ops.floor(wide)]
  ) {
    assert.equal(trip(exact), exact);
  }
  for (const rounded of [float, ops.add(wide, 1), ops.maximum(float, wide), ops.where(ops.gt(float, 0), wide, 1 / 3)]) {
    assert.notEqual(trip(rounded), rounded);
  }
  const other = ops.cast(ops.load(newBuffer("b", bfloat16, constant(4)), constant(1)), float32);
  assert.notEqual(trip(other), other);
});
