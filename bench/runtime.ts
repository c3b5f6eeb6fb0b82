/**
 * What the runtime itself costs: a call into a library, a dispatch of the pool, an allocation.
 *
 *     deno bench -A bench/runtime.ts
 */
import { compileSharedLibrary, CpuAllocator, Library, threadPool } from "../src/runtime/cpu/mod.ts";

const library = new Library(
  compileSharedLibrary({
    name: "bench_empty",
    source: '#include "abi.h"\nTESSERA_EXPORT void empty(void** args) {}',
  }).waitSync(),
  ["empty"],
);
const empty = library.kernel("empty");
const args = new BigUint64Array(8);

Deno.bench({ name: "call of an empty kernel", group: "FFI" }, () => empty(args));

const pool = threadPool();
const words = new Uint32Array(16);
Deno.bench({ name: `1000 dispatches on ${pool.numThreads} threads`, group: "pool" }, () => pool.spin(1000));

const memory = new CpuAllocator();
memory.allocate(4096).dispose();
Deno.bench({ name: "allocate and dispose 4 KiB, cached", group: "memory" }, () => memory.allocate(4096).dispose());
Deno.bench({ name: "allocate and dispose 4 KiB with a view, cached", group: "memory" }, () => {
  const buffer = memory.allocate(4096);
  buffer.float32[0] = 1;
  buffer.dispose();
});
Deno.bench({ name: "allocate 4 KiB, left to the collector", group: "memory" }, () => {
  memory.allocate(4096);
});
const buffer = memory.allocate(4096);
Deno.bench({ name: "write an address into arguments", group: "memory" }, () => buffer.writeAddress(words, 3));
