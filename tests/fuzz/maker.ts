/**
 * A random program while it is made.
 *
 * Each step runs on the reference executor as it is added, so that shapes are known and bad choices are dropped: calls that are refused, results that are not
 * finite or too large. The questions that makers of steps ask are here as well: is a value far enough from a jump, does it broadcast.
 */
import type { Tensor } from "../../src/tensor/mod.ts";
import { Random } from "../helpers/random_graph.ts";
import { type FuzzArg, type FuzzInput, type FuzzStep, makeInputs, runStep } from "./program.ts";

/** Sizes that meet: few, and around the widths of vectors. */
export const SIZES = [1, 2, 3, 4, 5, 7, 8, 12, 16, 17] as const;
const LARGEST = 4096;
const BOUND = 1e4;

/** What a choice yields: a call, or nothing. */
export type Choice = { readonly target: string; readonly args: readonly FuzzArg[]; readonly result?: number } | null;

/** A program as it grows, with the values that its steps have so far. */
export class Maker {
  readonly r: Random;
  readonly inputs: FuzzInput[] = [];
  readonly steps: FuzzStep[] = [];
  readonly values: Tensor[] = [];
  readonly inPlace: boolean;
  #half = false;

  constructor(seed: number, inPlace: boolean) {
    this.r = new Random(seed);
    this.inPlace = inPlace;
  }

  /** A value that `test` accepts, late ones more often. */
  pick(test: (t: Tensor) => boolean): number | null {
    const found = this.values.flatMap((t, i) => test(t) ? [i] : []);
    if (found.length === 0) return null;
    return this.r.below(3) > 0 ? this.r.pick(found.slice(-5)) : this.r.pick(found);
  }

  at(i: number): Tensor {
    return this.values[i] as Tensor;
  }

  shape(i: number): number[] {
    return this.at(i).shape.map(Number);
  }

  /** Appends an input and returns its number; only while there are no steps. */
  input(dtype: string, shape: readonly number[], stride: readonly number[], data: readonly number[]): void {
    this.inputs.push({ dtype, shape, stride, data });
    const [t] = makeInputs({ inputs: [this.inputs.at(-1) as FuzzInput], steps: [], results: [], gradients: false });
    this.values.push(t as Tensor);
  }

  /** Whether every element is further than the noise of rounding from every jump. */
  farFromJumps(values: Iterable<number>): boolean {
    const gap = this.#half ? 0.05 : 1e-3;
    for (const x of values) {
      const d = Math.abs(x * 2 - Math.round(x * 2));
      if (d !== 0 && d < gap) return false;
      if (d === 0) return false;
    }
    return true;
  }

  /** Whether no two compared numbers are within the noise of rounding. */
  farApart(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
    const gap = this.#half ? 0.05 : 1e-3;
    for (let i = 0; i < a.length; i++) if (Math.abs((a[i] ?? 0) - (b[i] ?? 0)) < gap) return false;
    return true;
  }

  /** Runs the choice; keeps it if its result is fit. */
  tryStep(choice: Choice): boolean {
    if (choice === null) return false;
    const step: FuzzStep = { target: choice.target, args: choice.args, result: choice.result ?? 0 };
    let out: Tensor;
    const writes = /_\.\w+$/.test(step.target);
    const target = writes ? this.values[(step.args[0] as { value: number }).value] as Tensor : null;
    // A write cannot be taken back, so it is first tried on a copy.
    if (writes && target !== null) {
      try {
        const copies = [...this.values];
        copies[(step.args[0] as { value: number }).value] = target.clone();
        if (!isFit(runStep(step, copies))) return false;
      } catch {
        return false;
      }
    }
    try {
      out = runStep(step, this.values);
    } catch {
      return false;
    }
    if (!isFit(out) || (writes && !this.values.every(isFit))) return false;
    if (out.dtype.isFloat && out.dtype.bytes === 2) this.#half = true;
    this.steps.push(step);
    this.values.push(out);
    return true;
  }
}

function isFit(t: Tensor): boolean {
  if (t.numel > LARGEST || t.numel === 0 || t.ndim > 5 || t.dtype.isComplex) return false;
  for (const x of t.dataSync()) if (!(Math.abs(Number(x)) < BOUND)) return false;
  return true;
}

export const isFloat = (t: Tensor): boolean => t.dtype.isFloat;
export const isInteger = (t: Tensor): boolean => !t.dtype.isFloat && t.dtype.name !== "bool";
export const isBool = (t: Tensor): boolean => t.dtype.name === "bool";

/** Whether two shapes broadcast. */
export function broadcasts(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 1; i <= Math.min(a.length, b.length); i++) {
    const [x, y] = [a[a.length - i], b[b.length - i]];
    if (x !== y && x !== 1 && y !== 1) return false;
  }
  return true;
}

/** The elements in logical order. */
export function numbersOf(t: Tensor): number[] {
  return Array.from(t.dataSync() as ArrayLike<number | bigint>, Number);
}

/** Proposes the next step. */
export type Make = (m: Maker) => Choice;
