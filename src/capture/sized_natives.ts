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
    const convert = value === structuredClone ? (arg: unknown): unknown => plainSizes(arg) : plainSize;
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

/** Fresh arrays and plain objects with numbers in the place of sizes; what holds no size stays itself. */
export function plainSizes(value: unknown, open: Set<unknown> = new Set()): unknown {
  if (isSymInt(value)) return Number(value);
  if (typeof value !== "object" || value === null || open.has(value)) return value;
  if (!Array.isArray(value) && Reflect.getPrototypeOf(value) !== Object.prototype) return value;
  open.add(value);
  const entries = Object.entries(value).map(([k, v]): [string, unknown] => [k, plainSizes(v, open)]);
  open.delete(value);
  if (entries.every(([k, v]) => v === Reflect.get(value, k))) return value;
  return Array.isArray(value) ? entries.map(([, v]) => v) : Object.fromEntries(entries);
}
