/**
 * The shape environment of one trace: which sizes are symbols, what they are now, and what was assumed of them.
 *
 * Symbols stand for dimensions of inputs; equal sizes share a symbol, whose equality the guards then check (duck sizing). A condition is
 * decided with the sizes at hand and recorded; asking again, or asking what follows from the symbols' ranges, records nothing. 0 and 1 never become symbols.
 * Mirrors `torch.fx.experimental.symbolic_shapes.ShapeEnv`.
 */
import { type Graph, isTensorMeta, type SourceLocation } from "../graph/mod.ts";
import {
  type BoolExpr,
  eq,
  evaluate,
  evaluateBool,
  type Expr,
  isSymInt,
  newSym,
  not,
  type ShapeEnvLike,
  substitute,
  type Sym,
  symbol,
  SymInt,
  toText,
} from "../symbolic/mod.ts";
import { userLocation } from "./graph_break.ts";

/** A condition that the trace relied on. */
export interface ShapeGuard {
  readonly condition: BoolExpr;
  readonly reason: string;
  readonly location: SourceLocation | null;
}

/** Range that a caller promises for a dimension, inclusive. */
export interface DimRange {
  readonly min?: number;
  readonly max?: number;
}

/** Symbols and guards of one trace. */
export class ShapeEnv implements ShapeEnvLike {
  readonly #hints = new Map<Sym, number>();
  readonly #byHint = new Map<number, Sym>();
  readonly #guards = new Map<BoolExpr, ShapeGuard>();
  /** Expressions that a guard says are a number. */
  readonly #known = new Map<Expr, Expr>();
  readonly #fixed = new Map<Sym, Expr>();

  /** The program runs, and may look at texts: they must show numbers. */
  isTracing = false;

  /** The symbols, in order of creation. */
  get symbols(): readonly Sym[] {
    return [...this.#hints.keys()];
  }

  /** What was assumed. */
  get guards(): readonly ShapeGuard[] {
    return [...this.#guards.values()];
  }

  /** The conditions among {@linkcode guards}. */
  get conditions(): readonly BoolExpr[] {
    return this.#guards.size === 0 ? [] : [...this.#guards.keys()];
  }

  /** A size that is `hint` in this trace. Without a range of its own it shares the symbol of an equal size. */
  createSize(hint: number, range: DimRange = {}): SymInt {
    const ranged = range.min !== undefined || range.max !== undefined;
    let sym = ranged ? undefined : this.#byHint.get(hint);
    if (sym === undefined) {
      const lower = Math.max(range.min ?? 2, 0);
      sym = newSym(`s${this.#hints.size}`, { kind: "size", lower, upper: range.max ?? Infinity });
      this.#hints.set(sym, hint);
      if (!ranged) this.#byHint.set(hint, sym);
    }
    return new SymInt(symbol(sym), this);
  }

  /** Takes a symbol from elsewhere. */
  adopt(sym: Sym, hint: number): void {
    this.#hints.set(sym, hint);
  }

  /** The value of an expression in this trace. */
  hint(e: Expr): number {
    return evaluate(e, (s) => this.#hintOf(s));
  }

  evaluateBool(e: BoolExpr, reason: string): boolean {
    if (e.kind === "bool") return e.value;
    const answer = evaluateBool(e, (s) => this.#hintOf(s));
    this.#guard(answer ? e : not(e), reason);
    return answer;
  }

  /** What was asked may not be asked again of loops, which know no guards: a size that is guarded to be 1 broadcasts. */
  known(e: Expr): Expr {
    // Symbols stay: graphs read them off their inputs.
    if (e.kind === "symbol" || e.kind === "const") return e;
    const fixed = this.#fixed.size === 0 ? e : substitute(e, this.#fixed);
    const found = this.#known.get(e) ?? this.#known.get(fixed) ?? fixed;
    // Only what broadcasts or is empty: other sizes and strides keep the form in which all of the graph says them.
    return found.kind === "const" && found.value <= 1 ? found : e;
  }

  #guard(condition: BoolExpr, reason: string): void {
    if (condition.kind === "bool" || this.#guards.has(condition)) return;
    this.#guards.set(condition, { condition, reason, location: userLocation() });
    if (condition.kind !== "eq") return;
    const { a, b } = condition;
    const [e, value] = a.kind === "const" ? [b, a] : [a, b];
    if (value.kind !== "const") return;
    if (e.kind === "symbol") this.#fixed.set(e.symbol, value);
    else this.#known.set(e, value);
  }

  evaluateInt(e: Expr, reason: string): number {
    const value = this.hint(e);
    this.#guard(eq(e, value), reason);
    return value;
  }

  textOf(e: Expr): string | null {
    return this.isTracing ? String(this.evaluateInt(e, "a symbolic size became a text")) : null;
  }

  #hintOf(s: Sym): number {
    const hint = this.#hints.get(s);
    if (hint === undefined) throw new RangeError(`the size ${toText(symbol(s))} belongs to another capture`);
    return hint;
  }
}

/**
 * The size symbols of a graph, their ranges, and all that was assumed of them until now, as text; null for a graph without symbols.
 * What is compiled from a graph relies on it.
 */
export function sizeFacts(graph: Graph): string | null {
  for (const { value } of graph.placeholders) {
    const sizes = isTensorMeta(value) ? [...value.shape, ...value.stride] : [value];
    const size = sizes.find(isSymInt);
    if (size === undefined) continue;
    const { env } = size;
    if (!(env instanceof ShapeEnv)) return "sizes of another environment";
    const symbols = env.symbols.map(({ name, lower, upper }) => `${name}:${lower}..${upper}`);
    return [...symbols, ...env.guards.map((g) => toText(g.condition)).sort()].join(";");
  }
  return null;
}
