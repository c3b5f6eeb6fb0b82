/** The program that runs kept plans: what it reads, copies and writes, and jobs that are none. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { inFileOrder, safetensorsHeader } from "../../src/export/safetensors/write_parts.ts";
import { loadBuffers } from "../../src/export/safetensors/buffers.ts";
import { float32, int64 } from "../../src/core/mod.ts";
import {
  CpuBuffer,
  type NativePlan,
  type NativeResult,
  prepareRunner,
  prepareThreadPool,
  rowMajorBytes,
} from "../../src/runtime/cpu/mod.ts";
import { marker, type PlanJob, planJobBytes } from "../../src/runtime/cpu/plan_job.ts";

/** Elements of the model's file and of the input. */
const COUNT = 200;
const values = (factor: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: COUNT }, (_, i) => factor * i);

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${folder}/model`, new Uint8Array(values(3).buffer));
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A plan without kernels: slots 0 to 2 are an input, the model's elements, and a state of a generator. */
function jobOf(folder: string, results: readonly NativeResult[], change: Partial<NativePlan> = {}): PlanJob {
  const { size, ino, mtime } = Deno.statSync(`${folder}/model`);
  const model = { path: `${folder}/model`, size, inode: ino ?? 0, changedMs: mtime?.getTime() ?? 0 };
  const parts = inFileOrder(
    results.map(({ dtype, shape }, at) => ({
      name: `output_${at}`,
      dtype: dtype === "int64" ? int64 : float32,
      shape,
      at,
    })),
  );
  const plan: NativePlan = {
    exports: [],
    args: { slots: [1, 2, 3], arena: 4, sizes: 5, error: 6, kept: 7, length: 8 },
    packed: [],
    slots: [{ kind: "input", index: 0 }, { kind: "attribute", index: 0 }, { kind: "attribute", index: 1 }],
    arenaBytes: 64,
    sizes: [],
    inputBytes: [4 * COUNT],
    attributes: [{ file: "model", offset: 0, byteLength: 4 * COUNT, alignment: 4 }, { file: "generator" }],
    written: [],
    writes: [],
    results,
    ...change,
  };
  const threadPool = prepareThreadPool().waitSync();
  return {
    plan,
    inputs: [CpuBuffer.wrap(new Uint8Array(values(7).buffer))],
    threads: 2,
    library: threadPool,
    threadPool,
    files: { model, constants: null, inputs: null },
    outputs: {
      path: `${folder}/out`,
      part: `${folder}/out.part`,
      header: safetensorsHeader(parts),
      order: parts.map(({ at }) => at),
    },
    calls: 3,
    warmCalls: 1,
    warmMs: 10,
    openingMs: 2,
    peakBytes: 5,
    report: `{"peak":${marker("peak", "bytes")},"median":${marker("median", "json")},"text":"${
      marker("open", "text")
    }"}`,
  };
}

async function runJob(folder: string, bytes: Uint8Array): Promise<{ code: number; out: string; err: string }> {
  const program = prepareRunner().waitSync();
  await Deno.chmod(program, 0o700);
  await Deno.writeFile(`${folder}/job`, bytes);
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", 'exec "$0" 3 3<"$1"', program, `${folder}/job`],
  }).output();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

const onLinux = { ignore: Deno.build.os !== "linux" };

Deno.test("the program that runs plans writes results of any strides, and tells times", onLinux, async () => {
  const dimensions = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 9 })), {
    maxLength: 4,
  });
  const results = fc.sample(fc.tuple(dimensions, fc.integer({ min: 0, max: 5 }), fc.boolean()), {
    numRuns: 60,
    seed: 5,
  })
    .map(([dims, offset, isInput]): NativeResult => ({
      slot: isInput ? 0 : 1,
      dtype: "float32",
      shape: dims.map(([size]) => size),
      stride: dims.map(([, stride]) => stride),
      offset,
    }));
  const state: NativeResult = { slot: 2, dtype: "int64", shape: [2], stride: [1], offset: 0 };
  await withFolder(async (folder) => {
    const { code, out, err } = await runJob(folder, planJobBytes(jobOf(folder, [...results, state])));
    assert.equal(code, 0, err);
    const report = JSON.parse(out);
    assert.ok(report.peak > 5 && report.median >= 0, out);
    assert.match(report.text, /^[2-9]\d*\.\d+ ms$/);
    const written = loadBuffers(`${folder}/out`);
    results.forEach(({ slot, shape, stride, offset }, i) => {
      const memory = new Uint8Array(values(slot === 0 ? 7 : 3).buffer);
      const got = written?.get(`output_${i}`);
      assert.deepEqual(got?.shape, shape);
      assert.deepEqual(got?.buffer.uint8.slice(), rowMajorBytes(memory, 4, shape, stride, offset).slice(), `${i}`);
    });
    assert.equal(written?.get("output_60")?.buffer.int64[1], 0n);
  });
});

Deno.test(
  "the program that runs plans copies what a call writes, once a call, and never into the file",
  onLinux,
  async () => {
    const layout = (slot: number, stride: number, offset: number): NativeResult => ({
      slot,
      dtype: "float32",
      shape: [50],
      stride: [stride],
      offset,
    });
    // Every element moves on by one place: as often as there are calls before the results are written, which is once.
    const shift = { from: layout(0, 1, 0), to: layout(0, 1, 1) },
      spread = { from: layout(0, 1, 0), to: layout(1, 4, 0) };
    await withFolder(async (folder) => {
      const before = await Deno.readFile(`${folder}/model`);
      const job = jobOf(folder, [layout(0, 1, 0), layout(1, 4, 0)], { writes: [shift, spread], written: [0] });
      const { code, err } = await runJob(folder, planJobBytes(job));
      assert.equal(code, 0, err);
      const written = loadBuffers(`${folder}/out`);
      const moved = [...values(7).slice(0, 1), ...values(7).slice(0, 49)];
      for (const at of [0, 1]) assert.deepEqual([...written?.get(`output_${at}`)?.buffer.float32 ?? []], moved);
      assert.deepEqual(await Deno.readFile(`${folder}/model`), before);
    });
  },
);

Deno.test(
  "the program that runs plans says what is wrong with a job, and leaves no half of a file",
  onLinux,
  async () => {
    await withFolder(async (folder) => {
      const result: NativeResult = { slot: 0, dtype: "float32", shape: [4], stride: [1], offset: 0 };
      const job = jobOf(folder, [result]);
      const bytes = planJobBytes(job);
      const data = Math.max(...[bytes.length - 4 * COUNT - 400, 0]);
      for (const length of [0, 8, 100, data >> 1]) {
        const { code, err } = await runJob(folder, bytes.slice(0, length));
        assert.equal(code, 1, `${length}: ${err}`);
        assert.match(
          err,
          /^tessera: the job of a kept plan (ends too early|is damaged|reaches beyond its memory|names)/,
        );
      }
      const missing = await runJob(folder, planJobBytes({ ...job, library: "/nowhere.so" }));
      assert.equal(missing.code, 1);
      assert.match(missing.err, /^tessera: \/nowhere\.so: .*cannot open/);
      const beyond = { ...job, plan: { ...job.plan, results: [{ ...result, offset: COUNT }] } };
      assert.match((await runJob(folder, planJobBytes(beyond))).err, /reaches beyond its memory/);
      const nowhere = { ...job, outputs: { ...job.outputs, path: `${folder}/no/out` } as PlanJob["outputs"] };
      const { code, err } = await runJob(folder, planJobBytes(nowhere));
      assert.equal(code, 1);
      assert.match(err, /No such file or directory/);
      await Deno.writeFile(`${folder}/model`, new Uint8Array(8));
      assert.match((await runJob(folder, bytes)).err, /model: it was changed while it was opened; run again/);
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["job", "model"]);
    });
  },
);
