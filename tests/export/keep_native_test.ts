/** What is kept of a model for a process without the compiler belongs to the file that was read. */
import assert from "node:assert/strict";
import { cpu } from "../../src/core/mod.ts";
import { compileExported, readExportedProgram } from "../../src/export/mod.ts";
import { openNative } from "../../src/export/native_entry.ts";
import { fixture } from "./support.ts";

const options = { mode: "default" } as const;

Deno.test("a model that was replaced while it was compiled is not kept under the new file", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/model.pt2`;
  const compileAs = async (between: () => Promise<void>): Promise<boolean> => {
    const program = await readExportedProgram(path, { device: cpu });
    await between();
    const call = compileExported(program, { device: cpu, file: { path } });
    await call.ready();
    return call.isKept?.() === true;
  };
  try {
    await Deno.copyFile(fixture("qkv.pt2"), path);
    const replaced = await compileAs(async () => {
      await Deno.copyFile(fixture("qkv.pt2"), `${path}.new`);
      await Deno.rename(`${path}.new`, path);
    });
    assert.equal(replaced, false);
    assert.equal(openNative(path, options), null);
    assert.equal(await compileAs(() => Promise.resolve()), true);
    assert.ok(openNative(path, options) !== null);
    // The same place, size, inode and time of the content: only the inode's own time tells.
    const { mtime } = await Deno.stat(path);
    await new Promise((done) => setTimeout(done, 1100));
    await Deno.writeFile(path, await Deno.readFile(path));
    await Deno.utime(path, mtime ?? new Date(), mtime ?? new Date());
    assert.equal(openNative(path, options), null);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
