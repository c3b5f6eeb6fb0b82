/**
 * Loads and stores: how an index moves from lane to lane decides whether memory is read in whole registers, with a stride, or lane by lane.
 */
import { type DType, float32 } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { constantValue, type Expr } from "../../../symbolic/mod.ts";
import type { TileValue } from "../../tile/tile_ir.ts";
import { broadcast, laneOf, typeText } from "./types.ts";
import type { CppValues } from "./values.ts";

/** Memory as one function sees it. */
export class CppMemory {
  readonly #values: CppValues;

  constructor(values: CppValues) {
    this.#values = values;
  }

  /** Whether a load is 0 in lanes for which a mask of lanes does not hold; else they have anything. */
  zeroes(buffer: BufferRef, index: Expr): boolean {
    const stride = this.#values.varies(index) ? this.#values.stride(index) : null;
    const step = stride === null ? null : constantValue(stride);
    return step === 1 || step === 2 && buffer.dtype === float32;
  }

  /** The text of a load, for one part. */
  load(buffer: BufferRef, index: Expr, mask: TileValue | null, vector: boolean, part: number): string {
    return this.loadFrom(this.#values.pointer(buffer), buffer.dtype, index, mask, vector, part);
  }

  /** As {@linkcode load}, from memory that a pointer names. */
  loadFrom(p: string, dtype: DType, index: Expr, mask: TileValue | null, vector: boolean, part: number): string {
    const maskVector = mask !== null && this.#values.known(mask).vector;
    const type = typeText(laneOf(dtype, false), vector);
    const scalarMask = mask !== null && !maskVector ? this.#values.scalar(mask) : null;
    const guarded = (text: string): string => scalarMask === null ? text : `(${scalarMask} ? ${text} : (${type}){})`;
    if (!this.#values.varies(index)) {
      const text = `tsr_get(${p} + ${this.#values.scopes.index(index)})`;
      if (!vector) return guarded(text);
      const any = maskVector
        ? `(tsr_any(${this.#values.inRest(this.#values.operand(mask, true, "mask", part))}) ? ${text} : 0)`
        : text;
      return guarded(broadcast(any, laneOf(dtype, false)));
    }
    const stride = this.#values.stride(index);
    const m = maskVector ? this.#values.inRest(this.#values.operand(mask, true, "mask", part)) : null;
    if (stride !== null && constantValue(stride) === 1) {
      const at = `${p} + ${this.#values.elementAt(index, stride, part)}`;
      if (m !== null) return `tsr_load_m(${at}, ${m})`;
      return guarded(this.#values.rest === null ? `tsr_load(${at})` : `tsr_load_n(${at}, ${this.#values.rest})`);
    }
    if (stride !== null && m === null) {
      const at = `${p} + ${this.#values.elementAt(index, stride, part)}`;
      const step = this.#values.scopes.index(stride);
      return guarded(
        this.#values.rest === null
          ? `tsr_strided(${at}, ${step})`
          : `tsr_strided(${at}, ${step}, ${this.#values.rest})`,
      );
    }
    if (stride !== null && m !== null && dtype === float32 && constantValue(stride) === 2) {
      return guarded(`tsr_second_m(${p} + ${this.#values.elementAt(index, stride, part)}, ${m})`);
    }
    // Lanes that are masked off read the first element, which exists.
    const lanes = this.#values.laneIndex(index, part);
    return guarded(`tsr_gather(${p}, ${m === null ? lanes : `(${lanes} & ${m})`})`);
  }

  /** A value as it goes to memory. */
  stored(value: TileValue, dtype: DType, vector: boolean, part: number): string {
    return this.#values.operand(value, vector, laneOf(dtype, false), part);
  }

  /** Writes a store; `value` gives the text of each part. */
  store(buffer: BufferRef, index: Expr, value: (part: number, vector: boolean) => string): void {
    this.storeTo(this.#values.pointer(buffer), index, value, this.#values.streamed.has(buffer) ? "stream" : "store");
  }

  /** As {@linkcode store}, to memory that a pointer names. */
  storeTo(
    p: string,
    index: Expr,
    value: (part: number, vector: boolean) => string,
    how: "store" | "stream" = "store",
  ): void {
    if (!this.#values.varies(index)) {
      this.#values.scopes.line(`tsr_put(${p} + ${this.#values.scopes.index(index)}, ${value(0, false)});`);
      return;
    }
    const stride = this.#values.stride(index);
    const count = this.#values.rest ?? "VW";
    // All parts are computed before the first is stored: memory may be read under another name.
    const texts = Array.from({ length: this.#values.parts }, (_, u) => value(u, true));
    for (let u = 0; u < this.#values.parts; u++) {
      if (stride === null) {
        this.#values.scopes.line(`tsr_scatter(${p}, ${this.#values.laneIndex(index, u)}, ${texts[u]}, ${count});`);
        continue;
      }
      const at = `${p} + ${this.#values.elementAt(index, stride, u)}`;
      if (constantValue(stride) !== 1) {
        this.#values.scopes.line(
          `tsr_store_strided(${at}, ${this.#values.scopes.index(stride)}, ${texts[u]}, ${count});`,
        );
      } else if (this.#values.rest === null) this.#values.scopes.line(`tsr_${how}(${at}, ${texts[u]});`);
      else this.#values.scopes.line(`tsr_store_n(${at}, ${texts[u]}, ${this.#values.rest});`);
    }
  }
}
