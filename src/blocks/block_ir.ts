/**
 * The block IR: kernels that people write themselves, as data.
 *
 * A program is a grid of instances; an instance computes on blocks. A block varies over named axes rather than positions of a shape: broadcasting is
 * implied, a reduction removes an axis, a product of matrices contracts one. Positions outside of an axis do not exist: loads there touch no memory,
 * stores do nothing, reductions leave them out. So blocks may be powers of two whatever the sizes are, and no access leaves its tensor.
 * Recorded by `record.ts` from a TypeScript function, executed by `interpret.ts`, emitted for C++ and CUDA by the compiler. Mirrors Triton's language, with
 * axes instead of broadcast rules and masks. Invariants: `verifyBlockProgram`.
 */
import type { DType } from "../core/mod.ts";
import type { BufferRef, PrimitiveName } from "../loops/mod.ts";
import type { Expr, Sym } from "../symbolic/mod.ts";

/** A named dimension of blocks. */
export interface BlockAxis {
  /** Position of an element along the axis: the block's origin and what follows. */
  readonly symbol: Sym;
  /** Where the block begins. */
  readonly origin: Sym;
  /** How many positions there are; a block may reach beyond. */
  readonly extent: Expr;
  /** Positions of a block: a power of two. */
  readonly block: number;
  /** `grid`: instances divide it. `loop`: an instance walks it. `whole`: one block covers it. */
  readonly role: "grid" | "loop" | "whole";
  /** Whether a block may reach beyond the extent. */
  readonly ragged: boolean;
}

/** A value: one number for each position of its axes (no axes: a scalar). Only axes of more than one position are listed, in the program's order. */
export interface BlockValue {
  readonly id: number;
  readonly dtype: DType;
  readonly axes: readonly BlockAxis[];
}

/** `lower`: must not be negative; `upper`: must be less than it. */
export interface PlaceCondition {
  readonly expr: Expr;
  readonly lower: boolean;
  readonly upper: Expr | null;
}

/** An index that was computed: valid from 0 to `size` - 1. */
export interface Gather {
  readonly value: BlockValue;
  readonly size: Expr;
  readonly stride: Expr;
}

/** Elements of a buffer: `index` and what gathers add, where all conditions hold. */
export interface Place {
  readonly buffer: BufferRef;
  /** Flat element index over axis symbols and sizes. */
  readonly index: Expr;
  readonly gathers: readonly Gather[];
  readonly conditions: readonly PlaceCondition[];
  /** Axes that it varies over. */
  readonly axes: readonly BlockAxis[];
}

/** How a reduction combines. */
export type BlockReduceOp = "sum" | "prod" | "max" | "min";

/** A statement; operands are defined before it, in its body or one around it. */
export type BlockStatement =
  | { readonly kind: "constant"; readonly out: BlockValue; readonly value: number }
  /** An integer expression over axis symbols, origins and sizes. */
  | { readonly kind: "index"; readonly out: BlockValue; readonly expr: Expr }
  | {
    readonly kind: "load";
    readonly out: BlockValue;
    readonly place: Place;
    readonly mask: BlockValue | null;
    readonly other: number;
  }
  | { readonly kind: "store"; readonly place: Place; readonly value: BlockValue; readonly mask: BlockValue | null }
  /** Adds to memory, or keeps the larger or smaller; instances may meet. */
  | {
    readonly kind: "combine";
    readonly op: "sum" | "max" | "min";
    readonly place: Place;
    readonly value: BlockValue;
    readonly mask: BlockValue | null;
  }
  | {
    readonly kind: "pointwise";
    readonly out: BlockValue;
    readonly op: PrimitiveName;
    readonly args: readonly BlockValue[];
  }
  | { readonly kind: "cast"; readonly out: BlockValue; readonly arg: BlockValue }
  | {
    readonly kind: "reduce";
    readonly out: BlockValue;
    readonly arg: BlockValue;
    readonly axis: BlockAxis;
    readonly op: BlockReduceOp;
  }
  /** `out[m, n] = add[m, n] + Σ_k a[m, k] · b[k, n]`, in float32 (float64 for float64). */
  | {
    readonly kind: "dot";
    readonly out: BlockValue;
    readonly a: BlockValue;
    readonly b: BlockValue;
    readonly contract: BlockAxis;
    readonly add: BlockValue | null;
  }
  /** Something that changes: `out` stands for the value that it has at a time. */
  | { readonly kind: "variable"; readonly out: BlockValue; readonly init: BlockValue }
  | { readonly kind: "assign"; readonly variable: BlockValue; readonly value: BlockValue }
  /** The value that a variable has now. */
  | { readonly kind: "snapshot"; readonly out: BlockValue; readonly variable: BlockValue }
  /** Blocks of a loop axis that begin at `from` (rounded down to a block) and before `to`; scalars, or all of the axis. */
  | {
    readonly kind: "for";
    readonly axis: BlockAxis;
    readonly from: BlockValue | null;
    readonly to: BlockValue | null;
    readonly body: readonly BlockStatement[];
  };

/** A tensor that a program reads or writes. */
export interface BlockParameter {
  readonly name: string;
  readonly buffer: BufferRef;
  readonly shape: readonly Expr[];
  readonly stride: readonly Expr[];
  readonly offset: Expr;
  readonly writes: boolean;
}

/** What an emitter may be told. */
export interface BlockOptions {
  /** Warps of a block of threads. */
  readonly warps: number;
  /** Tiles of a loop's operands that are on their way at once. */
  readonly stages: number;
  /** Instances along the first grid axis that run side by side before the second one moves on: they share what they read. */
  readonly group: number;
}

/** A kernel. */
export interface BlockProgram {
  /** An identifier. */
  readonly name: string;
  readonly parameters: readonly BlockParameter[];
  /** All axes, in the order of their making. */
  readonly axes: readonly BlockAxis[];
  readonly body: readonly BlockStatement[];
  readonly options: BlockOptions;
}

/** The axes that instances divide. */
export function gridOf(program: BlockProgram): readonly BlockAxis[] {
  return program.axes.filter((axis) => axis.role === "grid");
}

/** All statements, those of loops too, in order. */
export function* statementsOf(body: readonly BlockStatement[]): Generator<BlockStatement> {
  for (const s of body) {
    yield s;
    if (s.kind === "for") yield* statementsOf(s.body);
  }
}

/** The values that a statement reads. */
export function operandsOf(s: BlockStatement): readonly BlockValue[] {
  const some = (...values: readonly (BlockValue | null)[]): BlockValue[] => values.filter((v) => v !== null);
  switch (s.kind) {
    case "constant":
    case "index":
      return [];
    case "load":
      return [...s.place.gathers.map((g) => g.value), ...some(s.mask)];
    case "store":
    case "combine":
      return [s.value, ...s.place.gathers.map((g) => g.value), ...some(s.mask)];
    case "pointwise":
      return s.args;
    case "cast":
    case "reduce":
      return [s.arg];
    case "dot":
      return some(s.a, s.b, s.add);
    case "variable":
      return [s.init];
    case "assign":
      return [s.variable, s.value];
    case "snapshot":
      return [s.variable];
    case "for":
      return some(s.from, s.to);
    default:
      return s satisfies never;
  }
}

/** The expressions of a statement. */
export function expressionsOf(s: BlockStatement): readonly Expr[] {
  switch (s.kind) {
    case "index":
      return [s.expr];
    case "load":
    case "store":
    case "combine":
      return [
        s.place.index,
        ...s.place.gathers.flatMap((g) => [g.size, g.stride]),
        ...s.place.conditions.flatMap((c) => c.upper === null ? [c.expr] : [c.expr, c.upper]),
      ];
    case "for":
      return [s.axis.extent];
    default:
      return [];
  }
}

/** How much work a program is: numbers computed, and multiplications of products; `hint` gives sizes. */
export function workOf(
  program: BlockProgram,
  hint: (e: Expr) => number,
): { readonly elements: number; readonly products: number } {
  const instances = gridOf(program).reduce((n, axis) => n * Math.ceil(hint(axis.extent) / axis.block), 1);
  let [elements, products] = [0, 0];
  const walk = (body: readonly BlockStatement[], times: number): void => {
    for (const s of body) {
      if (s.kind === "for") walk(s.body, times * Math.ceil(hint(s.axis.extent) / s.axis.block));
      else {
        const { axes } = "out" in s ? s.out : s.value;
        const count = times * axes.reduce((n, axis) => n * axis.block, 1);
        elements += count;
        if (s.kind === "dot") products += count * s.contract.block;
      }
    }
  };
  walk(program.body, instances);
  return { elements, products };
}
