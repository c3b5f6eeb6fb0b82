/** Idioms: parts of the language that a sceptical reader of the other programs would try next. */
import { type Tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("labelled break and continue over rows and columns", "graph", (compile) => {
  const skip = new Set([2]);
  const f = compile((x: Tensor, stop: number) => {
    let y = x;
    outer: for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        if (skip.has(j)) continue outer;
        if (i * j >= stop) break outer;
        y = y.add(i * 10 + j);
      }
    }
    block: {
      if (stop > 1) break block;
      y = y.neg();
    }
    return y;
  });
  return (round) => {
    if (round === 3) skip.add(1);
    return f(vec(round), round);
  };
});

idiom("a setter with a side effect, a getter that counts its reads", "graph", (compile) => {
  const state = {
    reads: 0,
    log: [] as number[],
    inner: 1,
    get gain(): number {
      this.reads++;
      return this.inner;
    },
    set gain(value: number) {
      this.log.push(value);
      this.inner = value / 2;
    },
  };
  const f = compile((x: Tensor) => {
    state.gain = state.gain + 2;
    state.gain += 1;
    return x.mul(state.gain);
  });
  return (round) => {
    if (round === 2) state.inner = 0;
    return [f(vec(round)), state.reads, [...state.log]];
  };
});

idiom("a class that is iterable, spread and destructured", "graph", (compile) => {
  class Grid {
    constructor(public rows: Tensor[]) {}
    *[Symbol.iterator](): IterableIterator<Tensor> {
      for (const row of this.rows) yield row.mul(2);
    }
    get [Symbol.toStringTag](): string {
      return `Grid${this.rows.length}`;
    }
  }
  const grid = new Grid([vec(0), vec(1)]);
  const f = compile((x: Tensor) => {
    const [first, ...rest] = grid;
    const all = [...grid, x];
    return { sum: all.reduce((a, b) => a.add(b)), first, count: rest.length, tag: String(grid) };
  });
  return (round) => {
    if (round === 2) grid.rows.push(vec(5));
    return f(vec(round));
  };
});

idiom("an iterator written by hand, with return()", "graph", (compile) => {
  const closed: string[] = [];
  const steps = (limit: number): Iterable<number> => ({
    [Symbol.iterator]() {
      let i = 0;
      return {
        next: () => i < limit ? { done: false as const, value: i++ } : { done: true as const, value: undefined },
        return: () => {
          closed.push(`closed at ${i}`);
          return { done: true as const, value: undefined };
        },
      };
    },
  });
  const f = compile((x: Tensor, limit: number) => {
    let y = x;
    for (const i of steps(limit)) {
      if (i > 1) break;
      y = y.add(i);
    }
    const [a = 9, b = 8] = steps(1);
    return y.mul(a + b);
  });
  return (round) => [f(vec(round), round + 1), closed.splice(0)];
});

idiom("generators: return(), throw(), values sent in, yield*", "graph", (compile) => {
  const trail: string[] = [];
  function* inner(x: Tensor): Generator<Tensor, number, number> {
    try {
      const k = yield x.mul(2);
      const m = yield x.add(k);
      return m;
    } finally {
      trail.push("inner done");
    }
  }
  function* outer(x: Tensor): Generator<Tensor, string, number> {
    try {
      const got = yield* inner(x);
      yield x.mul(got);
    } catch (error) {
      yield x.neg();
      return (error as Error).message;
    }
    return "end";
  }
  const f = compile((x: Tensor, how: number) => {
    const g = outer(x);
    const parts: Tensor[] = [];
    const take = (r: IteratorResult<Tensor, string>): void => void (r.done !== true && parts.push(r.value));
    take(g.next());
    take(g.next(how));
    if (how === 1) return { parts, r: g.return("left").value };
    if (how === 2) {
      take(g.throw(new Error("thrown in")));
      return { parts, r: g.next(0).value };
    }
    take(g.next(3));
    return { parts, r: g.next(0).value };
  });
  return (round) => [f(vec(round), round), trail.splice(0)];
});

idiom("a tagged template that keeps its strings", "segments", (compile) => {
  const seen = new Set<TemplateStringsArray>();
  const scale = (strings: TemplateStringsArray, ...values: (Tensor | number)[]): Tensor => {
    seen.add(strings);
    let out = zeros([3]);
    values.forEach((v, i) => {
      out = out.add(typeof v === "number" ? v * (strings[i] ?? "").length : v.mul((strings[i] ?? "").length));
    });
    return out;
  };
  const f = compile((x: Tensor, k: number) => scale`ab${x}c${k}${strings(k)}`);
  const strings = (k: number): number => String.raw`\n${k}`.length;
  return (round) => [f(vec(round), round), seen.size];
});

idiom("optional chaining on what is missing, with calls and keys", "graph", (compile) => {
  interface Options {
    act?: ((x: Tensor) => Tensor) | null;
    norm?: { eps?: number; scale?: { by?: number } };
    list?: number[];
  }
  const options: Options = {};
  const f = compile((x: Tensor) => {
    const y = options.act?.(x) ?? x.add(0.5);
    const by = options.norm?.scale?.by ?? options.norm?.["eps"] ?? 7;
    return y.mul(by).add(options.list?.[1] ?? 0).add(options.list?.at?.(-1) ?? 0);
  });
  return (round) => {
    if (round === 1) options.act = (x) => x.neg();
    if (round === 2) options.norm = { eps: 0.25, ...(options.norm === undefined ? {} : { scale: { by: 3 } }) };
    if (round === 3) options.list = [1, 2];
    if (round === 0) delete options.act;
    return f(vec(round));
  };
});

idiom("BigInt counters and arithmetic", "graph", (compile) => {
  let count = 1n;
  const big = { size: 2n ** 65n };
  const f = compile((x: Tensor) => {
    count = count * 3n + BigInt(x.ndim);
    const shift = Number(BigInt.asIntN(8, count));
    return { y: x.add(shift).mul(Number(big.size >> 64n)), even: count % 2n === 0n };
  });
  return (round) => {
    if (round === 2) big.size <<= 1n;
    return [f(vec(round)), count];
  };
});

idiom("closures made in a loop, let and var", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    const byLet: (() => number)[] = [];
    const byVar: (() => number)[] = [];
    // deno-lint-ignore no-var no-inner-declarations
    for (var i = 0; i < n; i++) {
      const k = i;
      byLet.push(() => k);
      byVar.push(() => i);
    }
    for (let j = 0; j < n; j += 2) byLet.push(() => j++);
    let y = x;
    for (const g of [...byLet, ...byLet, ...byVar]) y = y.mul(0.5).add(g());
    return y;
  });
  return (round) => f(vec(round), round + 1);
});

idiom("counters that are closures, made by a factory outside", "graph", (compile) => {
  const makeCounter = (start: number): { next: () => number; reset: (to?: number) => void } => {
    let at = start;
    return { next: () => ++at, reset: (to = start) => void (at = to) };
  };
  const a = makeCounter(0);
  const b = makeCounter(10);
  const f = compile((x: Tensor) => {
    const k = a.next() + b.next();
    if (k > 15) b.reset();
    return x.mul(k);
  });
  return (round) => {
    if (round === 3) a.reset(5);
    return [f(vec(round)), a.next(), b.next()];
  };
});

idiom("memoise(fn) with a Map of its own, keyed by JSON", "graph", (compile) => {
  let misses = 0;
  const memoise = <A extends unknown[], R>(fn: (...args: A) => R): (...args: A) => R => {
    const cache = new Map<string, R>();
    return (...args) => {
      const key = JSON.stringify(args);
      let value = cache.get(key);
      if (value === undefined) {
        misses++;
        value = fn(...args);
        cache.set(key, value);
      }
      return value;
    };
  };
  const mask = memoise((n: number) => Array.from({ length: n }, (_, i) => i % 2));
  const f = compile((x: Tensor, n: number) => mask(n).reduce((y, m) => y.add(m), x));
  return (round) => [f(vec(round), round + 2), misses];
});

idiom("currying until enough arguments are there", "graph", (compile) => {
  type Curried = (...args: unknown[]) => unknown;
  const curry = (fn: (...args: never[]) => unknown, ...first: unknown[]): Curried => (...rest) => {
    const args = [...first, ...rest];
    return args.length >= fn.length ? fn(...args as never[]) : curry(fn, ...args);
  };
  const affine = (a: number, b: number, x: Tensor): Tensor => x.mul(a).add(b);
  const f = compile((x: Tensor, a: number) => {
    const step = curry(affine)(a) as Curried;
    return (step(1) as Curried)(x) as Tensor;
  });
  return (round) => f(vec(round), round);
});

idiom("an event emitter whose listeners come, go, and throw", "graph", (compile) => {
  class Emitter {
    #listeners = new Map<string, Set<(x: Tensor) => Tensor>>();
    on(name: string, fn: (x: Tensor) => Tensor): () => void {
      const set = this.#listeners.get(name) ?? new Set();
      this.#listeners.set(name, set.add(fn));
      return () => void set.delete(fn);
    }
    emit(name: string, x: Tensor): Tensor {
      let y = x;
      for (const fn of this.#listeners.get(name) ?? []) y = fn(y);
      return y;
    }
  }
  const emitter = new Emitter();
  let heard = 0;
  emitter.on("forward", (x) => {
    heard++;
    return x.mul(2);
  });
  const f = compile((x: Tensor) => emitter.emit("forward", x).add(emitter.emit("missing", x)));
  let off: (() => void) | null = null;
  return (round) => {
    if (round === 1) off ??= emitter.on("forward", (x) => x.add(1));
    if (round === 2) {
      off?.();
      off = null;
    }
    if (round === 3) {
      emitter.on("forward", () => {
        throw new Error(`heard ${heard}`);
      });
    }
    return [f(vec(round)), heard];
  };
});

idiom("async generators over batches", "segments", (compile) => {
  const order: string[] = [];
  async function* batches(x: Tensor, n: number): AsyncGenerator<Tensor> {
    try {
      for (let i = 0; i < n; i++) {
        await Promise.resolve();
        yield x.mul(i + 1);
      }
    } finally {
      order.push("closed");
    }
  }
  const f = compile(async (x: Tensor, n: number) => {
    let sum = zeros([3]);
    for await (const batch of batches(x, n)) {
      sum = sum.add(batch.exp().mul(0.1));
      if (sum.sum().item() > 20) break;
    }
    return sum;
  });
  return async (round) => [await f(vec(round), round + 1), order.splice(0)];
});

idiom("finally that returns over another return and over an error", "graph", (compile) => {
  const log: string[] = [];
  const choose = (x: Tensor, k: number): Tensor => {
    try {
      if (k === 0) return x.mul(2);
      if (k === 1) throw new Error("lost");
      log.push("through");
    } finally {
      log.push("finally");
      // deno-lint-ignore no-unsafe-finally
      if (k < 2) return x.neg();
    }
    return x.add(k);
  };
  const f = compile((x: Tensor, k: number) => {
    let y = x;
    for (let i = 0; i < 3; i++) {
      try {
        if (i === k) continue;
        y = choose(y, i);
      } finally {
        y = y.mul(3);
      }
    }
    return y;
  });
  return (round) => [f(vec(round), round), log.splice(0)];
});

idiom("a class with static blocks, private static state and private methods", "graph", (compile) => {
  class Scale {
    static table: Record<string, number> = {};
    static #calls = 0;
    static {
      for (const [name, k] of [["half", 0.5], ["twice", 2]] as const) Scale.table[name] = k;
    }
    #by: number;
    constructor(name: string) {
      this.#by = Scale.table[name] ?? 1;
    }
    static get calls(): number {
      return Scale.#calls;
    }
    #apply(x: Tensor): Tensor {
      Scale.#calls++;
      return x.mul(this.#by);
    }
    run(x: Tensor): Tensor {
      return this.#apply(this.#apply(x));
    }
  }
  const half = new Scale("half");
  const f = compile((x: Tensor) => half.run(x).add(Scale.table["twice"] ?? 0));
  return (round) => {
    if (round === 2) Scale.table["twice"] = 5;
    return [f(vec(round)), Scale.calls];
  };
});

idiom("mixins with super and fields of their own", "graph", (compile) => {
  class Core {
    forward(x: Tensor): Tensor {
      return x.add(1);
    }
  }
  const Scaled = (base: typeof Core) =>
    class extends base {
      by = 3;
      override forward(x: Tensor): Tensor {
        return super.forward(x).mul(this.by);
      }
    };
  const calls: number[] = [];
  const Logged = (base: typeof Core) =>
    class extends base {
      calls = calls;
      override forward(x: Tensor): Tensor {
        this.calls.push(x.ndim);
        return super.forward(x);
      }
    };
  const model = new (Logged(Scaled(Core)))();
  const f = compile((x: Tensor) => model.forward(x));
  return (round) => {
    if (round === 2) Reflect.set(model, "by", -1);
    return [f(round === 3 ? mat(round) : vec(round)), [...calls]];
  };
});

idiom("a subclass of Array with Symbol.species", "graph", (compile) => {
  class Layers extends Array<number> {
    static override get [Symbol.species](): ArrayConstructor {
      return Array;
    }
    total(): number {
      return this.reduce((a, b) => a + b, 0);
    }
  }
  const layers = Layers.from([1, 2, 3]) as Layers;
  const f = compile((x: Tensor) => {
    const doubled = layers.map((k) => k * 2);
    const plain = !(doubled instanceof Layers);
    return { y: doubled.reduce((y, k) => y.add(k), x.mul(layers.total())), plain, n: layers.length };
  });
  return (round) => {
    if (round === 2) layers.push(10);
    return f(vec(round));
  };
});

idiom("destructuring defaults with side effects", "graph", (compile) => {
  let made = 0;
  const fallback = (): number => ++made * 10;
  const f = compile((
    { x, scale = fallback(), shift: { by = fallback() } = {} }: {
      x: Tensor;
      scale?: number;
      shift?: { by?: number };
    },
    [a = 0, b = a + 1]: number[] = [made],
  ) => x.mul(scale).add(by + a * b));
  return (round) => {
    const x = vec(round);
    const r = round === 1 ? f({ x, scale: 2 }, [1]) : round === 2 ? f({ x, shift: { by: 3 } }) : f({ x }, [2, 5]);
    return [r, made];
  };
});

idiom("parameters, arguments and defaults that see one another", "graph", (compile) => {
  const f = compile(function (this: unknown, x: Tensor, k: number = x.ndim * 2, g: () => number = () => k) {
    const given = arguments.length;
    k += 1;
    return { y: x.mul(k).add(g()), given };
  });
  return (round) => round === 0 ? f(vec(round)) : round === 1 ? f(vec(round), 5) : f(mat(round), undefined, () => -1);
});
