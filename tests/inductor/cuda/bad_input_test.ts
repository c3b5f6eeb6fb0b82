/** What a user meets who gives wrong data on a CUDA device: the message names the operator, and where it can the line of the program. */
import assert from "node:assert/strict";
import { compile, nn, randn, type Tensor, tensor } from "../../../mod.ts";
import { assertClose, cudaTest } from "../../helpers/cuda_test.ts";

const on = { device: "cuda" } as const;
const numbers = (...values: number[]): Tensor => tensor(values, on);

cudaTest("a wrong target on the device is named as the loss's, with the classes there are", () => {
  const scores = randn([2, 4], on);
  assert.throws(
    () => nn.functional.crossEntropy(scores, numbers(1, 9)).item(),
    /^RangeError: cross_entropy: a target is 9, but there are 4 classes, 0 to 3; correct the targets/,
  );
});

cudaTest(
  "a compiled function's wrong index is reported with the operators and the line of the kernel that met it",
  () => {
    const table = randn([4, 4], on);
    const f = compile((i: Tensor, w: Tensor): Tensor => nn.functional.embedding(i, w).mul(2));
    const good = f(numbers(1, 3), table);
    assertClose(good.cpu(), table.cpu().indexSelect(0, tensor([1, 3])).mul(2));
    assert.throws(
      () => f(numbers(1, 9), table).toArray(),
      /^RangeError: embedding \+ mul at \S*bad_input_test\.ts:\d+:\d+: an index is 9, but the dimension it selects from has 4/,
    );
    // The device goes on.
    assertClose(f(numbers(1, 3), table).cpu(), good.cpu());
  },
);

cudaTest("of several kernels that take indices, each is named", () => {
  const f = compile((x: Tensor, i: Tensor): Tensor => {
    const y = x.indexSelect(0, i).softmax(1).matmul(x);
    return y.gather(1, i.unsqueeze(1));
  });
  const x = randn([4, 4], on);
  assert.throws(
    () => f(x, numbers(0, 5)).toArray(),
    /^RangeError: index_select\b.* at \S+:\d+:\d+, or gather at \S+:\d+:\d+: an index is 5, but /,
  );
});

cudaTest("tensors on several devices are refused before anything runs, with what to call", () => {
  const [there, here] = [randn([4, 4], on), randn([4, 4])];
  const layer = new nn.Linear(4, 4);
  const add = (x: Tensor, y: Tensor): Tensor => x.add(y);
  const calls: readonly (() => unknown)[] = [
    () => there.add(here),
    () => compile(add)(there, here),
    () => layer.forward(there),
    () => compile((x: Tensor): Tensor => layer.forward(x))(there),
    () => there.indexSelect(0, tensor([1, 2])),
  ];
  for (const call of calls) {
    assert.throws(
      call,
      /^TypeError: \w+: tensors are on cuda:0 and cpu; move them to one device with \.to\("cuda:0"\)/,
    );
  }
  const beyond = { device: "cuda:77" };
  assert.throws(() => randn([2], beyond), /^RangeError: device "cuda:77" does not exist: use cuda:0/);
});
