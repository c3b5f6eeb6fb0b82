/**
 * What rewritten text calls: comparison, kinds, caught errors, private members and `super`, as a trace must see them.
 *
 * Twins and proxies stand for real values, and sizes for numbers; these helpers give the answers that the real values would give, and leave the checks that
 * keep those answers true.
 */
import { eq, exprOf, isSymInt } from "../symbolic/mod.ts";
import { Tensor } from "../tensor/mod.ts";
import type { PrivateAccess } from "./accessors.ts";
import { isNativeCollection, nativeMember } from "./collections.ts";
import { appender } from "./appends.ts";
import { addToMember, writtenValue } from "./counters.ts";
import { CONDITION_REASON, CONDITION_REMEDY, GraphBreak } from "./graph_break.ts";
import { keysOf, lookUpDescriptor } from "./objects.ts";
import { privateMember } from "./private_accessors.ts";
import { clonable, numbersFor, plainSize } from "./sized_natives.ts";
import type { Source } from "./source.ts";
import type { Tracer } from "./tracer.ts";

/** Where a rebuilt function belongs. */
export interface Place {
  /** What `super` of a method starts from. */
  readonly home: object | null;
  /** The prototype or class that holds the method: private names are told apart by it. */
  readonly privateHome: object | null;
  readonly access: (name: string) => PrivateAccess;
  /** Adds to an outer variable that is a counter. */
  readonly count: (name: string, amount: number) => boolean;
}

/** The helpers of one rebuilt function; keys are those that `rewrite.ts` writes. */
export interface Helpers {
  readonly home: object | null;
  same(a: unknown, b: unknown): boolean;
  type(value: unknown): string;
  truth(value: unknown): unknown;
  number(value: unknown): unknown;
  numbers(value: unknown): unknown;
  deep(value: unknown): unknown;
  statics(owner: object): object;
  sized(fn: unknown): unknown;
  described(value: unknown): unknown;
  listed(value: unknown): unknown;
  walked(value: unknown): unknown;
  members(value: unknown): unknown;
  ordered(value: unknown): unknown;
  elements(value: unknown): unknown;
  pairs(value: unknown): unknown;
  keyed(value: unknown): unknown;
  told(value: unknown, name: string): unknown;
  counts(name: string, amount: unknown, sign: 1 | -1): boolean;
  countsAt(object: unknown, key: string, amount: unknown, sign: 1 | -1): boolean;
  viewed(value: unknown, name: string): unknown;
  extended(value: unknown, name: string): unknown;
  appended(value: unknown): unknown;
  caught(error: unknown): void;
  priv(object: object): object;
  hasPrivate(name: string, object: object): boolean;
}

/** Makes the helpers of one rebuilt function. */
export function helpersFor(tracer: Tracer, place: Place): Helpers {
  return {
    home: place.home,
    same(a, b) {
      if (isSymInt(a) || isSymInt(b)) {
        const areSizes = (isSymInt(a) || typeof a === "number") && (isSymInt(b) || typeof b === "number");
        if (!areSizes) return false;
        if ((typeof a === "number" && !Number.isInteger(a)) || (typeof b === "number" && !Number.isInteger(b))) {
          return false;
        }
        return tracer.env.evaluateBool(eq(exprOf(a), exprOf(b)), "a comparison of sizes");
      }
      if (typeof a === "object" && typeof b === "object") tracer.comparedObjects = true;
      return tracer.unwrap(a) === tracer.unwrap(b);
    },
    type: (value) => isSymInt(value) ? "number" : typeof value,
    truth(value) {
      // An object is true; the number 0 is not.
      if (isSymInt(value)) {
        return tracer.env.evaluateBool(eq(exprOf(value), exprOf(0)), "a size as condition") ? 0 : value;
      }
      if (value instanceof Tensor && isCondition(tracer, value)) {
        tracer.breakGraph(CONDITION_REASON, CONDITION_REMEDY);
      }
      return value;
    },
    appended(value) {
      const record = typeof value === "object" && value !== null ? tracer.recordOf(value) : null;
      return record === null ? value : appender(record, tracer) ?? value;
    },
    number: plainSize,
    statics: (owner) => new Proxy(owner, { get: (target, key): unknown => numbersFor(Reflect.get(target, key)) }),
    sized: numbersFor,
    numbers: plainList,
    members: (value) => value instanceof Set ? setOfNumbers(value) : value,
    ordered(value) {
      // In place, as the sort to come: a size and its number are the same to the program.
      if (Array.isArray(value)) value.forEach((v: unknown, i) => isSymInt(v) ? value[i] = Number(v) : v);
      return value;
    },
    elements: (value) => isIterable(value) ? Array.from(value, plainSize) : value,
    pairs: (value) =>
      isIterable(value)
        ? Array.from(value, (pair) => Array.isArray(pair) && isSymInt(pair[0]) ? [Number(pair[0]), pair[1]] : pair)
        : value,
    keyed: (value) =>
      typeof value === "function"
        ? (...args: unknown[]): unknown => plainList(Reflect.apply(value, undefined, args))
        : value,
    deep: (value) => clonable(value),
    walked(value) {
      // A loop over keys goes on to those of the prototypes, where no trap sees it.
      const real = typeof value === "object" && value !== null ? tracer.recordOf(value)?.real : undefined;
      for (
        let at = real === undefined ? null : Reflect.getPrototypeOf(real);
        at !== null && at !== Object.prototype && at !== Array.prototype;
        at = Reflect.getPrototypeOf(at)
      ) {
        const source = tracer.sources.root({ kind: "constant", value: at, name: "a prototype" });
        source.check(keysOf(at));
      }
      return value;
    },
    listed(value) {
      const record = typeof value === "object" && value !== null ? tracer.recordOf(value) : null;
      record?.source.check({ kind: "allKeys", keys: Reflect.ownKeys(record.real) });
      return value;
    },
    described(value) {
      if (typeof value === "object" && value !== null && tracer.recordOf(value) !== null) {
        tracer.breakGraph(
          "the function asks how a property of an object from outside is defined",
          "ask outside of the compiled function",
        );
      }
      return value;
    },
    viewed(value, name) {
      const lifted = value instanceof Tensor ? tracer.liftedOf(value) : null;
      if (lifted === null) return value;
      const found: unknown = Reflect.get(lifted.real, name);
      const seen = lifted.source === null
        ? found
        : tracer.wrap(found, lifted.source.child({ kind: "property", key: name }));
      return Object.defineProperty({}, name, { get: () => seen, set: () => this.extended(value, name) });
    },
    extended(value, name) {
      if (value instanceof Tensor) {
        tracer.breakGraph(
          `the function puts the property ${name} on a tensor`,
          "keep it in an object or a WeakMap beside the tensor",
        );
      }
      return value;
    },
    counts: (name, amount, sign) => typeof amount === "number" && place.count(name, sign * amount),
    countsAt: (object, key, amount, sign) =>
      typeof amount === "number" && typeof object === "object" && object !== null &&
      countMember(tracer, place, object, key, sign * amount),
    told(value, name) {
      if (!(value instanceof Tensor)) return value;
      if (name !== "version" && name !== "storageOffset") {
        // A leaf that a guard knows by identity stays one.
        const lifted = tracer.liftedOf(value);
        if (lifted === null || !lifted.real.requiresGrad) return value;
        if (lifted.kind === "attribute" && lifted.real.isLeaf) return value;
      }
      return tracer.breakGraph(
        "the function asks for the version of a tensor, where it begins in its memory, or what came before it (gradFn)",
        "ask outside of the compiled function; a graph serves all of them",
      );
    },
    caught(error) {
      if (tracer.graphBreak !== null) throw tracer.graphBreak;
      if (!isOfProxies(error)) return;
      tracer.breakGraph(
        `the function catches an error that the trace itself may have caused (${String(error)})`,
        "do this outside of the compiled function",
      );
    },
    priv: (object) => object === null || object === undefined ? object : privateView(tracer, place, object),
    hasPrivate: (name, object) => {
      const real = tracer.unwrap(object);
      return typeof real === "object" && real !== null && place.access(name).has(real);
    },
  };
}

/**
 * Whether a tensor can only be meant by its data where it decides a condition: it holds a boolean, or it is one computed number. Other tensors may be asked
 * whether they are there at all, as in `bias ? y.add(bias) : y`.
 */
function isCondition(tracer: Tracer, t: Tensor): boolean {
  if (t.dtype.kind === "bool") return true;
  return tracer.liftedOf(t) === null && t.shape.every((size) => size === 1);
}

/** As {@linkcode plainSize}, inside of arrays too: a fresh array where there is a size. */
function plainList(value: unknown): unknown {
  if (!Array.isArray(value)) return plainSize(value);
  const plain = value.map(plainList);
  return plain.every((v, i) => v === value[i]) ? value : plain;
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

/** A set whose `add` takes sizes for their numbers. */
function setOfNumbers(set: Set<unknown>): { readonly add: (value: unknown) => Set<unknown> } {
  return { add: (value) => set.add(plainSize(value)) };
}

/** Errors that JavaScript throws where a Proxy stands for an object with slots of the engine. */
function isOfProxies(error: unknown): boolean {
  if (error instanceof GraphBreak || error instanceof DOMException) return true;
  return error instanceof TypeError &&
    /incompatible|illegal invocation|private (member|field|method)|proxy|clone|receiver|brand/i.test(error.message);
}

const symbols = new WeakMap<object, Map<string, symbol>>();

/** The key under which a private member stands in what a trace wrote. */
function symbolOf(home: object | null, name: string): symbol {
  const at = home ?? symbols;
  let names = symbols.get(at);
  if (names === undefined) symbols.set(at, names = new Map());
  let symbol = names.get(name);
  if (symbol === undefined) names.set(name, symbol = Symbol(`#${name}`));
  return symbol;
}

/** Adds to a property, or to a private field (with `#`), of an object from outside; false if it is no counter. */
function countMember(tracer: Tracer, place: Place, object: object, key: string, amount: number): boolean {
  const record = tracer.recordOf(object);
  if (record === null || Array.isArray(record.real) || tracer.isLibraryInstance(record.real)) return false;
  let counted: boolean;
  if (key.startsWith("#")) {
    const name = key.slice(1);
    const { get, set } = privateMember(place.privateHome ?? record.real, name) ?? { get: "field", set: "field" };
    const access = place.access(name);
    if (get !== "field" || set !== "field" || !access.has(record.real)) return false;
    const source = record.source.child({ kind: "private", name: key, read: access.get });
    const symbol = symbolOf(place.privateHome, name);
    tracer.privateWriters.set(symbol, access.set);
    counted = addToMember(record, symbol, access.get(record.real), source, amount);
  } else {
    const own = Reflect.getOwnPropertyDescriptor(record.real, key);
    if (own === undefined || own.writable !== true) return false;
    counted = addToMember(record, key, own.value, record.source.child({ kind: "property", key }), amount);
  }
  if (counted) tracer.noteWrite(record);
  return counted;
}

/** Private getters and setters run on the real object: only one that reads what the trace has not written may. */
function refuseAccessor(tracer: Tracer, { privateHome }: Place, name: string, use: "get" | "set"): void {
  const kind = privateHome === null ? undefined : privateMember(privateHome, name)?.[use];
  if (kind !== "code" && (kind !== "reader" || tracer.written.size === 0)) return;
  tracer.breakGraph(
    `#${name} is a private ${use}ter, whose code cannot be traced`,
    `make it a method (#${name}(…)), or a public ${use}ter`,
  );
}

/** An object whose properties are the private members of another. */
function privateView(tracer: Tracer, place: Place, object: object): object {
  const record = tracer.recordOf(object);
  return new Proxy({}, {
    get(_, key): unknown {
      const name = String(key);
      const access = place.access(name);
      if (record === null) return access.get(tracer.unwrap(object) as object);
      const symbol = symbolOf(place.privateHome, name);
      if (record.overlay.has(symbol)) return writtenValue(record, symbol);
      refuseAccessor(tracer, place, name, "get");
      const value = access.get(record.real);
      if (typeof value === "function" && place.privateHome !== null) tracer.method(value, place.privateHome);
      return tracer.wrap(value, record.source.child({ kind: "private", name: `#${name}`, read: access.get }));
    },
    set(_, key, value): boolean {
      const name = String(key);
      const access = place.access(name);
      if (record === null) {
        access.set(tracer.unwrap(object) as object, value);
        return true;
      }
      refuseAccessor(tracer, place, name, "set");
      // Objects without the member refuse, as in JavaScript.
      access.get(record.real);
      const symbol = symbolOf(place.privateHome, name);
      tracer.privateWriters.set(symbol, access.set);
      record.overlay.delete(symbol);
      record.overlay.set(symbol, value);
      tracer.noteWrite(record);
      return true;
    },
  });
}

/** What `super` shows of the parent of `home`: methods as the trace runs them, getters on the object that asks. */
export function superView(tracer: Tracer, home: object): object | null {
  const parent = Reflect.getPrototypeOf(home);
  if (parent === null) return null;
  return new Proxy(parent, {
    get(_, key, receiver): unknown {
      const found = lookUpDescriptor(parent, key);
      const constant = (value: object, or: string): Source =>
        tracer.sources.root({ kind: "constant", value, name: `${value.constructor?.name ?? or}.prototype` });
      constant(home, "home").check({ kind: "prototype", prototype: parent });
      const root = constant(parent, "super");
      if (found === null) {
        root.check({ kind: "has", key, present: false });
        return undefined;
      }
      const { descriptor, owner } = found;
      const member = isNativeCollection(owner) ? nativeMember(receiver, key) : undefined;
      if (member !== undefined) return member;
      if (descriptor.get !== undefined) {
        root.check({ kind: "getter", key, getter: descriptor.get });
        return Reflect.apply(tracer.method(descriptor.get, owner), receiver, []);
      }
      const value: unknown = descriptor.value;
      if (typeof value !== "function" || key === "constructor") {
        return tracer.wrap(value, root.child({ kind: "property", key }));
      }
      root.child({ kind: "property", key }).check({ kind: "identical", value });
      return tracer.method(value, owner);
    },
  });
}
