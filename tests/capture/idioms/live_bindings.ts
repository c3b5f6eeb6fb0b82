/** A module whose exported variable changes: importers see it live. */

/** Changes by {@linkcode setFactor}. */
export let factor = 2;

/** Never changes. */
export const offset = 1;

/** Assigns {@linkcode factor}. */
export function setFactor(value: number): void {
  factor = value;
}

/** Settings that are one object for all. */
export const shared: { gain: number } = { gain: 1 };
