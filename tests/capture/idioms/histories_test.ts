/** Idioms: lists outside that calls append to, looked at and not; iterators that are closed; pipelines, middleware, stores, undo. */
import assert from "node:assert/strict";
import { captureStats, compile as compileIt } from "../../../src/capture/mod.ts";
import { type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("a history of losses and lines that grows at each call", "graph", (compile) => {
  const history: Tensor[] = [];
  const state = { lines: [] as string[] };
  let calls = 0;
  const f = compile((x: Tensor) => {
    history.push(x.sum(), x);
    state.lines.push("a");
    calls++;
    state.lines.push("b");
    return x.mul(2);
  });
  return (round) => [f(vec(round)), [...history], state.lines.join(), calls];
});

idiom("a list that is appended to, looked at, and appended to again", "graph", (compile) => {
  const list: number[] = [];
  const f = compile((x: Tensor, n: number) => {
    list.push(n);
    if (list.length > 3) list.shift();
    list.push(n + 10);
    return x.mul(list[0] ?? 0).add(list.length);
  });
  return (round) => [f(vec(round), round), [...list]];
});

idiom("a list that is appended to and walked behind", "graph", (compile) => {
  const list: Tensor[] = [];
  const f = compile((x: Tensor) => {
    list.push(x);
    let sum = x;
    for (const t of list) sum = sum.add(t);
    list.push(sum);
    return [sum, [...list].length];
  });
  return (round) => {
    if (list.length > 4) list.length = 0;
    return [f(vec(round)), list.length];
  };
});

idiom("an argument that is appended to and returned", "graph", (compile) => {
  const f = compile((x: Tensor, out: Tensor[]) => {
    out.push(x.neg());
    return out;
  });
  return (round) => {
    const out = Array.from({ length: round }, () => vec(round));
    return [f(vec(round), out) === out, out];
  };
});

idiom("an instance with a history, and a private one", "graph", (compile) => {
  class Model {
    history: number[] = [];
    #names: string[] = [];
    step(x: Tensor, n: number): Tensor {
      this.history.push(n);
      this.#names.push(`s${n}`);
      return x.add(1);
    }
    get text(): string {
      return `${this.history} ${this.#names}`;
    }
  }
  const model = new Model();
  const f = compile((x: Tensor, n: number) => model.step(x, n));
  return (round) => [f(vec(round), round), model.text];
});

idiom("one list under several names", "graph", (compile) => {
  const list: number[] = [];
  const state = { a: list, b: list };
  const f = compile((x: Tensor) => {
    state.a.push(1);
    state.b.push(2);
    list.push(3);
    return x.add(state.b === state.a ? 1 : 2);
  });
  return (round) => [f(vec(round)), list.join()];
});

idiom("a list with a push of its own, which is frozen later", "graph", (compile) => {
  const list: number[] = [];
  const f = compile((x: Tensor) => {
    list.push(1);
    return x.add(1);
  });
  return (round) => {
    if (round === 2) {
      Object.defineProperty(list, "push", {
        configurable: true,
        value(this: number[], v: number): number {
          return Array.prototype.push.call(this, v * 100);
        },
      });
    }
    if (round === 3) Object.freeze(list);
    try {
      return [f(vec(round)), [...list]];
    } catch (error) {
      return [String(error), [...list]];
    }
  };
});

idiom("a push that is no list's, and a list made inside", "graph", (compile) => {
  const queue = {
    n: 0,
    push(v: number): void {
      this.n += v;
    },
  };
  const f = compile((x: Tensor, n: number) => {
    const list: Tensor[] = [];
    list.push(x);
    list.push(x.add(n));
    queue.push(n);
    return list;
  });
  return (round) => [f(vec(round), round), queue.n];
});

idiom("lines appended in branches that throw", "graph", (compile) => {
  const lines: string[] = [];
  const f = compile((x: Tensor, n: number) => {
    lines.push("in");
    if (n === 2) {
      lines.push("bad");
      throw new Error("no");
    }
    try {
      lines.push("try");
    } finally {
      lines.push("finally");
    }
    return x;
  });
  return (round) => {
    try {
      return [f(vec(round), round), lines.join()];
    } catch (error) {
      return [String(error), lines.join()];
    }
  };
});

idiom("a list that is missing at first", "graph", (compile) => {
  const state: { list: string[] | undefined } = { list: undefined };
  const f = compile((x: Tensor) => {
    try {
      (state.list as string[]).push("a");
    } catch (error) {
      return [String(error), x];
    }
    return x.add(1);
  });
  return (round) => {
    if (round === 2) state.list = [];
    return [f(vec(round)), state.list?.length];
  };
});

idiom("one record that is appended and returned", "graph", (compile) => {
  const records: object[] = [];
  const f = compile((x: Tensor) => {
    const record = { x, total: x.sum() };
    records.push(record);
    return record;
  });
  return (round) => {
    const record = f(vec(round));
    return [record === records.at(-1), records.length, record];
  };
});

idiom("own iterators that are closed by a label's break and by patterns", "graph", (compile) => {
  let closed = 0;
  const upTo = (n: number): Iterable<number> => ({
    [Symbol.iterator]() {
      let i = 0;
      return {
        next: () => ({ value: i, done: i++ >= n }),
        return(value?: unknown) {
          closed++;
          return { value, done: true as const };
        },
      } as Iterator<number>;
    },
  });
  const f = compile((x: Tensor, n: number) => {
    const [a = 0, b = 0] = upTo(5);
    let y = x.add(a + b);
    outer: for (const i of upTo(4)) {
      for (const j of upTo(n)) {
        if (i * j > 2) break outer;
        if (j > i) continue outer;
        y = y.add(i + 10 * j);
      }
    }
    return y;
  });
  return (round) => [f(vec(round), round + 1), closed];
});

idiom("middleware that calls the next, some of it taken out", "graph", (compile) => {
  type Layer = (x: Tensor, next: (x: Tensor) => Tensor) => Tensor;
  const seen: string[] = [];
  const layers: Layer[] = [
    (x, next) => {
      seen.push("<");
      const y = next(x.add(1));
      seen.push(">");
      return y;
    },
    (x, next) => next(x).mul(2),
    (x, next) => x.ndim > 1 ? next(x) : x.neg(),
  ];
  const from = (i: number) => (x: Tensor): Tensor => layers[i]?.(x, from(i + 1)) ?? x;
  const f = compile((x: Tensor) => from(0)(x));
  return (round) => {
    if (round === 2 && layers.length === 3) layers.splice(1, 1);
    return [f(round === 1 ? mat(round) : vec(round)), seen.splice(0).join()];
  };
});

idiom("listeners that are there once, and others", "graph", (compile) => {
  class Emitter {
    readonly listeners = new Set<(x: Tensor) => void>();
    on(listener: (x: Tensor) => void): () => void {
      this.listeners.add(listener);
      return () => void this.listeners.delete(listener);
    }
    once(listener: (x: Tensor) => void): void {
      const off = this.on((x) => {
        off();
        listener(x);
      });
    }
    emit(x: Tensor): void {
      for (const listener of this.listeners) listener(x);
    }
  }
  const emitter = new Emitter();
  const got: Tensor[] = [];
  emitter.on((x) => void got.push(x));
  emitter.once((x) => void got.push(x.neg()));
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    emitter.emit(y);
    return y;
  });
  return (round) => [f(vec(round)), got.splice(0), emitter.listeners.size];
});

idiom("a memory of the last two by name, the oldest goes", "graph", (compile) => {
  const kept = new Map<string, Tensor>();
  const get = (name: string, make: () => Tensor): Tensor => {
    const found = kept.get(name);
    if (found !== undefined) kept.delete(name);
    else if (kept.size >= 2) { for (const oldest of [...kept.keys()].slice(0, 1)) kept.delete(oldest); }
    const value = found ?? make();
    kept.set(name, value);
    return value;
  };
  const f = compile((x: Tensor, n: number) => get(`p${n}`, () => x.mul(n + 1)).add(x));
  return (round) => [f(vec(round), round), [...kept.keys()]];
});

idiom("a store with subscribers and immutable states that share parts", "graph", (compile) => {
  let state = { a: { w: vec(1), k: 1 }, b: { w: vec(2) } };
  const seen: number[] = [];
  const update = (k: number, w: Tensor): void => {
    state = { ...state, a: { w, k } };
    seen.push(k);
  };
  const f = compile((x: Tensor) => {
    const before = state;
    update(before.a.k === 8 ? 1 : before.a.k * 2, before.a.w.add(x));
    return [state.a.w, state.b === before.b, state.a === before.a];
  });
  return (round) => [f(vec(round)), state.a.k, seen.length];
});

idiom("undo: states pushed and taken back", "graph", (compile) => {
  const state = { value: zeros([3]) };
  const undo: Tensor[] = [];
  const f = compile((x: Tensor, goesBack: boolean) => {
    const last = goesBack ? undo.pop() : undefined;
    if (last === undefined) {
      undo.push(state.value);
      state.value = state.value.add(x);
    } else state.value = last;
    return state.value.mul(2);
  });
  return (round) => [f(vec(round), round === 2), undo.length];
});

Deno.test("a history that grows with each call takes one graph", () => {
  const losses: Tensor[] = [];
  const lines: string[] = [];
  const f = compileIt((x: Tensor) => {
    const loss = x.pow(2).sum();
    losses.push(loss);
    lines.push("step");
    return loss;
  }, { backend: "eager", fullgraph: true });
  const x = tensor([1, 2.5]);
  for (let i = 0; i < 100; i++) f(x);
  assert.deepEqual([captureStats(f).entries, captureStats(f).traced, losses.length, lines.length], [1, 1, 100, 100]);
  assert.equal(Number(losses[99]?.item()), 7.25);
});
