/** Idioms: functions made by `bind`, which V8 shows what they hold of, and deep copies of options. */
import { nn, type Tensor } from "../../../mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("a method bound to its object, which it writes", "graph", (compile) => {
  const o = {
    k: 2,
    f(x: Tensor): Tensor {
      this.k++;
      return x.mul(this.k);
    },
  };
  const f = compile(o.f.bind(o));
  return (round) => [f(vec(round)), o.k];
});

idiom("forward of a module, bound", "graph", (compile) => {
  const m = new nn.Linear(3, 2);
  const f = compile(m.forward.bind(m));
  return (round) => f(mat(round));
});

idiom("first arguments bound, in callbacks of an array that grows", "graph", (compile) => {
  const scale = (k: number, x: Tensor): Tensor => x.mul(k);
  const fs = [1, 2].map((k) => scale.bind(null, k));
  const f = compile((x: Tensor) => fs.reduce((a, g) => g(a), x));
  return (round) => {
    if (round === 2) fs.push(scale.bind(undefined, 5));
    return f(vec(round));
  };
});

idiom("a tensor bound as an argument, and written between calls", "graph", (compile) => {
  const w = vec(3);
  const f = compile(((a: Tensor, x: Tensor) => a.mul(x)).bind(null, w));
  return (round) => {
    if (round === 2) w.add_(1);
    return f(vec(round));
  };
});

idiom("a bound function bound again, and one bound to a function", "graph", (compile) => {
  function t(this: () => number, a: number, x: Tensor): Tensor {
    return x.mul(a).add(this());
  }
  const g = t.bind(() => 4, 2).bind(null);
  const f = compile((x: Tensor) => g(x));
  return (round) => f(vec(round));
});

idiom("handlers that a class binds in its constructor", "graph", (compile) => {
  class Counter {
    n = 0;
    readonly handler: (x: Tensor) => Tensor;
    constructor() {
      this.handler = this.go.bind(this);
    }
    go(x: Tensor): Tensor {
      this.n++;
      return x.add(this.n);
    }
  }
  const counter = new Counter();
  const f = compile((x: Tensor) => [counter.handler, counter.handler].reduce((t, g) => g(t), x));
  return (round) => [f(vec(round)), counter.n];
});

idiom("a function bound to a number, which it reads: V8 does not show it", "segments", (compile) => {
  function t(this: number, x: Tensor): Tensor {
    return x.mul(Number(this));
  }
  const g = t.bind(7);
  const f = compile((x: Tensor) => g(x.add(1)).add(2));
  return (round) => f(vec(round));
});

idiom("structuredClone of options with Maps, Sets and a cycle", "graph", (compile) => {
  interface Options {
    a: { scale: number; list: number[] };
    m: Map<string, { v: number }>;
    s: Set<number>;
    self?: Options;
  }
  const options: Options = { a: { scale: 2, list: [1, 2] }, m: new Map([["k", { v: 1 }]]), s: new Set([3]) };
  options.self = options;
  const f = compile((x: Tensor) => {
    const copy = structuredClone(options);
    copy.a.scale++;
    const k = copy.m.get("k") ?? { v: 0 };
    k.v += 2;
    return [x.mul(copy.a.scale).add(k.v), copy.self === copy, [...copy.s], copy.a !== options.a];
  });
  return (round) => {
    options.a.scale = round;
    options.m.set("k", { v: round * 2 });
    return [f(vec(round)), options.a.scale];
  };
});
