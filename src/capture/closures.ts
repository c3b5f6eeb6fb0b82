/**
 * Free variables: rebuilds a function so that a trace sees what its closure holds.
 *
 * Enters: a function of the user. Leaves: the function itself where its closure holds nothing that could change, else a copy made from its text, whose
 * free names are parameters bound to what {@linkcode Tracer.wrap} shows for them. Values come from V8's scopes; a name that the surrounding text never
 * assigns needs no check, others are read again at each call. Where a closure cannot be read or rebuilt, the function runs as it is and a remark says so.
 */
import { isDType, isTensor } from "../tensor/mod.ts";
import { isLibraryFunction, isLibraryNamespace } from "./library.ts";
import { constantNamesAround, registerRebuilt } from "./program_text.ts";
import { canReadScopes, lookUp, readScopes, type ScopeSnapshot } from "./scopes.ts";
import { type FunctionSyntax, functionSyntax } from "./syntax.ts";
import type { Tracer } from "./tracer.ts";

// deno-lint-ignore ban-types
type AnyFunction = Function;

/** Names of the global object whose use a graph could not repeat. */
const EFFECTS: Readonly<Record<string, string>> = {
  console: "prints",
  Date: "reads the clock",
  performance: "reads the clock",
  crypto: "draws random bytes",
  fetch: "uses the network",
  Deno: "uses the system",
  process: "uses the system",
  setTimeout: "starts a timer",
  setInterval: "starts a timer",
  queueMicrotask: "starts a task",
  alert: "asks the user",
  prompt: "asks the user",
};

/** How names of closures are found out to be constant. */
export interface ClosurePolicy {
  /** Files that were running when the function was given to `compile`: where its text is looked for first. */
  readonly files: readonly string[];
  /** Values that the user stated, read again at each call. */
  readonly captures: (() => Readonly<Record<string, unknown>>) | null;
}

interface FreeVariable {
  readonly name: string;
  readonly value: unknown;
  readonly kind: "constant" | "binding" | "capture";
}

/** Rebuilds functions for one trace. */
export class Closures {
  readonly #tracer: Tracer;
  readonly #policy: ClosurePolicy;
  /** Functions that are being looked at, so that recursion ends. */
  readonly #open = new Set<AnyFunction>();
  readonly #plain = new WeakMap<AnyFunction, boolean>();

  constructor(tracer: Tracer, policy: ClosurePolicy) {
    this.#tracer = tracer;
    this.#policy = policy;
  }

  /** What a trace calls in the place of `fn`. `stated` are the values that `captures` gives for it. */
  prepare(fn: AnyFunction, stated: Readonly<Record<string, unknown>> | null = null): AnyFunction {
    const inner: unknown = Reflect.get(fn, ORIGINAL);
    if (typeof inner === "function") return this.prepare(inner);
    const syntax = functionSyntax(fn);
    if (syntax.kind === "native" || syntax.kind === "class" || isLibraryFunction(fn)) return fn;
    const free = this.#freeVariables(fn, syntax, stated);
    if (free === null) return fn;
    if (!this.#needsRebuild(syntax, free)) return fn;
    if (syntax.isTied || syntax.kind === "unreadable") {
      this.#tracer.remark(
        `${nameOf(fn)} uses super, private names or eval, so it runs as it is: ${
          names(free)
        } of its closure are not guarded`,
      );
      return fn;
    }
    return this.#rebuild(fn, syntax, free);
  }

  #freeVariables(
    fn: AnyFunction,
    syntax: FunctionSyntax,
    stated: Readonly<Record<string, unknown>> | null,
  ): FreeVariable[] | null {
    const wanted = syntax.free.filter((name) => stated === null || !Object.hasOwn(stated, name));
    const given = syntax.free.filter((name) => stated !== null && Object.hasOwn(stated, name))
      .map((name): FreeVariable => ({ name, value: stated?.[name], kind: "capture" }));
    if (wanted.length === 0) return given;
    if (!canReadScopes()) {
      const outer = wanted.filter((name) => !(name in globalThis));
      if (outer.length > 0) {
        this.#tracer.remark(
          `closures cannot be read here, so ${outer.join(", ")} of ${
            nameOf(fn)
          } are not guarded; state them with captures`,
        );
        return given.length > 0 ? given : null;
      }
      return given;
    }
    const scopes: ScopeSnapshot[] = readScopes(fn);
    const found = wanted.map((name) => ({ name, at: lookUp(scopes, name) })).filter((v) => v.at !== null);
    const constant = constantNamesAround(fn, this.#policy.files, new Set(found.map((v) => v.name)));
    const own = found.map(({ name, at }): FreeVariable => ({
      name,
      value: at?.value,
      kind: constant.has(name) || isImport(at?.value) ? "constant" : "binding",
    }));
    for (const { name, value } of own) if (isTensor(value)) this.#tracer.nameTensor(value, name);
    return [...given, ...own];
  }

  /** Whether a closure holds anything that checks must watch. */
  #needsRebuild(syntax: FunctionSyntax, free: readonly FreeVariable[]): boolean {
    const bound = new Set(free.map((v) => v.name));
    if ([...syntax.assigned].some((name) => bound.has(name))) return true;
    if (syntax.free.some((name) => !bound.has(name) && usesEffect(name, syntax))) return true;
    return free.some(({ value, kind }) => kind !== "constant" || !this.#isInert(value));
  }

  /** Values that cannot change, seen through a binding that cannot. */
  #isInert(value: unknown): boolean {
    if (typeof value === "function") return this.#isInertFunction(value);
    if (typeof value !== "object" || value === null) return true;
    return isTensor(value) || isDType(value) || isLibraryNamespace(value);
  }

  #isInertFunction(fn: AnyFunction): boolean {
    if (isLibraryFunction(fn) || this.#open.has(fn)) return true;
    if (Reflect.get(fn, ORIGINAL) !== undefined) return false;
    const known = this.#plain.get(fn);
    if (known !== undefined) return known;
    const syntax = functionSyntax(fn);
    if (syntax.kind === "native" || syntax.kind === "class") return true;
    this.#open.add(fn);
    const free = this.#freeVariables(fn, syntax, null);
    const inert = free === null || !this.#needsRebuild(syntax, free);
    this.#open.delete(fn);
    this.#plain.set(fn, inert);
    return inert;
  }

  #rebuild(fn: AnyFunction, syntax: FunctionSyntax, free: readonly FreeVariable[]): AnyFunction {
    const tracer = this.#tracer;
    const written = free.find((v) => syntax.assigned.has(v.name));
    if (written !== undefined) {
      return (): never =>
        tracer.breakGraph(
          `${nameOf(fn)} assigns the outer variable ${written.name}, which capture cannot replay`,
          "keep the value in a property of an object, or return it",
        );
    }
    if (syntax.usesOuterThis) {
      tracer.remark(`${nameOf(fn)} uses the this of the code around it: what it reads through this is not guarded`);
      return fn;
    }
    const bound = new Map<string, () => unknown>();
    for (const { name, value, kind } of free) {
      const source = kind === "constant"
        ? typeof value === "object" && value !== null ? tracer.sources.root({ kind: "constant", value, name }) : null
        : kind === "capture"
        ? tracer.sources.root({ kind: "capture", name })
        : tracer.sources.root({ kind: "binding", fn, name });
      // Looked at when it is used: what a call does not use needs no check.
      let seen: { readonly value: unknown } | null = null;
      bound.set(name, () =>
        (seen ??= {
          value: source === null
            ? typeof value === "function" ? tracer.function(value) : value
            : tracer.wrap(value, source),
        }).value);
    }
    for (const name of syntax.free) {
      const what = bound.has(name) ? undefined : EFFECTS[name];
      if (what !== undefined && name in globalThis) bound.set(name, () => effectGuard(name, what, tracer));
      else if (name === "Math" && !bound.has(name)) bound.set(name, () => mathWithoutChance(tracer));
    }
    const files = this.#policy.files;
    return evaluate(registerRebuilt(fn, syntax.expression, files), syntax, bound);
  }
}

/** A function compiled by Tessera shows the function that it was made from under this key. */
export const ORIGINAL: unique symbol = Symbol.for("tessera.capture.original") as never;

function usesEffect(name: string, syntax: FunctionSyntax): boolean {
  if (name === "Math") return /\bMath\s*(\.\s*random|\[)/.test(syntax.expression);
  return Object.hasOwn(EFFECTS, name) && name in globalThis;
}

/** Module namespaces and imports of functions never change from here. */
function isImport(value: unknown): boolean {
  return typeof value === "object" && value !== null && Reflect.get(value, Symbol.toStringTag) === "Module";
}

/** A stand-in for a global whose use must happen at every call. */
function effectGuard(name: string, what: string, tracer: Tracer): unknown {
  const refuse = (): never =>
    tracer.breakGraph(`${name} ${what}, which must happen at each call`, "move it out of the compiled function");
  return new Proxy(function () {}, { get: refuse, apply: refuse, construct: refuse });
}

function mathWithoutChance(tracer: Tracer): Math {
  return new Proxy(Math, {
    get(target, key): unknown {
      if (key === "random") {
        return tracer.breakGraph(
          "Math.random draws a number in JavaScript, which a graph would freeze",
          "use rand() or randn(), or pass the number as an argument",
        );
      }
      return Reflect.get(target, key);
    },
  });
}

/** Makes the function anew; free names are read through getters at each use. */
function evaluate(name: string, syntax: FunctionSyntax, bound: ReadonlyMap<string, () => unknown>): AnyFunction {
  const scope = Object.create(null) as Record<string, unknown>;
  for (const [name, read] of bound) Object.defineProperty(scope, name, { get: read, enumerable: true });
  // A sloppy outer function may use `with`, which is what makes reads lazy; the rebuilt function itself stays strict.
  const text =
    `with (scope) { return (function () { "use strict"; return (\n${syntax.expression}\n); })(); }\n//# sourceURL=tessera-capture:${name}`;
  const make = new Function("scope", text) as (scope: object) => AnyFunction;
  return make(scope);
}

function nameOf(fn: AnyFunction): string {
  return fn.name === "" ? "the function" : `${fn.name}()`;
}

function names(free: readonly FreeVariable[]): string {
  return free.filter((v) => v.kind !== "constant" || typeof v.value === "object").map((v) => v.name).join(", ") ||
    "names";
}
