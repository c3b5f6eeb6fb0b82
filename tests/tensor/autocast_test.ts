/**
 * Autocast: dtypes of results beside PyTorch's, values, gradients, casts that are kept, capture.
 */
import assert from "node:assert/strict";
import {
  autocast,
  autocastDtype,
  bfloat16,
  compile,
  device,
  type DType,
  F,
  float16,
  float32,
  float64,
  int64,
  manualSeed,
  nn,
  noGrad,
  randn,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import { autocastTargets } from "../../src/tensor/autocast_lists.ts";
import { findOp } from "../../src/ops/mod.ts";
import { fakeLike, FakeTensorMode, withMode } from "../../src/tensor/mod.ts";
import { findBackend } from "../../src/capture/backends.ts";
import EXPECTED from "./autocast/dtypes.json" with { type: "json" };

const classes = (t: Tensor): Tensor => zeros([4], { dtype: int64, device: t.device });

/** The calls of `autocast/dtypes.py`. */
const CALLS: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  mm: (a, b) => a.mm(b),
  matmul: (a, b) => a.matmul(b),
  linear: (a, b) => F.linear(a, b),
  addmm: (a, b) => b.addmm(a, b),
  bmm: (a, b) => a.unsqueeze(0).bmm(b.unsqueeze(0)),
  baddbmm: (a, b) => b.unsqueeze(0).baddbmm(a.unsqueeze(0), b.unsqueeze(0)),
  mv: (a, b) => a.mv(b.select(0, 0)),
  dot: (a, b) => a.select(0, 0).dot(b.select(0, 0)),
  inner: (a, b) => a.inner(b),
  einsum: (a, b) => F.einsum("ij,jk->ik", [a, b]),
  conv1d: (a, b) => F.conv1d(a.view([1, 4, 4]), b.view([4, 4, 1])),
  conv2d: (a, b) => F.conv2d(a.view([1, 4, 4, 1]), b.view([4, 4, 1, 1])),
  prelu: (a, b) => F.prelu(a, b.select(0, 0)),
  sdpa: (a, b) =>
    nn.functional.scaledDotProductAttention(a.view([1, 1, 4, 4]), b.view([1, 1, 4, 4]), b.view([1, 1, 4, 4])),
  add: (a, b) => a.add(b),
  mul: (a, b) => a.mul(b),
  addcmul: (a, b) => a.addcmul(b, b),
  atan2: (a, b) => a.atan2(b),
  cat: (a, b) => F.cat([a, b]),
  stack: (a, b) => F.stack([a, b]),
  exp: (a) => a.exp(),
  log: (a) => a.log(),
  rsqrt: (a) => a.rsqrt(),
  sqrt: (a) => a.sqrt(),
  tanh: (a) => a.tanh(),
  gelu: (a) => F.gelu(a),
  relu: (a) => a.relu(),
  softplus: (a) => F.softplus(a),
  pow: (a) => a.pow(2),
  square: (a) => a.square(),
  softmax: (a) => a.softmax(1),
  log_softmax: (a) => a.logSoftmax(1),
  logsumexp: (a) => a.logsumexp([1]),
  sum: (a) => a.sum(),
  sum_dim: (a) => a.sum([1]),
  sum_bf16: (a) => a.sum([1], false, { dtype: bfloat16 }),
  mean: (a) => a.mean(),
  prod: (a) => a.prod(),
  cumsum: (a) => a.cumsum(1),
  amax: (a) => a.amax([1]),
  mse_loss: (a, b) => nn.functional.mseLoss(a, b),
  l1_loss: (a, b) => nn.functional.l1Loss(a, b),
  cross_entropy: (a) => nn.functional.crossEntropy(a, classes(a)),
  nll_loss: (a) => nn.functional.nllLoss(a, classes(a)),
  bce_with_logits: (a, b) => nn.functional.binaryCrossEntropyWithLogits(a, b),
  bce: (a, b) => nn.functional.binaryCrossEntropy(a, b),
  layer_norm: (a, b) => F.layerNorm(a, [4], b.select(0, 0), b.select(0, 1)),
  group_norm: (a, b) => F.groupNorm(a, 2, b.select(0, 0), b.select(0, 1)),
  batch_norm: (a, b) => F.batchNorm(a, b.select(0, 0), b.select(0, 1), null, null, true, 0.1, 1e-5, false),
  cosine_similarity: (a, b) => F.cosineSimilarity(a, b),
  cdist: (a, b) => F.cdist(a, b),
  exp_: (a) => a.clone().exp_(),
  embedding: (a) => F.embedding(a, zeros([2], { dtype: int64, device: a.device })),
};
const compileEager = findBackend("eager");
const DTYPES: Readonly<Record<string, DType>> = { float32, bfloat16, float64 };
/** What Tessera refuses with and without autocast. */
const REFUSED: ReadonlySet<string> = new Set(["batch_norm float32,bfloat16"]);

Deno.test("autocast gives results the dtypes that PyTorch gives them", () => {
  const wrong: string[] = [];
  for (const [key, rows] of Object.entries(EXPECTED as Record<string, Record<string, string>>)) {
    const [where = "", name = ""] = key.split(" ");
    const call = CALLS[name];
    assert.ok(call !== undefined, name);
    for (const [pair, expected] of Object.entries(rows)) {
      const [a, b] = pair.split(",").map((d) =>
        fakeLike({
          shape: [4, 4],
          stride: [4, 1],
          storageOffset: 0,
          dtype: DTYPES[d] as DType,
          device: device(where),
        })
      ) as [Tensor, Tensor];
      const type = where as "cpu" | "cuda";
      let got = "error";
      try {
        got = withMode(new FakeTensorMode(), () => autocast(type, { dtype: bfloat16 }, () => call(a, b))).dtype.name;
      } catch (error) {
        if (expected !== "error") got = String(error);
      }
      // Tessera promotes where PyTorch refuses.
      if (got !== expected && expected !== "error" && !REFUSED.has(`${name} ${pair}`)) {
        wrong.push(`${key} ${pair}: ${got} instead of ${expected}`);
      }
      if (name === "bce" && where === "cuda") assert.equal(got, "error");
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("the lists of autocast name operators of the table", () => {
  for (const type of ["cuda", "cpu"] as const) {
    assert.deepEqual(autocastTargets(type).filter((name) => findOp(name) === null), []);
  }
});

Deno.test("a region covers its device alone, nests, and ends with an error", () => {
  assert.equal(autocastDtype("cuda"), null);
  autocast("cuda", () => {
    assert.equal(autocastDtype("cuda"), float16);
    assert.equal(autocastDtype("cpu"), null);
    assert.equal(randn([2, 2]).mm(randn([2, 2])).dtype, float32);
    autocast("cpu", () => {
      assert.equal(autocastDtype("cuda"), float16);
      assert.equal(randn([2, 2]).mm(randn([2, 2])).dtype, bfloat16);
      autocast("cpu", { enabled: false }, () => assert.equal(randn([2, 2]).mm(randn([2, 2])).dtype, float32));
    });
  });
  assert.throws(
    () =>
      autocast("cpu", () => {
        throw new Error("inside");
      }),
    /inside/,
  );
  assert.equal(autocastDtype("cpu"), null);
  assert.throws(() => autocast("cpu", { dtype: float32 }, () => 0), /TypeError|float16 or bfloat16/);
  assert.throws(() => autocast("webgpu" as "cpu", () => 0), /there are lists for/);
});

Deno.test("products under autocast are products of rounded numbers, and gradients have their parameters' dtype", () => {
  manualSeed(1);
  const w = randn([5, 7]).requiresGrad_();
  const x = randn([3, 7]);
  const y = autocast("cpu", () => F.linear(x, w));
  const same = x.to(bfloat16).matmul(w.detach().to(bfloat16).t());
  assert.deepEqual(y.detach().to(float32).toArray(), same.to(float32).toArray());
  y.to(float32).sum().backward();
  assert.equal(w.grad?.dtype, float32);
  const expected = x.to(bfloat16).to(float32).sum([0]).to(bfloat16).to(float32).toArray() as number[];
  for (const row of w.grad?.toArray() as number[][]) {
    row.forEach((g, i) => assert.ok(Math.abs(g - (expected[i] ?? NaN)) < 0.03, `${g} ${expected[i]}`));
  }
});

/** Operators that run, by name. */
class Counting extends FakeTensorMode {
  readonly calls: string[] = [];

  override dispatch(...call: Parameters<FakeTensorMode["dispatch"]>): ReturnType<FakeTensorMode["dispatch"]> {
    this.calls.push(call[0].schema.name);
    return super.dispatch(...call);
  }
}

function casts(fn: (w: Tensor, x: Tensor) => void): number {
  const mode = new Counting();
  const w = randn([4, 4]).requiresGrad_();
  const x = randn([4, 4]);
  withMode(mode, () => fn(w, x));
  return mode.calls.filter((name) => name === "_to_copy").length;
}

Deno.test("a parameter is cast once a region, and again after it was written", () => {
  // One cast for w and one a use of x.
  assert.equal(casts((w, x) => autocast("cpu", () => void [x.mm(w), x.mm(w)])), 3);
  assert.equal(casts((w, x) => autocast("cpu", { cacheEnabled: false }, () => void [x.mm(w), x.mm(w)])), 4);
  // Without a tape another cast is needed: the kept one has a history.
  assert.equal(casts((w, x) => autocast("cpu", () => void [x.mm(w), noGrad(() => x.mm(w))])), 4);
  const inner = (w: Tensor, x: Tensor): void => {
    autocast("cpu", () => {
      x.mm(w);
      autocast("cpu", { enabled: false }, () => x.mm(w));
      noGrad(() => w.zero_());
      x.mm(w);
    });
  };
  assert.equal(casts(inner), 4);
  assert.equal(casts((w, x) => [0, 1].forEach(() => autocast("cpu", () => void x.mm(w)))), 4);
});

Deno.test("a walk back inside a region casts nothing by itself", () => {
  const x = randn([4], { dtype: bfloat16 }).requiresGrad_();
  autocast("cpu", () => {
    const y = x.mul(2).mul(3).sum();
    y.backward();
  });
  assert.equal(x.grad?.dtype, bfloat16);
  assert.deepEqual(x.grad?.to(float32).toArray(), [6, 6, 6, 6]);
});

Deno.test("captured functions have the casts of regions inside and outside, and notice a change", () => {
  manualSeed(2);
  const layer = new nn.Linear(6, 4);
  const x = randn([3, 6]);
  const inside = compile((t: Tensor) => autocast("cpu", () => layer.forward(t)), { fullgraph: true });
  assert.equal(inside(x).dtype, bfloat16);
  assert.deepEqual(
    inside(x).detach().to(float32).toArray(),
    autocast("cpu", () => layer.forward(x)).detach().to(float32).toArray(),
  );
  let compiled = 0;
  const outside = compile((t: Tensor) => layer.forward(t).exp(), {
    backend: (module, inputs, context) => {
      compiled++;
      return compileEager(module, inputs, context);
    },
  });
  assert.equal(outside(x).dtype, float32);
  assert.equal(autocast("cpu", () => outside(x)).dtype, bfloat16);
  assert.equal(autocast("cpu", { dtype: float16 }, () => outside(x)).dtype, float16);
  assert.equal(outside(x).dtype, float32);
  assert.equal(autocast("cpu", () => outside(x)).dtype, bfloat16);
  assert.equal(compiled, 3);
});

Deno.test("a compiled training step under autocast has the gradients of the eager one", () => {
  manualSeed(3);
  const net = new nn.Sequential(new nn.Linear(8, 16), new nn.GELU(), new nn.LayerNorm(16), new nn.Linear(16, 5));
  const x = randn([12, 8]);
  const y = tensor([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1], { dtype: int64 });
  const run = (): Tensor => {
    const loss = autocast("cpu", () => nn.functional.crossEntropy(net.forward(x), y));
    loss.backward();
    return loss;
  };
  const take = (): number[] => {
    const found = [...net.parameters()].flatMap((p) => {
      assert.equal(p.grad?.dtype, float32);
      const g = p.grad?.reshape([-1]).toArray() as number[];
      p.grad = null;
      return g;
    });
    return found;
  };
  const eagerLoss = run().item();
  const eager = take();
  const step = compile(run, { fullgraph: true });
  const loss = step().item();
  const got = take();
  assert.ok(Math.abs(loss - eagerLoss) < 1e-3 * Math.abs(eagerLoss));
  const scale = Math.max(...eager.map(Math.abs));
  got.forEach((g, i) => assert.ok(Math.abs(g - (eager[i] ?? NaN)) < 0.02 * scale, `${i}: ${g} ${eager[i]}`));
});

Deno.test("a cast of a region outside is not the cast of a capture inside", () => {
  const w = randn([4, 4]).requiresGrad_();
  const x = randn([4, 4]);
  const f = compile((t: Tensor) => t.mm(w), { fullgraph: true });
  autocast("cpu", () => {
    x.mm(w);
    f(x);
    noGrad(() => w.fill_(0));
    assert.deepEqual(f(x).detach().to(float32).sum().item(), 0);
  });
});

Deno.test("an asynchronous function is refused, and so is one that returns a promise", () => {
  const refused = /asynchronous, and what stands behind an await would compute without casts: await outside/;
  let ran = false;
  assert.throws(() =>
    autocast("cpu", async () => {
      ran = true;
      await Promise.resolve();
    }), refused);
  assert.equal(ran, false);
  assert.throws(() => autocast("cpu", () => Promise.reject(new Error("nobody listens"))), refused);
  assert.equal(autocastDtype("cpu"), null);
});
