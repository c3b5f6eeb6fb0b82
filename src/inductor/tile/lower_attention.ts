/**
 * Attention groups to kernels: operands stay loads, so there is nothing to decide but names.
 */
import type { LoopVar } from "../../loops/mod.ts";
import { type Expr, freeSymbols, type Sym } from "../../symbolic/mod.ts";
import type { AttentionGroup } from "../groups.ts";
import { extent } from "./axes.ts";
import { commentOf, nameOf } from "./parameters.ts";
import type { AttentionKernel, AttentionOperand, Axis } from "./tile_ir.ts";

function axis(v: LoopVar): Axis {
  return { symbol: v, extent: extent(v), block: 1, role: "grid" };
}

/** Lowers attention. */
export function lowerAttention(group: AttentionGroup): AttentionKernel {
  const { query, key, value, mask, causal, scale } = group;
  const out: AttentionOperand = { buffer: group.out, index: group.index };
  const batch = group.batch.map(axis);
  const [m, n, d, e] = [axis(group.m), axis(group.n), axis(group.d), axis(group.e)];
  const operands = [query, key, value, ...(mask === null ? [] : [mask])];
  const sizes = new Set<Sym>();
  const exprs: Expr[] = [...operands, out].map((o) => o.index);
  for (const expr of [...exprs, ...[...batch, m, n, d, e].map((a) => a.extent)]) {
    for (const sym of freeSymbols(expr)) if (sym.kind === "size" || sym.kind === "unbacked") sizes.add(sym);
  }
  const plain = ({ buffer, index }: AttentionOperand): AttentionOperand => ({ buffer, index });
  return {
    kind: "attention",
    name: nameOf(group, "attend"),
    reads: [...new Set(operands.map((o) => o.buffer))],
    writes: [group.out],
    sizes: [...sizes].sort((a, b) => a.id - b.id),
    batch,
    m,
    n,
    d,
    e,
    query: plain(query),
    key: plain(key),
    value: plain(value),
    mask: mask === null ? null : plain(mask),
    out,
    causal,
    scale,
    comment: commentOf(group),
  };
}
