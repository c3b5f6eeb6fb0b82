import assert from "node:assert/strict";
import { float64, int64, nn, noGrad, ones, optim, randn, Tensor, tensor, zeros } from "../../mod.ts";
import { flat } from "./support.ts";

class Block extends nn.Module {
  readonly conv1 = new nn.Conv2d(1, 2, 3, { bias: false });
  readonly bn1 = new nn.BatchNorm2d(2);
  scale = nn.parameter(ones([1]));
  readonly note = "not a tensor";
  readonly plain = zeros([3]);
  constructor() {
    super();
    this.registerBuffer("meanPixel", zeros([2]));
    this.registerBuffer("scratch", zeros([2]), { persistent: false });
  }
  override forward(x: Tensor): Tensor {
    return this.bn1.forward(this.conv1.forward(x)).mul(this.scale);
  }
}

Deno.test("stateDict() has PyTorch's keys in PyTorch's order, without plain tensors and non-persistent buffers", () => {
  assert.deepEqual(Object.keys(new Block().stateDict()), [
    "scale",
    "mean_pixel",
    "conv1.weight",
    "bn1.weight",
    "bn1.bias",
    "bn1.running_mean",
    "bn1.running_var",
    "bn1.num_batches_tracked",
  ]);
});

Deno.test("parameters(), buffers(), children() and modules() find what a module owns", () => {
  const block = new Block();
  assert.deepEqual([...block.namedParameters()].map(([n]) => n), ["scale", "conv1.weight", "bn1.weight", "bn1.bias"]);
  assert.deepEqual([...block.namedBuffers()].map(([n]) => n), [
    "mean_pixel",
    "scratch",
    "bn1.running_mean",
    "bn1.running_var",
    "bn1.num_batches_tracked",
  ]);
  assert.deepEqual(block.children(), [block.conv1, block.bn1]);
  assert.equal(block.modules().length, 3);
  assert.equal(block.getSubmodule("bn1"), block.bn1);
  assert.throws(() => block.getSubmodule("bn2"), /no child "bn2".*conv1, bn1/);
});

Deno.test("a parameter shared by two modules is listed once and stays shared by to()", () => {
  const a = new nn.Linear(2, 2);
  const b = new nn.Linear(2, 2);
  b.weight = a.weight;
  const both = new nn.Sequential(a, b);
  assert.equal(both.parameters().length, 3);
  assert.equal(Object.keys(both.stateDict()).length, 4);
  both.to(float64);
  assert.equal(a.weight, b.weight);
  assert.equal(a.weight.dtype, float64);
  assert.ok(nn.isParameter(a.weight) && a.weight.requiresGrad);
});

Deno.test("to(dtype) converts floating point state and leaves counters", () => {
  const norm = new nn.BatchNorm1d(2).to(float64);
  assert.equal(norm.runningMean?.dtype, float64);
  assert.equal(norm.numBatchesTracked?.dtype, int64);
  assert.throws(() => norm.to(int64), /floating point/);
});

Deno.test("loadStateDict() restores what stateDict() saved", () => {
  const a = new Block();
  const b = new Block();
  a.forward(randn([4, 1, 5, 5]));
  const saved = Object.fromEntries(Object.entries(a.stateDict()).map(([k, v]) => [k, v.clone()]));
  assert.deepEqual(b.loadStateDict(saved), { missingKeys: [], unexpectedKeys: [] });
  for (const [key, value] of Object.entries(b.stateDict())) {
    assert.deepEqual(flat(value), flat(saved[key] ?? value), key);
  }
  assert.equal(b.bn1.numBatchesTracked?.item(), 1);
});

Deno.test("loadStateDict() names missing and unexpected keys and wrong shapes, and changes nothing", () => {
  const layer = new nn.Linear(2, 3);
  const before = flat(layer.weight);
  assert.throws(
    () => layer.loadStateDict({ weight: zeros([2, 3]), extra: zeros([1]) }),
    (e: Error) =>
      e instanceof TypeError && /missing keys: bias/.test(e.message) && /unexpected keys: extra/.test(e.message) &&
      /"weight" has shape \[2, 3\], the module needs \[3, 2\]/.test(e.message),
  );
  assert.deepEqual(flat(layer.weight), before);
  const result = layer.loadStateDict({ weight: zeros([3, 2]), extra: zeros([1]) }, { strict: false });
  assert.deepEqual(result, { missingKeys: ["bias"], unexpectedKeys: ["extra"] });
  assert.deepEqual(flat(layer.weight), [0, 0, 0, 0, 0, 0]);
  assert.throws(() => layer.loadStateDict({ weight: zeros([1, 2]) }, { strict: false }), /\[1, 2\]/);
});

Deno.test("train(), eval(), requiresGrad_(), zeroGrad() and apply() reach the whole tree", () => {
  const block = new Block();
  block.eval();
  assert.ok(block.modules().every((m) => !m.training));
  block.train();
  assert.ok(block.bn1.training);
  block.forward(randn([2, 1, 4, 4])).sum().backward();
  assert.ok(block.conv1.weight.grad !== null);
  block.zeroGrad();
  assert.ok(block.parameters().every((p) => p.grad === null));
  block.requiresGrad_(false);
  assert.ok(block.parameters().every((p) => !p.requiresGrad));
  const order: string[] = [];
  block.apply((m) => order.push(m.typeName()));
  assert.deepEqual(order, ["Conv2d", "BatchNorm2d", "Block"]);
});

Deno.test("toString() prints the tree as PyTorch does", () => {
  const net = new nn.Sequential(
    new nn.Conv2d(1, 2, 3),
    new nn.Sequential(new nn.LayerNorm(4), new nn.Dropout(0.5)),
    new nn.MaxPool2d(2),
  );
  assert.equal(
    String(net),
    `Sequential(
  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
  (1): Sequential(
    (0): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    (1): Dropout(p=0.5, inplace=False)
  )
  (2): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
)`,
  );
  const list = new nn.ModuleList<nn.Module>([new nn.Linear(1, 1), new nn.Linear(1, 1), new nn.ReLU()]);
  assert.equal(
    String(list),
    "ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=1, bias=True)\n  (2): ReLU()\n)",
  );
});

Deno.test("containers give their members names, order and bounds", () => {
  const list = new nn.ModuleList([new nn.Linear(1, 2), new nn.Linear(2, 3)]);
  assert.equal(list.at(-1).outFeatures, 3);
  assert.equal(list[0]?.inFeatures, 1);
  assert.throws(() => list.at(2), RangeError);
  const dict = new nn.ModuleDict({ headA: new nn.Linear(1, 1), head_b: new nn.Linear(1, 1) });
  assert.deepEqual(Object.keys(dict.stateDict()), ["headA.weight", "headA.bias", "head_b.weight", "head_b.bias"]);
  assert.throws(() => dict.get("c"), /headA, head_b/);
  const params = new nn.ParameterList([zeros([2]), ones([3])]);
  assert.deepEqual(Object.keys(params.stateDict()), ["0", "1"]);
  assert.equal(params.parameters().length, 2);
});

Deno.test("registerBuffer() refuses a parameter", () => {
  assert.throws(() => new Block().registerBuffer("x", nn.parameter(zeros([1]))), /is a parameter/);
});

Deno.test("a model with a batch norm learns to separate two clouds", () => {
  const net = new nn.Sequential(new nn.Linear(2, 8), new nn.BatchNorm1d(8), new nn.ReLU(), new nn.Linear(8, 2));
  const opt = new optim.SGD(net.parameters(), { lr: 0.2, momentum: 0.9 });
  const x = randn([32, 2]);
  const y = tensor(Array.from({ length: 32 }, (_, i) => i % 2));
  noGrad(() => x.add_(y.unsqueeze(1).to(x.dtype).mul(4)));
  let loss = Infinity;
  for (let i = 0; i < 25; i++) {
    const l = nn.functional.crossEntropy(net.forward(x), y);
    l.backward();
    opt.step();
    opt.zeroGrad();
    loss = l.item();
  }
  assert.ok(loss < 0.1, `loss ${loss}`);
});

Deno.test("clipGradNorm_() scales gradients to the norm and returns the norm before", () => {
  const p = nn.parameter(zeros([2]));
  p.grad = tensor([3, 4]).to(p.dtype);
  const q = nn.parameter(zeros([1]));
  const norm = nn.utils.clipGradNorm_([p, q], 1);
  assert.equal(norm.item(), 5);
  assert.ok(Math.abs((p.grad.at(1).item()) - 0.8) < 1e-5);
  nn.utils.clipGradNorm_([p], 10);
  assert.ok(Math.abs((p.grad.at(1).item()) - 0.8) < 1e-5);
  assert.throws(() => nn.utils.clipGradNorm_([q], 1), /no parameter has a gradient/);
});

Deno.test("parametersToVector() and vectorToParameters() are inverse", () => {
  const layer = new nn.Linear(2, 3);
  const vector = nn.utils.parametersToVector(layer.parameters()).detach().clone();
  assert.deepEqual(vector.shape, [9]);
  const other = new nn.Linear(2, 3);
  nn.utils.vectorToParameters(vector, other.parameters());
  assert.deepEqual(flat(other.weight), flat(layer.weight));
  assert.throws(() => nn.utils.vectorToParameters(zeros([8]), other.parameters()), /vector of 9/);
});
