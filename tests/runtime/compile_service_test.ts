import assert from "node:assert/strict";
import { CompileError } from "../../src/core/errors.ts";
import { DiskCache } from "../../src/runtime/disk_cache.ts";
import { CompileService } from "../../src/runtime/cpu/compile_service.ts";
import { KernelArguments, Library } from "../../src/runtime/cpu/library.ts";
import { CpuAllocator } from "../../src/runtime/cpu/memory.ts";
import { chooseIsa, probeToolchain, splitCommand } from "../../src/runtime/cpu/toolchain.ts";
import { build, kernelArgs, nativeTest, serviceIn, withTempDir } from "./support.ts";

const scale = (factor: number): string =>
  `#include "abi.h"
TESSERA_EXPORT void scale(void** args) {
  float* x = (float*)args[1];
  for (long i = 0; i < tessera_long(args[2]); i++) x[i] *= ${factor}.0f;
}`;

/** Blocks this thread, and with it the event loop. */
function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

Deno.test("chooseIsa() takes the widest set that is whole", () => {
  const avx2 = ["avx2", "fma", "f16c"];
  const avx512 = [...avx2, "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"];
  assert.equal(chooseIsa("x86_64", new Set(avx512)).vectorBytes, 64);
  assert.equal(chooseIsa("x86_64", new Set(avx512.filter((name) => name !== "avx512bw"))).name, "avx2");
  assert.equal(chooseIsa("x86_64", new Set(["avx2"])).name, "generic");
  assert.deepEqual(chooseIsa("x86_64", new Set(avx2)).flags, ["-mavx2", "-mfma", "-mf16c"]);
  assert.deepEqual([chooseIsa("aarch64", new Set()).name, chooseIsa("riscv64", new Set()).name], ["neon", "generic"]);
});

Deno.test("splitCommand() keeps quoted blanks together", () => {
  assert.deepEqual(splitCommand(` ccache "/my tools/g++" -m64 '-DX=a b' `), [
    "ccache",
    "/my tools/g++",
    "-m64",
    "-DX=a b",
  ]);
});

Deno.test("a broken CXX is a diagnosis with a remedy and a failed job, never an exception", () => {
  const cases: readonly [string, RegExp][] = [
    ["false", /named by CXX, `false`, does not work: it ends with code 1/],
    ["/nonexistent", /there is no such program/],
    ["true", /does not say that it is a gcc or clang/],
    ["  ", /CXX is blank/],
  ];
  for (const [cxx, expected] of cases) {
    const toolchain = probeToolchain(cxx);
    assert.ok(!toolchain.ok);
    assert.match(toolchain.problem, expected);
    assert.match(toolchain.remedy, /CXX/);
    const job = new CompileService({ toolchain }).compile({ name: "k", source: scale(2) });
    assert.equal(job.poll().state, "failed");
    assert.throws(
      () => job.waitSync(),
      (error: unknown) => error instanceof CompileError && expected.test(error.message),
    );
  }
});

nativeTest("a kernel compiles, loads and runs; the second time the cache has it", async () => {
  await withTempDir((directory) => {
    const job = build(serviceIn(directory), "scale", scale(3));
    assert.equal(job.timing?.missReason, "no entry");
    const library = new Library(job.waitSync(), ["scale"]);
    const buffer = new CpuAllocator().allocate(16);
    buffer.float32.set([1, 2, 3, 4]);
    library.kernel("scale")(kernelArgs(0, buffer, 3));
    assert.deepEqual([...buffer.float32], [3, 6, 9, 4]);
    assert.equal(library.kernel("scale"), library.kernel("scale"));
    assert.throws(() => library.kernel("absent"), /absent/);
    library.close();
    const again = serviceIn(directory).compile({ name: "scale", source: scale(3) });
    assert.deepEqual(again.poll(), { state: "ready", path: job.waitSync() });
    assert.equal(again.timing?.missReason, null);
    assert.equal(again.timing?.compileMs, 0);
  });
});

nativeTest("KernelArguments carries integers and doubles by value and keeps its buffers alive", async () => {
  await withTempDir((directory) => {
    const source = `#include "abi.h"
TESSERA_EXPORT void echo(void** a) {
  *(long*)a[1] = tessera_long(a[2]);
  *(double*)a[3] = tessera_double(a[4]) * 2;
}`;
    const echo = new Library(build(serviceIn(directory), "echo", source).waitSync()).kernel("echo");
    const memory = new CpuAllocator();
    const integer = memory.allocate(8);
    const args = new KernelArguments(5);
    args.setBuffer(1, integer);
    args.setBuffer(3, memory.allocate(8));
    for (const value of [0, 1, -1, -(2 ** 40) - 3, 2 ** 53 - 1, -(2 ** 31)]) {
      args.setLong(2, value);
      args.setDouble(4, value + 0.5);
      // Garbage enough for several collections; the second buffer is held by the arguments only.
      for (let i = 0; i < 2000; i++) memory.allocate(8).float32.fill(i);
      echo(args.words);
      assert.equal(integer.int64[0], BigInt(value));
    }
    args.release();
    assert.deepEqual([...args.words.subarray(0, 4), ...args.words.subarray(6, 8)], [0, 0, 0, 0, 0, 0]);
  });
});

nativeTest("an asynchronous kernel runs beside JavaScript", async () => {
  await withTempDir(async (directory) => {
    const library = new Library(build(serviceIn(directory), "scale", scale(2)).waitSync());
    const buffer = new CpuAllocator().allocate(8);
    buffer.float32.set([1, 2]);
    await library.asyncKernel("scale")(kernelArgs(0, buffer, 2));
    assert.deepEqual([...buffer.float32], [2, 4]);
    library.close();
  });
});

nativeTest("compile() does not wait, and poll() sees the end while the event loop stands still", async (toolchain) => {
  await withTempDir((directory) => {
    // A compiler that begins when it is let.
    const gate = `${directory}/gate`;
    const waits = ["sh", "-c", `while [ ! -e '${gate}' ]; do sleep 0.01; done; exec "$@"`, "sh"];
    const service = new CompileService({
      cache: new DiskCache({ directory }),
      toolchain: { ok: true, toolchain: { ...toolchain, command: [...waits, ...toolchain.command] } },
      timeoutMs: 60_000,
    });
    const job = service.compile({ name: "scale", source: scale(5) });
    assert.equal(job.poll().state, "pending");
    Deno.writeTextFileSync(gate, "");
    for (let i = 0; i < 6000 && job.poll().state === "pending"; i++) sleep(10);
    assert.equal(job.poll().state, "ready");
  });
});

nativeTest("ready resolves by itself, and jobs in the queue get their turn", async () => {
  await withTempDir(async (directory) => {
    const service = new CompileService({ cache: new DiskCache({ directory }), concurrency: 1 });
    const jobs = [1, 2, 3].map((n) => service.compile({ name: `scale${n}`, source: scale(n) }));
    const paths = await Promise.all(jobs.map((job) => job.ready));
    assert.equal(new Set(paths).size, 3);
    assert.ok((jobs[2]?.timing?.queuedMs ?? 0) >= (jobs[0]?.timing?.compileMs ?? Infinity) * 0.9);
    assert.deepEqual([...Deno.readDirSync(`${directory}/tmp`)], []);
    assert.equal(service.compile({ name: "other", source: scale(1) }), jobs[0]);
  });
});

nativeTest("an error shows the compiler's message and keeps the source, whatever the name is", async () => {
  await withTempDir(async (directory) => {
    const service = serviceIn(directory);
    const job = service.compile({ name: "../../evil name", source: "int x = undeclared;" });
    const rejected = job.ready.catch((error: unknown) => error);
    assert.throws(() => job.waitSync(), (error: unknown) => {
      assert.ok(error instanceof CompileError);
      assert.match(error.message, /undeclared/);
      const kept = /The source is kept in (.*)$/m.exec(error.message)?.[1] ?? "";
      assert.equal(kept.slice(0, kept.lastIndexOf("/")), `${directory}/failed`);
      assert.match(Deno.readTextFileSync(kept), /int x = undeclared;/);
      return true;
    });
    assert.ok(await rejected instanceof CompileError);
  });
});

nativeTest("a compiler that hangs is given up", async (toolchain) => {
  await withTempDir((directory) => {
    const service = new CompileService({
      cache: new DiskCache({ directory }),
      toolchain: { ok: true, toolchain: { ...toolchain, command: ["sh", "-c", "sleep 20"] } },
      timeoutMs: 100,
    });
    assert.throws(
      () => service.compile({ name: "k", source: scale(1) }).waitSync(),
      /longer than 0.1 s and was given up/,
    );
  });
});

nativeTest("a corrupt library is compiled anew, and so is one that vanished from the disk", async () => {
  await withTempDir((directory) => {
    const path = build(serviceIn(directory), "scale", scale(7)).waitSync();
    Deno.writeTextFileSync(path, "not a library");
    const service = serviceIn(directory);
    const job = build(service, "scale", scale(7));
    assert.equal(job.timing?.missReason, "checksum mismatch");
    new Library(job.waitSync(), ["scale"]).close();
    Deno.removeSync(job.waitSync());
    const again = build(service, "scale", scale(7));
    new Library(again.waitSync(), ["scale"]).close();
  });
});

nativeTest("a result whose process ended first is adopted by the next process", async () => {
  await withTempDir((directory) => {
    const url = (path: string): string => JSON.stringify(new URL(`../../src/runtime/${path}`, import.meta.url).href);
    const script = `import { DiskCache } from ${url("disk_cache.ts")};
      import { CompileService } from ${url("cpu/compile_service.ts")};
      const cache = new DiskCache({ directory: Deno.args[0] });
      new CompileService({ cache }).compile({ name: "scale", source: Deno.args[1] });`;
    Deno.writeTextFileSync(`${directory}/short.ts`, script);
    const cacheDirectory = `${directory}/cache`;
    const args = ["run", "-A", `${directory}/short.ts`, cacheDirectory, scale(11)];
    const output = new Deno.Command(Deno.execPath(), { args }).outputSync();
    assert.equal(output.code, 0, new TextDecoder().decode(output.stderr));
    const finished = (): boolean =>
      [...Deno.readDirSync(`${cacheDirectory}/tmp`)].some((f) => f.name.endsWith(".status"));
    for (let i = 0; i < 6000 && !finished(); i++) sleep(10);
    const job = serviceIn(cacheDirectory).compile({ name: "scale", source: scale(11) });
    assert.equal(job.poll().state, "ready");
    assert.equal(job.timing?.missReason, "no entry");
    new Library(job.waitSync(), ["scale"]).close();
  });
});

nativeTest(
  "including vec.h costs little: a kernel with it compiles in a few times what one without takes",
  async () => {
    await withTempDir((directory) => {
      const service = serviceIn(directory);
      const took = (name: string, source: string): number => build(service, name, source).timing?.compileMs ?? Infinity;
      took("warm", scale(1));
      const source = `#include "abi.h"
#include "vec.h"
TESSERA_EXPORT void k(void** a) {
  float* x = (float*)a[1];
  for (long i = 0; i < 1024; i += VW) vstore(x + i, vload(x + i) * 2.0f + 1.0f);
}`;
      // By turns and the best of three, because other work shares the cores.
      const pairs = [1, 2, 3].map((n) => [took("scale", scale(n + 1)), took("k", `${source}\n// ${n}`)] as const);
      const [plain, whole] = [Math.min(...pairs.map(([a]) => a)), Math.min(...pairs.map(([, b]) => b))];
      assert.ok(whole < 4 * plain, `${whole.toFixed(0)} ms, without it ${plain.toFixed(0)} ms`);
    });
  },
);

nativeTest("several translation units become one library, and a failing one names itself", async () => {
  await withTempDir((directory) => {
    const service = serviceIn(directory);
    const source = `#include "abi.h"
float tripled(float x);
TESSERA_EXPORT void triple(void** args) { *(float*)args[1] = tripled(*(float*)args[1]); }`;
    const job = service.compile({ name: "triple", source, parts: ["float tripled(float x) { return 3 * x; }"] });
    const library = new Library(job.waitSync(), ["triple"]);
    const buffer = new CpuAllocator().allocate(64);
    const values = new Float32Array(buffer.storage, buffer.byteOffset, 1);
    values[0] = 2;
    library.kernel("triple")(kernelArgs(0, buffer));
    assert.equal(values[0], 6);
    library.close();
    const broken = service.compile({ name: "triple", source, parts: ["float tripled(float x) { return nothing; }"] });
    assert.throws(() => broken.waitSync(), /triple\.1\.cpp.*nothing/s);
    const left = [...Deno.readDirSync(`${directory}/tmp`)].map((f) => f.name);
    assert.deepEqual(left, [], "files of the compilers stay behind");
  });
});
