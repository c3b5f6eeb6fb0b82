/** Idioms: how people train: schedules, averages, accumulation, tying, freezing, switches of mode and dtype, writes in place. */
import { float16, float32, float64 } from "../../../src/core/mod.ts";
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import {
  enableGrad,
  F,
  isGradEnabled,
  manualSeed,
  noGrad,
  ones,
  rand,
  type Tensor,
  tensor,
  zeros,
} from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

class Tied extends nn.Module {
  readonly encode = new nn.Linear(3, 2, { bias: false });
  readonly decode = new nn.Linear(2, 3, { bias: false });
  constructor() {
    super();
    this.encode.weight = nn.parameter(mat(0, 2, 3).mul(0.1));
    this.decode.weight = nn.parameter(mat(0, 3, 2).mul(0.2));
  }
  tie(): void {
    this.decode.weight = nn.parameter(this.encode.weight.detach().t().contiguous());
  }
  forward(x: Tensor): Tensor {
    return this.decode.forward(this.encode.forward(x)).add(x.mm(this.encode.weight.t()).mm(this.encode.weight));
  }
}

class Deep extends nn.Module {
  readonly blocks = new nn.ModuleList<nn.Module & { forward(x: Tensor): Tensor }>([]);
  readonly drop = new nn.Dropout(0.5);
  depth = 2;
  constructor(n: number) {
    super();
    for (let i = 0; i < n; i++) this.blocks.push(line(i));
  }
  forward(x: Tensor): Tensor {
    let y = x;
    let i = 0;
    for (const block of this.blocks) {
      if (i++ >= this.depth) break;
      y = this.drop.forward(block.forward(y));
    }
    return y;
  }
}

function line(seed: number): nn.Linear {
  const l = new nn.Linear(3, 3);
  l.weight = nn.parameter(mat(seed, 3, 3).mul(0.1));
  l.bias = nn.parameter(vec(seed));
  return l;
}

idiom("weights that are tied later, and untied", "graph", (compile) => {
  const model = new Tied();
  const f = compile((x: Tensor) => model.forward(x));
  return (round) => {
    if (round === 2) model.tie();
    const y = f(mat(round));
    y.sum().backward();
    const { grad } = model.encode.weight;
    const out = [y, grad?.clone()];
    model.zeroGrad();
    return out;
  };
});

idiom("one parameter under two names in one step", "graph", (compile) => {
  const w = nn.parameter(mat(1, 3, 3).mul(0.1));
  const layers = [{ weight: w }, { weight: w }];
  const opt = new optim.SGD([w], { lr: 0.1 });
  const f = compile((x: Tensor) => {
    let y = x;
    for (const { weight } of layers) y = y.mm(weight.t());
    const loss = y.pow(2).mean();
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return loss;
  });
  return (round) => {
    if (round === 2) layers[1] = { weight: nn.parameter(mat(2, 3, 3).mul(0.2)) };
    return [f(mat(round)), w.detach().clone()];
  };
});

idiom("train and eval switches inside the function, dropout and seeds", "graph", (compile) => {
  const model = new Deep(3);
  const f = compile((x: Tensor, mode: boolean) => {
    const before = model.training;
    model.train(mode);
    const y = model.forward(x);
    model.train(before);
    return y;
  });
  return (round) => {
    manualSeed(round);
    return [f(mat(round), round % 2 === 0), model.training];
  };
});

idiom("a list of modules that changes its length and its depth", "graph", (compile) => {
  const model = new Deep(2).eval() as Deep;
  const f = compile((x: Tensor) => model.forward(x));
  return (round) => {
    if (round === 1) model.depth = 1;
    if (round === 2) {
      model.depth = 9;
      model.blocks.push(line(7));
    }
    return [f(mat(round)), model.blocks.length];
  };
});

idiom("gradient accumulation over micro-batches, a step each second call", "graph", (compile) => {
  const layer = line(1);
  const opt = new optim.SGD(layer.parameters(), { lr: 0.1, momentum: 0.5 });
  let calls = 0;
  const f = compile((x: Tensor) => {
    const loss = layer.forward(x).pow(2).mean().div(2);
    loss.backward();
    if (++calls % 2 === 0) {
      opt.step();
      opt.zeroGrad();
    }
    return loss;
  });
  return (round) => [f(mat(round)), layer.weight.grad?.clone() ?? null, layer.weight.detach().clone()];
});

idiom("an exponential average with a warm-up of its decay", "graph", (compile) => {
  const layer = line(1);
  const shadow = layer.parameters().map((p) => p.detach().clone());
  let updates = 0;
  const f = compile((x: Tensor) => {
    const decay = Math.min(0.99, (1 + updates) / (10 + updates));
    updates++;
    noGrad(() => layer.parameters().forEach((p, i) => shadow[i]?.mul_(decay).add_(p, { alpha: 1 - decay })));
    return x.mm(shadow[0] ?? x);
  });
  return (round) => {
    noGrad(() => layer.weight.add_(0.1 * round));
    return [f(mat(round)), shadow.map((s) => s.clone()), updates];
  };
});

idiom("a cosine schedule computed by hand inside", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const opt = new optim.SGD([w], { lr: 1 });
  let step = 0;
  const f = compile((x: Tensor) => {
    for (const group of opt.paramGroups) group.lr = 0.5 * (1 + Math.cos(Math.PI * step / 10));
    step++;
    const loss = w.mul(x).sum();
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return loss;
  });
  return (round) => [f(vec(round)), w.detach().clone(), opt.paramGroups[0]?.lr];
});

idiom("parameter groups with options of their own, one frozen meanwhile", "graph", (compile) => {
  const [a, b] = [nn.parameter(vec(1)), nn.parameter(vec(2))];
  const opt = new optim.AdamW([{ params: [a], lr: 0.1 }, { params: [b], lr: 0.01, weightDecay: 0 }]);
  const f = compile((x: Tensor) => {
    opt.zeroGrad();
    const loss = a.mul(x).add(b).pow(2).sum();
    loss.backward();
    opt.step();
    return loss;
  });
  return (round) => {
    b.requiresGrad = round !== 2;
    return [f(vec(round)), a.detach().clone(), b.detach().clone()];
  };
});

idiom("in place on views: rows, columns, a transposed view, a copy into a slice", "graph", (compile) => {
  const board = zeros([3, 3]);
  const f = compile((x: Tensor, k: number) => {
    board.select(0, k % 3).add_(x);
    const column = board.t().select(0, 1);
    column.mul_(2);
    board.narrow(1, 0, 2).narrow(0, 1, 2).copy_(x.narrow(0, 0, 2).expand([2, 2]));
    const diagonal = F.diagonal(board);
    diagonal.sub_(1);
    return column.sum().add(diagonal);
  });
  return (round) => [f(vec(round), round), board.clone()];
});

idiom("in place on an intermediate whose view was taken before", "graph", (compile) => {
  const f = compile((x: Tensor) => {
    const y = x.mul(2);
    const view = y.view([3, 1]);
    const flat = view.reshape([3]);
    y.add_(1);
    view.mul_(x.view([3, 1]));
    return [y, view, flat, y.detach().add_(0)];
  });
  return (round) => f(vec(round));
});

idiom("detach, noGrad and enableGrad mixed in one pass", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const f = compile((x: Tensor) => {
    const target = noGrad(() => {
      const inner = enableGrad(() => w.mul(x));
      return inner.mul(isGradEnabled() ? 2 : 3);
    });
    const stopped = w.detach().mul(x);
    return w.mul(stopped).add(target).sum();
  });
  return (round) => {
    w.grad = null;
    const y = round === 3 ? noGrad(() => f(vec(round))) : f(vec(round));
    if (y.requiresGrad) y.backward();
    return [y, w.grad];
  };
});

idiom("dtype switches: half and double by a flag, and back", "graph", (compile) => {
  const config = { dtype: float32 };
  const f = compile((x: Tensor) => x.to(config.dtype).mul(1.5).exp().to(float64).sum().add(x.to(float16).to(float32)));
  return (round) => {
    config.dtype = [float32, float64, float16, float32][round] ?? float32;
    return f(vec(round).mul(0.1));
  };
});

idiom("hooks kept by the user: a list that forward calls, replaced at run time", "graph", (compile) => {
  type Hook = (name: string, y: Tensor) => Tensor | undefined;
  class Hooked extends nn.Module {
    hooks: Hook[] = [];
    readonly fc = line(1);
    forward(x: Tensor): Tensor {
      let y = this.fc.forward(x);
      for (const hook of this.hooks) y = hook("fc", y) ?? y;
      return y;
    }
  }
  const model = new Hooked();
  const kept: string[] = [];
  const f = compile((x: Tensor) => model.forward(x));
  model.hooks.push((name, y) => void kept.push(`${name}:${y.ndim}`));
  return (round) => {
    if (round === 1) model.hooks[1] = (_, y) => y.mul(2);
    if (round === 2) model.hooks = [(_, y) => y.relu()];
    return [f(mat(round)), kept.splice(0)];
  };
});

idiom("activations kept by a hook, read afterwards", "graph", (compile) => {
  const kept = new Map<string, Tensor>();
  const net = { a: line(0), b: line(1) };
  const f = compile((x: Tensor) => {
    let y = x;
    for (const [name, layer] of Object.entries(net)) {
      y = layer.forward(y).tanh();
      kept.set(name, y.detach());
    }
    return y;
  });
  return (round) => [f(mat(round)), [...kept.values()].map((t) => t.sum())];
});

idiom("a loss with early stopping kept in a class", "segments", (compile) => {
  class Stopper {
    best = Infinity;
    bad = 0;
    readonly #patience = 2;
    stop(loss: number): boolean {
      if (loss < this.best) [this.best, this.bad] = [loss, 0];
      else this.bad++;
      return this.bad >= this.#patience;
    }
  }
  const w = nn.parameter(vec(2));
  const opt = new optim.SGD([w], { lr: 0.05 });
  const stopper = new Stopper();
  const f = compile((x: Tensor) => {
    const losses: number[] = [];
    for (let i = 0; i < 4; i++) {
      const loss = w.mul(x).sub(1).pow(2).mean();
      opt.zeroGrad();
      loss.backward();
      opt.step();
      losses.push(Math.round(loss.item() * 1e4) / 1e4);
      if (stopper.stop(loss.item())) break;
    }
    return losses;
  });
  return (round) => [f(vec(round)), stopper.bad, w.detach().clone()];
});

idiom("learning rate found by backtracking on the loss", "segments", (compile) => {
  const w = tensor([1, -2, 3], { dtype: float32 });
  const lossOf = (w: Tensor, x: Tensor): Tensor => w.mul(x).sub(1).pow(2).sum();
  const f = compile((x: Tensor) => {
    const p = w.clone().requiresGrad_();
    const loss = lossOf(p, x);
    loss.backward();
    const grad = p.grad ?? zeros([3]);
    let lr = 1;
    while (lr > 1e-3 && lossOf(w.sub(grad.mul(lr)), x).item() > loss.item()) lr /= 2;
    w.sub_(grad, { alpha: lr });
    return { lr, loss };
  });
  return (round) => [f(vec(round)), w.clone()];
});

idiom("a compiled loss inside a compiled step, with a compiled helper in a Map", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const helpers = new Map([["sq", compile((x: Tensor) => x.mul(x))]]);
  const loss = compile((y: Tensor) => (helpers.get("sq") ?? ((x: Tensor) => x))(y).mean());
  const step = compile((x: Tensor) => {
    const l = loss(w.mul(x));
    l.backward();
    noGrad(() => {
      if (w.grad !== null) w.sub_(w.grad, { alpha: 0.1 });
    });
    w.grad = null;
    return l;
  });
  return (round) => [step(vec(round)), loss(vec(round)), w.detach().clone()];
});

idiom("a module whose buffer is replaced by assignment and by writes", "graph", (compile) => {
  class Norm extends nn.Module {
    running: Tensor = zeros([3]);
    steps = zeros([]);
    momentum: number | null = 0.5;
    constructor() {
      super();
      this.registerBuffer("running", zeros([3]));
      this.registerBuffer("steps", zeros([]));
    }
    forward(x: Tensor): Tensor {
      if (this.training) {
        this.steps.add_(1);
        if (this.momentum === null) this.running = this.running.add(x.mean(0).sub(this.running).div(this.steps));
        else this.running.lerp_(x.mean(0), this.momentum);
      }
      return x.sub(this.running);
    }
  }
  const norm = new Norm();
  const f = compile((x: Tensor) => norm.forward(x));
  return (round) => {
    norm.momentum = round === 2 ? null : 0.5;
    norm.train(round !== 1);
    return [f(mat(round)), norm.running.clone(), norm.steps.clone(), norm.buffers().length];
  };
});

idiom("stateDict saved and loaded between calls", "graph", (compile) => {
  const layer = line(1);
  const saved = layer.stateDict();
  const copy = Object.fromEntries(Object.entries(saved).map(([k, v]) => [k, v.clone()]));
  const f = compile((x: Tensor) => layer.forward(x));
  return (round) => {
    if (round === 1) noGrad(() => layer.weight.mul_(2));
    if (round === 2) layer.loadStateDict(copy);
    return f(mat(round));
  };
});

idiom("noise that is annealed, drawn inside", "graph", (compile) => {
  let sigma = 1;
  const f = compile((x: Tensor) => {
    const noise = rand([3]).sub(0.5).mul(sigma);
    sigma *= 0.5;
    return x.add(noise);
  });
  return (round) => {
    if (round === 3) sigma = 1;
    return [f(vec(round)), sigma];
  };
});

idiom("a training loop of several steps inside, over an array of batches", "graph", (compile) => {
  const layer = line(2);
  const opt = new optim.Adam(layer.parameters(), { lr: 0.01 });
  const f = compile((batches: Tensor[]) => {
    let total = zeros([]);
    for (const [i, x] of batches.entries()) {
      const loss = layer.forward(x).sub(i).pow(2).mean();
      loss.backward();
      opt.step();
      opt.zeroGrad();
      total = total.add(loss.detach());
    }
    return total.div(batches.length);
  });
  return (round) => [f([mat(round), mat(1), ...(round > 1 ? [mat(2)] : [])]), layer.bias?.detach().clone()];
});

idiom("gradients set by hand, scaled and clipped by value", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const opt = new optim.SGD([w], { lr: 0.5 });
  const f = compile((x: Tensor, how: string) => {
    w.mul(x).pow(2).sum().backward();
    if (w.grad !== null) {
      if (how === "clip") w.grad.clamp_(-1, 1);
      else if (how === "scale") w.grad = w.grad.mul(0.1);
      else w.grad = ones([3]);
    }
    opt.step();
    const { grad } = w;
    opt.zeroGrad();
    return grad?.add(1);
  });
  return (round) => [f(vec(round), ["clip", "scale", "set", "clip"][round] ?? ""), w.detach().clone(), w.grad];
});

idiom("layers dropped by chance (Math.random) in training only", "segments", (compile) => {
  const model = { layers: [line(0), line(1), line(2)], training: true };
  const f = compile((x: Tensor) => {
    let y = x;
    for (const layer of model.layers) {
      if (model.training && Math.random() < 0.3) continue;
      y = layer.forward(y).relu();
    }
    return y;
  });
  return (round) => {
    model.training = round !== 3;
    return f(mat(round));
  };
});

idiom("a teacher and a student, the teacher's layers copied into the student", "graph", (compile) => {
  const teacher = line(1);
  const student = line(2);
  const f = compile((x: Tensor, copies: boolean) => {
    const target = noGrad(() => teacher.forward(x));
    if (copies) {
      noGrad(() => {
        const from = teacher.parameters();
        for (const [i, p] of student.parameters().entries()) p.copy_(from[i] ?? p);
      });
    }
    return student.forward(x).sub(target).pow(2).mean();
  });
  return (round) => {
    const loss = f(mat(round), round === 2);
    loss.backward();
    const grad = student.weight.grad?.clone();
    student.zeroGrad();
    return [loss, grad, student.weight.detach().clone()];
  };
});
