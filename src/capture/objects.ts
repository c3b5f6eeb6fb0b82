/**
 * Proxies for the objects, arrays and class instances that a trace meets.
 *
 * Enters: a real object and its {@linkcode Source}. Leaves: a Proxy over an empty shadow that reads through to the real object, wraps what it finds, and
 * leaves a check at the source for it. Writes never reach the real object: they stay in an overlay, which later reads see, and are
 * replayed after each compiled call. Code that uses `#private` names cannot run on a Proxy; it is handed to {@linkcode Tracing.privateReceiver}.
 */
import { GraphBreak } from "./graph_break.ts";
import type { Source } from "./source.ts";
import { functionSyntax } from "./syntax.ts";

/** What proxies need of the tracer. */
export interface Tracing {
  /** What the program sees for a value found at `source`. */
  wrap(value: unknown, source: Source): unknown;
  /** The real value behind a twin or proxy, or the value itself. */
  unwrap(value: unknown): unknown;
  /** The object on which code with private names runs: the real one, or a break. */
  privateReceiver(object: object, name: string): object;
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
  /** Properties written during the trace, in order of their last write. */
  readonly overlay: Map<string | symbol, unknown>;
  /** For Maps and Sets: the content that replaces the real one; null while unwritten. */
  collection: Map<unknown, unknown> | Set<unknown> | null;
}

/** Finds a property on an object or its prototypes. */
function lookUpDescriptor(
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

// deno-lint-ignore ban-types
function usesPrivate(fn: Function): boolean {
  return functionSyntax(fn).usesPrivate;
}

/** The keys of own enumerable string properties, as a trace sees them. */
function visibleKeys(record: ProxyRecord): (string | symbol)[] {
  const keys = Reflect.ownKeys(record.real).filter((k) => record.overlay.get(k) !== DELETED);
  for (const [key, value] of record.overlay) if (value !== DELETED && !keys.includes(key)) keys.push(key);
  return keys;
}

function checkKeys(record: ProxyRecord): void {
  record.source.check({ kind: "keys", keys: Object.keys(record.real) });
}

/** Makes the proxy of an object, array or instance. */
export function proxyObject(real: object, source: Source, tracing: Tracing): object {
  const record: ProxyRecord = { real, source, overlay: new Map(), collection: null };
  const isArray = Array.isArray(real);
  // The shadow carries kind and prototype; it has no properties that could contradict the traps.
  const shadow: object = isArray ? [] : Object.create(Reflect.getPrototypeOf(real));
  const write = (key: string | symbol, value: unknown): void => {
    record.overlay.delete(key);
    record.overlay.set(key, value);
    tracing.noteWrite(record);
    if (isArray) writeLength(record, shadow as unknown[], key, value);
  };
  const proxy = new Proxy(shadow, {
    get(_, key, receiver): unknown {
      if (record.overlay.has(key)) {
        const value = record.overlay.get(key);
        if (value !== DELETED) return value;
      }
      return readProperty(record, key, receiver, proxy, tracing);
    },
    set(_, key, value): boolean {
      const found = lookUpDescriptor(real, key);
      const setter = found?.descriptor.set;
      if (setter !== undefined) {
        Reflect.apply(setter, usesPrivate(setter) ? tracing.privateReceiver(real, String(key)) : proxy, [value]);
        return true;
      }
      if (found !== null && (found.descriptor.get !== undefined || found.descriptor.writable === false)) return false;
      if (Object.isFrozen(real)) return false;
      write(key, value);
      return true;
    },
    has(_, key): boolean {
      if (record.overlay.has(key)) return record.overlay.get(key) !== DELETED;
      const present = key in real;
      source.check({ kind: "has", key, present });
      return present;
    },
    deleteProperty(_, key): boolean {
      if (Object.isFrozen(real)) return false;
      write(key, DELETED);
      return true;
    },
    ownKeys(): (string | symbol)[] {
      checkKeys(record);
      if (isArray) source.check({ kind: "length", length: (real as unknown[]).length });
      return visibleKeys(record);
    },
    getOwnPropertyDescriptor(_, key): PropertyDescriptor | undefined {
      if (isArray && key === "length") {
        (shadow as unknown[]).length = lengthOf(record);
        return Reflect.getOwnPropertyDescriptor(shadow, key);
      }
      const over = record.overlay.get(key);
      if (over === DELETED) return undefined;
      const own = Reflect.getOwnPropertyDescriptor(real, key);
      if (own === undefined && !record.overlay.has(key)) {
        source.check({ kind: "has", key, present: key in real });
        return undefined;
      }
      const value: unknown = Reflect.get(proxy, key, proxy);
      return { value, writable: true, enumerable: own?.enumerable ?? true, configurable: true };
    },
    defineProperty(_, key, descriptor): boolean {
      if (!("value" in descriptor) || Object.isFrozen(real)) return false;
      write(key, descriptor.value);
      return true;
    },
    setPrototypeOf(): boolean {
      throw new GraphBreak("the prototype of a traced object is changed", "do it outside of the compiled function");
    },
  });
  tracing.register(proxy, record);
  return proxy;
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

function readProperty(
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
    const target = usesPrivate(descriptor.get) ? tracing.privateReceiver(real, String(key)) : receiver;
    const value: unknown = Reflect.apply(descriptor.get, target, []);
    return target === receiver ? value : tracing.wrap(value, source.child({ kind: "property", key }));
  }
  if (owner === real) return tracing.wrap(descriptor.value, source.child({ kind: "property", key }));
  // Inherited: the prototype is checked, so only a property of the object's own could shadow it.
  const value: unknown = descriptor.value;
  if (typeof value !== "function") return tracing.wrap(value, source.child({ kind: "property", key }));
  if (key === "constructor") return value;
  if (Array.isArray(real) || owner === Object.prototype) return value;
  if (usesPrivate(value)) {
    const target = tracing.privateReceiver(real, `${String(key)}()`);
    return (...args: unknown[]): unknown => Reflect.apply(value, target, args);
  }
  const seen = tracing.wrap(value, source.child({ kind: "property", key }));
  return proxy === receiver || typeof seen === "function" ? seen : value;
}
