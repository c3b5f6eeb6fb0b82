/** Idioms: who listens to gradients, what an object is, and seeds inside of compiled functions. */
import { defaultGenerator, manualSeed, ones, rand, type Tensor } from "../../../src/tensor/mod.ts";
import { idiom, vec } from "./harness.ts";

function weight(): Tensor {
  return ones([3]).mul(2).requiresGrad_();
}

idiom("a hook on the gradient of a weight, there from the start", "segments", (compile) => {
  const w = weight();
  w.registerHook((g: Tensor) => g.mul(10));
  const f = compile((x: Tensor) => {
    x.mul(w).sum().backward();
    return w.grad;
  });
  return (round) => f(vec(round));
});

idiom("a hook on the gradient of a weight that comes and goes", "segments", (compile) => {
  const w = weight();
  let hook: Disposable | null = null;
  const f = compile((x: Tensor) => {
    w.grad = null;
    x.mul(w).sum().backward();
    return w.grad;
  });
  return (round) => {
    if (round === 1) hook ??= w.registerHook((g: Tensor) => g.mul(10));
    if (round === 2) hook?.[Symbol.dispose]();
    return f(vec(round));
  };
});

idiom("a hook that the function puts on a weight", "segments", (compile) => {
  const w = weight();
  const f = compile((x: Tensor) => {
    w.registerHook((g: Tensor) => g.mul(2));
    return x.mul(w).sum();
  });
  return (round) => {
    f(vec(round)).backward();
    return w.grad;
  };
});

idiom("a hook on an intermediate, backward outside", "segments", (compile) => {
  const w = weight();
  const f = compile((x: Tensor) => {
    const h = x.mul(w);
    h.registerHook((g: Tensor) => g.mul(2));
    return h.sum();
  });
  return (round) => {
    f(vec(round)).backward();
    return w.grad;
  };
});

idiom("a hook on an intermediate, backward inside", "graph", (compile) => {
  const w = weight();
  const f = compile((x: Tensor) => {
    const h = x.mul(w);
    h.registerHook((g: Tensor) => g.mul(2));
    h.sum().backward();
    return w.grad;
  });
  return (round) => f(vec(round));
});

idiom("a result that retains its gradient, backward outside", "segments", (compile) => {
  const w = weight();
  const f = compile((x: Tensor) => {
    const h = x.mul(w);
    h.retainGrad();
    return [h, h.sum()] as const;
  });
  return (round) => {
    const [h, sum] = f(vec(round));
    sum.backward();
    return [h.grad, w.grad];
  };
});

idiom("backward inside reaches a retained tensor of an outer history", "segments", (compile) => {
  const w = weight();
  const f = compile((x: Tensor) => x.mul(3).sum().backward());
  return (round) => {
    const h = w.mul(vec(round));
    h.retainGrad();
    f(h);
    return [h.grad, w.grad];
  };
});

class First {}
class Second {}

idiom("instanceof and constructor of a constant whose prototype changes", "graph", (compile) => {
  const object: object = new First();
  const f = compile((x: Tensor) => {
    const y = object instanceof First ? x.mul(2) : x.mul(3);
    return object.constructor === First ? y : y.add(1);
  });
  return (round) => {
    Object.setPrototypeOf(object, round % 2 === 0 ? First.prototype : Second.prototype);
    return f(vec(round));
  };
});

idiom("Object.getPrototypeOf of a constant", "graph", (compile) => {
  const object: object = new First();
  const f = compile((x: Tensor) => Object.getPrototypeOf(object) === First.prototype ? x.mul(2) : x.mul(3));
  return (round) => {
    Object.setPrototypeOf(object, round % 2 === 0 ? First.prototype : Second.prototype);
    return f(vec(round));
  };
});

idiom("a constructor function whose prototype is replaced", "graph", (compile) => {
  const make = function (): void {};
  const old: object = Reflect.construct(make, []);
  const prototype: unknown = make.prototype;
  const f = compile((x: Tensor) => old instanceof make ? x.mul(2) : x.mul(3));
  return (round) => {
    make.prototype = round % 2 === 0 ? prototype : {};
    return f(vec(round));
  };
});

idiom("what every object inherits, overridden later", "graph", (compile) => {
  const object: Record<string, unknown> = { k: 1 };
  const f = compile((x: Tensor) => x.mul(`${object}`.length).add((object.valueOf() === object) ? 1 : 2));
  return (round) => {
    if (round > 0) object["toString"] = () => "x".repeat(round);
    if (round > 1) object["valueOf"] = () => 1;
    return f(vec(round));
  };
});

idiom("a getter of a prototype that is replaced", "graph", (compile) => {
  class Scale {
    get k(): number {
      return 2;
    }
    get j(): number {
      return 3;
    }
  }
  const object = new Scale();
  const f = compile((x: Tensor) => x.mul(object.k).add(object.j));
  return (round) => {
    if (round > 0) Object.defineProperty(Scale.prototype, "k", { get: () => round, configurable: true });
    if (round > 2) Object.defineProperty(Scale.prototype, "j", { get: () => round, configurable: true });
    return f(vec(round));
  };
});

idiom("a seed set inside", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const before = rand([3]);
    manualSeed(5);
    return [before, x.add(rand([3]))];
  });
  return (round) => {
    manualSeed(round);
    return [f(vec(round)), rand([2])];
  };
});

idiom("the seed read inside", "segments", (compile) => {
  const f = compile((x: Tensor) => x.mul(Number(defaultGenerator().seed)).add(1));
  return (round) => {
    manualSeed(round);
    return f(vec(round));
  };
});
