/**
 * A zip file as named byte ranges of a mapped file.
 *
 * Enters: a path. Leaves: views of single entries, without a copy where they are stored (as PyTorch stores weights), inflated
 * within bounds where they are compressed. The central directory is read by yauzl; this file adds what a reader of
 * files from strangers needs: no two entries share a name or a byte, sizes and ratios are bounded before anything is inflated, and
 * every entry is checked against its CRC when it is first read.
 */
// @ts-types="npm:@types/yauzl@^2.10.3"
import { type Entry, fromRandomAccessReader, RandomAccessReader, type ZipFile } from "yauzl";
import { crc32, inflateRawSync } from "node:zlib";
import { CpuBuffer } from "../../runtime/cpu/memory.ts";
import { giveBackPages, mapFile } from "../../runtime/cpu/mapped_file.ts";
import { FormatError, quoteName } from "../format_error.ts";

export { FormatError, quoteName } from "../format_error.ts";

const LOCAL_HEADER = 0x04034b50;
const LOCAL_HEADER_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;

/** Bounds on what a file may ask for. */
export interface ZipLimits {
  /** Most entries. Default 1,000,000. */
  readonly entries?: number;
  /** Most bytes that one compressed entry may inflate to. Default 1 GiB. Stored entries cannot exceed the file. */
  readonly inflatedBytes?: number;
  /** Most bytes out for a byte in, beyond the first mebibyte. Default 200. */
  readonly ratio?: number;
}

/** One entry. */
export interface ZipEntry {
  readonly name: string;
  /** Size after inflating. */
  readonly size: number;
  readonly compressed: boolean;
}

interface Member extends ZipEntry {
  readonly offset: number;
  readonly packedSize: number;
  readonly crc: number;
}

/**
 * An open zip file.
 *
 * @example
 * ```ts ignore
 * const archive = await ZipArchive.open("model.pt2");
 * console.log(archive.names, archive.read("model/byteorder"));
 * ```
 */
export class ZipArchive {
  /** What errors call the file. */
  readonly label: string;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #members: ReadonlyMap<string, Member>;
  readonly #limits: Required<ZipLimits>;
  /** Entries that passed their CRC; inflated ones with their content. */
  readonly #verified = new Map<string, Uint8Array<ArrayBuffer>>();

  private constructor(
    label: string,
    bytes: Uint8Array<ArrayBuffer>,
    members: ReadonlyMap<string, Member>,
    limits: Required<ZipLimits>,
  ) {
    this.label = label;
    this.#bytes = bytes;
    this.#members = members;
    this.#limits = limits;
  }

  /**
   * Maps a zip file and reads its directory.
   *
   * @throws {FormatError} if the file is no zip, is cut off, or breaks a bound; {Deno.errors.NotFound} and the like.
   */
  static open(path: string, limits: ZipLimits = {}): Promise<ZipArchive> {
    return ZipArchive.from(mapFile(path).uint8, path, limits);
  }

  /** Reads a zip that is in memory already; the bytes must not change afterwards. */
  static async from(bytes: Uint8Array<ArrayBuffer>, label: string, limits: ZipLimits = {}): Promise<ZipArchive> {
    const bounds = { entries: 1_000_000, inflatedBytes: 2 ** 30, ratio: 200, ...limits };
    const members = new Map<string, Member>();
    let count = 0;
    try {
      for await (const entry of entriesOf(bytes)) {
        if (++count > bounds.entries) throw new FormatError(`more than ${bounds.entries} entries`);
        if (entry.fileName.endsWith("/")) continue;
        const member = memberOf(entry, bytes.length, bounds);
        if (members.has(member.name)) throw new FormatError(`the entry ${quoteName(member.name)} occurs twice`);
        members.set(member.name, member);
      }
      checkApart([...members.values()]);
    } catch (error) {
      if (error instanceof FormatError) throw new FormatError(`${label}: ${error.message}`);
      const reason = error instanceof Error ? error.message : String(error);
      throw new FormatError(`${label}: not a readable zip file: ${reason}`, { cause: error });
    }
    return new ZipArchive(label, bytes, members, bounds);
  }

  /** All entries in the order of the directory; folders are left out. */
  get entries(): ZipEntry[] {
    return [...this.#members.values()];
  }

  /** Names of all entries. */
  get names(): string[] {
    return [...this.#members.keys()];
  }

  /** Whether there is an entry of this name. */
  has(name: string): boolean {
    return this.#members.has(name);
  }

  /** The size of an entry. @throws {FormatError} if there is none. */
  size(name: string): number {
    return this.#member(name).size;
  }

  /**
   * The content of an entry: a view of the file where it is stored. Do not write to it unless you own the file's only reader.
   *
   * @throws {FormatError} if the entry is missing, cut off, or fails its CRC.
   */
  read(name: string): Uint8Array<ArrayBuffer> {
    const known = this.#verified.get(name);
    if (known !== undefined) return known;
    const member = this.#member(name);
    const packed = this.#packed(member);
    const content = member.compressed ? this.#inflate(member, packed) : packed;
    const crc = checksum(content);
    if (crc !== member.crc) {
      throw new FormatError(
        `${this.label}: entry ${quoteName(name)} is damaged: its CRC is ${hex(crc)}, the directory says ${
          hex(member.crc)
        }`,
      );
    }
    this.#verified.set(name, content);
    return content;
  }

  /** Where in the file an entry's bytes lie as they are; null for a compressed one. @throws {FormatError} as {@linkcode ZipArchive.read} but for the CRC */
  placeOf(name: string): { readonly offset: number; readonly byteLength: number } | null {
    const member = this.#member(name);
    if (member.compressed) return null;
    const bytes = this.#packed(member);
    return { offset: bytes.byteOffset - this.#bytes.byteOffset, byteLength: bytes.byteLength };
  }

  /** The content of an entry as UTF-8 text. */
  readText(name: string): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.read(name));
    } catch (error) {
      if (error instanceof FormatError) throw error;
      throw new FormatError(`${this.label}: entry ${quoteName(name)} is not UTF-8 text`, { cause: error });
    }
  }

  #member(name: string): Member {
    const member = this.#members.get(name);
    if (member === undefined) throw new FormatError(`${this.label}: there is no entry ${quoteName(name)}`);
    return member;
  }

  /** The bytes of an entry as they lie in the file. */
  #packed(member: Member): Uint8Array<ArrayBuffer> {
    const { offset, packedSize } = member;
    const where = `${this.label}: entry ${quoteName(member.name)}`;
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    if (view.getUint32(offset, true) !== LOCAL_HEADER) throw new FormatError(`${where}: no local header at ${offset}`);
    const nameLength = view.getUint16(offset + 26, true);
    const nameStart = offset + LOCAL_HEADER_BYTES;
    const start = nameStart + nameLength + view.getUint16(offset + 28, true);
    if (start + packedSize > this.#bytes.length) throw new FormatError(`${where}: its data end behind the file`);
    const localName = new TextDecoder().decode(this.#bytes.subarray(nameStart, nameStart + nameLength));
    if (localName !== member.name) throw new FormatError(`${where}: its local header calls it ${quoteName(localName)}`);
    return this.#bytes.subarray(start, start + packedSize);
  }

  #inflate(member: Member, packed: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const where = `${this.label}: entry ${quoteName(member.name)}`;
    let content: Uint8Array<ArrayBuffer>;
    try {
      content = new Uint8Array(inflateRawSync(packed, { maxOutputLength: Math.max(1, this.#limits.inflatedBytes) }));
    } catch (error) {
      throw new FormatError(`${where} cannot be inflated: ${error instanceof Error ? error.message : error}`);
    }
    if (content.length !== member.size) {
      throw new FormatError(`${where} inflates to ${content.length} bytes, the directory says ${member.size}`);
    }
    return content;
  }
}

/** Reads from memory. Node's `Buffer` cannot copy from positions beyond 4 GiB; typed arrays can. */
class MemoryReader extends RandomAccessReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super();
    this.#bytes = bytes;
  }

  override read(
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    const part = this.#bytes.subarray(position, position + length);
    target.set(part, offset);
    // As a read from a file would, answer later: yauzl recurses otherwise.
    queueMicrotask(() => callback(part.length === length ? null : new Error("unexpected EOF"), part.length));
  }
}

/** The entries of the central directory, one at a time. */
async function* entriesOf(bytes: Uint8Array<ArrayBuffer>): AsyncGenerator<Entry> {
  const file = await new Promise<ZipFile>((resolve, reject) => {
    const options = { lazyEntries: true, autoClose: false };
    fromRandomAccessReader(new MemoryReader(bytes), bytes.length, options, (error, opened) => {
      if (error === null) resolve(opened);
      else reject(error);
    });
  });
  for (;;) {
    const entry = await new Promise<Entry | null>((resolve, reject) => {
      const done = (act: () => void): void => {
        file.removeAllListeners();
        act();
      };
      file.once("entry", (next: Entry) => done(() => resolve(next)));
      file.once("end", () => done(() => resolve(null)));
      file.once("error", (error: Error) => done(() => reject(error)));
      file.readEntry();
    });
    if (entry === null) return;
    yield entry;
  }
}

/** The CRC, in pieces, so that a large file is never in memory as a whole. */
function checksum(bytes: Uint8Array<ArrayBuffer>): number {
  const step = 2 ** 25;
  let crc = 0;
  for (let at = 0; at < bytes.length; at += step) {
    const piece = bytes.subarray(at, at + step);
    crc = crc32(piece, crc);
    // Nobody has this content yet, and much of it may not be asked for soon.
    giveBackPages(piece);
  }
  return crc;
}

function hex(crc: number): string {
  return `0x${crc.toString(16).padStart(8, "0")}`;
}

function memberOf(entry: Entry, fileSize: number, limits: Required<ZipLimits>): Member {
  const { fileName: name, compressedSize: packedSize, uncompressedSize: size, compressionMethod } = entry;
  const offset = entry.relativeOffsetOfLocalHeader;
  const where = `entry ${quoteName(name)}`;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f\\]/.test(name)) throw new FormatError(`${where}: its name has control characters or backslashes`);
  if ((entry.generalPurposeBitFlag & 1) !== 0) throw new FormatError(`${where} is encrypted`);
  if (compressionMethod !== STORED && compressionMethod !== DEFLATED) {
    throw new FormatError(`${where}: compression method ${compressionMethod} is not supported; use stored or deflate`);
  }
  for (const value of [offset, packedSize, size]) {
    if (!Number.isSafeInteger(value) || value < 0) throw new FormatError(`${where}: a size is out of range (${value})`);
  }
  if (offset + LOCAL_HEADER_BYTES + packedSize > fileSize) {
    throw new FormatError(`${where} lies behind the end of the file`);
  }
  const compressed = compressionMethod === DEFLATED;
  if (!compressed && packedSize !== size) throw new FormatError(`${where}: stored, but its two sizes differ`);
  if (compressed && size > limits.inflatedBytes) {
    throw new FormatError(`${where} would inflate to ${size} bytes, more than the bound of ${limits.inflatedBytes}`);
  }
  if (compressed && size > 2 ** 20 + packedSize * limits.ratio) {
    throw new FormatError(`${where} is compressed more than ${limits.ratio} to 1, which only zip bombs are`);
  }
  return { name, offset, packedSize, size, compressed, crc: entry.crc32 >>> 0 };
}

/** Entries that share bytes are how a small file claims a large content. */
function checkApart(members: Member[]): void {
  members.sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < members.length; i++) {
    const before = members[i - 1], here = members[i];
    if (before === undefined || here === undefined) continue;
    if (before.offset + LOCAL_HEADER_BYTES + before.packedSize > here.offset) {
      throw new FormatError(`the entries ${quoteName(before.name)} and ${quoteName(here.name)} overlap`);
    }
  }
}

/** Bytes as a buffer whose elements are aligned: a view where the bytes are, else a copy. */
export function alignedBuffer(bytes: Uint8Array<ArrayBuffer>, alignment: number): CpuBuffer {
  return CpuBuffer.wrap(bytes.byteOffset % alignment === 0 ? bytes : bytes.slice());
}
