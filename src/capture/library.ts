/**
 * Which functions and classes are Tessera's own: they run as they are inside a trace, because their tensor operators are recorded and their
 * options are read through `tracked`. Everything else is the user's and is rebuilt where its closure needs guards.
 */
import * as autograd from "../autograd/mod.ts";
import * as nn from "../nn/mod.ts";
import * as optim from "../optim/mod.ts";
import * as tensor from "../tensor/mod.ts";
import * as symbolic from "../symbolic/mod.ts";
import * as core from "../core/mod.ts";

const functions = new WeakSet<object>();
const prototypes = new WeakSet<object>();
const namespaces = new WeakSet<object>();
const roots = new Map<string, object>();

/** Declares that everything exported by a module is Tessera's own. Modules above this layer register themselves; by the name, another process finds the same. */
export function registerLibrary(exports: object, name: string | null = null): void {
  if (namespaces.has(exports)) return;
  namespaces.add(exports);
  if (name !== null) roots.set(name, exports);
  for (const value of Object.values(exports)) registerValue(value);
}

function registerValue(value: unknown): void {
  if (typeof value === "function") {
    functions.add(value);
    const prototype: unknown = value.prototype;
    if (typeof prototype === "object" && prototype !== null) registerPrototype(prototype);
  } else if (isNamespace(value)) registerLibrary(value);
}

/** Declares a function to run as it is inside a trace. */
// deno-lint-ignore ban-types
export function registerLibraryFunction(fn: Function): void {
  functions.add(fn);
}

function registerPrototype(prototype: object): void {
  prototypes.add(prototype);
  for (const descriptor of Object.values(Object.getOwnPropertyDescriptors(prototype))) {
    for (const f of [descriptor.value, descriptor.get, descriptor.set]) if (typeof f === "function") functions.add(f);
  }
  // Abstract bases need not be exported.
  const parent = Reflect.getPrototypeOf(prototype);
  if (parent !== null && parent !== Object.prototype && !prototypes.has(parent) && !isNative(parent)) {
    registerPrototype(parent);
  }
}

function isNative(prototype: object): boolean {
  const { constructor } = prototype;
  return typeof constructor === "function" && /\[native code\]/.test(Function.prototype.toString.call(constructor));
}

function isNamespace(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  return Reflect.get(value, Symbol.toStringTag) === "Module" || value === tensor.F;
}

for (const [name, module] of Object.entries({ tensor, autograd, nn, optim, symbolic, core })) {
  registerLibrary(module, name);
}

/** The namespaces of Tessera by their names. */
export function libraryNamespaces(): ReadonlyMap<string, object> {
  return roots;
}

/** Tells whether a function is Tessera's own. */
// deno-lint-ignore ban-types
export function isLibraryFunction(fn: Function): boolean {
  return functions.has(fn);
}

/** Tells whether an object is a module namespace or a table of functions of Tessera. */
export function isLibraryNamespace(value: object): boolean {
  return namespaces.has(value);
}

/** Tells whether an object is an instance of a class of Tessera (not of a class derived from one). */
export function isLibraryInstance(value: object): boolean {
  const prototype = Reflect.getPrototypeOf(value);
  return prototype !== null && prototypes.has(prototype);
}
