/**
 * What a kernel says that met a value it cannot take: an index outside of its dimension, or one of the conditions that operators state of their data.
 *
 * Kernels report two numbers, an index and the size that it broke. A condition on data is stated as an index too: 0 where it holds, and where it does not one that no
 * dimension has; so every executor checks it as it checks indices. Mirrors the TORCH_CHECKs inside of ATen's kernels for the CPU.
 */

/** A size that stands for a condition, not for a dimension. */
export const CONDITION_SIZE = 2 ** 30 + 7;

/** The conditions, and what is said where they do not hold. */
const CONDITIONS = {
  divisor: "an integer is divided by 0: mask divisors of 0, or convert to a floating point dtype",
  probability: "an element of the input is not between 0 and 1: apply sigmoid before, or use the form with logits",
  target: "an element of the target is not between 0 and 1",
  standardDeviation: "an element of std is negative or not a number",
  quantile: "an element of q is not between 0 and 1",
  repeats: "the repeats do not add up to output_size",
} as const;

/** A condition on data. */
export type Condition = keyof typeof CONDITIONS;

const NAMES = Object.keys(CONDITIONS) as Condition[];

/** The index that reports a broken condition. */
export function conditionIndex(condition: Condition): number {
  return -(CONDITION_SIZE + 1 + NAMES.indexOf(condition));
}

/** The texts of the conditions: the first is of index -({@linkcode CONDITION_SIZE} + 1). */
export function conditionTexts(): string[] {
  return NAMES.map((name) => CONDITIONS[name]);
}

/** The same in the words of the operator that the program called: losses pick the target's class with one of their own. */
export function operatorErrorText(operator: string, index: number | bigint, size: number | bigint): string {
  if (!operator.startsWith("pick_class")) return `${operator}: ${indexErrorText(index, size)}`;
  return `cross_entropy: a target is ${index}, but there are ${size} classes, 0 to ${
    Number(size) - 1
  }; correct the targets, or leave positions out with ignoreIndex`;
}

/** The text of an error that a kernel reported. */
export function indexErrorText(index: number | bigint, size: number | bigint): string {
  const broken = Number(size) === CONDITION_SIZE ? NAMES[-Number(index) - CONDITION_SIZE - 1] : undefined;
  return broken === undefined
    ? `an index is ${index}, but the dimension it selects from has ${size} elements`
    : CONDITIONS[broken];
}
