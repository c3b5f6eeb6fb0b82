/**
 * Reads a safetensors file as buffers, for those who have no tensors.
 */
import { CpuBuffer } from "../../runtime/cpu/memory.ts";
import { mapFile } from "../../runtime/cpu/mapped_file.ts";
import { parseHeader } from "./header.ts";

/** A tensor of a file: row-major. */
export interface NamedBuffer {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly buffer: CpuBuffer;
}

/**
 * All tensors of a file by name, over the mapped file where they are aligned; null if one has a dtype that Tessera has not.
 *
 * @throws {FormatError} if the file breaks the format; {Deno.errors.NotFound} and the like
 */
export function loadBuffers(path: string): Map<string, NamedBuffer> | null {
  const file = mapFile(path).uint8;
  const out = new Map<string, NamedBuffer>();
  for (const { name, dtype, shape, start, end } of parseHeader(file, path).entries.values()) {
    if (dtype === null) return null;
    const bytes = file.subarray(start, end);
    const isAligned = bytes.byteOffset % (dtype.isComplex ? dtype.bytes / 2 : dtype.bytes) === 0;
    out.set(name, { dtype: dtype.name, shape, buffer: CpuBuffer.wrap(isAligned ? bytes : bytes.slice()) });
  }
  return out;
}
