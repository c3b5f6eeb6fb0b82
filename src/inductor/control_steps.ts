/**
 * Steps of a plan that run graphs: control flow, on the host.
 *
 * The condition is read, rounds are counted, and each graph of the call is compiled like any other: when it first runs, or with the graph that it is called from where
 * somebody waits for that. Operands are seen where they lie, and results are written into the step's outputs, on any device: of a condition on a GPU one number
 * is read.
 */
import {
  type CompileMode,
  type CompilerBackend,
  type ControlOperator,
  findBackend,
  type GraphInput,
  type GraphRunner,
} from "../capture/mod.ts";
import { InternalError } from "../core/mod.ts";
import {
  type Argument,
  type CallNode,
  type Graph,
  isNode,
  isTensorMeta,
  type Node,
  type TensorMeta,
} from "../graph/mod.ts";
import type { BufferRef } from "../loops/mod.ts";
import type { NamedArgs, TensorValue } from "../ops/mod.ts";
import type { HostStep } from "../runtime/js/executable.ts";
import { contiguousStride, evaluate, exprOf, isSymInt, type Size, type Sym } from "../symbolic/mod.ts";
import { copyElements, fakeTensor, noGrad, Storage, Tensor } from "../tensor/mod.ts";
import type { HostGroup } from "./groups.ts";

/** The nodes in the arguments of a call, each once, as the group lists their buffers. */
function nodesOf(node: CallNode): Node[] {
  const nodes: Node[] = [];
  const collect = (arg: Argument): void => {
    if (isNode(arg)) { if (!nodes.includes(arg)) nodes.push(arg); }
    else if (Array.isArray(arg)) { for (const a of arg as readonly Argument[]) collect(a); }
  };
  node.args.forEach(collect);
  return nodes;
}

/** Compiled graphs of calls: the tiers of one compiled graph have a step each, and share them. */
const known = new WeakMap<Graph, ReturnType<CompilerBackend>>();

function compiledGraph(graph: Graph, mode: CompileMode): ReturnType<CompilerBackend> {
  let run = known.get(graph);
  if (run === undefined) {
    const module = {
      graph,
      attributes: new Map<string, Tensor>(),
      recorded: new Set<Node>(),
      differentiable: graph.output.results.map(() => false),
    };
    const examples = graph.placeholders.flatMap(({ value }) => isTensorMeta(value) ? [fakeTensor(value)] : []);
    known.set(graph, run = findBackend("inductor")(module, examples, { mode, options: {} }));
  }
  return run;
}

/** Runs a graph of a call, compiled. */
const runCompiled: GraphRunner = (graph, inputs) =>
  compiledGraph(graph, "default")(inputs as readonly GraphInput[]) as readonly Tensor[];

/** Makes the step of a call of control flow. */
export function controlStep(
  group: HostGroup,
  node: CallNode,
  op: ControlOperator,
  slotOf: (buffer: BufferRef) => number,
  sizeSyms: readonly Sym[],
): HostStep {
  const inputSlots = new Map<Node, number>();
  nodesOf(node).forEach((n, i) => {
    const buffer = group.inputs[i];
    if (buffer !== undefined) inputSlots.set(n, slotOf(buffer));
  });
  const outSlots = group.outputs.map(slotOf);
  const metas = (Array.isArray(node.value) ? node.value : [node.value]).filter(isTensorMeta);
  const position = new Map<Sym, number>(sizeSyms.map((s, i) => [s, i]));
  const prepare = async (wait: boolean): Promise<void> => {
    const graphs = op.graphs.map((graph) => compiledGraph(graph, wait ? "aot" : "default"));
    await Promise.all(graphs.map((graph) => graph.ready?.()));
  };
  const run: HostStep = (buffers, sizes) => {
    const size = (s: Size): number => evaluate(exprOf(s), (sym) => sizes[position.get(sym) ?? -1] ?? NaN);
    const over = (meta: TensorMeta, slot: number | undefined): Tensor => {
      const buffer = slot === undefined ? undefined : buffers[slot];
      if (buffer === undefined) throw new InternalError(`${node.name} reached control flow without memory`);
      const shape = meta.shape.map(size);
      const { dtype } = meta;
      const { device } = buffer;
      return new Tensor({ shape, stride: contiguousStride(shape), dtype, device, storage: new Storage(buffer) });
    };
    const convert = (arg: Argument): unknown => {
      if (Array.isArray(arg)) return (arg as readonly Argument[]).map(convert);
      if (isSymInt(arg)) return size(arg);
      if (!isNode(arg)) return arg;
      if (!isTensorMeta(arg.value)) throw new InternalError(`${arg.name} is no tensor`);
      const t = over(arg.value, inputSlots.get(arg));
      return arg.value.device === t.device ? t : t.to(arg.value.device);
    };
    noGrad(() => {
      const args = Object.fromEntries(op.schema.args.map(({ key }, i) => [key, convert(node.args[i] ?? null)]));
      const results = op.onTensors(args as NamedArgs<TensorValue>, runCompiled) as unknown as readonly Tensor[];
      results.forEach((result, i) => {
        const meta = metas[i];
        if (meta === undefined) return;
        const to = over(meta, outSlots[i]);
        copyElements(to, result.device === to.device ? result : result.to(to.device));
      });
    });
  };
  return Object.assign(run, { prepare, onDevice: true } as const);
}
