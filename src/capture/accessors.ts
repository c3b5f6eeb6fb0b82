/**
 * Live access to what a closure holds: its variables, the `this` of an arrow, and the `#private` members that its class can see.
 *
 * V8 evaluates the condition of a breakpoint inside the scope where it stands. A breakpoint on a function whose condition makes small functions and
 * says no therefore hands out readers and writers of the very variables, without stopping the program. The function must run for that, so accessors come from an
 * eager run ({@linkcode withAccessors}). All closures of one text share a breakpoint: an accessor counts only after a value written through it
 * has been seen by {@linkcode readScopes} on the function itself.
 */
import { post } from "./scopes.ts";
import { lookUp, readScopes, subjectOf } from "./scopes.ts";

// deno-lint-ignore ban-types
type AnyFunction = Function;

/** What is wanted of one function. */
export interface Subject {
  readonly fn: AnyFunction;
  /** Variables of its closure. */
  readonly names: readonly string[];
  /** Private names that it uses, without `#`. */
  readonly privates: readonly string[];
  /** The prototype or class that holds it: its methods see the same private names. */
  readonly home: object | null;
  /** It is an arrow that uses the `this` around it. */
  readonly wantsThis: boolean;
}

/** Reads and writes one private member of objects of a class. */
export interface PrivateAccess {
  readonly get: (object: object) => unknown;
  readonly set: (object: object, value: unknown) => void;
  readonly has: (object: object) => boolean;
}

interface Hit {
  readonly read: Readonly<Record<string, () => unknown>>;
  readonly write: Readonly<Record<string, (value: unknown) => void>>;
  readonly privates: Readonly<Record<string, PrivateAccess>>;
  readonly self: unknown;
}

/** Live access to one closure. */
export class Accessor {
  readonly #hit: Hit;
  /** Private members by name. */
  readonly privates: Readonly<Record<string, PrivateAccess>>;
  /** The `this` of an arrow. */
  readonly self: unknown;
  readonly hasThis: boolean;

  constructor(hit: Hit, hasThis: boolean) {
    this.#hit = hit;
    this.privates = hit.privates;
    this.self = hit.self;
    this.hasThis = hasThis;
  }

  /** Whether it reads this variable. */
  knows(name: string): boolean {
    return Object.hasOwn(this.#hit.read, name);
  }

  /** The value of a variable now. */
  get(name: string): unknown {
    return this.#hit.read[name]?.();
  }

  /** Assigns a variable. @throws {TypeError} if it is a constant. */
  set(name: string, value: unknown): void {
    this.#hit.write[name]?.(value);
  }
}

const accessors = new WeakMap<AnyFunction, Accessor>();

/** The accessor of a function, if an eager run has given one. */
export function accessorOf(fn: AnyFunction): Accessor | null {
  return accessors.get(fn) ?? null;
}

/** Whether what a subject asks for is there. */
export function isServed(subject: Subject): boolean {
  const accessor = accessorOf(subject.fn);
  const isOpen = subject.names.length === 0 && !subject.wantsThis;
  return (isOpen || accessor !== null) && (!subject.wantsThis || accessor?.hasThis === true) &&
    subject.names.every((n) => accessor?.knows(n)) &&
    subject.privates.every((p) => privateAccess(subject, p) !== null);
}

const privatesOf = new WeakMap<object, Map<string, PrivateAccess>>();

/** Access to a private name that a function uses, given by a run of it or of another method of its class. */
export function privateAccess({ fn, home }: Subject, name: string): PrivateAccess | null {
  return accessorOf(fn)?.privates[name] ?? (home === null ? null : privatesOf.get(home)?.get(name) ?? null);
}

const RECEIVER = Symbol.for("tessera.capture.accessor");

function condition(index: number, { names, privates, wantsThis }: Subject): string {
  const read = names.map((n) => `${n}: () => ${n}`).join(", ");
  const write = names.map((n) => `${n}: (v) => { ${n} = v; }`).join(", ");
  const access = privates.map((p) =>
    `${p}: { get: (o) => o.#${p}, set: (o, v) => { o.#${p} = v; }, has: (o) => #${p} in o }`
  ).join(", ");
  return `globalThis[Symbol.for("tessera.capture.accessor")](${index}, { read: { ${read} }, write: { ${write} }, ` +
    `privates: { ${access} }, self: ${wantsThis ? "this" : "undefined"} }), false`;
}

/** Whether two readers show the same variable: a value written through one is seen by the other. Constants are compared as they are. */
function showsSame(set: (v: unknown) => void, get: () => unknown, other: () => unknown): boolean {
  const before = get();
  if (!Object.is(before, other())) return false;
  const mark = Symbol("mark");
  try {
    set(mark);
  } catch (error) {
    if (error instanceof TypeError) return true;
    throw error;
  }
  const seen = other();
  set(before);
  return seen === mark;
}

/** Whether two functions see one and the same variable under this name; null if that cannot be known yet. */
export function isSameVariable(a: AnyFunction, b: AnyFunction, name: string): boolean | null {
  if (a === b) return true;
  const [x, y] = [accessorOf(a), accessorOf(b)];
  if (x === null || y === null || !x.knows(name) || !y.knows(name)) return null;
  return showsSame((v) => x.set(name, v), () => x.get(name), () => y.get(name));
}

function belongsTo(hit: Hit, { fn, names }: Subject): boolean {
  return names.every((name) =>
    Object.hasOwn(hit.read, name) &&
    showsSame(
      (v) => hit.write[name]?.(v),
      () => hit.read[name]?.(),
      () => lookUp(readScopes(fn), name)?.value,
    )
  );
}

/** Runs `run`, which is expected to call the functions of `subjects`, and keeps the accessors that this gives. */
export function withAccessors<T>(subjects: readonly Subject[], run: () => T): T {
  // Closures of one text are one function to V8: they share a breakpoint, and what it sees is sorted out afterwards.
  const texts = [...new Set(subjects.map((s) => Function.prototype.toString.call(s.fn)))];
  const hits = texts.map((): Hit[] => []);
  const globals = globalThis as unknown as Record<symbol, unknown>;
  globals[RECEIVER] = (index: number, hit: Hit): void => void hits[index]?.push(hit);
  post("Debugger.enable", {});
  try {
    texts.forEach((text, i) => {
      for (const subject of subjects) {
        if (Function.prototype.toString.call(subject.fn) !== text) continue;
        const objectId = subjectOf(subject.fn);
        post("Debugger.setBreakpointOnFunctionCall", { objectId, condition: condition(i, subject) });
      }
    });
    return run();
  } finally {
    post("Debugger.disable", {});
    post("Runtime.releaseObjectGroup", { objectGroup: "tessera" });
    delete globals[RECEIVER];
    for (const subject of subjects) {
      const all = hits[texts.indexOf(Function.prototype.toString.call(subject.fn))] ?? [];
      const own = all.filter((hit) => belongsTo(hit, subject));
      const first = own[0];
      if (first === undefined) continue;
      if (subject.home !== null) {
        const known = privatesOf.get(subject.home) ?? new Map<string, PrivateAccess>();
        for (const [name, access] of Object.entries(first.privates)) known.set(name, access);
        privatesOf.set(subject.home, known);
      }
      const isOneThis = own.every((hit) => hit.self === first.self);
      accessors.set(subject.fn, new Accessor(first, subject.wantsThis && isOneThis));
    }
  }
}
