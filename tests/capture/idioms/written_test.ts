/** Idioms: what writing a property does changes between calls: setters are swapped, objects frozen, properties made read-only. */
import type { Tensor } from "../../../mod.ts";
import { idiom, vec } from "./harness.ts";

idiom("an object that is frozen between calls", "graph", (compile) => {
  const state = { n: 0, last: 0 };
  const f = compile((x: Tensor, k: number) => {
    state.last = k;
    return x.mul(k);
  });
  return (round) => {
    if (round === 2) Object.freeze(state);
    try {
      return [f(vec(round), round), { ...state }];
    } catch (error) {
      return [(error as Error).name, { ...state }];
    }
  };
});

idiom("a property that becomes read-only", "graph", (compile) => {
  const state = { last: 0 };
  const f = compile((x: Tensor, k: number) => {
    state.last = k;
    return x.add(k);
  });
  return (round) => {
    if (round === 2) Object.defineProperty(state, "last", { writable: false });
    try {
      return [f(vec(round), round), state.last];
    } catch (error) {
      return [(error as Error).name, state.last];
    }
  };
});

idiom("a setter of a prototype that is replaced", "graph", (compile) => {
  const written: number[] = [];
  class Box {
    value = 0;
    set twice(v: number) {
      this.value = 2 * v;
    }
  }
  const box = new Box();
  const f = compile((x: Tensor, k: number) => {
    box.twice = k;
    return x.mul(box.value);
  });
  return (round) => {
    if (round === 2) {
      Object.defineProperty(Box.prototype, "twice", {
        set(this: Box, v: number) {
          written.push(v);
          this.value = 3 * v;
        },
        configurable: true,
      });
    }
    return [f(vec(round), round), box.value, [...written]];
  };
});

idiom("a property that becomes an accessor and is only written", "graph", (compile) => {
  const seen: number[] = [];
  const state: { last: number } = { last: 0 };
  const f = compile((x: Tensor) => {
    state.last = 5;
    return x.exp();
  });
  return (round) => {
    if (round === 2) Object.defineProperty(state, "last", { set: (v: number) => seen.push(v), configurable: true });
    return [f(vec(round)), [...seen]];
  };
});

idiom("an object that no longer takes new properties", "graph", (compile) => {
  const state: { last?: number } = {};
  const f = compile((x: Tensor, k: number) => {
    state.last = k;
    return x.sub(k);
  });
  return (round) => {
    delete state.last;
    if (round === 2) Object.preventExtensions(state);
    try {
      return [f(vec(round), round), state.last];
    } catch (error) {
      return [(error as Error).name, state.last];
    }
  };
});
