/**
 * Attention on CUDA: from an {@linkcode AttentionKernel} to a call of the template in `cuda_attention.cuh`.
 *
 * Enters: a kernel whose operands are affine in rows and columns, so that a block needs one address and two strides of each, worked out once. Leaves:
 * one launch with a block for each tile of queries of each batch position; where attention is causal, the longest tiles come first. Operands whose rows
 * are aligned runs of 8 elements go through `cp.async`; others element by element. Mirrors FlashAttention-2 (Dao, 2023).
 */
import { bfloat16, bool, CompileError } from "../../core/mod.ts";
import { ceilDiv, coefficient, constant, constantValue, type Expr, mul, substitute } from "../../symbolic/mod.ts";
import { memoryType } from "../codegen/cpp/types.ts";
import { CudaFunction } from "../codegen/cuda/function.ts";
import { type CudaKernelText, type EmitContext, line, signature } from "../codegen/cuda/kernel_text.ts";
import { isAlignedRun } from "../codegen/cuda/vectors.ts";
import { emitFlashAttention } from "./cuda_flash.ts";
import { guess, guessProduct } from "../tile/axes.ts";
import type { AttentionKernel, AttentionOperand, Axis } from "../tile/tile_ir.ts";

/** The widest heads that the template has registers for. */
export const MAX_ATTENTION_WIDTH = 128;
/** Keys in a tile. */
const KEYS = 64;
const WARPS = 4;

interface Strided {
  /** The address of row 0 and column 0. */
  readonly base: string;
  readonly row: string;
  readonly column: string;
}

/** Bytes of shared memory that a block may have. */
function sharedLimit(arch: number): number {
  return arch >= 90 && arch < 120 ? 227 * 1024 : arch === 80 || arch === 87 ? 163 * 1024 : 99 * 1024;
}

function sharedBytes(queries: number, d: number, e: number): number {
  return 2 * (queries * (Math.max(d, e) + 8) + 2 * KEYS * (d + 8 + e + 8));
}

/** Queries of a block: 128 read less, where there are blocks for several rounds; 64 leave room for more warps that hide each other's waiting. */
function queriesOf(kernel: AttentionKernel, d: number, e: number, context: EmitContext): number {
  if (sharedBytes(128, d, e) > sharedLimit(context.arch)) return 64;
  const batches = guessProduct(kernel.batch.map((axis) => axis.symbol));
  return batches * Math.ceil(guess(kernel.m.extent) / 128) >= 4 * context.multiprocessors ? 128 : 64;
}

function widthOf(axis: Axis): number {
  const width = constantValue(axis.extent);
  if (width === null || width > MAX_ATTENTION_WIDTH) {
    throw new CompileError(`attention over heads of ${width ?? "unknown"} elements: the template takes at most 128`);
  }
  return width;
}

/** Whether tiles of 128 queries and warpgroups pay: narrow heads and few queries leave most of such a tile empty. */
function prefersFlash({ role, second, m, n, d, e }: AttentionKernel): boolean {
  if (role !== "forward" || second !== null) return true;
  const width = Math.max(constantValue(d.extent) ?? 0, constantValue(e.extent) ?? 0);
  return width > 32 && guess(m.extent) > 64 && guess(n.extent) > 64;
}

/** Emits a kernel of attention. */
export function emitCudaAttention(kernel: AttentionKernel, context: EmitContext): CudaKernelText {
  if (context.arch < 80) throw new CompileError("attention on tensor cores needs compute capability 8.0");
  const { m, n, d, e, query, key, value, mask, out } = kernel;
  const flash = prefersFlash(kernel) ? emitFlashAttention(kernel, context) : null;
  if (flash !== null) return flash;
  if (kernel.role !== "forward" || kernel.second !== null) {
    throw new CompileError("attention for training needs a GPU of compute capability 9.0 and rows of 16-byte pieces");
  }
  const [width, valueWidth] = [widthOf(d), widthOf(e)];
  const pad = (w: number): number => Math.max(16, Math.ceil(w / 16) * 16);
  const [padded, valuePadded] = [pad(width), pad(valueWidth)];
  const queries = queriesOf(kernel, padded, valuePadded, context);
  const f = new CudaFunction(kernel, [], [], { shared: context.shared });
  const s = f.scopes;
  const tiles = ceilDiv(m.extent, queries);
  s.line("TSR_DYNAMIC(room);");
  s.line(`const ${f.index} tiles = ${f.extent(tiles)}, batch = (${f.index})blockIdx.x / tiles;`);
  const tile = `(${f.index})blockIdx.x - batch * tiles`;
  s.line(`const ${f.index} m0 = (${kernel.causal ? `tiles - 1 - (${tile})` : tile}) * ${queries};`);
  f.decompose(kernel.batch, "batch", (axis) => f.extent(axis.extent));
  const place = (operand: AttentionOperand, row: Axis, column: Axis): Strided => {
    const zero = new Map([[row.symbol, constant(0)], [column.symbol, constant(0)]]);
    const stride = (axis: Axis): string => f.extent(coefficient(operand.index, axis.symbol) ?? constant(0));
    const base = `${f.pointer(operand.buffer)} + ${f.extent(substitute(operand.index, zero))}`;
    return { base, row: stride(row), column: stride(column) };
  };
  const places = [place(query, m, d), place(key, n, d), place(value, n, e), place(out, m, e)];
  let runs = 0;
  ([[query, d], [key, d], [value, e], [out, e]] as const).forEach(([operand, axis], i) => {
    const whole = (constantValue(axis.extent) ?? 1) % 8 === 0;
    if (whole && isAlignedRun(operand.index, axis.symbol, 8)) runs |= 1 << i;
  });
  const biasOf = (body: string): string => `[=](${f.index} r, ${f.index} c, float (&b)[2]) { ${body} }`;
  let bias = biasOf("");
  if (mask !== null) {
    const { base, row, column } = place(mask, m, n);
    const type = memoryType(mask.buffer.dtype);
    s.line(`const ${type}* const mask = ${base};`);
    const add = (i: number, at: string): string => {
      const typed = mask.buffer.dtype === bool ? `tsr_get(${at})` : `(float)tsr_get(${at})`;
      return `b[${i}] = tsr_attention_bias(${typed});`;
    };
    const even = (constantValue(n.extent) ?? 1) % 2 === 0 && isAlignedRun(mask.index, n.symbol, 2);
    bias = biasOf(
      even
        ? `const tsr_vec<${type}, 2> x = tsr_raw<${type}, 2>(mask + r * ${row} + c); ${add(0, "&x.v[0]")} ${
          add(1, "&x.v[1]")
        }`
        : `const ${type}* const x = mask + r * ${row} + c * ${column}; ${add(0, "x")} if (c + 1 < ${
          f.extent(n.extent)
        }) ${add(1, `x + ${column}`)}`,
    );
  }
  const element = query.buffer.dtype === bfloat16 ? "bf16" : "f16";
  const plain = mask === null && kernel.scale > 0;
  const strides = places.map((p) => `(${f.index})${p.row}, (${f.index})${p.column}`).join(", ");
  const scale = `${Math.fround(kernel.scale * Math.LOG2E).toExponential(9)}f`;
  const parameters = [element, padded, valuePadded, queries, KEYS, WARPS, runs, kernel.causal, plain, f.index];
  const lengths = `(${f.index})${f.extent(m.extent)}, (${f.index})${f.extent(n.extent)}`;
  s.line(`tsr_attention<${parameters.join(", ")}>(room, ${places.map((p) => p.base).join(", ")}, ${strides}, m0,`);
  s.line(`  ${lengths}, ${width}, ${valueWidth}, ${scale}, ${bias});`);
  const { args, parameters: list } = signature(f);
  const batches = kernel.batch.reduce<Expr>((product, axis) => mul(product, axis.extent), constant(1));
  return {
    parameters: list,
    body: s.text("  "),
    includes: new Set(["mma", "halves", "attention"]),
    args,
    grid: line(mul(batches, tiles)),
    block: [WARPS * 32, 1, 1],
    sharedBytes: sharedBytes(queries, padded, valuePadded),
    blocksEach: queries === 64 && Math.max(padded, valuePadded) <= 64 ? 4 : 2,
  };
}
