/**
 * What a program can tell capture: leave this alone, take that as it is, cut here, treat this as constant.
 *
 * Each works in a trace, in segments, and does nothing where nothing is captured. Mirrors `torch.compiler.disable`, `allow_in_graph`, `torch._dynamo.graph_break`,
 * `assume_constant_result` and `is_compiling`.
 */
import { activeMode, Tensor, withoutModes } from "../tensor/mod.ts";
import { registerLibrary, registerLibraryFunction } from "./library.ts";
import { SegmentMode } from "./segment_mode.ts";
import { tracerOf } from "./control/sub_tracer.ts";

/** A function as it is declared, `this` included. */
type Callable<T, A extends readonly unknown[], R> = (this: T, ...args: A) => R;

function directive<T, A extends readonly unknown[], R>(
  fn: Callable<T, A, R>,
  call: (self: T, args: A) => R,
): Callable<T, A, R> {
  const made = function (this: T, ...args: A): R {
    return call(this, args);
  };
  Object.defineProperty(made, "name", { value: fn.name });
  registerLibraryFunction(made);
  return made;
}

const nameOf = (fn: { readonly name: string }): string => fn.name === "" ? "a function" : `${fn.name}()`;

/**
 * A function that is never captured: it runs eagerly, between two graphs of the function that calls it.
 *
 * @example
 * ```ts
 * import { compile, disable, randn, type Tensor } from "@tessera/tessera";
 * const largest = disable((x: Tensor): number => Math.max(...x.dataSync() as Float32Array));
 * const f = compile((x: Tensor) => x.div(largest(x)), { backend: "eager" });
 * f(randn([4]));
 * ```
 */
export function disable<T, A extends readonly unknown[], R>(fn: Callable<T, A, R>): Callable<T, A, R> {
  const why = { reason: `${nameOf(fn)} is disabled for capture`, remedy: "call it outside of the compiled function" };
  return directive(fn, (self, args) => {
    const mode = activeMode();
    const tracer = tracerOf(mode);
    if (tracer !== null) return tracer.breakGraph(why.reason, why.remedy);
    if (!(mode instanceof SegmentMode)) return Reflect.apply(fn, self, args);
    mode.endSegment(why);
    return withoutModes(() => Reflect.apply(fn, self, args));
  });
}

/**
 * A function that a trace runs as it is: its tensor operators become part of the graph, its closure is neither looked at nor guarded. What it does beside operators
 * on tensors happens once, in the trace.
 *
 * @example
 * ```ts
 * import { allowInGraph, compile, randn, type Tensor } from "@tessera/tessera";
 * const scale = allowInGraph((x: Tensor) => x.mul(2));
 * const f = compile((x: Tensor) => scale(x).add(1), { backend: "eager", fullgraph: true });
 * f(randn([4]));
 * ```
 */
export function allowInGraph<T, A extends readonly unknown[], R>(fn: Callable<T, A, R>): Callable<T, A, R> {
  return directive(fn, (self, args) => {
    tracerOf(activeMode())?.keepHere(`${nameOf(fn)} is allowed in the graph unseen`);
    return Reflect.apply(fn, self, args);
  });
}

/**
 * A function whose result is taken as a constant: a trace calls it once with the real arguments, and neither its closure nor the result is guarded. The result must not
 * be written to.
 *
 * @throws {CompileError} under `fullgraph`, if an argument is a tensor that the compiled function computes.
 *
 * @example
 * ```ts
 * import { assumeConstant, compile, randn, type Tensor } from "@tessera/tessera";
 * const options = assumeConstant(() => JSON.parse('{ "scale": 3 }') as { scale: number });
 * const f = compile((x: Tensor) => x.mul(options().scale), { backend: "eager" });
 * f(randn([4]));
 * ```
 */
export function assumeConstant<T, A extends readonly unknown[], R>(fn: Callable<T, A, R>): Callable<T, A, R> {
  return directive(fn, (self, args) => {
    const mode = tracerOf(activeMode());
    if (mode === null) return Reflect.apply(fn, self, args);
    const real = [self, ...args].map((value) => {
      const found = mode.unwrap(value);
      if (!(found instanceof Tensor) || found.isDense) return found;
      return mode.breakGraph(
        `${nameOf(fn)}, whose result is assumed to be constant, is given a tensor that the function computes`,
        "give it arguments of the compiled function only",
      );
    });
    mode.keepHere(`the result of ${nameOf(fn)} is assumed to be constant`);
    return withoutModes(() => Reflect.apply(fn, real[0], real.slice(1))) as R;
  });
}

/**
 * Cuts the graph here: what was captured so far runs, and capture goes on behind. Outside of capture it does nothing.
 *
 * @example
 * ```ts
 * import { compile, graphBreak, randn, type Tensor } from "@tessera/tessera";
 * const f = compile((x: Tensor) => {
 *   const y = x.mul(2);
 *   graphBreak();
 *   return y.add(1);
 * }, { backend: "eager" });
 * f(randn([4]));
 * ```
 */
export function graphBreak(message: string = "graphBreak() is called"): void {
  const mode = activeMode();
  const remedy = "remove the call";
  tracerOf(mode)?.breakGraph(message, remedy);
  if (mode instanceof SegmentMode) mode.endSegment({ reason: message, remedy });
}

/** Whether the code that asks runs in a compiled function: in a trace, or in segments. */
export function isCompiling(): boolean {
  const mode = activeMode();
  return tracerOf(mode) !== null || mode instanceof SegmentMode;
}

registerLibrary({ disable, allowInGraph, assumeConstant, graphBreak, isCompiling }, "directives");
