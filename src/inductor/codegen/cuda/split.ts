/**
 * Reductions that several blocks share: partial results go to scratch memory, the block that comes last combines them in order of their pieces.
 */
import { add, type Expr, mul } from "../../../symbolic/mod.ts";
import type { TileReduceOp, TileValue } from "../../tile/tile_ir.ts";
import { combineLambda, type CudaFunction, isArg, neutralText, scalarType } from "./function.ts";
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

/** Bytes of one partial result: positions stand beside values. */
const PARTIAL = 16;

/** The parameters that a shared reduction adds. */
export function splitParameters(
  accumulators: ReadonlyMap<TileValue, TileReduceOp>,
  splitting: Splitting,
): { arg: CudaArg; text: string }[] {
  const bytes = mul(splitting.outputs, splitting.pieces * PARTIAL * accumulators.size);
  return [
    { arg: { kind: "scratch", bytes: add(bytes, 0), zeroed: false, id: splitting.id }, text: "char* partial" },
    {
      arg: { kind: "scratch", bytes: mul(splitting.tiles, 4), zeroed: true, id: splitting.id + 1 },
      text: "unsigned* arrived",
    },
  ];
}

/**
 * Writes partial results, returns from all blocks but the last, and combines there. `first` and `step` say which pieces a thread takes.
 */
export function combinePartials(
  f: CudaFunction,
  accumulators: ReadonlyMap<TileValue, TileReduceOp>,
  splitting: Splitting,
  combine: (v: TileValue, op: TileReduceOp) => void,
  leader: string,
  first: string,
  step: number,
): void {
  const s = f.scopes;
  const { pieces, output, tile } = splitting;
  const outputs = f.extent(splitting.outputs);
  const place = (i: number, piece: string): string =>
    `partial + (((long)${i} * ${pieces} + ${piece}) * ${outputs} + ${output}) * ${PARTIAL}`;
  const list = [...accumulators];
  s.open(`if (${leader}) {`);
  list.forEach(([v, op], i) => {
    const name = f.accumulator(v);
    const at = s.fresh("w");
    s.line(`char* const ${at} = ${place(i, "blockIdx.y")};`);
    s.line(`*(volatile ${scalarType(v.dtype)}*)${at} = ${name};`);
    if (isArg(op)) s.line(`*(volatile long*)(${at} + 8) = ${name}p;`);
  });
  s.close();
  s.line("__shared__ int whether;");
  s.line(`if (!tsr_is_last(arrived + ${tile}, ${pieces}, &whether)) return;`);
  for (const [v, op] of list) {
    const name = f.accumulator(v);
    s.line(`${name} = ${neutralText(op, v.dtype)};`);
    if (isArg(op)) s.line(`${name}p = TSR_NOWHERE;`);
  }
  s.open(`for (int piece = ${first}; piece < ${pieces}; piece += ${step}) {`);
  list.forEach(([v, op], i) => {
    const name = f.accumulator(v);
    const type = scalarType(v.dtype);
    const at = s.fresh("w");
    s.line(`const char* const ${at} = ${place(i, "piece")};`);
    const value = `*(volatile const ${type}*)${at}`;
    if (isArg(op)) {
      s.line(
        `tsr_better(${name}, ${name}p, (${type})${value}, (long)*(volatile const long*)(${at} + 8), ${
          op === "argmax" ? 1 : -1
        });`,
      );
    } else s.line(`${name} = (${combineLambda(op, v.dtype)})(${name}, ${value});`);
  });
  s.close();
  for (const [v, op] of list) combine(v, op);
}
