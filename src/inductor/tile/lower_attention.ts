/**
 * Attention groups to kernels: operands stay loads, so there is nothing to decide but names.
 */
import type { LoopVar, Value } from "../../loops/mod.ts";
import { float32 } from "../../core/mod.ts";
import { type Expr, freeSymbols, type Sym } from "../../symbolic/mod.ts";
import { attentionLoads, attentionResults } from "../attention_parts.ts";
import type { AttentionGroup } from "../groups.ts";
import { extent } from "./axes.ts";
import { commentOf, nameOf, parametersOf } from "./parameters.ts";
import { Builder } from "./builder.ts";
import type {
  AttentionKernel,
  AttentionOperand,
  AttentionTileLists,
  Axis,
  ScoreProgram,
  ScorePrograms,
} from "./tile_ir.ts";

function axis(v: LoopVar): Axis {
  return { symbol: v, extent: extent(v), block: 1, role: "grid" };
}

/** What becomes of scores, each value as statements of its own. */
function scorePrograms(group: AttentionGroup, axes: readonly Axis[]): ScorePrograms | null {
  const { scores } = group;
  if (scores === null) return null;
  // All start from the same two values, which the template brings.
  const hole = new Builder(axes);
  const [score, grad] = [hole.external(float32, []), hole.external(float32, [])];
  const program = (value: Value): ScoreProgram => {
    const builder = new Builder(axes);
    builder.forward(scores.score, scores.index, score);
    builder.forward(scores.grad, scores.index, grad);
    const out = builder.value(value);
    return { body: builder.finish(), value: out };
  };
  return {
    score,
    grad,
    change: program(scores.change),
    keep: scores.keep === null ? null : program(scores.keep),
    back: scores.back === null ? null : program(scores.back),
  };
}

/** Lowers attention. */
export function lowerAttention(group: AttentionGroup): AttentionKernel {
  const { role, causal, scale } = group;
  const loads = attentionLoads(group);
  const results = attentionResults(group);
  // Whoever needs no gradient needs no logarithms.
  const second = group.second !== null && group.stored.has(group.second.out) ? group.second : null;
  const batch = group.batch.map(axis);
  const [m, n, d, e] = [axis(group.m), axis(group.n), axis(group.d), axis(group.e)];
  const sizes = new Set<Sym>();
  const exprs: Expr[] = [...loads, ...results].map((o) => o.index);
  for (const expr of [...exprs, ...[...batch, m, n, d, e].map((a) => a.extent)]) {
    for (const sym of freeSymbols(expr)) if (sym.kind === "size" || sym.kind === "unbacked") sizes.add(sym);
  }
  const scores = scorePrograms(group, [...batch, m, n]);
  const bodies = scores === null
    ? []
    : [scores.change, scores.keep, scores.back].flatMap((p) => p === null ? [] : [p.body]);
  for (const sym of parametersOf(bodies, []).sizes) sizes.add(sym);
  const plain = ({ buffer, index }: AttentionOperand): AttentionOperand => ({ buffer, index });
  const perhaps = (o: AttentionOperand | null): AttentionOperand | null => o === null ? null : plain(o);
  return {
    kind: "attention",
    name: nameOf(group, role === "forward" ? "attend" : `attend_${role}`),
    reads: [...new Set(loads.map((o) => o.buffer))],
    writes: [group.out, ...(second === null ? [] : [second.out])],
    sizes: [...sizes].sort((a, b) => a.id - b.id),
    batch,
    m,
    n,
    d,
    e,
    role,
    query: plain(group.query),
    key: plain(group.key),
    value: plain(group.value),
    mask: perhaps(group.mask),
    grad: perhaps(group.grad),
    lse: perhaps(group.lse),
    delta: perhaps(group.delta),
    out: { buffer: group.out, index: group.index },
    second: second === null ? null : { buffer: second.out, index: second.index },
    scores,
    tiles: tileLists(group, plain),
    causal,
    scale,
    comment: commentOf(group),
  };
}

function tileLists(
  { tiles }: AttentionGroup,
  plain: (o: AttentionOperand) => AttentionOperand,
): AttentionTileLists | null {
  if (tiles === null) return null;
  return {
    tile: axis(tiles.tile),
    position: axis(tiles.position),
    partialCount: plain(tiles.partialCount),
    partial: plain(tiles.partial),
    fullCount: plain(tiles.fullCount),
    full: plain(tiles.full),
  };
}
