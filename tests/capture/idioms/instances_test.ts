/** Idioms: classes and instances: private state, static blocks, accessors with effects, symbols as keys, inheritance from what functions return. */
import * as nn from "../../../src/nn/mod.ts";
import { F, noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("a hierarchy of three classes with private fields of one name in each", "graph", (compile) => {
  class A {
    #k = 1;
    get a(): number {
      return this.#k;
    }
    bumpA(): void {
      this.#k++;
    }
  }
  class B extends A {
    #k = 10;
    get b(): number {
      return this.#k + this.a;
    }
    bumpB(): void {
      this.#k *= 2;
      this.bumpA();
    }
  }
  class C extends B {
    #k = 100;
    forward(x: Tensor): Tensor {
      this.bumpB();
      this.#k -= this.b;
      return x.mul(this.#k);
    }
  }
  const c = new C();
  const f = compile((x: Tensor) => c.forward(x));
  return (round) => {
    if (round === 2) c.bumpA();
    return [f(vec(round)), c.a, c.b];
  };
});

idiom("private accessors: a getter and a setter that validate", "segments", (compile) => {
  class Gain {
    #value = 1;
    writes = 0;
    get #clamped(): number {
      return Math.min(this.#value, 3);
    }
    set #clamped(v: number) {
      this.writes++;
      this.#value = Math.max(v, 0);
    }
    step(x: Tensor): Tensor {
      this.#clamped = this.#clamped + 1;
      return x.mul(this.#clamped);
    }
  }
  const gain = new Gain();
  const f = compile((x: Tensor) => gain.step(x));
  return (round) => [f(vec(round)), gain.writes];
});

idiom("a static block that registers subclasses, looked up by name", "graph", (compile) => {
  abstract class Layer {
    static registry = new Map<string, new () => Layer>();
    abstract forward(x: Tensor): Tensor;
  }
  class Neg extends Layer {
    static {
      Layer.registry.set("neg", this);
    }
    override forward(x: Tensor): Tensor {
      return x.neg();
    }
  }
  class Twice extends Layer {
    static {
      Layer.registry.set("twice", this);
    }
    override forward(x: Tensor): Tensor {
      return x.mul(2);
    }
  }
  const layers = ["neg", "twice"].map((n) => new (Layer.registry.get(n) as new () => Layer)());
  const f = compile((x: Tensor, i: number) => (layers[i] as Layer).forward(x).add(Layer.registry.size));
  return (round) => {
    if (round === 3) Layer.registry.set("more", Neg);
    return [f(vec(round), round % 2), Neg.name, Twice.name];
  };
});

idiom("symbol keys: methods, state and accessors under symbols", "graph", (compile) => {
  const weight = Symbol("weight");
  const apply = Symbol("apply");
  const uses = Symbol.for("uses");
  const box = {
    [weight]: tensor([1, 2, 3]),
    [uses]: 0,
    [apply](x: Tensor): Tensor {
      this[uses]++;
      return x.mul(this[weight]);
    },
  };
  const f = compile((x: Tensor) => box[apply](x).add(box[uses]));
  return (round) => {
    if (round === 2) box[weight] = tensor([3, 2, 1]);
    return [f(vec(round)), box[uses], Object.getOwnPropertySymbols(box).length];
  };
});

idiom("a constructor that returns another object", "segments", (compile) => {
  const shared = { k: 2, calls: 0 };
  class Single {
    k = 1;
    calls = 0;
    constructor() {
      return shared;
    }
  }
  const f = compile((x: Tensor) => {
    const s = new Single();
    s.calls++;
    return [x.mul(s.k).add(1), s === shared];
  });
  return (round) => {
    if (round === 2) shared.k = 5;
    return [f(vec(round)), shared.calls];
  };
});

idiom("accessors with super: a getter that adds to that of its parent", "graph", (compile) => {
  class Base {
    constructor(public k: number) {}
    get scale(): number {
      return this.k;
    }
    set scale(v: number) {
      this.k = v;
    }
  }
  class Derived extends Base {
    override get scale(): number {
      return super.scale * 2;
    }
    override set scale(v: number) {
      super.scale = v + 1;
    }
  }
  const d = new Derived(1);
  const f = compile((x: Tensor, v: number) => {
    d.scale = v;
    d.scale += 1;
    return x.mul(d.scale);
  });
  return (round) => [f(vec(round), round), d.k];
});

idiom("methods borrowed: call on another instance, apply with array-likes", "graph", (compile) => {
  class P {
    constructor(readonly k: number) {}
    scale(x: Tensor, by = 1): Tensor {
      return x.mul(this.k * by);
    }
  }
  const p = new P(2);
  const other = { k: 5 };
  const f = compile((x: Tensor) => [
    P.prototype.scale.call(other as P, x),
    p.scale.apply({ k: 3 } as P, { length: 2, 0: x, 1: 4 } as unknown as [Tensor, number]),
    Reflect.apply(p.scale, other, [x, 2]),
  ]);
  return (round) => {
    if (round === 1) other.k = 7;
    return f(vec(round));
  };
});

idiom("an accumulator class with a private tensor, written in place", "graph", (compile) => {
  class Mean {
    readonly #sum = zeros([3]);
    #n = 0;
    add(x: Tensor): void {
      this.#sum.add_(x);
      this.#n++;
    }
    get value(): Tensor {
      return this.#sum.div(this.#n);
    }
  }
  const mean = new Mean();
  const f = compile((x: Tensor) => {
    mean.add(x);
    return mean.value;
  });
  return (round) => f(vec(round));
});

idiom("a module with a private buffer list and a getter for its length", "graph", (compile) => {
  class Memory extends nn.Module {
    readonly #slots: Tensor[] = [];
    limit = 2;
    override forward(x: Tensor): Tensor {
      this.#slots.push(x.detach());
      if (this.#slots.length > this.limit) this.#slots.shift();
      return F.stack(this.#slots).sum(0);
    }
    get used(): number {
      return this.#slots.length;
    }
  }
  const memory = new Memory();
  const f = compile((x: Tensor) => memory.forward(x));
  return (round) => {
    if (round === 3) memory.limit = 1;
    return [f(vec(round)), memory.used];
  };
});

idiom("private static counter incremented by instances made outside and used inside", "graph", (compile) => {
  class Id {
    static #next = 0;
    readonly id = Id.#next++;
    static get made(): number {
      return Id.#next;
    }
  }
  const f = compile((x: Tensor, who: Id) => x.add(who.id).mul(Id.made));
  return (round) => f(vec(round), new Id());
});

idiom("a class whose fields are arrows over this, called from a list", "graph", (compile) => {
  class Ops {
    k = 2;
    readonly twice = (x: Tensor): Tensor => x.mul(this.k);
    readonly shift = (x: Tensor): Tensor => x.add(this.k);
    readonly all = [this.twice, this.shift];
  }
  const ops = new Ops();
  const f = compile((x: Tensor) => ops.all.reduce((y, op) => op(y), x));
  return (round) => {
    if (round === 2) ops.k = 4;
    if (round === 3) ops.all.pop();
    return f(vec(round));
  };
});

idiom("duck typing: in, typeof method, optional methods, hasOwn", "graph", (compile) => {
  interface Duck {
    k?: number;
    forward?(x: Tensor): Tensor;
    weight?: Tensor;
  }
  const f = compile((x: Tensor, d: Duck) => {
    if ("forward" in d && typeof d.forward === "function") return d.forward(x);
    if (Object.hasOwn(d, "weight")) return x.mul(d.weight as Tensor);
    return x.add(d.k ?? 0.5);
  });
  const ducks: Duck[] = [{ k: 1 }, { weight: vec(2) }, { forward: (x) => x.neg() }, {}];
  return (round) => f(vec(round), ducks[round] as Duck);
});

idiom("an instance that changes its class by setPrototypeOf between calls", "graph", (compile) => {
  const A = { act: (x: Tensor): Tensor => x.exp() };
  const B = { act: (x: Tensor): Tensor => x.neg() };
  const o = Object.create(A) as typeof A;
  const f = compile((x: Tensor) => o.act(x));
  return (round) => {
    Object.setPrototypeOf(o, round === 2 ? B : A);
    return f(vec(round));
  };
});

idiom("enumerable accessors copied by spread and Object.assign", "graph", (compile) => {
  let reads = 0;
  const source = {
    k: 1,
    get twice(): number {
      reads++;
      return this.k * 2;
    },
  };
  const f = compile((x: Tensor) => {
    const a = { ...source };
    const b = Object.assign({}, source, { k: 9 });
    return [x.mul(a.twice).add(b.twice), b.k];
  });
  return (round) => {
    if (round === 1) source.k = 4;
    return [f(vec(round)), reads];
  };
});

idiom("a class with a toString that is used as a key of a cache", "graph", (compile) => {
  class Key {
    constructor(readonly rows: number, readonly name: string) {}
    toString(): string {
      return `${this.name}/${this.rows}`;
    }
  }
  const cache: Record<string, Tensor> = {};
  const f = compile((x: Tensor, key: Key) => {
    const at = String(key);
    cache[at] ??= x.mul(0).add(Object.keys(cache).length);
    return x.add(cache[`${key}`] as Tensor);
  });
  return (round) => [f(vec(round), new Key(round % 2, "k")), Object.keys(cache)];
});

idiom("a visitor with double dispatch over a tree of instances", "graph", (compile) => {
  class Num {
    constructor(readonly k: number) {}
    accept(v: Visitor): Tensor {
      return v.num(this);
    }
  }
  class Add {
    constructor(readonly a: Num | Add, readonly b: Num | Add) {}
    accept(v: Visitor): Tensor {
      return v.add(this);
    }
  }
  class Visitor {
    depth = 0;
    constructor(readonly x: Tensor) {}
    num(n: Num): Tensor {
      return this.x.mul(n.k);
    }
    add(n: Add): Tensor {
      this.depth++;
      return n.a.accept(this).add(n.b.accept(this));
    }
  }
  let tree: Num | Add = new Add(new Num(1), new Num(2));
  const f = compile((x: Tensor) => {
    const v = new Visitor(x);
    return [tree.accept(v), v.depth];
  });
  return (round) => {
    if (round === 2) tree = new Add(tree, new Num(4));
    return f(vec(round));
  };
});

idiom("a compiled method on a prototype, used by two instances that change", "graph", (compile) => {
  class Counter {
    n = 0;
    constructor(readonly step: number) {}
    run(x: Tensor): Tensor {
      this.n += this.step;
      return x.add(this.n);
    }
  }
  const run = compile(Counter.prototype.run);
  Counter.prototype.run = function (x: Tensor): Tensor {
    return (run as (this: Counter, x: Tensor) => Tensor).call(this, x);
  };
  const a = new Counter(1);
  const b = new Counter(10);
  return (round) => [a.run(vec(round)), b.run(vec(round)), a.n, b.n];
});

idiom("defaults in a prototype, overrides by delete and by assignment", "graph", (compile) => {
  const defaults = { gain: 2, bias: 1 };
  const options = Object.create(defaults) as { gain: number; bias: number };
  const f = compile((x: Tensor) => {
    const y = x.mul(options.gain).add(options.bias);
    options.bias = options.bias + 1;
    if (options.bias > 4) delete (options as Partial<typeof options>).bias;
    return y;
  });
  return (round) => {
    if (round === 2) defaults.gain = 5;
    return [f(vec(round)), options.bias, Object.hasOwn(options, "bias")];
  };
});

idiom("a pool of instances, taken, changed and given back", "graph", (compile) => {
  class Slot {
    uses = 0;
    data = zeros([3]);
  }
  const free: Slot[] = [new Slot(), new Slot()];
  const f = compile((x: Tensor) => {
    const slot = free.pop();
    if (slot === undefined) throw new Error("empty");
    slot.uses++;
    slot.data = slot.data.add(x);
    free.unshift(slot);
    return slot.data.mul(1);
  });
  return (round) => [f(vec(round)), free.map((s) => s.uses), free.map((s) => s.data)];
});

idiom("frozen parameters found by a class method that walks its own entries", "graph", (compile) => {
  class Net extends nn.Module {
    a = new nn.Linear(3, 3);
    b = new nn.Linear(3, 2);
    frozen = "a";
    override forward(x: Tensor): Tensor {
      let y = x;
      for (const [name, child] of Object.entries(this)) {
        if (!(child instanceof nn.Linear)) continue;
        y = name === this.frozen ? noGrad(() => child.forward(y)) : child.forward(y);
      }
      return y;
    }
  }
  const net = new Net();
  const f = compile((x: Tensor) => net.forward(x));
  return (round) => {
    net.frozen = round === 2 ? "b" : "a";
    const y = f(mat(round));
    if (!y.requiresGrad) return [y, null];
    y.sum().backward();
    const grads = [net.a.weight.grad, net.b.weight.grad];
    net.a.weight.grad = null;
    net.b.weight.grad = null;
    return [y, grads];
  };
});
