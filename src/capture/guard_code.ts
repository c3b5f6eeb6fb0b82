/**
 * Guards as code: all checks of a trace become one JavaScript function.
 *
 * Enters: the source tree of a trace, its size conditions, and the sources whose values the call needs. Leaves: a function of (arguments, this, values)
 * that returns -1 and fills `values`, or the number of the check that failed, and a sentence for each check. Every source is read once; checks stand in the order
 * arguments, known objects, stated captures, closures, so that the cheap and most often failing ones come first. Text comes from
 * this file and from JSON literals only; every other value is an entry of a table. Mirrors `torch._dynamo.guards`.
 */
import { getDefaultDtype, numericsKey } from "../core/mod.ts";
import { type Expr, javascriptDialect, printBool, printExpr, type Sym, toText } from "../symbolic/mod.ts";
import { autocastKey, isGradEnabled, Tensor } from "../tensor/mod.ts";
import type { Check, TensorCheck } from "./checks.ts";
import { GradFlags } from "./grad_flags.ts";
import { guardHelpers } from "./guard_helpers.ts";
import { loopText } from "./guard_loops.ts";
import type { CompiledGuard, GuardFunction, GuardInput } from "./guard_types.ts";
import type { ShapeGuard } from "./shape_env.ts";
import type { Source } from "./source.ts";

const ROOT_ORDER = ["arguments", "argument", "this", "constant", "capture", "binding"];

/** V8 does not optimise very long functions: guards are cut into functions of about this many lines. Longer ones are asked as loops. */
const CHUNK_LINES = 300;
/** Pairs of inputs that may not share memory from which on they are looked up in a set. */
const MANY_PAIRS = 64;

class Emitter {
  /** Whether only the answer counts, and not which check it was: lines are as alike as they can be. */
  readonly #brief: boolean;
  /** Lists that hold values of many sources while a brief guard runs. */
  lists = 0;
  /** The bodies of the functions that make up the guard; the last one is being written. */
  readonly #chunks: string[][] = [[]];
  /** Checks that compare several sources stand at the end. */
  readonly #late: (() => void)[] = [];
  readonly constants: unknown[] = [];
  readonly sentences: string[] = [];
  readonly ofSizes: boolean[] = [];
  readonly #constantAt = new Map<unknown, number>();
  /** Variables of the current chunk. */
  #names = new Map<Source, string>();
  #scopes = new Map<unknown, string>();
  #sizes = new Map<Sym, string>();
  /** Tensors known by identity, and what their `requiresGrad` must be. */
  readonly #flags = new Map<Tensor, boolean>();
  /** Where a size is read. */
  readonly #sizeAt = new Map<Sym, { readonly source: Source; readonly dim: number }>();
  #next = 0;

  constructor(brief = false) {
    this.#brief = brief;
  }

  get #lines(): string[] {
    return this.#chunks[this.#chunks.length - 1] as string[];
  }

  #startChunk(): void {
    this.#chunks.push([]);
    this.#names = new Map();
    this.#scopes = new Map();
    this.#sizes = new Map();
  }

  #constant(value: unknown): string {
    let at = this.#constantAt.get(value);
    if (at === undefined) this.#constantAt.set(value, at = this.constants.push(value) - 1);
    return `c[${at}]`;
  }

  #literal(value: unknown): string {
    switch (typeof value) {
      case "string":
        return JSON.stringify(value);
      case "number":
      case "boolean":
      case "undefined":
        return String(value);
      default:
        return value === null ? "null" : this.#constant(value);
    }
  }

  /** Fails with the next number where `condition` (a text) is true. */
  #fail(condition: string, sentence: string, ofSize = false): void {
    this.#lines.push(`if (${condition}) return ${this.#brief ? "false" : this.sentences.length};`);
    this.sentences.push(sentence);
    this.ofSizes.push(ofSize);
  }

  #define(text: string): string {
    const name = `v${this.#next++}`;
    this.#lines.push(`const ${name} = ${text};`);
    return name;
  }

  #read(source: Source, base: string): string {
    const { key } = source;
    switch (key.kind) {
      case "arguments":
        return "a";
      case "argument":
        return `a[${key.index}]`;
      case "this":
        return "t";
      case "constant":
        return this.#constant(key.value);
      case "capture":
        return `k[${JSON.stringify(key.name)}]`;
      case "binding": {
        let scopes = this.#scopes.get(key.fn);
        if (scopes === undefined) {
          scopes = this.#define(`h.scopes(${this.#constant(key.fn)})`);
          this.#scopes.set(key.fn, scopes);
        }
        return `${scopes}.get(${JSON.stringify(key.name)})`;
      }
      case "property":
        if (typeof key.key === "symbol") return `${base}[${this.#constant(key.key)}]`;
        return /^(0|[1-9]\d*)$/.test(key.key) ? `${base}[${key.key}]` : `${base}[${JSON.stringify(key.key)}]`;
      case "mapValue":
        return `h.get(${base}, ${this.#literal(key.key)})`;
      case "item":
        return `h.nth(${base}, ${key.index})`;
      case "private":
        return `h.hidden(${this.#constant(key.read)}, ${base})`;
      case "grad":
        return `(${base}.autograd === null ? null : ${base}.autograd.grad)`;
      default:
        return key satisfies never;
    }
  }

  /** The name under which a source's value stands; emits its read and its checks, then those below it. */
  source(source: Source): void {
    if (!this.#brief && this.#lines.length > CHUNK_LINES) this.#startChunk();
    const name = this.nameOf(source);
    for (const check of source.checks) this.#check(source, name, check);
    for (const child of source.children) this.source(child);
  }

  nameOf(source: Source): string {
    const found = this.#names.get(source);
    if (found !== undefined) return found;
    const base = source.parent === null ? "" : this.nameOf(source.parent);
    const name = this.#define(this.#read(source, base));
    this.#names.set(source, name);
    return name;
  }

  #check(source: Source, v: string, check: Check): void {
    const { value } = check as { readonly value?: unknown };
    switch (check.kind) {
      case "identical": {
        const plain = typeof value === "number" && (Number.isNaN(value) || value === 0);
        const condition = plain
          ? `!h.is(${v}, ${Object.is(value, -0) ? "-0" : value})`
          : `${v} !== ${this.#literal(value)}`;
        const isPlain = (typeof value !== "object" || value === null) && typeof value !== "function";
        this.#fail(condition, `${source} ${isPlain ? "was" : "is no longer"} ${describe(value)}`);
        break;
      }
      case "same":
        this.#late.push(() =>
          this.#fail(
            `${this.nameOf(source)} !== ${this.nameOf(check.other)}`,
            `${source} and ${check.other} are no longer the same`,
          )
        );
        break;
      case "prototype": {
        const type = check.prototype?.constructor?.name ?? "null";
        // A Proxy that comes with the call would answer for the object behind it, and its traps would run.
        const comesAlone = source.key.kind === "argument" || source.key.kind === "this";
        const proxy = comesAlone ? `h.isProxy(${v}) || ` : "";
        this.#fail(
          `${proxy}h.proto(${v}) !== ${this.#literal(check.prototype)}`,
          `${source} is no longer a plain ${type}`,
        );
        break;
      }
      case "length":
        this.#fail(`${v}.length !== ${check.length}`, `${source}.length was ${check.length}`);
        break;
      case "keys":
        this.#fail(
          `!h.keys(${v}, ${this.#constant(check.keys)}, ${check.symbols})`,
          `the keys of ${source} were ${check.keys.join(", ")}`,
        );
        break;
      case "allKeys":
        this.#fail(
          `!h.allKeys(${v}, ${this.#constant(check.keys)})`,
          `all keys of ${source} were ${check.keys.map(String).join(", ")}`,
        );
        break;
      case "own":
        this.#fail(
          `h.own(${v}, ${this.#literal(check.key)}) !== ${check.present}`,
          `${source} ${check.present ? "had" : "did not have"} a property ${String(check.key)} of its own`,
        );
        break;
      case "has":
        this.#fail(
          `h.has(${v}, ${this.#literal(check.key)}) !== ${check.present}`,
          `${source} ${check.present ? "had" : "did not have"} the property ${String(check.key)}`,
        );
        break;
      case "size":
        this.#fail(`h.size(${v}) !== ${check.size}`, `${source}.size was ${check.size}`);
        break;
      case "member":
        this.#fail(
          `h.member(${v}, ${this.#literal(check.key)}) !== ${check.present}`,
          `${source} ${check.present ? "had" : "did not have"} the entry ${describe(check.key)}`,
        );
        break;
      case "requiresGrad":
        if (this.#brief && this.#isSettled(source, check.value)) break;
        this.#fail(`${v}.requiresGrad !== ${check.value}`, `${source}.requiresGrad was ${check.value}`);
        break;
      case "getter":
        this.#fail(
          `h.getter(${v}, ${this.#constant(check.key)}) !== ${this.#constant(check.getter)}`,
          `the getter of ${source}.${String(check.key)} was another one`,
        );
        break;
      case "setter":
        this.#fail(
          `h.setter(${v}, ${this.#constant(check.key)}) !== ${this.#constant(check.setter)}`,
          `writing ${source}.${String(check.key)} did something else`,
        );
        break;
      case "unhooked":
        this.#fail(`h.hooked(${v})`, `${source} had no hook on its gradient`);
        break;
      case "number":
        this.#fail(`typeof ${v} !== "number"`, `${source} was a number`);
        break;
      case "tensor":
        this.#tensor(source, v, check);
        break;
      default:
        check satisfies never;
    }
  }

  /** Whether the flag is that of a known tensor, and so need not be looked at in each call. */
  #isSettled(source: Source, requiresGrad: boolean): boolean {
    for (const check of source.checks) {
      if (check.kind !== "identical" || !(check.value instanceof Tensor)) continue;
      const known = this.#flags.get(check.value);
      this.#flags.set(check.value, known ?? requiresGrad);
      return known === undefined || known === requiresGrad;
    }
    return false;
  }

  #tensor(source: Source, v: string, check: TensorCheck): void {
    const { dtype, device } = check;
    this.#fail(`!h.isTensor(${v})`, `${source} was a tensor`);
    this.#fail(`${v}.dtype !== ${this.#constant(dtype)}`, `${source}.dtype was ${dtype.name}`);
    const isStatic = [...check.shape, ...check.stride].every((s) => s?.kind === "const");
    if (this.#brief && isStatic) {
      for (const [name, sizes] of [["shape", check.shape], ["stride", check.stride]] as const) {
        const numbers = sizes.map((s) => s?.kind === "const" ? s.value : NaN);
        this.#fail(`!h.sizes(${v}.${name}, ${this.#constant(numbers)})`, "");
      }
      this.#fail(`${v}.device !== ${this.#constant(device)} || ${v}.requiresGrad !== ${check.requiresGrad}`, "");
      return;
    }
    const shape = this.#define(`${v}.shape`);
    this.#fail(`${shape}.length !== ${check.shape.length}`, `${source} had ${check.shape.length} dimensions`);
    check.shape.forEach((size, d) => this.#size(size, `${shape}[${d}]`, source, d));
    if (check.stride.every((s) => s === null || s.kind === "const")) this.#stride(source, check);
    else this.#late.push(() => this.#stride(source, check));
    this.#fail(`${v}.device !== ${this.#constant(device)}`, `${source}.device was ${device}`);
    this.#fail(`${v}.requiresGrad !== ${check.requiresGrad}`, `${source}.requiresGrad was ${check.requiresGrad}`);
  }

  #stride(source: Source, check: TensorCheck): void {
    if (check.stride.every((s) => s === null)) return;
    const stride = this.#define(`${this.nameOf(source)}.stride`);
    const conditions = check.stride.flatMap((s, d) => s === null ? [] : [`${stride}[${d}] !== ${this.#expression(s)}`]);
    const strides = check.stride.map((s) => s === null ? "any" : toText(s)).join(", ");
    this.#fail(conditions.join(" || "), `${source}.stride was [${strides}]`, true);
  }

  #size(size: Expr, read: string, source: Source, dim: number): void {
    const place = `${source}.shape[${dim}]`;
    if (size.kind !== "symbol") {
      this.#fail(`${read} !== ${this.#expression(size)}`, `${place} was ${toText(size)}`, true);
      return;
    }
    const sym = size.symbol;
    if (this.#sizeAt.has(sym)) {
      this.#fail(`${read} !== ${this.#sizeName(sym)}`, `${place} was the same size ${sym.name} as another`, true);
      return;
    }
    const name = this.#define(read);
    this.#sizes.set(sym, name);
    this.#sizeAt.set(sym, { source, dim });
    if (sym.lower > 0) this.#fail(`${name} < ${sym.lower}`, `${place} was at least ${sym.lower}`, true);
    if (Number.isFinite(sym.upper)) this.#fail(`${name} > ${sym.upper}`, `${place} was at most ${sym.upper}`, true);
  }

  /** The variable that holds a size in the current chunk. */
  #sizeName(sym: Sym): string {
    const known = this.#sizes.get(sym);
    if (known !== undefined) return known;
    const at = this.#sizeAt.get(sym);
    if (at === undefined) return "NaN";
    const name = this.#define(`${this.nameOf(at.source)}.shape[${at.dim}]`);
    this.#sizes.set(sym, name);
    return name;
  }

  #dialect(): ReturnType<typeof javascriptDialect> {
    return javascriptDialect({ symbol: (s) => this.#sizeName(s) });
  }

  #expression(e: Expr): string {
    return e.kind === "const" ? String(e.value) : `(${printExpr(e, this.#dialect())})`;
  }

  shapeGuard(guard: ShapeGuard): void {
    const at = guard.location === null ? "" : ` (${guard.location.file}:${guard.location.line})`;
    this.#late.push(() =>
      this.#fail(
        `!(${printBool(guard.condition, this.#dialect())})`,
        `${toText(guard.condition)} held, from ${guard.reason}${at}`,
        true,
      )
    );
  }

  apart(source: Source, others: readonly Source[], storages: ReadonlySet<unknown>): void {
    this.#late.push(() => {
      const v = this.nameOf(source);
      for (const other of others) {
        const w = this.nameOf(other);
        this.#fail(`${v}.storage === ${w}.storage`, `${source} and ${other} did not share memory`);
      }
      if (storages.size === 0) return;
      this.#fail(`${this.#constant(storages)}.has(${v}.storage)`, `${source} shared no memory with what is written`);
    });
  }

  /** Many inputs and what is written of them: one look-up each. */
  apartByLookUp(all: GuardInput["apart"]): void {
    const written = new Set(all.flatMap(({ others }) => others));
    this.#late.push(() => {
      const own = this.#listOf([...written], (v) => `${v}.storage`);
      const storages = this.#define(`new Set(${own})`);
      this.#fail(`${storages}.size !== ${written.size}`, "inputs that are written did not share memory");
      for (const { source } of all) {
        if (written.has(source)) continue;
        const v = this.nameOf(source);
        this.#fail(`${storages}.has(${v}.storage)`, `${source} shared no memory with inputs that are written`);
      }
    });
    for (const { source, storages } of all) this.apart(source, [], storages);
  }

  /** A list of what is read from sources. */
  #listOf(sources: readonly Source[], read: (v: string) => string = (v) => v): string {
    if (!this.#brief) return `[${sources.map((s) => read(this.nameOf(s))).join(", ")}]`;
    const name = `l${this.lists++}`;
    for (const s of sources) this.#lines.push(`${name}.push(${read(this.nameOf(s))});`);
    return name;
  }

  /** Different objects stay different. */
  distinct(sources: readonly Source[], from: ReadonlySet<unknown>): void {
    this.#late.push(() => {
      const list = sources.map(String).join(", ");
      const sentence = `${list} were different objects`;
      if (this.#brief) {
        if (sources.length > 1) this.#fail(`!h.distinct(${this.#listOf(sources)})`, sentence);
        for (const s of from.size === 0 ? [] : sources) {
          this.#fail(`${this.#constant(from)}.has(${this.nameOf(s)})`, "");
        }
        return;
      }
      const names = sources.map((s) => this.nameOf(s));
      if (names.length > 1 && names.length <= 4) {
        const pairs = names.flatMap((a, i) => names.slice(i + 1).map((b) => `${a} === ${b}`));
        this.#fail(pairs.join(" || "), sentence);
      } else if (names.length > 1) this.#fail(`!h.distinct([${names.join(", ")}])`, sentence);
      if (from.size === 0) return;
      const set = this.#constant(from);
      this.#fail(
        names.map((n) => `${set}.has(${n})`).join(" || "),
        `${list} was none of the objects known by identity`,
      );
    });
  }

  /** Global state and the number of arguments. */
  prologue(argumentCount: number): void {
    this.#fail(`a.length !== ${argumentCount}`, `the function was called with ${argumentCount} arguments`);
    const enabled = isGradEnabled();
    this.#fail(`h.gradEnabled() !== ${enabled}`, `gradients were ${enabled ? "on" : "off"}`);
    const casts = autocastKey();
    this.#fail(`h.autocast() !== ${JSON.stringify(casts)}`, `autocast was ${casts === "" ? "off" : `on (${casts})`}`);
    const numerics = numericsKey();
    this.#fail(
      `h.numerics() !== "${numerics}"`,
      `the precision of products of float32, or determinism, was ${numerics === "" ? "as at the start" : numerics}`,
    );
    const dtype = getDefaultDtype();
    this.#fail(`h.defaultDtype() !== ${this.#constant(dtype)}`, `the default dtype was ${dtype.name}`);
  }

  /** All statements in order. */
  get allLines(): readonly string[] {
    return this.#chunks.flat();
  }

  /** Writes what stands at the end. */
  finish(wanted: readonly Source[]): void {
    if (this.#brief) this.#startChunk();
    if (this.#flags.size > 0) this.#fail(`!${this.#constant(new GradFlags(this.#flags))}.hold()`, "");
    for (const emit of this.#late) emit();
    wanted.forEach((s, i) => this.#lines.push(`values[${i}] = ${this.nameOf(s)};`));
  }

  /** The text of the whole guard. */
  text(hasCaptures: boolean): string {
    const parts = this.#chunks.map((lines, i) =>
      `function guard${i}(a, t, values, k) {\n${lines.map((l) => `  ${l}\n`).join("")}  return -1;\n}`
    );
    const captures = hasCaptures ? "captures()" : "null";
    if (parts.length === 1 && !hasCaptures) return `${parts[0]}\nreturn guard0;`;
    const calls = parts.map((_, i) => `  r = guard${i}(a, t, values, k);\n  if (r !== -1) return r;\n`).join("");
    return `${
      parts.join("\n")
    }\nreturn function guard(a, t, values) {\n  const k = ${captures};\n  let r = -1;\n${calls}  return -1;\n};`;
  }
}

function emitterFor(input: GuardInput, brief: boolean): Emitter {
  const emitter = new Emitter(brief);
  emitter.prologue(input.argumentCount);
  const rank = (s: Source): number => ROOT_ORDER.indexOf(s.key.kind);
  const roots = [...input.roots].sort((a, b) => rank(a) - rank(b));
  for (const root of roots) emitter.source(root);
  for (const guard of input.shapeGuards) emitter.shapeGuard(guard);
  for (const { sources, from } of input.distinct) emitter.distinct(sources, from);
  if (input.apart.reduce((n, { others }) => n + others.length, 0) > MANY_PAIRS) emitter.apartByLookUp(input.apart);
  else for (const { source, others, storages } of input.apart) emitter.apart(source, others, storages);
  emitter.finish(input.wanted);
  return emitter;
}

function made<F>(text: string, constants: readonly unknown[], captures: GuardInput["captures"]): F {
  const make = new Function("c", "h", "captures", text) as (
    c: readonly unknown[],
    h: typeof guardHelpers,
    captures: GuardInput["captures"],
  ) => F;
  return make(constants, guardHelpers, captures);
}

/** Compiles the checks of a trace. */
export function compileGuards(input: GuardInput): CompiledGuard {
  const emitter = emitterFor(input, false);
  const { constants, sentences, ofSizes, allLines: lines } = emitter;
  const hasCaptures = input.captures !== null;
  const text = emitter.text(hasCaptures);
  const rest = { sentences, ofSizes, text, lines, constants };
  if (lines.length <= CHUNK_LINES) {
    const run = made<GuardFunction>(text, constants, input.captures);
    return { run, holds: (args, self, values) => run(args, self, values) === -1, ...rest };
  }
  let own: GuardFunction | null = null;
  const run: GuardFunction = (args, self, values) => {
    own ??= made<GuardFunction>(text, constants, input.captures);
    return own(args, self, values);
  };
  const brief = emitterFor(input, true);
  const loops = loopText(brief.allLines, brief.constants, brief.lists, hasCaptures);
  return { run, holds: made<CompiledGuard["holds"]>(loops, brief.constants, input.captures), ...rest };
}

function describe(value: unknown): string {
  if (value instanceof Tensor) return `the same tensor`;
  if (typeof value === "function") return `the function ${value.name || "(anonymous)"}`;
  if (typeof value === "object" && value !== null) return "the same object";
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
