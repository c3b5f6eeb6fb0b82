/**
 * A capture as plain data that another process can check and use.
 *
 * Enters: a trace. Leaves: a {@linkcode StoredCapture}, or the reason why there is none. The guards of a trace compare identities; here each object that they, the
 * templates and the graph rely on becomes an entry of a table that says how to find it (from the compiled function through the free names of functions, from arguments, from
 * Tessera's exports) and what must be true of it: a function's text, a prototype, a tensor's metadata. What cannot be found or checked again ends in a reason.
 */
import { isDType, isTensor, readElements, type Storage, type Tensor } from "../../tensor/mod.ts";
import { defaultGenerator } from "../../tensor/mod.ts";
import { cpu, device } from "../../core/mod.ts";
import type { Check } from "../checks.ts";
import type { Effect } from "../effects.ts";
import { type FunctionNote, ORIGINAL, REGION } from "../closures.ts";
import { filesAround } from "../program_text.ts";
import type { Source } from "../source.ts";
import { SizeWriter, type StoredExpr } from "../stored_sizes.ts";
import type { Template } from "../templates.ts";
import type { Trace, TraceRequest } from "../trace.ts";
import { isPlainConstant, isProxy } from "../values.ts";
import {
  classLink,
  functionHash,
  kindOf,
  type Literal,
  primitiveLiteral,
  type StoredAttribute,
  type StoredCapture,
  type StoredCheck,
  type StoredFunction,
  type StoredPath,
  type StoredSource,
  type StoredTemplate,
  type StoredTensor,
  type StoredValue,
} from "./stored.ts";
import { wellKnownPath } from "./well_known.ts";

/** Why a capture is for this process only. */
export class NotKept extends Error {
  override readonly name: string = "NotKept";
}

function refuse(reason: string): never {
  throw new NotKept(reason);
}

/** Constants that a function writes down may be this long, in elements. */
const MOST_CONSTANTS = 65_536;

/** Methods whose results depend on the user's language or place. */
const LOCAL = /\b(?:toLocale\w*|localeCompare|getTimezoneOffset)\b/;

type Step = (table: Table) => StoredPath;

/** The objects that a capture relies on. */
class Table {
  readonly values: StoredValue[] = [];
  readonly #ids = new Map<object, number>();
  readonly #open = new Set<object>();
  readonly #pending: (() => void)[] = [];
  readonly #steps = new Map<object, Step>();
  readonly #storages = new Map<Storage, number>();

  /** Says how an object is found, unless that is known. */
  offer(value: unknown, step: Step): void {
    if ((typeof value !== "object" && typeof value !== "function") || value === null) return;
    if (!this.#steps.has(value)) this.#steps.set(value, step);
  }

  /** The number of an object. */
  id(value: object): number {
    const known = this.#ids.get(value);
    if (known !== undefined) return known;
    if (this.#open.has(value)) refuse(`${nameOf(value)} is only reached through itself`);
    this.#open.add(value);
    const path = this.#pathOf(value);
    this.#open.delete(value);
    const id = this.values.length;
    this.#ids.set(value, id);
    const entry: { -readonly [K in keyof StoredValue]: StoredValue[K] } = { path, kind: kindOf(value) };
    this.values.push(entry);
    this.#pending.push(() => this.#describe(value, entry));
    // Not while a path is being found: what an object is may lead back to what it is reached by.
    if (this.#open.size === 0) {
      for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
        next();
      }
    }
    return id;
  }

  literal(value: unknown): Literal {
    const primitive = primitiveLiteral(value);
    if (primitive !== null) return primitive.literal;
    if (typeof value === "symbol") refuse(`it uses ${String(value)}, a symbol that only this process has`);
    return ["r", this.id(value as object)];
  }

  #pathOf(value: object): StoredPath {
    if (isDType(value)) return ["dtype", value.name];
    const known = wellKnownPath(value);
    if (known !== null) return known;
    const step = this.#steps.get(value);
    if (step !== undefined) return step(this);
    const name = Reflect.get(value, "type");
    if (typeof name === "string" && typeof Reflect.get(value, "index") === "number") {
      const text = String(value);
      if (/^(cpu|cuda|webgpu|meta)(:\d+)?$/.test(text) && device(text) === value) return ["device", text];
    }
    return refuse(`${nameOf(value)} could not be found again by another process`);
  }

  #describe(value: object, entry: { -readonly [K in keyof StoredValue]: StoredValue[K] }): void {
    const [kind] = entry.path;
    if (kind === "dtype" || kind === "device" || entry.kind === "module") return;
    if (isTensor(value)) entry.tensor = this.#tensor(value);
    if (typeof value === "function") {
      const text = Function.prototype.toString.call(value);
      if (LOCAL.test(text)) refuse(`${nameOf(value)} depends on the language of the user`);
      entry.text = functionHash(value);
    } else if (isPlainConstant(value)) {
      entry.plain = Reflect.ownKeys(value).map((k) => [this.literal(k), this.literal(Reflect.get(value, k))] as const);
    }
    if (kind === "lib" || kind === "global" || kind === "engine" || kind === "generator" || kind === "state") return;
    if (isProxy(value)) refuse(`${nameOf(value)} is a Proxy of the program's own`);
    entry.proto = this.literal(Reflect.getPrototypeOf(value));
    // `instanceof` and `constructor` tell classes apart that only differ in who they are.
    const link = classLink(value);
    if (link === null) return;
    this.offer(link.value, (t) => ["own", t.id(value), link.key, "value"]);
    entry.link = this.literal(link.value);
  }

  #tensor(t: Tensor): StoredTensor {
    let storage = this.#storages.get(t.storage);
    if (storage === undefined) this.#storages.set(t.storage, storage = this.#storages.size);
    return {
      dtype: t.dtype.name,
      device: String(t.device),
      shape: t.shape.map(Number),
      stride: t.stride.map(Number),
      offset: Number(t.storageOffset),
      flags: [t.requiresGrad, t.isParameter, t.isLeaf, t.autograd?.retainsGrad === true],
      storage,
    };
  }
}

function nameOf(value: object): string {
  if (typeof value === "function") return `the function ${value.name || "(anonymous)"}`;
  if (isTensor(value)) return `a tensor of shape [${value.shape.join(", ")}]`;
  return `an object of the class ${Reflect.getPrototypeOf(value)?.constructor?.name ?? "Object"}`;
}

/** The trace as another process can use it. @throws {NotKept} with the reason why none can. */
export function describeTrace(trace: Trace, request: TraceRequest, program: string): StoredCapture {
  return new Description(trace, request).make(program);
}

class Description {
  readonly #trace: Trace;
  readonly #request: TraceRequest;
  readonly #table = new Table();
  readonly #sizes = new SizeWriter();
  readonly #sources: Source[] = [];
  readonly #sourceAt = new Map<Source, number>();

  constructor(trace: Trace, request: TraceRequest) {
    this.#trace = trace;
    this.#request = request;
  }

  make(program: string): StoredCapture {
    const { tracer, inputs, output, effects, wanted, apart, distinct, module } = this.#trace;
    const table = this.#table;
    if (tracer.keptHere !== null) refuse(tracer.keptHere);
    const files = filesAround(this.#request.files) ?? refuse("its program has too many files");
    for (const note of this.#trace.notes) {
      if (note.needsAccess) refuse(`${nameOf(note.fn)} uses private (#) members or the this around it`);
    }
    for (const root of tracer.sources.roots) this.#collect(root);
    this.#offerPaths();
    const functions = this.#trace.notes.map((n) => this.#function(n));
    const sources = this.#sources.map((s) => this.#source(s));
    return {
      files,
      functions,
      sources,
      wanted: wanted.map((s) => this.#at(s)),
      inputs: inputs.length,
      numbers: inputs.flatMap((l, i) => l.kind === "number" ? [i] : []),
      attributes: tracer.lifted.flatMap((l): StoredAttribute[] => {
        if (l.node.op !== "getAttr" || !module.attributes.has(l.node.path)) return [];
        return [[l.node.path, l.source === null ? constantData(l.real) : table.id(l.real)]];
      }),
      apart: apart.map(({ source, others, storages }) => ({
        source: this.#at(source),
        others: others.map((s) => this.#at(s)),
        storages: [...storages].map((s) => this.#tensorWith(s)),
      })),
      distinct: distinct.map(({ sources, from }) => ({
        sources: sources.map((s) => this.#at(s)),
        // Tensors that the function makes are nobody else's.
        from: [...from].filter((v) => !(isTensor(v) && tracer.isFresh(v))).map((v) => table.id(v as object)),
      })),
      output: this.#template(output),
      effects: effects.map((e) => this.#effect(e)),
      remarks: tracer.remarks.map((r) => r.message),
      program,
      shapeGuards: tracer.env.guards.map(({ condition, reason }) => [this.#sizes.condition(condition), reason]),
      // Last: describing the others fills these.
      symbols: this.#sizes.symbols,
      values: table.values,
    };
  }

  #collect(source: Source): void {
    this.#sourceAt.set(source, this.#sources.push(source) - 1);
    for (const child of source.children) this.#collect(child);
  }

  #at(source: Source): number {
    return this.#sourceAt.get(source) ?? refuse(`${source} stands in no tree`);
  }

  /** How objects are found: by free names first, then by sources, then on prototypes. */
  #offerPaths(): void {
    const { tracer, notes } = this.#trace;
    const table = this.#table;
    table.offer(this.#request.fn, () => ["fn"]);
    for (const note of notes) {
      for (const [name, { kind, seen }] of note.free) {
        if (kind === "constant") table.offer(seen?.value, (t) => ["var", t.id(note.fn), name]);
      }
    }
    const atSource = (value: unknown, source: Source): void => {
      if (source.key.kind !== "constant") table.offer(value, () => ["source", this.#at(source)]);
    };
    for (const { real, source } of tracer.records) atSource(real, source);
    for (const { real, source } of tracer.lifted) if (source !== null) atSource(real, source);
    for (const source of this.#sources) {
      for (const check of source.checks) if (check.kind === "identical") atSource(check.value, source);
    }
    const { state } = defaultGenerator();
    table.offer(defaultGenerator(), () => ["generator"]);
    table.offer(state, () => ["state"]);
    for (const { real } of tracer.records) this.#offerChain(real);
    for (const source of this.#sources) {
      for (const check of source.checks) {
        // Objects that are not known by identity have prototypes all the same.
        if (check.kind === "prototype" && check.prototype !== null) this.#offerPrototype(source, check.prototype);
      }
    }
    for (const { fn, home } of notes) {
      if (home === null) {
        // A class stands behind its prototype, and its parent behind it.
        this.#offerChain(fn);
        continue;
      }
      this.#offerChain(home);
      for (const key of Reflect.ownKeys(home)) {
        const descriptor = Reflect.getOwnPropertyDescriptor(home, key);
        for (const slot of ["value", "get", "set"] as const) {
          if (descriptor?.[slot] === fn) table.offer(fn, (t) => ["own", t.id(home), t.literal(key), slot]);
        }
      }
    }
    for (const { fn } of notes) {
      for (const seen of notes) {
        const original = [...seen.free.values()].find((f) => isCompiled(f.seen?.value, fn));
        if (original !== undefined) table.offer(fn, (t) => ["original", t.id(original.seen?.value as object)]);
      }
      const prototype: unknown = Reflect.getOwnPropertyDescriptor(fn, "prototype")?.value;
      table.offer(prototype, (t) => ["own", t.id(fn), "prototype", "value"]);
    }
  }

  #offerChain(object: object): void {
    let below = object;
    for (let at = Reflect.getPrototypeOf(object); at !== null; at = Reflect.getPrototypeOf(at)) {
      const from = below;
      this.#table.offer(at, (t) => ["proto", t.id(from)]);
      below = at;
    }
  }

  #offerPrototype(source: Source, prototype: object): void {
    const record = this.#trace.tracer.records.find((r) => r.source === source);
    if (record !== undefined) this.#offerChain(record.real);
    this.#offerChain(prototype);
  }

  #function({ fn, free }: FunctionNote): StoredFunction {
    return {
      value: this.#table.id(fn),
      free: [...free].map(([name, { kind, seen }]) =>
        seen === null || kind !== "constant" ? [name, kind] as const : [name, kind, this.#table.literal(seen.value)]
      ),
    };
  }

  #source(source: Source): StoredSource {
    return {
      parent: source.parent === null ? -1 : this.#at(source.parent),
      key: this.#key(source),
      checks: source.checks.map((c) => this.#check(c)),
    };
  }

  #key({ key }: Source): StoredSource["key"] {
    const table = this.#table;
    switch (key.kind) {
      case "argument":
      case "item":
        return [key.kind, key.index];
      case "arguments":
      case "this":
      case "grad":
        return [key.kind];
      case "capture":
        return [key.kind, key.name];
      case "constant":
        return [key.kind, table.id(key.value), key.name];
      case "property":
      case "mapValue":
        return [key.kind, table.literal(key.key)];
      case "binding":
        return refuse(`it reads ${key.name}, an outer variable that is not shown to be constant`);
      case "private":
        return refuse(`it reads the private member ${key.name}`);
      default:
        return key satisfies never;
    }
  }

  #check(check: Check): StoredCheck {
    const table = this.#table;
    switch (check.kind) {
      case "tensor": {
        const { env } = this.#trace.tracer;
        const plain = (list: readonly (Parameters<SizeWriter["expr"]>[0] | null)[]): (StoredExpr | null)[] =>
          list.map((e) => e === null ? null : this.#sizes.expr(e, env));
        return [
          check.kind,
          check.dtype.name,
          String(check.device),
          check.requiresGrad,
          plain(check.shape),
          plain(check.stride),
        ];
      }
      case "identical":
        return [check.kind, table.literal(check.value)];
      case "same":
        return [check.kind, this.#at(check.other)];
      case "prototype":
        return [check.kind, table.literal(check.prototype)];
      case "length":
        return [check.kind, check.length];
      case "keys":
        return [check.kind, check.keys, check.symbols];
      case "allKeys":
        return [check.kind, check.keys.map((key) => table.literal(key))];
      case "size":
        return [check.kind, check.size];
      case "has":
      case "own":
      case "member":
        return [check.kind, table.literal(check.key), check.present];
      case "requiresGrad":
        return [check.kind, check.value];
      case "getter":
        return [check.kind, table.literal(check.key), table.literal(check.getter)];
      case "setter":
        return [check.kind, table.literal(check.key), table.literal(check.setter)];
      case "unhooked":
      case "number":
        return [check.kind];
      default:
        return check satisfies never;
    }
  }

  /** A tensor of the table that lies in this memory. */
  #tensorWith(storage: unknown): number {
    const found = this.#trace.tracer.lifted.find((l) => l.real.storage === storage && l.source !== null);
    return found === undefined ? refuse("a tensor that the function makes is compared") : this.#table.id(found.real);
  }

  #template(template: Template, seen: Set<number> = new Set()): StoredTemplate {
    const again = (t: Template): StoredTemplate => this.#template(t, seen);
    switch (template.kind) {
      case "value":
        return ["v", this.#table.literal(template.value)];
      case "result":
        return ["r", template.index];
      case "source":
        return ["s", template.index];
      case "sum":
        return ["+", template.index, template.terms.map((term) => this.#table.literal(term))];
      default:
        break;
    }
    const { id } = template;
    if (seen.has(id)) return ["#", id];
    seen.add(id);
    switch (template.kind) {
      case "array":
      case "set":
        return [template.kind, id, template.items.map(again)];
      case "map":
        return ["map", id, template.entries.map(([k, v]) => [again(k), again(v)])];
      case "object":
        return [
          "object",
          id,
          this.#table.literal(template.prototype),
          template.entries.map(([k, v]) => [this.#table.literal(k), again(v)]),
        ];
      default:
        return template satisfies never;
    }
  }

  #effect(effect: Effect): readonly [string, ...unknown[]] {
    const table = this.#table;
    // Objects with one number in several templates of a call are one object.
    const make = (t: Template): StoredTemplate => this.#template(t);
    switch (effect.kind) {
      case "set":
        return [effect.kind, make(effect.target), table.literal(effect.key), make(effect.value)];
      case "delete":
        return [effect.kind, make(effect.target), table.literal(effect.key)];
      case "fill":
        return [effect.kind, make(effect.target), make(effect.content)];
      case "append":
        return [effect.kind, make(effect.target), make(effect.items)];
      case "grad":
        return [effect.kind, make(effect.target), make(effect.value)];
      case "requiresGrad":
        return [effect.kind, make(effect.target), effect.value];
      case "spent":
        return [
          effect.kind,
          make(effect.target),
          effect.name,
          effect.need && [...effect.need.shape.map(Number), effect.need.version, effect.need.saved],
        ];
      case "call":
        return [effect.kind, table.literal(effect.object), effect.key, make(effect.args)];
      case "assign":
        return refuse("it assigns an outer variable");
      case "private":
        return refuse("it writes a private member");
      default:
        return effect satisfies never;
    }
  }
}

function isCompiled(value: unknown, fn: object): boolean {
  return typeof value === "function" && (Reflect.get(value, ORIGINAL) === fn || Reflect.get(value, REGION) === fn);
}

/** A tensor that the function wrote down. */
function constantData(t: Tensor): { readonly dtype: string; readonly shape: number[]; readonly data: string } {
  const shape = t.shape.map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  if (count > MOST_CONSTANTS || !t.isContiguous) refuse("it writes down a large constant");
  if (t.device !== cpu) refuse("it writes down a constant of another device");
  if (t.requiresGrad) refuse("it makes a tensor that requires a gradient");
  const raw = readElements(t);
  return { dtype: t.dtype.name, shape, data: new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength).toBase64() };
}
