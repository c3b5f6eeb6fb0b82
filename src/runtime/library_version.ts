/**
 * Which Tessera this is: part of the key of everything that is kept beyond the process.
 *
 * A published version is named by its address. A working copy is named by the names, sizes and times of its files, so that an edit makes everything anew. Looked at once a process.
 */
import { sha256 } from "./disk_cache.ts";

/** Raise it when the meaning of stored things changes in a way that files do not show. */
const FORMAT = "2";

/** Folders that decide what is captured and compiled; the others only use it. */
const LAYERS = [
  "core",
  "symbolic",
  "graph",
  "loops",
  "blocks",
  "runtime",
  "ops",
  "tensor",
  "autograd",
  "nn",
  "optim",
  "data",
  "capture",
  "aot_autograd",
  "inductor",
  "export",
];

let known: { readonly version: string | null } | null = null;

function read(): string | null {
  const root = new URL("../", import.meta.url);
  if (root.protocol !== "file:") return `${FORMAT},${root.href}`;
  const parts: string[] = [FORMAT];
  // Paths as text: making a URL of each would take longer than asking for the file.
  const visit = (folder: string): void => {
    for (const entry of Deno.readDirSync(folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) visit(path);
      else {
        const { size, mtime } = Deno.lstatSync(path);
        parts.push(`${path}:${size}:${mtime?.getTime() ?? 0}`);
      }
    }
  };
  try {
    const base = decodeURIComponent(root.pathname).replace(/^\/(?=[A-Za-z]:)/, "");
    for (const layer of LAYERS) visit(base + layer);
    visit(`${base}../native/cpu`);
  } catch (error) {
    // Without permission to read our own files there is no telling whether an entry is ours.
    if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  return sha256(parts.sort().join(","));
}

/** A text that differs between versions of Tessera; null if it cannot be found out. */
export function libraryVersion(): string | null {
  return (known ??= { version: read() }).version;
}
