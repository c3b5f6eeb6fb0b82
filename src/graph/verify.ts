/**
 * Checks the invariants of a graph after every pass.
 *
 * Each node is used after its definition and only within its own graph; users are exactly the nodes that read it; names are unique
 * identifiers; attributes have unique paths; inputs stand before calls; one output stands last; a call has one argument for each
 * of its schema, of a fitting kind, and as many results as its schema says; the graphs of a higher-order operator are graphs of this kind that
 * fit its operands and results. Throws `VerifyError`, which names node and rule.
 */
import { VerifyError } from "../core/mod.ts";
import { isSymInt } from "../symbolic/mod.ts";
import { CONTROL_GRAPHS, type ControlTarget, isControl, operandsOf } from "./control.ts";
import { type Graph, inputsOf } from "./graph.ts";
import { type Argument, type CallNode, isNode, isTensorMeta, type Node, type NodeValue } from "./node.ts";
import { argumentToText, nodeToText, valueToText } from "./print.ts";
import type { SchemaArg } from "./schema.ts";

function fail(node: Node, rule: string): never {
  throw new VerifyError(`graph: ${rule}; at ${nodeToText(node)}`);
}

function isNumberLike(argument: Argument): boolean {
  return typeof argument === "number" || typeof argument === "bigint" || typeof argument === "boolean" ||
    isSymInt(argument) || (isNode(argument) && (isSymInt(argument.value) || typeof argument.value === "number"));
}

/** Tells whether an element fits the base type of its schema argument. */
function fits(argument: Argument, arg: SchemaArg): boolean {
  switch (arg.type) {
    case "Tensor":
      return (isNode(argument) && isTensorMeta(argument.value)) || isNumberLike(argument);
    case "Scalar":
    case "int":
    case "float":
      return isNumberLike(argument);
    case "bool":
      return typeof argument === "boolean";
    case "str":
    case "Layout":
    case "MemoryFormat":
      return typeof argument === "string";
    case "ScalarType":
      return typeof argument === "object" && argument !== null && "short" in argument;
    case "Device":
      return typeof argument === "object" && argument !== null && "index" in argument && "type" in argument;
    case "Generator":
      return false;
    default:
      return arg.type satisfies never;
  }
}

function verifyArgument(node: CallNode, argument: Argument, arg: SchemaArg): void {
  const bad = (what: Argument): never =>
    fail(node, `argument ${arg.key} must be ${arg.type}${arg.list ? "[]" : ""}, is ${argumentToText(what)}`);
  if (argument === null) {
    if (!arg.optional) bad(argument);
  } else if (arg.list) {
    if (!Array.isArray(argument)) return bad(argument);
    for (const item of argument as readonly Argument[]) {
      if (item === null ? !arg.optionalElements : !fits(item, arg)) bad(item);
    }
  } else if (!fits(argument, arg)) bad(argument);
  if (arg.mutated && !arg.list && argument !== null && !isNode(argument)) {
    fail(node, `argument ${arg.key} is written, so it must be a node`);
  }
}

/** Graphs take what the call hands over and give as many results as the call has; those of branches have one dtype and rank. */
function verifyControl(node: CallNode, target: ControlTarget): void {
  const given = operandsOf(node, target);
  const names = CONTROL_GRAPHS[target.control];
  if (target.graphs.length !== names.length) fail(node, `it must have ${names.length} graphs`);
  target.graphs.forEach((graph, i) => {
    const name = `its graph ${names[i]}`;
    verifyGraph(graph);
    const { length } = graph.placeholders;
    if (given !== null && length !== given) fail(node, `${name} takes ${length} inputs, the call hands over ${given}`);
    const wanted = target.control === "while_loop" && i === 0 ? 1 : Array.isArray(node.value) ? node.value.length : 1;
    const results = graph.output.results;
    if (results.length !== wanted) fail(node, `${name} gives ${results.length} results, ${wanted} are wanted`);
    if (target.control !== "cond" || !Array.isArray(node.value)) return;
    node.value.forEach((value: NodeValue, at) => {
      const result = results[at];
      const found = isNode(result) ? result.value : null;
      if (!isTensorMeta(value) || !isTensorMeta(found)) return;
      if (found.dtype !== value.dtype || found.shape.length !== value.shape.length) {
        fail(node, `${name} gives ${valueToText(found)} as result ${at}, the call yields ${valueToText(value)}`);
      }
    });
  });
}

function verifyCall(node: CallNode): void {
  const { schema } = node.target;
  if (isControl(node.target)) verifyControl(node, node.target);
  if (node.args.length !== schema.args.length) {
    fail(node, `${schema.target} takes ${schema.args.length} arguments, has ${node.args.length}`);
  }
  schema.args.forEach((arg, i) => verifyArgument(node, node.args[i] ?? null, arg));
  const { returns } = schema;
  const first = returns[0];
  if (returns.length === 1 && first?.list === false) {
    if (first.type === "Tensor" && !isTensorMeta(node.value)) fail(node, "its result must be a tensor");
  } else if (returns.length > 1) {
    // The tensors of a list beside other results follow those.
    const many = returns.some((r) => r.list);
    const count = Array.isArray(node.value) ? node.value.length : 0;
    if (many ? count < returns.length - 1 : count !== returns.length) {
      fail(node, `it must yield ${returns.length} results`);
    }
  }
}

function verifyTensorMeta(node: Node): void {
  const { value } = node;
  if (!isTensorMeta(value)) return;
  if (value.shape.length !== value.stride.length) fail(node, "shape and stride have different lengths");
  for (const size of value.shape) if (typeof size === "number" && size < 0) fail(node, "a size is negative");
}

/**
 * Checks a graph.
 *
 * @throws {VerifyError} naming the first node that breaks a rule, and the rule.
 */
export function verifyGraph(graph: Graph): void {
  const defined = new Set<Node>();
  const names = new Set<string>();
  const paths = new Set<string>();
  let sawCall = false;
  for (const node of graph.nodes) {
    if (names.has(node.name)) fail(node, `the name ${node.name} is taken`);
    if (!/^[A-Za-z_]\w*$/.test(node.name)) fail(node, `${JSON.stringify(node.name)} is not an identifier`);
    names.add(node.name);
    for (const input of inputsOf(node)) {
      if (!defined.has(input)) fail(node, `${input.name} is used before its definition, or belongs to another graph`);
      if (!input.users.has(node)) fail(node, `${input.name} does not list it among its users`);
    }
    verifyTensorMeta(node);
    switch (node.op) {
      case "placeholder":
        if (sawCall) fail(node, "inputs must stand before calls");
        break;
      case "getAttr":
        if (paths.has(node.path)) fail(node, `the path ${JSON.stringify(node.path)} is taken`);
        paths.add(node.path);
        break;
      case "call":
        sawCall = true;
        verifyCall(node);
        break;
      case "getItem":
        if (!Array.isArray(node.source.value)) fail(node, `${node.source.name} yields one value only`);
        else if (node.index < 0 || node.index >= node.source.value.length) fail(node, "the index is out of range");
        break;
      case "output":
        if (node !== graph.nodes.at(-1)) fail(node, "the output must stand last");
        break;
      default:
        node satisfies never;
    }
    defined.add(node);
  }
  const last = graph.nodes.at(-1);
  if (last?.op !== "output") throw new VerifyError("graph: it has no output");
  for (const node of graph.nodes) {
    for (const user of node.users) {
      if (!defined.has(user)) fail(node, `its user ${user.name} is not in the graph`);
      if (!inputsOf(user).includes(node)) fail(node, `it lists ${user.name} as a user, which does not read it`);
    }
  }
}
