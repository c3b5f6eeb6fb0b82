/** Idioms: modules, parameters, optimisers, training loops. */
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import { noGrad, ones, randn, type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

class Net extends nn.Module {
  readonly fc1 = new nn.Linear(3, 4);
  readonly fc2 = new nn.Linear(4, 2);
  act: (x: Tensor) => Tensor = nn.functional.relu;
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act(this.fc1.forward(x)));
  }
}

class Block extends nn.Module {
  readonly norm: nn.LayerNorm;
  readonly fc: nn.Linear;
  scale = 0.5;
  constructor(size: number) {
    super();
    this.norm = new nn.LayerNorm([size]);
    this.fc = new nn.Linear(size, size);
  }
  forward(x: Tensor): Tensor {
    return x.add(this.fc.forward(this.norm.forward(x)).mul(this.scale));
  }
}

class Stack extends nn.Module {
  readonly blocks: nn.ModuleList<Block>;
  constructor(n: number) {
    super();
    this.blocks = new nn.ModuleList(Array.from({ length: n }, () => new Block(3)));
  }
  forward(x: Tensor): Tensor {
    let y = x;
    for (const block of this.blocks) y = block.forward(y);
    return y;
  }
}

class Running extends nn.Module {
  mean = vec(0);
  count = 0;
  forward(x: Tensor): Tensor {
    if (this.training) {
      this.mean = this.mean.mul(0.9).add(x.mul(0.1));
      this.count += 1;
    }
    return x.sub(this.mean);
  }
}

const labels = (): Tensor => tensor([0, 1]);

idiom("a model called through a closure", "graph", (compile) => {
  const net = new Net();
  const f = compile((x: Tensor) => net.forward(x));
  return (round) => {
    if (round === 2) net.act = nn.functional.gelu as (x: Tensor) => Tensor;
    if (round === 3) net.act = (x) => x.mul(3);
    return f(mat(round));
  };
});

idiom("train() and eval() toggles", "graph", (compile) => {
  const net = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Dropout(0.5));
  const f = compile((x: Tensor) => net.forward(x));
  return (round) => {
    net.train(round % 2 === 1);
    return [f(mat(round)), net.stateDict()];
  };
});

idiom("a replaced sub-module and a replaced parameter", "graph", (compile) => {
  const net = new Net() as { -readonly [K in keyof Net]: Net[K] };
  const f = compile((x: Tensor) => net.forward(x));
  return (round) => {
    if (round === 1) net.fc1 = new nn.Linear(3, 4);
    if (round === 2) net.fc2.weight = nn.parameter(ones([2, 4]));
    return f(mat(round));
  };
});

idiom("parameters written by an optimiser outside", "graph", (compile) => {
  const net = new Net();
  const opt = new optim.SGD(net.parameters(), { lr: 0.1 });
  const f = compile((x: Tensor) => nn.functional.crossEntropy(net.forward(x), labels()));
  return (round) => {
    const loss = f(mat(round));
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return [loss.detach(), net.stateDict()];
  };
});

idiom("a training step; lr changed between calls", "graph", (compile) => {
  const net = new Net();
  const opt = new optim.Adam(net.parameters(), { lr: 0.1 });
  const step = compile((x: Tensor, y: Tensor) => {
    opt.zeroGrad();
    const loss = nn.functional.crossEntropy(net.forward(x), y);
    loss.backward();
    opt.step();
    return loss.detach();
  });
  return (round) => {
    for (const group of opt.paramGroups) group.lr = round === 2 ? 0.01 : 0.1;
    return [step(mat(round), labels()), net.stateDict()];
  };
});

idiom("a scheduler between steps", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const opt = new optim.SGD([w], { lr: tensor(0.5), momentum: 0.9 });
  const step = compile((x: Tensor) => {
    const loss = w.mul(x).pow(2).sum();
    loss.backward();
    opt.step();
    opt.zeroGrad();
    return loss.detach();
  });
  return (round) => {
    const group = opt.paramGroups[0];
    if (group !== undefined) group.lr = tensor(0.5 / (round + 1));
    return [step(vec(round)), w];
  };
});

idiom("ModuleList iteration; a block changed and one added", "graph", (compile) => {
  const stack = new Stack(2);
  const f = compile((x: Tensor) => stack.forward(x));
  return (round) => {
    stack.blocks.at(0).scale = round === 1 ? 2 : 0.5;
    if (round === 3) stack.blocks.push(new Block(3));
    return f(mat(round));
  };
});

idiom("weights shared by two layers", "graph", (compile) => {
  const [a, b] = [new nn.Linear(3, 3), new nn.Linear(3, 3)];
  b.weight = a.weight;
  const f = compile((x: Tensor) => b.forward(a.forward(x)));
  return (round) => {
    const loss = f(mat(round)).sum();
    loss.backward();
    const grad = a.weight.grad?.clone();
    if (round === 2) noGrad(() => a.weight.mul_(0.5));
    a.weight.grad = null;
    return [loss.detach(), grad];
  };
});

idiom("frozen parameters, thawed later", "graph", (compile) => {
  const net = new Net();
  const f = compile((x: Tensor) => net.forward(x).sum());
  return (round) => {
    for (const p of net.fc1.parameters()) p.requiresGrad = round === 1;
    net.zeroGrad();
    f(mat(round)).backward();
    return [net.fc1.weight.grad, net.fc2.weight.grad];
  };
});

idiom("a module that writes its own tensors and counters", "graph", (compile) => {
  const running = new Running();
  const f = compile((x: Tensor) => running.forward(x));
  return (round) => {
    running.train(round !== 2);
    return [f(vec(round)), running.mean, running.count];
  };
});

idiom("layers in a plain array and in an object", "graph", (compile) => {
  const layers = [new nn.Linear(3, 3), new nn.Linear(3, 3)];
  const named: Record<string, nn.Module & { forward(x: Tensor): Tensor }> = { act: new nn.Tanh() };
  const f = compile((x: Tensor) => layers.reduce((y, l) => named["act"]?.forward(l.forward(y)) ?? y, x));
  return (round) => {
    if (round === 1) layers.reverse();
    if (round === 2) named["act"] = new nn.ReLU();
    return f(mat(round));
  };
});

idiom("functional parameters: an object of tensors as argument", "graph", (compile) => {
  const params = { w: randn([3, 3]), b: randn([3]) };
  const f = compile((p: typeof params, x: Tensor) => x.matmul(p.w).add(p.b));
  return (round) => f(round === 1 ? { w: params.w.mul(2), b: params.b } : params, mat(round));
});

idiom("gradient clipping by hand", "graph", (compile) => {
  const net = new Net();
  const step = compile((x: Tensor) => {
    net.zeroGrad();
    net.forward(x).pow(2).sum().backward();
    let norm = tensor(0);
    for (const p of net.parameters()) norm = norm.add((p.grad as Tensor).pow(2).sum());
    const scale = norm.sqrt().add(1e-6).reciprocal().clamp(0, 1);
    noGrad(() => {
      for (const p of net.parameters()) p.sub_((p.grad as Tensor).mul(scale).mul(0.1));
    });
    return norm;
  });
  return (round) => [step(mat(round)), net.stateDict()];
});

idiom("an exponential moving average of a model", "graph", (compile) => {
  const net = new Net();
  const average = new Map(Object.entries(net.stateDict()).map(([k, v]) => [k, v.clone().detach()]));
  const update = compile((decay: number) =>
    noGrad(() => {
      for (const [name, p] of Object.entries(net.stateDict())) {
        const a = average.get(name) as Tensor;
        a.mul_(decay).add_(p.detach().mul(1 - decay));
      }
    })
  );
  return (round) => {
    noGrad(() => net.fc1.weight.add_(round));
    update(round === 1 ? 0.5 : 0.9);
    return average;
  };
});

idiom("dropout under a seed, train and eval", "graph", (compile) => {
  const drop = new nn.Dropout(0.5);
  const f = compile((x: Tensor) => drop.forward(x));
  return (round) => {
    drop.train(round !== 1);
    return f(mat(round, 4, 5));
  };
});

idiom("hooks in a list", "graph", (compile) => {
  const net = new Net();
  const hooks: ((x: Tensor) => void)[] = [];
  const seen: Tensor[] = [];
  const f = compile((x: Tensor) => {
    const y = net.forward(x);
    for (const hook of hooks) hook(y);
    return y;
  });
  return (round) => {
    if (round === 1 && hooks.length === 0) hooks.push((y) => void seen.push(y.mean()));
    return [f(mat(round)), seen];
  };
});

idiom("a step counter and a loss history beside the optimiser", "graph", (compile) => {
  const w = nn.parameter(vec(1));
  const opt = new optim.SGD([w], { lr: 0.01 });
  let steps = 0;
  const losses: Tensor[] = [];
  const step = compile((x: Tensor) => {
    const loss = w.mul(x).pow(2).sum();
    loss.backward();
    opt.step();
    opt.zeroGrad();
    losses.push(loss.detach());
    steps += 1;
  });
  return (round) => [step(vec(round)), steps, losses, w];
});
