/** Idioms: classes, instances and prototypes. */
import { type Tensor } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

let classBias = 1;
const TAG = Symbol("tag");

class Config {
  static scale = 2;
  static readonly LIMIT = 4;
  static times(x: Tensor): Tensor {
    return x.mul(this.scale);
  }
}

class Affine {
  constructor(public a: number, public b: number) {}
  get sum(): number {
    return this.a + this.b;
  }
  set sum(value: number) {
    this.a = value - this.b;
  }
  call(x: Tensor): Tensor {
    return x.mul(this.a).add(this.b);
  }
}

class Shifted extends Affine {
  shift = 1;
  override call(x: Tensor): Tensor {
    return super.call(x).add(this.shift * classBias);
  }
}

class Hidden {
  #scale = 2;
  #calls = 0;
  get scale(): number {
    return this.#scale;
  }
  set scale(value: number) {
    this.#scale = value;
  }
  get calls(): number {
    return this.#calls;
  }
  call(x: Tensor): Tensor {
    return x.mul(this.#scale);
  }
  counted(x: Tensor): Tensor {
    this.#calls++;
    return this.#double(x);
  }
  #double(x: Tensor): Tensor {
    return x.mul(2 * this.#calls);
  }
}

class Temp {
  readonly parts: Tensor[] = [];
  constructor(readonly x: Tensor) {
    this.parts.push(x.mul(classBias));
  }
  grow(): this {
    this.parts.push((this.parts.at(-1) ?? this.x).add(classBias));
    return this;
  }
}

class PrivateTemp {
  #x: Tensor;
  constructor(x: Tensor) {
    this.#x = x;
  }
  twice(): Tensor {
    return this.#x.mul(2);
  }
}

idiom("a method with public fields", "graph", (compile) => {
  const affine = new Affine(2, 1);
  const f = compile((x: Tensor) => affine.call(x));
  return (round) => {
    affine.b = round;
    return f(vec(round));
  };
});

idiom("getters and setters", "graph", (compile) => {
  const affine = new Affine(2, 1);
  const f = compile((x: Tensor, by: number) => {
    affine.sum = affine.sum + by;
    return x.mul(affine.sum);
  });
  return (round) => [f(vec(round), round === 1 ? 1 : 0), affine];
});

idiom("inheritance and super", "graph", (compile) => {
  classBias = 1;
  const shifted = new Shifted(2, 1);
  const f = compile((x: Tensor) => shifted.call(x));
  return (round) => {
    classBias = round === 1 ? 5 : 1;
    shifted.shift = round === 2 ? 3 : 1;
    return f(vec(round));
  };
});

idiom("private fields that are read", "graph", (compile) => {
  const hidden = new Hidden();
  const f = compile((x: Tensor) => hidden.call(x).add(hidden.scale));
  return (round) => {
    hidden.scale = round === 1 ? 5 : 2;
    return f(vec(round));
  };
});

idiom("private fields that are written, private methods", "graph", (compile) => {
  const hidden = new Hidden();
  const f = compile((x: Tensor) => hidden.counted(x));
  return (round) => [f(vec(round)), hidden.calls];
});

idiom("static members", "graph", (compile) => {
  Config.scale = 2;
  const f = compile((x: Tensor) => Config.times(x).mul(Config.scale).clamp(-Config.LIMIT, Config.LIMIT));
  return (round) => {
    Config.scale = round === 1 ? 3 : 2;
    return f(vec(round));
  };
});

idiom("a static counter", "graph", (compile) => {
  Config.scale = 0;
  const f = compile((x: Tensor) => {
    Config.scale++;
    return x.mul(2);
  });
  return (round) => [f(vec(round)), Config.scale];
});

idiom("instances made inside", "graph", (compile) => {
  const f = compile((x: Tensor) => new Affine(2, x.shape[0] as number).call(x));
  return (round) => f(vec(round));
});

idiom("instances made inside, whose class reads an outer variable", "graph", (compile) => {
  classBias = 1;
  const f = compile((x: Tensor) => new Temp(x).grow().grow().parts);
  return (round) => {
    classBias = round === 1 ? 3 : 1;
    return f(vec(round));
  };
});

idiom("instances made inside with private fields", "graph", (compile) => {
  const f = compile((x: Tensor) => new PrivateTemp(x.add(1)).twice());
  return (round) => f(vec(round));
});

idiom("an instance with private fields as result", "segments", (compile) => {
  const f = compile((x: Tensor) => new PrivateTemp(x.add(1)));
  return (round) => f(vec(round)).twice();
});

idiom("a class defined inside", "graph", (compile) => {
  let k = 2;
  const f = compile((x: Tensor) => {
    class Local {
      static by = 3;
      run(t: Tensor): Tensor {
        return t.mul(k).add(Local.by);
      }
    }
    return new Local().run(x);
  });
  return (round) => {
    k = round === 1 ? 4 : 2;
    return f(vec(round));
  };
});

idiom("an instance as argument, and instanceof", "graph", (compile) => {
  const f = compile((x: Tensor, m: Affine) => m instanceof Shifted ? m.call(x).neg() : m.call(x));
  classBias = 1;
  return (round) => f(vec(round), round === 1 ? new Shifted(1, round) : new Affine(1, round));
});

idiom("this of a compiled method", "graph", (compile) => {
  class Model {
    gain = 2;
    run = compile(
      function (this: Model, x: Tensor) {
        return x.mul(this.gain);
      } as unknown as (x: Tensor) => Tensor,
    );
  }
  const [a, b] = [new Model(), new Model()];
  return (round) => {
    a.gain = round === 1 ? 7 : 2;
    b.gain = 3;
    return [a.run(vec(round)), b.run(vec(round))];
  };
});

idiom("an arrow as class field, compiled with its this", "graph", (compile) => {
  class Model {
    gain = 2;
    run = compile((x: Tensor) => x.mul(this.gain));
  }
  const model = new Model();
  return (round) => {
    model.gain = round === 1 ? 7 : 2;
    return model.run(vec(round));
  };
});

idiom("an extracted method", "graph", (compile) => {
  const affine = new Affine(2, 1);
  const { call } = affine;
  const f = compile((x: Tensor) => call.call(affine, x).add(Reflect.apply(call, new Affine(1, 1), [x])));
  return (round) => {
    affine.a = round === 1 ? 5 : 2;
    return f(vec(round));
  };
});

idiom("a method replaced on the instance and on the prototype", "graph", (compile) => {
  class Layer {
    run(x: Tensor): Tensor {
      return x.mul(2);
    }
  }
  const layer = new Layer();
  const f = compile((x: Tensor) => layer.run(x));
  return (round) => {
    if (round === 1) layer.run = (x) => x.mul(3);
    if (round === 2) Reflect.deleteProperty(layer, "run");
    if (round === 3) Layer.prototype.run = (x) => x.mul(5);
    return f(vec(round));
  };
});

idiom("mixins", "graph", (compile) => {
  type Base = new () => { run(x: Tensor): Tensor };
  class Core {
    run(x: Tensor): Tensor {
      return x.mul(2);
    }
  }
  const Biased = (base: Base, bias: { value: number }): Base =>
    class extends base {
      override run(x: Tensor): Tensor {
        return super.run(x).add(bias.value);
      }
    };
  const bias = { value: 1 };
  const model = new (Biased(Biased(Core, bias), { value: 10 }))();
  const f = compile((x: Tensor) => model.run(x));
  return (round) => {
    bias.value = round === 1 ? 4 : 1;
    return f(vec(round));
  };
});

idiom("Symbol keys and Symbol.iterator of a class", "graph", (compile) => {
  class Bag {
    [TAG] = 2;
    constructor(readonly items: Tensor[]) {}
    *[Symbol.iterator](): Generator<Tensor> {
      for (const item of this.items) yield item.mul(this[TAG]);
    }
  }
  const bag = new Bag([vec(1), vec(2)]);
  const f = compile((x: Tensor) => [...bag].reduce((s, t) => s.add(t), x));
  return (round) => {
    bag[TAG] = round === 1 ? 3 : 2;
    if (round === 3) bag.items.push(vec(9));
    return f(vec(round));
  };
});

idiom("toString, valueOf and Symbol.toPrimitive of a class", "graph", (compile) => {
  class Amount {
    constructor(public value: number) {}
    valueOf(): number {
      return this.value * 2;
    }
    toString(): string {
      return `<${this.value}>`;
    }
  }
  const amount = new Amount(2);
  const f = compile((x: Tensor) => ({ y: x.mul(+amount), text: `${String(amount)}` }));
  return (round) => {
    amount.value = round;
    return f(vec(round));
  };
});

idiom("a builder with chained calls", "graph", (compile) => {
  class Builder {
    steps: ((x: Tensor) => Tensor)[] = [];
    add(n: number): this {
      this.steps.push((x) => x.add(n));
      return this;
    }
    mul(n: number): this {
      this.steps.push((x) => x.mul(n));
      return this;
    }
    run(x: Tensor): Tensor {
      return this.steps.reduce((y, s) => s(y), x);
    }
  }
  const f = compile((x: Tensor, n: number) => new Builder().add(n).mul(2).add(1).run(x));
  return (round) => f(vec(round), round);
});

idiom("a result with a prototype, and one that holds another", "graph", (compile) => {
  const f = compile((x: Tensor) => ({ inner: new Affine(1, 2), list: [new Temp(x)], x }));
  return (round) => f(vec(round));
});

idiom("Object.assign, Object.entries, Object.fromEntries on state", "graph", (compile) => {
  const state: Record<string, Tensor> = { a: vec(1), b: vec(2) };
  const f = compile((x: Tensor) => {
    const scaled = Object.fromEntries(Object.entries(state).map(([k, v]) => [k, v.mul(x)]));
    Object.assign(state, { last: x.add(1) });
    return scaled;
  });
  return (round) => {
    if (round === 2) state["c"] = vec(7);
    if (round === 3) delete state["c"];
    return [f(vec(round)), state];
  };
});

idiom("objects with null prototype and computed keys", "graph", (compile) => {
  const f = compile((x: Tensor, key: string) => {
    const out = Object.create(null) as Record<string, Tensor>;
    out[`${key}_sum`] = x.sum();
    out[key] = x;
    return { ...out, [key + key]: x.mul(2) };
  });
  return (round) => f(mat(round), ["a", "b"][round % 2] ?? "");
});

idiom("defineProperty and a getter of an own property", "graph", (compile) => {
  let reads = 2;
  const options = {};
  Object.defineProperty(options, "scale", { get: () => reads, enumerable: true, configurable: true });
  const f = compile((x: Tensor) => x.mul((options as { scale: number }).scale));
  return (round) => {
    reads = round + 1;
    return f(vec(round));
  };
});

idiom("a Proxy of the user's own", "segments", (compile) => {
  const target: Record<string, number> = { a: 2 };
  const settings = new Proxy(target, { get: (t, k) => Reflect.get(t, k) ?? 1 });
  const f = compile((x: Tensor) => x.mul(settings["a"] ?? 0).add(settings["none"] ?? 0));
  return (round) => {
    target["a"] = round + 1;
    return f(vec(round));
  };
});
