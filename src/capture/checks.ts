/**
 * Checks: what a trace relied on, as data. A check stands at a source and compiles to one condition of the guard function, and to the
 * sentence that says why a call was not served.
 */
import type { Device, DType } from "../core/mod.ts";
import type { Expr } from "../symbolic/mod.ts";
import type { Source } from "./source.ts";

/** What a trace knows of a tensor that enters at each call. */
export interface TensorCheck {
  readonly kind: "tensor";
  readonly dtype: DType;
  readonly device: Device;
  readonly requiresGrad: boolean;
  /** One expression a dimension: a constant, or a size symbol. */
  readonly shape: readonly Expr[];
  /** Null where the stride does not matter (dimensions of size 1). */
  readonly stride: readonly (Expr | null)[];
}

/** One thing that must hold of the value at a source. */
export type Check =
  | TensorCheck
  /** `===` with a value of the trace; `NaN` equals itself. */
  | { readonly kind: "identical"; readonly value: unknown }
  /** The very tensor or object that another source yields. */
  | { readonly kind: "same"; readonly other: Source }
  | { readonly kind: "prototype"; readonly prototype: object | null }
  | { readonly kind: "length"; readonly length: number }
  /** The own string keys that a loop shows, in order, and how many symbols there are beside them. */
  | { readonly kind: "keys"; readonly keys: readonly string[]; readonly symbols: number }
  /** All own keys, in order: those that a loop does not show, and symbols. */
  | { readonly kind: "allKeys"; readonly keys: readonly (string | symbol)[] }
  /** A property of its own, not one that it inherits. */
  | { readonly kind: "own"; readonly key: string | symbol; readonly present: boolean }
  | { readonly kind: "has"; readonly key: string | symbol; readonly present: boolean }
  /** `size` of a Map or Set. */
  | { readonly kind: "size"; readonly size: number }
  /** A Map's or Set's `has(key)`. */
  | { readonly kind: "member"; readonly key: unknown; readonly present: boolean }
  | { readonly kind: "requiresGrad"; readonly value: boolean }
  /** Reading the property calls this very function. */
  | { readonly kind: "getter"; readonly key: string | symbol; readonly getter: unknown }
  /** Writing the property calls this very function, writes data (`"data"`), or is refused (`"refused"`). */
  | { readonly kind: "setter"; readonly key: string | symbol; readonly setter: unknown }
  /** Nobody is called with the tensor's gradient. */
  | { readonly kind: "unhooked" }
  /** Some number: the graph takes it as an input. */
  | { readonly kind: "number" };
