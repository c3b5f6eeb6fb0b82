/**
 * Functions of the engine that ask what kind of value they were given: a size of a trace must be its number to them.
 *
 * What converts its arguments (`Math.max`, `parseInt`, methods of strings) needs nothing, because a size converts to its number. The few that look at the kind
 * of a value without converting it are given stand-ins, wherever the program takes them from: `shape.every(Number.isInteger)`, `const { is } = Object`.
 */
import { isSymInt } from "../symbolic/mod.ts";

const ASKING: ReadonlySet<unknown> = new Set<unknown>([
  Number.isInteger,
  Number.isSafeInteger,
  Number.isFinite,
  Number.isNaN,
  Object.is,
  Boolean,
  structuredClone,
]);

const made = new WeakMap<object, object>();

/** The stand-in of such a function; any other value as it is. */
export function numbersFor(value: unknown): unknown {
  if (typeof value !== "function" || !ASKING.has(value)) return value;
  let standIn = made.get(value);
  if (standIn === undefined) {
    const convert = value === structuredClone ? (arg: unknown): unknown => clonable(arg) : plainSize;
    standIn = new Proxy(value, {
      apply: (fn, self, args: unknown[]): unknown => Reflect.apply(fn, self, args.map((arg) => convert(arg))),
    });
    made.set(value, standIn);
  }
  return standIn;
}

/** The number of a size; anything else as it is. */
export function plainSize(value: unknown): unknown {
  return isSymInt(value) ? Number(value) : value;
}

/** What `structuredClone` is to copy: behind the proxies of a trace, and with numbers in the place of sizes. Shared and cyclic parts stay so. */
export function clonable(value: unknown, made: Map<unknown, unknown> = new Map()): unknown {
  if (isSymInt(value)) return Number(value);
  if (typeof value !== "object" || value === null) return value;
  const known = made.get(value);
  if (known !== undefined) return known;
  const keep = <T>(fresh: T): T => {
    made.set(value, fresh);
    return fresh;
  };
  if (value instanceof Map) {
    const fresh = keep(new Map<unknown, unknown>());
    for (const [k, v] of value) fresh.set(clonable(k, made), clonable(v, made));
    return fresh;
  }
  if (value instanceof Set) {
    const fresh = keep(new Set<unknown>());
    for (const v of value) fresh.add(clonable(v, made));
    return fresh;
  }
  const isList = Array.isArray(value);
  if (!isList && Reflect.getPrototypeOf(value) !== Object.prototype) return value;
  const fresh: object = keep(isList ? new Array(value.length) : {});
  for (const key of Object.keys(value)) Reflect.set(fresh, key, clonable(Reflect.get(value, key), made));
  return fresh;
}
