/** Idioms: functions with a gradient of their own (`defineFunction`): walked inside, walked outside, with saved tensors, rules that change. */
import { float32 } from "../../../src/core/mod.ts";
import { defineFunction, type FunctionContext, grad } from "../../../src/autograd/mod.ts";
import * as nn from "../../../src/nn/mod.ts";
import * as optim from "../../../src/optim/mod.ts";
import { type Tensor, tensor } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

const leaf = (...values: number[]): Tensor => tensor(values, { dtype: float32, requiresGrad: true });
const given = (g: Tensor | null): Tensor => g as Tensor;

const straight = defineFunction({ forward: (_, x: Tensor) => x.round(), backward: (_, g) => g });

idiom("a straight-through estimator, walked outside", "segments", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((x: Tensor) => straight(w.mul(x)).sum());
  return (round) => {
    w.grad = null;
    f(vec(round)).backward();
    return w.grad;
  };
});

idiom("a straight-through estimator, walked inside, its factor changes", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const state = { k: 1 };
  const scaled = defineFunction({ forward: (_, x: Tensor) => x.round(), backward: (_, g) => given(g).mul(state.k) });
  const f = compile((x: Tensor) => {
    w.grad = null;
    scaled(w.mul(x)).sum().backward();
    return w.grad as Tensor | null;
  });
  return (round) => {
    state.k = 1 + round;
    return f(vec(round));
  };
});

const square = defineFunction({
  name: "Square",
  forward: (context: FunctionContext, x: Tensor) => {
    context.save(x);
    return x.mul(x);
  },
  backward: (context, g) => given(g).mul(context.saved[0] as Tensor).mul(3),
});

idiom("saved tensors in grad() and in a plain call", "graph", (compile) => {
  const f = compile((x: Tensor) => [grad((y) => square(y as Tensor).sum())(x), square(x)]);
  return (round) => f(vec(round));
});

idiom("a saved tensor that is overwritten before its backward", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((x: Tensor, late: boolean) => {
    w.grad = null;
    const h = w.mul(x);
    const loss = square(h).sum();
    if (late) h.add_(1);
    loss.backward();
    return w.grad as Tensor | null;
  });
  return (round) => f(vec(round), round === 2);
});

idiom("clipped gradients inside a model, trained", "graph", (compile) => {
  const layer = new nn.Linear(3, 2);
  const clip = defineFunction({ forward: (_, x: Tensor) => x.clone(), backward: (_, g) => given(g).clamp(-0.1, 0.1) });
  const opt = new optim.SGD(layer.parameters(), { lr: 0.1 });
  const f = compile((x: Tensor) => {
    opt.zeroGrad();
    const loss = clip(layer.forward(x)).pow(2).sum();
    loss.backward();
    opt.step();
    return loss.detach();
  });
  return (round) => [f(mat(round)), layer.weight.detach().clone()];
});
