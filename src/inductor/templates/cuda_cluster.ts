/**
 * Matrix products of few tiles on Hopper: the blocks of a cluster have a part of k each, and send what they have of each other's columns to shared memory of the other.
 *
 * A block has one tile. One warp issues copies, as soon as barriers are there; a warpgroup multiplies 64 rows. What several blocks have of a sum is added in the order of blocks, so
 * results do not depend on timing, and neither memory of the device nor a second launch is needed. After the split of k within a cluster of CUTLASS's and cuBLAS's small products.
 */
import { ceilDiv, coefficient, constant, constantValue, freeSymbols, mul } from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, signature } from "../codegen/cuda/kernel_text.ts";
import type { Axis, ContractionKernel, TileStatement } from "../tile/tile_ir.ts";
import {
  blocksEach,
  type ClusterPrepared,
  type ClusterShape,
  clusterShapesOf,
  GROUP_ROWS,
  ownersOf,
  roomOf,
} from "./cuda_cluster_plan.ts";
import { contractionFunction, type Tiling } from "./cuda_contraction.ts";
import { writeEpilogue } from "./cuda_epilogue.ts";
import { boxed, copyLines, mapParameter, position } from "./cuda_hopper.ts";
import { LINE, type Matrix, prepareHopper, shapesOf } from "./cuda_hopper_plan.ts";
import { productOf } from "./cuda_operands.ts";
import { endsInRegisters, holdColumns, writeRegisterEpilogue } from "./cuda_register_epilogue.ts";
import { wgmmaName, wgmmaText } from "./cuda_wgmma.ts";

/** Columns of a slab that a warp hands to the epilogue at once. */
const SLAB = 64;

/** A product of which both operands are matrices and sums are floats; null where it is another. */
export function prepareCluster(given: ContractionKernel, context: EmitContext): ClusterPrepared | null {
  const prepared = prepareHopper(given, context);
  if (prepared === null || prepared.rows === null || prepared.element.promoted === true) return null;
  if (prepared.columns.pixels !== undefined) return null;
  return prepared.element.name === "s8" ? null : { ...prepared, rows: prepared.rows };
}

/** The ways to cut a product for one round of blocks, likely ones first; none where the template does not apply. */
export function clusterWays(given: ContractionKernel, context: EmitContext): { shape: ClusterShape; cost: number }[] {
  const prepared = prepareCluster(given, context);
  return prepared === null ? [] : clusterShapesOf(prepared, context);
}

/** The kernel of a product that should be faster in one round of blocks than by the template whose blocks stay; null where it should not, or sizes are not known. */
export function emitFewTiles(given: ContractionKernel, context: EmitContext): CudaKernelText | null {
  if (constantValue(mul(given.m, given.n, ...given.k, ...given.batch.map((axis) => axis.extent))) === null) return null;
  const prepared = prepareCluster(given, context);
  if (prepared === null) return null;
  const [own] = clusterShapesOf(prepared, context);
  const [other] = shapesOf(prepared, context);
  if (own === undefined || (other !== undefined && other.cost < own.cost)) return null;
  return write(prepared, context, own.shape);
}

/** The kernel of a product in a shape; null where it does not apply. */
export function emitClusterContraction(
  given: ContractionKernel,
  context: EmitContext,
  shape: ClusterShape,
): CudaKernelText | null {
  const prepared = prepareCluster(given, context);
  return prepared === null ? null : write(prepared, context, shape);
}

/** Asks for what the epilogue reads, which arrives while the sums are made: a row or a column goes to the first cache, what is as large as the tile to the second. */
function askEnding(f: CudaFunction, kernel: ContractionKernel, { m, n }: ClusterShape, threads: number): void {
  const { body, m: rows, n: columns } = kernel.epilogue;
  const s = f.scopes;
  const dependsOn = (st: TileStatement & { kind: "load" }, axes: readonly Axis[]): boolean =>
    axes.some((axis) => freeSymbols(st.index).has(axis.symbol));
  const runsAlong = (st: TileStatement & { kind: "load" }, axis: Axis | undefined): boolean =>
    axis !== undefined && constantValue(coefficient(st.index, axis.symbol) ?? constant(0)) === 1;
  const extent = (axis: Axis): string => f.extent(axis.extent);
  for (const st of body) {
    if (st.kind !== "load" || st.mask !== null) continue;
    const each = LINE / st.buffer.dtype.bytes;
    const alongN = runsAlong(st, columns.at(-1));
    if (!alongN && !runsAlong(st, rows.at(-1))) continue;
    const [length, side] = alongN ? [n, m] : [m, n];
    const lines = Math.ceil(length / each);
    const isWhole = dependsOn(st, alongN ? rows : columns);
    const count = isWhole ? lines * side : lines;
    s.open(`for (int e = threadIdx.x; e < ${count}; e += ${threads}) {`);
    const [run, still] = [`e % ${lines} * ${each}`, `e / ${lines}`];
    s.line(`const ${f.index} em = m0 + ${alongN ? still : run}, en = n0 + ${alongN ? run : still};`);
    s.open(`if (em < ${f.extent(kernel.m)} && en < ${f.extent(kernel.n)}) {`);
    f.decompose(rows, "em", extent);
    f.decompose(columns, "en", extent);
    if (f.knows(st.index)) {
      s.line(`${isWhole ? "tsr_ask" : "tsr_touch"}(${f.pointer(st.buffer)} + ${s.index(st.index)});`);
    }
    s.close();
    s.close();
  }
}

function write(prepared: ClusterPrepared, context: EmitContext, shape: ClusterShape): CudaKernelText | null {
  const { kernel, element, other } = prepared;
  const { m, n, pieces } = shape;
  const steps = ceilDiv(productOf(kernel.k), LINE / element.dtype.bytes);
  const known = constantValue(steps);
  if (pieces > 1 && (known === null || known < pieces)) return null;
  const [tm, tn] = [ceilDiv(kernel.m, m), ceilDiv(kernel.n, n)];
  const tiles = mul(productOf(kernel.batch.map((axis) => axis.extent)), tm, tn);
  const blocks = constantValue(mul(tiles, pieces)) ?? 1;
  const each = Math.max(1, blocksEach(shape, blocks, context.multiprocessors));
  const room = roomOf(shape, known ?? Infinity, each);
  if (room === null) return null;
  const [a, b] = [boxed(prepared.rows, m, 1), boxed(prepared.columns, n, 1)];
  const f = contractionFunction(kernel, context);
  const s = f.scopes;
  const BK = LINE / element.dtype.bytes;
  const consumers = m / GROUP_ROWS;
  const warps = 4 * consumers;
  const [aBytes, bBytes] = [m * LINE, n * LINE];
  const { stages, ring } = room;
  const owners = ownersOf(shape);
  /** Columns that a block ends, and what a warp has of them. */
  const own = n / owners;
  const ownFloats = 16 * own;
  s.line("TSR_DYNAMIC(room);");
  s.line("const unsigned base = (tsr_smem(room) + 1023) & ~1023u;");
  s.line("float* const floats = (float*)(room + (base - tsr_smem(room)));");
  s.line(`const unsigned barriers = base + ${ring + room.parts}, sent = barriers + ${stages * 16};`);
  s.line("const int warp = (int)threadIdx.x / 32;");
  s.line(`const int tm = ${f.extent(tm)}, tn = ${f.extent(tn)}, steps = ${f.extent(steps)};`);
  if (pieces === 1) s.line("const int tile = blockIdx.x, firstStep = 0, lastStep = steps;");
  else {
    s.line(`const int tile = (int)blockIdx.x / ${pieces}, rank = (int)blockIdx.x % ${pieces};`);
    s.line(`const int firstStep = steps * rank / ${pieces}, lastStep = steps * (rank + 1) / ${pieces};`);
  }
  position(f, kernel, shape);
  // Weights need not wait for the kernels ahead: those of the first steps are on their way meanwhile.
  const fixed = ({ buffer, pixels }: Matrix): boolean => pixels === undefined && context.fixed?.has(buffer) === true;
  const early = [...(fixed(a) ? [a] : []), ...(fixed(b) ? [b] : [])];
  const copy = (matrix: Matrix): void => {
    const lines = matrix === a
      ? copyLines(f, a, { map: "mapA", to: "to", row: "m0" }, m, false)
      : copyLines(f, b, { map: "mapB", to: `to + ${aBytes}`, row: "n0" }, n, false);
    for (const line of lines) s.line(line);
  };
  s.open(`if (threadIdx.x == ${warps * 32}) {`);
  s.line("tsr_map_ready(&mapA);");
  s.line("tsr_map_ready(&mapB);");
  s.open(`for (int i = 0; i < ${stages}; i++) {`);
  s.line("tsr_barrier_init(barriers + i * 16, 1);");
  s.line(`tsr_barrier_init(barriers + i * 16 + 8, ${warps});`);
  s.close();
  if (pieces > 1) s.line("tsr_barrier_init(sent, 1);");
  s.line("tsr_barrier_visible();");
  // Counts what others send: only who ends columns gets any.
  if (pieces > 1) s.line(`tsr_barrier_expect(sent, rank < ${owners} ? ${room.parts} : 0);`);
  if (early.length > 0) {
    s.open(`for (int i = 0; i < tsr_min(lastStep - firstStep, ${stages}); i++) {`);
    s.line(`const unsigned full = barriers + i * 16, to = base + i * ${aBytes + bBytes};`);
    s.line(`const int k0 = (firstStep + i) * ${BK};`);
    s.line(`tsr_barrier_expect(full, ${aBytes + bBytes});`);
    early.forEach(copy);
    s.close();
  }
  s.close();
  if (pieces > 1) s.line(`tsr_cluster_arrive<${pieces}>();`);
  s.line("tsr_wait_previous();");
  s.line("__syncthreads();");
  s.line("int stage = 0, phase = 0;");
  const next = (): void => s.line(`if (++stage == ${stages}) { stage = 0; phase ^= 1; }`);
  s.open(`if (warp == ${warps}) {`);
  s.open(`if (threadIdx.x == ${warps * 32}) {`);
  s.open("for (int step = firstStep; step < lastStep; step++) {");
  s.line(`const unsigned full = barriers + stage * 16, to = base + stage * ${aBytes + bBytes};`);
  s.line(`const int k0 = step * ${BK};`);
  // The first stages are free, and may have been asked for, and even been read: who waits knows a phase from the next one only.
  s.open(`if (step - firstStep >= ${stages}) {`);
  s.line("tsr_barrier_wait(full + 8, phase ^ 1);");
  if (early.length > 0) {
    s.line(`tsr_barrier_expect(full, ${aBytes + bBytes});`);
    early.forEach(copy);
  }
  s.close();
  if (early.length === 0) s.line(`tsr_barrier_expect(full, ${aBytes + bBytes});`);
  [a, b].filter((matrix) => !early.includes(matrix)).forEach(copy);
  next();
  s.close();
  s.close();
  // Nobody leaves while others still copy from its memory.
  if (pieces > 1) s.line(`tsr_cluster_wait();\ntsr_cluster_arrive<${pieces}>();\ntsr_cluster_wait();`);
  s.close();
  s.open(`if (warp < ${warps}) {`);
  const inRegisters = endsInRegisters(kernel, own);
  const ownColumn = pieces === 1 ? "n0" : `n0 + rank * ${own}`;
  askEnding(f, kernel, shape, warps * 32);
  const held = inRegisters ? holdColumns(f, kernel, { column: ownColumn, columns: own }) : [];
  const descriptor = (direction: "k" | "rows", at: string): string =>
    direction === "k" ? `tsr_matrix(${at} + k * 32, 16, 1024)` : `tsr_matrix(${at} + k * 2048, ${64 * LINE}, 1024)`;
  s.line(`float acc[${n / 2}];`);
  s.line("int before = -1;");
  const arrive = "if (before >= 0 && (threadIdx.x & 31) == 0) tsr_barrier_arrive(barriers + before * 16 + 8);";
  s.open("for (int step = firstStep; step < lastStep; step++) {");
  s.line(`const unsigned from = base + stage * ${aBytes + bBytes} + warp / 4 * ${GROUP_ROWS * LINE};`);
  s.line(`const unsigned other = base + stage * ${aBytes + bBytes} + ${aBytes};`);
  s.line("tsr_barrier_wait(barriers + stage * 16, phase);");
  s.line("tsr_wgmma_begin();");
  s.open(`#pragma unroll\nfor (int k = 0; k < ${BK / element.k}; k++) {`);
  const name = `${wgmmaName(n, element, other)}<${a.along === "k" ? 0 : 1}, ${b.along === "k" ? 0 : 1}>`;
  s.line(`${name}(acc, ${descriptor(a.along, "from")}, ${descriptor(b.along, "other")}, step > firstStep || k > 0);`);
  s.close();
  s.line("tsr_wgmma_commit();");
  s.line("tsr_wgmma_wait<1>();");
  s.line(arrive);
  s.line("before = stage;");
  next();
  s.close();
  s.line("tsr_wgmma_wait<0>();");
  // The ring's memory is free for sums when all warps have read it.
  if (pieces > 1 || !inRegisters) s.line(`tsr_signal_wait(1, ${warps * 32});`);
  let sums = "acc";
  if (pieces > 1) {
    const again = `tsr_cluster_arrive<${pieces}>();`;
    for (let d = 0; d < owners; d++) {
      const place = `floats + (${d} - (${d} > rank)) * ${warps * ownFloats} + warp * ${ownFloats}`;
      s.line(`if (rank != ${d}) tsr_put_part<${d * own / 2}, ${own / 2}>(${place}, acc);`);
    }
    s.line("tsr_gathered();");
    s.line("__syncwarp();");
    // The others are there, and their memory for parts is nobody else's.
    s.line("tsr_cluster_wait();");
    s.open("if ((threadIdx.x & 31) == 0) {");
    s.open(`for (int i = 1; i < ${pieces}; i++) {`);
    s.line(`const int d = (rank + i) % ${pieces};`);
    if (owners < pieces) s.line(`if (d >= ${owners}) continue;`);
    const bytes = ownFloats * 4;
    s.line(`const unsigned from = base + ((d - (d > rank)) * ${warps} + warp) * ${bytes};`);
    s.line(`const unsigned to = base + ${ring} + ((rank - (rank > d)) * ${warps} + warp) * ${bytes};`);
    s.line(`tsr_send(tsr_there(to, d), from, ${bytes}, tsr_there(sent, d));`);
    s.close();
    s.close();
    s.line(`float mine[${own / 2}];`);
    for (let d = 0; d < owners; d++) {
      s.line(
        `if (rank == ${d})\n#pragma unroll\nfor (int i = 0; i < ${own / 2}; i++) mine[i] = acc[${d * own / 2} + i];`,
      );
    }
    if (owners < pieces) s.open(`if (rank < ${owners}) {`);
    s.line("tsr_parts_wait(sent);");
    if (owners === pieces) s.line(again);
    s.line(
      `tsr_add_sent(mine, floats + ${ring / 4} + warp * ${ownFloats}, ${pieces - 1}, ${warps * ownFloats});`,
    );
    sums = "mine";
  }
  s.line(`const int mTile = m0, nTile = ${ownColumn};`);
  if (inRegisters) {
    writeRegisterEpilogue(f, kernel, {
      sums: [sums],
      rows: [`mTile + warp / 4 * ${GROUP_ROWS}`],
      column: "nTile",
      columns: own,
      type: "float",
      tileM: m,
      tileN: n,
      held,
    });
  } else s.line(`float* const slab = floats + ${room.staging / 4} + warp * ${16 * SLAB};`);
  for (let at = 0; at < (inRegisters ? 0 : own); at += SLAB) {
    const columns = Math.min(SLAB, own - at);
    const tiling: Tiling = { m: 16, n: columns, k: BK, warpM: 0, warpN: 0, threads: 32, stages, pieces: 1 };
    s.open("{");
    if (at > 0) s.line("__syncwarp();");
    s.line(`tsr_wgmma_put<${at}, ${columns}>(slab, ${sums});`);
    s.line("__syncwarp();");
    s.line(`const int m0 = mTile + warp * 16, n0 = nTile + ${at};`);
    writeEpilogue(f, kernel, tiling, "slab", SLAB, "float", {
      thread: "((int)threadIdx.x & 31)",
      tileM: m,
      tileN: n,
      exchanged: true,
      sums: n / 2,
    });
    s.close();
  }
  if (owners < pieces) {
    s.close();
    s.line(`tsr_cluster_arrive<${pieces}>();`);
  }
  if (pieces > 1) s.line("tsr_cluster_wait();");
  s.close();
  const { args, parameters } = signature(f, [mapParameter(a, "mapA"), mapParameter(b, "mapB")]);
  return {
    parameters,
    body: s.text("  "),
    support: wgmmaText(n, element, other),
    includes: new Set(["collectives", "mma", "hopper", "cluster"]),
    args,
    grid: [mul(tiles, pieces), constant(1), constant(1)],
    block: [warps * 32 + 32, 1, 1],
    ...(pieces > 1 ? { cluster: [pieces, 1, 1] as const } : {}),
    sharedBytes: room.bytes,
    blocksEach: each,
    waits: true,
    early: early.map(({ buffer }) => buffer),
  };
}
