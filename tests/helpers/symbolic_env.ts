/** A shape environment with fixed examples, for tests of symbolic sizes without capture. */
import {
  type BoolExpr,
  evaluate,
  evaluateBool,
  type Expr,
  newSym,
  type ShapeEnvLike,
  type Sym,
  symbol,
  SymInt,
} from "../../src/symbolic/mod.ts";

/** Hands out size symbols with example values; conditions are decided by the examples and remembered. */
export class ExampleEnv implements ShapeEnvLike {
  readonly examples = new Map<Sym, number>();
  /** Conditions that were decided by the examples: guards. */
  readonly guards: string[] = [];

  /** A new symbolic size. */
  size(name: string, example: number): SymInt {
    const sym = newSym(name, { kind: "size" });
    this.examples.set(sym, example);
    return new SymInt(symbol(sym), this);
  }

  #value = (s: Sym): number => this.examples.get(s) ?? 0;

  evaluateBool(e: BoolExpr, reason: string): boolean {
    this.guards.push(reason);
    return evaluateBool(e, this.#value);
  }

  hint(e: Expr): number {
    return evaluate(e, this.#value);
  }

  evaluateInt(e: Expr, reason: string): number {
    this.guards.push(reason);
    return evaluate(e, this.#value);
  }
}
