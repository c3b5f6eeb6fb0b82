/**
 * Proxies for Maps, Sets and their weak forms.
 *
 * Native collection methods refuse a Proxy as `this`, so the proxy offers its own. Lookups check the one key (`has`) and wrap the one value; iteration
 * checks the size and every key in order. The first write copies the content; the copy replaces the real content when the call is
 * replayed. Keys are compared as real values: a traced twin finds the entry of its tensor.
 */
import { GraphBreak } from "./graph_break.ts";
import { DELETED, lookUpDescriptor, type ProxyRecord, readProperty, type Tracing, writeProperty } from "./objects.ts";
import type { Source } from "./source.ts";

type Keyed = Map<unknown, unknown> | WeakMap<object, unknown>;
type Unkeyed = Set<unknown> | WeakSet<object>;

/** Tells whether a value is a collection that {@linkcode proxyCollection} takes. */
export function isCollection(value: object): value is Keyed | Unkeyed {
  return value instanceof Map || value instanceof Set || value instanceof WeakMap || value instanceof WeakSet;
}

function isIterableCollection(real: object): real is Map<unknown, unknown> | Set<unknown> {
  return real instanceof Map || real instanceof Set;
}

const NATIVE: readonly object[] = [Map, Set, WeakMap, WeakSet].map((c) => c.prototype as object);

/** Whether a prototype is the engine's own of a collection: subclasses may override its methods. */
export function isNativeCollection(prototype: object): boolean {
  return NATIVE.includes(prototype);
}

/** Asks a collection itself, whatever its class makes of `has`. */
export function nativeHas(real: object, key: unknown): boolean {
  if (real instanceof Map) return Map.prototype.has.call(real, key);
  if (real instanceof Set) return Set.prototype.has.call(real, key);
  const prototype = real instanceof WeakMap ? WeakMap.prototype : WeakSet.prototype;
  return prototype.has.call(real as WeakMap<object, unknown> & WeakSet<object>, key as object);
}

/** Asks a Map or WeakMap itself, whatever its class makes of `get`. */
export function nativeGet(real: object, key: unknown): unknown {
  return real instanceof Map
    ? Map.prototype.get.call(real, key)
    : WeakMap.prototype.get.call(real as WeakMap<object, unknown>, key as object);
}

/** The entries of a Map, or the items of a Set twice, in order, whatever its class makes of iteration. */
export function nativeEntries(real: Map<unknown, unknown> | Set<unknown>): Iterable<[unknown, unknown]> {
  return real instanceof Map ? Map.prototype.entries.call(real) : Set.prototype.entries.call(real);
}

/** How many entries a Map or Set has, whatever its class makes of `size`. */
export function nativeSize(real: Map<unknown, unknown> | Set<unknown>): number {
  const prototype: object = real instanceof Map ? Map.prototype : Set.prototype;
  return Reflect.get(prototype, "size", real) as number;
}

const SET_METHODS = [
  "union",
  "intersection",
  "difference",
  "symmetricDifference",
  "isSubsetOf",
  "isSupersetOf",
  "isDisjointFrom",
] as const;

class CollectionView {
  readonly #record: ProxyRecord;
  readonly #tracing: Tracing;
  /** Made when all of it is asked for. Iterators that run on it see later writes. */
  #content: Map<unknown, unknown> | Set<unknown> | null = null;

  constructor(record: ProxyRecord, tracing: Tracing) {
    this.#record = record;
    this.#tracing = tracing;
  }

  get #real(): Map<unknown, unknown> | Set<unknown> {
    return this.#record.real as Map<unknown, unknown> | Set<unknown>;
  }

  /** Looks up a real key. An object that comes from elsewhere must be the same one at each call. */
  #hasReal(key: unknown, seen: unknown): boolean {
    if (typeof key === "object" && key !== null) this.#tracing.pinIdentity(seen, key);
    const present = nativeHas(this.#record.real, key);
    this.#record.source.check({ kind: "member", key, present });
    return present;
  }

  /** The content as the trace sees it, every key checked. */
  content(): Map<unknown, unknown> | Set<unknown> {
    const { source, collection } = this.#record;
    if (collection !== null) return collection;
    if (this.#content !== null) return this.#content;
    const real = this.#real;
    source.check({ kind: "size", size: nativeSize(real) });
    let index = 0;
    const keys: unknown[] = [];
    for (const [key] of nativeEntries(real)) {
      keys.push(this.#tracing.wrap(key, source.child({ kind: "item", index: index++ })));
    }
    if (real instanceof Set) return this.#content = new Set(keys);
    const out = new Map<unknown, unknown>();
    let i = 0;
    for (const [key, value] of nativeEntries(real)) {
      out.set(keys[i++], this.#tracing.wrap(value, source.child({ kind: "mapValue", key })));
    }
    return this.#content = out;
  }

  /** The content, now a copy of the trace's own. */
  #writable(): Map<unknown, unknown> | Set<unknown> {
    const content = this.#record.collection ?? this.content();
    this.#record.collection = content;
    this.#tracing.noteWrite(this.#record);
    return content;
  }

  #find(content: Map<unknown, unknown> | Set<unknown>, key: unknown): unknown {
    if (content.has(key)) return key;
    const real = this.#tracing.unwrap(key);
    for (const k of content.keys()) if (Object.is(this.#tracing.unwrap(k), real)) return k;
    return key;
  }

  has(key: unknown): boolean {
    const { collection } = this.#record;
    if (collection !== null) return collection.has(this.#find(collection, key));
    return this.#hasReal(this.#tracing.unwrap(key), key);
  }

  get(key: unknown): unknown {
    const { collection, real, source } = this.#record;
    if (collection instanceof Map) return collection.get(this.#find(collection, key));
    const plain = this.#tracing.unwrap(key);
    if (!this.#hasReal(plain, key)) return undefined;
    return this.#tracing.wrap(
      nativeGet(real, plain),
      source.child({ kind: "mapValue", key: plain }),
    );
  }

  write(key: unknown, value: unknown): void {
    const content = this.#writable();
    const at = this.#find(content, key);
    if (content instanceof Map) content.set(at, value);
    else content.add(at);
  }

  delete(key: unknown): boolean {
    const present = this.has(key);
    const content = this.#writable();
    content.delete(this.#find(content, key));
    return present;
  }

  clear(): void {
    this.#writable().clear();
  }

  get size(): number {
    const { collection, source } = this.#record;
    if (collection !== null) return collection.size;
    const size = nativeSize(this.#real);
    source.check({ kind: "size", size });
    return size;
  }
}

const nativeMembers = new WeakMap<object, (key: string | symbol) => unknown>();

/** What a proxy of a collection has in the place of a member of the engine's prototypes; undefined for others. */
export function nativeMember(proxy: unknown, key: string | symbol): unknown {
  return typeof proxy === "object" && proxy !== null ? nativeMembers.get(proxy)?.(key) : undefined;
}

/** Makes the proxy of a collection. */
export function proxyCollection(real: object, source: Source, tracing: Tracing): object {
  const record: ProxyRecord = { real, source, overlay: new Map(), again: new Set(), collection: null, appended: null };
  const view = new CollectionView(record, tracing);
  const iterable = isIterableCollection(real);
  const keyed = real instanceof Map || real instanceof WeakMap;
  const refuseWeakWrite = (): void => {
    if (!iterable) {
      throw new GraphBreak(
        "a WeakMap or WeakSet is written while it is traced",
        "fill it before the compiled function is called, or use a Map or Set",
      );
    }
  };
  const methods: Record<string | symbol, unknown> = {
    has: (key: unknown): boolean => view.has(key),
    delete: (key: unknown): boolean => {
      refuseWeakWrite();
      return view.delete(key);
    },
  };
  const proxy: object = new Proxy(Object.create(Reflect.getPrototypeOf(real)) as object, {
    get(_, key, receiver): unknown {
      if (record.overlay.has(key)) {
        const value = record.overlay.get(key);
        if (value !== DELETED) return value;
      }
      const found = lookUpDescriptor(real, key);
      if (found === null || !isNativeCollection(found.owner)) {
        return readProperty(record, key, receiver, proxy, tracing);
      }
      const value = own(key);
      return value === undefined ? Reflect.get(found.owner, key, proxy) : value;
    },
    set: (_, key, value, receiver): boolean => writeProperty(record, key, value, receiver, proxy, tracing, null),
    has(_, key): boolean {
      if (record.overlay.has(key)) return record.overlay.get(key) !== DELETED;
      const present = key in real;
      source.check({ kind: "has", key, present });
      return present;
    },
    ownKeys(): never {
      throw new GraphBreak("the properties of a Map or Set are listed", "use a plain object for properties");
    },
    getPrototypeOf: (): object | null => Reflect.getPrototypeOf(real),
  });
  const own = (key: string | symbol): unknown => {
    if (key === "size" && iterable) return view.size;
    return Object.hasOwn(methods, key) ? methods[key] : undefined;
  };
  nativeMembers.set(proxy, own);
  if (keyed) {
    methods["get"] = (key: unknown): unknown => view.get(key);
    const set = (key: unknown, value: unknown): object => {
      refuseWeakWrite();
      view.write(key, value);
      return proxy;
    };
    const insert = (key: unknown, make: () => unknown): unknown => {
      if (!view.has(key)) set(key, make());
      return view.get(key);
    };
    methods["set"] = set;
    methods["getOrInsert"] = (key: unknown, value: unknown): unknown => insert(key, () => value);
    methods["getOrInsertComputed"] = (key: unknown, make: (key: unknown) => unknown): unknown =>
      insert(key, () => make(key));
  } else {
    methods["add"] = (key: unknown): object => {
      refuseWeakWrite();
      view.write(key, key);
      return proxy;
    };
  }
  if (iterable) {
    for (const name of keyed ? [] : SET_METHODS) {
      methods[name] = (other: ReadonlySetLike<unknown>): unknown =>
        Reflect.apply(Set.prototype[name], view.content(), [other]);
    }
    methods["clear"] = (): void => view.clear();
    methods["keys"] = (): Iterator<unknown> => view.content().keys();
    methods["values"] = (): Iterator<unknown> => view.content().values();
    methods["entries"] = (): Iterator<unknown> => view.content().entries();
    methods[Symbol.iterator] = keyed ? methods["entries"] : methods["values"];
    methods["forEach"] = (visit: (value: unknown, key: unknown, all: unknown) => void, self?: unknown): void => {
      for (const [key, value] of view.content().entries()) Reflect.apply(visit, self, [value, key, proxy]);
    };
  }
  tracing.register(proxy, record);
  return proxy;
}
