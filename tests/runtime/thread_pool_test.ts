import assert from "node:assert/strict";
import { Library } from "../../src/runtime/cpu/library.ts";
import { CpuAllocator } from "../../src/runtime/cpu/memory.ts";
import { threadPool } from "../../src/runtime/cpu/thread_pool.ts";
import { build, kernelArgs, nativeTest, serviceIn, withTempDir } from "./support.ts";

const SOURCE = `#include "abi.h"
struct count { unsigned char* seen; long* sums; long grain; int bad; const tessera_runtime* runtime; };

// Marks each index, adds it to the worker's sum, and works in scratch memory.
static void mark(void* context, long begin, long end, int worker) {
  count* c = (count*)context;
  long* scratch = (long*)c->runtime->scratch(worker, (end - begin) * 8);
  if ((unsigned long)scratch % 64 != 0 || worker < 0 || worker >= c->runtime->num_threads) c->bad = 1;
  for (long i = begin; i < end; i++) scratch[i - begin] = i;
  for (long i = begin; i < end; i++) {
    c->seen[i]++;
    __atomic_fetch_add(&c->sums[worker], scratch[i - begin], __ATOMIC_RELAXED);
  }
}
// args: runtime, seen, sums, count, grain, result
TESSERA_EXPORT void cover(void** a) {
  count c = {(unsigned char*)a[1], (long*)a[2], tessera_long(a[4]), 0, (const tessera_runtime*)a[0]};
  c.runtime->parallel_for(mark, &c, tessera_long(a[3]), c.grain);
  *(long*)a[5] = c.bad;
}

struct nest { const tessera_runtime* runtime; long* total; int worker; int bad; };
static void inner(void* context, long begin, long end, int worker) {
  nest* n = (nest*)context;
  if (worker != n->worker) n->bad = 1;
  __atomic_fetch_add(n->total, end - begin, __ATOMIC_RELAXED);
}
static void outer(void* context, long begin, long end, int worker) {
  nest* n = (nest*)context;
  nest mine = {n->runtime, n->total, worker, 0};
  for (long i = begin; i < end; i++) n->runtime->parallel_for(inner, &mine, 10, 1);
  if (mine.bad) n->bad = 1;
}
TESSERA_EXPORT void nested(void** a) {
  nest n = {(const tessera_runtime*)a[0], (long*)a[1], 0, 0};
  n.runtime->parallel_for(outer, &n, 100, 1);
  n.total[1] = n.bad;
}
`;

nativeTest("parallel_for covers every index once, for all counts, grains and thread numbers", async () => {
  await withTempDir((directory) => {
    const library = new Library(build(serviceIn(directory), "pool_test", SOURCE).waitSync(), ["cover", "nested"]);
    const pool = threadPool();
    const before = pool.numThreads;
    const memory = new CpuAllocator();
    const seen = memory.allocate(100_000), sums = memory.allocate(512 * 8), result = memory.allocate(16);
    try {
      for (const threads of [1, 2, 3, 8, 2]) {
        pool.setNumThreads(threads);
        assert.equal(pool.numThreads, threads);
        for (const count of [0, 1, 2, 7, 1000, 100_000]) {
          for (const grain of [1, 3, 64, 1_000_000]) {
            seen.uint8.fill(0);
            sums.int64.fill(0n);
            library.kernel("cover")(kernelArgs(pool.runtimePointer, seen, sums, count, grain, result));
            assert.equal(result.int64[0], 0n);
            assert.ok(seen.uint8.every((times, i) => times === (i < count ? 1 : 0)), `${threads} ${count} ${grain}`);
            assert.equal(sums.int64.reduce((a, b) => a + b), BigInt(count * (count - 1) / 2));
          }
        }
        sums.int64.fill(0n);
        library.kernel("nested")(kernelArgs(pool.runtimePointer, sums));
        assert.deepEqual([sums.int64[0], sums.int64[1]], [1000n, 0n]);
      }
    } finally {
      pool.setNumThreads(before);
      library.close();
    }
  });
});

nativeTest("a thousand tiny dispatches, hot and after sleep, from two callers at once, all count", async () => {
  await withTempDir(async (directory) => {
    const library = new Library(build(serviceIn(directory), "pool_test", SOURCE).waitSync());
    const pool = threadPool();
    const memory = new CpuAllocator();
    const run = (kernel: (args: BigUint64Array<ArrayBuffer>) => void | Promise<void>): () => void | Promise<void> => {
      const seen = memory.allocateZeroed(64), sums = memory.allocateZeroed(512 * 8), result = memory.allocate(8);
      const args = kernelArgs(pool.runtimePointer, seen, sums, 8, 1, result);
      return () => {
        seen.uint8.fill(0);
        const done = (): void => assert.deepEqual([...seen.uint8.subarray(0, 9)], [1, 1, 1, 1, 1, 1, 1, 1, 0]);
        const finished = kernel(args);
        return finished === undefined ? done() : finished.then(done);
      };
    };
    const hot = run(library.kernel("cover")), beside = run(library.asyncKernel("cover"));
    for (let i = 0; i < 1000; i++) hot();
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      hot();
    }
    for (let i = 0; i < 200; i++) {
      const other = beside();
      hot();
      hot();
      await other;
    }
    library.close();
  });
});

nativeTest("setNumThreads() refuses what is no number of threads", () => {
  for (const count of [0, -1, 1.5, 513, NaN]) {
    assert.throws(() => threadPool().setNumThreads(count), {
      name: "RangeError",
      message: /whole number from 1 to 512/,
    });
  }
});

nativeTest("a process with a pool ends by itself, by its end and by Deno.exit", async () => {
  const module = new URL("../../src/runtime/cpu/thread_pool.ts", import.meta.url).href;
  for (const end of ["", "Deno.exit(0)"]) {
    const file = Deno.makeTempFileSync({ suffix: ".ts" });
    try {
      Deno.writeTextFileSync(
        file,
        `import { threadPool } from ${
          JSON.stringify(module)
        }; threadPool().setNumThreads(4); threadPool().spin(100); ${end}`,
      );
      // One that waits for its threads would wait for ever.
      const signal = AbortSignal.timeout(60_000);
      const output = await new Deno.Command(Deno.execPath(), { args: ["run", "-A", file], signal }).output();
      assert.deepEqual([output.code, output.signal], [0, null], new TextDecoder().decode(output.stderr));
    } finally {
      Deno.removeSync(file);
    }
  }
});
