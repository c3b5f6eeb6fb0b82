/**
 * Contractions on CUDA: which template a contraction takes, the pieces that all of them share, and the templates for plain arithmetic and mma.sync.
 *
 * A block computes a tile of m × n. Operand programs fill tiles of k in shared memory (masks and gathers included, so a convolution is an implicit
 * matrix product); sums pass through shared memory once, so that the epilogue runs along whichever axis is contiguous, in vectors. Few tiles with long
 * sums are split along k: the block of a tile that comes last adds the parts in order.
 */
import { float64, InternalError } from "../../core/mod.ts";
import { ceilDiv, constant, constantValue, type Expr, mul } from "../../symbolic/mod.ts";
import { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, signature } from "../codegen/cuda/kernel_text.ts";
import { guess, guessProduct } from "../tile/axes.ts";
import type { Axis, ContractionKernel } from "../tile/tile_ir.ts";
import { writeEpilogue } from "./cuda_epilogue.ts";
import { emitFewTiles } from "./cuda_cluster.ts";
import { emitHopperContraction } from "./cuda_hopper.ts";
import { prefersRows, swapped } from "./cuda_hopper_plan.ts";
import { PLAIN } from "./cuda_plain_tile.ts";
import { reorderK } from "./cuda_reorder.ts";
import { turnOperands } from "./cuda_turned.ts";
import { chooseMma, type MmaElement } from "./cuda_mma_elements.ts";
import { type OperandPlan, planOperand, productOf, type TileRoom, writePut, writeTileLoop } from "./cuda_operands.ts";

/** The type of sums. */
export type SumType = "float" | "double" | "int";

/** The sizes of a template. */
export interface Tiling {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** What a warp computes; 0 for plain arithmetic. */
  readonly warpM: number;
  readonly warpN: number;
  readonly threads: number;
  readonly stages: number;
  /** Parts into which k is cut. */
  readonly pieces: number;
}

/** Emits the kernels of a contraction: as measured, or as the cost model says. */
export function emitCudaContraction(given: ContractionKernel, context: EmitContext): CudaKernelText[] {
  const ordered = reorderK(given);
  const measured = context.choose?.(ordered, context) ?? null;
  if (measured !== null) return measured;
  const hopper = emitFewTiles(ordered, context) ?? emitHopperContraction(ordered, context);
  if (hopper !== null) return [hopper];
  const turned = turnOperands(ordered, context);
  const product = turned === null ? null : emitHopperContraction(turned.kernel, context);
  return turned !== null && product !== null ? turned.placed([product]) : emitContractionTemplate(ordered, context);
}

/** The kernels of a contraction by plain arithmetic or mma.sync, whose tiling may be given. */
export function emitContractionTemplate(
  ordered: ContractionKernel,
  context: EmitContext,
  chosen?: Tiling,
): CudaKernelText[] {
  const { kernel, tensor } = prepareTensor(ordered, context);
  return [tensor !== null ? emitTensor(kernel, tensor, context, chosen) : emitPlain(kernel, context)];
}

function prepareTensor(
  ordered: ContractionKernel,
  context: EmitContext,
): { kernel: ContractionKernel; tensor: MmaElement | null } {
  // The epilogue reads sums in vectors if the result is contiguous along n.
  const kernel = prefersRows(ordered) === true ? swapped(ordered) : ordered;
  return { kernel, tensor: chooseMma(kernel, context.arch, context.allowTf32 === true) };
}

/** The tilings of mma.sync for a contraction, best first by the model; none where it runs on plain arithmetic. */
export function mmaTilings(ordered: ContractionKernel, context: EmitContext): Tiling[] {
  const { kernel, tensor } = prepareTensor(ordered, context);
  return tensor !== null ? tensorTilings(kernel, context, tensor) : [];
}

/** Whether an operand is read element by element, whose indices take registers: small blocks have more of them. */
function isScattered({ a, b }: MmaElement): boolean {
  return [a, b].some(({ copy, lanes }) => copy === null && lanes < 4);
}

/** Blocks for one pass over all tiles, by sizes as far as they are known. */
export function tileCount(kernel: ContractionKernel, m: number, n: number): number {
  const batch = guessProduct(kernel.batch.map((axis) => axis.symbol));
  return batch * Math.ceil(guess(kernel.m) / m) * Math.ceil(guess(kernel.n) / n);
}

/** How many parts k is cut into, so that few tiles still fill the device. */
export function splitOf(kernel: ContractionKernel, tiles: number, step: number, context: EmitContext): number {
  const length = productOf(kernel.k);
  const known = constantValue(length);
  if (known === null || constantValue(mul(kernel.m, kernel.n)) === null) return 1;
  if (tiles * 3 > context.multiprocessors * 2) return 1;
  const most = Math.floor(known / (step * 8));
  return Math.max(1, Math.min(most, Math.floor(context.multiprocessors * 2 / tiles), 32));
}

function tensorTilings(kernel: ContractionKernel, context: EmitContext, element: MmaElement): Tiling[] {
  const scattered = isScattered(element);
  // 64 bytes of k.
  const k = 64 / element.bytes;
  const all = [
    { m: 128, n: 128, warpM: 64, warpN: 32, threads: 256 },
    { m: 128, n: 64, warpM: 32, warpN: 32, threads: 256 },
    { m: 64, n: 128, warpM: 32, warpN: 32, threads: 256 },
    { m: 64, n: 64, warpM: 32, warpN: 32, threads: 128 },
    { m: 64, n: 32, warpM: 16, warpN: 32, threads: 128 },
  ];
  const costs = all.filter(({ threads }) => !scattered || threads === 128).map((c) => {
    const tiles = tileCount(kernel, c.m, c.n);
    // Smaller tiles read more, and two or three blocks share a multiprocessor.
    const perSm = c.threads === 256 ? (c.m * c.n === 128 * 128 ? 1.6 : 2) : 4;
    const waves = Math.max(1, tiles / (context.multiprocessors * perSm));
    const rounded = waves < 4 ? Math.ceil(waves) : waves;
    const cost = rounded * perSm * (c.m * c.n) * (1 + 24 / c.m + 24 / c.n) * (c.m * c.n === 128 * 128 ? 1 : 1.1);
    return { c, cost };
  });
  // Short sums leave the memory of further stages to other blocks.
  const stages = Math.max(2, Math.min(4, Math.ceil(guess(productOf(kernel.k)) / k)));
  return costs.sort((x, y) => x.cost - y.cost).map(({ c }) => {
    const pieces = splitOf(kernel, tileCount(kernel, c.m, c.n), k, context);
    return { ...c, k, stages, pieces };
  });
}

/** Positions of a block: batch, the tile's first row and column, the part of k. Tiles go by in groups of rows that share columns in the cache. */
export function writePosition(
  f: CudaFunction,
  kernel: ContractionKernel,
  tiling: Tiling,
): { k0: string; kEnd: string } {
  const s = f.scopes;
  const tilesM = f.extent(ceilDiv(kernel.m, tiling.m));
  const tilesN = f.extent(ceilDiv(kernel.n, tiling.n));
  s.line(`const ${f.index} tm = ${tilesM}, tn = ${tilesN};`);
  s.line(
    `const ${f.index} batch = (${f.index})blockIdx.x / (tm * tn), inBatch = (${f.index})blockIdx.x - batch * (tm * tn);`,
  );
  s.line(`const ${f.index} group = inBatch / (8 * tn), height = tsr_min(tm - group * 8, (${f.index})8);`);
  s.line(`const ${f.index} inGroup = inBatch - group * 8 * tn;`);
  s.line(`const ${f.index} m0 = (group * 8 + inGroup % height) * ${tiling.m}, n0 = inGroup / height * ${tiling.n};`);
  f.decompose(kernel.batch, "batch", (axis) => f.extent(axis.extent));
  const k = f.extent(productOf(kernel.k));
  if (tiling.pieces === 1) return { k0: "0", kEnd: k };
  const steps = f.extent(ceilDiv(ceilDiv(productOf(kernel.k), tiling.k), tiling.pieces));
  s.line(`const ${f.index} kFirst = (${f.index})blockIdx.y * ${steps} * ${tiling.k};`);
  s.line(`const ${f.index} kLast = tsr_min((${f.index})${k}, kFirst + ${steps} * ${tiling.k});`);
  return { k0: "kFirst", kEnd: "kLast" };
}

/** The grid of a tiling. */
export function gridOf(kernel: ContractionKernel, tiling: Tiling): readonly [Expr, Expr, Expr] {
  const batches = productOf(kernel.batch.map((axis) => axis.extent));
  const tiles = mul(batches, ceilDiv(kernel.m, tiling.m), ceilDiv(kernel.n, tiling.n));
  return [tiles, constant(tiling.pieces), constant(1)];
}

/** The parameters that splitting k adds. */
export function splitExtra(
  kernel: ContractionKernel,
  tiling: Tiling,
  context: EmitContext,
  type: SumType,
): Parameters<typeof signature>[1] {
  if (tiling.pieces === 1) return [];
  const [tiles] = gridOf(kernel, tiling);
  const id = context.scratchId();
  return [
    {
      arg: {
        kind: "scratch",
        bytes: mul(tiles, tiling.pieces * tiling.m * tiling.n * (type === "double" ? 8 : 4)),
        zeroed: false,
        id,
      },
      text: `${type}* partial`,
    },
    { arg: { kind: "scratch", bytes: mul(tiles, 4), zeroed: true, id: id + 1 }, text: "unsigned* arrived" },
  ];
}

/** Sums of the parts of k: all blocks of a tile but the last return; that one has the sums in `shared`, rows of `pitch` elements. */
export function writeSplit(f: CudaFunction, tiling: Tiling, shared: string, pitch: number, type: string): void {
  if (tiling.pieces === 1) return;
  const s = f.scopes;
  const size = tiling.m * tiling.n;
  s.line(`${type}* const parts = partial + (long)blockIdx.x * ${tiling.pieces * size};`);
  s.line(`for (int e = threadIdx.x; e < ${size}; e += ${tiling.threads})`);
  s.line(
    `  *(volatile ${type}*)(parts + blockIdx.y * ${size} + e) = ${shared}[e / ${tiling.n} * ${pitch} + e % ${tiling.n}];`,
  );
  s.line("__shared__ int whether;");
  s.line(`if (!tsr_is_last(arrived + blockIdx.x, ${tiling.pieces}, &whether)) return;`);
  s.open(`for (int e = threadIdx.x; e < ${size}; e += ${tiling.threads}) {`);
  s.line(`${type} sum = 0;`);
  s.line(`for (int p = 0; p < ${tiling.pieces}; p++) sum += *(volatile ${type}*)(parts + p * ${size} + e);`);
  s.line(`${shared}[e / ${tiling.n} * ${pitch} + e % ${tiling.n}] = sum;`);
  s.close();
  s.line("__syncthreads();");
}

function bodiesOf(kernel: ContractionKernel): { bodies: (typeof kernel.a.body)[]; axes: Axis[] } {
  const linear = (e: Expr): Axis => ({
    symbol: kernel.batch[0]?.symbol ?? kernel.a.rows[0]?.symbol ?? kernel.a.k[0]?.symbol ?? fail(),
    extent: e,
    block: 1,
    role: "grid",
  });
  return {
    bodies: [kernel.a.body, kernel.b.body, kernel.epilogue.body],
    axes: [...kernel.batch, linear(kernel.m), linear(kernel.n)],
  };
}

function fail(): never {
  throw new InternalError("a contraction without axes");
}

/** A function for a contraction's programs. */
export function contractionFunction(kernel: ContractionKernel, context: EmitContext): CudaFunction {
  const { bodies, axes } = bodiesOf(kernel);
  return new CudaFunction(kernel, bodies, axes, { shared: context.shared });
}

function rooms(
  kernel: ContractionKernel,
  tiling: Tiling,
  a: OperandPlan,
  b: OperandPlan,
  pad: { readonly k: number; readonly rows: number },
  position: { k0: string; kEnd: string },
  lies: OperandPlan["along"] | null = null,
): { a: TileRoom; b: TileRoom; aSize: number; bSize: number } {
  const length = constantValue(productOf(kernel.k));
  const kExact = length !== null && length % (tiling.k * tiling.pieces) === 0;
  const room = (plan: OperandPlan, rows: number, row0: string, rowEnd: Expr): TileRoom => ({
    threads: tiling.threads,
    rows,
    k: tiling.k,
    pitch: (lies ?? plan.along) === "k" ? tiling.k + pad.k : rows + pad.rows,
    lies: lies ?? plan.along,
    row0,
    k0: "k0",
    rowEnd,
    kEnd: position.kEnd,
    kExact,
  });
  const size = (plan: OperandPlan, rows: number): number =>
    (lies ?? plan.along) === "k" ? rows * (tiling.k + pad.k) : tiling.k * (rows + pad.rows);
  return {
    a: room(a, tiling.m, "m0", kernel.m),
    b: room(b, tiling.n, "n0", kernel.n),
    aSize: size(a, tiling.m),
    bSize: size(b, tiling.n),
  };
}

/** Architectures whose blocks may have more than 128 KiB of shared memory. */
const ROOMY: ReadonlySet<number> = new Set([80, 87, 90, 100, 103]);

/**
 * Plain arithmetic: each thread has 8 × 16 sums, 8 × 8, or 4 × 4. Any dtype, any program. Tiles take turns in two places of shared memory: what is read for the next one waits
 * in registers, few of them, while this one is multiplied. With 8 × 8 sums reading shared memory takes as long as the products of a multiprocessor, so there are more where tiles are many.
 */
function emitPlain(kernel: ContractionKernel, context: EmitContext): CudaKernelText {
  const double = kernel.accumulate === float64;
  const type: SumType = double ? "double" : kernel.accumulate.isFloat ? "float" : "int";
  const a = planOperand(kernel.a, 4, false);
  const b = planOperand(kernel.b, 4, false);
  const wide = tileCount(kernel, 128, 128) >= context.multiprocessors && !double;
  const twice = type === "float" && ROOMY.has(context.arch) &&
    tileCount(kernel, 128, 256) >= 3 * context.multiprocessors;
  const m = wide ? 128 : 64, n = twice ? 256 : m;
  const [ownM, ownN] = [m / 16, n / 16];
  const k = wide ? 8 : 16;
  const pieces = splitOf(kernel, tileCount(kernel, m, n), k, context);
  const tiling: Tiling = { m, n, k, warpM: 0, warpN: 0, threads: 256, stages: 2, pieces };
  const f = contractionFunction(kernel, context);
  const s = f.scopes;
  const position = writePosition(f, kernel, tiling);
  const { a: roomA, b: roomB, aSize, bSize } = rooms(kernel, tiling, a, b, { k: 4, rows: 4 }, position, "rows");
  const pitch = tiling.n + 4;
  const stage = aSize + bSize;
  const total = Math.max(2 * stage, tiling.m * pitch) * (double ? 8 : 4);
  s.line("TSR_DYNAMIC(room);");
  s.line(`${type}* const tiles = (${type}*)room;`);
  s.line(`${type} acc[${ownM}][${ownN}] = {};`);
  // A warp has four by eight threads: what they read of an operand is a line of shared memory at most.
  s.line("const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;");
  s.line("const int ty = warp / 2 * 4 + lane / 8, tx = warp % 2 * 8 + lane % 8;");
  const eachA = Math.ceil(tiling.m * tiling.k / a.lanes / 256);
  const eachB = Math.ceil(tiling.n * tiling.k / b.lanes / 256);
  s.line(`${type} ra[${eachA}][${a.lanes}], rb[${eachB}][${b.lanes}];`);
  s.line("int turn = 0;");
  s.open(`for (${f.index} k0 = ${position.k0}; k0 < ${position.kEnd} + ${tiling.k}; k0 += ${tiling.k}, turn ^= 1) {`);
  s.line(`${type}* const sa = tiles + turn * ${stage}; ${type}* const sb = sa + ${aSize};`);
  s.open(`if (k0 < ${position.kEnd}) {`);
  writeTileLoop(f, a, roomA, "ra", "sa");
  writeTileLoop(f, b, roomB, "rb", "sb");
  s.close();
  s.open(`if (k0 > ${position.k0}) {`);
  s.line(`const ${type}* const from = tiles + (turn ^ 1) * ${stage};`);
  s.line(
    `tsr_plain_tile<${type}, ${ownM}, ${ownN}, ${tiling.k}, ${roomA.pitch}, ${roomB.pitch}>` +
      `(acc, from + ty * 4, from + ${aSize} + tx * 4);`,
  );
  s.close();
  s.open(`if (k0 < ${position.kEnd}) {`);
  writePut(f, a, roomA, "ra", "sa", type);
  writePut(f, b, roomB, "rb", "sb", type);
  s.close();
  s.line("__syncthreads();");
  s.close();
  s.line(`${type}* const sums = tiles;`);
  s.line("#pragma unroll");
  s.line(`for (int i = 0; i < ${ownM}; i++)`);
  s.line("#pragma unroll");
  const spot = "(ty * 4 + i / 4 * 64 + i % 4)";
  s.line(`  for (int j = 0; j < ${ownN}; j++) sums[${spot} * ${pitch} + tx * 4 + j / 4 * 64 + j % 4] = acc[i][j];`);
  s.line("__syncthreads();");
  writeSplit(f, tiling, "sums", pitch, type);
  writeEpilogue(f, kernel, tiling, "sums", pitch, type);
  const { args, parameters } = signature(f, splitExtra(kernel, tiling, context, type));
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives"]),
    support: PLAIN,
    args,
    grid: gridOf(kernel, tiling),
    block: [256, 1, 1],
    sharedBytes: total,
    ...(double ? {} : { blocksEach: twice ? 1 : 2 }),
  };
}

/** mma.sync: tiles by cp.async where elements are copied as they are, through registers where a program computes them. */
function emitTensor(
  kernel: ContractionKernel,
  multiplied: MmaElement,
  context: EmitContext,
  chosen?: Tiling,
): CudaKernelText {
  const tiling = chosen ?? tensorTilings(kernel, context, multiplied)[0];
  if (tiling === undefined) throw new InternalError("a product without a tiling");
  const { a, b, text: element, sum, lies } = multiplied;
  const f = contractionFunction(kernel, context);
  const s = f.scopes;
  const position = writePosition(f, kernel, tiling);
  const { a: roomA, b: roomB, aSize, bSize } = rooms(
    kernel,
    tiling,
    a,
    b,
    { k: 16 / multiplied.bytes, rows: 8 },
    position,
    lies,
  );
  const stages = tiling.stages;
  const stage = aSize + bSize;
  const pitch = tiling.n + 4;
  const bytes = Math.max(stages * stage * multiplied.bytes, tiling.m * pitch * 4);
  s.line("TSR_DYNAMIC(room);");
  s.line(`${element}* const tiles = (${element}*)room;`);
  const { warpM, warpN } = tiling;
  const across = tiling.n / warpN;
  s.line("const int warp = (int)threadIdx.x >> 5;");
  s.line(`const int wm = warp / ${across} * ${warpM}, wn = warp % ${across} * ${warpN};`);
  s.line(`${sum} acc[${warpM / 16}][${warpN / 8}][4] = {};`);
  const kept = (plan: OperandPlan, name: string, rows: number): void => {
    if (plan.copy !== null) return;
    s.line(`${sum} ${name}[${Math.ceil(rows * tiling.k / plan.lanes / tiling.threads)}][${plan.lanes}];`);
  };
  kept(a, "ra", tiling.m);
  kept(b, "rb", tiling.n);
  const k = tiling.k;
  // Copies run `ahead` tiles in front; what goes through registers is read one tile in front, and put down after the products.
  const ahead = stages - 1;
  s.line(`const ${f.index} steps = (${position.kEnd} - ${position.k0} + ${k - 1}) / ${k};`);
  s.open(`for (${f.index} step = -${ahead}; step < steps; step++) {`);
  s.line(`const ${f.index} next = step + ${ahead}, k0 = ${position.k0} + next * ${k};`);
  s.line(`${element}* const to = tiles + next % ${stages} * ${stage};`);
  s.line(`tsr_copy_wait<${ahead - 1}>();`);
  s.line("__syncthreads();");
  s.open("if (next < steps) {");
  writeTileLoop(f, a, roomA, "ra", "to");
  writeTileLoop(f, b, roomB, "rb", `to + ${aSize}`);
  s.close();
  s.line("tsr_copy_commit();");
  s.open("if (step >= 0) {");
  s.line(`const ${element}* const from = tiles + step % ${stages} * ${stage};`);
  s.line(
    `tsr_mma_tile<${element}, ${tiling.m}, ${tiling.n}, ${k}, ${warpM}, ${warpN}, ${roomA.lies === "k"}, ${
      roomB.lies === "k"
    }>(acc, from, from + ${aSize}, wm, wn);`,
  );
  s.close();
  if (a.copy === null || b.copy === null) {
    s.open("if (next < steps) {");
    if (a.copy === null) writePut(f, a, roomA, "ra", "to", element);
    if (b.copy === null) writePut(f, b, roomB, "rb", `to + ${aSize}`, element);
    s.close();
  }
  s.close();
  s.line("tsr_copy_wait<0>();");
  s.line("__syncthreads();");
  s.line(`${sum}* const sums = (${sum}*)room;`);
  s.line(`tsr_mma_put<${warpM}, ${warpN}, ${pitch}>(sums, acc, wm, wn);`);
  s.line("__syncthreads();");
  writeSplit(f, tiling, "sums", pitch, sum);
  writeEpilogue(f, kernel, tiling, "sums", pitch, sum);
  const { args, parameters } = signature(f, splitExtra(kernel, tiling, context, sum));
  return {
    parameters,
    body: s.text("  "),
    includes: new Set(["collectives", "mma"]),
    args,
    grid: gridOf(kernel, tiling),
    block: [tiling.threads, 1, 1],
    sharedBytes: bytes,
    ...(tiling.threads === 256 ? { blocksEach: 2 } : {}),
  };
}
