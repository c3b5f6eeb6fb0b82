// deno-lint-ignore-file no-console
/** Idioms: data that an operator refuses when it runs, after effects of every kind, caught and not caught; writes between a call and its backward. */
import { float32, int64 } from "../../../src/core/mod.ts";
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import { F, noGrad, ones, rand, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

const indices = (...values: number[]): Tensor => tensor(values, { dtype: int64 });

/** What a call gives, or its error as text, so that state can be shown beside it. */
function attempt(fn: () => unknown): unknown {
  try {
    return fn();
  } catch (error) {
    return String(error);
  }
}

idiom("an index out of range behind prints, pushes, counters and writes", "graph", (compile) => {
  const lines: string[] = [];
  const buffer = zeros([3]);
  const state = { steps: 0 };
  let calls = 0;
  const f = compile((x: Tensor, i: Tensor) => {
    console.log("in", calls);
    lines.push("a");
    calls++;
    state.steps += 2;
    buffer.add_(x);
    const y = x.gather(0, i);
    console.log("out");
    lines.push("b");
    buffer.mul_(2);
    return y;
  });
  return (round) => [attempt(() => f(vec(round), indices(round))), calls, { ...state }, lines.join(), buffer.clone()];
});

idiom("counts gathered into a buffer at places that may be wrong", "graph", (compile) => {
  const counts = zeros([3]);
  const f = compile((i: Tensor, v: Tensor) => {
    counts.indexPut_([i], v, true);
    return counts.mul(2);
  });
  return (round) => [attempt(() => f(indices(round, 0), vec(round, 2))), counts.clone()];
});

idiom("a class loss with wrong targets, gradients outside", "graph", (compile) => {
  const w = tensor([[0.5, -1, 0.3], [0.2, 0.1, -0.4]]).requiresGrad_();
  const f = compile((x: Tensor, t: Tensor) => nn.functional.crossEntropy(x.matmul(w), t));
  return (round) => {
    w.grad = null;
    const loss = f(mat(round, 2, 2), indices(round, 0));
    loss.backward();
    return [loss.detach(), w.grad];
  };
});

idiom("an unknown token, caught and counted, with another row in its place", "graph", (compile) => {
  const table = mat(1, 3, 2);
  const misses: number[] = [];
  const f = compile((ids: Tensor, step: number) => {
    try {
      return nn.functional.embedding(ids, table).sum(0);
    } catch {
      misses.push(step);
      return table.select(0, 0);
    }
  });
  return (round) => [f(indices(round, 1), round), [...misses]];
});

idiom("an error of the data with a cause, in the function's own words", "graph", (compile) => {
  const f = compile((x: Tensor, i: Tensor) => {
    try {
      return x.indexSelect(0, i);
    } catch (error) {
      throw new Error("the look-up failed", { cause: error });
    }
  });
  return (round) => {
    try {
      return f(vec(round), indices(round + 1));
    } catch (error) {
      return error instanceof Error ? [String(error), String(error.cause)] : null;
    }
  };
});

idiom("a compiled function that calls another, which fails for its data", "graph", (compile) => {
  const seen: string[] = [];
  const inner = compile((x: Tensor, i: Tensor) => {
    seen.push("inner");
    return x.take(i);
  });
  const outer = compile((x: Tensor, i: Tensor) => {
    seen.push("outer");
    return inner(x.add(1), i).mul(2);
  });
  return (round) => [attempt(() => outer(vec(round), indices(round * 2))), seen.join()];
});

idiom("numbers drawn before and behind a place that is wrong", "graph", (compile) => {
  const f = compile((x: Tensor, i: Tensor) =>
    zeros([3]).scatter(0, i, nn.functional.dropout(x, 0.5, true)).add(rand([3]))
  );
  return (round) => [attempt(() => f(vec(round, 2), indices(round, 0))), rand([2])];
});

idiom("statistics of a batch and a wrong label", "graph", (compile) => {
  const norm = new nn.BatchNorm1d(2);
  const f = compile((x: Tensor, t: Tensor) => nn.functional.nllLoss(nn.functional.logSoftmax(norm.forward(x), 1), t));
  return (round) => [
    attempt(() => f(mat(round, 3, 2), indices(round, 0, 1)).detach()),
    norm.runningMean,
    norm.runningVar,
    norm.numBatchesTracked,
  ];
});

idiom("two places that may be wrong: the first is caught, the second leaves", "graph", (compile) => {
  const buffer = zeros([2]);
  const f = compile((x: Tensor, i: Tensor, j: Tensor) => {
    let y = x;
    try {
      y = x.take(i);
    } catch {
      buffer.add_(1);
    }
    buffer.mul_(3);
    return y.gather(0, j);
  });
  return (round) => [attempt(() => f(vec(round), indices(round * 2, 0), indices(round))), buffer.clone()];
});

idiom("too few elements for a mask, behind a count", "graph", (compile) => {
  const count = zeros([1]);
  const f = compile((x: Tensor, mask: Tensor, source: Tensor) => {
    count.add_(1);
    return x.maskedScatter(mask, source);
  });
  return (round) => [
    attempt(() => f(vec(round), tensor([round > 0, round > 1, round > 2]), vec(5, 2))),
    count.clone(),
  ];
});

idiom("weights of a choice that are negative, behind a draw", "graph", (compile) => {
  const f = compile((w: Tensor) => [rand([1]), w.multinomial(2)]);
  return (round) => [attempt(() => f(tensor([1, round === 2 ? -1 : 2, 3], { dtype: float32 }))), rand([1])];
});

idiom("a matrix that has no Cholesky factor", "graph", (compile) => {
  const lines: string[] = [];
  const f = compile((a: Tensor) => {
    lines.push("in");
    const factor = F.linalgCholesky(a);
    lines.push("out");
    return factor;
  });
  return (round) => [attempt(() => f(tensor([[2.5, 1], [1, round - 1.5]]))), lines.join()];
});

idiom("a wrong place in a view of a buffer, which is written", "graph", (compile) => {
  const buffer = zeros([2, 3]);
  const f = compile((i: Tensor, x: Tensor) => {
    buffer.select(0, 1).scatter_(0, i, x);
    return buffer.sum();
  });
  return (round) => [attempt(() => f(indices(round, 0), vec(round, 2))), buffer.clone()];
});

idiom("a place that is computed, in a table that is too small", "graph", (compile) => {
  const table = vec(1, 2);
  const state = { calls: 0 };
  const f = compile((x: Tensor) => {
    state.calls++;
    return table.indexSelect(0, x.argmax().view([1]));
  });
  return (round) => [attempt(() => f(tensor([1, 2, round * 2], { dtype: float32 }))), state.calls];
});

idiom("an asynchronous function of which one call of three has wrong data", "segments", (compile) => {
  const f = compile(async (x: Tensor, i: Tensor) => {
    await null;
    return x.gather(0, i);
  });
  return async (round) => {
    const calls = [indices(0), indices(round + 1), indices(1)].map((i) => f(vec(round), i));
    const settled = await Promise.allSettled(calls);
    return settled.map((p) => p.status === "fulfilled" ? p.value : String(p.reason));
  };
});

idiom("an input is written between a call and its backward", "graph", (compile) => {
  const w = vec(2).requiresGrad_();
  const f = compile((x: Tensor) => x.mul(w).sum());
  return (round) => {
    w.grad = null;
    const x = vec(round);
    const loss = f(x);
    if (round === 1) x.view([3, 1]).add_(1);
    return [attempt(() => loss.backward()), w.grad];
  };
});

idiom("the function writes what its own backward needs", "graph", (compile) => {
  const w = vec(2).requiresGrad_();
  const f = compile((x: Tensor) => {
    const y = x.mul(w).sum();
    x.add_(1);
    return y;
  });
  return (round) => {
    w.grad = null;
    const x = vec(round);
    const loss = f(x);
    return [attempt(() => loss.backward()), w.grad, x];
  };
});

idiom("a later call writes what an earlier backward needs", "graph", (compile) => {
  const w = vec(2).requiresGrad_();
  const buffer = vec(1);
  const f = compile((x: Tensor) => {
    buffer.mul_(0.5);
    return buffer.mul(w).add(x).sum();
  });
  return (round) => {
    w.grad = null;
    const loss = f(vec(round));
    if (round === 2) f(vec(round));
    return [String(attempt(() => loss.backward())).replace(/version \d+, expected \d+/, ""), w.grad];
  };
});

idiom("leaves that change under noGrad, which no gradient needs as they were", "graph", (compile) => {
  const f = compile((w: Tensor, x: Tensor) => w.exp().add(x.mul(w.relu())).sum());
  return (round) => {
    const w = vec(round).requiresGrad_();
    const loss = f(w, vec(1));
    noGrad(() => w.add_(1));
    return [attempt(() => loss.backward()), w.grad];
  };
});

idiom("a history of which a part was walked inside", "graph", (compile) => {
  const w = vec(2).requiresGrad_();
  const f = compile((x: Tensor) => {
    const h = w.mul(x).tanh();
    h.sum().backward();
    return h.exp();
  });
  return (round) => {
    w.grad = null;
    const y = f(vec(round));
    return [attempt(() => y.sum().backward()), w.grad];
  };
});

idiom("a buffer that the call writes twice, and then fails", "graph", (compile) => {
  const b = ones([3]);
  const f = compile((i: Tensor, x: Tensor) => {
    b.mul_(2);
    b.indexAdd_(0, i, x);
    b.sub_(1);
    return b.clone();
  });
  return (round) => [attempt(() => f(indices(round), vec(round, 1))), b.clone()];
});

idiom("a training step that clears the gradient and then meets a wrong index", "graph", (compile) => {
  const table = nn.parameter(mat(1, 3, 2));
  const opt = new optim.SGD([table], { lr: 0.1 });
  const f = compile((i: Tensor) => {
    opt.zeroGrad();
    const loss = table.indexSelect(0, i).pow(2).sum();
    loss.backward();
    opt.step();
    return loss.detach();
  });
  return (round) => [attempt(() => f(indices(round, 0))), table.grad, table.detach().clone()];
});
