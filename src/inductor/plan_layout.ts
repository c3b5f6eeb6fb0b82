/**
 * What it takes to call a compiled plan: slots, arena, results, as functions of the sizes and without the groups.
 *
 * The part of a host plan that a call needs. It is made from a plan, or read back from the cache of compiled graphs, where it stands as plain
 * numbers (static graphs only); what reads it cannot tell the difference.
 */
import { CompileError, type DType, dtypeFromName } from "../core/mod.ts";
import type { SlotSource } from "../runtime/kernel.ts";
import { constantValue, type Expr } from "../symbolic/mod.ts";
import { sizeFunction, slotNumbers } from "./codegen/slots.ts";
import type { PlanCounters } from "./metrics.ts";
import type { HostPlan } from "./host_plan.ts";

/** A number that may depend on the sizes of the call. */
export type SizeFunction = (sizes: readonly number[]) => number;

/** A slot as a call sees it. */
export type SlotLayout =
  | { readonly kind: "input" | "attribute"; readonly index: number; readonly dtype: DType }
  | { readonly kind: "output"; readonly dtype: DType; readonly bytes: SizeFunction }
  | { readonly kind: "arena"; readonly dtype: DType; readonly offset: SizeFunction; readonly bytes: SizeFunction }
  | { readonly kind: "donated"; readonly dtype: DType; readonly of: number };

/** A result as a call sees it. */
export type ResultLayout =
  | {
    readonly kind: "tensor";
    readonly slot: number;
    readonly shape: readonly SizeFunction[];
    readonly stride: readonly SizeFunction[];
    readonly offset: SizeFunction;
    /** The same as numbers, where they do not depend on sizes. */
    readonly fixed:
      | { readonly shape: readonly number[]; readonly stride: readonly number[]; readonly offset: number }
      | null;
  }
  | { readonly kind: "size"; readonly value: SizeFunction }
  | { readonly kind: "constant"; readonly value: number | boolean | string | null };

/** How to call a compiled plan. */
export interface PlanLayout {
  readonly slots: readonly SlotLayout[];
  readonly arenaBytes: SizeFunction;
  readonly results: readonly ResultLayout[];
  readonly counters: PlanCounters;
  /** How many size symbols the plan has. */
  readonly sizes: number;
}

function numbersOf(list: readonly Expr[]): number[] | null {
  const values = list.map(constantValue);
  return values.every((v): v is number => v !== null) ? values : null;
}

/** The layout of a plan. */
export function layoutOf(plan: HostPlan, counters: PlanCounters): PlanLayout {
  const numbers = slotNumbers(plan);
  const size = (e: Expr): SizeFunction => sizeFunction(plan, e);
  return {
    sizes: plan.sizes.length,
    counters,
    arenaBytes: size(plan.arenaBytes),
    slots: plan.slots.map((slot): SlotLayout => {
      const { dtype } = slot.buffer;
      switch (slot.kind) {
        case "input":
        case "attribute":
          return { kind: slot.kind, index: slot.index, dtype };
        case "output":
          return { kind: "output", dtype, bytes: size(slot.bytes) };
        case "arena":
          return { kind: "arena", dtype, offset: size(slot.offset), bytes: size(slot.bytes) };
        case "donated":
          return { kind: "donated", dtype, of: numbers.get(slot.of) ?? -1 };
        default:
          return slot satisfies never;
      }
    }),
    results: plan.results.map((r): ResultLayout => {
      if (r.kind === "constant") return r;
      if (r.kind === "size") return { kind: "size", value: size(r.expr) };
      const shape = numbersOf(r.shape);
      const stride = numbersOf(r.stride);
      const offset = constantValue(r.offset);
      return {
        kind: "tensor",
        slot: numbers.get(r.buffer) ?? -1,
        shape: r.shape.map(size),
        stride: r.stride.map(size),
        offset: size(r.offset),
        fixed: shape !== null && stride !== null && offset !== null ? { shape, stride, offset } : null,
      };
    }),
  };
}

/** Where the executable finds each slot. */
export function sourcesOf(layout: PlanLayout): SlotSource[] {
  return layout.slots.map((slot): SlotSource => {
    switch (slot.kind) {
      case "input":
      case "attribute":
      case "output":
        return { kind: "external" };
      case "donated":
        return { kind: "alias", of: slot.of };
      case "arena":
        return { kind: "arena", offset: slot.offset, bytes: slot.bytes };
      default:
        return slot satisfies never;
    }
  });
}

/** A static layout as JSON. */
export interface StoredLayout {
  readonly slots: readonly (readonly [kind: SlotLayout["kind"], dtype: string, a: number, b: number])[];
  readonly arenaBytes: number;
  readonly results: readonly (
    | {
      readonly slot: number;
      readonly shape: readonly number[];
      readonly stride: readonly number[];
      readonly offset: number;
    }
    | { readonly value: number | boolean | string | null }
  )[];
  readonly counters: PlanCounters;
}

const NONE: readonly number[] = [];

/** The layout as JSON; null if it depends on sizes. */
export function storeLayout(layout: PlanLayout): StoredLayout | null {
  if (layout.sizes > 0) return null;
  const results: StoredLayout["results"][number][] = [];
  for (const r of layout.results) {
    if (r.kind === "constant") {
      if (typeof r.value === "number" && !Number.isFinite(r.value)) return null;
      results.push({ value: r.value });
    } else if (r.kind === "size" || r.fixed === null) return null;
    else results.push({ slot: r.slot, ...r.fixed });
  }
  return {
    arenaBytes: layout.arenaBytes(NONE),
    counters: layout.counters,
    results,
    slots: layout.slots.map((slot) => {
      switch (slot.kind) {
        case "input":
        case "attribute":
          return [slot.kind, slot.dtype.name, slot.index, 0];
        case "output":
          return [slot.kind, slot.dtype.name, slot.bytes(NONE), 0];
        case "arena":
          return [slot.kind, slot.dtype.name, slot.offset(NONE), slot.bytes(NONE)];
        case "donated":
          return [slot.kind, slot.dtype.name, slot.of, 0];
        default:
          return slot satisfies never;
      }
    }),
  };
}

/**
 * Reads a layout back.
 *
 * @throws {CompileError} if the stored form is not one; the cache then counts as damaged.
 */
export function restoreLayout(stored: StoredLayout): PlanLayout {
  const count = stored.slots.length;
  const whole = (n: unknown, most: number): number => {
    if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 0 || n > most) {
      throw new CompileError(`a stored plan holds ${String(n)} where a whole number up to ${most} belongs`);
    }
    return n;
  };
  const fixed = (n: number): SizeFunction => () => n;
  const any = Number.MAX_SAFE_INTEGER;
  return {
    sizes: 0,
    counters: stored.counters,
    arenaBytes: fixed(whole(stored.arenaBytes, any)),
    slots: stored.slots.map(([kind, name, a, b]): SlotLayout => {
      const dtype = dtypeFromName(name);
      switch (kind) {
        case "input":
        case "attribute":
          return { kind, dtype, index: whole(a, any) };
        case "output":
          return { kind, dtype, bytes: fixed(whole(a, any)) };
        case "arena":
          return {
            kind,
            dtype,
            offset: fixed(whole(a, stored.arenaBytes)),
            bytes: fixed(whole(b, stored.arenaBytes - a)),
          };
        case "donated":
          return { kind, dtype, of: whole(a, count - 1) };
        default:
          throw new CompileError(`a stored plan has a slot of kind ${String(kind)}`);
      }
    }),
    results: stored.results.map((r): ResultLayout => {
      if ("value" in r) return { kind: "constant", value: r.value };
      const { shape, stride, offset } = r;
      for (const n of [...shape, ...stride, offset]) whole(n, any);
      return {
        kind: "tensor",
        slot: whole(r.slot, count - 1),
        shape: shape.map(fixed),
        stride: stride.map(fixed),
        offset: fixed(offset),
        fixed: { shape, stride, offset },
      };
    }),
  };
}
