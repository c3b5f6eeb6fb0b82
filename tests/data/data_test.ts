import assert from "node:assert/strict";
import { arange, data, Generator, type Tensor, zeros } from "../../mod.ts";
import { flat } from "../nn/support.ts";

function set(n: number): data.TensorDataset {
  return new data.TensorDataset(arange(n).reshape([n, 1]), arange(n).mul(10));
}

const first = (batch: readonly Tensor[]): number[] => batch[0] === undefined ? [] : flat(batch[0]);

Deno.test("TensorDataset gives rows and checks lengths and indices", () => {
  const items = set(3);
  assert.deepEqual(items.get(-1).map(flat), [[2], [20]]);
  assert.throws(() => items.get(3), /item 3 is outside 3 items/);
  assert.throws(() => items.batch([0, 5]), RangeError);
  assert.throws(() => new data.TensorDataset(zeros([2]), zeros([3])), /equal length.*\[2\].*\[3\]/);
});

Deno.test("DataLoader gives all items once, in order, the last batch short or left out", () => {
  const batches = [...new data.DataLoader(set(5), { batchSize: 2 })];
  assert.deepEqual(batches.map(first), [[0, 1], [2, 3], [4]]);
  assert.deepEqual(flat(batches[1]?.[1] ?? zeros([0])), [20, 30]);
  const loader = new data.DataLoader(set(5), { batchSize: 2, dropLast: true });
  assert.equal(loader.length, 2);
  assert.equal([...loader].length, 2);
  assert.throws(() => new data.DataLoader(set(5), { batchSize: 0 }), RangeError);
});

Deno.test("a shuffled DataLoader gives a new order each time, the same for the same seed", () => {
  const orders = (seed: number): number[][] => {
    const loader = new data.DataLoader(set(20), { batchSize: 20, shuffle: true, generator: new Generator(seed) });
    return [...loader, ...loader].map(first);
  };
  const [a = [], b = []] = orders(1);
  assert.notDeepEqual(a, b);
  assert.deepEqual([...a].sort((x, y) => x - y), Array.from({ length: 20 }, (_, i) => i));
  assert.deepEqual(orders(1), [a, b]);
  assert.notDeepEqual(orders(2)[0], a);
});

Deno.test("DataLoader iterates asynchronously and stacks items of a data set without batch()", async () => {
  const squares: data.Dataset = { length: 3, get: (i) => [arange(i * i, i * i + 2)] };
  const seen: number[][] = [];
  for await (const batch of new data.DataLoader(squares, { batchSize: 2 })) seen.push(first(batch));
  assert.deepEqual(seen, [[0, 1, 1, 2], [4, 5]]);
});

Deno.test("Subset picks items of another data set", () => {
  const some = new data.Subset(set(6), [5, 3, 1]);
  assert.deepEqual([...new data.DataLoader(some, { batchSize: 2 })].map(first), [[5, 3], [1]]);
});

Deno.test("loadDigits() reads all 10,000 digits, splits them without overlap, the same for the same seed", async () => {
  const { train, test } = await data.loadDigits();
  assert.deepEqual(train.images.shape, [8000, 1, 28, 28]);
  assert.deepEqual(test.labels.shape, [2000]);
  const counts = new Array<number>(10).fill(0);
  for (const label of [...flat(train.labels), ...flat(test.labels)]) counts[label] = (counts[label] ?? 0) + 1;
  assert.deepEqual(counts, [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]);
  const pixels = train.images.dataSync() as Float32Array;
  assert.ok(pixels.every((v) => v >= 0 && v <= 1));
  assert.ok(pixels.reduce((a, b) => a + b, 0) / pixels.length > 0.1);
  const images = (t: Tensor): string[] => {
    const values = t.dataSync() as Float32Array;
    return Array.from({ length: values.length / 784 }, (_, i) => values.subarray(i * 784, (i + 1) * 784).join());
  };
  const known = new Set(images(train.images));
  assert.equal(known.size, 8000);
  assert.ok(images(test.images).every((image) => !known.has(image)));
  const again = await data.loadDigits({ train: 10 });
  assert.deepEqual(flat(again.train.labels), flat(train.labels.narrow(0, 0, 10)));
  await assert.rejects(data.loadDigits({ train: 10_000 }), /between 1 and 9999/);
});
