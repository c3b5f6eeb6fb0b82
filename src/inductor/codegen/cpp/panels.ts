/**
 * Kernels whose walks along columns come in pairs, written so that memory is read once for both of a pair.
 *
 * A softmax needs the largest number of a column, then the sum of exponentials of the distances to it. Both are found together, from four rows at a time
 * (`tsr_soft_columns` of the prelude): the sum belongs to the largest number so far, and is scaled when that grows (Milakov and Gimelshein, 2018). What
 * enters is a kernel whose walks over one axis are such a pair and writing walks, over columns that make whole registers; what leaves walks over
 * panels of columns that the third cache holds until the last walk. What is known of a column is kept in arrays, a number a column.
 */
import { float32, InternalError } from "../../../core/mod.ts";
import type { BufferRef } from "../../../loops/mod.ts";
import { coefficient, constantValue } from "../../../symbolic/mod.ts";
import { guess, isStreamed } from "../../tile/axes.ts";
import { operandsOf } from "../../tile/parameters.ts";
import type { Axis, KernelBase, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import type { CppFunction } from "./emit_kernel.ts";
import { Origins } from "./origins.ts";
import { findPair, isPure, type Loop, type Pair } from "./pairs.ts";

/** Columns of a panel: up to two kilobytes of a row, and what 4096 rows have of it fits the third cache some times; fewer where workers would have nothing to do. */
const MOST_COLUMNS = 512, LEAST_COLUMNS = 128;
/** Panels from which on workers have enough to do. */
const ENOUGH_PANELS = 16;
/** Rows from which on walking once is worth it. */
const LEAST_ROWS = 16;
/** Rows that are fetched ahead: more in the last walk, which computes less at each. */
const ROWS_AHEAD = 8, ROWS_AHEAD_LAST = 16;

/** What a kernel's body, and a walk's, may have beside pure statements. */
const COLUMN_KINDS: ReadonlySet<string> = new Set(["store", "accumulator", "finish", "for"]);
const WALK_KINDS: ReadonlySet<string> = new Set(["store", "accumulate"]);

/** What is written instead of a kernel's walks. */
export interface PanelPlan {
  /** Columns of a panel. */
  readonly width: number;
  readonly axis: Axis;
  readonly inner: Axis;
  readonly body: readonly TileStatement[];
  readonly pairs: ReadonlyMap<Loop, Pair>;
  readonly fetched: ReadonlyMap<TileValue, number>;
  readonly streamed: ReadonlySet<BufferRef>;
}

/** Plans for a kernel's body; null where its walks are no such pairs. Instances divide `parallel`, the last of which is the axis of its vectors. */
export function planPanels(
  kernel: KernelBase,
  body: readonly TileStatement[],
  parallel: readonly Axis[],
  lanes: number,
): PanelPlan | null {
  const inner = parallel[parallel.length - 1];
  const walks = body.filter((s): s is Loop => s.kind === "for");
  const axis = walks[0]?.axis;
  const rows = axis === undefined ? null : constantValue(axis.extent);
  const columns = inner === undefined ? null : constantValue(inner.extent);
  if (axis === undefined || inner === undefined || inner.block === 1 || axis.block > 1 || lanes === 1) return null;
  if (rows === null || rows < LEAST_ROWS || columns === null || columns % lanes !== 0) return null;
  if (walks.some((w) => w.axis !== axis || w.split)) return null;
  if (!body.every((s) => isPure(s) || COLUMN_KINDS.has(s.kind))) return null;
  if (walks.some((w) => !w.body.every((s) => isPure(s) || WALK_KINDS.has(s.kind)))) return null;
  const origins = new Origins(body);
  const pairs = new Map<Loop, Pair>();
  for (let i = 0; i < walks.length; i++) {
    const [first, second] = [walks[i], walks[i + 1]];
    if (first === undefined) break;
    if (!first.body.some((s) => s.kind === "accumulate")) continue;
    if (second === undefined) return null;
    const pair = findPair(origins, kernel, first, second);
    if (pair === null) return null;
    pairs.set(first, pair);
    i++;
  }
  if (pairs.size === 0) return null;
  const fetched = new Map<TileValue, number>();
  for (const walk of walks) {
    for (const s of walk.body) {
      if (s.kind !== "load" || s.mask !== null || kernel.writes.includes(s.buffer)) continue;
      const step = coefficient(s.index, axis.symbol), across = coefficient(s.index, inner.symbol);
      const jump = step === null ? null : constantValue(step);
      if (across === null || constantValue(across) !== 1 || jump === null || jump === 0) continue;
      fetched.set(s.out, jump * (pairs.has(walk) ? ROWS_AHEAD : ROWS_AHEAD_LAST));
    }
  }
  const streamed = new Set(
    walks.flatMap((w) =>
      w.body.flatMap((s) => s.kind === "store" && isStreamed(s.buffer, s.index, inner.symbol, lanes) ? [s.buffer] : [])
    ),
  );
  const outer = parallel.slice(0, -1).reduce((n, own) => n * guess(own.extent), 1);
  let width = MOST_COLUMNS;
  while (width > LEAST_COLUMNS && outer * Math.ceil(columns / width) < ENOUGH_PANELS) width /= 2;
  return { width, axis, inner, body, pairs, fetched, streamed };
}

/** Writes the panels `from` … `to` of the plan's columns. */
export function overPanels(
  f: CppFunction,
  plan: PanelPlan,
  range: { readonly from: string; readonly to: string },
): void {
  const none = { claimed: new Map(), kept: new Map(), again: new Map(), elements: 0, isNear: true };
  f.useRows({ ...none, fetched: plan.fetched, streamed: plan.streamed });
  const s = f.scopes;
  const panel = s.fresh("k"), first = s.fresh("x"), count = s.fresh("c");
  s.open(`for (long ${panel} = ${range.from}; ${panel} < ${range.to}; ${panel}++) {`);
  s.line(`const long ${first} = ${panel} * ${plan.width};`);
  s.line(`const long ${count} = tsr_min(${plan.width}, ${s.index(plan.inner.extent)} - ${first}) / VW;`);
  new Panel(f, plan, first, count).write();
  s.close();
}

/** The text of one panel. */
class Panel {
  readonly #f: CppFunction;
  readonly #plan: PanelPlan;
  readonly #first: string;
  readonly #count: string;
  /** The arrays of values of columns. */
  readonly #arrays = new Map<TileValue, string>();
  /** Vectors of columns that are no float32: computed again where they are needed. */
  readonly #again = new Map<TileValue, TileStatement>();

  constructor(f: CppFunction, plan: PanelPlan, first: string, count: string) {
    this.#f = f;
    this.#plan = plan;
    this.#first = first;
    this.#count = count;
  }

  write(): void {
    const { body, pairs } = this.#plan;
    const seconds = new Set([...pairs.values()].map((p) => p.second));
    let columns: TileStatement[] = [];
    const flush = (): void => {
      this.#columns(columns);
      columns = [];
    };
    for (const s of body) {
      if (s.kind === "accumulator") continue;
      if (s.kind === "finish") {
        const array = this.#arrays.get(s.accumulator);
        if (array === undefined) throw new InternalError(`accumulator ${s.accumulator.id} belongs to no pair`);
        this.#arrays.set(s.out, array);
      } else if (s.kind !== "for") {
        if ("out" in s && s.out.axes.length === 0) this.#f.statements([s]);
        else columns.push(s);
      } else if (!seconds.has(s)) {
        flush();
        const pair = pairs.get(s);
        if (pair === undefined) this.#f.overAxis(s.axis, () => this.#each((u) => this.#statements(s.body, u)));
        else this.#pair(pair);
      }
    }
    flush();
  }

  #array(): string {
    const name = this.#f.scopes.fresh("k");
    this.#f.scopes.line(`float ${name}[${this.#plan.width}] __attribute__((aligned(64)));`);
    return name;
  }

  /** A loop over the panel's registers. */
  #each(body: (u: string) => void): void {
    const s = this.#f.scopes, u = s.fresh("u");
    s.open(`for (long ${u} = 0; ${u} < ${this.#count}; ${u}++) {`);
    this.#inRegister(u, () => body(u));
    s.close();
  }

  /** `body` at register `u` of the panel. */
  #inRegister(u: string, body: () => void): void {
    const s = this.#f.scopes, x = s.fresh("x");
    s.line(`const long ${x} = ${this.#first} + ${u} * VW;`);
    this.#f.inLanes(this.#plan.inner, x, null, body);
  }

  /** Statements at register `u`, what they need of arrays before them. */
  #statements(body: readonly TileStatement[], u: string): void {
    const f = this.#f, own = new Set(body.flatMap((s) => "out" in s ? [s.out] : []));
    const read = new Set<TileValue>();
    const need = (v: TileValue | null): void => {
      if (v === null || own.has(v) || read.has(v)) return;
      read.add(v);
      const array = this.#arrays.get(v), again = this.#again.get(v);
      if (array !== undefined) {
        const name = f.scopes.fresh("v");
        f.scopes.line(`const vf32 ${name} = tsr_load(${array} + ${u} * VW);`);
        f.assignVector(v, name);
      } else if (again !== undefined) {
        for (const operand of operandsOf(again)) need(operand);
        f.statements([again]);
      }
    };
    for (const s of body) for (const v of operandsOf(s)) need(v);
    f.statements(body);
  }

  /** Statements between walks: computed for all columns, and kept where they are float32. */
  #columns(body: readonly TileStatement[]): void {
    if (body.length === 0) return;
    const kept = body.flatMap((s) => {
      if (!("out" in s)) return [];
      if (s.out.dtype === float32) return [[s.out, this.#array()] as const];
      this.#again.set(s.out, s);
      return [];
    });
    this.#each((u) => {
      this.#statements(body, u);
      for (const [v, array] of kept) this.#f.scopes.line(`tsr_store(${array} + ${u} * VW, ${this.#f.vector(v)});`);
    });
    for (const [v, array] of kept) this.#arrays.set(v, array);
  }

  #pair({ zero, first, value, accumulators }: Pair): void {
    const f = this.#f, s = f.scopes;
    const arrays = accumulators.map(() => this.#array());
    const [name, row, u] = [s.fresh("f"), s.fresh("x"), s.fresh("u")];
    s.open(`auto ${name} = [&](long ${row}, long ${u}) __attribute__((always_inline)) -> vf32 {`, "};");
    s.define(this.#plan.axis.symbol, row);
    this.#inRegister(u, () => {
      this.#statements(first.body.filter((own) => own.kind !== "accumulate"), u);
      s.line(`return ${f.vector(value)};`);
    });
    s.close();
    s.line(
      `tsr_soft_columns<${zero}>(${s.index(this.#plan.axis.extent)}, ${this.#count}, ${name}, ${arrays.join(", ")});`,
    );
    accumulators.forEach((v, i) => this.#arrays.set(v, arrays[i] ?? ""));
  }
}
