/**
 * Kernels that compute alike, as the same text: statements and operands in an order that structure alone decides.
 *
 * Values are hash-consed, so that the order of the operands of a sum depends on what was made before it. Enters: a kernel; leaves: one that loads and computes the
 * same, operands of commutative operators sorted by what they are made of, statements in the order in which effects need them, effects last (what they overwrite has been read).
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { newSym, substitute, type Sym, symbol } from "../../../symbolic/mod.ts";
import { operandsOf, parametersOf } from "../../tile/parameters.ts";
import { PURE_KINDS, type TileKernel, type TileStatement, type TileValue } from "../../tile/tile_ir.ts";

type Made = TileStatement & { readonly out: TileValue };

/** Operators whose two operands may change places: the result has the same bits. */
const COMMUTATIVE: ReadonlySet<string> = new Set(["add", "mul", "eq", "ne", "bitwiseAnd", "bitwiseOr", "bitwiseXor"]);

/** Gives kernels the same order as long as it lives: numbers stand for what values are made of. */
export class SameOrder {
  readonly #numbers = new Map<string, number>();
  readonly #known = new WeakMap<TileValue, number>();
  readonly #position = newSym("i", { kind: "index", lower: 0 });

  /** The kernel in the common order; itself where its effects are of another kind. Of a loop, its body. */
  rewrite(kernel: TileKernel): TileKernel {
    const axes = kernel.axes.map((axis) => axis.symbol);
    const written = new Set(kernel.writes);
    const rewritten = kernel.body.some((s) => s.kind === "for")
      ? kernel.body.map((s) => s.kind === "for" ? { ...s, body: this.#body(s.body, axes, written) ?? s.body } : s)
      : this.#body(kernel.body, axes, written);
    if (rewritten === null) return kernel;
    const { reads, writes } = parametersOf([rewritten], kernel.axes);
    return { ...kernel, body: rewritten, reads, writes };
  }

  #body(
    statements: readonly TileStatement[],
    axes: readonly Sym[],
    written: ReadonlySet<BufferRef>,
  ): TileStatement[] | null {
    const made = new Map<TileValue, Made>();
    const effects: (TileStatement & { readonly kind: "store" | "accumulate" })[] = [];
    for (const s of statements) {
      if (s.kind === "store" || s.kind === "accumulate") effects.push(s);
      else if (!("out" in s) || !PURE_KINDS.has(s.kind) || (s.kind === "load" && written.has(s.buffer))) return null;
      else made.set(s.out, s);
    }
    const seen = new Set<TileValue>();
    const body: TileStatement[] = [];
    const visit = (v: TileValue): void => {
      const s = made.get(v);
      if (s === undefined || seen.has(v)) return;
      seen.add(v);
      const sorted = inOrder(s, (w) => this.#look(w, made, axes));
      for (const w of operandsOf(sorted)) if (w !== null) visit(w);
      body.push(sorted);
    };
    for (const s of effects) visit(s.value);
    body.push(...effects);
    return body;
  }

  /** What a value is made of, as a number. */
  #look(v: TileValue, made: ReadonlyMap<TileValue, Made>, axes: readonly Sym[]): number {
    let number = this.#known.get(v);
    if (number !== undefined) return number;
    const s = made.get(v);
    number = s === undefined
      ? -1
      : this.#numberOf(s, axes, operandsOf(s).map((w) => w === null ? -1 : this.#look(w, made, axes)));
    this.#known.set(v, number);
    return number;
  }

  #numberOf(s: Made, axes: readonly Sym[], operands: readonly number[]): number {
    const own = isCommutative(s) ? [...operands].sort((x, y) => x - y) : operands;
    const key = `${s.kind} ${s.out.dtype.short} ${this.#detail(s, axes)} ${own.join(",")}`;
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, number = this.#numbers.size);
    return number;
  }

  #detail(s: Made, axes: readonly Sym[]): string {
    const place = new Map(axes.map((sym) => [sym, symbol(this.#position)]));
    switch (s.kind) {
      case "constant":
        return Object.is(s.value, -0) ? "-0" : String(s.value);
      case "index":
        return String(substitute(s.expr, place).id);
      case "load":
        return String(substitute(s.index, place).id);
      case "pointwise":
        return s.op;
      case "lookup":
        return s.table.join(",");
      default:
        return "";
    }
  }
}

function isCommutative(s: TileStatement): boolean {
  return s.kind === "pointwise" && s.args.length === 2 && COMMUTATIVE.has(s.op);
}

function inOrder(s: Made, numberOf: (v: TileValue) => number): Made {
  if (s.kind !== "pointwise" || !isCommutative(s)) return s;
  return { ...s, args: [...s.args].sort((x, y) => numberOf(x) - numberOf(y)) };
}
