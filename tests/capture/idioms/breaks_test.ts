/** Idioms: programs that data cut into pieces. Each runs its JavaScript at every call and its operators in segments. */
import { float32, int64 } from "../../../src/core/mod.ts";
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import { F, noGrad, rand, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

idiom("early returns on data", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    if (y.max().item() > 4) return { kind: "large", y };
    const z = y.sub(1);
    if (z.min().item() < -2) return { kind: "small", z: z.abs() };
    return { kind: "medium", y: y.add(z) };
  });
  return (round) => f(vec(round));
});

idiom("a loop whose length data decide, with an accumulator outside", "segments", (compile) => {
  let total = zeros([3]);
  let steps = 0;
  const f = compile((x: Tensor) => {
    let y = x;
    for (let i = 0; i < Math.round(x.abs().sum().item()); i++) {
      y = y.mul(0.5).add(i);
      steps++;
    }
    total = total.add(y);
    return y;
  });
  return (round) => [f(vec(round)), total, steps];
});

idiom("Newton's method until it converges", "segments", (compile) => {
  const f = compile((a: Tensor) => {
    let x = a.add(1);
    let n = 0;
    for (;;) {
      const next = x.add(a.div(x)).div(2);
      const change = next.sub(x).abs().max().item();
      x = next;
      if (change < 1e-5 || ++n > 30) return [x, n];
    }
  });
  return (round) => f(vec(round).abs().add(0.5));
});

idiom("while on a comparison of two items", "segments", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => {
    const seen: number[] = [];
    while (x.sum().item() < y.sum().item() && seen.length < 5) {
      x = x.add(1);
      seen.push(seen.length);
    }
    return [x, seen];
  });
  return (round) => f(vec(0), vec(round));
});

idiom("try and catch around an exception that depends on data", "segments", (compile) => {
  const log: string[] = [];
  const check = (x: Tensor): Tensor => {
    if (x.sum().item() > 2) throw new RangeError("too large");
    return x.mul(2);
  };
  const f = compile((x: Tensor) => {
    const y = x.add(1);
    try {
      return check(y);
    } catch (error) {
      log.push((error as Error).message);
      return y.neg();
    } finally {
      log.push("done");
    }
  });
  return (round) => [f(vec(round)), log];
});

idiom("an exception that depends on data leaves the function, after writes", "segments", (compile) => {
  const log: Tensor[] = [];
  const f = compile((x: Tensor) => {
    x.add_(1);
    log.push(x.sum());
    if (x.sum().item() > 5) throw new RangeError("sum");
    return x.mul(2);
  });
  return (round) => {
    const x = vec(round);
    try {
      return [f(x), x, [...log]];
    } catch (error) {
      return [error, x, [...log]];
    }
  };
});

idiom("an index out of range, read from data, caught", "segments", (compile) => {
  const log: Tensor[] = [];
  const f = compile((x: Tensor) => {
    const index = tensor([Math.round(x.sum().item())], { dtype: int64 });
    const y = x.mul(2);
    log.push(y);
    x.add_(1);
    try {
      return y.indexSelect(0, index.add(1)).add(y.gather(0, index));
    } catch (error) {
      return [(error as Error).name, x];
    }
  });
  return (round) => [f(vec(round - 1)), [...log]];
});

idiom("embeddings and a class loss, one label out of range", "segments", (compile) => {
  const table = mat(1, 4, 3);
  const f = compile((tokens: Tensor, labels: Tensor) => {
    const h = F.embedding(table, tokens).mul(2);
    if (h.sum().item() > 1e9) return h;
    return F.crossEntropyLoss(h, labels);
  });
  return (round) => f(tensor([0, round], { dtype: int64 }), tensor([1, round === 3 ? 7 : round], { dtype: int64 }));
});

idiom("iteration over data", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    let y = x;
    for (const v of x.dataSync()) y = y.add(Number(v) > 0 ? 1 : 2);
    for (const row of y.view([3, 1])) y = y.mul(row);
    return y;
  });
  return (round) => f(vec(round));
});

idiom("toArray, destructured", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const [first, ...rest] = x.mul(2).toArray() as number[];
    return x.add(first ?? 0).mul(rest.length);
  });
  return (round) => f(vec(round));
});

idiom("comparison operators on tensors of one element", "segments", (compile) => {
  const f = compile((x: Tensor, y: Tensor) => {
    if (x.sum() > y.sum()) return x.sub(y);
    return +x.max() <= 1 ? y : y.add(x);
  });
  return (round) => f(vec(round), vec(1));
});

idiom("tensors in templates and in console.log", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    const text = `sum ${y.sum().item().toFixed(2)}`;
    // deno-lint-ignore no-console
    console.log(text, y);
    return [y.add(1), text];
  });
  return (round) => f(vec(round));
});

idiom("boolean masks and nonzero", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    const chosen = y.at(y.gt(0));
    return [chosen.sum(), chosen.shape[0], y.nonzero(), y.mul(y.gt(0))];
  });
  return (round) => f(vec(round, 5));
});

idiom("a size read from data", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const n = Math.abs(x.to(float32).sum().item()) % 4 + 1;
    return [zeros([Math.floor(n)]).add(1), x.narrow(0, 0, Math.min(3, Math.floor(n))).mul(2)];
  });
  return (round) => f(vec(round, 4));
});

idiom("await data between segments", "segments", (compile) => {
  const f = compile(async (x: Tensor) => {
    const y = x.mul(2).add(1);
    const [first] = await y.data();
    return Number(first) > 0 ? y.exp() : y.neg().mul(Number(first));
  });
  return (round) => f(vec(round));
});

idiom("await in a loop, side effects in order", "segments", (compile) => {
  const log: unknown[] = [];
  const f = compile(async (x: Tensor) => {
    for (let i = 0; i < 3; i++) {
      x = x.add(i);
      log.push(i, Number((await x.sum().data())[0]).toFixed(3));
    }
    return x;
  });
  return async (round) => [await f(vec(round)), [...log]];
});

idiom("calls under way at the same time, through a helper", "segments", (compile) => {
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
  const helper = async (x: Tensor): Promise<Tensor> => {
    const y = x.mul(3);
    await pause();
    return y.add(1);
  };
  const f = compile(async (x: Tensor) => (await helper(x)).mul(await helper(x.neg())));
  return (round) => Promise.all([f(vec(round)), f(vec(round + 1)), f(vec(1))]);
});

idiom("try and catch around await", "segments", (compile) => {
  const f = compile(async (x: Tensor) => {
    const y = x.add(1);
    try {
      if (Number((await y.max().data())[0]) > 2) throw new RangeError("late");
      return y;
    } catch (error) {
      return [y.neg(), (error as Error).message];
    }
  });
  return (round) => f(vec(round));
});

idiom("an asynchronous method that rejects", "segments", (compile) => {
  class Model {
    #calls = 0;
    async run(x: Tensor): Promise<unknown> {
      this.#calls++;
      const y = x.mul(2);
      if (Number((await y.sum().data())[0]) > 4) throw new TypeError(`call ${this.#calls}`);
      return [y, this.#calls];
    }
  }
  const model = new Model();
  const f = compile((x: Tensor) => model.run(x));
  return async (round) => {
    try {
      return await f(vec(round));
    } catch (error) {
      return (error as Error).message;
    }
  };
});

idiom("a generator that reads data between its yields", "segments", (compile) => {
  const halves = function* (x: Tensor): Generator<Tensor> {
    let y = x;
    while (y.abs().max().item() > 0.5) {
      yield y;
      y = y.mul(0.5);
    }
  };
  const f = compile((x: Tensor) => [...halves(x.add(1))].map((y, i) => y.mul(i)));
  return (round) => f(vec(round));
});

idiom("a generator that is left early, with finally", "segments", (compile) => {
  const log: string[] = [];
  const walk = function* (x: Tensor): Generator<number> {
    try {
      for (const row of x) yield row.sum().item();
    } finally {
      log.push("closed");
    }
  };
  const f = compile((x: Tensor) => {
    let sum = x.sum(1);
    for (const v of walk(x)) {
      if (v > 3) break;
      sum = sum.add(v);
    }
    return sum;
  });
  return (round) => [f(mat(round)), [...log]];
});

idiom("training with the loss read each step", "segments", (compile) => {
  const model = new nn.Linear(3, 1);
  noGrad(() => model.weight.fill_(0.25));
  if (model.bias !== null) noGrad(() => model.bias?.zero_());
  const sgd = new optim.SGD(model.parameters(), { lr: 0.01 });
  const losses: number[] = [];
  const f = compile((x: Tensor, y: Tensor) => {
    sgd.zeroGrad();
    const loss = model.forward(x).sub(y).pow(2).mean();
    loss.backward();
    sgd.step();
    losses.push(Number(loss.item().toFixed(4)));
  });
  return (round) => {
    f(mat(round), vec(round, 2).view([2, 1]));
    return [losses, model.weight.detach(), model.bias?.detach()];
  };
});

idiom("gradient clipping by a norm that is read", "segments", (compile) => {
  const w = vec(1).requiresGrad_();
  const f = compile((x: Tensor) => {
    w.grad = null;
    w.mul(x).pow(2).sum().backward();
    const grad = w.grad as Tensor | null;
    const norm = grad?.pow(2).sum().sqrt().item() ?? 0;
    if (norm > 1) grad?.mul_(1 / norm);
    return [norm > 1, w.grad];
  });
  return (round) => f(vec(round));
});

idiom("backward outside, over two segments", "segments", (compile) => {
  const w = vec(1).requiresGrad_();
  const f = compile((x: Tensor) => {
    const y = w.mul(x).tanh();
    return y.mul(y.sum().item() > 0 ? 2 : 3).sum();
  });
  return (round) => {
    w.grad = null;
    const loss = f(vec(round));
    loss.backward();
    return [loss.detach(), w.grad];
  };
});

idiom("dropout and batch statistics around a break", "segments", (compile) => {
  const norm = new nn.BatchNorm1d(3);
  const drop = new nn.Dropout(0.5);
  const f = compile((x: Tensor) => {
    const y = norm.forward(x);
    if (y.sum().item() > 1e9) return y;
    return drop.forward(y.add(rand([2, 3])));
  });
  return (round) => [f(mat(round)).detach(), norm.runningMean, norm.runningVar];
});

idiom("a cache in a Map, keyed by a number that was read", "segments", (compile) => {
  const cache = new Map<number, Tensor>();
  const f = compile((x: Tensor) => {
    const key = Math.round(x.sum().item());
    let y = cache.get(key);
    if (y === undefined) cache.set(key, y = x.exp());
    return y.add(x);
  });
  return (round) => [f(vec(round)), cache];
});

idiom("recursion until data say so", "segments", (compile) => {
  const dive = (x: Tensor, depth: number): [Tensor, number] =>
    x.abs().max().item() < 0.3 || depth > 8 ? [x, depth] : dive(x.mul(0.5), depth + 1);
  const f = compile((x: Tensor) => dive(x.add(0.1), 0));
  return (round) => f(vec(round));
});

idiom("one compiled function calls another, both break", "segments", (compile) => {
  const g = compile((x: Tensor) => x.sum().item() > 0 ? x.mul(2) : x.mul(3));
  const f = compile((x: Tensor) => {
    const y = g(x.add(1));
    return y.sum().item() > 5 ? g(y) : y.neg();
  });
  return (round) => [f(vec(round)), g(vec(-round))];
});

idiom("writes through views on both sides of a break", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const row = x.at(0);
    row.add_(1);
    const n = x.sum().item();
    row.mul_(2);
    x.t().at(0).sub_(n);
    return [x.mul(1), row];
  });
  return (round) => {
    const x = mat(round);
    return [f(x), x];
  };
});

idiom("a result of an earlier call is used later", "segments", (compile) => {
  let last: Tensor | null = null;
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    const before = last;
    last = y.add(1);
    return y.sum().item() > 2 && before !== null ? y.add(before) : y;
  });
  return (round) => f(vec(round));
});

idiom("sorting by data, choosing the best", "segments", (compile) => {
  const f = compile((...xs: Tensor[]) => {
    const scored = xs.map((x) => ({ x, score: x.pow(2).sum().item() }));
    scored.sort((a, b) => b.score - a.score);
    const [best] = scored;
    return [best?.x.mul(10), scored.map((s) => s.x)];
  });
  return (round) => f(vec(round), vec(1 - round), vec(0.5));
});

idiom("timers and clocks beside tensors", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const start = performance.now();
    const y = x.mul(2).add(1);
    const took = performance.now() - start;
    return took >= 0 ? y : x;
  });
  return (round) => f(vec(round));
});

idiom("tensors made from data that were read", "segments", (compile) => {
  const f = compile((x: Tensor) => {
    const sorted = [...x.neg().dataSync()].map(Number).sort((a, b) => a - b);
    const y = tensor(sorted, { dtype: float32 });
    y.add_(x);
    return [y, x];
  });
  return (round) => f(vec(round));
});
