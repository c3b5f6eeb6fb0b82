/**
 * Logging of compiler artefacts (TESSERA_LOGS, TESSERA_TRACE) and events that users should see.
 *
 * Artefacts print, or go to files, only when asked for. A {@linkcode warnOnce} prints once for each text: it reports what Tessera did
 * instead of what was asked (a fallback, a cache that cannot be written), so that nothing happens silently.
 */
import { config, type LogName } from "./config.ts";

const encoder = new TextEncoder();
const warned = new Set<string>();
const listeners = new Set<(event: TesseraEvent) => void>();

/** Something that happened and that a program may want to observe. */
export interface TesseraEvent {
  readonly kind: "warning" | "recompile" | "graph_break" | "tier" | "cache" | "fallback" | "autotune" | "log";
  readonly message: string;
}

/** Calls `listener` for each event until the result is disposed. While there is a listener, warnings are not printed. */
export function onEvent(listener: (event: TesseraEvent) => void): Disposable {
  listeners.add(listener);
  return {
    [Symbol.dispose](): void {
      listeners.delete(listener);
    },
  };
}

/** Reports an event to the listeners. */
export function emitEvent(event: TesseraEvent): void {
  for (const listener of listeners) listener(event);
}

function print(text: string): void {
  Deno.stderr.writeSync(encoder.encode(text + "\n"));
}

/** Prints an artefact if it was asked for, and writes it to the folder of traces if there is one. The text is only made when needed. */
export function log(name: LogName, text: () => string): void {
  const { logs, traceDir } = config();
  const printed = logs.has(name);
  if (!printed && traceDir === null) return;
  const made = text();
  if (traceDir !== null) writeArtefact(traceDir, name, made);
  if (!printed) return;
  emitEvent({ kind: "log", message: made });
  print(`[${name}] ${made}`);
}

let artefacts = 0;

/** Writes `DIR/PID/0001_graph.txt` and so on; a folder that cannot be written is told once. */
function writeArtefact(directory: string, name: LogName, text: string): void {
  const folder = `${directory}/${Deno.pid}`;
  try {
    Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(`${folder}/${String(++artefacts).padStart(4, "0")}_${name}.txt`, `${text}\n`);
  } catch (error) {
    warnOnce(`TESSERA_TRACE: ${directory} cannot be written: ${error instanceof Error ? error.message : error}`);
  }
}

/** Tells the user something once. */
export function warnOnce(message: string, kind: TesseraEvent["kind"] = "warning"): void {
  if (warned.has(message)) return;
  warned.add(message);
  emitEvent({ kind, message });
  if (listeners.size === 0) print(`tessera: ${message}`);
}
