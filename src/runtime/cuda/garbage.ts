/**
 * Asks V8 to collect, for device memory whose owners are small JavaScript objects, and finds out at once what died.
 *
 * V8 sees a few hundred bytes where a gigabyte of device memory hangs, so it has no reason to collect. Callbacks of a FinalizationRegistry run only when the
 * event loop turns, which a loop that never awaits does not let happen; a WeakRef tells at once, but its target lives until the end of the job. Evaluating anything in a
 * context with microtasks of its own ends what V8 counts as the job, so that a collection after it finds all that nobody reaches: {@linkcode DeathWatch} then knows.
 */

import v8 from "node:v8";
import vm from "node:vm";

let collector: (() => void) | null | undefined;

function findCollector(): (() => void) | null {
  try {
    // The flag adds the function to contexts made after it.
    v8.setFlagsFromString("--expose-gc");
    const found: unknown = vm.runInNewContext("gc");
    if (typeof found !== "function") return null;
    const context = vm.createContext({}, { microtaskMode: "afterEvaluate" });
    return () => {
      vm.runInContext("0", context);
      found();
    };
  } catch {
    return null;
  }
}

/** Collects garbage now. Returns false if this V8 does not let itself be asked. */
export function collectGarbage(): boolean {
  if (collector === undefined) collector = findCollector();
  if (collector === null) return false;
  collector();
  return true;
}

interface Watched<T> {
  readonly target: WeakRef<object>;
  readonly what: T;
}

/** Knows what belongs to objects that a collection has found dead, without waiting for the event loop. */
export class DeathWatch<T> {
  #watched: Watched<T>[] = [];
  #room = 1024;
  readonly #isOver: (what: T) => boolean;

  /** @param isOver tells whether something needs no watching any more */
  constructor(isOver: (what: T) => boolean) {
    this.#isOver = isOver;
  }

  /** `what` belongs to `target`, which it must not hold. */
  watch(target: object, what: T): void {
    if (this.#watched.length >= this.#room) {
      this.#watched = this.#watched.filter((w) => !this.#isOver(w.what));
      this.#room = Math.max(1024, 2 * this.#watched.length);
    }
    this.#watched.push({ target: new WeakRef(target), what });
  }

  /** What belonged to targets that are gone; each is named once. */
  dead(): T[] {
    const gone: T[] = [];
    this.#watched = this.#watched.filter((w) => {
      if (this.#isOver(w.what)) return false;
      if (w.target.deref() !== undefined) return true;
      gone.push(w.what);
      return false;
    });
    return gone;
  }
}
