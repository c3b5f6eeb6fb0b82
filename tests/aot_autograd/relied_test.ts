/**
 * Writes between a compiled call and its backward: what eager's tape notices, a compiled call notices, with the same words; what eager allows is allowed.
 *
 * Versions are shared by views and bases. A cut keeps other values than the tape does, so each program is compared with eager by result and by message.
 */
import assert from "node:assert/strict";
import "../../mod.ts";
import { compile } from "../../src/capture/mod.ts";
import { noGrad, Tensor, tensor } from "../../src/tensor/mod.ts";
import { withConfig } from "../../src/core/mod.ts";

type Wrap = <A extends readonly unknown[], R>(fn: (...args: A) => R) => (...args: A) => R;

const leaf = (): Tensor => tensor([1.5, 2.5]).requiresGrad_();
const square = (): Tensor => tensor([[1.5, 2.5], [3, 4]]).requiresGrad_();
const dot = (a: Tensor, b: Tensor): Tensor => a.mul(b).sum();

/** Each runs a function, writes somewhere, goes back, and gives a gradient. */
const PROGRAMS: Readonly<Record<string, (wrap: Wrap) => Tensor | null>> = {
  "the base of a part from unbind, outside": (wrap) => {
    const [x, w] = [tensor([[1, 2.5], [3, 4]]), leaf()];
    const loss = wrap(dot)(x.unbind(0)[0] as Tensor, w);
    x.mul_(2);
    loss.backward();
    return w.grad;
  },
  "another part of the base of a view": (wrap) => {
    const [x, w] = [tensor([[1, 2.5], [3, 4]]), leaf()];
    const loss = wrap(dot)(x.select(0, 0), w);
    x.select(0, 1).add_(1);
    loss.backward();
    return w.grad;
  },
  "a view of what came in": (wrap) => {
    const [x, w] = [tensor([3.5, 4]), leaf()];
    const loss = wrap(dot)(x, w);
    x.view([2, 1]).add_(1);
    loss.backward();
    return w.grad;
  },
  "a leaf through detach()": (wrap) => {
    const w = leaf();
    const loss = wrap((b: Tensor) => b.pow(2).sum())(w);
    w.detach().mul_(3);
    loss.backward();
    return w.grad;
  },
  "a leaf under noGrad, of which unbind was taken inside": (wrap) => {
    const w = square();
    const loss = wrap((b: Tensor) => {
      const [p, q] = b.unbind(0) as [Tensor, Tensor];
      return p.mul(q).sum();
    })(w);
    noGrad(() => w.mul_(3));
    loss.backward();
    return w.grad;
  },
  "a tensor of the closure, in part": (wrap) => {
    const [b, w] = [tensor([1, 2.5]), leaf()];
    const loss = wrap((a: Tensor) => a.mul(b).sum())(w);
    noGrad(() => b.view([1, 2]).select(0, 0).zero_());
    loss.backward();
    return w.grad;
  },
  "a result that its own gradient needs, through a view": (wrap) => {
    const w = leaf();
    const [view, whole] = wrap((b: Tensor) => {
      const e = b.exp();
      return [e.view([2, 1]), e] as const;
    })(w);
    noGrad(() => view.mul_(2));
    whole.sum().backward();
    return w.grad;
  },
  "an input, by the call itself, after it was used": (wrap) => {
    const [b, w] = [tensor([1, 2.5]), leaf()];
    const loss = wrap((a: Tensor, s: Tensor) => {
      const r = a.mul(s).sum();
      s.add_(1);
      return r;
    })(w, b);
    loss.backward();
    return w.grad;
  },
  "an input, by the call itself, before it is used": (wrap) => {
    const [b, w] = [tensor([1, 2.5]), leaf()];
    const loss = wrap((a: Tensor, s: Tensor) => {
      s.add_(1);
      return a.mul(s).sum();
    })(w, b);
    loss.backward();
    return w.grad;
  },
  "an input, by a second call": (wrap) => {
    const [b, w] = [tensor([1, 2.5]), leaf()];
    const f = wrap((a: Tensor, s: Tensor) => {
      s.add_(1);
      return a.mul(s).sum();
    });
    const loss = f(w, b);
    f(w, b);
    loss.backward();
    return w.grad;
  },
  "an input of exp, which only a compiled backward reads again": (wrap) => {
    const [b, w] = [tensor([1, 2.5]), leaf()];
    const loss = wrap((a: Tensor, s: Tensor) => a.exp().add(s.mul(2)).sum())(w, b);
    b.add_(1);
    noGrad(() => w.add_(1));
    loss.backward();
    return w.grad;
  },
  "inputs that no gradient needs": (wrap) => {
    const [b, w] = [tensor([1, 2.5]), leaf()];
    const loss = wrap((a: Tensor, s: Tensor) => a.add(s).sum())(w, b);
    b.add_(1);
    noGrad(() => w.zero_());
    loss.backward();
    return w.grad;
  },
  "nothing, but the history is walked twice": (wrap) => {
    const w = leaf();
    const loss = wrap((a: Tensor) => a.pow(2).mul(3).sum())(w);
    loss.backward();
    loss.backward();
    return w.grad;
  },
  "nothing, but the second of two results is walked after the first": (wrap) => {
    const w = leaf();
    const [a, b] = wrap((x: Tensor) => {
      const h = x.pow(2);
      return [h.exp().sum(), h.sum().mul(2)] as const;
    })(w);
    a.backward();
    try {
      b.backward();
    } catch (error) {
      // Which step is met first is eager's own matter where results share a part.
      assert.match(String(error), /was already walked/);
      return null;
    }
    return w.grad;
  },
  "nothing, but a part of the history was walked inside": (wrap) => {
    const w = leaf();
    const y = wrap((a: Tensor) => {
      const h = a.pow(2);
      h.mul(3).sum().backward();
      return h.exp();
    })(w);
    y.sum().backward();
    return w.grad;
  },
};

function outcome(program: (wrap: Wrap) => Tensor | null, wrap: Wrap): string {
  try {
    const grad = program(wrap);
    return grad instanceof Tensor ? [...grad.dataSync()].map((v) => Number(v).toFixed(3)).join() : String(grad);
  } catch (error) {
    return String(error);
  }
}

for (const [name, program] of Object.entries(PROGRAMS)) {
  Deno.test(`written between a compiled call and its backward: ${name}`, () => {
    using _ = withConfig({ verify: true });
    const expected = outcome(program, (fn) => fn);
    for (const backend of ["eager", "aot_eager", "inductor"]) {
      const options = backend === "inductor" ? { tier: "js" } : {};
      assert.equal(outcome(program, (fn) => compile(fn, { backend, options, fullgraph: true })), expected, backend);
    }
  });
}
