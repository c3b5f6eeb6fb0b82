/**
 * From what a caller wrote to the complete, checked arguments of one operator.
 *
 * A call is positional arguments in schema order, then optionally one plain object with named ones. For each base name (`add`) the overloads'
 * checks are compiled once into a list; the first overload all of whose arguments fit exactly wins, else the first one that fits with numbers
 * standing in Tensor slots. What leaves has every key of the schema, in schema order.
 */
import { type Device, device, type DType, dtypeFromName, dtypes } from "../core/mod.ts";
import { camelCase, type SchemaArg } from "../graph/mod.ts";
import { type ArgValue, type NamedArgs, type Operator, overloadsOf } from "../ops/mod.ts";
import { isSymInt } from "../symbolic/mod.ts";
import { Tensor } from "./tensor.ts";

const allDtypes: ReadonlySet<unknown> = new Set(dtypes);

/** Tells whether a value is an element type. */
export function isDType(value: unknown): value is DType {
  return allDtypes.has(value);
}

function isDevice(value: unknown): value is Device {
  return typeof value === "object" && value !== null && "type" in value && "index" in value && Object.isFrozen(value);
}

/** Tells whether a value names a device. */
export function isDeviceLike(value: unknown): value is Device | string {
  return typeof value === "string" || isDevice(value);
}

/** @throws {TypeError} if a size is not an array: `zeros(2, 3)` instead of `zeros([2, 3])`. */
export function checkSize(where: string, size: unknown): void {
  if (Array.isArray(size)) {
    if (size.every((n) => typeof n !== "number" || Number.isInteger(n))) return;
    throw new TypeError(
      `${where}: sizes are whole numbers, got [${
        size.join(", ")
      }]; round with Math.floor(), Math.ceil() or Math.round()`,
    );
  }
  const given = size instanceof Tensor ? "a tensor" : String(size);
  throw new TypeError(`${where}: the size must be an array, as in ${where}([2, 3]), got ${given}`);
}

/** A last argument with named arguments: a plain object that is nothing else. */
function isOptions(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  if (value instanceof Tensor || isDType(value) || isDevice(value)) return false;
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

/** How well a value fits: not at all, by conversion, exactly. */
type Fit = 0 | 1 | 2;

function isNumber(v: unknown): boolean {
  return typeof v === "number" || typeof v === "bigint" || typeof v === "boolean" || isSymInt(v);
}

function fitOne(arg: SchemaArg, v: unknown): Fit {
  switch (arg.type) {
    case "Tensor":
      return v instanceof Tensor ? 2 : isNumber(v) ? 1 : 0;
    case "Scalar":
      return isNumber(v) ? 2 : v instanceof Tensor && v.wrapped !== null ? 1 : 0;
    case "int":
      return (typeof v === "number" && Number.isInteger(v)) || isSymInt(v) ? 2 : typeof v === "bigint" ? 1 : 0;
    case "float":
      return typeof v === "number" || isSymInt(v) ? 2 : 0;
    case "bool":
      return typeof v === "boolean" ? 2 : 0;
    case "str":
    case "Layout":
    case "MemoryFormat":
      return typeof v === "string" ? 2 : 0;
    case "ScalarType":
      return isDType(v) ? 2 : 0;
    case "Device":
      return typeof v === "string" ? 1 : isDevice(v) ? 2 : 0;
    case "Generator":
      return 0;
    default:
      return arg.type satisfies never;
  }
}

function fit(arg: SchemaArg, v: unknown): Fit {
  if (v === null || v === undefined) {
    return arg.optional || (v === undefined && arg.hasDefault)
      ? 2
      : arg.hasDefault && arg.defaultValue === null
      ? 2
      : 0;
  }
  if (!arg.list) return fitOne(arg, v);
  if (!Array.isArray(v)) return arg.listLength !== null && arg.type !== "Tensor" ? (fitOne(arg, v) === 0 ? 0 : 1) : 0;
  let best: Fit = 2;
  for (const item of v) {
    // A number stands for a tensor alone, not in a list of tensors.
    if (arg.type === "Tensor" && typeof item === "number") return 0;
    const f = item === null || item === undefined ? (arg.optionalElements ? 2 : 0) : fitOne(arg, item);
    if (f === 0) return 0;
    if (f < best) best = f;
  }
  return best;
}

function convertOne(arg: SchemaArg, v: unknown): ArgValue<Tensor> {
  if (v instanceof Tensor) return v.wrapped !== null ? v.wrapped : v;
  if (arg.type === "Device" && typeof v === "string") return device(v);
  if (arg.type === "ScalarType" && typeof v === "string") return dtypeFromName(v);
  if (arg.type === "int" && typeof v === "bigint") return Number(v);
  return v as ArgValue<Tensor>;
}

function convert(arg: SchemaArg, v: unknown): ArgValue<Tensor> {
  if (v === undefined) {
    const { defaultValue } = arg;
    if (!arg.list || defaultValue === null || Array.isArray(defaultValue)) return defaultValue;
    return new Array<ArgValue<Tensor>>(arg.listLength ?? 1).fill(defaultValue as ArgValue<Tensor>);
  }
  if (v === null) return null;
  if (!arg.list) return convertOne(arg, v);
  if (Array.isArray(v)) {
    if (arg.type === "int" && !v.some((x) => typeof x === "bigint")) return v as readonly ArgValue<Tensor>[];
    return v.map((item: unknown) => item === null || item === undefined ? null : convertOne(arg, item));
  }
  return new Array<ArgValue<Tensor>>(arg.listLength ?? 1).fill(convertOne(arg, v));
}

/** What a value is, for error messages. */
export function describe(v: unknown): string {
  if (v instanceof Tensor) return `Tensor${v.dtype === undefined ? "" : `(${v.dtype.name})`}`;
  if (Array.isArray(v)) return `[${v.slice(0, 8).map(describe).join(", ")}${v.length > 8 ? ", …" : ""}]`;
  if (v === null || v === undefined) return String(v);
  if (isDType(v)) return v.name;
  if (isSymInt(v)) return `SymInt(${v})`;
  if (typeof v === "string") return JSON.stringify(v);
  if (typeof v === "object") return Object.getPrototypeOf(v)?.constructor?.name ?? "object";
  return typeof v === "function" ? "a function" : String(v);
}

/** Checks named arguments of one operator and fills in defaults. @throws {TypeError} naming the argument. */
export function normalizeNamed(op: Operator, given: Readonly<Record<string, unknown>>): NamedArgs<Tensor> {
  const out: Record<string, ArgValue<Tensor>> = {};
  let seen = 0;
  for (const arg of op.schema.args) {
    const v = given[arg.key];
    if (v !== undefined) seen++;
    if (v === undefined && !arg.hasDefault && !arg.optional) {
      throw new TypeError(`${op.schema.name}: the argument ${arg.key} is missing; the schema is ${op.schema.text}`);
    }
    if (fit(arg, v) === 0) throw wrongArgument(op, arg, v);
    out[arg.key] = convert(arg, v);
  }
  if (seen < Object.keys(given).length) {
    for (const key of Object.keys(given)) {
      if (given[key] !== undefined && !op.schema.args.some((a) => a.key === key)) {
        throw new TypeError(`${op.schema.name}: there is no argument "${key}"; the schema is ${op.schema.text}`);
      }
    }
  }
  return out;
}

function wrongArgument(op: Operator, arg: SchemaArg, v: unknown): TypeError {
  const wanted = `${arg.type}${arg.list ? "[]" : ""}${arg.optional ? " or null" : ""}`;
  const isWhole = (n: unknown): boolean => typeof n !== "number" || Number.isInteger(n);
  const hint = arg.type === "ScalarType" && typeof v === "string"
    ? `; dtypes are objects: import { ${v} } and pass it without quotes`
    : arg.type === "int" && !(Array.isArray(v) ? v.every(isWhole) : isWhole(v))
    ? "; it takes whole numbers: round with Math.floor(), Math.ceil() or Math.round()"
    : "";
  return new TypeError(
    `${op.schema.name}: the argument ${arg.key} must be ${wanted}, got ${
      describe(v)
    }${hint}; the schema is ${op.schema.text}`,
  );
}

interface Overload {
  readonly op: Operator;
  readonly args: readonly SchemaArg[];
  /** How many arguments may be given by position. */
  readonly positional: number;
}

/** One base name with its overloads, ready to be called. */
export interface Callable {
  readonly name: string;
  readonly overloads: readonly Overload[];
}

const callables = new Map<string, Callable>();

/** The overloads of a base name (`add`, `batch_norm`), or null if the table has none. */
export function callable(name: string): Callable | null {
  const ops = overloadsOf(name);
  const found = callables.get(name);
  if (found !== undefined && found.overloads.length === ops.length) return found;
  if (ops.length === 0) return null;
  const made: Callable = {
    name: camelCase(name),
    overloads: ops.map((op) => ({
      op,
      args: op.schema.args,
      positional: op.schema.args.filter((a) => !a.kwargOnly).length,
    })),
  };
  callables.set(name, made);
  return made;
}

/** The worst fit of a call to an overload. */
function fitCall(
  o: Overload,
  given: readonly unknown[],
  count: number,
  named: Readonly<Record<string, unknown>> | null,
): Fit {
  if (count > o.positional) return 0;
  let worst: Fit = 2;
  let used = 0;
  for (let i = 0; i < o.args.length; i++) {
    const arg = o.args[i] as SchemaArg;
    let v: unknown;
    if (i < count) {
      v = given[i];
      if (named !== null && named[arg.key] !== undefined) return 0;
    } else if (named !== null && (v = named[arg.key]) !== undefined) used++;
    if (v === undefined) {
      if (!arg.hasDefault) return 0;
      continue;
    }
    const f = fit(arg, v);
    if (f === 0) return 0;
    if (f < worst) worst = f;
  }
  if (named !== null) {
    let keys = 0;
    for (const key in named) if (named[key] !== undefined) keys++;
    if (keys !== used) return 0;
  }
  return worst;
}

/** An overload and its complete arguments. */
export interface ResolvedCall {
  readonly op: Operator;
  readonly args: NamedArgs<Tensor>;
}

/** Chooses the overload and completes the arguments. @throws {TypeError} listing the overloads if none fits. */
export function resolveCall(target: Callable, given: readonly unknown[]): ResolvedCall {
  let count = given.length;
  while (count > 0 && given[count - 1] === undefined) count--;
  let named: Readonly<Record<string, unknown>> | null = null;
  const last = given[count - 1];
  if (isOptions(last)) {
    named = last;
    count--;
  }
  let chosen: Overload | null = null;
  for (const o of target.overloads) {
    const f = fitCall(o, given, count, named);
    if (f === 2) {
      chosen = o;
      break;
    }
    if (f === 1 && chosen === null) chosen = o;
  }
  if (chosen === null) throw noOverload(target, given.slice(0, count), named);
  const args: Record<string, ArgValue<Tensor>> = {};
  for (let i = 0; i < chosen.args.length; i++) {
    const arg = chosen.args[i] as SchemaArg;
    args[arg.key] = convert(arg, i < count ? given[i] : named === null ? undefined : named[arg.key]);
  }
  return { op: chosen.op, args };
}

function noOverload(
  target: Callable,
  given: readonly unknown[],
  named: Readonly<Record<string, unknown>> | null,
): TypeError {
  const only = target.overloads[0];
  if (target.overloads.length === 1 && only !== undefined && given.length <= only.positional) {
    for (let i = 0; i < only.args.length; i++) {
      const arg = only.args[i] as SchemaArg;
      const v = i < given.length ? given[i] : named?.[arg.key];
      if (v === undefined && !arg.hasDefault) {
        return new TypeError(
          `${target.name}: the argument ${arg.key} is missing; the schema is ${only.op.schema.text}`,
        );
      }
      if (fit(arg, v) === 0) return wrongArgument(only.op, arg, v);
    }
  }
  const options = named === null
    ? ""
    : `${given.length > 0 ? ", " : ""}{ ${Object.entries(named).map(([k, v]) => `${k}: ${describe(v)}`).join(", ")} }`;
  return new TypeError(
    `${target.name}(${given.map(describe).join(", ")}${options}) fits no form of the operator; there are:\n${
      target.overloads.map((o) => `  ${o.op.schema.text}`).join("\n")
    }`,
  );
}
