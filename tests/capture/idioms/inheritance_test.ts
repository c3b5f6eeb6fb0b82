/** Idioms: objects that inherit from others: made with a prototype inside, written through it, returned with it. */
import type { Tensor } from "../../../src/tensor/mod.ts";
import { idiom, vec } from "./harness.ts";

interface Scaled {
  k: number;
  y?: Tensor;
  scale(x: Tensor): Tensor;
}

const scaled = (): Scaled => ({
  k: 2,
  scale(x: Tensor): Tensor {
    return x.mul(this.k);
  },
});

idiom("an object made from an outer prototype, filled and returned", "graph", (compile) => {
  const base = scaled();
  const f = compile((x: Tensor) => {
    const o = Object.create(base) as Scaled;
    o.k += 3;
    o.y = o.scale(x);
    return o;
  });
  return (round) => {
    if (round === 2) base.k = 7;
    const o = f(vec(round));
    return [o, Object.getPrototypeOf(o) === base, base, o.scale(vec(1))];
  };
});

idiom("a setter that an outer prototype lends", "graph", (compile) => {
  const base = {
    set double(x: Tensor) {
      (this as unknown as { kept: Tensor }).kept = x.mul(2);
    },
  };
  const f = compile((x: Tensor) => {
    const o = Object.create(base) as { double: Tensor };
    o.double = x;
    return o;
  });
  return (round) => {
    const o = f(vec(round));
    return [o, Object.getPrototypeOf(o) === base, Object.keys(base)];
  };
});

idiom("settings of outer, middle and inner scopes", "graph", (compile) => {
  const root = { rate: 0.5, shift: 1 };
  const f = compile((x: Tensor) => {
    const middle = Object.create(root) as typeof root;
    middle.rate = 2;
    const inner = Object.create(middle) as typeof root;
    inner.shift = root.shift + 1;
    return x.mul(inner.rate).add(inner.shift).sub(middle.shift);
  });
  return (round) => {
    root.shift = round;
    return [f(vec(round)), root];
  };
});

idiom("a result that inherits from an object made inside", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const o = Object.create({ base: x.add(1) }) as { own: Tensor; base: Tensor };
    o.own = x.mul(2);
    return o;
  });
  const first = f(vec(0));
  return (round) => {
    const o = f(vec(round));
    return [o, o.base, first.base];
  };
});

idiom(
  "what super shows is replaced: the class's parent, a getter of it, a member that was missing",
  "graph",
  (compile) => {
    class Plain {
      factor(): number {
        return 1;
      }
      get shift(): number {
        return 0;
      }
    }
    class Strong {
      factor(): number {
        return 7;
      }
      get shift(): number {
        return 3;
      }
      get late(): number {
        return 4;
      }
    }
    class Child extends Plain {
      override factor(): number {
        return super.factor() + 1;
      }
      override get shift(): number {
        return super.shift;
      }
      fallback(): number {
        return (super["late" as "shift"] as number | undefined) ?? 100;
      }
    }
    const child = new Child();
    const f = compile((x: Tensor) => x.mul(child.factor()).add(child.shift).sub(child.fallback()));
    return (round) => {
      Object.setPrototypeOf(Child.prototype, round === 2 ? Strong.prototype : Plain.prototype);
      if (round === 3) {
        Object.defineProperty(Plain.prototype, "shift", { get: () => 50, configurable: true });
        Object.defineProperty(Plain.prototype, "late", { get: () => 60, configurable: true });
      }
      return f(vec(round));
    };
  },
);

idiom("a class that is made inside gets another parent, and its parent another getter", "graph", (compile) => {
  class Plain {
    get by(): number {
      return 1;
    }
  }
  class Strong {
    get by(): number {
      return 7;
    }
  }
  class Child extends Plain {
    double(): number {
      return super.by * 2;
    }
  }
  const f = compile((x: Tensor) => x.mul(new Child().double()));
  return (round) => {
    Object.setPrototypeOf(Child.prototype, round === 2 ? Strong.prototype : Plain.prototype);
    if (round === 3) Object.defineProperty(Plain.prototype, "by", { get: () => 50, configurable: true });
    return f(vec(round));
  };
});
