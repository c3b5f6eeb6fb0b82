/**
 * Reads a `.pt2` file that `torch.export.save` wrote.
 *
 * Enters: a path. Leaves: an {@linkcode ExportedProgram} whose graph is verified and whose weights are still on disk. Everything in the file is
 * data from a stranger: sizes are bounded, names only compared, descriptions derived again before code is generated from them.
 */
import { type Device, device, type DeviceLike, VerifyError } from "../../core/mod.ts";
import {
  type Argument,
  type GetAttrNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  verifyGraph,
} from "../../graph/mod.ts";
import { contiguousStride, isSymInt } from "../../symbolic/mod.ts";
import { FormatError, quoteName, ZipArchive } from "../zip/archive.ts";
import { fileIdentity } from "../file_identity.ts";
import { Attributes } from "./attributes.ts";
import { rewriteBatches } from "./batches.ts";
import { checkMetas } from "./check_metas.ts";
import type { ReadContext } from "./graph_names.ts";
import { GraphReader } from "./graph_reader.ts";
import type { JsonCursor } from "./json.ts";
import { type ModelParts, readParts } from "./package.ts";
import { Problems } from "./problems.ts";
import { ExportedProgram, type InputSpec, type OutputSpec } from "./program.ts";
import { type ArgumentData, type InputSpecData, type OutputSpecData, type ProgramData, programData } from "./schema.ts";
import { ProgramShapes } from "./shape_env.ts";
import { parseTreeSpec } from "./tree_spec.ts";

/** How a program is read. */
export interface ReadOptions {
  /** Which model of the file; needed only if there are several and none is called `model`. */
  readonly model?: string;
  /** Run on this device instead of the one the program was exported on. */
  readonly device?: DeviceLike;
}

/**
 * Reads an exported program.
 *
 * @throws {FormatError} saying what is wrong with the file, and where; {Deno.errors.NotFound} and the like. Operators that are not
 *   supported are no error here: see `problems`.
 *
 * @example
 * ```ts ignore
 * const program = await readExportedProgram("model.pt2");
 * console.log(program.call([randn([2, 4])]));
 * ```
 */
export async function readExportedProgram(path: string, options: ReadOptions = {}): Promise<ExportedProgram> {
  const file = fileIdentity(path);
  return readProgram(await ZipArchive.open(path), options, file);
}

/** Reads an exported program from an open archive, whose file has this identity; errors as in {@linkcode readExportedProgram}. */
export function readProgram(
  archive: ZipArchive,
  options: ReadOptions = {},
  file: string | null = null,
): ExportedProgram {
  const parts = readParts(archive, options.model ?? null);
  try {
    return build(archive.label, file, parts, options.device === undefined ? null : device(options.device));
  } catch (error) {
    // A graph that breaks an invariant of graphs is the file's fault here.
    if (error instanceof VerifyError) throw new FormatError(`${archive.label}: ${error.message}`, { cause: error });
    throw error;
  }
}

function build(label: string, file: string | null, parts: ModelParts, target: Device | null): ExportedProgram {
  const data = programData(parts.program);
  const problems = new Problems();
  const context: ReadContext = {
    shapes: new ProgramShapes(data.rangeConstraints, label),
    problems,
    constraints: [],
    stackTraces: new Map<Node, string>(),
    floatCalls: new Set<Node>(),
    device: target,
  };
  const attributes = new Attributes(label, parts.payloads, target);
  const reader = new GraphReader(data.graph, context);
  const signature = parts.program.get("graph_module").get("signature");
  const inputSpecs = new InputReader(reader, attributes, problems, signature).read(data);
  reader.readNodes();
  reader.graph.setOutput(reader.results());
  const outputSpecs = readOutputs(data, reader, attributes, inputSpecs, signature);
  rewriteBatches(reader.graph, context);
  checkMetas(reader.graph, context);
  if (problems.all.length === 0) verifyGraph(reader.graph);
  const tree = (text: string | null, which: string) =>
    text === null ? null : parseTreeSpec(text, `${parts.program.place}: ${which}`, data.namedTuples);
  return new ExportedProgram({
    name: parts.name,
    label,
    file,
    graph: reader.graph,
    inputSpecs,
    outputSpecs,
    inTree: tree(data.inSpec, "in_spec"),
    outTree: tree(data.outSpec, "out_spec"),
    argumentNames: data.argumentNames,
    attributes,
    shapes: context.shapes,
    conditions: { ranges: context.shapes.ranges(), constraints: context.constraints },
    problems: problems.all,
    stackTraces: context.stackTraces,
    schemaVersion: data.schemaVersion,
    torchVersion: data.torchVersion,
  });
}

/** The name that an argument refers to, or null. */
function nameOf(data: ArgumentData): string | null {
  switch (data.kind) {
    case "tensor":
    case "customObj":
      return data.name;
    case "symInt":
    case "symFloat":
    case "symBool":
      return "name" in data.value ? data.value.name : null;
    default:
      return null;
  }
}

/** Turns the graph's inputs into placeholders, attributes and constants. */
class InputReader {
  readonly #reader: GraphReader;
  readonly #attributes: Attributes;
  readonly #problems: Problems;
  readonly #signature: JsonCursor;
  readonly #nodes = new Map<string, GetAttrNode>();

  constructor(reader: GraphReader, attributes: Attributes, problems: Problems, signature: JsonCursor) {
    this.#reader = reader;
    this.#attributes = attributes;
    this.#problems = problems;
    this.#signature = signature;
  }

  read(data: ProgramData): InputSpec[] {
    const { inputs } = data.graph;
    const at = this.#signature.get("input_specs");
    if (inputs.length !== data.inputSpecs.length) {
      at.fail(`has ${data.inputSpecs.length} entries, the graph has ${inputs.length} inputs`);
    }
    const places = at.items();
    return data.inputSpecs.map((spec, i) => {
      const place = places[i] ?? at;
      const input = inputs[i];
      const name = spec.kind === "userInput" ? nameOf(spec.arg) : spec.name;
      if (input !== undefined && spec.kind !== "constantInput" && name !== nameOf(input)) {
        place.fail(`speaks of ${quoteName(name ?? "")}, input ${i} of the graph is ${quoteName(nameOf(input) ?? "")}`);
      }
      return this.#one(spec, place);
    });
  }

  #one(spec: InputSpecData, place: JsonCursor): InputSpec {
    switch (spec.kind) {
      case "userInput":
        return this.#userInput(spec.arg, place);
      case "constantInput":
        return { kind: "constantInput", name: spec.name, value: spec.value };
      case "parameter":
      case "tensorConstant":
        this.#attribute(spec.name, spec.path, place);
        return { kind: spec.kind, name: spec.name, path: spec.path };
      case "buffer":
        this.#attribute(spec.name, spec.path, place);
        return { kind: "buffer", name: spec.name, path: spec.path, persistent: spec.persistent };
      case "customObj":
        this.#problems.add(
          `object ${quoteName(spec.path)}`,
          `objects of class ${quoteName(spec.classFqn)} are pickled`,
          null,
          null,
        );
        this.#reader.define(spec.name, null, place);
        return { kind: "customObj", name: spec.name };
      case "token":
        this.#reader.define(spec.name, null, place);
        return { kind: "token", name: spec.name };
      default:
        return spec satisfies never;
    }
  }

  #userInput(arg: ArgumentData, place: JsonCursor): InputSpec {
    const { graph } = this.#reader;
    switch (arg.kind) {
      case "tensor": {
        const placeholder = graph.placeholder(arg.name, unexpanded(this.#reader.metaOf(arg.name, place)));
        this.#reader.define(arg.name, placeholder, place);
        return { kind: "userInput", name: arg.name, placeholder };
      }
      case "symInt": {
        if (!("name" in arg.value)) return { kind: "constantInput", name: "", value: arg.value.value };
        const { name } = arg.value;
        const value = this.#reader.symInt(name);
        if (!isSymInt(value)) return { kind: "constantInput", name, value: typeof value === "number" ? value : null };
        const placeholder = graph.placeholder(name, value);
        this.#reader.define(name, placeholder, place);
        return { kind: "userInput", name, placeholder };
      }
      case "none":
        return { kind: "constantInput", name: "", value: null };
      case "int":
      case "float":
      case "bool":
      case "string":
        return { kind: "constantInput", name: "", value: arg.value };
      default: {
        const name = nameOf(arg);
        this.#problems.add("an input", `inputs of the kind ${arg.kind} are not supported`, null, null);
        return { kind: "customObj", name: name ?? "" };
      }
    }
  }

  #attribute(name: string, path: string, place: JsonCursor): void {
    const meta = this.#reader.metaOf(name, place);
    let node = this.#nodes.get(path);
    if (node === undefined) {
      if (!this.#attributes.has(path)) place.fail(`the file holds no tensor for ${quoteName(path)}`);
      const info = this.#attributes.info(path);
      if (isTensorMeta(meta)) {
        const same = info.dtype === meta.dtype.name && info.shape.length === meta.shape.length &&
          info.shape.every((size, d) => size === meta.shape[d]);
        if (!same) {
          place.fail(
            `the graph takes ${quoteName(path)} for ${meta.dtype.name}[${
              meta.shape.join(", ")
            }], the file stores ${info.dtype}[${info.shape.join(", ")}]`,
          );
        }
      }
      node = this.#reader.graph.getAttr(path, meta);
      this.#nodes.set(path, node);
    }
    this.#reader.define(name, node, place);
  }
}

/** The example that a program was exported with may have been expanded; elements of what it is called with need not be the same. */
function unexpanded(value: NodeValue): NodeValue {
  if (!isTensorMeta(value) || !value.shape.some((size, d) => value.stride[d] === 0 && size !== 1)) return value;
  return { ...value, stride: contiguousStride(value.shape), storageOffset: 0 };
}

function readOutputs(
  data: ProgramData,
  reader: GraphReader,
  attributes: Attributes,
  inputs: readonly InputSpec[],
  signature: JsonCursor,
): OutputSpec[] {
  const at = signature.get("output_specs");
  const results: readonly Argument[] = reader.graph.output.results;
  if (results.length !== data.outputSpecs.length) {
    at.fail(`has ${data.outputSpecs.length} entries, the graph has ${results.length} results`);
  }
  const places = at.items();
  return data.outputSpecs.map((spec: OutputSpecData, i): OutputSpec => {
    const place = places[i] ?? at;
    switch (spec.kind) {
      case "userOutput":
      case "lossOutput":
      case "token":
        return { kind: spec.kind, isNumber: reader.isNumber(results[i] ?? null) };
      case "bufferMutation":
      case "parameterMutation":
      case "gradientToParameter":
        if (!attributes.has(spec.target)) place.fail(`the file holds no tensor for ${quoteName(spec.target)}`);
        return { kind: spec.kind, target: spec.target };
      case "gradientToUserInput":
      case "userInputMutation":
        if (!inputs.some((s) => s.kind === "userInput" && s.name === spec.target)) {
          place.fail(`there is no input ${quoteName(spec.target)}`);
        }
        return { kind: spec.kind, target: spec.target };
      default:
        return spec satisfies never;
    }
  });
}
