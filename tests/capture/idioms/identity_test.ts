/** Idioms: which things are the same thing, in which order things happen, and what is left behind for the next call. */
import * as nn from "../../../src/nn/mod.ts";
import { noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("a fresh object that is stored and returned is one object", "graph", (compile) => {
  const world: { last: { y: Tensor } | null; all: { y: Tensor }[]; byKey: Map<string, { y: Tensor }> } = {
    last: null,
    all: [],
    byKey: new Map(),
  };
  const f = compile((x: Tensor) => {
    const made = { y: x.mul(2) };
    world.last = made;
    world.all.push(made);
    world.byKey.set("k", made);
    return { made, list: [made] };
  });
  return (round) => {
    const { made, list } = f(vec(round));
    return [
      world.last === made,
      world.all.at(-1) === made,
      world.byKey.get("k") === made,
      list[0] === made,
      made.y,
      world.all.length,
    ];
  };
});

idiom("a tensor that is stored, kept in a closure, and returned is one tensor", "graph", (compile) => {
  let kept: Tensor | null = null;
  const store = { t: null as Tensor | null };
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    kept = y;
    store.t = y;
    return [y, y];
  });
  return (round) => {
    const [a, b] = f(vec(round));
    const same = [a === b, kept === a, store.t === a];
    noGrad(() => a?.add_(1));
    return [same, kept, store.t];
  };
});

idiom("views that are stored and returned share memory with their base", "graph", (compile) => {
  const store: { base: Tensor | null; row: Tensor | null } = { base: null, row: null };
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    store.base = y;
    store.row = y.select(0, 0);
    return y.t();
  });
  return (round) => {
    const t = f(mat(round));
    store.row?.add_(10);
    return [t, store.base];
  };
});

idiom("a view of an argument comes back and is written", "graph", (compile) => {
  const f = compile((x: Tensor) => ({ row: x.select(0, 1), flat: x.view([-1]), same: x }));
  return (round) => {
    const x = mat(round);
    const { row, flat, same } = f(x);
    row.add_(1);
    return [x, flat, same === x];
  };
});

idiom("keys in their order: integers, deleted and put back, symbols", "graph", (compile) => {
  const tag = Symbol("tag");
  const table: Record<string | symbol, number> = { b: 1, 2: 2, a: 3 };
  const f = compile((x: Tensor, k: number) => {
    delete table["b"];
    table["b"] = k;
    table[1] = k;
    table[tag] = (table[tag] ?? 0) + 1;
    if (k === 2) delete table["a"];
    let y = x;
    for (const key in table) y = y.mul(0.5).add(table[key] ?? 0);
    return { y, keys: Object.keys(table).join() };
  });
  return (round) => [f(vec(round), round), Object.keys(table), table[tag]];
});

idiom("for in over inherited properties", "graph", (compile) => {
  const base: Record<string, number> = { inherited: 2 };
  const child = Object.assign(Object.create(base) as Record<string, number>, { own: 3 });
  const f = compile((x: Tensor) => {
    const seen: string[] = [];
    let y = x;
    for (const key in child) {
      seen.push(Object.hasOwn(child, key) ? key : `(${key})`);
      y = y.add(child[key] ?? 0);
    }
    return { y, seen };
  });
  return (round) => {
    if (round === 2) base["more"] = 5;
    if (round === 3) child["late"] = 1;
    return f(vec(round));
  };
});

idiom("outer arrays beyond their end, with properties of their own", "graph", (compile) => {
  const list = Object.assign([1, 2], { label: "l" });
  const f = compile((x: Tensor, k: number) => {
    list[list.length + 1] = k;
    let visited = 0;
    list.forEach(() => visited++);
    list.label += k;
    return { y: x.mul(list.length), visited, label: list.label };
  });
  return (round) => [f(vec(round), round), list.length, 2 in list, list.label];
});

idiom("swaps and rotations of outer state by destructuring", "graph", (compile) => {
  const ring = { items: [vec(0), vec(1), vec(2)], at: 0 };
  const f = compile((x: Tensor) => {
    [ring.items[0], ring.items[2]] = [ring.items[2] as Tensor, ring.items[0] as Tensor];
    const [head, ...rest] = ring.items;
    ring.items = [...rest, (head as Tensor).add(x)];
    ({ length: ring.at } = rest);
    return ring.items[0];
  });
  return (round) => [f(vec(round)), ring.items.map((t) => t.sum()), ring.at];
});

idiom("memo on the function itself, and on a static Map", "graph", (compile) => {
  const fib = Object.assign((n: number): number => fib.memo[n] ??= n < 2 ? n : fib(n - 1) + fib(n - 2), {
    memo: {} as Record<number, number>,
  });
  class Bank {
    static cache = new Map<string, Tensor>();
    static get(key: string, make: () => Tensor): Tensor {
      let t = Bank.cache.get(key);
      if (t === undefined) Bank.cache.set(key, t = make());
      return t;
    }
  }
  const f = compile((x: Tensor, n: number) => Bank.get(`w${n % 2}`, () => x.mul(3)).add(fib(n + 5)));
  return (round) => [f(vec(round), round), Object.keys(fib.memo).length, Bank.cache.size];
});

idiom("a lazily filled private cache, cleared by a method", "graph", (compile) => {
  class Rope {
    #table: Tensor | null = null;
    #length = 0;
    at(n: number): Tensor {
      if (this.#table === null || this.#length < n) {
        this.#table = vec(1, n).cos();
        this.#length = n;
      }
      return this.#table.narrow(0, 0, n);
    }
    clear(): void {
      this.#table = null;
    }
    get cached(): number {
      return this.#length;
    }
  }
  const rope = new Rope();
  const f = compile((x: Tensor, n: number) => x.narrow(0, 0, n).mul(rope.at(n)));
  return (round) => {
    if (round === 3) rope.clear();
    return [f(vec(round, 4), [2, 3, 2, 4][round] ?? 1), rope.cached];
  };
});

idiom("a function that gives a promise without being asynchronous", "segments", (compile) => {
  const f = compile((x: Tensor) => Promise.resolve(x.mul(2)).then((y) => y.add(1)));
  return async (round) => await f(vec(round));
});

idiom("a generator as result, walked outside", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    return (function* () {
      yield y;
      yield y.add(1);
    })();
  });
  return (round) => [...f(vec(round))];
});

idiom("rows of a tensor: iteration, spread of shapes, indices", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const [rows = 0, columns = 0] = x.shape;
    let sum = zeros([Number(columns)]);
    for (let i = 0; i < Number(rows); i++) sum = sum.add(x.at(i).mul(i + 1));
    const dims = [...x.shape].map((s, i) => `${i}:${s}`).join("x");
    return { sum, dims, product: x.shape.reduce<number>((a, b) => a * Number(b), 1), json: JSON.stringify(x.shape) };
  });
  return (round) => f(mat(round, 2 + round % 2, 3));
});

idiom("tensors made from options that change", "graph", (compile) => {
  const options = { weights: [1, 2, 3], nested: [[1], [2]] };
  const f = compile((x: Tensor) => x.mul(tensor(options.weights)).add(tensor(options.nested).sum()));
  return (round) => {
    if (round === 1) options.weights[1] = 7;
    if (round === 2) options.nested = [[5], [6], [7]];
    return f(vec(round));
  };
});

idiom("switch with default in the middle, fall through and blocks of functions", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    let y = hoisted(x);
    switch (k) {
      // @ts-expect-error: falls through on purpose
      case 0:
        y = y.add(1);
        // falls through
      // @ts-expect-error: falls through on purpose
      default:
        y = y.mul(2);
        // falls through
      case 1: {
        const local = (t: Tensor): Tensor => t.sub(k);
        y = local(y);
        break;
      }
      case 2:
        y = y.neg();
    }
    function hoisted(t: Tensor): Tensor {
      return t.add(k * 100);
    }
    return y;
  });
  return (round) => f(vec(round), round);
});

idiom("logical assignment to properties with getters and setters", "graph", (compile) => {
  const log: string[] = [];
  const target = {
    value: 0 as number | null,
    get gain(): number | null {
      log.push("get");
      return this.value;
    },
    set gain(v: number | null) {
      log.push(`set ${v}`);
      this.value = v;
    },
  };
  const f = compile((x: Tensor) => {
    target.gain ??= 5;
    target.gain ||= 3;
    target.gain &&= (target.gain ?? 0) + 1;
    return x.mul(target.gain ?? 1);
  });
  return (round) => {
    if (round === 2) target.value = null;
    return [f(vec(round)), log.splice(0)];
  };
});

idiom("results that hold instances from outside, with tensors in them", "graph", (compile) => {
  class State {
    constructor(public h: Tensor, public steps = 0) {}
    next(x: Tensor): State {
      return Object.assign(Object.create(State.prototype) as State, { h: this.h.add(x), steps: this.steps + 1 });
    }
  }
  let state = new State(zeros([3]));
  const first = state;
  const f = compile((s: State, x: Tensor) => {
    const next = s.next(x);
    return { next, spread: { ...next }, isState: next instanceof State, outer: first };
  });
  return (round) => {
    const { next, spread, isState, outer } = f(state, vec(round));
    state = next;
    return [next.steps, next.h, Object.keys(spread), isState, outer === first, next instanceof State];
  };
});

idiom("gradients cleared, frozen and asked for inside", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const v = nn.parameter(vec(2));
  const f = compile((x: Tensor, frozen: boolean) => {
    w.grad = null;
    v.requiresGrad = !frozen;
    const y = w.mul(x).add(v);
    y.sum().backward();
    return [y.detach(), w.grad, v.requiresGrad];
  });
  return (round) => {
    v.grad = null;
    return [f(vec(round), round === 2), v.grad];
  };
});

idiom("an outer list of tensors that is emptied and refilled with its own results", "graph", (compile) => {
  const stack: Tensor[] = [vec(1), vec(2), vec(3)];
  const f = compile((x: Tensor) => {
    while (stack.length > 1) {
      const [a, b] = [stack.pop() as Tensor, stack.pop() as Tensor];
      stack.push(a.sub(b));
    }
    stack.unshift(x);
    return stack.length;
  });
  return (round) => [f(vec(round)), stack.map((t) => t.sum())];
});

idiom("callbacks that are called later see what the function left behind", "segments", (compile) => {
  const later: (() => number)[] = [];
  const f = compile((x: Tensor) => {
    let n = x.ndim;
    later.push(() => ++n);
    return x.mul(n);
  });
  return (round) => [f(vec(round)), later.map((g) => g())];
});

idiom("an options object with a prototype of defaults and overrides", "graph", (compile) => {
  const defaults = { k: 1, nested: { b: 2 } };
  const options = Object.create(defaults) as typeof defaults;
  const f = compile((x: Tensor) => {
    const k = options.k;
    options.k += 1;
    return { y: x.mul(k).add(options.nested.b), own: Object.keys(options) };
  });
  return (round) => {
    if (round === 2) Reflect.deleteProperty(options, "k");
    if (round === 3) defaults.nested = { b: 7 };
    return [f(vec(round)), options.k, defaults.k];
  };
});

idiom("what is printed and what is written, in order", "graph", (compile) => {
  const trail: string[] = [];
  const f = compile((x: Tensor, k: number) => {
    trail.push(`before ${k}`);
    // deno-lint-ignore no-console
    console.log("middle", k, x.ndim);
    trail.push(`after ${k}`);
    return x.add(k);
  });
  return (round) => [f(vec(round), round), [...trail]];
});

idiom("a tensor as a key that is found again, added and removed", "graph", (compile) => {
  const visits = new Map<Tensor, number>();
  const [a, b] = [vec(1), vec(2)];
  const f = compile((x: Tensor, key: Tensor) => {
    visits.set(key, (visits.get(key) ?? 0) + 1);
    const n = visits.get(key) ?? 0;
    if (n > 2) visits.delete(key);
    return x.mul(n).add(key);
  });
  return (round) => [f(vec(round), round % 2 === 0 ? a : b), visits.size, visits.get(a) ?? null, visits.has(b)];
});

idiom("a budget that ends: the last call is another one", "graph", (compile) => {
  const budget = { left: 5 };
  const f = compile((x: Tensor) => {
    if (budget.left <= 0) throw new RangeError(`nothing left of ${budget.left}`);
    budget.left -= 1;
    return budget.left === 0 ? x.neg() : x.mul(budget.left);
  });
  return (round) => {
    try {
      return [f(vec(round)), budget.left];
    } catch (error) {
      return [String(error), budget.left];
    }
  };
});
