/**
 * Attention over sequences of several lengths, and over keys in pages, on the device: halves on tensor cores by `mma.sync`, no score in memory.
 *
 * Which tiles there are follows from the offsets on the device; the grid has as many blocks as there can be at most. Tiles that no query of a block sees are
 * not walked, so a sliding window costs what it shows. Mirrors the variable-length and paged kernels of FlashAttention (Dao, 2023).
 */
import { bfloat16, float16, int32, int64 } from "../../../../core/mod.ts";
import type { TensorMeta } from "../../../../graph/mod.ts";
import { add, ceilDiv, constant, constantValue, type Expr, mul } from "../../../../symbolic/mod.ts";
import { guess } from "../../../tile/axes.ts";
import { memoryType } from "../../cpp/types.ts";
import type { CudaKernelText } from "../kernel_text.ts";
import { type AlgorithmCall, type ArgumentOf, Parameters, volume } from "./call.ts";

/** Keys that a part has at least. */
const PART = 512;

/** Why a call is taken apart. */
export function raggedProblem(argument: ArgumentOf): string | null {
  const [query, key, value] = ["query", "key", "value"].map(argument) as TensorMeta[];
  const offsets = ["queryOffsets", "keyOffsets", "table"].map(argument).filter((t) => t !== null) as TensorMeta[];
  if (query === undefined || key === undefined || value === undefined) return "an operand is missing";
  if (query.dtype !== float16 && query.dtype !== bfloat16) return `tensor cores take halves, not ${query.dtype.name}`;
  const width = query.shape[2];
  if (typeof width !== "number" || width % 8 !== 0 || width > 128) {
    return `heads are ${width} wide: no multiple of 8 up to 128`;
  }
  if (value.shape[value.shape.length - 1] !== width) return "values are not as wide as keys";
  if (offsets.some((t) => t.dtype !== offsets[0]?.dtype) || ![int32, int64].includes(offsets[0]?.dtype ?? int32)) {
    return "offsets are not of one type";
  }
  const page = argument("table") === null ? 1 : key.shape[1];
  return typeof page === "number" ? null : "the size of a page is not known";
}

const INCLUDES = ["collectives", "mma", "halves", "attention", "ragged"] as const;

/** The fields of `tsr_ragged` as text. */
export function raggedFields(call: AlgorithmCall, p: Parameters, scale: string): string {
  const query = call.input("query"), key = call.input("key");
  const queries = call.input("queryOffsets"), keys = call.input("keyOffsets"), table = call.tensor("table");
  const index = memoryType(queries.dtype);
  const [tokens = constant(1), heads = constant(1)] = query.shape;
  const int = (e: Expr): string => `(int)${p.size(e)}`;
  const given = [
    p.pointer(`const ${index}`, queries.buffer),
    p.pointer(`const ${index}`, keys.buffer),
    table === null ? "nullptr" : p.pointer(`const ${index}`, table.buffer),
    p.errors(),
    int(sequencesOf(call)),
    int(table === null ? constant(0) : key.shape[0] ?? constant(1)),
    int(table?.shape[1] ?? constant(0)),
    int(heads),
    int(key.shape[key.shape.length - 2] ?? constant(1)),
    int(mul(tokens, heads)),
    scale,
    String(call.number("left", -1)),
    String(call.number("right", -1)),
  ];
  return `{${given.join(", ")}}`;
}

/** How many sequences there are. */
export function sequencesOf(call: AlgorithmCall): Expr {
  const [count = constant(1)] = call.input("keyOffsets").shape;
  return call.tensor("table") === null ? add(count, -1) : count;
}

/** Zeros for rows of no sequence. */
export function restKernel(call: AlgorithmCall): CudaKernelText {
  const query = call.input("query"), out = call.output(0), queries = call.input("queryOffsets");
  const rest = new Parameters();
  const to = rest.pointer(memoryType(out.dtype), out.buffer);
  const ends = rest.pointer(`const ${memoryType(queries.dtype)}`, queries.buffer);
  const text = `  tsr_ragged_rest(${to}, ${ends}, (int)${rest.size(sequencesOf(call))}, (int)${
    rest.size(query.shape[0] ?? constant(1))
  }, (int)${rest.size(volume(query.shape.slice(1)))});\n`;
  return rest.kernel(text, { includes: INCLUDES, blocks: constant(call.context.multiprocessors), threads: 256 });
}

/** The kernels. */
export function emitRagged(call: AlgorithmCall): CudaKernelText[] {
  const query = call.input("query"), key = call.input("key"), value = call.input("value"), out = call.output(0);
  const queries = call.input("queryOffsets"), table = call.tensor("table");
  const { multiprocessors } = call.context;
  const [tokens = constant(1), heads = constant(1)] = query.shape;
  const width = constantValue(query.shape[2] ?? constant(1)) ?? 1;
  const shared = key.shape[key.shape.length - 2] ?? constant(1);
  const page = table === null ? 0 : constantValue(key.shape[1] ?? constant(1)) ?? 1;
  const sequences = sequencesOf(call);
  const columns = table?.shape[1] ?? constant(0);
  const most = call.number("mostKeys");
  const padded = Math.ceil(width / 16) * 16;
  const each = guess(heads) / guess(shared);
  const rowsEach = each * guess(tokens) / Math.max(guess(sequences), 1);
  const few = rowsEach <= 16;
  // 128 rows read keys less often, where two such blocks fit.
  const large = rowsEach >= 256 && call.context.arch >= 90;
  const [BM, MI, KW] = few ? [16, 1, 4] : large ? [128, 2, 1] : [64, 1, 1];
  const tiles = add(ceilDiv(mul(tokens, Math.ceil(each)), BM), sequences);
  // Few rows over many keys: parts of the keys fill the device.
  const blocks = Math.ceil(rowsEach / BM) * guess(sequences) * guess(shared);
  const length = most > 0
    ? most
    : table === null
    ? guess(key.shape[0] ?? constant(1)) / Math.max(guess(sequences), 1)
    : page * guess(columns);
  const parts = Math.max(1, Math.min(Math.floor(length / PART), Math.ceil(4 * multiprocessors / blocks), 64));
  const type = memoryType(query.dtype), index = memoryType(queries.dtype);
  const all = mul(tokens, heads);
  const bytes = mul(all, 4 * parts * (width + 2));
  const id = call.context.scratchId();
  const scale = `${Math.fround(call.number("scale", 1) * Math.LOG2E).toExponential(9)}f`;
  const p = new Parameters();
  const operands = [query, key, value].map((t) => p.pointer(`const ${type}`, t.buffer));
  const result = p.pointer(type, out.buffer);
  const partial = parts === 1 ? "nullptr" : p.scratch("float", bytes, id);
  const a = raggedFields(call, p, scale);
  const body = `  const tsr_ragged<${index}> a = ${a};
  tsr_ragged_attention<${type}, ${padded}, ${MI}, ${KW}, ${page}, ${index}>(${
    operands.join(", ")
  }, ${result}, ${partial}, a, ${width});\n`;
  const includes = INCLUDES;
  const walk: CudaKernelText = {
    ...p.kernel(body, {
      includes,
      blocks: tiles,
      threads: 128,
      sharedBytes: 2 * (padded + 8) * (BM + 4 * 64),
      blocksEach: 2,
    }),
    grid: [tiles, shared, constant(parts)],
  };
  if (parts === 1) return [restKernel(call), walk];
  const rest = new Parameters();
  const from = rest.scratch("float", bytes, id);
  const to = rest.pointer(type, out.buffer);
  const ends = rest.pointer(`const ${index}`, queries.buffer);
  const text = `  tsr_ragged_join(${from}, ${to}, ${ends}, (int)${rest.size(sequences)}, ${parts}, (int)${
    rest.size(all)
  }, (int)${rest.size(heads)}, ${width}, ${scale});\n`;
  return [walk, rest.kernel(text, { includes, blocks: ceilDiv(mul(all, width), 256), threads: 256 })];
}
