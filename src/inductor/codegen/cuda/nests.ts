/**
 * The shape of a tile kernel as threads see it: its passes over reduced axes, and along which axis neighbouring threads should stand.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { constant, constantValue, type Expr, mul } from "../../../symbolic/mod.ts";
import { type Access, guess, vectorScore } from "../../tile/axes.ts";
import { walkStatements } from "../../tile/parameters.ts";
import type { Axis, TileKernel, TileReduceOp, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { isAlignedRun } from "./vectors.ts";

/** A nest of loops as one list of statements over several axes. */
export interface Pass {
  readonly axes: readonly Axis[];
  readonly body: readonly TileStatement[];
}

/** A part of a kernel's body. */
export type Part =
  | { readonly kind: "statements"; readonly body: readonly TileStatement[] }
  | { readonly kind: "pass"; readonly pass: Pass };

/** Cuts a body into passes and what stands between them; null where a nest is not of one piece. */
export function partsOf(body: readonly TileStatement[]): Part[] | null {
  const parts: Part[] = [];
  let plain: TileStatement[] = [];
  for (const s of body) {
    if (s.kind !== "for") {
      plain.push(s);
      continue;
    }
    const pass = flatten(s);
    if (pass === null) return null;
    if (plain.length > 0) parts.push({ kind: "statements", body: plain });
    plain = [];
    parts.push({ kind: "pass", pass });
  }
  if (plain.length > 0) parts.push({ kind: "statements", body: plain });
  return parts;
}

function flatten(s: TileStatement & { readonly kind: "for" }): Pass | null {
  const axes: Axis[] = [];
  const body: TileStatement[] = [];
  let current: TileStatement & { readonly kind: "for" } = s;
  for (;;) {
    axes.push(current.axis);
    const inner: TileStatement[] = current.body.filter((b) => b.kind === "for");
    if (current.body.some((b) => b.kind === "accumulator" || b.kind === "finish")) return null;
    const next: TileStatement | undefined = inner[0];
    if (next === undefined) {
      body.push(...current.body);
      return { axes, body };
    }
    // What stands after an inner loop would run once an inner iteration.
    if (inner.length > 1 || current.body[current.body.length - 1] !== next) return null;
    const before = current.body.slice(0, -1);
    if (before.some((b) => b.kind === "store" || b.kind === "combine" || b.kind === "accumulate" || b.kind === "dot")) {
      return null;
    }
    body.push(...before);
    if (next.kind !== "for") return null;
    current = next;
  }
}

/** The accumulators that a pass combines into, with what they carry. */
export function accumulatorsOf(pass: Pass): Map<TileValue, TileReduceOp> {
  const found = new Map<TileValue, TileReduceOp>();
  for (const s of pass.body) {
    if (s.kind === "accumulate") found.set(s.accumulator, s.op);
    if (s.kind === "dot") found.set(s.accumulator, "sum");
  }
  return found;
}

/** The product of extents. */
export function extentsOf(axes: readonly Axis[]): Expr {
  return axes.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
}

/** Where statements touch memory. */
export function accessesIn(body: readonly TileStatement[]): (Access & { readonly buffer: BufferRef })[] {
  const found: Access[] = [];
  walkStatements(body, (s) => {
    if (s.kind === "load") found.push({ buffer: s.buffer, index: s.index, write: false });
    if (s.kind === "store" || s.kind === "combine") found.push({ buffer: s.buffer, index: s.index, write: true });
  });
  return found;
}

/** The grid axis along which neighbouring threads read and write neighbours in the passes, and how well. */
export function bestColumn(kernel: TileKernel, parts: readonly Part[]): { axis: Axis | null; score: number } {
  const accesses = parts.flatMap((p) => p.kind === "pass" ? accessesIn(p.pass.body) : []);
  let best: Axis | null = null;
  let score = -1;
  for (const axis of kernel.axes) {
    if (axis.role !== "grid") continue;
    const size = guess(axis.extent);
    const own = vectorScore(accesses, axis.symbol) * size / (Math.ceil(size / 32) * 32);
    if (own >= score) {
      best = axis;
      score = own;
    }
  }
  return { axis: best, score };
}

/** How well the innermost reduced axis suits neighbouring threads. */
export function rowScore(parts: readonly Part[]): number {
  let score = 0;
  for (const p of parts) {
    if (p.kind !== "pass") continue;
    const axis = p.pass.axes[p.pass.axes.length - 1];
    if (axis !== undefined) score = Math.max(score, vectorScore(accessesIn(p.pass.body), axis.symbol));
  }
  return score;
}

/** Elements in one vector access along an axis: as many as make 16 bytes of the smallest type, if most accesses are such vectors. */
export function lanesFor(body: readonly TileStatement[], axis: Axis, mayHaveRest: boolean): number {
  const accesses = accessesIn(body);
  const extent = constantValue(axis.extent);
  for (const lanes of [8, 4, 2]) {
    if (extent === null ? !mayHaveRest : extent % lanes !== 0 && !(mayHaveRest && extent > 64)) continue;
    let good = 0;
    let bad = 0;
    let bytes = 16;
    for (const { buffer, index, write } of accesses) {
      if (isAlignedRun(index, axis.symbol, lanes)) {
        good += write ? 2 : 1;
        bytes = Math.min(bytes, buffer.dtype.bytes);
      } else if (vectorScore([{ buffer, index, write }], axis.symbol) < 0.4 || write) bad += write ? 2 : 1;
    }
    if (good > bad && lanes * bytes <= 16) return lanes;
  }
  return 1;
}
