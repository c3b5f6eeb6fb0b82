/**
 * Gradients of compiled gradients: the joint graph of a backward and of its own backward, to any order.
 *
 * Enters: a captured graph, and for each order of differentiation before what its forward kept. Leaves: a joint graph whose inputs are what was kept, the inputs of the call and the
 * tangents, and whose results are the gradients, followed by their gradients. The captured graph is run on traced tensors once more and walked back with the tape
 * on; a value that was kept is read from there and not computed again (a {@linkcode ReplayRecorder} knows it by its class), but its gradient goes on to what
 * it was computed from. So random numbers are those of the call, and what the call has overwritten is only missed where nothing else holds it.
 * PyTorch refuses double backward through compiled functions.
 */
import {
  type Graph,
  isMutating,
  isRandom,
  isTensorMeta,
  type Node,
  type NodeValue,
  rewriteDeadCode,
  type TensorMeta,
} from "../graph/mod.ts";
import type { GraphModule } from "../capture/mod.ts";
import { enableGrad, Tensor, withMode } from "../tensor/mod.ts";
import type { Origin } from "./functionalize.ts";
import {
  type Differentiable,
  finishJoint,
  type ForwardRun,
  goBack,
  type JointProgram,
  originText,
  type Primal,
  type ResultRecipe,
  Results,
  runForward,
} from "./joint_graph.ts";
import { ClassReader, type NodeClasses } from "./node_classes.ts";
import { GraphRecorder, type KeepWhole } from "./recorder.ts";

/** One differentiation that has taken place: what its forward kept, and which of its tangents the tape follows. */
export interface Order {
  /** The class and description of each kept value. */
  readonly kept: readonly { readonly id: number; readonly value: NodeValue }[];
  readonly follows: readonly boolean[];
}

/** What a differentiation begins from. */
export interface DifferentiableSource {
  readonly module: GraphModule;
  readonly requiresGrad: (origin: Origin) => boolean;
  readonly keeps: KeepWhole;
  readonly classes: NodeClasses;
}

/** A joint graph of gradients, and what it reads of the call. */
export interface HigherJoint extends JointProgram {
  /** What must still be as it was: positions among what the differentiated call got (its tangents stand behind that), and paths of attributes. */
  readonly readInputs: readonly number[];
  readonly readAttributes: readonly string[];
}

/** The order to which a forward's kept values belong. */
export function orderOf(
  joint: JointProgram,
  saved: readonly Node[],
  follows: readonly boolean[],
): Order {
  return { kept: saved.map((node) => ({ id: joint.classOf(node) ?? -1, value: node.value })), follows };
}

/** Records a graph of which some values are given. */
class ReplayRecorder extends GraphRecorder {
  readonly #reader: ClassReader;
  readonly #given = new Map<number, Node>();

  /** `orders`: the last one first, as their values stand among the inputs. */
  constructor(keeps: KeepWhole, classes: NodeClasses, orders: readonly Order[]) {
    super(keeps);
    this.#reader = new ClassReader(classes);
    orders.forEach(({ kept }, order) =>
      kept.forEach(({ id, value }, i) => {
        const node = this.graph.placeholder(`kept_${orders.length - order}_${i}`, value);
        if (id < 0) return;
        this.#reader.assign(node, id);
        if (!this.#given.has(id)) this.#given.set(id, node);
      })
    );
  }

  override tensor(node: Node, meta: TensorMeta, requiresGrad = false): Tensor {
    return super.tensor(this.#given.get(this.#reader.of(node)) ?? node, meta, requiresGrad);
  }
}

interface Derived extends Differentiable {
  readonly recipes: readonly ResultRecipe[];
  readonly base: ForwardRun;
  /** How many inputs there are so far. */
  readonly inputs: number;
}

/** Runs the captured graph and its gradients of all orders but the last. */
function derive(
  recorder: ReplayRecorder,
  source: DifferentiableSource,
  orders: readonly Order[],
): Derived {
  const before = orders.reduce((n, o) => n + o.kept.length, 0);
  const base = runForward(source.module, source.requiresGrad, recorder);
  let at: Derived = { ...base, base, inputs: before + source.module.graph.placeholders.length };
  // Leaves among the call's inputs are found behind what was kept.
  at = { ...at, leaves: base.leaves.map((l) => ({ ...l, origin: shifted(l.origin, before) })) };
  orders.forEach(({ follows }, order) => {
    const { tangents, gradients } = goBack(recorder, at, `tangent_${order}`, follows);
    const results = new Results(recorder);
    const inputs = new Set(recorder.graph.placeholders as readonly Node[]);
    const recipes = gradients.map((g): ResultRecipe => {
      if (g === null) return { kind: "value", value: null };
      // A gradient that is a tangent itself, or a kept value, would be the caller's tensor.
      const own = inputs.has(recorder.nodeOf(g)) ? enableGrad(() => g.clone()) : g;
      return { kind: "result", index: results.add(own) };
    });
    const followed = tangents.flatMap((tensor, i): Primal[] =>
      follows[i] === true ? [{ origin: { kind: "input", index: at.inputs + i }, tensor }] : []
    );
    at = {
      base,
      inputs: at.inputs + tangents.length,
      results,
      recipes,
      differentiable: results.tensors.flatMap((t, i) => t?.requiresGrad === true ? [i] : []),
      leaves: [...at.leaves, ...followed],
    };
  });
  return at;
}

function shifted(origin: Origin, by: number): Origin {
  return origin.kind === "input" ? { kind: "input", index: origin.index + by } : origin;
}

/** Here random operators are functions of the state that they read: one whose numbers were kept need not run. */
function eraseUnreadDraws(graph: Graph): void {
  const unread = graph.calls.filter((c) => isRandom(c.target) && !isMutating(c.target) && !isRead(c));
  if (unread.length === 0) return;
  graph.erase(...unread);
  rewriteDeadCode(graph);
  eraseUnreadDraws(graph);
}

/** Whether anything of a graph reads a node. */
function isRead(node: Node): boolean {
  return node.users.size > 0;
}

/**
 * The joint graph of the gradients after `orders`, and of their gradients.
 *
 * @throws {TypeError} if they need a value that the call has overwritten and nothing else holds.
 */
export function higherJoint(source: DifferentiableSource, orders: readonly Order[]): HigherJoint {
  const { module, keeps, classes } = source;
  const recorder = new ReplayRecorder(keeps, classes, [...orders].reverse());
  return withMode(recorder, () => {
    const at = derive(recorder, source, orders);
    // What must be as it was is checked by the call whose gradients these are.
    const forward: ForwardRun = {
      ...at,
      writes: [],
      overwritten: [],
      visible: { primals: [], written: [], results: new Map() },
    };
    const joint = finishJoint(module, recorder, forward, goBack(recorder, at, `tangent_${orders.length}`), [], classes);
    eraseUnreadDraws(joint.graph);
    for (const { origin, tensor } of at.base.overwritten) {
      const node = recorder.nodeOf(tensor);
      if (node.op === "placeholder" && node.name.startsWith("kept_") || !isRead(node)) continue;
      throw new TypeError(
        `backward: the gradient of a compiled function's gradient needs ${
          originText(origin)
        } as it was before the call, which writes to it; write after the gradients are taken, or run the function eagerly`,
      );
    }
    return { ...joint, ...readOf(joint.graph, orders.at(-1)?.kept.length ?? 0, module) };
  });
}

/** What is read of what the last differentiated call was called with: that stands behind what it kept. */
function readOf(
  graph: Graph,
  kept: number,
  module: GraphModule,
): Pick<HigherJoint, "readInputs" | "readAttributes"> {
  return {
    readInputs: graph.placeholders.slice(kept).flatMap((node, i) =>
      isRead(node) && isTensorMeta(node.value) ? [i] : []
    ),
    readAttributes: graph.attributes.filter((n) => isRead(n) && module.attributes.has(n.path)).map((n) => n.path),
  };
}
