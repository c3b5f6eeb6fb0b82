/** Idioms: sizes that change, in the hands of engine functions, of callbacks, of containers and of arithmetic. */
import { deepStrictEqual } from "node:assert";
import { F, type Tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, vec } from "./harness.ts";

const LENGTHS = [3, 4, 5, 6];

/** The first size of a tensor, as programs take it. */
const lengthOf = (x: Tensor): number => x.shape[0] as number;

idiom("a shape through every, map, filter and some with functions of the engine", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const shape = x.shape as number[];
    return {
      whole: shape.every(Number.isInteger),
      texts: shape.map(String),
      numbers: shape.map(Number),
      there: shape.filter(Boolean).length,
      finite: shape.some(Number.isFinite),
      y: x.mul(2),
    };
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("a shape through Math.max.apply, spread, reduce and flat", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const shape = x.shape as number[];
    const most = Math.max.apply(null, shape);
    const least = Math.min(...shape, 4);
    const product = shape.reduce((a, b) => a * b, 1);
    return [x.add(most), least, product, [shape, [7]].flat()];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("Object.prototype.toString, constructor and Object() of a size", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    return [x.neg(), Object.prototype.toString.call(n), n.constructor === Number, typeof Object(n)];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("a size as index of arrays, strings, at, slice, repeat and padStart", "graph", (compile) => {
  const table = [10, 11, 12, 13, 14, 15, 16];
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    const word = "abcdefgh";
    return [
      x.add(table[n] ?? 0).add(table.at(-n) ?? 0),
      word[n],
      word.slice(n),
      "=".repeat(n),
      "7".padStart(n, "0"),
      table.slice(1, n).length,
    ];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("Array.from, new Array, Array of a size, fill and keys", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    const steps = [...new Array(n).keys()];
    const halves = Array.from({ length: n }, (_, i) => i / 2);
    const filled = Array(n).fill(1).map((v: number, i) => v + i);
    return [x.mul(steps.length), halves, filled, Array.of(n).length];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("bit operators, exponents, increments and compound assignment on sizes", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    let n = lengthOf(x);
    const before = n++;
    n += 2;
    n **= 2;
    let m = lengthOf(x);
    m -= 1;
    m <<= 2;
    m ^= 1;
    return [x.add(n), before, n, m, ~m, +before, -before, before % 3];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("loose equality of sizes with numbers and strings", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const n = x.shape[0] as unknown;
    // deno-lint-ignore eqeqeq
    const loose = [n == k, n != k, n == "4", n == null, n == true];
    return [x.mul(k), loose];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n), 4));
});

idiom("sizes in JSON, structuredClone and Object.entries", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    const described = { shape: [...x.shape], last: { n } };
    const text = JSON.stringify(described);
    const copy = structuredClone({ n });
    const entries = Object.entries({ n }).map(([k, v]) => `${k}=${v}`);
    return [x.exp(), text, copy, entries, JSON.parse(text)];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("a table of functions keyed by size, and a Set of sizes", "graph", (compile) => {
  const seen = new Set<number>();
  const act: Record<number, (x: Tensor) => Tensor> = { 3: (x) => x.neg(), 5: (x) => x.exp() };
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    const isNew = !seen.has(n);
    seen.add(n);
    return [(act[n] ?? ((t: Tensor) => t))(x), isNew];
  });
  return (round) => [LENGTHS.map((n) => f(vec(round, n))), [...seen], seen.has(4)];
});

idiom("sizes compared by Object.is, sorted, and found by indexOf", "graph", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => {
    const sizes = [lengthOf(y), lengthOf(x), 4];
    const sorted = [...sizes].sort((a, b) => a - b);
    return [x.sum().add(y.sum()), Object.is(lengthOf(x), 4), sorted, sizes.indexOf(4), sizes.lastIndexOf(4)];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n), vec(round, 7 - n)));
});

idiom("a class with a size in a field, valueOf and a getter", "segments", (compile) => {
  class Window {
    readonly #n: number;
    constructor(n: number) {
      this.#n = n;
    }
    get half(): number {
      return Math.floor(this.#n / 2);
    }
    valueOf(): number {
      return this.#n;
    }
  }
  const f = compile((x: Tensor) => {
    const w = new Window(lengthOf(x));
    return [x.narrow(0, 0, w.half).mul(2), +w + 1, `${Number(w)}`];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n + 1)));
});

idiom("deep equality of node:assert on a shape", "segments", (compile) => {
  const f = compile((x: Tensor, expected: readonly number[]) => {
    deepStrictEqual([...x.shape].map(Number), expected);
    return x.mul(2);
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n), [n]));
});

idiom("shapes taken apart: destructuring with defaults, rest and computed keys", "graph", (compile) => {
  const f = compile((x: Tensor, dim: number) => {
    const [rows = 1, ...others] = x.view([1, -1]).shape as number[];
    const { [dim]: size = 9, length } = x.shape as number[];
    return [x.add(rows), others.length, size, length];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n), round % 2));
});

idiom("a size that leaves in an error message", "graph", (compile) => {
  const f = compile((x: Tensor, limit: number) => {
    const n = lengthOf(x);
    if (n > limit) throw new RangeError("too long: " + n + " > " + limit);
    return x.mul(n);
  });
  return (round) =>
    LENGTHS.map((n) => {
      try {
        return f(vec(round, n), 4);
      } catch (error) {
        return (error as Error).message;
      }
    });
});

idiom("a memo keyed by the shape's text", "graph", (compile) => {
  const memo = new Map<string, Tensor>();
  let made = 0;
  const f = compile((x: Tensor) => {
    const key = `${x.shape}`;
    let mask = memo.get(key);
    if (mask === undefined) {
      made++;
      mask = zeros([lengthOf(x)]).add(made);
      memo.set(key, mask);
    }
    return x.mul(mask);
  });
  return (round) => [LENGTHS.map((n) => f(vec(round, n))), [...memo.keys()], made];
});

idiom("a tagged template that is given sizes", "graph", (compile) => {
  const tag = (parts: TemplateStringsArray, ...values: number[]): string =>
    values.map((v, i) => `${parts[i]}<${typeof v}:${v}>`).join("");
  const f = compile((x: Tensor) => [x.mul(3), tag`n=${lengthOf(x)} m=${lengthOf(x)}`]);
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("sizes in BigInt, Date.UTC, parseInt, isNaN and Intl", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    return [
      x.abs(),
      BigInt(n) * 2n,
      Date.UTC(2000, n),
      parseInt(`${n}`),
      isNaN(n),
      Number.parseFloat(String(n)),
      n.toFixed(1),
      n.toString(2),
    ];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("a ring of buffers by length, kept between calls", "graph", (compile) => {
  const pool: { n: number; buffer: Tensor }[] = [];
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    let slot = pool.find((p) => p.n === n);
    if (slot === undefined) pool.push(slot = { n, buffer: zeros([n]) });
    slot.buffer = slot.buffer.add(x);
    return slot.buffer.sum();
  });
  return (round) => [LENGTHS.map((n) => f(vec(round, n))), pool.map((p) => p.n), pool.map((p) => p.buffer)];
});

idiom("a binary search over a size, and halving until one", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    let n = lengthOf(x);
    let steps = 0;
    let y = x;
    while (n > 1) {
      n = n % 2 === 0 ? n / 2 : n - 1;
      y = y.add(n);
      steps++;
    }
    return [y, steps];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("two sizes that are equal at first and differ later", "graph", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => {
    if (x.shape[0] === y.shape[0]) return x.add(y);
    return F.cat([x, y], 0).sum();
  });
  return (round) => [f(vec(round, 3), vec(1, 3)), f(vec(round, 4), vec(1, 4)), f(vec(round, 4 + round), vec(1, 6))];
});

idiom("sizes handed to a callback of the caller, and kept there", "graph", (compile) => {
  const log: unknown[] = [];
  const f = compile((x: Tensor, note: (n: number) => number) => x.mul(note(lengthOf(x))));
  const note = (n: number): number => {
    log.push(n, typeof n);
    return n + 1;
  };
  return (round) => [LENGTHS.map((n) => f(vec(round, n), note)), log.splice(0)];
});

idiom("labels of a chart: sizes in Array.join, concat of strings and toLocaleString", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    return [x.relu(), ["n", n].join(":"), "".concat("n=", String(n)), "n" + n, [[n], n] + ""];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("a size in a typed array that is made inside", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const counts = new Int32Array(2);
    counts[0] = lengthOf(x);
    counts.set([lengthOf(x) * 2], 1);
    return [x.mul(counts[0] ?? 0), x.add(counts.at(1) ?? 0)];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("Reflect, call and apply with sizes", "graph", (compile) => {
  const half = function (this: { by: number }, n: number): number {
    return n / this.by;
  };
  const f = compile((x: Tensor) => {
    const n = lengthOf(x);
    return [
      x.mul(half.call({ by: 2 }, n)),
      half.apply({ by: 4 }, [n]),
      Reflect.apply(Math.max, null, [n, 4]),
      Reflect.get([5, 6, 7, 8, 9, 10, 11], n),
      Reflect.has([0, 0, 0, 0], n),
    ];
  });
  return (round) => LENGTHS.map((n) => f(vec(round, n)));
});

idiom("comparisons, kinds and look-ups as values of properties, patterns and class fields", "graph", (compile) => {
  const w = vec(3);
  const f = compile((x: Tensor, y: Tensor) => {
    const { same = x === y, n = x.shape[0] === 4 } = {} as { same?: boolean; n?: boolean };
    return {
      same,
      n,
      kind: typeof x.shape[0],
      isW: x === w,
      known: [3, 5].includes(lengthOf(x)),
      y: x.sum().add(y.sum()),
    };
  });
  return (round) => [f(w, w), f(w, vec(round)), ...LENGTHS.map((n) => f(vec(round, n), w))];
});
