/** A thread that opens a library in the way that it is told, and says so; for `lasting_library_test.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { openLasting } from "../../src/runtime/lasting_library.ts";

const { path, lasts } = workerData as { readonly path: string; readonly lasts: boolean };
if (lasts) openLasting(path, {});
else Deno.dlopen(path, {});
parentPort?.postMessage("open");
