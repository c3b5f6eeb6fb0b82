/**
 * Writes a safetensors file of elements that lie in memory already, whatever holds them.
 *
 * Enters: names, dtypes, shapes and row-major bytes, which are asked for one after the other. Leaves: a file in which each tensor is aligned to 8 bytes at least where its dtype
 * needs it: wider dtypes stand first, and the header is padded. It is written beside its place and renamed, so that nobody sees half of it.
 */
import { dirname, resolve } from "node:path";
import type { DType } from "../../core/dtype.ts";
import { safetensorsDtype } from "./header.ts";

/** A tensor to be written. */
export interface TensorPart {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its elements in row-major order. */
  readonly read: () => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;
}

const HEADER_ALIGNMENT = 8;
/** Links that are followed one after the other, as many as Linux follows. */
const MOST_LINKS = 40;

/** Where a file is written. */
export interface Destination {
  /** What the path names when links are followed. */
  readonly path: string;
  /** A place beside it, which is written and then renamed; null for a device or a pipe, which is written to as it is. */
  readonly part: string | null;
}

/** Where a file of this path is written: links stay, and so do devices and pipes. @throws {RangeError} for links in a circle; the errors of looking at files */
export function destinationOf(path: string): Destination {
  let at = path;
  for (let links = 0; links < MOST_LINKS; links++) {
    let info: Deno.FileInfo;
    try {
      info = Deno.lstatSync(at);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return { path: at, part: `${at}.${crypto.randomUUID()}.part` };
      throw error;
    }
    if (!info.isSymlink) return { path: at, part: info.isFile ? `${at}.${crypto.randomUUID()}.part` : null };
    at = resolve(dirname(at), Deno.readLinkSync(at));
  }
  throw new RangeError(`${path}: more than ${MOST_LINKS} links follow each other; name a file`);
}

/** Tensors in the order in which a file holds their data. */
export function inFileOrder<T extends Pick<TensorPart, "dtype">>(tensors: readonly T[]): T[] {
  return [...tensors].sort((a, b) => b.dtype.bytes - a.dtype.bytes);
}

/** The header's bytes, its length included; `parts` are in the order of their data. */
export function safetensorsHeader(
  parts: readonly Omit<TensorPart, "read">[],
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let at = 0;
  for (const { name, dtype, shape } of parts) {
    const end = at + shape.reduce((n, size) => n * size, dtype.bytes);
    header.push([name, { dtype: safetensorsDtype(dtype), shape, data_offsets: [at, end] }]);
    at = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const length = Math.ceil(json.length / HEADER_ALIGNMENT) * HEADER_ALIGNMENT;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

/**
 * Writes tensors to a safetensors file.
 *
 * @throws {RangeError} for a tensor called `__metadata__`; {TypeError} for a dtype that the format has no name of; the errors of writing files
 */
export async function writeTensorParts(
  path: string,
  tensors: readonly TensorPart[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  if (tensors.some(({ name }) => name === "__metadata__")) {
    throw new RangeError('safetensors: a tensor cannot be called "__metadata__"');
  }
  const parts = inFileOrder(tensors);
  const header = safetensorsHeader(parts, metadata);
  const { path: end, part } = destinationOf(path);
  const file = await Deno.open(part ?? end, { write: true, createNew: part !== null });
  try {
    try {
      const writer = file.writable.getWriter();
      await writer.write(header);
      for (const { read } of parts) await writer.write(await read());
      await writer.close();
    } catch (error) {
      // The stream closes the file when it fails; closing twice is what is ignored here.
      try {
        file.close();
      } catch { /* closed already */ }
      throw error;
    }
    if (part !== null) await Deno.rename(part, end);
  } catch (error) {
    if (part !== null) await Deno.remove(part).catch(() => {});
    throw error;
  }
}
