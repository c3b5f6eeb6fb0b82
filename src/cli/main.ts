/**
 * The command line: `deno run -A src/cli/main.ts`, as a task `deno task tessera`.
 *
 * Starts the driver on a thread of its own before anything else is loaded, where a model will run on a GPU: that takes longer than loading the compiler. A model on
 * the CPU runs in a process that never loads the compiler, if it can (`run_apart.ts`). So nothing is imported here; the commands are in `program.ts`.
 */
/** The number of the GPU that `run --device cuda:N` names; null for anything else. */
export function deviceToStart(args: readonly string[]): number | null {
  if (args[0] !== "run") return null;
  const at = args.indexOf("--device");
  const named = at < 0 ? args.find((a) => a.startsWith("--device="))?.slice("--device=".length) : args[at + 1];
  const cuda = /^cuda(?::(\d{1,3}))?$/.exec(named ?? "");
  return cuda === null ? null : Number(cuda[1] ?? 0);
}

/** Loads a module by its address. Deno reads what an import names in its text when the process starts, whether it will be needed or not. */
async function later(module: string): Promise<unknown> {
  try {
    return await import(new URL(module, import.meta.url).href);
  } catch (error) {
    // Files that no text names need permission to be read.
    if (!(error instanceof TypeError) || !error.message.startsWith("Requires read access")) throw error;
    Deno.stderr.writeSync(new TextEncoder().encode(`tessera: ${error.message}\n`));
    Deno.exit(1);
  }
}

if (import.meta.main) {
  const ordinal = deviceToStart(Deno.args);
  if (ordinal !== null) {
    const { startCuda } = await later("../runtime/cuda/start.ts") as typeof import("../runtime/cuda/start.ts");
    void startCuda(ordinal);
  } else if (Deno.args[0] === "run") {
    // What starting took of the engine's code is not needed beside what comes.
    const { releaseSpareMemory } = await later(
      "../runtime/cpu/spare_memory.ts",
    ) as typeof import("../runtime/cpu/spare_memory.ts");
    releaseSpareMemory();
    const { runApart } = await later("./run_apart.ts") as typeof import("./run_apart.ts");
    const code = await runApart(import.meta.url, Deno.args);
    if (code !== null) Deno.exit(code);
  }
  const { main } = await later("./program.ts") as typeof import("./program.ts");
  Deno.exit(await main(Deno.args));
}
