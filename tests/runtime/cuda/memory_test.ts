import assert from "node:assert/strict";
import fc from "fast-check";
import { device } from "../../../src/core/device.ts";
import { CudaAllocator, type CudaBuffer, sizeClass } from "../../../src/runtime/cuda/memory.ts";
import type { DeviceHeap, OrderedStream, StreamMark } from "../../../src/runtime/cuda/ordering.ts";

/** A stream that does what it was sent only when it is told to. */
class SlowStream implements OrderedStream {
  capturing = false;
  sent = 0;
  done = 0;
  constructor(readonly id: number) {}
  mark(): StreamMark {
    const at = ++this.sent;
    return {
      isDone: () => this.done >= at,
      synchronize: () => void (this.done = Math.max(this.done, at)),
      dispose: () => {},
    };
  }
}

/** A use of a range of memory by a stream, done when the stream has come to `at`. */
interface Use {
  readonly stream: SlowStream;
  readonly at: number;
  readonly from: number;
  readonly to: number;
}

/** A heap that never gives an address twice, so that every reuse is the allocator's. */
class CountingHeap implements DeviceHeap {
  next = 4096;
  held = 0;
  readonly sizes = new Map<number, number>();
  readonly onFree: ((from: number, to: number, stream: OrderedStream) => void)[] = [];
  constructor(readonly capacity: number) {}
  allocate(bytes: number, _stream: OrderedStream): number | null {
    if (this.held + bytes > this.capacity) return null;
    const address = this.next;
    this.next += bytes;
    this.held += bytes;
    this.sizes.set(address, bytes);
    return address;
  }
  free(address: number, bytes: number, stream: OrderedStream): void {
    assert.equal(this.sizes.get(address), bytes, "freed as it was allocated, once");
    this.sizes.delete(address);
    this.held -= bytes;
    for (const check of this.onFree) check(address, address + bytes, stream);
  }
  clear(): void {}
  trim(): void {}
  info(): { freeBytes: number; totalBytes: number } {
    return { freeBytes: this.capacity - this.held, totalBytes: this.capacity };
  }
}

function makeAllocator(heap: CountingHeap, stream: SlowStream, graphHeap = heap): CudaAllocator {
  return new CudaAllocator({ device: device("cuda"), heap, graphHeap, stream: () => stream });
}

Deno.test("whatever is allocated, used, disposed and waited for: no overlap, and the order of streams is respected", () => {
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("allocate" as const), n: fc.nat(1500), s: fc.nat(2) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("use" as const), n: fc.nat(30), s: fc.nat(2) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("dispose" as const), n: fc.nat(30), s: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("advance" as const), n: fc.nat(20), s: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("capture" as const), n: fc.nat(1), s: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("empty" as const), n: fc.nat(1), s: fc.constant(0) }) },
  );
  let reused = 0;
  fc.assert(
    fc.property(fc.array(command, { minLength: 30, maxLength: 200, size: "max" }), (commands) => {
      const heap = new CountingHeap(2 ** 21);
      const streams = [1, 2, 3].map((id) => new SlowStream(id));
      const memory = makeAllocator(heap, streams[0] ?? new SlowStream(1));
      const live: { buffer: CudaBuffer; stream: SlowStream; from: number }[] = [];
      let uses: Use[] = [];
      // Uses by other streams that are not done may not meet a new owner, nor the heap.
      const mayPass = (from: number, to: number, stream: OrderedStream): void => {
        for (const use of uses) {
          if (use.to <= from || use.from >= to || use.stream.id === stream.id) continue;
          assert.ok(use.stream.done >= use.at, `stream ${use.stream.id} still uses [${use.from}, ${use.to})`);
        }
        uses = uses.filter((use) => use.to <= from || use.from >= to);
      };
      heap.onFree.push(mayPass);
      for (const { do: what, n, s } of commands) {
        const stream = streams[s % 3] ?? new SlowStream(0);
        const index = live.length === 0 ? 0 : n % live.length;
        const chosen = live[index];
        if (what === "allocate") {
          const hits = memory.stats().cacheHits;
          let buffer: CudaBuffer;
          try {
            buffer = memory.allocate(n, "", stream);
          } catch (error) {
            assert.match(String(error), /out of memory/);
            continue;
          }
          reused += memory.stats().cacheHits - hits;
          const from = buffer.address;
          for (const other of live) {
            const end = other.from + sizeClass(other.buffer.byteLength);
            assert.ok(end <= from || from + sizeClass(n) <= other.from, "live buffers overlap");
          }
          mayPass(from, from + sizeClass(n), stream);
          live.push({ buffer, stream, from });
          uses.push({ stream, at: ++stream.sent, from, to: from + n });
        } else if (what === "use" && chosen !== undefined) {
          chosen.buffer.recordUse(stream);
          uses.push({ stream, at: ++stream.sent, from: chosen.from, to: chosen.from + chosen.buffer.byteLength });
        } else if (what === "dispose" && chosen !== undefined) {
          chosen.buffer.dispose();
          live.splice(index, 1);
        } else if (what === "advance") {
          stream.done = Math.min(stream.sent, stream.done + n);
        } else if (what === "capture") {
          stream.capturing = n === 1;
        } else if (what === "empty") {
          memory.emptyCache();
        }
        const { liveBytes, reservedBytes } = memory.stats();
        assert.equal(liveBytes, live.reduce((sum, { buffer }) => sum + buffer.byteLength, 0));
        assert.equal(reservedBytes, heap.held);
      }
      for (const stream of streams) {
        stream.capturing = false;
        stream.done = Infinity;
      }
      for (const { buffer } of live) buffer.dispose();
      memory.emptyCache();
      assert.deepEqual([heap.held, memory.stats().cachedBytes, memory.stats().waitingBlocks], [0, 0, 0]);
    }),
    { numRuns: 200 },
  );
  assert.ok(reused > 100, `only ${reused} reuses: the test tests nothing`);
});

Deno.test("sizeClass() holds the size, wastes at most an eighth, and keeps the number of classes small", () => {
  fc.assert(fc.property(fc.integer({ min: 4096, max: 2 ** 40 }), (bytes) => {
    const size = sizeClass(bytes);
    assert.ok(size >= bytes && size % 512 === 0);
    assert.ok(size <= bytes * (bytes > 2 ** 25 ? 1.0626 : 1.126), `${bytes} -> ${size}`);
    assert.equal(sizeClass(size), size);
  }));
  assert.deepEqual([0, 1, 512, 513, 4097].map(sizeClass), [512, 512, 512, 1024, 4608]);
});

Deno.test("a block goes back to its own stream at once, to others never", () => {
  const [a, b] = [new SlowStream(1), new SlowStream(2)];
  const memory = makeAllocator(new CountingHeap(2 ** 20), a);
  const first = memory.allocate(1000).address;
  memory.allocate(1000).dispose();
  assert.notEqual(memory.allocate(1000, "", b).address, first + 1024);
  assert.equal(memory.allocate(900).address, first + 1024);
});

Deno.test("a block that a captured stream used waits for the end of the capture and then for the stream", () => {
  const [a, b] = [new SlowStream(1), new SlowStream(2)];
  const memory = makeAllocator(new CountingHeap(2 ** 20), a);
  const buffer = memory.allocate(1000);
  buffer.recordUse(b);
  b.capturing = true;
  buffer.dispose();
  memory.allocate(1000);
  assert.equal(memory.stats().waitingBlocks, 1);
  b.capturing = false;
  memory.allocate(1000);
  assert.equal(memory.stats().waitingBlocks, 1);
  b.done = b.sent;
  memory.allocate(1000);
  assert.deepEqual([memory.stats().waitingBlocks, memory.stats().cacheHits], [0, 1]);
});

Deno.test("when a stream goes its memory passes to the heir, live and free", () => {
  const [a, b] = [new SlowStream(1), new SlowStream(2)];
  const memory = makeAllocator(new CountingHeap(2 ** 20), a);
  const live = memory.allocate(1000, "", b);
  const free = memory.allocate(5000, "", b);
  const address = free.address;
  free.dispose();
  memory.adoptBlocksOf(b, a);
  assert.equal(memory.allocate(5000).address, address);
  const at = live.address;
  live.dispose();
  assert.equal(memory.allocate(1000).address, at);
});

Deno.test("a disposed pool gives back what is free now and what is in use later", () => {
  const stream = new SlowStream(1);
  const graphHeap = new CountingHeap(2 ** 20);
  const memory = makeAllocator(new CountingHeap(2 ** 20), stream, graphHeap);
  const pool = memory.createPool();
  const [one, two] = memory.withPool(pool, () => [memory.allocate(1000), memory.allocate(2000)] as const);
  one.dispose();
  assert.equal(pool.reservedBytes, 1024 + 2048);
  pool.dispose();
  assert.equal(graphHeap.held, 2048);
  two.dispose();
  assert.equal(graphHeap.held, 0);
  assert.throws(() => memory.withPool(pool, () => {}), { name: "TypeError", message: /pool was disposed/ });
});

Deno.test("collect() brings back what nobody disposed", async () => {
  const heap = new CountingHeap(2 ** 30);
  const memory = makeAllocator(heap, new SlowStream(1));
  (() => {
    for (let i = 0; i < 100; i++) memory.allocate(2 ** 20);
  })();
  assert.equal(memory.stats().liveBytes, 100 * 2 ** 20);
  await memory.collect();
  assert.ok(memory.stats().liveBytes <= 5 * 2 ** 20, `${memory.stats().liveBytes} bytes stayed`);
});

Deno.test("a long loop that awaits now and then stays within the device though it disposes of nothing", async () => {
  const heap = new CountingHeap(2 ** 30);
  const memory = makeAllocator(heap, new SlowStream(1));
  for (let step = 0; step < 40; step++) {
    for (let i = 0; i < 10; i++) memory.allocate(2 ** 24);
    await new Promise<void>((resolve) => setTimeout(resolve, 0));
  }
  assert.equal(memory.stats().allocations, 400);
});

Deno.test("a loop that never awaits stays within the device though it disposes of nothing", () => {
  const heap = new CountingHeap(2 ** 30);
  const memory = makeAllocator(heap, new SlowStream(1));
  const kept = memory.allocate(2 ** 24, "kept");
  for (let i = 0; i < 400; i++) memory.allocate(2 ** 24);
  assert.equal(memory.stats().allocations, 401);
  assert.ok(!kept.disposed && kept.address > 0, "what is reachable stays");
  assert.ok(heap.held <= 2 ** 30);
});

Deno.test("memory that runs out is looked for among what died, and the error names what lives", () => {
  const heap = new CountingHeap(2 ** 26);
  const memory = makeAllocator(heap, new SlowStream(1));
  // Below the amount at which garbage is collected of itself.
  (() => void memory.allocate(2 ** 23))();
  const kept = memory.allocate(3 * 2 ** 24, "weights");
  const again = memory.allocate(2 ** 23 + 2 ** 22, "activations");
  assert.ok(!again.disposed);
  assert.throws(() => memory.allocate(2 ** 25), /weights/);
  assert.ok(!kept.disposed);
});

Deno.test("memory comes back at the address that is wanted, whatever was released last, and never while it is in use", () => {
  const stream = new SlowStream(1);
  const memory = makeAllocator(new CountingHeap(2 ** 20), stream);
  const first = [0, 1, 2].map(() => memory.allocate(256));
  const addresses = first.map((b) => b.address);
  for (const buffer of first) buffer.dispose();
  // Without a wish the one that was released last comes first.
  const again = addresses.map((a) => memory.allocate(256, "", stream, a));
  assert.deepEqual(again.map((b) => b.address), addresses);
  const [a = 0] = addresses;
  again[1]?.dispose();
  const other = memory.allocate(256, "", stream, a);
  assert.equal(other.address, addresses[1], "the wanted block is in use: another free one is given");
  // Another stream's blocks are not given, whatever is wanted.
  other.dispose();
  assert.ok(!addresses.includes(memory.allocate(256, "", new SlowStream(2), addresses[1]).address));
});

Deno.test("where memory runs out, many equal allocations are one line, before a larger one that takes less", () => {
  const memory = makeAllocator(new CountingHeap(2 ** 20), new SlowStream(1));
  const kept = [
    memory.allocate(200_000, "the weights"),
    ...Array.from({ length: 6 }, () => memory.allocate(100_000, "a result")),
    memory.allocate(1000),
  ];
  assert.throws(() => memory.allocate(2 ** 19), (error: unknown) => {
    assert.match(
      String(error),
      /allocations:\n {2}97\.7 KiB × 6 {2}a result\n {2}195\.3 KiB {2}the weights\n {2}1000 B$/,
    );
    return true;
  });
  assert.equal(kept.length, 8);
});

Deno.test("V8 is asked to watch what lives, not what was disposed", () => {
  const memory = makeAllocator(new CountingHeap(2 ** 20), new SlowStream(1));
  const watched = new Set<unknown>();
  const { register, unregister } = FinalizationRegistry.prototype;
  FinalizationRegistry.prototype.register = function (target, held, token): void {
    watched.add(token);
    register.call(this, target, held, token);
  };
  FinalizationRegistry.prototype.unregister = function (token): boolean {
    watched.delete(token);
    return unregister.call(this, token);
  };
  try {
    const kept = memory.allocate(256);
    for (let i = 0; i < 100; i++) memory.allocate(256).dispose();
    assert.equal(watched.size, 1);
    kept.dispose();
    assert.equal(watched.size, 0);
  } finally {
    Object.assign(FinalizationRegistry.prototype, { register, unregister });
  }
});
