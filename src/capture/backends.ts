/**
 * Backends: what turns a captured graph into something that runs.
 *
 * A backend is a function of a {@linkcode GraphModule} and example inputs. The graph may write to its inputs and attributes in place, and so must what the
 * backend returns. `"eager"` is here; others are registered by the layers that have them. Mirrors `torch._dynamo.backends.registry`.
 */
import { type Graph, Interpreter, isTensorMeta, type Node, type OpTarget, type RunArgument } from "../graph/mod.ts";
import { isOperator, type NamedArgs } from "../ops/mod.ts";
import { evaluate, isSymInt, type Sym, type SymInt } from "../symbolic/mod.ts";
import { dispatchComplete, enableGrad, noGrad, type OpResult, Tensor } from "../tensor/mod.ts";
import { InternalError } from "../core/mod.ts";
import { mayFailOnData } from "./fallible.ts";
import { remember } from "./remembered.ts";

/** A captured graph with the tensors that it holds. */
export interface GraphModule {
  readonly graph: Graph;
  /** The tensors behind getAttr nodes, by path. They stay the same; their data may change between calls. */
  readonly attributes: ReadonlyMap<string, Tensor>;
  /** Calls that the tape recorded; the others ran without gradients. */
  readonly recorded: ReadonlySet<Node>;
  /** For each result, whether the caller may differentiate it. */
  readonly differentiable: readonly boolean[];
}

/** A result of a compiled graph: a tensor, or a size. */
export type GraphResult = Tensor | number | boolean | string | null;

/** An input of a compiled graph: a tensor, or a size. */
export type GraphInput = Tensor | number;

/** Runs a compiled graph: inputs in placeholder order, results in order of the output. */
export interface CompiledFunction {
  (inputs: readonly GraphInput[]): readonly GraphResult[];
  /** Resolves when the fastest tier is in place; absent if there is only one. */
  ready?(): Promise<void>;
  /** True: if it throws, the memory of its inputs and attributes is as it was, so that the call can be made again. */
  readonly leavesNoTrace?: boolean;
}

/** What the caller of `compile` asked of the backend. */
export interface BackendContext {
  readonly mode: CompileMode;
  readonly options: Readonly<Record<string, unknown>>;
}

/** How much compile time the caller wants to give. */
export type CompileMode = "default" | "reduce-overhead" | "max-autotune" | "aot";

/** Compiles a graph. `exampleInputs` are the real tensors of this call. */
export interface CompilerBackend {
  (module: GraphModule, exampleInputs: readonly Tensor[], context: BackendContext): CompiledFunction;
  /** How another process finds what was compiled; absent if the backend keeps nothing. */
  readonly kept?: KeptPrograms;
}

/** A backend's memory of compiled graphs beyond this process. */
export interface KeptPrograms {
  /** The name, a text, under which the compiled form of a captured graph is or will be kept; null if it is not. */
  nameOf(module: GraphModule, exampleInputs: readonly Tensor[], context: BackendContext): string | null;
  /** Finds the compiled form by name, without the graph; null if it cannot run at once. */
  restore(name: string, attributes: ReadonlyMap<string, Tensor>, context: BackendContext): CompiledFunction | null;
}

const backends = new Map<string, CompilerBackend>();

/**
 * Makes a backend known by name.
 *
 * @throws {RangeError} if the name is taken by another backend.
 */
export function registerBackend(name: string, backend: CompilerBackend): void {
  const before = backends.get(name);
  if (before !== undefined && before !== backend) throw new RangeError(`registerBackend: "${name}" is taken`);
  backends.set(name, backend);
}

/** The backend of this name. @throws {RangeError} listing the known ones. */
export function findBackend(name: string): CompilerBackend {
  const found = backends.get(name);
  if (found === undefined) {
    throw new RangeError(
      `compile: there is no backend "${name}": use one of ${listBackends().join(", ")}, or a function`,
    );
  }
  return found;
}

/** Names of the known backends. */
export function listBackends(): string[] {
  return [...backends.keys()];
}

/** A value of a run: a tensor or a size. */
export type RunValue = GraphInput;

/** Calls an operator of a graph, or another one in its place, through dispatch. */
export function callOperator(
  target: Node & { readonly op: "call" },
  args: readonly RunArgument<RunValue>[],
  size: (value: SymInt) => number | SymInt = (v) => v,
  op: OpTarget = target.target,
): OpResult {
  if (!isOperator(op)) throw new InternalError(`${op.schema.target} is not in the operator table`);
  const named: Record<string, unknown> = {};
  op.schema.args.forEach((arg, i) => named[arg.key] = mapSizes(args[i], size));
  return dispatchComplete(op, named as NamedArgs<Tensor>);
}

function mapSizes(value: unknown, size: (v: SymInt) => number | SymInt): unknown {
  if (Array.isArray(value)) return value.map((v) => mapSizes(v, size));
  return isSymInt(value) ? size(value) : value;
}

/** Reads the values of a graph's size symbols from its inputs. */
export function sizeReader(graph: Graph): (inputs: readonly RunValue[]) => (s: Sym) => number {
  const places: { readonly sym: Sym; readonly input: number; readonly dim: number }[] = [];
  graph.placeholders.forEach((node, input) => {
    if (isSymInt(node.value) && node.value.expr.kind === "symbol") {
      places.push({ sym: node.value.expr.symbol, input, dim: -1 });
    }
    if (!isTensorMeta(node.value)) return;
    node.value.shape.forEach((size, dim) => {
      if (!isSymInt(size) || size.expr.kind !== "symbol") return;
      const sym = size.expr.symbol;
      if (!places.some((p) => p.sym === sym)) places.push({ sym, input, dim });
    });
  });
  return (inputs) => {
    const values = new Map<Sym, number>();
    for (const { sym, input, dim } of places) {
      const t = inputs[input];
      values.set(sym, t instanceof Tensor ? Number(t.shape[dim]) : Number(t));
    }
    return (s) => {
      const value = values.get(s);
      if (value === undefined) throw new InternalError(`the size ${s.name} comes from no input`);
      return value;
    };
  };
}

/** Runs the captured graph operator by operator: what capture costs, and nothing else. */
export function eagerBackend(module: GraphModule): CompiledFunction {
  const { graph, attributes, recorded } = module;
  const records = module.differentiable.includes(true);
  const readSizes = sizeReader(graph);
  const { writes, fails, failsAfterWrites } = orderOf(graph);
  const call = (inputs: readonly GraphInput[]): GraphResult[] => {
    const values = readSizes(inputs);
    const size = (s: SymInt): number => evaluate(s.expr, values);
    const interpreter = new Interpreter<RunValue>(graph, (_, args, node) => {
      const run = (): OpResult => callOperator(node, args, size);
      return records && recorded.has(node) ? enableGrad(run) : run();
    });
    const results = noGrad(() => interpreter.run(inputs, attributes));
    return results.map((r) => isSymInt(r) ? size(r) : r as GraphResult);
  };
  // What may fail does so before anything is written.
  if (!failsAfterWrites) return Object.assign(call, { leavesNoTrace: fails || !writes });
  const run: CompiledFunction = (inputs) => {
    const given = [...inputs.filter((t) => t instanceof Tensor), ...attributes.values()];
    const putBack = remember(given);
    try {
      return call(inputs);
    } catch (error) {
      putBack();
      throw error;
    }
  };
  return Object.assign(run, { leavesNoTrace: true });
}

/** Whether a graph writes in place, whether something may fail for what its data are, and whether behind a write. */
function orderOf(
  graph: Graph,
): { readonly writes: boolean; readonly fails: boolean; readonly failsAfterWrites: boolean } {
  let writes = false;
  let fails = false;
  let failsAfterWrites = false;
  for (const node of graph.nodes) {
    if (node.op !== "call") continue;
    if (node.target.schema.args.some((a) => a.mutated)) writes = true;
    // An operator that writes may fail in the middle.
    const mayFail = mayFailOnData(node.target);
    fails ||= mayFail;
    failsAfterWrites ||= writes && mayFail;
  }
  return { writes, fails, failsAfterWrites };
}

registerBackend("eager", eagerBackend);
