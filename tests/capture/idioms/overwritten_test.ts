/** Idioms: values that a gradient needs and the function overwrites: eager's errors, from `backward()` outside, and only those; histories of inputs. */
import { float32 } from "../../../src/core/mod.ts";
import * as nn from "../../../src/nn/mod.ts";
import { noGrad, type Tensor, tensor, zeros } from "../../../src/tensor/mod.ts";
import { idiom, mat, vec } from "./harness.ts";

const leaf = (...values: number[]): Tensor => tensor(values, { dtype: float32, requiresGrad: true });

/** Walks back; the gradient, or the error as text. */
function walk(w: Tensor, loss: () => Tensor): unknown {
  w.grad = null;
  try {
    loss().backward();
    return w.grad;
  } catch (error) {
    return String(error);
  }
}

idiom("a result of exp that is added to", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((x: Tensor, copied: boolean) => {
    const y = w.mul(x).exp();
    return (copied ? y.clone() : y).add_(1).sum();
  });
  return (round) => walk(w, () => f(vec(round), round % 2 === 1));
});

idiom("products and sums in place, which need nothing that is gone", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((x: Tensor) => w.mul(x).mul_(w).add_(1).sum());
  return (round) => walk(w, () => f(vec(round)));
});

idiom("rows of a softmax zeroed, also unrecorded", "graph", (compile) => {
  const layer = new nn.Linear(3, 3);
  const f = compile((x: Tensor, recorded: boolean) => {
    const y = layer.forward(x).softmax(1);
    if (recorded) y.select(0, 0).zero_();
    else noGrad(() => y.select(0, 0).zero_());
    return y.pow(2).sum();
  });
  return (round) => walk(layer.weight, () => f(mat(round), round % 2 === 1));
});

idiom("of two results one cannot be walked", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((x: Tensor) => {
    const [y, z] = [w.mul(x).tanh(), w.mul(x).sin()];
    y.mul_(2);
    return [y.sum(), z.sum()] as const;
  });
  return (round) => [0, 1].map((i) => walk(w, () => f(vec(round))[i] as Tensor));
});

idiom("a state that cannot be walked, and is", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const state = { h: zeros([3]) };
  const f = compile((x: Tensor) => {
    state.h = w.mul(x).sigmoid();
    state.h.add_(1);
  });
  return (round) =>
    walk(w, () => {
      f(vec(round));
      return state.h.sum();
    });
});

idiom("a buffer from outside that takes a history with what is copied into it", "segments", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((buffer: Tensor, x: Tensor) => buffer.copy_(w.mul(x)));
  return (round) => {
    const buffer = zeros([3]);
    const y = f(buffer, vec(round));
    return [walk(w, () => buffer.pow(2).sum()), y === buffer, buffer.requiresGrad];
  };
});

idiom("a buffer from outside that is written without one", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const buffer = zeros([3]);
  const f = compile((x: Tensor) => {
    const y = w.mul(x);
    buffer.mul_(0.5).add_(y.detach());
    noGrad(() => buffer.sub_(y));
    return y.sub(buffer).sum();
  });
  return (round) => [walk(w, () => f(vec(round))), buffer.requiresGrad, buffer.clone()];
});

idiom("an input is asked whether it is a leaf, which it is at times", "segments", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((h: Tensor) => h.isLeaf ? h.add(1) : h.mul(2));
  return (round) => [f(round % 2 === 0 ? w : w.mul(vec(round))).detach(), f(vec(round))];
});

idiom("retainGrad() inside on an input with a history", "segments", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((h: Tensor) => {
    h.retainGrad();
    return h.pow(2).sum();
  });
  return (round) => {
    const h = w.mul(vec(round));
    return [walk(w, () => f(h)), h.grad];
  };
});

idiom("results of the function and its weights are asked for their history", "graph", (compile) => {
  const w = leaf(1, -2, 0.5);
  const f = compile((x: Tensor) => {
    const y = w.mul(x);
    return [w.isLeaf, x.isLeaf, y.isLeaf, y.gradFn?.name, y];
  });
  return (round) => f(vec(round));
});
