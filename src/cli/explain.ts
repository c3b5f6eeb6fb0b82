/**
 * Finds a script's exported function and its inputs, for `explain`.
 *
 * The script is a module of the user's: it exports the function and, under `inputs`, an array of arguments or a function that makes
 * one. It runs with the permissions of this process, as any program does.
 */
import { checkReadable, toFileUrl } from "./paths.ts";
import { UsageError } from "./output.ts";

/** A function to be explained, and what to call it with. */
export interface Target {
  readonly name: string;
  /** The module. */
  readonly url: string;
  readonly fn: (...args: never[]) => unknown;
  readonly inputs: readonly unknown[];
}

/**
 * Loads `SCRIPT#export`; without `#export`, the default export.
 *
 * @throws {Error} if there is no such script; {UsageError} if its export is missing, or is no function
 */
export async function loadTarget(spec: string): Promise<Target> {
  const at = spec.lastIndexOf("#");
  const path = at < 0 ? spec : spec.slice(0, at);
  const name = at < 0 ? "default" : spec.slice(at + 1);
  const url = toFileUrl(path);
  checkReadable("explain", path, url);
  const module = await import(url.href) as Readonly<Record<string, unknown>>;
  const fn = module[name];
  if (typeof fn !== "function") {
    const functions = Object.keys(module).filter((key) => typeof module[key] === "function" && key !== "inputs");
    throw new UsageError(
      `explain: ${path} exports no function "${name}"; it exports ${
        functions.join(", ") || "none"
      }: write ${path}#NAME`,
    );
  }
  const given = module["inputs"];
  const inputs: unknown = typeof given === "function" ? await given() : given ?? [];
  if (!Array.isArray(inputs)) {
    throw new UsageError(`explain: "inputs" of ${path} must be an array of arguments, or a function that returns one`);
  }
  if (given === undefined && fn.length > 0) {
    throw new UsageError(
      `explain: ${name} takes ${fn.length} arguments, but ${path} does not export them: export const inputs = () => [randn([8, 4])]`,
    );
  }
  return { name, url: url.href, fn: fn as Target["fn"], inputs };
}
