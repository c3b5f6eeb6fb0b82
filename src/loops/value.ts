/**
 * Values of the loop IR: what is computed at one index.
 *
 * A value is an immutable, hash-consed expression over loads, constants, index expressions and pointwise primitives, so
 * that equal computations are the same object: common subexpressions are free, inlining a producer is substitution of index symbols,
 * and a structural hash is a walk. Operands of a primitive share their dtype; casts are nodes. Loads name buffers
 * as objects and address them by a flat element index. The constructors are in `ops.ts`; `verifyValue` states the rules.
 * Mirrors the `OpsHandler` protocol of TorchInductor, recorded once as data.
 */
import type { DType } from "../core/mod.ts";
import type { Expr, Sym } from "../symbolic/mod.ts";
import type { PrimitiveName } from "./primitives.ts";

/**
 * Memory that loops read and write, by flat element index. An object with identity: names exist only in emitted text.
 */
export interface BufferRef {
  readonly id: number;
  readonly dtype: DType;
  /** Elements of storage. */
  readonly numel: Expr;
  /** For printing only. */
  readonly label: string;
}

interface ValueBase {
  /** Unique for each structure: equal ids mean equal values. */
  readonly id: number;
  readonly dtype: DType;
}

/** A literal. Int64 literals beyond 2^53 are bigints. */
export interface ConstantValue extends ValueBase {
  readonly kind: "constant";
  readonly value: number | bigint;
}

/** An integer expression over index and size symbols, as a number of the integer type `dtype`. */
export interface IndexValue extends ValueBase {
  readonly kind: "index";
  readonly expr: Expr;
}

/** One element of a buffer. */
export interface LoadValue extends ValueBase {
  readonly kind: "load";
  readonly buffer: BufferRef;
  readonly index: Expr;
}

/** A pointwise primitive. */
export interface PointwiseValue extends ValueBase {
  readonly kind: "pointwise";
  readonly op: PrimitiveName;
  readonly args: readonly Value[];
}

/** Conversion to another dtype: floats to integers truncate, anything to bool compares with 0. */
export interface CastValue extends ValueBase {
  readonly kind: "cast";
  readonly arg: Value;
}

/** The same bits as another dtype of the same width. */
export interface BitcastValue extends ValueBase {
  readonly kind: "bitcast";
  readonly arg: Value;
}

/** `body` where `mask` holds, else `other`; loads in `body` happen only where `mask` holds. */
export interface MaskedValue extends ValueBase {
  readonly kind: "masked";
  readonly mask: Value;
  readonly body: Value;
  readonly other: number;
}

/**
 * One 32-bit word of Philox4x32-10, as uint32. Key: the 64-bit `seed` (int64). Counter: (`position` div 4, `stream`), word
 * `position` mod 4 of the block; position and stream are int64.
 */
export interface PhiloxValue extends ValueBase {
  readonly kind: "philox";
  readonly seed: Value;
  readonly stream: Value;
  readonly position: Value;
}

/**
 * The entry of a constant table of float32 at an int32: position modulo the number of entries, which is 16 or 32. One register or two of a processor, so that
 * the coefficients of series by intervals are fetched by permutations.
 */
export interface LookupValue extends ValueBase {
  readonly kind: "lookup";
  readonly table: readonly number[];
  readonly at: Value;
}

/** What is computed at one index. */
export type Value =
  | ConstantValue
  | IndexValue
  | LoadValue
  | PointwiseValue
  | CastValue
  | BitcastValue
  | MaskedValue
  | PhiloxValue
  | LookupValue;

/**
 * The payload of an index symbol of kind `"indirect"`: the computed value (an integer) that it stands for. Made by
 * `ops.indirect`; one symbol for each value.
 */
export interface IndirectPayload {
  readonly value: Value;
  /** The size of the dimension that is indexed. */
  readonly size: Expr;
  /** Whether negative values count from the end of the dimension; else they are out of it. */
  readonly fromEnd: boolean;
}

/** How a reduction combines. `argmax`/`argmin` yield the linear position within the reduced domain, first of equals. */
export type ReductionOp = "sum" | "prod" | "max" | "min" | "any" | "argmax" | "argmin";

/** How a scan or scatter combines. */
export type CombineOp = "sum" | "prod" | "max" | "min" | "set";

/** An index symbol of a loop; its extent is on the symbol. */
export type LoopVar = Sym;
