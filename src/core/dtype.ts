/**
 * Element types and PyTorch's type promotion.
 *
 * A {@linkcode DType} is an interned object: compare with `===`. Promotion follows PyTorch's lattice
 * (bool < integers < floating < complex; a wider category wins, within one category the wider type), and
 * {@linkcode resultType} adds PyTorch's three ranks of operands: tensors with dimensions, 0-dim tensors, Python-style scalars.
 * Mirrors `c10/core/ScalarType.h` and `torch.result_type`.
 */

/** The kind of number an element is. */
export type DTypeKind = "bool" | "uint" | "int" | "float" | "complex";

/** Names of all element types, as PyTorch spells them. */
export type DTypeName =
  | "bool"
  | "uint8"
  | "int8"
  | "int16"
  | "int32"
  | "int64"
  | "float16"
  | "bfloat16"
  | "float8_e4m3fn"
  | "float8_e5m2"
  | "float32"
  | "float64"
  | "uint32"
  | "uint64"
  | "complex64";

/** An element type. Interned: two dtypes are the same exactly if they are `===`. */
export interface DType {
  /** PyTorch's name, e.g. `"float32"`. */
  readonly name: DTypeName;
  /** Short name used in printed IRs, e.g. `"f32"`. */
  readonly short: string;
  readonly kind: DTypeKind;
  /** Size of one element in bytes. */
  readonly bytes: number;
  readonly isFloat: boolean;
  readonly isComplex: boolean;
  /** True for signed and unsigned integers and bool, PyTorch's `is_integral(includeBool=True)`. */
  readonly isIntegral: boolean;
  /** Smallest and largest finite value (for 64-bit integers, the nearest double). */
  readonly min: number;
  readonly max: number;
  /** Distance from 1 to the next larger value; 0 for integers. */
  readonly eps: number;
  toString(): string;
}

const byName = new Map<string, DType>();

function make(
  name: DTypeName,
  short: string,
  kind: DTypeKind,
  bytes: number,
  min: number,
  max: number,
  eps = 0,
): DType {
  const dtype: DType = Object.freeze({
    name,
    short,
    kind,
    bytes,
    isFloat: kind === "float",
    isComplex: kind === "complex",
    isIntegral: kind === "int" || kind === "uint" || kind === "bool",
    min,
    max,
    eps,
    toString: () => `tessera.${name}`,
  });
  byName.set(name, dtype);
  return dtype;
}

/** Boolean, one byte. */
export const bool: DType = make("bool", "b8", "bool", 1, 0, 1);
/** Unsigned 8-bit integer. */
export const uint8: DType = make("uint8", "u8", "uint", 1, 0, 255);
/** Signed 8-bit integer. */
export const int8: DType = make("int8", "i8", "int", 1, -128, 127);
/** Signed 16-bit integer. */
export const int16: DType = make("int16", "i16", "int", 2, -32768, 32767);
/** Signed 32-bit integer. */
export const int32: DType = make("int32", "i32", "int", 4, -2147483648, 2147483647);
/** Signed 64-bit integer. */
export const int64: DType = make("int64", "i64", "int", 8, -(2 ** 63), 2 ** 63);
/** Unsigned 32-bit integer: the type of random bits; not part of promotion. */
export const uint32: DType = make("uint32", "u32", "uint", 4, 0, 4294967295);
/** Unsigned 64-bit integer: the type of hashes. Not part of promotion; its tensors are viewed, copied to the host and stored, not computed with. */
export const uint64: DType = make("uint64", "u64", "uint", 8, 0, 2 ** 64);
/** IEEE half precision. */
export const float16: DType = make("float16", "f16", "float", 2, -65504, 65504, 2 ** -10);
/** Brain floating point: float32 with 8 bits of mantissa. */
export const bfloat16: DType = make(
  "bfloat16",
  "bf16",
  "float",
  2,
  -3.3895313892515355e38,
  3.3895313892515355e38,
  2 ** -7,
);
/** Eight bits, three of them mantissa: -448 to 448 and NaN, no infinities. Products take it (`_scaled_mm`); it does not promote. */
export const float8_e4m3fn: DType = make("float8_e4m3fn", "e4m3", "float", 1, -448, 448, 2 ** -3);
/** Eight bits, two of them mantissa: -57344 to 57344, infinities and NaN. */
export const float8_e5m2: DType = make("float8_e5m2", "e5m2", "float", 1, -57344, 57344, 2 ** -2);
/** IEEE single precision, the default. */
export const float32: DType = make(
  "float32",
  "f32",
  "float",
  4,
  -3.4028234663852886e38,
  3.4028234663852886e38,
  2 ** -23,
);
/** IEEE double precision. */
export const float64: DType = make("float64", "f64", "float", 8, -Number.MAX_VALUE, Number.MAX_VALUE, 2 ** -52);
/** A pair of float32: real and imaginary part. */
export const complex64: DType = make(
  "complex64",
  "c64",
  "complex",
  8,
  -3.4028234663852886e38,
  3.4028234663852886e38,
  2 ** -23,
);

/** All element types a tensor can have. */
export const dtypes: readonly DType[] = [...byName.values()];

/**
 * The dtype of this name.
 *
 * @throws {TypeError} if there is none, listing the names.
 */
export function dtypeFromName(name: string): DType {
  const found = byName.get(name) ?? dtypes.find((d) => d.short === name);
  if (found === undefined) {
    throw new TypeError(`unknown dtype "${name}": use one of ${[...byName.keys()].join(", ")}`);
  }
  return found;
}

const CATEGORY: Record<DTypeKind, number> = { bool: 0, uint: 1, int: 1, float: 2, complex: 3 };
const SIGNED_FOR_BYTES: Record<number, DType> = { 1: int16, 2: int32, 4: int64, 8: int64 };

/**
 * The smallest dtype that PyTorch promotes both to.
 *
 * @example
 * ```ts
 * import { bfloat16, float16, int8, promoteTypes, uint8 } from "@tessera/tessera";
 * console.log(promoteTypes(uint8, int8).name); // int16
 * console.log(promoteTypes(float16, bfloat16).name); // float32
 * ```
 *
 * @throws {TypeError} for an 8-bit floating point type beside another type, as in PyTorch
 */
export function promoteTypes(a: DType, b: DType): DType {
  if (a === b) return a;
  if (isFloat8(a) || isFloat8(b)) {
    throw new TypeError(
      `${a.name} and ${b.name} have no common type: 8-bit floats do not promote; convert with .to() first`,
    );
  }
  const ca = CATEGORY[a.kind];
  const cb = CATEGORY[b.kind];
  if (ca !== cb) return ca > cb ? a : b;
  if (a.kind === "float") return a.bytes === b.bytes ? float32 : a.bytes > b.bytes ? a : b;
  if (a.kind !== b.kind) {
    const [unsigned, signed] = a.kind === "uint" ? [a, b] : [b, a];
    return signed.bytes > unsigned.bytes ? signed : SIGNED_FOR_BYTES[unsigned.bytes] ?? int64;
  }
  return a.bytes >= b.bytes ? a : b;
}

/** What {@linkcode resultType} needs to know of an operand. */
export interface PromotionOperand {
  readonly dtype: DType;
  /** `"scalar"` for a plain JavaScript number, `"zeroDim"` for a 0-dim tensor, `"tensor"` for the rest. */
  readonly rank: "tensor" | "zeroDim" | "scalar";
}

let defaultFloat: DType = float32;

/** The dtype of new floating point tensors, float32 unless changed. */
export function getDefaultDtype(): DType {
  return defaultFloat;
}

/**
 * Sets the dtype of new floating point tensors.
 *
 * @throws {TypeError} if `dtype` is not a floating point type.
 */
export function setDefaultDtype(dtype: DType): void {
  if (!dtype.isFloat) throw new TypeError(`setDefaultDtype: needs a floating point dtype, got ${dtype.name}`);
  defaultFloat = dtype;
}

/**
 * PyTorch's `result_type`: a lower rank (scalar < 0-dim < tensor) only decides if its category is higher.
 * Scalars of floating category count as the default dtype.
 */
export function resultType(operands: readonly PromotionOperand[]): DType {
  const ranks: Record<PromotionOperand["rank"], DType | null> = { tensor: null, zeroDim: null, scalar: null };
  for (const { dtype, rank } of operands) {
    const effective = rank === "scalar" && dtype.isFloat ? defaultFloat : dtype;
    const current = ranks[rank];
    ranks[rank] = current === null ? effective : promoteTypes(current, effective);
  }
  const combine = (high: DType | null, low: DType | null): DType | null => {
    if (high === null) return low;
    if (low === null) return high;
    return CATEGORY[low.kind] > CATEGORY[high.kind] ? promoteTypes(high, low) : high;
  };
  const result = combine(combine(ranks.tensor, ranks.zeroDim), ranks.scalar);
  if (result === null) throw new TypeError("resultType: needs at least one operand");
  return result;
}

/** Whether a dtype is a float of eight bits. */
export function isFloat8(dtype: DType): boolean {
  return dtype.isFloat && dtype.bytes === 1;
}

/** The type in which PyTorch computes on `dtype`: float32 for shorter floating point types, else the type itself. */
export function computeType(dtype: DType): DType {
  return dtype.isFloat && dtype.bytes < 4 ? float32 : dtype;
}

/** The dtype of a plain JavaScript value: int64 for integers, the default dtype for other numbers, bool. */
export function dtypeOfScalar(value: number | bigint | boolean): DType {
  if (typeof value === "boolean") return bool;
  if (typeof value === "bigint") return int64;
  return Number.isInteger(value) ? int64 : defaultFloat;
}
