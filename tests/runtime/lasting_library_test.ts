/** Libraries that have threads of their own outlive the isolate that opened them. */
import assert from "node:assert/strict";
import { Worker } from "node:worker_threads";
import { buildFake } from "./cuda/support.ts";

/** Whether the library is mapped, when the thread that opened it has ended. */
async function isMappedAfter(path: string, lasts: boolean): Promise<boolean> {
  const worker = new Worker(new URL("./lasting_worker.ts", import.meta.url), { workerData: { path, lasts } });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await worker.terminate();
  // The thread gives back what it has when its isolate is gone.
  const isMapped = (): boolean => Deno.readTextFileSync("/proc/self/maps").includes(path);
  for (let i = 0; i < 40 && isMapped(); i++) await new Promise((resolve) => setTimeout(resolve, 25));
  return isMapped();
}

const reason = Deno.build.os === "linux" ? null : "needs /proc";

Deno.test({
  name: `openLasting() keeps a library when the thread that opened it ends${
    reason === null ? "" : ` [skipped: ${reason}]`
  }`,
  ignore: reason !== null,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const [plain, lasting] = ["libplain.so", "liblasting.so"].map((name) => buildFake(name, "fake_nothing.cpp"));
    if (plain === null || lasting === null || plain === undefined || lasting === undefined) return;
    assert.equal(await isMappedAfter(plain, false), false, "Deno keeps libraries of threads by itself");
    assert.equal(await isMappedAfter(lasting, true), true);
  },
});
