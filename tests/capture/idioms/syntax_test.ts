/** Idioms: errors, sequences and odd expressions, prototypes, callbacks of arrays, disposal. */
import { F, type Tensor } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("errors with a cause, AggregateError, classes of errors", "graph", (compile) => {
  class ShapeError extends TypeError {
    override name = "ShapeError";
    constructor(message: string, readonly at: number, options?: ErrorOptions) {
      super(message, options);
    }
  }
  const check = (x: Tensor, k: number): Tensor => {
    if (k === 1) throw new ShapeError(`rank ${x.ndim}`, k, { cause: "a cause" });
    if (k === 2) throw new AggregateError([new RangeError("first"), new ShapeError("second", 2)], "many");
    return x.mul(k + 1);
  };
  const f = compile((x: Tensor, k: number) => {
    try {
      return check(x, k);
    } catch (error) {
      if (error instanceof ShapeError) throw new Error(`wrapped ${error.at}`, { cause: error });
      throw error;
    }
  });
  return (round) => {
    try {
      return f(vec(round), round);
    } catch (error) {
      const { message, cause } = error as Error;
      const inner = cause instanceof ShapeError ? [cause.name, cause.at, cause.cause] : null;
      return [message, inner, error instanceof AggregateError ? error.errors.map(String) : null];
    }
  };
});

idiom("comma, comma in for, nested ternaries, ++ in odd places, holes", "graph", (compile) => {
  const counters: [number, number, number] = [0, 0, 0];
  const f = compile((x: Tensor, k: number) => {
    let i = 0;
    let j = 9;
    let y = x;
    for (; i < j; i++, j -= 2) y = y.add(i * j);
    y = (counters[k % 3] = (counters[k % 3] ?? 0) + 1, y.mul(k > 2 ? 1 : k > 1 ? 2 : k > 0 ? 3 : 4));
    counters[(i++ % 3) as 0 | 1 | 2] *= -i;
    const [, , third = 4] = [1, , undefined];
    return y.add(third ?? 0).add(-(-i) + +"3" + ~k);
  });
  return (round) => [f(vec(round), round), [...counters]];
});

idiom("getters of the prototype chain, Object.create and delegation", "graph", (compile) => {
  const base = {
    k: 1,
    get doubled(): number {
      return this.k * 2;
    },
    apply(x: Tensor): Tensor {
      return x.mul(this.doubled);
    },
  };
  const child = Object.create(base, { own: { value: 4, writable: true, enumerable: false } }) as typeof base & {
    own: number;
  };
  const f = compile((x: Tensor) => child.apply(x).add(child.own).add(Object.hasOwn(child, "k") ? 100 : 0));
  return (round) => {
    if (round === 1) base.k = 5;
    if (round === 2) child.k = 7;
    if (round === 3) Reflect.deleteProperty(child, "k");
    return f(vec(round));
  };
});

idiom("Array methods on tensors with callbacks that use index and array", "graph", (compile) => {
  const f = compile((xs: Tensor[]) => {
    const shifted = xs.map((x, i, all) => x.add(i * all.length));
    const folded = shifted.reduceRight((a, b, i) => a.mul(0.5).add(b.mul(i + 1)));
    const grouped = Object.entries(Object.groupBy(xs, (x) => `rank${x.ndim}`)).map(([k, v]) => [k, v?.length]);
    const found = xs.findLast((x) => x.ndim === 2) ?? null;
    const flat = xs.flatMap((x) => x.ndim === 1 ? [x, x.neg()] : []);
    return { folded: folded.sum(), grouped, found, flat: F.stack(flat), with: xs.with(0, folded).length };
  });
  return (round) => f([vec(round), mat(round, 2, 3), vec(round + 1), ...(round > 1 ? [mat(round, 1, 3)] : [])]);
});

idiom("disposable resources: using inside", "segments", (compile) => {
  const log: string[] = [];
  class Scope {
    constructor(readonly name: string) {
      log.push(`open ${name}`);
    }
    [Symbol.dispose](): void {
      log.push(`close ${this.name}`);
    }
  }
  const f = compile((x: Tensor, k: number) => {
    using _a = new Scope("a");
    if (k === 2) throw new Error("inside");
    using _b = new Scope(`b${k}`);
    return x.mul(k);
  });
  return (round) => {
    try {
      return [f(vec(round), round), log.splice(0)];
    } catch (error) {
      return [String(error), log.splice(0)];
    }
  };
});
