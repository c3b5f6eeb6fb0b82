/**
 * The sizes of one call of a kept program whose sizes change, without the compiler.
 *
 * Enters: what the entry says of sizes, and the shapes and numbers of a call. Leaves: the plan for them, in numbers. The call is checked as `ExportedProgram.bind` does, with the same words.
 * Loaded only where an entry has sizes: most have none.
 */
import { SizeReader, type StoredExpr } from "../capture/stored_sizes.ts";
import { CompileError } from "../core/errors.ts";
import { evaluate, type Expr, exprOf } from "../symbolic/mod.ts";
import type { NativeEntry, NativeSizes } from "./native_entry.ts";
import { SizeValues } from "./pt2/size_values.ts";

/** What a call gives: the shape of a tensor, or a number. */
export type GivenInput = readonly number[] | number;

/** Numbers for the texts of an entry. */
export interface CallNumbers {
  /** Of texts over the program's sizes. */
  readonly ofProgram: (stored: StoredExpr) => number;
  /** Of texts over the plan's. */
  readonly ofPlan: (stored: StoredExpr) => number;
}

/**
 * Solves for the sizes of a call and checks them.
 *
 * @throws {RangeError} naming the condition of the program that does not hold
 */
export function numbersOfCall(
  { inputs, tensorInputs }: NativeEntry,
  sizes: NativeSizes,
  given: readonly GivenInput[],
): CallNumbers {
  const reader = new SizeReader(sizes.symbols);
  const values = new SizeValues({
    ranges: sizes.ranges.map(({ text, expr, min, max }) => ({
      text,
      expr: reader.expr(expr),
      min: min ?? -Infinity,
      max: max ?? Infinity,
    })),
    constraints: sizes.constraints.map(({ cond, text }) => ({ cond: reader.condition(cond), text })),
  });
  for (const [i, input] of inputs.entries()) {
    const value = given[i];
    const place = `input ${input.name}`;
    const equal = (stored: StoredExpr, actual: number, at: string): void => {
      if (typeof stored === "string") values.equation(reader.expr(stored), actual, at);
      else if (stored !== actual) {
        throw new RangeError(`${at} must be ${stored}, as the program was exported for it; it is ${actual}`);
      }
    };
    if (input.kind === "size" && typeof value === "number") equal(input.value, value, place);
    else if (input.kind === "tensor" && typeof value === "object") {
      input.shape.forEach((size, d) => equal(size, value[d] ?? -1, `${place}: dimension ${d}`));
    }
  }
  values.settle();
  const ofProgram = (stored: StoredExpr): number => numberOf(reader, stored, values.known);
  const shapes = tensorInputs.map((at) => {
    const input = inputs[at];
    if (input?.kind !== "tensor") throw new CompileError("an entry of the cache takes a number for a tensor");
    return { shape: input.shape.map(ofProgram), stride: input.stride.map(ofProgram) };
  });
  const planReader = new SizeReader(sizes.planSymbols);
  const known = new Map(sizes.sources.flatMap(([name, [input, what, dim]]) => {
    const sym = planReader.symbols.get(name);
    if (sym === undefined) return [];
    const size = what === "size" ? sizes.given[input - shapes.length] : shapes[input]?.[what][dim];
    if (size === undefined) throw new CompileError(`an entry of the cache shows ${name} where there is no size`);
    return [[sym, ofProgram(size)] as const];
  }));
  return { ofProgram, ofPlan: (stored) => numberOf(planReader, stored, known) };
}

function numberOf(reader: SizeReader, stored: StoredExpr, values: ReadonlyMap<unknown, number>): number {
  const expr: Expr = typeof stored === "number" ? exprOf(stored) : reader.expr(stored);
  return evaluate(expr, (sym) => {
    const value = values.get(sym);
    if (value === undefined) {
      throw new CompileError(`an entry of the cache speaks of ${sym.name}, which no input shows`);
    }
    return value;
  });
}
