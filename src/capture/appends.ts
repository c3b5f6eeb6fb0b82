/**
 * Appending: `list.push(x)` to an array from outside that the function does not look at.
 *
 * Where the elements go depends on how many there are, what the function does does not: the trace keeps the elements, relies on no length, and each call puts its own
 * at the end. One graph serves a history that grows with each call. As soon as the function looks at the array, the trace relies on its length. Beside `counters.ts`.
 */
import type { ProxyRecord, Tracing } from "./objects.ts";

/** What stands for an array of which only `push` is called and nobody asks what that gives; null if the trace has looked at the array, or it is none. */
export function appender(record: ProxyRecord, tracing: Tracing): { push(...items: unknown[]): void } | null {
  const { real, source, overlay } = record;
  if (!Array.isArray(real) || Reflect.getPrototypeOf(real) !== Array.prototype || !Object.isExtensible(real)) {
    return null;
  }
  if (record.appended === null) {
    const isSeen = source.checks.some(({ kind }) => kind === "length" || kind === "keys" || kind === "allKeys");
    if (isSeen || overlay.size > 0 || Object.hasOwn(real, "push")) return null;
    source.check({ kind: "prototype", prototype: Array.prototype });
    source.check({ kind: "own", key: "push", present: false });
  }
  return {
    push(...items): void {
      (record.appended ??= []).push(...items);
      tracing.noteWrite(record);
    },
  };
}
