/**
 * `torch.vmap` in an exported graph: calls between `_vmap_increment_nesting` and `_vmap_decrement_nesting` see single slices of batched tensors.
 *
 * Enters: a graph with such regions, as the reader keeps them. Leaves: the same graph with calls on whole tensors in their place: each call of a region is recorded again under a mode
 * that knows what one dimension more does to it; what that cannot derive is done slice by slice and stacked. Results have the strides that the file states, for what follows
 * was exported with them. What cannot be batched becomes a problem and stays. Mirrors `torch._functorch.predispatch`.
 */
import { GraphRecorder } from "../../aot_autograd/mod.ts";
import { BatchMode, CannotBatch } from "../../capture/control/batch.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type OpTarget,
  parseSchema,
  type TensorMeta,
} from "../../graph/mod.ts";
import { isOperator, type Operator } from "../../ops/mod.ts";
import { isSymInt, type Size, sizeSame } from "../../symbolic/mod.ts";
import { dispatch, type DispatchMode, noGrad, Tensor, withMode } from "../../tensor/mod.ts";
import { inRowMajor, layOut } from "./control_layouts.ts";
import type { ReadContext } from "./graph_names.ts";

/** What a call of `torch._functorch.predispatch` does. */
type BatchKind = "begin" | "enter" | "leave" | "end";

/** A call that begins or ends a region of slices, or brings a tensor into it or out of it. */
export interface BatchTarget extends OpTarget {
  readonly batch: BatchKind;
  readonly hasEffects: true;
}

const target = (batch: BatchKind, schema: string): BatchTarget => ({
  batch,
  schema: parseSchema(schema),
  hasEffects: true,
});

const FUNCTORCH = "torch._functorch.predispatch.";

/** By the name of the function: what it becomes, and which of its arguments those of the call are. */
const CALLS: Readonly<Record<string, { readonly target: BatchTarget; readonly args: readonly number[] }>> = {
  _vmap_increment_nesting: { target: target("begin", "functorch::increment_nesting(SymInt size) -> ()"), args: [0] },
  _add_batch_dim: { target: target("enter", "functorch::add_batch_dim(Tensor self, int dim) -> Tensor"), args: [0, 1] },
  _remove_batch_dim: {
    target: target("leave", "functorch::remove_batch_dim(Tensor self, int dim) -> Tensor"),
    args: [0, 3],
  },
  _vmap_decrement_nesting: { target: target("end", "functorch::decrement_nesting() -> ()"), args: [] },
};

/** The call that a target of the file stands for; `"nothing"` if it does nothing, null if it is another. */
export function batchCall(
  name: string,
): { readonly target: BatchTarget; readonly args: readonly number[] } | "nothing" | null {
  if (!name.startsWith(FUNCTORCH)) return null;
  const short = name.slice(FUNCTORCH.length);
  return short === "lazy_load_decompositions" ? "nothing" : Object.hasOwn(CALLS, short) ? CALLS[short] ?? null : null;
}

function isBatch(target: OpTarget): target is BatchTarget {
  return "batch" in target;
}

/** Puts calls on whole tensors in the place of the graph's regions of slices. */
export function rewriteBatches(graph: Graph, context: ReadContext): void {
  const isCall = (node: Node): node is CallNode & { readonly target: BatchTarget } =>
    node.op === "call" && isBatch(node.target);
  if (!graph.nodes.some(isCall)) return;
  let region: Node[] = [];
  let depth = 0;
  for (const node of [...graph.nodes]) {
    if (isCall(node)) depth += node.target.batch === "begin" ? 1 : 0;
    if (depth > 0) region.push(node);
    if (!isCall(node)) continue;
    try {
      if (depth === 0) throw new CannotBatch(`${node.name} stands outside of vmap`);
      if (node.target.batch === "end" && --depth === 0) {
        rewriteRegion(graph, region, node, context);
        region = [];
      }
    } catch (error) {
      context.problems.add("torch.vmap", reasonOf(error), node.location, context.stackTraces.get(node) ?? null);
      return;
    }
  }
  if (depth > 0) context.problems.add("torch.vmap", "a region of it does not end", null, null);
}

/** What keeps a region from being batched: what modes say, and what operators say of arguments that do not fit. */
function reasonOf(error: unknown): string {
  if (error instanceof CannotBatch || error instanceof TypeError || error instanceof RangeError) return error.message;
  throw error;
}

type Value = Argument | Tensor | readonly Value[];

/** Records the calls of one region before the call that ends it. */
class Region {
  readonly #graph: Graph;
  readonly #context: ReadContext;
  readonly #recorder: GraphRecorder;
  readonly #modes: BatchMode[] = [];
  readonly #values = new Map<Node, Value>();
  readonly #nodes: ReadonlySet<Node>;
  readonly #outer = new Map<Node, Tensor>();

  constructor(graph: Graph, nodes: readonly Node[], context: ReadContext) {
    this.#graph = graph;
    this.#nodes = new Set(nodes);
    this.#context = context;
    this.#recorder = new GraphRecorder(() => true, graph);
  }

  run(node: Node): void {
    this.#recorder.location = node.location;
    if (node.op === "getItem") {
      const list = this.#valueOf(node.source);
      this.#values.set(node, Array.isArray(list) ? (list as readonly Value[])[node.index] ?? null : null);
    } else if (node.op !== "call") throw new CannotBatch(`${node.name} stands inside of vmap`);
    else if (isBatch(node.target)) this.#border(node, node.target.batch);
    else this.#values.set(node, this.#call(node));
  }

  /** The node for a value that calls outside of the region read. */
  outside(node: Node): Argument {
    const value = this.#valueOf(node);
    if (!(value instanceof Tensor)) throw new CannotBatch(`${node.name} leaves vmap as a list`);
    let given = value;
    for (const mode of this.#modes.toReversed()) {
      given = this.#under(this.#modes.indexOf(mode), () => mode.whole(given));
    }
    const made = this.#recorder.nodeOf(given);
    return isTensorMeta(node.value) ? this.#laidOut(made, node.value) : made;
  }

  #border(node: CallNode, kind: BatchKind): void {
    const [first = null, dim = 0] = node.args;
    const depth = this.#modes.length;
    switch (kind) {
      case "begin": {
        if (typeof first !== "number" && !isSymInt(first)) throw new CannotBatch("the number of slices is no size");
        const below: DispatchMode = this.#modes.at(-1) ?? this.#recorder;
        this.#modes.push(new BatchMode(first as Size, below, true));
        break;
      }
      case "enter":
        this.#values.set(
          node,
          this.#top().enter(this.#under(depth - 1, () => {
            const t = this.#tensor(first);
            return dim === 0 ? t : t.movedim(dim as number, 0);
          })),
        );
        break;
      case "leave": {
        const mode = this.#top();
        const out = this.#under(depth - 1, () => {
          const t = mode.leave(this.#tensor(first));
          return dim === 0 ? t : t.movedim(0, dim as number);
        });
        this.#values.set(node, out);
        break;
      }
      case "end":
        break;
      default:
        kind satisfies never;
    }
  }

  /** Ends the innermost region. */
  end(): void {
    this.#modes.pop();
  }

  #top(): BatchMode {
    const mode = this.#modes.at(-1);
    if (mode === undefined) throw new CannotBatch("a batch is used outside of vmap");
    return mode;
  }

  #call(node: CallNode): Value {
    const { target } = node;
    if (!isOperator(target)) {
      throw new CannotBatch(`${target.schema.name} is not known to run on several slices at once`);
    }
    const op = this.#functional(node, target);
    const written = target.schema.args.findIndex((a) => a.mutated);
    const result = this.#under(this.#modes.length, () => {
      const values = node.args.map((a) => this.#argument(a));
      const named = (args: readonly unknown[]) =>
        Object.fromEntries(op.schema.args.map((arg, i) => [arg.key, args[i]]));
      if (!this.#isFloatCall(node)) return dispatch(op, named(values)) as Value;
      const { dtype } = node.value as TensorMeta;
      const isWhole = (v: unknown): v is Tensor => v instanceof Tensor && v.dtype.isIntegral && v.dtype.kind !== "bool";
      return dispatch(op, named(values.map((v) => isWhole(v) ? v.to(dtype) : v))) as Value;
    });
    const self = node.args[written] ?? null;
    if (isNode(self)) this.#values.set(self, result);
    return result;
  }

  /** Whole numbers that are written as floats promote as such. */
  #isFloatCall(node: CallNode): boolean {
    return this.#context.floatCalls.has(node) && isTensorMeta(node.value) && node.value.dtype.isFloat;
  }

  /** The operator without a write: who writes to a value of the region that has no views gives that value another meaning. */
  #functional(node: CallNode, op: Operator): Operator {
    const written = op.schema.args.findIndex((a) => a.mutated);
    if (written < 0) return op;
    const self = node.args[written] ?? null;
    const isView = (n: Node): boolean => n.op === "call" && isOperator(n.target) && n.target.view !== null;
    const owns = isNode(self) && this.#nodes.has(self) && self.op === "call" && isOperator(self.target) &&
      !isView(self) && ![...self.users].some(isView);
    if (!owns || op.functional === null) throw new CannotBatch(`${op.schema.name} writes to memory that others see`);
    return op.functional;
  }

  #valueOf(node: Node): Value {
    const known = this.#values.get(node);
    if (known !== undefined) return known;
    if (this.#nodes.has(node)) throw new CannotBatch(`${node.name} is used before it is known`);
    if (!isTensorMeta(node.value)) return node;
    let tensor = this.#outer.get(node);
    if (tensor === undefined) this.#outer.set(node, tensor = this.#recorder.tensor(node, node.value));
    return tensor;
  }

  #argument(argument: Argument): unknown {
    if (Array.isArray(argument)) return argument.map((a: Argument) => this.#argument(a));
    return isNode(argument) ? this.#valueOf(argument) : argument;
  }

  #tensor(argument: Argument): Tensor {
    const value = isNode(argument) ? this.#valueOf(argument) : null;
    if (value instanceof Tensor) return value;
    throw new CannotBatch("vmap over something that is no tensor");
  }

  /** Runs `fn` under the recorder and the outermost `depth` batches. */
  #under<T>(depth: number, fn: () => T): T {
    const nested = this.#modes.slice(0, depth).reduceRight<() => T>((inner, mode) => () => withMode(mode, inner), fn);
    return withMode(this.#recorder, nested);
  }

  #laidOut(made: Node, wanted: TensorMeta): Node {
    const { value } = made;
    if (!isTensorMeta(value)) return made;
    const fits = value.dtype === wanted.dtype && value.shape.length === wanted.shape.length &&
      value.shape.every((s, d) => sizeSame(s, wanted.shape[d] ?? -1));
    if (!fits) throw new CannotBatch("the file describes a result otherwise");
    if (value.stride.every((s, d) => sizeSame(s, wanted.stride[d] ?? -1))) return made;
    return layOut(this.#graph, inRowMajor(this.#graph, made), wanted);
  }
}

function rewriteRegion(graph: Graph, nodes: readonly Node[], last: Node, context: ReadContext): void {
  const region = new Region(graph, nodes, context);
  const inside = new Set(nodes);
  graph.insertBefore(last, () =>
    noGrad(() => {
      for (const node of nodes) {
        region.run(node);
        if (node.op !== "call" || !isBatch(node.target) || node.target.batch !== "end") continue;
        if (node === last) {
          for (const made of nodes) {
            if ([...made.users].every((user) => inside.has(user))) continue;
            graph.replaceAllUses(made, region.outside(made), (user) => inside.has(user));
          }
        }
        region.end();
      }
    }));
  graph.erase(...nodes);
}
