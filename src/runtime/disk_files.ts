/**
 * Files as the cache on disk handles them: listing, hashing and writing without holding them in memory.
 */
import { createHash } from "node:crypto";

/** SHA-256 in hex. */
export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Files are read and hashed in pieces of so many bytes. */
const PIECE_BYTES = 1 << 20;

/** SHA-256 of a file in hex, and its length. @throws the errors of reading */
export function hashFile(path: string): { readonly sha256: string; readonly bytes: number } {
  using file = Deno.openSync(path);
  const piece = new Uint8Array(PIECE_BYTES);
  const hash = createHash("sha256");
  let bytes = 0;
  for (;;) {
    const count = file.readSync(piece);
    if (count === null) return { sha256: hash.digest("hex"), bytes };
    hash.update(piece.subarray(0, count));
    bytes += count;
  }
}

/** Writes parts one after the other into a new file that is its owner's only. @throws the errors of writing */
export function writeParts(path: string, parts: readonly Uint8Array[]): void {
  using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  for (const part of parts) {
    for (let at = 0; at < part.length;) at += file.writeSync(part.subarray(at));
  }
}

/** SHA-256 of parts that follow each other, in hex. */
export function sha256OfParts(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** Files below a folder, links left out; empty if it is not there. */
export function* walk(directory: string): Generator<{ path: string; info: Deno.FileInfo }> {
  let files: Deno.DirEntry[];
  try {
    files = [...Deno.readDirSync(directory)];
  } catch {
    return;
  }
  for (const file of files) {
    const path = `${directory}/${file.name}`;
    if (file.isDirectory) {
      yield* walk(path);
    } else if (file.isFile) {
      try {
        yield { path, info: Deno.statSync(path) };
      } catch {
        // Another process took it.
      }
    }
  }
}

export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

export function readOrEmpty(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Gone already, or not ours to remove; the next look-up decides again.
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
