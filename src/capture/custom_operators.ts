/**
 * Operators of the program's own: how they are called, and {@linkcode opcheck}, which tells whether a definition keeps its promises.
 *
 * `defineOp` enters an operator into the table that the library's own operators are in, so tape, capture, functionalisation and compilers take it like any other.
 * Mirrors `torch.library.custom_op` and `torch.library.opcheck`.
 */
import { gradcheck } from "../autograd/mod.ts";
import { float64 } from "../core/mod.ts";
import type { NamedArgs, Operator } from "../ops/mod.ts";
import { shapeToText } from "../symbolic/mod.ts";
import {
  dispatch,
  dispatchComplete,
  fakeLike,
  fakeResult,
  mapTensorArgs,
  noGrad,
  normalizeNamed,
  type OpResult,
  referenceBackend,
  Tensor,
  withEagerBackend,
} from "../tensor/mod.ts";
import { listBackends } from "./backends.ts";
import { compile } from "./compile.ts";
import { tracing } from "./control/sub_tracer.ts";
import { registerLibraryFunction } from "./library.ts";

export { type ArgValue, defineOp, type Definition, type NamedArgs, type Operator } from "../ops/mod.ts";

/** A function that calls an operator: arguments in the order of its schema, then optionally one plain object with named ones. */
export type OperatorFunction = (...args: readonly unknown[]) => OpResult;

function isNamed(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Reflect.getPrototypeOf(value) === Object.prototype;
}

/**
 * The function that calls an operator, in eager programs and compiled ones.
 *
 * @example
 * ```ts
 * import { defineOp, functionOf, randn, type Tensor } from "@tessera/tessera";
 * const op = defineOp({
 *   schema: "docs::twice(Tensor self) -> Tensor",
 *   doc: "Doubles.",
 *   meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
 *   decompose: ({ self }) => self.mul(2),
 *   samples: () => [],
 * });
 * const twice = functionOf(op);
 * console.assert((twice(randn([3])) as Tensor).shape[0] === 3);
 * ```
 */
export function functionOf(op: Operator): OperatorFunction {
  const { args: wanted } = op.schema;
  const call: OperatorFunction = (...args) => {
    // All such functions have one text, so another process could not tell them apart.
    tracing()?.tracer.keepHere(`${op.target} is called through a function that is made for it`);
    const last = args.at(-1);
    const named = isNamed(last) ? last : {};
    const positional = isNamed(last) ? args.slice(0, -1) : args;
    if (positional.length > wanted.length) {
      throw new TypeError(`${op.schema.name}: takes ${wanted.length} arguments, got ${positional.length}`);
    }
    return dispatch(op, {
      ...Object.fromEntries(positional.map((value, i) => [wanted[i]?.key ?? "", value])),
      ...named,
    });
  };
  // A trace runs it as it is: the operator is what the graph shows.
  registerLibraryFunction(call);
  return call;
}

/** Options of {@linkcode opcheck}. */
export interface OpcheckOptions {
  /** Absolute and relative tolerance between ways of running it. Default 1e-5. */
  readonly tolerance?: number;
  /** Backends to compile with. Default: `"eager"`, `"aot_eager"` and `"inductor"`, those that there are. */
  readonly backends?: readonly string[];
}

function flat(result: OpResult): readonly Tensor[] {
  return result instanceof Tensor ? [result] : result;
}

function described(t: Tensor): string {
  return `${t.dtype.name}${shapeToText(t.shape)} with strides ${shapeToText(t.stride)}`;
}

/** Calls `check` and puts the operator and what was checked before its complaint. */
function promise(op: Operator, what: string, check: () => void): string {
  try {
    check();
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    throw new TypeError(`opcheck: ${op.target}: ${what}: ${found}`, { cause: error });
  }
  return what;
}

function same(got: readonly Tensor[], want: readonly Tensor[], tolerance: number): void {
  if (got.length !== want.length) throw new TypeError(`gives ${got.length} results, expected ${want.length}`);
  got.forEach((g, i) => {
    const w = want[i] as Tensor;
    if (g.dtype !== w.dtype || g.shape.join() !== w.shape.join()) {
      throw new TypeError(`result ${i} is ${described(g)}, expected ${described(w)}`);
    }
    const [a, b] = [[...g.dataSync()].map(Number), [...w.dataSync()].map(Number)];
    a.forEach((value, e) => {
      const other = b[e] ?? NaN;
      if (Object.is(value, other) || Math.abs(value - other) <= tolerance * (1 + Math.abs(other))) return;
      throw new TypeError(`result ${i}, element ${e} is ${value}, expected ${other}`);
    });
  });
}

/**
 * Tests an operator on given arguments: that `meta` describes what comes out, that it writes and aliases nothing that its schema does not say, that it gives the
 * same element by element, compiled, and with symbolic sizes, and that its gradient (of float64 tensors that require one) is that of finite differences.
 *
 * @param args By their names in JavaScript; what is left out takes the schema's default.
 * @returns What was checked.
 * @throws {TypeError} naming the promise that is broken, and how.
 *
 * @example
 * ```ts
 * import { defineOp, opcheck, tensor, float64 } from "@tessera/tessera";
 * const cube = defineOp({
 *   schema: "docs::cube(Tensor self) -> Tensor",
 *   doc: "x · x · x.",
 *   meta: ({ self }) => ({ shape: self.shape, dtype: self.dtype }),
 *   decompose: ({ self }) => self.mul(self).mul(self),
 *   vjp: ({ self }, { grad }) => ({ self: () => grad.mul(self).mul(self).mul(3) }),
 *   samples: () => [],
 * });
 * opcheck(cube, { self: tensor([1, -2.5], { dtype: float64 }).requiresGrad_() });
 * ```
 */
export function opcheck(
  op: Operator,
  args: Readonly<Record<string, unknown>>,
  options: OpcheckOptions = {},
): readonly string[] {
  const { tolerance = 1e-5, backends = ["eager", "aot_eager", "inductor"].filter((b) => listBackends().includes(b)) } =
    options;
  const complete = normalizeNamed(op, args);
  const inputs: Tensor[] = [];
  mapTensorArgs(op, complete, (t) => (inputs.push(t), t));
  const copies = (): Tensor[] => inputs.map((t) => noGrad(() => t.detach().clone()));
  const withInputs = (list: readonly Tensor[]): NamedArgs<Tensor> => {
    let next = 0;
    return mapTensorArgs(op, complete, () => list[next++] as Tensor) as NamedArgs<Tensor>;
  };
  const run = (list: readonly Tensor[]): readonly Tensor[] => flat(dispatchComplete(op, withInputs(list)));
  const done: string[] = [];
  const mine = copies();
  const want = noGrad(() => run(mine));
  done.push(promise(op, "what it writes and aliases is in its schema", () => {
    if (!op.schema.args.some((a) => a.mutated)) same(mine, copies(), 0);
    const mayShare = op.schema.args.some((a) => a.alias !== null);
    want.forEach((out, i) => {
      const at = mine.findIndex((t) => t.storage === out.storage);
      if (at >= 0 && !mayShare) throw new TypeError(`result ${i} shares memory with input ${at}; return a clone()`);
    });
  }));
  done.push(promise(op, "meta describes the results", () => {
    const fakes = flat(fakeResult(op, withInputs(inputs.map((t) => fakeLike(t)))));
    if (fakes.length !== want.length) {
      throw new TypeError(`meta gives ${fakes.length} results, there are ${want.length}`);
    }
    fakes.forEach((fake, i) => {
      const out = want[i] as Tensor;
      const differs = fake.dtype !== out.dtype || fake.shape.join() !== out.shape.join() ||
        out.stride.some((s, d) => Number(out.shape[d]) > 1 && s !== fake.stride[d]);
      if (differs) throw new TypeError(`meta says ${described(fake)} for result ${i}, it is ${described(out)}`);
    });
  }));
  if (!op.isRandom) {
    done.push(promise(op, "element by element it gives the same", () => {
      same(noGrad(() => withEagerBackend(referenceBackend, () => run(copies()))), want, tolerance);
    }));
  }
  const body = (...list: readonly Tensor[]): readonly Tensor[] => {
    tracing()?.tracer.keepHere("an operator is checked");
    return run(list);
  };
  registerLibraryFunction(body);
  for (const backend of op.isRandom || op.isDataDependent ? [] : backends) {
    for (const dynamic of [false, true]) {
      done.push(
        promise(op, `compiled with "${backend}"${dynamic ? " and symbolic sizes" : ""} it gives the same`, () => {
          const f = compile((...list: readonly Tensor[]) => body(...list), { backend, dynamic, fullgraph: true });
          same(noGrad(() => f(...copies())), want, tolerance);
        }),
      );
    }
  }
  const isDifferentiable = inputs.some((t) => t.requiresGrad && t.dtype === float64);
  if (isDifferentiable) {
    done.push(promise(op, "its gradient is that of finite differences", () => {
      gradcheck((...list) => run(list).filter((o) => o.dtype === float64), inputs);
    }));
  }
  return done;
}
