/**
 * The arena: buffers that are alive together never overlap, and memory is used again.
 */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { float32 } from "../../src/core/mod.ts";
import { newBuffer } from "../../src/inductor/buffers.ts";
import { ALIGNMENT, type MemoryStep, planMemory } from "../../src/inductor/memory_plan.ts";
import type { BufferRef } from "../../src/loops/mod.ts";
import { constant, evaluate, type Expr, mul, newSym, symbol } from "../../src/symbolic/mod.ts";

const rows = newSym("rows", { kind: "size" });

interface Life {
  readonly first: number;
  readonly length: number;
  readonly elements: number;
  readonly symbolic: boolean;
}

const lives = fc.array(
  fc.record({
    first: fc.nat({ max: 30 }),
    length: fc.nat({ max: 12 }),
    elements: fc.nat({ max: 400 }),
    symbolic: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
);

function stepsOf(all: readonly Life[]): { readonly steps: MemoryStep[]; readonly buffers: Map<BufferRef, Life> } {
  const buffers = new Map<BufferRef, Life>();
  for (const life of all) {
    const numel: Expr = life.symbolic ? mul(symbol(rows), life.elements + 1) : constant(life.elements);
    buffers.set(newBuffer("t", float32, numel), life);
  }
  const end = Math.max(...all.map((l) => l.first + l.length)) + 1;
  const steps = Array.from({ length: end }, (_, at): MemoryStep => ({
    allocates: [...buffers].filter(([, l]) => l.first === at).map(([b]) => b),
    frees: [...buffers].filter(([, l]) => l.first + l.length === at).map(([b]) => b),
    inPlace: new Map(),
  }));
  return { steps, buffers };
}

Deno.test("planMemory() never lets two live buffers overlap, static or symbolic", () => {
  fc.assert(
    fc.property(lives, fc.boolean(), fc.integer({ min: 2, max: 50 }), (all, reuse, size) => {
      const { steps, buffers } = stepsOf(all);
      const plan = planMemory(steps, reuse);
      const value = (e: Expr): number => evaluate(e, () => size);
      const arena = value(plan.arenaBytes);
      const placed = [...buffers].map(([buffer, life]) => {
        const place = plan.placements.get(buffer);
        assert.ok(place !== undefined);
        const start = value(place.offset);
        const bytes = value(mul(buffer.numel, 4));
        assert.equal(start % ALIGNMENT, 0);
        assert.ok(start + bytes <= arena, `${start} + ${bytes} > ${arena}`);
        return { start, end: start + bytes, life };
      });
      for (const x of placed) {
        for (const y of placed) {
          if (x === y || x.start >= y.end || y.start >= x.end) continue;
          const together = x.life.first <= y.life.first + y.life.length && y.life.first <= x.life.first + x.life.length;
          assert.ok(!together, "two live buffers overlap");
        }
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("planMemory() uses the memory of dead buffers again", () => {
  const all = Array.from({ length: 20 }, (_, i): Life => ({ first: i, length: 1, elements: 256, symbolic: false }));
  const { steps } = stepsOf(all);
  assert.equal(evaluate(planMemory(steps, true).arenaBytes, () => 0), 2 * 1024);
  assert.equal(evaluate(planMemory(steps, false).arenaBytes, () => 0), 20 * 1024);
});

Deno.test("planMemory() uses symbolic blocks again where the new size is provably not larger", () => {
  const all = Array.from({ length: 9 }, (_, i): Life => ({ first: 2 * i, length: 1, elements: 63, symbolic: true }));
  const { steps } = stepsOf(all);
  assert.equal(evaluate(planMemory(steps, true).arenaBytes, () => 10), 10 * 64 * 4);
});

Deno.test("planMemory() puts a result over an operand that dies in the same launch only if the caller allows it", () => {
  const [a, b, c] = [1, 2, 3].map(() => newBuffer("t", float32, constant(64))) as [BufferRef, BufferRef, BufferRef];
  const steps = (allow: boolean): MemoryStep[] => [
    { allocates: [a], frees: [], inPlace: new Map() },
    { allocates: [b], frees: [a], inPlace: allow ? new Map([[b, [a]]]) : new Map() },
    { allocates: [c], frees: [b, c], inPlace: new Map() },
  ];
  const reused = planMemory(steps(true), true);
  assert.equal(reused.reusedInPlace.get(b), a);
  assert.equal(reused.placements.get(a)?.offset, reused.placements.get(b)?.offset);
  const apart = planMemory(steps(false), true);
  assert.notEqual(apart.placements.get(a)?.offset, apart.placements.get(b)?.offset);
});
