/**
 * Writing to the terminal, and the exit codes of the command line.
 */

/** Exit codes: done, failed with a message on standard error, bad usage. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** The command was called wrongly: ends with code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

const encoder = new TextEncoder();

function writeAll(file: typeof Deno.stdout, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** Writes lines to standard output. */
export function print(text: string): void {
  writeAll(Deno.stdout, `${text}\n`);
}

/** Writes lines to standard error. */
export function printError(text: string): void {
  writeAll(Deno.stderr, `${text}\n`);
}

/**
 * Writes the text of a trace.
 *
 * @throws {Error} if it cannot be written there
 */
export function writeTrace(path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text);
  } catch (error) {
    throw new Error(`--chrome-trace ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
