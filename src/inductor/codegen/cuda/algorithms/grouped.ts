/**
 * Products of groups on the device: mixtures of experts, whose rows are counted there.
 *
 * One kernel for all groups; blocks stay and find their tiles from the ends of the groups, so nothing is copied to the host and no shape depends on data. Halves
 * run on tensor cores: `wgmma` with the copy engine on Hopper, else `mma.sync`; gradients of the matrices sum over the rows of each group.
 */
import { bfloat16, float16, float64 } from "../../../../core/mod.ts";
import type { TensorMeta } from "../../../../graph/mod.ts";
import { ceilDiv, constant, constantValue, type Expr, mul } from "../../../../symbolic/mod.ts";
import { guess } from "../../../tile/axes.ts";
import { wgmmaTexts } from "../../../templates/cuda_flash.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { scalarType } from "../texts.ts";
import HOPPER from "./cuda_grouped_hopper.cuh" with { type: "text" };
import { type AlgorithmCall, type AlgorithmTensor, type ArgumentOf, Parameters } from "./call.ts";

/** Groups whose ends fit a block's memory. */
const MOST_GROUPS = 1024;

/** Why a product of groups is taken apart. */
export function groupedProblem(argument: ArgumentOf): string | null {
  const offs = argument("offs") as TensorMeta;
  const input = (argument("input") ?? argument("a")) as TensorMeta;
  const groups = offs.shape[0];
  if (!input.dtype.isFloat || input.dtype.bytes < 2) return `there are no products of ${input.dtype.name}`;
  return typeof groups === "number" && groups <= MOST_GROUPS ? null : `there are more than ${MOST_GROUPS} groups`;
}

function isHalf({ dtype }: AlgorithmTensor): boolean {
  return dtype === float16 || dtype === bfloat16;
}

/** Whether rows of so many halves begin at multiples of 16 bytes. */
function isWhole(size: Expr): boolean {
  const known = constantValue(size);
  return known !== null && known % 8 === 0;
}

function at(shape: readonly Expr[], i: number): Expr {
  return shape[i] ?? constant(1);
}

/** Bytes of the ring of `mma.sync`, each operand along k or along its rows. */
function ringBytes(a: "k" | "rows", b: "k" | "rows"): number {
  const tile = (along: "k" | "rows"): number => along === "k" ? 128 * 40 : 32 * 136;
  return 4 * 2 * (tile(a) + tile(b));
}

/** The kernel of rows times the matrices of their groups. */
export function emitGroupedRows(call: AlgorithmCall): CudaKernelText[] {
  const x = call.input("input"), w = call.input("weight"), offs = call.input("offs"), out = call.output(0);
  const turned = call.argument("transposed") === true;
  const [rows, K, N] = [at(x.shape, 0), at(x.shape, 1), at(out.shape, 1)];
  const groups = at(offs.shape, 0);
  const ends = memoryType(offs.dtype), type = memoryType(x.dtype);
  const { arch, multiprocessors } = call.context;
  const tensor = isHalf(x) && isWhole(K) && isWhole(N);
  if (tensor && arch === 90) return [onHopper(call, { x, w, offs, out, turned, rows, K, N, groups })];
  const p = new Parameters();
  const [from, matrices] = [p.pointer(`const ${type}`, x.buffer), p.pointer(`const ${type}`, w.buffer)];
  const rest = `${p.pointer(`const ${ends}`, offs.buffer)}, ${p.pointer(type, out.buffer)}, (int)${
    p.size(groups)
  }, (int)${p.size(rows)}, (int)${p.size(K)}, (int)${p.size(N)}`;
  if (tensor && arch >= 80) {
    return [p.kernel(`  tsr_grouped_mma<${type}, ${ends}, ${turned}>(${from}, ${matrices}, ${rest});\n`, {
      includes: ["mma", "grouped"],
      blocks: constant(2 * multiprocessors),
      threads: 256,
      sharedBytes: ringBytes("k", turned ? "k" : "rows"),
      blocksEach: 2,
    })];
  }
  const compute = x.dtype === float64 ? "double" : scalarType(x.dtype);
  return [p.kernel(`  tsr_grouped_plain<${type}, ${compute}, ${ends}, ${turned}>(${from}, ${matrices}, ${rest});\n`, {
    includes: ["mma", "grouped"],
    blocks: constant(4 * multiprocessors),
    threads: 256,
  })];
}

interface Grouped {
  readonly x: AlgorithmTensor;
  readonly w: AlgorithmTensor;
  readonly offs: AlgorithmTensor;
  readonly out: AlgorithmTensor;
  readonly turned: boolean;
  readonly rows: Expr;
  readonly K: Expr;
  readonly N: Expr;
  readonly groups: Expr;
}

function onHopper(call: AlgorithmCall, { x, w, offs, out, turned, rows, K, N, groups }: Grouped): CudaKernelText {
  const type = x.dtype === bfloat16 ? "bf16" : "f16";
  const element = x.dtype === bfloat16 ? "bfloat16" : "float16";
  // Tiles of 256 columns read less; where they would be too few, narrow ones use more of the device.
  const wide = guess(rows) / 128 * Math.ceil(guess(N) / 256) >= call.context.multiprocessors / 2 && guess(N) >= 256;
  const width = wide ? 256 : 128, stages = wide ? 4 : 6;
  const ends = memoryType(offs.dtype);
  const p = new Parameters();
  const common = { type: element, offset: constant(0), swizzle: 128, l2Promotion: 256 } as const;
  const mapX = p.map(x.buffer, { ...common, sizes: [K, rows], strideBytes: [mul(K, 2)], box: [64, 128] });
  const mapW = p.map(w.buffer, {
    ...common,
    sizes: turned ? [K, N, groups] : [N, K, groups],
    strideBytes: [mul(turned ? K : N, 2), mul(mul(K, N), 2)],
    box: turned ? [64, width, 1] : [64, 64, 1],
  });
  const body = `  tsr_grouped_wgmma<${type}, ${ends}, ${width}, ${stages}, ${turned}>(&${mapX}, &${mapW}, ${
    p.pointer(`const ${ends}`, offs.buffer)
  }, ${p.pointer(type, out.buffer)}, (int)${p.size(groups)}, (int)${p.size(rows)}, (int)${p.size(K)}, (int)${
    p.size(N)
  });\n`;
  return p.kernel(body, {
    includes: ["mma", "hopper", "grouped"],
    blocks: constant(call.context.multiprocessors),
    threads: 384,
    sharedBytes: stages * (128 + width) * 128 + stages * 16 + 8 * 16 * 72 * 2 + 1024,
    blocksEach: 1,
    support: `#ifndef TSR_EMULATED\n${wgmmaTexts(width, type)}\n#endif\n${HOPPER}`,
  });
}

/** The kernel of the sums over each group's rows of products of two rows. */
export function emitGroupedOuter(call: AlgorithmCall): CudaKernelText[] {
  const x = call.input("a"), y = call.input("b"), offs = call.input("offs"), out = call.output(0);
  const [rows, M, N] = [at(x.shape, 0), at(x.shape, 1), at(y.shape, 1)];
  const groups = at(offs.shape, 0);
  const ends = memoryType(offs.dtype), type = memoryType(x.dtype);
  const tensor = isHalf(x) && isWhole(M) && isWhole(N) && call.context.arch >= 80;
  const p = new Parameters();
  const side = tensor ? 128 : 64;
  const given = `${p.pointer(`const ${type}`, x.buffer)}, ${p.pointer(`const ${type}`, y.buffer)}, ${
    p.pointer(`const ${ends}`, offs.buffer)
  }, ${p.pointer(type, out.buffer)}, (int)${p.size(groups)}, (int)${p.size(rows)}, (int)${p.size(M)}, (int)${
    p.size(N)
  }`;
  const compute = x.dtype === float64 ? "double" : scalarType(x.dtype);
  const body = tensor
    ? `  tsr_grouped_outer_mma<${type}, ${ends}>(${given});\n`
    : `  tsr_grouped_outer_plain<${type}, ${compute}, ${ends}>(${given});\n`;
  return [p.kernel(body, {
    includes: ["mma", "grouped"],
    blocks: mul(groups, mul(ceilDiv(M, side), ceilDiv(N, side))),
    threads: 256,
    ...(tensor ? { sharedBytes: ringBytes("rows", "rows"), blocksEach: 2 } : {}),
  })];
}
