/**
 * What a program needs and Tessera lacks: collected while reading, listed by `inspect`, thrown when the program is run.
 */
import { CompileError } from "../../core/mod.ts";
import type { SourceLocation } from "../../graph/mod.ts";

/** One reason why a program cannot run. */
export interface Problem {
  /** The call's target as the file writes it, without `torch.ops.`. */
  readonly target: string;
  readonly reason: string;
  /** How many nodes have it. */
  count: number;
  /** Where the first of them stands in the user's source. */
  readonly location: SourceLocation | null;
  readonly stackTrace: string | null;
}

/** A program uses what Tessera cannot run. `problems` says what, and where it stands in the user's source. */
export class UnsupportedError extends CompileError {
  override readonly name: string = "UnsupportedError";
  readonly problems: readonly Problem[];

  constructor(label: string, problems: readonly Problem[]) {
    const lines = problems.slice(0, 50).map((p) => `  ${problemToText(p)}`);
    if (problems.length > 50) lines.push(`  and ${problems.length - 50} more`);
    super(`${label} cannot run: ${problems.length} things it uses are not supported\n${lines.join("\n")}`);
    this.problems = problems;
  }
}

/** Text from a file as it may be printed: without characters that steer a terminal. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/g, "?");
}

/** `aten.foo.default: not in the operator table (3 times, first at model.py:12)`. */
export function problemToText({ target, reason, count, location }: Problem): string {
  const where = location === null ? "" : `, ${count > 1 ? "first " : ""}at ${location.file}:${location.line}`;
  return printable(`${target}: ${reason} (${count === 1 ? "once" : `${count} times`}${where})`);
}

/** Problems by target and reason. */
export class Problems {
  readonly #byKey = new Map<string, Problem>();

  add(target: string, reason: string, location: SourceLocation | null, stackTrace: string | null): void {
    const key = `${target}\n${reason}`;
    const known = this.#byKey.get(key);
    if (known !== undefined) known.count++;
    else this.#byKey.set(key, { target, reason, count: 1, location, stackTrace });
  }

  get all(): Problem[] {
    return [...this.#byKey.values()];
  }
}
