/**
 * Why a function could not be captured in one piece.
 *
 * A {@linkcode GraphBreak} is thrown where the trace cannot go on: a scalar leaves it, JavaScript does something that a graph cannot
 * repeat. It names the user's line, the reason and the remedy. The call then runs in segments (`segments.ts`), whose ends are described by the same class.
 */
import { CompileError } from "../core/mod.ts";
import type { SourceLocation } from "../graph/mod.ts";
import { originalLocation } from "./program_text.ts";

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

/** What to do where data leave the graph. */
export const DATA_REMEDY =
  "keep the value a tensor (where(), masks, 0-dim tensors), or read it outside of the compiled function";

/** What to do where the shape of a result depends on data. */
export const SHAPE_REMEDY =
  "use a form with a fixed shape (a mask with where, say), or call it outside of the compiled function";

/** A tensor where JavaScript asks whether something is true. */
export const CONDITION_REASON =
  "a tensor decides a condition (if, ?:, !, && or ||), and JavaScript takes every tensor for true";

/** What to do where a tensor decides a condition. */
export const CONDITION_REMEDY = "read its data with item(), or choose with cond() or where()";

/** Files of Tessera itself, which are never the user's line. */
const LIBRARY = new URL("../", import.meta.url).href;

/** The line of the user's program that is running: the innermost frame outside of Tessera. Reading a stack is slow. */
export function userLocation(): SourceLocation | null {
  return userFrames(stackHere())[0] ?? null;
}

/** Files of the user's program that are running, innermost first. */
export function userFiles(): string[] {
  return [...new Set(userFrames(stackHere()).map((f) => f.file))];
}

/** A place in the program whose file and line are worked out when somebody asks: V8 keeps a stack cheaply and prints it slowly. */
class LazyLocation implements SourceLocation {
  #stack: Error | null;
  #found: SourceLocation | null = null;

  constructor(stack: Error) {
    this.#stack = stack;
  }

  #resolve(): SourceLocation {
    if (this.#stack !== null) {
      this.#found = userFrames(this.#stack)[0] ?? null;
      this.#stack = null;
    }
    return this.#found ?? NOWHERE;
  }

  get file(): string {
    return this.#resolve().file;
  }

  get line(): number {
    return this.#resolve().line;
  }

  get column(): number {
    return this.#resolve().column;
  }

  get functionName(): string {
    return this.#resolve().functionName;
  }
}

const NOWHERE: SourceLocation = { file: "", line: 0, column: 0, functionName: "" };

/** Notes the running line; its fields are empty if only Tessera's own code is running. */
export function noteLocation(): SourceLocation {
  return new LazyLocation(stackHere());
}

function stackHere(): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 40;
  const stack = new Error();
  Error.stackTraceLimit = limit;
  return stack;
}

/** Lines before the text of a rebuilt function: two that `new Function` writes, and one of its own. */
const REBUILT_LINES = 3;

const FRAME = /^\s+at (?:(?:async )?(.+?) \()?((?:file|https?|jsr|npm|data|tessera-capture):.*?):(\d+):(\d+)\)?$/;

/** The user's frames of a stack, innermost first. */
function userFrames(error: Error): SourceLocation[] {
  const out: SourceLocation[] = [];
  for (const line of (error.stack ?? "").split("\n").slice(1)) {
    const match = FRAME.exec(line);
    if (match === null) continue;
    const file = match[2] ?? "";
    if (file.startsWith(LIBRARY)) continue;
    const again = /^tessera-capture:([\w$]+#\d+)/.exec(file);
    if (again !== null) {
      const original = originalLocation(again[1] ?? "", Number(match[3]) - REBUILT_LINES, Number(match[4]));
      if (original !== null) out.push(original);
      continue;
    }
    out.push({ file, line: Number(match[3]), column: Number(match[4]), functionName: match[1] ?? "" });
  }
  return out;
}
