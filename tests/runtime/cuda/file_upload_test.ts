/** Parts of a file on their way to a device: every byte arrives once, whatever is cut or shared. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { device } from "../../../src/core/mod.ts";
import { FileReader } from "../../../src/runtime/cpu/mod.ts";
import type { CudaBuffer } from "../../../src/runtime/cuda/mod.ts";
import { fileChunks, type FilePiece } from "../../../src/runtime/cuda/mod.ts";
import { cudaMemory } from "../../../src/tensor/mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

Deno.test("fileChunks() covers every byte of every piece once, in reads that are not too long", () => {
  const to = {} as CudaBuffer;
  const piece = fc.record({ offset: fc.nat(300_000), byteLength: fc.nat(90_000) });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.integer({ min: 1000, max: 100_000 }), (ranges, most) => {
      const pieces = ranges.map((r, i): FilePiece => ({ ...r, to, at: i * 1_000_000 }));
      const chunks = fileChunks(pieces, most);
      const got = new Map<number, number>();
      for (const { offset, byteLength, pieces } of chunks) {
        assert.ok(byteLength <= most && byteLength > 0);
        for (const p of pieces) {
          assert.ok(p.offset >= offset && p.offset + p.byteLength <= offset + byteLength);
          const whole = Math.floor(p.at / 1_000_000);
          assert.equal(p.offset - (ranges[whole]?.offset ?? -1), p.at % 1_000_000);
          got.set(whole, (got.get(whole) ?? 0) + p.byteLength);
        }
      }
      ranges.forEach(({ byteLength }, i) => assert.equal(got.get(i) ?? 0, byteLength));
    }),
  );
});

Deno.test("FileReader reads ranges side by side, and says where a file ends", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeFile(path, Uint8Array.from({ length: 5000 }, (_, i) => i % 251));
  {
    using reader = FileReader.open(path);
    assert.ok(reader !== null);
    const parts = [[0, 17], [4000, 1000], [250, 3]].map(([offset = 0, bytes = 0]) => ({
      offset,
      to: new Uint8Array(new ArrayBuffer(bytes)),
    }));
    await Promise.all(parts.map(({ offset, to }) => reader.read(Deno.UnsafePointer.of(to), offset, to.length)));
    for (const { offset, to } of parts) to.forEach((v, i) => assert.equal(v, (offset + i) % 251));
    const to = new Uint8Array(new ArrayBuffer(20));
    await assert.rejects(
      reader.read(Deno.UnsafePointer.of(to), 4990, 20),
      /bytes 4990 to 5010 cannot be read beyond 5000/,
    );
  }
  assert.equal(FileReader.open(`${path}.missing`), null);
  await Deno.remove(path);
});

cudaTest("writeFile() brings long and short parts of a file to their places", async () => {
  const path = await Deno.makeTempFile();
  const words = Uint32Array.from({ length: 3 * 2 ** 20 }, (_, i) => Math.imul(i, 2654435761));
  const bytes = new Uint8Array(words.buffer);
  await Deno.writeFile(path, bytes);
  const memory = cudaMemory();
  const ranges = [[0, 5 * 2 ** 20 + 12], [bytes.length - 4, 4], [7 * 2 ** 20, 100_001], [64, 1]] as const;
  const targets = ranges.map(([, byteLength]) => memory.allocate(device("cuda"), byteLength + 3));
  const pieces = ranges.map(([offset, byteLength], i): FilePiece => ({
    offset,
    byteLength,
    to: targets[i] as CudaBuffer,
    at: 3,
  }));
  await memory.writeFile(path, pieces);
  ranges.forEach(([offset, byteLength], i) => {
    assert.deepEqual(
      memory.readSync(targets[i] as CudaBuffer, 3, byteLength),
      bytes.slice(offset, offset + byteLength),
    );
  });
  const beyond = { offset: bytes.length - 4, byteLength: 8, to: targets[0] as CudaBuffer, at: 0 };
  await assert.rejects(memory.writeFile(path, [beyond]), RangeError);
  await Deno.remove(path);
});
