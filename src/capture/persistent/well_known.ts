/**
 * Names of values that every process has: what Tessera exports and what the engine's global names reach.
 *
 * A stored capture refers to them by path, as `["lib", "nn", "Linear", "prototype"]`. A path leads through own data properties only, so that nothing runs
 * when it is followed; that the value is still Tessera's or the engine's own is for the reader to check.
 */
import { isIntrinsic, isIntrinsicName } from "../intrinsics.ts";
import { isLibraryFunction, isLibraryNamespace, libraryNamespaces } from "../library.ts";

/** Where a well-known value stands. */
export type WellKnownPath = readonly ["lib" | "global" | "engine", ...string[]];

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function ownValue(object: object, key: string): unknown {
  return Reflect.getOwnPropertyDescriptor(object, key)?.value;
}

/** Prototypes of the engine that no global name shows. */
const ENGINE: Readonly<Record<string, object | null>> = {
  GeneratorFunction: Reflect.getPrototypeOf(function* () {}),
  AsyncFunction: Reflect.getPrototypeOf(async () => {}),
  AsyncGeneratorFunction: Reflect.getPrototypeOf(async function* () {}),
};

let names: Map<object, WellKnownPath> | null = null;

function collect(): Map<object, WellKnownPath> {
  const out = new Map<object, WellKnownPath>();
  const note = (value: unknown, path: WellKnownPath): boolean => {
    if (!isObject(value) || out.has(value)) return false;
    out.set(value, path);
    return true;
  };
  const walkLibrary = (namespace: object, path: WellKnownPath): void => {
    if (!note(namespace, path)) return;
    for (const [key, value] of Object.entries(namespace)) {
      const at: WellKnownPath = [...path, key];
      if (!isObject(value)) continue;
      if (isLibraryNamespace(value)) walkLibrary(value, at);
      else if (typeof value === "function" && isLibraryFunction(value) && note(value, at)) {
        note(ownValue(value, "prototype"), [...at, "prototype"]);
      }
    }
  };
  for (const [name, namespace] of libraryNamespaces()) walkLibrary(namespace, ["lib", name]);
  for (const [name, value] of Object.entries(ENGINE)) note(value, ["engine", name]);
  note(globalThis, ["global"]);
  for (const name of Reflect.ownKeys(globalThis)) {
    if (typeof name !== "string" || !isIntrinsicName(name)) continue;
    const value = ownValue(globalThis, name);
    if (!note(value, ["global", name]) || !isObject(value)) continue;
    for (const key of Reflect.ownKeys(value)) {
      if (typeof key !== "string") continue;
      const inner = ownValue(value, key);
      if (!isObject(inner) || (key !== "prototype" && !(typeof inner === "function" && isIntrinsic(inner)))) continue;
      if (!note(inner, ["global", name, key]) || key !== "prototype") continue;
      for (const method of Reflect.ownKeys(inner)) {
        if (typeof method === "string") note(ownValue(inner, method), ["global", name, key, method]);
      }
    }
  }
  return out;
}

/** The path of a well-known value, or null. */
export function wellKnownPath(value: object): WellKnownPath | null {
  return (names ??= collect()).get(value) ?? null;
}

/** The value at a path; undefined if there is none. */
export function wellKnownValue(path: readonly string[]): unknown {
  const [root, ...keys] = path;
  let at: unknown;
  if (root === "engine") return Object.hasOwn(ENGINE, keys[0] ?? "") ? ENGINE[keys[0] ?? ""] : undefined;
  if (root === "global") at = globalThis;
  else if (root === "lib") at = libraryNamespaces().get(keys.shift() ?? "");
  for (const key of keys) {
    if (!isObject(at)) return undefined;
    // Exports of a module namespace are data properties as well.
    at = ownValue(at, key);
  }
  return at;
}
