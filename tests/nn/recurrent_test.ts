import assert from "node:assert/strict";
import { compile, nn, noGrad, type Tensor, tensor, zeros } from "../../mod.ts";
import { assertClose, flat, sequence, t } from "./support.ts";

/** Sets every parameter to sin(i + its number), as was done in PyTorch. */
function fillWithSines(module: nn.Module): void {
  module.parameters().forEach((p, n) => noGrad(() => p.copy_(sequence(p.shape.map(Number), (i) => Math.sin(i + n)))));
}

Deno.test("LSTM with two layers in both directions computes what PyTorch does, eagerly and compiled", () => {
  const lstm = new nn.LSTM(2, 2, { numLayers: 2, bidirectional: true, batchFirst: true });
  fillWithSines(lstm);
  const x = sequence([1, 3, 2], Math.cos);
  const expected = {
    // deno-fmt-ignore
    y: [0.0501058, 0.00337239, 0.048812, 0.393362, 0.0572969, 0.00766633, 0.0427033, 0.373546, 0.0859982, 0.0144514, -0.143252, 0.370387],
    h: [-0.146675, 0.100574, -0.513923, -0.363506, 0.0859982, 0.0144514, 0.048812, 0.393362],
    c: [-0.169445, 0.299654, -1.62771, -0.877004, 0.340628, 0.16487, 0.0686032, 0.476402],
    // deno-fmt-ignore
    grad: [0.0387837, 0.0309905, 1.47882e-05, 0.00702633, -0.0198543, -0.051992, 0.0154697, 0.00878988, -0.293723, -0.102352, -0.152578, -0.0850012, 0.0171792, 0.00429821, 0.0274329, 0.011311],
  };
  const plain = (input: Tensor): [Tensor, Tensor, Tensor] => {
    const [y, [h, c]] = lstm.forward(input);
    return [y, h, c];
  };
  for (const call of [plain, compile(plain, { fullgraph: true, options: { tier: "js" } })]) {
    lstm.zeroGrad();
    const [y, h, c] = call(x);
    assertClose(y, expected.y);
    assertClose(h, expected.h);
    assertClose(c, expected.c);
    y.sum().backward();
    const grad = Object.fromEntries(lstm.namedParameters())["weight_ih_l0"]?.grad;
    assertClose(grad ?? zeros([0]), expected.grad);
  }
});

Deno.test("LSTM goes on from a given state", () => {
  const lstm = new nn.LSTM(2, 3);
  const x = sequence([4, 1, 2], Math.cos);
  const [whole] = lstm.forward(x);
  const [, state] = lstm.forward(x.narrow(0, 0, 2));
  const [rest] = lstm.forward(x.narrow(0, 2, 2), state);
  assertClose(rest, flat(whole.narrow(0, 2, 2)));
});

Deno.test("recurrent layers have PyTorch's keys, text and errors", () => {
  const lstm = new nn.LSTM(2, 2, { numLayers: 2, bidirectional: true, batchFirst: true });
  assert.deepEqual(
    Object.keys(lstm.stateDict()),
    ["_l0", "_l0_reverse", "_l1", "_l1_reverse"].flatMap((end) =>
      ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map((name) => name + end)
    ),
  );
  assert.equal(String(lstm), "LSTM(2, 2, num_layers=2, batch_first=True, bidirectional=True)");
  assert.equal(String(new nn.GRU(2, 3, { bias: false })), "GRU(2, 3, bias=False)");
  assert.throws(() => lstm.forward(zeros([1, 3, 5])), /LSTM: needs \[batch, sequence, 2\], got \[1, 3, 5\]/);
  assert.throws(() => new nn.GRU(2, 3, { numLayers: 0 }), RangeError);
});

Deno.test("GRU without biases computes what PyTorch does", () => {
  const gru = new nn.GRU(2, 3, { bias: false });
  fillWithSines(gru);
  const [y, h] = gru.forward(sequence([2, 1, 2], Math.cos));
  assertClose(y, [-0.144352, 0.200019, -0.499297, -0.215365, -0.487018, -0.272546]);
  assertClose(h, [-0.215365, -0.487018, -0.272546]);
});

Deno.test("EmbeddingBag joins rows by sum, mean and maximum, from a matrix or from runs, also empty ones", () => {
  const rows = [[1, -1], [10, -20], [4, 8]];
  const make = (mode: nn.BagMode): nn.EmbeddingBag => {
    const bag = new nn.EmbeddingBag(3, 2, { mode });
    bag.loadStateDict({ weight: t([3, 2], rows.flat()) });
    return bag;
  };
  const [matrix, list, offsets] = [tensor([[0, 1], [2, 2]]), tensor([0, 1, 2]), tensor([0, 2, 2])];
  for (
    const [mode, whole, runs] of [
      ["sum", [11, -21, 8, 16], [11, -21, 0, 0, 4, 8]],
      ["mean", [5.5, -10.5, 4, 8], [5.5, -10.5, 0, 0, 4, 8]],
      ["max", [10, -1, 4, 8], [10, -1, 0, 0, 4, 8]],
    ] as const
  ) {
    const bag = make(mode);
    assertClose(bag.forward(matrix), whole);
    assertClose(bag.forward(list, offsets), runs);
    bag.forward(list, offsets).sum().backward();
    const share = mode === "mean" ? 0.5 : 1;
    const winners = mode === "max" ? [0, 1, 1, 0, 1, 1] : [share, share, share, share, 1, 1];
    assertClose(bag.weight.grad ?? zeros([0]), winners);
  }
  assertClose(make("sum").forward(matrix, null, t([2, 2], [2, 1, 0, 1])), [12, -22, 4, 8]);
});

Deno.test("EmbeddingBag says what does not fit", () => {
  const bag = new nn.EmbeddingBag(3, 2);
  assert.equal(String(bag), "EmbeddingBag(3, 2, mode='mean')");
  assert.throws(() => bag.forward(tensor([0, 1])), /indices \[n\] and offsets/);
  assert.throws(() => bag.forward(tensor([[0]]), null, t([1, 1], [1])), /perSampleWeights need mode "sum"/);
  assert.throws(() => new nn.EmbeddingBag(3, 2, { mode: "median" as nn.BagMode }), /mode is "median"/);
});
