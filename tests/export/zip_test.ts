/** Zip files: views without copies, and refusal of everything that a hostile file may try. */
import assert from "node:assert/strict";
import { FormatError, ZipArchive, type ZipLimits } from "../../src/export/mod.ts";
import { fixture } from "./support.ts";
import { type TestEntry, zip } from "./zip_builder.ts";

const open = (entries: readonly TestEntry[], limits?: ZipLimits): Promise<ZipArchive> =>
  ZipArchive.from(zip(entries), "test.zip", limits);

Deno.test("ZipArchive reads stored and deflated entries, stored ones as views of the file", async () => {
  const bytes = zip([{ name: "a/b", data: "hello" }, { name: "c", data: "x".repeat(1000), deflate: true }]);
  const archive = await ZipArchive.from(bytes, "test.zip");
  assert.deepEqual(archive.names, ["a/b", "c"]);
  assert.equal(archive.read("a/b").buffer, bytes.buffer);
  assert.equal(archive.readText("a/b"), "hello");
  assert.equal(archive.readText("c"), "x".repeat(1000));
  assert.throws(() => archive.read("d"), /there is no entry "d"/);
});

Deno.test("ZipArchive lists every entry of PyTorch's archives, zip64 records and nested zips notwithstanding", async () => {
  // The first entry of this one is as long as the zip64 records: a reader that guesses where the directory starts loses it.
  const archive = await ZipArchive.open(fixture("mutation.pt2"));
  assert.ok(archive.names.some((n) => n.endsWith("data/weights/weight_0")), archive.names.join());
  const nested = await ZipArchive.open(fixture("mlp_dynamic.pt2"));
  assert.ok(nested.names.some((n) => n.endsWith("sample_inputs/model.pt")));
  for (const name of nested.names) nested.read(name);
});

const refused: [string, readonly TestEntry[], RegExp][] = [
  ["path traversal", [{ name: "../../etc/passwd", data: "" }], /relative path|\.\./],
  ["absolute names", [{ name: "/etc/passwd", data: "" }], /absolute path/],
  ["backslashes", [{ name: "a\\..\\b", data: "" }], /invalid characters|backslash|relative path/],
  ["control characters", [{ name: "a\nb", data: "" }], /control characters/],
  ["names that occur twice", [{ name: "a", data: "1" }, { name: "a", data: "2" }], /"a" occurs twice/],
  ["entries that share data", [{ name: "a", data: "12345" }, { name: "b", data: "12345", sameAs: 0 }], /overlap/],
  ["encrypted entries", [{ name: "a", data: "1".repeat(13), size: 1, flags: 1 }], /encrypted/],
  ["unknown compression", [{ name: "a", data: "1", method: 12 }], /method 12/],
  ["sizes beyond the file", [{ name: "a", data: "1", size: 5000, packedSize: 5000 }], /behind the end/],
  ["stored entries of two sizes", [{ name: "a", data: "12", size: 1 }], /size|differ/],
];
for (const [what, entries, message] of refused) {
  Deno.test(`ZipArchive refuses ${what}`, async () => {
    await assert.rejects(() => open(entries), (error: unknown) => {
      assert.ok(error instanceof FormatError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes("\n"));
      return true;
    });
  });
}

Deno.test("ZipArchive refuses damaged entries when they are read", async () => {
  const archive = await open([
    { name: "crc", data: "hello", crc: 1 },
    { name: "local", data: "hello", localName: "other" },
    { name: "short", data: "hello hello", deflate: true, size: 3 },
    { name: "garbage", data: new Uint8Array(50).fill(0xff), method: 8 },
  ]);
  assert.throws(() => archive.read("crc"), /"crc" is damaged: its CRC is 0x3610a686, the directory says 0x00000001/);
  assert.throws(() => archive.read("local"), /local header calls it "other"/);
  assert.throws(() => archive.read("short"), /inflates to 11 bytes, the directory says 3|cannot be inflated/);
  assert.throws(() => archive.read("garbage"), /cannot be inflated/);
});

Deno.test("ZipArchive refuses bombs before and while inflating them", async () => {
  const zeros = new Uint8Array(8 * 2 ** 20);
  await assert.rejects(() => open([{ name: "a", data: zeros, deflate: true }]), /more than 200 to 1/);
  await assert.rejects(
    () => open([{ name: "a", data: zeros, deflate: true }], { inflatedBytes: 1000 }),
    /bound of 1000/,
  );
  // The directory claims little; the data go on.
  const liar = await open([{ name: "a", data: zeros, deflate: true, size: 1000 }], { inflatedBytes: 100_000 });
  assert.throws(() => liar.read("a"), /cannot be inflated/);
  await assert.rejects(
    () => open([{ name: "a", data: "" }, { name: "b", data: "" }], { entries: 1 }),
    /more than 1 entries/,
  );
});

Deno.test("ZipArchive refuses files cut anywhere", async () => {
  const bytes = zip([{ name: "a", data: "hello" }, { name: "b", data: "world" }]);
  for (let length = 0; length < bytes.length; length++) {
    await assert.rejects(() => ZipArchive.from(bytes.slice(0, length), "cut.zip"), FormatError);
  }
});
