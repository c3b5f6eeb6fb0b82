/**
 * What is told where a trace ended in an error that is not the function's own: why, and what helps.
 */
import { MissingRuleError } from "../autograd/mod.ts";
import { GraphBreak } from "./graph_break.ts";

/** Whether the stack was full. */
export function isEndless(error: unknown): boolean {
  return error instanceof RangeError && error.message.includes("Maximum call stack size exceeded");
}

/** The break that stands for an error of a trace. */
export function breakOfError(error: unknown): GraphBreak {
  if (isEndless(error)) {
    return new GraphBreak("functions call each other too deeply for a trace", "write the recursion as a loop", null);
  }
  if (error instanceof MissingRuleError) return new GraphBreak(error.reason, error.remedy, null);
  const text = error instanceof Error ? error.message : String(error);
  return new GraphBreak(
    `it failed while it was traced (${text})`,
    "report this, or call it outside of the compiled function",
    null,
  );
}
