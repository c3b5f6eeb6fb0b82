/**
 * Proxies for Maps, Sets and their weak forms.
 *
 * Native collection methods refuse a Proxy as `this`, so the proxy offers its own. Lookups check the one key (`has`) and wrap the one value; iteration
 * checks the size and every key in order. The first write copies the content; the copy replaces the real content when the call is
 * replayed. Keys are compared as real values: a traced twin finds the entry of its tensor.
 */
import { GraphBreak } from "./graph_break.ts";
import type { ProxyRecord, Tracing } from "./objects.ts";
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

class CollectionView {
  readonly #record: ProxyRecord;
  readonly #tracing: Tracing;
  /** Entries written to a weak collection. */
  readonly #weak = new Map<unknown, unknown>();

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
    const present = (this.#record.real as Map<unknown, unknown>).has(key);
    this.#record.source.check({ kind: "member", key, present });
    return present;
  }

  /** The content as the trace sees it, every key checked. */
  content(): Map<unknown, unknown> | Set<unknown> {
    const { source, collection } = this.#record;
    if (collection !== null) return collection;
    const real = this.#real;
    source.check({ kind: "size", size: real.size });
    let index = 0;
    const keys: unknown[] = [];
    for (const key of real.keys()) keys.push(this.#tracing.wrap(key, source.child({ kind: "item", index: index++ })));
    if (real instanceof Set) return new Set(keys);
    const out = new Map<unknown, unknown>();
    let i = 0;
    for (const [key, value] of real) {
      out.set(keys[i++], this.#tracing.wrap(value, source.child({ kind: "mapValue", key })));
    }
    return out;
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
      (real as Map<unknown, unknown>).get(plain),
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
    source.check({ kind: "size", size: this.#real.size });
    return this.#real.size;
  }
}

/** Makes the proxy of a collection. */
export function proxyCollection(real: object, source: Source, tracing: Tracing): object {
  const record: ProxyRecord = { real, source, overlay: new Map(), collection: null };
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
    get(_, key): unknown {
      if (key === "size" && iterable) return view.size;
      if (Object.hasOwn(methods, key)) return methods[key];
      return Reflect.get(Reflect.getPrototypeOf(real) ?? {}, key, proxy);
    },
    set(): boolean {
      throw new GraphBreak("a property is set on a Map or Set", "use a plain object for properties");
    },
  });
  if (keyed) {
    methods["get"] = (key: unknown): unknown => view.get(key);
    methods["set"] = (key: unknown, value: unknown): object => {
      refuseWeakWrite();
      view.write(key, value);
      return proxy;
    };
  } else {
    methods["add"] = (key: unknown): object => {
      refuseWeakWrite();
      view.write(key, key);
      return proxy;
    };
  }
  if (iterable) {
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
