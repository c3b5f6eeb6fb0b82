/**
 * Matrix products on Hopper: the copy engine fills a ring of tiles in shared memory, two warpgroups multiply from there by wgmma.
 *
 * Blocks stay and take one tile after the other; one warpgroup only issues copies, so those of the next tile are under way while the others write the
 * last. Either operand may lie along k or along its rows. Sums go through a little shared memory of each warp to the epilogue, in vectors. After the
 * scheme of CUTLASS's warp-specialised persistent kernels. Rows that are no matrix (the pixels of a convolution) are gathered by the threads of the first
 * warpgroup instead, sixteen bytes at a time, zeros where a mask does not hold.
 */
import { bfloat16, float32 } from "../../core/mod.ts";
import {
  ceilDiv,
  coefficient,
  constant,
  constantValue,
  type Expr,
  freeSymbols,
  min,
  mod,
  mul,
  sub,
  symbol,
} from "../../symbolic/mod.ts";
import type { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, signature } from "../codegen/cuda/kernel_text.ts";
import type { CudaArg, TensorMapSpec } from "../codegen/cuda/launch.ts";
import { InternalError } from "../../core/mod.ts";
import type { BufferRef } from "../../loops/mod.ts";
import { guess } from "../tile/axes.ts";
import type { Axis, ContractionKernel } from "../tile/tile_ir.ts";
import { contractionFunction, isContiguousAlong, tileCount, type Tiling, writeEpilogue } from "./cuda_contraction.ts";
import { type OperandPlan, planOperand, productOf, ragged, writeTileLoop } from "./cuda_operands.ts";

const BM = 128;
const BK = 64;
/** How many blocks may share a tile's sum; the one that comes last adds up what the others have. */
const PIECES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48];
/** Columns of a slab that a warp hands to the epilogue at once, and the distance of its rows. */
const SLAB = 64;
const PITCH = SLAB + 4;
const SHARED_LIMIT = 227 * 1024;

/** An operand as a plain matrix. */
interface Matrix {
  readonly along: "k" | "rows";
  readonly buffer: BufferRef;
  readonly map: TensorMapSpec;
  /** Batch axes that are dimensions of the map. */
  readonly batch: readonly Axis[];
}

/** The matrix that an operand is, if it is one that the copy engine can read. */
function matrixOf(
  plan: OperandPlan,
  batch: readonly Axis[],
  extents: { rows: Expr; k: Expr },
): Matrix | null {
  const { program, copy, half } = plan;
  if (copy === null || copy.load.mask !== null || half === null || copy.load.buffer.dtype !== half) return null;
  const { index, buffer } = copy.load;
  let offset = index;
  // Axes that lie one after the other in memory are one.
  const strideOf = (axes: readonly Axis[]): Expr | null => {
    let inner: Expr | null = null;
    let span: Expr = constant(1);
    for (const axis of [...axes].reverse()) {
      const c = coefficient(index, axis.symbol);
      if (c === null || (inner !== null && c !== span)) return null;
      inner ??= c;
      span = mul(c, axis.extent);
      offset = sub(offset, mul(c, symbol(axis.symbol)));
    }
    return inner;
  };
  const row = strideOf(program.rows);
  const k = strideOf(program.k);
  const others = batch.map((axis) => ({ axis, stride: strideOf([axis]) }));
  if (row === null || k === null) return null;
  const free = (e: Expr): boolean => [...freeSymbols(e)].every((sym) => sym.kind === "size" || sym.kind === "unbacked");
  if (!free(offset) || !free(row) || !free(k) || constantValue(mod(offset, 8)) !== 0) return null;
  const inner = { stride: plan.along === "k" ? k : row, size: plan.along === "k" ? extents.k : extents.rows };
  const outer = { stride: plan.along === "k" ? row : k, size: plan.along === "k" ? extents.rows : extents.k };
  const dimensions = [outer];
  const used: Axis[] = [];
  for (const { axis, stride } of others) {
    if (stride === null || !free(stride)) return null;
    if (constantValue(stride) === 0) continue;
    dimensions.push({ stride, size: axis.extent });
    used.push(axis);
  }
  if (constantValue(inner.stride) !== 1 || used.length > 2) return null;
  if (dimensions.some(({ stride }) => constantValue(mod(stride, 8)) !== 0 || stride.lower < 8)) return null;
  return {
    along: plan.along,
    buffer,
    batch: used,
    map: {
      type: half === bfloat16 ? "bfloat16" : "float16",
      offset,
      sizes: [inner, ...dimensions].map(({ size }) => size),
      strideBytes: dimensions.map(({ stride }) => mul(stride, 2)),
      box: [64, BK, ...used.map(() => 1)],
      swizzle: 128,
      l2Promotion: 256,
    },
  };
}

/** How rows get to shared memory: by the copy engine, or run by run by the threads of a warpgroup. */
type Rows = { readonly kind: "map"; readonly matrix: Matrix } | { readonly kind: "gather"; readonly plan: OperandPlan };

/** The kernel for operands of half types, at most one of them gathered; null where it does not apply. */
export function emitHopperContraction(given: ContractionKernel, context: EmitContext): CudaKernelText | null {
  if (context.arch !== 90 || given.accumulate !== float32) return null;
  const k = productOf(given.k);
  if (guess(k) < 64) return null;
  const plans = [planOperand(given.a, 8, true), planOperand(given.b, 8, true)] as const;
  const { half } = plans[0];
  if (half === null || half !== plans[1].half) return null;
  const matrix = (i: 0 | 1): Matrix | null => {
    for (const plan of [plans[i], ...ragged(plans[i])]) {
      const found = matrixOf(plan, given.batch, { rows: i === 0 ? given.m : given.n, k });
      if (found !== null) return found;
    }
    return null;
  };
  const [a, b] = [matrix(0), matrix(1)];
  const gathers = (i: 0 | 1): boolean => plans[i].copy !== null && plans[i].along === "k" && plans[i].lanes === 8;
  // Rows come in tiles of 128: what is gathered must be the rows, and else the longer side should be.
  let swap = false;
  if (a !== null && b !== null) swap = prefersRows(given) ?? (guess(given.m) <= 96 && guess(given.n) > guess(given.m));
  else if (a !== null && gathers(1)) swap = true;
  else if (b === null || !gathers(0)) return null;
  const kernel = swap ? swapped(given) : given;
  const [rows, columns] = swap ? [b, a] : [a, b];
  if (columns === null) return null;
  const sms = context.multiprocessors;
  // Wide tiles read less; where they leave the last round of blocks empty, narrow ones win, or tiles whose sums several blocks share.
  const steps = Math.ceil(guess(k) / BK);
  const isStatic = constantValue(mul(kernel.m, kernel.n, k)) !== null;
  let best = { n: 128, pieces: 1 };
  let lowest = Infinity;
  for (const [width, price] of [[256, 1.85], [192, 1.42], [128, 1], [64, rows === null ? 0.8 : 0.62]] as const) {
    const padded = Math.ceil(guess(kernel.n) / width) * width;
    if (width > 64 && padded >= guess(kernel.n) * 1.5 && padded > 64) continue;
    // Whoever gathers needs registers that wide tiles do not leave.
    if (width > 128 && rows === null) continue;
    const tiles = tileCount(kernel, BM, width);
    for (const pieces of tiles < sms && isStatic ? PIECES : [1]) {
      const each = Math.ceil(steps / pieces);
      if (pieces > 1 && (each < 6 || (pieces - 1) * each >= steps)) continue;
      const cost = Math.ceil(tiles * pieces / sms) * (each + (pieces > 1 ? 8 + pieces / 2 : 4)) * price;
      if (cost >= lowest) continue;
      best = { n: width, pieces };
      lowest = cost;
    }
  }
  const { n, pieces } = best;
  if (tileCount(kernel, BM, n) * pieces * 3 < sms) return null;
  const source: Rows = rows === null
    ? { kind: "gather", plan: plans[swap ? 1 : 0] }
    : { kind: "map", matrix: boxed(rows, BM) };
  return write(kernel, context, source, boxed(columns, n), best, half === bfloat16 ? "bf16" : "f16");
}

/** Whether the result is contiguous along m alone, so that rows and columns should be exchanged; null where it is along n, or along neither. */
export function prefersRows({ epilogue }: ContractionKernel): boolean | null {
  const along = (axes: readonly Axis[]): boolean => isContiguousAlong(epilogue.body, axes[axes.length - 1]);
  return along(epilogue.m) && !along(epilogue.n) ? true : null;
}

/** The matrix with boxes of so many rows. */
function boxed(matrix: Matrix, rows: number): Matrix {
  const [inner = 64, , ...batch] = matrix.map.box;
  return { ...matrix, map: { ...matrix.map, box: [inner, matrix.along === "k" ? rows : BK, ...batch] } };
}

/** The same product with rows and columns exchanged. */
export function swapped(kernel: ContractionKernel): ContractionKernel {
  const { epilogue } = kernel;
  return {
    ...kernel,
    m: kernel.n,
    n: kernel.m,
    a: kernel.b,
    b: kernel.a,
    epilogue: { ...epilogue, m: epilogue.n, n: epilogue.m },
  };
}

/** The instruction for 64 × n sums. */
function wgmmaText(n: number, element: "bf16" | "f16"): string {
  const count = n / 2;
  const list = Array.from({ length: count }, (_, i) => `%${i}`).join(", ");
  const operands = Array.from({ length: count }, (_, i) => `"+f"(d[${i}])`).join(", ");
  return `template <int TA, int TB>
TSR void tsr_wgmma_${n}_${element}(float (&d)[${count}], unsigned long a, unsigned long b, int keep) {
  asm volatile("{\\n.reg .pred p;\\nsetp.ne.b32 p, %${count + 2}, 0;\\n"
    "wgmma.mma_async.sync.aligned.m64n${n}k16.f32.${element}.${element} {${list}}, %${count}, %${
    count + 1
  }, p, 1, 1, %${count + 3}, %${count + 4};\\n}"
    : ${operands} : "l"(a), "l"(b), "r"(keep), "n"(TA), "n"(TB));
}`;
}

function position(f: CudaFunction, kernel: ContractionKernel, n: number): void {
  const s = f.scopes;
  s.line(`const int batch = tile / (tm * tn), inBatch = tile - batch * (tm * tn);`);
  s.line(`const int group = inBatch / (8 * tn), height = tsr_min(tm - group * 8, 8);`);
  s.line(`const int inGroup = inBatch - group * 8 * tn;`);
  s.line(`const int m0 = (group * 8 + inGroup % height) * ${BM}, n0 = inGroup / height * ${n};`);
  f.decompose(kernel.batch, "batch", (axis) => f.extent(axis.extent));
}

/** Lines that copy one tile of an operand. */
function copyLines(f: CudaFunction, matrix: Matrix, map: string, to: string, row: string, rows: number): string[] {
  const batch = matrix.batch.map((axis) => `, (int)${f.symbolText(axis.symbol)}`).join("");
  if (matrix.along === "k") return [`tsr_box(${to}, &${map}, full, k0, ${row}${batch});`];
  return Array.from(
    { length: rows / 64 },
    (_, i) => `tsr_box(${to} + ${i * 64 * BK * 2}, &${map}, full, ${row} + ${i * 64}, k0${batch});`,
  );
}

/** Scratch memory for the parts of sums: so many warps, floats each. */
function partParameters(warps: Expr, floats: number, id: number): { arg: CudaArg; text: string }[] {
  return [
    { arg: { kind: "scratch", bytes: mul(warps, floats * 4), zeroed: false, id }, text: "float* partial" },
    { arg: { kind: "scratch", bytes: mul(warps, 4), zeroed: true, id: id + 1 }, text: "unsigned* arrived" },
  ];
}

function mapParameter(matrix: Matrix, name: string): { arg: CudaArg; text: string } {
  const arg: CudaArg = { kind: "tensorMap", buffer: matrix.buffer, map: matrix.map };
  return { arg, text: `const __grid_constant__ tsr_map ${name}` };
}

function write(
  kernel: ContractionKernel,
  context: EmitContext,
  rows: Rows,
  b: Matrix,
  { n, pieces }: { readonly n: number; readonly pieces: number },
  element: "bf16" | "f16",
): CudaKernelText {
  const f = contractionFunction(kernel, context);
  const s = f.scopes;
  const [aBytes, bBytes] = [BM * BK * 2, n * BK * 2];
  const epilogueBytes = 8 * 16 * PITCH * 4;
  const stages = Math.min(6, Math.floor((SHARED_LIMIT - 1024 - 256 - epilogueBytes) / (aBytes + bBytes)));
  const ring = stages * (aBytes + bBytes);
  const sharedBytes = ring + epilogueBytes + stages * 16 + 1024;
  const tiling: Tiling = { m: 16, n: SLAB, k: BK, warpM: 0, warpN: 0, threads: 32, stages, pieces: 1 };
  const [tm, tn] = [ceilDiv(kernel.m, BM), ceilDiv(kernel.n, n)];
  const batches = productOf(kernel.batch.map((axis) => axis.extent));
  const tiles = mul(batches, tm, tn);
  s.line("TSR_DYNAMIC(room);");
  s.line("const unsigned base = (tsr_smem(room) + 1023) & ~1023u;");
  s.line(`float* const staging = (float*)(room + (base - tsr_smem(room)) + ${ring});`);
  s.line(`const unsigned barriers = base + ${ring + epilogueBytes};`);
  s.line("const int group4 = (int)threadIdx.x / 128;");
  s.line(`const int tm = ${f.extent(tm)}, tn = ${f.extent(tn)}, tiles = ${f.extent(tiles)};`);
  const steps = ceilDiv(productOf(kernel.k), BK);
  s.line(`const int steps = ${f.extent(steps)}, jobs = tiles * ${pieces};`);
  const job = (): void => {
    s.open("for (int job = blockIdx.x; job < jobs; job += gridDim.x) {");
    s.line(`const int tile = job / ${pieces}, piece = job % ${pieces};`);
    const each = f.extent(ceilDiv(steps, pieces));
    s.line(`const int firstStep = piece * ${each}, lastStep = tsr_min(steps, firstStep + ${each});`);
    position(f, kernel, n);
  };
  s.open("if (threadIdx.x == 0) {");
  s.open(`for (int i = 0; i < ${stages}; i++) {`);
  s.line(`tsr_barrier_init(barriers + i * 16, ${rows.kind === "gather" ? 257 : 1});`);
  s.line("tsr_barrier_init(barriers + i * 16 + 8, 8);");
  s.close();
  s.line("tsr_barrier_visible();");
  s.close();
  s.line("__syncthreads();");
  s.line("int stage = 0, phase = 0;");
  const gather = rows.kind === "gather";
  // One thread issues copies of boxes; gathering takes two warpgroups, or the tensor cores wait.
  const producers = gather ? 2 : 1;
  s.open(`if (group4 < ${producers}) {`);
  s.line(`tsr_fewer_registers<${gather ? 96 : 24}>();`);
  if (!gather) s.open("if (threadIdx.x == 0) {");
  job();
  s.open("for (int step = firstStep; step < lastStep; step++) {");
  s.line("const unsigned full = barriers + stage * 16, to = base + stage * " + `${aBytes + bBytes};`);
  s.line(`const int k0 = step * ${BK};`);
  s.line("tsr_barrier_wait(full + 8, phase ^ 1);");
  if (gather) s.open("if (threadIdx.x == 0) {");
  s.line(`tsr_barrier_expect(full, ${gather ? bBytes : aBytes + bBytes});`);
  for (const line of copyLines(f, b, "mapB", `to + ${aBytes}`, "n0", n)) s.line(line);
  if (rows.kind === "map") { for (const line of copyLines(f, rows.matrix, "mapA", "to", "m0", BM)) s.line(line); }
  else {
    s.close();
    const length = constantValue(productOf(kernel.k));
    writeTileLoop(
      f,
      rows.plan,
      {
        threads: 256,
        rows: BM,
        k: BK,
        pitch: BK,
        row0: "m0",
        k0: "k0",
        rowEnd: kernel.m,
        kEnd: f.extent(productOf(kernel.k)),
        kExact: length !== null && length % BK === 0,
        // Lines of 128 bytes whose pieces of 16 are exchanged by the line's number, as the tensor cores read them.
        copy: (line, at, from, there) =>
          `tsr_gather16(to + ${line} * 128 + ((${at} / 8 ^ (${line} & 7)) << 4), ${from}, ${there});`,
      },
      "",
      "",
    );
    s.line("tsr_gather_arrive(full);");
  }
  s.line(`if (++stage == ${stages}) { stage = 0; phase ^= 1; }`);
  s.close();
  s.close();
  if (!gather) s.close();
  s.close();
  s.open("else {");
  s.line(`tsr_more_registers<${gather ? 160 : 240}>();`);
  s.line(`const int warp = (int)threadIdx.x / 32 - ${4 * producers}, consumer = warp / 4;`);
  s.line(`float* const own = staging + warp * ${16 * PITCH};`);
  job();
  s.line(`float acc[${n / 2}];`);
  s.line("int before = -1;");
  s.open("for (int step = firstStep; step < lastStep; step++) {");
  s.line("const unsigned full = barriers + stage * 16;");
  // A warpgroup has 64 rows: along k these are 64 lines of 128 bytes, along rows one piece of 64.
  s.line(`const unsigned from = base + stage * ${aBytes + bBytes} + consumer * ${64 * BK * 2};`);
  s.line(`const unsigned other = base + stage * ${aBytes + bBytes} + ${aBytes};`);
  s.line("tsr_barrier_wait(full, phase);");
  if (gather) s.line("tsr_gathered();");
  s.line("tsr_wgmma_begin();");
  s.open(`#pragma unroll\nfor (int k = 0; k < ${BK / 16}; k++) {`);
  const along = rows.kind === "gather" ? "k" : rows.matrix.along;
  const descriptor = (direction: "k" | "rows", at: string): string =>
    direction === "k" ? `tsr_matrix(${at} + k * 32, 16, 1024)` : `tsr_matrix(${at} + k * 2048, ${64 * BK * 2}, 1024)`;
  s.line(
    `tsr_wgmma_${n}_${element}<${along === "k" ? 0 : 1}, ${b.along === "k" ? 0 : 1}>(acc, ${
      descriptor(along, "from")
    }, ${descriptor(b.along, "other")}, step > firstStep || k > 0);`,
  );
  s.close();
  s.line("tsr_wgmma_commit();");
  s.line("tsr_wgmma_wait<1>();");
  s.line("if (before >= 0 && (threadIdx.x & 31) == 0) tsr_barrier_arrive(barriers + before * 16 + 8);");
  s.line("before = stage;");
  s.line(`if (++stage == ${stages}) { stage = 0; phase ^= 1; }`);
  s.close();
  s.line("tsr_wgmma_wait<0>();");
  s.line("if (before >= 0 && (threadIdx.x & 31) == 0) tsr_barrier_arrive(barriers + before * 16 + 8);");
  if (pieces > 1) {
    // A warp's part of a tile is complete when that warp of the last block has come; it adds the parts in order.
    s.line(`float* const parts = partial + ((long)tile * 8 + warp) * ${pieces * 16 * n};`);
    s.line(`if (!tsr_add_parts<${pieces}>(acc, parts, piece, arrived + tile * 8 + warp)) continue;`);
  }
  s.line(`const int mTile = m0, nTile = n0;`);
  for (let slab = 0; slab < n / SLAB; slab++) {
    s.open("{");
    s.line("__syncwarp();");
    s.line(`tsr_wgmma_put<${slab}, ${PITCH}>(own, acc);`);
    s.line("__syncwarp();");
    s.line(`const int m0 = mTile + warp * 16, n0 = nTile + ${slab * SLAB};`);
    writeEpilogue(f, kernel, tiling, "own", PITCH, "float", { thread: "((int)threadIdx.x & 31)", tileM: BM, tileN: n });
    s.close();
  }
  s.close();
  s.close();
  const { args, parameters } = signature(f, [
    ...(rows.kind === "gather" ? [] : [mapParameter(rows.matrix, "mapA")]),
    mapParameter(b, "mapB"),
    ...(pieces === 1 ? [] : partParameters(mul(tiles, 8), pieces * 16 * n, context.scratchId())),
  ]);
  return {
    parameters,
    body: branchesTogether(s.text("  "), `  if (group4 < ${producers}) {`),
    support: wgmmaText(n, element),
    includes: new Set(["collectives", "hopper"]),
    args,
    grid: [min(mul(tiles, pieces), context.multiprocessors), constant(1), constant(1)],
    block: [gather ? 512 : 384, 1, 1],
    sharedBytes,
    blocksEach: 1,
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
