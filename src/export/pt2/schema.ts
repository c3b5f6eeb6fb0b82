/**
 * The serialised form of an exported program, as plain checked data.
 *
 * Mirrors `torch/_export/serde/schema.py` (version 8): tagged unions become unions on `kind`, snake_case fields camelCase, and enumerations
 * keep their numbers until the reader gives them meaning. What leaves has the right shape in every field; whether names are defined and
 * operators known is the reader's question. Fields that are not listed are ignored, so later minor versions can be read.
 */
import type { JsonCursor } from "./json.ts";

/** The major version that is read. */
const SCHEMA_MAJOR = 8;

/** A SymPy expression and its value for the example inputs. */
export interface SymExprText {
  readonly text: string;
  readonly hint: number | boolean | null;
}

/** A size: a number or an expression. */
export type SymValue<T> = T | SymExprText;

/** A reference to a symbolic value by name, or a plain one. */
export type NameOr<T> = { readonly name: string } | { readonly value: T };

/** What a tensor is. */
export interface TensorMetaData {
  readonly dtype: number;
  readonly sizes: readonly SymValue<number>[];
  readonly requiresGrad: boolean;
  readonly device: DeviceData;
  readonly strides: readonly SymValue<number>[];
  readonly storageOffset: SymValue<number>;
  readonly layout: number;
}

export interface DeviceData {
  readonly type: string;
  readonly index: number | null;
}

/** An argument of a node, an input or an output of a graph. */
export type ArgumentData =
  | { readonly kind: "none" }
  | { readonly kind: "tensor"; readonly name: string }
  | { readonly kind: "tensors"; readonly names: readonly string[] }
  | { readonly kind: "optionalTensors"; readonly names: readonly (string | null)[] }
  | { readonly kind: "nestedTensors"; readonly names: readonly (readonly string[])[] }
  | { readonly kind: "int"; readonly value: number | bigint }
  | { readonly kind: "ints"; readonly values: readonly (number | bigint)[] }
  | { readonly kind: "intLists"; readonly values: readonly (readonly (number | bigint)[])[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "floats"; readonly values: readonly number[] }
  | { readonly kind: "floatLists"; readonly values: readonly (readonly number[])[] }
  | { readonly kind: "bool"; readonly value: boolean }
  | { readonly kind: "bools"; readonly values: readonly boolean[] }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "strings"; readonly values: readonly string[] }
  | { readonly kind: "symInt"; readonly value: NameOr<number | bigint> }
  | { readonly kind: "symInts"; readonly values: readonly NameOr<number | bigint>[] }
  | { readonly kind: "symFloat"; readonly value: NameOr<number> }
  | { readonly kind: "symFloats"; readonly values: readonly NameOr<number>[] }
  | { readonly kind: "symBool"; readonly value: NameOr<boolean> }
  | { readonly kind: "symBools"; readonly values: readonly NameOr<boolean>[] }
  | { readonly kind: "scalarType"; readonly value: number }
  | { readonly kind: "memoryFormat"; readonly value: number }
  | { readonly kind: "layout"; readonly value: number }
  | { readonly kind: "device"; readonly value: DeviceData }
  | { readonly kind: "graph"; readonly name: string; readonly graph: GraphData }
  | { readonly kind: "customObj"; readonly name: string; readonly classFqn: string }
  | { readonly kind: "operator"; readonly value: string }
  | { readonly kind: "complex"; readonly real: number; readonly imag: number }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [string, ArgumentData])[] };

export interface NamedArgumentData {
  /** The schema's name of the argument; empty for higher-order operators. */
  readonly name: string;
  readonly arg: ArgumentData;
}

export interface NodeData {
  readonly target: string;
  readonly inputs: readonly NamedArgumentData[];
  readonly outputs: readonly ArgumentData[];
  readonly stackTrace: string | null;
  readonly modulePath: string | null;
  /** Where the node stands in the file, for errors. */
  readonly cursor: JsonCursor;
}

export interface GraphData {
  readonly inputs: readonly ArgumentData[];
  readonly outputs: readonly ArgumentData[];
  readonly nodes: readonly NodeData[];
  readonly tensorValues: ReadonlyMap<string, TensorMetaData>;
  readonly symIntValues: ReadonlyMap<string, SymValue<number | bigint>>;
  readonly symBoolValues: ReadonlyMap<string, SymValue<boolean>>;
  readonly symFloatValues: ReadonlyMap<string, SymValue<number>>;
  readonly cursor: JsonCursor;
}

/** A plain value that an input was fixed to. */
export type ConstantData = null | number | bigint | string | boolean;

export type InputSpecData =
  | { readonly kind: "userInput"; readonly arg: ArgumentData }
  | { readonly kind: "parameter"; readonly name: string; readonly path: string }
  | { readonly kind: "buffer"; readonly name: string; readonly path: string; readonly persistent: boolean }
  | { readonly kind: "tensorConstant"; readonly name: string; readonly path: string }
  | { readonly kind: "customObj"; readonly name: string; readonly path: string; readonly classFqn: string }
  | { readonly kind: "token"; readonly name: string }
  | { readonly kind: "constantInput"; readonly name: string; readonly value: ConstantData };

export type OutputSpecData =
  | { readonly kind: "userOutput"; readonly arg: ArgumentData }
  | { readonly kind: "lossOutput" | "token"; readonly name: string }
  | {
    readonly kind:
      | "bufferMutation"
      | "parameterMutation"
      | "gradientToParameter"
      | "gradientToUserInput"
      | "userInputMutation";
    readonly name: string;
    /** The path of the buffer or parameter, or the name of the input. */
    readonly target: string;
  };

export interface RangeData {
  readonly min: number | bigint | null;
  readonly max: number | bigint | null;
}

export interface ProgramData {
  readonly graph: GraphData;
  readonly inputSpecs: readonly InputSpecData[];
  readonly outputSpecs: readonly OutputSpecData[];
  /** Serialised tree specs of the root module; null in files that have none. */
  readonly inSpec: string | null;
  readonly outSpec: string | null;
  /** Names of the parameters of `forward`. */
  readonly argumentNames: readonly string[] | null;
  readonly namedTuples: ReadonlyMap<string, readonly string[]>;
  readonly rangeConstraints: readonly (readonly [string, RangeData])[];
  readonly schemaVersion: readonly [number, number];
  readonly torchVersion: string;
  readonly opsetVersion: ReadonlyMap<string, number>;
  readonly guards: readonly string[];
}

/** One tensor of a weights or constants file. */
export interface PayloadData {
  readonly path: string;
  readonly fileName: string;
  readonly isParameter: boolean;
  readonly pickled: boolean;
  readonly meta: TensorMetaData | null;
}

function hint(c: JsonCursor): number | boolean | null {
  if (c.isNull) return null;
  const [tag, value] = c.tagged();
  if (tag === "as_bool") return value.boolean();
  return tag === "as_int" || tag === "as_float" ? value.float() : value.fail("is no kind of hint");
}

function symValue<T>(c: JsonCursor, plain: string, read: (c: JsonCursor) => T): SymValue<T> {
  const [tag, value] = c.tagged();
  if (tag === plain) return read(value);
  if (tag !== "as_expr") return value.fail(`is neither as_expr nor ${plain}`);
  return { text: value.get("expr_str").string(), hint: hint(value.get("hint")) };
}

/** A size or stride; sizes beyond 2^53 are nonsense. */
function sizeValue(c: JsonCursor): SymValue<number> {
  return symValue(c, "as_int", (v) => {
    const value = v.integer();
    return typeof value === "number" ? value : v.fail("is beyond 2^53");
  });
}

function nameOr<T>(c: JsonCursor, plain: string, read: (c: JsonCursor) => T): NameOr<T> {
  const [tag, value] = c.tagged();
  if (tag === "as_name") return { name: value.string() };
  return tag === plain ? { value: read(value) } : value.fail(`is neither as_name nor ${plain}`);
}

function deviceData(c: JsonCursor): DeviceData {
  return { type: c.get("type").string(), index: c.get("index").optional((i) => i.size()) };
}

function tensorMetaData(c: JsonCursor): TensorMetaData {
  const sizes = c.get("sizes").list(sizeValue);
  const strides = c.get("strides").list(sizeValue);
  if (sizes.length !== strides.length) c.fail(`has ${sizes.length} sizes but ${strides.length} strides`);
  if (sizes.length > 64) c.fail(`has ${sizes.length} dimensions, more than the bound of 64`);
  for (const size of [...sizes, ...strides]) {
    if (typeof size === "number" && size < 0) c.fail("a size or stride is negative");
  }
  const offset = c.get("storage_offset");
  const storageOffset = sizeValue(offset);
  if (typeof storageOffset === "number" && storageOffset < 0) offset.fail("is negative");
  return {
    dtype: c.get("dtype").size(),
    sizes,
    requiresGrad: c.get("requires_grad").optional((v) => v.boolean()) ?? false,
    device: deviceData(c.get("device")),
    strides,
    storageOffset,
    layout: c.get("layout").size(),
  };
}

const nameOf = (c: JsonCursor): string => c.get("name").string();

function optionalTensorName(c: JsonCursor): string | null {
  const [tag, value] = c.tagged();
  if (tag === "as_none") return null;
  return tag === "as_tensor" ? nameOf(value) : value.fail("is neither as_tensor nor as_none");
}

const int = (c: JsonCursor): number | bigint => c.integer();
const float = (c: JsonCursor): number => c.float();
const bool = (c: JsonCursor): boolean => c.boolean();
const text = (c: JsonCursor): string => c.string();

const argumentReaders: Readonly<Record<string, (c: JsonCursor) => ArgumentData>> = {
  as_none: () => ({ kind: "none" }),
  as_tensor: (c) => ({ kind: "tensor", name: nameOf(c) }),
  as_tensors: (c) => ({ kind: "tensors", names: c.list(nameOf) }),
  as_optional_tensor: (c) => {
    const name = optionalTensorName(c);
    return name === null ? { kind: "none" } : { kind: "tensor", name };
  },
  as_optional_tensors: (c) => ({ kind: "optionalTensors", names: c.list(optionalTensorName) }),
  as_nested_tensors: (c) => ({ kind: "nestedTensors", names: c.list((l) => l.list(nameOf)) }),
  as_int: (c) => ({ kind: "int", value: c.integer() }),
  as_ints: (c) => ({ kind: "ints", values: c.list(int) }),
  as_int_lists: (c) => ({ kind: "intLists", values: c.list((l) => l.list(int)) }),
  as_float: (c) => ({ kind: "float", value: c.float() }),
  as_floats: (c) => ({ kind: "floats", values: c.list(float) }),
  as_float_lists: (c) => ({ kind: "floatLists", values: c.list((l) => l.list(float)) }),
  as_bool: (c) => ({ kind: "bool", value: c.boolean() }),
  as_bools: (c) => ({ kind: "bools", values: c.list(bool) }),
  as_string: (c) => ({ kind: "string", value: c.string() }),
  as_strings: (c) => ({ kind: "strings", values: c.list(text) }),
  as_sym_int: (c) => ({ kind: "symInt", value: nameOr(c, "as_int", int) }),
  as_sym_ints: (c) => ({ kind: "symInts", values: c.list((i) => nameOr(i, "as_int", int)) }),
  as_sym_float: (c) => ({ kind: "symFloat", value: nameOr(c, "as_float", float) }),
  as_sym_floats: (c) => ({ kind: "symFloats", values: c.list((i) => nameOr(i, "as_float", float)) }),
  as_sym_bool: (c) => ({ kind: "symBool", value: nameOr(c, "as_bool", bool) }),
  as_sym_bools: (c) => ({ kind: "symBools", values: c.list((i) => nameOr(i, "as_bool", bool)) }),
  as_scalar_type: (c) => ({ kind: "scalarType", value: c.size() }),
  as_memory_format: (c) => ({ kind: "memoryFormat", value: c.size() }),
  as_layout: (c) => ({ kind: "layout", value: c.size() }),
  as_device: (c) => ({ kind: "device", value: deviceData(c) }),
  as_graph: (c) => ({ kind: "graph", name: nameOf(c), graph: graphData(c.get("graph")) }),
  as_custom_obj: (c) => ({ kind: "customObj", name: nameOf(c), classFqn: c.get("class_fqn").string() }),
  as_operator: (c) => ({ kind: "operator", value: c.string() }),
  as_complex: (c) => ({ kind: "complex", real: c.get("real").float(), imag: c.get("imag").float() }),
  as_string_to_argument: (c) => ({
    kind: "dict",
    entries: c.fields().map(([key, v]) => [key, argumentData(v)] as const),
  }),
};

function argumentData(c: JsonCursor): ArgumentData {
  const [tag, value] = c.tagged();
  const read = Object.hasOwn(argumentReaders, tag) ? argumentReaders[tag] : undefined;
  return read === undefined ? value.fail("is no kind of argument that is known") : read(value);
}

function nodeData(c: JsonCursor): NodeData {
  const metadata = c.get("metadata");
  const note = (key: string): string | null => metadata.isNull ? null : metadata.get(key).optional(text);
  return {
    target: c.get("target").string(),
    inputs: c.get("inputs").list((i) => ({ name: nameOf(i), arg: argumentData(i.get("arg")) })),
    outputs: c.get("outputs").list(argumentData),
    stackTrace: note("stack_trace"),
    modulePath: note("nn_module_stack"),
    cursor: c,
  };
}

function mapOf<T>(c: JsonCursor, read: (c: JsonCursor) => T): Map<string, T> {
  return new Map(c.isNull ? [] : c.fields().map(([key, value]) => [key, read(value)] as const));
}

function graphData(c: JsonCursor): GraphData {
  return {
    inputs: c.get("inputs").list(argumentData),
    outputs: c.get("outputs").list(argumentData),
    nodes: c.get("nodes").list(nodeData),
    tensorValues: mapOf(c.get("tensor_values"), tensorMetaData),
    symIntValues: mapOf(c.get("sym_int_values"), (v) => symValue(v, "as_int", int)),
    symBoolValues: mapOf(c.get("sym_bool_values"), (v) => symValue(v, "as_bool", bool)),
    symFloatValues: mapOf(c.get("sym_float_values"), (v) => symValue(v, "as_float", float)),
    cursor: c,
  };
}

function constantData(c: JsonCursor): ConstantData {
  const [tag, value] = c.tagged();
  switch (tag) {
    case "as_none":
      return null;
    case "as_int":
      return value.integer();
    case "as_float":
      return value.float();
    case "as_string":
      return value.string();
    case "as_bool":
      return value.boolean();
    default:
      return value.fail("is no kind of constant that is known");
  }
}

function inputSpecData(c: JsonCursor): InputSpecData {
  const [tag, spec] = c.tagged();
  const name = (): string => nameOf(spec.get("arg"));
  switch (tag) {
    case "user_input":
      return { kind: "userInput", arg: argumentData(spec.get("arg")) };
    case "parameter":
      return { kind: "parameter", name: name(), path: spec.get("parameter_name").string() };
    case "buffer": {
      const persistent = spec.get("persistent").optional(bool) ?? true;
      return { kind: "buffer", name: name(), path: spec.get("buffer_name").string(), persistent };
    }
    case "tensor_constant":
      return { kind: "tensorConstant", name: name(), path: spec.get("tensor_constant_name").string() };
    case "custom_obj": {
      const classFqn = spec.get("arg").get("class_fqn").string();
      return { kind: "customObj", name: name(), path: spec.get("custom_obj_name").string(), classFqn };
    }
    case "token":
      return { kind: "token", name: name() };
    case "constant_input":
      return { kind: "constantInput", name: nameOf(spec), value: constantData(spec.get("value")) };
    default:
      return spec.fail("is no kind of input that is known");
  }
}

function outputSpecData(c: JsonCursor): OutputSpecData {
  const [tag, spec] = c.tagged();
  const name = (): string => nameOf(spec.get("arg"));
  switch (tag) {
    case "user_output":
      return { kind: "userOutput", arg: argumentData(spec.get("arg")) };
    case "loss_output":
      return { kind: "lossOutput", name: name() };
    case "token":
      return { kind: "token", name: name() };
    case "buffer_mutation":
      return { kind: "bufferMutation", name: name(), target: spec.get("buffer_name").string() };
    case "parameter_mutation":
      return { kind: "parameterMutation", name: name(), target: spec.get("parameter_name").string() };
    case "gradient_to_parameter":
      return { kind: "gradientToParameter", name: name(), target: spec.get("parameter_name").string() };
    case "gradient_to_user_input":
      return { kind: "gradientToUserInput", name: name(), target: spec.get("user_input_name").string() };
    case "user_input_mutation":
      return { kind: "userInputMutation", name: name(), target: spec.get("user_input_name").string() };
    default:
      return spec.fail("is no kind of output that is known");
  }
}

/** Checks a whole program. @throws {FormatError} naming the place. */
export function programData(c: JsonCursor): ProgramData {
  const version = c.get("schema_version");
  // Files before version 8 wrote the version as a number.
  const major = typeof version.value === "number" ? version.size() : version.get("major").size();
  if (major !== SCHEMA_MAJOR) {
    version.fail(
      `the file has schema version ${major}, versions ${SCHEMA_MAJOR}.x are read; export the model again with a newer PyTorch`,
    );
  }
  const minor = version.get("minor").size();
  const module = c.get("graph_module");
  const signature = module.get("signature");
  const root = module.get("module_call_graph").items().find((entry) => entry.get("fqn").value === "");
  const call = root?.get("signature").optional((s) => s) ?? null;
  return {
    graph: graphData(module.get("graph")),
    inputSpecs: signature.get("input_specs").list(inputSpecData),
    outputSpecs: signature.get("output_specs").list(outputSpecData),
    inSpec: call === null ? null : call.get("in_spec").string(),
    outSpec: call === null ? null : call.get("out_spec").string(),
    argumentNames: call === null ? null : call.get("forward_arg_names").optional((l) => l.list(text)),
    namedTuples: mapOf(module.get("treespec_namedtuple_fields"), (v) => v.get("field_names").list(text)),
    rangeConstraints: c.get("range_constraints").fields().map(([key, v]) => [
      key,
      { min: v.get("min_val").optional(int), max: v.get("max_val").optional(int) },
    ]),
    schemaVersion: [major, minor],
    torchVersion: c.get("torch_version").optional(text) ?? "unknown",
    opsetVersion: mapOf(c.get("opset_version"), (v) => v.size()),
    guards: c.get("guards_code").optional((l) => l.list(text)) ?? [],
  };
}

/** Checks a weights or constants configuration: what each path's tensor is and where its bytes are. */
export function payloadData(c: JsonCursor): PayloadData[] {
  return c.get("config").fields().map(([path, entry]) => ({
    path,
    fileName: entry.get("path_name").string(),
    isParameter: entry.get("is_param").optional(bool) ?? false,
    pickled: entry.get("use_pickle").optional(bool) ?? false,
    meta: entry.get("tensor_meta").optional(tensorMetaData),
  }));
}
