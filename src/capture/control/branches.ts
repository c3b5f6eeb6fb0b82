/**
 * `cond` and `checkpoint`: functions that run at most once.
 *
 * Eagerly they are plain JavaScript. In a trace their functions become sub-graphs; what these write in place becomes a result of the call, which is then written.
 * Mirrors `torch.cond` and `torch.utils.checkpoint`.
 */
import { bool } from "../../core/mod.ts";
import { sizeSame } from "../../symbolic/mod.ts";
import { noGrad, Tensor } from "../../tensor/mod.ts";
import { REGION } from "../closures.ts";
import { registerLibraryFunction } from "../library.ts";
import { hiddenSizes, makeBody } from "./body.ts";
import {
  breakHere,
  handOver,
  operandsOfAll,
  type Place,
  type Recorded,
  recordFunction,
  writtenOfAll,
} from "./capture.ts";
import { callControl, controlOperator, resultsOf } from "./operator.ts";
import { CannotCapture, tracing } from "./sub_tracer.ts";
import { describe, mapTrees, rebuild, runOwned, type Tree } from "./trees.ts";

/** @throws {TypeError} if a condition has more than one element. */
export function checkScalar(pred: Tensor, where: string): void {
  if (Number(pred.numel) !== 1) {
    throw new TypeError(`${where}: the condition must have one element, got shape [${pred.shape.join(", ")}]`);
  }
}

/** Writes what a call gave into the tensors that its functions wrote. */
function writeResults(written: ReadonlyMap<Tensor, boolean>, values: readonly Tensor[]): void {
  [...written].forEach(([t, taped], i) => {
    const value = values[i] as Tensor;
    // Statistics are written without the tape, whatever they are computed from.
    if (taped) t.copy_(value);
    else noGrad(() => t.copy_(value.detach()));
  });
}

/** Why two branches do not fit together, or null. */
function difference(yes: Recorded, no: Recorded): string | null {
  let found: string | null = null;
  const same = mapTrees([rebuild(yes.tree, yes.results), rebuild(no.tree, no.results)], ([a, b]) => {
    if (a === undefined || b === undefined) return null;
    const fits = a.dtype === b.dtype && a.device === b.device && a.ndim === b.ndim &&
      a.shape.every((size, d) => sizeSame(size, b.shape[d] ?? -1));
    if (!fits) {
      found ??= `has branches that give ${describe(a)} on ${a.device} where it holds and ${
        describe(b)
      } on ${b.device} where it does not`;
    }
    return a;
  });
  return same === null ? "has branches whose results differ in structure" : found;
}

function condGraph(
  place: Place,
  pred: Tensor,
  trueFn: (...args: never[]) => unknown,
  falseFn: (...args: never[]) => unknown,
  args: readonly unknown[],
): Tree {
  const yes = recordFunction(place, trueFn, args);
  const no = recordFunction(place, falseFn, args);
  const problem = difference(yes, no);
  if (problem !== null) {
    breakHere(place, problem, "make both give tensors of one structure, shape and dtype, or use a boolean condition");
  }
  const both = [yes, no];
  const operands = operandsOfAll(both);
  const written = writtenOfAll(place, both, operands);
  if (yes.results.length + written.size === 0) return yes.tree;
  const sizes = hiddenSizes(both, operands);
  const bodies = both.map((r) => makeBody(r, operands, sizes, [...written.keys()]));
  const op = controlOperator("cond", bodies, resultsOf(bodies[0] as (typeof bodies)[number]));
  const results = callControl(op, {
    pred: pred.reshape([]).to(bool),
    operands: handOver(operands, written),
    sizes,
  });
  const own = yes.results.length;
  writeResults(written, results.slice(own));
  return rebuild(yes.tree, results.slice(0, own));
}

/**
 * Runs one of two functions: `trueFn` if the condition holds, else `falseFn`. The results are tensors of their own, never the operands themselves.
 *
 * Differentiable: the gradient is that of the branch taken. In a trace a condition that is a tensor makes both branches sub-graphs of one call, whose condition is read
 * at each run; both must then give tensors of one structure, shape and dtype. Tensors that a branch writes in place are written.
 *
 * @param pred A boolean or number, or a tensor with one element.
 * @param operands What both functions are called with.
 * @throws {TypeError} if the condition has more than one element, or a branch gives anything but tensors, arrays and plain objects of them.
 *
 * @example
 * ```ts
 * import { cond, tensor } from "@tessera/tessera";
 * const x = tensor([1.5, -2]);
 * const y = cond(x.sum().gt(0), (t) => t.mul(2), (t) => t.neg(), [x]);
 * console.assert(y.shape[0] === 2);
 * ```
 */
export function cond<A extends unknown[], R extends Tree>(
  pred: boolean | number | Tensor,
  trueFn: (...operands: NoInfer<A>) => R,
  falseFn: (...operands: NoInfer<A>) => R,
  operands: readonly [...A],
): R {
  const run = (fn: (...operands: A) => R): R => runOwned("cond", () => fn(...operands));
  if (!(pred instanceof Tensor)) return run(pred ? trueFn : falseFn);
  checkScalar(pred, "cond");
  const trace = tracing();
  if (trace === null) return run(pred.item() ? trueFn : falseFn);
  const place: Place = { ...trace, where: "cond" };
  try {
    return condGraph(place, pred, trueFn, falseFn, operands) as R;
  } catch (error) {
    if (error instanceof CannotCapture) return breakHere(place, `has a branch that ${error.message}`, error.remedy);
    throw error;
  }
}

/**
 * A function whose intermediate results are not kept for the gradient but computed again in the backward pass.
 *
 * The results are tensors of their own, never the arguments themselves. In a trace the function is a sub-graph; the backward keeps what it reads, nothing that it computes, and random numbers are the same again. Eagerly the function
 * runs as it is, and the tape keeps what it always keeps.
 *
 * @param fn Gives tensors, or arrays and plain objects of them.
 *
 * @example
 * ```ts
 * import { checkpoint, compile, randn, type Tensor } from "@tessera/tessera";
 * const block = checkpoint((x: Tensor) => x.sin().exp().mul(x));
 * const f = compile((x: Tensor) => block(block(x)).sum());
 * const x = randn([8]).requiresGrad_();
 * f(x).backward();
 * ```
 */
export function checkpoint<A extends unknown[], R extends Tree>(fn: (...args: A) => R): (...args: A) => R {
  const madeInside = tracing() !== null;
  const region = (...args: A): R => {
    const trace = tracing();
    if (trace === null) return runOwned("checkpoint", () => fn(...args));
    const place: Place = { ...trace, where: "checkpoint" };
    // The closure of a function from outside is looked at and guarded.
    const seen = madeInside ? fn : trace.tracer.function(fn) as typeof fn;
    try {
      const recorded = recordFunction(place, seen as (...args: never[]) => unknown, args, { keepsLayout: true });
      const operands = operandsOfAll([recorded]);
      const written = writtenOfAll(place, [recorded], operands);
      const sizes = hiddenSizes([recorded], operands);
      const body = makeBody(recorded, operands, sizes, [...written.keys()]);
      const metas = resultsOf(body);
      if (metas.length === 0) return recorded.tree as R;
      const op = controlOperator("checkpoint", [body], metas);
      const results = callControl(op, { operands: handOver(operands, written, true), sizes });
      const own = recorded.results.length;
      writeResults(written, results.slice(own));
      return rebuild(recorded.tree, results.slice(0, own)) as R;
    } catch (error) {
      if (!(error instanceof CannotCapture)) throw error;
      // The same, but the gradient may keep what is inside.
      trace.tracer.remark(`checkpoint() ${error.message}, so its region is part of the graph around it`);
      return runOwned("checkpoint", () => seen(...args));
    }
  };
  registerLibraryFunction(region);
  // All such regions have one text: what tells them apart is the function inside.
  Object.defineProperty(region, REGION, { value: fn });
  return region;
}
