// deno-lint-ignore-file no-console
/**
 * A backend that sends the parts of a graph that it likes elsewhere: here, runs of operators that compute element by element go to the compiler, and the others are
 * called one by one. A backend for an accelerator that knows some operators looks like this.
 */
import {
  callOperator,
  compile,
  type CompiledFunction,
  type CompilerBackend,
  findBackend,
  type GraphModule,
  randn,
  registerBackend,
  type Tensor,
} from "../mod.ts";
import { type Argument, type CallNode, Graph, isNode, mapNodes, type Node } from "../src/graph/mod.ts";

const LIKED = new Set(["add", "mul", "sub", "relu", "tanh", "sigmoid", "gelu"]);
const likes = (node: Node): node is CallNode => node.op === "call" && LIKED.has(node.target.schema.name);

/** Neighbouring nodes that are liked, as a graph of their own: `inputs` from outside, `outputs` that somebody outside reads. */
interface Region {
  readonly module: GraphModule;
  readonly inputs: readonly Node[];
  readonly outputs: readonly Node[];
  run: CompiledFunction | null;
}

function regionOf(nodes: readonly CallNode[], whole: GraphModule): Region {
  const graph = new Graph();
  const inside = new Map<Node, Node>();
  const inputs: Node[] = [];
  const take = (node: Node): Node => {
    let own = inside.get(node);
    if (own === undefined) {
      inputs.push(node);
      inside.set(node, own = graph.placeholder(`in${inputs.length}`, node.value));
    }
    return own;
  };
  for (const node of nodes) {
    const args = node.args.map((a): Argument => mapNodes(a, take));
    inside.set(node, graph.call(node.target, args, node.value, node.location));
  }
  const outputs = nodes.filter((node) => [...node.users].some((user) => !nodes.includes(user as CallNode)));
  graph.setOutput(outputs.map((node) => inside.get(node) ?? null));
  const recorded = new Set(nodes.filter((n) => whole.recorded.has(n)).map((n) => inside.get(n) as Node));
  const differentiable = outputs.map((n) => whole.recorded.has(n));
  return { module: { graph, attributes: new Map(), recorded, differentiable }, inputs, outputs, run: null };
}

/** Names of what went to the compiler, for whoever wants to see it. */
export const sent: string[] = [];

const split: CompilerBackend = (module, _, context) => {
  const steps: (Region | Node)[] = [];
  let open: CallNode[] = [];
  const close = (): void => {
    if (open.length > 0) steps.push(regionOf(open, module));
    open = [];
  };
  for (const node of module.graph.nodes) {
    if (likes(node)) open.push(node);
    else {
      close();
      steps.push(node);
    }
  }
  return (inputs) => {
    const values = new Map<Node, unknown>();
    let next = 0;
    const of = (a: Argument): unknown => isNode(a) ? values.get(a) : Array.isArray(a) ? a.map(of) : a;
    for (const step of steps) {
      if (!("op" in step)) {
        const given = step.inputs.map((n) => values.get(n)) as Tensor[];
        if (step.run === null) {
          sent.push(step.module.graph.calls.map((n) => n.target.schema.name).join(" "));
          step.run = findBackend("inductor")(step.module, given, context);
        }
        step.run(given).forEach((value, i) => values.set(step.outputs[i] as Node, value));
      } else if (step.op === "placeholder") values.set(step, inputs[next++]);
      else if (step.op === "getAttr") values.set(step, module.attributes.get(step.path));
      else if (step.op === "getItem") values.set(step, (values.get(step.source) as unknown[])[step.index]);
      else if (step.op === "call") values.set(step, callOperator(step, step.args.map(of) as never));
      else return step.results.map(of) as ReturnType<CompiledFunction>;
    }
    throw new Error("a graph without results");
  };
};

registerBackend("split", split);

if (import.meta.main) {
  const f = compile((x: Tensor, w: Tensor) => x.mul(2).add(1).matmul(w).relu().mul(3).sum(), { backend: "split" });
  console.log(`${f(randn([3, 4]), randn([4, 2]))}`);
  console.log(`sent to the compiler: ${sent.join("; ")}`);
}
