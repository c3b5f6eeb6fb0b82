/**
 * The host plan: how a compiled graph runs. The last IR, executed directly and written to disk by the packager.
 *
 * All intermediate buffers live in one arena per call, at offsets planned for reuse; outputs are allocated for the caller, who
 * owns them. Buffers are slots: inputs first, then attributes, then outputs (donated ones among them), then intermediates. Sizes and offsets are expressions over
 * the graph's size symbols, numbers where the graph is static. Steps run in order.
 */
import type { BufferRef } from "../loops/mod.ts";
import type { Expr, Sym } from "../symbolic/mod.ts";
import type { Group } from "./groups.ts";

/** Where a buffer's memory comes from. */
export type Slot =
  | { readonly kind: "input"; readonly buffer: BufferRef; readonly index: number }
  | { readonly kind: "attribute"; readonly buffer: BufferRef; readonly index: number; readonly path: string }
  | { readonly kind: "output"; readonly buffer: BufferRef; readonly bytes: Expr }
  | { readonly kind: "arena"; readonly buffer: BufferRef; readonly offset: Expr; readonly bytes: Expr }
  /**
   * The memory of `of` (an input or an attribute) under another name: an update in place that the caller donated. `isFilled`: what it begins with is the
   * old value, because the copy of it was dropped; no launch need write it.
   */
  | { readonly kind: "donated"; readonly buffer: BufferRef; readonly of: BufferRef; readonly isFilled: boolean };

/** One thing to do. */
export interface LaunchStep {
  readonly kind: "launch";
  readonly group: Group;
  /** Buffers the kernel touches, in the order of its parameters: read, then written. */
  readonly reads: readonly BufferRef[];
  readonly writes: readonly BufferRef[];
  /**
   * Pairs of a written and a read buffer of this launch that share memory. The kernel reads an element of the second only in the
   * iteration that writes the same element of the first, and before it; so blocks may be loaded whole before they are stored, but pointers
   * to the two must not be declared free of aliasing.
   */
  readonly aliases: readonly (readonly [written: BufferRef, read: BufferRef])[];
}

/** How one result of the graph is made from slots: tensors may be views of any slot but the arena's, inputs and attributes included. */
export type PlanResult =
  | {
    readonly kind: "tensor";
    readonly buffer: BufferRef;
    readonly shape: readonly Expr[];
    readonly stride: readonly Expr[];
    readonly offset: Expr;
  }
  | { readonly kind: "size"; readonly expr: Expr }
  | { readonly kind: "constant"; readonly value: number | boolean | string | null };

/** A compiled graph as data. */
export interface HostPlan {
  /** Size symbols, in the order in which their values are passed. */
  readonly sizes: readonly Sym[];
  readonly slots: readonly Slot[];
  readonly arenaBytes: Expr;
  readonly steps: readonly LaunchStep[];
  readonly results: readonly PlanResult[];
}
