/**
 * Functions of the user, as a trace runs them.
 *
 * Enters: a function of the user. Leaves: a copy made from its text, whose free names are bound to what {@linkcode Tracer.wrap} shows for them, and whose
 * comparisons, private members and `super` go through the trace's helpers. Values come from V8's scopes; a name that the surrounding text never assigns needs no
 * check, others are read again at each call. What a copy assigns to outer variables stays in the trace and is replayed after each call. A class that the trace makes
 * instances of is not copied: what its text reads is pinned by checks. Where none of this is possible the trace ends: nothing is left unguarded.
 */
import { types } from "node:util";
import { isDType, isTensor } from "../tensor/mod.ts";
import { accessorOf, isSameVariable, isServed, privateAccess, type Subject } from "./accessors.ts";
import { type AddedMember, addedMembers } from "./added_members.ts";
import { Count, isUnseenNumber } from "./counters.ts";
import { ENVIRONMENTAL, globalMember, hasGlobal } from "./global_view.ts";
import { unbound } from "./bound.ts";
import { effectOf, effectReason, EFFECTS, isIntrinsic, isIntrinsicName, MOVE_OUT } from "./intrinsics.ts";
import { isLibraryFunction, isLibraryNamespace } from "./library.ts";
import { constantNamesAround, registerRebuilt } from "./program_text.ts";
import { HELPER_NAME } from "./rewrite.ts";
import { isSloppy, numericWhereConverting, refuseConstant } from "./rebuilt.ts";
import { canReadScopes, lookUp, readScopes } from "./scopes.ts";
import { numbersFor } from "./sized_natives.ts";
import type { Source } from "./source.ts";
import { type FunctionSyntax, functionSyntax } from "./syntax.ts";
import { helpersFor, superView } from "./trace_helpers.ts";
import type { Tracer } from "./tracer.ts";
import { isPlainConstant, isProxy } from "./values.ts";

// deno-lint-ignore ban-types
type AnyFunction = Function;

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

/** An outer variable that the trace assigned. */
interface Assigned {
  readonly fn: AnyFunction;
  readonly name: string;
  value: unknown;
}

/** What the trace relied on of one function: another process must find the same. */
export interface FunctionNote {
  readonly fn: AnyFunction;
  /** Where it was found, if it is a method, getter or setter. */
  readonly home: object | null;
  /** Its free names: where they come from, and the value if the trace saw it. */
  readonly free: Map<string, FreeNote>;
  /** It uses private members or the `this` around it. */
  readonly needsAccess: boolean;
}

/** One free name. */
export interface FreeNote {
  readonly kind: FreeVariable["kind"] | "global" | "none";
  seen: { readonly value: unknown } | null;
}

/** A function compiled by Tessera shows the function that it was made from under this key. */
export const ORIGINAL: unique symbol = Symbol.for("tessera.capture.original") as never;

/** The function behind a region of {@linkcode checkpoint}. */
export const REGION: unique symbol = Symbol.for("tessera.capture.region") as never;

/** Prepares functions for one trace. */
export class Closures {
  #addedMembers: readonly AddedMember[] | null = null;
  readonly #tracer: Tracer;
  readonly #policy: ClosurePolicy;
  readonly #prepared = new Map<AnyFunction, AnyFunction>();
  readonly #pinned = new Set<AnyFunction>();
  readonly #assigned: Assigned[] = [];
  readonly #notes = new Map<AnyFunction, FunctionNote>();
  /** What an eager run could give access to. */
  readonly #subjects = new Map<AnyFunction, Subject>();
  /** The trace cannot be used before its subjects are served. */
  #mustBeServed = false;

  constructor(tracer: Tracer, policy: ClosurePolicy) {
    this.#tracer = tracer;
    this.#policy = policy;
  }

  /** Functions whose closures an eager run would open, so that guards become cheap or writes possible. */
  get unserved(): Subject[] {
    return [...this.#subjects.values()].filter((s) => !isServed(s));
  }

  /** The user's functions and classes that the trace ran or may have run. */
  get notes(): readonly FunctionNote[] {
    return [...this.#notes.values()];
  }

  #note(
    fn: AnyFunction,
    { free, privates, kind, usesOuterThis }: FunctionSyntax,
    home: object | null,
    variables: readonly FreeVariable[],
  ): FunctionNote {
    const needsAccess = privates.length > 0 || (kind === "arrow" && usesOuterThis);
    const known = new Map(variables.map((v) => [v.name, v.kind]));
    const kindOf = (name: string): FreeNote["kind"] => known.get(name) ?? (name in globalThis ? "global" : "none");
    const note: FunctionNote = {
      fn,
      home,
      needsAccess,
      free: new Map(free.map((name) => [name, { kind: kindOf(name), seen: null }])),
    };
    this.#notes.set(fn, note);
    return note;
  }

  /** Whether the trace has assumed what only an eager run can show. */
  get mustBeServed(): boolean {
    return this.#mustBeServed;
  }

  /** The outer variables that were assigned, with what writes them. */
  get assigned(): { readonly write: (value: unknown) => void; readonly value: unknown }[] {
    return this.#assigned.map(({ fn, name, value }) => ({ write: (v) => accessorOf(fn)?.set(name, v), value }));
  }

  /** What a trace calls in the place of `fn`. `stated` are the values that `captures` gives for it; `home` is where a method was found. */
  prepare(
    fn: AnyFunction,
    stated: Readonly<Record<string, unknown>> | null = null,
    home: object | null = null,
  ): AnyFunction {
    const inner: unknown = Reflect.get(fn, ORIGINAL);
    if (typeof inner === "function") return this.prepare(inner);
    const known = this.#prepared.get(fn);
    if (known !== undefined) return known;
    const made = this.#make(fn, stated, home);
    this.#prepared.set(fn, made);
    return made;
  }

  #make(fn: AnyFunction, stated: Readonly<Record<string, unknown>> | null, home: object | null): AnyFunction {
    if (isLibraryFunction(fn)) return fn;
    const syntax = functionSyntax(fn);
    // Functions of the runtime may show a text; they are its own all the same.
    if (syntax.kind === "native" || isIntrinsic(fn)) {
      const plain = unbound(fn as (...args: never[]) => unknown);
      return plain === null ? this.#native(fn) : this.prepare(plain);
    }
    if (syntax.kind === "class") return fn;
    const name = nameOf(fn);
    const added = this.#added().find((member) => member.isIn(syntax.expression));
    if (added !== undefined) {
      return this.#refuse(
        `${name} uses ${added.key}, which the program has put on ${added.owner}: what it does there cannot be seen`,
        "write it as a plain function",
      );
    }
    if (syntax.hasAsync) {
      return this.#refuse(`${name} is asynchronous`, "compile the synchronous part that works on tensors");
    }
    const isLoose = isSloppy(fn);
    const refusal = syntax.kind === "unreadable"
      ? "its text cannot be read"
      : isLoose && /\bthis\b/.test(syntax.expression)
      ? "it is sloppy (not strict) code that uses this"
      : syntax.isTied
      ? "it uses new.target, import.meta, with or eval"
      : syntax.usesSuper && home === null
      ? "it uses super outside of its object"
      : syntax.rewritten().refusal;
    if (refusal !== null) {
      return this.#refuse(`${name} cannot be traced: ${refusal}`, "write it as a plain function, or call it outside");
    }
    return this.#rebuild(fn, syntax, this.#freeVariables(fn, syntax, stated), home);
  }

  /** What the program has put on prototypes of the engine and of Tessera, as they are in this trace. */
  #added(): readonly AddedMember[] {
    return this.#addedMembers ??= addedMembers();
  }

  /** A function that ends the trace when it is called. */
  #refuse(reason: string, remedy: string): AnyFunction {
    const tracer = this.#tracer;
    return function (): never {
      return tracer.breakGraph(reason, remedy);
    };
  }

  #native(fn: AnyFunction): AnyFunction {
    const effect = effectOf(fn);
    if (effect !== null) {
      return this.#refuse(
        effectReason(nameOf(fn), effect),
        MOVE_OUT,
      );
    }
    if (isIntrinsic(fn)) return numbersFor(fn) as AnyFunction;
    return this.#refuse(
      `${nameOf(fn)} is a native function (bound, or of another language): what it uses cannot be seen`,
      "call it through an arrow function: (...args) => object.method(...args), or outside of the compiled function",
    );
  }

  #freeVariables(
    fn: AnyFunction,
    syntax: FunctionSyntax,
    stated: Readonly<Record<string, unknown>> | null,
  ): FreeVariable[] {
    const wanted = syntax.free.filter((name) => stated === null || !Object.hasOwn(stated, name));
    const given = syntax.free.filter((name) => stated !== null && Object.hasOwn(stated, name))
      .map((name): FreeVariable => ({ name, value: stated?.[name], kind: "capture" }));
    if (wanted.length === 0) return given;
    if (!canReadScopes()) {
      const outer = wanted.filter((name) => !(name in globalThis));
      if (outer.length === 0) return given;
      return this.#tracer.breakGraph(
        `closures cannot be read here, so ${outer.join(", ")} of ${nameOf(fn)} cannot be guarded`,
        "run with --allow-sys, so that V8 may be asked for them, or state them with the option captures",
      );
    }
    const scopes = readScopes(fn);
    const found = wanted.map((name) => ({ name, at: lookUp(scopes, name) })).filter((v) => v.at !== null);
    const constant = constantNamesAround(fn, this.#policy.files, new Set(found.map((v) => v.name)));
    const own = found.map(({ name, at }): FreeVariable => ({
      name,
      value: at?.value,
      kind: constant.has(name) || isConstantImport(at?.value) ? "constant" : "binding",
    }));
    for (const { name, value } of own) if (!isProxy(value) && isTensor(value)) this.#tracer.nameTensor(value, name);
    return [...given, ...own];
  }

  #rebuild(fn: AnyFunction, syntax: FunctionSyntax, free: readonly FreeVariable[], home: object | null): AnyFunction {
    const subject: Subject = {
      fn,
      names: free.filter((v) => v.kind === "binding").map((v) => v.name),
      privates: syntax.privates,
      home,
      wantsThis: syntax.kind === "arrow" && syntax.usesOuterThis,
    };
    const wantsAccess = subject.names.length > 0 || subject.privates.length > 0 || subject.wantsThis;
    if (wantsAccess) this.#subjects.set(fn, subject);
    const unknown = [...syntax.assigned].find((name) => !free.some((v) => v.name === name));
    if (unknown !== undefined) {
      return this.#refuse(
        `${nameOf(fn)} assigns the global variable ${unknown}`,
        "keep the value in a property of an object, or return it",
      );
    }
    const note = this.#note(fn, syntax, home, free);
    const scope = Object.create(null) as Record<string, unknown>;
    for (const variable of free) this.#bind(scope, fn, variable, note);
    this.#bindGlobals(scope, syntax);
    const tracer = this.#tracer;
    const helpers = helpersFor(tracer, {
      home: home === null ? null : superView(tracer, home),
      privateHome: home,
      access: (name) => privateAccess(subject, name) ?? this.#closed(subject),
      count: (name, amount) => this.#count(fn, free.find((v) => v.name === name), amount),
    });
    Object.defineProperty(scope, HELPER_NAME, { value: helpers });
    const expression = syntax.rewritten().expression;
    const name = registerRebuilt(fn, syntax, this.#policy.files);
    // A sloppy outer function may use `with`, which is what lets reads and writes go through accessors; the rebuilt function itself stays strict.
    const strict = isSloppy(fn) ? "" : `"use strict"; `;
    const text =
      `with (scope) { return (function () { ${strict}return (\n${expression}\n); }).call(self); }\n//# sourceURL=tessera-capture:${name}`;
    const make = new Function("scope", "self", text) as (scope: object, self: unknown) => AnyFunction;
    if (!subject.wantsThis) {
      return home === null ? make(scope, undefined) : numericWhereConverting(fn, make(scope, undefined));
    }
    // The `this` around an arrow is only known from an eager run.
    let made: AnyFunction | null = null;
    return (...args: unknown[]): unknown => {
      if (made === null) {
        const accessor = accessorOf(fn);
        const self = accessor?.hasThis === true ? accessor.self : this.#closed(subject);
        const seen = typeof self === "object" && self !== null
          ? tracer.wrap(self, tracer.sources.root({ kind: "constant", value: self, name: "this" }))
          : self;
        made = make(scope, seen);
      }
      return Reflect.apply(made, undefined, args);
    };
  }

  /** Ends the trace: an eager run must come first. */
  #closed({ fn }: Subject): never {
    this.#mustBeServed = true;
    return this.#tracer.breakGraph(
      `${nameOf(fn)} uses private (#) members or the this around it, which could not be reached from here`,
      "keep what the compiled function needs in public properties, or call it outside",
    );
  }

  #sourceOf(fn: AnyFunction, { name, value, kind }: FreeVariable): Source | null {
    const { sources } = this.#tracer;
    switch (kind) {
      case "constant":
        return typeof value === "object" && value !== null ? sources.root({ kind: "constant", value, name }) : null;
      case "capture":
        return sources.root({ kind: "capture", name });
      case "binding":
        return sources.root({ kind: "binding", fn, name });
      default:
        return kind satisfies never;
    }
  }

  #bind(scope: object, fn: AnyFunction, variable: FreeVariable, note: FunctionNote): void {
    const { name, value } = variable;
    // Looked at when it is used: what a call does not use needs no check.
    let seen: { readonly value: unknown } | null = null;
    Object.defineProperty(scope, name, {
      get: () => {
        const written = this.#written(fn, name);
        if (written !== null) {
          return written.value = written.value instanceof Count ? written.value.settle() : written.value;
        }
        if (seen === null) {
          const source = this.#sourceOf(fn, variable);
          const shown = source !== null
            ? this.#tracer.wrap(value, source)
            : typeof value === "function"
            ? this.#tracer.function(value)
            : value;
          seen = { value: shown };
          noteSeen(note, name, value);
        }
        return seen.value;
      },
      set: (next: unknown) => {
        if (variable.kind === "capture") {
          this.#tracer.breakGraph(`the stated variable ${name} is assigned`, "leave it out of captures");
        }
        this.#assign(fn, name, next);
      },
      enumerable: true,
    });
  }

  #assign(fn: AnyFunction, name: string, value: unknown): void {
    refuseConstant(fn, name);
    const written = this.#written(fn, name);
    if (written !== null) written.value = value;
    else this.#assigned.push({ fn, name, value });
    this.#tracer.noteAssignment();
    if (accessorOf(fn)?.knows(name) !== true) this.#mustBeServed = true;
  }

  /** Adds to an outer variable that the trace has not looked at; false if it is no counter. */
  #count(fn: AnyFunction, variable: FreeVariable | undefined, amount: number): boolean {
    if (variable?.kind !== "binding") return false;
    const written = this.#written(fn, variable.name);
    if (written !== null) {
      if (!(written.value instanceof Count)) return false;
      written.value.terms.push(amount);
      this.#tracer.noteAssignment();
      return true;
    }
    const source = this.#sourceOf(fn, variable);
    if (source === null || !isUnseenNumber(variable.value, source)) return false;
    this.#assign(fn, variable.name, new Count(source, variable.value, amount));
    return true;
  }

  /** What the trace assigned to the variable that `fn` calls `name`. */
  #written(fn: AnyFunction, name: string): Assigned | null {
    for (const entry of this.#assigned) {
      if (entry.name !== name) continue;
      const same = isSameVariable(entry.fn, fn, name);
      if (same === null) this.#mustBeServed = true;
      else if (same) return entry;
    }
    return null;
  }

  #bindGlobals(scope: object, syntax: FunctionSyntax): void {
    const tracer = this.#tracer;
    for (const name of syntax.free) {
      if (Object.hasOwn(scope, name) || !hasGlobal(tracer, name)) continue;
      const read = (): unknown => globalMember(tracer, name);
      if (globalMember(tracer, name) !== Reflect.get(globalThis, name) || !isIntrinsicName(name)) {
        Object.defineProperty(scope, name, { get: read, enumerable: true });
      }
    }
  }

  /**
   * Pins what a class reads that the trace makes an instance of: its methods run as they are, so their closures are checked as a whole.
   */
  pin(cls: AnyFunction): void {
    if (this.#pinned.has(cls) || isLibraryFunction(cls)) return;
    this.#pinned.add(cls);
    const syntax = functionSyntax(cls);
    if (syntax.kind === "native" || isIntrinsic(cls)) {
      const seen = this.#native(cls);
      if (seen !== cls) Reflect.apply(seen, undefined, []);
      return;
    }
    const name = nameOf(cls);
    const remedy = "make the instance outside, or pass what it reads as arguments";
    if (syntax.hasAsync) this.#tracer.breakGraph(`${name} is asynchronous`, remedy);
    if (syntax.comparesIdentity) this.#tracer.comparesUnseen = name;
    const effect = syntax.free.find((n) => Object.hasOwn(EFFECTS, n) && n in globalThis);
    if (effect !== undefined || /\bMath\s*(\.\s*random|\[)|\bglobalThis\b/.test(syntax.expression)) {
      this.#tracer.breakGraph(
        `${name} uses ${effect ?? "Math.random or globalThis"}, which must happen at each call`,
        remedy,
      );
    }
    for (const key of Reflect.ownKeys(cls)) {
      if (key === "length" || key === "name" || key === "prototype") continue;
      const descriptor = Reflect.getOwnPropertyDescriptor(cls, key);
      if (
        typeof descriptor?.value === "function" ||
        (descriptor?.writable === false && typeof descriptor.value !== "object")
      ) {
        if (typeof descriptor?.value !== "function") {
          this.#tracer.keepHere(`${name} has static members and is instantiated inside`);
        }
        continue;
      }
      if (syntax.kind === "class") {
        this.#tracer.breakGraph(`${name} has the static member ${String(key)} and is instantiated inside`, remedy);
      }
    }
    this.#pinPrototype(cls, syntax);
    const free = this.#freeVariables(cls, syntax, null);
    const note = this.#note(cls, syntax, null, free);
    for (const variable of free) {
      this.#pinVariable(cls, syntax, variable, remedy);
      noteSeen(note, variable.name, variable.value);
    }
    const unknown = syntax.free.filter((n) => !free.some((v) => v.name === n) && !isIntrinsicName(n));
    for (const n of unknown) if (hasGlobal(this.#tracer, n)) globalMember(this.#tracer, n);
    for (const n of syntax.free) if (ENVIRONMENTAL.has(n)) this.#tracer.keepHere(`${name} reads ${n}`);
    const parent: unknown = Reflect.getPrototypeOf(cls);
    if (typeof parent === "function" && parent !== Function.prototype) this.pin(parent);
  }

  /** Methods may be replaced later, or have been before. */
  #pinPrototype(cls: AnyFunction, syntax: FunctionSyntax): void {
    const prototype: unknown = cls.prototype;
    if (typeof prototype !== "object" || prototype === null) return;
    const root = this.#tracer.sources.root({ kind: "constant", value: prototype, name: `${cls.name}.prototype` });
    root.check({ kind: "prototype", prototype: Reflect.getPrototypeOf(prototype) });
    for (const key of Reflect.ownKeys(prototype)) {
      const { value, get: getter } = Reflect.getOwnPropertyDescriptor(prototype, key) as PropertyDescriptor;
      if (getter !== undefined) root.check({ kind: "getter", key, getter });
      if (typeof value !== "function" || key === "constructor") continue;
      root.child({ kind: "property", key }).check({ kind: "identical", value });
      if (!syntax.expression.includes(Function.prototype.toString.call(value))) this.pin(value);
    }
  }

  #pinVariable(cls: AnyFunction, syntax: FunctionSyntax, variable: FreeVariable, remedy: string): void {
    const { name, value, kind } = variable;
    const tracer = this.#tracer;
    if (syntax.assigned.has(name)) tracer.breakGraph(`${nameOf(cls)} assigns the outer variable ${name}`, remedy);
    if (this.#assigned.some((a) => a.name === name)) {
      tracer.breakGraph(`${nameOf(cls)} reads ${name}, which the function assigns`, remedy);
    }
    if (kind !== "constant") {
      const source = this.#sourceOf(cls, variable);
      source?.check({ kind: "identical", value });
    }
    if (typeof value === "function") return this.pin(value);
    if (typeof value !== "object" || value === null) return;
    // Whoever asks a Proxy for its kind runs its traps.
    const isKnown = !isProxy(value) &&
      (isTensor(value) || isDType(value) || isLibraryNamespace(value) || isPlainConstant(value));
    if (isKnown) return;
    tracer.breakGraph(`${nameOf(cls)}, which runs as it is, reads the object ${name} of its closure`, remedy);
  }
}

/** Objects of module namespaces never change from here; what they hold is read through them. */
function isConstantImport(value: unknown): boolean {
  if (typeof value === "function") return isLibraryFunction(value);
  return types.isModuleNamespaceObject(value);
}

function noteSeen(note: FunctionNote, name: string, value: unknown): void {
  const free = note.free.get(name);
  if (free !== undefined) free.seen ??= { value };
}

function nameOf(fn: AnyFunction): string {
  return fn.name === "" ? "the function" : `${fn.name}()`;
}
