/** Writes zip files, right and wrong, for tests: every field of an entry can be overridden. */
import { crc32, deflateRawSync } from "node:zlib";

/** An entry and the lies about it. */
export interface TestEntry {
  readonly name: string;
  readonly data: Uint8Array | string;
  readonly deflate?: boolean;
  readonly crc?: number;
  readonly size?: number;
  readonly packedSize?: number;
  readonly localName?: string;
  readonly method?: number;
  readonly flags?: number;
  /** Put no data of its own into the file: point to the entry of this index. */
  readonly sameAs?: number;
}

function le(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) % 256);
}

/** The bytes of a zip file. */
export function zip(entries: readonly TestEntry[]): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  const directory: number[] = [];
  const offsets: number[] = [];
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
  for (const entry of entries) {
    const data = typeof entry.data === "string" ? encode(entry.data) : entry.data;
    const packed = entry.deflate === true ? new Uint8Array(deflateRawSync(data)) : data;
    const method = entry.method ?? (entry.deflate === true ? 8 : 0);
    const common = (name: Uint8Array): number[] => [
      ...le(entry.flags ?? 0x800, 2),
      ...le(method, 2),
      ...le(0, 4),
      ...le(entry.crc ?? crc32(data), 4),
      ...le(entry.packedSize ?? packed.length, 4),
      ...le(entry.size ?? data.length, 4),
      ...le(name.length, 2),
      ...le(0, 2),
    ];
    const name = encode(entry.name), localName = encode(entry.localName ?? entry.name);
    offsets.push(entry.sameAs === undefined ? out.length : offsets[entry.sameAs] ?? 0);
    if (entry.sameAs === undefined) {
      out.push(...le(0x04034b50, 4), ...le(20, 2), ...common(localName), ...localName, ...packed);
    }
    directory.push(
      ...le(0x02014b50, 4),
      ...le(20, 2),
      ...le(20, 2),
      ...common(name),
      ...le(0, 10),
      ...le(offsets.at(-1) ?? 0, 4),
      ...name,
    );
  }
  const at = out.length;
  out.push(...directory, ...le(0x06054b50, 4), ...le(0, 4), ...le(entries.length, 2), ...le(entries.length, 2));
  out.push(...le(directory.length, 4), ...le(at, 4), ...le(0, 2));
  return new Uint8Array(out);
}
