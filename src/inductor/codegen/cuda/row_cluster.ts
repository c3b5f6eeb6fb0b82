/**
 * Rows that the blocks of a cluster share: long rows that several passes read, of which each block has a part in its registers.
 *
 * Enters: a row's vectors and the registers that one takes. Leaves: how many blocks share it, and the text by which they meet (`row_cluster.cuh`): the warps of all blocks send what
 * they have of a sum to every block's shared memory, where it is added up. A row that one block holds fills a multiprocessor, which reads, computes and writes by turns then; of these
 * blocks several fit, so that one reads while another writes (1024 rows of 50257 float32: softmax 0.149 ms instead of 0.170, a copy takes 0.141). Blocks are small: with 512 threads
 * 0.160. Blocks that stay and take row after row were slower (0.21), because fewer clusters may fit than blocks.
 */
import { InternalError } from "../../../core/mod.ts";
import type { TileReduceOp, TileValue } from "../../tile/tile_ir.ts";
import type { CudaFunction } from "./function.ts";
import { combineLambda, isArg } from "./texts.ts";

/** Threads of a block: more of them at first fit less well. */
const THREADS = [256, 512] as const;
/** Blocks of a cluster; any device runs 8. */
const BLOCKS = [2, 4, 8] as const;
/** Registers of a thread that hold the row, and those that do not. */
const MOST_KEPT = 32;
const OTHER_REGISTERS = 36;
const REGISTERS = 65536;

/** How blocks share a row. */
export interface RowCluster {
  readonly blocks: number;
  /** Threads of one block. */
  readonly threads: number;
  /** Vectors that a thread has. */
  readonly kept: number;
  /** Blocks that fit a multiprocessor. */
  readonly blocksEach: number;
}

/** The fewest small blocks that hold a row of `units` vectors, each of which takes `run` registers; null where none do. */
export function rowCluster(units: number, run: number): RowCluster | null {
  for (const threads of THREADS) {
    for (const blocks of BLOCKS) {
      const kept = Math.ceil(units / (threads * blocks));
      const registers = kept * run;
      if (registers > MOST_KEPT) continue;
      return { blocks, threads, kept, blocksEach: Math.floor(REGISTERS / (threads * (registers + OTHER_REGISTERS))) };
    }
  }
  return null;
}

/** Declares which part of which row a block has (`tx`, `row`), and where parts of sums arrive. */
export function writeCluster(f: CudaFunction, { blocks, threads }: RowCluster): void {
  const s = f.scopes;
  s.line(`__shared__ tsr_row_room<${threads / 32 * blocks}> others;`);
  s.line("tsr_row_begin(others);");
  s.line("int step = 0;");
  s.line(`const int tx = (int)threadIdx.x + tsr_row_rank<${blocks}>() * ${threads};`);
  s.line(`const ${f.index} row = (${f.index})(blockIdx.x / ${blocks});`);
}

/** Combines an accumulator over all threads of a row. */
export function combineInCluster(
  f: CudaFunction,
  { blocks, threads }: RowCluster,
  v: TileValue,
  op: TileReduceOp,
): void {
  if (isArg(op)) throw new InternalError(`${op} is not combined by clusters`);
  const name = f.accumulator(v);
  f.scopes.line(
    `${name} = tsr_row_reduce<${threads}, ${blocks}>(${name}, others, step, ${combineLambda(op, v.dtype)});`,
  );
}
