/**
 * Logging of compiler artefacts (TESSERA_LOGS) and events that users should see.
 *
 * Artefacts print only when asked for. A {@linkcode warnOnce} prints once for each text: it reports what Tessera did
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

/** Tells whether an artefact is logged, so that its text need not be made otherwise. */
export function isLogged(name: LogName): boolean {
  return config().logs.has(name);
}

/** Prints an artefact if it was asked for. The text is only made when needed. */
export function log(name: LogName, text: () => string): void {
  if (!isLogged(name)) return;
  const made = text();
  emitEvent({ kind: "log", message: made });
  print(`[${name}] ${made}`);
}

/** Tells the user something once. */
export function warnOnce(message: string, kind: TesseraEvent["kind"] = "warning"): void {
  if (warned.has(message)) return;
  warned.add(message);
  emitEvent({ kind, message });
  if (listeners.size === 0) print(`tessera: ${message}`);
}
