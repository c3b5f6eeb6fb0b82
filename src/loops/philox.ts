/**
 * Philox4x32-10: random bits as a pure function of a key and a counter.
 *
 * One word of the stream is asked for by seed, stream and position, as in {@linkcode PhiloxValue}: key words are the low and high half of the seed,
 * counter words the halves of position div 4 and of the stream, and the position mod 4 chooses one of the four output words. All
 * arithmetic is on 32-bit integers, so every backend gives the same bits. After Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
 * easy as 1, 2, 3" (SC 2011); the same generator as PyTorch's on CUDA.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the unsigned product of two 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff, a1 = a >>> 16;
  const b0 = b & 0xffff, b1 = b >>> 16;
  // Partial products stay below 2^32 and their sums below 2^53, so doubles are exact.
  const low = a0 * b0;
  const mid = a1 * b0 + (low >>> 16);
  const mid2 = a0 * b1 + (mid % 0x10000);
  return (a1 * b1 + Math.floor(mid / 0x10000) + Math.floor(mid2 / 0x10000)) >>> 0;
}

/** Ten rounds of Philox4x32. Writes the four output words to `out`, as unsigned numbers. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const hi0 = mulHigh(M0, c0);
    const lo0 = Math.imul(M0, c0);
    const hi1 = mulHigh(M1, c2);
    const lo1 = Math.imul(M1, c2);
    c0 = (hi1 ^ c1 ^ k0) >>> 0;
    c1 = lo1 >>> 0;
    c2 = (hi0 ^ c3 ^ k1) >>> 0;
    c3 = lo0 >>> 0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

const block = new Uint32Array(4);
let blockSeed: number | bigint = 0;
let blockStream: number | bigint = 0;
let blockPosition = -1;

/** Low 32 bits of a 64-bit integer. */
function low(value: number | bigint): number {
  return typeof value === "bigint"
    ? Number(BigInt.asUintN(32, value))
    : value - Math.floor(value / 0x1_0000_0000) * 0x1_0000_0000;
}

/** High 32 bits of a 64-bit integer in two's complement. */
function high(value: number | bigint): number {
  return typeof value === "bigint" ? Number(BigInt.asUintN(32, value >> 32n)) : Math.floor(value / 0x1_0000_0000) >>> 0;
}

/** One random word, as an unsigned number. `position` is not negative. Neighbouring positions share one evaluation. */
export function philoxWord(seed: number | bigint, stream: number | bigint, position: number | bigint): number {
  const word = typeof position === "bigint" ? Number(position & 3n) : position % 4;
  const counter = typeof position === "bigint" ? position >> 2n : Math.floor(position / 4);
  if (typeof counter === "number" && counter === blockPosition && seed === blockSeed && stream === blockStream) {
    return block[word] ?? 0;
  }
  philox4x32([low(counter), high(counter), low(stream), high(stream)], [low(seed), high(seed)], block);
  blockSeed = seed;
  blockStream = stream;
  blockPosition = typeof counter === "number" ? counter : -1;
  return block[word] ?? 0;
}
