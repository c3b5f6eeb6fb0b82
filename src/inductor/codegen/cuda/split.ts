/**
 * Reductions that several blocks share: partial results go to scratch memory, the block that comes last combines them in order of their pieces.
 */
import { add, type Expr, mul } from "../../../symbolic/mod.ts";
import type { TileReduceOp, TileValue } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";
import { combineLambda, isArg, neutralText, scalarType } from "./texts.ts";
import type { CudaArg } from "./launch.ts";

/** How a reduction is shared. */
export interface Splitting {
  /** Blocks that share; the piece of a block is `blockIdx.y`. */
  readonly pieces: number;
  /** How many results an accumulator has, and the text of a thread's own. */
  readonly outputs: Expr;
  readonly output: string;
  /** Scratch id. */
  readonly id: number;
  /** Which counter a block uses, and how many there are. */
  readonly tile: string;
  readonly tiles: Expr;
  readonly block: number;
}

/** One variable that is combined over blocks: an accumulator, or one lane of it. */
export interface Partial {
  readonly v: TileValue;
  readonly op: TileReduceOp;
  readonly name: string;
}

/** Accumulators as they are. */
export function partialsOf(f: CudaFunction, accumulators: ReadonlyMap<TileValue, TileReduceOp>): Partial[] {
  return [...accumulators].map(([v, op]) => ({ v, op, name: f.accumulator(v) }));
}

/** Combines variables one by one. */
export function combineEach(
  f: CudaFunction,
  list: readonly Partial[],
  combine: (v: TileValue, op: TileReduceOp) => void,
): void {
  for (const { v, op, name } of list) {
    f.renameAccumulator(v, name);
    combine(v, op);
  }
}

/** Pieces whose results a thread asks for together, and registers that may hold these. */
const [AT_ONCE, MOST_HELD] = [8, 32];

/** Bytes of one partial result at most: positions stand beside values. */
const PARTIAL = 16;

/** Bytes of each of these: neighbours lie side by side, so that the last block reads them together. */
function widthOf(list: readonly Partial[]): number {
  return Math.max(...list.map(({ v, op }) => isArg(op) ? PARTIAL : v.dtype.bytes > 4 ? 8 : 4));
}

/** The parameters that a shared reduction adds. */
export function splitParameters(partials: number, splitting: Splitting): { arg: CudaArg; text: string }[] {
  const bytes = mul(splitting.outputs, splitting.pieces * PARTIAL * partials);
  return [
    { arg: { kind: "scratch", bytes: add(bytes, 0), zeroed: false, id: splitting.id }, text: "char* partial" },
    {
      arg: { kind: "scratch", bytes: mul(splitting.tiles, 4), zeroed: true, id: splitting.id + 1 },
      text: "unsigned* arrived",
    },
  ];
}

/** Where a list of partial results is a sum, in all its lanes, and then the squares around its mean: how many elements all pieces have, and one of them. */
export interface PartialMoments {
  readonly count: string;
  readonly share: (piece: string) => string;
}

/**
 * Writes partial results, returns from all blocks but the last, and combines there. `first` and `step` say which pieces a thread takes.
 */
export function combinePartials(
  f: CudaFunction,
  list: readonly Partial[],
  splitting: Splitting,
  combine: (list: readonly Partial[]) => void,
  leader: string,
  first: string,
  step: number,
  moments: PartialMoments | null = null,
): void {
  const s = f.scopes;
  const { pieces, output, tile } = splitting;
  const outputs = f.extent(splitting.outputs);
  const width = widthOf(list);
  const place = (i: number, piece: string): string =>
    `partial + (((long)${i} * ${pieces} + ${piece}) * ${outputs} + ${output}) * ${width}`;
  s.open(`if (${leader}) {`);
  list.forEach(({ v, op, name }, i) => {
    const at = s.fresh("w");
    s.line(`char* const ${at} = ${place(i, "blockIdx.y")};`);
    s.line(`*(volatile ${scalarType(v.dtype)}*)${at} = ${name};`);
    if (isArg(op)) s.line(`*(volatile long*)(${at} + 8) = ${name}p;`);
  });
  s.close();
  s.line("__shared__ int whether;");
  s.line(`if (!tsr_is_last(arrived + ${tile}, ${pieces}, &whether)) return;`);
  for (const { v, op, name } of list) {
    s.line(`${name} = ${neutralText(op, v.dtype)};`);
    if (isArg(op)) s.line(`${name}p = TSR_NOWHERE;`);
  }
  const all = list.map((partial, i) => ({ ...partial, i }));
  // Several pieces at once: what blocks have left lies in the second cache, which answers late.
  const walk = (
    some: readonly (Partial & { readonly i: number })[],
    more: readonly number[],
    take: (name: string, i: number, k: string) => void,
  ): void => {
    const indices = [...some.map(({ i }) => i), ...more];
    const atOnce = Math.max(1, Math.min(AT_ONCE, Math.floor(MOST_HELD / indices.length), Math.ceil(pieces / step)));
    const isPosition = (i: number): boolean => isArg(list[i]?.op ?? "sum");
    s.open(`for (int from = ${first}; from < ${pieces}; from += ${atOnce * step}) {`);
    for (const i of indices) {
      s.line(`${scalarType((list[i] as Partial).v.dtype)} w${i}[${atOnce}];`);
      if (isPosition(i)) s.line(`long w${i}p[${atOnce}];`);
    }
    s.open(`#pragma unroll\nfor (int k = 0; k < ${atOnce}; k++) {`);
    s.line(`const int piece = from + k * ${step};`);
    for (const i of indices) {
      const { v, op } = list[i] as Partial;
      const there = `piece < ${pieces} ? *(volatile const`;
      s.line(`w${i}[k] = ${there} ${scalarType(v.dtype)}*)(${place(i, "piece")}) : ${neutralText(op, v.dtype)};`);
      if (isPosition(i)) s.line(`w${i}p[k] = ${there} long*)(${place(i, "piece")} + 8) : TSR_NOWHERE;`);
    }
    s.close();
    s.open(`#pragma unroll\nfor (int k = 0; k < ${atOnce}; k++) {`);
    for (const { v, op, name, i } of some) {
      s.line(
        isArg(op)
          ? `tsr_better(${name}, ${name}p, w${i}[k], w${i}p[k], ${op === "argmax" ? 1 : -1});`
          : `${name} = (${combineLambda(op, v.dtype)})(${name}, w${i}[k]);`,
      );
      take(name, i, "k");
    }
    s.close();
    s.close();
    combine(some);
  };
  if (moments === null) {
    walk(all, [], () => {});
    return;
  }
  // First the common mean, then what pieces have around their own and how far that is from it.
  const lanes = list.length / 2;
  walk(all.slice(0, lanes), [], () => {});
  walk(all.slice(lanes), all.slice(0, lanes).map(({ i }) => i), (name, i, k) => {
    const [own, apart] = [s.fresh("n"), s.fresh("d")];
    s.line(`const int ${own} = from + ${k} * ${step} < ${pieces} ? ${moments.share(`(from + ${k} * ${step})`)} : 0;`);
    s.line(
      `const float ${apart} = ${own} > 0 ? w${i - lanes}[${k}] / (float)${own} - ${
        list[i - lanes]?.name
      } / (float)${moments.count} : 0.0f;`,
    );
    s.line(`${name} += (float)${own} * ${apart} * ${apart};`);
  });
}
