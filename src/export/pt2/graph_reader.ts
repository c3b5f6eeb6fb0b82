/**
 * Serialised graph → Graph.
 *
 * Enters: checked graph data. Leaves: nodes of the operator table with complete arguments, in the file's order. Arithmetic on sizes becomes symbolic
 * expressions inside arguments and needs no nodes; regions that only set a mode (no_grad, autocast, nested calls) are dissolved into
 * their graph, autocast by explicit casts; assertions become constraints. Calls that nothing can run are kept as unsupported ones and collected.
 * Invariant: each name is defined once, before its first use, so what a file says cannot form a cycle. Mirrors `GraphModuleDeserializer`.
 */
import { cpu, type DType } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  CONTROL_GRAPHS,
  CONTROL_SCHEMAS,
  controlTarget,
  Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type OpTarget,
} from "../../graph/mod.ts";
import { findOp, type Operator } from "../../ops/mod.ts";
import { asBool, freeSymbols, isSymInt } from "../../symbolic/mod.ts";
import { quoteName } from "../zip/archive.ts";
import { argumentOf, NoCounterpart } from "./arguments.ts";
import { autocastArguments } from "./autocast.ts";
import { batchCall, rewriteBatches } from "./batches.ts";
import { GraphNames, type ReadContext } from "./graph_names.ts";
import { isMask, isSymbolic, mentionsUnbacked, resultsOf } from "./node_results.ts";
import { printable } from "./problems.ts";
import type { ArgumentData, GraphData, NodeData } from "./schema.ts";
import { arithmeticOn, numberNode, withNumbers } from "./number_tensors.ts";
import { assertTarget, COND_ON_NUMBER, controlKind, ITEM, unsupportedTarget } from "./targets.ts";
import { dtypeCodeName, dtypeOfCode, locationOf } from "./types.ts";

/** Operators that hand on their input: they only mean something to autograd or to the exporter. */
const IDENTITIES: ReadonlySet<string> = new Set(["lift_fresh", "lift", "alias", "detach"]);

/** Arguments that only promise something to PyTorch's kernels, or say where host memory lies. */
const HINTS: ReadonlySet<string> = new Set(["pin_memory", "unsafe"]);

/** Reads one graph, or a region of one. */
export class GraphReader extends GraphNames {
  /** Inside an autocast region, its dtype. */
  readonly #autocast: DType | null;

  /** @param graph Where nodes go: a new graph, or the one into which this one is dissolved. */
  constructor(data: GraphData, context: ReadContext, graph: Graph = new Graph(), autocast: DType | null = null) {
    super(data, context, graph);
    this.#autocast = autocast;
  }

  // Nodes.

  /** Reads all nodes. */
  readNodes(): void {
    for (const node of this.data.nodes) {
      this.at = node.cursor;
      this.#readNode(node);
    }
    this.at = null;
  }

  /** The graph's results as arguments. */
  results(): Argument[] {
    return this.data.outputs.map((data, i) => {
      this.at = this.data.cursor.get("outputs").items()[i] ?? null;
      try {
        return argumentOf(data, null, this);
      } catch (error) {
        if (error instanceof NoCounterpart) return (this.at ?? this.data.cursor).fail(error.message);
        throw error;
      }
    });
  }

  #readNode(node: NodeData): void {
    const { target } = node;
    if (!target.startsWith("torch.ops.")) {
      const batch = batchCall(target);
      if (batch !== null) return batch === "nothing" ? undefined : this.#readBatch(node, batch);
      if (this.#readArithmetic(node)) return;
      // `_operator.add`, `math.trunc`, `torch.sym_max`: their results stand in the tables of symbolic values.
      if (!isSymbolic(node.outputs)) this.#unsupported(node, "not an operator that is known");
      return;
    }
    const name = target.slice("torch.ops.".length);
    if (name.startsWith("higher_order.")) return this.#readHigherOrder(node, name.slice("higher_order.".length));
    switch (name) {
      case "aten._assert_scalar.default":
        return this.#readAssertion(node);
      case "aten.sym_constrain_range.default":
      case "aten.sym_constrain_range_for_size.default":
        return this.#readRange(node);
      case "aten._assert_tensor_metadata.default":
        return this.#readMetadataAssertion(node);
      // It only changes what the tape knows, and there is none.
      case "aten.detach_.default":
        return this.#alias(node);
      case "aten.item.default":
      case "aten._local_scalar_dense.default":
        return this.#readItem(node);
      case "aten._assert_async.default":
      case "aten._assert_async.msg":
        return this.#readAsserted(node);
      default:
    }
    if (/^aten\.sym_\w+\.\w+$/.test(name) && isSymbolic(node.outputs)) return;
    const op = findOp(name);
    if (op !== null) return this.#readCall(node, op);
    const base = /^aten\.(\w+)\.default$/.exec(name)?.[1] ?? "";
    if (IDENTITIES.has(base)) return this.#alias(node);
    const clone = findOp("aten.clone.default");
    if (base === "lift_fresh_copy" && clone !== null) return this.#readCall(node, clone);
    this.#unsupported(node, "not in the operator table");
  }

  #alias(node: NodeData): void {
    const [input] = node.inputs, [output] = node.outputs;
    if (input?.arg.kind !== "tensor" || output?.kind !== "tensor") {
      return this.#unsupported(node, "unexpected arguments");
    }
    this.define(output.name, this.tensor(input.arg.name), node.cursor);
  }

  /** Arguments in schema order, with defaults. @throws {NoCounterpart} */
  #arguments(node: NodeData, op: Operator): Argument[] {
    const given = new Map(node.inputs.map((input) => [input.name, input.arg]));
    const args = op.schema.args.map((arg): Argument => {
      const data = given.get(arg.name);
      given.delete(arg.name);
      if (data !== undefined && !(arg.type === "Generator")) return argumentOf(data, arg, this);
      if (!arg.hasDefault && !arg.optional) throw new NoCounterpart(`its argument ${arg.name} is missing`);
      // A schema may write one number for a list: `int[2] stride=1`.
      if (arg.list && typeof arg.defaultValue === "number") {
        return new Array<Argument>(arg.listLength ?? 1).fill(arg.defaultValue);
      }
      return arg.defaultValue;
    });
    for (const [name, data] of given) {
      // What the table leaves out may be given as long as it says nothing, or nothing that results hang on.
      if (HINTS.has(name) || data.kind === "none" || (data.kind === "bool" && !data.value)) continue;
      throw new NoCounterpart(`its argument ${quoteName(name)} is not in the operator table's schema`);
    }
    return args;
  }

  /** Arithmetic on numbers that are tensors, or that makes fractions of sizes; tells whether it was that. */
  #readArithmetic({ target, inputs, outputs, cursor }: NodeData): boolean {
    const [output] = outputs;
    const named = (data: ArgumentData): boolean =>
      data.kind === "symFloat" && "name" in data.value && this.numberOf(data.value.name) !== null;
    if (output?.kind !== "symFloat" || !("name" in output.value)) return false;
    if (!inputs.some(({ arg }) => named(arg)) && !this.isFraction(output.value.name)) return false;
    const given = inputs.map(({ arg }) => this.#numberFrom(arg));
    const made = given.includes(null) ? null : arithmeticOn(this.graph, target, given, this.context.device ?? cpu);
    if (made === null) return false;
    this.defineNumber(output.value.name, made, cursor);
    return true;
  }

  /** An operand of arithmetic; null for what is no number, or none that is known. */
  #numberFrom(arg: ArgumentData): Argument {
    if (!/^(sym)?(Int|Float)$/i.test(arg.kind)) return null;
    try {
      return argumentOf(arg, null, this);
    } catch (error) {
      if (error instanceof NoCounterpart) return null;
      throw error;
    }
  }

  #readCall(node: NodeData, given: Operator): void {
    let args: Argument[];
    let op = given;
    try {
      args = this.#arguments(node, op);
      if (this.numbers.size > 0 && args.flat().some((a) => isNode(a as Argument) && this.numbers.has(a as Node))) {
        const made = withNumbers(this.graph, op, args, this.numbers);
        if (made === null) throw new NoCounterpart("numbers that are read out of float tensors are not supported here");
        ({ op, args } = made);
      }
    } catch (error) {
      if (error instanceof NoCounterpart) return this.#unsupported(node, error.message);
      throw error;
    }
    const results = resultsOf(node.outputs);
    const { returns } = op.schema;
    const single = returns.length === 1 && returns[0]?.list === false;
    if (single && (results.length !== 1 || node.outputs[0]?.kind === "tensors")) {
      return this.#unsupported(node, `has ${results.length} results where the operator table's schema has one`);
    }
    if (returns.length > 1 && returns.length !== node.outputs.length) {
      return this.#unsupported(node, `has ${node.outputs.length} results where the schema has ${returns.length}`);
    }
    const values = node.outputs.map((data) => this.#resultValue(data));
    // Tensors of a list beside other results follow those.
    const value: NodeValue = single ? values[0] ?? null : returns.length === 1 ? values[0] ?? [] : values.flat();
    if (this.#autocast !== null) args = autocastArguments(this.graph, op, args, value, this.#autocast);
    const call = this.#call(node, this.#effectful(op, args, value), args, value);
    if (node.inputs.some(({ arg }) => arg.kind === "float" && Number.isInteger(arg.value))) {
      this.context.floatCalls.add(call);
    }
    if (single) {
      const [output] = node.outputs;
      if (output?.kind === "tensor") this.define(output.name, call, node.cursor);
      return;
    }
    // A list result is one output that names them all, several results are several outputs.
    const list = returns.length === 1;
    for (const { data, path } of results) {
      if (data.kind === "tensor") {
        const place = path.reduce((a, b) => a + b);
        this.defineResult(data.name, call, list ? path.slice(1) : [place], node.cursor);
      }
    }
  }

  /** An operator whose result sizes depend on data gives symbols their values, so it must stay even if its results are not read. */
  #effectful(op: Operator, args: readonly Argument[], value: NodeValue): OpTarget {
    if (!mentionsUnbacked(value)) return op;
    // Indices are as many as a mask has places that hold.
    const isMasked = op.target === "aten.index.Tensor" && Array.isArray(args[1]) && args[1].some(isMask);
    return op.isDataDependent || isMasked ? { ...op, isDataDependent: true, hasEffects: true } as OpTarget : op;
  }

  #resultValue(data: ArgumentData): NodeValue {
    switch (data.kind) {
      case "tensor":
        return this.data.tensorValues.has(data.name) ? this.metaOf(data.name) : null;
      case "tensors":
        return data.names.map((name) => this.data.tensorValues.has(name) ? this.metaOf(name) : null);
      case "symInt": {
        const value = "name" in data.value ? this.symInt(data.value.name) : Number(data.value.value);
        return typeof value === "number" || isSymInt(value) ? value : null;
      }
      default:
        return null;
    }
  }

  #call(node: NodeData, target: OpTarget, args: readonly Argument[], value: NodeValue): CallNode {
    const call = this.graph.call(target, args, value, locationOf(node.stackTrace));
    if (node.stackTrace !== null) this.context.stackTraces.set(call, node.stackTrace);
    return call;
  }

  /** Keeps a call that cannot run, with the tensors it reads and the names it defines. */
  #unsupported(node: NodeData, reason: string): void {
    const target = printable(node.target.replace(/^torch\.ops\./, "").slice(0, 200));
    this.context.problems.add(target, reason, locationOf(node.stackTrace), node.stackTrace);
    const inputs: Argument[] = [];
    for (const { arg } of node.inputs) {
      if (arg.kind === "tensor") inputs.push(this.tensor(arg.name));
      else if (arg.kind === "tensors") inputs.push(...arg.names.map((name) => this.tensor(name)));
      else if (arg.kind === "optionalTensors") {
        for (const name of arg.names) if (name !== null) inputs.push(this.tensor(name));
      }
    }
    const results = resultsOf(node.outputs);
    const values = results.map(({ data }) => this.#resultValue(data));
    const call = this.#call(node, unsupportedTarget(target, reason, results.length), [inputs.filter(isNode)], values);
    results.forEach(({ data }, i) => {
      if (data.kind === "tensor") this.defineResult(data.name, call, [i], node.cursor);
    });
  }

  // Calls that are not the operator table's.

  #readItem(node: NodeData): void {
    const [input] = node.inputs, [output] = node.outputs;
    if (input?.arg.kind !== "tensor" || output === undefined) return this.#unsupported(node, "unexpected arguments");
    if (output.kind === "symFloat" && "name" in output.value) {
      const tensor = this.tensor(input.arg.name);
      const number = isNode(tensor) ? numberNode(this.graph, tensor) : null;
      if (number !== null) return this.defineNumber(output.value.name, number, node.cursor);
    }
    let value: NodeValue = null;
    if (output.kind === "symInt" && "name" in output.value) {
      const size = this.symInt(output.value.name);
      value = isSymInt(size) ? size : null;
    } else if (output.kind === "symBool") {
      // The file says `Eq(u0, 1)`, and what the run gives is u0; or it says what the run must give.
      const cond = "name" in output.value ? this.condition(output.value.name) : asBool(output.value.value);
      const [sym, second] = freeSymbols(cond);
      if (sym !== undefined && second === undefined) value = this.context.shapes.sizeOfSymbol(sym);
      else if (cond.kind === "bool") value = cond.value;
    }
    if (!isSymInt(value) && typeof value !== "boolean") {
      return this.#unsupported(node, "numbers that are read out of float tensors are not supported");
    }
    this.#call(node, ITEM, [this.tensor(input.arg.name)], value);
  }

  #readAsserted(node: NodeData): void {
    const [subject, message] = node.inputs;
    if (subject?.arg.kind !== "tensor") return this.#unsupported(node, "unexpected arguments");
    const target = assertTarget(message?.arg.kind === "string" ? message.arg.value : null);
    this.#call(node, target, [this.tensor(subject.arg.name)], true);
  }

  #readAssertion(node: NodeData): void {
    const [subject, message] = node.inputs;
    const text = message?.arg.kind === "string" ? message.arg.value : "an assertion of the exported program";
    if (subject?.arg.kind === "bool") {
      this.context.constraints.push({ cond: asBool(subject.arg.value), text });
    } else if (subject?.arg.kind === "symBool") {
      const { value } = subject.arg;
      // What is asserted of a number that is a tensor cannot be looked at without reading it.
      if ("name" in value && this.isOfNumbers(value.name)) return;
      const cond = "name" in value ? this.condition(value.name) : asBool(value.value);
      this.context.constraints.push({ cond, text });
      if ([...freeSymbols(cond)].some((s) => s.kind === "unbacked")) this.context.shapes.assert(cond);
    } else this.#unsupported(node, "asserts something that is no condition on sizes");
  }

  #readRange(node: NodeData): void {
    const by = new Map(node.inputs.map(({ name, arg }) => [name, arg]));
    const subject = by.get("size") ?? node.inputs[0]?.arg;
    const size = subject?.kind === "symInt" && "name" in subject.value ? this.symInt(subject.value.name) : null;
    if (!isSymInt(size)) return;
    for (const [key, least] of [["min", true], ["max", false]] as const) {
      const data = by.get(key);
      if (data?.kind !== "int" || typeof data.value !== "number") continue;
      this.context.constraints.push(this.context.shapes.boundOf(size.expr, data.value, least));
    }
  }

  #readMetadataAssertion(node: NodeData): void {
    const [subject] = node.inputs;
    const dtype = node.inputs.find((i) => i.name === "dtype")?.arg;
    if (subject?.arg.kind !== "tensor" || dtype?.kind !== "scalarType") return;
    const meta = this.metaOf(subject.arg.name, node.cursor);
    const wanted = dtypeOfCode(dtype.value);
    if (isTensorMeta(meta) && meta.dtype !== wanted) {
      node.cursor.fail(
        `asserts that ${quoteName(subject.arg.name)} is ${dtypeCodeName(dtype.value)}, it is ${meta.dtype.name}`,
      );
    }
  }

  /** A border of a region of slices; `rewriteBatches` takes it away. */
  #readBatch(node: NodeData, { target, args }: Exclude<ReturnType<typeof batchCall>, string | null>): void {
    const given = args.map((i) => {
      const arg = node.inputs[i]?.arg;
      return arg === undefined ? null : argumentOf(arg, null, this);
    });
    const isTensor = target.schema.returns.length > 0;
    const [output] = node.outputs;
    if (given.includes(null) || isTensor && (output?.kind !== "tensor" || !isNode(given[0] ?? null))) {
      return this.#unsupported(node, "unexpected arguments");
    }
    const call = this.#call(node, target, given, isTensor && output !== undefined ? this.#resultValue(output) : null);
    if (output?.kind === "tensor") this.define(output.name, call, node.cursor);
  }

  #readHigherOrder(node: NodeData, name: string): void {
    const args = node.inputs.map((i) => i.arg);
    const graphs = args.flatMap((arg) => arg.kind === "graph" ? [arg.graph] : []);
    const at = args.findIndex((arg) => arg.kind === "graph");
    const operands = args.slice(at + 1).filter((arg) => arg.kind !== "graph");
    const [first] = graphs;
    try {
      switch (name) {
        case "wrap_with_set_grad_enabled":
        case "wrap":
          if (first === undefined) break;
          return this.#dissolve(node, first, operands, this.#autocast);
        case "invoke_subgraph":
          if (first === undefined) break;
          // The first operand is the region's name.
          return this.#dissolve(node, first, operands.slice(1), this.#autocast);
        case "hints_wrapper": {
          const [list] = operands;
          if (first === undefined || list?.kind !== "tensors") break;
          return this.#dissolve(
            node,
            first,
            list.names.map((n) => ({ kind: "tensor", name: n }) as const),
            this.#autocast,
          );
        }
        case "with_effects":
          return this.#readEffects(node);
        case "wrap_with_autocast": {
          const [, dtype, enabled] = args;
          if (first === undefined || enabled?.kind !== "bool") break;
          const into = dtype?.kind === "scalarType" ? dtypeOfCode(dtype.value) : null;
          if (enabled.value && into === null) {
            return this.#unsupported(node, "autocast to a dtype that is not supported");
          }
          return this.#dissolve(node, first, operands, enabled.value ? into : null);
        }
        default: {
          const kind = controlKind(name);
          if (kind === null || graphs.length !== CONTROL_GRAPHS[kind].length) break;
          return this.#readControl(node, kind, graphs, args.filter((arg) => arg.kind !== "graph"));
        }
      }
    } catch (error) {
      if (error instanceof NoCounterpart) return this.#unsupported(node, error.message);
      throw error;
    }
    this.#unsupported(node, "this higher-order operator is not supported");
  }

  /** A call that a token puts in order; calls of a graph are in order already, so the token is nothing. */
  #readEffects(node: NodeData): void {
    const [, operator, ...operands] = node.inputs, [token, ...outputs] = node.outputs;
    if (operator?.arg.kind !== "operator" || token?.kind !== "tensor") {
      return this.#unsupported(node, "unexpected arguments");
    }
    this.define(token.name, null, node.cursor);
    const target = operator.arg.value;
    const names = findOp(target.replace(/^torch\.ops\./, ""))?.schema.args.map((arg) => arg.name) ?? [];
    const inputs = operands.map(({ name, arg }, i) => ({ name: name === "" ? names[i] ?? "" : name, arg }));
    this.#readNode({ ...node, target, inputs, outputs: outputs.filter((output) => output.kind !== "none") });
  }

  /** Reads a region's nodes into this graph. */
  #dissolve(node: NodeData, region: GraphData, operands: readonly ArgumentData[], autocast: DType | null): void {
    if (region.inputs.length !== operands.length) {
      node.cursor.fail(`its graph takes ${region.inputs.length} inputs, it is given ${operands.length}`);
    }
    const inner = new GraphReader(region, this.context, this.graph, autocast);
    region.inputs.forEach((input, i) => {
      const operand = operands[i];
      if (input.kind !== "tensor" || operand === undefined) return;
      inner.define(input.name, argumentOf(operand, null, this), region.cursor);
    });
    inner.readNodes();
    const results = inner.results();
    const outputs = resultsOf(node.outputs);
    if (outputs.length !== results.length) {
      node.cursor.fail(`its graph yields ${results.length} results, it has ${outputs.length}`);
    }
    outputs.forEach(({ data }, i) => {
      const result = results[i] ?? null;
      if (data.kind === "tensor") this.define(data.name, result, node.cursor);
    });
  }

  #readControl(
    node: NodeData,
    kind: Exclude<ReturnType<typeof controlKind>, null>,
    graphs: readonly GraphData[],
    operands: readonly ArgumentData[],
  ): void {
    const given = operands.map((data) => argumentOf(data, null, this));
    const wanted = CONTROL_SCHEMAS[kind].args.length - 1;
    if (given.length !== wanted) node.cursor.fail(`${kind} takes ${wanted} operands, has ${given.length}`);
    // Graphs of the file name its symbols as they are.
    const args = [...given, []];
    const bodies = graphs.map((data) => readSubGraph(data, this.context));
    const [pred] = args;
    const onNumber = kind === "cond" && !isNode(pred);
    const target = controlTarget(kind, bodies, onNumber ? COND_ON_NUMBER : undefined);
    const outputs = resultsOf(node.outputs);
    const values = outputs.map(({ data }) => this.#resultValue(data));
    const call = this.#call(node, target, args, values);
    outputs.forEach(({ data }, i) => {
      if (data.kind === "tensor") this.defineResult(data.name, call, [i], node.cursor);
    });
  }
}

/** Reads the graph of a higher-order operator: all its inputs are placeholders. */
function readSubGraph(data: GraphData, context: ReadContext): Graph {
  const reader = new GraphReader(data, context);
  data.inputs.forEach((input, i) => {
    if (input.kind === "tensor") {
      reader.define(input.name, reader.graph.placeholder(input.name, reader.metaOf(input.name)));
    } else if (input.kind === "symInt" && "name" in input.value) {
      const value = reader.symInt(input.value.name);
      const placeholder = reader.graph.placeholder(
        input.value.name,
        isSymInt(value) || typeof value === "number" ? value : null,
      );
      reader.define(input.value.name, placeholder);
    } else reader.graph.placeholder(`input_${i}`, null);
  });
  reader.readNodes();
  reader.graph.setOutput(reader.results());
  rewriteBatches(reader.graph, context);
  return reader.graph;
}
