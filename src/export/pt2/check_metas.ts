/**
 * Derives every node's shape, strides and dtype again from the operator table, and compares them with what the file says.
 *
 * Kernels are generated from these descriptions, so a file must not be able to lie in them, and strides must be those that Tessera's operators
 * produce. Only what depends on data is taken from the file. A disagreement is collected as a problem: the program can be inspected, not run.
 */
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
import { fakeTensor, inferMeta } from "../../tensor/dispatch.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Problems } from "./problems.ts";
import { isControl } from "./targets.ts";

class MetaChecker {
  readonly #problems: Problems;
  readonly #stackTraces: ReadonlyMap<Node, string>;
  readonly #fakes = new Map<Node, Tensor>();

  constructor(problems: Problems, stackTraces: ReadonlyMap<Node, string>) {
    this.#problems = problems;
    this.#stackTraces = stackTraces;
  }

  check(graph: Graph): void {
    for (const node of graph.nodes) {
      if (node.op === "getItem") {
        const list = node.source.value;
        if (Array.isArray(list)) node.value = list[node.index] ?? null;
      } else if (node.op === "call") this.#checkCall(node);
    }
  }

  #checkCall(node: CallNode): void {
    const { target } = node;
    if (isControl(target)) { for (const inner of target.graphs) this.check(inner); }
    if (!isOperator(target) || target.isDataDependent) return;
    let derived: readonly TensorMeta[];
    try {
      const args = Object.fromEntries(
        target.schema.args.map((arg, i) => [arg.key, this.#argument(node.args[i] ?? null)]),
      );
      derived = inferMeta(target, args as NamedArgs<Tensor>);
    } catch (error) {
      if (error instanceof NoValue) return;
      this.#report(node, error instanceof Error ? error.message : String(error));
      return;
    }
    const single = !Array.isArray(node.value);
    const said: readonly NodeValue[] = Array.isArray(node.value) ? node.value : [node.value];
    if (single ? derived.length !== 1 : said.length !== derived.length) {
      this.#report(node, `yields ${derived.length} results, the file says ${said.length}`);
      return;
    }
    for (const [i, meta] of derived.entries()) {
      const other = said[i] ?? null;
      if (isTensorMeta(other) && disagree(meta, other)) {
        this.#report(node, `yields ${valueToText(meta)}, the file says ${valueToText(other)}`);
        return;
      }
    }
    const [first] = derived;
    node.value = single ? first ?? null : derived;
    if (target.functional !== null) this.#keepSelf(node, target);
  }

  /** An in-place operator yields the tensor that it wrote. */
  #keepSelf(node: CallNode, op: Operator): void {
    const at = op.schema.args.findIndex((a) => a.mutated);
    const self = node.args[at];
    if (isNode(self) && isTensorMeta(self.value)) node.value = self.value;
  }

  #report(node: CallNode, reason: string): void {
    this.#problems.add(
      node.target.schema.target,
      reason.length > 500 ? `${reason.slice(0, 500)}…` : reason,
      node.location,
      this.#stackTraces.get(node) ?? null,
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

/** Replaces the descriptions in a graph, and those in its control flow, by derived ones; disagreements become problems. */
export function checkMetas(graph: Graph, problems: Problems, stackTraces: ReadonlyMap<Node, string>): void {
  new MetaChecker(problems, stackTraces).check(graph);
}
