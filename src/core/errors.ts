/**
 * Errors and checks shared by all layers.
 *
 * `TypeError` is for wrong types or shapes, `RangeError` for values out of range; own classes exist only where callers catch
 * them. A message gives the operator, what met, and what to do.
 */

/** An internal invariant is broken: a fault of Tessera, never of its caller. */
export class InternalError extends Error {
  override readonly name: string = "InternalError";
}

/** A verifier found that an IR breaks one of its invariants. */
export class VerifyError extends InternalError {
  override readonly name: string = "VerifyError";
}

/** A compiled function cannot be captured, compiled or loaded as asked (for example under `fullgraph`). */
export class CompileError extends Error {
  override readonly name: string = "CompileError";
}

/** Throws {@linkcode InternalError} unless `condition` holds. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InternalError(message);
}

/** Returns `value`, or throws {@linkcode InternalError} if it is null or undefined. */
export function expectDefined<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new InternalError(`${what} is missing`);
  return value;
}

/**
 * Resolves a possibly negative axis.
 *
 * @throws {RangeError} if `axis` is outside [-rank, rank).
 */
export function normalizeAxis(axis: number, rank: number, where: string): number {
  const bound = Math.max(rank, 1);
  if (!Number.isInteger(axis) || axis < -bound || axis >= bound) {
    throw new RangeError(
      `${where}: dimension ${axis} is out of range for a tensor with ${rank} dimension${
        rank === 1 ? "" : "s"
      }: use ${-bound} to ${bound - 1}`,
    );
  }
  return axis < 0 ? axis + bound : axis;
}

/** Resolves several axes; an axis may not occur twice. */
export function normalizeAxes(axes: readonly number[], rank: number, where: string): number[] {
  const out = axes.map((axis) => normalizeAxis(axis, rank, where));
  if (new Set(out).size !== out.length) {
    throw new RangeError(`${where}: dimension appears twice in [${axes.join(", ")}]: name each once`);
  }
  return out;
}

/** Prints a shape as PyTorch does: `[2, 3]`. */
export function shapeText(shape: readonly { toString(): string }[]): string {
  return `[${shape.map(String).join(", ")}]`;
}
