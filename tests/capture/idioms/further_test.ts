/** Idioms: further corners: instances made inside, engine classes extended, reflection, asynchronous order, failures in the middle. */
import { int64 } from "../../../src/core/mod.ts";
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import { F, noGrad, ones, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("instances made inside that count themselves in a static", "segments", (compile) => {
  class Token {
    static made = 0;
    readonly id: number;
    constructor(readonly k: number) {
      this.id = ++Token.made;
    }
  }
  const f = compile((x: Tensor, n: number) => {
    const tokens = Array.from({ length: n }, (_, i) => new Token(i));
    return { y: tokens.reduce((y, t) => y.add(t.k * t.id), x), last: tokens.at(-1)?.id ?? null };
  });
  return (round) => {
    if (round === 3) Token.made = 0;
    return [f(vec(round), round), Token.made];
  };
});

idiom("a class of vectors with operators by name, made and chained inside", "graph", (compile) => {
  class V {
    constructor(readonly t: Tensor, readonly path: readonly string[] = []) {}
    static of(t: Tensor): V {
      return new V(t);
    }
    mul(k: number): V {
      return new V(this.t.mul(k), [...this.path, `*${k}`]);
    }
    get norm(): Tensor {
      return this.t.pow(2).sum().sqrt();
    }
    [Symbol.toPrimitive](hint: string): string {
      return hint === "string" ? this.path.join("") : "v";
    }
  }
  const f = compile((x: Tensor, k: number) => {
    const v = V.of(x).mul(2).mul(k);
    return { norm: v.norm, text: `${v}`, plus: v + "!" };
  });
  return (round) => f(vec(round), round);
});

idiom("an EventTarget of the engine", "graph", (compile) => {
  const target = new EventTarget();
  const seen: string[] = [];
  target.addEventListener("step", (e) => seen.push((e as CustomEvent<number>).type));
  const f = compile((x: Tensor) => {
    target.dispatchEvent(new Event("step"));
    return x.mul(2);
  });
  return (round) => [f(vec(round)), seen.splice(0)];
});

idiom("reflection on outer objects: Reflect.has, get, set, ownKeys, apply", "graph", (compile) => {
  const options: Record<string, unknown> = { k: 2, scale: (x: Tensor, by: number): Tensor => x.mul(by) };
  const f = compile((x: Tensor) => {
    const k = Reflect.has(options, "k") ? Reflect.get(options, "k") as number : 0;
    Reflect.set(options, "calls", ((Reflect.get(options, "calls") as number | undefined) ?? 0) + 1);
    const y = Reflect.apply(options["scale"] as (x: Tensor, by: number) => Tensor, undefined, [x, k]);
    return { y, keys: Reflect.ownKeys(options).length, proto: Reflect.getPrototypeOf(options) === Object.prototype };
  });
  return (round) => {
    if (round === 2) options["k"] = 9;
    if (round === 3) Reflect.deleteProperty(options, "k");
    return [f(vec(round)), options["calls"]];
  };
});

idiom("asynchronous order: two calls under way, awaits between writes", "segments", (compile) => {
  const order: string[] = [];
  let shared = zeros([3]);
  const f = compile(async (x: Tensor, name: string) => {
    order.push(`${name} begins`);
    shared = shared.add(x);
    await Promise.resolve();
    order.push(`${name} goes on`);
    const y = shared.mul(2);
    await Promise.resolve();
    order.push(`${name} ends`);
    return y.sum().item() > 10 ? y : y.neg();
  });
  return async (round) => {
    const both = await Promise.all([f(vec(round), "a"), f(vec(1), "b")]);
    return [both, order.splice(0), shared];
  };
});

idiom("Promise.race, allSettled and a rejection that is caught later", "segments", (compile) => {
  const f = compile(async (x: Tensor, k: number) => {
    const work = async (i: number): Promise<Tensor> => {
      await Promise.resolve();
      if (i === k) throw new Error(`work ${i}`);
      return x.mul(i + 1);
    };
    const settled = await Promise.allSettled([work(0), work(1), work(2)]);
    const first = await Promise.race([work(5), work(6)]);
    return {
      sums: settled.map((s) => s.status === "fulfilled" ? s.value.sum() : (s.reason as Error).message),
      first,
    };
  });
  return (round) => f(vec(round), round);
});

idiom("for await over promises of tensors, with a finally", "segments", (compile) => {
  const log: string[] = [];
  const f = compile(async (x: Tensor) => {
    let sum = zeros([3]);
    try {
      for await (const part of [Promise.resolve(x), x.mul(2), Promise.resolve(x.neg())]) {
        sum = sum.add(part.relu());
        if (sum.sum().item() > 6) throw new RangeError("enough");
      }
    } catch (error) {
      log.push((error as Error).message);
    } finally {
      log.push("done");
    }
    return sum;
  });
  return async (round) => [await f(vec(round)), log.splice(0)];
});

idiom("failures in the middle of a training step leave what was done", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const opt = new optim.SGD([w], { lr: 0.1 });
  let steps = 0;
  const f = compile((x: Tensor, fails: boolean) => {
    w.mul(x).sum().backward();
    steps++;
    if (fails) throw new Error(`step ${steps}`);
    opt.step();
    opt.zeroGrad();
    return steps;
  });
  return (round) => {
    try {
      return [f(vec(round), round === 2), w.detach().clone(), w.grad];
    } catch (error) {
      return [String(error), w.detach().clone(), w.grad, steps];
    }
  };
});

idiom("in place on arguments through aliases of the caller", "segments", (compile) => {
  const f = compile((xs: Tensor[]) => {
    xs.forEach((x, i) => x.add_(i + 1));
    return xs.map((x) => x.sum());
  });
  return (round) => {
    const base = vec(round, 6);
    const parts = [base.narrow(0, 0, 4), base.narrow(0, 2, 4), base];
    return [f(round % 2 === 0 ? parts : [vec(1), vec(2), vec(3)]), base];
  };
});

idiom("a sort that is stable, by two keys, of tensors with options", "graph", (compile) => {
  const items = [{ t: vec(1), rank: 2 }, { t: vec(2), rank: 1 }, { t: vec(3), rank: 2 }];
  const f = compile((x: Tensor) => {
    const sorted = [...items].sort((a, b) => a.rank - b.rank);
    items.reverse();
    return sorted.reduce((y, { t }, i) => y.add(t.mul(i + 1)), x);
  });
  return (round) => {
    if (round === 2) items.push({ t: vec(9), rank: 1 });
    return [f(vec(round)), items.map((i) => i.rank)];
  };
});

idiom("labels as integers, one hot, a loss by hand, accuracy read", "segments", (compile) => {
  const w = nn.parameter(mat(0, 3, 2).sin());
  let right = 0;
  const f = compile((x: Tensor, labels: Tensor) => {
    const logits = x.mm(w);
    const oneHot = F.oneHot(labels, 2).to(logits.dtype);
    const loss = logits.logSoftmax(1).mul(oneHot).sum().neg();
    right += logits.argmax(1).eq(labels).sum().item();
    return loss;
  });
  return (round) => [f(mat(round), tensor([round % 2, 1], { dtype: int64 })), right];
});

idiom("a registry of constructors by name, with options merged deeply", "graph", (compile) => {
  const registry: Record<string, (o: { k: number; inner: { b: number } }) => (x: Tensor) => Tensor> = {
    scale: ({ k }) => (x) => x.mul(k),
    shift: ({ inner: { b } }) => (x) => x.add(b),
  };
  const defaults = { k: 2, inner: { b: 1 } };
  const build = (name: string, o: { k?: number; inner?: { b?: number } }): (x: Tensor) => Tensor => {
    const make = registry[name];
    if (make === undefined) throw new TypeError(`no layer ${name}; there are ${Object.keys(registry).join()}`);
    return make({ ...defaults, ...o, inner: { ...defaults.inner, ...o.inner } });
  };
  const f = compile((x: Tensor, spec: [string, { k?: number; inner?: { b?: number } }][]) =>
    spec.map(([name, o]) => build(name, o)).reduce((y, layer) => layer(y), x)
  );
  return (round) => {
    try {
      if (round === 3) registry["scale"] = ({ k }) => (x) => x.mul(-k);
      return f(vec(round), [
        ["scale", { k: round }],
        ["shift", { inner: { b: 3 } }],
        ...(round === 2 ? [["none", {}] as [string, object]] : []),
      ]);
    } catch (error) {
      return String(error);
    }
  };
});

idiom("a state machine of transitions, with history and guards", "graph", (compile) => {
  type State = "idle" | "warm" | "run";
  const machine = { state: "idle" as State, history: [] as State[] };
  const next: Record<State, (k: number) => State> = {
    idle: (k) => k > 0 ? "warm" : "idle",
    warm: (k) => k > 1 ? "run" : "idle",
    run: () => "warm",
  };
  const f = compile((x: Tensor, k: number) => {
    machine.history.push(machine.state);
    if (machine.history.length > 3) machine.history.shift();
    machine.state = next[machine.state](k);
    return x.mul(["idle", "warm", "run"].indexOf(machine.state) + 1);
  });
  return (round) => [f(vec(round), round), machine.state, [...machine.history]];
});

idiom("tensors in nested Maps of Maps, made on demand", "graph", (compile) => {
  const grid = new Map<number, Map<string, Tensor>>();
  const at = (row: number, column: string): Tensor => {
    let line = grid.get(row);
    if (line === undefined) grid.set(row, line = new Map());
    let t = line.get(column);
    if (t === undefined) line.set(column, t = ones([3]).mul(row));
    return t;
  };
  const f = compile((x: Tensor, row: number) => {
    const y = at(row, "a").add(at(row, "b"));
    grid.get(row)?.set("a", y.mul(0.5));
    return x.add(y);
  });
  return (round) => [f(vec(round), round % 2), [...grid].map(([k, v]) => [k, v.size])];
});

idiom("weights normalised in place before use, under noGrad", "graph", (compile) => {
  const w = nn.parameter(mat(1, 2, 3));
  const f = compile((x: Tensor) => {
    noGrad(() => w.div_(w.pow(2).sum().sqrt()));
    return x.mm(w.t()).sum();
  });
  return (round) => {
    w.grad = null;
    const y = f(mat(round));
    y.backward();
    return [y, w.grad, w.detach().clone()];
  };
});

idiom("a recurrent loop whose length is that of the input", "graph", (compile) => {
  const w = nn.parameter(mat(0, 3, 3).sin());
  const f = compile((x: Tensor) => {
    let h = zeros([1, 3]);
    const outs: Tensor[] = [];
    for (let t = 0; t < Number(x.shape[0]); t++) {
      h = x.narrow(0, t, 1).add(h.mm(w)).tanh();
      outs.push(h);
    }
    return F.cat(outs, 0);
  });
  return (round) => f(mat(round, 2 + round, 3));
});

idiom("getters that draw or count while they are read", "segments", (compile) => {
  let n = 0;
  const source = {
    get fresh(): number {
      return Math.floor(Math.random() * 4);
    },
    get next(): number {
      return n++;
    },
  };
  const f = compile((x: Tensor) => x.mul(source.fresh).add(source.next));
  return (round) => [f(vec(round)), n];
});

idiom("a compiled method that another instance inherits", "graph", (compile) => {
  class Base {
    k = 2;
    run = compile((x: Tensor) => x.mul(this.k).add(this.offset()));
    offset(): number {
      return 1;
    }
  }
  class Derived extends Base {
    override offset(): number {
      return this.k * 10;
    }
  }
  const objects = [new Base(), new Derived()];
  return (round) => {
    const o = objects[round % 2] as Base;
    if (round === 2) o.k = 5;
    return o.run(vec(round));
  };
});

idiom("a big switch by strings of a template, and nested maps of functions", "graph", (compile) => {
  const f = compile((x: Tensor, kind: string, k: number) => {
    const key = `${kind}-${k % 2 ? "odd" : "even"}`;
    switch (key) {
      case "a-odd":
        return x.mul(3);
      case `a-${"even"}`:
        return x.mul(2);
      default:
        return new Map([["b", (t: Tensor) => t.neg()], ["c", (t: Tensor) => t.add(k)]]).get(kind)?.(x) ?? null;
    }
  });
  return (round) => f(vec(round), "aabc"[round] ?? "d", round);
});

idiom("arrays of numbers as state: running means by hand, Math.max of spread", "graph", (compile) => {
  const history: number[] = [];
  const f = compile((x: Tensor, value: number) => {
    history.push(value);
    if (history.length > 3) history.splice(0, history.length - 3);
    const mean = history.reduce((a, b) => a + b, 0) / history.length;
    return x.mul(mean).add(Math.max(...history)).sub(Math.min.apply(null, history));
  });
  return (round) => [f(vec(round), round * 2), [...history]];
});
