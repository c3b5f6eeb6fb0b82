/**
 * Proxies for the objects, arrays and class instances that a trace meets.
 *
 * Enters: a real object and its {@linkcode Source}. Leaves: a Proxy over an empty shadow that reads through to the real object, wraps what it finds, and
 * leaves a check at the source for it. Writes never reach the real object: they stay in an overlay, which later reads see, and are
 * replayed after each compiled call. Methods, getters and setters of the user run on the Proxy, as the trace prepares them. Functions and classes are shown the same
 * way, so that what stands in their properties is checked.
 */
import { GraphBreak } from "./graph_break.ts";
import type { Check } from "./checks.ts";
import { writtenValue } from "./counters.ts";
import type { Source } from "./source.ts";
import { functionSyntax } from "./syntax.ts";

/** What proxies need of the tracer. */
export interface Tracing {
  /** What the program sees for a value found at `source`. */
  wrap(value: unknown, source: Source): unknown;
  /** The real value behind a twin or proxy, or the value itself. */
  unwrap(value: unknown): unknown;
  /** The function that a trace calls for a method, getter or setter found on `home`. */
  // deno-lint-ignore ban-types
  method(fn: Function, home: object): Function;
  /** Whether code runs on the object itself: it is one of Tessera's own, with slots that no Proxy has. */
  isLibraryInstance(object: object): boolean;
  /** Demands that what the program sees as `seen` be the very object `real` at each call. */
  pinIdentity(seen: unknown, real: object): void;
  /** Registers a proxy, so that `unwrap` and outputs know it. */
  register(proxy: object, record: ProxyRecord): void;
  /** Remembers that the object behind `record` was written to. */
  noteWrite(record: ProxyRecord): void;
}

/** A property that was deleted during the trace. */
export const DELETED: unique symbol = Symbol("deleted");

/** What is known of an object behind a proxy. */
export interface ProxyRecord {
  readonly real: object;
  readonly source: Source;
  /** Properties written during the trace, in order of appearance. */
  readonly overlay: Map<string | symbol, unknown>;
  /** Properties among these that were deleted before, so that they stand at the end. */
  readonly again: Set<string | symbol>;
  /** For Maps and Sets: the content that replaces the real one; null while unwritten. */
  collection: Map<unknown, unknown> | Set<unknown> | null;
  /** For arrays: what was put at the end of one that the trace has not looked at; null if nothing was. */
  appended: unknown[] | null;
}

/** Finds a property on an object or its prototypes. */
export function lookUpDescriptor(
  object: object,
  key: PropertyKey,
): { readonly descriptor: PropertyDescriptor; readonly owner: object } | null {
  let owner: object | null = object;
  while (owner !== null) {
    const descriptor = Reflect.getOwnPropertyDescriptor(owner, key);
    if (descriptor !== undefined) return { descriptor, owner };
    owner = Reflect.getPrototypeOf(owner);
  }
  return null;
}

/** What writing a property does: the setter that it calls, or `"data"`, or `"refused"` (read-only, frozen, not extensible). */
export function whatWrites(object: object, key: PropertyKey): unknown {
  const found = lookUpDescriptor(object, key);
  if (found !== null) {
    const { get, set, writable } = found.descriptor;
    if (set !== undefined) return set;
    if (get !== undefined || writable === false) return "refused";
  }
  return found?.owner === object || Object.isExtensible(object) ? "data" : "refused";
}

/** The own keys as a trace sees them: whole numbers in order of size, then others in order of appearance, then symbols. */
function visibleKeys({ real, overlay, again }: ProxyRecord): (string | symbol)[] {
  const keys = new Set(Reflect.ownKeys(real).filter((k) => overlay.get(k) !== DELETED && !again.has(k)));
  for (const [key, value] of overlay) if (value !== DELETED) keys.add(key);
  const rank = (key: string | symbol): number => typeof key === "symbol" ? 2 : isIndex(key) ? 0 : 1;
  return [...keys].sort((a, b) => rank(a) - rank(b) || (rank(a) === 0 ? Number(a) - Number(b) : 0));
}

/** Whether a key is the place of an element. */
export function isIndex(key: string | symbol): key is string {
  return typeof key === "string" && /^(0|[1-9]\d*)$/.test(key) && Number(key) < 2 ** 32 - 1;
}

/** The check that an object still shows the keys that it shows now. */
export function keysOf(object: object): Check {
  return { kind: "keys", keys: Object.keys(object), symbols: Object.getOwnPropertySymbols(object).length };
}

function checkKeys(record: ProxyRecord): void {
  record.source.check(keysOf(record.real));
}

function checkPrototype({ real, source }: ProxyRecord): void {
  source.check({ kind: "prototype", prototype: Reflect.getPrototypeOf(real) });
}

/** How a function or class behind a proxy is called and instantiated. */
export interface CallTraps {
  readonly apply: (self: unknown, args: unknown[]) => unknown;
  readonly construct: (args: unknown[], newTarget: unknown) => object;
}

/** Makes the proxy of an object, array or instance; with `calls`, of a function or class. */
export function proxyObject(real: object, source: Source, tracing: Tracing, calls: CallTraps | null = null): object {
  const record: ProxyRecord = { real, source, overlay: new Map(), again: new Set(), collection: null, appended: null };
  const isArray = Array.isArray(real);
  // The shadow carries kind and prototype; it has no properties that could contradict the traps.
  const shadow: object = calls !== null
    ? shadowFunction(real)
    : isArray
    ? []
    : Object.create(Reflect.getPrototypeOf(real));
  const write = (key: string | symbol, value: unknown): void => put(record, key, value, tracing, shadow);
  /** Who looks at an array sees what was appended, at places that follow from its length. */
  const settle = (): void => {
    const items = record.appended;
    if (items === null) return;
    record.appended = null;
    source.check({ kind: "length", length: (real as unknown[]).length });
    for (const item of items) write(String(lengthOf(record)), item);
  };
  const proxy: object = new Proxy(shadow, {
    apply: (_, self, args) => calls?.apply(self, args),
    construct: (_, args, newTarget) => calls?.construct(args, newTarget === proxy ? real : newTarget) as object,
    get(_, key, receiver): unknown {
      settle();
      if (calls !== null && isFunctionSlot(real, key)) return readSlot(real, key, source);
      if (record.overlay.has(key)) {
        const value = writtenValue(record, key);
        if (value !== DELETED) return value;
      }
      return readProperty(record, key, receiver, proxy, tracing);
    },
    set(_, key, value, receiver): boolean {
      settle();
      return writeProperty(record, key, value, receiver, proxy, tracing, shadow);
    },
    has(_, key): boolean {
      settle();
      if (record.overlay.has(key)) return record.overlay.get(key) !== DELETED;
      const present = key in real;
      source.check({ kind: "has", key, present });
      return present;
    },
    deleteProperty(_, key): boolean {
      settle();
      if (Reflect.getOwnPropertyDescriptor(real, key)?.configurable === false) return false;
      write(key, DELETED);
      return true;
    },
    ownKeys(): (string | symbol)[] {
      settle();
      checkKeys(record);
      if (isArray) source.check({ kind: "length", length: (real as unknown[]).length });
      return visibleKeys(record);
    },
    getOwnPropertyDescriptor(_, key): PropertyDescriptor | undefined {
      settle();
      if (calls !== null && isFunctionSlot(real, key)) return Reflect.getOwnPropertyDescriptor(shadow, key);
      if (isArray && key === "length") {
        (shadow as unknown[]).length = lengthOf(record);
        return Reflect.getOwnPropertyDescriptor(shadow, key);
      }
      const over = record.overlay.get(key);
      if (over === DELETED) return undefined;
      const own = Reflect.getOwnPropertyDescriptor(real, key);
      if (over === undefined && !source.checks.some((c) => c.kind === "keys")) {
        source.check({ kind: "own", key, present: own !== undefined });
      }
      if (own === undefined && over === undefined) return undefined;
      const enumerable = own?.enumerable ?? true;
      if (own?.get !== undefined && over === undefined && !tracing.isLibraryInstance(real)) {
        // Who asks whether a key is enumerable (spread, Object.assign, Object.keys) does not call the getter.
        source.check({ kind: "getter", key, getter: own.get });
        return { get: () => Reflect.get(proxy, key, proxy), enumerable, configurable: true };
      }
      const value: unknown = Reflect.get(proxy, key, proxy);
      return { value, writable: true, enumerable, configurable: true };
    },
    defineProperty(_, key, descriptor): boolean {
      settle();
      const own = Reflect.getOwnPropertyDescriptor(real, key);
      if (own === undefined ? !isExtensible(record) : own.configurable === false) return false;
      const { enumerable, writable, configurable } = { ...(own ?? {}), ...descriptor };
      if (!("value" in descriptor) || enumerable !== true || writable !== true || configurable !== true) {
        throw new GraphBreak(
          "defineProperty makes more than a plain property",
          "do it outside of the compiled function",
        );
      }
      write(key, descriptor.value);
      return true;
    },
    getPrototypeOf(): object | null {
      checkPrototype(record);
      return Reflect.getPrototypeOf(real);
    },
    isExtensible(): boolean {
      throw new GraphBreak("the function asks whether an object is frozen or sealed", "ask outside of it");
    },
    preventExtensions(): boolean {
      throw new GraphBreak("an object from outside is frozen or sealed", "do it outside of the compiled function");
    },
    setPrototypeOf(): boolean {
      throw new GraphBreak("the prototype of a traced object is changed", "do it outside of the compiled function");
    },
  });
  tracing.register(proxy, record);
  return proxy;
}

// deno-lint-ignore ban-types
function usesPrivate(fn: Function): boolean {
  // A private name is written with a hash sign; most methods have none and need no parsing.
  return Function.prototype.toString.call(fn).includes("#") && functionSyntax(fn).usesPrivate;
}

function shadowFunction(real: object): object {
  const shadow = function (): void {};
  const prototype: unknown = Reflect.get(real, "prototype");
  if (typeof prototype === "object") shadow.prototype = prototype;
  return shadow;
}

/** Properties that every function has; they are not data of the program. */
function isFunctionSlot(real: object, key: string | symbol): boolean {
  if (key === "prototype" || key === "arguments" || key === "caller") return true;
  if (key === "name" || key === "length") {
    return typeof Reflect.getOwnPropertyDescriptor(real, key)?.value !== "function";
  }
  return false;
}

/** Of classes the prototype is fixed; that of functions may be replaced. */
function readSlot(real: object, key: string | symbol, source: Source): unknown {
  const value: unknown = Reflect.get(real, key);
  if (key === "prototype" && Reflect.getOwnPropertyDescriptor(real, key)?.writable === true) {
    source.child({ kind: "property", key }).check({ kind: "identical", value });
  }
  return value;
}

function lengthOf(record: ProxyRecord): number {
  const written = record.overlay.get("length");
  return typeof written === "number" ? written : (record.real as unknown[]).length;
}

/** An array's length follows its elements and cuts them off. */
function writeLength(record: ProxyRecord, shadow: unknown[], key: string | symbol, value: unknown): void {
  if (key === "length") {
    const length = Number(value);
    for (const written of [...record.overlay.keys()]) {
      if (typeof written === "string" && /^\d+$/.test(written) && Number(written) >= length) {
        record.overlay.delete(written);
      }
    }
    for (let i = length; i < (record.real as unknown[]).length; i++) record.overlay.set(String(i), DELETED);
    shadow.length = length;
    return;
  }
  if (typeof key !== "string" || !/^\d+$/.test(key)) return;
  record.source.check({ kind: "length", length: (record.real as unknown[]).length });
  if (Number(key) >= lengthOf(record)) record.overlay.set("length", Number(key) + 1);
}

/** Whether the object behind a proxy takes new properties: an answer no, once given, stays. */
function isExtensible({ real }: ProxyRecord): boolean {
  return Object.isExtensible(real);
}

function put(record: ProxyRecord, key: string | symbol, value: unknown, tracing: Tracing, shadow: object | null): void {
  const { overlay, again, real } = record;
  if (overlay.get(key) === DELETED && value !== DELETED) {
    overlay.delete(key);
    if (Object.hasOwn(real, key)) again.add(key);
  }
  overlay.set(key, value);
  tracing.noteWrite(record);
  if (Array.isArray(real)) writeLength(record, shadow as unknown[], key, value);
}

/** Assigns a property of the object behind a proxy: by its setter, or into the overlay. False if JavaScript refuses it. */
export function writeProperty(
  record: ProxyRecord,
  key: string | symbol,
  value: unknown,
  receiver: unknown,
  proxy: object,
  tracing: Tracing,
  shadow: object | null,
): boolean {
  const { real } = record;
  const found = lookUpDescriptor(real, key);
  const setter = found?.descriptor.set;
  // Elements of arrays are many; what the library's own objects do is known.
  if (!Array.isArray(real) && !record.overlay.has(key) && !tracing.isLibraryInstance(real)) {
    record.source.check({ kind: "setter", key, setter: whatWrites(real, key) });
  }
  if (setter !== undefined) {
    const isOwn = tracing.isLibraryInstance(real);
    Reflect.apply(isOwn ? setter : tracing.method(setter, found?.owner ?? real), isOwn ? real : receiver, [value]);
    return true;
  }
  if (found !== null && (found.descriptor.get !== undefined || found.descriptor.writable === false)) return false;
  if (receiver !== proxy) {
    // An object that inherits from this one is written: the property becomes its own, as no prototype stands in the way.
    if (found === null) record.source.check({ kind: "has", key, present: false });
    return Reflect.set(Object.create(null) as object, key, value, receiver);
  }
  if (found?.owner !== real && !record.overlay.has(key) && !isExtensible(record)) return false;
  put(record, key, value, tracing, shadow);
  return true;
}

/** Reads a property of the object behind a proxy that the trace has not written. */
export function readProperty(
  record: ProxyRecord,
  key: string | symbol,
  receiver: unknown,
  proxy: object,
  tracing: Tracing,
): unknown {
  const { real, source } = record;
  const deleted = record.overlay.get(key) === DELETED;
  if (Array.isArray(real) && key === "length") {
    source.check({ kind: "length", length: real.length });
    return record.overlay.get("length") ?? real.length;
  }
  const start = deleted ? Reflect.getPrototypeOf(real) : real;
  const found = start === null ? null : lookUpDescriptor(start, key);
  if (found === null) {
    if (!deleted) source.check({ kind: "has", key, present: false });
    return undefined;
  }
  const { descriptor, owner } = found;
  if (descriptor.get !== undefined) {
    // A getter is code: it runs on the proxy, so that what it reads is checked.
    if (!tracing.isLibraryInstance(real)) {
      if (owner !== real || !Object.isFrozen(real)) source.check({ kind: "getter", key, getter: descriptor.get });
      return Reflect.apply(tracing.method(descriptor.get, owner), receiver, []);
    }
    const value: unknown = Reflect.apply(descriptor.get, real, []);
    return tracing.wrap(value, source.child({ kind: "property", key }));
  }
  if (owner === real && typeof descriptor.value === "function") tracing.method(descriptor.value, owner);
  if (owner === real) return tracing.wrap(descriptor.value, source.child({ kind: "property", key }));
  // Inherited: the prototype is checked, so only a property of the object's own could shadow it.
  const value: unknown = descriptor.value;
  if (typeof value !== "function") return tracing.wrap(value, source.child({ kind: "property", key }));
  if (key === "constructor") {
    checkPrototype(record);
    return value;
  }
  if (owner === Object.prototype && !tracing.isLibraryInstance(real)) {
    // What every object has, any object may have of its own later.
    source.child({ kind: "property", key }).check({ kind: "identical", value });
    return value;
  }
  if (owner === Function.prototype && key === "toString") return () => Function.prototype.toString.call(real);
  if (Array.isArray(real) || owner === Object.prototype || owner === Function.prototype) return value;
  if (tracing.isLibraryInstance(real) && usesPrivate(value)) {
    return (...args: unknown[]): unknown => Reflect.apply(value, real, args);
  }
  tracing.method(value, owner);
  const seen = tracing.wrap(value, source.child({ kind: "property", key }));
  return proxy === receiver || typeof seen === "function" ? seen : value;
}
