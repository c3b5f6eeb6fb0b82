/**
 * The kernels of Triton's tutorials, written over blocks: vector addition, softmax, matrix product, layer norm, flash attention.
 *
 * `main.ts` runs them; the tests and the benchmark import them from here. An axis is a name for a dimension: blocks over the same axes are computed on
 * element by element, `sum(axis)` removes one, `addDot` contracts one. Positions outside of an axis do not exist, so no masks are written.
 */
import { kernel } from "../../mod.ts";

/** `x + y`. */
export const vectorAdd = kernel({
  schema: "examples::vector_add(Tensor x, Tensor y) -> Tensor",
  meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  configs: [{ block: 1024 }, { block: 2048 }, { block: 4096, warps: 8 }],
  body: (tile, { x, y, out }, { block }) => {
    const i = tile.grid(x.size(0), block);
    out.store([i], x.load([i]).add(y.load([i])));
  },
});

/** Softmax of each row, which one instance holds. */
export const softmax = kernel({
  schema: "examples::softmax(Tensor x) -> Tensor",
  meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  configs: [{ warps: 4 }, { warps: 8 }, { warps: 16 }],
  body: (tile, { x, out }) => {
    const row = tile.grid(x.size(0));
    const j = tile.range(x.size(1));
    const value = x.load([row, j]);
    const e = value.sub(value.max(j)).exp();
    out.store([row, j], e.div(e.sum(j)));
  },
});

/** `a · b`, summed in float32. */
export const matmul = kernel({
  schema: "examples::matmul(Tensor a, Tensor b) -> Tensor",
  meta: ({ a, b }) => {
    if (a.shape.length !== 2 || b.shape.length !== 2 || a.shape[1] !== b.shape[0]) {
      throw new TypeError(`matmul: needs [m, k] and [k, n], got [${a.shape}] and [${b.shape}]`);
    }
    return { shape: [a.shape[0] ?? 0, b.shape[1] ?? 0], dtype: a.dtype };
  },
  configs: [
    { bm: 64, bn: 64, bk: 32, warps: 4, stages: 3, group: 8 },
    { bm: 128, bn: 128, bk: 32, warps: 4, stages: 4, group: 8 },
    { bm: 128, bn: 128, bk: 64, warps: 8, stages: 4, group: 8 },
    { bm: 128, bn: 256, bk: 64, warps: 8, stages: 4, group: 8 },
    { bm: 256, bn: 128, bk: 64, warps: 8, stages: 4, group: 8 },
  ],
  body: (tile, { a, b, out }, { bm, bn, bk }) => {
    const m = tile.grid(a.size(0), bm);
    const n = tile.grid(b.size(1), bn);
    const sum = tile.variable(0, [m, n]);
    tile.loop(a.size(1), bk, (k) => sum.addDot(a.load([m, k]), b.load([k, n]), k));
    out.store([m, n], sum.value);
  },
});

/** Layer norm over the last of two dimensions. */
export const layerNorm = kernel({
  schema: "examples::layer_norm(Tensor x, Tensor weight, Tensor bias, float eps=1e-5) -> Tensor",
  meta: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  configs: [{ warps: 4 }, { warps: 8 }, { warps: 16 }],
  body: (tile, { x, weight, bias, eps, out }) => {
    const row = tile.grid(x.size(0));
    const j = tile.range(x.size(1));
    const count = Number(x.size(1));
    const value = x.load([row, j]);
    const centered = value.sub(value.sum(j).div(count));
    const variance = centered.mul(centered).sum(j).div(count);
    const normal = centered.mul(variance.add(Number(eps)).rsqrt());
    out.store([row, j], normal.mul(weight.load([j])).add(bias.load([j])));
  },
});

/** Attention of [batch, heads, length, width], without its matrix of scores ever being in memory (Dao, 2023). */
export const flashAttention = kernel({
  schema: "examples::flash_attention(Tensor q, Tensor k, Tensor v, bool causal=False) -> Tensor",
  meta: ({ q }) => ({ shape: q.shape, dtype: q.dtype }),
  configs: [
    { bm: 64, bn: 64, warps: 4, stages: 2 },
    { bm: 128, bn: 64, warps: 8, stages: 2 },
    { bm: 128, bn: 128, warps: 8, stages: 2 },
  ],
  body: (tile, { q, k, v, causal, out }, { bm, bn }) => {
    const [z, h, m] = [tile.grid(q.size(0)), tile.grid(q.size(1)), tile.grid(q.size(2), bm)];
    const d = tile.range(q.size(3));
    const scale = Math.LOG2E / Math.sqrt(Number(q.size(3)));
    const query = q.load([z, h, m, d]);
    const most = tile.variable(-1e30, [m]);
    const total = tile.variable(0, [m]);
    const sum = tile.variable(0, [m, d]);
    tile.loop(k.size(2), bn, (n) => {
      let score = tile.dot(query, k.load([z, h, n, d]), d).mul(scale);
      if (causal === true) score = tile.where(tile.position(m).ge(tile.position(n)), score, -1e30);
      const before = most.value;
      const now = before.maximum(score.max(n));
      const weight = score.sub(now).exp2();
      const keep = before.sub(now).exp2();
      total.set(total.value.mul(keep).add(weight.sum(n)));
      sum.set(sum.value.mul(keep));
      sum.addDot(weight.to(v.dtype), v.load([z, h, n, d]), n);
      most.set(now);
    }, causal === true ? { to: tile.end(m) } : {});
    out.store([z, h, m, d], sum.value.div(total.value));
  },
});
