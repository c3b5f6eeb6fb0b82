/**
 * A stored capture becomes an entry again, without running or parsing the function.
 *
 * Enters: a {@linkcode StoredCapture} and the call that no entry serves. Each object of its table is looked up in this process and compared with what was written
 * down: texts of functions, free names and constants, prototypes, tensors with their metadata, which objects are the same and which are not. Then the source tree is
 * rebuilt around the objects found and compiled into an ordinary guard, which must hold for this very call. Anything else throws {@linkcode BadCapture}, and the function is
 * traced.
 */
import { device, dtypeFromName } from "../../core/mod.ts";
import { asExpr, type Expr } from "../../symbolic/mod.ts";
import { defaultGenerator, isTensor, type Storage, Tensor } from "../../tensor/mod.ts";
import type { BackendContext, KeptPrograms } from "../backends.ts";
import type { Check } from "../checks.ts";
import { ORIGINAL, REGION } from "../closures.ts";
import type { Effect } from "../effects.ts";
import { compileGuards } from "../guard_code.ts";
import { isIntrinsicName } from "../intrinsics.ts";
import { isLibraryFunction } from "../library.ts";
import { lookUpDescriptor } from "../objects.ts";
import { hashOfFile } from "../program_text.ts";
import { lookUp, readScopes, type ScopeSnapshot } from "../scopes.ts";
import { type Source, type SourceKey, SourceTree } from "../source.ts";
import { SizeReader } from "../stored_sizes.ts";
import type { Template } from "../templates.ts";
import { type Entry, runner, type TraceRequest } from "../trace.ts";
import { isPlainConstant, isProxy } from "../values.ts";
import {
  BadCapture,
  classLink,
  flag,
  functionHash,
  kindOf,
  list,
  literalValue,
  type StoredCapture,
  type StoredCheck,
  text,
  wholeNumber,
  writtenNeed,
} from "./stored.ts";
import { checkTensor, constantTensor, type Storages } from "./restore_tensors.ts";
import { wellKnownValue } from "./well_known.ts";

/** An entry made from the cache, and the tensors that came with the call. */
export interface RestoredEntry {
  readonly entry: Entry;
  /** The inputs of this call, and the numbers that it relies on, for the memory of what varies. */
  readonly inputs: readonly (readonly [Source, Tensor | number])[];
  readonly numbers: readonly (readonly [Source, number])[];
}

function bad(reason: string): never {
  throw new BadCapture(reason);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** Makes an entry of a stored capture. @throws {BadCapture} where it does not fit this process or call. */
export function restoreEntry(
  stored: StoredCapture,
  request: TraceRequest,
  programs: KeptPrograms,
  context: BackendContext,
): RestoredEntry {
  return new Restoration(stored, request).make(programs, context);
}

class Restoration {
  readonly #stored: StoredCapture;
  readonly #request: TraceRequest;
  readonly #objects: (object | undefined)[] = [];
  readonly #open = new Set<number>();
  readonly #scopes = new Map<object, readonly ScopeSnapshot[]>();
  readonly #captures: Readonly<Record<string, unknown>> | null;
  readonly #sourceValues: ({ readonly value: unknown } | undefined)[] = [];
  readonly #tree = new SourceTree();
  readonly #sources: Source[] = [];
  readonly #sizes: SizeReader;

  constructor(stored: StoredCapture, request: TraceRequest) {
    this.#stored = stored;
    this.#request = request;
    this.#captures = request.captures?.() ?? null;
    this.#sizes = new SizeReader(stored.symbols);
  }

  make(programs: KeptPrograms, context: BackendContext): RestoredEntry {
    const stored = this.#stored;
    for (const [url, hash] of stored.files) if (hashOfFile(text(url)) !== hash) bad(`${url} has changed`);
    this.#checkObjects();
    for (const fn of stored.functions) this.#checkFunction(fn);
    this.#buildSources();
    const wanted = stored.wanted.map((i) => this.#source(i));
    const guard = compileGuards({
      roots: this.#tree.roots,
      shapeGuards: stored.shapeGuards.map(([condition, reason]) => ({
        condition: this.#sizes.condition(text(condition)),
        reason: text(reason),
        location: null,
      })),
      wanted,
      argumentCount: this.#request.args.length,
      captures: this.#request.captures,
      apart: stored.apart.map(({ source, others, storages }) => ({
        source: this.#source(source),
        others: others.map((i) => this.#source(i)),
        storages: new Set<Storage>(storages.map((i) => this.#tensor(i).storage)),
      })),
      distinct: stored.distinct.map(({ sources, from }) => ({
        sources: sources.map((i) => this.#source(i)),
        from: new Set<unknown>(from.map((i) => this.#object(i))),
      })),
    });
    const values = new Array<unknown>(wanted.length);
    if (!guard.holds(this.#request.args, this.#request.self, values)) {
      const failed = guard.run(this.#request.args, this.#request.self, values);
      bad(guard.sentences[failed] ?? "its guards do not hold");
    }
    const inputs = wholeNumber(stored.inputs, wanted.length);
    const output = this.#template(stored.output, new Map());
    const effects = stored.effects.map((e) => this.#effect(e));
    const attributes = new Map(stored.attributes.map(([path, value]): [string, Tensor] => [
      text(path),
      typeof value === "number" ? this.#tensor(value) : constantTensor(value),
    ]));
    const compiled = programs.restore(text(stored.program), attributes, context);
    if (compiled === null) bad("its compiled form is not in the cache");
    return {
      inputs: wanted.slice(0, inputs).map((source, i) => [source, values[i] as Tensor | number] as const),
      numbers: this.#sources.flatMap((source) =>
        source.checks.flatMap((c) =>
          c.kind === "identical" && typeof c.value === "number" ? [[source, c.value] as const] : []
        )
      ),
      entry: {
        guard,
        valueCount: wanted.length,
        compiled,
        run: runner(compiled, inputs, output, effects, list(stored.numbers, (i) => wholeNumber(i, inputs - 1))),
        module: null,
        effects,
        remarks: stored.remarks.map((message) => ({ message: text(message) })),
        unserved: [],
      },
    };
  }

  // --- Objects ---

  #object(id: unknown): object {
    const index = wholeNumber(id, this.#stored.values.length - 1);
    const known = this.#objects[index];
    if (known !== undefined) return known;
    if (this.#open.has(index)) bad("an object is reached through itself");
    this.#open.add(index);
    const found = this.#find(index);
    if (!isObject(found)) return bad("an object is no longer there");
    return this.#objects[index] = found;
  }

  #literal(literal: unknown): unknown {
    return literalValue(literal, (id) => this.#object(id));
  }

  #tensor(id: unknown): Tensor {
    const found = this.#object(id);
    return isTensor(found) ? found : bad("an object is no tensor");
  }

  #function(id: unknown): object {
    const found = this.#object(id);
    return typeof found === "function" ? found : bad("an object is no function");
  }

  #find(index: number): unknown {
    const path: readonly unknown[] = this.#stored.values[index]?.path ?? bad("an object has no path");
    const [kind, a, b, slot] = path;
    switch (kind) {
      case "fn":
        return this.#request.fn;
      case "lib":
      case "global":
      case "engine":
        return wellKnownValue(list(path, text));
      case "dtype":
        return dtypeFromName(text(a));
      case "device":
        return device(text(a));
      case "generator":
        return defaultGenerator();
      case "state":
        return defaultGenerator().state;
      case "var":
        return this.#variable(this.#function(a), text(b))?.value;
      case "source":
        return this.#valueAt(wholeNumber(a));
      case "own": {
        const key = this.#literal(b) as PropertyKey;
        const descriptor = Reflect.getOwnPropertyDescriptor(this.#object(a), key);
        return slot === "get" ? descriptor?.get : slot === "set" ? descriptor?.set : descriptor?.value;
      }
      case "proto":
        return Reflect.getPrototypeOf(this.#object(a));
      case "original":
        return Reflect.get(this.#function(a), ORIGINAL) ?? Reflect.get(this.#function(a), REGION);
      default:
        return bad(`no path of kind ${String(kind)}`);
    }
  }

  #variable(fn: object, name: string): { readonly value: unknown } | null {
    let scopes = this.#scopes.get(fn);
    // deno-lint-ignore ban-types
    if (scopes === undefined) this.#scopes.set(fn, scopes = readScopes(fn as Function));
    return lookUp(scopes, name);
  }

  /** All objects are there, are what they were, and are as many as they were. */
  #checkObjects(): void {
    const { values } = this.#stored;
    const seen = new Map<object, number>();
    const storages: Storages = { byNumber: new Map(), all: new Set() };
    values.forEach((stored, id) => {
      const object = this.#object(id);
      if (seen.has(object)) bad("two objects have become one");
      seen.set(object, id);
      if (isProxy(object)) bad("an object is a Proxy of the program's own");
      if (kindOf(object) !== stored.kind) bad(`an object is no longer a ${stored.kind}`);
      if (stored.text !== undefined) {
        if (typeof object !== "function" || functionHash(object) !== stored.text) {
          bad(`the text of ${nameOf(object)} has changed`);
        }
        if (stored.path[0] === "lib" && !isLibraryFunction(object)) bad(`${nameOf(object)} was replaced`);
      }
      if (stored.proto !== undefined && Reflect.getPrototypeOf(object) !== this.#literal(stored.proto)) {
        bad(`${nameOf(object)} has another prototype`);
      }
      if (stored.link !== undefined && classLink(object)?.value !== this.#literal(stored.link)) {
        bad(`${nameOf(object)} belongs to another class`);
      }
      if (stored.tensor !== undefined) checkTensor(object, stored.tensor, storages);
      else if (isTensor(object)) bad("an object has become a tensor");
      if (stored.plain !== undefined) this.#checkPlain(object, stored.plain);
    });
  }

  #checkPlain(object: object, plain: readonly (readonly [unknown, unknown])[]): void {
    const keys = Reflect.ownKeys(object);
    const same = isPlainConstant(object) && keys.length === plain.length &&
      plain.every(([key, value], i) =>
        keys[i] === this.#literal(key) && Object.is(Reflect.get(object, keys[i] as PropertyKey), this.#literal(value))
      );
    if (!same) bad("a frozen record holds other values");
  }

  /** The free names of a function lead where they led. */
  #checkFunction({ value, free }: StoredCapture["functions"][number]): void {
    const fn = this.#function(value);
    for (const [name, kind, ...seen] of free) {
      const found = kind === "capture" ? null : this.#variable(fn, text(name));
      const expected = kind === "constant" || kind === "binding";
      if ((found !== null) !== expected) bad(`${name} is found elsewhere`);
      if (kind === "capture" && (this.#captures === null || !Object.hasOwn(this.#captures, name))) {
        bad(`${name} is no longer stated`);
      }
      if (kind === "global" && !(name in globalThis)) bad(`there is no global ${name}`);
      if (kind === "none" && name in globalThis) bad(`there is a global ${name}`);
      if (kind === "global" && !isIntrinsicName(name) && isProxy(globalThis)) bad(`${name} is hidden`);
      if (seen.length > 0 && !Object.is(found?.value, this.#literal(seen[0]))) bad(`${name} has another value`);
    }
  }

  // --- Sources ---

  #source(index: unknown): Source {
    return this.#sources[wholeNumber(index, this.#sources.length - 1)] as Source;
  }

  #key(index: number): SourceKey {
    const [kind, a, b] = this.#stored.sources[index]?.key ?? bad("a source has no key");
    switch (kind) {
      case "argument":
      case "item":
        return { kind, index: wholeNumber(a) };
      case "arguments":
      case "this":
      case "grad":
        return { kind };
      case "capture":
        return { kind, name: text(a) };
      case "constant":
        return { kind, value: this.#object(a), name: text(b) };
      case "property": {
        const key = this.#literal(a);
        return typeof key === "string" || typeof key === "symbol" ? { kind, key } : bad("a property has no name");
      }
      case "mapValue":
        return { kind, key: this.#literal(a) };
      default:
        return bad(`no source of kind ${kind}`);
    }
  }

  /** What stands at a source now. Getters of the program are not called. */
  #valueAt(index: number): unknown {
    const known = this.#sourceValues[index];
    if (known !== undefined) return known.value;
    const parent = this.#stored.sources[index]?.parent ?? bad("no such source");
    const value = this.#read(this.#key(index), parent < 0 ? undefined : this.#valueAt(wholeNumber(parent, index - 1)));
    this.#sourceValues[index] = { value };
    return value;
  }

  #read(key: SourceKey, base: unknown): unknown {
    switch (key.kind) {
      case "argument":
        return this.#request.args[key.index];
      case "arguments":
        return this.#request.args;
      case "this":
        return this.#request.self;
      case "capture":
        return this.#captures?.[key.name];
      case "constant":
        return key.value;
      default:
        break;
    }
    if (!isObject(base) || isProxy(base)) return bad("an object is no longer there");
    switch (key.kind) {
      case "property": {
        const getter = lookUpDescriptor(base, key.key)?.descriptor.get;
        if (getter !== undefined && !isLibraryFunction(getter)) bad(`${String(key.key)} has become a getter`);
        return Reflect.get(base, key.key);
      }
      case "mapValue":
        return base instanceof Map || base instanceof WeakMap ? base.get(key.key as object) : bad("a Map is gone");
      case "item":
        return base instanceof Map || base instanceof Set ? [...base.keys()][key.index] : bad("a collection is gone");
      case "grad":
        return base instanceof Tensor ? base.autograd?.grad ?? null : bad("a tensor is gone");
      default:
        return bad(`no source of kind ${key.kind}`);
    }
  }

  #buildSources(): void {
    const { sources } = this.#stored;
    const seen = new Set<Source>();
    sources.forEach(({ parent }, i) => {
      const key = this.#key(i);
      const root = parent === -1;
      const made = root ? this.#tree.root(key) : this.#source(wholeNumber(parent, i - 1)).child(key);
      if (seen.has(made)) bad("two sources are one");
      seen.add(made);
      this.#sources.push(made);
    });
    // Checks may name sources that stand later.
    sources.forEach(({ checks }, i) => {
      for (const check of checks) this.#sources[i]?.checks.push(this.#check(check));
    });
  }

  #size(stored: unknown): Expr {
    return typeof stored === "string" ? this.#sizes.expr(stored) : asExpr(wholeNumber(stored));
  }

  #property(stored: unknown): string | symbol {
    const key = this.#literal(stored);
    return typeof key === "string" || typeof key === "symbol" ? key : bad("a property has no name");
  }

  #check([kind, a, b, c, d, e]: StoredCheck): Check {
    switch (kind) {
      case "tensor":
        return {
          kind,
          dtype: dtypeFromName(text(a)),
          device: device(text(b)),
          requiresGrad: flag(c),
          shape: list(d, (n) => this.#size(n)),
          stride: list(e, (n) => n === null ? null : this.#size(n)),
        };
      case "identical":
        return { kind, value: this.#literal(a) };
      case "same":
        return { kind, other: this.#source(a) };
      case "prototype":
        return { kind, prototype: this.#literal(a) as object | null };
      case "length":
        return { kind, length: wholeNumber(a) };
      case "keys":
        return { kind, keys: list(a, text), symbols: wholeNumber(b) };
      case "allKeys":
        return { kind, keys: list(a, (key) => this.#property(key)) };
      case "size":
        return { kind, size: wholeNumber(a) };
      case "has":
      case "own":
        return { kind, key: this.#property(a), present: flag(b) };
      case "member":
        return { kind, key: this.#literal(a), present: flag(b) };
      case "requiresGrad":
        return { kind, value: flag(a) };
      case "getter":
        return { kind, key: this.#property(a), getter: this.#literal(b) };
      case "setter":
        return { kind, key: this.#property(a), setter: this.#literal(b) };
      case "unhooked":
      case "number":
        return { kind };
      default:
        return bad(`no check of kind ${kind}`);
    }
  }

  // --- Results and effects ---

  #template(stored: unknown, seen: Map<number, Template>): Template {
    const [kind, a, b, c] = list(stored, (x) => x);
    const again = (t: unknown): Template => this.#template(t, seen);
    const pair = (p: unknown): readonly [unknown, unknown] => {
      const [x, y] = list(p, (v) => v);
      return [x, y];
    };
    switch (kind) {
      case "v":
        return { kind: "value", value: this.#literal(a) };
      case "r":
        return { kind: "result", index: wholeNumber(a) };
      case "s":
        return { kind: "source", index: wholeNumber(a, this.#stored.wanted.length - 1) };
      case "+": {
        const terms = list(b, (term) => this.#literal(term)).filter((term) => typeof term === "number");
        return { kind: "sum", index: wholeNumber(a, this.#stored.wanted.length - 1), terms };
      }
      case "#":
        return seen.get(wholeNumber(a)) ?? bad("a template refers to nothing");
      case "array":
      case "set": {
        const items: Template[] = [];
        const id = wholeNumber(a);
        const out: Template = { kind, id, items };
        seen.set(id, out);
        items.push(...list(b, again));
        return out;
      }
      case "map": {
        const entries: (readonly [Template, Template])[] = [];
        const id = wholeNumber(a);
        const out: Template = { kind, id, entries };
        seen.set(id, out);
        entries.push(...list(b, pair).map(([k, v]) => [again(k), again(v)] as const));
        return out;
      }
      case "object": {
        const entries: (readonly [string | symbol, Template])[] = [];
        const prototype = this.#literal(b) as object | null;
        const id = wholeNumber(a);
        const out: Template = { kind, id, prototype, entries };
        seen.set(id, out);
        entries.push(...list(c, pair).map(([k, v]) => [this.#literal(k) as string | symbol, again(v)] as const));
        return out;
      }
      default:
        return bad(`no template of kind ${String(kind)}`);
    }
  }

  #effect([kind, a, b, c]: readonly unknown[]): Effect {
    const make = (t: unknown): Template => this.#template(t, new Map());
    switch (kind) {
      case "set":
        return { kind, target: make(a), key: this.#literal(b) as string | symbol, value: make(c) };
      case "delete":
        return { kind, target: make(a), key: this.#literal(b) as string | symbol };
      case "fill":
        return { kind, target: make(a), content: make(b) };
      case "append":
        return { kind, target: make(a), items: make(b) };
      case "grad":
        return { kind, target: make(a), value: make(b) };
      case "requiresGrad":
        return { kind, target: make(a), value: flag(b) };
      case "spent":
        return { kind, target: make(a), name: text(b), need: writtenNeed(c) };
      case "call":
        return { kind, object: this.#literal(a) as object, key: text(b), args: make(c) };
      default:
        return bad(`no effect of kind ${String(kind)}`);
    }
  }
}

function nameOf(object: object): string {
  return typeof object === "function" ? object.name || "a function" : "an object";
}
