/**
 * Functional differentiation: functions that take a function and return its gradient.
 *
 * They run the function on fresh leaves and walk the tape back; nothing is left in `.grad`. They nest: where the result depends on tensors that somebody outside
 * differentiates, the backward computation is recorded too. Mirrors `torch.func` and `jax.grad`.
 */
import { shapeToText } from "../symbolic/mod.ts";
import { autogradMeta, enableGrad, isGradEnabled, Tensor } from "../tensor/mod.ts";
import { gradOf } from "./engine.ts";
import { AccumulateNode, edgeOf, type TapeNode } from "./node.ts";

/** Positions of arguments: one, or a list. */
export type ArgNums = number | readonly number[];

/** Which arguments to differentiate with respect to, and so what the function returns. */
export interface GradTransformOptions<N extends ArgNums = ArgNums> {
  /** Positions of the arguments; default the first. */
  readonly argnums?: N;
}

/** Tensors in arrays and plain objects. */
export type TensorTree = Tensor | readonly TensorTree[] | { readonly [key: string]: TensorTree };

/** A tensor that is differentiated in here: a leaf, or, where the outside differentiates too, an alias with a history. */
function enter(t: Tensor): Tensor {
  if (isGradEnabled() && t.requiresGrad) return t.alias();
  const leaf = t.detach();
  autogradMeta(leaf).requiresGrad = true;
  return leaf;
}

function mapTree(tree: TensorTree, visit: (t: Tensor) => Tensor): TensorTree {
  if (tree instanceof Tensor) return visit(tree);
  if (Array.isArray(tree)) return tree.map((item: TensorTree) => mapTree(item, visit));
  return Object.fromEntries(Object.entries(tree).map(([k, v]) => [k, mapTree(v as TensorTree, visit)]));
}

/** Tells whether anything but `inside` is a leaf of the history of `t`. */
function dependsOnOutside(t: Tensor, inside: ReadonlySet<Tensor>): boolean {
  const edge = edgeOf(t);
  if (edge === null) return false;
  const seen = new Set<TapeNode>();
  const stack: TapeNode[] = [edge.node];
  const ends = new Set<TapeNode>();
  for (const leaf of inside) {
    const e = edgeOf(leaf);
    if (e !== null) ends.add(e.node);
  }
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    // An alias of an outer tensor ends the search as a dependency on the outside.
    if (node instanceof AccumulateNode ? !inside.has(node.leaf) : ends.has(node)) return true;
    for (const next of node.edges) if (next !== null) stack.push(next.node);
  }
  return false;
}

function checkScalar(where: string, out: unknown): Tensor {
  if (!(out instanceof Tensor)) throw new TypeError(`${where}: the function must return one tensor`);
  if (out.shape.some((s) => s !== 1)) {
    throw new TypeError(
      `${where}: the function returned shape ${shapeToText(out.shape)}; return a scalar, e.g. with sum() or mean()`,
    );
  }
  return out;
}

type Args = readonly TensorTree[];

/** The gradient of the argument at a position: a tree like it. Of arguments that nobody can name when types are checked, any tree. */
type GradOfArg<A extends Args, I> = I extends number ? number extends I ? TensorTree
  : `${I}` extends keyof A ? A[`${I}` & keyof A]
  : number extends A["length"] ? A[number]
  : never
  : never;

/** What is returned for positions: the gradient of one argument, or a list of them in the order of the positions. */
export type GradResult<A extends Args, N extends ArgNums> = N extends readonly number[]
  ? { -readonly [K in keyof N]: GradOfArg<A, N[K]> }
  : GradOfArg<A, N>;

/**
 * A function that returns `fn`'s value and its gradient with respect to its first argument, or to `argnums`. Arguments are tensors or
 * trees of tensors; gradients have the same structure.
 *
 * @throws {TypeError} (from the returned function) if `fn` does not return a scalar tensor; {RangeError} if a call has no argument at a position
 *
 * @example
 * ```ts
 * import { type Tensor, tensor, valueAndGrad } from "@tessera/tessera";
 * const f = valueAndGrad((x: Tensor) => x.mul(x).sum());
 * const [value, gradient] = f(tensor([1.5, 2]));
 * ```
 */
export function valueAndGrad<A extends Args, const N extends ArgNums = 0>(
  fn: (...args: A) => Tensor,
  options: GradTransformOptions<N> = {},
): (...args: A) => [Tensor, GradResult<A, N>] {
  const chosen: ArgNums = options.argnums ?? 0;
  const argnums = typeof chosen === "number" ? [chosen] : chosen;
  return (...args) => {
    const beyond = argnums.find((i) => !(i in args));
    if (beyond !== undefined) {
      throw new RangeError(`grad: argnums names argument ${beyond}, but the call has ${args.length}, from 0 on`);
    }
    const leaves: Tensor[] = [];
    const entered = args.map((arg, i) =>
      argnums.includes(i)
        ? mapTree(arg, (t) => {
          const leaf = enter(t);
          leaves.push(leaf);
          return leaf;
        })
        : arg
    ) as unknown as A;
    const out = checkScalar("grad", enableGrad(() => fn(...entered)));
    const inside = new Set(leaves);
    const outer = isGradEnabled() && dependsOnOutside(out, inside);
    const grads = out.requiresGrad
      ? gradOf(out, leaves, { allowUnused: true, createGraph: outer })
      : leaves.map(() => null);
    const dense = grads.map((g, i) => g ?? (leaves[i] as Tensor).mul(0).detach());
    let at = 0;
    const take = (tree: TensorTree): TensorTree => mapTree(tree, () => dense[at++] as Tensor);
    const byArg = new Map<number, TensorTree>();
    args.forEach((arg, i) => {
      if (argnums.includes(i)) byArg.set(i, take(arg));
    });
    const result = argnums.map((i) => byArg.get(i) as TensorTree);
    const value = outer ? out : out.detach();
    return [value, (typeof chosen === "number" ? result[0] : result) as GradResult<A, N>];
  };
}

/**
 * A function that returns the gradient of `fn`, see {@linkcode valueAndGrad}.
 *
 * @example
 * ```ts
 * import { grad, type Tensor, tensor } from "@tessera/tessera";
 * const second = grad((x: Tensor) => grad((y: Tensor) => y.mul(y).mul(y).sum())(x).sum());
 * console.log(second(tensor([1.5])).toArray()); // [9]
 * ```
 */
export function grad<A extends Args, const N extends ArgNums = 0>(
  fn: (...args: A) => Tensor,
  options: GradTransformOptions<N> = {},
): (...args: A) => GradResult<A, N> {
  const both = valueAndGrad(fn, options);
  return (...args) => both(...args)[1];
}

/**
 * The value of `fn` and a function from a cotangent (the shape of the value) to the gradients of all arguments.
 *
 * @throws {TypeError} if `fn` does not return a tensor.
 */
export function vjp(
  fn: (...args: Tensor[]) => Tensor,
  ...primals: readonly Tensor[]
): [Tensor, (cotangent: Tensor) => Tensor[]] {
  const leaves = primals.map(enter);
  const out: unknown = enableGrad(() => fn(...leaves));
  if (!(out instanceof Tensor)) throw new TypeError("vjp: the function must return one tensor");
  const outer = isGradEnabled() && dependsOnOutside(out, new Set(leaves));
  const pull = (cotangent: Tensor): Tensor[] => {
    const createGraph = isGradEnabled() && (outer || cotangent.requiresGrad);
    const grads = out.requiresGrad
      ? gradOf(out, leaves, { gradOutputs: [cotangent], allowUnused: true, retainGraph: true, createGraph })
      : leaves.map(() => null);
    return grads.map((g, i) => g ?? (leaves[i] as Tensor).mul(0).detach());
  };
  return [outer ? out : out.detach(), pull];
}

/**
 * The value of `fn` and its derivative in the direction of `tangents`, by differentiating the gradient, which is linear in the cotangent.
 */
export function jvp(
  fn: (...args: Tensor[]) => Tensor,
  primals: readonly Tensor[],
  tangents: readonly Tensor[],
): [Tensor, Tensor] {
  if (primals.length !== tangents.length) {
    throw new TypeError(`jvp: ${primals.length} primals but ${tangents.length} tangents; give one for each`);
  }
  const [out, pull] = vjp(fn, ...primals);
  const cotangent = out.mul(0).detach();
  autogradMeta(cotangent).requiresGrad = true;
  const pulled = enableGrad(() => pull(cotangent));
  let inner: Tensor | null = null;
  pulled.forEach((g, i) => {
    const term = g.mul(tangents[i] as Tensor).sum();
    inner = inner === null ? term : (inner as Tensor).add(term);
  });
  const total = inner as Tensor | null;
  if (total === null || !total.requiresGrad) return [out, out.mul(0)];
  return [out, gradOf(total, [cotangent], { allowUnused: true })[0] ?? out.mul(0)];
}
