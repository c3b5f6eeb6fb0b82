/** Idioms: text that is not a module's: sloppy functions, temporal dead zones, constants assigned, odd statements, and what only old code does. */
import { type Tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, vec } from "./harness.ts";

/** A function of sloppy text, as scripts and CommonJS modules hold. */
// deno-lint-ignore no-explicit-any
const sloppy = (params: string, body: string): any => new Function(`return function (${params}) { ${body} };`)();

idiom("sloppy: parameters and arguments are one", "graph", (compile) => {
  const f = compile(
    sloppy("x, k", "arguments[1] = k + 1; return [x.mul(k).add(1), arguments.length];") as (
      x: Tensor,
      k: number,
    ) => unknown,
  );
  return (round) => f(vec(round), round);
});

idiom("sloppy: this is the global object, writes to frozen objects are ignored", "segments", (compile) => {
  const frozen = Object.freeze({ k: 3 });
  const f = compile(
    sloppy("x, o", "o.k = 9; return [x.mul(o.k).add(1), this === globalThis, typeof this];") as (
      x: Tensor,
      o: { readonly k: number },
    ) => unknown,
  );
  return (round) => f(vec(round), frozen);
});

idiom("sloppy: delete of a fixed property, octal escapes, functions in blocks", "segments", (compile) => {
  const f = compile(
    sloppy(
      "x, k",
      `var fixed = Object.defineProperty({}, "a", { value: 1 });
       var gone = delete fixed.a;
       { function inner() { return k; } }
       return [x.mul(inner()).add(1), gone, 010];`,
    ) as (x: Tensor, k: number) => unknown,
  );
  return (round) => f(vec(round), round);
});

idiom("a name used before its declaration", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const read = (): number => later;
    let error = "";
    try {
      read();
    } catch (e) {
      error = (e as Error).name;
    }
    const later = k;
    return [x.mul(read()), error];
  });
  return (round) => f(vec(round), round);
});

idiom("a constant of the closure that is assigned", "graph", (compile) => {
  const fixed = 2;
  const state = { tries: 0 };
  const f = compile((x: Tensor) => {
    state.tries++;
    try {
      // @ts-expect-error: it is a constant.
      // deno-lint-ignore no-const-assign
      fixed = 3;
    } catch (e) {
      return [x.mul(fixed).add(1), (e as Error).name];
    }
    return [x, "assigned"];
  });
  return (round) => [f(vec(round)), state.tries];
});

idiom("for over a property, over a pattern with defaults, and over an empty hole", "graph", (compile) => {
  const state = { i: 0, j: 0 };
  const f = compile((x: Tensor, rows: { k?: number; w?: [number, number?] }[]) => {
    let y = x;
    for (state.i of [1, 2, 3]) y = y.add(state.i);
    for (const { k = 5, w: [a, b = a] = [1] } of rows) y = y.mul(k).add(a + b);
    // deno-lint-ignore guard-for-in
    for (const key in { p: 1, q: 2 }) state.j += key.length;
    return y;
  });
  return (round) => [f(vec(round), [{ k: round }, { w: [2] }, {}]), { ...state }];
});

idiom("switch on strings with fall through, blocks and a default in front", "graph", (compile) => {
  const f = compile((x: Tensor, mode: string) => {
    let y = x;
    switch (mode) {
      case "other":
      case "double": {
        const k = mode.length;
        y = y.mul(k);
        break;
      }
      case `ne${"g"}`:
        return y.neg();
      case mode.toUpperCase():
        y = y.exp();
    }
    return y.sub(1);
  });
  return (round) => f(vec(round), ["other", "double", "neg", "UP"][round] ?? "");
});

idiom("nested labels: continue to the outer from a switch inside a try", "graph", (compile) => {
  const f = compile((x: Tensor, limit: number) => {
    let y = x;
    let trail = "";
    rows: for (let i = 0; i < 4; i++) {
      for (const kind of ["a", "b", "c"]) {
        try {
          switch (kind) {
            case "b":
              if (i >= limit) continue rows;
              break;
            case "c":
              if (i === 2) break rows;
          }
          y = y.add(i);
        } finally {
          trail += kind;
        }
      }
    }
    return [y, trail];
  });
  return (round) => f(vec(round), round);
});

idiom("static inheritance: a counter of the parent shadowed by that of the child", "graph", (compile) => {
  class Base {
    static made = 0;
    static tick(): number {
      return ++this.made;
    }
  }
  class Derived extends Base {}
  const f = compile((x: Tensor) => x.mul(Derived.tick()).add(Base.made));
  return (round) => {
    if (round === 2) Base.tick();
    return [f(vec(round)), Base.made, Derived.made, Object.hasOwn(Derived, "made")];
  };
});

idiom("an array with properties of its own, negative keys and a changed length", "graph", (compile) => {
  const list = Object.assign([1, 2, 3], { scale: 2, "-1": 9 }) as number[] & { scale: number; "-1": number };
  const f = compile((x: Tensor) => {
    list.scale += 1;
    list.length = Math.max(1, list.length - 1);
    return [x.mul(list.scale).add(list[-1 as unknown as "-1"]), Object.keys(list)];
  });
  return (round) => {
    if (round === 2) list.push(7, 8);
    return [f(vec(round)), [...list], list.scale];
  };
});

idiom("hidden names: getOwnPropertyNames, ownKeys and symbols that come later", "graph", (compile) => {
  const o: Record<PropertyKey, unknown> = { a: 1 };
  const f = compile((x: Tensor) => [
    x.mul(Object.getOwnPropertyNames(o).length),
    Reflect.ownKeys(o).map(String),
    Object.getOwnPropertySymbols(o).length,
  ]);
  return (round) => {
    if (round === 1) Object.defineProperty(o, "hidden", { value: 1, enumerable: false, configurable: true });
    if (round === 2) o[Symbol.for("late")] = 1;
    if (round === 3) delete o["hidden"];
    return f(vec(round));
  };
});

idiom("own or inherited: hasOwn of a key that its prototype has as well", "graph", (compile) => {
  const base = { k: 2 };
  const o = Object.create(base) as { k: number };
  o.k = 2;
  const f = compile((x: Tensor) => [x.mul(o.k), Object.hasOwn(o, "k"), Object.keys(o).length]);
  return (round) => {
    if (round === 1) delete (o as Partial<typeof o>).k;
    if (round === 2) o.k = 2;
    return f(vec(round));
  };
});

idiom("own or inherited, asked by hasOwn alone", "graph", (compile) => {
  const base = { k: 2 };
  const o = Object.create(base) as { k: number };
  o.k = 2;
  const f = compile((x: Tensor) => x.mul(Object.hasOwn(o, "k") ? 3 : 5));
  return (round) => {
    if (round === 1) delete (o as Partial<typeof o>).k;
    if (round === 2) o.k = 2;
    return f(vec(round));
  };
});

idiom("a key that turns invisible: enumerable switched off between calls", "graph", (compile) => {
  const o = { a: 1, b: 2 };
  const f = compile((x: Tensor) => Object.values(o).reduce((y, v) => y.add(v), x));
  return (round) => {
    Object.defineProperty(o, "b", { enumerable: round !== 2 });
    return f(vec(round));
  };
});

idiom("an accessor that takes the place of a plain property, and goes again", "graph", (compile) => {
  const o: { k: number } = { k: 2 };
  let gain = 7;
  const f = compile((x: Tensor) => x.mul(o.k).add(o.k));
  return (round) => {
    if (round === 1) {
      Object.defineProperty(o, "k", {
        get: () => gain,
        configurable: true,
      });
    }
    if (round === 2) Object.defineProperty(o, "k", { value: 4, writable: true });
    gain++;
    return f(vec(round));
  };
});

idiom("getters that throw, setters that throw after an effect", "graph", (compile) => {
  const log: string[] = [];
  const o = {
    limit: 2,
    get bad(): number {
      if (this.limit > 3) throw new RangeError("get");
      return this.limit;
    },
    set bad(v: number) {
      log.push(`set ${v}`);
      if (v > 2) throw new TypeError("set");
      this.limit = v;
    },
  };
  const f = compile((x: Tensor, v: number) => {
    o.bad = v;
    return x.mul(o.bad);
  });
  return (round) => {
    try {
      return [f(vec(round), round), log.splice(0)];
    } catch (e) {
      return [(e as Error).message, log.splice(0), o.limit];
    }
  };
});

idiom("old constructor functions with a prototype chain by hand", "graph", (compile) => {
  interface Shape {
    k: number;
    area(x: Tensor): Tensor;
  }
  const Shape = function (this: Shape, k: number): void {
    this.k = k;
  } as unknown as { new (k: number): Shape; prototype: Shape; call(self: unknown, k: number): void };
  Shape.prototype.area = function (this: Shape, x: Tensor): Tensor {
    return x.mul(this.k);
  };
  const Square = function (this: Shape, k: number): void {
    Shape.call(this, k * k);
  } as unknown as { new (k: number): Shape; prototype: Shape };
  Square.prototype = Object.create(Shape.prototype) as Shape;
  const f = compile((x: Tensor, k: number) => {
    const s = new Square(k);
    return [s.area(x), s instanceof Shape, s.k];
  });
  return (round) => f(vec(round), round);
});

idiom("an arrow that uses the arguments of the function around it", "graph", (compile) => {
  const make = function (..._: number[]): (x: Tensor) => Tensor {
    const given = arguments;
    return (x: Tensor) => x.mul(given[0] as number).add(given.length);
  };
  const g = make(3, 4);
  const f = compile((x: Tensor) => g(x));
  return (round) => f(vec(round));
});

idiom("a chain of delegates: call of call, apply of bind, Reflect.apply of both", "graph", (compile) => {
  const scale = function (this: { k: number } | void, x: Tensor, by: number): Tensor {
    return x.mul((this?.k ?? 1) * by);
  };
  const o = { k: 2 };
  const f = compile((x: Tensor) => [
    Function.prototype.call.call(scale, o, x, 3) as Tensor,
    Function.prototype.apply.call(scale, o, [x, 2]) as Tensor,
    scale.call(undefined, x, 4),
  ]);
  return (round) => {
    o.k = round;
    return f(vec(round));
  };
});

idiom("results of every empty kind", "graph", (compile) => {
  const f = compile((x: Tensor, k: number) => {
    const y = x.mul(2);
    switch (k) {
      case 0:
        return null;
      case 1:
        return { y, nothing: undefined, empty: [], none: null, deep: { set: new Set(), map: new Map() } };
      case 2:
        return [[], [[]], {}];
      default:
        return zeros([0]);
    }
  });
  return (round) => f(vec(round), round);
});
