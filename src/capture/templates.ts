/**
 * Templates: how values that a function returned or stored are made again after a compiled call.
 *
 * Enters: what the traced function left behind (twins, proxies, fresh containers). Leaves: a {@linkcode Template} over results of the graph and over
 * sources, and `build`, which makes the value from one call's results. Objects that were shared or cyclic are so again.
 */
import { types } from "node:util";
import type { Argument, Graph, Node } from "../graph/mod.ts";
import { getOp } from "../ops/mod.ts";
import { isSymInt } from "../symbolic/mod.ts";
import { isDType, Tensor } from "../tensor/mod.ts";
import { addAll, Count } from "./counters.ts";
import { isIntrinsic } from "./intrinsics.ts";
import { isLibraryFunction } from "./library.ts";
import type { Source } from "./source.ts";
import type { Tracer } from "./tracer.ts";
import { functionSyntax } from "./syntax.ts";

/** A value to be made at each call. `id` tells objects that occur more than once. */
export type Template =
  | { readonly kind: "value"; readonly value: unknown }
  /** The nth result of the graph. */
  | { readonly kind: "result"; readonly index: number }
  /** The nth wanted value, read from its source by the guards. */
  | { readonly kind: "source"; readonly index: number }
  /** The nth wanted value, a number, and what the call adds to it. */
  | { readonly kind: "sum"; readonly index: number; readonly terms: readonly number[] }
  | { readonly kind: "array"; readonly id: number; readonly items: readonly Template[] }
  | {
    readonly kind: "object";
    readonly id: number;
    readonly prototype: object | null;
    readonly entries: readonly (readonly [string | symbol, Template])[];
  }
  | { readonly kind: "map"; readonly id: number; readonly entries: readonly (readonly [Template, Template])[] }
  | { readonly kind: "set"; readonly id: number; readonly items: readonly Template[] };

/** Collects what templates need: results of the graph and wanted sources. */
export class TemplateMaker {
  /** What the graph returns. */
  readonly results: Argument[] = [];
  /** The tensors behind `results`, null for sizes. */
  readonly tensors: (Tensor | null)[] = [];
  readonly #tracer: Tracer;
  readonly #graph: Graph;
  readonly #wanted: Source[];
  readonly #seen = new Map<object, Template & { id: number }>();
  #nextId = 0;

  /** `wanted` is extended by the sources that templates read. */
  constructor(tracer: Tracer, wanted: Source[]) {
    this.#tracer = tracer;
    this.#graph = tracer.graph;
    this.#wanted = wanted;
  }

  /** The template of a value that the trace left behind. */
  make(value: unknown): Template {
    if (isSymInt(value)) return this.#result(value, null);
    if (value instanceof Count) return { kind: "sum", index: this.#indexOf(value.source), terms: value.terms };
    if (value instanceof Tensor) return this.#tensor(value);
    if (typeof value === "function") return this.#function(value);
    if (typeof value !== "object" || value === null || isDType(value)) return { kind: "value", value };
    const record = this.#tracer.recordOf(value);
    if (record !== null) return this.source(record.source, record.real);
    const seen = this.#seen.get(value);
    if (seen !== undefined) return seen;
    return this.#container(value);
  }

  /** The value at a source: known now if the source is a constant, else read by the guards. */
  source(source: Source, real: object): Template {
    if (source.key.kind === "constant") return { kind: "value", value: real };
    return { kind: "source", index: this.#indexOf(source) };
  }

  #indexOf(source: Source): number {
    const index = this.#wanted.indexOf(source);
    return index < 0 ? this.#wanted.push(source) - 1 : index;
  }

  #result(argument: Argument, tensor: Tensor | null): Template {
    const found = this.results.findIndex((r, i) => r === argument && this.tensors[i] === tensor);
    if (found >= 0) return { kind: "result", index: found };
    this.tensors.push(tensor);
    return { kind: "result", index: this.results.push(argument) - 1 };
  }

  #tensor(t: Tensor): Template {
    const tracer = this.#tracer;
    const lifted = tracer.liftedOf(t);
    if (lifted !== null) {
      if (tracer.isFresh(lifted.real)) return this.#copy(lifted.node, t);
      if (lifted.source === null || lifted.kind === "attribute") return { kind: "value", value: lifted.real };
      return this.source(lifted.source, lifted.real);
    }
    if (tracer.owns(t) && t.node !== null) return this.#result(t.node, t);
    // A real tensor that no operator touched.
    if (!tracer.isFresh(t)) return { kind: "value", value: t };
    const made = tracer.lift(t, null);
    return this.#copy(made.node, made.twin);
  }

  /** A tensor made from plain data: every call returns one of its own. */
  #copy(node: Node, t: Tensor): Template {
    const op = getOp("aten.clone.default");
    const args = op.schema.args.map((_, i): Argument => i === 0 ? node : null);
    return this.#result(this.#graph.call(op, args, node.value), t);
  }

  // deno-lint-ignore ban-types
  #function(fn: Function): Template {
    const real = this.#tracer.realFunction(fn);
    if (real !== null) return { kind: "value", value: real };
    if (isLibraryFunction(fn) || isIntrinsic(fn)) return { kind: "value", value: fn };
    return this.#tracer.breakGraph(
      `the function returns or stores a function that it made (${fn.name || "anonymous"})`,
      "make it outside of the compiled function",
    );
  }

  #container(value: object): Template {
    const id = this.#nextId++;
    const prototype = this.#prototype(value);
    const remember = <T extends Template & { id: number }>(t: T): T => {
      this.#seen.set(value, t);
      return t;
    };
    this.#refuseOddities(value, prototype);
    if (Array.isArray(value)) {
      const items: Template[] = [];
      const out = remember({ kind: "array", id, items });
      for (const item of value) items.push(this.make(item));
      return out;
    }
    if (value instanceof Map) {
      const entries: (readonly [Template, Template])[] = [];
      const out = remember({ kind: "map", id, entries });
      for (const [k, v] of value) entries.push([this.make(k), this.make(v)]);
      return out;
    }
    if (value instanceof Set) {
      const items: Template[] = [];
      const out = remember({ kind: "set", id, items });
      for (const item of value) items.push(this.make(item));
      return out;
    }
    this.#refuseUnmakeable(value, prototype);
    const entries: (readonly [string | symbol, Template])[] = [];
    const out = remember({ kind: "object", id, prototype, entries });
    for (const key of Reflect.ownKeys(value)) {
      const descriptor = Reflect.getOwnPropertyDescriptor(value, key);
      if (descriptor?.get !== undefined || descriptor?.set !== undefined) {
        this.#tracer.breakGraph(
          "the function returns an object with a getter of its own",
          "return plain data, or an instance of a class",
        );
      }
      if (descriptor?.enumerable !== true || !descriptor.writable || !descriptor.configurable) {
        this.#refuse(`an object whose property ${String(key)} is hidden or fixed`, "return a plain property");
      }
      entries.push([key, this.make(descriptor.value)]);
    }
    return out;
  }

  /** The prototype that every copy has: a class's, or an object from outside, then the very same at each call. */
  #prototype(value: object): object | null {
    const prototype = Reflect.getPrototypeOf(value);
    if (prototype === null) return null;
    const record = this.#tracer.recordOf(prototype);
    if (record !== null) {
      if (record.source.key.kind !== "constant") record.source.check({ kind: "identical", value: record.real });
      return record.real;
    }
    const isOf = (type: unknown): boolean => typeof type === "function" && type.prototype === prototype;
    const constructor: unknown = Reflect.getOwnPropertyDescriptor(prototype, "constructor")?.value;
    if (!isOf(constructor) && !this.#tracer.records.some(({ real }) => isOf(real))) {
      this.#refuse("an object that inherits from one that it made", "make the prototype outside of it");
    }
    return prototype;
  }

  #refuse(what: string, remedy: string): never {
    return this.#tracer.breakGraph(`the function returns or stores ${what}`, remedy);
  }

  /** What a copy from a template would not have. */
  #refuseOddities(value: object, prototype: object | null): void {
    if (!Object.isExtensible(value)) this.#refuse("an object that it froze or sealed", "freeze it outside of it");
    if (Array.isArray(value)) {
      if (prototype !== Array.prototype) this.#refuse("an instance of a class of arrays", "return a plain array");
      if (Reflect.ownKeys(value).length !== value.length + 1) {
        this.#refuse("an array with holes, or with properties beside its elements", "return a plain array");
      }
    } else if (value instanceof Map || value instanceof Set) {
      const isPlain = prototype === Map.prototype || prototype === Set.prototype;
      if (!isPlain) this.#refuse("an instance of a class of Maps or Sets", "make it outside of the compiled function");
    }
  }

  /** Objects with state that own properties do not show. */
  #refuseUnmakeable(value: object, prototype: object | null): void {
    const type = prototype?.constructor?.name ?? "Object";
    let hidden = false;
    for (let p = prototype; p !== null && p !== Object.prototype && !hidden; p = Reflect.getPrototypeOf(p)) {
      const constructor: unknown = Reflect.getOwnPropertyDescriptor(p, "constructor")?.value;
      if (typeof constructor !== "function") continue;
      const { kind, usesPrivate } = functionSyntax(constructor);
      hidden = kind === "native" || usesPrivate;
    }
    hidden ||= value instanceof Iterator || types.isArgumentsObject(value);
    if (hidden || value instanceof Promise) {
      this.#tracer.breakGraph(
        value instanceof Promise
          ? "an asynchronous function was called"
          : `the function makes a ${type}, whose state cannot be copied`,
        value instanceof Promise ? "compile the synchronous part of it" : "make it outside of the compiled function",
      );
    }
  }
}

/** Makes the value of a template from the results of one call. */
export function build(
  template: Template,
  results: readonly unknown[],
  values: readonly unknown[],
  made: Map<number, object> = new Map(),
): unknown {
  switch (template.kind) {
    case "value":
      return template.value;
    case "result":
      return results[template.index];
    case "source":
      return values[template.index];
    case "sum":
      return addAll(values[template.index] as number, template.terms);
    default:
      break;
  }
  const known = made.get(template.id);
  if (known !== undefined) return known;
  switch (template.kind) {
    case "array": {
      const out: unknown[] = [];
      made.set(template.id, out);
      for (const item of template.items) out.push(build(item, results, values, made));
      return out;
    }
    case "object": {
      const out = Object.create(template.prototype) as object;
      made.set(template.id, out);
      for (const [key, item] of template.entries) {
        const value = build(item, results, values, made);
        Object.defineProperty(out, key, { value, writable: true, enumerable: true, configurable: true });
      }
      return out;
    }
    case "map": {
      const out = new Map<unknown, unknown>();
      made.set(template.id, out);
      for (const [k, v] of template.entries) {
        out.set(build(k, results, values, made), build(v, results, values, made));
      }
      return out;
    }
    case "set": {
      const out = new Set<unknown>();
      made.set(template.id, out);
      for (const item of template.items) out.add(build(item, results, values, made));
      return out;
    }
    default:
      return template satisfies never;
  }
}
