/** flexAttention() against attention written out, eager and compiled, forward and backward; block masks; what it refuses. */
import assert from "node:assert/strict";
import { arange, compile, F, float32, float64, nn, randn, Tensor, tensor } from "../../mod.ts";

const { createBlockMask, flexAttention } = nn.functional;
type Score = nn.functional.ScoreFunction;

const H = 3, M = 40, N = 56, D = 8;
const slopes = tensor([0.5, 0.25, 0.125]);
const table = randn([H, M + N]);
const documents = arange(0, N, 1).div(16, { roundingMode: "floor" });
const own = arange(0, M, 1).div(12, { roundingMode: "floor" });

const SCORES: Readonly<Record<string, Score>> = {
  "linear biases (ALiBi)": (s, _b, h, q, kv) => s.sub(slopes.index([h]).mul(q.sub(kv).abs())),
  "soft capping": (s) => s.div(5).tanh().mul(5),
  "a table of relative positions": (s, _b, h, q, kv) => s.add(table.index([h, q.sub(kv).add(N)])),
};
const MASKS: Readonly<Record<string, nn.functional.MaskFunction>> = {
  "causal": (_b, _h, q, kv) => q.ge(kv),
  "a sliding window": (_b, _h, q, kv) => q.sub(kv).abs().le(7),
  "documents": (_b, _h, q, kv) => own.index([q]).eq(documents.index([kv])),
};

function inputs(): Tensor[] {
  return [[2, H, M, D], [2, H, N, D], [2, H, N, D]].map((s) => randn(s).requiresGrad_());
}

/** Attention with everything written out, mask and positions as loops over numbers. */
function expected([q, k, v]: readonly Tensor[], score: Score | null, mask: nn.functional.MaskFunction | null): Tensor {
  assert(q !== undefined && k !== undefined && v !== undefined);
  const at = (extent: number, d: number): Tensor =>
    arange(0, extent, 1).reshape([1, 1, 1, 1].map((one, i) => i === d ? extent : one)).expand([2, H, M, N]);
  const [b, h, m, n] = [at(2, 0), at(H, 1), at(M, 2), at(N, 3)];
  let s = q.matmul(k.transpose(2, 3)).div(Math.sqrt(D));
  if (score !== null) s = score(s, b, h, m, n);
  if (mask !== null) s = F.where(mask(b, h, m, n), s, tensor(-1e30));
  const p = s.softmax(-1);
  const seen = mask === null ? p : F.where(mask(b, h, m, n), p, tensor(0));
  return seen.matmul(v);
}

function farthest(x: Tensor, y: Tensor): number {
  return x.to(float32).sub(y.to(float32)).abs().max().item() as number;
}

for (const [name, scoreMod] of [["plain scores", null] as const, ...Object.entries(SCORES)]) {
  for (const [maskName, maskMod] of [["no mask", null] as const, ...Object.entries(MASKS)]) {
    Deno.test(`flexAttention(): ${name}, ${maskName}`, () => {
      const blockMask = maskMod === null ? null : createBlockMask(maskMod, null, null, M, N, { blockSize: 16 });
      const given = inputs();
      const weight = randn([2, H, M, D]);
      const want = expected(given, scoreMod, maskMod);
      want.mul(weight).sum().backward();
      const gradients = given.map((t) => t.grad as Tensor);
      for (const way of ["eager", "compiled"]) {
        const again = given.map((t) => t.detach().requiresGrad_());
        const attend = (q: Tensor, k: Tensor, v: Tensor): Tensor => flexAttention(q, k, v, { scoreMod, blockMask });
        const out = (way === "eager" ? attend : compile(attend))(...again as [Tensor, Tensor, Tensor]);
        assert.ok(farthest(out, want) < 1e-4, way);
        out.mul(weight).sum().backward();
        again.forEach((t, i) => assert.ok(farthest(t.grad as Tensor, gradients[i] as Tensor) < 1e-4, `${way} ${i}`));
      }
    });
  }
}

Deno.test("tensors that a function reads have gradients", () => {
  const [q, k, v] = inputs() as [Tensor, Tensor, Tensor];
  const bias = randn([H, M + N]).requiresGrad_();
  const out = flexAttention(q, k, v, { scoreMod: (s, _b, h, m, n) => s.add(bias.index([h, m.sub(n).add(N)])) });
  out.square().sum().backward();
  const grad = bias.grad as Tensor;
  assert.deepEqual(grad.shape, [H, M + N]);
  // The softmax does not see what is added to a whole row; a table of distances is seen.
  assert.ok((grad.abs().max().item() as number) > 1e-4);
});

Deno.test("grouped heads share keys and values", () => {
  const [q, k, v] = [randn([1, 4, 10, 8]), randn([1, 2, 12, 8]), randn([1, 2, 12, 8])];
  const out = flexAttention(q, k, v, { enableGqa: true });
  const twice = (x: Tensor): Tensor => x.repeatInterleave(2, 1);
  assert.ok(farthest(out, F.scaledDotProductAttention(q, twice(k), twice(v))) < 1e-5);
  assert.throws(() => flexAttention(randn([1, 3, 10, 8]), k, v, { enableGqa: true }), {
    name: "TypeError",
    message: "flexAttention: 3 heads of queries do not divide by 2 of keys",
  });
});

Deno.test("createBlockMask() lists tiles that are seen in part and wholly, both ways around", () => {
  const mask = createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, 64, 48, { blockSize: 16 });
  const [partialCount, partial, fullCount, full] = mask.keys;
  assert.deepEqual(partialCount.toArray(), [[[1, 1, 1, 0]]]);
  assert.deepEqual(fullCount.toArray(), [[[0, 1, 2, 3]]]);
  assert.deepEqual((partial.toArray() as number[][][][])[0]?.[0]?.map((row) => row[0]), [0, 1, 2, 0]);
  assert.deepEqual((full.toArray() as number[][][][])[0]?.[0]?.[3], [0, 1, 2]);
  assert.deepEqual(mask.queries[2].toArray(), [[[3, 2, 1]]]);
  assert.deepEqual((mask.queries[3].toArray() as number[][][][])[0]?.[0]?.[1]?.slice(0, 2), [2, 3]);
  assert.equal(mask.sparsity(), 1 - 9 / 12);
});

Deno.test("flexAttention() names what does not fit", () => {
  const [q, k, v] = inputs() as [Tensor, Tensor, Tensor];
  const blockMask = createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, M, M);
  assert.throws(() => flexAttention(q, k, v, { blockMask }), {
    name: "TypeError",
    message: `flexAttention: the block mask is for [1, 1, ${M}, ${M}], and the scores are [2, ${H}, ${M}, ${N}]`,
  });
  assert.throws(() => flexAttention(q.at(0), k.at(0), v.at(0)), { name: "TypeError", message: /got 3, 3, 3 dim/ });
  assert.throws(() => createBlockMask(() => q, null, null, 0, 4), RangeError);
});

Deno.test("functions that return no tensor, or none of the scores' shape, are refused by name", () => {
  const x = randn([1, 2, 5, 4]);
  const wrong = (result: unknown): Score => (() => result) as unknown as Score;
  assert.throws(() => flexAttention(x, x, x, { scoreMod: wrong(1) }), /scoreMod must return a tensor, got number/);
  assert.throws(
    () => flexAttention(x, x, x, { scoreMod: (s) => s.sum([-1]) }),
    /scoreMod returned \[1, 2, 5\], which does not broadcast to \[1, 2, 5, 5\]/,
  );
  assert.throws(
    () => createBlockMask(wrong(true) as never, null, null, 5, 5),
    /maskMod must return a tensor, got boolean/,
  );
  assert.throws(
    () => createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, 7, 7, { blockSize: 3.5 }),
    /positive and whole/,
  );
});

Deno.test("a compiled function takes block masks of other lengths, each as a graph of its own", () => {
  const f = compile((x: Tensor, blockMask: nn.functional.BlockMask) => flexAttention(x, x, x, { blockMask }), {
    fullgraph: true,
  });
  for (const n of [5, 9, 17]) {
    const x = randn([1, 2, n, 4]);
    const got = f(x, createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, n, n));
    const worst = got.sub(F.scaledDotProductAttention(x, x, x, null, 0, true)).abs().max().item() as number;
    assert.ok(worst < 1e-5, `${n}: ${worst}`);
  }
});

Deno.test("flexAttention() names options, operands and functions that do not fit, and says what to do", () => {
  const x = randn([1, 2, 5, 4]);
  type Options = Parameters<typeof flexAttention>[3];
  const refuses = (message: RegExp, options: unknown, [k, v] = [x, x] as readonly Tensor[]): void =>
    void assert.throws(() => flexAttention(x, k as Tensor, v as Tensor, options as Options), message);
  refuses(/there is no option "blockmask"; there are scoreMod, blockMask/, { blockmask: null });
  refuses(/blockMask is a function: make it with createBlockMask/, { blockMask: () => x });
  refuses(/scoreMod must be a function/, { scoreMod: createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, 5, 5) });
  refuses(/are float32, float64, float32: give them one dtype/, {}, [x.to(float64), x]);
  refuses(/heads are 2 \(query\), 1 \(key\), 1 \(value\): .* enableGqa: true/, {}, [
    randn([1, 1, 5, 4]),
    randn([1, 1, 5, 4]),
  ]);
  refuses(/key and value must have equally many/, {}, [x, randn([1, 1, 5, 4])]);
  refuses(/batches are 1 \(query\), 3 \(key\)/, {}, [randn([3, 2, 5, 4]), randn([3, 2, 5, 4])]);
  refuses(/widths are 4 \(query\), 3 \(key\)/, {}, [randn([1, 2, 5, 3]), x]);
  refuses(/lengths are .* key and value must be equally long/, {}, [x, randn([1, 2, 6, 4])]);
  refuses(/dimensions/, {}, [randn([2, 5, 4]), x]);
  const byOperator = ((_b: number, _h: number, q: number, kv: number) => q > kv) as never;
  assert.throws(() => createBlockMask(byOperator, null, null, 5, 5), /maskMod uses a tensor as a number.* q\.ge\(kv\)/);
  assert.throws(() => createBlockMask(3 as never, null, null, 5, 5), /maskMod is a number: give a function/);
  assert.throws(
    () => createBlockMask((_b, _h, q, kv) => q.ge(kv), null, null, 5, 5, { block: 8 } as never),
    /no option "block"/,
  );
  refuses(/scoreMod uses a tensor as a number/, { scoreMod: (s: never, b: never) => s + b });
});
