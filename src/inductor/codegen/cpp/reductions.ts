/**
 * Accumulators: declared before a loop, combined in it, read after it.
 *
 * An accumulator along the vector axis is one register a part. Along a loop axis the lanes are partial results, combined at the end; along a grid axis
 * they are results of their own. One that is read in its loop is a scan: its lanes are the running results up to each. Argmax and argmin carry positions: a NaN is the largest of all, and of equals the first wins.
 */
import { InternalError } from "../../../core/mod.ts";
import { add, constant, floorDiv } from "../../../symbolic/mod.ts";
import type { Axis, TileStatement, TileValue } from "../../tile/tile_ir.ts";
import { walkStatements } from "../../tile/parameters.ts";
import { type CppArrays, SPLIT_PIECES } from "./arrays.ts";
import { broadcast, combineText, foldText, type Lane, laneOf, neutral, typeText } from "./types.ts";
import type { CppValues } from "./values.ts";

interface Accumulator {
  readonly names: readonly string[];
  readonly vector: boolean;
  readonly lane: Lane;
  /** Declared inside of the loop over the vector's axis (or that axis is of the grid): lanes are results of their own, and none is folded. */
  readonly isInside: boolean;
}

type AccumulatorOp = Parameters<typeof neutral>[0];

function isPosition(op: AccumulatorOp): boolean {
  return op === "argmax" || op === "argmin";
}

/** Accumulators into which a loop's body combines and which it does not declare itself. */
function carriedBy(body: readonly TileStatement[]): Map<TileValue, AccumulatorOp> {
  const found = new Map<TileValue, AccumulatorOp>();
  const declared = new Set<TileValue>();
  walkStatements(body, (s) => {
    if (s.kind === "accumulator") declared.add(s.out);
    else if (s.kind === "accumulate") found.set(s.accumulator, s.op);
    else if (s.kind === "dot") found.set(s.accumulator, "sum");
  });
  for (const v of declared) found.delete(v);
  return found;
}

/** Accumulators that are read in the loop that combines blocks of its own axis into them: scans. */
function scannedBy(body: readonly TileStatement[], found: Set<TileValue>): void {
  for (const s of body) {
    if (s.kind !== "for") continue;
    scannedBy(s.body, found);
    if (s.axis.block === 1) continue;
    const combined = s.body.flatMap((inner) => inner.kind === "accumulate" ? [inner.accumulator] : []);
    for (const inner of s.body) {
      if (inner.kind === "finish" && combined.includes(inner.accumulator)) found.add(inner.accumulator);
    }
  }
}

/** The accumulators of one function. */
export class CppReductions {
  readonly #values: CppValues;
  readonly #accumulators = new Map<TileValue, Accumulator>();
  readonly #scanned = new Set<TileValue>();
  /** The running results of scans in the block that is being written, part by part. */
  readonly #running = new Map<TileValue, readonly string[]>();
  /** Those whose positions fit lanes of 32 bits, the last number aside, which stands for none. */
  readonly #near = new Set<TileValue>();

  constructor(values: CppValues, bodies: readonly (readonly TileStatement[])[]) {
    this.#values = values;
    for (const body of bodies) {
      scannedBy(body, this.#scanned);
      walkStatements(body, (s) => {
        if (s.kind === "accumulate" && s.position !== null && s.position.upper < 2 ** 31 - 1) {
          this.#near.add(s.accumulator);
        }
      });
    }
  }

  /** Declares an accumulator. */
  declare(v: TileValue, op: AccumulatorOp): void {
    const vector = v.axes.length > 0;
    const axis = this.#values.vectorAxis;
    const isInside = this.#isOpenAxis(axis);
    const parts = !vector || this.#scanned.has(v)
      ? 1
      : isInside
      ? this.#values.parts
      : (axis?.block ?? 1) / this.#values.lanes;
    const lane = laneOf(v.dtype, vector && this.#values.isNarrow(v));
    const name = this.#values.scopes.fresh("a");
    const start = neutral(op, lane === "n64" ? (vector ? "i32" : "i64") : lane);
    const names = Array.from({ length: parts }, (_, u) => parts > 1 ? `${name}_${u}` : name);
    const type = typeText(lane, vector);
    for (const own of names) {
      this.#values.scopes.line(`${type} ${own} = ${vector ? broadcast(start, lane) : start};`);
      if (op === "logaddexp" && this.#scanned.has(v)) this.#values.scopes.line(`tsr_lse ${own}s = tsr_lse_start();`);
      if (op === "argmax" || op === "argmin") {
        const none = this.#near.has(v) ? "vset(TSR_NOWHERE_NEAR)" : "tsr_set(TSR_NOWHERE)";
        this.#values.scopes.line(vector ? `${this.#positions(v)} ${own}p = ${none};` : `long ${own}p = TSR_NOWHERE;`);
      }
    }
    this.#accumulators.set(v, { names, vector, lane, isInside });
  }

  /** The parts of an accumulator whose lanes are results of their own, which an emitter may add to by itself; null for others. */
  partsOf(v: TileValue): readonly string[] | null {
    const acc = this.#accumulators.get(v);
    return acc === undefined || !acc.vector || !acc.isInside || this.#scanned.has(v) ? null : acc.names;
  }

  /** The type of a vector of positions. */
  #positions(v: TileValue): string {
    return this.#near.has(v) ? "vi32" : "vl2";
  }

  /** Parts that the current loop combines into. */
  #combine(acc: Accumulator, text: (part: number) => string): void {
    const axis = this.#values.vectorAxis;
    const masked = acc.vector && this.#values.rest !== null && !acc.isInside;
    const parts = acc.vector
      ? Math.min(acc.names.length, this.#isOpenAxis(axis) ? this.#values.parts : acc.names.length)
      : 1;
    for (let u = 0; u < parts; u++) {
      const name = acc.names[u];
      this.#values.scopes.line(
        masked ? `${name} = tsr_where(${this.#values.rest}m, ${text(u)}, ${name});` : `${name} = ${text(u)};`,
      );
    }
  }

  #isOpenAxis(axis: Axis | null): boolean {
    return axis !== null && this.#values.isLaneSymbol(axis.symbol);
  }

  /** Combines a value into an accumulator. */
  accumulate(s: TileStatement & { readonly kind: "accumulate" }): void {
    const acc = this.#accumulators.get(s.accumulator);
    if (acc === undefined) throw new InternalError(`accumulator ${s.accumulator.id} is not defined`);
    const { op } = s;
    if (this.#scanned.has(s.accumulator)) {
      this.#scan(acc, s);
      return;
    }
    if (op !== "argmax" && op !== "argmin") {
      const dtype = s.accumulator.dtype;
      this.#combine(
        acc,
        (u) =>
          combineText(
            op,
            acc.names[u] ?? "",
            this.#values.operand(s.value, acc.vector, acc.lane, u),
            dtype,
            acc.lane,
            acc.vector,
          ),
      );
      return;
    }
    const sign = op === "argmax" ? 1 : -1;
    if (s.position === null) throw new InternalError(`${op} needs a position`);
    if (!acc.vector) {
      const name = acc.names[0] ?? "";
      const position = this.#values.scopes.index(s.position);
      this.#values.scopes.line(`tsr_better(${name}, ${name}p, ${this.#values.scalar(s.value)}, ${position}, ${sign});`);
      return;
    }
    const axis = this.#values.vectorAxis;
    const masked = this.#values.rest !== null && !acc.isInside;
    const parts = Math.min(acc.names.length, this.#isOpenAxis(axis) ? this.#values.parts : acc.names.length);
    for (let u = 0; u < parts; u++) {
      const name = acc.names[u] ?? "";
      const value = this.#values.operand(s.value, true, acc.lane, u);
      const near = this.#near.has(s.accumulator);
      const positions = (): string => {
        if (s.position !== null && this.#values.varies(s.position)) {
          const lanes = this.#values.laneIndex(s.position, u);
          return near ? lanes : `tsr_i64(${lanes})`;
        }
        const one = this.#values.scopes.index(s.position ?? constant(0));
        return near ? `vset((int)${one})` : `tsr_set((long)${one})`;
      };
      const position = positions();
      const b = this.#values.scopes.fresh("b");
      // A number that is not at most the best one is better, or one of the two is NaN; after the first NaN nothing is. What never was better than the
      // start has no position: all of the lane's numbers are the start's, and the first of them counts.
      const isFloat = acc.lane === "f32" || acc.lane === "f64";
      const better = isFloat
        ? `~(${value} ${sign > 0 ? "<=" : ">="} ${name}) & (${name} == ${name})`
        : `(${value} ${sign > 0 ? ">" : "<"} ${name})`;
      this.#values.scopes.line(`const vi32 ${b} = ${masked ? `(${better}) & ${this.#values.rest}m` : better};`);
      this.#values.scopes.line(`${name} = tsr_where(${b}, ${value}, ${name});`);
      this.#values.scopes.line(`${name}p = tsr_where(${b}, ${position}, ${name}p);`);
    }
  }

  /** The running results of a block, part by part. Lanes beyond the extent hold anything: only lanes after them would see it. */
  #scan(acc: Accumulator, s: TileStatement & { readonly kind: "accumulate" }): void {
    const { scopes, parts } = this.#values;
    const [name = ""] = acc.names;
    const values = Array.from({ length: parts }, (_, u) => this.#values.operand(s.value, true, acc.lane, u));
    const r = scopes.fresh("r");
    if (parts > 1 && s.op === "logaddexp") {
      scopes.line(`vf32 ${r}[${parts}];`);
      scopes.line(`const vf32 ${r}x[${parts}] = {${values.join(", ")}};`);
      scopes.line(`tsr_scan_logaddexp<${parts}>(${r}x, ${r}, ${name}s);`);
      this.#running.set(s.accumulator, values.map((_, u) => `${r}[${u}]`));
      return;
    }
    let before = s.op === "logaddexp" ? `${name}s` : name;
    const results = values.map((value, u) => {
      scopes.line(`const ${typeText(acc.lane, true)} ${r}_${u} = tsr_scan_${s.op}(${value}, ${before});`);
      if (s.op !== "logaddexp") before = `${r}_${u}`;
      return `${r}_${u}`;
    });
    if (s.op !== "logaddexp") scopes.line(`${name} = ${before};`);
    this.#running.set(s.accumulator, results);
  }

  /** Defines a value as what an accumulator holds, its lanes combined where they are steps of a loop. */
  finish(s: TileStatement & { readonly kind: "finish" }): void {
    const acc = this.#accumulators.get(s.accumulator);
    if (acc === undefined) throw new InternalError(`accumulator ${s.accumulator.id} is not defined`);
    const folds = acc.vector && s.out.axes.length === 0;
    const isPosition = s.op === "argmax" || s.op === "argmin";
    const level = this.#values.scopes.depth;
    if (!folds) {
      const parts = (u: number): string => {
        const name = acc.names[u] ?? "";
        if (isPosition && acc.vector) {
          // Positions have the dtype of what they are compared with where nobody else reads them.
          const wide = laneOf(s.out.dtype, this.#values.isNarrow(s.out)) === "i64";
          return `tsr_${wide ? "i64" : "i32"}(tsr_somewhere(${name}p))`;
        }
        if (isPosition) return `${name}p`;
        const running = this.#running.get(s.accumulator);
        if (running !== undefined) return running[u] ?? "";
        return this.#held(name, acc, s.out);
      };
      this.#values.define(s.out, acc.vector, level, parts);
      return;
    }
    const { op } = s;
    if (op === "argmax" || op === "argmin") {
      const name = this.#values.scopes.fresh("f");
      const scalar = typeText(acc.lane, false);
      this.#values.scopes.line(`${scalar} ${name} = ${neutral(op, acc.lane)}; long ${name}p = TSR_NOWHERE;`);
      for (const own of acc.names) {
        const values = acc.lane === "n64" ? `tsr_i64(${own})` : own;
        this.#values.scopes.line(
          `tsr_better_lanes(${name}, ${name}p, ${values}, tsr_positions(${own}p), ${op === "argmax" ? 1 : -1});`,
        );
      }
      this.#values.define(s.out, false, level, () => `(${name}p == TSR_NOWHERE ? 0 : ${name}p)`);
      return;
    }
    let names = [...acc.names];
    while (names.length > 1) {
      const half = names.length / 2;
      names = names.slice(0, half).map((a, i) =>
        combineText(op, a, names[i + half] ?? "", s.accumulator.dtype, acc.lane, true)
      );
    }
    this.#values.define(s.out, false, level, () => foldText(op, names[0] ?? "", acc.lane));
  }

  #held(name: string, acc: Accumulator, out: TileValue): string {
    if (!acc.vector) return name;
    const narrow = this.#values.isNarrow(out);
    if (acc.lane === "n64" && !narrow) return `tsr_i64(${name})`;
    return acc.lane === "i64" && narrow ? `tsr_i32(${name})` : name;
  }

  /**
   * A loop whose iterations workers share: each piece has accumulators of its own, which are combined in order. Accumulators of the body
   * itself are of one iteration and no affair of others.
   */
  split(s: TileStatement & { readonly kind: "for" }, arrays: CppArrays, writeBody: () => void): void {
    const { scopes } = this.#values;
    const ops = carriedBy(s.body);
    const outer = [...ops].map(([v, op]) => ({ v, op, acc: this.#accumulators.get(v) as Accumulator }));
    const blocks = scopes.index(floorDiv(add(s.axis.extent, s.axis.block - 1), s.axis.block));
    const own = arrays.usedBy(s.body);
    const pieces = own.length === 0 ? String(SPLIT_PIECES) : arrays.pieces(blocks);
    const store = scopes.fresh("w");
    outer.forEach(({ v, op, acc }, i) => {
      acc.names.forEach((_, u) => {
        const type = typeText(acc.lane, acc.vector);
        scopes.line(`${type} ${store}_${i}_${u}[${SPLIT_PIECES}];`);
        if (isPosition(op)) {
          scopes.line(`${acc.vector ? this.#positions(v) : "long"} ${store}_${i}_${u}p[${SPLIT_PIECES}];`);
        }
      });
    });
    const task = scopes.fresh("t");
    scopes.open(`auto ${task} = [&](long from, long to) {`, "};");
    scopes.open("for (long piece = from; piece < to; piece++) {");
    for (const { v, op } of outer) this.declare(v, op);
    arrays.inPiece(own, () => {
      scopes.line(
        `const long first = ${blocks} * piece / ${pieces}, last = ${blocks} * (piece + 1) / ${pieces};`,
      );
      this.#values.overAxis(s.axis, writeBody, { from: "first", to: "last" });
    });
    outer.forEach(({ v, op }, i) => {
      this.#accumulators.get(v)?.names.forEach((name, u) => {
        scopes.line(`${store}_${i}_${u}[piece] = ${name};`);
        if (isPosition(op)) scopes.line(`${store}_${i}_${u}p[piece] = ${name}p;`);
      });
    });
    scopes.close();
    scopes.close();
    for (const { v, acc } of outer) this.#accumulators.set(v, acc);
    scopes.line(
      `runtime->parallel_for([](void* c, long from, long to, int) { (*(decltype(${task})*)c)(from, to); }, &${task}, ${pieces}, 1);`,
    );
    arrays.combine(own, pieces);
    if (outer.length === 0) return;
    scopes.open(`for (long piece = 0; piece < ${pieces}; piece++) {`);
    outer.forEach(({ v, op, acc }, i) => {
      acc.names.forEach((name, u) => {
        const from = `${store}_${i}_${u}`;
        if (op === "argmax" || op === "argmin") {
          const better = acc.vector ? "tsr_better_vector" : "tsr_better";
          scopes.line(`${better}(${name}, ${name}p, ${from}[piece], ${from}p[piece], ${op === "argmax" ? 1 : -1});`);
          return;
        }
        scopes.line(`${name} = ${combineText(op, name, `${from}[piece]`, v.dtype, acc.lane, acc.vector)};`);
      });
    });
    scopes.close();
  }

  /** Adds a product to an accumulator. */
  dot(s: TileStatement & { readonly kind: "dot" }): void {
    const acc = this.#accumulators.get(s.accumulator);
    if (acc === undefined) throw new InternalError(`accumulator ${s.accumulator.id} is not defined`);
    this.#combine(acc, (u) => {
      const [a, b] = [s.a, s.b].map((v) => this.#values.operand(v, acc.vector, acc.lane, u));
      return `tsr_fma(${a}, ${b}, ${acc.names[u]})`;
    });
  }
}
