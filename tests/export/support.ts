/** Fixtures of the export tests: programs that PyTorch 2.13 exported, with its inputs and results as safetensors beside them. */
import assert from "node:assert/strict";
import "../../src/tensor/mod.ts";
import "../../src/ops/mod.ts";
import { type ExportedProgram, loadSafetensors, readExportedProgram } from "../../src/export/mod.ts";
import { Tensor } from "../../src/tensor/mod.ts";

/** Path of a fixture. */
export function fixture(name: string): string {
  return new URL(`./fixtures/${name}`, import.meta.url).pathname;
}

/** Reads an exported program. */
export function read(name: string): Promise<ExportedProgram> {
  return readExportedProgram(fixture(`${name}.pt2`));
}

/** PyTorch's inputs and results: `input_0`, …, `output_0`, …; results that are no tensors are missing. */
export function recorded(name: string): { inputs: Tensor[]; output(i: number): Tensor | null } {
  const tensors = loadSafetensors(fixture(`${name}.safetensors`));
  const inputs: Tensor[] = [];
  for (let i = 0;; i++) {
    const input = tensors.get(`input_${i}`);
    if (input === undefined) break;
    inputs.push(input);
  }
  return { inputs, output: (i) => tensors.get(`output_${i}`) ?? null };
}

/** Asserts that a result is PyTorch's: same dtype and shape, elements close. */
export function assertClose(actual: unknown, wanted: Tensor, where: string, tolerance = 1e-5): void {
  assert.ok(actual instanceof Tensor, `${where}: no tensor`);
  assert.equal(actual.dtype, wanted.dtype, `${where}: dtype`);
  assert.deepEqual(actual.shape.map(Number), wanted.shape.map(Number), `${where}: shape`);
  const a = [...actual.dataSync()].map(Number), b = [...wanted.dataSync()].map(Number);
  b.forEach((v, i) => {
    const w = a[i] ?? NaN;
    const same = Object.is(v, w) || v === w || Math.abs(v - w) <= tolerance * Math.max(1, Math.abs(v));
    assert.ok(same, `${where}: element ${i} is ${w}, PyTorch has ${v}`);
  });
}
