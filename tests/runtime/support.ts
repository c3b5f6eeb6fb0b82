/** What the runtime's tests share: temporary caches, and skipping with a reason where there is no C++ compiler. */
import { DiskCache } from "../../src/runtime/disk_cache.ts";
import { type CompileJob, CompileService } from "../../src/runtime/cpu/compile_service.ts";
import { findToolchain, type IsaTarget, type Toolchain } from "../../src/runtime/cpu/toolchain.ts";

/** The compiler of this machine, or null. */
export const toolchain: Toolchain | null = (() => {
  const found = findToolchain();
  return found.ok ? found.toolchain : null;
})();

/** Registers a test that needs a C++ compiler; without one the name says why it is skipped. */
export function nativeTest(name: string, fn: (toolchain: Toolchain) => void | Promise<void>): void {
  const found = findToolchain();
  Deno.test({
    name: found.ok ? name : `${name} [skipped: ${found.problem}]`,
    ignore: !found.ok,
    // Compilers run in the background on purpose.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: () => fn(found.ok ? found.toolchain : unreachable()),
  });
}

function unreachable(): never {
  throw new Error("an ignored test ran");
}

/** Runs `fn` with a folder that is removed afterwards. */
export async function withTempDir(fn: (directory: string) => void | Promise<void>): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "tessera-test-" });
  try {
    await fn(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** A service over a cache of its own. */
export function serviceIn(directory: string, isa?: IsaTarget): CompileService {
  const cache = new DiskCache({ directory });
  const found = findToolchain();
  if (isa === undefined || !found.ok) return new CompileService({ cache });
  return new CompileService({ cache, toolchain: { ok: true, toolchain: { ...found.toolchain, isa } } });
}

/** Compiles and waits. */
export function build(service: CompileService, name: string, source: string): CompileJob {
  const job = service.compile({ name, source });
  job.waitSync();
  return job;
}

const kept = new WeakMap<object, readonly unknown[]>();

/** Address and number slots of a kernel's arguments. The buffers live as long as the array. */
export function kernelArgs(
  ...slots: readonly (number | bigint | { readonly address: number })[]
): BigUint64Array<ArrayBuffer> {
  const args = BigUint64Array.from(slots, (slot) => typeof slot === "object" ? BigInt(slot.address) : BigInt(slot));
  kept.set(args, slots);
  return args;
}
