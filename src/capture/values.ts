/**
 * Kinds of values that a trace meets: plain data, constants whose identity says all, and objects whose content no Proxy shows.
 */
import { types } from "node:util";
import { isNode } from "../graph/mod.ts";
import { isLibraryInstance } from "./library.ts";
import { lookUpDescriptor } from "./objects.ts";

/** Tells whether a prototype is that of plain data. */
export function isPlainPrototype(prototype: object | null): boolean {
  return prototype === null || prototype === Object.prototype || prototype === Array.prototype ||
    prototype === Map.prototype || prototype === Set.prototype;
}

/** Frozen records of plain values (a device, say) cannot change: their identity says all. */
export function isPlainConstant(value: object): boolean {
  if (!Object.isFrozen(value) || isNode(value)) return false;
  if (!isPlainPrototype(Reflect.getPrototypeOf(value)) && !isLibraryInstance(value)) return false;
  return Reflect.ownKeys(value).every((key) => {
    const descriptor = Reflect.getOwnPropertyDescriptor(value, key);
    if (descriptor === undefined || !("value" in descriptor)) return false;
    const inner: unknown = descriptor.value;
    return typeof inner !== "function" && (typeof inner !== "object" || inner === null);
  });
}

/** Objects that keep their content where a Proxy cannot look. */
export function isOpaque(value: object): boolean {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return true;
  if (value instanceof Date || value instanceof RegExp || value instanceof Promise) return true;
  return value instanceof WeakRef || Symbol.asyncIterator in value || isRunningIterator(value);
}

function isRunningIterator(value: object): boolean {
  if (value instanceof Iterator) return true;
  // A getter of the program's is not run to find out.
  return Symbol.iterator in value && typeof lookUpDescriptor(value, "next")?.descriptor.value === "function";
}

/** Tells whether a value is a Proxy. Those of a trace are known by their records. */
export function isProxy(value: unknown): boolean {
  return types.isProxy(value);
}
