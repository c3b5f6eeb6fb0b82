/**
 * Which sizes of which inputs are symbols.
 *
 * Sizes are static at first. A dimension that had another size when the function was last traced becomes a symbol (automatic dynamic), `markDynamic` asks
 * for one, `markStatic` forbids it; 0 and 1 stay numbers. Also remembers which tensors were other ones before, so that they
 * become inputs. One {@linkcode SizeMemory} a compiled function. Mirrors PyTorch's automatic dynamic shapes and `torch._dynamo.mark_dynamic`.
 */
import { normalizeAxis } from "../core/mod.ts";
import { type Size, sizeMul } from "../symbolic/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import type { DimRange, ShapeEnv } from "./shape_env.ts";
import type { Source } from "./source.ts";

/** Shape and strides of an input, symbols where they may change. */
export interface InputSizes {
  readonly shape: readonly Size[];
  readonly stride: readonly Size[];
}

type Mark = { readonly kind: "dynamic"; readonly range: DimRange } | { readonly kind: "static" };

const marks = new WeakMap<Tensor, Map<number, Mark>>();

function mark(t: Tensor, dim: number, value: Mark, where: string): void {
  const axis = normalizeAxis(dim, t.ndim, where);
  const map = marks.get(t) ?? new Map<number, Mark>();
  map.set(axis, value);
  marks.set(t, map);
}

/** Whether the caller has marked dimensions of this tensor. */
export function hasMarks(t: Tensor): boolean {
  return marks.has(t);
}

/**
 * Asks that a dimension of this tensor be a symbol in functions compiled for it, so that other sizes need no new compilation.
 *
 * @param dim The dimension; negative counts from the end.
 * @param range Sizes to expect, inclusive. Default 2 and more; a `min` of 0 or 1 takes these into the symbol.
 * @throws {RangeError} if there is no such dimension, or the size is outside the range.
 *
 * @example
 * ```ts
 * import { compile, markDynamic, randn, type Tensor } from "@tessera/tessera";
 * const x = randn([8, 3]);
 * markDynamic(x, 0, { min: 2, max: 1024 });
 * const f = compile((x: Tensor) => x.mul(2), { backend: "eager" });
 * f(x);
 * f(randn([9, 3])); // no second compilation
 * ```
 */
export function markDynamic(t: Tensor, dim: number, range: DimRange = {}): void {
  const size = Number(t.shape[normalizeAxis(dim, t.ndim, "markDynamic")]);
  const { min = 0, max = Infinity } = range;
  if (size < min || size > max) {
    throw new RangeError(`markDynamic: dimension ${dim} has size ${size}, outside of the range ${min} to ${max}`);
  }
  mark(t, dim, { kind: "dynamic", range }, "markDynamic");
}

/** Asks that a dimension of this tensor stay a number, whatever sizes come. @throws {RangeError} if there is no such dimension. */
export function markStatic(t: Tensor, dim: number): void {
  mark(t, dim, { kind: "static" }, "markStatic");
}

/** What a compiled function remembers of the inputs it was traced with. */
export class SizeMemory {
  #dynamic: boolean | null;
  readonly #sizes = new Map<string, (number | null)[]>();
  readonly #tensors = new Map<string, WeakRef<Tensor>>();
  readonly #varying = new Set<string>();
  readonly #numbers = new Map<string, number>();
  readonly #varyingNumbers = new Set<string>();
  /** What became a symbol in the last trace, for the log. */
  readonly changes: string[] = [];

  readonly #sharesThis: boolean;

  /** `dynamic`: true makes all sizes symbols, false none, null those that change. `sharesThis`: `this` is another object at each call. */
  constructor(dynamic: boolean | null, sharesThis = false) {
    this.#dynamic = dynamic;
    this.#sharesThis = sharesThis;
  }

  /** Makes all sizes symbols in traces to come, unless the caller wants none. */
  generalise(): void {
    this.#dynamic ??= true;
  }

  /** Whether the tensor at this source changed its identity between traces. */
  varies(source: Source): boolean {
    return (this.#sharesThis && source.root.key.kind === "this") || this.#varying.has(source.toString());
  }

  /** Notes which tensor stood at a source. */
  noteTensor(source: Source, t: Tensor): void {
    const key = source.toString();
    const before = this.#tensors.get(key);
    if (before !== undefined && before.deref() !== t) this.#varying.add(key);
    this.#tensors.set(key, new WeakRef(t));
  }

  /** Whether the number at this source has been another one: then it should be an input. */
  numberVaries(source: Source, value: number): boolean {
    if (this.#dynamic === false) return false;
    const key = source.toString();
    const before = this.#numbers.get(key);
    this.#numbers.set(key, value);
    if (before !== undefined && !Object.is(before, value) && !this.#varyingNumbers.has(key)) {
      this.#varyingNumbers.add(key);
      this.changes.push(`${key} was ${before}, now ${value}; made an input`);
    }
    return this.#varyingNumbers.has(key);
  }

  /** Notes an input that a stored capture serves, as a trace would have. */
  noteInput(source: Source, t: Tensor): void {
    this.noteTensor(source, t);
    this.#remember(source.toString(), t.shape.map(Number));
  }

  /** Sizes as they are known now: null marks a dimension that has been seen with several. */
  #remember(key: string, sizes: readonly number[]): (number | null)[] {
    const before = this.#sizes.get(key);
    const memory = sizes.map((size, d): number | null => {
      if (before === undefined || before.length !== sizes.length) return size;
      const last = before[d] ?? null;
      if (last === null || last === size) return last;
      this.changes.push(`${key}.shape[${d}] was ${last}, now ${size}; made dynamic`);
      return null;
    });
    this.#sizes.set(key, memory);
    return memory;
  }

  /** The sizes with which an input enters a trace. */
  sizesOf(source: Source, t: Tensor, env: ShapeEnv): InputSizes {
    const key = source.toString();
    const sizes = t.shape.map(Number);
    const own = marks.get(t);
    const memory = this.#remember(key, sizes);
    const shape = sizes.map((size, d): Size => {
      const wish = own?.get(d);
      if (wish?.kind === "static" || this.#dynamic === false) return size;
      if (wish?.kind === "dynamic") {
        const least = wish.range.min ?? 2;
        return size < least ? size : env.createSize(size, wish.range);
      }
      const isDynamic = this.#dynamic === true || memory[d] === null;
      return isDynamic && size > 1 ? env.createSize(size) : size;
    });
    return { shape, stride: symbolicStride(shape, sizes, t.stride.map(Number)) };
  }
}

/** Strides as products of sizes where that is what they are now: innermost first, each the extent of the dimension inside. */
export function symbolicStride(shape: readonly Size[], sizes: readonly number[], strides: readonly number[]): Size[] {
  if (shape.every((s) => typeof s === "number")) return [...strides];
  const order = strides.map((_, d) => d).filter((d) => sizes[d] !== 1).sort((a, b) => {
    const difference = (strides[a] ?? 0) - (strides[b] ?? 0);
    return difference !== 0 ? difference : b - a;
  });
  const out: Size[] = [...strides];
  let inner: { readonly size: Size; readonly stride: Size; readonly extent: number } | null = null;
  for (const d of order) {
    const stride = strides[d] ?? 0;
    if (inner !== null && stride === inner.extent) out[d] = sizeMul(inner.size, inner.stride);
    inner = { size: shape[d] ?? 1, stride: out[d] ?? 1, extent: stride * (sizes[d] ?? 1) };
  }
  return out;
}
