/**
 * The end of a contraction's tile on CUDA: its sums, in shared memory, go through the epilogue's program in vectors along whichever axis is contiguous.
 *
 * Enters: a tile of sums and where it lies. Leaves: the loop of its threads over runs of results. Sums of Hopper's warps lie in slabs whose pieces are exchanged.
 */
import { constant, constantValue, type Expr, freeSymbols } from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import { lanesFor } from "../codegen/cuda/nests.ts";
import { type Axis, type ContractionKernel, PURE_KINDS } from "../tile/tile_ir.ts";
import type { Tiling } from "./cuda_contraction.ts";

/** Statements of an epilogue up to which its loop is unrolled, and where sums leave many registers: longer ones take more than there are. */
const FEW_STATEMENTS = 12;
const MORE_STATEMENTS = 24;
const FEW_SUMS = 128;
/** Sums beside which there is no room for what several runs read. */
const MANY_SUMS = 160;
/** Runs of a thread whose places are known at once beside more than a few sums: of rows that make no vectors there are 32. */
const MOST_RUNS = 8;

/** Runs the epilogue over a tile of sums in shared memory. */
export function writeEpilogue(
  f: CudaFunction,
  kernel: ContractionKernel,
  tiling: Tiling,
  shared: string,
  pitch: number,
  type: string,
  within: {
    readonly thread: string;
    readonly tileM: number;
    readonly tileN: number;
    /** Sums are elements of memory, of any type. */
    readonly inMemory?: boolean;
    /** Sums lie in a slab whose pieces are exchanged (`tsr_slab`). */
    readonly exchanged?: boolean;
    /** Sums that a thread keeps meanwhile. */
    readonly sums?: number;
  } = {
    thread: "(int)threadIdx.x",
    tileM: tiling.m,
    tileN: tiling.n,
  },
): void {
  const s = f.scopes;
  const { epilogue } = kernel;
  const innerN = epilogue.n[epilogue.n.length - 1];
  const innerM = epilogue.m[epilogue.m.length - 1];
  const lanesN = innerN === undefined ? 0 : exactLanes(epilogue.body, innerN, tiling.n);
  const lanesM = innerM === undefined ? 0 : exactLanes(epilogue.body, innerM, tiling.m);
  const alongN = lanesN > 1 ||
    lanesM <= 1 && !(isContiguousAlong(epilogue.body, innerM) && !isContiguousAlong(epilogue.body, innerN));
  const lanes = Math.max(1, alongN ? lanesN : lanesM);
  const across = (alongN ? tiling.n : tiling.m) / lanes;
  const runs = tiling.m * tiling.n / lanes;
  s.open(
    `#pragma unroll${
      unrolled(epilogue.body, within, runs / tiling.threads)
    }\nfor (int e = ${within.thread}; e < ${runs}; e += ${tiling.threads}) {`,
  );
  const [slow, fast] = alongN ? ["lr", "lc"] : ["lc", "lr"];
  s.line(`const int ${slow} = e / ${across}, ${fast} = e % ${across}${lanes > 1 ? ` * ${lanes}` : ""};`);
  const conditions: string[] = [];
  const rest = (e: Expr, size: number): boolean => (constantValue(e) ?? 1) % size !== 0;
  if (rest(kernel.m, within.tileM)) conditions.push(`m0 + lr < ${f.extent(kernel.m)}`);
  if (rest(kernel.n, within.tileN)) conditions.push(`n0 + lc < ${f.extent(kernel.n)}`);
  const isPartial = conditions.length > 0;
  // Beyond the end the first element is computed, and not stored: without branches the runs of a thread are one block of instructions, whose loads are all under way at once.
  const branches = isPartial && !epilogue.body.every(({ kind }) => kind === "store" || PURE_KINDS.has(kind));
  if (isPartial) s.line(`const bool inside = ${conditions.join(" && ")};`);
  if (branches) s.open("if (inside) {");
  else if (isPartial) f.storeIf = "inside";
  const place = (at: string): string => isPartial && !branches ? `inside ? ${at} : 0` : at;
  s.line(`const ${f.index} em = ${place("m0 + lr")}, en = ${place("n0 + lc")};`);
  const extent = (axis: Axis): string => f.extent(axis.extent);
  f.decompose(epilogue.m, "em", extent);
  f.decompose(epilogue.n, "en", extent);
  const inner = alongN ? innerN : innerM;
  const exchanged = within.exchanged === true;
  const at = (u: string): string => {
    if (exchanged) return `${shared}[${alongN ? `tsr_slab(lr, lc + ${u})` : `tsr_slab(lr + ${u}, lc)`}]`;
    const place = alongN ? `lr * ${pitch} + lc + ${u}` : `(lr + ${u}) * ${pitch} + lc`;
    return within.inMemory === true ? `tsr_get(${shared} + ${place})` : `${shared}[${place}]`;
  };
  if (inner === undefined) {
    f.assign(epilogue.accumulator, at("0"));
    f.statements(epilogue.body);
  } else {
    // Sums that lie side by side are read as vectors, which no two threads want from one bank.
    const run = alongN && lanes > 1 ? s.fresh("sums") : null;
    if (run !== null) {
      s.line(`${type} ${run}[${lanes}];`);
      s.line(
        exchanged
          ? `tsr_slab_load<${lanes}>(${run}, ${shared}, lr, lc);`
          : `tsr_load<${lanes}>(${run}, ${shared} + lr * ${pitch} + lc);`,
      );
    }
    f.chunk(epilogue.body, {
      symbol: inner.symbol,
      lanes,
      base: f.symbolText(inner.symbol),
      outside: [epilogue.accumulator],
      before: (u) => {
        const name = s.fresh("acc");
        s.line(`const ${type} ${name} = ${run === null ? at(u) : `${run}[${u}]`};`);
        f.assign(epilogue.accumulator, name);
      },
    });
  }
  f.storeIf = null;
  if (branches) s.close();
  s.close();
}

/** How far a thread's runs are unrolled, as the pragma's argument: what little is done with sums of a warp waits for what it reads, so all of it is asked for at once, if there are registers. */
function unrolled(
  body: ContractionKernel["epilogue"]["body"],
  { exchanged = false, sums = Infinity }: { readonly exchanged?: boolean; readonly sums?: number },
  runs: number,
): string {
  if (!exchanged || body.length > (sums <= FEW_SUMS ? MORE_STATEMENTS : FEW_STATEMENTS)) return " 2";
  if (sums > MANY_SUMS && body.some(({ kind }) => kind === "load")) return " 1";
  return sums <= FEW_SUMS || runs <= MOST_RUNS ? "" : ` ${MOST_RUNS}`;
}

/** Instructions of operators that are more than one. */
const INSTRUCTIONS: Readonly<Record<string, number>> = {
  erf: 12,
  tanh: 8,
  sigmoid: 6,
  exp: 4,
  div: 4,
  rsqrt: 4,
  log: 8,
  pow: 20,
  sin: 12,
  cos: 12,
};

/** Instructions that an epilogue has for each element, about. */
export function epilogueWork({ body, m }: ContractionKernel["epilogue"]): number {
  let work = 0;
  for (const s of body) {
    if (s.kind === "pointwise") work += INSTRUCTIONS[s.op] ?? 1;
    // What is read for each element has to come from memory.
    if (s.kind === "load") work += m.some(({ symbol }) => freeSymbols(s.index).has(symbol)) ? 8 : 1;
  }
  return work;
}

/** How many elements a vector has along an axis whose extent, and whose tiles, it divides. */
export function exactLanes(body: ContractionKernel["epilogue"]["body"], axis: Axis, tile: number): number {
  const extent = constantValue(axis.extent);
  if (extent === null) return 1;
  let lanes = lanesFor(body, axis, false);
  while (lanes > 1 && (extent % lanes !== 0 || tile % lanes !== 0)) lanes /= 2;
  return lanes;
}

/** Whether a store moves by single elements along an axis. */
export function isContiguousAlong(body: ContractionKernel["epilogue"]["body"], axis: Axis | undefined): boolean {
  return axis !== undefined &&
    body.some((s) => s.kind === "store" && lanesFor([s], { ...axis, extent: constant(64) }, false) > 1);
}
