/**
 * What a function may be told when it is made: how it meets memory that others write too, and where arrays of accumulators lie.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import type { TileValue } from "../../tile/tile_ir.ts";

/** What a function may be told when it is made. */
export interface FunctionOptions {
  /** Pairs of buffers that share memory: their pointers are not declared free of aliases. */
  readonly shared?: ReadonlySet<BufferRef>;
  /** Atomics in a fixed order: combinations with memory run as plain reads and writes, because one thread has them all. */
  readonly ordered?: boolean;
  /** The writes of `"set"` in two launches: note the last position (`t`) of each place in `last`, or write where it is this one. */
  readonly lastWrite?: "mark" | "write";
  /** The one sum into memory is held in a register (`held`, for `heldAt`) as long as its place stays the same. */
  readonly holds?: boolean;
  /** Where the accumulator of an array is that the current position combines into, or reads. */
  readonly arrays?: (accumulators: TileValue) => string;
}
