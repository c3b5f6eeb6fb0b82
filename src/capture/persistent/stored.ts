/**
 * The stored form of a capture: plain data, and how it is read back without trusting it.
 *
 * Whatever leaves a file goes through the readers of this page, which throw {@linkcode BadCapture} for anything that is not of the expected form; numbers that will
 * stand in generated guards are checked to be numbers. A value is a {@linkcode Literal}: plain JSON where it can be, a tagged list where JSON has no word for
 * it, and `["r", n]` for the nth object of the capture's table.
 */
import type { WrittenNeed } from "../../autograd/mod.ts";
import { types } from "node:util";
import type { StoredSymbol } from "../stored_sizes.ts";
import { sha256 } from "../../runtime/mod.ts";

/** Thrown when a stored capture cannot be used; the message says why. */
export class BadCapture extends Error {
  override readonly name: string = "BadCapture";
}

/** A value: primitives, or a reference to the table of objects. */
export type Literal = null | string | boolean | number | readonly [tag: string, value?: string | number];

/** How an object of the table is found. */
export type StoredPath =
  | readonly ["fn"]
  | readonly ["lib" | "global" | "engine", ...string[]]
  | readonly ["dtype" | "device", string]
  | readonly ["generator" | "state"]
  /** The value of a free name of a function of the table. */
  | readonly ["var", number, string]
  /** What stands at a source. */
  | readonly ["source", number]
  /** An own property of an object of the table, as it stands. */
  | readonly ["own", number, Literal, "value" | "get" | "set"]
  | readonly ["proto", number]
  /** The function behind a compiled one. */
  | readonly ["original", number];

/** Metadata of a tensor that is known by identity. */
export interface StoredTensor {
  readonly dtype: string;
  readonly device: string;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
  readonly offset: number;
  readonly flags: readonly [requiresGrad: boolean, isParameter: boolean, isLeaf: boolean, retainsGrad: boolean];
  /** Tensors with the same number share memory; others do not. */
  readonly storage: number;
}

/** One object of the table. */
export interface StoredValue {
  readonly path: StoredPath;
  readonly kind: string;
  /** Prototype, where the path does not say it. */
  readonly proto?: Literal;
  /** Hash of a function's text and name. */
  readonly text?: string;
  /** What leads from a class to its prototype, or back. */
  readonly link?: Literal;
  readonly tensor?: StoredTensor;
  /** Own properties of a frozen record of plain values. */
  readonly plain?: readonly (readonly [Literal, Literal])[];
}

/** A function of the user that ran: its free names with where they come from, and their values if they were looked at. */
export interface StoredFunction {
  readonly value: number;
  readonly free: readonly (readonly [name: string, kind: string, seen?: Literal])[];
}

/** A node of the source tree; parents stand before children. */
export interface StoredSource {
  readonly parent: number;
  readonly key: readonly [kind: string, a?: Literal, b?: Literal];
  readonly checks: readonly StoredCheck[];
}

/** A check as a list: kind, then what it needs. */
export type StoredCheck = readonly [kind: string, ...unknown[]];

/** A template as a list. */
export type StoredTemplate = readonly [kind: string, ...unknown[]];

/** An attribute: a path and an object of the table, or the data that the function wrote down. */
export type StoredAttribute = readonly [
  path: string,
  value: number | { readonly dtype: string; readonly shape: readonly number[]; readonly data: string },
];

/** A whole capture. */
export interface StoredCapture {
  readonly files: readonly (readonly [url: string, hash: string | null])[];
  readonly values: readonly StoredValue[];
  readonly functions: readonly StoredFunction[];
  readonly sources: readonly StoredSource[];
  readonly wanted: readonly number[];
  readonly inputs: number;
  /** Which inputs are numbers. */
  readonly numbers: readonly number[];
  readonly attributes: readonly StoredAttribute[];
  readonly apart: readonly {
    readonly source: number;
    readonly others: readonly number[];
    readonly storages: readonly number[];
  }[];
  readonly distinct: readonly { readonly sources: readonly number[]; readonly from: readonly number[] }[];
  readonly output: StoredTemplate;
  readonly effects: readonly (readonly [kind: string, ...unknown[]])[];
  readonly remarks: readonly string[];
  readonly program: string;
  /** Sizes that are symbols, and what was assumed of them, each with its sentence. */
  readonly symbols: readonly StoredSymbol[];
  readonly shapeGuards: readonly (readonly [condition: string, reason: string])[];
}

const SPECIAL: Readonly<Record<string, number>> = { NaN, Infinity, "-Infinity": -Infinity, "-0": -0 };

/** The literal of a primitive or well-known symbol; null if there is none. Objects are for the caller. */
export function primitiveLiteral(value: unknown): { readonly literal: Literal } | null {
  switch (typeof value) {
    case "string":
    case "boolean":
      return { literal: value };
    case "number":
      if (Object.is(value, -0)) return { literal: ["n", "-0"] };
      return { literal: Number.isFinite(value) ? value : ["n", String(value)] };
    case "undefined":
      return { literal: ["u"] };
    case "bigint":
      return { literal: ["b", String(value)] };
    case "symbol": {
      const key = Symbol.keyFor(value);
      if (key !== undefined) return { literal: ["sf", key] };
      const name = /^Symbol\(Symbol\.(\w+)\)$/.exec(String(value))?.[1];
      return name !== undefined && Reflect.get(Symbol, name) === value ? { literal: ["sw", name] } : null;
    }
    default:
      return value === null ? { literal: null } : null;
  }
}

/** The value of a literal; `object` gives the objects of the table. */
export function literalValue(literal: unknown, object: (id: number) => object): unknown {
  if (!Array.isArray(literal)) {
    if (typeof literal === "object" && literal !== null) throw new BadCapture("a literal is an object");
    return literal;
  }
  const [tag, value] = literal as readonly unknown[];
  switch (tag) {
    case "r":
      return object(wholeNumber(value));
    case "u":
      return undefined;
    case "n": {
      const found = SPECIAL[text(value)];
      if (found === undefined) throw new BadCapture(`no number ${String(value)}`);
      return found;
    }
    case "b":
      return BigInt(text(value));
    case "sf":
      return Symbol.for(text(value));
    case "sw": {
      const symbol: unknown = Reflect.get(Symbol, text(value));
      if (typeof symbol !== "symbol") throw new BadCapture(`no symbol ${String(value)}`);
      return symbol;
    }
    default:
      throw new BadCapture(`no literal of kind ${String(tag)}`);
  }
}

/** A whole number of at least 0. */
export function wholeNumber(value: unknown, most: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > most) {
    throw new BadCapture(`${String(value)} stands where a whole number up to ${most} belongs`);
  }
  return value;
}

/** A text. */
export function text(value: unknown): string {
  if (typeof value !== "string") throw new BadCapture(`${String(value)} stands where a text belongs`);
  return value;
}

/** True or false. */
export function flag(value: unknown): boolean {
  if (typeof value !== "boolean") throw new BadCapture(`${String(value)} stands where true or false belongs`);
  return value;
}

/** A list, each item read by `read`. */
export function list<T>(value: unknown, read: (item: unknown) => T): T[] {
  if (!Array.isArray(value)) throw new BadCapture(`${String(value)} stands where a list belongs`);
  return value.map((item) => read(item));
}

/** What a step of the tape needs that was written since: its sizes, then both versions. Null if there is nothing. */
export function writtenNeed(value: unknown): WrittenNeed | null {
  if (value === null) return null;
  const numbers = list(value, (item) => wholeNumber(item));
  const [version, saved] = numbers.slice(-2);
  if (version === undefined || saved === undefined) {
    throw new BadCapture("the versions of a written tensor are missing");
  }
  return { shape: numbers.slice(0, -2), version, saved };
}

/** What a function is, as far as the program can see it without calling it. */
// deno-lint-ignore ban-types
export function functionHash(fn: Function): string {
  const own = (key: string): unknown => Reflect.getOwnPropertyDescriptor(fn, key)?.value;
  const name = own("name");
  return sha256(JSON.stringify([Function.prototype.toString.call(fn), typeof name === "string" ? name : null]));
}

/** The prototype of a class, the class of a prototype; null for what is neither. */
export function classLink(value: object): { readonly key: string; readonly value: object } | null {
  const isClass = typeof value === "function";
  const key = isClass ? "prototype" : "constructor";
  const found: unknown = Reflect.getOwnPropertyDescriptor(value, key)?.value;
  if (isClass) {
    return typeof found === "object" && found !== null && Object.hasOwn(found, "constructor")
      ? { key, value: found }
      : null;
  }
  return typeof found === "function" ? { key, value: found } : null;
}

/** What a value is to a trace, beside its properties. */
export function kindOf(value: object): string {
  if (typeof value === "function") return "function";
  if (Array.isArray(value)) return "array";
  return types.isModuleNamespaceObject(value) ? "module" : collectionKind(value);
}

function collectionKind(value: object): string {
  if (value instanceof Map) return "map";
  if (value instanceof Set) return "set";
  if (value instanceof WeakMap) return "weakmap";
  return value instanceof WeakSet ? "weakset" : "object";
}
