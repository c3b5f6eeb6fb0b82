/**
 * The command line: `deno run -A src/cli/main.ts`, as a task `deno task tessera`.
 *
 * Starts the driver on a thread of its own before anything else is loaded, where a model will run on a GPU: that takes longer than loading the compiler. So
 * nothing but what starts it is imported here; the commands are in `program.ts`.
 */
import { startCuda } from "../runtime/cuda/start.ts";

/** The number of the GPU that `run --device cuda:N` names; null for anything else. */
export function deviceToStart(args: readonly string[]): number | null {
  if (args[0] !== "run") return null;
  const at = args.indexOf("--device");
  const named = at < 0 ? args.find((a) => a.startsWith("--device="))?.slice("--device=".length) : args[at + 1];
  const cuda = /^cuda(?::(\d{1,3}))?$/.exec(named ?? "");
  return cuda === null ? null : Number(cuda[1] ?? 0);
}

if (import.meta.main) {
  const ordinal = deviceToStart(Deno.args);
  if (ordinal !== null) void startCuda(ordinal);
  const { main } = await import("./program.ts");
  Deno.exit(await main(Deno.args));
}
