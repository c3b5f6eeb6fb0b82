/** Idioms: variables around a function, functions of functions, and what is kept between calls. */
import { float32 } from "../../../src/core/mod.ts";
import { F, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

const RATES = { warm: 0.5, cold: [0.25, 2] };
const FROZEN = Object.freeze({ scale: 3, names: Object.freeze(["a", "b"]) });
const EPSILON = 1e-3;
let moduleCounter = 0;
let moduleScale = 2;
const moduleCache = new Map<string, Tensor>();
enum Mode {
  Double,
  Negate,
}
function affine(x: Tensor, a = moduleScale, b = EPSILON): Tensor {
  return x.mul(a).add(b);
}

idiom("a const number of the closure", "graph", (compile) => {
  const scale = 3;
  const f = compile((x: Tensor) => x.mul(scale));
  return (round) => f(vec(round));
});

idiom("a let that the outside changes", "graph", (compile) => {
  let scale = 1;
  const f = compile((x: Tensor) => x.mul(scale));
  return (round) => {
    scale = round + 1;
    return f(vec(round));
  };
});

idiom("a var that is declared in a loop", "graph", (compile) => {
  const list: ((x: Tensor) => Tensor)[] = [];
  for (const i of [1, 2, 3]) list.push(compile((x: Tensor) => x.add(i)));
  return (round) => list.map((f) => f(vec(round)));
});

idiom("a let counter that the function counts up", "graph", (compile) => {
  let calls = 0;
  const f = compile((x: Tensor) => {
    calls++;
    return x.mul(2);
  });
  return (round) => [f(vec(round)), calls];
});

idiom("a counter that the result depends on", "graph", (compile) => {
  let calls = 0;
  const f = compile((x: Tensor) => {
    calls += 1;
    return x.mul(calls);
  });
  return (round) => [f(vec(round)), calls];
});

idiom("an outer variable that keeps the last tensor", "graph", (compile) => {
  let last: Tensor | null = null;
  const f = compile((x: Tensor) => {
    const out = last === null ? x : x.add(last);
    last = x.mul(2);
    return out;
  });
  return (round) => [f(vec(round)), last];
});

idiom("a module-level let, counted inside", "graph", (compile) => {
  moduleCounter = 0;
  const f = compile((x: Tensor) => {
    moduleCounter++;
    return x.add(1);
  });
  return (round) => [f(vec(round)), moduleCounter];
});

idiom("a module-level let, read two functions below", "graph", (compile) => {
  moduleScale = 2;
  const f = compile((x: Tensor) => affine(x));
  return (round) => {
    moduleScale = round === 2 ? 5 : 2;
    return f(vec(round));
  };
});

idiom("an outer variable swapped by destructuring", "graph", (compile) => {
  let [a, b] = [1, 2];
  const f = compile((x: Tensor) => {
    [a, b] = [b, a];
    return x.mul(a);
  });
  return (round) => [f(vec(round)), a, b];
});

idiom("logical assignment of an outer variable", "graph", (compile) => {
  let cache: number | undefined;
  let flag = true;
  const f = compile((x: Tensor) => {
    cache ??= 4;
    flag &&= cache > 3;
    return x.mul(cache);
  });
  return (round) => {
    if (round === 2) cache = undefined;
    return [f(vec(round)), cache, flag];
  };
});

idiom("objects of the module that the outside changes", "graph", (compile) => {
  RATES.warm = 0.5;
  RATES.cold = [0.25, 2];
  const f = compile((x: Tensor) => RATES.cold.reduce((s, r) => s.mul(r), x).add(RATES.warm));
  return (round) => {
    if (round === 1) RATES.warm = 0.75;
    if (round === 2) RATES.cold = [...RATES.cold, 2];
    return f(vec(round));
  };
});

idiom("frozen objects and enums", "graph", (compile) => {
  const f = compile((x: Tensor, mode: Mode) => {
    const y = mode === Mode.Double ? x.mul(2) : x.neg();
    return y.mul(FROZEN.scale).add(FROZEN.names.length);
  });
  return (round) => f(vec(round), round % 2 === 0 ? Mode.Double : Mode.Negate);
});

idiom("closures that return closures", "graph", (compile) => {
  let depth = 2;
  const power = (n: number) => (x: Tensor): Tensor => n === 0 ? x.mul(0).add(1) : power(n - 1)(x).mul(x);
  const f = compile((x: Tensor) => power(depth)(x));
  return (round) => {
    depth = round === 1 ? 3 : 2;
    return f(vec(round));
  };
});

idiom("currying inside", "graph", (compile) => {
  const add = (a: Tensor) => (b: Tensor) => (c: number) => a.add(b).mul(c);
  const f = compile((x: Tensor) => add(x)(x.neg().mul(2))(3));
  return (round) => f(vec(round));
});

idiom("a function made by the compiled one is stored", "segments", (compile) => {
  const world: { fn: ((x: Tensor) => Tensor) | null } = { fn: null };
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    world.fn = (z) => z.add(y);
    return y;
  });
  return (round) => [f(vec(round)), world.fn?.(vec(1))];
});

idiom("a memoised helper with a Map in its closure", "graph", (compile) => {
  const memo = new Map<number, number>();
  const square = (n: number): number => {
    const known = memo.get(n);
    if (known !== undefined) return known;
    memo.set(n, n * n);
    return n * n;
  };
  const f = compile((x: Tensor, n: number) => x.mul(square(n)));
  return (round) => [f(vec(round), round), memo];
});

idiom("tensors memoised in a module-level Map", "graph", (compile) => {
  moduleCache.clear();
  const f = compile((x: Tensor, key: string) => {
    let w = moduleCache.get(key);
    if (w === undefined) moduleCache.set(key, w = zeros([3]).add(key.length));
    return x.add(w);
  });
  return (round) => [f(vec(round), "k".repeat(round + 1)), moduleCache];
});

idiom("a bound function", "graph", (compile) => {
  const settings = { scale: 2 };
  function scaled(this: { scale: number }, by: number, x: Tensor): Tensor {
    return x.mul(this.scale).add(by);
  }
  const bound = scaled.bind(settings, 5);
  const f = compile((x: Tensor) => bound(x));
  return (round) => {
    settings.scale = round === 1 ? 7 : 2;
    return f(vec(round));
  };
});

idiom("call and apply with an explicit this", "graph", (compile) => {
  const settings = { scale: 2 };
  function scaled(this: { scale: number }, x: Tensor): Tensor {
    return x.mul(this.scale);
  }
  const f = compile((x: Tensor) => scaled.call(settings, x).add(scaled.apply({ scale: 3 }, [x])));
  return (round) => {
    settings.scale = round === 1 ? 7 : 2;
    return f(vec(round));
  };
});

idiom("functions in an object, chosen by name", "graph", (compile) => {
  const table: Record<string, (x: Tensor) => Tensor> = {
    relu: (x) => x.relu(),
    neg: (x) => x.neg(),
    lazy: F.sigmoid as (x: Tensor) => Tensor,
  };
  const f = compile((x: Tensor, name: string) => (table[name] ?? ((y: Tensor) => y.mul(10)))(x));
  return (round) => {
    if (round === 3) table["relu"] = (x) => x.sub(1);
    return f(vec(round), ["relu", "neg", "lazy", "relu"][round] ?? "none");
  };
});

idiom("a callback as argument", "graph", (compile) => {
  const f = compile((x: Tensor, each: (x: Tensor, i: number) => Tensor) => [0, 1, 2].map((i) => each(x, i)));
  const twice = (x: Tensor, i: number): Tensor => x.mul(2 * i);
  return (round) => f(vec(round), round === 1 ? (x, i) => x.add(i) : twice);
});

idiom("a new callback at each call", "graph", (compile) => {
  const f = compile((x: Tensor, each: (x: Tensor) => Tensor) => each(x).add(1));
  return (round) => f(vec(round), (x) => x.mul(round));
});

idiom("pipe and compose from a list of functions", "graph", (compile) => {
  const steps: ((x: Tensor) => Tensor)[] = [(x) => x.add(1), (x) => x.mul(2)];
  const pipe = (...fs: ((x: Tensor) => Tensor)[]) => (x: Tensor): Tensor => fs.reduce((y, g) => g(y), x);
  const f = compile((x: Tensor) => pipe(...steps)(x));
  return (round) => {
    if (round === 2 && steps.length < 3) steps.push((x) => x.neg());
    return f(vec(round));
  };
});

idiom("mutual recursion", "graph", (compile) => {
  const even = (x: Tensor, n: number): Tensor => n === 0 ? x : odd(x.mul(2), n - 1);
  const odd = (x: Tensor, n: number): Tensor => n === 0 ? x.neg() : even(x.add(1), n - 1);
  const f = compile((x: Tensor, n: number) => even(x, n));
  return (round) => f(vec(round), round + 2);
});

idiom("recursion over a tree of options", "graph", (compile) => {
  type Tree = { readonly value: number; readonly children: readonly Tree[] };
  const sum = (x: Tensor, t: Tree): Tensor => t.children.reduce((s, c) => s.add(sum(x, c)), x.mul(t.value));
  const leaf = { value: 2, children: [] };
  const f = compile((x: Tensor, t: Tree) => sum(x, t));
  return (round) => f(vec(round), { value: 1, children: round === 1 ? [leaf, leaf] : [leaf] });
});

idiom("default arguments that read other arguments and the closure", "graph", (compile) => {
  let base = 2;
  const f = compile((x: Tensor, n: number = base, m: number = n + 1) => x.mul(n).add(m));
  return (round) => {
    base = round === 2 ? 9 : 2;
    return round === 1 ? f(vec(round), 4) : round === 3 ? f(vec(round), undefined, 1) : f(vec(round));
  };
});

idiom("arguments and rest parameters", "graph", (compile) => {
  const f = compile(function (this: void, x: Tensor, ..._rest: Tensor[]) {
    return x.mul(arguments.length);
  });
  const g = compile((first: Tensor, ...rest: Tensor[]) => rest.reduce((s, t) => s.add(t), first));
  return (round) => {
    const list = Array.from({ length: round + 1 }, (_, i) => vec(i));
    return [f(vec(round), ...list), g(vec(round), ...list)];
  };
});

idiom("properties of a function", "graph", (compile) => {
  const scaled = (x: Tensor): Tensor => x.mul(scaled.factor);
  scaled.factor = 2;
  const f = compile((x: Tensor) => scaled(x));
  return (round) => {
    scaled.factor = round === 1 ? 4 : 2;
    return f(vec(round));
  };
});

idiom("a property of a function that is counted", "graph", (compile) => {
  const scaled = (x: Tensor): Tensor => {
    scaled.calls++;
    return x.mul(2);
  };
  scaled.calls = 0;
  const f = compile((x: Tensor) => scaled(x));
  return (round) => [f(vec(round)), scaled.calls];
});

idiom("a variable of globalThis", "graph", (compile) => {
  const world = globalThis as unknown as { tesseraIdiomScale: number };
  world.tesseraIdiomScale = 2;
  const f = compile((x: Tensor) =>
    x.mul(world.tesseraIdiomScale).add((globalThis as unknown as typeof world).tesseraIdiomScale)
  );
  return (round) => {
    world.tesseraIdiomScale = round === 1 ? 3 : 2;
    return f(vec(round));
  };
});

idiom("an immediately called function and block scopes", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const y = (() => {
      const x2 = x.mul(x);
      let y2 = x;
      {
        const x2 = x.add(1);
        y2 = x2.mul(2);
      }
      return y2.add(x2);
    })();
    return y.sub(x);
  });
  return (round) => f(vec(round));
});

idiom("a shared mutable object between two compiled functions", "graph", (compile) => {
  const state = { bias: 1, seen: [] as number[] };
  const f = compile((x: Tensor) => {
    state.bias += 1;
    return x.add(state.bias);
  });
  const g = compile((x: Tensor) => {
    state.seen.push(state.bias);
    return x.mul(state.bias);
  });
  return (round) => [f(vec(round)), g(vec(round)), state];
});

idiom("an optional callback and optional chaining", "graph", (compile) => {
  const options: { scale?: { by?: number }; hook?: (x: Tensor) => Tensor } = {};
  const f = compile((x: Tensor) => (options.hook?.(x) ?? x).mul(options.scale?.by ?? 3));
  return (round) => {
    if (round === 1) options.scale = { by: 4 };
    else if (round === 2) options.hook = (x) => x.neg();
    else delete options.scale;
    return f(vec(round));
  };
});

idiom("a compiled function that calls compiled functions", "graph", (compile) => {
  let k = 1;
  const inner = compile((x: Tensor) => x.mul(k));
  const f = compile((x: Tensor) => inner(inner(x)).add(k));
  return (round) => {
    k = round + 1;
    return [f(vec(round)), inner(vec(round))];
  };
});

idiom("tensors of the closure that are replaced and written", "graph", (compile) => {
  let w = vec(1);
  const state = { b: vec(2) };
  const f = compile((x: Tensor) => x.mul(w).add(state.b));
  return (round) => {
    if (round === 1) w = vec(3);
    if (round === 2) state.b.add_(1);
    if (round === 3) state.b = vec(5);
    return f(vec(round));
  };
});

idiom("the same tensor by argument and by closure", "graph", (compile) => {
  const w = vec(1);
  const f = compile((x: Tensor) => x === w ? x.mul(2) : x.add(w));
  return (round) => [f(round % 2 === 0 ? w : vec(round)), f(vec(round))];
});

idiom("a generator of the closure, consumed inside", "graph", (compile) => {
  const settings = { upTo: 3 };
  function* scales(): Generator<number> {
    for (let i = 1; i <= settings.upTo; i++) yield i;
  }
  const f = compile((x: Tensor) => {
    let y = x;
    for (const s of scales()) y = y.mul(s);
    return [y, ...[...scales()].map((s) => x.add(s))];
  });
  return (round) => {
    settings.upTo = round === 1 ? 2 : 3;
    return f(vec(round));
  };
});

idiom("an iterator kept between calls", "segments", (compile) => {
  const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].values();
  const f = compile((x: Tensor) => x.mul(numbers.next().value ?? 0));
  return (round) => f(vec(round));
});

idiom("a masked choice instead of a branch", "graph", (compile) => {
  let threshold = 0;
  const f = compile((x: Tensor) => F.where(x.gt(threshold), x, x.mul(0.1)).sum());
  return (round) => {
    threshold = round * 0.5;
    return f(mat(round));
  };
});

idiom("constants made once, outside", "graph", (compile) => {
  const mean = tensor([0.5, 0.25, 0.125], { dtype: float32 });
  const f = compile((x: Tensor) => x.sub(mean).div(mean.add(EPSILON)));
  return (round) => f(mat(round));
});
