/** Idioms: effects and their order: outer state in unusual places, errors in the middle, finally, reentrance, calls within calls. */
import { F, noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

let moduleCount = 0;
let moduleLast: Tensor | null = null;
function countUp(by: number): number {
  moduleCount += by;
  return moduleCount;
}

idiom("a module-level counter that three functions change", "graph", (compile) => {
  moduleCount = 0;
  moduleLast = null;
  const twice = (): number => countUp(1) + countUp(1);
  const f = compile((x: Tensor) => {
    const k = twice();
    if (k > 9) moduleCount = 0;
    moduleLast = x.mul(k);
    return moduleLast.add(1);
  });
  return (round) => {
    if (round === 2) countUp(3);
    return [f(vec(round)), moduleCount, moduleLast];
  };
});

idiom("finally that counts, on return, on throw and on break of a loop", "graph", (compile) => {
  const log: string[] = [];
  const f = compile((x: Tensor, k: number) => {
    let y = x;
    for (let i = 0; i < 3; i++) {
      try {
        if (i === k) break;
        if (k === 3 && i === 1) throw new RangeError(`at ${i}`);
        y = y.add(i + 1);
        continue;
      } catch (error) {
        log.push((error as Error).message);
      } finally {
        log.push(`end ${i}`);
        y = y.mul(2);
      }
    }
    return y;
  });
  return (round) => [f(vec(round), round), log.splice(0)];
});

idiom("an error in the middle: what was assigned before stays, later does not happen", "graph", (compile) => {
  const state = { before: 0, after: 0, t: zeros([3]) };
  const f = compile((x: Tensor, k: number) => {
    state.before++;
    state.t.add_(x);
    if (k === 2) throw new TypeError("two");
    state.after++;
    return x.mul(k);
  });
  return (round) => {
    try {
      return [f(vec(round), round), { ...state }];
    } catch (error) {
      return [(error as Error).name, (error as Error).message, { ...state }];
    }
  };
});

idiom("the order of evaluation: arguments, computed keys, compound assignment", "graph", (compile) => {
  const log: string[] = [];
  const note = <T>(name: string, value: T): T => {
    log.push(name);
    return value;
  };
  const state: Record<string, number> = { a: 1 };
  const f = compile((x: Tensor, k: number) => {
    state[note("key", "a")] = (state["a"] as number) + note("value", k);
    const o = { [note("first", "p")]: note("second", 2), [note("third", "q")]: 3 };
    const y = note("x", x).mul(note("k", o["p"] as number)).add(note("q", o["q"] as number));
    return note("last", y).add(state["a"] as number);
  });
  return (round) => [f(vec(round), round), log.splice(0), state["a"]];
});

idiom("a compiled function that calls itself through its compiled name", "graph", (compile) => {
  const depth: number[] = [];
  const f: (x: Tensor, n: number) => Tensor = compile((x: Tensor, n: number): Tensor => {
    depth.push(n);
    return n <= 0 ? x : f(x.mul(2), n - 1).add(n);
  });
  return (round) => [f(vec(round), round), depth.splice(0)];
});

idiom("compile inside of a compiled function", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const g = (t: Tensor): Tensor => t.mul(k).add(1);
    return g(g(x));
  });
  const h = compile((x: Tensor, k: number) => f(x, k).add(f(x, k + 1)));
  return (round) => h(vec(round), round);
});

idiom("a callback given to the function stores what it sees in an outer Map", "graph", (compile) => {
  const seen = new Map<string, Tensor>();
  const f = compile((x: Tensor, visit: (name: string, t: Tensor) => void) => {
    const a = x.mul(2);
    visit("a", a);
    const b = a.exp();
    visit("b", b);
    return b.sum();
  });
  const visit = (name: string, t: Tensor): void => void seen.set(name, t);
  return (round) => {
    seen.clear();
    return [f(vec(round), visit), [...seen]];
  };
});

idiom("an undo stack of closures made inside and run outside", "segments", (compile) => {
  const undo: (() => void)[] = [];
  const state = { k: 1 };
  const f = compile((x: Tensor, k: number) => {
    const before = state.k;
    state.k = k;
    undo.push(() => void (state.k = before));
    return x.mul(state.k).add(before);
  });
  return (round) => {
    const y = f(vec(round), round + 2);
    const during = state.k;
    if (round === 1) undo.pop()?.();
    return [y, during, state.k, undo.length];
  };
});

idiom("console.log of objects, tensors and sizes in a loop with a condition", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    for (let i = 0; i < k; i++) {
      // deno-lint-ignore no-console
      if (i % 2 === 0) console.log("step", i, { i, shape: [...x.shape] });
    }
    // deno-lint-ignore no-console
    console.warn("sum", x.sum());
    return x.mul(k);
  });
  return (round) => f(vec(round), round + 1);
});

idiom("a once-only initialiser that leaves a flag", "graph", (compile) => {
  let ready = false;
  let table: Tensor | null = null;
  const init = (): void => {
    if (ready) return;
    ready = true;
    table = tensor([1, 2, 3]);
  };
  const f = compile((x: Tensor) => {
    init();
    return x.mul(table as Tensor);
  });
  return (round) => {
    if (round === 2) ready = false;
    return [f(vec(round)), ready, table];
  };
});

idiom("debounce by a call count, and a result that is sometimes undefined", "graph", (compile) => {
  let calls = 0;
  const f = compile((x: Tensor) => {
    if (++calls % 3 !== 0) return undefined;
    return x.mul(calls);
  });
  return (round) => [f(vec(round)), calls];
});

idiom("an array that is both argument and outer variable", "graph", (compile) => {
  const shared: number[] = [1];
  const f = compile((x: Tensor, list: number[]) => {
    list.push(list.length);
    shared.push(100);
    return x.mul(shared.length).add(list.reduce((a, b) => a + b, 0));
  });
  return (round) => {
    if (shared.length > 8) shared.length = 1;
    return [f(vec(round), round % 2 === 0 ? shared : [round]), [...shared]];
  };
});

idiom("an error class with state, thrown deep, translated and rethrown with a cause", "graph", (compile) => {
  class ShapeProblem extends Error {
    constructor(readonly at: number, cause: unknown) {
      super(`problem at ${at}`, { cause });
      this.name = "ShapeProblem";
    }
  }
  let handled = 0;
  const inner = (k: number): number => {
    if (k === 2) throw new RangeError("inner");
    return k;
  };
  const f = compile((x: Tensor, k: number) => {
    try {
      return x.mul(inner(k));
    } catch (error) {
      handled++;
      throw new ShapeProblem(k, error);
    }
  });
  return (round) => {
    try {
      return [f(vec(round), round), handled];
    } catch (error) {
      const e = error as ShapeProblem;
      return [e instanceof ShapeProblem, e.at, (e.cause as Error).message, handled];
    }
  };
});

idiom("noGrad with an early return, and enableGrad again after it", "graph", (compile) => {
  const w = tensor([1, 2, 3.5], { requiresGrad: true });
  const f = compile((x: Tensor, k: number) => {
    const frozen = noGrad(() => {
      if (k === 0) return x;
      const y = x.mul(w);
      if (k === 1) return y;
      return y.add(w);
    });
    return frozen.mul(w).sum();
  });
  return (round) => {
    w.grad = null;
    const y = f(vec(round), round);
    y.backward();
    return [y, w.grad];
  };
});

idiom("noGrad left by an exception: gradients are on again", "graph", (compile) => {
  const w = tensor([1, 2, 3.5], { requiresGrad: true });
  const f = compile((x: Tensor, k: number) => {
    try {
      noGrad(() => {
        if (k > 0) throw new Error("left");
      });
    } catch {
      // Goes on.
    }
    return x.mul(w).sum();
  });
  return (round) => {
    w.grad = null;
    const y = f(vec(round), round);
    y.backward();
    return [y.requiresGrad, w.grad];
  };
});

idiom("two compiled functions that write one buffer through different views", "graph", (compile) => {
  const buffer = zeros([2, 3]);
  const rows = compile((x: Tensor) => {
    buffer.select(0, 0).copy_(x);
    return buffer.sum();
  });
  const columns = compile((k: number) => {
    buffer.select(1, 2).fill_(k);
    return buffer.mul(2);
  });
  return (round) => [rows(vec(round)), columns(round), buffer];
});

idiom("in place through a transposed view, then its base is read and returned", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const t = x.t();
    t.select(0, 1).mul_(k);
    t.add_(1);
    return [x, t, x.select(0, 1), t.contiguous()];
  });
  return (round) => {
    const x = mat(round);
    const out = f(x, round);
    return [x, out, out[0] === x];
  };
});

idiom("a view returned, written by the caller, seen in the kept base", "graph", (compile) => {
  const kept: { base: Tensor | null } = { base: null };
  const f = compile((x: Tensor) => {
    const base = x.mul(2);
    kept.base = base;
    return base.narrow(0, 1, 2);
  });
  return (round) => {
    const view = f(vec(round));
    view.add_(100);
    return [view, kept.base];
  };
});

idiom("a memo that fails the first time: the exception is not kept", "graph", (compile) => {
  const memo = new Map<number, Tensor>();
  let tries = 0;
  const load = (k: number): Tensor => {
    const hit = memo.get(k);
    if (hit !== undefined) return hit;
    if (++tries === 2) throw new Error("not yet");
    const made = F.ones([3]).mul(k + tries);
    memo.set(k, made);
    return made;
  };
  const f = compile((x: Tensor, k: number) => x.add(load(k)));
  return (round) => {
    try {
      return [f(vec(round), round), tries, memo.size];
    } catch (error) {
      return [(error as Error).message, tries, memo.size];
    }
  };
});

idiom("sort with a comparator that counts, and sort of objects with ties", "graph", (compile) => {
  let compared = 0;
  const rows = [{ k: 2, id: "a" }, { k: 1, id: "b" }, { k: 2, id: "c" }];
  const f = compile((x: Tensor) => {
    const sorted = rows.toSorted((a, b) => {
      compared++;
      return a.k - b.k;
    });
    rows.sort((a, b) => b.k - a.k || a.id.localeCompare(b.id));
    return [sorted.reduce((y, r, i) => y.add(r.k * i), x), sorted.map((r) => r.id)];
  });
  return (round) => {
    if (round === 2) rows.push({ k: 0, id: "d" });
    return [f(vec(round)), compared, rows.map((r) => r.id)];
  };
});

idiom("an outer Set and Map changed by forEach while they grow", "graph", (compile) => {
  const todo = new Map<number, string>([[1, "a"]]);
  const done = new Set<string>();
  const f = compile((x: Tensor, limit: number) => {
    let y = x;
    todo.forEach((name, k, map) => {
      y = y.add(k);
      if (k < limit) map.set(k + 1, `${name}+`);
      done.add(name);
    });
    done.forEach((name, same, set) => {
      if (name.length > 2 && name === same) set.delete(name);
    });
    return y;
  });
  return (round) => [f(vec(round), round), [...todo], [...done]];
});

idiom("getter-driven laziness with a reset by the caller", "graph", (compile) => {
  const model = {
    raw: 2,
    cached: undefined as number | undefined,
    get gain(): number {
      return this.cached ??= this.raw ** 2;
    },
    clear(): void {
      this.cached = undefined;
    },
  };
  const f = compile((x: Tensor, k: number) => {
    const y = x.mul(model.gain);
    if (k === 1) model.clear();
    return y.add(model.gain);
  });
  return (round) => {
    if (round === 2) {
      model.raw = 3;
      model.clear();
    }
    return [f(vec(round), round), model.cached];
  };
});

idiom("counters of every kind, that nobody looks at inside", "graph", (compile) => {
  let calls = 0;
  let seconds = 0.1;
  const stats = { n: 0, total: 0.5, text: "a", missing: undefined as number | undefined };
  class Meter {
    #hidden = 3;
    static made = 0;
    n = 0;
    step(x: Tensor, k: number): Tensor {
      this.n += k;
      this.#hidden--;
      this.#hidden -= k;
      Meter.made++;
      return x.mul(2);
    }
    get hidden(): number {
      return this.#hidden;
    }
  }
  const meter = new Meter();
  const f = compile((x: Tensor, k: number) => {
    calls++;
    seconds += 0.2;
    seconds += 0.7;
    stats.n += k;
    stats.total -= 0.1;
    stats.text += k;
    (stats.missing as number)++;
    for (let i = 0; i < 2; i++) {
      let calls = 0;
      calls++;
      stats.n += calls;
    }
    return meter.step(x, k);
  });
  return (round) => {
    if (round === 2) {
      calls = 1000;
      stats.text = "b";
    }
    if (round === 3) stats.total = -0;
    return [f(vec(round), 1), calls, seconds, { ...stats }, meter.n, meter.hidden, Meter.made];
  };
});

idiom("counters that are looked at, sometimes, before and behind", "graph", (compile) => {
  let calls = 0;
  const state = { n: 0 };
  const f = compile((x: Tensor, look: number) => {
    if (look === 1 && state.n > 1) state.n = -1;
    calls++;
    state.n++;
    if (look === 2) return x.mul(calls).add(state.n);
    calls += 2;
    state.n--;
    state.n += 4;
    return look === 3 ? x.add(state.n) : x.neg();
  });
  return (round) => [f(vec(round), round), calls, state.n];
});

idiom("a counter that is a string, a tensor or a bigint at other times", "graph", (compile) => {
  const state = { n: 0 as unknown };
  const f = compile((x: Tensor) => {
    (state.n as number) += 1;
    (state as { n: number }).n += 1;
    return x.mul(2);
  });
  return (round) => {
    state.n = [0, "a", null, NaN][round];
    return [f(vec(round)), state.n];
  };
});

idiom("two functions and an arrow that count one variable", "graph", (compile) => {
  let n = 0;
  const other = (): void => {
    n += 10;
  };
  const f = compile((x: Tensor, k: number) => {
    n++;
    other();
    [1, 2].forEach(() => {
      n++;
    });
    if (k === 2) return x.mul(n);
    return x.neg();
  });
  return (round) => {
    if (round === 3) n = 0;
    return [f(vec(round), round), n];
  };
});
