/** What is kept of a model for a process without the compiler belongs to the file that was read. */
import assert from "node:assert/strict";
import { cpu } from "../../src/core/mod.ts";
import { compileExported, readExportedProgram } from "../../src/export/mod.ts";
import { nativeCall } from "../../src/export/native_call.ts";
import { type OpenNative, openNative } from "../../src/export/native_entry.ts";
import { loadBuffers } from "../../src/export/safetensors/buffers.ts";
import { CpuBuffer, NativeProgram, type ResultBuffer } from "../../src/runtime/cpu/mod.ts";
import { contiguousStride } from "../../src/symbolic/mod.ts";
import { manualSeed, Storage, Tensor } from "../../src/tensor/mod.ts";
import { assertClose, fixture, recorded } from "./support.ts";

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

/** What is kept of a fixture, and the fixture as this process compiled it. */
async function kept(name: string): Promise<{
  readonly opened: OpenNative;
  readonly call: Awaited<ReturnType<typeof compileExported>>;
}> {
  const path = fixture(`${name}.pt2`);
  const call = compileExported(await readExportedProgram(path, { device: cpu }), { device: cpu, file: { path } });
  await call.ready();
  assert.equal(call.isKept?.(), true, name);
  const opened = openNative(path, options);
  assert.ok(opened !== null, name);
  return { opened, call };
}

/** A kept program on the inputs of a file, to be called again and again; its results as tensors. */
async function callable(opened: OpenNative, file: string): Promise<() => Tensor[]> {
  const all = loadBuffers(fixture(`${file}.safetensors`)) ?? new Map();
  const made = await nativeCall(opened.entry, new Map([...all].filter(([name]) => name.startsWith("input_"))));
  assert.ok(made !== null, file);
  const program = new NativeProgram(made.plan, opened.files);
  return () => program.run(made.inputs).map(tensorOf);
}

function tensorOf({ dtype, shape, read }: ResultBuffer): Tensor {
  const storage = new Storage(CpuBuffer.wrap(read().slice()));
  return new Tensor({ shape, stride: contiguousStride(shape), storageOffset: 0, dtype, device: cpu, storage });
}

Deno.test("kept programs yield what compiled ones do, call after call: symbolic sizes, writes, views, numbers", async () => {
  for (
    const name of ["bags", "dynamic_math", "mlp_dynamic", "mutation", "in_place_views", "written_aliases", "fractions"]
  ) {
    const { opened, call } = await kept(name);
    const others = ["bags", "fractions"].includes(name) ? [name, `${name}_other`] : [name];
    for (const file of others) {
      const run = await callable(opened, file);
      const { inputs } = recorded(file);
      const given = opened.entry.inputs.map((input, i) => {
        const t = inputs[i] as Tensor;
        return input.kind === "tensor" ? t : Number(t.item());
      });
      // Twice: what a call writes, the next one reads.
      for (const round of file === name ? [1, 2] : [1]) {
        const wanted = call(given).filter((r): r is Tensor => r instanceof Tensor);
        const got = run();
        assert.equal(got.length, wanted.length, file);
        wanted.forEach((t, i) => assertClose(got[i], t, `${file} result ${i} of call ${round}`, 1e-6));
      }
    }
  }
});

Deno.test("kept programs check their sizes with the words of the program", async () => {
  const { opened, call } = await kept("mlp_dynamic");
  const { inputs } = recorded("mlp_dynamic");
  const [first] = inputs as [Tensor];
  const shape = first.shape.map(Number);
  for (const rows of [0, 1, 1000]) {
    const size = [rows, ...shape.slice(1)];
    const bytes = new Uint8Array(4 * size.reduce((a, b) => a * b, 1));
    const buffer = CpuBuffer.wrap(bytes);
    const t = new Tensor({
      shape: size,
      stride: contiguousStride(size),
      storageOffset: 0,
      dtype: first.dtype,
      device: cpu,
      storage: new Storage(buffer),
    });
    const file = new Map([["input_0", { dtype: "float32", shape: size, buffer }]]);
    const said = await nativeCall(opened.entry, file).then(() => null, (error: Error) => error.message);
    let wanted: string | null = null;
    try {
      call([t]);
    } catch (error) {
      wanted = (error as Error).message;
    }
    assert.equal(said, wanted, `${rows} rows`);
  }
});

Deno.test("kept programs draw numbers of their own, and go on with them", async () => {
  manualSeed(7);
  const { opened } = await kept("drawing");
  assert.equal(JSON.stringify(opened.entry).includes('"file":"generator"'), true);
  const run = await callable(opened, "drawing");
  const [first, second] = [run(), run()];
  const [other] = [(await callable(opened, "drawing"))()];
  const numbers = (t: Tensor | undefined): number[] => [...t?.dataSync() ?? []].map(Number);
  for (const at of [0, 1]) {
    const drawn = [first, second, other].map((results) => numbers(results[at]).join());
    assert.equal(new Set(drawn).size, 3, `result ${at}`);
  }
  assert.ok(numbers(first[0]).every((u) => u >= 0 && u < 1));
  const mean = numbers(first[0]).reduce((a, b) => a + b) / 64;
  assert.ok(mean > 0.2 && mean < 0.8, String(mean));
  // The buffer counts calls; the input's transpose is a view of it.
  assert.deepEqual([first, second].map((results) => numbers(results[4])[0]), [1, 2]);
  assert.deepEqual(numbers(second[2]).slice(0, 3), [2, 3, 4]);
  assert.deepEqual(numbers(first[3]).slice(0, 4), [0, 3, 6, 9]);
});
