/**
 * Attention over sequences of several lengths on Hopper: the warpgroups and the copy engine of `cuda_flash.cuh` on tiles that a block finds from the offsets.
 *
 * Enters: a call without a table. Leaves: zeros for rows of no sequence, then one launch; null where rows are few, where the heads that share keys do not
 * divide a block's rows, or on another device: `ragged.ts` serves then. What stands behind a sequence's last key in memory is another's, and is cleared in shared memory.
 */
import { bfloat16 } from "../../../../core/mod.ts";
import { add, ceilDiv, constant, constantValue, type Expr, max, mul } from "../../../../symbolic/mod.ts";
import { flashSharedBytes, forwardShape, wgmmaTexts } from "../../../templates/cuda_flash.ts";
import { guess } from "../../../tile/axes.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type AlgorithmTensor, Parameters } from "./call.ts";
import { raggedFields, restKernel, sequencesOf } from "./ragged.ts";

/** Rows of a sequence from which a block of this kernel is worth its start. */
const FEWEST_ROWS = 128;
/** Keys of a sequence that are worth being shared by blocks. */
const MANY_KEYS = 1024;

/** The kernels; null where this way does not apply. */
export function emitRaggedFlash(call: AlgorithmCall): CudaKernelText[] | null {
  const query = call.input("query"), key = call.input("key"), value = call.input("value"), out = call.output(0);
  const [tokens = constant(1), heads = constant(1), width = constant(1)] = query.shape;
  const [keyRows = constant(1), shared = constant(1)] = key.shape;
  const [all, groups, wide] = [heads, shared, width].map(constantValue);
  const { arch, multiprocessors } = call.context;
  if (arch !== 90 || call.tensor("table") !== null || call.number("scale", 1) <= 0) return null;
  if (!all || !groups || !wide) return null;
  const each = all / groups, padded = wide <= 64 ? 64 : 128;
  const { step, stages, consumers, turns } = forwardShape(padded);
  const rows = consumers * 64;
  const sequences = sequencesOf(call);
  const rowsEach = each * guess(tokens) / Math.max(guess(sequences), 1);
  // Blocks that leave the device empty, over many keys: parts of the keys serve better.
  const blocks = Math.ceil(rowsEach / rows) * guess(sequences) * groups;
  const length = Math.max(call.number("mostKeys"), guess(keyRows) / Math.max(guess(sequences), 1));
  const inParts = length >= MANY_KEYS && 2 * blocks < multiprocessors;
  if (rows % each !== 0 || rowsEach < FEWEST_ROWS || inParts) return null;
  const p = new Parameters();
  const half = query.dtype === bfloat16 ? "bf16" : "f16";
  const map = (t: AlgorithmTensor, many: Expr, count: Expr, box: readonly number[]): string =>
    `&${
      p.map(t.buffer, {
        type: half === "bf16" ? "bfloat16" : "float16",
        offset: constant(0),
        sizes: [width, many, max(count, constant(1))],
        strideBytes: [mul(width, 2), mul(mul(width, many), 2)],
        box,
        swizzle: 128,
        l2Promotion: 256,
      })
    }`;
  const result = p.pointer(memoryType(out.dtype), out.buffer);
  const maps = [
    map(query, heads, tokens, [64, each, rows / each]),
    map(key, shared, keyRows, [64, 1, step]),
    map(value, shared, keyRows, [64, 1, step]),
  ];
  const index = memoryType(call.input("queryOffsets").dtype);
  const scale = `${Math.fround(call.number("scale", 1)).toExponential(9)}f`;
  const body = `  const tsr_ragged<${index}> a = ${raggedFields(call, p, scale)};
  tsr_ragged_flash<${half}, ${padded}, ${step}, ${stages}, ${consumers}, ${turns}>(${result}, a, ${
    maps.join(", ")
  }, ${wide});\n`;
  const tiles = add(ceilDiv(mul(tokens, each), rows), sequences);
  const support = [...new Set([step, padded])].map((n) => `${wgmmaTexts(n, half)}\n`).join("");
  const kernel = p.kernel(body, {
    includes: ["collectives", "mma", "halves", "attention", "ragged", "hopper", "flash", "ragged_hopper"],
    blocks: tiles,
    threads: (consumers + 1) * 128,
    sharedBytes: flashSharedBytes(padded),
    blocksEach: 1,
    support: `#ifndef TSR_EMULATED\n${support}#endif`,
  });
  return [restKernel(call), { ...kernel, grid: [tiles, shared, constant(1)] }];
}
