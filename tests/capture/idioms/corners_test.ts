/** Idioms: corners of the language where rewriting text, live bindings and private members could go wrong. */
import type { Tensor } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";
import { factor, offset, setFactor, shared } from "./live_bindings.ts";
import * as live from "./live_bindings.ts";

class Base {
  #x = 1;
  static #made = 0;
  static get made(): number {
    return Base.#made;
  }
  constructor() {
    Base.#made = 0;
  }
  get x(): number {
    return this.#x;
  }
  bump(): number {
    return ++this.#x;
  }
  isMine(o: object): boolean {
    return #x in o;
  }
}

class Derived extends Base {
  #x = 10;
  items: number[] = [1, 2];
  override get x(): number {
    return super.x + this.#x;
  }
  set own(value: number) {
    this.#x = value;
  }
  override bump(): number {
    this.#x += 5;
    return super.bump() + this.#x;
  }
  *[Symbol.iterator](): Generator<number> {
    for (const i of this.items) yield i * this.#x;
  }
  swap(): void {
    [this.#x, this.items[0]] = [this.items[0] ?? 0, this.#x];
  }
  #scaled(x: Tensor, ...by: number[]): Tensor {
    return by.reduce((y, b) => y.mul(b), x.mul(this.#x));
  }
  run(x: Tensor, by: number[]): Tensor {
    return this.#scaled(x, ...by);
  }
}

idiom("imported bindings that change", "graph", (compile) => {
  setFactor(2);
  const f = compile((x: Tensor) => x.mul(factor).add(offset).mul(live.factor));
  return (round) => {
    setFactor(round + 2);
    return f(vec(round));
  };
});

idiom("imported objects that change", "graph", (compile) => {
  shared.gain = 1;
  const f = compile((x: Tensor) => x.mul(shared.gain).add(live.shared.gain));
  return (round) => {
    shared.gain = round;
    return f(vec(round));
  };
});

idiom("a bare global of the program", "graph", (compile) => {
  Reflect.set(globalThis, "tesseraBare", 2);
  const f = compile((x: Tensor) => x.mul((globalThis as unknown as { tesseraBare: number }).tesseraBare));
  return (round) => {
    Reflect.set(globalThis, "tesseraBare", round + 2);
    return f(vec(round));
  };
});

idiom("a global that the function writes", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    (globalThis as unknown as { tesseraSeen: number }).tesseraSeen = x.ndim;
    return x.mul(2);
  });
  return (round) => [f(vec(round)), Reflect.get(globalThis, "tesseraSeen")];
});

idiom("private names of the same spelling up and down a class", "graph", (compile) => {
  const d = new Derived();
  const f = compile((x: Tensor) => x.mul(d.bump()).add(d.x));
  return (round) => {
    if (round === 1) d.own = 3;
    return [f(vec(round)), d.x];
  };
});

idiom("private names: in, generators, destructuring into them, spread calls", "graph", (compile) => {
  const d = new Derived();
  const f = compile((x: Tensor, o: object) => {
    d.swap();
    let y = d.run(x, [2, 3]);
    for (const i of d) y = y.add(i);
    return d.isMine(o) ? y : y.neg();
  });
  return (round) => [f(vec(round), round === 1 ? new Base() : {}), d.items, d.x];
});

idiom("a static private member behind a static getter", "graph", (compile) => {
  const f = compile((x: Tensor) => x.add(Base.made));
  return (round) => f(vec(round));
});

idiom("a class whose method is replaced while instances are made inside", "graph", (compile) => {
  class Doubler {
    run(x: Tensor): Tensor {
      return x.mul(2);
    }
  }
  const f = compile((x: Tensor) => new Doubler().run(x));
  return (round) => {
    if (round === 2) Doubler.prototype.run = (x) => x.mul(5);
    return f(vec(round));
  };
});

idiom("super in object literals", "graph", (compile) => {
  const base = {
    gain: 2,
    run(x: Tensor): Tensor {
      return x.mul(this.gain);
    },
  };
  const child = {
    __proto__: base,
    run(x: Tensor): Tensor {
      return super.run(x).add(1);
    },
  } as unknown as typeof base;
  const f = compile((x: Tensor) => child.run(x));
  return (round) => {
    base.gain = round + 1;
    return f(vec(round));
  };
});

idiom("two closures over one variable, one counts and one reads", "graph", (compile) => {
  let count = 0;
  const bump = (): void => void count++;
  const read = (): number => count * 10;
  const f = compile((x: Tensor) => {
    const before = read();
    bump();
    bump();
    return x.mul(read() - before).add(count);
  });
  return (round) => [f(vec(round)), count, read()];
});

idiom("variables of one name in different scopes", "graph", (compile) => {
  const make = (start: number): { bump: () => number; peek: () => number } => {
    let n = start;
    return { bump: () => ++n, peek: () => n };
  };
  const [a, b] = [make(1), make(100)];
  let n = 7;
  const f = compile((x: Tensor) => {
    a.bump();
    n += b.bump();
    return x.mul(a.peek()).add(b.peek() + n);
  });
  return (round) => [f(vec(round)), a.peek(), b.peek(), n];
});

idiom("an outer variable written by an arrow inside, in map and in finally", "graph", (compile) => {
  let total = 0;
  let last: Tensor | undefined;
  const f = compile((xs: Tensor[]) => {
    try {
      return xs.map((t, i) => {
        total += i;
        last = t.mul(total);
        return last;
      });
    } finally {
      total++;
    }
  });
  return (round) => [f([vec(round), vec(1)]), total, last];
});

idiom("an outer variable written only on one path", "graph", (compile) => {
  let seen = "none";
  const f = compile((x: Tensor, n: number) => {
    if (n > 1) seen = `n${n}`;
    return seen === "none" ? x : x.mul(n);
  });
  return (round) => [f(vec(round), round), seen];
});

idiom("comparisons in odd places", "graph", (compile) => {
  const f = compile((x: Tensor, o: { a?: number; b: unknown }, p: { b: unknown }) => {
    const flags = [o.a === p.b, !(o.b !== p.b), o /* no */ === p, typeof o.a === "number" ? 1 : 2, (o.b, o.a) === 1];
    const text = `${o.a === 1 ? `yes ${typeof o.b}` : "no"}`;
    const power = (o.b === p.b ? 2 : 3) ** 2;
    return { y: x.mul(power), flags, text };
  });
  return (round) => {
    const b = { round };
    const o = { ...(round > 0 ? { a: round } : {}), b };
    return f(vec(round), o, round === 2 ? o : { b: round === 1 ? b : 1 });
  };
});

idiom("catch with patterns, without a name, nested, rethrown", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    const out: unknown[] = [];
    try {
      if (n > 0) throw Object.assign(new Error("first"), { code: n });
      // deno-lint-ignore no-explicit-any
    } catch ({ message, code }: any) {
      out.push(message, code);
      try {
        throw new RangeError("second");
      } catch {
        out.push("inner");
      }
    }
    try {
      try {
        if (n === 2) throw new TypeError("third");
      } catch (error) {
        if (error instanceof TypeError) throw new RangeError("fourth", { cause: error });
      }
    } catch (error) {
      out.push((error as Error).message, ((error as Error).cause as Error).message);
    }
    return [x.mul(n), out];
  });
  return (round) => f(vec(round), round);
});

idiom("tagged templates, sequences, exponents, void, in, delete", "graph", (compile) => {
  const tag = (parts: TemplateStringsArray, ...values: number[]): string => parts.join("|") + values.join();
  const f = compile((x: Tensor, o: Record<string, number>) => {
    const copy = { ...o };
    delete copy["a"];
    const n = (o["b"] ?? 1) ** 2 ** 1;
    return [x.mul(n), tag`p${n}q${x.ndim}r`, "a" in o, "a" in copy, void 0];
  });
  return (round) => f(vec(round), round % 2 === 0 ? { a: 1, b: round } : { b: 3 });
});

idiom("sizes in strings, keys, joins and conversions, with lengths that change", "graph", (compile) => {
  const scales: Record<string, number> = { 4: 2, 5: 3 };
  const f = compile((x: Tensor) => {
    const [n] = x.shape as number[];
    const by = scales[n as number] ?? 1;
    return {
      y: x.mul(by),
      text: `${n}|${String(n)}|${x.shape.join("x")}|${(n as number).toString()}|` + n,
      parsed: [Number(n), parseInt(`${n}`), JSON.stringify({ n })],
      o: { [n as number]: "key" },
      max: Math.max(n as number, 4),
    };
  });
  return (round) => [3, 4, 5, 6].map((n) => f(vec(round, n)));
});

idiom("results that hold sizes", "graph", (compile) => {
  const f = compile((x: Tensor) => ({ n: x.shape[0], shape: x.shape, twice: (x.shape[0] as number) * 2, y: x.add(1) }));
  return (round) => [3, 4, 5, 6].map((n) => f(vec(round, n)));
});

idiom("matrices of changing size, reshaped by their sizes", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const [rows, columns] = x.shape as number[];
    return x.reshape([(rows as number) * (columns as number)]).add(x.numel === 12 ? 1 : 0);
  });
  return (round) => [2, 3, 4, 5].map((n) => f(mat(round, n, 3)));
});

idiom("a labelled generator that is left early, and its finally", "graph", (compile) => {
  const log: string[] = [];
  function* parts(x: Tensor): Generator<Tensor> {
    try {
      for (let i = 1;; i++) yield x.mul(i);
    } finally {
      log.push("closed");
    }
  }
  const f = compile((x: Tensor, n: number) => {
    const out: Tensor[] = [];
    for (const p of parts(x)) {
      if (out.length > n) break;
      out.push(p);
    }
    return out;
  });
  return (round) => [f(vec(round), round), log];
});

idiom("objects that are one at first and two later, written", "graph", (compile) => {
  type Box = { t: Tensor; n: number };
  const f = compile((a: Box, b: Box) => {
    a.t = a.t.mul(2);
    a.n += 1;
    return b.t.add(b.n);
  });
  return (round) => {
    const a = { t: vec(round), n: 1 };
    const b = round % 2 === 0 ? a : { t: vec(5), n: 7 };
    return [f(a, b), a, b];
  };
});

idiom("a frozen class of options with getters of its own", "graph", (compile) => {
  let level = 1;
  const options = Object.freeze({
    get level() {
      return level;
    },
    base: 2,
  });
  const f = compile((x: Tensor) => x.mul(options.level).add(options.base));
  return (round) => {
    level = round + 1;
    return f(vec(round));
  };
});

idiom("an event emitter with listeners of the outside", "graph", (compile) => {
  class Emitter {
    readonly #listeners = new Map<string, Set<(x: Tensor) => void>>();
    on(name: string, listener: (x: Tensor) => void): void {
      const set = this.#listeners.get(name) ?? new Set();
      set.add(listener);
      this.#listeners.set(name, set);
    }
    emit(name: string, x: Tensor): number {
      const set = this.#listeners.get(name);
      set?.forEach((listener) => listener(x));
      return set?.size ?? 0;
    }
  }
  const emitter = new Emitter();
  const seen: Tensor[] = [];
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    return [y, emitter.emit("y", y)];
  });
  return (round) => {
    if (round === 1) emitter.on("y", (y) => void seen.push(y.sum()));
    return [f(vec(round)), seen];
  };
});

idiom("a lazily made tensor in a private field", "graph", (compile) => {
  class Lazy {
    #w: Tensor | null = null;
    get w(): Tensor {
      return this.#w ??= vec(2);
    }
  }
  const lazy = new Lazy();
  const f = compile((x: Tensor) => x.mul(lazy.w));
  return (round) => {
    const out = f(vec(round));
    if (round === 2) lazy.w.add_(1);
    return [out, lazy.w, lazy.w === lazy.w];
  };
});
