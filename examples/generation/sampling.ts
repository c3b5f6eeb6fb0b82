/**
 * The choice of the next token from a decoder's logits: temperature, the k best (Fan et al. 2018), the nucleus (Holtzman et al. 2019).
 */

/** How tokens are chosen. */
export interface SamplingOptions {
  /** Divides the logits; 0 takes the best token always. Default 1. */
  readonly temperature?: number;
  /** Only the k best; 0: all. Default 0. */
  readonly topK?: number;
  /** Only the best ones that together have this probability. Default 1. */
  readonly topP?: number;
}

/** Checks options. @throws {RangeError} naming the one that is out of range. */
export function checkSampling({ temperature = 1, topK = 0, topP = 1 }: SamplingOptions): void {
  if (!(temperature >= 0)) throw new RangeError(`temperature must be 0 or more, got ${temperature}`);
  if (!Number.isInteger(topK) || topK < 0) throw new RangeError(`topK must be a whole number from 0, got ${topK}`);
  if (!(topP > 0 && topP <= 1)) throw new RangeError(`topP must be above 0 and at most 1, got ${topP}`);
}

function best(logits: ArrayLike<number>): number {
  let at = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] ?? 0) > (logits[at] ?? 0)) at = i;
  return at;
}

/**
 * A token.
 *
 * @param logits One number a token.
 * @param u A random number in [0, 1) that decides.
 */
export function sampleToken(logits: ArrayLike<number>, options: SamplingOptions, u: number): number {
  const { temperature = 1, topK = 0, topP = 1 } = options;
  if (temperature === 0 || logits.length === 0) return best(logits);
  const top = logits[best(logits)] ?? 0;
  // Probabilities up to a common factor; the best has 1, so nothing overflows.
  const weights = Float64Array.from(logits, (v) => Math.exp((v - top) / temperature));
  let candidates = Uint32Array.from(weights, (_, i) => i);
  if ((topK > 0 && topK < weights.length) || topP < 1) {
    candidates.sort((a, b) => (weights[b] ?? 0) - (weights[a] ?? 0) || a - b);
    if (topK > 0) candidates = candidates.subarray(0, topK);
    if (topP < 1) {
      const enough = topP * candidates.reduce((sum, i) => sum + (weights[i] ?? 0), 0);
      let sum = 0;
      candidates = candidates.subarray(0, 1 + candidates.findIndex((i) => (sum += weights[i] ?? 0) >= enough));
    }
  }
  let left = u * candidates.reduce((sum, i) => sum + (weights[i] ?? 0), 0);
  for (const i of candidates) {
    left -= weights[i] ?? 0;
    if (left < 0) return i;
  }
  return candidates.at(-1) ?? 0;
}
