/**
 * Memory of a plan that is run element by element: numbers in the bytes of a buffer, bounds checked.
 */
import { bfloat16, bool, type DType, InternalError, narrowFloat } from "../../src/core/mod.ts";
import { roundToBfloat16 } from "../../src/loops/mod.ts";

/** A number of any dtype; int64 beyond 2^53 are bigints. */
export type Num = number | bigint;

/** Typed access to bytes. */
export class Memory {
  readonly dtype: DType;
  readonly #view: DataView;
  readonly #start: number;
  readonly elements: number;

  constructor(dtype: DType, buffer: ArrayBuffer, start: number, elements: number) {
    this.dtype = dtype;
    this.#view = new DataView(buffer);
    this.#start = start;
    this.elements = elements;
  }

  #at(index: number): number {
    if (!Number.isInteger(index) || index < 0 || index >= this.elements) {
      throw new InternalError(`access to element ${index} of ${this.elements}`);
    }
    return this.#start + index * this.dtype.bytes;
  }

  get(index: number): Num {
    const at = this.#at(index);
    const v = this.#view;
    switch (this.dtype.name) {
      case "bool":
      case "uint8":
        return v.getUint8(at);
      case "int8":
        return v.getInt8(at);
      case "int16":
        return v.getInt16(at, true);
      case "int32":
        return v.getInt32(at, true);
      case "uint32":
        return v.getUint32(at, true);
      case "int64":
      case "uint64": {
        const big = this.dtype.name === "int64" ? v.getBigInt64(at, true) : v.getBigUint64(at, true);
        const number = Number(big);
        return Number.isSafeInteger(number) ? number : big;
      }
      case "float8_e4m3fn":
      case "float8_e5m2":
        return narrowFloat(this.dtype)?.fromBits(v.getUint8(at)) ?? NaN;
      case "float16":
        return v.getFloat16(at, true);
      case "bfloat16":
        return new Float32Array(new Uint32Array([v.getUint16(at, true) << 16]).buffer)[0] as number;
      case "float32":
        return v.getFloat32(at, true);
      case "float64":
        return v.getFloat64(at, true);
      case "complex64":
        throw new InternalError("complex numbers are not run here");
      default:
        return this.dtype.name satisfies never;
    }
  }

  set(index: number, value: Num): void {
    const at = this.#at(index);
    const v = this.#view;
    const n = Number(value);
    switch (this.dtype) {
      case bool:
        return v.setUint8(at, n !== 0 ? 1 : 0);
      case bfloat16:
        return v.setUint16(
          at,
          new Uint32Array(new Float32Array([roundToBfloat16(n)]).buffer)[0] as number >>> 16,
          true,
        );
      default:
        break;
    }
    switch (this.dtype.name) {
      case "uint8":
        return v.setUint8(at, n);
      case "int8":
        return v.setInt8(at, n);
      case "int16":
        return v.setInt16(at, n, true);
      case "int32":
        return v.setInt32(at, n, true);
      case "uint32":
        return v.setUint32(at, n, true);
      case "int64":
        return v.setBigInt64(at, BigInt(value), true);
      case "float8_e4m3fn":
      case "float8_e5m2":
        return v.setUint8(at, narrowFloat(this.dtype)?.toBits(n) ?? 0);
      case "float16":
        return v.setFloat16(at, n, true);
      case "float32":
        return v.setFloat32(at, n, true);
      case "float64":
        return v.setFloat64(at, n, true);
      default:
        throw new InternalError(`cannot store ${this.dtype.name}`);
    }
  }
}
