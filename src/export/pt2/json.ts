/**
 * JSON from a file, read by hand-written checks whose errors name the place: `graph.nodes[12].inputs[0].arg: must be a text, is 3`.
 *
 * A {@linkcode JsonCursor} is a value and how it was reached; the place is only spelled out when something is wrong. Integers beyond 2^53
 * arrive as bigints, exact. Unknown fields are nobody's business here, so newer files with more of them can be read.
 */
import { FormatError, quoteName } from "../zip/archive.ts";

const MAX_DEPTH = 400;

/** V8 gives revivers the source text of a number; TypeScript's library does not know of it yet. */
type SourceReviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** Parses JSON; integers that a number cannot hold become bigints. @throws {FormatError} */
export function parseJson(text: string, label: string): unknown {
  checkDepth(text, label);
  try {
    // Only texts with sixteen digits in a row can hold such integers: the reviver makes parsing several times slower.
    if (!/\d{16}/.test(text)) return JSON.parse(text);
    const revive: SourceReviver = (_, value, context) =>
      typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
        ? BigInt(context.source ?? 0)
        : value;
    return JSON.parse(text, revive as (this: unknown, key: string, value: unknown) => unknown);
  } catch (error) {
    throw new FormatError(`${label}: no readable JSON: ${error instanceof Error ? error.message : error}`);
  }
}

/** Refuses nesting that would exhaust the stack of whoever walks the result. */
function checkDepth(text: string, label: string): void {
  let depth = 0, inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > MAX_DEPTH) throw new FormatError(`${label}: JSON nested deeper than ${MAX_DEPTH}`);
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
}

function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? `the text ${quoteName(value)}` : String(value);
}

/** A value of a JSON document and the way to it. */
export class JsonCursor {
  readonly value: unknown;
  readonly #parent: JsonCursor | null;
  readonly #step: string | number;

  /** The root; `label` starts every place in errors. */
  constructor(value: unknown, label: string);
  constructor(value: unknown, step: string | number, parent: JsonCursor | null);
  constructor(value: unknown, step: string | number, parent: JsonCursor | null = null) {
    this.value = value;
    this.#step = step;
    this.#parent = parent;
  }

  /** `file: graph.nodes[12]`. */
  get place(): string {
    const [root, ...steps] = this.#steps();
    let path = "";
    for (const step of steps) {
      if (typeof step === "number") path += `[${step}]`;
      else if (/^\w{1,80}$/.test(step)) path += path === "" ? step : `.${step}`;
      else path += `[${quoteName(step)}]`;
    }
    return path === "" ? String(root) : `${root}: ${path}`;
  }

  #steps(): (string | number)[] {
    return this.#parent === null ? [this.#step] : [...this.#parent.#steps(), this.#step];
  }

  /** Throws with the place. */
  fail(what: string): never {
    throw new FormatError(`${this.place}: ${what}`);
  }

  #wrong(wanted: string): never {
    this.fail(`must be ${wanted}, is ${describe(this.value)}`);
  }

  get isNull(): boolean {
    return this.value === null || this.value === undefined;
  }

  #object(): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.#wrong("an object");
    return value as Readonly<Record<string, unknown>>;
  }

  /** A field; its value is undefined if there is none. */
  get(key: string): JsonCursor {
    const object = this.#object();
    return new JsonCursor(Object.hasOwn(object, key) ? object[key] : undefined, key, this);
  }

  /** Fields in order. */
  fields(): [string, JsonCursor][] {
    return Object.entries(this.#object()).map(([key, value]) => [key, new JsonCursor(value, key, this)]);
  }

  /** Elements of a list. */
  items(): JsonCursor[] {
    if (!Array.isArray(this.value)) this.#wrong("a list");
    return (this.value as readonly unknown[]).map((value, i) => new JsonCursor(value, i, this));
  }

  /** Elements of a list, read by `read`. */
  list<T>(read: (item: JsonCursor) => T): T[] {
    return this.items().map(read);
  }

  /** `read`, or null where the field is null or missing. */
  optional<T>(read: (cursor: JsonCursor) => T): T | null {
    return this.isNull ? null : read(this);
  }

  string(): string {
    return typeof this.value === "string" ? this.value : this.#wrong("a text");
  }

  boolean(): boolean {
    return typeof this.value === "boolean" ? this.value : this.#wrong("true or false");
  }

  /** A whole number, as a bigint where it is beyond 2^53. */
  integer(): number | bigint {
    const { value } = this;
    if (typeof value === "bigint" || Number.isSafeInteger(value)) return value as number | bigint;
    return this.#wrong("a whole number");
  }

  /** A whole number of at least 0 and below 2^53. */
  size(): number {
    const value = this.integer();
    return typeof value === "number" && value >= 0 ? value : this.#wrong("a size");
  }

  /** A number; the texts `NaN`, `Infinity` and `-Infinity` stand for what JSON cannot write. */
  float(): number {
    const { value } = this;
    if (typeof value === "number") return value;
    if (typeof value === "bigint") return Number(value);
    if (value === "NaN") return NaN;
    if (value === "Infinity") return Infinity;
    if (value === "-Infinity") return -Infinity;
    return this.#wrong("a number");
  }

  /** The one field of a tagged union that is there. */
  tagged(): [string, JsonCursor] {
    const present = Object.entries(this.#object()).filter(([, v]) => v !== null);
    const [only, second] = present;
    if (only === undefined || second !== undefined) {
      this.fail(
        `must have exactly one field, has ${
          present.length === 0 ? "none" : present.map(([k]) => quoteName(k)).slice(0, 4).join(", ")
        }`,
      );
    }
    return [only[0], new JsonCursor(only[1], only[0], this)];
  }
}
