/** Idioms: arrays, objects, Maps and Sets as arguments, results and things to change; destructuring and spreading. */
import { type Tensor } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("destructured objects with defaults", "graph", (compile) => {
  type Options = { scale?: number; nested?: { bias?: number; list?: number[] } };
  const f = compile((
    x: Tensor,
    { scale = 2, nested: { bias = 1, list: [first = 5, ...rest] = [] } = {} }: Options = {},
  ) => x.mul(scale).add(bias).mul(first).add(rest.length));
  return (round) =>
    round === 0
      ? f(vec(round))
      : f(vec(round), { scale: round, ...(round > 1 ? { nested: { list: [1, 2, round] } } : {}) });
});

idiom("destructured arrays with holes and swaps", "graph", (compile) => {
  const f = compile(([a, , b = a]: (Tensor | undefined)[]) => {
    let [p, q] = [a as Tensor, b as Tensor];
    [p, q] = [q, p];
    return { p: p.mul(2), q };
  });
  return (round) => f(round === 1 ? [vec(1)] : [vec(round), undefined, vec(5)]);
});

idiom("rest and spread of objects", "graph", (compile) => {
  const f = compile(({ x, ...others }: Record<string, Tensor>) => ({ ...others, y: (x as Tensor).mul(2) }));
  return (round) => f({ x: vec(round), ...(round === 2 ? { b: vec(2) } : { a: vec(1) }) });
});

idiom("Map and Set arguments", "graph", (compile) => {
  const f = compile((m: Map<string, Tensor>, s: Set<number>) => {
    let sum = m.get("first") ?? vec(0);
    for (const [k, v] of m) if (k !== "skip") sum = sum.add(v);
    for (const n of s) sum = sum.mul(n);
    return s.has(3) ? sum.neg() : sum;
  });
  return (round) => {
    const m = new Map([["first", vec(round)], [round === 1 ? "skip" : "more", vec(3)]]);
    return f(m, new Set(round === 2 ? [1, 3] : [2]));
  };
});

idiom("a Map keyed by tensors and by objects", "graph", (compile) => {
  const w = vec(1);
  const key = { id: 1 };
  const state = new Map<object, Tensor>([[w, vec(2)], [key, vec(3)]]);
  const f = compile((x: Tensor) => {
    const old = state.get(w) as Tensor;
    state.set(w, old.add(x));
    return old.mul(state.get(key) as Tensor);
  });
  return (round) => [f(vec(round)), [...state.values()]];
});

idiom("arguments that are filled: an array, an object and a Map", "graph", (compile) => {
  const f = compile((x: Tensor, list: unknown[], o: Record<string, unknown>, m: Map<string, unknown>) => {
    list.push(x.mul(2), list.length);
    list[0] = "seen";
    o["y"] = x.add(1);
    o["count"] = (o["count"] as number ?? 0) + 1;
    m.set("z", x);
    m.delete("gone");
  });
  const list: unknown[] = [0];
  const o: Record<string, unknown> = {};
  const m = new Map<string, unknown>([["gone", 1]]);
  return (round) => {
    if (list.length > 5) list.length = 1;
    return [f(vec(round), list, o, m), list, o, m];
  };
});

idiom("pop, shift, splice, reverse and sort of an outer array", "graph", (compile) => {
  const queue = [vec(1), vec(2), vec(3)];
  const order = [3, 1, 2];
  const f = compile((x: Tensor) => {
    queue.push(x);
    const first = queue.shift() as Tensor;
    queue.reverse();
    queue.splice(1, 1, x.mul(2));
    order.sort((a, b) => a - b);
    order.unshift(order.pop() as number);
    return first.add(queue[0] as Tensor);
  });
  return (round) => [f(vec(round)), queue, order];
});

idiom("an array that grows", "graph", (compile) => {
  const history: Tensor[] = [];
  const f = compile((x: Tensor) => {
    history.push(x.mul(history.length));
    return history.reduce((s, t) => s.add(t), x);
  });
  return (round) => [f(vec(round)), history.length];
});

idiom("map, filter, reduce, flatMap, some, every, find over tensors", "graph", (compile) => {
  const f = compile((xs: Tensor[]) => {
    const big = xs.filter((t) => t.ndim > 0 && (t.shape[0] as number) > 2);
    const all = big.flatMap((t) => [t, t.neg()]);
    const some = xs.some((t) => t.ndim === 2) && !xs.every((t) => t.ndim === 2);
    const found = xs.find((t) => t.ndim === 2) ?? xs[0] as Tensor;
    return {
      all,
      some,
      found: found.mul(2),
      at: xs.findIndex((t) => t === found),
      last: xs.at(-1),
      has: xs.includes(found),
    };
  });
  return (round) => f(round === 1 ? [vec(1), mat(1)] : [vec(round), vec(1, 2), vec(2)]);
});

idiom("loops over lists with index, of, in, while, do", "graph", (compile) => {
  const f = compile((xs: Tensor[], o: Record<string, number>) => {
    let y = xs[0] as Tensor;
    for (let i = 1; i < xs.length; i++) y = y.add((xs[i] as Tensor).mul(i));
    for (const k in o) y = y.mul(o[k] as number);
    let n = 3;
    while (n-- > 0) y = y.add(n);
    do y = y.sub(1); while (n++ < 0);
    xs.forEach((t, i, all) => y = y.add(t.mul(all.length - i)));
    return y;
  });
  return (round) => f(Array.from({ length: round + 1 }, (_, i) => vec(i)), round === 1 ? { a: 2, b: 3 } : { b: 2 });
});

idiom("nested results with shared parts", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const shared = { y: x.mul(2) };
    return {
      a: shared,
      b: [shared, shared.y, x],
      c: new Map([["k", shared]]),
      d: new Set([1, "two"]),
      e: null,
      f: undefined,
    };
  });
  return (round) => {
    const out = f(vec(round));
    return [out, out.a === out.b[0], out.b[1] === out.a.y];
  };
});

idiom("arguments returned as they are", "graph", (compile) => {
  const f = compile((x: Tensor, o: { t: Tensor; tag: string }, list: number[]) => [x, o, list, o.t, o.tag]);
  return (round) => {
    const [x, o] = [vec(round), { t: vec(1), tag: `r${round}` }];
    const list: number[] = [1, round];
    const out = f(x, o, list);
    return [out, out[0] === x, out[1] === o, out[2] === list, out[3] === o.t];
  };
});

idiom("the same tensor twice, and once", "graph", (compile) => {
  const f = compile((a: Tensor, b: Tensor) => [a === b, a.add(b), a === b ? a.mul(2) : b.neg()]);
  return (round) => {
    const x = vec(round);
    return f(x, round % 2 === 0 ? x : vec(3));
  };
});

idiom("the same tensor twice, written through one name", "graph", (compile) => {
  const f = compile((a: Tensor, b: Tensor) => {
    a.add_(1);
    return b.mul(2);
  });
  return (round) => {
    const x = vec(round);
    const y = round % 2 === 0 ? x : vec(3);
    return [f(x, y), x, y];
  };
});

idiom("views of each other as arguments, one written", "segments", (compile) => {
  const f = compile((a: Tensor, b: Tensor) => {
    a.mul_(2);
    return b.add(1);
  });
  return (round) => {
    const base = mat(round);
    return [f(base, base.at(0)), base];
  };
});

idiom("views of each other as arguments, sometimes", "segments", (compile) => {
  const f = compile((a: Tensor, b: Tensor) => {
    a.mul_(2);
    return b.add(1);
  });
  return (round) => {
    const base = mat(round);
    return [f(base, round < 2 ? vec(1) : base.at(0)), base];
  };
});

idiom("a view of an argument, written by the caller between calls", "graph", (compile) => {
  const f = compile((a: Tensor) => ({ row: a.at(0), col: a.t().at(1), sum: a.sum() }));
  const base = mat(1);
  return (round) => {
    const out = f(base);
    out.row.add_(round);
    return [out, base];
  };
});

idiom("template strings, numbers and bigints as options", "graph", (compile) => {
  const f = compile((x: Tensor, o: { name: string; big: bigint; flag: boolean; nan: number }) => ({
    y: x.mul(Number(o.big)).add(o.flag ? 1 : 0),
    text: `${o.name}:${x.ndim}:${x.shape.join("x")}:${x.dtype.name}`,
    nan: Number.isNaN(o.nan),
  }));
  return (round) =>
    f(vec(round), { name: `n${round % 2}`, big: BigInt(round), flag: round > 1, nan: round === 1 ? NaN : 0 });
});

idiom("a JSON configuration", "graph", (compile) => {
  const config = JSON.parse('{"layers":[{"kind":"mul","by":2},{"kind":"add","by":3}],"deep":{"on":true}}');
  const f = compile((x: Tensor) => {
    let y = x;
    for (const { kind, by } of config.layers) y = kind === "mul" ? y.mul(by) : y.add(by);
    return { y: config.deep.on ? y : x, text: JSON.stringify(config.layers) };
  });
  return (round) => {
    config.layers[1].by = round;
    if (round === 3) config.layers.push({ kind: "mul", by: 10 });
    config.deep.on = round !== 2;
    return f(vec(round));
  };
});

idiom("typed arrays as options", "segments", (compile) => {
  const f = compile((x: Tensor, scales: Float32Array) => x.mul(scales[0] ?? 0));
  return (round) => f(vec(round), new Float32Array([round + 1]));
});

idiom("sparse arrays, length tricks and in-place fill", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    const list = new Array<Tensor>(n).fill(x);
    const parts = Array.from({ length: n }, (_, i) => x.mul(i));
    return [list.length, ...parts, ...list.slice(1), [...parts.keys()].join()];
  });
  return (round) => f(vec(round), round + 1);
});

idiom("added and removed keys", "graph", (compile) => {
  const o: Record<string, number> = { a: 1, b: 2 };
  const f = compile((x: Tensor) =>
    ("c" in o ? x.neg() : x).mul(Object.keys(o).length).add(Object.hasOwn(o, "a") ? 1 : 0)
  );
  return (round) => {
    if (round === 1) o["c"] = 3;
    if (round === 2) delete o["a"];
    if (round === 0) delete o["c"], o["a"] = 1;
    return f(vec(round));
  };
});

idiom("structuredClone and Object.groupBy on options", "graph", (compile) => {
  const f = compile((x: Tensor, list: { kind: string; by: number }[]) => {
    const groups = Object.groupBy(list, (o) => o.kind);
    return x.mul(groups["a"]?.length ?? 0).add(list.toSorted((p, q) => q.by - p.by)[0]?.by ?? 0);
  });
  return (round) => f(vec(round), [{ kind: "a", by: 1 }, { kind: round === 1 ? "a" : "b", by: round }]);
});

idiom("structuredClone of options", "graph", (compile) => {
  const f = compile((x: Tensor, o: { by: number }) => x.mul(structuredClone(o).by));
  return (round) => f(vec(round), { by: round + 1 });
});

idiom("WeakMap of state by object", "graph", (compile) => {
  const state = new WeakMap<object, { w: Tensor }>();
  const [a, b] = [{}, {}];
  state.set(a, { w: vec(1) }).set(b, { w: vec(2) });
  const f = compile((x: Tensor, key: object) => x.mul(state.get(key)?.w ?? 1));
  return (round) => {
    if (round === 2) state.set(a, { w: vec(5) });
    return [f(vec(round), a), f(vec(round), b), f(vec(round), {})];
  };
});

idiom("cyclic options", "graph", (compile) => {
  type Node = { value: number; next?: Node };
  const f = compile((x: Tensor, n: Node) => x.mul(n.value).add(n.next?.next?.value ?? 0));
  return (round) => {
    const n: Node = { value: round };
    n.next = { value: 3, next: n };
    return f(vec(round), n);
  };
});

idiom("iterators: entries, keys, zip by index, Iterator helpers", "graph", (compile) => {
  const f = compile((xs: Tensor[], names: string[]) => {
    const out: Record<string, Tensor> = {};
    for (const [i, t] of xs.entries()) out[names[i] ?? `x${i}`] = t.mul(i);
    const odd = xs.values().filter((_, i) => i % 2 === 1).map((t) => t.neg()).toArray();
    return { out, odd };
  });
  return (round) => f([vec(round), vec(1), vec(2)], round === 1 ? ["a"] : ["a", "b", "c"]);
});
