/** What PyTorch's modules refuse (its error inputs of modules), the modules here refuse: when made, or when called, eagerly and compiled, with a message that says what met. */
import assert from "node:assert/strict";
import { compile, F, float16, float32, type Tensor, zeros } from "../../mod.ts";
import { nn } from "../../mod.ts";

const x = (...shape: number[]): Tensor => zeros(shape, { dtype: float32 });
const labels = (n: number, value = 0): Tensor => F.full([n], value);

/** Calls that must raise: what is made is made before. */
const CALLS: Readonly<Record<string, () => () => Tensor | readonly unknown[]>> = {
  "BatchNorm1d, eps -1": () => {
    const m = new nn.BatchNorm1d(10, { eps: -1 });
    return () => m.forward(x(2, 10));
  },
  "BatchNorm2d, eps 0": () => {
    const m = new nn.BatchNorm2d(10, { eps: 0 });
    return () => m.forward(x(2, 10, 5, 5));
  },
  "BatchNorm3d, eps -1": () => {
    const m = new nn.BatchNorm3d(10, { eps: -1 });
    return () => m.forward(x(2, 10, 4, 4, 4));
  },
  "MaxPool2d of a matrix": () => {
    const m = new nn.MaxPool2d(2);
    return () => m.forward(x(3, 4));
  },
  "MaxPool2d of five dimensions": () => {
    const m = new nn.MaxPool2d(2);
    return () => m.forward(x(1, 2, 3, 4, 5));
  },
  "MaxPool2d, padding above half the kernel": () => {
    const m = new nn.MaxPool2d(3, { padding: 5 });
    return () => m.forward(x(1, 1, 10, 10));
  },
  "multiMarginLoss, targets of another batch": () => () => F.multiMarginLoss(x(5, 10), labels(3)),
  "NLLLoss, weights of another dtype": () => {
    const m = new nn.NLLLoss({ weight: zeros([3], { dtype: float16 }) });
    return () => m.forward(x(2, 3), labels(2));
  },
  "CrossEntropyLoss, probabilities that are integers": () => {
    const m = new nn.CrossEntropyLoss();
    return () => m.forward(x(2, 3), F.full([2, 3], 1));
  },
  "CrossEntropyLoss, classes that are floats": () => {
    const m = new nn.CrossEntropyLoss();
    return () => m.forward(x(2, 3), x(2));
  },
  "CrossEntropyLoss, targets of another batch": () => {
    const m = new nn.CrossEntropyLoss();
    return () => m.forward(x(2, 3), labels(3));
  },
  "CrossEntropyLoss, weights of other classes": () => {
    const m = new nn.CrossEntropyLoss({ weight: x(2) });
    return () => m.forward(x(2, 3), labels(2));
  },
  "CrossEntropyLoss, smoothing above 1": () => {
    const m = new nn.CrossEntropyLoss({ labelSmoothing: 1.5 });
    return () => m.forward(x(2, 3), labels(2));
  },
  "CrossEntropyLoss, targets of another length": () => {
    const m = new nn.CrossEntropyLoss();
    return () => m.forward(x(2, 3, 5), F.full([2, 4], 1));
  },
  "Embedding, an index too large": () => {
    const m = new nn.Embedding(10, 3);
    return () => m.forward(labels(3, 10));
  },
  "Embedding, indices that are floats": () => {
    const m = new nn.Embedding(10, 3);
    return () => m.forward(x(2));
  },
  "rnn_tanh_cell, input of another size": () => () => F.rnnTanhCell(x(3, 11), x(3, 20), x(20, 10), x(20, 20)),
  "rnn_relu_cell, state of another size": () => () => F.rnnReluCell(x(3, 10), x(3, 21), x(20, 10), x(20, 20)),
  "gru_cell, state of another batch": () => () => F.gruCell(x(3, 10), x(5, 20), x(60, 10), x(60, 20)),
  "gru_cell, state of four dimensions": () => () => F.gruCell(x(3, 10), x(3, 1, 1, 20), x(60, 10), x(60, 20)),
  "lstm_cell, input of another size": () => () => F.lstmCell(x(3, 11), [x(3, 20), x(3, 20)], x(80, 10), x(80, 20)),
  "lstm_cell, state of another batch": () => () => F.lstmCell(x(3, 10), [x(5, 20), x(5, 20)], x(80, 10), x(80, 20)),
  "LSTM, input of another dtype": () => {
    const m = new nn.LSTM(3, 5);
    return () => m.forward(zeros([2, 4, 3], { dtype: float16 }));
  },
  "GRU, input of another dtype": () => {
    const m = new nn.GRU(3, 5);
    return () => m.forward(zeros([2, 4, 3], { dtype: float16 }));
  },
};

/** Modules that cannot be made. */
const MAKES: Readonly<Record<string, () => unknown>> = {
  "GroupNorm(3, 10)": () => new nn.GroupNorm(3, 10),
  "GroupNorm(5, 13)": () => new nn.GroupNorm(5, 13),
  "Embedding(-1, 3)": () => new nn.Embedding(-1, 3),
  ...Object.fromEntries(
    [nn.LSTM, nn.GRU].flatMap((Kind) =>
      ([[10, 0, 1], [10, 10, 0], [0, 5, 1], [-1, 5, 1], [3.5, 5, 1], [3, 5.5, 1]] as const).map((
        [inputs, hidden, layers],
      ) => [
        `${Kind.name}(${inputs}, ${hidden}, layers ${layers})`,
        () => new Kind(inputs, hidden, { numLayers: layers }),
      ])
    ),
  ),
};

const says = (error: unknown): boolean =>
  (error instanceof TypeError || error instanceof RangeError) && // A kernel of several operators knows the index and the size that met, not whose they were.
  /^[\w.:]+.*: .|^an index is \d+, but the dimension/s.test(error.message) &&
  !/undefined|is not a function|Invalid array/.test(error.message);

for (const [name, make] of Object.entries(MAKES)) {
  Deno.test(`${name} cannot be made`, () => assert.throws(make, says));
}

for (const [name, make] of Object.entries(CALLS)) {
  Deno.test(`${name} is refused`, () => {
    // What is recorded to run later says what is wrong when its result is read.
    const read = (result: Tensor | readonly unknown[]): unknown => "dataSync" in result ? result.dataSync() : result;
    assert.throws(() => read(make()()), says);
    const call = make();
    assert.throws(() => read(compile(() => call(), { options: { tier: "js" } })()), says);
  });
}
