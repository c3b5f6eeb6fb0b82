/** Plans that are read back: rows of strided results, and plans that say what cannot be. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { CpuBuffer, type NativePlan, NativeProgram, rowMajorBytes } from "../../src/runtime/cpu/mod.ts";

Deno.test("rowMajorBytes() reads any strides as the index says", () => {
  const layouts = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 9 })), { maxLength: 4 });
  fc.assert(fc.property(layouts, fc.integer({ min: 0, max: 5 }), (dims, offset) => {
    const shape = dims.map(([size]) => size), stride = dims.map(([, step]) => step);
    const memory = Int32Array.from({ length: 200 }, (_, i) => 7 * i + 1);
    const bytes = rowMajorBytes(new Uint8Array(memory.buffer), 4, shape, stride, offset);
    const wanted: number[] = [];
    const walk = (d: number, at: number): void => {
      if (d === shape.length) wanted.push(memory[at] ?? NaN);
      else for (let i = 0; i < (shape[d] ?? 0); i++) walk(d + 1, at + i * (stride[d] ?? 0));
    };
    walk(0, offset);
    assert.deepEqual([...new Int32Array(bytes.slice().buffer)], wanted);
  }));
});

Deno.test("NativeProgram refuses plans that name what does not exist", () => {
  const plan: NativePlan = {
    exports: [],
    args: { slots: [0, null], arena: 1, sizes: 2, error: 3, kept: 4, length: 5 },
    packed: [],
    slots: [{ kind: "attribute", index: 0 }, { kind: "arena", offset: 0, bytes: 64 }],
    arenaBytes: 64,
    sizes: [],
    inputBytes: [],
    written: [],
    writes: [],
    attributes: [{ file: "model", offset: 0, byteLength: 16, alignment: 4 }],
    results: [],
  };
  const files = {
    library: "/nowhere.so",
    threadPool: "/nowhere.so",
    model: CpuBuffer.wrap(new Uint8Array(16)),
    constants: null,
  };
  const refuses = (change: Partial<NativePlan>, message: RegExp): void => {
    assert.throws(() => new NativeProgram({ ...plan, ...change }, files), message);
  };
  const attribute = (change: object): Partial<NativePlan> => ({
    attributes: plan.attributes.map((a) => ({ ...a, ...change })),
  });
  refuses(attribute({ offset: 8 }), /holds 16 where a whole number up to 8/);
  refuses(attribute({ offset: 17 }), /holds 17 where a whole number up to 16/);
  refuses(attribute({ offset: -1 }), /holds -1/);
  refuses(attribute({ file: "constants" }), /constants that were not kept/);
  refuses({ arenaBytes: 32 }, /holds 64 where a whole number up to 32/);
  refuses({ args: { ...plan.args, slots: [0] } }, /arguments of other slots/);
  refuses({ args: { ...plan.args, arena: 5 } }, /holds 5 where a whole number up to 4/);
  refuses({ slots: [{ kind: "input", index: 0 }, ...plan.slots.slice(1)] }, /holds 0 where a whole number up to -1/);
  refuses({ packed: [{ offset: 0, bytes: 64, attributes: [1], sole: true }] }, /holds 1 where a whole number up to 0/);
  const result = { slot: 0, dtype: "float32", shape: [4], stride: [1], offset: 0 };
  refuses({ results: [{ ...result, offset: 1 }] }, /outside of the memory of slot 0/);
  refuses({ writes: [{ from: result, to: { ...result, slot: 1, stride: [8] } }] }, /outside of the memory of slot 1/);
  refuses({ writes: [{ from: result, to: { ...result, slot: 1, shape: [3] } }] }, /between two shapes/);
  refuses({ written: [1] }, /holds 1 where a whole number up to 0/);
  refuses({ sizes: [-1] }, /holds -1/);
  const [own] = plan.slots as [NativePlan["slots"][number]];
  refuses({ slots: [own, { kind: "donated", of: 1 }] }, /slot of kind donated/);
  // What is well formed gets as far as its libraries.
  assert.throws(() => new NativeProgram(plan, files), /nowhere\.so/);
});
