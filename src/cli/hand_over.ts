/**
 * What a process that compiles for another one and the other one agree upon.
 */

/** The exit code of a process that compiled and kept a model without running it. */
export const HANDED_OVER = 3;

/** Ends this process when its standard input does: whoever started it is gone then. */
export function endWithInput(): void {
  void Deno.stdin.read(new Uint8Array(1)).then((count) => {
    if (count === null) Deno.exit(1);
  });
}
