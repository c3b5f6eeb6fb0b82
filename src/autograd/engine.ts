/**
 * The tape and the walk back: records operators, and turns the gradient of a result into gradients of leaves.
 *
 * Steps are walked in descending order of creation, each once, after all gradients for its results have been added up. Importing this module
 * installs the engine in the dispatcher. Mirrors `torch::autograd::Engine`, and ADInplaceOrView for writes through views.
 */
import { InternalError } from "../core/mod.ts";
import type { ArgValue, NamedArgs, Operator } from "../ops/mod.ts";
import { sameShape, shapeToText } from "../symbolic/mod.ts";
import {
  type AutogradEngine,
  autogradMeta,
  type BackwardOptions,
  dispatchComplete,
  enableGrad,
  F,
  fakeTensor,
  functionalForRules,
  type GradFn,
  type GradHook,
  noGrad,
  type OpResult,
  setAutogradEngine,
  setGradEnabled,
  storageClock,
  Tensor,
  tensorOf,
  type ViewOrigin,
  withoutAutocast,
} from "../tensor/mod.ts";
import { AccumulateNode, type Edge, edgeOf, FunctionNode, OpNode, TapeNode } from "./node.ts";

function attach(out: Tensor, node: TapeNode, index: number): void {
  const meta = autogradMeta(out);
  meta.requiresGrad = true;
  meta.gradFn = node;
  meta.outputIndex = index;
  meta.historyAt = out.storage.history;
}

function record(op: Operator, args: NamedArgs<Tensor>, result: OpResult): void {
  const outs = result instanceof Tensor ? [result] : result;
  if (!outs.some((o) => o.dtype.isFloat || o.dtype.isComplex)) return;
  const node = new OpNode(op, args, outs);
  outs.forEach((out, i) => {
    if (out.dtype.isFloat || out.dtype.isComplex) attach(out, node, i);
  });
}

/** Records results that were computed outside the table's operators; `backward` has one gradient an input, `names` one step a result, for errors. */
export function recordFunction(
  name: string,
  inputs: readonly Tensor[],
  outs: readonly Tensor[],
  backward: (grads: readonly (Tensor | null)[], needed: readonly boolean[]) => readonly (Tensor | null)[],
  names: readonly string[] = [],
): void {
  const node = new FunctionNode(name, inputs, outs, backward, names);
  outs.forEach((out, i) => {
    if (out.dtype.isFloat || out.dtype.isComplex) attach(out, node, i);
  });
}

/** Writes whose gradient rule does not read the value that was overwritten, so that no copy of it is needed. */
const FORGETS_SELF: ReadonlySet<string> = new Set(["copy", "zero", "fill", "add", "sub"]);

function beforeWrite(op: Operator, args: NamedArgs<Tensor>, self: Tensor): () => void {
  const root = rootOf(self);
  const rootEdge = root === self ? null : edgeOf(root);
  const old = FORGETS_SELF.has(op.schema.name) ? fakeTensor(self) : noGrad(() => self.clone());
  if (self.requiresGrad) {
    const edge = edgeOf(self);
    if (edge !== null) attach(old, edge.node, edge.index);
  }
  const saved: Record<string, unknown> = { ...args };
  for (const key of Object.keys(saved)) if (saved[key] === self) saved[key] = old;
  return () => {
    const node = new OpNode(op, saved as NamedArgs<Tensor>, [self]);
    self.storage.history++;
    if (root === self) {
      attach(self, node, 0);
      return;
    }
    const chain = chainOf(self);
    attach(root, new WriteNode(chain, rootEdge, { node, index: 0 }), 0);
  };
}

function rootOf(t: Tensor): Tensor {
  let root = t;
  while (root.viewOf !== null) root = root.viewOf.base;
  return root;
}

/** The views that lead from the root to `t`, in order. */
function chainOf(t: Tensor): ViewOrigin[] {
  const chain: ViewOrigin[] = [];
  for (let at: Tensor = t; at.viewOf !== null; at = at.viewOf.base) chain.unshift(at.viewOf);
  return chain;
}

/** Applies a view to another tensor of its base's shape. */
function applyView(view: ViewOrigin, base: Tensor): Tensor {
  const args: Record<string, ArgValue<Tensor>> = { ...view.args };
  for (const key of Object.keys(args)) if (args[key] === view.base) args[key] = base;
  const result = dispatchComplete(view.op, args as NamedArgs<Tensor>);
  const out = result instanceof Tensor ? result : result[view.index];
  if (out === undefined) throw new InternalError(`${view.op.target}: result ${view.index} is missing`);
  return out;
}

/** A base of which a view was written: the gradient is cut out for what was written and blanked for what was there. */
class WriteNode extends TapeNode {
  readonly name = "CopySlices";
  readonly #chain: readonly ViewOrigin[];

  constructor(chain: readonly ViewOrigin[], base: Edge | null, written: Edge) {
    super([base, written]);
    this.#chain = chain;
  }

  apply(grads: readonly (Tensor | null)[], needed: readonly boolean[]): readonly (Tensor | null)[] {
    const grad = grads[0];
    if (grad === null || grad === undefined) return [null, null];
    const levels: Tensor[] = [grad.contiguous()];
    for (const view of this.#chain) levels.push(applyView(view, levels.at(-1) as Tensor));
    const written = levels.at(-1) as Tensor;
    let base: Tensor | null = null;
    if (needed[0] === true) {
      let changed: Tensor = F.zerosLike(written);
      for (let i = this.#chain.length - 1; i >= 0; i--) {
        const view = this.#chain[i] as ViewOrigin;
        const args: Record<string, ArgValue<Tensor>> = { ...view.args };
        for (const key of Object.keys(args)) if (args[key] === view.base) args[key] = levels[i] as Tensor;
        if (view.op.view === null) throw new InternalError(`${view.op.target} is no view`);
        changed = tensorOf(view.op.view.writeBack(args, changed, functionalForRules()));
      }
      base = changed;
    }
    return [base, needed[1] === true ? written.clone() : null];
  }
}

function gradFnOf(t: Tensor): GradFn | null {
  const view = t.viewOf;
  const { history } = t.storage;
  if (view !== null && (t.autograd === null ? history !== 0 : t.autograd.historyAt !== history)) {
    const meta = autogradMeta(t);
    meta.historyAt = history;
    if (view.base.requiresGrad) {
      const again = enableGrad(() => applyView(view, view.base));
      const fresh = again.autograd;
      if (fresh !== null) {
        meta.requiresGrad = true;
        meta.gradFn = fresh.gradFn;
        meta.outputIndex = fresh.outputIndex;
      }
    }
  }
  return t.autograd?.gradFn ?? null;
}

/** What a walk yields besides `.grad`. */
interface Capture {
  readonly edge: Edge;
  grad: Tensor | null;
}

/** Steps ordered by descending id. */
class Queue {
  readonly #heap: TapeNode[] = [];

  push(node: TapeNode): void {
    const heap = this.#heap;
    heap.push(node);
    let i = heap.length - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] as TapeNode).id >= node.id) break;
      heap[i] = heap[parent] as TapeNode;
      i = parent;
    }
    heap[i] = node;
  }

  pop(): TapeNode | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as TapeNode).id > (heap[child] as TapeNode).id) child++;
      if ((heap[child] as TapeNode).id <= last.id) break;
      heap[i] = heap[child] as TapeNode;
      i = child;
    }
    heap[i] = last;
    return top;
  }
}

/** How often each step is reached, and (for captures) which steps lead to one. */
function survey(roots: readonly Edge[], captures: readonly Capture[] | null): {
  readonly waits: Map<TapeNode, number>;
  readonly useful: Set<TapeNode> | null;
} {
  const waits = new Map<TapeNode, number>();
  const order: TapeNode[] = [];
  const stack: TapeNode[] = [];
  const visit = (node: TapeNode): void => {
    if (!waits.has(node)) {
      waits.set(node, 0);
      stack.push(node);
    }
  };
  for (const { node } of roots) visit(node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    order.push(node);
    for (const edge of node.edges) {
      if (edge === null) continue;
      visit(edge.node);
      waits.set(edge.node, (waits.get(edge.node) ?? 0) + 1);
    }
  }
  if (captures === null) return { waits, useful: null };
  const useful = new Set(captures.map((c) => c.edge.node));
  order.sort((a, b) => a.id - b.id);
  for (const node of order) {
    if (node.edges.some((e) => e !== null && useful.has(e.node))) useful.add(node);
  }
  return { waits, useful };
}

/** Walks from `roots`, whose gradients are given, to the leaves, or to the captures. No autocast region casts what rules compute. */
function walkBack(
  roots: readonly { readonly edge: Edge; readonly grad: Tensor }[],
  captures: readonly Capture[] | null,
  options: Required<BackwardOptions>,
): void {
  withoutAutocast(() => walk(roots, captures, options));
}

let current: string | null = null;

/** The step of the tape whose gradient is computed now: for who records what it reads. */
export function currentStep(): string | null {
  return current;
}

function applied(
  node: TapeNode,
  grads: readonly (Tensor | null)[],
  needed: readonly boolean[],
): readonly (Tensor | null)[] {
  const before = current;
  current = node.name;
  try {
    return node.apply(grads, needed);
  } finally {
    current = before;
  }
}

function walk(
  roots: readonly { readonly edge: Edge; readonly grad: Tensor }[],
  captures: readonly Capture[] | null,
  options: Required<BackwardOptions>,
): void {
  const { waits, useful } = survey(roots.map((r) => r.edge), captures);
  const pending = new Map<TapeNode, (Tensor | null)[]>();
  const owned = new WeakSet<Tensor>();
  const since = storageClock();
  const give = (edge: Edge, grad: Tensor): void => {
    let slots = pending.get(edge.node);
    if (slots === undefined) pending.set(edge.node, slots = []);
    const before = slots[edge.index] ?? null;
    if (before === null) slots[edge.index] = grad;
    else owned.add(slots[edge.index] = before.add(grad));
  };
  const queue = new Queue();
  const queued = new Set<TapeNode>();
  for (const { edge, grad } of roots) {
    give(edge, grad);
    if (waits.get(edge.node) === 0 && !queued.has(edge.node)) {
      queued.add(edge.node);
      queue.push(edge.node);
    }
  }
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    const grads = pending.get(node) ?? [];
    pending.delete(node);
    runHooks(node, grads, owned);
    if (captures !== null) {
      for (const capture of captures) {
        if (capture.edge.node === node) capture.grad = grads[capture.edge.index] ?? null;
      }
    }
    if (node instanceof AccumulateNode) {
      const grad = grads[0];
      if (captures === null && grad !== null && grad !== undefined) {
        node.accumulate(grad, owned.has(grad), options.createGraph);
      }
      continue;
    }
    const needed = node.edges.map((e) => e !== null && (useful === null || useful.has(e.node)));
    const some = grads.some((g) => g !== null && g !== undefined) && needed.includes(true);
    const inputs = some ? applied(node, grads, needed) : [];
    if (some && !options.retainGraph) node.release();
    for (const g of inputs) if (g !== null && isOwn(g, grads, inputs, owned, since)) owned.add(g);
    node.edges.forEach((edge, i) => {
      if (edge === null) return;
      const g = inputs[i] ?? null;
      if (g !== null) give(edge, g);
      const left = (waits.get(edge.node) ?? 1) - 1;
      waits.set(edge.node, left);
      if (left === 0) queue.push(edge.node);
    });
  }
}

/** Whether a gradient is memory of its own, made during this walk, which nobody else holds, without repeated elements. */
function isOwn(
  g: Tensor,
  grads: readonly (Tensor | null)[],
  all: readonly (Tensor | null)[],
  owned: WeakSet<Tensor>,
  since: number,
): boolean {
  if (g.storage.id < since || g.viewOf !== null || g.autograd !== null) return false;
  if (g.stride.some((s, d) => s === 0 && g.shape[d] !== 1)) return false;
  for (const other of grads) {
    if (other !== null && other !== undefined && other.storage === g.storage && !owned.has(other)) return false;
  }
  return all.filter((other) => other?.storage === g.storage).length === 1;
}

function runHooks(node: TapeNode, grads: (Tensor | null)[], owned: WeakSet<Tensor>): void {
  for (const [index, hooks] of node.hooks ?? []) {
    for (const hook of hooks) {
      const grad = grads[index];
      if (grad === null || grad === undefined) continue;
      owned.delete(grad);
      const changed = hook(grad);
      if (!(changed instanceof Tensor)) continue;
      if (!sameShape(changed.shape, grad.shape)) {
        throw new TypeError(
          `registerHook: a hook got a gradient of shape ${shapeToText(grad.shape)} and returned one of shape ${
            shapeToText(changed.shape)
          }; it must keep the shape, or return nothing`,
        );
      }
      grads[index] = changed;
    }
  }
  grads.forEach((grad, index) => {
    const keeper = node.retained(index);
    if (keeper === null || grad === null) return;
    owned.delete(grad);
    keeper.grad = keeper.grad === null ? grad.clone() : keeper.grad.add(grad);
  });
}

function startGradient(where: string, t: Tensor, gradient: Tensor | null): Tensor {
  if (gradient !== null) {
    if (!sameShape(gradient.shape, t.shape)) {
      throw new TypeError(
        `${where}: the gradient has shape ${shapeToText(gradient.shape)}, the tensor ${
          shapeToText(t.shape)
        }; they must be the same`,
      );
    }
    return gradient.dtype === t.dtype ? gradient : gradient.to(t.dtype);
  }
  if (t.shape.some((s) => s !== 1)) {
    throw new TypeError(
      `${where}: the tensor has shape ${
        shapeToText(t.shape)
      }, not one element; reduce it (sum, mean) or pass the gradient with respect to it`,
    );
  }
  return noGrad(() => F.onesLike(t));
}

/** Options of {@linkcode gradOf}. */
export interface GradOptions extends BackwardOptions {
  /** Gradients of the loss with respect to `outputs`; may be left out for outputs of one element. */
  readonly gradOutputs?: readonly (Tensor | null)[];
  /** Give null for inputs that the outputs do not depend on, in place of an error. */
  readonly allowUnused?: boolean;
}

function withDefaults(options: BackwardOptions): Required<BackwardOptions> {
  const createGraph = options.createGraph ?? false;
  return { createGraph, retainGraph: options.retainGraph ?? createGraph };
}

function rootsOf(
  where: string,
  outputs: readonly Tensor[],
  gradients: readonly (Tensor | null)[],
): { edge: Edge; grad: Tensor }[] {
  return outputs.map((t, i) => {
    const edge = edgeOf(t);
    if (edge === null) {
      throw new TypeError(
        `${where}: nothing was recorded for this tensor; none of the tensors it was computed from requires a gradient, or it was computed inside noGrad()`,
      );
    }
    return { edge, grad: startGradient(where, t, gradients[i] ?? null) };
  });
}

function inGradMode<T>(enabled: boolean, fn: () => T): T {
  const before = setGradEnabled(enabled);
  try {
    return fn();
  } finally {
    setGradEnabled(before);
  }
}

/**
 * Gradients of `outputs` with respect to `inputs`, without touching `.grad`: `torch.autograd.grad`.
 *
 * @throws {TypeError} if an input does not require a gradient, or is not used and `allowUnused` is not set.
 */
export function gradOf(
  outputs: Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradOptions = {},
): (Tensor | null)[] {
  const outs = outputs instanceof Tensor ? [outputs] : outputs;
  const captures = inputs.map((t): Capture => {
    const edge = edgeOf(t);
    if (edge === null) {
      throw new TypeError("gradOf: an input does not require a gradient; set requiresGrad before it is used");
    }
    return { edge, grad: null };
  });
  const settings = withDefaults(options);
  const roots = rootsOf("gradOf", outs, options.gradOutputs ?? []);
  inGradMode(settings.createGraph, () => walkBack(roots, captures, settings));
  return captures.map((c, i) => {
    if (c.grad === null && options.allowUnused !== true) {
      throw new TypeError(
        `gradOf: the outputs do not depend on input ${i}; pass { allowUnused: true } to get null for it`,
      );
    }
    return c.grad;
  });
}

const tape: AutogradEngine = {
  record,
  beforeWrite,
  gradFnOf,
  backward(t, gradient, options): void {
    const settings = withDefaults(options);
    const roots = rootsOf("backward", [t], [gradient]);
    inGradMode(settings.createGraph, () => walkBack(roots, null, settings));
  },
  registerHook(t: Tensor, hook: GradHook): Disposable {
    const edge = edgeOf(t);
    if (edge === null) throw new TypeError("registerHook: the tensor does not require a gradient");
    return edge.node.addHook(edge.index, hook);
  },
};

setAutogradEngine(tape);
