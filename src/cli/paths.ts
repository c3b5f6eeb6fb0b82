/**
 * Paths as a user writes them: what stands there is checked before time is spent on what is read from or written to it.
 */

/** The URL of a path, relative to the present folder. */
export function toFileUrl(path: string): URL {
  if (path.startsWith("file://")) return new URL(path);
  const encoded = encodeURI(path).replaceAll("?", "%3F").replaceAll("#", "%23");
  return new URL(encoded, `file://${encodeURI(Deno.cwd())}/`);
}

/** What stands at a path: null if nothing does; "unknown" where the system does not say (links in a circle, no permission): who opens it will tell. */
function statOf(path: string | URL): Deno.FileInfo | null | "unknown" {
  try {
    return Deno.statSync(path);
  } catch (error) {
    return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ? null : "unknown";
  }
}

/**
 * Checks that a file that was named stands there (at `url`, if that is not what the path says).
 *
 * @throws {Error} if there is nothing, or a folder
 */
export function checkReadable(what: string, path: string, url?: URL): void {
  const found = statOf(url ?? path);
  if (found === null) throw new Error(`${what}: there is no file ${path}`);
  if (found !== "unknown" && found.isDirectory) throw new Error(`${what}: ${path} is a folder, not a file`);
}

/**
 * Checks that a file can stand where it is to be written, before time is spent on what will be in it.
 *
 * @throws {Error} if its folder is missing, or the path is a folder itself
 */
export function checkWritable(what: string, path: string): void {
  const there = statOf(path);
  if (there === "unknown") return;
  if (there?.isDirectory === true) throw new Error(`${what}: ${path} is a folder: name a file`);
  const slash = path.lastIndexOf("/");
  const folder = slash < 0 ? "." : slash === 0 ? "/" : path.slice(0, slash);
  const around = statOf(folder);
  if (around === null || around !== "unknown" && !around.isDirectory) {
    throw new Error(`${what}: ${path} cannot be written: there is no folder ${folder}`);
  }
}

/**
 * Checks that the files of a run are there, and its results' folder, before anything is compiled.
 *
 * @throws {Error} naming the flag and what is missing
 */
export function checkFiles(
  model: string,
  { inputs, outputs }: { readonly inputs?: string | null; readonly outputs?: string | null },
): void {
  checkReadable("run", model);
  if (typeof inputs === "string") checkReadable("run: --inputs", inputs);
  if (typeof outputs === "string") checkWritable("run: --outputs", outputs);
}
