/** safetensors: every dtype of PyTorch's writer, round trips, and refusal of hostile headers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { bfloat16, float32, int64 } from "../../src/core/mod.ts";
import {
  FormatError,
  loadSafetensors,
  openSafetensors,
  SafetensorsFile,
  saveSafetensors,
} from "../../src/export/mod.ts";
import { Tensor, tensor, tensorFrom } from "../../src/tensor/mod.ts";
import { fixture } from "./support.ts";

Deno.test("openSafetensors() reads every dtype that PyTorch wrote, without a copy where aligned", () => {
  const file = openSafetensors(fixture("all_dtypes.safetensors"));
  assert.deepEqual(file.metadata, { format: "pt" });
  const at = (name: string): unknown => file.tensor(name).toArray();
  assert.deepEqual(at("a"), [[0, 1, 2], [3, 4, 5]]);
  assert.deepEqual(at("bf"), [1.5, -2, 3]);
  assert.deepEqual(at("h"), [1, 2]);
  assert.deepEqual(at("b"), [true, false]);
  assert.deepEqual(at("i"), [9007199254740993n, -1]);
  assert.deepEqual([at("u8"), at("d"), at("i8")], [[255], 3.25, [-1]]);
  assert.deepEqual(file.tensor("e").shape, [0, 3]);
  assert.equal(file.tensor("bf").dtype, bfloat16);
  assert.equal(file.tensor("a"), file.tensor("a"));
  assert.throws(() => file.tensor("zzz"), /there is no tensor "zzz"/);
});

Deno.test("writing to a tensor of a file leaves the file alone", async () => {
  const path = await Deno.makeTempFile();
  await saveSafetensors(path, { x: tensor([1, 2, 3], { dtype: float32 }) });
  const before = await Deno.readFile(path);
  loadSafetensors(path).get("x")?.add_(1);
  assert.deepEqual(await Deno.readFile(path), before);
  await Deno.remove(path);
});

Deno.test("saveSafetensors() writes what loadSafetensors() reads, strided tensors and odd names included", async () => {
  const dir = await Deno.makeTempDir();
  const x = tensorFrom([2, 3], [1, 2, 3, 4, 5, 6], float32);
  const transposed = new Tensor({
    ...x,
    shape: [3, 2],
    stride: [1, 3],
    storage: x.storage,
    storageOffset: 0,
    dtype: x.dtype,
    device: x.device,
  });
  const given = {
    x,
    t: transposed,
    'odd "name"\n*/': tensor([1, 2], { dtype: int64 }),
    byte: tensor([true, false, true]),
  };
  await saveSafetensors(`${dir}/f.safetensors`, given, { made: "by a test" });
  const file = openSafetensors(`${dir}/f.safetensors`);
  assert.deepEqual(file.metadata, { made: "by a test" });
  assert.deepEqual(file.tensor("t").toArray(), [[1, 4], [2, 5], [3, 6]]);
  for (const [name, t] of Object.entries(given)) assert.deepEqual(file.tensor(name).toArray(), t.toArray(), name);
  for (const { start, dtype } of file.entries) assert.equal(start % (dtype?.bytes ?? 1), 0);
  assert.deepEqual([...Deno.readDirSync(dir)].map((f) => f.name), ["f.safetensors"]);
  await Deno.remove(dir, { recursive: true });
});

function file(header: unknown, data: number = 16, claimed: bigint | null = null): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}
const f32 = (shape: unknown, offsets: unknown): unknown => ({ dtype: "F32", shape, data_offsets: offsets });

const hostile: [string, Uint8Array<ArrayBuffer>, RegExp][] = [
  ["an empty file", new Uint8Array(0), /0 bytes only/],
  ["a huge header length", file({}, 0, 2n ** 63n), /claims 9223372036854775808 bytes/],
  ["a header longer than the file", file({}, 0, 1000n), /file ends before/],
  ["a header that is no object", file("[1]", 0), /does not start with \{/],
  ["broken JSON", file('{"a":', 0), /no JSON/],
  ["overlapping tensors", file({ a: f32([2], [0, 8]), b: f32([3], [4, 16]) }), /overlaps/],
  ["holes", file({ a: f32([2], [0, 8]), b: f32([1], [12, 16]) }), /4 bytes before tensor "b"/],
  ["data that belong to no tensor", file({ a: f32([2], [0, 8]) }), /8 bytes at the end/],
  ["ranges outside the data", file({ a: f32([5], [0, 20]) }), /outside the 16 bytes/],
  ["reversed ranges", file({ a: f32([1], [8, 4]) }), /outside/],
  ["shapes that disagree", file({ a: f32([5], [0, 16]) }), /needs 20 bytes, data_offsets give 16/],
  ["shapes that overflow", file({ a: f32([2 ** 40, 2 ** 40], [0, 16]) }), /needs/],
  ["negative sizes", file({ a: f32([-4], [0, 16]) }), /list of at most/],
  ["fractions", file({ a: f32([1.5], [0, 16]) }), /list of at most/],
  ["too many dimensions", file({ a: f32(new Array(100).fill(1), [0, 4]) }), /list of at most/],
  [
    "unknown dtypes",
    file({ a: { dtype: "constructor", shape: [4], data_offsets: [0, 16] } }),
    /unknown dtype "constructor"/,
  ],
  ["metadata that are no texts", file({ __metadata__: { a: 1 } }, 0), /must be a text/],
];
for (const [what, bytes, message] of hostile) {
  Deno.test(`SafetensorsFile refuses ${what}`, () => {
    assert.throws(() => new SafetensorsFile(bytes, "bad"), (error: unknown) => {
      assert.ok(error instanceof FormatError, String(error));
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("SafetensorsFile lists dtypes that have no tensors, and says so when asked for one", () => {
  const bytes = file({ a: { dtype: "F8_E8M0", shape: [16], data_offsets: [0, 16] } });
  const opened = new SafetensorsFile(bytes, "f8");
  assert.equal(opened.entries[0]?.dtypeName, "F8_E8M0");
  assert.throws(() => opened.tensor("a"), /F8_E8M0, of which there are no tensors/);
});

Deno.test("SafetensorsFile reads 8-bit floats of either kind", () => {
  for (const [dtype, name] of [["F8_E4M3", "float8_e4m3fn"], ["F8_E5M2", "float8_e5m2"]] as const) {
    const opened = new SafetensorsFile(file({ a: { dtype, shape: [16], data_offsets: [0, 16] } }), "f8");
    const read = opened.tensor("a");
    assert.equal(read.dtype.name, name);
    assert.deepEqual(read.shape, [16]);
  }
});

Deno.test("SafetensorsFile survives any change of bytes: it refuses or stays within the file", () => {
  const original = Deno.readFileSync(fixture("all_dtypes.safetensors"));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      (changes) => {
        const bytes = original.slice();
        for (const [at, value] of changes) bytes[at] = value;
        let opened: SafetensorsFile;
        try {
          opened = new SafetensorsFile(bytes, "fuzz");
        } catch (error) {
          assert.ok(error instanceof FormatError, String(error));
          return;
        }
        for (const entry of opened.entries) if (entry.dtype !== null) opened.tensor(entry.name).dataSync();
      },
    ),
    { numRuns: 300 },
  );
});
