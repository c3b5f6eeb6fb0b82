/**
 * Which way round a contraction runs, and on which register tile.
 *
 * The columns run along vectors. Swapping the operands makes the rows columns; it pays if the result is contiguous along them, or if the extents fill
 * vectors better. A model of the micro-kernel (two fused multiply-adds and two loads a cycle, four cycles of latency), of packing
 * and of the stores chooses.
 */
import { coefficient, constantValue, dependsOn, type Expr } from "../../symbolic/mod.ts";
import { exprsOfStatements } from "../tile/parameters.ts";
import { guess, motion } from "../tile/axes.ts";
import type { Axis, ContractionKernel, OperandProgram } from "../tile/tile_ir.ts";

/** A choice. */
export interface Tiling {
  /** The operands change places. */
  readonly swapped: boolean;
  /** Rows of a tile. */
  readonly rows: number;
  /** Registers of a row. */
  readonly registers: number;
  /** Cycles that the model counts. */
  readonly cycles: number;
}

/** Tiles that fit the registers: 32 with 512 bits, else 16. */
const WIDE: readonly (readonly [number, number])[] = [
  [14, 2],
  [12, 2],
  [10, 2],
  [9, 2],
  [8, 2],
  [8, 3],
  [7, 3],
  [6, 4],
  [5, 4],
  [4, 4],
  [16, 1],
  [12, 1],
];
const NARROW: readonly (readonly [number, number])[] = [[6, 2], [5, 2], [4, 2], [4, 3], [3, 3], [8, 1]];

/** How an operand is packed. */
export type PackMode = "across" | "along";

/**
 * What reading every second or fourth element is worth beside reading all: two loads and a shuffle, or four and three. Windows of step 2, and patches of 4, have few columns
 * to run along.
 */
const APART: ReadonlyMap<number, number> = new Map([[2, 0.9], [4, 0.85]]);

function apart(index: Expr, axis: Axis): number {
  const stride = coefficient(index, axis.symbol);
  return stride === null ? 0 : APART.get(constantValue(stride) ?? 0) ?? 0;
}

/** Along the rows of a panel, if memory is contiguous there, or along k. */
export function packMode(program: OperandProgram): PackMode {
  const row = program.rows[program.rows.length - 1];
  const step = program.k[program.k.length - 1];
  if (step === undefined) return "across";
  if (row === undefined) return "along";
  const score = (axis: Axis): number => {
    let good = 0;
    let total = 0;
    for (const { index } of exprsOfStatements(program.body)) {
      if (!dependsOn(index, row.symbol) && !dependsOn(index, step.symbol)) continue;
      total++;
      const way = motion(index, axis.symbol);
      good += way === "contiguous" ? 1 : way === "still" ? 0.8 : apart(index, axis);
    }
    return (total === 0 ? 1 : good / total) * Math.min(1, guess(axis.extent) / 8);
  };
  return score(row) >= score(step) ? "across" : "along";
}

/** The best tile for one orientation, and its cost in cycles. */
function bestTile(
  m: number,
  n: number,
  k: number,
  lanes: number,
): { readonly rows: number; readonly registers: number; readonly cost: number } {
  let best = { rows: 4, registers: 2, cost: Infinity };
  for (const [rows, registers] of lanes >= 16 ? WIDE : NARROW) {
    const tiles = Math.ceil(m / rows) * Math.ceil(n / (registers * lanes));
    const cycles = Math.max(rows * registers / 2, (rows + registers) / 2, 4);
    const cost = tiles * (cycles * k + 2 * rows * registers + 30);
    if (cost < best.cost) best = { rows, registers, cost };
  }
  return best;
}

/** Cycles an element of an operand costs in packing. */
function packCost(program: OperandProgram): number {
  const axis = packMode(program) === "across" ? program.rows[program.rows.length - 1] : program.k[program.k.length - 1];
  const run = axis === undefined ? 1 : guess(axis.extent);
  return 0.3 + 4 / Math.min(run, 16);
}

/** Cycles an element of the result costs if `axis` runs along vectors. */
function storeCost(kernel: ContractionKernel, axis: Axis | undefined): number {
  if (axis === undefined) return 3;
  let cost = 0;
  for (const { index } of exprsOfStatements(kernel.epilogue.body)) {
    const way = motion(index, axis.symbol);
    cost += way === "contiguous" ? 0.2 + 2 / Math.min(guess(axis.extent), 16) : way === "still" ? 0.1 : 2;
  }
  return cost;
}

/** Chooses. */
export function chooseTiling(kernel: ContractionKernel, lanes: number): Tiling {
  const [m, n] = [guess(kernel.m), guess(kernel.n)];
  const k = kernel.k.reduce((product, e) => product * guess(e), 1);
  const { epilogue } = kernel;
  const straight = bestTile(m, n, k, lanes);
  const turned = bestTile(n, m, k, lanes);
  const packing = m * k * packCost(kernel.a) + n * k * packCost(kernel.b);
  const straightCost = straight.cost + packing + m * n * storeCost(kernel, epilogue.n[epilogue.n.length - 1]);
  const turnedCost = turned.cost + packing + m * n * storeCost(kernel, epilogue.m[epilogue.m.length - 1]);
  return turnedCost < straightCost
    ? { swapped: true, rows: turned.rows, registers: turned.registers, cycles: turnedCost }
    : { swapped: false, rows: straight.rows, registers: straight.registers, cycles: straightCost };
}
