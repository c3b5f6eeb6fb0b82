/**
 * Where the values of a kernel's body come from: whether two are equal, and whether one is the exponential of a distance to the largest number.
 *
 * Values of different walks over one axis are equal where they load the same and compute the same. Mirrors what TorchInductor's `prepare_softmax_online`
 * looks for, on statements of the tile IR.
 */
import { float32 } from "../../../core/mod.ts";
import { operandsOf, walkStatements } from "../../tile/parameters.ts";
import type { TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { numbering } from "./rows.ts";

/** What the values of one body are computed from. */
export class Origins {
  readonly #made = new Map<TileValue, TileStatement>();
  readonly #number = numbering();
  readonly #keys = new Map<TileValue, number>();

  constructor(body: readonly TileStatement[]) {
    walkStatements(body, (s) => {
      if ("out" in s) this.#made.set(s.out, s);
    });
  }

  /** What defines a value. */
  of(v: TileValue | undefined): TileStatement | undefined {
    return v === undefined ? undefined : this.#made.get(v);
  }

  /** The arguments of `v` if it is `op` of something. */
  args(v: TileValue | undefined, op: string): readonly TileValue[] | null {
    const s = this.of(v);
    return s?.kind === "pointwise" && s.op === op ? s.args : null;
  }

  /** The number that a value always is. */
  constant(v: TileValue | undefined): number | null {
    const s = this.of(v);
    return s?.kind === "constant" ? Number(s.value) : null;
  }

  /** A number that equal values share. */
  key(v: TileValue): number {
    const known = this.#keys.get(v);
    if (known !== undefined) return known;
    const key = this.#number(this.#text(v));
    this.#keys.set(v, key);
    return key;
  }

  #text(v: TileValue): string {
    const s = this.of(v), id = (x: unknown): number => this.#number(x);
    switch (s?.kind) {
      case "constant":
        return `${v.dtype.name} ${Object.is(s.value, -0) ? "-0" : s.value}`;
      case "load":
        return s.mask === null ? `load ${id(s.buffer)} ${id(s.index)}` : `value ${v.id}`;
      case "index":
        return `index ${v.dtype.name} ${id(s.expr)}`;
      case "pointwise":
        return `${s.op} ${v.dtype.name} ${s.args.map((a) => this.key(a)).join()}`;
      case "cast":
      case "bitcast":
        return `${s.kind} ${v.dtype.name} ${this.key(s.arg)}`;
      case "lookup":
        return `lookup ${s.table.join()} ${this.key(s.at)}`;
      default:
        return `value ${v.id}`;
    }
  }

  /** The distance to the largest number whose exponential `v` is. */
  termOf(v: TileValue): Term | null {
    const [distance] = this.args(v, "exp") ?? [];
    const [x, shift] = this.args(distance, "sub") ?? [];
    if (x === undefined || shift === undefined) return null;
    if (this.#isLargest(shift)) return { x, largest: shift, isFinite: false };
    const [isInfinite, zero, largest] = this.args(shift, "where") ?? [];
    const [tested] = this.args(isInfinite, "isinf") ?? [];
    return largest !== undefined && tested === largest && this.#isLargest(largest) && this.constant(zero) === 0
      ? { x, largest, isFinite: true }
      : null;
  }

  #isLargest(v: TileValue): boolean {
    const s = this.of(v);
    return s?.kind === "finish" && s.op === "max";
  }
}

/** `exp(x - largest)`, where `largest` is a maximum of all `x`; with `isFinite`, 0 where it is infinite. */
export interface Term {
  readonly x: TileValue;
  readonly largest: TileValue;
  readonly isFinite: boolean;
}

/**
 * Exponentials that are only added up, and belong to numbers of which the largest has been taken off: one of them is 1. By the function that serves them.
 */
export function termsOf(body: readonly TileStatement[]): Map<TileValue, "vexp_term" | "vexp_term_any"> {
  const origins = new Origins(body);
  const sums = new Set<TileValue>(), others = new Set<TileValue>();
  // One walk's maximum is over what another walk adds up only if both see the same elements.
  const walked = new Map<TileValue, number>();
  walkStatements(body, (s) => {
    if (s.kind === "accumulate") {
      (s.op === "sum" ? sums : others).add(s.value);
      if (s.op === "max") walked.set(s.accumulator, origins.key(s.value));
    } else for (const v of operandsOf(s)) if (v !== null) others.add(v);
  });
  const found = new Map<TileValue, "vexp_term" | "vexp_term_any">();
  for (const v of sums) {
    const term = others.has(v) || v.dtype !== float32 ? null : origins.termOf(v);
    const finish = term === null ? undefined : origins.of(term.largest);
    if (term === null || finish?.kind !== "finish" || walked.get(finish.accumulator) !== origins.key(term.x)) continue;
    found.set(v, term.isFinite ? "vexp_term_any" : "vexp_term");
  }
  return found;
}
