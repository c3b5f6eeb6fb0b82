/**
 * What readers of files say when a file is not as its format wants it.
 */

/** Something about a file is not as its format says. Names the file and the place in it. */
export class FormatError extends Error {
  override readonly name: string = "FormatError";
}

/** Shows a name from a file: quoted, cut, control characters escaped. */
export function quoteName(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
}
