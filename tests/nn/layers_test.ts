import assert from "node:assert/strict";
import {
  bool,
  float32,
  float64,
  gradcheck,
  manualSeed,
  nn,
  noGrad,
  randn,
  type Tensor,
  tensor,
  zeros,
} from "../../mod.ts";
import { assertClose, flat, sequence, t } from "./support.ts";

const f = nn.functional;

/** Sets every parameter to sin(i + its number), so that results can be recorded. */
function fillWithSines(module: nn.Module): void {
  module.parameters().forEach((p, n) => noGrad(() => p.copy_(sequence(p.shape.map(Number), (i) => Math.sin(i + n)))));
}

Deno.test("Linear multiplies by the transpose and adds the bias", () => {
  const layer = new nn.Linear(2, 3);
  layer.loadStateDict({ weight: t([3, 2], [1, 2, 3, 4, 5, 6]), bias: t([3], [0.5, -1, 0]) });
  assertClose(layer.forward(t([1, 2], [10, 1])), [12.5, 33, 56]);
});

Deno.test("Bilinear joins two inputs", () => {
  const layer = new nn.Bilinear(2, 2, 1);
  layer.loadStateDict({ weight: t([1, 2, 2], [1, 2, 3, 4]), bias: t([1], [10]) });
  assertClose(layer.forward(t([1, 2], [1, 2]), t([1, 2], [3, 4])), [1 * 3 + 2 * 4 + 2 * (3 * 3 + 4 * 4) + 10]);
});

Deno.test("Embedding picks rows and gives its padding row no gradient", () => {
  const table = new nn.Embedding(3, 2, { paddingIdx: -1 });
  assert.deepEqual(flat(table.weight).slice(4), [0, 0]);
  const y = table.forward(tensor([[0, 2], [0, 1]]));
  assert.deepEqual(y.shape, [2, 2, 2]);
  y.sum().backward();
  assertClose(table.weight.grad ?? zeros([0]), [2, 2, 1, 1, 0, 0]);
  assert.throws(() => new nn.Embedding(3, 2, { paddingIdx: 3 }), RangeError);
});

Deno.test("convolutions agree with sums worked out by hand", () => {
  const conv = new nn.Conv2d(1, 1, 2, { stride: 1, padding: 1, bias: false });
  conv.loadStateDict({ weight: t([1, 1, 2, 2], [1, 2, 3, 4]) });
  assertClose(conv.forward(t([1, 1, 2, 2], [1, 2, 3, 4])), [4, 11, 6, 14, 30, 14, 6, 11, 4]);
  const grouped = new nn.Conv2d(2, 2, 1, { groups: 2, bias: false });
  grouped.loadStateDict({ weight: t([2, 1, 1, 1], [10, 100]) });
  assertClose(grouped.forward(t([1, 2, 1, 1], [1, 2])), [10, 200]);
  const same = new nn.Conv1d(1, 1, 4, { padding: "same", bias: false });
  same.loadStateDict({ weight: t([1, 1, 4], [1, 2, 3, 4]) });
  assertClose(same.forward(t([1, 1, 5], [1, 2, 3, 4, 5])), [20, 30, 40, 26, 14]);
  const transposed = new nn.ConvTranspose2d(1, 1, 2, { stride: 2, bias: false });
  transposed.loadStateDict({ weight: t([1, 1, 2, 2], [1, 2, 3, 4]) });
  assertClose(
    transposed.forward(t([1, 1, 2, 2], [1, 2, 3, 4])),
    [1, 2, 2, 4, 3, 4, 6, 8, 3, 6, 4, 8, 9, 12, 12, 16],
  );
});

Deno.test("Conv3d has the shape and the sum of its window", () => {
  const conv = new nn.Conv3d(1, 1, 2, { bias: false });
  nn.init.ones_(conv.weight);
  const y = conv.forward(sequence([1, 1, 2, 2, 3], (i) => i));
  assert.deepEqual(y.shape, [1, 1, 1, 1, 2]);
  assertClose(y, [0 + 1 + 3 + 4 + 6 + 7 + 9 + 10, 1 + 2 + 4 + 5 + 7 + 8 + 10 + 11]);
});

Deno.test("convolution layers refuse options that do not fit", () => {
  assert.throws(() => new nn.Conv2d(3, 4, 3, { groups: 2 }), /divisible by groups 2/);
  assert.throws(() => new nn.Conv2d(1, 1, 3, { padding: "same", stride: 2 }), /needs stride 1/);
  assert.throws(() => new nn.Conv2d(1, 1, [1, 2, 3]), /2 numbers/);
});

Deno.test("pooling layers take maxima and means", () => {
  const x = t([1, 1, 2, 4], [1, 5, 2, 0, 3, 4, 8, 6]);
  assertClose(new nn.MaxPool2d(2).forward(x), [5, 8]);
  assertClose(new nn.AvgPool2d(2).forward(x), [3.25, 4]);
  assertClose(
    new nn.AvgPool2d(2, { padding: 1, stride: 2, countIncludePad: false }).forward(t([1, 1, 2, 2], [1, 2, 3, 4])),
    [
      1,
      2,
      3,
      4,
    ],
  );
  assertClose(new nn.MaxPool1d(2).forward(t([1, 1, 4], [1, 5, 2, 0])), [5, 2]);
  assertClose(new nn.AvgPool1d(2).forward(t([1, 1, 4], [1, 5, 2, 0])), [3, 1]);
  assertClose(new nn.AdaptiveAvgPool2d(2).forward(sequence([1, 1, 3, 5], (i) => i)), [3.5, 5.5, 8.5, 10.5]);
  assertClose(new nn.AdaptiveAvgPool1d(1).forward(t([1, 1, 3], [1, 2, 6])), [3]);
});

Deno.test("BatchNorm2d normalises by the batch in training and by running statistics in evaluation", () => {
  const norm = new nn.BatchNorm2d(3);
  const x = sequence([2, 3, 2, 2], (i) => i / 10 - 1);
  assertClose(flat(norm.forward(x)).slice(0, 4), [-1.228831, -1.064987, -0.901143, -0.737299]);
  assertClose(norm.runningMean ?? x, [-0.025, 0.015, 0.055]);
  assertClose(norm.runningVar ?? x, [0.942571, 0.942571, 0.942571]);
  assert.equal(norm.numBatchesTracked?.item(), 1);
  norm.eval();
  const scale = 1 / Math.sqrt(0.942571 + 1e-5);
  assertClose([flat(norm.forward(x))[0] ?? 0], [(-1 + 0.025) * scale]);
  assert.equal(norm.numBatchesTracked?.item(), 1);
  assert.throws(() => norm.forward(zeros([2, 3])), /BatchNorm2d: needs 4 dimensions/);
});

Deno.test("BatchNorm without momentum keeps the mean over all batches", () => {
  const norm = new nn.BatchNorm1d(1, { momentum: null });
  norm.forward(t([2, 1], [0, 2]));
  norm.forward(t([2, 1], [4, 6]));
  assertClose(norm.runningMean ?? zeros([0]), [3]);
  const stateless = new nn.BatchNorm1d(1, { trackRunningStats: false, affine: false }).eval();
  assertClose(stateless.forward(t([2, 1], [0, 2])), [-1, 1], 1e-4);
  assert.deepEqual(Object.keys(stateless.stateDict()), []);
});

Deno.test("the other normalisations have mean 0 and variance 1 where they should", () => {
  const x = sequence([2, 4, 2, 2], (i) => Math.sin(i * 1.7) * 3 + 1);
  assertClose(flat(new nn.GroupNorm(3, 3).forward(sequence([2, 3, 2, 2], (i) => i / 10 - 1))).slice(0, 4), [
    -1.341105,
    -0.447035,
    0.447034,
    1.341104,
  ]);
  const layer = flat(new nn.LayerNorm([2, 2]).forward(x)).slice(0, 4);
  assert.ok(Math.abs(layer.reduce((a, b) => a + b, 0)) < 1e-5);
  assert.ok(Math.abs(layer.reduce((a, b) => a + b * b, 0) / 4 - 1) < 1e-3);
  assertClose(flat(new nn.InstanceNorm2d(4).forward(x)).slice(0, 4), layer, 1e-5);
  assertClose(new nn.RMSNorm(2).forward(t([1, 2], [3, 4])), [3 / Math.sqrt(12.5), 4 / Math.sqrt(12.5)]);
  assert.throws(() => new nn.GroupNorm(3, 4), /not divisible/);
});

Deno.test("activation layers compute their formulas", () => {
  const x = t([4], [-2, -0.5, 0.5, 4]);
  const check = (layer: { forward(x: Tensor): Tensor }, fn: (v: number) => number): void =>
    assertClose(layer.forward(x), flat(x).map(fn));
  const sigmoid = (v: number): number => 1 / (1 + Math.exp(-v));
  check(new nn.ReLU(), (v) => Math.max(v, 0));
  check(new nn.Sigmoid(), sigmoid);
  check(new nn.Tanh(), Math.tanh);
  check(new nn.SiLU(), (v) => v * sigmoid(v));
  check(new nn.LeakyReLU(0.1), (v) => v < 0 ? 0.1 * v : v);
  check(new nn.ELU(), (v) => v < 0 ? Math.expm1(v) : v);
  check(new nn.Softplus(), (v) => Math.log1p(Math.exp(v)));
  check(new nn.Hardsigmoid(), (v) => Math.min(Math.max(v + 3, 0), 6) / 6);
  check(new nn.Hardswish(), (v) => v * Math.min(Math.max(v + 3, 0), 6) / 6);
  check(new nn.Mish(), (v) => v * Math.tanh(Math.log1p(Math.exp(v))));
  check(new nn.PReLU(), (v) => v < 0 ? 0.25 * v : v);
  check(
    new nn.GELU({ approximate: "tanh" }),
    (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
  );
  assertClose(new nn.GELU().forward(t([2], [1, -1])), [0.8413447, -0.1586553]);
  const sum = Math.exp(-2) + Math.exp(-0.5) + Math.exp(0.5) + Math.exp(4);
  check(new nn.Softmax(0), (v) => Math.exp(v) / sum);
  check(new nn.LogSoftmax(0), (v) => v - Math.log(sum));
  assertClose(f.relu6(t([2], [7, -1])), [6, 0]);
  assertClose(f.logSigmoid(t([2], [0, -100])), [-Math.LN2, -100]);
  assertClose(f.glu(t([1, 2], [3, 0])), [1.5]);
});

Deno.test("Dropout drops about p, keeps the mean, repeats with the seed, and is the identity in evaluation", () => {
  const layer = new nn.Dropout(0.25);
  const x = t([4000], new Array<number>(4000).fill(1));
  manualSeed(3);
  const y = flat(layer.forward(x));
  const dropped = y.filter((v) => v === 0).length / y.length;
  assert.ok(Math.abs(dropped - 0.25) < 0.03, `${dropped}`);
  assert.ok(y.every((v) => v === 0 || Math.abs(v - 4 / 3) < 1e-6));
  manualSeed(3);
  assert.deepEqual(flat(layer.forward(x)), y);
  assert.equal(layer.eval().forward(x), x);
  assert.ok(flat(f.dropout(x, 1, true)).every((v) => v === 0));
  assert.throws(() => new nn.Dropout(1.5), RangeError);
});

Deno.test("Flatten, Identity, PixelShuffle and ZeroPad2d move elements", () => {
  const x = sequence([1, 4, 1, 2], (i) => i);
  assert.deepEqual(new nn.Flatten().forward(x).shape, [1, 8]);
  assert.equal(new nn.Identity().forward(x), x);
  const shuffled = new nn.PixelShuffle(2).forward(x);
  assert.deepEqual(shuffled.shape, [1, 1, 2, 4]);
  assertClose(shuffled, [0, 2, 1, 3, 4, 6, 5, 7]);
  assertClose(new nn.ZeroPad2d([1, 0, 0, 1]).forward(t([1, 1, 1, 2], [1, 2])), [0, 1, 2, 0, 0, 0]);
  assert.throws(() => f.pixelShuffle(zeros([1, 3, 2, 2]), 2), /pixel_shuffle/);
  assert.throws(() => f.pad(zeros([2]), [1]), /pairs/);
});

Deno.test("Upsample interpolates as PyTorch does", () => {
  const x = t([1, 1, 2, 2], [1, 2, 3, 4]);
  assertClose(new nn.Upsample({ size: 3 }).forward(x), [1, 1, 2, 1, 1, 2, 3, 3, 4]);
  assertClose(
    new nn.Upsample({ scaleFactor: 2, mode: "bilinear" }).forward(x),
    [1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4],
  );
  assertClose(
    new nn.Upsample({ size: 3, mode: "bilinear", alignCorners: true }).forward(x),
    [1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4],
  );
  assert.throws(() => new nn.Upsample({}), /either size or scaleFactor/);
});

Deno.test("losses agree with recorded values of PyTorch", () => {
  const a = t([2, 3], [0.2, 0.5, 0.9, 0.4, 0.1, 0.7]);
  const b = t([2, 3], [0, 1, 0.5, 1, 0, 0.3]);
  const cases: [nn.Module & { forward(a: Tensor, b: Tensor): Tensor }, number][] = [
    [new nn.MSELoss(), 0.163333],
    [new nn.MSELoss({ reduction: "sum" }), 0.98],
    [new nn.L1Loss(), 0.366667],
    [new nn.SmoothL1Loss(), 0.081667],
    [new nn.HuberLoss({ reduction: "sum" }), 0.49],
    [new nn.BCELoss(), 0.68195],
    [new nn.BCEWithLogitsLoss(), 0.702328],
  ];
  for (const [loss, expected] of cases) assertClose(loss.forward(a, b), [expected], 2e-5);
  assertClose(new nn.KLDivLoss({ reduction: "batchmean" }).forward(f.logSoftmax(a, 1), b), [1.114546]);
  const classes = tensor([2, 0]);
  assertClose(new nn.CrossEntropyLoss({ labelSmoothing: 0.1 }).forward(a, classes), [0.969178]);
  assertClose(new nn.CrossEntropyLoss().forward(a, tensor([2, -100])), [0.7733]);
  assertClose(new nn.CrossEntropyLoss({ weight: t([3], [1, 2, 3]) }).forward(a, classes), [0.862073]);
  assertClose(new nn.NLLLoss().forward(f.logSoftmax(a, 1), tensor([2, -100])), [0.7733]);
  assert.deepEqual(f.mseLoss(a, b, { reduction: "none" }).shape, [2, 3]);
  assert.throws(() => new nn.MSELoss({ reduction: "median" as "mean" }), /"median"/);
});

Deno.test("oneHot() and normalize() do what they say", () => {
  assert.deepEqual(flat(f.oneHot(tensor([2, 0]), 3)), [0, 0, 1, 1, 0, 0]);
  assertClose(f.normalize(t([1, 2], [3, 4])), [0.6, 0.8]);
  assertClose(f.normalize(t([1, 2], [3, 1]), { p: 1 }), [0.75, 0.25]);
});

Deno.test("MultiheadAttention agrees with recorded values of PyTorch, with and without masks", () => {
  const attention = new nn.MultiheadAttention(4, 2, { batchFirst: true });
  fillWithSines(attention);
  const x = sequence([2, 3, 4], Math.cos);
  const [padded, weights] = attention.forward(x, x, x, {
    keyPaddingMask: tensor([[false, false, true], [false, false, false]], { dtype: bool }),
    needWeights: true,
  });
  assertClose(flat(padded).slice(0, 4), [2.48284, -3.366776, 0.11134, 0.931415], 1e-4);
  assertClose(flat(weights ?? x).slice(0, 6), [0.058745, 0.941255, 0, 0.979131, 0.020869, 0], 1e-4);
  const causal = [1.155694, -2.553603, 0.375436, -0.227008, 1.135887, -2.439192, 0.245675, -0.171784];
  assertClose(flat(attention.forward(x, x, x, { isCausal: true })[0]).slice(0, 8), causal, 1e-4);
  assertClose(flat(attention.forward(x, x, x, { isCausal: true, needWeights: true })[0]).slice(0, 8), causal, 1e-4);
  const mask = tensor([[false, true, true], [false, false, true], [false, false, false]]);
  assertClose(flat(attention.forward(x, x, x, { attnMask: mask })[0]).slice(0, 8), causal, 1e-4);
  assert.throws(() => attention.forward(zeros([4]), x, x), /3 dimensions/);
});

Deno.test("TransformerEncoderLayer has PyTorch's keys and results", () => {
  const layer = new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 8, dropout: 0, batchFirst: true });
  assert.deepEqual(Object.keys(layer.stateDict()), [
    "self_attn.in_proj_weight",
    "self_attn.in_proj_bias",
    "self_attn.out_proj.weight",
    "self_attn.out_proj.bias",
    "linear1.weight",
    "linear1.bias",
    "linear2.weight",
    "linear2.bias",
    "norm1.weight",
    "norm1.bias",
    "norm2.weight",
    "norm2.bias",
  ]);
  fillWithSines(layer);
  assertClose(
    flat(layer.forward(sequence([2, 3, 4], Math.cos))).slice(0, 8),
    [-1.86126, 0.17481, 0.94978, 1.03904, -1.90821, -0.22796, 0.95139, 0.8348],
    1e-3,
  );
  const first = new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 8, normFirst: true, activation: "gelu" });
  assert.deepEqual(first.forward(randn([3, 2, 4]), { isCausal: true }).shape, [3, 2, 4]);
});

Deno.test("gradients of layers agree with finite differences", () => {
  manualSeed(1);
  const check = (module: nn.Module & { forward(x: Tensor): Tensor }, shape: readonly number[]): void => {
    module.to(float64);
    const own = module.parameters();
    const x = randn(shape, { dtype: float64, requiresGrad: true });
    gradcheck((...inputs) => {
      const [first] = inputs;
      return module.forward(first ?? x);
    }, [x]);
    // Parameters are checked by a directional difference: the module reads them itself.
    for (const p of own) {
      p.grad = null;
      const direction = randn(p.shape, { dtype: float64 });
      module.forward(x).tanh().sum().backward();
      const slope = p.grad === null ? NaN : (p.grad as Tensor).mul(direction).sum().item();
      const at = (h: number): number =>
        noGrad(() => {
          p.add_(direction, { alpha: h });
          const value = module.forward(x).tanh().sum().item();
          p.sub_(direction, { alpha: h });
          return value;
        });
      const difference = (at(1e-5) - at(-1e-5)) / 2e-5;
      assert.ok(
        Math.abs(slope - difference) < 1e-5 * Math.max(1, Math.abs(slope)),
        `${module}: ${slope} and ${difference}`,
      );
    }
  };
  check(new nn.Linear(3, 2), [2, 3]);
  check(new nn.Conv2d(2, 2, 2, { padding: 1, stride: 2 }), [1, 2, 3, 3]);
  check(new nn.LayerNorm(3), [2, 3]);
  check(new nn.BatchNorm1d(2, { trackRunningStats: false }), [4, 2]);
  check(new nn.GroupNorm(1, 2), [2, 2, 2]);
  check(new nn.RMSNorm(3), [2, 3]);
  check(new nn.PReLU(2), [2, 2]);
});

Deno.test("BatchNorm refuses to train on one value a channel", () => {
  assert.throws(() => new nn.BatchNorm1d(3).forward(randn([1, 3])), /more than one value for each channel/);
  assert.deepEqual(new nn.BatchNorm1d(3).eval().forward(randn([1, 3])).shape, [1, 3]);
});

Deno.test("clipGradNorm_() takes one tensor as one parameter", () => {
  const w = tensor([[3, 4]], { dtype: float32 }).requiresGrad_();
  w.mul(w).sum().mul(0.5).backward();
  assert.equal(nn.utils.clipGradNorm_(w, 1).item(), 5);
  assert.ok(Math.abs((w.grad?.norm().item() ?? 0) - 1) < 1e-5);
});

Deno.test("an index out of range names the operator", () => {
  const embedding = new nn.Embedding(3, 2);
  assert.throws(() => embedding.forward(tensor([7])), /^RangeError: embedding: an index is 7, .* has 3 elements/);
});

Deno.test("Conv2d pads by the mode it is given, both ends of an even kernel included", () => {
  const conv = new nn.Conv1d(1, 1, 4, { padding: "same", paddingMode: "circular", bias: false });
  conv.loadStateDict({ weight: t([1, 1, 4], [1, 10, 100, 1000]) });
  assertClose(conv.forward(t([1, 1, 5], [1, 2, 3, 4, 5])), [3215, 4321, 5432, 1543, 2154]);
  const mirrored = new nn.Conv1d(1, 1, 3, { padding: 1, paddingMode: "reflect", bias: false });
  mirrored.loadStateDict({ weight: t([1, 1, 3], [1, 10, 100]) });
  assertClose(mirrored.forward(t([1, 1, 3], [1, 2, 3])), [212, 321, 232]);
  assert.match(String(mirrored), /padding=\(1,\), bias=False, padding_mode=reflect/);
  assert.throws(
    () => new nn.Conv1d(1, 1, 3, { paddingMode: "mirror" as "reflect" }),
    /paddingMode is "mirror": use zeros, reflect, replicate, circular/,
  );
});

Deno.test("Linear refuses integers and says to which dtype to convert", () => {
  assert.throws(() => new nn.Linear(2, 2).forward(tensor([[1, 2]])), /int64 and float32.*convert with \.to\(float32\)/);
});
