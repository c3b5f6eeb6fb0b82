/**
 * What calls rely on without looking again.
 *
 * A compiled call depends on a few facts of each parameter: where its memory is, whether gradients flow to it. They hardly ever change, and to look at hundreds of objects, each some cache lines away,
 * costs more than the rest of a call. So who relies on such a fact marks its object and remembers how many changes there were so far; who changes it on a marked object counts one more. While
 * the count stands still, so do the facts. Objects that nobody marked change without being counted: what comes and goes with each call disturbs nobody.
 */

let changes = 0;

/** Counts a change of a marked object: everybody looks again. */
export function countChange(): void {
  changes++;
}

/** Facts of many objects that are found once and hold until something marked changes. */
export class Reliance {
  /** The count when all facts were found and their objects marked; negative before. */
  #since = -1;
  /** The count at the last look. */
  #seen = -1;

  /** Whether nothing that is relied on can have changed. */
  get holds(): boolean {
    return this.#since === changes;
  }

  /**
   * To be asked before each look at the facts: whether nothing was counted since the look before. If so, the look should mark the objects and end with
   * {@linkcode Reliance.settle}; where changes come as often as calls, marking would cost more than it saves.
   */
  isCalm(): boolean {
    const calm = this.#seen === changes;
    this.#seen = changes;
    return calm;
  }

  /** Something else stands where the facts were kept: the next look finds them anew. */
  drop(): void {
    this.#since = -1;
  }

  /** All facts were found, and their objects are marked. What was counted during the look makes the next one look again. */
  settle(): void {
    if (this.#seen === changes) this.#since = changes;
  }
}
