/**
 * The program that runs kept plans, in the place of this process.
 *
 * Enters: a job (`plan_job.ts`). Leaves: nothing, for this process becomes the program: its number, files and environment stay, the JavaScript engine goes, and with it its memory. Where that
 * cannot be (other systems, a folder whose programs may not be started) the call returns, and the plan runs here. Mirrors what AOTInductor's packages do without Python.
 */
import { addressOf, hasFfi, LIBC_NAMES } from "./memory.ts";

/** Whether programs are started in the place of this one here, as far as the system and permissions go. */
export function canReplaceProcess(): boolean {
  return Deno.build.os === "linux" && hasFfi() &&
    Deno.permissions.querySync({ name: "run" }).state === "granted" &&
    Deno.permissions.querySync({ name: "write" }).state === "granted";
}

/** May be started by its owner. */
const MODE = 0o700;

/**
 * Becomes the program at `path`, which finds the job in an open file. Returns only if that failed.
 *
 * Nothing that this process has yet to write may be waiting.
 */
export function becomeRunner(path: string, job: Uint8Array<ArrayBuffer>): void {
  const text = (s: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(`${s}\0`);
  for (const name of LIBC_NAMES) {
    try {
      if (((Deno.statSync(path).mode ?? 0) & 0o100) === 0) Deno.chmodSync(path, MODE);
      const { symbols } = Deno.dlopen(name, {
        memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
        execv: { parameters: ["buffer", "buffer"], result: "i32" },
        close: { parameters: ["i32"], result: "i32" },
      });
      // Stays open in the program: it is not closed when one is started.
      const file = symbols.memfd_create(text("tessera-job"), 0);
      if (file < 0) return;
      try {
        Deno.writeFileSync(`/proc/self/fd/${file}`, job);
        const args = [text("tessera"), text(String(file))];
        const addresses = BigUint64Array.from([...args.map((arg) => BigInt(addressOf(arg))), 0n]);
        symbols.execv(text(path), addresses);
      } finally {
        symbols.close(file);
      }
      return;
    } catch {
      // Not this C library, or the program may not be started.
    }
  }
}
