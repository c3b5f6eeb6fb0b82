/**
 * Algorithms on "cuda", on an emulated device, against the reference executor for random sizes and data: sorts and selections of any shape, groups and sequences whose ends change
 * from call to call of one compiled function.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { compile, F, float16, float32, int64, nn, randn, type Tensor, tensor } from "../../../mod.ts";
import { referenceBackend } from "../../../src/tensor/reference.ts";
import { withEagerBackend } from "../../../src/tensor/mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

/** What the reference executor gives. */
function expected(fn: () => Tensor): Tensor {
  return withEagerBackend(referenceBackend, fn);
}

function near(got: Tensor, want: Tensor, tolerance: number): void {
  const error = got.cpu().to(float32).sub(want.to(float32)).abs().max().item() as number;
  assert.ok(error <= tolerance, `differs by ${error}`);
}

cudaTest("sorts and selections of random shapes", () => {
  const shapes = fc.tuple(
    fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 2 }),
    fc.integer({ min: 1, max: 700 }),
    fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 2 }),
    fc.boolean(),
    fc.nat(),
  );
  fc.assert(
    fc.property(shapes, ([before, length, after, down, some]) => {
      const shape = [...before, length, ...after], axis = before.length;
      // Halves of few distinct values: many are equal.
      const x = randn(shape).mul(8).round().to(float16);
      const k = some % length + 1;
      // Which of equal elements topk() selects, and so which zero, is each device's own order.
      const run = (t: Tensor): readonly Tensor[] => {
        const [values, places] = t.topk(k, axis, down);
        return [
          ...t.sort(axis, down),
          values.add(0),
          t.gather(axis, places).add(0),
          places.sort(axis)[0].diff(1, axis).eq(0).any(),
        ];
      };
      const want = run(x);
      // Both in one module, which is compiled once.
      compile(run)(x.cuda()).forEach((t, i) =>
        assert.deepEqual(t.cpu().toArray(), want[i]?.toArray(), `${shape} ${axis} ${i}`)
      );
    }),
    { numRuns: 12, seed: 7 },
  );
});

/** `count` rising ends of parts of `total` rows. */
function ends(count: number, total: number): fc.Arbitrary<number[]> {
  return fc.array(fc.integer({ min: 0, max: total }), { minLength: count, maxLength: count }).map((all) =>
    all.sort((a, b) => a - b)
  );
}

cudaTest("groups that end anywhere, in one compiled function", () => {
  const run = compile((x: Tensor, w: Tensor, offs: Tensor) => F._groupedMm(x, w, offs));
  const [x, w] = [randn([150, 24]).to(float16), randn([4, 24, 40]).to(float16)];
  const [there, matrices] = [x.cuda(), w.cuda()];
  fc.assert(
    fc.property(ends(4, 150), (offs) => {
      const want = expected(() => F._groupedMm(x.to(float32), w.to(float32), tensor(offs)));
      near(run(there, matrices, tensor(offs).cuda()), want, 0.03);
    }),
    { numRuns: 8, seed: 11 },
  );
});

cudaTest("sequences that end anywhere, in one compiled function", () => {
  const { raggedAttention } = nn.functional;
  const run = compile((q: Tensor, k: Tensor, queryOffsets: Tensor, keyOffsets: Tensor) =>
    raggedAttention(q, k, k, { queryOffsets, keyOffsets, causal: true, window: [30, null] })
  );
  const [q, k] = [randn([90, 4, 16]).to(float16), randn([140, 2, 16]).to(float16)];
  const [there, keys] = [q.cuda(), k.cuda()];
  fc.assert(
    fc.property(ends(4, 90), ends(4, 140), (qo, ko) => {
      const [a, b] = [tensor(qo, { dtype: int64 }), tensor(ko, { dtype: int64 })];
      const options = { queryOffsets: a, keyOffsets: b, causal: true, window: [30, null] } as const;
      const wide = k.to(float32);
      const want = expected(() => raggedAttention(q.to(float32), wide, wide, options));
      near(run(there, keys, a.cuda(), b.cuda()), want, 0.005);
    }),
    { numRuns: 8, seed: 13 },
  );
});
