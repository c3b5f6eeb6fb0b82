/**
 * Bound functions, as plain ones that can be traced.
 *
 * A bound function is native: its text says nothing. V8 shows what it holds, its target, its `this` and its first arguments, none of which ever change.
 * Leaves: an arrow function of a text of its own that calls the target with them, so that whatever reads closures, guards them and rewrites calls sees
 * through it as through the program's own. Mirrors how TorchDynamo traces `functools.partial` and bound methods.
 */
import { isIntrinsic } from "./intrinsics.ts";
import { canReadScopes, readHeld } from "./scopes.ts";

type AnyFunction = (...args: never[]) => unknown;

const seen = new WeakMap<AnyFunction, AnyFunction | null>();

/** The factory's text is outside of every file, as that of code which a program makes from text: variables of it are read from V8. */
const withThis = new Function(
  "target",
  "self",
  "first",
  '"use strict"; return (...rest) => target.apply(self, [...first, ...rest]);',
) as (target: AnyFunction, self: unknown, first: readonly unknown[]) => AnyFunction;

const withoutThis = new Function(
  "target",
  "first",
  '"use strict"; return (...rest) => target(...first, ...rest);',
) as (target: AnyFunction, first: readonly unknown[]) => AnyFunction;

/**
 * A function that does what a bound function does, or null where `fn` is none, or none that can be seen through: `this` is a number or the like and the
 * target asks for it (V8 shows objects only), or the program has put properties on the function.
 *
 * @example
 * ```ts
 * import { unbound } from "./bound.ts";
 * const scale = { by: 2, apply(x: number) { return this.by * x; } };
 * const same = unbound(scale.apply.bind(scale)) as (x: number) => number;
 * console.assert(same(3) === 6 && unbound((x: number) => x) === null);
 * ```
 */
export function unbound(fn: AnyFunction): AnyFunction | null {
  const known = seen.get(fn);
  if (known !== undefined) return known;
  const made = isBound(fn) ? seeThrough(fn) : null;
  seen.set(fn, made);
  return made;
}

function isBound(fn: AnyFunction): boolean {
  return !isIntrinsic(fn) && canReadScopes() && !Object.hasOwn(fn, "prototype") &&
    Reflect.ownKeys(fn).every((key) => key === "length" || key === "name") &&
    /^function\s*\(\)\s*\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(fn));
}

function seeThrough(fn: AnyFunction): AnyFunction | null {
  // The prototype, the target, `this` if it is an object, and the list of arguments.
  const held = readHeld(fn);
  const first = held.at(-1), target = held[1];
  if (typeof target !== "function" || !Array.isArray(first)) return null;
  if (held.length === 4) return withThis(target as AnyFunction, held[2], first);
  return held.length === 3 && !asksForThis(target as AnyFunction) ? withoutThis(target as AnyFunction, first) : null;
}

/** Whether what a function does may depend on its `this`; a class is made by `new`, which an arrow function is not. */
function asksForThis(fn: AnyFunction): boolean {
  const text = Function.prototype.toString.call(fn);
  if (/^(\(|(async\s+)?[\w$]+\s*=>)/.test(text) || unbound(fn) !== null) return false;
  return /^class\b|\bthis\b|\bsuper\b|\[native code\]|\beval\b/.test(text);
}
