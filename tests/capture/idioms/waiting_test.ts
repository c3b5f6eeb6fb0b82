/** Idioms: asynchronous programs: several awaits, calls under way together, queues, locks, cancellation, streams of batches. */
import { F, noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

const tick = (): Promise<void> => Promise.resolve();

idiom("three awaits with operators between them, and outer state after each", "segments", (compile) => {
  const trail: number[] = [];
  const f = compile(async (x: Tensor, k: number) => {
    let y = x.mul(2).add(k);
    await tick();
    trail.push(1);
    y = y.exp().mul(0.1);
    await tick();
    trail.push(Math.round(y.sum().item() as number));
    y = y.sub(1).abs();
    await tick();
    return y.sum();
  });
  return async (round) => [await f(vec(round), round), trail.splice(0)];
});

idiom("five calls of one function under way together, interleaved", "segments", (compile) => {
  const order: string[] = [];
  const f = compile(async (x: Tensor, name: string, waits: number) => {
    let y = x.mul(2);
    for (let i = 0; i < waits; i++) {
      await tick();
      y = y.add(1).mul(1.5);
      order.push(`${name}${i}`);
    }
    return y;
  });
  return async (round) => {
    const all = await Promise.all([3, 1, 2, 0, 2].map((w, i) => f(vec(round + i), "abcde"[i] ?? "", w)));
    return [all, order.splice(0)];
  };
});

idiom("calls under way together that write one buffer", "segments", (compile) => {
  const buffer = zeros([3]);
  const f = compile(async (x: Tensor, k: number) => {
    buffer.add_(x);
    await tick();
    buffer.mul_(k);
    const seen = buffer.clone();
    await tick();
    return seen.add(buffer);
  });
  return async (round) => {
    buffer.zero_();
    const all = await Promise.all([f(vec(round), 2), f(vec(1), 3)]);
    return [all, buffer];
  };
});

idiom("a mutex of promises around a compiled section", "segments", (compile) => {
  let last: Promise<unknown> = tick();
  const log: string[] = [];
  const section = compile(async (x: Tensor, name: string) => {
    log.push(`in ${name}`);
    const y = x.exp().sum();
    await tick();
    log.push(`out ${name}`);
    return y.mul(2);
  });
  const locked = (x: Tensor, name: string): Promise<Tensor> => {
    const mine = last.then(() => section(x, name));
    last = mine;
    return mine;
  };
  return async (round) => [await Promise.all([locked(vec(round), "a"), locked(vec(round + 1), "b")]), log.splice(0)];
});

idiom("an AbortSignal asked between steps", "segments", (compile) => {
  const f = compile(async (x: Tensor, signal: AbortSignal) => {
    let y = x;
    for (let i = 0; i < 3; i++) {
      if (signal.aborted) return y.neg();
      y = y.mul(2).add(i);
      await tick();
    }
    return y;
  });
  return async (round) => {
    const stop = new AbortController();
    const running = f(vec(round), stop.signal);
    if (round === 2) stop.abort();
    return await running;
  };
});

idiom("an async function that throws before and after its first await", "segments", (compile) => {
  const seen: string[] = [];
  const f = compile(async (x: Tensor, k: number) => {
    if (k === 1) throw new Error("early");
    const y = x.mul(2).exp();
    await tick();
    if (k === 2) throw new RangeError(`late ${Math.round(y.max().item() as number)}`);
    return y;
  });
  return async (round) => {
    try {
      return [await f(vec(round), round), seen];
    } catch (error) {
      seen.push((error as Error).message);
      return [(error as Error).name, [...seen]];
    } finally {
      seen.splice(0);
    }
  };
});

idiom("await in arguments, in conditions and in a template", "segments", (compile) => {
  const one = (v: number): Promise<number> => Promise.resolve(v);
  const f = compile(async (x: Tensor, k: number) => {
    const y = x.mul(await one(k)).add(await one(k + 1));
    const text = `k=${await one(k)}`;
    return (await one(k)) > 1 ? [y.neg(), text] : [y.exp(), text];
  });
  return (round) => f(vec(round), round);
});

idiom("an async generator method of a class, consumed by a compiled loop", "segments", (compile) => {
  class Loader {
    epoch = 0;
    async *batches(n: number): AsyncGenerator<Tensor> {
      this.epoch++;
      for (let i = 0; i < n; i++) {
        await tick();
        yield vec(i + this.epoch);
      }
    }
  }
  const loader = new Loader();
  const f = compile(async (w: Tensor, n: number) => {
    let loss = w.mul(0);
    for await (const b of loader.batches(n)) loss = loss.add(b.mul(w).abs());
    return loss.sum();
  });
  return async (round) => [await f(vec(round), round + 1), loader.epoch];
});

idiom("a promise stored by the function and awaited by the caller", "segments", (compile) => {
  const jobs: Promise<Tensor>[] = [];
  const work = async (x: Tensor): Promise<Tensor> => {
    await tick();
    return x.mul(3).add(1);
  };
  const f = compile((x: Tensor) => {
    jobs.push(work(x.exp()));
    return x.add(1).mul(2);
  });
  return async (round) => [f(vec(round)), await Promise.all(jobs.splice(0))];
});

idiom("setTimeout around compiled work, and clearTimeout", "segments", (compile) => {
  const f = compile((x: Tensor, later: (t: Tensor) => void) => {
    const y = x.mul(2).add(1);
    const id = setTimeout(() => later(y), 0);
    const dropped = setTimeout(() => later(x), 0);
    clearTimeout(dropped);
    return [y.neg(), typeof id];
  });
  return async (round) => {
    const got: Tensor[] = [];
    const done = new Promise<void>((resolve) => {
      const y = f(vec(round), (t) => {
        got.push(t);
        resolve();
      });
      got.push(y[0] as Tensor);
    });
    await done;
    return got;
  };
});

idiom("noGrad around an await", "segments", (compile) => {
  const w = tensor([1, 2, 3.5], { requiresGrad: true });
  const f = compile(async (x: Tensor) => {
    const frozen = noGrad(() => x.mul(w));
    await tick();
    return frozen.mul(w).sum();
  });
  return async (round) => {
    w.grad = null;
    const y = await f(vec(round));
    y.backward();
    return [y, w.grad];
  };
});

idiom("backward between awaits, and a step by hand", "segments", (compile) => {
  const w = tensor([0.5, -0.5, 1], { requiresGrad: true });
  const f = compile(async (x: Tensor) => {
    const loss = x.mul(w).tanh().sum();
    await tick();
    loss.backward();
    const g = w.grad as Tensor;
    noGrad(() => w.sub_(g.mul(0.1)));
    w.grad = null;
    await tick();
    return loss.item();
  });
  return async (round) => [await f(vec(round)), w.detach()];
});

idiom("the data of a tensor asked for while another call changes it", "segments", (compile) => {
  const t = zeros([3]);
  const f = compile(async (x: Tensor) => {
    t.copy_(x);
    const y = t.mul(2);
    const data = await y.data();
    return [Array.from(data as Float32Array), t.add(y)];
  });
  const g = compile((k: number) => t.add_(k));
  return async (round) => {
    const running = f(vec(round));
    g(round);
    return [await running, t.clone()];
  };
});

idiom("Promise.any and a race between a compiled call and a value", "segments", (compile) => {
  const f = compile(async (x: Tensor, slow: boolean) => {
    const y = x.mul(2).relu();
    if (slow) { for (let i = 0; i < 5; i++) await tick(); }
    return y.sum();
  });
  return async (round) => {
    const first = await Promise.race([f(vec(round), round > 1), tick().then(() => tick()).then(() => "value")]);
    const any = await Promise.any([Promise.reject(new Error("no")), f(vec(round), false)]);
    return [first, any];
  };
});

idiom("an async recursion over a tree with tensors at its leaves", "segments", (compile) => {
  type Tree = Tensor | readonly Tree[];
  const isLeaf = (t: Tree): t is Tensor => !Array.isArray(t);
  const fold = async (t: Tree): Promise<Tensor> => {
    if (isLeaf(t)) return t.mul(2);
    await tick();
    const parts = await Promise.all(t.map(fold));
    return F.stack(parts).sum(0);
  };
  const f = compile(async (t: Tree) => (await fold(t)).add(1));
  return (round) => f([vec(round), [vec(1), [vec(2), vec(round)]]]);
});

idiom("event handlers as async functions, errors collected", "segments", (compile) => {
  const errors: string[] = [];
  const handlers: ((x: Tensor) => Promise<void>)[] = [];
  const results: Tensor[] = [];
  handlers.push(compile(async (x: Tensor) => {
    await tick();
    results.push(x.mul(2).add(1));
  }));
  handlers.push(compile(async (x: Tensor) => {
    await tick();
    if ((x.sum().item() as number) > 3) throw new Error("too much");
    results.push(x.exp().sum());
  }));
  return async (round) => {
    await Promise.all(handlers.map((h) => h(vec(round)).catch((e: Error) => void errors.push(e.message))));
    return [results.splice(0), errors.splice(0)];
  };
});

idiom("a ReadableStream of batches, read by a compiled function", "segments", (compile) => {
  const f = compile(async (stream: ReadableStream<number>, w: Tensor) => {
    let sum = w.mul(0);
    for await (const k of stream) sum = sum.add(w.mul(k));
    return sum;
  });
  return (round) =>
    f(
      ReadableStream.from((function* () {
        for (let i = 0; i <= round; i++) yield i;
      })()),
      mat(round),
    );
});
