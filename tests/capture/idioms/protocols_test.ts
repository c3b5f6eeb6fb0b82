/** Idioms: the protocols of the language: conversion, iteration, species, `instanceof`, JSON, disposal, reflection, and code made from text. */
import { F, isTensor, Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("Symbol.toPrimitive of an outer object, asked with each hint", "graph", (compile) => {
  const hints: string[] = [];
  const gain = {
    by: 2,
    [Symbol.toPrimitive](hint: string): number | string {
      hints.push(hint);
      return hint === "string" ? `gain${this.by}` : this.by;
    },
  };
  const f = compile((x: Tensor) => {
    const k = +(gain as unknown as number);
    const text = `${gain as unknown as string}`;
    const sum = (gain as unknown as number) + 1;
    return [x.mul(k).add(sum), text];
  });
  return (round) => {
    if (round === 2) gain.by = 5;
    return [f(vec(round)), hints.splice(0)];
  };
});

idiom("Symbol.hasInstance of a class, and instanceof on options", "graph", (compile) => {
  let asked = 0;
  class Even {
    static [Symbol.hasInstance](value: unknown): boolean {
      asked++;
      return typeof value === "number" && value % 2 === 0;
    }
  }
  const f = compile((x: Tensor, k: unknown) => (k instanceof Even ? x.neg() : x));
  return (round) => [f(vec(round), round), asked];
});

idiom("a thenable that is not awaited, and one that is called", "graph", (compile) => {
  const f = compile((x: Tensor, later: { then(use: (v: number) => void): void }) => {
    let got = 0;
    later.then((v) => got = v);
    return x.mul(got);
  });
  return (round) => f(vec(round), { then: (use) => use(round + 1) });
});

idiom("an async iterator by hand, left early", "segments", (compile) => {
  const closed: number[] = [];
  const source = (n: number): AsyncIterable<number> => ({
    [Symbol.asyncIterator]() {
      let i = 0;
      return {
        next: () => Promise.resolve(i < n ? { done: false, value: i++ } : { done: true, value: undefined }),
        return() {
          closed.push(i);
          return Promise.resolve({ done: true, value: undefined });
        },
      };
    },
  });
  const f = compile(async (x: Tensor, n: number) => {
    let y = x;
    for await (const i of source(n)) {
      y = y.add(i).mul(1.5);
      if (i === 1) break;
    }
    return y;
  });
  return async (round) => [await f(vec(round), round + 1), closed.splice(0)];
});

idiom("new Function and indirect eval inside", "segments", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const twice = new Function("t", `return t.mul(${k})`) as (t: Tensor) => Tensor;
    // deno-lint-ignore no-eval
    const three = (0, eval)("1 + 2") as number;
    return twice(x).add(three);
  });
  return (round) => f(vec(round), round);
});

idiom("new.target in constructors called with new and without", "graph", (compile) => {
  interface Point {
    x: number;
    made: boolean;
  }
  const Point = function (this: Point | undefined, x: number): unknown {
    if (new.target === undefined) return { x, made: false };
    (this as Point).x = x;
    (this as Point).made = true;
    return undefined;
  } as unknown as { new (x: number): Point; (x: number): Point };
  const f = compile((x: Tensor, k: number) => {
    const a = new Point(k);
    const b = Point(k + 1);
    return [x.mul(a.x).add(b.x), a.made, b.made, a instanceof Point, b instanceof Point];
  });
  return (round) => f(vec(round), round);
});

idiom("arguments: length, changed in place, and aliased by sloppy code", "graph", (compile) => {
  const f = compile(function (this: unknown, ..._: unknown[]): unknown {
    const given = arguments;
    const x = given[0] as Tensor;
    given[1] = (given[1] as number) + 1;
    const rest = Array.prototype.slice.call(given, 1) as number[];
    return [x.mul(given[1] as number), given.length, rest];
  }) as (...args: unknown[]) => unknown;
  return (round) => round === 3 ? f(vec(round), 1, 2) : f(vec(round), round);
});

idiom("getters defined on the fly inside, and delete of configurable ones", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const o: Record<string, unknown> = {};
    let reads = 0;
    Object.defineProperty(o, "y", {
      get: () => {
        reads++;
        return x.mul(k);
      },
      configurable: true,
      enumerable: true,
    });
    const sum = (o["y"] as Tensor).add(o["y"] as Tensor);
    const gone = delete o["y"];
    return [sum, reads, gone, "y" in o, Object.keys(o)];
  });
  return (round) => f(vec(round), round);
});

idiom("void, comma, typeof of what is not declared, and in on arrays", "graph", (compile) => {
  const list = [1, 2, 3];
  const f = compile((x: Tensor, k: number) => {
    let n = 0;
    const y = (n++, n += k, x.add(n));
    const missing = typeof (globalThis as Record<string, unknown>)["notThereAtAll"];
    return [y, void n, missing, k in list, "length" in list, 7 in list];
  });
  return (round) => {
    if (round === 2) list.length = 2;
    return f(vec(round), round);
  };
});

idiom("toJSON of tensors' holders, replacer functions and arrays", "graph", (compile) => {
  const model = { name: "m", depth: 2, toJSON: () => ({ of: "m" }), inner: { a: 1, b: 2 } };
  const f = compile((x: Tensor) => {
    const a = JSON.stringify(model);
    const b = JSON.stringify(model.inner, (key, value) => key === "a" ? undefined : value);
    const c = JSON.stringify(model.inner, ["a"], 1);
    return [x.mul(a.length), a, b, c];
  });
  return (round) => {
    if (round === 1) model.inner.a = 7;
    return f(vec(round));
  };
});

idiom("a JSON reviver that makes tensors", "graph", (compile) => {
  const f = compile((x: Tensor, text: string) => {
    const parsed = JSON.parse(text, (_, value) => Array.isArray(value) ? tensor(value as number[]) : value) as {
      w: Tensor;
      k: number;
    };
    return x.mul(parsed.w).add(parsed.k);
  });
  return (round) => f(vec(round), JSON.stringify({ w: [1, 2, round], k: round }));
});

idiom("Symbol.isConcatSpreadable, Symbol.unscopables and Symbol.match on options", "graph", (compile) => {
  const flat = { length: 2, 0: 5, 1: 6, [Symbol.isConcatSpreadable]: true };
  const f = compile((x: Tensor) => {
    const all = ([1] as number[]).concat(flat as unknown as number[]);
    return x.add(all.reduce((a, b) => a + b, 0));
  });
  return (round) => {
    if (round === 2) flat[1] = 60;
    if (round === 3) flat[Symbol.isConcatSpreadable] = false;
    const before = flat[Symbol.isConcatSpreadable];
    try {
      return before ? f(vec(round)) : null;
    } finally {
      flat[Symbol.isConcatSpreadable] = true;
    }
  };
});

idiom("a user Proxy around arguments", "segments", (compile) => {
  const read: string[] = [];
  const f = compile((x: Tensor, o: { k: number; b?: number }) => x.mul(o.k).add(o.b ?? 0));
  return (round) => {
    const o = new Proxy({ k: round }, {
      get(t, key, r): unknown {
        read.push(String(key));
        return Reflect.get(t, key, r);
      },
    });
    return [f(vec(round), o), read.splice(0)];
  };
});

idiom("a user Proxy in the closure, all of whose traps are seen", "segments", (compile) => {
  const log: string[] = [];
  const kinds = new Proxy({}, {
    get: (_, trap) => (...args: [object, PropertyKey]): unknown => {
      log.push(`${String(trap)} ${String(args[1])}`);
      return (Reflect.get(Reflect, trap) as (...a: unknown[]) => unknown)(...args);
    },
  });
  let options = new Proxy({ scale: 2 }, kinds);
  class Reader {
    read(): number {
      return options.scale;
    }
  }
  const f = compile((x: Tensor) => "scale" in options ? x.mul(options.scale) : x);
  const g = compile((x: Tensor) => x.mul(new Reader().read()));
  return (round) => {
    if (round === 2) options = new Proxy({ scale: 7 }, kinds);
    return [f(vec(round)), g(vec(round)), log.splice(0)];
  };
});

idiom("getters under the names of protocols run only when they are read", "graph", (compile) => {
  const log: string[] = [];
  const seen = (name: string): undefined => void log.push(name);
  const options = {
    scale: 2,
    get next(): undefined {
      return seen("next");
    },
    get [Symbol.iterator](): undefined {
      return seen("iterator");
    },
    get [Symbol.toStringTag](): string {
      seen("tag");
      return "Options";
    },
  };
  const f = compile((x: Tensor) => x.mul(options.scale));
  return (round) => {
    options.scale = round;
    return [f(vec(round)), log.splice(0)];
  };
});

idiom("Proxy.revocable, made and revoked inside", "segments", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const { proxy, revoke } = Proxy.revocable({ k }, {});
    const y = x.mul(proxy.k);
    revoke();
    let lost = "";
    try {
      void proxy.k;
    } catch (error) {
      lost = (error as Error).name;
    }
    return [y, lost];
  });
  return (round) => f(vec(round), round);
});

idiom("Reflect.defineProperty, getPrototypeOf, isExtensible on fresh objects", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const base = { scale: k };
    const o = Object.create(base, { own: { value: 2, enumerable: true, writable: true, configurable: true } }) as {
      scale: number;
      own: number;
    };
    const did = Reflect.defineProperty(o, "fixed", { value: 1 });
    return [
      x.mul(o.scale).add(o.own),
      did,
      Reflect.getPrototypeOf(o) === base,
      Reflect.isExtensible(o),
      Reflect.ownKeys(o),
      Object.keys(o),
    ];
  });
  return (round) => f(vec(round), round);
});

idiom("Iterator.from, take, drop, toArray and iterator helpers over a class", "graph", (compile) => {
  class Count implements Iterable<number> {
    constructor(readonly to: number) {}
    [Symbol.iterator](): Iterator<number> {
      let i = 0;
      return { next: () => (i < this.to ? { done: false, value: i++ } : { done: true, value: undefined }) };
    }
  }
  const count = new Count(6);
  const f = compile((x: Tensor, k: number) =>
    Iterator.from(count).drop(1).filter((n) => n % 2 === 1).map((n) => n * k).take(2).reduce((y, n) => y.add(n), x)
  );
  return (round) => f(vec(round), round);
});

idiom("a generator object as argument, consumed half by each of two calls", "segments", (compile) => {
  function* many(): Generator<number> {
    for (let i = 1; i < 9; i++) yield i;
  }
  let kept = many();
  const f = compile((x: Tensor, from: Generator<number>) => {
    const { value, done } = from.next();
    return [x.mul(value ?? 0), done];
  });
  return (round) => {
    if (round === 1) kept = many();
    return [f(vec(round), kept), f(vec(round), kept)];
  };
});

idiom("a generator of the function that yields tensors and is sent numbers, kept inside", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const co = (function* (): Generator<Tensor, Tensor, number> {
      let y = x;
      let sent = 0;
      while (sent >= 0) {
        sent = yield y;
        y = y.add(sent);
      }
      return y.neg();
    })();
    co.next();
    co.next(k);
    co.next(2);
    const end = co.next(-1);
    return [end.value, end.done, co.next(0)];
  });
  return (round) => f(vec(round), round);
});

idiom("isTensor, Tensor.prototype and hasOwn on arguments of both kinds", "graph", (compile) => {
  const f = compile((x: Tensor | number) => {
    if (isTensor(x)) return [x.neg(), x instanceof Tensor, Object.prototype.isPrototypeOf.call(Tensor.prototype, x)];
    return [zeros([2]).add(x), (x as unknown) instanceof Tensor, false];
  });
  return (round) => [f(vec(round)), f(round)];
});

idiom("Array.fromAsync and Promise.withResolvers", "segments", (compile) => {
  const f = compile(async (x: Tensor, n: number) => {
    const parts = await Array.fromAsync([x, Promise.resolve(x.mul(2))]);
    const { promise, resolve } = Promise.withResolvers<number>();
    resolve(n);
    return F.stack(parts).sum(0).mul(await promise);
  });
  return (round) => f(vec(round), round);
});

idiom("a frozen class instance whose getter is asked twice", "graph", (compile) => {
  class Config {
    reads = { n: 0 };
    constructor(readonly width: number) {
      Object.freeze(this);
    }
    get area(): number {
      this.reads.n++;
      return this.width * this.width;
    }
  }
  let config = new Config(2);
  const f = compile((x: Tensor) => x.mul(config.area).add(config.area));
  return (round) => {
    if (round === 2) config = new Config(3);
    return [f(vec(round)), config.reads.n];
  };
});

idiom("Object.freeze of arguments inside, writes that throw in strict code", "segments", (compile) => {
  const f = compile((x: Tensor, o: { k: number }) => {
    Object.freeze(o);
    try {
      o.k = 9;
    } catch (error) {
      return [x.mul(o.k), (error as Error).name];
    }
    return [x, "written"];
  });
  return (round) => {
    const o = { k: round };
    return [f(vec(round), o), Object.isFrozen(o)];
  };
});

idiom("regular expressions: g with exec in a loop, matchAll, named groups, split", "graph", (compile) => {
  const f = compile((x: Tensor, text: string) => {
    const re = /(?<k>[a-z])(?<n>\d)/g;
    let y = x;
    for (let m = re.exec(text); m !== null; m = re.exec(text)) y = y.add(Number(m.groups?.["n"]));
    for (const m of text.matchAll(/\d/g)) y = y.mul(Number(m[0]));
    return [y, text.split(/\d/), re.lastIndex, text.replace(/(?<a>\d)/, "<$<a>>")];
  });
  return (round) => f(vec(round), `a${round}b2`);
});

idiom("a global expression of the module whose lastIndex the caller sets", "segments", (compile) => {
  const re = /\d/g;
  const f = compile((x: Tensor, text: string) => {
    const m = re.exec(text);
    return [x.add(m === null ? -1 : Number(m[0])), re.lastIndex];
  });
  return (round) => {
    if (round === 2) re.lastIndex = 2;
    return f(vec(round), "a1b2c3");
  };
});

idiom("Map.groupBy, Object.groupBy, toSpliced, with, findLast on options", "graph", (compile) => {
  const rows = [{ kind: "a", k: 1 }, { kind: "b", k: 2 }, { kind: "a", k: 3 }];
  const f = compile((x: Tensor) => {
    const by = Map.groupBy(rows, (r) => r.kind);
    const names = Object.groupBy(rows, (r) => r.kind);
    const last = rows.findLast((r) => r.kind === "a")?.k ?? 0;
    const ks = rows.map((r) => r.k).with(0, 9).toSpliced(1, 1).toReversed();
    return [x.mul(by.get("a")?.length ?? 0).add(last), Object.keys(names), ks];
  });
  return (round) => {
    if (round === 2) rows.push({ kind: "a", k: 7 });
    return f(vec(round));
  };
});

idiom("matrices: reduceRight, flatMap, entries and copyWithin over lists of tensors", "graph", (compile) => {
  const f = compile((list: Tensor[], k: number) => {
    const chained = list.reduceRight((acc, t, i) => acc.matmul(t).add(i * k), mat(1, 2, 2));
    const doubled = list.flatMap((t, i) => i % 2 === 0 ? [t, t.t()] : []);
    const moved = [...list].copyWithin(0, 1);
    return [chained, F.stack(doubled), moved.map((t) => list.indexOf(t)), [...list.entries()].map(([i]) => i)];
  });
  return (round) => f([mat(round, 2, 2), mat(1, 2, 2), mat(2, 2, 2)], round);
});

idiom("plain options at first, then a user Proxy around such options", "segments", (compile) => {
  const read: string[] = [];
  const f = compile((x: Tensor, o: { k: number }) => x.mul(o.k).add(o.k));
  return (round) => {
    const plain = { k: round % 2 };
    const o = round < 1 ? plain : new Proxy(plain, {
      get(t, key, r): unknown {
        read.push(String(key));
        return Reflect.get(t, key, r);
      },
      getPrototypeOf(t): object | null {
        read.push("prototype");
        return Reflect.getPrototypeOf(t);
      },
    });
    return [f(vec(round), o), read.splice(0)];
  };
});
