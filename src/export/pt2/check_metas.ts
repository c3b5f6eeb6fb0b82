/**
 * Derives every node's shape, strides and dtype again from the operator table, and compares them with what the file says.
 *
 * A whole number that the file writes as a float promotes as one there; here it must not look like an integer, so a dtype is stated or a cast inserted.
 * Kernels are generated from these descriptions, so a file must not be able to lie in them, and strides must be those that Tessera's operators
 * produce. Only what depends on data is taken from the file. A disagreement is collected as a problem: the program can be inspected, not run.
 */
import type { DType } from "../../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type NodeValue,
  type TensorMeta,
  valueToText,
} from "../../graph/mod.ts";
import { type ArgValue, isOperator, type NamedArgs, type Operator } from "../../ops/mod.ts";
import { constantValue, exprOf, sizeSame, sub } from "../../symbolic/mod.ts";
import { dispatchComplete, fakeTensor, FakeTensorMode, inferMeta, noGrad, Tensor, withMode } from "../../tensor/mod.ts";
import { castTo } from "./autocast.ts";
import { inRowMajor } from "./control_layouts.ts";
import { takesComplexForm } from "./graph_copier.ts";
import type { ReadContext } from "./graph_names.ts";
import { isControl } from "./targets.ts";

class MetaChecker {
  readonly #context: ReadContext;
  readonly #fakes = new Map<Node, Tensor>();

  constructor(context: ReadContext) {
    this.#context = context;
  }

  check(graph: Graph): void {
    for (const node of [...graph.nodes]) {
      if (node.op === "getItem") {
        const list = node.source.value;
        if (Array.isArray(list)) node.value = list[node.index] ?? null;
      } else if (node.op === "call") this.#checkCall(node, graph);
    }
  }

  #checkCall(node: CallNode, graph: Graph): void {
    const { target } = node;
    if (isControl(target)) { for (const inner of target.graphs) this.check(inner); }
    if (!isOperator(target) || target.isDataDependent) return;
    const single = !Array.isArray(node.value);
    const said: readonly NodeValue[] = Array.isArray(node.value) ? node.value : [node.value];
    const isComplex = takesComplexForm(target, node);
    let derived: readonly TensorMeta[];
    const { location } = node;
    this.#context.shapes.asker = location === null
      ? target.target
      : `${target.target} at ${location.file}:${location.line}`;
    try {
      derived = this.#deriveOf(graph, node, isComplex);
      const [first] = derived, [wanted = null] = said;
      if (
        first?.dtype.isIntegral === true && isTensorMeta(wanted) && wanted.dtype.isFloat &&
        this.#context.floatCalls.has(node)
      ) {
        graph.setArgs(node, graph.insertBefore(node, () => promoteAsFloat(graph, target, node.args, wanted.dtype)));
        derived = this.#derive(target, node.args, isComplex);
        if (derived[0]?.dtype.isIntegral === true && single) return this.#castResult(graph, node, derived[0], wanted);
      }
    } catch (error) {
      if (error instanceof NoValue) return;
      this.#report(node, error instanceof Error ? error.message : String(error));
      return;
    } finally {
      this.#context.shapes.asker = null;
    }
    if (single ? derived.length !== 1 : said.length !== derived.length) {
      this.#report(node, `yields ${derived.length} results, the file says ${said.length}`);
      return;
    }
    for (const [i, meta] of derived.entries()) {
      const other = said[i] ?? null;
      // PyTorch's own descriptions of what nobody reads (the sizes of bags) differ from its results.
      if (isTensorMeta(other) && (single || isRead(node, i)) && disagree(meta, other)) {
        this.#report(node, `yields ${valueToText(meta)}, the file says ${valueToText(other)}`);
        return;
      }
    }
    const [first] = derived;
    node.value = single ? first ?? null : derived;
    if (target.functional !== null) this.#keepSelf(node, target);
  }

  /**
   * A view whose strides PyTorch's kernels allow and Tessera's do not (attention's result lies otherwise) is taken of a row-major copy. Where the graph writes
   * to the memory, the copy would miss it: that stays a problem.
   */
  #deriveOf(graph: Graph, node: CallNode, isComplex: boolean): readonly TensorMeta[] {
    const target = node.target as Operator;
    try {
      return this.#derive(target, node.args, isComplex);
    } catch (error) {
      const [self, ...rest] = node.args;
      if (
        target.schema.target !== "aten.view.default" || self === undefined || !isNode(self) ||
        !isTensorMeta(self.value) ||
        isWritten(graph, self)
      ) throw error;
      const before = graph.insertBefore(node, () => inRowMajor(graph, self));
      if (before === self) throw error;
      graph.setArgs(node, [before, ...rest]);
      return this.#derive(target, node.args, isComplex);
    }
  }

  #derive(op: Operator, given: readonly Argument[], isComplex: boolean): readonly TensorMeta[] {
    const args = Object.fromEntries(
      op.schema.args.map((arg, i) => [arg.key, this.#argument(given[i] ?? null)]),
    ) as NamedArgs<Tensor>;
    if (!isComplex) return inferMeta(op, args);
    // What a complex operator means is written on parts: its description is what becomes of those.
    const result = withMode(new FakeTensorMode(), () => noGrad(() => dispatchComplete(op, args)));
    return result instanceof Tensor ? [result] : result;
  }

  /** Two whole numbers written as floats, and no tensor to carry the dtype: the result is exact, so it is cast. */
  #castResult(graph: Graph, node: CallNode, derived: TensorMeta, wanted: TensorMeta): void {
    node.value = derived;
    const users = graph.nodes[graph.nodes.indexOf(node) + 1];
    if (users === undefined) return;
    const cast = graph.insertBefore(users, () => castTo(graph, node, wanted.dtype));
    graph.replaceAllUses(node, cast, (user) => user === cast);
  }

  /** An in-place operator yields the tensor that it wrote. */
  #keepSelf(node: CallNode, op: Operator): void {
    const at = op.schema.args.findIndex((a) => a.mutated);
    const self = node.args[at];
    if (isNode(self) && isTensorMeta(self.value)) node.value = self.value;
  }

  #report(node: CallNode, reason: string): void {
    this.#context.problems.add(
      node.target.schema.target,
      reason.length > 500 ? `${reason.slice(0, 500)}…` : reason,
      node.location,
      this.#context.stackTraces.get(node) ?? null,
    );
  }

  #argument(argument: Argument): ArgValue<Tensor> {
    if (Array.isArray(argument)) return argument.map((a: Argument) => this.#argument(a));
    if (!isNode(argument)) return argument as ArgValue<Tensor>;
    const { value } = argument;
    if (!isTensorMeta(value)) {
      if (value === null || Array.isArray(value)) throw new NoValue();
      return value as ArgValue<Tensor>;
    }
    let fake = this.#fakes.get(argument);
    if (fake === undefined) this.#fakes.set(argument, fake = fakeTensor(value));
    return fake;
  }
}

/** An argument whose description is not known: it comes from a call that is a problem already. */
class NoValue extends Error {}

/** Whether anything reads one of several results. */
function isRead(node: Node, index: number): boolean {
  for (const user of node.users) if (user.op !== "getItem" || user.index === index) return true;
  return false;
}

/** The node whose memory a chain of views shows. */
function memoryOf(node: Node): Node {
  if (node.op !== "call" || !isOperator(node.target) || node.target.view === null) return node;
  const [self] = node.args;
  return self !== undefined && isNode(self) ? memoryOf(self) : node;
}

/** Whether a call of the graph writes to the memory of a tensor. */
function isWritten(graph: Graph, tensor: Node): boolean {
  const memory = memoryOf(tensor);
  return graph.nodes.some((node) =>
    node.op === "call" && node.target.schema.args.some((arg, i) => {
      const given = node.args[i];
      return arg.mutated && given !== undefined && isNode(given) && memoryOf(given) === memory;
    })
  );
}

/** Whether two descriptions cannot both hold. Sizes that only might differ are no disagreement. */
function disagree(a: TensorMeta, b: TensorMeta): boolean {
  if (a.dtype !== b.dtype || a.shape.length !== b.shape.length) return true;
  return a.shape.some((size, d) => {
    const other = b.shape[d] ?? 0;
    if (sizeSame(size, other)) return false;
    const difference = constantValue(sub(exprOf(size), exprOf(other)));
    return difference !== null && difference !== 0;
  });
}

/** The arguments under which whole numbers promote as the floats they are: with a stated dtype, or tensors of integers cast. */
function promoteAsFloat(graph: Graph, op: Operator, args: readonly Argument[], dtype: DType): Argument[] {
  const at = op.schema.args.findIndex((arg) => arg.type === "ScalarType" && arg.name === "dtype");
  if (at >= 0) return args.map((arg, i) => i === at ? arg ?? dtype : arg);
  return args.map((arg, i) => {
    const isInteger = isNode(arg) && isTensorMeta(arg.value) && arg.value.dtype.kind !== "bool" &&
      arg.value.dtype.isIntegral;
    return isInteger && op.schema.args[i]?.mutated !== true ? castTo(graph, arg, dtype) : arg;
  });
}

/** Replaces the descriptions in a graph, and those in its control flow, by derived ones; disagreements become problems. */
export function checkMetas(graph: Graph, context: ReadContext): void {
  new MetaChecker(context).check(graph);
}
