/**
 * The text of a graph: stable, one line a node, for logs, goldens and people.
 *
 * A line reads `name: f32[2, 3] = aten.add.Tensor(x, y, alpha=2)`. Strides stand after the shape only where the tensor is not
 * contiguous, the device only where it is not the CPU, arguments only where they differ from the schema's default. The graphs of a
 * higher-order operator follow its line, indented. Nothing
 * here asks a shape environment anything, so printing never adds a guard.
 */
import { contiguousStride, isSymInt, type Size, sizeSame } from "../symbolic/mod.ts";
import { CONTROL_GRAPHS, isControl } from "./control.ts";
import type { Graph } from "./graph.ts";
import { type Argument, type CallNode, isNode, isTensorMeta, type Node, type NodeValue } from "./node.ts";
import type { SchemaDefault } from "./schema.ts";

/** What {@linkcode graphToText} may leave out or add. */
export interface GraphTextOptions {
  /** Append the user's line to each call, where known. */
  readonly locations?: boolean;
}

function sizesText(sizes: readonly Size[]): string {
  return sizes.map(String).join(", ");
}

/** `f32[2, 3]`, with `(1, 2)` for unusual strides, `+4` for an offset and `@cuda` for another device. */
export function valueToText(value: NodeValue): string {
  if (value === null) return "none";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (isSymInt(value)) return `size ${value}`;
  if (isTensorMeta(value)) {
    const usual = contiguousStride(value.shape);
    const strange = value.stride.some((s, i) => !sizeSame(value.shape[i] ?? 0, 1) && !sizeSame(s, usual[i] ?? 0));
    const stride = strange ? `(${sizesText(value.stride)})` : "";
    const offset = sizeSame(value.storageOffset, 0) ? "" : `+${value.storageOffset}`;
    const device = value.device.type === "cpu" ? "" : `@${value.device}`;
    return `${value.dtype.short}[${sizesText(value.shape)}]${stride}${offset}${device}`;
  }
  return `(${value.map(valueToText).join(", ")})`;
}

/** An argument as it stands in the text. */
export function argumentToText(argument: Argument): string {
  if (argument === null) return "none";
  if (Array.isArray(argument)) return `[${argument.map((a: Argument) => argumentToText(a)).join(", ")}]`;
  if (isNode(argument)) return argument.name;
  if (typeof argument === "string") return JSON.stringify(argument);
  if (typeof argument === "number" && Object.is(argument, -0)) return "-0";
  if (typeof argument === "bigint") return `${argument}n`;
  if (typeof argument === "object" && "short" in argument) return argument.short;
  return String(argument);
}

function isDefault(argument: Argument, defaultValue: SchemaDefault): boolean {
  if (Array.isArray(argument)) {
    return Array.isArray(defaultValue) && argument.length === defaultValue.length &&
      argument.every((a: Argument, i) => Object.is(a, defaultValue[i]));
  }
  return Object.is(argument, defaultValue);
}

function callToText(node: CallNode): string {
  const { schema } = node.target;
  const parts: string[] = [];
  let named = false;
  node.args.forEach((argument, i) => {
    const arg = schema.args[i];
    if (arg === undefined) parts.push(argumentToText(argument));
    else if (arg.hasDefault && isDefault(argument, arg.defaultValue)) named = true;
    else parts.push(named || arg.kwargOnly ? `${arg.key}=${argumentToText(argument)}` : argumentToText(argument));
  });
  return `${schema.target}(${parts.join(", ")})`;
}

/** One line of the text, without indentation. */
export function nodeToText(node: Node): string {
  const typed = `${node.name}: ${valueToText(node.value)}`;
  switch (node.op) {
    case "placeholder":
      return `${typed} = input`;
    case "getAttr":
      return `${typed} = attribute ${JSON.stringify(node.path)}`;
    case "call":
      return `${typed} = ${callToText(node)}`;
    case "getItem":
      return `${typed} = ${node.source.name}[${node.index}]`;
    case "output":
      return `return ${node.results.map(argumentToText).join(", ")}`;
    default:
      return node satisfies never;
  }
}

/**
 * The whole graph as text.
 *
 * @example
 * ```ts
 * import { float32, cpu } from "../core/mod.ts";
 * import { Graph } from "./graph.ts";
 * import { graphToText } from "./print.ts";
 * const graph = new Graph();
 * const meta = { shape: [2, 3], stride: [3, 1], storageOffset: 0, dtype: float32, device: cpu };
 * graph.setOutput([graph.placeholder("x", meta)]);
 * console.assert(graphToText(graph) === "graph {\n  x: f32[2, 3] = input\n  return x\n}");
 * ```
 */
export function graphToText(graph: Graph, options: GraphTextOptions = {}): string {
  return `graph {\n${linesOf(graph, options, "  ").join("")}}`;
}

function linesOf(graph: Graph, options: GraphTextOptions, indent: string): string[] {
  return graph.nodes.flatMap((node) => {
    const at = options.locations === true && node.location !== null && node.location.file !== ""
      ? `  # ${node.location.file}:${node.location.line}`
      : "";
    const line = `${indent}${nodeToText(node)}${at}\n`;
    if (node.op !== "call" || !isControl(node.target)) return [line];
    const names = CONTROL_GRAPHS[node.target.control];
    return [
      line,
      ...node.target.graphs.flatMap((inner, i) => [
        `${indent}  ${names[i] ?? `graph ${i}`} {\n`,
        ...linesOf(inner, options, `${indent}    `),
        `${indent}  }\n`,
      ]),
    ];
  });
}
