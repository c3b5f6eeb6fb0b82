/** Programs that PyTorch exported give PyTorch's results when they are called. */
import assert from "node:assert/strict";
import { float32, int64 } from "../../src/core/mod.ts";
import { Tensor, tensor, tensorFrom } from "../../src/tensor/mod.ts";
import { UnsupportedError } from "../../src/export/mod.ts";
import { changed, makeUnknown } from "./rewrite.ts";
import { assertClose, read, recorded } from "./support.ts";

const range = (shape: number[]): Tensor =>
  tensorFrom(shape, Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (i % 7) - 2.5), float32);

for (const name of ["mlp_dynamic", "dynamic_math", "cond", "loops", "constants", "dtypes", "args", "grad_autocast"]) {
  Deno.test(`callFlat() of ${name} gives PyTorch's results`, async () => {
    const program = await read(name);
    assert.deepEqual(program.problems, []);
    const { inputs, output } = recorded(name);
    const results = program.callFlat(inputs);
    results.forEach((result, i) => {
      const wanted = output(i);
      if (wanted === null) assert.ok(!(result instanceof Tensor), `result ${i}`);
      else {assertClose(
          result,
          wanted,
          `result ${i}`,
          wanted.dtype.bytes === 2 || name === "grad_autocast" ? 2e-2 : 1e-5,
        );}
    });
  });
}

Deno.test("callFlat() writes mutated buffers and inputs back, and sees them in the next call", async () => {
  const program = await read("mutation");
  const { inputs: [input], output } = recorded("mutation");
  assert.ok(input);
  assertClose(program.callFlat([input])[0], output(0) as Tensor, "first call");
  assert.equal(program.attributes.tensor("count").item(), 1);
  const mean = [...program.attributes.tensor("bn.running_mean").dataSync()];
  assert.ok(mean.some((v) => v !== 0), "batch norm did not update its running mean");
  program.callFlat([input]);
  assert.equal(program.attributes.tensor("count").item(), 2);
  // The file itself is untouched: another reading starts from its values.
  assert.equal((await read("mutation")).attributes.tensor("count").item(), 0);
});

Deno.test("call() takes nested arguments and keywords and rebuilds nested results", async () => {
  const program = await read("nested");
  const { inputs: [a, first, k, scale, lo, hi], output } = recorded("nested");
  const kwargs = { pair: { hi, lo }, flag: true, opts: null, scale };
  const result = program.call([a, [first, { k }]], kwargs) as Record<string, unknown>;
  assert.deepEqual(Object.keys(result), ["sum", "list", "none", "od"]);
  assertClose(result["sum"], output(0) as Tensor, "sum");
  assert.equal(result["none"], null);
  const [x, [o]] = result["list"] as [Tensor, [Tensor, Tensor]];
  assertClose(x, output(1) as Tensor, "list[0]");
  assertClose(o, output(2) as Tensor, "list[1][0]");
  assert.deepEqual(Object.keys(result["od"] as object), ["z", "b"]);
  assert.deepEqual(program.inputPaths?.slice(0, 3), ["args[0]", "args[1][0]", "args[1][1].k"]);
  const viaModule = program.module()(a, [first, { k }], kwargs) as Record<string, unknown>;
  assertClose(viaModule["sum"], output(0) as Tensor, "module()");
});

Deno.test("call() names what does not fit the arguments the program was exported with", async () => {
  const program = await read("nested");
  const { inputs: [a, first, k, scale, lo, hi] } = recorded("nested");
  const kwargs = { pair: { lo, hi }, flag: true, opts: null, scale };
  assert.throws(
    () => program.call([a, [first]], kwargs),
    /args, kwargs\]\[0\]\[1\]: needs an array of 2, got an array of 1/,
  );
  assert.throws(
    () => program.call([a, [first, { k }]], { ...kwargs, flag: false }),
    /kwargs\.flag must be true.*got false/,
  );
  assert.throws(() => program.call([a, [first, { k }]], { ...kwargs, extra: 1 }), /no field "extra"/);
  assert.throws(() => program.call([a, [first, { k }]], { flag: true, opts: null, scale }), /field "pair" is missing/);
  assert.throws(() => program.callFlat([]), /takes 6 inputs/);
});

Deno.test("callFlat() runs at other sizes and names the range that is violated", async () => {
  const program = await read("mlp_dynamic");
  for (const n of [2, 5, 64]) assert.deepEqual((program.callFlat([range([n, 4])])[0] as Tensor).shape, [n, 3]);
  assert.throws(() => program.callFlat([range([65, 4])]), /input x: dimension 0 must be 2 to 64.*it is 65/);
  assert.throws(() => program.callFlat([range([1, 4])]), /input x: dimension 0 must be 2 to 64.*it is 1/);
  assert.throws(() => program.callFlat([range([3, 5])]), /input x: dimension 1 must be 4.*it is 5/);
  assert.throws(() => program.callFlat([range([3])]), /other number of dimensions/);
  assert.throws(
    () => program.callFlat([tensor([[1, 2, 3, 4]], { dtype: int64 })]),
    /needs a float32 tensor, got int64/,
  );
});

Deno.test("callFlat() solves for symbols behind expressions and checks what they share", async () => {
  const program = await read("dynamic_math");
  const [sums, half, count, full] = program.callFlat([range([1, 6]), range([2, 6])]) as Tensor[];
  assert.deepEqual([sums?.shape, half?.shape, count?.shape, full?.shape], [[9], [1, 3], [6], [2]]);
  assert.throws(
    () => program.callFlat([range([1, 7]), range([2, 7])]),
    /dimension 1 must be of the form s39\*2, it is 7/,
  );
  assert.throws(
    () => program.callFlat([range([1, 6]), range([2, 8])]),
    /input y: dimension 1 must be s39\*2 = 6, it is 8/,
  );
  assert.throws(() => program.callFlat([range([1, 2]), range([2, 2])]), /must be (2 to 100|4 to 200)/);
});

Deno.test("callFlat() gives sizes that depend on data their values, and checks assertions about them", async () => {
  const program = await read("unbacked");
  const { inputs: [input], output } = recorded("unbacked");
  const [rows, zeros, sum] = program.callFlat([input as Tensor]);
  assertClose(rows, output(0) as Tensor, "nonzero");
  assertClose(zeros, output(1) as Tensor, "zeros");
  assert.equal(sum, 3);
  assert.throws(() => program.callFlat([tensor([0, 0, 0], { dtype: int64 })]), /u0/);
});

Deno.test("running a program with unknown operators lists them with the line of the user's source", async () => {
  const program = await changed("unsupported", makeUnknown);
  const { inputs } = recorded("unsupported");
  assert.throws(() => program.callFlat(inputs), (error: unknown) => {
    assert.ok(error instanceof UnsupportedError);
    assert.match(
      error.message,
      /aten\.not_yet_invented\.default: not in the operator table \(once, at models\.py:\d+\)/,
    );
    assert.match(error.message, /aten\.nor_this\.default/);
    return true;
  });
});
