/**
 * ATen schemas: `aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor`.
 *
 * Parsed once for each operator at run time ({@linkcode parseSchema}), and by TypeScript itself at compile time
 * ({@linkcode ArgsOf}), so that the one text is both the operator's identity in exported programs and the type of its
 * definition. Names become camelCase on the JavaScript side (`output_mask` is `outputMask`). Lists in defaults are
 * written without spaces (`[0,1]`). Mirrors PyTorch's `FunctionSchema`.
 */
import type { Device, DType } from "../core/mod.ts";
import type { Size, SymInt } from "../symbolic/mod.ts";

/** A plain number where ATen says Scalar. */
export type Scalar = number | bigint | boolean | SymInt;

/** The base type of an argument. */
export type SchemaType =
  | "Tensor"
  | "Scalar"
  | "int"
  | "bool"
  | "float"
  | "str"
  | "ScalarType"
  | "Layout"
  | "Device"
  | "MemoryFormat"
  | "Generator";

/** One argument of a schema. */
export interface SchemaArg {
  /** ATen's name, e.g. `output_mask`. */
  readonly name: string;
  /** The name in JavaScript, e.g. `outputMask`. */
  readonly key: string;
  readonly type: SchemaType;
  /** A list of `type`. */
  readonly list: boolean;
  /** For `int[2]`: a single number stands for a list of this length. */
  readonly listLength: number | null;
  readonly optional: boolean;
  /** Elements of the list may be null (`Tensor?[]`). */
  readonly optionalElements: boolean;
  readonly kwargOnly: boolean;
  readonly hasDefault: boolean;
  /** Default as plain data (null where the schema says None). */
  readonly defaultValue: SchemaDefault;
  /** The operator writes to this argument (`Tensor(a!)`). */
  readonly mutated: boolean;
  /** Results may alias this argument (`Tensor(a)` or `Tensor(a!)`). */
  readonly alias: string | null;
}

/** A default in a schema. */
export type SchemaDefault = null | number | boolean | string | readonly number[] | readonly boolean[];

/** One result of a schema. */
export interface SchemaReturn {
  readonly type: SchemaType;
  readonly list: boolean;
  readonly alias: string | null;
  readonly mutated: boolean;
}

/** A parsed schema. */
export interface Schema {
  /** `aten`, `prims`, `tessera`, or a user's namespace. */
  readonly namespace: string;
  /** e.g. `add`. */
  readonly name: string;
  /** e.g. `Tensor`; `default` where the schema names none. */
  readonly overload: string;
  /** As exported programs call it: `aten.add.Tensor`. */
  readonly target: string;
  readonly args: readonly SchemaArg[];
  readonly returns: readonly SchemaReturn[];
  readonly text: string;
}

const TYPE =
  /^(Tensor|Scalar|SymInt|int|bool|float|str|ScalarType|Layout|Device|MemoryFormat|Generator)(\((\w+)(!)?\))?(\?)?(?:(\[(\d*)\])(\?)?)?$/;

interface ParsedType {
  readonly type: SchemaType;
  readonly list: boolean;
  readonly listLength: number | null;
  readonly optional: boolean;
  readonly optionalElements: boolean;
  readonly alias: string | null;
  readonly mutated: boolean;
}

function parseType(text: string, where: string): ParsedType {
  const match = TYPE.exec(text);
  if (match === null) throw new TypeError(`schema of ${where}: cannot read the type "${text}"`);
  const list = match[6] !== undefined;
  const length = match[7];
  return {
    type: (match[1] === "SymInt" ? "int" : match[1]) as SchemaType,
    alias: match[3] ?? null,
    mutated: match[4] === "!",
    list,
    listLength: length === undefined || length === "" ? null : Number(length),
    optional: list ? match[8] === "?" : match[5] === "?",
    optionalElements: list && match[5] === "?",
  };
}

function parseDefault(text: string): SchemaDefault {
  if (text === "None") return null;
  if (text === "True") return true;
  if (text === "False") return false;
  if (text.startsWith("[")) {
    const inner = text.slice(1, -1);
    if (inner === "") return [];
    const items = inner.split(",").map((item) => parseDefault(item.trim()));
    return items as number[] | boolean[];
  }
  if (text === "inf") return Infinity;
  if (text === "-inf") return -Infinity;
  if (/^[+-]?[\d.]+(e[+-]?\d+)?$/.test(text)) return Number(text);
  return text.replace(/^["']|["']$/g, "");
}

/** `output_mask` → `outputMask`. */
export function camelCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])_([a-z0-9])/gi, (_, letter: string) => letter.toUpperCase());
}

/**
 * Parses an ATen schema.
 *
 * @throws {TypeError} naming the part that cannot be read.
 */
export function parseSchema(text: string): Schema {
  const match = /^(\w+)::(\w+)(?:\.(\w+))?\((.*)\) -> (.*)$/.exec(text);
  if (match === null) throw new TypeError(`not an ATen schema: "${text}"`);
  const [, namespace = "", name = "", overload = "default", argText = "", returnText = ""] = match;
  const where = `${namespace}::${name}.${overload}`;
  const args: SchemaArg[] = [];
  let kwargOnly = false;
  for (const part of argText === "" ? [] : argText.split(", ")) {
    if (part === "*") {
      kwargOnly = true;
      continue;
    }
    const arg = /^(\S+) (\w+)(?:=(.*))?$/.exec(part);
    if (arg === null) throw new TypeError(`schema of ${where}: cannot read the argument "${part}"`);
    const [, typeText = "", argName = "", defaultText] = arg;
    args.push({
      ...parseType(typeText, where),
      name: argName,
      key: camelCase(argName),
      kwargOnly,
      hasDefault: defaultText !== undefined,
      defaultValue: defaultText === undefined ? null : parseDefault(defaultText),
    });
  }
  const inner = returnText.startsWith("(") ? returnText.slice(1, -1) : returnText;
  const returns = inner === "" ? [] : inner.split(", ").map((part): SchemaReturn => {
    const { type, list, alias, mutated } = parseType(part.split(" ")[0] ?? "", where);
    return { type, list, alias, mutated };
  });
  return { namespace, name, overload, target: `${namespace}.${name}.${overload}`, args, returns, text };
}

// The same grammar for TypeScript.

type Trim<S extends string> = S extends ` ${infer R}` ? Trim<R> : S;

/** `output_mask` → `outputMask`, for types. */
export type CamelCase<S extends string> = S extends `${infer A}_${infer B}${infer R}`
  ? A extends "" ? `_${CamelCase<`${B}${R}`>}` : `${A}${Uppercase<B>}${CamelCase<R>}`
  : S;

type BaseType<S extends string, T> = S extends `${infer U}(${string}` ? BaseType<U, T>
  : S extends "Tensor" ? T
  : S extends "int" | "SymInt" ? Size
  : S extends "Scalar" ? Scalar
  : S extends "bool" ? boolean
  : S extends "float" ? number
  : S extends "ScalarType" ? DType
  : S extends "Device" ? Device
  : S extends "Generator" ? null
  : string;

type ArgType<S extends string, T> = S extends `${infer U}[${string}]?` ? readonly ArgType<U, T>[] | null
  : S extends `${infer U}[${string}]` ? readonly ArgType<U, T>[]
  : S extends `${infer U}?` ? BaseType<U, T> | null
  : BaseType<S, T>;

type OneArg<P extends string, T> = P extends `${infer Type} ${infer Name}=${string}`
  ? { readonly [K in CamelCase<Name>]: ArgType<Type, T> }
  : P extends `${infer Type} ${infer Name}` ? { readonly [K in CamelCase<Name>]: ArgType<Type, T> }
  : unknown;

type AllArgs<S extends string, T> = S extends `${infer P}, ${infer R}` ? OneArg<Trim<P>, T> & AllArgs<Trim<R>, T>
  : OneArg<Trim<S>, T>;

type Flatten<T> = { [K in keyof T]: T[K] };

/**
 * The arguments of a schema as an object, with `T` for tensors: what `meta`, `loop`, `vjp` and `decompose` of a
 * definition receive.
 */
export type ArgsOf<S extends string, T> = S extends `${string}(${infer A}) -> ${string}` ? Flatten<AllArgs<A, T>>
  : never;
