/**
 * Asynchronous calls in segments: the mode of a call is in force again when it goes on after an `await`.
 *
 * JavaScript says nowhere that a function goes on, but it carries a context along; an `AsyncLocalStorage` tells which call is running. While no such call is
 * under way, nothing is asked. What other code does in between finds the open segment as pending work at the memory it touches, so that the order of
 * effects is the program's.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { activeMode, setAsyncMode } from "../tensor/mod.ts";
import { noteResult } from "./segment_end.ts";
import type { SegmentMode } from "./segment_mode.ts";

const running = new AsyncLocalStorage<SegmentMode>();
let calls = 0;

function currentCall(): SegmentMode | null {
  const mode = running.getStore();
  return mode === undefined || mode.isClosed ? null : mode;
}

function begin(): void {
  if (calls++ === 0) setAsyncMode(currentCall);
}

function finish(mode: SegmentMode): void {
  if (--calls === 0) setAsyncMode(null);
  mode.close();
}

/** Runs a call whose operators are recorded by `mode` until its promise is settled. */
export function runAsyncCall(mode: SegmentMode, call: () => unknown): unknown {
  // Under another mode the call is part of what that one records.
  if (activeMode() !== null) return call();
  begin();
  let result: unknown;
  try {
    result = running.run(mode, call);
  } catch (error) {
    finish(mode);
    throw error;
  }
  if (!(result instanceof Promise)) {
    finish(mode);
    return result;
  }
  mode.endSegment({
    reason: "the function awaits",
    remedy: "await outside of the compiled function, or accept the cut",
  });
  return result.then((value: unknown) => {
    finish(mode);
    noteResult(value);
    return value;
  }, (error: unknown) => {
    finish(mode);
    throw error;
  });
}
