import assert from "node:assert/strict";
import { onEvent } from "../../src/core/log.ts";
import { type CacheKey, cacheKey, DiskCache } from "../../src/runtime/disk_cache.ts";
import { withTempDir } from "./support.ts";

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
const key = (content: string, compiler = "gcc 12", isa = "avx2"): CacheKey =>
  cacheKey("so", content, { compiler, isa });
const reason = (cache: DiskCache, wanted: CacheKey): string => {
  const found = cache.lookup(wanted);
  return found.hit ? "hit" : found.reason;
};

Deno.test("lookup() returns what put() stored, in another instance too", async () => {
  await withTempDir((directory) => {
    const path = new DiskCache({ directory }).put(key("a"), bytesOf("library"));
    const found = new DiskCache({ directory }).lookup(key("a"));
    assert.ok(found.hit);
    assert.equal(new TextDecoder().decode(found.bytes), "library");
    assert.equal(found.path, path);
    assert.deepEqual(Deno.readFileSync(path), found.bytes);
  });
});

Deno.test("lookup() says why it missed", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory });
    cache.put(key("a"), bytesOf("1"));
    assert.equal(reason(cache, key("b")), "no entry");
    assert.equal(reason(cache, key("a", "gcc 13")), "different compiler");
    assert.equal(reason(cache, key("a", "gcc 13", "neon")), "different compiler and isa");
    assert.equal(reason(cache, cacheKey("plan", "a", { compiler: "gcc 12", isa: "avx2" })), "no entry");
    assert.equal(reason(cache, key("a")), "hit");
    const stats = cache.stats();
    assert.deepEqual([stats.hits, stats.misses, stats.missReasons["no entry"]], [1, 4, 2]);
  });
});

Deno.test("a changed byte, a cut file, a missing object and a damaged index are found, dropped and reported", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory });
    const damages: readonly [string, (path: string, index: string) => void, string][] = [
      ["flip", (path) => Deno.writeFileSync(path, bytesOf("librarz")), "checksum mismatch"],
      ["cut", (path) => Deno.truncateSync(path, 3), "checksum mismatch"],
      ["gone", (path) => Deno.removeSync(path), "object file is missing"],
      [
        "index",
        (_, index) => Deno.writeTextFileSync(index, '{"format":1,"sha256":"../../x"}'),
        "index file is damaged",
      ],
    ];
    for (const [name, damage, expected] of damages) {
      const wanted = key(name);
      const path = cache.put(wanted, bytesOf("library"));
      damage(path, `${directory}/entries/${wanted.id.slice(0, 2)}/${wanted.id}.json`);
      const events: string[] = [];
      using _listener = onEvent((event) => events.push(event.message));
      assert.equal(reason(cache, wanted), expected);
      assert.match(events.join(), new RegExp(`dropped cache entry ${wanted.id}: ${expected}`));
      assert.equal(reason(cache, wanted), "no entry");
      cache.put(wanted, bytesOf("library"));
      assert.equal(reason(cache, wanted), "hit");
    }
  });
});

Deno.test("what killed writers left is never read, and swept once it is old", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory });
    const kept = cache.put(key("kept"), bytesOf("kept"));
    const half = cache.temporaryPath(".tmp"), young = cache.temporaryPath(".tmp");
    Deno.writeFileSync(half, bytesOf("half an ob"));
    Deno.writeFileSync(young, bytesOf("being written"));
    // Killed between object and index.
    Deno.mkdirSync(`${directory}/objects/ab`, { recursive: true });
    const orphan = `${directory}/objects/ab/ab${"0".repeat(62)}.so`;
    Deno.writeFileSync(orphan, bytesOf("orphan"));
    assert.equal(reason(cache, key("orphan")), "no entry");
    const old = new Date(Date.now() - 2 * 3_600_000);
    for (const path of [half, orphan, kept]) Deno.utimeSync(path, old, old);
    cache.sweep();
    assert.throws(() => Deno.statSync(half), Deno.errors.NotFound);
    assert.throws(() => Deno.statSync(orphan), Deno.errors.NotFound);
    Deno.statSync(young);
    assert.equal(reason(cache, key("kept")), "hit");
  });
});

Deno.test("the least recently used entries go when the limit is passed", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory, limitBytes: 250 });
    const age = (wanted: CacheKey, seconds: number): void => {
      const then = new Date(Date.now() - seconds * 1000);
      Deno.utimeSync(`${directory}/entries/${wanted.id.slice(0, 2)}/${wanted.id}.json`, then, then);
    };
    cache.put(key("old"), new Uint8Array(100).fill(1));
    cache.put(key("older"), new Uint8Array(100).fill(2));
    age(key("old"), 100);
    age(key("older"), 200);
    assert.equal(reason(cache, key("older")), "hit"); // used just now
    cache.put(key("new"), new Uint8Array(100).fill(3));
    assert.deepEqual(["old", "older", "new"].map((name) => reason(cache, key(name))), ["no entry", "hit", "hit"]);
    assert.equal(cache.stats().bytes, 200);
  });
});

Deno.test("passing the limit makes room for many entries, and what two entries share is one thing", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory, limitBytes: 1000 });
    const put = (n: number): void => void cache.put(key(`entry ${n}`), new Uint8Array(100).fill(n));
    put(0);
    cache.put(key("the same as entry 0"), new Uint8Array(100));
    for (let n = 1; n < 10; n++) put(n);
    assert.deepEqual([cache.entries().length, cache.stats().bytes], [11, 1000]);
    put(10);
    assert.equal(cache.stats().bytes, 800);
    for (const n of [11, 12]) put(n);
    assert.equal(cache.stats().bytes, 1000);
  });
});

Deno.test("entries() lists, clear() empties, files belong to the owner only", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory: `${directory}/cache` });
    const path = cache.put(key("a"), bytesOf("abc"));
    cache.put(key("b"), bytesOf("abc"));
    assert.deepEqual(cache.entries().map((entry) => [entry.kind, entry.bytes, entry.path]), [["so", 3, path], [
      "so",
      3,
      path,
    ]]);
    if (Deno.build.os !== "windows") {
      assert.equal((Deno.statSync(path).mode ?? 0) & 0o077, 0);
      assert.equal((Deno.statSync(`${directory}/cache`).mode ?? 0) & 0o077, 0);
    }
    assert.equal(cache.clear(), 2);
    assert.deepEqual(cache.entries(), []);
    assert.equal(reason(cache, key("a")), "no entry");
  });
});

Deno.test("a folder that cannot be used gives one visible warning and a folder of this process", async () => {
  await withTempDir((directory) => {
    Deno.writeTextFileSync(`${directory}/file`, "");
    const warnings: string[] = [];
    using _listener = onEvent((event) => warnings.push(event.message));
    for (const _ of [1, 2]) {
      const cache = new DiskCache({ directory: `${directory}/file/cache` });
      assert.equal(cache.temporary, true);
      cache.put(key("a"), bytesOf("abc"));
      assert.equal(reason(cache, key("a")), "hit");
      Deno.removeSync(cache.directory, { recursive: true });
    }
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? "", /cache folder .* cannot be used .* TESSERA_CACHE_DIR/);
  });
});

Deno.test("a folder that others may write to is refused: they could plant code", async () => {
  if (Deno.build.os === "windows") return;
  await withTempDir((directory) => {
    const shared = `${directory}/shared`;
    Deno.mkdirSync(shared);
    Deno.chmodSync(shared, 0o777);
    const warnings: string[] = [];
    using _listener = onEvent((event) => warnings.push(event.message));
    const cache = new DiskCache({ directory: shared });
    assert.equal(cache.temporary, true);
    assert.match(warnings.join(), /others may write to it; run `chmod go-w`/);
    Deno.removeSync(cache.directory, { recursive: true });
  });
});

Deno.test("two processes that write and read one cache agree, even when a third is killed", async () => {
  await withTempDir(async (directory) => {
    const module = new URL("../../src/runtime/disk_cache.ts", import.meta.url).href;
    const script = `import { cacheKey, DiskCache } from ${JSON.stringify(module)};
      const cache = new DiskCache({ directory: Deno.args[0] });
      let bad = 0, hits = 0;
      for (let i = 0; Deno.args[1] === "forever" || i < 150; i++) {
        const n = i % 10;
        const key = cacheKey("so", "entry " + n, { compiler: "c" });
        const found = cache.lookup(key);
        // Writers differ in the last byte, as compilers do in a timestamp.
        if (!found.hit) { if (found.reason !== "no entry") bad++; }
        else { hits++; if (!found.bytes.subarray(0, 50_000).every((b) => b === n)) bad++; }
        if (i % 3 === 0 || !found.hit) {
          const bytes = new Uint8Array(50_001).fill(n); bytes[50_000] = Deno.pid & 255;
          cache.put(key, bytes);
        }
      }
      Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify({ bad, hits })));`;
    const file = `${directory}/writer.ts`;
    Deno.writeTextFileSync(file, script);
    const start = (mode: string): Deno.ChildProcess =>
      new Deno.Command(Deno.execPath(), { args: ["run", "-A", file, `${directory}/cache`, mode], stdout: "piped" })
        .spawn();
    const doomed = start("forever");
    const others = [start("once"), start("once")];
    const outputs = others.map((child) => child.output());
    await new Promise((resolve) => setTimeout(resolve, 300));
    doomed.kill("SIGKILL");
    await doomed.output();
    for (const output of await Promise.all(outputs)) {
      const result = JSON.parse(new TextDecoder().decode(output.stdout)) as { bad: number; hits: number };
      assert.equal(result.bad, 0);
      assert.ok(result.hits > 100);
    }
    const cache = new DiskCache({ directory: `${directory}/cache` });
    assert.equal(cache.entries().length, 10);
    for (let n = 0; n < 10; n++) assert.equal(reason(cache, cacheKey("so", `entry ${n}`, { compiler: "c" })), "hit");
  });
});

Deno.test("the cache draws nothing from the program's Math.random", async () => {
  await withTempDir((directory) => {
    const { random } = Math;
    let draws = 0;
    Math.random = (): number => (draws++, 0.5);
    try {
      const cache = new DiskCache({ directory });
      cache.put(key("a"), bytesOf("1"));
      cache.lookup(key("a"));
    } finally {
      Math.random = random;
    }
    assert.equal(draws, 0);
  });
});

Deno.test("parts are stored as one object, which is found without being read as a whole, unless it is damaged", async () => {
  await withTempDir((directory) => {
    const cache = new DiskCache({ directory });
    const path = cache.putParts(key("a"), [bytesOf("lib"), bytesOf(""), bytesOf("rary")]);
    assert.equal(Deno.readTextFileSync(path), "library");
    assert.equal(cache.locate(key("a")), path);
    const hash = path.replace(/^.*\/|\.so$/g, "");
    assert.equal(cache.object("so", hash), path);
    assert.equal(cache.locate(key("b")), null);
    for (const [kind, of] of [["so", "0".repeat(64)], ["../so", hash], ["so", "../x"]] as const) {
      assert.equal(cache.object(kind, of), null);
    }
    Deno.writeTextFileSync(path, "librarx");
    assert.equal(cache.locate(key("a")), null);
    assert.equal(cache.object("so", hash), null);
  });
});
