/**
 * A matrix product as plain data: what code generation asks of a library, and plans on disk hold. Nothing here knows a library.
 */

/** Element types of operands and results. */
export type MatmulType = "float16" | "bfloat16" | "float32" | "float64" | "int8" | "int32";
/** What is done to a sum before it is stored; the bias is a vector along n of the result's type. */
export type MatmulEpilogue = "none" | "bias" | "relu" | "relu_bias" | "gelu" | "gelu_bias";

/** An operand: which of its axes is contiguous, and the distances of the other and of batches, in elements. */
export interface MatmulOperand {
  readonly along: "k" | "rows";
  readonly stride: number;
  readonly batchStride: number;
}

/** D[b] = epilogue(A[b] · B[b]), where A is m × k, B is k × n and D is m × n with n contiguous. */
export interface MatmulSpec {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly type: MatmulType;
  readonly result: MatmulType;
  /** Whether float32 operands may be rounded to tf32. */
  readonly tf32: boolean;
  readonly a: MatmulOperand;
  readonly b: MatmulOperand;
  readonly d: { readonly stride: number; readonly batchStride: number };
  readonly epilogue: MatmulEpilogue;
  /** The algorithm's place in the library's heuristics. */
  readonly algorithm: number;
}
