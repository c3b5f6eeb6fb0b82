/**
 * Why a function could not be captured in one piece.
 *
 * A {@linkcode GraphBreak} is thrown where the trace cannot go on: a scalar leaves it, JavaScript does something that a graph cannot
 * repeat. It names the user's line, the reason and the remedy. Today a break sends the whole call to eager; the error carries
 * what a resumable break will need (where, and why).
 */
import { CompileError } from "../core/mod.ts";
import type { SourceLocation } from "../graph/mod.ts";

/** Thrown inside a trace where the graph ends. */
export class GraphBreak extends CompileError {
  override readonly name: string = "GraphBreak";
  readonly reason: string;
  readonly remedy: string;
  readonly location: SourceLocation | null;

  constructor(reason: string, remedy: string, location: SourceLocation | null = userLocation()) {
    const where = location === null ? "" : ` at ${location.file}:${location.line}:${location.column}`;
    super(`${reason}${where}; ${remedy}`);
    this.reason = reason;
    this.remedy = remedy;
    this.location = location;
  }
}

/** Files of Tessera itself, which are never the user's line. */
const LIBRARY = new URL("../", import.meta.url).href;

/** The line of the user's program that is running: the innermost frame outside of Tessera. */
export function userLocation(): SourceLocation | null {
  return userFrames()[Symbol.iterator]().next().value ?? null;
}

/** Files of the user's program that are running, innermost first. */
export function userFiles(): string[] {
  return [...new Set([...userFrames()].map((f) => f.file))];
}

function* userFrames(): Iterable<SourceLocation> {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  for (const line of stack.split("\n").slice(1)) {
    const match = /^\s+at (?:(?:async )?(.+?) \()?((?:file|https?|jsr|npm|data):.*?):(\d+):(\d+)\)?$/.exec(line);
    if (match === null) continue;
    const file = match[2] ?? "";
    if (file.startsWith(LIBRARY)) continue;
    yield {
      file,
      line: Number(match[3]),
      column: Number(match[4]),
      functionName: match[1] ?? "",
    };
  }
}
