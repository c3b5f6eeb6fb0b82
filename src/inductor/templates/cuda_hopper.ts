/**
 * Matrix products on Hopper: the copy engine fills a ring of tiles in shared memory, two or three warpgroups multiply from there by wgmma.
 *
 * Blocks stay and take one tile after the other; one warpgroup only issues copies, so those of the next tile are under way while the others write the
 * last. Either operand may lie along k or along its rows. Sums go through a little shared memory of each warp to the epilogue, in vectors. After the
 * scheme of CUTLASS's warp-specialised persistent kernels. Rows that are no matrix are pixels of a convolution, which the copy engine finds as well (`cuda_im2col.ts`), or are
 * gathered by the threads of the first warpgroup instead, sixteen bytes at a time, zeros where a mask does not hold.
 */
import { InternalError } from "../../core/mod.ts";
import { ceilDiv, coefficient, constant, constantValue, freeSymbols, mul } from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, signature } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg } from "../codegen/cuda/launch.ts";
import type { Axis, ContractionKernel, TileStatement } from "../tile/tile_ir.ts";
import { contractionFunction, type Tiling } from "./cuda_contraction.ts";
import { writeEpilogue } from "./cuda_epilogue.ts";
import { HopperJobs } from "./cuda_hopper_jobs.ts";
import { endsInRegisters, holdColumns, writeRegisterEpilogue } from "./cuda_register_epilogue.ts";
import {
  bestShape,
  consumersOf,
  type HopperShape,
  LINE,
  type Matrix,
  prepareHopper,
  sumsOf,
} from "./cuda_hopper_plan.ts";
import { pixelLines } from "./cuda_im2col.ts";
import { type OperandPlan, productOf, writeTileLoop } from "./cuda_operands.ts";
import { type Element, sumText, wgmmaName, wgmmaText } from "./cuda_wgmma.ts";

/** Columns of a slab that a warp hands to the epilogue at once, and its bytes: 16 rows, whose pieces are exchanged so that no two threads want one bank. */
const SLAB = 64;
const SLAB_BYTES = 16 * SLAB * 4;
const SHARED_LIMIT = 227 * 1024;
/** Columns up to which sums that are made in steps have registers for two of them. */
const PROMOTED_TWICE = 128;

/** How rows get to shared memory: by the copy engine, or run by run by the threads of a warpgroup. */
type Rows = { readonly kind: "map"; readonly matrix: Matrix } | { readonly kind: "gather"; readonly plan: OperandPlan };

/** The kernel of a product, at most one of whose operands is gathered; null where the template does not apply. */
export function emitHopperContraction(
  given: ContractionKernel,
  context: EmitContext,
  chosen?: HopperShape,
): CudaKernelText | null {
  const prepared = prepareHopper(given, context);
  if (prepared === null) return null;
  const shape = chosen ?? bestShape(prepared, context);
  if (shape === null) return null;
  const { kernel, element, other, rows, gathered, columns } = prepared;
  const source: Rows = rows === null
    ? { kind: "gather", plan: gathered }
    : { kind: "map", matrix: boxed(rows, shape.m, 1) };
  return write(kernel, context, source, boxed(columns, shape.n, shape.mates ? 2 : 1), shape, [element, other]);
}

/** The matrix with boxes of so many rows, or of the part of a tile that a block of a pair reads for both. */
export function boxed(matrix: Matrix, rows: number, parts: number): Matrix {
  const [inner = 64, outer = 64, ...batch] = matrix.map.box;
  return { ...matrix, map: { ...matrix.map, box: [inner, (matrix.along === "k" ? rows : outer) / parts, ...batch] } };
}

/** Where the tile lies. @param names of its first row and column */
export function position(
  f: CudaFunction,
  kernel: ContractionKernel,
  { m, n }: Pick<HopperShape, "m" | "n">,
  [m0, n0]: readonly [string, string] = ["m0", "n0"],
): void {
  const s = f.scopes;
  s.line(`const int batch = tile / (tm * tn), inBatch = tile - batch * (tm * tn);`);
  s.line(`const int group = inBatch / (8 * tn), height = tsr_min(tm - group * 8, 8);`);
  s.line(`const int inGroup = inBatch - group * 8 * tn;`);
  s.line(`const int ${m0} = (group * 8 + inGroup % height) * ${m}, ${n0} = inGroup / height * ${n};`);
  f.decompose(kernel.batch, "batch", (axis) => f.extent(axis.extent));
}

/** Lines that copy one tile of an operand; `mates`: half of it, to both blocks of a pair. */
export function copyLines(
  f: CudaFunction,
  matrix: Matrix,
  names: { readonly map: string; readonly to: string; readonly row: string },
  rows: number,
  mates: boolean,
): string[] {
  const { map, to, row } = names;
  if (matrix.pixels !== undefined) {
    const { pixels } = matrix;
    const [group] = pixels.groups;
    const number = group === undefined ? null : f.symbolText(group.axis.symbol);
    if (matrix.along === "k") return pixelLines(pixels, { map, to, pixel: row, place: "k0" }, number);
    return Array.from({ length: rows / 64 }, (_, i) => {
      const names = { map, to: `${to} + ${i * 64 * LINE}`, pixel: "k0", place: `${row} + ${i * 64}` };
      return pixelLines(pixels, names, number);
    }).flat();
  }
  const batch = matrix.batch.map((axis) => `, (int)${f.symbolText(axis.symbol)}`).join("");
  const copy = (place: string, outer: number, x: string, y: string): string =>
    mates
      ? `tsr_box_half<${outer / 2}>(${place}, &${map}, full, ${x}, ${y}${batch});`
      : `tsr_box(${place}, &${map}, full, ${x}, ${y}${batch});`;
  if (matrix.along === "k") return [copy(to, rows, "k0", row)];
  return Array.from(
    { length: rows / 64 },
    (_, i) => copy(`${to} + ${i * 64 * LINE}`, 64, `${row} + ${i * 64}`, "k0"),
  );
}

/** Asks for what the epilogue reads, of its own tile or for its columns, which arrives while the sums are made. */
function askEpilogue(f: CudaFunction, kernel: ContractionKernel, shape: HopperShape, thread: string): void {
  const { m, n, turns } = shape;
  const { body, m: rows, n: columns } = kernel.epilogue;
  const inner = columns.at(-1);
  if (inner === undefined) return;
  const loads = body.filter((st): st is TileStatement & { readonly kind: "load" } =>
    st.kind === "load" && st.mask === null && constantValue(coefficient(st.index, inner.symbol) ?? constant(0)) === 1
  );
  const s = f.scopes;
  for (const { buffer, index } of loads) {
    const each = LINE / buffer.dtype.bytes;
    const across = Math.ceil(n / each);
    const down = rows.some((axis) => freeSymbols(index).has(axis.symbol)) ? m : 1;
    s.open(`for (int e = ${thread}; e < ${down * across}; e += ${128 * (turns ? 1 : consumersOf(shape))}) {`);
    s.line(`const ${f.index} em = m0 + e / ${across}, en = n0 + e % ${across} * ${each};`);
    s.open(`if (em < ${f.extent(kernel.m)} && en < ${f.extent(kernel.n)}) {`);
    const extent = (axis: Axis): string => f.extent(axis.extent);
    f.decompose(rows, "em", extent);
    f.decompose(columns, "en", extent);
    if (f.knows(index)) s.line(`tsr_ask(${f.pointer(buffer)} + ${s.index(index)});`);
    s.close();
    s.close();
  }
}

export function mapParameter(matrix: Matrix, name: string): { arg: CudaArg; text: string } {
  const arg: CudaArg = { kind: "tensorMap", buffer: matrix.buffer, map: matrix.map };
  return { arg, text: `const __grid_constant__ tsr_map ${name}` };
}

function write(
  kernel: ContractionKernel,
  context: EmitContext,
  rows: Rows,
  b: Matrix,
  shape: HopperShape,
  [element, other]: readonly [Element, Element],
): CudaKernelText {
  const { m, n, turns, mates } = shape;
  const f = contractionFunction(kernel, context);
  const s = f.scopes;
  const BK = LINE / element.dtype.bytes;
  const [aBytes, bBytes] = [m * LINE, n * LINE];
  const consumers = consumersOf(shape);
  const inRegisters = endsInRegisters(kernel, n);
  const epilogueBytes = inRegisters ? 0 : 4 * consumers * SLAB_BYTES;
  const stages = Math.min(6, Math.floor((SHARED_LIMIT - 1024 - 256 - epilogueBytes) / (aBytes + bBytes)));
  const ring = stages * (aBytes + bBytes);
  const sharedBytes = ring + epilogueBytes + stages * 16 + 1024;
  // A pair has two tiles of rows and the same columns, so there is an even number of them: the last may have no rows.
  const [tm, tn] = [mates ? mul(ceilDiv(kernel.m, 2 * m), 2) : ceilDiv(kernel.m, m), ceilDiv(kernel.n, n)];
  const batches = productOf(kernel.batch.map((axis) => axis.extent));
  const tiles = mul(batches, tm, tn);
  const jobs = new HopperJobs(
    tiles,
    ceilDiv(productOf(kernel.k), BK),
    shape,
    mates ? context.multiprocessors & ~1 : context.multiprocessors,
    4 * consumers,
  );
  const sum = sumText(element);
  s.line("TSR_DYNAMIC(room);");
  s.line("const unsigned base = (tsr_smem(room) + 1023) & ~1023u;");
  s.line(`${sum}* const staging = (${sum}*)(room + (base - tsr_smem(room)) + ${ring});`);
  s.line(`const unsigned barriers = base + ${ring + epilogueBytes};`);
  s.line("const int group4 = (int)threadIdx.x / 128;");
  s.line(`const int tm = ${f.extent(tm)}, tn = ${f.extent(tn)};`);
  jobs.begin(f);
  const job = (): void => {
    jobs.open(f);
    position(f, kernel, shape);
  };
  s.open("if (threadIdx.x == 0) {");
  s.open(`for (int i = 0; i < ${stages}; i++) {`);
  s.line(`tsr_barrier_init(barriers + i * 16, ${rows.kind === "gather" ? 5 : 1});`);
  s.line(`tsr_barrier_init(barriers + i * 16 + 8, ${(turns ? 4 : 4 * consumers) * (mates ? 2 : 1)});`);
  s.close();
  s.line("tsr_barrier_visible();");
  if (rows.kind === "map") s.line("tsr_map_ready(&mapA);");
  s.line("tsr_map_ready(&mapB);");
  s.close();
  s.line(mates ? "tsr_mates_sync();" : "__syncthreads();");
  const gather = rows.kind === "gather";
  const copyColumns = (): void => {
    s.line(`tsr_barrier_expect(full, ${gather ? bBytes : aBytes + bBytes});`);
    for (const line of copyLines(f, b, { map: "mapB", to: `to + ${aBytes}`, row: "n0" }, n, mates)) s.line(line);
  };
  // Weights need not wait for the kernels ahead: those of the block's first steps are on their way meanwhile.
  const early = context.fixed?.has(b.buffer) === true && b.pixels === undefined;
  if (early) {
    s.open("if (threadIdx.x == 0) {");
    job();
    s.open(`for (int step = firstStep; step < tsr_min(lastStep, firstStep + ${stages}); step++) {`);
    s.line(`const unsigned full = barriers + (step - firstStep) * 16;`);
    s.line(`const unsigned to = base + (step - firstStep) * ${aBytes + bBytes};`);
    s.line(`const int k0 = step * ${BK};`);
    copyColumns();
    s.close();
    s.line("break;");
    s.close();
    s.close();
  }
  s.line("tsr_wait_previous();");
  s.line("int stage = 0, phase = 0;");
  // One thread issues copies of boxes; gathering takes two warpgroups, or the tensor cores wait: each has every other step.
  const producers = gather ? 2 : 1;
  s.open(`if (group4 < ${producers}) {`);
  // Where pixels are takes more registers than where boxes are.
  const pixels = b.pixels !== undefined || (rows.kind === "map" && rows.matrix.pixels !== undefined);
  s.line(`tsr_fewer_registers<${gather ? 96 : pixels ? 40 : 24}>();`);
  if (gather) {
    s.line("bool mine = group4 == 0;");
    s.line("unsigned last = 0;");
  } else s.open("if (threadIdx.x == 0) {");
  job();
  s.open("for (int step = firstStep; step < lastStep; step++) {");
  if (gather) s.open("if (mine) {");
  s.line("const unsigned full = barriers + stage * 16, to = base + stage * " + `${aBytes + bBytes};`);
  s.line(`const int k0 = step * ${BK};`);
  s.line("tsr_barrier_wait(full + 8, phase ^ 1);");
  if (gather) s.open("if ((threadIdx.x & 127) == 0) {");
  if (early) s.open(`if (job != blockIdx.x || step - firstStep >= ${stages}) {`);
  copyColumns();
  if (early) s.close();
  if (rows.kind === "map") {
    for (const line of copyLines(f, rows.matrix, { map: "mapA", to: "to", row: "m0" }, m, false)) s.line(line);
  } else {
    s.close();
    const length = constantValue(productOf(kernel.k));
    // Channels that fill whole lines of 128 bytes are read once; of others, the next pixel's copy finds the rest in the first cache.
    const channels = constantValue(rows.plan.program.k.at(-1)?.extent ?? constant(LINE));
    const near = channels === null || channels * element.dtype.bytes % LINE !== 0;
    writeTileLoop(
      f,
      rows.plan,
      {
        threads: 128,
        thread: "((int)threadIdx.x & 127)",
        rows: m,
        k: BK,
        pitch: BK,
        row0: "m0",
        k0: "k0",
        rowEnd: kernel.m,
        kEnd: f.extent(productOf(kernel.k)),
        kExact: length !== null && length % BK === 0,
        // Lines of 128 bytes whose pieces of 16 are exchanged by the line's number, as the tensor cores read them.
        copy: (line, at, from, there) =>
          `tsr_gather16<${near}>(to + ${line} * 128 + ((${at} / 8 ^ (${line} & 7)) << 4), ${from}, ${there});`,
      },
      "",
      "",
    );
    // A step is told to be there when the warpgroup's next one is under way: once a warp, not once a thread.
    s.line("tsr_copy_commit();");
    s.line("if (last != 0) tsr_gathered_arrive<1>(last);");
    s.line("last = full;");
    s.close();
    s.line("mine = !mine;");
  }
  s.line(`if (++stage == ${stages}) { stage = 0; phase ^= 1; }`);
  s.close();
  s.close();
  if (gather) s.line("if (last != 0) tsr_gathered_arrive<0>(last);");
  else s.close();
  // Neither block's memory may go while the other one still copies to it or tells it of stages.
  if (mates) s.line("tsr_mates_sync();");
  s.close();
  s.open("else {");
  s.line(`tsr_more_registers<${gather || consumers === 3 ? (pixels ? 152 : 160) : pixels ? 232 : 240}>();`);
  s.line(`const int warp = (int)threadIdx.x / 32 - ${4 * producers}, consumer = warp / 4;`);
  s.line(`${sum}* const own = staging + warp * ${16 * SLAB};`);
  if (turns) s.line("int turn = -1;");
  job();
  if (turns) {
    // The stages of a tile of the other warpgroup go by.
    s.open("if ((++turn & 1) != consumer) {");
    s.line("stage += lastStep - firstStep;");
    s.line(`phase ^= stage / ${stages} & 1;`);
    s.line(`stage %= ${stages};`);
    s.line("continue;");
    s.close();
    // A barrier tells one phase from the next only: whoever is next begins when the other has seen all of its stages.
    s.line("if (turn > 0) tsr_signal_wait(consumer + 1, 256);");
  }
  // A warpgroup has 64 rows of a tile, or 128.
  const high = turns || m === 256;
  const accs = high ? ["acc", "acc1"] : ["acc"];
  askEpilogue(f, kernel, shape, turns ? "((int)threadIdx.x & 127)" : `((int)threadIdx.x - ${128 * producers})`);
  const held = inRegisters ? holdColumns(f, kernel, { column: "n0", columns: n }) : [];
  const promoted = element.promoted === true;
  const along = rows.kind === "gather" ? "k" : rows.matrix.along;
  const descriptor = (direction: "k" | "rows", at: string): string =>
    direction === "k" ? `tsr_matrix(${at} + k * 32, 16, 1024)` : `tsr_matrix(${at} + k * 2048, ${64 * LINE}, 1024)`;
  const declare = (suffix: string, zero: boolean): void =>
    accs.forEach((acc) => s.line(`${sum} ${acc}${suffix}[${n / 2}]${zero ? " = {}" : ""};`));
  const addStep = (suffix: string): void => {
    s.open(`#pragma unroll\nfor (int i = 0; i < ${n / 2}; i++) {`);
    for (const acc of accs) s.line(`${acc}[i] += ${acc}${suffix}[i];`);
    s.close();
  };
  // Sends products of one step on their way.
  const multiply = (suffix: string, keep: string): void => {
    s.line("{");
    s.line("const unsigned full = barriers + stage * 16;");
    // A warpgroup has 64 rows: along k these are 64 lines of 128 bytes, along rows one piece of 64.
    s.line(
      `const unsigned from = base + stage * ${aBytes + bBytes} + ${
        turns ? 0 : `consumer * ${(m / consumers) * LINE}`
      };`,
    );
    s.line(`const unsigned other = base + stage * ${aBytes + bBytes} + ${aBytes};`);
    s.line("tsr_barrier_wait(full, phase);");
    s.line("tsr_wgmma_begin();");
    s.open(`#pragma unroll\nfor (int k = 0; k < ${BK / element.k}; k++) {`);
    accs.forEach((acc, i) => {
      const from = descriptor(along, i === 0 ? "from" : `from + ${64 * LINE}`);
      const name = `${wgmmaName(n, element, other)}<${along === "k" ? 0 : 1}, ${b.along === "k" ? 0 : 1}>`;
      s.line(`${name}(${acc}${suffix}, ${from}, ${descriptor(b.along, "other")}, ${keep});`);
    });
    s.close();
    s.line("tsr_wgmma_commit();");
    s.line("}");
  };
  const arrive = mates
    ? "if (before >= 0 && (threadIdx.x & 31) < 2) tsr_mates_arrive(barriers + before * 16 + 8, threadIdx.x & 31);"
    : "if (before >= 0 && (threadIdx.x & 31) == 0) tsr_barrier_arrive(barriers + before * 16 + 8);";
  const next = (): void => {
    s.line("before = stage;");
    s.line(`if (++stage == ${stages}) { stage = 0; phase ^= 1; }`);
  };
  declare("", promoted);
  s.line("int before = -1;");
  if (promoted && n > PROMOTED_TWICE) {
    // Registers for one step: while its sums are added up, the other warpgroup's products go on.
    declare("First", false);
    s.open("for (int step = firstStep; step < lastStep; step++) {");
    multiply("First", "k > 0");
    next();
    s.line("tsr_wgmma_wait<0>();");
    s.line(arrive);
    addStep("First");
    s.close();
    s.line("before = -1;");
  } else if (promoted) {
    // Two steps are under way at a time, each with registers of its own: the sums of the first are added up while the second goes on.
    declare("First", false);
    declare("Second", false);
    s.line("int step = firstStep;");
    s.open("for (; step + 1 < lastStep; step += 2) {");
    multiply("First", "k > 0");
    next();
    multiply("Second", "k > 0");
    s.line("tsr_wgmma_wait<1>();");
    s.line(arrive);
    addStep("First");
    next();
    s.line("tsr_wgmma_wait<0>();");
    s.line(arrive);
    addStep("Second");
    s.close();
    s.open("if (step < lastStep) {");
    multiply("First", "k > 0");
    next();
    s.line("tsr_wgmma_wait<0>();");
    s.line(arrive);
    addStep("First");
    s.close();
    s.line("before = -1;");
  } else {
    s.open("for (int step = firstStep; step < lastStep; step++) {");
    multiply("", "step > firstStep || k > 0");
    s.line("tsr_wgmma_wait<1>();");
    s.line(arrive);
    next();
    s.close();
  }
  if (turns) s.line(`if (${jobs.another}) tsr_signal_send((consumer ^ 1) + 1, 256);`);
  s.line("tsr_wgmma_wait<0>();");
  s.line(arrive);
  jobs.join(f, "acc", sum, n);
  s.line(`const int mTile = m0, nTile = n0;`);
  const firstRow = (i: number): string =>
    turns ? `mTile + ${i * 64}` : `mTile + consumer * ${high ? 128 : 64} + ${i * 64}`;
  if (inRegisters) {
    writeRegisterEpilogue(f, kernel, {
      sums: accs,
      rows: accs.map((_, i) => firstRow(i)),
      column: "nTile",
      columns: n,
      type: sum,
      tileM: mates ? 2 * m : m,
      tileN: n,
      held,
    });
  }
  const parts = inRegisters
    ? []
    : accs.flatMap((acc, i) => Array.from({ length: Math.ceil(n / SLAB) }, (_, slab) => ({ acc, i, slab })));
  for (const { acc, i, slab } of parts) {
    const columns = Math.min(SLAB, n - slab * SLAB);
    const tiling: Tiling = { m: 16, n: columns, k: BK, warpM: 0, warpN: 0, threads: 32, stages, pieces: 1 };
    s.open("{");
    s.line("__syncwarp();");
    s.line(`tsr_wgmma_put<${slab * SLAB}, ${columns}>(own, ${acc});`);
    s.line("__syncwarp();");
    s.line(`const int m0 = ${firstRow(i)} + (warp & 3) * 16, n0 = nTile + ${slab * SLAB};`);
    writeEpilogue(f, kernel, tiling, "own", SLAB, sum, {
      thread: "((int)threadIdx.x & 31)",
      tileM: mates ? 2 * m : m,
      tileN: n,
      exchanged: true,
      sums: sumsOf(shape),
    });
    s.close();
  }
  s.close();
  if (mates) s.line("tsr_mates_sync();");
  s.close();
  const { args, parameters } = signature(f, [
    ...(rows.kind === "gather" ? [] : [mapParameter(rows.matrix, "mapA")]),
    mapParameter(b, "mapB"),
    ...(jobs.shares ? jobs.parameters(n, context.scratchId()) : []),
  ]);
  return {
    parameters,
    body: branchesTogether(s.text("  "), `  if (group4 < ${producers}) {`),
    support: wgmmaText(n, element, other),
    includes: new Set(["collectives", "mma", "hopper"]),
    args,
    grid: [jobs.grid, constant(1), constant(1)],
    block: [128 * (producers + consumers), 1, 1],
    ...(mates ? { cluster: [2, 1, 1] as const } : {}),
    sharedBytes,
    blocksEach: 1,
    waits: true,
    early: early ? [b.buffer] : [],
  };
}

/**
 * Values that no loop changes are written before the loop's block, and so between the branches: they go before both. One if with its else it must be, or
 * the compiler gives all warpgroups the same registers.
 */
function branchesTogether(text: string, first: string): string {
  const lines = text.split("\n");
  const start = lines.indexOf(first);
  const end = lines.indexOf("  }", start);
  const other = lines.indexOf("  else {", end);
  if (start < 0 || end < 0 || other < 0) throw new InternalError("a Hopper kernel has no two branches");
  const between = lines.splice(end + 1, other - end - 1);
  lines.splice(start, 0, ...between);
  return lines.join("\n");
}
