/** Idioms: results that are more than plain data, containers changed while they are walked, and engine functions on things from outside. */
import * as nn from "../../../src/nn/mod.ts";
import { F, noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("a Map and a Set that change while they are walked", "graph", (compile) => {
  const queue = new Map([["a", 1]]);
  const todo = new Set([1]);
  const f = compile((x: Tensor, limit: number) => {
    let y = x;
    for (const [name, k] of queue) {
      y = y.add(k);
      if (k < limit) queue.set(`${name}${k}`, k + 1);
      queue.delete(name);
    }
    for (const n of todo) {
      y = y.mul(n);
      if (n < limit) todo.add(n + 1);
      if (n === 2) todo.delete(3);
    }
    return y;
  });
  return (round) => {
    if (queue.size === 0) queue.set("z", 1);
    return [f(vec(round), round + 1), [...queue], [...todo]];
  };
});

idiom("results that are frozen, and results inside them", "segments", (compile) => {
  const f = compile((x: Tensor, k: number) => Object.freeze({ y: x.mul(k), options: Object.freeze([k]) }));
  return (round) => {
    const r = f(vec(round), round);
    return [r, Object.isFrozen(r), Object.isFrozen(r.options)];
  };
});

idiom("an instance of a class of arrays as result", "segments", (compile) => {
  class Batch extends Array<Tensor> {
    sum(): Tensor {
      return this.reduce((a, b) => a.add(b));
    }
  }
  const f = compile((x: Tensor) => Batch.from([x, x.mul(2)]) as Batch);
  return (round) => {
    const b = f(vec(round));
    return [b instanceof Batch, b.length, b.sum()];
  };
});

idiom("an array with holes, and a match of an expression, as results", "segments", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const sparse: Tensor[] = [];
    sparse[k] = x.mul(2);
    return { sparse, match: /(?<digit>\d)/.exec(`n${k}`) };
  });
  return (round) => {
    const { sparse, match } = f(vec(round), round);
    return [0 in sparse, sparse.length, match?.index, match?.groups?.["digit"], match?.input];
  };
});

idiom("errors as results, with their kind and cause", "segments", (compile) => {
  class Late extends RangeError {}
  const f = compile((x: Tensor, k: number) => ({ y: x.add(k), error: k > 1 ? new Late("late", { cause: k }) : null }));
  return (round) => {
    const { y, error } = f(vec(round), round);
    return [
      y,
      error instanceof Late,
      error instanceof RangeError,
      error?.message,
      error?.cause,
      Object.keys(error ?? {}),
    ];
  };
});

idiom("an object with a getter, and one with a hidden property, as results", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const out = { y: x.mul(2) };
    Object.defineProperty(out, "hidden", { value: x.add(1), enumerable: false });
    return {
      out,
      twice: {
        get y(): Tensor {
          return out.y;
        },
      },
    };
  });
  return (round) => {
    const { out, twice } = f(vec(round));
    return [Object.keys(out), Reflect.get(out, "hidden"), twice.y === out.y];
  };
});

idiom("an instance of a class of Maps as result", "segments", (compile) => {
  class Named extends Map<string, Tensor> {
    first(): Tensor | undefined {
      return this.values().next().value;
    }
  }
  const f = compile((x: Tensor) => new Named([["a", x.mul(2)], ["b", x]]));
  return (round) => {
    const m = f(vec(round));
    return [m.first(), m.size, m instanceof Named];
  };
});

idiom("outer arrays: splice, copyWithin, fill, flat, concat, length = 0", "graph", (compile) => {
  const list: (number | number[])[] = [1, [2, 3], 4];
  const f = compile((x: Tensor, k: number) => {
    const cut = list.splice(1, 1, 7, 8);
    list.copyWithin(0, 2, 3);
    const flat = [list, cut].flat(3) as number[];
    let y = x;
    for (const v of flat.concat([k], 5)) y = y.add(v);
    if (k === 2) list.length = 0;
    if (k === 3) list.fill(9, 0, 1);
    list.unshift(k);
    return { y, n: list.length, last: list.at(-1) ?? null };
  });
  return (round) => [f(vec(round), round), [...list]];
});

idiom("outer arrays sorted, reversed, and searched from behind", "graph", (compile) => {
  const words = ["pear", "fig", "apple"];
  const nested = [{ k: 3 }, { k: 1 }];
  const f = compile((x: Tensor) => {
    words.sort();
    nested.sort((a, b) => a.k - b.k).reverse();
    const at = words.findLastIndex((w) => w.length > 3);
    const [first] = nested;
    if (first !== undefined) first.k++;
    return x.mul(at).add(nested.reduce((n, o) => n * 10 + o.k, 0));
  });
  return (round) => {
    if (round === 2) words.push("a");
    return [f(vec(round)), [...words], nested.map((o) => o.k)];
  };
});

idiom("function properties: name, length, toString, own metadata", "graph", (compile) => {
  // deno-lint-ignore no-unused-vars
  const helper = Object.assign((a: number, b: number): number => a * 2, { scale: 3 });
  const f = compile((x: Tensor) => ({
    y: x.mul(helper.scale).add(helper(1, 2)).add(helper.length),
    name: helper.name,
    isArrow: helper.toString().includes("=>"),
  }));
  return (round) => {
    if (round === 2) helper.scale = 4;
    return f(vec(round));
  };
});

idiom("partial application by bind with placeholders", "graph", (compile) => {
  const scale = { k: 2 };
  const affine = function (this: { k: number }, a: number, x: Tensor): Tensor {
    return x.mul(this.k).add(a);
  };
  const f = compile((x: Tensor, a: number) => {
    const bound = affine.bind(scale, a);
    return bound(x);
  });
  return (round) => {
    if (round === 2) scale.k = 5;
    return f(vec(round), round);
  };
});

idiom("numbers as text: toFixed, toString(2), parseInt, padStart, Intl", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const text = `${(k / 3).toFixed(2)}|${(k + 5).toString(2)}|${parseInt("12px", 10)}|${(0.1 * 3).toPrecision(3)}`;
    return { y: x.mul(parseFloat(text)).add(Number("0x1f")).add(Number.parseInt("z", 36)), text };
  });
  return (round) => f(vec(round), round);
});

idiom("mathematics on options: Math, bits, clz32, hypot, trunc, sign", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) =>
    x.mul(Math.hypot(k, 3)).add(Math.clz32(k) ^ (k << 3) ^ (k >>> 1)).add(
      Math.trunc(-k / 2) + Math.sign(k - 1) * Math.cbrt(8),
    )
      .add(Math.max(...[k, 2], -Infinity) ** 2 % 7)
  );
  return (round) => f(vec(round), round);
});

idiom("a generator kept between calls that yields tensors", "segments", (compile) => {
  function* stream(): Generator<Tensor, void, Tensor> {
    let state = zeros([3]);
    while (true) state = (yield state.mul(2)).add(1);
  }
  const source = stream();
  source.next();
  const f = compile((x: Tensor) => {
    const next = source.next(x);
    return next.done === true ? x : next.value.add(x);
  });
  return (round) => f(vec(round));
});

idiom("static inheritance, super in static methods, accessors of classes", "graph", (compile) => {
  class A {
    static base = 2;
    static get gain(): number {
      return this.base * 10;
    }
    static apply(x: Tensor): Tensor {
      return x.mul(this.gain);
    }
  }
  class B extends A {
    static override base = 3;
    static override apply(x: Tensor): Tensor {
      return super.apply(x).add(super.gain);
    }
  }
  const f = compile((x: Tensor) => B.apply(x).sub(A.apply(x)));
  return (round) => {
    if (round === 1) A.base = 4;
    if (round === 2) B.base = 1;
    return f(vec(round));
  };
});

idiom("an object whose prototype the program changes between calls", "graph", (compile) => {
  const fast = { run: (x: Tensor): Tensor => x.mul(2) };
  const slow = { run: (x: Tensor): Tensor => x.sub(2) };
  const strategy = Object.create(fast) as typeof fast;
  const f = compile((x: Tensor) => strategy.run(x));
  return (round) => {
    Object.setPrototypeOf(strategy, round % 2 === 0 ? fast : slow);
    return f(vec(round));
  };
});

idiom("defineProperty on an outer object: an accessor and a fixed value", "segments", (compile) => {
  const target: Record<string, number> = {};
  let reads = 0;
  const f = compile((x: Tensor, k: number) => {
    if (!("late" in target)) {
      Object.defineProperty(target, "late", { get: () => ++reads, configurable: true, enumerable: true });
    }
    Object.defineProperty(target, `k${k}`, { value: k, enumerable: false, configurable: true, writable: false });
    return x.add(target["late"] ?? 0).mul(target[`k${k}`] ?? 1);
  });
  return (round) => [f(vec(round), round), reads, Object.keys(target), Object.getOwnPropertyNames(target)];
});

idiom("descriptors of outer objects: spread, Object.assign, getOwnPropertyNames", "graph", (compile) => {
  const config = { a: 1, nested: { b: 2 } };
  const f = compile((x: Tensor) => {
    const copy = { ...config, nested: { ...config.nested, c: 3 } };
    const merged = Object.assign({}, copy, { a: copy.a + 1 });
    copy.nested.b = 100;
    return {
      y: x.mul(merged.a).add(config.nested.b),
      names: Object.getOwnPropertyNames(merged),
      own: Object.hasOwn(config, "z"),
    };
  });
  return (round) => {
    if (round === 2) config.nested = { b: 5 };
    if (round === 3) Reflect.set(config, "z", 1);
    return f(vec(round));
  };
});

idiom("a module that is moved between containers, and shared", "graph", (compile) => {
  const layers = [new nn.Linear(3, 3), new nn.Linear(3, 3)];
  layers.forEach((l, i) => {
    noGrad(() => l.weight.copy_(mat(i, 3, 3).mul(0.1)));
    noGrad(() => l.bias?.zero_());
  });
  const model = new nn.Sequential(...layers);
  const f = compile((x: Tensor) => model.forward(x));
  let net = f;
  return (round) => {
    if (round === 2) net = compile((x: Tensor) => layers.toReversed().reduce((y, l) => l.forward(y), x));
    return [net(mat(round)), f(mat(round))];
  };
});

idiom("tensors compared and found: includes, indexOf, === and Object.is", "graph", (compile) => {
  const bank = [vec(0), vec(1)];
  const f = compile((x: Tensor, probe: Tensor | null) => ({
    at: bank.indexOf(probe as Tensor),
    has: bank.includes(probe as Tensor),
    first: probe === bank[0],
    same: Object.is(probe, bank[1]),
    y: x.mul(2),
  }));
  const extra = vec(3);
  return (round) => f(vec(round), [bank[0] ?? null, bank[1] ?? null, extra, null][round] ?? null);
});

idiom("shape arithmetic: windows, padding to multiples, integer division", "graph", (compile) => {
  const f = compile((x: Tensor, size: number) => {
    const n = Number(x.shape[0]);
    const padded = Math.ceil(n / size) * size;
    const y = F.cat([x, zeros([padded - n])], 0).view([padded / size, size]);
    const windows = Array.from({ length: n - 1 }, (_, i) => x.narrow(0, i, 2).sum());
    return { y, windows: F.stack(windows), odd: n % 2 === 1, half: n >> 1, mask: n & 3 };
  });
  return (round) => f(vec(round, 3 + round), 2);
});

idiom("sizes kept outside: a running total, a Map by length, a maximum", "graph", (compile) => {
  const stats = { total: 0, longest: 0, seen: new Map<number, number>() };
  const f = compile((x: Tensor) => {
    const n = x.shape[0] as number;
    stats.total += n;
    stats.longest = Math.max(stats.longest, n);
    stats.seen.set(n, (stats.seen.get(n) ?? 0) + 1);
    return x.mul(stats.longest).sum();
  });
  return (round) => [f(vec(round, 3 + round)), stats.total, stats.longest, [...stats.seen]];
});

idiom("a counter in a default argument and in a computed key", "graph", (compile) => {
  let n = 0;
  const table: Record<string, number> = { k1: 5, k2: 6, k3: 7 };
  const f = compile((x: Tensor, k: number = ++n, { [`k${k % 3 + 1}`]: picked = -1 } = table) => x.mul(picked).add(k));
  return (round) => [round === 1 ? f(vec(round), 1) : f(vec(round)), n];
});

idiom("nested functions that assign variables of the function around them", "graph", (compile) => {
  const f = compile((x: Tensor, depth: number) => {
    let best = x;
    let visits = 0;
    const visit = (y: Tensor, d: number): void => {
      visits++;
      if (d === 0) {
        best = best.add(y);
        return;
      }
      visit(y.mul(2), d - 1);
      visit(y.sub(1), d - 1);
    };
    visit(x, depth);
    return { best, visits };
  });
  return (round) => f(vec(round), round);
});

idiom("data written into options by the function, read at the next call", "segments", (compile) => {
  const memory: { last?: number; trend: string[] } = { trend: [] };
  const f = compile((x: Tensor) => {
    const value = x.sum().item();
    memory.trend.push(
      memory.last === undefined ? "first" : value > memory.last ? "up" : value < memory.last ? "down" : "flat",
    );
    memory.last = value;
    return x.mul(memory.trend.length);
  });
  return (round) => [f(vec(round)), [...memory.trend]];
});

idiom("a batch of tensors by name: Object.fromEntries, entries, filter by dtype", "graph", (compile) => {
  const f = compile((batch: Record<string, Tensor>) => {
    const floats = Object.entries(batch).filter(([, t]) => t.dtype.isFloat);
    const scaled = Object.fromEntries(floats.map(([k, t]) => [`${k}Scaled`, t.mul(2)]));
    return {
      ...scaled,
      keys: Object.keys(batch),
      total: Object.values(scaled).reduce((a, b) => a.add(b.sum()), zeros([])),
    };
  });
  return (round) => f({ x: vec(round), ...(round > 1 ? { extra: mat(round) } : {}), ids: tensor([1, 2]) });
});
