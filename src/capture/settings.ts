/**
 * Functions of the library that change how the whole process works: a graph would do it once, while it is traced, and forget it.
 */
import { setDefaultDtype } from "../core/mod.ts";

const SETTINGS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [setDefaultDtype, "setDefaultDtype() sets the dtype of what is made without one"],
]);

/** What a function sets, or null. */
export function settingOf(fn: unknown): string | null {
  return SETTINGS.get(fn) ?? null;
}
