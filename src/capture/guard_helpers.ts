/**
 * What the generated text of guards calls: questions about values that are not one expression of JavaScript.
 *
 * They take values of any call, so they must not fail on values of other kinds than those of the trace, and run nothing of the program's.
 */
import { hasGradHooks } from "../autograd/mod.ts";
import { getDefaultDtype, numericsKey } from "../core/mod.ts";
import { autocastKey, isGradEnabled, Tensor } from "../tensor/mod.ts";
import { accessorOf } from "./accessors.ts";
import { nativeEntries, nativeGet, nativeHas, nativeSize } from "./collections.ts";
import { lookUpDescriptor, whatWrites } from "./objects.ts";
import { lookUp, readScopes } from "./scopes.ts";
import { isProxy } from "./values.ts";

/** Reads variables of a closure by name. */
interface Closure {
  get(name: string): unknown;
}

/** What generated code may call. */
interface Helpers {
  readonly T: typeof Tensor;
  readonly isTensor: (value: unknown) => boolean;
  readonly sizes: (given: ArrayLike<unknown>, expected: readonly number[]) => boolean;
  readonly proto: (value: unknown) => object | null;
  readonly is: (a: unknown, b: unknown) => boolean;
  readonly keys: (value: object, expected: readonly string[], symbols: number) => boolean;
  readonly allKeys: (value: object, expected: readonly (string | symbol)[]) => boolean;
  readonly own: (value: object, key: string | symbol) => boolean;
  readonly isProxy: (value: object) => boolean;
  readonly has: (value: object, key: string | symbol) => boolean;
  readonly nth: (value: Map<unknown, unknown> | Set<unknown>, index: number) => unknown;
  readonly get: (value: object, key: unknown) => unknown;
  readonly member: (value: object, key: unknown) => boolean;
  readonly size: (value: Map<unknown, unknown> | Set<unknown>) => number;
  // deno-lint-ignore ban-types
  readonly scopes: (fn: Function) => Closure;
  readonly hidden: (read: (object: object) => unknown, object: unknown) => unknown;
  readonly distinct: (values: readonly unknown[]) => boolean;
  readonly getter: (value: object, key: string | symbol) => unknown;
  readonly setter: (value: object, key: string | symbol) => unknown;
  readonly hooked: (t: Tensor) => boolean;
  readonly gradEnabled: () => boolean;
  readonly defaultDtype: () => unknown;
  readonly autocast: () => string;
  readonly numerics: () => string;
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

/** What generated guards call as `h`. */
export const guardHelpers: Helpers = {
  T: Tensor,
  isTensor: (value) => value instanceof Tensor,
  sizes: (given, expected) => {
    if (given.length !== expected.length) return false;
    for (let i = 0; i < expected.length; i++) if (given[i] !== expected[i]) return false;
    return true;
  },
  proto: (value) =>
    (typeof value === "object" && value !== null) || typeof value === "function"
      ? Object.getPrototypeOf(value)
      : guardHelpers.T,
  is: Object.is,
  keys: (value, expected, symbols) =>
    sameList(Object.keys(value), expected) && Object.getOwnPropertySymbols(value).length === symbols,
  allKeys: (value, expected) => sameList(Reflect.ownKeys(value), expected),
  own: Object.hasOwn,
  isProxy,
  has: (value, key) => key in value,
  nth: (value, index) => {
    const iterator = nativeEntries(value)[Symbol.iterator]();
    for (let i = 0; i < index; i++) iterator.next();
    return (iterator.next().value as readonly unknown[] | undefined)?.[0];
  },
  get: nativeGet,
  member: nativeHas,
  size: nativeSize,
  scopes: (fn) => {
    const accessor = accessorOf(fn);
    if (accessor !== null) return accessor;
    const scopes = readScopes(fn);
    return { get: (name) => lookUp(scopes, name)?.value };
  },
  hidden: (read, object) =>
    (typeof object === "object" || typeof object === "function") && object !== null ? read(object) : undefined,
  distinct: (values) => new Set(values).size === values.length,
  getter: (value, key) => lookUpDescriptor(value, key)?.descriptor.get,
  setter: (value, key) => whatWrites(value, key),
  hooked: hasGradHooks,
  gradEnabled: isGradEnabled,
  defaultDtype: getDefaultDtype,
  autocast: autocastKey,
  numerics: numericsKey,
};
