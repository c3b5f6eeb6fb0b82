/** Explicit control flow: plain JavaScript when eager; in a graph only where that is the same. */
import assert from "node:assert/strict";
import { captureStats, compile, cond, scan, whileLoop } from "../../src/capture/mod.ts";
import { F, manualSeed, rand, type Tensor, tensor } from "../../src/tensor/mod.ts";
import { compilations, eachBackend, full, plain, same } from "./support.ts";

const x = tensor([1, 2.5, -1]);

eachBackend("cond() on a tensor with pure branches is one graph", (backend) => {
  const body = (t: Tensor): { a: Tensor; b: Tensor[] } =>
    cond(t.sum().gt(0), (u) => ({ a: u.mul(2), b: [u] }), (u) => ({ a: u.neg(), b: [u.add(1)] }), [t]);
  const f = full(body, backend);
  for (const t of [x, x.neg(), x.mul(3)]) {
    same(f(t), body(t));
    assert.notEqual(f(t).b[0], t);
    assert.notEqual(body(t).b[0], t);
  }
  assert.equal(compilations(f), 1);
});

eachBackend("cond() on a boolean takes one branch, and is guarded", (backend) => {
  const body = (t: Tensor, on: boolean): Tensor => cond(on, (u) => u.mul(2), (u) => u.neg(), [t]);
  const f = full(body, backend);
  same([f(x, true), f(x, false)], [body(x, true), body(x, false)]);
  assert.equal(compilations(f), 2);
});

eachBackend("cond() ends the trace where branches do not fit or do more than compute", (backend) => {
  let counter = 0;
  const list: number[] = [];
  const bodies: [(t: Tensor) => Tensor, RegExp][] = [
    [(t) => cond(t.sum().gt(0), (u) => u.mul(2), (u) => u.sum(), [t]), /float32\[3\].*float32\[\]/],
    [(t) => cond(t.sum().gt(0), (u) => u.mul(2), (u) => u.gt(0), [t]), /float32\[3\].*bool\[3\]/],
    [(t) => cond(t.sum().gt(0), (u) => (list.push(1), u.mul(2)), (u) => u.mul(3), [t]), /prints, assigns/],
    [(t) => cond(t.sum().gt(0), (u) => (counter++, u.mul(2)), (u) => u.mul(3), [t]), /prints, assigns/],
    [(t) => cond(t.sum().gt(0), (u) => u.mul(u.sum().item()), (u) => u.mul(3), [t]), /data/],
  ];
  bodies.forEach(([body, reason], i) => {
    const f = compile(body, { backend });
    const run = (g: typeof body): unknown => {
      counter = 0;
      list.length = 0;
      return plain([1, -1, 1, -1].map((s) => {
        const t = x.mul(s);
        return [g(t), t, counter, [...list]];
      }));
    };
    assert.deepEqual(run(f), run(body), `body ${i}`);
    assert.match(captureStats(f).breaks[0]?.message ?? "", reason, `body ${i}`);
    assert.throws(() => full(body, backend)(x), reason, `body ${i}`);
  });
});

eachBackend("what branches write in place and draw is that of the branch taken", (backend) => {
  const outside = tensor([0.5, 0.5, 0.5]);
  const bodies: ((t: Tensor) => Tensor)[] = [
    (t) => cond(t.sum().gt(0), (u) => u.add_(1), (u) => u.mul(2), [t]),
    (t) => cond(t.sum().gt(0), (u) => u.add(rand([3])), (u) => u, [t]),
    (t) =>
      cond(t.sum().gt(0), (u) => (outside.add_(u), u.mul(outside)), (u) => (u.select(0, 1).zero_(), u.add(1)), [t]),
    (t) => cond(t.sum().gt(0), (u) => u.mul(0).add_(3).mul_(u), (u) => u, [t]),
  ];
  bodies.forEach((body, i) => {
    const f = full(body, backend);
    const run = (g: typeof body): unknown => {
      manualSeed(4);
      outside.fill_(0.5);
      return plain([1, -1, 1, -1].map((s) => {
        const t = x.mul(s);
        return [g(t), t, outside.clone(), rand([2])];
      }));
    };
    assert.deepEqual(run(f), run(body), `body ${i}`);
    assert.equal(compilations(f), 1);
  });
});

eachBackend("gradients through cond() are those of the branch taken", (backend) => {
  const body = (t: Tensor): Tensor => cond(t.sum().gt(0), (u) => u.mul(2), (u) => u.clamp(0).sqrt(), [t]).sum();
  const f = compile(body, { backend });
  for (const sign of [1, -1]) {
    const [a, b] = [tensor([0, 4.5]).mul(sign).requiresGrad_(), tensor([0, 4.5]).mul(sign).requiresGrad_()];
    f(a).backward();
    body(b).backward();
    same(a.grad, b.grad);
  }
});

eachBackend("whileLoop() unrolls numbers, and is one call where data ask", (backend) => {
  const known = (t: Tensor, n: number): Tensor => whileLoop((_, i) => i < n, (u, i) => [u.mul(2), i + 1], [t, 0])[0];
  const f = full(known, backend);
  same([f(x, 2), f(x, 3)], [x.mul(4), x.mul(8)]);
  const data = (t: Tensor): Tensor[] =>
    whileLoop((u, _) => u.abs().sum().lt(50), (u, { n }) => [u.mul(2).add(t), { n: n.add(1) }], [t, { n: tensor(0) }])
      .flatMap((v) => "n" in v ? [v.n as Tensor] : [v]);
  const g = full(data, backend);
  for (const s of [1, 5, 100]) same(g(x.mul(s)), data(x.mul(s)));
  assert.equal(compilations(g), 1);
  assert.throws(() => whileLoop(() => tensor([1, 2]).gt(0), (u) => [u], [x]), /one element/);
  const grows = (t: Tensor): Tensor => whileLoop((u) => u.sum().lt(50), (u) => [F.cat([u, u])], [t.abs()])[0];
  same(compile(grows, { backend })(x), grows(x));
  assert.throws(() => full(grows, backend)(x), /takes float32\[3\].*gives float32\[6\]/);
});

eachBackend("whileLoop() on data has no gradient in a graph", (backend) => {
  const body = (t: Tensor): Tensor => whileLoop((u) => u.abs().sum().lt(50), (u) => [u.mul(2)], [t])[0].sum();
  const run = (g: typeof body): unknown => {
    const t = x.clone().requiresGrad_();
    g(t).backward();
    return plain(t.grad);
  };
  assert.deepEqual(run(compile(body, { backend })), run(body));
  assert.throws(() => run(full(body, backend)), /whileLoop\(\) is differentiated.*forLoop\(\) or scan\(\)/s);
});

eachBackend("scan() is one graph, differentiable, both ways", (backend) => {
  for (const reverse of [false, true]) {
    const body = (xs: Tensor): Tensor[] => {
      const [carry, ys] = scan((s: Tensor, t: Tensor) => [s.mul(0.5).add(t), { s, p: s.mul(t) }], x.mul(0), xs, {
        reverse,
      });
      return [carry, ys.s, ys.p];
    };
    const f = full(body, backend);
    const run = (g: typeof body): unknown => {
      const xs = tensor([[1, 2.5, 3], [4, 5, 6]]).requiresGrad_();
      const out = g(xs);
      out.reduce((a, t) => a.add(t.sum()), tensor(0)).backward();
      return plain([out, xs.grad]);
    };
    assert.deepEqual(run(f), run(body));
    assert.deepEqual(run(f), run(body));
  }
  same(scan((s: Tensor, t: Tensor) => [s.add(t), s.add(t)], tensor(0), tensor([1, 2, 3]))[1], tensor([1, 3, 6]));
  assert.throws(() => scan((s: Tensor) => [s, s], x, tensor([])), /above 0/);
});
