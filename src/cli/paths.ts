/**
 * Paths as a user writes them.
 */

/** The URL of a path, relative to the present folder. */
export function toFileUrl(path: string): URL {
  if (path.startsWith("file://")) return new URL(path);
  const encoded = encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23");
  return new URL(encoded, `file://${encodeURI(Deno.cwd())}/`);
}
