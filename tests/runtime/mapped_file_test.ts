import assert from "node:assert/strict";
import { mapFile } from "../../src/runtime/cpu/mapped_file.ts";
import { withTempDir } from "./support.ts";

Deno.test("mapFile() shows a file, keeps writes to itself, and takes an empty file", async () => {
  await withTempDir((directory) => {
    const path = `${directory}/weights é.bin`;
    Deno.writeFileSync(path, new Uint8Array(Float32Array.from({ length: 5000 }, (_, i) => i).buffer));
    const buffer = mapFile(path);
    assert.equal(buffer.byteLength, 20_000);
    assert.equal(buffer.float32[4999], 4999);
    buffer.float32[1] = -1;
    assert.deepEqual([mapFile(path).float32[1], buffer.float32[1]], [1, -1]);
    Deno.writeFileSync(path, new Uint8Array());
    assert.equal(mapFile(path).byteLength, 0);
    assert.throws(() => mapFile(`${directory}/none`), Deno.errors.NotFound);
    assert.throws(() => mapFile(directory), { name: "TypeError", message: /is not a file/ });
  });
});

Deno.test("a mapped file is read page by page, not copied", async () => {
  await withTempDir((directory) => {
    const path = `${directory}/large`;
    const size = 512 * 2 ** 20;
    Deno.writeFileSync(path, new Uint8Array(1));
    Deno.truncateSync(path, size);
    const before = Deno.memoryUsage().rss;
    const buffer = mapFile(path);
    assert.equal(buffer.uint8[size - 1], 0);
    assert.ok(Deno.memoryUsage().rss - before < 100e6);
  });
});
