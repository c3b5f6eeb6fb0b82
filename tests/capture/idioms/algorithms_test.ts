/** Idioms: whole small algorithms: recursion over trees, search, early exit, caches of keys and values, numerics. */
import * as nn from "../../../src/nn/mod.ts";
import { F, noGrad, ones, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

interface Tree {
  readonly word?: number;
  readonly left?: Tree;
  readonly right?: Tree;
}

const leaf = (word: number): Tree => ({ word });
const node = (left: Tree, right: Tree): Tree => ({ left, right });

idiom("a recursive network over trees", "graph", (compile) => {
  const table = mat(1, 5, 3);
  const w = nn.parameter(mat(0, 6, 3).mul(0.1));
  const encode = (t: Tree): Tensor =>
    t.left === undefined || t.right === undefined
      ? table.select(0, t.word ?? 0)
      : F.cat([encode(t.left), encode(t.right)]).view([1, 6]).mm(w).view([3]).tanh();
  const f = compile((t: Tree) => encode(t));
  const trees = [leaf(1), node(leaf(0), leaf(1)), node(node(leaf(2), leaf(3)), leaf(4)), node(leaf(4), leaf(2))];
  return (round) => {
    w.grad = null;
    const y = f(trees[round] ?? leaf(0));
    if (y.requiresGrad) y.sum().backward();
    return [y, w.grad];
  };
});

idiom("beam search over scores that are read", "segments", (compile) => {
  const transition = mat(0, 4, 4).sin();
  const f = compile((start: Tensor, width: number) => {
    let beams = [{ path: [0], score: 0, state: start }];
    for (let step = 0; step < 3; step++) {
      const next = beams.flatMap(({ path, score, state }) => {
        const logits = state.view([1, 4]).mm(transition).view([4]).logSoftmax(0);
        return [...logits.dataSync()].map((p, token) => ({
          path: [...path, token],
          score: score + Number(p),
          state: state.mul(0.5).add(transition.select(0, token)),
        }));
      });
      next.sort((a, b) => b.score - a.score || a.path.join().localeCompare(b.path.join()));
      beams = next.slice(0, width);
    }
    return beams.map(({ path, state }) => ({ path: path.join("-"), state }));
  });
  return (round) => f(vec(round, 4), 1 + round % 2);
});

idiom("early exit when a layer is confident", "segments", (compile) => {
  const layers = Array.from({ length: 4 }, (_, i) => mat(i, 3, 3).cos());
  let exits = 0;
  const f = compile((x: Tensor) => {
    let y = x.view([1, 3]);
    for (const [i, w] of layers.entries()) {
      y = y.mm(w).tanh();
      const confidence = y.softmax(1).max().item();
      if (confidence > 0.6) {
        exits++;
        return { at: i, y };
      }
    }
    return { at: -1, y };
  });
  return (round) => [f(vec(round)), exits];
});

idiom("a cache of keys and values that grows by cat", "graph", (compile) => {
  const cache: { k: Tensor | null; v: Tensor | null } = { k: null, v: null };
  const f = compile((q: Tensor) => {
    const k = q.mul(2);
    const v = q.add(1);
    cache.k = cache.k === null ? k : F.cat([cache.k, k], 0);
    cache.v = cache.v === null ? v : F.cat([cache.v, v], 0);
    return q.mm(cache.k.t()).softmax(1).mm(cache.v);
  });
  return (round) => {
    if (round === 3) cache.k = cache.v = null;
    return [f(mat(round, 1, 3)), cache.k?.shape.map(Number)];
  };
});

idiom("greedy decoding with a growing prompt", "segments", (compile) => {
  const table = mat(0, 5, 3).sin();
  const f = compile((prompt: number[]) => {
    const tokens = [...prompt];
    while (tokens.length < 6) {
      const h = F.indexSelect(table, 0, tensor(tokens)).mean(0);
      const next = h.view([1, 3]).mm(table.t()).argmax().item();
      if (next === 4) break;
      tokens.push(next);
    }
    return tokens;
  });
  return (round) => f([round]);
});

idiom("power iteration with a tolerance", "segments", (compile) => {
  const f = compile((a: Tensor, tolerance: number) => {
    let v = ones([3, 1]);
    let before = Infinity;
    for (let i = 0; i < 20; i++) {
      const w = a.mm(v);
      const norm = w.pow(2).sum().sqrt();
      v = w.div(norm);
      const value = norm.item();
      if (Math.abs(value - before) < tolerance) return { i, v };
      before = value;
    }
    return { i: -1, v };
  });
  return (round) => f(mat(round, 3, 3).add(5), round === 2 ? 1 : 0.01);
});

idiom("Horner's rule and a polynomial from an array", "graph", (compile) => {
  const coefficients = [1, -2, 0.5];
  const horner = (x: Tensor, [first = 0, ...rest]: number[]): Tensor =>
    rest.length === 0 ? zeros([3]).add(first) : horner(x, rest).mul(x).add(first);
  const f = compile((x: Tensor) => horner(x, coefficients));
  return (round) => {
    if (round === 2) coefficients.push(0.25);
    return f(vec(round));
  };
});

idiom("a virtual machine that runs a program of opcodes", "graph", (compile) => {
  type Code = readonly (readonly [string, number?])[];
  const run = (x: Tensor, code: Code): Tensor => {
    const stack: Tensor[] = [x];
    for (const [op, arg = 1] of code) {
      const top = stack.pop() ?? x;
      switch (op) {
        case "dup":
          stack.push(top, top);
          break;
        case "add":
          stack.push(top.add(stack.pop() ?? 0));
          break;
        case "mul":
          stack.push(top.mul(arg));
          break;
        default:
          throw new SyntaxError(`no opcode ${op}`);
      }
    }
    return stack.at(-1) ?? x;
  };
  const f = compile(run);
  const codes: Code[] = [[["dup"], ["add"]], [["mul", 3]], [["jump"]], [["mul"], ["dup"], ["mul", 2], ["add"]]];
  return (round) => f(vec(round), codes[round] ?? []);
});

idiom("dynamic programming over a table of tensors", "graph", (compile) => {
  const f = compile((xs: readonly Tensor[]) => {
    const table: Tensor[][] = xs.map(() => []);
    const row0 = xs.map((x) => x.sum());
    for (const [i, x] of xs.entries()) {
      for (const [j] of xs.entries()) {
        const up = table[i - 1]?.[j];
        const left = table[i]?.[j - 1];
        const own = x.sum().mul(row0[j] ?? 1);
        (table[i] as Tensor[])[j] = up === undefined || left === undefined ? own : F.minimum(up, left).add(own);
      }
    }
    return table.at(-1)?.at(-1);
  });
  return (round) => f(Array.from({ length: 2 + round % 2 }, (_, i) => vec(round + i)));
});

idiom("LSTM by hand: gates chunked, state in an object", "graph", (compile) => {
  const w = nn.parameter(mat(0, 12, 6).sin());
  const state = { h: zeros([1, 3]), c: zeros([1, 3]) };
  const cell = (x: Tensor): Tensor => {
    const [i, f, g, o] = F.chunk(F.cat([x, state.h], 1).mm(w.t()), 4, 1) as [Tensor, Tensor, Tensor, Tensor];
    state.c = f.sigmoid().mul(state.c).add(i.sigmoid().mul(g.tanh()));
    state.h = o.sigmoid().mul(state.c.tanh());
    return state.h;
  };
  const f = compile((xs: Tensor[]) => noGrad(() => xs.map(cell)));
  return (round) => {
    if (round === 2) Object.assign(state, { h: zeros([1, 3]), c: zeros([1, 3]) });
    return [f([mat(round, 1, 3), mat(1, 1, 3)]), state.c.clone()];
  };
});

idiom("mixture of experts with routing that is read", "segments", (compile) => {
  const experts = [(x: Tensor) => x.mul(2), (x: Tensor) => x.sub(1), (x: Tensor) => x.tanh()];
  const counts = [0, 0, 0];
  const f = compile((x: Tensor) => {
    const scores = x.view([1, 3]).mm(mat(0, 3, 3).sin()).view([3]).softmax(0);
    const best = Number(scores.argmax().item());
    counts[best] = (counts[best] ?? 0) + 1;
    return (experts[best] as (x: Tensor) => Tensor)(x).mul(scores.select(0, best));
  });
  return (round) => [f(vec(round)), [...counts]];
});

idiom("k-means steps with empty clusters", "segments", (compile) => {
  const f = compile((points: Tensor, k: number) => {
    let centres = points.narrow(0, 0, k);
    for (let i = 0; i < 2; i++) {
      const distance = points.unsqueeze(1).sub(centres.unsqueeze(0)).pow(2).sum(2);
      const owner = distance.argmin(1);
      centres = F.stack(Array.from({ length: k }, (_, c) => {
        const mask = owner.eq(c).to(points.dtype).unsqueeze(1);
        const n = mask.sum().item();
        return n > 0 ? points.mul(mask).sum(0).div(n) : centres.select(0, c);
      }));
    }
    return centres;
  });
  return (round) => f(mat(round, 5, 2).mul(3).sin(), 2 + round % 2);
});

idiom("sequences of many lengths behind a break", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const mean = x.mean().item();
    const y = x.sub(mean).mul(2);
    return mean > 1 ? y.relu().sum(0) : y.abs().sum(0);
  });
  return (round) => [3, 5, 7, 2].map((n) => f(mat(round, n + round, 2)));
});

idiom("conditions on tensors and on data, the one behind the other", "segments", (compile) => {
  const seen: string[] = [];
  const f = compile((x: Tensor, mask: Tensor | null) => {
    if (x.sum().item() > 2) seen.push("large");
    const y = mask ? x.mul(mask) : x;
    const positive = y.max().gt(0);
    if (positive.item()) seen.push("positive");
    return y.add(seen.length);
  });
  return (round) => [f(vec(round), round === 1 ? null : ones([3])), seen.splice(0)];
});

idiom("a retry loop around a function that fails for its data", "segments", (compile) => {
  const log: string[] = [];
  const logOf = (x: Tensor): Tensor => {
    const least = x.min().item();
    if (least <= 0) throw new RangeError(`log of ${least}`);
    return x.log();
  };
  const f = compile((x: Tensor) => {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        return logOf(x.add(attempt));
      } catch (error) {
        log.push(String(error));
      }
    }
    throw new Error("no attempt left");
  });
  return (round) => {
    try {
      return [f(vec(round - 2)), log.splice(0)];
    } catch (error) {
      return [String(error), log.splice(0)];
    }
  };
});

idiom("a pipeline of async stages with a queue", "segments", (compile) => {
  const queue: Tensor[] = [];
  const produce = async (x: Tensor): Promise<void> => {
    for (let i = 0; i < 2; i++) {
      await Promise.resolve();
      queue.push(x.mul(i + 1));
    }
  };
  const f = compile(async (x: Tensor) => {
    const done = produce(x);
    let sum = zeros([3]);
    await done;
    while (queue.length > 0) sum = sum.add(queue.shift() ?? 0);
    const data = await sum.data();
    return sum.mul(Number(data[0]) > 0 ? 1 : -1);
  });
  return (round) => f(vec(round));
});

idiom("Promise.all over compiled work, results in order", "segments", (compile) => {
  const f = compile(async (x: Tensor, k: number) => {
    const part = async (i: number): Promise<number> => {
      await Promise.resolve();
      return (await x.mul(i + k).sum().data())[0] as number;
    };
    const parts = await Promise.all([0, 1, 2].map(part));
    return x.mul(parts.reduce((a, b) => a + b, 0));
  });
  return (round) => f(vec(round), round);
});

idiom("reservoir sampling by chance, with tensors kept", "segments", (compile) => {
  const kept: Tensor[] = [];
  let seen = 0;
  const f = compile((x: Tensor) => {
    seen++;
    if (kept.length < 2) kept.push(x.mul(2));
    else if (Math.random() < 2 / seen) kept[Math.floor(Math.random() * 2)] = x.mul(3);
    return kept.reduce((a, b) => a.add(b));
  });
  return (round) => [f(vec(round)), seen];
});
