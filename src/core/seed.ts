/**
 * Seeds that nobody chose.
 */

/** A seed for generators that were given none: another one in each process. */
export function randomSeed(): bigint {
  return BigInt(Math.floor(Math.random() * 2 ** 52));
}
