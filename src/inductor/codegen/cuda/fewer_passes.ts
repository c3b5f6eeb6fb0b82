/**
 * As few walks along a row as its sums allow: every sum is taken in the first walk in which all that it adds up is known.
 *
 * Enters: the parts of a kernel whose passes walk the same axes. Leaves: the same sums and stores, each pass with what depends on equally many sums before it; equal values of one pass
 * are computed once. A factor that is the same for the whole row stands outside of its sum, where it keeps the sum waiting for another one: `sum(rstd · (x - mean) · d)` waits for
 * the variance, `rstd · sum((x - mean) · d)` does not, so that layer norm's gradients take three walks instead of four, and two waits for all threads instead of three.
 * Results change by rounding alone. What binds positions, or reads what it writes, stays as it is.
 */
import type { BufferRef } from "../../../loops/mod.ts";
import { float32 } from "../../../core/mod.ts";
import { operandsOf } from "../../tile/parameters.ts";
import { PLAIN_KINDS, type TileStatement, type TileValue } from "../../tile/tile_ir.ts";
import type { Part, Pass } from "./nests.ts";

type Made = TileStatement & { readonly out: TileValue };
type Accumulate = TileStatement & { readonly kind: "accumulate" };
type Effect = TileStatement & { readonly kind: "accumulate" | "accumulateAt" | "store" };

const EFFECTS: ReadonlySet<TileStatement["kind"]> = new Set(["accumulate", "accumulateAt", "store"]);
const COMMUTATIVE: ReadonlySet<string> = new Set(["add", "mul", "eq", "ne"]);

function isEffect(s: TileStatement): s is Effect {
  return EFFECTS.has(s.kind);
}

/** The parts with fewer passes; the same ones where there are not. `written` are the buffers that the kernel writes. */
export function fewerPasses(parts: readonly Part[], written: ReadonlySet<BufferRef>): readonly Part[] {
  const passes = parts.flatMap((part) => part.kind === "pass" ? [part.pass] : []);
  if (passes.length < 2 || !passes.every((pass) => isPlain(pass, passes[0] as Pass, written))) return parts;
  const regrouped = new Regrouped(parts).parts(passes[0] as Pass);
  const count = regrouped?.filter(({ kind }) => kind === "pass").length ?? Infinity;
  return regrouped !== null && count < passes.length ? regrouped : parts;
}

/** Whether a pass walks the axes of another, and has nothing but elements and effects of its own. */
function isPlain({ axes, body }: Pass, first: Pass, written: ReadonlySet<BufferRef>): boolean {
  return axes.length === first.axes.length && axes.every((axis, i) => axis === first.axes[i]) &&
    body.every((s) =>
      isEffect(s) ? s.kind !== "accumulate" || s.position === null : PLAIN_KINDS.has(s.kind) &&
        !(s.kind === "load" && written.has(s.buffer))
    );
}

/** The statements of a row by how many sums, one after the other, must be known before. */
class Regrouped {
  readonly #made = new Map<TileValue, Made>();
  /** Levels of values; what is made before the rows has 0. */
  readonly #levels = new Map<TileValue, number>();
  /** The level of the pass that fills an accumulator. */
  readonly #filled = new Map<TileValue, number>();
  readonly #effects: { readonly effect: Effect; readonly level: number }[] = [];
  readonly #between: { readonly s: TileStatement; readonly level: number }[] = [];
  /** Factors that are applied after their sums. */
  readonly #factors = new Map<TileValue, TileValue>();
  /** Sums of one row; others go on over rows. */
  readonly #own: ReadonlySet<TileValue>;
  #isPossible = true;
  #newest: number;

  constructor(parts: readonly Part[]) {
    const values = parts.flatMap((part) => part.kind === "pass" ? part.pass.body : part.body);
    this.#newest = Math.max(0, ...values.flatMap((s) => "out" in s ? [s.out.id] : []));
    this.#own = new Set(values.flatMap((s) => s.kind === "accumulator" ? [s.out] : []));
    for (const part of parts) {
      for (const s of part.kind === "pass" ? part.pass.body : part.body) {
        if (part.kind === "pass") this.#inPass(s);
        else this.#outside(s);
      }
    }
  }

  #levelOf(s: TileStatement): number {
    return Math.max(0, ...operandsOf(s).map((v) => v === null ? 0 : this.#levels.get(v) ?? 0));
  }

  #inPass(s: TileStatement): void {
    if (!isEffect(s)) {
      if (!("out" in s)) throw new TypeError(`${s.kind} in a pass of elements`);
      this.#made.set(s.out, s);
      this.#levels.set(s.out, this.#levelOf(s));
      return;
    }
    const effect = s.kind === "accumulate" ? this.#withoutFactor(s) : s;
    const level = this.#levelOf(effect);
    this.#effects.push({ effect, level });
    if (effect.kind !== "accumulate") return;
    if (this.#filled.has(effect.accumulator)) this.#isPossible = false;
    this.#filled.set(effect.accumulator, level);
  }

  #outside(s: TileStatement): void {
    let level = this.#levelOf(s);
    if (s.kind === "finish") level = (this.#filled.get(s.accumulator) ?? -1) + 1;
    // Where an accumulator is declared follows from where it is filled.
    if (s.kind === "accumulator") level = -1;
    this.#between.push({ s, level });
    if (!("out" in s)) return;
    const factor = s.kind === "finish" ? this.#factors.get(s.accumulator) : undefined;
    if (s.kind !== "finish" || factor === undefined) {
      this.#levels.set(s.out, level);
      return;
    }
    const sum = this.#fresh(s.out);
    this.#between[this.#between.length - 1] = { s: { ...s, out: sum }, level };
    const product = Math.max(level, this.#levels.get(factor) ?? 0);
    this.#between.push({ s: { kind: "pointwise", op: "mul", out: s.out, args: [factor, sum] }, level: product });
    this.#levels.set(s.out, product);
  }

  #fresh(like: TileValue): TileValue {
    return { ...like, id: ++this.#newest };
  }

  /** A sum without the factor that it alone waits for. */
  #withoutFactor(s: Accumulate): Accumulate {
    if (s.op !== "sum" || !this.#own.has(s.accumulator) || s.value.dtype !== float32) return s;
    const leaves = this.#factorsOf(s.value);
    const outside = leaves.filter((v) => !this.#made.has(v));
    const inside = leaves.filter((v) => this.#made.has(v));
    const highest = (list: readonly TileValue[]): number => Math.max(0, ...list.map((v) => this.#levels.get(v) ?? 0));
    const [factor] = outside;
    if (factor === undefined || outside.length > 1 || inside.length === 0 || highest(outside) <= highest(inside)) {
      return s;
    }
    this.#factors.set(s.accumulator, factor);
    return { ...s, value: inside.reduce((x, y) => this.#product(x, y)) };
  }

  #factorsOf(v: TileValue): TileValue[] {
    const s = this.#made.get(v);
    return s?.kind === "pointwise" && s.op === "mul" && s.out.dtype === float32
      ? s.args.flatMap((arg) => this.#factorsOf(arg))
      : [v];
  }

  #product(x: TileValue, y: TileValue): TileValue {
    const out = this.#fresh(x);
    const s: Made = { kind: "pointwise", op: "mul", out, args: [x, y] };
    this.#made.set(out, s);
    this.#levels.set(out, this.#levelOf(s));
    return out;
  }

  /** The parts by level, or null if there is no such order. */
  parts({ axes }: Pass): Part[] | null {
    if (!this.#isPossible) return null;
    const last = Math.max(...this.#effects.map((e) => e.level), ...this.#between.map((b) => b.level));
    const out: Part[] = [];
    for (let level = 0; level <= last; level++) {
      const declared = this.#between.flatMap(({ s }) =>
        s.kind === "accumulator" && (this.#filled.get(s.out) ?? 0) === level ? [s] : []
      );
      const own = this.#between.flatMap((b) => b.level === level ? [b.s] : []);
      if (declared.length + own.length > 0) out.push({ kind: "statements", body: [...own, ...declared] });
      const effects = this.#effects.flatMap((e) => e.level === level ? [e.effect] : []);
      if (effects.length > 0) out.push({ kind: "pass", pass: { axes, body: this.#bodyOf(effects) } });
    }
    return out;
  }

  /** Effects with what they need; equal values once. */
  #bodyOf(effects: readonly Effect[]): TileStatement[] {
    const body: TileStatement[] = [];
    const same = new Map<TileValue, TileValue>();
    const known = new Map<string, TileValue>();
    const visit = (v: TileValue): TileValue => {
      const s = this.#made.get(v);
      if (s === undefined) return v;
      const found = same.get(v);
      if (found !== undefined) return found;
      const mapped = mapOperands(s, visit);
      const key = keyOf(mapped);
      const first = known.get(key);
      if (first === undefined) {
        known.set(key, v);
        body.push(mapped);
      }
      same.set(v, first ?? v);
      return first ?? v;
    };
    const mapped = effects.map((effect) => ({ ...effect, value: visit(effect.value) }));
    return [...body, ...mapped];
  }
}

/** A plain statement with other operands. */
function mapOperands(s: Made, map: (v: TileValue) => TileValue): Made {
  switch (s.kind) {
    case "load":
      return { ...s, mask: s.mask === null ? null : map(s.mask) };
    case "pointwise":
      return { ...s, args: s.args.map(map) };
    case "cast":
    case "bitcast":
      return { ...s, arg: map(s.arg) };
    default:
      return s;
  }
}

/** What a plain statement computes; equal for equal values. */
function keyOf(s: Made): string {
  const operands = operandsOf(s).map((v) => v?.id ?? -1);
  if (s.kind === "pointwise" && COMMUTATIVE.has(s.op)) operands.sort((x, y) => x - y);
  const own = ((): string => {
    switch (s.kind) {
      case "load":
        return `${s.buffer.id}/${s.index.id}`;
      case "constant":
        return Object.is(s.value, -0) ? "-0" : String(s.value);
      case "index":
        return String(s.expr.id);
      case "pointwise":
        return s.op;
      default:
        return "";
    }
  })();
  return `${s.kind} ${s.out.dtype.short} ${own} ${operands.join()}`;
}
