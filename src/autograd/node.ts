/**
 * Steps of the tape: what made a tensor, and how a gradient goes back through it.
 *
 * An {@linkcode OpNode} is a recorded operator with its arguments; its gradient is the operator's `vjp`, which is written with tensor operators and so
 * can be recorded itself. An {@linkcode AccumulateNode} is the end of a path: a leaf. Saved tensors remember the version they had: a tensor written since
 * is replaced by one that has its shape and no data, and whose use says what happened. Mirrors `torch::autograd::Node` and `SavedVariable`.
 */
import { cpu, InternalError } from "../core/mod.ts";
import type { NamedArgs, Operator, TensorValue, VjpContext } from "../ops/mod.ts";
import { sameShape, shapeToText, type Size } from "../symbolic/mod.ts";
import {
  autogradEngine,
  autogradMeta,
  F,
  fakeTensor,
  FakeTensorMode,
  functionalForRules,
  type GradFn,
  type GradHook,
  mapTensorArgs,
  ruleArguments,
  Storage,
  type Tensor,
  Tensor as TensorClass,
  tensorArguments,
  withMode,
} from "../tensor/mod.ts";

/** Where a gradient goes: a result of a step. */
export interface Edge {
  readonly node: TapeNode;
  readonly index: number;
}

let nextId = 0;

/** A step of the tape. Later steps have greater ids, so that descending order is a valid order of the backward pass. */
export abstract class TapeNode implements GradFn {
  readonly id: number = nextId++;
  abstract readonly name: string;
  /** Where the gradients of the inputs go; null where none is needed. */
  readonly edges: readonly (Edge | null)[];
  /** Hooks by result. */
  hooks: Map<number, Set<GradHook>> | null = null;

  constructor(edges: readonly (Edge | null)[]) {
    this.edges = edges;
  }

  /** Gradients of the inputs from those of the results; computes those that `needed` asks for. */
  abstract apply(grads: readonly (Tensor | null)[], needed: readonly boolean[]): readonly (Tensor | null)[];

  /** The result whose `.grad` is kept, if it is retained. */
  retained(_index: number): Tensor | null {
    return null;
  }

  /** Forgets what was saved. */
  release(): void {}

  /** Whether what was saved has been forgotten, so that the step cannot be walked again. */
  get isReleased(): boolean {
    return false;
  }

  /** What walking this step would find written since, of the tensors that `isMeant` says; null if nothing. */
  writtenNeed(_isMeant: (t: Tensor) => boolean): WrittenNeed | null {
    return null;
  }

  /** Whether somebody waits for gradients that pass here. */
  get isWatched(): boolean {
    return [...this.hooks?.values() ?? []].some((set) => set.size > 0);
  }

  toString(): string {
    return `<${this.name}>`;
  }

  [Symbol.for("Deno.customInspect")](): string {
    return `<${this.name}>`;
  }

  addHook(index: number, hook: GradHook): Disposable {
    const all = this.hooks ??= new Map<number, Set<GradHook>>();
    const set = all.get(index) ?? new Set();
    set.add(hook);
    all.set(index, set);
    return { [Symbol.dispose]: () => void set.delete(hook) };
  }
}

/** The step to which a tensor's gradient goes, or null if it needs none. */
export function edgeOf(t: Tensor): Edge | null {
  if (!t.requiresGrad) return null;
  const fn = autogradEngine()?.gradFnOf(t) ?? null;
  const meta = autogradMeta(t);
  if (fn !== null) return { node: fn as TapeNode, index: meta.outputIndex };
  const leaf = meta.accumulator as AccumulateNode | null;
  if (leaf !== null) return { node: leaf, index: 0 };
  const made = new AccumulateNode(t);
  meta.accumulator = made;
  return { node: made, index: 0 };
}

/** Whether somebody is called with the gradient of this very tensor. */
export function hasGradHooks(t: Tensor): boolean {
  const meta = t.autograd;
  if (meta === null) return false;
  const node = (meta.gradFn ?? meta.accumulator) as TapeNode | null;
  const set = node?.hooks?.get(meta.gradFn === null ? 0 : meta.outputIndex);
  return set !== undefined && set.size > 0;
}

/** The end of a path: adds to the `.grad` of a leaf. */
export class AccumulateNode extends TapeNode {
  readonly name = "AccumulateGrad";

  constructor(readonly leaf: Tensor) {
    super([]);
  }

  apply(): readonly (Tensor | null)[] {
    throw new InternalError("a leaf has no inputs");
  }

  /** Adds a gradient. `owned` says that nobody else holds it. */
  accumulate(grad: Tensor, owned: boolean, createGraph: boolean): void {
    const { leaf } = this;
    const g = fitGradient(grad, leaf, this.name);
    const before = leaf.grad;
    if (before === null) leaf.grad = createGraph || (owned && g === grad) ? g : g.clone();
    else if (createGraph) leaf.grad = before.add(g);
    else before.add_(g);
  }
}

/** A gradient in the shape and dtype of the tensor it belongs to. */
function fitGradient(grad: Tensor, like: Tensor, name: string): Tensor {
  let g = grad;
  if (!sameShape(g.shape, like.shape)) {
    if (g.ndim < like.ndim) {
      throw new InternalError(
        `${name}: the gradient has shape ${shapeToText(g.shape)} for a tensor of shape ${shapeToText(like.shape)}`,
      );
    }
    g = g.sumToSize(like.shape);
  }
  return g.dtype === like.dtype ? g : g.to(like.dtype);
}

/** A gradient is asked of an operator that has no rule for it. */
export class MissingRuleError extends TypeError {
  readonly reason: string;
  readonly remedy: string =
    "give its definition a rule, as vjp: (args, { grad }) => ({ x: () => … }) in kernel({ … }) or defineOp({ … }), " +
    "or call it on detach()ed tensors or under noGrad()";

  constructor(op: Operator) {
    const reason = `the operator ${op.target} has no gradient rule (vjp)`;
    super(`backward: ${reason}`);
    this.reason = reason;
    this.message += `; ${this.remedy}`;
  }
}

/** How often a tensor's memory was written: for steps that compare it later, also while they are traced. */
export function versionOf(t: Tensor): number {
  return t.version;
}

/** What a step needs as it was, and is no longer: its shape, how often it was written, and how often when it was saved. */
export interface WrittenNeed {
  readonly shape: readonly Size[];
  readonly version: number;
  readonly saved: number;
}

/** The error of a step that needs a tensor as it was. */
export function writtenSince(node: string, { shape, version, saved }: WrittenNeed): TypeError {
  return new TypeError(
    `backward: ${node} needs a tensor of shape ${
      shapeToText(shape)
    } that was written in place since: it is at version ${version}, ` +
      `expected ${saved}. Write to a clone(), or use the out-of-place form of the operator`,
  );
}

/** A tensor in the place of one that was written after it was saved: a description whose use is refused. */
function staleTensor(t: Tensor, refuse: () => Error): Tensor {
  const stale = fakeTensor(t);
  return new Proxy(stale, {
    get(target, key): unknown {
      if (key === "storage" || key === "node" || key === "isDense" || key === "autograd" || key === "viewOf") {
        throw refuse();
      }
      return Reflect.get(target, key, target);
    },
  });
}

const stepNames = new Map<string, string>();

/** `AddBackward0` for `add`. */
function stepName(operator: string): string {
  let name = stepNames.get(operator);
  if (name === undefined) {
    name = `${operator.replace(/(?:^|_+)([a-z0-9])/g, (_, c: string) => c.toUpperCase())}Backward0`;
    stepNames.set(operator, name);
  }
  return name;
}

/** A recorded operator. */
export class OpNode extends TapeNode {
  readonly name: string;
  readonly op: Operator;
  #args: NamedArgs<Tensor> | null;
  #outs: readonly Tensor[] | null;
  /** Versions of tensor arguments in order, then of the results. */
  readonly #versions: readonly number[];
  /** The tensor arguments, flattened, with their key and place in a list. */
  readonly #inputs: readonly { readonly key: string; readonly at: number | null; readonly tensor: Tensor }[];

  constructor(op: Operator, args: NamedArgs<Tensor>, outs: readonly Tensor[]) {
    const inputs: { key: string; at: number | null; tensor: Tensor }[] = [];
    for (const { key, list } of tensorArguments(op)) {
      const v = args[key];
      if (v instanceof TensorClass) inputs.push({ key, at: null, tensor: v });
      else if (list && Array.isArray(v)) {
        v.forEach((item: unknown, at: number) => {
          if (item instanceof TensorClass) inputs.push({ key, at, tensor: item });
        });
      }
    }
    super(inputs.map((i) => edgeOf(i.tensor)));
    this.op = op;
    this.name = stepName(op.schema.name);
    this.#inputs = inputs;
    this.#args = args;
    this.#outs = outs;
    this.#versions = [...inputs.map((i) => i.tensor.version), ...outs.map((o) => o.version)];
  }

  override retained(index: number): Tensor | null {
    const out = this.#outs?.[index];
    return out !== undefined && out.autograd?.retainsGrad === true && out.autograd.gradFn === this ? out : null;
  }

  override get isWatched(): boolean {
    return super.isWatched || (this.#outs ?? []).some((_, i) => this.retained(i) !== null);
  }

  override release(): void {
    this.#args = null;
    this.#outs = null;
  }

  override get isReleased(): boolean {
    return this.#args === null;
  }

  override writtenNeed(isMeant: (t: Tensor) => boolean): WrittenNeed | null {
    const outs = this.#outs;
    if (outs === null || this.op.vjp === null) return null;
    const all = [...this.#inputs.map((i) => i.tensor), ...outs];
    if (!all.some((t, i) => t.version !== this.#versions[i] && isMeant(t))) return null;
    let found: WrittenNeed | null = null;
    // Rules are asked with descriptions alone: what they touch is what they need.
    try {
      withMode(new FakeTensorMode(), () => {
        const grads = outs.map((out) => fakeTensor(out));
        this.#walk(grads, this.edges.map((e) => e !== null), (t, saved) => {
          if (isMeant(t)) found ??= { shape: t.shape, version: t.version, saved };
          return new InternalError("a written tensor is needed");
        });
      });
    } catch {
      // That was the answer; a rule that cannot be asked without data gives none.
    }
    return found;
  }

  apply(grads: readonly (Tensor | null)[], needed: readonly boolean[]): readonly (Tensor | null)[] {
    return this.#walk(
      grads,
      needed,
      (t, saved) => writtenSince(this.name, { shape: t.shape, version: t.version, saved }),
    );
  }

  #walk(
    grads: readonly (Tensor | null)[],
    needed: readonly boolean[],
    refuse: (t: Tensor, saved: number) => Error,
  ): readonly (Tensor | null)[] {
    const { op, name } = this;
    if (this.#args === null || this.#outs === null) {
      throw new TypeError(
        `backward: ${name} was already walked and its saved tensors freed; pass { retainGraph: true } to the first backward()`,
      );
    }
    if (op.vjp === null) throw new MissingRuleError(op);
    const versions = new Map<Tensor, number>();
    this.#inputs.forEach((input, i) => versions.set(input.tensor, this.#versions[i] ?? 0));
    const fresh = (t: Tensor): Tensor => {
      const saved = versions.get(t);
      return saved === undefined || saved === t.version ? t : staleTensor(t, () => refuse(t, saved));
    };
    const args = ruleArguments(op, mapTensorArgs(op, this.#args, fresh) as NamedArgs<Tensor>);
    const outs = this.#outs.map((out, i) => {
      const saved = this.#versions[this.#inputs.length + i] ?? 0;
      return saved === out.version ? out : staleTensor(out, () => refuse(out, saved));
    });
    const result = op.vjp(args, vjpContext(outs, grads));
    const done = new Map<string, unknown>();
    return this.#inputs.map(({ key, at, tensor }, i) => {
      if (needed[i] !== true) return null;
      const rule = result[key];
      if (rule === undefined) return null;
      let value = done.get(key);
      if (value === undefined) done.set(key, value = rule());
      const g = (at !== null && Array.isArray(value) ? value[at] : value) as Tensor | null | undefined;
      return g === null || g === undefined ? null : fitGradient(g, tensor, name);
    });
  }
}

function vjpContext(outs: readonly Tensor[], grads: readonly (Tensor | null)[]): VjpContext {
  let first: Tensor | null = grads[0] ?? null;
  return {
    outs,
    out: outs[0] as Tensor,
    get grad(): TensorValue {
      const like = outs[0];
      if (first === null && like !== undefined) first = F.zerosLike(like);
      return first as Tensor;
    },
    grads,
    F: functionalForRules(),
  };
}

/**
 * Gives a tensor a history that cannot be walked: it needs a gradient, and going back through it is an error. `backward()` leaves such a one; with `need`, a step
 * of it needs what was written since.
 */
export function setSpentHistory(t: Tensor, name: string, need: WrittenNeed | null = null): void {
  // Some leaf must be reached, or nobody would walk there.
  const leaf = new TensorClass({ shape: [], stride: [], dtype: t.dtype, device: cpu, storage: new Storage(null) });
  autogradMeta(leaf).requiresGrad = true;
  const node = new FunctionNode(name, [leaf], [], () => {
    if (need !== null) throw writtenSince(name, need);
    return [null];
  });
  if (need === null) node.release();
  const meta = autogradMeta(t);
  meta.requiresGrad = true;
  meta.gradFn = node;
  meta.outputIndex = 0;
  meta.historyAt = t.storage.history;
}

/** A step whose gradient is a given function: custom functions, compiled calls. */
export class FunctionNode extends TapeNode {
  readonly name: string;
  readonly #inputs: readonly Tensor[];
  readonly #outs: readonly Tensor[];
  readonly #names: readonly string[];
  #backward: ((grads: readonly (Tensor | null)[], needed: readonly boolean[]) => readonly (Tensor | null)[]) | null;

  constructor(
    name: string,
    inputs: readonly Tensor[],
    outs: readonly Tensor[],
    backward: (grads: readonly (Tensor | null)[], needed: readonly boolean[]) => readonly (Tensor | null)[],
    /** What the steps behind each result would be called without this one, for errors. */
    names: readonly string[] = [],
  ) {
    super(inputs.map(edgeOf));
    const [only] = names;
    this.name = only !== undefined && names.length === 1 ? only : name;
    this.#names = names;
    this.#inputs = inputs;
    this.#outs = outs;
    this.#backward = backward;
  }

  override retained(index: number): Tensor | null {
    const out = this.#outs[index];
    return out !== undefined && out.autograd?.retainsGrad === true && out.autograd.gradFn === this ? out : null;
  }

  override get isWatched(): boolean {
    return super.isWatched || this.#outs.some((_, i) => this.retained(i) !== null);
  }

  override release(): void {
    this.#backward = null;
  }

  override get isReleased(): boolean {
    return this.#backward === null;
  }

  apply(grads: readonly (Tensor | null)[], needed: readonly boolean[]): readonly (Tensor | null)[] {
    if (this.#backward === null) {
      const from = grads.findIndex((g) => g !== null && g !== undefined);
      throw new TypeError(
        `backward: ${
          this.#names[from] ?? this.name
        } was already walked and its saved tensors freed; pass { retainGraph: true } to the first backward()`,
      );
    }
    const result = this.#backward(grads, needed);
    if (result.length !== this.#inputs.length) {
      throw new TypeError(
        `${this.name}: backward gave ${result.length} gradients for ${this.#inputs.length} tensor inputs; give one for each, or null`,
      );
    }
    return result.map((g, i) => {
      const input = this.#inputs[i];
      return g === null || g === undefined || input === undefined || needed[i] !== true
        ? null
        : fitGradient(g, input, this.name);
    });
  }
}
