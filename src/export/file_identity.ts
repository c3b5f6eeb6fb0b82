/**
 * Which file a model was read from: what is kept of a model belongs to a file as it was before it was read.
 */

/** Place, size, times and inode of a file as text; null if there is no such file. Another one, or one that was written to, has another text. */
export function fileIdentity(path: string): string | null {
  try {
    const { size, mtime, ctime, ino, dev } = Deno.statSync(path);
    // Whoever copies a file may set the time of its content, never the time of its inode.
    return JSON.stringify([Deno.realPathSync(path), size, mtime?.getTime() ?? 0, ctime?.getTime() ?? 0, ino ?? 0, dev]);
  } catch {
    return null;
  }
}
