/** Garbage that nobody holds any more is gone after collectGarbage(). */
import assert from "node:assert/strict";
import { collectGarbage } from "../../src/cli/memory.ts";

Deno.test("collectGarbage() gives back memory that nobody holds", () => {
  const heap = (): number => Deno.memoryUsage().heapUsed;
  collectGarbage();
  const before = heap();
  let held: number[][] | null = Array.from({ length: 200 }, (_, i) => new Array<number>(20_000).fill(i + 0.5));
  const full = heap();
  assert.ok(full - before > 2e7, `${full - before} bytes`);
  assert.equal(held.length, 200);
  held = null;
  collectGarbage();
  assert.ok(heap() - before < (full - before) / 4, `${heap() - before} bytes of ${full - before} are left`);
});
