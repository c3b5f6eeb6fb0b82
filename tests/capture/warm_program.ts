/** What tests of captures on disk share: programs that run in processes of their own and tell what they found. */
import assert from "node:assert/strict";
import { findToolchain } from "../../src/runtime/cpu/mod.ts";
import { sha256 } from "../../src/runtime/mod.ts";

/** The library as it is now, in a place of its own: an edit of it between two processes would be a change of its version. */
export function copyLibrary(): URL {
  const copy = Deno.makeTempDirSync({ prefix: "warm-start-library-" });
  const from = ["src", "native", "mod.ts", "deno.json"].map((f) => new URL(`../../${f}`, import.meta.url).pathname);
  const { success } = new Deno.Command("cp", { args: ["-r", ...from, copy] }).outputSync();
  assert.ok(success);
  return new URL(`file://${copy}/`);
}

export const ROOT: URL = copyLibrary();
globalThis.addEventListener("unload", () => Deno.removeSync(ROOT, { recursive: true }));
/** What is kept are programs on C++: without a compiler there is nothing to find. */
export const ignore: boolean = !findToolchain().ok;

/** What one process tells of itself. */
export interface Told {
  readonly data: unknown;
  readonly traced: number;
  readonly found: number;
  readonly events: readonly string[];
  readonly printed: readonly string[];
}

const tail = `
const step = compile(fn, { mode: "aot", OPTIONS });
const plain = (v: unknown): unknown =>
  v instanceof Tensor
    ? [...v.dataSync()].map(Number)
    : Array.isArray(v)
    ? v.map(plain)
    : typeof v === "object" && v !== null
    ? plain(Object.values(v))
    : v;
const first = plain(step(...inputs()));
const second = plain(step(...inputs()));
const { traced, found } = captureStats(step);
console.log(JSON.stringify({ data: [first, second, plain(after())], traced, found, events }));
Deno.exit(0);
`;

/** A program in a folder of its own, with a cache of its own. */
export class Program {
  readonly folder = Deno.makeTempDirSync({ prefix: "warm-start-" });
  readonly #root: URL;

  /** What compiles and reports, behind the body. */
  readonly #tail: string;

  constructor(body: string, root: URL = ROOT, options = "fullgraph: true") {
    this.#root = root;
    this.#tail = tail.replace("OPTIONS", options);
    this.write(body);
  }

  write(body: string): void {
    const head =
      `import { associativeScan, captureStats, checkpoint, compile, cond, gradOf, manualSeed, map, nn, noGrad, onEvent, optim, randn, scan, Tensor, tensor, whileLoop } from "${
        new URL("mod.ts", this.#root).href
      }";
const [variant = "a"] = Deno.args;
const events: string[] = [];
onEvent((e) => void (e.kind === "cache" && events.push(e.message)));
manualSeed(3);
let after = (): unknown => null;
`;
    Deno.writeTextFileSync(`${this.folder}/main.ts`, head + body + this.#tail);
  }

  async run(variant = "a"): Promise<Told> {
    const { stdout, success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", `--config=${new URL("deno.json", this.#root).pathname}`, "main.ts", variant],
      cwd: this.folder,
      env: { TESSERA_CACHE_DIR: `${this.folder}/cache`, NO_COLOR: "1" },
      stdout: "piped",
      stderr: "inherit",
    }).output();
    assert.ok(success);
    const printed = new TextDecoder().decode(stdout).trim().split("\n");
    return { ...JSON.parse(printed.pop() ?? "null") as Told, printed };
  }

  /** The stored captures: index files, with the path of what they name. */
  *captures(): IterableIterator<{ readonly index: string; readonly object: string }> {
    for (const { name } of Deno.readDirSync(`${this.folder}/cache/entries`)) {
      for (const file of Deno.readDirSync(`${this.folder}/cache/entries/${name}`)) {
        const index = `${this.folder}/cache/entries/${name}/${file.name}`;
        const { kind, sha256 } = JSON.parse(Deno.readTextFileSync(index)) as { kind: string; sha256: string };
        if (kind !== "capture") continue;
        yield { index, object: `${this.folder}/cache/objects/${sha256.slice(0, 2)}/${sha256}.capture` };
      }
    }
  }

  /** Changes what is stored so that all hashes are right again. */
  forge(change: (text: string) => string): void {
    for (const { index, object } of [...this.captures()]) {
      const text = Deno.readTextFileSync(object);
      const forged = change(text);
      assert.notEqual(forged, text);
      const hash = sha256(forged);
      Deno.mkdirSync(`${this.folder}/cache/objects/${hash.slice(0, 2)}`, { recursive: true });
      Deno.writeTextFileSync(`${this.folder}/cache/objects/${hash.slice(0, 2)}/${hash}.capture`, forged);
      const entry = JSON.parse(Deno.readTextFileSync(index)) as Record<string, unknown>;
      Deno.writeTextFileSync(
        index,
        JSON.stringify({ ...entry, sha256: hash, bytes: new TextEncoder().encode(forged).byteLength }),
      );
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

export function wasTraced(told: Told, why: RegExp): void {
  assert.equal(told.traced, 1);
  assert.equal(told.found, 0);
  assert.match(told.events.join("\n"), why);
}

export function wasFound(told: Told): void {
  assert.deepEqual([told.traced, told.found], [0, 1], told.events.join("\n"));
}
