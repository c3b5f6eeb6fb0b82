/**
 * Where a function that is rebuilt from its text would differ from the one that the program wrote: sloppy code, constants that are assigned, and methods by which the
 * engine converts an object.
 */
import { accessorOf } from "./accessors.ts";
import { CONVERTERS } from "./size_names.ts";
import { plainSize } from "./sized_natives.ts";

// deno-lint-ignore ban-types
type AnyFunction = Function;

/** Assigning a constant is an error of the program: writing what it holds tells, and changes nothing. @throws {TypeError} if it is one. */
export function refuseConstant(fn: AnyFunction, name: string): void {
  const accessor = accessorOf(fn);
  if (accessor?.knows(name) === true) accessor.set(name, accessor.get(name));
}

/** The engine takes no size from the methods by which it converts an object. */
export function numericWhereConverting(fn: AnyFunction, made: AnyFunction): AnyFunction {
  if (!CONVERTERS.has(fn.name) && fn.name !== "[Symbol.toPrimitive]") return made;
  return function (this: unknown, ...args: unknown[]): unknown {
    return plainSize(Reflect.apply(made, this, args));
  };
}

/** Whether a function is of sloppy code: those of strict code refuse to name their caller. */
export function isSloppy(fn: AnyFunction): boolean {
  try {
    return Reflect.get(fn, "caller") !== undefined;
  } catch {
    return false;
  }
}
