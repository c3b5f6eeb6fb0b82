/**
 * What is in a model file: operators with counts, parameters, sizes, dtypes, dynamic dimensions with their ranges, and what is unsupported,
 * with its place in the user's source. Reads no weights.
 */
import { type Graph, isTensorMeta, type NodeValue, type SourceLocation, valueToText } from "../graph/mod.ts";
import { freeSymbols, isSymInt, type Sym } from "../symbolic/mod.ts";
import type { ExportedProgram } from "./pt2/program.ts";
import { printable, type Problem, problemToText } from "./pt2/problems.ts";
import { readExportedProgram, type ReadOptions } from "./pt2/reader.ts";
import { rangeText } from "./pt2/bindings.ts";
import { isControl } from "./pt2/targets.ts";

/** How often an operator is called. */
export interface OperatorCount {
  readonly target: string;
  readonly count: number;
}

/** A tensor that goes in or comes out. */
export interface ValueReport {
  readonly name: string;
  /** Where it stands among the arguments: `args[0]`; null for results. */
  readonly place: string | null;
  /** `f32[s77, 4]`. */
  readonly type: string;
}

/** A stored tensor. */
export interface StoredReport {
  readonly path: string;
  readonly kind: "parameter" | "buffer" | "constant";
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** A size that may change from call to call. */
export interface DynamicReport {
  readonly symbol: string;
  readonly min: number;
  readonly max: number;
  /** `2 to 64`. */
  readonly range: string;
  /** Dimensions of inputs that depend on it: `x[0]`; empty for sizes known only at run time. */
  readonly dimensions: readonly string[];
}

/** What {@linkcode inspectModel} finds. Plain data: `JSON.stringify` prints it all, infinite bounds as null. */
export interface InspectReport {
  readonly path: string;
  readonly model: string;
  readonly format: string;
  readonly schemaVersion: string;
  readonly torchVersion: string;
  /** Most frequent first. */
  readonly operators: readonly OperatorCount[];
  readonly nodes: number;
  readonly inputs: readonly ValueReport[];
  readonly outputs: readonly ValueReport[];
  readonly stored: readonly StoredReport[];
  /** Numbers of elements, tied weights once. */
  readonly parameters: number;
  readonly buffers: number;
  /** Bytes of all stored tensors, tied weights once. */
  readonly bytes: number;
  /** Bytes by dtype. */
  readonly dtypes: Readonly<Record<string, number>>;
  readonly dynamic: readonly DynamicReport[];
  /** What keeps the model from running; empty if nothing does. */
  readonly unsupported: readonly (Pick<Problem, "target" | "reason" | "count" | "stackTrace"> & {
    readonly location: SourceLocation | null;
    readonly text: string;
  })[];
}

function countOperators(graph: Graph, counts: Map<string, number>): number {
  let nodes = graph.nodes.length;
  for (const { target } of graph.calls) {
    counts.set(target.schema.target, (counts.get(target.schema.target) ?? 0) + 1);
    if (isControl(target)) { for (const inner of target.graphs) nodes += countOperators(inner, counts); }
  }
  return nodes;
}

function dynamicSizes(program: ExportedProgram): DynamicReport[] {
  const dimensions = new Map<Sym, string[]>();
  const note = (value: NodeValue, name: string): void => {
    if (!isSymInt(value)) return;
    for (const sym of freeSymbols(value.expr)) dimensions.set(sym, [...dimensions.get(sym) ?? [], name]);
  };
  for (const { name, value } of program.userInputs) {
    if (isTensorMeta(value)) {
      value.shape.forEach((size, d) => note(typeof size === "number" ? null : size, `${name}[${d}]`));
    } else note(value, name);
  }
  return program.shapes.symbols.map((sym) => ({
    symbol: sym.name,
    min: sym.lower,
    max: sym.upper,
    range: rangeText({ min: sym.lower, max: sym.upper }),
    dimensions: dimensions.get(sym) ?? [],
  }));
}

function storedTensors(program: ExportedProgram): StoredReport[] {
  return program.inputSpecs.flatMap((spec): StoredReport[] => {
    if (spec.kind !== "parameter" && spec.kind !== "buffer" && spec.kind !== "tensorConstant") return [];
    const { path, dtype, shape, byteLength } = program.attributes.info(spec.path);
    const kind = spec.kind === "tensorConstant" ? "constant" : spec.kind;
    return [{ path, kind, dtype, shape, bytes: byteLength }];
  });
}

/** Describes a program that is read already. */
export function inspectProgram(program: ExportedProgram, path: string): InspectReport {
  const counts = new Map<string, number>();
  const nodes = countOperators(program.graph, counts);
  const stored = storedTensors(program);
  const files = new Set<string>();
  const dtypes: Record<string, number> = {};
  let parameters = 0, buffers = 0, bytes = 0;
  for (const { path: at, kind, dtype, shape, bytes: size } of stored) {
    const { file } = program.attributes.info(at);
    if (files.has(file)) continue;
    files.add(file);
    const numel = shape.reduce((a, b) => a * b, 1);
    if (kind === "parameter") parameters += numel;
    else buffers += numel;
    bytes += size;
    dtypes[dtype] = (dtypes[dtype] ?? 0) + size;
  }
  const places = program.inputPaths;
  const leaves = program.inputSpecs.filter((s) => s.kind === "userInput" || s.kind === "constantInput");
  const inputs = leaves.map((spec, i): ValueReport => ({
    name: spec.name,
    place: places?.[i] ?? null,
    type: spec.kind === "userInput"
      ? valueToText(spec.placeholder.value)
      : `always ${spec.kind === "constantInput" ? spec.value : ""}`,
  }));
  const outputs = program.graph.output.results.flatMap((result, i): ValueReport[] => {
    const spec = program.outputSpecs[i];
    if (spec?.kind !== "userOutput" && spec?.kind !== "lossOutput") return [];
    const isNode = typeof result === "object" && result !== null && "users" in result;
    return [{
      name: isNode ? result.name : `output_${i}`,
      place: null,
      type: isNode ? valueToText(result.value) : isSymInt(result) ? `size ${result}` : `always ${result}`,
    }];
  });
  return {
    path,
    model: program.name,
    format: "pt2",
    schemaVersion: program.schemaVersion.join("."),
    torchVersion: program.torchVersion,
    operators: [...counts].map(([target, count]) => ({ target, count }))
      .sort((a, b) => b.count - a.count || (a.target < b.target ? -1 : 1)),
    nodes,
    inputs,
    outputs,
    stored,
    parameters,
    buffers,
    bytes,
    dtypes,
    dynamic: dynamicSizes(program),
    unsupported: program.problems.map((p) => ({ ...p, text: problemToText(p) })),
  };
}

/**
 * Describes a model file without running it or reading its weights.
 *
 * @throws {FormatError} if the file is not readable as a model.
 *
 * @example
 * ```ts ignore
 * const report = await inspectModel("model.pt2");
 * console.log(report.operators, report.unsupported.map((u) => u.text));
 * ```
 */
export async function inspectModel(path: string, options: ReadOptions = {}): Promise<InspectReport> {
  return inspectProgram(await readExportedProgram(path, options), path);
}

function bytesText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let value = bytes, unit = 0;
  for (; value >= 1024 && unit < 3; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** The report as text for people. */
export function inspectToText(report: InspectReport): string {
  const lines = [
    `${report.path}: model ${report.model}, ${report.format} ${report.schemaVersion}, PyTorch ${report.torchVersion}`,
    `${report.nodes} nodes, ${report.parameters.toLocaleString("en")} parameters, ${
      report.buffers.toLocaleString("en")
    } elements of buffers and constants, ${bytesText(report.bytes)}`,
    ...Object.entries(report.dtypes).map(([dtype, bytes]) => `  ${dtype}: ${bytesText(bytes)}`),
    "inputs",
    ...report.inputs.map((v) => `  ${v.place ?? v.name}: ${v.type}`),
    "outputs",
    ...report.outputs.map((v) => `  ${v.name}: ${v.type}`),
  ];
  if (report.dynamic.length > 0) {
    lines.push("dynamic sizes");
    for (const { symbol, range, dimensions } of report.dynamic) {
      lines.push(
        `  ${symbol}: ${range}${dimensions.length > 0 ? ` (${dimensions.join(", ")})` : " (known at run time)"}`,
      );
    }
  }
  lines.push("operators", ...report.operators.map(({ target, count }) => `  ${String(count).padStart(5)}  ${target}`));
  if (report.unsupported.length > 0) {
    lines.push("unsupported", ...report.unsupported.map(({ text }) => `  ${text}`));
  }
  return lines.map(printable).join("\n");
}
