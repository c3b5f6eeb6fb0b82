/** Idioms: branches, loops, errors, and what happens beside tensors: printing, clocks, chance. */
import { float32, float64 } from "../../../src/core/mod.ts";
import { noGrad, rand, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("early returns on options", "graph", (compile) => {
  const f = compile((x: Tensor, mode?: string | null) => {
    if (mode === undefined) return x;
    if (mode === null) return null;
    if (mode === "none") return;
    return mode.startsWith("d") ? x.mul(2) : [x];
  });
  return (round) => f(vec(round), [undefined, "none", "double", null][round]);
});

idiom("branches on shape, rank and dtype", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    if (x.ndim === 2) return x.sum(0);
    if (x.dtype === float64) return x.mul(3);
    if (x.shape[0] === 4) return x.neg();
    return (x.shape[0] as number) > 5 ? x.mul(2) : x.add(1);
  });
  return (
    round,
  ) => [f(round === 1 ? mat(1) : vec(round)), f(vec(round, 4 + round)), f(vec(round, 4)), f(vec(1).to(float64))];
});

idiom("comparison of sizes that change", "graph", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => {
    const n = x.shape[0] as number;
    const same = n === y.shape[0];
    switch (n) {
      case 3:
        return x.mul(same ? 10 : 11);
      case 6:
        return x.mul(same ? 20 : 21);
      default:
        return x.mul(same ? n : -n);
    }
  });
  return (round) => [3, 4, 5, 6, 7].map((n) => f(vec(round, n), vec(round, n + (round % 2))));
});

idiom("sizes as numbers: typeof, includes, Map keys, isInteger, arithmetic", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const n = x.shape[0] as number;
    const scale = new Map([[4, 2], [5, 3]]).get(n) ?? 1;
    const known = [3, 5].includes(n) ? 1 : 0;
    const kind = typeof n === "number" && Number.isInteger(n) ? 1 : -1;
    return [x.mul(scale).add(known).mul(kind), Math.floor(n / 2), n % 2 === 0 ? "even" : "odd", `${n}`, n * 2 + 1];
  });
  return (round) => [3, 4, 5, 6, 7].map((n) => f(vec(round, n)));
});

idiom("loops over a size", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    let y = x.sum();
    for (let i = 0; i < (x.shape[0] as number); i++) y = y.add(x.at(i).mul(i));
    return y;
  });
  return (round) => [3, 4, 5].map((n) => f(vec(round, n)));
});

idiom("switch with shared cases and labels", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    let y = x;
    outer: for (let i = 0; i < 4; i++) {
      for (let j = 0; j < 4; j++) {
        if (j === n) continue outer;
        if (i === 3) break outer;
        y = y.add(i * j);
      }
    }
    switch (n) {
      case 0:
      case 1:
        y = y.add(1);
        break;
      default:
        y = y.neg();
    }
    return y;
  });
  return (round) => f(vec(round), round);
});

idiom("a branch on item()", "segments", (compile) => {
  const f = compile((x: Tensor) => x.sum().item() > 2 ? x.mul(2) : x.neg());
  return (round) => f(vec(round));
});

idiom("a loop until data say so", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    let y = x;
    let n = 0;
    while (y.abs().sum().item() < 20 && n < 10) {
      y = y.mul(2).add(1);
      n++;
    }
    return [y, n];
  });
  return (round) => f(vec(round));
});

idiom("coercion of a tensor to a number and a string", "segments", (compile) => {
  const f = compile((x: Tensor) => x.mul(Number(x.sum())));
  return (round) => f(vec(round));
});

idiom("throws of the function, before and after writes", "graph", (compile) => {
  const log: number[] = [];
  const f = compile((x: Tensor, n: number) => {
    log.push(n);
    if (n === 1) throw new RangeError(`no ${n}`);
    x.add_(1);
    if (n === 2) throw new TypeError("later");
    return x.mul(2);
  });
  return (round) => {
    const x = vec(round);
    try {
      return [f(x, round), x, log];
    } catch (error) {
      return [error, x, log];
    }
  };
});

idiom("throws only", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    if (n === 1) throw new RangeError(`no ${n}`);
    return x.mul(2);
  });
  return (round) => f(vec(round), round);
});

idiom("try, catch and finally without an error", "graph", (compile) => {
  const log: string[] = [];
  const f = compile((x: Tensor) => {
    try {
      return x.mul(2);
    } catch {
      return x;
    } finally {
      log.push("done");
    }
  });
  return (round) => [f(vec(round)), log];
});

idiom("try, catch and finally with an error of the function", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    let y = x;
    try {
      if (n === 1) throw new RangeError("one");
      y = y.mul(2);
    } catch (error) {
      y = error instanceof RangeError ? y.neg() : y;
    } finally {
      y = y.add(1);
    }
    return y;
  });
  return (round) => f(vec(round), round);
});

idiom("shapes that do not fit, caught", "graph", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => {
    try {
      return x.add(y);
    } catch {
      return x;
    }
  });
  return (round) => f(vec(round), round === 1 ? vec(1, 4) : vec(1));
});

idiom("shapes that do not fit, thrown", "graph", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => x.add(y));
  return (round) => f(vec(round), round === 1 ? vec(1, 4) : vec(1));
});

idiom("a break inside a try whose catch hides it", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    try {
      return x.mul(x.sum().item());
    } catch {
      return x;
    }
  });
  return (round) => f(vec(round));
});

idiom("a missing function that is caught", "graph", (compile) => {
  const f = compile((x: Tensor, o: { go?: () => number }) => {
    try {
      return x.mul((o.go as () => number)());
    } catch (error) {
      return [x, (error as Error).name];
    }
  });
  return (round) => f(vec(round), round === 1 ? { go: () => 4 } : {});
});

idiom("console inside, with numbers", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    // deno-lint-ignore no-console
    console.log("n is", n, `of ${x.ndim}`);
    // deno-lint-ignore no-console
    if (n > 1) console.warn("large");
    return x.mul(n);
  });
  return (round) => f(vec(round), round);
});

idiom("console inside, with tensors", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    // deno-lint-ignore no-console
    console.log("y", y, { parts: [x, 1] });
    // deno-lint-ignore no-console
    console.info(y.add(1));
    return y;
  });
  return (round) => f(vec(round));
});

idiom("console inside, of a tensor that changes later", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    // deno-lint-ignore no-console
    console.log(y);
    return y.add_(1);
  });
  return (round) => f(vec(round));
});

idiom("console.log under another name", "segments", (compile) => {
  const { log } = console;
  const out = console;
  const f = compile((x: Tensor) => {
    log("hidden");
    return x.mul(2);
  });
  const g = compile((x: Tensor) => {
    out.log("aliased");
    return x.mul(2);
  });
  return (round) => [f(vec(round)), g(vec(round))];
});

idiom("Math.random inside", "segments", (compile) => {
  const f = compile((x: Tensor) => x.mul(Math.random()));
  return (round) => f(vec(round));
});

idiom("Math.random under another name", "segments", (compile) => {
  const { random } = Math;
  const tools = { draw: () => globalThis.Math.random() };
  const f = compile((x: Tensor) => x.mul(tools.draw()));
  const g = compile((x: Tensor) => (random(), x.mul(2)));
  return (round) => [f(vec(round)), g(vec(round))];
});

idiom("Date inside", "segments", (compile) => {
  const f = compile((x: Tensor) => Date.now() > 0 && new Date().getTime() > 0 ? x.mul(2) : x);
  return (round) => f(vec(round));
});

idiom("a Date of the closure", "segments", (compile) => {
  const date = new Date(0);
  const f = compile((x: Tensor) => x.mul(date.getTime()));
  return (round) => {
    date.setTime(round);
    return f(vec(round));
  };
});

idiom("a regular expression with state", "segments", (compile) => {
  const pattern = /a/g;
  const f = compile((x: Tensor) => pattern.test("aXaX") ? x.mul(2) : x);
  return (round) => [f(vec(round)), pattern.lastIndex];
});

idiom("regular expressions of its own, string methods", "graph", (compile) => {
  const f = compile((x: Tensor, name: string) =>
    /^w_\d+$/.test(name) ? x.mul(Number(name.split("_")[1])) : x.add(name.length)
  );
  return (round) => f(vec(round), round === 1 ? "w_12" : `b${round}`);
});

idiom("random tensors, seeded outside", "graph", (compile) => {
  const f = compile((x: Tensor) => x.add(rand([3])).mul(rand([3])));
  return (round) => [f(vec(round)), rand([2])];
});

idiom("noGrad regions and requiresGrad", "graph", (compile) => {
  const w = vec(1).requiresGrad_();
  const f = compile((x: Tensor) => {
    const fixed = noGrad(() => w.mul(2));
    return w.mul(x).add(fixed).sum();
  });
  return (round) => {
    const y = f(vec(round));
    y.backward();
    const grad = w.grad?.clone();
    w.grad = null;
    return [y.detach(), grad, noGrad(() => f(vec(round)))];
  };
});

idiom("backward inside, gradient read and cleared", "graph", (compile) => {
  const w = vec(1).requiresGrad_();
  const f = compile((x: Tensor) => {
    w.grad = null;
    w.mul(x).pow(2).sum().backward();
    return (w.grad as Tensor | null)?.mul(0.5);
  });
  return (round) => [f(vec(round)), w.grad];
});

idiom("tensors made from numbers inside, written", "graph", (compile) => {
  const f = compile((x: Tensor, n: number) => {
    const y = tensor([1, 2, n], { dtype: float32 });
    const z = zeros([3]);
    z.add_(x).mul_(y);
    return [z, y];
  });
  return (round) => f(vec(round), round);
});

idiom("conditional chains: &&, ||, ??, ?: on options", "graph", (compile) => {
  const f = compile((x: Tensor, o: { a?: number | null; b?: string; t?: Tensor | null }) => {
    const scale = o.a ?? (o.b && o.b.length) ?? 2;
    const y = o.t || x;
    return (o.a === null ? y.neg() : y).mul(scale || 7);
  });
  return (round) => f(vec(round), [{}, { a: null, b: "" }, { a: 0, t: vec(4) }, { b: "xyz", t: null }][round] ?? {});
});

idiom("exceptions of deep helpers with finally that writes", "graph", (compile) => {
  const state = { depth: 0 };
  const dive = (x: Tensor, n: number): Tensor => {
    state.depth++;
    try {
      if (n === 0) throw new Error("bottom");
      return dive(x.mul(2), n - 1);
    } finally {
      state.depth--;
    }
  };
  const f = compile((x: Tensor, n: number) => {
    try {
      return dive(x, n);
    } catch (error) {
      return [x.add(n), (error as Error).message];
    }
  });
  return (round) => [f(vec(round), round), state];
});

idiom("async helpers", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const later = (async () => await x)();
    return later instanceof Promise ? x.mul(2) : x;
  });
  return (round) => f(vec(round));
});

idiom("endless recursion", "graph", (compile) => {
  const down = (x: Tensor, n: number): Tensor => down(x, n + 1);
  const f = compile((x: Tensor, n: number) => n === 1 ? down(x, 0) : x.mul(n));
  return (round) => {
    try {
      return f(vec(round), round);
    } catch (error) {
      return (error as Error).name;
    }
  };
});
