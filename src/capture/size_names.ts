/**
 * Names under which programs look at the kind or the identity of a value, where a size of a trace must be its number.
 *
 * `rewrite.ts` puts a helper around such uses; a class that runs as it is and mentions one is not captured together with sizes that change.
 */

/** Methods that look things up by value: a size among their arguments must be its number. */
export const LOOKUPS = new Set([
  "includes",
  "indexOf",
  "lastIndexOf",
  "has",
  "get",
  "set",
  "delete",
  "is",
  "isInteger",
  "isSafeInteger",
  "isFinite",
  "isNaN",
  "hasOwn",
  "hasOwnProperty",
  "defineProperty",
]);

/** What methods look things up in: sizes in it must be their numbers. The helper, by the method's name. */
export const RECEIVERS: ReadonlyMap<string, string> = new Map([
  ["includes", "numbers"],
  ["indexOf", "numbers"],
  ["lastIndexOf", "numbers"],
  ["add", "members"],
  ["sort", "ordered"],
  ["toSorted", "numbers"],
]);

/** Arguments that are made into keys: the helper and the position, by the name of the function or class. */
export const KEYED: ReadonlyMap<string, readonly [string, number]> = new Map([
  ["Set", ["elements", 0]],
  ["Map", ["pairs", 0]],
  ["fromEntries", ["pairs", 0]],
  ["groupBy", ["keyed", 1]],
  ["Array", ["numbers", 0]],
  ...[
    "Int8",
    "Uint8",
    "Uint8Clamped",
    "Int16",
    "Uint16",
    "Int32",
    "Uint32",
    "Float16",
    "Float32",
    "Float64",
    "BigInt64",
    "BigUint64",
  ]
    .map((kind): [string, readonly [string, number]] => [`${kind}Array`, ["numbers", 0]]),
  ["structuredClone", ["deep", 0]],
  ["getOwnPropertyNames", ["listed", 0]],
  ["getOwnPropertySymbols", ["listed", 0]],
  ["ownKeys", ["listed", 0]],
  ["getOwnPropertyDescriptor", ["described", 0]],
  ["getOwnPropertyDescriptors", ["described", 0]],
]);

/** Methods that print: sizes in their object print as numbers. */
export const PRINTERS = new Set(["join", "toString", "toLocaleString", "toFixed", "toPrecision"]);

/** What a twin does not tell of its tensor, because graphs serve tensors of which it differs. */
export const UNTOLD = new Set(["storageOffset", "version", "isLeaf", "gradFn", "retainGrad"]);

/** Functions that take numbers. */
export const CONVERSIONS = new Set([
  "String",
  "Number",
  "BigInt",
  "Boolean",
  "Symbol",
  "parseInt",
  "parseFloat",
  "Array",
  "Object",
]);

/** Owners of functions that ask for the kind of a value. */
export const ASKERS = new Set(["Number", "Object"]);

/** Functions of their own that ask for it. */
export const ASKING = new Set(["Boolean", "structuredClone"]);

/** What numbers inherit, beside what prints them. */
export const INHERITED = new Set(["constructor", "toExponential"]);

/** Methods by which the engine converts an object, as they are written: what they return must be of the engine's own kinds. */
export const CONVERTERS: ReadonlySet<string> = new Set([
  "valueOf",
  "toString",
  "toJSON",
  "Symbol.toPrimitive",
  "toPrimitive",
]);

/** Properties so common elsewhere that nobody puts them on a tensor. */
export const ELSEWHERE: ReadonlySet<string> = new Set(["length", "prototype", "message", "done", "value"]);

/** Whether a member of this name may compare a size with numbers by identity or kind, or print it. */
export function looksAtKind(name: string): boolean {
  return LOOKUPS.has(name) || INHERITED.has(name) || CONVERTERS.has(name);
}
