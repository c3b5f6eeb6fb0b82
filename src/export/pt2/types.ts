/**
 * PyTorch's enumerations in exported programs: dtypes, devices, memory formats, layouts; and stack traces as source locations.
 */
import {
  bfloat16,
  bool,
  complex64,
  type Device,
  device,
  type DType,
  float16,
  float32,
  float64,
  float8_e4m3fn,
  float8_e5m2,
  int16,
  int32,
  int64,
  int8,
  uint32,
  uint64,
  uint8,
} from "../../core/mod.ts";
import type { SourceLocation } from "../../graph/mod.ts";
import type { DeviceData } from "./schema.ts";

const DTYPES: ReadonlyMap<number, DType> = new Map([
  [1, uint8],
  [2, int8],
  [3, int16],
  [4, int32],
  [5, int64],
  [6, float16],
  [7, float32],
  [8, float64],
  [10, complex64],
  [12, bool],
  [13, bfloat16],
  [29, float8_e4m3fn],
  [30, float8_e5m2],
  [34, uint32],
  [35, uint64],
]);

const FOREIGN: ReadonlyMap<number, string> = new Map([
  [9, "complex32"],
  [11, "complex128"],
  [28, "uint16"],
  [31, "float8_e4m3fnuz"],
  [32, "float8_e5m2fnuz"],
  [33, "float8_e8m0fnu"],
]);

/** The dtype of a code, or null if Tessera has no tensors of it. */
export function dtypeOfCode(code: number): DType | null {
  return DTYPES.get(code) ?? null;
}

/** The name of any dtype code. */
export function dtypeCodeName(code: number): string {
  return DTYPES.get(code)?.name ?? FOREIGN.get(code) ?? `dtype code ${code}`;
}

const MEMORY_FORMATS: readonly (string | null)[] = [
  null,
  "contiguous_format",
  "channels_last",
  "channels_last_3d",
  "preserve_format",
];

/** PyTorch's name of a memory format, or null for unknown codes. */
export function memoryFormatOfCode(code: number): string | null {
  return MEMORY_FORMATS[code] ?? null;
}

const STRIDED = 7;

/** PyTorch's name of a layout; null for sparse and unknown ones. */
export function layoutOfCode(code: number): string | null {
  return code === STRIDED ? "strided" : null;
}

/** The device, or null for a type that is not known. */
export function deviceOf({ type, index }: DeviceData): Device | null {
  if (type !== "cpu" && type !== "cuda" && type !== "meta") return null;
  if (type !== "cuda") return device(type);
  return index !== null && (index < 0 || index > 999) ? null : device(index === null ? type : `${type}:${index}`);
}

const FRAME = /File "([^"\n]{1,4096})", line (\d{1,9})(?:, in ([^\n]{1,200}))?/g;

/** The innermost frame of a stack trace that stands in a file. */
export function locationOf(stackTrace: string | null): SourceLocation | null {
  let found: SourceLocation | null = null;
  for (const [, file = "", line = "0", functionName = ""] of stackTrace?.matchAll(FRAME) ?? []) {
    if (file.startsWith("<") || file.endsWith("torch/fx/passes/runtime_assert.py")) continue;
    found = { file, line: Number(line), column: 0, functionName };
  }
  return found;
}
