/**
 * Loads what `run` needs layer by layer.
 *
 * The driver starts in two calls on another thread (`runtime/cuda/start.ts`), and the second follows the first when the event loop turns. Loading everything in
 * one go takes longer than the first call, and the loop would not turn before its end.
 */

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** The module `run.ts`; the event loop turns between the layers that it is made of. */
export async function loadRun(): Promise<typeof import("./run.ts")> {
  await import("../ops/mod.ts");
  await turn();
  await import("../tensor/mod.ts");
  await turn();
  await import("../capture/mod.ts");
  await turn();
  await import("../inductor/mod.ts");
  await turn();
  return await import("./run.ts");
}
