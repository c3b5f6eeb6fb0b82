/**
 * The header of a safetensors file: names, dtypes, shapes and byte ranges, checked.
 *
 * A file is the header's length as a little-endian 64-bit number, the header as JSON, then the data. Invariants checked here, as the
 * format's document states them: the header is at most 100 MB and starts with `{`; ranges fit their shape and dtype, do not overlap, leave no
 * hole and fill the file. So nothing in a file can make its reader touch bytes that are not its own.
 * https://github.com/huggingface/safetensors#format
 */
import {
  bfloat16,
  bool,
  complex64,
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
import { FormatError, quoteName } from "../format_error.ts";

/** Longest header that is read. */
const MAX_HEADER_BYTES = 100_000_000;
const MAX_RANK = 64;

const DTYPES: Readonly<Record<string, DType>> = {
  BOOL: bool,
  U8: uint8,
  I8: int8,
  I16: int16,
  I32: int32,
  U32: uint32,
  I64: int64,
  U64: uint64,
  F16: float16,
  BF16: bfloat16,
  F8_E4M3: float8_e4m3fn,
  F8_E5M2: float8_e5m2,
  F32: float32,
  F64: float64,
  C64: complex64,
};

/** Bits of an element of the dtypes that the format knows and Tessera has no tensors of. */
const FOREIGN_BITS: Readonly<Record<string, number>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  U16: 16,
};

/** The name that the format gives a dtype. */
export function safetensorsDtype(dtype: DType): string {
  for (const [name, candidate] of Object.entries(DTYPES)) if (candidate === dtype) return name;
  throw new TypeError(`safetensors has no name for ${dtype.name}`);
}

/** One tensor of a file. */
export interface SafetensorsEntry {
  readonly name: string;
  /** The format's name, such as `F32`. */
  readonly dtypeName: string;
  /** Null for dtypes that Tessera has no tensors of. */
  readonly dtype: DType | null;
  readonly shape: readonly number[];
  /** Range in the file. */
  readonly start: number;
  readonly end: number;
}

/** What a header says. */
export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/**
 * Reads and checks the header of a file.
 *
 * @throws {FormatError} naming the file, the tensor and the rule.
 */
export function parseHeader(bytes: Uint8Array<ArrayBuffer>, label: string): SafetensorsHeader {
  const fail = (what: string): never => {
    throw new FormatError(`${label}: not a safetensors file: ${what}`);
  };
  if (bytes.length < 10) fail(`it has ${bytes.length} bytes only`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    fail(`its header claims ${length} bytes, more than the bound of ${MAX_HEADER_BYTES}`);
  }
  const dataStart = 8 + Number(length);
  if (dataStart > bytes.length) fail(`its header claims ${length} bytes, but the file ends before`);
  if (bytes[8] !== 0x7b) fail("its header does not start with {");
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, dataStart)));
  } catch (error) {
    return fail(`its header is no JSON (${error instanceof Error ? error.message : error})`);
  }
  if (!isObject(json)) return fail("its header is no object");
  const entries: SafetensorsEntry[] = [];
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name !== "__metadata__") {
      entries.push(parseEntry(name, value, dataStart, bytes.length, fail));
      continue;
    }
    if (!isObject(value)) return fail("__metadata__ must map names to texts");
    for (const [key, text] of Object.entries(value)) {
      if (typeof text !== "string") return fail(`__metadata__.${quoteName(key)} must be a text`);
      Object.defineProperty(metadata, key, { value: text, enumerable: true });
    }
  }
  checkCoverage(entries, dataStart, bytes.length, fail);
  return { entries: new Map(entries.map((e) => [e.name, e])), metadata };
}

function parseEntry(
  name: string,
  value: unknown,
  dataStart: number,
  fileSize: number,
  fail: (what: string) => never,
): SafetensorsEntry {
  const where = `tensor ${quoteName(name)}`;
  if (!isObject(value)) return fail(`${where} must be an object`);
  const { dtype: dtypeName, shape, data_offsets: offsets } = value;
  const bits = typeof dtypeName !== "string"
    ? undefined
    : Object.hasOwn(DTYPES, dtypeName)
    ? (DTYPES[dtypeName]?.bytes ?? 0) * 8
    : Object.hasOwn(FOREIGN_BITS, dtypeName)
    ? FOREIGN_BITS[dtypeName]
    : undefined;
  if (typeof dtypeName !== "string" || bits === undefined) {
    return fail(`${where}: unknown dtype ${JSON.stringify(dtypeName)}`);
  }
  if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isSize)) {
    return fail(`${where}: its shape must be a list of at most ${MAX_RANK} sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`${where}: data_offsets must be two positions`);
  }
  const [from = 0, to = 0] = offsets as readonly number[];
  if (from > to || dataStart + to > fileSize) {
    return fail(`${where}: data_offsets [${from}, ${to}] lie outside the ${fileSize - dataStart} bytes of data`);
  }
  let numel = 1;
  for (const size of shape as readonly number[]) numel *= size;
  // A shape such as [0, 2^60] passes: it has no elements. A product beyond 2^53 cannot equal a range of the file.
  const wanted = numel * bits / 8;
  if (wanted !== to - from) {
    return fail(`${where}: ${dtypeName}[${shape.join(", ")}] needs ${wanted} bytes, data_offsets give ${to - from}`);
  }
  const dtype = Object.hasOwn(DTYPES, dtypeName) ? DTYPES[dtypeName] ?? null : null;
  return { name, dtypeName, dtype, shape: shape as number[], start: dataStart + from, end: dataStart + to };
}

function checkCoverage(
  entries: readonly SafetensorsEntry[],
  dataStart: number,
  fileSize: number,
  fail: (what: string) => never,
): void {
  let at = dataStart;
  for (const entry of [...entries].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (entry.start < at) fail(`tensor ${quoteName(entry.name)} overlaps another one`);
    if (entry.start > at) fail(`${entry.start - at} bytes before tensor ${quoteName(entry.name)} belong to no tensor`);
    at = entry.end;
  }
  if (at !== fileSize) fail(`${fileSize - at} bytes at the end belong to no tensor`);
}
