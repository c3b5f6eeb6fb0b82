/**
 * Digits as text: two pixels a character.
 */
import { data } from "../../mod.ts";

/** An image with what it is and what it was taken for. */
export interface Mistake {
  /** 28 × 28 grey values in [0, 1], row-major. */
  readonly pixels: ArrayLike<number>;
  readonly label: number;
  readonly guess: number;
}

const CROP = 4;

/** One image without its empty border, as lines of half blocks. */
function drawOne({ pixels, label, guess }: Mistake): string[] {
  const size = data.DIGIT_SIZE;
  const isInk = (x: number, y: number): boolean => (pixels[y * size + x] ?? 0) > 0.4;
  const lines: string[] = [];
  for (let y = CROP; y < size - CROP; y += 2) {
    let line = "";
    for (let x = CROP; x < size - CROP; x++) {
      line += isInk(x, y) ? (isInk(x, y + 1) ? "█" : "▀") : isInk(x, y + 1) ? "▄" : " ";
    }
    lines.push(line);
  }
  return [...lines, `a ${label}, taken for a ${guess}`.padEnd(size - 2 * CROP)];
}

/** Images side by side. */
export function drawMistakes(mistakes: readonly Mistake[]): string {
  const columns = mistakes.map(drawOne);
  return (columns[0] ?? []).map((_, row) => columns.map((c) => (c[row] ?? "").padEnd(24)).join("  ").trimEnd()).join(
    "\n",
  );
}
