/**
 * raggedAttention() and pagedAttention() on "cuda", on an emulated device: what each sequence gives alone on the CPU, compiled and eagerly; generation with a cache
 * of pages; gradients.
 */
import assert from "node:assert/strict";
import {
  bfloat16,
  compile,
  explain,
  F,
  float16,
  float32,
  nn,
  randn,
  type Tensor,
  tensor,
  zeros,
} from "../../../mod.ts";
import { cudaTest } from "../../helpers/cuda_test.ts";

const { pagedAttention, raggedAttention } = nn.functional;

function farthest(x: Tensor, y: Tensor): number {
  return x.cpu().to(float32).sub(y.cpu().to(float32)).abs().max().item() as number;
}

/** Attention of one sequence: [rows, heads, width]. */
function alone(q: Tensor, k: Tensor, v: Tensor, causal: boolean): Tensor {
  const heads = (t: Tensor): Tensor => t.transpose(0, 1).to(float32);
  const [m, n] = [Number(q.shape[0]), Number(k.shape[0])];
  const keep = tensor(
    Array.from({ length: m }, (_, i) => Array.from({ length: n }, (_, j) => !causal || j <= n - m + i)),
  );
  return F.scaledDotProductAttention(heads(q), heads(k), heads(v), keep, 0, false, { enableGqa: true }).transpose(0, 1);
}

const LENGTHS = [5, 90, 1, 34];
const STARTS = [0, 5, 95, 96, 130];

cudaTest("raggedAttention() is each sequence's attention", () => {
  const [q, k, v] = [4, 2, 2].map((heads) => randn([130, heads, 32]).to(float16)) as [Tensor, Tensor, Tensor];
  const queryOffsets = tensor(STARTS);
  const on = queryOffsets.cuda();
  const run = (x: Tensor, y: Tensor, z: Tensor): Tensor => raggedAttention(x, y, z, { queryOffsets: on, causal: true });
  const there = [q, k, v].map((t) => t.cuda()) as [Tensor, Tensor, Tensor];
  const results = [run(...there), compile(run)(...there), raggedAttention(q, k, v, { queryOffsets, causal: true })];
  LENGTHS.forEach((n, b) => {
    const part = (t: Tensor): Tensor => t.narrow(0, STARTS[b] ?? 0, n);
    const want = alone(part(q), part(k), part(v), true);
    results.forEach((out, i) => assert.ok(farthest(part(out), want) < 0.004, `sequence ${b}, way ${i}`));
  });
  assert.deepEqual(explain(run)(...there).fallbacks, []);
});

cudaTest(
  "raggedAttention() of long sequences: windows, shared heads, and keys of others behind a sequence's own",
  () => {
    const starts = [3, 300, 301, 560, 640], total = 650;
    const queryOffsets = tensor(starts);
    const cases = [
      { heads: 1, shared: 1, width: 64, window: [null, 0] },
      { heads: 4, shared: 2, width: 40, window: [200, 0] },
      { heads: 2, shared: 1, width: 128, window: [70, 150] },
      { heads: 1, shared: 1, width: 128, window: [null, null] },
    ] as const;
    for (const { heads, shared, width, window } of cases) {
      const [q, k, v] = [heads, shared, shared].map((h) => randn([total, h, width]).to(bfloat16)) as [
        Tensor,
        Tensor,
        Tensor,
      ];
      // What belongs to no sequence, and to the next one, must not leak by 0 · NaN.
      for (const t of [k, v]) t.narrow(0, 640, 10).fill_(NaN);
      v.narrow(0, 300, 1).fill_(NaN);
      const run = (x: Tensor, y: Tensor, z: Tensor, queryOffsets: Tensor): Tensor =>
        raggedAttention(x, y, z, { queryOffsets, window });
      const there = [q, k, v].map((t) => t.cuda()) as [Tensor, Tensor, Tensor];
      const got = compile(run)(...there, queryOffsets.cuda()).cpu();
      for (const [from, to] of [[3, 300], [301, 560], [560, 640]] as const) {
        const part = (t: Tensor): Tensor => t.narrow(0, from, to - from);
        const own = run(part(q).to(float32), part(k).to(float32), part(v).to(float32), tensor([0, to - from]));
        assert.ok(
          farthest(part(got), own) < 0.03,
          `${heads} heads of ${width}, rows ${from} to ${to}: ${farthest(part(got), own)}`,
        );
      }
      assert.equal(farthest(got.narrow(0, 640, 10), zeros([10, heads, width])), 0);
    }
  },
);

cudaTest("raggedAttention() has gradients", () => {
  const step = (q: Tensor, offsets: Tensor): Tensor => {
    raggedAttention(q, q, q, { queryOffsets: offsets, causal: true, window: [20, null] }).to(float32).mul(q).sum()
      .backward();
    return q.grad as Tensor;
  };
  const q = randn([40, 2, 16]);
  const want = step(q.clone().requiresGrad_(), tensor([0, 15, 40]));
  const got = compile(step)(q.to(float16).cuda().requiresGrad_(), tensor([0, 15, 40]).cuda());
  assert.ok(farthest(got, want) < 0.05, `${farthest(got, want)}`);
});

cudaTest("pagedAttention() while sequences grow, in one compiled function", () => {
  const [heads, shared, width, page] = [4, 2, 16, 8];
  const pages = [9, 4, 7, 2, 0, 1, 3, 8];
  const table = tensor([pages.slice(0, 4), pages.slice(4)]).cuda();
  const [keys, values] = [0, 1].map(() => zeros([10, page, shared, width], { dtype: float16, device: "cuda" })) as [
    Tensor,
    Tensor,
  ];
  const past: { k: Tensor; v: Tensor }[] = [];
  const attend = compile((q: Tensor, lengths: Tensor) => pagedAttention(q, keys, values, { table, lengths }));
  for (let t = 0; t < 20; t++) {
    const [q, k, v] = [heads, shared, shared].map((h) => randn([2, h, width]).to(float16)) as [Tensor, Tensor, Tensor];
    past.push({ k, v });
    [k, v].forEach((row, i) => {
      const to = i === 0 ? keys : values;
      for (const b of [0, 1]) {
        to.select(0, pages[b * 4 + Math.floor(t / page)] ?? 0).select(0, t % page).copy_(row.select(0, b).cuda());
      }
    });
    const out = attend(q.cuda(), tensor([t + 1, t + 1]).cuda());
    if (t % 6 !== 1) continue;
    for (const b of [0, 1]) {
      const stack = (of: "k" | "v"): Tensor => F.cat(past.map((p) => p[of].select(0, b).unsqueeze(0)));
      const want = alone(q.narrow(0, b, 1), stack("k"), stack("v"), true);
      assert.ok(farthest(out.narrow(0, b, 1), want) < 0.004, `step ${t}, sequence ${b}`);
    }
  }
});

cudaTest("pagedAttention() reports a page that there is not", () => {
  const [keys, q] = [randn([3, 8, 1, 16]).to(float16).cuda(), randn([1, 1, 16]).to(float16).cuda()];
  const given = { table: tensor([[1, 3]]).cuda(), lengths: tensor([12]).cuda() };
  assert.throws(() => pagedAttention(q, keys, keys, given).cpu(), /an index is 3, but the dimension .* 3/);
});

Deno.test("pagedAttention() and raggedAttention() name what does not fit", () => {
  const q = randn([2, 4, 16]), k = randn([3, 8, 3, 16]);
  const table = tensor([[1, 2], [0, 0]]), lengths = tensor([12, 3]);
  assert.throws(() => pagedAttention(q, k, k, { table, lengths }), /4 heads of queries cannot share 3 heads of keys/);
  const pages = randn([3, 8, 2, 16]);
  assert.throws(
    () => pagedAttention(q, pages, pages, { table, lengths: tensor([1]) }),
    /2 sequences of queries need 2 lengths/,
  );
  assert.throws(
    () => raggedAttention(q, q, q, { queryOffsets: tensor([0, 2]), window: [-1, null] }),
    /window is \[-1, null\]: needs counts of keys/,
  );
  assert.throws(
    () => raggedAttention(q, pages, pages, { queryOffsets: tensor([0, 2]) }),
    /needs queries \[rows, heads, width\]/,
  );
});
