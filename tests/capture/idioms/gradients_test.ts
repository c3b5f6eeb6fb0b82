/** Idioms: gradients in odd places: `.grad` read, written, shared, through views, containers and closures; named arguments; dtypes. */
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import { bool, float32, float64, int64 } from "../../../src/core/mod.ts";
import { F, noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

const leaf = (...values: number[]): Tensor => tensor(values, { dtype: float32, requiresGrad: true });

idiom("a gradient read, halved and put back between two backwards", "graph", (compile) => {
  const w = leaf(1, 2, 3);
  const f = compile((x: Tensor) => {
    x.mul(w).sum().backward();
    w.grad = (w.grad as Tensor).mul(0.5);
    x.mul(w).exp().sum().backward();
    return w.grad.sum();
  });
  return (round) => {
    if (round === 2) w.grad = null;
    return [f(vec(round)), w.grad];
  };
});

idiom("gradients of two losses, kept apart in a Map", "graph", (compile) => {
  const w = leaf(1, 2, 3);
  const f = compile((x: Tensor) => {
    const kept = new Map<string, Tensor>();
    for (const [name, loss] of [["a", x.mul(w).sum()], ["b", w.mul(w).mul(x).sum()]] as const) {
      w.grad = null;
      loss.backward();
      kept.set(name, w.grad as unknown as Tensor);
    }
    return kept;
  });
  return (round) => [f(vec(round)), w.grad];
});

idiom("a gradient of a view of a parameter, and of its slices", "graph", (compile) => {
  const w = leaf(1, 2, 3, 4, 5, 6);
  const f = compile((x: Tensor) => {
    const m = w.view([2, 3]);
    const loss = m.select(0, 0).mul(x).sum().add(m.select(0, 1).narrow(0, 0, 2).sum());
    loss.backward();
    return loss.detach();
  });
  return (round) => {
    if (round % 2 === 0) w.grad = null;
    return [f(vec(round)), w.grad];
  };
});

idiom("a parameter frozen by requiresGrad inside, thawed outside", "graph", (compile) => {
  const a = leaf(1, 2, 3);
  const b = leaf(3, 2, 1);
  const f = compile((x: Tensor) => x.mul(a).add(b).square().sum());
  return (round) => {
    b.requiresGrad = round !== 1;
    a.grad = null;
    b.grad = null;
    const y = f(vec(round));
    y.backward();
    return [y, a.grad, b.grad];
  };
});

idiom("detach of one branch, and a stop-gradient written as x.sub(x.detach())", "graph", (compile) => {
  const w = leaf(0.5, -1, 2);
  const f = compile((x: Tensor) => {
    const soft = x.mul(w).sigmoid();
    const hard = soft.round();
    const through = hard.detach().add(soft).sub(soft.detach());
    return through.mul(x).sum();
  });
  return (round) => {
    w.grad = null;
    const y = f(vec(round));
    y.backward();
    return [y, w.grad];
  };
});

idiom("named arguments in the last place, in every kind of call", "graph", (compile) => {
  const f = compile((x: Tensor, keep: boolean) => [
    x.sum(1, { keepdim: keep }),
    x.softmax(-1, { dtype: keep ? float64 : null }),
    F.sum(x, [0], { keepdim: keep }),
    x.to(float64).add(1, { alpha: 2 }),
    x.clamp({ min: 0 }),
    x.clamp({ max: keep ? 1 : 2 }),
  ]);
  return (round) => f(mat(round), round % 2 === 0);
});

idiom("dtype by a switch on strings, promotion and comparison results", "graph", (compile) => {
  const f = compile((x: Tensor, kind: string) => {
    switch (kind) {
      case "double":
        return [x.to(float64).mul(2), "d"];
      case "whole":
        return [x.to(int64).add(1), "i"];
      case "mask":
        return [x.gt(0), x.gt(0).dtype === bool];
      default:
        return [x.mul(tensor(2, { dtype: float64 })), x.dtype.name];
    }
  });
  return (round) => f(vec(round), ["double", "whole", "mask", "other"][round] ?? "");
});

idiom("an optimiser made inside for parameters that come in", "graph", (compile) => {
  const f = compile((w: Tensor, x: Tensor) => {
    const opt = new optim.SGD([w], { lr: 0.1, momentum: 0.9 });
    const loss = x.mul(w).square().sum();
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return loss.detach();
  });
  return (round) => {
    const w = leaf(1, 2, 3);
    return [f(w, vec(round)), w];
  };
});

idiom("an optimiser by hand over a nested record of parameters", "graph", (compile) => {
  const params = { layer: { w: leaf(1, 2, 3), b: leaf(0, 0, 0) }, list: [leaf(1, 1, 1)] };
  const leaves = (node: unknown): Tensor[] =>
    node instanceof Object && "requiresGrad" in node ? [node as Tensor] : Object.values(node as object).flatMap(leaves);
  const f = compile((x: Tensor, lr: number) => {
    const loss = x.mul(params.layer.w).add(params.layer.b).mul(params.list[0] as Tensor).square().mean();
    loss.backward();
    noGrad(() => {
      for (const p of leaves(params)) {
        p.sub_((p.grad as Tensor).mul(lr));
        p.grad = null;
      }
    });
    return loss.detach();
  });
  return (round) => [f(vec(round), 0.1 / (round + 1)), leaves(params).map((p) => p.detach())];
});

idiom("double backward inside: a penalty on the gradient", "graph", (compile) => {
  const w = leaf(0.5, 1, -1);
  const f = compile((x: Tensor) => {
    const y = x.mul(w).tanh().sum();
    y.backward(null, { createGraph: true });
    const g = w.grad as Tensor;
    w.grad = null;
    const penalty = g.square().sum();
    penalty.backward();
    return penalty.detach();
  });
  return (round) => {
    w.grad = null;
    return [f(vec(round)), w.grad === null ? null : (w.grad as Tensor).detach()];
  };
});

idiom("results in a record of which some need gradients", "graph", (compile) => {
  const w = leaf(1, 2, 3);
  const f = compile((x: Tensor) => {
    const h = x.mul(w);
    return { loss: h.sum(), stats: { mean: h.detach().mean(), top: h.max().detach() }, count: h.numel };
  });
  return (round) => {
    w.grad = null;
    const r = f(vec(round));
    r.loss.backward();
    return [r.stats, r.loss, w.grad, r.count];
  };
});

idiom("backward of one of two results, then of the other", "graph", (compile) => {
  const w = leaf(1, 2, 3);
  const f = compile((x: Tensor) => [x.mul(w).sum(), w.square().sum()] as const);
  return (round) => {
    w.grad = null;
    const [a, b] = f(vec(round));
    (round % 2 === 0 ? a : b).backward(null, { retainGraph: true });
    const first = (w.grad as unknown as Tensor).clone();
    (round % 2 === 0 ? b : a).backward();
    return [a, b, first, w.grad];
  };
});

idiom("a module whose forward picks a head by name, unused heads keep null gradients", "graph", (compile) => {
  class Heads extends nn.Module {
    body = new nn.Linear(3, 3);
    heads = new nn.ModuleDict({ a: new nn.Linear(3, 2), b: new nn.Linear(3, 1) });
    forward(x: Tensor, head: string): Tensor {
      return (this.heads.get(head) as nn.Linear).forward(this.body.forward(x).relu());
    }
  }
  const model = new Heads();
  const f = compile((x: Tensor, head: string) => model.forward(x, head).sum());
  return (round) => {
    model.zeroGrad();
    const y = f(mat(round), round % 2 === 0 ? "a" : "b");
    y.backward();
    return [y, [...model.namedParameters()].map(([name, p]) => [name, p.grad])];
  };
});

idiom("in place on a leaf's data under noGrad, with views taken before", "graph", (compile) => {
  const w = leaf(1, 2, 3, 4);
  const half = w.detach().narrow(0, 0, 2);
  const f = compile((x: Tensor) => {
    const y = x.mul(w).sum();
    y.backward();
    noGrad(() => w.mul_(0.5).add_(1));
    return y.detach();
  });
  return (round) => {
    w.grad = null;
    return [f(vec(round, 4)), half, w.grad];
  };
});

idiom("a running mean with momentum from a class, written under noGrad in forward", "graph", (compile) => {
  class Norm extends nn.Module {
    mean = zeros([3]);
    steps = 0;
    momentum = 0.5;
    constructor() {
      super();
      this.registerBuffer("mean", this.mean);
    }
    override forward(x: Tensor): Tensor {
      if (this.training) {
        noGrad(() => this.mean.mul_(1 - this.momentum).add_(x.mean(0).mul(this.momentum)));
        this.steps++;
      }
      return x.sub(this.mean);
    }
  }
  const norm = new Norm();
  const f = compile((x: Tensor) => norm.forward(x));
  return (round) => {
    norm.train(round !== 1);
    if (round === 2) norm.momentum = 0.1;
    return [f(mat(round)), norm.mean, norm.steps];
  };
});

idiom("a loss scaled by a number that a closure changes, with accumulation", "graph", (compile) => {
  let scale = 1;
  const w = leaf(1, 2, 3);
  const f = compile((xs: Tensor[]) => {
    let total = 0;
    for (const x of xs) {
      x.mul(w).square().mean().mul(scale / xs.length).backward();
      total++;
    }
    return total;
  });
  return (round) => {
    w.grad = null;
    scale = round + 1;
    return [f(Array.from({ length: 2 + round % 2 }, (_, i) => vec(i + round))), w.grad];
  };
});

idiom("gradients that flow through sort, gather, cumsum and where", "graph", (compile) => {
  const w = leaf(3, 1, 2);
  const f = compile((x: Tensor) => {
    const y = x.mul(w).cumsum(0);
    const picked = y.gather(0, tensor([2, 0], { dtype: int64 }));
    return F.where(y.gt(0), y, y.mul(0.1)).sum().add(picked.sum());
  });
  return (round) => {
    w.grad = null;
    const y = f(vec(round));
    y.backward();
    return [y, w.grad];
  };
});

idiom("an input that needs gradients in some calls only", "graph", (compile) => {
  const f = compile((x: Tensor) => x.exp().sum());
  return (round) => {
    const x = vec(round);
    x.requiresGrad = round % 2 === 1;
    const y = f(x);
    if (y.requiresGrad) y.backward();
    return [y, x.grad];
  };
});
