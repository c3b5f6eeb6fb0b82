/**
 * The values of symbolic sizes in one call: found from the inputs, checked against what the program was exported for.
 *
 * Each dimension of an input is an equation between an expression and a number. Symbols are solved for until nothing new follows; then all equations,
 * declared ranges and constraints must hold, and an error names the one that does not, with its input and dimension.
 */
import {
  type BoolExpr,
  evaluate,
  evaluateBool,
  type Expr,
  freeSymbols,
  isSymInt,
  type Size,
  type Sym,
  toText,
} from "../../symbolic/mod.ts";
import { isTensorMeta, type NodeValue, type TensorMeta } from "../../graph/mod.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { type Constraint, solve, type SymbolRange } from "./shape_env.ts";

interface Equation {
  readonly expr: Expr;
  readonly value: number;
  readonly place: string;
}

/** What calls check. */
export interface Conditions {
  readonly ranges: readonly SymbolRange[];
  readonly constraints: readonly Constraint[];
}

/** Values of symbols during one run. */
export class Bindings {
  readonly #values: Map<Sym, number>;
  readonly #conditions: Conditions;
  readonly #checked = new Set<unknown>();
  #equations: Equation[] = [];

  constructor(conditions: Conditions, values: ReadonlyMap<Sym, number> = new Map()) {
    this.#conditions = conditions;
    this.#values = new Map(values);
  }

  /** Bindings for a graph inside this one: they start from the same values. */
  nested(): Bindings {
    return new Bindings(this.#conditions, this.#values);
  }

  /** Whether every symbol of an expression has a value. */
  knows(e: Expr | BoolExpr): boolean {
    for (const sym of freeSymbols(e)) if (!this.#values.has(sym)) return false;
    return true;
  }

  /** The value of a size. @throws {RangeError} if a symbol has none. */
  value(size: Size): number {
    if (typeof size === "number") return size;
    return evaluate(size.expr, (sym) => {
      const value = this.#values.get(sym);
      if (value === undefined) throw new RangeError(`the size ${size} is not known: nothing gave ${sym.name} a value`);
      return value;
    });
  }

  /** Notes that a value of the run must be as its description says. */
  require(meta: NodeValue, value: unknown, place: string): void {
    if (isTensorMeta(meta)) this.#requireTensor(meta, value, place);
    else if (isSymInt(meta)) {
      const number = typeof value === "boolean" ? Number(value) : value;
      if (typeof number !== "number" || !Number.isSafeInteger(number)) {
        throw new TypeError(`${place}: needs a whole number, got ${describe(value)}`);
      }
      this.#equations.push({ expr: meta.expr, value: number, place });
    } else if (typeof meta === "number" || typeof meta === "boolean") {
      if (value !== meta) throw new TypeError(`${place}: the program was exported for ${meta}, got ${describe(value)}`);
    }
  }

  #requireTensor(meta: TensorMeta, value: unknown, place: string): void {
    if (!(value instanceof Tensor)) throw new TypeError(`${place}: needs a tensor, got ${describe(value)}`);
    if (value.dtype !== meta.dtype) {
      throw new TypeError(
        `${place}: needs a ${meta.dtype.name} tensor, got ${value.dtype.name}; convert it with .to()`,
      );
    }
    if (value.shape.length !== meta.shape.length) {
      throw new TypeError(
        `${place}: needs the shape [${meta.shape.join(", ")}], got [${
          value.shape.join(", ")
        }]: other number of dimensions`,
      );
    }
    meta.shape.forEach((size, d) => {
      const actual = Number(value.shape[d]);
      const at = `${place}: dimension ${d}`;
      if (typeof size !== "number") this.#equations.push({ expr: size.expr, value: actual, place: at });
      else if (size !== actual) {
        throw new RangeError(`${at} must be ${size}, as the program was exported for it; it is ${actual}`);
      }
    });
  }

  /** Solves for symbols, then checks all that is known by now. @throws {RangeError} naming the violated condition. */
  settle(): void {
    let open = this.#equations;
    for (let progress = true; progress;) {
      progress = false;
      const rest: Equation[] = [];
      for (const equation of open) {
        const solved = solve(equation.expr, equation.value, this.#values);
        if (solved === "open") rest.push(equation);
        else if (solved === "impossible") {
          throw new RangeError(
            `${equation.place} must be of the form ${toText(equation.expr)}, it is ${equation.value}`,
          );
        } else if (solved !== "known") {
          this.#values.set(solved.sym, solved.value);
          progress = true;
        }
      }
      open = rest;
    }
    this.#checkRanges();
    for (const { expr, value, place } of this.#equations) {
      if (!this.knows(expr)) continue;
      const wanted = evaluate(expr, (sym) => this.#values.get(sym) ?? 0);
      if (wanted !== value) {
        throw new RangeError(
          `${place} must be ${toText(expr)} = ${wanted}, it is ${value} (${this.#valuesText(expr)})`,
        );
      }
    }
    this.#equations = open;
    for (const constraint of this.#conditions.constraints) {
      const { cond, text } = constraint;
      if (this.#checked.has(constraint) || !this.knows(cond)) continue;
      this.#checked.add(constraint);
      if (!evaluateBool(cond, (sym) => this.#values.get(sym) ?? 0)) {
        throw new RangeError(`a condition of the program does not hold: ${text} (${this.#valuesText(cond)})`);
      }
    }
  }

  #checkRanges(): void {
    for (const range of this.#conditions.ranges) {
      if (this.#checked.has(range) || !this.knows(range.expr)) continue;
      this.#checked.add(range);
      const value = evaluate(range.expr, (sym) => this.#values.get(sym) ?? 0);
      if (value < range.min || value > range.max) {
        const from = this.#equations.find(({ expr }) => expr === range.expr)?.place;
        throw new RangeError(
          `${from ?? `the size ${range.text}`} must be ${
            rangeText(range)
          }, as the program was exported; it is ${value}` +
            (from === undefined ? "" : ` (${range.text})`),
        );
      }
    }
  }

  #valuesText(e: Expr | BoolExpr): string {
    return [...freeSymbols(e)].map((sym) => `${sym.name} = ${this.#values.get(sym)}`).join(", ");
  }
}

/** `2 to 64`, `at least 2`, `any size`. */
export function rangeText({ min, max }: { readonly min: number; readonly max: number }): string {
  if (min === max) return `${min}`;
  if (max === Infinity) return min <= 0 ? "any size" : `at least ${min}`;
  return min === -Infinity ? `at most ${max}` : `${min} to ${max}`;
}

function describe(value: unknown): string {
  if (value instanceof Tensor) return "a tensor";
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
