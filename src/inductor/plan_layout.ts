/**
 * What it takes to call a compiled plan: slots, arena, results, as functions of the sizes and without the groups.
 *
 * The part of a host plan that a call needs. It is made from a plan, or read back from the cache of compiled graphs, where it stands as plain
 * numbers (static graphs only); what reads it cannot tell the difference.
 */
import { CompileError, type DType, dtypeFromName } from "../core/mod.ts";
import type { SlotSource } from "../runtime/kernel.ts";
import { SizeReader, SizeWriter, type StoredExpr, type StoredSymbol } from "../capture/mod.ts";
import { constantValue, evaluate, type Expr, type Sym, symbol } from "../symbolic/mod.ts";
import { sizeFunction, slotNumbers } from "./codegen/slots.ts";
import type { PlanCounters } from "./metrics.ts";
import type { HostPlan } from "./host_plan.ts";

/** A number that may depend on the sizes of the call; `expr` says how, for a cache. */
export interface SizeFunction {
  (sizes: readonly number[]): number;
  readonly expr?: Expr;
}

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
  /** How many size symbols the plan has, and which. */
  readonly sizes: number;
  readonly symbols: readonly Sym[];
}

function numbersOf(list: readonly Expr[]): number[] | null {
  const values = list.map(constantValue);
  return values.every((v): v is number => v !== null) ? values : null;
}

/** The layout of a plan. */
export function layoutOf(plan: HostPlan, counters: PlanCounters): PlanLayout {
  const numbers = slotNumbers(plan);
  const size = (e: Expr): SizeFunction => Object.assign(sizeFunction(plan, e), { expr: e });
  return {
    sizes: plan.sizes.length,
    symbols: plan.sizes,
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
        return { kind: "external", given: true };
      case "attribute":
        return { kind: "external", given: true, held: true };
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

/** A layout as JSON. */
export interface StoredLayout {
  readonly slots: readonly (readonly [kind: SlotLayout["kind"], dtype: string, a: StoredExpr, b: StoredExpr])[];
  readonly arenaBytes: StoredExpr;
  readonly results: readonly (
    | {
      readonly slot: number;
      readonly shape: readonly StoredExpr[];
      readonly stride: readonly StoredExpr[];
      readonly offset: StoredExpr;
    }
    | { readonly size: StoredExpr }
    | { readonly value: number | boolean | string | null }
  )[];
  readonly counters: PlanCounters;
  readonly symbols: readonly StoredSymbol[];
  /** Names of the plan's symbols, in order. */
  readonly sizes: readonly string[];
}

const NONE: readonly number[] = [];

/** The layout as JSON; null if it holds what JSON cannot say. */
export function storeLayout(layout: PlanLayout): StoredLayout | null {
  const writer = new SizeWriter();
  const size = (f: SizeFunction): StoredExpr => f.expr === undefined ? f(NONE) : writer.expr(f.expr);
  const results: StoredLayout["results"][number][] = [];
  for (const r of layout.results) {
    if (r.kind === "constant") {
      if (typeof r.value === "number" && !Number.isFinite(r.value)) return null;
      results.push({ value: r.value });
    } else if (r.kind === "size") results.push({ size: size(r.value) });
    else if (r.fixed !== null) results.push({ slot: r.slot, ...r.fixed });
    else results.push({ slot: r.slot, shape: r.shape.map(size), stride: r.stride.map(size), offset: size(r.offset) });
  }
  const slots = layout.slots.map((slot): StoredLayout["slots"][number] => {
    switch (slot.kind) {
      case "input":
      case "attribute":
        return [slot.kind, slot.dtype.name, slot.index, 0];
      case "output":
        return [slot.kind, slot.dtype.name, size(slot.bytes), 0];
      case "arena":
        return [slot.kind, slot.dtype.name, size(slot.offset), size(slot.bytes)];
      case "donated":
        return [slot.kind, slot.dtype.name, slot.of, 0];
      default:
        return slot satisfies never;
    }
  });
  const arenaBytes = size(layout.arenaBytes);
  for (const sym of layout.symbols) writer.expr(symbol(sym));
  return {
    arenaBytes,
    counters: layout.counters,
    results,
    slots,
    symbols: writer.symbols,
    sizes: layout.symbols.map((s) => s.name),
  };
}

function whole(n: unknown, most = Number.MAX_SAFE_INTEGER): number {
  if (typeof n !== "number" || !Number.isSafeInteger(n) || n < 0 || n > most) {
    throw new CompileError(`a stored plan holds ${String(n)} where a whole number up to ${most} belongs`);
  }
  return n;
}

/**
 * Reads a layout back.
 *
 * @throws {CompileError} if the stored form is not one; the cache then counts as damaged.
 */
export function restoreLayout(stored: StoredLayout): PlanLayout {
  const count = stored.slots.length;
  const reader = new SizeReader(stored.symbols);
  const symbols = stored.sizes.map((name) => {
    const found = reader.symbols.get(name);
    if (found === undefined) throw new CompileError(`a stored plan has no size ${name}`);
    return found;
  });
  const position = new Map(symbols.map((s, i) => [s, i]));
  const size = (given: StoredExpr): SizeFunction => {
    if (typeof given !== "string") {
      const n = whole(given);
      return () => n;
    }
    const expr = reader.expr(given);
    const known = constantValue(expr);
    if (known !== null) return () => known;
    const run = (sizes: readonly number[]): number => evaluate(expr, (sym) => whole(sizes[position.get(sym) ?? -1]));
    return Object.assign(run, { expr });
  };
  const arenaBytes = size(stored.arenaBytes);
  const isStatic = symbols.length === 0;
  // Sizes of a call decide whether the others fit.
  const most = isStatic ? arenaBytes(NONE) : Number.MAX_SAFE_INTEGER;
  return {
    sizes: symbols.length,
    symbols,
    counters: stored.counters,
    arenaBytes,
    slots: stored.slots.map(([kind, name, a, b]): SlotLayout => {
      const dtype = dtypeFromName(name);
      switch (kind) {
        case "input":
        case "attribute":
          return { kind, dtype, index: whole(a) };
        case "output":
          return { kind, dtype, bytes: size(a) };
        case "arena":
          if (isStatic) whole(b, most - whole(a, most));
          return { kind, dtype, offset: size(a), bytes: size(b) };
        case "donated":
          return { kind, dtype, of: whole(a, count - 1) };
        default:
          throw new CompileError(`a stored plan has a slot of kind ${String(kind)}`);
      }
    }),
    results: stored.results.map((r): ResultLayout => {
      if ("value" in r) return { kind: "constant", value: r.value };
      if ("size" in r) return { kind: "size", value: size(r.size) };
      const shape = r.shape.map(size);
      const stride = r.stride.map(size);
      const offset = size(r.offset);
      const isFixed = [...shape, ...stride, offset].every((f) => f.expr === undefined);
      const now = (list: readonly SizeFunction[]): number[] => list.map((f) => f(NONE));
      return {
        kind: "tensor",
        slot: whole(r.slot, count - 1),
        shape,
        stride,
        offset,
        fixed: isFixed ? { shape: now(shape), stride: now(stride), offset: offset(NONE) } : null,
      };
    }),
  };
}
