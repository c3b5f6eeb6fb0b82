/**
 * Arguments of the file → arguments of graph nodes.
 *
 * Enters: checked argument data and a scope that knows names. Leaves: nodes, symbolic sizes and plain data, shaped as the operator's schema wants them:
 * a single number for a list, numbers for integers too large to be exact where only their magnitude counts. What has no counterpart
 * (complex numbers, objects) is `null` with a reason.
 */
import type { Device } from "../../core/mod.ts";
import type { Argument, SchemaArg } from "../../graph/mod.ts";
import type { ArgumentData, DeviceData, NameOr } from "./schema.ts";
import { dtypeCodeName, dtypeOfCode, layoutOfCode, memoryFormatOfCode } from "./types.ts";

/** What names mean at a point of a graph. */
export interface Scope {
  tensor(name: string): Argument;
  symInt(name: string): Argument;
  symBool(name: string): Argument;
  /** Null if the value cannot be known before the program runs. */
  symFloat(name: string): Argument;
  complex(real: number, imaginary: number): Argument;
  device(data: DeviceData): Device | null;
}

/** There is no counterpart of an argument; the message says of what. */
export class NoCounterpart extends Error {}

const MAX = Number.MAX_SAFE_INTEGER;

/** End markers such as 2^63 - 1 saturate; exact big integers only matter as scalars. */
function integer(value: number | bigint, arg: SchemaArg | null): Argument {
  if (typeof value === "number" || arg?.type === "Scalar" || arg?.type === "Tensor") return value;
  return value > 0n ? MAX : -MAX;
}

function named<T>(value: NameOr<T>, byName: (name: string) => Argument, plain: (value: T) => Argument): Argument {
  return "name" in value ? byName(value.name) : plain(value.value);
}

function convert(data: ArgumentData, arg: SchemaArg | null, scope: Scope): Argument {
  const int = (v: number | bigint): Argument => integer(v, arg);
  const tensor = (name: string): Argument => scope.tensor(name);
  const same = <T extends Argument>(v: T): Argument => v;
  switch (data.kind) {
    case "none":
      return null;
    case "tensor":
      return scope.tensor(data.name);
    case "tensors":
      return data.names.map(tensor);
    case "optionalTensors":
      return data.names.map((name) => name === null ? null : scope.tensor(name));
    case "nestedTensors":
      return data.names.map((names) => names.map(tensor));
    case "int":
      return int(data.value);
    case "ints":
      return data.values.map(int);
    case "intLists":
      return data.values.map((values) => values.map(int));
    case "float":
    case "bool":
    case "string":
      return data.value;
    case "floats":
    case "bools":
    case "strings":
    case "floatLists":
      return data.values;
    case "symInt":
      return named(data.value, (name) => scope.symInt(name), int);
    case "symInts":
      return data.values.map((v) => named(v, (name) => scope.symInt(name), int));
    case "symFloat":
      return named(data.value, (name) => scope.symFloat(name), same);
    case "symFloats":
      return data.values.map((v) => named(v, (name) => scope.symFloat(name), same));
    case "symBool":
      return named(data.value, (name) => scope.symBool(name), same);
    case "symBools":
      return data.values.map((v) => named(v, (name) => scope.symBool(name), same));
    case "scalarType": {
      const dtype = dtypeOfCode(data.value);
      if (dtype === null) throw new NoCounterpart(`there are no tensors of ${dtypeCodeName(data.value)}`);
      return dtype;
    }
    case "memoryFormat": {
      const format = memoryFormatOfCode(data.value);
      if (format === null) throw new NoCounterpart(`the memory format ${data.value} is unknown`);
      return format;
    }
    case "layout": {
      const layout = layoutOfCode(data.value);
      if (layout === null) throw new NoCounterpart("only strided tensors are supported");
      return layout;
    }
    case "device": {
      const device = scope.device(data.value);
      if (device === null) throw new NoCounterpart(`the device ${data.value.type.slice(0, 20)} is unknown`);
      return device;
    }
    case "complex":
      return scope.complex(data.real, data.imag);
    case "graph":
    case "customObj":
    case "operator":
    case "dict":
      throw new NoCounterpart(`arguments of the kind ${data.kind} are not supported here`);
    default:
      return data satisfies never;
  }
}

/** The argument; `arg` is what the schema wants, null for operators without one. @throws {NoCounterpart} */
export function argumentOf(data: ArgumentData, arg: SchemaArg | null, scope: Scope): Argument {
  const value = convert(data, arg, scope);
  if (arg === null || !arg.list || value === null || Array.isArray(value)) return value;
  return new Array<Argument>(arg.listLength ?? 1).fill(value);
}
