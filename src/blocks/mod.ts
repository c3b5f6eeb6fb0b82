/** Kernels that people write themselves: their language, their IR, and what it means. */
export * from "./block_ir.ts";
export {
  Block,
  BlockTensor,
  type IndexLike,
  type LoadOptions,
  type Operand,
  recordBlocks,
  type RecordedTensor,
  Tile,
  Variable,
} from "./record.ts";
export { type BlockMemory, interpretBlocks } from "./interpret.ts";
export { blocksToText } from "./print.ts";
export { verifyBlockProgram } from "./verify.ts";
