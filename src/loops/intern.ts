/**
 * The table that makes loop values unique: equal structure, same object.
 *
 * Entries are weak, so a long-lived process keeps only values that some kernel or graph still holds. Only the
 * constructors of `ops.ts` intern.
 */
import type { Value } from "./value.ts";

const table = new Map<string, WeakRef<Value>>();
const registry = new FinalizationRegistry<string>((key) => {
  if (table.get(key)?.deref() === undefined) table.delete(key);
});
let nextId = 1;

/** Distributes `Omit` over the union. */
export type Draft<V> = V extends Value ? Omit<V, "id"> : never;

/** The one value with this structure; `key` must determine the structure. */
export function intern(key: string, draft: Draft<Value>): Value {
  const found = table.get(key)?.deref();
  if (found !== undefined) return found;
  const made = Object.freeze({ id: nextId++, ...draft }) as Value;
  table.set(key, new WeakRef(made));
  registry.register(made, key);
  return made;
}
