/**
 * What tests of tensors on "cuda" share: registering one, on the emulated device where there is no GPU, and comparing what comes back.
 *
 * Importing this is the first use of "cuda" in the process: import it before anything runs there.
 */
import assert from "node:assert/strict";
import { float32, type Tensor } from "../../mod.ts";
import { emulateCuda } from "../runtime/cuda/emulator/mod.ts";

/** Why there is no device at all, not even an emulated one; null where there is. */
export const noCuda: string | null = emulateCuda();

/** Registers a test on "cuda"; where it cannot run, its name says why it is skipped. Contexts live as long as the process. */
export function cudaTest(name: string, fn: () => void | Promise<void>): void {
  Deno.test({
    name: noCuda === null ? name : `${name} [skipped: ${noCuda}]`,
    ignore: noCuda !== null,
    sanitizeResources: false,
    sanitizeOps: false,
    fn,
  });
}

/** Elements differ by rounding only: at most `tolerance · (1 + |expected|)`. */
export function assertClose(actual: Tensor, expected: Tensor, tolerance = 1e-5): void {
  assert.deepEqual(actual.shape, expected.shape);
  const [a, b] = [actual.dataSync(), expected.dataSync()];
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [Number(a[i]), Number(b[i])];
    assert.ok(Math.abs(x - y) <= tolerance * (1 + Math.abs(y)), `element ${i}: ${x} instead of ${y}`);
  }
}

/** The largest distance of elements, wherever the tensors are. */
export function farthest(x: Tensor, y: Tensor): number {
  return x.cpu().to(float32).sub(y.cpu().to(float32)).abs().max().item() as number;
}
