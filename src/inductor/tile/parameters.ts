/**
 * What a kernel takes: the buffers and sizes that its statements mention, and its name.
 */
import type { BufferRef } from "../../loops/mod.ts";
import { type Expr, freeSymbols, type Sym } from "../../symbolic/mod.ts";
import type { Group } from "../groups.ts";
import type { Axis, TileStatement, TileValue } from "./tile_ir.ts";

/** Every expression of a statement, without its body's. */
export function statementExprs(s: TileStatement): readonly Expr[] {
  switch (s.kind) {
    case "index":
      return [s.expr];
    case "bind":
      return [s.size];
    case "load":
    case "store":
    case "combine":
    case "accumulateAt":
    case "finishAt":
      return [s.index];
    case "accumulators":
      return [s.size];
    case "accumulate":
      return s.position === null ? [] : [s.position];
    case "for":
      return [s.axis.extent];
    case "constant":
    case "pointwise":
    case "cast":
    case "bitcast":
    case "lookup":
    case "philox":
    case "accumulator":
    case "dot":
    case "finish":
      return [];
    default:
      return s satisfies never;
  }
}

/** Operands of a statement. */
export function operandsOf(s: TileStatement): readonly (TileValue | null)[] {
  switch (s.kind) {
    case "bind":
      return [s.value, s.mask];
    case "load":
      return [s.mask];
    case "store":
    case "combine":
      return [s.value];
    case "pointwise":
      return s.args;
    case "cast":
    case "bitcast":
      return [s.arg];
    case "lookup":
      return [s.at];
    case "philox":
      return [s.seed, s.stream, s.position];
    case "accumulate":
      return [s.value];
    case "dot":
      return [s.a, s.b];
    case "accumulateAt":
      return [s.value];
    case "constant":
    case "index":
    case "accumulator":
    case "accumulators":
    case "finishAt":
    case "finish":
    case "for":
      return [];
    default:
      return s satisfies never;
  }
}

/** Calls `visit` for every statement, those in loops too. */
export function walkStatements(body: readonly TileStatement[], visit: (s: TileStatement) => void): void {
  for (const s of body) {
    visit(s);
    if (s.kind === "for") walkStatements(s.body, visit);
  }
}

/** Where statements touch memory. */
export function exprsOfStatements(body: readonly TileStatement[]): { readonly index: Expr }[] {
  const found: { readonly index: Expr }[] = [];
  walkStatements(body, (s) => {
    if (s.kind === "load" || s.kind === "store" || s.kind === "combine") found.push(s);
  });
  return found;
}

/** Buffers and sizes that statements and axes mention. */
export function parametersOf(
  bodies: readonly (readonly TileStatement[])[],
  axes: readonly Axis[],
): { reads: BufferRef[]; writes: BufferRef[]; sizes: Sym[] } {
  const reads = new Set<BufferRef>();
  const writes = new Set<BufferRef>();
  const sizes = new Set<Sym>();
  const addSizes = (e: Expr): void => {
    for (const sym of freeSymbols(e)) if (sym.kind === "size" || sym.kind === "unbacked") sizes.add(sym);
  };
  for (const axis of axes) addSizes(axis.extent);
  for (const body of bodies) {
    walkStatements(body, (s) => {
      statementExprs(s).forEach(addSizes);
      if (s.kind === "load") reads.add(s.buffer);
      if (s.kind === "store" || s.kind === "combine") writes.add(s.buffer);
    });
  }
  for (const buffer of writes) reads.delete(buffer);
  return { reads: [...reads], writes: [...writes], sizes: [...sizes].sort((a, b) => a.id - b.id) };
}

/** A name made of the operators inside: safe in any language, at most 60 characters. */
export function nameOf(group: Group, prefix: string): string {
  const words: string[] = [];
  for (const node of group.origins) {
    const word = node.op === "call" ? node.target.schema.name.replace(/[^A-Za-z0-9_]/g, "_") : "";
    if (word !== "" && !words.includes(word)) words.push(word);
  }
  return [prefix, ...words].join("_").slice(0, 60);
}

/** A comment that can end no comment. */
export function commentOf(group: Group): string {
  return group.reasons.join("; ").replace(/[^\x20-\x7e]|\*\/|\\|\/\*/g, " ");
}
