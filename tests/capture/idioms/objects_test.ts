/** Idioms: objects with state that no plain property shows: weak references, typed arrays, Proxies, Dates, expressions, clones. */
import { int32 } from "../../../src/core/mod.ts";
import { F, Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("a WeakMap as a cache of results by object", "segments", (compile) => {
  const cache = new WeakMap<object, Tensor>();
  const keys = [{ k: 1 }, { k: 2 }];
  let misses = 0;
  const f = compile((x: Tensor, key: { k: number }) => {
    let w = cache.get(key);
    if (w === undefined) {
      misses++;
      w = x.mul(key.k);
      cache.set(key, w);
    }
    return w.add(x);
  });
  return (round) => [f(vec(round), keys[round % 2] ?? { k: 3 }), f(vec(round), { k: 4 }), misses];
});

idiom("a WeakRef and a WeakSet", "segments", (compile) => {
  const held = { k: 2 };
  const ref = new WeakRef(held);
  const seen = new WeakSet<object>();
  const f = compile((x: Tensor, o: object) => {
    const known = seen.has(o);
    seen.add(o);
    return x.mul(ref.deref()?.k ?? 0).add(known ? 1 : 0);
  });
  const objects = [{}, {}, {}, {}];
  return (round) => {
    if (round === 2) held.k = 5;
    return f(vec(round), objects[round] ?? {});
  };
});

idiom("typed arrays that are read and written", "segments", (compile) => {
  const histogram = new Int32Array(4);
  const weights = new Float32Array([1, 2, 3]);
  const f = compile((x: Tensor, bin: number) => {
    histogram[bin] = (histogram[bin] ?? 0) + 1;
    const k = weights.reduce((a, b) => a + b, 0);
    return x.mul(k).add(histogram[bin] ?? 0);
  });
  return (round) => {
    if (round === 2) weights[0] = 10;
    return [f(vec(round), round), [...histogram]];
  };
});

idiom("a typed array made inside, turned into a tensor", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    const ramp = new Float32Array(3);
    for (let i = 0; i < 3; i++) ramp[i] = i * n;
    const view = new DataView(ramp.buffer);
    return x.add(tensor(ramp)).mul(view.getFloat32(4, true));
  });
  return (round) => f(vec(round), round + 1);
});

idiom("a Proxy that logs what is read", "segments", (compile) => {
  const log: string[] = [];
  const target: Record<string, number> = { a: 1, b: 2 };
  const watched = new Proxy(target, {
    get(t, key, receiver) {
      log.push(String(key));
      return Reflect.get(t, key, receiver) as unknown;
    },
    has: (t, key) => key === "ghost" || Reflect.has(t, key),
  });
  const f = compile((x: Tensor) => x.mul(watched["a"] ?? 0).add("ghost" in watched ? watched["b"] ?? 0 : 100));
  return (round) => {
    if (round === 1) target["a"] = 4;
    return [f(vec(round)), log.splice(0)];
  };
});

idiom("a Proxy made inside, with defaults for missing keys", "graph", (compile) => {
  const options: Record<string, number> = { gain: 2 };
  const f = compile((x: Tensor) => {
    const withDefault = new Proxy(options, { get: (t, key) => Reflect.get(t, key) as unknown ?? 1 });
    return x.mul(withDefault["gain"] ?? 0).add(withDefault["bias"] ?? 0);
  });
  return (round) => {
    if (round === 2) options["bias"] = 10;
    return f(vec(round));
  };
});

idiom("a Date of fixed time, formatted", "segments", (compile) => {
  const when = new Date(Date.UTC(2020, 1, 29));
  const f = compile((x: Tensor) => {
    const next = new Date(when.getTime() + 86_400_000);
    return { y: x.add(next.getUTCDate()), text: when.toISOString() };
  });
  return (round) => {
    if (round === 2) when.setUTCFullYear(2021);
    return f(vec(round));
  };
});

idiom("a sticky expression whose lastIndex moves", "segments", (compile) => {
  const word = /\w+/g;
  const f = compile((x: Tensor, text: string) => {
    const found = word.exec(text);
    return { y: x.mul(word.lastIndex), found: found?.[0] ?? null };
  });
  return (round) => [f(vec(round), "ab cde f"), word.lastIndex];
});

idiom("a sticky expression made inside, replace with a callback", "graph", (compile) => {
  const f = compile((x: Tensor, spec: string) => {
    let y = x;
    const token = /(\w)(\d+)/y;
    for (let m = token.exec(spec); m !== null; m = token.exec(spec)) {
      y = m[1] === "m" ? y.mul(Number(m[2])) : y.add(Number(m[2]));
    }
    const upper = spec.replace(/[a-z]/g, (c) => c.toUpperCase());
    const parts = [...spec.matchAll(/\d/g)].map((m) => m.index);
    return { y, upper, parts };
  });
  return (round) => f(vec(round), ["m2a3", "a1", "m3", "a4m2m2"][round] ?? "");
});

idiom("JSON there and back, with toJSON and a reviver", "graph", (compile) => {
  class Config {
    layers = [1, 2];
    toJSON(): unknown {
      return { kind: "config", layers: this.layers };
    }
  }
  const config = new Config();
  const f = compile((x: Tensor) => {
    const text = JSON.stringify({ config, n: x.ndim }, null, 1);
    const back = JSON.parse(text, (key, value: unknown) => key === "n" ? Number(value) * 10 : value) as {
      config: { layers: number[] };
      n: number;
    };
    return { y: back.config.layers.reduce((y, k) => y.mul(k), x.add(back.n)), text };
  });
  return (round) => {
    if (round === 2) config.layers.push(3);
    return f(vec(round));
  };
});

idiom("structuredClone of state before it is changed", "graph", (compile) => {
  const state = { steps: 0, history: [1, 2], inner: new Map([["k", 2]]) };
  const f = compile((x: Tensor) => {
    const before = structuredClone(state);
    state.steps++;
    state.history.push(before.steps);
    return { y: x.mul(before.history.length), before };
  });
  return (round) => {
    if (round === 2) state.inner.set("k", 9);
    return f(vec(round));
  };
});

idiom("sorting tensors with a comparator that reads them", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const rows = [x.mul(-1), x.add(3), x.mul(0.1)];
    rows.sort((a, b) => b.sum().item() - a.sum().item());
    return F.stack(rows).mul(tensor([1, 10, 100]).view([3, 1]));
  });
  return (round) => f(vec(round));
});

idiom("sorting options with a comparator, toSorted, binary search", "graph", (compile) => {
  const items = [{ name: "b", k: 2 }, { name: "a", k: 3 }, { name: "c", k: 1 }];
  const f = compile((x: Tensor, limit: number) => {
    const byName = items.toSorted((p, q) => p.name < q.name ? -1 : 1);
    items.sort((p, q) => p.k - q.k);
    let lo = 0;
    let hi = items.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if ((items[mid]?.k ?? 0) < limit) lo = mid + 1;
      else hi = mid;
    }
    return { y: byName.reduce((y, { k }) => y.mul(2).add(k), x), lo, names: items.map((i) => i.name).join("") };
  });
  return (round) => {
    if (round === 2) items.push({ name: "0", k: 2.5 });
    return f(vec(round), round);
  };
});

idiom("a linked list, walked and extended", "graph", (compile) => {
  interface Link {
    value: number;
    next: Link | null;
  }
  let head: Link | null = { value: 1, next: { value: 2, next: null } };
  const f = compile((x: Tensor, value: number) => {
    let y = x;
    let last: Link | null = null;
    for (let at = head; at !== null; last = at, at = at.next) y = y.mul(at.value);
    if (last !== null && value < 3) last.next = { value: value + 1, next: null };
    return y;
  });
  return (round) => {
    const y = f(vec(round), round);
    if (round === 2) head = head?.next ?? null;
    return [y, head];
  };
});

idiom("a ring buffer of past tensors", "graph", (compile) => {
  const buffer: (Tensor | null)[] = [null, null];
  let at = 0;
  const f = compile((x: Tensor) => {
    const old = buffer[at] ?? null;
    buffer[at] = x.mul(0.5);
    at = (at + 1) % buffer.length;
    return old === null ? x : x.add(old);
  });
  return (round) => [f(vec(round)), at];
});

idiom("a Map of tensors that is rotated: delete and set again", "graph", (compile) => {
  const cache = new Map<string, Tensor>();
  const f = compile((x: Tensor, key: string) => {
    const hit = cache.get(key);
    if (hit !== undefined) cache.delete(key);
    cache.set(key, hit ?? x.mul(2));
    if (cache.size > 2) cache.delete(cache.keys().next().value ?? "");
    return (cache.get(key) ?? x).add(x);
  });
  return (round) => [f(vec(round), "abcd"[round] ?? ""), [...cache.keys()]];
});

idiom("sets: union, difference, and order of insertion", "graph", (compile) => {
  const active = new Set([1, 2]);
  const f = compile((x: Tensor, extra: Set<number>) => {
    const all = active.union(extra);
    const gone = active.difference(extra);
    let y = x;
    for (const k of all) y = y.mul(k).add(gone.has(k) ? 1 : 0);
    active.add(all.size);
    return { y, isSub: extra.isSubsetOf(all) };
  });
  return (round) => [f(vec(round), new Set([round, 2])), [...active]];
});

idiom("Object.freeze, isFrozen, seal; writes that fail", "segments", (compile) => {
  const frozen = Object.freeze({ k: 2 });
  const sealed = Object.seal({ k: 3 }) as Record<string, number>;
  const f = compile((x: Tensor, bad: boolean) => {
    sealed["k"] = (sealed["k"] ?? 0) + 1;
    if (bad) (frozen as { k: number }).k = 5;
    return x.mul(frozen.k).add(Object.isFrozen(frozen) ? 1 : 0).add(Object.isSealed(sealed) ? sealed["k"] ?? 0 : 0);
  });
  return (round) => f(vec(round), round === 2);
});

idiom("symbols: registry, description, well-known ones on instances", "graph", (compile) => {
  const tag = Symbol.for("tag");
  class Money {
    constructor(public cents: number) {}
    [Symbol.toPrimitive](hint: string): string | number {
      return hint === "string" ? `${this.cents}c` : this.cents / 100;
    }
    static [Symbol.hasInstance](o: unknown): boolean {
      return typeof o === "object" && o !== null && "cents" in o;
    }
  }
  const price = new Money(250);
  const meta: Record<symbol, number> = { [tag]: 3 };
  const f = compile((x: Tensor) => {
    const k = +price * (meta[Symbol.for("tag")] ?? 0);
    return { y: x.mul(k), text: `${price} ${tag.description}`, fits: ({ cents: 1 }) instanceof Money };
  });
  return (round) => {
    if (round === 2) price.cents = 100;
    if (round === 3) meta[tag] = 7;
    return f(vec(round));
  };
});

idiom("objects compared, deduplicated by a Set and found by indexOf", "graph", (compile) => {
  const a = { k: 1 };
  const b = { k: 1 };
  const list = [a, b, a];
  const f = compile((x: Tensor, probe: { k: number }) => {
    const unique = [...new Set(list)];
    return {
      y: x.mul(unique.length).add(list.indexOf(probe)).add(list.lastIndexOf(probe)),
      same: a === probe,
      found: list.find((o) => o === probe)?.k ?? null,
    };
  });
  return (round) => {
    if (round === 3) list[2] = b;
    return f(vec(round), round % 2 === 0 ? a : b);
  };
});

idiom("inheritance from Map, with an overridden get", "graph", (compile) => {
  class Counting extends Map<string, number> {
    hits = 0;
    override get(key: string): number {
      this.hits++;
      return super.get(key) ?? -1;
    }
  }
  const table = new Counting([["a", 2]]);
  const f = compile((x: Tensor, key: string) => x.mul(table.get(key)).add(table.size));
  return (round) => {
    if (round === 2) table.set("c", 4);
    return [f(vec(round), "abcd"[round] ?? ""), table.hits];
  };
});

idiom("a subclass instance made by Reflect.construct and new.target", "graph", (compile) => {
  class Base {
    kind: string;
    constructor(readonly k: number) {
      this.kind = new.target.name;
    }
  }
  class Other extends Base {}
  const f = compile((x: Tensor, k: number) => {
    const made = Reflect.construct(Base, [k], k > 1 ? Other : Base);
    return { y: x.mul(made.k), kind: made.kind, isOther: made instanceof Other };
  });
  return (round) => f(vec(round), round);
});

idiom("numbers: NaN, -0, Infinity, MAX_SAFE_INTEGER as state", "graph", (compile) => {
  const values = [NaN, -0, Infinity, 0];
  const state = { k: NaN as number };
  const f = compile((x: Tensor, v: number) => {
    const old = state.k;
    state.k = v;
    return { y: x.add(Number.isNaN(old) ? 1 : Object.is(old, -0) ? 2 : 3), inverse: 1 / old, v };
  });
  return (round) => f(vec(round), values[round] ?? 0);
});

idiom("strings as sequences: code points, localeCompare, padStart, at", "graph", (compile) => {
  const f = compile((x: Tensor, text: string) => {
    let y = x;
    for (const c of text) y = y.add(c.codePointAt(0) ?? 0);
    return {
      y: y.mul(text.padStart(5, "-").length),
      last: text.at(-1) ?? null,
      order: "ä".localeCompare(text),
      norm: text.normalize("NFD").length,
    };
  });
  return (round) => f(vec(round), ["a", "é€", "𝒳y", ""][round] ?? "");
});

idiom("a tensor subclass check, Array.isArray, typeof on arguments of many kinds", "graph", (compile) => {
  const toTensor = (v: unknown): Tensor => {
    if (v instanceof Tensor) return v;
    if (Array.isArray(v)) return v.map(toTensor).reduce((a, b) => a.add(b), zeros([3]));
    switch (typeof v) {
      case "number":
        return zeros([3]).add(v);
      case "boolean":
        return toTensor(v ? 1 : 0);
      case "string":
        return toTensor(v.length);
      case "object":
        return v === null ? zeros([3]) : toTensor(Object.values(v));
      default:
        return zeros([3]).sub(1);
    }
  };
  const f = compile((v: unknown) => toTensor(v).mul(2));
  const inputs = (round: number): unknown =>
    [[vec(0), 1, [true, "ab"]], { a: vec(round), b: null }, undefined, "four"][round];
  return (round) => f(inputs(round));
});

idiom("dtype switches by a table keyed by dtype", "graph", (compile) => {
  const table = new Map<unknown, (x: Tensor) => Tensor>([[int32, (x) => x.mul(2)]]);
  const f = compile((x: Tensor) => (table.get(x.dtype) ?? ((y: Tensor) => y.div(2)))(x));
  return (round) => f(round % 2 === 0 ? vec(round) : mat(round).to(int32));
});

idiom("lazy initialisation through a getter that redefines itself", "graph", (compile) => {
  let built = 0;
  const model: { readonly weight: number } = {
    get weight(): number {
      built++;
      Object.defineProperty(this, "weight", { value: 4, configurable: true });
      return 4;
    },
  };
  const f = compile((x: Tensor) => x.mul(model.weight));
  return (round) => [f(vec(round)), built];
});
